//! A build beside earlier ones, and how layers ran: out of the program's own recordings, and out of the history.

use crate::support::process::{Project, run};
use crate::support::terminal::Setup;

#[test]
fn the_demos_builds_are_put_beside_each_other() {
    let mut terminal = Setup::layertop(&["demo", "requirements", "--speed", "max"]).size((100, 30)).start();
    terminal.wait_for("■ end");
    terminal.keys("c");
    let screen = terminal.wait_for("earlier build 1 of 2");
    assert!(screen.contains("a file in src/ changed") && screen.contains("12 steps alike"), "{screen}");
    terminal.keys("h");
    let screen = terminal.wait_for("earlier build 2 of 2");
    assert!(screen.contains("first build"), "{screen}");
    terminal.keys("h");
    terminal.wait_for("there is no older build to compare with");
    terminal.keys("T");
    let screen = terminal.wait_for("how long its layers ran");
    assert!(screen.lines().any(|line| line.contains("conda") && line.contains("█")), "{screen}");
    terminal.keys("\x1b");
    terminal.wait_for("─ Stack");
    terminal.keys("q");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(0));
    finished.assert_given_back();
}

/// The history knows two earlier builds, of one of which the recording is gone.
#[test]
fn a_replay_is_put_beside_what_the_history_knows() {
    let project = Project::new();
    let demo = |name: &str| format!("{}/assets/demo/{name}.jsonl.zst", env!("CARGO_MANIFEST_DIR"));
    let gone = project.folder().join("the-first.jsonl.zst");
    std::fs::copy(demo("first"), &gone).unwrap();
    let words = ["history", "import", gone.to_str().unwrap(), &demo("code")];
    assert_eq!(run(&mut project.layertop(&words)).code(), Some(0));
    std::fs::remove_file(gone).unwrap();
    let mut terminal = Setup::layertop(&["replay", &demo("requirements"), "--speed", "max"])
        .env("XDG_DATA_HOME", project.beside("data"))
        .size((100, 30))
        .start();
    terminal.wait_for("■ end");
    terminal.keys("c");
    let screen = terminal.wait_for("earlier build 1 of 2");
    assert!(screen.contains("A ● built") && screen.contains("this build"), "{screen}");
    terminal.keys("h");
    let screen = terminal.wait_for("earlier build 2 of 2");
    assert!(screen.contains("the-first"), "{screen}");
    terminal.keys("T");
    let screen = terminal.wait_for("how long its layers ran");
    assert!(screen.contains("conda"), "{screen}");
    terminal.keys("q");
    assert_eq!(terminal.finish().exit_code(), Some(0));
}
