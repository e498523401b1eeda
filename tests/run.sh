#!/usr/bin/env bash
# Everything that must hold before a change goes in. On a fresh Debian with only Rust on it, as root:
#
#   bash tests/run.sh
#
# installs what is missing, checks format and lints, starts the test engine, runs all tests (those on a real engine among
# them) and stops what it started, also when it fails or is interrupted. Where no engine can run, the tests that need one
# are skipped and say why; with CI=true that is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${CI:-}" = true ]; then
  # A clone is fresh each time, its dependencies are not.
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/layertop-target}
fi
ENGINE=tests/testbed/engine
STARTED='' CHILD='' LOG=$(mktemp)

say() { printf '%s\n' "run: $*" >&2; }

finish() {
  local rc=$?
  trap - EXIT; trap '' INT TERM HUP
  if [ -n "$CHILD" ]; then kill -TERM -- "-$CHILD" 2>/dev/null || true; wait "$CHILD" 2>/dev/null || true; fi
  [ -z "$STARTED" ] || { say "stopping the engine"; bash $ENGINE down || rc=1; }
  rm -f "$LOG"
  [ $rc = 0 ] && say "all is well (${SECONDS} s)" || say "failed with $rc (${SECONDS} s)"
  exit $rc
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# phase NAME COMMAND…: one line about it, with the seconds it took. The command runs as a job of its own, because bash
# looks after a signal only when no command is in the foreground.
phase() {
  local name=$1 from=$SECONDS rc=0; shift
  set -m; "$@" & CHILD=$!; set +m
  wait "$CHILD" || rc=$?
  CHILD=''
  printf 'run: %-8s %-6s %5d s\n' "$name" "$([ $rc = 0 ] && echo ok || echo FAILED)" $((SECONDS - from)) >&2
  return $rc
}

engine_up() { bash $ENGINE up >"$LOG" 2> >(tee -a "$LOG.err" >&2); }
with_engine() {
  rm -f "$LOG.err"
  # An engine that was up before is somebody's, and stays up.
  bash $ENGINE status 2>/dev/null | grep -q '^engine *up' || [ "${LAYERTOP_TEST_ENGINE:-}" = existing ] || STARTED=1
  if phase engine engine_up; then
    eval "$(cat "$LOG")"
    export LAYERTOP_TEST_ENGINE_UP=1
  else
    LAYERTOP_TEST_ENGINE_WHY=$(tail -n 1 "$LOG.err" 2>/dev/null || true)
    export LAYERTOP_TEST_ENGINE_WHY=${LAYERTOP_TEST_ENGINE_WHY:-the test engine does not start}
    unset LAYERTOP_TEST_ENGINE_UP
    [ "${CI:-}" != true ] || { say "no engine, and under CI its tests must run: $LAYERTOP_TEST_ENGINE_WHY"; rm -f "$LOG.err"; exit 1; }
    say "tests on a real engine are SKIPPED: $LAYERTOP_TEST_ENGINE_WHY"
  fi
  rm -f "$LOG.err"
}

phase install bash tests/install.sh
phase fmt cargo fmt --check
phase clippy cargo clippy --locked --all-targets -- -D warnings
phase build cargo test --locked --no-run
with_engine
phase test cargo test --locked --no-fail-fast
