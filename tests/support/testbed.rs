//! The test engine, and what it knows of a build. `tests/testbed/engine` starts it, `tests/run.sh` says that it is there.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;

use crate::support::process::{Ended, Project, run};

/// The builder that the test engine has.
pub(crate) const BUILDER: &str = "multiarch-builder";

/// The builder that projects are built on: that one, or a way to the same `BuildKit` on which something is otherwise.
pub(crate) fn builder() -> String {
    env::var("LAYERTOP_TEST_BUILDER").unwrap_or_else(|_| BUILDER.to_owned())
}

/// Empties a builder's cache, but for the cache mounts of others.
pub(crate) fn prune(builder: &str) {
    for kind in ["regular", "source.local", "source.git.checkout", "frontend", "internal"] {
        docker(&["buildx", "prune", "--builder", builder, "-af", "--filter", &format!("type={kind}")]);
    }
}

/// What is known of the newest build of a project when somebody asks why it did what it did: its events, its summary last. The builder's
/// records are listed by that, for which no build waits. What the build itself said is none of it contradicted.
#[track_caller]
pub(crate) fn looked(project: &Project, built: &Value, host: Option<&str>) -> Ended {
    let layertop = |words: &[&str]| {
        let mut command = project.layertop(words);
        if let Some(host) = host {
            command.env("DOCKER_HOST", host);
        }
        let ended = run(&mut command);
        assert_eq!(ended.code(), Some(0), "{words:?}: {}", ended.stderr);
        ended
    };
    layertop(&["why", "--progress", "plain"]);
    let newest = newest_recording(&project.beside("data"));
    let looked = layertop(&["replay", "--progress", "json", "--speed", "max", newest.to_str().unwrap()]);
    let steps = |summary: &Value| summary["steps"].as_array().unwrap().clone();
    for (then, now) in steps(built).iter().zip(steps(&looked.summary())) {
        assert_eq!(then["state"], now["state"], "{then:#}");
        assert!(
            then["source"] == now["source"] || then["source"] == "unknown",
            "{then:#}
{now:#}"
        );
    }
    looked
}

/// The recording of a project's newest build.
pub(crate) fn newest_recording(data: &Path) -> PathBuf {
    let folder = data.join("layertop/recordings");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // They are named after the moment at which they begin; of those of one second the newest is told by its date.
    files.sort_by_key(|path| path.metadata().and_then(|meta| meta.modified()).unwrap());
    files.pop().unwrap()
}

/// What an engine is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Builds, of which many run side by side.
    Builds,
    /// A prune of the builder's cache, which others' builds would feel.
    Prune,
}

/// The engine, held as long as this lives.
pub(crate) struct Engine {
    /// The registry's `host:port`.
    pub(crate) registry: String,
    _lock: Flock<File>,
}

impl Engine {
    /// The test engine; none where there is none, which is said, and under CI is a failure.
    pub(crate) fn get(wanted: For) -> Option<Self> {
        if env::var_os("LAYERTOP_TEST_ENGINE_UP").is_none() {
            let why = env::var("LAYERTOP_TEST_ENGINE_WHY");
            skipped(&why.unwrap_or_else(|_| "no test engine: run `bash tests/run.sh`".to_owned()));
            return None;
        }
        // The image's registry of the example is a real cluster's; nothing here may ever be sent there.
        let registry = env::var("REGISTRY").expect("REGISTRY, from `tests/testbed/engine env`");
        let how = if wanted == For::Prune { FlockArg::LockExclusive } else { FlockArg::LockShared };
        let file = File::create(env::temp_dir().join("layertop-test-engine.lock")).unwrap();
        let lock = Flock::lock(file, how).map_err(|(_, error)| error).unwrap();
        Some(Self { registry, _lock: lock })
    }

    /// The base image of the examples, in the engine's registry.
    pub(crate) fn base(&self) -> String {
        format!("{}/base/miniconda3:latest", self.registry)
    }

    /// A project with this Dockerfile, whose first line is `FROM` the base image, on the engine's builder.
    pub(crate) fn project(&self, dockerfile: &str) -> Project {
        let project = Project::new();
        let (base, marker) = (self.base(), project.marker.clone());
        project.write("Dockerfile", &dockerfile.replace("BASE", &base).replace("MARKER", &marker));
        project.write("layertop.toml", &format!("[build]\nbuilder = \"{}\"\n", builder()));
        project
    }
}

/// Says why a test did not run.
pub(crate) fn skipped(why: &str) {
    assert!(env::var("CI").as_deref() != Ok("true"), "under CI this must run: {why}");
    println!("skipped: {why}");
}

/// What a docker command says; it must succeed.
pub(crate) fn docker(words: &[&str]) -> String {
    let ended = run(Command::new("docker").args(words));
    assert!(ended.status.success(), "docker {words:?}: {ended:?}");
    ended.stdout
}

/// `BuildKit`'s own record of a build, found by the file that `--metadata-file` named.
pub(crate) fn record(metadata: &Path) -> Value {
    let metadata: Value = serde_json::from_slice(&std::fs::read(metadata).unwrap()).unwrap();
    inspect(metadata["buildx.build.ref"].as_str().unwrap())
}

/// `BuildKit`'s own word for how the build of a project ended. It closes the record of a cancelled build a moment after the
/// client has gone, so it is asked until it has.
pub(crate) fn recorded_status(project: &Project) -> String {
    for _ in 0..100 {
        let words =
            ["buildx", "history", "ls", "--no-trunc", "--builder", BUILDER, "--format", "{{.Ref}} {{.Name}}"];
        let text = docker(&words);
        let line = text.lines().find(|line| line.contains(&project.marker));
        let record = line.and_then(|line| line.split_whitespace().next()).map(inspect).unwrap_or_default();
        if let Some(status) = record["Status"].as_str().filter(|status| *status != "running") {
            return status.to_owned();
        }
    }
    panic!("BuildKit has no record of {}, or one that does not end", project.marker);
}

fn inspect(reference: &str) -> Value {
    let id = reference.rsplit('/').next().unwrap();
    let text = docker(&["buildx", "history", "inspect", "--builder", BUILDER, "--format", "json", id]);
    serde_json::from_str(&text).unwrap()
}

/// The only recording that a project has.
pub(crate) fn recording(data: &Path) -> PathBuf {
    let folder = data.join("layertop/recordings");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    file.clone()
}
