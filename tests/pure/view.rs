//! The screen as text: builds at moments, in several sizes, behind keys; and no size, moment or key that is too odd.

mod narrow;
mod plan;

mod sheets;

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::scenes;
use crate::scenes::health::{self, Around};
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use layertop::event::{Cancelling, Ended, Event, Line, Stamped, Time, WatchState, Watching};
use layertop::model::Model;
use layertop::report::health::AroundPart;
use layertop::ui::keys::{Key, TABLE};
use layertop::ui::parts::LogSource;
use layertop::ui::theme::Theme;
use layertop::ui::{Effect, Focus, Overlay, ReplayStatus, Scene, UiState};
use layertop::view::Screen;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use ratatui::widgets::Widget;
use rstest::rstest;
use unicode_width::UnicodeWidthStr;

const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];

/// A screen that is looked at in a test.
struct Shown {
    model: Model,
    now: Time,
    ui: UiState,
    area: Rect,
}

impl Shown {
    fn new(events: &[Stamped], share: f64) -> Self {
        let (model, now) = scenes::until(events, share);
        let mut ui = UiState::new(Theme::default());
        ui.sync(&model);
        Self { model, now, ui, area: Rect::new(0, 0, 80, 24) }
    }

    fn screen(&self) -> Screen<'_> {
        Screen::new(&self.model, &self.ui, self.now)
    }

    /// Presses keys: characters as they are, others by name in angle brackets.
    fn press(&mut self, keys: &str) -> Vec<Effect> {
        let mut rest = keys;
        let mut effects = Vec::new();
        while let Some(c) = rest.chars().next() {
            let named = rest.strip_prefix('<').and_then(|name| name.split_once('>'));
            let code = named.and_then(|(name, _)| code(name)).unwrap_or(KeyCode::Char(c));
            rest = named.filter(|_| code != KeyCode::Char(c)).map_or(&rest[c.len_utf8()..], |(_, rest)| rest);
            effects.extend(self.key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
        effects
    }

    fn key(&mut self, key: KeyEvent) -> Option<Effect> {
        let pages = self.screen().pages(self.area);
        self.ui.handle(&Input::Key(key), &self.model, pages)
    }

    fn draw(&self) -> Buffer {
        let mut buffer = Buffer::empty(self.area);
        (&self.screen()).render(self.area, &mut buffer);
        buffer
    }
}

fn code(name: &str) -> Option<KeyCode> {
    Some(match name {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        "left" => KeyCode::Left,
        "backtab" => KeyCode::BackTab,
        _ => return None,
    })
}

/// The characters on the screen; a cell behind a wide one is not there.
fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    each_line(buffer, |line| {
        let line: String = line.iter().map(|(symbol, _)| *symbol).collect();
        let _ = writeln!(out, "{}", line.trim_end());
    });
    out
}

/// The same with the look of each run before it: `⟨bold red⟩✗ failed`, and `⟨⟩` where it is plain again.
fn styled(buffer: &Buffer) -> String {
    let mut out = String::new();
    each_line(buffer, |line| {
        let mut look = String::new();
        let mut marked = String::new();
        for (symbol, own) in line {
            // How a space looks is seen only where it has a background.
            if *own != look && (*symbol != " " || own.contains("on ") || own.contains("reversed")) {
                let _ = write!(marked, "⟨{own}⟩");
                look.clone_from(own);
            }
            marked.push_str(symbol);
        }
        let _ = writeln!(out, "{}", marked.trim_end());
    });
    out
}

fn each_line(buffer: &Buffer, mut then: impl FnMut(&[(&str, String)])) {
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut cells = Vec::new();
        let mut x = buffer.area.left();
        while x < buffer.area.right() {
            let cell = &buffer[(x, y)];
            let mut words = Vec::new();
            for (modifier, word) in [
                (Modifier::BOLD, "bold"),
                (Modifier::DIM, "dim"),
                (Modifier::ITALIC, "italic"),
                (Modifier::UNDERLINED, "underlined"),
                (Modifier::REVERSED, "reversed"),
            ] {
                if cell.modifier.contains(modifier) {
                    words.push(word.to_owned());
                }
            }
            if cell.fg != Color::Reset {
                words.push(cell.fg.to_string().to_lowercase());
            }
            if cell.bg != Color::Reset {
                words.push(format!("on {}", cell.bg.to_string().to_lowercase()));
            }
            cells.push((cell.symbol(), words.join(" ")));
            x += cell.symbol().width().max(1) as u16;
        }
        then(&cells);
    }
}

fn check(name: &str, what: &str) {
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, what); });
}

/// One snapshot with the screen in all sizes.
fn in_all_sizes(name: &str, shown: &mut Shown, keys: &str) {
    let mut out = String::new();
    for (width, height) in SIZES {
        shown.area = Rect::new(0, 0, width, height);
        shown.press(keys);
        let _ = writeln!(out, "{width}x{height}\n{}", &text(&shown.draw()));
    }
    check(name, &out);
}

fn cancelling() -> Vec<Stamped> {
    let mut events = scenes::montage("cancelled");
    let last = events.last().unwrap().at;
    // The user pressed ^C a moment before buildx said so.
    let at = events.iter().rposition(|event| event.at < last).unwrap();
    let asked = Stamped { at: events[at].at, event: Event::Cancelling(Cancelling { count: 1 }) };
    events.insert(at + 1, asked);
    events
}

#[rstest]
#[case::before_the_builder_speaks("start", scenes::montage("first"), 0.0)]
#[case::mid_build("mid_build", scenes::montage("first"), 0.5)]
#[case::pulling("pulling", scenes::recording("base-pull"), 0.5)]
#[case::exporting("exporting", scenes::montage("nochange"), 0.5)]
#[case::end("end", scenes::montage("req"), 1.0)]
#[case::failure("failure", scenes::recording("fail"), 1.0)]
#[case::failure_on_one_platform("failure_on_one_platform", scenes::recording("fail-one-platform"), 1.0)]
#[case::failure_before_any_step("failure_before_any_step", scenes::recording("parse-error"), 1.0)]
#[case::warnings("warnings", scenes::recording("warnings"), 1.0)]
#[case::cache_import_failed("cache_import_failed", scenes::montage("first"), 0.2)]
#[case::registry_down("registry_down", scenes::recording("registry-down"), 1.0)]
#[case::multistage("multistage", scenes::recording("multistage"), 0.6)]
#[case::multistage_end("multistage_end", scenes::recording("multistage"), 1.0)]
#[case::bake("bake", scenes::recording("bake"), 1.0)]
#[case::flood("flood", scenes::recording("flood"), 1.0)]
#[case::cancelled("cancelled", cancelling(), 1.0)]
#[case::lost("lost", scenes::montage("hangup"), 1.0)]
fn a_build_at_a_moment(#[case] name: &str, #[case] events: Vec<Stamped>, #[case] share: f64) {
    in_all_sizes(name, &mut Shown::new(&events, share), "");
}

/// What earlier builds of the example say: all of it ran, a change of the requirements, changes of the code.
const EARLIER: [&str; 4] = ["code", "req", "first", "no-cache"];

/// The same where each step took a tenth of that: what runs is slower than it ever was.
fn slow() -> Vec<Stamped> {
    let mut events = scenes::after("req", &EARLIER);
    for event in &mut events {
        if let Event::Expected(told) = &mut event.event {
            for step in &mut told.steps {
                (step.runs, step.median_us, step.p95_us) = (9, step.median_us / 10, step.p95_us / 10);
            }
        }
    }
    events
}

#[rstest]
#[case::mid_build("mid_build", scenes::after("first", &EARLIER), 0.5)]
#[case::end("end", scenes::after("req", &EARLIER), 1.0)]
#[case::slower_than_usual("slow", slow(), 0.5)]
fn what_earlier_builds_say_is_shown(#[case] name: &str, #[case] events: Vec<Stamped>, #[case] share: f64) {
    in_all_sizes(&format!("estimate_{name}"), &mut Shown::new(&events, share), "");
}

#[rstest]
#[case::mid_build("mid_build", scenes::after("req", &EARLIER), 0.5)]
#[case::end("end", scenes::after("first", &EARLIER), 1.0)]
#[case::pulls("pulls", scenes::montage("cache-pull"), 1.0)]
#[case::stages("stages", scenes::recording("multistage"), 1.0)]
#[case::failure("failure", scenes::recording("fail-one-platform"), 1.0)]
#[case::before_the_builder_speaks("start", scenes::montage("first"), 0.0)]
fn a_build_over_time(#[case] name: &str, #[case] events: Vec<Stamped>, #[case] share: f64) {
    let mut shown = Shown::new(&events, share);
    shown.press("t");
    in_all_sizes(&format!("timeline_{name}"), &mut shown, "");
    let mut small = String::new();
    for (width, height) in [(20, 5), (30, 8), (60, 9)] {
        shown.area = Rect::new(0, 0, width, height);
        let _ = writeln!(small, "{width}x{height}\n{}", &text(&shown.draw()));
    }
    check(&format!("timeline_{name}_small"), &small);
}

/// A key that opens a window does so in another one, too; its own key closes it.
#[test]
fn a_window_is_left_for_another() {
    let mut shown = Shown::new(&scenes::after("req", &EARLIER), 1.0);
    shown.press("w");
    assert!(matches!(shown.ui.overlay, Overlay::Why(_)));
    shown.press("t");
    assert!(matches!(shown.ui.overlay, Overlay::Timeline(_)));
    shown.press("t?w");
    assert!(matches!(shown.ui.overlay, Overlay::Why(_)));
    shown.press("w");
    assert!(matches!(shown.ui.overlay, Overlay::None));
}

#[rstest]
#[case::zoomed("zoomed", "t++")]
#[case::panned("panned", "t++hhh")]
#[case::and_back("back", "t++hhh--")]
#[case::scrolled("scrolled", "t<down><down><pgdn>")]
#[case::closed("closed", "t+t")]
fn keys_of_the_timeline(#[case] name: &str, #[case] keys: &str) {
    let mut shown = Shown::new(&scenes::after("first", &EARLIER), 1.0);
    shown.press(keys);
    check(&format!("timeline_keys_{name}"), &text(&shown.draw()));
}

#[rstest]
#[case::help("help", "first", 0.5, "?")]
#[case::quit_is_asked_for("quit", "first", 0.5, "q")]
#[case::search_while_typing("search", "req", 0.5, "/down")]
#[case::search_with_matches("search_found", "req", 0.5, "/collecting<enter>nn")]
#[case::search_without_a_match("search_nothing", "req", 0.5, "/no such text<enter>")]
#[case::filter_while_typing("filter", "req", 1.0, "fpip")]
#[case::filter_on("filter_on", "req", 1.0, "fpip<enter>")]
#[case::filter_by_state("filter_state", "req", 1.0, "fmiss<enter>")]
#[case::filter_without_a_match("filter_nothing", "req", 1.0, "fxyzzy<enter>")]
#[case::a_step_is_selected("selected", "req", 1.0, "<down><up><up><up><up><left>")]
#[case::a_step_without_output("selected_silent", "req", 1.0, "<home>")]
#[case::the_log_is_scrolled("log_scrolled", "req", 0.5, "<tab><pgup><up>")]
#[case::copied("copied", "req", 0.5, "y")]
#[case::back_to_the_start("esc", "req", 1.0, "<down>fpip<enter>/a<enter><esc><esc><esc>")]
fn keys_change_the_screen(
    #[case] name: &str,
    #[case] recording: &str,
    #[case] share: f64,
    #[case] keys: &str,
) {
    let mut shown = Shown::new(&scenes::montage(recording), share);
    shown.press(keys);
    check(&format!("keys_{name}"), &text(&shown.draw()));
}

#[test]
fn help_and_warnings_fit_every_size() {
    for (name, events, keys) in
        [("help", scenes::montage("first"), "<esc>?"), ("warnings", scenes::recording("warnings"), "<esc>W")]
    {
        in_all_sizes(&format!("overlay_{name}"), &mut Shown::new(&events, 1.0), keys);
    }
}

#[rstest]
#[case::mid_build("mid_build", scenes::montage("first"), 0.5, "")]
#[case::end("end", scenes::montage("code"), 1.0, "<up>")]
#[case::failure("failure", scenes::recording("fail-one-platform"), 1.0, "")]
#[case::cancelled("cancelled", cancelling(), 1.0, "")]
#[case::foreign_colours("foreign", scenes::recording("multistage"), 1.0, "/31m<enter>")]
#[case::search("search", scenes::montage("req"), 0.5, "/collecting<enter>")]
#[case::help("help", scenes::montage("first"), 0.5, "?")]
#[case::timeline("timeline", scenes::after("req", &EARLIER), 0.5, "t")]
#[case::slower_than_usual("slow", slow(), 0.5, "")]
fn looks(
    #[case] name: &str,
    #[case] events: Vec<Stamped>,
    #[case] share: f64,
    #[case] keys: &str,
    #[values(true, false)] color: bool,
) {
    let mut shown = Shown::new(&events, share);
    shown.ui.theme.color = color;
    shown.press(keys);
    let look = styled(&shown.draw());
    if !color {
        for ink in ["red", "green", "yellow", "blue", "cyan", "magenta", "gray", "black", "white"] {
            assert!(!look.lines().any(|line| line.contains(&format!("{ink}⟩"))), "{ink} in\n{look}");
        }
    }
    let how = if color { "colour" } else { "no_colour" };
    check(&format!("look_{name}_{how}"), &look);
}

#[rstest]
#[case::mid_build("mid_build", scenes::montage("first"), 0.5, "")]
#[case::failure("failure", scenes::recording("fail"), 1.0, "")]
#[case::warnings("warnings", scenes::recording("warnings"), 1.0, "")]
#[case::cancelled("cancelled", cancelling(), 1.0, "")]
#[case::help("help", scenes::montage("first"), 0.5, "?")]
#[case::foreign("foreign", scenes::recording("multistage"), 1.0, "")]
#[case::timeline("timeline", scenes::after("req", &EARLIER), 0.5, "t")]
#[case::slower_than_usual("slow", slow(), 0.5, "")]
fn ascii_alone_is_enough(
    #[case] name: &str,
    #[case] events: Vec<Stamped>,
    #[case] share: f64,
    #[case] keys: &str,
) {
    let mut shown = Shown::new(&events, share);
    shown.ui.theme = Theme { color: false, ascii: true };
    shown.press(keys);
    let drawn = text(&shown.draw());
    check(&format!("ascii_{name}"), &drawn);
    assert!(drawn.is_ascii(), "{drawn}");
}

#[test]
fn a_replay_says_how_it_plays() {
    let mut shown = Shown::new(&scenes::montage("code"), 0.5);
    let scene = Some(Scene { number: 2, of: 4, title: "code change" });
    let mut out = String::new();
    for (paused, share) in [(false, 0.5), (true, 0.5), (false, 1.0)] {
        let again = Shown::new(&scenes::montage("code"), share);
        (shown.model, shown.now) = (again.model, again.now);
        shown.ui.replay = Some(ReplayStatus { paused, speed: "8x".to_owned(), scene });
        let drawn = text(&shown.draw());
        let lines: Vec<&str> = drawn.lines().collect();
        let _ = writeln!(out, "{}\n{}", lines[..3].join("\n"), lines[lines.len() - 1]);
    }
    check("replay", &out);
}

/// A build at a moment, with what has been said of what is around it until then.
fn around(name: &str, share: f64, last: impl FnOnce(&mut Around)) -> Shown {
    let mut shown = Shown::new(&scenes::montage(name), share);
    shown.model.apply_all(&health::history(shown.now, last));
    shown
}

#[test]
fn what_is_around_a_build_stands_beside_it() {
    for (name, scene) in health::SCENES {
        in_all_sizes(&format!("panes_{name}"), &mut around("req", 0.5, scene), "");
    }
}

#[rstest]
#[case::registry("well", "2")]
#[case::registry("cluster_ill", "2")]
#[case::nodes("well", "3")]
#[case::nodes("cluster_ill", "3")]
#[case::nodes("huge", "3")]
#[case::builder("well", "4")]
#[case::builder("builder_oom", "4")]
#[case::builder("one_node_dead", "4")]
fn a_pane_in_full_says_everything(#[case] name: &str, #[case] key: &str) {
    let mut shown = around("req", 0.5, health::scene(name));
    shown.area = Rect::new(0, 0, 120, 60);
    shown.press(&format!("{key}<enter>"));
    check(&format!("full_{key}_{name}"), &text(&shown.draw()));
}

#[test]
fn long_lists_scroll_to_their_end_and_back() {
    for (key, last) in [("2", "pr-7001"), ("3", "worker-499"), ("4", "RUN make 19999")] {
        let mut shown = around("req", 0.5, health::scene("huge"));
        shown.area = Rect::new(0, 0, 120, 40);
        shown.press(&format!("{key}<enter>"));
        let begin = text(&shown.draw());
        assert!(!begin.contains(last), "{begin}");
        shown.press("<end>");
        let end = text(&shown.draw());
        // What can't be seen of a cluster stands behind its nodes.
        shown.press("<pgup>");
        assert!(end.contains(last) || text(&shown.draw()).contains(last), "{end}");
        shown.press("<home>");
        assert_eq!(text(&shown.draw()), begin);
    }
}

#[test]
fn numbers_and_tab_move_the_focus_and_escape_closes() {
    use AroundPart::{Builder, Nodes, Registry};
    let mut shown = around("req", 0.5, |_| {});
    let parts = [Registry, Nodes, Builder].map(Focus::Part);
    for (key, focus) in ["1", "2", "3", "4"].into_iter().zip([Focus::Stack].into_iter().chain(parts)) {
        shown.press(key);
        assert_eq!(shown.ui.focus, focus, "{key}");
    }
    shown.press("1");
    for focus in [Focus::Log].into_iter().chain(parts).chain([Focus::Stack]) {
        shown.press("<tab>");
        assert_eq!(shown.ui.focus, focus);
    }
    shown.press("<backtab>");
    assert_eq!(shown.ui.focus, Focus::Part(Builder));
    shown.press("<enter>");
    assert!(shown.ui.parts.open && shown.ui.holds());
    shown.press("2");
    assert!(shown.ui.parts.open, "from pane to pane it stays full");
    shown.press("<esc>");
    assert!(!shown.ui.parts.open);
    assert_eq!(shown.ui.focus, Focus::Part(Registry), "the focus stays");
    shown.press("<enter>1");
    assert!(!shown.ui.parts.open && shown.ui.focus == Focus::Stack);
}

#[test]
fn a_recording_without_what_was_around_has_no_panes() {
    let mut shown = Shown::new(&scenes::montage("req"), 0.5);
    for key in ["2", "3", "4"] {
        shown.press(key);
        assert_eq!(shown.ui.focus, Focus::Stack);
        let drawn = text(&shown.draw());
        assert!(drawn.contains("it is not watched") && !drawn.contains("Registry"), "{drawn}");
    }
    assert_eq!(shown.press("l"), []);
    assert!(text(&shown.draw()).contains("no builder's container is known here"));
}

#[test]
fn a_part_that_is_not_configured_says_what_to_add() {
    let watching = Watching { registry: WatchState::NotConfigured, ..Watching::default() };
    let mut shown = Shown::new(&scenes::montage("req"), 0.5);
    shown.model.apply(&Stamped { at: shown.now, event: Event::Watching(watching) });
    in_all_sizes("panes_not_configured", &mut shown, "");
    let all =
        Watching { registry: WatchState::On, cluster: WatchState::On, builder: WatchState::On, ..watching };
    shown.model.apply(&Stamped { at: shown.now, event: Event::Watching(all) });
    in_all_sizes("panes_asking", &mut shown, "");
}

#[test]
fn what_grows_old_is_greyed_and_has_its_age() {
    let mut shown = around("req", 0.5, |_| {});
    shown.area = Rect::new(0, 0, 120, 40);
    shown.now = shown.now.plus(std::time::Duration::from_secs(60));
    let drawn = shown.draw();
    check("panes_stale", &styled(&drawn));
    let drawn = text(&drawn);
    let titles = drawn.lines().find(|line| line.contains("2 Registry")).unwrap();
    assert_eq!(titles.matches("1 min ago").count(), 3, "{titles}");
}

#[test]
fn last_lines_are_asked_for_and_shown() {
    let mut shown = around("req", 0.5, health::scene("cluster_ill"));
    let of = LogSource::Builder("multiarch-builder0".into());
    assert_eq!(shown.press("4l"), [Effect::Logs(of.clone())]);
    assert!(text(&shown.draw()).contains("asking"));
    let lines: Vec<Line> = (0..2_000).map(|n| Line::plain(&format!("level=info line {n}"))).collect();
    shown.ui.logs_received(&LogSource::Builder("another".into()), Ok(Vec::new()));
    assert!(text(&shown.draw()).contains("asking"), "an answer to what was asked before");
    shown.ui.logs_received(&of, Ok(lines));
    let end = text(&shown.draw());
    assert!(end.contains("line 1999") && !end.contains("line 1970"), "{end}");
    shown.press("<home>");
    let begin = text(&shown.draw());
    assert!(begin.contains("line 1000") && !begin.contains("line 999\n"), "a thousand are kept: {begin}");
    shown.press("<end>");
    assert_eq!(text(&shown.draw()), end);
    shown.press("<esc>");

    let pod = LogSource::Pod("montage-ai-registry-6c9f-x7k2p".into());
    assert_eq!(shown.press("2l"), [Effect::Logs(pod.clone())]);
    shown.ui.logs_received(&pod, Err("pods: forbidden".into()));
    check("last_lines_failed", &text(&shown.draw()));
    assert_eq!(shown.press("<esc>3l"), [Effect::Logs(of)]);
    assert_eq!(shown.press("l"), [Effect::Logs(pod)], "the next one");
}

#[rstest]
fn panes_in_ascii(
    #[values("well", "cluster_ill", "registry_down")] name: &str,
    #[values("", "2<enter>", "3<enter>", "4<enter>")] keys: &str,
) {
    let mut shown = around("req", 0.5, health::scene(name));
    shown.ui.theme = Theme { color: false, ascii: true };
    for (width, height) in SIZES {
        shown.area = Rect::new(0, 0, width, height);
        let drawn = {
            shown.press("<esc>1");
            shown.press(keys);
            text(&shown.draw())
        };
        assert!(drawn.is_ascii(), "{drawn}");
        // Whatever has no stand-in of its own became a question mark; only a node that is lost, or a name, has one.
        assert!(!drawn.contains("??"), "{drawn}");
    }
    if keys.is_empty() {
        check(&format!("ascii_panes_{name}"), &text(&shown.draw()));
    }
}

#[rstest]
#[case::well("well")]
#[case::ill("cluster_ill")]
#[case::down("registry_down")]
fn looks_of_panes(#[case] name: &str, #[values(true, false)] color: bool) {
    let mut shown = around("req", 0.5, health::scene(name));
    shown.area = Rect::new(0, 0, 120, 40);
    shown.ui.theme.color = color;
    let look = styled(&shown.draw());
    if !color {
        for ink in ["red⟩", "green⟩", "yellow⟩", "cyan⟩", "gray⟩"] {
            // The log above shows what others wrote in no colour either.
            assert!(!look.contains(ink), "{ink} in\n{look}");
        }
    }
    let how = if color { "colour" } else { "no_colour" };
    check(&format!("look_panes_{name}_{how}"), &look);
}

#[test]
fn panes_stay_where_they_are_while_they_change() {
    let place = |name: &str| {
        let mut shown = around("req", 0.5, health::scene(name));
        shown.area = Rect::new(0, 0, 120, 40);
        let drawn = text(&shown.draw());
        drawn.lines().position(|line| line.contains("2 Registry"))
    };
    let names = ["well", "registry_down", "builder_gone", "one_node_dead", "cluster_ill", "huge"];
    assert_eq!(names.map(place), [place("well"); 6]);
}

#[test]
fn keys_have_their_effects() {
    let mut running = Shown::new(&scenes::montage("req"), 0.5);
    assert_eq!(running.press("q"), [], "asks first");
    assert_eq!(running.press("n"), [], "and takes no for an answer");
    assert_eq!(running.press("qy"), [Effect::Quit]);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(running.key(interrupt), Some(Effect::Cancel));
    let copied = running.press("y");
    let [Effect::Copy(copied)] = copied.as_slice() else { panic!("{copied:?}") };
    assert!(copied.contains("Collecting moviepy==2.1.2\n"), "{copied}");

    let mut ended = Shown::new(&scenes::montage("req"), 1.0);
    assert_eq!(ended.press("q"), [Effect::Quit], "nothing to ask");
    assert_eq!(ended.key(interrupt), Some(Effect::Quit));
}

#[test]
fn a_screen_drawn_twice_is_the_same() {
    let shown = Shown::new(&scenes::montage("req"), 0.5);
    assert_eq!(shown.draw(), shown.draw());
}

/// What is drawn anywhere, at any time, in any size.
static EVENTS: LazyLock<Vec<Vec<Stamped>>> = LazyLock::new(|| {
    let names = std::fs::read_dir(scenes::project("tests/recordings")).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let mut all: Vec<Vec<Stamped>> =
        names.iter().filter_map(|name| name.strip_suffix(".jsonl")).map(scenes::recording).collect();
    all.extend(["first", "req", "cancelled"].map(scenes::montage));
    all.push(scenes::after("req", &EARLIER));
    all.push(slow());
    // A build among what was said of what is around it.
    for (_, scene) in health::SCENES {
        let build = scenes::montage("req");
        let (_, now) = scenes::until(&build, 0.5);
        let mut events: Vec<Stamped> = build.into_iter().chain(health::history(now, scene)).collect();
        events.sort_by_key(|event| event.at);
        all.push(events);
    }
    all
});

#[derive(Debug, Clone)]
enum Step {
    Key(KeyEvent),
    Paste(String),
    Resize(u16, u16),
    On(usize),
    Draw,
}

fn step() -> impl Strategy<Value = Step> {
    let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
    let table: Vec<KeyEvent> = TABLE
        .iter()
        .flat_map(|binding| binding.keys)
        .map(|key| match *key {
            Key::Plain(code) => plain(code),
            Key::Ctrl(c) => KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL),
        })
        .collect();
    prop_oneof![
        8 => select(table).prop_map(Step::Key),
        1 => any::<char>().prop_map(move |c| Step::Key(plain(KeyCode::Char(c)))),
        1 => select(vec![KeyCode::Backspace, KeyCode::Delete, KeyCode::Enter, KeyCode::Esc]).prop_map(move |code| Step::Key(plain(code))),
        1 => "\\PC{0,12}".prop_map(Step::Paste),
        1 => (1u16..=250, 1u16..=80).prop_map(|(width, height)| Step::Resize(width, height)),
        2 => (1usize..400).prop_map(Step::On),
        4 => Just(Step::Draw),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_size_moment_or_key_is_too_odd(
        build: Index,
        moment: Index,
        size in (1u16..=250, 1u16..=80),
        look in any::<(bool, bool, bool)>(),
        steps in vec(step(), 0..30),
    ) {
        let events = build.get::<Vec<Stamped>>(&EVENTS);
        let mut known = moment.index(events.len() + 1);
        let mut shown = Shown::new(&[], 0.0);
        shown.model.apply_all(&events[..known]);
        shown.now = shown.model.newest();
        shown.area = Rect::new(0, 0, size.0, size.1);
        shown.ui.theme = Theme { color: look.0, ascii: look.1 };
        if look.2 {
            shown.ui.replay = Some(ReplayStatus { speed: "max".to_owned(), ..ReplayStatus::default() });
        }
        shown.ui.sync(&shown.model);
        fits(&shown)?;
        for step in steps {
            match step {
                Step::Key(key) => {
                    let effect = shown.key(key);
                    sheets::answer(&mut shown, effect);
                }
                Step::Paste(text) => {
                    let pages = shown.screen().pages(shown.area);
                    drop(shown.ui.handle(&Input::Paste(text), &shown.model, pages));
                }
                Step::Resize(width, height) => shown.area = Rect::new(0, 0, width, height),
                Step::On(n) => {
                    let next = (known + n).min(events.len());
                    shown.model.apply_all(&events[known..next]);
                    known = next;
                    shown.now = shown.model.newest();
                    shown.ui.sync(&shown.model);
                }
                Step::Draw => fits(&shown)?,
            }
        }
        fits(&shown)?;
    }

    #[test]
    fn small_screens_are_drawn_too(build: Index, share in 0.0..=1.0, width in 1u16..60, height in 1u16..16, keys in "[?W/fq]{0,2}") {
        let mut shown = Shown::new(build.get::<Vec<Stamped>>(&EVENTS), share);
        shown.area = Rect::new(0, 0, width, height);
        shown.press(&keys);
        fits(&shown)?;
    }

    #[test]
    fn a_screen_stays_in_its_place(build: Index, share in 0.0..=1.0, x in 0u16..30, y in 0u16..30) {
        let shown = Shown::new(build.get::<Vec<Stamped>>(&EVENTS), share);
        let area = Rect::new(x, y, 90, 30);
        let around = Rect::new(0, 0, 130, 70);
        let mut buffer = Buffer::filled(around, ratatui::buffer::Cell::new("~"));
        (&shown.screen()).render(area, &mut buffer);
        for place in around.positions().filter(|place| !area.contains(*place)) {
            prop_assert_eq!(buffer[place].symbol(), "~", "at {:?}", place);
        }
    }
}

/// Draws, and looks for what has no place on a screen.
fn fits(shown: &Shown) -> Result<(), TestCaseError> {
    let buffer = shown.draw();
    for y in 0..shown.area.height {
        for x in 0..shown.area.width {
            let symbol = buffer[(x, y)].symbol();
            prop_assert!(!symbol.chars().any(char::is_control), "{:?} at {},{}", symbol, x, y);
            prop_assert!(
                x + symbol.width() as u16 <= shown.area.width,
                "{:?} sticks out at {},{}",
                symbol,
                x,
                y
            );
        }
    }
    Ok(())
}

/// An end without anything before it, and nothing at all: both are shown.
#[test]
fn nothing_at_all_is_shown_too() {
    let ended = Stamped { at: Time::from_micros(1), event: Event::Ended(Ended::with(Some(1))) };
    let mut out = String::new();
    for events in [vec![], vec![ended]] {
        let _ = writeln!(out, "{}", text(&Shown::new(&events, 1.0).draw()));
    }
    check("nothing", &out);
}
