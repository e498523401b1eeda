//! The dashboard at rest: what a build would do, and why.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;
use layertop::clock::Clock;
use layertop::event::evidence::{CacheRecord, Records, When};
use layertop::event::plan::LastBuild;
use layertop::event::{Digest, Platform, Started, Text};
use layertop::explain::{self, Past};
use layertop::source::context::{FingerprintRequest, fingerprint};
use layertop::wording;

const DOCKERFILE: &str = "FROM continuumio/miniconda3
WORKDIR /app
RUN apt-get install -y ffmpeg vulkan-tools
RUN npm install -g cgpu
RUN conda install -y librosa numba
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY src/ src/
";

/// Seconds that each step takes.
const TIMES: [u64; 8] = [0, 0, 94, 31, 312, 0, 134, 0];

fn moment(seconds: u64) -> Time {
    Time::from_micros(1_795_000_000_000_000).plus(std::time::Duration::from_secs(seconds))
}

fn at(seconds: u64, event: Event) -> Stamped {
    Stamped { at: moment(seconds), event }
}

/// The builder's records of these steps.
fn records(when: When, vertices: &[Stamped]) -> Event {
    let record = |event: &Stamped| match &event.event {
        Event::Vertex(vertex) => Some(CacheRecord {
            id: Text::clean(&format!("r-{}", vertex.name)),
            kind: "regular".into(),
            description: vertex.name.clone(),
            bytes: 1,
            ..CacheRecord::default()
        }),
        _ => None,
    };
    let records: Vec<CacheRecord> = vertices.iter().filter_map(record).collect();
    Event::Records(Arc::new(Records { when, total: records.len() as u64, records, ..Records::default() }))
}

/// The plan of a project behind a build and a change.
fn planned(change: &dyn Fn(&std::path::Path)) -> Vec<Stamped> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("Dockerfile"), DOCKERFILE).unwrap();
    fs::write(path.join("requirements.txt"), "numpy==1.26.4\n").unwrap();
    fs::create_dir(path.join("src")).unwrap();
    fs::write(path.join("src/main.py"), "1").unwrap();
    let request = FingerprintRequest {
        dockerfile: "Dockerfile".into(),
        context: ".".to_owned(),
        cwd: path.to_owned(),
        platforms: Platform::parse_list("linux/amd64,linux/arm64"),
        build_platform: Platform::parse("linux/amd64"),
        ..FingerprintRequest::default()
    };
    let started = Started {
        image: Some("127.0.0.1:5000/montage-ai:latest".into()),
        builder: Some("multiarch-builder".into()),
        platforms: request.platforms.clone(),
        ..Started::default()
    };
    let known = |records: Option<Event>| {
        let print = fingerprint(&request, &AtomicBool::new(false), Clock::live());
        let events =
            [Some(Event::Started(started.clone())), Some(Event::Fingerprint(Box::new(print))), records];
        events.into_iter().flatten().map(|event| at(0, event)).collect::<Vec<_>>()
    };
    let digest = Digest::parse(&format!("sha256:{}", "1".repeat(64)));
    let bases = BTreeMap::from([("continuumio/miniconda3".into(), digest)]);
    let before = known(Some(records(When::Before, &[])));
    let mut built = Model::default();
    built.apply_all(&before);
    let vertices: Vec<Stamped> = explain::plan(&before, &[], &bases)
        .into_iter()
        .filter(|event| matches!(event.event, Event::Vertex(_)))
        .collect();
    for (number, vertex) in vertices.iter().enumerate() {
        let Event::Vertex(mut update) = vertex.event.clone() else { continue };
        update.started = Some(moment(10));
        let took = TIMES[number % TIMES.len()] * (1 + number as u64 / 8 * 3);
        update.completed = update.started.map(|begun| begun.plus(std::time::Duration::from_secs(took)));
        built.apply(&at(10, Event::Vertex(update)));
    }
    built.apply(&at(2000, records(When::After, &vertices)));
    built.apply(&at(2000, Event::Ended(Ended::with(Some(0)))));
    let past = Past::of("20261121T173012Z-montage-ai".into(), &built);
    change(path);
    let mut events = known(Some(records(When::Before, &vertices)));
    let mut planned = explain::plan(&events, &[past], &bases);
    wording::fill_plan(&mut planned);
    events.extend(planned);
    for event in &mut events {
        if let Event::Planned(planned) = &mut event.event {
            planned.last = Some(LastBuild { ended: moment(0), exit_code: Some(0) });
        }
    }
    events
}

fn changed(path: &std::path::Path) {
    fs::write(path.join("requirements.txt"), "numpy==1.26.4\nrequests==2.32.0\n").unwrap();
}

#[rstest]
#[case::at_rest("at_rest", &|_: &std::path::Path| {}, "")]
#[case::a_save("a_save", &changed, "")]
#[case::a_step("a_step", &changed, "jjjjjjj")]
fn what_a_build_would_do(#[case] name: &str, #[case] change: &dyn Fn(&std::path::Path), #[case] keys: &str) {
    let events = planned(change);
    let mut out = String::new();
    for (width, height) in [(80, 24), (120, 40)] {
        let mut shown = Shown::new(&events, 1.0);
        shown.area = Rect::new(0, 0, width, height);
        shown.now = moment(840);
        shown.ui.dashboard = true;
        shown.press(keys);
        let _ = writeln!(out, "{width}×{height}");
        out.push_str(&text(&shown.draw()));
    }
    check(&format!("plan_{name}"), &out);
}
