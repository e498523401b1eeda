//! What stays in the scrollback after the screen has closed.

use std::path::Path;

use super::cache::{CacheSummary, TransferState, TransferSummary};
use super::estimate::CacheSavings;
use super::styled::StyledLine;
use super::table::{LayerRow, LayerTable, TableWidths};
use super::tally::Tally;
use super::words::{self, Role, Sign};
use super::{failure, label};
use crate::event::{Level, Platform, Text, Time};
use crate::model::{Model, Outcome};

/// Lines in all, the recording's among them, where there is no more than that to say.
const MOST_LINES: usize = 20;

/// Layers that are named in any case.
const LEAST_LAYERS: usize = 3;

/// Warnings that are named; the result line has their number.
const MOST_WARNINGS: usize = 3;

/// Platforms that are counted one by one.
const MOST_PLATFORMS: usize = 4;

/// Of a failure, what fits beside the rest.
const FAILURE: failure::FailureLimits = failure::FailureLimits { logs: 5, excerpt: 3, columns: 0 };

/// How the build ended, in at most `MOST_LINES` lines that are no wider than `columns`: the result, hits and misses a
/// platform, what is wrong with the cache, warnings, the layers that missed, the slowest first, and why it failed.
/// The last line, which alone may be wider so that it can be copied, has the recording's path.
pub fn lines(
    model: &Model,
    now: Time,
    recording: Option<&Path>,
    columns: usize,
    ascii: bool,
) -> Vec<StyledLine> {
    let mut head = vec![result(model, now, ascii)];
    head.extend(cut(model));
    head.extend(platforms(model, ascii));
    let cache = CacheSummary::of(model);
    head.extend(transfer_problem("! cache import failed: ", &cache.import, columns, ascii));
    head.extend(transfer_problem("! cache export failed: ", &cache.export, columns, ascii));
    head.extend(warnings(model, ascii));
    let limits = failure::FailureLimits { columns, ..FAILURE };
    let tail = model.failure().map_or(Vec::new(), |why| failure::lines(model, &why, &limits, ascii));
    let last = recording.map(|path| {
        let path = Text::clean(&path.to_string_lossy());
        StyledLine::new().with("recording: ", Role::Dim).with(path.as_str(), Role::Plain)
    });
    // The table's heading and the line that says what was left out are lines too.
    let left = MOST_LINES.saturating_sub(head.len() + tail.len() + usize::from(last.is_some()) + 2);
    head.extend(layers(model, now, left.max(LEAST_LAYERS), columns, ascii));
    head.extend(tail);
    let mut lines: Vec<_> = head.into_iter().map(|line| line.cut(columns, ascii)).collect();
    lines.extend(last);
    lines
}

/// Why nobody knows how a build ended: the last warning, where there is one.
pub fn cut(model: &Model) -> Option<StyledLine> {
    let warning = model.notices().rev().find(|notice| notice.level == Level::Warn)?;
    let lost = model.outcome() == Outcome::Lost;
    lost.then(|| StyledLine::new().with("  ", Role::Plain).with(warning.text.as_str(), Role::Warn))
}

/// Hits and misses of each platform, which add up to those of the build; nothing where there is one only, for the result line has them.
fn platforms(model: &Model, ascii: bool) -> Vec<StyledLine> {
    let columns = model.platforms();
    if columns.len() < 2 {
        return Vec::new();
    }
    let name = |column: &Option<Platform>| {
        column.as_ref().map_or_else(|| words::NO_PLATFORM.to_owned(), ToString::to_string)
    };
    let wide = columns.iter().map(|column| words::width(&name(column))).max().unwrap_or(0);
    let line = |column: &Option<Platform>| {
        platform_line(model, column.as_ref(), &words::pad_right(&name(column), wide), ascii)
    };
    let mut lines: Vec<_> = columns.iter().take(MOST_PLATFORMS).map(line).collect();
    if columns.len() > MOST_PLATFORMS {
        let more = columns.len() - MOST_PLATFORMS;
        lines
            .push(StyledLine::new().with(format!("  {} and {more} more", words::ellipsis(ascii)), Role::Dim));
    }
    lines
}

fn platform_line(model: &Model, platform: Option<&Platform>, name: &str, ascii: bool) -> StyledLine {
    let mut line = StyledLine::new().with(format!("  {name}"), Role::Dim);
    for (sign, count) in Sign::counted(&model.counts_on(platform)) {
        line.push("  ", Role::Plain);
        line.push(format!("{} {count} {}", sign.shape(ascii), sign.word), sign.role);
    }
    line
}

/// A failed import ends nothing and is easily overlooked, though everything misses because of it.
fn transfer_problem(what: &str, side: &TransferSummary, columns: usize, ascii: bool) -> Option<StyledLine> {
    if side.state != TransferState::Failed {
        return None;
    }
    let error = side.error.as_ref().map_or("", |error| error.as_str());
    let error = words::squeeze(error, columns.saturating_sub(words::width(what)), ascii);
    Some(StyledLine::new().with(what, Role::Warn).with(error, Role::Plain))
}

fn warnings(model: &Model, ascii: bool) -> Vec<StyledLine> {
    let all = model.warnings();
    let line =
        |warning| StyledLine::new().with("! ", Role::Warn).with(label::of_warning(warning), Role::Plain);
    let mut lines: Vec<_> = all.iter().take(MOST_WARNINGS).map(line).collect();
    if let Some(more) = all.len().checked_sub(MOST_WARNINGS).filter(|more| *more > 0) {
        let text = format!("  {} and {}", words::ellipsis(ascii), words::count(more, "more warning"));
        lines.push(StyledLine::new().with(text, Role::Dim));
    }
    lines
}

/// The layers that missed, the slowest first.
fn layers(model: &Model, now: Time, most: usize, columns: usize, ascii: bool) -> Vec<StyledLine> {
    let table = LayerTable::of(model, now);
    let mut missed: Vec<&LayerRow> = table.rows().filter(|row| row.missed()).collect();
    if missed.is_empty() {
        return Vec::new();
    }
    missed.sort_by_key(|row| std::cmp::Reverse(row.worst()));
    let head = if missed.len() > 1 { "slowest first" } else { "layer" };
    let shown = missed.get(..most).unwrap_or(&missed);
    let layout = TableWidths::of(&table, shown.iter().copied(), head, ascii);
    let layout = layout.fit(table.platforms.len(), columns.saturating_sub(2));
    let indented = |line: &StyledLine| {
        let mut indented = StyledLine::new().with("  ", Role::Plain);
        for (text, role) in line.pieces() {
            indented.push(text, role);
        }
        indented
    };
    let mut lines: Vec<_> = layout.heading(&table.platforms).iter().map(indented).collect();
    lines.extend(shown.iter().map(|row| indented(&layout.row(row))));
    if missed.len() > shown.len() {
        let more = words::count(missed.len() - shown.len(), "more layer");
        lines.push(StyledLine::new().with(format!("  {} and {more}", words::ellipsis(ascii)), Role::Dim));
    }
    lines
}

/// `● built in 1:42 · saved 9:40 (85 %, 6.7×) · 2 of 22 rebuilt · cache imported, exported · 2 warnings`.
pub fn result(model: &Model, now: Time, ascii: bool) -> StyledLine {
    let outcome = model.outcome();
    let sign = Sign::of_outcome(outcome);
    let wall = words::duration(model.wall(now));
    // Only a replay is left before its build has ended.
    let word = if outcome == Outcome::Running { "replay left" } else { sign.word };
    let preposition = if outcome == Outcome::Success { "in" } else { "after" };
    let mut line = StyledLine::new().with(format!("{} {word}", sign.shape(ascii)), sign.role);
    line.push(format!(" {preposition} {wall}"), Role::Strong);
    if let (Outcome::Failed, Some(code)) = (outcome, model.exit_code()) {
        line.push(format!(" with exit code {code}"), Role::Plain);
    }
    let dot = if ascii { " - " } else { " · " };
    if let Some(saved) = CacheSavings::of(model).and_then(|saved| saved.text(ascii)) {
        line.push(dot, Role::Plain).push(saved, Role::Good);
    }
    if let Some(tally) = Tally::of(model) {
        line.push(format!("{dot}{}", tally.text()), Role::Plain);
    }
    let cache = CacheSummary::of(model);
    let sides = [
        (&cache.import, "imported", "cache import failed"),
        (&cache.export, "exported", "cache export failed"),
    ];
    let good: Vec<&str> =
        sides.iter().filter(|side| side.0.state == TransferState::Ok).map(|side| side.1).collect();
    if !good.is_empty() {
        line.push(format!("{dot}cache {}", good.join(", ")), Role::Plain);
    }
    if cache.import.state == TransferState::NotThere {
        line.push(format!("{dot}no cache there yet"), Role::Plain);
    }
    for (_, _, bad) in sides.iter().filter(|side| side.0.state == TransferState::Failed) {
        line.push(dot, Role::Plain).push(*bad, Role::Warn);
    }
    if !model.warnings().is_empty() {
        line.push(dot, Role::Plain);
        line.push(words::count(model.warnings().len(), "warning"), Role::Warn);
    }
    line
}
