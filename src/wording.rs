//! Facts in words: the one place where what is known is put into sentences.
//!
//! `explain` makes values. Whoever makes events of them has them worded here, so that recordings and JSON have both.

pub mod advice;
pub mod cache;
mod cause;
mod fact;
mod prediction;
#[cfg(test)]
mod tests;

pub use cause::because;
pub use fact::text;
pub use prediction::predicted;

use crate::event::reason::{Reason, StepNumber, StepReason};
use crate::event::{Event, Stamped, Text};

/// Whether what is told has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tense {
    /// `step 2 was rebuilt`
    Past,
    /// `step 2 would be rebuilt`
    Conditional,
}

/// Words the reasons of a build.
pub fn fill(reasons: &mut [StepReason]) {
    for one in reasons {
        word(&mut one.reason, Tense::Past);
    }
}

/// Words the reasons and the evidence of what is planned.
pub fn fill_plan(events: &mut [Stamped]) {
    for stamped in events {
        let Event::Planned(planned) = &mut stamped.event else { continue };
        for step in &mut planned.steps {
            if let Some(reason) = &mut step.reason {
                word(reason, Tense::Conditional);
            }
            if let Some(basis) = &step.basis {
                step.evidence = Text::clean(&predicted(basis));
            }
        }
    }
}

fn word(reason: &mut Reason, tense: Tense) {
    if let Some(cause) = &reason.cause {
        reason.because = Text::clean(&because(cause, tense));
    }
    for evidence in &mut reason.evidence {
        if let Some(fact) = &evidence.fact {
            evidence.text = Text::clean(&text(fact, tense));
        }
    }
    advice::fill(&mut reason.advice);
}

/// `was rebuilt`, `would be rebuilt`.
fn rebuilt(tense: Tense) -> &'static str {
    match tense {
        Tense::Past => "was rebuilt",
        Tense::Conditional => "would be rebuilt",
    }
}

/// `step 2`, `step 2 of stage tools`.
fn step(step: &StepNumber) -> String {
    match &step.stage {
        Some(stage) => format!("step {} of stage {stage}", step.index),
        None => format!("step {}", step.index),
    }
}

/// ` from 0644 to 0755`; nothing where the permissions are not known.
fn modes(old: Option<u16>, new: Option<u16>) -> String {
    match (old, new) {
        (Some(old), Some(new)) => format!(" from {old:04o} to {new:04o}"),
        _ => String::new(),
    }
}
