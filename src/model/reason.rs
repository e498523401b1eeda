//! Why steps were not cached, as it was told.

use std::collections::VecDeque;

use super::{Model, Phase, State, StepId};
use crate::event::digest::DigestSet;
use crate::event::prediction::Prediction;
use crate::event::{Digest, Reason, Reasons, Text};

impl Model {
    pub(super) fn take_reasons(&mut self, news: &Reasons) {
        for told in &news.reasons {
            self.reasons.insert(told.vertex.clone(), told.reason.clone());
        }
    }

    /// Whether a step was not cached: it runs, it ran, or it failed or was stopped while it did. A `FROM`: it was pulled. In a
    /// plan: it would run.
    pub fn missed(&self, id: StepId) -> bool {
        if let Some(planned) = self.planned(id) {
            return planned.predicted == Prediction::Miss;
        }
        let from = self.stack.step(id).is_some_and(|step| step.name.is_from());
        match self.state(id) {
            State::Miss => true,
            // What is only looked up runs too, and one that was not found has nothing to do with any cache.
            _ if from => false,
            State::Running => true,
            State::Failed | State::Cancelled => self
                .vertices_of(id)
                .any(|vertex| vertex.started().is_some() && vertex.phase() != Phase::Cached),
            State::Waiting | State::Hit | State::NotNeeded | State::NotReached => false,
        }
    }

    /// Why a step was not cached, or in a plan would not be; none where it was, or where nobody has said it yet.
    pub fn reason_of(&self, id: StepId) -> Option<&Reason> {
        if let Some(planned) = self.planned(id) {
            return planned.reason.as_ref();
        }
        let digest = self.digest_of(id)?;
        self.reasons.get(digest).filter(|_| self.missed(id))
    }

    /// The steps that a step is computed from directly: what lies between them is no step. What an `ADD` fetches is one vertex for all
    /// platforms, named after the first of them (seen on the test engine): the same instruction for another platform is none.
    pub fn built_on(&self, id: StepId) -> Vec<StepId> {
        let twin = |other: StepId| match (self.stack.step(id), self.stack.step(other)) {
            (Some(own), Some(other)) => {
                let (own, other) = (&own.name, &other.name);
                (&own.target, &own.stage, own.index) == (&other.target, &other.stage, other.index)
                    && own.instruction == other.instruction
            }
            _ => false,
        };
        let mut found = Vec::new();
        let mut queue: VecDeque<&Digest> = self.vertices_of(id).flat_map(|vertex| &vertex.inputs).collect();
        let mut seen: DigestSet = queue.iter().copied().cloned().collect();
        while let Some(digest) = queue.pop_front() {
            let Some(&at) = self.index.get(digest) else { continue };
            match self.step_of(at).filter(|step| *step != id && !twin(*step)) {
                Some(step) if !found.contains(&step) => found.push(step),
                Some(_) => {}
                None => {
                    let inputs = self.vertex(at).into_iter().flat_map(|vertex| &vertex.inputs);
                    queue.extend(inputs.filter(|input| seen.insert((*input).clone())));
                }
            }
        }
        found
    }

    /// A step's instruction as the Dockerfile has it, before build arguments were put in.
    pub fn written(&self, id: StepId) -> Option<&Text> {
        self.stack.written(self.stack.step(id)?)
    }

    /// Whether any reason was told.
    pub fn has_reasons(&self) -> bool {
        !self.reasons.is_empty()
    }
}
