//! What a build came to, where its log was while it ran: the same lines that stay behind in the scrollback.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::{Screen, text};
use crate::report::end;
use crate::report::styled::StyledLine;
use crate::report::words::{self, Role};
use crate::ui::Focus;

pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let theme = screen.ui.theme;
    let focused = screen.ui.focus == Focus::Log;
    let style = theme.style(if focused { Role::Strong } else { Role::Plain });
    text::title(theme, focused, Line::from(Span::styled("Summary", style)), "", area, buf);
    let columns = usize::from(area.width.saturating_sub(2));
    let lines = end::lines(screen.model, screen.now, None, columns, theme.ascii);
    let height = usize::from(area.height - 1);
    // What is missing says so: platforms that are shown have to add up.
    let shown = if lines.len() > height { height.saturating_sub(1) } else { lines.len() };
    let more = (shown < lines.len()).then(|| {
        StyledLine::new().with(
            format!("{} {}", words::ellipsis(theme.ascii), words::count(lines.len() - shown, "more line")),
            Role::Dim,
        )
    });
    for (i, line) in lines.iter().take(shown).chain(&more).take(height).enumerate() {
        let row = Rect { x: area.x + 1, y: area.y + 1 + i as u16, width: columns as u16, height: 1 };
        let spans = line.pieces().map(|(text, role)| Span::styled(text, theme.style(role)));
        Line::from(spans.collect::<Vec<_>>()).render(row, buf);
    }
}
