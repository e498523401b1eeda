//! Builds that can't begin: cause, value and next command, and the right exit code.

use std::os::unix::net::UnixListener;

use crate::support::process::{Ended, Project, run};
use crate::support::testbed::{Engine, For};

/// What a build that can't begin says, in each front end.
fn complains(project: &Project, options: &[&str], env: &[(&str, &str)], code: i32, words: &[&str]) {
    let build = |progress| {
        let words = [&["build", "--progress", progress], options].concat();
        run(project.layertop(&words).envs(env.iter().copied()))
    };
    let says = |ended: &Ended, text: &str| {
        assert_eq!(ended.code(), Some(code), "{ended:?}");
        for word in words {
            assert!(text.contains(word), "no {word:?} in {ended:?}");
        }
    };
    let plain = build("plain");
    says(&plain, &plain.stdout);
    assert!(plain.stdout.contains(&format!("with exit code {code}")), "{}", plain.stdout);
    let quiet = build("quiet");
    says(&quiet, &quiet.stderr);
    assert!(quiet.stderr.starts_with("error: "), "{}", quiet.stderr);
    let json = build("json");
    says(&json, &json.stderr);
    let mut notices =
        json.events().into_iter().filter(|event| event["type"] == "notice" && event["level"] == "error");
    says(&json, notices.next_back().expect("a notice")["text"].as_str().unwrap());
    let summary = json.summary();
    assert_eq!((&summary["result"], &summary["exit_code"]), (&"failed".into(), &code.into()));
}

#[test]
fn no_such_builder() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\n");
    let words = [
        "there is no buildx builder `nope`; there is ",
        "multiarch-builder",
        "docker buildx create --name nope ",
    ];
    complains(&project, &["--builder", "nope"], &[], 4, &words);
}

#[test]
fn no_engine() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\n");
    let default = ["--builder", "default"];
    let path = project.beside("none.sock");
    let host = format!("unix://{}", path.display());
    let words = [
        "no Docker engine: there is no socket ",
        path.to_str().unwrap(),
        "systemctl start docker",
        "DOCKER_HOST=",
    ];
    complains(&project, &default, &[("DOCKER_HOST", &host)], 4, &words);

    let path = project.beside("deaf.sock");
    drop(UnixListener::bind(&path).unwrap());
    let host = format!("unix://{}", path.display());
    let words = ["no Docker engine: nobody listens at ", path.to_str().unwrap(), "systemctl start docker"];
    complains(&project, &default, &[("DOCKER_HOST", &host)], 4, &words);
}

#[test]
fn no_dockerfile_to_read() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\n");
    let folder = project.folder();
    let path = |name: &str| folder.join(name).display().to_string();
    let next = "layertop build -f PATH";
    complains(&project, &["-f", "nofile"], &[], 1, &["there is no Dockerfile ", &path("nofile"), next]);
    project.write("docker/nothing", "");
    complains(&project, &["-f", "docker"], &[], 1, &[&path("docker"), "is a folder, not a Dockerfile", next]);
    complains(&project, &["-f", "docker/nothing"], &[], 1, &[&path("docker/nothing"), "is empty", next]);
    complains(
        &project,
        &["--", "nofolder"],
        &[],
        1,
        &["there is no build context `nofolder`", "layertop build -- FOLDER"],
    );
}

#[test]
fn what_buildx_does_not_take_is_its_own_error() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\n");
    let own = run(std::process::Command::new("docker").args(["buildx", "build", "--no-such-flag", "."]));
    let ours = run(&mut project.layertop(&["build", "--progress", "plain", "--", "--no-such-flag"]));
    assert_eq!(ours.code(), own.code());
    assert!(ours.stdout.contains("unknown flag: --no-such-flag"), "{}", ours.stdout);
}

#[test]
fn a_layer_rule_that_can_not_be_read_is_left_out_and_the_build_runs() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER\n");
    let config = std::fs::read_to_string(project.folder().join("layertop.toml")).unwrap();
    let rules =
        "[[layer]]\nname = \"broken\"\nmatch = \"ff(mpeg\"\n[[layer]]\nname = \"marked\"\nmatch = \"echo\"\n";
    project.write("layertop.toml", &format!("{config}{rules}"));
    let place = "layertop.toml:5:9: `ff(mpeg` is not a regular expression";

    let json = run(&mut project.layertop(&["build", "--progress", "json"]));
    assert_eq!(json.code(), Some(0), "{}", json.stderr);
    let said = json.events().into_iter().find(|event| event["type"] == "notice").expect("a notice");
    assert_eq!(said["level"], "warn");
    let text = said["text"].as_str().unwrap();
    assert!(text.contains(place) && text.contains("escape it"), "{text}");
    assert_eq!(json.summary()["steps"][1]["layer"], "marked", "the other rule holds");

    let plain = run(&mut project.layertop(&["build", "--progress", "plain"]));
    assert_eq!(plain.code(), Some(0));
    assert!(plain.stdout.contains(&format!("! warning: {place}")), "{}", plain.stdout);
}

#[test]
fn an_output_that_can_not_be_written_leaves_no_build_behind() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER; sleep 600\n");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = project.layertop(&["build", "--progress", "json"]);
    let output = command
        .stdout(full)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let why = "No space left on device (os error 28)\n  free space there, or name another place\n";
    assert_eq!(said, format!("error: can't write to standard output: {why}"));
    let left: Vec<_> = crate::support::group::command_lines();
    let left: Vec<_> = left.iter().filter(|line| line.contains(&project.marker)).collect();
    assert!(left.is_empty(), "{left:?}");
}
