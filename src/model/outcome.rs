//! How a build ended, what failed, and what became of its cache transfers.

use std::time::Duration;

use super::vertex::is_cancellation;
use super::{Model, Phase, Vertex, VertexId, VertexKind};
use crate::event::{Line, Text, Time};

/// How the error of an import ends whose cache does not exist.
const NOT_THERE: &str = ": not found";

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did not, yet.
    Running,
    /// It made what was asked for.
    Success,
    /// It did not.
    Failed,
    /// The user stopped it.
    Cancelled,
    /// The stream broke off, and nobody said how the build ended.
    Lost,
}

impl Outcome {
    /// The outcome of this name.
    pub fn parse(key: &str) -> Option<Self> {
        let all = [Self::Running, Self::Success, Self::Failed, Self::Cancelled, Self::Lost];
        all.into_iter().find(|outcome| outcome.key() == key)
    }

    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// Why a build failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuildFailure {
    /// The vertex that failed, where one did.
    pub vertex: Option<VertexId>,
    /// The error on one line, as buildx or `BuildKit` wrote it; none where they wrote none.
    pub error: Option<Text>,
    /// The exit code of buildx; none where it is not known.
    pub exit_code: Option<i32>,
    /// The place in the Dockerfile as `BuildKit` shows it, with the lines around it.
    pub excerpt: Vec<Line>,
}

/// One import or export of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Where from or to, where the stream says it.
    pub reference: Option<Text>,
    pub phase: Phase,
    pub error: Option<Text>,
}

/// What became of the cache imports and exports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheTransfers {
    /// In order of appearance.
    pub imports: Vec<Transfer>,
    /// In order of appearance.
    pub exports: Vec<Transfer>,
}

impl Transfer {
    /// That of a vertex.
    pub fn of(vertex: &Vertex, reference: Option<Text>) -> Self {
        Self { reference, phase: vertex.phase(), error: vertex.error.clone() }
    }

    /// What `BuildKit` says of an import where there is no such cache.
    pub(crate) fn not_there(reference: &Text) -> Text {
        Text::clean(&format!("{reference}{NOT_THERE}"))
    }

    /// Whether an import failed because there is no such cache, which every first build meets. A registry that can't be reached or
    /// refuses is another thing.
    ///
    /// The error is `BuildKit`'s: it ends with what containerd's resolver makes of the registry's answer 404, for a tag and for a
    /// repository alike, and no other failure ends so (seen on the test engine).
    pub fn is_not_there(&self) -> bool {
        let error = self.error.as_ref().map_or("", Text::as_str);
        self.phase == Phase::Failed && error.ends_with(NOT_THERE)
    }
}

impl Model {
    /// How the build ended.
    pub fn outcome(&self) -> Outcome {
        let Some((_, ended)) = self.ended else { return Outcome::Running };
        match ended.exit_code {
            _ if ended.lost => Outcome::Lost,
            Some(0) => Outcome::Success,
            Some(1..) if self.cancelling > 0 => Outcome::Cancelled,
            // Nobody has cancelled it: buildx gave up listening.
            Some(130) if self.has_lost_stream() => Outcome::Lost,
            Some(130) => Outcome::Cancelled,
            // A signal that was not ours ended buildx; what became of the build, nobody has said.
            Some(129..) => Outcome::Lost,
            Some(_) => Outcome::Failed,
            None => self.guess.unwrap_or_else(|| self.guessed()),
        }
    }

    /// A foreign stream without its process: what it says tells how it must have ended.
    pub(super) fn guessed(&self) -> Outcome {
        let error = self.error_line();
        if self.has_lost_stream() {
            Outcome::Lost
        } else if error.as_ref().is_some_and(is_cancellation) {
            Outcome::Cancelled
        } else if error.is_some() || self.vertices.iter().any(|v| v.phase() == Phase::Failed && !is_soft(v)) {
            Outcome::Failed
        } else if self.is_cut() {
            Outcome::Lost
        } else if self.vertices.iter().any(|v| v.phase() == Phase::Cancelled) {
            Outcome::Cancelled
        } else {
            Outcome::Success
        }
    }

    /// Whether a stream that has ended without an error ended too early: something still runs, or nothing was exported while steps had not
    /// begun yet, or there were none. What a build does not need never begins either, but what is exported shows that.
    fn is_cut(&self) -> bool {
        let done = |v: &Vertex| {
            matches!(v.kind, VertexKind::Export | VertexKind::CacheExport)
                && matches!(v.phase(), Phase::Done | Phase::Cached)
        };
        let mut steps = self.vertices.iter().filter(|v| matches!(v.kind, VertexKind::Step(_))).peekable();
        self.vertices.iter().any(|v| matches!(v.phase(), Phase::Running(_)))
            || !self.vertices.iter().any(done)
                && (steps.peek().is_none() || steps.any(|v| v.phase() == Phase::Waiting))
    }

    /// The exit code of the build: its own, or the one that buildx would have given; none where that is not known.
    pub fn exit_code(&self) -> Option<i32> {
        let (_, ended) = self.ended?;
        ended.exit_code.or(match self.outcome() {
            Outcome::Success => Some(0),
            Outcome::Failed => Some(1),
            Outcome::Cancelled => Some(130),
            Outcome::Running | Outcome::Lost => None,
        })
    }

    /// Time from the first event to the end, or to `now`.
    pub fn wall(&self, now: Time) -> Duration {
        self.first.map_or(Duration::ZERO, |first| self.ended().unwrap_or(now).since(first))
    }

    /// Why the build failed, as soon as that is known: a failed vertex is enough.
    pub fn failure(&self) -> Option<BuildFailure> {
        let vertex = self.vertices().find(|(_, v)| v.phase() == Phase::Failed && !is_soft(v));
        let own = vertex.as_ref().and_then(|(_, v)| v.error.clone());
        let said = self.error_line();
        // A build that the user stopped has not failed.
        if vertex.is_none() && self.outcome() != Outcome::Failed {
            return None;
        }
        Some(BuildFailure {
            vertex: vertex.map(|(id, _)| id),
            error: said.or(own),
            exit_code: self.exit_code(),
            excerpt: self.excerpt(),
        })
    }

    /// Whether buildx gave up the stream of the build's progress: what became of the build, it does not know.
    fn has_lost_stream(&self) -> bool {
        self.output.iter().rev().any(|output| lost_stream(output.line.text()))
    }

    /// What buildx printed last as its error.
    fn error_line(&self) -> Option<Text> {
        let line = self.output.iter().rev().find_map(|o| o.line.text().strip_prefix("ERROR: "))?;
        let shorter = line.strip_prefix("failed to build: ").unwrap_or(line);
        Some(Text::clean(shorter.strip_prefix("failed to solve: ").unwrap_or(shorter)))
    }

    /// The block of the Dockerfile that buildx prints after the stream: from `Dockerfile:4` to the second rule.
    fn excerpt(&self) -> Vec<Line> {
        let rule = |line: &Line| line.text().len() >= 10 && line.text().bytes().all(|b| b == b'-');
        let lines: Vec<&Line> = self.output.iter().map(|output| &output.line).collect();
        let Some(begin) = lines.iter().position(|line| rule(line)) else { return Vec::new() };
        let Some(length) = lines[begin + 1..].iter().position(|line| rule(line)) else { return Vec::new() };
        let title = begin.checked_sub(1).and_then(|at| lines.get(at));
        title.into_iter().chain(&lines[begin + 1..=begin + length]).map(|line| (*line).clone()).collect()
    }

    /// What became of the cache transfers.
    pub fn cache(&self) -> CacheTransfers {
        let mut cache = CacheTransfers::default();
        for vertex in &self.vertices {
            match &vertex.kind {
                VertexKind::CacheImport(reference) => {
                    cache.imports.push(Transfer::of(vertex, Some(reference.clone())));
                }
                VertexKind::CacheExport => {
                    cache.exports.push(Transfer::of(vertex, self.started.cache.clone()));
                }
                _ => {}
            }
        }
        cache
    }
}

/// Whether a line is the error with which buildx gives up the stream of the build's progress (moby/buildkit `client/solve.go`). Where
/// the builder is gone the stream breaks off by another error.
pub(crate) fn lost_stream(line: &str) -> bool {
    line.starts_with("ERROR: ")
        && line.contains("failed to receive status: ")
        && line.contains("context canceled")
}

/// A failed cache import ends nothing: the build goes on, and everything misses.
fn is_soft(vertex: &Vertex) -> bool {
    matches!(vertex.kind, VertexKind::CacheImport(_))
}
