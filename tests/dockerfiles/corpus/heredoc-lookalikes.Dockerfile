FROM alpine
RUN echo $((1<<4))
RUN ["cat", "<<EOF"]
RUN echo "<<EOF"
RUN cat <<<here
CMD cat <<EOF
ENV A=<<EOF
LABEL x="<<EOF"
RUN echo 'single <<EOF'
