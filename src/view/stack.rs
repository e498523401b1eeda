//! The stack: a row an instruction, its layer to the left, a column a platform.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::{Screen, shown_rows, text};
use crate::event::{Platform, Text};
use crate::model::{Estimate, InstructionRow, Outcome, State, StepEstimate, StepId};
use crate::report::estimate;
use crate::report::words::{self, Role, Sign};
use crate::ui::rows::{self, RowId};
use crate::ui::{Focus, heading};

/// A line of the pane: the heading of a stage that is not the image, or a row.
enum StackEntry {
    Stage(String),
    Row(RowId),
}

/// How wide the parts of a row are.
struct StackWidths {
    layer: usize,
    instruction: usize,
    cell: usize,
}

fn entries(screen: &Screen<'_>) -> Vec<StackEntry> {
    let finals: Vec<bool> = screen.model.stack().groups().iter().map(|g| screen.model.is_final(g)).collect();
    let several = finals.iter().filter(|is_final| **is_final).count() > 1;
    let mut entries = Vec::new();
    let mut last: Option<RowId> = None;
    for id in shown_rows(screen) {
        if rows::first_of_group(last.as_ref(), id)
            && let Some(group) = rows::group(screen.model, id)
        {
            let is_final = screen.model.is_final(group);
            // A target of `docker buildx bake` is mostly named as its stage is.
            let stage = group.stage.as_ref().filter(|stage| Some(*stage) != group.target.as_ref());
            let names = ["image", "stage"].into_iter().skip(usize::from(!is_final)).take(1);
            let names = names.chain(group.target.as_ref().into_iter().chain(stage).map(Text::as_str));
            if !is_final || several {
                entries.push(StackEntry::Stage(names.collect::<Vec<_>>().join(" ")));
            }
        }
        entries.push(StackEntry::Row(id));
        last = Some(id);
    }
    entries
}

/// How many lines the whole stack takes.
pub(super) fn height(screen: &Screen<'_>) -> usize {
    entries(screen).len().max(1)
}

pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let platforms = screen.model.platforms();
    let entries = entries(screen);
    let estimate = screen.estimate();
    let widths = widths(screen, usize::from(area.width), platforms.len(), &entries);
    let height = usize::from(area.height.saturating_sub(1));
    let first = first_line(screen, &entries, height);
    let hidden = (first, entries.len().saturating_sub(first + height));
    head(screen, &widths, &platforms, hidden, area, buf);
    let mut layer_above = Some("");
    for (line, entry) in entries.iter().skip(first).take(height).enumerate() {
        let place = Rect { y: area.y + 1 + line as u16, height: 1, ..area };
        match entry {
            StackEntry::Stage(name) => {
                layer_above = Some("");
                let name = words::truncate(name, usize::from(area.width.saturating_sub(1)));
                buf.set_string(place.x + 1, place.y, name, screen.ui.theme.style(Role::Dim));
            }
            StackEntry::Row(id) => {
                let Some(row) = rows::row(screen.model, *id) else { continue };
                let layer = row.layer.as_ref().map(Text::as_str);
                // What belongs to no layer does not look like a part of the one above it.
                let named = match layer {
                    _ if layer == layer_above => "",
                    Some(layer) => layer,
                    None => screen.ui.theme.pick("·", "."),
                };
                layer_above = layer;
                draw_row(screen, *id, row, named, &widths, &platforms, estimate, place, buf);
            }
        }
    }
    if entries.is_empty() {
        let word =
            if screen.ui.filter.is_empty() { "no step is known yet" } else { "no layer holds that text" };
        buf.set_string(area.x + 1, area.y + 1, word, screen.ui.theme.style(Role::Dim));
    }
}

fn widths(screen: &Screen<'_>, width: usize, columns: usize, entries: &[StackEntry]) -> StackWidths {
    let names = entries.iter().filter_map(|entry| match entry {
        StackEntry::Row(id) => {
            rows::row(screen.model, *id)?.layer.as_ref().map(|layer| words::width(layer.as_str()))
        }
        StackEntry::Stage(_) => None,
    });
    let layer = names.max().unwrap_or(0).clamp(5, 16).min(width / 5) + 1;
    // Shape, word, time and bytes where there is room for a readable instruction as well; else without bytes; else what fits.
    let cell = match width.saturating_sub(layer) / columns.max(1) {
        _ if width >= 76 + columns * 32 => 32,
        each if each >= 46 => 22,
        each if each >= 30 => 18,
        each => (each / 2).clamp(3, 15),
    };
    let instruction = width.saturating_sub(layer + columns * cell + 2).max(1);
    StackWidths { layer, instruction, cell }
}

fn head(
    screen: &Screen<'_>,
    widths: &StackWidths,
    platforms: &[Option<Platform>],
    hidden: (usize, usize),
    area: Rect,
    buf: &mut Buffer,
) {
    let theme = screen.ui.theme;
    let focused = screen.ui.focus == Focus::Stack;
    let style = theme.style(if focused { Role::Strong } else { Role::Plain });
    let mut left = Line::from(Span::styled("Stack", style));
    if screen.model.is_plan() {
        left.push_span(Span::styled(" · what a build would do", theme.style(Role::Dim)));
    }
    text::scroll_hint(theme, &mut left, hidden, area.width);
    if !screen.ui.filter.is_empty() {
        left.push_span(Span::styled(format!(" · only {:?}", screen.ui.filter), theme.style(Role::Warn)));
    }
    text::title(theme, focused, left, "", area, buf);
    for (i, platform) in platforms.iter().enumerate() {
        let x = area.x + (1 + widths.layer + widths.instruction + 1 + i * widths.cell) as u16;
        let name = heading(platform.as_ref(), platforms.len());
        let unnamed = if platforms.len() > 1 { "none" } else { name };
        let short = platform.as_ref().map_or(unnamed, Platform::short);
        let name = if words::width(name) + 2 < widths.cell { name } else { short };
        let name = words::truncate(&format!("{name} "), widths.cell);
        buf.set_string(x, area.y, format!(" {name}"), style);
    }
}

/// Which entry stands first, so that what matters is in sight: the selection, else what runs or failed, else what comes next.
fn first_line(screen: &Screen<'_>, entries: &[StackEntry], height: usize) -> usize {
    let model = screen.model;
    let wanted = |id: &RowId| match screen.ui.cursor {
        Some(cursor) => cursor == *id,
        None if model.is_plan() => {
            rows::row(model, *id).is_some_and(|row| row.steps.iter().any(|step| model.missed(*step)))
        }
        None => rows::row(model, *id).is_some_and(|row| {
            let open = |state| matches!(state, State::Running | State::Failed | State::Cancelled);
            row.steps.iter().any(|step| open(model.state(*step)))
        }),
    };
    let at = entries.iter().position(|entry| matches!(entry, StackEntry::Row(id) if wanted(id)));
    let next = || {
        entries.iter().position(|entry| {
            let StackEntry::Row(id) = entry else { return false };
            model.outcome() == Outcome::Running
                && rows::row(model, *id)
                    .is_some_and(|r| r.steps.iter().any(|s| model.state(*s) == State::Waiting))
        })
    };
    let at = at.or_else(next).unwrap_or(0);
    at.saturating_sub(height.saturating_sub(1) * 2 / 3).min(entries.len().saturating_sub(height))
}

#[expect(
    clippy::too_many_arguments,
    reason = "a row is drawn from just these, and they are of one place only"
)]
fn draw_row(
    screen: &Screen<'_>,
    id: RowId,
    row: &InstructionRow,
    layer: &str,
    widths: &StackWidths,
    platforms: &[Option<Platform>],
    estimate: &Estimate,
    area: Rect,
    buf: &mut Buffer,
) {
    let theme = screen.ui.theme;
    let selected = screen.ui.cursor == Some(id);
    let mut x = area.x + 1;
    let name = words::truncate(layer, widths.layer - 1);
    buf.set_string(x, area.y, name, theme.style(Role::Strong));
    x += widths.layer as u16;
    let text = words::truncate(&words::instruction(row.instruction.as_str()), widths.instruction);
    let quiet = !row
        .steps
        .iter()
        .any(|s| matches!(screen.model.state(*s), State::Running | State::Failed) || screen.model.missed(*s));
    let style = theme.style(if quiet && !selected { Role::Dim } else { Role::Plain });
    buf.set_string(x, area.y, text, if selected { theme.cursor() } else { style });
    x += widths.instruction as u16 + 1;
    for (column, platform) in platforms.iter().enumerate() {
        let place = Rect { x, width: (widths.cell as u16).min(area.right().saturating_sub(x)), ..area };
        let marked = selected && column == screen.ui.column.min(platforms.len() - 1);
        let cell = screen.model.stack().cell(row, platform.as_ref());
        // The builder names the steps of one platform after the other's; until then the Dockerfile's word holds.
        let unheard = || {
            screen.model.outcome() == Outcome::Running
                && !screen.model.stack().steps().any(|(_, step)| screen.model.platform_of(step) == *platform)
        };
        // A step that runs for another platform only has nothing to say in this column.
        if cell.is_some() || screen.model.stack().may_stand(row, platform.as_ref()) || unheard() {
            let told = cell.and_then(|id| estimate.steps.get(&id));
            cell_line(screen, cell, told, usize::from(place.width), marked).render(place, buf);
        }
        x += widths.cell as u16;
    }
}

fn cell_line(
    screen: &Screen<'_>,
    cell: Option<StepId>,
    told: Option<&StepEstimate>,
    width: usize,
    marked: bool,
) -> Line<'static> {
    let (model, theme) = (screen.model, screen.ui.theme);
    let state = match cell {
        Some(id) => model.state(id),
        None => model.state_before_start(),
    };
    let look = match cell {
        Some(id) => Sign::of_step(model, id),
        None if model.is_plan() => Sign::LOOKING,
        None => Sign::of_state(state),
    };
    let slow = told.and_then(|told| told.slower).filter(|_| state == State::Running);
    let look = if slow.is_some() { estimate::SLOW } else { look };
    let shape = look.shape(theme.ascii);
    let style = if marked { theme.cursor() } else { theme.style(look.role) };
    let time = cell.map(|id| model.took(id, screen.now));
    let took = match (state, time) {
        (State::Running | State::Miss | State::Failed | State::Cancelled, Some(took)) => {
            words::duration(took)
        }
        (State::Hit, Some(took)) if !took.is_zero() => words::duration(took),
        (State::Waiting, _) => expected(screen, cell),
        _ => String::new(),
    };
    let bytes = cell.map_or(0, |id| model.pulled_bytes(id));
    let bytes = if bytes > 0 { words::bytes(bytes) } else { String::new() };
    let mut spans = vec![Span::styled(format!("{shape} "), style)];
    // What is slower than it ever was is not measured by what it mostly takes.
    let left = match (told, slow) {
        (_, Some(factor)) => words::times(factor, theme.ascii),
        (Some(told), None) => estimate::step(told, theme.ascii),
        (None, None) => String::new(),
    };
    if width >= 30 {
        match told.filter(|_| state == State::Running && slow.is_none()) {
            Some(told) => spans.extend(bar(screen, told, look.word, style)),
            None => spans.push(Span::styled(format!("{:<12}", look.word), style)),
        }
        spans.push(Span::styled(format!("{took:>7}"), theme.style(Role::Plain)));
        // What runs has fetched nothing for itself.
        let (last, role) = if left.is_empty() { (bytes, Role::Dim) } else { (left, Role::Plain) };
        spans.push(Span::styled(format!("{last:>9}"), theme.style(role)));
    } else if let Some(line) = estimated(look.word, &took, &left, width) {
        // The time that is left says more than the time that has passed, which stands above.
        spans.push(Span::styled(line, style));
    } else if width >= 14 {
        // Word to the left, time to the right: columns of times can be compared.
        let room = width.saturating_sub(4);
        let left = match words::width(&took) {
            0 => room,
            time => room.saturating_sub(time + 1),
        };
        // Half a word says less than a shorter one.
        let short = (look.word == "rebuild").then_some("run").filter(|_| room < REBUILD_ROOM);
        let word = fitting(short.unwrap_or(look.word), left);
        let gap = room.saturating_sub(words::width(&word));
        spans.push(Span::styled(word, style));
        spans.push(Span::styled(format!("{took:>gap$}"), theme.style(Role::Plain)));
    } else {
        // Half a time is another time, and a part of a word says less than the shape.
        let room = width.saturating_sub(3);
        let first = look.word.split(' ').next().unwrap_or_default();
        let fits = |text: &&str| !text.is_empty() && words::width(text) <= room;
        let text = [took.as_str(), look.word, first].into_iter().find(fits).unwrap_or_default();
        spans.push(Span::styled(text.to_owned(), style));
    }
    Line::from(spans)
}

/// What a plan says of a step that would run, with a time of any length behind it, takes so many columns.
const REBUILD_ROOM: usize = 16;

/// A running step's word with a bar of how far it is.
fn bar(screen: &Screen<'_>, told: &StepEstimate, word: &str, style: Style) -> [Span<'static>; 3] {
    const WIDTH: usize = 12;
    let theme = screen.ui.theme;
    let columns = WIDTH.saturating_sub(words::width(word) + 2);
    let filled = estimate::filled(told, columns);
    let rest = theme.pick("░", ".").repeat(columns - filled);
    [
        Span::styled(format!("{word} "), style),
        Span::styled(theme.pick("▓", "#").repeat(filled), style),
        Span::styled(format!("{rest} "), theme.style(Role::Dim)),
    ]
}

/// What is estimated of a step where there is little room: the word and the time that is left, with the time that has passed
/// where that fits as well; none where nothing is, or where not even the time fits.
fn estimated(word: &str, took: &str, left: &str, width: usize) -> Option<String> {
    let room = width.checked_sub(4).filter(|_| !left.is_empty())?;
    let fill = |first: &str| {
        let gap = room.checked_sub(words::width(first) + words::width(left))?;
        (gap > 0 || first.is_empty()).then(|| format!("{first}{}{left}", " ".repeat(gap)))
    };
    let both = if took.is_empty() { word.to_owned() } else { format!("{word} {took}") };
    fill(&both).or_else(|| fill(word)).or_else(|| fill(took)).or_else(|| fill(""))
}

/// How long a step of a plan would run.
fn expected(screen: &Screen<'_>, cell: Option<StepId>) -> String {
    let time = cell.map(|id| screen.model.planned_time(id)).unwrap_or_default();
    let about = screen.ui.theme.pick("≈", "~");
    // What takes no time to speak of would hide what does.
    if time < std::time::Duration::from_millis(100) {
        String::new()
    } else {
        format!("{about} {}", words::duration(time))
    }
}

/// The words of a state, or where they don't fit the first of them: `hit` of `hit registry`.
fn fitting(all: &str, room: usize) -> String {
    let first = || all.split(' ').next().unwrap_or_default();
    words::truncate(if words::width(all) <= room { all } else { first() }, room)
}
