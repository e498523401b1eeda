//! How the parts around the build are: once when each is known, and once more at the end.

use std::time::Duration;

use super::Plain;
use crate::event::Time;
use crate::model::Model;
use crate::report::health::{Grade, Health};

/// How long a part that is well may take to tell the rest of its line.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which parts have been told of, and since when the others are known.
#[derive(Debug, Default)]
pub(super) struct Told([Option<Moment>; 3]);

#[derive(Debug, Clone, Copy)]
enum Moment {
    Known(Time),
    Told,
}

impl Plain {
    /// Those of which nothing has been said yet. A build is never kept waiting for them.
    pub(super) fn around(&mut self, model: &Model, now: Time, out: &mut String) {
        if !self.begun {
            return;
        }
        for (i, health) in Health::all(model, now).into_iter().enumerate() {
            if matches!(self.around.0[i], Some(Moment::Told)) || !is_told(&health) {
                continue;
            }
            let since = match self.around.0[i] {
                Some(Moment::Known(since)) => since,
                _ => now,
            };
            self.around.0[i] = Some(Moment::Known(since));
            if health.is_whole(model) || now.since(since) >= PATIENCE {
                self.around.0[i] = Some(Moment::Told);
                self.write(&health.line(self.options.ascii), out);
            }
        }
    }

    /// All that are watched, as they are now.
    pub(super) fn parts(&self, model: &Model, now: Time, out: &mut String) {
        let watched = |health: &Health| is_told(health) && health.grade != Grade::Off;
        let lines = Health::all(model, now).into_iter().filter(watched);
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
fn is_told(health: &Health) -> bool {
    match health.grade {
        Grade::Unknown => false,
        Grade::Off => !health.facts.is_empty(),
        Grade::Well | Grade::Poor | Grade::Ill => true,
    }
}
