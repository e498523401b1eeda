//! Processes that are killed while they write, and many that write at once.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use super::{child, kept, open};

/// How often a writer is killed, and how often the file is begun anew.
const KILLS: usize = 1_000;
const FILES: usize = 10;

/// A sequence that looks random and is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What is in a file as another program sees it.
fn names(path: &Path) -> BTreeSet<String> {
    let connection = Connection::open(path).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let mut query = connection.prepare("SELECT name FROM builds").unwrap();
    let names = query.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

#[test]
fn what_was_kept_outlives_a_kill_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(1);
    let (mut unheard, mut most) = (0, 0);
    for file in 0..FILES {
        let path = dir.path().join(format!("{file}/history.db"));
        let mut told = BTreeSet::new();
        // Who comes first after a kill finds out what the log is worth. With somebody there all the time it is another way, which is
        // also the faster one.
        let _held = (file % 4 != 0).then(|| open(&path));
        for _ in 0..KILLS / FILES {
            let mut writer = child("keep 1000000", &path);
            let mut words = kept(&mut writer);
            // It writes on while its words are read, so that the kill comes anywhere.
            let heard: Vec<String> = words.by_ref().take(dice.below(4) as usize).collect();
            for _ in 0..dice.below(200_000) {
                std::hint::spin_loop();
            }
            writer.kill().unwrap();
            writer.wait().unwrap();
            let rest: Vec<String> = words.collect();
            unheard += usize::from(heard.is_empty() && rest.is_empty());
            told.extend(heard.into_iter().chain(rest));
            // A writer may be killed before there is a file.
            assert_eq!(open(&path).notes, [""; 0], "nothing to set aside");
            let there = names(&path);
            assert!(there.is_superset(&told), "lost: {:?}", told.difference(&there).collect::<Vec<_>>());
        }
        most = most.max(told.len());
    }
    assert!(unheard < KILLS && most > 100, "the writers did write: {unheard} were silent, {most} builds");
}

#[test]
fn many_processes_write_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    // All of them find no file and want to begin it.
    let mut writers: Vec<_> = (0..6).map(|_| child("keep 40", &path)).collect();
    let told: BTreeSet<String> = writers.iter_mut().flat_map(kept).collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    assert_eq!(told.len(), 6 * 40);
    assert_eq!(names(&path), told);
}
