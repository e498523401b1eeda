//! One mistake has one answer and one exit code, whichever command it is made with.

use std::fs;
use std::process::Stdio;

use crate::support::process::{Ended, Project, run};

/// The commands that read a build, with a word put in for it.
fn readers(word: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["replay", word],
        vec!["export", word, "--format", "json"],
        vec!["compare", word, word],
        vec!["why", word],
        vec!["why", word, "pip"],
        vec!["history", "import", word],
    ]
}

fn demo(name: &str) -> String {
    format!("{}/assets/demo/{name}.jsonl.zst", env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn fails(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(code), ""), "{ended:?}");
    assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "`{part}` is not in:\n{}", ended.stderr);
    }
}

#[test]
fn what_is_not_there_ends_with_4_and_a_folder_with_2() {
    let project = Project::new();
    let folder = project.folder().join("folder.d");
    fs::create_dir(&folder).unwrap();
    for words in readers("no.such.file") {
        let ended = run(&mut project.layertop(&words));
        fails(
            &ended,
            4,
            &[
                "error: there is no file and no build `no.such.file`\n  name a file, or a build: layertop history",
            ],
        );
    }
    for words in readers("folder.d") {
        let ended = run(&mut project.layertop(&words));
        fails(&ended, 2, &["error: folder.d is a folder, not a recording\n  name a file in it: ls folder.d"]);
    }
    fs::write(project.folder().join("notes.txt"), "no recording\n").unwrap();
    for words in readers("notes.txt") {
        fails(&run(&mut project.layertop(&words)), 2, &["error: notes.txt is not a recording"]);
    }
    for words in [["history", "--image"], ["stats", "--image"]] {
        assert_eq!(run(project.layertop(&["history", "import"]).arg(demo("code"))).code(), Some(0));
        let ended = run(project.layertop(&words).arg("nosuch"));
        fails(&ended, 4, &["error: no build of `nosuch` is kept\n  there are: "]);
    }
}

/// A word alone may be a build or a step, and both were looked for.
#[test]
fn why_says_that_a_word_is_neither_a_build_nor_a_step() {
    let project = Project::new();
    let data = project.beside("data/layertop/recordings");
    fs::create_dir_all(&data).unwrap();
    fs::copy(demo("code"), data.join("20261122T100000Z-app-1.jsonl.zst")).unwrap();
    let why = |words: &[&str]| run(project.layertop(&["why"]).args(words));
    let neither =
        "no build is called `buidl`, and no step of 20261122T100000Z-app-1, the newest of this machine, is";
    fails(&why(&["buidl"]), 4, &[neither, "layertop history lists the builds; the layers of ", "conda"]);
    fs::create_dir(project.folder().join("buidl")).unwrap();
    fails(&why(&["buidl"]), 4, &["is called `buidl`, and as a build buidl is a folder", "the layers of "]);
    fails(&why(&["20261122T1", "buidl"]), 4, &["no step of 20261122T100000Z-app-1 is called `buidl`"]);
    assert_eq!(why(&["pip"]).code(), Some(0));
}

#[test]
fn a_recording_comes_by_standard_input_too() {
    let project = Project::new();
    for words in [&["replay", "-", "--speed", "max"][..], &["why", "-"], &["export", "-", "--format", "json"]]
    {
        let file = fs::File::open(demo("code")).unwrap();
        let child = project.layertop(words).stdin(file).stdout(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("montage-ai"), "{words:?}: {output:?}");
    }
}

/// Every command that has a configuration, of which some need nothing of it.
const CONFIGURED: [&[&str]; 12] = [
    &[],
    &["build", "--dry-run"],
    &["plan"],
    &["status"],
    &["replay", "x"],
    &["demo", "first", "--speed", "max"],
    &["why", "x"],
    &["compare", "x", "x"],
    &["export", "x", "--format", "json"],
    &["history"],
    &["history", "import", "x"],
    &["stats"],
];

#[test]
fn a_configuration_that_is_wrong_is_said_by_every_command() {
    let project = Project::new();
    for words in CONFIGURED {
        let ended = run(project.layertop(words).args(["--config", "nosuch.toml"]));
        fails(&ended, 2, &["error: there is no configuration file nosuch.toml\n  leave --config out"]);
        let ended = run(project.layertop(words).env("LAYERTOP_CONFIG", "nosuch.toml"));
        fails(&ended, 2, &["error: there is no configuration file nosuch.toml"]);
    }
    project.write("layertop.toml", "[biuld]\n");
    for words in CONFIGURED {
        let ended = run(&mut project.layertop(words));
        fails(&ended, 2, &["error: layertop.toml:1:2: unknown key `biuld`", "did you mean `build`?"]);
    }
    // These help to put it right, or stand in what a shell reads when it starts.
    for words in [&["config", "schema"][..], &["completions", "bash"], &["--help"]] {
        assert_eq!(run(&mut project.layertop(words)).code(), Some(0), "{words:?}");
    }
    // What the environment says of a build is nothing to who builds nothing.
    fs::remove_file(project.folder().join("layertop.toml")).unwrap();
    let ended = run(project.layertop(&["history"]).env("PLATFORMS", "no platform"));
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "no builds are kept yet\n"), "{ended:?}");
}

/// A folder where a configuration is wanted is named, the working directory too, of which nothing is left when it is shown from itself.
#[test]
fn a_configuration_that_can_not_be_read_is_named() {
    let project = Project::new();
    let here = project.folder().canonicalize().unwrap();
    let config = |value: &str| run(&mut project.layertop(&["config", "check", "--config", value]));
    let shown = here.display().to_string();
    for value in [".", "./", shown.as_str()] {
        let told = format!(
            "error: {shown} is a folder, not a configuration file\n  name a file in it: ls {shown}\n"
        );
        fails(&config(value), 2, &[&told]);
    }
    fails(&config(".."), 2, &["error: ", " is a folder, not a configuration file\n  name a file in it: ls "]);
    fs::create_dir(project.folder().join("sub")).unwrap();
    fs::write(project.folder().join("sub/layertop.toml"), "").unwrap();
    let told =
        "error: sub is a folder, not a configuration file\n  name the file in it: --config sub/layertop.toml";
    fails(&config("sub"), 2, &[told]);
    fails(&config("sub/layertop.toml/x"), 2, &["there is no configuration file sub/layertop.toml/x\n"]);
    // Root may read whatever is there, but not this.
    let memory = "/proc/self/mem";
    fails(
        &config(memory),
        2,
        &[
            "can't read the configuration file /proc/self/mem: ",
            "\n  look who may read it: ls -l /proc/self/mem\n",
        ],
    );
}

#[test]
fn a_data_folder_that_is_a_file_is_not_as_if_there_were_no_builds() {
    for place in ["data", "data/layertop"] {
        let project = Project::new();
        let file = project.beside(place);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let commands: [&[&str]; 9] = [
            &["history"],
            &["history", "prune"],
            &["history", "import"],
            &["stats"],
            &["why"],
            &["why", "pip"],
            &["export", "--format", "json"],
            &["replay", "x"],
            &["compare", "x", "y"],
        ];
        let told = format!(
            "{0} is a file, not a folder\n  move it away: mv {0} {0}.old; or name another place",
            file.display()
        );
        for words in commands {
            fails(&run(&mut project.layertop(words)), 1, &[&told]);
        }
    }
}

/// /proc makes no folders for anybody, root or not.
#[test]
fn a_data_folder_that_can_not_be_made_is_said_with_what_to_type() {
    let project = Project::new();
    let ended =
        run(project.layertop(&["history", "import"]).arg(demo("code")).env("XDG_DATA_HOME", "/proc/x"));
    let told =
        "error: can't use the history at /proc/x/layertop/history.db: no folder can be made in /proc (";
    fails(&ended, 1, &[told, ")\n  name another place: export XDG_DATA_HOME=FOLDER\n"]);
    let nothing = run(project.layertop(&["history"]).env("XDG_DATA_HOME", "/proc/x"));
    assert_eq!(
        (nothing.code(), nothing.stdout.as_str()),
        (Some(0), "no builds are kept yet\n"),
        "{nothing:?}"
    );
}

/// As the XDG Base Directory Specification asks; and said once, or the builds would be missed where they were to be.
#[test]
fn a_relative_data_folder_is_ignored_and_said_once() {
    let project = Project::new();
    let home = project.beside("home");
    let at =
        |name: &str, words: &[&str]| run(project.layertop(words).env("HOME", &home).env(name, "my data"));
    let ended = at("XDG_DATA_HOME", &["history", "import", &demo("code")]);
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "1 build taken up\n"), "{ended:?}");
    let whole = project.folder().canonicalize().unwrap().join("my data");
    let told = format!(
        "warning: XDG_DATA_HOME='my data' is a relative path, which is ignored: export XDG_DATA_HOME='{}'\n",
        whole.display()
    );
    assert_eq!(ended.stderr, told);
    assert!(home.join(".local/share/layertop/history.db").is_file() && !whole.exists());
    for name in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        let ended = at(name, &["history"]);
        assert_eq!(ended.stderr.matches(&format!("warning: {name}=")).count(), 1, "{ended:?}");
    }
    // Empty is as good as unset, and a shell's start has other worries.
    assert_eq!(run(project.layertop(&["history"]).env("HOME", &home).env("XDG_DATA_HOME", "")).stderr, "");
    assert_eq!(at("XDG_DATA_HOME", &["completions", "bash"]).stderr, "");
}

/// A script is not asked, and on a terminal `pty` is.
#[test]
fn a_prune_says_what_it_would_delete() {
    let project = Project::new();
    let import = run(project.layertop(&["history", "import"]).args([demo("code"), demo("first")]));
    assert_eq!(import.code(), Some(0), "{import:?}");
    let prune = |words: &[&str]| run(project.layertop(&["history", "prune"]).args(words)).stdout;
    let would = prune(&["--keep", "1", "--dry-run"]);
    assert!(would.starts_with("1 build would be deleted (begun "), "{would}");
    assert!(would.contains("), 1 build would be kept: "), "{would}");
    let done = prune(&["--keep", "1"]);
    assert!(done.starts_with("1 build deleted, 1 build kept: "), "{done}");
    assert!(prune(&["--keep", "0", "--yes"]).starts_with("1 build deleted, 0 builds kept: "));
}
