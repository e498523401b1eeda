//! Estimates over recorded builds: what the cache saved, how long it still takes.

#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

use std::path::Path;
use std::time::Duration;

use layertop::event::{Ended, Event, Mask, Stamped, Time};
use layertop::model::{Model, expected};
use layertop::recording::Reader;

/// The events of a recorded build that ended well.
fn events(name: &str) -> Vec<Stamped> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/{name}.jsonl"));
    let mut reader = Reader::open(&file, Mask::default()).unwrap();
    let mut events = Vec::new();
    while reader.next_batch(1024, &mut events) {}
    for event in &mut events {
        if let Event::Ended(ended) = &mut event.event {
            *ended = Ended { exit_code: Some(0) };
        }
    }
    events
}

fn model(name: &str) -> Model {
    let mut model = Model::default();
    model.apply_all(&events(name));
    model
}

/// What builds, newest first, say of the next.
fn told(names: &[&str]) -> Stamped {
    let builds: Vec<_> = names.iter().map(|name| expected::PastBuild::of(&model(name))).collect();
    Stamped { at: Time::default(), event: Event::Expected(Box::new(expected::expected(&builds))) }
}

/// A build that ended, of which others told how long its steps take.
fn model_after(name: &str, names: &[&str]) -> Model {
    let mut model = Model::default();
    model.apply(&told(names));
    model.apply_all(&events(name));
    model
}

fn wall(model: &Model) -> Duration {
    model.wall(model.newest())
}

/// Whether two lengths differ by at most so many of a hundred.
fn agree(one: Duration, other: Duration, percent: f64) -> bool {
    (one.as_secs_f64() - other.as_secs_f64()).abs() <= other.as_secs_f64() * percent / 100.0
}

#[test]
fn without_a_cache_a_build_takes_what_a_real_build_without_one_took() {
    let real = wall(&model("no-cache"));
    for name in ["nochange", "code", "req", "registry-only", "cache-pull"] {
        let model = model_after(name, &["req", "code", "first"]);
        let estimated = model.no_cache().unwrap();
        assert!(agree(estimated, real, 15.0), "{name}: {estimated:?}, really {real:?}");
    }
}

#[test]
fn what_a_cache_saved_is_not_told_where_nobody_knows_how_long_a_step_runs() {
    let alone = model("code").without_cache().unwrap();
    assert_eq!((alone.unknown, model("code").no_cache()), (16, None));
    // All that it knows is what ran.
    assert!(alone.wall < Duration::from_secs(4), "{alone:?}");
}

#[test]
fn a_build_without_hits_took_what_it_took() {
    let model = model("no-cache");
    assert_eq!(model.no_cache(), Some(wall(&model)));
}

/// All recordings of builds in the stream's own form.
fn recordings() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let files =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        files.filter_map(|file| file.strip_suffix(".jsonl").map(str::to_owned)).collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    names
}

#[test]
fn a_timeline_holds_together_at_any_moment_of_any_build() {
    for name in recordings() {
        let mut model = Model::default();
        for batch in events(&name).chunks(25) {
            model.apply_all(batch);
            let now = model.newest();
            let timeline = model.timeline(now);
            let steps: usize = timeline.lanes.iter().filter(|lane| lane.step.is_some()).count();
            assert_eq!(steps, model.stack().steps().count(), "{name}: each step has a lane");
            for lane in &timeline.lanes {
                let pairs = lane.bars.windows(2);
                assert!(
                    lane.bars.iter().all(|bar| bar.start <= bar.end && bar.start >= timeline.begin),
                    "{name}"
                );
                assert!({ pairs }.all(|pair| pair[0].start <= pair[1].start), "{name}: in the order of time");
            }
            let mut reached = timeline.begin;
            for on in &timeline.path {
                let lane = &timeline.lanes[on.lane];
                let (start, end) = lane.span().unwrap();
                assert!(lane.critical && end >= reached, "{name}: the path goes forward");
                reached = reached.max(start);
                assert!(on.gain.is_none_or(|gain| gain <= timeline.length()), "{name}: {on:?}");
            }
            if model.ended().is_none() && model.vertices().any(|(_, vertex)| vertex.started().is_some()) {
                assert!(!timeline.path.is_empty(), "{name}");
            }
        }
    }
}
