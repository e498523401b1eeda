//! The two clocks, and the only place that asks the machine for the time.
//!
//! Live, a moment is the wall clock's. In a replay it is a moment of the recording: [`ReplayClock`] is a value that maps
//! the one to the other, so that whoever draws asks it the same question as ever and pause, speed and seek are nothing
//! but other mappings.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::event::Time;

/// The wall clock as it stood once, carried on by a monotonic clock: it never runs backwards, whatever is done to the
/// machine's time meanwhile. Make one at the start of the program and hand out copies.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Time,
    since: Instant,
}

impl Clock {
    /// Reads the machine's time, once.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the time for everybody else")]
    pub fn live() -> Self {
        let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => Time::default().plus(after),
            Err(before) => Time::default().minus(before.duration()),
        };
        Self { wall, since: Instant::now() }
    }

    /// The time now. In a test whose runtime has paused its clock it is that clock's.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the time for everybody else")]
    pub fn now(&self) -> Time {
        self.wall.plus(Instant::now().saturating_duration_since(self.since))
    }
}

/// How fast a replay runs: times the speed at which it was recorded, or as fast as it can be shown.
#[derive(Clone, Copy, PartialEq)]
pub struct Speed(f64);

impl Speed {
    /// As it was recorded.
    pub const NORMAL: Self = Self(1.0);
    /// As fast as whoever takes the events can go.
    pub const MAX: Self = Self(f64::INFINITY);
    /// The slowest and the fastest that is measured; beyond the fastest there is [`Self::MAX`].
    const RANGE: std::ops::RangeInclusive<f64> = 1.0 / 64.0..=1024.0;

    /// `factor` times as fast as recorded; none where that is no number between 1/64 and 1024.
    pub fn times(factor: f64) -> Option<Self> {
        Self::RANGE.contains(&factor).then_some(Self(factor))
    }

    /// The factor; none for [`Self::MAX`].
    pub fn factor(self) -> Option<f64> {
        self.0.is_finite().then_some(self.0)
    }

    /// Whether this is [`Self::MAX`].
    pub fn is_max(self) -> bool {
        self.factor().is_none()
    }

    /// Twice as fast; what is faster than 1024 times is [`Self::MAX`].
    #[must_use]
    pub fn faster(self) -> Self {
        self.factor().and_then(|f| Self::times(f * 2.0)).unwrap_or(Self::MAX)
    }

    /// Half as fast, down to 1/64; below [`Self::MAX`] comes 64 times, which an eye can still follow.
    #[must_use]
    pub fn slower(self) -> Self {
        match self.factor() {
            Some(factor) => Self::times(factor / 2.0).unwrap_or(self),
            None => Self(64.0),
        }
    }

    /// How much of the recording passes in `real` time.
    fn scale(self, real: Duration) -> Duration {
        self.factor().map_or(Duration::ZERO, |f| Duration::from_micros((real.as_micros() as f64 * f) as u64))
    }

    /// How much real time passes in `recorded` time.
    fn unscale(self, recorded: Duration) -> Duration {
        self.factor().map_or(Duration::ZERO, |f| {
            Duration::from_micros((recorded.as_micros() as f64 / f).ceil() as u64)
        })
    }
}

impl Default for Speed {
    fn default() -> Self {
        Self::NORMAL
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.factor() {
            Some(factor) => f.pad(&format!("{factor}x")),
            None => f.pad("max"),
        }
    }
}

impl fmt::Debug for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What was typed is no speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no speed: give a factor from 0.015625x to 1024x, such as 8x or 0.5x, or max")]
pub struct BadSpeed(String);

impl FromStr for Speed {
    type Err = BadSpeed;

    /// Reads `8x`, `8×`, `0.5` or `max`.
    fn from_str(text: &str) -> Result<Self, BadSpeed> {
        if text.eq_ignore_ascii_case("max") {
            return Ok(Self::MAX);
        }
        let number = text.strip_suffix(['x', 'X', '×']).unwrap_or(text);
        number.parse().ok().and_then(Self::times).ok_or_else(|| BadSpeed(text.to_owned()))
    }
}

/// Maps real time to the recording's: a straight line from an anchor that every control moves.
///
/// `real` is always what [`Clock::now`] says, `to` and `at` are moments of the recording. At [`Speed::MAX`] the clock
/// does not move by itself: whoever hands out the events takes it along with [`Self::seek`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplayClock {
    /// When the clock stood at `at`.
    real: Time,
    at: Time,
    speed: Speed,
    paused: bool,
    end: Option<Time>,
}

impl ReplayClock {
    /// A clock that stands at `at` and runs from there.
    pub fn new(real: Time, at: Time, speed: Speed) -> Self {
        Self { real, at, speed, paused: false, end: None }
    }

    /// The moment of the recording.
    pub fn now(&self, real: Time) -> Time {
        let passed = if self.paused { Duration::ZERO } else { self.speed.scale(real.since(self.real)) };
        let now = self.at.plus(passed);
        self.end.map_or(now, |end| now.min(end))
    }

    /// How fast it runs when it runs.
    pub fn speed(&self) -> Speed {
        self.speed
    }

    /// Whether it stands still.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// How long in real time until the recording's `at`; none while the clock is paused, which means not before something
    /// else happens. Zero where `at` has passed, and for everything at [`Speed::MAX`].
    pub fn until(&self, real: Time, at: Time) -> Option<Duration> {
        (!self.paused).then(|| self.speed.unscale(at.since(self.now(real))))
    }

    /// Runs at another speed from here on.
    pub fn set_speed(&mut self, real: Time, speed: Speed) {
        self.seek(real, self.now(real));
        self.speed = speed;
    }

    /// Stands still from here on.
    pub fn pause(&mut self, real: Time) {
        self.seek(real, self.now(real));
        self.paused = true;
    }

    /// Runs on from where it stands.
    pub fn resume(&mut self, real: Time) {
        self.seek(real, self.now(real));
        self.paused = false;
    }

    /// Stands at `to` now, running or not as before.
    pub fn seek(&mut self, real: Time, to: Time) {
        self.real = real;
        self.at = to;
    }

    /// The recording ends at `end`: the clock stops there, until it is sought back.
    pub fn set_end(&mut self, end: Time) {
        self.end = Some(end);
    }

    /// Where the recording ends, once that is known.
    pub fn end(&self) -> Option<Time> {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const HOUR: Time = Time::from_micros(3_600_000_000);

    fn after(secs: u64) -> Time {
        HOUR.plus(Duration::from_secs(secs))
    }

    fn clock(speed: &str) -> ReplayClock {
        ReplayClock::new(HOUR, Time::from_micros(0), speed.parse().unwrap())
    }

    #[test]
    fn live_time_never_runs_backwards() {
        let clock = Clock::live();
        let mut last = clock.now();
        assert!(last > Time::parse("2025-01-01T00:00:00Z").unwrap());
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[rstest]
    #[case("1x", 10_000_000)]
    #[case("8x", 80_000_000)]
    #[case("0.5", 5_000_000)]
    #[case("max", 0)]
    fn runs_at_its_speed(#[case] speed: &str, #[case] micros: i64) {
        assert_eq!(clock(speed).now(after(10)), Time::from_micros(micros));
    }

    #[test]
    fn each_control_moves_the_line_from_where_it_is() {
        let mut clock = clock("2x");
        clock.set_speed(after(10), Speed::NORMAL);
        assert_eq!(clock.now(after(11)), Time::from_micros(21_000_000));
        clock.pause(after(12));
        assert_eq!(clock.now(after(1000)), Time::from_micros(22_000_000));
        assert_eq!(clock.until(after(1000), HOUR), None);
        clock.seek(after(1000), Time::from_micros(5_000_000));
        assert_eq!(clock.now(after(2000)), Time::from_micros(5_000_000));
        clock.resume(after(2000));
        assert_eq!(clock.now(after(2001)), Time::from_micros(6_000_000));
        clock.set_end(Time::from_micros(6_500_000));
        assert_eq!(clock.now(after(2009)), Time::from_micros(6_500_000));
    }

    #[test]
    fn says_how_long_to_wait() {
        let clock = clock("4x");
        assert_eq!(clock.until(HOUR, Time::from_micros(8_000_000)), Some(Duration::from_secs(2)));
        assert_eq!(clock.until(after(3), Time::from_micros(8_000_000)), Some(Duration::ZERO));
    }

    #[rstest]
    #[case("0")]
    #[case("-1x")]
    #[case("nan")]
    #[case("inf")]
    #[case("1e9")]
    #[case("fast")]
    #[case("")]
    fn refuses_what_is_no_speed(#[case] text: &str) {
        let error = text.parse::<Speed>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")) && error.contains("8x"), "{error}");
    }

    #[test]
    fn speeds_go_up_to_max_and_down_again() {
        let mut speed = Speed::NORMAL;
        for _ in 0..11 {
            speed = speed.faster();
        }
        assert_eq!(speed, Speed::MAX);
        assert_eq!(speed.faster(), Speed::MAX);
        for _ in 0..100 {
            speed = speed.slower();
        }
        assert_eq!(speed.to_string(), "0.015625x");
        assert_eq!(Speed::NORMAL.faster().to_string(), "2x");
    }

    proptest! {
        /// Waiting as long as was said leads to where it was to lead, at any speed and however far away.
        #[test]
        fn waiting_arrives(at: i64, factor in 0.02f64..1000.0, real in 0i64..1 << 52) {
            let real = Time::from_micros(real);
            let clock = ReplayClock::new(real, Time::default(), Speed::times(factor).unwrap());
            let at = Time::from_micros(at % (1 << 40));
            let wait = clock.until(real, at).unwrap();
            prop_assert!(clock.now(real.plus(wait)) >= at.minus(Duration::from_micros(1)));
        }

        #[test]
        fn never_panics(micros: [i64; 4], factor in 0.02f64..1000.0) {
            let [real, at, to, end] = micros.map(Time::from_micros);
            let mut clock = ReplayClock::new(real, at, Speed::times(factor).unwrap());
            clock.pause(to);
            clock.resume(end);
            let _ = (clock.until(at, to), clock.now(to));
            clock.set_end(end);
            prop_assert!(clock.now(real) <= end);
        }
    }
}
