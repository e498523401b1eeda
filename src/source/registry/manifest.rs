//! What manifests say, in the types of OCI and of Docker alike.

use std::collections::HashMap;

use serde::Deserialize;

use crate::event::Platform;
use crate::event::registry::CacheKind;

/// All kinds of manifests that are understood.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// The type of the config of `BuildKit`'s cache.
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// A manifest of an image, or an index of such.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: Option<u32>,
    pub(super) config: Option<Descriptor>,
    pub(super) layers: Vec<Descriptor>,
    pub(super) manifests: Vec<Descriptor>,
}

/// What points at a blob or a manifest.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) annotations: Option<HashMap<String, String>>,
    pub(super) platform: Option<WirePlatform>,
}

/// A platform as an OCI document writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct WirePlatform {
    pub(super) os: String,
    pub(super) architecture: String,
    pub(super) variant: String,
}

/// The config of an image, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ImageConfig {
    pub(super) created: Option<String>,
    #[serde(flatten)]
    pub(super) platform: WirePlatform,
    pub(super) rootfs: RootFs,
}

/// The layers of an image, by their content without compression.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RootFs {
    pub(super) diff_ids: Vec<String>,
}

/// A page of tags.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TagPage {
    /// `null` where the repository is empty.
    pub(super) tags: Option<Vec<String>>,
}

impl WirePlatform {
    /// None for attestations, whose platform is unknown.
    pub(super) fn platform(&self) -> Option<Platform> {
        let variant = if self.variant.is_empty() { String::new() } else { format!("/{}", self.variant) };
        Platform::parse(&format!("{}/{}{variant}", self.os, self.architecture))
            .filter(|_| self.os != "unknown")
    }
}

impl Descriptor {
    /// Whether its digest may stand in an address.
    pub(super) fn is_sound(&self) -> bool {
        is_digest(&self.digest)
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str)
    }
}

/// Whether a text has the shape of a digest.
pub(super) fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty()
            && algorithm.bytes().all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b))
            && (32..=128).contains(&hex.len())
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// Whether a text is a tag by the distribution's specification, so that it may stand in an address.
pub(super) fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

impl Manifest {
    /// Whether it says that it is one: any JSON can be read as one that has nothing.
    pub(super) fn is_one(&self) -> bool {
        self.schema_version.is_some()
            || self.config.is_some()
            || !(self.layers.is_empty() && self.manifests.is_empty())
    }

    /// The shape of a cache, its config and its blobs; none where it is no cache.
    pub(super) fn cache(&self) -> Option<(CacheKind, &Descriptor, Vec<&Descriptor>)> {
        if let Some(config) = self.config.as_ref().filter(|config| config.media_type == CACHE_CONFIG) {
            return Some((CacheKind::ImageManifest, config, self.layers.iter().collect()));
        }
        let config = self.manifests.iter().find(|entry| entry.media_type == CACHE_CONFIG)?;
        let blobs = self.manifests.iter().filter(|entry| entry.media_type != CACHE_CONFIG).collect();
        Some((CacheKind::Index, config, blobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_a_cache_are_known() {
        let image =
            r#"{"config":{"mediaType":"application/vnd.buildkit.cacheconfig.v0","size":7},"layers":[{},{}]}"#;
        let index =
            r#"{"manifests":[{"size":5},{"mediaType":"application/vnd.buildkit.cacheconfig.v0","size":7}]}"#;
        for (text, kind, blobs) in [(image, CacheKind::ImageManifest, 2), (index, CacheKind::Index, 1)] {
            let manifest: Manifest = serde_json::from_str(text).unwrap();
            let (found, config, found_blobs) = manifest.cache().unwrap();
            assert_eq!((found, config.size, found_blobs.len()), (kind, 7, blobs));
        }
        let none: Manifest = serde_json::from_str(r#"{"config":{"mediaType":"x"},"layers":[]}"#).unwrap();
        assert!(none.cache().is_none());
    }

    #[test]
    fn nothing_leaves_its_place_in_an_address() {
        assert!(is_tag("my-feature_1.0") && is_digest(&format!("sha256:{}", "0a".repeat(32))));
        for text in ["", ".", "../x", "a/b", "a?b", "-a", "a b", &"a".repeat(129)] {
            assert!(!is_tag(text) && !is_digest(text), "{text}");
        }
        assert!(!is_digest(&format!("sha256:../{}", "0a".repeat(30))));
    }

    #[test]
    fn attestations_have_no_platform() {
        let platform = |os: &str, architecture: &str, variant: &str| {
            let wire =
                WirePlatform { os: os.into(), architecture: architecture.into(), variant: variant.into() };
            wire.platform().map(|platform| platform.to_string())
        };
        assert_eq!(platform("unknown", "unknown", ""), None);
        assert_eq!(platform("linux", "arm", "v7").as_deref(), Some("linux/arm/v7"));
    }
}
