//! Builds at moments that are worth looking at, for the tests of the view and for `examples/screenshots.rs`.

#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

pub(crate) mod health;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use layertop::dockerfile;
use layertop::event::{Ended, Event, LayerRule, Mask, Outline, Platform, Stamped, Started, Time};
use layertop::model::{Model, expected};
use layertop::recording::Reader;

/// A path in the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The events of a file, in their order.
pub(crate) fn read(path: &Path) -> Vec<Stamped> {
    let mut reader = Reader::open(path, Mask::default()).unwrap();
    let mut events = Vec::new();
    while reader.next_batch(1024, &mut events) {}
    events
}

/// The events of a progress stream in `tests/recordings`, with the exit code that buildx had then.
pub(crate) fn recording(name: &str) -> Vec<Stamped> {
    let expected = std::fs::read(project("tests/recordings/expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    let exit_code = expected[format!("{name}.jsonl")]["exit"].as_i64().map(|code| code as i32);
    let mut events = read(&project(&format!("tests/recordings/{name}.jsonl")));
    for event in &mut events {
        if let Event::Ended(ended) = &mut event.event {
            *ended = Ended::with(exit_code);
        }
    }
    events
}

/// A recording of the example, begun as layertop begins its builds: it knows the image, the platforms and the Dockerfile.
pub(crate) fn montage(name: &str) -> Vec<Stamped> {
    let mut events = recording(name);
    let at = events.first().map(|event| event.at).unwrap_or_default();
    let started = Started {
        image: Some("10.43.17.166:5000/montage-ai:latest".into()),
        builder: Some("multiarch-builder".into()),
        platforms: Platform::parse_list("linux/amd64,linux/arm64"),
        cache: Some("10.43.17.166:5000/montage-ai:buildcache".into()),
        ..Started::default()
    };
    let beginning = [Event::Started(started), Event::Outline(outline())];
    events.splice(0..0, beginning.map(|event| Stamped { at, event }));
    events
}

/// The same with what these builds, newest first, say of how long it takes.
pub(crate) fn after(name: &str, earlier: &[&str]) -> Vec<Stamped> {
    let mut events = montage(name);
    let builds: Vec<_> = earlier
        .iter()
        .map(|name| {
            let mut model = Model::default();
            model.apply_all(&montage(name));
            expected::PastBuild::of(&model)
        })
        .collect();
    let at = events.first().map(|event| event.at).unwrap_or_default();
    events.insert(2, Stamped { at, event: Event::Expected(Box::new(expected::expected(&builds))) });
    events
}

/// What the example's Dockerfile will do, named by the profile that is made for it.
pub(crate) fn outline() -> Outline {
    #[derive(serde::Deserialize)]
    struct Profile {
        layer: Vec<LayerRule>,
    }
    let profile = std::fs::read_to_string(project("assets/profiles/montage-ai.toml")).unwrap();
    let rules = toml::from_str::<Profile>(&profile).unwrap().layer;
    let file = std::fs::read_to_string(project("examples/montage-ai/Dockerfile.testbed")).unwrap();
    dockerfile::parse(&file).outline(None, &BTreeMap::new(), &rules)
}

/// What is known when this share of the build's time has passed, and the time then.
pub(crate) fn until(events: &[Stamped], share: f64) -> (Model, Time) {
    let first = events.first().map(|event| event.at).unwrap_or_default();
    let last = events.iter().map(|event| event.at).max().unwrap_or_default();
    let now = if share < 1.0 { first.plus(last.since(first).mul_f64(share)) } else { last };
    let known: Vec<Stamped> =
        events.iter().take_while(|event| share >= 1.0 || event.at <= now).cloned().collect();
    let mut model = Model::default();
    model.apply_all(&known);
    (model, now)
}
