//! What the user is looking at: focus, selection, overlay. A key and a model in, a new state and effects out.

pub mod keys;
pub mod log;
pub mod parts;
pub mod rows;
pub mod sheet;
pub mod theme;
pub mod timeline;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyEventKind};
use tui_input::backend::crossterm::EventHandler as _;

use crate::event::{Line, Platform, Text};
use crate::model::{Model, Outcome, StepId, VertexId, VertexKind};
use crate::report::health::AroundPart;
use crate::report::words;
use keys::{Action, SheetKind};
use log::LogView;
use parts::{LogSource, PartLogs, PartsView};
use rows::RowId;
use sheet::{BaselineQuery, CompareView, TrendsView};
use theme::Theme;
use timeline::TimelineView;

/// The panes that take keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Focus {
    /// The stack of layers.
    #[default]
    Stack,
    /// The output of a step.
    Log,
    /// What is around the build.
    Part(AroundPart),
}

/// What lies over the panes.
#[derive(Debug, Default)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The keys, scrolled down by so many lines.
    Help(usize),
    /// Why the selected step, or the build, was not cached, scrolled down by so many lines.
    Why(usize),
    /// All warnings, scrolled down by so many lines.
    Warnings(usize),
    /// The build over time.
    Timeline(TimelineView),
    /// The build beside an earlier one.
    Compare(Box<CompareView>),
    /// How long layers ran from build to build.
    Trends(TrendsView),
    /// The last words of a part.
    Logs(PartLogs),
    /// "A build is running: quit?"
    Quit,
    /// The text to look for in the log, as it is typed.
    Search(tui_input::Input),
    /// The text that layers must hold, as it is typed.
    Filter(tui_input::Input),
}

/// What has to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Quit,
    /// Cancel the build, harder than before.
    Cancel,
    /// Put this on the clipboard.
    Copy(String),
    /// Give the terminal to the shell.
    Suspend,
    Redraw,
    Replay(Action),
    /// Show the last build instead of the plan, or the other way round.
    Turn,
    /// Ask for the last words of a part, and hand them to [`UiState::logs_received`].
    Logs(LogSource),
    /// Look up an earlier build, and hand it to [`UiState::compared`].
    Compare(BaselineQuery),
    /// Look up how long the layers of an image ran on a builder, and hand it to [`UiState::trends_received`].
    Trends {
        /// The image; its tag does not matter.
        image: Option<Text>,
        /// The builder; none: each of them.
        builder: Option<Text>,
    },
}

/// Where a replay stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReplayStatus {
    /// Whether it is paused.
    pub paused: bool,
    /// Its speed as it is written: `8x`, `max`.
    pub speed: String,
    /// Which of several recordings.
    pub scene: Option<Scene>,
}

/// One of several recordings that play in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scene {
    /// Which, from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
    /// What it shows, in a word or three.
    pub title: &'static str,
}

/// How many lines the panes show; a page is that long.
#[derive(Debug, Clone, Copy, Default)]
pub struct PaneHeights {
    /// Rows of the stack.
    pub stack: usize,
    /// Lines of the log.
    pub log: usize,
    /// Lines of the focused part's pane.
    pub part: usize,
    /// How many lines that pane has in all.
    pub part_all: usize,
    /// Lines of what fills the screen: lanes of the timeline, of a sheet.
    pub lanes: usize,
    /// How many lines it has in all.
    pub lanes_all: usize,
    /// The first that is shown.
    pub lanes_first: usize,
    /// The first line of a window over the panes that can be its topmost: its end is seen then.
    pub window_last: usize,
}

/// What the user is looking at.
#[derive(Debug, Default)]
pub struct UiState {
    /// The pane that takes the keys.
    pub focus: Focus,
    /// What lies over the panes.
    pub overlay: Overlay,
    /// The selected row; none: the screen follows the build.
    pub cursor: Option<RowId>,
    /// The selected platform's column.
    pub column: usize,
    /// Just the layers that hold this text are shown.
    pub filter: String,
    pub log: LogView,
    /// The panes of what is around the build.
    pub parts: PartsView,
    /// Where the replay stands, in a replay.
    pub replay: Option<ReplayStatus>,
    /// Whether this is the dashboard: nothing is built, and the model is the last build, or none.
    pub dashboard: bool,
    pub theme: Theme,
    /// What was just done, until the next key.
    pub message: Option<String>,
    /// The step that is followed; it stays until it ends, so that the log does not flicker between platforms.
    followed: Option<VertexId>,
}

impl UiState {
    /// A fresh one that looks like this.
    pub fn new(theme: Theme) -> Self {
        Self { theme, ..Self::default() }
    }

    /// Everything that belonged to one build is let go of; what is shown next is another one.
    pub fn reset(&mut self) {
        let (theme, replay) = (self.theme, self.replay.take());
        *self = Self { replay, theme, ..Self::default() };
    }

    /// Whether the user holds on to something that must not vanish by itself.
    pub fn holds(&self) -> bool {
        let looking = self.cursor.is_some() || self.log.top.is_some() || self.parts.open;
        looking || !matches!(self.overlay, Overlay::None)
    }

    /// Follows the build. Call it when the model has changed.
    pub fn sync(&mut self, model: &Model) {
        let runs = |id: VertexId| {
            model.vertex(id).is_some_and(|v| matches!(v.phase(), crate::model::Phase::Running(_)))
        };
        if model.outcome() != Outcome::Running || !self.followed.is_some_and(runs) {
            self.followed = model.followed();
        }
        // The stack is built anew when names come, and a place in it may be no more.
        self.cursor = self.cursor.filter(|id| rows::row(model, *id).is_some());
    }

    /// The last words of a part have come. Who has looked elsewhere meanwhile is not called back.
    pub fn logs_received(&mut self, of: &LogSource, answer: Result<Vec<Line>, Text>) {
        if let Overlay::Logs(logs) = &mut self.overlay
            && logs.of == *of
        {
            logs.received(answer);
        }
    }

    /// The step that is selected.
    pub fn selected(&self, model: &Model) -> Option<StepId> {
        let row = rows::row(model, self.cursor?)?;
        let platforms = model.platforms();
        let platform = platforms.get(self.column).or_else(|| platforms.first())?;
        model.stack().cell(row, platform.as_ref())
    }

    /// The vertex whose log is shown.
    pub fn shown(&self, model: &Model) -> Option<VertexId> {
        match self.selected(model) {
            Some(step) => model
                .stack()
                .step(step)?
                .vertices
                .iter()
                .copied()
                .max_by_key(|id| model.vertex(*id).map_or(0, |vertex| vertex.log.total())),
            None => self.followed,
        }
    }

    /// Takes an input event.
    pub fn handle(&mut self, input: &Input, model: &Model, pages: PaneHeights) -> Option<Effect> {
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => {
                self.message = None;
                self.key(key, input, model, pages)
            }
            Input::Paste(text) => {
                if let Overlay::Search(line) | Overlay::Filter(line) = &mut self.overlay {
                    let typed = format!("{}{}", line.value(), text.lines().next().unwrap_or_default());
                    *line = tui_input::Input::new(clean(&typed));
                    self.typed(model, pages);
                }
                None
            }
            _ => None,
        }
    }

    /// What is looked at, as far as keys are concerned.
    pub fn place(&self) -> keys::KeyContext {
        let scenes = self.replay.as_ref().is_some_and(|replay| replay.scene.is_some());
        let sheet = match self.overlay {
            Overlay::Timeline(_) => Some(SheetKind::Timeline),
            Overlay::Compare(_) => Some(SheetKind::Compare),
            Overlay::Trends(_) => Some(SheetKind::Trends),
            _ => None,
        };
        keys::KeyContext { replay: self.replay.is_some(), scenes, dashboard: self.dashboard, sheet }
    }

    fn key(&mut self, key: &KeyEvent, input: &Input, model: &Model, pages: PaneHeights) -> Option<Effect> {
        let action = keys::action(key, self.place());
        if matches!(action, Some(Action::Interrupt | Action::Suspend)) {
            return self.act(action?, model, pages);
        }
        match &mut self.overlay {
            Overlay::Search(line) | Overlay::Filter(line) => {
                match key.code {
                    KeyCode::Enter => self.overlay = Overlay::None,
                    KeyCode::Esc => {
                        *line = tui_input::Input::default();
                        self.typed(model, pages);
                        self.overlay = Overlay::None;
                    }
                    _ => {
                        line.handle_event(input);
                        let clean = clean(line.value());
                        if clean != line.value() {
                            *line = tui_input::Input::new(clean);
                        }
                        self.typed(model, pages);
                    }
                }
                None
            }
            Overlay::Quit => {
                self.overlay = Overlay::None;
                matches!(key.code, KeyCode::Char('y' | 'Y' | 'q') | KeyCode::Enter).then_some(Effect::Quit)
            }
            Overlay::Help(top) | Overlay::Warnings(top) | Overlay::Why(top) => {
                let action = action?;
                match scrolled(action, *top, pages.window_last) {
                    Some(moved) => *top = moved,
                    None => return self.leave(action, model, pages),
                }
                None
            }
            Overlay::Logs(logs) => match action {
                Some(Action::Logs) => {
                    let of = parts::log_sources(model, self.focus);
                    let at = of.iter().position(|of| *of == logs.of).map_or(0, |at| at + 1);
                    let next = of.get(at).or(of.first())?.clone();
                    Some(self.ask(next))
                }
                Some(
                    action @ (Action::Up
                    | Action::Down
                    | Action::PageUp
                    | Action::PageDown
                    | Action::First
                    | Action::Last),
                ) => {
                    logs.travel(action, pages.log.max(10));
                    None
                }
                Some(_) => {
                    self.overlay = Overlay::None;
                    None
                }
                None => None,
            },
            Overlay::Timeline(view) => {
                let all = model.wall(model.newest());
                let ended = model.ended().is_some();
                let pages_of = (pages.lanes_first, pages.lanes_all, pages.lanes);
                match action? {
                    Action::Timeline | Action::Back => self.overlay = Overlay::None,
                    action if view.act(action, all, ended, pages_of) => {}
                    action => return self.act(action, model, pages),
                }
                None
            }
            Overlay::Compare(_) | Overlay::Trends(_) => self.sheet_key(action?, model, pages),
            Overlay::None => self.act(action?, model, pages),
        }
    }

    fn ask(&mut self, of: LogSource) -> Effect {
        self.overlay = Overlay::Logs(PartLogs::pending(of.clone()));
        Effect::Logs(of)
    }

    /// Another pane takes the keys.
    fn look(&mut self, focus: Focus, model: &Model) {
        match focus {
            Focus::Part(part) if !parts::is_shown(model, part) => {
                self.message =
                    Some(format!("nothing is known of the {} here: it is not watched", part.name()));
                return;
            }
            Focus::Part(part) => self.parts.tab = part,
            Focus::Stack | Focus::Log => self.parts.open = false,
        }
        if self.focus != focus {
            self.parts.top = 0;
        }
        self.focus = focus;
    }

    /// What is typed is about another pane than the one of a part.
    fn leave_parts(&mut self, focus: Focus, model: &Model) {
        if matches!(self.focus, Focus::Part(_)) {
            self.look(focus, model);
        }
    }

    fn logs(&mut self, model: &Model) -> Option<Effect> {
        if let Some(first) = parts::log_sources(model, self.focus).into_iter().next() {
            return Some(self.ask(first));
        }
        let why = if self.focus == Focus::Part(AroundPart::Registry) {
            "no pod of the registry is known: name it under [kubernetes] registry in layertop.toml"
        } else {
            "no builder's container is known here"
        };
        self.message = Some(why.to_owned());
        None
    }

    /// Leaves a window by a key: what opens another one does.
    fn leave(&mut self, action: Action, model: &Model, pages: PaneHeights) -> Option<Effect> {
        let own = match std::mem::replace(&mut self.overlay, Overlay::None) {
            Overlay::Help(_) => Action::Help,
            Overlay::Warnings(_) => Action::Warnings,
            _ => Action::Why,
        };
        let opens = matches!(
            action,
            Action::Help
                | Action::Why
                | Action::Warnings
                | Action::Timeline
                | Action::Compare
                | Action::Trends
        );
        if opens && action != own { self.act(action, model, pages) } else { None }
    }

    /// What is typed holds at once.
    fn typed(&mut self, model: &Model, pages: PaneHeights) {
        match &self.overlay {
            Overlay::Search(line) => {
                let wanted = line.value().to_owned();
                let log = self.shown(model).and_then(|id| model.vertex(id)).map(|vertex| &vertex.log);
                self.log.search(&wanted, log, pages.log);
            }
            Overlay::Filter(line) => {
                self.filter = line.value().to_owned();
                self.cursor = None;
            }
            _ => {}
        }
    }

    fn act(&mut self, action: Action, model: &Model, pages: PaneHeights) -> Option<Effect> {
        let running = model.outcome() == Outcome::Running && self.replay.is_none() && !self.dashboard;
        match action {
            Action::Quit if running => self.overlay = Overlay::Quit,
            Action::Interrupt if running => return Some(Effect::Cancel),
            Action::Quit | Action::Interrupt => return Some(Effect::Quit),
            Action::Suspend => return Some(Effect::Suspend),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Help => self.overlay = Overlay::Help(0),
            Action::Why => self.overlay = Overlay::Why(0),
            Action::Warnings => self.overlay = Overlay::Warnings(0),
            Action::Timeline => self.overlay = Overlay::Timeline(TimelineView::default()),
            Action::Search => {
                self.overlay = Overlay::Search(tui_input::Input::default());
                self.leave_parts(Focus::Log, model);
            }
            Action::Filter => {
                self.overlay = Overlay::Filter(tui_input::Input::new(self.filter.clone()));
                self.leave_parts(Focus::Stack, model);
            }
            Action::NextPane => self.look(parts::next(model, self.focus, false), model),
            Action::PreviousPane => self.look(parts::next(model, self.focus, true), model),
            Action::Pane(focus) => self.look(focus, model),
            Action::Open => match self.focus {
                Focus::Part(_) => (self.parts.open, self.parts.top) = (!self.parts.open, 0),
                Focus::Stack | Focus::Log => self.look(Focus::Log, model),
            },
            Action::Logs => return self.logs(model),
            Action::Turn => return Some(Effect::Turn),
            Action::Follow => self.follow(),
            Action::Back => self.back(),
            Action::Copy => return self.copy(model),
            Action::Compare => return self.compare(model),
            Action::Trends => return Some(self.trends(model)),
            // They are the timeline's own, and the comparison's.
            Action::ZoomIn | Action::ZoomOut | Action::ZoomAll | Action::Older | Action::Newer => {}
            Action::NextMatch | Action::PreviousMatch => {
                let log = self.shown(model).and_then(|id| model.vertex(id)).map(|vertex| &vertex.log);
                self.log.next_match(log, action == Action::NextMatch, pages.log);
            }
            Action::PauseReplay
            | Action::StepReplay
            | Action::SeekBack
            | Action::SeekOn
            | Action::Slower
            | Action::Faster
            | Action::NextScene
            | Action::PreviousScene => return Some(Effect::Replay(action)),
            Action::Up
            | Action::Down
            | Action::Left
            | Action::Right
            | Action::PageUp
            | Action::PageDown
            | Action::First
            | Action::Last => self.travel(action, model, pages),
        }
        None
    }

    fn follow(&mut self) {
        self.cursor = None;
        self.log.top = None;
    }

    /// Escape lets go of one thing at a time: the pane that fills the screen, the search, the place in the log, the selection, the filter.
    fn back(&mut self) {
        if self.parts.open {
            (self.parts.open, self.parts.top) = (false, 0);
        } else if !self.log.wanted.is_empty() {
            self.log.wanted.clear();
        } else if self.log.top.is_some() || self.cursor.is_some() {
            self.follow();
        } else {
            self.filter.clear();
        }
    }

    fn travel(&mut self, action: Action, model: &Model, pages: PaneHeights) {
        let columns = model.platforms().len();
        match (action, self.focus) {
            (Action::Left | Action::Right, Focus::Part(part)) => {
                let shown = parts::shown(model);
                let at = shown.iter().position(|known| *known == part).unwrap_or(0);
                let step = if action == Action::Left { shown.len().saturating_sub(1) } else { 1 };
                if let Some(next) = shown.get((at + step) % shown.len().max(1)) {
                    self.look(Focus::Part(*next), model);
                }
            }
            (_, Focus::Part(_)) => self.parts.travel(action, pages.part_all, pages.part),
            (Action::Left | Action::Right, _) => {
                let step = if action == Action::Left { columns.saturating_sub(1) } else { 1 };
                self.cursor = self.cursor.or_else(|| self.start(model));
                self.column = (self.column + step) % columns.max(1);
                self.log.top = None;
            }
            (_, Focus::Stack) => {
                let page = pages.stack.max(1);
                let before = self.cursor;
                self.cursor = match (before, action) {
                    // The first press selects what is being looked at, and moves nothing.
                    (None, Action::Up | Action::Down) => self.start(model),
                    _ => rows::travel(model, &self.filter, before, action, page),
                };
                if self.cursor != before {
                    self.log.top = None;
                }
            }
            (_, Focus::Log) => {
                let log = self.shown(model).and_then(|id| model.vertex(id)).map(|vertex| &vertex.log);
                self.log.travel(action, log, pages.log);
            }
        }
    }

    /// Where a selection begins: at the step that is followed.
    fn start(&mut self, model: &Model) -> Option<RowId> {
        let step = self.followed.and_then(|id| model.step_of(id));
        if let Some(platform) = step.and_then(|id| model.stack().step(id)).map(|step| model.platform_of(step))
        {
            self.column = model.platforms().iter().position(|known| *known == platform).unwrap_or(0);
        }
        step.and_then(|id| rows::find(model, id))
            .or_else(|| rows::visible(model, &self.filter).first().copied())
    }

    fn copy(&mut self, model: &Model) -> Option<Effect> {
        let id = self.shown(model)?;
        let vertex = model.vertex(id)?;
        let lines: Vec<&str> = vertex.log.iter().map(|line| line.line.text()).collect();
        self.message = Some(format!("copied: the step and {} lines of its log", lines.len()));
        let title = match &vertex.kind {
            VertexKind::Step(step) => step.instruction.clone(),
            _ => vertex.name.clone(),
        };
        Some(Effect::Copy(format!("{title}\n{}\n", lines.join("\n"))))
    }
}

/// Where a window over the panes begins behind a key; none where that closes it.
fn scrolled(action: Action, top: usize, last: usize) -> Option<usize> {
    let moved = match action {
        Action::Down => top + 1,
        Action::PageDown => top + 10,
        Action::Up => top.saturating_sub(1),
        Action::PageUp => top.saturating_sub(10),
        Action::First => 0,
        Action::Last => last,
        _ => return None,
    };
    Some(moved.min(last))
}

/// What is pasted was often written by others; it is shown as it is looked for.
fn clean(typed: &str) -> String {
    crate::event::Text::clean(typed).to_string()
}

/// How the column of a platform is headed, one of so many.
pub fn heading(platform: Option<&Platform>, columns: usize) -> &str {
    let unnamed = if columns > 1 { words::NO_PLATFORM } else { "state" };
    platform.map_or(unnamed, Platform::as_str)
}
