//! An earlier build, as much of it as a later one is compared with.

use std::sync::OnceLock;
use std::time::Duration;

use foldhash::HashSet;

use super::results::PastIndex;
use crate::event::evidence::CacheRecord;
use crate::event::{Digest, Fingerprint, ImageReference, Platform, Records, Text, Time};
use crate::model::{Model, Outcome, Phase, State, StepId};

/// Records of one build that are kept.
const MOST_RECORDS: usize = 2_000;

/// An earlier build.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// The name of its recording.
    pub name: Text,
    /// When it began.
    pub begun: Time,
    /// The image that it made.
    pub image: Option<Text>,
    /// The folder of its project; none where that is not known.
    pub folder: Option<Text>,
    /// The builder that it ran on.
    pub builder: Option<Text>,
    /// What it was made from, where that is known.
    pub fingerprint: Option<Fingerprint>,
    /// Its steps.
    pub steps: Vec<PastStep>,
    /// The builder's records that it made or used, or that can be results of its steps; of each what tells it apart. Those that came
    /// with it stand first.
    pub records: Vec<CacheRecord>,
    /// How many of the records came with it; none where that is not known.
    pub made: Option<u32>,
    /// These records by what they are asked for, once somebody has asked.
    pub(crate) indexed: OnceLock<PastIndex>,
    /// Bytes of all records of the builder, as far as they are known.
    pub record_bytes: u64,
    /// The node that each platform was built on, where that is known.
    pub nodes: Vec<(Platform, Text)>,
    /// Whether it exported its cache to a registry.
    pub exported: bool,
}

/// A step of an earlier build.
#[derive(Debug, Clone)]
pub struct PastStep {
    /// Its stage; none where the build has one.
    pub stage: Option<Text>,
    /// Its number in the stage, from 1.
    pub index: u16,
    /// Its platform.
    pub platform: Option<Platform>,
    /// Its text, as the stream has it.
    pub instruction: Text,
    /// Its text, as the Dockerfile has it, where that is known.
    pub written: Option<Text>,
    /// What became of it.
    pub state: State,
    /// How long it ran; none where it did not, or not to its end.
    pub ran: Option<Duration>,
}

impl PastStep {
    /// Whether it left a result: it ran, or it was cached.
    pub fn has_result(&self) -> bool {
        matches!(self.state, State::Hit | State::Miss)
    }

    /// Takes from a build what others compare a step with.
    pub fn of(model: &Model, id: StepId) -> Option<Self> {
        let step = model.stack().step(id)?;
        Some(Self {
            stage: step.name.stage.clone(),
            index: step.name.index,
            platform: platform(model, id),
            instruction: step.name.instruction.clone(),
            written: model.written(id).cloned(),
            state: model.state(id),
            ran: (model.state(id) == State::Miss).then(|| model.run_time(id, model.newest())),
        })
    }
}

impl Past {
    /// Takes from a build what others are compared with.
    pub fn of(name: Text, model: &Model) -> Self {
        let started = model.started();
        let (records, made, record_bytes) = records(model);
        let places = model.builder().snapshot().map(|snapshot| snapshot.platforms.as_slice());
        let nodes = places.unwrap_or_default().iter();
        Self {
            name,
            begun: model.begun().unwrap_or_default(),
            image: started.image.clone(),
            folder: started.folder.clone(),
            builder: started.builder.clone(),
            fingerprint: model.fingerprint().cloned(),
            steps: model.stack().steps().filter_map(|(id, _)| PastStep::of(model, id)).collect(),
            records,
            made,
            indexed: OnceLock::new(),
            record_bytes,
            nodes: nodes.filter_map(|place| Some((place.platform.clone(), place.node.clone()?))).collect(),
            exported: model.outcome() == Outcome::Success
                && model.cache().exports.iter().any(|export| export.phase == Phase::Done),
        }
    }

    /// Whether it can be a build of what is built now. Builds of one image can. Those that name none are known by the folder of their
    /// project; where that is not known, as of what another program has recorded, more than half of the steps have to be the same.
    pub(super) fn is_comparable(&self, model: &Model) -> bool {
        let started = model.started();
        if started.image.is_some() {
            return true;
        }
        if let (Some(theirs), Some(ours)) = (&self.folder, &started.folder) {
            return theirs == ours;
        }
        let theirs: HashSet<&Text> = self
            .steps
            .iter()
            .map(|step| &step.instruction)
            .filter(|text| base(text.as_str()).is_none())
            .collect();
        let steps = model.stack().steps().filter(|(_, step)| !step.name.is_from());
        let ours: HashSet<&Text> = steps.map(|(_, step)| &step.name.instruction).collect();
        2 * ours.intersection(&theirs).count() > ours.len().min(theirs.len())
    }

    /// The step at a place of a stage.
    pub(super) fn step(
        &self,
        stage: Option<&Text>,
        index: u16,
        platform: Option<&Platform>,
    ) -> Option<&PastStep> {
        let at = |step: &&PastStep| step.stage.as_ref() == stage && step.index == index;
        let here = |step: &&PastStep| step.platform.as_ref() == platform;
        let mut found = self.steps.iter().filter(at);
        found.clone().find(here).or_else(|| found.find(|step| step.platform.is_none() || platform.is_none()))
    }
}

/// The records that can tell what became of this build's results: those that it made or used, those that are described as one of its
/// steps, and where it is not known which it used, those that were imported, which are not described. With them goes how many of them
/// came with it, which stand first, and the bytes of all that there were.
fn records(model: &Model) -> (Vec<CacheRecord>, Option<u32>, u64) {
    let (mut records, mut bytes) = (Vec::new(), 0);
    let mut seen = HashSet::default();
    let fits = model.fits_some_step();
    // Whoever is built on imported records uses them: where the uses are known, others' imports are told apart by that.
    let untold = model.records_after().iter().all(|listing| listing.error.is_some());
    // A listing that was compared with none of before has all records.
    let used = |listing: &Records, record: &CacheRecord| {
        !listing.is_whole() || model.begun().is_none_or(|begun| record.is_touched_since(begun))
    };
    let after = model.records_after().iter();
    let after =
        after.flat_map(|listing| listing.records.iter().map(|record| (record, used(listing, record))));
    let before =
        model.records_before().iter().flat_map(|listing| &listing.records).map(|record| (record, false));
    for (record, touched) in after.chain(before) {
        if !record.is_result() || !seen.insert(&record.id) {
            continue;
        }
        bytes += record.bytes;
        if records.len() < MOST_RECORDS && (touched || (record.imported.is_some() && untold) || fits(record))
        {
            records.push(CacheRecord {
                id: record.id.clone(),
                kind: record.kind.clone(),
                description: record.description.clone(),
                imported: record.imported.clone(),
                created: record.created,
                parents: record.parents.clone(),
                mutable: record.mutable,
                ..CacheRecord::default()
            });
        }
    }
    if !is_told_apart(model) {
        return (records, None, bytes);
    }
    records.sort_by_cached_key(|record| model.had_before(record));
    let made = records.iter().take_while(|record| !model.had_before(record)).count();
    (records, u32::try_from(made).ok(), bytes)
}

/// Whether it is known of each record whether it came with the build: all were listed before a step ran.
fn is_told_apart(model: &Model) -> bool {
    let ran = |id: &StepId| model.state(*id) == State::Miss;
    let ids = model.stack().steps().map(|(id, _)| id).filter(ran);
    let first = ids.flat_map(|id| model.vertices_of(id)).filter_map(crate::model::Vertex::started).min();
    let before = model.records_before();
    !before.is_empty()
        && before
            .iter()
            .all(|listing| listing.is_whole() && first.is_none_or(|first| listing.answered <= first))
}

/// The platform of a step: its own, the only one that was asked for, or the only one that the build is known to be for.
pub(super) fn platform(model: &Model, id: StepId) -> Option<Platform> {
    let step = model.stack().step(id)?;
    let only = || match model.fingerprint()?.platforms.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    model.platform_of(step).or_else(only)
}

/// Whether two references name the same image, whatever their tags are.
pub fn same_image(one: Option<&Text>, other: Option<&Text>) -> bool {
    let name = |text: &'_ Text| repository(text.as_str()).0.to_owned();
    one.map(name) == other.map(name)
}

/// A reference without its tag and digest, and its tag.
pub fn repository(reference: &str) -> (&str, Option<&str>) {
    let reference = ImageReference::parse(reference);
    (reference.repository, reference.tag)
}

/// The image that a `FROM` names, and the digest that `BuildKit` has found for it.
pub(super) fn base(instruction: &str) -> Option<(&str, Option<Digest>)> {
    let mut words = instruction.split_whitespace();
    words.next().filter(|word| word.eq_ignore_ascii_case("FROM"))?;
    let image = words.find(|word| !word.starts_with("--"))?;
    Some(match image.split_once('@') {
        Some((image, digest)) => (image, Some(Digest::parse(digest))),
        None => (image, None),
    })
}
