//! What tests on a terminal need: a pseudo terminal with a program on it, an emulator that reads along, and a look at the
//! raw bytes.

pub(crate) mod bytes;
mod left;
pub(crate) mod terminal;

use std::path::PathBuf;

/// A recording of `tests/recordings`.
pub(crate) fn recording(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/recordings", name].iter().collect();
    path.display().to_string()
}

/// The program under test.
pub(crate) const LAYERTOP: &str = env!("CARGO_BIN_EXE_layertop");
