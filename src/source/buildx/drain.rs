//! Reads what a child writes, on a thread of its own, whatever becomes of it.
//!
//! `BuildKit`'s client gives a build's progress up three seconds after the build has ended (moby/buildkit `client/solve.go`): what
//! was not read by then makes buildx end with 130 and `failed to receive status: … context canceled`, although the
//! build has succeeded. So nothing that happens to the lines may hold the pipe up. Where whoever decodes them does not keep up,
//! output of steps is left out and counted, and all else is kept: see [`Backlog`].

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, oneshot, watch};

use super::Chunk;
use super::backlog::Backlog;
use crate::event::Stream;

/// How much is read at once.
const READ: usize = 64 << 10;
/// What a pipe is asked to hold, so that nobody waits who writes much while it is not read.
const PIPE: i32 = 512 << 10;
/// A read that brings less has emptied the pipe of a child that writes little. To be woken for each of its lines is dear, so the pipe is
/// left alone until what was gathered is handed on.
const LITTLE: usize = 4 << 10;
/// How long what was read waits for more, so that whoever takes it is woken once for many lines: to wake costs more than a line. The
/// end of a stream waits for nothing.
const GATHER: Duration = Duration::from_millis(200);
/// How long a pipe may stay silent after the last process of the group is gone. Only a process that left the group
/// can hold it open then.
const SILENCE: Duration = Duration::from_millis(300);
/// What may be read after the group is gone: more than a pipe holds.
const TAIL: usize = 1 << 20;

/// The channels between the drain of a child's pipes and its supervisor.
#[derive(Clone)]
pub(super) struct DrainChannels {
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
    listener: DrainChannels,
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

/// A pipe. One that is waited for wakes its reader with each write, whether it is read then or not; so one that is left alone is not
/// waited for at all.
enum Pipe {
    Awaited(Receiver),
    LeftAlone(OwnedFd),
}

impl Pipe {
    /// Leaves it alone, or waits for it again.
    fn left_alone(self, rests: bool) -> io::Result<Self> {
        match (self, rests) {
            (Self::Awaited(pipe), true) => pipe.into_nonblocking_fd().map(Self::LeftAlone),
            (Self::LeftAlone(pipe), false) => Receiver::from_owned_fd(pipe).map(Self::Awaited),
            (same, _) => Ok(same),
        }
    }

    /// Reads what there is; of one that is left alone that is never.
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Awaited(pipe) => pipe.read(buffer).await,
            Self::LeftAlone(_) => std::future::pending().await,
        }
    }
}

/// Forwards a stream until it ends. Where nobody listens any more it is still read, so that the build goes on.
async fn pump(pipe: Option<OwnedFd>, stream: Stream, listener: DrainChannels) {
    let Some(pipe) = pipe else { return };
    // It holds as much as it does where that is refused.
    let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE));
    let mut open = Some(Pipe::LeftAlone(pipe));
    let DrainChannels { chunks, spoke, mut gone } = listener;
    let mut over = gone.clone();
    let mut backlog = Backlog::new(stream);
    let mut buffer = vec![0; READ];
    let mut tail = 0;
    let (mut gathered, mut gathers) = (std::pin::pin!(tokio::time::sleep(GATHER)), false);
    let mut read_little = false;
    while tail < TAIL {
        let (full, rests) = (backlog.is_full(), gathers && read_little);
        let Some(Ok(mut pipe)) = open.take().map(|pipe| pipe.left_alone(rests)) else { break };
        tokio::select! {
            biased;
            () = &mut gathered, if gathers => {
                gathers = false;
                backlog.hand_on(&chunks);
            }
            // The end is heard at once.
            _ = over.wait_for(|gone| *gone), if rests => read_little = false,
            read = pipe.read(&mut buffer), if !full => {
                let Ok(count @ 1..) = read else { break };
                read_little = count < LITTLE && !*gone.borrow();
                spoke.send_replace(true);
                if *gone.borrow() {
                    tail += count;
                }
                backlog.take(buffer.get(..count).unwrap_or_default());
                if backlog.fills_a_chunk() {
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
        open = Some(pipe);
    }
    drop(open);
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
