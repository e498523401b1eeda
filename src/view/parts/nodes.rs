//! The machines: how they are, how busy, and who builds which platform.

use std::rc::Rc;

use super::PaneContext;
use super::gauge::{bar, join, percent, role};
use super::pane_lines::PaneLines;
use super::registry::pod_sign;
use crate::event::Time;
use crate::event::builder::{BuilderNode, EngineFacts, Execution};
use crate::event::cluster::{ApiState, ClusterSnapshot, Gauge, MissingReason, NodeState, Shortage};
use crate::model::nodes::{self, NodeRow, NodeSource, Nodes, PlatformRow};
use crate::report::health::PartHealth;
use crate::report::styled::StyledLine;
use crate::report::words::{self, Role};

/// Ill nodes that are written about in full.
const MOST_ILL: usize = 20;
/// Lines of a reason where there is not room for everything.
const REASON: usize = 2;

pub(super) fn lines<'a>(place: &PaneContext<'a>, health: &PartHealth) -> Option<PaneLines<'a>> {
    let cluster = place.model.cluster().snapshot();
    if cluster.is_none() && place.model.builder().snapshot().is_none() {
        return None;
    }
    let known = nodes::nodes(place.model);
    let mut lines = PaneLines::default();
    if let Some(cluster) = cluster {
        api(place, cluster, &mut lines);
    }
    lines.head_ends();
    platforms(place, &known.platforms, &mut lines);
    if known.rows.is_empty() {
        for (fact, role) in &health.facts {
            lines.wrapped(fact, *role, place.width, REASON);
        }
        if health.facts.is_empty() {
            lines.push(StyledLine::new().with("nobody has told of a node", Role::Dim));
        }
        return Some(lines);
    }
    if place.full {
        unhealthy(place, &known, &mut lines);
    }
    let mut order = order(&known);
    if !place.full {
        some(place, known, &mut order, &mut lines);
        return Some(lines);
    }
    list(place, &Rc::new(known), &Rc::new(order), &mut lines);
    machines(place, &mut lines);
    if let Some(cluster) = cluster {
        missing_parts(cluster, &mut lines);
    }
    Some(lines)
}

/// As much as a narrow pane has room for: why the first are ill, then how busy the others are.
fn some(place: &PaneContext<'_>, known: Nodes, order: &mut Vec<usize>, lines: &mut PaneLines<'_>) {
    let few = known.rows.len() <= 2;
    let unhealthy = known.unhealthy().count();
    if unhealthy <= 2 {
        for row in order.drain(..unhealthy).filter_map(|at| known.rows.get(at)) {
            lines.wrapped(&why(row, place.now, place.ascii), sign(row.state).3, place.width, REASON + 1);
        }
    }
    let shares = KnownShares::of(&known);
    if !order.is_empty() {
        match (shares.used, shares.requested) {
            (false, true) => lines.push(requested_head(place.width)),
            (true, true) => {
                lines.push(StyledLine::new().with("  use of the cluster's nodes: not known", Role::Dim));
            }
            (_, false) => {}
        }
        lines.push(short_head(place.width));
    }
    let (order, width, ascii, now) = (std::mem::take(order), place.width, place.ascii, place.now);
    lines.list(order.len(), move |n| {
        let row = order.get(n).and_then(|at| known.rows.get(*at));
        row.map_or_else(StyledLine::new, |row| short(row, shares, width, now, ascii))
    });
    for node in place.model.builder().snapshot().iter().flat_map(|builder| &builder.nodes).filter(|_| few) {
        if let Some(engine) = &node.engine {
            lines.push(load(engine));
        }
    }
}

/// Which shares of CPU and memory are known of any node. They mean different things, and never stand in one column: a node that works as
/// hard as it can may have promised next to nothing.
#[derive(Debug, Clone, Copy)]
struct KnownShares {
    used: bool,
    /// What pods have asked to be kept for them, of a node of which it is not known what is used.
    requested: bool,
}

impl KnownShares {
    fn of(nodes: &Nodes) -> Self {
        let gauges = || nodes.rows.iter().flat_map(|row| [row.cpu, row.memory]);
        Self {
            used: gauges().any(|gauge| gauge.used_share().is_some()),
            requested: gauges().any(|gauge| gauge.used.is_none() && gauge.requested_share().is_some()),
        }
    }
}

/// `✗ arm-1 not ready 4 min: memory`.
fn why(row: &NodeRow, now: Time, ascii: bool) -> String {
    let (shape, plain, word, _) = sign(row.state);
    let shape = if ascii { plain } else { shape };
    let since = row.since.map_or(String::new(), |since| format!(" {}", words::age(now.since(since))));
    let mut why: Vec<&str> = row.shortages.iter().map(|short| shortage(*short)).collect();
    if why.is_empty() && !row.reason.is_empty() {
        why.push(row.reason.as_str());
    }
    let colon = if why.is_empty() { "" } else { ": " };
    format!("{shape} {} {word}{since}{colon}{}", row.name, why.join(", "))
}

/// Why nothing new is heard of the cluster.
fn api(place: &PaneContext<'_>, cluster: &ClusterSnapshot, lines: &mut PaneLines<'_>) {
    if matches!(cluster.state, ApiState::Ok | ApiState::Unknown | ApiState::Unconfigured) {
        return;
    }
    let most = if place.full { usize::MAX } else { REASON };
    lines.wrapped(cluster.reason.as_str(), Role::Bad, place.width, most);
    lines.wrapped(cluster.hint.as_str(), Role::Plain, place.width, most);
}

/// What makes builds slow comes first: `▲ linux/arm64: emulated on arm-builder`.
fn platforms(place: &PaneContext<'_>, platforms: &[PlatformRow], lines: &mut PaneLines<'_>) {
    let mut native = Vec::new();
    let mut slow = false;
    for row in platforms {
        let on = row.place().map_or(String::new(), |name| format!(" on {name}"));
        let long = row.platform.as_str();
        let fits = words::width(long) + 13 + words::width(&on) <= place.width;
        let name = if fits { long } else { row.platform.short() };
        match row.execution {
            Execution::Unsupported => {
                let shape = if place.ascii { "x" } else { "✗" };
                lines.push(StyledLine::new().with(format!("{shape} {name}: no node builds it"), Role::Bad));
            }
            Execution::Emulated => {
                let shape = if place.ascii { "!" } else { "▲" };
                let line = StyledLine::new().with(format!("{shape} {name}: emulated"), Role::Warn);
                lines.push(line.with(on, Role::Plain));
            }
            Execution::Native => native.push(row.platform.to_string()),
            Execution::Unknown => {}
        }
        slow |= matches!(row.execution, Execution::Unsupported | Execution::Emulated);
    }
    // Where one is emulated, the others go without saying.
    if !native.is_empty() && (place.full || !slow) {
        let shape = if place.ascii { "*" } else { "●" };
        let line = StyledLine::new().with(format!("{shape} "), Role::Good);
        lines.push(line.with(format!("{}: native", native.join(", ")), Role::Plain));
    }
}

/// Those that are ill, then those that builds need, then the others; each group in its own order.
fn order(nodes: &Nodes) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes.rows.len()).collect();
    order.sort_by_key(|at| {
        nodes.rows.get(*at).map(|row| {
            let needed = row.source == NodeSource::Builder || !row.pods.is_empty() || !row.builds.is_empty();
            let unhealthy = if row.state > NodeState::Cordoned { row.state } else { NodeState::Ready };
            (std::cmp::Reverse(unhealthy), !needed)
        })
    });
    order
}

/// Shape, word and colour of a node's state.
fn sign(state: NodeState) -> (&'static str, &'static str, &'static str, Role) {
    match state {
        NodeState::Ready => ("●", "*", "ready", Role::Good),
        NodeState::Unknown => ("·", ".", "unknown", Role::Dim),
        NodeState::Cordoned => ("■", "#", "cordoned", Role::Ran),
        NodeState::Strained => ("▲", "!", "strained", Role::Warn),
        NodeState::NotReady => ("✗", "x", "not ready", Role::Bad),
        NodeState::Lost => ("?", "?", "lost", Role::Bad),
    }
}

fn shortage(shortage: Shortage) -> &'static str {
    match shortage {
        Shortage::Memory => "memory",
        Shortage::Disk => "disk",
        Shortage::Pids => "process ids",
        Shortage::Network => "network",
    }
}

/// Columns of a name in a narrow pane.
fn name_width(width: usize) -> usize {
    width.saturating_sub(19).clamp(8, 24)
}

/// What the columns of a narrow pane are.
fn short_head(width: usize) -> StyledLine {
    let name = name_width(width);
    StyledLine::new().with(format!("  {:<name$} {:<6} {:>4} {:>4}", "node", "arch", "cpu", "mem"), Role::Dim)
}

/// What stands above the columns where they are no use, and that this is not known.
fn requested_head(width: usize) -> StyledLine {
    let left = words::pad_right("  use not known", name_width(width) + 9);
    StyledLine::new().with(left, Role::Dim).with(" requested", Role::Ran)
}

/// A node in a narrow pane: of one that is well how busy it is, of one that is ill why.
fn short(row: &NodeRow, shares: KnownShares, width: usize, now: Time, ascii: bool) -> StyledLine {
    let (shape, plain, word, tone) = sign(row.state);
    if row.state > NodeState::Cordoned {
        return StyledLine::new().with(why(row, now, ascii), tone);
    }
    let mut line = StyledLine::new().with(format!("{} ", if ascii { plain } else { shape }), tone);
    let name = words::truncate(row.name.as_str(), name_width(width));
    line.push(words::pad_right(&name, name_width(width)), Role::Plain);
    line.push(format!(" {:<6}", words::head(row.arch(), 6)), Role::Dim);
    for gauge in [row.cpu, row.memory] {
        let share = if shares.used { gauge.used_share() } else { gauge.requested_share() };
        line.push(percent(share), share.map_or(Role::Dim, role));
    }
    let ours: Vec<&str> = row.pods.iter().map(|pod| pod.name.as_str()).collect();
    let more = if row.state == NodeState::Cordoned { word.to_owned() } else { ours.join(" ") };
    // A name of which three letters are left says nothing.
    if !more.is_empty() && line.width() + 10 <= width {
        let role = if row.state == NodeState::Cordoned { tone } else { Role::Plain };
        line.push(format!("  {more}"), role);
    }
    line.cut(width, ascii)
}

/// `load 1.2 of 8 · disk 41 GB free`.
fn load(engine: &EngineFacts) -> StyledLine {
    let mut line = StyledLine::new().with("  ", Role::Plain);
    let mut parts = Vec::new();
    if let Some(load) = engine.load_percent {
        let of = engine.cpus.map_or(String::new(), |cpus| format!(" of {cpus}"));
        // Twice as many want to run as can.
        let busy = engine.cpus.is_some_and(|cpus| load > cpus * 200);
        let role = if busy { Role::Warn } else { Role::Plain };
        parts.push((format!("load {:.1}{of}", f64::from(load) / 100.0), role));
    }
    if let Some(free) = engine.disk_free {
        let tight = engine.disk_total.is_some_and(|total| free < total / 10);
        parts.push((
            format!("disk {} free", words::bytes(free)),
            if tight { Role::Warn } else { Role::Plain },
        ));
    }
    for (i, (text, role)) in parts.into_iter().enumerate() {
        line.push(if i > 0 { " · " } else { "" }, Role::Dim).push(text, role);
    }
    line
}

/// What is wrong with those that are ill, and what to do.
fn unhealthy(place: &PaneContext<'_>, nodes: &Nodes, lines: &mut PaneLines<'_>) {
    let all = nodes.unhealthy().count();
    if all == 0 {
        return;
    }
    lines.section("What is wrong", &words::count(all, "node"));
    for row in nodes.unhealthy().take(MOST_ILL) {
        let (shape, plain, word, role) = sign(row.state);
        let since =
            row.since.map_or(String::new(), |since| format!(" {}", words::age(place.now.since(since))));
        let reason = if row.reason.is_empty() { String::new() } else { format!(": {}", row.reason) };
        let shape = if place.ascii { plain } else { shape };
        lines.wrapped(&format!("{shape} {} {word}{since}{reason}", row.name), role, place.width, usize::MAX);
        lines.wrapped(row.hint.as_str(), Role::Plain, place.width, usize::MAX);
        for warning in row.warnings.iter().take(5) {
            lines.wrapped(warning.as_str(), Role::Dim, place.width, 2);
        }
    }
    if all > MOST_ILL {
        lines.push(StyledLine::new().with(format!("and {} more, below", all - MOST_ILL), Role::Dim));
    }
}

/// All of them in a table.
fn list<'a>(place: &PaneContext<'a>, nodes: &Rc<Nodes>, order: &Rc<Vec<usize>>, lines: &mut PaneLines<'a>) {
    let columns = NodeColumns::of(place, nodes);
    lines.section("Nodes", &format!("{}, those that are ill first", nodes.rows.len()));
    for line in columns.head() {
        lines.push(line);
    }
    let (nodes, order, now, ascii) = (Rc::clone(nodes), Rc::clone(order), place.now, place.ascii);
    lines.list(order.len(), move |n| {
        let row = order.get(n).and_then(|at| nodes.rows.get(*at));
        row.map_or_else(StyledLine::new, |row| columns.row(row, now, ascii))
    });
}

/// What two columns of the table are shares of.
#[derive(Debug, Clone, Copy)]
enum ShareKind {
    Used,
    Requested,
}

impl ShareKind {
    fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Requested => "requested",
        }
    }

    fn share(self, gauge: Gauge) -> Option<f64> {
        match self {
            Self::Used => gauge.used_share(),
            Self::Requested => gauge.requested_share(),
        }
    }
}

/// The columns of the table; those that are of less use go where there is no room.
#[derive(Clone, Copy)]
struct NodeColumns {
    name: usize,
    /// Columns of a bar; 0: just the share.
    bar: usize,
    version: bool,
    width: usize,
    shares: KnownShares,
}

impl NodeColumns {
    fn of(place: &PaneContext<'_>, nodes: &Nodes) -> Self {
        let longest = nodes.rows.iter().map(|row| words::width(row.name.as_str())).max().unwrap_or(0);
        let wide = place.width >= 110;
        let bars = place.width >= 150;
        let most = if wide { 36 } else { 20 };
        Self {
            name: longest.clamp(8, most),
            bar: if bars { 10 } else { 0 },
            version: wide,
            width: place.width,
            shares: KnownShares::of(nodes),
        }
    }

    /// The heading; where what is requested stands in the table, a line above it says which columns are that.
    fn head(self) -> Vec<StyledLine> {
        let gauge = 5 + if self.bar > 0 { self.bar + 1 } else { 0 };
        let version = if self.version { "version        " } else { "" };
        let before = format!("  {:<name$} {:<16}{:<6}", "name", "state", "arch", name = self.name);
        let pairs = self.pairs();
        let both = 2 * gauge + 1;
        let mut above = StyledLine::new().with(" ".repeat(words::width(&before)), Role::Dim);
        let mut names = vec![before];
        for what in &pairs {
            let what = what.name();
            above.push(format!(" {:^both$}", words::head(what, both)), Role::Ran);
            names.push(format!(" {:>gauge$} {:>gauge$}", "cpu", "memory"));
        }
        names.push(format!(" {:>5} {:>5}  {version}used for", "pods", "heard"));
        let names = StyledLine::new().with(words::head(&names.concat(), self.width), Role::Dim);
        if self.shares.requested { vec![above.cut(self.width, true), names] } else { vec![names] }
    }

    /// Which shares have columns.
    fn pairs(self) -> Vec<ShareKind> {
        match (self.shares.used, self.shares.requested) {
            (true, true) => vec![ShareKind::Used, ShareKind::Requested],
            (false, true) => vec![ShareKind::Requested],
            (_, false) => vec![ShareKind::Used],
        }
    }

    fn row(self, row: &NodeRow, now: Time, ascii: bool) -> StyledLine {
        let (shape, plain, word, role) = sign(row.state);
        let mut line = StyledLine::new().with(format!("{} ", if ascii { plain } else { shape }), role);
        let name = words::truncate(row.name.as_str(), self.name);
        line.push(words::pad_right(&name, self.name + 1), Role::Strong);
        let since = row.since.map_or(String::new(), |since| words::age(now.since(since)));
        line.push(words::pad_right(&format!("{word} {since}"), 16), role);
        line.push(format!("{:<6}", row.arch()), Role::Plain);
        for pair in self.pairs() {
            for gauge in [row.cpu, row.memory] {
                line = self.gauge(line.with(" ", Role::Plain), pair.share(gauge), ascii);
            }
        }
        let pods = row.count.map(|count| count.to_string()).unwrap_or_default();
        line.push(format!(" {pods:>5}"), Role::Plain);
        let heard = row.heartbeat_age(now).map(words::age).unwrap_or_default();
        line.push(format!(" {heard:>5}  "), Role::Plain);
        if self.version {
            let version = words::truncate(row.version.as_str(), 14);
            line.push(words::pad_right(&version, 15), Role::Dim);
        }
        let mut builds: Vec<_> = row.builds.iter().collect();
        builds.sort_by_key(|(_, execution)| *execution != Execution::Emulated);
        for (platform, execution) in builds {
            let platform = platform.short();
            match execution {
                Execution::Emulated => drop(line.push(format!("emulates {platform}  "), Role::Warn)),
                Execution::Native => drop(line.push(format!("builds {platform}  "), Role::Plain)),
                Execution::Unsupported | Execution::Unknown => {}
            }
        }
        for pod in &row.pods {
            let (shape, plain, _, role) = pod_sign(pod.state);
            line.push(if ascii { plain } else { shape }, role).push(format!(" {}  ", pod.name), Role::Plain);
        }
        for short in &row.shortages {
            line.push(format!("short of {}  ", shortage(*short)), Role::Warn);
        }
        for taint in &row.taints {
            line.push(format!("{taint}  "), Role::Dim);
        }
        line.cut(self.width, ascii)
    }

    fn gauge(self, line: StyledLine, share: Option<f64>, ascii: bool) -> StyledLine {
        let line = if self.bar == 0 {
            line
        } else {
            match share {
                Some(share) => join(line, &bar(share, self.bar, role(share), ascii)).with(" ", Role::Plain),
                None => line.with(" ".repeat(self.bar + 1), Role::Plain),
            }
        };
        line.with(percent(share), share.map_or(Role::Dim, role))
    }
}

/// The machines of the builder's own nodes, as far as they can be looked into.
fn machines(place: &PaneContext<'_>, lines: &mut PaneLines<'_>) {
    let Some(builder) = place.model.builder().snapshot() else { return };
    let known = |node: &&BuilderNode| node.engine.is_some();
    for (i, node) in builder.nodes.iter().filter(known).enumerate() {
        let Some(engine) = &node.engine else { continue };
        if i == 0 {
            lines.section("Engines of the builder's nodes", "");
        }
        lines.push(
            StyledLine::new()
                .with(node.name.as_str(), Role::Strong)
                .with(format!("  {}", node.endpoint), Role::Dim),
        );
        let mut first = StyledLine::new().with(format!("docker {}", engine.version), Role::Plain);
        first.push(engine.cpus.map(|n| format!(" · {n} CPUs")).unwrap_or_default(), Role::Plain);
        first.push(
            engine.memory.map(|n| format!(" · {} memory", words::bytes(n))).unwrap_or_default(),
            Role::Plain,
        );
        let running =
            engine.running_containers.map(|n| format!(" · {} run", words::count(n as usize, "container")));
        lines.fact("engine", &first.with(running.unwrap_or_default(), Role::Plain));
        if let Some(load) = engine.load_percent {
            lines.fact(
                "load",
                &StyledLine::new().with(format!("{:.2} over a minute", f64::from(load) / 100.0), Role::Plain),
            );
        }
        lines.fact("waiting", &pressure(engine));
        if let (Some(free), Some(total)) = (engine.disk_free, engine.disk_total) {
            let tight = free < total / 10;
            let text =
                format!("{} free of {} at {}", words::bytes(free), words::bytes(total), engine.data_root);
            lines.fact("disk", &StyledLine::new().with(text, if tight { Role::Warn } else { Role::Plain }));
        }
    }
}

/// `cpu 12.0 %  memory 0.0 %  disk 3.1 %  of the last 10 s`.
fn pressure(engine: &EngineFacts) -> StyledLine {
    let Some(pressure) = engine.pressure else { return StyledLine::new() };
    let mut line = StyledLine::new();
    for (what, value) in [("cpu", pressure.cpu), ("memory", pressure.memory), ("disk", pressure.io)] {
        if let Some(value) = value {
            let role = if value >= 1_000 { Role::Warn } else { Role::Plain };
            line.push(format!("for {what} {:>5.1} %   ", f64::from(value) / 100.0), role);
        }
    }
    line.with("of the last 10 s", Role::Dim)
}

/// What may not be seen costs its column; here is why.
fn missing_parts(cluster: &ClusterSnapshot, lines: &mut PaneLines<'_>) {
    if cluster.missing.is_empty() {
        return;
    }
    lines.section("What can't be seen", "");
    for missing in &cluster.missing {
        let word = match missing.lack {
            MissingReason::Forbidden => "forbidden",
            MissingReason::Absent => "not there",
            MissingReason::TooMuch => "too much",
            MissingReason::Failing => "failing",
        };
        let line = StyledLine::new().with(words::pad_right(word, 10), Role::Ran);
        lines.push(line.with(missing.reason.as_str(), Role::Plain));
    }
}
