//! Why a build failed, as the lines that plain output and the scrollback share.

use super::label;
use super::styled::StyledLine;
use super::words::{self, Role, Sign};
use crate::model::{Failure, Model, Outcome, State};

/// Why the build failed, where it did: a build that the user stopped has not.
pub fn shown(model: &Model) -> Option<Failure> {
    let failure = model.failure()?;
    (failure.vertex.is_some() || model.outcome() == Outcome::Failed).then_some(failure)
}

/// The failed step, the last `logs` lines that it said, the place in the Dockerfile, the error.
pub fn lines(model: &Model, failure: &Failure, logs: usize, ascii: bool) -> Vec<StyledLine> {
    let sign = Sign::of_state(State::Failed, Outcome::Failed);
    let what = failure.vertex.map_or_else(|| "the build".to_owned(), |id| label::of_vertex(model, id));
    let title = StyledLine::new().with(format!("{} failed: ", sign.shape(ascii)), Role::Bad);
    let mut lines = vec![title.with(what, Role::Strong)];
    if let Some(vertex) = failure.vertex.and_then(|id| model.vertex(id)) {
        let log = &vertex.log;
        let hidden = log.len().saturating_sub(logs);
        if hidden > 0 && logs > 0 {
            let text = format!("  {} {} before", words::ellipsis(ascii), words::count(hidden, "line"));
            lines.push(StyledLine::new().with(text, Role::Dim));
        }
        for line in log.iter().skip(hidden) {
            lines.push(StyledLine::new().with("  | ", Role::Dim).with(line.line.text(), Role::Plain));
        }
    }
    for line in &failure.excerpt {
        let role = if line.text().contains(">>>") { Role::Bad } else { Role::Plain };
        lines.push(StyledLine::new().with("  ", Role::Plain).with(line.text().trim_end(), role));
    }
    lines.push(StyledLine::new().with(format!("  {}", failure.message), Role::Bad));
    lines
}
