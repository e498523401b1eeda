//! What a build would do now: which steps would hit, which would run, and why. It is a prediction, and nothing is built.
//!
//! The build is made up of its fingerprint, as vertices that nobody has started; each step is held against the earlier builds in which
//! it had a result, by the same comparison that tells why a miss missed. Then what is predicted is told to the model as
//! if it had happened, and the reasons of its misses are judged as those of a build. What could be wrong is not *proven*.

mod predict;
mod stream;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::judge::{self, Judge};
use super::past::Past;
use crate::event::evidence::Source;
use crate::event::fingerprint::{Fingerprint, Gap};
use crate::event::prediction::{Basis, Planned, PlannedStep, Prediction};
use crate::event::reason::{Cause, Fact, Reason, ReasonGrade};
use crate::event::{Digest, Event, Stamped, Text, VertexUpdate};
use crate::model::{Model, StepId, triggers};
use predict::Told;
use stream::Draft;

/// Predicts a build. `known` are the events that come before a build, with its fingerprint, the builder's records and the caches
/// that it would import; `pasts` earlier builds of the image, newest first; `bases` what the tags of its base images point at, by
/// the reference as the Dockerfile has it.
///
/// What is given are the events that tell it: a vertex a step, which nobody has started, and what is predicted. Without a fingerprint
/// there are none.
pub fn plan(known: &[Stamped], pasts: &[Past], bases: &BTreeMap<Text, Digest>) -> Vec<Stamped> {
    let mut model = Model::default();
    model.apply_all(known);
    let at = model.newest();
    let Some(mut print) = model.fingerprint().cloned() else { return Vec::new() };
    left(&mut print, pasts);
    let drafts = stream::drafts(&print, bases);
    let tell = |updates: Vec<VertexUpdate>| -> Vec<Stamped> {
        updates.into_iter().map(|update| Stamped { at, event: Event::Vertex(update) }).collect()
    };
    model.apply_all(&tell(stream::imports(&model, at)));
    let mut events = tell(drafts.iter().map(|draft| draft.update.clone()).collect());
    model.apply_all(&events);
    let ids: HashMap<Digest, StepId> =
        model.stack().steps().filter_map(|(id, _)| Some((model.digest_of(id)?.clone(), id))).collect();
    let judge = Judge::new(&model, pasts);
    let told = predict::all(&judge, &print, &drafts, &ids);
    let expected: Vec<Option<Duration>> =
        drafts.iter().map(|draft| expected(&model, &judge, *ids.get(&draft.update.digest)?)).collect();
    drop(judge);
    let happened = drafts.iter().zip(&told).filter_map(|(draft, told)| stream::happened(draft, told, at));
    model.apply_all(&tell(happened.collect()));
    let mut reasons: HashMap<Digest, Reason> =
        judge::judge(&model, pasts).into_iter().map(|one| (one.vertex, one.reason)).collect();
    let mut planned = Planned::default();
    for ((draft, told), expected) in drafts.iter().zip(told).zip(expected) {
        if ids.contains_key(&draft.update.digest) {
            let judged = reasons.remove(&draft.update.digest);
            planned.steps.push(step(draft, told, judged, expected));
        }
    }
    events.push(Stamped { at, event: Event::Planned(Box::new(planned)) });
    events
}

/// Adds what base images leave to run (`ONBUILD`), as the newest build on the same base image has told it.
fn left(print: &mut Fingerprint, pasts: &[Past]) {
    for stage in &mut print.stages {
        let mut same =
            pasts.iter().filter_map(|past| past.fingerprint.as_ref()).flat_map(|print| &print.stages);
        let known = same.find(|known| (&known.name, &known.base) == (&stage.name, &stage.base));
        let steps = known.map_or(&[][..], |known| known.steps.as_slice()).iter().skip(1);
        let texts =
            steps.take_while(|step| step.gaps.contains(&Gap::Trigger)).map(|step| step.instruction.clone());
        triggers::insert(stage, texts.collect());
    }
}

fn step(draft: &Draft, told: Told, judged: Option<Reason>, expected: Option<Duration>) -> PlannedStep {
    let reason = match told.predicted {
        Prediction::Hit => None,
        Prediction::Miss => told.reason.or(judged).or_else(|| Some(unknown(told.basis.as_ref()))),
        Prediction::Unknown => told.reason.or_else(|| Some(unknown(told.basis.as_ref()))),
    };
    let source = match told.predicted {
        Prediction::Hit => Some(told.source.unwrap_or(Source::Unknown)),
        Prediction::Miss => None,
        Prediction::Unknown => told.source,
    };
    PlannedStep {
        vertex: draft.update.digest.clone(),
        predicted: told.predicted,
        grade: told.grade,
        reason,
        source,
        evidence: Text::default(),
        basis: told.basis,
        expected_us: expected.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
    }
}

fn unknown(basis: Option<&Basis>) -> Reason {
    let cause = Cause::Unpredictable { basis: basis.cloned() };
    Reason::root(ReasonGrade::Unknown, cause, None::<Fact>)
}

/// How long a step is expected to run, as a build would say it; where nothing was told of that the median of the builds that are
/// compared.
fn expected(model: &Model, judge: &Judge<'_>, id: StepId) -> Option<Duration> {
    if let Some(told) = model.expected(id) {
        return Some(told.median);
    }
    let here = judge.here(id)?;
    let platform = here.platform.as_ref();
    let found = judge.pasts().enumerate().filter_map(|(at, past)| {
        let step = judge.find(&here, at, past, platform)?.step?;
        step.ran
    });
    let mut times: Vec<Duration> = found.collect();
    times.sort();
    times.get(times.len().checked_sub(1)? / 2).copied()
}
