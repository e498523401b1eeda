//! Builds on a real engine: what layertop says of them, and what `BuildKit`, the registry and /proc say.
//!
//! They run where `LAYERTOP_TEST_ENGINE_UP` is set, with the environment of `tests/testbed/engine env`; `tests/run.sh` sets
//! both. Elsewhere they say that they are skipped, and under CI they fail.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it is skipped, in its helpers too"
)]

#[path = "common/group.rs"]
mod group;
#[path = "common/live.rs"]
mod live;
#[path = "common/process.rs"]
mod process;
#[path = "common/testbed.rs"]
#[expect(dead_code, reason = "shared with tests that look at a build once more")]
mod testbed;

#[path = "engine/cancel.rs"]
mod cancel;
#[path = "engine/example.rs"]
mod example;
#[path = "engine/failure.rs"]
mod failure;
#[path = "engine/options.rs"]
mod options;
#[path = "engine/recording.rs"]
mod recording;
#[path = "engine/secrets.rs"]
mod secrets;
#[path = "engine/trouble.rs"]
mod trouble;
