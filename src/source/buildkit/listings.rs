//! Listings of records, shared by all who need one: a daemon lists its records for one of them, and for one at a time.
//!
//! To list them is dear for a daemon: it holds the lock of its cache while it looks at each record, and measures the new ones on the
//! disk (moby/buildkit `cache/manager.go`, `DiskUsage`). On a builder with thousands of records that takes seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use crate::event::Time;
use crate::event::builder::Usage;

/// A listing is asked for again after at least so long.
const APART: Duration = Duration::from_secs(10);
/// And after so many times as long as the last one took, so that a daemon spends no more than that share of its time on them.
const SHARE: u32 = 50;
/// What a build leaves behind is asked for after so many times as long.
const SHARE_AFTER_BUILD: u32 = 5;

/// The newest listing of one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::source) struct NodeListing {
    /// What it sums up to; none before the first answer.
    pub(in crate::source) usage: Option<Usage>,
    /// How long it took; before the first answer, how long one took earlier, where that is known.
    pub(in crate::source) took: Option<Duration>,
    /// When it was answered.
    answered: Option<Time>,
    /// When the one was asked for that has not been answered yet.
    pub(in crate::source) asked: Option<Time>,
}

impl NodeListing {
    /// Whether it is time for another one.
    pub(in crate::source) fn is_due(&self, now: Time, build_ended: bool) -> bool {
        let share = if build_ended { SHARE_AFTER_BUILD } else { SHARE };
        let least = if build_ended { Duration::ZERO } else { APART };
        let apart = self.took.map_or(least, |took| least.max(took.saturating_mul(share)));
        self.asked.is_none() && self.answered.is_none_or(|answered| now.since(answered) >= apart)
    }
}

/// The newest listings, node by node. Clones are the same.
#[derive(Debug, Clone)]
pub struct Listings(watch::Sender<BTreeMap<String, NodeListing>>);

impl Default for Listings {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl Listings {
    /// That of a node.
    pub(in crate::source) fn of(&self, node: &str) -> NodeListing {
        self.0.borrow().get(node).cloned().unwrap_or_default()
    }

    /// Returns when a listing was asked for or answered.
    pub(in crate::source) fn subscribe(&self) -> watch::Receiver<BTreeMap<String, NodeListing>> {
        self.0.subscribe()
    }

    fn change(&self, node: &str, change: impl FnOnce(&mut NodeListing)) {
        self.0.send_modify(|all| change(all.entry(node.to_owned()).or_default()));
    }

    /// How long earlier ones took, which is what is known of it before it was listed here.
    pub(in crate::source) fn took_earlier(&self, node: &str, took: Duration) {
        self.change(node, |listed| listed.took = listed.took.or(Some(took)));
    }

    /// A listing is asked for now. It is given up when this is dropped.
    pub(in crate::source) fn begin(&self, node: &str, now: Time) -> PendingListing {
        self.change(node, |listed| listed.asked = Some(now));
        PendingListing { listings: self.clone(), node: node.to_owned(), asked: now }
    }
}

/// A listing that is on its way.
#[derive(Debug)]
pub(in crate::source) struct PendingListing {
    listings: Listings,
    node: String,
    asked: Time,
}

impl PendingListing {
    /// It was answered, or has failed, which takes the daemon as long.
    pub(in crate::source) fn end(self, usage: Option<Usage>, now: Time) {
        self.listings.change(&self.node, |listed| {
            listed.usage = usage.or(listed.usage.take());
            listed.took = Some(now.since(self.asked));
            listed.answered = Some(now);
        });
    }
}

impl Drop for PendingListing {
    fn drop(&mut self) {
        self.listings.change(&self.node, |listed| listed.asked = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_slow_daemon_is_asked_seldom_and_never_twice_at_once() {
        let listings = Listings::default();
        assert!(listings.of("n").is_due(at(0), false));
        let pending = listings.begin("n", at(0));
        assert!(!listings.of("n").is_due(at(1000), true), "the last answer is on its way");
        pending.end(Some(Usage::default()), at(5));
        let listed = listings.of("n");
        assert_eq!((listed.took, listed.asked), (Some(Duration::from_secs(5)), None));
        assert!(!listed.is_due(at(254), false) && listed.is_due(at(255), false));
        assert!(!listed.is_due(at(29), true) && listed.is_due(at(30), true));
        assert_eq!(listings.of("other"), NodeListing::default());
        drop(listings.begin("n", at(300)));
        assert_eq!(listings.of("n"), listed, "one that was given up changes nothing");
    }
}
