//! How long layers ran from build to build: out of the store, or out of builds as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::params;

use super::build::StoredBuild;
use super::query::{micros, platform, text};
use super::rows::LayerRuns;
use super::store::Store;
use crate::event::{Platform, Text, Time};
use crate::explain::repository;
use crate::model::{Model, State};

/// Builds that are looked at, the newest.
const MOST_BUILDS: i64 = 500;

impl Store {
    /// The runs of each layer of an image, of a step of none by its instruction, whatever its tag is, on each platform and
    /// builder, oldest first. Of a layer with several steps the sum of those that ran in a build, where as many ran as in the newest: what ran in parts takes another time.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn layer_runs(&self, image: Option<&str>) -> rusqlite::Result<Vec<LayerRuns>> {
        let image = image.map(|image| repository(image).0);
        let mut query = self.connection.prepare(
            "SELECT coalesce(s.layer, t.text) AS what, s.platform, b.builder, b.started_us, sum(s.ran_us), count(*) \
             FROM (SELECT id, builder, started_us FROM builds WHERE image IS ?1 ORDER BY started_us DESC, id DESC LIMIT ?2) AS b \
             JOIN steps AS s ON s.build = b.id JOIN texts AS t ON t.id = s.instruction WHERE s.state = 'miss' \
             GROUP BY b.id, what, s.platform ORDER BY b.started_us, b.id",
        )?;
        let mut found = LayerRunsByKey::default();
        let mut rows = query.query(params![image, MOST_BUILDS])?;
        while let Some(row) = rows.next()? {
            let layer = (text(row, 0)?.unwrap_or_default(), platform(row, 1)?, text(row, 2)?);
            found.add(layer, (Time::from_micros(row.get(3)?), micros(row, 4)?, row.get(5)?));
        }
        Ok(found.layers())
    }
}

/// The same of builds as they are, oldest first.
pub fn layer_runs<'a>(builds: impl IntoIterator<Item = &'a Model>) -> Vec<LayerRuns> {
    let mut found = LayerRunsByKey::default();
    for model in builds {
        let build = StoredBuild::of(model, Text::default(), None);
        let mut sums: BTreeMap<LayerKey, (Duration, u32)> = BTreeMap::new();
        for step in build.steps.into_iter().filter(|step| step.past.state == State::Miss) {
            let layer = step.layer.unwrap_or(step.past.instruction);
            let (took, steps) = sums.entry((layer, step.past.platform, build.builder.clone())).or_default();
            *took += step.ran;
            *steps += 1;
        }
        for (layer, (took, steps)) in sums {
            found.add(layer, (build.started, took, steps));
        }
    }
    found.layers()
}

/// A layer, a platform, a builder.
type LayerKey = (Text, Option<Platform>, Option<Text>);

/// When a build began, how long a layer ran in it, and how many of its steps did.
type RunSample = (Time, Duration, u32);

/// The runs of layers, as they are found.
#[derive(Default)]
struct LayerRunsByKey(BTreeMap<LayerKey, Vec<RunSample>>);

impl LayerRunsByKey {
    fn add(&mut self, layer: LayerKey, run: RunSample) {
        self.0.entry(layer).or_default().push(run);
    }

    /// Of each layer the builds in which as many of its steps ran as in the newest: what ran in parts takes another time.
    fn layers(self) -> Vec<LayerRuns> {
        let layer = |((layer, platform, builder), runs): (LayerKey, Vec<RunSample>)| {
            let steps = runs.last().map_or(0, |(_, _, steps)| *steps);
            let alike = runs.into_iter().filter(|(_, _, of)| *of == steps);
            LayerRuns { layer, platform, builder, runs: alike.map(|(at, took, _)| (at, took)).collect() }
        };
        self.0.into_iter().map(layer).collect()
    }
}
