//! A recording and a history that can't be written are warnings, and never the build's failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::process::{Project, run};
use crate::support::testbed::{Engine, For, recording, skipped};

/// Noise that finds no room on a disk that has some for the beginning. The pause is long enough for that to be written.
const NOISY: &str = "FROM BASE\nRUN echo MARKER; sleep 2; head -c 60000 /dev/urandom | base64\n";

/// A file system of a few pages, as long as this lives.
struct Tiny(PathBuf);

impl Tiny {
    /// With so many bytes left of 32 KiB; none where it can't be mounted, which is said.
    fn mount(at: &Path, left: usize) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=32k", "tmpfs"]).arg(at));
        if !mount.status.success() {
            skipped(&format!("no file system can be mounted here: {}", mount.stderr));
            return None;
        }
        let tiny = Self(at.to_owned());
        fs::write(at.join("filler"), vec![0; (32 << 10) - left]).unwrap();
        Some(tiny)
    }
}

/// Of what follows nothing goes into the history.
fn without_history(project: &Project) {
    let file = project.folder().join("layertop.toml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(file, before + "[history]\nkeep = 0\n").unwrap();
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_the_build_goes_on_and_says_what_to_do() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(NOISY);
    let disk = project.beside("full");
    let Some(_tiny) = Tiny::mount(&disk, 0) else { return };
    let remedy =
        format!("No space left on device (os error 28); the build goes on; free space in {}", disk.display());

    let json = run(project.layertop(&["build", "--progress", "json"]).env("XDG_DATA_HOME", &disk));
    assert_eq!(json.code(), Some(0), "{}", json.stderr);
    assert_eq!(json.summary()["result"], "success");
    let notices: Vec<_> = json.events().into_iter().filter(|event| event["type"] == "notice").collect();
    let about = |what: &str| notices.iter().find(|said| said["text"].as_str().unwrap().contains(what));
    let said = about(&remedy).expect("a notice");
    assert_eq!(said["level"], "warn");
    let said = about("the history is not kept: ").expect("a notice");
    assert_eq!(said["level"], "warn");
    assert!(said["text"].as_str().unwrap().contains("; the build goes on; "), "{said}");

    let plain = run(project.layertop(&["build", "--progress", "plain"]).env("XDG_DATA_HOME", &disk));
    assert_eq!(plain.code(), Some(0));
    assert_eq!(plain.stdout.matches(&remedy).count() + plain.stderr.matches(&remedy).count(), 1, "{plain:?}");
    assert!(!plain.stdout.contains("\nrecording: "), "there is none: {}", plain.stdout);
}

#[test]
fn a_disk_that_fills_up_leaves_what_was_written_and_a_warning() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(NOISY);
    let disk = project.beside("filling");
    // What room there is is the recording's.
    without_history(&project);
    let Some(_tiny) = Tiny::mount(&disk, 8 << 10) else { return };
    let ended = run(project.layertop(&["build", "--progress", "plain"]).env("XDG_DATA_HOME", &disk));
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    // It may be found while the build runs, or by the last write.
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(
        said.matches("No space left on device (os error 28); the build goes on; free space in").count(),
        1,
        "{said}"
    );
    assert!(!ended.stdout.contains("\nrecording: "), "it is not complete: {}", ended.stdout);
    let recording = recording(&disk);
    let words = ["replay", recording.to_str().unwrap(), "--speed", "max", "--progress", "json"];
    let replayed = run(&mut project.layertop(&words));
    assert_eq!(replayed.code(), Some(0), "{}", replayed.stderr);
    assert!(replayed.events().iter().any(|event| event["type"] == "started"), "{}", replayed.stdout);
    assert_eq!(replayed.summary()["result"], "lost", "its end found no room");
}

#[test]
fn where_nothing_can_be_written_the_build_goes_on_too() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER\n");
    // Not even root can make a folder in there.
    let ended = run(project.layertop(&["build", "--progress", "plain"]).env("XDG_DATA_HOME", "/proc"));
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let line = ended.stdout.lines().find(|line| line.contains("not recording: ")).expect("a warning");
    assert!(line.contains("/proc/layertop/recordings"), "{line}");
    assert!(line.ends_with("name another place: export XDG_DATA_HOME=FOLDER"), "{line}");
    let line =
        ended.stdout.lines().find(|line| line.contains("the history is not kept: ")).expect("a warning");
    assert!(line.contains("/proc/layertop/history.db") && line.contains("; the build goes on; "), "{line}");
    without_history(&project);
    let silent =
        run(project.layertop(&["build", "--progress", "plain", "--no-record"]).env("XDG_DATA_HOME", "/proc"));
    assert_eq!(silent.code(), Some(0));
    assert!(!silent.stdout.contains("recording") && !silent.stdout.contains("history"), "{}", silent.stdout);
}
