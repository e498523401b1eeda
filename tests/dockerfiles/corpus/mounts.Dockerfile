FROM alpine
RUN --mount=type=secret,id=tok,target=/run/tok --mount=type=ssh \
    --mount="type=cache,target=/c,id=a b" \
    cat /run/tok
RUN --mount=type=tmpfs,target=/tmp true
