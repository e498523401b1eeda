# a comment first, so that what follows is no directive
# escape=`

FROM alpine
RUN echo a # part of the command
  # an indented comment
RUN echo b \
# between
    # and indented
    && echo c
#last
