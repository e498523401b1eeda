//! A process that is listened to while it runs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::process::{Ended, mark_of, nothing_is_left};

/// Longer than anything here takes: what is waited for so long does not come.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process whose lines are read while it runs.
pub(crate) struct Live {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: Option<JoinHandle<String>>,
    mark: Option<String>,
}

impl Live {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (tx, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let _ = tx.send(line.unwrap());
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, lines, seen: Vec::new(), stderr: Some(stderr), mark: mark_of(command) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.id()).unwrap()), signal).unwrap();
    }

    /// Whether the process has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Reads on to the first line that is meant.
    pub(crate) fn until(&mut self, is_meant: impl Fn(&str) -> bool) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let found = is_meant(&line);
                    self.seen.push(line);
                    if found {
                        return;
                    }
                }
                Err(error) => panic!("{error}; so far:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Reads on to an event of `--progress json`.
    pub(crate) fn until_event(&mut self, is_meant: impl Fn(&Value) -> bool) {
        self.until(|line| is_meant(&serde_json::from_str(line).unwrap()));
    }

    /// Waits for the end, with which everything ends that it has started. All lines are in the result, those that were read before too.
    pub(crate) fn end(mut self) -> Ended {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("{error}; so far:\n{}", self.seen.join("\n")),
            }
        }
        let status = self.child.wait().unwrap();
        nothing_is_left(self.mark.as_deref(), status);
        let stdout = self.seen.iter().flat_map(|line| [line, "\n"]).collect();
        Ended { status, stdout, stderr: self.stderr.take().unwrap().join().unwrap() }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Of a test that failed; one that has ended can't be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
