if [ "$1" -eq 0 ]; then
    systemctl disable --now redis-cross-dc-exporter >/dev/null 2>&1 || :
fi
