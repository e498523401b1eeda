//! Facts in words: the one place where what is known is put into sentences.
//!
//! `explain` makes values. Whoever makes events of them has them worded here, so that recordings and JSON have both.

pub mod advice;
pub mod cache;

use crate::event::reason::{Reason, StepReason};
use crate::event::{Event, Stamped};

/// Words the reasons of a build.
pub fn fill(reasons: &mut [StepReason]) {
    for one in reasons {
        word(&mut one.reason);
    }
}

/// Words the reasons of what is planned.
pub fn fill_plan(events: &mut [Stamped]) {
    for stamped in events {
        let Event::Planned(planned) = &mut stamped.event else { continue };
        planned.steps.iter_mut().filter_map(|step| step.reason.as_mut()).for_each(word);
    }
}

fn word(reason: &mut Reason) {
    advice::fill(&mut reason.advice);
}
