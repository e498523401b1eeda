//! Why steps were not cached, in words: causes with what follows from them, the evidence, and what would have avoided it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::cache::{CacheSummary, TransferState};
use super::json::{StepSummary, summary};
use super::styled::StyledLine;
use super::words::{self, Role, Sign};
use crate::event::prediction::Prediction;
use crate::event::reason::{Reason, ReasonGrade, ReasonKind};
use crate::event::{Advice, Digest, Level, Platform, Text, Time};
use crate::model::{Model, Outcome, State, StepId};
pub use crate::model::{RootCause, causes};

/// Causes that plain output tells; of more, how many they are.
const MOST_TOLD: usize = 6;

/// `1 layer follows`, `4 layers follow`; none where nothing does.
pub fn following(cause: &RootCause) -> Option<String> {
    match cause.layers {
        0 => None,
        1 => Some("1 layer follows".to_owned()),
        layers => Some(format!("{layers} layers follow")),
    }
}

/// The layer that a cause begins at.
pub fn named(model: &Model, cause: &RootCause) -> String {
    cause.roots.first().map_or_else(String::new, |id| label(model, *id))
}

/// `pip rebuilt because requirements.txt changed; 4 layers follow from it, 8:10 of 9:30 on both platforms`: the last is what the
/// build would have been spared, of what it took.
pub fn sentence(model: &Model, cause: &RootCause) -> String {
    let what = named(model, cause);
    let verb = verb(model, cause);
    let verb = if model.is_plan() { format!("would be {verb}") } else { verb.to_owned() };
    let because = because(&cause.reason);
    let mut text = match following(cause) {
        None => format!("{what} {verb} {because}"),
        Some(follow) if cause.reason.kind.is_change() => {
            format!("{what} {verb} {because}; {follow} from it")
        }
        Some(_) => {
            format!("{what} and {} {verb} {because}", words::count(cause.layers, "more layer"))
        }
    };
    // Into memory, which takes all that it is given.
    let platforms = platforms(model, cause);
    let _ = match (model.is_plan(), platforms.is_empty()) {
        // A plan has one time for all of it: platforms run side by side.
        (true, true) => Ok(()),
        (true, false) => write!(text, ",{platforms}"),
        (false, _) => write!(text, ", {}{platforms}", cost(model, cause)),
    };
    if cause.reason.grade != ReasonGrade::Proven && cause.reason.kind != ReasonKind::Unknown {
        let _ = write!(text, " ({})", grade(cause.reason.grade));
    }
    text
}

/// `because requirements.txt changed`: how a sentence goes on behind what became of a step.
pub(super) fn because(reason: &Reason) -> String {
    match reason.kind {
        ReasonKind::Unknown => "for a reason that is not known".to_owned(),
        _ => format!("because {}", reason.because),
    }
}

/// What became of the layer that a cause begins at.
fn verb(model: &Model, cause: &RootCause) -> &'static str {
    verb_of(model, &cause.roots, cause.reason.kind)
}

/// What became of steps that missed for a reason of this kind; of those that failed or were stopped nothing was built.
fn verb_of(model: &Model, steps: &[StepId], kind: ReasonKind) -> &'static str {
    let from = steps.iter().any(|id| model.stack().step(*id).is_some_and(|step| step.name.is_from()));
    let stopped = !model.is_plan()
        && steps.iter().all(|id| matches!(model.state(*id), State::Failed | State::Cancelled));
    match kind {
        _ if from => "pulled",
        _ if stopped => "run",
        ReasonKind::FirstBuild | ReasonKind::PlatformNotCached => "built",
        _ => "rebuilt",
    }
}

/// `8:10 of 9:30`: what a cause cost the build, of what that took.
fn cost(model: &Model, cause: &RootCause) -> String {
    let wall = model.wall(model.ended().unwrap_or(model.newest()));
    format!("{} of {}", words::duration(cause.cost), words::duration(wall))
}

/// ` on both platforms`; nothing where the build has but one.
fn platforms(model: &Model, cause: &RootCause) -> String {
    let all = model.platforms().len();
    let steps = cause.roots.iter().chain(&cause.followers);
    // A target that names no platform is built for one of them, and nobody says for which.
    let on: BTreeSet<Platform> =
        steps.filter_map(|id| model.stack().step(*id)).filter_map(|step| model.platform_of(step)).collect();
    match (all, on.len()) {
        (0 | 1, _) | (_, 0) => String::new(),
        (2, 2) => " on both platforms".to_owned(),
        (_, 1) => on.first().map_or_else(String::new, |platform| format!(" on {platform}")),
        (_, some) => format!(" on {some} platforms"),
    }
}

/// A step's layer, else its number and text.
fn label(model: &Model, id: StepId) -> String {
    let layer = model.stack().row_of(id).and_then(|row| row.layer.as_ref());
    let step = model.stack().step(id);
    match (layer, step) {
        (Some(layer), _) => layer.to_string(),
        (None, Some(step)) => {
            format!("`{}`", words::truncate(words::instruction(step.name.instruction.as_str()).as_ref(), 40))
        }
        (None, None) => String::new(),
    }
}

/// A sentence a cause.
pub fn sentences(model: &Model, ascii: bool) -> Vec<StyledLine> {
    let causes = causes(model);
    let line = |cause: &RootCause| {
        StyledLine::new().with("! ", Role::Warn).with(sentence(model, cause), Role::Plain)
    };
    let mut lines: Vec<StyledLine> = causes.iter().take(MOST_TOLD).map(line).collect();
    if let Some(more) = causes.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        let text =
            format!("{} and {}: layertop why", words::ellipsis(ascii), words::count(more, "more cause"));
        lines.push(StyledLine::new().with(text, Role::Dim));
    }
    lines
}

/// The one line of the header: the cause that cost most, what follows from it, and how many others there are. None where the build was
/// told so, or is the first: that everything runs then surprises nobody.
pub fn headline(model: &Model, ascii: bool) -> Option<StyledLine> {
    // What a plan has to say stands in its header.
    let causes = if model.is_plan() { Vec::new() } else { causes(model) };
    let first = causes.first()?;
    let dot = if ascii { " - " } else { " · " };
    if matches!(first.reason.kind, ReasonKind::FirstBuild | ReasonKind::NoCache) {
        return None;
    }
    let mut line = StyledLine::new()
        .with(format!("{} {}: ", named(model, first), verb(model, first)), Role::Warn)
        .with(first.reason.because.as_str(), Role::Strong);
    if first.reason.kind != ReasonKind::Unknown {
        line.push(format!(" ({})", grade(first.reason.grade)), Role::Dim);
    }
    if let Some(follow) = following(first) {
        line.push(format!("{dot}{follow}"), Role::Plain);
    }
    if causes.len() > 1 {
        line.push(format!("{dot}{}", words::count(causes.len() - 1, "other cause")), Role::Plain);
    }
    Some(line)
}

fn grade(grade: ReasonGrade) -> &'static str {
    match grade {
        ReasonGrade::Proven => "proven",
        ReasonGrade::Likely => "likely",
        ReasonGrade::Unknown => "not known",
    }
}

/// All that there is to say of a build, or of some of its steps: a sentence, the evidence, what would have avoided it.
pub fn lines(model: &Model, steps: Option<&[StepId]>, ascii: bool) -> Vec<StyledLine> {
    match steps {
        Some(steps) => of_steps(model, steps, ascii),
        None => of_build(model, ascii),
    }
}

fn of_build(model: &Model, ascii: bool) -> Vec<StyledLine> {
    let mut lines = ending(model, ascii);
    if !has_begun(model) && !lines.is_empty() {
        return lines;
    }
    let causes = causes(model);
    if causes.is_empty() {
        let missed = model.stack().steps().any(|(id, _)| model.missed(id));
        let text = match (missed, model.is_plan()) {
            (true, false) => "steps ran, and it is not known why".to_owned(),
            (true, true) => "steps would run, and it is not known why".to_owned(),
            (false, false) => nothing_missed(model),
            (false, true) => return untold(model),
        };
        lines.push(StyledLine::new().with(text, Role::Plain));
        lines.extend(failed_import(model));
        return lines;
    }
    for cause in &causes {
        if !lines.is_empty() {
            lines.push(StyledLine::new());
        }
        lines.push(StyledLine::new().with("! ", Role::Warn).with(sentence(model, cause), Role::Strong));
        lines.extend(details(&cause.reason, ascii));
        // What follows may have advice of its own: a command that fetches again what it had fetched.
        let later = cause.followers.iter().filter_map(|id| model.reason_of(*id));
        let mut advice: Vec<&Advice> = later.flat_map(|reason| &reason.advice).collect();
        advice.sort_by_key(|advice| (&advice.file, advice.line));
        advice.dedup();
        advice.retain(|advice| !cause.reason.advice.contains(advice));
        lines.extend(advice.into_iter().map(|advice| advised(advice, ascii)));
    }
    lines
}

/// Whether the builder has said what it does with any step.
fn has_begun(model: &Model) -> bool {
    model
        .stack()
        .steps()
        .any(|(id, _)| !matches!(model.state(id), State::Waiting | State::NotNeeded | State::NotReached))
}

/// How a build ended that did not make what was asked for, and what is known of why; nothing of one that did, and of a plan.
fn ending(model: &Model, ascii: bool) -> Vec<StyledLine> {
    let outcome = model.outcome();
    if model.is_plan() || outcome == Outcome::Success {
        return Vec::new();
    }
    let sign = Sign::of_outcome(outcome);
    let begun = has_begun(model);
    let what = match outcome {
        Outcome::Running => "the build has not ended",
        Outcome::Lost if begun => "how the build ended is not known",
        Outcome::Cancelled if begun => "the build was cancelled",
        Outcome::Failed | Outcome::Success if begun => "the build failed",
        Outcome::Cancelled => "the build was cancelled before its first step",
        _ => "the build did not begin",
    };
    let mut line = StyledLine::new().with(format!("{} ", sign.shape(ascii)), sign.role);
    line.push(what, Role::Strong);
    let error = error(model).filter(|_| outcome != Outcome::Cancelled);
    line.push(error.map(|error| format!(": {error}")).unwrap_or_default(), Role::Plain);
    if !begun {
        return vec![
            line,
            StyledLine::new().with("nothing was rebuilt, and nothing was cached", Role::Plain),
        ];
    }
    let counts = model.counts();
    let stopped = counts.of(State::Cancelled) + counts.of(State::Running);
    let open = counts.of(State::Waiting) + counts.of(State::NotReached);
    let words = match outcome {
        Outcome::Running => [("is running", "are running"), ("waits", "wait")],
        _ => [
            ("did not come to its end", "did not come to their end"),
            ("was not reached", "were not reached"),
        ],
    };
    let told: Vec<String> = [stopped, open]
        .into_iter()
        .zip(words)
        .filter(|(n, _)| *n > 0)
        .map(|(n, (one, more))| format!("{n} {}", if n == 1 { one } else { more }))
        .collect();
    let mut lines = vec![line];
    if !told.is_empty() {
        let text = format!("of {}, {}", words::count(counts.total, "step"), told.join(", "));
        lines.push(StyledLine::new().with(text, Role::Plain));
    }
    lines
}

/// What is known of why a build did not come to a good end: what layertop found out, else the step that failed, else what buildx said.
fn error(model: &Model) -> Option<String> {
    // The newest is about the end.
    let found = model.notices().rev().find(|notice| notice.level == Level::Error);
    let failure = model.failure();
    let step = failure.as_ref().and_then(|failure| failure.vertex);
    match (step, found, failure.as_ref()) {
        (Some(step), _, Some(failure)) => {
            let message = super::failure::message(failure);
            let why = super::failure::short(message.as_str());
            Some(format!("{}: {why}", super::label::of_vertex(model, step)))
        }
        (_, Some(found), _) => Some(found.text.to_string()),
        (_, None, Some(failure)) => {
            Some(super::failure::short(super::failure::message(failure).as_str()).to_owned())
        }
        (_, None, None) => None,
    }
}

/// A cache that could not be imported is the cause of no step where all hit all the same; the next build may have nothing else to hit.
fn failed_import(model: &Model) -> Option<StyledLine> {
    let import = CacheSummary::of(model).import;
    let error = import.error.filter(|_| import.state == TransferState::Failed)?;
    let line = StyledLine::new().with("! ", Role::Warn).with("cache import failed: ", Role::Strong);
    Some(line.with(error.as_str(), Role::Plain))
}

/// Where no step was rebuilt: all of them were cached, or those that the build came to.
fn nothing_missed(model: &Model) -> String {
    let counts = model.counts();
    let hits = counts.of(State::Hit);
    match model.outcome() {
        Outcome::Success => "nothing was rebuilt: every step was cached".to_owned(),
        _ if hits == 0 => "no step was rebuilt or cached before that".to_owned(),
        _ => format!(
            "nothing was rebuilt before that: {hits} of {} cached",
            words::count(counts.total, "step")
        ),
    }
}

/// Of a plan in which nothing is known to be rebuilt: why the rest is not known, each once.
fn untold(model: &Model) -> Vec<StyledLine> {
    let mut told: Vec<&Reason> = Vec::new();
    let mut lines = Vec::new();
    for (id, step) in model.planned_as(Prediction::Unknown) {
        let Some(reason) = &step.reason else { continue };
        if told.iter().any(|known| known.is_same(reason)) {
            continue;
        }
        told.push(reason);
        let text = format!("? {}: {}", label(model, id), reason.because);
        lines.push(StyledLine::new().with(text, Role::Plain));
    }
    if lines.is_empty() {
        lines.push(StyledLine::new().with("nothing would be rebuilt: every step is cached", Role::Plain));
    }
    lines
}

/// Steps that there is the same to say of, together: the same instruction on several platforms, which became the same for the same reason.
fn alike(model: &Model, steps: &[StepId]) -> Vec<Vec<StepId>> {
    let told = |id: StepId| {
        let step = model.stack().step(id)?;
        let name = (&step.name.target, &step.name.stage, &step.name.instruction);
        Some((name, model.state(id), Sign::of_step(model, id).word))
    };
    let is_same = |one: StepId, other: StepId| match (model.reason_of(one), model.reason_of(other)) {
        (Some(one), Some(other)) => one.grade == other.grade && one.is_same(other),
        (one, other) => one.is_none() && other.is_none(),
    };
    let is_alike = |one: StepId, other: StepId| told(one) == told(other) && is_same(one, other);
    let mut found: Vec<Vec<StepId>> = Vec::new();
    for id in steps {
        match found.iter_mut().find(|twins| twins.first().is_some_and(|twin| is_alike(*twin, *id))) {
            Some(twins) => twins.push(*id),
            None => found.push(vec![*id]),
        }
    }
    found
}

fn of_steps(model: &Model, steps: &[StepId], ascii: bool) -> Vec<StyledLine> {
    let mut lines = Vec::new();
    for twins in alike(model, steps) {
        let Some((id, step)) = twins.first().and_then(|id| Some((id, model.stack().step(*id)?))) else {
            continue;
        };
        let reason = model.reason_of(*id);
        let name = super::label::of_twins(model, *id, step, &twins);
        let instruction = words::instruction(step.name.instruction.as_str()).into_owned();
        if !lines.is_empty() {
            lines.push(StyledLine::new());
        }
        let sign = words::Sign::of_step(model, *id);
        let would = if model.is_plan() { "would be " } else { "" };
        let what = match reason {
            Some(reason) if !model.missed(*id) => format!("{name} {instruction}: {}", reason.because),
            Some(reason) => {
                let verb = verb_of(model, &twins, reason.kind);
                format!("{name} {instruction}: {would}{verb} {}", because(reason))
            }
            None => format!("{} {instruction}: {}", name, sign.word),
        };
        lines.push(
            StyledLine::new().with(format!("{} ", sign.shape(ascii)), sign.role).with(what, Role::Strong),
        );
        if let Some(reason) = reason {
            lines.extend(details(reason, ascii));
            lines.extend(root_of(model, reason, ascii));
        }
        if let Some(planned) = model.planned(*id).filter(|planned| planned.source.is_some()) {
            lines
                .push(StyledLine::new().with("  ", Role::Plain).with(planned.evidence.as_str(), Role::Plain));
        }
        if let Some(origin) = model.source_of(*id) {
            lines.push(
                StyledLine::new()
                    .with("  ", Role::Plain)
                    .with(super::origin::sentence(&origin.evidence).as_str(), Role::Plain),
            );
        }
    }
    lines
}

/// Why the step was rebuilt that a step follows from.
fn root_of(model: &Model, reason: &Reason, ascii: bool) -> Vec<StyledLine> {
    let Some(at) = &reason.follows else { return Vec::new() };
    let found = model.stack().steps().find(|(id, _)| model.digest_of(*id) == Some(&at.digest));
    let Some((id, step)) = found else { return Vec::new() };
    let Some(root) = model.reason_of(id) else { return Vec::new() };
    let text = format!(
        "{} {} {} {} {}",
        super::label::of_step(model, id, step),
        words::instruction(step.name.instruction.as_str()),
        if model.is_plan() { "would be" } else { "was" },
        verb_of(model, &[id], root.kind),
        because(root)
    );
    let mut lines = vec![StyledLine::new().with("  ", Role::Plain).with(text, Role::Strong)];
    lines.extend(details(root, ascii));
    lines
}

/// The grade, the evidence and the advice.
fn details(reason: &Reason, ascii: bool) -> Vec<StyledLine> {
    let mut lines = vec![
        StyledLine::new()
            .with("  ", Role::Plain)
            .with(format!("{} ({})", reason.kind.key(), grade(reason.grade)), Role::Dim),
    ];
    for evidence in &reason.evidence {
        lines.push(StyledLine::new().with("  - ", Role::Dim).with(evidence.text.as_str(), Role::Plain));
    }
    lines.extend(reason.advice.iter().map(|advice| advised(advice, ascii)));
    lines
}

fn advised(advice: &Advice, ascii: bool) -> StyledLine {
    let arrow = if ascii { "  > " } else { "  → " };
    let place = match (&advice.file, advice.line) {
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        (None, Some(line)) => format!("line {line}: "),
        (None, None) => String::new(),
    };
    StyledLine::new()
        .with(arrow, Role::Good)
        .with(place, Role::Strong)
        .with(advice.text.as_str(), Role::Plain)
}

/// The steps that are meant by a layer's name, a number, or a part of an instruction; in this order, and all platforms.
pub fn find(model: &Model, text: &str) -> Vec<StepId> {
    let rows = || model.stack().groups().iter().flat_map(|group| group.rows.iter().zip(1_u32..));
    // As it is written beside a step: `[4/5]`.
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    if text.is_empty() {
        return Vec::new();
    }
    let lower = text.to_lowercase();
    let named = |row: &crate::model::InstructionRow| {
        row.layer.as_ref().is_some_and(|layer| layer.as_str().to_lowercase() == lower)
    };
    let steps = |is_meant: &dyn Fn(&crate::model::InstructionRow, u32) -> bool| -> Vec<StepId> {
        rows().filter(|(row, at)| is_meant(row, *at)).flat_map(|(row, _)| row.steps.clone()).collect()
    };
    let by_layer = steps(&|row, _| named(row));
    if !by_layer.is_empty() {
        return by_layer;
    }
    if let Ok(number) = text.parse::<u32>() {
        return steps(&|_, at| at == number);
    }
    let parts = text.split_once('/').map(|(index, of)| (index.parse::<u16>(), of.parse::<u16>()));
    if let Some((Ok(index), Ok(of))) = parts {
        let is_it = |id: &StepId| {
            model.stack().step(*id).is_some_and(|step| (step.name.index, step.name.of) == (index, of))
        };
        return steps(&|row, _| row.steps.iter().any(is_it));
    }
    steps(&|row, _| row.instruction.as_str().to_lowercase().contains(&lower))
}

/// The names of the layers.
pub fn names(model: &Model) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for layer in
        model.stack().groups().iter().flat_map(|group| &group.rows).filter_map(|row| row.layer.as_ref())
    {
        if !names.iter().any(|known| known == layer.as_str()) {
            names.push(layer.to_string());
        }
    }
    names
}

/// What `layertop why --progress json` prints.
#[derive(Debug, Serialize)]
struct Why {
    r#type: &'static str,
    version: u64,
    build: Text,
    started: Option<Time>,
    image: Option<Text>,
    builder: Option<Text>,
    result: super::json::BuildResult,
    error: Option<String>,
    causes: Vec<CauseSummary>,
    steps: Vec<StepSummary>,
}

#[derive(Debug, Serialize)]
struct CauseSummary {
    sentence: String,
    kind: ReasonKind,
    grade: ReasonGrade,
    steps: Vec<Digest>,
    follow: Vec<Digest>,
    follow_layers: usize,
    run_ms: u64,
    cost_ms: Option<u64>,
}

/// The causes, and the steps with their reasons, as one JSON object on a line.
pub fn json(model: &Model, name: &Text, steps: Option<&[StepId]>) -> String {
    let digests =
        |ids: &[StepId]| ids.iter().filter_map(|id| model.digest_of(*id).cloned()).collect::<Vec<_>>();
    let wanted = steps.map(digests);
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let of = |cause: &RootCause| CauseSummary {
        sentence: sentence(model, cause),
        kind: cause.reason.kind,
        grade: cause.reason.grade,
        steps: digests(&cause.roots),
        follow: digests(&cause.followers),
        follow_layers: cause.layers,
        run_ms: millis(cause.time),
        cost_ms: (!model.is_plan()).then(|| millis(cause.cost)),
    };
    let mut all = summary(model, model.newest()).steps;
    all.retain(|step| match (&wanted, &step.digest) {
        (Some(wanted), Some(digest)) => wanted.contains(digest),
        (Some(_), None) => false,
        (None, _) => step.reason.is_some(),
    });
    let why = Why {
        r#type: "why",
        version: super::json::VERSION,
        build: name.clone(),
        started: model.begun(),
        image: model.started().image.clone(),
        builder: model.started().builder.clone(),
        result: model.outcome().into(),
        error: error(model).filter(|_| model.outcome() != Outcome::Success),
        causes: causes(model).iter().map(of).collect(),
        steps: all,
    };
    let mut line = serde_json::to_string(&why).unwrap_or_default();
    line.push('\n');
    line
}
