//! What layertop ends with where a signal comes while it builds, or behind the build's end. buildx is a script here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use crate::support::live::Live;
use crate::support::process::Project;
use crate::support::terminal::Setup;

/// A folder with a buildx that says `it runs`, and does this then.
fn buildx(project: &Project, then: &str) -> PathBuf {
    let folder = project.beside("bin");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("docker-buildx");
    fs::write(&file, format!("#!/bin/sh\necho it runs\n{then}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Until it is asked to stop, and with this code then.
fn until_asked(code: u8) -> String {
    format!("trap 'exit {code}' INT\nwhile :; do /bin/sleep 0.05; done")
}

const NO_ENGINE: (&str, &str) = ("DOCKER_HOST", "unix:///nowhere/docker.sock");

/// buildx is cancelled by whatever signal it was; who has sent it sees that one.
#[test]
fn a_build_that_is_stopped_ends_by_the_signal_and_one_that_had_ended_with_its_own_code() {
    for (signal, stopped) in [(Signal::SIGHUP, None), (Signal::SIGTERM, None), (Signal::SIGINT, Some(130))] {
        for code in [130, 0] {
            let project = Project::new();
            project.write("Dockerfile", "FROM scratch\n");
            let mut command = project.layertop(&["build", "--progress", "json"]);
            command.env("PATH", buildx(&project, &until_asked(code))).env(NO_ENGINE.0, NO_ENGINE.1);
            let mut live = Live::start(&mut command);
            live.until(|line| line.contains("it runs"));
            live.send(signal);
            let ended = live.end();
            let expected = if code == 0 { Some(0) } else { stopped };
            assert_eq!(ended.code(), expected, "{signal} {code}: {ended:?}");
            if expected.is_none() {
                assert_eq!(ended.status.signal(), Some(signal as i32), "{ended:?}");
            }
            assert_eq!(ended.summary()["exit_code"], code, "{ended:?}");
        }
    }
}

/// Who closes the window of a build that has ended has stopped nothing.
#[test]
fn a_screen_that_stays_is_closed_with_the_code_of_its_build() {
    for (signal, code) in [(Signal::SIGHUP, 0), (Signal::SIGHUP, 7), (Signal::SIGTERM, 7)] {
        let project = Project::new();
        project.write("Dockerfile", "FROM scratch\n");
        let terminal = Setup::layertop(&["build", "--stay"])
            .cwd(project.folder())
            .env("XDG_DATA_HOME", project.beside("data"))
            .env("PATH", buildx(&project, &format!("exit {code}")))
            .env(NO_ENGINE.0, NO_ENGINE.1)
            .start();
        terminal.wait_for(if code == 0 { "built" } else { "failed" });
        terminal.signal(signal);
        let finished = terminal.finish();
        assert_eq!(finished.exit_code(), Some(code), "{signal}: {:?}: {}", finished.status, finished.text);
    }
}
