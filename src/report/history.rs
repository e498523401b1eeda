//! The builds that there were, as a table and as JSON.

#![warn(missing_docs)]

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::columns::{self, Column};
use super::estimate::CacheSavings;
use super::json::{BuildResult, VERSION};
use super::styled::StyledLine;
use super::tally::Tally;
use super::words::{self, Role, Sign};
use crate::event::{Platform, Text, Time};
use crate::history::rows::BuildRow;

/// The columns. The name is what `why` and the like take; it is left out where there is no room for it.
const COLUMNS: [Column; 8] = [
    Column::text("when"),
    Column::text("image").at_least(10),
    Column::text("scenario").at_least(10),
    Column::text("result"),
    Column::number("wall"),
    Column::number("rebuilt"),
    Column::number("saved"),
    Column::text("build"),
];

/// The table, newest first. `when` writes a moment as the user's clock shows it.
pub fn lines(
    builds: &[BuildRow],
    when: &dyn Fn(Time) -> String,
    most: Option<usize>,
    ascii: bool,
) -> Vec<StyledLine> {
    if builds.is_empty() {
        return vec![StyledLine::new().with("no builds are kept yet", Role::Dim)];
    }
    let rows: Vec<_> = builds.iter().map(|build| row(build, when, ascii)).collect();
    let whole = columns::lines(&COLUMNS, &rows, None, ascii);
    let Some(most) = most.filter(|most| whole.iter().any(|line| line.width() > *most)) else { return whole };
    let short: Vec<_> = rows.iter().map(|row| row.get(..COLUMNS.len() - 1).unwrap_or(row).to_vec()).collect();
    columns::lines(COLUMNS.get(..COLUMNS.len() - 1).unwrap_or(&COLUMNS), &short, Some(most), ascii)
}

fn row(build: &BuildRow, when: &dyn Fn(Time) -> String, ascii: bool) -> Vec<(String, Role)> {
    let sign = Sign::of_outcome(build.result);
    let none = || (if ascii { "-" } else { "–" }.to_owned(), Role::Dim);
    let rebuilt = Tally::of_row(build).map(Tally::of_all);
    vec![
        (when(build.started), Role::Plain),
        (image(build), Role::Plain),
        build.scenario.as_ref().map_or_else(none, |name| (name.to_string(), Role::Plain)),
        (format!("{} {}", sign.shape(ascii), sign.word), sign.role),
        (words::duration(build.wall), Role::Strong),
        rebuilt.map_or_else(none, |rebuilt| (rebuilt, Role::Plain)),
        saved(build).map_or_else(none, |saved| (saved.amount(ascii), Role::Good)),
        (build.name.to_string(), Role::Dim),
    ]
}

/// The last part of the image's name, with its tag.
fn image(build: &BuildRow) -> String {
    let name = build.image.as_ref().map_or("", |image| image.as_str().rsplit('/').next().unwrap_or_default());
    match &build.tag {
        Some(tag) => format!("{name}:{tag}"),
        None => name.to_owned(),
    }
}

/// What the cache saved; none where that is not known, or not worth a word.
fn saved(build: &BuildRow) -> Option<CacheSavings> {
    CacheSavings::between(build.no_cache?, build.wall).if_significant()
}

/// What `layertop history --progress json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct HistoryList {
    /// `history`.
    pub r#type: HistoryType,
    /// Version of the list. A field that is only added is no new version.
    pub version: u64,
    /// The builds, newest first.
    pub builds: Vec<HistoryBuild>,
}

/// The type of a list of builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryType {
    /// The only one.
    History,
}

/// A build of the history.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct HistoryBuild {
    /// The name of its recording, or what that would be.
    pub name: Text,
    /// Where its recording was written; it may have been let go since. Null where there was none.
    pub recording: Option<Text>,
    /// The image, without its tag.
    pub image: Option<Text>,
    /// The image's tag.
    pub tag: Option<Text>,
    /// Name of the buildx builder.
    pub builder: Option<Text>,
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// The commit that was checked out.
    pub commit: Option<Text>,
    /// Whether anything was not committed.
    pub dirty: Option<bool>,
    /// The machine that it was started on.
    pub host: Option<Text>,
    /// When it began, in µs since the Unix epoch.
    pub started: Time,
    /// How it ended.
    pub result: BuildResult,
    /// What kind of build it was, by what it rebuilt; null where it did not succeed.
    pub scenario: Option<Text>,
    /// How long it took, in ms.
    pub wall_ms: u64,
    /// How long it would have taken without any cache, in ms; null where nobody knows.
    pub no_cache_ms: Option<u64>,
    /// `no_cache_ms` less `wall_ms`.
    pub saved_ms: Option<u64>,
    /// Its steps, over stages and platforms.
    pub steps: u64,
    /// Those that were cached.
    pub hits: u64,
    /// Those that were not.
    pub misses: u64,
    /// `misses` without the base images that were pulled.
    pub rebuilt: u64,
    /// The steps that the build came to.
    pub reached: u64,
    /// Share of the steps that hit or were not needed, as in the summary; null where the build came to none.
    pub hit_rate: Option<f64>,
}

/// The list on one line, ended by a line feed.
pub fn json(builds: &[BuildRow]) -> String {
    let list = HistoryList {
        r#type: HistoryType::History,
        version: VERSION,
        builds: builds.iter().map(history_build).collect(),
    };
    let mut line = serde_json::to_string(&list).unwrap_or_default();
    line.push('\n');
    line
}

fn history_build(build: &BuildRow) -> HistoryBuild {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    HistoryBuild {
        name: build.name.clone(),
        recording: build.recording.clone(),
        image: build.image.clone(),
        tag: build.tag.clone(),
        builder: build.builder.clone(),
        platforms: build.platforms.clone(),
        commit: build.commit.clone(),
        dirty: build.dirty,
        host: build.host.clone(),
        started: build.started,
        result: build.result.into(),
        scenario: build.scenario.clone(),
        wall_ms: millis(build.wall),
        no_cache_ms: build.no_cache.map(millis),
        saved_ms: build.no_cache.map(|time| millis(CacheSavings::between(time, build.wall).time)),
        steps: build.steps,
        hits: build.hits,
        misses: build.misses,
        rebuilt: build.rebuilt,
        reached: build.reached,
        hit_rate: build.hit_rate().map(|rate| (rate * 10_000.0).round() / 10_000.0),
    }
}
