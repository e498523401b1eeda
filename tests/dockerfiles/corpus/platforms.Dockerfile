ARG TARGETARCH
FROM --platform=$BUILDPLATFORM alpine AS tools
RUN echo tools
FROM alpine AS base-amd64
RUN echo amd
FROM alpine AS base-arm64
RUN echo arm
FROM base-${TARGETARCH}
COPY --from=tools /bin/busybox /bb
RUN --mount=type=bind,from=tools,target=/t true
