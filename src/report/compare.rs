//! Two builds side by side: each step's state, time, reason and size, and what the difference costs.

#![warn(missing_docs)]

mod lines;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::json::{self, BuildResult, StepSummary, Summary, VERSION};
use crate::event::{Platform, Reason, Text, Time};
use crate::history::rows::{BuildRow, StepRow};
use crate::model::{Model, Source, State, name};

pub use lines::lines;

/// What is shorter is no difference: moments differ from build to build.
const NOISE_MS: i64 = 100;

/// Two builds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// `comparison`.
    pub r#type: ComparisonType,
    /// Version of the comparison. A field that is only added is no new version.
    pub version: u64,
    /// The first.
    pub a: BuildTotals,
    /// The second.
    pub b: BuildTotals,
    /// How much longer the second took, in ms.
    pub diff_ms: i64,
    /// The steps, those first whose times differ most.
    pub steps: Vec<StepPair>,
}

/// The type of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonType {
    /// The only one.
    Comparison,
}

/// A build as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BuildTotals {
    /// The name of its recording, or what that would be.
    pub name: Text,
    /// Reference of its image.
    pub image: Option<Text>,
    /// When it began, in µs since the Unix epoch.
    pub started: Option<Time>,
    /// How it ended.
    pub result: BuildResult,
    /// How long it took, in ms.
    pub wall_ms: u64,
    /// How long its steps ran, in all, in ms.
    pub run_ms: u64,
    /// How long blobs were fetched, in all, in ms.
    pub pull_ms: u64,
    /// Bytes fetched.
    pub pulled_bytes: u64,
    /// Steps that hit.
    pub hits: usize,
    /// Steps that were rebuilt: as in the summary, no base image that was pulled.
    pub rebuilt: usize,
    /// Steps that the build came to.
    pub reached: usize,
    /// All steps.
    pub total: usize,
}

/// A step in both builds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StepPair {
    /// Its stage.
    pub stage: Option<Text>,
    /// Its number in the stage; in the second build, where it is in both.
    pub index: u16,
    /// Its platform.
    pub platform: Option<Platform>,
    /// Its layer.
    pub layer: Option<Text>,
    /// Its instruction; that of the second build, where it is in both.
    pub instruction: Text,
    /// Its instruction in the first build, where that is another one: a step that stands in the same place.
    pub instruction_a: Option<Text>,
    /// What became of it in the first; null where it is not in it.
    pub a: Option<ComparedStep>,
    /// What became of it in the second; null where it is not in it.
    pub b: Option<ComparedStep>,
    /// How much longer it took in the second, its pulls included, in ms. Of a step that has not ended what it has taken longer
    /// so far.
    pub diff_ms: i64,
}

/// A step in one of the builds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ComparedStep {
    /// What became of it.
    pub state: State,
    /// Where a hit came from.
    pub source: Option<Source>,
    /// Time at work, in ms. A hit did not run: that it was looked up is no work of it.
    pub run_ms: u64,
    /// Time in which blobs were fetched, in ms.
    pub pull_ms: u64,
    /// Bytes fetched for it; of a layer that the registry's cache has and that was not fetched, that layer's.
    pub bytes: u64,
    /// Why it was not cached.
    pub reason: Option<Reason>,
}

/// A build, as much of it as is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedBuild {
    whole: BuildTotals,
    steps: Vec<PlacedStep>,
}

/// A step of it: where it stands, and what became of it.
#[derive(Debug, Clone, PartialEq)]
struct PlacedStep {
    target: Option<Text>,
    stage: Option<Text>,
    index: u16,
    platform: Option<Platform>,
    layer: Option<Text>,
    instruction: Text,
    /// Bytes fetched for it.
    pulled: u64,
    half: ComparedStep,
}

impl ComparedBuild {
    /// A build by its name and summary.
    pub fn of(name: Text, summary: &Summary) -> Self {
        let steps: Vec<PlacedStep> = summary.steps.iter().map(PlacedStep::of).collect();
        let whole = BuildTotals {
            name,
            image: summary.image.clone(),
            started: summary.started,
            result: summary.result,
            wall_ms: summary.wall_ms,
            hits: summary.layers.hits,
            rebuilt: summary.layers.rebuilt,
            reached: summary.layers.reached,
            total: summary.layers.total,
            ..BuildTotals::sums(&steps)
        };
        Self { whole, steps }
    }

    /// A build as it stands `now`.
    pub fn of_model(name: Text, model: &Model, now: Time) -> Self {
        Self::of(name, &json::summary(model, now))
    }

    /// A build as the history keeps it, where its recording is no more.
    pub fn of_stored(build: &BuildRow, steps: &[StepRow]) -> Self {
        let steps: Vec<PlacedStep> = steps.iter().map(PlacedStep::of_stored).collect();
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let whole = BuildTotals {
            name: build.name.clone(),
            image: build.reference(),
            started: Some(build.started),
            result: build.result.into(),
            wall_ms: millis(build.wall),
            hits: number(build.hits),
            rebuilt: number(build.rebuilt),
            reached: number(build.reached),
            total: number(build.steps),
            ..BuildTotals::sums(&steps)
        };
        Self { whole, steps }
    }
}

impl PlacedStep {
    fn of(step: &StepSummary) -> Self {
        let kept = step.cached_as.as_ref().map_or(0, |layer| layer.bytes);
        Self {
            target: step.target.clone(),
            stage: step.stage.clone(),
            index: step.index,
            platform: step.platform.clone(),
            layer: step.layer.clone(),
            instruction: step.instruction.clone(),
            pulled: step.pulled_bytes,
            half: ComparedStep {
                state: step.state,
                source: step.source,
                run_ms: step.run_ms,
                pull_ms: step.pull_ms,
                bytes: if step.pulled_bytes > 0 { step.pulled_bytes } else { kept },
                reason: step.reason.clone(),
            },
        }
    }

    fn of_stored(step: &StepRow) -> Self {
        Self {
            target: None,
            stage: step.stage.clone(),
            index: step.index,
            platform: step.platform.clone(),
            layer: step.layer.clone(),
            instruction: step.instruction.clone(),
            pulled: step.bytes,
            half: ComparedStep {
                state: step.state,
                source: step.source,
                // Earlier versions kept for a hit how long its tag was looked up.
                run_ms: if step.state == State::Hit { 0 } else { millis(step.ran) },
                pull_ms: millis(step.pulled),
                bytes: step.bytes,
                reason: step.reason.clone(),
            },
        }
    }

    /// Whether two steps may be the same one. The history does not keep for which of bake's targets one was.
    fn is_same_place(&self, other: &Self) -> bool {
        let target = self.target.is_none() || other.target.is_none() || self.target == other.target;
        target && (&self.stage, &self.platform) == (&other.stage, &other.platform)
    }

    /// Its instruction without the digest that a base image's tag points at.
    fn text(&self) -> &str {
        self.instruction.as_str().split("@sha256:").next().unwrap_or_default()
    }
}

impl ComparedStep {
    fn took(&self) -> i64 {
        i64::try_from(self.run_ms.saturating_add(self.pull_ms)).unwrap_or(i64::MAX)
    }

    /// How much longer it took than another.
    fn longer_than(&self, other: i64) -> i64 {
        let diff = self.took().saturating_sub(other);
        match self.state {
            State::Waiting => 0,
            // It is not done: that it is quicker can't be told yet.
            State::Running => diff.max(0),
            _ => diff,
        }
    }
}

impl BuildTotals {
    /// What a build's steps come to; the rest is empty.
    fn sums(steps: &[PlacedStep]) -> Self {
        let sum = |get: fn(&ComparedStep) -> u64| steps.iter().map(|step| get(&step.half)).sum();
        Self {
            name: Text::default(),
            image: None,
            started: None,
            result: BuildResult::Running,
            wall_ms: 0,
            run_ms: sum(|half| half.run_ms),
            pull_ms: sum(|half| half.pull_ms),
            pulled_bytes: steps.iter().map(|step| step.pulled).sum(),
            hits: 0,
            rebuilt: 0,
            reached: 0,
            total: steps.len(),
        }
    }
}

impl StepPair {
    fn of(a: Option<&PlacedStep>, b: Option<&PlacedStep>) -> Option<Self> {
        let shown = b.or(a)?;
        let before = a.map_or(0, |step| step.half.took());
        Some(Self {
            stage: shown.stage.clone(),
            index: shown.index,
            platform: shown.platform.clone(),
            layer: shown.layer.clone(),
            instruction: shown.instruction.clone(),
            instruction_a: a.filter(|a| a.text() != shown.text()).map(|a| a.instruction.clone()),
            a: a.map(|step| step.half.clone()),
            b: b.map(|step| step.half.clone()),
            diff_ms: b.map_or(-before, |step| step.half.longer_than(before)),
        })
    }

    /// How it is called in the first build.
    fn instruction_in_a(&self) -> &Text {
        self.instruction_a.as_ref().unwrap_or(&self.instruction)
    }

    /// Whether anything is worth a line.
    fn differs(&self) -> bool {
        match (&self.a, &self.b) {
            (Some(a), Some(b)) => {
                // What is not known of one, or not yet, is no difference.
                let told = |half: &ComparedStep| half.source.filter(|source| *source != Source::Unknown);
                let moved = told(a).zip(told(b)).is_some_and(|(a, b)| a != b);
                let differs = a.state != b.state || moved || self.instruction_a.is_some();
                b.state != State::Waiting && (differs || self.diff_ms.abs() >= NOISE_MS)
            }
            _ => true,
        }
    }
}

/// Compares two builds.
pub fn compare(a: &ComparedBuild, b: &ComparedBuild) -> Comparison {
    let mut left: Vec<Option<&PlacedStep>> = a.steps.iter().map(Some).collect();
    let mut right: Vec<Option<&PlacedStep>> = vec![None; b.steps.len()];
    // What says the same is the same, wherever it stands; of the rest what does the same kind of thing in the same place.
    let text: SameStep = |a, b| a.text() == b.text();
    let place: SameStep = |a, b| a.index == b.index && name::same_keyword(&a.instruction, &b.instruction);
    for same in [text, place] {
        for (step, found) in b.steps.iter().zip(&mut right).filter(|(_, found)| found.is_none()) {
            let fits = |other: Option<&PlacedStep>| {
                other.is_some_and(|other| other.is_same_place(step) && same(other, step))
            };
            *found = left.iter_mut().find(|other| fits(**other)).and_then(Option::take);
        }
    }
    let both = b.steps.iter().zip(&right).filter_map(|(step, other)| StepPair::of(*other, Some(step)));
    let gone = left.iter().flatten().filter_map(|step| StepPair::of(Some(step), None));
    let mut steps: Vec<StepPair> = both.chain(gone).collect();
    steps.sort_by_key(|pair| std::cmp::Reverse(pair.diff_ms.unsigned_abs()));
    let wall = |side: &ComparedBuild| i64::try_from(side.whole.wall_ms).unwrap_or(i64::MAX);
    Comparison {
        r#type: ComparisonType::Comparison,
        version: VERSION,
        diff_ms: wall(b).saturating_sub(wall(a)),
        a: a.whole.clone(),
        b: b.whole.clone(),
        steps,
    }
}

type SameStep = fn(&PlacedStep, &PlacedStep) -> bool;

/// The comparison as one JSON object on a line.
pub fn json(found: &Comparison) -> String {
    let mut line = serde_json::to_string(found).unwrap_or_default();
    line.push('\n');
    line
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
