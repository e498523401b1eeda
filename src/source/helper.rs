//! Programs that are asked one thing: helpers for credentials. Each has a limit, and none outlives its question.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::group::ProcessGroup;

/// No answer is longer.
const MOST: u64 = 1 << 20;

/// Exit status and output of a program that ended.
pub(super) struct HelperOutput {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl HelperOutput {
    /// The last line of its complaints; empty where it has none.
    pub(super) fn last_error_line(&self) -> String {
        let said = String::from_utf8_lossy(&self.stderr);
        said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
    }
}

/// Why there is no output of a program.
pub(super) enum HelperError {
    /// It does not start.
    NoStart(io::Error),
    /// Its streams can't be read.
    Broken(io::Error),
    /// It has not ended in time.
    Late,
}

/// Runs a program on `input` and waits for its end, no longer than `patience`. It leads a process group, which ends with the
/// question, whatever becomes of that: what such a program starts (a browser's driver, `sleep`) is as little to be left behind.
pub(super) async fn ask(
    mut command: Command,
    input: &[u8],
    patience: Duration,
) -> Result<HelperOutput, HelperError> {
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(HelperError::NoStart)?;
    let _group = ProcessGroup::led_by(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let writing = async move {
        if let Some(mut stdin) = stdin {
            // One that does not read what it is asked says so by its exit code.
            let _ = stdin.write_all(input).await;
        }
    };
    let asking = async {
        let ((), stdout, stderr, status) = tokio::join!(writing, read(stdout), read(stderr), child.wait());
        Ok(HelperOutput { status: status?, stdout: stdout?, stderr: stderr? })
    };
    match timeout(patience, asking).await {
        Err(_) => Err(HelperError::Late),
        Ok(said) => said.map_err(HelperError::Broken),
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(MOST).read_to_end(&mut bytes).await?;
        // Who writes more than anybody reads would never end.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}
