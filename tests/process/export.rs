//! What is exported, read by the programs that it is made for: a collector, a browser, Perfetto, GitHub's Markdown, Prometheus' node
//! exporter.
//!
//! `tests/testbed/consumers up` installs them, and `tests/run.sh` says where they are; tests that need one say that they are skipped
//! where there is none, and fail under CI.

mod browser;
mod collector;
mod files;
mod metrics;
mod perfetto;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::process::{Ended, Project, run};

/// What a step may be called to get out of where it stands.
const HOSTILE: &str = r#"</title></style></svg></code><img src=x onerror=alert(1)><script>pwned=1</script> | `x` [a](http://e.de) "y" <b> &amp; \n"#;

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings").join(format!("{name}.jsonl"))
}

fn demo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo").join(format!("{name}.jsonl.zst"))
}

/// A failed build whose steps have hostile names and say hostile things.
fn hostile(project: &Project) -> PathBuf {
    let text = std::fs::read_to_string(recording("fail")).unwrap();
    let quoted = serde_json::to_string(HOSTILE).unwrap();
    let inner = quoted.trim_matches('"');
    project.write(
        "hostile.jsonl",
        &text.replace("Collecting numpy==9.9.9", inner).replace("WORKDIR /app", inner),
    );
    project.folder().join("hostile.jsonl")
}

fn export(project: &Project, build: &Path, options: &[&str]) -> Ended {
    run(&mut command(project, build, options))
}

fn command(project: &Project, build: &Path, options: &[&str]) -> Command {
    let mut command = project.layertop(&[&["export", build.to_str().unwrap()], options].concat());
    // Nothing goes where whoever runs the tests sends traces to.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command
}

/// The export in a file, which must succeed and say nothing.
#[track_caller]
fn exported(project: &Project, build: &Path, format: &str) -> PathBuf {
    let file = project.folder().join(format!("out.{format}"));
    let ended = export(project, build, &["--format", format, "--output", file.to_str().unwrap()]);
    assert_eq!((ended.code(), ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    file
}

fn summary(project: &Project, build: &Path) -> Value {
    let ended = export(project, build, &["--format", "json"]);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// A program that is installed for the tests; none where it is not, which is said, and under CI is a failure.
fn reader(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|path| !path.is_empty());
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI this must run: {variable}");
        println!("skipped: no {variable}, from `tests/testbed/consumers up`");
    }
    found
}

/// What a reader of others makes of a file.
fn read(kind: &str, file: &Path) -> Option<Value> {
    let python = reader("LAYERTOP_TEST_PYTHON")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/export/read.py");
    let ended = run(Command::new(python).arg(script).arg(kind).arg(file));
    assert!(ended.status.success(), "{}", ended.stderr);
    Some(serde_json::from_str(&ended.stdout).unwrap())
}
