//! Why steps miss: the judgement beside a build, and `layertop why`.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::build;
use super::builds::{self, Damage, Extent, Found, Unclear};
use super::configuration::{complain, print};
use super::history::{self as app_history, Historian, take_listing};
use super::look::Look;
use crate::cli::{self, Cli, ProgressMode};
use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::error::Error;
use crate::event::reason::{Reasons, StepReason};
use crate::event::{Digest, Mask, Reason, Records, Text};
use crate::explain::{self, Past};
use crate::history::{self, PastQuery, Store, StoreClient, StoreWorker};
use crate::model::Model;
use crate::recording;
use crate::report::why;
use crate::source::buildx::{BuildCommand, Program};
use crate::source::evidence;
use crate::wording;

/// How long earlier builds are looked for.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// How long the end of a build waits for them.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Judges the misses of a live build.
pub(super) struct Explainer {
    wanted: PastQuery,
    clock: Clock,
    asker: StoreClient,
    /// Earlier builds, asked for when the first step has missed: nothing else is to be compared with them.
    pasts: Option<Receiver<Vec<Past>>>,
    /// Earlier builds once more, where the builder's records have told more of one.
    again: Option<Receiver<Option<Vec<Past>>>>,
    known: Option<Vec<Past>>,
    /// What was known when it was judged last.
    seen: Seen,
    told: std::collections::HashMap<Digest, Reason>,
}

/// What changes a judgement, roughly and cheaply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    missed: usize,
    hit: usize,
    failed_imports: usize,
    done_imports: usize,
    print: bool,
    records: usize,
    pasts: bool,
}

impl Explainer {
    /// Nothing is asked yet. Where nobody looks nothing is known of earlier builds, and the judgement says so.
    pub(super) fn start(command: &BuildCommand, clerk: &StoreWorker, clock: Clock) -> Self {
        let wanted = PastQuery::of(&command.started(), true);
        let (asker, told) = (clerk.client(), std::collections::HashMap::new());
        Self { wanted, clock, asker, pasts: None, again: None, known: None, seen: Seen::default(), told }
    }

    /// Has earlier builds looked for. The build waits for nothing.
    fn ask(&self) -> Receiver<Vec<Past>> {
        let (wanted, clock) = (self.wanted.clone(), self.clock);
        self.asker.ask(move |store| look_up(store.map(|store| &*store), &wanted, clock))
    }

    /// Takes a listing of the builder: what it tells of the build before this one may be why a step misses now.
    pub(super) fn listed(&mut self, records: &Arc<Records>, historian: &Historian) {
        let (wanted, clock, is_asked) = (self.wanted.clone(), self.clock, self.pasts.is_some());
        let (builder, records) = (wanted.builder.clone(), Arc::clone(records));
        self.again = Some(historian.clerk().ask(move |store| {
            let store = store?;
            let told = take_listing(store, builder.as_ref(), &records);
            // Who asks behind this is told it at once.
            (told && is_asked).then(|| look_up(Some(&*store), &wanted, clock))
        }));
    }

    /// Reasons that are new or have changed.
    pub(super) fn look(&mut self, model: &Model, last: bool) -> Option<Reasons> {
        let mut seen = seen(model);
        if seen.missed > 0 && self.pasts.is_none() {
            self.pasts = Some(self.ask());
        }
        if self.known.is_none()
            && let Some(pasts) = &self.pasts
        {
            let found = if last && seen.missed > 0 {
                pasts.recv_timeout(LAST_WAIT).ok()
            } else {
                pasts.try_recv().ok()
            };
            self.known = found;
        }
        let again = self.again.as_ref().and_then(|again| {
            if last && seen.missed > 0 { again.recv_timeout(LAST_WAIT).ok() } else { again.try_recv().ok() }
        });
        if let Some(told) = again {
            self.again = None;
            if told.is_some() {
                self.known = told;
                self.seen = Seen::default();
            }
        }
        seen.pasts = self.known.is_some();
        if seen.missed == 0 || (seen == self.seen && !last) || (self.known.is_none() && !last) {
            return None;
        }
        self.seen = seen;
        let pasts = self.known.as_deref().unwrap_or_default();
        let fresh = |one: &StepReason| self.told.get(&one.vertex) != Some(&one.reason);
        let mut reasons = explain::judge(model, pasts);
        wording::fill(&mut reasons);
        reasons.retain(fresh);
        self.told.extend(reasons.iter().map(|one| (one.vertex.clone(), one.reason.clone())));
        (!reasons.is_empty()).then_some(Reasons { reasons })
    }
}

fn look_up(store: Option<&Store>, wanted: &PastQuery, clock: Clock) -> Vec<Past> {
    let begun = clock.now();
    let is_enough = || clock.now().since(begun) > LONGEST_LOOK;
    history::earlier(store, recording::default_dir().as_deref(), wanted, None, &is_enough)
}

/// Earlier builds, for who has no [`StoreWorker`] and waits for them. Where the store can't be opened the recordings tell as much.
pub(super) fn earlier(wanted: &PastQuery) -> Vec<Past> {
    history::earlier(builds::store().as_ref(), recording::default_dir().as_deref(), wanted, None, &|| false)
}

fn seen(model: &Model) -> Seen {
    let steps = || model.stack().steps().map(|(id, _)| id);
    let imports = model.cache().imports;
    Seen {
        missed: steps().filter(|id| model.missed(*id)).count(),
        hit: steps().filter(|id| model.state(*id) == crate::model::State::Hit).count(),
        failed_imports: imports.iter().filter(|one| one.error.is_some()).count(),
        done_imports: imports.iter().filter(|one| one.phase == crate::model::Phase::Done).count(),
        print: model.fingerprint().is_some(),
        records: model.records_before().len() + model.cache_manifests().len(),
        pasts: false,
    }
}

/// How long it is waited without a word for the records of a builder that were not listed yet when its build ended.
const WORDLESS: Duration = Duration::from_secs(2);
/// And how long in all: a builder has a minute to answer.
const LISTING: Duration = Duration::from_secs(65);

/// Has the records of the builder of a build listed where they can still tell of it; says whether they did.
async fn completed(path: &Path, model: &Model, cli: &Cli, around: &Surroundings) -> bool {
    let store =
        history::default_path().and_then(|path| Store::open_to_read(&path, Clock::live().now()).ok()?);
    if !store.is_some_and(|opened| opened.store.is_open(path, model)) {
        return false;
    }
    // What is secret in the project's command is not told here either.
    let command = Config::load(&cli.global, None, around)
        .and_then(|config| build::command(&config, &[], Program::default(), around));
    let settings = evidence::EvidenceSettings {
        builder: model.started().builder.as_ref().map(ToString::to_string),
        env: around.env.clone(),
        mask: Mask::new(command.map(|command| command.secrets).unwrap_or_default()),
        earlier: app_history::earlier_in_store(),
        ..evidence::EvidenceSettings::default()
    };
    let clock = Clock::live();
    let mut listing = std::pin::pin!(evidence::after(&settings, clock));
    let listed = if let Ok(listed) = tokio::time::timeout(WORDLESS, listing.as_mut()).await {
        listed
    } else {
        complain(
            "layertop: the builder is slow to list its records, which tell where hits came from; waiting, a minute at most\n",
        );
        tokio::time::timeout(LISTING, listing).await.unwrap_or_default()
    };
    app_history::take_listings(model.started().builder.clone(), listed).await
}

/// `layertop why`.
pub(super) async fn run(cli: &Cli, args: &cli::WhyArgs, around: &Surroundings) -> Result<(), Error> {
    let look = Look::without_build(&cli.global, around)?;
    let Meant { found, step, no_build } = meant(args, &cli.global, around)?;
    let path = found.recording()?;
    // What steps said is counted in JSON.
    let extent = if look.progress == ProgressMode::Json { Extent::All } else { Extent::Steps };
    let mut model = builds::read(path, extent, Damage::Told)?;
    if completed(path, &model, cli, around).await {
        model = builds::read(path, extent, Damage::Silent)?;
    }
    let chosen = match &step {
        None => None,
        Some(text) => {
            let steps = why::find(&model, text);
            if steps.is_empty() {
                return Err(no_step(&found, &model, text, no_build));
            }
            Some(steps)
        }
    };
    if look.progress == ProgressMode::Json {
        return print(&why::json(&model, &found.name, chosen.as_deref()));
    }
    let mut lines = vec![builds::heading(&found, &model, look.theme.ascii)];
    lines.extend(why::lines(&model, chosen.as_deref(), look.theme.ascii));
    print(&super::history::text(look, lines))
}

/// What the words mean.
struct Meant {
    found: Found,
    step: Option<String>,
    /// Why the word for the step names no build, where it was the only word.
    no_build: Option<Error>,
}

/// No step is called so. A word that is alone may have been meant as the name of a build.
fn no_step(found: &Found, model: &Model, text: &str, no_build: Option<Error>) -> Error {
    let (names, build, text) = (why::names(model).join(", "), &found.name, Text::clean(text));
    let newest = found.choice.note().map(|note| format!(", the {note},")).unwrap_or_default();
    match no_build {
        None => Error::unavailable(
            format!("no step of {build} is called `{text}`"),
            format!("name a layer, a number or an instruction; the layers are: {names}"),
        ),
        Some(Error::Unavailable { .. }) => Error::unavailable(
            format!("no build is called `{text}`, and no step of {build}{newest} is"),
            format!("layertop history lists the builds; the layers of {build} are: {names}"),
        ),
        Some(folder) => Error::unavailable(
            format!("no step of {build}{newest} is called `{text}`, and as a build {folder}"),
            format!("the layers of {build} are: {names}"),
        ),
    }
}

/// What is meant by the words. A word that is alone is a build where it is a file, a build's name, or how the name of just one begins, as
/// for every command; else it is a step of the newest.
fn meant(args: &cli::WhyArgs, global: &cli::GlobalArgs, around: &Surroundings) -> Result<Meant, Error> {
    let meant = |found, step, no_build| Meant { found, step, no_build };
    let (Some(word), None) = (&args.build, &args.step) else {
        let found = builds::meant(args.build.as_deref(), global, around)?;
        return Ok(meant(found, args.step.clone(), None));
    };
    match builds::named(word) {
        Ok(found) => {
            if found.is_named_in_part(word) {
                note(word, &found, global, around);
            }
            Ok(meant(found, None, None))
        }
        Err(Unclear::Unreadable(error)) => Err(error),
        Err(Unclear::Unknown(error)) if word.contains(['/', '.']) => Err(error),
        Err(Unclear::Unknown(error)) => {
            Ok(meant(builds::meant(None, global, around)?, Some(word.clone()), Some(error)))
        }
        Err(Unclear::Ambiguous(error)) => match newest_with(word, global, around) {
            Some(newest) => Ok(meant(newest, Some(word.clone()), None)),
            None => Err(error),
        },
    }
}

/// The newest build, where it has a step of this name.
fn newest_with(word: &str, global: &cli::GlobalArgs, around: &Surroundings) -> Option<Found> {
    let newest = builds::meant(None, global, around).ok()?;
    let model = builds::read(newest.recording().ok()?, Extent::Steps, Damage::Silent).ok()?;
    (!why::find(&model, word).is_empty()).then_some(newest)
}

/// Says how to ask for the step, where a word is one and is how a build's name begins as well.
fn note(word: &str, found: &Found, global: &cli::GlobalArgs, around: &Surroundings) {
    if let Some(newest) = newest_with(word, global, around) {
        let text = format!(
            "note: `{word}` is how {} begins; for the step of {1}: layertop why {1} {word}\n",
            found.name, newest.name
        );
        complain(&text);
    }
}
