//! What a build would do, in words: one sentence, and the stack with what each layer would do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::styled::StyledLine;
use super::table::{Cell, Table};
use super::words::{self, Role, Sign};
use crate::event::Platform;
use crate::event::reason::ReasonGrade;
use crate::explain::{Plan, Predicted, Prediction};
use crate::model::{Model, Row, Source, State};

/// All that there is to say of a plan.
pub fn lines(model: &Model, plan: &Plan, ascii: bool) -> Vec<StyledLine> {
    let missed = plan.steps.iter().any(|step| step.predicted != Prediction::Hit);
    let (sign, role) = if missed { ("! ", Role::Warn) } else { ("", Role::Plain) };
    let sentence = StyledLine::new().with(sign, role).with(sentence(model, plan, ascii), Role::Strong);
    let mut lines = vec![sentence, StyledLine::new()];
    lines.extend(table(model, plan).lines(ascii));
    lines
}

/// `a build now would rebuild pip and 3 more layers: requirements.txt changed; ≈ 14 s`.
pub fn sentence(model: &Model, plan: &Plan, ascii: bool) -> String {
    let missed: Vec<&Predicted> = of(plan, Prediction::Miss);
    let unknown = names(model, &of(plan, Prediction::Unknown));
    let open = match unknown.as_slice() {
        [] => String::new(),
        [one] => format!("; of {one} it can't be told"),
        [one, more @ ..] => {
            format!("; of {one} and {} it can't be told", words::count(more.len(), "more layer"))
        }
    };
    let layers = names(model, &missed);
    let Some((first, more)) = layers.split_first() else {
        let told =
            if unknown.is_empty() { "nothing: every layer is cached" } else { "nothing that is known" };
        return format!("a build now would rebuild {told}{open}");
    };
    let root = missed.iter().find(|step| step.reason.as_ref().is_some_and(|reason| reason.root));
    let because = root.or(missed.first()).and_then(|step| step.reason.as_ref());
    let because = because.map(|reason| format!(": {}", reason.because)).unwrap_or_default();
    let what = match more.len() {
        0 => first.clone(),
        count => format!("{first} and {}", words::count(count, "more layer")),
    };
    let time = time(&missed)
        .map(|time| format!("; {} {}", if ascii { "~" } else { "≈" }, words::duration(time)))
        .unwrap_or_default();
    let likely = missed.iter().all(|step| step.grade != ReasonGrade::Proven);
    let grade = if likely { " (likely)" } else { "" };
    format!("a build now would rebuild {what}{because}{time}{open}{grade}")
}

fn of(plan: &Plan, predicted: Prediction) -> Vec<&Predicted> {
    plan.steps.iter().filter(|step| step.predicted == predicted).collect()
}

/// The names of the layers of steps, each once. A base image is none that is rebuilt where others are.
fn names(model: &Model, steps: &[&Predicted]) -> Vec<String> {
    let from = |step: &Predicted| model.stack().step(step.step).is_some_and(|step| step.name.is_from());
    let others = steps.iter().any(|step| !from(step));
    let mut names: Vec<String> = Vec::new();
    for step in steps.iter().filter(|step| !others || !from(step)) {
        let name = label(model, step);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn label(model: &Model, step: &Predicted) -> String {
    let text = || model.stack().step(step.step).map(|step| step.name.instruction.clone()).unwrap_or_default();
    match &step.layer {
        Some(layer) => layer.to_string(),
        None => format!("`{}`", words::truncate(words::instruction(text().as_str()).as_ref(), 40)),
    }
}

/// How long the steps take: platforms run side by side. None where it is not known of any.
fn time(steps: &[&Predicted]) -> Option<Duration> {
    let mut times: BTreeMap<Option<&Platform>, Duration> = BTreeMap::new();
    for step in steps {
        if let Some(expected) = step.expected {
            *times.entry(step.platform.as_ref()).or_default() += expected;
        }
    }
    times.into_values().max()
}

/// The stack, with what each layer would do.
fn table(model: &Model, plan: &Plan) -> Table {
    Table::with(model, &|rows, column| cell(model, plan, rows, column))
}

fn cell(model: &Model, plan: &Plan, rows: &[Row], column: Option<&Platform>) -> Option<Cell> {
    let ids = rows.iter().filter_map(|row| model.stack().cell(row, column));
    let steps: Vec<&Predicted> = ids.filter_map(|id| plan.of(id)).collect();
    let weight = |step: &&&Predicted| match step.predicted {
        Prediction::Hit => 0,
        Prediction::Unknown => 1,
        Prediction::Miss => 2,
    };
    let telling = steps.iter().max_by_key(weight)?;
    let missed = steps.iter().filter(|step| step.predicted == Prediction::Miss);
    let state = match telling.predicted {
        Prediction::Hit => State::Hit,
        Prediction::Miss => State::Miss,
        Prediction::Unknown => State::Waiting,
    };
    let from = model.stack().step(telling.step).is_some_and(|step| step.name.is_from());
    Some(Cell {
        state,
        sign: sign(telling, from),
        time: missed.filter_map(|step| step.expected).sum(),
        bytes: 0,
    })
}

fn sign(step: &Predicted, from: bool) -> Sign {
    match step.predicted {
        Prediction::Hit => {
            let word = match step.source {
                Some(Source::Local) => "would hit local",
                Some(Source::Registry) => "would hit registry",
                _ => "would hit",
            };
            Sign::new("●", "*", word, Role::Good)
        }
        Prediction::Miss if from => Sign::new("○", "o", "would pull", Role::Ran),
        Prediction::Miss => Sign::new("○", "o", "would run", Role::Ran),
        Prediction::Unknown if step.source == Some(Source::Registry) => {
            Sign::new("?", "?", "in the registry", Role::Dim)
        }
        Prediction::Unknown => Sign::new("?", "?", "not known", Role::Dim),
    }
}

/// Whether a step has this layer.
pub fn is_layer(plan: &Plan, name: &str) -> bool {
    plan.steps.iter().any(|step| has(step, name))
}

fn has(step: &Predicted, name: &str) -> bool {
    step.layer.as_ref().is_some_and(|layer| layer.as_str().eq_ignore_ascii_case(name))
}

/// Of layers that must not be rebuilt: a line for each that would be, or of which that can't be told.
pub fn broken(plan: &Plan, wanted: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in wanted {
        for step in plan.steps.iter().filter(|step| has(step, name)) {
            let on = step.platform.as_ref().map(|on| format!(" on {on}")).unwrap_or_default();
            let because = step.reason.as_ref().map(|reason| reason.because.to_string()).unwrap_or_default();
            let line = match step.predicted {
                Prediction::Hit => continue,
                Prediction::Miss => format!("{name} would be rebuilt{on}: {because}"),
                Prediction::Unknown => {
                    format!("{name}: whether it would be rebuilt{on} can't be told: {because}")
                }
            };
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}
