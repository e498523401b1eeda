//! `export`: a build for other programs.

use std::path::Path;

use super::configuration::{print, print_stderr};
use super::{atomic_file, builds};
use crate::cli::{self, Cli, ExportFormat};
use crate::config::Surroundings;
use crate::error::Error;
use crate::event::Time;
use crate::model::Model;
use crate::report::{html, json, markdown, metrics, otlp, trace};
use crate::source::collector::{self, Collector};

/// Exports the build that is meant.
pub(super) async fn run(cli: &Cli, args: &cli::ExportArgs, around: &Surroundings) -> Result<(), Error> {
    let found = builds::meant(args.build.as_deref(), &cli.global, around)?;
    let model = builds::read(found.recording()?, builds::ReadExtent::All, builds::DamageWarning::Told)?;
    if found.choice.note().is_some() {
        let mut told = "exporting ".to_owned();
        builds::heading(&found, &model, false).write(false, &mut told);
        print_stderr(&told);
    }
    // Of a build that is not told to the end it is as it was when last was heard of it.
    let now = model.newest();
    if let Some(path) = &args.metrics_file {
        write_metrics(&model, now, path)?;
    }
    let Some(format) = args.format else { return Ok(()) };
    let bytes = match format {
        ExportFormat::Json => json::line(&model, now).into_bytes(),
        ExportFormat::Markdown => markdown::render(&model, now).into_bytes(),
        ExportFormat::Html => html::render(&model, now).into_bytes(),
        ExportFormat::ChromeTrace => trace::render(&model, now).into_bytes(),
        ExportFormat::Otlp => return send(&model, now, args.output.as_deref(), around).await,
    };
    match &args.output {
        Some(path) => atomic_file::write(path, &bytes),
        None => print(&String::from_utf8_lossy(&bytes)),
    }
}

/// Writes a build's metrics.
pub(super) fn write_metrics(model: &Model, now: Time, path: &Path) -> Result<(), Error> {
    atomic_file::write(path, metrics::render(&json::summary(model, now)).as_bytes())
}

/// Sends the trace of a build to the collector that the environment names, or writes it to a file.
async fn send(model: &Model, now: Time, output: Option<&Path>, around: &Surroundings) -> Result<(), Error> {
    let request = otlp::request(model, now, &collector::resource(&around.env));
    let spans = otlp::count(&request);
    let bytes = otlp::encode(&request);
    if let Some(path) = output {
        return atomic_file::write(path, &bytes);
    }
    let collector = Collector::of(&around.env)?;
    collector.send(bytes, spans).await?;
    print_stderr(&format!(
        "sent {spans} spans of trace {} to {}\n",
        otlp::trace_id(&request),
        collector.place()
    ));
    Ok(())
}
