//! Hashes of files from earlier times, and the key for secrets, in the user's cache folder.
//!
//! Nothing depends on them: what is missing, damaged or of another version is made anew, and what can't be written is left.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::event::Time;
use crate::event::fingerprint::Hash;

use super::tree::FileStamp;

/// First bytes of a file: the format's name and its version.
const MAGIC: &[u8; 16] = b"layertop-hashes1";
/// Device, inode, size and two times of 8 bytes each, and 16 of the hash.
const RECORD: usize = 56;
/// The checksum at the end.
const CHECKSUM: usize = 32;
/// Hashes that are kept of one context: 11 MB.
const MOST_RECORDS: usize = 200_000;
/// Contexts that hashes are kept of; those that were not used for longest go.
const MOST_FILES: usize = 24;
/// A file that has changed since so short a time may change again without another time of change: its hash is not kept.
const SETTLED: i64 = 1_000_000_000;
const SUFFIX: &str = ".hashes";
/// The end of a file's name while it is written.
const PART: &str = ".part";

/// The hashes of one context's files.
#[derive(Default)]
pub(super) struct HashStore {
    /// None where nothing is to be kept.
    path: Option<PathBuf>,
    /// Nanoseconds since the epoch when it was opened.
    opened: i64,
    known: HashMap<(u64, u64), (FileStamp, Hash)>,
    used: HashMap<(u64, u64), (FileStamp, Hash)>,
    changed: bool,
}

impl HashStore {
    /// Reads what is known of a context's files.
    pub(super) fn open(folder: Option<&Path>, root: &Path, now: Time) -> Self {
        let opened = now.micros().saturating_mul(1000);
        let Some(folder) = folder else { return Self { opened, ..Self::default() } };
        let name = blake3::hash(root.as_os_str().as_bytes()).to_hex();
        let path = folder.join(format!("{}{SUFFIX}", &name[..32]));
        let known = read(&path).unwrap_or_default();
        Self { path: Some(path), opened, known, ..Self::default() }
    }

    /// The hash of a file that has not changed since it was hashed.
    pub(super) fn known(&mut self, stamp: &FileStamp) -> Option<Hash> {
        let key = (stamp.device, stamp.inode);
        let known = self.known.get(&key).filter(|(then, _)| then == stamp)?;
        self.used.insert(key, *known);
        Some(known.1)
    }

    /// Takes a hash up.
    pub(super) fn learn(&mut self, stamp: FileStamp, hash: Hash) {
        let settled = self.opened.saturating_sub(stamp.changed.max(stamp.modified)) > SETTLED;
        if settled && self.path.is_some() && self.used.len() < MOST_RECORDS {
            self.changed = true;
            self.used.insert((stamp.device, stamp.inode), (stamp, hash));
        }
    }

    /// Writes down what was used, and what was known before as far as there is room.
    pub(super) fn save(mut self) {
        let Some(path) = self.path.take().filter(|_| self.changed) else { return };
        for (key, record) in self.known.drain() {
            if self.used.len() >= MOST_RECORDS {
                break;
            }
            self.used.entry(key).or_insert(record);
        }
        let mut bytes = Vec::with_capacity(MAGIC.len() + self.used.len() * RECORD + CHECKSUM);
        bytes.extend_from_slice(MAGIC);
        for (stamp, hash) in self.used.values() {
            for number in [stamp.device, stamp.inode, stamp.size] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            for time in [stamp.modified, stamp.changed] {
                bytes.extend_from_slice(&time.to_le_bytes());
            }
            bytes.extend_from_slice(&hash.0);
        }
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        if write(&path, &bytes).is_ok() {
            tidy(&path);
        }
    }
}

/// The records of a file; none of one that is damaged.
fn read(path: &Path) -> Option<HashMap<(u64, u64), (FileStamp, Hash)>> {
    let most = MAGIC.len() + MOST_RECORDS * RECORD + CHECKSUM;
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
    let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
    if bytes.len() > most || blake3::hash(body).as_bytes() != checksum {
        return None;
    }
    let records = body.strip_prefix(MAGIC)?.chunks_exact(RECORD);
    let record = |record: &[u8]| {
        let word = |at: usize| {
            record.get(at * 8..at * 8 + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes)
        };
        let (device, inode, size) = (word(0)?, word(1)?, word(2)?);
        let (modified, changed) = (word(3)?.cast_signed(), word(4)?.cast_signed());
        let hash = Hash(record.get(40..)?.try_into().ok()?);
        Some(((device, inode), (FileStamp { device, inode, size, modified, changed }, hash)))
    };
    Some(records.filter_map(record).collect())
}

/// Puts a whole file in its place. Half of one is never read: it has another name until it is whole, and a checksum for what
/// a machine that stops leaves behind.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let part = path.with_extension(format!("{}{PART}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    let written = file.write_all(bytes).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

/// Removes what was not written for longest.
fn tidy(path: &Path) {
    let Some(Ok(listing)) = path.parent().map(fs::read_dir) else { return };
    let ours = |name: &str| name.ends_with(SUFFIX) || name.ends_with(PART);
    let mut files: Vec<_> = listing
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(ours) && entry.path() != path)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort_unstable();
    for (_, old) in files.iter().rev().skip(MOST_FILES - 1) {
        let _ = fs::remove_file(old);
    }
}

/// The key for hashes of secrets: the one that is kept, or a new one, which is kept where that can be done.
pub(super) fn key(folder: Option<&Path>) -> [u8; 32] {
    let path = folder.map(|folder| folder.join("key"));
    let kept = || path.as_ref().and_then(|path| fs::read(path).ok()?.try_into().ok());
    if let Some(key) = kept() {
        return key;
    }
    let key = chance();
    let Some(path) = &path else { return key };
    match write(path, &key) {
        // Another one may have been faster: what is kept is what counts.
        Ok(()) => kept().unwrap_or(key),
        Err(_) => key,
    }
}

/// Bytes that nobody can guess: what hash tables are seeded with comes from the system.
fn chance() -> [u8; 32] {
    let mut chance = blake3::Hasher::new();
    for number in 0..4u64 {
        chance.update(&RandomState::new().hash_one(number).to_le_bytes());
    }
    *chance.finalize().as_bytes()
}
