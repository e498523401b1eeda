//! layertop as a process, and what it writes and reads: command lines, terminals, files, exports, a registry on this machine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it is skipped, in its helpers too"
)]

#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../support/mod.rs"]
mod support;

mod buildx;
mod cli;
mod export;
mod history;
mod numbers;
mod pty;
mod recording;
mod registry;
