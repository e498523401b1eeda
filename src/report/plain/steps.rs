//! What is told of a step: one line when it starts and one when it ends; only one where it was cached.

use super::{INSTRUCTION, PlainOutput, TimedLine};
use crate::event::Time;
use crate::model::{
    InstructionRow, Model, Phase, StageGroup, State, Step, StepId, Vertex, VertexId, VertexKind,
};
use crate::report::styled::StyledLine;
use crate::report::words::{self, Role, Sign};
use crate::report::{estimate, label, table};

/// What has been told of a step or another vertex.
#[derive(Debug, Default)]
pub(super) struct PrintedStep {
    pub(super) started: bool,
    pub(super) ended: bool,
    /// The name that its lines begin with: it stays the same, whatever the layer is called later.
    label: Option<String>,
}

/// When a vertex came to its end; an open one ends with the build.
pub(super) fn ended_at(vertex: &Vertex, build_ended: Option<Time>) -> Option<Time> {
    match vertex.phase() {
        Phase::Waiting => None,
        Phase::Running(_) => build_ended,
        // It may be fetched later, and starts again for that.
        Phase::Cached => vertex.started().map(rounded),
        // An import comes before the hits that it makes.
        Phase::Done if matches!(vertex.kind, VertexKind::CacheImport(_)) => vertex.completed().map(rounded),
        Phase::Done | Phase::Failed | Phase::Cancelled => {
            vertex.completed().or(vertex.started()).or(build_ended)
        }
    }
}

/// The solver finds hits from the last step to the first, all in the same moment: they are told as found at its
/// beginning. It is shorter than the time for which news are held back.
fn rounded(at: Time) -> Time {
    const MOMENT: i64 = 100_000;
    Time::from_micros(at.micros() - at.micros().rem_euclid(MOMENT))
}

impl PlainOutput {
    /// The name that the lines of a step begin with.
    pub(super) fn label(&self, model: &Model, id: StepId) -> String {
        let Some(step) = model.stack().step(id) else { return String::new() };
        let told = self.key(step).and_then(|key| self.steps.get(&key));
        told.and_then(|told| told.label.clone()).unwrap_or_else(|| label::of_step(model, id, step))
    }

    /// The vertex under which it is remembered what was told of a step.
    fn key(&self, step: &Step) -> Option<VertexId> {
        let known = step.vertices.iter().find(|id| self.steps.contains_key(id));
        known.or(step.vertices.first()).copied()
    }

    pub(super) fn steps(&mut self, model: &Model, now: Time, border: Time, lines: &mut Vec<TimedLine>) {
        // In the Dockerfile's order, so that steps that hit at one time are told in that order.
        let columns = model.platforms();
        let rows = model.stack().groups().iter().flat_map(|group| &group.rows);
        let steps = rows
            .flat_map(|row| table::by_column(model, &columns, row))
            .filter_map(|id| Some((id, model.stack().step(id)?)));
        for (id, step) in steps {
            let Some(key) = self.key(step) else { continue };
            let mut told = self.steps.remove(&key).unwrap_or_default();
            // Of what has been told to its end nothing is looked up again.
            let (start, end) = if told.ended {
                (None, None)
            } else if step.name.is_from() {
                base_span(model, id, step)
            } else {
                span(model, id, step)
            };
            let start = start.filter(|at| *at <= border && !told.started && !told.ended);
            let end = end.filter(|at| *at <= border && !told.ended);
            let talks = step.vertices.iter().any(|id| model.vertex(*id).is_some_and(|v| !v.log.is_empty()));
            if start.is_none() && end.is_none() && !talks {
                self.steps.insert(key, told);
                continue;
            }
            let name = told.label.take().unwrap_or_else(|| label::of_step(model, id, step));
            if let Some(at) = start {
                told.started = true;
                lines.push((at, self.start_line(model, id, &name, step)));
            }
            for vertex in &step.vertices {
                self.log(model, *vertex, &name, border, lines);
            }
            if let Some(at) = end {
                told.ended = true;
                if model.vertices_of(id).any(|vertex| vertex.log.clipped()) {
                    lines.push((at, clipped_line(&name)));
                }
                lines.push((at, self.end_line(model, id, &name, step, now)));
            }
            told.label = Some(name);
            self.steps.insert(key, told);
        }
    }

    fn what(&self, name: &str, step: &Step) -> StyledLine {
        let instruction = words::cut_to(
            &words::instruction(step.name.instruction.as_str()),
            INSTRUCTION,
            self.options.ascii,
        );
        StyledLine::new().with(format!("{name} "), Role::Strong).with(instruction, Role::Plain)
    }

    fn start_line(&self, model: &Model, id: StepId, name: &str, step: &Step) -> StyledLine {
        let line = self.what(name, step);
        if step.name.is_from() {
            return line.with("  pulling", Role::Busy);
        }
        match model.expected(id) {
            Some(told) => {
                line.with(format!("  {}", estimate::expected(&told, self.options.ascii)), Role::Dim)
            }
            None => line,
        }
    }

    fn end_line(&self, model: &Model, id: StepId, name: &str, step: &Step, now: Time) -> StyledLine {
        let sign = Sign::of_step(model, id);
        let mut line = self.what(name, step);
        line.push("  ", Role::Plain);
        line.push(format!("{} {}", sign.shape(self.options.ascii), sign.word), sign.role);
        if model.state(id) == State::Hit {
            return line;
        }
        let took = words::duration(model.took(id, now));
        let pulled = model.pulled_bytes(id);
        if step.name.is_from() && pulled > 0 {
            line.push(format!(" {} in {took}", words::bytes(pulled)), Role::Plain);
        } else {
            line.push(format!(" {took}"), Role::Plain);
        }
        if let Some(factor) = model.step_estimate(id, now).and_then(|told| told.slower) {
            line.push(format!(" ({})", estimate::slower(factor, self.options.ascii)), Role::Warn);
        }
        line
    }
}

fn clipped_line(name: &str) -> StyledLine {
    let text = "the builder clipped this step's output; BUILDKIT_STEP_LOG_MAX_SIZE=-1 and \
                BUILDKIT_STEP_LOG_MAX_SPEED=-1 as --driver-opt env.… of the builder lift that";
    StyledLine::new().with(format!("! {name} "), Role::Warn).with(text, Role::Plain)
}

/// When a step started and ended, as far as each is worth a line.
fn span(model: &Model, id: StepId, step: &Step) -> (Option<Time>, Option<Time>) {
    let state = model.state(id);
    let started = model.vertices_of(id).filter_map(Vertex::started).min();
    let start =
        started.filter(|_| matches!(state, State::Running | State::Miss | State::Failed | State::Cancelled));
    if matches!(state, State::Waiting | State::Running | State::NotNeeded | State::NotReached) {
        return (start, None);
    }
    let ends: Vec<_> = model.vertices_of(id).filter_map(|vertex| ended_at(vertex, model.ended())).collect();
    // Of several vertices all have to come to their end.
    let all = ends.len() == step.vertices.len() || model.ended().is_some();
    (start, ends.into_iter().max().filter(|_| all))
}

/// When a base image began to be pulled, and when it is known what became of it: once something was built on it, it
/// is there; while nothing was, it may be pulled at any time until the end.
fn base_span(model: &Model, id: StepId, step: &Step) -> (Option<Time>, Option<Time>) {
    if matches!(model.state(id), State::Failed | State::Cancelled) {
        return span(model, id, step);
    }
    let used = first_use(model, id, step);
    let known = matches!(model.state(id), State::Hit | State::Miss);
    let end = used.or(model.ended()).filter(|_| known);
    let blobs = model.vertices_of(id).flat_map(Vertex::blobs);
    let pull = blobs.filter_map(|status| status.started).min();
    (pull.filter(|at| end.is_none_or(|end| *at <= end)), end)
}

/// The first sign that something was done on top of a base image.
fn first_use(model: &Model, base: StepId, step: &Step) -> Option<Time> {
    let platform = model.stack().platform_of(step);
    let cell = |row: &InstructionRow| model.stack().cell(row, platform);
    // Several stages may begin with one base image, which then has one vertex for all of them.
    let begins = |group: &&StageGroup| group.rows.first().and_then(cell) == Some(base);
    let others = model.stack().groups().iter().filter(begins).flat_map(|group| &group.rows).filter_map(cell);
    let signs = others.filter(|id| *id != base).flat_map(|id| model.vertices_of(id)).filter_map(|vertex| {
        let said = vertex.log.ended().next().map(|line| line.at);
        let done = matches!(vertex.phase(), Phase::Done | Phase::Failed).then(|| vertex.completed());
        said.into_iter().chain(done.flatten()).min()
    });
    signs.min()
}
