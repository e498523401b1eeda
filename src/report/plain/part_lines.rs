//! How the parts around the build are: once when each is known, and once more at the end.

use std::time::Duration;

use super::PlainOutput;
use crate::event::Time;
use crate::model::Model;
use crate::report::health::{AroundPart, HealthGrade, PartHealth};

/// How long a part that is well may take to tell the rest of its line.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which parts have been told of, and since when the others are known; and how many of their turns were looked at.
#[derive(Debug, Default)]
pub(super) struct PrintedParts([Option<PrintState>; 3], u64);

#[derive(Debug, Clone, Copy)]
enum PrintState {
    Known(Time),
    Told,
}

impl PlainOutput {
    /// Those of which nothing has been said yet. A build is never kept waiting for them.
    pub(super) fn around(&mut self, model: &Model, now: Time, out: &mut String) {
        if !self.begun {
            return;
        }
        self.part_changes(model, out);
        for (i, health) in PartHealth::all(model, now).into_iter().enumerate() {
            if matches!(self.around.0[i], Some(PrintState::Told)) || !is_printed(&health) {
                continue;
            }
            let since = match self.around.0[i] {
                Some(PrintState::Known(since)) => since,
                _ => now,
            };
            self.around.0[i] = Some(PrintState::Known(since));
            if health.is_whole(model) || now.since(since) >= PATIENCE {
                self.around.0[i] = Some(PrintState::Told);
                self.write(&health.line(self.options.ascii), out);
            }
        }
    }

    /// What has become worse of those that were told of, and what is well again. Of the others their first line tells how they are.
    fn part_changes(&mut self, model: &Model, out: &mut String) {
        for turn in model.part_changes().since(self.around.1) {
            let health = PartHealth::of_change(turn);
            let place = AroundPart::ALL.iter().position(|part| *part == health.part);
            if place.is_some_and(|place| matches!(self.around.0[place], Some(PrintState::Told))) {
                self.write(&health.line(self.options.ascii), out);
            }
        }
        self.around.1 = model.part_changes().total();
    }

    /// All that are watched, as they are now.
    pub(super) fn parts(&self, model: &Model, now: Time, out: &mut String) {
        let watched = |health: &PartHealth| is_printed(health) && health.grade != HealthGrade::Off;
        let lines = PartHealth::all(model, now).into_iter().filter(watched);
        let lines: Vec<_> = lines.map(|health| health.line(self.options.ascii)).collect();
        for line in &lines {
            self.write(line, out);
        }
        if !lines.is_empty() {
            out.push('\n');
        }
    }
}

/// Whether there is something to say: what nobody watches is not spoken of, and neither is what has not answered yet.
fn is_printed(health: &PartHealth) -> bool {
    match health.grade {
        HealthGrade::Unknown => false,
        HealthGrade::Off => !health.facts.is_empty(),
        HealthGrade::Well | HealthGrade::Poor | HealthGrade::Ill => true,
    }
}
