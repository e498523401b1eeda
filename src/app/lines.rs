//! The front ends without a screen: lines for logs, JSON for programs, nothing.

use std::io::Write;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::session::{Feed, Session, Steer, Update};
use super::signals::{Number, Signals};
use crate::error::Error;
use crate::event::{Stamped, Time};
use crate::model::Outcome;
use crate::recording::{event_line, header_line};
use crate::report::json;
use crate::report::plain::{Options, Plain};
use crate::source::buildx::Cancel;

/// How often it is looked whether a step has been silent for long.
const LOOK: Duration = Duration::from_secs(1);

/// What is written.
pub(super) enum Writer {
    /// Lines for a log.
    Plain(Box<Plain>),
    /// Events as JSON, a summary last.
    Json(Json),
    /// Nothing.
    Quiet,
}

impl Writer {
    pub(super) fn plain(options: Options) -> Self {
        Self::Plain(Box::new(Plain::new(options)))
    }

    fn write(&mut self, session: &Session, events: &[Stamped], out: &mut Vec<u8>) {
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

    fn finish(&mut self, session: &Session, out: &mut Vec<u8>) {
        if matches!(self, Self::Json(_)) {
            out.extend_from_slice(json::line(&session.model, session.now()).as_bytes());
        }
    }
}

/// What has been written as JSON.
#[derive(Default)]
pub(super) struct Json {
    /// Whether the header is written.
    begun: bool,
    /// When it was last said how long it still takes.
    estimated: Option<Time>,
}

impl Json {
    fn write(&mut self, session: &Session, events: &[Stamped], out: &mut Vec<u8>) {
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
    session: &mut Session,
    mut feed: Feed,
    mut writer: Writer,
    signals: &mut Signals,
) -> Result<Option<Number>, Error> {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut out = Out { gone: false };
    let mut ended_by = None;
    loop {
        let mut bytes = Vec::new();
        tokio::select! {
            biased;
            signal = signals.next() => {
                if signal == Number::SUSPEND {
                    let _ = signal_hook::low_level::emulate_default_handler(signal.0);
                } else if let Steer::Build(cancel) = &feed.steer {
                    if signal != Number::INTERRUPT {
                        ended_by = Some(signal);
                    }
                    let _ = cancel.try_send(Cancel);
                } else {
                    return Ok(Some(signal));
                }
            }
            update = feed.updates.recv() => {
                let Some(update) = update else {
                    writer.finish(session, &mut bytes);
                    out.put(&bytes)?;
                    return Ok(ended_by);
                };
                let events = session.take(update);
                writer.write(session, &events, &mut bytes);
            }
            events = feed.around.next() => {
                let events = session.take(Update::news(events));
                writer.write(session, &events, &mut bytes);
            }
            _ = look.tick(), if session.model.outcome() == Outcome::Running => {
                writer.write(session, &[], &mut bytes);
            }
        }
        session.keep();
        out.put(&bytes)?;
        if out.gone && !matches!(feed.steer, Steer::Build(_)) {
            return Ok(None);
        }
    }
}

/// Standard output. When nobody reads it any more a build goes on in silence.
struct Out {
    gone: bool,
}

impl Out {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() || self.gone {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => self.gone = true,
            Err(error) => return Err(Error::io("write to", "standard output", error)),
            Ok(()) => {}
        }
        Ok(())
    }
}
