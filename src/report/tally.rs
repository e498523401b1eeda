//! How many of a build's steps were rebuilt: the one number that every output has, of all its steps.

use super::compare::BuildTotals;
use super::json::BuildResult;
use crate::history::rows::BuildRow;
use crate::model::{Model, Outcome};

/// What was rebuilt of a build's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Steps that were rebuilt.
    pub rebuilt: u64,
    pub total: u64,
    /// Steps that the build came to; all of them where it made what was asked for, or still runs.
    pub reached: u64,
}

impl Tally {
    /// That of a build; none where it has no steps.
    pub fn of(model: &Model) -> Option<Self> {
        let counts = model.counts();
        let whole = matches!(model.outcome(), Outcome::Success | Outcome::Running);
        let reached = if whole { counts.total } else { counts.done() };
        let tally = Self::new(counts.rebuilt(), counts.total, reached);
        (tally.total > 0).then_some(tally)
    }

    /// That of a build of the history; none where it has no steps.
    pub fn of_row(row: &BuildRow) -> Option<Self> {
        (row.steps > 0).then_some(Self { rebuilt: row.rebuilt, total: row.steps, reached: row.reached })
    }

    /// That of a build that is compared.
    pub fn of_whole(whole: &BuildTotals) -> Self {
        let reached = if whole.result == BuildResult::Running { whole.total } else { whole.reached };
        Self::new(whole.rebuilt, whole.total, reached)
    }

    fn new(rebuilt: usize, total: usize, reached: usize) -> Self {
        Self { rebuilt: rebuilt as u64, total: total as u64, reached: reached as u64 }
    }

    /// `2 of 22`.
    pub fn of_all(self) -> String {
        format!("{} of {}", self.rebuilt, self.total)
    }

    /// `2 of 22 rebuilt`; of a build that did not come to all of its steps how many it did: `10 of 22 reached, 2 rebuilt`.
    pub fn text(self) -> String {
        let Self { rebuilt, total, reached } = self;
        if reached < total {
            format!("{reached} of {total} reached, {rebuilt} rebuilt")
        } else {
            format!("{} rebuilt", self.of_all())
        }
    }

    /// What stands beside the number, after what a build came to.
    pub fn more(self, more: &str) -> String {
        if self.reached < self.total { format!("{} reached, {more}", self.reached) } else { more.to_owned() }
    }
}
