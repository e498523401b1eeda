//! What the cache is worth, scenario by scenario: the table of the project's own document, as it was measured here.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::columns::{self, Column};
use super::json::VERSION;
use super::styled::StyledLine;
use super::words::{self, Role};
use crate::event::Text;
use crate::history::rows::ScenarioRow;

/// The table. `promised` is what the project's own document promises, by the name of a scenario; without any the column is left out.
pub fn lines(
    image: Option<&str>,
    scenarios: &[ScenarioRow],
    promised: &[(&str, f64)],
    most: Option<usize>,
    ascii: bool,
) -> Vec<StyledLine> {
    let of = image.map_or_else(|| "builds without an image".to_owned(), |image| format!("builds of {image}"));
    if scenarios.is_empty() {
        return vec![StyledLine::new().with(format!("no successful {of} are kept yet"), Role::Dim)];
    }
    let builds: usize = scenarios.iter().map(|scenario| scenario.builds).sum();
    let title = StyledLine::new()
        .with(of, Role::Strong)
        .with(format!(": {}", words::count(builds, "successful build")), Role::Plain);
    let mut head = vec![
        Column::text("scenario").at_least(12),
        Column::number("builds"),
        Column::number("median"),
        Column::number("p90"),
        Column::number("no cache"),
        Column::number("speedup"),
    ];
    if !promised.is_empty() {
        head.push(Column::number("promised"));
    }
    let rows: Vec<_> = scenarios.iter().map(|scenario| row(scenario, promised, ascii)).collect();
    let mut lines = vec![title.cut(most.unwrap_or(usize::MAX), ascii), StyledLine::new()];
    lines.extend(columns::lines(&head, &rows, most, ascii));
    lines
}

fn row(scenario: &ScenarioRow, promised: &[(&str, f64)], ascii: bool) -> Vec<(String, Role)> {
    let none = || (if ascii { "-" } else { "–" }.to_owned(), Role::Dim);
    let mut row = vec![
        (scenario.name.to_string(), Role::Plain),
        (scenario.builds.to_string(), Role::Plain),
        (words::duration(scenario.median), Role::Strong),
        (words::duration(scenario.p90), Role::Plain),
        scenario.no_cache.map_or_else(none, |time| (words::duration(time), Role::Plain)),
    ];
    let promise = promise(scenario, promised);
    row.push(scenario.speedup().map_or_else(none, |speedup| {
        // What is a tenth off is as good as promised.
        let short = promise.is_some_and(|promise| speedup < promise * 0.9);
        (words::times(speedup, ascii), if short { Role::Warn } else { Role::Good })
    }));
    if !promised.is_empty() {
        row.push(promise.map_or_else(none, |promise| (words::times(promise, ascii), Role::Dim)));
    }
    row
}

fn promise(scenario: &ScenarioRow, promised: &[(&str, f64)]) -> Option<f64> {
    promised.iter().find(|(name, _)| *name == scenario.name.as_str()).map(|(_, promise)| *promise)
}

/// What `layertop stats --progress json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Stats {
    /// `stats`.
    pub r#type: StatsType,
    /// Version of the table. A field that is only added is no new version.
    pub version: u64,
    /// The image that it is about, without its tag; null: builds that name none.
    pub image: Option<Text>,
    /// Each kind of build that there was.
    pub scenarios: Vec<Scenario>,
}

/// The type of a table of scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatsType {
    /// The only one.
    Stats,
}

/// A kind of build, by what it rebuilt.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Scenario {
    /// Its name: `first build`, `code change only`, `requirements change`, `no changes`, `no cache`, `conda change`, `conda lost`, …
    pub name: Text,
    /// Successful builds of this kind.
    pub builds: usize,
    /// Median of their wall times, in ms.
    pub median_ms: u64,
    /// What nine of ten of them stay below, in ms.
    pub p90_ms: u64,
    /// Median of what they would have taken without any cache, in ms; null where that is known of none.
    pub no_cache_ms: Option<u64>,
    /// `no_cache_ms` divided by `median_ms`.
    pub speedup: Option<f64>,
    /// What the document of the profile's project promises for `speedup`; null where it promises nothing.
    pub promised: Option<f64>,
}

/// The table on one line, ended by a line feed.
pub fn json(image: Option<&str>, scenarios: &[ScenarioRow], promised: &[(&str, f64)]) -> String {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let told = |scenario: &ScenarioRow| Scenario {
        name: scenario.name.clone(),
        builds: scenario.builds,
        median_ms: millis(scenario.median),
        p90_ms: millis(scenario.p90),
        no_cache_ms: scenario.no_cache.map(millis),
        // More digits would say more than is known.
        speedup: scenario.speedup().map(|speedup| (speedup * 100.0).round() / 100.0),
        promised: promise(scenario, promised),
    };
    let stats = Stats {
        r#type: StatsType::Stats,
        version: VERSION,
        image: image.map(Text::clean),
        scenarios: scenarios.iter().map(told).collect(),
    };
    let mut line = serde_json::to_string(&stats).unwrap_or_default();
    line.push('\n');
    line
}
