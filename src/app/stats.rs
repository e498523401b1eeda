//! `layertop stats`: what the cache is worth.

use super::configuration::print;
use super::history::{hint, named, open, text, unreadable, wide};
use super::look::Look;
use crate::cli::{self, Cli, Progress};
use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::error::Error;
use crate::history::rows::LayerRuns;
use crate::report::{stats, trends};

/// Prints the table.
pub(super) fn run(cli: &Cli, args: &cli::Stats, around: &Surroundings) -> Result<(), Error> {
    let config = Config::load(&cli.global, None, around)?;
    let look = Look::of(&config, around);
    let store = open()?;
    let (image, scenarios) = match &store {
        None => (config.repository(), Vec::new()),
        Some(store) => {
            let newest = || -> Result<Option<String>, Error> {
                let newest = store.builds(None, 1).map_err(|error| unreadable(&error))?;
                Ok(newest.into_iter().next().and_then(|build| build.image).map(|image| image.to_string()))
            };
            let image = match &args.image {
                Some(image) => Some(named(store, image)?),
                None => config.repository().map_or_else(newest, |image| Ok(Some(image)))?,
            };
            if args.trends {
                let layers = store.layer_runs(image.as_deref()).map_err(|error| unreadable(&error))?;
                return trended(look, image.as_deref(), &layers);
            }
            let scenarios = store.scenarios(image.as_deref()).map_err(|error| unreadable(&error))?;
            (image, scenarios)
        }
    };
    let promised = config.promised();
    if look.progress == Progress::Json {
        return print(&stats::json(image.as_deref(), &scenarios, promised));
    }
    let lines = stats::lines(image.as_deref(), &scenarios, promised, wide(), look.theme.ascii);
    print(&text(look, lines))?;
    if scenarios.is_empty() {
        hint();
    }
    Ok(())
}

/// Prints how long the layers ran.
fn trended(look: Look, image: Option<&str>, layers: &[LayerRuns]) -> Result<(), Error> {
    if look.progress == Progress::Json {
        return print(&trends::json(image, layers));
    }
    let lines = trends::lines(image, layers, Clock::live().now(), wide(), look.theme.ascii);
    print(&text(look, lines))
}
