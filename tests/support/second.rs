//! A second engine, with a `BuildKit` and a cache of its own, beside the one that all tests share.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::process::run;
use crate::support::testbed::{Engine, skipped};

/// The name of its builder, which is of the docker driver.
pub(crate) const BUILDER: &str = "default";

/// What a build there is given. It has no network for what it runs. Nothing is exported: where records were just pruned, the
/// engine now and then takes away what it unpacks an image on ("parent snapshot … does not exist"), and the build fails.
pub(crate) const WORDS: [&str; 5] = ["--", "--network", "none", "--output", "type=cacheonly"];

/// An engine that ends with its test.
pub(crate) struct Second {
    folder: TempDir,
    program: PathBuf,
    process: Option<Child>,
    /// What its environment has beside ours.
    env: &'static [(&'static str, &'static str)],
}

impl Second {
    /// Starts one with this configuration of its builder and this environment; none where the engine is not ours to start.
    pub(crate) fn start(
        engine: &Engine,
        builder: &serde_json::Value,
        env: &'static [(&'static str, &'static str)],
    ) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let beside = std::env::split_paths(&path).map(|bin| bin.join("../sbin/dockerd"));
        let Some(program) = beside.into_iter().find(|program| program.is_file()) else {
            // The engine of somebody else's machine is left alone.
            if std::env::var("LAYERTOP_TEST_ENGINE").as_deref() == Ok("existing") {
                println!("skipped: a second engine is not ours to start");
            } else {
                skipped("there is no dockerd beside docker");
            }
            return None;
        };
        let folder = tempfile::Builder::new().prefix("lt").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = serde_json::json!({
            "data-root": at("data"), "exec-root": at("exec"), "pidfile": at("pid"), "hosts": [format!("unix://{}", at("sock"))],
            // It shares the other one's bridge, as it finds it; without any bridge it would take the default one away from all.
            "iptables": false, "ip6tables": false,
            "features": {"containerd-snapshotter": true}, "insecure-registries": [engine.registry],
            "builder": builder,
        });
        fs::write(at("daemon.json"), config.to_string()).unwrap();
        let mut second = Self { folder, program, process: None, env };
        second.begin();
        Some(second)
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("sock").display())
    }

    /// Sends a signal to the engine's process.
    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        kill(Pid::from_raw(i32::try_from(process.id()).unwrap()), signal).unwrap();
    }

    fn begin(&mut self) {
        let log = File::create(self.folder.path().join("log")).unwrap();
        let own = self.program.parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = [own.to_owned()].into_iter().chain(std::env::split_paths(&path));
        let path: OsString = std::env::join_paths(paths).unwrap();
        let child = Command::new(&self.program)
            .arg("--config-file")
            .arg(self.folder.path().join("daemon.json"))
            .env("PATH", path)
            .envs(self.env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn();
        self.process = Some(child.unwrap());
        for _ in 0..600 {
            let mut asked = Command::new("docker");
            asked.args(["version", "--format", "{{.Server.Version}}"]).env("DOCKER_HOST", self.host());
            if run(&mut asked).status.success() {
                return;
            }
        }
        panic!("{}", fs::read_to_string(self.folder.path().join("log")).unwrap());
    }

    fn end(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let group = Pid::from_raw(i32::try_from(process.id()).unwrap());
        let _ = killpg(group, Signal::SIGTERM);
        // A test that failed may have left it stopped.
        let _ = killpg(group, Signal::SIGCONT);
        let _ = process.wait();
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.end();
    }
}
