//! The registry as it was said to stand, and how fast it answered over the session.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::Time;
use crate::event::registry::{RegistrySnapshot, RegistryState};

/// Moments that are kept for a sparkline.
const MOST_MOMENTS: usize = 240;

/// One attempt to ask the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// When it was made.
    pub asked: Time,
    /// What it took in microseconds; none where there was no answer.
    pub took_us: Option<u64>,
}

/// What is known of the registry.
#[derive(Debug, Default)]
pub struct RegistryHealth {
    newest: Option<(Time, RegistrySnapshot)>,
    pings: VecDeque<Ping>,
    sizes: VecDeque<(Time, u64)>,
    since: Time,
    apart: Duration,
}

impl RegistryHealth {
    /// Takes the snapshot that arrived at `at`.
    pub(super) fn apply(&mut self, at: Time, registry: &RegistrySnapshot) {
        let before = self.newest.as_ref().map(|(_, before)| before);
        if before.is_none_or(|before| before.state != registry.state) {
            self.since = at;
        }
        if registry.asked != Time::default() && before.is_none_or(|before| before.asked != registry.asked) {
            let answered = registry.answered.is_some_and(|answered| answered >= registry.asked);
            let took_us = registry.latency.filter(|_| answered).map(|latency| latency.last_us);
            push(&mut self.pings, Ping { asked: registry.asked, took_us });
        }
        if let Some(cache) = &registry.cache
            && self.sizes.back().is_none_or(|(_, bytes)| *bytes != cache.bytes)
        {
            push(&mut self.sizes, (cache.looked, cache.bytes));
        }
        self.newest = Some((at, registry.clone()));
    }

    /// Snapshots come at least so often, also where the registry is asked more often.
    pub(super) fn expect(&mut self, apart: Duration) {
        self.apart = apart;
    }

    /// The newest snapshot; none where no registry was looked at.
    pub fn newest(&self) -> Option<&RegistrySnapshot> {
        self.newest.as_ref().map(|(_, registry)| registry)
    }

    /// How it is; [`RegistryState::Unknown`] before anything is known.
    pub fn state(&self) -> RegistryState {
        self.newest().map(|registry| registry.state).unwrap_or_default()
    }

    /// Since when it is so.
    pub fn since(&self) -> Option<Time> {
        self.newest.as_ref().map(|_| self.since)
    }

    /// How long ago the registry itself said something; none where it never has.
    pub fn age(&self, now: Time) -> Option<Duration> {
        self.newest()?.answered.map(|answered| now.since(answered))
    }

    /// Whether what is shown of it may no longer be so.
    pub fn is_stale(&self, now: Time) -> bool {
        // What has had no answer is stale at once; that it was not asked since may just not have been written down.
        let old = |registry: &RegistrySnapshot| {
            registry.is_stale(registry.asked) || registry.is_stale(now.minus(self.apart))
        };
        self.newest().is_some_and(old)
    }

    /// The attempts to ask it, oldest first; the newest 240.
    pub fn pings(&self) -> impl DoubleEndedIterator<Item = &Ping> + ExactSizeIterator {
        self.pings.iter()
    }

    /// What the cache weighed, whenever that changed: when it was seen, and bytes.
    pub fn cache_sizes(&self) -> impl DoubleEndedIterator<Item = (Time, u64)> + ExactSizeIterator {
        self.sizes.iter().copied()
    }
}

fn push<T>(moments: &mut VecDeque<T>, moment: T) {
    if moments.len() >= MOST_MOMENTS {
        moments.pop_front();
    }
    moments.push_back(moment);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::registry::Latency;

    fn secs(secs: u64) -> Time {
        Time::default().plus(Duration::from_secs(secs))
    }

    fn snapshot(asked: u64, answered: Option<u64>, state: RegistryState) -> RegistrySnapshot {
        RegistrySnapshot {
            state,
            asked: secs(asked),
            answered: answered.map(secs),
            next_us: 2_000_000,
            latency: Some(Latency { last_us: asked, ..Latency::default() }),
            ..RegistrySnapshot::default()
        }
    }

    #[test]
    fn a_dead_registry_is_stale_and_has_an_age() {
        let mut health = RegistryHealth::default();
        assert_eq!((health.state(), health.age(secs(1))), (RegistryState::Unknown, None));
        health.apply(secs(10), &snapshot(10, Some(10), RegistryState::Ok));
        assert!(!health.is_stale(secs(12)) && health.is_stale(secs(40)));
        health.apply(secs(12), &snapshot(12, Some(10), RegistryState::Down));
        health.apply(secs(14), &snapshot(14, Some(10), RegistryState::Down));
        assert!(health.is_stale(secs(14)));
        assert_eq!((health.age(secs(14)), health.since()), (Some(Duration::from_secs(4)), Some(secs(12))));
        let took: Vec<_> = health.pings().map(|ping| ping.took_us).collect();
        assert_eq!(took, [Some(10), None, None]);
    }

    #[test]
    fn a_snapshot_that_comes_twice_is_one_ping_and_histories_are_bounded() {
        let mut health = RegistryHealth::default();
        for asked in 1..1000 {
            for _ in 0..2 {
                health.apply(secs(asked), &snapshot(asked, Some(asked), RegistryState::Ok));
            }
        }
        assert_eq!(health.pings().len(), MOST_MOMENTS);
        assert_eq!(health.pings().next_back().map(|ping| ping.asked), Some(secs(999)));
    }
}
