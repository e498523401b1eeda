//! The bars: thick what held the end up, thin what ran beside it; two halves a column.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::Chart;
use crate::event::Time;
use crate::model::StepEstimate;
use crate::model::timeline::{Bar, BarKind, Lane};
use crate::report::words::Role;

/// How a bar is drawn: both halves of a column, its left one, its right one, and where only ASCII may be drawn.
#[derive(Debug, Clone, Copy)]
struct BarStyle {
    both: &'static str,
    left: &'static str,
    right: &'static str,
    ascii: &'static str,
}

const THICK: BarStyle = BarStyle { both: "▆", left: "▆", right: "▆", ascii: "#" };
const THIN: BarStyle = BarStyle { both: "━", left: "╸", right: "╺", ascii: "=" };
const FETCH: BarStyle = BarStyle { both: "╍", left: "╸", right: "╺", ascii: "~" };
const FAINT: BarStyle = BarStyle { both: "─", left: "╴", right: "╶", ascii: "-" };
const COMING: BarStyle = BarStyle { both: "┄", left: "┄", right: "┄", ascii: "." };
const POINT: BarStyle = BarStyle { both: "●", left: "●", right: "●", ascii: "*" };

impl BarStyle {
    fn of(bar: &Bar) -> Self {
        if bar.critical {
            return THICK;
        }
        match bar.kind {
            BarKind::Hit => POINT,
            BarKind::Prepare | BarKind::Import => FAINT,
            BarKind::Pull => FETCH,
            BarKind::Run | BarKind::Failed | BarKind::Cancelled | BarKind::Export | BarKind::CacheExport => {
                THIN
            }
        }
    }

    fn symbol(self, left: bool, right: bool, ascii: bool) -> &'static str {
        match (left, right) {
            _ if ascii => self.ascii,
            (true, true) => self.both,
            (true, false) => self.left,
            _ => self.right,
        }
    }
}

fn role(kind: BarKind) -> Role {
    match kind {
        BarKind::Prepare | BarKind::Import => Role::Dim,
        BarKind::Hit => Role::Good,
        BarKind::Pull => Role::Busy,
        BarKind::Run => Role::Ran,
        BarKind::Failed => Role::Bad,
        BarKind::Cancelled => Role::Warn,
        BarKind::Export | BarKind::CacheExport => Role::Plain,
    }
}

impl Chart<'_> {
    /// What a lane did, and what it is expected to do.
    pub(super) fn bars(&self, lane: &Lane, told: Option<&StepEstimate>, place: Rect, buf: &mut Buffer) {
        let theme = self.screen.ui.theme;
        if let Some(told) = told {
            let end = self.timeline.end.plus(told.ends_in);
            self.draw(COMING, end.minus(told.left), end, theme.style(Role::Dim), place, buf);
        }
        for bar in &lane.bars {
            self.draw(BarStyle::of(bar), bar.start, bar.end, theme.style(role(bar.kind)), place, buf);
        }
        // Where it failed is seen whatever the colours are.
        if let Some(bar) = lane.bars.iter().find(|bar| bar.kind == BarKind::Failed)
            && let Some((_, last)) = self.scale.halves(bar.start, bar.end)
        {
            let x = place.x + last.saturating_sub(1) / 2;
            buf.set_string(x, place.y, theme.pick("✗", "x"), theme.style(Role::Bad));
        }
    }

    /// The times in which nothing was at work.
    pub(super) fn gaps(&self, place: Rect, buf: &mut Buffer) {
        let style = self.screen.ui.theme.style(Role::Dim);
        for (start, end) in &self.timeline.idle {
            self.draw(FAINT, *start, *end, style, place, buf);
        }
    }

    fn draw(&self, look: BarStyle, start: Time, end: Time, style: Style, place: Rect, buf: &mut Buffer) {
        let Some((first, last)) = self.scale.halves(start, end) else { return };
        for column in first / 2..last.div_ceil(2).min(place.width) {
            let (left, right) = (column * 2 >= first, column * 2 + 1 < last);
            let symbol = look.symbol(left, right, self.screen.ui.theme.ascii);
            if let Some(cell) = buf.cell_mut(Position::new(place.x + column, place.y)) {
                cell.set_symbol(symbol).set_style(style);
            }
        }
    }

    /// What the bars mean.
    pub(super) fn legend(&self) -> Line<'static> {
        let theme = self.screen.ui.theme;
        let shape = |look: BarStyle, role: Role, word: &'static str| {
            [
                Span::styled(look.symbol(true, true, theme.ascii).repeat(2), theme.style(role)),
                Span::styled(format!(" {word}   "), theme.style(Role::Dim)),
            ]
        };
        let point = Span::styled(POINT.symbol(true, true, theme.ascii), theme.style(Role::Good));
        let mut spans: Vec<Span<'static>> = shape(THICK, Role::Ran, "held the end up").into();
        spans.extend(shape(THIN, Role::Ran, "ran"));
        spans.extend(shape(FETCH, Role::Busy, "pulled"));
        spans.extend([point, Span::styled(" hit   ", theme.style(Role::Dim))]);
        spans.extend(shape(THIN, Role::Plain, "exported"));
        if !self.estimate.steps.is_empty() {
            spans.extend(shape(COMING, Role::Dim, "expected"));
        }
        Line::from(spans)
    }
}
