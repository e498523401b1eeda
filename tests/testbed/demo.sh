#!/usr/bin/env bash
# Makes the recordings that `layertop demo` plays: the four rows of Montage AI's table, built by this program on the test
# engine, whose cache is pruned for it.
#
#   bash tests/testbed/demo.sh          writes assets/demo/*.jsonl.zst
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
eval "$(bash "$here/engine" up)"
cargo build --release --manifest-path "$top/Cargo.toml"
layertop=${CARGO_TARGET_DIR:-$top/target}/release/layertop

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$top/examples/montage-ai" "$work/montage-ai"
cd "$work/montage-ai"
export REGISTRY TAG=my-feature XDG_DATA_HOME=$work/data

# Nothing in the builder and nothing in the registry: a first build.
docker image ls --format '{{.Repository}}:{{.Tag}}' | grep "^$REGISTRY/" | grep -v /testbed/ | xargs -r docker image rm --force >/dev/null
docker buildx --builder multiarch-builder prune -af >/dev/null
digest=$(curl -fsSI -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
  "http://$REGISTRY/v2/montage-ai/manifests/buildcache" 2>/dev/null | tr -d '\r' | awk 'tolower($1) == "docker-content-digest:" {print $2}') || true
[ -z "${digest:-}" ] || curl -fsS -X DELETE "http://$REGISTRY/v2/montage-ai/manifests/$digest"

# Each build is compared with those before it, so their recordings stay.
build() { # NAME
  "$layertop" build --progress quiet -- -f Dockerfile.testbed --build-arg REGISTRY="$REGISTRY"
  mkdir -p "$top/assets/demo"
  install -m 644 "$(ls -t "$XDG_DATA_HOME"/layertop/recordings/*.jsonl.zst | head -n 1)" "$top/assets/demo/$1.jsonl.zst"
  echo "assets/demo/$1.jsonl.zst"
}

build first
echo "# a change" >> src/montage_ai/__init__.py
build code
echo "requests-toolbelt==1.0.0" >> requirements.txt
build requirements
build unchanged
