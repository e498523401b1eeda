#!/usr/bin/env bash
# How long a clean `cargo build --release` takes, and on what. Target: 4 minutes on two idle cores.
#
# It builds into a folder of its own; the sources of all crates are fetched before the clock starts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v python3 >/dev/null || { echo "build-time: needs python3" >&2; exit 1; }

CARGO_TARGET_DIR=$(mktemp -d)
export CARGO_TARGET_DIR
trap 'rm -rf "$CARGO_TARGET_DIR"' EXIT
cargo fetch --locked --quiet
echo "$(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg) before, $(rustc --version)"
start=$SECONDS
cargo build --release --locked --quiet --timings
echo "clean release build: $((SECONDS - start)) s wall (target ≤ 240), load $(cut -d' ' -f1 /proc/loadavg) after"
ls -l "$CARGO_TARGET_DIR/release/layertop" | awk '{printf "binary: %.1f MB\n", $5 / 1e6}'

python3 - "$CARGO_TARGET_DIR"/cargo-timings/cargo-timing.html <<'PYTHON'
import json, re, sys

page = open(sys.argv[1], encoding="utf-8").read()
units = json.loads(re.search(r"UNIT_DATA = (\[.*?\]);\n", page, re.S).group(1))
print(f"{len(units)} units, {sum(unit['duration'] for unit in units):.0f} s of work; the slowest:")
for unit in sorted(units, key=lambda unit: -unit["duration"])[:20]:
    print(f"  {unit['duration']:6.1f} s  {unit['name']} {unit['version']}{unit['target']}")
PYTHON
