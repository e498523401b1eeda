//! What is around a build, in good and in bad times.

use std::time::Duration;

use layertop::event::builder::{
    ActiveBuild, Amount, BuilderContainer, BuilderHealth, BuilderNode, Counters, EngineFacts, Execution,
    GcRule, KindAmount, PlatformPlace, Pressure, Usage, UsageKind, UsageRecord,
};
use layertop::event::cluster::{
    ApiState, ClusterNode, ClusterPod, ClusterWarning, ContainerEnd, Gauge, MissingPart, MissingReason,
    NodeState, PodState, RegistryService, ServiceVerdict, Shortage, SnapshotPart,
};
use layertop::event::registry::{
    Auth, AuthMode, CacheKind, CachePlatform, CacheState, CacheTag, Latency, RegistrySnapshot, RegistryState,
    Tag, TagChange, TagChangeKind, Tags,
};
use layertop::event::{
    BuilderSnapshot, ClusterSnapshot, Digest, Event, Platform, Stamped, Text, Time, WatchState, Watching,
};

/// What changes the word that was said last.
pub(crate) type Turn = fn(&mut Around);

/// What can be said last, by its name.
pub(crate) const SCENES: [(&str, Turn); 11] = [
    ("well", |_| {}),
    ("registry_down", registry_down),
    ("registry_slow", registry_slow),
    ("cache_too_large", cache_too_large),
    ("no_cache_yet", no_cache_yet),
    ("builder_oom", builder_oom),
    ("builder_gone", builder_gone),
    ("one_node_dead", one_node_dead),
    ("cluster", |around| in_cluster(around, false)),
    ("cluster_ill", |around| in_cluster(around, true)),
    ("huge", huge),
];

/// What is said last, by its name.
pub(crate) fn scene(name: &str) -> Turn {
    SCENES.iter().find(|(known, _)| *known == name).map(|(_, scene)| *scene).unwrap()
}

/// How often the watchers speak.
const EVERY: Duration = Duration::from_secs(2);
/// How often they have spoken.
const TIMES: u32 = 40;

fn platform(text: &str) -> Platform {
    Platform::parse(text).unwrap()
}

fn ago(now: Time, seconds: u64) -> Time {
    now.minus(Duration::from_secs(seconds))
}

fn watching() -> Event {
    Event::Watching(Watching {
        registry: WatchState::On,
        cluster: WatchState::On,
        builder: WatchState::On,
        apart_us: 0,
    })
}

/// What the parts have said in the last minutes before `now`; the last word is changed by `last`.
pub(crate) fn history(now: Time, last: impl FnOnce(&mut Around)) -> Vec<Stamped> {
    let mut events = Vec::new();
    for n in 1..TIMES {
        let at = now.minus(EVERY * (TIMES - n));
        events.extend(Around::well(at, n).events(at));
    }
    let mut around = Around::well(now, TIMES);
    last(&mut around);
    events.insert(0, Stamped { at: now.minus(EVERY * TIMES), event: watching() });
    events.extend(around.events(now));
    events
}

/// One word of every part.
pub(crate) struct Around {
    registry: Option<RegistrySnapshot>,
    builder: Option<BuilderSnapshot>,
    cluster: Option<ClusterSnapshot>,
}

impl Around {
    /// All is well, but for what is always so where one machine builds for two: one platform is emulated.
    fn well(now: Time, n: u32) -> Self {
        Self { registry: Some(registry(now, n)), builder: Some(builder(now, n)), cluster: None }
    }

    fn events(self, at: Time) -> Vec<Stamped> {
        let registry = self.registry.map(|part| Event::Registry(Box::new(part)));
        let builder = self.builder.map(|part| Event::Builder(Box::new(part)));
        let cluster = self.cluster.map(|part| Event::Cluster(Box::new(part)));
        [registry, builder, cluster].into_iter().flatten().map(|event| Stamped { at, event }).collect()
    }
}

fn registry(now: Time, n: u32) -> RegistrySnapshot {
    let took = [2_900, 3_100, 2_700, 9_200, 3_000, 4_400, 2_800][n as usize % 7];
    RegistrySnapshot {
        url: "http://10.43.17.166:5000".into(),
        repository: "montage-ai".into(),
        state: RegistryState::Ok,
        asked: now,
        answered: Some(now),
        next_us: 2_000_000,
        latency: Some(Latency { last_us: took, p50_us: 3_000, p95_us: 9_200, samples: n }),
        auth: Some(Auth { mode: AuthMode::None, realm: None, signed_in: false }),
        api_version: Some("registry/2.0".into()),
        tags: Some(tags(now, 6)),
        cache: Some(CacheTag {
            name: "buildcache".into(),
            looked: now,
            state: CacheState::Present,
            digest: Some(digest(77)),
            kind: Some(CacheKind::ImageManifest),
            blobs: 22,
            bytes: 195_400_000,
            config_bytes: 7_100,
            oldest: Some(ago(now, 9 * 86_400)),
            newest: Some(ago(now, 130)),
            image: Some("my-feature".into()),
            platforms: vec![
                CachePlatform { platform: platform("linux/amd64"), layers: 9, held: 9 },
                CachePlatform { platform: platform("linux/arm64"), layers: 9, held: 9 },
            ],
            ..CacheTag::default()
        }),
        changes: vec![
            TagChange {
                at: now.minus(Duration::from_secs(190)),
                tag: "my-feature".into(),
                what: TagChangeKind::Moved,
                bytes: None,
                added: 0,
                removed: 0,
            },
            TagChange {
                at: now.minus(Duration::from_secs(130)),
                tag: "buildcache".into(),
                what: TagChangeKind::CacheReplaced,
                bytes: Some(1_240_000),
                added: 3,
                removed: 1,
            },
        ],
        ..RegistrySnapshot::default()
    }
}

fn digest(n: usize) -> Digest {
    let word = |n: u64| (n + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = n as u64;
    Digest::parse(&format!(
        "sha256:{:016x}{:016x}{:016x}{:016x}",
        word(n),
        word(n + 1),
        word(n + 2),
        word(n + 3)
    ))
}

fn tags(now: Time, count: usize) -> Tags {
    let names = ["my-feature", "buildcache", "latest", "v1.4.0", "v1.3.2", "v1.3.1"];
    let tag = |n: usize| Tag {
        name: names.get(n).map_or_else(|| Text::clean(&format!("pr-{}", 9_000 - n)), |name| (*name).into()),
        digest: Some(digest(n)),
        platforms: if n == 1 { Vec::new() } else { vec![platform("linux/amd64"), platform("linux/arm64")] },
        bytes: Some(412_000_000 + 1_300_000 * n as u64),
        created: Some(ago(now, 120 + 40_000 * n as u64)),
        building: n == 0,
        cache: n == 1,
    };
    Tags {
        looked: now,
        total: count as u64,
        more: false,
        opened: count as u64,
        list: (0..count).map(tag).collect(),
    }
}

fn counters(now: Time, n: u32) -> Counters {
    // Work that comes and goes.
    let sum =
        |per: u64| (1..=u64::from(n)).map(|i| per * [1, 3, 7, 8, 8, 6, 2, 1][i as usize % 8]).sum::<u64>();
    Counters {
        at: now,
        cpu_ns: Some(sum(1_800_000_000)),
        memory: Some(3_100_000_000),
        memory_limit: Some(8_000_000_000),
        disk_read: Some(sum(900_000)),
        disk_written: Some(sum(8_000_000)),
        net_received: Some(sum(3_000_000)),
        net_sent: Some(sum(100_000)),
    }
}

fn kind(kind: UsageKind, records: u64, bytes: u64) -> KindAmount {
    KindAmount { kind, amount: Amount { records, bytes } }
}

fn usage(now: Time, n: u32) -> Usage {
    let bytes = 40_100_000_000 + u64::from(n) * 30_000_000;
    let record = |bytes, kind, description: &str, used| UsageRecord {
        id: "k2x7".into(),
        kind,
        bytes,
        description: description.into(),
        in_use: used < 60,
        last_used: Some(ago(now, used)),
    };
    Usage {
        total: Amount { records: 412, bytes },
        reclaimable: Amount { records: 310, bytes: 12_300_000_000 },
        in_use: Amount { records: 22, bytes: 4_000_000_000 },
        shared: Amount { records: 4, bytes: 900_000_000 },
        by_kind: vec![
            kind(UsageKind::Steps, 250, 28_000_000_000),
            kind(UsageKind::Imported, 90, 7_300_000_000),
            kind(UsageKind::CacheMounts, 9, 4_900_000_000),
            kind(UsageKind::Sources, 60, 1_100_000_000),
            kind(UsageKind::Internal, 3, 1_000_000),
        ],
        largest: vec![
            record(9_800_000_000, UsageKind::Steps, "[linux/arm64 4/9] RUN conda install librosa numba", 40),
            record(9_100_000_000, UsageKind::Steps, "[linux/amd64 4/9] RUN conda install librosa numba", 40),
            record(
                4_200_000_000,
                UsageKind::CacheMounts,
                "cached mount /root/.cache/pip from exec /bin/sh",
                7_000,
            ),
            record(2_900_000_000, UsageKind::Imported, "imported sha256:9855648725d71dd6b910", 90_000),
        ],
    }
}

fn builder(now: Time, n: u32) -> BuilderSnapshot {
    BuilderSnapshot {
        name: "multiarch-builder".into(),
        driver: "docker-container".into(),
        state: BuilderHealth::Ok,
        nodes: vec![node("multiarch-builder0", now, n)],
        platforms: vec![
            place("linux/amd64", "multiarch-builder0", Execution::Native),
            place("linux/arm64", "multiarch-builder0", Execution::Emulated),
        ],
        ..BuilderSnapshot::default()
    }
}

fn place(name: &str, node: &str, execution: Execution) -> PlatformPlace {
    PlatformPlace { platform: platform(name), node: Some(node.into()), execution }
}

fn node(name: &str, now: Time, n: u32) -> BuilderNode {
    BuilderNode {
        name: name.into(),
        endpoint: "unix:///var/run/docker.sock".into(),
        state: BuilderHealth::Ok,
        latency_us: Some(1_900),
        buildkit_version: Some("v0.25.1".into()),
        platforms: vec![platform("linux/amd64"), platform("linux/arm64")],
        native: Some(platform("linux/amd64")),
        gc: vec![
            GcRule {
                filters: vec!["type==source.local".into()],
                keep_ms: 172_800_000,
                max_used: 512_000_000,
                ..GcRule::default()
            },
            GcRule {
                reserved: 5_000_000_000,
                max_used: 60_000_000_000,
                min_free: 20_000_000_000,
                all: true,
                ..GcRule::default()
            },
        ],
        engine: Some(EngineFacts {
            version: "28.5.1".into(),
            cpus: Some(8),
            memory: Some(16_600_000_000),
            running_containers: Some(7),
            data_root: "/var/lib/docker".into(),
            disk_free: Some(212_000_000_000),
            disk_total: Some(498_000_000_000),
            load_percent: Some(412),
            pressure: Some(Pressure { cpu: Some(1_240), memory: Some(0), io: Some(310) }),
        }),
        container: Some(BuilderContainer {
            name: format!("buildx_buildkit_{name}").as_str().into(),
            status: "running".into(),
            started: Some(ago(now, 3 * 86_400)),
            restarts: 0,
            counters: Some(counters(now, n)),
            ..BuilderContainer::default()
        }),
        usage: Some(usage(now, n)),
        active: Some(vec![ActiveBuild {
            own: false,
            reference: "x2u1n0q7d6".into(),
            name: "montage-ai:my-feature".into(),
            started: Some(ago(now, 41)),
            total: 22,
            completed: 12,
            cached: 8,
            running: "[linux/arm64 5/9] RUN pip install -r requirements.txt".into(),
        }]),
        ..BuilderNode::default()
    }
}

/// The registry does not answer any more; what was known of it grows old.
fn registry_down(around: &mut Around) {
    let Some(registry) = &mut around.registry else { return };
    registry.state = RegistryState::Down;
    registry.reason = "nothing listens at 10.43.17.166:5000 (connection refused): is the registry running? \
        docker start registry"
        .into();
    registry.answered = registry.answered.map(|at| at.minus(Duration::from_secs(34)));
    registry.next_us = 30_000_000;
}

fn registry_slow(around: &mut Around) {
    let Some(registry) = &mut around.registry else { return };
    registry.state = RegistryState::Slow;
    registry.reason = "it takes 1.4 s to answer (95 of 100 of the last 20)".into();
    registry.latency = Some(Latency { last_us: 1_380_000, p50_us: 3_000, p95_us: 1_400_000, samples: 40 });
}

fn cache_too_large(around: &mut Around) {
    let Some(cache) = around.registry.as_mut().and_then(|registry| registry.cache.as_mut()) else { return };
    cache.state = CacheState::TooLarge;
    cache.reason =
        "the cache's config is over 1 MiB, so no build can import it: export with mode=min or less platforms"
            .into();
    cache.config_bytes = 1_900_000;
    cache.platforms[1].held = 3;
}

fn no_cache_yet(around: &mut Around) {
    let Some(registry) = &mut around.registry else { return };
    registry.state = RegistryState::NoRepository;
    registry.reason = "montage-ai is not there yet; the first push makes it".into();
    registry.tags = None;
    registry.changes.clear();
    registry.cache =
        Some(CacheTag { name: "buildcache".into(), state: CacheState::Absent, ..CacheTag::default() });
}

fn builder_oom(around: &mut Around) {
    let Some(builder) = &mut around.builder else { return };
    builder.state = BuilderHealth::OomKilled;
    builder.reason = "the container of multiarch-builder0 was ended by the kernel for want of memory".into();
    builder.hint = "give it more: docker update --memory 12g buildx_buildkit_multiarch-builder0".into();
    let node = &mut builder.nodes[0];
    (node.state, node.latency_us, node.active) = (BuilderHealth::OomKilled, None, None);
    (node.reason, node.hint) = (builder.reason.clone(), builder.hint.clone());
    let Some(container) = &mut node.container else { return };
    container.finished =
        container.counters.as_ref().map(|counters| counters.at.minus(Duration::from_secs(240)));
    container.status = "exited".into();
    container.exit_code = Some(137);
    (container.oom_killed, container.restarts, container.counters) = (true, 2, None);
}

fn builder_gone(around: &mut Around) {
    around.builder = Some(BuilderSnapshot {
        name: "multiarch-builder".into(),
        state: BuilderHealth::Gone,
        reason: "there is no builder multiarch-builder".into(),
        hint: "docker buildx create --name multiarch-builder --bootstrap".into(),
        ..BuilderSnapshot::default()
    });
}

/// A builder of several nodes, one of which is dead.
fn one_node_dead(around: &mut Around) {
    let Some(builder) = &mut around.builder else { return };
    let now = builder.nodes[0].container.as_ref().and_then(|c| c.counters.as_ref()).map(|c| c.at).unwrap();
    builder.state = BuilderHealth::Partial;
    builder.reason = "1 of 3 nodes does not answer".into();
    builder.nodes.push(node("multiarch-builder1", now, TIMES));
    builder.nodes.push(BuilderNode {
        name: "arm-builder".into(),
        endpoint: "ssh://build@arm-1".into(),
        state: BuilderHealth::EngineDown,
        reason: "ssh: connect to host arm-1 port 22: No route to host".into(),
        hint: "ssh build@arm-1 docker info".into(),
        ..BuilderNode::default()
    });
    builder.platforms[1] =
        PlatformPlace { platform: platform("linux/arm64"), node: None, execution: Execution::Unsupported };
}

/// The registry lives in a cluster, of which one node is not ready; and its pod ends again and again.
fn in_cluster(around: &mut Around, ill: bool) {
    let now = around.registry.as_ref().unwrap().asked;
    let gauge = |total, used| Gauge { total: Some(total), used: Some(used), ..Gauge::default() };
    let node = |name: &str, arch: &str, cpu, memory| ClusterNode {
        name: name.into(),
        state: NodeState::Ready,
        since: Some(ago(now, 900_000)),
        heartbeat: Some(ago(now, 14)),
        platform: Some(platform(arch)),
        kubelet: "v1.31.4".into(),
        cpu: gauge(8_000, cpu),
        memory: gauge(16_000_000_000, memory),
        pod_count: Some(31),
        ..ClusterNode::default()
    };
    let mut nodes = vec![
        node("amd-1", "linux/amd64", 3_280, 9_900_000_000),
        node("amd-2", "linux/amd64", 720, 4_100_000_000),
        node("arm-1", "linux/arm64", 7_720, 15_300_000_000),
    ];
    let mut pod = ClusterPod {
        name: "montage-ai-registry-6c9f-x7k2p".into(),
        namespace: "montage-ai".into(),
        state: PodState::Ready,
        phase: "Running".into(),
        containers: 1,
        ready: 1,
        node: Some("amd-2".into()),
        started: Some(ago(now, 200_000)),
        ..ClusterPod::default()
    };
    let mut service = RegistryService {
        namespace: "montage-ai".into(),
        service: "montage-ai-registry".into(),
        selector: "app=montage-ai-registry".into(),
        verdict: ServiceVerdict::Ok,
        kind: "ClusterIP".into(),
        port: Some(5000),
        address: Some("10.43.17.166:5000".into()),
        endpoints: Some(vec!["10.42.1.9:5000".into()]),
        port_forward: "kubectl -n montage-ai port-forward service/montage-ai-registry 5000:5000".into(),
        ..RegistryService::default()
    };
    if ill {
        nodes[2].state = NodeState::NotReady;
        nodes[2].since = Some(ago(now, 250));
        nodes[2].heartbeat = Some(ago(now, 310));
        nodes[2].reason = "KubeletHasInsufficientMemory: kubelet has insufficient memory available".into();
        nodes[2].shortages = vec![Shortage::Memory];
        nodes[2].warnings = vec![ClusterWarning {
            at: Some(ago(now, 240)),
            reason: "SystemOOM".into(),
            message: "System OOM encountered, victim process: buildkitd".into(),
            count: 3,
        }];
        pod.state = PodState::CrashLooping;
        pod.reason = "CrashLoopBackOff: back-off 5m0s restarting failed container".into();
        (pod.ready, pod.restarts) = (0, 7);
        pod.last = Some(ContainerEnd { reason: "OOMKilled".into(), exit_code: 137, at: Some(ago(now, 70)) });
        service.verdict = ServiceVerdict::PodNotReady;
        service.reason = "no pod of montage-ai-registry is ready: montage-ai-registry-6c9f-x7k2p is in a crash loop (OOMKilled)".into();
        service.hint = "kubectl -n montage-ai describe pod montage-ai-registry-6c9f-x7k2p".into();
        service.endpoints = Some(Vec::new());
        service.not_ready_endpoints = 1;
    }
    service.pods = vec![pod];
    around.cluster = Some(ClusterSnapshot {
        state: ApiState::Ok,
        context: "build".into(),
        server: "https://10.0.0.1:6443".into(),
        version: Some("v1.31.4".into()),
        answered: Some(now),
        nodes,
        registry: Some(service),
        missing: vec![MissingPart {
            part: SnapshotPart::NodeEvents,
            lack: MissingReason::Forbidden,
            reason: "events: forbidden: User \"ci\" cannot list resource \"events\"".into(),
        }],
        ..ClusterSnapshot::default()
    });
}

/// A cluster, an image and a cache of the sizes that must still be fast.
fn huge(around: &mut Around) {
    in_cluster(around, false);
    let now = around.registry.as_ref().unwrap().asked;
    let cluster = around.cluster.as_mut().unwrap();
    let first = cluster.nodes[0].clone();
    cluster.nodes = (0..500)
        .map(|n| ClusterNode {
            name: format!("worker-{n:03}").as_str().into(),
            state: if n % 97 == 0 { NodeState::NotReady } else { NodeState::Ready },
            reason: if n % 97 == 0 { "KubeletNotReady: PLEG is not healthy".into() } else { Text::default() },
            ..first.clone()
        })
        .collect();
    cluster.builder_pods = (0..5_000)
        .map(|n| ClusterPod {
            name: format!("builder-{n:04}").as_str().into(),
            state: PodState::Ready,
            node: Some(format!("worker-{:03}", n % 500).as_str().into()),
            ..ClusterPod::default()
        })
        .collect();
    around.registry.as_mut().unwrap().tags = Some(tags(now, 2_000));
    let node = &mut around.builder.as_mut().unwrap().nodes[0];
    let usage = node.usage.as_mut().unwrap();
    usage.total.records = 20_000;
    let one = usage.largest[0].clone();
    usage.largest = (0..20_000)
        .map(|n| UsageRecord {
            bytes: 9_800_000_000 / (n + 1),
            description: format!("[4/9] RUN make {n}").as_str().into(),
            ..one.clone()
        })
        .collect();
}
