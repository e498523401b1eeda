#!/usr/bin/env bash
# layertop against buildx's own screen: the same builds of examples/montage-ai on the test engine, in turns, at 120×40 in a
# pseudo-terminal: the four scenarios of Montage AI's strategy, on a builder with few records and on one with thousands.
#
#   bash benches/versus-buildx.sh                        five rounds, builders with 100 and 5,000 records
#   ROUNDS=3 RECORDS="100" SCENARIOS="unchanged code" bash benches/versus-buildx.sh
#   LAYERTOP=… bash benches/versus-buildx.sh             another binary than the one of the profile dist, which is what is handed out
#
# Targets, in each scenario: wall ≤ 101 % of buildx's + 50 ms, bytes ≤ 10 %, layertop's own processor time ≤ 15 % of buildx's; and `layertop
# stats` tells the median that the stopwatch has, ± 1 % and 50 ms, for the stopwatch times layertop's start and end too. It leaves the engine as
# it found it, but for records of its own and the images of bench/montage-ai in its registry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 >/dev/null || { echo "versus-buildx: needs python3" >&2; exit 1; }

[ -n "${LAYERTOP:-}" ] || cargo build --profile dist --quiet
LAYERTOP=$(realpath "${LAYERTOP:-${CARGO_TARGET_DIR:-target}/dist/layertop}")
ENV=$(bash tests/testbed/engine up)
eval "$ENV"
export REGISTRY
FILL=$PWD/benches/fill-builder.sh

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cp -r examples/montage-ai/. "$WORK/context"
sed -i 's|^name = .*|name = "bench/montage-ai"|' "$WORK/context/layertop.toml"
export XDG_DATA_HOME=$WORK/data XDG_STATE_HOME=$WORK/state
IN_PTY=$PWD/benches/in_pty.py
cd "$WORK/context"

# Both sides run one and the same command but for the way in which progress is shown.
ARGS=(-f Dockerfile.testbed --build-arg REGISTRY)
COMMAND=$("$LAYERTOP" build --dry-run -- "${ARGS[@]}")
case $COMMAND in *progress?rawjson*) ;; *) echo "versus-buildx: what is this? $COMMAND" >&2; exit 1 ;; esac
eval "BUILDX=(${COMMAND/progress?rawjson/progress=tty})"

layertop() { python3 "$IN_PTY" -- "$LAYERTOP" build --progress tui -- "${ARGS[@]}" "$@"; }
buildx() { python3 "$IN_PTY" -- "${BUILDX[@]}" "$@"; }

# What differs before each build of a scenario. Each build finds something new, whoever runs it, also where this has run before.
N=0 BEGAN=$(date +%s)
prepare() { # SCENARIO: fills `words`
  N=$((N + 1)); words=()
  case $1 in
    first) words=(--no-cache) ;;
    unchanged) ;;
    code) printf 'ROUND = "%s-%s"\n' "$BEGAN" "$N" > src/round.py ;;
    requirements) sed -i '/^bench-/d' requirements.txt; echo "bench-$BEGAN-$N==1.0" >> requirements.txt ;;
    *) echo "versus-buildx: no scenario $1" >&2; exit 1 ;;
  esac
}

for records in ${RECORDS:-100 5000}; do
  bash "$FILL" "$records"
  prepare unchanged; buildx > /dev/null # what is unchanged was built; files are in memory
  for scenario in ${SCENARIOS:-first unchanged code requirements}; do
    for n in $(seq "${ROUNDS:-5}"); do
      order='buildx layertop'; ((n % 2)) || order='layertop buildx'
      for side in $order; do
        prepare "$scenario"
        printf '{"records": %s, "scenario": "%s", "side": "%s", "run": %s}\n' "$records" "$scenario" "$side" "$($side "${words[@]}")" >> "$WORK/runs"
      done
    done
  done
done

"$LAYERTOP" history --limit 0 --progress json > "$WORK/history"
"$LAYERTOP" stats --progress json > "$WORK/stats"
python3 - "$WORK/runs" "$WORK/history" "$WORK/stats" <<'PYTHON'
import json, statistics, sys

runs = [json.loads(line) for line in open(sys.argv[1])]
failed = [run for run in runs if run["run"]["exit"] != 0]
if failed:
    sys.exit(f"versus-buildx: a build failed: {failed}")
kinds = list(dict.fromkeys((run["records"], run["scenario"]) for run in runs))
missed = 0
print(f"{'records':>7} {'scenario':<13} {'wall, ms: buildx':>17} {'layertop':>9} {'≤':>7}   {'bytes':>7} ≤ 10 %   {'own processor':>13} ≤ 15 %   {'all':>7}")
for records, scenario in kinds:
    def median(side, key):
        return statistics.median(run["run"][key] for run in runs
                                 if (run["records"], run["scenario"], run["side"]) == (records, scenario, side))
    wall, ours = median("buildx", "wall_ms"), median("layertop", "wall_ms")
    most = 1.01 * wall + 50
    bytes_ = 100 * median("layertop", "bytes") / median("buildx", "bytes")
    own = 100 * median("layertop", "own_cpu_ms") / median("buildx", "cpu_ms")
    total = 100 * median("layertop", "cpu_ms") / median("buildx", "cpu_ms")
    mark = lambda holds: " " if holds else "!"
    print(f"{records:>7} {scenario:<13} {wall:>17,.0f} {ours:>9,.0f} {most:>7,.0f} {mark(ours <= most)} {bytes_:>7.1f} %      {mark(bytes_ <= 10)} {own:>12.1f} %      {mark(own <= 15)} {total:>7.1f} %")
    missed += (ours > most) + (bytes_ > 10) + (own > 15)

# Each build of ours has its place in the history, in the order of their beginnings.
watched = [run["run"]["wall_ms"] for run in runs if run["side"] == "layertop"]
told = sorted(json.load(open(sys.argv[2]))["builds"], key=lambda build: build["started"])
if len(told) != len(watched):
    sys.exit(f"versus-buildx: {len(watched)} builds, and {len(told)} in the history")
for row in json.load(open(sys.argv[3]))["scenarios"]:
    walls = [wall for wall, build in zip(watched, told) if build["scenario"] == row["name"]]
    wall, median = statistics.median(walls), row["median_ms"]
    holds = len(walls) == row["builds"] and abs(median - wall) <= wall / 100 + 50
    print(f"stats: {row['name']}: {row['builds']} builds, {median:,.0f} ms; the stopwatch: {len(walls)}, {wall:,.0f} ms {'' if holds else '!'}")
    missed += not holds
print("all targets hold" if not missed else f"{missed} targets are missed, marked with !")
PYTHON
