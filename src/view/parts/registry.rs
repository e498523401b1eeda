//! The registry: how fast it answers, what the cache tag is worth, which tags there are.

use super::PaneContext;
use super::gauge::{ago, growth, join, latency, old, spark};
use super::pane_lines::{LABEL, PaneLines};
use crate::event::cluster::{ClusterPod, PodState, RegistryService, ServiceVerdict};
use crate::event::registry::{
    AuthMode, CacheKind, CacheState, CacheTag, MOST_CONFIG_BYTES, RegistrySnapshot, RegistryState, Tag,
    TagChange, TagChangeKind,
};
use crate::event::{Platform, Time};
use crate::report::health::PartHealth;
use crate::report::styled::StyledLine;
use crate::report::words::{self, Role};

/// Lines of a reason where there is not room for everything.
const REASON: usize = 3;
/// Ill pods that are written about.
const MOST_ILL: usize = 20;

pub(super) fn lines<'a>(place: &PaneContext<'a>, health: &PartHealth) -> Option<PaneLines<'a>> {
    let registry = place.model.registry().newest()?;
    let service = place.model.cluster().snapshot().and_then(|cluster| cluster.registry.as_ref());
    let mut lines = PaneLines::default();
    why(place, registry, service, health, &mut lines);
    lines.head_ends();
    if place.full {
        address(registry, &mut lines);
    }
    if registry.latency.is_some() || registry.answered.is_some() {
        lines.fact("/v2/", &answers(place, registry));
    }
    if let Some(cache) = &registry.cache {
        cache_facts(place, cache, &mut lines);
    }
    let building = registry.tags.iter().flat_map(|tags| &tags.list).find(|tag| tag.building);
    if let Some(tag) = building.filter(|_| !place.full) {
        lines.fact("tag", &tag_in_short(tag, place.now));
    }
    if let Some(service) = service {
        service_facts(place, service, &mut lines);
    }
    if let Some(change) = registry.changes.last().filter(|_| !place.full) {
        lines.fact("changed", &change_line(change, place.now, place.full));
    }
    if !place.full {
        if let Some(tags) = &registry.tags {
            lines.fact("tags", &StyledLine::new().with(total(tags.total, tags.more), Role::Plain));
        }
        lines.fact("access", &access(registry));
        return Some(lines);
    }
    changes(place, registry, &mut lines);
    tags(place, registry, &mut lines);
    Some(lines)
}

fn why(
    place: &PaneContext<'_>,
    registry: &RegistrySnapshot,
    service: Option<&RegistryService>,
    health: &PartHealth,
    lines: &mut PaneLines<'_>,
) {
    let most = if place.full { usize::MAX } else { REASON };
    let role =
        if health.grade.is_fault() && !registry.state.is_well() { health.sign.role } else { Role::Plain };
    lines.wrapped(registry.reason.as_str(), role, place.width, most);
    if let Some(cache) = registry.cache.as_ref().filter(|cache| !cache.reason.is_empty()) {
        let role = if cache.state == CacheState::Absent { Role::Plain } else { Role::Warn };
        lines.wrapped(cache.reason.as_str(), role, place.width, most);
    }
    let Some(service) = service else { return };
    if service.verdict >= ServiceVerdict::Degraded {
        lines.wrapped(service.reason.as_str(), Role::Warn, place.width, most);
        lines.wrapped(service.hint.as_str(), Role::Plain, place.width, most);
    }
    // The pods are well, so it is the way to them that is missing.
    let no_way = matches!(
        registry.state,
        RegistryState::Unreachable | RegistryState::NotResolved | RegistryState::Down
    );
    if no_way && service.verdict == ServiceVerdict::Ok {
        lines.wrapped(service.port_forward.as_str(), Role::Strong, place.width, most);
    }
}

fn address(registry: &RegistrySnapshot, lines: &mut PaneLines<'_>) {
    lines.fact("address", &StyledLine::new().with(registry.url.as_str(), Role::Plain));
    lines.fact("image", &StyledLine::new().with(registry.repository.as_str(), Role::Plain));
    lines.fact("access", &access(registry));
}

/// `3.1 ms  p95  9.0 ms  ▁▁▂▁`.
fn answers(place: &PaneContext<'_>, registry: &RegistrySnapshot) -> StyledLine {
    let mut line = StyledLine::new();
    let room = place.width.saturating_sub(LABEL);
    if let Some(known) = registry.latency {
        let answered = registry.answered.is_some_and(|answered| answered >= registry.asked);
        let last = if answered { latency(known.last_us) } else { "–".to_owned() };
        line.push(words::pad_left(&last, 6), Role::Plain);
        if place.full || room >= 50 {
            line.push("  p50", Role::Dim).push(words::pad_left(&latency(known.p50_us), 7), Role::Plain);
        }
        line.push("  p95", Role::Dim).push(words::pad_left(&latency(known.p95_us), 7), Role::Plain);
        if place.full {
            let of = words::count(known.samples as usize, "answer");
            line.push(format!("  of {of}"), Role::Dim);
        }
    }
    let wide = room.saturating_sub(line.width() + 2).min(if place.full { 60 } else { 30 });
    if wide >= 4 {
        let took = place.model.registry().pings().map(|ping| ping.took_us.map(|took| took as f64));
        line = join(line.with("  ", Role::Plain), &spark(took, wide, 20_000.0, place.ascii));
    }
    line
}

fn cache_facts(place: &PaneContext<'_>, cache: &CacheTag, lines: &mut PaneLines<'_>) {
    let mut line = StyledLine::new();
    match cache.state {
        CacheState::Unknown => drop(line.push("not looked at yet", Role::Dim)),
        CacheState::Absent => drop(line.push(format!("none at {} yet", cache.name), Role::Plain)),
        CacheState::NotCache => drop(line.push(format!("{} is no build cache", cache.name), Role::Warn)),
        CacheState::Unreadable => drop(line.push(format!("{} can't be read", cache.name), Role::Warn)),
        CacheState::Present | CacheState::TooLarge => {
            line.push(words::bytes(cache.bytes), Role::Plain);
            line.push(format!(" · {} blobs", cache.blobs), Role::Plain);
            if let Some(age) = cache.newest.map(|newest| place.now.since(newest)) {
                let long = format!(" · {}", old(age));
                let fits = LABEL + line.width() + words::width(&long) <= place.width;
                line.push(if fits { long } else { format!(" · {}", words::age(age)) }, Role::Plain);
            }
            if place.full {
                let first = cache.oldest.map(|oldest| format!(", oldest {}", old(place.now.since(oldest))));
                line.push(first.unwrap_or_default(), Role::Dim);
                line.push(format!(" · tag {}", cache.name), Role::Dim);
            }
        }
    }
    lines.fact("cache", &line);
    if !matches!(cache.state, CacheState::Present | CacheState::TooLarge) {
        return;
    }
    lines.fact("holds", &holds(place, cache));
    lines.fact("config", &config(place, cache));
    if place.full {
        let digest = cache.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        lines.fact("digest", &StyledLine::new().with(digest, Role::Dim));
    }
}

/// `amd64 ✓  arm64 7 of 9 layers`.
fn holds(place: &PaneContext<'_>, cache: &CacheTag) -> StyledLine {
    let mut line = StyledLine::new();
    for held in &cache.platforms {
        line.push(if line.width() > 0 { "  " } else { "" }, Role::Plain);
        line.push(format!("{} ", held.platform.short()), Role::Plain);
        if held.held >= held.layers {
            line.push(if place.ascii { "all" } else { "✓" }, Role::Good);
        } else {
            line.push(format!("{} of {} layers", held.held, held.layers), Role::Warn);
        }
    }
    if let Some(image) = cache.image.as_ref().filter(|_| place.full) {
        line.push(format!("  of {image}"), Role::Dim);
    }
    line
}

/// `7.1 kB of 1 MiB · image manifest`.
fn config(place: &PaneContext<'_>, cache: &CacheTag) -> StyledLine {
    let over = cache.config_bytes > MOST_CONFIG_BYTES;
    let mut line = StyledLine::new();
    line.push(words::bytes(cache.config_bytes), if over { Role::Warn } else { Role::Plain });
    line.push(" of 1 MiB", Role::Dim);
    let kind = cache.kind.map(|kind| match kind {
        CacheKind::ImageManifest => "image manifest",
        CacheKind::Index => "index",
    });
    if let Some(kind) = kind.filter(|_| place.width >= 40) {
        line.push(format!(" · {kind}"), Role::Dim);
    }
    line
}

/// `412 MB · 2 min old · my-feature`: a name may be long, and stands where it can be cut.
fn tag_in_short(tag: &Tag, now: Time) -> StyledLine {
    let bytes = tag.bytes.map(words::bytes);
    let age = tag.created.map(|created| old(now.since(created)));
    let parts: Vec<String> = bytes.into_iter().chain(age).chain([tag.name.to_string()]).collect();
    StyledLine::new().with(parts.join(" · "), Role::Plain)
}

/// `+1.2 MB · 2 min ago · buildcache`.
fn change_line(change: &TagChange, now: Time, full: bool) -> StyledLine {
    let what = match (change.what, change.bytes) {
        (TagChangeKind::Added, _) => "added".to_owned(),
        (TagChangeKind::Moved, _) => "moved".to_owned(),
        (TagChangeKind::Removed, _) => "removed".to_owned(),
        (TagChangeKind::CacheReplaced, Some(bytes)) => growth(bytes),
        (TagChangeKind::CacheReplaced, None) => "replaced".to_owned(),
    };
    let role = if change.what == TagChangeKind::Removed { Role::Warn } else { Role::Plain };
    let when = words::pad_right(&ago(now.since(change.at)), if full { 10 } else { 0 });
    let mut line = StyledLine::new().with(words::pad_right(&what, if full { 10 } else { 0 }), role);
    line.push(" · ", Role::Dim).push(when, Role::Plain).push(" · ", Role::Dim);
    line.push(change.tag.as_str(), Role::Plain);
    if full && change.added + change.removed > 0 {
        line.push(format!(" · {} blobs new, {} gone", change.added, change.removed), Role::Dim);
    }
    line
}

/// `basic, signed in · TLS 1.3 · registry/2.0`.
fn access(registry: &RegistrySnapshot) -> StyledLine {
    let mut parts = Vec::new();
    if let Some(auth) = &registry.auth {
        let mode = match auth.mode {
            AuthMode::None => "anonymous",
            AuthMode::Basic => "basic",
            AuthMode::Bearer => "token",
        };
        let signed = if auth.signed_in {
            ", signed in"
        } else if auth.mode == AuthMode::None {
            ""
        } else {
            ", not signed in"
        };
        parts.push(format!("{mode}{signed}"));
    }
    match &registry.tls {
        Some(version) => parts.push(version.to_string()),
        None if registry.url.as_str().starts_with("http://") => parts.push("plain http".to_owned()),
        None => {}
    }
    parts.extend(registry.api_version.as_ref().map(ToString::to_string));
    StyledLine::new().with(parts.join(" · "), Role::Plain)
}

fn service_facts<'a>(place: &PaneContext<'a>, service: &'a RegistryService, lines: &mut PaneLines<'a>) {
    let ready = service.pods.iter().filter(|pod| pod.state == PodState::Ready).count();
    let role = if ready < service.pods.len() { Role::Warn } else { Role::Plain };
    let mut pods = StyledLine::new().with(format!("{ready} of {} ready", service.pods.len()), role);
    let restarts: u64 = service.pods.iter().map(|pod| pod.restarts).sum();
    if restarts > 0 {
        pods.push(format!(" · {}", words::count(restarts as usize, "restart")), Role::Warn);
    }
    lines.fact("pods", &pods);
    if !service.service.is_empty() {
        let address = service.address.as_ref().map_or(String::new(), |address| format!(" {address}"));
        let ends = service
            .endpoints
            .as_ref()
            .map_or(String::new(), |ends| format!(" · {}", words::count(ends.len(), "endpoint")));
        let name = if place.width < 50 { String::new() } else { service.service.to_string() };
        lines.fact(
            "service",
            &StyledLine::new().with(format!("{name}{address}{ends}").trim_start(), Role::Plain),
        );
    }
    if !place.full {
        return;
    }
    for outside in &service.outside {
        lines.fact("outside", &StyledLine::new().with(outside.as_str(), Role::Plain));
    }
    if !service.port_forward.is_empty() {
        lines.fact("forward", &StyledLine::new().with(service.port_forward.as_str(), Role::Plain));
    }
    lines.section("Pods", "l shows their last lines");
    let (pods, ascii, now) = (&service.pods, place.ascii, place.now);
    for pod in pods.iter().filter(|pod| pod.state > PodState::Succeeded).take(MOST_ILL) {
        let mut why = Vec::new();
        why.extend(Some(pod.reason.to_string()).filter(|reason| !reason.is_empty()));
        if let Some(last) = &pod.last {
            let when = last.at.map(|at| format!(" {}", ago(now.since(at)))).unwrap_or_default();
            why.push(format!("ended last with {} ({}){when}", last.reason, last.exit_code));
        }
        let why = format!("{}: {}", pod.name, why.join("; "));
        lines.wrapped(why.trim_end_matches(": "), pod_sign(pod.state).3, place.width, usize::MAX);
        for warning in pod.warnings.iter().take(3) {
            let text = format!("{}: {}", warning.reason, warning.message);
            lines.wrapped(&text, Role::Dim, place.width, 2);
        }
    }
    lines
        .list(pods.len(), move |n| pods.get(n).map_or_else(StyledLine::new, |pod| pod_line(pod, now, ascii)));
}

/// Shape, word and colour of a pod's state.
pub(super) fn pod_sign(state: PodState) -> (&'static str, &'static str, &'static str, Role) {
    match state {
        PodState::Ready => ("●", "*", "ready", Role::Good),
        PodState::Succeeded => ("●", "*", "done", Role::Good),
        PodState::Unknown => ("?", "?", "unknown", Role::Dim),
        PodState::Terminating => ("◐", "~", "terminating", Role::Warn),
        PodState::Pending => ("◐", "~", "pending", Role::Warn),
        PodState::NotReady => ("▲", "!", "not ready", Role::Warn),
        PodState::CrashLooping => ("✗", "x", "crash loop", Role::Bad),
        PodState::Failed => ("✗", "x", "failed", Role::Bad),
    }
}

fn pod_line(pod: &ClusterPod, now: Time, ascii: bool) -> StyledLine {
    let (shape, plain, word, role) = pod_sign(pod.state);
    let mut line = StyledLine::new().with(format!("{} ", if ascii { plain } else { shape }), role);
    line.push(words::pad_right(word, 12), role);
    line.push(words::pad_right(&words::truncate(pod.name.as_str(), 40), 41), Role::Plain);
    line.push(format!("{}/{} ready ", pod.ready, pod.containers), Role::Plain);
    line.push(
        format!("{:>4} restarts ", pod.restarts),
        if pod.restarts > 0 { Role::Warn } else { Role::Dim },
    );
    let up = pod.started.map(|started| format!("up {}", words::age(now.since(started)))).unwrap_or_default();
    line.push(words::pad_right(&up, 10), Role::Plain);
    line.push(pod.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default(), Role::Plain);
    line
}

fn changes(place: &PaneContext<'_>, registry: &RegistrySnapshot, lines: &mut PaneLines<'_>) {
    if registry.changes.is_empty() {
        return;
    }
    lines.section("Changes", "since this session began, the newest first");
    for change in registry.changes.iter().rev() {
        lines.push(change_line(change, place.now, place.full));
    }
}

fn total(total: u64, more: bool) -> String {
    format!("{total}{} of the image", if more { " or more" } else { "" })
}

fn tags<'a>(place: &PaneContext<'a>, registry: &'a RegistrySnapshot, lines: &mut PaneLines<'a>) {
    let Some(tags) = &registry.tags else { return };
    let seen = ago(place.now.since(tags.looked));
    lines.section(
        "Tags",
        &format!("{}, {} opened, looked at {seen}", total(tags.total, tags.more), tags.opened),
    );
    let longest = tags.list.iter().map(|tag| words::width(tag.name.as_str())).max().unwrap_or(0);
    let wide = longest.clamp(8, place.width.saturating_sub(56).clamp(8, 60));
    let mut head = StyledLine::new().with("  ", Role::Dim);
    head.push(words::pad_right("tag", wide), Role::Dim);
    head.push(format!(" {:<11}{:>6}  {:>9}  {:<13} platforms", "", "size", "age", "digest"), Role::Dim);
    lines.push(head);
    // A tag keeps its place however often the list is looked at; the source has them newest first.
    let (list, now, ascii) = (&tags.list, place.now, place.ascii);
    lines.list(list.len(), move |n| {
        list.get(n).map_or_else(StyledLine::new, |tag| tag_line(tag, wide, now, ascii))
    });
}

fn tag_line(tag: &Tag, wide: usize, now: Time, ascii: bool) -> StyledLine {
    let (shape, plain, word, role) = match (tag.building, tag.cache) {
        (true, _) => ("▶", ">", "this build", Role::Busy),
        (false, true) => ("◆", "+", "cache", Role::Ran),
        (false, false) => (" ", " ", "", Role::Plain),
    };
    let mut line = StyledLine::new().with(format!("{} ", if ascii { plain } else { shape }), role);
    let name = words::truncate(tag.name.as_str(), wide);
    line.push(words::pad_right(&name, wide), if tag.building { Role::Strong } else { Role::Plain });
    line.push(format!(" {word:<11}"), role);
    let size = tag.bytes.map(words::bytes).unwrap_or_default();
    let age = tag.created.map(|created| old(now.since(created))).unwrap_or_default();
    line.push(format!("{size:>6}  {age:>9}  "), Role::Plain);
    let digest = tag.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    let digest = digest.strip_prefix("sha256:").unwrap_or(&digest);
    line.push(format!("{:<13} ", words::head(digest, 12)), Role::Dim);
    let platforms: Vec<&str> = tag.platforms.iter().map(Platform::short).collect();
    line.with(platforms.join(" "), Role::Plain)
}
