//! The lines of a recording, which are the lines of `--progress json` too.
//!
//! The first is a header, every other one an event. A reader must leave out lines of a type that it does not know, so a
//! new event type or field is no new version; a version that can't be read like this one has a higher number.

use serde::{Deserialize, Serialize};

use crate::event::{Stamped, Text, Time};

/// The version that this program writes, and the newest that it reads.
pub const VERSION: u64 = 1;

/// Types of the events that this version knows; a line of another type is of a newer one.
const EVENT_TYPES: [&str; 22] = [
    "started",
    "outline",
    "vertex",
    "status",
    "log",
    "warning",
    "output",
    "notice",
    "cancelling",
    "ended",
    "watching",
    "registry",
    "builder",
    "cluster",
    "fingerprint",
    "records",
    "cache_manifest",
    "reasons",
    "gates",
    "planned",
    "commit",
    "expected",
];

/// What a recording says about itself in its first line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RecordingHeader {
    pub version: u64,
    /// When the recording was begun.
    #[serde(default)]
    pub created: Time,
    /// Version of the program that wrote it.
    #[serde(default)]
    pub program: Text,
}

#[derive(Serialize)]
struct WrittenHeader {
    r#type: &'static str,
    format: &'static str,
    version: u64,
    created: Time,
    program: &'static str,
}

/// The header of what begins at `created`, ended by a line feed.
pub fn header_line(created: Time) -> String {
    let header = WrittenHeader {
        r#type: "header",
        format: "layertop",
        version: VERSION,
        created,
        program: env!("CARGO_PKG_VERSION"),
    };
    // Texts and whole numbers can always be written as JSON.
    let mut line = serde_json::to_string(&header).unwrap_or_default();
    line.push('\n');
    line
}

/// Appends the event's line to `out`, ended by a line feed.
pub fn event_line(event: &Stamped, out: &mut Vec<u8>) {
    let start = out.len();
    match serde_json::to_writer(&mut *out, event) {
        Ok(()) => out.push(b'\n'),
        // Events hold nothing that JSON can't; should that change, a line less is better than half a line.
        Err(_) => out.truncate(start),
    }
}

/// A parsed line of a recording.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordingLine {
    /// What follows is a recording of this version.
    Header(RecordingHeader),
    Event(Box<Stamped>),
    /// The last line of `--progress json`. It follows from the events, so there is nothing in it to read.
    Summary,
    /// A line of a type that this version does not know: a newer one wrote it.
    Unknown,
    /// No line of a recording, or a damaged one.
    Bad,
}

#[derive(Deserialize)]
struct TypeProbe<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default, borrow)]
    format: Option<std::borrow::Cow<'a, str>>,
}

/// Time and type of an event.
#[derive(Deserialize)]
struct EventHead<'a> {
    at: Time,
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

/// Bytes of a line from which on it is looked at for its kind first.
const LONG: usize = 16 << 10;

/// Reads one line, with or without its line feed.
pub fn parse_line(line: &[u8]) -> RecordingLine {
    if line.len() > LONG
        && let Some(event) = parse_long(line)
    {
        return RecordingLine::Event(Box::new(event));
    }
    if let Ok(event) = serde_json::from_slice(line) {
        return RecordingLine::Event(Box::new(event));
    }
    let Ok(probe) = serde_json::from_slice::<TypeProbe<'_>>(line) else { return RecordingLine::Bad };
    match &*probe.kind {
        "header" if probe.format.as_deref() == Some("layertop") => {
            serde_json::from_slice(line).map_or(RecordingLine::Bad, RecordingLine::Header)
        }
        "summary" => RecordingLine::Summary,
        known if EVENT_TYPES.contains(&known) => RecordingLine::Bad,
        _ => RecordingLine::Unknown,
    }
}

/// Reads the kind of events that is the longest of all: a line's kind stands beside its fields, and where it is not known from the start,
/// serde copies all of them before it reads them.
fn parse_long(line: &[u8]) -> Option<Stamped> {
    let head: EventHead<'_> = serde_json::from_slice(line).ok()?;
    let records = (head.kind == "records").then(|| serde_json::from_slice(line).ok())??;
    Some(Stamped { at: head.at, event: crate::event::Event::Records(records) })
}

/// Whether `line`, which is cut off, is the beginning of a header.
pub(super) fn begins_header(line: &[u8]) -> bool {
    const START: &[u8] = br#"{"type":"header","format":"layertop""#;
    line.starts_with(START) || (!line.is_empty() && START.starts_with(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::evidence::{CacheRecord, Records};
    use crate::event::{
        Cancelling, Digest, Ended, Event, Level, LogChunk, Notice, Outline, Output, Started, StatusUpdate,
        Stream, VertexUpdate, Warning,
    };

    fn one_of_each() -> Vec<Event> {
        let vertex = Digest::parse("sha256:x");
        let timestamp = Time::from_micros(7);
        let line = serde_json::from_str::<crate::event::Line>("\"a line\"").unwrap();
        let stream = Stream::Stderr;
        vec![
            Event::Started(Started { image: Some("r:5000/a:b".into()), ..Started::default() }),
            Event::Outline(Outline::default()),
            Event::Vertex(VertexUpdate {
                digest: vertex.clone(),
                name: "[1/2] FROM x".into(),
                inputs: vec![Digest::parse("y")],
                started: Some(timestamp),
                completed: None,
                cached: true,
                error: Some("no".into()),
                group: None,
            }),
            Event::Status(StatusUpdate {
                vertex: vertex.clone(),
                id: "extracting".into(),
                current: 1,
                total: u64::MAX,
                timestamp,
                started: None,
                completed: None,
            }),
            Event::Log(LogChunk {
                vertex: vertex.clone(),
                stream,
                timestamp,
                lines: std::iter::once(line.clone()).collect(),
                partial: Some(line.clone()),
                left_out: 7,
            }),
            Event::Warning(Warning {
                vertex,
                level: -1,
                short: "s".into(),
                detail: vec!["d".into()],
                url: None,
                file: None,
                line: Some(3),
            }),
            Event::Output(Output { stream, line }),
            Event::Notice(Notice { level: Level::Warn, text: "n".into() }),
            Event::Cancelling(Cancelling { count: 2 }),
            Event::Ended(Ended::with(Some(-1))),
            Event::Watching(crate::event::Watching::default()),
            Event::Registry(Box::default()),
            Event::Builder(Box::default()),
            Event::Cluster(Box::default()),
            Event::Fingerprint(Box::default()),
            Event::Records(std::sync::Arc::default()),
            Event::CacheManifest(Box::default()),
            Event::Reasons(Box::default()),
            Event::Gates(crate::event::Gates::default()),
            Event::Planned(Box::default()),
            Event::Commit(crate::event::Commit::default()),
            Event::Expected(Box::default()),
        ]
    }

    /// No arm for the rest: a new event must be added above and to the known types.
    fn type_of(event: &Event) -> &'static str {
        match event {
            Event::Started(_) => "started",
            Event::Outline(_) => "outline",
            Event::Vertex(_) => "vertex",
            Event::Status(_) => "status",
            Event::Log(_) => "log",
            Event::Warning(_) => "warning",
            Event::Output(_) => "output",
            Event::Notice(_) => "notice",
            Event::Cancelling(_) => "cancelling",
            Event::Ended(_) => "ended",
            Event::Watching(_) => "watching",
            Event::Registry(_) => "registry",
            Event::Builder(_) => "builder",
            Event::Cluster(_) => "cluster",
            Event::Fingerprint(_) => "fingerprint",
            Event::Records(_) => "records",
            Event::CacheManifest(_) => "cache_manifest",
            Event::Reasons(_) => "reasons",
            Event::Gates(_) => "gates",
            Event::Planned(_) => "planned",
            Event::Commit(_) => "commit",
            Event::Expected(_) => "expected",
        }
    }

    #[test]
    fn every_event_comes_back_from_its_line() {
        let events = one_of_each();
        assert_eq!(events.iter().map(type_of).collect::<Vec<_>>(), EVENT_TYPES);
        for event in events {
            let stamped = Stamped { at: Time::from_micros(-5), event };
            let mut line = b"before\n".to_vec();
            event_line(&stamped, &mut line);
            let line = line.strip_prefix(b"before\n").unwrap();
            assert_eq!(memchr::memchr(b'\n', line), Some(line.len() - 1));
            assert!(
                line.starts_with(format!("{{\"at\":-5,\"type\":\"{}\"", type_of(&stamped.event)).as_bytes())
            );
            assert_eq!(parse_line(line), RecordingLine::Event(Box::new(stamped)));
        }
    }

    #[test]
    fn a_long_line_says_the_same_as_a_short_one() {
        let record = CacheRecord {
            id: "x".into(),
            description: "[2/3] COPY a b".into(),
            uses: 2,
            ..CacheRecord::default()
        };
        let records = Records { total: 300, records: vec![record; 300], ..Records::default() };
        let notice = Notice { level: Level::Warn, text: "x".repeat(LONG).into() };
        for event in [Event::Records(records.into()), Event::Notice(notice)] {
            let stamped = Stamped { at: Time::from_micros(8), event };
            let mut line = Vec::new();
            event_line(&stamped, &mut line);
            assert!(line.len() > LONG, "{}", line.len());
            assert_eq!(parse_line(&line[..line.len() - 3]), RecordingLine::Bad);
            assert_eq!(parse_line(&line), RecordingLine::Event(Box::new(stamped)));
        }
    }

    #[test]
    fn the_header_is_as_documented() {
        let line = header_line(Time::from_micros(1_795_340_712_000_000));
        assert_eq!(
            line,
            "{\"type\":\"header\",\"format\":\"layertop\",\"version\":1,\"created\":1795340712000000,\"program\":\"0.1.0\"}\n"
        );
        let RecordingLine::Header(header) = parse_line(line.as_bytes()) else { panic!("{line}") };
        assert_eq!((header.version, header.created.micros()), (1, 1_795_340_712_000_000));
        for cut in 1..line.len() - 1 {
            assert!(begins_header(&line.as_bytes()[..cut]), "{cut}");
        }
        assert!(!begins_header(b""));
        assert!(!begins_header(br#"{"vertexes":[{"#));
    }

    #[rstest::rstest]
    #[case(r#"{"type":"summary","version":1,"result":"success"}"#, RecordingLine::Summary)]
    #[case(r#"{"at":1,"type":"hologram","x":[1]}"#, RecordingLine::Unknown)]
    #[case(r#"{"at":1,"type":"vertex"}"#, RecordingLine::Bad)]
    #[case(r#"{"at":"now","type":"ended"}"#, RecordingLine::Bad)]
    #[case(r#"{"at":1,"type":"ended""#, RecordingLine::Bad)]
    #[case(r#"{"type":"header","format":"other","version":9}"#, RecordingLine::Unknown)]
    #[case(r#"{"vertexes":[]}"#, RecordingLine::Bad)]
    #[case("ERROR: failed to solve", RecordingLine::Bad)]
    #[case("", RecordingLine::Bad)]
    fn no_line_is_an_error(#[case] line: &str, #[case] record: RecordingLine) {
        assert_eq!(parse_line(line.as_bytes()), record);
    }

    #[test]
    fn fields_of_a_newer_version_are_left_out() {
        let line = br#"{"at":1,"type":"ended","exit_code":2,"rusage":{"maxrss":1}}"#;
        let event = Event::Ended(Ended::with(Some(2)));
        assert_eq!(
            parse_line(line),
            RecordingLine::Event(Box::new(Stamped { at: Time::from_micros(1), event }))
        );
    }
}
