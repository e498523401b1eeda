//! What is asked of the store.

use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Row, params};

use super::rows::{BuildRow, Run};
use super::store::Store;
use crate::event::{Platform, Text, Time};
use crate::explain::repository;
use crate::model::Outcome;

/// The columns of a [`BuildRow`], in the order in which [`build`] reads them.
const BUILD: &str = "id, name, recording, image, tag, builder, platforms, commit_id, dirty, host, result, scenario, started_us, \
                     wall_ms, no_cache_ms, steps, hits, misses";

impl Store {
    /// The newest builds, newest first; of an image, whatever its tag is, where one is given.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn builds(&self, image: Option<&str>, most: usize) -> rusqlite::Result<Vec<BuildRow>> {
        let image = image.map(|image| repository(image).0);
        let only = if image.is_some() { "WHERE image = ?1" } else { "WHERE ?1 IS NULL" };
        let sql = format!("SELECT {BUILD} FROM builds {only} ORDER BY started_us DESC, id DESC LIMIT ?2");
        let mut query = self.connection.prepare(&sql)?;
        query.query_map(params![image, limit(most)], build)?.collect()
    }

    /// How many builds there are.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn count(&self) -> rusqlite::Result<u64> {
        self.connection.query_row("SELECT count(*) FROM builds", [], |row| natural(row, 0))
    }

    /// The steps that ran to their end in the newest builds of an image, newest first: what tells how long they take.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn runs(&self, image: Option<&str>, builds: usize) -> rusqlite::Result<Vec<Run>> {
        let image = image.map(|image| repository(image).0);
        let mut query = self.connection.prepare(
            "SELECT b.id, b.started_us, b.builder, s.platform, s.stage, s.idx, t.text, s.layer, s.ran_ms, s.pulled_ms \
             FROM (SELECT id, started_us, builder FROM builds WHERE image IS ?1 ORDER BY started_us DESC, id DESC LIMIT ?2) AS b \
             JOIN steps AS s ON s.build = b.id JOIN texts AS t ON t.id = s.instruction \
             WHERE s.state = 'miss' ORDER BY b.started_us DESC, b.id DESC, s.number",
        )?;
        query.query_map(params![image, limit(builds)], run)?.collect()
    }
}

fn build(row: &Row<'_>) -> rusqlite::Result<BuildRow> {
    Ok(BuildRow {
        id: row.get(0)?,
        name: text(row, 1)?.unwrap_or_default(),
        recording: text(row, 2)?,
        image: text(row, 3)?,
        tag: text(row, 4)?,
        builder: text(row, 5)?,
        platforms: Platform::parse_list(row.get_ref(6)?.as_str()?),
        commit: text(row, 7)?,
        dirty: row.get(8)?,
        host: text(row, 9)?,
        result: Outcome::parse(row.get_ref(10)?.as_str()?).unwrap_or(Outcome::Lost),
        scenario: text(row, 11)?,
        started: Time::from_micros(row.get(12)?),
        wall: millis(row, 13)?,
        no_cache: optional(row, 14)?.map(duration),
        steps: natural(row, 15)?,
        hits: natural(row, 16)?,
        misses: natural(row, 17)?,
    })
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        build: row.get(0)?,
        begun: Time::from_micros(row.get(1)?),
        builder: text(row, 2)?,
        platform: platform(row, 3)?,
        stage: text(row, 4)?,
        index: row.get(5)?,
        instruction: text(row, 6)?.unwrap_or_default(),
        layer: text(row, 7)?,
        ran: millis(row, 8)?,
        pulled: millis(row, 9)?,
    })
}

/// A text, which is foreign as that of a recording is: it is sanitised again.
pub(super) fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Text>> {
    Ok(row.get_ref(at)?.as_str_or_null()?.map(Text::clean))
}

pub(super) fn platform(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Platform>> {
    Ok(row.get_ref(at)?.as_str_or_null()?.and_then(Platform::parse))
}

pub(super) fn millis(row: &Row<'_>, at: usize) -> rusqlite::Result<Duration> {
    Ok(duration(row.get(at)?))
}

pub(super) fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

pub(super) fn natural(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0))
}

pub(super) fn optional<T: FromSql>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    row.get(at)
}

pub(super) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
