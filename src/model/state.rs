//! What became of each step, and how many of each there are.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::name::{StepName, keyword};
use super::vertex::Phase;
use super::{Model, Outcome, StepId, Vertex, VertexKind};
use crate::event::{Digest, Platform, StatusUpdate, Time};

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[warn(missing_docs)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It may still come; never in a last line.
    Waiting,
    /// It runs; never in a last line.
    Running,
    /// It was cached. A `FROM`: nothing was pulled for it.
    Hit,
    /// It was not cached, so it ran. A `FROM`: it was pulled.
    Miss,
    /// It never started: skipped, or made unnecessary by a cached step.
    NotNeeded,
    /// It never started, because the build failed, was stopped or was lost before.
    NotReached,
    /// It failed.
    Failed,
    /// It was stopped, because the build was.
    Cancelled,
}

impl State {
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Running,
        Self::Hit,
        Self::Miss,
        Self::NotNeeded,
        Self::NotReached,
        Self::Failed,
        Self::Cancelled,
    ];

    /// How much it says where several stand for one: a failure more than a run, a run more than a hit.
    pub fn weight(self) -> u8 {
        match self {
            Self::NotNeeded | Self::NotReached => 0,
            Self::Hit => 1,
            Self::Waiting => 2,
            Self::Miss => 3,
            Self::Running => 4,
            Self::Cancelled => 5,
            Self::Failed => 6,
        }
    }

    /// The state of this name.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.key() == key)
    }

    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::NotNeeded => "not_needed",
            Self::NotReached => "not_reached",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How many steps are in which state, counted over the platforms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps in all: those that the stream named, or before it speaks, those that the Dockerfile has.
    pub total: usize,
    by_state: [usize; State::ALL.len()],
    /// The base images among them: a `FROM` does not run.
    bases: [usize; State::ALL.len()],
}

impl Counts {
    /// How many are in `state`.
    pub fn of(&self, state: State) -> usize {
        self.by_state[state as usize]
    }

    fn summed(mut self) -> Self {
        self.total = self.by_state.iter().sum();
        self
    }

    /// How many have come to an end, or turned out not to be needed.
    pub fn done(&self) -> usize {
        self.total - self.of(State::Waiting) - self.of(State::Running) - self.of(State::NotReached)
    }

    /// Steps that were not cached and ran to their end. A base image that was pulled is none of them.
    pub fn rebuilt(&self) -> usize {
        self.of(State::Miss).saturating_sub(self.pulled())
    }

    /// Base images that were pulled.
    pub fn pulled(&self) -> usize {
        self.bases[State::Miss as usize]
    }

    /// Steps that no cache had: those that were rebuilt or pulled, and those that failed or were stopped.
    pub fn uncached(&self) -> usize {
        self.of(State::Miss) + self.of(State::Failed) + self.of(State::Cancelled)
    }

    /// Share of the steps the build came to that hit or were not needed, 0 to 1; none before the first.
    pub fn hit_rate(&self) -> Option<f64> {
        hit_rate(self.uncached(), self.done())
    }
}

/// The share of `reached` steps that are not `uncached`, 0 to 1; none where there are no steps.
pub(crate) fn hit_rate(uncached: usize, reached: usize) -> Option<f64> {
    (reached > 0).then(|| reached.saturating_sub(uncached) as f64 / reached as f64)
}

/// Something that moves bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// In which direction.
    pub verb: &'static str,
    /// How many blobs or layers are on their way.
    pub count: usize,
    /// Bytes done; some transfers do not say how many.
    pub current: u64,
    /// Bytes in all, of those whose size is known.
    pub total: u64,
}

impl Model {
    /// What became of a step.
    pub fn state(&self, id: StepId) -> State {
        let own = || self.vertices_of(id);
        // What an ADD gets from an address is no result of the step: it is called cached where anybody has fetched the same content from
        // anywhere, and not where it is asked for again. What is made of it tells (both seen on the test engine).
        let is_asked =
            |vertex: &&Vertex| is_fetch(vertex) && matches!(vertex.phase(), Phase::Done | Phase::Cached);
        let all = own().all(|vertex| is_asked(&vertex));
        let telling = || own().filter(|vertex| all || !is_asked(vertex));
        let states = || telling().map(|vertex| self.state_of(vertex));
        // What another build did instead of this one's own vertex was cached for this one.
        if telling().count() > 1
            && telling().all(|vertex| vertex.group.is_none())
            && states().any(|state| state == State::Hit)
        {
            return State::Hit;
        }
        // Where an instruction has several vertices, the one that says most about it speaks for it.
        states().max_by_key(|state| state.weight()).unwrap_or(State::Waiting)
    }

    /// The state of a step that has not begun: it may still come, or what its absence means in a build that ended so.
    pub fn state_before_start(&self) -> State {
        match self.outcome() {
            Outcome::Running => State::Waiting,
            Outcome::Success => State::NotNeeded,
            Outcome::Failed | Outcome::Cancelled | Outcome::Lost => State::NotReached,
        }
    }

    pub(super) fn state_of(&self, vertex: &Vertex) -> State {
        let ended = self.ended.is_some();
        let from = matches!(&vertex.kind, VertexKind::Step(step) if step.is_from());
        match vertex.phase() {
            Phase::Failed => State::Failed,
            Phase::Cancelled => State::Cancelled,
            Phase::Waiting => self.state_before_start(),
            Phase::Running(_) if ended => State::Cancelled,
            Phase::Running(_) => State::Running,
            // A FROM that was only resolved is not marked as cached, though nothing was done for it; and one that is
            // may still have been fetched.
            Phase::Done | Phase::Cached if from => {
                if vertex.pulled() {
                    State::Miss
                } else {
                    State::Hit
                }
            }
            Phase::Done => State::Miss,
            Phase::Cached => State::Hit,
        }
    }

    /// How many steps are in which state.
    pub fn counts(&self) -> Counts {
        self.counted(self.platforms().len(), &|_| true)
    }

    /// How many steps of a column are in which state, so that the columns add up to [`Model::counts`].
    pub fn counts_on(&self, platform: Option<&Platform>) -> Counts {
        let here = |id| self.stack.step(id).is_some_and(|step| self.stack.platform_of(step) == platform);
        self.counted(1, &here)
    }

    /// Counts those of the steps; before the stream speaks, the rows of the Dockerfile so many times.
    fn counted(&self, columns: usize, which: &dyn Fn(StepId) -> bool) -> Counts {
        let mut counts = Counts::default();
        let any_seen = self.stack.groups().iter().any(|group| group.seen);
        for row in self.stack.groups().iter().filter(|g| g.seen || !any_seen).flat_map(|g| &g.rows) {
            for id in row.steps.iter().filter(|id| which(**id)) {
                self.add(*id, &mut counts);
            }
            if !any_seen {
                counts.by_state[self.state_before_start() as usize] += columns;
            }
        }
        counts.summed()
    }

    fn add(&self, id: StepId, counts: &mut Counts) {
        let state = self.state(id) as usize;
        counts.by_state[state] += 1;
        counts.bases[state] += usize::from(self.stack.step(id).is_some_and(|step| step.name.is_from()));
    }

    /// Vertices and cached ones, as `BuildKit`'s own record of the build counts them (`NumTotalSteps`,
    /// `NumCachedSteps`; moby/buildkit `solver/llbsolver/history.go`): all but those that buildx adds.
    pub fn vertex_counts(&self) -> (usize, usize) {
        let known = |v: &&Vertex| v.kind != VertexKind::Client && !v.name.is_empty();
        let own = || self.vertices.iter().filter(known);
        (own().count(), own().filter(|vertex| vertex.cached).count())
    }

    /// How long a step was at work, without its pulls; while it runs, until `now`. A hit was not: what was done for it is another
    /// build's, and that a tag was looked up is no work of a step.
    pub fn run_time(&self, id: StepId, now: Time) -> Duration {
        if self.state(id) == State::Hit {
            return Duration::ZERO;
        }
        let now = self.ended().unwrap_or(now);
        self.vertices_of(id).map(|vertex| vertex.run_time(now)).sum()
    }

    /// How long blobs were fetched for a step.
    pub fn pull_time(&self, id: StepId, now: Time) -> Duration {
        let now = self.ended().unwrap_or(now);
        self.vertices_of(id).map(|vertex| vertex.pull_time(now)).sum()
    }

    /// How long a step took as every output says it: at work, and waiting for what is fetched for it. A hit took what its blobs took.
    pub fn took(&self, id: StepId, now: Time) -> Duration {
        match self.state(id) {
            State::Waiting | State::Hit | State::NotNeeded | State::NotReached => self.pull_time(id, now),
            State::Running | State::Miss | State::Failed | State::Cancelled => {
                self.run_time(id, now) + self.pull_time(id, now)
            }
        }
    }

    /// Bytes fetched for a step.
    pub fn pulled_bytes(&self, id: StepId) -> u64 {
        self.vertices_of(id).map(Vertex::pulled_bytes).sum()
    }

    /// The name of the vertex that stands for a step.
    pub fn digest_of(&self, id: StepId) -> Option<&Digest> {
        self.vertices_of(id).next().map(|vertex| &vertex.digest)
    }

    /// What is being moved right now: pulled, extracted, pushed, exported, imported.
    pub fn activities(&self) -> Vec<Activity> {
        let mut activities: Vec<Activity> = Vec::new();
        if self.ended.is_some() {
            return activities;
        }
        for vertex in &self.vertices {
            if !matches!(vertex.phase(), Phase::Running(_) | Phase::Cached) {
                continue;
            }
            for status in vertex.statuses.iter().filter(|s| s.completed.is_none()) {
                let Some(verb) = verb(&vertex.kind, status) else { continue };
                let at = activities.iter().position(|a| a.verb == verb).unwrap_or_else(|| {
                    activities.push(Activity { verb, count: 0, current: 0, total: 0 });
                    activities.len() - 1
                });
                activities[at].count += 1;
                activities[at].current += status.current;
                activities[at].total += status.total;
            }
        }
        activities
    }
}

/// Whether a vertex fetches what an `ADD` names by its address: one that is made from nothing else.
fn is_fetch(vertex: &Vertex) -> bool {
    let adds = |step: &StepName| keyword(step.instruction.as_str()).eq_ignore_ascii_case("ADD");
    vertex.inputs.is_empty() && matches!(&vertex.kind, VertexKind::Step(step) if adds(step))
}

/// What a status does, for those that move bytes.
fn verb(kind: &VertexKind, status: &StatusUpdate) -> Option<&'static str> {
    let id = status.id.as_str();
    match kind {
        VertexKind::CacheExport if id.starts_with("preparing") => Some("preparing cache"),
        VertexKind::CacheExport => Some("writing cache"),
        VertexKind::CacheImport(_) => Some("importing cache"),
        VertexKind::Export if id.starts_with("pushing") => Some("pushing"),
        VertexKind::Export if id.starts_with("unpacking") => Some("unpacking"),
        VertexKind::Export => Some("exporting"),
        _ if id.starts_with("extracting sha256:") => Some("extracting"),
        _ if id.starts_with("sha256:") => Some("pulling"),
        _ if id.starts_with("transferring context") => Some("sending context"),
        _ => None,
    }
}
