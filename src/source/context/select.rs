//! Which of a context's files a source of a `COPY` or `ADD`, or a mount, takes: after `dockerfile2llb/convert_copy.go`,
//! `cache/contenthash` and the copying of `fsutil`, each rule seen on an engine (`tests/engine/context`).

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::event::fingerprint::FileKind;

use super::glob::{self, MalformedPattern, is_wild};
use super::ignore::{IgnorePatterns, clean};
use super::tree::{EntryId, FileTree, PathFault, ROOT};

/// The source of a `COPY` or `ADD`, or of a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct SourceQuery {
    /// The path or pattern, after substitution.
    pub(super) path: String,
    /// Patterns of the option `--exclude`.
    pub(super) exclude: Vec<String>,
    /// `--parents`: the path is a pattern for what is in the whole context, and folders are kept.
    pub(super) parents: bool,
    /// It is a mount: a plain path.
    pub(super) mount: bool,
}

/// An entry that is taken.
#[derive(Debug)]
pub(super) struct SelectedEntry {
    pub(super) id: EntryId,
    /// Its path as far as that counts: from the folder whose content is taken; empty for a file that is named itself.
    pub(super) path: PathBuf,
}

/// What a source takes.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) taken: Vec<SelectedEntry>,
    /// The folders that were looked into: where one of them could not be read, something may be missing.
    pub(super) looked: Vec<EntryId>,
    /// Why nothing is taken.
    pub(super) trouble: Option<SelectFault>,
}

/// Why a source takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SelectFault {
    /// There is nothing of that name; a pattern may find nothing.
    Missing,
    /// Its links run in a circle.
    Loop,
    /// The pattern can't be read.
    Malformed,
}

impl From<MalformedPattern> for SelectFault {
    fn from(_: MalformedPattern) -> Self {
        Self::Malformed
    }
}

impl From<PathFault> for SelectFault {
    fn from(astray: PathFault) -> Self {
        match astray {
            PathFault::Missing => Self::Missing,
            PathFault::Loop => Self::Loop,
        }
    }
}

/// Finds what a source takes.
pub(super) fn select(tree: &mut FileTree<'_>, query: &SourceQuery) -> Selection {
    let mut selection = Selection::default();
    let done = if query.parents {
        parents(tree, query, &mut selection)
    } else if is_wild(&query.path) && !query.mount {
        wild(tree, query, &mut selection)
    } else {
        plain(tree, query, &mut selection)
    };
    selection.trouble = done.err();
    selection
}

/// A path without the escapes that a pattern would have, rooted in the context.
fn rooted(path: &str) -> String {
    clean(&format!("/{path}"))
}

fn plain(tree: &mut FileTree<'_>, query: &SourceQuery, selection: &mut Selection) -> Result<(), SelectFault> {
    let path = if query.mount { rooted(&query.path) } else { glob::unescaped(&rooted(&query.path)) };
    let id = tree.resolve(path.as_bytes(), true)?;
    if tree.node(id).kind == FileKind::Dir {
        content(tree, id, Path::new(""), &query.exclude, selection);
    } else {
        selection.taken.push(SelectedEntry { id, path: PathBuf::new() });
    }
    Ok(())
}

/// What is in a folder, without what is excluded.
fn content(tree: &mut FileTree<'_>, id: EntryId, base: &Path, exclude: &[String], selection: &mut Selection) {
    selection.looked.push(id);
    let (patterns, _) = IgnorePatterns::new(exclude.iter().map(String::as_str));
    let below = tree.below(id, |_| true);
    let keep = kept(tree, &below, |path, above| {
        if patterns.is_empty() { (true, Vec::new()) } else { excluded(&patterns, path, above) }
    });
    for ((id, path), keep) in below.into_iter().zip(keep) {
        if tree.node(id).kind == FileKind::Dir {
            selection.looked.push(id);
        }
        if keep {
            selection.taken.push(SelectedEntry { id, path: base.join(path) });
        }
    }
}

fn excluded(patterns: &IgnorePatterns, path: &Path, above: Option<&[bool]>) -> (bool, Vec<bool>) {
    let (out, marks) = patterns.matches_folder(path.as_os_str().as_bytes(), above);
    (!out, marks)
}

/// Which entries are taken: those that `wanted` wants, and the folders above them. `wanted` is given what it said of an entry's folder.
fn kept(
    tree: &FileTree<'_>,
    below: &[(EntryId, PathBuf)],
    mut wanted: impl FnMut(&Path, Option<&[bool]>) -> (bool, Vec<bool>),
) -> Vec<bool> {
    let mut keep = vec![false; below.len()];
    // The folders above the entry that is looked at: their places, and what was said of them.
    let mut above: Vec<(usize, Vec<bool>)> = Vec::new();
    for (at, (id, path)) in below.iter().enumerate() {
        let depth = path.components().count() - 1;
        above.truncate(depth);
        let (want, marks) = wanted(path, above.last().map(|(_, marks)| marks.as_slice()));
        if want {
            keep[at] = true;
            for (folder, _) in &above {
                keep[*folder] = true;
            }
        }
        if tree.node(*id).kind == FileKind::Dir {
            above.push((at, marks));
        }
    }
    keep
}

fn wild(tree: &mut FileTree<'_>, query: &SourceQuery, selection: &mut Selection) -> Result<(), SelectFault> {
    let path = rooted(&query.path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let plain = parts.iter().take_while(|part| !is_wild(part)).count();
    let prefix: Vec<String> = parts[..plain].iter().map(|part| glob::unescaped(part)).collect();
    let start = tree.resolve(prefix.join("/").as_bytes(), true)?;
    let mut found = vec![start];
    for part in &parts[plain..] {
        let pattern = glob::name(part)?;
        let mut next = Vec::new();
        for id in found {
            selection.looked.push(id);
            let children = tree.sent(id);
            next.extend(
                children.into_iter().filter(|child| pattern.is_match(tree.node(*child).name.as_bytes())),
            );
        }
        found = next;
    }
    for id in found {
        let base = PathBuf::from(&tree.node(id).name);
        // A link that fits is followed, as one that is named is.
        let at = tree.path(id);
        let id = tree.resolve(at.as_os_str().as_bytes(), true)?;
        selection.taken.push(SelectedEntry { id, path: base.clone() });
        if tree.node(id).kind == FileKind::Dir {
            content(tree, id, &base, &query.exclude, selection);
        }
    }
    if selection.taken.is_empty() { Err(SelectFault::Missing) } else { Ok(()) }
}

fn parents(
    tree: &mut FileTree<'_>,
    query: &SourceQuery,
    selection: &mut Selection,
) -> Result<(), SelectFault> {
    let (pivot, pattern) = query.path.split_once("/./").unwrap_or(("/", &query.path));
    let pattern = rooted(pattern).trim_start_matches('/').to_owned();
    let (include, malformed) = IgnorePatterns::new([pattern.as_str()]);
    if !malformed.is_empty() {
        return Err(SelectFault::Malformed);
    }
    let start = tree.resolve(rooted(pivot).as_bytes(), true)?;
    // What the plain folders at its beginning do not lead to is not looked at.
    let plain: PathBuf = pattern.split('/').take_while(|part| !is_wild(part)).collect();
    let below = tree.below(start, |path| path.starts_with(&plain) || plain.starts_with(path));
    let (exclude, _) = IgnorePatterns::new(query.exclude.iter().map(String::as_str));
    let included =
        kept(tree, &below, |path, above| include.matches_folder(path.as_os_str().as_bytes(), above));
    let allowed = kept(tree, &below, |path, above| excluded(&exclude, path, above));
    selection.looked.push(start);
    for (((id, path), included), allowed) in below.into_iter().zip(included).zip(allowed) {
        if tree.node(id).kind == FileKind::Dir {
            selection.looked.push(id);
        }
        if included && allowed {
            selection.taken.push(SelectedEntry { id, path });
        }
    }
    let any = selection.taken.iter().any(|taken| taken.id != ROOT);
    if any { Ok(()) } else { Err(SelectFault::Missing) }
}
