//! The tables, and how a file of an earlier version becomes one of this version.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// What `PRAGMA application_id` says of a file of ours: `ltop`.
const APPLICATION: i32 = i32::from_be_bytes(*b"ltop");

/// What leads from one version to the next, in order. What stands here was written by
/// some program that is out there, and never changes.
///
/// A step's instruction is in `texts`, each once: they are most of what there is to say of a step. What later builds are compared
/// with (`pasts`, `prints`) is large and only read for the newest builds, so it lies beside `builds`, which is read as a whole.
const MIGRATIONS: [&str; VERSION as usize] = [
    "
CREATE TABLE builds (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    recording TEXT,
    image TEXT,
    tag TEXT,
    builder TEXT,
    platforms TEXT NOT NULL,
    commit_id TEXT,
    dirty INTEGER,
    host TEXT,
    command TEXT NOT NULL,
    target TEXT,
    result TEXT NOT NULL,
    exit_code INTEGER,
    started_us INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    no_cache_ms INTEGER,
    scenario TEXT,
    steps INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    misses INTEGER NOT NULL,
    bytes_pulled INTEGER NOT NULL
) STRICT;
CREATE INDEX builds_by_time ON builds (started_us);
CREATE INDEX builds_by_image ON builds (image, started_us);

CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE steps (
    build INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    stage TEXT,
    idx INTEGER NOT NULL,
    platform TEXT,
    instruction INTEGER NOT NULL REFERENCES texts (id),
    written INTEGER REFERENCES texts (id),
    layer TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    grade TEXT,
    root INTEGER,
    because TEXT,
    source TEXT,
    started_us INTEGER,
    ran_us INTEGER NOT NULL,
    pulled_us INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (build, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX steps_by_instruction ON steps (instruction, platform, build);
CREATE INDEX steps_by_written ON steps (written);

CREATE TABLE transfers (
    build INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    took_us INTEGER NOT NULL,
    PRIMARY KEY (build, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE prints (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    packed BLOB NOT NULL
) STRICT;

CREATE TABLE pasts (
    build INTEGER PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    print INTEGER REFERENCES prints (id),
    packed BLOB NOT NULL
) STRICT;
CREATE INDEX pasts_by_print ON pasts (print);
",
    "
CREATE TABLE listings (
    worker TEXT PRIMARY KEY,
    asked_us INTEGER NOT NULL,
    marks BLOB NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE listings ADD COLUMN took_us INTEGER;
",
];

/// The newest version: how many [`MIGRATIONS`] there are.
pub(super) const VERSION: i64 = 3;

/// Whether a file is a store that this version can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreFileKind {
    /// One of ours, of this version or an earlier one.
    Ours,
    /// One of ours, of a later version.
    Newer(i64),
    /// A database that layertop did not write.
    Foreign,
}

/// Looks what a file is.
pub(super) fn kind(connection: &Connection) -> rusqlite::Result<StoreFileKind> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (version, application) = (number("user_version")?, number("application_id")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (version, tables) {
        (0, 0) => StoreFileKind::Ours,
        _ if application != i64::from(APPLICATION) => StoreFileKind::Foreign,
        (version, _) if version > VERSION => StoreFileKind::Newer(version),
        _ => StoreFileKind::Ours,
    })
}

/// Brings a file to the newest version; says whether it was empty. Of several processes that find it old one does it.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<bool> {
    let version = |on: &Connection| on.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    if version(connection)? == VERSION {
        return Ok(false);
    }
    let change = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let from = version(&change)?;
    for step in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "application_id", APPLICATION)?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()?;
    Ok(from == 0)
}
