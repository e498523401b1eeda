//! Why a build failed, as the lines that plain output and the scrollback share.

use super::label;
use super::styled::StyledLine;
use super::words::{self, Role, Sign};
use crate::event::{Line, Text};
use crate::model::{BuildFailure, Model, State};

/// How much of a failure is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureLimits {
    /// Lines of the failed step's output, the last ones.
    pub logs: usize,
    /// Lines of the Dockerfile, those around the failed one.
    pub excerpt: usize,
    /// Columns of the error.
    pub columns: usize,
}

/// The failed step, what it said last, the place in the Dockerfile, the error.
pub fn lines(model: &Model, failure: &BuildFailure, limits: &FailureLimits, ascii: bool) -> Vec<StyledLine> {
    let sign = Sign::of_state(State::Failed);
    let mut lines = Vec::new();
    if let Some(id) = failure.vertex {
        let title = StyledLine::new().with(format!("{} failed: ", sign.shape(ascii)), Role::Bad);
        lines.push(title.with(label::of_vertex(model, id), Role::Strong));
    }
    if let Some(vertex) = failure.vertex.and_then(|id| model.vertex(id)) {
        let log = &vertex.log;
        let from = log.len().saturating_sub(limits.logs);
        let before = log.dropped() + from as u64;
        if before > 0 {
            let lines_before = words::count(usize::try_from(before).unwrap_or(usize::MAX), "line");
            let text = format!("  {} {lines_before} before", words::ellipsis(ascii));
            lines.push(StyledLine::new().with(text, Role::Dim));
        }
        for line in log.iter().skip(from) {
            lines.push(StyledLine::new().with("  | ", Role::Dim).with(line.line.text(), Role::Plain));
        }
    }
    for line in excerpt(&failure.excerpt, limits.excerpt) {
        let role = if marked(line) { Role::Bad } else { Role::Plain };
        lines.push(StyledLine::new().with("  ", Role::Plain).with(line, role));
    }
    let message = message(failure);
    let message = words::squeeze(short(message.as_str()), limits.columns.saturating_sub(2), ascii);
    lines.push(StyledLine::new().with("  ", Role::Plain).with(message, Role::Bad));
    lines
}

/// The error on one line.
pub fn message(failure: &BuildFailure) -> Text {
    failure.error.clone().unwrap_or_else(|| match failure.exit_code {
        Some(code) => Text::clean(&format!("buildx ended with exit code {code}")),
        None => "the build ended without an error message".into(),
    })
}

/// `BuildKit` repeats the whole command in its error; it is shown above it already.
pub fn short(message: &str) -> &str {
    const BEHIND: &str = "did not complete successfully: ";
    let behind = message.starts_with("process \"").then(|| message.rfind(BEHIND)).flatten();
    behind.and_then(|at| message.get(at..)).unwrap_or(message)
}

/// How buildx marks the instruction that failed.
const MARK: &str = ">>>";

/// Whether a line of the excerpt is (a part of) the instruction that failed.
pub fn marked(line: &str) -> bool {
    line.contains(MARK)
}

/// The title, and as many lines around the first marked one as there is room for.
pub fn excerpt(lines: &[Line], most: usize) -> impl Iterator<Item = &str> {
    let (title, body) = lines.split_at(lines.len().min(1));
    let marked = body.iter().position(|line| marked(line.text())).unwrap_or(0);
    let from = marked.saturating_sub(most / 2).min(body.len().saturating_sub(most));
    title.iter().chain(body.iter().skip(from).take(most)).map(|line| line.text().trim_end())
}
