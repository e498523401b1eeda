use super::*;
use crate::event::builder::{Amount, GcRule, PlatformPlace};
use crate::event::registry::{Latency, RegistrySnapshot};
use crate::event::{Event, Platform, Stamped, Watching};

fn secs(secs: u64) -> Time {
    Time::default().plus(Duration::from_secs(secs))
}

fn model(events: impl IntoIterator<Item = Event>) -> Model {
    let mut model = Model::default();
    for event in events {
        model.apply(&Stamped { at: secs(1000), event });
    }
    model
}

fn text(health: &PartHealth) -> String {
    let mut text = String::new();
    health.line(false).write(false, &mut text);
    text.trim_end().to_owned()
}

fn line(part: AroundPart, event: Event, now: u64) -> (HealthGrade, String) {
    let health = PartHealth::of(part, &model([event]), secs(now));
    (health.grade, text(&health))
}

fn registry(state: RegistryState, reason: &str, cache: CacheState, answered: u64) -> Event {
    let cache = CacheTag {
        name: "buildcache".into(),
        state: cache,
        bytes: 195_000_000,
        config_bytes: 1_300_000,
        newest: Some(secs(870)),
        ..CacheTag::default()
    };
    Event::Registry(Box::new(RegistrySnapshot {
        state,
        reason: reason.into(),
        asked: secs(1000),
        answered: Some(secs(answered)),
        next_us: 2_000_000,
        latency: Some(Latency { last_us: 2_100, ..Latency::default() }),
        cache: Some(cache),
        ..RegistrySnapshot::default()
    }))
}

#[test]
fn a_registry_in_one_line() {
    let of = |event, now| line(AroundPart::Registry, event, now);
    let well = registry(RegistryState::Ok, "", CacheState::Present, 1000);
    assert_eq!(
        of(well.clone(), 1001),
        (HealthGrade::Well, "● registry ok 3 ms · cache 195 MB, 2 min old".into())
    );
    let stale = "● registry ok 3 ms · cache 195 MB, 3 min old · last answer 1 min ago".to_owned();
    assert_eq!(of(well, 1061), (HealthGrade::Well, stale));
    let down = registry(RegistryState::Down, "nothing listens there", CacheState::Present, 960);
    let expected = "✗ registry down · nothing listens there · cache 195 MB, 2 min old · last answer 40 s ago";
    assert_eq!(of(down, 1000), (HealthGrade::Ill, expected.to_owned()));
    let large = registry(RegistryState::Ok, "", CacheState::TooLarge, 1000);
    let expected = "▲ registry cache unusable 3 ms · cache can't be imported: config 1.3 MB, over 1 MiB";
    assert_eq!(of(large, 1000), (HealthGrade::Poor, expected.to_owned()));
}

#[test]
fn what_is_stale_is_greyed_and_what_is_ill_is_not() {
    let well = model([registry(RegistryState::Ok, "", CacheState::Present, 1000)]);
    let health = PartHealth::of(AroundPart::Registry, &well, secs(1100));
    assert!(health.stale && health.sign.role == Role::Dim);
    assert!(health.facts.iter().all(|(_, role)| *role == Role::Dim), "{health:?}");
    let down = model([registry(RegistryState::Down, "why", CacheState::Present, 900)]);
    let health = PartHealth::of(AroundPart::Registry, &down, secs(1000));
    assert!(health.stale && health.sign.role == Role::Bad);
    assert_eq!(health.facts[0], ("why".to_owned(), Role::Bad));
}

fn builder(states: &[builder::BuilderHealth], platforms: &[(&str, Execution)]) -> Event {
    let node = |(i, state): (usize, &builder::BuilderHealth)| BuilderNode {
        name: format!("b{i}").as_str().into(),
        state: *state,
        buildkit_version: Some("v0.25.1".into()),
        gc: vec![GcRule { max_used: 60_000_000_000, ..GcRule::default() }],
        usage: Some(Usage { total: Amount { records: 1, bytes: 41_000_000_000 }, ..Usage::default() }),
        ..BuilderNode::default()
    };
    let place = |(platform, execution): &(&str, Execution)| PlatformPlace {
        platform: Platform::parse(platform).unwrap(),
        node: Some("b0".into()),
        execution: *execution,
    };
    let worst = states.iter().max().copied().unwrap_or_default();
    Event::Builder(Box::new(BuilderSnapshot {
        name: "b".into(),
        state: worst,
        nodes: states.iter().enumerate().map(node).collect(),
        platforms: platforms.iter().map(place).collect(),
        ..BuilderSnapshot::default()
    }))
}

#[test]
fn a_builder_in_one_line() {
    let of = |event| line(AroundPart::Builder, event, 1001);
    let (grade, shown) = of(builder(&[builder::BuilderHealth::Ok], &[]));
    assert_eq!(
        (grade, shown.as_str()),
        (HealthGrade::Well, "● builder running · BuildKit 0.25.1 · cache 41 of 60 GB")
    );
    let (grade, shown) = of(builder(&[builder::BuilderHealth::Stopped], &[]));
    assert_eq!((grade, shown.starts_with("✗ builder stopped")), (HealthGrade::Ill, true));
    let unset = PartHealth::of(AroundPart::Builder, &Model::default(), secs(0));
    assert_eq!((unset.grade, text(&unset).as_str()), (HealthGrade::Off, "– builder not watched"));
}

#[test]
fn nodes_and_platforms_in_one_line() {
    use builder::BuilderHealth::{Ok, Stopped, Unknown};
    let of = |event| line(AroundPart::Nodes, event, 1001);
    let arm = [("linux/amd64", Execution::Native), ("linux/arm64", Execution::Emulated)];
    for (event, expected) in [
        (
            builder(&[Ok, Ok], &arm),
            (HealthGrade::Well, "● nodes ready · 2 of 2 up · linux/arm64 emulated on b0"),
        ),
        (builder(&[Ok, Stopped], &[]), (HealthGrade::Poor, "▲ nodes not ready · 1 of 2 up · b1 not ready")),
        (builder(&[Unknown], &[]), (HealthGrade::Unknown, "· nodes unknown · 1 not known yet")),
        (
            builder(&[Ok, Unknown], &[]),
            (HealthGrade::Unknown, "· nodes unknown · 1 of 1 up, 1 not known yet"),
        ),
        (
            builder(&[Ok], &[("linux/s390x", Execution::Unsupported)]),
            (HealthGrade::Ill, "✗ nodes incomplete · 1 of 1 up · no node builds linux/s390x"),
        ),
    ] {
        assert_eq!(of(event), (expected.0, expected.1.to_owned()));
    }
}

#[test]
fn what_is_not_configured_says_what_to_add_and_fits() {
    let watching =
        Watching { registry: WatchState::NotConfigured, builder: WatchState::On, ..Watching::default() };
    let model = model([Event::Watching(watching)]);
    let [registry, nodes, builder] = PartHealth::all(&model, secs(0));
    assert_eq!(registry.grade, HealthGrade::Off);
    assert!(text(&registry).contains("[image] in layertop.toml") && registry.line(false).width() <= 80);
    assert_eq!([text(&nodes), text(&builder)], ["· nodes asking", "· builder asking"]);
    assert!(!nodes.grade.is_fault());
}

#[test]
fn words_are_no_wider_than_others() {
    for state in [
        RegistryState::Unknown,
        RegistryState::NotResolved,
        RegistryState::Unauthorized,
        RegistryState::NotRegistry,
    ] {
        assert!(words::width(of_registry(state).1.word) <= Sign::WORD_WIDTH);
    }
    for state in [
        builder::BuilderHealth::Unreachable,
        builder::BuilderHealth::EngineDown,
        builder::BuilderHealth::EngineSilent,
        builder::BuilderHealth::OomKilled,
    ] {
        assert!(words::width(of_builder(state).1.word) <= Sign::WORD_WIDTH);
    }
}

fn cluster(states: &[NodeState]) -> Event {
    let node = |(i, state): (usize, &NodeState)| cluster::ClusterNode {
        name: format!("c{i}").as_str().into(),
        state: *state,
        ..cluster::ClusterNode::default()
    };
    Event::Cluster(Box::new(cluster::ClusterSnapshot {
        state: ApiState::Ok,
        nodes: states.iter().enumerate().map(node).collect(),
        ..cluster::ClusterSnapshot::default()
    }))
}

/// The cluster's nodes and the builder's are not the same machines, and one that has not been heard of is none that is down.
#[test]
fn nodes_of_the_cluster_and_of_the_builder_are_counted_apart() {
    use builder::BuilderHealth::{Ok, Unknown};
    let cluster = || cluster(&[NodeState::Ready, NodeState::NotReady, NodeState::Cordoned]);
    let of = |events: Vec<Event>| text(&PartHealth::of(AroundPart::Nodes, &model(events), secs(1001)));
    let asked = of(vec![cluster(), builder(&[Unknown], &[])]);
    assert_eq!(
        asked, "▲ nodes not ready · cluster 2 of 3 up · builder 1 not known yet · c1 not ready",
        "the builder has not answered yet"
    );
    let known = of(vec![cluster(), builder(&[Ok], &[])]);
    assert_eq!(known, "▲ nodes not ready · cluster 2 of 3 up · builder 1 of 1 up · c1 not ready");
    assert_eq!(of(vec![cluster()]), "▲ nodes not ready · 2 of 3 up · c1 not ready");
}

/// What is wrong with the builder's only machine is what is wrong with the builder: its line says it.
#[test]
fn a_reason_is_said_once() {
    let Event::Builder(mut snapshot) = builder(&[builder::BuilderHealth::Stopped], &[]) else { return };
    (snapshot.reason, snapshot.hint) = ("b0 has ended".into(), "docker buildx inspect b --bootstrap".into());
    for node in &mut snapshot.nodes {
        (node.reason, node.hint) = (snapshot.reason.clone(), snapshot.hint.clone());
    }
    let told = model([Event::Builder(snapshot)]);
    let mut page = String::new();
    for line in crate::report::status::lines(&told, secs(1001), 200, false) {
        line.write(false, &mut page);
    }
    for once in ["b0 has ended", "docker buildx inspect b --bootstrap"] {
        assert_eq!(page.matches(once).count(), 1, "{page}");
    }
    let lines = PartHealth::all(&told, secs(1001)).map(|health| text(&health)).join("\n");
    assert_eq!(lines.matches("b0 has ended").count(), 1, "{lines}");
}
