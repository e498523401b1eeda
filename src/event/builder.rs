//! The builder as it stands: one whole snapshot a time, of all of its nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Platform, Text, Time};

/// How a builder or one of its nodes is. The order is from well to ill.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BuilderHealth {
    /// It answers.
    Ok,
    /// Nothing is known yet, or nothing can be known without starting it.
    #[default]
    Unknown,
    /// It answers, and takes more than a second for it.
    Slow,
    /// Some of the builder's nodes do not answer.
    Partial,
    /// Its container is about to run again.
    Restarting,
    /// Its container is paused.
    Paused,
    /// Its container is there and does not run.
    Stopped,
    /// Its container was ended by the kernel for want of memory.
    OomKilled,
    /// There is no such builder, or its container is not there.
    Gone,
    /// The engine runs, `BuildKit` does not answer.
    Unreachable,
    /// The engine that the node lives on does not answer.
    EngineDown,
    /// That engine takes the connection and says nothing: it hangs or is stopped.
    EngineSilent,
    /// There is no way to that engine: no route to its machine, or nobody takes the call.
    NoRoute,
}

impl BuilderHealth {
    /// Whether builds can run.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Ok | Self::Slow | Self::Partial)
    }
}

/// The builder, its nodes, and what runs on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BuilderSnapshot {
    /// Its name as buildx has it.
    pub name: Text,
    /// `docker`, `docker-container`, `remote`, `kubernetes`; empty where there is no such builder.
    pub driver: Text,
    /// How it is, over all of its nodes.
    pub state: BuilderHealth,
    /// What is wrong, in words; empty where all is well.
    pub reason: Text,
    /// What to do about it; empty where nothing is to be done.
    pub hint: Text,
    /// Its nodes, in buildx's order.
    pub nodes: Vec<BuilderNode>,
    /// Each platform that the build wants: who builds it, and how.
    pub platforms: Vec<PlatformPlace>,
}

/// One node of a builder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BuilderNode {
    /// Its name as buildx has it: `multiarch-builder0`.
    pub name: Text,
    /// Where it is: an address or the name of a docker context, as buildx has it.
    pub endpoint: Text,
    /// How it is.
    pub state: BuilderHealth,
    /// What is wrong, in words.
    pub reason: Text,
    /// What to do about it.
    pub hint: Text,
    /// How long `BuildKit` took to answer, in microseconds.
    pub latency_us: Option<u64>,
    /// Version of `BuildKit`; `v0.0.0+unknown` where its packager set none.
    pub buildkit_version: Option<Text>,
    /// Platforms that it builds for: those that were given to it, else those that `BuildKit` found.
    pub platforms: Vec<Platform>,
    /// The platform of its machine.
    pub native: Option<Platform>,
    /// What garbage collection keeps, rule by rule.
    pub gc: Vec<GcRule>,
    /// The engine that it lives on.
    pub engine: Option<EngineFacts>,
    /// Its container, where the driver has one.
    pub container: Option<BuilderContainer>,
    /// What its cache takes on disk, by the newest listing of its records.
    pub usage: Option<Usage>,
    /// How long `BuildKit` took for its newest listing, before the first one about what earlier ones took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listing_us: Option<u64>,
    /// When a listing was asked for that is not answered yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listing_asked: Option<Time>,
    /// Builds that run on it now, by anybody; none: not known.
    pub active: Option<Vec<ActiveBuild>>,
}

/// The engine of a node, and as much of its machine as can be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EngineFacts {
    /// Its version.
    pub version: Text,
    /// CPUs of its machine.
    pub cpus: Option<u32>,
    /// Memory of its machine, in bytes.
    pub memory: Option<u64>,
    /// Containers that run on it.
    pub running_containers: Option<u64>,
    /// Folder of its data.
    pub data_root: Text,
    /// Bytes free where its data is; known where the engine is on this machine.
    pub disk_free: Option<u64>,
    /// Bytes in all where its data is.
    pub disk_total: Option<u64>,
    /// Mean number of runnable processes over a minute, in hundredths; known where the engine is on this machine.
    pub load_percent: Option<u32>,
    /// Share of the last 10 s in which some process waited for a CPU, for memory, for disks, in hundredths of a per cent
    /// (`/proc/pressure`).
    pub pressure: Option<Pressure>,
}

/// How much time is lost waiting, in hundredths of a per cent of the last 10 s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pressure {
    /// For a CPU.
    pub cpu: Option<u32>,
    /// For memory.
    pub memory: Option<u32>,
    /// For disks.
    pub io: Option<u32>,
}

/// A container that `BuildKit` runs in. Counters grow from its start on; rates are the model's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BuilderContainer {
    /// Its name: `buildx_buildkit_<node>`.
    pub name: Text,
    /// Its engine's word for its state: `running`, `paused`, `exited`, …
    pub status: Text,
    /// When it was started last.
    pub started: Option<Time>,
    /// When it ended last; none while it runs.
    pub finished: Option<Time>,
    /// Its last exit code; none while it runs.
    pub exit_code: Option<i64>,
    /// How often the engine has restarted it.
    pub restarts: u64,
    /// Whether the kernel has ended one of its processes for want of memory, since its start.
    pub oom_killed: bool,
    /// What it has used and moved; none while it does not run.
    pub counters: Option<Counters>,
}

/// What a container uses now, and has used since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counters {
    /// When they were read.
    pub at: Time,
    /// CPU time in nanoseconds, over all CPUs.
    pub cpu_ns: Option<u64>,
    /// Memory in use without the page cache that can be given back, in bytes, as `docker stats` counts.
    pub memory: Option<u64>,
    /// What memory it may have; the machine's where it has no limit.
    pub memory_limit: Option<u64>,
    /// Bytes read from disks.
    pub disk_read: Option<u64>,
    /// Bytes written to disks.
    pub disk_written: Option<u64>,
    /// Bytes received; none with the host's network, where it can't be told.
    pub net_received: Option<u64>,
    /// Bytes sent.
    pub net_sent: Option<u64>,
}

/// One rule of `BuildKit`'s garbage collection. Zero: no limit of that kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GcRule {
    /// Whether internal and shared records count too.
    pub all: bool,
    /// What it is for: `type==source.local`; empty: everything.
    pub filters: Vec<Text>,
    /// Records used within this time are kept, in milliseconds.
    pub keep_ms: u64,
    /// Bytes that are never taken away.
    pub reserved: u64,
    /// Bytes that are never exceeded for long.
    pub max_used: u64,
    /// Bytes that are to stay free on the disk.
    pub min_free: u64,
}

/// What records of disk usage are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageKind {
    /// Results of steps that were run here.
    Steps,
    /// Results that were imported from a registry cache.
    Imported,
    /// Cache mounts of `RUN --mount=type=cache`.
    CacheMounts,
    /// Build contexts, git checkouts and pulled images.
    Sources,
    /// `BuildKit`'s own: frontends and the like.
    Internal,
}

/// How many records, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Amount {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The records of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KindAmount {
    /// The kind.
    pub kind: UsageKind,
    /// How much of it.
    #[serde(flatten)]
    pub amount: Amount,
}

/// What a node's cache takes on disk. Sums are those of `docker buildx du`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// All of it.
    pub total: Amount,
    /// What no build holds, and a prune would take.
    pub reclaimable: Amount,
    /// What some build holds now.
    pub in_use: Amount,
    /// What images hold as well.
    pub shared: Amount,
    /// By kind; kinds without a record are left out.
    pub by_kind: Vec<KindAmount>,
    /// The largest records, largest first, twenty at most.
    pub largest: Vec<UsageRecord>,
}

/// One record of disk usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRecord {
    /// `BuildKit`'s id of it.
    pub id: Text,
    /// What it is of.
    pub kind: UsageKind,
    /// Bytes.
    pub bytes: u64,
    /// The step or blob it belongs to: `[3/5] RUN make`, `imported sha256:…`.
    #[serde(default)]
    pub description: Text,
    /// Whether a build holds it.
    #[serde(default)]
    pub in_use: bool,
    /// When it was used last.
    #[serde(default)]
    pub last_used: Option<Time>,
}

/// A build that runs on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActiveBuild {
    /// `BuildKit`'s reference of it.
    pub reference: Text,
    /// The image that it makes, else its context; empty where neither is known.
    pub name: Text,
    /// When it began.
    pub started: Option<Time>,
    /// Vertices known so far.
    pub total: u64,
    /// Vertices done.
    pub completed: u64,
    /// Of these, those that came from the cache.
    pub cached: u64,
    /// Name of the vertex that began last and is not done; empty where there is none.
    pub running: Text,
    /// Whether it is the build that is told of, which itself tells how far it is: it is not followed a second time, the counts
    /// are 0 and nothing is said to run.
    pub own: bool,
}

/// How a platform is built on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// By the machine's own processor.
    Native,
    /// Under an emulator, many times slower.
    Emulated,
    /// No node has it: steps that run something will fail.
    Unsupported,
    /// Not known, since no node has said what it has.
    Unknown,
}

/// Who builds a platform, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlatformPlace {
    /// The platform.
    pub platform: Platform,
    /// The node that buildx gives it to.
    #[serde(default)]
    pub node: Option<Text>,
    /// How it is built there.
    pub execution: Execution,
}
