//! The walls between the rooms, kept as text: who may use whom, and what has no place where.
//!
//! `ARCHITECTURE.md` says why they stand. Every rule is a function from sources to complaints, so that each is shown to be
//! able to fail.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// What a room may use of the crate's other rooms; `a::b` opens that one door of `a` only. Rooms that wire everything
/// may use all.
const ROOMS: &[(&str, Uses)] = &[
    ("main", Uses::All),
    ("lib", Uses::All),
    ("app", Uses::All),
    ("terminal", Uses::All),
    ("error", Uses::Only(&[])),
    ("event", Uses::Only(&[])),
    ("clock", Uses::Only(&["event"])),
    ("cli", Uses::Only(&["clock", "event::gate"])),
    ("config", Uses::Only(&["cli", "error", "event"])),
    ("dockerfile", Uses::Only(&["event", "model::layers"])),
    ("model", Uses::Only(&["event"])),
    ("explain", Uses::Only(&["event", "model"])),
    ("wording", Uses::Only(&["event"])),
    ("history", Uses::Only(&["event", "clock", "model", "explain", "wording", "recording"])),
    // A progress stream is one of the files that can be replayed: the reader decodes it with the live decoder.
    ("recording", Uses::Only(&["event", "clock", "source::rawjson"])),
    // A fingerprint says what the Dockerfile's steps are made from.
    ("source", Uses::Only(&["event", "wording", "config", "error", "clock", "recording", "dockerfile"])),
    // What the store answers are values.
    ("report", Uses::Only(&["model", "event", "history::rows"])),
    (
        "ui",
        Uses::Only(&[
            "model",
            "event",
            "report::words",
            "report::health",
            "report::compare",
            "report::trends",
        ]),
    ),
    // The screen and the plain output sum a build up in the same lines.
    (
        "view",
        Uses::Only(&[
            "model",
            "ui",
            "event",
            "report::words",
            "report::styled",
            "report::why",
            "report::plan",
            "report::end",
            "report::estimate",
            "report::failure",
            "report::health",
            "report::compare",
            "report::trends",
        ]),
    ),
];

/// Rooms that do no I/O and read no clock: what they hold follows from the events alone.
const PURE: &[&str] = &["event", "model", "explain", "wording", "ui", "view", "report", "dockerfile"];

/// What would let the outside into a pure room.
const OUTSIDE: &[&str] = &[
    "tokio",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
];

/// Crates that talk to engines and to the system, and the rooms that they may be named in. A recorder locks its files, and
/// outlives the signal that a full quota sends.
const SYSTEM: &[(&str, &[&str])] = &[
    ("bollard", &["source", "app", "terminal"]),
    ("hyper", &["source"]),
    ("rustls", &["source"]),
    ("bollard_buildkit_proto", &["source"]),
    ("tonic", &["source"]),
    ("kube", &["source"]),
    // A store that is opened is locked, so that one process sets a bad file aside.
    ("nix", &["source", "app", "terminal", "recording", "history"]),
    ("rusqlite", &["history"]),
    ("signal_hook", &["source", "app", "terminal", "recording"]),
];

/// Lines of code in a file, and lines of any kind in `main.rs`.
const LONGEST_FILE: usize = 600;
const LONGEST_MAIN: usize = 40;

enum Uses {
    All,
    Only(&'static [&'static str]),
}

/// A source file.
struct Source {
    /// Relative to `src`, with slashes.
    path: String,
    /// As it is.
    raw: String,
    /// Without comments and tests, and with empty literals; the lines are those of `raw`.
    code: String,
}

impl Source {
    fn new(path: &str, raw: &str) -> Self {
        // Modules of tests in files of their own are tests from end to end.
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        let code = if is_test { String::new() } else { without_tests(&blank(raw)) };
        Self { path: path.to_owned(), raw: raw.to_owned(), code }
    }

    /// `view` of `view.rs` and of `view/log.rs`.
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// How deep below the crate's root its module is.
    fn depth(&self) -> usize {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        if matches!(path, "lib" | "main") { 0 } else { path.split('/').count() }
    }

    fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// Paths that begin with one of `roots`, groups taken apart, each with its line.
    fn paths(&self, roots: &str) -> Vec<(usize, String)> {
        let root = Regex::new(&format!(r"(?:^|[^\w:]|[^:]:)((?:{roots})::)")).unwrap();
        let mut found = Vec::new();
        for captures in root.captures_iter(&self.code) {
            let path = captures.get(1).unwrap();
            let mut ends = Vec::new();
            expand(&self.code[path.end()..], path.as_str().trim_end_matches("::"), &mut ends);
            found.extend(ends.into_iter().map(|end| (self.line(path.start()), end)));
        }
        found
    }

    fn complain(&self, line: usize, what: &str) -> String {
        format!("src/{}:{line}: {what}", self.path)
    }

    /// A complaint for each place where `pattern` is found.
    fn refuse(&self, pattern: &str, what: &str) -> Vec<String> {
        let pattern = Regex::new(pattern).unwrap();
        pattern.find_iter(&self.code).map(|hit| self.complain(self.line(hit.start()), what)).collect()
    }
}

/// Appends the paths that the rest of a use tree stands for: `{a, b::{c, d}}` behind `x` is `x::a`, `x::b::c`, `x::b::d`.
fn expand(rest: &str, path: &str, found: &mut Vec<String>) {
    let rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' | ',' if depth == 0 => {
                    let member = group[start..i].trim();
                    if !member.is_empty() {
                        expand(member, path, found);
                    }
                    start = i + 1;
                    if c == '}' {
                        return;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        return;
    }
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let path = if name == "self" || name.is_empty() { path.to_owned() } else { format!("{path}::{name}") };
    match rest[name.len()..].strip_prefix("::") {
        Some(deeper) if !name.is_empty() => expand(deeper, &path, found),
        _ => found.push(path),
    }
}

/// Comments and literals.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?s)//[^\n]*|/\*.*?\*/",
        r#####"|b?r####".*?"####|b?r###".*?"###|b?r##".*?"##|b?r#".*?"#|b?r".*?""#####,
        r#"|b?"(?:[^"\\]|\\.)*""#,
        r"|b?'(?:[^'\\\n]|\\[^\n]{1,9}?)'",
    ))
    .unwrap()
});

/// The source with comments and the insides of literals as spaces; lines stay where they are.
fn blank(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut last = 0;
    for hit in TOKEN.find_iter(raw) {
        out.push_str(&raw[last..hit.start()]);
        out.extend(hit.as_str().chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        last = hit.end();
    }
    out.push_str(&raw[last..]);
    out
}

/// Takes out what is compiled for tests only, up to the closing brace or the semicolon.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let mut depth = 0;
        let end = item
            .char_indices()
            .find(|(_, c)| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth == 0 && matches!(c, '}' | ';')
            })
            .map_or(item.len(), |(i, _)| i + 1);
        out.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    out + rest
}

fn walls(source: &Source) -> Vec<String> {
    let room = source.room();
    let Some((_, uses)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![
            source.complain(1, &format!("the room `{room}` has no row in the table of tests/pure/tidy.rs")),
        ];
    };
    let Uses::Only(open) = uses else { return Vec::new() };
    let mut complaints = Vec::new();
    let up = "super(?:::super)*".to_owned();
    let mut paths = source.paths("crate");
    paths.extend(source.paths(&up).into_iter().filter_map(|(line, path)| {
        // What leads to the crate's root leads into another room from there.
        let names: Vec<&str> = path.split("::").collect();
        let ups = names.iter().take_while(|name| **name == "super").count();
        (ups == source.depth()).then(|| (line, format!("crate::{}", names[ups..].join("::"))))
    }));
    for (line, path) in paths {
        let Some(path) = path.strip_prefix("crate::") else { continue };
        let within = |door: &str| path == door || path.starts_with(&format!("{door}::"));
        if !within(room) && !open.iter().any(|door| within(door)) {
            complaints.push(source.complain(line, &format!("`{room}` may not use `{path}`")));
        }
    }
    complaints
}

fn purity(source: &Source) -> Vec<String> {
    if !PURE.contains(&source.room()) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (line, path) in source.paths("std|tokio|core|alloc") {
        let outside = |name: &&&str| path == **name || path.starts_with(&format!("{name}::"));
        if OUTSIDE.iter().any(|name| outside(&name)) {
            complaints.push(source.complain(line, &format!("a pure room may not use `{path}`")));
        }
    }
    complaints
}

fn system(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, rooms) in SYSTEM.iter().filter(|(_, rooms)| !rooms.contains(&source.room())) {
        for (line, path) in source.paths(name) {
            complaints.push(source.complain(line, &format!("`{path}` belongs to {}", rooms.join(", "))));
        }
    }
    complaints
}

fn time(source: &Source) -> Vec<String> {
    if source.path == "clock.rs" {
        return Vec::new();
    }
    source.refuse(r"::now\b|\.elapsed\(", "only clock.rs reads the time")
}

fn attributes(source: &Source) -> Vec<String> {
    let mut complaints =
        source.refuse(r"#!?\[\s*(?:cfg_attr\([^\]]*)?allow\(", "use #[expect(…, reason = …)]");
    let expects = Regex::new(r"#!?\[\s*expect\(([^\]]*)\]").unwrap();
    let bare = expects.captures_iter(&source.code).filter(|found| !found[1].contains("reason"));
    complaints.extend(bare.map(|found| {
        let at = found.get(0).map_or(0, |whole| whole.start());
        source.complain(source.line(at), "#[expect] has to say its reason")
    }));
    complaints
}

fn size(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = source.code.lines().filter(|line| !line.trim().is_empty()).count();
    if lines > LONGEST_FILE {
        complaints.push(source.complain(1, &format!("{lines} lines of code, {LONGEST_FILE} are the most")));
    }
    let lines = source.raw.lines().count();
    if source.path == "main.rs" && lines > LONGEST_MAIN {
        complaints.push(source.complain(1, &format!("{lines} lines, {LONGEST_MAIN} are the most")));
    }
    complaints
}

fn channels(source: &Source) -> Vec<String> {
    source.refuse(
        r"\bunbounded_channel\b|\bunbounded\s*(?:::<|\()|\bmpsc::channel\s*(?:::<[^>]*>)?\(\s*\)",
        "every channel has a bound",
    )
}

fn prints(source: &Source) -> Vec<String> {
    if matches!(source.room(), "main" | "app") {
        return Vec::new();
    }
    source.refuse(r"\be?print(?:ln)?!|\bdbg!", "only main and app print")
}

/// The sentences of a source, each with its line: literals with four words or more. The reason of an attribute is for who reads the code.
fn sentences(source: &Source) -> Vec<(usize, String)> {
    static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new("[A-Za-z]{2,}").unwrap());
    let lines: Vec<&str> = source.code.lines().collect();
    let mut found = Vec::new();
    for token in TOKEN.find_iter(&source.raw) {
        let (text, before) = (token.as_str(), &source.raw[..token.start()]);
        let line = before.matches('\n').count();
        // Of what is for tests only the lines are left.
        let is_code = lines.get(line).is_some_and(|line| !line.is_empty());
        let is_sentence = text.starts_with('"') && WORD.find_iter(text).count() >= 4;
        if is_code && is_sentence && !before.ends_with("reason = ") {
            found.push((line + 1, text.to_owned()));
        }
    }
    found
}

/// The rooms that make values, which `wording` and the outputs put into words; and how many sentences they have all the same: names
/// that others write, such as a vertex's, and what the log says of itself.
const WORDLESS: &[(&str, usize)] = &[("explain", 8), ("model", 14)];

fn wordless(found: &[Source], rooms: &[(&str, usize)]) -> String {
    let mut complaints = String::new();
    for (room, most) in rooms {
        let of_room = found.iter().filter(|source| source.room() == *room);
        let told: Vec<String> = of_room
            .flat_map(|source| sentences(source).into_iter().map(|(line, text)| source.complain(line, &text)))
            .collect();
        if told.len() > *most {
            let _ = writeln!(complaints, "`{room}` has {} sentences, {most} are the most:", told.len());
            for line in told {
                let _ = writeln!(complaints, "{line}");
            }
        }
    }
    complaints
}

type Rule = fn(&Source) -> Vec<String>;

const RULES: &[Rule] = &[walls, purity, system, time, attributes, size, channels, prints];

fn sources(folder: &Path, below: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, below, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let name = path.strip_prefix(below).unwrap().to_string_lossy().replace('\\', "/");
            found.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn the_rooms_keep_to_their_walls() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &src, &mut found);
    assert!(found.len() > 50, "only {} sources", found.len());
    let mut complaints = String::new();
    for complaint in found.iter().flat_map(|source| RULES.iter().flat_map(|rule| rule(source))) {
        let _ = writeln!(complaints, "{complaint}");
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn what_is_known_is_put_into_words_elsewhere() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &src, &mut found);
    let complaints = wordless(&found, WORDLESS);
    assert!(complaints.is_empty(), "\n{complaints}");

    let made = |code: &str| [Source::new("explain/judge.rs", code)];
    let told = made(
        "// its instruction was changed here\nfn a() -> &'static str {\n    \"its instruction has changed\"\n}",
    );
    let complaint = wordless(&told, &[("explain", 0)]);
    assert!(complaint.contains("src/explain/judge.rs:3: "), "nobody minds a sentence: {complaint}");
    assert_eq!(wordless(&told, &[("explain", 1), ("model", 0)]), "");
    for code in [
        "/// what was built before this\nconst A: &str = \"three words only\";",
        "#[cfg(test)]\nmod tests {\n    const A: &str = \"a sentence that is said in tests\";\n}",
        "#[expect(dead_code, reason = \"it is not used as yet\")]\nfn a() {}",
    ] {
        assert_eq!(wordless(&made(code), &[("explain", 0)]), "", "{code}");
    }
}

/// Each rule on a made-up source: what it has to refuse, and what it must let pass.
#[test]
fn every_rule_can_fail() {
    let long = "let a = 1;\n".repeat(601);
    let main = "// a line\n".repeat(41);
    let refused: &[(Rule, &str, &str)] = &[
        (walls, "model.rs", "use crate::view::Screen;"),
        (walls, "model/log.rs", "use crate::{event::Time, source};"),
        (walls, "model/log.rs", "fn a() { crate::clock::Clock::live(); }"),
        (walls, "model/log.rs", "use super::super::view::Screen;"),
        (walls, "event/text.rs", "use crate::model::Model;"),
        (walls, "view/log.rs", "use crate::report::{words, plain};"),
        (walls, "ui.rs", "use crate::{\n    model::{Model, State},\n    view::Screen,\n};"),
        (walls, "recording/reader.rs", "use crate::source::replay::State;"),
        (walls, "dockerfile.rs", "use crate::model::Model;"),
        (walls, "newroom.rs", "fn a() {}"),
        (purity, "model/log.rs", "use std::time::Instant;"),
        (purity, "view.rs", "use std::{fmt, fs};"),
        (purity, "view.rs", "use std::time::{Duration, SystemTime};"),
        (purity, "report/json.rs", "fn a() { std::env::var(\"x\"); }"),
        (purity, "ui.rs", "use tokio::sync::mpsc;"),
        (system, "model.rs", "use nix::sys::signal::Signal;"),
        (system, "view.rs", "fn a(b: bollard::Docker) {}"),
        (system, "app.rs", "use hyper::Request;"),
        (system, "app.rs", "use rustls::ClientConfig;"),
        (system, "app/why.rs", "use rusqlite::Connection;"),
        (system, "clock.rs", "use signal_hook::consts::SIGINT;"),
        (system, "recording/files.rs", "use bollard::Docker;"),
        (time, "source/replay.rs", "let a = Instant::now();"),
        (time, "app.rs", "let a = b.map(SystemTime::now);"),
        (time, "app.rs", "let a = b.elapsed();"),
        (attributes, "app.rs", "#[allow(dead_code)]\nfn a() {}"),
        (attributes, "app.rs", "#![allow(dead_code)]"),
        (attributes, "app.rs", "#[expect(dead_code)]\nfn a() {}"),
        (size, "app.rs", &long),
        (size, "main.rs", &main),
        (channels, "app.rs", "let (a, b) = mpsc::unbounded_channel();"),
        (channels, "app.rs", "let (a, b) = std::sync::mpsc::channel();"),
        (prints, "view.rs", "println!();"),
        (prints, "source/buildx.rs", "eprint!(\"a\");"),
    ];
    for (rule, path, code) in refused {
        assert!(!rule(&Source::new(path, code)).is_empty(), "{path}: nobody minds {code}");
    }
    let let_pass: &[(Rule, &str, &str)] = &[
        (walls, "model/log.rs", "use crate::event::{Line, Time};\nuse super::vertex::Vertex;"),
        (walls, "model/layers/files.rs", "use super::super::Model;"),
        (walls, "view/log.rs", "use crate::report::words::{self, Role};"),
        (walls, "recording/reader.rs", "use crate::source::rawjson::Decoder;"),
        (walls, "model.rs", "// crate::view\nconst A: &str = \"crate::view\";"),
        (walls, "model.rs", "#[cfg(test)]\nmod tests { use crate::view::Screen; }"),
        (walls, "model/tests.rs", "use crate::view::Screen;"),
        (walls, "app.rs", "use crate::view::Screen;"),
        (purity, "view.rs", "use std::{fmt, time::Duration};"),
        (purity, "recording/files.rs", "use std::fs;"),
        (system, "source/docker.rs", "use bollard::Docker;"),
        (time, "clock.rs", "let a = Instant::now();"),
        (time, "app.rs", "let a = clock.now();"),
        (attributes, "app.rs", "#[expect(dead_code, reason = \"it is [used]\")]\nfn a() {}"),
        (channels, "app.rs", "let (a, b) = mpsc::channel(8);"),
        (prints, "main.rs", "eprintln!();"),
        (prints, "view.rs", "/* println!() */ let a = '\"'; let b = \"println!()\";"),
    ];
    for (rule, path, code) in let_pass {
        assert_eq!(rule(&Source::new(path, code)), Vec::<String>::new(), "{path}: {code}");
    }
}

#[test]
fn what_is_found_stands_where_it_is_said_to() {
    let source = Source::new(
        "model.rs",
        "//! A.\n/* b\n c */\n#[cfg(test)]\nmod tests {\n    fn a() {}\n}\nuse crate::view;\n",
    );
    assert_eq!(walls(&source), ["src/model.rs:8: `model` may not use `view`"]);
}
