//! The build that a command line means, and what its recording tells.

use std::path::{Path, PathBuf};

use super::why;
use crate::error::Error;
use crate::event::{Event, Mask, Reasons, Stamped};
use crate::explain;
use crate::history;
use crate::model::Model;
use crate::recording::{self, Listed, Reader};

/// Characters of a recording's name that must be given at least: its day.
const SHORTEST_NAME: usize = 8;

/// Events that are read at once.
pub(super) const BATCH: usize = 1024;

/// The recording that is meant: a path, a name or how it begins, or the newest.
pub(super) fn find(build: Option<&str>) -> Result<PathBuf, Error> {
    let dir = recording::default_dir();
    let recordings = dir.as_deref().and_then(|dir| recording::list(dir).ok()).unwrap_or_default();
    let folder = dir.map_or_else(|| "the data folder".to_owned(), |dir| dir.display().to_string());
    let Some(build) = build else {
        let newest = recordings.iter().find(|listed| !listed.is_written()).or(recordings.first());
        return newest.map(|listed| listed.path.clone()).ok_or_else(|| {
            Error::unavailable(format!("there is no recording in {folder}"), "layertop build makes one")
        });
    };
    if Path::new(build).is_file() {
        return Ok(PathBuf::from(build));
    }
    let named = |listed: &&Listed| history::name(&listed.path).as_str() == build;
    // Shorter words are numbers of steps.
    let long = build.len() >= SHORTEST_NAME;
    let begins = |listed: &&Listed| long && history::name(&listed.path).as_str().starts_with(build);
    let found = recordings.iter().find(named).or_else(|| recordings.iter().find(begins));
    found.map(|listed| listed.path.clone()).ok_or_else(|| {
        Error::usage(
            format!("there is no file and no recording `{build}`"),
            format!("name a file, or a recording in {folder}"),
        )
    })
}

/// What a recording tells of its build, without what the steps said. Where it does not say why steps missed, that is judged now.
pub(super) fn read(path: &Path) -> Result<Model, Error> {
    let model = history::read(path, &|_| true).map_err(|error| super::replay::unreadable(&error))?;
    Ok(judged(model.unwrap_or_default(), path))
}

/// As [`read`], with what the steps said.
pub(super) fn read_whole(path: &Path) -> Result<Model, Error> {
    let mut reader =
        Reader::open(path, Mask::default()).map_err(|error| super::replay::unreadable(&error))?;
    let (mut model, mut batch) = (Model::default(), Vec::new());
    loop {
        let more = reader.next_batch(BATCH, &mut batch);
        model.apply_all(&batch);
        batch.clear();
        if !more {
            return Ok(judged(model, path));
        }
    }
}

/// Judges a recording that does not say why its steps missed.
fn judged(mut model: Model, path: &Path) -> Model {
    if model.has_reasons() {
        return model;
    }
    let wanted = why::wanted(model.started(), false);
    let dir = recording::default_dir();
    let recordings = dir.as_deref().and_then(|dir| recording::list(dir).ok()).unwrap_or_default();
    let own = recordings.iter().find(|listed| listed.path.file_name() == path.file_name());
    // Of a file from elsewhere it is not known what came before it.
    let pasts = own.map(|own| why::earlier(&wanted, Some(own))).unwrap_or_default();
    let reasons = explain::judge(&model, &pasts);
    let at = model.newest();
    model.apply(&Stamped { at, event: Event::Reasons(Box::new(Reasons { reasons })) });
    model
}
