//! The log: the output of the step that is followed, or of the one that is selected.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::{Screen, text};
use crate::event::Text;
use crate::model::{Model, VertexId};
use crate::report::words::{self, Role};
use crate::ui::Focus;

pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let theme = screen.ui.theme;
    let focused = screen.ui.focus == Focus::Log;
    let style = theme.style(if focused { Role::Strong } else { Role::Plain });
    let id = screen.ui.shown(screen.model);
    let Some((id, vertex)) = id.and_then(|id| Some((id, screen.model.vertex(id)?))) else {
        text::title(theme, focused, Line::from(Span::styled("Log", style)), "", area, buf);
        return output(screen, Rect { y: area.y + 1, height: area.height - 1, ..area }, buf);
    };
    let height = usize::from(area.height - 1);
    let first = screen.ui.log.first(&vertex.log, height);
    let note = place(screen, &vertex.log, first, height);
    // What the log is held at must be seen; of the step's name, what is left room for.
    let room = usize::from(area.width).saturating_sub(words::width(&note) + 14).max(8);
    let name = words::truncate(&name(screen.model, id), room);
    let left = Line::from(vec![Span::styled("Log", style), Span::raw(" · "), Span::styled(name, style)]);
    text::title(theme, focused, left, &note, area, buf);
    for (i, line) in (first..first + height).enumerate() {
        let Some(line) = vertex.log.get(line) else { break };
        let row =
            Rect { x: area.x + 1, y: area.y + 1 + i as u16, width: area.width.saturating_sub(2), height: 1 };
        text::foreign(theme, &line.line, &screen.ui.log.wanted).render(row, buf);
    }
    if vertex.log.is_empty() {
        buf.set_string(area.x + 1, area.y + 1, "no output", theme.style(Role::Dim));
    }
}

/// Before any step speaks: what buildx itself printed.
fn output(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let lines = screen.model.output();
    let skip = lines.len().saturating_sub(usize::from(area.height));
    for (i, output) in lines.skip(skip).enumerate() {
        let row =
            Rect { x: area.x + 1, y: area.y + i as u16, width: area.width.saturating_sub(2), height: 1 };
        text::foreign(screen.ui.theme, &output.line, "").render(row, buf);
    }
}

/// Layer, platform and instruction of a step; the name of any other vertex.
pub(super) fn name(model: &Model, id: VertexId) -> String {
    let Some(vertex) = model.vertex(id) else { return String::new() };
    let Some((step, row)) =
        model.step_of(id).and_then(|step| Some((model.stack().step(step)?, model.stack().row_of(step)?)))
    else {
        return vertex.name.to_string();
    };
    let layer = row.layer.as_ref().map(Text::as_str);
    let platform = step.platform.as_ref().map(super::super::event::platform::Platform::short);
    let instruction = words::instruction(step.name.instruction.as_str());
    let parts = [layer, platform, Some(&*instruction)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Where in the log the pane stands.
fn place(screen: &Screen<'_>, log: &crate::model::Log, first: usize, height: usize) -> String {
    let mut parts = Vec::new();
    if log.clipped() {
        parts.push("clipped by BuildKit".to_owned());
    }
    if log.dropped() > 0 {
        parts.push(format!("oldest {} not kept", log.dropped()));
    }
    if !screen.ui.log.wanted.is_empty() {
        let found = match screen.ui.log.found {
            Some(found) => format!(" {} of {}", found.number, found.of),
            None => ": not found".to_owned(),
        };
        parts.push(format!("/{}{found}", words::truncate(&screen.ui.log.wanted, 16)));
    }
    match screen.ui.log.top {
        Some(_) => {
            let last = (first + height).min(log.len()) as u64 + log.dropped();
            parts.push(format!("{}–{last} of {}", first as u64 + log.dropped() + 1, log.total()));
        }
        None if screen.ui.cursor.is_some() => parts.push("selected · F follow".to_owned()),
        None => parts.push("following".to_owned()),
    }
    parts.join(" · ")
}
