//! Estimates that follow from what earlier builds took: how long it still takes, and what the cache saved.

mod pace;
mod time_left;
mod without_cache;

pub use time_left::{Estimate, StepEstimate, TimeLeft};
pub use without_cache::WithoutCache;
