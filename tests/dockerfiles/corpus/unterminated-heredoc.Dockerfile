FROM alpine
RUN echo ok
RUN <<EOF
echo 1
EOF2
