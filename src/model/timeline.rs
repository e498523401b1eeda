//! The build over time: a lane a step, its bars, and the chain of what held the end up.
//!
//! It is geometry without a scale: whoever draws it, on a screen or as SVG, decides how wide a second is.

mod bars;
mod path;

use std::time::Duration;

use super::graph::{Graph, VertexPart};
use super::{Model, State, StepId, Vertex, VertexId, VertexKind};
use crate::event::{Platform, Text, Time};

pub use bars::{Bar, BarKind};

/// A build over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// When the build began.
    pub begin: Time,
    /// When it ended; while it runs, now.
    pub end: Time,
    /// How long it took or has taken, as every output says it: the builder's first time may lie before the first arrival.
    pub wall: Duration,
    /// Its lanes from top to bottom: what comes before the steps, the steps platform by platform in the order of the
    /// Dockerfile, the exports.
    pub lanes: Vec<Lane>,
    /// The lanes that held the end up, in the order of time.
    pub path: Vec<CriticalLane>,
    /// Times in which nothing was at work, in their order.
    pub idle: Vec<(Time, Time)>,
}

/// Where a lane stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneSection {
    /// Before the steps: the Dockerfile, the context, the cache's manifests.
    #[default]
    Before,
    /// Steps of a platform.
    Steps,
    /// Behind them: attestations, exports, what buildx does at the end.
    After,
}

/// A line of the timeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lane {
    /// Where it stands.
    pub section: LaneSection,
    /// What it is: a step's instruction, or the name of what is no step.
    pub label: Text,
    /// The layer of a step.
    pub layer: Option<Text>,
    /// The stage of a step, where it has a name.
    pub stage: Option<Text>,
    /// The platform of a step; none where that is not known.
    pub platform: Option<Platform>,
    /// The step; none of what is no step.
    pub step: Option<StepId>,
    /// What became of the step; of what is no step none.
    pub state: Option<State>,
    /// The vertices that its bars are of.
    pub vertices: Vec<VertexId>,
    /// In the order of time; none of what waits. That of a hit is a moment.
    pub bars: Vec<Bar>,
    /// How long it was at work: of a step what every output says, so that a hit has no time of its own.
    pub took: Duration,
    /// Whether it is one of those that held the end up.
    pub critical: bool,
}

/// A lane that held the end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriticalLane {
    /// Index into [`Timeline::lanes`].
    pub lane: usize,
    /// How long it was at work.
    pub took: Duration,
    /// How much sooner the build had ended if the instruction had been cached, on all platforms, and all else been as it was;
    /// none of what can't be cached, or was.
    pub gain: Option<Duration>,
}

impl Timeline {
    /// From begin to end.
    pub fn length(&self) -> Duration {
        self.end.since(self.begin)
    }

    /// What would be gained by a lane that held the end up, if it were a hit.
    pub fn gain(&self, lane: usize) -> Option<Duration> {
        self.path.iter().find(|on| on.lane == lane)?.gain
    }
}

impl Lane {
    /// From its first bar's start to its last bar's end; none while it waits.
    pub fn span(&self) -> Option<(Time, Time)> {
        let start = self.bars.iter().map(|bar| bar.start).min()?;
        Some((start, self.bars.iter().map(|bar| bar.end).max()?))
    }
}

impl Model {
    /// The build over time, what is open drawn until `now`.
    pub fn timeline(&self, now: Time) -> Timeline {
        let Some(begin) = self.begun() else { return Timeline::default() };
        // The builder's own times may lie before the first arrival.
        let first = self.vertices.iter().filter_map(Vertex::started).min();
        let begin = first.map_or(begin, |first| first.min(begin));
        let end = self.ended().unwrap_or(now).max(begin);
        let graph = Graph::of(self);
        let mut lanes = self.before(&graph, end);
        lanes.extend(self.step_lanes(end));
        lanes.extend(self.after(&graph, end));
        let mut timeline = Timeline { begin, end, wall: self.wall(now), lanes, ..Timeline::default() };
        self.mark_path(&graph, &mut timeline);
        timeline.idle = bars::idle(&timeline);
        bars::shorten_hits(&mut timeline);
        timeline
    }

    /// What comes before the steps. All that is only a moment's preparation has one lane.
    fn before(&self, graph: &Graph, end: Time) -> Vec<Lane> {
        let mut prepare = Lane { label: Text::from("load definition and metadata"), ..Lane::default() };
        let mut lanes = Vec::new();
        for (id, vertex) in self.vertices().filter(|(id, _)| self.step_of(*id).is_none()) {
            let bars = || self.bars(vertex, graph.part(id.0 as usize), end);
            match graph.part(id.0 as usize) {
                VertexPart::Prepare => {
                    prepare.vertices.push(id);
                    prepare.bars.extend(bars());
                }
                VertexPart::Import => lanes.push(named(vertex, id, LaneSection::Before, bars())),
                VertexPart::Work if vertex.started().is_some() => {
                    lanes.push(named(vertex, id, LaneSection::Before, bars()));
                }
                _ => {}
            }
        }
        prepare.bars = bars::merged(prepare.bars);
        prepare.took = bars::length(&prepare.bars);
        if !prepare.bars.is_empty() {
            lanes.insert(0, prepare);
        }
        lanes
    }

    fn after(&self, graph: &Graph, end: Time) -> Vec<Lane> {
        let after = |(id, vertex): (VertexId, &Vertex)| {
            let part = graph.part(id.0 as usize);
            let stands = matches!(
                part,
                VertexPart::Late
                    | VertexPart::Export
                    | VertexPart::CacheExport
                    | VertexPart::After
                    | VertexPart::Aside
            );
            let bars = self.bars(vertex, part, end);
            (stands && !bars.is_empty() && self.step_of(id).is_none())
                .then(|| named(vertex, id, LaneSection::After, bars))
        };
        let mut lanes: Vec<Lane> = self.vertices().filter_map(after).collect();
        lanes.sort_by_key(|lane| lane.span().map(|(start, _)| start));
        lanes
    }

    /// The steps, platform by platform.
    fn step_lanes(&self, end: Time) -> Vec<Lane> {
        let platforms = self.platforms();
        let mut lanes: Vec<(usize, Lane)> = Vec::new();
        for group in self.stack.groups() {
            for (row, id) in group.rows.iter().flat_map(|row| row.steps.iter().map(move |id| (row, *id))) {
                let Some(step) = self.stack.step(id) else { continue };
                let platform = self.platform_of(step);
                let place = platforms.iter().position(|known| *known == platform).unwrap_or(0);
                let own = self.vertices_of(id).flat_map(|vertex| self.bars(vertex, VertexPart::Work, end));
                lanes.push((
                    place,
                    Lane {
                        section: LaneSection::Steps,
                        label: row.instruction.clone(),
                        layer: row.layer.clone(),
                        stage: group.stage.clone(),
                        platform,
                        step: Some(id),
                        state: Some(self.state(id)),
                        vertices: step.vertices.clone(),
                        bars: bars::merged(own.collect()),
                        took: self.took(id, end),
                        critical: false,
                    },
                ));
            }
        }
        lanes.sort_by_key(|(place, _)| *place);
        lanes.into_iter().map(|(_, lane)| lane).collect()
    }
}

/// A lane of what is no step.
fn named(vertex: &Vertex, id: VertexId, section: LaneSection, bars: Vec<Bar>) -> Lane {
    let label = match &vertex.kind {
        VertexKind::CacheImport(_) => Text::from("import cache"),
        _ => Text::clean(vertex.name.as_str().trim_start_matches("[internal] ")),
    };
    let took = bars::length(&bars);
    Lane { section, label, vertices: vec![id], bars, took, ..Lane::default() }
}

#[cfg(test)]
mod tests;
