//! Fingerprints: what they say of a build's files and steps, of what can't be read and of what is secret; and, where an
//! engine is up, whether a step's hash changes exactly when `BuildKit` misses.
//!
//! The latter run where `LAYERTOP_TEST_ENGINE_UP` is set, with the environment of `tests/testbed/engine env`; elsewhere they
//! say that they are skipped, and under CI they fail.

mod engine;
mod steps;
mod trouble;
