//! Whether a build that has ended went through its gates.

use super::cache::{CacheSummary, TransferState as Ended};
use super::words;
use crate::event::gate::{Gate, GateState, GateVerdict};
use crate::event::{Gates, Platform, Text};
use crate::model::{Expectation, Log, Model, StepId};

/// Steps that are named in a reason.
const MOST_NAMED: usize = 4;

/// Judges a build that has ended by its gates.
pub fn judge(model: &Model, gates: &[Gate]) -> Gates {
    let verdict = |gate: &Gate| {
        let (state, reason) = match gate {
            Gate::Miss(layer) => missed(model, layer),
            Gate::HitRate(least) => hit_rate(model, *least),
            Gate::ImportError => import(model),
            Gate::ClippedLog => clipped(model),
            Gate::SlowerThanP95 => slower(model),
        };
        GateVerdict { gate: Text::clean(&gate.to_string()), state, reason: Text::clean(&reason) }
    };
    Gates { gates: gates.iter().map(verdict).collect() }
}

/// What is told of the gates that a build did not go through, or of which that can't be told: a line each.
pub fn lines(gates: &Gates) -> Vec<String> {
    let line = |verdict: &GateVerdict| match verdict.state {
        GateState::Passed => None,
        GateState::Failed => Some(format!("gate {} failed: {}", verdict.gate, verdict.reason)),
        GateState::Unknown => {
            Some(format!("gate {} can't be judged and passes: {}", verdict.gate, verdict.reason))
        }
    };
    gates.gates.iter().filter_map(line).collect()
}

/// Whether a layer is one of these; case does not matter.
pub fn is_named(layer: &str, names: &[String]) -> bool {
    names.iter().any(|name| name.to_lowercase() == layer.to_lowercase())
}

type GateFinding = (GateState, String);

fn passed() -> GateFinding {
    (GateState::Passed, String::new())
}

fn missed(model: &Model, layer: &Text) -> GateFinding {
    let wanted = layer.as_str().to_lowercase();
    let rows = model.stack().groups().iter().flat_map(|group| &group.rows);
    let of_layer: Vec<_> = rows
        .filter(|row| row.layer.as_ref().is_some_and(|layer| layer.as_str().to_lowercase() == wanted))
        .collect();
    if of_layer.is_empty() {
        let names = super::why::names(model).join(", ");
        return (GateState::Unknown, format!("no layer is called {layer}; there are: {names}"));
    }
    let missed: Vec<StepId> =
        of_layer.iter().flat_map(|row| &row.steps).copied().filter(|id| model.missed(*id)).collect();
    let Some(first) = missed.first() else { return passed() };
    let mut text = format!("{layer} was rebuilt{}", on(model, &missed));
    if let Some(reason) =
        missed.iter().find_map(|id| model.reason_of(*id)).or_else(|| model.reason_of(*first))
    {
        text.push_str(" because ");
        text.push_str(reason.because.as_str());
    }
    (GateState::Failed, text)
}

/// ` on linux/amd64, linux/arm64`; nothing where the build has one platform.
fn on(model: &Model, steps: &[StepId]) -> String {
    let mut platforms: Vec<Platform> =
        steps.iter().filter_map(|id| model.platform_of(model.stack().step(*id)?)).collect();
    platforms.sort();
    platforms.dedup();
    if model.platforms().len() < 2 || platforms.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = platforms.iter().map(Platform::as_str).collect();
    format!(" on {}", names.join(", "))
}

fn hit_rate(model: &Model, least: f64) -> GateFinding {
    let counts = model.counts();
    let Some(rate) = counts.hit_rate() else {
        return (GateState::Unknown, "the build came to no step".to_owned());
    };
    let percent = rate * 100.0;
    if percent >= least {
        return passed();
    }
    // Rounded down, so that what is below the limit is shown below it.
    let shown = (percent * 10.0).floor() / 10.0;
    let (uncached, reached) = (counts.uncached(), words::count(counts.done(), "step"));
    (GateState::Failed, format!("{uncached} of {reached} were not cached: the hit rate is {shown} %"))
}

fn import(model: &Model) -> GateFinding {
    let import = CacheSummary::of(model).import;
    if import.state != Ended::Failed {
        return passed();
    }
    let from = import.reference.map(|from| format!(" from {from}")).unwrap_or_default();
    let error = import.error.map(|error| format!(": {error}")).unwrap_or_default();
    (GateState::Failed, format!("the cache{from} could not be imported{error}"))
}

fn clipped(model: &Model) -> GateFinding {
    let is_clipped = |id: &StepId| model.vertices_of(*id).map(|vertex| &vertex.log).any(Log::clipped);
    let steps: Vec<StepId> = model.stack().steps().map(|(id, _)| id).filter(is_clipped).collect();
    if steps.is_empty() {
        return passed();
    }
    let name = |id: &StepId| {
        let step = model.stack().step(*id)?;
        Some(super::label::of_step(model, *id, step))
    };
    let mut names: Vec<String> = steps.iter().take(MOST_NAMED).filter_map(name).collect();
    if steps.len() > MOST_NAMED {
        names.push(format!("{} more", steps.len() - MOST_NAMED));
    }
    (GateState::Failed, format!("the builder clipped what was said by {}", names.join(", ")))
}

/// Steps that ran longer than 95 of 100 of their own earlier runs did, by the rule by which a running step is called slow.
fn slower(model: &Model) -> GateFinding {
    let mut judged = false;
    let mut slow = Vec::new();
    for (id, step) in model.stack().steps() {
        let Some(took) = model.ran(id) else { continue };
        let Some(known) = model.expected(id).filter(Expectation::proves_slow) else { continue };
        judged = true;
        if known.exceeded_by(took).is_some() {
            let (took, usual) = (words::duration(took), words::duration(known.median));
            let name = super::label::of_step(model, id, step);
            slow.push(format!("{name} took {took}, and {usual} usually ({} runs)", known.runs));
        }
    }
    let ran = model.stack().steps().any(|(id, _)| model.ran(id).is_some());
    if !slow.is_empty() {
        let more = slow.len().saturating_sub(MOST_NAMED);
        slow.truncate(MOST_NAMED);
        if more > 0 {
            slow.push(words::count(more, "more step"));
        }
        return (GateState::Failed, slow.join("; "));
    }
    if judged || !ran {
        return passed();
    }
    (GateState::Unknown, "there is no history yet of the steps that ran".to_owned())
}
