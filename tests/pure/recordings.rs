//! Every recording replays, and agrees with what an independent reader of the same bytes says.

use std::path::{Path, PathBuf};

use layertop::event::{Ended, Event, Mask, Platform, Stamped, Text, Time};
use layertop::model::{Model, State};
use layertop::source::rawjson::Decoder;
use serde_json::Value;

fn folders() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let more = std::env::var_os("LAYERTOP_MORE_RECORDINGS").map(PathBuf::from);
    [Some(own), more].into_iter().flatten().filter(|folder| folder.join("expected.json").exists()).collect()
}

fn model_of(bytes: &[u8]) -> Model {
    let mut decoder = Decoder::new(Mask::default());
    let mut events = Vec::new();
    let at = Time::from_micros(1);
    decoder.feed(at, bytes, &mut events);
    decoder.finish(at, &mut events);
    events.push(Stamped { at, event: Event::Ended(Ended::with(None)) });
    let mut model = Model::default();
    model.apply_all(&events);
    model
}

/// The states that a step may have where the independent reader says so. It cannot tell a FROM that was only resolved from
/// one that was fetched, and it knows of no end.
fn agrees(says: &str, state: State, from: bool, pulled: Option<bool>) -> bool {
    match (says, state) {
        ("ran" | "hit", State::Miss) if from => pulled.unwrap_or(true),
        ("ran" | "hit", State::Hit) if from => !pulled.unwrap_or(false),
        ("hit", State::Hit)
        | ("ran", State::Miss)
        | ("failed", State::Failed)
        | ("cancelled" | "open", State::Cancelled)
        | ("never started", State::NotNeeded | State::NotReached) => true,
        _ => false,
    }
}

#[test]
fn every_recording_agrees_with_the_independent_reader() {
    let folders = folders();
    assert!(!folders.is_empty());
    let mut seen = 0;
    for folder in folders {
        let expected: Value =
            serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        for (file, expected) in expected.as_object().unwrap() {
            let model = model_of(&std::fs::read(folder.join(file)).unwrap());
            let (total, cached) = model.vertex_counts();
            assert_eq!(
                (total as u64, cached as u64),
                (
                    expected["vertices"]["total"].as_u64().unwrap(),
                    expected["vertices"]["cached"].as_u64().unwrap()
                ),
                "{file}: vertices"
            );
            let steps = expected["steps"].as_array().unwrap();
            assert_eq!(model.stack().steps().count(), steps.len(), "{file}: steps");
            for step in steps {
                let (id, found) = model
                    .stack()
                    .steps()
                    .find(|(_, s)| {
                        Value::from(s.name.platform.as_ref().map(Platform::as_str)) == step["platform"]
                            && Value::from(s.name.stage.as_ref().map(Text::as_str)) == step["stage"]
                            && u64::from(s.name.index) == step["index"].as_u64().unwrap()
                    })
                    .unwrap_or_else(|| panic!("{file}: no step {step}"));
                let says = step["stream_says"].as_str().unwrap();
                let pulled = step["pulled"].as_bool();
                let state = model.state(id);
                assert!(agrees(says, state, found.name.is_from(), pulled), "{file}: {step}: {state:?}");
                assert_eq!(u64::from(found.name.of), step["of"].as_u64().unwrap(), "{file}: {step}");
                // The independent reader shortens long instructions.
                let text = step["instruction"].as_str().unwrap();
                assert!(found.name.instruction.as_str().starts_with(text), "{file}: {step}");
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} recordings");
}
