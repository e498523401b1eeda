//! What fills the screen with lines, of which there may be more than fit: a title, the lines, and where in them one is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::{Screen, compare, text, trends};
use crate::report::styled::StyledLine;
use crate::report::words::{self, Role};
use crate::ui::{Overlay, PaneHeights};

/// What stands on a sheet.
pub(super) struct SheetContent {
    pub(super) title: &'static str,
    /// At the title's right end, where there is room.
    pub(super) note: String,
    pub(super) lines: Vec<StyledLine>,
    /// The first line that is wanted.
    pub(super) top: usize,
}

impl SheetContent {
    /// What is seen while there is nothing to be told, and why.
    pub(super) fn message(title: &'static str, sentence: &str, role: Role, columns: usize) -> Self {
        let mut lines = vec![String::new()];
        for word in sentence.split(' ') {
            let Some(line) = lines.last_mut() else { break };
            if line.is_empty() {
                line.push_str(&words::truncate(word, columns));
            } else if words::width(line) + 1 + words::width(word) <= columns {
                line.push(' ');
                line.push_str(word);
            } else {
                lines.push(words::truncate(word, columns));
            }
        }
        let lines = lines.into_iter().map(|line| StyledLine::new().with(line, role)).collect();
        Self { title, note: String::new(), lines, top: 0 }
    }
}

/// The sheet that is open, for so many columns.
fn content(screen: &Screen<'_>, columns: usize) -> Option<SheetContent> {
    match &screen.ui.overlay {
        Overlay::Compare(view) => Some(compare::content(screen, view, columns)),
        Overlay::Trends(sheet) => Some(trends::content(screen, sheet, columns)),
        _ => None,
    }
}

/// A line for the title, where there is room for more than that.
fn body(area: Rect) -> Rect {
    let title = u16::from(area.height >= 4);
    Rect {
        x: area.x + 1,
        y: area.y + title,
        width: area.width.saturating_sub(2),
        height: area.height - title.min(area.height),
    }
}

/// How many lines are shown and from which on, and how many there are.
pub(super) fn page(screen: &Screen<'_>, area: Rect, pages: PaneHeights) -> PaneHeights {
    let body = body(area);
    let Some(content) = content(screen, body.width.into()) else { return pages };
    let (all, shown) = (content.lines.len(), usize::from(body.height));
    PaneHeights {
        lanes: shown,
        lanes_all: all,
        lanes_first: content.top.min(all.saturating_sub(shown)),
        ..pages
    }
}

pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let body = body(area);
    let Some(content) = content(screen, body.width.into()) else { return };
    Clear.render(area, buf);
    let theme = screen.ui.theme;
    let (all, shown) = (content.lines.len(), usize::from(body.height));
    let top = content.top.min(all.saturating_sub(shown));
    if body.y > area.y {
        let left = Line::from(Span::styled(content.title, theme.style(Role::Strong)));
        let more = all.saturating_sub(top + shown);
        let note = match (more, content.note.as_str()) {
            (0, note) => note.to_owned(),
            (more, "") => format!("{more} more below"),
            (more, note) => format!("{note}, {more} more below"),
        };
        text::title(theme, true, left, &note, Rect { height: 1, ..area }, buf);
    }
    for (line, row) in content.lines.iter().skip(top).zip(body.rows()) {
        let spans = line.pieces().map(|(text, role)| Span::styled(text, theme.style(role)));
        Line::from(spans.collect::<Vec<_>>()).render(row, buf);
    }
}
