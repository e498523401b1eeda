//! Plans on a real engine: what `plan` says and fails on, and the dashboard, which plans anew at each save. That builds go as
//! planned is held against each build of `why.rs`.
//!
//! They run where `LAYERTOP_TEST_ENGINE_UP` is set, as all on an engine; they prune its builder.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::bench::{AMD, Bench, Built, DOCKERFILE, planned};
use crate::support::terminal::{Setup, Terminal};
use crate::support::testbed::{self, Engine, For};

#[test]
fn what_would_be_rebuilt_is_said() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.build(&[]);
    bench.append("requirements.txt", "requests==2.32.0");
    let said = bench.layertop(&["plan", "--progress", "plain"], &[]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    let sentence =
        "a build now would rebuild pip, 4 layers follow: requirements.txt changed: +requests==2.32.0";
    assert!(said.stdout.contains(sentence) && said.stdout.contains("○ would run"), "{}", said.stdout);
    let broken = bench.layertop(&["plan", "--progress", "quiet", "--fail-on-rebuild"], &["pip"]);
    assert_eq!(broken.code(), Some(3), "{broken:?}");
    assert!(broken.stderr.contains("would be rebuilt on linux/arm64"), "{}", broken.stderr);
    let strange = bench.layertop(&["plan", "--fail-on-rebuild", "nobody"], &[]);
    assert_eq!(strange.code(), Some(2), "{strange:?}");
    let Built { plan, .. } = bench.build(&[]);
    assert_eq!(planned(&plan, AMD, "predicted"), ["hit", "miss", "miss", "miss", "miss", "miss"], "{plan:#}");
    let steps = || plan["steps"].as_array().unwrap().iter();
    let kinds: Vec<&Value> =
        steps().map(|step| &step["reason"]["kind"]).filter(|kind| !kind.is_null()).collect();
    assert!(
        kinds.contains(&&"files_changed".into()) && kinds.contains(&&"parent_missed".into()),
        "{kinds:?}"
    );
    assert!(steps().any(|step| step["expected_ms"].is_u64()), "{plan:#}");
    // The build before it is not like this one in size, and all that is known of what comes to the steps.
    assert!(sentence_of(&plan).contains(" in all"), "{plan:#}");
    let [steps_ms, wall_ms] =
        ["expected_steps_ms", "expected_wall_ms"].map(|field| plan[field].as_u64().unwrap());
    assert!(wall_ms > steps_ms, "{plan:#}");
    let sound = bench.layertop(&["plan", "--progress", "quiet", "--fail-on-rebuild"], &["pip"]);
    assert_eq!(sound.code(), Some(0), "{sound:?}");
}

fn sentence_of(plan: &Value) -> &str {
    plan["sentence"].as_str().unwrap()
}

/// Two things have changed: both are named, the one that stands first in the Dockerfile before the other, whatever each costs. And what
/// a build takes beside its steps is a part of what it takes.
#[test]
fn causes_are_told_from_the_top_and_time_with_all_that_it_takes() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let bench = Bench::new(
        &engine,
        "FROM BASE\nRUN echo MARKER > /one\nCOPY requirements.txt .\nRUN sleep 1\nCOPY src/ src/\n",
    );
    let first = bench.plan(&[]);
    assert!(sentence_of(&first).contains(" unknown"), "nothing is known of how long it takes: {first:#}");
    assert_eq!((&first["expected_steps_ms"], &first["expected_wall_ms"]), (&Value::Null, &Value::Null));
    bench.build(&[]);
    let Built { plan, summary, .. } = bench.build(&[]);
    assert_eq!(plan["expected_steps_ms"], 0, "{plan:#}");
    let wall = plan["expected_wall_ms"].as_u64().unwrap();
    let said = sentence_of(&plan);
    assert!(said.starts_with("a build now would rebuild nothing: every layer is cached; ≈ "), "{said}");
    println!("a build without changes: {wall} ms expected, {} taken", summary["wall_ms"]);
    assert!(wall > 0, "{plan:#}");
    bench.replace(" > /one", " another > /one");
    bench.append("requirements.txt", "requests==2.32.0");
    let plan = bench.plan(&[]);
    let said = sentence_of(&plan);
    let [one, two] = ["its instruction changed", "requirements.txt changed: +requests==2.32.0"]
        .map(|because| said.find(because).unwrap_or_else(|| panic!("{because}: {said}")));
    assert!(one < two, "{said}");
}

/// The dashboard of a project, with what `layertop` of this test has recorded.
fn dashboard(bench: &Bench<'_>) -> Terminal {
    at_home(bench, Setup::layertop(&[])).start()
}

/// In the project's folder, with the engine and the builders that the test knows.
fn at_home(bench: &Bench<'_>, setup: Setup) -> Setup {
    let setup = setup.cwd(bench.project.folder()).env("XDG_DATA_HOME", bench.project.beside("data"));
    ["HOME", "DOCKER_HOST", "DOCKER_CONFIG"].into_iter().fold(setup, |setup, name| {
        match std::env::var_os(name) {
            Some(value) => setup.env(name, value),
            None => setup,
        }
    })
}

#[test]
fn a_save_is_seen_on_the_dashboard() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.project.write("notes/draft.md", "nothing takes it\n");
    let mut screen = dashboard(&bench);
    screen.wait_for("not built yet");
    let shown = screen.wait_for("○ 12 rebuild");
    assert!(shown.contains("nothing like it was built here before"), "{shown}");

    // A build that ends elsewhere is heard of.
    bench.build(&[]);
    // The builder may tell of it before its recording does, so each is waited for.
    screen.wait_for("last build, ");
    let shown = screen.wait_for("a build now would rebuild nothing: every layer is cached");
    // The base image may be one of them, or not: that is up to what else the engine holds.
    assert!(count(&shown, "● hit local") >= 12, "{shown}");

    bench.append("requirements.txt", "requests==2.32.0");
    let shown = screen.wait_for("requirements.txt changed: +requests==2.32.0");
    assert!(shown.contains("4 layers follow"), "{shown}");
    assert_eq!(count(&shown, "○ rebuild"), 10, "{shown}");
    bench.project.write("requirements.txt", "numpy==1\n");
    screen.wait_for("a build now would rebuild nothing: every layer is cached");

    // A folder that was not there, and a file in it.
    bench.project.write("src/deep/er/new.py", "print(2)\n");
    let shown = screen.wait_for("○ 4 rebuild");
    assert!(shown.contains("src/deep"), "{shown}");
    fs::remove_dir_all(bench.project.folder().join("src/deep")).unwrap();
    screen.wait_for("a build now would rebuild nothing: every layer is cached");

    // Another Dockerfile: the stack is its stack.
    let path = bench.project.folder().join("Dockerfile");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path.with_extension("new"), format!("{text}RUN echo one more\n")).unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    let shown = screen.wait_for("RUN echo one more");
    assert!(shown.contains("○ 2 rebuild"), "{shown}");
    screen.keys("q");
    assert_eq!(screen.finish().exit_code(), Some(0));
    let folder = bench.project.beside("data/layertop/recordings");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "a dashboard records nothing");
}

#[test]
fn what_can_not_be_watched_is_looked_at() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    // In a user namespace of its own a process may watch as little as we like.
    let limited = ["unshare", "--user", "--map-root-user", "--", "sh", "-c"];
    let limit = "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$0\"";
    let can = Command::new(limited[0]).args(&limited[1..]).args([limit, "true"]).output();
    if !can.is_ok_and(|ended| ended.status.success()) {
        return testbed::skipped("user namespaces are not to be had here");
    }
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.build(&[]);
    let setup = Setup::new(limited.into_iter().chain([limit, env!("CARGO_BIN_EXE_layertop")]));
    let mut screen = at_home(&bench, setup).start();
    screen.wait_for("a build now would rebuild nothing: every layer is cached");
    // How often depends on how long a look takes.
    screen.wait_for("files can't be watched and are looked at every ");
    screen.wait_for(" s: the limit of watched folders is reached");
    bench.append("requirements.txt", "requests==2.32.0");
    screen.wait_for("requirements.txt changed: +requests==2.32.0");
    screen.keys("q");
    assert_eq!(screen.finish().exit_code(), Some(0));
}

fn count(screen: &str, what: &str) -> usize {
    screen.matches(what).count()
}
