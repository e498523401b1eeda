//! What the store answers: rows of it, as values.

use std::time::Duration;

use crate::event::{Platform, Text, Time};
use crate::model::Outcome;

/// A build, as much of it as a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRow {
    /// Its number in this store.
    pub id: i64,
    /// Its name: that of its recording, where it has one.
    pub name: Text,
    /// Where its recording was written; it may have been let go since.
    pub recording: Option<Text>,
    /// The image, without its tag.
    pub image: Option<Text>,
    /// The image's tag.
    pub tag: Option<Text>,
    /// The builder.
    pub builder: Option<Text>,
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// The commit that was checked out.
    pub commit: Option<Text>,
    /// Whether there was anything that was not committed.
    pub dirty: Option<bool>,
    /// The machine that it was started on.
    pub host: Option<Text>,
    /// How it ended.
    pub result: Outcome,
    /// What kind of build it was; none of one that did not succeed.
    pub scenario: Option<Text>,
    /// When it began.
    pub started: Time,
    /// How long it took.
    pub wall: Duration,
    /// How long it would have taken without any cache, where that can be told.
    pub no_cache: Option<Duration>,
    /// Its steps in all.
    pub steps: u64,
    /// Those that were cached.
    pub hits: u64,
    /// Those that were not.
    pub misses: u64,
}

/// What builds of a kind took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioRow {
    /// What kind of build it is, by what it rebuilds.
    pub name: Text,
    /// Successful builds of the kind.
    pub builds: usize,
    /// Median of their wall times.
    pub median: Duration,
    /// What nine of ten of them stay below.
    pub p90: Duration,
    /// Median of what they would have taken without any cache; none where that is known of none.
    pub no_cache: Option<Duration>,
}

impl ScenarioRow {
    /// How much faster than without a cache; none where that is not known.
    pub fn speedup(&self) -> Option<f64> {
        let factor = self.no_cache?.as_secs_f64() / self.median.as_secs_f64();
        factor.is_finite().then_some(factor)
    }
}

/// The runs of a layer on a platform of a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRuns {
    /// The layer; the instruction of a step that is of none.
    pub layer: Text,
    /// The platform.
    pub platform: Option<Platform>,
    /// The builder.
    pub builder: Option<Text>,
    /// When a build began and how long the layer ran in it, oldest first.
    pub runs: Vec<(Time, Duration)>,
}
