//! A build in Google's trace event format, which Perfetto and `chrome://tracing` open.
//!
//! The format is that of Google's document "Trace Event Format", in its JSON object form: `M` events name processes (what is done
//! once for all, then the platforms) and threads (lanes), `X` events are stretches with a start and a length in microseconds. It has no
//! `displayTimeUnit`: Perfetto has taken that for the unit of the times (seen with its version 20).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::json::{StepSummary, Summary};
use super::spans::{self, BuildSpan};
use super::words;
use crate::event::{Platform, Text, Time};
use crate::model::Model;

#[derive(Serialize)]
struct TraceFile {
    #[serde(rename = "traceEvents")]
    events: Vec<Value>,
    #[serde(rename = "otherData")]
    about: Map<String, Value>,
}

/// The build as it stands at `now`, as one JSON object.
pub fn render(model: &Model, now: Time) -> String {
    let summary = super::json::summary(model, now);
    let spans = spans::spans(model, &summary, now);
    let zero = spans.iter().map(|span| span.start).chain(summary.started).min().unwrap_or_default();
    let mut trace = TraceFile { events: Vec::new(), about: about(&summary, zero) };
    for (at, (name, spans)) in processes(&summary, &spans).into_iter().enumerate() {
        process(at + 1, name, &spans, &summary, zero, &mut trace.events);
    }
    let mut text = serde_json::to_string(&trace).unwrap_or_default();
    text.push('\n');
    text
}

/// What is done once for all, then the platforms in the order of the summary.
fn processes<'s>(summary: &'s Summary, spans: &'s [BuildSpan]) -> Vec<(&'s str, Vec<&'s BuildSpan>)> {
    let mut by_platform: BTreeMap<Option<&Platform>, Vec<&BuildSpan>> = BTreeMap::new();
    for span in spans {
        by_platform.entry(span.platform.as_ref()).or_default().push(span);
    }
    let mut found: Vec<(&str, Vec<&BuildSpan>)> = Vec::new();
    found.extend(by_platform.remove(&None).map(|spans| ("build", spans)));
    for platform in &summary.platforms {
        found.extend(by_platform.remove(&Some(platform)).map(|spans| (platform.as_str(), spans)));
    }
    found.extend(by_platform.into_iter().filter_map(|(platform, spans)| Some((platform?.as_str(), spans))));
    found
}

fn about(summary: &Summary, zero: Time) -> Map<String, Value> {
    let mut about = Map::new();
    about.insert("program".into(), concat!("layertop ", env!("CARGO_PKG_VERSION")).into());
    about.insert("image".into(), json!(summary.image));
    about.insert("builder".into(), json!(summary.builder));
    about.insert("result".into(), json!(summary.result));
    about.insert("zero_unix_us".into(), json!(zero));
    about
}

fn process(
    pid: usize,
    name: &str,
    spans: &[&BuildSpan],
    summary: &Summary,
    zero: Time,
    out: &mut Vec<Value>,
) {
    let meta = |kind: &str, tid: usize, args: Value| json!({"ph": "M", "pid": pid, "tid": tid, "name": kind, "args": args});
    out.push(meta("process_name", 0, json!({"name": name})));
    out.push(meta("process_sort_index", 0, json!({"sort_index": pid})));
    let lanes = spans::lanes(spans.iter().copied());
    for lane in 0..lanes.iter().max().map_or(0, |most| most + 1) {
        out.push(meta("thread_name", lane + 1, json!({"name": format!("lane {}", lane + 1)})));
        out.push(meta("thread_sort_index", lane + 1, json!({"sort_index": lane + 1})));
    }
    for (span, lane) in spans.iter().zip(lanes) {
        out.push(json!({
            "ph": "X",
            "pid": pid,
            "tid": lane + 1,
            "name": title(span, summary),
            "cat": span.work.key(),
            "ts": span.start.since(zero).as_micros() as u64,
            "dur": span.length().as_micros() as u64,
            "args": args(span, summary),
        }));
    }
}

/// The layer and the instruction, or the vertex' name.
fn title(span: &BuildSpan, summary: &Summary) -> String {
    let text = words::instruction(span.title(summary).as_str()).into_owned();
    match span.step(summary).and_then(|step| step.layer.as_ref()) {
        Some(layer) => format!("{layer}: {text}"),
        None => text,
    }
}

fn args(span: &BuildSpan, summary: &Summary) -> Map<String, Value> {
    let mut args = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            args.insert(name.to_owned(), value);
        }
    };
    put("digest", json!(span.digest));
    put("vertex", json!(span.name));
    put("error", json!(span.error));
    if span.cancelled {
        put("cancelled", json!(true));
    }
    if let Some(step) = span.step(summary) {
        of_step(step, &mut put);
    }
    args
}

fn of_step(step: &StepSummary, put: &mut dyn FnMut(&str, Value)) {
    put("platform", json!(step.platform));
    put("target", json!(step.target));
    put("stage", json!(step.stage));
    put("step", json!(format!("{}/{}", step.index, step.of)));
    put("layer", json!(step.layer));
    put("state", json!(step.state));
    put("source", json!(step.source));
    put("source_evidence", json!(step.source_evidence));
    put("source_ref", json!(step.source_ref));
    put("run_ms", json!(step.run_ms));
    put("pull_ms", json!(step.pull_ms));
    put("pulled_bytes", json!(step.pulled_bytes));
    if let Some(reason) = &step.reason {
        put("reason", json!(reason.because));
        put("reason_kind", json!(reason.kind));
        put("reason_grade", json!(reason.grade));
        let texts: Vec<&Text> = reason.evidence.iter().map(|evidence| &evidence.text).collect();
        put("evidence", json!(texts));
    }
}
