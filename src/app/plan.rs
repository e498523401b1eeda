//! `plan`: what a build would do now. Everything is asked that a build asks, and nothing is started.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::build;
use super::builds;
use super::configuration::{complain, print};
use super::die_by;
use super::history;
use super::look::Look;
use super::signals::Signals;
use super::why;
use crate::cli::{self, Cli, ProgressMode};
use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::error::Error;
use crate::event::fingerprint::{Fingerprint, Input};
use crate::event::{Digest, Event, Level, Notice, Stamped, Text};
use crate::explain::{self, Past};
use crate::model::Model;
use crate::report::{json, plan};
use crate::source::buildx::{BuildCommand, Program};
use crate::source::evidence::Listings;
use crate::source::{context, evidence};
use crate::wording;

/// News on their way.
const AHEAD: usize = 64;
/// What has not answered by then is not known.
const PATIENCE: Duration = Duration::from_secs(60);
/// A layer that must not be rebuilt would be.
const REBUILT: u8 = 3;

/// Says what a build would do.
pub(super) async fn run(cli: &Cli, args: &cli::PlanArgs, around: &Surroundings) -> Result<(), Error> {
    let config = Config::load(&cli.global, Some(&args.overrides), around)?;
    let look = Look::of(&config, around);
    let command = build::command(&config, &args.buildx, Program::default(), around)?;
    let mut signals = Signals::listen()?;
    let ground = Ground::of(command, config, around, Clock::live());
    let model = tokio::select! {
        biased;
        signal = signals.next() => return Err(die_by(signal)),
        model = make(&ground) => model,
    };
    if !model.is_planned() {
        return Err(unplanned(&model));
    }
    let wanted: Vec<&str> = args.fail_on_rebuild.iter().map(|name| name.trim()).collect();
    if let Some(strange) = wanted.iter().find(|name| !plan::is_layer(&model, name)) {
        let names = crate::report::why::names(&model).join(", ");
        return Err(Error::usage(
            format!("no layer is called `{strange}`"),
            format!("name one of these behind --fail-on-rebuild: {names}"),
        ));
    }
    let broken = plan::broken(&model, &wanted);
    match look.progress {
        ProgressMode::Json => print(&json::PlanSummary::of(&model).line())?,
        ProgressMode::Quiet => {}
        _ => {
            let mut text = String::new();
            for line in plan::lines(&model, look.theme.ascii) {
                line.write(look.theme.color, &mut text);
            }
            print(&text)?;
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    for line in broken {
        complain(&format!("{line}\n"));
    }
    Err(Error::Exit(REBUILT))
}

/// Why nothing could be planned. What was found out says itself what to do.
fn unplanned(model: &Model) -> Error {
    let told = model.fingerprint().map(|print| print.reason.to_string()).filter(|reason| !reason.is_empty());
    match told {
        Some(message) => Error::Unavailable { message, hint: None },
        None => Error::unavailable("there is no Dockerfile here that can be read", context::NAME_IT),
    }
}

/// Finds out what a build would be made from and what there is for it, and predicts it.
async fn make(ground: &Ground) -> Model {
    let clock = ground.clock;
    let (tx, mut prints) = mpsc::channel(1);
    let print = async {
        if let Some(request) = ground.request.clone() {
            context::start(request, clock, tx).await;
        }
    };
    let (mut known, (pasts, expected), evidence, ()) =
        tokio::join!(ground.before(), ground.pasts(), ground.evidence(), print);
    known.extend(expected);
    known.extend(prints.recv().await.unwrap_or_default());
    known.extend(evidence);
    let print = known.iter().find_map(|event| match &event.event {
        Event::Fingerprint(print) => Some(print.as_ref()),
        _ => None,
    });
    let bases = ground.bases(&print.map(images).unwrap_or_default()).await;
    let mut model = Model::default();
    model.apply_all(&known);
    let mut planned = explain::plan(&known, &pasts, &bases);
    wording::fill_plan(&mut planned);
    model.apply_all(&planned);
    model
}

/// What a plan is made from, and how it is had.
#[derive(Clone)]
pub(super) struct Ground {
    command: BuildCommand,
    config: Config,
    settings: evidence::EvidenceSettings,
    /// None where the Dockerfile is not a file of this machine.
    pub(super) request: Option<context::FingerprintRequest>,
    pub(super) clock: Clock,
}

impl Ground {
    pub(super) fn of(command: BuildCommand, config: Config, around: &Surroundings, clock: Clock) -> Self {
        let earlier = history::earlier_in_store();
        let settings =
            evidence::EvidenceSettings { earlier, ..build::evidence_of(&command, &config, around) };
        let request = context::FingerprintRequest::of(&command, around);
        Self { command, config, settings, request, clock }
    }

    /// The same, with listings of the builder's records shared with who watches it.
    pub(super) fn sharing(mut self, listings: Listings) -> Self {
        self.settings.listings = listings;
        self
    }

    /// What is known before anything is asked, the Dockerfile's outline among it.
    pub(super) async fn before(&self) -> Vec<Stamped> {
        let (command, config, clock) = (self.command.clone(), self.config.clone(), self.clock);
        spawn_blocking(move || build::before(&command, &config, clock)).await.unwrap_or_default()
    }

    /// The builder's records and the caches; what did not answer in time is told by a notice.
    pub(super) async fn evidence(&self) -> Vec<Stamped> {
        let (tx, mut news) = mpsc::channel(AHEAD);
        // Nothing comes after a build that there is not.
        let (over, is_over) = watch::channel(false);
        drop(over);
        let mut known = Vec::new();
        let listening = async {
            while let Some(events) = news.recv().await {
                known.extend(events);
            }
        };
        let asking = evidence::run(self.settings.clone(), self.clock, is_over, tx);
        let silent = timeout(PATIENCE, async { tokio::join!(asking, listening) }).await.is_err();
        if silent {
            let text = format!("not everything answered in {} s", PATIENCE.as_secs()).as_str().into();
            let notice = Event::Notice(Notice { level: Level::Warn, text });
            known.push(Stamped { at: self.clock.now(), event: notice });
        }
        let records = known.iter().filter_map(|one| match &one.event {
            Event::Records(records) => Some(Arc::clone(records)),
            _ => None,
        });
        history::take_listings(self.command.started().builder, records.collect()).await;
        known
    }

    /// Earlier builds, and how long they took, where the history tells that.
    pub(super) async fn pasts(&self) -> (Vec<Past>, Option<Stamped>) {
        let (started, clock) = (self.command.started(), self.clock);
        let look = move || {
            let pasts = why::earlier(&crate::history::PastQuery::of(&started, true));
            let expected = builds::store().map(|store| history::expected(&store, &started));
            let expected = expected.filter(|expected| expected.builds > 0);
            let event = expected.map(|expected| Event::Expected(Box::new(expected)));
            (pasts, event.map(|event| Stamped { at: clock.now(), event }))
        };
        spawn_blocking(look).await.unwrap_or_default()
    }

    /// What the tags of base images point at.
    pub(super) async fn bases(&self, images: &[Text]) -> BTreeMap<Text, Digest> {
        evidence::bases(&self.settings, images, self.clock).await
    }

    /// The image that would be built.
    pub(super) fn image(&self) -> Option<&str> {
        self.command.images.first().map(String::as_str)
    }
}

/// The base images of a build.
pub(super) fn images(print: &Fingerprint) -> Vec<Text> {
    let bases = print.stages.iter().filter_map(|stage| match &stage.base {
        Input::Image(image) => Some(image.clone()),
        _ => None,
    });
    let mut images: Vec<Text> = bases.collect();
    images.sort();
    images.dedup();
    images
}
