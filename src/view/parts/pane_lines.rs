//! Lines of a pane, those of long lists made only when they are looked at.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::report::styled::StyledLine;
use crate::report::words::{self, Role};
use crate::ui::theme::Theme;

/// Columns of the word before a fact.
pub(super) const LABEL: usize = 8;

/// What a pane says.
#[derive(Default)]
pub(super) struct PaneLines<'a> {
    blocks: Vec<PaneBlock<'a>>,
    all: usize,
    /// How many of the first lines hold however old the others are: why the part is ill, what to do.
    head: usize,
    /// Whether the lines behind the head may no longer be so.
    pub(super) old: bool,
}

enum PaneBlock<'a> {
    One(StyledLine),
    Many(usize, Box<dyn Fn(usize) -> StyledLine + 'a>),
}

impl<'a> PaneLines<'a> {
    pub(super) fn len(&self) -> usize {
        self.all
    }

    pub(super) fn push(&mut self, line: StyledLine) {
        self.blocks.push(PaneBlock::One(line));
        self.all += 1;
    }

    /// A list: the `n`th line of it is made when it is shown.
    pub(super) fn list(&mut self, count: usize, line: impl Fn(usize) -> StyledLine + 'a) {
        if count > 0 {
            self.blocks.push(PaneBlock::Many(count, Box::new(line)));
            self.all += count;
        }
    }

    /// A fact behind the word for it.
    pub(super) fn fact(&mut self, label: &str, fact: &StyledLine) {
        if fact.width() > 0 {
            let line = StyledLine::new().with(words::pad_right(label, LABEL), Role::Dim);
            self.push(fact.pieces().fold(line, |line, (text, role)| line.with(text, role)));
        }
    }

    /// A heading inside of a pane, with an empty line before it.
    pub(super) fn section(&mut self, name: &str, note: &str) {
        if self.all > 0 {
            self.push(StyledLine::new());
        }
        self.push(StyledLine::new().with(name, Role::Strong).with(format!("  {note}"), Role::Dim));
    }

    /// A sentence on as many lines as it takes, `most` at most.
    pub(super) fn wrapped(&mut self, text: &str, role: Role, width: usize, most: usize) {
        for line in wrap(text, width, most) {
            self.push(StyledLine::new().with(line, role));
        }
    }

    /// What comes next is a fact that grows old.
    pub(super) fn head_ends(&mut self) {
        self.head = self.all;
    }

    /// Draws the lines from `top` on.
    pub(super) fn draw(&self, theme: Theme, top: usize, area: Rect, buf: &mut Buffer) {
        let mut at = 0;
        for block in &self.blocks {
            let count = match block {
                PaneBlock::One(_) => 1,
                PaneBlock::Many(count, _) => *count,
            };
            let from = top.max(at);
            let until = (top + usize::from(area.height)).min(at + count);
            for n in from..until {
                let place = Rect { y: area.y + (n - top) as u16, height: 1, ..area };
                match block {
                    PaneBlock::One(line) => draw_line(theme, line, place, buf),
                    PaneBlock::Many(_, line) => draw_line(theme, &line(n - at), place, buf),
                }
                if self.old && n >= self.head {
                    buf.set_style(place, Style::reset());
                    buf.set_style(place, theme.style(Role::Dim));
                }
            }
            at += count;
            if at >= top + usize::from(area.height) {
                return;
            }
        }
    }
}

pub(super) fn draw_line(theme: Theme, line: &StyledLine, area: Rect, buf: &mut Buffer) {
    let columns = usize::from(area.width);
    let cut = (line.width() > columns).then(|| line.clone().cut(columns, theme.ascii));
    let spans =
        cut.as_ref().unwrap_or(line).pieces().map(|(text, role)| Span::styled(text, theme.style(role)));
    Line::from(spans.collect::<Vec<_>>()).render(area, buf);
}

/// The text on lines of `width` columns, cut between words; at most `most` of them, the last marked where something is left out.
fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let is_last = lines.len() == most;
        match lines.last_mut() {
            Some(line) if words::width(line) + 1 + words::width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(line) if is_last => {
                line.push(' ');
                line.push_str(word);
                break;
            }
            _ => lines.push(word.to_owned()),
        }
    }
    for line in &mut lines {
        // An address may be longer than a line.
        *line = words::truncate(line, width);
    }
    lines
}
