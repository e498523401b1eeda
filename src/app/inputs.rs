//! What is typed, as a feed.

use std::io;

use crossterm::event::{Event as Input, EventStream};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Inputs on their way: more than anybody types while a frame is drawn.
const AHEAD: usize = 64;

/// Hears what is typed. A task of its own asks crossterm, which makes every question that comes too early wait for a lock;
/// here it is asked again just when there is something.
pub(super) struct InputReader {
    received: mpsc::Receiver<io::Result<Input>>,
    task: JoinHandle<()>,
}

impl InputReader {
    pub(super) fn listen() -> Self {
        let (tx, received) = mpsc::channel(AHEAD);
        let task = tokio::spawn(async move {
            let mut inputs = EventStream::new();
            while let Some(input) = inputs.next().await {
                if tx.send(input).await.is_err() {
                    return;
                }
            }
        });
        Self { received, task }
    }

    /// What was typed next; none where nobody can type any more.
    pub(super) async fn next(&mut self) -> Option<io::Result<Input>> {
        self.received.recv().await
    }
}

impl Drop for InputReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
