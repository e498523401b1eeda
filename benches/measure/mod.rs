//! What the measurements share: time on the processor, resident memory, recordings.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Whether `cargo bench` runs this. `cargo test --all-targets` does, too, and wants no measurement.
pub(crate) fn asked() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Time that this thread has spent on a processor so far. Unlike time on the wall it does not grow while somebody else
/// has the machine.
pub(crate) fn busy() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}

/// Resident memory now, in bytes.
pub(crate) fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has /proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is there");
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("VmRSS is a number of kB")
}

/// The recorded streams of the tests, by name.
pub(crate) fn recordings() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the recordings are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        (name, fs::read(&path).expect("a recording can be read"))
    };
    paths.into_iter().map(read).collect()
}
