//! What only a real engine or API server can tell.
//!
//! These run where `LAYERTOP_TEST_ENGINE_UP` is set, with the environment of `tests/testbed/engine env`; `tests/run.sh` sets
//! it. Elsewhere they say that they are skipped, which under `CI=true` is a failure.
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

mod builder;
mod builds;
mod compare;
mod context;
mod flood;
mod gates;
mod kubernetes;
mod plan;
mod remote;
mod scenarios;
mod sources;
mod status;
mod why;
