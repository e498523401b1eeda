//! What is not written: nothing where nothing changes, no colour, no byte beyond ASCII, no escape byte, as asked.

use std::process::Command;
use std::time::Duration;

use crate::support::bytes::{Piece, assert_own, pieces, sets_colour};
use crate::support::terminal::{Finished, Setup, Terminal};
use crate::support::{LAYERTOP, recording};

fn shown(setup: Setup, last: &str) -> Terminal {
    let terminal = setup.start();
    terminal.wait_for(last);
    terminal
}

fn replay(name: &str, more: &[&str]) -> Setup {
    let path = recording(name);
    Setup::layertop(&[&["replay", &path, "--speed", "max"], more].concat())
}

fn quit(mut terminal: Terminal) -> Finished {
    terminal.keys("q");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(0));
    finished.assert_given_back();
    assert_own(&finished.raw, false);
    finished
}

#[test]
fn an_idle_screen_writes_nothing() {
    for name in ["first.jsonl", "fail.jsonl", "hangup.jsonl"] {
        let mut terminal = shown(replay(name, &[]), "■ end");
        // The last frame may come in several pieces; behind it there is nothing.
        terminal.keys("?");
        terminal.wait_for("╭ Keys");
        while !terminal.is_silent(Duration::from_millis(200)) {}
        assert!(terminal.is_silent(Duration::from_millis(1500)), "{name}");
        terminal.keys("?");
        terminal.wait_gone("╭ Keys");
        quit(terminal);
    }
    // A pause is quiet too.
    let mut terminal = shown(Setup::layertop(&["replay", &recording("first.jsonl")]), "▶ 1x");
    terminal.keys(" ");
    terminal.wait_for("‖ paused");
    while !terminal.is_silent(Duration::from_millis(200)) {}
    assert!(terminal.is_silent(Duration::from_millis(1500)), "paused");
    quit(terminal);
}

fn colours(raw: &[u8]) -> usize {
    pieces(raw).iter().filter(|(_, piece)| sets_colour(piece)).count()
}

#[test]
fn colours_are_there_only_where_they_are_wanted() {
    let walked = |setup: Setup| {
        let mut terminal = shown(setup, "■ end");
        terminal.keys("gGW");
        terminal.wait_for("╭ Warnings");
        terminal.keys("q");
        terminal.wait_gone("╭ Warnings");
        quit(terminal).raw
    };
    // In this recording steps print colours of their own.
    assert!(colours(&walked(replay("multistage.jsonl", &[]))) > 0);
    assert!(colours(&walked(replay("multistage.jsonl", &["--color", "always"]).env("NO_COLOR", "1"))) > 0);
    let without = [
        replay("multistage.jsonl", &[]).env("NO_COLOR", "1"),
        replay("multistage.jsonl", &[]).env("CLICOLOR", "0"),
        replay("multistage.jsonl", &["--color", "never"]),
    ];
    for setup in without {
        let raw = walked(setup);
        let found: Vec<Piece<'_>> =
            pieces(&raw).into_iter().map(|(_, piece)| piece).filter(sets_colour).collect();
        assert_eq!(found, []);
    }
}

#[test]
fn ascii_is_ascii() {
    let setups = [
        replay("first.jsonl", &["--ascii"]),
        replay("warnings.jsonl", &["--ascii"]),
        replay("fail.jsonl", &["--ascii"]),
        replay("first.jsonl", &[]).env("LANG", "C"),
    ];
    for setup in setups {
        let mut terminal = shown(setup.size((100, 24)), "# end");
        terminal.keys("g\x1b[B\x1b[B\rgW");
        terminal.wait_for("+ Warnings");
        terminal.keys("\x1b");
        terminal.wait_gone("+ Warnings");
        terminal.keys("?");
        terminal.wait_for("+ Keys");
        terminal.keys("?/x");
        terminal.wait_for("find: x");
        terminal.keys("\rfR\r");
        terminal.wait_for("only \"R\"");
        let raw = quit(terminal).raw;
        let text: Vec<u8> = raw.iter().copied().filter(|byte| !byte.is_ascii()).collect();
        assert_eq!(String::from_utf8_lossy(&text), "");
    }
}

#[test]
fn a_terminal_that_can_do_nothing_gets_plain_lines() {
    for setup in [
        replay("multistage.jsonl", &[]).env("TERM", "dumb"),
        replay("multistage.jsonl", &["--progress", "plain"]).env("NO_COLOR", "1"),
        replay("multistage.jsonl", &["--progress", "json"]),
    ] {
        let finished = setup.start().finish();
        assert_eq!(finished.exit_code(), Some(0));
        assert!(!finished.raw.contains(&0x1b), "{}", String::from_utf8_lossy(&finished.raw));
        assert!(finished.raw.len() > 1000);
    }
}

#[test]
fn a_pipe_gets_plain_lines() {
    let out = Command::new(LAYERTOP)
        .args(["replay", &recording("multistage.jsonl"), "--speed", "max"])
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(!text.contains('\x1b') && text.contains("● built in 4.1 s"), "{text}");
    assert_eq!((out.status.code(), out.stderr.as_slice()), (Some(0), &b""[..]));
}
