//! The program on a real terminal: what it draws, what it writes, and that it leaves the terminal as it was.
#![expect(clippy::duplicate_mod, reason = "processes and terminals are both looked behind, in the same way")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it is skipped, in its helpers too"
)]

#[expect(dead_code, reason = "shared with tests that look closer at processes")]
#[path = "common/group.rs"]
mod group;
#[path = "common/process.rs"]
mod process;
#[path = "support/mod.rs"]
mod support;
#[expect(dead_code, reason = "shared with tests that need all of the engine")]
#[path = "common/testbed.rs"]
mod testbed;

#[path = "pty/build.rs"]
mod build;
#[path = "pty/hostile.rs"]
mod hostile;
#[path = "pty/quiet.rs"]
mod quiet;
#[path = "pty/restore.rs"]
mod restore;
#[path = "pty/sheets.rs"]
mod sheets;
#[path = "pty/walk.rs"]
mod walk;
