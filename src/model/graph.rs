//! The build as a graph: what has to end before what can begin.
//!
//! The stream tells what a vertex is computed from. What it does not tell, and what was seen on the test engine: the steps
//! begin when the Dockerfile and the base images' metadata are loaded; a step is looked up when the cache's manifests are;
//! the image is exported when the last steps are done, the cache when the image is, and buildx ends with work of its own.
//! Vertices without a path between them run side by side, those of several platforms too.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Model, Vertex, VertexKind};
use crate::event::Time;

/// Edges that are added to one vertex at most for what the stream does not tell.
const MOST_ADDED: usize = 64;

/// What part of a build a vertex has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum VertexPart {
    /// Before any step: the Dockerfile, the metadata of base images.
    Prepare,
    Import,
    /// Steps, and what they are computed from.
    Work,
    /// After the steps and before the export: attestations.
    Late,
    Export,
    CacheExport,
    /// Work of the client behind all that.
    After,
    /// Nobody waits for it by itself: asking for a token.
    Aside,
}

/// The vertices of a model by their places, with what each of them waits for. It is free of cycles: an edge that would close
/// one is left out by the order in which ends are computed.
#[derive(Debug)]
pub(super) struct Graph {
    before: Vec<Vec<usize>>,
    order: Vec<usize>,
    parts: Vec<VertexPart>,
}

/// How long a vertex takes, and how long after the last of those that it waits for it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct VertexSpan {
    pub(super) lag: Duration,
    pub(super) length: Duration,
}

/// A vertex as it ran, in time from the build's beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct VertexRun {
    pub(super) span: VertexSpan,
    /// When it ended, its idle time in between left out.
    pub(super) end: Duration,
}

impl Graph {
    pub(super) fn of(model: &Model) -> Self {
        let vertices = &model.vertices;
        let first_work = vertices.iter().filter(|v| is_work(model, v)).filter_map(Vertex::started).min();
        let parts: Vec<VertexPart> = vertices.iter().map(|vertex| part(model, vertex, first_work)).collect();
        let mut before: Vec<Vec<usize>> = Vec::with_capacity(vertices.len());
        for vertex in vertices {
            let inputs = vertex.inputs.iter().filter_map(|input| model.index.get(input));
            before.push(inputs.map(|id| id.0 as usize).collect());
        }
        let added = AddedEdges::of(model, &parts);
        for (at, vertex) in vertices.iter().enumerate() {
            let is_root = before.get(at).is_none_or(Vec::is_empty);
            let (Some(list), Some(part)) = (before.get_mut(at), parts.get(at)) else { continue };
            let more = added.before(*part, is_root);
            list.extend(more.filter(|other| *other != at && ended_before(vertices.get(*other), vertex)));
        }
        let order = order(&before);
        Self { before, order, parts }
    }

    pub(super) fn part(&self, at: usize) -> VertexPart {
        self.parts.get(at).copied().unwrap_or(VertexPart::Aside)
    }

    pub(super) fn before(&self, at: usize) -> &[usize] {
        self.before.get(at).map_or(&[], Vec::as_slice)
    }

    /// The places in an order in which what is waited for comes first.
    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    /// When each vertex ends, from the beginning of all on.
    pub(super) fn ends(&self, span: impl Fn(usize) -> VertexSpan) -> Vec<Duration> {
        let mut ends = vec![Duration::ZERO; self.before.len()];
        for &at in &self.order {
            let begin = self.latest(at, &ends);
            let VertexSpan { lag, length } = span(at);
            if let Some(end) = ends.get_mut(at) {
                *end = begin.saturating_add(lag).saturating_add(length);
            }
        }
        ends
    }

    /// When the last of those that a vertex waits for ends.
    fn latest(&self, at: usize, ends: &[Duration]) -> Duration {
        self.before(at).iter().filter_map(|other| ends.get(*other)).max().copied().unwrap_or_default()
    }

    /// How the vertices ran, open ones until `now`; none for those that never started.
    pub(super) fn as_it_ran(&self, model: &Model, now: Time) -> Vec<Option<VertexRun>> {
        let begun = model.begun().unwrap_or_default();
        let mut ran: Vec<Option<VertexRun>> = vec![None; self.before.len()];
        for (at, vertex) in model.vertices.iter().enumerate() {
            let Some(start) = vertex.started() else { continue };
            let length = vertex.at_work(now);
            let end = start.since(begun) + length;
            if let Some(place) = ran.get_mut(at) {
                *place = Some(VertexRun { span: VertexSpan { lag: Duration::ZERO, length }, end });
            }
        }
        let ends: Vec<Duration> = ran.iter().map(|ran| ran.map_or(Duration::ZERO, |ran| ran.end)).collect();
        for (at, ran) in ran.iter_mut().enumerate() {
            let latest = self.latest(at, &ends);
            if let Some(ran) = ran {
                ran.span.lag = ran.end.saturating_sub(ran.span.length).saturating_sub(latest);
            }
        }
        ran
    }
}

/// The vertices that others wait for without the stream saying so.
struct AddedEdges {
    prepare: Vec<usize>,
    imports: Vec<usize>,
    /// The last steps: nothing is computed from them.
    sinks: Vec<usize>,
    late: Vec<usize>,
    exports: Vec<usize>,
    cache_exports: Vec<usize>,
}

impl AddedEdges {
    fn of(model: &Model, parts: &[VertexPart]) -> Self {
        let of = |part: VertexPart| {
            let mut found: Vec<usize> = (0..parts.len()).filter(|at| parts.get(*at) == Some(&part)).collect();
            // Those that end last are those that are waited for.
            found.sort_by_key(|at| {
                std::cmp::Reverse(model.vertices.get(*at).map(|v| v.completed().or(v.started())))
            });
            found.truncate(MOST_ADDED);
            found
        };
        let sink = |at: &usize| model.vertices.get(*at).is_some_and(|v| !model.consumed.contains(&v.digest));
        let mut sinks: Vec<usize> =
            (0..parts.len()).filter(|at| parts.get(*at) == Some(&VertexPart::Work)).filter(sink).collect();
        sinks.truncate(MOST_ADDED);
        Self {
            prepare: of(VertexPart::Prepare),
            imports: of(VertexPart::Import),
            sinks,
            late: of(VertexPart::Late),
            exports: of(VertexPart::Export),
            cache_exports: of(VertexPart::CacheExport),
        }
    }

    fn before(&self, part: VertexPart, is_root: bool) -> impl Iterator<Item = usize> {
        let none: &[usize] = &[];
        let lists: [&[usize]; 4] = match part {
            VertexPart::Prepare | VertexPart::Aside => [none; 4],
            VertexPart::Import => [&self.prepare, none, none, none],
            VertexPart::Work if is_root => [&self.prepare, none, none, none],
            VertexPart::Work => [&self.imports, none, none, none],
            VertexPart::Late => [&self.sinks, none, none, none],
            VertexPart::Export => [&self.sinks, &self.late, none, none],
            VertexPart::CacheExport => [&self.sinks, &self.late, &self.exports, none],
            VertexPart::After => [&self.sinks, &self.late, &self.exports, &self.cache_exports],
        };
        lists.into_iter().flatten().copied()
    }
}

/// Whether the one can be what the other waited for: an export of one of bake's targets does not wait for another's steps.
fn ended_before(one: Option<&Vertex>, other: &Vertex) -> bool {
    match (one, other.started()) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(one), Some(start)) => one.completed().is_some_and(|end| end <= start),
    }
}

fn is_work(model: &Model, vertex: &Vertex) -> bool {
    matches!(vertex.kind, VertexKind::Step(_))
        || !vertex.inputs.is_empty()
        || (matches!(vertex.kind, VertexKind::Internal | VertexKind::Other)
            && model.consumed.contains(&vertex.digest))
}

fn part(model: &Model, vertex: &Vertex, first_work: Option<Time>) -> VertexPart {
    let early = || match (vertex.started(), first_work) {
        (Some(start), Some(first)) => start < first,
        _ => first_work.is_none(),
    };
    match vertex.kind {
        VertexKind::CacheImport(_) => VertexPart::Import,
        VertexKind::Export => VertexPart::Export,
        VertexKind::CacheExport => VertexPart::CacheExport,
        VertexKind::Internal if vertex.name.as_str().contains("[auth]") => VertexPart::Aside,
        _ if is_work(model, vertex) => VertexPart::Work,
        VertexKind::Internal => VertexPart::Prepare,
        _ if early() => VertexPart::Prepare,
        VertexKind::Client => VertexPart::After,
        _ => VertexPart::Late,
    }
}

/// The places in an order in which what is waited for comes first. Where the edges close a circle, which no builder can mean,
/// the first vertex of it goes first.
fn order(before: &[Vec<usize>]) -> Vec<usize> {
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); before.len()];
    let mut waits: Vec<usize> = vec![0; before.len()];
    for (at, list) in before.iter().enumerate() {
        for &other in list {
            if let (Some(after), Some(waits)) = (after.get_mut(other), waits.get_mut(at)) {
                after.push(at);
                *waits += 1;
            }
        }
    }
    let mut ready: VecDeque<usize> = (0..before.len()).filter(|at| waits.get(*at) == Some(&0)).collect();
    let mut placed = vec![false; before.len()];
    let mut order = Vec::with_capacity(before.len());
    let mut stuck = 0..before.len();
    loop {
        let Some(at) = ready.pop_front().or_else(|| stuck.find(|at| placed.get(*at) == Some(&false))) else {
            return order;
        };
        match placed.get_mut(at) {
            Some(place) if !*place => *place = true,
            _ => continue,
        }
        order.push(at);
        for &next in after.get(at).into_iter().flatten() {
            if let Some(waits) = waits.get_mut(next) {
                *waits = waits.saturating_sub(1);
                if *waits == 0 {
                    ready.push_back(next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(before: &[&[usize]]) -> Graph {
        let before: Vec<Vec<usize>> = before.iter().map(|list| list.to_vec()).collect();
        let order = order(&before);
        let parts = vec![VertexPart::Work; before.len()];
        Graph { before, order, parts }
    }

    fn seconds(ends: &[Duration]) -> Vec<u64> {
        ends.iter().map(Duration::as_secs).collect()
    }

    fn take(length: u64) -> VertexSpan {
        VertexSpan { lag: Duration::ZERO, length: Duration::from_secs(length) }
    }

    #[test]
    fn a_vertex_ends_after_the_last_that_it_waits_for() {
        // 3 waits for 1 and 2, which wait for 0 and run side by side.
        let graph = graph(&[&[], &[0], &[0], &[1, 2]]);
        let ends = graph.ends(|at| take([1, 5, 2, 3][at]));
        assert_eq!(seconds(&ends), [1, 6, 3, 9]);
    }

    #[test]
    fn inputs_that_come_later_are_waited_for_too() {
        let graph = graph(&[&[2], &[0], &[]]);
        assert_eq!(seconds(&graph.ends(|_| take(1))), [2, 3, 1]);
    }

    #[test]
    fn a_circle_holds_up_nobody() {
        let graph = graph(&[&[1], &[0], &[1], &[3]]);
        let ends = graph.ends(|_| take(1));
        assert_eq!(seconds(&ends), [1, 2, 3, 1]);
    }
}
