#!/usr/bin/env bash
# layertop against buildx's own screen: the same fresh builds of examples/montage-ai on the test engine, in turns, at
# 120×40 in a pseudo-terminal. Bytes written, processor time of the client with all its children, time on the wall.
#
#   bash benches/versus-buildx.sh           five rounds
#   ROUNDS=2 bash benches/versus-buildx.sh
#   LAYERTOP=… bash benches/versus-buildx.sh      another binary than the one of the profile dist, which is what is handed out
#
# Targets: bytes ≤ 35 %, processor ≤ 120 %, wall ≤ 101 % of buildx's. It leaves the engine as it found it, but for the
# images of bench/montage-ai in its registry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 >/dev/null || { echo "versus-buildx: needs python3" >&2; exit 1; }

[ -n "${LAYERTOP:-}" ] || cargo build --profile dist --quiet
LAYERTOP=$(realpath "${LAYERTOP:-${CARGO_TARGET_DIR:-target}/dist/layertop}")
ENV=$(bash tests/testbed/engine up)
eval "$ENV"
export REGISTRY

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cp -r examples/montage-ai/. "$WORK/context"
sed -i 's|^name = .*|name = "bench/montage-ai"|' "$WORK/context/layertop.toml"
export XDG_DATA_HOME=$WORK/data XDG_STATE_HOME=$WORK/state
IN_PTY=$PWD/benches/in_pty.py
cd "$WORK/context"

# Both sides run one and the same command but for the way in which progress is shown.
ARGS=(-- -f Dockerfile.testbed --build-arg REGISTRY --no-cache)
COMMAND=$("$LAYERTOP" build --dry-run "${ARGS[@]}")
case $COMMAND in *progress?rawjson*) ;; *) echo "versus-buildx: what is this? $COMMAND" >&2; exit 1 ;; esac
eval "BUILDX=(${COMMAND/progress?rawjson/progress=tty})"

layertop() { python3 "$IN_PTY" -- "$LAYERTOP" build --progress tui "${ARGS[@]}"; }
buildx() { python3 "$IN_PTY" -- "${BUILDX[@]}"; }

round() { # NAME…: in this order
  local side
  for side in "$@"; do printf '{"side": "%s", "run": %s}\n' "$side" "$($side)" >> "$WORK/runs"; done
}

buildx > /dev/null # the base image is there after this, and files are in memory
for n in $(seq "${ROUNDS:-5}"); do
  if ((n % 2)); then round buildx layertop; else round layertop buildx; fi
done

python3 - "$WORK/runs" <<'PYTHON'
import json, statistics, sys

runs = [json.loads(line) for line in open(sys.argv[1])]
failed = [run for run in runs if run["run"]["exit"] != 0]
if failed:
    sys.exit(f"versus-buildx: a build failed: {failed}")
rows = [("bytes written", "bytes", 35), ("processor, ms", "cpu_ms", 120),
        ("  not its children's", "own_cpu_ms", None), ("wall, ms", "wall_ms", 101),
        ("largest process, kB", "peak_kb", None)]
print(f"median of {len(runs) // 2} builds each (least … most) {'buildx tty':>14} {'layertop':>32}     ratio   target")
for title, key, target in rows:
    sides = {side: sorted(run["run"][key] for run in runs if run["side"] == side) for side in ("buildx", "layertop")}
    text = {side: f"{statistics.median(of):,.0f} ({of[0]:,.0f} … {of[-1]:,.0f})" for side, of in sides.items()}
    ratio = ""
    if target:
        ratio = f"{100 * statistics.median(sides['layertop']) / statistics.median(sides['buildx']):.1f} %   ≤ {target} %"
    print(f"{title:<22} {text['buildx']:>32} {text['layertop']:>32}   {ratio:>7}")
PYTHON
