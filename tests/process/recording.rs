//! Recordings on a real file system: what survives a kill, a cut, a full disk, and what is let go.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use layertop::clock::Clock;
use layertop::event::{
    Cancelling, Ended, Event, Level, Line, Mask, Notice, Output, Stamped, Started, Stream, Time,
};
use layertop::model::{Model, Outcome};
use layertop::recording::{
    InputKind, OpenError, Reader, Recorder, RecorderSettings, RecordingResult, Retention, event_line,
    header_line, prune,
};
use proptest::prelude::*;

const CHILD: &str = "LAYERTOP_TEST_CHILD";

fn notice(at: i64, text: &str) -> Stamped {
    Stamped {
        at: Time::from_micros(at),
        event: Event::Notice(Notice { level: Level::Info, text: text.into() }),
    }
}

fn ended(at: i64, exit_code: Option<i32>) -> Stamped {
    Stamped { at: Time::from_micros(at), event: Event::Ended(Ended::with(exit_code)) }
}

/// A build of `n` events between its start and its end. Their texts do not compress.
fn build(n: i64) -> Vec<Stamped> {
    let started = Started { image: Some("r:5000/montage-ai:latest".into()), ..Started::default() };
    let mut events = vec![Stamped { at: Time::from_micros(0), event: Event::Started(started) }];
    let mut state = 1u64;
    for at in 1..=n {
        let mut text = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(text, "{:x}", state >> 8).unwrap();
        }
        events.push(notice(at, &text));
    }
    events.push(ended(n + 1, Some(0)));
    events
}

fn settings(dir: &Path) -> RecorderSettings {
    RecorderSettings {
        dir: Some(dir.to_owned()),
        image: "r:5000/montage-ai:latest".to_owned(),
        ..RecorderSettings::default()
    }
}

fn record(dir: &Path, events: Vec<Stamped>) -> RecordingResult {
    let recorder = Recorder::start(settings(dir), Clock::live());
    recorder.record(events);
    recorder.close()
}

/// The bytes of a recording as the recorder writes it.
fn recorded(events: Vec<Stamped>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    fs::read(record(dir.path(), events).path.unwrap()).unwrap()
}

fn lines(events: &[Stamped]) -> Vec<u8> {
    let mut bytes = header_line(Time::from_micros(0)).into_bytes();
    for event in events {
        event_line(event, &mut bytes);
    }
    bytes
}

fn all(mut reader: Reader) -> (Vec<Stamped>, Reader) {
    let mut events = Vec::new();
    while reader.next_batch(7, &mut events) {}
    (events, reader)
}

fn read_bytes(bytes: &[u8]) -> (Vec<Stamped>, Reader) {
    all(Reader::from_bytes(bytes, Mask::default()).unwrap())
}

fn read_file(path: &Path) -> Vec<Stamped> {
    all(Reader::open(path, Mask::default()).unwrap()).0
}

/// What a damaged file gives: a beginning of what was written, and then the reader's own words about it.
fn split_own(events: &[Stamped]) -> (&[Stamped], String) {
    let own = |e: &Stamped| match &e.event {
        Event::Notice(n) => n.text.as_str().contains("this file") || n.text.as_str().contains("left out"),
        Event::Ended(ended) => ended.exit_code.is_none(),
        _ => false,
    };
    let first = events.iter().position(own).unwrap_or(events.len());
    (&events[..first], format!("{:?}", &events[first..]))
}

#[test]
fn comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let events = build(3000);
    let closed = record(dir.path(), events.clone());
    assert_eq!((closed.dropped, &closed.problem), (0, &None));
    let (read, reader) = all(Reader::open(closed.path.unwrap(), Mask::default()).unwrap());
    assert_eq!(read, events);
    assert_eq!(reader.kind(), InputKind::Recording);
    assert_eq!(reader.header().unwrap().program.as_str(), env!("CARGO_PKG_VERSION"));
    assert_eq!(all(reader.again().unwrap()).0, events);
    assert_eq!(reader.again().unwrap().last(), Some(Time::from_micros(3001)));
}

#[test]
fn the_output_of_progress_json_is_a_recording() {
    let events = build(5);
    let mut bytes = b"some warning of the shell\n".to_vec();
    bytes.extend(lines(&events));
    bytes.extend_from_slice(b"{\"type\":\"summary\",\"version\":1,\"result\":\"success\"}\n");
    let (read, reader) = read_bytes(&bytes);
    assert_eq!(reader.kind(), InputKind::Recording);
    assert_eq!(reader.diagnostics().bad, 1);
    assert_eq!(split_own(&read).0, events);
    let packed = zstd::encode_all(&lines(&events)[..], 1).unwrap();
    assert_eq!(read_bytes(&packed).0, events);
}

#[test]
fn reads_a_progress_stream() {
    let stream = concat!(
        "{\"vertexes\":[{\"digest\":\"sha256:a\",\"name\":\"[1/1] FROM x\",\"started\":\"2026-11-22T00:00:01Z\"}]}\n",
        "{\n  \"vertexes\": [\n    {\n      \"digest\": \"sha256:a\",\n",
        "      \"name\": \"[1/1] FROM x\",\n      \"completed\": \"2026-11-22T00:00:04.5Z\"\n    }\n  ]\n}\n",
    );
    for bytes in [stream.as_bytes().to_vec(), zstd::encode_all(stream.as_bytes(), 1).unwrap()] {
        let (read, reader) = read_bytes(&bytes);
        assert_eq!(reader.kind(), InputKind::RawJson);
        let start = Time::parse("2026-11-22T00:00:01Z").unwrap();
        let times: Vec<u128> = read.iter().map(|e| e.at.since(start).as_millis()).collect();
        assert_eq!(times, [0, 3500, 3500]);
        assert!(matches!(&read[1].event, Event::Vertex(v) if v.completed.is_some()));
        assert_eq!(read[2].event, Event::Ended(Ended::with(None)));
    }
}

#[test]
fn only_its_owner_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("a/recordings");
    let path = record(&below, build(1)).path.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&below)), (0o600, 0o700));
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with(&format!("Z-montage-ai-{}.jsonl.zst", std::process::id())), "{name}");
    assert!(layertop::recording::begun(name).is_some());
}

#[test]
fn builds_of_one_second_do_not_collide() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::live();
    let recorders: Vec<_> = (0..5).map(|_| Recorder::start(settings(dir.path()), clock)).collect();
    let closed: Vec<RecordingResult> = recorders.into_iter().map(Recorder::close).collect();
    assert!(closed.iter().all(|c| c.problem.is_none()), "{closed:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
}

#[test]
fn dropping_a_recorder_ends_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(settings(dir.path()), Clock::live());
    recorder.record(build(10));
    drop(recorder);
    let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(read_file(&file), build(10));
}

#[test]
fn cut_anywhere_it_gives_a_beginning() {
    let events = build(60);
    // One flush in the middle, as 64 KiB or a second bring about.
    let mut packed = zstd::Encoder::new(Vec::new(), 3).unwrap();
    let text = lines(&events);
    let half = memchr::memchr_iter(b'\n', &text).nth(30).unwrap() + 1;
    std::io::Write::write_all(&mut packed, &text[..half]).unwrap();
    std::io::Write::flush(&mut packed).unwrap();
    let flushed = packed.get_ref().len();
    std::io::Write::write_all(&mut packed, &text[half..]).unwrap();
    let packed = packed.finish().unwrap();
    for cut in 0..packed.len() {
        let reader = match Reader::from_bytes(&packed[..cut], Mask::default()) {
            Err(OpenError::Empty { .. }) if cut < flushed => continue,
            opened => opened.unwrap(),
        };
        let (read, reader) = all(reader);
        let (rest, own) = split_own(&read);
        assert_eq!(reader.kind(), InputKind::Recording, "cut at {cut}");
        assert_eq!(rest, &events[..rest.len()], "cut at {cut}");
        assert!(cut < flushed || rest.len() >= 30, "cut at {cut}, behind the flush: {}", rest.len());
        assert!(
            own.contains("ends early") && own.contains("exit_code: None") || rest == events,
            "{cut}: {own}"
        );
    }
    for cut in 1..text.len() {
        let (read, reader) = read_bytes(&text[..cut]);
        let (rest, _) = split_own(&read);
        assert_eq!(reader.kind(), InputKind::Recording, "cut at {cut}");
        assert_eq!(rest, &events[..rest.len()], "cut at {cut}");
        let whole = memchr::memchr_iter(b'\n', &text[..cut]).count();
        assert!(rest.len() + 1 >= whole, "cut at {cut}");
    }
}

/// What becomes of a file when it is replayed.
fn replayed(bytes: &[u8]) -> Model {
    let mut model = Model::default();
    model.apply_all(&read_bytes(bytes).0);
    model
}

#[test]
fn a_recording_without_its_end_is_a_lost_build_wherever_it_was_cut() {
    let mut cuts = 0;
    for name in ["first", "unchanged"] {
        let demo = format!("{}/assets/demo/{name}.jsonl.zst", env!("CARGO_MANIFEST_DIR"));
        let text = zstd::decode_all(&fs::read(demo).unwrap()[..]).unwrap();
        let mut cut = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            cut += line.len();
            if line.windows(14).any(|part| part == b"\"type\":\"ended\"") {
                break;
            }
            let packed = cut % 8 == 0;
            let bytes =
                if packed { zstd::encode_all(&text[..cut], 1).unwrap() } else { text[..cut].to_vec() };
            let model = replayed(&bytes);
            assert_eq!(model.outcome(), Outcome::Lost, "{name} cut at {cut}");
            assert_eq!(model.exit_code(), None, "{name} cut at {cut}");
            let said = model.notices().any(|notice| notice.text.as_str().contains("ends early"));
            assert!(said, "{name} cut at {cut}");
            cuts += 1;
        }
        assert_ne!(replayed(&text).outcome(), Outcome::Lost, "{name}");
    }
    assert!(cuts > 200, "{cuts}");
}

#[test]
fn what_a_lost_build_is_told_as_is_lost_too() {
    let mut again = Vec::new();
    for event in read_bytes(&lines(&build(3)[..3])).0 {
        event_line(&event, &mut again);
    }
    assert_eq!(replayed(&again).outcome(), Outcome::Lost);
}

#[test]
fn how_a_progress_stream_ended_follows_from_its_last_lines() {
    let whole = fs::read("tests/recordings/nochange.jsonl").unwrap();
    assert_eq!(replayed(&whole).outcome(), Outcome::Success);
    // What was written of it as JSON has its end, though nobody knew the exit code.
    let mut json = Vec::new();
    for event in read_bytes(&whole).0 {
        event_line(&event, &mut json);
    }
    assert_eq!(replayed(&json).outcome(), Outcome::Success);
}

#[test]
fn a_build_that_nobody_cancelled_is_never_called_cancelled() {
    let given_up = "ERROR: failed to build: failed to receive status: rpc error: code = Canceled desc = context canceled";
    let output = Event::Output(Output { stream: Stream::Stderr, line: Line::plain(given_up) });
    let asked = Event::Cancelling(Cancelling { count: 1 });
    let at = |event: &Event| Stamped { at: Time::from_micros(1), event: event.clone() };
    let mut model = Model::default();
    model.apply_all(&[at(&output), ended(2, Some(130))]);
    assert_eq!((model.outcome(), model.exit_code()), (Outcome::Lost, Some(130)));
    let mut model = Model::default();
    model.apply_all(&[at(&asked), at(&output), ended(2, Some(130))]);
    assert_eq!(model.outcome(), Outcome::Cancelled);
}

#[test]
fn an_empty_file_is_no_recording() {
    let header = zstd::encode_all(&header_line(Time::from_micros(0)).into_bytes()[..], 1).unwrap();
    for bytes in [&b""[..], &header[..2], &header[..6]] {
        let error = Reader::from_bytes(bytes, Mask::default()).unwrap_err();
        assert!(matches!(error, OpenError::Empty { .. }), "{error:?}");
        assert!(error.to_string().contains("is empty"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Damage anywhere: no panic, no endless reading, and a recording that is not packed loses nothing but the lines that
    /// were hit.
    #[test]
    fn damage_is_survived(at in 0usize..20_000, garbage in prop::collection::vec(any::<u8>(), 1..50)) {
        static PACKED: LazyLock<Vec<u8>> = LazyLock::new(|| recorded(build(60)));
        let events = build(60);
        for mut bytes in [PACKED.clone(), lines(&events)] {
            let at = at % bytes.len();
            let end = (at + garbage.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&garbage[..end - at]);
            if let Ok(reader) = Reader::from_bytes(bytes, Mask::default()) {
                let (read, reader) = all(reader);
                prop_assert!(read.iter().any(|e| matches!(e.event, Event::Ended(_))));
                if reader.kind() == InputKind::Recording && !read.is_empty() && at > 0 && garbage.len() < 3 {
                    let kept = events.iter().filter(|e| read.contains(e)).count();
                    prop_assert!(reader.diagnostics().cut.is_some() || kept + 3 >= events.len(), "{kept}");
                }
            }
        }
    }
}

#[test]
fn garbage_in_the_middle_and_at_the_end_is_left_out() {
    let events = build(20);
    let mut bytes = lines(&events[..10]);
    bytes.extend_from_slice(b"\x00\xff\xfe garbage\n{\"at\":5,\"type\":\"vertex\"}\n\n");
    for event in &events[10..] {
        event_line(event, &mut bytes);
    }
    let (read, reader) = read_bytes(&bytes);
    let (rest, own) = split_own(&read);
    assert_eq!((rest, reader.diagnostics().bad), (&events[..], 2));
    assert!(own.contains("2 damaged lines of this file were left out"), "{own}");

    let mut packed = recorded(events.clone());
    packed.extend_from_slice(b"garbage behind the frame");
    let (read, _) = read_bytes(&packed);
    let (rest, own) = split_own(&read);
    assert_eq!(rest, events);
    assert!(own.contains("ends early"), "{own}");
}

#[test]
fn what_a_newer_version_adds_is_counted() {
    let mut bytes = lines(&build(1)[..2]);
    bytes.extend_from_slice(b"{\"at\":2,\"type\":\"hologram\",\"depth\":3}\n");
    event_line(&ended(3, Some(7)), &mut bytes);
    let (read, reader) = read_bytes(&bytes);
    assert_eq!((reader.diagnostics().unknown, reader.diagnostics().bad), (1, 0));
    assert_eq!(read[2], ended(3, Some(7)));
    let Event::Notice(notice) = &read[3].event else { panic!("{read:?}") };
    assert_eq!(notice.level, Level::Info);
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let line =
        "{\"type\":\"header\",\"format\":\"layertop\",\"version\":7,\"created\":1,\"program\":\"9.2.0\"}\n";
    for bytes in [line.as_bytes().to_vec(), zstd::encode_all(line.as_bytes(), 1).unwrap()] {
        let error = Reader::from_bytes(bytes, Mask::default()).unwrap_err();
        assert!(matches!(error, OpenError::Newer { .. }));
        let text = error.to_string();
        for part in ["version 7", "layertop 9.2.0", "up to 1", env!("CARGO_PKG_VERSION"), "update"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn other_files_are_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Reader::open(dir.path().join("x"), Mask::default()).unwrap_err().to_string();
    assert!(missing.contains("No such file") && missing.contains("recordings"), "{missing}");
    let directory = Reader::open(dir.path(), Mask::default()).unwrap_err().to_string();
    assert!(directory.contains("Is a directory"), "{directory}");
    for bytes in
        [&b"\x7fELF\0\0\0\0\n{}"[..], b"#1 [internal] load build definition from Dockerfile\n#1 DONE 0.0s\n"]
    {
        let foreign = Reader::from_bytes(bytes, Mask::default()).unwrap_err().to_string();
        assert!(foreign.contains("not a recording") && foreign.contains("rawjson"), "{foreign}");
    }
}

#[test]
fn a_directory_that_can_not_be_made_stops_the_recording_only() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let mut recorder = Recorder::start(settings(&dir.path().join("file/recordings")), Clock::live());
    recorder.record(build(3));
    let problem = loop {
        match recorder.new_problem() {
            Some(problem) => break problem,
            None => std::thread::yield_now(),
        }
    };
    assert!(problem.starts_with("not recording: ") && problem.contains("the build goes on"), "{problem}");
    assert!(problem.contains("is a file, not a folder") && problem.contains("XDG_DATA_HOME"), "{problem}");
    assert_eq!(recorder.new_problem(), None, "it is said once");
    recorder.record(build(3));
    let closed = recorder.close();
    assert_eq!((closed.path, closed.problem), (None, Some(problem)));
}

fn touch(dir: &Path, name: &str, bytes: usize) {
    fs::write(dir.join(name), vec![0; bytes]).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_oldest_are_let_go() {
    let now = Time::parse("2026-11-22T12:00:00Z").unwrap();
    let all = Retention { keep: 99, keep_for: Duration::from_secs(86_400 * 99), keep_bytes: 1 << 20 };
    let cases = [
        (all, &["1", "2", "3", "4"][..]),
        (Retention { keep: 2, ..all }, &["3", "4"]),
        (Retention { keep: 0, ..all }, &[]),
        (Retention { keep_for: Duration::from_secs(86_400 * 2), ..all }, &["2", "3", "4"]),
        (Retention { keep_bytes: 250, ..all }, &["3", "4"]),
    ];
    for (retention, kept) in cases {
        let dir = tempfile::tempdir().unwrap();
        for (day, number) in [(19, 1), (20, 2), (21, 3), (22, 4)] {
            touch(dir.path(), &format!("202611{day}T120000Z-montage-ai-{number}.jsonl.zst"), 100);
        }
        let others = ["20200101T000000Z-mine.jsonl.zst", "history.db", "20200101T000000Z-a-1.jsonl.zst.bak"];
        for name in others {
            touch(dir.path(), name, 1 << 21);
        }
        fs::create_dir(dir.path().join("20200101T000000Z-a-1.jsonl.zst")).unwrap();
        let deleted = prune(dir.path(), &retention, now).unwrap();
        let names = names(dir.path());
        let left: Vec<&str> = names
            .iter()
            .filter_map(|n| n.strip_suffix(".jsonl.zst")?.split_once("-montage-ai-").map(|n| n.1))
            .collect();
        assert_eq!((left, deleted), (kept.to_vec(), 4 - kept.len()), "{retention:?}");
        assert_eq!(names.len(), kept.len() + 4, "whatever is named otherwise stays, and directories");
    }
}

#[test]
fn what_is_being_written_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child(&["record"], dir.path());
    let path = until_readable(dir.path(), &build(20)[..21]);
    let nothing = Retention { keep: 0, keep_for: Duration::ZERO, keep_bytes: 0 };
    let later = Clock::live().now().plus(Duration::from_secs(3600));
    assert_eq!(prune(dir.path(), &nothing, later).unwrap(), 0);
    // Another build that begins here and keeps nothing spares it too, and itself.
    let mine =
        Recorder::start(RecorderSettings { retention: nothing, ..settings(dir.path()) }, Clock::live());
    assert_eq!(mine.close().problem, None);
    assert!(path.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(prune(dir.path(), &nothing, later).unwrap(), 2);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

/// Runs [`the_child`] in a process of its own.
fn child(command: &[&str], data: &Path) -> Child {
    let (task, before) = command.split_last().unwrap();
    let exe = std::env::current_exe().unwrap();
    let mut command = match before.split_first() {
        None => Command::new(exe),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(exe);
            command
        }
    };
    command
        .args(["--exact", "recording::the_child", "--nocapture", "--test-threads=1"])
        .env(CHILD, task)
        .env("XDG_DATA_HOME", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test of its own: what the others run in a process that they can kill or limit.
#[test]
fn the_child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).unwrap();
    match task.as_str() {
        // Three little batches, and then nothing, for ever.
        "record" => {
            let recorder = Recorder::start(settings(&data), Clock::live());
            build(20)[..21].chunks(7).for_each(|events| recorder.record(events.to_vec()));
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::abort();
        }
        "flood" => {
            let mut recorder = Recorder::start(settings(&data), Clock::live());
            let problem = loop {
                recorder.record(build(50));
                match recorder.new_problem() {
                    Some(problem) => break problem,
                    None => std::thread::yield_now(),
                }
            };
            println!("problem: {problem}");
        }
        "default" => {
            let settings = RecorderSettings { dir: None, ..settings(&data) };
            let closed = Recorder::start(settings, Clock::live()).close();
            println!("path: {}", closed.path.unwrap().display());
        }
        other => panic!("{other}"),
    }
}

fn output_of(child: Child, what: &str) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{:?} {text}", output.status);
    text.lines()
        .find_map(|l| l.split_once(what))
        .map_or_else(|| panic!("{text}"), |(_, rest)| rest.to_owned())
}

/// Waits until a recording in `dir` has these events; gives its path.
fn until_readable(dir: &Path, events: &[Stamped]) -> PathBuf {
    let clock = Clock::live();
    let give_up = clock.now().plus(Duration::from_secs(60));
    loop {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            // There is nothing in it before its first flush.
            if let Ok(reader) = Reader::open(&path, Mask::default())
                && split_own(&all(reader).0).0 == events
            {
                return path;
            }
        }
        assert!(clock.now() < give_up, "nothing was flushed");
        std::thread::yield_now();
    }
}

#[test]
fn after_a_kill_everything_up_to_the_last_flush_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child(&["record"], dir.path());
    let events = build(20);
    let path = until_readable(dir.path(), &events[..21]);
    child.kill().unwrap();
    child.wait().unwrap();
    let read = read_file(&path);
    let (rest, own) = split_own(&read);
    assert_eq!(rest, &events[..21]);
    assert!(own.contains("ends early") && own.contains("exit_code: None"), "{own}");
}

#[test]
fn a_limit_on_files_stops_the_recording_and_not_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let limited = child(&["sh", "-c", "ulimit -f 8 && exec \"$0\" \"$@\"", "flood"], dir.path());
    let problem = output_of(limited, "problem: ");
    assert!(problem.starts_with("recording stopped: ") && problem.contains("File too large"), "{problem}");
    assert!(problem.contains("the build goes on"), "{problem}");
    let path = dir.path().join(&names(dir.path())[0]);
    assert!(fs::metadata(&path).unwrap().size() <= 8 * 1024);
    let read = read_file(&path);
    assert_eq!(read[0], build(0)[0]);
}

#[test]
fn recordings_lie_in_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = output_of(child(&["default"], dir.path()), "path: ");
    assert!(Path::new(&path).starts_with(dir.path().join("layertop/recordings")), "{path}");
}
