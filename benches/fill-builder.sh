#!/usr/bin/env bash
# Fills the test engine's BuildKit with records of others, until it has so many: half results of steps, half cache mounts.
#
#   bash benches/fill-builder.sh 5000
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
WANTED=$1
[ -n "${REGISTRY:-}" ] || { ENV=$(bash tests/testbed/engine env); eval "$ENV"; }
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
echo x > "$WORK/a"
count() { docker buildx du --builder default | grep -c '^[a-z0-9]\{25\}' || true; }
have=$(count)
for ((n = 0; have < WANTED && n < 400; n++)); do
  name=$have-$n
  { printf 'FROM %s/base/miniconda3:latest\nRUN' "$REGISTRY"
    for i in $(seq 50); do printf ' --mount=type=cache,id=lt-fill-%s-%s,target=/c/%s' "$name" "$i" "$i"; done
    printf ' : %s\n' "$name" # a mount's id does not count: the same command would be cached, and no mount made
    for i in $(seq 50); do printf 'WORKDIR /fill/%s/%s\n' "$name" "$i"; done; } > "$WORK/Dockerfile"
  docker buildx build -q --builder default --network none --output type=cacheonly "$WORK" >/dev/null
  have=$((have + 100))
  ((n % 5 < 4 && have < WANTED)) || have=$(count)
done
echo "fill-builder: the builder has $(count) records" >&2
