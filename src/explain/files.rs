//! How the files that a step takes differ from those that it took.

use std::collections::BTreeMap;

use crate::event::amount::{bytes, bytes_apart};
use crate::event::fingerprint::{File, FileKind, FileSet, Fingerprint};
use crate::event::reason::{Evidence, Fact, FileChange};
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
    lines: Vec<String>,
}

impl Difference {
    fn bytes(&self) -> u64 {
        let size = |file: &Option<File>| file.as_ref().and_then(|file| file.size).unwrap_or(0);
        size(&self.new).max(size(&self.old))
    }

    /// `requirements.txt changed: +requests==2.32.0`.
    pub(super) fn clause(&self) -> String {
        let path = &self.path;
        match self.change {
            FileChange::Added => format!("{path} is new"),
            FileChange::Removed => format!("{path} is gone"),
            FileChange::Renamed => {
                format!("{} was renamed to {path}", self.from.as_deref().unwrap_or("a file"))
            }
            FileChange::Content if !self.lines.is_empty() => {
                let shown: Vec<&str> = self.lines.iter().take(3).map(String::as_str).collect();
                let more = if self.lines.len() > 3 { ", …" } else { "" };
                format!("{path} changed: {}{more}", shown.join(", "))
            }
            FileChange::Content => format!("{path} changed"),
            FileChange::Mode => format!("the mode of {path} changed{}", self.modes()),
            FileChange::Xattrs => format!("the extended attributes of {path} changed"),
            FileChange::Kind => format!("{path} is another kind of file"),
        }
    }

    fn modes(&self) -> String {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => format!(" from {:04o} to {:04o}", old.mode, new.mode),
            _ => String::new(),
        }
    }

    fn evidence(&self) -> Evidence {
        let size = |file: &Option<File>| file.as_ref().and_then(|file| file.size);
        let (old, new) = (size(&self.old), size(&self.new));
        let sizes = match (old, new) {
            (Some(old), Some(new)) if old != new => {
                let (old, new) = bytes_apart(old, new);
                format!(", {old} before, {new} now")
            }
            (_, Some(size)) | (Some(size), None) => format!(", {}", bytes(size)),
            (None, None) => String::new(),
        };
        let text = match self.change {
            FileChange::Mode => format!("{}: mode only{}", self.path, self.modes()),
            FileChange::Renamed => self.clause(),
            change => format!("{}: {}{sizes}", self.path, change.word()),
        };
        let fact = Fact::File {
            path: Text::clean(&self.path),
            change: self.change,
            from: self.from.as_deref().map(Text::clean),
            old_bytes: old,
            bytes: new,
        };
        Evidence { text: Text::clean(&text), fact: Some(fact) }
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
fn lines(was: &File, is: &File) -> Vec<String> {
    if was.lines.is_empty() || is.lines.is_empty() {
        return Vec::new();
    }
    let gone = was.lines.iter().filter(|line| !is.lines.contains(line)).map(|line| ('-', line));
    let came = is.lines.iter().filter(|line| !was.lines.contains(line)).map(|line| ('+', line));
    let told = gone.chain(came).filter(|(_, line)| !line.as_str().trim().is_empty());
    told.take(MOST_NAMED).map(|(sign, line)| format!("{sign}{}", line.as_str().trim())).collect()
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
        let line = |line: &String| Evidence { text: Text::clean(&format!("  {line}")), fact: None };
        std::iter::once(one.evidence()).chain(one.lines.iter().map(line)).collect::<Vec<_>>()
    };
    let mut lines: Vec<Evidence> = differences.iter().take(MOST_NAMED).flat_map(told).collect();
    if let Some(more) = differences.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        lines.push(Evidence { text: Text::clean(&format!("and {more} more")), fact: None });
    }
    lines
}

/// The differences as a clause: the largest one by its name.
pub(super) fn clause(differences: &[Difference]) -> String {
    let Some(first) = differences.first() else { return "its files changed".to_owned() };
    // Of a new folder with what is in it, the folder itself says less than a file.
    let is_file = |one: &&Difference| {
        one.new.as_ref().or(one.old.as_ref()).is_some_and(|file| file.kind != FileKind::Dir)
    };
    let first = differences.iter().find(is_file).unwrap_or(first);
    match differences.len() - 1 {
        0 => first.clause(),
        1 => format!("{}, and 1 more file changed", first.clause()),
        more => format!("{}, and {more} more files changed", first.clause()),
    }
}
