//! What is asked of the store.

use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Row, Statement, params};

use super::rows::{BuildRow, StepRow};
use super::store::Store;
use crate::event::expected::{Pulls, TransferKind};
use crate::event::{Platform, Reason, Text, Time};
use crate::explain::repository;
use crate::model::expected::{BuildExports, PastBuild, PastRun, covered};
use crate::model::{Outcome, State, name};

/// The columns of a [`BuildRow`], in the order in which [`build`] reads them.
const BUILD: &str = "id, name, recording, image, tag, builder, platforms, commit_id, dirty, host, result, scenario, started_us, \
                     wall_ms, no_cache_ms, steps, hits, misses, \
                     (SELECT count(*) FROM steps AS s JOIN texts AS t ON t.id = s.instruction WHERE s.build = builds.id \
                      AND s.state = 'miss' AND t.text NOT LIKE 'FROM %'), \
                     (SELECT count(*) FROM steps AS s WHERE s.build = builds.id AND s.state NOT IN ('not_needed', 'not_reached', 'waiting', 'running')), \
                     (SELECT count(*) FROM steps AS s WHERE s.build = builds.id AND s.state IN ('failed', 'cancelled'))";

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

    /// The newest builds of an image that were begun before a moment, newest first.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn builds_before(
        &self,
        image: Option<&str>,
        begun: Time,
        most: usize,
    ) -> rusqlite::Result<Vec<BuildRow>> {
        let image = image.map(|image| repository(image).0);
        let sql = format!(
            "SELECT {BUILD} FROM builds WHERE image IS ?1 AND started_us < ?2 ORDER BY started_us DESC, id DESC LIMIT ?3"
        );
        let mut query = self.connection.prepare(&sql)?;
        query.query_map(params![image, begun.micros(), limit(most)], build)?.collect()
    }

    /// The steps of a build, in their order.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn steps(&self, id: i64) -> rusqlite::Result<Vec<StepRow>> {
        let mut query = self.connection.prepare(
            "SELECT s.stage, s.idx, s.platform, t.text, s.layer, \
             CASE WHEN s.state = 'not_needed' AND b.result <> 'success' THEN 'not_reached' ELSE s.state END, \
             s.source, s.reason, s.grade, s.root, s.because, s.ran_us, s.pulled_us, s.bytes \
             FROM steps AS s JOIN builds AS b ON b.id = s.build JOIN texts AS t ON t.id = s.instruction WHERE s.build = ?1 ORDER BY s.number",
        )?;
        query.query_map([id], step)?.collect()
    }

    /// The images that there are builds of, without tags, the one of the newest build first.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn images(&self) -> rusqlite::Result<Vec<String>> {
        let mut query = self.connection.prepare(
            "SELECT image FROM builds WHERE image IS NOT NULL GROUP BY image ORDER BY max(started_us) DESC",
        )?;
        query.query_map([], |row| Ok(text(row, 0)?.unwrap_or_default().to_string()))?.collect()
    }

    /// How many builds there are.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn count(&self) -> rusqlite::Result<u64> {
        self.connection.query_row("SELECT count(*) FROM builds", [], |row| natural(row, 0))
    }

    /// The newest builds of an image on a builder that were begun before a moment, newest first: what tells how long the next one takes.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn past_builds(
        &self,
        image: Option<&str>,
        builder: Option<&str>,
        begun: Time,
        most: usize,
    ) -> rusqlite::Result<Vec<PastBuild>> {
        let image = image.map(|image| repository(image).0);
        let mut builds = self.connection.prepare(
            "SELECT id, result, steps, wall_ms, command FROM builds WHERE image IS ?1 AND builder IS ?2 AND started_us < ?3 \
             ORDER BY started_us DESC, id DESC LIMIT ?4",
        )?;
        let mut steps = self.connection.prepare(
            "SELECT s.stage, s.idx, s.platform, t.text, s.layer, s.ran_us, s.pulled_us FROM steps AS s \
             JOIN texts AS t ON t.id = s.instruction WHERE s.build = ?1 AND s.state = 'miss' ORDER BY s.number",
        )?;
        let mut transfers =
            self.connection.prepare("SELECT kind, took_us FROM transfers WHERE build = ?1")?;
        let mut fetched = self.connection.prepare(
            "SELECT coalesce(sum(bytes), 0), coalesce(sum(pulled_us), 0) FROM steps WHERE build = ?1 AND bytes > 0",
        )?;
        let mut spans = self.connection.prepare(SPANS)?;
        let mut found = Vec::new();
        let mut rows = builds.query(params![image, builder, begun.micros(), limit(most)])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let whole = row.get_ref(1)?.as_str()? == Outcome::Success.key();
            let runs = steps.query_map([id], run)?.collect::<rusqlite::Result<Vec<PastRun>>>()?;
            let mut build = PastBuild {
                ran: u32::try_from(runs.len()).unwrap_or(u32::MAX),
                of: row.get(2)?,
                steps: runs,
                pulls: fetched.query_row([id], pulls)?,
                exports: exports(row.get_ref(4)?.as_str()?),
                ..PastBuild::default()
            };
            if whole {
                build.beside = Some(millis(row, 3)?.saturating_sub(steps_time(&mut spans, id)?));
                let told = transfers.query_map([id], |row| {
                    Ok((TransferKind::parse(row.get_ref(0)?.as_str()?), micros(row, 1)?))
                })?;
                for transfer in told {
                    let (kind, took) = transfer?;
                    build.transfers.extend(kind.map(|kind| (kind, took)));
                }
            }
            found.push(build);
        }
        Ok(found)
    }
}

/// When the steps of a build ran: what [`steps_time`] reads.
pub(super) const SPANS: &str = "SELECT started_us, ran_us + pulled_us FROM steps WHERE build = ?1 AND state = 'miss' AND started_us IS NOT NULL";

/// How much of a build's time its steps covered.
pub(super) fn steps_time(spans: &mut Statement<'_>, build: i64) -> rusqlite::Result<Duration> {
    let spans = spans.query_map([build], |row| Ok((micros(row, 0)?, micros(row, 1)?)))?;
    Ok(covered(spans.collect::<rusqlite::Result<_>>()?))
}

/// What a build exported, by its command.
pub(super) fn exports(command: &str) -> BuildExports {
    BuildExports::of(&serde_json::from_str::<Vec<Text>>(command).unwrap_or_default())
}

fn build(row: &Row<'_>) -> rusqlite::Result<BuildRow> {
    let result = Outcome::parse(row.get_ref(10)?.as_str()?).unwrap_or(Outcome::Lost);
    let (steps, misses) = (natural(row, 15)?, natural(row, 17)?);
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
        result,
        scenario: text(row, 11)?,
        started: Time::from_micros(row.get(12)?),
        wall: millis(row, 13)?,
        no_cache: optional(row, 14)?.map(duration),
        steps,
        hits: natural(row, 16)?,
        misses,
        rebuilt: natural(row, 18)?,
        // What a build that made what was asked for did not need it has reached all the same.
        reached: if result == Outcome::Success { steps } else { natural(row, 19)? },
        uncached: misses + natural(row, 20)?,
    })
}

fn step(row: &Row<'_>) -> rusqlite::Result<StepRow> {
    let reason = match keyed(row, 7)? {
        Some(kind) => Some(Reason {
            kind,
            grade: keyed(row, 8)?.unwrap_or_default(),
            root: row.get::<_, Option<bool>>(9)?.unwrap_or_default(),
            because: text(row, 10)?.unwrap_or_default(),
            ..Reason::default()
        }),
        None => None,
    };
    Ok(StepRow {
        stage: text(row, 0)?,
        index: row.get(1)?,
        platform: platform(row, 2)?,
        instruction: text(row, 3)?.unwrap_or_default(),
        layer: text(row, 4)?,
        state: State::parse(row.get_ref(5)?.as_str()?).unwrap_or(State::Waiting),
        source: keyed(row, 6)?,
        reason,
        ran: micros(row, 11)?,
        pulled: micros(row, 12)?,
        bytes: natural(row, 13)?,
    })
}

/// A value that is written by its name in JSON; none of one that this version does not know.
fn keyed<T: serde::de::DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    let key = row.get_ref(at)?.as_str_or_null()?;
    Ok(key.and_then(|key| serde_json::from_value(serde_json::Value::from(key)).ok()))
}

/// Reads transfers: bytes, and a time in microseconds.
pub(super) fn pulls(row: &Row<'_>) -> rusqlite::Result<Pulls> {
    Ok(Pulls { bytes: natural(row, 0)?, us: natural(row, 1)? })
}

pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<PastRun> {
    let instruction = text(row, 3)?.unwrap_or_default();
    // What a base image takes is its pull.
    let pulls = if is_from(instruction.as_str()) { micros(row, 6)? } else { Duration::ZERO };
    Ok(PastRun {
        stage: text(row, 0)?,
        index: row.get(1)?,
        platform: platform(row, 2)?,
        layer: text(row, 4)?,
        took: micros(row, 5)? + pulls,
        instruction,
    })
}

fn is_from(instruction: &str) -> bool {
    name::keyword(instruction).eq_ignore_ascii_case("FROM")
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

pub(super) fn micros(row: &Row<'_>, at: usize) -> rusqlite::Result<Duration> {
    Ok(Duration::from_micros(natural(row, at)?))
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
