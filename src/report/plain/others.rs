//! What is told of the vertices that are no steps.

use super::{PlainOutput, TimedLine, steps};
use crate::event::Time;
use crate::model::{Model, Phase, State, Transfer, Vertex, VertexKind};
use crate::report::styled::StyledLine;
use crate::report::words::{self, Role, Sign};

impl PlainOutput {
    /// Vertices that are no steps: the transfers of cache and image, and whatever fails.
    pub(super) fn others(&mut self, model: &Model, border: Time, lines: &mut Vec<TimedLine>) {
        for (id, vertex) in model.vertices().filter(|(id, _)| model.step_of(*id).is_none()) {
            let loud = matches!(
                vertex.kind,
                VertexKind::CacheImport(_) | VertexKind::CacheExport | VertexKind::Export
            );
            let mut told = self.others.remove(&id).unwrap_or_default();
            let exports = matches!(vertex.kind, VertexKind::CacheExport | VertexKind::Export);
            if let Some(at) = vertex.started().filter(|at| exports && !told.started && *at <= border) {
                told.started = true;
                lines.push((at, StyledLine::new().with(vertex.name.as_str(), Role::Plain)));
            }
            self.log(model, id, vertex.name.as_str(), border, lines);
            let at = steps::ended_at(vertex, model.ended()).filter(|at| !told.ended && *at <= border);
            if let Some(at) = at
                && let Some(line) = self.ending(vertex, at, loud)
            {
                told.ended = true;
                lines.push((at, line));
            }
            self.others.insert(id, told);
        }
    }

    /// How such a vertex ended, where that is worth a line: a transfer is, and whatever fails.
    fn ending(&self, vertex: &Vertex, at: Time, loud: bool) -> Option<StyledLine> {
        if let VertexKind::CacheImport(reference) = &vertex.kind
            && Transfer::of(vertex, None).is_not_there()
        {
            return Some(StyledLine::new().with(format!("no cache there yet: {reference}"), Role::Plain));
        }
        let name = vertex.name.as_str();
        let (what, reference) = match &vertex.kind {
            VertexKind::CacheImport(reference) => ("cache import", Some(reference)),
            VertexKind::CacheExport => ("cache export", None),
            _ => (name, None),
        };
        let outcome = match vertex.phase() {
            Phase::Failed => {
                let error = vertex.error.as_ref().map_or("", |error| error.as_str());
                let from = reference.map(|reference| format!("from {reference}: ")).unwrap_or_default();
                let line = StyledLine::new().with(format!("! {what} failed: "), Role::Bad);
                return Some(line.with(format!("{from}{error}"), Role::Plain));
            }
            Phase::Cancelled | Phase::Running(_) => Sign::of_state(State::Cancelled),
            _ => Sign { word: "done", ..Sign::of_state(State::Hit) },
        };
        let sign = format!("{} {}", outcome.shape(self.options.ascii), outcome.word);
        loud.then(|| {
            StyledLine::new()
                .with(format!("{name}  "), Role::Plain)
                .with(sign, outcome.role)
                .with(format!(" {}", words::duration(vertex.run_time(at))), Role::Plain)
        })
    }
}
