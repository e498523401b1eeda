# syntax=docker/dockerfile:1.4
FROM alpine
RUN <<EOF
apk add curl
echo "FROM inside"
EOF
RUN <<-EOF
	echo tabs
	EOF
COPY <<EOF /etc/motd
hello
EOF
COPY <<one <<two /etc/
1
one
2
two
RUN echo after
