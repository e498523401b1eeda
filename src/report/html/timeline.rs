//! The picture of a build: its steps as bars over time, below each other, the platforms one after the other.
//!
//! Places along the time are shares of the width, so that the picture is as wide as the page and its text stays as large as it
//! is; the names stand beside it as a list with rows of the same height.

use std::time::Duration;

use maud::{Markup, html};

use super::super::json::Summary;
use super::super::spans::{self, Span, Work};
use super::super::words::{self, Role, Sign};
use super::class;
use crate::event::{Platform, Time};
use crate::model::{Model, Outcome};

/// Pixels of a row, as in the style sheet, and of a bar.
const ROW: usize = 26;
const BAR: usize = 14;

/// A bar is at least so wide, in percent, so that it can be seen.
const LEAST: f64 = 0.6;

/// What is shorter has no number beside its bar.
const SHORTEST: Duration = Duration::from_millis(100);

/// Marks of the time axis at most.
const MOST_MARKS: u32 = 6;

/// Rows of what is no step; of more, those that took longest.
const MOST_OTHER: usize = 12;

/// The time that the picture shows.
struct Axis {
    zero: Time,
    length: Duration,
}

impl Axis {
    fn of(spans: &[&Span], summary: &Summary) -> Self {
        let zero = spans.iter().map(|span| span.start).chain(summary.started).min().unwrap_or_default();
        let end = spans.iter().map(|span| span.end).chain(summary.ended).max().unwrap_or(zero);
        Self { zero, length: end.since(zero).max(Duration::from_millis(1)) }
    }

    fn percent(&self, time: Time) -> f64 {
        100.0 * time.since(self.zero).as_secs_f64() / self.length.as_secs_f64()
    }

    /// Where marks are: at round times, at most [`MOST_MARKS`] of them.
    fn marks(&self) -> Vec<Duration> {
        const STEPS: [u64; 18] = [
            10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000,
            1_800_000, 3_600_000, 14_400_000,
        ];
        let fits = |step: &&u64| self.length.as_millis() / u128::from(**step) < u128::from(MOST_MARKS);
        let step = Duration::from_millis(STEPS.iter().find(fits).copied().unwrap_or(86_400_000));
        (0..MOST_MARKS).map(|at| step * at).take_while(|mark| *mark <= self.length).collect()
    }
}

/// A row of the picture.
enum Row<'s> {
    /// The name of what follows.
    Head(&'s str),
    /// A bar.
    Bar(&'s Span),
}

/// The section with the picture; nothing where nothing has run.
pub(super) fn section(model: &Model, summary: &Summary, now: Time) -> Markup {
    let all = spans::spans(model, summary, now);
    let rows = rows(&all, summary);
    let shown: Vec<&Span> =
        rows.iter().filter_map(|row| if let Row::Bar(span) = row { Some(*span) } else { None }).collect();
    if shown.is_empty() {
        return html! {};
    }
    let axis = Axis::of(&shown, summary);
    let outcome = model.outcome();
    let height = (rows.len() + 1) * ROW;
    let steps = shown.iter().filter(|span| span.work == Work::Step).count();
    let words = format!("{} over {}", words::count(steps, "step"), words::duration(axis.length));
    html! {
        section class="card long" aria-labelledby="time" {
            h2 id="time" { "Where the time went" }
            (legend())
            div class="chart" {
                ol class="names" aria-hidden="true" {
                    li class="head" {}
                    @for row in &rows { (name(row, summary, outcome)) }
                }
                svg class="timeline" role="list" aria-labelledby="timeline-title timeline-desc" height=(height) {
                    title id="timeline-title" { "Timeline of the build" }
                    desc id="timeline-desc" { (words) }
                    (grid(&axis, rows.len()))
                    @for (at, row) in rows.iter().enumerate() {
                        @if let Row::Bar(span) = row { (bar(span, at + 1, &axis, summary, outcome)) }
                    }
                }
            }
        }
    }
}

fn rows<'s>(all: &'s [Span], summary: &'s Summary) -> Vec<Row<'s>> {
    let mut rows = Vec::new();
    let of = |platform: Option<&Platform>| {
        let mut spans: Vec<&Span> =
            all.iter().filter(|span| span.work == Work::Step && span.platform.as_ref() == platform).collect();
        // What began together, such as hits, stands as the Dockerfile has it.
        spans.sort_by_key(|span| (span.start, span.step));
        spans
    };
    let named = summary.platforms.iter().map(|platform| (platform.as_str(), of(Some(platform))));
    let groups = named.chain([("", of(None))]);
    for (name, spans) in groups.filter(|(_, spans)| !spans.is_empty()) {
        if !name.is_empty() {
            rows.push(Row::Head(name));
        }
        rows.extend(spans.into_iter().map(Row::Bar));
    }
    let mut other: Vec<&Span> = all.iter().filter(|span| span.work != Work::Step).collect();
    other.sort_by_key(|span| std::cmp::Reverse(span.length()));
    other.truncate(MOST_OTHER);
    other.sort_by_key(|span| span.start);
    if !other.is_empty() {
        rows.push(Row::Head("around the steps"));
        rows.extend(other.into_iter().map(Row::Bar));
    }
    rows
}

fn legend() -> Markup {
    let swatch = |class: &str, word: &str| {
        html! {
            span {
                svg class="swatch" aria-hidden="true" { rect class={ "bar " (class) } width="11" height="11" rx="3" {} }
                (word)
            }
        }
    };
    html! {
        div class="legend" {
            (swatch("hit", "● hit")) (swatch("ran", "○ ran")) (swatch("bad", "✗ failed"))
            (swatch("off", "■ cancelled")) (swatch("work", "imports, exports and the like"))
        }
    }
}

fn sign(span: &Span, summary: &Summary, outcome: Outcome) -> Option<Sign> {
    span.step(summary).map(|step| Sign::of_state(step.state, outcome))
}

fn name(row: &Row<'_>, summary: &Summary, outcome: Outcome) -> Markup {
    let span = match row {
        Row::Head(name) => return html! { li class="head" { (name) } },
        Row::Bar(span) => span,
    };
    let layer = span.step(summary).and_then(|step| step.layer.as_ref());
    html! {
        li {
            @if let Some(sign) = sign(span, summary, outcome) {
                span class=(class(sign.role)) { (sign.shape) } " "
            }
            @if let Some(layer) = layer { b { (layer) } " " }
            code { (words::truncate(&words::instruction(span.title(summary).as_str()), 120)) }
        }
    }
}

fn grid(axis: &Axis, rows: usize) -> Markup {
    let bottom = (rows + 1) * ROW;
    html! {
        @for mark in axis.marks() {
            @let at = format!("{:.3}%", axis.percent(axis.zero.plus(mark)));
            line class="grid" x1=(at) x2=(at) y1=(ROW - 6) y2=(bottom) {}
            @let late = axis.percent(axis.zero.plus(mark)) > 92.0;
            text aria-hidden="true" x=(at) y=(ROW - 10) dx=(if mark.is_zero() { "0" } else if late { "-3" } else { "3" })
                text-anchor=(if late { "end" } else { "start" }) { (short(mark)) }
        }
    }
}

/// `0`, `200 ms`, `5 s`, `1:30`.
fn short(mark: Duration) -> String {
    match mark.as_millis() {
        0 => "0".to_owned(),
        millis @ 1..1000 => format!("{millis} ms"),
        millis @ 1000..60_000 => format!("{} s", millis / 1000),
        _ => words::duration(mark),
    }
}

fn bar(span: &Span, row: usize, axis: &Axis, summary: &Summary, outcome: Outcome) -> Markup {
    let sign = sign(span, summary, outcome);
    let role = match sign {
        Some(sign) => class(sign.role),
        None if span.error.is_some() => class(Role::Bad),
        None => "work",
    };
    let (from, to) = (axis.percent(span.start), axis.percent(span.end));
    let wide = (to - from).max(LEAST);
    let from = from.min(100.0 - wide);
    let to = from + wide;
    let y = row * ROW + (ROW - BAR) / 2;
    // The length stands behind the bar, where there is no room before it, else in it.
    let (place, x, dx, anchor) = match () {
        () if to < 80.0 => ("", to, "5", "start"),
        () if from > 20.0 => ("", from, "-5", "end"),
        () => (" inside", to, "-6", "end"),
    };
    let kind = if span.work == Work::Step { "step" } else { "other" };
    html! {
        g role="listitem" {
            title { (spoken(span, sign, summary)) }
            rect class={ "bar " (role) (place) } data-kind=(kind) x=(format!("{from:.3}%")) y=(y)
                width=(format!("{wide:.3}%")) height=(BAR) rx="3" {}
            @if span.length() >= SHORTEST {
                text x=(format!("{x:.3}%")) dx=(dx) y=(row * ROW + ROW / 2 + 4) text-anchor=(anchor) {
                    (words::duration(span.length()))
                }
            }
        }
    }
}

/// A bar in words.
fn spoken(span: &Span, sign: Option<Sign>, summary: &Summary) -> String {
    let mut parts = Vec::new();
    if let Some(step) = span.step(summary) {
        parts.extend(step.layer.as_ref().map(ToString::to_string));
        parts.extend(step.platform.as_ref().map(ToString::to_string));
    }
    parts.extend(sign.map(|sign| sign.word.to_owned()));
    parts.push(words::duration(span.length()));
    let reason = span.step(summary).and_then(|step| step.reason.as_ref());
    let because = reason.map(|reason| format!("\nbecause {}", reason.because)).unwrap_or_default();
    let error = span.error.as_ref().map(|error| format!("\n{error}")).unwrap_or_default();
    format!("{}\n{}{because}{error}", parts.join(" · "), span.title(summary))
}
