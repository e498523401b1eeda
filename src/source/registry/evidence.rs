//! A cache in a registry as a build is about to import it: its chains, and what the image of the same repository says of
//! how its layers were made.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::event::evidence::{
    CacheFault, CacheImage, CacheKey, CacheLayer, CacheManifest, ImageLayer, MOST_RECORDS,
};
use crate::event::{Digest, Mask, Text, Time};
use crate::source::buildkit::cut;

use super::RegistrySettings;
use super::client::HttpRequest;
use super::fault::RegistryFault;
use super::manifest::{ACCEPT, Descriptor, Manifest, WirePlatform, is_tag};
use super::repository::good;
use super::session::RegistrySession;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest manifest and config.
const MOST_BYTES: u64 = 8 << 20;
/// Platforms of one image that are opened.
const MOST_PLATFORMS: usize = 16;

/// The config of a cache (moby/buildkit `cache/remotecache/v1/spec.go`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct CacheConfig {
    layers: Vec<CacheConfigLayer>,
    records: Vec<CacheConfigRecord>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CacheConfigLayer {
    blob: String,
    /// −1: none; absent: 0, as Go leaves zeros out.
    parent: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CacheConfigRecord {
    digest: String,
    layers: Vec<CacheResult>,
    chains: Vec<ChainedResult>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CacheResult {
    layer: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ChainedResult {
    layers: Vec<u32>,
}

/// The config of an image, as far as it tells how its layers were made.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ImageHistoryConfig {
    #[serde(flatten)]
    platform: WirePlatform,
    rootfs: super::manifest::RootFs,
    history: Option<Vec<ImageHistoryEntry>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImageHistoryEntry {
    created_by: String,
    empty_layer: bool,
}

/// Reads the cache tag of `settings`, and the tag that is built as it stands now. What can't be read is said in the result as a
/// value; who has asked adds the reference and the words.
pub(in crate::source) async fn read(settings: &RegistrySettings, mask: &Mask, clock: Clock) -> CacheManifest {
    let name = settings.cache.clone().unwrap_or_default();
    let reading = timeout(PATIENCE, ManifestReader::read(settings, &name, mask, clock));
    let found = match reading.await {
        Ok(Ok(found)) => found,
        Ok(Err(RegistryFault::Status(404, _))) => failed(CacheFault::NotFound),
        Ok(Err(fault)) => failed(CacheFault::Registry {
            state: fault.state(),
            detail: fault.message(&settings.registry, &settings.repository),
        }),
        Err(_) => failed(CacheFault::Timeout { seconds: PATIENCE.as_secs() }),
    };
    CacheManifest { read: clock.now(), ..found }
}

/// What a tag points at now: the digest that the registry tells, of an index where it is one. None where it does not tell.
pub(in crate::source) async fn digest(
    settings: &RegistrySettings,
    tag: &str,
    clock: Clock,
) -> Option<Digest> {
    let asking = async {
        let mut session = RegistrySession::new(settings, clock)?;
        session.ping().await?;
        let url = session.at(&format!("{}/manifests/{tag}", settings.repository))?;
        // A question for the head alone is no pull, and does not count against anybody's limit.
        let question = HttpRequest { method: hyper::Method::HEAD, ..HttpRequest::get(url, MOST_BYTES) };
        good(session.get(question, ACCEPT).await?)
    };
    let answer = timeout(PATIENCE, asking).await.ok()?.ok()?;
    let told = answer.headers.get("docker-content-digest")?.to_str().ok()?;
    super::manifest::is_digest(told).then(|| Digest::parse(told))
}

fn failed(fault: CacheFault) -> CacheManifest {
    CacheManifest { fault: Some(fault), ..CacheManifest::default() }
}

struct ManifestReader<'a> {
    session: RegistrySession,
    repository: &'a str,
    mask: &'a Mask,
}

impl ManifestReader<'_> {
    async fn read(
        settings: &RegistrySettings,
        name: &str,
        mask: &Mask,
        clock: Clock,
    ) -> Result<CacheManifest, RegistryFault> {
        let session = RegistrySession::new(settings, clock)?;
        let mut reader = ManifestReader { session, repository: &settings.repository, mask };
        reader.session.ping().await?;
        let manifest: Manifest = reader.fetch("manifests", name).await?;
        let Some((_, config, blobs)) = manifest.cache().filter(|(_, config, _)| config.is_sound()) else {
            return Ok(failed(CacheFault::NotCache));
        };
        let config_bytes = config.size;
        let config: CacheConfig = reader.fetch("blobs", &config.digest).await?;
        let mut found = CacheManifest { config_bytes, ..chains(&config, &blobs) };
        if let Some(tag) = settings.tag.as_deref().filter(|tag| is_tag(tag)) {
            // A tag that is not there yet, or is no image, names nothing; the cache can be told all the same.
            found.images = reader.images(tag).await.unwrap_or_default();
        }
        Ok(found)
    }

    async fn images(&mut self, tag: &str) -> Result<Vec<CacheImage>, RegistryFault> {
        let manifest: Manifest = self.fetch("manifests", tag).await?;
        let mut parts = Vec::new();
        if manifest.manifests.is_empty() {
            parts.push(manifest);
        } else {
            let of_image = |entry: &&Descriptor| {
                let platform = entry.platform.as_ref();
                entry.is_sound() && platform.is_none_or(|platform| platform.platform().is_some())
            };
            for entry in manifest.manifests.iter().filter(of_image).take(MOST_PLATFORMS) {
                parts.push(self.fetch("manifests", &entry.digest).await?);
            }
        }
        let mut images = Vec::new();
        for part in parts {
            let Some(config) = part.config.as_ref().filter(|config| config.is_sound()) else { continue };
            let config: ImageHistoryConfig = self.fetch("blobs", &config.digest).await?;
            images.push(CacheImage {
                tag: Text::clean(tag),
                platform: config.platform.platform(),
                layers: made_by(&config, &part.layers, self.mask),
            });
        }
        Ok(images)
    }

    async fn fetch<T: DeserializeOwned>(&mut self, kind: &str, name: &str) -> Result<T, RegistryFault> {
        let url = self.session.at(&format!("{}/{kind}/{name}", self.repository))?;
        let accept = if kind == "blobs" { "*/*" } else { ACCEPT };
        let answer = good(self.session.get(HttpRequest::get(url, MOST_BYTES), accept).await?)?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| RegistryFault::Nonsense(format!("{kind} that can't be read: {error}")))
    }
}

fn chains(config: &CacheConfig, blobs: &[&Descriptor]) -> CacheManifest {
    let known: HashMap<&str, &&Descriptor> = blobs.iter().map(|blob| (blob.digest.as_str(), blob)).collect();
    let layer = |layer: &CacheConfigLayer| {
        let blob = known.get(layer.blob.as_str());
        let note = |name: &str| blob.and_then(|blob| blob.annotation(name));
        CacheLayer {
            blob: Digest::parse(&layer.blob),
            parent: u32::try_from(layer.parent).ok(),
            diff: note("containerd.io/uncompressed").map(Digest::parse),
            bytes: blob.map(|blob| blob.size).unwrap_or_default(),
            created: note("buildkit/createdat").and_then(Time::parse),
        }
    };
    let key = |record: &CacheConfigRecord| CacheKey {
        digest: Digest::parse(&record.digest),
        layers: record
            .layers
            .iter()
            .map(|place| place.layer)
            .chain(record.chains.iter().filter_map(|chain| chain.layers.last().copied()))
            .collect(),
    };
    CacheManifest {
        layers: config.layers.iter().take(MOST_RECORDS).map(layer).collect(),
        keys: config.records.iter().take(MOST_RECORDS).map(key).collect(),
        ..CacheManifest::default()
    }
}

/// The layers of an image with what made them: the history's entries that are not empty, in the same order.
fn made_by(config: &ImageHistoryConfig, blobs: &[Descriptor], mask: &Mask) -> Vec<ImageLayer> {
    let entries = config.history.iter().flatten().filter(|entry| !entry.empty_layer);
    let texts: Vec<&str> = entries.map(|entry| entry.created_by.as_str()).collect();
    // A history that does not fit, as squashing leaves it, names nothing.
    let fits = texts.len() == config.rootfs.diff_ids.len();
    let named = |(at, diff): (usize, &String)| ImageLayer {
        diff: Digest::parse(diff),
        blob: blobs.get(at).map(|blob| Digest::parse(&blob.digest)),
        made_by: texts
            .get(at)
            .filter(|_| fits)
            .map(|text| cut(mask, &without_arguments(text)))
            .unwrap_or_default(),
    };
    config.rootfs.diff_ids.iter().enumerate().map(named).collect()
}

/// `RUN |2 A=1 TOKEN=x /bin/sh -c make # buildkit` without its build arguments, whose values are nobody's business.
fn without_arguments(text: &str) -> String {
    let text = text.strip_suffix(" # buildkit").unwrap_or(text);
    // The classic builder and buildah leave `RUN` out.
    match text.strip_prefix("RUN ").unwrap_or(text).strip_prefix('|') {
        // Where another shell was chosen it can't be told where the arguments end.
        Some(rest) => rest
            .find(" /bin/sh -c ")
            .map_or_else(|| "RUN".to_owned(), |at| format!("RUN{}", rest.get(at..).unwrap_or_default())),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_that_is_left_out_is_the_first_layer() {
        let config: CacheConfig = serde_json::from_str(
            r#"{"layers":[{"blob":"a","parent":-1},{"blob":"b"},{"blob":"c","parent":1}],
                "records":[{"digest":"k","layers":[{"layer":2}]},{"digest":"l","chains":[{"layers":[0,1]}]}]}"#,
        )
        .unwrap();
        let found = chains(&config, &[]);
        assert_eq!(
            found.layers.iter().map(|layer| layer.parent).collect::<Vec<_>>(),
            [None, Some(0), Some(1)]
        );
        assert_eq!(found.keys.iter().map(|key| key.layers.clone()).collect::<Vec<_>>(), [vec![2], vec![1]]);
    }

    #[test]
    fn build_arguments_are_left_out() {
        for (text, expected) in [
            ("RUN |2 A=1 TOKEN=a b /bin/sh -c make -j # buildkit", "RUN /bin/sh -c make -j"),
            ("RUN |1 TOKEN=x /bin/bash -c make # buildkit", "RUN"),
            ("|1 TOKEN=x /bin/sh -c make", "RUN /bin/sh -c make"),
            ("COPY src/ src/ # buildkit", "COPY src/ src/"),
            ("/bin/sh -c #(nop) CMD [\"sh\"]", "/bin/sh -c #(nop) CMD [\"sh\"]"),
        ] {
            assert_eq!(without_arguments(text), expected);
        }
    }
}
