//! Recordings and progress streams that are not whole: what is left of them is used, and each command says what is missing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::process::{Project, run};

fn lines_of(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// A progress stream, cut in the middle of this line.
fn cut_within(line: usize) -> Vec<u8> {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/req.jsonl");
    let bytes = fs::read(whole).unwrap();
    let lines = lines_of(&bytes);
    let half = &lines[line - 1][..lines[line - 1].len() / 2];
    [&lines[..line - 1].concat(), half].concat()
}

/// The commands that read a recording, with the file's name put in.
fn readers(file: &Path) -> Vec<Vec<&str>> {
    let file = file.to_str().unwrap();
    vec![
        vec!["replay", file, "--speed", "max", "--progress", "plain"],
        vec!["replay", file, "--speed", "max", "--progress", "quiet"],
        vec!["why", file],
        vec!["export", file, "--format", "json"],
        vec!["compare", file, file],
        vec!["history", "import", file],
    ]
}

#[test]
fn a_stream_that_ends_in_the_middle_of_a_line_is_told_by_every_command_and_its_build_is_lost() {
    let project = Project::new();
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let file = project.folder().join(name);
        fs::write(&file, bytes).unwrap();
        file
    };
    let cuts = [5, 41, 60].map(|line| (line, cut_within(line)));
    for (line, bytes) in &cuts {
        let packed = zstd::encode_all(&bytes[..], 1).unwrap();
        for file in [write(&format!("{line}.json"), bytes), write(&format!("{line}.json.zst"), &packed)] {
            let told = format!("this file ends early (in the middle of line {line})");
            for words in readers(&file) {
                let ended = run(&mut project.layertop(&words));
                assert_eq!(ended.code(), Some(0), "{words:?}: {ended:?}");
                let plain = words.ends_with(&["plain"]);
                let said = if plain { &ended.stdout } else { &ended.stderr };
                assert!(said.contains(&told), "{words:?} does not say `{told}`: {ended:?}");
                assert!(!ended.stdout.contains(r#"{\"vertexes\""#), "{words:?}: half a message is no output");
            }
            let words = ["replay", file.to_str().unwrap(), "--speed", "max", "--exit-code"];
            let ended = run(project.layertop(&words).args(["--progress", "json"]));
            assert_eq!((ended.code(), &ended.summary()["result"]), (Some(1), &"lost".into()), "{line}");
        }
    }
    let whole = format!("{}/tests/recordings/req.jsonl", env!("CARGO_MANIFEST_DIR"));
    for words in readers(Path::new(&whole)) {
        let ended = run(&mut project.layertop(&words));
        assert!(!ended.stderr.contains("warning") && !ended.stdout.contains("ends early"), "{ended:?}");
    }
}

#[test]
fn a_damaged_line_is_told_with_its_number() {
    let project = Project::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/code.jsonl.zst");
    let text = zstd::decode_all(&fs::read(demo).unwrap()[..]).unwrap();
    let mut lines = lines_of(&text);
    lines[6] = b"{\"at\":5,\"type\":\"vertex\"}\n";
    let file = project.folder().join("damaged.jsonl");
    for (numbers, told) in [
        (&[6][..], "line 7 of this file is damaged and was left out"),
        (&[6, 8], "2 damaged lines of this file were left out, line 7 first"),
    ] {
        for number in numbers {
            lines[*number] = b"nonsense\n";
        }
        fs::write(&file, lines.concat()).unwrap();
        for words in readers(&file).into_iter().filter(|words| !words.contains(&"quiet")) {
            let ended = run(&mut project.layertop(&words));
            let said = format!("{}{}", ended.stdout, ended.stderr);
            assert!(ended.code() == Some(0) && said.contains(told), "{words:?}: {ended:?}");
        }
    }
}

/// Nothing but errors, and a build of which nobody knows the end is one.
#[test]
fn a_lost_build_is_told_in_quiet_too() {
    let project = Project::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo/code.jsonl.zst");
    let text = zstd::decode_all(&fs::read(demo).unwrap()[..]).unwrap();
    let lines = lines_of(&text);
    let file = project.folder().join("lost.jsonl");
    fs::write(&file, lines[..lines.len() / 2].concat()).unwrap();
    let words = ["replay", file.to_str().unwrap(), "--speed", "max", "--progress", "quiet", "--exit-code"];
    let ended = run(&mut project.layertop(&words));
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.starts_with("? lost after "), "{ended:?}");
    assert!(ended.stderr.contains("\n  this file ends early (without the end of its build)"), "{ended:?}");
}
