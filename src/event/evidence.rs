//! What tells where a hit came from: the builder's records before and after a build, and the cache manifest that it imports.

use std::time::Duration;

use foldhash::{HashMap, HashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::registry::RegistryState;
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

/// How long after the end of a build its builder may still let go what the build has used.
const LOOSE_ENDS: Duration = Duration::from_secs(2);

/// The records that a worker had when it was listed last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownRecords {
    /// When that listing was asked for.
    pub asked: Time,
    /// About how long a listing takes there; none where that was not kept.
    pub took: Option<Duration>,
    /// The [`CacheRecord::mark`] of each of its records, sorted.
    pub marks: Vec<u64>,
}

/// When a listing was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListingTime {
    /// At the start of the build: all records.
    #[default]
    Before,
    /// At its end, or later, as long as no other build had used the builder: the records that are new or were used since the
    /// listing before, and which are gone; all records where there is no listing from before the first hit.
    After,
}

/// The disk-usage records of one node's `BuildKit` (`Control.DiskUsage`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Records {
    /// Before the build or after it.
    pub when: ListingTime,
    /// The node's name as buildx has it.
    pub node: Text,
    /// How many nodes the builder has.
    pub nodes: u32,
    /// `BuildKit`'s identity of the worker whose records these are: a node that was made anew has another one. Empty where it was
    /// not asked.
    #[serde(skip_serializing_if = "is_empty")]
    pub worker: Text,
    /// When the newest earlier listing of this worker was asked, whose records are marked as `listed` here; none where no earlier
    /// listing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Time>,
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
#[expect(clippy::struct_excessive_bools, reason = "each is a word of BuildKit's own about a record")]
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
    /// How often it was used. A use is counted when it ends (moby/buildkit `cache/refs.go`, `updateLastUsedNow`), so that a
    /// record that was used once was used by one build only.
    pub uses: u64,
    /// Whether the listing that this one was compared with had it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
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

fn is_empty(text: &Text) -> bool {
    text.as_str().is_empty()
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

/// What a listing that was made late tells of the time before a build.
impl Records {
    /// Whether it shows no result that was made, used or held since `begun`: whenever it was answered, it shows the records as they
    /// were before. `BuildKit` looks at all records at once, and measures them behind that (moby/buildkit `cache/manager.go`,
    /// `DiskUsage`), so that an answer that comes late may show an early state.
    pub fn shows_before(&self, begun: Time) -> bool {
        let touched =
            |record: &CacheRecord| record.is_result() && (record.in_use || record.is_touched_since(begun));
        self.error.is_none() && !self.records.iter().any(touched)
    }

    /// Whether each record was there before the build that began then, in the order of the records; none where that can't be told.
    ///
    /// What was made here has its own date. An imported record has the date of what it was imported from, so that it takes more: an
    /// earlier listing had it; it was not used since; it was used once, and that was since. Where nobody has used the
    /// builder between an earlier listing and the build, what that listing did not have came with the build.
    pub fn were_there(&self, begun: Time) -> Vec<Option<bool>> {
        let unused = self.compared.is_some_and(|listed| self.was_unused(listed, begun));
        let was = |record: &CacheRecord| match record.imported {
            None => Some(record.created < begun),
            Some(_) if record.listed || record.last_used.is_some_and(|used| used < begun) => Some(true),
            Some(_) if record.uses == 1 && record.last_used.is_some() => Some(false),
            Some(_) => unused.then_some(false),
        };
        self.records.iter().map(was).collect()
    }

    /// Whether no result was made or used since a build ended, its own loose ends among them: what its records show is what that build
    /// left behind.
    pub fn is_untouched_since(&self, ended: Time) -> bool {
        let over = ended.plus(LOOSE_ENDS);
        !self.records.iter().any(|record| record.is_result() && record.is_touched_since(over))
    }

    /// What is another than in a listing before: the records that are new or were used, and which are gone.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        type Print = (u64, Option<Time>, u64);
        let print = |record: &CacheRecord| -> Print { (record.uses, record.last_used, record.bytes) };
        let known: HashMap<&Text, Print> =
            before.records.iter().map(|record| (&record.id, print(record))).collect();
        let there: HashSet<&Text> = self.records.iter().map(|record| &record.id).collect();
        let mut gone: Vec<Text> =
            known.keys().filter(|id| !there.contains(**id)).map(|id| (*id).clone()).collect();
        gone.sort();
        let records = self
            .records
            .iter()
            .filter(|record| known.get(&record.id) != Some(&print(record)))
            .cloned()
            .collect();
        Self {
            when: self.when,
            node: self.node.clone(),
            nodes: self.nodes,
            worker: self.worker.clone(),
            compared: self.compared,
            platforms: self.platforms.clone(),
            asked: self.asked,
            answered: self.answered,
            error: self.error.clone(),
            total: self.total,
            records,
            gone,
        }
    }

    /// Whether nobody has used the builder between two moments, by the records that would tell it: none was used last between them,
    /// and what came behind the first and was used last behind the second has no user but one.
    fn was_unused(&self, from: Time, until: Time) -> bool {
        let between = |record: &CacheRecord| {
            record.last_used.is_some_and(|used| from < used && used < until)
                || (record.imported.is_none() && from < record.created && record.created < until)
        };
        let new = || self.records.iter().filter(|record| record.imported.is_some() && !record.listed);
        let built_on: HashSet<&Text> = new().flat_map(|record| &record.parents).collect();
        !self.records.iter().any(between)
            && new().filter(|record| !built_on.contains(&record.id)).all(|record| record.uses <= 1)
    }
}

impl CacheRecord {
    /// What its identity is remembered by. A collision makes one record in 2⁶⁴ look known.
    pub fn mark(&self) -> u64 {
        let hash = blake3::hash(self.id.as_str().as_bytes());
        hash.as_bytes().iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
    }

    /// Whether it was made or used since then. The date of an imported record is that of what it was imported from.
    pub fn is_touched_since(&self, begun: Time) -> bool {
        self.last_used.is_some_and(|used| used >= begun) || (self.imported.is_none() && self.created >= begun)
    }

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
    /// The same for programs; absent in recordings of before there was one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::reason::known")]
    pub fault: Option<CacheFault>,
    /// Bytes of its config, of which `BuildKit` imports at most 1 MiB.
    pub config_bytes: u64,
    /// Its layers, in the order of its config.
    pub layers: Vec<CacheLayer>,
    /// Its cache keys, in the order of its config.
    pub keys: Vec<CacheKey>,
    /// The image of this repository that was built last, platform by platform.
    pub images: Vec<CacheImage>,
}

/// Why a cache in a registry could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CacheFault {
    /// Its reference can't be parsed.
    BadReference,
    /// The registry has no such tag.
    NotFound,
    /// The tag is no cache of `BuildKit`.
    NotCache,
    /// The registry did not answer in time.
    Timeout {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The registry can't be asked, or refuses to answer.
    Registry {
        /// How the registry stands.
        state: RegistryState,
        /// In words.
        detail: Text,
    },
    /// What an earlier version has recorded in words only.
    Other {
        /// Its words.
        detail: Text,
    },
}

impl CacheManifest {
    /// Why it could not be read, also of an old recording, which has words only.
    pub fn fault(&self) -> Option<CacheFault> {
        let from_words = |error: &Text| match error.as_str() {
            "that is no reference of a cache" => CacheFault::BadReference,
            "there is no such tag" => CacheFault::NotFound,
            "this tag is no cache of BuildKit" => CacheFault::NotCache,
            _ => CacheFault::Other { detail: error.clone() },
        };
        self.fault.clone().or_else(|| self.error.as_ref().map(from_words))
    }

    /// Whether it was read.
    pub fn is_readable(&self) -> bool {
        self.error.is_none() && self.fault.is_none()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_an_old_recording_is_known_by_its_words() {
        for (error, expected) in [
            ("null", None),
            ("\"there is no such tag\"", Some(CacheFault::NotFound)),
            ("\"this tag is no cache of BuildKit\"", Some(CacheFault::NotCache)),
            ("\"nothing listens\"", Some(CacheFault::Other { detail: "nothing listens".into() })),
        ] {
            let old = format!(r#"{{"reference":"r/a:b","read":1,"error":{error},"config_bytes":0}}"#);
            let manifest: CacheManifest = serde_json::from_str(&old).unwrap();
            assert_eq!(manifest.fault(), expected, "{error}");
            assert_eq!(manifest.is_readable(), expected.is_none(), "{error}");
        }
    }

    #[test]
    fn a_fault_is_written_as_words_and_as_a_value() {
        let state = RegistryState::Unauthorized;
        let fault = Some(CacheFault::Registry { state, detail: "no".into() });
        let manifest = CacheManifest { error: Some("no".into()), fault, ..CacheManifest::default() };
        let json = serde_json::to_value(&manifest).unwrap();
        assert_eq!(json["error"], "no");
        let expected = serde_json::json!({"type": "registry", "state": "unauthorized", "detail": "no"});
        assert_eq!(json["fault"], expected);
        assert_eq!(serde_json::from_value::<CacheManifest>(json).unwrap(), manifest);
    }
}
