FROM alpine
INCLUDE other.Dockerfile
RUN echo a
FOO
RUN echo b
