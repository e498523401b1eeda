//! `build`: the command, what is known before it runs, and the child as a feed.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::session::{Feed, Steer, Update};
use crate::clock::Clock;
use crate::config::Config;
use crate::dockerfile;
use crate::error::Error;
use crate::event::{
    Cancelling, Ended, Event, Level, Mask, Notice, Outline, Output, Sanitizer, Stamped, Stream, Text,
};
use crate::source::buildx::{self, BuildCommand, Cancel, Chunk};
use crate::source::rawjson::Decoder;

/// Chunks on their way from the child, and batches on their way to the front end.
const AHEAD: usize = 64;
/// Requests to cancel that are kept; from the third on they change nothing.
const CANCELS: usize = 4;

/// A build that runs: its feed, and how it will have ended.
pub(super) struct Running {
    pub(super) feed: Feed,
    pub(super) end: JoinHandle<Result<i32, Error>>,
}

/// Starts the build. What is known before it comes first.
pub(super) fn start(command: BuildCommand, config: &Config, clock: Clock) -> Running {
    let (tx, updates) = mpsc::channel(AHEAD);
    let (cancel, asked) = mpsc::channel(CANCELS);
    let known = before(&command, config, clock);
    let end = tokio::spawn(drive(command, known, clock, tx, asked));
    Running { feed: Feed { updates, steer: Steer::Build(cancel) }, end }
}

/// What is known before the first vertex: what is built, what the Dockerfile says, what is wrong with the configuration.
fn before(command: &BuildCommand, config: &Config, clock: Clock) -> Vec<Stamped> {
    let mut events = vec![Event::Started(command.started())];
    match command.dockerfile.as_deref().map(|path| outline(path, command, config)) {
        Some(Ok(outline)) => events.push(Event::Outline(outline)),
        Some(Err(trouble)) => {
            events.push(Event::Outline(Outline { rules: config.rules(), ..Outline::default() }));
            events.push(notice(Level::Warn, &trouble));
        }
        None => events.push(Event::Outline(Outline { rules: config.rules(), ..Outline::default() })),
    }
    events.extend(config.warnings.iter().map(|problem| {
        let place = problem.place.as_ref().map(|place| format!(":{}:{}", place.line, place.column));
        let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let file = problem.file.display();
        notice(Level::Warn, &format!("{file}{}: {}{hint}", place.unwrap_or_default(), problem.message))
    }));
    let at = clock.now();
    events.into_iter().map(|event| Stamped { at, event }).collect()
}

fn outline(path: &Path, command: &BuildCommand, config: &Config) -> Result<Outline, String> {
    let text = std::fs::read(path).map_err(|error| {
        format!("can't read {}: {error}; name the Dockerfile by -f or [build] dockerfile", path.display())
    })?;
    let file = dockerfile::parse(&String::from_utf8_lossy(&text));
    let mut outline = file.outline(command.target.as_deref(), &arguments(command), &config.rules());
    // A secret may stand in a default or come in by an argument.
    let mask = Mask::new(command.secrets.iter().cloned());
    for step in outline.stages.iter_mut().flat_map(|stage| &mut stage.steps) {
        step.instruction = mask.text(step.instruction.as_str());
    }
    Ok(outline)
}

/// The build arguments of a command: `--build-arg NAME=VALUE`, or `NAME` with its value in the environment.
fn arguments(command: &BuildCommand) -> BTreeMap<String, String> {
    let mut words = command.argv.iter();
    let mut arguments = BTreeMap::new();
    while let Some(word) = words.next() {
        let argument = match word.strip_prefix("--build-arg") {
            Some("") => words.next().map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        match argument.map(|argument| argument.split_once('=').ok_or(argument)) {
            Some(Ok((name, value))) => arguments.insert(name.to_owned(), value.to_owned()),
            Some(Err(name)) => {
                std::env::var(name).ok().and_then(|value| arguments.insert(name.to_owned(), value))
            }
            None => None,
        };
    }
    arguments
}

fn notice(level: Level, text: &str) -> Event {
    Event::Notice(Notice { level, text: Text::clean(text) })
}

/// Runs the child and turns what it says into updates, until it is gone.
async fn drive(
    command: BuildCommand,
    known: Vec<Stamped>,
    clock: Clock,
    tx: mpsc::Sender<Update>,
    mut asked: mpsc::Receiver<Cancel>,
) -> Result<i32, Error> {
    let mut voice =
        Voice { tx, decoder: Decoder::new(Mask::new(command.secrets.clone())), stdout: Sanitizer::default() };
    let mask = Mask::new(command.secrets.clone());
    voice.say(known).await;
    let (chunks, mut heard) = mpsc::channel::<Chunk>(AHEAD);
    let (cancels, passed_on) = mpsc::channel(CANCELS);
    let child = buildx::run(command.process(), chunks, passed_on);
    let mut child = std::pin::pin!(child);
    let (mut ended, mut count, mut listening) = (None, 0, true);
    while ended.is_none() || listening {
        tokio::select! {
            biased;
            Some(cancel) = asked.recv() => {
                count += 1;
                voice.say(vec![Stamped { at: clock.now(), event: Event::Cancelling(Cancelling { count }) }]).await;
                // A full channel holds all that makes a difference.
                let _ = cancels.try_send(cancel);
            }
            chunk = heard.recv(), if listening => match chunk {
                Some(chunk) => {
                    let mut events = Vec::new();
                    voice.hear(&chunk, &mask, clock, &mut events);
                    while let Some(chunk) = heard.try_recv().ok().filter(|_| events.len() < 4096) {
                        voice.hear(&chunk, &mask, clock, &mut events);
                    }
                    voice.say(events).await;
                }
                None => listening = false,
            },
            end = &mut child, if ended.is_none() => ended = Some(end),
        }
    }
    let mut events = Vec::new();
    let at = clock.now();
    voice.decoder.finish(at, &mut events);
    let mut lines = Vec::new();
    voice.stdout.finish(&mask, &mut lines);
    events.extend(lines.into_iter().map(|line| said(clock, line)));
    let end = match ended {
        Some(end) => end.map(buildx::Exit::code),
        None => Ok(1),
    };
    let exit_code = match &end {
        Ok(code) => *code,
        Err(error) => {
            events.push(Stamped { at, event: notice(Level::Error, &error.to_string()) });
            i32::from(error.exit_code())
        }
    };
    events.push(Stamped { at: clock.now(), event: Event::Ended(Ended { exit_code: Some(exit_code) }) });
    voice.say(events).await;
    end
}

/// What the child says, as events.
struct Voice {
    tx: mpsc::Sender<Update>,
    decoder: Decoder,
    stdout: Sanitizer,
}

impl Voice {
    fn hear(&mut self, chunk: &Chunk, mask: &Mask, clock: Clock, events: &mut Vec<Stamped>) {
        match chunk.stream {
            Stream::Stderr => self.decoder.feed(clock.now(), &chunk.bytes, events),
            Stream::Stdout => {
                let mut lines = Vec::new();
                self.stdout.feed(&chunk.bytes, mask, &mut lines);
                events.extend(lines.into_iter().map(|line| said(clock, line)));
            }
        }
    }

    /// Hands events on. A front end that is gone hears nothing; the build goes on without it until the program ends.
    async fn say(&self, events: Vec<Stamped>) {
        if !events.is_empty() {
            let _ = self.tx.send(Update { reset: false, events, replay: None }).await;
        }
    }
}

fn said(clock: Clock, line: crate::event::Line) -> Stamped {
    Stamped { at: clock.now(), event: Event::Output(Output { stream: Stream::Stdout, line }) }
}
