//! The file: found, opened, set aside where it is no good.
//!
//! It is in WAL mode, so that several processes read while one writes, with `synchronous=NORMAL`: a commit is a write to the
//! log that the kernel has taken, and what the kernel has taken outlives any end of a process. Only where the whole
//! machine goes down can the newest builds be missing, and the file is sound then, too.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;
use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::{self, StoreFileKind};
use crate::event::{Text, Time};
use crate::recording;

/// How long it is waited for another process that writes. Each write takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many names are tried for what is set aside.
const TRIES: u32 = 100;

/// `$XDG_DATA_HOME/layertop/history.db`; none where there is neither that nor a home directory.
pub fn default_path() -> Option<PathBuf> {
    let base = etcetera::base_strategy::choose_base_strategy().ok()?;
    Some(base.data_dir().join("layertop/history.db"))
}

#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    /// Which file it is; none of one that is only read.
    identity: Option<FileIdentity>,
}

/// The device of a file and its number there.
type FileIdentity = (u64, u64);

/// An opened store, with messages for the user.
#[derive(Debug)]
pub struct OpenedStore {
    pub store: Store,
    /// What is to be told: that another file was set aside.
    pub notes: Vec<String>,
}

/// Why a store can't be used. Its text is one sentence with what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}; {remedy}", Text::clean(&path.display().to_string()))]
pub struct StoreError {
    path: PathBuf,
    cause: String,
    remedy: String,
}

/// What keeps a file from being used.
enum StoreFileFault {
    /// It can't be opened, read or written.
    Sql(rusqlite::Error),
    /// It is to be set aside: a word for its new name, and a clause.
    Unfit(&'static str, String),
}

impl From<rusqlite::Error> for StoreFileFault {
    fn from(error: rusqlite::Error) -> Self {
        if is_damage(&error) {
            Self::Unfit("corrupt", format!("it is damaged ({error})"))
        } else {
            Self::Sql(error)
        }
    }
}

impl Store {
    /// Opens the store at a path, and makes it where there is none. A file that is damaged, of a newer version or not ours is set
    /// aside: it gets another name, and a new one is begun. `now` becomes a part of that name.
    ///
    /// # Errors
    /// Where it can be neither opened nor made.
    pub fn open(path: &Path, now: Time) -> Result<OpenedStore, StoreError> {
        let folder = path.parent().unwrap_or(path);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| StoreError::io(path, &error))?;
        // Who finds a file unfit must be sure that nobody has put a sound one in its place since.
        let _lock = lock(path);
        let mut notes = Vec::new();
        let begun = match begin(path) {
            Err(StoreFileFault::Unfit(word, why)) => {
                let aside = set_aside(path, word, now).map_err(|error| StoreError::io(path, &error))?;
                notes.push(note(path, &aside, &why));
                begin(path)
            }
            begun => begun,
        };
        match begun {
            Ok(connection) => Ok(OpenedStore { store: Self { connection, identity: identity(path) }, notes }),
            Err(StoreFileFault::Sql(error)) => Err(StoreError::sql(path, &error)),
            Err(StoreFileFault::Unfit(_, why)) => Err(StoreError::of(path, why, recording::ANOTHER_PLACE)),
        }
    }

    /// Sets the file of this store aside, which is damaged, and says so. Where another process has done so nothing is left to do.
    ///
    /// # Errors
    /// Where it can't get another name.
    pub(super) fn give_up(self, path: &Path, why: &str, now: Time) -> io::Result<Option<String>> {
        let own = self.identity;
        drop(self.connection);
        let _lock = lock(path);
        if own.is_none() || identity(path) != own {
            return Ok(None);
        }
        let aside = set_aside(path, "corrupt", now)?;
        Ok(Some(note(path, &aside, &format!("it is damaged ({why})"))))
    }

    /// Opens the store to read only, also where nothing can be written; none where there is no file.
    ///
    /// # Errors
    /// Where it can't be opened.
    pub fn open_to_read(path: &Path, now: Time) -> Result<Option<OpenedStore>, StoreError> {
        // Where it can't be told whether there is one, it is not as if there were none.
        if !path.try_exists().map_err(|error| StoreError::io(path, &error))? {
            return match recording::in_the_way(path) {
                Some(_) => Err(StoreError::io(path, &io::ErrorKind::NotADirectory.into())),
                None => Ok(None),
            };
        }
        let trouble = match Self::open(path, now) {
            Ok(opened) => return Ok(Some(opened)),
            Err(trouble) => trouble,
        };
        // Without a log beside it nobody writes: the file is all there is.
        let Some(uri) = immutable(path) else { return Err(trouble) };
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sound = |connection: &Connection| {
            schema::kind(connection).is_ok_and(|kind| kind == StoreFileKind::Ours)
                && connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).ok()
                    == Some(schema::VERSION)
        };
        match Connection::open_with_flags(uri, flags) {
            Ok(connection) if sound(&connection) => {
                Ok(Some(OpenedStore { store: Self { connection, identity: None }, notes: Vec::new() }))
            }
            _ => Err(trouble),
        }
    }
}

/// Whether an error says that the file is damaged, or no database at all.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn identity(path: &Path) -> Option<FileIdentity> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Opens a file and brings it to this version.
fn begin(path: &Path) -> Result<Connection, StoreFileFault> {
    if path.is_dir() {
        return Err(StoreFileFault::Unfit("folder", "it is a folder".to_owned()));
    }
    // What SQLite makes can be read by everybody; the files that it makes beside this one get its permissions.
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    match schema::kind(&connection)? {
        StoreFileKind::Ours => {}
        StoreFileKind::Newer(version) => {
            let why = format!("a newer layertop has written it (version {version})");
            return Err(StoreFileFault::Unfit("newer", why));
        }
        StoreFileKind::Foreign => {
            return Err(StoreFileFault::Unfit("foreign", "another program has written it".to_owned()));
        }
    }
    // Counts only before the first table is made: what is let go is given back to the file system.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // Where a file system has no shared memory another mode stays, in which all of it works, one after the other.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// Held while a file is opened. Where there are no locks nobody is kept from anything.
fn lock(path: &Path) -> Option<Flock<File>> {
    let beside = path.with_extension("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(beside).ok()?;
    Flock::lock(file, FlockArg::LockExclusive).ok()
}

/// Gives a file another name, with the files that `SQLite` has beside it.
fn set_aside(path: &Path, word: &str, now: Time) -> io::Result<PathBuf> {
    let stamp =
        jiff::Timestamp::from_microsecond(now.micros()).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
    let beside = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    for number in 0..TRIES {
        let more = if number == 0 { String::new() } else { format!("-{number}") };
        let aside = beside(path, &format!(".{word}-{stamp}{more}"));
        if fs::symlink_metadata(&aside).is_ok() {
            continue;
        }
        fs::rename(path, &aside)?;
        for end in ["-wal", "-shm"] {
            // They are not always there.
            let _ = fs::rename(beside(path, end), beside(&aside, end));
        }
        return Ok(aside);
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "all names for what is set aside are taken"))
}

/// That a file was set aside.
fn note(path: &Path, aside: &Path, why: &str) -> String {
    let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text =
        format!("the history at {} was set aside as {name}: {why}; a new one is begun", path.display());
    Text::clean(&text).as_str().to_owned()
}

/// A path as the address of a file that nobody writes.
fn immutable(path: &Path) -> Option<String> {
    let mut uri = "file:".to_owned();
    for byte in path.to_str()?.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
            byte => {
                // Into a string nothing can fail to be written.
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri.push_str("?immutable=1");
    Some(uri)
}

impl StoreError {
    pub fn message(&self) -> String {
        format!("can't use the history at {}: {}", self.path.display(), self.cause)
    }

    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// The same beside a build, which does not end by it.
    pub(super) fn beside_a_build(&self) -> String {
        let path = Text::clean(&self.path.display().to_string());
        format!("{path}: {}; the build goes on; {}", self.cause, self.remedy)
    }

    fn of(path: &Path, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.to_owned(), cause: cause.into(), remedy: remedy.into() }
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        let (cause, remedy) = recording::unusable(path.parent().unwrap_or(path), error);
        Self::of(path, cause, remedy)
    }

    /// What `SQLite` says, and what to do about it.
    pub(super) fn sql(path: &Path, error: &rusqlite::Error) -> Self {
        let folder = path.parent().unwrap_or(path).display().to_string();
        let remedy = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => format!("free space in {folder}: df -h {folder}"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                format!("another process has written to it for {} s", PATIENCE.as_secs())
            }
            Some(ErrorCode::SystemIoFailure) => {
                format!("look whether {folder} has space, and what `ulimit -f` allows")
            }
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                format!("look who may use it: ls -ld {folder}; or {}", recording::ANOTHER_PLACE)
            }
            _ => "give the file another name, and a new one is begun".to_owned(),
        };
        Self::of(path, error.to_string(), remedy)
    }
}
