//! One number for one thing: of every recorded build all outputs tell the same. Header, summary, plain output, JSON, Markdown, HTML,
//! metrics, reasons, history, comparison and the form of a plan are held against each other, in the middle of a build and at its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use layertop::event::prediction::{Planned, PlannedStep, Prediction};
use layertop::event::{Event, Mask, Platform, Reasons, Stamped, Started, Text, Time};
use layertop::explain::{self, Past};
use layertop::history::{Store, StoredBuild};
use layertop::model::expected::{self, PastBuild};
use layertop::model::{self, Model, State};
use layertop::recording::Reader;
use layertop::report::compare::{ComparedBuild, compare};
use layertop::report::estimate::CacheSavings;
use layertop::report::plain::{PlainOptions, PlainOutput};
use layertop::report::styled::StyledLine;
use layertop::report::words::Sign;
use layertop::report::{self, end, html, json, markdown, metrics, why, words};
use layertop::ui::UiState;
use layertop::ui::theme::Theme;
use layertop::view::Screen;
use layertop::wording;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget as _;
use regex::Regex;
use serde_json::Value;

/// Folders of recordings; the demo's and those of another place, where one is named.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorded =
        ["", "sources", "estimate", "made"].map(|folder| root.join("tests/recordings").join(folder));
    let own = recorded.into_iter().chain([root.join("assets/demo")]);
    let more = std::env::var_os("LAYERTOP_MORE_RECORDINGS").map(PathBuf::from);
    own.chain(more).collect()
}

fn read(path: &Path) -> Vec<Stamped> {
    let mut reader = Reader::open(path, Mask::default()).unwrap();
    let mut events = Vec::new();
    while reader.next_batch(1024, &mut events) {}
    events
}

fn model_of(events: &[Stamped]) -> Model {
    let mut model = Model::default();
    model.apply_all(events);
    model
}

/// A stream as layertop would have begun it, were it not for what only it knows.
fn begun(mut events: Vec<Stamped>) -> Vec<Stamped> {
    if !events.iter().any(|event| matches!(event.event, Event::Started(_))) {
        let at = events.first().map(|event| event.at).unwrap_or_default();
        let many = events.iter().any(|event| {
            matches!(&event.event, Event::Vertex(vertex) if vertex.name.as_str().starts_with("[linux/arm64 "))
        });
        let started = Started {
            image: Some("registry:5000/team/app:latest".into()),
            builder: Some("builder".into()),
            platforms: Platform::parse_list(if many { "linux/amd64,linux/arm64" } else { "" }),
            ..Started::default()
        };
        events.insert(0, Stamped { at, event: Event::Started(started) });
    }
    events
}

/// A build with why its steps missed, by what an earlier build was, and with how long its steps take.
fn judged(events: &[Stamped], first: Option<&Model>) -> Model {
    let mut model = model_of(events);
    let at = events.first().map(|event| event.at).unwrap_or_default();
    if let Some(first) = first {
        let expected = expected::expected(&[PastBuild::of(first)]);
        model.apply(&Stamped { at, event: Event::Expected(Box::new(expected)) });
    }
    if !model.has_reasons() {
        let pasts: Vec<Past> = first.map(|first| Past::of("first".into(), first)).into_iter().collect();
        let mut reasons = explain::judge(&model, &pasts);
        wording::fill(&mut reasons);
        model.apply(&Stamped { at, event: Event::Reasons(Box::new(Reasons { reasons })) });
    }
    model
}

/// Every recorded build, with its name.
fn builds() -> Vec<(String, Vec<Stamped>, Option<Model>)> {
    let mut found = Vec::new();
    for folder in folders() {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.to_string_lossy().contains(".jsonl"));
        paths.sort();
        let first = paths.iter().find(|path| path.to_string_lossy().contains("first.")).cloned();
        for path in paths {
            let earlier = first.as_ref().filter(|first| **first != path);
            let earlier = earlier.map(|first| model_of(&begun(read(first))));
            found.push((path.display().to_string(), begun(read(&path)), earlier));
        }
    }
    assert!(found.len() > 40, "{}", found.len());
    found
}

fn text(line: &StyledLine) -> String {
    line.pieces().map(|(text, _)| text).collect()
}

/// The lines of a wide screen.
fn screen(model: &Model, now: Time) -> Vec<String> {
    let mut ui = UiState::new(Theme::default());
    ui.sync(model);
    let area = Rect::new(0, 0, 200, 60);
    let mut buffer = Buffer::empty(area);
    Screen::new(model, &ui, now).render(area, &mut buffer);
    let row = |y| (0..area.width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
    (0..area.height).map(row).collect()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The numbers before these words: `2 rebuilt`.
fn numbers(words: &str, text: &str) -> Vec<usize> {
    let found = Regex::new(&format!(r"(\d+) {words}\b")).unwrap();
    found.captures_iter(text).map(|found| found[1].parse().unwrap()).collect()
}

/// What a build came to, counted step by step from what the summary says of each: nothing here asks what the outputs ask.
struct Truth {
    total: usize,
    by_state: BTreeMap<&'static str, usize>,
    rebuilt: usize,
    pulled: usize,
    reached: usize,
    rate: Option<f64>,
    wall: Duration,
}

impl Truth {
    fn of(model: &Model, now: Time) -> Self {
        let steps = json::summary(model, now).steps;
        let from = |step: &&json::StepSummary| step.instruction.as_str().starts_with("FROM ");
        let count =
            |state, base: bool| steps.iter().filter(|step| step.state == state && from(step) == base).count();
        let all = |state| count(state, true) + count(state, false);
        let by_state = State::ALL.map(|state| (state.key(), all(state))).into_iter().collect();
        let reached = steps.len() - all(State::Waiting) - all(State::Running) - all(State::NotReached);
        let ran = all(State::Miss) + all(State::Failed) + all(State::Cancelled);
        Self {
            total: steps.len(),
            by_state,
            rebuilt: count(State::Miss, false),
            pulled: count(State::Miss, true),
            reached,
            rate: (reached > 0).then(|| (reached - ran) as f64 / reached as f64),
            wall: model.wall(now),
        }
    }

    /// How every output writes what was rebuilt.
    fn tally(&self) -> String {
        let Self { total, reached, rebuilt, .. } = self;
        if reached < total {
            format!("{reached} of {total} reached, {rebuilt} rebuilt")
        } else {
            format!("{rebuilt} of {total} rebuilt")
        }
    }

    fn is_rate(&self, told: &Value, what: &str) {
        match (self.rate, told.as_f64()) {
            (Some(rate), Some(told)) => assert!((rate - told).abs() < 1e-4, "{what}: {rate} {told}"),
            (rate, told) => assert_eq!(rate, told, "{what}"),
        }
    }

    /// What JSON says in these fields.
    fn is_json(&self, told: &Value, what: &str) {
        for (field, number) in [("rebuilt", self.rebuilt), ("reached", self.reached)] {
            assert_eq!(told[field], number, "{what}: {field}");
        }
        assert_eq!(told["hits"], self.by_state["hit"], "{what}");
    }
}

/// What the screen's header says: how far it is, and how many steps became what.
fn header(model: &Model, now: Time, truth: &Truth, what: &str) {
    let lines = screen(model, now);
    if truth.total == 0 {
        return;
    }
    let line = &lines[1];
    let done =
        Regex::new(r"(\d+) of (\d+)").unwrap().captures(line).unwrap_or_else(|| panic!("{what}: {line}"));
    assert_eq!(
        (&done[1], &done[2]),
        (&*truth.reached.to_string(), &*truth.total.to_string()),
        "{what}: {line}"
    );
    assert!(!line.contains('%'), "{what}: no rate: {line}");
    let mut expected: BTreeMap<&str, usize> =
        BTreeMap::from([("hit", truth.by_state["hit"]), ("rebuilt", truth.rebuilt)]);
    for (word, state) in [
        ("running", "running"),
        ("waiting", "waiting"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
        ("not needed", "not_needed"),
        ("not reached", "not_reached"),
    ] {
        expected.insert(word, truth.by_state[state]);
    }
    expected.insert("pulled", truth.pulled);
    for (word, number) in expected {
        let told = numbers(word, line);
        let must = if number > 0 || ["hit", "rebuilt"].contains(&word) { vec![number] } else { Vec::new() };
        assert_eq!(told, must, "{what}: {word}: {line}");
    }
    if let Some(saved) = CacheSavings::of(model).and_then(|saved| saved.text(false)) {
        assert!(lines[0].contains(&saved), "{what}: {saved}: {}", lines[0]);
    }
}

/// Each step stands in one column, so that what is told platform by platform adds up to what is told of all.
fn columns(model: &Model, now: Time, truth: &Truth, what: &str) {
    let columns = model.platforms();
    for row in model.stack().groups().iter().flat_map(|group| &group.rows) {
        for id in &row.steps {
            let here = |column: &&Option<Platform>| model.stack().cell(row, column.as_ref()) == Some(*id);
            assert_eq!(columns.iter().filter(here).count(), 1, "{what}: {:?}", model.stack().step(*id));
        }
    }
    if columns.len() < 2 || truth.total == 0 {
        return;
    }
    let lines: Vec<String> = end::lines(model, now, None, 200, false).iter().map(text).collect();
    let steps = json::summary(model, now).steps;
    let words = Sign::counted(&model.counts());
    let mut all = vec![0; words.len()];
    for column in &columns {
        let name = column.as_ref().map_or("no platform", Platform::as_str);
        let line = lines.iter().find(|line| line.starts_with(&format!("  {name} "))).unwrap();
        let mut counted = 0;
        for (sum, (sign, _)) in all.iter_mut().zip(&words) {
            let told: usize = numbers(sign.word, line).iter().sum();
            (*sum, counted) = (*sum + told, counted + told);
        }
        let own = steps.iter().filter(|step| step.platform == *column).count();
        assert_eq!(counted, own, "{what}: {line}");
    }
    let expected: Vec<usize> = words.iter().map(|(_, count)| *count).collect();
    assert_eq!(all, expected, "{what}: {lines:#?}");
    assert_eq!(all.iter().sum::<usize>(), truth.total, "{what}");
}

/// A step takes as long on the timeline as everywhere else; a hit takes no time.
fn timeline(model: &Model, now: Time, what: &str) {
    let timeline = model.timeline(now);
    let steps = json::summary(model, now).steps;
    for lane in &timeline.lanes {
        let Some(id) = lane.step else { continue };
        assert_eq!(lane.took, model.took(id, now), "{what}: {}", lane.label);
        let told = steps.iter().find(|step| step.digest.as_ref() == model.digest_of(id));
        let told = told.unwrap_or_else(|| panic!("{what}: {}", lane.label));
        let took = Duration::from_millis(told.run_ms + told.pull_ms);
        assert!(lane.took.abs_diff(took) < Duration::from_millis(3), "{what}: {took:?} {lane:?}");
    }
}

/// What is said of causes, wherever one is.
fn causes(model: &Model, what: &str) {
    let causes = model::causes(model);
    let whole = model.wall(model.ended().unwrap_or(model.newest()));
    let told = parsed(&why::json(model, &"build".into(), None));
    assert_eq!(told["causes"].as_array().unwrap().len(), causes.len(), "{what}");
    let all: String = why::lines(model, None, false).iter().map(|line| text(line) + "\n").collect();
    let mut seen = Vec::new();
    for (cause, told) in causes.iter().zip(told["causes"].as_array().unwrap()) {
        assert!(cause.cost <= whole, "{what}: {:?} of {whole:?}", cause.cost);
        assert_eq!(told["cost_ms"], u64::try_from(cause.cost.as_millis()).unwrap(), "{what}");
        assert_eq!(told["follow_layers"], cause.layers, "{what}");
        let sentence = told["sentence"].as_str().unwrap();
        let of = format!("{} of {}", words::duration(cause.cost), words::duration(whole));
        assert!(sentence.contains(&of), "{what}: {of}: {sentence}");
        let follow = numbers("layers? follows?", sentence);
        let more = numbers("more layers?", sentence);
        let layers: Vec<usize> = (cause.layers > 0).then_some(cause.layers).into_iter().collect();
        assert_eq!([follow, more].concat(), layers, "{what}: {sentence}");
        assert!(all.contains(sentence), "{what}: {sentence}: {all}");
        assert!(!cause.roots.iter().any(|root| seen.contains(root)), "{what}: a root twice");
        seen.extend(cause.roots.iter().copied());
    }
    assert!(causes.windows(2).all(|two| two[0].cost >= two[1].cost), "{what}: the dearest first");
    let Some(line) = why::headline(model, false).map(|line| text(&line)) else { return };
    let first = &causes[0];
    assert!(line.starts_with(&why::named(model, first)), "{what}: {line}");
    let layers: Vec<usize> = (first.layers > 0).then_some(first.layers).into_iter().collect();
    assert_eq!(numbers("layers? follows?", &line), layers, "{what}: {line}");
    let shown = screen(model, model.newest()).join("\n");
    let begin: String = line.chars().take(60).collect();
    assert!(
        shown.contains(&begin) || model.cache().imports.len() + model.warnings().len() > 0,
        "{what}: {line}\n{shown}"
    );
}

/// The same build as a plan that foretells it: its causes are those of the build, and what follows from them.
fn plan(model: &Model, events: &[Stamped], what: &str) {
    let steps = model.stack().steps().filter_map(|(id, _)| {
        let reason = model.reason_of(id).cloned();
        Some(PlannedStep {
            vertex: model.digest_of(id)?.clone(),
            predicted: if model.missed(id) { Prediction::Miss } else { Prediction::Hit },
            grade: reason.as_ref().map(|reason| reason.grade).unwrap_or_default(),
            reason,
            source: None,
            evidence: Text::default(),
            basis: None,
            expected_us: None,
        })
    });
    let planned = Planned { steps: steps.collect(), last: None };
    let mut plan = model_of(events);
    plan.apply(&Stamped { at: model.newest(), event: Event::Planned(Box::new(planned)) });
    let told = |model: &Model| -> BTreeMap<String, usize> {
        let causes = model::causes(model).into_iter();
        // Which of several is named goes by what they take, which no plan knows of a build that was never made before.
        let roots = |cause: &model::RootCause| {
            let mut roots: Vec<_> =
                cause.roots.iter().map(|id| format!("{:?}", model.digest_of(*id))).collect();
            roots.sort();
            roots.join(" ")
        };
        causes.map(|cause| (roots(&cause), cause.layers)).collect()
    };
    assert_eq!(told(&plan), told(model), "{what}");
    let causes = model::causes(&plan);
    let from = |id| plan.stack().step(id).is_some_and(|step| step.name.is_from());
    // What moved below is no layer that is rebuilt itself.
    if let [only] = causes.as_slice()
        && !from(only.roots[0])
        && plan
            .stack()
            .row_of(only.roots[0])
            .is_some_and(|row| row.layer.is_some() && only.roots.iter().all(|root| row.steps.contains(root)))
    {
        let sentence = report::plan::sentence(&plan, false);
        let layers: Vec<usize> = (only.layers > 0).then_some(only.layers).into_iter().collect();
        let told = [numbers("layers? follows?", &sentence), numbers("more layers?", &sentence)].concat();
        assert!(told.is_empty() || told == layers, "{what}: {layers:?}: {sentence}");
    }
}

#[test]
fn every_output_tells_the_same_of_a_build() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("history.db"), Time::from_micros(1)).unwrap().store;
    for (at, (what, events, first)) in builds().into_iter().enumerate() {
        let model = judged(&events, first.as_ref());
        let now = model.ended().unwrap_or(model.newest());
        let truth = Truth::of(&model, now);
        let summary = json::summary(&model, now);
        let told = parsed(&summary.line());
        let layers = &told["layers"];
        truth.is_json(layers, &what);
        truth.is_rate(&layers["hit_rate"], &what);
        for (field, number) in [
            ("total", truth.total),
            ("misses", truth.by_state["miss"]),
            ("not_needed", truth.by_state["not_needed"]),
            ("not_reached", truth.by_state["not_reached"]),
            ("failed", truth.by_state["failed"]),
            ("cancelled", truth.by_state["cancelled"]),
            ("pulled", truth.pulled),
        ] {
            assert_eq!(layers[field], number, "{what}: {field}");
        }
        let wall = words::duration(truth.wall);
        let saved = CacheSavings::of(&model);
        let worth = saved.and_then(CacheSavings::if_significant).map(|saved| saved.amount(false));

        // The one figure is written in one way.
        if let Some(saved) = saved.and_then(CacheSavings::if_significant).filter(|saved| !saved.at_least) {
            let time = words::duration(Duration::from_millis(told["saved_ms"].as_u64().unwrap()));
            assert!(saved.amount(false).starts_with(&format!("{time} (")), "{what}: {time}: {saved:?}");
            assert_eq!(saved.time_text(false), time, "{what}");
        }

        // The words of the end.
        let result = text(&end::result(&model, now, false));
        let mut plain = String::new();
        PlainOutput::new(PlainOptions::default()).update(&model, now, &mut plain);
        assert!(plain.trim_end().ends_with(&result), "{what}: {result}");
        for sentence in why::sentences(&model, false).iter().map(text) {
            assert!(plain.contains(&sentence), "{what}: {sentence}");
        }
        let markdown = markdown::render(&model, now).replace("&#42;", "*");
        let html = html::render(&model, now);
        for (name, said) in [("summary", &result), ("markdown", &markdown), ("html", &html)] {
            assert!(said.contains(&wall), "{what}: {name}: {wall}: {said}");
            let tally = truth.tally();
            let own = if name == "html" { format!("{} of {}", truth.rebuilt, truth.total) } else { tally };
            assert!(truth.total == 0 || said.contains(&own), "{what}: {name}: {own}: {said}");
            if let (Some(saved), false) = (&worth, name == "html") {
                assert!(said.contains(saved), "{what}: {name}: {saved}: {said}");
            }
        }
        for (n, cause) in model::causes(&model).iter().enumerate() {
            let sentence = why::sentence(&model, cause);
            let begin: String = sentence.chars().take_while(char::is_ascii_alphanumeric).collect();
            assert!(html.contains(&begin), "{what}: {n}: {sentence}");
        }
        header(&model, now, &truth, &what);
        columns(&model, now, &truth, &what);
        timeline(&model, now, &what);
        causes(&model, &what);
        plan(&model, &events, &what);

        // Metrics are of the summary.
        let metrics = metrics::render(&summary);
        let value = |name: &str| {
            let line = metrics.lines().find(|line| line.starts_with(&format!("layertop_build_{name}{{")));
            line.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        };
        truth.is_rate(&value("hit_ratio").map_or(Value::Null, Value::from), &what);
        assert_eq!(value("duration_seconds"), Some(truth.wall.as_millis() as f64 / 1e3), "{what}");

        // What the history keeps of it.
        let name = format!("build-{at}");
        let build = StoredBuild::of(&model, Text::clean(&name), None);
        let id = store.keep(&build).unwrap().unwrap();
        let row = store
            .builds(None, usize::MAX)
            .unwrap()
            .into_iter()
            .find(|row| row.name.as_str() == name)
            .unwrap();
        let kept = parsed(&report::history::json(std::slice::from_ref(&row)))["builds"][0].clone();
        truth.is_json(&kept, &what);
        truth.is_rate(&kept["hit_rate"], &what);
        for field in ["wall_ms", "no_cache_ms", "saved_ms"] {
            assert_eq!(kept[field], told[field], "{what}: {field}");
        }
        assert_eq!((&kept["steps"], &kept["misses"]), (&layers["total"], &layers["misses"]), "{what}");
        let listed = report::history::lines(std::slice::from_ref(&row), &|_| String::new(), None, false);
        let listed = text(listed.last().unwrap());
        assert!(
            truth.total == 0 || listed.contains(&format!("{} of {}", truth.rebuilt, truth.total)),
            "{what}: {listed}"
        );
        assert!(listed.contains(&wall), "{what}: {wall}: {listed}");
        if let Some(saved) = worth.filter(|_| !saved.is_some_and(|saved| saved.at_least)) {
            assert!(listed.contains(&saved), "{what}: {saved}: {listed}");
        }
        if let Some(scenario) = &build.scenario {
            assert!(scenario.as_str().chars().count() <= 40, "{what}: {scenario}");
        }

        let kept = ComparedBuild::of_stored(&row, &store.steps(id).unwrap());
        let live = ComparedBuild::of_model(Text::clean(&name), &model, now);
        compared(&live, &kept, &truth, &told["wall_ms"], &what);
    }
}

/// A comparison says the same of a recording and of what is kept of it.
fn compared(live: &ComparedBuild, stored: &ComparedBuild, truth: &Truth, wall: &Value, what: &str) {
    let found = compare(live, stored);
    let sides = parsed(&report::compare::json(&found));
    for side in ["a", "b"] {
        truth.is_json(&sides[side], what);
        assert_eq!(sides[side]["total"], truth.total, "{what}");
        assert_eq!(&sides[side]["wall_ms"], wall, "{what}");
    }
    let lines: Vec<String> = report::compare::lines(&found, 200, false).iter().map(text).collect();
    let took = words::duration(truth.wall);
    for line in &lines[..2] {
        assert!(line.contains(&truth.tally()) && line.contains(&took), "{what}: {line}");
    }
}

/// While a build runs, the same holds of what is told of it, and it has no rate.
#[test]
fn every_output_tells_the_same_in_the_middle_of_a_build() {
    for (what, events, first) in builds() {
        for share in [1, 2, 3] {
            let cut = events.len() * share / 4;
            let model = judged(&events[..cut], first.as_ref());
            if model.ended().is_some() {
                continue;
            }
            let now = model.newest();
            let what = format!("{what} at {share}/4");
            let truth = Truth::of(&model, now);
            header(&model, now, &truth, &what);
            columns(&model, now, &truth, &what);
            timeline(&model, now, &what);
            causes(&model, &what);
            let summary = parsed(&json::line(&model, now));
            assert_eq!(summary["layers"]["hit_rate"], Value::Null, "{what}");
            assert_eq!(summary["layers"]["rebuilt"], truth.rebuilt, "{what}");
        }
    }
}
