//! The cluster: its newest snapshot, and how old that is.

use std::time::Duration;

use crate::event::cluster::{ApiState, ClusterSnapshot};
use crate::event::{Text, Time};

/// A snapshot comes every 10 s even where nothing changes. After two that did not come what is known is old.
pub const STALE_AFTER: Duration = Duration::from_secs(25);

/// A cluster, as far as its snapshots have told.
#[derive(Debug, Default)]
pub struct Cluster {
    newest: Option<(Time, ClusterSnapshot)>,
    since: Time,
    apart: Duration,
}

impl Cluster {
    /// Takes the snapshot that arrived at `at`.
    pub(super) fn apply(&mut self, at: Time, snapshot: &ClusterSnapshot) {
        if self.newest.as_ref().is_none_or(|(_, before)| before.state != snapshot.state) {
            self.since = at;
        }
        self.newest = Some((at, snapshot.clone()));
    }

    /// Snapshots come at least so often.
    pub(super) fn expect(&mut self, apart: Duration) {
        self.apart = apart;
    }

    /// The newest snapshot; none where no cluster is looked at.
    pub fn snapshot(&self) -> Option<&ClusterSnapshot> {
        self.newest.as_ref().map(|(_, snapshot)| snapshot)
    }

    /// When the newest snapshot came.
    pub fn at(&self) -> Option<Time> {
        self.newest.as_ref().map(|(at, _)| *at)
    }

    /// How its API server is; [`ApiState::Unknown`] before anything is known.
    pub fn state(&self) -> ApiState {
        self.snapshot().map(|snapshot| snapshot.state).unwrap_or_default()
    }

    /// Since when it is so.
    pub fn since(&self) -> Option<Time> {
        self.newest.as_ref().map(|_| self.since)
    }

    /// How old what is known of nodes and pods is: while the API server answers that of the snapshot, else of the last answer. None
    /// where there never was one.
    pub fn age(&self, now: Time) -> Option<Duration> {
        let (at, snapshot) = self.newest.as_ref()?;
        if snapshot.state.is_up() {
            return Some(now.since(*at));
        }
        snapshot.answered.map(|answered| now.since(answered))
    }

    /// Whether what is known may no longer be so.
    pub fn is_stale(&self, now: Time) -> bool {
        self.newest.as_ref().is_some_and(|(at, snapshot)| {
            !snapshot.state.is_up() || now.since(*at) > STALE_AFTER + self.apart
        })
    }

    /// The node that a pod which matters is bound to.
    pub fn node_of(&self, pod: &Text) -> Option<&Text> {
        self.snapshot()?.pods().find(|known| known.name == *pod)?.node.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Time {
        Time::default().plus(Duration::from_secs(secs))
    }

    #[test]
    fn a_lost_cluster_is_stale_from_its_last_answer_on() {
        let mut cluster = Cluster::default();
        assert_eq!(
            (cluster.state(), cluster.age(secs(9)), cluster.is_stale(secs(9))),
            (ApiState::Unknown, None, false)
        );
        let up =
            ClusterSnapshot { state: ApiState::Ok, answered: Some(secs(10)), ..ClusterSnapshot::default() };
        cluster.apply(secs(10), &up);
        cluster.apply(secs(20), &ClusterSnapshot { answered: Some(secs(19)), ..up.clone() });
        assert_eq!((cluster.since(), cluster.age(secs(22))), (Some(secs(10)), Some(Duration::from_secs(2))));
        assert!(!cluster.is_stale(secs(45)) && cluster.is_stale(secs(46)));
        let silent = ClusterSnapshot { state: ApiState::Silent, answered: Some(secs(19)), ..up };
        cluster.apply(secs(24), &silent);
        assert!(cluster.is_stale(secs(24)), "an API server that does not answer tells nothing new");
        assert_eq!((cluster.since(), cluster.age(secs(24))), (Some(secs(24)), Some(Duration::from_secs(5))));
    }
}
