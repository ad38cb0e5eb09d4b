systemctl daemon-reload >/dev/null 2>&1 || :
if [ "$1" -ge 1 ]; then
    systemctl try-restart redis-cross-dc-exporter >/dev/null 2>&1 || :
else
    rmdir --ignore-fail-on-non-empty /etc/redis-cross-dc-exporter 2>/dev/null || :
fi
