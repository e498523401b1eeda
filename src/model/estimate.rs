//! Estimates that follow from what earlier builds took: how long it still takes, and what the cache saved.

mod left;
mod pace;
mod without_cache;

pub use left::{Estimate, Left, StepEstimate};
pub use without_cache::WithoutCache;
