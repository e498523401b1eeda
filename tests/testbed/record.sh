#!/usr/bin/env bash
# Makes tests/recordings/*.jsonl on the test engine: what buildx writes to stderr with --progress=rawjson, untouched.
#
#   bash tests/testbed/record.sh           all of them
#   bash tests/testbed/record.sh fail …    only those
#
# It starts the test engine where it is down and leaves it running. It PRUNES the builder's cache and deletes images of
# that engine, so it refuses to work on a Docker that was there before (LAYERTOP_TEST_ENGINE=existing).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '%s\n' "record: $*" >&2; }
die() { say "$@"; exit 1; }
[ "${LAYERTOP_TEST_ENGINE:-}" != existing ] || die "prunes, so it works on the project's own test engine only"
command -v python3 >/dev/null || die "needs python3, for expect.py"

ENV=$(bash tests/testbed/engine up) || die "the test engine does not start"
eval "$ENV"
TOP=$PWD
OUT=$TOP/tests/recordings
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mkdir -p "$OUT"
BUILDER=multiarch-builder
BASE=$REGISTRY/base/miniconda3:latest
IMAGE=$REGISTRY/recordings/montage-ai
BOTH=linux/amd64,linux/arm64

# ---- tools ------------------------------------------------------------------------------------

history_refs() { docker buildx history ls --builder $BUILDER --format '{{.Ref}} {{.Status}}' 2>/dev/null || true; }

# BuildKit's own counts of the builds that were not there before ($1: the refs that were).
new_records() {
  local ref list=()
  for _ in 1 2 3 4 5 6 7 8 9 10; do # a cancelled build is closed a moment after its client
    history_refs | grep -qi running || break
    sleep 0.3
  done
  while read -r ref _; do
    grep -qF -- "$ref" <<<"$1" || list+=("$(docker buildx history inspect --builder $BUILDER --format json "${ref##*/}" |
      python3 -c 'import json,sys; r=json.load(sys.stdin); print(json.dumps({"total": r.get("NumTotalSteps", 0), "cached": r.get("NumCachedSteps", 0), "completed": r.get("NumCompletedSteps", 0), "status": r.get("Status")}))')")
  done < <(history_refs | sort -u)
  local IFS=,; echo "[${list[*]}]"
}

NAME='' BEFORE=''
begin() { NAME=$1; BEFORE=$(history_refs); }
finish() { # EXIT
  local records; records=$(new_records "$BEFORE")
  python3 tests/testbed/expect.py "$OUT" "$NAME.jsonl" "$1" "$records" || die "$NAME: the two counts differ"
  printf '%-18s exit %-3s %6s KB  %s\n' "$NAME" "$1" "$(($(wc -c < "$OUT/$NAME.jsonl") / 1024))" "$records" >&2
}

# record NAME FOLDER ARGS…: one `docker buildx build` in FOLDER.
record() {
  local dir=$2 rc=0; begin "$1"; shift 2
  (cd "$dir" && exec docker buildx build --builder $BUILDER --progress=rawjson --metadata-file "$WORK/meta.json" "$@" .) \
    >/dev/null 2>"$OUT/$NAME.jsonl" || rc=$?
  finish $rc
}
quiet() { "$@" >"$WORK/quiet.log" 2>&1 || { tail -n 20 "$WORK/quiet.log" >&2; die "failed: $*"; }; }

folder() { # NAME, Dockerfile on stdin: a fresh build context
  rm -rf "${WORK:?}/$1"; mkdir -p "$WORK/$1"; cat > "$WORK/$1/Dockerfile"; echo "$WORK/$1"
}

prune() { # nothing local is left: neither the cache nor the images' blobs
  docker image ls --format '{{.Repository}}:{{.Tag}}' | { grep -v buildkit-bridge || true; } | xargs -r docker image rm -f >/dev/null 2>&1 || true
  quiet docker buildx prune --builder $BUILDER -af
}

forget() { # REPOSITORY TAG: no such thing in the registry any more
  local digest
  digest=$(curl -sI -H 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json' \
    "http://$REGISTRY/v2/$1/manifests/$2" | tr -d '\r' | awk 'tolower($1) == "docker-content-digest:" {print $2}')
  [ -z "$digest" ] || curl -fsS -o /dev/null -X DELETE "http://$REGISTRY/v2/$1/manifests/$digest"
}

# ---- the stack of examples/montage-ai ---------------------------------------------------------

STACK=$WORK/stack
stack_args=(-f Dockerfile.testbed --build-arg BUILDKIT_INLINE_CACHE=1 --build-arg "REGISTRY=$REGISTRY"
  --cache-from "type=registry,ref=$IMAGE:buildcache" --cache-to "type=registry,ref=$IMAGE:buildcache,mode=max" --push -t "$IMAGE:latest")
both=(--platform "$BOTH")   # a second --platform would add to the first, not replace it
stack_source() { rm -rf "$STACK"; cp -r examples/montage-ai "$STACK"; }
stack_built() { # locally and in the registry
  stack_source
  (cd "$STACK" && quiet docker buildx build --builder $BUILDER "${both[@]}" "${stack_args[@]}" .)
}

rec_first() { stack_source; prune; forget recordings/montage-ai buildcache; record first "$STACK" "${both[@]}" "${stack_args[@]}"; }
rec_nochange() { stack_built; record nochange "$STACK" "${both[@]}" "${stack_args[@]}"; }
rec_code() { stack_built; echo "# $RANDOM" >> "$STACK/src/montage_ai/editor.py"; record code "$STACK" "${both[@]}" "${stack_args[@]}"; }
rec_req() { stack_built; echo "rich==13.9.$RANDOM" >> "$STACK/requirements.txt"; record req "$STACK" "${both[@]}" "${stack_args[@]}"; }
rec_registry-only() { stack_built; prune; record registry-only "$STACK" "${both[@]}" "${stack_args[@]}"; }
# Every layer is a hit from the registry, and fetched only because the changed step needs them.
rec_cache-pull() { stack_built; prune; echo "# $RANDOM" >> "$STACK/src/montage_ai/editor.py"; record cache-pull "$STACK" "${both[@]}" "${stack_args[@]}"; }
rec_no-cache() { stack_built; record no-cache "$STACK" "${both[@]}" "${stack_args[@]}" --no-cache; }
rec_arm64() { stack_source; echo "# $RANDOM" >> "$STACK/pyproject.toml"; record arm64 "$STACK" --platform linux/arm64 "${stack_args[@]}"; }
rec_registry-down() { # nothing listens on port 1
  stack_built
  record registry-down "$STACK" --platform linux/amd64 -f Dockerfile.testbed --build-arg "REGISTRY=$REGISTRY" \
    --cache-from type=registry,ref=127.0.0.1:1/montage-ai:buildcache --cache-to type=registry,ref=127.0.0.1:1/montage-ai:buildcache,mode=max
}
rec_cancelled() { stop_in_the_middle cancelled kill -INT; }
rec_hangup() { stop_in_the_middle hangup kill -HUP; }
kill_builder() { quiet docker kill "buildx_buildkit_${BUILDER}0"; }
rec_builder-lost() { stop_in_the_middle builder-lost kill_builder; quiet docker buildx inspect --bootstrap $BUILDER; }
stop_in_the_middle() { # NAME COMMAND…: while the conda layer runs; the command is given the client's process id
  stack_source; begin "$1"; shift
  (cd "$STACK" && exec docker buildx build --builder $BUILDER --progress=rawjson --metadata-file "$WORK/meta.json" --no-cache \
    "${both[@]}" "${stack_args[@]}" .) >/dev/null 2>"$OUT/$NAME.jsonl" &
  local pid=$! rc=0
  for _ in $(seq 1 300); do
    # "Executing" in base64, at each of the three places where it may stand.
    ! grep -qE 'RXhlY3V0aW|V4ZWN1dGlu|FeGVjdXRpbm' "$OUT/$NAME.jsonl" || break
    kill -0 $pid 2>/dev/null || break
    sleep 0.1
  done
  "$@" $pid; wait $pid 2>/dev/null || rc=$?
  finish $rc
}

# ---- one kind each ----------------------------------------------------------------------------

rec_fail() {
  local d; d=$(folder fail <<E
FROM $BASE
WORKDIR /app
COPY requirements.txt .
RUN echo "Collecting numpy==9.9.9" && echo "ERROR: No matching distribution found for numpy==9.9.9" >&2 && exit 1
COPY src/ src/
E
  ); mkdir "$d/src"; echo numpy==9.9.9 > "$d/requirements.txt"; echo x > "$d/src/x"
  record fail "$d"
}
rec_fail-one-platform() { # the other one is cancelled in its middle
  local d; d=$(folder fail1 <<E
FROM $BASE
ARG TARGETARCH
RUN echo "building for \$TARGETARCH $RANDOM"; sleep 1; [ "\$TARGETARCH" = amd64 ] || { echo "no wheel for \$TARGETARCH" >&2; exit 3; }; sleep 20
RUN echo never
E
  ); record fail-one-platform "$d" --platform $BOTH
}
rec_warnings() {
  local d; d=$(folder warnings <<E
from $BASE as Base
ENV LEGACY value
MAINTAINER someone
RUN echo one
FROM base
ARG NPM_TOKEN
RUN echo two $RANDOM
CMD echo shell form
E
  ); record warnings "$d"
}
rec_multistage() {
  local d; d=$(folder multistage <<E
FROM $BASE AS tools
RUN --mount=type=cache,target=/cache <<EOT
echo heredoc one $RANDOM
ls /cache
date > /cache/stamp
EOT

FROM --platform=\$BUILDPLATFORM $BASE AS cross
ARG TARGETARCH
RUN echo "cross-compiling for \$TARGETARCH on \$(uname -m) $RANDOM" && echo "\$TARGETARCH" > /out

FROM $BASE AS deps
RUN sleep 1 && dd if=/dev/urandom of=/deps bs=1M count=2

FROM deps AS unused
RUN echo never seen

FROM scratch AS final
COPY --from=tools /bin/ /bin/
COPY --link --from=deps /deps /deps
COPY --from=cross /out /out
COPY <<EOF /etc/motd
written by a heredoc
EOF
ENV PATH=/bin
RUN printf 'a\033[31mred\033[0m \033[1;4;38;5;208mbold\033[22;24;39m \033[48;2;10;20;30mblue\033[m\n'
RUN printf 'evil\033]0;pwned\007 \033[2J\033[H title\n' && printf '\033]8;;http://evil.example/\033\\\\link\033]8;;\033\\\\ \033P1\$r\033\\\\ \033_apc\033\\\\\n' \
 && printf 'c1 \302\2332J \233 invalid \377\376 bell \007 bs x\010y nul \000 vt \013 ff \014 tab\tend\n' \
 && printf 'bidi \342\200\256evil\342\200\254 zwsp a\342\200\213b tag \363\240\201\201 bom \357\273\277.\n' && printf 'open \033]52;c;cHduZWQ=' && sleep 0.2 && printf ' still\nafter\n' \
 && printf 'wide \346\274\242\345\255\227 \360\237\221\251\342\200\215\360\237\222\273 split \342' && sleep 0.2 && printf '\224\201 done\r\n'
E
  ); record multistage "$d" --platform $BOTH
}
rec_target() { # a middle stage; the last one is not in the stream at all
  local d; d=$(folder target <<E
FROM $BASE AS deps
RUN echo deps $RANDOM
FROM deps AS test
RUN echo tests ok
FROM test AS release
RUN echo never
E
  ); record target "$d" --target test
}
rec_mode-min() { # a cache with the last stage only: what that one copied from is said to be cached too, and is nowhere
  local d ref=$REGISTRY/recordings/min:cache; d=$(folder mode-min <<E
FROM $BASE AS heavy
RUN echo compiling $RANDOM; sleep 1; echo done > /result
RUN echo stripping
FROM $BASE
COPY --from=heavy /result /result
RUN cat /result
E
  ); (cd "$d" && quiet docker buildx build --builder $BUILDER --cache-to "type=registry,ref=$ref,mode=min" .)
  prune
  record mode-min "$d" --cache-from "type=registry,ref=$ref"
}
rec_flood() {
  local d; d=$(folder flood <<E
FROM $BASE
RUN echo $RANDOM; seq 1 60000 | sed 's/.*/line & of a flood of lines/'; echo the end
E
  ); record flood "$d"
}
rec_carriage-returns() {
  local d; d=$(folder cr <<E
FROM $BASE
RUN echo $RANDOM; bar=; for i in \$(seq 1 25); do bar="\$bar━"; printf '\r     \033[38;5;197m%s\033[0m %d/25 MB' "\$bar" "\$i"; sleep 0.04; done; echo; \
    printf 'dos line\r\nlong old text\rnew\n'; printf 'no newline at the end'
RUN for i in 1 2 3; do printf 'half a character \342'; sleep 0.1; printf '\224\201\r'; sleep 0.1; done
E
  ); record carriage-returns "$d"
}
rec_bake() {
  local d rc=0; d=$(folder bake <<E
FROM $BASE AS app
RUN sleep 1; echo app $RANDOM
FROM $BASE AS worker
RUN sleep 1; echo worker $RANDOM
RUN echo w2
E
  ); cat > "$d/docker-bake.hcl" <<'E'
group "default" { targets = ["app", "worker"] }
target "app" {
  target = "app"
  platforms = ["linux/amd64", "linux/arm64"]
}
target "worker" { target = "worker" }
E
  begin bake
  (cd "$d" && exec docker buildx bake --builder $BUILDER --progress=rawjson --metadata-file "$WORK/meta.json") >/dev/null 2>"$OUT/bake.jsonl" || rc=$?
  finish $rc
}
# The values are invented; a program that shows or stores this stream must mask them.
rec_secret() {
  local d; d=$(folder secret <<E
FROM $BASE
ARG GITHUB_TOKEN
RUN --mount=type=secret,id=pip echo "index-url = \$(cat /run/secrets/pip)"; echo "token \$GITHUB_TOKEN $RANDOM"; printf 'half: ghp_inventedInv'; sleep 0.2; echo entedInvented00000000
RUN --mount=type=secret,id=pip printf 'basic %s\n' "\$(printf '%s' "\$GITHUB_TOKEN" | base64)"
E
  )
  INVENTED_PIP=https://someone:hunter2-invented@pypi.example/simple GITHUB_TOKEN=ghp_inventedInventedInvented00000000 \
    record secret "$d" --build-arg GITHUB_TOKEN --secret id=pip,env=INVENTED_PIP
}
rec_parse-error() {
  local d; d=$(folder parse <<E
FROM $BASE
RUNN echo typo
E
  ); record parse-error "$d"
}
rec_no-dockerfile() { local d; d=$(folder nothing </dev/null); rm "$d/Dockerfile"; record no-dockerfile "$d"; }
rec_base-missing() {
  local d; d=$(folder missing <<E
FROM $REGISTRY/base/no-such-image:latest
RUN echo never
E
  ); record base-missing "$d"
}
rec_base-pull() { # a base with layers of its own, and nothing of it here
  local d; d=$(folder fat <<E
FROM $BASE
RUN dd if=/dev/urandom of=/a bs=1M count=24
RUN dd if=/dev/urandom of=/b bs=1M count=48
E
  ); quiet docker buildx build --builder $BUILDER --platform $BOTH --push -t "$REGISTRY/recordings/fat:latest" "$d"
  prune
  d=$(folder base-pull <<E
FROM $REGISTRY/recordings/fat:latest
RUN ls -l /a /b
E
  ); record base-pull "$d" --platform $BOTH
}
rec_builder-broken() { # its image can't be had, so buildx fails before BuildKit is there
  local d rc=0; d=$(folder broken <<<"FROM $BASE")
  quiet docker buildx create --name recordings-broken --driver docker-container --driver-opt image=127.0.0.1:1/no/such:image
  begin builder-broken
  (cd "$d" && exec docker buildx build --builder recordings-broken --progress=rawjson .) >/dev/null 2>"$OUT/builder-broken.jsonl" || rc=$?
  quiet docker buildx rm -f recordings-broken
  finish $rc
}

ALL=(first nochange code req registry-only cache-pull no-cache arm64 registry-down cancelled hangup builder-lost fail fail-one-platform warnings
  multistage target mode-min flood carriage-returns bake secret parse-error no-dockerfile base-missing base-pull builder-broken)
[ $# -gt 0 ] || set -- "${ALL[@]}"
for name in "$@"; do
  declare -F "rec_$name" >/dev/null || die "no recording is called $name; there are ${ALL[*]}"
  "rec_$name"
done
# The paths of the machine that recorded are nobody's business.
! grep -lF -e "$WORK" -e "$TOP" -e "${DOCKER_CONFIG%/*}" "$OUT"/*.jsonl || die "the recordings above carry paths of this machine"
