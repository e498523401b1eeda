//! What the tests share.

pub(crate) mod bench;
pub(crate) mod bytes;
pub(crate) mod cluster;
pub(crate) mod content;
pub(crate) mod group;
mod left;
pub(crate) mod live;
pub(crate) mod process;
pub(crate) mod second;
pub(crate) mod server;
pub(crate) mod terminal;
pub(crate) mod testbed;
pub(crate) mod tree;
pub(crate) mod watch;

use std::path::PathBuf;

/// A recording of `tests/recordings`.
pub(crate) fn recording(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/recordings", name].iter().collect();
    path.display().to_string()
}

/// The program under test.
pub(crate) const LAYERTOP: &str = env!("CARGO_BIN_EXE_layertop");
