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

use super::build::StoredStep;
use crate::event::Text;
use crate::event::reason::{Reason, ReasonKind};
use crate::model::layers::{self, CopiedFiles};
use crate::model::{State, name};

/// Every layer was built, for no cache had any of it.
pub const FIRST: &str = "first build";
/// Nothing but what begins with the sources was built.
pub const CODE: &str = "code change only";
/// What begins with a list of packages was built.
pub const REQUIREMENTS: &str = "requirements change";
/// No step was rebuilt.
pub const UNCHANGED: &str = "no changes";
/// Every layer was built, for that was asked for.
pub const NO_CACHE: &str = "no cache";

/// Columns of what a layer is called in a name, or an instruction that is of no layer.
const LONGEST: usize = 32;

/// The name for what steps became, which stand in the Dockerfile's order; none of a build without steps. `top` is the step that what was
/// rebuilt is said to begin at, where that is known; otherwise it is the first that has a cause of its own.
pub(super) fn of(steps: &[StoredStep], top: Option<&StoredStep>) -> Option<Text> {
    // A base image is fetched for what is built on it, and WORKDIR is called cached in any case: neither tells what was there before.
    let telling = |step: &&StoredStep| !is(step, "FROM") && !is(step, "WORKDIR");
    let known: Vec<&StoredStep> = steps.iter().filter(telling).collect();
    let missed: Vec<&StoredStep> =
        known.iter().filter(|step| step.past.state == State::Miss).copied().collect();
    let Some(first) = top.or_else(|| topmost(&missed)) else {
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
    let layer = scenario_name(first);
    let lost = first.reason.as_ref().is_some_and(|reason| !is_changed(reason) && is_recorded_reason(reason));
    if lost {
        return Some(Text::clean(&format!("{layer} lost")));
    }
    // Where the base image has moved all of it follows from that.
    if let Some(base) = moved_base(steps, first).filter(|step| step.layer.is_some()) {
        return Some(Text::clean(&format!("{} change", scenario_name(base))));
    }
    let editable = first.layer.as_ref().is_some_and(|layer| layer.as_str().contains("editable"));
    Some(match layers::taken(first.past.instruction.as_str()) {
        Some(CopiedFiles::Sources) => CODE.into(),
        Some(CopiedFiles::Packages) if !editable => REQUIREMENTS.into(),
        _ => Text::clean(&format!("{layer} change")),
    })
}

/// The `FROM` that has moved: one that was pulled anew, or the one below a step that was rebuilt because of it. It is there already where the
/// builder holds the image that it names now.
fn moved_base<'a>(steps: &'a [StoredStep], first: &StoredStep) -> Option<&'a StoredStep> {
    let pulled = |step: &&StoredStep| step.reason.as_ref().is_some_and(is_changed);
    let mut bases = steps.iter().filter(|step| is(step, "FROM"));
    if let Some(pulled) = bases.clone().find(pulled) {
        return Some(pulled);
    }
    let by_base = first.reason.as_ref().is_some_and(|reason| reason.kind == ReasonKind::BaseMoved);
    let on_it = by_base && !first.past.instruction.as_str().contains("--from=");
    bases.find(|step| on_it && step.past.stage == first.past.stage)
}

/// What a step is called in a name: its layer, else as much of its instruction as there is room for.
fn scenario_name(step: &StoredStep) -> String {
    let text = step.layer.as_ref().unwrap_or(&step.past.instruction).as_str();
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    if text.chars().count() <= LONGEST {
        return text;
    }
    let kept: String = text.chars().take(LONGEST - 3).collect();
    format!("{}...", kept.trim_end())
}

/// Whether a build may be named by a step: a base image is fetched for what is built on it, and a working directory tells nothing.
pub(super) fn names(step: &StoredStep) -> bool {
    step.past.state == State::Miss && !is(step, "FROM") && !is(step, "WORKDIR")
}

/// The step that the others follow from: the first that has a cause of its own, else the first.
fn topmost<'a>(missed: &[&'a StoredStep]) -> Option<&'a StoredStep> {
    let root = |step: &&&StoredStep| step.reason.as_ref().is_some_and(|reason| reason.root);
    missed.iter().find(root).or(missed.first()).copied()
}

fn is(step: &StoredStep, keyword: &str) -> bool {
    name::keyword(step.past.instruction.as_str()).eq_ignore_ascii_case(keyword)
}

fn is_changed(reason: &Reason) -> bool {
    reason.kind.is_change()
}

/// Whether anything is known: what nobody can tell is taken for a change, which is what mostly makes a step run.
fn is_recorded_reason(reason: &Reason) -> bool {
    reason.kind != ReasonKind::Unknown
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::event::reason::ReasonKind as Kind;
    use crate::explain::PastStep;

    fn step(layer: &str, instruction: &str, why: Option<(Kind, bool)>) -> StoredStep {
        let past = PastStep {
            stage: None,
            index: 1,
            platform: None,
            instruction: instruction.into(),
            written: None,
            state: if why.is_some() { State::Miss } else { State::Hit },
            ran: None,
        };
        let reason = why.map(|(kind, root)| Reason { kind, root, ..Reason::default() });
        let zero = std::time::Duration::ZERO;
        StoredStep {
            past,
            layer: Some(layer.into()),
            reason,
            source: None,
            started: None,
            ran: zero,
            pulled: zero,
            bytes: 0,
        }
    }

    /// A stack as Montage AI's; `why` says of each layer, by its first letter, why it was rebuilt: a small letter follows from another.
    fn stack(why: &dyn Fn(&str) -> Option<(Kind, bool)>) -> Vec<StoredStep> {
        [
            ("base", "FROM base"),
            ("base", "WORKDIR /app"),
            ("conda", "RUN conda install numba"),
            ("pip", "COPY requirements.txt ."),
            ("pip", "RUN pip install -r requirements.txt"),
            ("editable install", "COPY pyproject.toml ."),
            ("editable install", "RUN pip install -e ."),
            ("src", "COPY src/ src/"),
            ("src", "RUN compile src"),
        ]
        .into_iter()
        .map(|(layer, text)| step(layer, text, if text.starts_with("WORKDIR") { None } else { why(text) }))
        .collect()
    }

    /// What begins with an instruction and all that follows.
    fn from(begin: &'static str, kind: Kind) -> Vec<StoredStep> {
        let seen = std::cell::Cell::new(false);
        stack(&|text| {
            let first = text.starts_with(begin) && !seen.get();
            seen.set(seen.get() || first);
            let follows = if kind.is_change() { Kind::ParentMissed } else { kind };
            seen.get().then_some((if first { kind } else { follows }, first))
        })
    }

    #[rstest]
    #[case(from("nothing", Kind::Unknown), "no changes")]
    #[case(from("COPY src/", Kind::FilesChanged), "code change only")]
    #[case(from("COPY requirements.txt", Kind::FilesChanged), "requirements change")]
    #[case(from("COPY pyproject.toml", Kind::FilesChanged), "editable install change")]
    #[case(from("RUN conda", Kind::InstructionChanged), "conda change")]
    #[case(from("RUN pip", Kind::InstructionChanged), "pip change")]
    #[case(from("RUN compile", Kind::ArgChanged), "src change")]
    #[case(from("RUN conda", Kind::FirstBuild), "first build")]
    #[case(from("RUN conda", Kind::Evicted), "first build")]
    #[case(from("RUN conda", Kind::NoCache), "no cache")]
    #[case(from("FROM", Kind::BaseMoved), "base change")]
    #[case(from("RUN conda", Kind::BaseMoved), "base change")]
    #[case(from("COPY requirements.txt", Kind::Evicted), "pip lost")]
    #[case(from("COPY src/", Kind::Unknown), "code change only")]
    fn a_build_is_named_by_what_it_rebuilt(#[case] steps: Vec<StoredStep>, #[case] expected: &str) {
        assert_eq!(of(&steps, None).unwrap().as_str(), expected);
    }

    #[test]
    fn other_projects_are_named_by_the_same_rules() {
        let named = |first: &str| {
            let change = Some((Kind::FilesChanged, true));
            of(
                &[
                    step("base", "FROM x", None),
                    step("tools", "RUN make tools", None),
                    step("a", first, change),
                ],
                None,
            )
            .unwrap()
        };
        for (instruction, expected) in [
            ("COPY package.json package-lock.json ./", "requirements change"),
            ("COPY Cargo.toml Cargo.lock ./", "requirements change"),
            ("COPY go.mod go.sum ./", "requirements change"),
            ("COPY --link requirements/dev-requirements.txt /tmp/", "requirements change"),
            ("COPY . .", "code change only"),
            ("ADD app/ lib/ /srv/", "code change only"),
            ("COPY --from=tools /tool /tool", "a change"),
            ("ADD https://example.invalid/x.tar.gz /", "a change"),
            ("RUN make", "a change"),
        ] {
            assert_eq!(named(instruction).as_str(), expected, "{instruction}");
        }
        assert_eq!(of(&[], None), None, "a build without steps");
    }

    #[test]
    fn a_name_is_short_whatever_the_instruction_is() {
        let long = format!("RUN {}", "echo a && ".repeat(20));
        let mut steps = [step("x", &long, Some((Kind::InstructionChanged, true)))];
        steps[0].layer = None;
        steps[0].reason = Some(Reason { kind: Kind::InstructionChanged, root: true, ..Reason::default() });
        let name = of(&steps, None).unwrap();
        assert_eq!(name.as_str(), "RUN echo a && echo a && echo... change");
    }

    #[test]
    fn of_two_changes_the_first_one_counts() {
        let both = stack(&|text| match text {
            text if text.starts_with("COPY requirements") || text.starts_with("COPY src/") => {
                Some((Kind::FilesChanged, true))
            }
            text if text.starts_with("COPY") || text.starts_with("RUN pip") => {
                Some((Kind::ParentMissed, false))
            }
            _ => None,
        });
        assert_eq!(of(&both, None).unwrap().as_str(), "requirements change");
    }
}
