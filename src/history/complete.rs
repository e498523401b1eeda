//! Completes the newest build of a builder by a listing of its records that was made after it.
//!
//! No build waits for its builder's records. Whoever talks to the builder next has them listed, and as long as nobody else has used it since,
//! they tell what that build left behind: where its hits came from, and what later builds are compared with. What they tell is added
//! to the build's recording, so that a replay tells it, too, and to the store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::build::StoredBuild;
use super::store::Store;
use super::{BuildKey, PastQuery, earlier, fill, name, read};
use crate::event::evidence::{CacheRecord, Known, When};
use crate::event::{Event, Reasons, Records, Stamped, Text, Time};
use crate::explain;
use crate::model::Model;
use crate::recording;
use crate::wording;

/// A build that a builder's records may complete.
struct OpenBuild {
    id: i64,
    recording: String,
    /// When it had ended, at most a thousandth of a second late.
    ended: Time,
}

impl Store {
    /// The records that a worker had when it was listed last; none where it was not.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn listed(&self, worker: &Text) -> rusqlite::Result<Option<Known>> {
        let row = |row: &rusqlite::Row<'_>| {
            let bytes: Vec<u8> = row.get(2)?;
            let marks = bytes
                .chunks_exact(8)
                .map(|mark| mark.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)));
            let took = row.get::<_, Option<i64>>(1)?.and_then(|took| u64::try_from(took).ok());
            Ok(Known {
                asked: Time::from_micros(row.get(0)?),
                took: took.map(Duration::from_micros),
                marks: marks.collect(),
            })
        };
        let query = "SELECT asked_us, took_us, marks FROM listings WHERE worker = ?1";
        self.connection.query_row(query, [worker.as_str()], row).optional()
    }

    /// Keeps which records a worker had, and about how long it took to list them: a listing that had new records to measure says little
    /// of the next one. Of a listing that failed, or is not whole, nothing is kept.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn keep_listing(&mut self, records: &Records) -> rusqlite::Result<()> {
        if records.worker.as_str().is_empty() || !records.is_whole() {
            return Ok(());
        }
        let mut marks: Vec<u64> = records.records.iter().map(CacheRecord::mark).collect();
        marks.sort_unstable();
        let took = i64::try_from(records.answered.since(records.asked).as_micros()).ok();
        let marks: Vec<u8> = marks.into_iter().flat_map(u64::to_be_bytes).collect();
        self.connection.execute(
            "INSERT INTO listings (worker, asked_us, took_us, marks) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (worker) DO \
             UPDATE SET asked_us = excluded.asked_us, marks = excluded.marks, took_us = min(excluded.took_us, \
             (3 * coalesce(took_us, excluded.took_us) + excluded.took_us) / 4) \
             WHERE excluded.asked_us > asked_us",
            params![records.worker.as_str(), records.asked.micros(), took, marks],
        )?;
        Ok(())
    }

    /// Adds to the newest build of a builder what a listing of one of its nodes tells; the build's recording where it did.
    ///
    /// # Errors
    /// Where the store can't be read or written.
    pub fn complete(
        &mut self,
        builder: Option<&Text>,
        records: &Records,
        dir: Option<&Path>,
    ) -> rusqlite::Result<Option<Text>> {
        let newest = self.newest(builder)?;
        // That is known without the recording, which may be long.
        let Some(open) = newest.filter(|newest| shows_end(records, newest.ended)) else { return Ok(None) };
        let path = Path::new(&open.recording);
        let Some(mut model) = read(path, &|_| true).ok().flatten() else { return Ok(None) };
        let Some(listing) = of_after(&model, records) else { return Ok(None) };
        let at = model.ended().unwrap_or_default();
        let mut added = vec![Stamped { at, event: Event::Records(Arc::new(listing)) }];
        model.apply_all(&added);
        if let Some(reasons) = self.judged_again(&model, path, dir) {
            let told = Stamped { at, event: Event::Reasons(Box::new(reasons)) };
            model.apply(&told);
            added.push(told);
        }
        if recording::append(path, &added).is_err() {
            return Ok(None);
        }
        self.renew(open.id, &StoredBuild::of(&model, name(path), Some(path.to_owned())))?;
        Ok(Some(name(path)))
    }

    /// The newest build of a builder, where it has a recording.
    fn newest(&self, builder: Option<&Text>) -> rusqlite::Result<Option<OpenBuild>> {
        let query = "SELECT id, recording, started_us, wall_ms FROM builds WHERE builder IS ?1 ORDER BY started_us DESC, id DESC LIMIT 1";
        let row = |row: &rusqlite::Row<'_>| {
            let (id, recording) = (row.get(0)?, row.get::<_, Option<String>>(1)?);
            // It is kept in whole thousandths.
            let wall = Duration::from_millis(u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default() + 1);
            let ended = Time::from_micros(row.get(2)?).plus(wall);
            Ok(recording.map(|recording| OpenBuild { id, recording, ended }))
        };
        let newest = self.connection.query_row(query, [builder.map(Text::as_str)], row).optional()?;
        Ok(newest.flatten())
    }

    fn judged_again(&self, model: &Model, path: &Path, dir: Option<&Path>) -> Option<Reasons> {
        if !model.stack().steps().any(|(id, _)| model.missed(id)) {
            return None;
        }
        let wanted = PastQuery::of(model.started(), true);
        let before = BuildKey::new(model.begun()?, name(path));
        let pasts = earlier(Some(self), dir, &wanted, Some(&before), &|| false);
        let mut reasons = explain::judge(model, &pasts);
        wording::fill(&mut reasons);
        (!reasons.is_empty()).then_some(Reasons { reasons })
    }

    /// Writes a build down anew in the place of what is known of it.
    ///
    /// # Errors
    /// Where the store can't be written.
    pub fn renew(&mut self, id: i64, build: &StoredBuild) -> rusqlite::Result<()> {
        let change = Transaction::new(&mut self.connection, TransactionBehavior::Immediate)?;
        change.execute("DELETE FROM builds WHERE id = ?1", [id])?;
        fill::insert(&change, build)?;
        change.commit()
    }
}

/// Whether a listing shows what a build that ended then has left behind.
fn shows_end(records: &Records, ended: Time) -> bool {
    records.is_whole() && records.asked >= ended && records.is_untouched_since(ended)
}

/// A listing as that of after a build; none where it can't tell more of it.
fn of_after(model: &Model, records: &Records) -> Option<Records> {
    let ended = model.ended()?;
    let known = model.records_after().iter().any(|known| known.node == records.node && known.error.is_none());
    if known || !shows_end(records, ended) {
        return None;
    }
    let mine = |listing: &&Arc<Records>| listing.node == records.node && listing.error.is_none();
    let before = model.records_before().iter().find(mine);
    let mut told = match before.filter(|before| before.is_whole() && model.listed_before_hits(before)) {
        Some(before) => records.since(before),
        None => records.clone(),
    };
    told.when = When::After;
    // What others' steps are described as may hold secrets that only they know, and tells nothing of this build.
    let is_own = model.fits_some_step();
    for record in &mut told.records {
        let is_plain = record.imported.is_some() || record.description.as_str().starts_with("pulled from ");
        if !is_plain && !is_own(record) {
            record.description = Text::default();
        }
    }
    Some(told)
}

impl Store {
    /// Whether a recording is of the newest build of its builder, and that build's end left open where its hits came from.
    pub fn is_open(&self, path: &Path, model: &Model) -> bool {
        let newest = self.newest(model.started().builder.as_ref()).ok().flatten();
        let told = model.records_after().iter().any(|known| known.error.is_none());
        model.ended().is_some() && !told && newest.is_some_and(|newest| Path::new(&newest.recording) == path)
    }
}
