//! The parts around a build, as `status` and the summary have them.

use schemars::JsonSchema;
use serde::Serialize;

use super::VERSION;
use crate::event::builder::{
    self, ActiveBuild, BuilderContainer, BuilderNode, Execution, GcRule, KindAmount,
};
use crate::event::cluster::{ApiState, ClusterPod, Gauge, MissingPart, NodeState, ServiceVerdict, Shortage};
use crate::event::registry::{Auth, CacheTag, RegistryState, Tag, TagChange};
use crate::event::{Platform, Text, Time, WatchState};
use crate::model::nodes::{NodeRow, NodeSource, PlatformRow, nodes};
use crate::model::{Builder, Model};
use crate::report::health::{AroundPart, PartHealth};

/// What `layertop status` says.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StatusSummary {
    /// `health`.
    pub r#type: StatusType,
    /// Version of the status. A field that is only added is no new version.
    pub version: u64,
    /// When it was so, in µs since the Unix epoch.
    pub at: Time,
    /// Whether nothing is wrong; the exit code is 3 where something is. What is not configured is not wrong.
    pub well: bool,
    /// The parts.
    #[serde(flatten)]
    pub parts: PartsSummary,
}

/// The type of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusType {
    /// The only one.
    Health,
}

/// The parts around a build.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PartsSummary {
    /// The image's registry.
    pub registry: RegistryPart,
    /// The Kubernetes cluster's API server.
    pub cluster: ClusterPart,
    /// The machines: the builder's nodes, then the cluster's.
    pub nodes: Vec<NodePart>,
    /// The platforms that the build wants.
    pub platforms: Vec<PlatformPart>,
    /// The builder.
    pub builder: BuilderPart,
}

/// A state of something, or why nobody knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StateOf<S> {
    /// It was looked at.
    Known(S),
    /// It was not.
    Not(NotWatched),
}

/// Why something is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotWatched {
    /// It is not wanted.
    Off,
    /// Nothing says which one it is; `reason` says what to add.
    NotConfigured,
}

impl<S: Default> StateOf<S> {
    fn without(watched: WatchState) -> Self {
        match watched {
            WatchState::Off => Self::Not(NotWatched::Off),
            WatchState::NotConfigured => Self::Not(NotWatched::NotConfigured),
            WatchState::On => Self::Known(S::default()),
        }
    }
}

/// The image's registry.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RegistryPart {
    /// How it is.
    pub state: StateOf<RegistryState>,
    /// Why, and what to do; empty while all is well.
    pub reason: Text,
    /// What it took to answer last, in ms.
    pub latency_ms: Option<f64>,
    /// What half of its answers took at most, in ms.
    pub latency_p50_ms: Option<f64>,
    /// What 95 of 100 of its answers took at most, in ms.
    pub latency_p95_ms: Option<f64>,
    /// Where it is asked.
    pub url: Option<Text>,
    /// The repository.
    pub repository: Option<Text>,
    /// How it wants to be signed in to.
    pub auth: Option<Auth>,
    /// Its `Docker-Distribution-Api-Version` header.
    pub api_version: Option<Text>,
    /// The version of TLS; null over plain http.
    pub tls: Option<Text>,
    /// How many tags there are; null where they were not seen.
    pub tags_total: Option<u64>,
    /// The tags that are worth a line.
    pub tags: Vec<Tag>,
    /// The cache tag; null where none is configured or it was not looked at.
    pub cache: Option<CachePart>,
    /// What was seen to change, oldest first.
    pub changes: Vec<TagChange>,
    /// Its Service in the cluster; null where none is configured.
    pub service: Option<ServicePart>,
    /// Its pods in the cluster.
    pub pods: Vec<ClusterPod>,
    /// How long ago it answered; null where it never did.
    pub age_ms: Option<u64>,
    /// Whether that is so long ago that it may no longer be so.
    pub stale: bool,
}

/// The registry's cache tag.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CachePart {
    /// What is known of it.
    #[serde(flatten)]
    pub tag: CacheTag,
    /// How long ago it was looked at.
    pub age_ms: u64,
}

/// The registry's Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServicePart {
    /// Its name.
    pub name: Text,
    /// Its namespace.
    pub namespace: Text,
    /// What is the matter.
    pub verdict: ServiceVerdict,
    /// In words.
    pub reason: Text,
    /// The next command.
    pub hint: Text,
    /// Its address in the cluster.
    pub address: Option<Text>,
    /// Addresses of pods that take requests.
    pub endpoints: Option<Vec<Text>>,
}

/// The cluster's API server.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ClusterPart {
    /// How it is.
    pub state: StateOf<ApiState>,
    /// Why.
    pub reason: Text,
    /// What to do.
    pub hint: Text,
    /// The kubeconfig's context.
    pub context: Option<Text>,
    /// Its address.
    pub server: Option<Text>,
    /// Its version.
    pub version: Option<Text>,
    /// What it took to answer last, in ms.
    pub latency_ms: Option<f64>,
    /// What can't be seen of it.
    pub missing: Vec<MissingPart>,
    /// How old what is known of it is.
    pub age_ms: Option<u64>,
    /// Whether that may no longer be so.
    pub stale: bool,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct NodePart {
    /// Its name.
    pub name: Text,
    /// Who told of it.
    pub source: NodeSource,
    /// How it is.
    pub state: NodeState,
    /// Why; empty where all is well.
    pub reason: Text,
    /// What to do.
    pub hint: Text,
    /// Since when its state is as it is.
    pub since: Option<Time>,
    /// Its processor's architecture; null where it is not known.
    pub arch: Option<String>,
    /// The version of its kubelet, or of its engine.
    pub version: Text,
    /// CPU in thousandths of one.
    pub cpu: Gauge,
    /// Memory in bytes.
    pub memory: Gauge,
    /// The disk with the engine's data, in bytes.
    pub disk: Gauge,
    /// What it is short of.
    pub shortages: Vec<Shortage>,
    /// Taints that keep pods away.
    pub taints: Vec<Text>,
    /// Pods that matter and are on it.
    pub pods: Vec<Text>,
    /// Warnings of the last hour.
    pub warnings: Vec<Text>,
    /// How old what is known of it is.
    pub age_ms: Option<u64>,
    /// Whether that may no longer be so.
    pub stale: bool,
}

/// A platform that the build wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlatformPart {
    /// The platform.
    pub platform: Platform,
    /// The node that builds it.
    pub node: Option<Text>,
    /// Whether it does so under emulation; null where that is not known, or no node has it.
    pub emulated: Option<bool>,
    /// How it is built.
    pub execution: Execution,
    /// How old what is known of it is.
    pub age_ms: Option<u64>,
    /// Whether that may no longer be so.
    pub stale: bool,
}

/// The builder.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BuilderPart {
    /// Its name; null where nobody looked.
    pub name: Option<Text>,
    /// Its driver; null where it is not known.
    pub driver: Option<Text>,
    /// How it is.
    pub state: StateOf<builder::BuilderHealth>,
    /// What is wrong; empty where all is well.
    pub reason: Text,
    /// What to do.
    pub hint: Text,
    /// Its nodes.
    pub nodes: Vec<BuilderNodePart>,
    /// Builds that run on it now, by anybody.
    pub active: Vec<ActivePart>,
    /// How old what is known of it is.
    pub age_ms: Option<u64>,
    /// Whether that may no longer be so.
    pub stale: bool,
}

/// A node of the builder.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BuilderNodePart {
    /// Its name.
    pub name: Text,
    /// Where it is.
    pub endpoint: Text,
    /// How it is.
    pub state: builder::BuilderHealth,
    /// What is wrong.
    pub reason: Text,
    /// What to do.
    pub hint: Text,
    /// What `BuildKit` took to answer, in ms.
    pub latency_ms: Option<f64>,
    /// Version of `BuildKit`.
    pub buildkit_version: Option<Text>,
    /// What it builds for.
    pub platforms: Vec<Platform>,
    /// What garbage collection keeps.
    pub gc: Vec<GcRule>,
    /// Its container.
    pub container: Option<BuilderContainer>,
    /// What its cache takes on disk.
    pub usage: Option<UsagePart>,
}

/// What a node's cache takes on disk, as `docker buildx du` counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UsagePart {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that a prune would take.
    pub reclaimable: u64,
    /// What garbage collection lets it grow to; null where there is no limit.
    pub limit: Option<u64>,
    /// By kind.
    pub by_kind: Vec<KindAmount>,
}

/// A build that runs on the builder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ActivePart {
    /// The node that it runs on.
    pub node: Text,
    /// The build.
    #[serde(flatten)]
    pub build: ActiveBuild,
}

impl StatusSummary {
    /// How all stands at `now`.
    pub fn of(model: &Model, now: Time) -> Self {
        let well = PartHealth::all(model, now).iter().all(|health| health.is_well(model));
        Self {
            r#type: StatusType::Health,
            version: VERSION,
            at: now,
            well,
            parts: PartsSummary::of(model, now),
        }
    }

    /// On one line, ended by a line feed.
    pub fn line(&self) -> String {
        // Texts, numbers and lists of them can always be written as JSON.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl PartsSummary {
    /// All parts as they stand at `now`.
    pub fn of(model: &Model, now: Time) -> Self {
        let found = nodes(model);
        Self {
            registry: registry(model, now),
            cluster: cluster(model, now),
            nodes: found.rows.iter().map(|row| node(model, row, now)).collect(),
            platforms: found.platforms.iter().map(|row| platform(model.builder(), row, now)).collect(),
            builder: builder(model, now),
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn in_ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn advice(watched: WatchState, part: AroundPart) -> Text {
    if watched == WatchState::NotConfigured { Text::clean(part.advice()) } else { Text::default() }
}

fn registry(model: &Model, now: Time) -> RegistryPart {
    let watched = model.watching().registry;
    let health = model.registry();
    let known = health.newest();
    let latency = known.and_then(|registry| registry.latency);
    let service = model.cluster().snapshot().and_then(|cluster| cluster.registry.as_ref());
    let tags = known.and_then(|registry| registry.tags.as_ref());
    RegistryPart {
        state: known.map_or_else(|| StateOf::without(watched), |registry| StateOf::Known(registry.state)),
        reason: known
            .map_or_else(|| advice(watched, AroundPart::Registry), |registry| registry.reason.clone()),
        latency_ms: latency.map(|latency| in_ms(latency.last_us)),
        latency_p50_ms: latency.map(|latency| in_ms(latency.p50_us)),
        latency_p95_ms: latency.map(|latency| in_ms(latency.p95_us)),
        url: known.map(|registry| registry.url.clone()),
        repository: known.map(|registry| registry.repository.clone()),
        auth: known.and_then(|registry| registry.auth.clone()),
        api_version: known.and_then(|registry| registry.api_version.clone()),
        tls: known.and_then(|registry| registry.tls.clone()),
        tags_total: tags.map(|tags| tags.total),
        tags: tags.map(|tags| tags.list.clone()).unwrap_or_default(),
        cache: known.and_then(|registry| registry.cache.as_ref()).map(|tag| cache(tag, now)),
        changes: known.map(|registry| registry.changes.clone()).unwrap_or_default(),
        service: service.map(|service| ServicePart {
            name: service.service.clone(),
            namespace: service.namespace.clone(),
            verdict: service.verdict,
            reason: service.reason.clone(),
            hint: service.hint.clone(),
            address: service.address.clone(),
            endpoints: service.endpoints.clone(),
        }),
        pods: service.map(|service| service.pods.clone()).unwrap_or_default(),
        age_ms: health.age(now).map(millis),
        stale: health.is_stale(now),
    }
}

fn cache(tag: &CacheTag, now: Time) -> CachePart {
    CachePart { tag: tag.clone(), age_ms: millis(now.since(tag.looked)) }
}

fn cluster(model: &Model, now: Time) -> ClusterPart {
    let watched = model.watching().cluster;
    let known = model.cluster().snapshot();
    let text = |get: fn(&crate::event::ClusterSnapshot) -> &Text| known.map(|known| get(known).clone());
    ClusterPart {
        state: known.map_or_else(|| StateOf::without(watched), |known| StateOf::Known(known.state)),
        reason: text(|known| &known.reason).unwrap_or_else(|| advice(watched, AroundPart::Nodes)),
        hint: text(|known| &known.hint).unwrap_or_default(),
        context: text(|known| &known.context),
        server: text(|known| &known.server),
        version: known.and_then(|known| known.version.clone()),
        latency_ms: known.and_then(|known| known.latency_us).map(in_ms),
        missing: known.map(|known| known.missing.clone()).unwrap_or_default(),
        age_ms: model.cluster().age(now).map(millis),
        stale: model.cluster().is_stale(now),
    }
}

fn node(model: &Model, row: &NodeRow, now: Time) -> NodePart {
    let (age, stale) = match row.source {
        NodeSource::Builder => (model.builder().age(now), model.builder().is_stale(now)),
        NodeSource::Kubernetes => (model.cluster().age(now), model.cluster().is_stale(now)),
    };
    NodePart {
        name: row.name.clone(),
        source: row.source,
        state: row.state,
        reason: row.reason.clone(),
        hint: row.hint.clone(),
        since: row.since,
        arch: Some(row.arch().to_owned()).filter(|arch| !arch.is_empty()),
        version: row.version.clone(),
        cpu: row.cpu,
        memory: row.memory,
        disk: row.disk,
        shortages: row.shortages.clone(),
        taints: row.taints.clone(),
        pods: row.pods.iter().map(|pod| pod.name.clone()).collect(),
        warnings: row.warnings.clone(),
        age_ms: age.map(millis),
        stale,
    }
}

fn platform(builder: &Builder, row: &PlatformRow, now: Time) -> PlatformPart {
    let emulated = match row.execution {
        Execution::Native => Some(false),
        Execution::Emulated => Some(true),
        Execution::Unsupported | Execution::Unknown => None,
    };
    PlatformPart {
        platform: row.platform.clone(),
        node: row.place().cloned(),
        emulated,
        execution: row.execution,
        age_ms: builder.age(now).map(millis),
        stale: builder.is_stale(now),
    }
}

fn builder(model: &Model, now: Time) -> BuilderPart {
    let watched = model.watching().builder;
    let known = model.builder().snapshot();
    let nodes = known.map_or(&[][..], |known| &known.nodes);
    let active = |node: &BuilderNode| {
        let name = node.name.clone();
        let builds = node.active.iter().flatten().cloned();
        builds.map(move |build| ActivePart { node: name.clone(), build }).collect::<Vec<_>>()
    };
    BuilderPart {
        name: known.map(|known| known.name.clone()),
        driver: known.map(|known| known.driver.clone()).filter(|driver| !driver.is_empty()),
        state: known.map_or_else(|| StateOf::without(watched), |known| StateOf::Known(known.state)),
        reason: known.map_or_else(|| advice(watched, AroundPart::Builder), |known| known.reason.clone()),
        hint: known.map(|known| known.hint.clone()).unwrap_or_default(),
        nodes: nodes.iter().map(builder_node).collect(),
        active: nodes.iter().flat_map(active).collect(),
        age_ms: model.builder().age(now).map(millis),
        stale: model.builder().is_stale(now),
    }
}

fn builder_node(node: &BuilderNode) -> BuilderNodePart {
    let usage = node.usage.as_ref().map(|usage| UsagePart {
        records: usage.total.records,
        bytes: usage.total.bytes,
        reclaimable: usage.reclaimable.bytes,
        limit: crate::report::health::limit(node),
        by_kind: usage.by_kind.clone(),
    });
    BuilderNodePart {
        name: node.name.clone(),
        endpoint: node.endpoint.clone(),
        state: node.state,
        reason: node.reason.clone(),
        hint: node.hint.clone(),
        latency_ms: node.latency_us.map(in_ms),
        buildkit_version: node.buildkit_version.clone(),
        platforms: node.platforms.clone(),
        gc: node.gc.clone(),
        container: node.container.clone(),
        usage,
    }
}
