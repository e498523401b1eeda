//! What tells where a hit came from: the builder's records before and after a build, and the cache manifest that it imports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Digest, Platform, Text, Time};

/// Where a hit came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// From the builder's own cache.
    Local,
    /// From a cache in a registry.
    Registry,
    /// It can't be told.
    Unknown,
}

impl Source {
    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Registry => "registry",
            Self::Unknown => "unknown",
        }
    }
}

/// Records of one listing that are told; of more the newest used ones.
pub const MOST_RECORDS: usize = 20_000;

/// When a listing was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At the start of the build: all records.
    #[default]
    Before,
    /// At its end: the records that are new or were used since, and which are gone.
    After,
}

/// The disk-usage records of one node's `BuildKit` (`Control.DiskUsage`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Records {
    /// Before the build or after it.
    pub when: When,
    /// The node's name as buildx has it.
    pub node: Text,
    /// How many nodes the builder has.
    pub nodes: u32,
    /// Platforms that the node was given; empty: whatever its `BuildKit` can build.
    pub platforms: Vec<Platform>,
    /// When it was asked.
    pub asked: Time,
    /// When it had answered.
    pub answered: Time,
    /// Why there is no listing; the lists are empty then.
    pub error: Option<Text>,
    /// How many records the node has; more than are told where there are more than [`MOST_RECORDS`].
    pub total: u64,
    /// The records.
    pub records: Vec<CacheRecord>,
    /// After the build: identities of records that are no longer there.
    pub gone: Vec<Text>,
}

/// One record of the builder's cache.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheRecord {
    /// `BuildKit`'s identity of it.
    pub id: Text,
    /// The records that it builds on; several for the result of a merge (`COPY --link`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Text>,
    /// `BuildKit`'s word for its kind: `regular`, `source.local`, `exec.cachemount`, …
    pub kind: Text,
    /// `[linux/amd64 6/11] COPY …`, `mount / from exec /bin/sh -c …`, `pulled from …`, `imported sha256:…`; cut to 400
    /// characters.
    pub description: Text,
    /// The blob that it was imported as, from a registry cache; none for what was made or pulled here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<Digest>,
    /// Bytes on disk; 0 for an imported record whose blob was not fetched yet.
    pub bytes: u64,
    /// When it was made. An imported record has the moment at which it was made where it comes from, the same as
    /// `buildkit/createdat` in the cache manifest.
    pub created: Time,
    /// When it was used last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Time>,
    /// How often it was used.
    pub uses: u64,
    /// Whether a build holds it now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_use: bool,
    /// Whether images hold it as well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Whether it may still change: contexts and cache mounts, and results that no image was made of yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mutable: bool,
}

impl Records {
    /// Whether the node answered, and all of its records are told.
    pub fn is_whole(&self) -> bool {
        self.error.is_none() && self.total <= self.records.len() as u64
    }

    /// Whether all are told and none is the result of a step. Base images are none.
    pub fn is_bare(&self) -> bool {
        let made = |record: &CacheRecord| {
            record.is_result() && !record.description.as_str().starts_with("pulled from ")
        };
        self.is_whole() && !self.records.iter().any(made)
    }
}

impl CacheRecord {
    /// Whether it is the result of a step, or a base image.
    pub fn is_result(&self) -> bool {
        self.kind.as_str() == "regular"
    }
}

/// A cache in a registry, read at the start of the build, with the images that tell what its layers are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheManifest {
    /// Where it was read: `registry:5000/montage-ai:buildcache`.
    pub reference: Text,
    /// When it had been read.
    pub read: Time,
    /// Why it could not be read, or is no cache; there are no layers then.
    pub error: Option<Text>,
    /// Bytes of its config, of which `BuildKit` imports at most 1 MiB.
    pub config_bytes: u64,
    /// Its layers, in the order of its config.
    pub layers: Vec<CacheLayer>,
    /// Its cache keys, in the order of its config.
    pub keys: Vec<CacheKey>,
    /// The image of this repository that was built last, platform by platform.
    pub images: Vec<CacheImage>,
}

/// One layer of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CacheLayer {
    /// Its blob.
    pub blob: Digest,
    /// Place of the layer that it lies on; none for the first of a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Its content without compression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Digest>,
    /// Bytes of its blob.
    #[serde(default)]
    pub bytes: u64,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
}

/// One cache key of a cache, and its results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CacheKey {
    /// The key; no vertex has it for its name.
    pub digest: Digest,
    /// Places of the layers that are its results; empty where only the key was exported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<u32>,
}

/// One platform of an image: what tells which instruction made which layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheImage {
    /// Its tag.
    pub tag: Text,
    /// The platform.
    pub platform: Option<Platform>,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageLayer {
    /// Its content without compression.
    pub diff: Digest,
    /// Its blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Digest>,
    /// What made it, by the image's history, without build arguments: `RUN /bin/sh -c make`; cut to 400 characters.
    #[serde(default)]
    pub made_by: Text,
}
