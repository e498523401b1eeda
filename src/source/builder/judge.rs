//! What the readings of a node amount to: how it is, in words, with what to do; and who builds which platform. Pure.

use std::collections::BTreeMap;

use crate::event::builder::{
    BuilderContainer, BuilderHealth, BuilderNode, BuilderSnapshot, Execution, PlatformPlace,
};
use crate::event::cluster::{ClusterPod, ContainerEnd, PodState};
use crate::event::{Platform, Text};
use crate::source::{buildkit, kubernetes};

use super::engine;
use super::instance::{BuilderDefinition, Driver, EngineAddress, NodeDefinition, PodLocation};
use super::pods;

/// What takes longer to answer is slow: an idle `BuildKit` takes a few milliseconds.
const SLOW_US: u64 = 1_000_000;

/// The newest readings of a node.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeReadings {
    pub(super) engine: Option<engine::EngineReading>,
    pub(super) kit: Option<buildkit::BuildkitReading>,
}

impl NodeReadings {
    /// Whether there is nothing more to wait for: `BuildKit` has answered or failed, or can't be asked.
    pub(super) fn is_complete(&self, driver: &Driver) -> bool {
        let sized = self.kit.as_ref().is_none_or(|kit| kit.latency_us.is_none() || kit.usage.is_some());
        sized && self.has_answered(driver)
    }

    /// Whether `BuildKit` has answered or failed, or can't be asked.
    pub(super) fn has_answered(&self, driver: &Driver) -> bool {
        let heard = self.kit.as_ref().is_some_and(|kit| kit.error.is_some() || kit.latency_us.is_some());
        let futile = self.engine.as_ref().is_some_and(|engine| !engine.may_dial(driver));
        matches!(driver, Driver::Other(_)) || self.engine.is_some() && (heard || futile)
    }
}

/// A state, why, and what to do.
type HealthVerdict = (BuilderHealth, String, String);

/// Puts a node together.
pub(super) fn node(
    definition: &BuilderDefinition,
    node: &NodeDefinition,
    known: &NodeReadings,
) -> BuilderNode {
    let (state, reason, hint) = verdict(definition, node, known);
    let (engine, kit) = (known.engine.clone().unwrap_or_default(), known.kit.clone().unwrap_or_default());
    let platforms = if node.platforms.is_empty() { kit.platforms.clone() } else { node.platforms.clone() };
    BuilderNode {
        name: Text::clean(&node.name),
        endpoint: Text::clean(&node.endpoint),
        state,
        reason: reason.into(),
        hint: hint.into(),
        latency_us: kit.latency_us.filter(|_| state.is_up()),
        buildkit_version: kit.version,
        platforms,
        // A BuildKit lists its own platform first.
        native: engine.native.or_else(|| kit.platforms.first().cloned()),
        gc: kit.gc,
        engine: engine.facts,
        container: engine.container,
        usage: kit.usage,
        listing_us: kit.listing_took.and_then(|took| u64::try_from(took.as_micros()).ok()),
        listing_asked: kit.listing_asked,
        active: kit.active.filter(|_| state.is_up()),
    }
}

fn verdict(definition: &BuilderDefinition, node: &NodeDefinition, known: &NodeReadings) -> HealthVerdict {
    if let Driver::Other(driver) = &definition.driver {
        let reason = format!("builders of the {driver} driver are not looked at here: it would start them");
        return (BuilderHealth::Unknown, reason, format!("docker buildx inspect {}", definition.name));
    }
    let Some(engine) = &known.engine else { return (BuilderHealth::Unknown, String::new(), String::new()) };
    if let Some(error) = &engine.error {
        return if let Some(place) = &node.cluster {
            cluster_down(place, &error.detail)
        } else {
            engine_down(node, error)
        };
    }
    if let Some(place) = &node.cluster
        && let Some(verdict) = pod(definition, place, engine.pod.as_ref())
    {
        return verdict;
    }
    if engine.asked && definition.driver == Driver::Container {
        let verdict = match &engine.container {
            None => Some(gone(definition, node)),
            Some(container) => ill(definition, node, container),
        };
        if let Some(verdict) = verdict {
            return verdict;
        }
    }
    let Some(kit) = &known.kit else { return (BuilderHealth::Unknown, String::new(), String::new()) };
    if let Some(error) = &kit.error {
        return unreachable(definition, node, engine, error);
    }
    match kit.latency_us {
        None => (BuilderHealth::Unknown, String::new(), String::new()),
        Some(latency) if latency > SLOW_US => {
            let reason = format!("BuildKit took {:.1} s to answer", latency as f64 / 1e6);
            (BuilderHealth::Slow, reason, "look at the load and the disks of its machine".to_owned())
        }
        Some(_) => {
            let killed = engine.container.as_ref().is_some_and(|container| container.oom_killed);
            let reason = if killed { "a step was killed for want of memory" } else { "" };
            let hint = if killed { more_memory(definition) } else { String::new() };
            (BuilderHealth::Ok, reason.to_owned(), hint)
        }
    }
}

fn bootstrap(definition: &BuilderDefinition) -> String {
    format!("docker buildx inspect {} --bootstrap", definition.name)
}

fn more_memory(definition: &BuilderDefinition) -> String {
    format!(
        "build fewer platforms at once, or make {} anew with more: --driver-opt memory=…",
        definition.name
    )
}

/// An engine that is not there, one that hangs, and one that there is no way to: each is mended by something else.
fn engine_down(node: &NodeDefinition, error: &engine::EngineFault) -> HealthVerdict {
    let host = node.host.as_ref().map(EngineAddress::shown).unwrap_or_default();
    let (here, detail) = (matches!(node.host, Some(EngineAddress::Unix(_))), &error.detail);
    let machine = host.split_once("://").map_or(host.as_str(), |(_, at)| at);
    let machine = machine.rsplit_once(':').map_or(machine, |(machine, _)| machine);
    match error.kind {
        engine::EngineFaultKind::NotThere => {
            let start = if here { String::new() } else { format!(" on {machine}") };
            let reason = format!("the Docker engine at {host} does not run: {detail}");
            (BuilderHealth::EngineDown, reason, format!("sudo systemctl start docker{start}"))
        }
        engine::EngineFaultKind::Silent => {
            let restart = if here { String::new() } else { format!(" on {machine}") };
            let reason = format!(
                "the Docker engine at {host} takes the connection and hangs, or is stopped: {detail}"
            );
            (BuilderHealth::EngineSilent, reason, format!("sudo systemctl restart docker{restart}"))
        }
        engine::EngineFaultKind::NoRoute => {
            let reason = format!("there is no way to the Docker engine at {host}: {detail}");
            (BuilderHealth::NoRoute, reason, format!("check the network: ping {machine}"))
        }
        engine::EngineFaultKind::Denied => {
            let reason = format!("the Docker engine at {host} may not be used by this account: {detail}");
            (BuilderHealth::EngineDown, reason, "sudo usermod -aG docker $USER, and log in again".to_owned())
        }
        engine::EngineFaultKind::Failing => {
            let reason = format!("the Docker engine at {host} does not answer: {detail}");
            (BuilderHealth::EngineDown, reason, format!("{} info", node.docker()))
        }
    }
}

fn gone(definition: &BuilderDefinition, node: &NodeDefinition) -> HealthVerdict {
    let reason = format!("there is no container {}: never started, or removed", node.container());
    (BuilderHealth::Gone, reason, bootstrap(definition))
}

fn kubectl(place: &PodLocation) -> String {
    kubernetes::kubectl(&pods::settings(place, &BTreeMap::new()), place.namespace.as_deref())
}

fn cluster_down(place: &PodLocation, error: &str) -> HealthVerdict {
    let reason = format!("the cluster of its pods can't be asked: {error}");
    (BuilderHealth::EngineDown, reason, format!("{} get pods -l app={}", kubectl(place), place.deployment))
}

/// What is wrong with a node's pod that is not simply ready.
fn pod(
    definition: &BuilderDefinition,
    place: &PodLocation,
    pod: Option<&ClusterPod>,
) -> Option<HealthVerdict> {
    let Some(pod) = pod else {
        let reason =
            format!("the Deployment {} has no pod: never started, scaled down, or removed", place.deployment);
        return Some((BuilderHealth::Gone, reason, bootstrap(definition)));
    };
    let detail = format!("{}: {}", pod.name, pod.reason);
    let look = format!("{} describe pod {}", kubectl(place), pod.name);
    let killed = pod.last.as_ref().is_some_and(ContainerEnd::is_oom);
    match pod.state {
        PodState::Ready => None,
        PodState::CrashLooping | PodState::NotReady if killed => {
            let reason = format!(
                "{} was killed for want of memory, and restarted {} times so far",
                pod.name, pod.restarts
            );
            Some((BuilderHealth::OomKilled, reason, more_memory(definition)))
        }
        PodState::CrashLooping => Some((
            BuilderHealth::Restarting,
            detail,
            format!("{} logs {} --previous", kubectl(place), pod.name),
        )),
        PodState::NotReady | PodState::Unknown => Some((BuilderHealth::Unreachable, detail, look)),
        PodState::Pending | PodState::Terminating | PodState::Failed | PodState::Succeeded => {
            Some((BuilderHealth::Stopped, detail, look))
        }
    }
}

/// What is wrong with a container that is not simply running.
fn ill(
    definition: &BuilderDefinition,
    node: &NodeDefinition,
    container: &BuilderContainer,
) -> Option<HealthVerdict> {
    let name = &container.name;
    let code = container.exit_code.unwrap_or_default();
    match container.status.as_str() {
        "running" => None,
        "paused" => Some((
            BuilderHealth::Paused,
            format!("{name} is paused"),
            format!("{} unpause {name}", node.docker()),
        )),
        "restarting" => Some((
            BuilderHealth::Restarting,
            format!(
                "{name} ended with exit code {code} and is restarted, {} times so far",
                container.restarts
            ),
            format!("{} logs --tail 20 {name}", node.docker()),
        )),
        // The engine lists it for a moment longer.
        "removing" => Some(gone(definition, node)),
        _ if container.oom_killed => {
            let reason = format!("{name} was killed for want of memory");
            Some((
                BuilderHealth::OomKilled,
                reason,
                format!("{}; {}", bootstrap(definition), more_memory(definition)),
            ))
        }
        "created" => {
            Some((BuilderHealth::Stopped, format!("{name} was never started"), bootstrap(definition)))
        }
        _ => Some((
            BuilderHealth::Stopped,
            format!("{name} has ended with exit code {code}"),
            bootstrap(definition),
        )),
    }
}

/// `BuildKit` does not answer. Where the engine can't be asked from here, its own words tell why.
fn unreachable(
    definition: &BuilderDefinition,
    node: &NodeDefinition,
    engine: &engine::EngineReading,
    error: &str,
) -> HealthVerdict {
    let says = |detail: &str| error.contains(detail);
    if !engine.asked && definition.driver != Driver::Remote {
        if says("No such container") {
            return gone(definition, node);
        }
        if says("is paused") {
            let name = node.container();
            return (
                BuilderHealth::Paused,
                format!("{name} is paused"),
                format!("{} unpause {name}", node.docker()),
            );
        }
        if says("is not running") {
            return (
                BuilderHealth::Stopped,
                format!("{} does not run", node.container()),
                bootstrap(definition),
            );
        }
        if says("Cannot connect to the Docker daemon") || says("error during connect") {
            return engine_down(node, &engine::EngineFault::failing(error));
        }
    }
    let hint = match definition.driver {
        Driver::Container => format!("{} logs --tail 20 {}", node.docker(), node.container()),
        _ => format!("docker buildx inspect {}", definition.name),
    };
    (BuilderHealth::Unreachable, format!("BuildKit does not answer: {error}"), hint)
}

/// Puts a builder together of its nodes.
pub(super) fn builder(
    definition: &BuilderDefinition,
    known: &[NodeReadings],
    wanted: &[Platform],
) -> BuilderSnapshot {
    let nodes: Vec<BuilderNode> =
        definition.nodes.iter().zip(known).map(|(one, known)| node(definition, one, known)).collect();
    let (state, reason, hint) = over_all(definition, &nodes);
    BuilderSnapshot {
        name: Text::clean(&definition.name),
        driver: Text::clean(definition.driver.name()),
        state,
        reason,
        hint,
        platforms: places(definition, &nodes, known, wanted),
        nodes,
    }
}

fn over_all(definition: &BuilderDefinition, nodes: &[BuilderNode]) -> (BuilderHealth, Text, Text) {
    if nodes.is_empty() {
        let reason = format!("{} has no node", definition.name);
        let hint = format!("docker buildx create --append --name {}", definition.name);
        return (BuilderHealth::Gone, reason.into(), hint.into());
    }
    // A node that was not heard yet is no reason for alarm.
    let heard = nodes.iter().filter(|node| node.state != BuilderHealth::Unknown || !node.reason.is_empty());
    let heard: Vec<&BuilderNode> = heard.collect();
    let Some(worst) = heard.iter().max_by_key(|node| node.state) else {
        return (BuilderHealth::Unknown, Text::default(), Text::default());
    };
    let up = heard.iter().filter(|node| node.state.is_up()).count();
    if nodes.len() == 1 || up == heard.len() {
        return (worst.state, worst.reason.clone(), worst.hint.clone());
    }
    let reason = format!("{up} of {} nodes answer; {}: {}", nodes.len(), worst.name, worst.reason);
    let state = if up > 0 { BuilderHealth::Partial } else { worst.state };
    (state, reason.into(), worst.hint.clone())
}

/// Who builds what, as buildx decides: a node that was given the platform by hand, else one whose `BuildKit` has it, in
/// their order; else the first one, which will fail to run anything.
fn places(
    definition: &BuilderDefinition,
    nodes: &[BuilderNode],
    known: &[NodeReadings],
    wanted: &[Platform],
) -> Vec<PlatformPlace> {
    let has = |platforms: &[Platform], platform: &Platform| platforms.iter().any(|one| same(one, platform));
    // What a node's BuildKit found by itself; empty: it was not heard.
    let found =
        |i: usize| known.get(i).and_then(|known| known.kit.as_ref()).map_or(&[][..], |kit| &kit.platforms);
    let place = |platform: &Platform| {
        let by_hand = definition.nodes.iter().position(|node| has(&node.platforms, platform));
        let chosen = by_hand.or_else(|| (0..nodes.len()).find(|i| has(found(*i), platform)));
        let all_heard = (0..nodes.len()).all(|i| !found(i).is_empty());
        // The first node is taken for want of a better one, once all have been heard.
        let node = chosen.or((all_heard && !nodes.is_empty()).then_some(0));
        let execution = match node.and_then(|i| Some((i, nodes.get(i)?))) {
            Some((i, node)) if found(i).is_empty() || has(found(i), platform) => {
                execution(platform, node.native.as_ref())
            }
            Some(_) => Execution::Unsupported,
            None => Execution::Unknown,
        };
        let node = node.and_then(|i| nodes.get(i)).map(|node| node.name.clone());
        PlatformPlace { platform: platform.clone(), node, execution }
    };
    // A build without `--platform` is one for the first node's machine.
    let natural = nodes.first().and_then(|node| node.native.clone()).filter(|_| wanted.is_empty());
    wanted.iter().chain(&natural).map(place).collect()
}

/// Whether two platforms are equal: `linux/arm64` is `linux/arm64/v8`.
fn same(one: &Platform, other: &Platform) -> bool {
    let plain = |platform: &Platform| {
        let text = platform.as_str();
        // BuildKit shortens a long list of variants: `linux/amd64(+4)`.
        let text = text.split('(').next().unwrap_or_default();
        text.strip_suffix("/v8").filter(|rest| rest.ends_with("arm64")).unwrap_or(text).to_owned()
    };
    plain(one) == plain(other)
}

/// Variants of a processor are its own, and so are its 32-bit programs.
fn execution(platform: &Platform, native: Option<&Platform>) -> Execution {
    let Some(native) = native else { return Execution::Unknown };
    let architecture = |platform: &Platform| {
        let mut parts = platform.as_str().split(['/', '(']);
        (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default().to_owned())
    };
    let ((os, wanted), (own_os, own)) = (architecture(platform), architecture(native));
    let compatible =
        wanted == own || matches!((own.as_str(), wanted.as_str()), ("amd64", "386") | ("arm64", "arm"));
    if os == own_os && compatible { Execution::Native } else { Execution::Emulated }
}

#[cfg(test)]
mod tests;
