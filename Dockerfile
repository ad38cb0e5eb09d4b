# A static binary in an empty image. The build stage runs on the platform that it builds for, so the same lines serve
# amd64 and arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=0.1.0 \
#     --build-arg REVISION="$(git rev-parse HEAD)" --build-arg DATE="$(git log -1 --format=%cd --date=format:%Y-%m-%d)" .
# Run it (docs/install.md has more):
#   docker run --read-only --cap-drop=ALL -p 127.0.0.1:10121:10121 -v "$PWD/config:/etc/redis-cross-dc-exporter:ro" \
#     -v redis-cross-dc-exporter:/var/lib/redis-cross-dc-exporter IMAGE

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The build has no git: the commit comes from outside.
ARG REVISION
ARG DATE
ENV BUILD_REVISION=$REVISION BUILD_DATE=$DATE
# Without the demo and its laboratory.
ENV CARGO_FLAGS="--no-default-features --features=exporter"
RUN mkdir -p /out/etc/ssl/certs /out-state \
    && cp "$(.ci/build-static)" /out/redis-cross-dc-exporter \
    && cp LICENSE /out/LICENSE \
    && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt \
    && echo 'nonroot:x:65532:65532::/:/nonexistent' >/out/etc/passwd \
    && echo 'nonroot:x:65532:' >/out/etc/group \
    && echo 'hosts: files dns' >/out/etc/nsswitch.conf

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
# The day of the commit, so that the same commit gives the same image.
ARG DATE=1970-01-01
# Where it is published: as in Cargo.toml.
LABEL org.opencontainers.image.title="redis-cross-dc-exporter" \
      org.opencontainers.image.description="Prometheus exporter and alerter that tells the truth about Redis replication across datacenters" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The authors of redis-cross-dc-exporter" \
      org.opencontainers.image.authors="The maintainers of redis-cross-dc-exporter <maintainers@example.com>" \
      org.opencontainers.image.url="https://example.com/redis-cross-dc-exporter" \
      org.opencontainers.image.source="https://example.com/redis-cross-dc-exporter" \
      org.opencontainers.image.documentation="https://example.com/redis-cross-dc-exporter/docs" \
      org.opencontainers.image.created="${DATE}T00:00:00Z" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/ /
COPY --from=build --chown=65532:65532 /out-state/ /var/lib/redis-cross-dc-exporter/
USER 65532:65532
# The lag history; a volume of its own, so that the root can be read-only.
ENV REDIS_CROSS_DC__STATE__PATH=/var/lib/redis-cross-dc-exporter
VOLUME /var/lib/redis-cross-dc-exporter
EXPOSE 10121
STOPSIGNAL SIGTERM
# It asks on loopback, over HTTPS where that is spoken; who gives --web.listen-address gives it to the health check, too.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
    CMD ["/redis-cross-dc-exporter", "healthcheck", "--config.file=/etc/redis-cross-dc-exporter/redis-cross-dc-exporter.yml"]
ENTRYPOINT ["/redis-cross-dc-exporter"]
CMD ["--config.file=/etc/redis-cross-dc-exporter/redis-cross-dc-exporter.yml"]
