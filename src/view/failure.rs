//! A failed build: where in the Dockerfile, why, and the last that the step said, without scrolling for them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

use super::{Screen, log, text};
use crate::model::Failure;
use crate::report::words::{self, Role, Sign};
use crate::ui::Focus;

pub(super) fn render(screen: &Screen<'_>, failure: &Failure, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let theme = screen.ui.theme;
    let room = usize::from(area.width).saturating_sub(14);
    let what = failure.vertex.map(|id| log::name(screen.model, id)).unwrap_or_default();
    let what = words::truncate(&what, room);
    let look = Sign::of_outcome(screen.model.outcome());
    let word = if failure.vertex.is_some() { "Failed" } else { look.word };
    let left = vec![
        Span::styled(format!("{} {word} ", theme.pick("✗", "x")), theme.style(Role::Bad)),
        Span::styled(what, theme.style(Role::Strong)),
    ];
    text::title(theme, screen.ui.focus == Focus::Log, Line::from(left), "", area, buf);
    let mut left_over =
        Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height - 1 };
    let message = Paragraph::new(Line::styled(failure.message.as_str(), theme.style(Role::Bad)))
        .wrap(Wrap { trim: false });
    // The command of the failed step is in the message; past two or three lines it says nothing new.
    let lines = words::width(failure.message.as_str()).div_ceil(usize::from(left_over.width.max(1)));
    take(&mut left_over, lines.clamp(1, 3), |place| (&message).render(place, buf));
    for line in &failure.excerpt {
        let marked = line.text().contains(">>>");
        let row = Line::styled(line.text(), theme.style(if marked { Role::Plain } else { Role::Dim }));
        take(&mut left_over, 1, |place| (&row).render(place, buf));
    }
    let Some(vertex) = failure.vertex.and_then(|id| screen.model.vertex(id)) else { return };
    if left_over.height < 2 || vertex.log.is_empty() {
        return;
    }
    let note = Line::styled("last output", theme.style(Role::Dim));
    take(&mut left_over, 1, |place| (&note).render(place, buf));
    let skip = vertex.log.len().saturating_sub(usize::from(left_over.height));
    for line in vertex.log.iter().skip(skip) {
        let row = text::foreign(theme, &line.line, &screen.ui.log.wanted);
        take(&mut left_over, 1, |place| (&row).render(place, buf));
    }
}

/// Draws into the next lines of what is left, where any are.
fn take(left: &mut Rect, lines: usize, draw: impl FnOnce(Rect)) {
    let height = (lines as u16).min(left.height);
    if height > 0 {
        draw(Rect { height, ..*left });
        left.y += height;
        left.height -= height;
    }
}
