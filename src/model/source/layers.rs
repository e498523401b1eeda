//! Where the registry's cache stands: its layers by the instructions that made them.
//!
//! A cache holds blobs and keys, and no word of any instruction. The image that was pushed with it has the same layers, and a
//! history: so the chain of the cache whose contents are those of the image is named by it.

use std::collections::HashMap;

use crate::event::evidence::{CacheImage, CacheLayer, CacheManifest, ImageLayer};
use crate::event::{Digest, Platform, Text, Time};
use crate::model::{Model, StepId};

use super::fit::{Fit, InstructionForms};

/// A layer of a registry's cache that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedLayer {
    /// The cache that holds it.
    pub reference: Text,
    /// The platform that it is for.
    pub platform: Option<Platform>,
    /// What made it: `RUN /bin/sh -c make`.
    pub made_by: Text,
    pub blob: Digest,
    /// Bytes of the blob, compressed.
    pub bytes: u64,
    /// When it was made; its age.
    pub created: Option<Time>,
}

/// Walks the chain of a cache whose contents are those of an image, from its first layer on, as far as they agree.
pub(super) fn chain<'a>(
    manifest: &'a CacheManifest,
    image: &'a CacheImage,
) -> Vec<(&'a CacheLayer, &'a ImageLayer)> {
    let mut by_place: HashMap<(Option<u32>, &Digest), u32> = HashMap::new();
    for (at, layer) in (0..).zip(&manifest.layers) {
        if let Some(diff) = &layer.diff {
            by_place.entry((layer.parent, diff)).or_insert(at);
        }
    }
    let mut found = Vec::new();
    let mut below = None;
    for named in &image.layers {
        let Some(at) = by_place.get(&(below, &named.diff)) else { break };
        let Some(layer) = manifest.layers.get(*at as usize) else { break };
        found.push((layer, named));
        below = Some(*at);
    }
    found
}

impl Model {
    /// The layers of the registry caches that have a name, lowest first, platform by platform.
    pub fn cached_layers(&self) -> Vec<CachedLayer> {
        let of = |manifest: &CacheManifest, image: &CacheImage| -> Vec<CachedLayer> {
            let told = chain(manifest, image).into_iter().map(|(layer, named)| CachedLayer {
                reference: manifest.reference.clone(),
                platform: image.platform.clone(),
                made_by: named.made_by.clone(),
                blob: layer.blob.clone(),
                bytes: layer.bytes,
                created: layer.created,
            });
            told.collect()
        };
        let manifests = self.evidence.manifests.iter();
        manifests
            .flat_map(|manifest| manifest.images.iter().flat_map(move |image| of(manifest, image)))
            .collect()
    }

    /// The layer of a registry cache that a step has made, as it stood before the build; none where no cache names one.
    pub fn in_registry(&self, id: StepId) -> Option<CachedLayer> {
        if self.evidence.manifests.is_empty() {
            return None;
        }
        let step = self.stack.step(id)?;
        let platform = self.platform_of(step);
        let instruction = InstructionForms::new(&step.name, self.stack.written(step));
        // The same instruction twice in a stage is told by its order: the layers are, and the steps are.
        let alike = |other: &&(StepId, &crate::model::Step)| {
            other.1.platform == step.platform
                && other.1.name.stage == step.name.stage
                && other.1.name.instruction == step.name.instruction
                && other.1.name.index < step.name.index
        };
        let before = self.stack.steps().collect::<Vec<_>>().iter().filter(alike).count();
        let layers = self.cached_layers().into_iter().filter(|layer| {
            (layer.platform.is_none() || platform.is_none() || layer.platform == platform)
                && instruction.of_history(layer.made_by.as_str()) == Fit::Yes
        });
        layers.into_iter().nth(before)
    }
}
