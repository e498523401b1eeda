//! What would have avoided a miss, with the file and the line that it is about.

mod ignored;
mod packages;

use super::judge::Here;
use super::past::base;
use crate::event::fingerprint::{Source, Step, StepKind};
use crate::event::reason::{Advice, Fact, FileChange, Reason, ReasonKind};
use crate::event::reference::is_same_image;
use crate::event::{Digest, Text};
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
        && let Some(text) = packages::mount(step)
    {
        found.push(Advice { text: Text::clean(&text), file: file(model), line: Some(step.line) });
    }
    found
}

/// What would have avoided a root cause.
fn avoided(model: &Model, here: &Here<'_>, reason: &Reason) -> Vec<Advice> {
    let file = file(model);
    let line = here.print.map(|(_, step)| step.line);
    let place = |text: String| Advice { text: Text::clean(&text), file: file.clone(), line };
    match reason.kind {
        ReasonKind::FilesChanged => files(model, here, reason, &place),
        ReasonKind::BaseMoved => reason.evidence.iter().find_map(|evidence| pin(model, evidence.fact.as_ref()?, file.as_ref())).into_iter().collect(),
        ReasonKind::ArgChanged => vec![place(
            "declare the ARG behind the steps that do not need it: each RUN behind an ARG has it in its environment".to_owned(),
        )],
        ReasonKind::ManifestMissing => vec![free(
            "export the cache with each build: --cache-to type=registry,ref=…,mode=max; in layertop.toml [build] cache",
        )],
        ReasonKind::ImportFailed => vec![free("layertop config check; then see whether the registry answers: curl http://REGISTRY/v2/")],
        ReasonKind::ConfigTooLarge => vec![free("export a smaller cache: fewer steps and stages, or mode=min; or begin a new cache tag")],
        ReasonKind::PlatformNotCached => vec![free("build all platforms each time, or export the cache of each to a registry with mode=max")],
        ReasonKind::OtherBuilder => vec![free("share the cache between builders by a registry: [build] cache in layertop.toml")],
        ReasonKind::Evicted => evicted(model),
        ReasonKind::NoCache => vec![free("leave out --no-cache; --no-cache-filter STAGE rebuilds one stage alone")],
        ReasonKind::Uncacheable => vec![place("pin what is fetched: ADD --checksum=sha256:… URL".to_owned())],
        ReasonKind::InstructionChanged
        | ReasonKind::FirstBuild
        | ReasonKind::ParentMissed
        | ReasonKind::Unknown => Vec::new(),
    }
}

fn free(text: &str) -> Advice {
    Advice { text: text.into(), ..Advice::default() }
}

fn file(model: &Model) -> Option<Text> {
    model.fingerprint()?.dockerfile.clone()
}

fn files(model: &Model, here: &Here<'_>, reason: &Reason, place: &dyn Fn(String) -> Advice) -> Vec<Advice> {
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
        let chmod = "set the mode in the Dockerfile, so that the context's does not count: COPY --chmod=…";
        found.push(place(format!("{chmod} (for {path})")));
    }
    found.extend(order(model, here, &paths, place));
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
    let text = if sure {
        format!("keep {path} out of the context: add the line `{pattern}`")
    } else {
        format!("if no step needs {path}, keep it out of the context: add the line `{pattern}`")
    };
    let ignore = model.fingerprint().and_then(|print| print.contexts.first()?.ignore.as_ref());
    let file = ignore.map_or_else(|| ".dockerignore".into(), |ignore| ignore.file.clone());
    Some(Advice { text: Text::clean(&text), file: Some(file), line: None })
}

/// A copy of sources before the packages are installed costs their installation at each change.
fn order(
    model: &Model,
    here: &Here<'_>,
    paths: &[(&Text, FileChange)],
    place: &dyn Fn(String) -> Advice,
) -> Option<Advice> {
    let (stage, step) = here.print?;
    let own = stage.steps.iter().position(|known| std::ptr::eq(known, step))?;
    let installs: Vec<&Step> =
        stage.steps.get(own + 1..)?.iter().filter(|step| packages::installs(step)).collect();
    let last = installs.last()?.line;
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
    let Some(first) = installs.iter().find(|step| lists.iter().any(|list| packages::reads(step, list)))
    else {
        return Some(place(format!(
            "move this COPY behind line {last}, which does not need to run again for it"
        )));
    };
    let rest = if last == first.line { "it".to_owned() } else { format!("line {last}") };
    let (lists, first) = (lists.join(" and "), first.line);
    Some(place(format!("split the COPY: copy {lists} before line {first}, and the rest behind {rest}")))
}

/// The line of the `FROM`, with the digest that the tag pointed at.
fn pin(model: &Model, fact: &Fact, file: Option<&Text>) -> Option<Advice> {
    let Fact::Base { image, new, .. } = fact else { return None };
    // As the Dockerfile names it, whose line it is.
    let found = model.fingerprint().and_then(|print| {
        let steps = print.stages.iter().flat_map(|stage| &stage.steps);
        let mut named = steps.filter(|step| step.kind == StepKind::From).filter_map(|step| {
            let (known, _) = base(step.instruction.as_str())?;
            Some((known, step.line))
        });
        named.find(|(known, _)| is_same_image(known, image.as_str()))
    });
    let (image, line) = found.map_or((image.as_str(), None), |(known, line)| (known, Some(line)));
    let text = format!("pin the base image by its digest: FROM {image}@{}", shown(new));
    Some(Advice { text: Text::clean(&text), file: file.cloned(), line })
}

fn shown(digest: &Digest) -> String {
    digest.to_string()
}

fn evicted(model: &Model) -> Vec<Advice> {
    let has_cache = model.started().cache.is_some();
    let mut found = vec![free(
        "keep more on the builder: a larger max-used-space of its garbage collection, and no prune -a",
    )];
    if !has_cache {
        found.insert(0, free("keep the cache in a registry as well: [build] cache in layertop.toml"));
    }
    found
}
