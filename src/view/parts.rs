//! The panes of what is around a build: the registry, the nodes, the builder.
//!
//! Side by side where there is room for all three, as tabs where there is room for one, a line each where there is hardly
//! any. Their heights follow from the screen's size alone, so that nothing moves while they change.

mod builder;
mod gauge;
mod nodes;
mod pane_lines;
mod registry;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::{Screen, text};
use crate::event::Time;
use crate::model::Model;
use crate::report::health::{AroundPart, PartHealth};
use crate::report::styled::StyledLine;
use crate::report::words::{self, Role};
use crate::ui::theme::Theme;
use crate::ui::{Focus, parts};
use pane_lines::PaneLines;

/// How the panes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartsForm {
    /// Nothing is known, and nothing is looked at: no room is taken.
    None,
    /// All in one line.
    Brief,
    /// A line each.
    Lines,
    /// One pane, with the others as tabs on its title.
    Tabs,
    /// Side by side.
    Side,
}

impl PartsForm {
    /// The form that a screen of this size has room for.
    pub(super) fn of(screen: &Screen<'_>, area: Rect) -> Self {
        match area {
            _ if parts::shown(screen.model).is_empty() => Self::None,
            Rect { height: ..16, .. } => Self::Brief,
            Rect { height: ..30, .. } => Self::Lines,
            Rect { width: ..120, .. } => Self::Tabs,
            _ => Self::Side,
        }
    }

    /// Lines that it takes of a screen of this height.
    pub(super) fn height(self, screen: &Screen<'_>, area: Rect) -> u16 {
        match self {
            Self::None => 0,
            Self::Brief => 1,
            Self::Lines => parts::shown(screen.model).len() as u16,
            Self::Tabs | Self::Side => (area.height / 5).clamp(6, 14),
        }
    }
}

/// What a pane says is made of.
#[derive(Clone, Copy)]
struct PaneContext<'a> {
    model: &'a Model,
    now: Time,
    /// Columns that there are.
    width: usize,
    ascii: bool,
    /// Whether everything is to be said.
    full: bool,
}

/// The part whose pane stands where the log was: the focused one, where the others have a line each only.
pub(super) fn instead_of_log(screen: &Screen<'_>, form: PartsForm) -> Option<AroundPart> {
    match screen.ui.focus {
        Focus::Part(part) if matches!(form, PartsForm::Brief | PartsForm::Lines) => Some(part),
        _ => None,
    }
}

pub(super) fn render(screen: &Screen<'_>, form: PartsForm, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let shown = parts::shown(screen.model);
    match form {
        PartsForm::None => {}
        PartsForm::Brief => brief(screen, area, buf),
        PartsForm::Lines => {
            for (part, line) in shown.iter().zip(0..area.height) {
                one_line(screen, *part, Rect { y: area.y + line, height: 1, ..area }, buf);
            }
        }
        PartsForm::Tabs => tabs(screen, shown_tab(screen, &shown), area, buf),
        PartsForm::Side => {
            for (part, column) in shown.iter().zip(columns(shown.len(), area).iter()) {
                pane(screen, *part, *column, buf);
            }
        }
    }
}

fn shown_tab(screen: &Screen<'_>, shown: &[AroundPart]) -> AroundPart {
    let tab = screen.ui.parts.tab;
    if shown.contains(&tab) { tab } else { shown.first().copied().unwrap_or(tab) }
}

/// All parts in one line; of those that are well the shape is enough, and where it is narrow of all.
pub(super) fn brief(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let ascii = screen.ui.theme.ascii;
    let room = usize::from(area.width.saturating_sub(2));
    let shown = parts::shown(screen.model).into_iter();
    let healths: Vec<PartHealth> = shown.map(|part| PartHealth::of(part, screen.model, screen.now)).collect();
    let line = |words: bool| {
        let mut line = StyledLine::new();
        for health in &healths {
            line.push(if line.width() > 0 { "  " } else { "" }, Role::Plain);
            line.push(format!("{} {}", health.sign.shape(ascii), health.part.name()), health.sign.role);
            if words && health.grade.is_fault() {
                line.push(format!(" {}", health.sign.word), health.sign.role);
            }
        }
        line
    };
    let long = line(true);
    draw(screen.ui.theme, &if long.width() <= room { long } else { line(false) }, area, buf);
}

fn one_line(screen: &Screen<'_>, part: AroundPart, area: Rect, buf: &mut Buffer) {
    let theme = screen.ui.theme;
    let line = PartHealth::of(part, screen.model, screen.now).line(theme.ascii);
    let key = StyledLine::new().with(format!("{} ", number(part)), Role::Dim);
    let line = line.pieces().fold(key, |line, (text, role)| line.with(text, role));
    draw(theme, &line, area, buf);
    if screen.ui.focus == Focus::Part(part) {
        buf.set_style(Rect { x: area.x + 1, width: 1, ..area }, theme.cursor());
    }
}

fn draw(theme: Theme, line: &StyledLine, area: Rect, buf: &mut Buffer) {
    let place = Rect { x: area.x + 1, width: area.width.saturating_sub(2), height: 1, ..area };
    pane_lines::draw_line(theme, line, place, buf);
}

/// The key that leads to a pane.
fn number(part: AroundPart) -> char {
    match part {
        AroundPart::Registry => '2',
        AroundPart::Nodes => '3',
        AroundPart::Builder => '4',
    }
}

fn name(part: AroundPart) -> &'static str {
    match part {
        AroundPart::Registry => "Registry",
        AroundPart::Nodes => "Nodes",
        AroundPart::Builder => "Builder",
    }
}

/// `2 Registry ● ok`.
fn heading(theme: Theme, health: &PartHealth, style: Style) -> Vec<Span<'static>> {
    vec![
        Span::styled(format!("{} ", number(health.part)), theme.style(Role::Dim)),
        Span::styled(name(health.part), style),
        Span::styled(
            format!(" {} {}", health.sign.shape(theme.ascii), health.sign.word),
            theme.style(health.sign.role),
        ),
    ]
}

fn body<'a>(screen: &Screen<'a>, part: AroundPart, area: Rect, full: bool) -> PaneLines<'a> {
    let width = usize::from(area.width.saturating_sub(2));
    let place =
        PaneContext { model: screen.model, now: screen.now, width, ascii: screen.ui.theme.ascii, full };
    let health = PartHealth::of(part, screen.model, screen.now);
    let lines = match part {
        AroundPart::Registry => registry::lines(&place, &health),
        AroundPart::Nodes => nodes::lines(&place, &health),
        AroundPart::Builder => builder::lines(&place, &health),
    };
    let mut lines = lines.unwrap_or_else(|| default_lines(&place, &health));
    lines.old = health.stale;
    lines
}

/// What is to be said of a part that nothing is known of.
fn default_lines<'a>(place: &PaneContext<'a>, health: &PartHealth) -> PaneLines<'a> {
    let mut lines = PaneLines::default();
    for (fact, role) in &health.facts {
        lines.wrapped(fact, *role, place.width, usize::MAX);
    }
    lines.head_ends();
    lines
}

/// What stands at the right end of a title: that what is shown is old, how much more there is.
fn note(screen: &Screen<'_>, health: &PartHealth, hidden: usize, room: usize) -> String {
    let mut notes = Vec::new();
    if let Some(age) = health.age.filter(|_| health.stale) {
        notes.push(gauge::ago(age));
    }
    if hidden > 0 {
        let key = if screen.ui.focus == Focus::Part(health.part) { " · Enter" } else { "" };
        notes.push(format!("+{hidden}{key}"));
    }
    while words::width(&notes.join(" · ")) > room && notes.pop().is_some() {}
    notes.join(" · ")
}

fn pane(screen: &Screen<'_>, part: AroundPart, area: Rect, buf: &mut Buffer) {
    let theme = screen.ui.theme;
    let focused = screen.ui.focus == Focus::Part(part);
    let health = PartHealth::of(part, screen.model, screen.now);
    let style = theme.style(if focused { Role::Strong } else { Role::Plain });
    let left = Line::from(heading(theme, &health, style));
    content(screen, part, &health, left, area, buf);
}

/// A pane with the others on its title.
pub(super) fn tabs(screen: &Screen<'_>, part: AroundPart, area: Rect, buf: &mut Buffer) {
    let theme = screen.ui.theme;
    let mut spans = Vec::new();
    for other in parts::shown(screen.model) {
        let health = PartHealth::of(other, screen.model, screen.now);
        let active = theme.style(Role::Strong).add_modifier(Modifier::UNDERLINED);
        let style = if other == part { active } else { theme.style(Role::Dim) };
        if !spans.is_empty() {
            spans.push(Span::raw("   "));
        }
        spans.extend(heading(theme, &health, style));
    }
    let health = PartHealth::of(part, screen.model, screen.now);
    content(screen, part, &health, Line::from(spans), area, buf);
}

fn content(
    screen: &Screen<'_>,
    part: AroundPart,
    health: &PartHealth,
    title: Line<'_>,
    area: Rect,
    buf: &mut Buffer,
) {
    if area.height == 0 {
        return;
    }
    let focused = screen.ui.focus == Focus::Part(part);
    let lines = body(screen, part, area, false);
    let height = usize::from(area.height - 1);
    let top = if focused { screen.ui.parts.first(lines.len(), height) } else { 0 };
    let hidden = lines.len().saturating_sub(top + height);
    let room = usize::from(area.width).saturating_sub(title.width() + 8);
    let note = note(screen, health, hidden, room);
    text::title(screen.ui.theme, focused, title, &note, area, buf);
    lines.draw(screen.ui.theme, top, inner(area), buf);
}

/// The place below a title.
fn inner(area: Rect) -> Rect {
    Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(1),
    }
}

/// The focused pane with everything, where the others were.
pub(super) fn full(screen: &Screen<'_>, part: AroundPart, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let theme = screen.ui.theme;
    let health = PartHealth::of(part, screen.model, screen.now);
    let lines = body(screen, part, area, true);
    let height = usize::from(area.height - 1);
    let top = screen.ui.parts.first(lines.len(), height);
    let mut notes = Vec::new();
    if let Some(age) = health.age.filter(|_| health.stale) {
        notes.push(gauge::ago(age));
    }
    if lines.len() > height {
        let last = (top + height).min(lines.len());
        notes.push(format!("{}–{last} of {}", top + 1, lines.len()));
    }
    notes.push("Esc closes".to_owned());
    let left = Line::from(heading(theme, &health, theme.style(Role::Strong)));
    text::title(theme, true, left, &notes.join(" · "), area, buf);
    lines.draw(theme, top, inner(area), buf);
}

/// Where the focused pane is among all of them.
pub(super) fn place(screen: &Screen<'_>, form: PartsForm, area: Rect) -> Rect {
    let shown = parts::shown(screen.model);
    let Focus::Part(part) = screen.ui.focus else { return area };
    match shown.iter().position(|known| *known == part) {
        Some(at) if form == PartsForm::Side => columns(shown.len(), area).get(at).copied().unwrap_or(area),
        _ => area,
    }
}

fn columns(count: usize, area: Rect) -> std::rc::Rc<[Rect]> {
    Layout::horizontal((0..count).map(|_| Constraint::Fill(1))).spacing(1).split(area)
}

/// How many lines of the focused part's pane are shown in `area`, and how many there are.
pub(super) fn page(screen: &Screen<'_>, area: Rect, full: bool) -> (usize, usize) {
    let Focus::Part(part) = screen.ui.focus else { return (0, 0) };
    (usize::from(area.height.saturating_sub(1)), body(screen, part, area, full).len())
}
