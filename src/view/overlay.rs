//! What lies over the panes: the keys, the warnings, a question.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Widget, Wrap};

use super::{Screen, text};
use crate::report::styled::StyledLine;
use crate::report::why;
use crate::report::words::{self, Role};
use crate::ui::parts::{LogSource, LogsAnswer, PartLogs, log_sources};
use crate::ui::{Overlay, keys};

pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    match &screen.ui.overlay {
        Overlay::Help(top) | Overlay::Why(top) | Overlay::Warnings(top) => {
            if let Some((title, lines)) = scrolled(screen, area) {
                window(screen, title, lines, *top, area, buf);
            }
        }
        Overlay::Logs(logs) => part_logs(screen, logs, area, buf),
        Overlay::Quit => {
            let lines = vec![
                Line::raw("The build is still running; quitting cancels it."),
                Line::from(vec![
                    Span::styled("y", screen.ui.theme.style(Role::Strong)),
                    Span::raw(" cancel it and quit    "),
                    Span::styled("any other key", screen.ui.theme.style(Role::Strong)),
                    Span::raw(" go on"),
                ]),
            ];
            window(screen, " Quit? ", lines, 0, area, buf);
        }
        Overlay::None
        | Overlay::Timeline(_)
        | Overlay::Compare(_)
        | Overlay::Trends(_)
        | Overlay::Search(_)
        | Overlay::Filter(_) => {}
    }
}

/// Title and lines of a window that may have more of them than fit.
fn scrolled<'a>(screen: &Screen<'a>, area: Rect) -> Option<(&'static str, Vec<Line<'a>>)> {
    match &screen.ui.overlay {
        Overlay::Help(_) => Some(help(screen, area)),
        Overlay::Why(_) => Some(reasons(screen)),
        Overlay::Warnings(_) => Some(warnings(screen)),
        _ => None,
    }
}

/// The first line of such a window that can be its topmost: the last one is seen then.
pub(super) fn last(screen: &Screen<'_>, area: Rect) -> usize {
    scrolled(screen, area).map_or(0, |(title, lines)| {
        let fitted = FittedWindow::of(title, lines, area);
        fitted.last()
    })
}

/// What a part said last, over all panes: lines of a log are long.
fn part_logs(screen: &Screen<'_>, logs: &PartLogs, area: Rect, buf: &mut Buffer) {
    let theme = screen.ui.theme;
    let what = if matches!(logs.of, LogSource::Pod(_)) { "pod" } else { "container of" };
    let next =
        if log_sources(screen.model, screen.ui.focus).len() > 1 { " · l next" } else { " · l again" };
    let title = format!(" Last lines · {what} {}{next} · Esc closes ", logs.of.name());
    let lines = match &logs.answer {
        LogsAnswer::Asked => {
            return window(screen, &title, vec![Line::raw("asking …")], 0, area, buf);
        }
        LogsAnswer::Failed(reason) => {
            let reason = Line::styled(reason.as_str(), theme.style(Role::Warn));
            return window(screen, &title, vec![reason], 0, area, buf);
        }
        LogsAnswer::Lines(lines) if lines.is_empty() => {
            return window(screen, &title, vec![Line::raw("it has said nothing")], 0, area, buf);
        }
        LogsAnswer::Lines(lines) => lines,
    };
    let inner = framed(screen, &title, area, buf);
    let height = usize::from(inner.height);
    let end = lines.len().saturating_sub(logs.below.min(lines.len().saturating_sub(height)));
    for (line, row) in lines.iter().take(end).skip(end.saturating_sub(height)).zip(inner.rows()) {
        text::foreign(theme, line, "").render(row, buf);
    }
}

/// An empty window in this place; what is inside of it.
fn framed(screen: &Screen<'_>, title: &str, place: Rect, buf: &mut Buffer) -> Rect {
    let block = frame(screen, title);
    let inner = block.inner(place);
    Clear.render(place, buf);
    block.render(place, buf);
    inner
}

fn help<'a>(screen: &Screen<'a>, area: Rect) -> (&'static str, Vec<Line<'a>>) {
    let theme = screen.ui.theme;
    let cells: Vec<(String, &str)> = keys::active(screen.ui.place())
        .map(|b| (if theme.ascii { ascii(b.label) } else { b.label.to_owned() }, b.help))
        .collect();
    // Two columns where they fit, so that all keys are seen at once; else one that scrolls.
    let columns = if area.width >= 110 { 2 } else { 1 };
    let width = if columns == 2 { (usize::from(area.width.min(130)).saturating_sub(6)) / 2 } else { 62 };
    let width = width.min(usize::from(area.width).saturating_sub(6));
    let per_column = cells.len().div_ceil(columns);
    let cell = |n: usize| match cells.get(n) {
        Some((key, text)) => {
            let text = words::truncate(text, width.saturating_sub(11));
            let gap = width.saturating_sub(10 + words::width(&text));
            vec![
                Span::styled(format!("{key:<10}"), theme.style(Role::Strong)),
                Span::raw(text),
                Span::raw(" ".repeat(gap)),
            ]
        }
        None => Vec::new(),
    };
    let row = |n: usize| Line::from((0..columns).flat_map(|c| cell(n + c * per_column)).collect::<Vec<_>>());
    let more = per_column + 2 > usize::from(area.height);
    let title = if more { " Keys · ↑↓ for more " } else { " Keys " };
    (title, (0..per_column).map(row).collect())
}

fn ascii(label: &str) -> String {
    label.replace('↑', "Up").replace('↓', "Down").replace('←', "Left").replace('→', "Right")
}

fn warnings<'a>(screen: &Screen<'a>) -> (&'static str, Vec<Line<'a>>) {
    let theme = screen.ui.theme;
    let mut lines = Vec::new();
    for warning in screen.model.warnings() {
        let place = [warning.file.as_ref().map(ToString::to_string), warning.line.map(|n| n.to_string())];
        let place: Vec<String> = place.into_iter().flatten().collect();
        lines.push(Line::from(vec![
            Span::styled(format!("{} ", theme.pick("▲", "!")), theme.style(Role::Warn)),
            Span::styled(warning.short.to_string(), theme.style(Role::Strong)),
            Span::styled(format!("  {}", place.join(":")), theme.style(Role::Dim)),
        ]));
        lines.extend(warning.detail.iter().map(|detail| Line::raw(format!("  {detail}"))));
        lines.extend(warning.url.iter().map(|url| Line::styled(format!("  {url}"), theme.style(Role::Dim))));
    }
    if lines.is_empty() {
        lines.push(Line::styled("no warnings", theme.style(Role::Dim)));
    }
    (" Warnings ", lines)
}

/// Why the selected step was not cached; without a selection, or where it was cached, why the build's were not.
fn reasons<'a>(screen: &Screen<'a>) -> (&'static str, Vec<Line<'a>>) {
    let theme = screen.ui.theme;
    let model = screen.model;
    let step = screen.ui.selected(model).filter(|id| model.missed(*id) || model.source_of(*id).is_some());
    let told = why::lines(model, step.as_ref().map(std::slice::from_ref), theme.ascii);
    let line = |line: &StyledLine| {
        let span = |(text, role): (&str, Role)| Span::styled(text.to_owned(), theme.style(role));
        Line::from(line.pieces().map(span).collect::<Vec<_>>())
    };
    let title = if step.is_some() { " Why · this step " } else { " Why " };
    (title, told.iter().map(line).collect())
}

/// Lines in a window in the middle, as large as they are and no larger than the screen.
struct FittedWindow<'a> {
    text: Paragraph<'a>,
    /// How many lines they are in it.
    wrapped: usize,
    place: Rect,
}

impl<'a> FittedWindow<'a> {
    fn of(title: &str, lines: Vec<Line<'a>>, area: Rect) -> Self {
        let longest = lines.iter().map(Line::width).max().unwrap_or(0).max(words::width(title)) as u16;
        let width = (longest + 4).min(area.width);
        let text = Paragraph::new(lines).wrap(Wrap { trim: false });
        let wrapped = text.line_count(width.saturating_sub(4).max(1));
        let height = (wrapped as u16 + 2).min(area.height);
        let place = Rect {
            x: area.x + (area.width - width) / 2,
            y: area.y + (area.height - height) / 2,
            width,
            height,
        };
        Self { text, wrapped, place }
    }

    /// The first line that can be its topmost.
    fn last(&self) -> usize {
        self.wrapped.saturating_sub(usize::from(self.place.height.saturating_sub(2)))
    }
}

fn window(screen: &Screen<'_>, title: &str, lines: Vec<Line<'_>>, top: usize, area: Rect, buf: &mut Buffer) {
    let fitted = FittedWindow::of(title, lines, area);
    let block = frame(screen, title);
    let top = top.min(fitted.last());
    Clear.render(fitted.place, buf);
    fitted.text.scroll((top as u16, 0)).block(block).render(fitted.place, buf);
}

fn frame(screen: &Screen<'_>, title: &str) -> Block<'static> {
    let theme = screen.ui.theme;
    let kind = if theme.ascii { BorderType::Plain } else { BorderType::Rounded };
    let block = Block::bordered()
        .border_type(kind)
        .border_style(theme.style(Role::Dim))
        .title_style(Style::reset())
        .title(Span::styled(title.to_owned(), theme.style(Role::Strong)))
        .padding(ratatui::widgets::Padding::horizontal(1));
    if theme.ascii { block.border_set(ASCII_BORDER) } else { block }
}

const ASCII_BORDER: ratatui::symbols::border::Set<'static> = ratatui::symbols::border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};
