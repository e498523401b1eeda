//! What others wrote reaches the terminal as text, whatever it holds.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::bytes::{assert_own, copied, is_treacherous};
use crate::support::terminal::{Seen, Setup};
use crate::support::{LAYERTOP, recording};

/// Text that takes over a terminal which prints it as it is: a title, a cleared screen, blinking, hidden text, the mouse, a
/// question, a device control string, C1, text turned around, what cannot be seen, a bell, NUL.
fn evil(name: &str) -> String {
    format!(
        "{name}\u{1b}]0;pwned\u{7}\u{1b}[2J\u{1b}[5m\u{1b}[8mhidden\u{1b}[0m\u{1b}[?1000h\u{1b}[6n\u{1b}P1$r\u{1b}\\\u{1b}c\
         \u{9b}31m\u{9d}0;x\u{9c}\u{202e}live\u{2066}\u{200b}\u{feff}\u{e0041}\u{7}\u{8}\u{7f}\u{0}\r\n\u{1b}]52;c;QUFB\u{7}"
    )
}

/// Every field of every event, each with its name in it so that it can be found again.
fn events() -> Vec<Value> {
    let vertex = |digest: &str, name: &str, error: Option<String>| {
        json!({"at": 3, "type": "vertex", "digest": digest, "name": name, "inputs": [evil("e-input")], "started": 3,
            "completed": 9_000_000, "error": error, "group": {"id": evil("e-group"), "name": evil("e-groupname")}})
    };
    vec![
        json!({"type": "header", "format": "layertop", "version": 1, "created": 1, "program": evil("e-program")}),
        json!({"at": 1, "type": "started", "image": evil("e-image"), "builder": evil("e-builder"),
            "platforms": ["linux/amd64", evil("linux/e-platform")], "command": ["docker", evil("e-command")],
            "cache": evil("e-cache"), "title": evil("e-title")}),
        json!({"at": 2, "type": "outline", "target": 0,
            "stages": [{"name": evil("e-stage"), "steps": [
                {"instruction": evil("RUN e-instruction"), "layer": evil("e-layer"), "line": 1}]}],
            "rules": [{"name": evil("e-rule"), "match": evil("e-pattern")}]}),
        vertex("sha256:1", &format!("[linux/amd64 {} 1/2] RUN {}", evil("e-stage"), evil("e-step")), None),
        vertex(&evil("e-digest"), &evil("e-internal"), None),
        vertex("sha256:2", &format!("[2/2] COPY {}", evil("e-copy")), Some(evil("e-error"))),
        vertex("sha256:3", &evil("importing cache manifest from e-manifest"), Some(evil("e-import"))),
        json!({"at": 4, "type": "status", "vertex": "sha256:1", "id": evil("e-status"), "current": 1, "total": 9, "timestamp": 4}),
        json!({"at": 5, "type": "log", "vertex": "sha256:1", "stream": "stdout", "timestamp": 5,
            "lines": [evil("e-line"), {"text": evil("e-styled"), "spans": [{"start": 0, "bold": true}]}],
            "partial": evil("e-partial")}),
        json!({"at": 5, "type": "log", "vertex": "sha256:2", "stream": "stderr", "timestamp": 5, "lines": [evil("e-lastline")]}),
        json!({"at": 6, "type": "warning", "vertex": "sha256:1", "short": evil("e-short"), "detail": [evil("e-detail")],
            "url": evil("e-url"), "file": evil("e-file"), "line": 3}),
        json!({"at": 7, "type": "output", "stream": "stderr", "line": evil("Dockerfile:2 e-output")}),
        json!({"at": 7, "type": "output", "stream": "stderr", "line": evil("ERROR: failed to solve: e-solve")}),
        json!({"at": 8, "type": "notice", "level": "warn", "text": evil("e-notice")}),
        json!({"at": 9_000_000, "type": "ended", "exit_code": 1}),
    ]
}

/// The same in the words of buildx's own progress stream.
fn rawjson() -> Vec<String> {
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(evil(text));
    let (start, end) = ("2026-11-22T10:00:00Z", "2026-11-22T10:00:09Z");
    let values = [
        json!({"vertexes": [
            {"digest": "sha256:1", "name": format!("[linux/amd64 {} 1/2] RUN {}", evil("e-stage"), evil("e-step")),
                "started": start, "completed": end, "progressGroup": {"id": evil("e-group"), "name": evil("e-groupname")}},
            {"digest": evil("e-digest"), "name": evil("e-internal"), "started": start, "completed": end},
            {"digest": "sha256:2", "name": format!("[2/2] COPY {}", evil("e-copy")), "started": start, "completed": end,
                "error": evil("e-error")}]}),
        json!({"statuses": [{"vertex": "sha256:1", "id": evil("e-status"), "name": evil("e-name"), "current": 1, "total": 9,
            "timestamp": start, "started": start}]}),
        json!({"logs": [{"vertex": "sha256:1", "stream": 1, "data": base64("e-line"), "timestamp": start}]}),
        json!({"logs": [{"vertex": "sha256:2", "stream": 2, "data": base64("e-lastline"), "timestamp": start}]}),
        json!({"warnings": [{"vertex": "sha256:1", "level": 1, "short": base64("e-short"), "detail": [base64("e-detail")],
            "url": evil("e-url"), "sourceInfo": {"filename": evil("e-file")}, "range": [{"start": {"line": 3}, "end": {"line": 3}}]}]}),
    ];
    let text = [evil("Dockerfile:2 e-output"), evil("ERROR: failed to solve: e-solve")];
    values.iter().map(Value::to_string).chain(text).collect()
}

/// A file in a folder of its own.
fn file(name: &str, lines: impl IntoIterator<Item = String>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let mut file = fs::File::create(&path).unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    (dir, path)
}

fn assert_text(what: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let found = text.char_indices().find(|(_, c)| *c != '\n' && is_treacherous(*c));
    if let Some((at, c)) = found {
        let line = text[..at].lines().last().unwrap_or_default();
        panic!("{what}: {c:?} behind `{line}`");
    }
    text
}

/// What a pipe gets; both streams of it are nothing but text.
fn piped(path: &Path, progress: &str) -> String {
    let replay = ["replay", "--speed", "max", "--color", "auto", "--progress", progress];
    let out = Command::new(LAYERTOP).args(replay).arg(path).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    assert_text("errors", &out.stderr);
    assert_text(progress, &out.stdout)
}

/// Every pane with it on the screen, and the summary. The keys go to the step that speaks.
fn walked(path: &Path, step: &str) -> String {
    let mut terminal =
        Setup::layertop(&["replay", "--speed", "max", &path.display().to_string()]).size((260, 60)).start();
    terminal.wait_for("■ end");
    let mut seen = terminal.look(Seen::text);
    for (keys, shown) in [
        (step, "e-line"),
        ("G", "e-lastline"),
        ("\x1b[C", "selected"),
        ("W", "╭ Warnings"),
        ("q", "─ Stack"),
        ("fe-\r", "only \"e-\""),
        ("/e-\r", "/e-"),
        ("?", "╭ Keys"),
        ("?", "─ Stack"),
        ("gy", "copied"),
    ] {
        terminal.keys(keys);
        seen.push_str(&terminal.wait_for(shown));
    }
    terminal.wait("the copy", |seen| copied(&seen.raw).pop());
    terminal.keys("q");
    let finished = terminal.finish();
    finished.assert_given_back();
    assert_own(&finished.raw, true);
    for copy in copied(&finished.raw) {
        assert_text("the clipboard", copy.as_bytes());
    }
    seen + &finished.text
}

#[test]
fn every_field_of_a_recording() {
    let (_dir, path) = file("evil.jsonl", events().iter().map(Value::to_string));
    let json = piped(&path, "json");
    for field in [
        "e-image",
        "e-builder",
        "linux/e-platform",
        "e-command",
        "e-cache",
        "e-title",
        "e-stage",
        "e-instruction",
        "e-layer",
        "e-rule",
        "e-pattern",
        "e-input",
        "e-group",
        "e-groupname",
        "e-step",
        "e-digest",
        "e-internal",
        "e-copy",
        "e-error",
        "e-manifest",
        "e-import",
        "e-status",
        "e-line",
        "e-styled",
        "e-partial",
        "e-lastline",
        "e-short",
        "e-detail",
        "e-url",
        "e-file",
        "e-output",
        "e-solve",
        "e-notice",
    ] {
        assert!(json.contains(field), "{field} is not in the JSON");
    }
    let plain = piped(&path, "plain");
    for field in
        ["e-image", "e-step", "e-copy", "e-line", "e-styled", "e-lastline", "e-short", "e-solve", "e-notice"]
    {
        assert!(plain.contains(field), "{field} is not in\n{plain}");
    }
    assert_eq!(piped(&path, "quiet"), "");
    let screen = walked(&path, "g\x1b[B");
    for field in [
        "e-image",
        "e-builder",
        "e-step",
        "e-layer",
        "e-line",
        "e-lastline",
        "e-short",
        "e-detail",
        "e-url",
        "e-solve",
    ] {
        assert!(screen.contains(field), "{field} is not in\n{screen}");
    }
}

#[test]
fn every_field_of_a_progress_stream() {
    let (_dir, path) = file("evil.json", rawjson());
    for (progress, fields) in [
        (
            "json",
            &[
                "e-stage",
                "e-step",
                "e-digest",
                "e-internal",
                "e-copy",
                "e-error",
                "e-status",
                "e-line",
                "e-solve",
            ][..],
        ),
        ("plain", &["e-step", "e-copy", "e-line", "e-lastline", "e-short", "e-solve"]),
    ] {
        let text = piped(&path, progress);
        for field in fields {
            assert!(text.contains(field), "{field} is not in\n{text}");
        }
    }
    let screen = walked(&path, "g");
    for field in ["e-step", "e-line", "e-lastline", "e-short", "e-detail", "e-solve"] {
        assert!(screen.contains(field), "{field} is not in\n{screen}");
    }
}

#[test]
fn what_a_real_step_printed() {
    for name in ["multistage.jsonl", "carriage-returns.jsonl", "flood.jsonl"] {
        let path = recording(name);
        for progress in ["plain", "json"] {
            piped(Path::new(&path), progress);
        }
        let mut terminal = Setup::layertop(&["replay", "--speed", "max", &path]).start();
        terminal.wait_for("■ end");
        // Every step's log comes by.
        terminal.keys(&format!("g{}", "\x1b[B\x1b[C".repeat(25)));
        terminal.keys("GW");
        terminal.wait_for("╭ Warnings");
        terminal.keys("q");
        terminal.wait_gone("╭ Warnings");
        terminal.keys("q");
        let finished = terminal.finish();
        finished.assert_given_back();
        assert_own(&finished.raw, false);
    }
}

/// A configuration comes with the sources, and a file's name from wherever it was downloaded.
#[test]
fn a_configuration_and_a_name_are_foreign_too() {
    let toml = r#"
        "unknown\u001b[2J\u202e" = 1
        [image]
        name = "name\u001b[2J\u202e"
        platforms = ["linux/amd64\u001b[2J"]
        [[layer]]
        name = "layer\u001b[2J\u202e"
        match = "(\u001b[2J\u202e"
        [build]
        args = { "ARG\u001b[2J" = "value\u001b[2J\u202e" }
    "#;
    let (dir, _) = file("layertop.toml", [toml.to_owned()]);
    for words in [
        &["config", "check"][..],
        &["config", "print"],
        &["build", "--dry-run"],
        &["replay", "no\u{1b}[2J\u{202e}such"],
    ] {
        let out = Command::new(LAYERTOP).args(words).current_dir(dir.path()).output().unwrap();
        let said = assert_text("stdout", &out.stdout) + &assert_text("stderr", &out.stderr);
        assert!(!said.is_empty(), "{words:?}");
    }
}
