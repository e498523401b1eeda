//! What is built, by options, environment and configuration.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::live::Live;
use crate::support::process::{Ended, run};
use crate::support::testbed::{Engine, For, docker};

const STAGES: &str = "FROM BASE AS tools
RUN echo tool MARKER > /tool
FROM BASE AS unused
RUN echo unused MARKER
FROM tools AS test
RUN echo test MARKER
FROM BASE AS app
WORKDIR /app/MARKER
COPY --from=tools /tool /tool
RUN cat /tool
";

/// Stage, index, state of each step.
fn steps(ended: &Ended) -> Vec<(String, u64, String)> {
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let steps = summary["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| (text(&step["stage"]), step["index"].as_u64().unwrap(), text(&step["state"])))
        .collect()
}

fn states(steps: &[(String, u64, String)], stage: &str) -> Vec<(u64, String)> {
    // The base image is one vertex for all stages, and whether it had to be pulled is the machine's affair.
    let of = steps.iter().filter(|step| step.0 == stage && step.1 > 1);
    of.map(|step| (step.1, step.2.clone())).collect()
}

#[test]
fn stages_and_a_target() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(STAGES);
    let miss = |index| (index, "miss".to_owned());

    let whole = steps(&run(&mut project.layertop(&["build", "--progress", "json"])));
    assert_eq!(states(&whole, "app"), [miss(2), miss(3), miss(4)]);
    assert_eq!(states(&whole, "tools"), [miss(2)]);
    assert_eq!(states(&whole, "unused"), []);
    assert_eq!(states(&whole, "test"), []);
    assert_eq!(whole[0].0, "app", "the stage that becomes the image comes first");

    let target = run(&mut project.layertop(&["build", "--progress", "json", "--target", "test"]));
    let target = steps(&target);
    assert_eq!(states(&target, "tools"), [(2, "hit".to_owned())]);
    assert!(target.iter().any(|step| step.0 == "test" && step.2 == "miss"), "{target:?}");
    assert!(target.iter().all(|step| step.0 == "test" || step.0 == "tools"), "{target:?}");

    let typed = steps(&run(&mut project.layertop(&["build", "--progress", "json", "--", "--target=unused"])));
    assert_eq!(states(&typed, "unused"), [miss(2)]);
    assert!(typed.iter().all(|step| step.0 == "unused"), "{typed:?}");
}

#[test]
fn without_a_name_nothing_is_pushed() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER\n");
    let ended = run(project.layertop(&["build", "--progress", "json"]).env("REGISTRY", &engine.registry));
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert!(summary["image"].is_null(), "{summary}");
    assert_eq!(summary["cache"]["export"]["state"], "none");
    let started = ended.events().into_iter().find(|event| event["type"] == "started").unwrap();
    assert!(!started["command"].to_string().contains("push"), "{started}");
    // What others build on this builder meanwhile is told too, and is no vertex of this one.
    let exports =
        |event: &Value| event["type"] == "vertex" && event["name"].to_string().contains("exporting to image");
    assert!(!ended.events().iter().any(exports), "{}", ended.stdout);
}

#[test]
fn a_typed_load_replaces_the_configured_push() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER\n");
    let image =
        format!("[image]\nregistry = \"127.0.0.1:1\"\nname = \"{}\"\n[build]\npush = true\n", project.marker);
    project.write("layertop.toml", &image);
    let tag = format!("layertop-test/{}:loaded", project.marker);
    let words = ["build", "--progress", "json", "--builder", "default", "--", "--load", "-t", &tag];
    let ended = run(&mut project.layertop(&words));
    assert_eq!(ended.code(), Some(0), "the registry, where nobody listens, is not asked: {}", ended.stderr);
    assert_eq!(ended.summary()["image"], tag.as_str());
    assert_eq!(docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", &tag]).trim(), tag);
    docker(&["image", "rm", &tag]);
}

#[test]
fn the_environment_overrides_a_configuration_that_is_found_upward() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nCOPY here /here\nRUN echo MARKER\n");
    let config = fs::read_to_string(project.folder().join("layertop.toml")).unwrap();
    let image = "[image]\nregistry = \"127.0.0.1:1\"\nname = \"layertop-test/override\"\ntag = \"never\"\n\
                 platforms = [\"linux/s390x\"]\n";
    project.write("layertop.toml", &format!("{image}{config}push = true\n"));
    project.write("here", "");
    project.write("deep/below/there", "");
    let mut command = project.layertop(&["build", "--progress", "json"]);
    command.current_dir(project.folder().join("deep/below"));
    command
        .env("REGISTRY", &engine.registry)
        .env("TAG", &project.marker)
        .env("PLATFORMS", "linux/amd64,linux/arm64");
    let ended = run(&mut command);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    let image = format!("{}/layertop-test/override:{}", engine.registry, project.marker);
    assert_eq!(summary["image"], image.as_str());
    assert_eq!(summary["platforms"], serde_json::json!(["linux/amd64", "linux/arm64"]));
    let pushed = docker(&["buildx", "imagetools", "inspect", &image]);
    assert!(pushed.contains("linux/amd64") && pushed.contains("linux/arm64"), "{pushed}");
}

#[test]
fn steps_that_a_build_beside_it_has_named_are_its_own_all_the_same() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let other = engine.project("FROM BASE\nWORKDIR /shared\nRUN echo MARKER; sleep 600\n");
    let mut beside = Live::start(&mut other.layertop(&["build", "--progress", "json"]));
    beside.until_event(|event| event["type"] == "log");

    let project = engine.project("FROM BASE\nWORKDIR /shared\nRUN echo MARKER\nCOPY . .\nWORKDIR /own\n");
    let words = ["build", "--progress", "json", "--platform", "linux/amd64,linux/arm64"];
    let ended = run(&mut project.layertop(&words));
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let borrowed = |event: &serde_json::Value| {
        event["type"] == "vertex" && event["name"].as_str().unwrap().contains("/3] WORKDIR /shared")
    };
    assert!(
        ended.events().iter().any(borrowed),
        "the builder has given the other build's name: {}",
        ended.stdout
    );
    let summary = ended.summary();
    for platform in ["linux/amd64", "linux/arm64"] {
        let own = summary["steps"].as_array().unwrap().iter().filter(|step| step["platform"] == platform);
        let places: Vec<_> =
            own.map(|step| (step["index"].as_u64().unwrap(), step["of"].as_u64().unwrap())).collect();
        assert_eq!(places, [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)], "{platform}");
    }
    assert_eq!(summary["layers"]["total"], 10);

    beside.send(Signal::SIGINT);
    assert_eq!(beside.end().code(), Some(130));
}
