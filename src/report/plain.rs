//! Plain progress: lines that are only ever added, made for the logs of CI systems.
//!
//! Lines come in the builder's order of time. What happened within the last moment is held back until the rest of that
//! moment has arrived, so that the lines do not depend on how the events were cut into batches.

mod others;
mod part_lines;
mod steps;
mod tail;

use std::collections::HashMap;
use std::time::Duration;

use super::styled::StyledLine;
use super::table::LayerTable;
use super::words::{self, Role, Sign};
use super::{end, estimate, failure, label, why};
use crate::event::{Line, Notice, Output, Platform, Started, Time, Warning, shell};
use crate::model::{Model, Phase, Vertex, VertexId};
use steps::PrintedStep;
use tail::{LogTail, TailPiece};

/// How long events may be under way relative to each other. On the test engine they come in order; a daemon on
/// another machine sends each vertex's news as it has them.
const SETTLE: Duration = Duration::from_millis(250);

/// Silence after which it is said what still runs.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How long lines that are no progress wait for the end of the build, which they mostly belong to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Running vertices that are named in a sign of life.
const MOST_NAMED: usize = 4;

/// Columns of an instruction in a line that says what became of it.
const INSTRUCTION: usize = 72;

/// Lines of the failed step's output that are repeated at the end.
const LAST_LINES: usize = 20;

/// How the lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlainOptions {
    /// Colours; without them no escape byte is ever written.
    pub color: bool,
    /// No shapes but ASCII's. What others wrote is shown as it is.
    pub ascii: bool,
}

/// What has been told of a build.
#[derive(Debug, Default)]
pub struct PlainOutput {
    options: PlainOptions,
    begun: bool,
    finished: bool,
    /// Keyed by a vertex of the step: steps are numbered anew whenever the model learns of more.
    steps: HashMap<VertexId, PrintedStep>,
    others: HashMap<VertexId, PrintedStep>,
    logs: HashMap<VertexId, LogTail>,
    warnings: usize,
    notice: Option<Notice>,
    around: part_lines::PrintedParts,
    output: u64,
    /// Since when there are lines that are held back.
    waiting: Option<Time>,
    last_line: Option<Time>,
}

/// A line and its place in time.
type TimedLine = (Time, StyledLine);

impl PlainOutput {
    /// Nothing has been told yet.
    pub fn new(options: PlainOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Adds what is new in the model at `now`; to be called after each batch of events and now and then without one.
    pub fn update(&mut self, model: &Model, now: Time, out: &mut String) {
        let before = out.len();
        let ended = model.ended().is_some();
        self.header(model, out);
        self.notices(model, out);
        if !self.finished && !ended {
            self.around(model, now, out);
        }
        if !self.finished {
            let border =
                if ended { Time::from_micros(i64::MAX) } else { newest(model).max(now).minus(SETTLE) };
            let mut lines = self.warnings(model);
            self.others(model, border, &mut lines);
            self.steps(model, now, border, &mut lines);
            lines.sort_by_key(|(at, _)| *at);
            for (_, line) in lines {
                self.write(&line, out);
            }
            self.output(model, now, out);
        }
        if ended && !self.finished {
            self.finished = true;
            self.finish(model, now, out);
        }
        let last = *self.last_line.get_or_insert(now);
        let silent = out.len() == before;
        let due = silent && !ended && now.since(last) >= HEARTBEAT;
        if !silent || (due && self.heartbeat(model, now, out)) {
            self.last_line = Some(now);
        }
    }

    fn write(&self, line: &StyledLine, out: &mut String) {
        line.write(self.options.color, out);
    }

    fn dot(&self) -> &'static str {
        if self.options.ascii { " - " } else { " · " }
    }

    /// What is built, with what.
    fn header(&mut self, model: &Model, out: &mut String) {
        let started = model.started();
        if self.begun || *started == Started::default() {
            return;
        }
        self.begun = true;
        let mut parts: Vec<String> = started.title.iter().map(ToString::to_string).collect();
        parts.extend(started.image.as_ref().map(ToString::to_string));
        parts.extend(started.builder.as_ref().map(|builder| format!("builder {builder}")));
        if !started.platforms.is_empty() {
            let names: Vec<&str> = started.platforms.iter().map(Platform::as_str).collect();
            parts.push(names.join(", "));
        }
        let line =
            StyledLine::new().with("building ", Role::Strong).with(parts.join(self.dot()), Role::Plain);
        self.write(&line, out);
        if !started.command.is_empty() {
            let words: Vec<String> = started.command.iter().map(|word| shell::quote(word.as_str())).collect();
            self.write(&StyledLine::new().with(format!("$ {}", words.join(" ")), Role::Dim), out);
        }
    }

    /// Notices are told at once: they have no place in the builder's time.
    fn notices(&mut self, model: &Model, out: &mut String) {
        // The model never holds the same notice twice, so the last one told tells where to go on.
        let told = self.notice.as_ref().and_then(|last| model.notices().rposition(|notice| notice == last));
        for notice in model.notices().skip(told.map_or(0, |at| at + 1)) {
            let sign = Sign::of_level(notice.level);
            let line = StyledLine::new()
                .with(format!("{} {}: ", sign.shape(self.options.ascii), sign.word), sign.role)
                .with(notice.text.as_str(), Role::Plain);
            self.write(&line, out);
        }
        self.notice = model.notices().next_back().cloned();
    }

    fn warnings(&mut self, model: &Model) -> Vec<TimedLine> {
        let started = |warning: &Warning| {
            let found = model.vertices().find(|(_, vertex)| vertex.digest == warning.vertex);
            found.and_then(|(_, vertex)| vertex.started()).unwrap_or_default()
        };
        let fresh = model.warnings().get(self.warnings..).unwrap_or_default();
        self.warnings = model.warnings().len();
        fresh.iter().map(|warning| (started(warning), warning_line(warning))).collect()
    }

    /// Lines between the values of the stream. Most come after it and are said after it; others wait a little, and those
    /// that come before it do not wait.
    fn output(&mut self, model: &Model, now: Time, out: &mut String) {
        let fresh = model.output_total() - self.output;
        if fresh == 0 {
            return;
        }
        let since = *self.waiting.get_or_insert(now);
        let ended = model.ended().is_some();
        if !ended && model.vertices().next().is_some() && now.since(since) < PATIENCE {
            return;
        }
        self.waiting = None;
        self.output = model.output_total();
        let kept = model.output().len() as u64;
        if fresh > kept {
            self.write(&missing("", fresh - kept, self.options.ascii), out);
        }
        let repeated = if ended { repeated(model) } else { Vec::new() };
        let from = kept.saturating_sub(fresh) as usize;
        for (at, output) in model.output().enumerate().skip(from) {
            if !repeated.contains(&at) {
                self.write(&StyledLine::new().with(output.line.text(), Role::Plain), out);
            }
        }
    }

    /// The failure, the table, the result.
    fn finish(&self, model: &Model, now: Time, out: &mut String) {
        let ascii = self.options.ascii;
        out.push('\n');
        if let Some(failure) = model.failure() {
            for line in failure::lines(
                model,
                &failure,
                &failure::FailureLimits { logs: LAST_LINES, excerpt: usize::MAX, columns: usize::MAX },
                ascii,
            ) {
                self.write(&line, out);
            }
            out.push('\n');
        }
        let table = LayerTable::of(model, now);
        if table.rows().next().is_some() {
            for line in table.lines(ascii) {
                self.write(&line, out);
            }
            out.push('\n');
        }
        self.parts(model, now, out);
        for line in why::sentences(model, ascii) {
            self.write(&line, out);
        }
        self.write(&end::result(model, now, ascii), out);
    }

    /// Says what still runs; gives whether anything does.
    fn heartbeat(&self, model: &Model, now: Time, out: &mut String) -> bool {
        let dots = words::ellipsis(self.options.ascii);
        let expected = model.estimate(now);
        let running: Vec<_> = model
            .vertices()
            .filter_map(|(id, vertex)| match vertex.phase() {
                Phase::Running(since) => Some((id, vertex, since)),
                _ => None,
            })
            .collect();
        for (id, vertex, since) in running.iter().take(MOST_NAMED) {
            let label =
                model.step_of(*id).map_or_else(|| vertex.name.to_string(), |step| self.label(model, step));
            let mut text = format!("{label} {dots} still running {}", words::duration(now.since(*since)));
            let mut role = Role::Dim;
            if let Some(told) = model.step_of(*id).and_then(|id| expected.steps.get(&id)) {
                match told.slower {
                    Some(factor) => {
                        text = format!("{text}, {}", estimate::slower(factor, self.options.ascii));
                        role = Role::Warn;
                    }
                    None => text = format!("{text}, {} left", estimate::step(told, self.options.ascii)),
                }
            }
            self.write(&StyledLine::new().with(text, role), out);
        }
        if running.len() > MOST_NAMED {
            let text = format!("{dots} and {} more", running.len() - MOST_NAMED);
            self.write(&StyledLine::new().with(text, Role::Dim), out);
        }
        let activities = model.activities();
        for activity in activities.iter().filter(|activity| activity.total > 0) {
            let (done, all) = (words::bytes(activity.current), words::bytes(activity.total));
            let text = format!("{dots} {} {done} of {all}", activity.verb);
            self.write(&StyledLine::new().with(text, Role::Dim), out);
        }
        if let Some(left) = expected.left {
            let text = format!("{dots} the build: {} left", estimate::left(left, self.options.ascii));
            self.write(&StyledLine::new().with(text, Role::Dim), out);
        }
        !running.is_empty() || !activities.is_empty()
    }

    /// The output of a vertex, as far as it is settled.
    fn log(&mut self, model: &Model, id: VertexId, label: &str, border: Time, lines: &mut Vec<TimedLine>) {
        let Some(vertex) = model.vertex(id).filter(|vertex| !vertex.log.is_empty()) else { return };
        let ascii = self.options.ascii;
        let pieces = self.logs.entry(id).or_default().advance(&vertex.log, border);
        let first = pieces.iter().find_map(|piece| match piece {
            TailPiece::Line(line) => Some(line.at),
            TailPiece::Missing(_) => None,
        });
        let prefix = || StyledLine::new().with(format!("{label} | "), Role::Dim);
        lines.extend(pieces.iter().map(|piece| match piece {
            TailPiece::Line(line) => (line.at, prefix().with(line.line.text(), Role::Plain)),
            TailPiece::Missing(n) => (first.unwrap_or(border), missing(&format!("{label} | "), *n, ascii)),
        }));
    }
}

fn missing(prefix: &str, n: u64, ascii: bool) -> StyledLine {
    let text = format!("{prefix}{} {n} older lines are no longer kept", words::ellipsis(ascii));
    StyledLine::new().with(text, Role::Warn)
}

fn warning_line(warning: &Warning) -> StyledLine {
    StyledLine::new().with("! warning: ", Role::Warn).with(label::of_warning(warning), Role::Plain)
}

/// The places of those lines that the failure at the end shows again.
fn repeated(model: &Model) -> Vec<usize> {
    let Some(failure) = model.failure() else { return Vec::new() };
    let lines: Vec<&Output> = model.output().collect();
    let mut places = Vec::new();
    if let Some((title, body)) = failure.excerpt.split_first() {
        let is = |at: usize, line: &Line| lines.get(at).is_some_and(|output| output.line == *line);
        // The title, a rule, the lines, a rule.
        let begin = (0..lines.len())
            .find(|at| is(*at, title) && body.iter().enumerate().all(|(i, line)| is(at + 2 + i, line)));
        places.extend(begin.into_iter().flat_map(|at| at..at + body.len() + 3));
    }
    places.extend(lines.iter().rposition(|output| {
        let error = output.line.text().strip_prefix("ERROR: ");
        error.zip(failure.error.as_ref()).is_some_and(|(line, own)| line.ends_with(own.as_str()))
    }));
    places
}

/// How far the builder's time has come.
fn newest(model: &Model) -> Time {
    let of = |vertex: &Vertex| {
        let statuses = vertex.statuses.iter().map(|status| status.timestamp).max();
        let log = vertex.log.iter().next_back().map(|line| line.at);
        vertex.started().max(vertex.completed()).max(statuses).max(log)
    };
    model.vertices().filter_map(|(_, vertex)| of(vertex)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
