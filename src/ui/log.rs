//! Where the log stands: following its end, or held at a line; and what is looked for in it.

use super::keys::Action;
use crate::model::Log;

/// Where the log stands.
#[derive(Debug, Default)]
pub struct LogView {
    /// The first line that is shown, counted from the first that there ever was; none: the end is followed.
    pub top: Option<u64>,
    /// The text that is looked for; empty: none.
    pub wanted: String,
    /// The match that was jumped to last.
    pub found: Option<LogMatch>,
}

/// A line that holds what was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogMatch {
    /// The line, counted like the log's top.
    pub line: u64,
    /// Which of the lines that hold it, from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

impl LogView {
    /// The first of `height` lines to show, as an index into the kept lines.
    pub fn first(&self, log: &Log, height: usize) -> usize {
        let end = log.len().saturating_sub(height);
        self.top.map_or(end, |top| (top.saturating_sub(log.dropped()) as usize).min(end))
    }

    pub(super) fn travel(&mut self, action: Action, log: Option<&Log>, page: usize) {
        let Some(log) = log else { return };
        let first = self.first(log, page);
        let end = log.len().saturating_sub(page);
        let to = match action {
            Action::Up => first.saturating_sub(1),
            Action::Down => first + 1,
            Action::PageUp => first.saturating_sub(page.max(1)),
            Action::PageDown => first + page.max(1),
            Action::First => 0,
            _ => end,
        };
        // Whoever comes to the end by himself wants to follow it.
        self.top = (to < end).then(|| to as u64 + log.dropped());
    }

    /// Looks for another text, from the end backwards: what was said last matters most.
    pub(super) fn search(&mut self, wanted: &str, log: Option<&Log>, page: usize) {
        wanted.clone_into(&mut self.wanted);
        self.found = None;
        self.next_match(log, false, page);
    }

    /// Jumps to the next match below, or above; round the end where there is none.
    pub(super) fn next_match(&mut self, log: Option<&Log>, below: bool, page: usize) {
        let Some(log) = log.filter(|_| !self.wanted.is_empty()) else { return };
        let wanted = self.wanted.to_lowercase();
        let matches: Vec<u64> = (log.dropped()..)
            .zip(log.iter())
            .filter(|(_, line)| line.line.text().to_lowercase().contains(&wanted))
            .map(|(number, _)| number)
            .collect();
        let at = self.found.map(|found| found.line);
        let next = match (at, below) {
            (Some(at), true) => matches.iter().position(|n| *n > at).or(Some(0)),
            (Some(at), false) => matches.iter().rposition(|n| *n < at).or(matches.len().checked_sub(1)),
            (None, true) => Some(0),
            (None, false) => matches.len().checked_sub(1),
        };
        let found = next.and_then(|next| {
            Some(LogMatch { line: *matches.get(next)?, number: next + 1, of: matches.len() })
        });
        self.found = found;
        if let Some(found) = found {
            self.top = Some(found.line.saturating_sub(page as u64 / 2));
        }
    }
}
