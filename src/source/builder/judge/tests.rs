use super::engine::{EngineFault, EngineFaultKind};
use super::*;
use crate::event::builder::EngineFacts;

fn definition(driver: Driver, nodes: &[(&str, &[&str])]) -> BuilderDefinition {
    let node = |(name, platforms): &(&str, &[&str])| NodeDefinition {
        name: (*name).to_owned(),
        endpoint: "unix:///x.sock".to_owned(),
        host: Some(super::super::instance::EngineAddress::Unix("/x.sock".to_owned())),
        platforms: parse(platforms),
        ..NodeDefinition::default()
    };
    BuilderDefinition { name: "b".to_owned(), driver, nodes: nodes.iter().map(node).collect() }
}

fn parse(platforms: &[&str]) -> Vec<Platform> {
    platforms.iter().filter_map(|text| Platform::parse(text)).collect()
}

/// A node that is well: on this machine, with these platforms in its `BuildKit`.
fn well(native: &str, platforms: &[&str]) -> NodeReadings {
    NodeReadings {
        engine: Some(engine::EngineReading {
            facts: Some(EngineFacts::default()),
            native: Platform::parse(native),
            container: Some(BuilderContainer {
                name: "c".into(),
                status: "running".into(),
                ..BuilderContainer::default()
            }),
            asked: true,
            ..engine::EngineReading::default()
        }),
        kit: Some(buildkit::BuildkitReading {
            latency_us: Some(900),
            platforms: parse(platforms),
            ..buildkit::BuildkitReading::default()
        }),
    }
}

fn container(change: impl FnOnce(&mut BuilderContainer)) -> NodeReadings {
    let mut known = well("linux/amd64", &["linux/amd64"]);
    change(known.engine.as_mut().unwrap().container.as_mut().unwrap());
    known
}

#[test]
fn each_state_has_its_words_and_its_remedy() {
    let with_engine = |change: &dyn Fn(&mut engine::EngineReading)| {
        let mut known = well("linux/amd64", &["linux/amd64"]);
        change(known.engine.as_mut().unwrap());
        known
    };
    let with_kit = |change: &dyn Fn(&mut buildkit::BuildkitReading)| {
        let mut known = well("linux/amd64", &["linux/amd64"]);
        change(known.kit.as_mut().unwrap());
        known
    };
    let bootstrap = "docker buildx inspect b --bootstrap";
    let trouble = |kind, detail: &str| {
        with_engine(&|e| e.error = Some(EngineFault { kind, detail: detail.to_owned() }))
    };
    let cases = [
        (well("linux/amd64", &["linux/amd64"]), BuilderHealth::Ok, "", ""),
        (NodeReadings::default(), BuilderHealth::Unknown, "", ""),
        (
            with_engine(&|e| e.container = None),
            BuilderHealth::Gone,
            "no container buildx_buildkit_b0",
            bootstrap,
        ),
        (container(|c| c.status = "paused".into()), BuilderHealth::Paused, "c is paused", "docker unpause c"),
        (
            container(|c| c.status = "restarting".into()),
            BuilderHealth::Restarting,
            "is restarted",
            "docker logs",
        ),
        (container(|c| c.status = "created".into()), BuilderHealth::Stopped, "never started", bootstrap),
        (
            container(|c| (c.status, c.exit_code) = ("exited".into(), Some(137))),
            BuilderHealth::Stopped,
            "exit code 137",
            bootstrap,
        ),
        (
            container(|c| (c.status, c.oom_killed) = ("exited".into(), true)),
            BuilderHealth::OomKilled,
            "want of memory",
            bootstrap,
        ),
        (container(|c| c.oom_killed = true), BuilderHealth::Ok, "want of memory", "memory=…"),
        (
            trouble(EngineFaultKind::NotThere, "No such file or directory"),
            BuilderHealth::EngineDown,
            "unix:///x.sock does not run: No such file",
            "sudo systemctl start docker",
        ),
        (
            trouble(EngineFaultKind::Silent, "no answer in 3 s"),
            BuilderHealth::EngineSilent,
            "unix:///x.sock takes the connection and hangs, or is stopped: no answer in 3 s",
            "sudo systemctl restart docker",
        ),
        (
            trouble(EngineFaultKind::NoRoute, "nobody takes the call"),
            BuilderHealth::NoRoute,
            "there is no way to",
            "ping",
        ),
        (
            trouble(EngineFaultKind::Denied, "Permission denied"),
            BuilderHealth::EngineDown,
            "may not be used",
            "usermod",
        ),
        (
            trouble(EngineFaultKind::Failing, "500"),
            BuilderHealth::EngineDown,
            "does not answer: 500",
            "docker info",
        ),
        (
            with_kit(&|k| k.error = Some("connection refused".to_owned())),
            BuilderHealth::Unreachable,
            "connection refused",
            "docker logs --tail 20 buildx_buildkit_b0",
        ),
        (with_kit(&|k| k.latency_us = Some(2_500_000)), BuilderHealth::Slow, "2.5 s", "load"),
    ];
    let definition = definition(Driver::Container, &[("b0", &[])]);
    for (known, state, reason, hint) in cases {
        let found = builder(&definition, std::slice::from_ref(&known), &[]);
        assert_eq!(found.state, state, "{known:?}");
        assert_eq!(found.state, found.nodes[0].state);
        assert!(found.reason.as_str().contains(reason), "{reason}: {}", found.reason);
        assert!(found.hint.as_str().contains(hint), "{hint}: {}", found.hint);
        assert_eq!(found.reason.is_empty(), reason.is_empty(), "{}", found.reason);
    }
}

#[test]
fn where_the_engine_can_not_be_asked_the_docker_command_tells() {
    let definition = definition(Driver::Container, &[("b0", &[])]);
    for (error, state) in [
        ("Error response from daemon: No such container: buildx_buildkit_b0", BuilderHealth::Gone),
        ("Error response from daemon: container 1f is not running", BuilderHealth::Stopped),
        (
            "Error response from daemon: Container b0 is paused, unpause the container before exec",
            BuilderHealth::Paused,
        ),
        (
            "Cannot connect to the Docker daemon at ssh://h. Is the docker daemon running?",
            BuilderHealth::EngineDown,
        ),
        ("what else there is", BuilderHealth::Unreachable),
    ] {
        let kit = buildkit::BuildkitReading {
            error: Some(error.to_owned()),
            ..buildkit::BuildkitReading::default()
        };
        let known = NodeReadings { engine: Some(engine::EngineReading::default()), kit: Some(kit) };
        assert_eq!(builder(&definition, &[known], &[]).state, state, "{error}");
    }
}

#[test]
fn one_dead_node_leaves_a_builder_that_works_in_part() {
    let definition = definition(Driver::Container, &[("b0", &[]), ("b1", &[])]);
    let dead = container(|c| c.status = "exited".into());
    let found = builder(&definition, &[well("linux/amd64", &[]), dead.clone()], &[]);
    assert_eq!(found.state, BuilderHealth::Partial);
    assert!(found.reason.as_str().starts_with("1 of 2 nodes answer; b1: "), "{}", found.reason);
    assert_eq!(builder(&definition, &[dead.clone(), dead], &[]).state, BuilderHealth::Stopped);
}

#[test]
fn platforms_go_where_buildx_sends_them() {
    let wanted = parse(&["linux/amd64", "linux/arm64", "linux/386", "linux/s390x"]);
    let places =
        |definition: &BuilderDefinition, known: &[NodeReadings]| -> Vec<(Option<String>, Execution)> {
            let found = builder(definition, known, &wanted);
            found.platforms.into_iter().map(|p| (p.node.map(|n| n.to_string()), p.execution)).collect()
        };
    let on = |node: &str, execution| (Some(node.to_owned()), execution);
    let amd = || well("linux/amd64", &["linux/amd64", "linux/arm64", "linux/386"]);

    let one = definition(Driver::Container, &[("b0", &[])]);
    assert_eq!(
        places(&one, &[amd()]),
        [
            on("b0", Execution::Native),
            on("b0", Execution::Emulated),
            on("b0", Execution::Native),
            on("b0", Execution::Unsupported)
        ]
    );
    // What was given by hand goes first, and is believed as long as its BuildKit was not heard.
    let two = definition(Driver::Container, &[("b0", &[]), ("b1", &["linux/arm64", "linux/s390x"])]);
    assert_eq!(
        places(&two, &[amd(), well("linux/arm64", &["linux/arm64/v8"])]),
        [
            on("b0", Execution::Native),
            on("b1", Execution::Native),
            on("b0", Execution::Native),
            on("b1", Execution::Unsupported)
        ]
    );
    let unknown = (None, Execution::Unknown);
    assert_eq!(
        places(&two, &[NodeReadings::default(), NodeReadings::default()]),
        [unknown.clone(), on("b1", Execution::Unknown), unknown, on("b1", Execution::Unknown)]
    );
    // A build that asks for no platform is one for the machine.
    let natural = builder(&one, &[amd()], &[]).platforms;
    assert_eq!(natural.len(), 1);
    assert_eq!((natural[0].platform.as_str(), natural[0].execution), ("linux/amd64", Execution::Native));
}
