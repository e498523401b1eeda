//! How the parts around a build have changed for the worse and back while it ran.

use std::collections::VecDeque;

use crate::event::builder::BuilderHealth;
use crate::event::cluster::ApiState;
use crate::event::registry::{RegistrySnapshot, RegistryState};
use crate::event::{BuilderSnapshot, ClusterSnapshot, Text, Time};

/// Turns that are kept.
const MOST: usize = 1_000;

/// A part that has become worse, or is well again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartChange {
    /// When that was heard of.
    pub at: Time,
    /// The part, and how it is since then.
    pub now: PartState,
    /// Why, and what to do about it; empty where it is well.
    pub reason: Text,
    /// What to do about it, where the reason does not say it.
    pub hint: Text,
}

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartState {
    Registry(RegistryState),
    /// The cluster's API server.
    Cluster(ApiState),
    Builder(BuilderHealth),
}

impl PartState {
    /// Whether it is known how it is.
    fn is_known(self) -> bool {
        !matches!(
            self,
            Self::Registry(RegistryState::Unknown)
                | Self::Cluster(ApiState::Unknown)
                | Self::Builder(BuilderHealth::Unknown)
        )
    }

    /// Whether it serves builds as it should.
    pub fn is_well(self) -> bool {
        match self {
            Self::Registry(state) => state.is_well(),
            Self::Cluster(state) => state == ApiState::Ok,
            Self::Builder(state) => state == BuilderHealth::Ok,
        }
    }
}

/// The turns of a build, oldest first.
#[derive(Debug, Default)]
pub struct PartChanges {
    list: VecDeque<PartChange>,
    /// How many there were, more than are kept where old ones went.
    total: u64,
    registry: Option<PartState>,
    cluster: Option<PartState>,
    builder: Option<PartState>,
}

impl PartChanges {
    pub(super) fn registry(&mut self, at: Time, registry: &RegistrySnapshot) {
        let now = PartState::Registry(registry.state);
        let before = take(&mut self.registry, now);
        self.note(at, before, now, &registry.reason, &Text::default());
    }

    pub(super) fn cluster(&mut self, at: Time, cluster: &ClusterSnapshot) {
        let now = PartState::Cluster(cluster.state);
        let before = take(&mut self.cluster, now);
        self.note(at, before, now, &cluster.reason, &cluster.hint);
    }

    pub(super) fn builder(&mut self, at: Time, builder: &BuilderSnapshot) {
        let now = PartState::Builder(builder.state);
        let before = take(&mut self.builder, now);
        self.note(at, before, now, &builder.reason, &builder.hint);
    }

    fn note(&mut self, at: Time, before: Option<PartState>, now: PartState, reason: &Text, hint: &Text) {
        let Some(before) = before else { return };
        // That there is no repository yet, and then is one, is neither worse nor better.
        if before == now || before.is_well() && now.is_well() {
            return;
        }
        if self.list.len() >= MOST {
            self.list.pop_front();
        }
        self.total += 1;
        self.list.push_back(PartChange { at, now, reason: reason.clone(), hint: hint.clone() });
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Those behind the first `told`.
    pub fn since(&self, told: u64) -> impl Iterator<Item = &PartChange> {
        let gone = self.total - self.list.len() as u64;
        self.list.iter().skip(told.saturating_sub(gone) as usize)
    }
}

/// Keeps what is known; gives what was known before, where both are.
fn take(known: &mut Option<PartState>, now: PartState) -> Option<PartState> {
    if now.is_known() { known.replace(now) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_for_the_worse_and_back_is_one_turn() {
        let mut turns = PartChanges::default();
        let mut hear = |state| {
            let reason = if state == BuilderHealth::Ok { "" } else { "why" };
            let snapshot = BuilderSnapshot { state, reason: reason.into(), ..BuilderSnapshot::default() };
            turns.builder(Time::default(), &snapshot);
        };
        for state in [
            BuilderHealth::Unknown,
            BuilderHealth::Ok,
            BuilderHealth::Ok,
            BuilderHealth::EngineSilent,
            BuilderHealth::EngineSilent,
            BuilderHealth::Unknown,
            BuilderHealth::Ok,
            BuilderHealth::Unknown,
            BuilderHealth::Ok,
            BuilderHealth::Stopped,
            BuilderHealth::Gone,
        ] {
            hear(state);
        }
        let states: Vec<PartState> = turns.since(0).map(|turn| turn.now).collect();
        let expected =
            [BuilderHealth::EngineSilent, BuilderHealth::Ok, BuilderHealth::Stopped, BuilderHealth::Gone];
        assert_eq!(states, expected.map(PartState::Builder));
        assert_eq!(turns.since(3).map(|turn| turn.reason.as_str()).collect::<Vec<_>>(), ["why"]);
        for state in [RegistryState::NoRepository, RegistryState::Ok, RegistryState::Down] {
            turns.registry(Time::default(), &RegistrySnapshot { state, ..RegistrySnapshot::default() });
        }
        assert_eq!((turns.total(), turns.since(4).count()), (5, 1), "a first push is no turn");
    }

    #[test]
    fn they_are_bounded() {
        let mut turns = PartChanges::default();
        for i in 0..3_000 {
            let state = if i % 2 == 0 { BuilderHealth::Ok } else { BuilderHealth::Paused };
            turns.builder(Time::default(), &BuilderSnapshot { state, ..BuilderSnapshot::default() });
        }
        assert_eq!((turns.total(), turns.since(0).count(), turns.since(2_998).count()), (2_999, MOST, 1));
    }
}
