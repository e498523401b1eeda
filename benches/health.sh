#!/usr/bin/env bash
# What it costs to watch registry, nodes and builder while nothing changes, and how soon the dashboard is left while all of
# them hang.
#
#   bash benches/health.sh
#   LAYERTOP=… bash benches/health.sh      another binary than the one of the profile dist, which is what is handed out
#   SETTLE=240 bash benches/health.sh      seconds before it is measured; 2,000 tags are opened 100 at a time, every 10 s
#   WATCH=30 TAGS=2000 NODES=500 PODS=5000
#
# Targets: ≤ 1 % of a core; ≤ 1 s. The registry and the cluster are its own and end with it; the engine is the test engine,
# whose disk usage has as many records as were left there by whatever was built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 >/dev/null || { echo "health: needs python3" >&2; exit 1; }

[ -n "${LAYERTOP:-}" ] || cargo build --profile dist --quiet
LAYERTOP=$(realpath "${LAYERTOP:-${CARGO_TARGET_DIR:-target}/dist/layertop}")
ENGINE=$(bash tests/testbed/engine env)
eval "$ENGINE"
docker version >/dev/null 2>&1 || { echo "health: no test engine: bash tests/testbed/engine up" >&2; exit 1; }
unset REGISTRY TAG
HERE=$PWD WORK=$(mktemp -d) STARTED=() CLUSTER=
export KUBE_STATE=$WORK/cluster XDG_DATA_HOME=$WORK/data XDG_STATE_HOME=$WORK/state XDG_CONFIG_HOME=$WORK/config

finish() {
  local pid
  for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null || true; done
  [ -z "$CLUSTER" ] || bash "$HERE/tests/testbed/kube/cluster" down || true
  rm -rf "$WORK"
}
trap finish EXIT

project() { # FOLDER REGISTRY BUILDER KUBECONFIG
  mkdir -p "$WORK/$1"
  printf 'FROM scratch\nCOPY Dockerfile /a\n' >"$WORK/$1/Dockerfile"
  cat >"$WORK/$1/layertop.toml" <<T
[image]
registry = "$2"
name = "montage-ai"
tag = "v0001"
platforms = ["linux/amd64", "linux/arm64"]
[build]
builder = "$3"
cache = "buildcache"
[kubernetes]
kubeconfig = "$4"
namespace = "montage-ai"
[kubernetes.registry]
service = "montage-ai-registry"
selector = "app=montage-ai-registry"
port = 5000
T
}

in_pty() { (cd "$WORK/$1" && shift && python3 "$HERE/benches/in_pty.py" --size 160x50 --frame Stack "$@" --keys q -- "$LAYERTOP"); }

at_rest() { # TITLE FOLDER SETTLE
  in_pty "$2" --settle "$3" --idle "${WATCH:-30}" | python3 -c '
import json, sys
run, seconds = json.load(sys.stdin), float(sys.argv[2])
share, peak = run["idle_cpu_ms"] / seconds / 10, run["peak_kb"] / 1000
print(f"{sys.argv[1]}: {share:.2f} % of a core over {seconds:.0f} s (target ≤ 1)")
print("  {idle_bytes} bytes written,".format(**run), f"resident at most {peak:.1f} MB")
' "$1" "${WATCH:-30}"
}

ask_free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# ---- everybody hangs --------------------------------------------------------------------------

mkfifo "$WORK/ports"
mkdir "$WORK/hang"
python3 benches/health_world.py silent "$WORK/hang" >"$WORK/ports" & STARTED+=($!)
read -r HANGING API <"$WORK/ports"
cat >"$WORK/hang/kubeconfig" <<K
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: "http://127.0.0.1:$API"}}]
users: [{name: a, user: {token: a}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
K
project hang "127.0.0.1:$HANGING" default kubeconfig
for settle in 1 12; do
  DOCKER_HOST=unix://$WORK/hang/engine.sock DOCKER_CONFIG=$WORK/none in_pty hang --settle $settle | python3 -c '
import json, sys
print("everybody hangs, left after", sys.argv[1], "s: {quit_ms} ms from q to the end (target ≤ 1000)".format(**json.load(sys.stdin)))
' $settle
done

# ---- everybody is well ------------------------------------------------------------------------

PORT=$(ask_free)
printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$WORK/registry" "$PORT" >"$WORK/registry.yml"
docker-registry serve "$WORK/registry.yml" >/dev/null 2>&1 & STARTED+=($!)
until (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; do read -rt 0.1 <> <(:) || :; done
python3 benches/health_world.py tags "127.0.0.1:$PORT" 3
CLUSTER=1
bash tests/testbed/kube/cluster up >/dev/null
bash tests/testbed/kube/cluster seed
project well "127.0.0.1:$PORT" multiarch-builder "$KUBE_STATE/kubeconfig"
RECORDS=$(docker buildx du --builder multiarch-builder --format '{{.ID}}' | wc -l)
at_rest "3 tags, 3 nodes, $RECORDS records of disk usage" well 15

python3 benches/health_world.py tags "127.0.0.1:$PORT" "${TAGS:-2000}"
at_rest "${TAGS:-2000} tags, 3 nodes, $RECORDS records, settled for ${SETTLE:-30} s" well "${SETTLE:-30}"
python3 benches/health_world.py cluster "$KUBE_STATE/kubeconfig" "${NODES:-500}" "${PODS:-5000}"
at_rest "${TAGS:-2000} tags, ${NODES:-500} nodes, ${PODS:-5000} pods, $RECORDS records, settled for ${SETTLE:-30} s" well "${SETTLE:-30}"
[ "$RECORDS" -ge 20000 ] || echo "the test engine has $RECORDS records of disk usage; each cache mount is one: 50 RUNs with 400 each make 20,000 in 5 min"
