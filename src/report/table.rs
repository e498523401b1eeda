//! The stack as a table: a row a layer, a column a platform.

use std::time::Duration;

use super::styled::StyledLine;
use super::words::{self, Role, Sign};
use crate::event::{Platform, Time};
use crate::model::{InstructionRow, Model, StageGroup, State, StepId};

/// Columns of a label at most; longer instructions are cut.
const LABEL_WIDTH: usize = 32;

/// What became of a layer on one platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerCell {
    /// The state that says most among its steps.
    pub state: State,
    /// How it is shown.
    pub sign: Sign,
    /// Time of work and of pulls together; zero for what was there.
    pub time: Duration,
    /// Bytes fetched.
    pub bytes: u64,
}

/// Makes the cell of a layer's rows on a platform.
pub(super) type MakeCell<'a> = &'a dyn Fn(&[InstructionRow], Option<&Platform>) -> Option<LayerCell>;

/// Consecutive steps of one layer; a step of no layer has a row of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRow {
    /// The layer's name, or the instruction.
    pub label: String,
    /// A cell a platform; none where the layer is not built for it.
    pub cells: Vec<Option<LayerCell>>,
}

impl LayerRow {
    /// The longest time that it took on a platform where it was built.
    pub fn worst(&self) -> Duration {
        self.cells.iter().flatten().map(|cell| cell.time).max().unwrap_or_default()
    }

    /// Whether it was in the cache nowhere, or not everywhere.
    pub fn missed(&self) -> bool {
        let missed = |c: &LayerCell| matches!(c.state, State::Miss | State::Failed | State::Cancelled);
        self.cells.iter().flatten().any(missed)
    }
}

/// The rows of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSection {
    /// Its name; none where there is one stage only.
    pub title: Option<String>,
    /// Its layers, in order.
    pub rows: Vec<LayerRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTable {
    /// The columns' titles; one that is empty for a build whose platform nobody named.
    pub platforms: Vec<String>,
    /// The stages, those that become an image first.
    pub sections: Vec<TableSection>,
}

impl LayerTable {
    /// The table as it stands at `now`.
    pub fn of(model: &Model, now: Time) -> Self {
        Self::with(model, &|rows, column| cell(model, rows, column, now))
    }

    /// A table of the same rows, with other cells.
    pub(super) fn with(model: &Model, cell: MakeCell<'_>) -> Self {
        let columns = model.platforms();
        let groups: Vec<&StageGroup> = shown_groups(model);
        let many = groups.len() > 1;
        let section = |group: &&StageGroup| TableSection {
            title: many.then(|| group_title(group)),
            rows: group
                .rows
                .chunk_by(|a, b| a.layer.is_some() && a.layer == b.layer)
                .map(|rows| layer_row(rows, &columns, cell))
                // A step that neither the Dockerfile nor the stream has told of: there is nothing to say about it.
                .filter(|row| !row.label.is_empty())
                .collect(),
        };
        Self { platforms: titles(&columns), sections: groups.iter().map(section).collect() }
    }

    pub fn rows(&self) -> impl Iterator<Item = &LayerRow> {
        self.sections.iter().flat_map(|section| &section.rows)
    }

    /// The table as lines.
    pub fn lines(&self, ascii: bool) -> Vec<StyledLine> {
        let layout = TableWidths::of(self, self.rows(), "layer", ascii);
        let mut lines: Vec<_> = layout.heading(&self.platforms).into_iter().collect();
        for section in &self.sections {
            if let Some(title) = &section.title {
                lines.push(StyledLine::new().with(title, Role::Dim));
            }
            lines.extend(section.rows.iter().map(|row| layout.row(row)));
        }
        lines
    }
}

fn titles(columns: &[Option<Platform>]) -> Vec<String> {
    let unnamed = if columns.len() > 1 { words::NO_PLATFORM } else { "" };
    columns.iter().map(|p| p.as_ref().map_or_else(|| unnamed.to_owned(), ToString::to_string)).collect()
}

/// The stages that the build has to do with: those that the stream spoke of, or all while it has not spoken.
pub(super) fn shown_groups(model: &Model) -> Vec<&StageGroup> {
    let groups = model.groups();
    let any_seen = groups.iter().any(|(group, _)| group.seen);
    groups.into_iter().map(|(group, _)| group).filter(|group| group.seen || !any_seen).collect()
}

/// The steps of a row in the order of the columns.
pub(super) fn by_column(model: &Model, columns: &[Option<Platform>], row: &InstructionRow) -> Vec<StepId> {
    let place = |id: &StepId| {
        let step = model.stack().step(*id);
        columns.iter().position(|column| step.is_some_and(|step| model.platform_of(step) == *column))
    };
    let mut steps = row.steps.clone();
    steps.sort_by_key(place);
    steps
}

fn group_title(group: &StageGroup) -> String {
    let stage =
        group.stage.as_ref().map_or("stage without a name".to_owned(), |name| format!("stage {name}"));
    match &group.target {
        None => stage,
        // A target of `docker buildx bake` is mostly named as its stage is.
        Some(target) if group.stage.as_ref() == Some(target) => format!("target {target}"),
        Some(target) => format!("{stage} of target {target}"),
    }
}

fn layer_row(rows: &[InstructionRow], columns: &[Option<Platform>], cell: MakeCell<'_>) -> LayerRow {
    let first = rows.first();
    let label = first.map(|row| match &row.layer {
        Some(layer) => layer.to_string(),
        None => words::instruction(row.instruction.as_str()).into_owned(),
    });
    LayerRow {
        label: label.unwrap_or_default(),
        cells: columns.iter().map(|column| cell(rows, column.as_ref())).collect(),
    }
}

fn cell(model: &Model, rows: &[InstructionRow], column: Option<&Platform>, now: Time) -> Option<LayerCell> {
    let steps: Vec<_> = rows.iter().filter_map(|row| model.stack().cell(row, column)).collect();
    if steps.is_empty() && rows.iter().all(|row| model.stack().may_stand(row, column)) {
        let state = model.state_before_start();
        let sign = Sign::of_state(state);
        return Some(LayerCell { state, sign, time: Duration::ZERO, bytes: 0 });
    }
    let telling = *steps.iter().max_by_key(|id| model.state(**id).weight())?;
    Some(LayerCell {
        state: model.state(telling),
        sign: Sign::of_step(model, telling),
        time: steps.iter().map(|id| model.took(*id, now)).sum(),
        bytes: steps.iter().map(|id| model.pulled_bytes(*id)).sum(),
    })
}

/// The widths of a table's columns.
pub(super) struct TableWidths {
    label: usize,
    word: usize,
    time: usize,
    bytes: usize,
    title: usize,
    /// What stands above the labels.
    head: &'static str,
    ascii: bool,
}

impl TableWidths {
    pub(super) fn of<'a>(
        table: &LayerTable,
        rows: impl Iterator<Item = &'a LayerRow>,
        head: &'static str,
        ascii: bool,
    ) -> Self {
        let title = table.platforms.iter().map(|name| words::width(name)).max().unwrap_or(0);
        let mut layout = Self { label: words::width(head), word: 0, time: 0, bytes: 0, title, head, ascii };
        for row in rows {
            layout.label = layout.label.max(words::width(&row.label)).min(LABEL_WIDTH);
            for cell in row.cells.iter().flatten() {
                layout.word = layout.word.max(words::width(cell.sign.word));
                layout.time = layout.time.max(words::width(&time(cell)));
                layout.bytes = layout.bytes.max(words::width(&bytes(cell)));
            }
        }
        layout
    }

    /// The layout for a screen of so many columns: labels are cut first, then bytes are left out.
    pub(super) fn fit(mut self, platforms: usize, columns: usize) -> Self {
        const LEAST_LABEL: usize = 12;
        let excess = |this: &Self| (this.label + platforms * (3 + this.cell_width())).saturating_sub(columns);
        self.label -= excess(&self).min(self.label.saturating_sub(LEAST_LABEL));
        if excess(&self) > 0 {
            self.bytes = 0;
        }
        self
    }

    /// Columns that one platform takes.
    fn cell_width(&self) -> usize {
        let gap = |n: usize| if n == 0 { 0 } else { n + 2 };
        (2 + self.word + gap(self.time) + gap(self.bytes)).max(self.title)
    }

    /// The titles; none where there is but one column and nobody named its platform.
    pub(super) fn heading(&self, platforms: &[String]) -> Option<StyledLine> {
        if platforms.iter().all(String::is_empty) {
            return None;
        }
        let mut line = StyledLine::new().with(words::pad_right(self.head, self.label), Role::Dim);
        for name in platforms {
            line.push(format!("   {}", words::pad_right(name, self.cell_width())), Role::Dim);
        }
        Some(line)
    }

    pub(super) fn row(&self, row: &LayerRow) -> StyledLine {
        let label = words::cut_to(&row.label, self.label, self.ascii);
        let mut line = StyledLine::new().with(words::pad_right(&label, self.label), Role::Plain);
        for cell in &row.cells {
            line.push("   ", Role::Plain);
            let Some(cell) = cell else {
                line.push(" ".repeat(self.cell_width()), Role::Plain);
                continue;
            };
            let shape = cell.sign.shape(self.ascii);
            let mut numbers = String::new();
            for (text, width) in [(time(cell), self.time), (bytes(cell), self.bytes)] {
                if width > 0 {
                    numbers.push_str("  ");
                    numbers.push_str(&words::pad_left(&text, width));
                }
            }
            let used = 2 + self.word + words::width(&numbers);
            numbers.push_str(&" ".repeat(self.cell_width().saturating_sub(used)));
            line.push(format!("{shape} {}", words::pad_right(cell.sign.word, self.word)), cell.sign.role);
            line.push(numbers, Role::Plain);
        }
        line
    }
}

fn time(cell: &LayerCell) -> String {
    if cell.time.is_zero() { String::new() } else { words::duration(cell.time) }
}

fn bytes(cell: &LayerCell) -> String {
    if cell.bytes == 0 { String::new() } else { words::bytes(cell.bytes) }
}
