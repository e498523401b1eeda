//! Images and caches, as BuildKit pushes them.

use serde_json::{Value, json};

use crate::support::server::{Registry, sha256};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// The digest of what a layer holds: here it is its own text.
pub(crate) fn diff_id(layer: &str) -> String {
    sha256(format!("uncompressed {layer}").as_bytes())
}

fn layers(registry: &Registry, name: &str, layers: &[&str]) -> Vec<Value> {
    let layers = layers.iter().map(|layer| {
        let digest = registry.blob(name, layer.as_bytes());
        json!({"mediaType": LAYER, "digest": digest, "size": layer.len()})
    });
    layers.collect()
}

/// Uploads one platform's image; without a tag it is part of an index. Gives its descriptor.
pub(crate) fn image(
    registry: &Registry,
    name: &str,
    tag: Option<&str>,
    architecture: &str,
    created: &str,
    content: &[&str],
) -> Value {
    let ids: Vec<String> = content.iter().map(|layer| diff_id(layer)).collect();
    let config = json!({"created": created, "os": "linux", "architecture": architecture,
        "rootfs": {"type": "layers", "diff_ids": ids}})
    .to_string();
    let digest = registry.blob(name, config.as_bytes());
    // Docker's own types for what is not part of an index.
    let (kind, of_config) = match tag {
        Some(_) => (DOCKER_MANIFEST, "application/vnd.docker.container.image.v1+json"),
        None => (MANIFEST, "application/vnd.oci.image.config.v1+json"),
    };
    let manifest = json!({"schemaVersion": 2, "mediaType": kind,
        "config": {"mediaType": of_config, "digest": digest, "size": config.len()},
        "layers": layers(registry, name, content)})
    .to_string();
    let digest = registry.manifest(name, tag, kind, &manifest);
    json!({"mediaType": kind, "digest": digest, "size": manifest.len(),
        "platform": {"os": "linux", "architecture": architecture}})
}

/// Uploads an index of images, with an attestation as BuildKit adds it.
pub(crate) fn index(registry: &Registry, name: &str, tag: &str, mut images: Vec<Value>) -> String {
    let mut attestation = images[0].clone();
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    images.push(attestation);
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": images}).to_string();
    registry.manifest(name, Some(tag), INDEX, &index)
}

/// Uploads a cache: as an image manifest, or as the index that it was before. The n-th layer is n minutes old at noon.
pub(crate) fn cache(
    registry: &Registry,
    name: &str,
    tag: &str,
    as_index: bool,
    config_bytes: usize,
    content: &[&str],
) -> String {
    let config = format!("{{\"x\":\"{}\"}}", "x".repeat(config_bytes - 8));
    let digest = registry.blob(name, config.as_bytes());
    let config = json!({"mediaType": CACHE_CONFIG, "digest": digest, "size": config_bytes});
    let mut blobs = layers(registry, name, content);
    for (i, (blob, layer)) in blobs.iter_mut().zip(content).enumerate() {
        blob["annotations"] = json!({"buildkit/createdat": format!("2026-11-22T11:{:02}:00.5Z", 59 - i),
            "containerd.io/uncompressed": diff_id(layer)});
    }
    if as_index {
        blobs.push(config);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": blobs}).to_string();
        return registry.manifest(name, Some(tag), INDEX, &index);
    }
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": blobs});
    registry.manifest(name, Some(tag), MANIFEST, &manifest.to_string())
}
