//! A context's folder, read as far as it is asked for.
//!
//! Folders are listed when something in them is wanted, files are opened when their hash is. What can't be read is noted and
//! left at that: nothing here fails, follows a link out of the context, or opens what is no file.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::event::fingerprint::{FileKind, FingerprintWork, Hash};

use super::content;
use super::ignore::IgnorePatterns;
use super::store::HashStore;

/// Entries that are looked at in one context; `BuildKit` would have to be sent all of them.
const MOST_ENTRIES: usize = 500_000;
/// Links that are followed on one path, as `BuildKit` does.
const MOST_LINKS: u32 = 255;

/// Place of an entry in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EntryId(pub(super) u32);

pub(super) const ROOT: EntryId = EntryId(0);

/// What tells that a file has not been written to since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FileStamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Nanoseconds since the epoch.
    pub(super) modified: i64,
    /// Of its content or of anything about it.
    pub(super) changed: i64,
}

impl FileStamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: nanos(meta.mtime(), meta.mtime_nsec()),
            changed: nanos(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

#[derive(Debug)]
pub(super) struct TreeEntry {
    pub(super) parent: EntryId,
    pub(super) name: OsString,
    pub(super) kind: FileKind,
    pub(super) mode: u16,
    pub(super) stamp: FileStamp,
    pub(super) link: Option<OsString>,
    /// The number of a device.
    pub(super) device: u64,
    /// Left out by the ignore file; there nevertheless where something in it is not.
    left_out: bool,
    /// Which patterns matched a folder.
    marks: Option<Rc<[bool]>>,
    children: Option<Rc<[EntryId]>>,
    /// The hash of a file and of the attributes, once they were asked for.
    content: CachedHash,
    xattrs: CachedHash,
    /// Something of it could not be read.
    pub(super) unread: bool,
}

/// A hash that may not have been asked for.
#[derive(Debug, Clone, Copy)]
enum CachedHash {
    NotYet,
    Is(Option<Hash>),
}

pub(super) struct FileTree<'a> {
    root: PathBuf,
    patterns: IgnorePatterns,
    nodes: Vec<TreeEntry>,
    store: HashStore,
    cancel: &'a AtomicBool,
    visible: HashMap<EntryId, bool>,
    full: bool,
    /// What could not be read, and why.
    pub(super) unread: Vec<(String, String)>,
    pub(super) unread_total: u64,
    pub(super) work: FingerprintWork,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathFault {
    /// There is no such entry.
    Missing,
    /// Its links run in a circle.
    Loop,
}

impl<'a> FileTree<'a> {
    /// Opens a folder. Whether it is there shows when something in it is asked for.
    pub(super) fn new(
        root: &Path,
        patterns: IgnorePatterns,
        store: HashStore,
        cancel: &'a AtomicBool,
    ) -> Self {
        let node = TreeEntry {
            parent: ROOT,
            name: OsString::new(),
            kind: FileKind::Dir,
            mode: 0,
            stamp: FileStamp::default(),
            link: None,
            device: 0,
            left_out: false,
            marks: None,
            children: None,
            content: CachedHash::NotYet,
            xattrs: CachedHash::NotYet,
            unread: false,
        };
        Self {
            root: root.to_owned(),
            patterns,
            nodes: vec![node],
            store,
            cancel,
            visible: HashMap::new(),
            full: false,
            unread: Vec::new(),
            unread_total: 0,
            work: FingerprintWork::default(),
        }
    }

    pub(super) fn node(&self, id: EntryId) -> &TreeEntry {
        // Ids are made here only, so that there is none without its node.
        &self.nodes[id.0 as usize]
    }

    fn node_mut(&mut self, id: EntryId) -> &mut TreeEntry {
        &mut self.nodes[id.0 as usize]
    }

    /// Whether nobody waits for the result any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// The path of an entry below the root; empty for the root.
    pub(super) fn path(&self, id: EntryId) -> PathBuf {
        let mut names = Vec::new();
        let mut at = id;
        while at != ROOT {
            names.push(self.node(at).name.as_os_str());
            at = self.node(at).parent;
        }
        names.iter().rev().collect()
    }

    /// The folders that were listed: what is new, gone or another in one of them may change what is taken.
    pub(super) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let ids = (0..self.nodes.len()).map(|at| EntryId(at as u32));
        let listed = ids.filter(|id| {
            let node = self.node(*id);
            node.kind == FileKind::Dir && node.children.is_some()
        });
        listed.map(|id| self.root.join(self.path(id)))
    }

    /// Writes down the hashes that were made.
    pub(super) fn close(self) {
        self.store.save();
    }

    fn note(&mut self, id: EntryId, name: Option<&OsStr>, why: &str) {
        self.node_mut(id).unread = true;
        self.unread_total += 1;
        if self.unread.len() < crate::event::fingerprint::MOST_UNREAD {
            let path = name.map_or_else(|| self.path(id), |name| self.path(id).join(name));
            self.unread.push((shown(path.as_os_str()), why.to_owned()));
        }
    }

    /// What is in a folder and not left out for good, sorted by name.
    pub(super) fn children(&mut self, id: EntryId) -> Rc<[EntryId]> {
        if let Some(children) = &self.node(id).children {
            return Rc::clone(children);
        }
        let children: Rc<[EntryId]> =
            if self.node(id).kind == FileKind::Dir { self.list(id) } else { [].into() };
        self.node_mut(id).children = Some(Rc::clone(&children));
        children
    }

    fn list(&mut self, id: EntryId) -> Rc<[EntryId]> {
        if self.is_cancelled() {
            self.node_mut(id).unread = true;
            return [].into();
        }
        let folder = self.path(id);
        let listing = match fs::read_dir(self.root.join(&folder)) {
            Ok(listing) => listing,
            Err(error) => {
                self.note(id, None, &reason(&error));
                return [].into();
            }
        };
        let mut found = Vec::new();
        for entry in listing {
            if self.nodes.len() + found.len() > MOST_ENTRIES {
                if !std::mem::replace(&mut self.full, true) {
                    self.note(
                        id,
                        None,
                        &format!("there are more than {MOST_ENTRIES} entries in the context"),
                    );
                }
                self.node_mut(id).unread = true;
                break;
            }
            match entry.map(|entry| (entry.file_name(), entry.metadata())) {
                Ok((name, Ok(meta))) => found.push((name, meta)),
                Ok((name, Err(error))) => self.note(id, Some(&name), &reason(&error)),
                Err(error) => self.note(id, None, &reason(&error)),
            }
        }
        found.sort_unstable_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        self.work.entries += found.len() as u64;
        let ids: Vec<EntryId> =
            found.into_iter().filter_map(|(name, meta)| self.add(id, &folder, name, &meta)).collect();
        ids.into()
    }

    /// Takes up an entry, unless it is left out for good.
    fn add(&mut self, parent: EntryId, folder: &Path, name: OsString, meta: &Metadata) -> Option<EntryId> {
        let path = folder.join(&name);
        let is_dir = meta.is_dir();
        let (mut left_out, mut marks) = (false, None);
        if !self.patterns.is_empty() {
            let bytes = path.as_os_str().as_bytes();
            let above = self.node(parent).marks.as_deref();
            if is_dir {
                let (out, now) = self.patterns.matches_folder(bytes, above);
                (left_out, marks) = (out, Some(now.into()));
            } else {
                left_out = self.patterns.matches(bytes, above);
            }
            if left_out && !(is_dir && self.patterns.may_take_in(bytes)) {
                return None;
            }
        }
        let id = EntryId(self.nodes.len() as u32);
        let kind = kind(meta);
        let mut node = TreeEntry {
            parent,
            name,
            kind,
            mode: (meta.mode() & 0o7777) as u16,
            stamp: FileStamp::of(meta),
            link: None,
            device: if kind == FileKind::Device { meta.rdev() } else { 0 },
            left_out,
            marks,
            children: None,
            content: CachedHash::NotYet,
            xattrs: CachedHash::NotYet,
            unread: false,
        };
        let link = (kind == FileKind::Symlink).then(|| fs::read_link(self.root.join(&path)));
        let trouble = match link {
            Some(Ok(link)) => {
                node.link = Some(link.into_os_string());
                None
            }
            Some(Err(error)) => Some(reason(&error)),
            None => None,
        };
        self.nodes.push(node);
        if let Some(why) = trouble {
            self.note(id, None, &why);
        }
        Some(id)
    }

    /// Whether `BuildKit` is sent an entry: it is not left out, or something in it is not.
    fn is_visible(&mut self, id: EntryId) -> bool {
        if !self.node(id).left_out {
            return true;
        }
        if let Some(known) = self.visible.get(&id) {
            return *known;
        }
        let children = self.children(id);
        let visible = children.iter().any(|child| self.is_visible(*child));
        self.visible.insert(id, visible);
        visible
    }

    /// What is in a folder and is sent.
    pub(super) fn sent(&mut self, id: EntryId) -> Vec<EntryId> {
        let children = self.children(id);
        children.iter().copied().filter(|child| self.is_visible(*child)).collect()
    }

    /// All that is below an entry and is sent, each folder before what is in it, with its path from there. Folders that
    /// `enters` refuses are given, but not what is in them.
    pub(super) fn below(&mut self, id: EntryId, enters: impl Fn(&Path) -> bool) -> Vec<(EntryId, PathBuf)> {
        let mut found = Vec::new();
        let mut open: Vec<(EntryId, PathBuf)> = vec![(id, PathBuf::new())];
        while let Some((at, path)) = open.pop() {
            if at != id {
                found.push((at, path.clone()));
            }
            if self.node(at).kind != FileKind::Dir || !enters(&path) {
                continue;
            }
            let children = self.sent(at);
            open.extend(children.iter().rev().map(|child| (*child, path.join(&self.node(*child).name))));
        }
        found
    }

    /// The entry that a path leads to, links followed within the context; that of the last name only where `last` says so.
    pub(super) fn resolve(&mut self, path: &[u8], last: bool) -> Result<EntryId, PathFault> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        push_names(&mut names, path);
        let mut at = ROOT;
        let mut links = 0;
        while let Some(name) = names.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = self.node(at).parent;
                    continue;
                }
                _ => {}
            }
            let children = self.children(at);
            let found = children.binary_search_by(|child| self.node(*child).name.as_bytes().cmp(&name));
            let child = found.ok().map(|place| children[place]).ok_or(PathFault::Missing)?;
            if !self.is_visible(child) {
                return Err(PathFault::Missing);
            }
            match self.node(child).link.clone() {
                Some(link) if last || !names.is_empty() => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(PathFault::Loop);
                    }
                    if link.as_bytes().starts_with(b"/") {
                        at = ROOT;
                    }
                    push_names(&mut names, link.as_bytes());
                }
                _ => at = child,
            }
        }
        Ok(at)
    }

    /// The hash of a file's content; none of what is no file, or could not be read.
    pub(super) fn content(&mut self, id: EntryId) -> Option<Hash> {
        if let CachedHash::Is(known) = self.node(id).content {
            return known;
        }
        if self.node(id).kind != FileKind::File {
            return None;
        }
        let hash = self.read(id);
        self.node_mut(id).content = CachedHash::Is(hash);
        hash
    }

    fn read(&mut self, id: EntryId) -> Option<Hash> {
        let stamp = self.node(id).stamp;
        if let Some(hash) = self.store.known(&stamp) {
            self.work.known_files += 1;
            return Some(hash);
        }
        match content::hash(&self.root.join(self.path(id)), self.cancel) {
            Ok((hash, stamp)) => {
                self.work.read_files += 1;
                self.work.read_bytes += stamp.size;
                self.node_mut(id).stamp = stamp;
                self.store.learn(stamp, hash);
                Some(hash)
            }
            Err(content::HashFault::Cancelled) => {
                self.node_mut(id).unread = true;
                None
            }
            Err(content::HashFault::Changing) => {
                self.note(id, None, "it is being written to");
                None
            }
            Err(content::HashFault::Io(error)) => {
                self.note(id, None, &reason(&error));
                None
            }
        }
    }

    /// The hash of the extended attributes that count; none where there is none of them.
    pub(super) fn xattrs(&mut self, id: EntryId) -> Option<Hash> {
        if let CachedHash::Is(known) = self.node(id).xattrs {
            return known;
        }
        let hash = content::xattrs(&self.root.join(self.path(id)));
        self.node_mut(id).xattrs = CachedHash::Is(hash);
        hash
    }
}

/// Puts the names of a path on a stack, the first on top.
fn push_names(names: &mut Vec<Vec<u8>>, path: &[u8]) {
    names.extend(path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
}

fn kind(meta: &Metadata) -> FileKind {
    let kind = meta.file_type();
    if kind.is_dir() {
        FileKind::Dir
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else if kind.is_fifo() {
        FileKind::Fifo
    } else if kind.is_socket() {
        FileKind::Socket
    } else if kind.is_block_device() || kind.is_char_device() {
        FileKind::Device
    } else {
        FileKind::File
    }
}

/// Why something can't be read, in a few words and without the number that Rust adds.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// A name that may not be UTF-8, told apart from all others: bytes that are none stand as `\xff`.
pub(super) fn shown(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}
