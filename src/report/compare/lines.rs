//! A comparison in lines: both builds, what the second took longer and why, and the steps that differ.

use std::collections::HashSet;
use std::time::Duration;

use super::{BuildTotals, ComparedStep, Comparison, NOISE_MS, StepPair};
use crate::event::Text;
use crate::model::{Outcome, Source, State};
use crate::report::json::BuildResult;
use crate::report::styled::StyledLine;
use crate::report::tally::Tally;
use crate::report::why;
use crate::report::words::{self, Role, Sign};

/// Causes that are told.
const MOST_REASONS: usize = 6;

/// From here on there is room for a step's size beside its time, and for its reason.
const WIDE: usize = 110;

/// Below this there is room for what became of a step, and not for where it came from.
const NARROW: usize = 72;

/// Below this there is room for what became of it in the second build alone.
const NARROWEST: usize = 52;

/// Widths of the table's columns.
struct PairWidths {
    label: usize,
    platform: usize,
    half: usize,
    /// Whether the first build has a column.
    has_a: bool,
    diff: usize,
    /// Why it was not cached; nothing where there is no room.
    why: usize,
}

impl PairWidths {
    fn of(rows: &[&StepPair], columns: usize) -> Self {
        let platform =
            rows.iter().filter_map(|pair| Some(words::width(pair.platform.as_ref()?.short()))).max();
        let platform = platform.unwrap_or(0).min(12);
        let is_wide = columns >= WIDE;
        let half = match columns {
            WIDE.. => 24,
            NARROW.. => 20,
            _ => 12,
        };
        let (diff, has_a) = (9, columns >= NARROWEST);
        let halves = (half + 1) * if has_a { 2 } else { 1 };
        let rest = columns.saturating_sub(platform + halves + diff + 2);
        let label = if is_wide { rest / 2 } else { rest }.clamp(8, 48);
        let why = if is_wide { rest.saturating_sub(label + 2) } else { 0 };
        Self { label, platform, half, has_a, diff, why }
    }
}

/// The comparison in lines no wider than `columns`: both builds, what the second took longer, and the steps that differ.
pub fn lines(found: &Comparison, columns: usize, ascii: bool) -> Vec<StyledLine> {
    let mut lines = vec![whole("A", &found.a, ascii), whole("B", &found.b, ascii), verdict(found, ascii)];
    lines.extend(reasons(found));
    lines.push(StyledLine::new());
    let differing: Vec<&StepPair> = found.steps.iter().filter(|pair| pair.differs()).collect();
    let widths = PairWidths::of(&differing, columns);
    if !differing.is_empty() {
        let pad = |text: &str, width| words::pad_right(&words::cut_to(text, width, ascii), width);
        let title = format!(
            "{} {} {}{} {}{}",
            pad("what costs most", widths.label),
            pad("", widths.platform),
            if widths.has_a { pad("A", widths.half + 1) } else { String::new() },
            pad("B", widths.half),
            words::pad_left("B - A", widths.diff),
            if widths.why > 0 { "  why" } else { "" },
        );
        lines.push(StyledLine::new().with(title, Role::Dim));
    }
    for pair in &differing {
        lines.push(row(pair, &widths, ascii));
        lines.extend(pair.instruction_a.as_ref().map(|text| other_instruction(text.as_str())));
    }
    let waiting = |pair: &&StepPair| pair.b.as_ref().is_some_and(|half| half.state == State::Waiting);
    let waiting = found.steps.iter().filter(waiting).count();
    if waiting > 0 {
        lines.push(
            StyledLine::new().with(format!("{} of B to come", words::count(waiting, "step")), Role::Dim),
        );
    }
    let alike = found.steps.len().saturating_sub(differing.len() + waiting);
    if alike > 0 {
        lines.push(StyledLine::new().with(format!("{} alike", words::count(alike, "step")), Role::Dim));
    }
    lines.into_iter().map(|line| line.cut(columns, ascii)).collect()
}

/// `A ● built in 8.8 s, 10 of 22 hit  20261122T…`.
fn whole(name: &str, whole: &BuildTotals, ascii: bool) -> StyledLine {
    let (outcome, preposition) = match whole.result {
        BuildResult::Success => (Outcome::Success, "in"),
        BuildResult::Failed => (Outcome::Failed, "after"),
        BuildResult::Cancelled => (Outcome::Cancelled, "after"),
        BuildResult::Lost => (Outcome::Lost, "after"),
        BuildResult::Running => (Outcome::Running, "for"),
    };
    let sign = Sign::of_outcome(outcome);
    let mut line = StyledLine::new().with(format!("{name} "), Role::Strong);
    line.push(format!("{} {}", sign.shape(ascii), sign.word), sign.role);
    let took = millis(whole.wall_ms);
    let of_all = Tally::of_whole(whole).text();
    line.push(format!(" {preposition} {took}, {of_all}"), Role::Plain);
    line.push(format!("  {}", whole.name), Role::Dim);
    line
}

/// What the second took longer, and what of it was running and pulling.
fn verdict(found: &Comparison, ascii: bool) -> StyledLine {
    let arrow = if ascii { "->" } else { "→" };
    let dot = if ascii { " - " } else { " · " };
    // The difference of what stands above it, which has been cut to what is shown.
    let (a, b) = (shown(found.a.wall_ms), shown(found.b.wall_ms));
    let verdict = match found.diff_ms {
        _ if found.b.result == BuildResult::Running => "B goes on".to_owned(),
        diff if diff.abs() < NOISE_MS || a == b => "B took as long as A".to_owned(),
        diff if diff > 0 => format!("B took {} longer", millis(b.saturating_sub(a))),
        _ => format!("B took {} less", millis(a.saturating_sub(b))),
    };
    let run = format!("{} {arrow} {}", millis(found.a.run_ms), millis(found.b.run_ms));
    let pulled =
        format!("{} {arrow} {}", words::bytes(found.a.pulled_bytes), words::bytes(found.b.pulled_bytes));
    StyledLine::new()
        .with(verdict, Role::Strong)
        .with(format!("{dot}run {run}{dot}pulled {pulled}"), Role::Plain)
}

/// What became of a step in one of the builds, and its instruction there.
type SelectStep = fn(&StepPair) -> (Option<&ComparedStep>, &Text);

/// Why steps were not cached, in either of them: each cause once, for platforms miss for one, and what follows says so.
fn reasons(found: &Comparison) -> Vec<StyledLine> {
    let mut told: HashSet<String> = HashSet::new();
    let mut lines = Vec::new();
    let of_a: SelectStep = |pair| (pair.a.as_ref(), pair.instruction_in_a());
    let of_b: SelectStep = |pair| (pair.b.as_ref(), &pair.instruction);
    for (name, of) in [("A", of_a), ("B", of_b)] {
        for pair in &found.steps {
            let (half, instruction) = of(pair);
            let Some(reason) = half.and_then(|half| half.reason.as_ref()).filter(|reason| reason.root) else {
                continue;
            };
            let what = pair.layer.as_ref().unwrap_or(instruction);
            let text = format!("{name}: {what} {}", why::because(reason));
            if told.insert(text.clone()) && lines.len() < MOST_REASONS {
                lines.push(StyledLine::new().with(text, Role::Plain));
            }
        }
    }
    lines
}

/// What the step's instruction is in the first build, under the row that names it by the second's.
fn other_instruction(text: &str) -> StyledLine {
    StyledLine::new().with(format!("  in A: {}", words::instruction(text)), Role::Dim)
}

fn row(pair: &StepPair, widths: &PairWidths, ascii: bool) -> StyledLine {
    let instruction = words::instruction(pair.instruction.as_str()).into_owned();
    let label = match &pair.layer {
        Some(layer) => format!("{layer}: {instruction}"),
        None => instruction,
    };
    let label = words::pad_right(&words::cut_to(&label, widths.label, ascii), widths.label);
    let platform = pair.platform.as_ref().map_or("", |platform| platform.short());
    let platform = words::pad_right(&words::cut_to(platform, widths.platform, ascii), widths.platform);
    let mut line = StyledLine::new().with(format!("{label} {platform} "), Role::Plain);
    let halves = [(&pair.a, pair.instruction_in_a()), (&pair.b, &pair.instruction)];
    for (half, text) in halves.into_iter().skip(usize::from(!widths.has_a)) {
        push_half(half.as_ref(), text.as_str(), widths, ascii, &mut line);
    }
    let (text, role) = difference(pair);
    line.push(words::pad_left(&text, widths.diff), role);
    let reason = [&pair.b, &pair.a].into_iter().flatten().find_map(|half| half.reason.as_ref());
    if let Some(reason) = reason.filter(|_| widths.why > 0) {
        let why = words::cut_to(reason.because.as_str(), widths.why, ascii);
        line.push(format!("  {why}"), if reason.root { Role::Plain } else { Role::Dim });
    }
    line
}

/// `+5.5 s`: the difference of what is shown of both times. Nothing where it is noise.
fn difference(pair: &StepPair) -> (String, Role) {
    let took =
        |half: &Option<ComparedStep>| half.as_ref().map_or(0, |half| shown(half.took().unsigned_abs()));
    let (a, b) = (took(&pair.a), took(&pair.b));
    match pair.diff_ms {
        diff if diff.abs() < NOISE_MS || a == b => (String::new(), Role::Plain),
        diff if diff > 0 => (format!("+{}", millis(b.saturating_sub(a))), Role::Warn),
        _ => (format!("-{}", millis(a.saturating_sub(b))), Role::Good),
    }
}

/// `○ ran 4.2 s`, `● hit local 24 MB`.
fn push_half(
    half: Option<&ComparedStep>,
    text: &str,
    widths: &PairWidths,
    ascii: bool,
    line: &mut StyledLine,
) {
    let width = widths.half;
    let Some(half) = half else {
        line.push(words::pad_right("not in it", width + 1), Role::Dim);
        return;
    };
    let sign = Sign::of_step_state(half.state, text);
    let mut text = format!("{} {}", sign.shape(ascii), sign.word);
    if let Some(source) = half.source.filter(|source| *source != Source::Unknown && width >= 20) {
        text.push(' ');
        text.push_str(source.key());
    }
    let took = half.took() >= NOISE_MS;
    if took {
        text.push(' ');
        text.push_str(&millis(half.took().unsigned_abs()));
    }
    if half.bytes > 0 && (!took || widths.why > 0) {
        text.push(' ');
        text.push_str(&words::bytes(half.bytes));
    }
    line.push(words::pad_right(&words::cut_to(&text, width, ascii), width + 1), sign.role);
}

/// As much of a time as is shown of it.
fn shown(millis: u64) -> u64 {
    let unit = if millis < 60_000 { 100 } else { 1000 };
    millis / unit * unit
}

fn millis(millis: u64) -> String {
    words::duration(Duration::from_millis(millis))
}
