//! How fast a progress stream becomes a model, against a bare typed decode of the same bytes.
//!
//! Both sides get the recordings of the tests, over and over until 200 MB are reached; what is no JSON in them is left out,
//! since the bare side cannot read it. They take turns, and time on the processor is what counts, so that a busy machine
//! slows both down alike. Ours cuts the stream anew, sanitises, masks and keeps a model.
//!
//! *Typed* has times as times and bytes as bytes, as ours has; its half is the target. *All strings* leaves both as they
//! stand in the JSON, so that base64 is a copy: it says how far the rest is from what can't be less.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement prints its figures or breaks")]
#![expect(dead_code, reason = "what the bare decode reads is not looked at")]

mod measure;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use layertop::event::{Mask, Stamped, Time};
use layertop::model::Model;
use layertop::source::rawjson::Decoder;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

/// Length of the whole stream.
const STREAM: usize = 200_000_000;
/// How many times the two sides take turns.
const TURNS: usize = 5;
/// Before a log line's time.
const STAMP: &str = "\"timestamp\":\"";
/// Length of a time as far as it tells which recording is older.
const TIME: usize = 20;
/// What one read of a pipe gives at most.
const READ: usize = 64 << 10;

fn main() {
    if !measure::asked() {
        return;
    }
    println!(
        "decode + apply a stream of 200 MB                layertop          bare, typed   bare, all strings"
    );
    let flat = compare("all recordings", Round::of(|_, _| true));
    compare("flood alone (a log at full speed)", Round::of(|name, _| name == "flood"));
    compare(
        "other logs alone (small chunks, bars)",
        Round::of(|name, line| name != "flood" && line.contains("\"logs\":")),
    );
    compare("vertices and statuses alone", Round::of(|_, line| !line.contains("\"logs\":")));
    println!("resident during 200 MB: {flat}");
}

/// One round of the recordings.
struct Round {
    bytes: Vec<u8>,
    /// Where the dates of log lines stand.
    dates: Vec<usize>,
    today: Date,
}

impl Round {
    /// The JSON lines that `wanted` picks, oldest recording first.
    fn of(wanted: impl Fn(&str, &str) -> bool) -> Self {
        let mut recordings: Vec<(String, String)> = measure::recordings()
            .into_iter()
            .map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned()))
            .collect();
        let first = |text: &str| text.split("\"started\":").nth(1).map(|rest| rest[..TIME].to_owned());
        recordings.sort_by_cached_key(|(_, text)| first(text));
        let lines = recordings
            .iter()
            .flat_map(|(name, text)| text.split_inclusive('\n').map(move |line| (name, line)));
        let mut round = Self { bytes: Vec::new(), dates: Vec::new(), today: date(2026, 11, 22) };
        for (_, line) in lines.filter(|(name, line)| line.starts_with('{') && wanted(name, line)) {
            if line.contains("\"logs\":") {
                let stamps = line.match_indices(STAMP).map(|(at, _)| at + STAMP.len());
                round.dates.extend(stamps.map(|at| round.bytes.len() + at));
            }
            round.bytes.extend_from_slice(line.as_bytes());
        }
        round
    }

    /// Lets the next round be said a day later: time goes on in a log, and the model would look for the place of a line that
    /// is older than the last.
    fn tomorrow(&mut self) {
        self.today = self.today.tomorrow().expect("it is not the end of time");
        let text = self.today.to_string();
        for at in &self.dates {
            self.bytes[*at..*at + text.len()].copy_from_slice(text.as_bytes());
        }
    }
}

/// Measures both sides and prints a line; gives what became of the memory.
fn compare(what: &str, mut round: Round) -> String {
    let rounds = STREAM.div_ceil(round.bytes.len()).div_ceil(TURNS);
    let (mut ours, mut typed, mut strings) = (Vec::new(), Vec::new(), Vec::new());
    let mut memory = Vec::new();
    let mut decoder = Decoder::new(Mask::default());
    let mut model = Model::default();
    let mut events = Vec::new();
    for _ in 0..TURNS {
        for _ in 0..rounds {
            round.tomorrow();
            ours.push(timed(|| layertop(&round.bytes, &mut decoder, &mut model, &mut events)));
            typed.push(timed(|| bare::<Moment, Data>(&round.bytes)));
            strings.push(timed(|| bare::<String, String>(&round.bytes)));
        }
        memory.push(format!("{:.1}", measure::resident() as f64 / 1e6));
    }
    black_box(&model);
    let speed = |times| round.bytes.len() as f64 / 1e6 / median(times).as_secs_f64();
    let (ours, typed, strings) = (speed(ours), speed(typed), speed(strings));
    let (by_typed, by_strings) = (100.0 * ours / typed, 100.0 * ours / strings);
    println!(
        "{what:<42} {ours:>9.0} MB/s {typed:>9.0} {by_typed:>4.0} % {strings:>12.0} {by_strings:>4.0} %"
    );
    format!("{} MB", memory.join(" → "))
}

/// What most rounds took: not that one during which the machine did something else.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed(work: impl FnOnce()) -> Duration {
    let before = measure::busy();
    work();
    measure::busy().saturating_sub(before)
}

fn layertop(round: &[u8], decoder: &mut Decoder, model: &mut Model, events: &mut Vec<Stamped>) {
    let at = Time::from_micros(1);
    for chunk in round.chunks(READ) {
        decoder.feed(at, chunk, events);
        model.apply_all(events);
        events.clear();
    }
}

fn bare<T: DeserializeOwned, B: DeserializeOwned>(round: &[u8]) {
    for status in serde_json::Deserializer::from_slice(round).into_iter::<Status<T, B>>() {
        black_box(status.expect("a recording holds what buildx writes"));
    }
}

/// A string of the stream as the value that it stands for: what whoever works with the stream has to make of it sooner or
/// later.
struct Data(Vec<u8>);

struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A value of the stream, all of it owned, with its times as `T` and its bytes as `B`.
#[derive(Deserialize)]
struct Status<T, B> {
    vertexes: Option<Vec<Vertex<T>>>,
    statuses: Option<Vec<VertexStatus<T>>>,
    logs: Option<Vec<VertexLog<T, B>>>,
    warnings: Option<Vec<VertexWarning<B>>>,
}

#[derive(Deserialize)]
struct Vertex<T> {
    digest: String,
    inputs: Option<Vec<String>>,
    name: Option<String>,
    started: Option<T>,
    completed: Option<T>,
    cached: Option<bool>,
    error: Option<String>,
    #[serde(rename = "progressGroup")]
    group: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    id: Option<String>,
    name: Option<String>,
    weak: Option<bool>,
}

#[derive(Deserialize)]
struct VertexStatus<T> {
    id: String,
    vertex: Option<String>,
    name: Option<String>,
    current: Option<i64>,
    total: Option<i64>,
    timestamp: Option<T>,
    started: Option<T>,
    completed: Option<T>,
}

#[derive(Deserialize)]
struct VertexLog<T, B> {
    vertex: Option<String>,
    stream: Option<i64>,
    data: Option<B>,
    timestamp: Option<T>,
}

#[derive(Deserialize)]
struct VertexWarning<B> {
    vertex: Option<String>,
    level: Option<i64>,
    short: Option<B>,
    detail: Option<Vec<B>>,
    url: Option<String>,
    #[serde(rename = "sourceInfo")]
    source: Option<BTreeMap<String, serde_json::Value>>,
    range: Option<Vec<serde_json::Value>>,
}
