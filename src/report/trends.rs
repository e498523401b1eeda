//! Whether layers have become slower or faster: their runs as sparklines, and where they changed for good.

#![warn(missing_docs)]

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::columns::{self, Column};
use super::json::VERSION;
use super::styled::StyledLine;
use super::words::{self, Role};
use crate::event::{Platform, Text, Time};
use crate::history::rows::LayerRuns;

/// Runs on either side of a change that it is told by: fewer tell nothing, and more would tell it late.
const FEWEST: usize = 3;
const MOST: usize = 7;

/// A change is larger than so many times what runs differ by anyway, than this share of what they took, and than this.
const BEYOND_NOISE: u32 = 4;
const LEAST_SHARE: f64 = 0.15;
const LEAST: Duration = Duration::from_secs(1);

/// Runs that a sparkline shows, the newest: so many where lines may be as wide as this, else the last of these.
const SHOWN: [(usize, usize); 3] = [(100, 24), (60, 16), (0, 8)];

/// Columns that the name of a layer has in any case.
const LEAST_NAME: usize = 12;

/// Columns that it has at most, also where lines may be as long as they like: an instruction can be as long as a script, and the times
/// stand behind it. JSON has it whole.
const MOST_NAME: usize = 72;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long the layers of an image ran from build to build.
#[derive(Debug, Clone, PartialEq)]
pub struct Trends {
    /// The image, without its tag.
    pub image: Option<Text>,
    /// The layers, on each platform and builder.
    pub layers: Vec<LayerRuns>,
    /// When that was asked.
    pub asked: Time,
}

/// A layer that takes another time since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TrendChange {
    /// The median before, in ms.
    pub before_ms: u64,
    /// The median since, in ms.
    pub after_ms: u64,
    /// Begin of the first build in which it took the other time, in µs since the Unix epoch.
    pub since: Time,
}

impl TrendChange {
    /// Whether it became slower.
    pub fn is_slower(&self) -> bool {
        self.after_ms > self.before_ms
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// What runs differ by: the median of how far they are from their median.
fn spread(times: &[Duration]) -> Duration {
    let middle = median(times);
    median(&times.iter().map(|time| time.abs_diff(middle)).collect::<Vec<_>>())
}

/// Where the runs changed for good, oldest first: of all places the one where the median of the runs behind differs most from that of
/// those before, beyond what they differ by anyway; and the newest runs must still be as those behind it.
pub fn change(runs: &[(Time, Duration)]) -> Option<TrendChange> {
    let times: Vec<Duration> = runs.iter().map(|(_, took)| *took).collect();
    let mut best: Option<(Duration, usize, Duration, Duration)> = None;
    for at in FEWEST..(times.len() + 1).saturating_sub(FEWEST) {
        let before = times.get(at.saturating_sub(MOST)..at).unwrap_or_default();
        let after = times.get(at..times.len().min(at + MOST)).unwrap_or_default();
        let (old, new) = (median(before), median(after));
        let noise = spread(before).max(spread(after)) * BEYOND_NOISE;
        let limit = noise.max(old.mul_f64(LEAST_SHARE)).max(LEAST);
        let Some(beyond) = old.abs_diff(new).checked_sub(limit).filter(|beyond| !beyond.is_zero()) else {
            continue;
        };
        let newest =
            median(times.get(times.len().saturating_sub(MOST.min(times.len() - at))..).unwrap_or_default());
        // It may have become as it was.
        let stays = newest.abs_diff(new) < newest.abs_diff(old);
        // Of places that tell as much the one where the first run is as those behind it.
        let first = times.get(at).is_some_and(|first| first.abs_diff(new) < first.abs_diff(old));
        if stays && first && best.is_none_or(|(known, ..)| beyond > known) {
            best = Some((beyond, at, old, new));
        }
    }
    let (_, at, old, new) = best?;
    // Where runs differ the best place may lie a little behind the first run that took the other time.
    let is_new = |at: &usize| times.get(*at).is_some_and(|time| time.abs_diff(new) < time.abs_diff(old));
    let at = (0..at).rev().take_while(is_new).last().unwrap_or(at);
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (since, _) = runs.get(at)?;
    Some(TrendChange { before_ms: millis(old), after_ms: millis(new), since: *since })
}

/// How many runs fit into lines of so many columns.
fn shown(most: Option<usize>) -> usize {
    let fits = |(wide, _): &&(usize, usize)| most.is_none_or(|most| most >= *wide);
    SHOWN.iter().find(fits).map_or(0, |(_, runs)| *runs)
}

/// The newest runs as bars of eight heights, from nothing to the longest.
fn sparkline(runs: &[(Time, Duration)], shown: usize, ascii: bool) -> String {
    let bars: [char; 8] = if ascii {
        ['_', '.', ',', '-', '=', '+', '*', '#']
    } else {
        ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    };
    let shown = runs.get(runs.len().saturating_sub(shown)..).unwrap_or_default();
    let most =
        shown.iter().map(|(_, took)| *took).max().unwrap_or_default().as_secs_f64().max(f64::MIN_POSITIVE);
    let bar = |(_, took): &(Time, Duration)| {
        let height = (took.as_secs_f64() / most * 7.0).round() as usize;
        bars[height.min(7)]
    };
    shown.iter().map(bar).collect()
}

/// `pip on linux/amd64: 2:10 → 3:40 since Tuesday`, in so many columns: of a long name the end is left out, for the times are what is
/// told.
fn sentence(
    layer: &LayerRuns,
    change: &TrendChange,
    now: Time,
    several: bool,
    columns: usize,
    ascii: bool,
) -> String {
    let arrow = if ascii { "->" } else { "→" };
    let mut on = layer.platform.as_ref().map(|platform| format!(" on {platform}")).unwrap_or_default();
    if let Some(builder) = layer.builder.as_ref().filter(|_| several) {
        on = format!("{on} of {builder}");
    }
    let time = |millis| words::duration(Duration::from_millis(millis));
    let (before, after) = (time(change.before_ms), time(change.after_ms));
    let rest = format!("{on}: {before} {arrow} {after} since {}", day(change.since, now));
    let room = columns.saturating_sub(words::width(&rest)).clamp(LEAST_NAME, MOST_NAME);
    format!("{}{rest}", words::cut_to(&words::instruction(layer.layer.as_str()), room, ascii))
}

/// `Tuesday`, of the last six days; else `2026-11-03`. The days are those of UTC.
fn day(then: Time, now: Time) -> String {
    let moment = jiff::Timestamp::from_microsecond(then.micros()).unwrap_or_default();
    let form = if now.since(then) < 6 * DAY { "%A" } else { "%Y-%m-%d" };
    moment.strftime(form).to_string()
}

/// Whether there are layers of more than one builder: then each row says of which it is.
fn several(layers: &[LayerRuns]) -> bool {
    layers.first().is_some_and(|first| layers.iter().any(|layer| layer.builder != first.builder))
}

/// The layers of an image: first those that changed, in a sentence each, then all of them.
pub fn lines(told: &Trends, most: Option<usize>, ascii: bool) -> Vec<StyledLine> {
    let layers = &told.layers;
    let of = told.image.as_ref().map_or_else(|| "builds without an image".to_owned(), ToString::to_string);
    if layers.is_empty() {
        return vec![
            StyledLine::new().with(format!("no layer of {of} has run in a build that is kept"), Role::Dim),
        ];
    }
    let several = several(layers);
    let on = layers.first().and_then(|layer| layer.builder.as_ref()).filter(|_| !several);
    let on = on.map(|builder| format!(" on {builder}")).unwrap_or_default();
    let title = StyledLine::new()
        .with(of, Role::Strong)
        .with(format!("{on}: how long its layers ran, oldest to newest"), Role::Plain);
    let columns = most.unwrap_or(usize::MAX);
    let mut lines = vec![title.cut(columns, ascii)];
    let mut changed: Vec<(&LayerRuns, TrendChange)> =
        layers.iter().filter_map(|layer| Some((layer, change(&layer.runs)?))).collect();
    changed.sort_by_key(|(_, change)| std::cmp::Reverse(change.after_ms.saturating_sub(change.before_ms)));
    for (layer, change) in &changed {
        let (mark, role) = if change.is_slower() { ("! ", Role::Warn) } else { ("  ", Role::Good) };
        let room = columns.saturating_sub(words::width(mark));
        let sentence = sentence(layer, change, told.asked, several, room, ascii);
        lines.push(StyledLine::new().with(mark, role).with(sentence, Role::Plain).cut(columns, ascii));
    }
    lines.push(StyledLine::new());
    let mut head = vec![
        Column::text("layer").at_least(LEAST_NAME),
        Column::text("platform"),
        Column::number("runs"),
        Column::number("median"),
        Column::number("newest"),
        Column::text("trend").at_least(8),
    ];
    if several {
        head.insert(2, Column::text("builder").at_least(8));
    }
    // What takes long matters more than what is called alike.
    let mut longest: Vec<&LayerRuns> = layers.iter().collect();
    longest.sort_by_key(|layer| std::cmp::Reverse(median(&layer.times())));
    let rows: Vec<_> = longest.iter().map(|layer| row(layer, several, shown(most), ascii)).collect();
    lines.extend(columns::lines(&head, &rows, most, ascii));
    lines
}

fn row(layer: &LayerRuns, several: bool, shown: usize, ascii: bool) -> Vec<(String, Role)> {
    let times = layer.times();
    let newest = times.last().copied().unwrap_or_default();
    let role = match change(&layer.runs) {
        Some(change) if change.is_slower() => Role::Warn,
        Some(_) => Role::Good,
        None => Role::Plain,
    };
    let name = words::cut_to(&words::instruction(layer.layer.as_str()), MOST_NAME, ascii);
    let mut row = vec![
        (name, Role::Plain),
        (layer.platform.as_ref().map(|platform| platform.short().to_owned()).unwrap_or_default(), Role::Dim),
        (times.len().to_string(), Role::Plain),
        (words::duration(median(&times)), Role::Plain),
        (words::duration(newest), Role::Strong),
        (sparkline(&layer.runs, shown, ascii), role),
    ];
    if several {
        let builder = layer.builder.as_ref().map(ToString::to_string).unwrap_or_default();
        row.insert(2, (builder, Role::Dim));
    }
    row
}

/// What `layertop stats --trends --progress json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TrendsLine {
    /// `trends`.
    r#type: TrendsType,
    /// Version of the line. A field that is only added is no new version.
    version: u64,
    /// The image without its tag; null: builds that name none.
    image: Option<Text>,
    /// Each layer, on each platform and builder.
    layers: Vec<LayerTrend>,
}

/// The type of such a line.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TrendsType {
    /// The only one.
    Trends,
}

/// A layer on a platform of a builder.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LayerTrend")]
struct LayerTrend {
    /// Its name; the instruction of a step that is of no layer.
    layer: Text,
    /// The platform.
    platform: Option<Platform>,
    /// The builder.
    builder: Option<Text>,
    /// Median of its runs, in ms.
    median_ms: u64,
    /// Since when it takes another time; null where it takes what it took.
    change: Option<TrendChange>,
    /// Its runs, oldest first.
    runs: Vec<LayerRun>,
}

/// A run of a layer: what those of its steps took in all that ran in a build.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LayerRun")]
struct LayerRun {
    /// When the build began, in µs since the Unix epoch.
    at: Time,
    /// How long it ran, in ms.
    ms: u64,
}

/// The same as one JSON object on a line.
pub fn json(told: &Trends) -> String {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let layers = told.layers.iter().map(|found| LayerTrend {
        layer: found.layer.clone(),
        platform: found.platform.clone(),
        builder: found.builder.clone(),
        median_ms: millis(median(&found.times())),
        change: change(&found.runs),
        runs: found.runs.iter().map(|(at, took)| LayerRun { at: *at, ms: millis(*took) }).collect(),
    });
    let line = TrendsLine {
        r#type: TrendsType::Trends,
        version: VERSION,
        image: told.image.clone(),
        layers: layers.collect(),
    };
    let mut line = serde_json::to_string(&line).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs of so many seconds, one a day.
    fn runs(seconds: &[f64]) -> Vec<(Time, Duration)> {
        let day = |at: usize| Time::default().plus(DAY * u32::try_from(at).unwrap());
        seconds.iter().enumerate().map(|(at, took)| (day(at), Duration::from_secs_f64(*took))).collect()
    }

    fn found(seconds: &[f64]) -> Option<(u64, u64, u64)> {
        let found = change(&runs(seconds))?;
        Some((
            found.before_ms / 1000,
            found.after_ms / 1000,
            found.since.since(Time::default()).as_secs() / DAY.as_secs(),
        ))
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        assert_eq!(found(&[130.0, 131.0, 129.0, 130.0, 220.0, 221.0, 219.0]), Some((130, 220, 4)));
        assert_eq!(found(&[220.0, 221.0, 219.0, 130.0, 131.0, 129.0]), Some((220, 130, 3)));
        // Long ago, with runs enough since.
        let long: Vec<f64> = (0..40).map(|at| if at < 10 { 10.0 } else { 20.0 }).collect();
        assert_eq!(found(&long), Some((10, 20, 10)));
    }

    #[test]
    fn what_is_no_step_is_not_found() {
        for seconds in [
            &[][..],
            &[1.0, 9.0],
            &[10.0, 10.0, 10.0, 20.0, 20.0],
            // One run that was slow, and one that still is the only one.
            &[10.0, 10.0, 10.0, 60.0, 10.0, 10.0, 10.0],
            &[10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 60.0],
            // Noise, and what is too little.
            &[10.0, 14.0, 8.0, 13.0, 9.0, 15.0, 11.0, 14.0, 9.0],
            &[10.0, 10.0, 10.0, 11.0, 11.0, 11.0],
            &[0.1, 0.1, 0.1, 0.9, 0.9, 0.9],
            // It became as it was.
            &[10.0, 10.0, 10.0, 10.0, 30.0, 30.0, 30.0, 10.0, 10.0, 10.0, 10.0],
        ] {
            assert_eq!(found(seconds), None, "{seconds:?}");
        }
    }

    #[test]
    fn a_long_name_leaves_room_for_what_is_told_of_it() {
        let layer = LayerRuns {
            layer: Text::clean(&format!("RUN echo {}", "x".repeat(150))),
            platform: Platform::parse("linux/amd64"),
            builder: None,
            runs: runs(&[10.0, 10.0, 10.0, 20.0, 20.0, 20.0]),
        };
        let told =
            Trends { image: Some("app".into()), layers: vec![layer], asked: Time::default().plus(DAY * 6) };
        // Piped, a line may be as long as it likes, but for the script that an instruction can be.
        let piped = lines(&told, None, false);
        assert!(piped.iter().all(|line| line.width() <= 150), "{piped:#?}");
        for columns in [64, 80, 100] {
            let lines = lines(&told, Some(columns), false);
            assert!(lines.iter().all(|line| line.width() <= columns), "{columns}: {lines:?}");
            let text: String =
                lines.get(1).into_iter().flat_map(StyledLine::pieces).map(|(text, _)| text).collect();
            assert!(text.starts_with("! RUN "), "{text}");
            assert!(text.ends_with("… on linux/amd64: 10.0 s → 20.0 s since Sunday"), "{text}");
        }
    }

    #[test]
    fn days_and_bars() {
        // The epoch was a Thursday.
        let at = |day: u32| Time::default().plus(DAY * day);
        assert_eq!((day(at(5), at(7)), day(at(5), at(20))), ("Tuesday".to_owned(), "1970-01-06".to_owned()));
        assert_eq!(sparkline(&runs(&[9.0, 0.0, 5.0, 10.0]), 3, false), "▁▅█");
        assert_eq!(sparkline(&runs(&[0.0, 5.0, 10.0]), shown(Some(40)), true), "_=#");
    }

    proptest! {
        /// Noise of a tenth around any level is no change, and a step to the double is one, at its place.
        #[test]
        fn noise_is_none_and_a_step_is_one(
            level in 20.0f64..600.0,
            noise in proptest::collection::vec(-0.05f64..0.05, 16..40),
            at in 6usize..10,
        ) {
            let flat: Vec<f64> = noise.iter().map(|part| level * (1.0 + part)).collect();
            prop_assert_eq!(found(&flat), None);
            let step: Vec<f64> =
                flat.iter().enumerate().map(|(i, time)| if i < at { *time } else { time * 2.0 }).collect();
            let (_, _, since) = found(&step).unwrap();
            prop_assert_eq!(since, at as u64);
        }
    }
}
