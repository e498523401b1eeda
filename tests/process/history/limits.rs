//! Disks that are full, folders that can't be written, and what is let go.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use layertop::clock::Clock;
use layertop::event::Time;
use layertop::history::{KeepResult, RetentionLimits, Store, StoreLocation, StoreWorker};

use super::{build, child, model, open, output_of, small};

const ALL: RetentionLimits =
    RetentionLimits { keep: u64::MAX, keep_for: Duration::MAX, keep_bytes: u64::MAX };

#[test]
fn a_limit_on_files_is_told_and_nothing_else_happens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    // A new store takes some of these 512 KiB; then comes one build too many.
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 1024 && exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    let told = output_of(super::as_child(&mut limited, "fill 0", &path), "told: ");
    assert!(told.starts_with("this build is not in the history: "), "{told}");
    assert!(told.contains("history.db: ") && told.contains("ulimit -f"), "{told}");
    // What was kept before is there, and there is room again for who has no limit.
    let mut opened = open(&path);
    assert_eq!(opened.notes, [""; 0]);
    assert!(opened.store.count().unwrap() > 0);
    opened.store.keep(&small("more", 1)).unwrap().unwrap();
}

#[test]
fn a_full_disk_is_told_and_nothing_else_happens() {
    let dir = tempfile::tempdir().unwrap();
    // A disk of its own, seen by nobody else; not everybody may have one.
    let mount = "mount -t tmpfs -o size=256k none \"$LAYERTOP_TEST_DISK\" && exec \"$0\" \"$@\"";
    let mut disk = Command::new("unshare");
    disk.args(["--user", "--map-root-user", "--mount", "sh", "-c", mount])
        .arg(std::env::current_exe().unwrap());
    let probe = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: no disks can be mounted here");
        return;
    }
    disk.env("LAYERTOP_TEST_DISK", dir.path());
    let told = output_of(super::as_child(&mut disk, "fill 0", &dir.path().join("history.db")), "told: ");
    assert!(told.starts_with("this build is not in the history: "), "{told}");
    assert!(told.contains("free space in ") || told.contains("has space"), "{told}");
}

#[test]
fn a_folder_that_can_not_be_made_is_told_and_nothing_else_happens() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let worker =
        StoreWorker::start(StoreLocation::File(dir.path().join("file/layertop/history.db")), Clock::live());
    assert_eq!(worker.keep(small("a", 1), ALL).recv().unwrap(), KeepResult::NotStored);
    assert_eq!(worker.ask(|store| store.is_some()).recv(), Ok(false));
    let told = worker.close();
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert!(
        told.starts_with("the history is not kept: ") && told.contains("; the build goes on; "),
        "{told}"
    );
    assert!(told.ends_with("name another place: export XDG_DATA_HOME=FOLDER"), "{told}");
}

#[test]
fn without_a_place_nothing_is_kept_or_told() {
    let worker = StoreWorker::start(StoreLocation::Disabled, Clock::live());
    assert_eq!(worker.keep(small("a", 1), ALL).recv().unwrap(), KeepResult::NotStored);
    assert_eq!(worker.close(), [""; 0]);
}

#[test]
fn damage_that_is_found_by_writing_is_set_aside_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut store = open(&path).store;
    let full = model("first");
    for at in 0..50 {
        store.keep(&build(&full, &format!("old-{at}"))).unwrap();
    }
    drop(store);
    // All but the first pages, which are what is looked at when it is opened.
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[3 * 4096..].fill(0x5a);
    fs::write(&path, &bytes).unwrap();
    let worker = StoreWorker::start(StoreLocation::File(path.clone()), Clock::live());
    assert!(matches!(worker.keep(build(&full, "new"), ALL).recv().unwrap(), KeepResult::Stored(_)));
    let told = worker.close();
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert!(
        told.contains("was set aside as history.db.corrupt-") && told.contains("it is damaged"),
        "{told}"
    );
    assert_eq!(open(&path).store.count().unwrap(), 1);
    let aside = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
    let aside = aside.filter(|entry| entry.file_name().to_string_lossy().contains(".corrupt-"));
    assert_eq!(aside.map(|entry| entry.metadata().unwrap().len()).max().unwrap(), length as u64);
}

#[test]
fn where_nothing_can_be_written_it_can_still_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data/history.db");
    let mut store = open(&path).store;
    store.keep(&small("a", 1)).unwrap();
    drop(store);
    let folder = path.parent().unwrap();
    fs::remove_file(folder.join("history.lock")).unwrap();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(dir.path(), 0o755);
    allow(&path, 0o444);
    allow(folder, 0o555);
    // Root may write anything.
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(std::env::current_exe().unwrap());
    let is_root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let reader = if is_root { super::as_child(&mut nobody, "read 0", &path) } else { child("read 0", &path) };
    let read = output_of(reader, "read: ");
    allow(folder, 0o755);
    assert_eq!(read, "1 builds");
}

/// Builds of ten days, one a day, the last at day 10.
fn days(path: &Path) -> Store {
    let mut store = open(path).store;
    for day in 1..=10 {
        store.keep(&small(&format!("day-{day}"), day * 86_400)).unwrap();
    }
    store
}

fn left(store: &Store) -> Vec<String> {
    store.builds(None, 100).unwrap().into_iter().map(|build| build.name.to_string()).collect()
}

#[test]
fn the_oldest_go_by_count_and_age() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = days(&dir.path().join("history.db"));
    let now = Time::from_micros(10 * 86_400_000_000);
    let keep = |keep| RetentionLimits { keep, ..ALL };
    assert_eq!(store.prune(&keep(3), now, true).unwrap().builds, 7);
    assert_eq!(store.prune(&keep(10), now, false).unwrap().builds, 0);
    assert_eq!(left(&store).len(), 10, "a rehearsal changes nothing");
    let pruned = store.prune(&keep(8), now, false).unwrap();
    assert_eq!((pruned.builds, pruned.left), (2, 8));
    let young = RetentionLimits { keep_for: Duration::from_secs(5 * 86_400), ..ALL };
    assert_eq!(store.prune(&young, now, false).unwrap().builds, 2);
    assert_eq!(left(&store), ["day-10", "day-9", "day-8", "day-7", "day-6", "day-5"]);
}

#[test]
fn the_oldest_go_by_size_and_the_file_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut store = open(&path).store;
    let full = model("first");
    for at in 0..300 {
        store.keep(&build(&full, &format!("{at:03}"))).unwrap();
    }
    let whole = store.prune(&ALL, Time::default(), false).unwrap();
    let limits = RetentionLimits { keep_bytes: whole.bytes / 2, ..ALL };
    let pruned = store.prune(&limits, Time::default(), false).unwrap();
    assert!(pruned.bytes <= limits.keep_bytes && pruned.bytes_before == whole.bytes, "{pruned:?}");
    assert!(pruned.left > 100 && pruned.builds > 100, "no more than it takes: {pruned:?}");
    drop(store);
    assert!(fs::metadata(&path).unwrap().len() <= limits.keep_bytes + 64 * 1024);
    let mut store = open(&path).store;
    assert_eq!(store.prune(&RetentionLimits { keep: 0, ..ALL }, Time::default(), false).unwrap().left, 0);
    store.keep(&build(&full, "again")).unwrap().unwrap();
}

#[test]
fn each_build_lets_those_go_that_are_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let worker = StoreWorker::start(StoreLocation::File(dir.path().join("history.db")), Clock::live());
    let now = Clock::live().now().micros() / 1_000_000;
    for at in 0..5 {
        worker.keep(small(&format!("b{at}"), now + at), RetentionLimits { keep: 2, ..ALL }).recv().unwrap();
    }
    let names = worker.ask(|store| left(store.unwrap())).recv().unwrap();
    assert_eq!(names, ["b4", "b3"]);
}
