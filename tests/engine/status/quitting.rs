//! Who wants to leave may leave, whatever all the others are waiting for.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use layertop::clock::Clock;
use nix::sys::signal::Signal;

use crate::support::live::Live;
use crate::support::process::Project;
use crate::support::terminal::{PATIENCE, Setup};
use crate::support::testbed::{Engine, For};

/// No part waits for less than this for one that hangs: an engine gets 3 s, an API server and a registry 5 s. Who takes less
/// has waited for none of them.
const SHORTEST: Duration = Duration::from_secs(3);

/// Somebody who takes every call and never says anything.
struct Silent {
    what: &'static str,
    address: String,
    asked: Receiver<()>,
}

impl Silent {
    fn tcp(what: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self::new(what, address, move || listener.accept().map(|(stream, _)| stream))
    }

    fn unix(what: &'static str, project: &Project) -> Self {
        let path = project.beside("silent.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let address = format!("unix://{}", path.display());
        Self::new(what, address, move || listener.accept().map(|(stream, _)| stream))
    }

    fn new<S: Read + Write + Send + 'static>(
        what: &'static str,
        address: String,
        accept: impl Fn() -> std::io::Result<S> + Send + 'static,
    ) -> Self {
        let (tx, asked) = channel();
        std::thread::spawn(move || {
            let mut calls = Vec::new();
            while let Ok(mut call) = accept() {
                // The first byte: it has been asked something, and not only called.
                let said = call.read(&mut [0]);
                calls.push(call);
                if said.is_ok_and(|count| count > 0) && tx.send(()).is_err() {
                    break;
                }
            }
        });
        Self { what, address, asked }
    }

    /// Waits until it has been asked.
    fn is_asked(&self) {
        assert!(self.asked.recv_timeout(PATIENCE).is_ok(), "nobody asks the {}", self.what);
    }
}

/// Everybody around a build, hanging.
struct Hanging {
    registry: Silent,
    server: Silent,
    project: Project,
}

impl Hanging {
    fn around(project: Project, builder: &str) -> Self {
        let (registry, server) = (Silent::tcp("registry"), Silent::tcp("API server"));
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: \"http://{}\"}}}}]\n\
             users: [{{name: a, user: {{token: a}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n",
            server.address
        );
        project.write("kubeconfig", &config);
        let config = format!(
            "[image]\nregistry = \"{}\"\nname = \"{}\"\nplatforms = [\"linux/amd64\"]\n\
             [build]\nbuilder = \"{builder}\"\npush = false\n\
             [kubernetes]\nkubeconfig = \"kubeconfig\"\nnamespace = \"default\"\n",
            registry.address, project.marker
        );
        project.write("layertop.toml", &config);
        Self { registry, server, project }
    }

    /// With an engine that hangs too.
    fn all() -> (Self, Silent) {
        let project = Project::new();
        project.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /a\n");
        let engine = Silent::unix("engine", &project);
        (Self::around(project, "default"), engine)
    }

    fn are_asked(&self) {
        self.registry.is_asked();
        self.server.is_asked();
    }
}

/// Lets something end, which must not wait for anybody who hangs.
fn ends<T>(what: &str, end: impl FnOnce() -> T) -> T {
    let clock = Clock::live();
    let from = clock.now();
    let ended = end();
    let took = clock.now().since(from);
    assert!(took < SHORTEST, "{what}: quitting took {took:?}, so somebody was waited for");
    println!("{what}: quitting took {took:?}");
    ended
}

#[test]
fn the_dashboard_is_left_at_once() {
    let (hanging, engine) = Hanging::all();
    let project = &hanging.project;
    let setup = Setup::layertop(&[]).cwd(project.folder()).env("DOCKER_HOST", engine.address.as_str());
    let mut terminal = setup.env("DOCKER_CONFIG", project.beside("docker")).start();
    terminal.wait_for("not built yet");
    hanging.are_asked();
    engine.is_asked();
    let finished = ends("the dashboard", || {
        terminal.keys("q");
        terminal.finish()
    });
    assert_eq!(finished.exit_code(), Some(0));
    finished.assert_given_back();
}

#[test]
fn a_watch_is_left_at_once() {
    let (hanging, engine) = Hanging::all();
    let project = &hanging.project;
    let mut command: Command = project.layertop(&["status", "--watch"]);
    command.env("DOCKER_HOST", &engine.address).env("DOCKER_CONFIG", project.beside("docker"));
    let watch = Live::start(command.env_remove("DOCKER_CONTEXT"));
    hanging.are_asked();
    engine.is_asked();
    let ended = ends("status --watch", || {
        watch.send(Signal::SIGTERM);
        watch.end()
    });
    assert_eq!(ended.status.signal(), Some(Signal::SIGTERM as i32), "{ended:?}");
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_build_is_left_at_once_while_those_around_it_hang() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER; sleep 600\n");
    let hanging = Hanging::around(project, crate::support::testbed::BUILDER);
    let project = &hanging.project;
    let mut build = Live::start(&mut project.layertop(&["build", "--progress", "json"]));
    build.until_event(|event| {
        event["type"] == "log" && event["lines"][0].to_string().contains(&project.marker)
    });
    hanging.are_asked();
    let ended = ends("a build", || {
        build.send(Signal::SIGINT);
        build.end()
    });
    assert_eq!(ended.code(), Some(130), "{ended:?}");
    assert_eq!(ended.summary()["result"], "cancelled");

    // One that ends by itself waits for nobody either.
    project.write("Dockerfile", &format!("FROM {}\nRUN echo {}-again\n", engine.base(), project.marker));
    let mut build = Live::start(&mut project.layertop(&["build", "--progress", "json"]));
    hanging.are_asked();
    build.until_event(|event| event["type"] == "ended");
    let ended = ends("the end of a build", || build.end());
    assert_eq!(ended.code(), Some(0), "{ended:?}");
}
