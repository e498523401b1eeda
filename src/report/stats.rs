//! What the cache is worth, scenario by scenario: the table of the project's own document, as it was measured here.

#![warn(missing_docs)]

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::columns::{self, Column};
use super::json::VERSION;
use super::styled::StyledLine;
use super::words::{self, Role};
use crate::event::{Platform, Text};
use crate::history::rows::{ComparableRow, ScenarioRow};

/// What is shown of an image's builds.
#[derive(Debug, Clone, Copy)]
pub struct ShownBuilds<'a> {
    /// The image, without its tag; none: builds that name none.
    pub image: Option<&'a str>,
    /// Its successful builds, those that can be held against each other together, the newest first.
    pub builds: &'a [ComparableRow],
    /// Whether all of them are shown; else those like the newest build.
    pub all: bool,
    /// What the project's own document promises, by the name of a scenario; without any the column is left out.
    pub promised: &'a [(&'a str, f64)],
}

impl<'a> ShownBuilds<'a> {
    /// Those that are shown.
    fn shown(&self) -> &'a [ComparableRow] {
        if self.all { self.builds } else { self.builds.get(..1).unwrap_or_default() }
    }

    /// How many builds are not.
    fn others(&self) -> usize {
        self.builds.iter().skip(self.shown().len()).map(ComparableRow::builds).sum()
    }
}

/// A table for builds that can be held against each other, and how many are in none.
pub fn lines(told: &ShownBuilds<'_>, most: Option<usize>, ascii: bool) -> Vec<StyledLine> {
    let of =
        told.image.map_or_else(|| "builds without an image".to_owned(), |image| format!("builds of {image}"));
    if told.builds.is_empty() {
        let of = if told.image.is_some() { of.as_str() } else { "builds" };
        return vec![StyledLine::new().with(format!("no successful {of} are kept yet"), Role::Dim)];
    }
    let mut lines = Vec::new();
    for alike in told.shown() {
        if !lines.is_empty() {
            lines.push(StyledLine::new());
        }
        let title = StyledLine::new()
            .with(of.clone(), Role::Strong)
            .with(format!(": {}", words::count(alike.builds(), "successful build")), Role::Plain);
        lines.push(title.cut(most.unwrap_or(usize::MAX), ascii));
        lines.push(
            StyledLine::new().with(compared_on(alike), Role::Dim).cut(most.unwrap_or(usize::MAX), ascii),
        );
        lines.push(StyledLine::new());
        lines.extend(table(alike, told.promised, most, ascii));
    }
    if told.others() > 0 {
        let others = words::count(told.others(), "other build");
        let text = format!("{others} on another builder, for other platforms or of another stage: --all");
        lines.push(StyledLine::new());
        lines.push(StyledLine::new().with(text, Role::Dim).cut(most.unwrap_or(usize::MAX), ascii));
    }
    lines
}

/// `on multiarch-builder for linux/amd64, linux/arm64`.
fn compared_on(alike: &ComparableRow) -> String {
    let platforms: Vec<&str> = alike.platforms.iter().map(Platform::as_str).collect();
    let platforms = match platforms.as_slice() {
        [] => String::new(),
        known => format!(" for {}", known.join(", ")),
    };
    let target = alike.target.as_ref().map(|target| format!(", stage {target}")).unwrap_or_default();
    let builder = alike.builder.as_ref().map_or("the builder", Text::as_str);
    format!("on {builder}{platforms}{target}")
}

fn table(
    alike: &ComparableRow,
    promised: &[(&str, f64)],
    most: Option<usize>,
    ascii: bool,
) -> Vec<StyledLine> {
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
    let rows: Vec<_> = alike.scenarios.iter().map(|scenario| row(scenario, promised, ascii)).collect();
    columns::lines(&head, &rows, most, ascii)
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
    let promise = promised_speedup(scenario, promised);
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

fn promised_speedup(scenario: &ScenarioRow, promised: &[(&str, f64)]) -> Option<f64> {
    promised.iter().find(|(name, _)| *name == scenario.name.as_str()).map(|(_, promise)| *promise)
}

/// What `layertop stats --progress json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StatsSummary {
    /// `stats`.
    pub r#type: StatsType,
    /// Version of the table. A field that is only added is no new version.
    pub version: u64,
    /// The image that it is about, without its tag; null: builds that name none.
    pub image: Option<Text>,
    /// Each kind of build that there was, on the builder, for the platforms and of the stage of the newest successful build; with
    /// `--all` the same of all others behind them.
    pub scenarios: Vec<ScenarioSummary>,
    /// Successful builds that are in none of them: they were made on another builder, for other platforms or of another stage.
    pub others: usize,
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
pub struct ScenarioSummary {
    /// Its name: `first build`, `code change only`, `requirements change`, `no changes`, `no cache`, `conda change`, `conda lost`, …
    pub name: Text,
    /// Name of the buildx builder.
    pub builder: Option<Text>,
    /// The platforms, in the order of their names.
    pub platforms: Vec<Platform>,
    /// The stage that was built; null where none was named.
    pub target: Option<Text>,
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
pub fn json(told: &ShownBuilds<'_>) -> String {
    let of = |alike: &'_ ComparableRow| -> Vec<ScenarioSummary> {
        alike.scenarios.iter().map(|scenario| written(alike, scenario, told.promised)).collect()
    };
    let stats = StatsSummary {
        r#type: StatsType::Stats,
        version: VERSION,
        image: told.image.map(Text::clean),
        scenarios: told.shown().iter().flat_map(of).collect(),
        others: told.others(),
    };
    let mut line = serde_json::to_string(&stats).unwrap_or_default();
    line.push('\n');
    line
}

fn written(alike: &ComparableRow, scenario: &ScenarioRow, promised: &[(&str, f64)]) -> ScenarioSummary {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    ScenarioSummary {
        name: scenario.name.clone(),
        builder: alike.builder.clone(),
        platforms: alike.platforms.clone(),
        target: alike.target.clone(),
        builds: scenario.builds,
        median_ms: millis(scenario.median),
        p90_ms: millis(scenario.p90),
        no_cache_ms: scenario.no_cache.map(millis),
        // More digits would say more than is known.
        speedup: scenario.speedup().map(|speedup| (speedup * 100.0).round() / 100.0),
        promised: promised_speedup(scenario, promised),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(builder: &str, platforms: &str, builds: usize) -> ComparableRow {
        let seconds = Duration::from_secs;
        let scenario = ScenarioRow {
            name: "no changes".into(),
            builds,
            median: seconds(2),
            p90: seconds(3),
            no_cache: Some(seconds(60)),
        };
        let platforms = Platform::parse_list(platforms);
        ComparableRow { builder: Some(builder.into()), platforms, target: None, scenarios: vec![scenario] }
    }

    fn text(all: bool) -> String {
        let builds = [alike("here", "linux/amd64,linux/arm64", 5), alike("there", "linux/amd64", 2)];
        let shown =
            ShownBuilds { image: Some("app"), builds: &builds, all, promised: &[("no changes", 30.0)] };
        let mut text = String::new();
        for line in lines(&shown, Some(80), false) {
            line.write(false, &mut text);
        }
        text
    }

    #[test]
    fn like_is_held_against_like_and_the_others_are_counted() {
        let newest = text(false);
        assert!(
            newest.contains("builds of app: 5 successful builds\non here for linux/amd64, linux/arm64\n"),
            "{newest}"
        );
        assert!(newest.contains("30×") && !newest.contains("there"), "{newest}");
        assert!(newest.contains("\n2 other builds on another builder, "), "{newest}");
        let all = text(true);
        assert!(all.contains("on here for ") && all.contains("on there for linux/amd64\n"), "{all}");
        assert!(!all.contains("--all"), "{all}");
        // Where none was named it is buildx's current one, which may be any.
        let unnamed = ComparableRow { builder: None, ..alike("", "linux/amd64", 1) };
        assert_eq!(compared_on(&unnamed), "on the builder for linux/amd64");
    }
}
