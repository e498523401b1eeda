FROM alpine
RUN cat <<EOF > /x
FROM not a stage
EOF
RUN cat <<A - <<B
a
A
b
B
RUN python3 <<EOF && echo done
print("RUN me not")
EOF
COPY --chmod=755 <<"EOS" /usr/bin/x
#!/bin/sh
COPY "$1"
EOS
RUN echo last
