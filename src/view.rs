//! The screen. Every pane is a widget that borrows the model; nothing here decides or reads a clock.
//!
//! ```text
//! montage-ai:my-feature · multiarch-builder                  1:42     header: what, where, how far,
//! ━━━━━━━━━━━━━━━━──────────  12 of 22  ● 8 hit  ○ 2 ran  ◐ 2 running          what is happening now
//! ◐ pip on arm64 0:41 · pulling 2 blobs 12.1 of 40.2 MB
//! ─ Stack ──────────────────────────────────────────────────────────    stack: a row an instruction,
//! miniconda  FROM continuumio/miniconda3   ● hit          ● hit         a column a platform
//! pip        RUN pip install -r …          ◐ running 0:41 · waiting
//! ▲ cache import failed: …                                              alerts: what must not be missed
//! ─ Log · pip · arm64 ───────────────────────────── following · / find   log, or the failure
//! Collecting numpy==1.26.4
//! ─ 2 Registry ● ok ──── ─ 3 Nodes ● ready ──── ─ 4 Builder ● running    parts: what is around the build
//! /v2/ 3 ms  ▁▁▂▁▁▃      ▲ arm64: emulated on …   cpu 0.9 of 8 ▂▅▇▇▇▅     (tabs or a line each where it is small)
//! ? help  q quit  Tab pane  ↑ step  / find                              footer: keys
//! ```

mod alerts;
mod compare;
mod failure;
mod footer;
mod header;
mod log;
mod overlay;
mod parts;
mod planned;
mod sheet;
mod stack;
mod summary;
mod text;
mod timeline;
mod trends;

use std::cell::OnceCell;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::Widget;

use crate::event::Time;
use crate::model::{Estimate, Model, Outcome};
use crate::report::words::Role;
use crate::ui::{Focus, PaneHeights, UiState, rows};
use parts::PartsForm;

/// Below this the screen is one line of state and the running step.
const LEAST: (u16, u16) = (40, 10);

/// Lines of a log, its title among them, that are of use.
const SHORT_LOG: u16 = 4;

/// What all panes look at, for one frame.
pub struct Screen<'a> {
    model: &'a Model,
    /// What the user is looking at.
    ui: &'a UiState,
    /// Now, on the clock that the events are on.
    now: Time,
    /// What several panes ask for; it is worked out once a frame.
    estimate: OnceCell<Estimate>,
    alerts: OnceCell<Vec<(Role, String)>>,
}

impl<'a> Screen<'a> {
    /// A build as a user looks at it `now`, on the clock that its events are on.
    pub fn new(model: &'a Model, ui: &'a UiState, now: Time) -> Self {
        Self { model, ui, now, estimate: OnceCell::new(), alerts: OnceCell::new() }
    }

    /// How long it still takes.
    fn estimate(&self) -> &Estimate {
        self.estimate.get_or_init(|| self.model.estimate(self.now))
    }

    /// What must not be missed, what matters most first.
    fn alerts(&self) -> &[(Role, String)] {
        self.alerts.get_or_init(|| alerts::lines(self))
    }
}

/// Where the panes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Areas {
    header: Rect,
    stack: Rect,
    alerts: Rect,
    log: Rect,
    parts: Rect,
    footer: Rect,
}

impl Areas {
    /// Everything between the header and the footer.
    fn below_header(&self) -> Rect {
        let y = self.header.bottom();
        Rect { y, height: self.footer.y.saturating_sub(y), ..self.stack }
    }
}

impl Screen<'_> {
    /// How many lines the panes show in an area: a page of each.
    pub fn pages(&self, area: Rect) -> PaneHeights {
        let areas = self.areas(area);
        let inner = |area: Rect| usize::from(area.height.saturating_sub(1));
        let form = PartsForm::of(self, area);
        let (part, part_all) = if self.ui.parts.open {
            parts::page(self, areas.below_header(), true)
        } else if parts::instead_of_log(self, form).is_some() {
            parts::page(self, areas.log, false)
        } else {
            parts::page(self, parts::place(self, form, areas.parts), false)
        };
        let pages = PaneHeights {
            stack: inner(areas.stack),
            log: inner(areas.log),
            part,
            part_all,
            ..PaneHeights::default()
        };
        let pages = PaneHeights { window_last: overlay::last(self, area), ..pages };
        let pages = timeline::page(self, self.whole(area), pages);
        sheet::page(self, self.whole(area), pages)
    }

    /// What a view has that fills the screen.
    fn whole(&self, area: Rect) -> Rect {
        if is_small(area) { area } else { self.areas(area).below_header() }
    }

    /// Whether the build has ended and there is no search to be seen in its log.
    fn is_over(&self) -> bool {
        self.model.outcome() != Outcome::Running && self.ui.log.wanted.is_empty()
    }

    fn areas(&self, area: Rect) -> Areas {
        let header = if area.height >= 16 { 3 } else { 2 };
        let parts = PartsForm::of(self, area).height(self, area);
        let rest = area.height.saturating_sub(header + 1 + parts);
        let alerts = (self.alerts().len() as u16).min(if area.height >= 30 { 3 } else { 1 });
        let wanted = 1 + stack::height(self) as u16;
        // The log keeps what it needs to be of use, and the failure what it needs to be read without scrolling.
        let least_log = match self.model.failure() {
            Some(failure) => (failure.excerpt.len() as u16 + 8).min(rest * 2 / 3),
            // Where the whole stack fits beside a short log, a row that is hidden would be missed more.
            None => (rest / 3).clamp(3, 12).min(rest.saturating_sub(alerts + wanted).max(SHORT_LOG)),
        };
        let stack = wanted.min(rest.saturating_sub(alerts + least_log)).max(2);
        let [header, stack, alerts, log, parts, footer] = Layout::vertical([
            Constraint::Length(header),
            Constraint::Length(stack),
            Constraint::Length(alerts),
            Constraint::Fill(1),
            Constraint::Length(parts),
            Constraint::Length(1),
        ])
        .areas(area);
        Areas { header, stack, alerts, log, parts, footer }
    }
}

impl Widget for &Screen<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        if is_small(area) && self.ui.place().sheet.is_some() {
            self.sheet(area, buf);
        } else if is_small(area) {
            header::small(self, area, buf);
        } else {
            self.panes(area, buf);
        }
        if self.ui.theme.ascii {
            text::only_ascii(area, buf);
        }
    }
}

impl Screen<'_> {
    /// What fills the screen.
    fn sheet(&self, area: Rect, buf: &mut Buffer) {
        timeline::render(self, area, buf);
        sheet::render(self, area, buf);
    }

    fn panes(&self, area: Rect, buf: &mut Buffer) {
        let areas = self.areas(area);
        let form = PartsForm::of(self, area);
        header::render(self, areas.header, buf);
        if self.ui.place().sheet.is_some() {
            self.sheet(areas.below_header(), buf);
        } else if let (true, Focus::Part(part)) = (self.ui.parts.open, self.ui.focus) {
            parts::full(self, part, areas.below_header(), buf);
        } else {
            self.build(&areas, form, buf);
            parts::render(self, form, areas.parts, buf);
        }
        footer::render(self, areas.footer, buf);
        overlay::render(self, area, buf);
    }

    /// The stack, what must not be missed of it, and its log.
    fn build(&self, areas: &Areas, form: PartsForm, buf: &mut Buffer) {
        stack::render(self, areas.stack, buf);
        alerts::render(self, areas.alerts, buf);
        let looking_elsewhere = self.ui.cursor.is_some() || self.ui.log.top.is_some();
        if let Some(part) = parts::instead_of_log(self, form) {
            parts::tabs(self, part, areas.log, buf);
            return;
        }
        match self.model.failure() {
            Some(failure) if !looking_elsewhere => failure::render(self, &failure, areas.log, buf),
            None if !looking_elsewhere && self.is_over() => summary::render(self, areas.log, buf),
            _ if self.model.is_plan() => planned::render(self, areas.log, buf),
            _ => log::render(self, areas.log, buf),
        }
    }
}

fn is_small(area: Rect) -> bool {
    area.width < LEAST.0 || area.height < LEAST.1
}

/// Whether anything on the screen changes by itself as time goes by.
pub fn ticks(model: &Model) -> bool {
    model.outcome() == Outcome::Running && model.begun().is_some()
}

/// Whether there is something whose age is seen: it grows while nothing is heard, and that is when it matters.
pub fn ages(model: &Model) -> bool {
    // In a plan: that of the last build.
    if model.last_build().is_some() {
        return true;
    }
    let (registry, builder) = (model.registry().newest(), model.builder().snapshot());
    registry.is_some() || builder.is_some() || model.cluster().snapshot().is_some()
}

/// The rows of the stack as they are shown.
fn shown_rows(screen: &Screen<'_>) -> Vec<rows::RowId> {
    rows::visible(screen.model, &screen.ui.filter)
}
