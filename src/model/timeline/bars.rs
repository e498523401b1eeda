//! Bars: when what was at work.

use std::time::Duration;

use super::Timeline;
use crate::event::Time;
use crate::model::graph::VertexPart;
use crate::model::{Model, State, Vertex, VertexKind};

/// Runs of one kind with no more than this between them are one bar: a builder puts moments between what it does at one go.
const GAP: Duration = Duration::from_millis(100);

/// What a bar stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BarKind {
    /// Loading of the Dockerfile, of metadata, of the context, and what buildx does at the end.
    Prepare,
    /// Import of a cache's manifest.
    Import,
    /// It was in the cache: the moment in which it was looked up.
    Hit,
    /// Blobs were fetched and unpacked.
    Pull,
    Run,
    /// It ran and failed.
    Failed,
    /// It ran and was stopped.
    Cancelled,
    /// Export of the image.
    Export,
    /// Export of the cache.
    CacheExport,
}

impl BarKind {
    pub const ALL: [Self; 9] = [
        Self::Prepare,
        Self::Import,
        Self::Hit,
        Self::Pull,
        Self::Run,
        Self::Failed,
        Self::Cancelled,
        Self::Export,
        Self::CacheExport,
    ];

    /// Its name in exports.
    pub fn key(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Import => "import",
            Self::Hit => "hit",
            Self::Pull => "pull",
            Self::Run => "run",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Export => "export",
            Self::CacheExport => "cache_export",
        }
    }
}

/// A time in which something was at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// When it began.
    pub start: Time,
    /// When it ended; the same as `start` where it took no time.
    pub end: Time,
    pub kind: BarKind,
    /// Whether it goes on.
    pub open: bool,
    /// Whether it held the end up.
    pub critical: bool,
}

impl Bar {
    /// From start to end.
    pub fn length(&self) -> Duration {
        self.end.since(self.start)
    }
}

impl Model {
    /// When a vertex was at work, what is open until `end`.
    pub(super) fn bars(&self, vertex: &Vertex, part: VertexPart, end: Time) -> Vec<Bar> {
        let bar = |run: &crate::model::RunTimes| Bar {
            start: run.start,
            end: run.end.unwrap_or(end).max(run.start),
            kind: self.kind_of(vertex, part, run.cached),
            open: run.end.is_none() && self.ended.is_none(),
            critical: false,
        };
        merged(vertex.runs().iter().map(bar).collect())
    }

    fn kind_of(&self, vertex: &Vertex, part: VertexPart, cached: bool) -> BarKind {
        let state = self.state_of(vertex);
        match (part, state) {
            (_, State::Failed) => return BarKind::Failed,
            (_, State::Cancelled) => return BarKind::Cancelled,
            (VertexPart::Import, _) => return BarKind::Import,
            (VertexPart::Export, _) => return BarKind::Export,
            (VertexPart::CacheExport, _) => return BarKind::CacheExport,
            (VertexPart::Work, _) => {}
            _ => return BarKind::Prepare,
        }
        let Some(step) = vertex.step_name() else {
            let loads = matches!(vertex.kind, VertexKind::Internal);
            return if loads { BarKind::Prepare } else { BarKind::Pull };
        };
        match (state, step.is_from()) {
            // What is only resolved is in nobody's way.
            (State::Hit, true) => BarKind::Hit,
            (State::Hit, false) if cached => BarKind::Hit,
            // A base image does nothing else than being fetched, and a cached vertex starts again to be.
            (_, true) | (State::Hit, false) => BarKind::Pull,
            _ => BarKind::Run,
        }
    }
}

/// The bars in the order of time, those of one kind that touch made one.
pub(super) fn merged(mut bars: Vec<Bar>) -> Vec<Bar> {
    bars.sort_by_key(|bar| (bar.start, bar.end));
    let mut merged: Vec<Bar> = Vec::with_capacity(bars.len());
    for bar in bars {
        match merged.last_mut() {
            Some(last) if last.kind == bar.kind && bar.start.since(last.end) <= GAP => {
                last.end = last.end.max(bar.end);
                last.open |= bar.open;
            }
            _ => merged.push(bar),
        }
    }
    merged
}

/// How long bars are together.
pub(super) fn length(bars: &[Bar]) -> Duration {
    bars.iter().map(Bar::length).sum()
}

/// A hit has no time, and no bar that looks as if it had: until here the time of looking it up tells that something was at work.
pub(super) fn shorten_hits(timeline: &mut Timeline) {
    let bars = timeline.lanes.iter_mut().flat_map(|lane| &mut lane.bars);
    for bar in bars.filter(|bar| bar.kind == BarKind::Hit) {
        (bar.end, bar.open) = (bar.start, false);
    }
}

/// The times between begin and end in which no lane has a bar.
pub(super) fn idle(timeline: &Timeline) -> Vec<(Time, Time)> {
    let mut bars: Vec<(Time, Time)> =
        timeline.lanes.iter().flat_map(|lane| &lane.bars).map(|bar| (bar.start, bar.end)).collect();
    bars.sort_unstable();
    bars.push((timeline.end, timeline.end));
    let mut idle = Vec::new();
    let mut reached = timeline.begin;
    for (start, end) in bars {
        if start.since(reached) > GAP {
            idle.push((reached, start));
        }
        reached = reached.max(end);
    }
    idle
}
