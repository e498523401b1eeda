//! What a recording keeps of the parts around a build: each change at once, and what did not change now and then.
//!
//! A build of ten minutes asks three parts a thousand times. What of that is worth keeping is what changed; counters and
//! times change always.

use std::time::Duration;

use crate::event::registry::RegistrySnapshot;
use crate::event::{BuilderSnapshot, ClusterSnapshot, Event, Stamped, Time, Watching};

/// A part of which nothing new is to be said is written down so often.
pub(super) const APART: Duration = Duration::from_secs(30);

/// What was written down last of each part.
#[derive(Debug)]
pub(super) struct SnapshotFilter {
    apart: Duration,
    registry: Option<(Time, RegistrySnapshot)>,
    builder: Option<(Time, BuilderSnapshot)>,
    cluster: Option<(Time, ClusterSnapshot)>,
    /// What was left out since of each part: of the newest it is not known yet whether it is the last.
    held: [Option<Stamped>; 3],
    ended: bool,
}

impl SnapshotFilter {
    /// What did not change is told `apart`.
    pub(super) fn every(apart: Duration) -> Self {
        let held = [const { None }; 3];
        Self { apart, registry: None, builder: None, cluster: None, held, ended: false }
    }

    /// Those of the events that are to be recorded. How things stood at the end is, so that a replay ends as the build did.
    pub(super) fn of(&mut self, events: &[Stamped]) -> Vec<Stamped> {
        let mut kept = Vec::with_capacity(events.len());
        for event in events {
            let keeps = self.keeps(event);
            if let Some(part) = part(&event.event) {
                self.held[part] = (!keeps && !self.ended).then(|| event.clone());
            }
            if matches!(event.event, Event::Ended(_)) {
                kept.extend(self.held.iter_mut().filter_map(Option::take));
            }
            if keeps {
                kept.push(with_interval(event));
            }
        }
        kept
    }

    fn keeps(&mut self, Stamped { at, event }: &Stamped) -> bool {
        match event {
            // What is looked at when the build is over is no part of it.
            Event::Registry(_) | Event::Builder(_) | Event::Cluster(_) if self.ended => false,
            Event::Registry(registry) => {
                is_new(&mut self.registry, self.apart, *at, still_registry(registry))
            }
            Event::Builder(builder) => is_new(&mut self.builder, self.apart, *at, still_builder(builder)),
            Event::Cluster(cluster) => is_new(&mut self.cluster, self.apart, *at, still_cluster(cluster)),
            _ => {
                self.ended |= matches!(event, Event::Ended(_));
                true
            }
        }
    }
}

/// Which part an event tells of.
fn part(event: &Event) -> Option<usize> {
    match event {
        Event::Registry(_) => Some(0),
        Event::Builder(_) => Some(1),
        Event::Cluster(_) => Some(2),
        _ => None,
    }
}

/// Who reads the recording has to know that silence is no sign.
fn with_interval(event: &Stamped) -> Stamped {
    match &event.event {
        Event::Watching(watching) => {
            let apart_us = APART.as_micros() as u64;
            Stamped { at: event.at, event: Event::Watching(Watching { apart_us, ..*watching }) }
        }
        _ => event.clone(),
    }
}

fn is_new<T: PartialEq>(last: &mut Option<(Time, T)>, apart: Duration, at: Time, still: T) -> bool {
    let same = last.as_ref().is_some_and(|(then, known)| *known == still && at.since(*then) < apart);
    if !same {
        *last = Some((at, still));
    }
    !same
}

/// What of a registry stays as it is while nothing happens to it.
fn still_registry(registry: &RegistrySnapshot) -> RegistrySnapshot {
    let mut still = registry.clone();
    let answers = still.answered.is_some_and(|answered| answered >= still.asked);
    still.asked = Time::default();
    still.answered = answers.then(Time::default);
    still.next_us = 0;
    still.latency = None;
    if let Some(tags) = &mut still.tags {
        tags.looked = Time::default();
    }
    if let Some(cache) = &mut still.cache {
        cache.looked = Time::default();
    }
    still
}

/// What of a builder stays as it is while it does no more than build.
fn still_builder(builder: &BuilderSnapshot) -> BuilderSnapshot {
    let mut still = builder.clone();
    for node in &mut still.nodes {
        node.latency_us = None;
        if let Some(engine) = &mut node.engine {
            engine.running_containers = None;
            engine.disk_free = None;
            engine.load_percent = None;
            engine.pressure = None;
        }
        if let Some(container) = &mut node.container {
            container.counters = None;
        }
        if let Some(usage) = &mut node.usage {
            *usage = crate::event::builder::Usage::default();
        }
        for build in node.active.iter_mut().flatten() {
            (build.total, build.completed, build.cached) = (0, 0, 0);
            build.running = crate::event::Text::default();
        }
    }
    still
}

/// What of a cluster stays as it is while its nodes do no more than work.
fn still_cluster(cluster: &ClusterSnapshot) -> ClusterSnapshot {
    let mut still = cluster.clone();
    (still.latency_us, still.answered) = (None, None);
    for node in &mut still.nodes {
        node.heartbeat = None;
        node.pod_count = None;
        for gauge in [&mut node.cpu, &mut node.memory] {
            (gauge.used, gauge.requested) = (None, None);
        }
    }
    still
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::builder::{BuilderHealth, BuilderNode};
    use crate::event::registry::{Latency, RegistryState};
    use crate::event::{Ended, WatchState};

    fn at(secs: u64, event: Event) -> Stamped {
        Stamped { at: Time::default().plus(Duration::from_secs(secs)), event }
    }

    fn registry(secs: u64, state: RegistryState) -> Stamped {
        let asked = Time::default().plus(Duration::from_secs(secs));
        let latency = Some(Latency { last_us: secs, ..Latency::default() });
        let registry =
            RegistrySnapshot { asked, answered: Some(asked), latency, state, ..RegistrySnapshot::default() };
        at(secs, Event::Registry(Box::new(registry)))
    }

    fn builder(secs: u64, state: BuilderHealth, latency: u64) -> Stamped {
        let node = BuilderNode { state, latency_us: Some(latency), ..BuilderNode::default() };
        let snapshot = BuilderSnapshot { state, nodes: vec![node], ..BuilderSnapshot::default() };
        at(secs, Event::Builder(Box::new(snapshot)))
    }

    fn kept(events: &[Stamped]) -> Vec<u64> {
        let mut filter = SnapshotFilter::every(APART);
        let one = |event: &Stamped| filter.of(std::slice::from_ref(event)).pop();
        events.iter().filter_map(one).map(|event| event.at.micros() as u64 / 1_000_000).collect()
    }

    #[test]
    fn a_change_is_kept_at_once_and_the_same_now_and_then() {
        use RegistryState::{Down, Ok};
        let polls: Vec<_> = (0..100).map(|s| registry(s, if s == 41 { Down } else { Ok })).collect();
        assert_eq!(kept(&polls), [0, 30, 41, 42, 72]);
        let polls: Vec<_> = (0..50).map(|s| builder(s, BuilderHealth::Ok, s)).collect();
        assert_eq!(kept(&polls), [0, 30]);
        let stopped = [builder(0, BuilderHealth::Ok, 1), builder(1, BuilderHealth::Stopped, 1)];
        assert_eq!(kept(&stopped), [0, 1]);
    }

    #[test]
    fn how_things_stood_at_the_end_is_kept() {
        let ended = at(9, Event::Ended(Ended::with(Some(0))));
        let mut polls: Vec<_> = (0..9).map(|s| registry(s, RegistryState::Ok)).collect();
        polls.push(ended.clone());
        let kept = SnapshotFilter::every(APART).of(&polls);
        assert_eq!(kept, [polls[0].clone(), polls[8].clone(), ended.clone()]);
        // What is written down already is not written twice.
        assert_eq!(
            SnapshotFilter::every(APART).of(&[polls[0].clone(), ended.clone()]),
            [polls[0].clone(), ended]
        );
    }

    #[test]
    fn nothing_is_kept_behind_the_end_and_readers_know_of_the_gaps() {
        let ended = at(1, Event::Ended(Ended::with(Some(0))));
        assert_eq!(kept(&[ended, registry(2, RegistryState::Down)]), [1]);
        let watching = Watching { registry: WatchState::On, ..Watching::default() };
        let told = SnapshotFilter::every(APART).of(&[at(0, Event::Watching(watching))]);
        let Event::Watching(told) = &told[0].event else { panic!("{told:?}") };
        assert_eq!((told.registry, told.apart()), (WatchState::On, APART));
    }
}
