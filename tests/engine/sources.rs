//! Where hits come from: what is said of recorded builds, and of builds on a real engine.
//!
//! Those on an engine run where `LAYERTOP_TEST_ENGINE_UP` is set, as all on an engine; they prune, so they have the engine for
//! themselves.

mod engine;
mod recorded;
