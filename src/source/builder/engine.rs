//! The engine that a node lives on, its machine, and the container that `BuildKit` runs in: by the engine's REST interface.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStatsResponse, SystemInfo};
use bollard::query_parameters::{LogsOptionsBuilder, StatsOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::event::builder::{BuilderContainer, Counters, EngineFacts, Pressure};
use crate::event::cluster::ClusterPod;
use crate::event::{Line, Platform, Text, Time};

use super::instance::{Driver, EngineAddress, NodeDefinition, platform};

/// How long an engine may take for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long one that has not answered may take to take another call.
const CALL: Duration = Duration::from_secs(1);

/// The engine's answers about a node.
#[derive(Debug, Clone, Default)]
pub(super) struct EngineReading {
    /// The engine and its machine; none where it can't be asked from here (ssh, TLS).
    pub(super) facts: Option<EngineFacts>,
    /// Platform of its machine.
    pub(super) native: Option<Platform>,
    /// The node's container, where the driver has one and it is there.
    pub(super) container: Option<BuilderContainer>,
    /// The node's pod, where the driver has one and it is there.
    pub(super) pod: Option<ClusterPod>,
    /// Why the engine does not answer.
    pub(super) error: Option<EngineFault>,
    /// Whether the engine was asked at all.
    pub(super) asked: bool,
}

/// Why an engine does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EngineFault {
    pub(super) kind: EngineFaultKind,
    pub(super) detail: String,
}

/// The kind of a fault; the fix depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EngineFaultKind {
    /// Nothing listens where it should.
    NotThere,
    /// Connected, and then nothing.
    Silent,
    /// There is no way to its machine.
    NoRoute,
    /// It is not for this user.
    Denied,
    /// It answers with an error.
    Failing,
}

impl EngineFault {
    /// One that says why by itself.
    pub(super) fn failing(detail: impl Into<String>) -> Self {
        Self { kind: EngineFaultKind::Failing, detail: detail.into() }
    }

    fn of(error: &bollard::errors::Error) -> Self {
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        let mut kind = EngineFaultKind::Failing;
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                kind = of_io(io);
            }
            cause = error.source();
        }
        Self { kind, detail: error.to_string() }
    }

    /// There was no answer in time: is there nobody, or somebody who says nothing?
    async fn late(host: &EngineAddress) -> Self {
        let silent =
            Self { kind: EngineFaultKind::Silent, detail: format!("no answer in {} s", PATIENCE.as_secs()) };
        let EngineAddress::Http(address) = host else { return silent };
        let at = address.split_once("://").map_or(address.as_str(), |(_, at)| at).trim_end_matches('/');
        let detail = match timeout(CALL, TcpStream::connect(at)).await {
            Ok(Ok(_)) => return silent,
            Ok(Err(error)) => return Self { kind: of_io(&error), detail: error.to_string() },
            Err(_) => "nobody takes the call".to_owned(),
        };
        Self { kind: EngineFaultKind::NoRoute, detail }
    }
}

fn of_io(error: &io::Error) -> EngineFaultKind {
    use io::ErrorKind as Is;
    match error.kind() {
        Is::ConnectionRefused | Is::NotFound => EngineFaultKind::NotThere,
        Is::TimedOut | Is::HostUnreachable | Is::NetworkUnreachable | Is::NetworkDown => {
            EngineFaultKind::NoRoute
        }
        Is::PermissionDenied => EngineFaultKind::Denied,
        _ => EngineFaultKind::Failing,
    }
}

impl EngineReading {
    /// Whether `BuildKit` may be dialled. Where the engine is not asked, the docker command finds out by itself; `docker
    /// exec` starts nothing.
    pub(super) fn may_dial(&self, driver: &Driver) -> bool {
        let runs = self.container.as_ref().is_some_and(|container| container.status.as_str() == "running");
        !self.asked || self.error.is_none() && (*driver == Driver::Docker || runs)
    }
}

/// Asks a node's engine. `before` is what it said the last time: what changes seldom is asked for seldom.
pub(super) async fn look(
    node: &NodeDefinition,
    driver: &Driver,
    before: Option<&EngineReading>,
    afresh: bool,
    clock: &Clock,
) -> EngineReading {
    let Some(docker) = node.host.as_ref().map(connect) else { return EngineReading::default() };
    let docker = match docker {
        Ok(Some(docker)) => docker,
        Ok(None) => return EngineReading::default(),
        Err(detail) => {
            let no_socket =
                matches!(&node.host, Some(EngineAddress::Unix(path)) if !Path::new(path).exists());
            let kind = if no_socket { EngineFaultKind::NotThere } else { EngineFaultKind::Failing };
            return EngineReading {
                error: Some(EngineFault { kind, detail }),
                asked: true,
                ..EngineReading::default()
            };
        }
    };
    let asked = ask(&docker, node, driver, before.filter(|_| !afresh), clock);
    let error = match (timeout(PATIENCE, asked).await, &node.host) {
        (Ok(Ok(reading)), _) => return reading,
        (Ok(Err(error)), _) => EngineFault::of(&error),
        (Err(_), Some(host)) => EngineFault::late(host).await,
        (Err(_), None) => return EngineReading::default(),
    };
    // The facts stay: that an engine does not answer changes nothing about its machine.
    let known = before.cloned().unwrap_or_default();
    EngineReading { error: Some(error), asked: true, container: None, ..known }
}

/// The engine of a host; none where only the docker command knows the way.
pub(in crate::source) fn connect(host: &EngineAddress) -> Result<Option<Docker>, String> {
    // Longer than ours, which has the better words.
    let seconds = 2 * PATIENCE.as_secs();
    let docker = match host {
        EngineAddress::Unix(path) => Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION),
        EngineAddress::Http(address) => Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION),
        EngineAddress::ByCommand(_) => return Ok(None),
    };
    docker.map(Some).map_err(|error| error.to_string())
}

/// An engine's refusal in its own words.
pub(in crate::source) fn error_text(error: bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message,
        other => other.to_string(),
    }
}

async fn ask(
    docker: &Docker,
    node: &NodeDefinition,
    driver: &Driver,
    before: Option<&EngineReading>,
    clock: &Clock,
) -> Result<EngineReading, bollard::errors::Error> {
    let mut reading = EngineReading { asked: true, ..EngineReading::default() };
    if let Some(known) = before.filter(|known| known.error.is_none() && known.facts.is_some()) {
        docker.ping().await?;
        (reading.facts, reading.native) = (known.facts.clone(), known.native.clone());
    } else {
        let info = docker.info().await?;
        reading.native = native(&info);
        reading.facts = Some(facts(&info, matches!(node.host, Some(EngineAddress::Unix(_)))));
    }
    if *driver == Driver::Container {
        reading.container = container(docker, &node.container(), clock).await?;
    }
    Ok(reading)
}

fn facts(info: &SystemInfo, by_socket: bool) -> EngineFacts {
    let text = |text: &Option<String>| Text::clean(text.as_deref().unwrap_or_default());
    let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
    let mut facts = EngineFacts {
        version: text(&info.server_version),
        cpus: info.ncpu.and_then(|cpus| u32::try_from(cpus).ok()),
        memory: count(info.mem_total),
        running_containers: count(info.containers_running),
        data_root: text(&info.docker_root_dir),
        ..EngineFacts::default()
    };
    // A socket may lead into a virtual machine, whose kernel is another one.
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if by_socket && info.kernel_version.as_deref() == Some(kernel.trim()) {
        machine(&mut facts, info.docker_root_dir.as_deref());
    }
    facts
}

/// What this machine says of itself.
fn machine(facts: &mut EngineFacts, data_root: Option<&str>) {
    if let Some(Ok(disk)) = data_root.map(|root| nix::sys::statvfs::statvfs(Path::new(root))) {
        // The type of these numbers differs between systems.
        #[expect(clippy::useless_conversion, reason = "it is one on this system only")]
        let bytes = |blocks| u64::from(blocks).saturating_mul(u64::from(disk.fragment_size()));
        (facts.disk_free, facts.disk_total) =
            (Some(bytes(disk.blocks_available())), Some(bytes(disk.blocks())));
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    facts.load_percent = load.split_whitespace().next().and_then(hundredths);
    let waiting = |of: &str| {
        let text = std::fs::read_to_string(format!("/proc/pressure/{of}")).ok()?;
        some_avg10(&text)
    };
    let pressure = Pressure { cpu: waiting("cpu"), memory: waiting("memory"), io: waiting("io") };
    facts.pressure = (pressure != Pressure::default()).then_some(pressure);
}

/// Parses a decimal number as hundredths: `1.25` is 125.
fn hundredths(text: &str) -> Option<u32> {
    let number: f64 = text.parse().ok()?;
    (number >= 0.0 && number.is_finite()).then(|| (number * 100.0).round() as u32)
}

/// Of `some avg10=0.12 avg60=… total=…` the first number.
fn some_avg10(text: &str) -> Option<u32> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    hundredths(line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?)
}

/// The platform of an engine's machine; Docker names processors as the kernel does.
fn native(info: &SystemInfo) -> Option<Platform> {
    let os = info.os_type.as_deref().unwrap_or("linux");
    let (architecture, variant) = match info.architecture.as_deref()? {
        "x86_64" => ("amd64", ""),
        "aarch64" => ("arm64", ""),
        "armv7l" => ("arm", "v7"),
        "armv6l" => ("arm", "v6"),
        "i386" | "i686" => ("386", ""),
        other => (other, ""),
    };
    platform(os, architecture, variant)
}

async fn container(
    docker: &Docker,
    name: &str,
    clock: &Clock,
) -> Result<Option<BuilderContainer>, bollard::errors::Error> {
    let found = match docker.inspect_container(name, None).await {
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
        found => found?,
    };
    let mut container = described(name, found);
    if matches!(container.status.as_str(), "running" | "paused") {
        let once = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        // It may end between the two questions, and then has no numbers.
        if let Some(Ok(stats)) = std::pin::pin!(docker.stats(name, Some(once))).next().await {
            container.counters = Some(counters(&stats, clock.now()));
        }
    }
    Ok(Some(container))
}

fn described(name: &str, found: ContainerInspectResponse) -> BuilderContainer {
    let restarts = found.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    let state = found.state.unwrap_or_default();
    let runs = state.running == Some(true);
    let moment = |text: &Option<String>| text.as_deref().and_then(Time::parse);
    BuilderContainer {
        name: name.into(),
        status: state.status.map(|status| Text::clean(status.as_ref())).unwrap_or_default(),
        started: moment(&state.started_at),
        finished: moment(&state.finished_at).filter(|_| !runs),
        exit_code: state.exit_code.filter(|_| !runs),
        restarts,
        oom_killed: state.oom_killed == Some(true),
        counters: None,
    }
}

fn counters(stats: &ContainerStatsResponse, at: Time) -> Counters {
    let memory = stats.memory_stats.as_ref();
    // As `docker stats`: what the kernel would give back is not in use. The name differs between cgroup 1 and 2.
    let cache = |stats: &HashMap<String, u64>| {
        stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")).copied()
    };
    let cache = memory.and_then(|memory| memory.stats.as_ref()).and_then(cache).unwrap_or_default();
    let blocks = stats.blkio_stats.as_ref().and_then(|io| io.io_service_bytes_recursive.as_ref());
    let moved = |op: &str| {
        let entries = blocks?
            .iter()
            .filter(|entry| entry.op.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(op)));
        Some(entries.filter_map(|entry| entry.value).sum())
    };
    let networks = stats.networks.as_ref().filter(|networks| !networks.is_empty());
    Counters {
        at,
        cpu_ns: stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage),
        memory: memory.and_then(|memory| memory.usage).map(|usage| usage.saturating_sub(cache)),
        memory_limit: memory.and_then(|memory| memory.limit),
        disk_read: moved("read"),
        disk_written: moved("write"),
        net_received: networks.map(|all| all.values().filter_map(|one| one.rx_bytes).sum()),
        net_sent: networks.map(|all| all.values().filter_map(|one| one.tx_bytes).sum()),
    }
}

/// The last lines of output of a node's container.
pub(super) async fn logs(node: &NodeDefinition, lines: u32) -> Result<Vec<Line>, String> {
    let docker = node.host.as_ref().map(connect).transpose()?.flatten();
    let Some(docker) = docker else {
        let [option, endpoint] = node.docker_options();
        return Err(format!(
            "the engine can't be asked from here: docker {option} {endpoint} logs {}",
            node.container()
        ));
    };
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
    let name = node.container();
    let mut stream = std::pin::pin!(docker.logs(&name, Some(options)));
    let mut bytes: Vec<u8> = Vec::new();
    let read = async {
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(chunk.map_err(|error| error.to_string())?.as_ref());
        }
        Ok::<(), String>(())
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())))?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<Line> = text.lines().map(Line::plain).collect();
    Ok(all[all.len().saturating_sub(lines as usize)..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pressure_and_load() {
        let text = "some avg10=1.53 avg60=0.87 avg300=0.52 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(some_avg10(text), Some(153));
        assert_eq!(some_avg10("full avg10=0.00"), None);
        assert_eq!((hundredths("0.1"), hundredths("-1"), hundredths("x")), (Some(10), None, None));
    }
}
