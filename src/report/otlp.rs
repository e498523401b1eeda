//! A build as a trace in OpenTelemetry's protocol (OTLP), as bytes of protobuf: a span for the build, below it one for each step
//! and for each import and export.
//!
//! The ids are hashes of what the build is, so that exporting it again gives the same trace. `docs/export.md` lists the attributes.

pub mod message;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost::Message as _;

use super::cache::TransferState;
use super::json::{BuildResult, StepSummary, Summary};
use super::spans;
use super::words;
use crate::event::{Digest, Platform, Text, Time};
use crate::model::Model;
use message::{
    AnyValue, ArrayValue, AttributeValue, ExportTraceServiceRequest, InstrumentationScope, KeyValue,
    OtlpSpan, Resource, ResourceSpans, ScopeSpans, SpanKind, SpanLink, SpanStatus, StatusCode,
};

/// The service that a trace is of where nothing else is said.
pub const SERVICE: &str = "layertop";

/// Longest name of a span; its attributes have the whole.
const LONGEST_NAME: usize = 120;

/// The request for a build as it stands at `now`. `resource` are the attributes of `OTEL_RESOURCE_ATTRIBUTES` and
/// `OTEL_SERVICE_NAME`.
pub fn request(model: &Model, now: Time, resource: &BTreeMap<String, String>) -> ExportTraceServiceRequest {
    let summary = super::json::summary(model, now);
    let scope =
        InstrumentationScope { name: "layertop".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let mut about = Attributes::default();
    for (name, value) in resource {
        about.text(name, value);
    }
    for (name, value) in [("service.name", SERVICE), ("service.version", env!("CARGO_PKG_VERSION"))] {
        if !resource.contains_key(name) {
            about.text(name, value);
        }
    }
    let spans = spans_of(model, &summary, now);
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: about.0 }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        }],
    }
}

/// The request as it is sent.
pub fn encode(request: &ExportTraceServiceRequest) -> Vec<u8> {
    request.encode_to_vec()
}

fn all(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &OtlpSpan> {
    request.resource_spans.iter().flat_map(|spans| &spans.scope_spans).flat_map(|spans| &spans.spans)
}

/// How many spans it has.
pub fn count(request: &ExportTraceServiceRequest) -> usize {
    all(request).count()
}

/// The id of its trace, as collectors show it.
pub fn trace_id(request: &ExportTraceServiceRequest) -> String {
    let id = all(request).next().map(|span| span.trace_id.as_slice()).unwrap_or_default();
    let mut digits = String::new();
    for byte in id {
        // Into memory, which takes all that it is given.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Names spans: hashes of what the build is.
struct Ids {
    trace: Vec<u8>,
}

impl Ids {
    fn of(summary: &Summary) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("layertop 2026-11-22 trace id of a build");
        let mut part = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        part(summary.image.as_ref().map_or("", |image| image.as_str()));
        part(summary.builder.as_ref().map_or("", |builder| builder.as_str()));
        for step in &summary.steps {
            part(&step.digest.as_ref().map(ToString::to_string).unwrap_or_default());
        }
        for time in [summary.started, summary.ended] {
            part(&time.unwrap_or_default().micros().to_string());
        }
        Self { trace: hash.finalize().as_bytes()[..16].to_vec() }
    }

    /// The id of the span of a vertex; of the build itself where there is none.
    fn span(&self, vertex: Option<&Digest>) -> Vec<u8> {
        let mut hash = blake3::Hasher::new_derive_key("layertop 2026-11-22 span id of a vertex");
        hash.update(&self.trace);
        hash.update(vertex.map(ToString::to_string).unwrap_or_default().as_bytes());
        hash.finalize().as_bytes()[..8].to_vec()
    }
}

/// Attributes in the order in which they are put.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn put(&mut self, key: &str, value: AttributeValue) {
        self.0.push(KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) });
    }

    fn text(&mut self, key: &str, value: &str) {
        self.put(key, AttributeValue::String(value.to_owned()));
    }

    fn maybe(&mut self, key: &str, value: Option<&Text>) {
        if let Some(value) = value {
            self.text(key, value.as_str());
        }
    }

    fn int(&mut self, key: &str, value: impl TryInto<i64>) {
        self.put(key, AttributeValue::Int(value.try_into().unwrap_or(i64::MAX)));
    }

    fn texts<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a str>) {
        let of = |text: &str| AnyValue { value: Some(AttributeValue::String(text.to_owned())) };
        self.put(key, AttributeValue::Array(ArrayValue { values: values.map(of).collect() }));
    }
}

fn nanos(time: Time) -> u64 {
    u64::try_from(time.micros()).unwrap_or(0).saturating_mul(1000)
}

fn spans_of(model: &Model, summary: &Summary, now: Time) -> Vec<OtlpSpan> {
    let ids = Ids::of(summary);
    let parts = spans::spans(model, summary, now);
    let mut found = vec![build(summary, &ids, &parts, now)];
    found.extend(parts.iter().map(|part| one(part, summary, &ids)));
    found
}

/// The span of the build: from its first event to its end, and as far beyond as the builder's clock says.
fn build(summary: &Summary, ids: &Ids, parts: &[spans::BuildSpan], now: Time) -> OtlpSpan {
    let start = parts.iter().map(|part| part.start).chain(summary.started).min().unwrap_or(now);
    let end = parts.iter().map(|part| part.end).chain(summary.ended).max().unwrap_or(now);
    let image = summary.image.as_ref().map(Text::as_str);
    let name = image.map_or_else(
        || "build".to_owned(),
        |image| format!("build {}", words::truncate(image, LONGEST_NAME)),
    );
    let mut about = Attributes::default();
    about.maybe("container.image.name", summary.image.as_ref());
    about.maybe("buildkit.builder", summary.builder.as_ref());
    about.texts("buildkit.platforms", summary.platforms.iter().map(Platform::as_str));
    about.text("layertop.result", result(summary.result));
    about.int("layertop.wall_ms", summary.wall_ms);
    if let Some(exit) = summary.exit_code {
        about.int("process.exit.code", i64::from(exit));
    }
    for (key, count) in [
        ("layertop.steps.total", summary.layers.total),
        ("layertop.steps.hit", summary.layers.hits),
        ("layertop.steps.miss", summary.layers.misses),
        ("layertop.steps.rebuilt", summary.layers.rebuilt),
        ("layertop.steps.not_needed", summary.layers.not_needed),
        ("layertop.steps.not_reached", summary.layers.not_reached),
        ("layertop.steps.failed", summary.layers.failed),
        ("layertop.steps.cancelled", summary.layers.cancelled),
        ("layertop.warnings", summary.warnings.len()),
    ] {
        about.int(key, count);
    }
    for (key, side) in
        [("layertop.cache.import", &summary.cache.import), ("layertop.cache.export", &summary.cache.export)]
    {
        about.text(key, verdict(side.state));
        about.maybe(&format!("{key}.ref"), side.reference.as_ref());
        about.maybe(&format!("{key}.error"), side.error.as_ref());
    }
    let failed = matches!(summary.result, BuildResult::Failed | BuildResult::Lost);
    let message = summary.error.as_ref().map(|error| error.message.to_string()).unwrap_or_default();
    OtlpSpan {
        trace_id: ids.trace.clone(),
        span_id: ids.span(None),
        name,
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanos(start),
        end_time_unix_nano: nanos(end),
        attributes: about.0,
        status: Some(status(failed, message)),
        ..OtlpSpan::default()
    }
}

fn result(result: BuildResult) -> &'static str {
    match result {
        BuildResult::Success => "success",
        BuildResult::Failed => "failed",
        BuildResult::Cancelled => "cancelled",
        BuildResult::Lost => "lost",
        BuildResult::Running => "running",
    }
}

fn verdict(verdict: TransferState) -> &'static str {
    match verdict {
        TransferState::Ok => "ok",
        TransferState::Failed => "failed",
        TransferState::NotThere => "not_there",
        TransferState::None => "none",
    }
}

fn status(failed: bool, message: String) -> SpanStatus {
    let code = if failed { StatusCode::Error } else { StatusCode::Unset };
    SpanStatus { code: code.into(), message: if failed { message } else { String::new() } }
}

/// The span of a step, or of another vertex.
fn one(part: &spans::BuildSpan, summary: &Summary, ids: &Ids) -> OtlpSpan {
    let step = part.step(summary);
    let title = words::instruction(part.title(summary).as_str()).into_owned();
    let title = match step.and_then(|step| step.layer.as_ref()) {
        Some(layer) => format!("{layer}: {title}"),
        None => title,
    };
    let mut about = Attributes::default();
    about.text("layertop.work", part.work.key());
    about.text("buildkit.vertex.digest", &part.digest.to_string());
    about.maybe("buildkit.vertex.name", Some(&part.name));
    if part.cancelled {
        about.put("layertop.cancelled", AttributeValue::Bool(true));
    }
    let mut links = Vec::new();
    if let Some(step) = step {
        of_step(step, &mut about);
        if let Some(root) = step.reason.as_ref().and_then(|reason| reason.follows.as_ref()) {
            let mut what = Attributes::default();
            what.text("layertop.link", "rebuilt because of");
            links.push(SpanLink {
                trace_id: ids.trace.clone(),
                span_id: ids.span(Some(&root.digest)),
                attributes: what.0,
            });
        }
    }
    // A cache that could not be imported fails no build, and is a failed span all the same.
    let error = part.error.as_ref();
    let failed = error.is_some();
    OtlpSpan {
        trace_id: ids.trace.clone(),
        span_id: ids.span(Some(&part.digest)),
        parent_span_id: ids.span(None),
        name: words::truncate(&title, LONGEST_NAME),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanos(part.start),
        end_time_unix_nano: nanos(part.end),
        attributes: about.0,
        links,
        status: Some(status(failed, error.map(ToString::to_string).unwrap_or_default())),
    }
}

fn of_step(step: &StepSummary, about: &mut Attributes) {
    if let Some(platform) = &step.platform {
        about.text("buildkit.platform", platform.as_str());
    }
    about.maybe("buildkit.target", step.target.as_ref());
    about.maybe("buildkit.stage", step.stage.as_ref());
    about.int("buildkit.step.index", step.index);
    about.int("buildkit.step.of", step.of);
    about.maybe("buildkit.instruction", Some(&step.instruction));
    about.maybe("layertop.layer", step.layer.as_ref());
    about.text("layertop.cache.state", step.state.key());
    if let Some(source) = step.source {
        about.text("layertop.cache.source", source.key());
    }
    about.maybe("layertop.cache.source.evidence", step.source_evidence.as_ref());
    about.maybe("layertop.cache.source.ref", step.source_ref.as_ref());
    about.int("layertop.run_ms", step.run_ms);
    about.int("layertop.pull_ms", step.pull_ms);
    about.int("layertop.pulled_bytes", step.pulled_bytes);
    if let Some(reason) = &step.reason {
        about.text("layertop.reason", reason.because.as_str());
        about.text("layertop.reason.kind", reason.kind.key());
        about.text("layertop.reason.grade", reason.grade.key());
        if !reason.evidence.is_empty() {
            about.texts("layertop.reason.evidence", reason.evidence.iter().map(|one| one.text.as_str()));
        }
    }
}
