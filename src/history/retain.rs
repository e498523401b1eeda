//! Which builds are let go.

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::fill::forget_prints;
use super::query::natural;
use super::store::Store;
use crate::event::Time;

/// How many builds are kept, and for how long: as many as all of it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionLimits {
    /// So many at most.
    pub keep: u64,
    /// None that was begun longer ago.
    pub keep_for: Duration,
    /// Not more bytes than this.
    pub keep_bytes: u64,
}

/// What was deleted, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PruneResult {
    /// Builds that are gone.
    pub builds: u64,
    /// Builds that are left.
    pub left: u64,
    /// Bytes of the store before.
    pub bytes_before: u64,
    /// Bytes of it after that.
    pub bytes: u64,
}

impl Store {
    /// Lets the oldest builds go that are beyond the limits, and gives their space back to the file system. With `dry_run` nothing is
    /// changed.
    ///
    /// # Errors
    /// Where the store can't be written: nothing is let go then.
    pub fn prune(
        &mut self,
        limits: &RetentionLimits,
        now: Time,
        dry_run: bool,
    ) -> rusqlite::Result<PruneResult> {
        let bytes_before = used(&self.connection)?;
        let change = Transaction::new(&mut self.connection, TransactionBehavior::Immediate)?;
        let before = count(&change)?;
        change.execute(
            "DELETE FROM builds WHERE id IN (SELECT id FROM builds ORDER BY started_us DESC, id DESC LIMIT -1 OFFSET ?1) \
             OR started_us < ?2",
            params![i64::try_from(limits.keep).unwrap_or(i64::MAX), now.minus(limits.keep_for).micros()],
        )?;
        let mut left = count(&change)?;
        if left < before {
            forget(&change)?;
        }
        // What is let go is estimated by the share of the bytes that are too many, and looked at again.
        while left > 0
            && let bytes = used(&change)?
            && bytes > limits.keep_bytes
        {
            let share = (bytes - limits.keep_bytes) as f64 / bytes as f64;
            let most = ((left as f64 * share).ceil() as i64).max(1);
            change.execute(
                "DELETE FROM builds WHERE id IN (SELECT id FROM builds ORDER BY started_us, id LIMIT ?1)",
                [most],
            )?;
            forget(&change)?;
            left = count(&change)?;
        }
        let bytes = used(&change)?;
        if dry_run || left == before {
            change.rollback()?;
        } else {
            change.commit()?;
            // It goes on as long as there are rows to be read.
            let mut vacuum = self.connection.prepare("PRAGMA incremental_vacuum")?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(PruneResult { builds: before.saturating_sub(left), left, bytes_before, bytes })
    }
}

/// Lets go what belonged to builds that are gone, and to no other.
fn forget(change: &Transaction<'_>) -> rusqlite::Result<()> {
    forget_prints(change)?;
    change.execute(
        "DELETE FROM texts WHERE NOT EXISTS (SELECT 1 FROM steps WHERE instruction = texts.id) \
         AND NOT EXISTS (SELECT 1 FROM steps WHERE written = texts.id)",
        [],
    )?;
    Ok(())
}

fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM builds", [], |row| natural(row, 0))
}

/// Bytes that are in use.
fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| natural(row, 0));
    Ok(number("page_count")?.saturating_sub(number("freelist_count")?) * number("page_size")?)
}
