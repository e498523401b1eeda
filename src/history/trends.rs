//! How long layers ran from build to build.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::params;

use super::query::{micros, platform, text};
use super::rows::LayerRuns;
use super::store::Store;
use crate::event::{Platform, Text, Time};
use crate::explain::repository;

/// Builds that are looked at, the newest.
const MOST_BUILDS: i64 = 500;

impl Store {
    /// The runs of each layer of an image, of a step of none by its instruction, whatever its tag is, on each platform and builder, oldest first. Of a layer with several
    /// steps the sum of those that ran in a build, where as many ran as in the newest: what ran in parts takes another time.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn layer_runs(&self, image: Option<&str>) -> rusqlite::Result<Vec<LayerRuns>> {
        type Run = (Time, Duration, u32);
        let image = image.map(|image| repository(image).0);
        let mut query = self.connection.prepare(
            "SELECT coalesce(s.layer, t.text) AS what, s.platform, b.builder, b.started_us, sum(s.ran_us), count(*) \
             FROM (SELECT id, builder, started_us FROM builds WHERE image IS ?1 ORDER BY started_us DESC, id DESC LIMIT ?2) AS b \
             JOIN steps AS s ON s.build = b.id JOIN texts AS t ON t.id = s.instruction WHERE s.state = 'miss' \
             GROUP BY b.id, what, s.platform ORDER BY b.started_us, b.id",
        )?;
        let mut found: BTreeMap<(Text, Option<Platform>, Option<Text>), Vec<Run>> = BTreeMap::new();
        let mut rows = query.query(params![image, MOST_BUILDS])?;
        while let Some(row) = rows.next()? {
            let key = (text(row, 0)?.unwrap_or_default(), platform(row, 1)?, text(row, 2)?);
            let run = (Time::from_micros(row.get(3)?), micros(row, 4)?, row.get(5)?);
            found.entry(key).or_default().push(run);
        }
        let layer =
            |((layer, platform, builder), runs): ((Text, Option<Platform>, Option<Text>), Vec<Run>)| {
                let steps = runs.last().map_or(0, |(_, _, steps)| *steps);
                let alike = runs.into_iter().filter(|(_, _, of)| *of == steps);
                LayerRuns { layer, platform, builder, runs: alike.map(|(at, took, _)| (at, took)).collect() }
            };
        Ok(found.into_iter().map(layer).collect())
    }
}
