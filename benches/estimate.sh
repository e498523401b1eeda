#!/usr/bin/env bash
# How good the estimate of time left is, half-way through real builds. Target: a median error of at most 20 %.
#
#   bash benches/estimate.sh                 makes 37 builds on the test engine (about 15 minutes), then judges them
#   bash benches/estimate.sh FOLDER          the recordings of layertop in FOLDER; made where there is no such folder
#   LAYERTOP=… bash benches/estimate.sh      another binary than the one of a debug build
#   SCALE=1 bash benches/estimate.sh         shorter steps; what goes on beside counts for more then
#   PROFILE=release bash benches/estimate.sh what benches/estimate.rs is compiled with; nothing of it is about speed
#
# The builds are those of a working day, in an order that is always the same: code changes, new requirements, another base
# image, nothing new, without cache, one platform only, a step that fails and is mended. Their steps sleep, compute and write;
# none takes the same time twice. Each build is then judged by what all others say of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "estimate: $*" >&2; }
die() { say "$@"; exit 1; }

KEPT=${1:-}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
RECORDINGS=${KEPT:-$WORK/recordings}
PROFILE=${PROFILE:-dev}

record() {
  local env; env=$(bash tests/testbed/engine up) || die "the test engine does not start"
  eval "$env"
  unset TAG PLATFORMS
  if [ -z "${LAYERTOP:-}" ]; then
    cargo build --locked --quiet
    LAYERTOP=$PWD/target/debug/layertop
  fi
  export XDG_DATA_HOME=$WORK/data REGISTRY
  # A name of its own: nothing of it is in anybody's cache yet.
  local image; image=$REGISTRY/estimate/app-$$
  local both=linux/amd64,linux/arm64
  mkdir -p "$WORK/app/src" "$WORK/base"
  cd "$WORK/app"
  for base in 1 2; do
    printf 'FROM %s/base/miniconda3:latest\nRUN dd if=/dev/urandom of=/base.bin bs=1M count=2 2>/dev/null\nENV BASE=%s\n' \
      "$REGISTRY" "$base-$$" > "$WORK/base/Dockerfile"
    docker buildx build --quiet --builder multiarch-builder --platform $both --push \
      -t "$image:base-$base" "$WORK/base" >/dev/null
  done
  # noisy SECONDS: about so long, a fifth of it by chance, a tenth at work.
  cat > noisy <<'NOISY'
#!/bin/sh
n=$(od -An -N2 -tu2 /dev/urandom)
head -c "$(($1 * 400000))" /dev/urandom | gzip -9 > /dev/null
awk -v s="$1" -v n="$n" 'BEGIN { printf "%.3f", SCALE * s * (0.85 + 0.25 * n / 65536) }' | xargs sleep
NOISY
  sed -i "s/SCALE/${SCALE:-2.5}/; s/400000/$(awk -v s="${SCALE:-2.5}" 'BEGIN { print int(400000 * s) }')/" noisy
  chmod +x noisy
  cat > Dockerfile <<'DOCKERFILE'
ARG BASE
FROM ${BASE}
WORKDIR /app
COPY noisy /bin/noisy
RUN noisy 3 && echo apt-get install && dd if=/dev/urandom of=/apt.bin bs=1M count=10 2>/dev/null
RUN noisy 2 && echo npm install && dd if=/dev/urandom of=/node.bin bs=1M count=3 2>/dev/null
RUN noisy 4 && echo conda install && dd if=/dev/urandom of=/conda.bin bs=1M count=12 2>/dev/null
COPY requirements.txt .
RUN noisy 5 && echo pip install && ! grep broken requirements.txt && dd if=/dev/urandom of=/pip.bin bs=1M count=8 2>/dev/null
COPY pyproject.toml .
RUN noisy 1 && echo editable
COPY src/ src/
RUN noisy 2 && echo compile
DOCKERFILE
  echo numpy > requirements.txt; echo name > pyproject.toml; echo one > src/main.py
  local base=1 platforms=$both number=0 args=() kind
  for kind in first code code code unchanged requirements code code project no-cache code unchanged base code code requirements \
    amd64 amd64-code code arm64 code broken mended code unchanged no-cache code requirements code base project code unchanged code \
    amd64-code requirements code; do
    number=$((number + 1)) platforms=$both args=()
    case $kind in
      code) echo "$number" > src/main.py ;;
      requirements) echo "numpy $number" > requirements.txt ;;
      project) echo "name $number" > pyproject.toml ;;
      base) base=$((3 - base)) ;;
      no-cache) args=(--no-cache) ;;
      amd64 | arm64) platforms=linux/$kind; echo "$kind $number" > requirements.txt ;;
      amd64-code) platforms=linux/amd64; echo "$number" > src/main.py ;;
      broken) echo "broken $number" > requirements.txt ;;
      mended) echo "mended $number" > requirements.txt ;;
    esac
    printf '%2d %s\n' "$number" "$kind" >&2
    "$LAYERTOP" build --progress quiet -- --builder multiarch-builder --platform "$platforms" --push -t "$image:latest" \
      --cache-from "type=registry,ref=$image:buildcache" --cache-to "type=registry,ref=$image:buildcache,mode=max" \
      --build-arg "BASE=$image:base-$base" "${args[@]}" . || say "build $number failed"
  done
  cd - >/dev/null
  mkdir -p "$RECORDINGS"
  cp "$XDG_DATA_HOME"/layertop/recordings/*.jsonl.zst "$RECORDINGS"
}

[ -d "$RECORDINGS" ] || record
cargo bench --locked --quiet --profile "$PROFILE" --bench estimate -- "$(realpath "$RECORDINGS")"
