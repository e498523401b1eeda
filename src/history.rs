//! The builds that there were: written down at their end, asked for ever after.
//!
//! A [`StoredBuild`] is what is kept of one, a pure function of its model. The [`Store`] is an `SQLite` file that any number of processes
//! use at once, and the [`StoreWorker`] a thread that works on it, so that nobody waits for a disk.

mod build;
mod complete;
mod earlier;
mod expected;
mod fill;
mod query;
mod recorded;
mod retain;
pub mod rows;
mod scenario;
mod schema;
mod stats;
mod store;
mod trends;
mod worker;

pub use build::{StoredBuild, StoredStep};
pub use earlier::{BuildKey, PastQuery, earlier};
pub use recorded::{name, read};
pub use retain::{PruneResult, RetentionLimits};
pub use scenario::{CODE, FIRST, NO_CACHE, REQUIREMENTS, UNCHANGED};
pub use store::{OpenedStore, Store, StoreError, default_path};
pub use trends::layer_runs;
pub use worker::{KeepResult, StoreClient, StoreLocation, StoreWorker};
