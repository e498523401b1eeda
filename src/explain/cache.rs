//! Why a step that is what it was was not cached: what became of its result, on the builder and in the registry.

use super::collected;
use super::earlier::Then;
use super::judge::{Here, Judge};
use super::past::Past;
use crate::event::evidence::CacheRecord;
use crate::event::reason::{Cause, Fact, Reason, ReasonGrade, Uncompared};
use crate::event::registry::{CacheState, MOST_CONFIG_BYTES};
use crate::event::{Platform, Text};
use crate::model::{Model, Phase, State, Step, Transfer, name, triggers};

/// Records that are named in the evidence.
const MOST_NAMED: usize = 3;

/// How the import of the registry's cache went.
enum Import<'a> {
    /// None was asked for.
    None,
    /// It is not decided.
    Open,
    /// It was imported.
    Done(&'a Text),
    /// There is none.
    Missing(&'a Text),
    /// It is too large to be imported.
    TooLarge(&'a Text, u64),
    /// It failed.
    Failed(&'a Text, &'a Text),
}

/// The node that a platform was built on, and the one that it is built on, where these are two.
pub(super) fn moved_node<'a>(
    model: &'a Model,
    past: &'a Past,
    here: &Here<'_>,
) -> Option<(&'a Text, &'a Text)> {
    let platform = here.platform.as_ref()?;
    let now = model.builder().snapshot()?.platforms.iter().find(|place| place.platform == *platform)?;
    let (now, (_, old)) = (now.node.as_ref()?, past.nodes.iter().find(|(known, _)| known == platform)?);
    (now != old).then_some((old, now))
}

/// Judges by the caches. `then` is the newest build here in which the step left a result; `alike` says what could not be compared.
pub(super) fn judge<'a>(
    judge: &Judge<'a>,
    here: &Here<'a>,
    then: Option<&Then<'a>>,
    alike: Option<Uncompared>,
) -> Reason {
    let transfers = judge.model.cache();
    let import = import(judge.model, &transfers.imports);
    let mut reason = match then {
        Some(then) => lost(judge, here, then, &import, alike.is_some()),
        None => never(judge, here, &import),
    };
    reason.root = true;
    if let Some(what) = alike {
        reason.evidence.push(Fact::NotCompared { what }.into());
        reason.grade = reason.grade.max(ReasonGrade::Likely);
    }
    reason
}

fn import<'a>(model: &'a Model, imports: &'a [Transfer]) -> Import<'a> {
    let reference = |transfer: &'a Transfer| transfer.reference.as_ref().or(model.started().cache.as_ref());
    for transfer in imports {
        let (Some(at), Phase::Failed) = (reference(transfer), transfer.phase) else { continue };
        if let Some(bytes) = too_large(model, at) {
            return Import::TooLarge(at, bytes);
        }
        let Some(error) = &transfer.error else { continue };
        return if transfer.is_not_there() { Import::Missing(at) } else { Import::Failed(at, error) };
    }
    let done = imports.iter().find(|transfer| matches!(transfer.phase, Phase::Done | Phase::Cached));
    if let Some(at) = done.and_then(reference) {
        return too_large(model, at).map_or(Import::Done(at), |bytes| Import::TooLarge(at, bytes));
    }
    if imports.is_empty() { Import::None } else { Import::Open }
}

/// The size of a cache's config, where that is over what is imported.
fn too_large(model: &Model, reference: &Text) -> Option<u64> {
    let read = model.cache_manifests().iter().find(|manifest| manifest.reference == *reference);
    let looked = model.registry().newest().and_then(|registry| registry.cache.as_ref());
    let looked = looked.filter(|cache| cache.state == CacheState::TooLarge).map(|cache| cache.config_bytes);
    read.map(|manifest| manifest.config_bytes).filter(|bytes| *bytes > MOST_CONFIG_BYTES).or(looked)
}

/// What the import has to do with it; none where it did what it should.
fn by_import(import: &Import<'_>) -> Option<Reason> {
    let (cause, fact) = match *import {
        Import::None | Import::Open | Import::Done(_) => return None,
        Import::Missing(at) => {
            (Cause::CacheMissing { reference: at.clone() }, Fact::CacheMissing { reference: at.clone() })
        }
        Import::TooLarge(at, bytes) => (
            Cause::CacheTooLarge { reference: at.clone(), bytes, limit: MOST_CONFIG_BYTES },
            Fact::ConfigTooLarge { bytes, limit: MOST_CONFIG_BYTES },
        ),
        Import::Failed(at, error) => (
            Cause::ImportFailed { reference: at.clone(), error: error.clone() },
            Fact::ImportFailed { error: error.clone() },
        ),
    };
    Some(Reason::root(ReasonGrade::Proven, cause, [fact]))
}

/// The step was built here before, and all is as it was.
fn lost<'a>(
    judge: &Judge<'a>,
    here: &Here<'a>,
    then: &Then<'a>,
    import: &Import<'_>,
    partly: bool,
) -> Reason {
    let (grade, fact) = gone(judge, here, then);
    let mut facts = vec![fact, Fact::NothingDiffers { build: then.past.name.clone() }];
    // Where neither all of the step was compared nor the records tell, anything may be the reason.
    if grade == ReasonGrade::Unknown || (partly && grade != ReasonGrade::Proven) {
        return unknown(facts);
    }
    if let Some(mut reason) = by_import(import) {
        // Had the builder kept the result, the import would not matter.
        reason.grade = reason.grade.max(grade);
        reason.evidence.extend(facts.into_iter().map(Into::into));
        return reason;
    }
    if let Import::Done(at) = *import {
        let reference = at.clone();
        facts.push(match judge.model.in_registry(here.id) {
            None => Fact::NotInCache { reference },
            Some(layer) => Fact::NotUsed { reference, blob: layer.blob },
        });
    }
    let (fact, by) = collected::how(judge.model, then.past).unzip();
    facts.extend(fact);
    Reason::root(grade, Cause::Evicted { by }, facts)
}

/// Whether the result is gone, or may be: nothing says that it is still there.
pub(super) fn is_gone<'a>(judge: &Judge<'a>, here: &Here<'a>, then: &Then<'a>) -> bool {
    gone(judge, here, then).0 != ReasonGrade::Unknown
}

/// Whether a step takes files of a build's context, by its text.
pub(super) fn takes_files(here: &Here<'_>) -> bool {
    let text = here.step.name.instruction.as_str();
    let text = triggers::left(text).unwrap_or(text);
    let keyword = name::keyword(text);
    let copies = keyword.eq_ignore_ascii_case("COPY") || keyword.eq_ignore_ascii_case("ADD");
    copies && !text.contains("--from=") && !text.contains("<<")
}

/// Whether the builder has lost the result: how sure that is, and how it is known.
pub(super) fn gone<'a>(judge: &Judge<'a>, here: &Here<'a>, then: &Then<'a>) -> (ReasonGrade, Fact) {
    let model = judge.model;
    let before = model.records_before();
    let error = before.iter().find_map(|listing| listing.error.clone());
    if before.is_empty() || error.is_some() {
        return (ReasonGrade::Likely, Fact::RecordsUnknown { error });
    }
    if before.iter().all(|listing| listing.is_bare()) {
        return (ReasonGrade::Proven, Fact::NoResults);
    }
    let whole = before.iter().all(|listing| listing.is_whole());
    let there = |record: &CacheRecord| model.had_before(record);
    let own = judge.results(here, then).records;
    let (left, lost): (Vec<&CacheRecord>, Vec<&CacheRecord>) =
        own.into_iter().partition(|record| there(record));
    let ids = |records: &[&CacheRecord]| {
        records.iter().take(MOST_NAMED).map(|record| record.id.clone()).collect::<Vec<_>>()
    };
    match (lost.is_empty(), left.is_empty()) {
        (false, true) if whole => (ReasonGrade::Proven, Fact::RecordsGone { records: ids(&lost) }),
        (false, _) => (ReasonGrade::Likely, Fact::RecordsPartlyGone { gone: ids(&lost), left: ids(&left) }),
        (true, false) => (ReasonGrade::Unknown, Fact::RecordsThere { records: ids(&left) }),
        (true, true) if any_record(model, here.step) => (ReasonGrade::Unknown, Fact::RecordUnclear),
        (true, true) => (if whole { ReasonGrade::Proven } else { ReasonGrade::Likely }, Fact::NoRecord),
    }
}

fn any_record(model: &Model, step: &Step) -> bool {
    !model.results_before(step).is_empty()
}

/// The step was never built here, as far as is known.
fn never(judge: &Judge<'_>, here: &Here<'_>, import: &Import<'_>) -> Reason {
    let own = |past: &Past| judge.is_here(past, here);
    let elsewhere = |past: &Past| !judge.is_here(past, here);
    let other_platform = others(judge, here)
        .into_iter()
        .find_map(|platform| Some((judge.then_on(here, Some(&platform), &own)?, platform)));
    let other_builder = judge.then(here, &elsewhere);
    let known = other_platform.is_some() || other_builder.is_some();
    if known && let Some(mut reason) = by_import(import) {
        let there = other_builder.as_ref().or(other_platform.as_ref().map(|(then, _)| then));
        let fact = there.map(|then| Fact::HadResult { build: then.past.name.clone() });
        reason.evidence.extend(fact.map(Into::into));
        return reason;
    }
    if let Some((then, platform)) = other_platform {
        return platform_only(judge, here, &then, &platform);
    }
    if let Some(then) = other_builder {
        return builder_only(judge.model, here, &then);
    }
    // Where no earlier build is known the cache in the registry is all that could have helped.
    if let Import::Failed(..) | Import::TooLarge(..) = import
        && let Some(mut reason) = by_import(import)
    {
        reason.grade = ReasonGrade::Likely;
        reason.evidence.push(Fact::NoEarlierBuild.into());
        return reason;
    }
    first(judge.model, here, import)
}

/// The platforms that the step could have been built for instead.
fn others(judge: &Judge<'_>, here: &Here<'_>) -> Vec<Platform> {
    let mut found: Vec<Platform> =
        judge.pasts().flat_map(|past| &past.steps).filter_map(|step| step.platform.clone()).collect();
    found.sort();
    found.dedup();
    found.retain(|platform| Some(platform) != here.platform.as_ref());
    found
}

fn platform_only(judge: &Judge<'_>, here: &Here<'_>, then: &Then<'_>, platform: &Platform) -> Reason {
    let mut facts = vec![Fact::BuiltFor {
        build: then.past.name.clone(),
        platform: platform.clone(),
        wanted: here.platform.clone(),
    }];
    // What the other platform of this very build has met says the same.
    let model = judge.model;
    let twin = model.stack().row_of(here.id).and_then(|row| {
        let other = row.steps.iter().filter(|id| **id != here.id);
        other.copied().find(|id| model.state(*id) == State::Hit)
    });
    let other = twin.and_then(|id| model.platform_of(model.stack().step(id)?));
    facts.extend(other.map(|platform| Fact::PlatformCached { platform }));
    let grade = if twin.is_some() { ReasonGrade::Proven } else { ReasonGrade::Likely };
    let cause = Cause::PlatformOnly { platform: platform.clone() };
    Reason::root(grade, cause, facts)
}

fn builder_only(model: &Model, here: &Here<'_>, then: &Then<'_>) -> Reason {
    let build = then.past.name.clone();
    let now = builder_of(model);
    let same = then.past.builder == model.started().builder || then.past.builder.as_ref() == now;
    let (cause, fact) = match moved_node(model, then.past, here) {
        Some((old, new)) if same => (
            Cause::OtherNode { old: old.clone(), new: new.clone() },
            Fact::MadeOnNode { build, node: old.clone() },
        ),
        _ => {
            let (old, new) = (then.past.builder.clone(), now.cloned());
            let cause = Cause::OtherBuilder { old: old.clone(), new: new.clone() };
            (cause, Fact::MadeOnBuilder { build, old, new })
        }
    };
    Reason::root(ReasonGrade::Likely, cause, [fact])
}

/// The builder of a build: the one that it names, else the one that was watched beside it.
pub(super) fn builder_of(model: &Model) -> Option<&Text> {
    let watched = || model.builder().snapshot().map(|snapshot| &snapshot.name);
    model.started().builder.as_ref().or_else(watched).filter(|name| !name.is_empty())
}

/// Nothing that is known tells why.
fn unknown(facts: Vec<Fact>) -> Reason {
    Reason::root(ReasonGrade::Unknown, Cause::Unknown, facts)
}

/// Whether any step was cached that does something: a base image may be there for another build, a directory in the image.
fn any_hit(model: &Model) -> bool {
    model.stack().steps().any(|(id, step)| {
        let is_quick = step.name.is_from() || step.name.is_workdir();
        !is_quick && model.state(id) == State::Hit
    })
}

fn first(model: &Model, here: &Here<'_>, import: &Import<'_>) -> Reason {
    let before = model.records_before();
    let listed = !before.is_empty() && before.iter().all(|listing| listing.error.is_none());
    let mut facts = vec![Fact::NoEarlierBuild];
    let mut grade = ReasonGrade::Likely;
    if listed && any_record(model, here.step) {
        facts.push(Fact::ForeignRecord);
    } else if listed {
        facts.push(Fact::HadNoRecord);
        grade = ReasonGrade::Proven;
    }
    match *import {
        Import::Missing(at) => facts.push(Fact::NoCacheYet { reference: at.clone() }),
        Import::Done(at) => {
            facts.push(Fact::NothingInCache { reference: at.clone() });
            // Somebody has built it somewhere; what was another there is not known here.
            grade = ReasonGrade::Likely;
        }
        _ => {}
    }
    if grade != ReasonGrade::Proven && any_hit(model) {
        facts.push(Fact::OthersCached);
        return unknown(facts);
    }
    Reason::root(grade, Cause::FirstBuild, facts)
}
