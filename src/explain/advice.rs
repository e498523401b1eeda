//! What would have avoided a miss, with the file and the line that it is about.

use super::judge::Here;
use super::past::base;
use crate::event::fingerprint::{Input, StepKind};
use crate::event::reason::{Advice, Fact, FileChange, Reason, ReasonKind};
use crate::event::{Digest, Text};
use crate::model::Model;

/// Files that mostly do not belong into an image, by a part of their path.
const STRAY: [&str; 12] = [
    ".git/",
    "__pycache__/",
    ".pyc",
    ".log",
    ".swp",
    ".DS_Store",
    "node_modules/",
    ".idea/",
    ".vscode/",
    ".tmp",
    "~",
    ".pytest_cache/",
];

/// Names of files that say which packages are installed.
const LISTS: [&str; 14] = [
    "requirements",
    "pyproject.toml",
    "package.json",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "Cargo.toml",
    "Cargo.lock",
    "go.mod",
    "go.sum",
    "Gemfile",
    "Pipfile",
    "environment.yml",
    "composer.json",
];

/// Commands that install packages, and where they keep what they have fetched.
const INSTALLERS: [(&str, &str); 8] = [
    ("pip install", "/root/.cache/pip"),
    ("uv pip", "/root/.cache/uv"),
    ("conda install", "/opt/conda/pkgs"),
    ("npm ", "/root/.npm"),
    ("yarn ", "/usr/local/share/.cache/yarn"),
    ("cargo ", "/usr/local/cargo/registry"),
    ("go build", "/root/.cache/go-build"),
    ("apt-get install", "/var/cache/apt"),
];

/// Advice on a root cause; on what follows from one there is none.
pub(super) fn of(model: &Model, here: &Here<'_>, reason: &Reason) -> Vec<Advice> {
    if !reason.root {
        return behind(dockerfile(model).as_ref(), here, reason);
    }
    let file = dockerfile(model);
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

/// The Dockerfile, as it lies relative to where the build was started, where that is known.
fn dockerfile(model: &Model) -> Option<Text> {
    let path = model.fingerprint()?.dockerfile.as_ref()?;
    // Where it was found by its default name the folder and the path within it are put together so.
    Some(path.as_str().rsplit_once("/./").map_or_else(|| path.clone(), |(_, within)| Text::clean(within)))
}

/// A command that fetches packages fetches fewer of them with a cache of its own.
fn behind(file: Option<&Text>, here: &Here<'_>, reason: &Reason) -> Vec<Advice> {
    let Some((_, step)) = here.print.filter(|(_, step)| step.kind == StepKind::Run) else {
        return Vec::new();
    };
    let text = step.instruction.as_str();
    if reason.kind != ReasonKind::ParentMissed || text.contains("--mount=type=cache") {
        return Vec::new();
    }
    let found = INSTALLERS.iter().find(|(command, _)| text.contains(command));
    let advice = |(command, folder): &(&str, &str)| Advice {
        text: Text::clean(&format!(
            "keep what `{}` fetches from build to build: RUN --mount=type=cache,target={folder} …",
            command.trim()
        )),
        file: file.cloned(),
        line: Some(step.line),
    };
    found.map(advice).into_iter().collect()
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
    let stray = paths.iter().find_map(|(path, _)| {
        STRAY.iter().find(|part| path.as_str().contains(*part)).map(|part| (path, part))
    });
    if let Some((path, part)) = stray {
        let ignore = model.fingerprint().and_then(|print| print.contexts.first()?.ignore.as_ref());
        let file = ignore.map_or_else(|| ".dockerignore".into(), |ignore| ignore.file.clone());
        // Patterns are rooted in the context.
        let pattern = match part.strip_suffix('/') {
            Some(folder) => format!("**/{folder}"),
            None if part.starts_with('.') => format!("**/*{part}"),
            None => format!("**/*{part}"),
        };
        found.push(Advice {
            text: Text::clean(&format!("keep {path} out of the context: add the line `{pattern}`")),
            file: Some(file),
            line: None,
        });
    }
    if let Some((path, _)) = paths.iter().find(|(_, change)| *change == FileChange::Mode) {
        let chmod = "set the mode in the Dockerfile, so that the context's does not count: COPY --chmod=…";
        found.push(place(format!("{chmod} (for {path})")));
    }
    found.extend(order(model, here, &paths, place));
    found
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
    let listed = |path: &Text| {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        LISTS.iter().any(|list| name.starts_with(list))
    };
    let installs = |known: &&crate::event::fingerprint::Step| {
        known.kind == StepKind::Run
            && INSTALLERS.iter().any(|(command, _)| known.instruction.as_str().contains(command))
    };
    let install = stage.steps.get(own + 1..)?.iter().find(installs)?;
    if paths.is_empty() || paths.iter().any(|(path, _)| listed(path)) {
        return None;
    }
    // Who names a single file wants it just there.
    let folder = |path: &str| path.ends_with(['/', '*', '.']) || !path.contains('.');
    let set =
        step.sources.iter().filter(|source| folder(source.path.as_str())).find_map(|source| source.set)?;
    let set = model.fingerprint()?.sets.get(set as usize)?;
    let has_list = model.fingerprint()?.files(set).find(|(path, _)| listed(&Text::clean(path)));
    Some(match has_list {
        Some((path, _)) => {
            place(format!("split the COPY: copy {path} before line {}, and the rest behind it", install.line))
        }
        None => place(format!(
            "move this COPY behind line {}, which does not need to run again for it",
            install.line
        )),
    })
}

/// The line of the `FROM`, with the digest that the tag pointed at.
fn pin(model: &Model, fact: &Fact, file: Option<&Text>) -> Option<Advice> {
    let Fact::Base { image, new, .. } = fact else { return None };
    let line = model.fingerprint().and_then(|print| {
        let mut steps = print.stages.iter().flat_map(|stage| &stage.steps);
        let names = |text: &str| base(text).is_some_and(|(known, _)| known == image.as_str());
        let by_text = steps.find(|step| {
            step.kind == crate::event::fingerprint::StepKind::From && names(step.instruction.as_str())
        });
        let uses = |stage: &&crate::event::fingerprint::Stage| stage.base == Input::Image(image.clone());
        by_text.or_else(|| print.stages.iter().find(uses)?.steps.first()).map(|step| step.line)
    });
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
