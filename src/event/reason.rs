//! Why steps were not cached: one reason a step, judged by `explain` and told as events, so that a replay tells the same.

mod cause;
mod fact;

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

pub use cause::{Cause, ChangedFile, Eviction};
pub use fact::{
    Fact, FileChange, GcLimit, LineDifference, StepNumber, Uncompared, VariableChange, VariableDifference,
};

use super::{Advice, Digest, Platform, Text};

/// Reasons of this build's misses, those that are new or have changed. One that stands here replaces what was said of the
/// vertex before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reasons {
    /// The reasons, by vertex.
    pub reasons: Vec<StepReason>,
}

/// The reason of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepReason {
    /// The first vertex of the step.
    pub vertex: Digest,
    /// Why it was not cached.
    pub reason: Reason,
}

/// Why a step was not cached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reason {
    /// Of what kind the reason is.
    pub kind: ReasonKind,
    /// How sure it is.
    pub grade: ReasonGrade,
    /// Whether it is a cause of its own; otherwise it merely follows from another step's.
    pub root: bool,
    /// The step that it follows from; none where it is a cause of its own, or where that is not known.
    pub follows: Option<StepAt>,
    /// The reason as a clause: `requirements.txt changed`.
    pub because: Text,
    /// The same for programs. What was recorded before it was told has none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub cause: Option<Cause>,
    /// What it is known by, what matters most first.
    pub evidence: Vec<Evidence>,
    /// What would have avoided it.
    pub advice: Vec<Advice>,
}

impl Reason {
    /// A cause of its own. It has no words yet.
    pub fn root(grade: ReasonGrade, cause: Cause, evidence: impl IntoIterator<Item: Into<Evidence>>) -> Self {
        let evidence = evidence.into_iter().map(Into::into).collect();
        Self { kind: cause.kind(), grade, root: true, cause: Some(cause), evidence, ..Self::default() }
    }

    /// Whether two steps missed for the same reason. What was recorded without its cause is compared by its words.
    pub fn is_same(&self, other: &Self) -> bool {
        let causes = self.cause.as_ref().zip(other.cause.as_ref());
        self.kind == other.kind
            && causes.map_or(self.because == other.because, |(cause, other)| cause.is_same(other))
    }
}

/// Kinds of reasons.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// No earlier build of it is known here.
    FirstBuild,
    /// The instruction, or what the Dockerfile sets for it, is another.
    InstructionChanged,
    /// Files that it takes are others.
    FilesChanged,
    /// A build argument has another value.
    ArgChanged,
    /// The base image's tag points at another image.
    BaseMoved,
    /// The registry's cache could not be imported, and the builder no longer has the result.
    ImportFailed,
    /// There is no cache in the registry, and the builder no longer has the result.
    ManifestMissing,
    /// The config of the registry's cache is over what `BuildKit` imports, and the builder no longer has the result.
    ConfigTooLarge,
    /// It was built for another platform only.
    PlatformNotCached,
    /// The builder had the result and has it no longer.
    Evicted,
    /// The build was told not to use the cache.
    NoCache,
    /// It was built on another builder only.
    OtherBuilder,
    /// A step that it is built on was rebuilt.
    ParentMissed,
    /// What it takes can't be compared: an address that the builder asks anew each time.
    Uncacheable,
    /// It can't be told.
    #[default]
    Unknown,
}

impl ReasonKind {
    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::FirstBuild => "first_build",
            Self::InstructionChanged => "instruction_changed",
            Self::FilesChanged => "files_changed",
            Self::ArgChanged => "arg_changed",
            Self::BaseMoved => "base_moved",
            Self::ImportFailed => "import_failed",
            Self::ManifestMissing => "manifest_missing",
            Self::ConfigTooLarge => "config_too_large",
            Self::PlatformNotCached => "platform_not_cached",
            Self::Evicted => "evicted",
            Self::NoCache => "no_cache",
            Self::OtherBuilder => "other_builder",
            Self::ParentMissed => "parent_missed",
            Self::Uncacheable => "uncacheable",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it is about what a build is made from, so that whatever is built on the step must be rebuilt too. The
    /// others are about caches, which hold each step by itself.
    pub fn is_change(self) -> bool {
        matches!(
            self,
            Self::InstructionChanged
                | Self::FilesChanged
                | Self::ArgChanged
                | Self::BaseMoved
                | Self::ParentMissed
                | Self::Uncacheable
        )
    }
}

/// How sure a reason is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ReasonGrade {
    /// The evidence leaves nothing else.
    Proven,
    /// Nothing speaks against it.
    Likely,
    /// There is too little evidence, or it contradicts itself.
    #[default]
    Unknown,
}

impl ReasonGrade {
    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Likely => "likely",
            Self::Unknown => "unknown",
        }
    }
}

/// A step on a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepAt {
    /// Its first vertex.
    pub digest: Digest,
    /// Its stage; none where a build has one.
    #[serde(default)]
    pub stage: Option<Text>,
    /// Its number in the stage, from 1.
    pub index: u16,
    /// Its platform.
    #[serde(default)]
    pub platform: Option<Platform>,
}

/// Something that tells a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Evidence {
    /// In words, on one line. What was recorded says it in its own words.
    pub text: Text,
    /// The same for programs. What was recorded before it was told has none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub fact: Option<Fact>,
}

impl From<Fact> for Evidence {
    fn from(fact: Fact) -> Self {
        Self { text: Text::default(), fact: Some(fact) }
    }
}

/// Reads a value of a kind that a later version may have added: what is not known here is left out, and its words stay.
pub(in crate::event) fn known<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kind<T> {
        Known(T),
        Other(IgnoredAny),
    }
    Ok(match Option::<Kind<T>>::deserialize(deserializer)? {
        Some(Kind::Known(value)) => Some(value),
        Some(Kind::Other(_)) | None => None,
    })
}
