//! What kind of build it was, by what it rebuilt: in the words of Montage AI's table, and for any other project by the same rules.
//!
//! | name | what was rebuilt |
//! | --- | --- |
//! | first build | every layer, for no cache had any of it |
//! | no cache | every layer, for that was asked for |
//! | no changes | nothing |
//! | code change only | what begins with copied sources |
//! | requirements change | what begins with a copied list of packages: `requirements.txt`, `package.json`, … |
//! | conda change | what begins with another layer |
//! | conda lost | the same, of which nothing has changed: a cache had lost it |

use super::build::Step;
use crate::event::Text;
use crate::event::reason::{Reason, ReasonKind};
use crate::model::State;
use crate::model::layers::{self, Taken};

/// Every layer was built, for no cache had any of it.
pub const FIRST: &str = "first build";
/// Nothing but what begins with the sources was built.
pub const CODE: &str = "code change only";
/// What begins with a list of packages was built.
pub const REQUIREMENTS: &str = "requirements change";
/// Nothing was built.
pub const UNCHANGED: &str = "no changes";
/// Every layer was built, for that was asked for.
pub const NO_CACHE: &str = "no cache";

/// The name for what steps became, which stand in the Dockerfile's order; none of a build without steps.
pub(super) fn of(steps: &[Step]) -> Option<Text> {
    // A base image is fetched for what is built on it, and WORKDIR is called cached in any case: neither tells what was there before.
    let telling = |step: &&Step| !is(step, "FROM") && !is(step, "WORKDIR");
    let known: Vec<&Step> = steps.iter().filter(telling).collect();
    let missed: Vec<&Step> = known.iter().filter(|step| step.past.state == State::Miss).copied().collect();
    let Some(first) = top(&missed) else {
        return (!steps.is_empty()).then(|| UNCHANGED.into());
    };
    let why = first.reason.as_ref().map(|reason| reason.kind);
    if why == Some(ReasonKind::NoCache) && !known.iter().any(|step| step.past.state == State::Hit) {
        return Some(NO_CACHE.into());
    }
    let changed = steps.iter().filter_map(|step| step.reason.as_ref()).any(is_changed);
    if !changed && !known.iter().any(|step| step.past.state == State::Hit) {
        return Some(FIRST.into());
    }
    let layer = first.layer.as_ref().or(Some(&first.past.instruction))?;
    let lost = first.reason.as_ref().is_some_and(|reason| !is_changed(reason) && is_told(reason));
    if lost {
        return Some(Text::clean(&format!("{layer} lost")));
    }
    // Where the base image has moved all of it follows from that.
    let base = steps.iter().find(|step| is(step, "FROM") && step.reason.as_ref().is_some_and(is_changed));
    if let Some(layer) = base.and_then(|step| step.layer.as_ref()) {
        return Some(Text::clean(&format!("{layer} change")));
    }
    let editable = first.layer.as_ref().is_some_and(|layer| layer.as_str().contains("editable"));
    Some(match layers::taken(first.past.instruction.as_str()) {
        Some(Taken::Sources) => CODE.into(),
        Some(Taken::Packages) if !editable => REQUIREMENTS.into(),
        _ => Text::clean(&format!("{layer} change")),
    })
}

/// The step that the others follow from: the first that has a cause of its own, else the first.
fn top<'a>(missed: &[&'a Step]) -> Option<&'a Step> {
    let root = |step: &&&Step| step.reason.as_ref().is_some_and(|reason| reason.root);
    missed.iter().find(root).or(missed.first()).copied()
}

fn is(step: &Step, keyword: &str) -> bool {
    let text = step.past.instruction.as_str();
    text.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case(keyword))
}

fn is_changed(reason: &Reason) -> bool {
    reason.kind.is_change()
}

/// Whether anything is known: what nobody can tell is taken for a change, which is what mostly makes a step run.
fn is_told(reason: &Reason) -> bool {
    reason.kind != ReasonKind::Unknown
}
