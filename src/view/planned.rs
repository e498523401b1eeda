//! What a build would do: the header's lines, and why, where a build has its log.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

use super::{Screen, header, text};
use crate::event::prediction::Prediction;
use crate::report::words::{self, Role};
use crate::report::{plan, why};
use crate::ui::Focus;

/// How many steps would do what, and the plan in a sentence.
pub(super) fn header(screen: &Screen<'_>, counts: Rect, sentence: Option<Rect>, buf: &mut Buffer) {
    let (model, theme) = (screen.model, screen.ui.theme);
    if model.is_planned() {
        tally(screen, counts, buf);
    }
    let Some(area) = sentence else { return };
    let width = usize::from(area.width);
    let missed = model.planned_as(Prediction::Miss).next().is_some();
    let unknown = model.planned_as(Prediction::Unknown).next().is_some();
    let (text, role) = match &screen.ui.message {
        Some(message) => (message.clone(), Role::Busy),
        None if !model.is_planned() => ("looking at what a build would do".to_owned(), Role::Dim),
        None => {
            let (shape, role) = match (missed, unknown) {
                (true, _) => (theme.pick("▲", "!"), Role::Warn),
                (false, true) => ("?", Role::Dim),
                (false, false) => (theme.pick("●", "*"), Role::Good),
            };
            let whole = plan::sentence(model, theme.ascii);
            let long = words::width(&whole) + 2 > width;
            let told = long.then(|| plan::brief(model)).flatten().unwrap_or(whole);
            (format!("{shape} {told}"), role)
        }
    };
    buf.set_string(area.x, area.y, words::cut_fields(&text, width, theme.ascii), theme.style(role));
}

fn tally(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let (model, theme) = (screen.model, screen.ui.theme);
    let count = |predicted| model.planned_as(predicted).count();
    let (hits, misses, unknown) =
        (count(Prediction::Hit), count(Prediction::Miss), count(Prediction::Unknown));
    let total = hits + misses + unknown;
    let bar = [(hits, Role::Good, theme.pick("━", "=")), (misses, Role::Ran, theme.pick("━", "#"))];
    header::shares(screen, bar, total, Rect { width: header::gauge(area), ..area }, buf);
    let part = |n: usize, shape: &str, word: &str, role: Role| {
        let role = if n == 0 { Role::Dim } else { role };
        Span::styled(format!("{shape} {n} {word}"), theme.style(role))
    };
    let mut parts = vec![
        part(hits, theme.pick("●", "*"), "hit", Role::Good),
        part(misses, theme.pick("○", "o"), "rebuild", Role::Ran),
    ];
    if unknown > 0 {
        parts.push(part(unknown, "?", "unknown", Role::Plain));
    }
    if let Some(text) = plan::whole(model, theme.ascii) {
        parts.push(Span::styled(format!("{text} in all"), theme.style(Role::Strong)));
    } else if let Some(text) = plan::times(model, theme.ascii) {
        parts.push(Span::styled(text, theme.style(Role::Strong)));
    }
    header::beside(parts, area, buf);
}

/// Why what would be rebuilt would be; of the selected step, what there is to say of it.
pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let (model, theme) = (screen.model, screen.ui.theme);
    let focused = screen.ui.focus == Focus::Log;
    let style = theme.style(if focused { Role::Strong } else { Role::Plain });
    let step = screen.ui.selected(model);
    let note = if step.is_some() { "this step" } else { "" };
    text::title(theme, focused, Line::from(Span::styled("Why", style)), note, area, buf);
    let inner =
        Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height - 1 };
    if !model.is_planned() {
        return;
    }
    let told = why::lines(model, step.as_ref().map(std::slice::from_ref), theme.ascii);
    let line = |line: &crate::report::styled::StyledLine| {
        let span = |(text, role): (&str, Role)| Span::styled(text.to_owned(), theme.style(role));
        Line::from(line.pieces().map(span).collect::<Vec<_>>())
    };
    let mut lines: Vec<Line<'_>> = told.iter().map(line).collect();
    if step.is_none() && model.planned_as(Prediction::Miss).next().is_none() {
        let text = "layertop build builds it; a save that would rebuild something is seen here at once";
        lines.push(Line::styled(text, theme.style(Role::Dim)));
    }
    Paragraph::new(lines).wrap(Wrap { trim: false }).render(inner, buf);
}
