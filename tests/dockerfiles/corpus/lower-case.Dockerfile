from alpine as Builder
run apk add curl
copy . /src
from scratch
copy --from=builder /src /
