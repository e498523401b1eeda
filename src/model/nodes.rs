//! The machines that builds depend on, as one list: the builder's nodes and the cluster's, with who builds which platform. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Builder, Cluster, Model};
use crate::event::builder::{BuilderHealth, BuilderNode, Execution, PlatformPlace};
use crate::event::cluster::{ClusterNode, ClusterPod, Gauge, NodeState, PodState, Shortage};
use crate::event::{Platform, Text, Time};

/// Who told of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[warn(missing_docs)]
#[serde(rename_all = "snake_case")]
pub enum NodeSource {
    /// The builder.
    Builder,
    /// The cluster.
    Kubernetes,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NodeRow {
    /// Its name, as the builder or the cluster has it.
    pub name: Text,
    /// Who told of it.
    pub source: NodeSource,
    pub state: NodeState,
    /// Why, in words; empty where all is well.
    pub reason: Text,
    /// What to do about it; empty where nothing is known to help.
    pub hint: Text,
    /// Since when it is (not) ready.
    pub since: Option<Time>,
    /// Platform of its machine.
    pub platform: Option<Platform>,
    /// CPU in thousandths of one. `used` of a builder's node is what its container uses, `total` its engine's.
    pub cpu: Gauge,
    /// Memory in bytes, as `cpu`.
    pub memory: Gauge,
    /// Bytes free where the engine's data is, and in all; `used` is what is not free. Of a builder's node on this machine only.
    pub disk: Gauge,
    /// When it was heard of last.
    pub heartbeat: Option<Time>,
    /// What it is short of, as the cluster says.
    pub shortages: Vec<Shortage>,
    /// Taints that keep pods away.
    pub taints: Vec<Text>,
    /// The version that matters: of the kubelet, of a builder's engine.
    pub version: Text,
    /// Pods that matter and are on it.
    pub pods: Vec<PodRow>,
    /// How many pods it has, containers for an engine.
    pub count: Option<u64>,
    /// Warnings of the last hour about it and its pods that matter, in words, newest first.
    pub warnings: Vec<Text>,
    /// Platforms that are wanted of it, and how it builds them.
    pub builds: Vec<(Platform, Execution)>,
}

impl NodeRow {
    fn new(name: Text, source: NodeSource) -> Self {
        Self {
            name,
            source,
            state: NodeState::Unknown,
            reason: Text::default(),
            hint: Text::default(),
            since: None,
            platform: None,
            cpu: Gauge::default(),
            memory: Gauge::default(),
            disk: Gauge::default(),
            heartbeat: None,
            shortages: Vec::new(),
            taints: Vec::new(),
            version: Text::default(),
            pods: Vec::new(),
            count: None,
            warnings: Vec::new(),
            builds: Vec::new(),
        }
    }

    /// Its processor's architecture: `arm64`; empty where it is not known.
    pub fn arch(&self) -> &str {
        self.platform.as_ref().and_then(|platform| platform.as_str().split('/').nth(1)).unwrap_or_default()
    }

    /// How long ago it was heard of.
    pub fn heartbeat_age(&self, now: Time) -> Option<Duration> {
        self.heartbeat.map(|heartbeat| now.since(heartbeat))
    }

    /// Whether it emulates a platform that is wanted of it.
    pub fn emulates(&self) -> bool {
        self.builds.iter().any(|(_, execution)| *execution == Execution::Emulated)
    }
}

/// A pod that matters, on its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRow {
    pub name: Text,
    pub state: PodState,
}

/// Who builds a platform that is wanted, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformRow {
    pub platform: Platform,
    /// The builder's node that buildx gives it to.
    pub node: Option<Text>,
    /// The cluster's node that this one's pod runs on, under the kubernetes driver.
    pub machine: Option<Text>,
    /// How it is built there.
    pub execution: Execution,
}

impl PlatformRow {
    /// The machine, by the name that it is listed under.
    pub fn place(&self) -> Option<&Text> {
        self.machine.as_ref().or(self.node.as_ref())
    }
}

/// All machines, and the platforms that are wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Nodes {
    /// The builder's nodes first, in buildx's order, then the cluster's by name. Under the kubernetes driver the builder's nodes are
    /// pods of the cluster's, and so not machines of their own.
    pub rows: Vec<NodeRow>,
    /// One a platform that the build wants.
    pub platforms: Vec<PlatformRow>,
}

impl Nodes {
    /// Nodes that nothing can run on, or that are short of something; those that are merely not known are none of them.
    pub fn unhealthy(&self) -> impl Iterator<Item = &NodeRow> {
        self.rows.iter().filter(|row| row.state > NodeState::Cordoned)
    }

    /// The worst state of all; none where there is no node.
    pub fn worst(&self) -> Option<NodeState> {
        self.rows.iter().map(|row| row.state).max()
    }
}

/// The machines that are known of.
pub fn nodes(model: &Model) -> Nodes {
    let platforms = platforms(model.builder(), model.cluster());
    let mut rows = builder_rows(model.builder());
    rows.extend(cluster_rows(model.cluster()));
    for row in &mut rows {
        let built = platforms.iter().filter(|platform| platform.place() == Some(&row.name));
        row.builds = built.map(|platform| (platform.platform.clone(), platform.execution)).collect();
    }
    Nodes { rows, platforms }
}

fn platforms(builder: &Builder, cluster: &Cluster) -> Vec<PlatformRow> {
    let Some(snapshot) = builder.snapshot() else { return Vec::new() };
    let row = |place: &PlatformPlace| {
        let node = place.node.as_ref();
        let node = node.and_then(|name| snapshot.nodes.iter().find(|node| node.name == *name));
        // A node of the kubernetes driver is a pod.
        let pod = node.and_then(|node| node.container.as_ref()).map(|container| &container.name);
        let machine = pod.filter(|_| is_in_cluster(builder)).and_then(|pod| cluster.node_of(pod));
        PlatformRow {
            platform: place.platform.clone(),
            node: place.node.clone(),
            machine: machine.cloned(),
            execution: place.execution,
        }
    };
    snapshot.platforms.iter().map(row).collect()
}

fn is_in_cluster(builder: &Builder) -> bool {
    builder.snapshot().is_some_and(|snapshot| snapshot.driver.as_str() == "kubernetes")
}

fn builder_rows(builder: &Builder) -> Vec<NodeRow> {
    let Some(snapshot) = builder.snapshot().filter(|_| !is_in_cluster(builder)) else { return Vec::new() };
    snapshot.nodes.iter().map(|node| builder_row(node, builder)).collect()
}

fn builder_row(node: &BuilderNode, builder: &Builder) -> NodeRow {
    let mut row = NodeRow::new(node.name.clone(), NodeSource::Builder);
    row.state = state_of(node.state);
    row.reason = node.reason.clone();
    row.hint = node.hint.clone();
    row.platform.clone_from(&node.native);
    row.since = node.container.as_ref().and_then(|container| container.finished.or(container.started));
    row.heartbeat = builder.at().filter(|_| node.state.is_up());
    if let Some(engine) = &node.engine {
        row.version = engine.version.clone();
        row.count = engine.running_containers;
        row.cpu.total = engine.cpus.map(|cpus| u64::from(cpus) * 1000);
        row.memory.total = engine.memory;
        row.disk.total = engine.disk_total;
        row.disk.used =
            engine.disk_total.zip(engine.disk_free).map(|(total, free)| total.saturating_sub(free));
    }
    let rates = builder.history(&node.name).and_then(|history| history.now());
    row.cpu.used = rates.and_then(|rates| rates.cpus).map(|cpus| (cpus * 1000.0) as u64);
    let counters = node.container.as_ref().and_then(|container| container.counters.as_ref());
    row.memory.used = counters.and_then(|counters| counters.memory);
    row
}

fn state_of(health: BuilderHealth) -> NodeState {
    match health {
        BuilderHealth::Ok => NodeState::Ready,
        BuilderHealth::Unknown => NodeState::Unknown,
        BuilderHealth::Slow | BuilderHealth::Partial => NodeState::Strained,
        BuilderHealth::Restarting
        | BuilderHealth::Paused
        | BuilderHealth::Stopped
        | BuilderHealth::OomKilled
        | BuilderHealth::Gone => NodeState::NotReady,
        BuilderHealth::Unreachable
        | BuilderHealth::EngineDown
        | BuilderHealth::EngineSilent
        | BuilderHealth::NoRoute => NodeState::Lost,
    }
}

fn cluster_rows(cluster: &Cluster) -> Vec<NodeRow> {
    let Some(snapshot) = cluster.snapshot() else { return Vec::new() };
    // A large cluster has many of both, and this is asked for with every frame.
    let mut pods: BTreeMap<&Text, Vec<&ClusterPod>> = BTreeMap::new();
    for pod in snapshot.pods() {
        if let Some(node) = &pod.node {
            pods.entry(node).or_default().push(pod);
        }
    }
    let row = |node: &ClusterNode| {
        let mut row = NodeRow::new(node.name.clone(), NodeSource::Kubernetes);
        row.state = node.state;
        row.reason = node.reason.clone();
        row.since = node.since;
        row.platform.clone_from(&node.platform);
        row.cpu = node.cpu;
        row.memory = node.memory;
        row.heartbeat = node.heartbeat;
        row.shortages.clone_from(&node.shortages);
        row.taints.clone_from(&node.taints);
        row.version = node.kubelet.clone();
        row.count = node.pod_count;
        let ours = pods.get(&node.name).map_or(&[][..], Vec::as_slice);
        let warnings = node.warnings.iter().chain(ours.iter().flat_map(|pod| &pod.warnings));
        row.warnings =
            warnings.map(|warning| format!("{}: {}", warning.reason, warning.message).into()).collect();
        row.pods = ours.iter().map(|pod| PodRow { name: pod.name.clone(), state: pod.state }).collect();
        row
    };
    snapshot.nodes.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::builder::{BuilderContainer, BuilderSnapshot, EngineFacts};
    use crate::event::cluster::{ClusterSnapshot, ClusterWarning};
    use crate::event::{Event, Stamped};

    fn model(events: Vec<Event>) -> Model {
        let mut model = Model::default();
        for event in events {
            model.apply(&Stamped { at: Time::from_micros(7), event });
        }
        model
    }

    fn builder(driver: &str) -> Event {
        let node = BuilderNode {
            name: "kube0".into(),
            state: BuilderHealth::Stopped,
            reason: "it has ended".into(),
            native: Platform::parse("linux/amd64"),
            engine: Some(EngineFacts {
                cpus: Some(2),
                disk_free: Some(30),
                disk_total: Some(100),
                ..EngineFacts::default()
            }),
            container: Some(BuilderContainer { name: "kube0-77d-x".into(), ..BuilderContainer::default() }),
            ..BuilderNode::default()
        };
        let place = |platform, execution| PlatformPlace {
            platform: Platform::parse(platform).unwrap(),
            node: Some("kube0".into()),
            execution,
        };
        Event::Builder(Box::new(BuilderSnapshot {
            name: "kube".into(),
            driver: driver.into(),
            nodes: vec![node],
            platforms: vec![
                place("linux/amd64", Execution::Native),
                place("linux/arm64", Execution::Emulated),
            ],
            ..BuilderSnapshot::default()
        }))
    }

    fn cluster() -> Event {
        let node = |name: &str, state| ClusterNode {
            name: name.into(),
            state,
            platform: Platform::parse("linux/arm64/v8"),
            cpu: Gauge { total: Some(4000), requested: Some(1000), ..Gauge::default() },
            ..ClusterNode::default()
        };
        let warning =
            ClusterWarning { reason: "BackOff".into(), message: "again".into(), ..ClusterWarning::default() };
        let pod = ClusterPod {
            name: "kube0-77d-x".into(),
            node: Some("b".into()),
            state: PodState::CrashLooping,
            warnings: vec![warning],
            ..ClusterPod::default()
        };
        Event::Cluster(Box::new(ClusterSnapshot {
            nodes: vec![
                node("a", NodeState::Ready),
                node("b", NodeState::Lost),
                node("c", NodeState::Cordoned),
            ],
            builder_pods: vec![pod],
            ..ClusterSnapshot::default()
        }))
    }

    fn names(nodes: &Nodes) -> Vec<&str> {
        nodes.rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn nothing_known_is_no_node() {
        assert_eq!(nodes(&Model::default()), Nodes::default());
        assert_eq!(nodes(&Model::default()).worst(), None);
    }

    #[test]
    fn the_builders_nodes_are_machines_of_their_own() {
        let found = nodes(&model(vec![builder("docker-container")]));
        assert_eq!(names(&found), ["kube0"]);
        let row = &found.rows[0];
        assert_eq!(
            (row.source, row.state, row.reason.as_str()),
            (NodeSource::Builder, NodeState::NotReady, "it has ended")
        );
        assert_eq!((row.arch(), row.cpu.total, row.disk.used_share()), ("amd64", Some(2000), Some(0.7)));
        assert!(row.emulates() && row.builds.len() == 2);
        assert_eq!(row.heartbeat, None, "what does not answer was not heard of");
        assert_eq!(found.platforms[1].place().map(Text::as_str), Some("kube0"));

        let both = nodes(&model(vec![cluster(), builder("docker-container")]));
        assert_eq!(names(&both), ["kube0", "a", "b", "c"]);
        assert!(!both.rows[2].emulates(), "a pod of that name is no node of this builder");
    }

    #[test]
    fn a_builder_in_the_cluster_is_on_the_clusters_nodes() {
        let found = nodes(&model(vec![builder("kubernetes"), cluster()]));
        assert_eq!(names(&found), ["a", "b", "c"]);
        let row = &found.rows[1];
        assert_eq!(
            (row.arch(), row.source, row.cpu.requested_share()),
            ("arm64", NodeSource::Kubernetes, Some(0.25))
        );
        assert_eq!(row.cpu.used_share(), None, "what pods asked for is no use");
        assert_eq!(row.pods, [PodRow { name: "kube0-77d-x".into(), state: PodState::CrashLooping }]);
        assert_eq!(row.warnings, ["BackOff: again".into()]);
        assert_eq!(row.builds[1], (Platform::parse("linux/arm64").unwrap(), Execution::Emulated));
        let [native, emulated] = &found.platforms[..] else { panic!("{:?}", found.platforms) };
        assert_eq!(
            (native.place().map(Text::as_str), emulated.node.as_ref().map(Text::as_str)),
            (Some("b"), Some("kube0"))
        );
        assert_eq!(found.unhealthy().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(found.worst(), Some(NodeState::Lost));
    }
}
