//! Where hits come from: what is said of recorded builds, and of builds on a real engine.
//!
//! Those on an engine run where `LAYERTOP_TEST_ENGINE_UP` is set, as those of `engine.rs`; they prune, so they have the engine for
//! themselves.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it is skipped, in its helpers too"
)]

#[path = "common/process.rs"]
mod process;
#[path = "common/testbed.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod testbed;

#[path = "sources/engine.rs"]
mod engine;
#[path = "sources/recorded.rs"]
mod recorded;
