//! The history beside a build, which is written down when it has ended, and `layertop history`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::builds;
use super::configuration::{print, print_stderr};
use super::output_style::OutputStyle;
use crate::cli::{self, Cli, HistoryCommand, ProgressMode};
use crate::clock::Clock;
use crate::config::{Config, KeepOptions, Surroundings};
use crate::error::Error;
use crate::event::expected::Expected;
use crate::event::{Mask, Records, Stamped, Started, Text, Time};
use crate::history::{
    self, KeepResult, PruneResult, RetentionLimits, Store, StoreClient, StoreLocation, StoreWorker,
    StoredBuild,
};
use crate::model::Model;
use crate::recording::{self, Reader};
use crate::report::{history as report, words};
use crate::source::buildx::BuildCommand;
use crate::source::evidence::EarlierListings;

/// How long the end of a build waits for what they tell: what it would have taken without its cache follows from that.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Looks up what a build's history says, and writes the build down.
pub(super) struct HistoryClient {
    clerk: StoreWorker,
    limits: RetentionLimits,
    expected: Option<Receiver<Expected>>,
    kept: Option<Receiver<KeepResult>>,
}

impl HistoryClient {
    /// Opens the store and looks up how long earlier builds took.
    pub(super) fn start(command: &BuildCommand, config: &Config, clock: Clock) -> Self {
        let limits = limits(&config.history);
        let clerk = StoreWorker::start(
            if limits.keep > 0 { StoreLocation::Default } else { StoreLocation::Disabled },
            clock,
        );
        let started = command.started();
        // Where it can't be read nothing is known of it, and the clerk has said or will say so.
        let told = move |store: &Store| self::expected(store, &started);
        let expected = clerk.ask(move |store| store.map(|store| told(store)).unwrap_or_default());
        Self { clerk, limits, expected: Some(expected), kept: None }
    }

    /// Whom to ask for more.
    pub(super) fn clerk(&self) -> &StoreWorker {
        &self.clerk
    }

    /// Looks up what is known of earlier listings of the builder.
    pub(super) fn earlier(&self) -> EarlierListings {
        earlier(self.clerk.client())
    }

    /// How long what this build does takes, once, when that is known; at the end of a build it is waited for.
    pub(super) fn expected(&mut self, last: bool) -> Option<Expected> {
        let answer = self.expected.as_ref()?;
        let found = if last { answer.recv_timeout(LAST_WAIT).ok() } else { answer.try_recv().ok() };
        if found.is_some() {
            self.expected = None;
        }
        found.filter(|found| found.builds > 0)
    }

    /// Writes a build down, once, when it has ended.
    pub(super) fn look(&mut self, model: &Model, recording: impl FnOnce() -> Option<PathBuf>) {
        if self.kept.is_some() || model.ended().is_none() {
            return;
        }
        let recording = recording();
        let image = model.started().image.as_ref().map_or("", Text::as_str);
        let unrecorded = || Text::clean(&recording::name_of(model.begun().unwrap_or_default(), image));
        let name = recording.as_deref().map_or_else(unrecorded, history::name);
        self.kept = Some(self.clerk.keep(StoredBuild::of(model, name, recording), self.limits));
    }

    /// What there is to tell since this was asked last.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.clerk.take_messages()
    }

    /// Waits until the build is written down, and gives what there is to tell.
    pub(super) fn close(self) -> Vec<String> {
        self.clerk.close()
    }
}

/// Looks up what is known of earlier listings, by the clerk that keeps them.
fn earlier(asker: StoreClient) -> EarlierListings {
    EarlierListings::asking(move |worker| {
        let (tx, answer) = oneshot::channel();
        let worker = worker.clone();
        asker.ask(move |store| {
            // Who has asked may be gone.
            let _ = tx.send(store.and_then(|store| store.listed(&worker).ok().flatten()));
        });
        answer
    })
}

/// The same for who has no clerk: the store is opened for each question.
pub(super) fn earlier_in_store() -> EarlierListings {
    EarlierListings::asking(|worker| {
        let (tx, answer) = oneshot::channel();
        let worker = worker.clone();
        spawn_blocking(move || {
            let store = history::default_path()
                .and_then(|path| Store::open_to_read(&path, Clock::live().now()).ok()?);
            // Who has asked may be gone.
            let _ = tx.send(store.and_then(|opened| opened.store.listed(&worker).ok().flatten()));
        });
        answer
    })
}

/// [`take_listing`] for who has no clerk; says whether any told more of a build. Where there is no history none is begun.
pub(super) async fn take_listings(builder: Option<Text>, listings: Vec<Arc<Records>>) -> bool {
    let told = spawn_blocking(move || {
        let Some(path) = history::default_path().filter(|path| path.exists()) else { return false };
        let Ok(mut opened) = Store::open(&path, Clock::live().now()) else { return false };
        let mut any = false;
        for records in listings.iter().filter(|records| records.is_whole()) {
            any |= take_listing(&mut opened.store, builder.as_ref(), records);
        }
        any
    });
    told.await.unwrap_or(false)
}

/// Keeps what a listing of a builder's node tells: which records there are, and of the builder's newest build what that left behind.
/// Says whether it told more of a build. Nothing depends on it: what can't be kept is not told.
pub(super) fn take_listing(store: &mut Store, builder: Option<&Text>, records: &Records) -> bool {
    let told = store.complete(builder, records, recording::default_dir().as_deref());
    let _ = store.keep_listing(records);
    told.is_ok_and(|told| told.is_some())
}

/// How long what a build does took before.
pub(super) fn expected(store: &Store, started: &Started) -> Expected {
    let (image, builder) = (started.image.as_ref(), started.builder.as_ref());
    store.expected(image.map(Text::as_str), builder.map(Text::as_str)).unwrap_or_default()
}

/// What the configuration keeps.
fn limits(bounds: &KeepOptions) -> RetentionLimits {
    RetentionLimits {
        keep: u64::from(*bounds.keep),
        keep_for: *bounds.keep_for,
        keep_bytes: *bounds.keep_bytes,
    }
}

/// `layertop history`.
pub(super) fn run(cli: &Cli, args: &cli::HistoryArgs, around: &Surroundings) -> Result<(), Error> {
    match &args.command {
        None => list(cli, args, around),
        Some(HistoryCommand::Prune(args)) => prune(cli, args, around),
        Some(HistoryCommand::Import { files }) => import(files),
    }
}

fn list(cli: &Cli, args: &cli::HistoryArgs, around: &Surroundings) -> Result<(), Error> {
    let look = OutputStyle::without_build(&cli.global, around)?;
    let most = if args.limit == 0 { usize::MAX } else { args.limit };
    let builds = match open()? {
        None => Vec::new(),
        Some(store) => {
            let image = args.image.as_deref().map(|image| named(&store, image)).transpose()?;
            store.builds(image.as_deref(), most).map_err(|error| unreadable(&error))?
        }
    };
    if look.progress == ProgressMode::Json {
        return print(&report::json(&builds));
    }
    let text = text(look, report::lines(&builds, &when, wide(), look.theme.ascii));
    print(&text)?;
    if builds.is_empty() {
        hint();
    }
    Ok(())
}

fn prune(cli: &Cli, args: &cli::HistoryPruneArgs, around: &Surroundings) -> Result<(), Error> {
    let config = Config::of_files(&cli.global, around)?;
    let otherwise = limits(&config.history);
    let limits = RetentionLimits {
        keep: args.keep.unwrap_or(otherwise.keep),
        keep_for: args.older_than.unwrap_or(otherwise.keep_for),
        keep_bytes: args.max_size.unwrap_or(otherwise.keep_bytes),
    };
    let now = Clock::live().now();
    let Some(mut store) = open()? else { return print(&deleted(&PruneResult::default())) };
    let mut prune = |dry_run| store.prune(&limits, now, dry_run).map_err(|error| unreadable(&error));
    let asks = !args.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !args.dry_run && !asks {
        return print(&deleted(&prune(false)?));
    }
    let planned = prune(true)?;
    let begun = begun(&store, &planned)?;
    let told = to_delete(&planned, &begun);
    if args.dry_run || planned.builds == 0 {
        return print(&told);
    }
    print_stderr(&format!("{told}delete them? [y/N] "));
    let mut answer = String::new();
    // Who can't be heard has not agreed.
    let _ = std::io::stdin().read_line(&mut answer);
    if !["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return print("nothing was deleted\n");
    }
    let done = store.prune(&limits, now, false).map_err(|error| unreadable(&error))?;
    print(&deleted(&done))
}

/// What was deleted and what was kept.
fn deleted(pruned: &PruneResult) -> String {
    let [builds, kept, before, after] = figures(pruned);
    format!("{builds} deleted, {kept} kept: {before} before, {after} now\n")
}

/// What would be deleted, begun at these times, and what would be kept.
fn to_delete(planned: &PruneResult, begun: &str) -> String {
    let [builds, kept, before, after] = figures(planned);
    format!("{builds} would be deleted{begun}, {kept} would be kept: {before} before, {after} then\n")
}

/// Builds that go and that stay, and the size before and after.
fn figures(pruned: &PruneResult) -> [String; 4] {
    let builds = |count: u64| words::count(count as usize, "build");
    [
        builds(pruned.builds),
        builds(pruned.left),
        words::bytes(pruned.bytes_before),
        words::bytes(pruned.bytes),
    ]
}

/// When the builds were begun that would be deleted, which are the oldest.
fn begun(store: &Store, planned: &PruneResult) -> Result<String, Error> {
    let builds = store.builds(None, usize::MAX).map_err(|error| unreadable(&error))?;
    let gone = builds.get(planned.left as usize..).unwrap_or_default();
    let (Some(newest), Some(oldest)) = (gone.first(), gone.last()) else { return Ok(String::new()) };
    Ok(match (when(oldest.started), when(newest.started)) {
        (oldest, newest) if oldest == newest => format!(" (begun {newest})"),
        (oldest, newest) => format!(" (begun {oldest} to {newest})"),
    })
}

/// Takes up recordings. This is never done by itself: a build must not spend its time on it, and what was let go must not come back.
fn import(files: &[PathBuf]) -> Result<(), Error> {
    let Some(path) = history::default_path() else { return Err(no_default_dir()) };
    let opened = Store::open(&path, Clock::live().now()).map_err(|trouble| unavailable(&trouble))?;
    opened.notes.iter().for_each(|note| print_stderr(&format!("warning: {note}\n")));
    let mut store = opened.store;
    let recordings = || -> Result<Vec<PathBuf>, Error> {
        // What is written on is no build yet. The oldest first: what it took is what the next are measured by.
        let listed = builds::recordings()?.into_iter().rev().filter(|listed| !listed.is_written());
        Ok(listed.map(|listed| listed.path).collect())
    };
    let own = files.is_empty();
    let files = if own { recordings()? } else { by_age(files) };
    let (mut taken, mut known, mut failed) = (0, 0, Vec::new());
    let mut oldest = Time::from_micros(i64::MAX);
    for file in &files {
        // layertop's own recordings have a name each; others' may all be called `build`.
        if own && store.began(history::name(file).as_str()).is_some() {
            known += 1;
            continue;
        }
        match read(&mut store, file) {
            Ok(Some(begun)) => {
                taken += 1;
                oldest = oldest.min(begun);
            }
            Ok(None) => known += 1,
            // Of one file there is nothing else to say.
            Err(why) if files.len() == 1 => return Err(why),
            Err(why) => {
                let told = Text::clean(&why.to_string().replace("\n  ", "; "));
                print_stderr(&format!("warning: {told}\n"));
                failed.push(why.exit_code());
            }
        }
    }
    rejudge(&mut store, oldest);
    let known = if known > 0 { format!(", {known} known before") } else { String::new() };
    print(&format!("{} taken up{known}\n", words::count(taken, "build")))?;
    failed.iter().max().map_or(Ok(()), |exit_code| Err(export_error(failed.len(), files.len(), *exit_code)))
}

/// Some files could not be taken up, each of which was named before: a script that has named them must not take that for a success.
fn export_error(failed: usize, of: usize, exit_code: u8) -> Error {
    let message = match failed {
        all if all == of => "none of the files can be taken up".to_owned(),
        some => format!("{some} of {of} files can't be taken up"),
    };
    let hint = "name recordings, JSON output of layertop or rawjson of buildx".to_owned();
    Error::Diagnosed { message, hint, exit_code }
}

/// Files in the order in which their builds began, whatever order they were named in: what a build took is what the next are measured by.
/// What can't be read comes first; what is wrong with it is said where it is read.
fn by_age(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = files.to_vec();
    files.sort_by_cached_key(|file| {
        let mut events = Vec::new();
        if let Ok(mut reader) = Reader::open(file, Mask::default()) {
            reader.next_batch(1, &mut events);
        }
        events.first().map(|event| event.at)
    });
    files
}

/// Reads a recording into the store, and gives when its build began; none where it is there already.
fn read(store: &mut Store, file: &Path) -> Result<Option<Time>, Error> {
    let mut model = builds::read_as_it_is(file, builds::ReadExtent::Steps, builds::DamageWarning::Told)?;
    let Some(name) = unused(store, &history::name(file), model.begun().unwrap_or_default()) else {
        return Ok(None);
    };
    add_derived_events(&mut model, &name, store);
    let path = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    store
        .keep(&StoredBuild::of(&model, name, Some(path)))
        .map(|_| model.begun())
        .map_err(|error| unreadable(&error))
}

/// Adds to a model what its recording does not tell and the store does.
fn add_derived_events(model: &mut Model, name: &Text, store: &Store) {
    let at = model.newest();
    for event in builds::derived_events(model, name, Some(store)) {
        model.apply(&Stamped { at, event });
    }
}

/// Judges those builds anew that were recorded by another program and taken up before an older one: what it took is what they are
/// measured by. A build whose file is gone stays as it is.
fn rejudge(store: &mut Store, oldest: Time) {
    let own = recording::default_dir();
    let mut rows = store.builds(None, usize::MAX).unwrap_or_default();
    rows.retain(|row| row.started > oldest);
    // The oldest first, as they are taken up.
    for row in rows.into_iter().rev() {
        let file = row.recording.as_ref().map(|path| PathBuf::from(path.as_str()));
        let Some(file) = file.filter(|file| file.is_file() && file.parent() != own.as_deref()) else {
            continue;
        };
        let Ok(mut model) =
            builds::read_as_it_is(&file, builds::ReadExtent::Steps, builds::DamageWarning::Silent)
        else {
            continue;
        };
        if !(model.has_expected() && model.has_reasons()) {
            add_derived_events(&mut model, &row.name, store);
            // What can't be written stays as it is.
            let _ = store.renew(row.id, &StoredBuild::of(&model, row.name.clone(), Some(file)));
        }
    }
}

/// The name of a build that began then: its file's, with a number where another build has that name; none where it is kept already.
fn unused(store: &Store, name: &Text, begun: Time) -> Option<Text> {
    let numbered = (2_u32..).map(|number| Text::clean(&format!("{name}-{number}")));
    for name in std::iter::once(name.clone()).chain(numbered) {
        match store.began(name.as_str()) {
            None => return Some(name),
            Some(known) if known == begun => break,
            Some(_) => {}
        }
    }
    None
}

/// The store, to be read; none where there is none yet.
pub(super) fn open() -> Result<Option<Store>, Error> {
    let Some(path) = history::default_path() else { return Err(no_default_dir()) };
    let opened = Store::open_to_read(&path, Clock::live().now()).map_err(|trouble| unavailable(&trouble))?;
    let Some(opened) = opened else { return Ok(None) };
    opened.notes.iter().for_each(|note| print_stderr(&format!("warning: {note}\n")));
    Ok(Some(opened.store))
}

/// The image that is meant by its whole reference or by the last part of its name.
pub(super) fn named(store: &Store, image: &str) -> Result<String, Error> {
    let known = store.images().map_err(|error| unreadable(&error))?;
    let (meant, _) = crate::explain::repository(image);
    let last = |known: &&String| known.rsplit('/').next() == Some(meant);
    let found = known.iter().find(|known| *known == meant).or_else(|| known.iter().find(last));
    found.cloned().ok_or_else(|| {
        let hint = match known.as_slice() {
            [] => "layertop build keeps one".to_owned(),
            known => format!("there are: {}", known.join(", ")),
        };
        Error::unavailable(format!("no build of `{}` is kept", Text::clean(image)), hint)
    })
}

/// Where nothing is kept yet there may be recordings.
pub(super) fn hint() {
    let recordings = recording::default_dir().and_then(|dir| recording::list(&dir).ok()).unwrap_or_default();
    if !recordings.is_empty() {
        let count = words::count(recordings.len(), "recording");
        print_stderr(&format!("there are {count} from before: layertop history import takes them up\n"));
    }
}

/// Lines as they are printed.
pub(super) fn text(look: OutputStyle, lines: Vec<crate::report::styled::StyledLine>) -> String {
    let mut text = String::new();
    for line in lines {
        line.write(look.theme.color, &mut text);
    }
    text
}

/// How wide a table may be; who reads it by a program gets all of it.
pub(super) fn wide() -> Option<usize> {
    std::io::stdout().is_terminal().then(OutputStyle::columns)
}

/// A moment, as the clock on the wall shows it now.
pub(super) fn when(time: Time) -> String {
    local(time, Clock::live().now(), &TimeZone::system())
}

/// A moment, as the clock on the wall shows it; without the year where that is this one.
fn local(time: Time, now: Time, zone: &TimeZone) -> String {
    let here = |time: Time| {
        let moment = jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default();
        moment.to_zoned(zone.clone())
    };
    let form = if here(time).year() == here(now).year() { "%m-%d %H:%M" } else { "%Y-%m-%d %H:%M" };
    here(time).strftime(form).to_string()
}

pub(super) fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::broken(format!("can't read the history: {error}"), "look whether its disk is sound and has space")
}

fn unavailable(trouble: &history::StoreError) -> Error {
    Error::broken(trouble.message(), trouble.remedy())
}

fn no_default_dir() -> Error {
    Error::unavailable("there is no home directory", recording::ANOTHER_PLACE)
}
