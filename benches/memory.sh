#!/usr/bin/env bash
# Peak memory of layertop itself (VmHWM) while a step writes each of eleven kinds of output, on an engine that does not clip it:
#
#   eval "$(bash tests/testbed/engine up)"; cargo build --release; bash benches/memory.sh [target/release/layertop [PROGRESS…]]
#
# PROGRESS is json (the default), plain, quiet, or tui: the screen, in a pseudo-terminal of 120×40. At most 64 MB are asked for, and that little is left out.
# It starts a second engine beside the test engine, whose registry and programs it uses, and stops it at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
LAYERTOP=$(realpath "${1:-target/release/layertop}")
ALL=("${@:2}"); [ $# -gt 1 ] || ALL=(json)
: "${REGISTRY:?run: eval \"\$(bash tests/testbed/engine up)\"}"
WORK=$(mktemp -d)
BIN=$(dirname "$(command -v docker)")
finish() {
  trap - EXIT
  [ -z "${ENGINE:-}" ] || { kill "$ENGINE" 2>/dev/null; wait "$ENGINE" 2>/dev/null; } || true
  rm -rf "$WORK"
}
trap finish EXIT
cat > "$WORK/daemon.json" <<E
{"data-root": "$WORK/data", "exec-root": "$WORK/exec", "pidfile": "$WORK/pid", "hosts": ["unix://$WORK/sock"],
 "iptables": false, "ip6tables": false, "features": {"containerd-snapshotter": true}, "insecure-registries": ["$REGISTRY"]}
E
PATH=$BIN/../sbin:$PATH BUILDKIT_STEP_LOG_MAX_SIZE=-1 BUILDKIT_STEP_LOG_MAX_SPEED=-1 \
  "$BIN/../sbin/dockerd" --config-file "$WORK/daemon.json" > "$WORK/log" 2>&1 &
ENGINE=$!
export DOCKER_HOST=unix://$WORK/sock XDG_DATA_HOME=$WORK/data-home
until docker version > /dev/null 2>&1; do kill -0 $ENGINE; sleep 0.5; done

# measure NAME COMMAND: builds of one step that runs it.
measure() {
  local progress
  for progress in "${ALL[@]}"; do one "$progress" "$@"; done
}

# high PID: its largest resident memory so far; fails where it has ended.
high() { awk '/VmHWM/ {print $2; found = 1} END {exit !found}' "/proc/$1/status" 2>/dev/null; }

one() { # PROGRESS NAME COMMAND
  local peak=0 now rc=0 child
  mkdir -p "$WORK/context"
  printf 'FROM %s/base/miniconda3:latest\nRUN : %s; %s\n' "$REGISTRY" "$RANDOM$RANDOM" "$3" > "$WORK/context/Dockerfile"
  local words=("$LAYERTOP" build --builder default --progress "$1" -- --network none --output type=cacheonly "$WORK/context") watched
  [ "$1" != tui ] || words=(python3 benches/in_pty.py -- "${words[@]}")
  "${words[@]}" > "$WORK/out" 2> "$WORK/err" &
  child=$!
  # On the screen the terminal is a process, and what is shown in it its only child.
  while watched=$child && high $child > /dev/null; do
    [ "$1" != tui ] || watched=$(awk '{print $NF}' "/proc/$child/task/$child/children")
    now=$(high "$watched") && [ "$now" -le "$peak" ] || peak=${now:-$peak}
    sleep 0.1
  done
  wait $child || rc=$?
  [ "$1" != tui ] || rc=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["exit"])' < "$WORK/out")
  printf '%-7s %-26s %6d KiB  exit code %d  left out: %s\n' "$1" "$2" "$peak" $rc \
    "$(cat "$WORK/out" "$WORK/err" | grep -aoE "[0-9.]+ .?B of the steps" | head -n1 | sed 's/ of.*//' | grep . || echo none)"
}

N=20000000
measure 'nothing' 'true'
measure 'empty lines' "head -c 50000000 /dev/zero | tr '\\0' '\\n'"
measure 'one-character lines' "yes x | head -c $N"
measure '100 MB without line feed' "head -c 100000000 /dev/zero | tr '\\0' a"
measure 'long lines' "yes \"\$(head -c 60000 /dev/zero | tr '\\0' a)\" | head -c $N"
measure 'binary' "head -c $N /dev/urandom"
measure 'colours' "yes \"\$(printf '\\033[31mred\\033[0m and \\033[1;32mgreen\\033[0m')\" | head -c $N"
measure 'progress bars' "yes \"\$(printf '\\r [=======>      ] 42 %% of it')\" | tr -d '\\n' | head -c $N"
measure 'wide characters' "yes '漢字かな交じり文' | head -c $N"
measure 'base64' "head -c $N /dev/urandom | base64"
measure 'invalid UTF-8' "yes \"\$(printf '\\303\\050\\377\\376')\" | head -c $N"
STEPS=$(for step in $(seq 100); do printf '\nRUN : %s; yes step %s | head -c 500000' "$RANDOM" "$step"; done)
measure 'many steps' "true$STEPS"
