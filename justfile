# `just` alone lists these. Nothing here is needed to build or test: `cargo run --release -- demo`, `bash tests/run.sh`.

engine := "bash tests/testbed/engine"

[private]
default:
    @just --list --unsorted

# Build the release binary.
build:
    cargo build --release

# The recorded builds in the screen; needs neither Docker nor network.
demo *ARGS:
    cargo run --release -- demo {{ ARGS }}

# A real build of examples/montage-ai on the test engine, in the screen (Debian, root; see tests/testbed/engine).
live *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    env=$({{ engine }} up)
    eval "$env"
    cd examples/montage-ai
    cargo run --release --manifest-path ../../Cargo.toml -- build {{ ARGS }} -- -f Dockerfile.testbed --build-arg REGISTRY

# Everything that must hold before a change goes in; what CI runs.
test:
    bash tests/run.sh

# The tests alone, or some: `just quick model`.
quick *ARGS:
    cargo test {{ ARGS }}

# The tests that are too slow for every change, on the test engine.
slow:
    #!/usr/bin/env bash
    set -euo pipefail
    env=$({{ engine }} up)
    eval "$env"
    LAYERTOP_TEST_ENGINE_UP=1 cargo test --release -- --ignored
    bash tests/slow-listing.sh

# The figures: decoding, sanitising and frames, the start and rest of the program, the history, how good the estimate of time left is (on the
# test engine, a quarter of an hour), buildx's own screen beside ours (there, too), and a clean release build.
bench:
    cargo bench --bench decode --bench sanitize --bench frame --bench context
    bash benches/startup.sh
    bash benches/health.sh
    bash benches/history.sh
    bash benches/estimate.sh
    bash benches/versus-buildx.sh
    bash benches/dashboard-growth.sh
    bash benches/build-time.sh

# The named screens at several sizes, from recordings, into assets/.
screenshots:
    cargo run --release --example screenshots

# Make tests/recordings anew on the test engine. It prunes that engine's cache.
record *NAMES:
    bash tests/testbed/record.sh {{ NAMES }}

# Format.
fmt:
    cargo fmt

# Lint, as CI does.
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Licences, sources and advisories of what is compiled in, by deny.toml. `cargo install cargo-deny --locked` compiles for minutes.
deny:
    cargo deny check advisories licenses sources bans

# The documentation of the code, private items too, as CI checks it.
doc:
    RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

# The test cluster, a Kubernetes API server: up, env, status, seed, down, kill, wipe.
cluster VERB="status":
    bash tests/testbed/kube/cluster {{ VERB }}

# The test engine: up, env, status, down, wipe.
engine VERB="status":
    {{ engine }} {{ VERB }}
