use super::*;
use crate::event::{Digest, Ended, Event, Stamped, VertexUpdate};

fn digest(id: char) -> Digest {
    Digest::parse(&format!("sha256:{}", id.to_string().repeat(64)))
}

fn at(second: u64) -> Time {
    Time::default().plus(Duration::from_secs(second))
}

/// A vertex that ran from one second to another, and was cached where both are the same.
fn vertex(id: char, inputs: &str, name: &str, start: u64, end: Option<u64>) -> Stamped {
    let update = VertexUpdate {
        digest: digest(id),
        name: name.into(),
        inputs: inputs.chars().map(digest).collect(),
        started: Some(at(start)),
        completed: end.map(at),
        cached: end == Some(start),
        error: None,
        group: None,
    };
    Stamped { at: at(end.unwrap_or(start)), event: Event::Vertex(update) }
}

fn build(ended: Option<u64>) -> Model {
    let mut events = vec![
        vertex('0', "", "[internal] load build definition from Dockerfile", 0, Some(1)),
        vertex('1', "", "[linux/amd64 1/3] FROM a", 1, Some(2)),
        vertex('2', "1", "[linux/amd64 2/3] RUN a", 2, Some(6)),
        vertex('3', "2", "[linux/amd64 3/3] RUN b", 6, Some(9)),
        vertex('4', "", "[linux/arm64 1/3] FROM a", 1, Some(2)),
        vertex('5', "4", "[linux/arm64 2/3] RUN a", 2, Some(2)),
        vertex('6', "5", "[linux/arm64 3/3] RUN b", 2, Some(7)),
        vertex('7', "", "exporting to image", 9, ended.map(|_| 12)),
    ];
    events.extend(ended.map(|end| Stamped { at: at(end), event: Event::Ended(Ended::with(Some(0))) }));
    let mut model = Model::default();
    model.apply_all(&events);
    model
}

fn path(timeline: &Timeline) -> Vec<(String, u64, Option<u64>)> {
    let on = |on: &CriticalLane| {
        let lane = &timeline.lanes[on.lane];
        let platform = lane.platform.as_ref().map_or("", |platform| platform.short());
        (format!("{platform} {}", lane.label), on.took.as_secs(), on.gain.map(|gain| gain.as_secs()))
    };
    timeline.path.iter().map(on).collect()
}

#[test]
fn what_held_the_end_up_is_told_with_what_it_cost() {
    let timeline = build(Some(15)).timeline(at(99));
    assert_eq!((timeline.begin, timeline.end), (at(0), at(15)));
    assert_eq!(
        path(&timeline),
        [
            (" load definition and metadata".to_owned(), 1, None),
            // The other platform's steps take until 7: without its 4 seconds the last step ends at 5, and that is waited for.
            ("amd64 RUN a".to_owned(), 4, Some(2)),
            ("amd64 RUN b".to_owned(), 3, Some(3)),
            (" exporting to image".to_owned(), 3, None),
        ]
    );
    assert_eq!(timeline.idle, [(at(12), at(15))]);
}

#[test]
fn lanes_stand_in_the_order_of_the_dockerfile_platform_by_platform() {
    let timeline = build(Some(15)).timeline(at(99));
    let lane = |lane: &Lane| {
        let kinds: Vec<&str> = lane.bars.iter().map(|bar| bar.kind.key()).collect();
        format!("{:?} {} {}", lane.section, lane.label, kinds.join(" "))
    };
    let lanes: Vec<String> = timeline.lanes.iter().map(lane).collect();
    assert_eq!(
        lanes,
        [
            "Before load definition and metadata prepare",
            "Steps FROM a hit",
            "Steps RUN a run",
            "Steps RUN b run",
            "Steps FROM a hit",
            "Steps RUN a hit",
            "Steps RUN b run",
            "After exporting to image export",
        ]
    );
}

#[test]
fn what_is_open_goes_on_until_now() {
    let timeline = build(None).timeline(at(20));
    let last = timeline.lanes.last().unwrap().bars[0];
    assert_eq!((last.start, last.end, last.open, last.critical), (at(9), at(20), true, true));
    assert_eq!(timeline.end, at(20));
    assert!(timeline.idle.is_empty());
}

#[test]
fn a_hit_has_no_time_however_long_it_was_looked_up() {
    let model = build(Some(15));
    let timeline = model.timeline(at(99));
    for lane in timeline.lanes.iter().filter(|lane| lane.step.is_some()) {
        assert_eq!(lane.took, model.took(lane.step.unwrap(), at(99)), "{lane:?}");
    }
    // It was resolved for a second.
    let from = timeline.lanes.iter().find(|lane| lane.label == "FROM a".into()).unwrap();
    assert_eq!((from.took, from.critical), (Duration::ZERO, false));
    assert!(from.bars.iter().all(|bar| (bar.start, bar.end) == (at(1), at(1))), "{from:?}");
    // Something was at work meanwhile.
    assert!(timeline.idle.iter().all(|(start, _)| *start > at(2)));
}

#[test]
fn nothing_has_no_timeline() {
    assert_eq!(Model::default().timeline(at(3)), Timeline::default());
}
