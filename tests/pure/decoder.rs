//! The decoder and the model hold against any cut of the bytes and any order of the events.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::LazyLock;

use layertop::event::{Ended, Event, Mask, Stamped, Time};
use layertop::model::{Model, State};
use layertop::source::rawjson::Decoder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const AT: Time = Time::from_micros(1);

/// Every recording: its name, its bytes, and what they decode to in one piece.
static RECORDINGS: LazyLock<Vec<Recording>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let paths = paths.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"));
    let recordings: Vec<_> = paths.map(|path| Recording::read(&path)).collect();
    assert!(recordings.len() > 20, "only {} recordings", recordings.len());
    recordings
});

struct Recording {
    name: String,
    bytes: Vec<u8>,
    events: Vec<Stamped>,
}

impl fmt::Debug for Recording {
    /// A failed case names it; its bytes are in its file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Recording {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let events = decode([bytes.as_slice()]);
        Self { name: path.file_stem().unwrap().to_string_lossy().into_owned(), bytes, events }
    }
}

fn any_recording() -> impl Strategy<Value = &'static Recording> {
    any::<Index>().prop_map(|at| at.get(&RECORDINGS))
}

/// What the pieces decode to, with an end behind it.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Stamped> {
    let mut decoder = Decoder::new(Mask::default());
    let mut events = Vec::new();
    for piece in pieces {
        decoder.feed(AT, piece, &mut events);
    }
    decoder.finish(AT, &mut events);
    events.push(Stamped { at: AT, event: Event::Ended(Ended::with(None)) });
    events
}

/// Cuts the bytes at these places, in whatever order they come.
fn cut<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let ends = places.iter().copied().chain([bytes.len()]);
    let mut start = 0;
    ends.map(|end| &bytes[std::mem::replace(&mut start, end)..end]).collect()
}

fn model_of(events: &[Stamped]) -> Model {
    let mut model = Model::default();
    model.apply_all(events);
    model
}

/// All that the model knows, as text.
fn dump(model: &Model) -> String {
    let mut out = String::new();
    for (id, vertex) in model.vertices() {
        let _ = writeln!(out, "{vertex:?} {:?}", model.step_of(id));
    }
    let _ = writeln!(out, "{:?}", model.stack().groups());
    for (id, step) in model.stack().steps() {
        let _ = writeln!(out, "{id:?} {step:?} {:?}", model.state(id));
    }
    let _ = writeln!(out, "{:?} {:?} {:?}", model.outcome(), model.counts(), model.vertex_counts());
    let _ = writeln!(out, "{:?} {:?} {:?}", model.failure(), model.cache(), model.warnings());
    let lines: Vec<&str> = model.output().map(|output| output.line.text()).collect();
    let _ = writeln!(out, "{lines:?} {:?} {:?}", model.platforms(), model.followed());
    out
}

/// What holds in every model.
fn adds_up(model: &Model) -> Result<(), TestCaseError> {
    let counts = model.counts();
    let by_state: usize = State::ALL.iter().map(|state| counts.of(*state)).sum();
    prop_assert_eq!(counts.total, by_state);
    prop_assert_eq!(counts.total, model.stack().steps().count());
    let mut counted: HashMap<State, usize> = HashMap::new();
    for (id, _) in model.stack().steps() {
        *counted.entry(model.state(id)).or_default() += 1;
        prop_assert!(model.vertices_of(id).next().is_some());
        prop_assert!(model.stack().row_of(id).is_some(), "a step in no row");
    }
    for state in State::ALL {
        prop_assert_eq!(counts.of(state), counted.get(&state).copied().unwrap_or(0), "{:?}", state);
    }
    let open = counts.of(State::Running) + counts.of(State::Waiting);
    // What a build did not come to is neither open nor done.
    prop_assert_eq!(counts.done(), counts.total - open - counts.of(State::NotReached));
    prop_assert!(open == 0 || model.ended().is_none(), "open steps after the end");
    prop_assert!(counts.hit_rate().is_none_or(|rate| (0.0..=1.0).contains(&rate)));
    let (total, cached) = model.vertex_counts();
    prop_assert!(cached <= total && total <= model.vertices().count());
    Ok(())
}

/// A piece of a stream, the vertex that it must bring, and the line of text that it must leave behind.
#[derive(Debug, Clone)]
struct Piece {
    bytes: Vec<u8>,
    vertex: bool,
    text: Option<String>,
}

fn value(n: u64, indented: bool) -> Vec<u8> {
    let digest = format!("sha256:{n:064x}");
    let value = serde_json::json!({
        "vertexes": [{
            "digest": digest,
            "name": format!("[stage-1 {}/9] RUN echo \"{{ [ é \\\" }}\"", n % 9 + 1),
            "started": "2026-11-22T07:49:26.362029837Z",
            "completed": if n.is_multiple_of(3) { serde_json::Value::Null } else { "2026-11-22T07:49:27Z".into() },
            "cached": n.is_multiple_of(5),
        }],
        "logs": [{"vertex": digest, "stream": 1, "data": "aGFsZiBhIGxpbmU=", "timestamp": "2026-11-22T07:49:26Z"}],
        "unknown": {"nested": [1, {"a": "}"}]},
    });
    if indented { serde_json::to_vec_pretty(&value).unwrap() } else { serde_json::to_vec(&value).unwrap() }
}

fn piece() -> impl Strategy<Value = Piece> {
    let known = |text: &str| Piece { bytes: text.into(), vertex: false, text: Some(text.to_owned()) };
    prop_oneof![
        4 => (any::<u64>(), any::<bool>())
            .prop_map(|(n, indented)| Piece { bytes: value(n, indented), vertex: true, text: None }),
        2 => "[a-zA-Z][ -~]{0,40}[a-z]".prop_map(move |text| known(&text)),
        1 => prop::sample::select(vec![
            "{ no JSON at all", "{", "{}", "{\"a\": 1} and more", "{\"level\":\"error\",\"msg\":\"x\"}", "}", "[1, 2]",
            "ERROR: failed to build: failed to solve: process \"/bin/sh -c false\" did not complete",
            "--------------------", "{\"vertexes\": \"no list\"}",
        ]).prop_map(|text| Piece { bytes: text.into(), vertex: false, text: None }),
        1 => vec(any::<u8>().prop_filter("a line", |b| *b != b'\n' && *b != b'{'), 0..60)
            .prop_map(|bytes| Piece { bytes, vertex: false, text: None }),
        1 => prop::sample::select(vec![
            &b"\x1b[2J\x1b]0;title\x07\x1b[31mred"[..], b"\xff\xfe\x80\x9b31m", b"\xe2\x80", b"a\rb\rc", b"\x1b",
            b"\x1bP never ended", b"\xe2\x80\xaeevil", b"\0\x08\x7f",
        ]).prop_map(|bytes| Piece { bytes: bytes.to_vec(), vertex: false, text: None }),
    ]
}

fn joined(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.bytes.iter().copied().chain([b'\n'])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_bytes_in_other_pieces_are_the_same_events(
        recording in any_recording(), places in vec(any::<Index>(), 0..40),
    ) {
        let events = decode(cut(&recording.bytes, &places));
        prop_assert!(events == recording.events, "{}", recording.name);
    }

    #[test]
    fn batches_of_events_end_anywhere(recording in any_recording(), places in vec(any::<Index>(), 0..20)) {
        let whole = model_of(&recording.events);
        let mut places: Vec<usize> = places.iter().map(|place| place.index(recording.events.len())).collect();
        places.sort_unstable();
        let mut model = Model::default();
        let mut from = 0;
        for place in places.into_iter().chain([recording.events.len()]) {
            model.apply_all(&recording.events[from..place]);
            from = place;
        }
        prop_assert!(dump(&model) == dump(&whole), "{}", recording.name);
    }

    #[test]
    fn what_is_said_again_changes_nothing(
        recording in any_recording(), again in vec(any::<Index>(), 1..60), behind: Index,
    ) {
        let mut events = recording.events.clone();
        let at = behind.index(events.len()) + 1;
        // Vertices, statuses and warnings are repeated by the builder; output is not.
        let repeated = |event: &&Stamped| {
            matches!(event.event, Event::Vertex(_) | Event::Status(_) | Event::Warning(_) | Event::Ended(_))
        };
        let whole = dump(&model_of(&recording.events));
        let said: Vec<Stamped> = events[..at].iter().filter(repeated).cloned().collect();
        if !said.is_empty() {
            let again = again.iter().map(|index| index.get(&said).clone());
            events.splice(at..at, again.collect::<Vec<_>>());
        }
        let twice = dump(&model_of(&events));
        prop_assert!(twice == whole, "{}:\n{}", recording.name, first_difference(&whole, &twice));
    }

    #[test]
    fn values_and_text_in_any_mixture_are_all_kept(
        pieces in vec(piece(), 0..24), places in vec(any::<Index>(), 0..60),
    ) {
        let bytes = joined(&pieces);
        let whole = decode([bytes.as_slice()]);
        let events = decode(cut(&bytes, &places));
        prop_assert_eq!(&events, &whole);
        prop_assert_eq!(dump(&model_of(&events)), dump(&model_of(&whole)));
        adds_up(&model_of(&whole))?;
    }

    #[test]
    fn values_over_many_lines_and_lines_of_text_are_told_apart(
        pieces in vec(piece().prop_filter("known", |p| p.vertex || p.text.is_some()), 0..24),
    ) {
        let events = decode([joined(&pieces).as_slice()]);
        let vertices = events.iter().filter(|e| matches!(e.event, Event::Vertex(_))).count();
        prop_assert_eq!(vertices, pieces.iter().filter(|piece| piece.vertex).count());
        let lines: Vec<&str> = events
            .iter()
            .filter_map(|e| if let Event::Output(output) = &e.event { Some(output.line.text()) } else { None })
            .collect();
        let texts: Vec<&str> = pieces.iter().filter_map(|piece| piece.text.as_deref()).collect();
        prop_assert_eq!(lines, texts);
    }

    #[test]
    fn every_single_byte_alone_is_as_good_as_all_at_once(pieces in vec(piece(), 0..8)) {
        let bytes = joined(&pieces);
        prop_assert_eq!(decode(bytes.chunks(1)), decode([bytes.as_slice()]));
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in vec(any::<u8>(), 0..2000), places in vec(any::<Index>(), 0..10)) {
        let events = decode(cut(&bytes, &places));
        prop_assert_eq!(&events, &decode([bytes.as_slice()]));
        adds_up(&model_of(&events))?;
    }

    #[test]
    fn no_damage_is_too_great(
        recording in any_recording(), damage in vec((any::<Index>(), any::<u8>()), 0..30), end: Index,
    ) {
        let mut bytes = recording.bytes[..end.index(recording.bytes.len() + 1)].to_vec();
        for (place, byte) in damage {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        adds_up(&model_of(&decode([bytes.as_slice()])))?;
    }

    #[test]
    fn counts_add_up_in_any_order_with_any_loss(
        recording in any_recording(),
        swaps in vec((any::<Index>(), any::<Index>()), 0..200),
        doubled in vec(any::<Index>(), 0..20),
        lost in vec(any::<Index>(), 0..20),
        end: Index,
    ) {
        let mut events = recording.events.clone();
        for (a, b) in swaps {
            let (a, b) = (a.index(events.len()), b.index(events.len()));
            events.swap(a, b);
        }
        for place in doubled {
            let event = place.get(&events).clone();
            let at = place.index(events.len());
            events.insert(at, event);
        }
        for place in lost {
            if !events.is_empty() {
                events.remove(place.index(events.len()));
            }
        }
        events.truncate(end.index(events.len() + 1));
        adds_up(&model_of(&events))?;
        // And at every moment, not just at the end.
        let mut model = Model::default();
        for event in events.iter().take(60) {
            model.apply(event);
            adds_up(&model)?;
        }
    }
}

/// Where two dumps part, shortly before and after.
fn first_difference(a: &str, b: &str) -> String {
    let at = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        let bytes = text.as_bytes();
        let part = &bytes[at.saturating_sub(200)..(at + 200).min(bytes.len())];
        String::from_utf8_lossy(part).into_owned()
    };
    format!("{}\n--\n{}", around(a), around(b))
}

/// Of a secret that a gap cuts neither half is shown, and what is missing is told.
#[test]
fn a_gap_in_the_output_is_marked_and_shows_no_half_of_a_secret() {
    use base64::Engine as _;
    let log = |text: &str| {
        let data = base64::engine::general_purpose::STANDARD.encode(text);
        format!("{{\"logs\":[{{\"vertex\":\"sha256:a\",\"stream\":1,\"data\":\"{data}\"}}]}}\n")
    };
    let mut decoder = Decoder::new(Mask::new(["correcthorse".to_owned()]));
    let mut events = Vec::new();
    decoder.feed(AT, log("before\nx correct").as_bytes(), &mut events);
    decoder.left_out(AT, "sha256:a", layertop::event::Stream::Stdout, 4_000_000, &mut events);
    decoder.feed(AT, log("horse y\nafter\n").as_bytes(), &mut events);
    let mut lines = Vec::new();
    let mut left_out = 0;
    for event in &events {
        if let Event::Log(chunk) = &event.event {
            lines.extend(chunk.lines.iter().map(|line| line.text().to_owned()));
            left_out += chunk.left_out;
        }
    }
    assert_eq!(left_out, 4_000_000);
    assert_eq!((lines[0].as_str(), lines[1].as_str(), lines[3].as_str()), ("before", "x ***", "after"));
    assert!(lines[2].contains("4.0 MB") && lines.len() == 4, "{lines:?}");
}
