//! Where recordings lie, what they are called, and which of them are let go.
//!
//! A name is `20261122T094512Z-montage-ai-4711.jsonl.zst`: it sorts by time, names the image, and ends in a number that
//! keeps two builds of one second apart. Only what is named so is ever deleted.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;
use nix::fcntl::{Flock, FlockArg};

use crate::event::{Time, shell};

const SUFFIX: &str = ".jsonl.zst";
/// Length of the time in a file name: `20261122T094512Z-`.
const STAMP: usize = 17;
const LONGEST_SLUG: usize = 60;
/// How many names are tried where the first ones are taken.
const TRIES: u32 = 100;

/// `$XDG_DATA_HOME/layertop/recordings`; none where there is neither that nor a home directory.
pub fn default_dir() -> Option<PathBuf> {
    let base = etcetera::base_strategy::choose_base_strategy().ok()?;
    Some(base.data_dir().join("layertop/recordings"))
}

/// What stands in the way of a folder: a file of its name, or of the name of one that it is in.
pub fn in_the_way(folder: &Path) -> Option<&Path> {
    let there = folder.ancestors().find(|path| fs::metadata(path).is_ok())?;
    (!there.is_dir()).then_some(there)
}

/// What to type for another data folder.
pub const ANOTHER_PLACE: &str = "name another place: export XDG_DATA_HOME=FOLDER";

/// Why a folder for data can't be made, read or written, and what to do: the same words wherever it is met.
pub fn unusable(folder: &Path, error: &io::Error) -> (String, String) {
    let there = folder.ancestors().find(|path| path.is_dir()).unwrap_or(folder);
    let (shown, at) = (folder.display(), shell::quote(&there.to_string_lossy()));
    match (error.kind(), in_the_way(folder)) {
        (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => {
            (error.to_string(), format!("free space in {shown}: df -h {at}"))
        }
        (io::ErrorKind::FileTooLarge, _) => {
            (error.to_string(), "raise the limit on the size of files: ulimit -f unlimited".to_owned())
        }
        (_, Some(file)) => {
            let word = |end: &str| shell::quote(&format!("{}{end}", file.to_string_lossy()));
            let remedy = format!("move it away: mv {} {}; or {ANOTHER_PLACE}", word(""), word(".old"));
            (format!("{} is a file, not a folder", file.display()), remedy)
        }
        // Some file systems, /proc for one, make no folders for anybody.
        (io::ErrorKind::NotFound, None) => {
            (format!("no folder can be made in {at} ({error})"), ANOTHER_PLACE.to_owned())
        }
        _ => (error.to_string(), format!("look who may use it: ls -ld {at}; or {ANOTHER_PLACE}")),
    }
}

/// How many recordings are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many at most, the one being written among them.
    pub keep: usize,
    /// None that was begun longer ago.
    pub keep_for: Duration,
    /// Not more bytes than this in all.
    pub keep_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep: 100, keep_for: Duration::from_secs(30 * 24 * 3600), keep_bytes: 1 << 30 }
    }
}

/// The part of a name that says what was built: the last part of the image's reference without registry, tag and
/// digest, in characters that every file system and shell takes.
pub(super) fn slug(image: &str) -> String {
    let repository = image.split('@').next().unwrap_or_default();
    let last = repository.rsplit('/').next().unwrap_or_default();
    let name = last.split(':').next().unwrap_or_default();
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let slug: String = name.chars().map(safe).take(LONGEST_SLUG).collect();
    match slug.trim_matches(['.', '-']) {
        "" => "build".to_owned(),
        slug => slug.to_owned(),
    }
}

/// What a build of this process that was begun at `created` would be called, were it recorded: for one that is not.
pub fn name_of(created: Time, image: &str) -> String {
    let name = name(created, &slug(image), std::process::id());
    name.strip_suffix(SUFFIX).unwrap_or(&name).to_owned()
}

/// Where the recording of this name would be in a folder.
pub fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{SUFFIX}"))
}

/// The name of a recording that was begun at `created`.
fn name(created: Time, slug: &str, number: u32) -> String {
    let stamp =
        jiff::Timestamp::from_microsecond(created.micros()).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
    format!("{stamp}-{slug}-{number}{SUFFIX}")
}

/// When a recording of this name was begun; none where this is no name of ours.
pub fn begun(name: &str) -> Option<Time> {
    let rest = name.get(STAMP..)?.strip_suffix(SUFFIX)?;
    let (slug, number) = rest.rsplit_once('-')?;
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let ours = !slug.is_empty() && slug.chars().all(safe) && !number.is_empty();
    if !ours || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (date, time) = name.get(..STAMP)?.strip_suffix("Z-")?.split_once('T')?;
    let (date, time) = (digits::<8>(date)?, digits::<6>(time)?);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    Time::parse(&text)
}

fn digits<const N: usize>(text: &str) -> Option<&str> {
    (text.len() == N && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

/// A recording that is being written. While it lives nobody's [`prune`] takes the file away.
#[derive(Debug)]
pub(super) struct NewRecording {
    /// The new, empty file.
    pub(super) file: File,
    pub(super) path: PathBuf,
    _lock: Option<Flock<File>>,
}

/// Creates a recording that nobody but its owner can read, and the directory where there is none.
pub(super) fn create(dir: &Path, created: Time, image: &str) -> io::Result<NewRecording> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let (slug, number) = (slug(image), std::process::id());
    for number in number..number.saturating_add(TRIES) {
        let path = dir.join(name(created, &slug, number));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                // Where the file system has no locks the recording is the newest anyway, and the last to be let go.
                let lock = file.try_clone().ok().and_then(try_lock);
                return Ok(NewRecording { file, path, _lock: lock });
            }
            Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "all names for this second are taken"))
}

fn try_lock(file: File) -> Option<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// Whether a recording's writer still lives.
pub fn is_written(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, nix::errno::Errno::EWOULDBLOCK)))
}

/// A recording on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFile {
    /// When it was begun, by its name.
    pub begun: Time,
    pub path: PathBuf,
    pub bytes: u64,
}

impl RecordingFile {
    /// Whether its name is that of a recording of this image.
    pub fn is_of(&self, image: &str) -> bool {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let rest = name.get(STAMP..).and_then(|rest| rest.strip_suffix(SUFFIX));
        rest.and_then(|rest| rest.rsplit_once('-')).is_some_and(|(own, _)| own == slug(image))
    }

    /// Whether its writer still lives.
    pub fn is_written(&self) -> bool {
        is_written(&self.path)
    }
}

/// The recordings in a folder, newest first.
///
/// # Errors
/// Where the folder can't be read.
pub fn list(dir: &Path) -> io::Result<Vec<RecordingFile>> {
    let mut recordings: Vec<RecordingFile> = fs::read_dir(dir)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let begun = begun(entry.file_name().to_str()?)?;
            let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(RecordingFile { begun, path: entry.path(), bytes: meta.len() })
        })
        .collect();
    recordings.sort_by(|a, b| (b.begun, &b.path).cmp(&(a.begun, &a.path)));
    Ok(recordings)
}

/// The recordings of builds of an image of this name that have ended or broken off, newest first; of other registries and other
/// images of the same last name too.
pub fn newest_of(dir: &Path, image: &str) -> Vec<PathBuf> {
    let of_image = |listed: &RecordingFile| listed.is_of(image) && !listed.is_written();
    list(dir).unwrap_or_default().into_iter().filter(of_image).map(|listed| listed.path).collect()
}

/// Deletes the oldest recordings in `dir` beyond count, age and size; gives how many. Whatever is not named like a
/// recording stays, and so does one that is being written, by whichever process.
///
/// # Errors
/// Where the directory can't be read. A file that can't be deleted is left, and the next one tried.
pub fn prune(dir: &Path, retention: &Retention, now: Time) -> io::Result<usize> {
    let (mut bytes, mut deleted) = (0u64, 0);
    for (nth, RecordingFile { begun, path, bytes: size }) in list(dir)?.into_iter().enumerate() {
        bytes = bytes.saturating_add(size);
        let kept =
            nth < retention.keep && now.since(begun) <= retention.keep_for && bytes <= retention.keep_bytes;
        if !kept && !is_written(&path) && fs::remove_file(&path).is_ok() {
            deleted += 1;
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.0.0.1:5000/team/montage-ai:latest", "montage-ai")]
    #[case("montage-ai@sha256:00ff", "montage-ai")]
    #[case("app", "app")]
    #[case("r/../..", "build")]
    #[case("", "build")]
    #[case("a b\u{1b}[2J;rm", "a-b--2J-rm")]
    fn names_the_image_safely(#[case] image: &str, #[case] expected: &str) {
        assert_eq!(slug(image), expected);
        assert!(slug(&image.repeat(99)).len() <= LONGEST_SLUG);
    }

    #[test]
    fn knows_its_own_names() {
        let created = Time::parse("2026-11-22T09:45:12.9Z").unwrap();
        let name = name(created, "montage-ai", 4711);
        assert_eq!(name, "20261122T094512Z-montage-ai-4711.jsonl.zst");
        assert_eq!(begun(&name), Time::parse("2026-11-22T09:45:12Z"));
    }

    #[test]
    fn a_file_can_stand_where_a_folder_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(in_the_way(&file.join("a/b")), Some(file.as_path()));
        assert_eq!(in_the_way(&file), Some(file.as_path()));
        assert_eq!(in_the_way(&dir.path().join("a/b")), None);
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said_with_what_to_type() {
        let dir = tempfile::tempdir().unwrap();
        let (shown, file) = (dir.path().display().to_string(), dir.path().join("file"));
        fs::write(&file, "").unwrap();
        let said = |folder: &Path, kind: io::ErrorKind| {
            let (cause, remedy) = unusable(folder, &kind.into());
            format!("{cause}; {remedy}")
        };
        let way = file.display();
        for (folder, kind, told) in [
            (
                file.join("a"),
                io::ErrorKind::NotADirectory,
                format!("{way} is a file, not a folder; move it away: mv {way} "),
            ),
            (dir.path().join("a/b"), io::ErrorKind::NotFound, format!("no folder can be made in {shown} (")),
            (
                dir.path().join("a"),
                io::ErrorKind::PermissionDenied,
                format!("look who may use it: ls -ld {shown}; or "),
            ),
            (dir.path().join("a"), io::ErrorKind::StorageFull, format!("df -h {shown}")),
        ] {
            let said = said(&folder, kind);
            assert!(said.contains(&told), "`{told}` is not in `{said}`");
        }
    }

    #[test]
    fn the_newest_recording_of_an_image_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let write = |second: u64, image: &str| {
            let at = Time::parse("2026-11-22T09:45:00Z").unwrap().plus(Duration::from_secs(second));
            create(dir.path(), at, image).unwrap()
        };
        let paths = [(1, "r:5000/app:a"), (2, "r:5000/app:b"), (3, "r:5000/app-b:a")]
            .map(|(second, image)| write(second, image).path);
        let written = write(4, "r:5000/app:a");
        assert_eq!(newest_of(dir.path(), "r:5000/app:c"), [paths[1].clone(), paths[0].clone()]);
        assert!(newest_of(&dir.path().join("none"), "app").is_empty());
        drop(written);
        assert_eq!(newest_of(dir.path(), "app").len(), 3, "what is written on is no last build");
    }

    #[rstest]
    #[case("notes.txt")]
    #[case("20261122T094512Z-a-1.jsonl")]
    #[case("20261122T094512Z-a-.jsonl.zst")]
    #[case("20261122T094512Z-a-x.jsonl.zst")]
    #[case("20261122T094512Z--1.jsonl.zst")]
    #[case("20261322T094512Z-a-1.jsonl.zst")]
    #[case("2026112é094512Z-a-1.jsonl.zst")]
    #[case("keep-20261122T094512Z-a-1.jsonl.zst")]
    fn leaves_what_is_named_otherwise(#[case] name: &str) {
        assert_eq!(begun(name), None);
    }
}
