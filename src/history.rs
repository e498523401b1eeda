//! The builds that there were: written down at their end, asked for ever after.
//!
//! A [`Build`] is what is kept of one, a pure function of its model. The [`Store`] is an `SQLite` file that any number of processes
//! use at once, and the [`Clerk`] a thread that works on it, so that nobody waits for a disk.

mod build;
mod clerk;
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

pub use build::{Build, Step};
pub use clerk::{Asker, Clerk, Kept, Place};
pub use earlier::{Before, Wanted, earlier};
pub use recorded::{name, read};
pub use retain::{Limits, Pruned};
pub use scenario::{CODE, FIRST, NO_CACHE, REQUIREMENTS, UNCHANGED};
pub use store::{Opened, Store, Trouble, default_path};
pub use trends::layer_runs;
