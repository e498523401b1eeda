//! What would have avoided a miss, with the file and the line that it is about.

mod ignored;
mod packages;

use super::judge::Here;
use super::past::base;
use crate::event::Text;
use crate::event::advice::{Advice, Fix};
use crate::event::fingerprint::{Source, Step, StepKind};
use crate::event::reason::{Fact, FileChange, Reason, ReasonKind};
use crate::event::reference::is_same_image;
use crate::model::Model;

/// Advice on a miss. What merely follows can be made cheaper only.
pub(super) fn of(model: &Model, here: &Here<'_>, reason: &Reason) -> Vec<Advice> {
    let mut found = if reason.root { avoided(model, here, reason) } else { Vec::new() };
    // What has to run again may fetch again what it had fetched.
    let reruns = matches!(
        reason.kind,
        ReasonKind::ParentMissed
            | ReasonKind::InstructionChanged
            | ReasonKind::ArgChanged
            | ReasonKind::FilesChanged
    );
    if let Some((_, step)) = here.print.filter(|_| reruns)
        && let Some(fix) = packages::mounts(step)
    {
        found.push(at(model, Some(step.line), fix));
    }
    found
}

/// What would have avoided a root cause.
fn avoided(model: &Model, here: &Here<'_>, reason: &Reason) -> Vec<Advice> {
    let own_line = |fix: Fix| at(model, here.print.map(|(_, step)| step.line), fix);
    match reason.kind {
        ReasonKind::FilesChanged => files(model, here, reason, &own_line),
        ReasonKind::BaseMoved => {
            let facts = reason.evidence.iter().filter_map(|evidence| evidence.fact.as_ref());
            facts.filter_map(|fact| pin(model, fact)).take(1).collect()
        }
        ReasonKind::ArgChanged => vec![own_line(Fix::MoveArg)],
        ReasonKind::ManifestMissing => vec![anywhere(Fix::ExportCache)],
        ReasonKind::ImportFailed => vec![anywhere(Fix::CheckRegistry)],
        ReasonKind::ConfigTooLarge => vec![anywhere(Fix::ShrinkCache)],
        ReasonKind::PlatformNotCached => vec![anywhere(Fix::BuildPlatforms)],
        ReasonKind::OtherBuilder => vec![anywhere(Fix::ShareCache)],
        ReasonKind::Evicted => evicted(model),
        ReasonKind::NoCache => vec![anywhere(Fix::UseCache)],
        ReasonKind::Uncacheable => vec![own_line(Fix::PinDownload)],
        ReasonKind::InstructionChanged
        | ReasonKind::FirstBuild
        | ReasonKind::ParentMissed
        | ReasonKind::Unknown => Vec::new(),
    }
}

/// Advice about a line of the Dockerfile.
fn at(model: &Model, line: Option<u32>, fix: Fix) -> Advice {
    let file = model.fingerprint().and_then(|print| print.dockerfile.clone());
    Advice { fix: Some(fix), file, line, ..Advice::default() }
}

/// Advice about no file.
fn anywhere(fix: Fix) -> Advice {
    Advice { fix: Some(fix), ..Advice::default() }
}

fn files(model: &Model, here: &Here<'_>, reason: &Reason, own_line: &dyn Fn(Fix) -> Advice) -> Vec<Advice> {
    let mut found = Vec::new();
    let paths: Vec<(&Text, FileChange)> = reason
        .evidence
        .iter()
        .filter_map(|evidence| match &evidence.fact {
            Some(Fact::File { path, change, .. }) => Some((path, *change)),
            _ => None,
        })
        .collect();
    found.extend(left_out(model, here, &paths));
    if let Some((path, _)) = paths.iter().find(|(_, change)| *change == FileChange::Mode) {
        found.push(own_line(Fix::SetMode { path: (*path).clone() }));
    }
    found.extend(order(model, here, &paths).map(own_line));
    found
}

/// A file that is taken along and that no step needs. What a step names itself can't be left out.
fn left_out(model: &Model, here: &Here<'_>, paths: &[(&Text, FileChange)]) -> Option<Advice> {
    let (_, step) = here.print?;
    let named = |path: &str, pattern: &str| {
        let own = |source: &Source| {
            let source = source.path.as_str().trim_start_matches("./").trim_matches('/');
            source == path || source == pattern || source.starts_with(&format!("{pattern}/"))
        };
        step.sources.iter().any(own)
    };
    let texts = paths.iter().map(|(path, _)| path.as_str());
    let mut known: Vec<(&str, (String, bool))> =
        texts.filter_map(|path| Some((path, ignored::pattern(path)?))).collect();
    known.retain(|(path, (pattern, _))| !named(path, pattern));
    known.sort_by_key(|(_, (_, sure))| !sure);
    let (path, (pattern, sure)) = known.into_iter().next()?;
    let fix = Fix::IgnoreFile { path: Text::clean(path), pattern: Text::clean(&pattern), sure };
    let ignore = model.fingerprint().and_then(|print| print.contexts.first()?.ignore.as_ref());
    let file = ignore.map_or_else(|| ".dockerignore".into(), |ignore| ignore.file.clone());
    Some(Advice { file: Some(file), ..anywhere(fix) })
}

/// A copy of sources before the packages are installed costs their installation at each change.
fn order(model: &Model, here: &Here<'_>, paths: &[(&Text, FileChange)]) -> Option<Fix> {
    let (stage, step) = here.print?;
    let own = stage.steps.iter().position(|known| std::ptr::eq(known, step))?;
    let installs: Vec<&Step> =
        stage.steps.get(own + 1..)?.iter().filter(|step| packages::installs(step)).collect();
    let after = installs.last()?.line;
    let read = |path: &str| installs.iter().any(|step| packages::reads(step, path));
    if paths.is_empty() || paths.iter().any(|(path, _)| read(path.as_str())) {
        return None;
    }
    // Who names a single file wants it just there.
    let folder = |path: &str| path.ends_with(['/', '*', '.']) || !path.contains('.');
    let set =
        step.sources.iter().filter(|source| folder(source.path.as_str())).find_map(|source| source.set)?;
    let print = model.fingerprint()?;
    let lists: Vec<String> = print
        .files(print.sets.get(set as usize)?)
        .map(|(path, _)| path)
        .filter(|path| read(path))
        .take(3)
        .collect();
    let first = installs.iter().find(|step| lists.iter().any(|list| packages::reads(step, list)));
    Some(match first {
        Some(first) => {
            let lists = lists.iter().map(|list| Text::clean(list)).collect();
            Fix::SplitCopy { lists, before: first.line, after }
        }
        None => Fix::MoveCopy { after },
    })
}

/// The line of the `FROM`, with the digest that the tag pointed at.
fn pin(model: &Model, fact: &Fact) -> Option<Advice> {
    let Fact::Base { image, new, .. } = fact else { return None };
    // As the Dockerfile names it, whose line it is.
    let found = model.fingerprint().and_then(|print| {
        let steps = print.stages.iter().flat_map(|stage| &stage.steps);
        let mut named = steps.filter(|step| step.kind == StepKind::From).filter_map(|step| {
            let (known, _) = base(step.instruction.as_str())?;
            Some((Text::clean(known), step.line))
        });
        named.find(|(known, _)| is_same_image(known.as_str(), image.as_str()))
    });
    let (image, line) = found.map_or((image.clone(), None), |(known, line)| (known, Some(line)));
    Some(at(model, line, Fix::PinBase { image, digest: new.clone() }))
}

fn evicted(model: &Model) -> Vec<Advice> {
    let has_cache = model.started().cache.is_some();
    let registry = (!has_cache).then_some(Fix::KeepInRegistry);
    registry.into_iter().chain([Fix::KeepMore]).map(anywhere).collect()
}
