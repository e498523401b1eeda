//! What a build would do, predicted by `explain` and told as an event: a plan is shown and printed by what shows builds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::Source;
use super::reason::{self, Fact, Reason, ReasonGrade};
use super::{Digest, Text, Time};

/// What is predicted of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// It would be cached.
    Hit,
    /// It would run.
    Miss,
    /// It can't be told.
    #[default]
    Unknown,
}

impl Prediction {
    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Unknown => "unknown",
        }
    }
}

/// What a build would do now. It replaces what was planned before; its steps' vertices, which nobody has started, come before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Planned {
    /// Its steps; none while it is being found out.
    pub steps: Vec<PlannedStep>,
    /// The newest build of the image that has ended, where one is known.
    pub last: Option<LastBuild>,
}

/// A step as it would go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// Its vertex, whose digest is a name within the plan alone.
    pub vertex: Digest,
    /// What it would do.
    #[serde(default)]
    pub predicted: Prediction,
    /// How sure that is.
    #[serde(default)]
    pub grade: ReasonGrade,
    /// Why it would not be cached, or why that can't be told; none of a hit.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// Where a hit would come from; of a step of which nothing is sure: who holds a layer of its instruction. None of a miss.
    #[serde(default)]
    pub source: Option<Source>,
    /// How that is known, in one sentence; empty where the reason says it.
    #[serde(default)]
    pub evidence: Text,
    /// The same for programs, as in a reason.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "reason::known")]
    pub fact: Option<Fact>,
    /// How long it took when it ran, in microseconds: the median of the earlier builds.
    #[serde(default)]
    pub expected_us: Option<u64>,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastBuild {
    /// When.
    pub ended: Time,
    /// With which exit code; none where it is not known.
    #[serde(default)]
    pub exit_code: Option<i32>,
}
