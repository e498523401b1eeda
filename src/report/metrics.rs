//! A build as metrics in the OpenMetrics text format, for the textfile collector of Prometheus' `node_exporter`.
//!
//! All of them are gauges: they are of one build, and the next one replaces them. So the text is read alike by readers of
//! OpenMetrics and by those of Prometheus' older format, which the textfile collector is.
//! The writer is our own: `prometheus-client` keeps a registry of atomics, of which nothing would be used here but this text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cache::TransferState;
use super::json::{BuildResult, StepSummary, Summary};
use crate::model::State;

/// A label's name and value.
type Label<'a> = (&'a str, &'a str);

/// The layer of steps that have none.
const NO_LAYER: &str = "other";

/// The metrics of a build that is summed up.
pub fn render(summary: &Summary) -> String {
    let reference = summary.image.as_ref().map_or("", |image| image.as_str());
    let (image, tag) = split(reference);
    let mut writer = MetricsWriter { out: String::new(), image };
    build(summary, tag, &mut writer);
    steps(summary, &mut writer);
    layers(summary, &mut writer);
    writer.out.push_str("# EOF\n");
    writer.out
}

/// Repository and tag of a reference; a port is no tag.
fn split(reference: &str) -> (&str, &str) {
    let reference = reference.split('@').next().unwrap_or_default();
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, ""),
    }
}

fn build(summary: &Summary, tag: &str, writer: &mut MetricsWriter<'_>) {
    let builder = summary.builder.as_ref().map_or("", |builder| builder.as_str());
    let info = [("tag", tag), ("builder", builder), ("result", key(summary.result))];
    writer.family("layertop_build_info", "", "What was built last, with what, and how it ended.");
    writer.sample("layertop_build_info", &info, 1.0);
    let micros = |time: crate::event::Time| time.micros() as f64 / 1e6;
    let one = |flag: bool| Some(f64::from(u8::from(flag)));
    // That there is no cache before the first export is no trouble.
    let known = |state: TransferState| match state {
        TransferState::Ok => one(true),
        TransferState::Failed => one(false),
        TransferState::NotThere | TransferState::None => None,
    };
    let rows = [
        ("started_timestamp_seconds", "seconds", "When it began.", summary.started.map(micros)),
        ("ended_timestamp_seconds", "seconds", "When it ended.", summary.ended.map(micros)),
        ("duration_seconds", "seconds", "How long it took.", Some(summary.wall_ms as f64 / 1e3)),
        ("success", "", "Whether it made what was asked for.", one(summary.result == BuildResult::Success)),
        ("exit_code", "", "What it ended with.", summary.exit_code.map(f64::from)),
        (
            "hit_ratio",
            "ratio",
            "Share of the steps the build came to that hit or were not needed.",
            summary.layers.hit_rate,
        ),
        ("cache_import_ok", "", "Whether the cache was imported.", known(summary.cache.import.state)),
        ("cache_export_ok", "", "Whether the cache was exported.", known(summary.cache.export.state)),
        ("warnings", "", "Findings of the build checks.", Some(summary.warnings.len() as f64)),
    ];
    for (name, unit, help, value) in rows {
        let Some(value) = value else { continue };
        let name = format!("layertop_build_{name}");
        writer.family(&name, unit, help);
        writer.sample(&name, &[], value);
    }
}

fn key(result: BuildResult) -> &'static str {
    match result {
        BuildResult::Success => "success",
        BuildResult::Failed => "failed",
        BuildResult::Cancelled => "cancelled",
        BuildResult::Lost => "lost",
        BuildResult::Running => "running",
    }
}

fn platform(step: &StepSummary) -> &str {
    step.platform.as_ref().map_or("", |platform| platform.as_str())
}

/// How many steps of each platform are in which state.
fn steps(summary: &Summary, writer: &mut MetricsWriter<'_>) {
    const NAME: &str = "layertop_build_steps";
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for step in &summary.steps {
        for state in [State::Hit, State::Miss] {
            counts.entry((platform(step), state.key())).or_default();
        }
        *counts.entry((platform(step), step.state.key())).or_default() += 1;
    }
    writer.family(NAME, "", "Steps by what became of them.");
    for ((platform, state), count) in counts {
        writer.sample(NAME, &[("platform", platform), ("state", state)], count as f64);
    }
}

/// A number of it.
type TotalOf = fn(&LayerTotals) -> f64;

/// What a layer took on a platform, over its steps.
#[derive(Default)]
struct LayerTotals {
    run_ms: u64,
    pull_ms: u64,
    bytes: u64,
    missed: bool,
}

fn layers(summary: &Summary, writer: &mut MetricsWriter<'_>) {
    let mut all: BTreeMap<(&str, &str), LayerTotals> = BTreeMap::new();
    for step in &summary.steps {
        let layer = step.layer.as_ref().map_or(NO_LAYER, |layer| layer.as_str());
        let took = all.entry((layer, platform(step))).or_default();
        took.run_ms += step.run_ms;
        took.pull_ms += step.pull_ms;
        took.bytes += step.pulled_bytes;
        took.missed |= matches!(step.state, State::Miss | State::Failed | State::Cancelled);
    }
    let rows: [(&str, &str, &str, TotalOf); 4] = [
        ("run_seconds", "seconds", "Time at work, pulls left out.", |took| took.run_ms as f64 / 1e3),
        ("pull_seconds", "seconds", "Time in which blobs were fetched.", |took| took.pull_ms as f64 / 1e3),
        ("pulled_bytes", "bytes", "Bytes fetched.", |took| took.bytes as f64),
        ("rebuilt", "", "Whether a step of the layer was not in the cache.", |took| {
            f64::from(u8::from(took.missed))
        }),
    ];
    for (name, unit, help, get) in rows {
        let name = format!("layertop_build_layer_{name}");
        writer.family(&name, unit, help);
        for ((layer, platform), took) in &all {
            writer.sample(&name, &[("layer", layer), ("platform", platform)], get(took));
        }
    }
}

/// Writes families of gauges; each sample has the image.
struct MetricsWriter<'a> {
    out: String,
    image: &'a str,
}

impl MetricsWriter<'_> {
    fn family(&mut self, name: &str, unit: &str, help: &str) {
        // Into memory, which takes all that it is given.
        let _ = writeln!(self.out, "# TYPE {name} gauge");
        if !unit.is_empty() {
            let _ = writeln!(self.out, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.out, "# HELP {name} {help}");
    }

    fn sample(&mut self, name: &str, labels: &[Label<'_>], value: f64) {
        let _ = write!(self.out, "{name}{{image=\"{}\"", escape(self.image));
        for (label, text) in labels {
            let _ = write!(self.out, ",{label}=\"{}\"", escape(text));
        }
        let _ = writeln!(self.out, "}} {value}");
    }
}

/// A label's value: backslash, quote and line feed are escaped.
fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(split("10.0.0.1:5000/a/b:latest"), ("10.0.0.1:5000/a/b", "latest"));
        assert_eq!(split("10.0.0.1:5000/a"), ("10.0.0.1:5000/a", ""));
        assert_eq!(split("a:b@sha256:00"), ("a", "b"));
        assert_eq!(split(""), ("", ""));
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(escape("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
