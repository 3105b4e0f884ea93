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
RUN npm install --global --no-audit --no-fund /tmp/sluice-*.tgz && rm /tmp/sluice-*.tgz && npm cache clean --force
USER 65532:65532
ENV AGENT_TOKEN_FILE=/run/secrets/token
ENTRYPOINT ["agent"]
CMD ["connect"]
