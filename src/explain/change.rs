//! Whether a step itself is what it was: its text, its surroundings, its files.

use std::collections::BTreeMap;

use super::files;
use crate::event::Text;
use crate::event::fingerprint::{Fingerprint, Gap, Input, Origin, Step, StepKind, Variable};
use crate::event::reason::{
    Cause, Evidence, Fact, LineDifference, ReasonGrade, Uncompared, VariableChange, VariableDifference,
};

/// Lines of a heredoc's difference that are told.
const MOST_LINES: usize = 20;

/// What is another about a step.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) grade: ReasonGrade,
    pub(super) cause: Cause,
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
    /// What is known is the same; what is not known.
    Alike(Uncompared),
    /// Something is another.
    Changed(Box<Change>),
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
        return Own::Alike(if keys_differ { Uncompared::SecretValue } else { Uncompared::OtherVersion });
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
    let secret = |name: &&Text| VariableDifference {
        name: (*name).clone(),
        change: VariableChange::Value,
        secret: true,
        old: None,
        new: None,
    };
    let (cause, evidence) = match names.first() {
        Some(first) => (
            Cause::ArgChanged { variable: secret(first) },
            names.iter().map(|name| Fact::Variable(secret(name)).into()).collect(),
        ),
        None if step.keyed => (Cause::MaskedChanged, vec![Fact::OnlyMasked.into()]),
        None => (Cause::FingerprintChanged, vec![Fact::FingerprintDiffers.into()]),
    };
    let variables = names.into_iter().cloned().collect();
    Change { grade: ReasonGrade::Likely, variables, ..plain(cause, evidence) }
}

/// What counts and can't be seen from here.
fn unknown_parts(step: &Step) -> Option<Uncompared> {
    if step.complete {
        return None;
    }
    Some(match step.gaps.as_slice() {
        [] => Uncompared::Files,
        gaps => Uncompared::Gaps { gaps: gaps.to_vec() },
    })
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

/// A change that nothing else explains.
pub(super) fn plain(cause: Cause, evidence: Vec<Evidence>) -> Change {
    Change { grade: ReasonGrade::Proven, cause, evidence, variables: Vec::new(), paths: Vec::new() }
}

/// A text that is another.
pub(super) fn text(old: &Text, new: &Text, line: Option<u32>) -> Change {
    let fact = Fact::Line { old: Some(old.clone()), new: Some(new.clone()), line, setting: None };
    let evidence = vec![fact.into(), Fact::LineNow { text: new.clone() }.into()];
    plain(difference(old.as_str(), new.as_str()), evidence)
}

/// The words that differ: without those that both texts begin with and end with.
fn difference(old: &str, new: &str) -> Cause {
    let (before, after): (Vec<&str>, Vec<&str>) = (old.split(' ').collect(), new.split(' ').collect());
    let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[same..], &after[same..]);
    let end = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    let words = |words: &[&str]| {
        Some(Text::clean(&words[..words.len() - end].join(" "))).filter(|words| !words.is_empty())
    };
    Cause::InstructionChanged { removed: words(before), added: words(after) }
}

fn instruction(step: &Step, old: &Step) -> Option<Change> {
    let line = Some(step.line);
    if step.instruction != old.instruction {
        return Some(text(&old.instruction, &step.instruction, line));
    }
    if step.heredocs != old.heredocs {
        let (was, is): (Vec<_>, Vec<_>) =
            (old.heredocs.iter().flatten().collect(), step.heredocs.iter().flatten().collect());
        let line = |added, text: &&Text| LineDifference { added, text: (*text).clone() };
        let gone = was.iter().filter(|line| !is.contains(line)).map(|text| line(false, text));
        let came = is.iter().filter(|line| !was.contains(line)).map(|text| line(true, text));
        let lines: Vec<LineDifference> = gone.chain(came).take(MOST_LINES).collect();
        let only = match lines.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        let evidence = lines.into_iter().map(|line| Fact::HeredocLine(line).into()).collect();
        return Some(plain(Cause::HeredocChanged { line: only }, evidence));
    }
    let value = |step: &Step, name: &Text| {
        step.settings.iter().find(|setting| setting.name == *name).map(|setting| setting.value.clone())
    };
    let names = step.settings.iter().chain(&old.settings).map(|setting| &setting.name);
    let changed: Vec<&Text> = names.filter(|name| value(step, name) != value(old, name)).collect();
    if let Some(name) = changed.first() {
        let (name, was, is) = ((*name).clone(), value(old, name), value(step, name));
        let fact = Fact::Line { old: was.clone(), new: is.clone(), line: None, setting: Some(name.clone()) };
        let cause = Cause::SettingChanged { name, old: was, new: is };
        return Some(plain(cause, vec![fact.into()]));
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
    let differences: Vec<VariableDifference> =
        names.iter().map(|name| variable(name, before.get(*name), after.get(*name))).collect();
    let origin = names.first().and_then(|name| of(name)).map(|variable| variable.origin);
    let (Some(origin), Some(variable)) = (origin, differences.first().cloned()) else {
        return order(now, step, then, old);
    };
    let cause =
        if origin == Origin::Env { Cause::EnvChanged { variable } } else { Cause::ArgChanged { variable } };
    let evidence = differences.into_iter().map(|variable| Fact::Variable(variable).into()).collect();
    Some(Change { variables: names.into_iter().cloned().collect(), ..plain(cause, evidence) })
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
    let evidence = vec![
        Fact::VariablesWere { names: was }.into(),
        Fact::VariablesAre { names: is }.into(),
        Fact::OrderCounts.into(),
    ];
    Some(plain(Cause::VariableOrderChanged, evidence))
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
        let cause = if found.is_empty() { Cause::AttributesChanged } else { files::cause(&found) };
        let mut evidence = files::evidence(&found);
        evidence.push(Fact::FirstSightOnly.into());
        return Some(Change {
            grade: ReasonGrade::Likely,
            paths: found.into_iter().map(|one| one.path).collect(),
            ..plain(cause, evidence)
        });
    }
    None
}

/// How a variable differs; of a secret without its values.
fn variable(name: &Text, was: Option<&Variable>, is: Option<&Variable>) -> VariableDifference {
    let secret = was.is_some_and(|was| was.secret) || is.is_some_and(|is| is.secret);
    let value = |variable: Option<&Variable>| variable.and_then(|v| v.value.clone()).filter(|_| !secret);
    let change = match (was, is) {
        (Some(_), None) => VariableChange::Removed,
        (None, Some(_)) => VariableChange::Added,
        _ => VariableChange::Value,
    };
    VariableDifference { name: name.clone(), change, secret, old: value(was), new: value(is) }
}

fn sets(now: &Fingerprint, step: &Step, then: &Fingerprint, old: &Step) -> Option<Change> {
    let of = |step: &Step| -> Vec<Option<u32>> {
        let sources = step.sources.iter().map(|source| source.set);
        sources.chain(step.mounts.iter().map(|mount| mount.set)).collect()
    };
    let mut all = Vec::new();
    let mut evidence: Vec<Evidence> = Vec::new();
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
            evidence.push(Fact::FilesUnread { pattern: new.pattern.clone() }.into());
        }
        if let Some(found) = files::differences((now, new), (then, old)) {
            // By other rules a hash may differ where nothing else does.
            changed |= now.rules == then.rules || !found.is_empty();
            all.extend(found);
        } else {
            changed |= now.rules == then.rules;
            let set = Fact::FileSet {
                pattern: new.pattern.clone(),
                old_count: old.count,
                count: new.count,
                old_bytes: old.bytes,
                bytes: new.bytes,
            };
            evidence.push(set.into());
        }
    }
    if !changed {
        return None;
    }
    let cause = files::cause(&all);
    let mut told = files::evidence(&all);
    told.extend(evidence);
    Some(Change { grade, paths: all.into_iter().map(|one| one.path).collect(), ..plain(cause, told) })
}
