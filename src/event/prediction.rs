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
    /// The same for programs. What was recorded before it was told has none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "reason::known")]
    pub basis: Option<Basis>,
    /// How long it took when it ran, in microseconds: the median of the earlier builds.
    #[serde(default)]
    pub expected_us: Option<u64>,
}

/// What a prediction rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Basis {
    /// The step is not known.
    NoStep,
    /// The step's fingerprint is not known.
    NoFingerprint,
    /// The base image can't be read from the `FROM`.
    BaseUnreadable,
    /// `FROM scratch`: there is nothing to pull.
    Scratch,
    /// What the base image's tag points at now is not known.
    BaseUnresolved {
        /// The image's reference.
        image: Text,
    },
    /// The builder has the base image.
    BasePresent {
        /// The image's reference.
        image: Text,
    },
    /// The base image's tag points at what an earlier build was made of.
    BaseUnmoved {
        /// The image's reference.
        image: Text,
    },
    /// The builder is not known to have the base image.
    BaseUnclear {
        /// The image's reference.
        image: Text,
    },
    /// The build is told not to use the cache.
    NoCache,
    /// The step that it is built on would be rebuilt.
    BuiltOnRebuilt,
    /// A step that it takes files from would be rebuilt.
    TakesRebuilt,
    /// The steps that are built on it would be cached.
    UsersCached,
    /// It depends on what another step takes, which only the builder sees.
    DependsOnUnseen {
        /// That step's number in its stage, from 1.
        index: u64,
    },
    /// An instruction of the base image (`ONBUILD`) takes files, and only the builder sees which.
    TriggerUnseen,
    /// No earlier build has a fingerprint.
    NoEarlierFingerprint,
    /// It was never built on what it is built on now.
    NewBelow,
    /// It was never built here.
    NeverBuilt,
    /// It was never built here, and what the builder holds is not known.
    NeverBuiltUnlisted,
    /// The builder has a record of this instruction, from a build that is not known here.
    ForeignRecord,
    /// What the builder holds is not known.
    Unlisted,
    /// The builder has the record that an earlier build made or used.
    RecordThere {
        /// That build.
        build: Text,
    },
    /// Some of the records that an earlier build made or used are gone.
    RecordsPartlyGone {
        /// That build.
        build: Text,
    },
    /// The builder has the records that an earlier build imported.
    ImportsThere {
        /// That build.
        build: Text,
    },
    /// A registry's cache holds it.
    CacheHolds {
        /// The cache's reference.
        reference: Text,
        /// The layer's blob.
        blob: Digest,
    },
    /// A registry's cache holds a layer of this instruction, and what that was made from is not known.
    CacheHoldsLayer {
        /// The cache's reference.
        reference: Text,
    },
    /// It is not known whether the registry's cache holds it.
    CacheUnclear,
    /// Evidence as in a reason.
    Evidence {
        /// What it is.
        fact: Fact,
    },
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
