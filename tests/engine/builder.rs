//! The builder's health on a real engine: builders of the test's own, healthy, stopped, paused, removed, and against what
//! docker and buildx say of them.
//!
//! They run where `LAYERTOP_TEST_ENGINE_UP` is set, as all on an engine.

mod restart;

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use crate::support::watch;
use layertop::clock::Clock;
use layertop::event::builder::{ActiveBuild, BuilderHealth, BuilderNode, Execution};
use layertop::event::{BuilderSnapshot, Platform};
use layertop::source::builder::{self, BuilderSettings};

/// A builder that is removed when its test ends.
struct Own {
    name: String,
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["buildx", "rm", "--force", &self.name]).output();
    }
}

fn try_docker(words: &[&str]) -> Output {
    Command::new("docker").args(words).stdin(Stdio::null()).output().unwrap()
}

fn docker(words: &[&str]) -> String {
    let ended = try_docker(words);
    assert!(ended.status.success(), "docker {words:?}: {ended:?}");
    String::from_utf8(ended.stdout).unwrap()
}

/// The registry of the test engine; none where there is no engine, which is said.
fn registry() -> Option<String> {
    if std::env::var_os("LAYERTOP_TEST_ENGINE_UP").is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI this must run");
        println!("skipped: no test engine: run `bash tests/run.sh`");
        return None;
    }
    Some(std::env::var("REGISTRY").expect("REGISTRY, from `tests/testbed/engine env`"))
}

impl Own {
    /// A builder on the test engine, of the same image as the engine's own builder.
    fn create(registry: &str, what: &str, options: &[&str]) -> Self {
        let own = Self { name: format!("lt-{what}-{}", std::process::id()) };
        let image = format!("image={registry}/testbed/buildkit-bridge:latest,network=host");
        let words = ["buildx", "create", "--name", &own.name, "--driver", "docker-container"];
        docker(&[&words, &["--driver-opt", &image][..], options].concat());
        own
    }

    fn container(&self) -> String {
        format!("buildx_buildkit_{}0", self.name)
    }

    fn settings(&self, platforms: &str) -> BuilderSettings {
        settings(&self.name, platforms)
    }
}

fn settings(name: &str, platforms: &str) -> BuilderSettings {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    BuilderSettings {
        builder: Some(name.to_owned()),
        platforms: Platform::parse_list(platforms),
        env,
        ..BuilderSettings::default()
    }
}

type Watch = watch::Watch<BuilderSnapshot>;

fn watched(settings: BuilderSettings) -> Watch {
    Watch::start(|tx| builder::run(settings, Clock::live(), tx), |model| model.builder().snapshot())
}

impl Watch {
    async fn state(&mut self, state: BuilderHealth) -> BuilderSnapshot {
        self.until(&format!("{state:?}"), |snapshot| snapshot.state == state).await
    }
}

fn says(snapshot: &BuilderSnapshot, reason: &str, hint: &str) {
    assert!(snapshot.reason.as_str().contains(reason), "{reason}: {snapshot:#?}");
    assert!(snapshot.hint.as_str().contains(hint), "{hint}: {snapshot:#?}");
}

#[tokio::test]
async fn a_builder_is_seen_through_its_life() {
    let Some(registry) = registry() else { return };
    let own = Own::create(&registry, "life", &[]);
    let mut watch = watched(own.settings("linux/amd64,linux/arm64"));
    let bootstrap = format!("docker buildx inspect {} --bootstrap", own.name);

    let found = watch.state(BuilderHealth::Gone).await;
    says(&found, &format!("there is no container {}", own.container()), &bootstrap);
    // Looking must not start it.
    assert!(!try_docker(&["inspect", &own.container()]).status.success());

    docker(&["buildx", "inspect", &own.name, "--bootstrap"]);
    let found = watch.state(BuilderHealth::Ok).await;
    assert_eq!((found.driver.as_str(), found.reason.as_str()), ("docker-container", ""));

    docker(&["pause", &own.container()]);
    let found = watch.state(BuilderHealth::Paused).await;
    says(&found, "is paused", &format!("docker unpause {}", own.container()));
    docker(&["unpause", &own.container()]);
    watch.state(BuilderHealth::Ok).await;

    docker(&["stop", "--time", "1", &own.container()]);
    let found = watch.state(BuilderHealth::Stopped).await;
    says(&found, "has ended with exit code", &bootstrap);
    docker(&["start", &own.container()]);
    watch.state(BuilderHealth::Ok).await;

    docker(&["rm", "--force", &own.container()]);
    let found = watch.state(BuilderHealth::Gone).await;
    says(&found, "never started, or removed", &bootstrap);

    docker(&["buildx", "rm", "--force", &own.name]);
    let found = watch.until("no builder", |found| found.nodes.is_empty()).await;
    assert_eq!(found.state, BuilderHealth::Gone);
    says(&found, &format!("there is no buildx builder `{}`", own.name), "docker buildx create --name");
}

#[tokio::test]
async fn facts_are_those_of_docker_and_buildx() {
    let Some(registry) = registry() else { return };
    let own = Own::create(&registry, "facts", &["--driver-opt", "memory=512m", "--bootstrap"]);
    let mut watch = watched(own.settings("linux/amd64,linux/arm64"));
    let whole = |node: &BuilderNode| {
        let counters = node.container.as_ref().and_then(|container| container.counters.as_ref());
        node.usage.is_some() && node.active.is_some() && counters.is_some()
    };
    let found = watch.until("whole", |found| found.nodes.iter().all(whole)).await;
    let node = &found.nodes[0];
    assert_eq!(node.name.as_str(), format!("{}0", own.name));

    let version = docker(&["version", "--format", "{{.Server.Version}}"]);
    assert_eq!(node.engine.as_ref().unwrap().version.as_str(), version.trim());
    let info: serde_json::Value = serde_json::from_str(&docker(&["info", "--format", "{{json .}}"])).unwrap();
    let engine = node.engine.as_ref().unwrap();
    assert_eq!(u64::from(engine.cpus.unwrap()), info["NCPU"]);
    assert_eq!(engine.memory.unwrap(), info["MemTotal"]);
    assert_eq!(engine.data_root.as_str(), info["DockerRootDir"]);

    let text = docker(&["inspect", &own.container(), "--format", "{{json .}}"]);
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    let container = node.container.as_ref().unwrap();
    assert_eq!(container.status.as_str(), said["State"]["Status"]);
    assert_eq!(container.restarts, said["RestartCount"]);
    assert!(!container.oom_killed && container.started.is_some() && container.exit_code.is_none());
    let counters = container.counters.as_ref().unwrap();
    assert_eq!(said["HostConfig"]["Memory"], 512 << 20);
    assert_eq!(counters.memory_limit, Some(512 << 20));

    let text = docker(&["buildx", "inspect", &own.name]);
    let buildkit = text.lines().find_map(|line| line.strip_prefix("BuildKit version:")).unwrap();
    assert_eq!(node.buildkit_version.as_ref().unwrap().as_str(), buildkit.trim());
    assert_eq!(node.gc.len(), text.matches("GC Policy rule#").count(), "{text}");
    let native = node.native.clone().unwrap();
    for place in &found.platforms {
        let expected = if place.platform == native { Execution::Native } else { Execution::Emulated };
        let listed = node.platforms.contains(&place.platform);
        assert_eq!(place.execution, if listed { expected } else { Execution::Unsupported }, "{place:?}");
        assert_eq!(place.node.as_ref(), Some(&node.name));
    }

    // Two snapshots make a rate.
    let name = node.name.clone();
    watch
        .until("moved on", |found| {
            let at =
                |found: &BuilderSnapshot| found.nodes[0].container.as_ref()?.counters.as_ref().map(|c| c.at);
            at(found) > Some(counters.at)
        })
        .await;
    let history = watch.model.builder().history(&name).unwrap();
    assert!(history.now().is_some() && history.growth().is_some());

    let lines = builder::logs(&own.settings(""), name.as_str(), 5).await.unwrap();
    assert!(lines.iter().any(|line| line.text().contains("buildkitd")), "{lines:?}");
    let wrong = builder::logs(&own.settings(""), "nope", 5).await.unwrap_err();
    assert!(wrong.as_str().contains("has no such node"), "{wrong}");
}

#[tokio::test]
async fn disk_usage_is_that_of_buildx() {
    let Some(registry) = registry() else { return };
    let own = Own::create(&registry, "usage", &["--bootstrap"]);
    // Others build on the same engine: what it says before and after must be the same for a comparison.
    for _ in 0..100 {
        let said = || (usage(&own.name), docker(&["buildx", "du", "--builder", &own.name]));
        let (before, totals) = said();
        let found = builder::once(own.settings(""), Clock::live()).await;
        let (after, totals_after) = said();
        if (&before, sums(&totals)) != (&after, sums(&totals_after)) {
            continue;
        }
        let usage = found.nodes[0].usage.as_ref().unwrap();
        assert_eq!(usage.by_kind.iter().map(|kind| kind.amount.bytes).sum::<u64>(), usage.total.bytes);
        assert_eq!(usage.total.records, before.len() as u64);
        let reclaimable = before.iter().filter(|record| record["Reclaimable"] == true).count();
        assert_eq!(usage.reclaimable.records, reclaimable as u64);
        let shared = before.iter().filter(|record| record["Shared"] == true).count();
        assert_eq!(usage.shared.records, shared as u64);
        for record in &usage.largest {
            let theirs = before.iter().find(|one| one["ID"] == record.id.as_str()).expect("the record");
            assert_eq!(theirs["Size"], size(record.bytes));
            // A description can be a whole script, and its beginning is enough to know it by.
            let whole = theirs["Description"].as_str().unwrap();
            assert!(whole.starts_with(record.description.as_str()), "{whole}");
            assert_eq!(record.description.as_str().chars().count(), whole.chars().count().min(400));
        }
        let total = totals.lines().find_map(|line| line.strip_prefix("Total:")).unwrap();
        assert_eq!(total.trim(), size(usage.total.bytes));
        let total = totals.lines().find_map(|line| line.strip_prefix("Reclaimable:")).unwrap();
        assert_eq!(total.trim(), size(usage.reclaimable.bytes));
        return;
    }
    panic!("the engine was never at rest: somebody builds on it without end");
}

/// The sums at the end of `docker buildx du`.
fn sums(text: &str) -> Vec<&str> {
    let names = ["Shared:", "Private:", "Reclaimable:", "Total:"];
    text.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).collect()
}

/// The records of disk usage as buildx has them, without what only tells how long ago they were used.
fn usage(builder: &str) -> Vec<serde_json::Value> {
    let text = docker(&["buildx", "du", "--builder", builder, "--format", "json"]);
    let mut records: Vec<serde_json::Value> = text
        .lines()
        .map(|line| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["LastUsedAt"] = serde_json::Value::Null;
            record
        })
        .collect();
    records.sort_by_key(|record| record["ID"].as_str().map(str::to_owned));
    records
}

/// A size as Docker prints it: four digits, decimal units (Go's `%.4g`).
fn size(bytes: u64) -> String {
    let (mut number, mut unit) = (bytes as f64, 0);
    while number >= 1000.0 {
        (number, unit) = (number / 1000.0, unit + 1);
    }
    let digits = if number >= 100.0 {
        1
    } else if number >= 10.0 {
        2
    } else {
        3
    };
    let mut text = format!("{number:.digits$}");
    if text.contains('.') {
        text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    format!("{text}{}", ["B", "kB", "MB", "GB", "TB"][unit])
}

#[tokio::test]
async fn a_build_by_somebody_else_is_seen_while_it_runs() {
    let Some(registry) = registry() else { return };
    let own = Own::create(&registry, "active", &["--bootstrap"]);
    let mut watch = watched(own.settings(""));
    let folder = tempfile::tempdir().unwrap();
    let marker = format!("layertop-active-{}", std::process::id());
    // It waits for a connection that never comes, so it runs until it is ended.
    let text = format!("FROM {registry}/base/miniconda3:latest\nRUN echo {marker} && tail -f /dev/null\n");
    std::fs::write(folder.path().join("Dockerfile"), text).unwrap();
    let mut build = Command::new("docker")
        .args(["buildx", "build", "--builder", &own.name, "--output"])
        .arg(format!("type=image,name={marker}:latest,push=false"))
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ours = |found: &BuilderSnapshot| -> Option<ActiveBuild> {
        let active = found.nodes.first()?.active.clone()?;
        active.into_iter().find(|build| build.name.as_str().contains(&marker))
    };
    let found = watch
        .until("running the step", |found| {
            ours(found).is_some_and(|build| build.running.as_str().contains(&marker))
        })
        .await;
    let seen = ours(&found).unwrap();
    assert!(!seen.reference.is_empty() && seen.started.is_some());
    assert!(seen.total > seen.completed && seen.completed > 0, "{seen:?}");
    // One look finds it too.
    let once = builder::once(own.settings(""), Clock::live()).await;
    assert_eq!(ours(&once).map(|build| build.reference), Some(seen.reference));

    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(build.id()).unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    watch.until("over", |found| found.nodes[0].active.is_some() && ours(found).is_none()).await;
    build.wait().unwrap();
}

#[tokio::test]
async fn one_dead_node_delays_no_other() {
    let Some(registry) = registry() else { return };
    let own = Own::create(&registry, "two", &["--bootstrap"]);
    // An engine that takes connections and never answers; gone before buildx removes its node.
    let deaf = tempfile::tempdir().unwrap();
    let path = deaf.path().join("deaf.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let endpoint = format!("unix://{}", path.display());
    add_node(&own.name, &endpoint);
    let mut watch = watched(own.settings("linux/amd64"));
    let found = watch
        .until("one of two", |found| found.nodes.first().is_some_and(|n| n.state == BuilderHealth::Ok))
        .await;
    assert!(!found.nodes[1].state.is_up());
    let found = watch.state(BuilderHealth::Partial).await;
    says(&found, "1 of 2 nodes answer; ", "systemctl restart docker");
    says(&found, "no answer in ", "");
    assert_eq!(found.nodes[1].state, BuilderHealth::EngineSilent);
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    let found = watch.until("no socket", |found| !found.reason.as_str().contains("no answer")).await;
    assert_eq!((found.state, found.nodes[1].state), (BuilderHealth::Partial, BuilderHealth::EngineDown));
    says(&found, "does not run", "systemctl start docker");
}

/// Writes a second node into a builder's instance file; `buildx create --append` would ask its engine first.
fn add_node(name: &str, endpoint: &str) {
    let config = std::env::var("DOCKER_CONFIG").unwrap();
    let file = std::path::Path::new(&config).join("buildx/instances").join(name);
    let mut instance: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut node = instance["Nodes"][0].clone();
    node["Name"] = format!("{name}1").into();
    node["Endpoint"] = endpoint.into();
    instance["Nodes"].as_array_mut().unwrap().push(node);
    std::fs::write(&file, serde_json::to_vec(&instance).unwrap()).unwrap();
}

#[tokio::test]
async fn the_engines_own_builder_answers_too() {
    let Some(_) = registry() else { return };
    let found = builder::once(settings("default", "linux/amd64"), Clock::live()).await;
    assert_eq!((found.driver.as_str(), found.state), ("docker", BuilderHealth::Ok), "{found:#?}");
    assert!(found.nodes[0].usage.is_some() && found.nodes[0].container.is_none());
    let missing = builder::once(settings("lt-never-made", ""), Clock::live()).await;
    assert_eq!(missing.state, BuilderHealth::Gone);
}
