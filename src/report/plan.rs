//! What a build would do, in words: one sentence, and the stack with what each layer would do.

use super::styled::StyledLine;
use super::table::{LayerCell, LayerTable};
use super::words::{self, Role, Sign};
use super::{estimate, why};
use crate::event::prediction::{PlannedStep, Prediction};
use crate::event::reason::{Cause, ReasonGrade};
use crate::event::{Platform, Text};
use crate::model::{InstructionRow, Model, Source, State, StepId};

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

/// `a build now would rebuild pip, 3 layers follow: requirements.txt changed; ≈ 14 s of steps, ≈ 20 s in all`.
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
    let time = times(model, ascii).map(|time| format!("; {time}")).unwrap_or_default();
    if layers.is_empty() {
        let told =
            if unknown.is_empty() { "nothing: every layer is cached" } else { "nothing that is known" };
        return format!("a build now would rebuild {told}{time}{open}");
    }
    let proven = |id: &StepId| model.planned(*id).is_some_and(|step| step.grade == ReasonGrade::Proven);
    let grade = if missed.iter().any(proven) { "" } else { " (likely)" };
    let what = rebuilt(model, &layers, &causes(model));
    format!("a build now would rebuild {what}{time}{open}{grade}")
}

/// The causes, the topmost of the Dockerfile first.
fn causes(model: &Model) -> Vec<why::RootCause> {
    let rows = || model.stack().groups().iter().flat_map(|group| &group.rows);
    let place = |id: &StepId| rows().position(|row| row.steps.contains(id)).unwrap_or(usize::MAX);
    let mut causes = why::causes(model);
    causes.sort_by_cached_key(|cause| cause.roots.iter().map(place).min());
    causes
}

/// The same where there is no room for it: `6 layers would be rebuilt: requirements.txt changed`. None where nothing would be.
pub fn brief(model: &Model) -> Option<String> {
    let layers = names(model, &of(model, Prediction::Miss)).len();
    let causes = causes(model);
    let cause = causes.first().filter(|_| layers > 0)?;
    let own =
        cause.roots.first().and_then(|id| model.stack().step(*id)).map(|step| step.name.instruction.clone());
    // What an instruction's own change says nothing of is which one it was.
    let own = own.filter(|_| cause.reason.cause.as_ref().is_some_and(Cause::names_nothing));
    let own = own.unwrap_or_default();
    let of = match words::truncate(words::instruction(own.as_str()).as_ref(), 24) {
        own if own.is_empty() => String::new(),
        own => format!("`{own}`: "),
    };
    let others = match causes.len() {
        0 | 1 => String::new(),
        several => format!("; {}", words::count(several - 1, "other cause")),
    };
    Some(format!("{} would be rebuilt: {of}{}{others}", words::count(layers, "layer"), cause.reason.because))
}

/// Causes that are named.
const MOST_CAUSES: usize = 3;

/// `pip, 3 layers follow: requirements.txt changed`; of several causes each with its layer, the topmost first.
fn rebuilt(model: &Model, layers: &[String], causes: &[why::RootCause]) -> String {
    let root = |cause: &why::RootCause| cause.roots.first().map(|id| label(model, *id));
    let follow = |n: usize| if n == 1 { "1 layer follows".to_owned() } else { format!("{n} layers follow") };
    let changes = causes.iter().all(|cause| cause.reason.kind.is_change());
    match causes {
        [] | [_] => {
            let known = causes.first().and_then(root).filter(|root| layers.contains(root));
            let first = known.or_else(|| layers.first().cloned()).unwrap_or_default();
            let what = match layers.len() - 1 {
                0 => first,
                more if changes && !causes.is_empty() => format!("{first}, {}", follow(more)),
                more => format!("{first} and {}", words::count(more, "more layer")),
            };
            let because = causes.first().map(|cause| format!(": {}", cause.reason.because));
            format!("{what}{}", because.unwrap_or_default())
        }
        several => {
            let named = several.iter().take(MOST_CAUSES);
            let told: Vec<String> = named
                .map(|cause| format!("{} ({})", root(cause).unwrap_or_default(), cause.reason.because))
                .collect();
            let roots: Vec<String> = several.iter().filter_map(root).collect();
            let others = match several.len().saturating_sub(MOST_CAUSES) {
                0 => String::new(),
                more => format!(", {}", words::count(more, "other cause")),
            };
            let rest = match layers.iter().filter(|layer| !roots.contains(layer)).count() {
                0 => String::new(),
                more if changes => format!(", {}", follow(more)),
                more => format!(", {}", words::count(more, "more layer")),
            };
            format!("{}{others}{rest}", told.join(", "))
        }
    }
}

/// `≈ 14 s of steps, 2 layers unknown, ≈ 20 s in all`. None where nothing would run, and nothing is known of the rest.
pub fn times(model: &Model, ascii: bool) -> Option<String> {
    let told = model.forecast();
    let runs = model.planned_as(Prediction::Miss).next().is_some();
    let steps = estimate::forecast(told.steps, ascii).filter(|_| runs);
    let mut parts: Vec<String> = steps.map(|steps| format!("{steps} of steps")).into_iter().collect();
    match names(model, &told.unknown).len() {
        0 => {}
        unknown => parts.push(format!("{unknown} unknown")),
    }
    parts.extend(whole(model, ascii).map(|whole| format!("{whole} in all")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `≈ 20 s`: how long all of it takes. None where that is not known.
pub fn whole(model: &Model, ascii: bool) -> Option<String> {
    model.forecast().whole.and_then(|whole| estimate::forecast(whole, ascii))
}

/// The layers that would be rebuilt, and of which it is not known how long that takes.
pub fn unknown(model: &Model) -> Vec<String> {
    names(model, &model.forecast().unknown)
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

/// The stack, with what each layer would do.
fn table(model: &Model) -> LayerTable {
    LayerTable::with(model, &|rows, column| cell(model, rows, column))
}

fn cell(model: &Model, rows: &[InstructionRow], column: Option<&Platform>) -> Option<LayerCell> {
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
    Some(LayerCell {
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
