//! Where each hit came from: the builder's own cache, a registry, or not known. By evidence, and never by guess.
//!
//! `BuildKit` says `cached` and no more. What it does is known (seen on the test engine, `tests/engine/sources.rs`): it loads
//! the result of the last step of a chain of hits, and never looks at those before it. A result that is in its own cache comes first;
//! one from a registry makes a record `imported sha256:…` for each layer of its chain, even where no byte is fetched
//! yet; and the use of a record is counted. So the records before and after the build tell, in this order:
//!
//! 1. no cache was imported: what hit was local;
//! 2. the builder had no result of any step: what hit came from the registry;
//! 3. the record that the next step was built on, or that the last hit has used: it was there before, or it is new and imported.
//!    The steps before it are the records below it;
//! 4. blobs of an imported cache were fetched for the step;
//! 5. a record of the step was there, or none was: likely, since nobody has looked at it.

mod fit;
mod hit_evidence;
mod index;
mod layers;
mod node_records;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use foldhash::HashSet;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Model, Phase, State, Step, StepId, Vertex, VertexKind};
pub use crate::event::evidence::Source;
use crate::event::evidence::{CacheRecord, ListingTime};
use crate::event::{CacheManifest, Digest, Platform, Records, Text, Time};

use fit::{Fit, InstructionForms};
use node_records::NodeRecords;

pub use hit_evidence::{HitEvidence, MatchingRecords, RecordOrigin};
pub use index::RecordIndex;
pub use layers::CachedLayer;

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[warn(missing_docs)]
#[serde(rename_all = "snake_case")]
pub enum OriginGrade {
    /// The evidence leaves nothing else.
    Proven,
    /// Nothing speaks against it.
    Likely,
    /// There is no evidence, or it contradicts itself.
    NotKnown,
}

/// Where a hit came from, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HitOrigin {
    /// Where from.
    pub source: Source,
    /// The registry cache that it came from, where it is known which.
    pub reference: Option<Text>,
    /// How sure that is.
    pub grade: OriginGrade,
    /// How it is known.
    pub evidence: HitEvidence,
}

/// What a stack shows of a hit: `hit local`, `hit registry`, `hit`.
pub fn words(origin: Option<&HitOrigin>) -> &'static str {
    match origin.map(|origin| origin.source) {
        Some(Source::Local) => "hit local",
        Some(Source::Registry) => "hit registry",
        Some(Source::Unknown) | None => "hit",
    }
}

/// The builder's records and the caches of a build, as events have told them.
#[derive(Debug, Default)]
pub(super) struct CacheEvidence {
    before: Vec<Arc<Records>>,
    /// Those of before the build by their descriptions, once somebody has asked.
    indices: OnceLock<Vec<RecordIndex>>,
    /// Their identities, once somebody has asked.
    ids: OnceLock<HashSet<Text>>,
    after: Vec<Arc<Records>>,
    pub(super) manifests: Vec<CacheManifest>,
    /// Where the hits came from, once somebody has asked.
    origins: OnceLock<HashMap<StepId, HitOrigin>>,
}

impl CacheEvidence {
    pub(super) fn records(&mut self, records: &Arc<Records>, begun: Time) {
        self.indices.take();
        self.ids.take();
        let same = |known: &Arc<Records>| known.node == records.node;
        if records.when == ListingTime::Before {
            self.before.retain(|known| !same(known));
            self.before.push(Arc::clone(records));
            return;
        }
        self.after.retain(|known| !same(known));
        self.after.push(Arc::clone(records));
        // All records of after the build tell which of them were there before it, where nobody has listed these.
        let listed = self.before.iter().any(|known| same(known) && known.error.is_none());
        if !listed && records.is_whole() {
            self.before.retain(|known| !same(known));
            self.before.push(Arc::new(before_of(records, begun)));
        }
    }

    /// The records of before the build, node by node.
    fn indexed_before(&self) -> impl Iterator<Item = (&Arc<Records>, &RecordIndex)> {
        let all = || self.before.iter().map(|listing| RecordIndex::of(&listing.records)).collect();
        self.before.iter().zip(self.indices.get_or_init(all))
    }

    /// The identities of the records of before the build that began then. A listing that was answered while the build ran may have records
    /// that the build itself has made.
    fn ids_before(&self, begun: Option<Time>) -> &HashSet<Text> {
        let there = |listing: &Arc<Records>| -> Vec<Text> {
            let late = begun.filter(|begun| listing.answered > *begun && !listing.shows_before(*begun));
            let were = late.map(|begun| listing.were_there(begun)).unwrap_or_default();
            let came = |at: usize| were.get(at) == Some(&Some(false));
            let records = listing.records.iter().enumerate().filter(|(at, _)| !came(*at));
            records.map(|(_, record)| record.id.clone()).collect()
        };
        self.ids.get_or_init(|| self.before.iter().flat_map(there).collect())
    }

    pub(super) fn manifest(&mut self, manifest: &CacheManifest) {
        self.manifests.retain(|known| known.reference != manifest.reference);
        self.manifests.push(manifest.clone());
    }
}

/// The records of a listing of after the build that were there before it, as far as they tell it.
fn before_of(after: &Records, begun: Time) -> Records {
    let there = after.records.iter().zip(after.were_there(begun));
    let records: Vec<_> =
        there.filter(|(_, was)| *was != Some(false)).map(|(record, _)| record.clone()).collect();
    Records {
        when: ListingTime::Before,
        total: records.len() as u64,
        records,
        gone: Vec::new(),
        ..after.clone()
    }
}

impl Model {
    /// Where a hit came from; none of a step that is no hit.
    pub fn source_of(&self, id: StepId) -> Option<HitOrigin> {
        if self.state(id) != State::Hit {
            return None;
        }
        let origins = self.evidence.origins.get_or_init(|| self.judged());
        Some(origins.get(&id).cloned().unwrap_or_else(|| unknown(HitEvidence::NotJudged)))
    }

    /// The builder's records of before the build, node by node, as far as they were listed.
    pub fn records_before(&self) -> &[Arc<Records>] {
        &self.evidence.before
    }

    /// The builder's records of after the build, node by node: those that are new or were used.
    pub fn records_after(&self) -> &[Arc<Records>] {
        &self.evidence.after
    }

    /// Whether a listing shows the records as they were before the build's first hit.
    pub fn listed_before_hits(&self, listing: &Records) -> bool {
        let hit = self.first_hit();
        hit.is_none_or(|hit| listing.answered <= hit) || listing.shows_before(self.first.unwrap_or_default())
    }

    /// When the first step hit.
    fn first_hit(&self) -> Option<Time> {
        let hit = |vertex: &&Vertex| vertex.cached && matches!(vertex.kind, VertexKind::Step(_));
        self.vertices.iter().filter(hit).filter_map(Vertex::started).min()
    }

    /// The caches in registries as they stood before the build.
    pub fn cache_manifests(&self) -> &[CacheManifest] {
        &self.evidence.manifests
    }

    /// Has all hits judged anew, when somebody asks for one. It follows from what is known alone, so that batches may be cut anywhere.
    pub(super) fn judge_sources(&mut self) {
        self.evidence.origins.take();
    }

    fn judged(&self) -> HashMap<StepId, HitOrigin> {
        HitJudge::new(self).map(|judge| judge.all()).unwrap_or_default()
    }
}

/// The platform of a step's records: where it runs, of one that runs elsewhere than it is built for.
fn platform_of(model: &Model, step: &Step) -> Option<Platform> {
    step.name.runs_on.clone().or_else(|| model.platform_of(step))
}

fn unknown(evidence: HitEvidence) -> HitOrigin {
    HitOrigin { source: Source::Unknown, reference: None, grade: OriginGrade::NotKnown, evidence }
}

/// A node's records: the place in `HitJudge::worlds`, and the identity of one.
type At<'a> = (usize, &'a str);

struct HitJudge<'a> {
    model: &'a Model,
    hits: Vec<StepId>,
    /// Caches whose import succeeded.
    imported: Vec<&'a Text>,
    all_records: Vec<NodeRecords<'a>>,
    /// Whether the builder had no result of any step before the build.
    bare: bool,
    /// The steps that are built on each step.
    built_on: HashMap<StepId, Vec<StepId>>,
    /// The records that can be a step's result.
    found: HashMap<StepId, Vec<At<'a>>>,
}

impl<'a> HitJudge<'a> {
    /// None while an import is not decided: until then nothing can be told.
    fn new(model: &'a Model) -> Option<Self> {
        let hits: Vec<StepId> =
            model.stack.steps().map(|(id, _)| id).filter(|id| model.state(*id) == State::Hit).collect();
        let mut imported = Vec::new();
        for vertex in &model.vertices {
            let VertexKind::CacheImport(reference) = &vertex.kind else { continue };
            match vertex.phase() {
                Phase::Done | Phase::Cached => imported.push(reference),
                Phase::Running(_) | Phase::Waiting if model.ended.is_none() => return None,
                _ => {}
            }
        }
        let mut judge = Self {
            model,
            hits,
            imported,
            all_records: Vec::new(),
            bare: false,
            built_on: HashMap::new(),
            found: HashMap::new(),
        };
        if !judge.hits.is_empty() && !judge.imported.is_empty() {
            judge.index_nodes();
            judge.index_steps();
            judge.find();
        }
        Some(judge)
    }

    fn all(&self) -> HashMap<StepId, HitOrigin> {
        self.hits.iter().filter_map(|id| Some((*id, self.origin(*id, self.model.stack.step(*id)?)))).collect()
    }

    fn index_nodes(&mut self) {
        let CacheEvidence { before, after, .. } = &self.model.evidence;
        let first = self.model.first_hit();
        let begun = self.model.first.unwrap_or_default();
        if after.is_empty() && self.model.ended.is_none() {
            // While the build runs this is asked often, and there is little to see yet.
            let early = |listing: &Arc<Records>| self.model.listed_before_hits(listing) && listing.is_bare();
            self.bare = !before.is_empty() && before.iter().all(early);
            return;
        }
        for listing in before {
            let later = after.iter().find(|after| after.node == listing.node);
            let mut node_records = NodeRecords::new(listing, later.map(Arc::as_ref), begun, first);
            self.place_trees(&mut node_records);
            self.all_records.push(node_records);
        }
        self.bare = !before.is_empty()
            && self.all_records.iter().all(|node_records| {
                node_records.whole && node_records.early && node_records.before.is_bare()
            });
    }

    /// Learns which tree of imported records is which platform's: by the blobs that were fetched for its steps, and by the
    /// image that has the same layers.
    fn place_trees(&self, node_records: &mut NodeRecords<'a>) {
        let mut trees: HashMap<&Digest, HashSet<&str>> = HashMap::new();
        let mut records: HashMap<&Digest, &'a str> = HashMap::new();
        for known in node_records.all() {
            if let Some(blob) = &known.record.imported {
                let id = known.record.id.as_str();
                trees.entry(blob).or_default().insert(node_records.root(id));
                records.insert(blob, id);
            }
        }
        let only = |blob: &Digest| {
            records.get(blob).filter(|_| trees.get(blob).is_some_and(|trees| trees.len() == 1))
        };
        let mut places: Vec<(&'a str, Platform)> = Vec::new();
        for (id, step) in self.model.stack.steps() {
            let Some(platform) = platform_of(self.model, step) else { continue };
            let blobs = self.model.vertices_of(id).flat_map(pulled);
            places.extend(blobs.filter_map(|blob| Some((*only(&blob)?, platform.clone()))));
        }
        for image in self.model.evidence.manifests.iter().flat_map(|manifest| &manifest.images) {
            let lowest = image.layers.first().and_then(|layer| layer.blob.as_ref());
            if let (Some(blob), Some(platform)) = (lowest, &image.platform) {
                places.extend(only(blob).map(|id| (*id, platform.clone())));
            }
        }
        for image in self
            .model
            .evidence
            .manifests
            .iter()
            .filter_map(|manifest| others(manifest, &self.model.platforms()))
        {
            places.extend(only(image.0).map(|id| (*id, image.1)));
        }
        for (id, platform) in places {
            node_records.place(id, &platform);
        }
    }

    /// Which step is built on which: a step's first input is what it is built on.
    fn index_steps(&mut self) {
        let model = self.model;
        for (id, _) in model.stack.steps() {
            for vertex in model.vertices_of(id) {
                let base = vertex.inputs.first().and_then(|digest| model.index.get(digest));
                let Some(base) = base.and_then(|base| model.stack.step_of(*base)).filter(|base| *base != id)
                else {
                    continue;
                };
                let users = self.built_on.entry(base).or_default();
                if !users.contains(&id) {
                    users.push(id);
                }
            }
        }
    }

    /// Finds the records of the hits: first of those that no hit is built on, then down from them.
    fn find(&mut self) {
        let hits: HashSet<StepId> = self.hits.iter().copied().collect();
        let is_last = |id: &StepId| !self.users(*id).any(|user| hits.contains(&user));
        let last: Vec<StepId> = self.hits.iter().copied().filter(is_last).collect();
        let mut found: HashMap<StepId, Vec<At<'a>>> =
            last.iter().map(|id| (*id, self.results(*id))).collect();
        self.settle_twins(&last, &mut found);
        // A chain is at most as long as there are steps.
        for _ in 0..self.hits.len() {
            let mut news = Vec::new();
            for id in self.hits.iter().filter(|id| !found.contains_key(*id)) {
                let users: Vec<StepId> = self.users(*id).filter(|user| hits.contains(user)).collect();
                if users.iter().all(|user| found.contains_key(user)) {
                    let mut below: Vec<At<'a>> = users
                        .iter()
                        .flat_map(|user| &found[user])
                        .filter_map(|(at, record)| Some((*at, self.all_records.get(*at)?.parent(record)?)))
                        .collect();
                    below.extend(self.under_misses(*id));
                    news.push((*id, self.fitting(*id, below)));
                }
            }
            if news.is_empty() {
                break;
            }
            found.extend(news);
        }
        self.found = found;
    }

    /// Whether the records tell a result of each hit that no other is built on: nothing that was used is gone.
    fn all_found(&self) -> bool {
        let hits: HashSet<StepId> = self.hits.iter().copied().collect();
        let is_last = |id: &&StepId| !self.users(**id).any(|user| hits.contains(&user));
        self.hits.iter().filter(is_last).all(|id| self.found.get(id).is_some_and(|found| !found.is_empty()))
    }

    fn users(&self, id: StepId) -> impl Iterator<Item = StepId> + '_ {
        self.built_on.get(&id).into_iter().flatten().copied()
    }

    /// Records that can be the result of a step that no hit is built on: what a step that ran was built on, else what
    /// was used last.
    fn results(&self, id: StepId) -> Vec<At<'a>> {
        let under = self.fitting(id, self.under_misses(id));
        if !under.is_empty() {
            return under;
        }
        let Some(step) = self.model.stack.step(id) else { return Vec::new() };
        let (platform, instruction) = (platform_of(self.model, step), self.instruction(step));
        let mut found = Vec::new();
        for (at, node_records) in self.all_records(platform.as_ref()) {
            let can = |id: &&&str| {
                node_records.may_be_of(id, platform.as_ref())
                    && node_records
                        .get(id)
                        .is_some_and(|known| self.fit(&instruction, known.record) > Fit::No)
            };
            found.extend(node_records.leaves().iter().filter(can).map(|id| (at, *id)));
        }
        found
    }

    /// What the new records of the steps that ran on top of this one were built on.
    fn under_misses(&self, id: StepId) -> Vec<At<'a>> {
        let mut found = Vec::new();
        for user in self.users(id).filter(|user| self.model.state(*user) == State::Miss) {
            let Some(step) = self.model.stack.step(user) else { continue };
            let (platform, instruction) = (platform_of(self.model, step), self.instruction(step));
            for (at, node_records) in
                self.all_records(platform.as_ref()).into_iter().filter(|(_, node_records)| node_records.over)
            {
                let made = node_records
                    .all()
                    .filter(|known| known.was == Some(false) && known.record.imported.is_none());
                let own = made.filter(|known| {
                    node_records.may_be_of(known.record.id.as_str(), platform.as_ref())
                        && self.fit(&instruction, known.record) > Fit::No
                });
                found.extend(own.filter_map(|known| Some((at, known.record.parents.first()?.as_str()))));
            }
        }
        found
    }

    /// Of several records those that can be the step's; all of them where none is known to be.
    fn fitting(&self, id: StepId, mut records: Vec<At<'a>>) -> Vec<At<'a>> {
        records.sort_unstable();
        records.dedup();
        let Some(step) = self.model.stack.step(id).filter(|_| records.len() > 1) else { return records };
        let instruction = self.instruction(step);
        let fits = |(at, record): &At<'a>| {
            let known = self.all_records.get(*at).and_then(|node_records| node_records.get(record));
            known.is_some_and(|known| self.fit(&instruction, known.record) > Fit::No)
        };
        if records.iter().any(fits) {
            records.retain(fits);
        }
        records
    }

    fn all_records(&self, platform: Option<&Platform>) -> Vec<(usize, &NodeRecords<'a>)> {
        let all = self.all_records.iter().enumerate();
        all.filter(|(_, node_records)| node_records.builds(platform)).collect()
    }

    /// A record that is one platform's for sure is no other's.
    fn settle_twins(&self, last: &[StepId], found: &mut HashMap<StepId, Vec<At<'a>>>) {
        for _ in 0..last.len() {
            let sure: Vec<(StepId, At<'a>)> = found
                .iter()
                .filter_map(
                    |(id, records)| if let [one] = records.as_slice() { Some((*id, *one)) } else { None },
                )
                .collect();
            let mut changed = false;
            for (owner, record) in sure {
                for id in last.iter().filter(|id| **id != owner && self.are_twins(owner, **id)) {
                    let records = found.entry(*id).or_default();
                    if records.len() > 1 {
                        let before = records.len();
                        records.retain(|other| *other != record);
                        changed |= records.len() != before;
                    }
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// Whether two steps are one instruction on two platforms.
    fn are_twins(&self, one: StepId, other: StepId) -> bool {
        let name = |id| self.model.stack.step(id).map(|step| &step.name);
        let (Some(one), Some(other)) = (name(one), name(other)) else { return false };
        one.platform != other.platform
            && (&one.target, &one.stage, one.index) == (&other.target, &other.stage, other.index)
    }

    fn instruction<'s>(&'s self, step: &'s Step) -> InstructionForms<'s> {
        InstructionForms::new(&step.name, self.model.stack.written(step))
    }

    fn fit(&self, instruction: &InstructionForms<'_>, record: &CacheRecord) -> Fit {
        let Some(blob) = &record.imported else { return instruction.of_record(record) };
        // A blob that an image has is known by the image's history.
        let manifests = self.model.evidence.manifests.iter();
        let layers = manifests.flat_map(|manifest| manifest.images.iter().flat_map(|image| &image.layers));
        let named = layers.filter(|layer| layer.blob.as_ref() == Some(blob) && !layer.made_by.is_empty());
        // A base image's layers were made by instructions of another Dockerfile.
        if instruction.is_from() {
            return Fit::Maybe;
        }
        named.map(|layer| instruction.of_history(layer.made_by.as_str())).max().unwrap_or(Fit::Maybe)
    }

    fn origin(&self, id: StepId, step: &Step) -> HitOrigin {
        if self.imported.is_empty() {
            let evidence =
                if step.name.is_from() { HitEvidence::NothingFetched } else { HitEvidence::NoImport };
            return local(OriginGrade::Proven, evidence);
        }
        let platform = platform_of(self.model, step);
        let all_records = self.all_records(platform.as_ref());
        if self.bare && !step.name.is_from() {
            return self.registry(OriginGrade::Proven, None, HitEvidence::EmptyBuilder);
        }
        self.by_records(id)
            .or_else(|| self.by_blobs(id))
            .or_else(|| self.in_doubt(id))
            .unwrap_or_else(|| self.by_descriptions(step, &all_records))
    }

    /// By the records that can be its result, where they all say the same.
    fn by_records(&self, id: StepId) -> Option<HitOrigin> {
        let records = self.found.get(&id)?;
        let known: Vec<_> =
            records.iter().filter_map(|(at, id)| self.all_records.get(*at)?.get(id)).collect();
        let first = known.first()?;
        let class = |known: &node_records::KnownRecord<'_>| match (known.was, &known.record.imported) {
            (Some(false), Some(_)) => Some(Source::Registry),
            // What somebody else's build has made meanwhile is the builder's own too.
            (Some(true), _) | (Some(false), None) => Some(Source::Local),
            (None, _) => None,
        };
        let source = class(first)?;
        if known.iter().any(|known| class(known) != Some(source)) {
            return None;
        }
        let matching = match records.as_slice() {
            [_] => MatchingRecords::One(first.record.id.clone()),
            several => MatchingRecords::Any(several.len()),
        };
        // By a late listing that a record is new follows from its uses, and a prune may have taken what would contradict that.
        let early = records
            .iter()
            .all(|(at, _)| self.all_records.get(*at).is_some_and(|node_records| node_records.early));
        let sure = records.len() == 1 && (early || source == Source::Local);
        let grade = if sure { OriginGrade::Proven } else { OriginGrade::Likely };
        let blob = first.record.imported.as_ref();
        Some(match source {
            Source::Registry => {
                let named = blob.filter(|_| records.len() == 1).cloned();
                self.registry(
                    grade,
                    blob,
                    HitEvidence::Records { matching, origin: RecordOrigin::Imported(named) },
                )
            }
            _ if first.was == Some(true) => {
                local(grade, HitEvidence::Records { matching, origin: RecordOrigin::Before })
            }
            _ => {
                local(OriginGrade::Likely, HitEvidence::Records { matching, origin: RecordOrigin::Meanwhile })
            }
        })
    }

    /// Where several records can be its result and they do not say the same.
    fn in_doubt(&self, id: StepId) -> Option<HitOrigin> {
        let records = self.found.get(&id).filter(|records| !records.is_empty())?;
        let known = |(at, id): &At<'a>| self.all_records.get(*at)?.get(id)?.was;
        if records.iter().any(|record| known(record).is_none()) {
            return None;
        }
        let records = records.iter().take(4).map(|(_, id)| Text::clean(id)).collect();
        Some(unknown(HitEvidence::Ambiguous { records }))
    }

    fn by_blobs(&self, id: StepId) -> Option<HitOrigin> {
        let fetched: HashSet<Digest> = self.model.vertices_of(id).flat_map(pulled).collect();
        let manifests = self.model.evidence.manifests.iter();
        let held =
            manifests.flat_map(|manifest| &manifest.layers).find(|layer| fetched.contains(&layer.blob))?;
        // Of a record that was here without its content, the content may be fetched late.
        let here = |node_records: &NodeRecords<'_>| {
            !node_records.whole
                || node_records.all().any(|known| {
                    known.was != Some(false) && known.record.imported.as_ref() == Some(&held.blob)
                })
        };
        if self.all_records.is_empty() || self.all_records.iter().any(here) {
            return None;
        }
        Some(self.registry(
            OriginGrade::Proven,
            Some(&held.blob),
            HitEvidence::Fetched { blob: held.blob.clone() },
        ))
    }

    /// Of a step that nobody has looked at: whether there was a record that can be its result.
    fn by_descriptions(&self, step: &Step, all_records: &[(usize, &NodeRecords<'a>)]) -> HitOrigin {
        if self.model.ended.is_none() {
            return unknown(HitEvidence::Running);
        }
        let Some((_, node_records)) = all_records.first().filter(|_| all_records.len() == 1) else {
            return unknown(if all_records.is_empty() {
                HitEvidence::NotListed
            } else {
                HitEvidence::SeveralNodes
            });
        };
        if !node_records.whole {
            return unknown(HitEvidence::NotWhole { why: node_records.trouble.cloned() });
        }
        let platform = platform_of(self.model, step);
        let (mut best, mut open, instruction) = (Fit::No, false, self.instruction(step));
        for known in node_records.results(&instruction).filter(|known| known.was != Some(false)) {
            let fit = match known.record.imported {
                None => instruction.strictly_of_record(known.record),
                Some(_) => self.fit(&instruction, known.record),
            };
            if fit > Fit::No && node_records.may_be_of(known.record.id.as_str(), platform.as_ref()) {
                open |= known.was.is_none();
                best = best.max(fit);
            }
        }
        if open {
            return unknown(HitEvidence::ImportListedLate);
        }
        match best {
            Fit::No if !node_records.over && !node_records.early => unknown(HitEvidence::ListedLate),
            Fit::No if node_records.over && !node_records.early && !self.all_found() => {
                unknown(HitEvidence::ListedTooLate)
            }
            // What it has may be of another version of the step.
            Fit::Yes | Fit::Maybe if !node_records.over => unknown(HitEvidence::NotListedAfter),
            Fit::Yes => local(OriginGrade::Likely, HitEvidence::NotLoaded),
            Fit::Maybe => unknown(HitEvidence::MayBe),
            Fit::No if step.name.is_from() => unknown(HitEvidence::NoRecordOfBase),
            Fit::No => self.registry(OriginGrade::Likely, None, HitEvidence::NoRecord),
        }
    }

    fn registry(&self, grade: OriginGrade, blob: Option<&Digest>, evidence: HitEvidence) -> HitOrigin {
        let holds = |reference: &Text| {
            let manifests = self.model.evidence.manifests.iter();
            let mut own = manifests.filter(|manifest| manifest.reference == *reference);
            own.any(|manifest| {
                blob.is_some_and(|blob| manifest.layers.iter().any(|layer| layer.blob == *blob))
            })
        };
        let reference = match self.imported.as_slice() {
            [only] => Some((*only).clone()),
            several => {
                several.iter().find(|reference| holds(reference)).map(|reference| (*reference).clone())
            }
        };
        HitOrigin { source: Source::Registry, reference, grade, evidence }
    }
}

/// The first layers of a cache for two platforms, where the image of one of them is known: the other one is the other's.
fn others<'a>(manifest: &'a CacheManifest, platforms: &[Option<Platform>]) -> Option<(&'a Digest, Platform)> {
    let [image] = manifest.images.as_slice() else { return None };
    let lowest = image.layers.first()?.blob.as_ref()?;
    let roots: HashSet<&Digest> =
        manifest.layers.iter().filter(|layer| layer.parent.is_none()).map(|layer| &layer.blob).collect();
    let mut rest = platforms.iter().flatten().filter(|platform| image.platform.as_ref() != Some(platform));
    let other = rest.next().filter(|_| platforms.len() == 2)?;
    let root =
        roots.iter().find(|root| **root != lowest).filter(|_| roots.len() == 2 && roots.contains(lowest))?;
    Some((root, other.clone()))
}

fn local(grade: OriginGrade, evidence: HitEvidence) -> HitOrigin {
    HitOrigin { source: Source::Local, reference: None, grade, evidence }
}

/// The blobs that were fetched for a vertex.
fn pulled(vertex: &Vertex) -> impl Iterator<Item = Digest> + '_ {
    vertex.blobs().map(|status| {
        let id = status.id.as_str();
        Digest::parse(id.strip_prefix("extracting ").unwrap_or(id))
    })
}
