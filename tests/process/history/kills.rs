//! Processes that are killed while they write, and many that write at once.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use std::process::Child;

use super::{child, kept, open};

/// How often a writer is killed, and how often the file is begun anew.
const KILLS: usize = 1_000;
const FILES: usize = 40;

/// How many write at once, of whom one is killed at a time.
const WRITERS: usize = 6;

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

/// A process that writes builds until it is killed.
struct Writer {
    process: Child,
    words: Box<dyn Iterator<Item = String>>,
}

impl Writer {
    fn start(path: &Path) -> Self {
        let mut process = child("keep 1000000", path);
        let words = Box::new(kept(&mut process));
        Self { process, words }
    }

    /// Waits for some of its words, then a moment, and kills it: anywhere, for it writes on while its words are read. Gives
    /// all builds that it said were kept.
    fn kill(mut self, dice: &mut Dice) -> Vec<String> {
        let mut heard: Vec<String> = self.words.by_ref().take(dice.below(4) as usize).collect();
        for _ in 0..dice.below(200_000) {
            std::hint::spin_loop();
        }
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        heard.extend(self.words);
        heard
    }
}

#[test]
fn what_was_kept_outlives_a_kill_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(1);
    let (mut unheard, mut most) = (0, 0);
    for file in 0..FILES {
        let path = dir.path().join(format!("{file}/history.db"));
        let mut told = BTreeSet::new();
        // Who comes first after a kill finds out what the log is worth: that is where nobody else has the file open. With
        // others there all the time it is another way. In every fifth file five others write on while one is killed.
        let _held = (file % 4 == 1).then(|| open(&path));
        let crew = if file % 5 == 0 { WRITERS } else { 1 };
        let mut writers: Vec<Writer> = (0..crew).map(|_| Writer::start(&path)).collect();
        for _ in 0..KILLS / FILES {
            let victim = writers.swap_remove(dice.below(crew as u64) as usize);
            let heard = victim.kill(&mut dice);
            unheard += usize::from(heard.is_empty());
            told.extend(heard);
            // A writer may be killed before there is a file.
            assert_eq!(open(&path).notes, [""; 0], "nothing to set aside");
            let there = names(&path);
            assert!(there.is_superset(&told), "lost: {:?}", told.difference(&there).collect::<Vec<_>>());
            writers.push(Writer::start(&path));
        }
        told.extend(writers.into_iter().flat_map(|writer| writer.kill(&mut dice)));
        let there = names(&path);
        assert!(there.is_superset(&told), "lost: {:?}", told.difference(&there).collect::<Vec<_>>());
        most = most.max(told.len());
    }
    assert!(unheard < KILLS && most > 100, "the writers did write: {unheard} were silent, {most} builds");
    println!("{KILLS} kills: {unheard} before a word, {most} builds in the fullest file");
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
