//! Puts together what the watches and questions have told, and makes snapshots of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::event::cluster::{
    ApiState, ClusterNode, ClusterPod, ClusterSnapshot, ClusterWarning, MissingPart, MissingReason,
    RegistryService, SnapshotPart,
};
use crate::event::{Text, Time};

use super::fault::ApiFault;
use super::follow::ObjectChange;
use super::node::time;
use super::service::{EndpointFacts, RegistryObjects, ServiceFacts};
use super::{ClusterSettings, object, service};

/// How long a warning is shown.
const RECENT: Duration = Duration::from_secs(3600);
/// Warnings that are kept, and those that are told of one node or pod.
const MOST_WARNINGS: usize = 2_000;
const MOST_SHOWN: usize = 10;

/// A message of a task that asks the cluster.
#[derive(Debug)]
pub(super) enum ClusterUpdate {
    /// The API server has answered.
    Up(ApiAnswer),
    /// It can't be asked.
    Down(ApiFault),
    Nodes(ObjectChange<ClusterNode>),
    RegistryPods(ObjectChange<ClusterPod>),
    BuilderPods(ObjectChange<ClusterPod>),
    Service(ObjectChange<ServiceFacts>),
    Endpoints(ObjectChange<EndpointFacts>),
    NodeEvents(ObjectChange<ObjectWarning>),
    PodEvents(ObjectChange<ObjectWarning>),
    /// CPU in thousandths and memory in bytes that nodes use, by name.
    Usage(BTreeMap<Text, (u64, u64)>),
    /// What the pods of nodes have requested, by the node's name.
    Requests(BTreeMap<Text, RequestedResources>),
    /// A part can't be seen.
    Missing(MissingPart),
}

/// An answer of the API server to whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiAnswer {
    pub(super) at: Time,
    pub(super) took_us: u64,
    pub(super) version: Text,
    pub(super) context: Text,
    pub(super) server: Text,
    pub(super) namespace: String,
}

/// A warning about something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectWarning {
    /// Name of what it is about.
    about: Text,
    what: ClusterWarning,
}

/// What the pods of a node have requested in sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RequestedResources {
    pub(super) millis: u64,
    pub(super) bytes: u64,
    pub(super) pods: u64,
}

pub(super) fn object_warning(raw: &object::EventObject) -> ObjectWarning {
    let series = raw.series.as_ref();
    let last = series.and_then(|series| time(series.last_observed_time.as_ref()));
    let at = last.or_else(|| time(raw.last_timestamp.as_ref())).or_else(|| time(raw.time.as_ref()));
    ObjectWarning {
        about: Text::clean(&raw.involved_object.name),
        what: ClusterWarning {
            at,
            reason: Text::clean(&raw.reason),
            message: Text::clean(raw.message.trim()),
            count: series.and_then(|series| series.count).or(raw.count).unwrap_or(1),
        },
    }
}

type ByKey<T> = BTreeMap<String, T>;

/// The newest state of the cluster.
#[derive(Debug)]
pub(super) struct ClusterWatchState {
    settings: ClusterSettings,
    answer: Option<ApiAnswer>,
    fault: Option<ApiFault>,
    nodes: ByKey<ClusterNode>,
    registry_pods: ByKey<ClusterPod>,
    builder_pods: ByKey<ClusterPod>,
    services: ByKey<ServiceFacts>,
    endpoints: ByKey<EndpointFacts>,
    node_events: ByKey<ObjectWarning>,
    pod_events: ByKey<ObjectWarning>,
    usage: BTreeMap<Text, (u64, u64)>,
    requests: BTreeMap<Text, RequestedResources>,
    missing: BTreeMap<SnapshotPart, MissingPart>,
    answered: BTreeSet<SnapshotPart>,
}

impl ClusterWatchState {
    pub(super) fn new(settings: ClusterSettings) -> Self {
        Self {
            settings,
            answer: None,
            fault: None,
            nodes: ByKey::new(),
            registry_pods: ByKey::new(),
            builder_pods: ByKey::new(),
            services: ByKey::new(),
            endpoints: ByKey::new(),
            node_events: ByKey::new(),
            pod_events: ByKey::new(),
            usage: BTreeMap::new(),
            requests: BTreeMap::new(),
            missing: BTreeMap::new(),
            answered: BTreeSet::new(),
        }
    }

    /// Takes news. Whether something is to be told at once: heartbeats and the like can wait for the next snapshot.
    pub(super) fn take(&mut self, update: ClusterUpdate) -> bool {
        match update {
            ClusterUpdate::Up(answer) => {
                let known = self.answer.as_ref();
                let same = known
                    .is_some_and(|known| known.version == answer.version && known.server == answer.server);
                let was_down = self.fault.take().is_some();
                self.answer = Some(answer);
                !same || was_down
            }
            ClusterUpdate::Down(fault) => {
                let new = self.fault.as_ref() != Some(&fault);
                self.fault = Some(fault);
                new
            }
            ClusterUpdate::Nodes(change) => {
                let beside = |node: &ClusterNode| ClusterNode { heartbeat: None, ..node.clone() };
                self.seen_part(SnapshotPart::Nodes, |state| {
                    put(&mut state.nodes, change, |a, b| beside(a) == beside(b))
                })
            }
            ClusterUpdate::RegistryPods(change) => self.seen_part(SnapshotPart::RegistryPods, |state| {
                put(&mut state.registry_pods, change, ClusterPod::eq)
            }),
            ClusterUpdate::BuilderPods(change) => self.seen_part(SnapshotPart::BuilderPods, |state| {
                put(&mut state.builder_pods, change, ClusterPod::eq)
            }),
            ClusterUpdate::Service(change) => self
                .seen_part(SnapshotPart::Service, |state| put(&mut state.services, change, ServiceFacts::eq)),
            ClusterUpdate::Endpoints(change) => self.seen_part(SnapshotPart::Endpoints, |state| {
                put(&mut state.endpoints, change, EndpointFacts::eq)
            }),
            ClusterUpdate::NodeEvents(change) => {
                self.seen_part(SnapshotPart::NodeEvents, |state| put_event(&mut state.node_events, change))
            }
            ClusterUpdate::PodEvents(change) => {
                self.seen_part(SnapshotPart::PodEvents, |state| put_event(&mut state.pod_events, change))
            }
            ClusterUpdate::Usage(usage) => self.seen_part(SnapshotPart::Usage, |state| {
                state.answered.insert(SnapshotPart::Requests);
                state.missing.remove(&SnapshotPart::Requests);
                // They are counted only where usage is not known, and would stand still from now on.
                state.requests.clear();
                std::mem::replace(&mut state.usage, usage).is_empty()
            }),
            ClusterUpdate::Requests(requests) => self.seen_part(SnapshotPart::Requests, |state| {
                std::mem::replace(&mut state.requests, requests).is_empty()
            }),
            ClusterUpdate::Missing(missing) => {
                self.answered.insert(missing.part);
                self.forget(missing.part);
                let before = self.missing.insert(missing.part, missing.clone());
                before != Some(missing)
            }
        }
    }

    /// A part was seen.
    fn seen_part(&mut self, part: SnapshotPart, take: impl FnOnce(&mut Self) -> bool) -> bool {
        let first = self.answered.insert(part);
        let found = self.missing.remove(&part).is_some();
        take(self) || first || found
    }

    /// What may not be seen any more is not shown as if it were still so.
    fn forget(&mut self, part: SnapshotPart) {
        match part {
            SnapshotPart::Nodes => self.nodes.clear(),
            SnapshotPart::Usage => self.usage.clear(),
            SnapshotPart::Requests => self.requests.clear(),
            SnapshotPart::NodeEvents => self.node_events.clear(),
            SnapshotPart::PodEvents => self.pod_events.clear(),
            SnapshotPart::RegistryPods => self.registry_pods.clear(),
            SnapshotPart::Service => self.services.clear(),
            SnapshotPart::Endpoints => self.endpoints.clear(),
            SnapshotPart::BuilderPods => self.builder_pods.clear(),
        }
    }

    /// Whether there is nothing more to wait for.
    pub(super) fn is_complete(&self) -> bool {
        self.fault.is_some() || self.settings.parts().iter().all(|part| self.answered.contains(part))
    }

    /// The cluster as it stands.
    pub(super) fn snapshot(&self, now: Time) -> ClusterSnapshot {
        let answer = self.answer.as_ref();
        let (state, reason, hint) = self.state();
        let text = |pick: fn(&ApiAnswer) -> &Text| answer.map(pick).cloned().unwrap_or_default();
        let since = now.minus(RECENT);
        ClusterSnapshot {
            state,
            reason: reason.into(),
            hint: hint.into(),
            context: answer.map_or_else(
                || Text::clean(self.settings.context.as_deref().unwrap_or_default()),
                |answer| answer.context.clone(),
            ),
            server: text(|answer| &answer.server),
            version: answer.map(|answer| answer.version.clone()),
            latency_us: answer.filter(|_| state.is_up()).map(|answer| answer.took_us),
            answered: answer.map(|answer| answer.at),
            nodes: self.nodes(since),
            registry: self.registry(since),
            builder_pods: pods(&self.builder_pods, &self.pod_events, since),
            missing: self.missing.values().cloned().collect(),
        }
    }

    fn state(&self) -> (ApiState, String, String) {
        if let Some(fault) = &self.fault {
            return (fault.state, fault.detail.clone(), self.settings.remedy(fault.state));
        }
        if self.answer.is_none() {
            return (ApiState::Unknown, String::new(), String::new());
        }
        let refused = |part: &SnapshotPart| {
            self.missing.get(part).is_some_and(|missing| missing.lack == MissingReason::Forbidden)
        };
        let mut parts = self.settings.parts();
        // That a cluster has no metrics is no reason to call the rest of it forbidden or not.
        parts.retain(|part| *part != SnapshotPart::Usage);
        if parts.iter().all(refused) {
            let reason = self
                .missing
                .get(&SnapshotPart::Nodes)
                .map(|missing| missing.reason.as_str().to_owned())
                .unwrap_or_default();
            return (ApiState::Forbidden, reason, self.settings.remedy(ApiState::Forbidden));
        }
        (ApiState::Ok, String::new(), String::new())
    }

    fn nodes(&self, since: Time) -> Vec<ClusterNode> {
        let mut warnings = by_subject(&self.node_events, since);
        let mut ours: BTreeMap<&Text, Vec<Text>> = BTreeMap::new();
        for pod in self.registry_pods.values().chain(self.builder_pods.values()) {
            if let Some(node) = &pod.node {
                ours.entry(node).or_default().push(pod.name.clone());
            }
        }
        let node = |node: &ClusterNode| {
            let mut node = node.clone();
            if let Some((millis, bytes)) = self.usage.get(&node.name) {
                (node.cpu.used, node.memory.used) = (Some(*millis), Some(*bytes));
            }
            if let Some(requested) = self.requests.get(&node.name) {
                (node.cpu.requested, node.memory.requested) = (Some(requested.millis), Some(requested.bytes));
                node.pod_count = Some(requested.pods);
            } else if !self.requests.is_empty() {
                (node.cpu.requested, node.memory.requested, node.pod_count) = (Some(0), Some(0), Some(0));
            }
            node.pods = ours.remove(&node.name).unwrap_or_default();
            node.warnings = warnings.remove(&node.name).unwrap_or_default();
            node
        };
        self.nodes.values().map(node).collect()
    }

    fn registry(&self, since: Time) -> Option<RegistryService> {
        let wanted = self.settings.registry.as_ref()?;
        let namespace = self
            .settings
            .namespace
            .as_deref()
            .or(self.answer.as_ref().map(|answer| answer.namespace.as_str()));
        let seen = |part: SnapshotPart| self.answered.contains(&part) && !self.missing.contains_key(&part);
        let parts = [SnapshotPart::RegistryPods, SnapshotPart::Service, SnapshotPart::Endpoints];
        let seen = RegistryObjects {
            service: seen(SnapshotPart::Service).then(|| self.services.values().collect()),
            endpoints: seen(SnapshotPart::Endpoints).then(|| self.endpoints.values().collect()),
            pods: seen(SnapshotPart::RegistryPods)
                .then(|| pods(&self.registry_pods, &self.pod_events, since)),
            missing: parts.iter().filter_map(|part| self.missing.get(part)).collect(),
        };
        Some(service::registry(wanted, namespace.unwrap_or_default(), &self.settings, seen))
    }
}

/// Takes a change of what is kept. Whether anything is another than before.
fn put<T>(kept: &mut ByKey<T>, change: ObjectChange<T>, same: impl Fn(&T, &T) -> bool) -> bool {
    match change {
        ObjectChange::All(all) => {
            let all: ByKey<T> = all.into_iter().collect();
            let alike = all.len() == kept.len()
                && all.iter().all(|(key, new)| kept.get(key).is_some_and(|old| same(old, new)));
            *kept = all;
            !alike
        }
        ObjectChange::Put(key, new) => {
            let alike = kept.get(&key).is_some_and(|old| same(old, &new));
            kept.insert(key, new);
            !alike
        }
        ObjectChange::Gone(key) => kept.remove(&key).is_some(),
    }
}

/// The same for warnings, of which there may be any number. That one has run out is no news.
fn put_event(kept: &mut ByKey<ObjectWarning>, change: ObjectChange<ObjectWarning>) -> bool {
    let gone = matches!(change, ObjectChange::Gone(_));
    let update = put(kept, change, ObjectWarning::eq);
    let excess = kept.len().saturating_sub(MOST_WARNINGS);
    if excess > 0 {
        let mut by_age: Vec<_> = kept.iter().map(|(key, warning)| (warning.what.at, key.clone())).collect();
        by_age.sort_unstable();
        for (_, key) in by_age.into_iter().take(excess) {
            kept.remove(&key);
        }
    }
    update && !gone
}

fn pods(kept: &ByKey<ClusterPod>, events: &ByKey<ObjectWarning>, since: Time) -> Vec<ClusterPod> {
    if kept.is_empty() {
        return Vec::new();
    }
    let mut warnings = by_subject(events, since);
    let pod = |pod: &ClusterPod| ClusterPod {
        warnings: warnings.remove(&pod.name).unwrap_or_default(),
        ..pod.clone()
    };
    kept.values().map(pod).collect()
}

/// Warnings since then by what they are about, newest first.
fn by_subject(events: &ByKey<ObjectWarning>, since: Time) -> BTreeMap<Text, Vec<ClusterWarning>> {
    let mut found: BTreeMap<Text, Vec<ClusterWarning>> = BTreeMap::new();
    for warning in events.values().filter(|warning| warning.what.at.is_none_or(|at| at >= since)) {
        found.entry(warning.about.clone()).or_default().push(warning.what.clone());
    }
    for happenings in found.values_mut() {
        happenings.sort_by_key(|happening| std::cmp::Reverse(happening.at));
        happenings.truncate(MOST_SHOWN);
    }
    found
}
