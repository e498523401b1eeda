//! Where hits come from, by evidence: the builder's records before and after a build, and the caches that it imports.
//!
//! All of it happens beside the build, and nothing waits for it: neither its beginning nor its end. A builder with thousands of records
//! takes seconds to list them, and is asked for it once a build; not at all by one that is short beside what earlier listings took. What
//! can't be had in time is said in the events, so that whoever judges knows what is missing; [`after`] has it listed later, when somebody
//! wants to know. Nothing is started: a builder that does not run yet is one without a listing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::event::evidence::{CacheFault, CacheRecord, KnownRecords, ListingTime, MOST_RECORDS, Records};
use crate::event::{CacheManifest, Digest, Event, ImageReference, Mask, Stamped, Text};
use crate::wording;

use super::builder::{self, NodeRoute};
pub use super::buildkit::Listings;
use super::buildkit::NodeListing;
use super::registry;

/// Listings that are on their way at once.
const LISTINGS: usize = 16;

/// A listing that takes no longer is asked for as soon as a build begins.
const CHEAP: Duration = Duration::from_millis(150);
/// What takes longer slows a build down, and is asked for once the build has lasted so many times as long: it can cost no more than a
/// hundredth of it then.
const SHARE_OF_BUILD: u32 = 100;

#[derive(Debug, Clone, Default)]
pub struct EvidenceSettings {
    /// The builder's name; none: the one that buildx would take.
    pub builder: Option<String>,
    /// References of the registry caches that the build imports.
    pub caches: Vec<String>,
    /// The reference of the image that is built: as it stands before the build it names the cache's layers.
    pub image: Option<String>,
    /// Whether plain http is allowed with a registry on another machine.
    pub insecure: bool,
    /// An authority's certificate, in PEM form, that is trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// The environment that docker and buildx are configured by.
    pub env: BTreeMap<String, String>,
    /// What must not be told.
    pub mask: Mask,
    /// What is known of earlier listings.
    pub earlier: EarlierListings,
    /// Where listings are shared with others that look at the builder.
    pub listings: Listings,
    /// Whether a build runs meanwhile, which a listing that is dear for the builder would slow down.
    pub beside_build: bool,
}

/// Looks up the newest listing of a worker, by its identity.
#[derive(Clone, Default)]
pub struct EarlierListings(Option<Arc<ListingLookup>>);

type ListingLookup = dyn Fn(&Text) -> oneshot::Receiver<Option<KnownRecords>> + Send + Sync;

impl EarlierListings {
    pub fn asking(
        ask: impl Fn(&Text) -> oneshot::Receiver<Option<KnownRecords>> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(ask)))
    }

    async fn of(&self, worker: &Text) -> Option<KnownRecords> {
        self.0.as_ref().filter(|_| !worker.as_str().is_empty())?(worker).await.ok().flatten()
    }
}

impl std::fmt::Debug for EarlierListings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Earlier").field(&self.0.is_some()).finish()
    }
}

/// Tells the records and the caches as they stand now. Ends when all is told, when it is over, or when nobody listens.
pub async fn run(
    settings: EvidenceSettings,
    clock: Clock,
    mut over: watch::Receiver<bool>,
    tx: mpsc::Sender<Vec<Stamped>>,
) {
    let mut tasks = JoinSet::new();
    list(&settings, clock, ListingTime::Before, &tx, &mut tasks).await;
    for cache in settings.caches.clone() {
        let (settings, tx) = (settings.clone(), tx.clone());
        tasks.spawn(async move {
            let manifest = manifest(&settings, &cache, clock).await;
            let _ = tx.send(vec![stamped(clock, Event::CacheManifest(Box::new(manifest)))]).await;
        });
    }
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        Ok(_) = over.wait_for(|over| *over) => {}
        () = tx.closed() => {}
    }
}

/// The records of all nodes of the builder as they stand now, after a build. They are waited for.
pub async fn after(settings: &EvidenceSettings, clock: Clock) -> Vec<Arc<Records>> {
    let (tx, mut done) = mpsc::channel(LISTINGS);
    let mut tasks = JoinSet::new();
    list(settings, clock, ListingTime::After, &tx, &mut tasks).await;
    drop(tx);
    let mut found = Vec::new();
    while let Some(events) = done.recv().await {
        found.extend(events.into_iter().filter_map(|one| match one.event {
            Event::Records(records) => Some(records),
            _ => None,
        }));
    }
    found
}

/// Has each node of the builder listed by a task.
async fn list(
    settings: &EvidenceSettings,
    clock: Clock,
    when: ListingTime,
    tx: &mpsc::Sender<Vec<Stamped>>,
    tasks: &mut JoinSet<()>,
) {
    let found = builder::routes(&builder::BuilderSettings {
        builder: settings.builder.clone(),
        env: settings.env.clone(),
        mask: settings.mask.clone(),
        ..builder::BuilderSettings::default()
    });
    match found {
        Ok(routes) => {
            let nodes = u32::try_from(routes.len()).unwrap_or(u32::MAX);
            for route in routes {
                let node = ListingNode { route, nodes, settings: settings.clone(), when, clock };
                tasks.spawn(node.list_and_send(tx.clone()));
            }
        }
        Err(why) => {
            let at = clock.now();
            let records = Records { when, error: Some(why), asked: at, answered: at, ..Records::default() };
            let _ = tx.send(vec![stamped(clock, Event::Records(Arc::new(records)))]).await;
        }
    }
}

/// What base images' tags point at now, by their references: of those whose registry tells. Each registry is asked once an image, as the
/// build itself would ask it.
pub async fn bases(settings: &EvidenceSettings, images: &[Text], clock: Clock) -> BTreeMap<Text, Digest> {
    let mut tasks = JoinSet::new();
    for image in images {
        if let Some((_, digest)) = image.as_str().split_once('@') {
            let known = (image.clone(), Some(Digest::parse(digest)));
            tasks.spawn(async move { known });
            continue;
        }
        let Some(reference) = CacheReference::parse(image.as_str()) else { continue };
        let (image, asked) = (image.clone(), registry_settings(settings, &reference));
        tasks.spawn(async move { (image, registry::evidence::digest(&asked, &reference.tag, clock).await) });
    }
    let mut found = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        if let Ok((image, Some(digest))) = done {
            found.insert(image, digest);
        }
    }
    found
}

fn stamped(clock: Clock, event: Event) -> Stamped {
    Stamped { at: clock.now(), event }
}

async fn manifest(settings: &EvidenceSettings, cache: &str, clock: Clock) -> CacheManifest {
    let mut found = match CacheReference::parse(cache) {
        Some(reference) => read(settings, &reference, clock).await,
        None => CacheManifest { fault: Some(CacheFault::BadReference), ..CacheManifest::default() },
    };
    found.reference = settings.mask.text(cache);
    wording::cache::fill(&mut found);
    found
}

async fn read(settings: &EvidenceSettings, reference: &CacheReference, clock: Clock) -> CacheManifest {
    let image = settings.image.as_deref().and_then(CacheReference::parse);
    let beside = |image: &CacheReference| {
        (&image.registry, &image.repository) == (&reference.registry, &reference.repository)
    };
    let asked = registry::RegistrySettings {
        tag: image.filter(beside).map(|image| image.tag),
        cache: Some(reference.tag.clone()),
        ..registry_settings(settings, reference)
    };
    registry::evidence::read(&asked, &settings.mask, clock).await
}

/// How a reference's registry is asked. What is said of the image's own registry says nothing of others; where there is no image, it is
/// said of the one that the cache lies in.
fn registry_settings(settings: &EvidenceSettings, reference: &CacheReference) -> registry::RegistrySettings {
    let own = settings.image.as_ref().or(settings.caches.first()).and_then(|own| CacheReference::parse(own));
    let is_own = own.is_some_and(|own| own.registry == reference.registry);
    registry::RegistrySettings {
        insecure: is_own && settings.insecure,
        ca: settings.ca.clone().filter(|_| is_own),
        env: settings.env.clone(),
        ..registry::RegistrySettings::new(reference.registry.clone(), reference.repository.clone())
    }
}

/// A reference of a cache, in the parts that a registry is asked for.
#[derive(Debug, PartialEq, Eq)]
struct CacheReference {
    registry: String,
    repository: String,
    tag: String,
}

impl CacheReference {
    fn parse(text: &str) -> Option<Self> {
        let reference = ImageReference::parse(text);
        let (repository, tag) = (reference.path_in_registry(), reference.tag.unwrap_or("latest"));
        let sound = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
                && !text.contains("..")
        };
        let is_sound = sound(reference.path) && !repository.ends_with('/') && sound(tag);
        is_sound.then(|| Self { registry: reference.registry().to_owned(), repository, tag: tag.to_owned() })
    }
}

/// One node of the builder, to be listed.
struct ListingNode {
    route: NodeRoute,
    nodes: u32,
    settings: EvidenceSettings,
    when: ListingTime,
    clock: Clock,
}

impl ListingNode {
    /// Lists the records and sends them as an event.
    async fn list_and_send(self, tx: mpsc::Sender<Vec<Stamped>>) {
        let mut records = Records {
            when: self.when,
            node: Text::clean(&self.route.name),
            nodes: self.nodes,
            platforms: self.route.platforms.clone(),
            asked: self.clock.now(),
            ..Records::default()
        };
        if let Err(error) = self.list(&mut records).await {
            records.error = Some(Text::clean(&error));
        }
        records.answered = self.clock.now();
        let _ = tx.send(vec![stamped(self.clock, Event::Records(Arc::new(records)))]).await;
    }

    async fn list(&self, records: &mut Records) -> Result<(), String> {
        let EvidenceSettings { mask, earlier, listings, beside_build, .. } = &self.settings;
        let mut lister = self.route.dial().await?;
        // Without it nothing is known of earlier listings, which is no harm to this one.
        records.worker = lister.worker().await.unwrap_or_default();
        let known = earlier.of(&records.worker).await;
        if let Some(took) = known.as_ref().and_then(|known| known.took) {
            listings.took_earlier(&self.route.name, took);
            if *beside_build && took > CHEAP {
                tokio::time::sleep(took.saturating_mul(SHARE_OF_BUILD)).await;
            }
        }
        // Whoever else has it listed is not to be overtaken.
        let mut listed = listings.subscribe();
        let is_idle = |all: &BTreeMap<String, NodeListing>| {
            all.get(&self.route.name).is_none_or(|one| one.asked.is_none())
        };
        let _ = listed.wait_for(is_idle).await;
        records.asked = self.clock.now();
        let pending = listings.begin(&self.route.name, records.asked);
        let (mut listed, usage) = lister.records(mask).await?;
        pending.end(Some(usage), self.clock.now());
        if let Some(known) = known {
            for record in &mut listed {
                record.listed = known.marks.binary_search(&record.mark()).is_ok();
            }
            records.compared = Some(known.asked);
        }
        records.take(listed);
        Ok(())
    }
}

impl Records {
    /// Takes the records, of too many those that were used last.
    fn take(&mut self, mut records: Vec<CacheRecord>) {
        self.total = records.len() as u64;
        if records.len() > MOST_RECORDS {
            records.sort_by_key(|record| std::cmp::Reverse(record.last_used));
            records.truncate(MOST_RECORDS);
        }
        records.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        self.records = records;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart_as_docker_does() {
        let parts = |text: &str| {
            CacheReference::parse(text)
                .map(|found| format!("{} {} {}", found.registry, found.repository, found.tag))
        };
        for (text, expected) in [
            ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000 a/b c"),
            ("localhost/a", "localhost a latest"),
            ("someone/app:cache@sha256:00", "docker.io someone/app cache"),
            ("alpine", "docker.io library/alpine latest"),
            ("docker.io/alpine", "docker.io library/alpine latest"),
        ] {
            assert_eq!(parts(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "r:5000/", "r:5000/a/../b:c", "r:5000/a?b", "r:5000/a:"] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn of_too_many_records_the_newest_used_are_kept() {
        let record = |i: i64| CacheRecord {
            id: Text::clean(&format!("r{i}")),
            last_used: Some(crate::event::Time::from_micros(i)),
            ..CacheRecord::default()
        };
        let most = i64::try_from(MOST_RECORDS).unwrap();
        let mut records = Records::default();
        records.take((0..most + 5).map(record).collect());
        assert_eq!((records.total, records.records.len()), (MOST_RECORDS as u64 + 5, MOST_RECORDS));
        assert!(
            records.records.iter().all(|record| record.last_used >= Some(crate::event::Time::from_micros(5)))
        );
    }
}
