//! How steps are named outside of the stack's pane.

use super::words;
use crate::event::Warning;
use crate::model::{Model, Step, StepId, VertexId};

/// The step as it stands before each of its lines: `[amd64  7/11 pip]`.
pub fn of_step(model: &Model, id: StepId, step: &Step) -> String {
    of_twins(model, id, step, &[id])
}

/// A step and its twins on other platforms: `[amd64, arm64  7/11 pip]`.
pub fn of_twins(model: &Model, id: StepId, step: &Step, twins: &[StepId]) -> String {
    let name = &step.name;
    let digits = name.of.max(1).ilog10() as usize + 1;
    let mut words: Vec<String> = name.target.iter().map(ToString::to_string).collect();
    let platforms = twins.iter().filter_map(|id| model.platform_of(model.stack().step(*id)?));
    let platforms: Vec<String> = platforms.map(|platform| platform.short().to_owned()).collect();
    words.extend((!platforms.is_empty()).then(|| platforms.join(", ")));
    // A target of `docker buildx bake` is mostly named as its stage is.
    words.extend(
        name.stage.iter().filter(|stage| Some(*stage) != name.target.as_ref()).map(ToString::to_string),
    );
    words.push(format!("{:>digits$}/{}", name.index, name.of));
    words.extend(model.stack().row_of(id).and_then(|row| row.layer.as_ref()).map(ToString::to_string));
    format!("[{}]", words.join(" "))
}

/// What a vertex does: the step's label and instruction, or the vertex's own name.
pub fn of_vertex(model: &Model, id: VertexId) -> String {
    let step = model.step_of(id).and_then(|step| Some((step, model.stack().step(step)?)));
    match step {
        Some((id, step)) => {
            format!("{} {}", of_step(model, id, step), words::instruction(step.name.instruction.as_str()))
        }
        None => model.vertex(id).map_or(String::new(), |vertex| vertex.name.to_string()),
    }
}

/// A finding and its place, on one line.
pub fn of_warning(warning: &Warning) -> String {
    let short = warning.short.as_str();
    let Some(file) = &warning.file else { return short.to_owned() };
    // `BuildKit` says the line at the end of some findings.
    let Some(line) = warning.line else { return format!("{short} ({file})") };
    let short = short.strip_suffix(&format!(" (line {line})")).unwrap_or(short);
    format!("{short} ({file}:{line})")
}
