//! What a build would have taken without a cache.

use std::time::Duration;

use crate::event::expected::TransferKind;
use crate::model::expected::transfer_kind;
use crate::model::graph::{Graph, VertexRun, VertexSpan};
use crate::model::{Model, Outcome, State, Vertex, VertexId};

/// What a build would have taken without a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithoutCache {
    /// Wall time from its first event to its end.
    pub wall: Duration,
    /// Cached steps of which nobody knows how long they run: it would have taken longer than said.
    pub unknown: usize,
}

impl Model {
    /// What the build would have taken if nothing had been cached: the longest path through its graph, where steps that ran
    /// take what they took, steps that did not take what they took last, and the exports what they took in builds in which
    /// as many steps ran. None unless it made what was asked for.
    ///
    /// Base images are taken to be where they were: `--no-cache` does not pull them again either.
    pub fn without_cache(&self) -> Option<WithoutCache> {
        let end = self.ended().filter(|_| self.outcome() == Outcome::Success)?;
        let wall = self.wall(end);
        let avoided = self.vertices.iter().filter(|vertex| self.is_avoided(vertex)).count();
        if avoided == 0 {
            return Some(WithoutCache { wall, unknown: 0 });
        }
        let graph = Graph::of(self);
        let ran = graph.as_it_ran(self, end);
        let exports = self.exports_without_cache();
        let mut unknown = 0;
        let spans: Vec<VertexSpan> = (0..self.vertices.len())
            .map(|at| {
                let ran = ran.get(at).copied().flatten();
                self.span_without_cache(at, ran, exports, &mut unknown)
            })
            .collect();
        let ends = graph.ends(|at| spans.get(at).copied().unwrap_or_default());
        let last = ran.iter().flatten().map(|ran| ran.end).max().unwrap_or_default();
        // What buildx and the way to it take behind the last vertex.
        let rest = wall.saturating_sub(last);
        let wall = ends.into_iter().max().unwrap_or_default() + rest;
        Some(WithoutCache { wall, unknown })
    }

    /// Wall time of the same build without a cache; none where it did not succeed, or where nobody knows how long some of the
    /// cached steps run.
    pub fn no_cache(&self) -> Option<Duration> {
        self.without_cache().filter(|found| found.unknown == 0).map(|found| found.wall)
    }

    /// Whether the cache made a vertex unnecessary. `BuildKit` calls a working directory cached whenever it is there, with
    /// `--no-cache` too, and making one takes no time.
    fn is_avoided(&self, vertex: &Vertex) -> bool {
        let Some(step) = vertex.step_name() else { return false };
        let is_quick = step.is_workdir() || step.is_from();
        !is_quick && matches!(self.state_of(vertex), State::Hit | State::NotNeeded)
    }

    fn span_without_cache(
        &self,
        at: usize,
        ran: Option<VertexRun>,
        exports: ExportDurations,
        unknown: &mut usize,
    ) -> VertexSpan {
        let Some(vertex) = self.vertices.get(at) else { return VertexSpan::default() };
        if self.is_avoided(vertex) {
            let known = self.last_of(VertexId(at as u32));
            *unknown += usize::from(known.is_none());
            return VertexSpan { lag: Duration::ZERO, length: known.unwrap_or_default() };
        }
        let Some(ran) = ran else { return VertexSpan::default() };
        let length = match transfer_kind(&vertex.kind, &vertex.name) {
            Some(TransferKind::ImageExport) => exports.image.of(ran.span.length),
            Some(TransferKind::CacheExport) => exports.cache.of(ran.span.length),
            _ => ran.span.length,
        };
        VertexSpan { length, ..ran.span }
    }

    /// How long a cached vertex took when it ran last.
    fn last_of(&self, id: VertexId) -> Option<Duration> {
        let step = self.step_of(id)?;
        let parts = self.vertices_of(step).count().max(1) as u32;
        Some(self.expected(step)?.last / parts)
    }

    /// How long the exports of a build are in which every step ran; what they took here, where no known build is more like that
    /// one.
    fn exports_without_cache(&self) -> ExportDurations {
        let all = self.stack.steps().filter(|(_, step)| !step.name.is_from()).count();
        let of = |kind: TransferKind| {
            let took = self.transfers().iter().find(|(known, _)| *known == kind).map(|(_, took)| *took);
            let told = self.expected.transfer(kind, self.size(all));
            let away = all.abs_diff(self.ran_count()) as u64;
            let told = told.filter(|told| told.away < away).map(|told| told.took);
            FullExports { took: took.unwrap_or_default(), told }
        };
        ExportDurations { image: of(TransferKind::ImageExport), cache: of(TransferKind::CacheExport) }
    }
}

#[derive(Debug, Clone, Copy)]
struct ExportDurations {
    image: FullExports,
    cache: FullExports,
}

/// What exports took in all, and what they take in a build that ran everything.
#[derive(Debug, Clone, Copy)]
struct FullExports {
    took: Duration,
    told: Option<Duration>,
}

impl FullExports {
    /// The length that one of them would have, of which it has a share.
    fn of(self, length: Duration) -> Duration {
        match self.told {
            Some(told) if !self.took.is_zero() => {
                let share = length.as_secs_f64() / self.took.as_secs_f64();
                told.mul_f64(share.clamp(0.0, 1.0))
            }
            _ => length,
        }
    }
}
