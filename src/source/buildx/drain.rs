//! Reads what a child writes, on a thread of its own, whatever becomes of it.
//!
//! `BuildKit`'s client gives a build's progress up three seconds after the build has ended (moby/buildkit `client/solve.go`): what
//! was not read by then makes buildx end with 130 and `failed to receive status: … context canceled`, although the
//! build has succeeded. So nothing that happens to the lines may hold the pipe up. Where whoever decodes them does not keep up,
//! output of steps is left out and counted, and all else is kept.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::Finder;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Chunk, LeftOut};
use crate::event::Stream;

/// How much is read at once: what a pipe holds.
const READ: usize = 64 << 10;
/// How much is handed on at once.
const CHUNK: usize = 32 << 10;
/// How long what was read waits for more, so that whoever takes it is woken once for many lines: to wake costs more than a line. The
/// end of a stream waits for nothing.
const GATHER: Duration = Duration::from_millis(100);
/// Bytes that wait for the decoder before output of steps is left out.
const PATIENCE: usize = 1 << 20;
/// Bytes that wait where there is nothing to leave out; then the child waits.
const MOST: usize = 16 << 20;
/// How long a pipe may stay silent after the last process of the group is gone. Only a process that left the group
/// can hold it open then.
const SILENCE: Duration = Duration::from_millis(300);
/// What may be read after the group is gone: more than a pipe holds.
const TAIL: usize = 1 << 20;

/// What the two ends of a child's pipes have to know of each other.
#[derive(Clone)]
pub(super) struct Listener {
    pub(super) chunks: mpsc::Sender<Chunk>,
    /// Whether the child has written anything.
    pub(super) spoke: watch::Sender<bool>,
    /// Whether its group is gone.
    pub(super) gone: watch::Receiver<bool>,
}

/// Reads both pipes until they end. What is returned is told when they have.
pub(super) fn start(
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    listener: Listener,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let (tell, done) = oneshot::channel();
    std::thread::Builder::new().name("drain".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::join!(
                pump(out, Stream::Stdout, listener.clone()),
                pump(err, Stream::Stderr, listener.clone())
            )
        });
        // Nobody waits for it where the build was dropped.
        let _ = tell.send(());
    })?;
    Ok(done)
}

/// Forwards a stream until it ends. Where nobody listens any more it is still read, so that the build goes on.
async fn pump(pipe: Option<OwnedFd>, stream: Stream, listener: Listener) {
    let Some(mut pipe) = pipe.and_then(|pipe| Receiver::from_owned_fd(pipe).ok()) else { return };
    let Listener { chunks, spoke, mut gone } = listener;
    let mut backlog = Backlog::new(stream);
    let mut buffer = vec![0; READ];
    let mut tail = 0;
    let (mut gathered, mut gathers) = (std::pin::pin!(tokio::time::sleep(GATHER)), false);
    while tail < TAIL {
        let full = backlog.is_full();
        tokio::select! {
            biased;
            () = &mut gathered, if gathers => {
                gathers = false;
                backlog.hand_on(&chunks);
            }
            read = pipe.read(&mut buffer), if !full => {
                let Ok(count @ 1..) = read else { break };
                spoke.send_replace(true);
                if *gone.borrow() {
                    tail += count;
                }
                backlog.take(buffer.get(..count).unwrap_or_default());
                if backlog.rest().len() >= CHUNK {
                    gathers = false;
                    backlog.hand_on(&chunks);
                } else if !gathers {
                    gathers = true;
                    gathered.set(tokio::time::sleep(GATHER));
                }
            }
            permit = chunks.reserve(), if !gathers && !backlog.is_empty() => match permit {
                Ok(permit) => permit.send(backlog.next()),
                Err(_) => backlog.clear(),
            },
            () = abandoned(&mut gone), if !full => break,
        }
    }
    drop(pipe);
    while !backlog.is_empty() {
        if chunks.send(backlog.next()).await.is_err() {
            return;
        }
    }
}

/// Returns when the group has been gone for a while.
async fn abandoned(gone: &mut watch::Receiver<bool>) {
    // The sender lives as long as this is asked; were it gone, so would be the group.
    let _ = gone.wait_for(|gone| *gone).await;
    tokio::time::sleep(SILENCE).await;
}

/// What was read of a stream and not yet handed on.
struct Backlog {
    stream: Stream,
    bytes: Vec<u8>,
    /// How much of the front of `bytes` is handed on.
    used: usize,
    /// Whether what comes next is the rest of a line whose beginning was handed on.
    within: bool,
    /// Output that was left out behind that line.
    left_out: Vec<LeftOut>,
    /// How large it may become before output is left out: more each time that there was little of it.
    patience: usize,
}

impl Backlog {
    fn new(stream: Stream) -> Self {
        Self { stream, bytes: Vec::new(), used: 0, within: false, left_out: Vec::new(), patience: PATIENCE }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.rest().is_empty() && self.left_out.is_empty()
    }

    fn is_full(&self) -> bool {
        self.rest().len() >= MOST
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.used = 0;
        self.left_out.clear();
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.used > self.rest().len() {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
        // What is on standard output is no progress.
        if self.stream == Stream::Stderr && self.rest().len() > self.patience {
            self.leave_out();
            self.patience = PATIENCE.max(2 * self.rest().len());
        }
    }

    /// Hands on what there is room for.
    fn hand_on(&mut self, chunks: &mpsc::Sender<Chunk>) {
        while !self.is_empty() {
            match chunks.try_reserve() {
                Ok(permit) => permit.send(self.next()),
                Err(TrySendError::Full(())) => return,
                Err(TrySendError::Closed(())) => self.clear(),
            }
        }
    }

    /// What is handed on next. What was left out is told where a line begins.
    fn next(&mut self) -> Chunk {
        let rest = self.rest();
        let mut length = rest.len().min(CHUNK);
        let mut left_out = Vec::new();
        if !self.left_out.is_empty() {
            match memchr::memchr(b'\n', rest).filter(|_| self.within) {
                Some(end) => length = end + 1,
                None => left_out = std::mem::take(&mut self.left_out),
            }
        }
        let bytes = self.rest().get(..length).unwrap_or_default().to_vec();
        self.within = bytes.last().map_or(self.within, |last| *last != b'\n');
        self.used += length;
        if self.rest().is_empty() {
            self.bytes.clear();
            self.used = 0;
        }
        Chunk { stream: self.stream, left_out, bytes }
    }

    /// Leaves out the lines that hold nothing but output of steps. Lines that are not whole stay.
    fn leave_out(&mut self) {
        let rest = self.bytes.get(self.used..).unwrap_or_default();
        let first =
            if self.within { memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1) } else { 0 };
        let (head, lines) = rest.split_at(first);
        let mut kept = head.to_vec();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if !(line.ends_with(b"\n") && output_of(line, &mut self.left_out)) {
                kept.extend_from_slice(line);
            }
        }
        self.bytes = kept;
        self.used = 0;
    }
}

/// Counts the output in a line of the stream that holds nothing else; whether it is such a line.
fn output_of(line: &[u8], counted: &mut Vec<LeftOut>) -> bool {
    static WARNINGS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"],\"warnings\":["));
    static DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"data\":\""));
    // The order of the fields is that of buildx's struct: what else a line holds stands before its output, or is a warning.
    if !line.starts_with(b"{\"logs\":[") || WARNINGS.find(line).is_some() {
        return false;
    }
    let mut rest = line;
    while let Some(at) = DATA.find(rest) {
        let (head, tail) = rest.split_at(at + b"\"data\":\"".len());
        let end = memchr::memchr(b'"', tail).unwrap_or(tail.len());
        let vertex = value(head, b"\"vertex\":\"").and_then(|vertex| str::from_utf8(vertex).ok());
        let stream =
            if head.ends_with(b"\"stream\":2,\"data\":\"") { Stream::Stderr } else { Stream::Stdout };
        let bytes = end as u64 / 4 * 3;
        if let Some(vertex) = vertex {
            match counted.iter_mut().find(|one| one.vertex == vertex && one.stream == stream) {
                Some(known) => known.bytes += bytes,
                None => counted.push(LeftOut { vertex: vertex.to_owned(), stream, bytes }),
            }
        }
        rest = tail.get(end..).unwrap_or_default();
    }
    true
}

/// The string that stands last behind `name`.
fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::rfind(head, name)? + name.len();
    head.get(at..)?.split(|byte| *byte == b'"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(vertex: &str, data: &str) -> String {
        format!(
            "{{\"logs\":[{{\"vertex\":\"{vertex}\",\"stream\":1,\"data\":\"{data}\",\"timestamp\":\"2026-11-22T00:00:00Z\"}}]}}\n"
        )
    }

    /// What is handed on of a stream of which nobody takes anything before its end.
    fn after_a_standstill(stream: &str, taken: usize) -> (String, Vec<LeftOut>) {
        let mut backlog = Backlog::new(Stream::Stderr);
        backlog.patience = 64;
        let (mut text, mut left_out) = (String::new(), Vec::new());
        for (at, piece) in stream.as_bytes().chunks(50).enumerate() {
            backlog.take(piece);
            if at < taken {
                text.push_str(str::from_utf8(&backlog.next().bytes).unwrap());
            }
            backlog.patience = 64;
        }
        while !backlog.is_empty() {
            let chunk = backlog.next();
            let begins = text.is_empty() || text.ends_with('\n');
            assert!(chunk.left_out.is_empty() || begins, "{text}");
            left_out.extend(chunk.left_out);
            text.push_str(str::from_utf8(&chunk.bytes).unwrap());
        }
        (text, left_out)
    }

    #[test]
    fn only_output_is_left_out_and_it_is_counted() {
        let data = "YQo=".repeat(100);
        let vertex = "{\"vertexes\":[{\"digest\":\"sha256:a\",\"name\":\"x\"}]}\n";
        let mixed = "{\"vertexes\":[{\"digest\":\"sha256:b\"}],\"logs\":[{\"vertex\":\"sha256:b\",\"data\":\"YQo=\"}]}\n";
        let warning = "{\"logs\":[{\"vertex\":\"sha256:b\",\"data\":\"YQo=\"}],\"warnings\":[{\"vertex\":\"sha256:b\"}]}\n";
        let stream = [
            &log("sha256:a", &data),
            vertex,
            &log("sha256:b", &data),
            mixed,
            &log("sha256:a", &data),
            warning,
            "ERROR: x\n",
        ]
        .concat();
        let (text, left_out) = after_a_standstill(&stream, 0);
        assert_eq!(text, [vertex, mixed, warning, "ERROR: x\n"].concat());
        let all = |vertex: &str| -> u64 {
            left_out.iter().filter(|one| one.vertex == vertex).map(|one| one.bytes).sum()
        };
        assert_eq!([all("sha256:a"), all("sha256:b")], [600, 300]);
        assert!(left_out.iter().all(|one| one.stream == Stream::Stdout));
    }

    #[test]
    fn a_line_that_has_begun_comes_whole() {
        let lines: Vec<String> = (0..20).map(|n| log("sha256:a", &"YQo=".repeat(n * 10))).collect();
        for taken in 0..10 {
            let (text, _) = after_a_standstill(&lines.concat(), taken);
            assert!(text.is_empty() || text.ends_with('\n'), "{text}");
            let whole = |line: &str| lines.iter().any(|known| known.trim_end() == line);
            assert!(text.lines().all(whole), "{text}");
        }
    }

    #[test]
    fn what_is_no_progress_is_kept_until_the_child_waits() {
        let mut backlog = Backlog::new(Stream::Stdout);
        while !backlog.is_full() {
            backlog.take(log("sha256:a", &"YQo=".repeat(10_000)).as_bytes());
        }
        assert!(backlog.rest().len() >= MOST && backlog.left_out.is_empty());
    }
}
