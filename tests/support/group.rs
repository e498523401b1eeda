//! Process groups, as /proc has them.

use std::fs;

/// A process of /proc.
struct Entry {
    id: u32,
    state: char,
    parent: u32,
    group: u32,
}

fn entries() -> Vec<Entry> {
    let ids = fs::read_dir("/proc").unwrap().flatten();
    ids.filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        // `1234 (name) S 1 1234 …`: a process that ends meanwhile has no such file any more.
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Entry { id, state, parent, group })
    })
    .collect()
}

/// The process group that a process has started its child in.
pub(crate) fn of_child(parent: u32) -> u32 {
    let all = entries();
    let child = all.iter().find(|entry| entry.parent == parent).expect("no child");
    let own = all.iter().find(|entry| entry.id == parent).map(|entry| entry.group);
    assert_eq!(child.group, child.id, "the child leads a group");
    assert_ne!(Some(child.group), own, "of its own");
    child.group
}

/// The command lines of the processes that live in a group.
pub(crate) fn living(group: u32) -> Vec<String> {
    let lives = |entry: &Entry| entry.group == group && !matches!(entry.state, 'Z' | 'X');
    entries().into_iter().filter(lives).map(|entry| command_line(entry.id)).collect()
}

/// The command lines of all processes of this machine.
pub(crate) fn command_lines() -> Vec<String> {
    entries().into_iter().map(|entry| command_line(entry.id)).collect()
}

fn command_line(id: u32) -> String {
    let bytes = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}
