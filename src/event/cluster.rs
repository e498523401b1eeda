//! A Kubernetes cluster as it stands: one whole snapshot a time, of its nodes, and of the pods that matter to builds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Platform, Text, Time};

/// How a cluster's API server is. The order is from well to ill.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ApiState {
    /// It answers, and lets something be seen.
    Ok,
    /// Not asked yet.
    #[default]
    Unknown,
    /// There is no kubeconfig, and layertop does not run in a pod.
    Unconfigured,
    /// The kubeconfig can't be used: unreadable, without that context, with a certificate or helper that fails.
    BadConfig,
    /// It answers and refuses everything that was asked for: 403.
    Forbidden,
    /// It does not take the credentials: 401.
    Unauthorized,
    /// It answers that it can't: 5xx, 429.
    Failing,
    /// What answers is no API server.
    NotKubernetes,
    /// No secure connection comes about.
    Tls,
    /// Its name has no address.
    NotResolved,
    /// It takes connections and says nothing.
    Silent,
    /// Nothing listens at its address, or there is no way to it.
    Unreachable,
}

impl ApiState {
    /// Whether what a snapshot says of nodes and pods is the present.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Ok)
    }
}

/// Everything that is known of a cluster; it replaces the snapshot before. Nodes and pods stay as they were seen last while the
/// API server can't be asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterSnapshot {
    /// How its API server is.
    pub state: ApiState,
    /// What is wrong, in words; empty where all is well.
    pub reason: Text,
    /// What to do about it, a command where there is one; empty where nothing is to be done.
    pub hint: Text,
    /// Name of the kubeconfig's context; `in-cluster` in a pod.
    pub context: Text,
    /// Address of the API server: `https://10.0.0.1:6443`.
    pub server: Text,
    /// Version of Kubernetes: `v1.30.2`.
    pub version: Option<Text>,
    /// How long the API server took for its last answer, in microseconds.
    pub latency_us: Option<u64>,
    /// Its newest answer to anything.
    pub answered: Option<Time>,
    /// Its nodes, by name.
    pub nodes: Vec<ClusterNode>,
    /// The registry in the cluster; none where none is configured.
    pub registry: Option<RegistryService>,
    /// The pods of a builder of the kubernetes driver, by name.
    pub builder_pods: Vec<ClusterPod>,
    /// What can't be seen, each with its reason; the rest is not touched by it.
    pub missing: Vec<MissingPart>,
}

impl ClusterSnapshot {
    /// Why a part can't be seen; none where it can.
    pub fn missing(&self, part: SnapshotPart) -> Option<&MissingPart> {
        self.missing.iter().find(|missing| missing.part == part)
    }

    /// The pods that matter: the registry's, then the builder's.
    pub fn pods(&self) -> impl Iterator<Item = &ClusterPod> {
        self.registry.iter().flat_map(|registry| &registry.pods).chain(&self.builder_pods)
    }
}

/// A part of a snapshot that is asked for by itself, and may be refused by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotPart {
    /// Nodes with their conditions.
    Nodes,
    /// What nodes use of CPU and memory, by `metrics.k8s.io`.
    Usage,
    /// What the pods of nodes have requested.
    Requests,
    /// Warnings about nodes.
    NodeEvents,
    /// Warnings about the pods that matter.
    PodEvents,
    /// The registry's pods.
    RegistryPods,
    /// The registry's Service.
    Service,
    /// The Service's endpoints.
    Endpoints,
    /// The builder's pods.
    BuilderPods,
}

/// Why a part can't be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingReason {
    /// The account may not: 403.
    Forbidden,
    /// The cluster does not have it, such as a metrics server: 404.
    Absent,
    /// There is more of it than is worth asking for.
    TooMuch,
    /// It was asked for and failed otherwise.
    Failing,
}

/// A part that can't be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingPart {
    /// The part.
    pub part: SnapshotPart,
    /// Of what kind the reason is.
    pub lack: MissingReason,
    /// The reason: `nodes: forbidden: User "ci" cannot list resource "nodes"`.
    #[serde(default)]
    pub reason: Text,
}

/// How a node is. The order is from well to ill.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It works.
    Ready,
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// It works, and takes no new pods.
    Cordoned,
    /// It works, but is short of memory, disk or process ids, or slow.
    Strained,
    /// It says itself that it can't.
    NotReady,
    /// Nothing is heard of it.
    Lost,
}

impl NodeState {
    /// Whether builds and pods can run on it.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Ready | Self::Cordoned | Self::Strained)
    }
}

/// What a node is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shortage {
    /// `MemoryPressure`.
    Memory,
    /// `DiskPressure`.
    Disk,
    /// `PIDPressure`.
    Pids,
    /// `NetworkUnavailable`.
    Network,
}

/// A node of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterNode {
    /// Its name.
    pub name: Text,
    /// How it is.
    pub state: NodeState,
    /// What is wrong, in words; empty where all is well.
    pub reason: Text,
    /// Since when its condition `Ready` is as it is.
    pub since: Option<Time>,
    /// The newest time at which its kubelet reported its conditions: every 5 min where nothing changes, more often in old versions.
    pub heartbeat: Option<Time>,
    /// What it is short of.
    pub shortages: Vec<Shortage>,
    /// Whether it takes no new pods.
    pub cordoned: bool,
    /// Taints that keep pods away for reasons that are not said elsewhere: `dedicated=builds:NoSchedule`.
    pub taints: Vec<Text>,
    /// Its roles: `control-plane`, `worker`.
    pub roles: Vec<Text>,
    /// Platform of its machine.
    pub platform: Option<Platform>,
    /// Version of its kubelet.
    pub kubelet: Text,
    /// CPU, in thousandths of one.
    pub cpu: Gauge,
    /// Memory, in bytes.
    pub memory: Gauge,
    /// How many pods are bound to it and not done; none where they were not counted.
    pub pod_count: Option<u64>,
    /// Names of the pods that matter and are on it.
    pub pods: Vec<Text>,
    /// Warnings of the last hour about it, newest first, ten at most.
    pub warnings: Vec<ClusterWarning>,
}

/// How much there is of something, and how much of it is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Gauge {
    /// What pods may have, or what the machine has.
    pub total: Option<u64>,
    /// What a cluster's machine has, with what Kubernetes keeps for itself.
    pub capacity: Option<u64>,
    /// What is used now.
    pub used: Option<u64>,
    /// What pods have asked to be kept for them.
    pub requested: Option<u64>,
}

impl Gauge {
    /// How much the machine has.
    pub fn machine(&self) -> Option<u64> {
        self.capacity.or(self.total)
    }

    /// The part that is used, from 0 on; a node may be over 1. None where that is not known.
    pub fn used_share(&self) -> Option<f64> {
        self.share(self.used)
    }

    /// The part that pods have asked to be kept for them: it says nothing of how busy a node is.
    pub fn requested_share(&self) -> Option<f64> {
        self.share(self.requested)
    }

    fn share(&self, part: Option<u64>) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some(part? as f64 / total as f64)
    }
}

/// A warning that Kubernetes wrote about something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterWarning {
    /// When it was seen last.
    pub at: Option<Time>,
    /// Its kind: `BackOff`, `FailedScheduling`.
    pub reason: Text,
    /// In words.
    pub message: Text,
    /// How often it was seen.
    pub count: u64,
}

/// How a pod is. The order is from well to ill.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PodState {
    /// It runs, and its containers are ready.
    Ready,
    /// It has ended well.
    Succeeded,
    /// Nothing is known of it, or its node is lost.
    #[default]
    Unknown,
    /// It is about to end.
    Terminating,
    /// It waits for a node, for its image, or for its containers to start.
    Pending,
    /// It runs and is not ready.
    NotReady,
    /// A container of it ends again and again.
    CrashLooping,
    /// It has failed for good, or can't start: no such image, no such secret.
    Failed,
}

/// A pod that matters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterPod {
    /// Its name.
    pub name: Text,
    /// Its namespace.
    pub namespace: Text,
    /// How it is.
    pub state: PodState,
    /// What is wrong, in words: `CrashLoopBackOff: back-off 5m0s restarting failed container`; empty where all is well.
    pub reason: Text,
    /// Kubernetes' word for where it is in its life: `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: Text,
    /// Its containers.
    pub containers: u64,
    /// Those that are ready.
    pub ready: u64,
    /// Restarts of its containers, in sum.
    pub restarts: u64,
    /// The node it is bound to.
    pub node: Option<Text>,
    /// When its container was started last; the one that restarted most, where it has several.
    pub started: Option<Time>,
    /// How that container ended the last time; none where it never did.
    pub last: Option<ContainerEnd>,
    /// Warnings of the last hour about it, newest first, ten at most.
    pub warnings: Vec<ClusterWarning>,
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ContainerEnd {
    /// Why: `Error`, `OOMKilled`, `Completed`.
    pub reason: Text,
    /// Its exit code.
    pub exit_code: i64,
    /// When.
    pub at: Option<Time>,
}

impl ContainerEnd {
    /// Whether the kernel ended it for want of memory.
    pub fn is_oom(&self) -> bool {
        self.reason.as_str() == "OOMKilled"
    }
}

/// What is the matter with a registry's Service. The order is from well to ill.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ServiceVerdict {
    /// A pod behind it is ready.
    Ok,
    /// Not known: not seen yet, or may not be seen.
    #[default]
    Unknown,
    /// Some of its pods are ready, some are not.
    Degraded,
    /// There are pods, and none is ready.
    PodNotReady,
    /// The selector finds no pod.
    NoPods,
    /// Pods are ready, and the Service leads to none of them: its own selector or port is another one.
    NoEndpoints,
    /// There is no such Service.
    ServiceMissing,
}

/// The registry in the cluster: its Service and the pods behind it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegistryService {
    /// Its namespace.
    pub namespace: Text,
    /// The Service's name; empty where none is configured.
    pub service: Text,
    /// The selector that its pods are found by: `app=registry`.
    pub selector: Text,
    /// What is the matter.
    pub verdict: ServiceVerdict,
    /// In words; empty where all is well.
    pub reason: Text,
    /// The next command; empty where nothing is to be done.
    pub hint: Text,
    /// The Service's type: `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`; empty where it was not seen.
    pub kind: Text,
    /// The Service's port.
    pub port: Option<u16>,
    /// Its address in the cluster, `10.96.0.7:5000`; none for a headless one.
    pub address: Option<Text>,
    /// Addresses for the outside: `30500 on every node`, `203.0.113.9:5000`.
    pub outside: Vec<Text>,
    /// Addresses of pods that take requests: `10.244.1.2:5000`; none where they were not seen.
    pub endpoints: Option<Vec<Text>>,
    /// How many pods the Service leads to that are not ready.
    pub not_ready_endpoints: u64,
    /// The command that makes the registry reachable at 127.0.0.1, for where its address has no route.
    pub port_forward: Text,
    /// Its pods, by name.
    pub pods: Vec<ClusterPod>,
}
