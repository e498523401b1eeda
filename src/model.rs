//! What is known about a build: a pure fold over its events. No I/O, no clock, and nothing that can fail: what makes
//! no sense is kept as it came, or left out.

pub mod builder_rates;
mod causes;
pub mod cluster;
pub mod estimate;
pub mod expected;
mod forecast;
pub mod graph;
pub mod layers;
pub mod log;
pub mod name;
pub mod nodes;
pub mod outcome;
pub mod part_changes;
mod platforms;
pub mod reason;
pub mod registry_health;
mod shared;
pub mod source;
pub mod stack;
pub mod state;
pub mod timeline;
pub(crate) mod triggers;
pub mod vertex;

use std::collections::{BinaryHeap, VecDeque};

use crate::event::digest::{DigestMap, DigestSet};
use crate::event::{
    Commit, Digest, Ended, Event, Fingerprint, Gates, Level, LogChunk, Notice, Output, Platform, Reason,
    Stamped, Started, StatusUpdate, Text, Time, VertexUpdate, Warning, Watching,
};
pub use builder_rates::Builder;
pub use causes::{RootCause, causes};
pub use cluster::Cluster;
pub use estimate::{Estimate, StepEstimate, TimeLeft, WithoutCache};
pub use expected::{Basis, Expectation};
pub use forecast::Forecast;
pub use log::{Log, LogLine};
pub use name::{StepName, VertexKind};
pub use outcome::{BuildFailure, CacheTransfers, Outcome, Transfer};
pub use part_changes::PartChanges;
pub use registry_health::RegistryHealth;
pub use source::{
    CachedLayer, HitEvidence, HitOrigin, MatchingRecords, OriginGrade, RecordIndex, RecordOrigin, Source,
};
pub use stack::{InstructionRow, Stack, StageGroup, Step, StepId};
pub(crate) use state::hit_rate;
pub use state::{Activity, Counts, State};
pub use timeline::Timeline;
pub use vertex::{Phase, RunTimes, Vertex, VertexId};

/// Memory that the output of all vertices together may take.
const MOST_LOG_BYTES: usize = 4 << 20;

/// Lines kept of what stands between the values of the stream, and notices kept.
const MOST_LINES: usize = 2_000;

/// One build, as far as its events have told.
#[derive(Debug, Default)]
pub struct Model {
    started: Started,
    vertices: Vec<Vertex>,
    index: DigestMap<VertexId>,
    /// Everything that some vertex is computed from.
    consumed: DigestSet,
    stack: Stack,
    restructured: bool,
    warnings: Vec<Warning>,
    notices: VecDeque<Notice>,
    output: VecDeque<Output>,
    output_total: u64,
    last_output: Option<VertexId>,
    log_bytes: usize,
    cancelling: u32,
    first: Option<Time>,
    newest: Time,
    ended: Option<(Time, Ended)>,
    /// How the build must have ended, where nobody said it. It is asked of each step, and follows from all vertices.
    guess: Option<Outcome>,
    watching: Watching,
    registry: RegistryHealth,
    builder: Builder,
    cluster: Cluster,
    part_changes: PartChanges,
    fingerprint: Option<Box<Fingerprint>>,
    commit: Option<Commit>,
    reasons: DigestMap<Reason>,
    gates: Gates,
    expected: Box<expected::PastDurations>,
    evidence: source::CacheEvidence,
    plan: Option<forecast::PlannedSteps>,
    /// Whether something has changed that tells where hits came from.
    unjudged: bool,
}

impl Model {
    /// Takes events in their order.
    pub fn apply_all(&mut self, events: &[Stamped]) {
        for event in events {
            self.take(event);
        }
        self.settle();
    }

    pub fn apply(&mut self, event: &Stamped) {
        self.take(event);
        self.settle();
    }

    /// The stack follows from the Dockerfile and the vertices alone, so that batches may be cut anywhere.
    fn settle(&mut self) {
        if std::mem::take(&mut self.restructured) {
            self.stack.rebuild(&self.vertices, &self.index, &self.started.platforms);
            self.unjudged = true;
        }
        if let Some((_, Ended { exit_code: None, lost: false })) = self.ended {
            self.guess = Some(self.guessed());
        }
        if let Some(print) = &mut self.fingerprint {
            triggers::widen(print, self.stack.groups());
        }
        if std::mem::take(&mut self.unjudged) {
            self.judge_sources();
        }
    }

    fn take(&mut self, Stamped { at, event }: &Stamped) {
        // How things stand around a build says nothing of when it began or ended.
        match event {
            Event::Watching(watching) => {
                self.watching = *watching;
                self.registry.expect(watching.apart());
                self.builder.expect(watching.apart());
                self.cluster.expect(watching.apart());
                return;
            }
            Event::Registry(registry) => {
                self.part_changes.registry(*at, registry);
                return self.registry.apply(*at, registry);
            }
            Event::Builder(snapshot) => {
                self.part_changes.builder(*at, snapshot);
                return self.builder.apply(*at, snapshot);
            }
            Event::Cluster(snapshot) => {
                self.part_changes.cluster(*at, snapshot);
                return self.cluster.apply(*at, snapshot);
            }
            Event::Fingerprint(fingerprint) => return self.fingerprint = Some(fingerprint.clone()),
            Event::Reasons(news) => return self.take_reasons(news),
            Event::Gates(gates) => return self.gates = gates.clone(),
            Event::Planned(planned) => return self.plan = Some(forecast::PlannedSteps::of(planned)),
            Event::Commit(commit) => return self.commit = Some(commit.clone()),
            Event::Expected(expected) => return self.expected.take(expected),
            Event::Records(records) => {
                self.unjudged = true;
                return self.evidence.records(records, self.first.unwrap_or_default());
            }
            Event::CacheManifest(manifest) => {
                self.unjudged = true;
                return self.evidence.manifest(manifest);
            }
            _ => {}
        }
        self.first.get_or_insert(*at);
        self.newest = self.newest.max(*at);
        match event {
            Event::Started(started) => {
                // For how many platforms it is tells whose steps some are.
                self.restructured = true;
                self.started = started.clone();
            }
            Event::Outline(outline) => {
                self.restructured = true;
                for complaint in self.stack.outline(outline) {
                    self.notice(&Notice { level: Level::Warn, text: Text::clean(&complaint) });
                }
            }
            Event::Vertex(update) => self.vertex_update(update),
            Event::Status(update) => self.status(update),
            Event::Log(chunk) => self.log(chunk),
            Event::Warning(warning) => self.warning(warning),
            Event::Output(line) => {
                self.output_total += 1;
                bounded(&mut self.output, line.clone());
            }
            Event::Notice(notice) => self.notice(notice),
            Event::Cancelling(asked) => self.cancelling = self.cancelling.max(asked.count),
            Event::Ended(ended) => {
                self.unjudged = true;
                self.ended = Some((*at, *ended));
            }
            Event::Watching(_)
            | Event::Registry(_)
            | Event::Builder(_)
            | Event::Records(_)
            | Event::CacheManifest(_)
            | Event::Cluster(_)
            | Event::Reasons(_)
            | Event::Gates(_)
            | Event::Planned(_)
            | Event::Commit(_)
            | Event::Expected(_)
            | Event::Fingerprint(_) => {}
        }
    }

    fn vertex_update(&mut self, update: &VertexUpdate) {
        let id = self.place(&update.digest);
        for input in &update.inputs {
            if !self.consumed.contains(input) {
                self.consumed.insert(input.clone());
            }
        }
        let Some(vertex) = self.vertices.get_mut(id.0 as usize) else { return };
        self.restructured |= vertex.apply(update);
        // What hit, what ran and what was imported tells it.
        self.unjudged = true;
    }

    fn status(&mut self, update: &StatusUpdate) {
        let id = self.place(&update.vertex);
        if let Some(vertex) = self.vertices.get_mut(id.0 as usize) {
            vertex.status(update);
            self.unjudged |= vertex.cached;
        }
    }

    fn log(&mut self, chunk: &LogChunk) {
        let id = self.place(&chunk.vertex);
        let Some(vertex) = self.vertices.get_mut(id.0 as usize) else { return };
        self.log_bytes = self.log_bytes.saturating_add_signed(vertex.log.apply(chunk));
        self.last_output = Some(id);
        if self.log_bytes > MOST_LOG_BYTES {
            self.shorten_logs();
        }
    }

    /// Lets the older halves of the longest logs go. An eighth more than has to, so that not each chunk looks at all vertices.
    fn shorten_logs(&mut self) {
        let mut longest: BinaryHeap<(usize, usize)> =
            self.vertices.iter().enumerate().map(|(at, vertex)| (vertex.log.bytes(), at)).collect();
        while self.log_bytes > MOST_LOG_BYTES / 8 * 7
            && let Some((bytes @ 1.., at)) = longest.pop()
            && let Some(vertex) = self.vertices.get_mut(at)
        {
            let change = vertex.log.halve();
            self.log_bytes = self.log_bytes.saturating_add_signed(change);
            // Of an unfinished line there is no half.
            if change < 0 {
                longest.push((bytes.saturating_add_signed(change), at));
            }
        }
    }

    fn warning(&mut self, warning: &Warning) {
        let same = |known: &Warning| {
            (&known.short, &known.file, known.line) == (&warning.short, &warning.file, warning.line)
        };
        // Each platform finds the same fault in the one Dockerfile.
        if self.warnings.len() < MOST_LINES && !self.warnings.iter().any(same) {
            self.warnings.push(warning.clone());
        }
    }

    fn notice(&mut self, notice: &Notice) {
        if !self.notices.contains(notice) {
            bounded(&mut self.notices, notice.clone());
        }
    }

    fn place(&mut self, digest: &Digest) -> VertexId {
        if let Some(id) = self.index.get(digest) {
            return *id;
        }
        let id = VertexId(self.vertices.len() as u32);
        self.vertices.push(Vertex::new(digest.clone()));
        self.index.insert(digest.clone(), id);
        id
    }

    /// What is built, with what.
    pub fn started(&self) -> &Started {
        &self.started
    }

    /// All vertices, in order of appearance.
    pub fn vertices(&self) -> impl Iterator<Item = (VertexId, &Vertex)> {
        self.vertices.iter().enumerate().map(|(i, vertex)| (VertexId(i as u32), vertex))
    }

    pub fn vertex(&self, id: VertexId) -> Option<&Vertex> {
        self.vertices.get(id.0 as usize)
    }

    /// The stack of steps.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The step that a vertex belongs to.
    pub fn step_of(&self, id: VertexId) -> Option<StepId> {
        self.stack.step_of(id)
    }

    /// The vertices of a step.
    pub fn vertices_of(&self, id: StepId) -> impl Iterator<Item = &Vertex> {
        self.stack.step(id).into_iter().flat_map(|step| &step.vertices).filter_map(|id| self.vertex(*id))
    }

    /// The columns of the stack: the platforms asked for and those seen, and one without a name where there is none, or where a step
    /// stands in none of them.
    pub fn platforms(&self) -> Vec<Option<Platform>> {
        let mut platforms: Vec<Option<Platform>> = self.started.platforms.iter().cloned().map(Some).collect();
        let asked = platforms.len();
        for (_, step) in self.stack.steps() {
            if let Some(seen) = &step.platform
                && !platforms.iter().flatten().any(|known| known == seen)
            {
                platforms.push(Some(seen.clone()));
            }
        }
        // The stream names them in any order.
        platforms[asked..].sort();
        let mut steps = self.stack.steps();
        if platforms.is_empty() || steps.any(|(_, step)| self.stack.platform_of(step).is_none()) {
            platforms.push(None);
        }
        platforms
    }

    /// The platform of a step: its own, or the only one that was asked for.
    pub fn platform_of(&self, step: &Step) -> Option<Platform> {
        self.stack.platform_of(step).cloned()
    }

    /// Whether a stage becomes an image: the Dockerfile says so, or nothing in the stream is computed from it.
    pub fn is_final(&self, group: &StageGroup) -> bool {
        let sink = |id: &StepId| self.vertices_of(*id).any(|vertex| !self.consumed.contains(&vertex.digest));
        group.outlined_target || group.rows.last().is_some_and(|row| row.steps.iter().any(sink))
    }

    /// The stages as they are shown: those that become an image first, then the others, each in order of appearance.
    pub fn groups(&self) -> Vec<(&StageGroup, bool)> {
        let all = self.stack.groups().iter().filter(|group| !group.rows.is_empty());
        let mut groups: Vec<_> = all.map(|group| (group, self.is_final(group))).collect();
        groups.sort_by_key(|(_, is_final)| !is_final);
        groups
    }

    /// Findings of the build checks, each once.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What layertop itself had to say, oldest first.
    pub fn notices(&self) -> impl DoubleEndedIterator<Item = &Notice> + ExactSizeIterator {
        self.notices.iter()
    }

    /// What stood between the values of the stream, oldest first.
    pub fn output(&self) -> impl DoubleEndedIterator<Item = &Output> + ExactSizeIterator + Clone {
        self.output.iter()
    }

    /// How many lines stood between the values of the stream; more than [`Model::output`] has where old ones went.
    pub fn output_total(&self) -> u64 {
        self.output_total
    }

    /// How often the user asked the build to stop.
    pub fn cancelling(&self) -> u32 {
        self.cancelling
    }

    /// Which parts around the build are looked at.
    pub fn watching(&self) -> Watching {
        self.watching
    }

    /// The builder and its nodes.
    pub fn builder(&self) -> &Builder {
        &self.builder
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// How these parts have become worse and well again.
    pub fn part_changes(&self) -> &PartChanges {
        &self.part_changes
    }

    /// What the build is made from, once that is known.
    pub fn fingerprint(&self) -> Option<&Fingerprint> {
        self.fingerprint.as_deref()
    }

    /// What became of the gates; none where none were asked for, or the build has not ended.
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// What is checked out where the build is made from, where that is known.
    pub fn commit(&self) -> Option<&Commit> {
        self.commit.as_ref()
    }

    /// Arrival of the first event.
    pub fn begun(&self) -> Option<Time> {
        self.first
    }

    /// Arrival of the newest event.
    pub fn newest(&self) -> Time {
        self.newest
    }

    /// The registry, as far as it was looked at.
    pub fn registry(&self) -> &RegistryHealth {
        &self.registry
    }

    /// When the build ended.
    pub fn ended(&self) -> Option<Time> {
        self.ended.map(|(at, _)| at)
    }

    /// The vertex whose output is worth following: a running one that spoke last, else the one that failed, else the one
    /// that spoke last.
    pub fn followed(&self) -> Option<VertexId> {
        let running =
            |id: &VertexId| self.vertex(*id).is_some_and(|v| matches!(v.phase(), Phase::Running(_)));
        let talking =
            self.vertices().map(|(id, _)| id).filter(|id| self.step_of(*id).is_some() && running(id)).last();
        let failed = || {
            self.vertices().find(|(_, v)| v.phase() == Phase::Failed && !v.log.is_empty()).map(|(id, _)| id)
        };
        self.last_output.filter(running).or_else(failed).or(talking).or(self.last_output)
    }
}

fn bounded<T>(lines: &mut VecDeque<T>, line: T) {
    if lines.len() >= MOST_LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}
