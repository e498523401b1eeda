#!/usr/bin/env bash
# What building and testing need beside Rust itself. As root on Debian it is installed; elsewhere it is named.
# The test engine looks after its own packages (tests/testbed/engine).
set -euo pipefail

say() { printf '%s\n' "install: $*" >&2; }
missing=()

# command → Debian package
need=(cc:gcc curl:curl git:git ip:iproute2 openssl:openssl ps:procps skopeo:skopeo stty:coreutils unshare:util-linux)
packages=()
for pair in "${need[@]}"; do command -v "${pair%%:*}" >/dev/null || packages+=("${pair##*:}"); done
# A C compiler without its headers compiles nothing.
if command -v cc >/dev/null && ! echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1; then packages+=(libc6-dev); fi
case " ${packages[*]} " in *" gcc "*) packages+=(libc6-dev) ;; esac
[ -d /etc/ssl/certs ] && [ -n "$(ls /etc/ssl/certs 2>/dev/null)" ] || packages+=(ca-certificates)

if [ ${#packages[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${packages[*]}"
    apt-get update -q -o Acquire::Retries=3 >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q -o Acquire::Retries=3 --no-install-recommends "${packages[@]}" >/dev/null
  else
    missing+=("${packages[@]}")
  fi
fi

command -v cargo >/dev/null || missing+=("Rust 1.88 or newer: https://rustup.rs")
if command -v cargo >/dev/null; then
  for part in rustfmt clippy; do
    tool=cargo-${part/rustfmt/fmt}; sub=${tool#cargo-}
    cargo "$sub" --version >/dev/null 2>&1 && continue
    if command -v rustup >/dev/null && rustup component add "$part" >/dev/null 2>&1; then
      say "installed $part"
    else
      missing+=("$part (rustup component add $part)")
    fi
  done
fi

if [ ${#missing[@]} -gt 0 ]; then
  say "missing on this machine, please install:"
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
fi
