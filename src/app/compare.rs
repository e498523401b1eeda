//! Two builds side by side: `compare`, and what the screen holds a build against.

use std::path::PathBuf;

use super::builds::{self, store};
use super::configuration::print;
use super::output_style::OutputStyle;
use super::replay::BUNDLED;
use crate::cli::{self, Cli, ProgressMode};
use crate::clock::Clock;
use crate::config::Surroundings;
use crate::error::Error;
use crate::event::{Platform, Text, Time};
use crate::history::rows::BuildRow;
use crate::history::{self, Store};
use crate::model::Model;
use crate::recording;
use crate::report::compare::{self, ComparedBuild};
use crate::report::trends::Trends;
use crate::ui::sheet::{Baseline, BaselineQuery};

/// Earlier builds that can be chosen from.
const MOST: usize = 200;

/// Compares the two builds that are meant.
pub(super) fn run(cli: &Cli, args: &cli::CompareArgs, around: &Surroundings) -> Result<(), Error> {
    let look = OutputStyle::without_build(&cli.global, around)?;
    let (a, b) = (side(&args.a)?, side(&args.b)?);
    let found = compare::compare(&a, &b);
    if look.progress == ProgressMode::Json {
        return print(&compare::json(&found));
    }
    let mut text = String::new();
    for line in compare::lines(&found, OutputStyle::columns(), look.theme.ascii) {
        line.write(look.theme.color, &mut text);
    }
    print(&text)
}

/// The build that is meant: out of its recording, or where that is no more, out of the history.
fn side(build: &str) -> Result<ComparedBuild, Error> {
    let found = builds::named(build)?;
    let path = match (found.recording(), &found.row) {
        (Ok(path), _) => path,
        (Err(gone), None) => return Err(gone),
        (Err(gone), Some(row)) => {
            let steps = store().and_then(|store| store.steps(row.id).ok());
            return steps.map(|steps| ComparedBuild::of_stored(row, &steps)).ok_or(gone);
        }
    };
    let model = builds::read(path, builds::ReadExtent::Steps, builds::DamageWarning::Told)?;
    Ok(ComparedBuild::of_model(found.name.clone(), &model, model.newest()))
}

/// The builds that there were before the one on the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum EarlierBuilds {
    /// Those of this machine.
    #[default]
    Machine,
    /// Of the bundled ones those that come before this.
    Bundled(usize),
}

struct CompareCandidate {
    begun: Time,
    name: Text,
    recording: Option<PathBuf>,
    row: Option<BuildRow>,
}

impl EarlierBuilds {
    /// What a build is compared with. It reads files and may take its time.
    ///
    /// # Errors
    /// A sentence where there is nothing to compare with, or it can't be read.
    pub(super) fn before(self, wanted: &BaselineQuery) -> Result<Baseline, Text> {
        match self {
            Self::Machine => on_machine(wanted),
            Self::Bundled(at) => {
                let at = at.checked_sub(wanted.back + 1).ok_or_else(|| {
                    Text::from("nothing was built before the first of the recorded builds: ] is the next")
                })?;
                let (name, model) = bundled(at)?;
                let of = at + wanted.back + 1;
                Ok(Baseline {
                    a: ComparedBuild::of_model(name, &model, model.newest()),
                    b: None,
                    back: wanted.back,
                    of,
                })
            }
        }
    }

    /// How long the layers of an image ran, on one builder where one is named.
    ///
    /// # Errors
    /// A sentence where it can't be told.
    pub(super) fn trends(self, image: Option<&Text>, builder: Option<&Text>) -> Result<Trends, Text> {
        let asked = Clock::live().now();
        let named = image.map(|image| Text::clean(crate::explain::repository(image.as_str()).0));
        let mut layers = match self {
            Self::Machine => {
                let opened = builds::opened().map_err(|trouble| Text::clean(&trouble.to_string()))?;
                let Some(store) = opened else {
                    return Err("no history is kept yet: layertop build begins one".into());
                };
                let found = store.layer_runs(image.map(Text::as_str));
                found.map_err(|error| Text::clean(&format!("can't read the history: {error}")))?
            }
            Self::Bundled(_) => {
                let models: Result<Vec<_>, Text> = (0..BUNDLED.len()).map(bundled).collect();
                history::layer_runs(models?.iter().map(|(_, model)| model))
            }
        };
        layers.retain(|layer| builder.is_none() || layer.builder.as_ref() == builder);
        Ok(Trends { image: named, layers, asked })
    }
}

/// The bundled build of this number.
fn bundled(at: usize) -> Result<(Text, Model), Text> {
    let scene = BUNDLED.get(at).ok_or("there is no such build")?;
    let mut reader = scene.open().map_err(|error| Text::clean(&error.to_string()))?;
    let (mut model, mut batch, mut more) = (Model::default(), Vec::new(), true);
    while more {
        more = reader.next_batch(builds::BATCH, &mut batch);
        model.apply_all(&batch);
        batch.clear();
    }
    Ok((scene.title.into(), model))
}

fn on_machine(wanted: &BaselineQuery) -> Result<Baseline, Text> {
    let store = store();
    let mut builds = candidates(store.as_ref(), wanted).into_iter();
    // Of a plan it is the newest build that is compared.
    let b = match wanted.begun {
        Some(_) => None,
        None => builds.next().map(|newest| read(store.as_ref(), &newest)).transpose()?,
    };
    let of = builds.len();
    let image = wanted.image.as_ref().map_or("this image", Text::as_str);
    let a = builds.nth(wanted.back).ok_or_else(|| match (wanted.begun, &b) {
        (None, None) => Text::clean(&format!("no build of {image} is kept yet: layertop build keeps one")),
        _ => Text::clean(&format!("no earlier build of {image} is known here to compare with")),
    })?;
    Ok(Baseline { a: read(store.as_ref(), &a)?, b, back: wanted.back, of })
}

/// The earlier builds of the image, newest first: those that the history knows, and recordings that it does not.
fn candidates(store: Option<&Store>, wanted: &BaselineQuery) -> Vec<CompareCandidate> {
    let image = wanted.image.as_ref().map(Text::as_str);
    let begun = wanted.begun.unwrap_or_else(|| Time::from_micros(i64::MAX));
    let rows = store.and_then(|store| store.builds_before(image, begun, MOST).ok()).unwrap_or_default();
    let mut found: Vec<CompareCandidate> = rows
        .into_iter()
        .map(|row| CompareCandidate {
            begun: row.started,
            name: row.name.clone(),
            recording: row
                .recording
                .as_ref()
                .map(|path| PathBuf::from(path.as_str()))
                .filter(|path| path.is_file()),
            row: Some(row),
        })
        .collect();
    let listed =
        recording::default_dir().and_then(|dir| recording::list(&dir).ok()).unwrap_or_default().into_iter();
    // The name of a recording tells the second only: one of the same second may be the build itself.
    let second = Time::from_micros(begun.micros() - begun.micros().rem_euclid(1_000_000));
    let earlier = listed.filter(|listed| listed.is_of(image.unwrap_or_default()) && listed.begun < second);
    for listed in earlier.take(MOST) {
        let name = history::name(&listed.path);
        if !found.iter().any(|known| known.name == name) && !listed.is_written() {
            found.push(CompareCandidate {
                begun: listed.begun,
                name,
                recording: Some(listed.path),
                row: None,
            });
        }
    }
    // Another builder is another machine, and other platforms are other steps.
    if found.iter().any(|build| is_alike(build, wanted)) {
        found.retain(|build| is_alike(build, wanted));
    }
    found.sort_by_key(|build| std::cmp::Reverse(build.begun));
    found
}

/// Whether a build was made where the wanted one was, for the same platforms. Of a recording that is taken to be so.
fn is_alike(build: &CompareCandidate, wanted: &BaselineQuery) -> bool {
    let same = |row: &BuildRow| {
        let all =
            |list: &[Platform], other: &[Platform]| list.iter().all(|platform| other.contains(platform));
        let platforms = all(&row.platforms, &wanted.platforms) && all(&wanted.platforms, &row.platforms);
        row.builder == wanted.builder && platforms
    };
    build.row.as_ref().is_none_or(same)
}

fn read(store: Option<&Store>, build: &CompareCandidate) -> Result<ComparedBuild, Text> {
    let kept = || {
        let row = build.row.as_ref()?;
        Some(ComparedBuild::of_stored(row, &store?.steps(row.id).ok()?))
    };
    let Some(path) = &build.recording else {
        return kept().ok_or_else(|| Text::clean(&format!("{} can't be read from the history", build.name)));
    };
    match builds::read(path, builds::ReadExtent::Steps, builds::DamageWarning::Silent) {
        Ok(model) => Ok(ComparedBuild::of_model(build.name.clone(), &model, model.newest())),
        Err(error) => kept().ok_or_else(|| Text::clean(&error.to_string())),
    }
}
