//! The command line as a process, without any engine: what it says, where it says it, what it ends with.

mod builds;
mod damage;
mod mistakes;
mod signals;

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::process::{Ended, Project, run};

/// Snapshots: `TRYCMD=overwrite cargo test --test process cli::` makes them anew, to be read before they are believed. In them a
/// backslash stands as `/`.
#[test]
fn snapshots() {
    let cases = cases();
    // What is set here wins over what a snapshot sets. None of these may be what it happens to be on this machine; empty is
    // as good as unset.
    cases.env("REGISTRY", "").env("TAG", "").env("PLATFORMS", "");
    cases.case("tests/process/cli/*.trycmd");
}

/// Snapshots that set all of what the environment may override.
#[test]
fn snapshots_with_an_environment() {
    cases().case("tests/process/cli/environment/*.trycmd");
}

fn cases() -> trycmd::TestCases {
    let cases = trycmd::TestCases::new();
    for name in ["BUILDX_BUILDER", "NO_COLOR", "CLICOLOR_FORCE", "LC_ALL", "LC_CTYPE", "LANG"] {
        cases.env(name, "");
    }
    // No docker is in there, so that the commands that are printed are the same on all machines.
    for name in ["PATH", "HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
        cases.env(name, "/nowhere");
    }
    cases.env("COLUMNS", "100");
    cases
}

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "jsonl")).collect();
    files.sort();
    assert!(files.len() > 20, "{files:?}");
    files
}

fn replay(project: &Project, file: &Path, options: &[&str]) -> Ended {
    let words = [&["replay", file.to_str().unwrap(), "--speed", "max"], options].concat();
    run(&mut project.layertop(&words))
}

#[test]
fn each_recording_replays_in_each_form() {
    let project = Project::new();
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/expected.json");
    let expected: Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
    for file in recordings() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let json = replay(&project, &file, &["--progress", "json"]);
        assert_eq!(json.code(), Some(0), "{name}: {}", json.stderr);
        let events = json.events();
        assert_eq!(
            (&events[0]["type"], &events[0]["created"]),
            (&"header".into(), &events[1]["at"]),
            "{name}"
        );
        let summary = json.summary();
        assert_eq!(summary["vertices"], expected[name]["vertices"], "{name}");

        let plain = replay(&project, &file, &["--progress", "plain", "--exit-code"]);
        assert_eq!(plain.code().map(Value::from), Some(ended(&summary)), "{name}: {}", plain.stderr);
        assert!(plain.stdout.ends_with('\n') && !plain.stdout.contains('\x1b'), "{name}: {}", plain.stdout);
        // Without an option and without a terminal that is what there is.
        assert_eq!(replay(&project, &file, &[]).stdout, plain.stdout, "{name}");

        let quiet = replay(&project, &file, &["--progress", "quiet"]);
        assert_eq!((quiet.code(), quiet.stdout.as_str()), (Some(0), ""), "{name}");
        let is_well = summary["error"].is_null() && summary["result"] != "lost";
        assert_eq!(quiet.stderr.is_empty(), is_well, "{name}: {}", quiet.stderr);
    }
}

/// What `--exit-code` makes of a summary: nobody knows how a stream that broke off has ended.
fn ended(summary: &Value) -> Value {
    if summary["exit_code"].is_null() { Value::from(1) } else { summary["exit_code"].clone() }
}

#[test]
fn a_build_whose_recording_broke_off_is_lost_in_each_form() {
    let project = Project::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/code.jsonl.zst");
    let text = zstd::decode_all(&std::fs::read(demo).unwrap()[..]).unwrap();
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let is_end = |line: &&[u8]| line.windows(14).any(|part| part == b"\"type\":\"ended\"");
    let end = lines.iter().position(is_end).unwrap();
    // Behind the last line before the end no vertex is open.
    for cut in [1, 2, end / 2, end] {
        let file = project.folder().join(format!("cut-{cut}.jsonl"));
        std::fs::write(&file, lines[..cut].concat()).unwrap();
        let json = replay(&project, &file, &["--progress", "json", "--exit-code"]);
        assert_eq!(json.code(), Some(1), "cut behind {cut} lines: {}", json.stderr);
        assert_eq!(json.summary()["result"], "lost", "cut behind {cut} lines");
        let plain = replay(&project, &file, &["--progress", "plain", "--exit-code"]);
        assert_eq!(plain.code(), Some(1), "cut behind {cut} lines: {}", plain.stderr);
        assert!(plain.stdout.contains("lost"), "cut behind {cut} lines: {}", plain.stdout);
        let imported = run(&mut project.layertop(&["history", "import", file.to_str().unwrap()]));
        assert!(imported.stdout.starts_with("1 build taken up"), "{imported:?}");
    }
    let history = run(&mut project.layertop(&["history", "--progress", "json"]));
    let listed = history.events().remove(0);
    let results: Vec<&Value> =
        listed["builds"].as_array().unwrap().iter().map(|build| &build["result"]).collect();
    assert_eq!(results, ["lost"; 4], "{listed}");
}

/// All hit locally, and the next builder has nothing else to hit.
#[test]
fn why_says_that_no_cache_was_imported_where_all_hit() {
    let project = Project::new();
    let file = format!("{}/tests/recordings/sources/registry-down.jsonl", env!("CARGO_MANIFEST_DIR"));
    let said = run(&mut project.layertop(&["why", &file]));
    assert!(
        said.stdout.contains("nothing was rebuilt: every step was cached\n! cache import failed: "),
        "{said:?}"
    );
}

#[test]
fn an_import_of_nothing_that_is_a_recording_is_an_error() {
    let project = Project::new();
    let bad = project.folder().join("notes.txt");
    std::fs::write(&bad, "no recording\n").unwrap();
    let import = |files: &[&str]| run(project.layertop(&["history", "import"]).args(files)).code();
    assert_eq!(import(&["nosuch", bad.to_str().unwrap()]), Some(4));
    let json = project.folder().join("package.json");
    std::fs::write(&json, r#"{"name": "x", "logs": {}, "dependencies": {}}"#).unwrap();
    assert_eq!(import(&[json.to_str().unwrap()]), Some(2), "JSON of another program");
}

/// What can be taken up is, what can't is named file by file, and a script hears of it by the exit code.
#[test]
fn an_import_of_which_some_fails_takes_up_the_rest_and_ends_with_the_code_of_the_failure() {
    let project = Project::new();
    let demo = |name: &str| format!("{}/assets/demo/{name}.jsonl.zst", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(project.folder().join("notes.txt"), "no recording\n").unwrap();
    let import = |files: &[&str]| run(project.layertop(&["history", "import"]).args(files));
    let some = import(&["nosuch", &demo("code"), "notes.txt", &demo("first")]);
    assert_eq!((some.code(), some.stdout.as_str()), (Some(4), "2 builds taken up\n"), "{some:?}");
    for told in [
        "warning: there is no file and no build `nosuch`; name a file",
        "warning: notes.txt is not a recording",
        "error: 2 of 4 files can't be taken up\n  name recordings",
    ] {
        assert!(some.stderr.contains(told), "{told}: {some:?}");
    }
    assert_eq!(import(&["notes.txt", &demo("unchanged")]).code(), Some(2), "each has its own code");
    let known = import(&[&demo("code"), &demo("requirements")]);
    assert_eq!((known.code(), known.stdout.as_str()), (Some(0), "1 build taken up, 1 known before\n"));
}

/// Two jobs may each write a `build.jsonl`.
#[test]
fn builds_in_files_of_one_name_are_told_apart() {
    let project = Project::new();
    let files = ["first", "code", "requirements"].map(|demo| {
        let demo = format!("{}/assets/demo/{demo}.jsonl.zst", env!("CARGO_MANIFEST_DIR"));
        let folder = project.folder().join(Path::new(&demo).file_name().unwrap());
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("build.jsonl.zst");
        std::fs::copy(demo, &file).unwrap();
        file.to_str().unwrap().to_owned()
    });
    let import = || run(project.layertop(&["history", "import"]).args(&files)).stdout;
    assert_eq!(import(), "3 builds taken up\n");
    assert_eq!(import(), "0 builds taken up, 3 known before\n");
    let listed = run(&mut project.layertop(&["history", "--progress", "json"])).events().remove(0);
    assert_eq!(listed["builds"].as_array().unwrap().len(), 3, "{listed}");
}

#[test]
fn an_empty_file_is_no_recording() {
    let project = Project::new();
    let written =
        "buildx writes its progress to standard error: docker buildx build --progress=rawjson . 2> ";
    let other = "name another build: layertop history";
    let cases =
        [("empty.jsonl", &b""[..], written), ("cut.jsonl.zst", &[0x28, 0xb5, 0x2f, 0xfd, 4][..], other)];
    for (name, bytes, hint) in cases {
        let file = project.folder().join(name);
        std::fs::write(&file, bytes).unwrap();
        for words in [&["replay"][..], &["history", "import"]] {
            let ended = run(project.layertop(words).arg(&file));
            assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
            let told = format!("error: {} is empty: no build was recorded in it\n  {hint}", file.display());
            assert!(ended.stderr.starts_with(&told), "{words:?}: {ended:?}");
        }
    }
    let ended = run(&mut project.layertop(&["replay", "-"]));
    let told = "error: /dev/stdin is empty: no build was recorded in it\n  pipe one into it: zstdcat";
    assert!(ended.code() == Some(2) && ended.stderr.starts_with(told), "{ended:?}");
}

#[test]
fn the_documents_name_each_form_of_an_export() {
    let project = Project::new();
    let help = run(&mut project.layertop(&["export", "--help"])).stdout;
    let listed = help.split("--format <FORMAT>").nth(1).unwrap().split("--output").next().unwrap();
    let forms: Vec<&str> =
        listed.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split(':').next()).collect();
    assert!(forms.len() >= 5, "{help}");
    for document in ["README.md", "docs/export.md"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
        let about: String = text.lines().filter(|line| line.contains("export")).collect();
        for form in &forms {
            let text = if document == "README.md" { &about } else { &text };
            assert!(text.contains(form), "{document} does not name {form}");
        }
    }
}

#[test]
fn what_json_says_can_be_replayed() {
    let project = Project::new();
    for name in ["first", "fail", "multistage", "flood"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/{name}.jsonl"));
        let first = replay(&project, &file, &["--progress", "json"]);
        project.write("again.jsonl", &first.stdout);
        let second = replay(&project, &project.folder().join("again.jsonl"), &["--progress", "json"]);
        assert_eq!(second.summary(), first.summary(), "{name}");
    }
}

#[test]
fn the_configuration_is_printed_without_secrets() {
    let project = Project::new();
    project.write("Dockerfile", "FROM scratch\n");
    project.write(
        "layertop.toml",
        "[image]\nregistry = \"127.0.0.1:5000\"\nname = \"a\"\n[build]\n\
         extra = [\"--cache-from\", \"type=s3,endpoint_url=https://me:hunter2hunter@127.0.0.1/x,secret_access_key=very/secret+key\"]\n\
         [build.args]\nINDEX = \"https://me:hunter3hunter@example.com/simple\"\nNPM_TOKEN = \"hunter4hunter\"\n",
    );
    let ended = run(&mut project.layertop(&["config", "print"]));
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    for secret in ["hunter2hunter", "hunter3hunter", "hunter4hunter", "very/secret+key"] {
        assert!(!ended.stdout.contains(secret), "{secret}: {}", ended.stdout);
    }
    assert!(ended.stdout.contains("INDEX = \"https://***@example.com/simple\""), "{}", ended.stdout);
    project.write("layertop.toml", &ended.stdout);
    assert_eq!(run(&mut project.layertop(&["config", "check"])).code(), Some(0), "it is valid all the same");
}

/// Every command that writes to standard output.
fn writers() -> Vec<Vec<String>> {
    let recording = recordings().pop().unwrap().display().to_string();
    let replay = format!("replay {recording} --speed max");
    let lines = [
        "--help",
        "build --help",
        "build --dry-run",
        "config print",
        "config check",
        "config schema",
        "completions bash",
        "completions zsh",
        "completions fish",
        "demo first --speed max --progress plain",
        "demo --speed max --progress json",
        &replay,
        &format!("{replay} --progress json"),
    ];
    lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

#[test]
fn signals_are_heard_while_nobody_reads() {
    let project = Project::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/flood.jsonl");
    let mut command = project.layertop(&["replay", file.to_str().unwrap(), "--progress", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::with_capacity(256, child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("header"), "{line}");
    // Much more than a pipe takes is to come, and nobody reads it.
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait().unwrap()));
    let status = end.recv_timeout(Duration::from_secs(60)).expect("SIGTERM ends it");
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
    drop(output);
}

#[test]
fn a_reader_that_is_gone_ends_a_command_quietly() {
    let project = Project::new();
    for words in writers() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // A pipe whose reading end is closed before the first byte, as `| head -0` would.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = project.layertop(&words).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{words:?}");
        assert_eq!(output.status.code(), Some(0), "{words:?}");
    }
}

#[test]
fn an_output_that_can_not_be_written_is_an_error() {
    let project = Project::new();
    for words in writers().into_iter().filter(|words| !words.contains(&"--help".to_owned())) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = project.layertop(&words).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            said,
            "error: can't write to standard output: No space left on device (os error 28)\n  free space there, or name another \
             place\n",
            "{words:?}"
        );
        assert_eq!(output.status.code(), Some(1), "{words:?}");
    }
}

#[test]
fn the_example_validates_against_the_schema() {
    let project = Project::new();
    let schema: Value =
        serde_json::from_str(&run(&mut project.layertop(&["config", "schema"])).stdout).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/montage-ai/layertop.toml");
    let example: toml::Value = toml::from_str(&std::fs::read_to_string(example).unwrap()).unwrap();
    let example = serde_json::to_value(example).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&example), "{:?}", validator.iter_errors(&example).collect::<Vec<_>>());
    assert!(!validator.is_valid(&serde_json::json!({ "image": { "nmae": "x" } })), "an unknown key is none");
}

#[test]
fn a_configuration_is_found_upward_and_a_user_s_own_holds_where_none_says_otherwise() {
    let project = Project::new();
    project.write("layertop.toml", "[image]\nname = \"app\"\n");
    project.write("deep/below/there", "");
    std::fs::create_dir_all(project.beside("config/layertop")).unwrap();
    std::fs::write(project.beside("config/layertop/config.toml"), "[build]\nbuilder = \"mine\"\n").unwrap();
    let mut command = project.layertop(&["build", "--dry-run"]);
    let ended = run(command.env("PATH", "/nowhere").current_dir(project.folder().join("deep/below")));
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let context = project.folder().canonicalize().unwrap().display().to_string();
    let expected = format!("docker buildx build --progress=rawjson --builder mine -t app:latest {context}\n");
    assert_eq!(ended.stdout.replace("../..", &context), expected);
}

#[test]
fn where_there_is_no_project_the_dashboard_says_what_to_do() {
    let project = Project::new();
    let ended = run(&mut project.layertop(&[]));
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("Commands:") && ended.stderr.contains("layertop demo"), "{}", ended.stderr);
    let last: Vec<&str> = ended.stderr.lines().rev().take(2).collect();
    assert_eq!(last[1], "error: there is no layertop.toml here or above, and no Dockerfile");
}
