# syntax=docker/dockerfile:1
# The server as an image: one binary, no shell, no package manager, not root.
#
# The base images are named by tag. Pin both by digest (image:tag@sha256:…) at a release, so that
# the same source gives the same image.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# Queries are checked against .sqlx, so no database is needed here. The caches stay out of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin paraplanner \
    && cp target/release/paraplanner /paraplanner

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /paraplanner /usr/local/bin/paraplanner
COPY LICENSE /usr/share/doc/paraplanner/LICENSE
# The embedded database is for a desk: it isn't in this image, so DATABASE_URL is needed. Nothing
# is written to the file system (the demo's invented book apart, which needs /tmp): run it
# read-only. There is no HEALTHCHECK because there is no shell or client to make one with: let the
# platform ask GET /ready.
ENV APP_ENV=production \
    BIND_ADDRESS=0.0.0.0 \
    PORT=8000 \
    LOG_FORMAT=json
EXPOSE 8000
STOPSIGNAL SIGTERM
USER nonroot:nonroot
ENTRYPOINT ["/usr/local/bin/paraplanner"]
