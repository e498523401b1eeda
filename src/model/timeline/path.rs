//! The chain of what held the end of a build up, and what each of it would have saved as a hit.

use std::time::Duration;

use super::{BarKind, CriticalLane, Lane, Timeline};
use crate::event::Time;
use crate::model::graph::{Graph, VertexRun, VertexSpan};
use crate::model::{Model, State, StepId};

impl Model {
    /// Marks the lanes and bars that held the end up.
    pub(super) fn mark_path(&self, graph: &Graph, timeline: &mut Timeline) {
        let ran = graph.as_it_ran(self, timeline.end);
        let lanes = self.lanes_of(timeline);
        let lane_of = |at: usize| lanes.get(at).copied().flatten();
        let Some(last) = self.last(&lanes, &ran) else { return };
        let all = makespan(graph, &ran, &self.marks(&[]));
        for at in self.chain(graph, last, timeline.end) {
            let Some(lane) = lane_of(at).filter(|lane| !timeline.path.iter().any(|on| on.lane == *lane))
            else {
                continue;
            };
            let Some(marked) = timeline.lanes.get_mut(lane) else { continue };
            let took = marked.took;
            // What took no time held up nobody.
            if took.is_zero() {
                continue;
            }
            marked.critical = true;
            for bar in &mut marked.bars {
                bar.critical = bar.end > bar.start && bar.kind != BarKind::Hit;
            }
            let misses = matches!(marked.state, Some(State::Miss | State::Running));
            let without = |hits: &[usize]| makespan(graph, &ran, &self.marks(hits));
            let gain = misses.then(|| all.saturating_sub(without(&self.same_instruction(marked))));
            timeline.path.push(CriticalLane { lane, took, gain });
        }
    }

    /// The places of the vertices that are the lane's instruction, on all platforms: what a layer missed for, it mostly missed
    /// for everywhere.
    fn same_instruction(&self, lane: &Lane) -> Vec<usize> {
        let row = lane.step.and_then(|step| self.stack.row_of(step));
        let steps = row.into_iter().flat_map(|row| &row.steps).filter_map(|step| self.stack.step(*step));
        steps.flat_map(|step| &step.vertices).map(|id| id.0 as usize).collect()
    }

    /// The vertices, those at these places marked.
    fn marks(&self, places: &[usize]) -> Vec<bool> {
        let mut marks = vec![false; self.vertices.len()];
        for at in places {
            if let Some(mark) = marks.get_mut(*at) {
                *mark = true;
            }
        }
        marks
    }

    /// What each of these lists of steps cost the build, so far: how much earlier it would have ended had they been hits. What ran beside
    /// something longer cost nothing, and nothing costs more than the build took.
    pub fn costs(&self, lists: &[Vec<StepId>]) -> Vec<Duration> {
        if lists.is_empty() {
            return Vec::new();
        }
        let end = self.ended().unwrap_or(self.newest());
        let graph = Graph::of(self);
        let ran = graph.as_it_ran(self, end);
        let all = makespan(&graph, &ran, &self.marks(&[]));
        let vertices = |steps: &[StepId]| -> Vec<usize> {
            let steps = steps.iter().filter_map(|step| self.stack.step(*step));
            steps.flat_map(|step| &step.vertices).map(|id| id.0 as usize).collect()
        };
        let cost = |steps: &Vec<StepId>| {
            let without = makespan(&graph, &ran, &self.marks(&vertices(steps)));
            all.saturating_sub(without).min(self.wall(end))
        };
        lists.iter().map(cost).collect()
    }

    /// The lane of each vertex.
    fn lanes_of(&self, timeline: &Timeline) -> Vec<Option<usize>> {
        let mut lanes = vec![None; self.vertices.len()];
        for (at, lane) in timeline.lanes.iter().enumerate() {
            for vertex in &lane.vertices {
                if let Some(place) = lanes.get_mut(vertex.0 as usize) {
                    *place = Some(at);
                }
            }
        }
        lanes
    }

    /// The vertex that ended last; while the build runs, of those that are open the one that has been so for longest.
    fn last(&self, lanes: &[Option<usize>], ran: &[Option<VertexRun>]) -> Option<usize> {
        let started = || {
            let drawn = |at: &usize| lanes.get(*at).is_some_and(Option::is_some);
            (0..ran.len()).filter(|at| ran.get(*at).is_some_and(Option::is_some)).filter(drawn)
        };
        let open = |at: &usize| {
            let vertex = self.vertices.get(*at)?;
            vertex.runs().iter().find(|run| run.end.is_none()).map(|run| (run.start, *at))
        };
        if self.ended.is_none()
            && let Some((_, at)) = started().filter_map(|at| open(&at)).min()
        {
            return Some(at);
        }
        started().max_by_key(|at| self.vertices.get(*at).and_then(crate::model::Vertex::completed))
    }

    /// The chain of vertices that ends with `last`, first to last: of those that a vertex waits for, the one that ended last
    /// before it began.
    fn chain(&self, graph: &Graph, last: usize, now: Time) -> Vec<usize> {
        let (mut chain, mut at) = (vec![last], last);
        let mut seen = vec![false; self.vertices.len()];
        loop {
            if let Some(seen) = seen.get_mut(at) {
                *seen = true;
            }
            let start = self.vertices.get(at).and_then(crate::model::Vertex::started);
            let ended = |other: &usize| {
                let end = self.vertices.get(*other)?.completed()?;
                Some(end.min(start.unwrap_or(now)))
            };
            let before = graph.before(at).iter().filter(|other| seen.get(**other) == Some(&false));
            let Some(&next) = before.max_by_key(|other| (ended(other), std::cmp::Reverse(**other))) else {
                chain.reverse();
                return chain;
            };
            chain.push(next);
            at = next;
        }
    }
}

/// How long the build takes where these vertices take no time.
fn makespan(graph: &Graph, ran: &[Option<VertexRun>], hits: &[bool]) -> Duration {
    let span = |at: usize| match ran.get(at).copied().flatten() {
        Some(_) if hits.get(at) == Some(&true) => VertexSpan::default(),
        Some(ran) => ran.span,
        None => VertexSpan::default(),
    };
    graph.ends(span).into_iter().max().unwrap_or_default()
}
