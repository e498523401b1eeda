//! `build`: the command, what is known before it runs, and the child as a feed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::session::{Feed, FeedControl, FeedUpdate};
use super::watchers::{WatchTargets, Watchers};
use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::dockerfile;
use crate::error::Error;
use crate::event::{
    Cancelling, Ended, Event, Level, Line, LineBuffer, Mask, Notice, Outline, Output, Sanitizer, Stamped,
    Started, Stream, Text, Watching, amount,
};
use crate::model::name::{self, VertexKind};
use crate::model::outcome::lost_stream;
use crate::source::buildx::{self, BuildCommand, Cancel, Chunk, Exit, Program, secrets};
use crate::source::docker::{self, Diagnosis};
use crate::source::evidence::EarlierListings;
use crate::source::rawjson::Decoder;
use crate::source::{builder, context, evidence, git};

/// Chunks on their way from the child, and batches on their way to the front end. What waits is memory: a chunk of empty lines
/// becomes a batch that is fifty times as large.
const AHEAD: usize = 8;
/// Requests to cancel that are kept; from the third on they change nothing.
const CANCELS: usize = 4;
/// Events that are handed on at once, and what they may take of memory.
const MANY: usize = 4096;
const HEAVY: usize = 256 << 10;
/// What is kept of the text that may tell why a build can't begin.
const LONGEST_COMPLAINT: usize = 16 << 10;

/// What is told where buildx gives the stream up, and with it the build.
const LOST_STREAM: &str = "buildx lost the builder's progress stream, and nobody has cancelled the build: it may have ended well. \
                           See what became of it: docker buildx history ls";

/// A build that runs: its feed, and how it will have ended.
pub(super) struct RunningBuild {
    pub(super) feed: Feed,
    pub(super) end: JoinHandle<Result<BuildEnd, Error>>,
}

/// How a build ended.
pub(super) struct BuildEnd {
    /// The exit code of its process.
    pub(super) exit_code: i32,
    /// Why it could not begin, where it could not.
    pub(super) diagnosis: Option<Diagnosis>,
    /// Whether it was stopped: it was asked to end, and did not come to a good end all the same.
    pub(super) stopped: bool,
}

/// Starts the build. What is known before it comes first.
pub(super) fn start(
    command: BuildCommand,
    config: &Config,
    around: &Surroundings,
    targets: WatchTargets,
    earlier: EarlierListings,
    clock: Clock,
) -> RunningBuild {
    let (tx, updates) = mpsc::channel(AHEAD);
    let (cancel, asked) = mpsc::channel(CANCELS);
    let mut known = before(&command, config, clock);
    let watches = *config.health.watch;
    let watching = if watches { targets.watching() } else { Watching::default() };
    known.push(Stamped { at: clock.now(), event: Event::Watching(watching) });
    // The channel is empty: this comes first, whatever else is heard of by then.
    let _ = tx.try_send(FeedUpdate::of(known));
    let evidence = evidence::EvidenceSettings {
        listings: targets.builder.listings.clone(),
        earlier,
        beside_build: true,
        ..evidence_of(&command, config, around)
    };
    let task = EvidenceTask::start(&command, evidence, around, clock);
    let builder = watches.then(|| targets.builder.clone());
    let end = tokio::spawn(drive(command, around.clone(), clock, tx, asked, (task, builder)));
    let around = if watches { Watchers::watch(targets, clock) } else { Watchers::nothing() };
    RunningBuild { feed: Feed { updates, steer: FeedControl::Build(cancel), around }, end }
}

/// The command that builds, with the secrets that stand in its Dockerfile among those that are masked. `typed` are the words behind `--`.
pub(super) fn command(
    config: &Config,
    typed: &[String],
    program: Program,
    around: &Surroundings,
) -> Result<BuildCommand, Error> {
    let mut command = BuildCommand::new(config, typed, program, around, &secrets::read_file)?;
    let request = context::FingerprintRequest::of(&command, around);
    command.secrets.extend(request.map(|request| context::hidden(&request)).unwrap_or_default());
    Ok(command)
}

/// What is known before the first vertex: what is built, what the Dockerfile says, what is wrong with the configuration.
pub(super) fn before(command: &BuildCommand, config: &Config, clock: Clock) -> Vec<Stamped> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = Some(Text::clean(&host)).filter(|host| !host.is_empty());
    let folder = folder(config);
    let mut events = vec![Event::Started(Started { host, folder, ..command.started() })];
    match command.dockerfile.as_deref().map(|path| outline(path, command, config)) {
        Some(Ok(outline)) => events.push(Event::Outline(outline)),
        Some(Err(trouble)) => {
            events.push(Event::Outline(Outline { rules: config.rules(), ..Outline::default() }));
            events.push(notice(Level::Warn, &trouble));
        }
        None => events.push(Event::Outline(Outline { rules: config.rules(), ..Outline::default() })),
    }
    events.extend(warnings(config).map(|text| notice(Level::Warn, &text)));
    let at = clock.now();
    events.into_iter().map(|event| Stamped { at, event }).collect()
}

/// What is wrong with a configuration that can be used all the same.
pub(super) fn warnings(config: &Config) -> impl Iterator<Item = String> + '_ {
    config.warnings.iter().map(|problem| {
        let place = problem.place.as_ref().map(|place| format!(":{}:{}", place.line, place.column));
        let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}{}: {}{hint}", problem.file.display(), place.unwrap_or_default(), problem.message)
    })
}

/// The project's folder, by which its builds are known where it names no image.
pub(super) fn folder(config: &Config) -> Option<Text> {
    let folder = config.folder.canonicalize().ok()?;
    Some(Text::clean(folder.to_str()?)).filter(|folder| !folder.is_empty())
}

fn outline(path: &Path, command: &BuildCommand, config: &Config) -> Result<Outline, String> {
    // A pipe is left to buildx: what is read of it is gone, and there may be nobody who writes it.
    let text = context::read_small(path)
        .map_err(|error| format!("can't read {}: {error}; {}", path.display(), context::NAME_IT))?;
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
    around: Surroundings,
    clock: Clock,
    tx: mpsc::Sender<FeedUpdate>,
    mut asked: mpsc::Receiver<Cancel>,
    (mut task, watched): (EvidenceTask, Option<builder::BuilderSettings>),
) -> Result<BuildEnd, Error> {
    let mut output = OutputDecoder::new(&command, clock, tx);
    let plugin = buildx::plugin::behind_docker(&around.env);
    let (chunks, mut heard) = mpsc::channel::<Chunk>(AHEAD);
    let (cancels, passed_on) = mpsc::channel(CANCELS);
    let mut child = std::pin::pin!(buildx::run(command.process(plugin), chunks, passed_on));
    let (mut ended, mut count, mut listening) = (None, 0, true);
    let exit = loop {
        tokio::select! {
            biased;
            Some(cancel) = asked.recv() => {
                count += 1;
                output.send(vec![output.now(Event::Cancelling(Cancelling { count }))]).await;
                // A full channel holds all that makes a difference.
                let _ = cancels.try_send(cancel);
            }
            chunk = heard.recv(), if listening => {
                listening = chunk.is_some();
                let (mut events, mut weight) = (Vec::new(), 0);
                let mut next = chunk;
                while let Some(chunk) = next {
                    let before = events.len();
                    output.decode(&chunk, &mut events);
                    weight += events[before..].iter().map(|event| event.event.weight()).sum::<usize>();
                    next = if events.len() < MANY && weight < HEAVY { heard.try_recv().ok() } else { None };
                }
                output.send(events).await;
            }
            end = &mut child, if ended.is_none() => ended = Some(end),
            Some(events) = task.events.recv() => output.send(events).await,
        }
        if !listening && let Some(end) = ended.take() {
            break end;
        }
    };
    let mut events = output.finish();
    // Who has asked the build to stop does not wait for what is found out about it.
    if count == 0
        && let Ok(exit) = &exit
    {
        let lost = watched.filter(|_| exit.code() != 0);
        let (last, lost) = tokio::join!(task.finish(), lost_builder(lost, clock, &mut asked));
        events.extend(last.into_iter().chain(lost));
    }
    task.leave().await;
    let end = match exit {
        Ok(exit) => {
            // Who was told to stop has nothing wrong with it.
            let asked = count > 0;
            let diagnosis = if asked { None } else { output.diagnose(exit, &command, &around).await };
            // Before it has begun buildx calls a build that was cancelled a failed one.
            let cancelled = asked && exit.code() != 0 && !output.has_begun();
            let exit_code = if cancelled { i32::from(buildx::CANCELLED) } else { exit.code() };
            Ok(BuildEnd { exit_code, diagnosis, stopped: asked && exit_code != 0 })
        }
        Err(error) => Err(error),
    };
    let (exit_code, trouble) = match &end {
        // What is shown and recorded is what layertop ends with.
        Ok(BuildEnd { diagnosis: Some(why), .. }) => {
            (i32::from(why.exit_code), Some(format!("{}: {}", why.message, why.hint)))
        }
        Ok(end) if output.gave_up && count == 0 => (end.exit_code, Some(LOST_STREAM.to_owned())),
        Ok(end) => (end.exit_code, None),
        Err(error) => (i32::from(error.exit_code()), Some(error.to_string())),
    };
    events.extend(trouble.map(|trouble| output.now(notice(Level::Error, &trouble))));
    events.push(output.now(Event::Ended(Ended::with(Some(exit_code)))));
    output.send(events).await;
    end
}

/// Where a build has failed since its builder is gone or hangs, what was seen of it before is not how it is: it is looked at once more.
/// Who asks the build to stop meanwhile does not wait for that.
async fn lost_builder(
    settings: Option<builder::BuilderSettings>,
    clock: Clock,
    asked: &mut mpsc::Receiver<Cancel>,
) -> Option<Stamped> {
    let seen = tokio::select! {
        seen = builder::again(settings?, clock) => seen?,
        Some(_) = asked.recv() => return None,
    };
    Some(Stamped { at: clock.now(), event: Event::Builder(Box::new(seen)) })
}

/// What is asked about the builder and the caches of a build.
pub(super) fn evidence_of(
    command: &BuildCommand,
    config: &Config,
    around: &Surroundings,
) -> evidence::EvidenceSettings {
    evidence::EvidenceSettings {
        builder: command.builder.clone(),
        caches: command.imports(),
        image: command.images.first().cloned(),
        env: around.env.clone(),
        mask: Mask::new(command.secrets.iter().cloned()),
        insecure: *config.registry.insecure,
        ca: config.registry.ca.as_deref().map(PathBuf::from),
        ..evidence::EvidenceSettings::default()
    }
}

/// How long the end of a build waits for what it was made from, which is told in milliseconds where the context is no huge one.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Finds out beside the build what it is made from, and where its hits come from.
struct EvidenceTask {
    events: mpsc::Receiver<Vec<Stamped>>,
    over: watch::Sender<bool>,
    /// Reads what the build is made from: its context and the commit.
    made_from: JoinHandle<()>,
    /// Reads what the builder and the caches have.
    evidence: JoinHandle<()>,
}

impl EvidenceTask {
    fn start(
        command: &BuildCommand,
        settings: evidence::EvidenceSettings,
        around: &Surroundings,
        clock: Clock,
    ) -> Self {
        let (tx, news) = mpsc::channel(AHEAD);
        let (over, is_over) = watch::channel(false);
        let request = context::FingerprintRequest::of(command, around);
        let folder = command.context.clone();
        let evidence = tokio::spawn(evidence::run(settings, clock, is_over.clone(), tx.clone()));
        let made_from = tokio::spawn(async move {
            let print = async {
                if let Some(request) = request {
                    context::start(request, clock, tx.clone()).await;
                }
            };
            let commit = async {
                let folder = folder.as_deref()?;
                let commit = git::commit(folder, is_over.clone()).await?;
                tx.send(vec![Stamped { at: clock.now(), event: Event::Commit(commit) }]).await.ok()
            };
            tokio::join!(print, commit);
        });
        Self { events: news, over, made_from, evidence }
    }

    /// What it has to say when buildx is gone. What the build was made from is waited for, the builder and the registries are not: a
    /// builder that is in use takes seconds to list its records.
    async fn finish(&mut self) -> Vec<Stamped> {
        let _ = self.over.send(true);
        let mut events = Vec::new();
        let mut late = std::pin::pin!(tokio::time::sleep(LAST_WAIT));
        loop {
            tokio::select! {
                biased;
                Some(news) = self.events.recv() => events.extend(news),
                _ = &mut self.made_from => break,
                () = &mut late => break,
            }
        }
        while let Ok(news) = self.events.try_recv() {
            events.extend(news);
        }
        events
    }

    /// Its child processes go with it.
    async fn leave(self) {
        for task in [self.made_from, self.evidence] {
            task.abort();
            if !task.is_finished() {
                let _ = task.await;
            }
        }
    }
}

/// What the child says, as events.
struct OutputDecoder {
    tx: mpsc::Sender<FeedUpdate>,
    clock: Clock,
    mask: Mask,
    decoder: Decoder,
    stdout: Sanitizer,
    /// What it wrote beside the stream, until it is clear that the build has begun.
    complaint: Option<String>,
    /// Bytes of the steps' output that came faster than they were decoded.
    left_out: u64,
    /// Whether buildx said that it lost the builder's stream.
    gave_up: bool,
}

impl OutputDecoder {
    fn new(command: &BuildCommand, clock: Clock, tx: mpsc::Sender<FeedUpdate>) -> Self {
        let mask = Mask::new(command.secrets.iter().cloned());
        let (decoder, stdout) = (Decoder::new(mask.clone()), Sanitizer::default());
        Self { tx, clock, mask, decoder, stdout, complaint: Some(String::new()), left_out: 0, gave_up: false }
    }

    fn now(&self, event: Event) -> Stamped {
        Stamped { at: self.clock.now(), event }
    }

    fn decode(&mut self, chunk: &Chunk, events: &mut Vec<Stamped>) {
        let first = events.len();
        for gap in &chunk.left_out {
            self.left_out += gap.bytes;
            self.decoder.left_out(self.clock.now(), &gap.vertex, gap.stream, gap.bytes, events);
        }
        match chunk.stream {
            Stream::Stderr => self.decoder.feed(self.clock.now(), &chunk.bytes, events),
            Stream::Stdout => {
                let mut lines = LineBuffer::default();
                self.stdout.feed(&chunk.bytes, &self.mask, &mut lines);
                events.extend(lines.take().shared().map(|line| self.now(stdout_line(line))));
            }
        }
        self.keep_complaint(&events[first..]);
    }

    fn finish(&mut self) -> Vec<Stamped> {
        let mut events = Vec::new();
        self.decoder.finish(self.clock.now(), &mut events);
        let mut lines = LineBuffer::default();
        self.stdout.finish(&self.mask, &mut lines);
        events.extend(lines.take().shared().map(|line| self.now(stdout_line(line))));
        self.keep_complaint(&events);
        if self.left_out > 0 {
            let amount = amount::bytes(self.left_out);
            let text = format!(
                "about {amount} of the steps' output came faster than layertop could take it and is left out; the build did not \
                 wait for it"
            );
            events.push(self.now(notice(Level::Warn, &text)));
        }
        events
    }

    /// Keeps what may tell why a build can't begin. Once a step runs, it has begun.
    fn keep_complaint(&mut self, events: &[Stamped]) {
        let step = |event: &Stamped| match &event.event {
            Event::Vertex(vertex) => {
                vertex.started.is_some() && matches!(name::parse(&vertex.name), VertexKind::Step(_))
            }
            _ => false,
        };
        if self.complaint.is_some() && events.iter().any(step) {
            self.complaint = None;
        }
        self.gave_up |= events.iter().any(|event| match &event.event {
            Event::Output(output) => lost_stream(output.line.text()),
            _ => false,
        });
        let Some(complaint) = &mut self.complaint else { return };
        for event in events {
            if let Event::Output(output) = &event.event
                && complaint.len() < LONGEST_COMPLAINT
            {
                complaint.push_str(output.line.text());
                complaint.push('\n');
            }
        }
    }

    /// Whether a step of the build was seen to begin.
    fn has_begun(&self) -> bool {
        self.complaint.is_none()
    }

    async fn diagnose(&self, exit: Exit, command: &BuildCommand, around: &Surroundings) -> Option<Diagnosis> {
        let complaint = self.complaint.as_ref().filter(|_| exit.code() != 0)?;
        docker::diagnose(complaint, exit, command, around).await
    }

    /// Hands events on. A front end that is gone hears nothing; the build goes on without it until the program ends.
    async fn send(&self, events: Vec<Stamped>) {
        if !events.is_empty() {
            let _ = self.tx.send(FeedUpdate::of(events)).await;
        }
    }
}

fn stdout_line(line: Line) -> Event {
    Event::Output(Output { stream: Stream::Stdout, line })
}
