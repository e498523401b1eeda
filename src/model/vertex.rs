//! One vertex of the build graph, merged from all that the stream said about it.

use std::time::Duration;

use super::log::Log;
use super::name::{self, StepName, VertexKind};
use crate::event::{Digest, ProgressGroup, StatusUpdate, Text, Time, VertexUpdate};

/// Place of a vertex in the model, in order of appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VertexId(pub(super) u32);

/// Statuses kept of one vertex; an image of more layers than this is not known to anybody.
const MOST_STATUSES: usize = 512;

#[derive(Debug, Clone)]
pub struct Vertex {
    pub digest: Digest,
    pub name: Text,
    pub kind: VertexKind,
    /// What it is computed from: the union of all that was said.
    pub inputs: Vec<Digest>,
    /// Whether it was ever called cached; lazy pulls of a cached vertex come without the word.
    pub cached: bool,
    pub error: Option<Text>,
    /// The group that it is shown as a part of.
    pub group: Option<ProgressGroup>,
    /// Progress inside it, in order of appearance.
    pub statuses: Vec<StatusUpdate>,
    pub log: Log,
    runs: Vec<RunTimes>,
}

/// One run of a vertex; a vertex may start and complete several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTimes {
    /// When it began.
    pub start: Time,
    /// When it ended; none while it is open.
    pub end: Option<Time>,
    /// Whether it was said to be cached: nothing was computed.
    pub cached: bool,
}

/// Where a vertex stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not started.
    Waiting,
    /// Running, since then.
    Running(Time),
    /// Done, without having been cached.
    Done,
    Cached,
    /// Failed by itself.
    Failed,
    /// Stopped, because the build was.
    Cancelled,
}

impl Vertex {
    pub(super) fn new(digest: Digest) -> Self {
        Self {
            digest,
            name: Text::default(),
            kind: VertexKind::Other,
            inputs: Vec::new(),
            cached: false,
            error: None,
            group: None,
            statuses: Vec::new(),
            log: Log::default(),
            runs: Vec::new(),
        }
    }

    /// Merges what one message says. Saying it twice changes nothing. Tells whether the build's structure has changed:
    /// names, groups, inputs.
    pub(super) fn apply(&mut self, update: &VertexUpdate) -> bool {
        let mut changed = false;
        // Bake gives a vertex that two targets share two names, by turns; the first one stays.
        if self.name.is_empty() && !update.name.is_empty() {
            self.name = update.name.clone();
            self.kind = name::parse(&self.name);
            changed = true;
        }
        for input in &update.inputs {
            if !self.inputs.contains(input) {
                self.inputs.push(input.clone());
                changed = true;
            }
        }
        self.cached |= update.cached;
        if update.error.is_some() {
            self.error.clone_from(&update.error);
        }
        if update.group.is_some() && self.group != update.group {
            self.group.clone_from(&update.group);
            changed = true;
        }
        if let Some(start) = update.started.or(update.completed) {
            self.run(start, update.completed, update.cached);
        }
        changed
    }

    /// The step that it stands for: by the name of the group that it is a part of (`LINK COPY --link …` is a part of
    /// `COPY --link …`), or by its own.
    pub(super) fn step_name(&self) -> Option<StepName> {
        let group = self.group.as_ref().map(|group| name::parse(&group.name));
        match (group, &self.kind) {
            (Some(VertexKind::Step(step)), _) => Some(step),
            (_, VertexKind::Step(step)) => Some(step.clone()),
            _ => None,
        }
    }

    fn run(&mut self, start: Time, end: Option<Time>, cached: bool) {
        let at = self.runs.iter().rposition(|run| run.start <= start);
        if let Some(known) = at.and_then(|at| self.runs.get_mut(at)).filter(|run| run.start == start) {
            known.end = known.end.max(end);
            known.cached |= cached;
        } else {
            self.runs.insert(at.map_or(0, |at| at + 1), RunTimes { start, end, cached });
        }
    }

    /// Merges progress; an older message than the one known changes nothing.
    pub(super) fn status(&mut self, update: &StatusUpdate) {
        if let Some(known) = self.statuses.iter_mut().rev().find(|known| known.id == update.id) {
            if update.timestamp >= known.timestamp {
                let (started, completed) =
                    (update.started.or(known.started), update.completed.or(known.completed));
                *known = StatusUpdate { started, completed, ..update.clone() };
            }
        } else if self.statuses.len() < MOST_STATUSES {
            self.statuses.push(update.clone());
        }
    }

    /// Where it stands. Open runs count as running: whoever knows that the build has ended knows better.
    pub fn phase(&self) -> Phase {
        match &self.error {
            Some(error) if is_cancellation(error) => return Phase::Cancelled,
            Some(_) => return Phase::Failed,
            None => {}
        }
        if let Some(open) = self.runs.iter().find(|run| run.end.is_none()) {
            return if self.cached { Phase::Cached } else { Phase::Running(open.start) };
        }
        match (self.cached, self.runs.is_empty()) {
            (true, _) => Phase::Cached,
            (false, true) => Phase::Waiting,
            (false, false) => Phase::Done,
        }
    }

    /// Its first start.
    pub fn started(&self) -> Option<Time> {
        self.runs.first().map(|run| run.start)
    }

    /// Its last end, once nothing of it is open.
    pub fn completed(&self) -> Option<Time> {
        self.runs.iter().map(|run| run.end).min()??;
        self.runs.iter().filter_map(|run| run.end).max()
    }

    /// Time that it was at work, overlapping runs counted once, pulls left out; open runs end at `now`.
    pub fn run_time(&self, now: Time) -> Duration {
        if self.cached {
            return Duration::ZERO;
        }
        self.busy(now, |_| true).saturating_sub(self.blob_time(now))
    }

    /// Time that it spent on fetching blobs. A cached vertex does nothing else when it starts again without the
    /// word *cached*.
    pub fn pull_time(&self, now: Time) -> Duration {
        let blobs = self.blob_time(now);
        if blobs.is_zero()
            && self.cached
            && !matches!(self.kind, VertexKind::Step(ref step) if step.is_from())
        {
            return self.busy(now, |run| !run.cached);
        }
        blobs
    }

    /// Its runs, ordered by their start.
    pub fn runs(&self) -> &[RunTimes] {
        &self.runs
    }

    /// Time that anything of it was open, overlapping runs counted once; open runs end at `now`.
    pub fn at_work(&self, now: Time) -> Duration {
        self.busy(now, |_| true)
    }

    fn busy(&self, now: Time, which: impl Fn(&RunTimes) -> bool) -> Duration {
        union(self.runs.iter().filter(|run| which(run)).map(|run| (run.start, run.end.unwrap_or(now))))
    }

    fn blob_time(&self, now: Time) -> Duration {
        let mut spans: Vec<_> =
            self.blobs().filter_map(|s| Some((s.started?, s.completed.unwrap_or(now)))).collect();
        spans.sort_unstable();
        union(spans.into_iter())
    }

    /// Progress of blobs that are fetched: `sha256:…` (from a registry) and `extracting sha256:…`.
    pub fn blobs(&self) -> impl Iterator<Item = &StatusUpdate> {
        let transfers = !matches!(self.kind, VertexKind::Export | VertexKind::CacheExport);
        self.statuses.iter().filter(move |s| transfers && blob(&s.id).is_some())
    }

    /// Whether anything was fetched for it.
    pub fn pulled(&self) -> bool {
        self.blobs().next().is_some()
    }

    /// Bytes of all that is fetched, as far as it was announced.
    pub(super) fn announced_bytes(&self) -> u64 {
        let fetched = self.blobs().filter(|s| s.id.as_str().starts_with("sha256:"));
        fetched.map(|s| s.total.max(s.current)).fold(0, u64::saturating_add)
    }

    /// Bytes fetched so far.
    pub fn pulled_bytes(&self) -> u64 {
        self.blobs().filter(|s| s.id.as_str().starts_with("sha256:")).map(|s| s.current).sum()
    }
}

/// The blob that a status is about.
fn blob(id: &Text) -> Option<&str> {
    let id = id.as_str();
    let digest = id.strip_prefix("extracting ").unwrap_or(id);
    digest.starts_with("sha256:").then_some(digest)
}

/// `BuildKit` ends vertices that were open when the build stopped with this error.
pub(super) fn is_cancellation(error: &Text) -> bool {
    error.as_str().contains("context canceled") || error.as_str().contains("context cancelled")
}

/// Length of the union of spans that come ordered by their start.
fn union(spans: impl Iterator<Item = (Time, Time)>) -> Duration {
    let mut total = Duration::ZERO;
    let mut reached: Option<Time> = None;
    for (start, end) in spans {
        let from = reached.map_or(start, |reached| reached.max(start));
        total += end.since(from);
        reached = Some(reached.map_or(end, |reached| reached.max(end)));
    }
    total
}
