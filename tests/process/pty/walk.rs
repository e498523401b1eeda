//! Walking the panes, and giving the terminal every size that it can have.

use crate::support::bytes::{ENTER, assert_own, copied, find};
use crate::support::recording;
use crate::support::terminal::{Finished, Setup, Size, Terminal, fits, frames, last_full_frame};

const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const RIGHT: &str = "\x1b[C";
const PAGE_UP: &str = "\x1b[5~";
const PAGE_DOWN: &str = "\x1b[6~";
const REDRAW: &str = "\x0c";

/// A recording at its end, in a screen.
fn at_its_end(name: &str, size: Size) -> Terminal {
    let terminal = Setup::layertop(&["replay", &recording(name), "--speed", "max"]).size(size).start();
    terminal.wait_for("■ end");
    terminal
}

fn quit(mut terminal: Terminal) -> Finished {
    terminal.keys("q");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(0));
    finished.assert_given_back();
    finished
}

#[test]
fn every_pane_is_walked() {
    let mut terminal = at_its_end("first.jsonl", (100, 24));
    terminal.wait_for("─ Summary");
    terminal.keys("g");
    terminal.wait_for("selected · F follow");
    terminal.keys(&DOWN.repeat(4));
    terminal.wait_for("Log · amd64 · RUN echo \"conda create");
    terminal.keys(RIGHT);
    terminal.wait_for("Log · arm64 · RUN echo \"conda create");

    // From here on the keys are the log's.
    terminal.keys("\rg");
    let screen = terminal.wait_for(" 1–");
    assert!(screen.contains("Solving environment"), "{screen}");
    terminal.keys("G");
    terminal.wait_for("selected · F follow");
    terminal.keys(&PAGE_UP.repeat(9));
    terminal.wait_for(" 1–");
    terminal.keys("/Executing");
    terminal.wait_for("find: Executing");
    terminal.keys("\r");
    terminal.wait_for("? help");
    terminal.wait_for("/Executing");
    terminal.keys("nN/no such text\r");
    terminal.wait_for("/no such text: not found");
    terminal.keys("\x1b");
    terminal.wait_gone("/no such text");

    terminal.keys("fpip");
    terminal.wait_for("only layers with: pip");
    terminal.keys("\r");
    let screen = terminal.wait_for("only \"pip\"");
    assert!(screen.contains("COPY requirements.txt") && !screen.contains("COPY pyproject.toml"), "{screen}");
    terminal.keys("W");
    terminal.wait_for("no warnings");
    terminal.keys("\x1b");
    terminal.wait_gone("no warnings");
    terminal.keys("?");
    terminal.wait_for("╭ Keys");
    terminal.keys(&PAGE_DOWN.repeat(2));
    terminal.wait_for("suspend; the build goes on");
    terminal.keys("?");
    terminal.wait_gone("╭ Keys");

    // Back to the stack, to the filtered list's first row.
    terminal.keys(&format!("\tg{UP}"));
    terminal.wait_for("Log · pip · arm64 · COPY requirements.txt");
    terminal.keys(&format!("{DOWN}y"));
    terminal.wait_for("copied: the step and");
    terminal.wait("the clipboard", |seen| {
        copied(&seen.raw).pop().filter(|text| text.contains("Collecting scenedetect"))
    });
    terminal.keys("\x1b");
    terminal.wait_gone("selected");
    terminal.keys("\x1b");
    terminal.wait_gone("only \"pip\"");
    let finished = quit(terminal);
    assert_own(&finished.raw, true);
    let copies = copied(&finished.raw);
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert!(copies[0].starts_with("RUN echo \"pip install -r requirements.txt\""), "{}", copies[0]);
    // The summary stays, on the screen that was there before.
    assert!(finished.text.starts_with("● built in 19.4 s · 20 of 22 rebuilt"), "{}", finished.text);
    assert!(finished.text.contains("no cache there yet"), "{}", finished.text);
}

#[test]
fn warnings_are_shown_whole() {
    let mut terminal = at_its_end("warnings.jsonl", (80, 24));
    terminal.wait_for("▲ StageNameCasing");
    terminal.keys("W");
    terminal.wait_for("MaintainerDeprecated");
    terminal.keys(PAGE_DOWN);
    terminal.wait_for("rule/json-args-recommended/");
    terminal.keys("q");
    terminal.wait_gone("╭ Warnings");
    assert_own(&quit(terminal).raw, false);
}

#[test]
fn a_pasted_text_is_text() {
    let mut terminal = at_its_end("first.jsonl", (100, 30));
    terminal.keys("/");
    terminal.wait_for("find:");
    terminal.keys("\x1b[200~pi\u{202e}\x1b]0;evil\x07\u{9b}p\nsecond line\x1b[201~");
    terminal.wait_for("find: pi");
    terminal.keys("\r");
    terminal.wait_for("not found");
    assert_own(&quit(terminal).raw, false);
}

#[test]
fn the_demo_plays_its_builds_in_turn() {
    let mut terminal = Setup::layertop(&["demo"]).start();
    terminal.wait_for("1/4 first build");
    terminal.wait_for("◐ running");
    terminal.keys("]");
    terminal.wait_for("2/4 a file in src/ changed");
    terminal.keys("]]");
    terminal.wait_for("4/4 nothing changed");
    terminal.keys("[");
    terminal.wait_for("3/4 requirements.txt changed");
    terminal.keys(" ");
    terminal.wait_for("‖ paused");
    terminal.keys(" ");
    terminal.wait_gone("‖ paused");
    terminal.keys("++;;;;;;;;;;;;");
    terminal.wait_for("■ end");
    assert_own(&quit(terminal).raw, false);
}

#[test]
fn the_demo_goes_on_by_itself() {
    let terminal = Setup::layertop(&["demo", "--speed", "max"]).start();
    terminal.wait_for("1/4 first build");
    terminal.wait_for("2/4 a file in src/ changed");
    assert_own(&quit(terminal).raw, false);
}

/// The screen after the terminal got another size: a whole frame that was drawn for it, as rows.
fn resized(terminal: &mut Terminal, to: Size) -> Vec<String> {
    let from = terminal.look(|seen| seen.raw.len());
    terminal.resize(to);
    terminal.keys(REDRAW);
    terminal.wait(&format!("a frame of {}×{}", to.0, to.1), |seen| {
        let rows = fits(last_full_frame(&seen.raw[from..])?, to)?;
        let has_footer = to.0 < 40 || to.1 < 10 || rows.last()?.starts_with(" ? help");
        (has_footer && rows[0].trim() != "").then_some(rows)
    })
}

#[test]
fn every_frame_fits_its_terminal() {
    const SIZES: [Size; 20] = [
        (200, 60),
        (160, 50),
        (120, 40),
        (100, 30),
        (80, 24),
        (60, 16),
        (60, 15),
        (40, 10),
        (39, 10),
        (40, 9),
        (20, 5),
        (10, 3),
        (1, 1),
        (3, 1),
        (1, 5),
        (250, 80),
        (20, 5),
        (80, 24),
        (120, 40),
        (200, 60),
    ];
    let mut terminal = Setup::layertop(&["demo", "--speed", "0.5x"]).size(SIZES[0]).start();
    terminal.wait_for("◐ running");
    let mut before = SIZES[0];
    for size in SIZES {
        let from = terminal.look(|seen| seen.raw.len());
        let rows = resized(&mut terminal, size);
        // Another frame may still have been on its way when the size changed.
        let larger = (size.0.max(before.0), size.1.max(before.1));
        terminal.look(|seen| {
            for frame in frames(&seen.raw[from..]) {
                assert!(fits(frame, larger).is_some(), "{size:?}: {}", frame.escape_ascii());
            }
        });
        match size {
            (40.., 10..) => {
                let title = ["first build", "montage-ai"].iter().any(|title| rows[0].contains(title));
                assert!(title, "{size:?}: {rows:#?}");
                assert!(rows.iter().any(|row| row.contains("─ Stack")), "{size:?}: {rows:#?}");
                assert!(rows.iter().any(|row| row.contains("─ Log")), "{size:?}: {rows:#?}");
            }
            (20.., _) => assert!(rows[0].starts_with("◐ running ") && rows[0].contains('/'), "{rows:#?}"),
            _ => assert!(rows[0].starts_with('◐'), "{rows:#?}"),
        }
        before = size;
    }
    let last = resized(&mut terminal, before).join("\n");
    for text in ["linux/amd64", "linux/arm64", "miniconda", "Real-ESRGAN"] {
        assert!(last.contains(text), "no {text} in\n{last}");
    }
    assert_own(&quit(terminal).raw, false);
}

/// A serial line and a container's first moments have no size at all.
#[test]
fn no_size_at_all_is_survived() {
    let terminal =
        Setup::layertop(&["replay", &recording("first.jsonl"), "--speed", "max"]).size((0, 0)).start();
    terminal.wait("the screen", |seen| find(&seen.raw, ENTER));
    terminal.resize((80, 24));
    terminal.wait_for("built in 19.4 s");
    terminal.resize((0, 0));
    terminal.resize((80, 24));
    assert_own(&quit(terminal).raw, false);
}
