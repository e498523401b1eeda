//! Why a step that is what it was was not cached: what became of its result, on the builder and in the registry.

use super::change::said;
use super::collected;
use super::earlier::Then;
use super::judge::{Here, Judge};
use super::past::Past;
use crate::event::evidence::CacheRecord;
use crate::event::reason::{Evidence, Reason, ReasonGrade, ReasonKind};
use crate::event::registry::{CacheState, MOST_CONFIG_BYTES};
use crate::event::{Platform, Text};
use crate::model::{Model, Phase, State, Step, Transfer, name, triggers};

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
    alike: Option<String>,
) -> Reason {
    let transfers = judge.model.cache();
    let import = import(judge.model, &transfers.imports);
    let mut reason = match then {
        Some(then) => lost(judge, here, then, &import, alike.is_some()),
        None => never(judge, here, &import),
    };
    reason.root = true;
    if let Some(what) = alike {
        reason.evidence.push(said(format!("not compared: {what}")));
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
    let (kind, because, evidence) = match import {
        Import::None | Import::Open | Import::Done(_) => return None,
        Import::Missing(at) => (
            ReasonKind::ManifestMissing,
            format!("there is no cache at {at}"),
            format!("the registry has no {at}: never exported, deleted, or another name"),
        ),
        Import::TooLarge(at, bytes) => (
            ReasonKind::ConfigTooLarge,
            format!("the cache {at} is too large to be imported"),
            format!("its config has {bytes} B, and BuildKit imports {MOST_CONFIG_BYTES} B at most"),
        ),
        Import::Failed(at, error) => (
            ReasonKind::ImportFailed,
            format!("the cache {at} could not be imported"),
            format!("the import failed: {error}"),
        ),
    };
    Some(Reason {
        kind,
        grade: ReasonGrade::Proven,
        because: Text::clean(&because),
        evidence: vec![said(evidence)],
        ..Reason::default()
    })
}

/// The step was built here before, and all is as it was.
fn lost<'a>(
    judge: &Judge<'a>,
    here: &Here<'a>,
    then: &Then<'a>,
    import: &Import<'_>,
    partly: bool,
) -> Reason {
    let (grade, mut evidence) = gone(judge, here, then);
    evidence.push(said(format!("nothing that is known of it is another than in {}", then.past.title())));
    // Where neither all of the step was compared nor the records tell, anything may be the reason.
    if grade == ReasonGrade::Unknown || (partly && grade != ReasonGrade::Proven) {
        return unknown(evidence);
    }
    if let Some(mut reason) = by_import(import) {
        // Had the builder kept the result, the import would not matter.
        reason.grade = reason.grade.max(grade);
        reason.evidence.extend(evidence);
        return reason;
    }
    if let Import::Done(at) = import {
        evidence.push(said(match judge.model.in_registry(here.id) {
            None => format!("the cache at {at} was imported and does not hold it"),
            Some(layer) => format!("the cache at {at} holds {}, and it was not used", layer.blob),
        }));
    }
    let how = collected::how(judge.model, then.past);
    let because = match &how {
        Some((_, because)) => because.clone(),
        None => "the builder no longer has the result: pruned, or collected as garbage".to_owned(),
    };
    evidence.extend(how.map(|(evidence, _)| evidence));
    Reason { kind: ReasonKind::Evicted, grade, because: Text::clean(&because), evidence, ..Reason::default() }
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
pub(super) fn gone<'a>(judge: &Judge<'a>, here: &Here<'a>, then: &Then<'a>) -> (ReasonGrade, Vec<Evidence>) {
    let model = judge.model;
    let before = model.records_before();
    let trouble = before.iter().find_map(|listing| listing.error.as_ref());
    if before.is_empty() || trouble.is_some() {
        let why = trouble.map_or("they were not listed", Text::as_str);
        let text = format!("what the builder held before the build is not known: {why}");
        return (ReasonGrade::Likely, vec![said(text)]);
    }
    if before.iter().all(|listing| listing.is_bare()) {
        let text = "the builder had no result of any step before this build";
        return (ReasonGrade::Proven, vec![said(text)]);
    }
    let whole = before.iter().all(|listing| listing.is_whole());
    let there = |record: &CacheRecord| model.had_before(record);
    let own = judge.results(here, then).records;
    let (left, lost): (Vec<&CacheRecord>, Vec<&CacheRecord>) =
        own.into_iter().partition(|record| there(record));
    let ids = |records: &[&CacheRecord]| {
        records.iter().take(3).map(|record| record.id.to_string()).collect::<Vec<_>>().join(", ")
    };
    match (lost.is_empty(), left.is_empty()) {
        (false, true) if whole => {
            let text = format!("the builder had its result, the record {}, and has it no longer", ids(&lost));
            (ReasonGrade::Proven, vec![said(text)])
        }
        (false, _) => {
            let text = format!("of its records {} are gone and {} are there", ids(&lost), ids(&left));
            (ReasonGrade::Likely, vec![said(text)])
        }
        (true, false) => {
            let text = format!("the builder still has the record {} of this instruction", ids(&left));
            (ReasonGrade::Unknown, vec![said(text)])
        }
        (true, true) if any_record(model, here.step) => {
            let text = "the builder has a record of this instruction; whether it is its result is not known";
            (ReasonGrade::Unknown, vec![said(text)])
        }
        (true, true) => {
            let text = "the builder has no record of this instruction";
            (if whole { ReasonGrade::Proven } else { ReasonGrade::Likely }, vec![said(text)])
        }
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
        reason.evidence.extend(there.map(|then| said(format!("{} had it", then.past.title()))));
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
        reason.evidence.push(said("no earlier build of it is known here"));
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
    let wanted = here.platform.as_ref().map_or("this platform", Platform::as_str);
    let mut evidence =
        vec![said(format!("{} was built for {platform}, and none for {wanted}", then.past.title()))];
    // What the other platform of this very build has met says the same.
    let model = judge.model;
    let twin = model.stack().row_of(here.id).and_then(|row| {
        let other = row.steps.iter().filter(|id| **id != here.id);
        other.copied().find(|id| model.state(*id) == State::Hit)
    });
    if let Some(other) = twin.and_then(|id| model.platform_of(model.stack().step(id)?)) {
        evidence.push(said(format!("{other} was cached in this build")));
    }
    Reason {
        kind: ReasonKind::PlatformNotCached,
        grade: if twin.is_some() { ReasonGrade::Proven } else { ReasonGrade::Likely },
        because: Text::clean(&format!("only {platform} was built before")),
        evidence,
        ..Reason::default()
    }
}

fn builder_only(model: &Model, here: &Here<'_>, then: &Then<'_>) -> Reason {
    let title = then.past.title();
    let now = builder_of(model);
    let (because, text) = match moved_node(model, then.past, here) {
        Some((old, new))
            if then.past.builder == model.started().builder || then.past.builder.as_ref() == now =>
        {
            (
                format!("the last build ran on the node {old}, and this one on {new}"),
                format!("{title} was made on {old}"),
            )
        }
        _ => {
            // Where none is named it is buildx's current one, and which that was nobody has written down.
            let because = match (&then.past.builder, now) {
                (Some(old), Some(now)) => format!("the last build ran on {old}, and this one on {now}"),
                (Some(old), None) => format!("the last build ran on {old}, and this one names no builder"),
                (None, Some(now)) => format!("the last build named no builder, and this one ran on {now}"),
                (None, None) => "the last build ran on another builder".to_owned(),
            };
            let name = |builder: Option<&Text>| {
                builder.map_or_else(|| "the builder that was not named".to_owned(), Text::to_string)
            };
            let (old, now) = (name(then.past.builder.as_ref()), name(now));
            (because, format!("{title} was made on {old}; no build of it on {now} is known"))
        }
    };
    Reason {
        kind: ReasonKind::OtherBuilder,
        grade: ReasonGrade::Likely,
        because: Text::clean(&because),
        evidence: vec![said(text)],
        ..Reason::default()
    }
}

/// The builder of a build: the one that it names, else the one that was watched beside it.
pub(super) fn builder_of(model: &Model) -> Option<&Text> {
    let watched = || model.builder().snapshot().map(|snapshot| &snapshot.name);
    model.started().builder.as_ref().or_else(watched).filter(|name| !name.is_empty())
}

/// Nothing that is known tells why.
fn unknown(evidence: Vec<Evidence>) -> Reason {
    Reason {
        kind: ReasonKind::Unknown,
        grade: ReasonGrade::Unknown,
        because: "the reason is not known".into(),
        evidence,
        ..Reason::default()
    }
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
    let mut evidence = vec![said("no earlier build of it is known here")];
    let mut grade = ReasonGrade::Likely;
    if listed && any_record(model, here.step) {
        evidence
            .push(said("the builder has a record of this instruction, from a build that was not recorded"));
    } else if listed {
        evidence.push(said("the builder had no record of this instruction"));
        grade = ReasonGrade::Proven;
    }
    match import {
        Import::Missing(at) => evidence.push(said(format!("there is no cache at {at} yet"))),
        Import::Done(at) => {
            evidence.push(said(format!("the cache at {at} was imported, and had nothing for it")));
            // Somebody has built it somewhere; what was another there is not known here.
            grade = ReasonGrade::Likely;
        }
        _ => {}
    }
    if grade != ReasonGrade::Proven && any_hit(model) {
        evidence.push(said("other steps of this build were cached, so something like it was built before"));
        return unknown(evidence);
    }
    Reason {
        kind: ReasonKind::FirstBuild,
        grade,
        because: "nothing like it was built here before".into(),
        evidence,
        ..Reason::default()
    }
}
