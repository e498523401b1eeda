//! What a build would do now: which steps would hit, which would run, and why. It is a prediction, and nothing is built.
//!
//! The build is made up of its fingerprint, as vertices that nobody has started; each step is held against the earlier builds in which
//! it had a result, by the same comparison that tells why a miss missed. Then what is predicted is told to the model as
//! if it had happened, and the reasons of its misses are judged as those of a build. What could be wrong is not *proven*.

mod predict;
mod stream;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::judge::{self, Judge};
use super::past::Past;
use crate::event::reason::{Reason, ReasonGrade, ReasonKind};
use crate::event::{Digest, Event, Platform, Stamped, Text};
use crate::model::{Model, Source, StepId};

/// What is predicted of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// It would be cached.
    Hit,
    /// It would run.
    Miss,
    /// It can't be told.
    #[default]
    Unknown,
}

/// A step on a platform, as it would go.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// The step, in the model that comes with the plan.
    pub step: StepId,
    /// Its platform.
    pub platform: Option<Platform>,
    /// The layer that it belongs to.
    pub layer: Option<Text>,
    /// What it would do.
    pub predicted: Prediction,
    /// How sure that is.
    pub grade: ReasonGrade,
    /// Why it would not be cached, or why that can't be told; none of a hit.
    pub reason: Option<Reason>,
    /// Where a hit would come from; of a step of which nothing is sure: who holds a layer of its instruction. None of a miss.
    pub source: Option<Source>,
    /// How that is known, in one sentence; empty where the reason says it.
    pub evidence: Text,
    /// How long it took when it ran: the median of the earlier builds.
    pub expected: Option<Duration>,
}

/// What a build would do now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Its steps, each stage's in order, platform by platform.
    pub steps: Vec<Predicted>,
}

impl Plan {
    /// What is predicted of a step.
    pub fn of(&self, step: StepId) -> Option<&Predicted> {
        self.steps.iter().find(|predicted| predicted.step == step)
    }
}

/// Predicts a build. `known` are the events that come before a build, with its fingerprint, the builder's records and the caches
/// that it would import; `pasts` earlier builds of the image, newest first; `bases` what the tags of its base images point at, by
/// the reference as the Dockerfile has it.
///
/// The model that is given has the build as it is predicted. Without a fingerprint the plan is empty.
pub fn plan(known: &[Stamped], pasts: &[Past], bases: &BTreeMap<Text, Digest>) -> (Model, Plan) {
    let mut model = Model::default();
    model.apply_all(known);
    let at = model.newest();
    let Some(print) = model.fingerprint().cloned() else { return (model, Plan::default()) };
    let drafts = stream::drafts(&print, bases);
    let tell = |updates: Vec<crate::event::VertexUpdate>| -> Vec<Stamped> {
        updates.into_iter().map(|update| Stamped { at, event: Event::Vertex(update) }).collect()
    };
    model.apply_all(&tell(stream::imports(&model, at)));
    model.apply_all(&tell(drafts.iter().map(|draft| draft.update.clone()).collect()));
    let ids: HashMap<Digest, StepId> =
        model.stack().steps().filter_map(|(id, _)| Some((model.digest_of(id)?.clone(), id))).collect();
    let judge = Judge::new(&model, pasts);
    let told = predict::all(&judge, &print, &drafts, &ids);
    let expected: Vec<Option<Duration>> =
        drafts.iter().map(|draft| expected(&judge, *ids.get(&draft.update.digest)?)).collect();
    drop(judge);
    let happened = drafts.iter().zip(&told).filter_map(|(draft, told)| stream::happened(draft, told, at));
    model.apply_all(&tell(happened.collect()));
    let reasons: HashMap<Digest, Reason> =
        judge::judge(&model, pasts).into_iter().map(|one| (one.vertex, one.reason)).collect();
    let mut steps = Vec::new();
    for ((draft, told), expected) in drafts.iter().zip(told).zip(expected) {
        let digest = &draft.update.digest;
        let Some(&step) = ids.get(digest) else { continue };
        let reason = match told.predicted {
            Prediction::Hit => None,
            Prediction::Miss => {
                let judged = || reasons.get(digest).cloned().map(to_come);
                told.reason.or_else(judged).or_else(|| Some(unknown(&told.why)))
            }
            Prediction::Unknown => Some(unknown(&told.why)),
        };
        let source = match told.predicted {
            Prediction::Hit => Some(told.source.unwrap_or(Source::Unknown)),
            Prediction::Miss => None,
            Prediction::Unknown => told.source,
        };
        steps.push(Predicted {
            step,
            platform: model.stack().step(step).and_then(|step| model.platform_of(step)),
            layer: model.stack().row_of(step).and_then(|row| row.layer.clone()),
            predicted: told.predicted,
            grade: told.grade,
            reason,
            source,
            evidence: Text::clean(&told.why),
            expected,
        });
    }
    (model, Plan { steps })
}

/// What follows has not happened yet.
fn to_come(reason: Reason) -> Reason {
    if reason.kind != ReasonKind::ParentMissed {
        return reason;
    }
    let told = |text: &Text| Text::clean(&text.as_str().replacen(" was rebuilt", " would be rebuilt", 1));
    let mut evidence = reason.evidence;
    if let Some(first) = evidence.first_mut() {
        first.text = told(&first.text);
    }
    Reason { because: told(&reason.because), evidence, ..reason }
}

fn unknown(why: &str) -> Reason {
    let because = if why.is_empty() { "it can't be told" } else { why };
    Reason {
        kind: ReasonKind::Unknown,
        grade: ReasonGrade::Unknown,
        root: true,
        because: Text::clean(because),
        ..Reason::default()
    }
}

/// The median of how long a step ran.
fn expected(judge: &Judge<'_>, id: StepId) -> Option<Duration> {
    let here = judge.here(id)?;
    let platform = here.platform.as_ref();
    let found = judge.pasts.iter().enumerate().filter_map(|(at, past)| {
        let step = judge.find(&here, at, past, platform)?.step?;
        step.ran
    });
    let mut times: Vec<Duration> = found.collect();
    times.sort();
    times.get(times.len().checked_sub(1)? / 2).copied()
}
