# docker build --tag c2f .
# docker run --rm --publish 8080:8080 --volume "$PWD/runs:/runs:ro" c2f serve /runs/default-1 --host 0.0.0.0
FROM rust:1-slim-bookworm AS build
WORKDIR /c2f
COPY . .
RUN cargo build --release --locked --package c2f-train && strip target/release/c2f-train

FROM debian:bookworm-slim
COPY --from=build /c2f/target/release/c2f-train /usr/local/bin/
# The home is where what comes from the hub is kept.
RUN useradd --create-home c2f
USER c2f
WORKDIR /home/c2f
ENTRYPOINT ["c2f-train"]
