//! layertop as a process: in a folder of its own, with nothing of the machine's configuration.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes: what is waited for so long does not come.
const PATIENCE: Duration = Duration::from_secs(120);

/// What would change an output, and is not to come from whoever runs the tests.
const FOREIGN: [&str; 14] = [
    "LAYERTOP_CONFIG",
    "REGISTRY",
    "TAG",
    "PLATFORMS",
    "BUILDX_BUILDER",
    "DOCKER_DEFAULT_PLATFORM",
    "BUILDKIT_PROGRESS",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
    "COLUMNS",
];

/// A folder to build in. Beside it lie the folders for data and configuration.
pub(crate) struct Project {
    around: TempDir,
    /// A name that nothing else has, in letters and digits.
    pub(crate) marker: String,
}

impl Project {
    pub(crate) fn new() -> Self {
        let around = tempfile::Builder::new().prefix("").tempdir().unwrap();
        let name = around.path().file_name().unwrap().to_string_lossy().to_ascii_lowercase();
        Self { marker: format!("test{name}"), around }
    }

    /// The folder that layertop runs in; its name is the marker.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = self.around.path().join(&self.marker);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A path beside that folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.around.path().join(name)
    }

    /// Where recordings go.
    pub(crate) fn recordings(&self) -> PathBuf {
        self.beside("data/layertop/recordings")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.folder().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// layertop with these words.
    pub(crate) fn layertop(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layertop"));
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .args(words)
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .env("XDG_DATA_HOME", self.beside("data"))
            .env("XDG_CONFIG_HOME", self.beside("config"))
            .env("XDG_STATE_HOME", self.beside("state"));
        command
    }
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The lines of `--progress json`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The last line of `--progress json`.
    pub(crate) fn summary(&self) -> Value {
        let last = self.events().pop().unwrap_or_else(|| panic!("no line: {self:?}"));
        assert_eq!(last["type"], "summary", "{self:?}");
        last
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A process whose lines are read while it runs.
pub(crate) struct Live {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: Option<JoinHandle<String>>,
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
        Self { child, lines, seen: Vec::new(), stderr: Some(stderr) }
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

    /// Waits for the end. All lines are in the result, those that were read before too.
    pub(crate) fn end(mut self) -> Ended {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("{error}; so far:\n{}", self.seen.join("\n")),
            }
        }
        let status = self.child.wait().unwrap();
        let stdout = self.seen.join("\n") + "\n";
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

/// The one file in a folder.
pub(crate) fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    file.clone()
}
