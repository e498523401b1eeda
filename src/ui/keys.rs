//! The key table. It drives the handlers, the footer's hints and the help, so that they cannot disagree.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::Focus;
use crate::report::health::AroundPart;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Leave; asks while a build runs.
    Quit,
    /// Cancel the build, harder each time.
    Interrupt,
    /// Close what is open, or give up what is held.
    Back,
    /// Show or hide the keys.
    Help,
    NextPane,
    PreviousPane,
    /// A pane by its number.
    Pane(Focus),
    /// One line up, or down.
    Up,
    Down,
    /// The column to the left.
    Left,
    /// The column to the right.
    Right,
    PageUp,
    PageDown,
    First,
    /// The end; in the log, follow it again.
    Last,
    /// The selected step's log; the focused part in full.
    Open,
    /// The last words of a part.
    Logs,
    /// Follow the running step again.
    Follow,
    /// Look for text in the log.
    Search,
    /// The next place where the text is.
    NextMatch,
    PreviousMatch,
    /// Show just the layers that have this text.
    Filter,
    /// Say why the selected step, or the build, was not cached.
    Why,
    /// Show all build check warnings.
    Warnings,
    /// Show or hide the build over time.
    Timeline,
    /// Show or hide the build beside an earlier one.
    Compare,
    /// An older build to compare with.
    Older,
    /// A newer build to compare with.
    Newer,
    /// Show or hide how long layers ran from build to build.
    Trends,
    /// See less of the time, and more closely.
    ZoomIn,
    /// See more of the time.
    ZoomOut,
    /// See all of the time.
    ZoomAll,
    /// Copy the selected step or log.
    Copy,
    Redraw,
    /// Stop the program and give the terminal to the shell.
    Suspend,
    /// Pause the replay, or go on.
    PauseReplay,
    /// The next event of a paused replay.
    StepReplay,
    /// Five seconds back.
    SeekBack,
    /// Five seconds on.
    SeekOn,
    /// Twice as slow.
    Slower,
    /// Twice as fast.
    Faster,
    NextScene,
    PreviousScene,
    /// The last build instead of the plan, or the other way round.
    Turn,
}

/// Where a binding holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Always,
    /// While a recording plays.
    Replay,
    /// While several recordings play in turn.
    Scenes,
    Dashboard,
    /// While the screen is filled by this; there its keys go before all others.
    On(SheetKind),
}

/// What may fill the screen between header and footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SheetKind {
    /// The build over time.
    Timeline,
    /// Two builds side by side.
    Compare,
    /// How long layers ran from build to build.
    Trends,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Keys that mean the same; the first is the one that is shown.
    pub keys: &'static [Key],
    /// How they are written in the help.
    pub label: &'static str,
    pub action: Action,
    /// Where they do it.
    pub scope: Scope,
    /// One or two words for the footer; none where it is not hinted at.
    pub hint: Option<&'static str>,
    /// What it does, in a sentence's length, for the help.
    pub help: &'static str,
}

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A key as it is; shift is part of a character.
    Plain(KeyCode),
    /// With the control key.
    Ctrl(char),
}

impl Key {
    fn is(self, event: &KeyEvent) -> bool {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        match self {
            Self::Plain(code) => !control && !alt && event.code == code,
            Self::Ctrl(c) => control && event.code == KeyCode::Char(c),
        }
    }
}

const fn c(c: char) -> Key {
    Key::Plain(KeyCode::Char(c))
}

const fn k(code: KeyCode) -> Key {
    Key::Plain(code)
}

const fn row(
    keys: &'static [Key],
    label: &'static str,
    action: Action,
    scope: Scope,
    hint: Option<&'static str>,
    help: &'static str,
) -> Binding {
    Binding { keys, label, action, scope, hint, help }
}

/// The table. The footer shows its hints in this order, as many as fit.
pub const TABLE: &[Binding] = &[
    row(&[c('?'), k(KeyCode::F(1))], "?", Action::Help, Scope::Always, Some("help"), "these keys"),
    row(&[c('q')], "q", Action::Quit, Scope::Always, Some("quit"), "quit; asks while a build runs"),
    row(&[c(' ')], "Space", Action::PauseReplay, Scope::Replay, Some("pause"), "pause the replay, or go on"),
    row(&[c(']')], "]", Action::NextScene, Scope::Scenes, Some("next build"), "the next recorded build"),
    row(&[c('[')], "[", Action::PreviousScene, Scope::Scenes, None, "the recorded build before"),
    row(&[k(KeyCode::Tab)], "Tab", Action::NextPane, Scope::Always, Some("pane"), "the next pane"),
    row(&[k(KeyCode::BackTab)], "Shift-Tab", Action::PreviousPane, Scope::Always, None, "the pane before"),
    row(&[c('1')], "1", Action::Pane(Focus::Stack), Scope::Always, None, "the stack"),
    row(
        &[c('2')],
        "2",
        Action::Pane(Focus::Part(AroundPart::Registry)),
        Scope::Always,
        None,
        "the registry; the log is behind Tab",
    ),
    row(&[c('3')], "3", Action::Pane(Focus::Part(AroundPart::Nodes)), Scope::Always, None, "the nodes"),
    row(&[c('4')], "4", Action::Pane(Focus::Part(AroundPart::Builder)), Scope::Always, None, "the builder"),
    row(
        &[c('h'), k(KeyCode::Left)],
        "h ←",
        Action::Older,
        Scope::On(SheetKind::Compare),
        Some("older"),
        "compare with an older build",
    ),
    row(
        &[c('l'), k(KeyCode::Right)],
        "l →",
        Action::Newer,
        Scope::On(SheetKind::Compare),
        Some("newer"),
        "compare with a newer build",
    ),
    row(&[k(KeyCode::Up), c('k')], "↑ k", Action::Up, Scope::Always, Some("step"), "one step or line up"),
    row(&[k(KeyCode::Down), c('j')], "↓ j", Action::Down, Scope::Always, None, "one step or line down"),
    row(&[k(KeyCode::Left)], "←", Action::Left, Scope::Always, None, "the platform or pane to the left"),
    row(&[k(KeyCode::Right)], "→", Action::Right, Scope::Always, None, "the platform or pane to the right"),
    row(&[k(KeyCode::PageUp), Key::Ctrl('b')], "PgUp", Action::PageUp, Scope::Always, None, "one page up"),
    row(
        &[k(KeyCode::PageDown), Key::Ctrl('f')],
        "PgDn",
        Action::PageDown,
        Scope::Always,
        None,
        "one page down",
    ),
    row(&[k(KeyCode::Home), c('g')], "Home g", Action::First, Scope::Always, None, "the beginning"),
    row(
        &[k(KeyCode::End), c('G')],
        "End G",
        Action::Last,
        Scope::Always,
        None,
        "the end; the log is followed again",
    ),
    row(
        &[k(KeyCode::Enter)],
        "Enter",
        Action::Open,
        Scope::Always,
        Some("in full"),
        "the log of the selected step; a pane in full",
    ),
    row(
        &[c('l')],
        "l",
        Action::Logs,
        Scope::Always,
        Some("last lines"),
        "last lines of the builder, or a registry's pod",
    ),
    row(&[c('/')], "/", Action::Search, Scope::Always, Some("find"), "find text in the log"),
    row(&[c('n')], "n", Action::NextMatch, Scope::Always, None, "the next match"),
    row(&[c('N')], "N", Action::PreviousMatch, Scope::Always, None, "the match before"),
    row(
        &[c('f')],
        "f",
        Action::Filter,
        Scope::Always,
        Some("filter"),
        "show just the layers that hold a text",
    ),
    row(
        &[c('F')],
        "F",
        Action::Follow,
        Scope::Always,
        Some("follow"),
        "let go of the selection, follow what runs",
    ),
    row(
        &[c('b')],
        "b",
        Action::Turn,
        Scope::Dashboard,
        Some("last build"),
        "the last build instead of the plan, or back",
    ),
    row(&[c('w')], "w", Action::Why, Scope::Always, None, "why the selected step, or the build, missed"),
    row(
        &[c('W')],
        "W",
        Action::Warnings,
        Scope::Always,
        Some("warnings"),
        "all warnings of the build checks",
    ),
    row(
        &[c('t')],
        "t",
        Action::Timeline,
        Scope::Always,
        Some("timeline"),
        "the build over time, and what held it up",
    ),
    row(
        &[c('c')],
        "c",
        Action::Compare,
        Scope::Always,
        Some("compare"),
        "the build beside the one before it",
    ),
    row(
        &[c('T')],
        "T",
        Action::Trends,
        Scope::Always,
        Some("trends"),
        "how long layers ran from build to build",
    ),
    row(&[c('+'), c('=')], "+", Action::ZoomIn, Scope::On(SheetKind::Timeline), Some("zoom + -"), "closer"),
    row(&[c('-')], "-", Action::ZoomOut, Scope::On(SheetKind::Timeline), None, "from further away"),
    row(&[c('0')], "0", Action::ZoomAll, Scope::On(SheetKind::Timeline), Some("all"), "all of the build"),
    row(
        &[c('h'), k(KeyCode::Left)],
        "h ←",
        Action::Left,
        Scope::On(SheetKind::Timeline),
        Some("pan h l"),
        "what was before",
    ),
    row(
        &[c('l'), k(KeyCode::Right)],
        "l →",
        Action::Right,
        Scope::On(SheetKind::Timeline),
        None,
        "what came after",
    ),
    row(&[c('y')], "y", Action::Copy, Scope::Always, Some("copy"), "copy the selected step and its log"),
    row(&[c('.')], ".", Action::StepReplay, Scope::Replay, None, "one event on, while paused"),
    row(&[c(',')], ",", Action::SeekBack, Scope::Replay, None, "five seconds back"),
    row(&[c(';')], ";", Action::SeekOn, Scope::Replay, Some("seek , ;"), "five seconds on"),
    row(&[c('-')], "-", Action::Slower, Scope::Replay, None, "half the speed"),
    row(&[c('+'), c('=')], "+", Action::Faster, Scope::Replay, Some("speed + -"), "twice the speed"),
    row(&[k(KeyCode::Esc)], "Esc", Action::Back, Scope::Always, Some("close"), "close, clear, let go"),
    row(
        &[Key::Ctrl('c')],
        "^C",
        Action::Interrupt,
        Scope::Always,
        None,
        "cancel the build; again: press; again: kill",
    ),
    row(&[Key::Ctrl('l')], "^L", Action::Redraw, Scope::Always, None, "draw everything again"),
    row(&[Key::Ctrl('z')], "^Z", Action::Suspend, Scope::Always, None, "suspend; the build goes on"),
];

/// What is looked at; some keys are of use there only.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyContext {
    /// A recording that plays.
    pub replay: bool,
    /// One of several.
    pub scenes: bool,
    pub dashboard: bool,
    /// What fills the screen, if anything does.
    pub sheet: Option<SheetKind>,
}

/// The bindings that hold there.
pub fn active(place: KeyContext) -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(move |binding| match binding.scope {
        _ if binding.is_covered(place.sheet) => false,
        Scope::On(sheet) => place.sheet == Some(sheet),
        Scope::Always => true,
        Scope::Replay => place.replay,
        Scope::Scenes => place.scenes,
        Scope::Dashboard => place.dashboard,
    })
}

/// What a key asks for, where it asks for anything.
pub fn action(event: &KeyEvent, place: KeyContext) -> Option<Action> {
    active(place).find(|binding| binding.keys.iter().any(|key| key.is(event))).map(|binding| binding.action)
}

impl Binding {
    /// Whether what fills the screen has another use for its keys.
    fn is_covered(&self, sheet: Option<SheetKind>) -> bool {
        let Some(sheet) = sheet else { return false };
        let own = TABLE.iter().filter(|binding| binding.scope == Scope::On(sheet));
        self.scope != Scope::On(sheet)
            && own.flat_map(|binding| binding.keys).any(|key| self.keys.contains(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        for sheet in [None, Some(SheetKind::Timeline), Some(SheetKind::Compare), Some(SheetKind::Trends)] {
            let place = KeyContext { replay: true, scenes: true, dashboard: true, sheet };
            let keys: Vec<Key> = active(place).flat_map(|binding| binding.keys).copied().collect();
            assert!(keys.len() > 20);
            for (i, key) in keys.iter().enumerate() {
                assert!(!keys[i + 1..].contains(key), "{key:?}");
            }
        }
    }

    #[test]
    fn replay_keys_hold_in_a_replay_only() {
        let space = KeyEvent::new(KeyCode::Char(' '), KeyModifiers::NONE);
        assert_eq!(action(&space, KeyContext::default()), None);
        let replay = KeyContext { replay: true, ..KeyContext::default() };
        assert_eq!(action(&space, replay), Some(Action::PauseReplay));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(&interrupt, KeyContext::default()), Some(Action::Interrupt));
    }
}
