# check=skip=all;error=true
FROM --platform=linux/amd64 alpine:3.20 AS all
MAINTAINER somebody
LABEL a="b c" d=e
LABEL old style
ENV A=1 B="two words" C=three\ words
ENV OLD style value
ARG X
ARG Y=1 Z="a b"
USER 1:1
WORKDIR /a b
EXPOSE 80/tcp 443
VOLUME /data /more
VOLUME ["/json"]
STOPSIGNAL 9
SHELL ["/bin/ash", "-c"]
HEALTHCHECK NONE
ADD --chown=1:1 https://example.org/a.tgz /
COPY --link --parents --exclude=*.md a b c/
RUN --network=none true
CMD echo shell form
ENTRYPOINT ["/x", "y"]
