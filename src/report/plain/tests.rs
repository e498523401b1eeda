use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::event::{
    Digest, Ended, Event, Level, Line, LogChunk, Notice, Stamped, Started, Stream, VertexUpdate,
};

const SECOND: i64 = 1_000_000;

fn at(tenths: i64) -> Time {
    Time::from_micros(1_000 * SECOND + tenths * SECOND / 10)
}

/// A build that is told to a model and from there to plain lines.
#[derive(Default)]
struct Build {
    model: Model,
    plain: PlainOutput,
}

impl Build {
    fn tell(&mut self, now: i64, events: Vec<Event>) -> String {
        let stamped: Vec<_> = events.into_iter().map(|event| Stamped { at: at(now), event }).collect();
        self.model.apply_all(&stamped);
        let mut out = String::new();
        self.plain.update(&self.model, at(now), &mut out);
        out
    }
}

fn vertex(name: &str, started: Option<i64>, completed: Option<i64>) -> VertexUpdate {
    VertexUpdate {
        digest: Digest::parse(name),
        name: name.into(),
        inputs: Vec::new(),
        started: started.map(at),
        completed: completed.map(at),
        cached: false,
        error: None,
        group: None,
    }
}

fn said(name: &str, now: i64, lines: &[&str]) -> Event {
    Event::Log(LogChunk {
        vertex: Digest::parse(name),
        stream: Stream::Stdout,
        timestamp: at(now),
        lines: lines.iter().map(|line| Line::plain(line)).collect(),
        partial: None,
        left_out: 0,
    })
}

const MAKE: &str = "[linux/amd64 2/3] RUN make";

#[test]
fn the_first_lines_say_what_is_built() {
    let started = Started {
        image: Some("registry:5000/app:latest".into()),
        builder: Some("multi".into()),
        platforms: crate::event::Platform::parse_list("linux/amd64,linux/arm64"),
        command: ["docker", "buildx", "build", "--build-arg", "A=b c", "."].map(Into::into).to_vec(),
        ..Started::default()
    };
    let mut build = Build::default();
    assert_eq!(
        build.tell(0, vec![Event::Started(started)]),
        "building registry:5000/app:latest · builder multi · linux/amd64, linux/arm64\n\
         $ docker buildx build --build-arg 'A=b c' .\n"
    );
    assert_eq!(build.tell(1, Vec::new()), "");
}

#[test]
fn a_step_is_told_when_the_moment_is_over_and_once() {
    let mut build = Build::default();
    assert_eq!(build.tell(0, vec![Event::Vertex(vertex(MAKE, Some(0), None))]), "");
    assert_eq!(build.tell(5, Vec::new()), "[amd64 2/3 build] RUN make\n");
    assert_eq!(build.tell(20, vec![Event::Vertex(vertex(MAKE, Some(0), Some(18)))]), "");
    assert_eq!(build.tell(30, Vec::new()), "[amd64 2/3 build] RUN make  ○ ran 1.8 s\n");
    assert_eq!(build.tell(40, vec![Event::Vertex(vertex(MAKE, Some(0), Some(18)))]), "");
}

#[test]
fn a_hit_has_one_line() {
    let mut build = Build::default();
    let hit = VertexUpdate { cached: true, ..vertex(MAKE, Some(0), Some(0)) };
    build.tell(0, vec![Event::Vertex(hit)]);
    assert_eq!(build.tell(9, Vec::new()), "[amd64 2/3 build] RUN make  ● hit local\n");
}

#[test]
fn ascii_has_no_other_shapes() {
    let mut build =
        Build { plain: PlainOutput::new(PlainOptions { color: false, ascii: true }), ..Build::default() };
    let long = format!("{MAKE} {}", "x".repeat(200));
    build.tell(0, vec![Event::Vertex(vertex(&long, Some(0), Some(10)))]);
    let out = build.tell(20, vec![Event::Ended(Ended::with(Some(0)))]);
    assert!(out.is_ascii() && out.contains("...  o ran 1.0 s\n"), "{out}");
}

#[test]
fn silence_is_broken_every_thirty_seconds() {
    let mut build = Build::default();
    build.tell(0, vec![Event::Vertex(vertex(MAKE, Some(0), None))]);
    build.tell(5, Vec::new());
    assert_eq!(build.tell(304, Vec::new()), "");
    assert_eq!(build.tell(305, Vec::new()), "[amd64 2/3 build] … still running 30.5 s\n");
    assert_eq!(build.tell(306, Vec::new()), "");
    assert_eq!(build.tell(900, Vec::new()), "[amd64 2/3 build] … still running 1:30\n");
    let line = build.tell(910, vec![said(MAKE, 900, &["alive"])]);
    assert_eq!(line, "[amd64 2/3 build] | alive\n");
    assert_eq!(build.tell(1200, Vec::new()), "");
    build.tell(1201, vec![Event::Ended(Ended::default())]);
    assert_eq!(build.tell(9000, Vec::new()), "");
}

#[test]
fn lines_that_were_dropped_are_counted() {
    let mut build = Build::default();
    let lines: Vec<String> = (0..30_000).map(|n| n.to_string()).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    build.tell(0, vec![Event::Vertex(vertex(MAKE, Some(0), None)), said(MAKE, 0, &lines)]);
    let out = build.tell(9, Vec::new());
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 1 + 1 + 20_000);
    assert_eq!(
        lines[1..3],
        ["[amd64 2/3 build] | … 10000 older lines are no longer kept", "[amd64 2/3 build] | 10000"]
    );
    assert_eq!(lines[20_001], "[amd64 2/3 build] | 29999");
}

#[test]
fn a_clipped_log_is_not_passed_over() {
    let mut build = Build::default();
    let clipped = said(MAKE, 1, &["[output clipped, log limit 2MiB reached]"]);
    build.tell(1, vec![Event::Vertex(vertex(MAKE, Some(0), None)), clipped]);
    let out = build.tell(20, vec![Event::Vertex(vertex(MAKE, Some(0), Some(2)))]);
    assert!(out.contains("\n! [amd64 2/3 build] the builder clipped"), "{out}");
}

#[test]
fn a_failed_import_is_not_passed_over_and_no_cache_yet_is_none() {
    for (error, line) in [
        ("unexpected status: 500", "! cache import failed: from r/a:cache: unexpected status: 500\n"),
        (
            "failed to configure registry cache importer: r/a:cache: not found",
            "no cache there yet: r/a:cache\n",
        ),
    ] {
        let mut build = Build::default();
        let import = VertexUpdate {
            error: Some(error.into()),
            ..vertex("importing cache manifest from r/a:cache", Some(0), Some(1))
        };
        build.tell(1, vec![Event::Vertex(import)]);
        assert_eq!(build.tell(9, Vec::new()), line);
    }
}

#[test]
fn notices_are_told_once_and_after_the_end_too() {
    let notice = |text: &str| Event::Notice(Notice { level: Level::Warn, text: text.into() });
    let mut build = Build::default();
    assert_eq!(build.tell(0, vec![notice("a"), notice("b")]), "! warning: a\n! warning: b\n");
    assert_eq!(build.tell(1, vec![notice("a"), notice("c")]), "! warning: c\n");
    let end = build.tell(2, vec![Event::Ended(Ended::with(Some(0)))]);
    assert_eq!(end, "\n● built in 0.2 s\n");
    assert_eq!(build.tell(3, vec![notice("d")]), "! warning: d\n");
    let many = (0..3_000).map(|n| notice(&n.to_string())).collect();
    let told = build.tell(4, many);
    assert_eq!((told.lines().count(), told.lines().next()), (2_000, Some("! warning: 1000")));
}

#[test]
fn output_waits_for_the_end_of_the_stream_but_not_for_ever() {
    let output = |text: &str| Event::Output(Output { stream: Stream::Stderr, line: Line::plain(text) });
    let mut build = Build::default();
    assert_eq!(build.tell(0, vec![output("no driver yet")]), "no driver yet\n");
    let running = Event::Vertex(vertex(MAKE, Some(0), None));
    assert_eq!(build.tell(1, vec![running, output("WARNING: x")]), "");
    assert_eq!(build.tell(5, Vec::new()), "[amd64 2/3 build] RUN make\n");
    assert_eq!(build.tell(30, Vec::new()), "WARNING: x\n");
    let flood = (0..5_000).map(|n| output(&n.to_string())).collect();
    assert_eq!(build.tell(31, flood), "");
    let out = build.tell(60, Vec::new());
    assert!(out.starts_with("… 3000 older lines are no longer kept\n3000\n3001\n"), "{}", &out[..80]);
    assert_eq!(out.lines().count(), 2_001);
}

proptest! {
    /// However late lines come, and however they are cut into batches: each is told once.
    #[test]
    fn every_line_is_told_once(
        lines in prop::collection::vec((0..40i64, 1..4usize), 1..120),
        delays in prop::collection::vec(0..25i64, 120),
        cuts in prop::collection::vec(1..20usize, 1..120),
    ) {
        let mut events = vec![(0, Event::Vertex(vertex(MAKE, Some(0), None)))];
        let mut expected = vec!["[amd64 2/3 build] RUN make".to_owned()];
        for (i, ((time, count), delay)) in lines.iter().zip(&delays).enumerate() {
            // Some lines are alike, so that they can't be told apart by what they say.
            let texts: Vec<String> = (0..*count).map(|n| format!("line {}", (i + n) % 50)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            events.push((time + delay, said(MAKE, *time, &texts)));
            expected.extend(texts.iter().map(|text| format!("[amd64 2/3 build] | {text}")));
        }
        events[1..].sort_by_key(|(arrival, _)| *arrival);
        let mut build = Build::default();
        let mut out = String::new();
        let mut cuts = cuts.iter().cycle();
        let mut rest = events.as_slice();
        while let Some((now, _)) = rest.first().cloned() {
            let (batch, more) = rest.split_at((*cuts.next().unwrap_or(&1)).min(rest.len()));
            rest = more;
            out += &build.tell(now, batch.iter().map(|(_, event)| event.clone()).collect());
        }
        out += &build.tell(100, Vec::new());
        let mut told: Vec<&str> = out.lines().collect();
        let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        told.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(told, expected);
    }
}

#[test]
fn durations_are_those_of_the_builder() {
    let mut build = Build::default();
    build.tell(0, vec![Event::Vertex(vertex(MAKE, Some(0), Some(412)))]);
    let out = build.tell(1_000, vec![Event::Ended(Ended::with(Some(0)))]);
    assert!(out.contains("RUN make  ○ ran 41.2 s\n"), "{out}");
    assert_eq!(build.model.wall(at(2_000)), Duration::from_secs(100));
}
