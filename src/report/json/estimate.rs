//! A line now and then while a build runs: how long it still takes.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{Digest, Platform, Time};
use crate::model::{Model, State, TimeLeft};

/// How long a build still takes, going by earlier builds: once a second at most, while it is known. It is no event: it follows
/// from what was told before it, and no recording has it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EstimateLine {
    /// When it held.
    pub at: Time,
    /// `estimate`.
    pub r#type: EstimateType,
    /// What the whole build still takes, in ms.
    pub left_ms: u64,
    /// Whether it takes longer than that: something has no history.
    pub at_least: bool,
    /// The same of each platform, its part of the exports included.
    pub platforms: Vec<PlatformLeft>,
    /// Steps that run or will run, as far as they have a history.
    pub steps: Vec<StepLeft>,
}

/// The type of an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EstimateType {
    /// The only one.
    Estimate,
}

/// What a platform still takes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PlatformLeft {
    /// The platform; null where that is not known.
    pub platform: Option<Platform>,
    /// In ms.
    pub left_ms: u64,
    /// Whether it takes longer than that.
    pub at_least: bool,
}

/// What a step still takes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StepLeft {
    /// Its first vertex.
    pub digest: Digest,
    /// Whether it runs already.
    pub running: bool,
    /// What it takes in all, in ms.
    pub expected_ms: u64,
    /// What of that is left, in ms.
    pub left_ms: u64,
    /// How many times slower than usual it is, to two decimals; absent where it is not slower than 95 of 100 runs are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slower: Option<f64>,
}

/// How long a build still takes at `now`, on one line ended by a line feed; none where that is not known.
pub fn estimate_line(model: &Model, now: Time) -> Option<String> {
    let estimate = model.estimate(now);
    let left = estimate.left?;
    let platforms = estimate.platforms.into_iter().filter_map(|(platform, left)| {
        let TimeLeft { time, at_least } = left?;
        Some(PlatformLeft { platform, left_ms: millis(time), at_least })
    });
    let mut steps: Vec<_> = estimate.steps.into_iter().collect();
    steps.sort_by_key(|(id, _)| *id);
    let step = |(id, told): (_, crate::model::StepEstimate)| {
        Some(StepLeft {
            digest: model.digest_of(id)?.clone(),
            running: model.state(id) == State::Running,
            expected_ms: millis(told.expected),
            left_ms: millis(told.left),
            slower: told.slower.map(|factor| (factor * 100.0).round() / 100.0),
        })
    };
    let line = EstimateLine {
        at: now,
        r#type: EstimateType::Estimate,
        left_ms: millis(left.time),
        at_least: left.at_least,
        platforms: platforms.collect(),
        steps: steps.into_iter().filter_map(step).collect(),
    };
    // Numbers and texts can always be written as JSON.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    Some(text)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
