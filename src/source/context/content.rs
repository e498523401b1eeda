//! What is in a file: its bytes and its extended attributes as hashes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{OFlags, lgetxattr, llistxattr};
use rustix::io::Errno;

use crate::event::fingerprint::Hash;

use super::sum::FieldHasher;
use super::tree::FileStamp;

/// How much is read at once; whether anybody still waits is looked at as often.
const CHUNK: usize = 256 << 10;
/// The longest list of names, and the longest value, that a Linux file system holds.
const LONGEST_ATTRIBUTES: usize = 64 << 10;
const SHORT_ATTRIBUTES: usize = 256;

/// Why a file has no hash.
#[derive(Debug)]
pub(super) enum HashFault {
    /// Nobody waits for it any more.
    Cancelled,
    /// It was written to meanwhile, twice.
    Changing,
    /// It can't be read.
    Io(io::Error),
}

impl From<io::Error> for HashFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The hash of a file, and how the file was when it was read.
///
/// It is never waited for: a pipe or a device that has taken the file's place meanwhile is opened without blocking, and not
/// read. A file that grows is read as far as it was when it was opened.
pub(super) fn hash(path: &Path, cancel: &AtomicBool) -> Result<(Hash, FileStamp), HashFault> {
    let mut again = true;
    loop {
        let (hash, before, after) = once(path, cancel)?;
        if before == after {
            return Ok((hash, after));
        }
        if !std::mem::take(&mut again) {
            return Err(HashFault::Changing);
        }
    }
}

fn once(path: &Path, cancel: &AtomicBool) -> Result<(Hash, FileStamp, FileStamp), HashFault> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(HashFault::Changing);
    }
    let before = FileStamp::of(&meta);
    let hash = bytes(&file, before.size, cancel)?;
    Ok((hash, before, FileStamp::of(&file.metadata()?)))
}

fn bytes(file: &File, size: u64, cancel: &AtomicBool) -> Result<Hash, HashFault> {
    let mut hasher = blake3::Hasher::new();
    let mut rest = file.take(size);
    let mut chunk = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK).max(1))];
    loop {
        if cancel.load(Ordering::Relaxed) {
            return Err(HashFault::Cancelled);
        }
        match rest.read(&mut chunk) {
            Ok(0) => return Ok(FieldHasher::short(&hasher.finalize())),
            Ok(read) => _ = hasher.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The hash of the extended attributes that count for `BuildKit` (`cache/contenthash/tarsum.go`); none where there is none
/// of them, or they can't be read: many file systems have none at all.
pub(super) fn xattrs(path: &Path) -> Option<Hash> {
    // Most files have none, or a few: only for more of them the longest list is made room for.
    let mut names = vec![0; SHORT_ATTRIBUTES];
    let length = match llistxattr(path, &mut names[..]) {
        Err(Errno::RANGE) => {
            names = vec![0; LONGEST_ATTRIBUTES];
            llistxattr(path, &mut names[..]).ok()?
        }
        length => length.ok()?,
    };
    let counts = |name: &&[u8]| {
        let foreign =
            [&b"security."[..], b"system.", b"com.apple."].iter().any(|class| name.starts_with(class));
        !name.is_empty() && (!foreign || *name == b"security.capability")
    };
    let mut names: Vec<&[u8]> = names.get(..length)?.split(|byte| *byte == 0).filter(counts).collect();
    names.sort_unstable();
    if names.is_empty() {
        return None;
    }
    let mut sum = FieldHasher::default();
    let mut value = vec![0; LONGEST_ATTRIBUTES];
    for name in &names {
        sum.field("name", name);
        if let Ok(length) = lgetxattr(path, *name, &mut value[..]) {
            sum.field("value", value.get(..length).unwrap_or_default());
        }
    }
    Some(sum.finish())
}
