//! `layertop stats`: what the cache is worth.

use super::configuration::print;
use super::history::{hint, named, open, text, unreadable, wide};
use super::output_style::OutputStyle;
use crate::cli::{self, Cli, ProgressMode};
use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::error::Error;
use crate::event::Text;
use crate::history::Store;
use crate::history::rows::LayerRuns;
use crate::report::stats;
use crate::report::trends::{self, Trends};

pub(super) fn run(cli: &Cli, args: &cli::StatsArgs, around: &Surroundings) -> Result<(), Error> {
    let config = Config::load(&cli.global, None, around)?;
    let look = OutputStyle::of(&config, around);
    let store = open()?;
    let (image, builds) = match &store {
        None => (args.image.clone().or_else(|| config.repository()), Vec::new()),
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
                return trended(look, store, image.as_deref(), args.all);
            }
            let builds = store.scenarios(image.as_deref()).map_err(|error| unreadable(&error))?;
            (image, builds)
        }
    };
    let shown = stats::ShownBuilds {
        image: image.as_deref(),
        builds: &builds,
        all: args.all,
        promised: config.promised(),
    };
    if look.progress == ProgressMode::Json {
        return print(&stats::json(&shown));
    }
    print(&text(look, stats::lines(&shown, wide(), look.theme.ascii)))?;
    if builds.is_empty() {
        hint();
    }
    Ok(())
}

/// Prints how long the layers ran.
fn trended(look: OutputStyle, store: &Store, image: Option<&str>, all: bool) -> Result<(), Error> {
    let mut layers = store.layer_runs(image).map_err(|error| unreadable(&error))?;
    if !all {
        // Another builder is another machine: those of the newest build are shown.
        let newest = |layer: &&LayerRuns| layer.runs.last().map(|(begun, _)| *begun);
        let builder = layers.iter().max_by_key(newest).and_then(|layer| layer.builder.clone());
        layers.retain(|layer| layer.builder == builder);
    }
    let told = Trends { image: image.map(Text::clean), layers, asked: Clock::live().now() };
    if look.progress == ProgressMode::Json {
        return print(&trends::json(&told));
    }
    print(&text(look, trends::lines(&told, wide(), look.theme.ascii)))
}
