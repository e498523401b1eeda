//! Why steps were not cached: each miss has one reason, with its evidence and a grade.
//!
//! A build is compared with the newest earlier one of the same image, builder and platform in which the step ran or hit. What
//! invalidates a step is `BuildKit`'s rule, as it was seen on the test engine: what the step itself is (its fingerprint) and what
//! it is built on. Where neither has changed the result must have been lost, and the caches are asked: the builder's
//! records, the import, what the build was told.
//!
//! Steps that are built on a changed one follow from it. A cache holds each step by itself, so that whoever lost one
//! result has lost the next as well: those have the same kind of reason, and follow from the first of them.

mod advice;
mod align;
mod cache;
mod change;
mod collected;
mod earlier;
mod files;
mod judge;
mod past;
mod plan;
mod results;

pub use judge::judge;
pub use past::{Past, PastStep, repository, same_image};
pub use plan::plan;

#[cfg(test)]
mod tests;
