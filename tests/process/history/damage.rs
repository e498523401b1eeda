//! Files that are no good: each is set aside and kept, and a new one is begun.

use std::fs;
use std::path::Path;

use rstest::rstest;
use rusqlite::Connection;

use super::{build, model, open, small};

/// A sound file with some builds, closed.
fn sound(path: &Path) {
    let mut store = open(path).store;
    let full = model("first");
    for at in 0..20 {
        store.keep(&build(&full, &format!("old-{at}"))).unwrap();
    }
}

fn spoil(path: &Path, how: &str) {
    let bytes = || fs::read(path).unwrap();
    match how {
        "text" => fs::write(path, "this is not a database, whatever its name says\n".repeat(100)).unwrap(),
        "head" => fs::write(path, &bytes()[..50]).unwrap(),
        "half" => fs::write(path, &bytes()[..bytes().len() / 2]).unwrap(),
        "zeros" => fs::write(path, vec![0; bytes().len()]).unwrap(),
        "newer" => Connection::open(path).unwrap().pragma_update(None, "user_version", 4711).unwrap(),
        "foreign" => {
            fs::remove_file(path).unwrap();
            Connection::open(path).unwrap().execute_batch("CREATE TABLE builds (a)").unwrap();
        }
        "folder" => {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::write(path.join("a"), "a").unwrap();
        }
        other => panic!("{other}"),
    }
}

#[rstest]
#[case("text", "corrupt", "it is damaged")]
#[case("head", "corrupt", "it is damaged")]
#[case("half", "corrupt", "it is damaged")]
#[case("zeros", "corrupt", "it is damaged")]
#[case("newer", "newer", "a newer layertop has written it (version 4711)")]
#[case("foreign", "foreign", "another program has written it")]
#[case("folder", "folder", "it is a folder")]
fn is_set_aside(#[case] how: &str, #[case] word: &str, #[case] why: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    sound(&path);
    spoil(&path, how);
    let content =
        |path: &Path| if path.is_dir() { fs::read(path.join("a")) } else { fs::read(path) }.unwrap();
    let before = content(&path);
    let mut opened = open(&path);
    let name = format!("history.db.{word}-20261118T110640Z");
    let [note] = opened.notes.as_slice() else { panic!("{:?}", opened.notes) };
    assert!(
        note.contains(&format!("was set aside as {name}: {why}")) && note.ends_with("a new one is begun"),
        "{note}"
    );
    assert_eq!(content(&dir.path().join(&name)), before, "as it was");
    assert_eq!(opened.store.count().unwrap(), 0);
    opened.store.keep(&small("new", 1)).unwrap();
    drop(opened);
    let again = open(&path);
    assert_eq!((again.notes.len(), again.store.count().unwrap()), (0, 1));
}

#[test]
fn an_empty_file_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    fs::write(&path, "").unwrap();
    let mut opened = open(&path);
    assert_eq!(opened.notes, [""; 0]);
    opened.store.keep(&small("a", 1)).unwrap();
}

#[test]
fn names_of_what_is_set_aside_do_not_collide() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    for _ in 0..3 {
        fs::write(&path, "no database at all").unwrap();
        assert_eq!(open(&path).notes.len(), 1);
    }
    let aside = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains(".corrupt-");
    let count = fs::read_dir(dir.path()).unwrap().map(Result::unwrap).filter(aside).count();
    assert_eq!(count, 3);
}
