//! The builder: what it is, how hard it works, what its cache takes, who builds on it now.

use super::PaneContext;
use super::gauge::{bar, growth, join, latency, of, percent, rate, role, spark};
use super::pane_lines::{LABEL, PaneLines};
use crate::event::builder::{
    ActiveBuild, BuilderContainer, BuilderNode, BuilderSnapshot, GcRule, Usage, UsageKind, UsageRecord,
};
use crate::event::{Platform, Text, Time};
use crate::model::builder_rates::{NodeHistory, Rates};
use crate::report::health::{self, PartHealth};
use crate::report::styled::StyledLine;
use crate::report::words::{self, Role};

/// Lines of a reason where there is not room for everything.
const REASON: usize = 2;
/// Columns of a number before its course.
const NUMBER: usize = 16;
/// Bytes a second that fill a sparkline's column, unless there were more.
const BUSY: f64 = 20e6;

pub(super) fn lines<'a>(place: &PaneContext<'a>, health: &PartHealth) -> Option<PaneLines<'a>> {
    let builder = place.model.builder().snapshot()?;
    let mut lines = PaneLines::default();
    let most = if place.full { usize::MAX } else { REASON };
    let role = if health.grade.is_fault() { health.sign.role } else { Role::Plain };
    lines.wrapped(builder.reason.as_str(), role, place.width, most);
    lines.wrapped(builder.hint.as_str(), Role::Plain, place.width, most);
    lines.head_ends();
    if place.full {
        let driver =
            if builder.driver.is_empty() { String::new() } else { format!(" · {}", builder.driver) };
        let name = StyledLine::new().with(builder.name.as_str(), Role::Plain).with(driver, Role::Dim);
        lines.fact("name", &name);
        if builder.nodes.len() > 1 {
            for node in &builder.nodes {
                node_line(place, node, &mut lines);
            }
        }
        for node in &builder.nodes {
            node_lines(place, builder, node, &mut lines);
        }
        return Some(lines);
    }
    match builder.nodes.as_slice() {
        [only] => work(place, builder, only, &mut lines),
        several => {
            for node in several {
                node_line(place, node, &mut lines);
            }
            active(place, builder, &mut lines);
        }
    }
    Some(lines)
}

/// One node, where it is the only one.
fn work(place: &PaneContext<'_>, builder: &BuilderSnapshot, node: &BuilderNode, lines: &mut PaneLines<'_>) {
    let mut version = StyledLine::new();
    if let Some(known) = version_of(node) {
        version.push(known, Role::Plain);
    }
    if let Some(container) = &node.container {
        let dot = if version.width() > 0 { " · " } else { "" };
        version = join(version.with(dot, Role::Dim), &uptime(container, place.now));
    }
    if version.width() > 0 {
        lines.push(version.with(format!(" · {}", builder.driver), Role::Dim));
    }
    active(place, builder, lines);
    cpu_and_memory(place, node, lines);
    if let Some(usage) = &node.usage {
        cache_in_short(place, node, usage, lines);
    }
    if let Some(told) = health::slow_listing(node, place.now) {
        lines.push(StyledLine::new().with(told, Role::Warn));
    }
    flows(place, node, lines);
    if let Some(usage) = &node.usage {
        kinds_in_short(usage, lines);
    }
}

/// `BuildKit 0.25.1`. Distributions build it without a version, and it then calls itself `v0.0.0+unknown`.
fn version_of(node: &BuilderNode) -> Option<String> {
    let version = node.buildkit_version.as_ref()?.as_str().trim_start_matches('v');
    Some(if version.starts_with("0.0.0") { "BuildKit".to_owned() } else { format!("BuildKit {version}") })
}

/// `up 3 d · 2 restarts · OOM-killed`; `exited (137) 4 min ago`.
fn uptime(container: &BuilderContainer, now: Time) -> StyledLine {
    let mut line = StyledLine::new();
    match (container.finished, container.started) {
        (Some(finished), _) => {
            let code = container.exit_code.map_or(String::new(), |code| format!(" ({code})"));
            let text = format!("{}{code} {} ago", container.status, words::age(now.since(finished)));
            line.push(text, Role::Warn);
        }
        (None, Some(started)) => {
            line.push(format!("up {}", words::age(now.since(started))), Role::Plain);
        }
        (None, None) => drop(line.push(container.status.as_str(), Role::Plain)),
    }
    if container.restarts > 0 {
        let restarts = words::count(container.restarts as usize, "restart");
        line.push(format!(" · {restarts}"), Role::Warn);
    }
    if container.oom_killed {
        line.push(" · OOM-killed", Role::Bad);
    }
    line
}

/// How wide a course is beside its number.
fn load_history_width(place: &PaneContext<'_>) -> usize {
    place.width.saturating_sub(LABEL + NUMBER + 2).clamp(6, 60)
}

/// A number with its course so far.
fn load_history(
    place: &PaneContext<'_>,
    node: &BuilderNode,
    line: StyledLine,
    value: fn(&Rates) -> Option<f64>,
    full: f64,
) -> StyledLine {
    let Some(history) = place.model.builder().history(&node.name) else { return line };
    // What nobody measured is no fault.
    let values = history.rates().map(|rates| Some(value(rates).unwrap_or(0.0)));
    join(line.with("  ", Role::Plain), &spark(values, load_history_width(place), full, place.ascii))
}

fn now(place: &PaneContext<'_>, node: &BuilderNode) -> Rates {
    let history = place.model.builder().history(&node.name);
    history.and_then(|history| history.now()).copied().unwrap_or_default()
}

fn cpu_and_memory(place: &PaneContext<'_>, node: &BuilderNode, lines: &mut PaneLines<'_>) {
    let counters = node.container.as_ref().and_then(|container| container.counters.as_ref());
    let Some(counters) = counters else { return };
    let cpus = node.engine.as_ref().and_then(|engine| engine.cpus).map_or(1.0, f64::from);
    let text = now(place, node).cpus.map_or_else(|| "–".to_owned(), |cpus| format!("{cpus:.1}"));
    let used = StyledLine::new().with(format!("{text:>4}"), Role::Plain);
    let used = used.with(words::pad_right(&format!(" of {cpus:.0}"), NUMBER - 4), Role::Dim);
    lines.fact("cpu", &load_history(place, node, used, |rates| rates.cpus, cpus));
    let Some(memory) = counters.memory else { return };
    let limit = counters.memory_limit.filter(|limit| *limit > 0);
    let share = limit.map(|limit| memory as f64 / limit as f64);
    let text = limit.map_or_else(|| words::bytes(memory), |limit| of(memory, limit));
    let line = StyledLine::new().with(words::pad_right(&text, NUMBER), share.map_or(Role::Plain, role));
    let wide = load_history_width(place).min(20);
    lines.fact(
        "memory",
        &match share {
            Some(share) => join(line.with("  ", Role::Plain), &bar(share, wide, role(share), place.ascii)),
            None => line,
        },
    );
}

/// What goes to and from disks and the network.
fn flows(place: &PaneContext<'_>, node: &BuilderNode, lines: &mut PaneLines<'_>) {
    let now = now(place, node);
    let both = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
    let disk = both(now.disk_read, now.disk_written);
    flow(place, node, "disk", disk, |r| Some(r.disk_read? + r.disk_written?), lines);
    let net = both(now.net_received, now.net_sent);
    flow(place, node, "network", net, |r| Some(r.net_received? + r.net_sent?), lines);
}

fn flow(
    place: &PaneContext<'_>,
    node: &BuilderNode,
    name: &str,
    now: Option<f64>,
    value: fn(&Rates) -> Option<f64>,
    lines: &mut PaneLines<'_>,
) {
    // On the host's network nobody counts.
    let Some(now) = now else { return };
    let line = StyledLine::new().with(words::pad_right(&rate(now), NUMBER), Role::Plain);
    lines.fact(name, &load_history(place, node, line, value, BUSY));
}

/// `41 of 60 GB`, and `12 GB reclaimable · +1.2 GB so far` beside it or, in a narrow pane, below.
fn cache_in_short(place: &PaneContext<'_>, node: &BuilderNode, usage: &Usage, lines: &mut PaneLines<'_>) {
    let line = cache(node, usage);
    let mut more = format!("{} reclaimable", words::bytes(usage.reclaimable.bytes));
    let narrow = place.width < 50;
    if let Some(grown) = place.model.builder().history(&node.name).and_then(NodeHistory::growth) {
        more = format!("{more} · {}{}", growth(grown), if narrow { "" } else { " so far" });
    }
    if narrow {
        lines.fact("cache", &line);
        lines.fact("", &StyledLine::new().with(more, Role::Plain));
    } else {
        lines.fact("cache", &line.with(" · ", Role::Dim).with(more, Role::Plain));
    }
}

fn kinds_in_short(usage: &Usage, lines: &mut PaneLines<'_>) {
    let mut kinds: Vec<_> = usage.by_kind.iter().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.amount.bytes));
    for kind in kinds {
        let bytes = words::pad_left(&words::bytes(kind.amount.bytes), words::BYTES_WIDTH);
        let line = StyledLine::new().with(bytes, Role::Plain);
        lines.fact("", &line.with(format!("  {}", kind_word(kind.kind)), Role::Dim));
    }
}

/// `41 of 60 GB`.
fn cache(node: &BuilderNode, usage: &Usage) -> StyledLine {
    match health::limit(node) {
        Some(limit) => {
            let share = usage.total.bytes as f64 / limit as f64;
            StyledLine::new().with(of(usage.total.bytes, limit), role(share))
        }
        None => StyledLine::new().with(words::bytes(usage.total.bytes), Role::Plain),
    }
}

fn kind_word(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Steps => "steps",
        UsageKind::Imported => "imported",
        UsageKind::CacheMounts => "cache mounts",
        UsageKind::Sources => "sources",
        UsageKind::Internal => "internal",
    }
}

/// One of several nodes.
fn node_line(place: &PaneContext<'_>, node: &BuilderNode, lines: &mut PaneLines<'_>) {
    let (_, sign) = health::of_builder(node.state);
    let shape = sign.shape(place.ascii);
    if !node.state.is_up() && !node.reason.is_empty() {
        let text = format!("{shape} {} {}: {}", node.name, sign.word, node.reason);
        return lines.wrapped(&text, sign.role, place.width, REASON + 1);
    }
    let name = words::pad_right(&words::truncate(node.name.as_str(), 18), 18);
    let mut line = StyledLine::new().with(format!("{shape} "), sign.role).with(name, Role::Plain);
    let cpus = now(place, node).cpus.map_or_else(String::new, |cpus| format!("{cpus:>5.1} cpu"));
    line.push(format!("{cpus:>9}"), Role::Plain);
    if let Some(usage) = &node.usage {
        let bytes = words::pad_left(&words::bytes(usage.total.bytes), words::BYTES_WIDTH);
        line.push(format!("  {bytes}"), Role::Plain);
        if place.width >= 50 {
            let limit = health::limit(node).map(|limit| format!(" of {}", words::bytes(limit)));
            line.push(format!("{} cache", limit.unwrap_or_default()), Role::Dim);
        }
    }
    lines.push(line);
}

/// The builds that run now, or that there is none: the line stays.
fn active(place: &PaneContext<'_>, builder: &BuilderSnapshot, lines: &mut PaneLines<'_>) {
    let known = builder.nodes.iter().filter_map(|node| node.active.as_ref());
    let builds: Vec<&ActiveBuild> = known.clone().flatten().collect();
    match builds.as_slice() {
        [] if known.count() == 0 => {}
        [] => lines.fact("builds", &StyledLine::new().with("none now", Role::Dim)),
        [first, more @ ..] => {
            let line = build_line(place, first);
            let also = if more.is_empty() { String::new() } else { format!("  and {} more", more.len()) };
            let room = place.width.saturating_sub(LABEL + words::width(&also));
            lines.fact("builds", &line.cut(room, place.ascii).with(also, Role::Strong));
        }
    }
}

/// `◐ 12/22  0:41  montage-ai:latest  RUN make`.
fn build_line(place: &PaneContext<'_>, build: &ActiveBuild) -> StyledLine {
    let shape = if place.ascii { "~" } else { "◐" };
    let done = if build.own {
        format!("{shape} this")
    } else {
        format!("{shape} {}/{}", build.completed, build.total)
    };
    let mut line = StyledLine::new().with(words::pad_right(&done, 9), Role::Busy);
    let took = build.started.map(|started| words::duration(place.now.since(started))).unwrap_or_default();
    line.push(words::pad_left(&took, 7), Role::Plain);
    let name = if build.name.is_empty() { build.reference.as_str() } else { build.name.as_str() };
    line.push(format!("  {name}"), Role::Plain);
    if place.full {
        if !build.own {
            line.push(format!("  {} cached", build.cached), Role::Dim);
            line.push(format!("  {}", build.running), Role::Dim);
        }
        line.push(format!("  ref {}", build.reference), Role::Dim);
    }
    line.cut(place.width, place.ascii)
}

fn node_lines<'a>(
    place: &PaneContext<'a>,
    builder: &BuilderSnapshot,
    node: &'a BuilderNode,
    lines: &mut PaneLines<'a>,
) {
    lines.section(node.name.as_str(), node.endpoint.as_str());
    let (_, sign) = health::of_builder(node.state);
    let mut line = StyledLine::new().with(format!("{} {}", sign.shape(place.ascii), sign.word), sign.role);
    if let Some(took) = node.latency_us {
        line.push(format!(" · answers in {}", latency(took)), Role::Plain);
    }
    if let Some(version) = version_of(node) {
        line.push(format!(" · {version}"), Role::Plain);
    }
    lines.fact("state", &line);
    if node.reason != builder.reason {
        lines.wrapped(node.reason.as_str(), sign.role, place.width, usize::MAX);
        lines.wrapped(node.hint.as_str(), Role::Plain, place.width, usize::MAX);
    }
    let platforms: Vec<&str> = node.platforms.iter().map(Platform::as_str).collect();
    lines.fact("builds", &StyledLine::new().with(platforms.join(" "), Role::Plain));
    if let Some(container) = &node.container {
        let name = StyledLine::new().with(container.name.as_str(), Role::Plain);
        lines.fact("runs in", &name.with("  l shows its last lines", Role::Dim));
        lines.fact("life", &uptime(container, place.now));
    }
    cpu_and_memory(place, node, lines);
    flows(place, node, lines);
    if let Some(builds) = &node.active {
        lines.section("Builds that run now", &words::count(builds.len(), "build"));
        lines.list(builds.len(), {
            let place = *place;
            move |n| builds.get(n).map_or_else(StyledLine::new, |build| build_line(&place, build))
        });
    }
    if let Some(told) = health::slow_listing(node, place.now) {
        lines.fact("slow", &StyledLine::new().with(told, Role::Warn));
    }
    if let Some(usage) = &node.usage {
        disk(place, node, usage, lines);
    }
}

fn disk<'a>(place: &PaneContext<'a>, node: &BuilderNode, usage: &'a Usage, lines: &mut PaneLines<'a>) {
    lines.section("Cache on disk", &words::count(usage.total.records as usize, "record"));
    let whole = health::limit(node).unwrap_or(usage.total.bytes).max(1);
    let share = usage.total.bytes as f64 / whole as f64;
    let mut total = cache(node, usage);
    if health::limit(node).is_some() {
        total = join(total.with("  ", Role::Plain), &bar(share, 20, role(share), place.ascii));
        total
            .push(format!(" {}", percent(Some(share))), role(share))
            .push(" of what garbage collection keeps", Role::Dim);
    }
    let grown = place.model.builder().history(&node.name).and_then(NodeHistory::growth);
    if let Some(grown) = grown {
        total.push(format!("  {} in this session", growth(grown)), Role::Plain);
    }
    lines.fact("in all", &total);
    let rows = usage.by_kind.iter().map(|kind| (kind_word(kind.kind), kind.amount));
    let sums = [("reclaimable", usage.reclaimable), ("in use", usage.in_use), ("shared", usage.shared)];
    for (name, amount) in rows.chain(sums) {
        let share = amount.bytes as f64 / usage.total.bytes.max(1) as f64;
        let mut line = StyledLine::new().with(words::pad_right(name, 13), Role::Plain);
        line.push(words::pad_left(&words::bytes(amount.bytes), words::BYTES_WIDTH), Role::Plain);
        line = join(line.with("  ", Role::Plain), &bar(share, 20, Role::Plain, place.ascii));
        line.push(format!(" {}", percent(Some(share))), Role::Plain)
            .push(format!("  {:>6} records", amount.records), Role::Dim);
        lines.push(line);
    }
    if !node.gc.is_empty() {
        lines.section("Garbage collection", "rule by rule");
        node.gc.iter().for_each(|rule| lines.push(gc(rule)));
    }
    if !usage.largest.is_empty() {
        lines.section("Largest records", "with the step or blob they belong to");
        let place = *place;
        lines.list(usage.largest.len(), move |n| {
            usage.largest.get(n).map_or_else(StyledLine::new, |record| record_line(&place, record))
        });
    }
}

/// `keeps 60 GB at most, 5.0 GB in any case, 48 h · 20 GB of the disk stay free · type==source.local`.
fn gc(rule: &GcRule) -> StyledLine {
    let mut parts = Vec::new();
    if rule.max_used > 0 {
        parts.push(format!("{} at most", words::bytes(rule.max_used)));
    }
    if rule.reserved > 0 {
        parts.push(format!("{} are never taken", words::bytes(rule.reserved)));
    }
    if rule.min_free > 0 {
        parts.push(format!("{} of the disk stay free", words::bytes(rule.min_free)));
    }
    if rule.keep_ms > 0 {
        let keep = std::time::Duration::from_millis(rule.keep_ms);
        parts.push(format!("what was used within {} stays", words::age(keep)));
    }
    let filters: Vec<&str> = rule.filters.iter().map(Text::as_str).collect();
    let what = match (filters.is_empty(), rule.all) {
        (true, true) => "everything, shared too".to_owned(),
        (true, false) => "everything".to_owned(),
        (false, _) => filters.join(", "),
    };
    StyledLine::new().with(format!("{}  ", parts.join(" · ")), Role::Plain).with(what, Role::Dim)
}

fn record_line(place: &PaneContext<'_>, record: &UsageRecord) -> StyledLine {
    let mut line = StyledLine::new();
    line.push(words::pad_left(&words::bytes(record.bytes), words::BYTES_WIDTH), Role::Plain);
    line.push(format!("  {:<12}", kind_word(record.kind)), Role::Dim);
    let used = record.last_used.map(|used| words::age(place.now.since(used))).unwrap_or_default();
    let (word, role) = if record.in_use { ("in use", Role::Busy) } else { (used.as_str(), Role::Plain) };
    line.push(words::pad_left(word, 7), role);
    line.with(format!("  {}", record.description), Role::Plain).cut(place.width, place.ascii)
}
