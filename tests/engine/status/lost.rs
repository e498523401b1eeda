//! Builders that are lost in the middle of a build: what is said of them is how they are then, with what can be done about it.

use std::cell::Cell;

use nix::sys::signal::Signal;

use crate::status::Own;
use crate::support::live::Live;
use crate::support::process::{Ended, Project};
use crate::support::second::{self, Second};
use crate::support::testbed::{Engine, For, docker};

/// A project with a step that waits for ever.
fn endless(engine: &Engine, builder: &str) -> Project {
    let project = engine.project("FROM BASE\nRUN echo MARKER; sleep 600\n");
    project.write("layertop.toml", &format!("[build]\nbuilder = \"{builder}\"\n"));
    project
}

/// A build whose endless step runs, on a builder that is known to be well.
fn begun(project: &Project, words: &[&str], host: Option<&str>) -> Live {
    let mut command = project.layertop(&[&["build"], words].concat());
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    let mut build = Live::start(&mut command);
    let (runs, is_well) = (Cell::new(false), Cell::new(false));
    while !(runs.get() && is_well.get()) {
        build.until(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            let found = event["type"] == "log" && line.contains(&project.marker)
                || line.contains(&format!("| {}", project.marker));
            let well =
                event["type"] == "builder" && event["state"] == "ok" || line.starts_with("● builder running");
            runs.set(runs.get() || found);
            is_well.set(is_well.get() || well);
            found || well
        });
    }
    build
}

fn builder_of(ended: &Ended) -> serde_json::Value {
    ended.summary()["health"]["builder"].clone()
}

#[test]
fn a_container_that_is_removed_is_gone_in_the_summary() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let own = Own(format!("lt-lost-{}", std::process::id()));
    let image = format!("image={}/testbed/buildkit-bridge:latest,network=host", engine.registry);
    let words = ["buildx", "create", "--name", &own.0, "--driver", "docker-container", "--bootstrap"];
    docker(&[&words[..], &["--driver-opt", &image]].concat());
    let project = endless(&engine, &own.0);
    let build = begun(&project, &["--progress", "json"], None);
    docker(&["rm", "--force", &format!("buildx_buildkit_{}0", own.0)]);
    let ended = build.end();
    assert!(ended.code().is_some_and(|code| code != 0), "{ended:?}");
    let seen = builder_of(&ended);
    assert_eq!(seen["state"], "gone", "{seen}");
    let said = |name: &str| seen[name].as_str().unwrap();
    assert!(said("reason").contains("there is no container"), "{seen}");
    assert_eq!(said("hint"), format!("docker buildx inspect {} --bootstrap", own.0));
}

#[test]
fn an_engine_that_ends_is_down_in_the_summary() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let Some(second) = Second::start(&engine, &serde_json::json!({}), &[]) else { return };
    let project = endless(&engine, second::BUILDER);
    let words = [&["--progress", "json"][..], &second::WORDS].concat();
    let build = begun(&project, &words, Some(&second.host()));
    second.signal(Signal::SIGKILL);
    let ended = build.end();
    let seen = builder_of(&ended);
    assert_eq!(seen["state"], "engine_down", "{seen}");
    assert!(seen["reason"].as_str().unwrap().contains("does not run"), "{seen}");
    assert_eq!(seen["hint"], "sudo systemctl start docker");
}

#[test]
fn an_engine_that_hangs_for_a_while_is_told_of_when_it_does_and_when_it_is_back() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let Some(second) = Second::start(&engine, &serde_json::json!({}), &[]) else { return };
    let project = endless(&engine, second::BUILDER);
    let words = [&["--progress", "plain"][..], &second::WORDS].concat();
    let mut build = begun(&project, &words, Some(&second.host()));
    second.signal(Signal::SIGSTOP);
    build.until(|line| {
        line.starts_with("✗ builder engine hung · the Docker engine at unix://")
            && line.contains("sudo systemctl restart docker")
    });
    second.signal(Signal::SIGCONT);
    build.until(|line| line.starts_with("● builder running") && line.contains("again"));
    build.send(Signal::SIGINT);
    let ended = build.end();
    assert_eq!(ended.code(), Some(130), "{ended:?}");
    // Each change is said once.
    let told: Vec<&str> = ended
        .stdout
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.contains(" builder "))
        .collect();
    let states: Vec<bool> = told.iter().map(|line| line.starts_with('●')).collect();
    assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "{told:#?}");
}

/// What was cancelled ends as cancelled, however it had to be ended: its code is no signal's.
#[test]
fn the_second_interrupt_ends_a_build_whose_engine_hangs() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let Some(second) = Second::start(&engine, &serde_json::json!({}), &[]) else { return };
    let project = endless(&engine, second::BUILDER);
    let words = [&["--progress", "json"][..], &second::WORDS].concat();
    let host = second.host();
    // In the middle of a build, and where the engine has hung before the build has begun.
    for hangs_before in [false, true] {
        let mut build = if hangs_before {
            second.signal(Signal::SIGSTOP);
            let mut command = project.layertop(&[&["build"], &words[..]].concat());
            Live::start(command.env("DOCKER_HOST", &host))
        } else {
            let build = begun(&project, &words, Some(&host));
            second.signal(Signal::SIGSTOP);
            build
        };
        build.until_event(|event| event["type"] == "builder" && event["state"] == "engine_silent");
        for count in 1..=2 {
            assert!(build.is_running(), "before {count}");
            build.send(Signal::SIGINT);
            build.until_event(|event| event["type"] == "cancelling" && event["count"] == count);
        }
        let ended = build.end();
        second.signal(Signal::SIGCONT);
        assert_eq!(ended.code(), Some(130), "{hangs_before}: {}", ended.stderr);
        let summary = ended.summary();
        assert_eq!((&summary["result"], &summary["exit_code"]), (&"cancelled".into(), &130.into()));
    }
}
