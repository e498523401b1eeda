//! The build as its stream would tell it: a vertex a step, by the fingerprint.

use std::collections::{BTreeMap, HashSet};

use super::predict::Told;
use crate::event::evidence::{CacheFault, CacheManifest};
use crate::event::fingerprint::{Fingerprint, Input, Step, StepKind};
use crate::event::prediction::Prediction;
use crate::event::{Digest, ImageReference, Text, Time, VertexUpdate};
use crate::model::{Model, Transfer};

/// A step of the build that is planned.
pub(super) struct Draft {
    /// Its vertex, which nobody has started.
    pub(super) update: VertexUpdate,
    /// Its stage and its place in it: indices into the fingerprint.
    pub(super) stage: usize,
    pub(super) place: usize,
    /// The draft of the step that it is built on, in its own stage or the one that this begins with.
    pub(super) below: Option<usize>,
    /// The drafts of the steps that it takes files from.
    pub(super) taken: Vec<usize>,
}

impl Draft {
    pub(super) fn step<'a>(&self, print: &'a Fingerprint) -> Option<&'a Step> {
        print.stages.get(self.stage)?.steps.get(self.place)
    }

    pub(super) fn inputs(&self) -> impl Iterator<Item = usize> {
        self.below.into_iter().chain(self.taken.iter().copied())
    }
}

/// The steps of a fingerprint, each behind those that it is made from. What is the same for several platforms is one.
pub(super) fn drafts(print: &Fingerprint, bases: &BTreeMap<Text, Digest>) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    // The draft of each stage's end.
    let mut ends: Vec<Option<usize>> = Vec::new();
    for (number, stage) in print.stages.iter().enumerate() {
        let end = |input: &Input| match input {
            Input::Stage(at) => ends.get(*at as usize).copied().flatten(),
            _ => None,
        };
        let mut below = end(&stage.base);
        for (place, step) in stage.steps.iter().enumerate() {
            let platform = step.platform.as_ref().or(stage.target.as_ref());
            let shown = platform.map_or("", |platform| platform.as_str());
            let digest = Digest::parse(&format!("plan:{}:{}:{shown}", stage.number, place + 1));
            let known = drafts.iter().position(|draft| draft.update.digest == digest);
            if let Some(known) = known {
                below = Some(known);
                continue;
            }
            let sources = step.sources.iter().filter_map(|source| source.from.as_ref());
            let mounts = step.mounts.iter().filter_map(|mount| mount.from.as_ref());
            let taken: Vec<usize> = sources.chain(mounts).filter_map(end).collect();
            let mut seen = HashSet::new();
            let inputs = below.into_iter().chain(taken.iter().copied()).filter(|at| seen.insert(*at));
            let inputs = inputs.filter_map(|at| Some(drafts.get(at)?.update.digest.clone())).collect();
            let name = name(stage.name.as_ref(), step, place + 1, stage.steps.len(), stage.of, bases);
            drafts.push(Draft {
                update: VertexUpdate::waiting(digest, Text::clean(&name), inputs),
                stage: number,
                place,
                below,
                taken,
            });
            below = Some(drafts.len() - 1);
        }
        ends.push(below);
    }
    drafts
}

/// `[linux/amd64 stage-1 3/12] RUN make`, as `BuildKit` names it.
fn name(
    stage: Option<&Text>,
    step: &Step,
    index: usize,
    steps: usize,
    of: u32,
    bases: &BTreeMap<Text, Digest>,
) -> String {
    let of = steps.max(of as usize);
    let mut words = Vec::new();
    match (&step.platform, &step.runs_on) {
        (Some(platform), Some(on)) => words.push(format!("{on}->{platform}")),
        (Some(platform), None) => words.push(platform.to_string()),
        _ => {}
    }
    words.extend(stage.map(ToString::to_string));
    words.push(format!("{index}/{of}"));
    let instruction = match step.kind {
        StepKind::From => from(step.instruction.as_str(), bases),
        _ => step.instruction.to_string(),
    };
    format!("[{}] {instruction}", words.join(" "))
}

/// `FROM` with all of the image's name, and the digest that its tag points at, where that is known.
fn from(instruction: &str, bases: &BTreeMap<Text, Digest>) -> String {
    let mut words = instruction.split_whitespace().skip(1);
    let Some(image) = words.find(|word| !word.starts_with("--")) else { return instruction.to_owned() };
    let full = full(image);
    match bases.iter().find(|(known, _)| known.as_str() == image || known.as_str() == full) {
        Some((_, digest)) if !full.contains('@') => format!("FROM {full}@{digest}"),
        _ => format!("FROM {full}"),
    }
}

/// A reference with what Docker adds to short names.
fn full(image: &str) -> String {
    if image == "scratch" {
        return image.to_owned();
    }
    ImageReference::parse(image).full_with_digest()
}

/// The imports of the caches, as they would go.
pub(super) fn imports(model: &Model, at: Time) -> Vec<VertexUpdate> {
    let import = |manifest: &CacheManifest| {
        let name = format!("importing cache manifest from {}", manifest.reference);
        let error = manifest.fault().map(|fault| match fault {
            CacheFault::NotFound => Transfer::not_there(&manifest.reference),
            _ => manifest.error.clone().unwrap_or_default(),
        });
        let digest = Digest::parse(&format!("plan:import:{}", manifest.reference));
        let vertex = VertexUpdate::waiting(digest, Text::clean(&name), Vec::new());
        VertexUpdate { started: Some(at), completed: Some(at), error, ..vertex }
    };
    model.cache_manifests().iter().map(import).collect()
}

/// The vertex of a step as it would be told; none where that can't be.
pub(super) fn happened(draft: &Draft, told: &Told, at: Time) -> Option<VertexUpdate> {
    let cached = match told.predicted {
        Prediction::Hit => !told.from,
        Prediction::Miss => false,
        Prediction::Unknown => return None,
    };
    Some(VertexUpdate { started: Some(at), completed: Some(at), cached, ..draft.update.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_made_whole() {
        for (image, expected) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("a/b:c", "docker.io/a/b:c"),
            ("r:5000/a", "r:5000/a:latest"),
            ("scratch", "scratch"),
        ] {
            assert_eq!(full(image), expected);
        }
        let bases = BTreeMap::from([("alpine".into(), Digest::parse("sha256:00"))]);
        assert_eq!(from("FROM alpine AS x", &bases), "FROM docker.io/library/alpine:latest@sha256:00");
        assert_eq!(from("FROM a@sha256:11", &bases), "FROM docker.io/library/a@sha256:11");
    }
}
