//! Gates: each of them open and shut by builds on a real engine, and what is said of those that can't be.
//!
//! Those on an engine run where `LAYERTOP_TEST_ENGINE_UP` is set, as all on an engine.

use serde_json::Value;

use crate::support::process::{Ended, Project, run};
use crate::support::testbed::{Engine, For, recording};

const STACK: &str = "FROM BASE
WORKDIR /app
COPY requirements.txt .
RUN pip --version || true; echo pip install -r requirements.txt MARKER
COPY src/ src/
";

fn project(engine: &Engine, dockerfile: &str) -> Project {
    let project = engine.project(dockerfile);
    project.write("requirements.txt", &format!("# {}\n", project.marker));
    project.write("src/a", "one\n");
    project
}

fn build(project: &Project, gates: &str, buildx: &[&str]) -> Ended {
    let words = [&["build", "--progress", "json", "--fail-on", gates, "--"], buildx].concat();
    run(&mut project.layertop(&words))
}

/// What became of the one gate that was asked for: its state and its reason.
#[track_caller]
fn verdict(ended: &Ended, code: i32) -> (String, String) {
    let summary = ended.summary();
    assert_eq!(ended.code(), Some(code), "{}{:#}", ended.stderr, summary["steps"]);
    assert_eq!(summary["exit_code"], code, "the summary says what layertop ends with");
    let [gate] = summary["gates"].as_array().unwrap().as_slice() else { panic!("{}", summary["gates"]) };
    let told = ended.events().into_iter().filter(|event| event["type"] == "gates").count();
    assert_eq!(told, 1, "it is an event too");
    let (state, reason) = (gate["state"].as_str().unwrap(), gate["reason"].as_str().unwrap());
    assert_eq!(ended.stderr.contains(reason), state != "passed" || reason.is_empty(), "{}", ended.stderr);
    (state.to_owned(), reason.to_owned())
}

#[test]
fn a_layer_that_missed() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = project(&engine, STACK);
    let (state, reason) = verdict(&build(&project, "miss:PIP", &["."]), 3);
    assert!(state == "failed" && reason.starts_with("PIP was rebuilt because "), "{reason}");
    // A file behind it has changed; it is a hit.
    project.write("src/a", "two\n");
    assert_eq!(verdict(&build(&project, "miss:pip", &["."]), 0).0, "passed");
    // In plain output a line on standard error says it.
    project.write("requirements.txt", &format!("# {} again\n", project.marker));
    let plain =
        run(&mut project.layertop(&["build", "--progress", "plain", "--fail-on", "miss:pip,import-error"]));
    assert_eq!(plain.code(), Some(3), "{}", plain.stderr);
    let lines: Vec<&str> = plain.stderr.lines().collect();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(
        line.starts_with("gate miss:pip failed: pip was rebuilt because requirements.txt changed"),
        "{line}"
    );
}

#[test]
fn a_share_of_hits() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = project(&engine, STACK);
    let (state, reason) = verdict(&build(&project, "hit-rate<80%", &["."]), 3);
    assert!(
        state == "failed" && reason.contains(" of 5 steps were not cached: the hit rate is "),
        "{reason}"
    );
    assert_eq!(verdict(&build(&project, "hit-rate<100%", &["."]), 0).0, "passed");
}

/// A cache that is not there yet is none that could not be imported; a registry that is not there is.
#[test]
fn a_cache_that_could_not_be_imported() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = project(&engine, STACK);
    let cache = format!("ref={}/layertop-test/gates-{}:cache", engine.registry, project.marker);
    let (from, to) =
        (format!("--cache-from=type=registry,{cache}"), format!("--cache-to=type=registry,{cache}"));
    let first = build(&project, "import-error", &[&from, &to, "."]);
    assert_eq!(verdict(&first, 0).0, "passed");
    assert!(first.stdout.contains("\"import\":{\"state\":\"not_there\""), "{}", first.stdout);
    assert_eq!(verdict(&build(&project, "import-error", &[&from, "."]), 0).0, "passed");
    let nobody = "--cache-from=type=registry,ref=127.0.0.1:1/nobody:cache";
    let (state, reason) = verdict(&build(&project, "import-error", &[nobody, "."]), 3);
    assert!(
        state == "failed" && reason.contains("could not be imported") && reason.contains("refused"),
        "{reason}"
    );
}

#[test]
fn output_that_was_clipped() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    // BuildKit keeps 2 MiB of what a step says.
    let loud = project(
        &engine,
        "FROM BASE\nRUN echo MARKER; head -c 3000000 /dev/zero | tr '\\0' x | fold -w 100\n",
    );
    let (state, reason) = verdict(&build(&loud, "clipped-log", &["."]), 3);
    assert!(state == "failed" && reason.contains("2/2"), "{reason}");
    let quiet = project(&engine, STACK);
    assert_eq!(verdict(&build(&quiet, "clipped-log", &["."]), 0).0, "passed");
}

/// A step that is as fast as ever passes, one that has become slower does not, and one without a history can't be judged. What it took
/// before is put into the history, so that it does not matter how busy the machine is.
#[test]
fn a_step_that_is_slower_than_it_was() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = project(&engine, "FROM BASE\nCOPY run /run\nRUN : MARKER; sleep 2\n");
    let next = |run: u32| {
        project.write("run", &format!("{run} {}\n", project.marker));
        build(&project, "slower-than:p95", &["."])
    };
    let took_before = |micros: i64| {
        let store = rusqlite::Connection::open(project.beside("data/layertop/history.db")).unwrap();
        store.execute("UPDATE steps SET ran_us = ?1 WHERE ran_us > 0", [micros]).unwrap();
    };
    let (state, reason) = verdict(&next(1), 0);
    assert!(state == "unknown" && reason.contains("no history"), "{reason}");
    for run in 2..4 {
        assert_eq!(verdict(&next(run), 0).0, "unknown");
    }
    took_before(3_600_000_000);
    assert_eq!(verdict(&next(4), 0).0, "passed");
    took_before(1_000);
    let (state, reason) = verdict(&next(5), 3);
    assert!(
        state == "failed" && reason.contains(" took ") && reason.contains(" usually (4 runs)"),
        "{reason}"
    );
}

#[test]
fn the_build_s_own_code_comes_first_and_a_replay_ends_as_the_build_did() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let broken = project(&engine, "FROM BASE\nRUN echo MARKER; exit 7\n");
    let ended = build(&broken, "hit-rate<100%", &["."]);
    assert_eq!(verdict(&ended, 1).0, "failed");

    let shut = project(&engine, STACK);
    assert_eq!(build(&shut, "miss:pip,clipped-log", &["."]).code(), Some(3));
    let file = recording(&shut.beside("data"));
    let words = ["replay", file.to_str().unwrap(), "--speed", "max", "--progress", "json"];
    let replayed = run(&mut shut.layertop(&words));
    assert_eq!(
        (replayed.code(), replayed.summary()["gates"][0]["state"].clone()),
        (Some(0), Value::from("failed"))
    );
    let replayed = run(&mut shut.layertop(&[&words[..], &["--exit-code"]].concat()));
    assert_eq!(replayed.code(), Some(3), "{}", replayed.stderr);
}

#[test]
fn a_layer_that_is_not_there_is_an_error_before_the_build() {
    let project = Project::new();
    project
        .write("Dockerfile", "FROM scratch\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n");
    let ended = run(&mut project.layertop(&["build", "--dry-run", "--fail-on", "miss:pipp"]));
    assert_eq!(ended.code(), Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("no layer is called `pipp`") && ended.stderr.contains("pip"),
        "{}",
        ended.stderr
    );
    for (text, expected) in
        [("hit-rate", "quote it"), ("pip", "the gates are miss:LAYER"), ("hit-rate<200%", "no share")]
    {
        let ended = run(&mut project.layertop(&["build", "--dry-run", "--fail-on", text]));
        assert!(ended.code() == Some(2) && ended.stderr.contains(expected), "{}", ended.stderr);
    }
    let fine = run(&mut project.layertop(&["build", "--dry-run", "--fail-on", "miss:pip,hit-rate<80%"]));
    assert_eq!(fine.code(), Some(0), "{}", fine.stderr);
}
