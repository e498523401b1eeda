//! The registry as it stands now: whether it answers, what it holds of the image, and what its cache tag is worth.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Digest, Platform, Text, Time};

/// A cache config larger than this is exported well and then fails to be imported (moby/buildkit 3719, 4916).
pub const MOST_CONFIG_BYTES: u64 = 1 << 20;

/// Everything that is known of the registry, as one snapshot: it replaces the one before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegistrySnapshot {
    /// Where it is asked: `https://registry.example.com`; no user information.
    pub url: Text,
    /// The repository that is looked at: `montage-ai`.
    pub repository: Text,
    /// How it is.
    pub state: RegistryState,
    /// Why, and what to do, in one sentence; empty while all is well.
    pub reason: Text,
    /// The newest attempt to ask `/v2/`.
    pub asked: Time,
    /// The newest answer to one.
    pub answered: Option<Time>,
    /// In how many microseconds the next attempt follows; 0: none follows.
    pub next_us: u64,
    /// How long `/v2/` took to answer, once it has.
    pub latency: Option<Latency>,
    /// How it wants to be signed in to, once it has said so.
    pub auth: Option<Auth>,
    /// Its `Docker-Distribution-Api-Version` header.
    pub api_version: Option<Text>,
    /// Version of TLS that was agreed on, `TLS 1.3`; none over plain http.
    pub tls: Option<Text>,
    /// The image's tags, once they were seen. They stay, with their time, while the registry can't be asked.
    pub tags: Option<Tags>,
    /// The cache tag, once it was looked for.
    pub cache: Option<CacheTag>,
    /// What changed in the repository between two looks of this session, oldest first; the newest 20.
    pub changes: Vec<TagChange>,
}

impl RegistrySnapshot {
    /// Whether it has missed so much that what it said last can't be relied on: two attempts went by without a word of
    /// it, or its newest attempt had no answer.
    pub fn is_stale(&self, now: Time) -> bool {
        let patience = Duration::from_micros(self.next_us.saturating_mul(2)).max(Duration::from_secs(1));
        let silent = self.next_us > 0 && now.since(self.asked) > patience + Duration::from_secs(5);
        silent || self.answered.is_none_or(|answered| answered < self.asked)
    }
}

/// How the registry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegistryState {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It answers, and what was asked for may be read.
    Ok,
    /// It answers, but so slowly that builds wait for it.
    Slow,
    /// Nothing listens at its address.
    Down,
    /// Its name has no address.
    NotResolved,
    /// Its address can't be reached from here: no route, or nobody answers the call.
    Unreachable,
    /// It takes the connection and says nothing, or hangs up: a process that is stopped, or a proxy without one behind it.
    Silent,
    /// No secure connection comes about.
    Tls,
    /// It wants credentials, or does not take those that it got: 401.
    Unauthorized,
    /// It takes the credentials but not for this repository: 403.
    Forbidden,
    /// It has no such repository: 404. Normal before the first push.
    NoRepository,
    /// What answers is no registry.
    NotRegistry,
    /// It answers with an error of its own: 429, 5xx, or what makes no sense.
    Failing,
}

impl RegistryState {
    /// Whether it can serve a build.
    pub fn is_well(self) -> bool {
        matches!(self, Self::Ok | Self::NoRepository)
    }
}

/// How long the registry takes to answer `/v2/`, from the request sent to the head of the answer, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Latency {
    /// The newest.
    pub last_us: u64,
    /// Half of this session's answers were at least as fast.
    pub p50_us: u64,
    /// 95 of 100 of this session's answers were.
    pub p95_us: u64,
    /// How many answers these are.
    pub samples: u32,
}

/// How the registry wants to be signed in to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Auth {
    /// Its way of asking.
    pub mode: AuthMode,
    /// Where tokens are had, for [`AuthMode::Bearer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<Text>,
    /// Whether it takes the credentials that docker's configuration has for it.
    #[serde(default)]
    pub signed_in: bool,
}

/// Ways of asking who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// It does not ask.
    None,
    /// User and password with each request.
    Basic,
    /// A token that another server hands out.
    Bearer,
}

/// The tags of the repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tags {
    /// When they were looked at.
    pub looked: Time,
    /// How many there are; at least, where `more`.
    pub total: u64,
    /// Whether there are more than were counted.
    pub more: bool,
    /// How many of them were opened so far; the others are opened in later looks.
    pub opened: u64,
    /// Those that are worth a line: the one being built, then the newest first, then those whose age is not known.
    pub list: Vec<Tag>,
}

/// One tag.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tag {
    /// Its name.
    pub name: Text,
    /// What it points at; none where that is not known yet.
    pub digest: Option<Digest>,
    /// Platforms of the image; empty where they are not known.
    pub platforms: Vec<Platform>,
    /// Bytes of all its layers and configs, blobs that platforms share counted once; none where it is not known.
    pub bytes: Option<u64>,
    /// When the image was built, by its own config.
    pub created: Option<Time>,
    /// Whether it is the tag being built.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub building: bool,
    /// Whether it is a cache and no image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cache: bool,
}

/// The tag that the build imports its cache from and exports it to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheTag {
    /// Its name.
    pub name: Text,
    /// When it was looked at.
    pub looked: Time,
    /// Whether it is there, and can be used.
    pub state: CacheState,
    /// Why it can't be used, and what to do; empty where it can.
    pub reason: Text,
    /// What it points at.
    pub digest: Option<Digest>,
    /// The shape in which `BuildKit` wrote it.
    pub kind: Option<CacheKind>,
    /// How many blobs its manifest lists, without the config; one that is listed twice counts twice.
    pub blobs: u32,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Bytes of its config; above [`MOST_CONFIG_BYTES`] no build can import it.
    pub config_bytes: u64,
    /// The oldest `buildkit/createdat` of its blobs.
    pub oldest: Option<Time>,
    /// The newest one.
    pub newest: Option<Time>,
    /// The tag whose image it holds most of: a cache itself does not say what it was exported for. None where it holds
    /// nothing of any tag that was opened.
    pub image: Option<Text>,
    /// For each platform of that image: how many of its layers it holds.
    pub platforms: Vec<CachePlatform>,
}

/// Whether the cache tag is there, and can be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheState {
    /// Not looked at yet.
    #[default]
    Unknown,
    /// It is there and can be imported.
    Present,
    /// There is none. Normal before the first export.
    Absent,
    /// It is there, but its config is over the import limit.
    TooLarge,
    /// The tag is no cache of `BuildKit`.
    NotCache,
    /// It can't be read.
    Unreadable,
}

/// The shape of a cache manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheKind {
    /// An image manifest whose config is the cache's: the default since `BuildKit` 0.21.
    ImageManifest,
    /// An index with the config as one of its entries: before that, or with `image-manifest=false`.
    Index,
}

/// How much of one platform's image the cache holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CachePlatform {
    /// The platform.
    pub platform: Platform,
    /// Layers of its image.
    pub layers: u32,
    /// Those that the cache has too, by their content without compression.
    pub held: u32,
}

/// Something in the repository that is not as it was at the last look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagChange {
    /// When it was seen.
    pub at: Time,
    /// The tag.
    pub tag: Text,
    /// What happened to it.
    pub what: TagChangeKind,
    /// By how many bytes a cache grew; negative where it shrank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Blobs that a cache has gained.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub added: u32,
    /// Blobs that it has lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub removed: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What happened to a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TagChangeKind {
    /// It was not there before.
    Added,
    /// It points at something else.
    Moved,
    /// It is gone.
    Removed,
    /// The cache was replaced by another one.
    CacheReplaced,
}
