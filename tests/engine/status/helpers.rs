//! Programs that are asked for credentials: none is waited for without an end, and none outlives layertop. That nothing is left is looked
//! at behind each end of it.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::status::{object, status, without_engine};
use crate::support::live::Live;
use crate::support::process::{Project, run};
use crate::support::server::{Script, answer};

/// A project whose cluster's credentials come from a shell script.
fn with_helper(script: &str) -> Project {
    let project = Project::new();
    project.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /a\n");
    project.write("helper.sh", script);
    let config = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
        clusters: [{name: a, cluster: {server: \"https://127.0.0.1:1\"}}]\n\
        contexts: [{name: a, context: {cluster: a, user: a}}]\n\
        users: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [helper.sh], \
        interactiveMode: IfAvailable}}}]\n";
    project.write("kubeconfig", config);
    project.write("layertop.toml", "[kubernetes]\nkubeconfig = \"kubeconfig\"\n");
    project
}

#[test]
fn a_cluster_whose_helper_hangs_is_said_to_and_the_helper_ends() {
    // The shell waits for a child of its own.
    let project = with_helper("sleep 600; true\n");
    let mut command = status(&project);
    without_engine(&mut command, &project);
    let ended = run(&mut command);
    let said = object(&ended);
    assert_eq!((ended.code(), &said["cluster"]["state"]), (Some(3), &"bad_config".into()), "{said}");
    let reason = said["cluster"]["reason"].as_str().unwrap();
    assert!(reason.contains("helper for credentials (sh) has not answered in 10 s"), "{reason}");

    let mut command = project.layertop(&["status"]);
    without_engine(&mut command, &project);
    let ended = run(&mut command);
    // Lines are broken where the terminal ends.
    let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("has not answered in 10 s"), "{ended:?}");
}

#[test]
fn a_helper_that_hangs_ends_with_who_has_asked_it() {
    let project = with_helper("echo asked >asked; sleep 600; true\n");
    let asked = project.folder().join("asked");
    nix::unistd::mkfifo(&asked, Mode::S_IRWXU).unwrap();
    let mut command: Command = project.layertop(&["status", "--watch"]);
    without_engine(&mut command, &project);
    let watch = Live::start(&mut command);
    let mut said = String::new();
    fs::File::open(&asked).unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "asked\n");
    watch.send(Signal::SIGTERM);
    let ended = watch.end();
    assert_eq!(ended.status.signal(), Some(Signal::SIGTERM as i32), "{ended:?}");
}

#[test]
fn a_registry_whose_credential_helper_hangs_is_said_to_and_the_helper_ends() {
    let registry = Script::new(|_, _| answer(401, "WWW-Authenticate: Basic realm=\"x\"\r\n", ""));
    let project = crate::status::project(&registry.address(), "nobody", "");
    let mut command = status(&project);
    without_engine(&mut command, &project);
    let docker = project.beside("docker");
    fs::create_dir_all(&docker).unwrap();
    fs::write(docker.join("config.json"), r#"{"credsStore": "hangs"}"#).unwrap();
    let helper = docker.join("docker-credential-hangs");
    fs::write(&helper, "#!/bin/sh\nsleep 600; true\n").unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o700)).unwrap();
    command.env("PATH", format!("{}:{}", docker.display(), std::env::var("PATH").unwrap()));
    let ended = run(&mut command);
    let said = object(&ended);
    assert_eq!((ended.code(), &said["registry"]["state"]), (Some(3), &"unauthorized".into()), "{said}");
    let reason = said["registry"]["reason"].as_str().unwrap();
    assert!(reason.contains("docker-credential-hangs has not answered in 10 s"), "{reason}");
    assert_eq!(said["registry"]["auth"]["signed_in"], false);
}
