//! What stays in the scrollback after the screen has closed.

use super::cache::{CacheSummary, Verdict};
use super::styled::StyledLine;
use super::words::{self, Role, Sign};
use crate::event::Time;
use crate::model::{Model, Outcome, State};

/// `● built in 1:42 · 8 of 22 hit (36 %) · cache imported, exported · 2 warnings`.
pub fn result(model: &Model, now: Time, ascii: bool) -> StyledLine {
    let outcome = model.outcome();
    let sign = Sign::of_outcome(outcome);
    let wall = words::duration(model.wall(now));
    let preposition = if outcome == Outcome::Success { "in" } else { "after" };
    let mut line = StyledLine::new().with(format!("{} {}", sign.shape(ascii), sign.word), sign.role);
    line.push(format!(" {preposition} {wall}"), Role::Strong);
    if let (Outcome::Failed, Some(code)) = (outcome, model.exit_code()) {
        line.push(format!(" with exit code {code}"), Role::Plain);
    }
    let dot = if ascii { " - " } else { " · " };
    let counts = model.counts();
    let hits = counts.of(State::Hit);
    if let Some(share) = words::percent(hits, counts.total) {
        line.push(format!("{dot}{hits} of {} hit ({share})", counts.total), Role::Plain);
    }
    let cache = CacheSummary::of(model);
    for (side, good, bad) in [
        (&cache.import, "cache imported", "cache import failed"),
        (&cache.export, "cache exported", "cache export failed"),
    ] {
        match side.state {
            Verdict::Ok => line.push(format!("{dot}{good}"), Role::Plain),
            Verdict::Failed => line.push(dot, Role::Plain).push(bad, Role::Warn),
            Verdict::None => &mut line,
        };
    }
    if !model.warnings().is_empty() {
        line.push(dot, Role::Plain);
        line.push(words::count(model.warnings().len(), "warning"), Role::Warn);
    }
    line
}
/// temp
pub fn lines(m: &Model, now: Time, _: Option<&std::path::Path>, _: usize, a: bool) -> Vec<StyledLine> {
    vec![result(m, now, a)]
}
