#!/usr/bin/env bash
# Everything that must hold before a change goes in. On a fresh Debian with only Rust on it, as root:
#
#   bash tests/run.sh
#
# installs what is missing, checks format and lints, starts the test engine and the test cluster (a Kubernetes API server, which
# is built the first time), runs all tests (those on them too) and stops what it started, also when it fails or is
# interrupted. Where they can't run, the tests that need them are skipped and say why; with CI=true that is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# What a shell has put into the background ignores SIGINT, and so does all that it starts: tests that interrupt would wait for ever.
if [ "$(($(sed -n 's/^SigIgn:.*\(.\)$/0x\1/p' /proc/$$/status) & 2))" != 0 ]; then
  exec env --default-signal=INT --default-signal=QUIT bash tests/run.sh "$@"
fi

if [ "${CI:-}" = true ]; then
  # A clone is fresh each time, its dependencies are not.
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/layertop-target}
fi
ENGINE=tests/testbed/engine CLUSTER=tests/testbed/kube/cluster
STARTED='' CLUSTERED='' CHILD='' BUILDING='' WORK=$(mktemp -d)

say() { printf '%s\n' "run: $*" >&2; }

finish() {
  local rc=$?
  trap - EXIT; trap '' INT TERM HUP
  for group in $CHILD $BUILDING; do
    kill -TERM -- "-$group" 2>/dev/null || true
    wait "$group" 2>/dev/null || true
  done
  [ -z "$STARTED" ] || { say "stopping the engine"; bash $ENGINE down || rc=1; }
  [ -z "$CLUSTERED" ] || { say "stopping the cluster"; bash $CLUSTER wipe || rc=1; }
  rm -rf "$WORK"
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

engine_up() { bash $ENGINE up >"$WORK/env" 2> >(tee "$WORK/err" >&2); }
with_engine() {
  local before; before=$(bash $ENGINE status 2>/dev/null) || true
  # An engine that was up before is somebody's, and stays up.
  case "$before" in *"engine    up"*) ;; *) STARTED=1 ;; esac
  if phase engine engine_up; then
    eval "$(cat "$WORK/env")"
    export LAYERTOP_TEST_ENGINE_UP=1
    return
  fi
  unset LAYERTOP_TEST_ENGINE_UP
  LAYERTOP_TEST_ENGINE_WHY=$(grep '^engine: ' "$WORK/err" 2>/dev/null | tail -n 1 | cut -c9- || true)
  export LAYERTOP_TEST_ENGINE_WHY=${LAYERTOP_TEST_ENGINE_WHY:-the test engine does not start}
  [ "${CI:-}" != true ] || { say "no engine, and under CI the tests that need one must run: $LAYERTOP_TEST_ENGINE_WHY"; exit 1; }
  say "tests on a real engine are SKIPPED: $LAYERTOP_TEST_ENGINE_WHY"
}

cluster_up() { bash $CLUSTER up >"$WORK/cluster" 2> >(tee "$WORK/err" >&2); }
with_cluster() {
  # A cluster that was up before is somebody's, and stays up.
  bash $CLUSTER status >/dev/null 2>&1 || CLUSTERED=1
  if phase cluster cluster_up; then
    eval "$(cat "$WORK/cluster")"
    return
  fi
  unset LAYERTOP_TEST_KUBECONFIG
  [ "${CI:-}" != true ] || { say "no cluster, and under CI the tests that need one must run"; exit 1; }
  say "tests on a real API server are SKIPPED: $(grep '^cluster: ' "$WORK/err" 2>/dev/null | tail -n 1 | cut -c10- || true)"
}

consumers_up() { bash tests/testbed/consumers up >"$WORK/consumers" 2> >(tee "$WORK/err" >&2); }
with_consumers() {
  if phase readers consumers_up; then
    eval "$(cat "$WORK/consumers")"
    return
  fi
  [ "${CI:-}" != true ] || { say "the programs that read exports are not there, and under CI the tests with them must run"; exit 1; }
  say "tests of exports with other programs are SKIPPED: $(grep '^consumers: ' "$WORK/err" 2>/dev/null | tail -n 1 | cut -c12- || true)"
}

# ---- what is there already, and so takes no time ------------------------------------------------

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}
# cached FILE MINUTES: whether it is there, or how long it takes to make.
cached() { if [ -e "$1" ]; then echo cached; else echo "not cached: $2 min"; fi; }
KUBE=${KUBE_TESTBED:-$CACHE/layertop-testbed-kube}/bin/kube-apiserver
say "what comes, with the time it takes on two cores:"
say "  format, lints, documentation   2 min    dependencies $(cached "${CARGO_TARGET_DIR:-target}/debug/deps" 7)"
say "  compile the tests              1 min"
say "  start the test engine         10 s      its programs $(cached "${TESTBED:-$CACHE/layertop-testbed}/prefix/usr/bin/docker" 3)"
say "  start the test cluster        10 s      its programs $(cached "$KUBE" 10)"
say "  readers of exports             1 s      $(cached "${CONSUMERS:-$CACHE/layertop-consumers}" 1)"
say "  tests                         21 min"

phase install bash tests/install.sh
phase fmt cargo fmt --check
phase clippy cargo clippy --locked --all-targets -- -D warnings
phase doc env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items --quiet
phase build cargo test --locked --no-run

# Tests that only compute, and those that start the program without an engine.
pure_tests() { env --default-signal=INT --default-signal=QUIT cargo test --locked --no-fail-fast --lib --bins --test pure; }
process_tests() { env --default-signal=INT --default-signal=QUIT cargo test --locked --no-fail-fast --test process; }

with_engine
EARLY=''
if [ ! -e "$KUBE" ]; then
  # Building an API server takes longer than all that needs none: both at once.
  set -m; bash $CLUSTER up >/dev/null 2>"$WORK/building" & BUILDING=$!; set +m
  EARLY=1 CLUSTERED=1
  rc=0
  with_consumers
  phase pure pure_tests || rc=$?
  phase process process_tests || rc=$?
  [ $rc = 0 ] || exit $rc
  wait "$BUILDING" || cat "$WORK/building" >&2
  BUILDING=''
fi
with_cluster
[ -n "$EARLY" ] || with_consumers

# Tests on the engine wait for it most of the time: the others use the cores meanwhile. Those of them that build hold its lock.
other_tests() {
  local rc=0
  pure_tests || rc=$?
  process_tests || rc=$?
  return $rc
}
all_tests() {
  local rc=0 others=''
  [ -n "$EARLY" ] || { other_tests >"$WORK/others" 2>&1 & others=$!; }
  cargo test --locked --no-fail-fast --test engine || rc=$?
  if [ -n "$others" ]; then
    wait "$others" || rc=$?
    cat "$WORK/others"
  fi
  cargo test --locked --doc || rc=$?
  return $rc
}
phase test all_tests
