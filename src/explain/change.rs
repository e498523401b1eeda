//! Whether a step itself is what it was: its text, its surroundings, its files.

use std::collections::BTreeMap;

use super::files;
use crate::event::Text;
use crate::event::amount::bytes_apart;
use crate::event::fingerprint::{Fingerprint, Gap, Input, Origin, Step, StepKind, Variable};
use crate::event::reason::{Evidence, Fact, ReasonGrade, ReasonKind};

/// Lines of a heredoc's difference that are told.
const MOST_LINES: usize = 20;

/// Characters of an instruction's difference that a clause may have.
const LONGEST_CLAUSE: usize = 60;

/// What is another about a step.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) kind: ReasonKind,
    pub(super) grade: ReasonGrade,
    pub(super) because: String,
    pub(super) evidence: Vec<Evidence>,
    /// Names of the variables whose values are others.
    pub(super) variables: Vec<Text>,
    /// Paths of the files that are others.
    pub(super) paths: Vec<String>,
}

/// Whether a step is what it was.
#[derive(Debug, Clone)]
pub(super) enum Own {
    /// All that counts is the same.
    Same,
    /// What is known is the same; what is not known, in words.
    Alike(String),
    /// Something is another.
    Changed(Box<Change>),
}

/// A sentence without more to it.
pub(super) fn said(text: impl AsRef<str>) -> Evidence {
    Evidence { text: Text::clean(text.as_ref()), fact: None }
}

/// Compares a step with what it was, with the fingerprints that they are of.
pub(super) fn compare((now, step): (&Fingerprint, &Step), (then, old): (&Fingerprint, &Step)) -> Own {
    let keys_differ = (step.keyed || old.keyed) && now.key != then.key;
    let comparable = now.rules == then.rules && !keys_differ;
    if comparable && step.hash == old.hash {
        return match unknown_parts(step) {
            None => Own::Same,
            Some(what) => Own::Alike(what),
        };
    }
    let mut parts = Vec::new();
    parts.extend(instruction(step, old));
    parts.extend(variables(now, step, then, old));
    parts.extend(sets(now, step, then, old));
    let mut parts = parts.into_iter();
    let Some(mut first) = parts.next() else {
        if comparable {
            return Own::Changed(Box::new(hidden(now, step, then)));
        }
        let why = if keys_differ {
            "a secret value is in its environment, and it can't be compared with that of the earlier build"
        } else {
            "the earlier build was looked at by another version of layertop"
        };
        return Own::Alike(why.to_owned());
    };
    for more in parts {
        first.evidence.extend(more.evidence);
        first.variables.extend(more.variables);
        first.paths.extend(more.paths);
    }
    if now.rules != then.rules {
        first.grade = first.grade.max(ReasonGrade::Likely);
    }
    Own::Changed(Box::new(first))
}

/// A step that reads as it did and is another: by a secret that is in it, which is masked wherever it is shown.
fn hidden(now: &Fingerprint, step: &Step, then: &Fingerprint) -> Change {
    let changed = |variable: &&Variable| {
        let mut before = then.variables.iter().filter(|old| old.name == variable.name).peekable();
        let given = variable.secret && variable.origin != Origin::Env;
        given && before.peek().is_some() && !before.any(|old| old.hash == variable.hash)
    };
    let mut names: Vec<&Text> =
        now.variables.iter().filter(changed).filter(|_| step.keyed).map(|variable| &variable.name).collect();
    names.sort();
    names.dedup();
    let told = |name: &&Text| {
        let fact = Fact::Variable { name: (*name).clone(), secret: true, old: None, new: None };
        Evidence { text: Text::clean(&format!("{name} changed (a secret, not shown)")), fact: Some(fact) }
    };
    let (kind, because, evidence) = match names.first() {
        Some(first) => (
            ReasonKind::ArgChanged,
            format!("build argument {first} changed (a secret, not shown)"),
            names.iter().map(told).collect(),
        ),
        None if step.keyed => (
            ReasonKind::InstructionChanged,
            "a secret in its instruction changed (not shown)".to_owned(),
            vec![said("it reads as it did, but for what is masked in it")],
        ),
        None => (
            ReasonKind::InstructionChanged,
            "what its instruction does changed".to_owned(),
            vec![said("its fingerprint is another; which part of it is not known")],
        ),
    };
    let variables = names.into_iter().cloned().collect();
    Change { grade: ReasonGrade::Likely, variables, ..plain(kind, because, evidence) }
}

/// What counts and can't be seen from here, in words.
fn unknown_parts(step: &Step) -> Option<String> {
    if step.complete {
        return None;
    }
    let word = |gap: &Gap| match gap {
        Gap::BaseVariable => "a variable that the base image may set",
        Gap::BuildPlatform => "the builder's own platform",
        Gap::Remote => "what is behind an address",
        Gap::Unreadable => "an instruction that could not be read",
        Gap::MissingInput => "a stage, image or context that is not there",
        Gap::Files => "files that could not be read",
        Gap::NoFiles => "no file fits",
        Gap::Trigger => "what the base image leaves to run, but for its text",
    };
    let words: Vec<&str> = step.gaps.iter().map(word).collect();
    Some(if words.is_empty() { "not all of its files could be read".to_owned() } else { words.join(", ") })
}

/// Whether a step takes something that the builder asks an address for, which no checksum pins.
pub(super) fn address(step: &Step) -> Option<&Text> {
    let remote = |source: &crate::event::fingerprint::Source| matches!(source.from, Some(Input::Remote(_)));
    let found = step.sources.iter().find(|source| remote(source))?;
    (step.kind == StepKind::Add && step.gaps.contains(&Gap::Remote)).then_some(&found.path)
}

/// Whether a step takes files by an instruction that the base image leaves to run: which these are is not known.
pub(super) fn is_trigger(step: &Step) -> bool {
    step.gaps.contains(&Gap::Trigger) && matches!(step.kind, StepKind::Copy | StepKind::Add)
}

/// The address of a step that is what it was but for this address, or the checksum of what is there: `BuildKit` goes by the content and
/// the file's name, which may be the same (seen on the test engine).
pub(super) fn repinned<'s>(step: &'s Step, old: &Step) -> Option<&'s Text> {
    let remote = |source: &&crate::event::fingerprint::Source| matches!(source.from, Some(Input::Remote(_)));
    let found = step.sources.iter().find(remote)?;
    let rest = |step: &Step| -> Vec<String> {
        let words = step.instruction.as_str().split_whitespace();
        let words = words.filter(|word| !word.starts_with("--checksum="));
        let short = |word: &str| match word.split_once("://") {
            Some((_, address)) => address.rsplit('/').next().unwrap_or_default().to_owned(),
            None => word.to_owned(),
        };
        words.map(short).collect()
    };
    let open = step.instruction != old.instruction || step.keyed;
    (open && rest(step) == rest(old)).then_some(&found.path)
}

fn plain(kind: ReasonKind, because: String, evidence: Vec<Evidence>) -> Change {
    Change { kind, grade: ReasonGrade::Proven, because, evidence, variables: Vec::new(), paths: Vec::new() }
}

/// A text that is another.
pub(super) fn text(old: &Text, new: &Text, line: Option<u32>) -> Change {
    let because = match difference(old.as_str(), new.as_str()) {
        Some(words) => format!("its instruction changed: {words}"),
        None => "its instruction changed".to_owned(),
    };
    let fact = Fact::Line { old: Some(old.clone()), new: Some(new.clone()), line };
    let told = format!("was: {old}");
    let evidence = vec![Evidence { text: Text::clean(&told), fact: Some(fact) }, said(format!("is:  {new}"))];
    plain(ReasonKind::InstructionChanged, because, evidence)
}

/// `make → make all`: the words that differ, where these are few.
fn difference(old: &str, new: &str) -> Option<String> {
    let (before, after): (Vec<&str>, Vec<&str>) = (old.split(' ').collect(), new.split(' ').collect());
    let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[same..], &after[same..]);
    let end = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    let (before, after) = (before[..before.len() - end].join(" "), after[..after.len() - end].join(" "));
    let words = match (before.as_str(), after.as_str()) {
        ("", "") => "white space".to_owned(),
        ("", added) => format!("`{added}` is new"),
        (removed, "") => format!("`{removed}` is gone"),
        (removed, added) => format!("`{removed}` → `{added}`"),
    };
    (words.chars().count() <= LONGEST_CLAUSE).then_some(words)
}

fn instruction(step: &Step, old: &Step) -> Option<Change> {
    let line = Some(step.line);
    if step.instruction != old.instruction {
        return Some(text(&old.instruction, &step.instruction, line));
    }
    if step.heredocs != old.heredocs {
        let (was, is): (Vec<_>, Vec<_>) =
            (old.heredocs.iter().flatten().collect(), step.heredocs.iter().flatten().collect());
        let gone = was.iter().filter(|line| !is.contains(line)).map(|line| format!("-{line}"));
        let came = is.iter().filter(|line| !was.contains(line)).map(|line| format!("+{line}"));
        let lines: Vec<String> = gone.chain(came).take(MOST_LINES).collect();
        let because = match lines.as_slice() {
            [one] if one.chars().count() <= LONGEST_CLAUSE => format!("its heredoc changed: {one}"),
            _ => "its heredoc changed".to_owned(),
        };
        return Some(plain(ReasonKind::InstructionChanged, because, lines.iter().map(said).collect()));
    }
    let value = |step: &Step, name: &Text| {
        step.settings.iter().find(|setting| setting.name == *name).map(|setting| setting.value.clone())
    };
    let names = step.settings.iter().chain(&old.settings).map(|setting| &setting.name);
    let changed: Vec<&Text> = names.filter(|name| value(step, name) != value(old, name)).collect();
    if let Some(name) = changed.first() {
        let (was, is) = (value(old, name), value(step, name));
        let shown = |value: &Option<Text>| value.as_ref().map_or("not set".to_owned(), ToString::to_string);
        let because = format!("{name} changed: {} → {}", shown(&was), shown(&is));
        let fact = Fact::Line { old: was, new: is, line: None };
        let evidence = vec![Evidence { text: Text::clean(&because), fact: Some(fact) }];
        return Some(plain(ReasonKind::InstructionChanged, because, evidence));
    }
    let mounts = |step: &Step| step.mounts.iter().map(|mount| mount.text.clone()).collect::<Vec<_>>();
    let from = |step: &Step| step.mounts.iter().map(|mount| mount.from.clone()).collect::<Vec<_>>();
    if mounts(step) != mounts(old) || from(step).len() != from(old).len() {
        let shown = |step: &Step| {
            mounts(step).iter().map(|text| format!("--mount={text}")).collect::<Vec<_>>().join(" ")
        };
        return Some(text(&Text::clean(&shown(old)), &Text::clean(&shown(step)), line));
    }
    None
}

fn variables(now: &Fingerprint, step: &Step, then: &Fingerprint, old: &Step) -> Option<Change> {
    let table = |fingerprint: &Fingerprint, step: &Step| -> BTreeMap<Text, Variable> {
        let all = step.env.iter().filter_map(|at| fingerprint.variables.get(*at as usize));
        all.map(|variable| (variable.name.clone(), variable.clone())).collect()
    };
    let (before, after) = (table(then, old), table(now, step));
    let same = |was: Option<&Variable>, is: Option<&Variable>| match (was, is) {
        // Hashes of secrets say nothing under another key.
        (Some(was), Some(is)) if was.secret && is.secret && now.key != then.key => true,
        (Some(was), Some(is)) => was.hash == is.hash,
        (was, is) => was.is_none() && is.is_none(),
    };
    let mut names: Vec<&Text> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| !same(before.get(*name), after.get(*name)));
    let of = |name: &Text| after.get(name).or_else(|| before.get(name));
    // Of an `ENV` that holds an `ARG` the argument is the cause.
    names.sort_by_key(|name| of(name).is_some_and(|variable| variable.origin == Origin::Env));
    let Some(first) = names.first().and_then(|name| of(name)) else { return order(now, step, then, old) };
    let (kind, what) = if first.origin == Origin::Env {
        (ReasonKind::InstructionChanged, "ENV")
    } else {
        (ReasonKind::ArgChanged, "build argument")
    };
    let told: Vec<Evidence> =
        names.iter().map(|name| variable(name, before.get(*name), after.get(*name))).collect();
    let clause = told.first().map(|evidence| evidence.text.to_string()).unwrap_or_default();
    let change = plain(kind, format!("{what} {clause}"), told);
    Some(Change { variables: names.into_iter().cloned().collect(), ..change })
}

/// The order in which variables were set last counts too.
fn order(now: &Fingerprint, step: &Step, then: &Fingerprint, old: &Step) -> Option<Change> {
    let names = |fingerprint: &Fingerprint, step: &Step| -> Vec<Text> {
        let all = step.env.iter().filter_map(|at| fingerprint.variables.get(*at as usize));
        all.map(|variable| variable.name.clone()).collect()
    };
    let (was, is) = (names(then, old), names(now, step));
    if was == is {
        return None;
    }
    let shown = |names: &[Text]| names.iter().map(Text::as_str).collect::<Vec<_>>().join(", ");
    let evidence = vec![
        said(format!("was: {}", shown(&was))),
        said(format!("is:  {}", shown(&is))),
        said("the order of variables counts for BuildKit"),
    ];
    Some(plain(ReasonKind::InstructionChanged, "the order of its variables changed".to_owned(), evidence))
}

/// What counts only where the builder sees it for the first time: modes of folders and extended attributes.
pub(super) fn attributes(
    (now, step): (&Fingerprint, &Step),
    (then, old): (&Fingerprint, &Step),
) -> Option<Change> {
    let of = |step: &Step| step.sources.iter().map(|source| source.set).collect::<Vec<_>>();
    for (new, old) in of(step).into_iter().zip(of(old)) {
        let (Some(new), Some(old)) = (new, old) else { continue };
        let (Some(new), Some(old)) = (now.sets.get(new as usize), then.sets.get(old as usize)) else {
            continue;
        };
        if new.attributes == old.attributes || now.rules != then.rules {
            continue;
        }
        let found = files::differences((now, new), (then, old)).unwrap_or_default();
        let because = if found.is_empty() {
            "modes of folders or extended attributes changed".to_owned()
        } else {
            files::clause(&found)
        };
        let mut evidence = files::evidence(&found);
        evidence.push(said("BuildKit notices this of files that it sees for the first time only"));
        return Some(Change {
            grade: ReasonGrade::Likely,
            paths: found.into_iter().map(|one| one.path).collect(),
            ..plain(ReasonKind::FilesChanged, because, evidence)
        });
    }
    None
}

/// `VERSION changed: 1 → 2`; of a secret the name alone.
fn variable(name: &Text, was: Option<&Variable>, is: Option<&Variable>) -> Evidence {
    let secret = was.is_some_and(|was| was.secret) || is.is_some_and(|is| is.secret);
    let value = |variable: Option<&Variable>| variable.and_then(|v| v.value.clone()).filter(|_| !secret);
    let (old, new) = (value(was), value(is));
    let text = match (was, is) {
        (Some(_), None) => format!("{name} is no longer set"),
        (None, Some(_)) if secret => format!("{name} is new (a secret, not shown)"),
        (None, Some(_)) => format!("{name} is new: {}", new.as_ref().map_or("", Text::as_str)),
        _ if secret => format!("{name} changed (a secret, not shown)"),
        _ => {
            let shown = |value: &Option<Text>| match value.as_ref().map(Text::as_str) {
                Some("") | None => "empty".to_owned(),
                Some(value) => value.to_owned(),
            };
            format!("{name} changed: {} → {}", shown(&old), shown(&new))
        }
    };
    let fact = Fact::Variable { name: name.clone(), secret, old, new };
    Evidence { text: Text::clean(&text), fact: Some(fact) }
}

fn sets(now: &Fingerprint, step: &Step, then: &Fingerprint, old: &Step) -> Option<Change> {
    let of = |step: &Step| -> Vec<Option<u32>> {
        let sources = step.sources.iter().map(|source| source.set);
        sources.chain(step.mounts.iter().map(|mount| mount.set)).collect()
    };
    let mut all = Vec::new();
    let mut evidence = Vec::new();
    let mut changed = false;
    let mut grade = ReasonGrade::Proven;
    for (new, old) in of(step).into_iter().zip(of(old)) {
        let (Some(new), Some(old)) = (new, old) else { continue };
        let (Some(new), Some(old)) = (now.sets.get(new as usize), then.sets.get(old as usize)) else {
            continue;
        };
        if new.hash == old.hash {
            continue;
        }
        if !new.complete || !old.complete {
            grade = ReasonGrade::Likely;
            evidence.push(said(format!("not all of {} could be read", new.pattern)));
        }
        if let Some(found) = files::differences((now, new), (then, old)) {
            // By other rules a hash may differ where nothing else does.
            changed |= now.rules == then.rules || !found.is_empty();
            all.extend(found);
        } else {
            changed |= now.rules == then.rules;
            let (before, after) = bytes_apart(old.bytes, new.bytes);
            evidence.push(said(format!(
                "{} is another set of files: {} entries and {before} before, {} entries and {after} now; they are too many \
                 to be listed",
                new.pattern, old.count, new.count
            )));
        }
    }
    if !changed {
        return None;
    }
    let because = files::clause(&all);
    let mut told = files::evidence(&all);
    told.extend(evidence);
    Some(Change {
        grade,
        paths: all.into_iter().map(|one| one.path).collect(),
        ..plain(ReasonKind::FilesChanged, because, told)
    })
}
