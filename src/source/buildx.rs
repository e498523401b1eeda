//! buildx as a child process: started in a process group of its own, listened to, cancelled, and cleaned up after.
//!
//! What `docker buildx build` does with signals, seen on Docker 28.5 with buildx 0.29 (both the `docker` command and
//! its plugin stand in the group, and both get each signal):
//!
//! - **First** (SIGINT or SIGTERM alike): the build is cancelled on the builder, its running steps are killed there
//!   even where they ignore signals, the vertices get their `context canceled`, and buildx ends with 130 within 0.1 s.
//! - With a builder that has stopped answering, buildx waits for it: the first and the **second** signal change nothing
//!   that can be seen. So half a second after the second one it is ended by SIGKILL.
//! - The **third** SIGINT or SIGTERM ends the `docker` command at once, with exit code 1 and `got 3 SIGTERM/SIGINTs,
//!   forcefully exiting`; its plugin is killed with it. Our third is SIGKILL: it needs nobody's help. The builder sees
//!   its client go, and cancels the build.
//! - **Before** buildx has written anything, a signal may be lost: see `supervise`.

pub(super) mod args;
mod backlog;
pub mod command;
mod drain;
pub mod plugin;
pub mod program;
pub mod secrets;

use std::fmt;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::sync::{mpsc, watch};

use crate::error::Error;
use crate::event::Stream;

pub use command::BuildCommand;
pub use program::Program;

use super::group::ProcessGroup;

/// How long buildx has to end when it was asked for the second time. With a builder that does not answer it never does.
pub(super) const PRESSURE: Duration = Duration::from_millis(500);
/// The exit code of a build that was cancelled.
pub const CANCELLED: u8 = 130;

/// What is to be started.
#[derive(Clone, Default)]
pub struct Process {
    /// The program, looked for in `PATH`.
    pub program: PathBuf,
    pub argv: Vec<String>,
    /// What its environment has beside ours. Values may be secret.
    pub env: Vec<(String, String)>,
    pub cwd: PathBuf,
    /// Whether it reads our standard input. A terminal is not handed over: its keys are ours.
    pub stdin: bool,
    /// How long it has to end when it was asked for the second time; none: until it is asked for the third time.
    pub pressure: Option<Duration>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Bytes as they came, in the order in which their stream had them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// On which of the streams.
    pub stream: Stream,
    /// Output of steps that came faster than it was taken, and stood before these bytes.
    pub left_out: Vec<OmittedOutput>,
    /// A piece of what was written, cut anywhere.
    pub bytes: Vec<u8>,
}

/// Output of a step that was left out of the progress stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OmittedOutput {
    /// The digest of the step's vertex.
    pub vertex: String,
    /// On which of the step's streams it was.
    pub stream: Stream,
    /// How much it was.
    pub bytes: u64,
}

/// The user asks the build to stop. The first time it gets SIGINT, then SIGTERM with half a second to end, then SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel;

/// How the child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u8),
    Signal(u8),
}

impl Exit {
    /// The exit code as a shell gives it: `128 + n` for signal n.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => i32::from(code),
            Self::Signal(number) => 128 + i32::from(number),
        }
    }

    /// What the command of a user ends with.
    ///
    /// # Errors
    ///
    /// Any end but exit code 0.
    pub fn result(self) -> Result<(), Error> {
        match self {
            Self::Code(0) => Ok(()),
            Self::Code(code) => Err(Error::Exit(code)),
            Self::Signal(number) => Err(Error::Signal(number)),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(byte(code)),
            (None, signal) => Self::Signal(byte(signal.unwrap_or_default())),
        }
    }
}

/// Runs a process to its end. All that it writes goes to `chunks`. A full channel does not make it wait: then output of steps is
/// left out of the progress stream and counted, and nothing else is lost. Each message of `cancels` is one more step towards its end. When this returns, or is dropped, no process of its
/// group is left.
///
/// # Errors
///
/// It can't be started.
pub async fn run(
    process: Process,
    chunks: mpsc::Sender<Chunk>,
    mut cancels: mpsc::Receiver<Cancel>,
) -> Result<Exit, Error> {
    let mut child = spawn(&process)?;
    let mut group = ProcessGroup::led_by(&child);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (gone, is_gone) = watch::channel(false);
    let spoke = watch::Sender::new(false);
    let failed = |source| Error::io("listen to", &process.program, source);
    let out = out.map(ChildStdout::into_owned_fd).transpose().map_err(failed)?;
    let err = err.map(ChildStderr::into_owned_fd).transpose().map_err(failed)?;
    let listener = drain::DrainChannels { chunks, spoke: spoke.clone(), gone: is_gone };
    let drained = drain::start(out, err, listener).map_err(failed)?;
    let supervised = async {
        let status = supervise(&mut child, &group, &mut cancels, &spoke, process.pressure).await;
        group.sweep().await;
        gone.send_replace(true);
        status
    };
    let (status, _) = tokio::join!(supervised, drained);
    group.disarm();
    status.map_err(|source| Error::io("wait for", &process.program, source))
}

fn spawn(process: &Process) -> Result<Child, Error> {
    let inherits = process.stdin && !std::io::stdin().is_terminal();
    let stdin = if inherits { Stdio::inherit() } else { Stdio::null() };
    let mut command = tokio::process::Command::new(&process.program);
    command.args(&process.argv).envs(process.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&process.cwd).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Of its own, so that a Ctrl-C of the terminal reaches us alone, and one signal reaches all of it.
    command.process_group(0).kill_on_drop(true);
    command.spawn().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound if process.cwd.is_dir() => Error::unavailable(
            format!("{} is not in PATH", process.program.display()),
            "install Docker with its buildx plugin: https://docs.docker.com/engine/install",
        ),
        _ => Error::io("start", &process.program, source),
    })
}

/// Waits for the leader's end, and passes on what the user asks for meanwhile.
///
/// The `docker` command swallows a signal that comes before it has started its plugin, which then builds on as if nothing
/// had been. So what was sent before the first word is sent again after it.
async fn supervise(
    child: &mut Child,
    group: &ProcessGroup,
    cancels: &mut mpsc::Receiver<Cancel>,
    spoke: &watch::Sender<bool>,
    pressure: Option<Duration>,
) -> std::io::Result<Exit> {
    let mut steps = [Signal::SIGINT, Signal::SIGTERM].into_iter();
    let mut listening = true;
    let mut unheard = None;
    let mut has_spoken = spoke.subscribe();
    let (mut pressed, mut killed) = (false, false);
    let mut late = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
    loop {
        tokio::select! {
            // Who asked for an end by force has cancelled the build: its code is that of a build that was cancelled.
            status = child.wait() => return status.map(|status| match Exit::from(status) {
                Exit::Signal(_) if killed => Exit::Code(CANCELLED),
                exit => exit,
            }),
            asked = cancels.recv(), if listening => match asked {
                Some(Cancel) => {
                    let signal = steps.next().unwrap_or(Signal::SIGKILL);
                    group.send(signal);
                    unheard = Some(signal).filter(|_| !*spoke.borrow());
                    killed |= signal == Signal::SIGKILL;
                    if let Some(pressure) = pressure.filter(|_| signal == Signal::SIGTERM) {
                        pressed = true;
                        late.set(tokio::time::sleep(pressure));
                    }
                }
                None => listening = false,
            },
            () = &mut late, if pressed && !killed => {
                killed = true;
                group.send(Signal::SIGKILL);
            }
            // The sender lives as long as this is asked.
            _ = has_spoken.wait_for(|spoke| *spoke), if unheard.is_some() => {
                unheard.take().into_iter().for_each(|signal| group.send(signal));
            }
        }
    }
}
