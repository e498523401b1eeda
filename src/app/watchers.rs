//! What is around a build, watched while it runs: the image's registry, the cluster, the builder. Nothing is asked that the user did not
//! choose, and the build never waits for any of it.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::event::{ImageReference, Mask, Stamped, WatchState, Watching};
use crate::source::buildx::BuildCommand;
use crate::source::{builder, kubernetes, registry};

/// Snapshots on their way. Who sends waits: what is old by then is told by its own time.
const AHEAD: usize = 16;

/// What is to be looked at.
#[derive(Debug, Clone)]
pub(super) struct WatchTargets {
    pub(super) registry: Option<registry::RegistrySettings>,
    pub(super) cluster: Option<kubernetes::ClusterSettings>,
    pub(super) builder: builder::BuilderSettings,
}

impl WatchTargets {
    /// The registry of the image, and the builder, of a build.
    pub(super) fn of(config: &Config, command: &BuildCommand, around: &Surroundings) -> Self {
        let builder = builder::BuilderSettings {
            builder: command.builder.clone(),
            platforms: command.platforms.clone(),
            images: command.images.clone(),
            env: around.env.clone(),
            mask: Mask::new(command.secrets.iter().cloned()),
            ..builder::BuilderSettings::default()
        };
        let registry = image_of(command).map(|image| settings(config, image, around));
        Self { registry, cluster: cluster(config, &builder, around), builder }
    }

    /// What whoever shows it is told of first.
    pub(super) fn watching(&self) -> Watching {
        let configured = |yes: bool| if yes { WatchState::On } else { WatchState::NotConfigured };
        Watching {
            registry: configured(self.registry.is_some()),
            cluster: configured(self.cluster.is_some()),
            builder: WatchState::On,
            apart_us: 0,
        }
    }
}

/// An image in a registry that somebody named.
#[derive(Debug, PartialEq, Eq)]
struct RegistryImage {
    host: String,
    repository: String,
    tag: Option<String>,
    cache: Option<String>,
}

/// The image that a build makes, else the one that its cache belongs to. None where no registry was named: that would be
/// Docker Hub, and nobody has chosen to ask it.
fn image_of(command: &BuildCommand) -> Option<RegistryImage> {
    let image = command.images.iter().find_map(|image| parse(image));
    let cache = command.cache.as_deref().and_then(parse);
    match (image, cache) {
        (Some(image), Some(cache)) if (&image.0, &image.1) == (&cache.0, &cache.1) => {
            Some(RegistryImage { host: image.0, repository: image.1, tag: image.2, cache: cache.2 })
        }
        (Some((host, repository, tag)), _) => Some(RegistryImage { host, repository, tag, cache: None }),
        (None, Some((host, repository, cache))) => Some(RegistryImage { host, repository, tag: None, cache }),
        (None, None) => None,
    }
}

/// Host, repository and tag of a reference that names its host.
fn parse(reference: &str) -> Option<(String, String, Option<String>)> {
    let reference = ImageReference::parse(reference);
    Some((reference.host?.to_owned(), reference.path.to_owned(), reference.tag.map(str::to_owned)))
}

fn settings(config: &Config, image: RegistryImage, around: &Surroundings) -> registry::RegistrySettings {
    let asked = &config.registry;
    registry::RegistrySettings {
        tag: Some(image.tag.unwrap_or_else(|| "latest".to_owned())),
        cache: image.cache,
        insecure: *asked.insecure,
        ca: asked.ca.as_deref().map(PathBuf::from),
        env: around.env.clone(),
        every: *asked.every,
        look_every: *asked.look_every,
        slow: *asked.slow,
        ..registry::RegistrySettings::new(image.host, image.repository)
    }
}

/// The cluster that is configured. A registry in it is found by the labels of its pods; without these it is not looked for.
fn cluster(
    config: &Config,
    builder: &builder::BuilderSettings,
    around: &Surroundings,
) -> Option<kubernetes::ClusterSettings> {
    let kubernetes = config.kubernetes.as_ref().filter(|kubernetes| kubernetes.enabled != Some(false))?;
    let registry = kubernetes.registry.as_ref().and_then(|registry| {
        let (service, port) = (registry.service.clone(), registry.port);
        Some(kubernetes::RegistryWorkload { service, selector: registry.selector.clone()?, port })
    });
    Some(kubernetes::ClusterSettings {
        kubeconfig: kubernetes.kubeconfig.as_deref().map(PathBuf::from),
        context: kubernetes.context.clone(),
        namespace: kubernetes.namespace.clone(),
        registry,
        builder: builder::in_cluster(builder),
        env: around.env.clone(),
    })
}

/// The watchers of all parts. Dropped, it ends them, whatever they wait for.
pub(super) struct Watchers {
    received: mpsc::Receiver<Vec<Stamped>>,
    _watchers: JoinSet<()>,
}

impl Watchers {
    /// Nothing is watched.
    pub(super) fn nothing() -> Self {
        Self { received: mpsc::channel(1).1, _watchers: JoinSet::new() }
    }

    pub(super) fn watch(targets: WatchTargets, clock: Clock) -> Self {
        let (tx, received) = mpsc::channel(AHEAD);
        let mut watchers = JoinSet::new();
        if let Some(settings) = targets.registry {
            watchers.spawn(registry::run(settings, clock, tx.clone()));
        }
        if let Some(settings) = targets.cluster {
            watchers.spawn(kubernetes::run(settings, clock, tx.clone()));
        }
        watchers.spawn(builder::run(targets.builder, clock, tx));
        Self { received, _watchers: watchers }
    }

    /// What is new. Where nothing is watched that is never.
    pub(super) async fn next(&mut self) -> Vec<Stamped> {
        match self.received.recv().await {
            Some(events) => events,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_that_was_named_is_asked() {
        let some = |host: &str, repository: &str, tag: Option<&str>| {
            Some((host.to_owned(), repository.to_owned(), tag.map(str::to_owned)))
        };
        for (reference, expected) in [
            ("10.0.0.1:5000/montage-ai:latest", some("10.0.0.1:5000", "montage-ai", Some("latest"))),
            ("ghcr.io/me/app", some("ghcr.io", "me/app", None)),
            ("localhost/app:a@sha256:00", some("localhost", "app", Some("a"))),
            ("[::1]:5000/a/b:c", some("[::1]:5000", "a/b", Some("c"))),
            ("app:latest", None),
            ("me/app:latest", None),
            ("", None),
        ] {
            assert_eq!(parse(reference), expected, "{reference}");
        }
    }
}
