//! The build that a command means: one that is named, or the newest of the project. And how it ended, where that was not well.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::process::{Ended, Project, run};

fn demo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/demo/{name}.jsonl.zst"))
}

/// A history with builds from elsewhere, which have no recording among those of this machine.
fn imported(names: &[(&str, &str)]) -> Project {
    let project = Project::new();
    let elsewhere = project.beside("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    let mut words = vec!["history".to_owned(), "import".to_owned()];
    for (name, recording) in names {
        let copy = elsewhere.join(format!("{name}.jsonl.zst"));
        fs::copy(demo(recording), &copy).unwrap();
        words.push(copy.to_str().unwrap().to_owned());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(run(&mut project.layertop(&words)).code(), Some(0));
    project
}

#[track_caller]
fn says(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!(ended.code(), Some(code), "{ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
}

/// Whatever the history lists can be named, in the same way to all commands.
#[test]
fn a_build_has_one_name_for_all_commands() {
    let project = imported(&[("pip", "requirements"), ("before-1", "first"), ("before-22", "code")]);
    let ask = |words: &[&str]| run(&mut project.layertop(words));
    let commands: [&[&str]; 4] = [
        &["why", "before-2"],
        &["export", "before-2", "--format", "json"],
        &["replay", "before-2", "--speed", "max", "--progress", "plain"],
        &["compare", "before-2", "pip", "--progress", "plain"],
    ];
    for words in commands {
        says(&ask(words), 0, &["src/montage_ai/__init__.py changed"]);
        let word = |new: &'static str| -> Vec<&str> {
            words.iter().map(|word| if *word == "before-2" { new } else { word }).collect()
        };
        says(
            &ask(&word("before-")),
            2,
            &["`before-` is ambiguous: 2 builds begin so", "before-1", "before-22"],
        );
        assert!(matches!(ask(&word("no/such")).code(), Some(2 | 4)), "{words:?}");
    }
    says(
        &ask(&["compare", "nobody", "pip"]),
        4,
        &["there is no file and no build `nobody`", "layertop history"],
    );
    says(&ask(&["why", "pip"]), 0, &["requirements.txt changed"]);
    says(&ask(&["why", "before-22", "src"]), 0, &["src/montage_ai/__init__.py changed"]);
    fs::remove_file(project.beside("elsewhere/pip.jsonl.zst")).unwrap();
    says(
        &ask(&["export", "pip", "--format", "json"]),
        4,
        &["the recording of pip is gone", "layertop compare"],
    );
}

/// Builds without an image name are compared with each other, as the estimate and the screen do, however long ago they were taken up.
#[test]
fn why_compares_builds_without_an_image_with_each_other() {
    let recording = |name: &str| format!("{}/tests/recordings/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let project = Project::new();
    let import = |files: &[&str]| run(project.layertop(&["history", "import"]).args(files));
    says(&import(&[&recording("first"), &recording("nochange")]), 0, &["2 builds taken up"]);
    let code = fs::read_to_string(recording("code")).unwrap();
    project.write("changed.jsonl", &code.replace("COPY src/ src/", "COPY src/./ src/"));
    let why = || run(&mut project.layertop(&["why", "--progress", "plain", "changed.jsonl"]));
    let told = [
        "no image name",
        "rebuilt because its instruction changed: `src/` → `src/./`",
        "compared with the build nochange.jsonl",
    ];
    says(&why(), 0, &told);
    // Of builds that are newer by far what they are compared with is kept, and of these it is not any more.
    let later = (0..21).map(|at| {
        let name = format!("later-{at}.jsonl");
        project.write(&name, &code.replace("2026-11-22T", &format!("2027-01-{:02}T", at + 1)));
        name
    });
    let later: Vec<String> = later.collect();
    let later: Vec<&str> = later.iter().map(String::as_str).collect();
    says(&import(&later), 0, &["21 builds taken up"]);
    says(&why(), 0, &told);
    let unlike = run(&mut project.layertop(&["why", "--progress", "plain", &recording("multistage")]));
    says(&unlike, 0, &["nothing like it was built here before"]);
    // Nothing but a base image is common to these.
    says(&import(&[&recording("bake")]), 0, &["1 build taken up"]);
    let other =
        run(&mut project.layertop(&["why", "--progress", "plain", &recording("made/bake-platforms")]));
    assert_eq!(other.code(), Some(0), "{other:?}");
    assert!(!other.stdout.contains("compared with the build"), "{}", other.stdout);
    // A step may be named as outputs write it.
    let step =
        |name: &str| run(&mut project.layertop(&["why", "--progress", "plain", "changed.jsonl", name]));
    says(&step("[11/11]"), 0, &["its instruction changed"]);
    assert_eq!(step("[11/11]").stdout, step("11").stdout);
    says(&step("[11/12]"), 4, &["no step"]);
    says(&step(""), 4, &["no step"]);
}

/// Puts a recording of the demo among those of this machine, as one of another image, made in another folder.
fn record(data: &Path, name: &str, image: Option<&str>, folder: Option<&Path>) {
    let text = zstd::decode_all(fs::read(demo("code")).unwrap().as_slice()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().map(|line| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        if event["type"] == "started" {
            event["image"] = image.into();
            event["folder"] = folder.map(|folder| folder.to_str().unwrap()).into();
        }
        format!("{event}\n")
    });
    let dir = data.join("layertop/recordings");
    fs::create_dir_all(&dir).unwrap();
    let packed = zstd::encode_all(lines.collect::<String>().as_bytes(), 1).unwrap();
    fs::write(dir.join(format!("{name}.jsonl.zst")), packed).unwrap();
}

/// One word of `why` is a build before it is a step, for however short a word; and where it could be both the other way is said.
#[test]
fn one_word_is_a_build_before_it_is_a_step() {
    let project = imported(&[("02-code", "code"), ("03-pip", "requirements"), ("03-first", "first")]);
    record(&project.beside("data"), "20991122T080000Z-montage-ai-1", Some("r:5000/montage-ai:x"), None);
    let why = |word: &str| run(&mut project.layertop(&["why", "--progress", "plain", word]));
    let first = |ended: &Ended| ended.stdout.lines().next().unwrap_or_default().to_owned();
    let build = why("02");
    assert!(first(&build).contains(" · 02-code"), "{build:?}");
    let note = "note: `02` is how 02-code begins; for the step of 20991122T080000Z-montage-ai-1: \
                layertop why 20991122T080000Z-montage-ai-1 02\n";
    assert_eq!(build.stderr, note);
    // Two begin so, none does, and a part of an instruction does all the same.
    for word in ["03", "4", "pip"] {
        let step = why(word);
        assert!(
            first(&step).contains("20991122T080000Z-montage-ai-1 · newest of this machine"),
            "{word}: {step:?}"
        );
        assert_eq!(step.stderr, "", "{word}");
    }
    says(&why("03-"), 2, &["`03-` is ambiguous: 2 builds begin so"]);
    let whole = why("02-code");
    assert!(first(&whole).contains(" · 02-code") && whole.stderr.is_empty(), "{whole:?}");
}

#[test]
fn without_a_name_it_is_the_newest_of_the_project() {
    let project = Project::new();
    let data = project.beside("data");
    let folder = |name: &str, file: &str, text: &str| {
        let folder = project.beside(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
        folder.canonicalize().unwrap()
    };
    let image = |name: &str| format!("[image]\nregistry = \"r:5000\"\nname = \"{name}\"\n");
    let ours = folder("ours", "layertop.toml", &image("ours"));
    let nameless = folder("nameless", "Dockerfile", "FROM scratch\n");
    let new = folder("new", "layertop.toml", &image("new"));
    record(&data, "20261122T080000Z-ours-1", Some("r:5000/ours:old"), None);
    record(&data, "20261122T090000Z-ours-2", Some("r:5000/ours:x"), Some(Path::new("/moved/since")));
    record(&data, "20261122T100000Z-build-3", None, Some(&nameless));
    record(&data, "20261122T110000Z-other-4", Some("r:5000/other:x"), Some(Path::new("/elsewhere")));
    let ask = |folder: &Path, words: &[&str]| run(project.layertop(words).current_dir(folder));
    let first = |ended: &Ended| ended.stdout.lines().next().unwrap_or_default().to_owned();

    let why = ask(&ours, &["why", "--progress", "plain"]);
    says(&why, 0, &["src/montage_ai/__init__.py changed"]);
    let told = first(&why);
    assert!(told.starts_with("r:5000/ours:x · "), "{told}");
    assert!(told.ends_with("20261122T090000Z-ours-2 · newest of this project"), "{told}");
    says(&ask(&ours, &["why", "src"]), 0, &["20261122T090000Z-ours-2"]);
    let told = first(&ask(&nameless, &["why", "--progress", "plain"]));
    assert!(told.ends_with("20261122T100000Z-build-3 · newest of this project"), "{told}");
    let outside = ask(&project.folder(), &["why", "--progress", "plain"]);
    assert!(first(&outside).ends_with("20261122T110000Z-other-4 · newest of this machine"), "{outside:?}");
    says(&ask(&new, &["why"]), 4, &["there is no recording of r:5000/new yet", "layertop history"]);

    let export = ask(&ours, &["export", "--format", "json"]);
    says(&export, 0, &["exporting r:5000/ours:x", "20261122T090000Z-ours-2"]);
    assert_eq!(serde_json::from_str::<Value>(&export.stdout).unwrap()["image"], "r:5000/ours:x");
    let json: Value = serde_json::from_str(&ask(&ours, &["why", "--progress", "json"]).stdout).unwrap();
    assert_eq!((&json["build"], &json["result"]), (&"20261122T090000Z-ours-2".into(), &"success".into()));
}

/// A build that was not made has not been cached.
#[test]
fn why_says_how_a_build_ended() {
    let project = Project::new();
    let why = |name: &str| {
        let file = format!("{}/tests/recordings/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let ended = run(&mut project.layertop(&["why", "--progress", "plain", &file]));
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        assert!(!ended.stdout.contains("every step was cached"), "{}", ended.stdout);
        ended.stdout
    };
    for (name, told) in [
        (
            "no-dockerfile",
            "✗ the build did not begin: failed to read dockerfile: open Dockerfile: no such file",
        ),
        (
            "parse-error",
            "✗ the build did not begin: dockerfile parse error on line 2: unknown instruction: RUNN",
        ),
        (
            "base-missing",
            "✗ the build did not begin: [internal] load metadata for 127.0.0.1:5056/base/no-such-image",
        ),
        ("builder-broken", "✗ the build did not begin: "),
    ] {
        let said = why(name);
        assert!(
            said.contains(told) && said.contains("nothing was rebuilt, and nothing was cached"),
            "{said}"
        );
    }
    let cancelled = why("cancelled");
    assert!(
        cancelled.contains("■ the build was cancelled\nof 22 steps, 2 did not come to their end"),
        "{cancelled}"
    );
    let failed = why("fail");
    let told = "RUN echo \"Collecting numpy==9.9.9\"";
    assert!(failed.contains("✗ the build failed: ") && failed.contains(told), "{failed}");
    assert!(why("builder-lost").contains("error reading from server: EOF"), "{}", why("builder-lost"));
}
