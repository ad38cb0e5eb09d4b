mkdir -p /etc/redis-cross-dc-exporter
systemctl daemon-reload >/dev/null 2>&1 || :
if [ "$1" -eq 1 ]; then
    cat <<'NEXT'
redis-cross-dc-exporter is installed, and not started. Next:
  redis-cross-dc-exporter init --config.file /etc/redis-cross-dc-exporter/redis-cross-dc-exporter.yml \
      --master HOST:PORT --replica HOST:PORT
  systemctl enable --now redis-cross-dc-exporter
NEXT
fi
