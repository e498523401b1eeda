//! How registry, nodes and builder are, as the program says it: `status`, the dashboard, and beside a build. Registries and
//! builders are the test's own, and are stopped, hang and come back.
//!
//! What needs an engine runs where `LAYERTOP_TEST_ENGINE_UP` is set, as all on an engine.

mod helpers;
mod in_cluster;
mod lost;
mod quitting;

use std::process::Command;
use std::sync::Arc;

use layertop::report::json;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::live::Live;
use crate::support::process::{Ended, Project, run};
use crate::support::server::{Registry, certificates};
use crate::support::terminal::Setup;
use crate::support::testbed::{BUILDER, Engine, For, docker};
use crate::support::{content, server, testbed};

const IMAGE: &str = "montage-ai";

/// A project whose image is in this registry.
fn project(registry: &str, builder: &str, more: &str) -> Project {
    let project = Project::new();
    project.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /a\n");
    project.write(
        "layertop.toml",
        &format!(
            "[image]\nregistry = \"{registry}\"\nname = \"{IMAGE}\"\ntag = \"my-feature\"\n\
             platforms = [\"linux/amd64\", \"linux/arm64\"]\n[build]\nbuilder = \"{builder}\"\ncache = \"buildcache\"\n{more}"
        ),
    );
    project
}

/// An image of two platforms, and a cache that has most of it.
fn fill(registry: &Registry) {
    let part = |architecture, content: &[&str]| {
        content::image(registry, IMAGE, None, architecture, "2026-11-22T11:00:00Z", content)
    };
    let parts = vec![part("amd64", &["base", "amd"]), part("arm64", &["base", "arm", "not cached"])];
    content::index(registry, IMAGE, "my-feature", parts);
    content::cache(registry, IMAGE, "buildcache", false, 7374, &["base", "amd", "arm"]);
}

/// An engine that is not there, and no configuration of docker's.
fn without_engine(command: &mut Command, project: &Project) {
    command.env("DOCKER_HOST", format!("unix://{}", project.beside("no-engine.sock").display()));
    command.env("DOCKER_CONFIG", project.beside("docker")).env_remove("DOCKER_CONTEXT");
}

fn status(project: &Project) -> Command {
    project.layertop(&["status", "--progress", "json"])
}

/// The one object that was written, which is as its schema says.
fn object(ended: &Ended) -> Value {
    let lines = ended.events();
    let [only] = lines.as_slice() else { panic!("{ended:?}") };
    if let Err(error) = jsonschema::validate(&json::schema(), only) {
        panic!("{error} in {only}");
    }
    assert_eq!((&only["type"], &only["well"]), (&"health".into(), &(ended.code() == Some(0)).into()));
    only.clone()
}

#[test]
fn a_registry_is_told_of_where_there_is_no_engine() {
    if server::is_missing() {
        return;
    }
    let registry = Registry::open();
    fill(&registry);
    let project = project(&registry.address(), "nobody", "");
    let mut command = status(&project);
    without_engine(&mut command, &project);
    let ended = run(&mut command);
    assert_eq!(ended.code(), Some(3), "{ended:?}");
    let said = object(&ended);
    let seen = &said["registry"];
    assert_eq!((&seen["state"], &seen["reason"]), (&"ok".into(), &"".into()));
    assert_eq!(seen["url"], format!("http://{}", registry.address()));
    assert_eq!(seen["auth"]["mode"], "none");
    let latency = |name: &str| seen[name].as_f64().unwrap();
    assert!(latency("latency_ms") > 0.0 && latency("latency_p95_ms") >= latency("latency_p50_ms"));
    let cache = &seen["cache"];
    assert_eq!((&cache["state"], &cache["kind"]), (&"present".into(), &"image_manifest".into()));
    assert_eq!((cache["blobs"].as_u64(), cache["config_bytes"].as_u64()), (Some(3), Some(7374)));
    assert_eq!(cache["platforms"][1]["held"].as_u64(), Some(2), "{cache}");
    assert_eq!(seen["tags"][0]["name"], "my-feature");
    assert_eq!(said["cluster"]["state"], "not_configured");
    assert_eq!(said["builder"]["state"], "gone", "{}", said["builder"]);
    assert!(said["builder"]["reason"].as_str().unwrap().contains("nobody"));
}

#[test]
fn a_cluster_that_can_not_be_asked_costs_the_others_nothing() {
    if server::is_missing() {
        return;
    }
    let registry = Registry::open();
    let more = "[kubernetes]\nkubeconfig = \"none.yaml\"\n";
    let state = |more: &str| {
        let project = project(&registry.address(), "nobody", more);
        let mut command = status(&project);
        without_engine(&mut command, &project);
        object(&run(&mut command))
    };
    let said = state(more);
    assert_eq!(said["cluster"]["state"], "bad_config", "{said}");
    assert!(said["cluster"]["reason"].as_str().unwrap().contains("none.yaml"), "{said}");
    assert_eq!(said["registry"]["state"], "no_repository");
    assert_eq!(state(&format!("{more}enabled = false\n"))["cluster"]["state"], "not_configured");
}

#[test]
fn what_is_not_configured_is_said_with_what_to_add() {
    let project = Project::new();
    project.write("Dockerfile", "FROM scratch\n");
    let mut command = status(&project);
    without_engine(&mut command, &project);
    let said = object(&run(&mut command));
    assert_eq!(said["registry"]["state"], "not_configured");
    assert!(said["registry"]["reason"].as_str().unwrap().contains("[image] in layertop.toml"));

    let mut command = project.layertop(&["status"]);
    without_engine(&mut command, &project);
    let ended = run(&mut command);
    assert!(ended.stdout.starts_with("registry  – not set · add registry and name"), "{ended:?}");
    assert!(!ended.stdout.contains('\x1b'));
}

#[test]
fn a_registry_behind_an_authority_of_its_own() {
    if server::is_missing() {
        return;
    }
    let folder = Arc::new(TempDir::new().unwrap());
    certificates(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let tls = format!("  tls:\n    certificate: {}\n    key: {}\n", at("cert.pem"), at("key.pem"));
    let registry = Registry::on(Arc::clone(&folder), &tls, "");
    let state = |more: &str| {
        let project = project(&registry.address(), "nobody", more);
        let mut command = status(&project);
        without_engine(&mut command, &project);
        object(&run(&mut command))["registry"].clone()
    };
    let unknown = state("");
    assert_eq!((&unknown["state"], &unknown["tls"]), (&"tls".into(), &Value::Null), "{unknown}");
    let known = state(&format!("[registry]\nca = \"{}\"\n", at("ca.pem")));
    assert_eq!((&known["state"], &known["tls"]), (&"no_repository".into(), &"TLS 1.3".into()), "{known}");
}

#[test]
fn only_the_part_that_is_ill_is_called_so() {
    let Some(_engine) = Engine::get(For::Builds) else { return };
    if server::is_missing() {
        return;
    }
    let mut registry = Registry::open();
    fill(&registry);
    let project = project(&registry.address(), BUILDER, "");
    let ended = run(&mut status(&project));
    let said = object(&ended);
    assert_eq!(ended.code(), Some(0), "{said:#}");
    let node = &said["builder"]["nodes"][0];
    assert_eq!(node["container"]["status"], "running", "{node}");
    // What the cache takes is waited for a little only; whoever goes on looking hears of it.
    let mut watch = Live::start(&mut project.layertop(&["status", "--watch", "--progress", "json"]));
    watch.until_event(|said| said["builder"]["nodes"][0]["usage"]["bytes"].is_u64());
    watch.send(Signal::SIGTERM);
    watch.end();
    assert_eq!(
        (&said["nodes"][0]["state"], &said["nodes"][0]["source"]),
        (&"ready".into(), &"builder".into())
    );
    let native = said["nodes"][0]["arch"].as_str().unwrap();
    for platform in said["platforms"].as_array().unwrap() {
        let is_native = platform["platform"].as_str().unwrap().ends_with(native);
        assert_eq!(platform["emulated"], !is_native, "{platform}");
    }

    registry.stop();
    let ended = run(&mut status(&project));
    let said = object(&ended);
    assert_eq!((ended.code(), &said["registry"]["state"]), (Some(3), &"down".into()));
    assert!(said["registry"]["reason"].as_str().unwrap().contains(&registry.address()), "{said}");
    assert_eq!((&said["builder"]["state"], &said["nodes"][0]["state"]), (&"ok".into(), &"ready".into()));

    registry.restart();
    let ended = run(&mut project.layertop(&["status"]));
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    for name in
        ["registry  ● ok", "nodes     ● ready", "builder   ● running", "cache tag buildcache", "my-feature"]
    {
        assert!(ended.stdout.contains(name), "{name}: {ended:?}");
    }
    let long = ended.stdout.lines().find(|line| layertop::report::words::width(line) > 80);
    assert_eq!((long, ended.stdout.contains('\x1b')), (None, false));
    let ascii = run(&mut project.layertop(&["status", "--ascii", "--color", "always"]));
    assert!(ascii.stdout.is_ascii() && ascii.stdout.contains("\x1b[32m* ok"), "{ascii:?}");
    let quiet = run(&mut project.layertop(&["status", "--progress", "quiet"]));
    assert_eq!((quiet.code(), quiet.stdout.as_str()), (Some(0), ""));
}

/// Whether the registry answers, whatever it holds.
fn answers(said: &Value) -> bool {
    ["ok", "no_repository"].contains(&said["registry"]["state"].as_str().unwrap())
}

/// A builder that is removed when its test ends.
struct Own(String);

impl Drop for Own {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["buildx", "rm", "--force", &self.0]).output();
    }
}

#[test]
fn a_builder_that_stops_is_seen_and_so_is_a_wrong_name() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let own = Own(format!("lt-status-{}", std::process::id()));
    let image = format!("image={}/testbed/buildkit-bridge:latest,network=host", engine.registry);
    let words = ["buildx", "create", "--name", &own.0, "--driver", "docker-container", "--bootstrap"];
    docker(&[&words[..], &["--driver-opt", &image]].concat());
    let project = project(&engine.registry, &own.0, "");
    let mut watch =
        Live::start(project.layertop(&["status", "--watch", "--progress", "json"]).env("TAG", "a"));
    watch.until_event(|said| said["builder"]["state"] == "ok" && said["well"] == true);
    docker(&["stop", "--time", "1", &format!("buildx_buildkit_{}0", own.0)]);
    watch.until_event(|said| {
        said["builder"]["state"] == "stopped"
            && said["nodes"][0]["state"] == "not_ready"
            && said["well"] == false
    });
    let ended = run(&mut status(&project));
    let said = object(&ended);
    assert_eq!((ended.code(), answers(&said)), (Some(3), true), "{said}");
    docker(&["start", &format!("buildx_buildkit_{}0", own.0)]);
    watch.until_event(|said| said["builder"]["state"] == "ok");
    watch.send(Signal::SIGTERM);
    let ended = watch.end();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(Signal::SIGTERM as i32));

    let ended = run(&mut project.layertop(&["status", "--progress", "json", "--builder", "no-such-builder"]));
    let said = object(&ended);
    assert_eq!((ended.code(), &said["builder"]["state"]), (Some(3), &"gone".into()));
    assert!(said["builder"]["hint"].as_str().unwrap().contains("docker buildx create --name"), "{said}");
    assert!(answers(&said), "{said}");
}

#[test]
fn a_build_tells_of_what_is_around_it_and_its_recording_too() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER; sleep 4\n");
    project.write(
        "layertop.toml",
        &format!(
            "[image]\nregistry = \"{}\"\nname = \"{}\"\nplatforms = [\"linux/amd64\"]\n[build]\nbuilder = \"{BUILDER}\"\npush = true\n",
            engine.registry, project.marker
        ),
    );
    let ended = run(&mut project.layertop(&["build", "--progress", "json"]));
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let events = ended.events();
    let first: Vec<&str> = events.iter().take(4).map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(first, ["header", "started", "outline", "watching"]);
    for kind in ["registry", "builder"] {
        assert!(events.iter().any(|event| event["type"] == kind), "{kind}");
    }
    let summary = ended.summary();
    if let Err(error) = jsonschema::validate(&json::schema(), &summary) {
        panic!("{error} in {summary}");
    }
    assert_eq!(summary["health"]["builder"]["state"], "ok");
    assert_eq!(summary["health"]["registry"]["url"], format!("http://{}", engine.registry));

    let path = testbed::recording(&project.beside("data"));
    let path = path.to_str().unwrap();
    let again = run(&mut project.layertop(&["replay", path, "--speed", "max", "--progress", "json"]));
    let health = &again.summary()["health"];
    assert_eq!((&health["builder"]["state"], &health["builder"]["stale"]), (&"ok".into(), &false.into()));
    assert_eq!(health["registry"]["stale"], false);
    let count =
        |ended: &Ended, kind: &str| ended.events().iter().filter(|event| event["type"] == kind).count();
    assert!(count(&again, "builder") < count(&ended, "builder"), "what did not change is not written again");

    let plain = run(&mut project.layertop(&["replay", path, "--speed", "max", "--progress", "plain"]));
    let lines: Vec<&str> =
        plain.stdout.lines().filter(|line| line.starts_with("● builder running")).collect();
    assert!(!lines.is_empty(), "{}", plain.stdout);

    // The dashboard shows this build, and starts none.
    let setup = Setup::layertop(&[]).cwd(project.folder()).env("XDG_DATA_HOME", project.beside("data"));
    let known = ["HOME", "DOCKER_HOST", "DOCKER_CONFIG"].map(|name| (name, std::env::var_os(name)));
    let setup = known.into_iter().fold(setup, |setup, (name, value)| match value {
        Some(value) => setup.env(name, value),
        None => setup,
    });
    let mut terminal = setup.start();
    terminal.wait_for("last build, ");
    let shown = terminal.wait_for("would rebuild nothing: every layer is cached");
    assert!(shown.contains(&project.marker) && shown.contains("RUN echo"), "{shown}");
    terminal.keys("b");
    let shown = terminal.wait_for("built in");
    assert!(shown.contains(&project.marker) && shown.contains("RUN echo"), "{shown}");
    terminal.keys("b");
    terminal.wait_for("would rebuild nothing");
    terminal.keys("q");
    assert_eq!(terminal.finish().exit_code(), Some(0));
    assert!(testbed::recording(&project.beside("data")).ends_with(path), "no other was written");
}
