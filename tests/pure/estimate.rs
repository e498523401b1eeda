//! Estimates over recorded builds: what the cache saved, how long it still takes.

use std::path::Path;
use std::time::Duration;

use layertop::event::expected::{ExpectedStep, Pulls};
use layertop::event::{Ended, Event, Expected, LayerRule, Mask, Outline, Stamped, Time};
use layertop::model::{self, Basis, Model, expected};
use layertop::recording::Reader;
use layertop::report::estimate;

/// The events of a recorded build that ended well.
fn events(name: &str) -> Vec<Stamped> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/{name}.jsonl"));
    let mut reader = Reader::open(&file, Mask::default()).unwrap();
    let mut events = Vec::new();
    while reader.next_batch(1024, &mut events) {}
    for event in &mut events {
        if let Event::Ended(ended) = &mut event.event {
            *ended = Ended::with(Some(0));
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

/// What is told to be left at each moment of a build, with the time since its beginning; the last is at its end.
fn told_over_time(name: &str, earlier: &[&str]) -> Vec<(Duration, Option<model::TimeLeft>)> {
    let mut model = Model::default();
    model.apply(&told(earlier));
    let events = events(name);
    let (begun, ended) = (events[0].at, events.last().unwrap().at);
    let mut rest = events.as_slice();
    let mut found = Vec::new();
    let all = ended.since(begun);
    for share in 0..200u32 {
        let now = begun.plus(all.mul_f64(f64::from(share) / 200.0));
        let known = rest.partition_point(|event| event.at <= now);
        model.apply_all(&rest[..known]);
        rest = &rest[known..];
        found.push((now.since(begun), model.estimate(now).left));
    }
    found
}

const COMPARABLE: [&str; 6] = ["first", "no-cache", "req", "code", "nochange", "cache-pull"];

#[test]
fn what_is_left_does_not_jump_up() {
    for name in COMPARABLE {
        let others: Vec<&str> = COMPARABLE.into_iter().filter(|other| *other != name).collect();
        let moments = told_over_time(name, &others);
        let all = moments.last().unwrap().0;
        let mut before: Option<(Duration, Duration)> = None;
        let mut spoken = 0;
        for (at, left) in moments {
            // Where something has no history, what is said is no more than a bound.
            let Some(left) = left.filter(|left| !left.at_least) else { continue };
            spoken += 1;
            if let Some((then, was)) = before {
                let grown = left.time.saturating_sub(was);
                // What takes longer than usual takes the rest along, step by step.
                let most = at.saturating_sub(then) * 3 + all / 20;
                assert!(grown <= most, "{name} at {at:?}: {was:?} became {:?}", left.time);
            }
            before = Some((at, left.time));
        }
        assert!(spoken > 60, "{name}: {spoken}");
    }
}

#[test]
fn nothing_is_told_before_it_is_known_what_is_cached() {
    for name in ["first", "code"] {
        let moments = told_over_time(name, &["req", "no-cache"]);
        let first = moments.iter().find(|(_, left)| left.is_some()).unwrap();
        assert!(first.0 > Duration::ZERO, "{name}");
    }
    assert!(told_over_time("first", &[]).iter().all(|(_, left)| left.is_none()));
}

#[test]
fn half_way_it_is_known_about_how_long_it_takes() {
    let mut errors = Vec::new();
    for name in COMPARABLE {
        let others: Vec<&str> = COMPARABLE.into_iter().filter(|other| *other != name).collect();
        let moments = told_over_time(name, &others);
        let (at, left) = moments[moments.len() / 2];
        let truth = wall(&model(name)).saturating_sub(at);
        errors.push((left.unwrap().time.as_secs_f64() / truth.as_secs_f64() - 1.0).abs());
    }
    errors.sort_by(f64::total_cmp);
    assert!(errors[errors.len() / 2] < 0.35, "{errors:?}");
}

#[test]
fn a_step_without_a_history_makes_a_bound_of_the_estimate() {
    let mut told = told(&["first", "no-cache"]);
    let Event::Expected(expected) = &mut told.event else { unreachable!() };
    expected.steps.retain(|step| !step.instruction.as_str().contains("realesrgan"));
    let mut model = Model::default();
    model.apply(&told);
    let events = events("req");
    let (begun, ended) = (events[0].at, events.last().unwrap().at);
    let now = begun.plus(ended.since(begun) / 4);
    model.apply_all(&events.iter().filter(|event| event.at <= now).cloned().collect::<Vec<_>>());
    let estimate = model.estimate(now);
    assert!(estimate.left.unwrap().at_least);
    let known = estimate
        .steps
        .keys()
        .any(|id| model.stack().step(*id).unwrap().name.instruction.as_str().contains("realesrgan"));
    assert!(!known, "nothing is guessed");
}

/// Of a pull it is said how long it takes until all is unpacked, where as much was fetched before: the stream tells nothing of
/// unpacking. Else it is a bound.
#[test]
fn unpacking_takes_the_time_that_it_took_before() {
    let events = events("cache-pull");
    let unpacking = |event: &&Stamped| matches!(&event.event, Event::Status(status) if status.id.as_str().starts_with("extracting"));
    let now = events.iter().find(unpacking).unwrap().at;
    let known: Vec<Stamped> = events.iter().filter(|event| event.at <= now).cloned().collect();
    let of_it = expected::PastBuild::of(&model("cache-pull")).pulls;
    assert!(of_it.bytes > 1 << 20 && of_it.us > 0, "{of_it:?}");
    let left = |pulls: Pulls| {
        let mut told = told(&["no-cache"]);
        let Event::Expected(expected) = &mut told.event else { unreachable!() };
        expected.pulls = pulls;
        let mut model = Model::default();
        model.apply(&told);
        model.apply_all(&known);
        model.estimate(now).left
    };
    assert!(left(Pulls::default()).is_none_or(|left| left.at_least), "{:?}", left(Pulls::default()));
    let usual = left(of_it).unwrap();
    // Ten times as slow.
    let slow = left(Pulls { us: of_it.us * 10, ..of_it }).unwrap();
    assert!(slow.time > usual.time * 2, "{usual:?} {slow:?}");
}

/// A real build in which a step slept for 9 s that had slept for 2 s in the four before it.
#[test]
fn what_takes_longer_than_it_ever_did_is_said_to() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/estimate/slower.jsonl");
    let mut reader = Reader::open(&file, Mask::default()).unwrap();
    let mut events = Vec::new();
    while reader.next_batch(1024, &mut events) {}
    let begun = events[0].at;
    let slow = |seconds: u64| {
        let now = begun.plus(Duration::from_secs(seconds));
        let mut model = Model::default();
        model.apply_all(&events.iter().filter(|event| event.at <= now).cloned().collect::<Vec<_>>());
        let slow = estimate::slow(&model, &model.estimate(now));
        let name = |id| model.stack().step(id).unwrap().name.instruction.to_string();
        slow.into_iter().map(|(id, factor)| (name(id), factor)).collect::<Vec<_>>()
    };
    assert_eq!(slow(3), []);
    let told = slow(7);
    let [(step, factor)] = told.as_slice() else { panic!("{told:?}") };
    assert!(step.contains("pip install") && (2.0..3.0).contains(factor), "{told:?}");
    assert!(slow(9)[0].1 > *factor, "it grows");
    assert_eq!(slow(60), [], "it has ended");
}

#[test]
fn another_instruction_of_the_layer_tells_less_surely() {
    let layered = |text: &str| ExpectedStep {
        instruction: text.into(),
        layer: Some("pip".into()),
        runs: 4,
        median_us: 9_000_000,
        p95_us: 10_000_000,
        ..ExpectedStep::default()
    };
    let steps = vec![layered("RUN pip install a"), layered("COPY requirements.txt .")];
    let expected = Expected { builds: 4, steps, ..Expected::default() };
    let rules = vec![LayerRule { name: "pip".into(), pattern: "pip".to_owned() }];
    let step = |text: &str| {
        let mut model = Model::default();
        let vertex = format!(
            r#"{{"at": 1, "type": "vertex", "digest": "sha256:{}", "name": "[2/2] {text}"}}"#,
            "a".repeat(64)
        );
        let events = [
            Event::Outline(Outline { rules: rules.clone(), ..Outline::default() }),
            Event::Expected(Box::new(expected.clone())),
        ];
        model.apply_all(&events.map(|event| Stamped { at: Time::default(), event }));
        model.apply(&serde_json::from_str(&vertex).unwrap());
        let (id, _) = model.stack().steps().next().unwrap();
        model.expected(id).map(|told| told.basis)
    };
    assert_eq!(step("RUN pip install a"), Some(Basis::Step));
    assert_eq!(step("RUN pip install a b"), Some(Basis::Layer));
    assert_eq!(step("ADD pip.tar /"), None, "another instruction does another thing");
    assert_eq!(step("RUN make"), None);
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
