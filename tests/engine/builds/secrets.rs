//! Secrets: in no command line, and masked in all that is shown and written.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::sys::signal::Signal;

use crate::support::group;
use crate::support::live::Live;
use crate::support::process::{Ended, Project, run};
use crate::support::testbed::{Engine, For, recording};

/// Invented, each from another place: the configuration, a word behind `--`, the environment, a file.
const CONFIGURED: &str = "configured-hunter2-4711";
const TYPED: &str = "typed-hunter2-4711";
const EXPORTED: &str = "exported-hunter2-4711";
const FILED: &str = "filed-hunter2-4711";

/// Says all of them, one in two halves that are no whole in any chunk, and one in base64.
const DOCKERFILE: &str = "FROM BASE
ARG API_TOKEN
ARG DB_PASSWORD
RUN --mount=type=secret,id=exported --mount=type=secret,id=filed \
    echo MARKER $API_TOKEN $DB_PASSWORD; cat /run/secrets/exported /run/secrets/filed; echo; \
    printenv API_TOKEN | head -c 9; sleep 0.3; printenv API_TOKEN | tail -c +10; \
    printenv API_TOKEN | tr -d '\\n' | base64
";

fn project(engine: &Engine) -> Project {
    let project = engine.project(DOCKERFILE);
    let config = fs::read_to_string(project.folder().join("layertop.toml")).unwrap();
    project.write("layertop.toml", &format!("{config}args = {{ API_TOKEN = \"{CONFIGURED}\" }}\n"));
    fs::write(project.beside("secret.txt"), FILED).unwrap();
    project
}

fn words(project: &Project, progress: &str) -> Vec<String> {
    let file = format!("id=filed,src={}", project.beside("secret.txt").display());
    let typed = format!("DB_PASSWORD={TYPED}");
    let words = ["build", "--progress", progress, "--", "--build-arg", &typed, "--no-cache"];
    let secrets = ["--secret", "id=exported,env=EXPORTED", "--secret", &file];
    words.into_iter().chain(secrets).map(str::to_owned).collect()
}

fn leaks(text: &str) -> Vec<String> {
    let plain = [CONFIGURED, TYPED, EXPORTED, FILED].map(str::to_owned);
    let packed = [CONFIGURED, TYPED].map(|secret| BASE64_STANDARD.encode(secret));
    plain.into_iter().chain(packed).filter(|secret| text.contains(secret.as_str())).collect()
}

/// The text of the only recording, which is taken away.
fn recorded(project: &Project) -> String {
    let file = recording(&project.beside("data"));
    let text = String::from_utf8(zstd::decode_all(fs::File::open(&file).unwrap()).unwrap()).unwrap();
    fs::remove_file(file).unwrap();
    text
}

fn build(project: &Project, progress: &str) -> Ended {
    let words = words(project, progress);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = run(project.layertop(&words).env("EXPORTED", EXPORTED));
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    ended
}

#[test]
fn they_are_masked_in_json_plain_and_the_recording() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = project(&engine);
    for progress in ["json", "plain"] {
        let ended = build(&project, progress);
        let recorded = recorded(&project);
        for text in [&ended.stdout, &ended.stderr, &recorded] {
            assert_eq!(leaks(text), [""; 0], "{progress}: {text}");
        }
        for text in [&ended.stdout, &recorded] {
            assert!(text.contains(&project.marker) && text.contains("***"), "{progress}: {text}");
        }
    }
}

#[test]
fn they_stand_in_no_command_line() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nARG API_TOKEN\nRUN echo MARKER $API_TOKEN; sleep 600\n");
    let config = fs::read_to_string(project.folder().join("layertop.toml")).unwrap();
    let token = format!("{}-{CONFIGURED}", project.marker);
    project.write("layertop.toml", &format!("{config}args = {{ API_TOKEN = \"{token}\" }}\n"));

    let dry = run(&mut project.layertop(&["build", "--dry-run"]));
    assert!(dry.stdout.contains("--build-arg API_TOKEN ."), "{}", dry.stdout);
    assert!(!dry.stdout.contains(&token), "{}", dry.stdout);

    let mut live = Live::start(&mut project.layertop(&["build", "--progress", "json"]));
    live.until_event(|event| event["type"] == "log" && event["lines"][0].to_string().contains("***"));
    let group = group::of_child(live.id());
    let all = group::command_lines();
    assert!(all.iter().any(|line| line.contains("--build-arg API_TOKEN")), "{all:?}");
    // The step's own shell is the builder's, whose command BuildKit leaves to the container's environment.
    let telling: Vec<_> = all.iter().filter(|line| line.contains(&token)).collect();
    assert!(telling.is_empty(), "{telling:?}");
    live.send(Signal::SIGINT);
    assert_eq!(live.end().code(), Some(130));
    assert!(group::living(group).is_empty());
}
