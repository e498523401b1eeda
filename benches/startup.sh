#!/usr/bin/env bash
# From the start of the program to its first full frame, its memory, and what it does while nothing happens.
#
#   bash benches/startup.sh [FILE]      `layertop demo`, or the replay of FILE
#   LAYERTOP=… bash benches/startup.sh      another binary than the one of the profile dist, which is what is handed out
#
# Where the test engine is up (tests/testbed/engine up), `layertop status` is measured on it too.
#
# Targets: first full frame ≤ 50 ms, resident ≤ 30 MB, nothing written and no processor used while nothing happens; status ≤ 1 s; the
# binary ≤ 20 MB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 >/dev/null || { echo "startup: needs python3" >&2; exit 1; }

[ -n "${LAYERTOP:-}" ] || cargo build --profile dist --quiet
LAYERTOP=${LAYERTOP:-${CARGO_TARGET_DIR:-target}/dist/layertop}
PLAY=(demo); [ $# -eq 0 ] || PLAY=(replay "$1")
RUNS=${RUNS:-15}

measure() { python3 benches/in_pty.py --size "$SIZE" "$@"; }

ls -l "$LAYERTOP" | awk '{printf "binary: %.1f MB (target ≤ 20)\n", $5 / 1e6}'
printf 'layertop %s\n' "${PLAY[*]}"
for SIZE in 120x40 200x60; do
  for _ in $(seq "$RUNS"); do measure --frame Stack --keys q -- "$LAYERTOP" "${PLAY[@]}"; done |
    python3 -c '
import json, statistics, sys
runs = [json.loads(line) for line in sys.stdin]
times = sorted(run["first_frame_ms"] for run in runs)
memory = max(run["resident_kb"] for run in runs)
print(f"  {sys.argv[1]}: first full frame {statistics.median(times):.1f} ms "
      f"(least {times[0]:.1f}, most {times[-1]:.1f}, {len(times)} runs; target ≤ 50), resident {memory / 1000:.1f} MB (target ≤ 30)")
' "$SIZE"
done

# The demo goes on to its next build by itself, so that a recording is what is watched here.
SIZE=120x40 measure --frame Stack --idle 5 --keys q -- "$LAYERTOP" replay "${1:-tests/recordings/first.jsonl}" --speed max |
  python3 -c '
import json, sys
run = json.load(sys.stdin)
print("  5 s after the end of the replay: {idle_bytes} bytes written (target 0), {idle_cpu_ms} ms of processor".format(**run))
print("  peak resident memory {:.1f} MB".format(run["peak_kb"] / 1000))
'

if ! bash tests/testbed/engine status >/dev/null 2>&1; then
  echo "  status: not measured, the test engine is not up"
  exit
fi
ENV=$(bash tests/testbed/engine env)
eval "$ENV"
export REGISTRY
LAYERTOP=$(realpath "$LAYERTOP")
cd examples/montage-ai
for _ in $(seq "$RUNS"); do
  python3 ../../benches/in_pty.py --size 120x40 -- "$LAYERTOP" status --progress plain
done | python3 -c '
import json, statistics, sys
runs = [json.loads(line) for line in sys.stdin]
times = sorted(run["wall_ms"] for run in runs)
codes = sorted({run["exit"] for run in runs})
print(f"  status on the test engine: {statistics.median(times):.0f} ms (least {times[0]:.0f}, most {times[-1]:.0f}, {len(times)} runs; "
      f"target ≤ 1,000), exit code {codes}")
'
