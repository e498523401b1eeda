//! The contexts, the sets of files that steps take from them, and the tables that a fingerprint lists them in.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::event::fingerprint::{
    Context, ContextKind, File, FileKind, FileSet, FingerprintWork, Gap, Ignore, MOST_FILES, MOST_NAME_BYTES,
    MOST_UNREAD, Unread,
};
use crate::event::reference::is_same_image;
use crate::event::{Mask, Text, Time};

use super::ignore::{self, IgnorePatterns};
use super::select::{SelectFault, Selection, SourceQuery, select};
use super::store::HashStore;
use super::sum::FieldHasher;
use super::tree::{EntryId, FileTree, ROOT, reason, shown};

/// The longest ignore file that is read.
const LONGEST_IGNORE: u64 = 1 << 20;
/// Patterns of an ignore file that are listed.
const MOST_PATTERNS: usize = 200;

/// Name and place of a context, before its files are read.
pub(super) struct ContextLocation {
    pub(super) name: String,
    pub(super) kind: ContextKind,
    /// As it was given.
    pub(super) root: String,
    /// The folder, where it is one.
    pub(super) folder: Option<PathBuf>,
    /// The ignore file of the Dockerfile's own, where there is one.
    pub(super) own_ignore: Option<PathBuf>,
}

/// A context with its files, as far as they were read.
struct OpenContext<'a> {
    context: Context,
    tree: Option<FileTree<'a>>,
}

/// A set with the entries that are in it.
struct SelectedSet {
    set: FileSet,
    ids: Vec<EntryId>,
    gap: Option<Gap>,
}

/// All contexts and sets.
pub(super) struct FileSets<'a> {
    contexts: Vec<OpenContext<'a>>,
    known: Vec<SelectedSet>,
    index: HashMap<(usize, SourceQuery), u32>,
    pub(super) unread: Vec<Unread>,
    pub(super) unread_total: u64,
}

impl<'a> FileSets<'a> {
    pub(super) fn new(
        places: Vec<ContextLocation>,
        mask: &Mask,
        cache: Option<&Path>,
        now: Time,
        cancel: &'a AtomicBool,
    ) -> Self {
        let mut all = Self {
            contexts: Vec::new(),
            known: Vec::new(),
            index: HashMap::new(),
            unread: Vec::new(),
            unread_total: 0,
        };
        for place in places {
            let mut context = Context {
                name: Text::clean(&place.name),
                kind: place.kind,
                root: mask.text(&place.root),
                ..Context::default()
            };
            let tree = place.folder.as_ref().map(|folder| {
                let patterns = all.ignore(folder, place.own_ignore.as_deref(), &mut context, mask);
                let root = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.clone());
                FileTree::new(&root, patterns, HashStore::open(cache, &root, now), cancel)
            });
            all.contexts.push(OpenContext { context, tree });
        }
        all
    }

    /// The patterns of a context: of the Dockerfile's own ignore file, else of the one in its folder.
    fn ignore(
        &mut self,
        folder: &Path,
        own: Option<&Path>,
        context: &mut Context,
        mask: &Mask,
    ) -> IgnorePatterns {
        let common = folder.join(".dockerignore");
        let own = own.filter(|own| own.symlink_metadata().is_ok());
        let path = own.unwrap_or(&common);
        let content = match read_small(path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return IgnorePatterns::default(),
            Err(error) => {
                self.note(None, &shown(path.as_os_str()), &reason(&error));
                return IgnorePatterns::default();
            }
        };
        let lines = ignore::lines(&String::from_utf8_lossy(&content));
        let (patterns, malformed) = IgnorePatterns::new(lines.iter().map(String::as_str));
        for pattern in malformed {
            let why = format!("the pattern {} can't be read, which fails the build", mask.text(&pattern));
            self.note(None, &shown(path.as_os_str()), &why);
        }
        let name = path.file_name().unwrap_or_default();
        context.ignore = Some(Ignore {
            file: Text::clean(&shown(name)),
            hash: FieldHasher::short(&blake3::hash(&content)),
            total: lines.len() as u32,
            patterns: lines.iter().take(MOST_PATTERNS).map(|line| mask.text(line)).collect(),
        });
        patterns
    }

    pub(super) fn note(&mut self, context: Option<u32>, path: &str, why: &str) {
        self.unread_total += 1;
        if self.unread.len() < MOST_UNREAD {
            self.unread.push(Unread { path: Text::clean(path), context, why: Text::clean(why) });
        }
    }

    /// The context of that name; that of the build has none.
    pub(super) fn context(&self, name: &str) -> Option<u32> {
        let same = |entry: &OpenContext<'_>| is_same_image(entry.context.name.as_str(), name);
        self.contexts.iter().position(same).map(|at| at as u32)
    }

    /// The files that a source takes; none where they are not on this machine.
    pub(super) fn set(&mut self, context: u32, query: SourceQuery, mask: &Mask) -> Option<u32> {
        let at = context as usize;
        if let Some(known) = self.index.get(&(at, query.clone())) {
            return Some(*known);
        }
        let tree = self.contexts.get_mut(at)?.tree.as_mut()?;
        let selection = select(tree, &query);
        let known = summed(tree, &selection, context, mask.text(&query.path));
        let index = self.known.len() as u32;
        self.known.push(known);
        self.index.insert((at, query), index);
        Some(index)
    }

    /// A set, and what is wrong with it.
    pub(super) fn get(&self, index: u32) -> Option<(&FileSet, Option<Gap>)> {
        self.known.get(index as usize).map(|known| (&known.set, known.gap))
    }

    /// The folders that were listed, of all contexts.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let trees = self.contexts.iter().filter_map(|entry| entry.tree.as_ref());
        trees.flat_map(FileTree::folders).collect()
    }

    /// What the fingerprint lists.
    pub(super) fn finish(
        mut self,
        mask: &Mask,
    ) -> (Vec<Context>, Vec<FileSet>, Vec<Unread>, u64, FingerprintWork) {
        let mut room = ListingBudget { files: MOST_FILES, bytes: MOST_NAME_BYTES };
        let mut listed: Vec<BTreeSet<EntryId>> = vec![BTreeSet::new(); self.contexts.len()];
        for known in &mut self.known {
            let at = known.set.context as usize;
            let (Some(ids), Some(Some(tree))) =
                (listed.get_mut(at), self.contexts.get(at).map(|entry| entry.tree.as_ref()))
            else {
                continue;
            };
            known.set.listed = room.take(tree, &known.ids, ids);
        }
        let mut places: Vec<HashMap<EntryId, u32>> = Vec::new();
        for (entry, ids) in self.contexts.iter_mut().zip(&listed) {
            let mut place = HashMap::new();
            if let Some(tree) = &mut entry.tree {
                entry.context.files = table(tree, ids, mask, &mut place);
            }
            places.push(place);
        }
        for known in self.known.iter_mut().filter(|known| known.set.listed) {
            let place = places.get(known.set.context as usize);
            let at = |id: &EntryId| place.and_then(|place| place.get(id).copied());
            known.set.ranges = ranges(known.ids.iter().filter_map(at).collect());
        }
        let mut work = FingerprintWork::default();
        let mut contexts = Vec::new();
        for (at, entry) in self.contexts.into_iter().enumerate() {
            if let Some(tree) = entry.tree {
                work.entries += tree.work.entries;
                work.read_files += tree.work.read_files;
                work.read_bytes += tree.work.read_bytes;
                work.known_files += tree.work.known_files;
                self.unread_total += tree.unread_total;
                let unread = tree.unread.iter().map(|(path, why)| Unread {
                    path: mask.text(path),
                    context: Some(at as u32),
                    why: Text::clean(why),
                });
                self.unread.extend(unread);
                tree.close();
            }
            contexts.push(entry.context);
        }
        self.unread.truncate(MOST_UNREAD);
        (
            contexts,
            self.known.into_iter().map(|known| known.set).collect(),
            self.unread,
            self.unread_total,
            work,
        )
    }
}

/// How much may still be listed.
struct ListingBudget {
    files: usize,
    bytes: usize,
}

impl ListingBudget {
    /// Takes up entries and the folders above them, all or none.
    fn take(&mut self, tree: &FileTree<'_>, ids: &[EntryId], listed: &mut BTreeSet<EntryId>) -> bool {
        let mut new = BTreeSet::new();
        let mut bytes = 0;
        for id in ids {
            let mut at = *id;
            while at != ROOT && !listed.contains(&at) && new.insert(at) {
                let node = tree.node(at);
                bytes += node.name.len() + node.link.as_ref().map_or(0, |link| link.len());
                if new.len() > self.files || bytes > self.bytes {
                    return false;
                }
                at = node.parent;
            }
        }
        self.files -= new.len();
        self.bytes -= bytes;
        listed.append(&mut new);
        true
    }
}

/// The listed entries, each folder before what is in it.
fn table(
    tree: &mut FileTree<'_>,
    ids: &BTreeSet<EntryId>,
    mask: &Mask,
    place: &mut HashMap<EntryId, u32>,
) -> Vec<File> {
    let mut files = Vec::with_capacity(ids.len());
    let mut open: Vec<(EntryId, u16)> = Vec::new();
    let children = tree.children(ROOT);
    open.extend(children.iter().rev().filter(|id| ids.contains(id)).map(|id| (*id, 0)));
    while let Some((id, depth)) = open.pop() {
        place.insert(id, files.len() as u32);
        let (hash, xattrs) = (tree.content(id), tree.xattrs(id));
        let node = tree.node(id);
        files.push(File {
            depth,
            name: mask.text(&shown(&node.name)),
            kind: node.kind,
            mode: node.mode,
            size: (node.kind == FileKind::File).then_some(node.stamp.size),
            hash,
            xattrs,
            link: node.link.as_ref().map(|link| mask.text(&shown(link))),
            lines: Vec::new(),
        });
        if node.kind == FileKind::Dir {
            let children = tree.children(id);
            open.extend(children.iter().rev().filter(|id| ids.contains(id)).map(|id| (*id, depth + 1)));
        }
    }
    files
}

/// Numbers as half-open ranges.
fn ranges(mut numbers: Vec<u32>) -> Vec<(u32, u32)> {
    numbers.sort_unstable();
    numbers.dedup();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end == number => *end += 1,
            _ => ranges.push((number, number + 1)),
        }
    }
    ranges
}

/// Reads and hashes what is in a set.
fn summed(tree: &mut FileTree<'_>, selection: &Selection, context: u32, pattern: Text) -> SelectedSet {
    let mut set = FileSet { context, pattern, count: selection.taken.len() as u64, ..FileSet::default() };
    let (mut always, mut at_first) = (FieldHasher::default(), FieldHasher::default());
    let mut complete = !matches!(selection.trouble, Some(SelectFault::Loop | SelectFault::Malformed));
    for taken in &selection.taken {
        let path = std::os::unix::ffi::OsStrExt::as_bytes(taken.path.as_os_str());
        let content = tree.content(taken.id);
        let xattrs = tree.xattrs(taken.id);
        let node = tree.node(taken.id);
        always.field("path", path).field("kind", format!("{:?}", node.kind).as_bytes());
        at_first.field("path", path);
        match node.kind {
            FileKind::Dir => _ = at_first.field("mode", &node.mode.to_le_bytes()),
            FileKind::Symlink => {
                let link =
                    node.link.as_ref().map(|link| std::os::unix::ffi::OsStrExt::as_bytes(link.as_os_str()));
                always.field("link", link.unwrap_or_default());
            }
            _ => {
                always.field("mode", &node.mode.to_le_bytes()).field("device", &node.device.to_le_bytes());
            }
        }
        if node.kind == FileKind::File {
            set.bytes += node.stamp.size;
            complete &= content.is_some();
        }
        complete &= !node.unread;
        if let Some(hash) = content {
            always.hash("content", hash);
        }
        if let Some(hash) = xattrs {
            at_first.hash("xattrs", hash);
        }
    }
    complete &= selection.looked.iter().all(|id| !tree.node(*id).unread) && !tree.is_cancelled();
    // What is not there may be in a folder that could not be read.
    complete &= selection.trouble.is_none() || tree.unread_total == 0;
    (set.hash, set.attributes, set.complete) = (always.finish(), at_first.finish(), complete);
    let gap = match selection.trouble {
        Some(SelectFault::Missing) if complete => Some(Gap::NoFiles),
        Some(SelectFault::Malformed) => Some(Gap::Unreadable),
        _ if !complete => Some(Gap::Files),
        _ => None,
    };
    SelectedSet {
        set,
        ids: selection.taken.iter().map(|taken| taken.id).filter(|id| *id != ROOT).collect(),
        gap,
    }
}

/// Reads a file that is small, if it is one: nothing is waited for.
///
/// # Errors
/// Where it can't be read, is something else than a file, or is larger than 1 MiB.
pub fn read_small(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut content = Vec::new();
    file.take(LONGEST_IGNORE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LONGEST_IGNORE {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(content)
}
