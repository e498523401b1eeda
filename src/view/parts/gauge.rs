//! Numbers as they are seen at a glance: sparklines, bars, shares, times.

use std::time::Duration;

use crate::report::styled::StyledLine;
use crate::report::words::{self, Role};

const LEVELS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_LEVELS: [&str; 8] = ["_", ".", ":", "-", "=", "+", "*", "#"];

/// The newest values in at most `width` columns, the newest to the right; what is `full` or more is a full column, and what is not
/// known a cross.
pub(super) fn spark(
    values: impl DoubleEndedIterator<Item = Option<f64>>,
    width: usize,
    full: f64,
    ascii: bool,
) -> StyledLine {
    let newest: Vec<Option<f64>> = values.rev().take(width).collect();
    let top = newest.iter().flatten().copied().fold(full, f64::max);
    let mut line = StyledLine::new();
    let levels = if ascii { ASCII_LEVELS } else { LEVELS };
    for value in newest.iter().rev() {
        match value {
            Some(value) => {
                let level = (value / top * 7.0).round().clamp(0.0, 7.0) as usize;
                line.push(levels[level.min(7)], Role::Busy);
            }
            None => drop(line.push(if ascii { "x" } else { "×" }, Role::Bad)),
        }
    }
    line
}

/// A share as a bar of `width` columns.
pub(super) fn bar(share: f64, width: usize, role: Role, ascii: bool) -> StyledLine {
    let filled = ((share * width as f64).round().max(0.0) as usize).min(width);
    let (on, off) = if ascii { ("#", ".") } else { ("▓", "░") };
    StyledLine::new().with(on.repeat(filled), role).with(off.repeat(width - filled), Role::Dim)
}

/// How a share is to be taken: what is nearly full is a warning.
pub(super) fn role(share: f64) -> Role {
    if share >= 0.9 { Role::Warn } else { Role::Plain }
}

/// ` 41 %`, five columns; empty ones where it is not known.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "    –".to_owned(), |share| format!("{:>3.0} %", (share * 100.0).clamp(0.0, 999.0)))
}

/// `0.4 ms`, `12 ms`, `1.2 s`: how long something takes to answer.
pub(super) fn latency(micros: u64) -> String {
    match micros {
        0..9_950 => format!("{:.1} ms", micros as f64 / 1e3),
        9_950..999_500 => format!("{:.0} ms", micros as f64 / 1e3),
        _ => words::duration(Duration::from_micros(micros)),
    }
}

/// `41 of 60 GB`; `900 MB of 60 GB`.
pub(super) fn of(part: u64, whole: u64) -> String {
    let (part, whole) = (words::bytes(part), words::bytes(whole));
    match (part.split_once(' '), whole.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} of {whole}"),
        _ => format!("{part} of {whole}"),
    }
}

/// `+1.2 MB`, `-300 kB`.
pub(super) fn growth(bytes: i64) -> String {
    let sign = if bytes < 0 { "-" } else { "+" };
    format!("{sign}{}", words::bytes(bytes.unsigned_abs()))
}

/// `12 MB/s`.
pub(super) fn rate(bytes: f64) -> String {
    format!("{}/s", words::bytes(bytes.max(0.0) as u64))
}

/// `2 min old`, `new`.
pub(super) fn old(age: Duration) -> String {
    match words::age(age).as_str() {
        "now" => "new".to_owned(),
        age => format!("{age} old"),
    }
}

/// `2 min ago`, `now`.
pub(super) fn ago(age: Duration) -> String {
    match words::age(age).as_str() {
        "now" => "now".to_owned(),
        age => format!("{age} ago"),
    }
}

/// A pair of lines, one behind the other.
pub(super) fn join(line: StyledLine, more: &StyledLine) -> StyledLine {
    more.pieces().fold(line, |line, (text, role)| line.with(text, role))
}
