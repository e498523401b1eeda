//! Two builds side by side: each step's state, time, reason and size, and what the difference costs.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;

use super::json::{BuildResult, StepSummary, Summary, VERSION};
use super::styled::StyledLine;
use super::words::{self, Role, Sign};
use crate::event::{Platform, Reason, Text, Time};
use crate::model::{Outcome, Source, State};

/// What is shorter is no difference: moments differ from build to build.
const NOISE_MS: i64 = 100;

/// Causes that are told.
const MOST_REASONS: usize = 6;

/// Two builds.
#[derive(Debug, Serialize)]
pub struct Comparison {
    r#type: &'static str,
    version: u64,
    /// The first.
    pub a: Whole,
    /// The second.
    pub b: Whole,
    /// How much longer the second took, in ms.
    pub diff_ms: i64,
    /// The steps, those first whose times differ most.
    pub steps: Vec<Pair>,
}

/// A build as a whole.
#[derive(Debug, Serialize)]
pub struct Whole {
    /// Its recording.
    pub name: Text,
    /// Its image.
    pub image: Option<Text>,
    /// When it began.
    pub started: Option<Time>,
    /// How it ended.
    pub result: BuildResult,
    /// How long it took, in ms.
    pub wall_ms: u64,
    /// How long its steps ran, in all, in ms.
    pub run_ms: u64,
    /// How long blobs were fetched, in all, in ms.
    pub pull_ms: u64,
    /// Bytes fetched.
    pub pulled_bytes: u64,
    /// Steps that hit.
    pub hits: usize,
    /// All steps.
    pub total: usize,
}

/// A step in both builds.
#[derive(Debug, Serialize)]
pub struct Pair {
    /// Its stage.
    pub stage: Option<Text>,
    /// Its number in the stage; in the second build, where it is in both.
    pub index: u16,
    /// Its platform.
    pub platform: Option<Platform>,
    /// Its layer.
    pub layer: Option<Text>,
    /// Its instruction; that of the second build, where it is in both.
    pub instruction: Text,
    /// What became of it in the first; null where it is not in it.
    pub a: Option<Half>,
    /// What became of it in the second; null where it is not in it.
    pub b: Option<Half>,
    /// How much longer it took in the second, its pulls included, in ms.
    pub diff_ms: i64,
}

/// A step in one of the builds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Half {
    /// What became of it.
    pub state: State,
    /// Where a hit came from.
    pub source: Option<Source>,
    /// Time at work, in ms.
    pub run_ms: u64,
    /// Time in which blobs were fetched, in ms.
    pub pull_ms: u64,
    /// Bytes fetched for it; of a layer that the registry's cache has and that was not fetched, that layer's.
    pub bytes: u64,
    /// Why it was not cached.
    pub reason: Option<Reason>,
}

impl Half {
    fn of(step: &StepSummary) -> Self {
        let kept = step.cached_as.as_ref().map_or(0, |layer| layer.bytes);
        Self {
            state: step.state,
            source: step.source,
            run_ms: step.run_ms,
            pull_ms: step.pull_ms,
            bytes: if step.pulled_bytes > 0 { step.pulled_bytes } else { kept },
            reason: step.reason.clone(),
        }
    }

    fn took(&self) -> i64 {
        i64::try_from(self.run_ms.saturating_add(self.pull_ms)).unwrap_or(i64::MAX)
    }
}

impl Whole {
    fn of(name: Text, summary: &Summary) -> Self {
        let sum = |get: fn(&StepSummary) -> u64| summary.steps.iter().map(get).sum();
        Self {
            name,
            image: summary.image.clone(),
            started: summary.started,
            result: summary.result,
            wall_ms: summary.wall_ms,
            run_ms: sum(|step| step.run_ms),
            pull_ms: sum(|step| step.pull_ms),
            pulled_bytes: sum(|step| step.pulled_bytes),
            hits: summary.layers.hits,
            total: summary.layers.total,
        }
    }
}

impl Pair {
    fn of(a: Option<&StepSummary>, b: Option<&StepSummary>) -> Option<Self> {
        let shown = b.or(a)?;
        let (first, second) = (a.map(Half::of), b.map(Half::of));
        let took = |half: &Option<Half>| half.as_ref().map_or(0, Half::took);
        let diff_ms = took(&second).saturating_sub(took(&first));
        Some(Self {
            stage: shown.stage.clone(),
            index: shown.index,
            platform: shown.platform.clone(),
            layer: shown.layer.clone(),
            instruction: shown.instruction.clone(),
            a: first,
            b: second,
            diff_ms,
        })
    }

    /// Whether anything is worth a line.
    fn differs(&self) -> bool {
        match (&self.a, &self.b) {
            (Some(a), Some(b)) => {
                (a.state, a.source) != (b.state, b.source) || self.diff_ms.abs() >= NOISE_MS
            }
            _ => true,
        }
    }
}

/// Compares two builds by their names and summaries.
pub fn compare(a: (Text, &Summary), b: (Text, &Summary)) -> Comparison {
    let mut left: Vec<Option<&StepSummary>> = a.1.steps.iter().map(Some).collect();
    let mut right: Vec<Option<&StepSummary>> = vec![None; b.1.steps.len()];
    // What says the same is the same, wherever it stands; of the rest what stands in the same place.
    let text: Same = |a, b| instruction(a) == instruction(b);
    let place: Same = |a, b| a.index == b.index;
    for same in [text, place] {
        for (at, step) in
            b.1.steps.iter().enumerate().filter(|(at, _)| right[*at].is_none()).collect::<Vec<_>>()
        {
            let fits = |other: Option<&StepSummary>| {
                other.is_some_and(|other| {
                    (&other.target, &other.stage, &other.platform)
                        == (&step.target, &step.stage, &step.platform)
                        && same(other, step)
                })
            };
            right[at] = left.iter_mut().find(|other| fits(**other)).and_then(Option::take);
        }
    }
    let both = b.1.steps.iter().zip(&right).filter_map(|(step, other)| Pair::of(*other, Some(step)));
    let gone = left.iter().flatten().filter_map(|step| Pair::of(Some(step), None));
    let mut steps: Vec<Pair> = both.chain(gone).collect();
    steps.sort_by_key(|pair| std::cmp::Reverse(pair.diff_ms.unsigned_abs()));
    let wall = |summary: &Summary| i64::try_from(summary.wall_ms).unwrap_or(i64::MAX);
    Comparison {
        r#type: "comparison",
        version: VERSION,
        diff_ms: wall(b.1).saturating_sub(wall(a.1)),
        a: Whole::of(a.0, a.1),
        b: Whole::of(b.0, b.1),
        steps,
    }
}

type Same = fn(&StepSummary, &StepSummary) -> bool;

/// An instruction without the digest that a base image's tag points at.
fn instruction(step: &StepSummary) -> &str {
    step.instruction.as_str().split("@sha256:").next().unwrap_or_default()
}

/// The comparison as one JSON object on a line.
pub fn json(found: &Comparison) -> String {
    let mut line = serde_json::to_string(found).unwrap_or_default();
    line.push('\n');
    line
}

/// Widths of the table's columns.
struct Widths {
    label: usize,
    platform: usize,
    half: usize,
    diff: usize,
}

/// The comparison in lines no wider than `columns`, where that is 60 or more: both builds, what the second took longer, and the
/// steps that differ.
pub fn lines(found: &Comparison, columns: usize, ascii: bool) -> Vec<StyledLine> {
    let mut lines = vec![whole("A", &found.a, ascii), whole("B", &found.b, ascii)];
    let a = |get: fn(&Whole) -> u64| (get(&found.a), get(&found.b));
    let arrow = if ascii { "->" } else { "→" };
    let dot = if ascii { " - " } else { " · " };
    let time = |(a, b): (u64, u64)| format!("{} {arrow} {}", millis(a), millis(b));
    let (bytes_a, bytes_b) = a(|whole| whole.pulled_bytes);
    let verdict = match found.diff_ms {
        0 => "B took as long as A".to_owned(),
        diff if diff > 0 => format!("B took {} longer", millis(diff.unsigned_abs())),
        diff => format!("B took {} less", millis(diff.unsigned_abs())),
    };
    lines.push(StyledLine::new().with(verdict, Role::Strong).with(
        format!(
            "{dot}run {}{dot}pulled {} {arrow} {}",
            time(a(|whole| whole.run_ms)),
            words::bytes(bytes_a),
            words::bytes(bytes_b)
        ),
        Role::Plain,
    ));
    lines.extend(reasons(found));
    lines.push(StyledLine::new());
    let differing: Vec<&Pair> = found.steps.iter().filter(|pair| pair.differs()).collect();
    let widths = widths(&differing, columns);
    if !differing.is_empty() {
        let pad = |text: &str, width| words::pad_right(text, width);
        let title = format!(
            "{} {} {} {} {}",
            pad("what costs most first", widths.label),
            pad("", widths.platform),
            pad("A", widths.half),
            pad("B", widths.half),
            words::pad_left("B - A", widths.diff)
        );
        lines.push(StyledLine::new().with(title, Role::Dim));
    }
    lines.extend(differing.iter().map(|pair| row(pair, &widths, ascii)));
    let alike = found.steps.len() - differing.len();
    if alike > 0 {
        lines.push(StyledLine::new().with(format!("{} alike", words::count(alike, "step")), Role::Dim));
    }
    lines.into_iter().map(|line| line.cut(columns, ascii)).collect()
}

/// Why steps were not cached, in either of them: each cause once, for platforms miss for one, and what follows says so.
fn reasons(found: &Comparison) -> Vec<StyledLine> {
    let mut told: HashSet<String> = HashSet::new();
    let mut lines = Vec::new();
    for (name, get) in [("A", (|pair| &pair.a) as fn(&Pair) -> &Option<Half>), ("B", |pair| &pair.b)] {
        for pair in &found.steps {
            let reason = get(pair).as_ref().and_then(|half| half.reason.as_ref());
            let Some(reason) = reason.filter(|reason| reason.follows.is_none()) else { continue };
            let what = pair.layer.as_ref().unwrap_or(&pair.instruction);
            let text = format!("{name}: {what} because {}", reason.because);
            if told.insert(text.clone()) && lines.len() < MOST_REASONS {
                lines.push(StyledLine::new().with(text, Role::Plain));
            }
        }
    }
    lines
}

fn widths(rows: &[&Pair], columns: usize) -> Widths {
    let platform = rows.iter().filter_map(|pair| Some(words::width(pair.platform.as_ref()?.short()))).max();
    let (platform, half, diff) = (platform.unwrap_or(0).min(12), 20, 9);
    let label = columns.saturating_sub(platform + 2 * half + diff + 4).clamp(8, 48);
    Widths { label, platform, half, diff }
}

/// `A 20261122T… ● built in 8.8 s, 10 of 22 hit`.
fn whole(name: &str, whole: &Whole, ascii: bool) -> StyledLine {
    let outcome = match whole.result {
        BuildResult::Success => Outcome::Success,
        BuildResult::Failed => Outcome::Failed,
        BuildResult::Cancelled => Outcome::Cancelled,
        BuildResult::Lost => Outcome::Lost,
        BuildResult::Running => Outcome::Running,
    };
    let sign = Sign::of_outcome(outcome);
    let mut line = StyledLine::new().with(format!("{name} "), Role::Strong);
    line.push(format!("{} {}", sign.shape(ascii), sign.word), sign.role);
    line.push(format!(" in {}, {} of {} hit", millis(whole.wall_ms), whole.hits, whole.total), Role::Plain);
    line.push(format!("  {}", whole.name), Role::Dim);
    line
}

fn row(pair: &Pair, widths: &Widths, ascii: bool) -> StyledLine {
    let instruction = words::instruction(pair.instruction.as_str()).into_owned();
    let label = match &pair.layer {
        Some(layer) => format!("{layer}: {instruction}"),
        None => instruction,
    };
    let label = words::pad_right(&words::cut_to(&label, widths.label, ascii), widths.label);
    let platform = pair.platform.as_ref().map_or("", |platform| platform.short());
    let platform = words::pad_right(&words::cut_to(platform, widths.platform, ascii), widths.platform);
    let mut line = StyledLine::new().with(format!("{label} {platform} "), Role::Plain);
    for half in [&pair.a, &pair.b] {
        push_half(half.as_ref(), widths.half, ascii, &mut line);
    }
    let sign = if pair.diff_ms < 0 { "-" } else { "+" };
    let (text, role) = match pair.diff_ms {
        diff if diff.abs() < NOISE_MS => (String::new(), Role::Plain),
        diff => {
            let role = if diff > 0 { Role::Warn } else { Role::Good };
            (format!("{sign}{}", millis(diff.unsigned_abs())), role)
        }
    };
    line.push(words::pad_left(&text, widths.diff), role);
    line
}

/// `○ ran 4.2 s`, `● hit local 24 MB`.
fn push_half(half: Option<&Half>, width: usize, ascii: bool, line: &mut StyledLine) {
    let Some(half) = half else {
        line.push(words::pad_right("not in it", width + 1), Role::Dim);
        return;
    };
    let sign = Sign::of_state(half.state, Outcome::Success);
    let mut text = format!("{} {}", sign.shape(ascii), sign.word);
    if let Some(source) = half.source.filter(|source| *source != Source::Unknown) {
        text.push(' ');
        text.push_str(source.key());
    }
    if half.took() >= NOISE_MS {
        text.push(' ');
        text.push_str(&millis(half.took().unsigned_abs()));
    } else if half.bytes > 0 {
        text.push(' ');
        text.push_str(&words::bytes(half.bytes));
    }
    line.push(words::pad_right(&words::cut_to(&text, width, ascii), width + 1), sign.role);
}

fn millis(millis: u64) -> String {
    words::duration(Duration::from_millis(millis))
}
