//! The rows of the stack as they are shown, and moving among them.

use super::keys::Action;
use crate::model::{InstructionRow, Model, StageGroup, StepId};

/// A row by its place, which may be another's, or nobody's, when the stack is built anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowId {
    group: usize,
    row: usize,
}

/// The row at this place.
pub fn row(model: &Model, id: RowId) -> Option<&InstructionRow> {
    model.stack().groups().get(id.group)?.rows.get(id.row)
}

/// The stage that a row stands in.
pub fn group(model: &Model, id: RowId) -> Option<&StageGroup> {
    model.stack().groups().get(id.group)
}

/// Whether a row is the first of its stage.
pub fn first_of_group(a: Option<&RowId>, b: RowId) -> bool {
    a.is_none_or(|a| a.group != b.group)
}

/// The place of a step.
pub fn find(model: &Model, step: StepId) -> Option<RowId> {
    let groups = model.stack().groups().iter().enumerate();
    groups
        .flat_map(|(group, g)| g.rows.iter().enumerate().map(move |(row, r)| (RowId { group, row }, r)))
        .find(|(_, row)| row.steps.contains(&step))
        .map(|(id, _)| id)
}

/// The rows in the order in which they are shown: the image's stages first; of all, those that hold the filter's text in
/// their layer, instruction, stage, or the word of a state.
pub fn visible(model: &Model, filter: &str) -> Vec<RowId> {
    let wanted = filter.to_lowercase();
    let mut ids = Vec::new();
    for (shown, _) in model.groups() {
        let Some(group) = model.stack().groups().iter().position(|g| std::ptr::eq(g, shown)) else {
            continue;
        };
        for (row, r) in shown.rows.iter().enumerate() {
            if wanted.is_empty() || holds(model, shown, r, &wanted) {
                ids.push(RowId { group, row });
            }
        }
    }
    ids
}

fn holds(model: &Model, group: &StageGroup, row: &InstructionRow, wanted: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(wanted);
    has(row.instruction.as_str())
        || row.layer.as_ref().or(group.stage.as_ref()).is_some_and(|text| has(text.as_str()))
        || row.steps.iter().any(|id| match model.planned(*id) {
            Some(planned) => planned.predicted.key() == wanted,
            None => model.state(*id).key() == wanted,
        })
}

/// The row that a movement leads to.
pub(super) fn travel(
    model: &Model,
    filter: &str,
    from: Option<RowId>,
    action: Action,
    page: usize,
) -> Option<RowId> {
    let ids = visible(model, filter);
    let last = ids.len().checked_sub(1)?;
    let at = from.and_then(|from| ids.iter().position(|id| *id == from)).unwrap_or(0);
    let to = match action {
        Action::Up => at.saturating_sub(1),
        Action::Down => at + 1,
        Action::PageUp => at.saturating_sub(page),
        Action::PageDown => at + page,
        Action::First => 0,
        Action::Last => last,
        _ => at,
    };
    ids.get(to.min(last)).copied()
}
