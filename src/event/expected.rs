//! What earlier builds say about how long this one will take, looked up once at its beginning and told as an event, so that a
//! replay shows the same estimates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Platform, Text};

/// Steps that are told at most: a Dockerfile of more is not known to anybody.
pub const MOST_STEPS: usize = 2_000;

/// How long what this build may do took in earlier builds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Expected {
    /// How many earlier builds it was taken from.
    pub builds: u32,
    /// Steps that have run, at most 2,000.
    pub steps: Vec<ExpectedStep>,
    /// What is no step.
    pub transfers: Vec<ExpectedTransfer>,
    /// What was fetched in the newest ten builds that fetched anything: how fast the next fetches, and unpacks.
    pub pulls: Pulls,
    /// What the newest builds that made what was asked for took beside their steps, at most thirty.
    pub beside: Vec<BesideSample>,
}

/// What a build took beside its steps: its start, imports and exports, and whatever else ran while no step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BesideSample {
    /// How many steps of that build ran.
    pub ran: u32,
    /// How many steps it had, over the platforms.
    pub of: u32,
    /// Whether it pushed its image.
    pub push: bool,
    /// Whether it exported a cache.
    pub cache_export: bool,
    /// How long, in microseconds.
    pub us: u64,
}

/// What was fetched for steps, from a registry or a cache in one, until it was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pulls {
    /// How many bytes, as they are in the registry.
    pub bytes: u64,
    /// How long, in microseconds: the sum over the steps, some of which were fetched for side by side.
    pub us: u64,
}

/// How long a step took when it ran: the last ten times, on this builder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExpectedStep {
    /// Its stage, where it stood last.
    pub stage: Option<Text>,
    /// Its number in the stage, from 1, where it stood last.
    pub index: u16,
    /// Its platform.
    pub platform: Option<Platform>,
    /// Its text, as the stream has it.
    pub instruction: Text,
    /// The layer that it belonged to.
    pub layer: Option<Text>,
    /// How many runs this is taken from, at most ten.
    pub runs: u32,
    /// Median of their lengths, in microseconds.
    pub median_us: u64,
    /// The length that 95 of 100 stay below, in microseconds: of so few runs, mostly the longest.
    pub p95_us: u64,
    /// Length of the newest, in microseconds.
    pub last_us: u64,
}

/// How long something took that is no step and can't be cached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExpectedTransfer {
    /// What.
    pub kind: TransferKind,
    /// How long in which build, newest first, at most thirty.
    pub samples: Vec<TransferSample>,
}

/// What can't be cached, and takes its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    /// Loading the build context.
    #[default]
    Context,
    /// Importing the cache's manifest.
    CacheImport,
    /// Export of the image: making its layers, pushing or loading it.
    ImageExport,
    /// Export of the cache.
    CacheExport,
    /// What buildx and layertop do behind all that, until the build's process has ended.
    Finish,
}

impl TransferKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Context, Self::CacheImport, Self::ImageExport, Self::CacheExport, Self::Finish];

    /// The kind of this name.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::CacheImport => "cache_import",
            Self::ImageExport => "image_export",
            Self::CacheExport => "cache_export",
            Self::Finish => "finish",
        }
    }
}

/// How long something took in one build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TransferSample {
    /// How many steps of that build ran: an export takes the longer the more layers are new.
    pub ran: u32,
    /// How many steps it had, over the platforms: an export takes the longer the more of them there are. 0: that is not known.
    pub of: u32,
    /// How long, in microseconds.
    pub us: u64,
}
