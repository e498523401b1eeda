//! Time as a value: microseconds since the Unix epoch. Nobody but `clock.rs` asks the machine for one.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A moment, in microseconds since the Unix epoch (a JSON number that any reader can hold exactly).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Time(i64);

impl Time {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero where it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The moment `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The moment `by` earlier.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The second that it lies in.
    #[must_use]
    pub const fn whole_second(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1_000_000))
    }

    /// Reads RFC 3339 as Go writes it (`2026-11-22T07:49:26.362029837Z`, any number of fractional digits, any
    /// offset). Go's zero time, year 1, is "not set" and gives none.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_bytes(text.as_bytes())
    }

    /// The same, of bytes that may not even be text.
    pub(crate) fn parse_bytes(bytes: &[u8]) -> Option<Self> {
        let general = || str::from_utf8(bytes).ok()?.parse().ok().map(jiff::Timestamp::as_microsecond);
        let micros = utc_micros(bytes).or_else(general)?;
        (micros > YEAR_ONE_ENDS).then_some(Self(micros))
    }
}

/// The year 2 begins; anything before is Go's zero time in some offset.
const YEAR_ONE_ENDS: i64 = -62_104_060_800_000_000;

/// The common shape, `YYYY-MM-DDTHH:MM:SS[.f…]Z`, without a general parser: a progress stream holds three of these an
/// event. None for any other shape.
fn utc_micros(b: &[u8]) -> Option<i64> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1, rest @ ..] = b
    else {
        return None;
    };
    let fraction = match rest {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if !digits.is_empty() => {
            let mut micros = 0;
            for i in 0..6 {
                micros = micros * 10 + digits.get(i).map_or(Some(0), |d| digit(*d))?;
            }
            if !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            micros
        }
        _ => return None,
    };
    let two = |a: &u8, b: &u8| Some(digit(*a)? * 10 + digit(*b)?);
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(n0, n1)?, two(s0, s1)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    Some(((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + fraction)
}

fn digit(b: u8) -> Option<i64> {
    b.is_ascii_digit().then(|| i64::from(b - b'0'))
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counted from a year that begins in March so that
/// the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_jiff() {
        for text in [
            "2026-11-22T07:49:26.362029837Z",
            "1970-01-01T00:00:00Z",
            "2024-02-29T23:59:59.9Z",
            "2000-03-01T00:00:00.000001Z",
            "1969-12-31T23:59:59Z",
            "2026-11-22T07:49:26.362029837+02:00",
        ] {
            let expected = text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
            assert_eq!(Time::parse(text), Some(Time(expected)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "now",
            "2026-13-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "2026-11-22T07:49:26.x2Z",
            "2026-11-22",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    #[test]
    fn since_never_goes_below_zero() {
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
        assert_eq!(Time(9).since(Time(5)), Duration::from_micros(4));
    }
}
