//! How the files that a step takes differ from those that it took.

use std::collections::BTreeMap;

use crate::event::fingerprint::{File, FileKind, FileSet, Fingerprint};
use crate::event::reason::{Cause, ChangedFile, Evidence, Fact, FileChange, LineDifference};
use crate::event::{Text, fingerprint::Hash};

/// Files that are named in the evidence; of more, how many they are.
const MOST_NAMED: usize = 20;

/// One difference.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    pub(super) path: String,
    pub(super) change: FileChange,
    from: Option<String>,
    old: Option<File>,
    new: Option<File>,
    /// Of a text whose lines are known: those that went and came.
    lines: Vec<LineDifference>,
}

impl Difference {
    fn bytes(&self) -> u64 {
        let size = |file: &Option<File>| file.as_ref().and_then(|file| file.size).unwrap_or(0);
        size(&self.new).max(size(&self.old))
    }

    fn from(&self) -> Option<Text> {
        self.from.as_deref().map(Text::clean)
    }

    /// The permissions before and now, where these alone differ.
    fn modes(&self) -> (Option<u16>, Option<u16>) {
        let mode = |file: &Option<File>| {
            file.as_ref().map(|file| file.mode).filter(|_| self.change == FileChange::Mode)
        };
        (mode(&self.old), mode(&self.new))
    }

    fn named(&self) -> ChangedFile {
        let (old_mode, mode) = self.modes();
        let (path, from) = (Text::clean(&self.path), self.from());
        ChangedFile { path, change: self.change, from, old_mode, mode, lines: self.lines.clone() }
    }

    fn fact(&self) -> Fact {
        let size = |file: &Option<File>| file.as_ref().and_then(|file| file.size);
        let (old_mode, mode) = self.modes();
        Fact::File {
            path: Text::clean(&self.path),
            change: self.change,
            from: self.from(),
            old_bytes: size(&self.old),
            bytes: size(&self.new),
            old_mode,
            mode,
        }
    }
}

/// What differs between two sets of files, largest first; none where their entries are not listed.
pub(super) fn differences(
    (now, new): (&Fingerprint, &FileSet),
    (then, old): (&Fingerprint, &FileSet),
) -> Option<Vec<Difference>> {
    if !new.listed || !old.listed {
        return None;
    }
    let table = |fingerprint: &Fingerprint, set: &FileSet| -> BTreeMap<String, File> {
        fingerprint.files(set).map(|(path, file)| (path, file.clone())).collect()
    };
    let (mut before, after) = (table(then, old), table(now, new));
    let mut found = Vec::new();
    let mut added = Vec::new();
    for (path, file) in after {
        match before.remove(&path) {
            Some(was) => found.extend(change(&was, &file).map(|change| Difference {
                lines: lines(&was, &file),
                path,
                change,
                from: None,
                old: Some(was),
                new: Some(file),
            })),
            None => added.push((path, file)),
        }
    }
    let mut removed: Vec<(String, File)> = before.into_iter().collect();
    for (path, file) in added {
        let same = |(_, was): &(String, File)| is_renamed(was, &file);
        let was = removed.iter().position(same).map(|at| removed.remove(at));
        let (from, old) = was.map_or((None, None), |(from, old)| (Some(from), Some(old)));
        let change = if from.is_some() { FileChange::Renamed } else { FileChange::Added };
        found.push(Difference { lines: Vec::new(), path, change, from, old, new: Some(file) });
    }
    found.extend(removed.into_iter().map(|(path, old)| Difference {
        lines: Vec::new(),
        path,
        change: FileChange::Removed,
        from: None,
        old: Some(old),
        new: None,
    }));
    found.sort_by(|a, b| (b.bytes(), &a.path).cmp(&(a.bytes(), &b.path)));
    Some(found)
}

/// The lines that went and came, where they are known: `-numpy==1`, `+numpy==2`.
fn lines(was: &File, is: &File) -> Vec<LineDifference> {
    if was.lines.is_empty() || is.lines.is_empty() {
        return Vec::new();
    }
    let gone = was.lines.iter().filter(|line| !is.lines.contains(line)).map(|line| (false, line));
    let came = is.lines.iter().filter(|line| !was.lines.contains(line)).map(|line| (true, line));
    let told = gone.chain(came).filter(|(_, line)| !line.as_str().trim().is_empty());
    let line =
        |(added, line): (bool, &Text)| LineDifference { added, text: Text::clean(line.as_str().trim()) };
    told.take(MOST_NAMED).map(line).collect()
}

/// Whether a file that is gone has come back under another name. Empty files are all alike.
fn is_renamed(was: &File, is: &File) -> bool {
    let content = was.kind == FileKind::File && was.hash.is_some() && was.size.unwrap_or(0) > 0;
    content && (was.hash, was.kind, was.mode) == (is.hash, is.kind, is.mode)
}

fn change(was: &File, is: &File) -> Option<FileChange> {
    let differs = |a: Option<Hash>, b: Option<Hash>| a != b;
    if was.kind != is.kind || was.link != is.link {
        Some(FileChange::Kind)
    } else if differs(was.hash, is.hash) || was.size != is.size {
        Some(FileChange::Content)
    } else if was.mode != is.mode && is.kind != FileKind::Symlink {
        Some(FileChange::Mode)
    } else if differs(was.xattrs, is.xattrs) {
        Some(FileChange::Xattrs)
    } else {
        None
    }
}

/// The differences as evidence, the first ones by name, with the lines of lists.
pub(super) fn evidence(differences: &[Difference]) -> Vec<Evidence> {
    let told = |one: &Difference| {
        let lines = one.lines.iter().cloned().map(Fact::FileLine);
        std::iter::once(one.fact()).chain(lines).collect::<Vec<_>>()
    };
    let mut facts: Vec<Fact> = differences.iter().take(MOST_NAMED).flat_map(told).collect();
    if let Some(more) = differences.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        facts.push(Fact::MoreFiles { count: more as u64 });
    }
    facts.into_iter().map(Evidence::from).collect()
}

/// The differences as a cause: the largest one by its name.
pub(super) fn cause(differences: &[Difference]) -> Cause {
    // Of a new folder with what is in it, the folder itself says less than a file.
    let is_file = |one: &&Difference| {
        one.new.as_ref().or(one.old.as_ref()).is_some_and(|file| file.kind != FileKind::Dir)
    };
    let first = differences.iter().find(is_file).or(differences.first());
    Cause::FilesChanged {
        file: first.map(Difference::named),
        more: differences.len().saturating_sub(1) as u64,
    }
}
