//! `status`: how registry, nodes and builder are, once or for as long as somebody watches.

use std::time::Duration;

use tokio::time::sleep;

use super::output_style::OutputStyle;
use super::session::{BuildSession, FeedUpdate};
use super::signals::{SignalNumber, Signals};
use super::snapshot_filter::{self, SnapshotFilter};
use super::watchers::{WatchTargets, Watchers};
use super::{configuration, signal_error};
use crate::cli::ProgressMode;
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{Event, Stamped};
use crate::report::health::PartHealth;
use crate::report::{json, status};

/// What has not answered by then has its silence told.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long the cache's size is waited for, where all else is known by then: a builder with many records takes long to add them up, and
/// who asks wants an answer within a second.
const USAGE: Duration = Duration::from_millis(750);
/// What is not in order.
const FAULT: u8 = 3;

/// Looks until all is known, and says it; with `watch` again whenever something has changed.
pub(super) async fn run(targets: WatchTargets, look: OutputStyle, watch: bool) -> Result<(), Error> {
    let clock = Clock::live();
    let mut session = BuildSession::new(clock, None);
    let mut signals = Signals::listen()?;
    let watching = Event::Watching(targets.watching());
    session.take(FeedUpdate::of(vec![Stamped { at: clock.now(), event: watching }]));
    let mut around = Watchers::watch(targets, clock);
    let json = look.progress == ProgressMode::Json;
    // It hears all from the start, so that what was said is not said again.
    let mut filter = SnapshotFilter::every(if json { snapshot_filter::APART } else { Duration::MAX });
    let mut late = std::pin::pin!(sleep(PATIENCE));
    let mut sizes = std::pin::pin!(sleep(USAGE));
    while !is_known(&session) {
        let is_last = is_known_but_sizes(&session);
        tokio::select! {
            biased;
            signal = signals.next() => stop(signal)?,
            () = &mut late => break,
            () = &mut sizes, if is_last => break,
            events = around.next() => drop(filter.of(&session.take(FeedUpdate::of(events)))),
        }
    }
    print_status(&session, look)?;
    if watch {
        return Box::pin(go_on(session, around, look, signals, filter)).await;
    }
    // Whatever still hangs is given up.
    drop(around);
    let (model, now) = (&session.model, session.now());
    let well = PartHealth::all(model, now).iter().all(|health| health.is_well(model));
    if well { Ok(()) } else { Err(Error::Exit(FAULT)) }
}

/// Says it again whenever something has changed, until somebody has seen enough.
async fn go_on(
    mut session: BuildSession,
    mut around: Watchers,
    look: OutputStyle,
    mut signals: Signals,
    mut filter: SnapshotFilter,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => stop(signal)?,
            events = around.next() => {
                let events = session.take(FeedUpdate::of(events));
                if !filter.of(&events).is_empty() {
                    if look.progress != ProgressMode::Json {
                        configuration::print("\n")?;
                    }
                    print_status(&session, look)?;
                }
            }
        }
    }
}

/// Whether all that is looked at has said what there is to say.
fn is_known(session: &BuildSession) -> bool {
    PartHealth::all(&session.model, session.now()).iter().all(|health| health.is_whole(&session.model))
}

/// Whether nothing is missing but what the builder's cache takes.
fn is_known_but_sizes(session: &BuildSession) -> bool {
    let all = PartHealth::all(&session.model, session.now());
    all.iter().all(|health| health.is_whole_but_sizes(&session.model))
}

fn stop(signal: SignalNumber) -> Result<(), Error> {
    if signal == SignalNumber::SUSPEND {
        let _ = signal_hook::low_level::emulate_default_handler(signal.0);
        return Ok(());
    }
    Err(signal_error(signal))
}

fn print_status(session: &BuildSession, look: OutputStyle) -> Result<(), Error> {
    let (model, now) = (&session.model, session.now());
    match look.progress {
        ProgressMode::Json => configuration::print(&json::StatusSummary::of(model, now).line()),
        ProgressMode::Quiet => Ok(()),
        _ => {
            let mut text = String::new();
            for line in status::lines(model, now, OutputStyle::columns(), look.theme.ascii) {
                line.write(look.theme.color, &mut text);
            }
            configuration::print(&text)
        }
    }
}
