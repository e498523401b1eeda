//! The child process that carries gRPC on its standard streams.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, Command};
use tonic::transport::Channel;

use super::{OutputTail, connect_http2};

/// How long setting up a connection may take.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);
/// How long a child that has lost its stream may take to say why.
const FAILURE_PATIENCE: Duration = Duration::from_secs(1);

/// The process; killed with its children when dropped.
pub(super) struct TransportChild {
    process: tokio::process::Child,
    group: Option<Pid>,
    tail: OutputTail,
    reader: tokio::task::JoinHandle<()>,
}

impl TransportChild {
    /// Starts the process and speaks HTTP/2 on its streams.
    pub(super) async fn dial(
        argv: &[String],
        env: &BTreeMap<String, String>,
    ) -> Result<(Self, Channel), String> {
        let mut command = Command::new("docker");
        command.args(argv).envs(env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: keys of the terminal are not for it, and its children go with it.
        command.process_group(0).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| format!("docker can't be started: {error}"))?;
        let (Some(input), Some(output), Some(stderr)) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take())
        else {
            return Err("docker was started without its streams".to_owned());
        };
        let group = process.id().and_then(|id| i32::try_from(id).ok()).filter(|id| *id > 1);
        let tail = OutputTail::default();
        let reader = tokio::spawn(keep(stderr, tail.clone()));
        let mut child = Self { process, group: group.map(Pid::from_raw), tail, reader };
        match tokio::time::timeout(DIAL_PATIENCE, connect_http2(tokio::io::join(output, input))).await {
            Ok(Ok(channel)) => Ok((child, channel)),
            Ok(Err(error)) => Err(child.failure_line().await.unwrap_or(error)),
            Err(_) => Err(format!("no connection in {} s", DIAL_PATIENCE.as_secs())),
        }
    }

    /// The last line of its standard error; none where it says nothing, or still runs.
    pub(super) async fn failure_line(&mut self) -> Option<String> {
        let ended = async {
            let _ = self.process.wait().await;
            // What it wrote last may still be on its way.
            let _ = (&mut self.reader).await;
        };
        tokio::time::timeout(FAILURE_PATIENCE, ended).await.ok()?;
        self.tail.last_line()
    }
}

impl Drop for TransportChild {
    fn drop(&mut self) {
        self.reader.abort();
        // The docker command runs buildx as a child of its own.
        if let Some(group) = self.group {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Keeps the end of what a child says.
async fn keep(mut stderr: ChildStderr, tail: OutputTail) {
    let mut chunk = [0; 1024];
    while let Ok(read) = stderr.read(&mut chunk).await {
        if read == 0 {
            return;
        }
        tail.append(&chunk[..read]);
    }
}
