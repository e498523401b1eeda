//! The prediction of each step.

use std::collections::HashMap;

use super::stream::Draft;
use crate::event::evidence::CacheManifest;
use crate::event::fingerprint::{Fingerprint, StepKind};
use crate::event::prediction::{Basis, Prediction};
use crate::event::reason::{Cause, Fact, Reason, ReasonGrade};
use crate::event::registry::MOST_CONFIG_BYTES;
use crate::event::{Digest, Text};
use crate::explain::cache;
use crate::explain::change::{self, Own};
use crate::explain::earlier::{Then, is_usable};
use crate::explain::judge::{self, Here, Judge};
use crate::explain::past::{Past, base};
use crate::explain::results::Results;
use crate::model::{Source, State, StepId};

/// What is predicted of a step.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them is a question of its own, and any of them may hold with any other"
)]
pub(super) struct Told {
    pub(super) predicted: Prediction,
    pub(super) grade: ReasonGrade,
    pub(super) source: Option<Source>,
    /// How that is known; none where the reason says it.
    pub(super) basis: Option<Basis>,
    /// A reason that the judgement of a build can't give.
    pub(super) reason: Option<Reason>,
    /// Whether it is another than any earlier build has made, so that what is built on it is another too.
    pub(super) changed: bool,
    /// Whether the build was told to run it.
    forced: bool,
    /// Whether it is a `FROM`.
    pub(super) from: bool,
    /// Whether it depends on what only the builder sees: what an address gives, which files a base image's instruction takes.
    asks: bool,
}

impl Told {
    fn new(predicted: Prediction, grade: ReasonGrade, basis: impl Into<Option<Basis>>) -> Self {
        Self { predicted, grade, basis: basis.into(), ..Self::default() }
    }

    fn unknown(basis: impl Into<Option<Basis>>) -> Self {
        Self::new(Prediction::Unknown, ReasonGrade::Unknown, basis)
    }

    fn hit(grade: ReasonGrade, source: Source, basis: Basis) -> Self {
        Self { source: Some(source), ..Self::new(Prediction::Hit, grade, basis) }
    }

    fn at_most(mut self, grade: ReasonGrade) -> Self {
        self.grade = self.grade.max(grade);
        self
    }
}

/// How a step, with all that it is made from, compares with an earlier build.
enum Chain {
    Same,
    /// As far as is known.
    Alike,
    Other,
}

struct Predictor<'j, 'a> {
    judge: &'j Judge<'a>,
    print: &'j Fingerprint,
    drafts: &'j [Draft],
    told: Vec<Told>,
}

/// Predicts all steps, in the order of the drafts.
pub(super) fn all(
    judge: &Judge<'_>,
    print: &Fingerprint,
    drafts: &[Draft],
    ids: &HashMap<Digest, StepId>,
) -> Vec<Told> {
    let mut predictor = Predictor { judge, print, drafts, told: Vec::new() };
    for (at, draft) in drafts.iter().enumerate() {
        let here = ids.get(&draft.update.digest).and_then(|id| judge.here(*id));
        let told = match here {
            Some(here) if here.step.name.is_from() => predictor.base(&here),
            Some(here) => predictor.step(at, draft, &here),
            None => Told::unknown(Basis::NoStep),
        };
        predictor.told.push(told);
    }
    predictor.settle();
    predictor.told
}

impl<'a> Predictor<'_, 'a> {
    /// A `FROM`. Whether its layers are fetched is up to what else the builder holds: nothing about it is proven.
    fn base(&self, here: &Here<'a>) -> Told {
        let told = self.base_image(here);
        Told { from: true, ..told }
    }

    fn base_image(&self, here: &Here<'a>) -> Told {
        let Some((image, digest)) = base(here.step.name.instruction.as_str()) else {
            return Told::unknown(Basis::BaseUnreadable);
        };
        if image == "scratch" {
            return Told::hit(ReasonGrade::Likely, Source::Local, Basis::Scratch);
        }
        if let Some(then) = self.judge.then(here, &|past| self.judge.is_here(past, here))
            && let Some(change) = self.judge.moved(here, &then)
        {
            let told = Told::new(Prediction::Miss, ReasonGrade::Likely, None);
            return Told { changed: true, reason: Some(judge::changed(&change, Some(&then))), ..told };
        }
        let named = Text::clean(image);
        let Some(digest) = digest else {
            return Told::unknown(Basis::BaseUnresolved { image: named });
        };
        let digest = digest.to_string();
        let records = self.judge.model.records_before().iter().flat_map(|listing| &listing.records);
        let mut pulled = records.filter(|record| record.description.as_str().contains(&digest));
        if pulled.next().is_some() {
            return Told::hit(ReasonGrade::Likely, Source::Local, Basis::BasePresent { image: named });
        }
        let known =
            self.judge.pasts().any(|past| self.judge.is_here(past, here) && has_base(past, image, &digest));
        if known {
            let basis = Basis::BaseUnmoved { image: named };
            return Told::hit(ReasonGrade::Likely, Source::Unknown, basis);
        }
        Told::unknown(Basis::BaseUnclear { image: named })
    }

    fn step(&self, at: usize, draft: &Draft, here: &Here<'a>) -> Told {
        let Some((stage, step)) =
            self.print.stages.get(draft.stage).and_then(|stage| Some((stage, stage.steps.get(draft.place)?)))
        else {
            return Told::unknown(Basis::NoFingerprint);
        };
        // What a WORKDIR makes is called cached all the same (seen on the test engine).
        if stage.no_cache && step.kind != StepKind::Workdir {
            let told = Told::new(Prediction::Miss, ReasonGrade::Proven, Basis::NoCache);
            return Told { forced: true, ..told };
        }
        let told = self.by_inputs(at, draft, here);
        let forced_above = draft.inputs().any(|input| self.told.get(input).is_some_and(|told| told.forced));
        if stage.no_cache || forced_above { told.at_most(ReasonGrade::Likely) } else { told }
    }

    fn by_inputs(&self, at: usize, draft: &Draft, here: &Here<'a>) -> Told {
        if let Some(then) = self.built(at, here) {
            return then;
        }
        let then = self.judge.then(here, &|past| self.judge.is_here(past, here));
        if let Some(then) = &then
            && let Own::Changed(change) = self.judge.own(here, then)
        {
            let prints = here.print.zip(then.print);
            if let Some(address) = prints.and_then(|((_, step), (_, old))| change::repinned(step, old)) {
                return asking(address);
            }
            let sure = change.grade == ReasonGrade::Proven && self.is_accounted(here);
            let grade = if sure { ReasonGrade::Proven } else { ReasonGrade::Likely };
            return Told { changed: true, ..Told::new(Prediction::Miss, grade, None) };
        }
        let below = draft.below.and_then(|below| self.told.get(below));
        if let Some(below) = below.filter(|below| below.changed) {
            let told = Told::new(Prediction::Miss, below.grade, Basis::BuiltOnRebuilt);
            return Told { changed: true, ..told };
        }
        let taken = draft.taken.iter().filter_map(|input| self.told.get(*input));
        if taken.clone().any(|input| input.changed) {
            // Files are known by their content, which may come out the same.
            let why = Basis::TakesRebuilt;
            return Told { changed: true, ..Told::new(Prediction::Miss, ReasonGrade::Likely, why) };
        }
        if let Some(told) = self.asked_above(draft) {
            return told;
        }
        if then.is_none() {
            return self.never(here);
        }
        let mut inputs = below.into_iter().chain(taken);
        if let Some(unknown) = inputs.find(|input| input.predicted == Prediction::Unknown && input.from) {
            return Told::unknown(unknown.basis.clone());
        }
        if !self.judge.pasts().any(|past| past.fingerprint.is_some()) {
            return Told::unknown(Basis::NoEarlierFingerprint);
        }
        let why = Basis::NewBelow;
        Told { changed: true, ..Told::new(Prediction::Miss, ReasonGrade::Likely, why) }
    }

    /// A step that is built on something that only the builder sees.
    fn asked_above(&self, draft: &Draft) -> Option<Told> {
        let asks = |input: &usize| self.told.get(*input).is_some_and(|told| told.asks);
        let input = draft.inputs().find(asks)?;
        let index = self.drafts.get(input).map_or(0, |draft| draft.place + 1) as u64;
        let told = Told::unknown(Basis::DependsOnUnseen { index });
        Some(Told { asks: true, ..told })
    }

    /// A step that some earlier build here has made of the same: whether its result is still to be had.
    fn built(&self, at: usize, here: &Here<'a>) -> Option<Told> {
        let mut pasts = self.judge.pasts().filter(|past| self.judge.is_here(past, here));
        let name = &here.step.name;
        let platform = here.platform.as_ref();
        let (past, step, chain) = pasts.find_map(|past| {
            let step =
                past.step(name.stage.as_ref(), name.index, platform).filter(|step| step.has_result())?;
            match self.chain(at, past) {
                Chain::Other => None,
                chain => Some((past, step, chain)),
            }
        })?;
        if let Some(address) = here.print.and_then(|(_, step)| change::address(step)) {
            return Some(asking(address));
        }
        if here.print.is_some_and(|(_, step)| change::is_trigger(step)) {
            let why = Basis::TriggerUnseen;
            return Some(Told { asks: true, ..Told::unknown(why) });
        }
        if let Some(told) = self.asked_above(self.drafts.get(at)?) {
            return Some(told);
        }
        let print = past.fingerprint.as_ref().and_then(|print| {
            Some((print, print.step(name.stage.as_ref(), name.index, step.platform.as_ref())?.1))
        });
        let then = Then { past, step: Some(step), print, same: true, removed: Vec::new() };
        let attributes = match (self.judge.model.fingerprint(), here.print, print) {
            (Some(now), Some((_, new)), Some(old)) => change::attributes((now, new), old).is_some(),
            _ => true,
        };
        let told = self.had(at, here, &then);
        let sure = matches!(chain, Chain::Same) && !attributes;
        Some(if sure { told } else { told.at_most(ReasonGrade::Likely) })
    }

    fn had(&self, at: usize, here: &Here<'a>, then: &Then<'a>) -> Told {
        let model = self.judge.model;
        let before = model.records_before();
        let build = then.past.name.clone();
        let listed = !before.is_empty() && before.iter().all(|listing| listing.error.is_none());
        if listed {
            let Results { records: own, made } = self.judge.results(here, then);
            let left = own.iter().filter(|record| model.had_before(record)).count();
            let basis = Basis::RecordThere { build: build.clone() };
            // Of a build that imported nothing the result is among those that are described by the instruction. What it made itself is
            // known.
            let imported = !made && then.past.records.iter().any(|record| record.imported.is_some());
            // Where something was pruned BuildKit has let go of the results whose base image it does not hold as a whole, though their
            // records stay as long as others are built on them (seen on the test engine).
            let pruned = then.past.records.iter().any(|record| !model.had_before(record));
            let sure = !imported && !pruned && before.iter().all(|listing| listing.is_whole());
            if left > 0 && left == own.len() && sure {
                return Told::hit(ReasonGrade::Proven, Source::Local, basis);
            }
            if left > 0 && left == own.len() {
                return Told::hit(ReasonGrade::Likely, Source::Local, basis);
            }
            if left > 0 {
                return Told::unknown(Basis::RecordsPartlyGone { build });
            }
            // What ran there has a record that is described as the step. Of a chain that was imported the base image's layers may be
            // kept for others: all of it has to be there.
            let ran = then.step.is_some_and(|step| step.state == State::Miss);
            let mut imported = then.past.records.iter().filter(|record| record.imported.is_some()).peekable();
            let any = imported.peek().is_some();
            if !ran && any && imported.all(|record| model.had_before(record)) {
                return Told::hit(ReasonGrade::Likely, Source::Local, Basis::ImportsThere { build });
            }
        }
        let held = self.registry(at, here);
        if let Some(told) = held {
            return told;
        }
        if !listed {
            return Told::unknown(Basis::Unlisted);
        }
        let (grade, fact) = cache::gone(self.judge, here, then);
        let no_cache = model.cache_manifests().iter().all(missing);
        let basis = Basis::Evidence { fact };
        match grade {
            ReasonGrade::Unknown => Told::hit(ReasonGrade::Likely, Source::Local, basis),
            _ if before.iter().all(|listing| listing.is_bare()) && no_cache => {
                Told::new(Prediction::Miss, ReasonGrade::Proven, basis)
            }
            _ => Told::new(Prediction::Miss, ReasonGrade::Likely, basis),
        }
    }

    /// What the caches in registries have to do with a step that was built before; none where they hold nothing.
    fn registry(&self, at: usize, here: &Here<'a>) -> Option<Told> {
        let model = self.judge.model;
        if model.cache_manifests().iter().all(missing) {
            return None;
        }
        // What the newest export here has put there: somebody else may have overwritten it.
        let exported = self.judge.pasts().find(|past| past.exported);
        let same = exported.is_some_and(|past| !matches!(self.chain(at, past), Chain::Other));
        Some(match model.in_registry(here.id) {
            Some(layer) if same => {
                let basis = Basis::CacheHolds { reference: layer.reference, blob: layer.blob };
                Told::hit(ReasonGrade::Likely, Source::Registry, basis)
            }
            Some(layer) => Told {
                source: Some(Source::Registry),
                ..Told::unknown(Basis::CacheHoldsLayer { reference: layer.reference })
            },
            None => Told::unknown(Basis::CacheUnclear),
        })
    }

    /// A step that no earlier build here has made.
    fn never(&self, here: &Here<'a>) -> Told {
        let model = self.judge.model;
        if let Some(layer) = model.in_registry(here.id) {
            let told = Told::unknown(Basis::CacheHoldsLayer { reference: layer.reference });
            return Told { source: Some(Source::Registry), ..told };
        }
        let before = model.records_before();
        if before.is_empty() || before.iter().any(|listing| listing.error.is_some()) {
            return Told::unknown(Basis::NeverBuiltUnlisted);
        }
        let own = model.results_before(here.step);
        if own.len() > self.results(here) {
            return Told::unknown(Basis::ForeignRecord);
        }
        let nothing =
            before.iter().all(|listing| listing.is_bare()) && model.cache_manifests().iter().all(missing);
        let grade = if nothing { ReasonGrade::Proven } else { ReasonGrade::Likely };
        let told = Told::new(Prediction::Miss, grade, Basis::NeverBuilt);
        Told { changed: true, ..told }
    }

    /// How many results of a step the known builds here have made, over all platforms: a record often does not say which it is for.
    fn results(&self, here: &Here<'a>) -> usize {
        let name = &here.step.name;
        let mut found = Vec::new();
        for past in self.judge.pasts().filter(|past| self.judge.is_here(past, here)) {
            let alike = past.steps.iter().filter(|step| {
                step.stage == name.stage && step.instruction == name.instruction && step.has_result()
            });
            for step in alike {
                let print = past.fingerprint.as_ref().and_then(|print| {
                    Some(print.step(step.stage.as_ref(), step.index, step.platform.as_ref())?.1.hash)
                });
                found.push((step.platform.clone(), print));
            }
        }
        found.sort();
        found.dedup();
        found.len()
    }

    /// Whether nothing is there that could be the step's result by chance: of its instruction the builder has no more records than the
    /// known builds have made, and no cache holds a layer that was not made here.
    fn is_accounted(&self, here: &Here<'a>) -> bool {
        let model = self.judge.model;
        let before = model.records_before();
        if before.is_empty() || !before.iter().all(|listing| listing.is_whole()) {
            return false;
        }
        let own = model.results_before(here.step);
        let name = &here.step.name;
        let mut hashes: Vec<_> = self
            .judge
            .pasts()
            .filter_map(|past| {
                let print = past.fingerprint.as_ref()?;
                Some(print.step(name.stage.as_ref(), name.index, here.platform.as_ref())?.1.hash)
            })
            .collect();
        hashes.sort();
        hashes.dedup();
        if own.len() > hashes.len() {
            return false;
        }
        let records = || self.judge.pasts().flat_map(|past| &past.records);
        model.cache_manifests().iter().all(|manifest| {
            missing(manifest)
                || model.in_registry(here.id).is_some_and(|layer| {
                    layer.created.is_some() && records().any(|record| Some(record.created) == layer.created)
                })
        })
    }

    /// Compares a step and all that it is made from with an earlier build.
    fn chain(&self, at: usize, past: &Past) -> Chain {
        let Some(print) = past.fingerprint.as_ref().filter(|print| is_usable(print)) else {
            return Chain::Other;
        };
        let mut queue = vec![at];
        let mut seen = queue.clone();
        let mut alike = false;
        while let Some(at) = queue.pop() {
            let Some(draft) = self.drafts.get(at) else { return Chain::Other };
            let (Some(stage), Some(step)) = (self.print.stages.get(draft.stage), draft.step(self.print))
            else {
                return Chain::Other;
            };
            if step.kind == StepKind::From {
                match self.same_base(draft, past) {
                    Chain::Other => return Chain::Other,
                    Chain::Alike => alike = true,
                    Chain::Same => {}
                }
            } else {
                let index = u16::try_from(draft.place + 1).unwrap_or(u16::MAX);
                let platform = step.platform.as_ref().or(stage.target.as_ref());
                let Some((_, old)) = print.step(stage.name.as_ref(), index, platform) else {
                    return Chain::Other;
                };
                match change::compare((self.print, step), (print, old)) {
                    Own::Same => {}
                    Own::Alike(_) => alike = true,
                    Own::Changed(_) => return Chain::Other,
                }
            }
            for input in draft.below.into_iter().chain(draft.taken.iter().copied()) {
                if !seen.contains(&input) {
                    seen.push(input);
                    queue.push(input);
                }
            }
        }
        if alike { Chain::Alike } else { Chain::Same }
    }

    fn same_base(&self, draft: &Draft, past: &Past) -> Chain {
        let text = draft.update.name.as_str();
        let instruction = text.split_once("] ").map_or(text, |(_, instruction)| instruction);
        let Some((image, digest)) = base(instruction) else { return Chain::Alike };
        let Some(step) = draft.step(self.print) else { return Chain::Alike };
        let mut bases = past.steps.iter().filter(|known| {
            known.platform.is_none() || step.platform.is_none() || known.platform == step.platform
        });
        let known =
            bases.find_map(|step| base(step.instruction.as_str()).filter(|(known, _)| *known == image));
        match (known, digest) {
            (None, _) if image == "scratch" => Chain::Same,
            (Some((_, Some(old))), Some(new)) if old == new => Chain::Same,
            (None, _) | (Some((_, Some(_))), Some(_)) => Chain::Other,
            (Some(_), _) => Chain::Alike,
        }
    }

    /// What is built on a step and hits makes the step itself one that is called cached.
    fn settle(&mut self) {
        for at in (0..self.drafts.len()).rev() {
            let users = || {
                let uses = |(_, draft): &(usize, &Draft)| draft.inputs().any(|input| input == at);
                self.drafts.iter().enumerate().filter(uses).filter_map(|(user, _)| self.told.get(user))
            };
            let Some(told) = self.told.get(at) else { continue };
            if told.from || told.forced || told.changed || told.asks || told.predicted == Prediction::Hit {
                continue;
            }
            let Some(user) = users().next().filter(|_| users().all(|user| user.predicted == Prediction::Hit))
            else {
                continue;
            };
            let told =
                Told::hit(ReasonGrade::Likely, user.source.unwrap_or(Source::Unknown), Basis::UsersCached);
            if let Some(place) = self.told.get_mut(at) {
                *place = told;
            }
        }
    }
}

/// What is told of a step that takes what an address gives.
fn asking(address: &Text) -> Told {
    let cause = Cause::AddressUnseen { address: address.clone() };
    let reason = Reason::root(ReasonGrade::Unknown, cause, None::<Fact>);
    Told { asks: true, reason: Some(reason), ..Told::unknown(None) }
}

fn has_base(past: &Past, image: &str, digest: &str) -> bool {
    past.steps
        .iter()
        .filter_map(|step| base(step.instruction.as_str()))
        .any(|(known, of)| known == image && of.is_some_and(|of| of.to_string() == digest))
}

/// Whether a cache gives nothing: it is not there, or it is too large to be imported.
fn missing(manifest: &CacheManifest) -> bool {
    !manifest.is_readable() || manifest.config_bytes > MOST_CONFIG_BYTES
}
