//! The terminal is given back as it was, whatever ends or stops the program.

use layertop::terminal::{Display, restore_on_panic};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use crate::support::bytes::{FRAME, LEAVE, assert_own, find, modes};
use crate::support::group;
use crate::support::terminal::{Setup, Terminal};
use crate::support::{LAYERTOP, recording};

/// A recording in the middle of its build, in a screen.
fn playing() -> Terminal {
    let terminal = Setup::layertop(&["replay", &recording("first.jsonl")]).start();
    terminal.wait_for("▶ 1x");
    terminal
}

#[test]
fn a_signal_ends_it_as_it_ends_any_program() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let terminal = playing();
        terminal.signal(signal);
        let finished = terminal.finish();
        assert_eq!(finished.signal(), Some(signal), "{:?}", finished.status);
        finished.assert_given_back();
        assert_own(&finished.raw, false);
    }
}

#[test]
fn control_c_quits_where_nothing_is_built() {
    let mut terminal = playing();
    terminal.keys("\x03");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(0));
    finished.assert_given_back();
}

#[test]
fn a_terminal_that_vanishes_ends_it() {
    let status = playing().hang_up();
    assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGHUP, _)), "{status:?}");
}

/// Where the panic is; set for the process that is to panic, and not there in the test's own.
const PANICS_IN: &str = "LAYERTOP_TEST_PANICS_IN";

/// What the tests below run in a terminal of its own: this same program again, which takes the terminal and panics.
#[test]
fn a_panic() {
    let Ok(place) = std::env::var(PANICS_IN) else { return };
    restore_on_panic();
    let mut display = Display::take().unwrap();
    let mut draw = |text: &str| {
        let style = ratatui::style::Style::default();
        display.draw(|area, buf| buf.set_string(area.x, area.y, text, style)).unwrap();
    };
    draw("the screen");
    match place.as_str() {
        "thread" => drop(std::thread::spawn(|| panic!("on purpose")).join()),
        _ => panic!("on purpose"),
    }
    // Whoever does not know yet goes on drawing.
    draw("not on the shell's screen");
    assert!(display.is_broken());
    panic!("another one");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    for place in ["main", "thread"] {
        let argv = [std::env::current_exe().unwrap().into_os_string()].into_iter();
        let words = ["--exact", "pty::restore::a_panic", "--nocapture", "--test-threads=1"];
        let finished = Setup::new(argv.chain(words.map(Into::into))).env(PANICS_IN, place).start().finish();
        assert_eq!(finished.exit_code(), Some(101), "{place}");
        finished.assert_given_back();
        let panic = find(&finished.raw, b"on purpose").unwrap();
        let leave = find(&finished.raw, LEAVE).unwrap();
        assert!(leave < panic, "{place}");
        assert!(finished.text.contains("on purpose"), "{place}: {}", finished.text);
        assert_eq!(find(&finished.raw[leave..], FRAME), None, "{place}");
        assert_eq!(finished.text.contains("another one"), place == "thread");
    }
}

/// An interactive shell with a terminal of its own, its prompt on the screen.
fn shell() -> Terminal {
    let words = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
    let terminal = Setup::new(words).env("PS1", "ready> ").start();
    terminal.wait_for("ready>");
    terminal
}

/// Waits until the shell has the terminal again, as it was, and shows its prompt below this.
fn wait_for_prompt(terminal: &Terminal, below: &str) {
    terminal.wait(&format!("a prompt below {below}"), |seen| {
        let text = seen.text();
        let at = text.rfind(below)?;
        text[at..].contains("ready>").then_some(())
    });
    assert!(terminal.is_as_before(), "{:?}", terminal.settings());
    let modes: Vec<(u16, bool)> = terminal.look(|seen| modes(&seen.raw)).into_iter().collect();
    assert_eq!(modes, [(25, true), (1049, false), (2004, false), (2026, false)]);
}

#[test]
fn a_shell_stops_it_and_takes_it_up_again() {
    let replay = format!("{LAYERTOP} replay {} --speed 0.2x", recording("first.jsonl"));
    // Alone, and started by a script, which has to stop with it or the shell never gets the terminal back.
    for line in [replay.clone(), format!("sh -c '{replay}; exit $?'")] {
        let mut terminal = shell();
        terminal.keys(&format!("{line}\n"));
        for _ in 0..2 {
            terminal.wait_for("▶ 0.2x");
            terminal.keys("\x1a");
            wait_for_prompt(&terminal, "Stopped");
            terminal.keys("clear; echo; fg\n");
        }
        terminal.wait_for("▶ 0.2x");
        terminal.keys("q");
        wait_for_prompt(&terminal, "replay left after");
        terminal.keys("echo code=$?\n");
        wait_for_prompt(&terminal, "code=0");
        terminal.keys("exit\n");
        assert_eq!(terminal.finish().exit_code(), Some(0));
    }
}

#[test]
fn a_signal_stops_it_and_in_the_background_it_leaves_the_terminal_alone() {
    let mut terminal = shell();
    terminal.keys(&format!("{LAYERTOP} replay {} --speed 0.2x\n", recording("first.jsonl")));
    terminal.wait_for("▶ 0.2x");
    let pid = group::of_child(u32::try_from(terminal.pid.as_raw()).unwrap());
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGTSTP).unwrap();
    wait_for_prompt(&terminal, "Stopped");
    let written = terminal.look(|seen| seen.raw.len());
    // It would go on, but the terminal is the shell's: the system stops it again.
    let stopped = format!("until grep -q '^State:.T' /proc/{pid}/status; do :; done");
    terminal.keys(&format!("kill -CONT %1; {stopped}; clear; echo it is; jobs\n"));
    wait_for_prompt(&terminal, "it is");
    let meanwhile = terminal.look(|seen| find(&seen.raw[written..], FRAME));
    assert_eq!(meanwhile, None);
    terminal.keys("fg\n");
    terminal.wait_for("▶ 0.2x");
    terminal.keys("q");
    wait_for_prompt(&terminal, "replay left after");
    terminal.keys("exit\n");
    assert_eq!(terminal.finish().exit_code(), Some(0));
}

/// Under `ssh -t`, `docker run` and `tmux new-window COMMAND` nobody could take it up again.
#[test]
fn without_a_shell_it_does_not_stop() {
    let mut terminal = playing();
    terminal.keys("\x1a?");
    terminal.wait_for("╭ Keys");
    terminal.signal(Signal::SIGTSTP);
    terminal.keys("?");
    terminal.wait_gone("╭ Keys");
    terminal.keys("q");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(0));
    finished.assert_given_back();
}

/// Who starts it with `nohup` wants it to outlive the terminal.
#[test]
fn an_ignored_hang_up_stays_ignored() {
    let replay = format!("trap '' HUP; exec {LAYERTOP} replay {}", recording("first.jsonl"));
    let mut terminal = Setup::new(["bash", "-c", &replay]).start();
    terminal.wait_for("▶ 1x");
    terminal.signal(Signal::SIGHUP);
    terminal.keys("?");
    terminal.wait_for("╭ Keys");
    terminal.keys("?q");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(0));
    finished.assert_given_back();
}
