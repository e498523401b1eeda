//! Evidence in words, each on one line.

use super::{Tense, modes, rebuilt, step};
use crate::event::Text;
use crate::event::amount::{bytes, bytes_apart};
use crate::event::fingerprint::Gap;
use crate::event::reason::{
    Fact, FileChange, GcLimit, LineDifference, Uncompared, VariableChange, VariableDifference,
};

/// A piece of evidence as a line.
pub fn text(fact: &Fact, tense: Tense) -> String {
    // A test shows that each fact has its words.
    files(fact)
        .or_else(|| instruction(fact))
        .or_else(|| registry(fact))
        .or_else(|| records(fact))
        .or_else(|| other_builds(fact))
        .or_else(|| other_steps(fact, tense))
        .unwrap_or_default()
}

/// Differences of files.
fn files(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::File { path, change, from, old_bytes, bytes, old_mode, mode } => match change {
            FileChange::Mode => format!("{path}: mode only{}", modes(*old_mode, *mode)),
            FileChange::Renamed => renamed(path, from.as_ref()),
            change => format!("{path}: {}{}", change.word(), sizes(*old_bytes, *bytes)),
        },
        Fact::FileLine(changed) => format!("  {}", line(changed)),
        Fact::MoreFiles { count } => format!("and {count} more"),
        Fact::FileSet { pattern, old_count, count, old_bytes, bytes } => {
            let (before, after) = bytes_apart(*old_bytes, *bytes);
            format!(
                "{pattern} is another set of files: {old_count} entries and {before} before, {count} entries and {after} now; \
                 they are too many to be listed"
            )
        }
        Fact::FilesUnread { pattern } => format!("not all of {pattern} could be read"),
        Fact::FilesUnseen { trigger } => {
            let why = if *trigger {
                "it is an instruction of the base image (ONBUILD), which the Dockerfile does not have"
            } else {
                "the context was not looked at"
            };
            format!("which files these are is not known: {why}")
        }
        Fact::FirstSightOnly => {
            "BuildKit notices this of files that it sees for the first time only".to_owned()
        }
        _ => return None,
    })
}

/// Differences of an instruction and its surroundings, and what could not be compared.
fn instruction(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::Line { old, new, setting: Some(name), .. } => setting(name, old.as_ref(), new.as_ref()),
        Fact::Line { old: Some(old), new: Some(_), .. } => format!("was: {old}"),
        Fact::Line { old: Some(old), new: None, .. } => format!("- {old}"),
        Fact::Line { old: None, new, .. } => format!("+ {}", new.as_ref().map_or("", Text::as_str)),
        Fact::LineNow { text } => format!("is:  {text}"),
        Fact::HeredocLine(changed) => line(changed),
        Fact::Variable(changed) => variable(changed),
        Fact::VariablesWere { names } => format!("was: {}", list(names)),
        Fact::VariablesAre { names } => format!("is:  {}", list(names)),
        Fact::OrderCounts => "the order of variables counts for BuildKit".to_owned(),
        Fact::OnlyMasked => "it reads as it did, but for what is masked in it".to_owned(),
        Fact::FingerprintDiffers => "its fingerprint is another; which part of it is not known".to_owned(),
        Fact::NotCompared { what } => format!("not compared: {}", uncompared(what)),
        Fact::SecretIgnored { id } => {
            let id = id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
            format!("the value of its secret{id} is no reason: BuildKit does not look at it")
        }
        Fact::StartedWith { option } => format!("the build was started with {option}"),
        _ => return None,
    })
}

/// Caches and images in registries, and addresses.
fn registry(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::CacheMissing { reference } => {
            format!("the registry has no {reference}: never exported, deleted, or another name")
        }
        Fact::NoCacheYet { reference } => format!("there is no cache at {reference} yet"),
        Fact::ConfigTooLarge { bytes, limit } => {
            format!("its config has {bytes} B, and BuildKit imports {limit} B at most")
        }
        Fact::ImportFailed { error } => format!("the import failed: {error}"),
        Fact::NotInCache { reference } => {
            format!("the cache at {reference} was imported and does not hold it")
        }
        Fact::NotUsed { reference, blob } => {
            format!("the cache at {reference} holds {blob}, and it was not used")
        }
        Fact::NothingInCache { reference } => {
            format!("the cache at {reference} was imported, and had nothing for it")
        }
        Fact::Base { image, old, new } => format!("{image} pointed at {old} and points at {new}"),
        Fact::AskedEachTime { address } => {
            format!("the builder asks {address} at each build, and takes what it finds there")
        }
        Fact::AddressUnseen => "what is there can't be seen from here; all else is as it was".to_owned(),
        _ => return None,
    })
}

/// What the builder holds.
fn records(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::RecordsUnknown { error } => {
            let why = error.as_ref().map_or("they were not listed", Text::as_str);
            format!("what the builder held before the build is not known: {why}")
        }
        Fact::NoResults => "the builder had no result of any step before this build".to_owned(),
        Fact::RecordsGone { records } => {
            format!("the builder had its result, the record {}, and has it no longer", list(records))
        }
        Fact::RecordsPartlyGone { gone, left } => {
            format!("of its records {} are gone and {} are there", list(gone), list(left))
        }
        Fact::RecordsThere { records } => {
            format!("the builder still has the record {} of this instruction", list(records))
        }
        Fact::RecordUnclear => {
            "the builder has a record of this instruction; whether it is its result is not known".to_owned()
        }
        Fact::NoRecord => "the builder has no record of this instruction".to_owned(),
        Fact::HadNoRecord => "the builder had no record of this instruction".to_owned(),
        Fact::ForeignRecord => {
            "the builder has a record of this instruction, from a build that was not recorded".to_owned()
        }
        Fact::ResultThere => {
            "the builder still has its earlier result, and all else is as it was: so what it takes is another"
                .to_owned()
        }
        Fact::Emptied => "nothing at all is left: the builder was pruned, or made anew".to_owned(),
        Fact::GarbageCollection { node, rule, limit } => {
            format!("rule {rule} of the garbage collection of {node} {}", gc_limit(limit))
        }
        _ => return None,
    })
}

/// What earlier builds were.
fn other_builds(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::ComparedWith { build } => format!("compared with the build {build}"),
        Fact::NothingDiffers { build } => {
            format!("nothing that is known of it is another than in the build {build}")
        }
        Fact::MadeOf { last, build } => {
            format!("the build {last} was made of something else, and this one of what the build {build} was")
        }
        Fact::NoEarlierBuild => "no earlier build of it is known here".to_owned(),
        Fact::HadResult { build } => format!("the build {build} had it"),
        Fact::PulledBefore { build } => format!("they were fetched for the build {build} too"),
        Fact::NeverPulled => {
            "no earlier build here has fetched them: what was built on them was cached".to_owned()
        }
        Fact::BuiltFor { build, platform, wanted } => {
            let wanted = wanted.as_ref().map_or("this platform", |wanted| wanted.as_str());
            format!("the build {build} was built for {platform}, and none for {wanted}")
        }
        Fact::MadeOnBuilder { build, old, new } => {
            let name = |builder: &Option<Text>| {
                builder.as_ref().map_or("the builder that was not named".to_owned(), Text::to_string)
            };
            format!("the build {build} was made on {}; no build of it on {} is known", name(old), name(new))
        }
        Fact::MadeOnNode { build, node } => format!("the build {build} was made on {node}"),
        _ => return None,
    })
}

/// What other steps of the build are.
fn other_steps(fact: &Fact, tense: Tense) -> Option<String> {
    Some(match fact {
        Fact::Follows { step: own, root: None, instruction } => {
            format!("{} {}: {instruction}", step(own), rebuilt(tense))
        }
        // What lies between is said to lie there, or it would look like another number for the same step.
        Fact::Follows { step: own, root: Some(root), instruction } => {
            format!("it is built on {}, which follows from {} too: {instruction}", step(own), step(root))
        }
        Fact::CachedItself { index } => {
            format!("step {index} itself was cached: it had been built like this before")
        }
        Fact::OthersCached => {
            "other steps of this build were cached, so something like it was built before".to_owned()
        }
        Fact::PlatformCached { platform } => format!("{platform} was cached in this build"),
        _ => return None,
    })
}

fn uncompared(what: &Uncompared) -> String {
    let gap = |gap: &Gap| match gap {
        Gap::BaseVariable => "a variable that the base image may set",
        Gap::BuildPlatform => "the builder's own platform",
        Gap::Remote => "what is behind an address",
        Gap::Unreadable => "an instruction that could not be read",
        Gap::MissingInput => "a stage, image or context that is not there",
        Gap::Files => "files that could not be read",
        Gap::NoFiles => "no file fits",
        Gap::Trigger => "what the base image leaves to run, but for its text",
    };
    match what {
        Uncompared::Gaps { gaps } => gaps.iter().map(gap).collect::<Vec<_>>().join(", "),
        Uncompared::Files => "not all of its files could be read".to_owned(),
        Uncompared::SecretValue => {
            "a secret value is in its environment, and it can't be compared with that of the earlier build"
                .to_owned()
        }
        Uncompared::OtherVersion => {
            "the earlier build was looked at by another version of layertop".to_owned()
        }
        Uncompared::NotLookedAt => "what it was made from was not looked at".to_owned(),
    }
}

fn gc_limit(limit: &GcLimit) -> String {
    match limit {
        GcLimit::Used { keep, bytes: there, build: Some(build) } => {
            let (keep, there) = bytes_apart(*keep, *there);
            format!("keeps {keep}, and there were {there} after the build {build}")
        }
        GcLimit::Used { keep, bytes: there, build: None } => {
            format!("keeps {}, and there were {} before this build", bytes(*keep), bytes(*there))
        }
        GcLimit::Free { wanted, free } => {
            format!("wants {} to be free on the disk, and there are {}", bytes(*wanted), bytes(*free))
        }
    }
}

fn list(texts: &[Text]) -> String {
    texts.iter().map(Text::as_str).collect::<Vec<_>>().join(", ")
}

/// `, 9 B before, 26 B now`; nothing where no size is known.
fn sizes(old: Option<u64>, new: Option<u64>) -> String {
    match (old, new) {
        (Some(old), Some(new)) if old != new => {
            let (old, new) = bytes_apart(old, new);
            format!(", {old} before, {new} now")
        }
        (_, Some(size)) | (Some(size), None) => format!(", {}", bytes(size)),
        (None, None) => String::new(),
    }
}

/// `old.txt was renamed to new.txt`
pub(super) fn renamed(path: &Text, from: Option<&Text>) -> String {
    format!("{} was renamed to {path}", from.map_or("a file", Text::as_str))
}

/// `+requests==2.32.0`
pub(super) fn line(line: &LineDifference) -> String {
    format!("{}{}", if line.added { '+' } else { '-' }, line.text)
}

/// `USER changed: not set → app`
pub(super) fn setting(name: &Text, old: Option<&Text>, new: Option<&Text>) -> String {
    let shown = |value: Option<&Text>| value.map_or("not set".to_owned(), Text::to_string);
    format!("{name} changed: {} → {}", shown(old), shown(new))
}

/// `VERSION changed: 1 → 2`; of a secret the name alone.
pub(super) fn variable(variable: &VariableDifference) -> String {
    let VariableDifference { name, change, secret, old, new } = variable;
    let shown = |value: &Option<Text>| match value.as_ref().map(Text::as_str) {
        Some("") | None => "empty".to_owned(),
        Some(value) => value.to_owned(),
    };
    match (change, secret) {
        (VariableChange::Removed, _) => format!("{name} is no longer set"),
        (VariableChange::Added, true) => format!("{name} is new (a secret, not shown)"),
        (VariableChange::Added, false) => {
            format!("{name} is new: {}", new.as_ref().map_or("", Text::as_str))
        }
        (VariableChange::Value, true) => format!("{name} changed (a secret, not shown)"),
        (VariableChange::Value, false) => format!("{name} changed: {} → {}", shown(old), shown(new)),
    }
}
