//! Builds on a real engine: what layertop says of them, and what `BuildKit`, the registry and /proc say.
//!
//! They run where `LAYERTOP_TEST_ENGINE_UP` is set, with the environment of `tests/testbed/engine env`; `tests/run.sh` sets
//! both. Elsewhere they say that they are skipped, and under CI they fail.

mod cancel;
mod example;
mod failure;
mod options;
mod recording;
mod secrets;
mod trouble;
