//! When to try again.

use std::time::Duration;

use crate::clock::Clock;

/// The longest pause between two attempts, before chance.
const LONGEST: Duration = Duration::from_secs(25);

/// The time before the next attempt after so many failures: half a second, growing by 1.6 up to 25 s, or about that.
pub(super) fn pause(failures: u32, clock: &Clock) -> Duration {
    let grown = 0.5 * 1.6_f64.powi(i32::try_from(failures.saturating_sub(1).min(32)).unwrap_or(32));
    about(Duration::from_secs_f64(grown.min(LONGEST.as_secs_f64())), clock)
}

/// A time, a fifth more or less: waits that are alike bring all who wait back at the same moment.
pub(super) fn about(wait: Duration, clock: &Clock) -> Duration {
    let chance = clock.now().micros().rem_euclid(1000) as f64 / 1000.0;
    wait.mul_f64(0.8 + 0.4 * chance)
}
