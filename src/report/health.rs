//! How the parts around a build are, each in one line: shape, word and the facts that matter most.
//!
//! `● registry ok 3 ms · cache 195 MB, 2 min old`. A part that is not configured says what to add; one that is ill says why
//! before it says anything else; what may no longer be so has its age.

use std::time::Duration;

use super::cache::{CacheSummary, TransferState};
use super::styled::StyledLine;
use super::words::{self, Role, Sign};
use crate::event::builder::{self, BuilderNode, BuilderSnapshot, Execution, Usage};
use crate::event::cluster::{self, ApiState, NodeState, ServiceVerdict};
use crate::event::registry::{CacheState, CacheTag, RegistryState};
use crate::event::{Time, WatchState};
use crate::model::Model;
use crate::model::nodes::{self, NodeRow, NodeSource, Nodes};
use crate::model::part_changes::{PartChange, PartState};

/// Machines that are named in a line.
const MOST_NODES: usize = 3;

/// A part around a build that can be the reason that builds are slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AroundPart {
    /// The image's registry, with the cache tag.
    Registry,
    /// The machines: the cluster's nodes, or the builder's own.
    Nodes,
    Builder,
}

impl AroundPart {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Registry, Self::Nodes, Self::Builder];

    /// Its name in a line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Nodes => "nodes",
            Self::Builder => "builder",
        }
    }

    /// What to write into `layertop.toml` to have it watched.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Registry => "add registry and name to [image] in layertop.toml",
            Self::Nodes => "add [kubernetes] to layertop.toml for the cluster's nodes",
            Self::Builder => "add builder = \"NAME\" to [build] in layertop.toml",
        }
    }
}

/// How a part is, as far as builds are concerned. The order is from well to ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HealthGrade {
    /// It serves builds.
    Well,
    /// It is not looked at.
    Off,
    /// Nothing is known of it yet.
    Unknown,
    /// It serves builds, but badly.
    Poor,
    /// It does not.
    Ill,
}

impl HealthGrade {
    /// Whether something is not as it should be.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Poor | Self::Ill)
    }
}

/// How a part is, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHealth {
    pub part: AroundPart,
    pub grade: HealthGrade,
    /// Shape, word and colour of its state.
    pub sign: Sign,
    /// What there is to say, what matters most first.
    pub facts: Vec<(String, Role)>,
    /// How long ago it was heard of; none where it never was.
    pub age: Option<Duration>,
    /// Whether that is so long ago that it may no longer be so.
    pub stale: bool,
}

impl PartHealth {
    pub fn all(model: &Model, now: Time) -> [Self; 3] {
        AroundPart::ALL.map(|part| Self::of(part, model, now))
    }

    pub fn of(part: AroundPart, model: &Model, now: Time) -> Self {
        match part {
            AroundPart::Registry => registry(model, now),
            AroundPart::Nodes => nodes(model, now),
            AroundPart::Builder => builder(model, now),
        }
    }

    /// `● registry ok 3 ms · cache 195 MB, 2 min old`.
    pub fn line(&self, ascii: bool) -> StyledLine {
        let mut line = StyledLine::new().with(format!("{} ", self.sign.shape(ascii)), self.sign.role);
        line.push(self.part.name(), Role::Strong).push(" ", Role::Plain);
        line.push(self.sign.word, self.sign.role);
        for (i, (fact, role)) in self.facts.iter().enumerate() {
            // How fast the registry answers is a part of how it is.
            let first = i == 0 && self.part == AroundPart::Registry && fact.ends_with("ms");
            let dot = if ascii { " - " } else { " · " };
            line.push(if first { " " } else { dot }, Role::Dim).push(fact.as_str(), *role);
        }
        line
    }

    /// Whether all that its line has to say is known, so that it is worth a line that is never written again.
    pub fn is_whole(&self, model: &Model) -> bool {
        let sized = |node: &BuilderNode| !node.state.is_up() || node.usage.is_some();
        let builder = model.builder().snapshot();
        let sizes = self.part != AroundPart::Builder || builder.is_none_or(|all| all.nodes.iter().all(sized));
        self.is_whole_but_sizes(model)
            && (sizes || matches!(self.grade, HealthGrade::Ill | HealthGrade::Off | HealthGrade::Unknown))
    }

    /// Whether nothing of that is missing but what a builder's cache takes, which may take long to add up.
    pub fn is_whole_but_sizes(&self, model: &Model) -> bool {
        let builder = model.builder().snapshot();
        // Not all can be known without starting it; then there is a reason.
        let unknowable =
            self.part != AroundPart::Registry && builder.is_some_and(|builder| !builder.reason.is_empty());
        let mut up = builder.iter().flat_map(|builder| &builder.nodes).filter(|node| node.state.is_up());
        match (self.grade, self.part) {
            (HealthGrade::Ill | HealthGrade::Off, AroundPart::Nodes) => is_cluster_known(model),
            (HealthGrade::Ill | HealthGrade::Off, _) => true,
            (HealthGrade::Unknown, AroundPart::Nodes) => unknowable && is_cluster_known(model),
            (HealthGrade::Unknown, _) => unknowable,
            (_, AroundPart::Registry) => {
                model.registry().newest().is_some_and(|registry| registry.tags.is_some())
            }
            (_, AroundPart::Nodes) => up.all(|node| node.native.is_some()) && is_cluster_known(model),
            (_, AroundPart::Builder) => true,
        }
    }

    /// Whether nothing is wrong with it, when it has had its time to answer. A part that is configured and has not said how it is is
    /// not well.
    pub fn is_well(&self, model: &Model) -> bool {
        let heard = self.part != AroundPart::Nodes || is_cluster_known(model);
        heard && !self.grade.is_fault() && (self.grade != HealthGrade::Unknown || self.is_whole(model))
    }

    /// A part that has become worse, or is well again, as it was then.
    pub fn of_change(turn: &PartChange) -> Self {
        let (part, state) = match turn.now {
            PartState::Registry(state) => (AroundPart::Registry, of_registry(state)),
            PartState::Cluster(ApiState::Ok) => (AroundPart::Nodes, well("cluster seen")),
            PartState::Cluster(_) => (AroundPart::Nodes, poor("cluster not seen")),
            PartState::Builder(state) => (AroundPart::Builder, of_builder(state)),
        };
        let mut health = Self::new(part, state);
        let role = if health.grade.is_fault() { health.sign.role } else { Role::Plain };
        for (text, role) in [(&turn.reason, role), (&turn.hint, Role::Plain)] {
            if !text.is_empty() {
                health = health.fact(text.as_str(), role);
            }
        }
        if turn.now.is_well() { health.fact("again", Role::Plain) } else { health }
    }

    fn new(part: AroundPart, (grade, sign): (HealthGrade, Sign)) -> Self {
        Self { part, grade, sign, facts: Vec::new(), age: None, stale: false }
    }

    /// A part of which there is no snapshot.
    fn without(part: AroundPart, watched: WatchState) -> Self {
        match watched {
            WatchState::Off => {
                Self::new(part, (HealthGrade::Off, Sign::new("–", "-", "not watched", Role::Dim)))
            }
            WatchState::NotConfigured => {
                let sign = Sign::new("–", "-", "not set", Role::Dim);
                Self::new(part, (HealthGrade::Off, sign)).fact(part.advice(), Role::Plain)
            }
            WatchState::On => {
                Self::new(part, (HealthGrade::Unknown, Sign::new("·", ".", "asking", Role::Dim)))
            }
        }
    }

    fn fact(mut self, fact: impl Into<String>, role: Role) -> Self {
        self.facts.push((fact.into(), role));
        self
    }

    /// It serves builds badly for a reason beside its own state, in a word or two; what is worse stays.
    fn at_least_poor(&mut self, word: &'static str) {
        if !self.grade.is_fault() {
            (self.grade, self.sign) = poor(word);
        }
    }

    /// What is known is so old that it may no longer be so: it is greyed, and its age said.
    fn aged(mut self, age: Option<Duration>, stale: bool, last: &str) -> Self {
        (self.age, self.stale) = (age, stale);
        if !stale {
            return self;
        }
        for (_, role) in &mut self.facts {
            if !matches!(role, Role::Bad | Role::Warn) || !self.grade.is_fault() {
                *role = Role::Dim;
            }
        }
        if !self.grade.is_fault() {
            self.sign.role = Role::Dim;
        }
        match age {
            Some(age) => self.fact(format!("{last} {} ago", words::age(age)), Role::Dim),
            None => self,
        }
    }
}

/// Whether the cluster, where one is watched, has said which nodes it has, or why it does not.
fn is_cluster_known(model: &Model) -> bool {
    let known = model.cluster().snapshot().is_some_and(|cluster| match cluster.state {
        ApiState::Unknown => false,
        ApiState::Ok => !cluster.nodes.is_empty() || cluster.missing(cluster::SnapshotPart::Nodes).is_some(),
        _ => true,
    });
    known || model.watching().cluster != WatchState::On
}

const fn well(word: &'static str) -> (HealthGrade, Sign) {
    (HealthGrade::Well, Sign::new("●", "*", word, Role::Good))
}

const fn unknown(word: &'static str) -> (HealthGrade, Sign) {
    (HealthGrade::Unknown, Sign::new("·", ".", word, Role::Dim))
}

const fn poor(word: &'static str) -> (HealthGrade, Sign) {
    (HealthGrade::Poor, Sign::new("▲", "!", word, Role::Warn))
}

const fn ill(word: &'static str) -> (HealthGrade, Sign) {
    (HealthGrade::Ill, Sign::new("✗", "x", word, Role::Bad))
}

/// How a registry in this state serves builds, and how that is shown.
pub fn of_registry(state: RegistryState) -> (HealthGrade, Sign) {
    match state {
        RegistryState::Unknown => unknown("asking"),
        RegistryState::Ok | RegistryState::NoRepository => well("ok"),
        RegistryState::Slow => poor("slow"),
        RegistryState::Down => ill("down"),
        RegistryState::NotResolved => ill("no address"),
        RegistryState::Unreachable => ill("no route"),
        RegistryState::Silent => ill("silent"),
        RegistryState::Tls => ill("TLS failed"),
        RegistryState::Unauthorized => ill("401 sign in"),
        RegistryState::Forbidden => ill("403 denied"),
        RegistryState::NotRegistry => ill("no registry"),
        RegistryState::Failing => ill("failing"),
    }
}

/// How a builder or a node of one in this state serves builds, and how that is shown.
pub fn of_builder(state: builder::BuilderHealth) -> (HealthGrade, Sign) {
    match state {
        builder::BuilderHealth::Ok => well("running"),
        builder::BuilderHealth::Unknown => unknown("unknown"),
        builder::BuilderHealth::Slow => poor("slow"),
        builder::BuilderHealth::Partial => poor("partial"),
        builder::BuilderHealth::Restarting => poor("restarting"),
        builder::BuilderHealth::Paused => ill("paused"),
        builder::BuilderHealth::Stopped => ill("stopped"),
        builder::BuilderHealth::OomKilled => ill("OOM-killed"),
        builder::BuilderHealth::Gone => ill("gone"),
        builder::BuilderHealth::Unreachable => ill("unreachable"),
        builder::BuilderHealth::EngineDown => ill("engine down"),
        builder::BuilderHealth::EngineSilent => ill("engine hung"),
        builder::BuilderHealth::NoRoute => ill("no route"),
    }
}

/// Whether the build has exported the cache since it was looked at.
fn is_outdated(model: &Model, cache: Option<&CacheTag>) -> bool {
    let before = cache.zip(model.ended()).is_some_and(|(cache, ended)| cache.looked < ended);
    before && CacheSummary::of(model).export.state == TransferState::Ok
}

/// How a machine in this state serves builds, and how that is shown.
pub fn of_node(state: NodeState) -> (HealthGrade, Sign) {
    match state {
        NodeState::Ready => well("ready"),
        NodeState::Unknown => unknown("unknown"),
        NodeState::Cordoned => (HealthGrade::Well, Sign::new("○", "o", "cordoned", Role::Dim)),
        NodeState::Strained => poor("strained"),
        NodeState::NotReady => ill("not ready"),
        NodeState::Lost => ill("lost"),
    }
}

fn registry(model: &Model, now: Time) -> PartHealth {
    let part = AroundPart::Registry;
    let Some(registry) = model.registry().newest() else {
        return PartHealth::without(part, model.watching().registry);
    };
    let mut health = PartHealth::new(part, of_registry(registry.state));
    let answers = registry.answered.is_some_and(|answered| answered >= registry.asked);
    if let Some(latency) = registry.latency.filter(|_| answers) {
        health = health.fact(format!("{} ms", latency.last_us.div_ceil(1000)), Role::Plain);
    }
    let outdated = is_outdated(model, registry.cache.as_ref());
    if !(registry.reason.is_empty() || outdated && registry.state == RegistryState::NoRepository) {
        let role = if health.grade.is_fault() { health.sign.role } else { Role::Plain };
        health = health.fact(registry.reason.as_str(), role);
    }
    if outdated {
        health = health.fact("cache just exported", Role::Plain);
    } else if let Some(cache) = &registry.cache {
        let (grade, fact, role) = cache_fact(cache, now);
        health = health.fact(fact, role);
        if grade.is_fault() {
            health.at_least_poor("cache unusable");
        }
    }
    for (fact, role) in service_facts(model, registry.state) {
        health = health.fact(fact, role);
        if role == Role::Warn {
            health.at_least_poor(service_word(model));
        }
    }
    let stale = model.registry().is_stale(now) && registry.asked != Time::default();
    health.aged(model.registry().age(now), stale, "last answer")
}

/// What the cluster knows of a registry that does not serve from here, and the command that would help.
fn service_facts(model: &Model, state: RegistryState) -> Vec<(String, Role)> {
    let Some(service) = model.cluster().snapshot().and_then(|cluster| cluster.registry.as_ref()) else {
        return Vec::new();
    };
    let mut facts = Vec::new();
    if service.verdict > ServiceVerdict::Unknown && !service.reason.is_empty() {
        facts.push((service.reason.to_string(), Role::Warn));
    }
    let away =
        matches!(state, RegistryState::Unreachable | RegistryState::NotResolved | RegistryState::Silent);
    if service.verdict == ServiceVerdict::Ok && away && !service.port_forward.is_empty() {
        facts.push((service.port_forward.to_string(), Role::Plain));
    } else if service.verdict > ServiceVerdict::Unknown && !service.hint.is_empty() {
        facts.push((service.hint.to_string(), Role::Plain));
    }
    facts
}

/// What is the matter with the registry's Service, in two words.
fn service_word(model: &Model) -> &'static str {
    let service = model.cluster().snapshot().and_then(|cluster| cluster.registry.as_ref());
    match service.map_or(ServiceVerdict::Unknown, |service| service.verdict) {
        ServiceVerdict::Ok => "ok",
        ServiceVerdict::Unknown => "not known",
        ServiceVerdict::Degraded | ServiceVerdict::PodNotReady => "pod not ready",
        ServiceVerdict::NoPods => "no pods",
        ServiceVerdict::NoEndpoints => "no endpoints",
        ServiceVerdict::ServiceMissing => "no Service",
    }
}

/// `cache 195 MB, 2 min old`.
fn cache_fact(cache: &CacheTag, now: Time) -> (HealthGrade, String, Role) {
    let name = cache.name.as_str();
    match cache.state {
        CacheState::Unknown => (HealthGrade::Well, "cache not looked at yet".to_owned(), Role::Dim),
        CacheState::Present => {
            let age = cache.newest.map(|newest| now.since(newest));
            let age = age.map_or(String::new(), |age| match words::age(age).as_str() {
                "now" => ", new".to_owned(),
                age => format!(", {age} old"),
            });
            (HealthGrade::Well, format!("cache {}{age}", words::bytes(cache.bytes)), Role::Plain)
        }
        CacheState::Absent => (HealthGrade::Well, format!("no cache {name} yet"), Role::Plain),
        CacheState::TooLarge => {
            let size = words::bytes(cache.config_bytes);
            (HealthGrade::Poor, format!("cache can't be imported: config {size}, over 1 MiB"), Role::Warn)
        }
        CacheState::NotCache => (HealthGrade::Poor, format!("{name} is no build cache"), Role::Warn),
        CacheState::Unreadable => (HealthGrade::Poor, format!("cache {name} can't be read"), Role::Warn),
    }
}

fn nodes(model: &Model, now: Time) -> PartHealth {
    let part = AroundPart::Nodes;
    let watching = model.watching();
    if model.builder().snapshot().is_none() && model.cluster().snapshot().is_none() {
        let on = [watching.cluster, watching.builder].contains(&WatchState::On);
        return PartHealth::without(part, if on { WatchState::On } else { watching.builder });
    }
    let nodes = nodes::nodes(model);
    let mut health = machines(&nodes, model);
    for (grade, fact, role) in platform_facts(&nodes) {
        health = health.fact(fact, role);
        if grade == HealthGrade::Ill {
            (health.grade, health.sign) = ill("incomplete");
        }
    }
    if let Some(cluster) = model.cluster().snapshot()
        && !matches!(cluster.state, ApiState::Ok | ApiState::Unknown)
    {
        health.at_least_poor("cluster not seen");
        health = health.fact(format!("cluster: {}", cluster.reason), Role::Warn);
    }
    if !is_cluster_known(model) {
        health = health.fact("cluster: no answer yet", Role::Plain);
    }
    let (builder, cluster) = (model.builder(), model.cluster());
    let stale = builder.is_stale(now) || cluster.is_stale(now);
    let ages = [(builder.age(now), builder.is_stale(now)), (cluster.age(now), cluster.is_stale(now))];
    let age = ages.into_iter().filter(|(_, old)| *old || !stale).filter_map(|(age, _)| age).max();
    health.aged(age, stale, "seen")
}

/// How many machines are up, and which are not.
fn machines(nodes: &Nodes, model: &Model) -> PartHealth {
    let part = AroundPart::Nodes;
    let all = nodes.rows.len();
    let up = nodes.rows.iter().filter(|row| row.state.is_up()).count();
    let sick: Vec<&NodeRow> = nodes.unhealthy().collect();
    let state = match (all, sick.is_empty()) {
        (0, _) => unknown("none known"),
        (_, true) if up == all => well("ready"),
        (_, true) => unknown("unknown"),
        (_, false) if up == all => poor("strained"),
        (_, false) if up > 0 => poor("not ready"),
        (_, false) => ill("not ready"),
    };
    let mut health = PartHealth::new(part, state);
    for fact in counted(nodes) {
        health = health.fact(fact, Role::Plain);
    }
    let role = health.sign.role;
    for row in sick.iter().take(MOST_NODES) {
        let what = of_node(row.state).1.word;
        let untold = row.reason.is_empty() || sick.len() > 1 || is_of_builder(model, row);
        let why = if untold { String::new() } else { format!(": {}", row.reason) };
        health = health.fact(format!("{} {what}{why}", row.name), role);
    }
    if sick.len() > MOST_NODES {
        health = health.fact(format!("{} more", sick.len() - MOST_NODES), role);
    }
    health
}

/// Whether what is wrong with a machine is what is wrong with the builder, whose line says it: it has no other.
pub fn is_of_builder(model: &Model, row: &NodeRow) -> bool {
    let only = |builder: &BuilderSnapshot| builder.nodes.len() == 1 && !builder.reason.is_empty();
    row.source == NodeSource::Builder && model.builder().snapshot().is_some_and(only)
}

/// `3 of 3 up`; with nodes of both the cluster and the builder `cluster 2 of 3 up` and `builder 1 of 1 up`: they are not the same
/// machines. A node of which nothing is known yet is neither up nor down.
fn counted(nodes: &Nodes) -> Vec<String> {
    let of = |source: NodeSource| nodes.rows.iter().filter(move |row| row.source == source);
    let sources = [(NodeSource::Kubernetes, "cluster "), (NodeSource::Builder, "builder ")];
    let both = sources.iter().all(|(source, _)| of(*source).next().is_some());
    let mut facts = Vec::new();
    for (source, name) in sources {
        let name = if both { name } else { "" };
        let open = of(source).filter(|row| row.state == NodeState::Unknown).count();
        let known = of(source).count() - open;
        let up = of(source).filter(|row| row.state.is_up()).count();
        let mut parts = Vec::new();
        if known > 0 {
            parts.push(format!("{up} of {known} up"));
        }
        if open > 0 {
            parts.push(format!("{open} not known yet"));
        }
        if !parts.is_empty() {
            facts.push(format!("{name}{}", parts.join(", ")));
        }
    }
    facts
}

/// Platforms that a build waits long for, and those that it can't have at all.
fn platform_facts(nodes: &Nodes) -> impl Iterator<Item = (HealthGrade, String, Role)> {
    nodes.platforms.iter().filter_map(|place| {
        let platform = &place.platform;
        match (place.execution, place.place()) {
            (Execution::Emulated, Some(node)) => {
                Some((HealthGrade::Well, format!("{platform} emulated on {node}"), Role::Warn))
            }
            (Execution::Emulated, None) => {
                Some((HealthGrade::Well, format!("{platform} emulated"), Role::Warn))
            }
            (Execution::Unsupported, _) => {
                Some((HealthGrade::Ill, format!("no node builds {platform}"), Role::Bad))
            }
            (Execution::Native | Execution::Unknown, _) => None,
        }
    })
}

fn builder(model: &Model, now: Time) -> PartHealth {
    let Some(snapshot) = model.builder().snapshot() else {
        return PartHealth::without(AroundPart::Builder, model.watching().builder);
    };
    let mut health = PartHealth::new(AroundPart::Builder, of_builder(snapshot.state));
    if !snapshot.reason.is_empty() {
        let role = if health.grade.is_fault() { health.sign.role } else { Role::Plain };
        health = health.fact(snapshot.reason.as_str(), role);
    }
    if !snapshot.hint.is_empty() {
        health = health.fact(snapshot.hint.as_str(), Role::Plain);
    }
    if let Some(version) = version(snapshot) {
        health = health.fact(format!("BuildKit {version}"), Role::Plain);
    }
    if let Some(usage) = usage(snapshot) {
        health = health.fact(usage, Role::Plain);
    }
    for told in snapshot.nodes.iter().filter_map(|node| slow_listing(node, now)) {
        health = health.fact(told, Role::Warn);
    }
    let active: usize = snapshot.nodes.iter().filter_map(|node| node.active.as_ref()).map(Vec::len).sum();
    if active > 0 {
        health = health.fact(words::count(active, "active build"), Role::Plain);
    }
    health.aged(model.builder().age(now), model.builder().is_stale(now), "seen")
}

/// The version of the first node that says one. Distributions build `BuildKit` as `v0.0.0+unknown`.
fn version(snapshot: &BuilderSnapshot) -> Option<&str> {
    let versions = snapshot.nodes.iter().filter_map(|node| node.buildkit_version.as_ref());
    let mut known = versions.map(crate::event::Text::as_str).filter(|version| !version.starts_with("v0.0.0"));
    known.next().map(|version| version.trim_start_matches('v'))
}

/// `cache 41 of 60 GB`; the nodes' sum, against the sum of what garbage collection allows each.
fn usage(snapshot: &BuilderSnapshot) -> Option<String> {
    let used: Vec<(&BuilderNode, &Usage)> =
        snapshot.nodes.iter().filter_map(|node| Some((node, node.usage.as_ref()?))).collect();
    let bytes: u64 = used.iter().map(|(_, usage)| usage.total.bytes).sum();
    // One node without a limit makes the sum boundless.
    let limit: Option<u64> = used.iter().map(|(node, _)| limit(node)).sum();
    let shown = words::bytes(bytes);
    (!used.is_empty()).then(|| match limit.map(words::bytes) {
        Some(limit) => match (shown.split_once(' '), limit.split_once(' ')) {
            (Some((number, unit)), Some((_, same))) if unit == same => format!("cache {number} of {limit}"),
            _ => format!("cache {shown} of {limit}"),
        },
        None => format!("cache {shown}"),
    })
}

/// A listing of records that takes longer is worth a word.
const SLOW_LISTING: Duration = Duration::from_secs(1);

/// `lists its records in 5.0 s`, `listing its records for 12.0 s`: of a builder that is slow to tell what its cache holds. It is
/// asked more seldom then.
pub fn slow_listing(node: &BuilderNode, now: Time) -> Option<String> {
    let waits = node.listing_asked.map(|asked| now.since(asked)).filter(|waits| *waits > SLOW_LISTING);
    let took = node.listing_us.map(Duration::from_micros).filter(|took| *took > SLOW_LISTING);
    match (waits, took) {
        (Some(waits), _) => Some(format!("listing its records for {}", words::duration(waits))),
        (None, Some(took)) => Some(format!("lists its records in {}", words::duration(took))),
        (None, None) => None,
    }
}

/// What garbage collection lets the cache of a node grow to: its last rule is the one that is for everything.
pub fn limit(node: &BuilderNode) -> Option<u64> {
    let rule = node.gc.iter().rev().find(|rule| rule.filters.is_empty())?;
    (rule.max_used > 0).then_some(rule.max_used)
}

#[cfg(test)]
mod tests;
