# The edge in a container, of this checkout:
#   docker build -f deploy/docker/edge.Dockerfile -t sluice-edge .
#   docker run --init -p 127.0.0.1:8787:8787 -v "$PWD/tunnel.secret:/run/secrets/tunnel.secret:ro" sluice-edge
# The secret has to be readable for the user 65532. `docker stop -t 30` leaves room for --drain.
FROM node:24-slim AS build
WORKDIR /src
COPY . .
RUN npm ci --ignore-scripts --no-audit --no-fund
RUN npm pack --silent --pack-destination /tmp

FROM node:24-slim
COPY --from=build /tmp/sluice-*.tgz /tmp/
RUN npm install --global --no-audit --no-fund /tmp/sluice-*.tgz workerd@1.20261117.1 && rm /tmp/sluice-*.tgz && npm cache clean --force && rm -rf /tmp/node-compile-cache
USER 65532:65532
EXPOSE 8787
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["node", "-e", "fetch('http://127.0.0.1:8787/').then((answer) => process.exit(answer.headers.has('sluice-error') ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["agent"]
CMD ["edge", "--host", "0.0.0.0", "--port", "8787", "--secret-file", "/run/secrets/tunnel.secret"]
