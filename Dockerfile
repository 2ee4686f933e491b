# docker build -t sluice . ; docker run -p 8080:8080 -v "$PWD/conf/config.yaml:/etc/sluice/config.yaml:ro" sluice
# Reload: docker kill -s HUP. Stop: docker stop, which drains.

FROM debian:12-slim AS build
WORKDIR /src
COPY scripts/install-packages scripts/
RUN scripts/install-packages build
COPY . .
RUN make && make install DESTDIR=/out PREFIX=/usr && strip /out/usr/bin/sluice

FROM debian:12-slim
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends libyaml-0-2 libssl3 libhiredis0.14 curl \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 sluice \
 && useradd --system --uid 10001 --gid sluice --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sluice
COPY --from=build /out/usr/bin/sluice /usr/bin/sluice
COPY --from=build --chown=root:sluice /out/etc/sluice /etc/sluice
USER sluice
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/health"]
ENTRYPOINT ["/usr/bin/sluice"]
CMD ["/etc/sluice/config.yaml"]
