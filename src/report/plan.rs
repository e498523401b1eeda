//! What a build would do, in words: one sentence, and the stack with what each layer would do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::styled::StyledLine;
use super::table::{Cell, Table};
use super::why;
use super::words::{self, Role, Sign};
use crate::event::plan::{PlannedStep, Prediction};
use crate::event::reason::ReasonGrade;
use crate::event::{Platform, Text};
use crate::model::{Model, Row, Source, State, StepId};

/// All that there is to say of a plan.
pub fn lines(model: &Model, ascii: bool) -> Vec<StyledLine> {
    let missed = model.stack().steps().any(|(id, _)| is_open(model, id));
    let (sign, role) = if missed { ("! ", Role::Warn) } else { ("", Role::Plain) };
    let sentence = StyledLine::new().with(sign, role).with(sentence(model, ascii), Role::Strong);
    let mut lines = vec![sentence, StyledLine::new()];
    lines.extend(table(model).lines(ascii));
    lines
}

/// Whether a step is not predicted to hit.
fn is_open(model: &Model, id: StepId) -> bool {
    model.planned(id).is_some_and(|step| step.predicted != Prediction::Hit)
}

/// `a build now would rebuild pip, 3 layers follow: requirements.txt changed; ≈ 14 s`.
pub fn sentence(model: &Model, ascii: bool) -> String {
    let missed: Vec<StepId> = of(model, Prediction::Miss);
    let unknown = names(model, &of(model, Prediction::Unknown));
    let open = match unknown.as_slice() {
        [] => String::new(),
        [one] => format!("; of {one} it can't be told"),
        [one, more @ ..] => {
            format!("; of {one} and {} it can't be told", words::count(more.len(), "more layer"))
        }
    };
    let layers = names(model, &missed);
    if layers.is_empty() {
        let told =
            if unknown.is_empty() { "nothing: every layer is cached" } else { "nothing that is known" };
        return format!("a build now would rebuild {told}{open}");
    }
    let causes = why::causes(model);
    let because = causes.first().map(|cause| format!(": {}", cause.reason.because)).unwrap_or_default();
    let others = match causes.len() {
        0 | 1 => String::new(),
        several => format!("; {}", words::count(several - 1, "other cause")),
    };
    let time = expected(model)
        .map(|time| format!("; {} {}", if ascii { "~" } else { "≈" }, words::duration(time)))
        .unwrap_or_default();
    let proven = |id: &StepId| model.planned(*id).is_some_and(|step| step.grade == ReasonGrade::Proven);
    let grade = if missed.iter().any(proven) { "" } else { " (likely)" };
    let what = rebuilt(model, &layers, &causes);
    format!("a build now would rebuild {what}{because}{others}{time}{open}{grade}")
}

/// The same where there is no room for it: `6 layers would be rebuilt: requirements.txt changed`. None where nothing would be.
pub fn brief(model: &Model) -> Option<String> {
    let layers = names(model, &of(model, Prediction::Miss)).len();
    let causes = why::causes(model);
    let cause = causes.first().filter(|_| layers > 0)?;
    let own =
        cause.roots.first().and_then(|id| model.stack().step(*id)).map(|step| step.name.instruction.clone());
    // What an instruction's own change says nothing of is which one it was.
    let own = own.filter(|_| cause.reason.because.as_str().starts_with("its ")).unwrap_or_default();
    let of = match words::truncate(words::instruction(own.as_str()).as_ref(), 24) {
        own if own.is_empty() => String::new(),
        own => format!("`{own}`: "),
    };
    Some(format!("{} would be rebuilt: {of}{}", words::count(layers, "layer"), cause.reason.because))
}

/// `pip, 3 layers follow`: the layer of what costs most, and what is rebuilt with it.
fn rebuilt(model: &Model, layers: &[String], causes: &[why::Cause]) -> String {
    let root = causes.first().and_then(|cause| cause.roots.first()).map(|id| label(model, *id));
    let first = root.filter(|root| layers.contains(root)).or_else(|| layers.first().cloned());
    let first = first.unwrap_or_default();
    match (layers.len() - 1, causes) {
        (0, _) => first,
        (1, [only]) if only.reason.kind.is_change() => format!("{first}, 1 layer follows"),
        (more, [only]) if only.reason.kind.is_change() => format!("{first}, {more} layers follow"),
        (more, _) => format!("{first} and {}", words::count(more, "more layer")),
    }
}

fn of(model: &Model, predicted: Prediction) -> Vec<StepId> {
    model.planned_as(predicted).map(|(id, _)| id).collect()
}

/// The names of the layers of steps, each once. A base image is none that is rebuilt where others are.
fn names(model: &Model, steps: &[StepId]) -> Vec<String> {
    let others = steps.iter().any(|id| !is_from(model, *id));
    let mut names: Vec<String> = Vec::new();
    for id in steps.iter().filter(|id| !others || !is_from(model, **id)) {
        let name = label(model, *id);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn is_from(model: &Model, id: StepId) -> bool {
    model.stack().step(id).is_some_and(|step| step.name.is_from())
}

fn layer(model: &Model, id: StepId) -> Option<&Text> {
    model.stack().row_of(id)?.layer.as_ref()
}

fn label(model: &Model, id: StepId) -> String {
    let text = || model.stack().step(id).map(|step| step.name.instruction.clone()).unwrap_or_default();
    match layer(model, id) {
        Some(layer) => layer.to_string(),
        None => format!("`{}`", words::truncate(words::instruction(text().as_str()).as_ref(), 40)),
    }
}

/// How long what would run takes: platforms run side by side. None where it is not known of any.
pub fn expected(model: &Model) -> Option<Duration> {
    let mut times: BTreeMap<Option<Platform>, Duration> = BTreeMap::new();
    for (id, step) in model.planned_as(Prediction::Miss) {
        if let Some(expected) = step.expected_us {
            let platform = model.stack().step(id).and_then(|step| model.platform_of(step));
            *times.entry(platform).or_default() += Duration::from_micros(expected);
        }
    }
    times.into_values().max()
}

/// The stack, with what each layer would do.
fn table(model: &Model) -> Table {
    Table::with(model, &|rows, column| cell(model, rows, column))
}

fn cell(model: &Model, rows: &[Row], column: Option<&Platform>) -> Option<Cell> {
    let ids = rows.iter().filter_map(|row| model.stack().cell(row, column));
    let steps: Vec<(StepId, &PlannedStep)> = ids.filter_map(|id| Some((id, model.planned(id)?))).collect();
    let weight = |(_, step): &&(StepId, &PlannedStep)| match step.predicted {
        Prediction::Hit => 0,
        Prediction::Unknown => 1,
        Prediction::Miss => 2,
    };
    let (id, telling) = steps.iter().max_by_key(weight)?;
    let state = match telling.predicted {
        Prediction::Hit => State::Hit,
        Prediction::Miss => State::Miss,
        Prediction::Unknown => State::Waiting,
    };
    Some(Cell {
        state,
        sign: sign(telling, is_from(model, *id)),
        time: steps.iter().map(|(id, _)| model.planned_time(*id)).sum(),
        bytes: 0,
    })
}

fn sign(step: &PlannedStep, from: bool) -> Sign {
    let word = match (step.predicted, step.source) {
        (Prediction::Hit, Some(Source::Local)) => "would hit local",
        (Prediction::Hit, Some(Source::Registry)) => "would hit registry",
        (Prediction::Hit, _) => "would hit",
        (Prediction::Miss, _) if from => "would pull",
        (Prediction::Miss, _) => "would run",
        (Prediction::Unknown, Some(Source::Registry)) => "in the registry",
        (Prediction::Unknown, _) => "not known",
    };
    Sign::of_prediction(step.predicted, word)
}

/// Whether a step has this layer.
pub fn is_layer(model: &Model, name: &str) -> bool {
    model.stack().steps().any(|(id, _)| has(model, id, name))
}

fn has(model: &Model, id: StepId, name: &str) -> bool {
    layer(model, id).is_some_and(|layer| layer.as_str().eq_ignore_ascii_case(name))
}

/// Of layers that must not be rebuilt: a line for each that would be, or of which that can't be told.
pub fn broken(model: &Model, wanted: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in wanted {
        for (id, step) in model.stack().steps().filter(|(id, _)| has(model, *id, name)) {
            let Some(told) = model.planned(id) else { continue };
            let on = model.platform_of(step).map(|on| format!(" on {on}")).unwrap_or_default();
            let because = told.reason.as_ref().map(|reason| reason.because.to_string()).unwrap_or_default();
            let line = match told.predicted {
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
