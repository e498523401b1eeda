//! A context in which lies what can't be hashed: the build goes on as ever, and the reasons are what they would be without it.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use crate::support::bench::{AMD, Bench, DOCKERFILE, planned};
use crate::support::testbed::{Engine, For};
use crate::why::Why::{Follows, Root};
use crate::why::{OWN, evidence, expect};

#[test]
fn what_lies_in_a_context_disturbs_no_build() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    let path = |name: &str| bench.project.folder().join(name);
    let _socket = UnixListener::bind(path("src/socket")).unwrap();
    symlink("pool", path("src/loop")).unwrap();
    symlink("loop", path("src/pool")).unwrap();
    symlink("..", path("src/up")).unwrap();
    // 10 GB without a byte on the disk, which no step takes.
    File::create(path("sparse")).unwrap().set_len(10_000_000_000).unwrap();
    bench.build(&[]);
    expect("nothing", &bench.build(&[]), &[OWN; 6]);
    bench.project.write("src/main.py", "print(2)\n");
    let changed = bench.build(&[]);
    let files = Root("files_changed", "proven");
    expect("a file", &changed, &[OWN, OWN, OWN, OWN, files, Follows("parent_missed", 6)]);
    assert!(evidence(&changed, "files_changed").contains("src/main.py: content"));

    // What is there as a file and can't be hashed by then: it leads nowhere.
    bench.replace(
        "COPY src/ src/",
        "COPY src/ src/\nRUN --mount=type=bind,source=src,target=/src ls /src > /list",
    );
    let listed = bench.build(&[]);
    let new = Root("instruction_changed", "proven");
    let from = Follows("parent_missed", 7);
    expect("a mount of it", &listed, &[OWN, OWN, OWN, OWN, OWN, new, from]);
    assert_eq!(planned(&bench.plan(&[]), AMD, "predicted"), ["hit"; 7]);
    bench.share("what can't be hashed");
}
