//! A look into the repository: its tags and its cache. What a digest stands for never changes, so it is read once; a look
//! at what is as it was is a handful of questions with short answers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use hyper::Method;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderMap, LINK};
use serde::de::DeserializeOwned;
use url::Url;

use crate::clock::Clock;
use crate::event::registry::{
    Auth, CachePlatform, CacheState, CacheTag, MOST_CONFIG_BYTES, Tag, TagChange, TagChangeKind, Tags,
};
use crate::event::{Digest, Platform, Text, Time};

use super::RegistrySettings;
use super::client::{HttpRequest, HttpResponse, origin};
use super::fault::RegistryFault;
use super::manifest::{ACCEPT, Descriptor, ImageConfig, Manifest, TagPage, is_digest, is_tag};
use super::session::RegistrySession;

/// Names of tags that are counted, in so many pages.
const MOST_NAMES: usize = 5_000;
const MOST_PAGES: usize = 20;
/// Questions for the sake of tags in one look, and how many of the tags that are known may be looked at again.
const MOST_QUESTIONS: u32 = 100;
const MOST_AGAIN: usize = 16;
/// How long a look goes on opening tags.
const LONGEST: Duration = Duration::from_secs(8);
/// Tags that are told.
const MOST_LISTED: usize = 40;
/// Platforms of one image that are opened.
const MOST_PLATFORMS: usize = 16;
/// Changes that are told.
const MOST_CHANGES: usize = 20;
/// The longest manifest and config.
const MOST_MANIFEST: u64 = 8 << 20;

/// What is known of a tag.
#[derive(Default)]
struct KnownTag {
    digest: Option<String>,
    /// The look that it was opened in; 0: none yet.
    opened: u64,
}

/// What a digest stands for.
#[derive(Default)]
struct KnownImage {
    /// Each platform with its layers by their content.
    parts: Vec<(Platform, Vec<String>)>,
    bytes: u64,
    created: Option<Time>,
    cache: bool,
}

/// The blobs of the cache at the last look: what is compared with the next.
#[derive(Default)]
struct CacheBlobs {
    sizes: HashMap<String, u64>,
    contents: HashSet<String>,
    etag: Option<String>,
}

/// Looks into one repository, again and again.
pub(super) struct RepositoryReader {
    session: RegistrySession,
    clock: Clock,
    repository: String,
    building: Option<String>,
    cache_name: Option<String>,
    looks: u64,
    questions: u32,
    /// Whether all names were counted at the last look.
    complete: bool,
    seen: BTreeMap<String, KnownTag>,
    images: HashMap<String, KnownImage>,
    blobs: CacheBlobs,
    cache: Option<CacheTag>,
    /// The digest of the newest config of the cache that could be read.
    sound_config: Option<String>,
    changes: VecDeque<TagChange>,
}

impl RepositoryReader {
    pub(super) fn new(settings: &RegistrySettings, clock: Clock) -> Result<Self, RegistryFault> {
        Ok(Self {
            session: RegistrySession::new(settings, clock)?,
            clock,
            repository: settings.repository.clone(),
            building: settings.tag.clone(),
            cache_name: settings.cache.clone(),
            looks: 0,
            questions: 0,
            complete: false,
            seen: BTreeMap::new(),
            images: HashMap::new(),
            blobs: CacheBlobs::default(),
            cache: None,
            sound_config: None,
            changes: VecDeque::new(),
        })
    }

    /// How the registry wanted to be signed in to.
    pub(super) fn auth(&self) -> Option<&Auth> {
        self.session.auth()
    }

    /// Bytes a second that the last look was sent; none where it was too short to tell.
    pub(super) fn rate(&mut self) -> Option<f64> {
        self.session.rate()
    }

    /// The cache tag as it was seen last.
    pub(super) fn cache(&self) -> Option<&CacheTag> {
        self.cache.as_ref()
    }

    /// What changed between looks, oldest first.
    pub(super) fn changes(&self) -> Vec<TagChange> {
        self.changes.iter().cloned().collect()
    }

    /// Looks once. What was found before a fault is kept and can be asked for.
    pub(super) async fn look(&mut self) -> Result<(), RegistryFault> {
        let begun = self.clock.now();
        self.questions = 0;
        // What answers now may speak another scheme than before; addresses are made from the one that is spoken.
        self.session.ping().await?;
        let listed = self.names().await;
        if let Err(fault @ RegistryFault::Status(404, _)) = listed {
            // There is no such repository, so there is nothing in it.
            self.note_names(BTreeSet::new(), true, begun);
            self.note_cache(None, begun);
            self.looks += 1;
            return Err(fault);
        }
        let (names, complete) = listed?;
        self.note_names(names, complete, begun);
        let looked = self.look_at_cache().await;
        let opened = self.open_tags(begun).await;
        self.note_platforms();
        self.looks += 1;
        looked.and(opened)
    }

    /// The tags as they are known now.
    pub(super) fn tags(&self) -> Tags {
        let mut list: Vec<Tag> = self.seen.iter().map(|(name, seen)| self.tag(name, seen)).collect();
        list.sort_by(|a, b| {
            (b.building, b.created, b.digest.is_some()).cmp(&(a.building, a.created, a.digest.is_some()))
        });
        list.truncate(MOST_LISTED);
        Tags {
            looked: self.clock.now(),
            total: self.seen.len() as u64,
            more: !self.complete,
            opened: self.seen.values().filter(|seen| seen.opened > 0).count() as u64,
            list,
        }
    }

    fn tag(&self, name: &str, seen: &KnownTag) -> Tag {
        let image = seen.digest.as_ref().and_then(|digest| self.images.get(digest));
        Tag {
            name: Text::clean(name),
            digest: seen.digest.as_deref().map(Digest::parse),
            platforms: image
                .map(|image| image.parts.iter().map(|(platform, _)| platform.clone()).collect())
                .unwrap_or_default(),
            bytes: image.map(|image| image.bytes),
            created: image.and_then(|image| image.created),
            building: self.building.as_deref() == Some(name),
            cache: image.is_some_and(|image| image.cache) || self.cache_name.as_deref() == Some(name),
        }
    }

    /// The names of all tags, and whether these are all.
    async fn names(&mut self) -> Result<(BTreeSet<String>, bool), RegistryFault> {
        let mut names = BTreeSet::new();
        let mut url = self.session.at(&format!("{}/tags/list?n=1000", self.repository))?;
        for _ in 0..MOST_PAGES {
            let question = HttpRequest::get(url.clone(), MOST_MANIFEST);
            let answer = good(self.session.get(question, "application/json").await?)?;
            let page: TagPage = read(&answer, "the list of tags")?;
            let before = names.len();
            names.extend(page.tags.unwrap_or_default().into_iter().filter(|name| is_tag(name)));
            let Some(next) = next_page(&url, &answer.headers) else { return Ok((names, true)) };
            // A page that brings nothing new leads nowhere.
            if names.len() == before || names.len() >= MOST_NAMES || origin(&next) != origin(&url) {
                break;
            }
            url = next;
        }
        Ok((names, false))
    }

    fn note_names(&mut self, names: BTreeSet<String>, complete: bool, at: Time) {
        let comparable = self.looks > 0 && self.complete && complete;
        let is_cache = |name: &str| self.cache_name.as_deref() == Some(name);
        if comparable {
            let new = names.iter().filter(|name| !self.seen.contains_key(*name));
            let gone = self.seen.keys().filter(|name| !names.contains(*name));
            let changed = new.map(|name| (name, TagChangeKind::Added));
            let changed: Vec<_> = changed
                .chain(gone.map(|name| (name, TagChangeKind::Removed)))
                .filter(|(name, _)| !is_cache(name))
                .map(|(name, what)| change(at, name, what))
                .collect();
            for change in changed {
                self.add_change(change);
            }
        }
        if complete {
            self.seen.retain(|name, _| names.contains(name));
        }
        for name in names {
            self.seen.entry(name).or_default();
        }
        self.complete = complete;
    }

    fn add_change(&mut self, change: TagChange) {
        if self.changes.len() >= MOST_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    async fn look_at_cache(&mut self) -> Result<(), RegistryFault> {
        let Some(name) = self.cache_name.clone() else { return Ok(()) };
        let at = self.clock.now();
        let url = self.session.at(&format!("{}/manifests/{name}", self.repository))?;
        let question =
            RegistrySession::unless(HttpRequest::get(url, MOST_MANIFEST), self.blobs.etag.as_deref());
        let answer = self.session.get(question, ACCEPT).await?;
        match answer.status.as_u16() {
            304 => {
                if let Some(cache) = &mut self.cache {
                    cache.looked = at;
                }
            }
            404 => self.note_cache(None, at),
            _ => {
                let read = match good(answer) {
                    Ok(answer) => self.read_cache(answer).await,
                    Err(fault) => Err(fault),
                };
                match read {
                    Ok((answer, manifest)) => self.note_cache(Some((&answer, &manifest)), at),
                    Err(fault) => {
                        let reason = fault.message("the registry", &name);
                        let name = Text::clean(&name);
                        let state = CacheState::Unreadable;
                        self.cache =
                            Some(CacheTag { name, looked: at, state, reason, ..CacheTag::default() });
                        self.blobs = CacheBlobs::default();
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the manifest of the cache, and its config, without which nobody can import it.
    async fn read_cache(&mut self, answer: HttpResponse) -> Result<(HttpResponse, Manifest), RegistryFault> {
        let manifest = manifest_of(&answer)?;
        let config = manifest.cache().map(|(_, config, _)| config.clone());
        let wanted = config.filter(|config| config.is_sound() && config.size <= MOST_CONFIG_BYTES);
        if let Some(config) = wanted.filter(|config| self.sound_config.as_ref() != Some(&config.digest)) {
            // It is a map; what it says of layers is looked at by who imports it.
            let _: serde_json::Map<String, serde_json::Value> = self.blob(&config, "a config").await?;
            self.sound_config = Some(config.digest);
        }
        Ok((answer, manifest))
    }

    /// Notes what the cache tag holds, and how that differs from before.
    fn note_cache(&mut self, answer: Option<(&HttpResponse, &Manifest)>, at: Time) {
        let Some(name) = self.cache_name.clone() else { return };
        let (cache, blobs) = match answer {
            Some((answer, manifest)) => cache_of(answer, manifest),
            None => (
                CacheTag {
                    state: CacheState::Absent,
                    reason: Text::clean("there is no cache yet: the first build with cache export makes it"),
                    ..CacheTag::default()
                },
                CacheBlobs::default(),
            ),
        };
        let cache = CacheTag { name: Text::clean(&name), looked: at, ..cache };
        let before = self.cache.replace(cache.clone());
        let old = std::mem::replace(&mut self.blobs, blobs);
        // One that could not be read is nothing to compare with.
        let comparable =
            |before: &CacheTag| before.state != CacheState::Unreadable && before.digest != cache.digest;
        let Some(before) = before.filter(comparable) else { return };
        let what = match (&before.digest, &cache.digest) {
            (None, _) => TagChangeKind::Added,
            (_, None) => TagChangeKind::Removed,
            _ => TagChangeKind::CacheReplaced,
        };
        let count = |of: &CacheBlobs, less: &CacheBlobs| {
            of.sizes.keys().filter(|digest| !less.sizes.contains_key(*digest)).count() as u32
        };
        let bytes = i64::try_from(cache.bytes).unwrap_or(i64::MAX);
        let bytes = bytes.saturating_sub(i64::try_from(before.bytes).unwrap_or(i64::MAX));
        let (added, removed) = (count(&self.blobs, &old), count(&old, &self.blobs));
        self.add_change(TagChange { bytes: Some(bytes), added, removed, ..change(at, &name, what) });
    }

    /// How much of an image the cache holds, platform by platform. A cache does not say what it was exported for, so it is
    /// the image that it holds most of.
    fn note_platforms(&mut self) {
        let Some(cache) = self.cache.as_mut() else { return };
        let contents = &self.blobs.contents;
        let part = |(platform, layers): &(Platform, Vec<String>)| CachePlatform {
            platform: platform.clone(),
            layers: layers.len() as u32,
            held: layers.iter().filter(|layer| contents.contains(*layer)).count() as u32,
        };
        let images = self.seen.iter().filter_map(|(name, seen)| {
            let image = self.images.get(seen.digest.as_ref()?).filter(|image| !image.cache)?;
            let parts: Vec<CachePlatform> = image.parts.iter().map(part).collect();
            let held: u32 = parts.iter().map(|part| part.held).sum();
            let built = self.building.as_ref() == Some(name);
            (held > 0).then_some(((held, built, image.created), name, parts))
        });
        let best = images.max_by(|(one, ..), (other, ..)| one.cmp(other));
        cache.image = best.as_ref().map(|(_, name, _)| Text::clean(name));
        cache.platforms = best.map(|(.., parts)| parts).unwrap_or_default();
    }

    /// Opens tags: the one being built always, then those that are not known yet, then those not seen for longest.
    async fn open_tags(&mut self, begun: Time) -> Result<(), RegistryFault> {
        let mut names: Vec<String> = self.seen.keys().rev().cloned().collect();
        let building = self.building.clone();
        let built = |name: &String| building.as_ref() == Some(name);
        names.sort_by_key(|name| (!built(name), self.seen.get(name).map_or(0, |seen| seen.opened)));
        let (mut again, mut broken) = (0, None);
        for name in names {
            let is_known = self.seen.get(&name).is_some_and(|seen| seen.opened > 0);
            again += usize::from(is_known);
            let enough = self.questions >= MOST_QUESTIONS || again > MOST_AGAIN;
            if enough || self.clock.now().since(begun) > LONGEST {
                break;
            }
            match self.open(&name).await {
                Ok(()) => {}
                // One that went away meanwhile, or that is broken, is no reason not to open the others.
                Err(fault @ (RegistryFault::Status(404, _) | RegistryFault::Nonsense(_))) => {
                    if let (RegistryFault::Nonsense(why), true) = (fault, built(&name)) {
                        broken = Some(RegistryFault::Broken(name.clone(), why));
                    }
                    if let Some(seen) = self.seen.get_mut(&name) {
                        seen.opened = self.looks + 1;
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
        let used: HashSet<&String> = self.seen.values().filter_map(|seen| seen.digest.as_ref()).collect();
        self.images.retain(|digest, _| used.contains(digest));
        broken.map_or(Ok(()), Err)
    }

    async fn open(&mut self, name: &str) -> Result<(), RegistryFault> {
        self.questions += 1;
        let url = self.session.at(&format!("{}/manifests/{name}", self.repository))?;
        let question = HttpRequest { method: Method::HEAD, ..HttpRequest::get(url, MOST_MANIFEST) };
        let answer = good(self.session.get(question, ACCEPT).await?)?;
        let digest = content_digest(&answer.headers)
            .ok_or_else(|| RegistryFault::Nonsense(format!("a tag {name} without a digest")))?;
        if !self.images.contains_key(&digest) {
            let image = self.image(&digest).await?;
            self.images.insert(digest.clone(), image);
        }
        let (at, is_cache) = (self.clock.now(), self.cache_name.as_deref() == Some(name));
        let Some(seen) = self.seen.get_mut(name) else { return Ok(()) };
        seen.opened = self.looks + 1;
        let before = seen.digest.replace(digest);
        let moved = before.is_some() && before != seen.digest;
        if moved && !is_cache {
            self.add_change(change(at, name, TagChangeKind::Moved));
        }
        Ok(())
    }

    /// Reads what a digest stands for.
    async fn image(&mut self, digest: &str) -> Result<KnownImage, RegistryFault> {
        let manifest = self.manifest(digest).await?;
        let mut image = KnownImage::default();
        let mut blobs = HashMap::new();
        if let Some((_, config, parts)) = manifest.cache() {
            image.cache = true;
            image.created = parts.iter().filter_map(|blob| created_at(blob)).max();
            blobs.extend(parts.into_iter().chain([config]).map(|blob| (blob.digest.clone(), blob.size)));
        } else if manifest.manifests.is_empty() {
            self.part(&manifest, &mut image, &mut blobs).await?;
        } else {
            let sound = manifest.manifests.iter().filter(|entry| entry.is_sound());
            let of_image = sound
                .filter(|entry| entry.platform.as_ref().is_none_or(|platform| platform.platform().is_some()));
            for entry in of_image.take(MOST_PLATFORMS) {
                let part = self.manifest(&entry.digest).await?;
                self.part(&part, &mut image, &mut blobs).await?;
            }
        }
        image.bytes = blobs.values().fold(0, |sum, size| sum.saturating_add(*size));
        Ok(image)
    }

    /// Adds one platform's part to an image.
    async fn part(
        &mut self,
        manifest: &Manifest,
        image: &mut KnownImage,
        blobs: &mut HashMap<String, u64>,
    ) -> Result<(), RegistryFault> {
        let all = manifest.layers.iter().chain(&manifest.config);
        blobs.extend(all.map(|blob| (blob.digest.clone(), blob.size)));
        let is_image = |config: &&Descriptor| {
            config.is_sound()
                && (config.media_type.contains("image.config")
                    || config.media_type.contains("container.image"))
        };
        let Some(config) = manifest.config.as_ref().filter(is_image) else { return Ok(()) };
        let config: ImageConfig = self.blob(config, "a config").await?;
        image.created = image.created.max(config.created.as_deref().and_then(Time::parse));
        image.parts.extend(config.platform.platform().map(|platform| (platform, config.rootfs.diff_ids)));
        Ok(())
    }

    async fn manifest(&mut self, digest: &str) -> Result<Manifest, RegistryFault> {
        self.questions += 1;
        let url = self.session.at(&format!("{}/manifests/{digest}", self.repository))?;
        let answer = good(self.session.get(HttpRequest::get(url, MOST_MANIFEST), ACCEPT).await?)?;
        read(&answer, "a manifest")
    }

    /// Reads a blob of JSON, which has to be as long as is said of it.
    async fn blob<T: DeserializeOwned>(&mut self, blob: &Descriptor, what: &str) -> Result<T, RegistryFault> {
        self.questions += 1;
        let url = self.session.at(&format!("{}/blobs/{}", self.repository, blob.digest))?;
        let answer = self.session.get(HttpRequest::get(url, blob.size.min(MOST_MANIFEST)), "*/*").await;
        let answer = match answer {
            Ok(answer) if answer.status.as_u16() == 404 => {
                return Err(RegistryFault::Nonsense(format!(
                    "a manifest whose blob, {what}, is not there (404)"
                )));
            }
            Ok(answer) => good(answer)?,
            Err(RegistryFault::Nonsense(why)) => {
                return Err(RegistryFault::Nonsense(format!("instead of {what} {why}")));
            }
            Err(fault) => return Err(fault),
        };
        if answer.body.len() as u64 != blob.size {
            let (is, said) = (answer.body.len(), blob.size);
            return Err(RegistryFault::Nonsense(format!("{what} of {is} bytes that should have {said}")));
        }
        read(&answer, what)
    }
}

fn change(at: Time, tag: &str, what: TagChangeKind) -> TagChange {
    TagChange { at, tag: Text::clean(tag), what, bytes: None, added: 0, removed: 0 }
}

fn created_at(blob: &Descriptor) -> Option<Time> {
    blob.annotation("buildkit/createdat").and_then(Time::parse)
}

fn content_digest(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let etag = || text("etag").map(|etag| etag.trim_matches('"'));
    text("docker-content-digest").or_else(etag).filter(|digest| is_digest(digest)).map(str::to_owned)
}

/// The manifest in an answer.
fn manifest_of(answer: &HttpResponse) -> Result<Manifest, RegistryFault> {
    let manifest: Manifest = read(answer, "a manifest")?;
    if manifest.is_one() {
        Ok(manifest)
    } else {
        Err(RegistryFault::Nonsense("JSON that is no manifest".into()))
    }
}

fn cache_of(answer: &HttpResponse, manifest: &Manifest) -> (CacheTag, CacheBlobs) {
    let mut cache = CacheTag::default();
    let mut found = CacheBlobs {
        etag: answer.headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned),
        ..CacheBlobs::default()
    };
    cache.digest = content_digest(&answer.headers).as_deref().map(Digest::parse);
    let Some((kind, config, blobs)) = manifest.cache() else {
        cache.state = CacheState::NotCache;
        cache.reason = Text::clean("this tag is no cache of BuildKit: give the cache a tag of its own");
        return (cache, found);
    };
    cache.kind = Some(kind);
    cache.state = CacheState::Present;
    cache.config_bytes = config.size;
    if config.size > MOST_CONFIG_BYTES {
        cache.state = CacheState::TooLarge;
        cache.reason = Text::clean(&format!(
            "its config has {} bytes and BuildKit imports at most {MOST_CONFIG_BYTES}: every import fails; delete the tag \
             and build once more",
            config.size
        ));
    }
    let ages = || blobs.iter().filter_map(|blob| created_at(blob));
    (cache.oldest, cache.newest) = (ages().min(), ages().max());
    cache.blobs = blobs.len() as u32;
    cache.bytes = blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size));
    for blob in blobs {
        found.sizes.insert(blob.digest.clone(), blob.size);
        found.contents.extend(blob.annotation("containerd.io/uncompressed").map(str::to_owned));
    }
    (cache, found)
}

/// The next page of a list: `Link: </v2/name/tags/list?last=x&n=1000>; rel="next"`.
fn next_page(url: &Url, headers: &HeaderMap) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    let next = links.flat_map(|link| link.split(',')).find(|link| {
        let link = link.to_ascii_lowercase();
        link.contains("rel=\"next\"") || link.contains("rel=next")
    })?;
    let (_, target) = next.split_once('<')?;
    url.join(target.split_once('>')?.0).ok()
}

/// Reads JSON. Where it is another kind of thing, a page, its type says so; where a redirect has led away, that does.
fn read<T: DeserializeOwned>(answer: &HttpResponse, what: &str) -> Result<T, RegistryFault> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let led = if answer.strayed { ", behind a redirect to another host" } else { "" };
        RegistryFault::Nonsense(match kind {
            "" => format!("{what} that can't be read{led}: {error}"),
            _ if kind.contains("json") => format!("{what} that can't be read{led}: {error}"),
            _ => format!("{kind} instead of {what}{led}"),
        })
    })
}

/// An answer of success, or what is wrong in the registry's own words.
pub(super) fn good(answer: HttpResponse) -> Result<HttpResponse, RegistryFault> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    if let Some(busy) = answer.busy() {
        return Err(busy);
    }
    let errors: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = errors["errors"][0]["message"].as_str().unwrap_or_default();
    Err(RegistryFault::Status(answer.status.as_u16(), message.chars().take(120).collect()))
}
