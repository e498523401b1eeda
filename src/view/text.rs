//! Lines of text in panes: titles, rules, foreign lines with their styles.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color as Ink, Modifier, Style};
use ratatui::text::{Line as Row, Span};
use ratatui::widgets::Widget;

use crate::event::{Line, Style as Foreign, TextColor};
use crate::report::words::Role;
use crate::ui::theme::Theme;

/// A pane's first line: its title on a rule, with a note at the right end.
pub(super) fn title(theme: Theme, focused: bool, left: Row<'_>, right: &str, area: Rect, buf: &mut Buffer) {
    let rule = theme.pick("─", "-");
    let style = theme.style(if focused { Role::Plain } else { Role::Dim });
    let width = usize::from(area.width);
    buf.set_string(area.x, area.y, rule.repeat(width), style);
    let room = Rect { x: area.x + 1, width: area.width.saturating_sub(2), height: 1, ..area };
    let mut spans = vec![Span::raw(" ")];
    spans.extend(left.spans);
    spans.push(Span::raw(" "));
    let left = Row::from(spans);
    let used = left.width() as u16;
    // What is written on the rule does not take over its look.
    buf.set_style(Rect { width: used.min(room.width), ..room }, Style::reset());
    left.render(room, buf);
    let note = format!(" {right} ");
    let length = unicode_width::UnicodeWidthStr::width(note.as_str()) as u16;
    if !right.is_empty() && used + length + 1 < room.width {
        buf.set_string(room.right() - length, area.y, note, theme.style(Role::Dim));
    }
}

/// How many lines of a pane are not in sight, behind its name; nothing where all are, or where a title of so many columns would be cut.
pub(super) fn scroll_hint(theme: Theme, left: &mut Row<'_>, (above, below): (usize, usize), columns: u16) {
    let note = Span::styled(format!(" · {above} above, {below} below"), theme.style(Role::Plain));
    // A blank and a stroke of the rule on either side.
    let room = usize::from(columns).saturating_sub(4);
    if above + below > 0 && left.width() + note.width() <= room {
        left.push_span(note);
    }
}

/// A foreign line, cut at the pane's width, with what is looked for marked in it.
pub(super) fn foreign<'a>(theme: Theme, line: &'a Line, wanted: &str) -> Row<'a> {
    if !wanted.is_empty() {
        let marked = marks(theme, line.text(), wanted);
        if marked.spans.len() > 1 {
            return marked;
        }
    }
    Row::from(
        line.pieces()
            .map(|(text, style)| Span::styled(text, foreign_style(theme, style)))
            .collect::<Vec<_>>(),
    )
}

/// The text with every place marked that holds `wanted`, whatever its case.
fn marks<'a>(theme: Theme, text: &'a str, wanted: &str) -> Row<'a> {
    let lower = text.to_lowercase();
    // Lower case may be longer or shorter than what it was made of; then places cannot be told.
    if lower.len() != text.len() {
        return Row::from(text);
    }
    let wanted = wanted.to_lowercase();
    let mut spans = Vec::new();
    let mut from = 0;
    for (at, found) in lower.match_indices(&wanted) {
        let (Some(before), Some(hit)) = (text.get(from..at), text.get(at..at + found.len())) else {
            continue;
        };
        spans.extend([Span::raw(before), Span::styled(hit, theme.found())]);
        from = at + found.len();
    }
    spans.push(Span::raw(text.get(from..).unwrap_or_default()));
    Row::from(spans)
}

fn foreign_style(theme: Theme, foreign: Foreign) -> Style {
    let mut style = Style::new();
    if theme.color {
        style.fg = foreign.fg.map(color);
        style.bg = foreign.bg.map(color);
    }
    for (on, modifier) in [
        (foreign.bold, Modifier::BOLD),
        (foreign.dim, Modifier::DIM),
        (foreign.italic, Modifier::ITALIC),
        (foreign.underline, Modifier::UNDERLINED),
        (foreign.reverse, Modifier::REVERSED),
    ] {
        if on {
            style = style.add_modifier(modifier);
        }
    }
    style
}

/// The first sixteen are the user's own palette; their names make shorter sequences than their numbers.
fn color(color: TextColor) -> Ink {
    const NAMED: [Ink; 16] = [
        Ink::Black,
        Ink::Red,
        Ink::Green,
        Ink::Yellow,
        Ink::Blue,
        Ink::Magenta,
        Ink::Cyan,
        Ink::Gray,
        Ink::DarkGray,
        Ink::LightRed,
        Ink::LightGreen,
        Ink::LightYellow,
        Ink::LightBlue,
        Ink::LightMagenta,
        Ink::LightCyan,
        Ink::White,
    ];
    match color {
        TextColor::Indexed(n) => NAMED.get(usize::from(n)).copied().unwrap_or(Ink::Indexed(n)),
        TextColor::Rgb(r, g, b) => Ink::Rgb(r, g, b),
    }
}

/// Whatever is not ASCII becomes what stands for it: marks of our own that have no stand-in where they are drawn, and
/// what others wrote.
pub(super) fn only_ascii(area: Rect, buf: &mut Buffer) {
    for place in area.intersection(buf.area).positions() {
        let Some(cell) = buf.cell_mut(place).filter(|cell| !cell.symbol().is_ascii()) else { continue };
        let ascii = match cell.symbol() {
            "…" => ">",
            "·" | "–" | "—" | "─" | "━" => "-",
            "│" | "┃" => "|",
            _ => "?",
        };
        cell.set_symbol(ascii);
    }
}
