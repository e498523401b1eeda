//! Why steps miss: the judgement beside a build, and `layertop why`.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::builds;
use super::configuration::print;
use super::look::Look;
use crate::cli::{self, Cli, Progress};
use crate::clock::Clock;
use crate::config::Surroundings;
use crate::error::Error;
use crate::event::reason::{Reasons, StepReason};
use crate::event::{Digest, Reason, Started};
use crate::explain::{self, Past};
use crate::history::{self, Clerk, Store, Wanted};
use crate::model::Model;
use crate::recording::{self, Listed};
use crate::report::why;
use crate::source::buildx::BuildCommand;

/// How long earlier builds are looked for.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// How long the end of a build waits for them.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Judges the misses of a live build.
pub(super) struct Explainer {
    pasts: Receiver<Vec<Past>>,
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
    /// Has earlier builds looked for: the build waits for nothing. Where nobody looks nothing is known of them, and the judgement says
    /// so.
    pub(super) fn start(command: &BuildCommand, clerk: &Clerk, clock: Clock) -> Self {
        let wanted = wanted(&command.started(), false);
        let begun = clock.now();
        let pasts = clerk.ask(move |store| {
            let is_enough = || clock.now().since(begun) > LONGEST_LOOK;
            history::earlier(
                store.map(|store| &*store),
                recording::default_dir().as_deref(),
                &wanted,
                None,
                &is_enough,
            )
        });
        Self { pasts, known: None, seen: Seen::default(), told: std::collections::HashMap::new() }
    }

    /// Reasons that are new or have changed.
    pub(super) fn look(&mut self, model: &Model, last: bool) -> Option<Reasons> {
        let mut seen = seen(model);
        if self.known.is_none() {
            let found = if last && seen.missed > 0 {
                self.pasts.recv_timeout(LAST_WAIT).ok()
            } else {
                self.pasts.try_recv().ok()
            };
            self.known = found;
        }
        seen.pasts = self.known.is_some();
        if seen.missed == 0 || (seen == self.seen && !last) || (self.known.is_none() && !last) {
            return None;
        }
        self.seen = seen;
        let pasts = self.known.as_deref().unwrap_or_default();
        let fresh = |one: &StepReason| self.told.get(&one.vertex) != Some(&one.reason);
        let reasons: Vec<StepReason> = explain::judge(model, pasts).into_iter().filter(fresh).collect();
        self.told.extend(reasons.iter().map(|one| (one.vertex.clone(), one.reason.clone())));
        (!reasons.is_empty()).then_some(Reasons { reasons })
    }
}

/// What to compare a build with.
pub(super) fn wanted(started: &Started, many: bool) -> Wanted {
    let Started { image, builder, platforms, .. } = started.clone();
    Wanted { image, builder, platforms, many }
}

/// Earlier builds, for who has no [`Clerk`] and waits for them.
pub(super) fn earlier(wanted: &Wanted, older_than: Option<&Listed>) -> Vec<Past> {
    // Where the store can't be opened the recordings tell as much.
    let opened = history::default_path().map(|path| Store::open_to_read(&path, Clock::live().now()));
    let store = opened.and_then(Result::ok).flatten().map(|opened| opened.store);
    history::earlier(store.as_ref(), recording::default_dir().as_deref(), wanted, older_than, &|| false)
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

/// `layertop why`.
pub(super) fn run(cli: &Cli, args: &cli::Why, around: &Surroundings) -> Result<(), Error> {
    let look = Look::without_build(&cli.global, around);
    let (path, step) = meant(args)?;
    let model = builds::read(&path)?;
    let chosen = match &step {
        None => None,
        Some(text) => {
            let found = why::find(&model, text);
            if found.is_empty() {
                let names = why::names(&model).join(", ");
                return Err(Error::usage(
                    format!("no step of {} is called `{text}`", path.display()),
                    format!("name a layer, a number or an instruction; the layers are: {names}"),
                ));
            }
            Some(found)
        }
    };
    if look.progress == Progress::Json {
        return print(&why::json(&model, chosen.as_deref()));
    }
    let mut text = String::new();
    for line in why::lines(&model, chosen.as_deref(), look.theme.ascii) {
        line.write(look.theme.color, &mut text);
    }
    print(&text)
}

/// What is meant by the words: where the only one names no build it is a step of the newest.
fn meant(args: &cli::Why) -> Result<(PathBuf, Option<String>), Error> {
    let found = builds::find(args.build.as_deref());
    match (&args.build, &args.step) {
        (Some(word), None) if found.is_err() && !word.contains(['/', '.']) => {
            Ok((builds::find(None)?, Some(word.clone())))
        }
        _ => Ok((found?, args.step.clone())),
    }
}
