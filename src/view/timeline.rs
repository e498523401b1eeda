//! The build over time: a line a step, a bar for what it did, and what held the end up marked.
//!
//! ```text
//! ─ Timeline ──────────────────────────────────────────────────── all of 19.2 s ─
//!                0 s       5 s       10 s      15 s              took   as hit
//! ─ linux/arm64 ─
//! ○ ffmpeg       █████████                                      3.0 s   −2.0 s     held the end up
//! ○ conda                 ━━━━━━━━━━━━╸                         4.3 s              ran beside it
//! ● pip          ●                                                                 was a hit
//! · src                                 ┄┄┄┄                  ≈ 4 s                will run
//! held up by ffmpeg 3.0 s › node 1.4 s › …    as hits pip −5.0 s · conda −2.0 s
//! ```

mod bars;
mod rows;
mod scale;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::{Screen, text};
use crate::model::{Estimate, Timeline};
use crate::report::words::{self, Role};
use crate::ui::timeline::TimelineView;
use crate::ui::{Overlay, PaneHeights};
use rows::{ChartRow, LaneName};
use scale::TimeScale;

/// How it stands in an area.
struct Chart<'a> {
    screen: &'a Screen<'a>,
    view: TimelineView,
    timeline: Timeline,
    estimate: Estimate,
    rows: Vec<ChartRow>,
    /// What the lanes are called.
    names: Vec<LaneName>,
    scale: TimeScale,
    columns: ChartColumns,
}

/// How wide the parts of a line are.
#[derive(Debug, Clone, Copy)]
struct ChartColumns {
    /// Shape and name.
    label: u16,
    /// Where the bars are.
    bars: u16,
    /// How long it took; nothing where there is no room.
    took: u16,
    /// What a hit would have saved; nothing where there is no room.
    gain: u16,
}

impl ChartColumns {
    fn of(width: u16) -> Self {
        let label = match width {
            0..=30 => 7,
            31..=59 => 12,
            60..=99 => 16,
            100..=139 => 20,
            _ => 44,
        };
        let took = if width >= 44 { 9 } else { 0 };
        let gain = if width >= 76 { 9 } else { 0 };
        Self { label, bars: width.saturating_sub(label + took + gain), took, gain }
    }
}

/// The lines of an area: a title where there is room, the times, the lanes, what it comes to.
#[derive(Debug, Clone, Copy, Default)]
struct ChartAreas {
    title: u16,
    axis: u16,
    summary: u16,
}

impl ChartAreas {
    fn of(height: u16) -> Self {
        Self {
            title: u16::from(height >= 6),
            axis: u16::from(height >= 3),
            summary: match height {
                0..=11 => 0,
                12..=17 => 1,
                _ => 3,
            },
        }
    }

    fn lanes(self, height: u16) -> u16 {
        height.saturating_sub(self.title + self.axis + self.summary)
    }
}

/// How many lanes are shown and from which on, and how many there are.
pub(super) fn page(screen: &Screen<'_>, area: Rect, pages: PaneHeights) -> PaneHeights {
    let Overlay::Timeline(view) = screen.ui.overlay else { return pages };
    let chart = Chart::new(screen, view, area);
    let lanes = usize::from(ChartAreas::of(area.height).lanes(area.height));
    PaneHeights { lanes, lanes_all: chart.rows.len(), lanes_first: chart.first(lanes), ..pages }
}

pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let Overlay::Timeline(view) = screen.ui.overlay else { return };
    Clear.render(area, buf);
    if area.width == 0 || area.height == 0 {
        return;
    }
    let chart = Chart::new(screen, view, area);
    let parts = ChartAreas::of(area.height);
    let line = |y: u16| Rect { y: area.y + y, height: 1, ..area };
    let lanes = parts.lanes(area.height);
    let first = chart.first(usize::from(lanes));
    if parts.title > 0 {
        let below = chart.rows.len().saturating_sub(first + usize::from(lanes));
        chart.title((first, below), line(0), buf);
    }
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    if parts.axis > 0 {
        chart.axis(Rect { y: area.y + parts.title, height: 1, ..inner }, buf);
    }
    let top = area.y + parts.title + parts.axis;
    for (row, y) in chart.rows.iter().skip(first).take(usize::from(lanes)).zip(top..) {
        chart.row(row, Rect { y, height: 1, ..inner }, buf);
    }
    if chart.rows.is_empty() {
        let style = screen.ui.theme.style(Role::Dim);
        buf.set_string(inner.x, top, words::truncate("nothing has begun yet", inner.width.into()), style);
    }
    if parts.summary > 0 {
        chart.summary(Rect { y: top + lanes, height: parts.summary, ..inner }, buf);
    }
}

impl<'a> Chart<'a> {
    fn new(screen: &'a Screen<'a>, view: TimelineView, area: Rect) -> Self {
        let timeline = screen.model.timeline(screen.now);
        let estimate = screen.estimate().clone();
        let lanes = usize::from(ChartAreas::of(area.height).lanes(area.height));
        let rows = rows::rows(screen.model, &timeline, lanes);
        let names = rows::names(&timeline.lanes);
        let columns = ChartColumns::of(area.width.saturating_sub(2));
        let left = estimate.left.map(|left| left.time);
        let scale = TimeScale::new(&timeline, screen.model.ended().is_some(), left, view, columns.bars);
        Self { screen, view, timeline, estimate, rows, names, scale, columns }
    }

    /// The first line that is shown: what runs last of all is in sight.
    fn first(&self, height: usize) -> usize {
        let open = |row: &ChartRow| match row {
            ChartRow::Lane(at) => {
                self.timeline.lanes.get(*at).is_some_and(|lane| lane.bars.iter().any(|bar| bar.open))
            }
            _ => false,
        };
        let wanted = self.rows.iter().rposition(open).unwrap_or(0);
        self.view.first(self.rows.len(), height, wanted)
    }

    /// How much of the build is shown, and how many lines are not in sight.
    fn title(&self, hidden: (usize, usize), area: Rect, buf: &mut Buffer) {
        let theme = self.screen.ui.theme;
        let all = words::duration(self.timeline.wall);
        let note = if self.view.is_whole() {
            format!("all of {all}")
        } else {
            let follows =
                if self.view.follows() && self.screen.model.ended().is_none() { "newest " } else { "" };
            format!("{follows}{} of {all}", words::duration(self.scale.span()))
        };
        let mut left = Line::from(Span::styled("Timeline", theme.style(Role::Strong)));
        text::scroll_hint(theme, &mut left, hidden, area.width);
        text::title(theme, true, left, &note, area, buf);
    }

    /// The times above the bars.
    fn axis(&self, area: Rect, buf: &mut Buffer) {
        let theme = self.screen.ui.theme;
        let style = theme.style(Role::Dim);
        let begin = area.x + self.columns.label;
        let mut free = begin;
        for (x, label) in self.scale.ticks() {
            let width = words::width(&label) as u16;
            let at = begin + x;
            if at >= free && x + width <= self.columns.bars {
                buf.set_string(at, area.y, &label, style);
                free = at + width + 1;
            }
        }
        let right = begin + self.columns.bars;
        if self.columns.took > 0 {
            buf.set_string(right, area.y, words::pad_left("took", self.columns.took.into()), style);
        }
        if self.columns.gain > 0 && self.timeline.path.iter().any(|on| on.gain.is_some()) {
            let head = words::pad_left("as hit", self.columns.gain.into());
            buf.set_string(right + self.columns.took, area.y, head, style);
        }
    }
}
