//! What the store answers: rows of it, as values.

use std::time::Duration;

use crate::event::{Platform, Reason, Text, Time};
use crate::model::{Outcome, Source, State, hit_rate};

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
    pub tag: Option<Text>,
    pub builder: Option<Text>,
    pub platforms: Vec<Platform>,
    /// The commit that was checked out.
    pub commit: Option<Text>,
    /// Whether there was anything that was not committed.
    pub dirty: Option<bool>,
    /// The machine that it was started on.
    pub host: Option<Text>,
    pub result: Outcome,
    /// What kind of build it was; none of one that did not succeed.
    pub scenario: Option<Text>,
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
    /// Those that were not and are no base image.
    pub rebuilt: u64,
    /// Those that the build came to.
    pub reached: u64,
    /// Those that no cache had: rebuilt, pulled, failed or stopped.
    pub uncached: u64,
}

impl BuildRow {
    /// Share of the steps the build came to that hit or were not needed, 0 to 1; none where it came to none.
    pub fn hit_rate(&self) -> Option<f64> {
        hit_rate(self.uncached as usize, self.reached as usize)
    }

    /// The image with its tag.
    pub fn reference(&self) -> Option<Text> {
        let image = self.image.as_ref()?;
        Some(match &self.tag {
            Some(tag) => Text::clean(&format!("{image}:{tag}")),
            None => image.clone(),
        })
    }
}

/// A step of a build, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRow {
    pub stage: Option<Text>,
    /// Its number in the stage, from 1.
    pub index: u16,
    pub platform: Option<Platform>,
    pub instruction: Text,
    pub layer: Option<Text>,
    /// What became of it.
    pub state: State,
    /// Where it came from, of a hit.
    pub source: Option<Source>,
    /// Why it was not cached, in a clause and without what that is known by.
    pub reason: Option<Reason>,
    /// How long it was at work, pulls left out.
    pub ran: Duration,
    /// How long blobs were fetched for it.
    pub pulled: Duration,
    /// Bytes that were fetched for it.
    pub bytes: u64,
}

/// Successful builds that can be compared: on the same builder, of the same stage, for the same platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparableRow {
    pub builder: Option<Text>,
    /// The platforms, in the order of their names.
    pub platforms: Vec<Platform>,
    /// The stage that was built, where one was named.
    pub target: Option<Text>,
    /// What they took, by what they rebuilt.
    pub scenarios: Vec<ScenarioRow>,
}

impl ComparableRow {
    /// How many builds they are.
    pub fn builds(&self) -> usize {
        self.scenarios.iter().map(|scenario| scenario.builds).sum()
    }
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
    pub platform: Option<Platform>,
    pub builder: Option<Text>,
    /// When a build began and how long the layer ran in it, oldest first.
    pub runs: Vec<(Time, Duration)>,
}

impl LayerRuns {
    /// How long it ran, oldest first.
    pub fn times(&self) -> Vec<Duration> {
        self.runs.iter().map(|(_, took)| *took).collect()
    }
}
