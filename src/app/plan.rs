//! `plan`: what a build would do now. Everything is asked that a build asks, and nothing is started.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::build;
use super::configuration::{complain, print};
use super::die_by;
use super::look::Look;
use super::signals::Signals;
use super::why;
use crate::cli::{self, Cli, Progress};
use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::error::Error;
use crate::event::fingerprint::{Fingerprint, Input};
use crate::event::{Event, Level, Notice, Stamped, Text};
use crate::explain::{self, Plan};
use crate::model::Model;
use crate::report::{json, plan};
use crate::source::buildx::{BuildCommand, Program, secrets};
use crate::source::{context, evidence};

/// News on their way.
const AHEAD: usize = 64;
/// What has not answered by then is not known.
const PATIENCE: Duration = Duration::from_secs(60);
/// A layer that must not be rebuilt would be.
const REBUILT: u8 = 3;

/// Says what a build would do.
pub(super) async fn run(cli: &Cli, args: &cli::Plan, around: &Surroundings) -> Result<(), Error> {
    let config = Config::load(&cli.global, Some(&args.overrides), around)?;
    let look = Look::of(&config, around);
    let command = BuildCommand::new(&config, &args.buildx, Program::default(), around, &secrets::read_file)?;
    let mut signals = Signals::listen()?;
    let (model, plan) = tokio::select! {
        biased;
        signal = signals.next() => return Err(die_by(signal)),
        made = make(&command, &config, around) => made,
    };
    if plan.steps.is_empty() {
        return Err(Error::unavailable(reason(&model), "name the Dockerfile by -f or [build] dockerfile"));
    }
    let wanted: Vec<&str> = args.fail_on_rebuild.iter().map(|name| name.trim()).collect();
    if let Some(strange) = wanted.iter().find(|name| !plan::is_layer(&plan, name)) {
        let names = crate::report::why::names(&model).join(", ");
        return Err(Error::usage(
            format!("no layer is called `{strange}`"),
            format!("name one of these behind --fail-on-rebuild: {names}"),
        ));
    }
    let broken = plan::broken(&plan, &wanted);
    match look.progress {
        Progress::Json => print(&json::PlanSummary::of(&model, &plan).line())?,
        Progress::Quiet => {}
        _ => {
            let mut text = String::new();
            for line in plan::lines(&model, &plan, look.theme.ascii) {
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

/// Why nothing could be planned.
fn reason(model: &Model) -> String {
    let told = model.fingerprint().map(|print| print.reason.to_string()).filter(|reason| !reason.is_empty());
    told.unwrap_or_else(|| "there is no Dockerfile here that can be read".to_owned())
}

/// Finds out what a build would be made from and what there is for it, and predicts it.
async fn make(command: &BuildCommand, config: &Config, around: &Surroundings) -> (Model, Plan) {
    let clock = Clock::live();
    let mut known = build::before(command, config, clock);
    let settings = build::evidence_of(command, config, around);
    let (tx, mut news) = mpsc::channel(AHEAD);
    // Nothing comes after a build that there is not.
    let (over, is_over) = watch::channel(false);
    drop(over);
    let (asked, request, print_tx) = (settings.clone(), context::Request::of(command, around), tx.clone());
    let task = tokio::spawn(async move {
        let print = async {
            if let Some(request) = request {
                context::start(request, clock, print_tx).await;
            }
        };
        tokio::join!(print, evidence::run(asked, clock, is_over, tx));
    });
    let wanted = why::wanted(&command.started(), true);
    let pasts = spawn_blocking(move || why::earlier(&wanted, None));
    let listening = async {
        while let Some(events) = news.recv().await {
            known.extend(events);
        }
    };
    let silent = timeout(PATIENCE, listening).await.is_err();
    task.abort();
    if silent {
        let text = format!("not everything answered in {} s", PATIENCE.as_secs()).as_str().into();
        let notice = Event::Notice(Notice { level: Level::Warn, text });
        known.push(Stamped { at: clock.now(), event: notice });
    }
    let bases = evidence::bases(&settings, &images(&known), clock).await;
    explain::plan(&known, &pasts.await.unwrap_or_default(), &bases)
}

/// The base images of a build.
fn images(known: &[Stamped]) -> Vec<Text> {
    let print = known.iter().find_map(|event| match &event.event {
        Event::Fingerprint(print) => Some(print.as_ref()),
        _ => None,
    });
    let of = |print: &Fingerprint| {
        let bases = print.stages.iter().filter_map(|stage| match &stage.base {
            Input::Image(image) => Some(image.clone()),
            _ => None,
        });
        let mut images: Vec<Text> = bases.collect();
        images.sort();
        images.dedup();
        images
    };
    print.map(of).unwrap_or_default()
}
