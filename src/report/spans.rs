//! What a build did, as stretches of time: the common ground of the picture in the HTML report and of the traces.

use std::collections::BTreeSet;

use super::json::{StepSummary, Summary};
use crate::event::{Digest, Platform, Text, Time};
use crate::model::{Model, Phase, RunTimes, Vertex, VertexId, VertexKind};

/// What a stretch of time was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpanCategory {
    /// A step of the Dockerfile.
    Step,
    /// Reading the Dockerfile, the context, the metadata of images.
    Preparation,
    /// Import of a cache.
    CacheImport,
    /// Export of the cache.
    CacheExport,
    /// Export of the image, its push among it.
    Export,
    /// Anything else that the builder or buildx did.
    Other,
}

impl SpanCategory {
    /// Its name for programs.
    pub fn key(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Preparation => "preparation",
            Self::CacheImport => "cache_import",
            Self::CacheExport => "cache_export",
            Self::Export => "export",
            Self::Other => "other",
        }
    }
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildSpan {
    /// What it was spent on.
    pub work: SpanCategory,
    /// Its vertex; of a step that has several, the first.
    pub digest: Digest,
    /// The vertex' own name.
    pub name: Text,
    /// For which platform; none for what is done once for all.
    pub platform: Option<Platform>,
    /// Its step's place in the summary's `steps`.
    pub step: Option<usize>,
    pub start: Time,
    /// To then; the builder's clock, as `start`.
    pub end: Time,
    pub error: Option<Text>,
    /// Whether it was stopped, because the build was.
    pub cancelled: bool,
}

impl BuildSpan {
    /// How long it is.
    pub fn length(&self) -> std::time::Duration {
        self.end.since(self.start)
    }

    /// What it shows of its step.
    pub fn step<'s>(&self, summary: &'s Summary) -> Option<&'s StepSummary> {
        summary.steps.get(self.step?)
    }

    /// The span's title: the instruction of a step, else the name of the vertex.
    pub fn title<'s>(&'s self, summary: &'s Summary) -> &'s Text {
        self.step(summary).map_or(&self.name, |step| &step.instruction)
    }
}

/// All that a build did, in the order of the starts. What never started is not among it; what is open at `now`, or was when the
/// build ended, ends there.
pub fn spans(model: &Model, summary: &Summary, now: Time) -> Vec<BuildSpan> {
    let now = model.ended().unwrap_or(now);
    let mut spans: Vec<BuildSpan> = Vec::new();
    let mut used: BTreeSet<VertexId> = BTreeSet::new();
    let ids: std::collections::HashMap<&Digest, VertexId> =
        model.vertices().map(|(id, vertex)| (&vertex.digest, id)).collect();
    for (at, told) in summary.steps.iter().enumerate() {
        let Some(id) = told.digest.as_ref().and_then(|digest| ids.get(digest)).copied() else { continue };
        // A base image that several stages begin with is one step.
        if used.contains(&id) {
            continue;
        }
        let Some(step) = model.step_of(id) else { continue };
        used.extend(model.stack().step(step).iter().flat_map(|step| &step.vertices));
        used.insert(id);
        let vertices: Vec<&Vertex> = model.vertices_of(step).collect();
        spans.extend(of(&vertices, now).map(|span| BuildSpan {
            work: SpanCategory::Step,
            step: Some(at),
            platform: told.platform.clone(),
            error: told.error.clone(),
            ..span
        }));
    }
    for (id, vertex) in model.vertices() {
        if used.contains(&id) || vertex.name.is_empty() {
            continue;
        }
        let work = work(&vertex.kind);
        spans.extend(of(&[vertex], now).map(|span| BuildSpan { work, ..span }));
    }
    spans.sort_by_key(|span| (span.start, span.work, span.step));
    spans
}

fn work(kind: &VertexKind) -> SpanCategory {
    match kind {
        VertexKind::Step(_) => SpanCategory::Step,
        VertexKind::Internal => SpanCategory::Preparation,
        VertexKind::CacheImport(_) => SpanCategory::CacheImport,
        VertexKind::CacheExport => SpanCategory::CacheExport,
        VertexKind::Export => SpanCategory::Export,
        VertexKind::Client | VertexKind::Other => SpanCategory::Other,
    }
}

/// The stretch in which vertices were worked on; none where that never began. Of a hit it is the fetching of its blobs, which may
/// come long after the word that it hit, or else the moment of that word.
fn of(vertices: &[&Vertex], now: Time) -> Option<BuildSpan> {
    let first = vertices.first()?;
    let mut worked: Option<(Time, Time)> = None;
    let mut hit: Option<(Time, Time)> = None;
    let join = |span: &mut Option<(Time, Time)>, start: Time, end: Time| {
        *span = Some(span.map_or((start, end), |(from, to)| (from.min(start), to.max(end))));
    };
    for vertex in vertices {
        for &RunTimes { start, end, cached } in vertex.runs() {
            let end = end.unwrap_or(now).max(start);
            let span = if cached || vertex.cached && end == start { &mut hit } else { &mut worked };
            join(span, start, end);
        }
        let blobs = vertex.blobs().filter_map(|blob| Some((blob.started?, blob.completed.unwrap_or(now))));
        for (start, end) in blobs {
            join(&mut worked, start, end.max(start));
        }
    }
    let (start, end) = worked.or(hit)?;
    let error = vertices.iter().find(|vertex| vertex.phase() == Phase::Failed);
    Some(BuildSpan {
        work: SpanCategory::Step,
        digest: first.digest.clone(),
        name: first.name.clone(),
        platform: None,
        step: None,
        start,
        end,
        error: error.and_then(|vertex| vertex.error.clone()),
        cancelled: vertices.iter().any(|vertex| vertex.phase() == Phase::Cancelled),
    })
}

/// Lanes: spans of one lane do not overlap. Gives the lane of each span, from 0; the spans come in the order of their starts.
pub fn lanes<'s>(spans: impl Iterator<Item = &'s BuildSpan>) -> Vec<usize> {
    let mut free: Vec<Time> = Vec::new();
    let lane = |span: &BuildSpan| {
        let at = free.iter().position(|until| *until <= span.start).unwrap_or(free.len());
        if at == free.len() {
            free.push(span.end);
        }
        free[at] = span.end;
        at
    };
    spans.map(lane).collect()
}
