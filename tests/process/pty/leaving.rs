//! What stays in the terminal, and what is asked there, where a command has no screen or has left it.

use crate::support::process::{Project, run};
use crate::support::recording;
use crate::support::terminal::Setup;

/// The recorded build does not go on because somebody has stopped looking.
#[test]
fn a_replay_that_is_left_is_not_told_as_a_build_that_runs() {
    let mut terminal = Setup::layertop(&["replay", &recording("first.jsonl")]).start();
    terminal.wait_for("▶ 1x");
    terminal.keys("q");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(0));
    assert!(finished.text.contains("◐ replay left after "), "{}", finished.text);
    assert!(!finished.text.contains("running after"), "{}", finished.text);
}

#[test]
fn the_demo_says_what_to_do_next() {
    let mut terminal = Setup::layertop(&["demo"]).start();
    terminal.wait_for("▶ 1x");
    terminal.keys("q");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(0));
    assert!(finished.text.contains("these builds were recorded"), "{}", finished.text);
    assert!(finished.text.contains("layertop build   build it"), "{}", finished.text);
}

#[test]
fn a_prune_asks_before_it_deletes() {
    let project = Project::new();
    let demo = format!("{}/assets/demo/code.jsonl.zst", env!("CARGO_MANIFEST_DIR"));
    assert_eq!(run(&mut project.layertop(&["history", "import", &demo])).code(), Some(0));
    let prune = |more: &[&str]| {
        let words = [&["history", "prune", "--keep", "0"], more].concat();
        Setup::layertop(&words).env("XDG_DATA_HOME", project.beside("data")).start()
    };
    for (answer, told) in
        [("\n", "nothing was deleted"), ("n\n", "nothing was deleted"), ("y\n", "1 build deleted, ")]
    {
        let mut terminal = prune(&[]);
        let asked = terminal.wait_for("delete them? [y/N]");
        assert!(asked.contains("1 build would be deleted (begun "), "{asked}");
        terminal.keys(answer);
        let finished = terminal.finish();
        assert_eq!(finished.exit_code(), Some(0), "{answer:?}");
        assert!(finished.text.contains(told), "{answer:?}: {}", finished.text);
    }
    for words in [&[][..], &["--yes"], &["--dry-run"]] {
        let finished = prune(words).finish();
        assert!(!finished.text.contains("[y/N]"), "nothing is to be asked: {}", finished.text);
    }
}

#[test]
fn a_terminal_is_no_recording() {
    let finished = Setup::layertop(&["replay", "-"]).start().finish();
    assert_eq!(finished.exit_code(), Some(2));
    assert!(finished.text.contains("standard input is a terminal, not a recording"), "{}", finished.text);
}
