//! From times to columns.

use std::time::Duration;

use crate::event::Time;
use crate::model::Timeline;
use crate::report::words;
use crate::ui::timeline::TimelineView;

/// Columns between two times on the axis at least.
const APART: u16 = 10;

/// Steps of the axis, and of how far it reaches while a build runs, in tenths of a power of ten.
const STEPS: [u64; 6] = [10, 15, 20, 30, 50, 75];

/// Where a time stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeScale {
    /// The time at the left edge.
    from: Time,
    /// The begin of the build: what the axis counts from.
    begin: Time,
    span: Duration,
    columns: u16,
}

impl TimeScale {
    /// While a build runs the axis reaches to a round time behind what is expected to be its end, so that it stands still for a
    /// while.
    pub(super) fn new(
        timeline: &Timeline,
        ended: bool,
        left: Option<Duration>,
        view: TimelineView,
        columns: u16,
    ) -> Self {
        let length = timeline.length();
        let (from, span) = match (view.is_whole(), ended) {
            (true, false) => (Duration::ZERO, reach(length + left.unwrap_or_default())),
            _ => view.window(length),
        };
        Self { from: timeline.begin.plus(from), begin: timeline.begin, span, columns }
    }

    /// How much time is seen.
    pub(super) fn span(&self) -> Duration {
        self.span
    }

    /// The half columns that a time from `start` to `end` takes, from the left edge; none where it is not seen. What takes no time
    /// takes half a column.
    pub(super) fn halves(&self, start: Time, end: Time) -> Option<(u16, u16)> {
        let all = f64::from(self.columns) * 2.0;
        let place = |at: Time| {
            let micros = (at.micros() - self.from.micros()) as f64;
            micros / (self.span.as_micros() as f64).max(1.0) * all
        };
        let (start, end) = (place(start), place(end));
        if end < 0.0 || start >= all || self.columns == 0 {
            return None;
        }
        let first = start.max(0.0).floor();
        let last = end.min(all).round().max(first + 1.0).min(all);
        Some((first as u16, last as u16))
    }

    /// The times of the axis: their columns and how they are written.
    pub(super) fn ticks(&self) -> Vec<(u16, String)> {
        let most = u64::from(self.columns / APART).max(1);
        let Some(step) = round_up(self.span.as_micros() as u64 / most).filter(|step| *step > 0) else {
            return Vec::new();
        };
        let from = self.from.since(self.begin).as_micros() as u64;
        let until = from + self.span.as_micros() as u64;
        let first = from.div_ceil(step) * step;
        let tick = |micros: u64| {
            let x = (micros - from) as f64 / self.span.as_micros() as f64 * f64::from(self.columns);
            (x as u16, words::mark(Duration::from_micros(micros), Duration::from_micros(step)))
        };
        (first..=until).step_by(usize::try_from(step).unwrap_or(usize::MAX)).map(tick).collect()
    }
}

/// How far the axis reaches for a build that takes so long.
fn reach(length: Duration) -> Duration {
    let least = Duration::from_secs(5);
    let micros = u64::try_from(length.max(least).as_micros()).unwrap_or(u64::MAX);
    round_up(micros).map_or(length, Duration::from_micros)
}

/// The next round number; none of what is too large for one. Beyond a minute, minutes are round.
fn round_up(micros: u64) -> Option<u64> {
    const MINUTE: u64 = 60_000_000;
    if micros > MINUTE / 2 && micros <= MINUTE * 60 * 10 {
        const SECONDS: [u64; 15] =
            [45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1200, 1800, 3600, 7200, 36_000];
        return SECONDS.iter().map(|seconds| seconds * 1_000_000).find(|round| *round >= micros);
    }
    let mut power: u64 = 1;
    loop {
        if let Some(step) = STEPS.iter().find_map(|step| {
            let round = step.checked_mul(power)?.div_ceil(10);
            (round >= micros).then_some(round)
        }) {
            return Some(step);
        }
        power = power.checked_mul(10)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(from: i64, span: u64, columns: u16) -> TimeScale {
        let begin = Time::from_micros(0);
        TimeScale { from: Time::from_micros(from), begin, span: Duration::from_micros(span), columns }
    }

    #[test]
    fn halves_of_columns() {
        let scale = scale(0, 10_000_000, 10);
        let halves = |start: i64, end: i64| {
            scale.halves(Time::from_micros(start * 1000), Time::from_micros(end * 1000))
        };
        assert_eq!(halves(0, 10_000), Some((0, 20)));
        assert_eq!(halves(1000, 1500), Some((2, 3)));
        assert_eq!(halves(1000, 1000), Some((2, 3)));
        assert_eq!((halves(-500, 600), halves(9_900, 99_000)), (Some((0, 1)), Some((19, 20))));
        assert_eq!((halves(-500, -100), halves(10_000, 11_000)), (None, None));
    }

    #[test]
    fn round_times() {
        for (micros, expected) in [
            (0, 1),
            (11, 15),
            (400, 500),
            (9_100_000, 10_000_000),
            (31_000_000, 45_000_000),
            (61_000_000, 90_000_000),
        ] {
            assert_eq!(round_up(micros), Some(expected), "{micros}");
        }
        assert_eq!(round_up(u64::MAX), None);
    }

    #[test]
    fn the_axis_counts_from_the_build_s_beginning() {
        let ticks = scale(5_000_000, 20_000_000, 40).ticks();
        assert_eq!(
            ticks,
            [
                (0, "5 s".to_owned()),
                (10, "10 s".to_owned()),
                (20, "15 s".to_owned()),
                (30, "20 s".to_owned()),
                (40, "25 s".to_owned())
            ]
        );
        // Of a part of a build that lies behind its first minute the steps are small too.
        let labels: Vec<String> =
            scale(65_000_000, 1_000_000, 40).ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["1:05.1", "1:05.4", "1:05.7", "1:06.0"]);
        assert!(scale(0, 0, 40).ticks().len() <= 1 && scale(0, 90_000_000, 0).ticks().len() <= 3);
    }
}
