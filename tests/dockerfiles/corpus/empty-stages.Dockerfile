FROM alpine AS a
FROM a AS b
FROM b
FROM scratch AS d
