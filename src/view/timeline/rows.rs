//! The lines of the timeline, and what is written beside the bars.

use std::collections::HashMap;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::Chart;
use crate::event::Text;
use crate::model::name::keyword;
use crate::model::timeline::{BarKind, Lane, LaneSection};
use crate::model::{Model, State, Timeline};
use crate::report::estimate;
use crate::report::words::{self, Role, Sign};

/// Of less than this share of the build the foot says nothing.
const LEAST_SHARE: f64 = 0.02;

/// Steps that the foot names as worth being hits.
const MOST_GAINS: usize = 4;

/// A lane that took less than this share of the build has no bar to speak of.
const SHORT_SHARE: f64 = 0.01;

/// Where a label is wider than this, the instruction stands in it too.
const INSTRUCTIONS: u16 = 33;

/// Columns of a name in the foot.
const NAME: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChartRow {
    /// What the lines below have in common: a platform, a stage.
    Heading(String),
    /// A lane, by its number.
    Lane(usize),
    /// Several that follow each other and took next to no time.
    Short(Vec<usize>),
    /// Times in which nothing was at work.
    Idle,
}

/// The lines. Where there is no room for all of them, those that took next to no time share one.
pub(super) fn rows(model: &Model, timeline: &Timeline, height: usize) -> Vec<ChartRow> {
    let all = listed(model, timeline, false);
    if all.len() <= height { all } else { listed(model, timeline, true) }
}

fn listed(model: &Model, timeline: &Timeline, short: bool) -> Vec<ChartRow> {
    let ended = model.ended().is_some();
    let several = model.platforms().len() > 1;
    let mut rows = Vec::new();
    let mut last: Option<String> = None;
    for (at, lane) in timeline.lanes.iter().enumerate() {
        // What never began in a build that is over was not needed, or not reached.
        if lane.bars.is_empty() && (ended || lane.step.is_none()) {
            continue;
        }
        let heading = heading(lane, several);
        if heading != last {
            rows.extend(heading.clone().map(ChartRow::Heading));
            last = heading;
        }
        let is_short = short
            && !lane.bars.is_empty()
            && lane.bars.iter().all(|bar| !bar.open && bar.kind != BarKind::Failed)
            && lane.took.as_secs_f64() < timeline.length().as_secs_f64() * SHORT_SHARE;
        match rows.last_mut() {
            Some(ChartRow::Short(lanes)) if is_short => lanes.push(at),
            _ if is_short => rows.push(ChartRow::Short(vec![at])),
            _ => rows.push(ChartRow::Lane(at)),
        }
    }
    let idle: Duration = timeline.idle.iter().map(|(start, end)| end.since(*start)).sum();
    if ended && idle.as_secs_f64() > timeline.length().as_secs_f64() * LEAST_SHARE {
        rows.push(ChartRow::Idle);
    }
    rows
}

fn heading(lane: &Lane, several: bool) -> Option<String> {
    if lane.section != LaneSection::Steps {
        return None;
    }
    let platform =
        || lane.platform.as_ref().map_or_else(|| words::NO_PLATFORM.to_owned(), ToString::to_string);
    let platform = several.then(platform);
    let parts: Vec<String> =
        platform.into_iter().chain(lane.stage.as_ref().map(ToString::to_string)).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

impl Chart<'_> {
    pub(super) fn row(&self, row: &ChartRow, area: Rect, buf: &mut Buffer) {
        let theme = self.screen.ui.theme;
        match row {
            ChartRow::Heading(text) => {
                let text = words::cut_to(text, area.width.into(), theme.ascii);
                buf.set_string(area.x, area.y, text, theme.style(Role::Dim));
            }
            ChartRow::Lane(at) => self.lane(*at, area, buf),
            ChartRow::Short(lanes) => self.short(lanes, area, buf),
            ChartRow::Idle => self.idle(area, buf),
        }
    }

    fn lane(&self, at: usize, area: Rect, buf: &mut Buffer) {
        let Some(lane) = self.timeline.lanes.get(at) else { return };
        let sign = Self::sign(lane);
        self.label(sign, &self.named(at, lane), instruction(lane), lane.critical, area, buf);
        let told = lane.step.and_then(|id| self.estimate.steps.get(&id));
        self.bars(lane, told, self.place(area), buf);
        let theme = self.screen.ui.theme;
        let took = match (lane.bars.is_empty(), told) {
            (true, Some(told)) => estimate::step(told, theme.ascii),
            (true, None) => String::new(),
            // What took no time to speak of has none.
            (false, _) if lane.took < Duration::from_millis(100) => String::new(),
            (false, _) => words::duration(lane.took),
        };
        let role = if lane.critical { Role::Plain } else { Role::Dim };
        let gain = self.timeline.gain(at).filter(|gain| *gain >= Duration::from_millis(100));
        let gain = gain.map(|gain| saved(gain, theme.ascii)).unwrap_or_default();
        self.numbers(&took, &gain, role, area, buf);
    }

    fn short(&self, lanes: &[usize], area: Rect, buf: &mut Buffer) {
        let at = lanes.first().copied().unwrap_or_default();
        let lanes: Vec<&Lane> = lanes.iter().filter_map(|at| self.timeline.lanes.get(*at)).collect();
        let Some(first) = lanes.first() else { return };
        let hits = lanes.iter().all(|lane| lane.state == Some(State::Hit));
        let text = match lanes.len() {
            1 => self.named(at, first),
            n if hits => words::count(n, "hit"),
            n => words::count(n, "short one"),
        };
        let instruction = if lanes.len() == 1 { instruction(first) } else { "" };
        self.label(Self::sign(first), &text, instruction, false, area, buf);
        for lane in &lanes {
            self.bars(lane, None, self.place(area), buf);
        }
    }

    fn idle(&self, area: Rect, buf: &mut Buffer) {
        let sign = Sign::of_state(State::Waiting);
        self.label(sign, "idle", "nothing was at work", false, area, buf);
        self.gaps(self.place(area), buf);
        let idle: Duration = self.timeline.idle.iter().map(|(start, end)| end.since(*start)).sum();
        self.numbers(&words::duration(idle), "", Role::Dim, area, buf);
    }

    /// Where the bars of a line are.
    fn place(&self, area: Rect) -> Rect {
        Rect { x: area.x + self.columns.label, width: self.columns.bars, ..area }
    }

    fn sign(lane: &Lane) -> Sign {
        match lane.state {
            Some(state) => Sign::of_state(state),
            None if lane.bars.iter().any(|bar| bar.open) => Sign::of_state(State::Running),
            // What is no step has no state; its shape is the one that says least.
            None => Sign { shape: " ", ascii: " ", ..Sign::of_state(State::Waiting) },
        }
    }

    /// Shape and name; where there is room, the instruction behind it.
    fn label(&self, sign: Sign, name: &str, more: &str, critical: bool, area: Rect, buf: &mut Buffer) {
        let theme = self.screen.ui.theme;
        let width = usize::from(self.columns.label).saturating_sub(3);
        let name_width = if self.has_instructions() { 14 } else { width };
        let style = theme.style(if critical { Role::Strong } else { Role::Plain });
        let mut spans = vec![
            Span::styled(format!("{} ", sign.shape(theme.ascii)), theme.style(sign.role)),
            Span::styled(words::pad_right(&words::cut_to(name, name_width, theme.ascii), name_width), style),
        ];
        if self.has_instructions() {
            let more = words::cut_to(more, width - name_width - 1, theme.ascii);
            spans.push(Span::styled(format!(" {more}"), theme.style(Role::Dim)));
        }
        Line::from(spans).render(Rect { width: self.columns.label.min(area.width), ..area }, buf);
    }

    /// What stands at the right.
    fn numbers(&self, took: &str, gain: &str, role: Role, area: Rect, buf: &mut Buffer) {
        let theme = self.screen.ui.theme;
        let right = area.x + self.columns.label + self.columns.bars;
        if self.columns.took > 0 {
            let took = words::pad_left(took, self.columns.took.into());
            buf.set_string(right, area.y, took, theme.style(role));
        }
        if self.columns.gain > 0 {
            let gain = words::pad_left(gain, self.columns.gain.into());
            buf.set_string(right + self.columns.took, area.y, gain, theme.style(Role::Good));
        }
    }

    /// What held the end up, what would save most as a hit, and what the shapes mean.
    pub(super) fn summary(&self, area: Rect, buf: &mut Buffer) {
        let theme = self.screen.ui.theme;
        let line = |title: &str, text: &str| {
            let room = usize::from(area.width).saturating_sub(words::width(title));
            Line::from(vec![
                Span::styled(title.to_owned(), theme.style(Role::Dim)),
                Span::raw(words::cut_to(text, room, theme.ascii)),
            ])
        };
        let mut lines = vec![line("held up by  ", &self.critical_path())];
        let gains = self.gains();
        if !gains.is_empty() {
            lines.push(line("as hits     ", &gains));
        }
        lines.push(self.legend());
        // The legend is what can be done without.
        for (line, row) in lines.iter().zip(area.rows()) {
            line.render(row, buf);
        }
    }

    /// What a lane is called beside its bars: where its instruction stands there too, that tells it from others of its layer.
    fn named(&self, at: usize, lane: &Lane) -> String {
        let columns = usize::from(self.columns.label).saturating_sub(3);
        match self.names.get(at).filter(|_| !self.has_instructions()) {
            Some(told) => told.fit(columns, self.screen.ui.theme.ascii),
            None => name(lane),
        }
    }

    /// Whether there is room for the instruction of each lane.
    fn has_instructions(&self) -> bool {
        self.columns.label > INSTRUCTIONS
    }

    /// `ffmpeg 3.0 s › node 1.4 s › pip 5.0 s`.
    fn critical_path(&self) -> String {
        let least = self.timeline.length().as_secs_f64() * LEAST_SHARE;
        let mut parts: Vec<(String, Duration)> = Vec::new();
        for on in &self.timeline.path {
            let Some(lane) = self.timeline.lanes.get(on.lane) else { continue };
            // Steps of a layer that follow each other are one.
            let name = words::cut_to(&name(lane), NAME, self.screen.ui.theme.ascii);
            match parts.last_mut() {
                Some((last, took)) if *last == name => *took += on.took,
                _ => parts.push((name, on.took)),
            }
        }
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, took)| took.as_secs_f64() >= least)
            .map(|(name, took)| format!("{name} {}", words::duration(took)))
            .collect();
        parts.join(self.screen.ui.theme.pick(" › ", " > "))
    }

    /// `pip −5.0 s · conda −2.0 s`, what is worth most first.
    fn gains(&self) -> String {
        let theme = self.screen.ui.theme;
        let mut gains: Vec<(String, Duration)> = Vec::new();
        for on in &self.timeline.path {
            if let (Some(name), Some(gain)) = (self.names.get(on.lane), on.gain) {
                gains.push((name.fit(NAME, theme.ascii), gain));
            }
        }
        gains.retain(|(_, gain)| *gain >= Duration::from_millis(100));
        gains.sort_by_key(|(_, gain)| std::cmp::Reverse(*gain));
        let part = |(name, gain): &(String, Duration)| format!("{name} {}", saved(*gain, theme.ascii));
        let parts: Vec<String> = gains.iter().take(MOST_GAINS).map(part).collect();
        parts.join(theme.pick(" · ", " - "))
    }
}

/// `−2.0 s`.
fn saved(gain: Duration, ascii: bool) -> String {
    format!("{}{}", if ascii { "-" } else { "−" }, words::duration(gain))
}

/// What a lane is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneName {
    /// Its layer, or what it does.
    text: String,
    /// What tells it from others that are called the same; mostly nothing.
    apart: String,
}

impl LaneName {
    /// The name in so many columns: what tells it from others is left whole.
    fn fit(&self, columns: usize, ascii: bool) -> String {
        let room = columns.saturating_sub(words::width(&self.apart)).max(1);
        words::cut_to(&format!("{}{}", words::cut_to(&self.text, room, ascii), self.apart), columns, ascii)
    }
}

/// What the lanes are called, so that no two of a platform and stage are called the same: where a layer has several steps, what
/// each of them does stands behind it, and its number where several do the same.
pub(super) fn names(lanes: &[Lane]) -> Vec<LaneName> {
    let place = |lane: &Lane| (lane.section, lane.platform.clone(), lane.stage.clone());
    let mut counts: HashMap<_, usize> = HashMap::new();
    for lane in lanes {
        *counts.entry((place(lane), name(lane))).or_default() += 1;
    }
    let mut seen: HashMap<_, usize> = HashMap::new();
    let named = |lane: &Lane| {
        let text = name(lane);
        let count = counts.get(&(place(lane), text.clone())).copied().unwrap_or_default();
        if lane.layer.is_none() || count < 2 {
            return LaneName { text, apart: String::new() };
        }
        let keyword = keyword(lane.label.as_str()).to_owned();
        let nth = seen.entry((place(lane), text.clone(), keyword.clone())).or_default();
        *nth += 1;
        let apart = if *nth > 1 { format!(" {keyword} {nth}") } else { format!(" {keyword}") };
        LaneName { text, apart }
    };
    lanes.iter().map(named).collect()
}

/// What a lane is called: its layer, or what it does, in a word or two.
fn name(lane: &Lane) -> String {
    if let Some(layer) = &lane.layer {
        return layer.to_string();
    }
    let kind = lane.bars.first().map(|bar| bar.kind);
    let label = lane.label.as_str();
    match (lane.section, kind) {
        (LaneSection::Steps, _) => words::instruction(label).into_owned(),
        (LaneSection::Before, Some(BarKind::Prepare)) if label.contains("build context") => {
            "context".to_owned()
        }
        (LaneSection::Before, Some(BarKind::Prepare)) if label.contains("definition") => "prepare".to_owned(),
        (_, Some(BarKind::Export)) => "export image".to_owned(),
        (_, Some(BarKind::CacheExport)) => "export cache".to_owned(),
        (LaneSection::After, Some(BarKind::Prepare)) if label.contains("provenance") => {
            "provenance".to_owned()
        }
        _ => label.to_owned(),
    }
}

/// The instruction of a lane that is called by its layer.
fn instruction(lane: &Lane) -> &str {
    lane.layer.as_ref().map_or("", |_| Text::as_str(&lane.label))
}
