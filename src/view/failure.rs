//! A failed build: why, where in the Dockerfile, and the last that the step said, without scrolling for them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

use super::{Screen, log, text};
use crate::model::BuildFailure;
use crate::report::failure::{excerpt, marked, message, short};
use crate::report::words::{self, Role, Sign};
use crate::ui::Focus;

/// Lines of a long error where something else is to be seen below it.
const ERROR: usize = 3;
/// Lines of the Dockerfile that are shown in any case, the failed one in their middle.
const EXCERPT: usize = 3;
/// Lines of output that the Dockerfile's other lines must leave room for.
const OUTPUT: usize = 4;

pub(super) fn render(screen: &Screen<'_>, failure: &BuildFailure, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let theme = screen.ui.theme;
    head(screen, failure, area, buf);
    let mut left =
        Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height - 1 };
    let vertex = failure.vertex.and_then(|id| screen.model.vertex(id));
    let said = vertex.map_or(0, |vertex| vertex.log.len());
    let message = message(failure);
    let message = short(message.as_str());
    let most = if said + failure.excerpt.len() > 0 { ERROR } else { usize::from(left.height) };
    let message = Paragraph::new(Line::styled(message, theme.style(Role::Bad))).wrap(Wrap { trim: false });
    let lines = message.line_count(left.width);
    take(&mut left, lines.clamp(1, most.max(1)), |place| (&message).render(place, buf));
    let output = if said > 0 { said.min(OUTPUT) + 1 } else { 0 };
    let room = usize::from(left.height).saturating_sub(output + 1).max(EXCERPT);
    for line in excerpt(&failure.excerpt, room) {
        let role = if marked(line) { Role::Plain } else { Role::Dim };
        let row = Line::styled(line, theme.style(role));
        take(&mut left, 1, |place| (&row).render(place, buf));
    }
    let Some(vertex) = vertex.filter(|_| left.height > 1 && said > 0) else { return };
    let note = Line::styled("last output", theme.style(Role::Dim));
    take(&mut left, 1, |place| (&note).render(place, buf));
    for line in vertex.log.iter().skip(said.saturating_sub(usize::from(left.height))) {
        let row = text::foreign(theme, &line.line, &screen.ui.log.wanted);
        take(&mut left, 1, |place| (&row).render(place, buf));
    }
}

fn head(screen: &Screen<'_>, failure: &BuildFailure, area: Rect, buf: &mut Buffer) {
    let theme = screen.ui.theme;
    let sign = Sign::of_outcome(crate::model::Outcome::Failed);
    let what = failure.vertex.map(|id| log::name(screen.model, id)).unwrap_or_default();
    let what = words::truncate(&what, usize::from(area.width).saturating_sub(14));
    let left = vec![
        Span::styled(format!("{} {} ", sign.shape(theme.ascii), sign.word), theme.style(Role::Bad)),
        Span::styled(what, theme.style(Role::Strong)),
    ];
    text::title(theme, screen.ui.focus == Focus::Log, Line::from(left), "", area, buf);
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
