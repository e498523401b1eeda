#!/usr/bin/env bash
# The tests of sources, reasons and plans on a builder as build hosts have it: with 2,000 records of others, and 5 s to list them.
#
#   bash tests/slow-listing.sh                  all of sources, why, plan (half an hour)
#   bash tests/slow-listing.sh sources engine::    those of one kind, and a filter
#   DELAY=30 RECORDS=5000 bash tests/slow-listing.sh …
#
# The builder is the test engine's BuildKit behind a socket that delays one call. Its records are made once and kept: they are cache
# mounts, which the tests' own prunes leave alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
DELAY=${DELAY:-5} RECORDS=${RECORDS:-2000}
WORK=$(mktemp -d) SERVING=

finish() {
  local rc=$?
  trap - EXIT
  [ -z "$SERVING" ] || kill "$SERVING" 2>/dev/null || true
  docker buildx rm -f lt-slow >/dev/null 2>&1 || true
  rm -rf "$WORK"
  exit $rc
}
ENV=$(bash tests/testbed/engine up)
eval "$ENV"
export LAYERTOP_TEST_ENGINE_UP=1
trap finish EXIT

mounts() { docker buildx du --builder default --filter type=exec.cachemount 2>/dev/null | grep -c '^[a-z0-9]\{25\}' || true; }
have=$(mounts)
for ((n = 0; have < RECORDS && n < 100; n++)); do
  { printf 'FROM %s/base/miniconda3:latest\nRUN' "$REGISTRY"
    for i in $(seq 200); do printf ' --mount=type=cache,id=lt-fill-%s-%s,target=/c/%s' "$n" "$i" "$i"; done
    # A mount's id does not count: the same command would be cached, and no mount made.
    printf ' : %s\n' "$n"; } > "$WORK/Dockerfile"
  docker buildx build -q --builder default --network none --output type=cacheonly "$WORK" >/dev/null
  have=$(mounts)
done
echo "slow-listing: the builder has $have cache mounts, and lists its records in $DELAY s" >&2

cargo build --quiet --example slow_builder
"${CARGO_TARGET_DIR:-target}/debug/examples/slow_builder" "${DOCKER_HOST#unix://}" "$WORK/sock" "$DELAY" & SERVING=$!
for _ in $(seq 100); do [ -S "$WORK/sock" ] && break; sleep 0.1; done
docker buildx rm -f lt-slow >/dev/null 2>&1 || true
docker buildx create --name lt-slow --driver remote --platform linux/amd64,linux/arm64 "unix://$WORK/sock" >/dev/null
export LAYERTOP_TEST_BUILDER=lt-slow
if [ $# -gt 0 ]; then
  kind=$1; shift
  cargo test --test engine -- --test-threads 1 "$kind::$*"
else
  cargo test --test engine -- --test-threads 1 sources:: why:: plan::
fi
