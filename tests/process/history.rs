//! The history on a real file system: what survives a kill, a damaged file, a full disk, and many processes at once.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use layertop::clock::Clock;
use layertop::event::{Ended, Event, Mask, Platform, Stamped, Started, Text, Time};
use layertop::history::{
    KeepResult, OpenedStore, RetentionLimits, Store, StoreLocation, StoreWorker, StoredBuild,
};
use layertop::model::expected::{PastBuild, expected};
use layertop::model::{Model, State};
use layertop::recording::{Reader, Recorder, RecorderSettings};
use rstest::rstest;

mod damage;
mod earlier;
mod kills;
mod limits;

const CHILD: &str = "LAYERTOP_TEST_CHILD";

/// A recorded build of the project's own, as if it had been started so.
fn model(name: &str) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/{name}.jsonl"));
    let mut reader = Reader::open(&path, Mask::default()).unwrap();
    let mut events = Vec::new();
    while reader.next_batch(1024, &mut events) {}
    let begun = events[0].at;
    let started = Started {
        image: Some("registry:5000/team/app:latest".into()),
        builder: Some("multiarch-builder".into()),
        platforms: Platform::parse_list("linux/amd64,linux/arm64"),
        command: vec!["docker".into(), "buildx".into(), "build".into()],
        host: Some("laptop".into()),
        ..Started::default()
    };
    events.insert(0, Stamped { at: begun, event: Event::Started(started) });
    for event in &mut events {
        if let Event::Ended(ended) = &mut event.event {
            *ended = Ended::with(Some(i32::from(name.starts_with("fail"))));
        }
    }
    let mut model = Model::default();
    model.apply_all(&events);
    model
}

fn build(model: &Model, name: &str) -> StoredBuild {
    StoredBuild::of(model, Text::clean(name), Some(PathBuf::from(format!("/recordings/{name}.jsonl.zst"))))
}

/// A build as small as one can be, for those who need many.
fn small(name: &str, second: i64) -> StoredBuild {
    let at = Time::from_micros(second * 1_000_000);
    let mut model = Model::default();
    let started = Started { image: Some("app:latest".into()), ..Started::default() };
    model.apply(&Stamped { at, event: Event::Started(started) });
    model.apply(&Stamped { at, event: Event::Ended(Ended::with(Some(0))) });
    StoredBuild::of(&model, Text::clean(name), None)
}

fn open(path: &Path) -> OpenedStore {
    Store::open(path, Time::from_micros(1_795_000_000_000_000)).unwrap()
}

/// This program again, to do something for a test.
fn child(task: &str, path: &Path) -> Child {
    as_child(&mut Command::new(std::env::current_exe().unwrap()), task, path)
}

/// The same behind another program that starts it.
fn as_child(command: &mut Command, task: &str, path: &Path) -> Child {
    command
        .args(["--exact", "history::as_a_child", "--nocapture", "--quiet"])
        .env(CHILD, task)
        .env("LAYERTOP_TEST_STORE", path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The words behind `kept: ` of what a child says, one a line, as they come.
fn kept(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| Some(line.split_once("kept: ")?.1.to_owned()))
}

/// What a child says behind these words before it ends well.
fn output_of(child: Child, what: &str) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{:?} {text}", output.status);
    let line = text.lines().find_map(|line| line.split_once(what));
    line.map_or_else(|| panic!("{text}"), |(_, rest)| rest.to_owned())
}

/// Not a test: what [`child`] runs.
#[test]
fn as_a_child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let path = PathBuf::from(std::env::var_os("LAYERTOP_TEST_STORE").unwrap());
    let (task, count) = task.split_once(' ').unwrap();
    match task {
        // Builds after builds, each named once it is kept.
        "keep" => {
            let mut store = open(&path).store;
            let full = model("code");
            for at in 0..count.parse::<i64>().unwrap() {
                let name = format!("{}-{at}", std::process::id());
                let written = if at % 4 == 0 { build(&full, &name) } else { small(&name, at) };
                store.keep(&written).unwrap().unwrap();
                println!("kept: {name}");
            }
        }
        // Builds as a running layertop keeps them, until one can't be kept.
        "fill" => {
            // A limit on the size of files is a signal otherwise; the program has a handler once it records.
            drop(Recorder::start(
                RecorderSettings { dir: Some(path.with_extension("rec")), ..RecorderSettings::default() },
                Clock::live(),
            ));
            let worker = StoreWorker::start(StoreLocation::File(path), Clock::live());
            let full = model("first");
            let limits = RetentionLimits { keep: u64::MAX, keep_for: Duration::MAX, keep_bytes: u64::MAX };
            let fails = |at: &i32| {
                worker.keep(build(&full, &at.to_string()), limits).recv().unwrap() == KeepResult::NotStored
            };
            let at = (0..100_000).find(fails).unwrap();
            println!("after {at} builds told: {}", worker.take_messages().join("; "));
        }
        "read" => {
            let opened = Store::open_to_read(&path, Time::default()).unwrap().unwrap();
            println!("read: {} builds", opened.store.builds(None, 10).unwrap().len());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_build_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/history.db");
    let mut opened = open(&path);
    assert_eq!(opened.notes, [""; 0]);
    let model = model("code");
    assert_eq!(opened.store.keep(&build(&model, "one")).unwrap(), Some(1));
    assert_eq!(opened.store.keep(&build(&model, "one")).unwrap(), None, "each name once");
    drop(opened);
    let store = open(&path).store;
    let rows = store.builds(None, 10).unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(row.image.as_ref().unwrap().as_str(), "registry:5000/team/app");
    assert_eq!(row.tag.as_ref().unwrap().as_str(), "latest");
    assert_eq!(row.host.as_ref().unwrap().as_str(), "laptop");
    assert_eq!(row.result, model.outcome());
    assert_eq!(row.wall.as_millis(), model.wall(model.newest()).as_millis());
    let counts = model.counts();
    assert_eq!(
        (row.steps, row.hits, row.misses),
        (counts.total as u64, counts.of(State::Hit) as u64, counts.of(State::Miss) as u64)
    );
    assert_eq!(store.builds(Some("registry:5000/team/app:other"), 10).unwrap(), rows, "whatever its tag is");
    assert_eq!(store.builds(Some("registry:5000/team/app2"), 10).unwrap(), []);
    // What tells how long the next build takes is the same from the store as from the build.
    let told = store
        .past_builds(
            Some("registry:5000/team/app:next"),
            Some("multiarch-builder"),
            Time::from_micros(i64::MAX),
            10,
        )
        .unwrap();
    let known = PastBuild::of(&model);
    let mut expected = expected([&known]);
    let mut stored = layertop::model::expected::expected(&told);
    for told in [&mut expected, &mut stored] {
        told.steps.sort_by_key(|step| (step.index, step.platform.clone()));
        told.transfers.sort_by_key(|transfer| transfer.kind.key());
    }
    assert!(!expected.steps.is_empty() && !expected.transfers.is_empty());
    assert_eq!(stored, expected);
    assert_eq!(
        store
            .past_builds(Some("registry:5000/team/app"), Some("other"), Time::from_micros(i64::MAX), 10)
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn every_recorded_build_can_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("history.db")).store;
    let names = [
        "first",
        "nochange",
        "fail",
        "cancelled",
        "bake",
        "builder-lost",
        "parse-error",
        "no-dockerfile",
        "multistage",
    ];
    for name in names {
        assert!(store.keep(&build(&model(name), name)).unwrap().is_some(), "{name}");
    }
    let rows = store.builds(None, 100).unwrap();
    assert_eq!(rows.len(), names.len());
    for row in rows {
        assert_eq!(
            row.scenario.is_some(),
            row.result == layertop::model::Outcome::Success && row.steps > 0,
            "{row:?}"
        );
    }
}

/// Recordings that say nothing of reasons are named as well.
#[rstest]
#[case("first", "first build")]
#[case("nochange", "no changes")]
#[case("code", "code change only")]
#[case("req", "requirements change")]
fn the_four_scenarios_are_told_apart(#[case] recording: &str, #[case] scenario: &str) {
    assert_eq!(build(&model(recording), "a").scenario.unwrap().as_str(), scenario);
}

/// What was fetched comes back as it was, from either question.
#[test]
fn how_fast_was_fetched_is_known_from_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("history.db")).store;
    let model = model("cache-pull");
    store.keep(&build(&model, "pulled")).unwrap();
    let known = PastBuild::of(&model).pulls;
    assert!(known.bytes > 1 << 20 && known.us > 0, "{known:?}");
    let (image, builder) = (Some("registry:5000/team/app"), Some("multiarch-builder"));
    assert_eq!(store.past_builds(image, builder, Time::from_micros(i64::MAX), 10).unwrap()[0].pulls, known);
    assert_eq!(store.expected(image, builder).unwrap().pulls, known);
}

/// Only builds on one builder, for the same platforms and of one stage stand in one table.
#[test]
fn only_builds_that_are_alike_are_held_against_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir.path().join("history.db")).store;
    let model = model("code");
    let mut keep = |name: &str, second: i64, builder: &str, platforms: &str, target: Option<&str>| {
        let changed = StoredBuild {
            builder: Some(builder.into()),
            platforms: Platform::parse_list(platforms),
            target: target.map(Text::from),
            started: Time::from_micros(second * 1_000_000),
            ..build(&model, name)
        };
        store.keep(&changed).unwrap();
    };
    keep("a", 1, "here", "linux/amd64,linux/arm64", None);
    keep("b", 2, "here", "linux/amd64", None);
    keep("c", 3, "there", "linux/amd64,linux/arm64", None);
    keep("d", 4, "here", "linux/amd64,linux/arm64", Some("test"));
    // In which order they were asked for makes no difference.
    keep("e", 5, "here", "linux/arm64,linux/amd64", None);
    let told = store.scenarios(Some("registry:5000/team/app")).unwrap();
    let of = |row: &layertop::history::rows::ComparableRow| {
        (row.builder.as_ref().unwrap().to_string(), row.platforms.len(), row.target.is_some(), row.builds())
    };
    let expected =
        [("here", 2, false, 2), ("here", 2, true, 1), ("there", 2, false, 1), ("here", 1, false, 1)];
    assert_eq!(told.iter().map(of).collect::<Vec<_>>(), expected.map(|(a, b, c, d)| (a.to_owned(), b, c, d)));
}

#[test]
fn only_its_owner_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/history.db");
    let mut store = open(&path).store;
    store.keep(&small("a", 1)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
