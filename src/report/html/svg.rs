//! The picture of a build: its steps as bars over time, below each other, the platforms one after the other.
//!
//! Places along the time are shares of the width, so that the picture is as wide as the page and its text stays as large as it
//! is; the names stand beside it as a list with rows of the same height.

use std::time::Duration;

use maud::{Markup, html};

use super::class;
use crate::event::Time;
use crate::model::timeline::{Bar, BarKind, Lane, LaneSection};
use crate::model::{Model, Timeline};
use crate::report::why;
use crate::report::words::{self, Sign};

/// Pixels of a row, as in the style sheet, and of a bar.
const ROW: usize = 26;
const BAR: usize = 14;

/// A bar is at least so wide, in percent, so that it can be seen.
const LEAST: f64 = 0.6;

/// What is shorter has no number beside its bar.
const SHORTEST: Duration = Duration::from_millis(100);

/// Marks of the time axis at most.
const MOST_MARKS: u32 = 6;

/// What is gained by less is not worth a word.
const LEAST_GAIN: Duration = Duration::from_secs(1);

/// Lanes of what is no step, before and behind the steps; of more, the first.
const MOST_OTHER: usize = 16;

/// The time that the picture shows.
struct TimeAxis {
    zero: Time,
    length: Duration,
}

impl TimeAxis {
    fn of(timeline: &Timeline) -> Self {
        Self { zero: timeline.begin, length: timeline.length().max(Duration::from_millis(1)) }
    }

    fn percent(&self, time: Time) -> f64 {
        100.0 * (time.since(self.zero).as_secs_f64() / self.length.as_secs_f64()).min(1.0)
    }

    /// Where marks are, and how they are written: at round times, at most [`MOST_MARKS`] of them.
    fn marks(&self) -> Vec<(Duration, String)> {
        const STEPS: [u64; 18] = [
            10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000,
            1_800_000, 3_600_000, 14_400_000,
        ];
        let fits = |step: &&u64| self.length.as_millis() / u128::from(**step) < u128::from(MOST_MARKS);
        let step = Duration::from_millis(STEPS.iter().find(fits).copied().unwrap_or(86_400_000));
        let marks = (0..MOST_MARKS).map(|at| step * at).take_while(|mark| *mark <= self.length);
        marks.map(|mark| (mark, words::mark(mark, step))).collect()
    }
}

/// A row of the picture.
enum SvgRow<'s> {
    /// The name of what follows.
    Head(String),
    Lane(&'s Lane),
}

/// The section with the picture; nothing where nothing has run.
pub(super) fn section(model: &Model, now: Time) -> Markup {
    let timeline = model.timeline(now);
    let rows = rows(&timeline);
    if rows.is_empty() {
        return html! {};
    }
    let axis = TimeAxis::of(&timeline);
    let steps = timeline.lanes.iter().filter(|lane| lane.step.is_some() && !lane.bars.is_empty()).count();
    let words = format!("{} over {}", words::count(steps, "step"), words::duration(timeline.wall));
    html! {
        section class="card long" aria-labelledby="time" {
            h2 id="time" { "Where the time went" }
            (path(&timeline))
            (legend())
            div class="chart" {
                ol class="names" aria-hidden="true" {
                    li class="head" {}
                    @for row in &rows { (name(row)) }
                }
                svg class="timeline" role="list" aria-labelledby="timeline-title timeline-desc"
                    height=((rows.len() + 1) * ROW) {
                    title id="timeline-title" { "Timeline of the build" }
                    desc id="timeline-desc" { (words) }
                    (grid(&axis, rows.len()))
                    @for (at, row) in rows.iter().enumerate() {
                        @if let SvgRow::Lane(lane) = row { (bars(model, lane, at + 1, &axis)) }
                    }
                }
            }
        }
    }
}

/// What comes before the steps, the steps a platform, what comes behind them.
fn rows(timeline: &Timeline) -> Vec<SvgRow<'_>> {
    let mut rows = Vec::new();
    let mut head = String::new();
    let mut others = 0;
    let several = timeline.lanes.iter().any(|lane| lane.platform.is_some());
    for lane in timeline.lanes.iter().filter(|lane| !lane.bars.is_empty()) {
        let title = match lane.section {
            LaneSection::Before => "before the steps".to_owned(),
            LaneSection::Steps => match &lane.platform {
                Some(platform) => platform.to_string(),
                None if several => words::NO_PLATFORM.to_owned(),
                None => "steps".to_owned(),
            },
            LaneSection::After => "after the steps".to_owned(),
        };
        if lane.section != LaneSection::Steps {
            others += 1;
            if others > MOST_OTHER && !lane.critical {
                continue;
            }
        }
        if title != head {
            rows.push(SvgRow::Head(title.clone()));
            head = title;
        }
        rows.push(SvgRow::Lane(lane));
    }
    rows
}

/// What held the end up, and what would be gained if it were a hit.
fn path(timeline: &Timeline) -> Markup {
    let mut gains: Vec<(Duration, &Lane)> = timeline
        .path
        .iter()
        .filter_map(|on| Some((on.gain.filter(|gain| *gain >= LEAST_GAIN)?, timeline.lanes.get(on.lane)?)))
        .collect();
    gains.sort_by_key(|(gain, _)| std::cmp::Reverse(*gain));
    let Some((gain, lane)) = gains.first() else { return html! {} };
    html! {
        p class="gain" {
            "Most would be gained by a hit of "
            b { (lane.layer.as_ref().unwrap_or(&lane.label)) }
            ": the build would have ended " b { (words::duration(*gain)) } " sooner."
        }
    }
}

fn legend() -> Markup {
    let swatch = |class: &str, word: &str| {
        html! {
            span {
                svg class="swatch" aria-hidden="true" {
                    rect class={ "bar " (class) } x="1" y="1" width="9" height="9" rx="2.5" {}
                }
                (word)
            }
        }
    };
    html! {
        div class="legend" {
            (swatch("hit", "● hit")) (swatch("ran", "○ ran")) (swatch("pull", "pulled"))
            (swatch("bad", "✗ failed")) (swatch("off", "■ cancelled")) (swatch("work", "import, export and the like"))
            (swatch("work critical", "▸ held the end up"))
        }
    }
}

fn look(kind: BarKind) -> &'static str {
    match kind {
        BarKind::Hit => "hit",
        BarKind::Run => "ran",
        BarKind::Pull => "pull",
        BarKind::Failed => "bad",
        BarKind::Cancelled => "off",
        BarKind::Prepare | BarKind::Import | BarKind::Export | BarKind::CacheExport => "work",
    }
}

fn name(row: &SvgRow<'_>) -> Markup {
    let lane = match row {
        SvgRow::Head(name) => return html! { li class="head" { (name) } },
        SvgRow::Lane(lane) => lane,
    };
    html! {
        li {
            @if let Some(state) = lane.state {
                @let sign = Sign::of_state(state);
                span class=(class(sign.role)) { (sign.shape) } " "
            }
            @if let Some(layer) = &lane.layer { b { (layer) } " " }
            code { (words::truncate(&words::instruction(lane.label.as_str()), 120)) }
        }
    }
}

fn grid(axis: &TimeAxis, rows: usize) -> Markup {
    let bottom = (rows + 1) * ROW;
    html! {
        @for (mark, label) in axis.marks() {
            @let place = axis.percent(axis.zero.plus(mark));
            @let at = format!("{place:.3}%");
            @let (dx, anchor) = match () {
                () if mark.is_zero() => ("0", "start"),
                () if place > 92.0 => ("-3", "end"),
                () => ("3", "start"),
            };
            line class="grid" x1=(at) x2=(at) y1=(ROW - 6) y2=(bottom) {}
            text aria-hidden="true" x=(at) y=(ROW - 10) dx=(dx) text-anchor=(anchor) { (label) }
        }
    }
}

/// The bars of a lane, and how long they are in all: behind the last one, where there is no room before the first, else in it.
fn bars(model: &Model, lane: &Lane, row: usize, axis: &TimeAxis) -> Markup {
    let kind = if lane.step.is_some() { "step" } else { "other" };
    let drawn: Vec<(f64, f64, &Bar)> = lane.bars.iter().map(|bar| place(bar, axis)).collect();
    let from = drawn.iter().map(|(from, ..)| *from).fold(100.0, f64::min);
    let to = drawn.iter().map(|(from, wide, _)| from + wide).fold(0.0, f64::max);
    let (inside, x, dx, anchor) = match () {
        () if to < 80.0 => ("", to, "6", "start"),
        () if from > 20.0 => ("", from, "-6", "end"),
        () => ("inside", to, "-6", "end"),
    };
    let took = lane.took;
    html! {
        g role="listitem" data-kind=(kind) {
            title { (aria_label(model, lane)) }
            @for (from, wide, bar) in &drawn {
                rect class={ "bar " (look(bar.kind)) @if bar.critical { " critical" } }
                    x=(format!("{from:.3}%")) y=(row * ROW + (ROW - BAR) / 2)
                    width=(format!("{wide:.3}%")) height=(BAR) rx="3" {}
            }
            @if took >= SHORTEST {
                text class=(inside) x=(format!("{x:.3}%")) dx=(dx) y=(row * ROW + ROW / 2 + 4) text-anchor=(anchor) {
                    @if lane.critical { "▸ " } (words::duration(took))
                }
            }
        }
    }
}

/// Where a bar begins and how wide it is, in percent.
fn place<'b>(bar: &'b Bar, axis: &TimeAxis) -> (f64, f64, &'b Bar) {
    let (from, to) = (axis.percent(bar.start), axis.percent(bar.end));
    let wide = (to - from).max(LEAST);
    (from.min(100.0 - wide), wide, bar)
}

/// A lane in words.
fn aria_label(model: &Model, lane: &Lane) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(lane.layer.as_ref().map(ToString::to_string));
    parts.extend(lane.platform.as_ref().map(ToString::to_string));
    parts.extend(lane.state.map(|state| Sign::of_step_state(state, lane.label.as_str()).word.to_owned()));
    parts.extend((!lane.took.is_zero()).then(|| words::duration(lane.took)));
    if lane.critical {
        parts.push("held the end up".to_owned());
    }
    let reason = lane.step.and_then(|step| model.reason_of(step));
    let because = reason.map(|reason| format!("\n{}", why::because(reason))).unwrap_or_default();
    let error = lane.vertices.iter().find_map(|id| model.vertex(*id)?.error.as_ref());
    let error = error.map(|error| format!("\n{error}")).unwrap_or_default();
    format!("{}\n{}{because}{error}", parts.join(" · "), lane.label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_of_the_axis_stands_twice() {
        for millis in [1, 8, 70, 900, 2_400, 2_999, 5_999, 14_000, 59_000, 200_000, 9_000_000] {
            let axis = TimeAxis { zero: Time::default(), length: Duration::from_millis(millis) };
            let labels: Vec<String> = axis.marks().into_iter().map(|(_, label)| label).collect();
            let mut apart = labels.clone();
            apart.dedup();
            assert_eq!(labels, apart, "{millis}");
        }
    }
}
