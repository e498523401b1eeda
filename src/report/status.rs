//! `layertop status` as text: the three parts, each with what there is to know of it, in lines that fit.

use super::health::{self, AroundPart, PartHealth};
use super::styled::StyledLine;
use super::words::{self, Role};
use crate::event::builder::{BuilderNode, Execution, UsageKind};
use crate::event::cluster;
use crate::event::registry::{AuthMode, CacheKind, CacheTag, MOST_CONFIG_BYTES, RegistrySnapshot, Tag};
use crate::event::{Text, Time};
use crate::model::nodes::{NodeRow, nodes};
use crate::model::{Model, RegistryHealth};

/// Where the facts begin: behind the longest name of a part.
const INDENT: usize = 10;
/// Tags, nodes, and builds that are named.
const MOST_TAGS: usize = 5;
const MOST_NODES: usize = 12;
const MOST_BUILDS: usize = 3;

/// All three parts, in lines of at most `columns` columns. A word that is longer is left whole, so that it can be copied.
pub fn lines(model: &Model, now: Time, columns: usize, ascii: bool) -> Vec<StyledLine> {
    let mut page = StatusPage { lines: Vec::new(), columns, ascii };
    for health in PartHealth::all(model, now) {
        page.head(&health);
        match health.part {
            AroundPart::Registry => registry(&mut page, model.registry(), now),
            AroundPart::Nodes => machines(&mut page, model),
            AroundPart::Builder => builder(&mut page, model, now),
        }
        if let (AroundPart::Registry, Some(service)) =
            (health.part, model.cluster().snapshot().and_then(|cluster| cluster.registry.as_ref()))
        {
            for pod in &service.pods {
                let state = format!("pod {} {}", pod.name, pod.phase);
                let ready = format!("{} of {} ready", pod.ready, pod.containers);
                let on = pod.node.as_ref().map(|node| format!("on {node}"));
                let restarts = (pod.restarts > 0).then(|| words::count(pod.restarts as usize, "restart"));
                let why = Some(pod.reason.to_string()).filter(|why| !why.is_empty());
                page.facts([Some(state), Some(ready), on, restarts, why].into_iter().flatten());
            }
        }
    }
    page.lines
}

struct StatusPage {
    lines: Vec<StyledLine>,
    columns: usize,
    ascii: bool,
}

impl StatusPage {
    /// The name and state of a part, and what matters most of it.
    fn head(&mut self, health: &PartHealth) {
        let name = words::pad_right(health.part.name(), INDENT);
        let mut line = StyledLine::new().with(name, Role::Strong);
        line.push(format!("{} {}", health.sign.shape(self.ascii), health.sign.word), health.sign.role);
        self.wrap(line, health.facts.iter().cloned(), true);
    }

    /// A line below it, or as many as it takes.
    fn facts(&mut self, facts: impl IntoIterator<Item = String>) {
        let line = StyledLine::new().with(" ".repeat(INDENT), Role::Plain);
        self.wrap(line, facts.into_iter().map(|fact| (fact, Role::Plain)), false);
    }

    /// Puts facts behind what a line begins with; what does not fit goes to a line of its own, broken at spaces.
    fn wrap(
        &mut self,
        begun: StyledLine,
        facts: impl IntoIterator<Item = (String, Role)>,
        mut follows: bool,
    ) {
        let mut line = begun;
        let dot = if self.ascii { " - " } else { " · " };
        for (fact, role) in facts {
            if follows {
                let wanted = line.width() + words::width(dot) + words::width(&fact);
                if wanted <= self.columns {
                    line.push(dot, Role::Dim).push(fact, role);
                    continue;
                }
                self.lines.push(std::mem::take(&mut line));
                line.push(" ".repeat(INDENT), Role::Plain);
            }
            follows = true;
            let mut first = true;
            for word in fact.split(' ') {
                if !first && line.width() + 1 + words::width(word) > self.columns {
                    self.lines.push(std::mem::take(&mut line));
                    line.push(" ".repeat(INDENT), Role::Plain);
                    first = true;
                }
                line.push(format!("{}{word}", if first { "" } else { " " }), role);
                first = false;
            }
        }
        if follows {
            self.lines.push(line);
        }
    }
}

fn registry(page: &mut StatusPage, health: &RegistryHealth, now: Time) {
    let Some(registry) = health.newest() else { return };
    page.facts(address(registry));
    if let Some(cache) = &registry.cache {
        page.facts(cache_facts(cache));
    }
    if let Some(tags) = &registry.tags {
        let images = || tags.list.iter().filter(|tag| !tag.cache);
        let shown: Vec<String> = images().take(MOST_TAGS).map(|tag| tag_fact(tag, now)).collect();
        let more = if tags.more { "+" } else { "" };
        let count = format!("{}{more} tag{}", tags.total, if tags.total == 1 { "" } else { "s" });
        page.facts(std::iter::once(count).chain(shown));
    }
}

fn address(registry: &RegistrySnapshot) -> Vec<String> {
    let mut facts = vec![format!("{} {}", registry.url, registry.repository)];
    if let Some(latency) = registry.latency {
        let ms = |micros: u64| micros.div_ceil(1000);
        facts.push(format!("p50 {} ms, p95 {} ms", ms(latency.p50_us), ms(latency.p95_us)));
    }
    facts.extend(registry.auth.as_ref().map(|auth| match (auth.mode, auth.signed_in) {
        (AuthMode::None, _) => "no sign-in".to_owned(),
        (AuthMode::Basic, true) => "signed in (basic)".to_owned(),
        (AuthMode::Bearer, true) => "signed in (token)".to_owned(),
        (AuthMode::Basic | AuthMode::Bearer, false) => "not signed in".to_owned(),
    }));
    facts.extend(registry.tls.as_ref().map(ToString::to_string));
    facts
}

fn cache_facts(cache: &CacheTag) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(kind) = cache.kind {
        let kind = match kind {
            CacheKind::ImageManifest => "image manifest",
            CacheKind::Index => "index",
        };
        facts.push(format!(
            "cache tag {}: {kind}, {}",
            cache.name,
            words::count(cache.blobs as usize, "blob")
        ));
        facts.push(format!(
            "config {} of {}",
            words::bytes(cache.config_bytes),
            words::bytes(MOST_CONFIG_BYTES)
        ));
    }
    if !cache.reason.is_empty() {
        facts.push(cache.reason.to_string());
    }
    let held = |held: &crate::event::registry::CachePlatform| {
        format!("{} {} of {} layers", held.platform, held.held, held.layers)
    };
    facts.extend(cache.platforms.iter().map(held));
    facts
}

fn tag_fact(tag: &Tag, now: Time) -> String {
    let mut parts = vec![tag.name.to_string()];
    parts.extend(tag.bytes.map(words::bytes));
    parts.extend(tag.created.map(|created| match words::age(now.since(created)).as_str() {
        "now" => "new".to_owned(),
        age => format!("{age} old"),
    }));
    if tag.building {
        parts.push("(this build's)".to_owned());
    }
    parts.join(" ")
}

fn machines(page: &mut StatusPage, model: &Model) {
    let nodes = nodes(model);
    // The ill ones first: the others are seldom what somebody looks for.
    let mut rows: Vec<&NodeRow> = nodes.rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.state));
    for row in rows.iter().take(MOST_NODES) {
        let sign = health::of_node(row.state).1;
        let mut facts = vec![format!("{} {} {}", sign.shape(page.ascii), row.name, sign.word)];
        facts.extend(Some(row.arch().to_owned()).filter(|arch| !arch.is_empty()));
        facts.extend(row.cpu.machine().map(words::cpus));
        facts.extend(row.memory.machine().map(|memory| format!("{} memory", words::bytes(memory))));
        let free = row.disk.total.zip(row.disk.used).map(|(total, used)| total.saturating_sub(used));
        facts.extend(free.map(|free| format!("{} disk free", words::bytes(free))));
        facts.extend(row.pods.iter().map(|pod| pod.name.to_string()));
        facts.extend(row.builds.iter().filter_map(|(platform, execution)| match execution {
            Execution::Native => Some(format!("builds {platform}")),
            _ => None,
        }));
        // The part's own line says why where one is ill, and the builder's what is wrong with its only machine.
        if !health::is_of_builder(model, row) {
            facts.extend(text(&row.reason).filter(|_| nodes.unhealthy().count() != 1));
            facts.extend(text(&row.hint));
        }
        page.facts(facts);
    }
    if rows.len() > MOST_NODES {
        page.facts([format!("and {} more", rows.len() - MOST_NODES)]);
    }
    let missing =
        model.cluster().snapshot().and_then(|cluster| cluster.missing(cluster::SnapshotPart::Usage));
    page.facts(missing.map(|missing| format!("what the nodes use is not known: {}", missing.reason)));
}

fn text(text: &Text) -> Option<String> {
    Some(text.to_string()).filter(|text| !text.is_empty())
}

fn builder(page: &mut StatusPage, model: &Model, now: Time) {
    let Some(builder) = model.builder().snapshot() else { return };
    page.facts([Some(builder.name.to_string()), text(&builder.driver)].into_iter().flatten());
    for node in &builder.nodes {
        page.facts(node_facts(node, now));
    }
    let active = builder.nodes.iter().flat_map(|node| node.active.iter().flatten());
    for build in active.take(MOST_BUILDS) {
        let name = if build.name.is_empty() { &build.reference } else { &build.name };
        let done = if build.own {
            "this build".to_owned()
        } else {
            format!("{} of {} vertices", build.completed, build.total)
        };
        page.facts(
            [Some(format!("building {name}")), Some(done), text(&build.running)].into_iter().flatten(),
        );
    }
}

fn node_facts(node: &BuilderNode, now: Time) -> Vec<String> {
    let mut facts = vec![node.name.to_string()];
    if let Some(container) = &node.container {
        let since = container.finished.or(container.started).map(|since| words::age(now.since(since)));
        let since = since.map(|since| format!(" {since}")).unwrap_or_default();
        facts.push(format!("container {}{since}", container.status));
        if container.restarts > 0 {
            facts.push(words::count(container.restarts as usize, "restart"));
        }
        let memory = container.counters.as_ref().and_then(|counters| counters.memory);
        facts.extend(memory.map(|memory| format!("memory {}", words::bytes(memory))));
    }
    if node.usage.is_none() && node.state.is_up() {
        facts.push("size of its cache not known yet".to_owned());
    }
    if let Some(usage) = &node.usage {
        facts.push(format!("{} reclaimable", words::bytes(usage.reclaimable.bytes)));
        facts.extend(usage.by_kind.iter().filter(|kind| kind.amount.bytes > 0).map(|kind| {
            let name = match kind.kind {
                UsageKind::Steps => "steps",
                UsageKind::Imported => "imported",
                UsageKind::CacheMounts => "cache mounts",
                UsageKind::Sources => "sources",
                UsageKind::Internal => "internal",
            };
            format!("{name} {}", words::bytes(kind.amount.bytes))
        }));
    }
    facts
}
