//! Nothing that layertop has started outlives it: what it is started with in its environment is found in the environment of all that
//! comes from it.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

/// The variable that tells whose a process is.
pub(crate) const MARK: &str = "LAYERTOP_TEST_PROCESS";

/// What is killed ends a moment later; no process takes as many looks as this.
const LOOKS: usize = 5_000;

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A value of [`MARK`] that no other process has.
pub(crate) fn mark() -> String {
    format!("{}.{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed))
}

/// Fails where something with this mark still runs.
pub(crate) fn nothing(mark: &str) {
    let wanted = format!("{MARK}={mark}");
    let mut left = Vec::new();
    for _ in 0..LOOKS {
        left = processes(wanted.as_bytes());
        if left.is_empty() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("left behind by a layertop that has ended: {left:#?}");
}

/// The command lines of the processes that have this in their environment.
fn processes(wanted: &[u8]) -> Vec<String> {
    let has = |entry: &fs::DirEntry| {
        // It may end meanwhile; of one that has ended, and of somebody else's, there is nothing to read.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|set| set == wanted)
    };
    let line = |entry: &fs::DirEntry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        format!("{} {}", entry.file_name().display(), String::from_utf8_lossy(&words).replace('\0', " "))
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids =
        all.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()));
    ids.filter(has).map(|entry| line(&entry)).collect()
}
