//! `replay` and `demo`: recordings as feeds.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use super::builds;
use super::session::{Feed, FeedControl, FeedUpdate, Reset};
use super::watchers::Watchers;
use crate::cli::DemoScenario;
use crate::clock::{Clock, Speed};
use crate::error::Error;
use crate::event::Mask;
use crate::recording::{OpenError, Reader};
use crate::source::replay;

/// Batches on their way: enough to keep a fast replay busy, and few enough to hold it up.
const AHEAD: usize = 2;

/// A recording that is part of the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct BundledRecording {
    pub(super) scenario: DemoScenario,
    pub(super) title: &'static str,
    bytes: &'static [u8],
}

/// The four rows of the strategy's table, in its order; made on the test engine by `tests/testbed/demo.sh`.
pub(super) const BUNDLED: [BundledRecording; 4] = [
    BundledRecording {
        scenario: DemoScenario::First,
        title: "first build",
        bytes: include_bytes!("../../assets/demo/first.jsonl.zst"),
    },
    BundledRecording {
        scenario: DemoScenario::Code,
        title: "a file in src/ changed",
        bytes: include_bytes!("../../assets/demo/code.jsonl.zst"),
    },
    BundledRecording {
        scenario: DemoScenario::Requirements,
        title: "requirements.txt changed",
        bytes: include_bytes!("../../assets/demo/requirements.jsonl.zst"),
    },
    BundledRecording {
        scenario: DemoScenario::Unchanged,
        title: "nothing changed",
        bytes: include_bytes!("../../assets/demo/unchanged.jsonl.zst"),
    },
];

impl BundledRecording {
    pub(super) fn open(self) -> Result<Reader, Error> {
        Reader::from_bytes(self.bytes, Mask::default()).map_err(|error| {
            Error::unavailable(
                format!("the bundled recording can't be read: {error}"),
                "this is a fault of layertop",
            )
        })
    }
}

/// What is replayed: a file, or the recording of a build that is named.
pub(super) fn file(typed: &Path) -> Result<PathBuf, Error> {
    match typed.to_str() {
        Some(word) => Ok(builds::named(word)?.recording()?.to_owned()),
        None => Ok(typed.to_owned()),
    }
}

/// Plays a recording. Without `controls` it ends by itself.
pub(super) fn play(reader: Reader, clock: Clock, speed: Speed, controlled: bool) -> Feed {
    let (controls, asked) = mpsc::channel(AHEAD);
    let (due, mut updates) = mpsc::channel::<replay::ReplayUpdate>(AHEAD);
    let (tx, rx) = mpsc::channel(AHEAD);
    tokio::spawn(replay::run(reader, clock, speed, asked, due));
    tokio::spawn(async move {
        while let Some(replay::ReplayUpdate { reset, events, state }) = updates.recv().await {
            let reset = if reset { Reset::All } else { Reset::No };
            if tx.send(FeedUpdate { reset, events, replay: Some(state) }).await.is_err() {
                return;
            }
        }
    });
    let steer = if controlled { FeedControl::Replay(controls) } else { FeedControl::None };
    Feed { updates: rx, steer, around: Watchers::nothing() }
}

/// Why a file can't be replayed; the error says what to do.
pub(super) fn unreadable(error: &OpenError) -> Error {
    let hint = match error {
        OpenError::Read { path, source } => {
            return match source.kind() {
                ErrorKind::NotFound => builds::unknown(&path.to_string_lossy()),
                ErrorKind::IsADirectory => builds::is_folder(path),
                _ => {
                    let path = path.display();
                    let hint = format!("look who may read it: ls -l {path}");
                    Error::broken(format!("can't read {path}: {source}"), hint)
                }
            };
        }
        OpenError::Empty { path } => Some(refill(path)),
        OpenError::Foreign { .. } => {
            Some("make one: docker buildx build --progress=rawjson . 2> build.json".to_owned())
        }
        OpenError::Newer { .. } | OpenError::Pipe => None,
    };
    Error::Usage { message: error.to_string(), hint }
}

/// What to do about a file without a build: most are what buildx wrote to its standard output, which is nothing.
fn refill(path: &Path) -> String {
    if path == Path::new(builds::STDIN_FILE) {
        return builds::PIPE_ONE.to_owned();
    }
    if path.extension().is_some_and(|end| end == "zst") {
        return "name another build: layertop history lists them".to_owned();
    }
    // The path stands for one word in a shell.
    let file = crate::event::shell::quote(&path.to_string_lossy());
    format!(
        "buildx writes its progress to standard error: docker buildx build --progress=rawjson . 2> {file}"
    )
}
