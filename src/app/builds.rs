//! The build that a command line means, and what its recording tells. All commands that are about a build find it here.

use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::configuration::complain;
use super::history as kept;
use crate::cli::GlobalArgs;
use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::error::Error;
use crate::event::{Event, Mask, Reasons, Stamped, Started, Text, Time};
use crate::explain;
use crate::history::rows::BuildRow;
use crate::history::{self, BuildKey, PastQuery, Store};
use crate::model::{Model, expected};
use crate::recording::{self, Reader, RecordingFile};
use crate::report::words;
use crate::source::buildx::Program;
use crate::wording;

/// Events that are read at once.
pub(super) const BATCH: usize = 1024;

/// Events in which a recording says what is built.
const FIRST: usize = 16;

/// Earlier builds that are looked into for how long things take: a step may not have run for long.
const DEPTH: usize = 500;

/// Recordings that are looked into for the project's newest.
const MOST_OPENED: usize = 200;

/// Candidates that are named where several are meant.
const MOST_NAMED: usize = 8;

/// A build of which something is kept on this machine.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The name of its recording, or what that would be.
    pub(super) name: Text,
    /// When it was begun, at least to the second; none of a file from elsewhere.
    begun: Option<Time>,
    /// Where its recording is; none where it is gone.
    recording: Option<PathBuf>,
    /// What the history has of it.
    pub(super) row: Option<BuildRow>,
    /// How it was chosen.
    pub(super) choice: Choice,
}

/// How a build was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// By its name.
    Named,
    /// As the newest of the project in the working directory.
    OfProject,
    /// As the newest of this machine, for the working directory is in no project.
    OfMachine,
}

impl Choice {
    /// What to say of it beside the build; none where the user knows.
    pub(super) fn note(self) -> Option<&'static str> {
        match self {
            Self::Named => None,
            Self::OfProject => Some("newest of this project"),
            Self::OfMachine => Some("newest of this machine"),
        }
    }
}

impl Found {
    /// Whether a word is how its name begins, and no more.
    pub(super) fn is_named_in_part(&self, word: &str) -> bool {
        self.name.as_str() != word && self.name.as_str().starts_with(word)
    }

    /// Its recording.
    ///
    /// # Errors
    /// Where that was deleted: the history alone does not have all of a build.
    pub(super) fn recording(&self) -> Result<&Path, Error> {
        self.recording.as_deref().ok_or_else(|| {
            let hint = "layertop compare shows what the history has of it";
            Error::unavailable(format!("the recording of {} is gone", self.name), hint)
        })
    }
}

/// Why a word means no build.
#[derive(Debug)]
pub(super) enum Unclear {
    /// None is called so.
    Unknown(Error),
    /// Several are.
    Ambiguous(Error),
    /// It can't be told what there is.
    Unreadable(Error),
}

impl From<Unclear> for Error {
    fn from(unclear: Unclear) -> Self {
        match unclear {
            Unclear::Unknown(error) | Unclear::Ambiguous(error) | Unclear::Unreadable(error) => error,
        }
    }
}

/// What means standard input, as to other programs.
pub(super) const STDIN: &str = "-";

/// The file that it is.
pub(super) const STDIN_FILE: &str = "/dev/stdin";

/// How a recording comes by it.
pub(super) const PIPE_ONE: &str = "pipe one into it: zstdcat build.jsonl.zst | layertop replay -";

/// The build that a word means: a file, a build's name, or how the name of just one begins.
pub(super) fn named(word: &str) -> Result<Found, Unclear> {
    let path = Path::new(word);
    let found = |recording: PathBuf| Found {
        name: history::name(&recording),
        begun: None,
        recording: Some(recording),
        row: None,
        choice: Choice::Named,
    };
    if word == STDIN {
        if std::io::stdin().is_terminal() {
            return Err(Unclear::Unreadable(Error::usage(
                "standard input is a terminal, not a recording",
                PIPE_ONE,
            )));
        }
        return Ok(found(PathBuf::from(STDIN_FILE)));
    }
    // A pipe is a file too, and so is what must not be looked at: whoever opens it says so. A folder may be called as a build is.
    let is_there = match path.metadata() {
        Ok(there) => !there.is_dir(),
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    };
    if is_there {
        return Ok(found(path.to_owned()));
    }
    let all = all().map_err(Unclear::Unreadable)?;
    let whole = history::name(path);
    if let Some(build) = all.iter().find(|build| build.name == whole) {
        return Ok(build.clone());
    }
    let begins: Vec<&Found> =
        all.iter().filter(|build| !word.is_empty() && build.name.as_str().starts_with(word)).collect();
    match begins.as_slice() {
        [] => Err(Unclear::Unknown(unknown(word))),
        [one] => Ok((*one).clone()),
        several => Err(Unclear::Ambiguous(ambiguous(word, several))),
    }
}

/// Nothing is called so that could be read; a folder can't.
pub(super) fn unknown(word: &str) -> Error {
    if Path::new(word).is_dir() {
        return is_folder(Path::new(word));
    }
    Error::unavailable(
        format!("there is no file and no build `{}`", Text::clean(word)),
        "name a file, or a build: layertop history lists them, --progress json with their names",
    )
}

/// A folder where a recording is wanted.
pub(super) fn is_folder(path: &Path) -> Error {
    let folder = path.display();
    Error::usage(format!("{folder} is a folder, not a recording"), format!("name a file in it: ls {folder}"))
}

fn ambiguous(word: &str, several: &[&Found]) -> Error {
    let names: Vec<&str> = several.iter().take(MOST_NAMED).map(|build| build.name.as_str()).collect();
    let more = match several.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Error::usage(
        format!("`{}` is ambiguous: {} begin so", Text::clean(word), words::count(several.len(), "build")),
        format!("name one of these: {}{more}", names.join(", ")),
    )
}

/// The build that is meant: by a word, else the newest of the project in the working directory, else of this machine.
pub(super) fn meant(word: Option<&str>, global: &GlobalArgs, around: &Surroundings) -> Result<Found, Error> {
    match word {
        Some(word) => Ok(named(word)?),
        None => newest(Project::of(global, around)?.as_ref()),
    }
}

/// The newest build that has a recording; of a project, where one is given.
pub(super) fn newest(project: Option<&Project>) -> Result<Found, Error> {
    let all: Vec<Found> = all()?.into_iter().filter(|build| build.recording.is_some()).collect();
    let choice = if project.is_some() { Choice::OfProject } else { Choice::OfMachine };
    let is_meant = |build: &&Found| project.is_none_or(|project| project.has(build));
    let mut meant = all.iter().take(MOST_OPENED).filter(is_meant).peekable();
    // A build that is still recorded is meant only where there is no other.
    let first = meant.peek().copied();
    let is_whole = |build: &&Found| !build.recording.as_deref().is_some_and(recording::is_written);
    if let Some(found) = meant.find(is_whole).or(first) {
        return Ok(Found { choice, ..found.clone() });
    }
    Err(match project {
        Some(project) if !all.is_empty() => Error::unavailable(
            format!("there is no recording of {} yet", project.name()),
            "layertop build makes one; a build of another project is meant by its name: layertop history",
        ),
        _ => {
            let folder = recording::default_dir();
            let folder =
                folder.map_or_else(|| "the data folder".to_owned(), |folder| folder.display().to_string());
            Error::unavailable(format!("there is no recording in {folder}"), "layertop build makes one")
        }
    })
}

/// All builds of which something is kept, newest first.
fn all() -> Result<Vec<Found>, Error> {
    let store = store();
    let rows = store.and_then(|store| store.builds(None, usize::MAX).ok()).unwrap_or_default();
    let mut found: Vec<Found> = rows.into_iter().map(of_row).collect();
    let known: std::collections::HashSet<Text> = found.iter().map(|build| build.name.clone()).collect();
    for RecordingFile { begun, path, .. } in recordings()? {
        let name = history::name(&path);
        if !known.contains(&name) {
            let begun = Some(begun);
            found.push(Found { name, begun, recording: Some(path), row: None, choice: Choice::Named });
        }
    }
    found.sort_by(|a, b| (b.begun, &b.name).cmp(&(a.begun, &a.name)));
    Ok(found)
}

/// The recordings of this machine, newest first; none where no build was recorded yet.
///
/// # Errors
/// Where it can't be told which there are.
pub(super) fn recordings() -> Result<Vec<RecordingFile>, Error> {
    let Some(dir) = recording::default_dir() else { return Ok(Vec::new()) };
    let unreadable = |error: &std::io::Error| {
        let (cause, remedy) = recording::unusable(&dir, error);
        Error::broken(format!("can't read the recordings in {}: {cause}", dir.display()), remedy)
    };
    match recording::list(&dir) {
        Ok(listed) => Ok(listed),
        // No build was recorded yet.
        Err(error) if error.kind() == ErrorKind::NotFound && recording::in_the_way(&dir).is_none() => {
            Ok(Vec::new())
        }
        Err(error) => Err(unreadable(&error)),
    }
}

fn of_row(row: BuildRow) -> Found {
    let path = row.recording.as_ref().map(|path| PathBuf::from(path.as_str()));
    Found {
        name: row.name.clone(),
        begun: Some(row.started),
        recording: path.filter(|path| path.is_file()),
        row: Some(row),
        choice: Choice::Named,
    }
}

/// The history, where it can be read. What is wrong with it is told by the commands that are about it.
pub(super) fn store() -> Option<Store> {
    opened().ok().flatten()
}

/// The history, where there is one.
///
/// # Errors
/// Where there is none that could be used.
pub(super) fn opened() -> Result<Option<Store>, history::StoreError> {
    let Some(path) = history::default_path() else { return Ok(None) };
    Ok(Store::open_to_read(&path, Clock::live().now())?.map(|opened| opened.store))
}

/// The project in the working directory.
#[derive(Debug)]
pub(super) struct Project {
    /// Its image, without a tag.
    image: Option<String>,
    /// Its folder, as builds say it.
    folder: Option<Text>,
}

impl Project {
    /// None where there is no configuration and no Dockerfile.
    fn of(global: &GlobalArgs, around: &Surroundings) -> Result<Option<Self>, Error> {
        let config = Config::load(global, None, around)?;
        let command = super::build::command(&config, &[], Program::default(), around)?;
        Ok(super::dashboard::is_project(&config, &command)
            .then(|| Self { image: config.repository(), folder: super::build::folder(&config) }))
    }

    fn name(&self) -> &str {
        self.image.as_deref().unwrap_or("this project")
    }

    /// Whether a build is of the project: of its image, or made in its folder.
    fn has(&self, build: &Found) -> bool {
        let image = build.row.as_ref().and_then(|row| row.image.as_ref());
        let same = |image: &str| self.image.as_deref() == Some(explain::repository(image).0);
        if image.is_some_and(|image| same(image.as_str())) {
            return true;
        }
        let Some(started) = build.recording.as_deref().and_then(started) else { return false };
        started.image.as_ref().is_some_and(|image| same(image.as_str()))
            || (self.folder.is_some() && started.folder == self.folder)
    }
}

/// What a recording says of its build before anything happens in it.
fn started(path: &Path) -> Option<Started> {
    let mut reader = Reader::open(path, Mask::default()).ok()?;
    let mut events = Vec::new();
    reader.next_batch(FIRST, &mut events);
    events.into_iter().find_map(|event| match event.event {
        Event::Started(started) => Some(started),
        _ => None,
    })
}

/// The line above what is said of a build: which one it is, when it was begun, and how it was chosen.
pub(super) fn heading(found: &Found, model: &Model, ascii: bool) -> crate::report::styled::StyledLine {
    let begun = model.begun().map(kept::when);
    crate::report::heading::line(model, &found.name, begun.as_deref(), found.choice.note(), ascii)
}

/// How much is read of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All but what the steps said.
    Steps,
    /// All of it.
    All,
}

/// Whether what is damaged in a recording is told on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// It is.
    Told,
    /// It is not: there is a screen, or it was told before.
    Silent,
}

/// What a recording tells of its build, and what it leaves [`untold`].
pub(super) fn read(path: &Path, extent: Extent, damage: Damage) -> Result<Model, Error> {
    Ok(completed(read_as_it_is(path, extent, damage)?, path))
}

/// What a recording tells of its build, and no more.
pub(super) fn read_as_it_is(path: &Path, extent: Extent, damage: Damage) -> Result<Model, Error> {
    let mut reader =
        Reader::open(path, Mask::default()).map_err(|error| super::replay::unreadable(&error))?;
    let (mut model, mut batch, mut more) = (Model::default(), Vec::new(), true);
    while more {
        more = reader.next_batch(BATCH, &mut batch);
        if extent != Extent::All {
            batch.retain(|event| !matches!(event.event, Event::Log(_)));
        }
        model.apply_all(&batch);
        batch.clear();
    }
    // What is still written has no end yet.
    if damage == Damage::Told && !recording::is_written(path) {
        let file = Text::clean(&path.display().to_string());
        reader.diagnostics().damage().for_each(|text| complain(&format!("warning: {file}: {text}\n")));
    }
    Ok(model)
}

/// A model with what its recording leaves [`untold`].
fn completed(mut model: Model, path: &Path) -> Model {
    let at = model.newest();
    for event in untold(&model, &history::name(path), None) {
        model.apply(&Stamped { at, event });
    }
    model
}

/// What the recording of this name does not tell of its build, as that of another program does not, and the builds before it do: how long
/// steps take, from which follows what the cache saved; and why steps missed. The store is opened where none is given.
pub(super) fn untold(model: &Model, name: &Text, store: Option<&Store>) -> Vec<Event> {
    if model.has_expected() && model.has_reasons() {
        return Vec::new();
    }
    let opened = if store.is_none() { self::store() } else { None };
    let (store, begun) = (store.or(opened.as_ref()), model.begun().unwrap_or_default());
    let Started { image, builder, .. } = model.started();
    let mut told = Vec::new();
    if !model.has_expected()
        && let Some(store) = store
    {
        let (image, builder) = (image.as_ref().map(Text::as_str), builder.as_ref().map(Text::as_str));
        let builds = store.past_builds(image, builder, begun, DEPTH).unwrap_or_default();
        let expected = expected::expected(builds.iter());
        told.extend((expected.builds > 0).then(|| Event::Expected(Box::new(expected))));
    }
    if !model.has_reasons() {
        // As for the estimate, the history and the screen: builds of the same image, or of none on both sides.
        let (before, wanted) = (BuildKey::new(begun, name.clone()), PastQuery::of(model.started(), false));
        let dir = recording::default_dir();
        let pasts = history::earlier(store, dir.as_deref(), &wanted, Some(&before), &|| false);
        let mut reasons = explain::judge(model, &pasts);
        wording::fill(&mut reasons);
        told.extend((!reasons.is_empty()).then(|| Event::Reasons(Box::new(Reasons { reasons }))));
    }
    told
}
