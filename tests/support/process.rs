//! layertop as a process: in a folder of its own, with nothing of the machine's configuration.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::left;

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
            .env("XDG_STATE_HOME", self.beside("state"))
            .env(left::MARK, left::mark());
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

/// The mark of a command that has one.
pub(crate) fn mark_of(command: &Command) -> Option<String> {
    let set = command.get_envs().find(|(name, _)| *name == left::MARK)?;
    Some(set.1?.to_str()?.to_owned())
}

/// Fails where something that layertop has started outlives it. One that was killed at once can't have cleaned up.
pub(crate) fn nothing_is_left(mark: Option<&str>, status: ExitStatus) {
    if let Some(mark) = mark.filter(|_| status.signal() != Some(9)) {
        left::nothing(mark);
    }
}

/// Runs a command to its end. What layertop has started has ended with it.
pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    nothing_is_left(mark_of(command).as_deref(), output.status);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}
