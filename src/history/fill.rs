//! Writes a build down: all of it or nothing.

use std::path::Path;
use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::build::{StoredBuild, StoredStep};
use super::store::Store;
use crate::event::evidence::CacheRecord;
use crate::event::expected::TransferKind;
use crate::event::{Fingerprint, Platform, Text, fingerprint};
use crate::explain::{Past, repository};

/// Builds of an image and builder whose [`Past`] is kept: who looks for one to compare with finds it among the newest.
const MOST_PASTS: i64 = 20;

/// A fingerprint that has more bytes than this is not kept; it is in the recording.
const LARGEST_PRINT: usize = 32 << 20;

/// Level of zstd; what is packed is mostly hashes and names.
const LEVEL: i32 = 3;

/// The fields of a [`Past`] beside its steps and its fingerprint.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PastExtras {
    pub(super) records: Vec<CacheRecord>,
    pub(super) made: Option<u32>,
    pub(super) record_bytes: u64,
    pub(super) nodes: Vec<(Platform, Text)>,
    pub(super) exported: bool,
    pub(super) folder: Option<Text>,
}

impl Store {
    /// Writes a build down and gives its number; none where one of its name is there already. When this returns the build
    /// outlives the process, however that ends.
    ///
    /// # Errors
    /// Where it can't be written: nothing of it is then.
    pub fn keep(&mut self, build: &StoredBuild) -> rusqlite::Result<Option<i64>> {
        let change = Transaction::new(&mut self.connection, TransactionBehavior::Immediate)?;
        let id = insert(&change, build)?;
        change.commit()?;
        Ok(id)
    }
}

/// Writes a build down as a part of a change and gives its number; none where one of its name is there already.
pub(super) fn insert(change: &Transaction<'_>, build: &StoredBuild) -> rusqlite::Result<Option<i64>> {
    let Some(id) = insert_build(change, build)? else { return Ok(None) };
    insert_steps(change, id, &build.steps)?;
    insert_transfers(change, id, &build.transfers)?;
    insert_past(change, id, &build.past)?;
    forget_pasts(change, build)?;
    Ok(Some(id))
}

fn insert_build(change: &Transaction<'_>, build: &StoredBuild) -> rusqlite::Result<Option<i64>> {
    let (image, tag) = match build.image.as_ref().map(|image| repository(image.as_str())) {
        Some((image, tag)) => (Some(image), tag),
        None => (None, None),
    };
    let platforms: Vec<&str> = build.platforms.iter().map(Platform::as_str).collect();
    let recording = build.recording.as_deref().and_then(Path::to_str);
    // A list of texts can always be written.
    let command = serde_json::to_string(&build.command).unwrap_or_default();
    let inserted = change.execute(
        "INSERT INTO builds (name, recording, image, tag, builder, platforms, commit_id, dirty, host, command, target, result, \
         exit_code, started_us, wall_ms, no_cache_ms, scenario, steps, hits, misses, bytes_pulled) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) \
         ON CONFLICT (name) DO NOTHING",
        params![
            build.name.as_str(),
            recording,
            image,
            tag,
            text(build.builder.as_ref()),
            platforms.join(","),
            text(build.commit.as_ref()),
            build.dirty,
            text(build.host.as_ref()),
            command,
            text(build.target.as_ref()),
            build.result.key(),
            build.exit_code,
            build.started.micros(),
            millis(build.wall),
            build.no_cache.map(millis),
            text(build.scenario.as_ref()),
            number(build.total as u64),
            number(build.hits as u64),
            number(build.misses as u64),
            number(build.bytes_pulled),
        ],
    )?;
    Ok((inserted > 0).then(|| change.last_insert_rowid()))
}

fn insert_steps(change: &Transaction<'_>, id: i64, steps: &[StoredStep]) -> rusqlite::Result<()> {
    let mut add = change.prepare(
        "INSERT INTO steps (build, number, stage, idx, platform, instruction, written, layer, state, reason, grade, root, because, \
         source, started_us, ran_us, pulled_us, bytes) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    for (at, step) in steps.iter().enumerate() {
        let past = &step.past;
        let instruction = text_id(change, past.instruction.as_str())?;
        let written = past.written.as_ref().map(|written| text_id(change, written.as_str())).transpose()?;
        let reason = step.reason.as_ref();
        add.execute(params![
            id,
            number(at as u64),
            text(past.stage.as_ref()),
            past.index,
            past.platform.as_ref().map(Platform::as_str),
            instruction,
            written,
            text(step.layer.as_ref()),
            past.state.key(),
            reason.map(|reason| reason.kind.key()),
            reason.map(|reason| reason.grade.key()),
            reason.map(|reason| reason.root),
            reason.map(|reason| reason.because.as_str()),
            step.source.map(crate::model::Source::key),
            step.started.map(micros),
            micros(step.ran),
            micros(step.pulled),
            number(step.bytes),
        ])?;
    }
    Ok(())
}

fn insert_transfers(
    change: &Transaction<'_>,
    id: i64,
    transfers: &[(TransferKind, Duration)],
) -> rusqlite::Result<()> {
    let mut add = change.prepare("INSERT INTO transfers (build, kind, took_us) VALUES (?1, ?2, ?3)")?;
    for (kind, took) in transfers {
        add.execute(params![id, kind.key(), micros(*took)])?;
    }
    Ok(())
}

/// The number of a text.
fn text_id(change: &Transaction<'_>, text: &str) -> rusqlite::Result<i64> {
    let known =
        change.query_row("SELECT id FROM texts WHERE text = ?1", [text], |row| row.get(0)).optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    change.execute("INSERT INTO texts (text) VALUES (?1)", [text])?;
    Ok(change.last_insert_rowid())
}

fn insert_past(change: &Transaction<'_>, id: i64, past: &Past) -> rusqlite::Result<()> {
    let print = past.fingerprint.as_ref().map(|print| print_id(change, print)).transpose()?.flatten();
    let rest = PastExtras {
        records: past.records.clone(),
        made: past.made,
        record_bytes: past.record_bytes,
        nodes: past.nodes.clone(),
        exported: past.exported,
        folder: past.folder.clone(),
    };
    let Some(packed) = pack(&rest) else { return Ok(()) };
    change.execute(
        "INSERT INTO pasts (build, print, packed) VALUES (?1, ?2, ?3)",
        params![id, print, packed],
    )?;
    Ok(())
}

/// The number of a fingerprint; those that are the same are kept once. None of one that is too large.
fn print_id(change: &Transaction<'_>, print: &Fingerprint) -> rusqlite::Result<Option<i64>> {
    // How long it took to make is another each time.
    let print = Fingerprint { work: fingerprint::FingerprintWork::default(), ..print.clone() };
    let Ok(json) = serde_json::to_vec(&print) else { return Ok(None) };
    if json.len() > LARGEST_PRINT {
        return Ok(None);
    }
    let hash = blake3::hash(&json);
    let hash = hash.as_bytes().as_slice();
    let known =
        change.query_row("SELECT id FROM prints WHERE hash = ?1", [hash], |row| row.get(0)).optional()?;
    if known.is_some() {
        return Ok(known);
    }
    let Ok(packed) = zstd::encode_all(json.as_slice(), LEVEL) else { return Ok(None) };
    change.execute("INSERT INTO prints (hash, packed) VALUES (?1, ?2)", params![hash, packed])?;
    Ok(Some(change.last_insert_rowid()))
}

/// Lets go what no later build will be compared with.
fn forget_pasts(change: &Transaction<'_>, build: &StoredBuild) -> rusqlite::Result<()> {
    let image = build.image.as_ref().map(|image| repository(image.as_str()).0);
    change.execute(
        "DELETE FROM pasts WHERE build IN (SELECT id FROM builds WHERE image IS ?1 AND builder IS ?2 \
         ORDER BY started_us DESC, id DESC LIMIT -1 OFFSET ?3)",
        params![image, text(build.builder.as_ref()), MOST_PASTS],
    )?;
    forget_prints(change)
}

/// Lets go the fingerprints that no build has any more.
pub(super) fn forget_prints(change: &Transaction<'_>) -> rusqlite::Result<()> {
    change.execute(
        "DELETE FROM prints WHERE id NOT IN (SELECT print FROM pasts WHERE print IS NOT NULL)",
        [],
    )?;
    Ok(())
}

/// A value as JSON, compressed with zstd.
fn pack<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    zstd::encode_all(serde_json::to_vec(value).ok()?.as_slice(), LEVEL).ok()
}

fn text(text: Option<&Text>) -> Option<&str> {
    text.map(Text::as_str)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// `SQLite` has signed numbers only.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
