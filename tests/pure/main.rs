//! What needs no process, no engine and no address: the model, the readers, the reports and the screen.
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

mod advice;
mod border;
mod config;
mod decoder;
mod dockerfile;
mod estimate;
mod model;
mod numbers;
mod recordings;
mod report;
#[path = "../scenes/mod.rs"]
mod scenes;
mod tidy;
mod view;
