FROM node:20
ONBUILD COPY package.json .
ONBUILD RUN npm install
ONBUILD RUN <<EOF
echo trigger
EOF
ONBUILD ENV A=1
RUN echo now
