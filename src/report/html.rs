//! A build as one HTML file: no script, nothing from elsewhere, light and dark, readable on a phone and on paper.
//!
//! Everything that others wrote goes through maud's escaping. Beyond that a policy in the page lets a browser load nothing and
//! run nothing, and use no style but the page's own: so nothing in a step's name could do anything, even were it let through.

mod svg;

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cache::{CacheSummary, TransferState, TransferSummary};
use super::estimate::CacheSavings;
use super::json::{StepSummary, Summary};
use super::table::{LayerCell, LayerTable};
use super::tally::Tally;
use super::words::{self, Role, Sign};
use super::{failure, label, why};
use crate::event::Time;
use crate::event::reason::ReasonGrade;
use crate::model::{Log, Model, Outcome};

/// All of the looks.
pub const STYLE: &str = include_str!("html/style.css");

/// The hash of [`STYLE`], by which the policy lets it in. `tests/process/export.rs` says the right one where it is another.
pub const STYLE_HASH: &str = "sha256-bYPoJVlERohY5o2NPtwq668QDXMv9AvQUBkjtddX6wU=";

/// Lines of the failing step's output.
const MOST_LOG: usize = 500;

/// Warnings that are told.
const MOST_WARNINGS: usize = 50;

/// What of the evidence of a cause is told.
const MOST_EVIDENCE: usize = 6;

/// The build as it stands at `now`.
pub fn render(model: &Model, now: Time) -> String {
    let summary = super::json::summary(model, now);
    let outcome = model.outcome();
    let sign = Sign::of_outcome(outcome);
    let image = summary.image.as_ref().map_or("build", |image| image.as_str());
    let title = format!("{image} {}", sign.word);
    let policy = format!("default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="generator" content=(concat!("layertop ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(model, &summary, now))
                    (failure(model))
                    (problems(model))
                    (causes(model))
                    (layers(model, now))
                    (svg::section(model, now))
                    (steps(&summary))
                    (facts(model, &summary))
                    footer {
                        "Made by layertop " (env!("CARGO_PKG_VERSION")) " of "
                        (summary.vertices.total) " vertices. Times are the builder's, in UTC."
                    }
                }
            }
        }
    };
    page.into_string()
}

/// The class of what means something.
fn class(role: Role) -> &'static str {
    match role {
        Role::Good => "hit",
        Role::Ran => "ran",
        Role::Bad => "bad",
        Role::Warn => "warn",
        Role::Busy => "work",
        Role::Plain | Role::Strong | Role::Dim => "off",
    }
}

fn head(model: &Model, summary: &Summary, now: Time) -> Markup {
    let outcome = model.outcome();
    let sign = Sign::of_outcome(outcome);
    let cache = CacheSummary::of(model);
    let platforms: Vec<&str> = summary.platforms.iter().map(crate::event::Platform::as_str).collect();
    html! {
        header {
            h1 {
                span class=(class(sign.role)) { (sign.shape) " " (sign.word) }
                " " (summary.image.as_ref().map_or("build", |image| image.as_str()))
            }
            p class="dim" {
                @if let Some(started) = summary.started { (moment(started)) }
                @if let Some(builder) = &summary.builder { " · " (builder) }
                @if !platforms.is_empty() { " · " (platforms.join(", ")) }
            }
        }
        dl class="tiles" {
            (tile("Time", &words::duration(model.wall(now)), &ended(model)))
            @if let Some(tally) = Tally::of(model) {
                (tile("Rebuilt", &tally.of_all(), &tally.more(&run_time(summary))))
            }
            @if let Some(saved) = saved(model) { (tile("Saved by the cache", &saved.0, &saved.1)) }
            (tile("Cache", transfer(&cache.import, "import"), transfer(&cache.export, "export")))
        }
    }
}

/// What the cache saved, and how many times faster that made the build; none where that can't be told.
fn saved(model: &Model) -> Option<(String, String)> {
    let saved = CacheSavings::of(model).and_then(CacheSavings::if_significant)?;
    Some((
        saved.time_text(false),
        format!("{}, {} as fast", saved.share(), words::times(saved.speedup, false)),
    ))
}

fn tile(name: &str, value: &str, more: &str) -> Markup {
    html! { div class="tile" { dt { (name) } dd { (value) small { (more) } } } }
}

fn ended(model: &Model) -> String {
    match (model.outcome(), model.exit_code()) {
        (Outcome::Failed, Some(code)) => format!("exit code {code}"),
        (outcome, _) => Sign::of_outcome(outcome).word.to_owned(),
    }
}

fn run_time(summary: &Summary) -> String {
    let run: u64 = summary.steps.iter().map(|step| step.run_ms).sum();
    format!("{} of work in all", words::duration(Duration::from_millis(run)))
}

fn transfer<'a>(side: &TransferSummary, what: &'a str) -> &'a str {
    match (side.state, what) {
        (TransferState::Ok, "import") => "imported",
        (TransferState::Ok, _) => "exported",
        (TransferState::Failed, "import") => "import failed",
        (TransferState::Failed, _) => "export failed",
        (TransferState::NotThere, _) => "no cache there yet",
        (TransferState::None, "import") => "not imported",
        (TransferState::None, _) => "not exported",
    }
}

/// `2026-11-22 15:09:31`.
fn moment(time: Time) -> String {
    let moment = jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default();
    moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn failure(model: &Model) -> Markup {
    let Some(failure) = model.failure() else { return html! {} };
    let excerpt: Vec<&str> = failure.excerpt.iter().map(crate::event::Line::text).collect();
    let log = failure.vertex.and_then(|id| model.vertex(id)).map(|vertex| &vertex.log);
    html! {
        section class="card failed long" aria-labelledby="failure" {
            h2 id="failure" class="bad" { "Why it failed" }
            @if let Some(id) = failure.vertex { p { code { (label::of_vertex(model, id)) } } }
            p { (failure::message(&failure)) }
            @if !excerpt.is_empty() { pre tabindex="0" { (excerpt.join("\n")) } }
            @if let Some(log) = log.filter(|log| !log.is_empty()) { (log_output(log)) }
        }
    }
}

fn log_output(log: &Log) -> Markup {
    let hidden = log.len().saturating_sub(MOST_LOG);
    let lines: Vec<&str> = log.iter().skip(hidden).map(|line| line.line.text().trim_end()).collect();
    let title = if log.total() > lines.len() as u64 {
        format!("The last {} of the {} lines that it said", lines.len(), log.total())
    } else {
        format!("What it said: {}", words::count(lines.len(), "line"))
    };
    html! { details open { summary { (title) } pre tabindex="0" { (lines.join("\n")) } } }
}

/// What is wrong and did not end the build.
fn problems(model: &Model) -> Markup {
    let cache = CacheSummary::of(model);
    let failed = [(&cache.import, "Cache import failed"), (&cache.export, "Cache export failed")];
    let failed: Vec<_> = failed.iter().filter(|(side, _)| side.state == TransferState::Failed).collect();
    let warnings = model.warnings();
    if failed.is_empty() && warnings.is_empty() {
        return html! {};
    }
    html! {
        section class="card noted" aria-label="Warnings" {
            @for (side, what) in failed {
                p { b { (what) } ": " @if let Some(error) = &side.error { (error) } }
            }
            @for warning in warnings.iter().take(MOST_WARNINGS) { p { "! " (label::of_warning(warning)) } }
            @if warnings.len() > MOST_WARNINGS {
                p { "… and " (words::count(warnings.len() - MOST_WARNINGS, "more warning")) }
            }
        }
    }
}

/// What missed, and why.
fn causes(model: &Model) -> Markup {
    let causes = why::causes(model);
    if causes.is_empty() {
        return html! {};
    }
    html! {
        section class="card" aria-labelledby="why" {
            h2 id="why" { "What was rebuilt, and why" }
            ul class="causes" {
                @for cause in &causes {
                    li {
                        b { (why::sentence(model, cause)) }
                        " "
                        @if cause.reason.grade == ReasonGrade::Proven { span class="pill hit" { "proven" } }
                        ul {
                            @for evidence in cause.reason.evidence.iter().take(MOST_EVIDENCE) {
                                li { (evidence.text) }
                            }
                            @for advice in &cause.reason.advice {
                                li { "→ "
                                    @if let Some(file) = &advice.file {
                                        code { (file) @if let Some(line) = advice.line { ":" (line) } } ": "
                                    }
                                    (advice.text)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row a layer, a column a platform.
fn layers(model: &Model, now: Time) -> Markup {
    let table = LayerTable::of(model, now);
    html! {
        @for section in table.sections.iter().filter(|section| !section.rows.is_empty()) {
            section class="card long" {
                h2 { (section.title.as_deref().unwrap_or("Layers")) }
                table class="layers" {
                    thead { tr {
                        th scope="col" { "Layer" }
                        @for name in &table.platforms {
                            th scope="col" { (if name.is_empty() { "State" } else { name }) }
                        }
                    } }
                    tbody {
                        @for row in &section.rows {
                            tr {
                                td { span class="name" title=(row.label) { (row.label) } }
                                @for cell in &row.cells { td { (cell.as_ref().map_or_else(Markup::default, of_cell)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn of_cell(cell: &LayerCell) -> Markup {
    html! {
        span class={ "pill " (class(cell.sign.role)) } { (cell.sign.shape) " " (cell.sign.word) }
        @if !cell.time.is_zero() || cell.bytes > 0 {
            span class="time" {
                @if !cell.time.is_zero() { (words::duration(cell.time)) }
                @if cell.bytes > 0 { " " (words::bytes(cell.bytes)) }
            }
        }
    }
}

/// Every step with its reason, folded up.
fn steps(summary: &Summary) -> Markup {
    html! {
        details class="card long" {
            summary { "All " (words::count(summary.steps.len(), "step")) }
            table class="steps" {
                thead { tr {
                    @for title in ["Step", "Platform", "State", "Run", "Pull", "Instruction and reason"] {
                        th scope="col" { (title) }
                    }
                } }
                tbody { @for step in &summary.steps { (one(step)) } }
            }
        }
    }
}

fn one(step: &StepSummary) -> Markup {
    let sign = Sign::of_step_state(step.state, step.instruction.as_str());
    html! {
        tr {
            td class="num" { @if let Some(stage) = &step.stage { (stage) " " } (step.index) "/" (step.of) }
            td { @if let Some(platform) = &step.platform { (platform) } }
            td {
                span class={ "pill " (class(sign.role)) } {
                    (sign.shape) " " (sign.word) @if let Some(source) = step.source { " " (source.key()) }
                }
            }
            td class="num" { (time(step.run_ms)) }
            td class="num" {
                (time(step.pull_ms)) @if step.pulled_bytes > 0 { " " (words::bytes(step.pulled_bytes)) }
            }
            td class="wide" {
                code { (words::instruction(step.instruction.as_str())) }
                @if let Some(reason) = &step.reason { p class="dim" { (reason.because) } }
                @if let Some(evidence) = &step.source_evidence { p class="dim" { (evidence) } }
                @if let Some(error) = &step.error { p class="bad" { (error) } }
            }
        }
    }
}

fn time(millis: u64) -> String {
    if millis == 0 { String::new() } else { words::duration(Duration::from_millis(millis)) }
}

/// What it was built with.
fn facts(model: &Model, summary: &Summary) -> Markup {
    let started = model.started();
    let command: Vec<&str> = started.command.iter().map(crate::event::Text::as_str).collect();
    html! {
        details class="card long" {
            summary { "What it was built with" }
            dl class="facts" {
                @if !command.is_empty() { dt { "Command" } dd { code { (command.join(" ")) } } }
                @if let Some(builder) = &summary.builder { dt { "Builder" } dd { (builder) } }
                @if let Some(cache) = &started.cache { dt { "Cache" } dd { code { (cache) } } }
                @if let Some(started) = summary.started { dt { "Began" } dd { (moment(started)) } }
                @if let Some(ended) = summary.ended { dt { "Ended" } dd { (moment(ended)) } }
                @if let Some(code) = summary.exit_code { dt { "Exit code" } dd { (code) } }
            }
        }
    }
}
