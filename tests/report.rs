//! The outputs that are no screen, made of real recordings.

use std::fs;
use std::path::{Path, PathBuf};

use layertop::event::{Ended, Event, Mask, Stamped, Time};
use layertop::model::Model;
use layertop::report::plain::{Options, Plain};
use layertop::source::rawjson::Decoder;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

/// Names of all recordings, and the exit code that each ended with.
fn recordings() -> Vec<(String, Option<i32>)> {
    let expected: serde_json::Value =
        serde_json::from_slice(&fs::read(folder().join("expected.json")).unwrap()).unwrap();
    let files = expected.as_object().unwrap();
    let exit = |v: &serde_json::Value| v["exit"].as_i64().map(|code| i32::try_from(code).unwrap());
    files.iter().map(|(file, expected)| (file.clone(), exit(expected))).collect()
}

/// The first moment that the builder speaks of.
fn first_time(bytes: &[u8]) -> Time {
    let mut decoder = Decoder::new(Mask::default());
    let mut lines = bytes.split_inclusive(|b| *b == b'\n');
    lines
        .find_map(|line| {
            decoder.feed(Time::default(), line, &mut Vec::new());
            decoder.newest()
        })
        .unwrap_or_default()
}

/// The events of a recording, each stamped as if it had arrived when the builder spoke of it.
fn events(file: &str, exit_code: Option<i32>) -> Vec<Stamped> {
    let bytes = fs::read(folder().join(file)).unwrap();
    let mut decoder = Decoder::new(Mask::default());
    let mut events = Vec::new();
    let mut at = first_time(&bytes);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let before = events.len();
        decoder.feed(at, line, &mut events);
        at = decoder.newest().unwrap_or(at);
        events[before..].iter_mut().for_each(|event| event.at = at);
    }
    decoder.finish(at, &mut events);
    events.push(Stamped { at, event: Event::Ended(Ended { exit_code }) });
    events
}

fn plain(batches: &[&[Stamped]]) -> String {
    let mut model = Model::default();
    let mut plain = Plain::new(Options::default());
    let mut out = String::new();
    for batch in batches {
        model.apply_all(batch);
        plain.update(&model, model.newest(), &mut out);
    }
    out
}

#[test]
fn show() {
    for (file, exit) in recordings() {
        let events = events(&file, exit);
        let one: Vec<&[Stamped]> = events.chunks(1).collect();
        let a = plain(&one);
        let b = plain(&[&events]);
        println!("=== {file} {exit:?} same: {}", a == b);
        if a != b {
            fs::write(format!("/tmp/a-{file}"), &a).unwrap();
            fs::write(format!("/tmp/b-{file}"), &b).unwrap();
        }
        println!("{a}");
    }
}
