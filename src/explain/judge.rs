//! The judgement: one reason for each miss.

use std::cell::RefCell;
use std::collections::HashMap;

use super::align::Was;
use super::change::{self, Change, Own};
use super::earlier::{Then, is_usable};
use super::past::{self, Past, PastStep, base};
use super::{advice, cache};
use crate::event::fingerprint::{self, StepKind};
use crate::event::reason::{
    Cause, Fact, Reason, ReasonGrade, ReasonKind, StepAt, StepNumber, StepReason, Uncompared,
};
use crate::event::{Platform, Text};
use crate::model::{Model, State, Step, StepId};

/// How a build is told apart from others' in a stage.
pub(super) type Column = (Option<Text>, Option<Platform>, usize);

/// Judges every miss of a build. `pasts` are earlier builds of the same image, newest first. The advice is values; `wording` words it.
pub fn judge(model: &Model, pasts: &[Past]) -> Vec<StepReason> {
    let mut judge = Judge::new(model, pasts);
    let mut left: Vec<StepId> =
        model.stack().steps().map(|(id, _)| id).filter(|id| model.missed(*id)).collect();
    let mut order = Vec::new();
    // What a step is built on is judged before it.
    while !left.is_empty() {
        let waits = |id: &StepId| judge.inputs(*id).iter().any(|input| left.contains(input));
        let (later, ready): (Vec<_>, Vec<_>) = left.iter().copied().partition(|id| waits(id));
        if ready.is_empty() {
            order.extend(later);
            break;
        }
        order.extend(ready);
        left = later;
    }
    for id in order {
        if let Some(here) = judge.here(id) {
            let reason = judge.reason(&here);
            judge.told.insert(id, reason);
        }
    }
    let told =
        |(id, reason): (StepId, Reason)| Some(StepReason { vertex: model.digest_of(id)?.clone(), reason });
    let mut reasons: Vec<(StepId, Reason)> = judge.told.into_iter().collect();
    reasons.sort_by_key(|(id, _)| *id);
    reasons.into_iter().filter_map(told).collect()
}

pub(super) struct Judge<'a> {
    pub(super) model: &'a Model,
    pasts: Vec<&'a Past>,
    inputs: HashMap<StepId, Vec<StepId>>,
    told: HashMap<StepId, Reason>,
    pub(super) aligned: RefCell<HashMap<Column, Vec<Was>>>,
    /// Whether a step is what it was in the earlier build of this number.
    same: RefCell<HashMap<(StepId, usize), bool>>,
}

/// The step that is judged.
pub(super) struct Here<'a> {
    pub(super) id: StepId,
    pub(super) step: &'a Step,
    pub(super) platform: Option<Platform>,
    pub(super) print: Option<(&'a fingerprint::Stage, &'a fingerprint::Step)>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(model: &'a Model, pasts: &'a [Past]) -> Self {
        let inputs = model.stack().steps().map(|(id, _)| (id, inputs(model, id))).collect();
        let (told, aligned, same) = (HashMap::new(), RefCell::default(), RefCell::default());
        let pasts = pasts.iter().filter(|past| past.is_comparable(model)).collect();
        Self { model, pasts, inputs, told, aligned, same }
    }

    /// The earlier builds that can be of what is built now, newest first.
    pub(super) fn pasts(&self) -> impl Iterator<Item = &'a Past> + Clone + '_ {
        self.pasts.iter().copied()
    }

    fn inputs(&self, id: StepId) -> &[StepId] {
        self.inputs.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn here(&self, id: StepId) -> Option<Here<'a>> {
        let step = self.model.stack().step(id)?;
        let name = &step.name;
        let print = self.model.fingerprint().and_then(|fingerprint| {
            fingerprint.step(name.stage.as_ref(), name.index, name.platform.as_ref())
        });
        Some(Here { id, step, platform: past::platform(self.model, id), print })
    }

    fn at(&self, id: StepId) -> Option<StepAt> {
        let here = self.here(id)?;
        Some(StepAt {
            digest: self.model.digest_of(id)?.clone(),
            stage: here.step.name.stage.clone(),
            index: here.step.name.index,
            platform: here.platform,
        })
    }

    fn reason(&self, here: &Here<'a>) -> Reason {
        let mut reason = self.primary(here);
        if let Some(fact) = ignored_secret(here).filter(|_| reason.root) {
            reason.evidence.push(fact.into());
        }
        reason.advice = advice::of(self.model, here, &reason);
        reason
    }

    fn primary(&self, here: &Here<'a>) -> Reason {
        if here.step.name.is_from() {
            return self.pulled(here);
        }
        if let Some(reason) = self.told_so(here) {
            return reason;
        }
        let then = self.then(here, &|past| self.is_here(past, here));
        let own = then.as_ref().map(|then| self.own(here, then));
        if let Some(reason) = self.made_before(here, then.as_ref()) {
            return self.like_its_input(here, reason);
        }
        if let Some(Own::Changed(change)) = &own {
            let then = then.as_ref();
            return self.upstream_of(here, change).unwrap_or_else(|| changed(change, then));
        }
        if let Some(reason) = self.follows(here) {
            return reason;
        }
        if let Some(then) = &then {
            if let Some(change) = self.above(here, then) {
                return changed(&change, Some(then));
            }
            if let (Some(now), Some((_, new)), Some(old)) = (self.model.fingerprint(), here.print, then.print)
                && let Some(change) = change::attributes((now, new), old)
                && !cache::is_gone(self, here, then)
            {
                return changed(&change, Some(then));
            }
            let unseen = here.print.is_none_or(|(_, step)| change::is_trigger(step));
            if unseen && cache::takes_files(here) && !cache::is_gone(self, here, then) {
                return unseen_files(then, here.print.is_some());
            }
            if let Some(address) = here.print.and_then(|(_, step)| change::address(step)) {
                return uncacheable(address);
            }
        }
        let alike = match own {
            Some(Own::Alike(what)) => Some(what),
            _ => None,
        };
        self.like_its_input(here, cache::judge(self, here, then.as_ref(), alike))
    }

    /// What the build was told: to leave the cache alone.
    fn told_so(&self, here: &Here<'a>) -> Option<Reason> {
        let words: Vec<&str> = self.model.started().command.iter().map(Text::as_str).collect();
        let all = words.iter().any(|word| matches!(*word, "--no-cache" | "--no-cache=true"));
        let by_print = here.print.is_some_and(|(stage, _)| stage.no_cache);
        let filtered = here.step.name.stage.as_ref().is_some_and(|stage| filter(&words, stage.as_str()));
        if !all && !by_print && !filtered {
            return None;
        }
        let option = Text::from(if all { "--no-cache" } else { "--no-cache-filter" });
        let fact = Fact::StartedWith { option: option.clone() };
        let reason = Reason::root(ReasonGrade::Proven, Cause::NoCache { option }, [fact]);
        Some(self.like_its_input(here, reason))
    }

    /// A base image that was fetched.
    fn pulled(&self, here: &Here<'a>) -> Reason {
        let then = self.then(here, &|past| self.is_here(past, here));
        let now = base(here.step.name.instruction.as_str());
        let Some(then) = &then else { return cache::judge(self, here, None, None) };
        if let Some(change) = self.moved(here, then) {
            return changed(&change, Some(then));
        }
        let image = now.map(|(image, _)| Text::clean(image));
        let (cause, fact) = match then.step.map(|step| step.state) {
            Some(State::Miss) => {
                (Cause::BaseLost { image }, Fact::PulledBefore { build: then.past.name.clone() })
            }
            _ => (Cause::BaseFirstPulled { image }, Fact::NeverPulled),
        };
        Reason::root(ReasonGrade::Likely, cause, [fact])
    }

    /// Whether the step itself is what it was.
    pub(super) fn own(&self, here: &Here<'a>, then: &Then<'a>) -> Own {
        let name = &here.step.name;
        let line = here.print.map(|(_, step)| step.line);
        let Some(step) = then.step else {
            let fact = Fact::Line { old: None, new: Some(name.instruction.clone()), line, setting: None };
            return Own::Changed(Box::new(change::plain(Cause::InstructionAdded, vec![fact.into()])));
        };
        let own = match (self.model.fingerprint(), here.print, then.print) {
            (Some(now), Some((_, new)), Some((past, old))) if is_usable(now) && is_usable(past) => {
                change::compare((now, new), (past, old))
            }
            // What it is found again by may be written otherwise where only one of the two builds was looked at.
            _ if !then.same && step.instruction != name.instruction => {
                Own::Changed(Box::new(change::text(&step.instruction, &name.instruction, line)))
            }
            _ => Own::Alike(Uncompared::NotLookedAt),
        };
        match own {
            Own::Changed(change) if change.cause.kind() == ReasonKind::InstructionChanged => {
                Own::Changed(Box::new(self.substituted(here, step, *change)))
            }
            own if !then.removed.is_empty() && !matches!(own, Own::Changed(_)) => {
                Own::Changed(Box::new(removed(&then.removed)))
            }
            own => own,
        }
    }

    /// An instruction that is written as it was, and has other values put in.
    fn substituted(&self, here: &Here<'a>, then: &PastStep, change: Change) -> Change {
        let (Some(now), Some(old)) = (self.model.written(here.id), &then.written) else { return change };
        if now != old || !now.as_str().contains('$') || here.step.name.instruction == then.instruction {
            return change;
        }
        let names: Vec<Text> = names(now.as_str());
        let known = change.evidence.iter().find_map(|one| match &one.fact {
            Some(Fact::Variable(variable)) => Some(variable.clone()),
            _ => None,
        });
        let cause = match known {
            Some(variable) => Cause::ArgChanged { variable },
            None => Cause::ArgsSubstituted { names: names.clone() },
        };
        let variables = if change.variables.is_empty() { names } else { change.variables };
        Change { cause, variables, ..change }
    }

    /// Whether a step that changed by itself did so by the same variable as one that it is built on.
    fn upstream_of(&self, here: &Here<'a>, change: &Change) -> Option<Reason> {
        if change.variables.is_empty() {
            return None;
        }
        for input in self.inputs(here.id) {
            let Some(known) = self.told.get(input) else { continue };
            let root = known.follows.as_ref().and_then(|root| self.told_at(root)).unwrap_or(known);
            let has = |name: &Text| {
                root.evidence.iter().any(|evidence| {
                    matches!(&evidence.fact, Some(Fact::Variable(variable)) if variable.name == *name)
                })
            };
            if root.kind == change.cause.kind() && change.variables.iter().all(has) {
                let mut reason = self.follow(here, *input, known)?;
                reason.evidence.extend(change.evidence.iter().cloned());
                return Some(reason);
            }
        }
        None
    }

    /// The reason of the step at a place.
    fn told_at(&self, at: &StepAt) -> Option<&Reason> {
        let id = self.told.keys().find(|id| self.model.digest_of(**id) == Some(&at.digest))?;
        self.told.get(id)
    }

    /// Whether something that it is built on was rebuilt for being another.
    fn follows(&self, here: &Here<'a>) -> Option<Reason> {
        let inputs = self.inputs(here.id).iter();
        let mut known: Vec<(StepId, &Reason)> =
            inputs.filter_map(|id| Some((*id, self.told.get(id)?))).collect();
        // What was rebuilt without need may be another now, where the step takes files of it.
        let other_stage = |id: StepId| {
            self.model.stack().step(id).is_some_and(|step| step.name.stage != here.step.name.stage)
        };
        known.retain(|(id, reason)| {
            reason.kind.is_change() || (reason.kind == ReasonKind::NoCache && other_stage(*id))
        });
        known.sort_by_key(|(_, reason)| reason.grade);
        let (input, reason) = known.first()?;
        self.follow(here, *input, reason)
    }

    /// The step that it begins at is the one that is named; what lies between is said to lie there, or it would look like another number
    /// for the same step.
    fn follow(&self, here: &Here<'a>, input: StepId, reason: &Reason) -> Option<Reason> {
        let at = self.at(input)?;
        let root = reason.follows.clone().unwrap_or_else(|| at.clone());
        let instruction = &self.model.stack().step(input)?.name.instruction;
        let numbered = |at: &StepAt| StepNumber {
            index: at.index,
            stage: at.stage.clone().filter(|_| at.stage != here.step.name.stage),
        };
        let fact = Fact::Follows {
            step: numbered(&at),
            root: (root.digest != at.digest).then(|| numbered(&root)),
            instruction: instruction.clone(),
        };
        let cause = Cause::Follows { step: numbered(&root) };
        Some(Reason { root: false, follows: Some(root), ..Reason::root(reason.grade, cause, [fact]) })
    }

    /// A reason that is the same as that of what the step is built on: it is one cause, told at its first step.
    fn like_its_input(&self, here: &Here<'a>, reason: Reason) -> Reason {
        let alike = |id: &&StepId| self.told.get(id).is_some_and(|known| known.kind == reason.kind);
        let from = |id: StepId| self.model.stack().step(id).is_some_and(|step| step.name.is_from());
        let Some(input) = self.inputs(here.id).iter().filter(|id| !from(**id)).find(alike) else {
            return reason;
        };
        let known = self.told.get(input).and_then(|known| known.follows.clone());
        Reason { root: false, follows: known.or_else(|| self.at(*input)), ..reason }
    }

    /// A step that is not what it was last and is again what it was once: had its result of then not been lost, it would have
    /// been cached.
    fn made_before(&self, here: &Here<'a>, last: Option<&Then<'a>>) -> Option<Reason> {
        let last = last?;
        let mut pasts = self.pasts().enumerate().filter(|(_, past)| self.is_here(past, here));
        let (at, past) = pasts.find(|(at, past)| self.is_same(here.id, *at, past))?;
        if std::ptr::eq(past, last.past) {
            return None;
        }
        let then = self.find(here, at, past, here.platform.as_ref())?;
        if !cache::is_gone(self, here, &then) {
            return None;
        }
        let alike = match self.own(here, &then) {
            Own::Alike(what) => Some(what),
            _ => None,
        };
        let mut reason = cache::judge(self, here, Some(&then), alike);
        let fact = Fact::MadeOf { last: last.past.name.clone(), build: past.name.clone() };
        reason.evidence.push(fact.into());
        (reason.kind != ReasonKind::Unknown).then_some(reason)
    }

    /// Whether a step, with all that it is built on, is what it was in an earlier build.
    pub(super) fn is_same(&self, id: StepId, at: usize, past: &'a Past) -> bool {
        if let Some(known) = self.same.borrow().get(&(id, at)) {
            return *known;
        }
        // Whoever asks for it meanwhile goes in a circle.
        self.same.borrow_mut().insert((id, at), false);
        let is_same = self.here(id).is_some_and(|here| {
            let Some(was) = self.find(&here, at, past, here.platform.as_ref()) else { return false };
            let own = if here.step.name.is_from() {
                self.moved(&here, &was).is_none()
            } else {
                was.print.is_some() && !matches!(self.own(&here, &was), Own::Changed(_))
            };
            own && self.inputs(id).iter().all(|input| self.is_same(*input, at, past))
        });
        self.same.borrow_mut().insert((id, at), is_same);
        is_same
    }

    /// What is another about what the step is built on, though that was cached: it had been built so before.
    fn above(&self, here: &Here<'a>, then: &Then<'a>) -> Option<Change> {
        let mut queue: Vec<StepId> = self.inputs(here.id).to_vec();
        let mut seen = queue.clone();
        while let Some(id) = (!queue.is_empty()).then(|| queue.remove(0)) {
            let Some(input) = self.here(id) else { continue };
            let at = self.pasts().position(|past| std::ptr::eq(past, then.past))?;
            if let Some(was) = self.find(&input, at, then.past, input.platform.as_ref()) {
                let change = if input.step.name.is_from() {
                    self.moved(&input, &was)
                } else {
                    match self.own(&input, &was) {
                        Own::Changed(change) => Some(*change),
                        _ => None,
                    }
                };
                if let Some(mut change) = change {
                    if !input.step.name.is_from() {
                        let index = input.step.name.index;
                        change.grade = change.grade.max(ReasonGrade::Likely);
                        change.evidence.push(Fact::CachedItself { index }.into());
                    }
                    return Some(change);
                }
            }
            let more = self.inputs(id).iter().filter(|input| !seen.contains(input)).copied();
            let more: Vec<StepId> = more.collect();
            seen.extend(&more);
            queue.extend(more);
        }
        None
    }

    /// Whether a base image is another: its name, or what its tag points at.
    pub(super) fn moved(&self, here: &Here<'a>, then: &Then<'a>) -> Option<Change> {
        let step = then.step?;
        let (now, new) = base(here.step.name.instruction.as_str())?;
        let (before, old) = base(step.instruction.as_str())?;
        if now != before {
            let line = here.print.map(|(_, step)| step.line);
            let (before, now) = (Text::clean(before), Text::clean(now));
            let change = change::text(&before, &now, line);
            let change = Change { cause: Cause::BaseReplaced { old: before, new: now }, ..change };
            return Some(self.substituted(here, step, change));
        }
        let (old, new) = (old?, new?);
        if old == new {
            return None;
        }
        let image = Text::clean(now);
        let fact = Fact::Base { image: image.clone(), old: old.clone(), new: new.clone() };
        Some(change::plain(Cause::BaseMoved { image, old, new }, vec![fact.into()]))
    }
}

/// What a step is built on. A working directory is called cached whenever it is there, also where what it stands on was rebuilt: that
/// is looked at through it.
fn inputs(model: &Model, id: StepId) -> Vec<StepId> {
    let is_quick = |id: StepId| {
        model.stack().step(id).is_some_and(|step| step.name.is_workdir()) && model.state(id) == State::Hit
    };
    let mut found = model.built_on(id);
    let mut at = 0;
    while let Some(&input) = found.get(at) {
        if is_quick(input) {
            let more = model.built_on(input).into_iter().filter(|more| *more != id && !found.contains(more));
            let more: Vec<StepId> = more.collect();
            found.extend(more);
        }
        at += 1;
    }
    found
}

pub(super) fn changed(change: &Change, then: Option<&Then<'_>>) -> Reason {
    let mut evidence = change.evidence.clone();
    evidence.extend(then.map(|then| compared_with(then).into()));
    Reason::root(change.grade, change.cause.clone(), evidence)
}

fn compared_with(then: &Then<'_>) -> Fact {
    Fact::ComparedWith { build: then.past.name.clone() }
}

fn removed(gone: &[Text]) -> Change {
    let fact = |text: &Text| Fact::Line { old: Some(text.clone()), new: None, line: None, setting: None };
    change::plain(Cause::InstructionRemoved, gone.iter().map(|text| fact(text).into()).collect())
}

/// A `COPY` whose files nobody has looked at, or one that the base image leaves to run.
fn unseen_files(then: &Then<'_>, trigger: bool) -> Reason {
    let facts = [Fact::ResultThere, Fact::FilesUnseen { trigger }, compared_with(then)];
    Reason::root(ReasonGrade::Likely, Cause::UnseenFilesChanged, facts)
}

fn uncacheable(address: &Text) -> Reason {
    let facts = [Fact::AskedEachTime { address: address.clone() }, Fact::AddressUnseen];
    let cause = Cause::AddressChanged { address: address.clone() };
    Reason::root(ReasonGrade::Likely, cause, facts)
}

/// Who looks for a reason in a secret is told that there is none.
fn ignored_secret(here: &Here<'_>) -> Option<Fact> {
    let (_, step) = here.print?;
    let secret = |mount: &&fingerprint::Mount| mount.kind == fingerprint::MountKind::Secret;
    let mount = step.mounts.iter().find(secret).filter(|_| step.kind == StepKind::Run)?;
    Some(Fact::SecretIgnored { id: mount.id.clone() })
}

/// Whether `--no-cache-filter` names a stage.
pub(super) fn filter(words: &[&str], stage: &str) -> bool {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let list = match word.strip_prefix("--no-cache-filter") {
            Some("") => words.next().copied(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        if list.is_some_and(|list| list.split(',').any(|name| name.eq_ignore_ascii_case(stage))) {
            return true;
        }
    }
    false
}

/// The names of the variables in an instruction.
fn names(text: &str) -> Vec<Text> {
    let mut found = Vec::new();
    for part in text.split('$').skip(1) {
        let part = part.strip_prefix('{').unwrap_or(part);
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        let name = Text::clean(part.get(..end).unwrap_or_default());
        if !name.is_empty() && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}
