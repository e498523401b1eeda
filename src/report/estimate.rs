//! Estimates in words: how long it still takes, what the cache saved, what is slower than usual.
//!
//! They are rounded more than what was measured is, and say so: `≈` before what is expected, `≥` where something of it is not
//! known.

use std::time::Duration;

use super::words::{Role, Sign, times};
use crate::model::{Basis, Estimate, Expectation, Model, StepEstimate, StepId, TimeLeft};

/// A saving below this is none to speak of.
const LEAST_SAVED: Duration = Duration::from_secs(1);

/// Nor is one of less than a twentieth.
const LEAST_SPEEDUP: f64 = 1.05;

/// What is expected to take less is not told as a second.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// What a running step looks like that takes longer than it ever does.
pub const SLOW: Sign = Sign::new("▲", "^", "slow", Role::Warn);

/// No estimated duration is written wider than this.
pub const WIDTH: usize = 9;

/// What the cache saved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CacheSavings {
    /// Wall time that it would have taken longer without.
    pub time: Duration,
    /// How many times as long it would have taken.
    pub speedup: f64,
    /// How long that is in all.
    pub without: Duration,
    /// Nobody knows how long some of the cached steps run: it saved more than said.
    pub at_least: bool,
}

impl CacheSavings {
    /// What the cache saved a build that made what was asked for; none where that can't be told.
    pub fn of(model: &Model) -> Option<Self> {
        let found = model.without_cache()?;
        let wall = model.wall(model.ended().unwrap_or(model.newest()));
        let at_least = found.unknown > 0;
        // Of next to nothing nothing is told.
        if at_least && found.wall <= wall {
            return None;
        }
        Some(Self { at_least, ..Self::between(found.wall, wall) })
    }

    /// What a build saved that took so long, and would have taken so long without its cache. Both count in whole milliseconds, as the
    /// history keeps them.
    pub fn between(without: Duration, wall: Duration) -> Self {
        let whole =
            |time: Duration| Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let (without, wall) = (whole(without), whole(wall));
        let speedup = without.as_secs_f64() / wall.as_secs_f64().max(0.001);
        Self { time: without.saturating_sub(wall), speedup, without, at_least: false }
    }

    /// Itself, where it is worth a word.
    #[must_use]
    pub fn if_significant(self) -> Option<Self> {
        (self.time >= LEAST_SAVED && self.speedup >= LEAST_SPEEDUP).then_some(self)
    }

    /// `saved 9:40 (81 %, 5.2×)`; none where it is not worth a word.
    pub fn text(&self, ascii: bool) -> Option<String> {
        self.if_significant()?;
        Some(format!("saved {}", self.amount(ascii)))
    }

    /// `9:40 (81 %, 5.2×)`: the time, its share of what the build would have taken, and how many times as long that is.
    pub fn amount(&self, ascii: bool) -> String {
        format!("{} ({}, {})", self.time_text(ascii), self.share(), times(self.speedup, ascii))
    }

    /// `9:40`, or `≥ 9:40`: written as the times that it lies between are, so that they add up.
    pub fn time_text(&self, ascii: bool) -> String {
        let sign = if self.at_least { format!("{} ", at_least(ascii)) } else { String::new() };
        format!("{sign}{}", super::words::duration(self.time))
    }

    /// `81 %`: what share it saved of the time that the build would have taken.
    pub fn share(&self) -> String {
        let millis = |time: Duration| usize::try_from(time.as_millis()).unwrap_or(usize::MAX / 200);
        super::words::percent(millis(self.time), millis(self.without).max(1)).unwrap_or_default()
    }
}

/// `12 s`, `1:30`, `1:02:03`: a time that is not known to the tenth of a second. It is rounded up: what still takes a moment is
/// not over.
pub fn rough(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match seconds {
        0..60 => format!("{} s", seconds.max(1)),
        _ => super::words::duration(Duration::from_secs(seconds)),
    }
}

fn about(ascii: bool) -> &'static str {
    if ascii { "~" } else { "≈" }
}

fn at_least(ascii: bool) -> &'static str {
    if ascii { ">=" } else { "≥" }
}

/// `≈ 6 s`, and of what is next to nothing `< 1 s`.
fn roughly(time: Duration, ascii: bool) -> String {
    if time < HALF_A_SECOND { "< 1 s".to_owned() } else { format!("{} {}", about(ascii), rough(time)) }
}

/// `≈ 6:10`, or `≥ 6:10` where something has no history.
pub fn left(left: TimeLeft, ascii: bool) -> String {
    let sign = if left.at_least { at_least(ascii) } else { about(ascii) };
    format!("{sign} {}", rough(left.time))
}

/// `≈ 6 s`, `≥ 6 s` where something is not known, `< 1 s`: how long what has not begun is expected to take. None where nothing is known.
pub fn forecast(told: TimeLeft, ascii: bool) -> Option<String> {
    match told {
        TimeLeft { time: Duration::ZERO, at_least: true } => None,
        TimeLeft { time, at_least: false } => Some(roughly(time, ascii)),
        told => Some(left(told, ascii)),
    }
}

/// `≈ 1:30`, `< 1 s`: what a running step still takes, or a waiting one in all; with a question mark where another instruction tells it.
pub fn step(told: &StepEstimate, ascii: bool) -> String {
    let doubt = if told.basis == Basis::Layer { "?" } else { "" };
    format!("{}{doubt}", roughly(told.left, ascii))
}

/// `≈ 1:30`, `< 1 s`: what a step takes in all.
pub fn expected(told: &Expectation, ascii: bool) -> String {
    let doubt = if told.basis == Basis::Layer { "?" } else { "" };
    format!("{}{doubt}", roughly(told.median, ascii))
}

/// `2.4× slower than usual`.
pub fn slower(factor: f64, ascii: bool) -> String {
    format!("{} slower than usual", times(factor, ascii))
}

/// How far a step is, in so many columns: those that are filled.
pub fn filled(told: &StepEstimate, columns: usize) -> usize {
    let all = told.expected.as_secs_f64();
    let done = if all > 0.0 { 1.0 - told.left.as_secs_f64() / all } else { 0.0 };
    ((done * columns as f64) as usize).min(columns)
}

/// The running steps that are slower than usual, the slowest first.
pub fn slow(model: &Model, estimate: &Estimate) -> Vec<(StepId, f64)> {
    let running = |id: &StepId| model.state(*id) == crate::model::State::Running;
    let slow = estimate.steps.iter().filter(|(id, _)| running(id));
    let mut slow: Vec<(StepId, f64)> =
        slow.filter_map(|(id, told)| told.slower.map(|factor| (*id, factor))).collect();
    slow.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    slow
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words;

    #[test]
    fn estimates_are_rounded_up() {
        for (millis, expected) in
            [(0, "1 s"), (999, "1 s"), (1001, "2 s"), (59_001, "1:00"), (370_000, "6:10")]
        {
            assert_eq!(rough(Duration::from_millis(millis)), expected);
        }
        for millis in [0, 59_000, 3_599_999, 359_999_999, u64::MAX] {
            assert!(words::width(&rough(Duration::from_millis(millis))) <= WIDTH);
        }
    }

    #[test]
    fn a_forecast_says_how_much_of_it_is_known() {
        let told = |millis, at_least| {
            forecast(TimeLeft { time: Duration::from_millis(millis), at_least }, false).unwrap_or_default()
        };
        assert_eq!(
            (told(100, false), told(0, false), told(0, true)),
            ("< 1 s".into(), "< 1 s".into(), String::new())
        );
        assert_eq!((told(7_600, true), told(13_450, false)), ("≥ 8 s".to_owned(), "≈ 14 s".to_owned()));
    }

    #[test]
    fn factors() {
        assert_eq!((times(5.24, false), times(30.2, false)), ("5.2×".to_owned(), "30×".to_owned()));
        assert_eq!((times(9.96, true), slower(2.41, false)), ("10x".into(), "2.4× slower than usual".into()));
    }

    #[test]
    fn what_saved_next_to_nothing_saved_nothing() {
        let saved = |millis, speedup| CacheSavings {
            time: Duration::from_millis(millis),
            speedup,
            without: Duration::from_millis(millis + millis / 4),
            at_least: false,
        };
        assert_eq!(saved(999, 9.0).text(false), None);
        assert_eq!(saved(60_000, 1.01).text(false), None);
        assert_eq!(saved(580_000, 5.2).text(false).as_deref(), Some("saved 9:40 (80 %, 5.2×)"));
        assert_eq!(saved(8_460, 5.2).text(false).as_deref(), Some("saved 8.4 s (80 %, 5.2×)"));
        let more = CacheSavings { at_least: true, ..saved(580_000, 5.2) };
        assert_eq!(more.text(true).as_deref(), Some("saved >= 9:40 (80 %, 5.2x)"));
    }

    #[test]
    fn a_bar_is_full_when_nothing_is_left() {
        let told = |left| StepEstimate {
            expected: Duration::from_secs(10),
            left: Duration::from_secs(left),
            ends_in: Duration::from_secs(left),
            slower: None,
            basis: Basis::Step,
        };
        assert_eq!((filled(&told(10), 4), filled(&told(5), 4), filled(&told(0), 4)), (0, 2, 4));
    }
}
