//! How long builds take, by what they rebuild.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{Row, params};

use super::query::{duration, millis, text};
use super::rows::{ComparableRow, ScenarioRow};
use super::scenario;
use super::store::Store;
use crate::event::{Platform, Text};
use crate::explain::repository;
use crate::model::Outcome;

/// The order of Montage AI's table; others follow, the most frequent first.
const ORDER: [&str; 4] = [scenario::FIRST, scenario::CODE, scenario::REQUIREMENTS, scenario::UNCHANGED];

/// The durations of a build, with and without the cache.
pub(super) struct WallSample {
    scenario: Text,
    wall: Duration,
    no_cache: Option<Duration>,
}

/// Builds are compared if they have the same builder, platforms and target.
type ComparisonKey = (Option<Text>, Vec<Platform>, Option<Text>);

impl Store {
    /// What successful builds of an image took, whatever its tag is, by what they rebuilt: those on the builder, for the platforms
    /// and of the stage of the newest first.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn scenarios(&self, image: Option<&str>) -> rusqlite::Result<Vec<ComparableRow>> {
        let image = image.map(|image| repository(image).0);
        let mut query = self.connection.prepare(
            "SELECT scenario, wall_ms, no_cache_ms, builder, platforms, target FROM builds \
             WHERE image IS ?1 AND result = ?2 AND scenario IS NOT NULL ORDER BY started_us DESC, id DESC",
        )?;
        let mut groups: Vec<(ComparisonKey, Vec<WallSample>)> = Vec::new();
        let mut places: HashMap<ComparisonKey, usize> = HashMap::new();
        let mut rows = query.query(params![image, Outcome::Success.key()])?;
        while let Some(row) = rows.next()? {
            let sample = WallSample {
                scenario: text(row, 0)?.unwrap_or_default(),
                wall: millis(row, 1)?,
                no_cache: row.get::<_, Option<i64>>(2)?.map(duration),
            };
            let comparison_key = comparison_key(row)?;
            let at = *places.entry(comparison_key.clone()).or_insert(groups.len());
            match groups.get_mut(at) {
                Some((_, samples)) => samples.push(sample),
                None => groups.push((comparison_key, vec![sample])),
            }
        }
        let alike = |((builder, platforms, target), samples)| ComparableRow {
            builder,
            platforms,
            target,
            scenarios: scenarios(samples),
        };
        Ok(groups.into_iter().map(alike).collect())
    }
}

fn comparison_key(row: &Row<'_>) -> rusqlite::Result<ComparisonKey> {
    let mut platforms = Platform::parse_list(row.get_ref(4)?.as_str()?);
    // In which order they were asked for makes no difference.
    platforms.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    Ok((text(row, 3)?, platforms, text(row, 5)?))
}

/// The builds, scenario by scenario.
pub(super) fn scenarios(samples: Vec<WallSample>) -> Vec<ScenarioRow> {
    let mut by_name: HashMap<Text, (Vec<Duration>, Vec<Duration>)> = HashMap::new();
    for sample in samples {
        let (walls, no_cache) = by_name.entry(sample.scenario).or_default();
        walls.push(sample.wall);
        no_cache.extend(sample.no_cache);
    }
    let row = |(name, (mut walls, mut no_cache)): (Text, (Vec<Duration>, Vec<Duration>))| {
        walls.sort_unstable();
        no_cache.sort_unstable();
        ScenarioRow {
            name,
            builds: walls.len(),
            median: median(&walls).unwrap_or_default(),
            p90: rank(&walls, 0.9).unwrap_or_default(),
            no_cache: median(&no_cache),
        }
    };
    let mut rows: Vec<ScenarioRow> = by_name.into_iter().map(row).collect();
    let place =
        |row: &ScenarioRow| ORDER.iter().position(|name| *name == row.name.as_str()).unwrap_or(ORDER.len());
    rows.sort_by(|a, b| (place(a), b.builds, &a.name).cmp(&(place(b), a.builds, &b.name)));
    rows
}

/// The middle of sorted durations; of an even number of them the mean of the two in the middle.
fn median(sorted: &[Duration]) -> Option<Duration> {
    let (below, above) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some((*below + *above) / 2)
}

/// The smallest of sorted durations that a share of them is not above.
fn rank(sorted: &[Duration], share: f64) -> Option<Duration> {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ranks() {
        let seconds = |list: &[u64]| list.iter().map(|s| Duration::from_secs(*s)).collect::<Vec<_>>();
        assert_eq!(median(&[]), None);
        assert_eq!(rank(&[], 0.9), None);
        assert_eq!(median(&seconds(&[7])), Some(Duration::from_secs(7)));
        assert_eq!(median(&seconds(&[1, 2])), Some(Duration::from_millis(1500)));
        assert_eq!(median(&seconds(&[1, 2, 9])), Some(Duration::from_secs(2)));
        assert_eq!(rank(&seconds(&[7]), 0.9), Some(Duration::from_secs(7)));
        assert_eq!(rank(&seconds(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), 0.9), Some(Duration::from_secs(9)));
        assert_eq!(rank(&seconds(&[1, 2, 3]), 0.9), Some(Duration::from_secs(3)));
    }

    #[test]
    fn scenarios_come_in_the_order_of_the_table() {
        let sample = |name: &str, wall: u64, no_cache: Option<u64>| WallSample {
            scenario: name.into(),
            wall: Duration::from_secs(wall),
            no_cache: no_cache.map(Duration::from_secs),
        };
        let rows = scenarios(vec![
            sample("zsh change", 4, None),
            sample("no changes", 2, Some(60)),
            sample("conda change", 30, Some(60)),
            sample("zsh change", 4, None),
            sample("first build", 60, Some(60)),
            sample("no changes", 4, Some(62)),
        ]);
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["first build", "no changes", "zsh change", "conda change"]);
        assert_eq!(
            (rows[1].median, rows[1].no_cache),
            (Duration::from_secs(3), Some(Duration::from_secs(61)))
        );
        assert!((rows[1].speedup().unwrap() - 61.0 / 3.0).abs() < 1e-9);
        assert_eq!(rows[2].speedup(), None);
    }
}
