//! A process group that we started: signalled as one, and never left behind.

use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;

/// How often a group that was told to end is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How many looks it has after SIGTERM: 2 s.
const TERM_LOOKS: u32 = 100;
/// How many looks it has after SIGKILL: 1 s. A process in the kernel's hands ends when the kernel lets it.
const KILL_LOOKS: u32 = 50;

/// The group that a child leads. Dropped while armed, it is killed.
#[derive(Debug)]
pub(in crate::source) struct ProcessGroup {
    id: Option<Pid>,
}

impl ProcessGroup {
    /// The group of a child that was started with `process_group(0)`.
    pub(in crate::source) fn led_by(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).filter(|id| *id > 1);
        Self { id: id.map(Pid::from_raw) }
    }

    /// Sends a signal to every process of the group. A stopped one is woken, or it would never hear it.
    pub(in crate::source) fn send(&self, signal: Signal) {
        let Some(id) = self.id else { return };
        // A group that has just ended can't be signalled, and needn't be.
        let _ = killpg(id, signal);
        if signal != Signal::SIGKILL {
            let _ = killpg(id, Signal::SIGCONT);
        }
    }

    /// Ends what the leader has left behind: SIGTERM, and SIGKILL for what doesn't heed it.
    ///
    /// The group's id can't belong to somebody else as long as one of its processes lives, and is looked at at once
    /// after the leader's end.
    pub(in crate::source) async fn sweep(&self) {
        for (signal, looks) in [(Signal::SIGTERM, TERM_LOOKS), (Signal::SIGKILL, KILL_LOOKS)] {
            if !self.is_alive() {
                return;
            }
            self.send(signal);
            for _ in 0..looks {
                if !self.is_alive() {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// There is nothing left to kill.
    pub(in crate::source) fn disarm(&mut self) {
        self.id = None;
    }

    fn is_alive(&self) -> bool {
        self.id.is_some_and(|id| killpg(id, None).is_ok() && has_living(id))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let _ = killpg(id, Signal::SIGKILL);
        }
    }
}

/// Whether one of the group's processes is more than a zombie. In a container whose first process reaps nobody,
/// zombies stay for ever, and a signal can be sent to them.
#[cfg(target_os = "linux")]
fn has_living(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return true };
    processes.flatten().any(|entry| {
        let is_process = entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        let stat = is_process.then(|| std::fs::read_to_string(entry.path().join("stat")).ok()).flatten();
        // `1234 (name) S 1 1234 …`: state, parent, group. The name may hold anything, parentheses too.
        let fields = stat.as_deref().and_then(|stat| Some(stat.rsplit_once(')')?.1.split_whitespace()));
        fields.is_some_and(|mut fields| {
            let state = fields.next().unwrap_or_default();
            let its_group = fields.nth(1).and_then(|id| id.parse().ok());
            its_group == Some(group.as_raw()) && !matches!(state, "Z" | "X")
        })
    })
}

#[cfg(not(target_os = "linux"))]
fn has_living(_group: Pid) -> bool {
    true
}
