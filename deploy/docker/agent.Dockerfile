# An agent in a container, of this checkout:
#   docker build -f deploy/docker/agent.Dockerfile -t sluice-agent .
#   docker run --init -v "$PWD/shop.token:/run/secrets/token:ro" -e AGENT_EDGE=https://tunnel.example.com -e AGENT_SERVICE=shop \
#     -e AGENT_ORIGIN=http://shop:4000 sluice-agent
# The token has to be readable for the user 65532. `docker stop -t 40` leaves room for --grace.
FROM node:24-slim AS build
WORKDIR /src
COPY . .
RUN npm ci --ignore-scripts --no-audit --no-fund
RUN npm pack --silent --pack-destination /tmp

FROM node:24-slim
COPY --from=build /tmp/sluice-*.tgz /tmp/
RUN npm install --global --no-audit --no-fund /tmp/sluice-*.tgz && rm /tmp/sluice-*.tgz && npm cache clean --force && rm -rf /tmp/node-compile-cache
USER 65532:65532
# For the health check, inside; 0.0.0.0:9090 lets a scraper at /metrics too.
ENV AGENT_TOKEN_FILE=/run/secrets/token AGENT_METRICS=127.0.0.1:9090
# For those who look: while the agent dials again, which it does by itself, it is not ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["agent", "ready", "--timeout", "4s"]
ENTRYPOINT ["agent"]
CMD ["connect"]
