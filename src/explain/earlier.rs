//! Which step of which earlier build a step is compared with.

use super::align::{Was, align};
use super::cache;
use super::judge::{Here, Judge};
use super::past::{Past, PastStep, base};
use crate::event::fingerprint::{self, Fingerprint};
use crate::event::{Platform, Text};

/// What a step was in an earlier build.
pub(super) struct Then<'a> {
    pub(super) past: &'a Past,
    /// Its place; none of an instruction that is new.
    pub(super) step: Option<&'a PastStep>,
    pub(super) print: Option<(&'a Fingerprint, &'a fingerprint::Step)>,
    /// Whether it has the same text.
    pub(super) same: bool,
    /// Instructions that stood before it and are no more.
    pub(super) removed: Vec<Text>,
}

impl<'a> Judge<'a> {
    /// Whether an earlier build was made where this one is: on the same builder, and as far as it is known, the same node.
    pub(super) fn is_here(&self, past: &Past, here: &Here<'_>) -> bool {
        let same = past.builder == self.model.started().builder
            || (past.builder.is_some() && past.builder.as_ref() == cache::builder_of(self.model));
        same && cache::moved_node(self.model, past, here).is_none()
    }

    /// The newest of the earlier builds that qualify in which the step left a result.
    pub(super) fn then(&self, here: &Here<'a>, qualifies: &dyn Fn(&Past) -> bool) -> Option<Then<'a>> {
        self.then_on(here, here.platform.as_ref(), qualifies)
    }

    /// The same on a platform.
    pub(super) fn then_on(
        &self,
        here: &Here<'a>,
        platform: Option<&Platform>,
        qualifies: &dyn Fn(&Past) -> bool,
    ) -> Option<Then<'a>> {
        let mut pasts = self.pasts().enumerate().filter(|(_, past)| qualifies(past));
        pasts.find_map(|(at, past)| self.find(here, at, past, platform))
    }

    /// The step in an earlier build, where it left a result there.
    pub(super) fn find(
        &self,
        here: &Here<'a>,
        at: usize,
        past: &'a Past,
        platform: Option<&Platform>,
    ) -> Option<Then<'a>> {
        let name = &here.step.name;
        let stage = stage_of(past, here);
        let was = self.aligned(here, stage.as_ref(), at, past, platform);
        let index = usize::from(name.index).checked_sub(1)?;
        let place = match was.get(index)? {
            Was::Same(place) | Was::Other(place) => Some(*place),
            Was::New => None,
        };
        let number = |place: usize| u16::try_from(place + 1).unwrap_or(u16::MAX);
        let step = place.and_then(|place| past.step(stage.as_ref(), number(place), platform));
        let any = || past.steps.iter().any(|step| step.stage == stage && step.has_result());
        if !step.map_or_else(any, PastStep::has_result) {
            return None;
        }
        // A new instruction is none where the platform was not built at all.
        let on = |step: &PastStep| step.platform.is_none() || step.platform.as_ref() == platform;
        if step.is_none() && !past.steps.iter().any(on) {
            return None;
        }
        let print = place.and_then(|place| {
            let print = past.fingerprint.as_ref()?;
            let named = past.step(stage.as_ref(), number(place), platform)?;
            let on = named.platform.as_ref();
            Some((print, print.step(stage.as_ref(), number(place), on)?.1))
        });
        let removed = self.removed(&was, index, place, past, stage.as_ref(), platform);
        Some(Then { past, step, print, same: matches!(was.get(index), Some(Was::Same(_))), removed })
    }

    /// The instructions between a step and the one before it, in the earlier build.
    fn removed(
        &self,
        was: &[Was],
        index: usize,
        place: Option<usize>,
        past: &Past,
        stage: Option<&Text>,
        platform: Option<&Platform>,
    ) -> Vec<Text> {
        let before = was.get(..index).unwrap_or_default().iter().rev().find_map(|was| match was {
            Was::Same(place) | Was::Other(place) => Some(place + 1),
            Was::New => None,
        });
        let gone = before.unwrap_or(0)..place.unwrap_or(0);
        let texts = stage_texts_past(past, stage, platform, self.prints(past));
        gone.filter_map(|place| texts.get(place)).map(|text| Text::clean(text)).collect()
    }

    /// Whether both builds have a fingerprint to compare by.
    fn prints(&self, past: &Past) -> bool {
        self.model.fingerprint().is_some_and(is_usable) && past.fingerprint.as_ref().is_some_and(is_usable)
    }

    fn aligned(
        &self,
        here: &Here<'a>,
        stage: Option<&Text>,
        at: usize,
        past: &Past,
        platform: Option<&Platform>,
    ) -> Vec<Was> {
        let key = (here.step.name.stage.clone(), platform.cloned(), at);
        if let Some(known) = self.aligned.borrow().get(&key) {
            return known.clone();
        }
        let prints = self.prints(past) && here.print.is_some();
        let old = stage_texts_past(past, stage, platform, prints);
        let new = self.stage_texts(here, prints);
        let found = align(&old, &new);
        self.aligned.borrow_mut().insert(key, found.clone());
        found
    }

    /// The instructions of the step's stage, as they are compared.
    fn stage_texts(&self, here: &Here<'a>, prints: bool) -> Vec<String> {
        if let Some((stage, _)) = here.print.filter(|_| prints) {
            return stage.steps.iter().map(|step| compared(step.instruction.as_str())).collect();
        }
        let of =
            |group: &&crate::model::StageGroup| group.rows.iter().any(|row| row.steps.contains(&here.id));
        let group = self.model.stack().groups().iter().find(of);
        let rows = group.map_or(&[][..], |group| group.rows.as_slice());
        rows.iter().map(|row| compared(row.instruction.as_str())).collect()
    }
}

pub(super) fn is_usable(print: &Fingerprint) -> bool {
    !print.stages.is_empty()
}

/// An instruction as it is compared: what a tag points at is another question.
fn compared(text: &str) -> String {
    match base(text) {
        Some(_) => text.split('@').next().unwrap_or(text).to_owned(),
        None => text.to_owned(),
    }
}

/// The stage of an earlier build that a step's is: of the same name, or the one that became the image.
///
/// A stage without a name is the only one of its build; what is given then is none.
fn stage_of(past: &Past, here: &Here<'_>) -> Option<Text> {
    let stage = &here.step.name.stage;
    let target = here.print.is_some_and(|(stage, _)| stage.is_target);
    match past.fingerprint.as_ref().filter(|_| target) {
        Some(print) if !past.steps.iter().any(|step| step.stage == *stage) => {
            print.stages.iter().find(|stage| stage.is_target).and_then(|stage| stage.name.clone())
        }
        _ => stage.clone(),
    }
}

/// The instructions of an earlier stage, as they are compared.
fn stage_texts_past(
    past: &Past,
    stage: Option<&Text>,
    platform: Option<&Platform>,
    prints: bool,
) -> Vec<String> {
    if let Some(print) = past.fingerprint.as_ref().filter(|_| prints) {
        let of = |known: &&fingerprint::Stage| known.name.as_ref() == stage;
        let here = |known: &&fingerprint::Stage| known.target.as_ref() == platform;
        let mut found = print.stages.iter().filter(of);
        let stage = found.clone().find(here).or_else(|| found.next());
        let steps = stage.map_or(&[][..], |stage| stage.steps.as_slice());
        return steps.iter().map(|step| compared(step.instruction.as_str())).collect();
    }
    let mut texts = Vec::new();
    for step in past.steps.iter().filter(|step| step.stage.as_ref() == stage) {
        if step.platform.as_ref() == platform || step.platform.is_none() || platform.is_none() {
            let at = usize::from(step.index);
            if texts.len() < at {
                texts.resize(at, String::new());
            }
            if let Some(text) = at.checked_sub(1).and_then(|at| texts.get_mut(at)) {
                *text = compared(step.instruction.as_str());
            }
        }
    }
    texts
}
