//! Two builds side by side: the demo's, whose steps are known.

use serde_json::Value;

use crate::support::process;
use crate::support::process::{Project, run};
use crate::support::testbed::{Engine, For};

fn demo(name: &str) -> String {
    format!("{}/assets/demo/{name}.jsonl.zst", env!("CARGO_MANIFEST_DIR"))
}

fn compare(a: &str, b: &str, options: &[&str]) -> process::Ended {
    let project = Project::new();
    run(&mut project.layertop(&[&["compare", &demo(a), &demo(b)], options].concat()))
}

#[test]
fn what_costs_most_comes_first() {
    let ended = compare("unchanged", "requirements", &["--progress", "json"]);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    let steps = found["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 22);
    let cost = |step: &Value| step["diff_ms"].as_i64().unwrap().abs();
    assert!(steps.windows(2).all(|two| cost(&two[0]) >= cost(&two[1])));
    let first = &steps[0];
    assert_eq!((&first["layer"], &first["platform"]), (&Value::from("pip"), &Value::from("linux/arm64")));
    assert_eq!((&first["a"]["state"], &first["b"]["state"]), (&Value::from("hit"), &Value::from("miss")));
    let sides = ["a", "b"].map(|side| found[side]["wall_ms"].as_i64().unwrap());
    assert_eq!(found["diff_ms"], sides[1] - sides[0]);
}

/// The other way round it is the same with the other sign, and a build is like itself.
#[test]
fn a_comparison_has_two_sides() {
    let json =
        |a, b| -> Value { serde_json::from_str(&compare(a, b, &["--progress", "json"]).stdout).unwrap() };
    let (there, back) = (json("code", "requirements"), json("requirements", "code"));
    assert_eq!(there["diff_ms"].as_i64().unwrap(), -back["diff_ms"].as_i64().unwrap());
    assert_eq!((&there["a"], &there["b"]), (&back["b"], &back["a"]));
    let own = compare("code", "code", &["--color", "never"]);
    assert!(
        own.stdout.contains("B took as long as A") && own.stdout.contains("22 steps alike"),
        "{}",
        own.stdout
    );
}

#[test]
fn lines_fit_into_80_columns() {
    for (a, b) in [("unchanged", "requirements"), ("first", "code")] {
        let ended = compare(a, b, &["--color", "never", "--progress", "plain"]);
        let wide = ended.stdout.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(wide <= 80, "{}", ended.stdout);
    }
    let text = compare("unchanged", "requirements", &["--color", "never"]).stdout;
    assert!(text.contains("B: pip because requirements.txt changed"), "{text}");
}

/// What programs read is what the document says.
#[test]
fn the_json_is_as_the_schema_says() {
    let project = Project::new();
    let files = ["first", "code", "requirements", "unchanged"].map(demo);
    let mut words = vec!["history", "import"];
    words.extend(files.iter().map(String::as_str));
    assert_eq!(run(&mut project.layertop(&words)).code(), Some(0));
    for words in [
        &["compare", &files[0], &files[2]][..],
        &["stats"],
        &["stats", "--all"],
        &["stats", "--trends"],
        &["history"],
    ] {
        let ended = run(&mut project.layertop(&[words, &["--progress", "json"]].concat()));
        assert_eq!(ended.code(), Some(0), "{words:?}: {}", ended.stderr);
        let told: Value = serde_json::from_str(&ended.stdout).unwrap();
        if let Err(error) = jsonschema::validate(&layertop::report::json::schema(), &told) {
            panic!("{words:?}: {error}: {told:#}");
        }
    }
}

/// The recordings have been let go; the history has their builds.
#[test]
fn without_recordings_the_history_tells() {
    let project = Project::new();
    let copies = ["unchanged", "requirements"].map(|name| {
        let copy = project.folder().join(format!("{name}.jsonl.zst"));
        std::fs::copy(demo(name), &copy).unwrap();
        copy
    });
    let mut words = vec!["history", "import"];
    words.extend(copies.iter().map(|copy| copy.to_str().unwrap()));
    assert_eq!(run(&mut project.layertop(&words)).code(), Some(0));
    let with = compare("unchanged", "requirements", &["--progress", "json"]);
    for copy in copies {
        std::fs::remove_file(copy).unwrap();
    }
    let words = ["compare", "unchanged", "requirem", "--progress", "json"];
    let without = run(&mut project.layertop(&words));
    assert_eq!(without.code(), Some(0), "{}", without.stderr);
    let read = |ended: &process::Ended| -> Value { serde_json::from_str(&ended.stdout).unwrap() };
    let (with, without) = (read(&with), read(&without));
    assert_eq!(with["diff_ms"], without["diff_ms"]);
    let kept = |found: &Value| -> Vec<Value> {
        let told = |half: &Value| {
            let because = half["reason"]["because"].clone();
            serde_json::json!([half["state"], half["source"], half["run_ms"], because])
        };
        let mut steps: Vec<Value> = found["steps"].as_array().unwrap().clone();
        steps.sort_by_key(|step| (step["index"].as_u64(), step["platform"].to_string()));
        steps
            .iter()
            .map(|step| serde_json::json!([told(&step["a"]), told(&step["b"]), step["diff_ms"]]))
            .collect()
    };
    assert_eq!(kept(&with), kept(&without));
}

#[test]
fn builds_that_are_not_there_are_said() {
    let project = Project::new();
    let ended = run(&mut project.layertop(&["compare", &demo("code"), "20991231T0000"]));
    assert!(ended.code() == Some(4) && ended.stderr.contains("`20991231T0000`"), "{}", ended.stderr);
}

/// A layer that has become slower on a real engine is said to have, and one that has not is not.
#[test]
fn a_layer_that_became_slower_is_found() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project =
        engine.project("FROM BASE\nCOPY time /time\nRUN : pip install MARKER; sleep $(head -n1 /time)\n");
    let times = ["0.2", "0.2", "0.2", "2.5", "2.5", "2.5"];
    for (at, seconds) in times.iter().enumerate() {
        project.write("time", &format!("{seconds}\n{at} {}\n", project.marker));
        let ended = run(&mut project.layertop(&["build", "--progress", "quiet"]));
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    }
    let ended = run(&mut project.layertop(&["stats", "--trends", "--progress", "json"]));
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    let layers = found["layers"].as_array().unwrap();
    let slow: Vec<&Value> = layers.iter().filter(|layer| !layer["change"].is_null()).collect();
    let [slow] = slow.as_slice() else { panic!("{found:#}") };
    assert_eq!(slow["runs"].as_array().unwrap().len(), times.len());
    assert_eq!(slow["change"]["since"], slow["runs"][3]["at"], "{found:#}");
    // It sleeps so long at the least.
    assert!(slow["change"]["after_ms"].as_u64() >= Some(2500), "{found:#}");
    let plain = run(&mut project.layertop(&["stats", "--trends", "--color", "never"]));
    assert!(
        plain.stdout.lines().any(|line| line.starts_with("! ") && line.contains(" → ")),
        "{}",
        plain.stdout
    );
}
