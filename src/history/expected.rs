//! How long what a build may do took in earlier builds, out of the store.

use rusqlite::params;

use super::query::{SPANS, exports, limit, micros, millis, pulls, run, steps_time, text};
use super::store::Store;
use crate::event::expected::{BesideSample, Expected, ExpectedTransfer, Pulls, TransferKind, TransferSample};
use crate::explain::repository;
use crate::model::Outcome;
use crate::model::expected::{MOST_PULLS, MOST_RUNS, MOST_SAMPLES, PastBuild, PastRun, expected};

/// Builds of an image that are looked at: a step that none of so many ran is not waited for either.
const MOST_BUILDS: usize = 2_000;

/// Builds that are looked through for what was fetched.
const MOST_FETCHING: usize = 200;

/// Samples of a transfer from builds in which equally many steps ran.
const MOST_ALIKE: usize = 3;

/// The newest builds of an image on a builder.
const RECENT: &str = "WITH recent AS (SELECT id, started_us, result, misses, steps FROM builds \
                      WHERE image IS ?1 AND builder IS ?2 ORDER BY started_us DESC, id DESC LIMIT ?3) ";

impl Store {
    /// How long what a build of an image on a builder may do took before: the last ten runs of each step, wherever in the last
    /// 2,000 builds they are, and transfers of builds of all kinds. The image's tag does not matter.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn expected(&self, image: Option<&str>, builder: Option<&str>) -> rusqlite::Result<Expected> {
        let image = image.map(|image| repository(image).0);
        let most = limit(MOST_BUILDS);
        let mut expected_times = expected(&self.last_runs(image, builder)?);
        expected_times.builds = self.connection.query_row(
            &format!("{RECENT} SELECT count(*) FROM recent"),
            params![image, builder, most],
            |row| row.get(0),
        )?;
        expected_times.transfers = self.samples(image, builder)?;
        expected_times.pulls = self.pulls(image, builder)?;
        expected_times.beside = self.beside(image, builder)?;
        Ok(expected_times)
    }

    /// The builds, newest first, with those runs of a step in them that are among its last.
    fn last_runs(&self, image: Option<&str>, builder: Option<&str>) -> rusqlite::Result<Vec<PastBuild>> {
        let sql = format!(
            "{RECENT}, ranked AS (SELECT s.*, r.id AS of, r.started_us AS begun, row_number() OVER \
             (PARTITION BY s.instruction, s.platform ORDER BY r.started_us DESC, r.id DESC) AS nth \
             FROM recent AS r JOIN steps AS s ON s.build = r.id WHERE s.state = 'miss') \
             SELECT k.stage, k.idx, k.platform, t.text, k.layer, k.ran_us, k.pulled_us, k.of FROM ranked AS k \
             JOIN texts AS t ON t.id = k.instruction WHERE k.nth <= ?4 ORDER BY k.begun DESC, k.of DESC, k.number"
        );
        let mut query = self.connection.prepare(&sql)?;
        let values = params![image, builder, limit(MOST_BUILDS), limit(MOST_RUNS)];
        let rows = query.query_map(values, |row| Ok((row.get::<_, i64>(7)?, run(row)?)))?;
        let rows: Vec<(i64, PastRun)> = rows.collect::<rusqlite::Result<_>>()?;
        let build = |rows: &[(i64, PastRun)]| PastBuild {
            steps: rows.iter().map(|(_, run)| run.clone()).collect(),
            ..PastBuild::default()
        };
        Ok(rows.chunk_by(|a, b| a.0 == b.0).map(build).collect())
    }

    /// What the newest builds fetched that fetched anything.
    fn pulls(&self, image: Option<&str>, builder: Option<&str>) -> rusqlite::Result<Pulls> {
        let sql = format!(
            "{RECENT}, pulled AS (SELECT sum(s.bytes) AS bytes, sum(s.pulled_us) AS us FROM recent AS r JOIN steps AS s \
             ON s.build = r.id WHERE s.bytes > 0 GROUP BY r.id ORDER BY r.started_us DESC, r.id DESC LIMIT ?4) \
             SELECT coalesce(sum(bytes), 0), coalesce(sum(us), 0) FROM pulled"
        );
        let values = params![image, builder, limit(MOST_FETCHING), limit(MOST_PULLS)];
        self.connection.query_row(&sql, values, pulls)
    }

    /// What builds took beside their steps: of those in which equally many steps ran the newest.
    fn beside(&self, image: Option<&str>, builder: Option<&str>) -> rusqlite::Result<Vec<BesideSample>> {
        let sql = format!(
            "{RECENT}, ranked AS (SELECT r.id, r.misses, r.steps, r.started_us, row_number() OVER \
             (PARTITION BY r.misses, r.steps ORDER BY r.started_us DESC, r.id DESC) AS nth \
             FROM recent AS r WHERE r.result = ?4) \
             SELECT k.id, k.misses, k.steps, b.wall_ms, b.command FROM ranked AS k JOIN builds AS b ON b.id = k.id \
             WHERE k.nth <= ?5 ORDER BY k.nth, k.started_us DESC LIMIT ?6"
        );
        let mut spans = self.connection.prepare(SPANS)?;
        let mut query = self.connection.prepare(&sql)?;
        let values = params![
            image,
            builder,
            limit(MOST_BUILDS),
            Outcome::Success.key(),
            limit(MOST_ALIKE),
            limit(MOST_SAMPLES)
        ];
        let mut rows = query.query(values)?;
        let mut expected_times = Vec::new();
        while let Some(row) = rows.next()? {
            let steps = steps_time(&mut spans, row.get(0)?)?;
            let exports = exports(row.get_ref(4)?.as_str()?);
            expected_times.push(BesideSample {
                ran: row.get(1)?,
                of: row.get(2)?,
                push: exports.push,
                cache_export: exports.cache,
                us: u64::try_from(millis(row, 3)?.saturating_sub(steps).as_micros()).unwrap_or(u64::MAX),
            });
        }
        Ok(expected_times)
    }

    /// Transfers: of builds in which equally many steps ran the newest, so that those of rare builds are among them.
    fn samples(&self, image: Option<&str>, builder: Option<&str>) -> rusqlite::Result<Vec<ExpectedTransfer>> {
        let sql = format!(
            "{RECENT}, ranked AS (SELECT t.kind, t.took_us, r.misses, r.steps, r.started_us, row_number() OVER \
             (PARTITION BY t.kind, r.misses, r.steps ORDER BY r.started_us DESC, r.id DESC) AS nth \
             FROM recent AS r JOIN transfers AS t ON t.build = r.id WHERE r.result = ?4) \
             SELECT kind, took_us, misses, steps FROM ranked WHERE nth <= ?5 ORDER BY nth, started_us DESC"
        );
        let mut query = self.connection.prepare(&sql)?;
        let values = params![image, builder, limit(MOST_BUILDS), Outcome::Success.key(), limit(MOST_ALIKE)];
        let mut rows = query.query(values)?;
        let mut expected_times: Vec<ExpectedTransfer> = Vec::new();
        while let Some(row) = rows.next()? {
            let kind = text(row, 0)?.unwrap_or_default();
            let Some(kind) = TransferKind::parse(kind.as_str()) else { continue };
            let us = u64::try_from(micros(row, 1)?.as_micros()).unwrap_or(u64::MAX);
            let sample = TransferSample { ran: row.get(2)?, of: row.get(3)?, us };
            match expected_times.iter_mut().find(|transfer| transfer.kind == kind) {
                Some(transfer) if transfer.samples.len() >= MOST_SAMPLES => {}
                Some(transfer) => transfer.samples.push(sample),
                None => expected_times.push(ExpectedTransfer { kind, samples: vec![sample] }),
            }
        }
        Ok(expected_times)
    }
}
