//! The earlier builds of an image that a build is compared with: out of the store, and out of recordings that it does not know.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Row, params};

use super::fill::PastExtras;
use super::query::{platform, text};
use super::recorded;
use super::store::Store;
use crate::event::{Fingerprint, Platform, Started, Text, Time};
use crate::explain::{Past, PastStep, repository};
use crate::model::State;
use crate::recording::{self, RecordingFile};

/// Builds that are given; a step is mostly found in the newest.
const MOST_PASTS: usize = 8;

/// Builds and recordings that are looked into to find them.
const MOST_OPENED: usize = 40;

/// The query for earlier builds.
#[derive(Debug, Clone, Default)]
pub struct PastQuery {
    /// The image; its tag does not matter.
    pub image: Option<Text>,
    pub builder: Option<Text>,
    pub platforms: Vec<Platform>,
    /// Whether more is wanted than what covers each step once: what an older build has made may be made again.
    pub many: bool,
}

impl PastQuery {
    /// What to compare a build with that began so.
    pub fn of(started: &Started, many: bool) -> Self {
        let Started { image, builder, platforms, .. } = started.clone();
        Self { image, builder, platforms, many }
    }
}

/// Orders builds: by the second in which they began, and within a second by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildKey {
    begun: Time,
    name: Text,
}

impl BuildKey {
    /// A build of this name that began then.
    pub fn new(begun: Time, name: Text) -> Self {
        Self { begun: begun.whole_second(), name }
    }
}

/// An earlier build that may be used for the comparison.
struct PastCandidate {
    /// When it was begun, by the second: all that the name of a recording tells.
    begun: Time,
    name: Text,
    from: PastOrigin,
}

enum PastOrigin {
    Store(i64),
    /// The recording of a build that the store knows, but has not kept what later ones are compared with.
    StoredRecording(RecordingFile),
    Recording(RecordingFile),
}

/// The earlier builds of an image, newest first: those that a build can be compared with. Where there is a store they come from
/// it, in milliseconds; a recording is read where the store does not have its build. Looking stops when each platform has one on
/// the builder in which all steps have a result, at eight builds, at forty that were looked into, or when `is_enough` says so,
/// which is asked before each. What can't be read is left out.
pub fn earlier(
    store: Option<&Store>,
    recordings: Option<&Path>,
    wanted: &PastQuery,
    before: Option<&BuildKey>,
    is_enough: &dyn Fn() -> bool,
) -> Vec<Past> {
    let stored = store.map(|store| store.candidates(wanted, before).unwrap_or_default());
    let mut candidates = stored.unwrap_or_default();
    let image = wanted.image.as_ref().map_or("", Text::as_str);
    let listed = recordings.and_then(|dir| recording::list(dir).ok()).unwrap_or_default();
    candidates.extend(listed.into_iter().filter(|listed| listed.is_of(image)).map(|listed| PastCandidate {
        begun: listed.begun,
        name: recorded::name(&listed.path),
        from: PastOrigin::Recording(listed),
    }));
    if let Some(BuildKey { begun, name }) = before {
        // A recording's own name may tell a second that is before its first event's.
        let is_before = |one: &PastCandidate| one.name != *name && (one.begun, &one.name) < (*begun, name);
        candidates.retain(is_before);
    }
    candidates.sort_by(|a, b| (b.begun, &b.name).cmp(&(a.begun, &a.name)));
    let (mut found, mut opened): (Vec<Past>, usize) = (Vec::new(), 0);
    let mut unreadable: Vec<Text> = Vec::new();
    for candidate in candidates {
        if is_enough() || opened >= MOST_OPENED || found.len() >= MOST_PASTS {
            break;
        }
        if !wanted.many && is_covered(wanted, &found) {
            break;
        }
        let past = match &candidate.from {
            PastOrigin::Store(id) => {
                let past = store.and_then(|store| store.past(*id).ok().flatten());
                if past.is_none() {
                    unreadable.push(candidate.name.clone());
                }
                past
            }
            // What the store knows of it was among the candidates, or is too old to be compared with.
            PastOrigin::Recording(_)
                if store.is_some_and(|store| store.began(candidate.name.as_str()).is_some())
                    && !unreadable.contains(&candidate.name) =>
            {
                continue;
            }
            // Its file may be called as others are; the store has told them apart.
            PastOrigin::StoredRecording(listed) => recorded::past(listed, wanted.image.as_ref())
                .map(|past| Past { name: candidate.name.clone(), ..past }),
            PastOrigin::Recording(listed) => recorded::past(listed, wanted.image.as_ref()),
        };
        opened += 1;
        found.extend(past);
    }
    found
}

/// Whether each platform has a build on the builder in which every step has a result, and something else to compare with.
fn is_covered(wanted: &PastQuery, found: &[Past]) -> bool {
    let whole = |past: &Past, platform: &Platform| {
        let mut steps = past.steps.iter().filter(|step| step.platform.as_ref() == Some(platform)).peekable();
        past.builder == wanted.builder && steps.peek().is_some() && steps.all(PastStep::has_result)
    };
    !wanted.platforms.is_empty()
        && wanted.platforms.iter().all(|platform| found.iter().any(|past| whole(past, platform)))
}

impl Store {
    /// The builds of an image, or of none, of which it is known what to compare with: it is kept, or their recordings are there.
    fn candidates(
        &self,
        wanted: &PastQuery,
        before: Option<&BuildKey>,
    ) -> rusqlite::Result<Vec<PastCandidate>> {
        let image = wanted.image.as_ref().map(|image| repository(image.as_str()).0);
        // One of the same second may be earlier by its name.
        let end = before.map_or(i64::MAX, |before| before.begun.micros().saturating_add(1_000_000));
        let mut query = self.connection.prepare(
            "SELECT b.id, b.name, b.started_us, p.build IS NOT NULL, b.recording FROM builds AS b \
             LEFT JOIN pasts AS p ON p.build = b.id WHERE b.image IS ?1 AND b.started_us < ?2 \
             ORDER BY b.started_us DESC, b.id DESC LIMIT ?3",
        )?;
        let candidate = |row: &Row<'_>| {
            let begun = Time::from_micros(row.get(2)?).whole_second();
            let listed = || -> rusqlite::Result<Option<RecordingFile>> {
                let Some(path) = text(row, 4)? else { return Ok(None) };
                let path = PathBuf::from(path.as_str());
                let bytes = path.metadata().ok().filter(Metadata::is_file).map(|file| file.len());
                Ok(bytes.map(|bytes| RecordingFile { begun, path, bytes }))
            };
            let from = if row.get(3)? {
                Some(PastOrigin::Store(row.get(0)?))
            } else {
                listed()?.map(PastOrigin::StoredRecording)
            };
            let name = text(row, 1)?.unwrap_or_default();
            Ok(from.map(|from| PastCandidate { begun, name, from }))
        };
        let rows = query.query_map(params![image, end, super::query::limit(MOST_OPENED)], candidate)?;
        rows.filter_map(Result::transpose).collect()
    }

    /// When the build of this name began; none where there is none.
    pub fn began(&self, name: &str) -> Option<Time> {
        let query = "SELECT started_us FROM builds WHERE name = ?1";
        self.connection.query_row(query, [name], |row| row.get(0).map(Time::from_micros)).ok()
    }

    /// What a later build is compared with; none where that is not known any more.
    fn past(&self, id: i64) -> rusqlite::Result<Option<Past>> {
        let mut query = self.connection.prepare(
            "SELECT b.name, b.started_us, b.image, b.tag, b.builder, p.packed, f.packed FROM builds AS b \
             JOIN pasts AS p ON p.build = b.id LEFT JOIN prints AS f ON f.id = p.print WHERE b.id = ?1",
        )?;
        let past = query.query_row([id], |row| {
            let rest: PastExtras = unpacked(row, 5)?.unwrap_or_default();
            let fingerprint: Option<Fingerprint> = unpacked(row, 6)?;
            let (image, tag) = (text(row, 2)?, text(row, 3)?);
            Ok(Past {
                name: text(row, 0)?.unwrap_or_default(),
                begun: Time::from_micros(row.get(1)?),
                image: image.map(|image| match tag {
                    Some(tag) => Text::clean(&format!("{image}:{tag}")),
                    None => image,
                }),
                builder: text(row, 4)?,
                fingerprint,
                records: rest.records,
                made: rest.made,
                record_bytes: rest.record_bytes,
                nodes: rest.nodes,
                exported: rest.exported,
                folder: rest.folder,
                ..Past::default()
            })
        });
        let Some(past) = past.optional()? else { return Ok(None) };
        Ok(Some(Past { steps: self.past_steps(id)?, ..past }))
    }

    fn past_steps(&self, id: i64) -> rusqlite::Result<Vec<PastStep>> {
        let mut query = self.connection.prepare(
            "SELECT s.stage, s.idx, s.platform, t.text, w.text, s.state, s.ran_us FROM steps AS s \
             JOIN texts AS t ON t.id = s.instruction LEFT JOIN texts AS w ON w.id = s.written WHERE s.build = ?1 ORDER BY s.number",
        )?;
        let step = |row: &Row<'_>| {
            let state = State::parse(row.get_ref(5)?.as_str()?).unwrap_or(State::Waiting);
            Ok(PastStep {
                stage: text(row, 0)?,
                index: row.get(1)?,
                platform: platform(row, 2)?,
                instruction: text(row, 3)?.unwrap_or_default(),
                written: text(row, 4)?,
                state,
                ran: if state == State::Miss { Some(super::query::micros(row, 6)?) } else { None },
            })
        };
        query.query_map([id], step)?.collect()
    }
}

/// A value that was packed; none where there is none, or where it can't be read any more.
fn unpacked<T: serde::de::DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    let packed = row.get_ref(at)?.as_blob_or_null()?;
    Ok(packed.and_then(|packed| serde_json::from_slice(&zstd::decode_all(packed).ok()?).ok()))
}
