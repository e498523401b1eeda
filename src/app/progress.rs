//! The front ends without a screen: lines for logs, JSON for programs, nothing.

use std::io::Write;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::session::{BuildSession, Feed, FeedControl, FeedUpdate};
use super::signals::{SignalNumber, Signals};
use crate::error::Error;
use crate::event::{Stamped, Time};
use crate::model::Outcome;
use crate::recording::{event_line, header_line};
use crate::report::json;
use crate::report::plain::{PlainOptions, PlainOutput};
use crate::source::buildx::Cancel;

/// How often it is looked whether a step has been silent for long.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes that wait for a reader.
const MOST_WAITING: usize = 8 << 20;

pub(super) enum ProgressWriter {
    /// Lines for a log.
    Plain(Box<PlainOutput>),
    /// Events as JSON, a summary last.
    Json(JsonWriter),
    /// Nothing.
    Quiet,
}

impl ProgressWriter {
    pub(super) fn plain(options: PlainOptions) -> Self {
        Self::Plain(Box::new(PlainOutput::new(options)))
    }

    fn write(&mut self, session: &BuildSession, events: &[Stamped], out: &mut Vec<u8>) {
        match self {
            Self::Plain(plain) => {
                let mut text = String::new();
                plain.update(&session.model, session.now(), &mut text);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Json(json) => json.write(session, events, out),
            Self::Quiet => {}
        }
    }

    fn finish(&mut self, session: &BuildSession, out: &mut Vec<u8>) {
        if matches!(self, Self::Json(_)) {
            out.extend_from_slice(json::line(&session.model, session.now()).as_bytes());
        }
    }
}

/// What has been written as JSON.
#[derive(Default)]
pub(super) struct JsonWriter {
    /// Whether the header is written.
    begun: bool,
    /// When it was last said how long it still takes.
    estimated: Option<Time>,
}

impl JsonWriter {
    fn write(&mut self, session: &BuildSession, events: &[Stamped], out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            let first = events.first().map_or_else(|| session.now(), |event| event.at);
            out.extend_from_slice(header_line(first).as_bytes());
        }
        for event in events {
            event_line(event, out);
        }
        let now = session.now();
        if self.estimated.is_none_or(|last| now.since(last) >= LOOK)
            && let Some(line) = json::estimate_line(&session.model, now)
        {
            self.estimated = Some(now);
            out.extend_from_slice(line.as_bytes());
        }
    }
}

/// Writes the feed to standard output until it ends; gives the signal that ends us, where one does.
pub(super) async fn run(
    session: &mut BuildSession,
    mut feed: Feed,
    mut writer: ProgressWriter,
    signals: &mut Signals,
) -> Result<Option<SignalNumber>, Error> {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut out = StdoutWriter::open()?;
    let (mut open, mut heard, mut ended_by) = (true, false, None);
    loop {
        let mut bytes = Vec::new();
        tokio::select! {
            biased;
            signal = signals.next() => {
                if signal == SignalNumber::SUSPEND {
                    let _ = signal_hook::low_level::emulate_default_handler(signal.0);
                } else if let (FeedControl::Build(cancel), true) = (&feed.steer, open) {
                    if signal != SignalNumber::INTERRUPT {
                        ended_by = Some(signal);
                    }
                    let _ = cancel.try_send(Cancel);
                } else {
                    return Ok(ended_by.or(Some(signal)));
                }
            }
            written = out.written(), if out.is_busy() => written?,
            update = feed.updates.recv(), if open && out.takes_more() => {
                if let Some(update) = update {
                    let vertices = session.model.vertices().count();
                    let events = session.take(update.with_more(&mut feed.updates, vertices).await);
                    writer.write(session, &events, &mut bytes);
                    heard = true;
                } else {
                    writer.finish(session, &mut bytes);
                    open = false;
                }
            }
            events = feed.around.next(), if open && out.takes_more() => {
                let events = session.take(FeedUpdate::of(events));
                writer.write(session, &events, &mut bytes);
            }
            // Before there is news nobody knows what time it is in a replay.
            _ = look.tick(), if heard && open && session.model.outcome() == Outcome::Running => {
                writer.write(session, &[], &mut bytes);
            }
        }
        session.keep();
        out.write(bytes);
        if !open && !out.is_busy() {
            return Ok(ended_by);
        }
        if out.gone && !matches!(feed.steer, FeedControl::Build(_)) {
            return Ok(None);
        }
    }
}

/// Standard output, written by a thread of its own: whoever reads it may stop to, and signals are to be heard even then. When nobody
/// reads it any more a build goes on in silence.
struct StdoutWriter {
    pieces: std::sync::mpsc::SyncSender<Vec<u8>>,
    written: mpsc::Receiver<std::io::Result<()>>,
    /// What waits for the piece that is on its way.
    waiting: Vec<u8>,
    busy: bool,
    gone: bool,
}

impl StdoutWriter {
    fn open() -> Result<Self, Error> {
        let (pieces, inbox) = std::sync::mpsc::sync_channel::<Vec<u8>>(1);
        let (done, written) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            while let Ok(piece) = inbox.recv() {
                let mut out = std::io::stdout().lock();
                if done.blocking_send(out.write_all(&piece).and_then(|()| out.flush())).is_err() {
                    return;
                }
            }
        });
        thread.map_err(|error| Error::not_written("write to", "standard output", error))?;
        Ok(Self { pieces, written, waiting: Vec::new(), busy: false, gone: false })
    }

    /// Whether something is on its way.
    fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether there is room for more. Where there is none a build waits, as it does for any reader that does not read.
    fn takes_more(&self) -> bool {
        self.waiting.len() < MOST_WAITING
    }

    /// Writes nothing more.
    fn leave(&mut self) {
        self.gone = true;
        self.waiting = Vec::new();
    }

    fn write(&mut self, bytes: Vec<u8>) {
        if self.gone {
            return;
        }
        if self.waiting.is_empty() {
            self.waiting = bytes;
        } else {
            self.waiting.extend_from_slice(&bytes);
        }
        if !self.busy && !self.waiting.is_empty() {
            self.busy = self.pieces.try_send(std::mem::take(&mut self.waiting)).is_ok();
        }
    }

    /// Waits until what is on its way is written, and sends what has waited for it.
    async fn written(&mut self) -> Result<(), Error> {
        let written = self.written.recv().await;
        self.busy = false;
        match written {
            Some(Ok(())) => self.write(Vec::new()),
            Some(Err(error)) if is_gone(&error) => self.leave(),
            Some(Err(error)) => return Err(Error::not_written("write to", "standard output", error)),
            None => self.gone = true,
        }
        Ok(())
    }
}

/// Whether nobody reads any more: the pipe is closed, or the terminal has gone.
pub(super) fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(nix::errno::Errno::EIO as i32)
}
