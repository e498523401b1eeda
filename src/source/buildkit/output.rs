//! Error output of a process that carries a connection.

use std::sync::{Arc, Mutex, PoisonError};

/// As many bytes are kept.
const KEPT: usize = 4096;

/// The end of the error output; shared between its reader and whoever reports a failure.
#[derive(Debug, Clone, Default)]
pub(super) struct OutputTail(Arc<Mutex<Vec<u8>>>);

impl OutputTail {
    /// Appends output and drops what is beyond the limit.
    pub(super) fn append(&self, piece: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(piece);
        let excess = tail.len().saturating_sub(KEPT);
        tail.drain(..excess);
    }

    /// The last line that is not blank; none where there is no output.
    pub(super) fn last_line(&self) -> Option<String> {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&tail);
        let line = text.lines().rfind(|line| !line.trim().is_empty())?.trim();
        Some(line.strip_prefix("ERROR: ").unwrap_or(line).to_owned())
    }
}
