//! The outputs that are no screen, made of real recordings: they are as they were, they do not depend on how the events
//! were cut into batches, and the JSON is what its schema says.

use std::fs;
use std::path::{Path, PathBuf};

use layertop::event::{Ended, Event, Mask, Outline, Platform, Stamped, Started, Text, Time};
use layertop::model::{Model, State};
use layertop::recording;
use layertop::report::plain::{PlainOptions, PlainOutput};
use layertop::report::styled::StyledLine;
use layertop::report::{end, json, words};
use layertop::source::rawjson::Decoder;
use proptest::prelude::*;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Names of all recordings, and the exit code that each ended with.
fn recordings() -> Vec<(String, Option<i32>)> {
    let folder = root().join("tests/recordings");
    let expected: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let exit = |v: &Value| v["exit"].as_i64().map(|code| i32::try_from(code).unwrap());
    let all: Vec<_> =
        expected.as_object().unwrap().iter().map(|(file, expected)| (file.clone(), exit(expected))).collect();
    assert!(all.len() > 20, "{}", all.len());
    all
}

/// The first moment that the builder speaks of.
fn first_time(bytes: &[u8]) -> Time {
    let mut decoder = Decoder::new(Mask::default());
    let mut lines = bytes.split_inclusive(|b| *b == b'\n');
    let first = lines.find_map(|line| {
        decoder.feed(Time::default(), line, &mut Vec::new());
        decoder.newest()
    });
    first.unwrap_or_default()
}

/// The events of a recording, each stamped as if it had arrived when the builder spoke of it.
fn events(file: &str, exit_code: Option<i32>) -> Vec<Stamped> {
    let bytes = fs::read(root().join("tests/recordings").join(file)).unwrap();
    let mut decoder = Decoder::new(Mask::new(["ghp_inventedInventedInvented00000000".to_owned()]));
    let mut at = first_time(&bytes);
    let mut events = vec![Stamped { at, event: Event::Started(Started::default()) }];
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let before = events.len();
        decoder.feed(at, line, &mut events);
        at = decoder.newest().unwrap_or(at);
        events[before..].iter_mut().for_each(|event| event.at = at);
    }
    decoder.finish(at, &mut events);
    events.push(Stamped { at, event: Event::Ended(Ended::with(exit_code)) });
    events
}

/// A recording by name, with what its build was started with.
fn named(name: &str) -> Vec<Stamped> {
    let file = format!("{name}.jsonl");
    let exit = recordings().into_iter().find(|(known, _)| *known == file).unwrap().1;
    let mut events = events(&file, exit);
    let texts = |words: &[&str]| words.iter().map(|word| Text::clean(word)).collect();
    events[0].event = Event::Started(Started {
        image: Some("registry:5000/app:latest".into()),
        builder: Some("multiarch-builder".into()),
        platforms: Platform::parse_list(if name == "code" { "linux/amd64,linux/arm64" } else { "" }),
        command: texts(&["docker", "buildx", "build", "--push", "."]),
        cache: Some("registry:5000/app:buildcache".into()),
        ..Started::default()
    });
    events
}

fn model(events: &[Stamped]) -> Model {
    let mut model = Model::default();
    model.apply_all(events);
    model
}

fn plain(options: PlainOptions, batches: &[&[Stamped]]) -> String {
    let mut model = Model::default();
    let mut plain = PlainOutput::new(options);
    let mut out = String::new();
    for batch in batches {
        model.apply_all(batch);
        plain.update(&model, model.newest(), &mut out);
    }
    out
}

fn text(lines: &[StyledLine]) -> String {
    let mut out = String::new();
    for line in lines {
        line.write(false, &mut out);
    }
    out
}

/// Batches of the given sizes, again and again.
fn cut<'a>(mut events: &'a [Stamped], sizes: &[usize]) -> Vec<&'a [Stamped]> {
    let mut batches = Vec::new();
    for size in sizes.iter().cycle() {
        if events.is_empty() {
            break;
        }
        let (batch, rest) = events.split_at((*size).min(events.len()));
        batches.push(batch);
        events = rest;
    }
    batches
}

#[test]
fn plain_lines() {
    for name in ["bake", "base-pull", "cancelled", "carriage-returns", "code", "fail", "hangup", "secret"] {
        insta::assert_snapshot!(format!("plain-{name}"), plain(PlainOptions::default(), &[&named(name)]));
    }
}

#[test]
fn what_stays_in_the_scrollback() {
    let path = Some(Path::new("/home/me/.local/share/layertop/recordings/1.jsonl.zst"));
    for name in [
        "builder-broken",
        "cancelled",
        "code",
        "fail-one-platform",
        "first",
        "hangup",
        "parse-error",
        "registry-down",
        "warnings",
    ] {
        let model = model(&named(name));
        let lines = end::lines(&model, model.newest(), path, 80, false);
        insta::assert_snapshot!(format!("end-{name}"), text(&lines));
    }
}

#[test]
fn what_stays_in_the_scrollback_is_short_and_fits() {
    for (file, exit) in recordings() {
        let model = model(&events(&file, exit));
        for columns in [0, 1, 20, 40, 80, 200] {
            for ascii in [false, true] {
                let lines = end::lines(&model, model.newest(), None, columns, ascii);
                assert!(lines.len() <= 20, "{file}: {} lines", lines.len());
                assert!(lines.iter().all(|line| line.width() <= columns), "{file} in {columns}");
            }
        }
    }
}

#[test]
fn summaries() {
    for name in ["code", "fail", "bake"] {
        let model = model(&named(name));
        let summary = serde_json::to_string_pretty(&json::summary(&model, model.newest())).unwrap();
        insta::assert_snapshot!(format!("summary-{name}"), summary);
    }
}

#[test]
fn the_summary_has_every_step_that_it_counts() {
    let outline: Outline = serde_json::from_value(serde_json::json!({
        "stages": [{ "steps": [
            { "instruction": "FROM a", "line": 1, "layer": "base" },
            { "instruction": "RUN b", "line": 2, "layer": null }
        ]}]
    }))
    .unwrap();
    let at = Time::from_micros(1);
    let two = Started { platforms: Platform::parse_list("linux/amd64,linux/arm64"), ..Started::default() };
    let unspoken = [
        Stamped { at, event: Event::Started(two) },
        Stamped { at, event: Event::Outline(outline) },
        Stamped { at, event: Event::Ended(Ended::with(Some(1))) },
    ];
    let mut models = vec![("unspoken".to_owned(), model(&unspoken))];
    models.extend(recordings().into_iter().map(|(file, exit)| {
        let model = model(&events(&file, exit));
        (file, model)
    }));
    for (name, model) in models {
        let summary = json::summary(&model, model.newest());
        let count = |state| summary.steps.iter().filter(|step| step.state == state).count();
        let layers = summary.layers;
        assert_eq!(summary.steps.len(), layers.total, "{name}");
        for (state, counted) in [
            (State::Hit, layers.hits),
            (State::Miss, layers.misses),
            (State::NotNeeded, layers.not_needed),
            (State::NotReached, layers.not_reached),
            (State::Failed, layers.failed),
            (State::Cancelled, layers.cancelled),
            (State::Waiting, 0),
            (State::Running, 0),
        ] {
            assert_eq!(count(state), counted, "{name}: {state:?}");
        }
        let line = summary.line();
        assert_eq!((line.matches('\n').count(), line.ends_with("}\n")), (1, true), "{name}");
        assert!(line.starts_with(r#"{"type":"summary","version":1,"result":""#), "{name}: {line}");
    }
}

/// Nothing but our own colours, and those only where they are asked for.
#[test]
fn no_escape_byte_is_foreign() {
    let ours = regex::Regex::new("\u{1b}\\[[0-9;]+m").unwrap();
    for (file, exit) in recordings() {
        let events = events(&file, exit);
        let out = plain(PlainOptions::default(), &[&events]);
        assert!(!out.contains(|c: char| c.is_control() && c != '\n'), "{file}");
        let colored = plain(PlainOptions { color: true, ascii: false }, &[&events]);
        assert!(ours.is_match(&colored), "{file}");
        assert_eq!(ours.replace_all(&colored, ""), out, "{file}");
    }
}

#[test]
fn nothing_is_told_twice() {
    for (file, exit) in recordings() {
        let out = plain(PlainOptions::default(), &[&events(&file, exit)]);
        let mut told: Vec<&str> =
            out.lines().filter(|line| line.starts_with('[') && !line.contains(" | ")).collect();
        let all = told.len();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), all, "{file}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn batch_borders_do_not_matter(sizes in prop::collection::vec(1usize..60, 1..40)) {
        for (file, exit) in recordings() {
            let events = events(&file, exit);
            let whole = plain(PlainOptions::default(), &[&events]);
            let cut = plain(PlainOptions::default(), &cut(&events, &sizes));
            prop_assert_eq!(whole, cut, "{}", file);
        }
    }
}

#[test]
fn one_event_a_batch_is_like_all_in_one() {
    for (file, exit) in recordings() {
        let events = events(&file, exit);
        let whole = plain(PlainOptions::default(), &[&events]);
        assert_eq!(whole, plain(PlainOptions::default(), &cut(&events, &[1])), "{file}");
    }
}

fn schema_file() -> PathBuf {
    root().join("docs/json.schema.json")
}

#[test]
fn the_schema_is_the_one_of_the_types() {
    let mut schema = serde_json::to_string_pretty(&json::schema()).unwrap();
    schema.push('\n');
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(schema_file(), &schema).unwrap();
    }
    let known = fs::read_to_string(schema_file()).unwrap_or_default();
    assert_eq!(known, schema, "docs/json.schema.json: run this test with UPDATE_SCHEMA=1");
}

/// The lines that `--progress json` writes of a recording.
fn json_lines(events: &[Stamped]) -> Vec<Value> {
    let mut out = recording::header_line(events[0].at).into_bytes();
    for event in events {
        recording::event_line(event, &mut out);
    }
    let model = model(events);
    out.extend(json::summary(&model, model.newest()).line().into_bytes());
    out.split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[test]
fn every_line_is_as_the_schema_says() {
    let validator = jsonschema::validator_for(&json::schema()).unwrap();
    let mut types = std::collections::BTreeSet::new();
    for (file, exit) in recordings() {
        for line in json_lines(&events(&file, exit)) {
            if let Err(error) = validator.validate(&line) {
                panic!("{file}: {error} in {line}");
            }
            types.insert(line["type"].as_str().unwrap().to_owned());
        }
    }
    let seen: Vec<&str> = types.iter().map(String::as_str).collect();
    assert_eq!(
        seen,
        ["ended", "header", "log", "output", "started", "status", "summary", "vertex", "warning"]
    );
}

#[test]
fn the_schema_refuses_what_is_no_line() {
    let validator = jsonschema::validator_for(&json::schema()).unwrap();
    let lines = json_lines(&named("code"));
    let summary = lines.last().unwrap();
    assert!(validator.is_valid(summary));
    for (pointer, wrong) in [
        ("/type", Value::from("sum")),
        ("/result", Value::from("fine")),
        ("/wall_ms", Value::from("1 s")),
        ("/layers/hits", Value::from(-1)),
        ("/cache/import/state", Value::Null),
        ("/steps/0/state", Value::from("ran")),
        ("/steps/0/index", Value::from(1.5)),
    ] {
        let mut bad = summary.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
    let mut short = summary.clone();
    short.as_object_mut().unwrap().remove("cache");
    assert!(!validator.is_valid(&short));
}

#[test]
fn the_documents_examples_are_lines() {
    let page = fs::read_to_string(root().join("docs/json.md")).unwrap();
    let validator = jsonschema::validator_for(&json::schema()).unwrap();
    let mut types = std::collections::BTreeSet::new();
    for block in page.split("```json\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for line in serde_json::Deserializer::from_str(block).into_iter::<Value>() {
            let line = line.unwrap();
            if let Err(error) = validator.validate(&line) {
                panic!("{error} in {line}");
            }
            types.insert(line["type"].as_str().unwrap().to_owned());
        }
    }
    let known = [
        "builder",
        "cache_manifest",
        "cancelling",
        "cluster",
        "commit",
        "comparison",
        "ended",
        "estimate",
        "expected",
        "fingerprint",
        "gates",
        "header",
        "health",
        "history",
        "log",
        "notice",
        "outline",
        "output",
        "plan",
        "planned",
        "reasons",
        "records",
        "registry",
        "started",
        "stats",
        "status",
        "summary",
        "trends",
        "vertex",
        "warning",
        "watching",
    ];
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    assert_eq!(types, known, "each type of line has an example");
}

/// Every field of every type of line has its row in the document.
#[test]
fn the_document_names_every_field() {
    fn properties(schema: &Value, found: &mut std::collections::BTreeSet<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(named)) = map.get("properties") {
                    found.extend(named.keys().cloned());
                }
                map.values().for_each(|value| properties(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| properties(value, found)),
            _ => {}
        }
    }
    let page = fs::read_to_string(root().join("docs/json.md")).unwrap();
    let mut found = std::collections::BTreeSet::new();
    properties(&json::schema(), &mut found);
    assert!(found.len() > 50, "{found:?}");
    let missing: Vec<_> = found.iter().filter(|field| !page.contains(&format!("`{field}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn columns_are_as_wide_as_they_look() {
    let model = model(&named("base-pull"));
    let table = layertop::report::table::LayerTable::of(&model, model.newest());
    let widths: Vec<usize> = table.lines(false).iter().map(StyledLine::width).collect();
    assert!(widths.len() > 2 && widths.iter().all(|width| *width == widths[0]), "{widths:?}");
    assert!(table.rows().all(|row| words::width(&row.label) > 0));
}
