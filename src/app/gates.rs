//! `--fail-on`: what a build must not do.

use super::build;
use super::configuration::print_stderr;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::event::gate::{Gate, GateState};
use crate::model::Model;
use crate::report::{gates, why};
use crate::source::buildx::BuildCommand;

/// What layertop ends with where the build succeeded and a gate did not let it through.
const FAILED: u8 = 3;

/// Refuses gates for layers that the stack is known to lack.
pub(super) fn check(
    wanted: &[Gate],
    command: &BuildCommand,
    config: &Config,
    clock: Clock,
) -> Result<(), Error> {
    if !wanted.iter().any(|gate| matches!(gate, Gate::Miss(_))) {
        return Ok(());
    }
    let mut model = Model::default();
    model.apply_all(&build::before(command, config, clock));
    let mut names = why::names(&model);
    if names.is_empty() {
        // Nobody has read the Dockerfile: the builder will say which layers there are.
        return Ok(());
    }
    // A rule may match what stands there only after its variables were put in.
    names.extend(config.rules().iter().map(|rule| rule.name.to_string()));
    for gate in wanted {
        if let Gate::Miss(layer) = gate
            && !gates::is_named(layer.as_str(), &names)
        {
            let known = why::names(&model).join(", ");
            return Err(Error::usage(
                format!("--fail-on miss:{layer}: no layer is called `{layer}`"),
                format!("name one of these: {known}"),
            ));
        }
    }
    Ok(())
}

/// Says which gates a build did not go through, or of which that can't be told; what the process ends with for it.
pub(super) fn result(model: &Model) -> Result<(), Error> {
    for line in gates::lines(model.gates()) {
        print_stderr(&format!("{line}\n"));
    }
    let failed = model.gates().gates.iter().any(|gate| gate.state == GateState::Failed);
    if failed { Err(Error::Exit(FAILED)) } else { Ok(()) }
}
