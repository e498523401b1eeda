//! One number for one thing, over commands: what the history keeps of builds that were recorded elsewhere, a replay, an export and the
//! reasons tell the same of each, in whatever order they were taken up.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::process::{Project, run};

/// Recorded builds, in the order of their names, and again in another.
fn recordings() -> [Vec<PathBuf>; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    paths.sort();
    assert!(paths.len() > 20);
    let backwards = paths.iter().rev().cloned().collect();
    [paths, backwards]
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A history of these builds, so many taken up at once, and what it says of each.
fn history(files: &[PathBuf], at_once: usize) -> (Project, Vec<Value>) {
    let project = Project::new();
    for files in files.chunks(at_once) {
        let imported = run(project.layertop(&["history", "import"]).args(files));
        assert_eq!(imported.code(), Some(0), "{imported:?}");
    }
    let listed = parsed(&run(&mut project.layertop(&["history", "-n", "0", "--progress", "json"])).stdout);
    let builds = listed["builds"].as_array().unwrap().clone();
    (project, builds)
}

#[test]
fn what_is_kept_of_a_build_is_what_a_replay_an_export_and_its_reasons_tell() {
    let [files, backwards] = recordings();
    let (project, builds) = history(&files, files.len());
    for at_once in [backwards.len(), 4] {
        assert_eq!(builds, history(&backwards, at_once).1, "the order of taking them up, {at_once} at once");
    }
    assert!(builds.iter().any(|build| build["saved_ms"].as_u64() > Some(1000)), "{builds:#?}");
    let ask = |words: &[&str]| run(&mut project.layertop(words)).stdout;
    for kept in &builds {
        let name = kept["name"].as_str().unwrap();
        let replay = |progress| ask(&["replay", name, "--speed", "max", "--progress", progress]);
        let told = parsed(replay("json").lines().last().unwrap());
        let exported = parsed(&ask(&["export", name, "--format", "json"]));
        assert_eq!(told, exported, "{name}");
        for field in ["wall_ms", "no_cache_ms", "saved_ms", "result"] {
            assert_eq!(kept[field], told[field], "{name}: {field}");
        }
        for field in ["rebuilt", "reached", "hits", "misses", "hit_rate"] {
            assert_eq!(kept[field], told["layers"][field], "{name}: {field}");
        }
        let why = parsed(&ask(&["why", name, "--progress", "json"]));
        let plain = replay("plain");
        for cause in why["causes"].as_array().unwrap().iter().take(6) {
            let sentence = cause["sentence"].as_str().unwrap();
            assert!(plain.contains(sentence), "{name}: {sentence}\n{plain}");
        }
        let with_reasons = |steps: &Value| -> Vec<Value> {
            steps.as_array().unwrap().iter().filter(|step| !step["reason"].is_null()).cloned().collect()
        };
        let (judged, replayed) = (with_reasons(&why["steps"]), with_reasons(&told["steps"]));
        assert_eq!(judged.len(), replayed.len(), "{name}");
        for (one, other) in judged.iter().zip(&replayed) {
            assert_eq!(one, other, "{name}");
        }
    }
}
