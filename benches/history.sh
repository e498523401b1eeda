#!/usr/bin/env bash
# How soon the history answers with 10,000 builds in it, kept by layertop's own way of keeping them.
#
#   bash benches/history.sh
#   LAYERTOP=… BUILDS=10000 RUNS=15 bash benches/history.sh
#
# Targets: `history` ≤ 50 ms, `stats` ≤ 150 ms, the dashboard's first full frame ≤ 100 ms.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 >/dev/null || { echo "history: needs python3" >&2; exit 1; }

[ -n "${LAYERTOP:-}" ] || cargo build --release --quiet
LAYERTOP=$(realpath "${LAYERTOP:-${CARGO_TARGET_DIR:-target}/release/layertop}")
BUILDS=${BUILDS:-10000} RUNS=${RUNS:-15} HERE=$PWD WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export XDG_DATA_HOME=$WORK/data XDG_STATE_HOME=$WORK/state XDG_CONFIG_HOME=$WORK/config
unset REGISTRY TAG PLATFORMS
IMAGE=registry.invalid:5000/montage-ai

mkdir -p "$WORK/data/layertop" "$WORK/project"
cargo bench --quiet --profile "${PROFILE:-release}" --bench history -- fill "$WORK/data/layertop/history.db" "$BUILDS" "$IMAGE:latest"
cp examples/montage-ai/Dockerfile "$WORK/project/"
printf 'profile = "montage-ai"\n[image]\nregistry = "registry.invalid:5000"\nname = "montage-ai"\n[health]\nwatch = false\n' >"$WORK/project/layertop.toml"
cd "$WORK/project"

timed() { # TARGET WORDS…
  python3 - "$RUNS" "$LAYERTOP" "$@" <<'PYTHON'
import statistics, subprocess, sys, time
runs, program, target, *words = sys.argv[1:]
times = []
for _ in range(int(runs)):
    begun = time.perf_counter()
    out = subprocess.run([program, *words], check=True, capture_output=True).stdout
    times.append((time.perf_counter() - begun) * 1000)
    assert out.count(b"\n") > 2, out
times.sort()
print(f"layertop {' '.join(words)}: {statistics.median(times):.1f} ms (least {times[0]:.1f}, most {times[-1]:.1f}, {runs} runs; target ≤ {target})")
PYTHON
}

timed 50 history
timed 50 history --image montage-ai --limit 100
timed 150 stats
for _ in $(seq "$RUNS"); do
  python3 "$HERE/benches/in_pty.py" --size 120x40 --frame Stack --keys q -- "$LAYERTOP"
done | python3 -c '
import json, statistics, sys
times = sorted(json.loads(line)["first_frame_ms"] for line in sys.stdin)
print(f"dashboard: first full frame {statistics.median(times):.1f} ms (least {times[0]:.1f}, most {times[-1]:.1f}, {len(times)} runs; target ≤ 100)")
'
