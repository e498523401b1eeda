//! An engine that is stopped and started again under its builders. It is the test's own: others build on the test engine.
//!
//! It gets namespaces of its own for network and mounts. An engine takes the network that it finds for its own: it makes the
//! bridge `docker0` and its rules anew, or removes them, and whoever else builds on this machine would lose theirs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use layertop::event::BuilderSnapshot;
use layertop::event::builder::BuilderHealth;
use layertop::source::builder::BuilderSettings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use crate::builder::{registry, says, settings, watched};

/// The test engine's program, beside the docker that is on the path; none where it is not ours to start, which is said.
fn program() -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap();
    let folders = || std::env::split_paths(&path);
    let beside = folders().map(|folder| folder.join("../sbin/dockerd"));
    let found = beside.chain(folders().map(|folder| folder.join("dockerd"))).find(|file| file.is_file());
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if found.is_none() || !root {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI this must run");
        println!("skipped: root {root}, dockerd {found:?}: run `bash tests/run.sh` as root");
        return None;
    }
    found
}

/// An engine of the test's own, which can reach nothing, and docker's configuration for it.
struct Engine {
    program: PathBuf,
    folder: TempDir,
    child: Child,
}

impl Engine {
    fn start(program: PathBuf) -> Self {
        let folder = tempfile::Builder::new().prefix("lt").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = json!({
            "data-root": at("data"), "exec-root": at("exec"), "pidfile": at("pid"),
            "hosts": [format!("unix://{}", at("docker.sock")), format!("tcp://127.0.0.1:{}", bridged_port())],
            "iptables": false, "ip6tables": false,
            "features": { "containerd-snapshotter": true },
        });
        fs::write(at("daemon.json"), config.to_string()).unwrap();
        // buildx is a plugin in docker's configuration, if it is not one of the machine's.
        let plugins = Path::new("cli-plugins");
        if let Some(theirs) = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from) {
            fs::create_dir(folder.path().join("config")).unwrap();
            let link = folder.path().join("config").join(plugins);
            std::os::unix::fs::symlink(theirs.join(plugins), link).unwrap();
        }
        let child = spawn(&program, folder.path());
        let engine = Self { program, folder, child };
        engine.wait();
        engine
    }

    fn env(&self) -> BTreeMap<String, String> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let mut env: BTreeMap<String, String> = std::env::vars().collect();
        env.insert("DOCKER_HOST".into(), format!("unix://{}", at("docker.sock")));
        env.insert("DOCKER_CONFIG".into(), at("config"));
        env
    }

    fn docker(&self, words: &[&str]) -> std::process::Output {
        Command::new("docker").args(words).env_clear().envs(self.env()).stdin(Stdio::null()).output().unwrap()
    }

    /// Hands an image of the test engine over.
    fn load(&self, image: &str) {
        let there = || Command::new("docker");
        assert!(there().args(["pull", "--quiet", image]).output().unwrap().status.success());
        let file = self.folder.path().join("image.tar").display().to_string();
        assert!(there().args(["save", "--output", &file, image]).output().unwrap().status.success());
        let loaded = self.docker(&["load", "--input", &file]);
        assert!(loaded.status.success(), "{loaded:?}");
    }

    /// Until it answers.
    fn wait(&self) {
        let answers = || self.docker(&["version"]).status.success();
        assert!(
            (0..1000).any(|_| answers()),
            "{}",
            fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
        );
    }

    fn stop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
    }

    fn start_again(&mut self) {
        self.child = spawn(&self.program, self.folder.path());
        self.wait();
    }

    fn settings(&self, builder: &str) -> BuilderSettings {
        BuilderSettings { env: self.env(), ..settings(builder, "linux/amd64") }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The port at which the containers of docker-container builders look for their engine's `BuildKit`.
fn bridged_port() -> String {
    let words = ["exec", "buildx_buildkit_multiarch-builder0", "cat", "/bin/buildctl"];
    let said = Command::new("docker").args(words).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let (_, rest) = said.split_once("nc 127.0.0.1 ").expect("the bridge of tests/testbed/engine");
    rest.split_whitespace().next().unwrap().to_owned()
}

fn spawn(program: &Path, folder: &Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let beside = program.parent().unwrap();
    let path = format!("{}:{}", beside.display(), std::env::var("PATH").unwrap());
    // Each becomes what it runs, so the child is the engine.
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", "ip link set lo up && exec \"$0\" --config-file \"$1\""]);
    command.arg(program).arg(folder.join("daemon.json"));
    command.env("PATH", path).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Whether all is known of the only node, its `BuildKit` included.
fn is_whole(found: &BuilderSnapshot) -> bool {
    found.state == BuilderHealth::Ok
        && found.nodes.iter().all(|node| node.usage.is_some() && node.active.is_some())
}

#[tokio::test]
async fn an_engine_that_restarts_is_seen_without_a_restart_of_ours() {
    let Some(registry) = registry() else { return };
    let Some(program) = program() else { return };
    let mut engine = Engine::start(program);
    let image = format!("{registry}/testbed/buildkit-bridge:latest");
    engine.load(&image);
    let image = format!("image={image},network=host");
    let words = ["buildx", "create", "--name", "own", "--driver", "docker-container", "--bootstrap"];
    let made = engine.docker(&[&words[..], &["--driver-opt", &image]].concat());
    assert!(made.status.success(), "{made:?}");
    // One whose BuildKit is the engine's own, and one in a container, which the engine starts again with itself.
    let mut inside = watched(engine.settings("default"));
    let mut container = watched(engine.settings("own"));
    let before = inside.until("whole", is_whole).await;
    let started = |found: &BuilderSnapshot| found.nodes[0].container.as_ref().and_then(|one| one.started);
    let first = started(&container.until("whole", is_whole).await);
    assert!(first.is_some() && before.driver.as_str() == "docker", "{before:#?}");

    engine.stop();
    for watch in [&mut inside, &mut container] {
        let found = watch.state(BuilderHealth::EngineDown).await;
        says(&found, "docker.sock", "systemctl start docker");
        assert_eq!(found.nodes.len(), 1, "it is known which node is gone: {found:#?}");
    }

    engine.start_again();
    let after = inside.until("whole again", is_whole).await;
    assert_eq!(after.reason.as_str(), "");
    let engine_of = |found: &BuilderSnapshot| {
        let engine = found.nodes[0].engine.clone().unwrap();
        (engine.version, engine.data_root, engine.running_containers)
    };
    assert_eq!(engine_of(&after), engine_of(&before));
    let again = container.until("whole again", is_whole).await;
    assert!(started(&again) > first, "the container was started anew: {again:#?}");
}
