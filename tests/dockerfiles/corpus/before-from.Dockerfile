ARG A=1
RUN echo too early
ARG B
FROM alpine:$A
RUN echo a
