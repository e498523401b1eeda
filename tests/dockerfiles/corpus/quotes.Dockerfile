FROM alpine
RUN echo "a \
  b" 'c \
  d'
RUN echo 'it'"'"'s' && echo "say \"hi\""
RUN sh -c "echo \$HOME"
RUN echo after
COPY ["a b", "c,d", "/e f/"]
ENV A='single $X' B="double $X"
