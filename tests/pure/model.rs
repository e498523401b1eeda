//! What the model makes of each recording, as a snapshot that can be read beside the stream.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use layertop::event::{Ended, Event, Mask, Platform, Stamped, Text, Time};
use layertop::model::{Activity, Model, Outcome, State, StepId, Transfer};
use layertop::recording::Reader;
use layertop::report::words::{bytes, duration, percent, truncate};
use rstest::rstest;

#[rstest]
fn each_recording_is_understood(#[files("tests/recordings/*.jsonl")] path: PathBuf) {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let events = events(&path, exit_code(&name));
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => true }, {
        insta::assert_snapshot!(name, text(&events));
    });
}

/// What buildx ended with, as it was noted when the recording was made.
fn exit_code(name: &str) -> Option<i32> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/expected.json");
    let expected: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    expected[format!("{name}.jsonl")]["exit"].as_i64().map(|code| code as i32)
}

/// The events with the times of the stream, ended by this exit code.
fn events(path: &Path, exit_code: Option<i32>) -> Vec<Stamped> {
    let mut reader = Reader::open(path, Mask::default()).unwrap();
    let mut events = Vec::new();
    while reader.next_batch(1024, &mut events) {}
    for event in &mut events {
        if let Event::Ended(ended) = &mut event.event {
            *ended = Ended::with(exit_code);
        }
    }
    events
}

/// A foreign stream may be cut at any of its lines: a build that failed is no success then, nor is one whose steps had not all ended.
#[rstest]
#[case::failed("fail")]
#[case::failed_on_one_platform("fail-one-platform")]
#[case::built("first")]
fn a_stream_that_is_cut_tells_of_no_success(#[case] name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/{name}.jsonl"));
    let whole = std::fs::read_to_string(whole).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let mut told = 0;
    for length in 1..lines.len() {
        let path = folder.path().join(format!("{length}.jsonl"));
        std::fs::write(&path, lines[..length].concat()).unwrap();
        let mut model = Model::default();
        model.apply_all(&events(&path, None));
        let ended = |id: StepId| matches!(model.state(id), State::Hit | State::Miss);
        let all = model.stack().steps().all(|(id, _)| ended(id));
        if model.outcome() == Outcome::Success {
            told += 1;
            assert!(name == "first" && all, "{length} of {} lines: {:?}", lines.len(), model.counts());
        }
    }
    assert_eq!(told > 0, name == "first", "behind its last step it can't be told from a whole one");
}

fn text(events: &[Stamped]) -> String {
    let mut model = Model::default();
    model.apply_all(events);
    let mut out = String::new();
    head(&model, events, &mut out);
    stack(&model, &mut out);
    ending(&model, &mut out);
    logs(&model, &mut out);
    moving(events, &mut out);
    // No line of a snapshot ends in spaces.
    out.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn head(model: &Model, events: &[Stamped], out: &mut String) {
    let guessed = {
        let mut model = Model::default();
        let untold = |event: &Stamped| match event.event {
            Event::Ended(_) => Stamped { event: Event::Ended(Ended::with(None)), ..event.clone() },
            _ => event.clone(),
        };
        model.apply_all(&events.iter().map(untold).collect::<Vec<_>>());
        (model.outcome().key(), model.exit_code())
    };
    let _ = writeln!(out, "outcome    {}, exit code {:?}", model.outcome().key(), model.exit_code());
    let _ = writeln!(out, "guessed    {}, exit code {:?}", guessed.0, guessed.1);
    let _ = writeln!(out, "wall       {}", duration(model.wall(model.newest())));
    let (total, cached) = model.vertex_counts();
    let _ = writeln!(out, "vertices   {total}, {cached} cached");
    let counts = model.counts();
    let states = State::ALL.map(|state| (state.key(), counts.of(state)));
    let states: Vec<String> =
        states.iter().filter(|(_, n)| *n > 0).map(|(state, n)| format!("{state} {n}")).collect();
    let rate = counts.hit_rate().and_then(|rate| percent((rate * 1000.0) as usize, 1000));
    let _ = writeln!(
        out,
        "layers     {}: {}; hit rate {}",
        counts.total,
        states.join(", "),
        rate.as_deref().unwrap_or("none")
    );
    let platforms: Vec<String> = model.platforms().iter().map(|p| or_dash(p.as_ref())).collect();
    let _ = writeln!(out, "platforms  {}", platforms.join(", "));
    let cache = model.cache();
    let mut transfers = |what: &str, transfers: &[Transfer]| {
        for Transfer { reference, phase, error } in transfers {
            let _ = writeln!(
                out,
                "{what}     {phase:?} {} {}",
                or_dash(reference.as_ref()),
                error.as_ref().map_or("", Text::as_str)
            );
        }
    };
    transfers("import", &cache.imports);
    transfers("export", &cache.exports);
}

fn or_dash(what: Option<&impl ToString>) -> String {
    what.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn stack(model: &Model, out: &mut String) {
    let platforms = model.platforms();
    for (group, is_final) in model.groups() {
        let what = if is_final { "image" } else { "stage" };
        let _ =
            writeln!(out, "\n{what} {} {}", or_dash(group.target.as_ref()), or_dash(group.stage.as_ref()));
        for (i, row) in group.rows.iter().enumerate() {
            let layer = truncate(row.layer.as_ref().map_or("-", Text::as_str), 16);
            let instruction = truncate(row.instruction.as_str(), 40);
            let cells: Vec<String> = platforms
                .iter()
                .map(|platform| cell(model, model.stack().cell(row, platform.as_ref()), platform.as_ref()))
                .collect();
            let _ = writeln!(out, "{:>3} {layer:<16} {instruction:<40} {}", i + 1, cells.join("| "));
        }
    }
}

fn cell(model: &Model, id: Option<StepId>, platform: Option<&Platform>) -> String {
    let Some(id) = id else { return format!("{:<40}", "-") };
    let now = model.newest();
    let mut cell = format!("{:<10}", model.state(id).key());
    for (what, time) in [("run", model.run_time(id, now)), ("pull", model.pull_time(id, now))] {
        if time > Duration::ZERO {
            let _ = write!(cell, " {what} {}", duration(time));
        }
    }
    if model.pulled_bytes(id) > 0 {
        let _ = write!(cell, " {}", bytes(model.pulled_bytes(id)));
    }
    let step = model.stack().step(id).unwrap();
    if step.name.platform.as_ref() != platform {
        let _ = write!(cell, " (of {})", or_dash(step.name.platform.as_ref()));
    }
    if let Some(on) = &step.name.runs_on {
        let _ = write!(cell, " on {on}");
    }
    if step.vertices.len() > 1 {
        let _ = write!(cell, " {} vertices", step.vertices.len());
    }
    format!("{cell:<40}")
}

fn ending(model: &Model, out: &mut String) {
    if let Some(failure) = model.failure() {
        let vertex = failure.vertex.and_then(|id| model.vertex(id)).map(|vertex| &vertex.name);
        let _ = writeln!(out, "\nfailed     {}", or_dash(vertex));
        let _ = writeln!(out, "message    {}", layertop::report::failure::message(&failure));
        for line in &failure.excerpt {
            let _ = writeln!(out, "excerpt    {}", line.text());
        }
    }
    for warning in model.warnings() {
        let _ = writeln!(
            out,
            "warning    {}:{} {}; {} more lines; {}",
            or_dash(warning.file.as_ref()),
            warning.line.unwrap_or(0),
            warning.short,
            warning.detail.len(),
            or_dash(warning.url.as_ref()),
        );
    }
    for notice in model.notices() {
        let _ = writeln!(out, "notice     {:?} {}", notice.level, notice.text);
    }
    if model.output().len() > 0 {
        let _ = writeln!(out, "\noutput     {} lines", model.output().len());
        for line in model.output().take(12) {
            let _ = writeln!(out, "  {}", truncate(line.line.text(), 110));
        }
    }
}

/// Each log with its first and last lines.
fn logs(model: &Model, out: &mut String) {
    out.push('\n');
    for (_, vertex) in model.vertices().filter(|(_, vertex)| !vertex.log.is_empty()) {
        let log = &vertex.log;
        let clipped = if log.clipped() { ", clipped" } else { "" };
        let _ = writeln!(
            out,
            "log        {}: {} lines, {} dropped{clipped}",
            truncate(vertex.name.as_str(), 60),
            log.total(),
            log.dropped(),
        );
        let last = log.len().saturating_sub(3);
        for i in (0..log.len()).filter(|i| *i < 3 || *i >= last) {
            let _ = writeln!(out, "  {:>6} {}", i + 1, truncate(log.get(i).unwrap().line.text(), 100));
        }
    }
}

/// What ever moved, and what does half-way through the build's time.
fn moving(events: &[Stamped], out: &mut String) {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
    let half = first.at.plus(last.at.since(first.at) / 2);
    let mut model = Model::default();
    let mut most: BTreeMap<&str, Activity> = BTreeMap::new();
    let mut at_half = None;
    for event in events {
        if event.at > half && at_half.is_none() {
            at_half = Some(moment(&model, half));
        }
        model.apply(event);
        for activity in model.activities() {
            let known = most.entry(activity.verb).or_insert_with(|| activity.clone());
            known.count = known.count.max(activity.count);
            known.total = known.total.max(activity.total);
        }
    }
    out.push('\n');
    for activity in most.values() {
        let _ = writeln!(
            out,
            "moved      {}, {} at once, {} at most",
            activity.verb,
            activity.count,
            bytes(activity.total)
        );
    }
    let _ = writeln!(out, "half-way   {}", at_half.unwrap_or_default());
}

fn moment(model: &Model, now: Time) -> String {
    let mut parts = vec![duration(model.wall(now))];
    for (id, step) in model.stack().steps().filter(|(id, _)| model.state(*id) == State::Running) {
        let platform = step.name.platform.as_ref().map_or("", Platform::short);
        let run = duration(model.run_time(id, now));
        parts.push(format!("{platform} {} for {run}", truncate(step.name.instruction.as_str(), 30)));
    }
    for Activity { verb, count, current, total } in model.activities() {
        parts.push(format!("{verb} {count} {} of {}", bytes(current), bytes(total)));
    }
    let counts = model.counts();
    parts.push(format!("{} of {}", counts.done(), counts.total));
    parts.join(" | ")
}
