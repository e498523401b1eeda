//! Where hits come from, by evidence: the builder's records before and after a build, and the caches that it imports.
//!
//! All of it happens beside the build. What waits for it is the beginning, for an eighth of a second at most, and the end, for two. What
//! can't be had is said in the events, so that whoever judges knows what is missing. Nothing is started: a builder that does not run yet is
//! one without a listing.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::event::evidence::{CacheRecord, MOST_RECORDS, Records, When};
use crate::event::{CacheManifest, Digest, Event, Mask, Reference, Stamped, Text};

use super::builder::{self, Way};
use super::buildkit::Lister;
use super::registry;

/// How long the beginning of a build waits for the listing before it. A builder that lists its records behind the first hits can't tell
/// any more which of them it had imported before. It takes one about 0.2 s to answer, and buildx as long to come to the first step
/// (seen on the test engine), so this is enough for most, and hardly felt.
pub const FIRST_WAIT: Duration = Duration::from_millis(125);

/// How long the end of a build waits for the listing behind it.
pub const LAST_WAIT: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Settings {
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
}

/// Tells the records and the caches as they stand now, and the records once more when `over` turns true. Ends then, or when nobody
/// listens.
pub async fn run(
    settings: Settings,
    clock: Clock,
    over: watch::Receiver<bool>,
    tx: mpsc::Sender<Vec<Stamped>>,
) {
    let mut tasks = JoinSet::new();
    let found = builder::ways(&builder::Settings {
        builder: settings.builder.clone(),
        env: settings.env.clone(),
        mask: settings.mask.clone(),
        ..builder::Settings::default()
    });
    match found {
        Ok(ways) => {
            let nodes = u32::try_from(ways.len()).unwrap_or(u32::MAX);
            for way in ways {
                let (mask, over, tx) = (settings.mask.clone(), over.clone(), tx.clone());
                tasks.spawn(Node { way, nodes, mask, clock }.follow(over, tx));
            }
        }
        Err(why) => {
            let records =
                Records { error: Some(why), asked: clock.now(), answered: clock.now(), ..Records::default() };
            let _ = tx.send(vec![stamped(clock, Event::Records(Box::new(records)))]).await;
        }
    }
    for cache in settings.caches.clone() {
        let (settings, tx) = (settings.clone(), tx.clone());
        tasks.spawn(async move {
            let manifest = manifest(&settings, &cache, clock).await;
            let _ = tx.send(vec![stamped(clock, Event::CacheManifest(Box::new(manifest)))]).await;
        });
    }
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        () = tx.closed() => {}
    }
}

/// What base images' tags point at now, by their references: of those whose registry tells. Each registry is asked once an image, as the
/// build itself would ask it.
pub async fn bases(settings: &Settings, images: &[Text], clock: Clock) -> BTreeMap<Text, Digest> {
    let mut tasks = JoinSet::new();
    for image in images {
        if let Some((_, digest)) = image.as_str().split_once('@') {
            let known = (image.clone(), Some(Digest::parse(digest)));
            tasks.spawn(async move { known });
            continue;
        }
        let Some(reference) = Asked::parse(image.as_str()) else { continue };
        let (image, asked) = (image.clone(), asked(settings, &reference));
        tasks.spawn(async move { (image, registry::evidence::digest(&asked, &reference.tag, clock).await) });
    }
    let mut found = BTreeMap::new();
    while let Some(told) = tasks.join_next().await {
        if let Ok((image, Some(digest))) = told {
            found.insert(image, digest);
        }
    }
    found
}

fn stamped(clock: Clock, event: Event) -> Stamped {
    Stamped { at: clock.now(), event }
}

/// Reads one cache.
async fn manifest(settings: &Settings, cache: &str, clock: Clock) -> CacheManifest {
    let Some(reference) = Asked::parse(cache) else {
        let error = Some("that is no reference of a cache".into());
        return CacheManifest { reference: settings.mask.text(cache), error, ..CacheManifest::default() };
    };
    let image = settings.image.as_deref().and_then(Asked::parse);
    let beside =
        |image: &Asked| (&image.registry, &image.repository) == (&reference.registry, &reference.repository);
    let asked = registry::Settings {
        tag: image.filter(beside).map(|image| image.tag),
        cache: Some(reference.tag.clone()),
        ..asked(settings, &reference)
    };
    let found = registry::evidence::read(&asked, &settings.mask, clock).await;
    CacheManifest { reference: settings.mask.text(cache), ..found }
}

/// How a reference's registry is asked. What is said of the image's own registry says nothing of others; where there is no image, it is
/// said of the one that the cache lies in.
fn asked(settings: &Settings, reference: &Asked) -> registry::Settings {
    let own = settings.image.as_ref().or(settings.caches.first()).and_then(|own| Asked::parse(own));
    let is_own = own.is_some_and(|own| own.registry == reference.registry);
    registry::Settings {
        insecure: is_own && settings.insecure,
        ca: settings.ca.clone().filter(|_| is_own),
        env: settings.env.clone(),
        ..registry::Settings::new(reference.registry.clone(), reference.repository.clone())
    }
}

/// What of a reference a registry is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    registry: String,
    repository: String,
    tag: String,
}

impl Asked {
    fn parse(text: &str) -> Option<Self> {
        let reference = Reference::parse(text);
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

/// One node of the builder.
struct Node {
    way: Way,
    nodes: u32,
    mask: Mask,
    clock: Clock,
}

impl Node {
    /// Lists the records before the build and after it, over one connection.
    async fn follow(self, mut over: watch::Receiver<bool>, tx: mpsc::Sender<Vec<Stamped>>) {
        let mut before = self.records(When::Before);
        let mut lister = self.way.dial().await;
        let mut known = HashMap::new();
        match list(&mut lister, &self.mask).await {
            Ok(records) => {
                known = records.iter().map(|record| (record.id.clone(), print(record))).collect();
                before.take(records);
            }
            Err(error) => before.error = Some(Text::clean(&error)),
        }
        let usable = before.error.is_none();
        if self.tell(before, &tx).await.is_err() || over.wait_for(|over| *over).await.is_err() {
            return;
        }
        let mut after = self.records(When::After);
        if !usable {
            // A builder that did not run at first does now.
            lister = self.way.dial().await;
        }
        match list(&mut lister, &self.mask).await {
            Ok(mut records) => {
                let there: std::collections::HashSet<Text> =
                    records.iter().map(|record| record.id.clone()).collect();
                after.gone = known.keys().filter(|id| !there.contains(*id)).cloned().collect();
                after.gone.sort();
                let total = records.len() as u64;
                records.retain(|record| known.get(&record.id) != Some(&print(record)));
                after.take(records);
                after.total = total;
            }
            Err(error) => after.error = Some(Text::clean(&error)),
        }
        let _ = self.tell(after, &tx).await;
    }

    fn records(&self, when: When) -> Records {
        Records {
            when,
            node: Text::clean(&self.way.name),
            nodes: self.nodes,
            platforms: self.way.platforms.clone(),
            asked: self.clock.now(),
            ..Records::default()
        }
    }

    async fn tell(&self, mut records: Records, tx: &mpsc::Sender<Vec<Stamped>>) -> Result<(), ()> {
        records.answered = self.clock.now();
        tx.send(vec![stamped(self.clock, Event::Records(Box::new(records)))]).await.map_err(|_| ())
    }
}

/// What tells that a record was used: its uses, when last, and how much of it there is.
type Print = (u64, Option<crate::event::Time>, u64);

fn print(record: &CacheRecord) -> Print {
    (record.uses, record.last_used, record.bytes)
}

async fn list(lister: &mut Result<Lister, String>, mask: &Mask) -> Result<Vec<CacheRecord>, String> {
    match lister {
        Ok(lister) => lister.records(mask).await,
        Err(error) => Err(error.clone()),
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
            Asked::parse(text).map(|found| format!("{} {} {}", found.registry, found.repository, found.tag))
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
