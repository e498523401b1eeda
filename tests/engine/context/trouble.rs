//! What can't be read, and what never ends: nothing waits for it, and the fingerprint says so.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use layertop::clock::Clock;
use layertop::event::fingerprint::{Completeness, FileKind, Fingerprint, Gap};
use layertop::source::context::fingerprint;
use rustix::fs::{Mode, OFlags};

use crate::support::tree::{Project, paths, set, step};

fn unread(made: &Fingerprint) -> Vec<(&str, &str)> {
    made.unread.iter().map(|unread| (unread.path.as_str(), unread.why.as_str())).collect()
}

#[test]
fn pipes_and_sockets_are_not_opened() {
    let project = Project::new("FROM a\nCOPY src /\nCOPY src/pipe /\n", &[("src/a", "1")]);
    nix::unistd::mkfifo(&project.path("src/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(project.path("src/socket")).unwrap();
    let made = project.print();
    assert_eq!(made.state, Completeness::Complete);
    let kinds: Vec<FileKind> = made.files(set(&made, "COPY src /")).map(|(_, file)| file.kind).collect();
    assert_eq!(kinds, [FileKind::File, FileKind::Fifo, FileKind::Socket]);
}

#[test]
fn links_in_a_circle_end() {
    let project =
        Project::new("FROM a\nCOPY loop /\nCOPY src /s\nCOPY src/up/src/up/src/a /a\n", &[("src/a", "1")]);
    symlink("pool", project.path("loop")).unwrap();
    symlink("loop", project.path("pool")).unwrap();
    symlink("..", project.path("src/up")).unwrap();
    let made = project.print();
    assert_eq!(step(&made, "COPY loop").gaps, [Gap::Files]);
    // Within a folder a link is taken as what it is.
    assert_eq!(paths(&made, "COPY src /s"), ["src/a", "src/up"]);
    assert_eq!(paths(&made, "COPY src/up"), ["src/a"]);
    assert!(step(&made, "COPY src /s").complete);
}

/// A path that is longer than the system takes can't be read by root either.
#[test]
fn what_can_not_be_read_is_said() {
    let project = Project::new("FROM a\nCOPY deep /\nCOPY fine /\n", &[("deep/a", "1"), ("fine", "1")]);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut folder = rustix::fs::open(project.path("deep"), flags, Mode::empty()).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&folder, "d", Mode::RWXU).unwrap();
        folder = rustix::fs::openat(&folder, "d", flags, Mode::empty()).unwrap();
    }
    let made = project.print();
    assert_eq!((made.state, made.unread_total), (Completeness::Partial, 1));
    assert_eq!(made.unread[0].why.as_str(), "file name too long");
    assert!(made.unread[0].path.as_str().starts_with("deep/d/d/"));
    assert!(made.reason.as_str().contains("could not be read: file name too long"), "{}", made.reason);
    let copy = step(&made, "COPY deep");
    assert_eq!((copy.gaps.as_slice(), copy.complete), (&[Gap::Files][..], false));
    assert!(step(&made, "COPY fine").complete);
}

#[test]
fn folders_and_files_that_are_forbidden() {
    let project = Project::new(
        "FROM a\nCOPY src /\nCOPY gone /\nCOPY *.none /\nCOPY a[ /\nCOPY fine /\n",
        &[("src/no/a", "1"), ("src/shut", "1"), ("fine/x", "1")],
    );
    project.mode("src/no", 0o000);
    project.mode("src/shut", 0o000);
    let made = project.print();
    if rustix::process::geteuid().is_root() {
        println!("skipped in part: root may read everything");
        assert_eq!(step(&made, "COPY gone").gaps, [Gap::NoFiles]);
        assert_eq!(step(&made, "COPY *.none").gaps, [Gap::NoFiles]);
    } else {
        assert_eq!(unread(&made), [("src/no", "permission denied"), ("src/shut", "permission denied")]);
        assert_eq!((made.state, made.unread_total), (Completeness::Partial, 2));
        assert_eq!(step(&made, "COPY src").gaps, [Gap::Files]);
    }
    assert_eq!(step(&made, "COPY a[").gaps, [Gap::Unreadable]);
    assert!(step(&made, "COPY fine").complete);
    project.mode("src/no", 0o700);
}

#[test]
fn no_dockerfile_and_no_context() {
    let mut project = Project::new("FROM a\nCOPY x /\n", &[]);
    project.request.context = "not-there".to_owned();
    let made = project.print();
    assert_eq!(unread(&made), [("", "no such file or directory")]);
    assert_eq!(step(&made, "COPY").gaps, [Gap::Files]);
    project.request.dockerfile = "none".into();
    let made = project.print();
    assert_eq!((made.state, made.stages.len()), (Completeness::None, 0));
    assert!(
        made.reason.as_str().starts_with("can't read none: no such file or directory; "),
        "{}",
        made.reason
    );
    // Nor is a Dockerfile waited for that is a pipe.
    nix::unistd::mkfifo(&project.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    project.request.dockerfile = "pipe".into();
    assert_eq!(project.print().state, Completeness::None);
}

#[test]
fn contexts_of_elsewhere_are_not_looked_for() {
    for context in ["-", "https://example.com/x.git", "git@example.com:x", "github.com/a/b"] {
        let mut project = Project::new("FROM a\nCOPY x /\n", &[]);
        project.request.context = context.to_owned();
        let made = project.print();
        let copy = step(&made, "COPY");
        assert_eq!(
            (copy.gaps.as_slice(), copy.complete, copy.sources[0].set),
            (&[Gap::Remote][..], false, None),
            "{context}"
        );
        assert_eq!(made.unread_total, 0);
    }
}

/// 10 GB without a byte on the disk: it is read on until nobody waits.
#[test]
fn a_huge_file_holds_nobody_up() {
    let project = Project::new("FROM a\nCOPY . /\n", &[]);
    let mut file = File::create(project.path("sparse")).unwrap();
    file.seek(SeekFrom::Start(10_000_000_000)).unwrap();
    file.write_all(b"x").unwrap();
    let cancel = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        let made = scope.spawn(|| fingerprint(&project.request, &cancel, Clock::live()));
        cancel.store(true, Ordering::Relaxed);
        made.join().unwrap()
    });
    assert_eq!(made.state, Completeness::Cancelled);
    assert!(!made.sets.first().is_some_and(|set| set.complete));
}

#[test]
fn names_that_are_no_text() {
    let project = Project::new("FROM a\nCOPY src /\nCOPY src/* /t\n", &[("src/a", "1")]);
    let name = |bytes: &[u8]| project.path("src").join(OsStr::from_bytes(bytes));
    fs::write(name(b"\xff"), "1").unwrap();
    fs::write(name(b"\xfe\x1b[2J\n"), "1").unwrap();
    fs::create_dir(name(b"d\xc3")).unwrap();
    let made = project.print();
    assert_eq!(made.state, Completeness::Complete);
    let found = paths(&made, "COPY src /");
    assert_eq!(found.len(), 4);
    assert!(found.contains(&r"src/\xff".to_owned()) && found.contains(&r"src/d\xc3".to_owned()), "{found:?}");
    assert!(!found.concat().contains(['\u{1b}', '\n']), "{found:?}");
    let before = set(&made, "COPY src /").hash;
    fs::rename(name(b"\xff"), name(b"\xfd")).unwrap();
    assert_ne!(set(&project.print(), "COPY src /").hash, before);
}

#[test]
fn a_deep_tree_ends() {
    let project = Project::new("FROM a\nCOPY . /\n", &[]);
    let deep: PathBuf = std::iter::repeat_n("d", 1500).collect();
    fs::create_dir_all(project.path(&deep)).unwrap();
    fs::write(project.path(deep.join("f")), "1").unwrap();
    let made = project.print();
    assert_eq!(made.state, Completeness::Complete);
    let set = set(&made, "COPY");
    assert_eq!(set.count, 1502);
    assert_eq!(made.files(set).last().unwrap().0.len(), 3001);
    let line = serde_json::to_string(&made).unwrap();
    assert_eq!(serde_json::from_str::<Fingerprint>(&line).unwrap(), made);
}

/// Files come, go and grow while they are hashed: it ends, and what it says is of some moment or not complete.
#[test]
fn a_context_that_changes_meanwhile() {
    let project = Project::new("FROM a\nCOPY . /\n", &[]);
    for number in 0..50 {
        project.write(format!("{number}"), "1");
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = File::create(project.path("log")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let _ = log.write_all(&[b'x'; 4096]);
                for number in 0..50 {
                    let _ = fs::remove_file(project.path(format!("{number}")));
                    let _ = fs::write(project.path(format!("{number}")), "2");
                }
            }
        });
        for _ in 0..10 {
            let made = project.print();
            let complete = made.state == Completeness::Complete;
            assert_eq!(complete, made.unread_total == 0, "{made:?}");
            assert_eq!(complete, step(&made, "COPY").complete);
        }
        stop.store(true, Ordering::Relaxed);
    });
}
