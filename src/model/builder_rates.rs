//! The builder: its newest snapshot, and what only several of them tell: rates, growth, age.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::event::builder::{BuilderNode, BuilderSnapshot, Counters};
use crate::event::{Text, Time};

/// Samples kept of each rate, for sparklines.
const SAMPLES: usize = 120;

/// After this time without news what is known is old: more than two polls.
pub const STALE_AFTER: Duration = Duration::from_secs(6);

/// A builder, as far as its snapshots have told.
#[derive(Debug, Default)]
pub struct Builder {
    newest: Option<(Time, BuilderSnapshot)>,
    /// By the node's name.
    histories: BTreeMap<Text, NodeHistory>,
    apart: Duration,
}

/// What several snapshots of one node tell.
#[derive(Debug, Default)]
pub struct NodeHistory {
    last: Option<Counters>,
    rates: VecDeque<Rates>,
    first_bytes: Option<u64>,
    bytes: Option<u64>,
}

/// What a container did between two snapshots; none where one of them does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// CPUs in use: 1.5 is one and a half of them.
    pub cpus: Option<f64>,
    /// Bytes read from disks, a second.
    pub disk_read: Option<f64>,
    /// Bytes written to disks, a second.
    pub disk_written: Option<f64>,
    /// Bytes received, a second.
    pub net_received: Option<f64>,
    /// Bytes sent, a second.
    pub net_sent: Option<f64>,
}

impl Rates {
    /// What lies between two readings. A counter that went back is one of another life of the container, and tells nothing.
    fn between(before: &Counters, after: &Counters) -> Option<Self> {
        let seconds = after.at.since(before.at).as_secs_f64();
        let rate = |then: Option<u64>, now: Option<u64>| Some(now?.checked_sub(then?)? as f64 / seconds);
        (seconds > 0.0).then(|| Self {
            cpus: rate(before.cpu_ns, after.cpu_ns).map(|nanos| nanos / 1e9),
            disk_read: rate(before.disk_read, after.disk_read),
            disk_written: rate(before.disk_written, after.disk_written),
            net_received: rate(before.net_received, after.net_received),
            net_sent: rate(before.net_sent, after.net_sent),
        })
    }
}

impl NodeHistory {
    fn apply(&mut self, node: &BuilderNode) {
        if let Some(usage) = &node.usage {
            self.first_bytes.get_or_insert(usage.total.bytes);
            self.bytes = Some(usage.total.bytes);
        }
        let counters = node.container.as_ref().and_then(|container| container.counters.as_ref());
        let Some(counters) = counters else {
            self.last = None;
            return;
        };
        // Snapshots come for other reasons too, with the counters of the one before.
        if self.last.as_ref().is_some_and(|last| last.at >= counters.at) {
            return;
        }
        if let Some(rates) = self.last.as_ref().and_then(|last| Rates::between(last, counters)) {
            if self.rates.len() >= SAMPLES {
                self.rates.pop_front();
            }
            self.rates.push_back(rates);
        }
        self.last = Some(counters.clone());
    }

    /// Rates, oldest first.
    pub fn rates(&self) -> impl DoubleEndedIterator<Item = &Rates> + ExactSizeIterator {
        self.rates.iter()
    }

    /// The newest rates; none where the container does not run, or was seen once only.
    pub fn now(&self) -> Option<&Rates> {
        self.last.as_ref().and(self.rates.back())
    }

    /// Bytes that the cache has grown by since it was first seen; negative where it shrank.
    pub fn growth(&self) -> Option<i64> {
        let (first, now) = (i64::try_from(self.first_bytes?).ok()?, i64::try_from(self.bytes?).ok()?);
        Some(now - first)
    }
}

impl Builder {
    pub(super) fn apply(&mut self, at: Time, snapshot: &BuilderSnapshot) {
        if self.newest.as_ref().is_some_and(|(_, known)| known.name != snapshot.name) {
            self.histories.clear();
        }
        self.histories.retain(|name, _| snapshot.nodes.iter().any(|node| node.name == *name));
        for node in &snapshot.nodes {
            self.histories.entry(node.name.clone()).or_default().apply(node);
        }
        self.newest = Some((at, snapshot.clone()));
    }

    /// Snapshots come at least so often.
    pub(super) fn expect(&mut self, apart: Duration) {
        self.apart = apart;
    }

    /// The newest snapshot; none where nobody looked.
    pub fn snapshot(&self) -> Option<&BuilderSnapshot> {
        self.newest.as_ref().map(|(_, snapshot)| snapshot)
    }

    /// When the newest snapshot came.
    pub fn at(&self) -> Option<Time> {
        self.newest.as_ref().map(|(at, _)| *at)
    }

    /// How old what is known is.
    pub fn age(&self, now: Time) -> Option<Duration> {
        self.at().map(|at| now.since(at))
    }

    /// Whether what is known is too old to be believed.
    pub fn is_stale(&self, now: Time) -> bool {
        self.age(now).is_some_and(|age| age > STALE_AFTER + self.apart)
    }

    /// What several snapshots of a node tell.
    pub fn history(&self, node: &Text) -> Option<&NodeHistory> {
        self.histories.get(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::builder::{Amount, BuilderContainer, Usage};

    fn snapshot(micros: i64, cpu_ns: u64, sent: Option<u64>, bytes: u64) -> BuilderSnapshot {
        let counters = Counters {
            at: Time::from_micros(micros),
            cpu_ns: Some(cpu_ns),
            net_sent: sent,
            ..Counters::default()
        };
        let node = BuilderNode {
            name: "a0".into(),
            container: Some(BuilderContainer { counters: Some(counters), ..BuilderContainer::default() }),
            usage: Some(Usage { total: Amount { records: 1, bytes }, ..Usage::default() }),
            ..BuilderNode::default()
        };
        BuilderSnapshot { name: "a".into(), nodes: vec![node], ..BuilderSnapshot::default() }
    }

    fn apply(builder: &mut Builder, snapshot: &BuilderSnapshot) {
        builder.apply(Time::from_micros(7), snapshot);
    }

    #[test]
    fn rates_come_from_two_snapshots_and_growth_from_the_first() {
        let mut builder = Builder::default();
        apply(&mut builder, &snapshot(0, 5, None, 100));
        let known = |builder: &Builder| builder.history(&"a0".into()).and_then(|h| h.now().copied());
        assert_eq!(known(&builder), None, "one snapshot has no rate");
        apply(&mut builder, &snapshot(2_000_000, 3_000_000_005, Some(4), 80));
        let rates = known(&builder).unwrap();
        assert_eq!((rates.cpus, rates.net_sent), (Some(1.5), None));
        assert_eq!(builder.history(&"a0".into()).unwrap().growth(), Some(-20));

        apply(&mut builder, &snapshot(2_000_000, 3_000_000_005, Some(4), 80));
        assert_eq!(builder.history(&"a0".into()).unwrap().rates().len(), 1, "the same reading is no sample");
        apply(&mut builder, &snapshot(3_000_000, 9, Some(8), 80));
        let rates = known(&builder).unwrap();
        assert_eq!((rates.cpus, rates.net_sent), (None, Some(4.0)), "a restarted container counts anew");

        let mut stopped = snapshot(4_000_000, 9, None, 80);
        stopped.nodes[0].container = None;
        apply(&mut builder, &stopped);
        assert_eq!(known(&builder), None, "what does not run has no rates");
    }

    #[test]
    fn histories_are_bounded_and_go_with_their_node() {
        let mut builder = Builder::default();
        for i in 0..500 {
            apply(&mut builder, &snapshot(i * 1_000_000, i as u64, None, 1));
        }
        assert_eq!(builder.history(&"a0".into()).unwrap().rates().len(), SAMPLES);
        apply(&mut builder, &BuilderSnapshot { name: "b".into(), ..BuilderSnapshot::default() });
        assert!(builder.history(&"a0".into()).is_none());
        assert!(!builder.is_stale(Time::from_micros(7)));
        assert!(builder.is_stale(Time::from_micros(8).plus(STALE_AFTER)));
    }
}
