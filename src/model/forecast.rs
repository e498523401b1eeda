//! What a build would do, as it was told.

use std::time::Duration;

use super::expected::BuildExports;
use super::graph::{Graph, VertexSpan};
use super::{Model, StepId, TimeLeft, VertexId};
use crate::event::digest::DigestMap;
use crate::event::prediction::{LastBuild, Planned, PlannedStep, Prediction};

/// How long a planned build is expected to take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Its steps, on the longest path through those that would run.
    pub steps: TimeLeft,
    /// All of it, as like builds took: what they took beside their steps comes to these. None where no such build is known.
    pub whole: Option<TimeLeft>,
    /// Steps that would run, and of which nobody knows how long.
    pub unknown: Vec<StepId>,
}

/// A plan, by the vertices of its steps.
#[derive(Debug, Default)]
pub(super) struct PlannedSteps {
    steps: DigestMap<PlannedStep>,
    last: Option<LastBuild>,
}

impl PlannedSteps {
    pub(super) fn of(planned: &Planned) -> Self {
        let steps = planned.steps.iter().map(|step| (step.vertex.clone(), step.clone())).collect();
        Self { steps, last: planned.last }
    }
}

impl Model {
    /// Lets go of the build, for another one that is to be shown instead; what is around it stays as it is.
    pub fn forget_build(&mut self) {
        *self = Self {
            watching: self.watching,
            registry: std::mem::take(&mut self.registry),
            builder: std::mem::take(&mut self.builder),
            cluster: std::mem::take(&mut self.cluster),
            ..Self::default()
        };
    }

    /// Whether this is no build but the plan of one, be it that it is still being found out.
    pub fn is_plan(&self) -> bool {
        self.plan.is_some()
    }

    /// Whether anything is predicted.
    pub fn is_planned(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| !plan.steps.is_empty())
    }

    /// What is predicted of a step; none outside of a plan.
    pub fn planned(&self, id: StepId) -> Option<&PlannedStep> {
        self.plan.as_ref()?.steps.get(self.digest_of(id)?)
    }

    /// The steps of a plan of which this is predicted.
    pub fn planned_as(&self, predicted: Prediction) -> impl Iterator<Item = (StepId, &PlannedStep)> {
        let told = move |(id, _)| Some((id, self.planned(id)?));
        self.stack.steps().filter_map(told).filter(move |(_, step)| step.predicted == predicted)
    }

    /// How long a step of a plan is expected to run; zero where it would not, or where that is not known.
    pub fn planned_time(&self, id: StepId) -> Duration {
        let told = self.planned(id).filter(|step| step.predicted == Prediction::Miss);
        told.and_then(|step| step.expected_us).map(Duration::from_micros).unwrap_or_default()
    }

    /// How long a planned build is expected to take; nothing is known outside of a plan.
    pub fn forecast(&self) -> Forecast {
        let missed: Vec<StepId> = self.planned_as(Prediction::Miss).map(|(id, _)| id).collect();
        let unknown: Vec<StepId> = self
            .planned_as(Prediction::Miss)
            .filter(|(_, step)| step.expected_us.is_none())
            .map(|(id, _)| id)
            .collect();
        let at_least = !unknown.is_empty() || self.planned_as(Prediction::Unknown).next().is_some();
        let length = |at: usize| {
            let step = self.step_of(VertexId(at as u32));
            step.map(|id| self.planned_time(id) / self.parts_of(id)).unwrap_or_default()
        };
        let ends = Graph::of(self).ends(|at| VertexSpan { length: length(at), ..VertexSpan::default() });
        let time = ends.into_iter().max().unwrap_or_default();
        let beside = self.expected.beside(self.size(missed.len()), BuildExports::of(&self.started.command));
        Forecast {
            steps: TimeLeft { time, at_least },
            whole: beside
                .map(|beside| TimeLeft { time: time + beside, at_least })
                .filter(|_| self.is_planned()),
            unknown,
        }
    }

    /// How many vertices a step has.
    fn parts_of(&self, id: StepId) -> u32 {
        u32::try_from(self.vertices_of(id).count().max(1)).unwrap_or(1)
    }

    /// In a plan: the newest build of the image that has ended.
    pub fn last_build(&self) -> Option<LastBuild> {
        self.plan.as_ref()?.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::expected::{BesideSample, Expected};
    use crate::event::{Digest, Event, Stamped, Started, Text, Time, VertexUpdate};

    /// Two platforms, of which each has a base image and three steps; of these two would run.
    fn plan(times: [Option<u64>; 4], beside: Vec<BesideSample>) -> Model {
        let mut model = Model::default();
        let mut tell = |event| model.apply(&Stamped { at: Time::from_micros(7), event });
        let command = ["docker", "buildx", "build", "--push"].map(Text::from).to_vec();
        tell(Event::Started(Started { command, ..Started::default() }));
        tell(Event::Expected(Box::new(Expected { builds: 1, beside, ..Expected::default() })));
        let mut steps = Vec::new();
        for (at, platform) in ["linux/amd64", "linux/arm64"].into_iter().enumerate() {
            for (number, text) in ["FROM base", "COPY a .", "RUN pip", "RUN make"].into_iter().enumerate() {
                let digest = |number: usize| Digest::parse(&format!("plan:{platform}:{number}"));
                tell(Event::Vertex(VertexUpdate::waiting(
                    digest(number),
                    Text::clean(&format!("[{platform} {}/4] {text}", number + 1)),
                    number.checked_sub(1).map(digest).into_iter().collect(),
                )));
                let runs = number > 1;
                steps.push(PlannedStep {
                    vertex: digest(number),
                    predicted: if runs { Prediction::Miss } else { Prediction::Hit },
                    grade: crate::event::reason::ReasonGrade::Proven,
                    reason: None,
                    source: None,
                    evidence: Text::default(),
                    basis: None,
                    expected_us: times
                        .get(2 * at + number.saturating_sub(2))
                        .copied()
                        .flatten()
                        .filter(|_| runs),
                });
            }
        }
        tell(Event::Planned(Box::new(Planned { steps, last: None })));
        model
    }

    #[test]
    fn platforms_run_side_by_side_and_the_rest_comes_to_it() {
        let told =
            plan([Some(1_000_000), Some(2_000_000), Some(5_000_000), Some(4_000_000)], Vec::new()).forecast();
        assert_eq!(told.steps, TimeLeft { time: Duration::from_secs(9), at_least: false });
        assert_eq!((told.whole, told.unknown.len()), (None, 0), "no like build is known");
        let beside = vec![BesideSample { ran: 4, of: 8, push: true, cache_export: false, us: 3_000_000 }];
        let told = plan([Some(1_000_000), None, Some(5_000_000), None], beside).forecast();
        assert_eq!(told.steps, TimeLeft { time: Duration::from_secs(5), at_least: true });
        assert_eq!(told.whole, Some(TimeLeft { time: Duration::from_secs(8), at_least: true }));
        assert_eq!(told.unknown.len(), 2);
        assert_eq!(Model::default().forecast(), Forecast::default());
    }
}
