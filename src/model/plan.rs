//! What a build would do, as it was told.

use std::time::Duration;

use super::{Model, StepId};
use crate::event::digest::DigestMap;
use crate::event::plan::{LastBuild, Planned, PlannedStep, Prediction};

/// A plan, by the vertices of its steps.
#[derive(Debug, Default)]
pub(super) struct Plan {
    steps: DigestMap<PlannedStep>,
    last: Option<LastBuild>,
}

impl Plan {
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

    /// In a plan: the newest build of the image that has ended.
    pub fn last_build(&self) -> Option<LastBuild> {
        self.plan.as_ref()?.last
    }
}
