//! A build as Markdown, for `$GITHUB_STEP_SUMMARY` and merge requests: the result first, then what missed and why, a table of the
//! layers, and what the failing step said.
//!
//! Foreign text is written with character references for all that means something to Markdown or HTML: they are text wherever
//! they stand, in a table's cell and in a tag's too.

use std::fmt::Write as _;
use std::time::Duration;

use super::cache::{CacheSummary, TransferState, TransferSummary};
use super::estimate::CacheSavings;
use super::styled::StyledLine;
use super::table::{LayerCell, LayerTable};
use super::tally::Tally;
use super::{failure, label, why, words};
use crate::event::Time;
use crate::model::{Log, Model, Outcome};
use words::Sign;

/// GitHub takes 1 MiB a step, and shows nothing at all of more.
pub const MOST_BYTES: usize = 1 << 20;

/// Kept free for what must be said in any case.
const RESERVE: usize = 64 << 10;

/// Lines of the failing step's output.
const MOST_LOG: usize = 200;

/// Characters of such a line, of an instruction, and of whatever else others wrote.
const LONGEST_LINE: usize = 1000;
const LONGEST_TEXT: usize = 200;

/// Warnings that are told one by one.
const MOST_WARNINGS: usize = 20;

/// The build as it stands at `now`; at most [`MOST_BYTES`].
pub fn render(model: &Model, now: Time) -> String {
    let mut out = String::new();
    head(model, now, &mut out);
    problems(model, &mut out);
    failure(model, &mut out);
    causes(model, &mut out);
    layers(model, now, &mut out);
    steps(model, now, &mut out);
    out
}

/// The text with references for what would be more than text.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let begins = |mark: &str| text.get(at..).is_some_and(|rest| rest.starts_with(mark));
        match c {
            '&' | '<' | '>' | '"' | '\'' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '!'
            | '$' | '@' | '^' => push_reference(c, &mut out),
            // An address becomes a link by these.
            ':' if begins("://") => push_reference(c, &mut out),
            '.' if out.ends_with("www") || out.ends_with("WWW") => push_reference(c, &mut out),
            _ => out.push(c),
        }
    }
    out
}

fn push_reference(c: char, out: &mut String) {
    // Into memory, which takes all that it is given.
    let _ = write!(out, "&#{};", u32::from(c));
}

/// A foreign text on a line, no longer than makes sense in a cell.
fn cell_text(text: &str) -> String {
    escape(&words::truncate(text, LONGEST_TEXT))
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", cell_text(text))
}

fn plain(line: &StyledLine) -> String {
    line.pieces().map(|(text, _)| text).collect()
}

fn head(model: &Model, now: Time, out: &mut String) {
    let outcome = model.outcome();
    let sign = Sign::of_outcome(outcome);
    let image =
        model.started().image.as_ref().map_or_else(|| "Build".to_owned(), |image| escape(image.as_str()));
    let preposition = if outcome == Outcome::Success { "in" } else { "after" };
    let wall = words::duration(model.wall(now));
    let _ = writeln!(out, "## {} {image}: {} {preposition} {wall}\n", sign.shape, sign.word);
    let mut facts = Vec::new();
    facts.extend(Tally::of(model).map(|tally| format!("**{}**", tally.text())));
    facts.extend(
        CacheSavings::of(model).and_then(|saved| saved.text(false)).map(|saved| format!("**{saved}**")),
    );
    let cache = CacheSummary::of(model);
    for (side, word) in [(&cache.import, "cache imported"), (&cache.export, "cache exported")] {
        if side.state == TransferState::Ok {
            facts.push(word.to_owned());
        }
    }
    facts.extend(
        model.started().builder.as_ref().map(|builder| format!("builder {}", code(builder.as_str()))),
    );
    let platforms: Vec<String> =
        model.platforms().iter().flatten().map(|platform| escape(platform.as_str())).collect();
    if !platforms.is_empty() {
        facts.push(platforms.join(", "));
    }
    if let (Outcome::Failed, Some(exit)) = (outcome, model.exit_code()) {
        facts.push(format!("exit code {exit}"));
    }
    if !facts.is_empty() {
        let _ = writeln!(out, "{}\n", facts.join(" · "));
    }
}

/// What is wrong and did not end the build: the cache, the build checks.
fn problems(model: &Model, out: &mut String) {
    let cache = CacheSummary::of(model);
    let mut lines = Vec::new();
    let mut side = |side: &TransferSummary, what: &str| {
        if side.state == TransferState::Failed {
            let error = side.error.as_ref().map_or("", |error| error.as_str());
            lines.push(format!("- **cache {what} failed:** {}", cell_text(error)));
        }
    };
    side(&cache.import, "import");
    side(&cache.export, "export");
    let warnings = model.warnings();
    lines.extend(
        warnings
            .iter()
            .take(MOST_WARNINGS)
            .map(|warning| format!("- warning: {}", cell_text(&label::of_warning(warning)))),
    );
    if let Some(more) = warnings.len().checked_sub(MOST_WARNINGS).filter(|more| *more > 0) {
        lines.push(format!("- … and {}", words::count(more, "more warning")));
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "{}\n", lines.join("\n"));
    }
}

/// Why it failed, with what the step said folded up.
fn failure(model: &Model, out: &mut String) {
    let Some(failure) = model.failure() else { return };
    let _ = writeln!(out, "### Why it failed\n");
    if let Some(id) = failure.vertex {
        let _ = writeln!(out, "{}\n", code(&label::of_vertex(model, id)));
    }
    let _ = writeln!(out, "{}\n", cell_text(failure::message(&failure).as_str()));
    let excerpt: Vec<&str> = failure.excerpt.iter().map(crate::event::Line::text).collect();
    if !excerpt.is_empty() {
        fenced(&excerpt, out);
    }
    if let Some(log) = failure.vertex.and_then(|id| model.vertex(id)).map(|vertex| &vertex.log) {
        log_output(log, out);
    }
}

fn log_output(log: &Log, out: &mut String) {
    if log.is_empty() {
        return;
    }
    let hidden = log.len().saturating_sub(MOST_LOG);
    let lines: Vec<&str> = log.iter().skip(hidden).map(|line| line.line.text()).collect();
    let title = if log.total() > lines.len() as u64 {
        format!("The last {} of the {} lines that it said", lines.len(), log.total())
    } else {
        format!("What it said: {}", words::count(lines.len(), "line"))
    };
    let _ = writeln!(out, "<details><summary>{title}</summary>\n");
    fenced(&lines, out);
    let _ = writeln!(out, "</details>\n");
}

/// Lines as they are, in a fence that is longer than any in them.
fn fenced(lines: &[&str], out: &mut String) {
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(out, "{fence}text");
    for line in lines {
        let _ = writeln!(out, "{}", words::truncate(line.trim_end(), LONGEST_LINE));
    }
    let _ = writeln!(out, "{fence}\n");
}

/// What missed, and why.
fn causes(model: &Model, out: &mut String) {
    let sentences = why::sentences(model, false);
    if sentences.is_empty() {
        return;
    }
    let _ = writeln!(out, "### What was rebuilt, and why\n");
    for line in &sentences {
        let text = plain(line);
        let _ = writeln!(out, "- {}", escape(text.trim_start_matches("! ")));
    }
    out.push('\n');
}

/// Whether a table may have one more row.
fn has_room(out: &str) -> bool {
    out.len() < MOST_BYTES - RESERVE
}

/// A row a layer, a column a platform.
fn layers(model: &Model, now: Time, out: &mut String) {
    let table = LayerTable::of(model, now);
    let titles: Vec<String> = table.platforms.iter().map(|name| cell_text(name)).collect();
    let mut left = table.rows().count();
    for section in table.sections.iter().filter(|section| !section.rows.is_empty()) {
        let title = section.title.as_ref().map_or_else(|| "Layers".to_owned(), |title| cell_text(title));
        let _ = writeln!(out, "### {title}\n");
        let columns =
            titles.iter().map(|title| format!(" {} |", if title.is_empty() { "State" } else { title }));
        let _ = writeln!(out, "| Layer |{}", columns.collect::<String>());
        let _ = writeln!(out, "| --- |{}", " --- |".repeat(titles.len()));
        for row in &section.rows {
            if !has_room(out) {
                break;
            }
            left -= 1;
            let cells: Vec<String> = row.cells.iter().map(|cell| of_cell(cell.as_ref())).collect();
            let cells = cells.join(" | ");
            let _ = writeln!(out, "| {} | {cells} |", cell_text(&row.label));
        }
        out.push('\n');
        if !has_room(out) {
            let _ = writeln!(out, "… and {}\n", words::count(left, "more layer"));
            return;
        }
    }
}

/// `● hit registry, 24 MB`.
fn of_cell(cell: Option<&LayerCell>) -> String {
    let Some(cell) = cell else { return String::new() };
    let mut text = format!("{} {}", cell.sign.shape, cell.sign.word);
    if !cell.time.is_zero() {
        let _ = write!(text, ", {}", words::duration(cell.time));
    }
    if cell.bytes > 0 {
        let _ = write!(text, ", {}", words::bytes(cell.bytes));
    }
    text
}

/// Every step, folded up.
fn steps(model: &Model, now: Time, out: &mut String) {
    let all = super::json::summary(model, now).steps;
    if all.is_empty() || !has_room(out) {
        return;
    }
    let _ = writeln!(out, "<details><summary>All {}</summary>\n", words::count(all.len(), "step"));
    let _ = writeln!(out, "| Step | Platform | Instruction | State | Run | Pull | Reason |");
    let _ = writeln!(out, "| --- | --- | --- | --- | ---: | ---: | --- |");
    for (at, step) in all.iter().enumerate() {
        if !has_room(out) {
            let _ = writeln!(out, "\n… and {}", words::count(all.len() - at, "more step"));
            break;
        }
        let sign = Sign::of_step_state(step.state, step.instruction.as_str());
        let stage =
            step.stage.as_ref().map(|stage| format!("{} ", cell_text(stage.as_str()))).unwrap_or_default();
        let platform = step.platform.as_ref().map_or_else(String::new, |platform| escape(platform.as_str()));
        let source = step.source.map(|source| format!(" ({})", source.key())).unwrap_or_default();
        let reason =
            step.reason.as_ref().map_or_else(String::new, |reason| cell_text(reason.because.as_str()));
        let _ = writeln!(
            out,
            "| {stage}{}/{} | {platform} | {} | {} {}{source} | {} | {} | {reason} |",
            step.index,
            step.of,
            code(&words::instruction(step.instruction.as_str())),
            sign.shape,
            sign.word,
            time(step.run_ms),
            time(step.pull_ms),
        );
    }
    let _ = writeln!(out, "\n</details>");
}

fn time(millis: u64) -> String {
    if millis == 0 { String::new() } else { words::duration(Duration::from_millis(millis)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_is_written_as_a_reference() {
        let text = escape("a|b `c` <img src=x> [d](http://e.f) **g** $h$ @i www.x.de");
        for c in ['|', '`', '<', '>', '[', '*', '$', '@'] {
            assert!(!text.contains(c), "{c} in {text}");
        }
        assert!(!text.contains("http:") && !text.contains("www."), "{text}");
        assert_eq!(escape("RUN make a.txt: 1:42 3/12"), "RUN make a.txt: 1:42 3/12");
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        let mut out = String::new();
        fenced(&["a", "```` b", "```"], &mut out);
        assert_eq!(out, "`````text\na\n```` b\n```\n`````\n\n");
    }
}
