//! The dashboard: what a build would do now, the last build, and what is around it. Nothing is started.

mod last;
mod planner;

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use super::plan::PlanInputs;
use super::session::{Feed, FeedControl, FeedUpdate};
use super::watchers::{WatchTargets, Watchers};
use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::event::builder::Amount;
use crate::event::{BuilderSnapshot, Digest, Event, Stamped, Text, Watching};
use crate::source::buildx::BuildCommand;
use planner::Planner;

/// Requests on their way: who presses a key faster than that is not obeyed each time.
const ASKS: usize = 8;

/// Whether there is anything here that could be built.
pub(super) fn is_project(config: &Config, command: &BuildCommand) -> bool {
    config.has_project || command.dockerfile.as_ref().is_some_and(|path| path.is_file())
}

/// The plan, and whatever is around it, for as long as somebody looks.
pub(super) fn feed(
    command: BuildCommand,
    config: Config,
    around: &Surroundings,
    targets: WatchTargets,
    clock: Clock,
) -> Feed {
    let (tx, updates) = mpsc::channel(2);
    let (asks, asked) = mpsc::channel(ASKS);
    let watches = *config.health.watch;
    let watching = if watches { targets.watching() } else { Watching::default() };
    let watching = Stamped { at: clock.now(), event: Event::Watching(watching) };
    // The channel is empty: this comes first.
    let _ = tx.try_send(FeedUpdate::of(vec![watching]));
    let plan_inputs =
        PlanInputs::of(command, config, around, clock).sharing(targets.builder.listings.clone());
    tokio::spawn(Planner::new(plan_inputs, tx).run(asked));
    let around = if watches { Watchers::watch(targets, clock) } else { Watchers::nothing() };
    Feed { updates, steer: FeedControl::Dashboard(PlannerHandle::new(asks)), around }
}

/// What the planner is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlannerRequest {
    /// The last build instead of the plan, or the other way round.
    Turn,
    /// A build has ended on the builder.
    Ended,
    /// The caches are not what they were.
    Moved,
}

/// The front end's side of the planner: it tells it what goes on around.
pub(super) struct PlannerHandle {
    asks: mpsc::Sender<PlannerRequest>,
    running: BTreeSet<Text>,
    kept: Vec<Amount>,
    cache: Option<Digest>,
}

impl PlannerHandle {
    fn new(asks: mpsc::Sender<PlannerRequest>) -> Self {
        Self { asks, running: BTreeSet::new(), kept: Vec::new(), cache: None }
    }

    /// The last build instead of the plan, or the other way round.
    pub(super) fn turn(&self) {
        let _ = self.asks.try_send(PlannerRequest::Turn);
    }

    /// Hears what is told of registry and builder.
    pub(super) fn on_events(&mut self, events: &[Stamped]) {
        for event in events {
            let ask = match &event.event {
                Event::Builder(snapshot) => self.on_builder(snapshot),
                Event::Registry(registry) => {
                    let cache = registry.cache.as_ref().and_then(|cache| cache.digest.clone());
                    let before = self.cache.take();
                    let moved = before.is_some() && cache.is_some() && before != cache;
                    self.cache = cache.or(before);
                    moved.then_some(PlannerRequest::Moved)
                }
                _ => None,
            };
            // A full channel holds enough that makes it look.
            let _ = ask.map(|ask| self.asks.try_send(ask));
        }
    }

    fn on_builder(&mut self, snapshot: &BuilderSnapshot) -> Option<PlannerRequest> {
        // Of a node that does not answer it is not known what runs on it.
        let known = !snapshot.nodes.is_empty() && snapshot.nodes.iter().all(|node| node.active.is_some());
        if !known {
            return None;
        }
        let builds = snapshot.nodes.iter().flat_map(|node| node.active.iter().flatten());
        let running: BTreeSet<Text> = builds.map(|build| build.reference.clone()).collect();
        let ended = self.running.iter().any(|build| !running.contains(build));
        self.running = running;
        let kept: Vec<Amount> =
            snapshot.nodes.iter().filter_map(|node| Some(node.usage.as_ref()?.total)).collect();
        let before = std::mem::replace(&mut self.kept, kept);
        let moved = !before.is_empty() && before != self.kept;
        if ended { Some(PlannerRequest::Ended) } else { moved.then_some(PlannerRequest::Moved) }
    }
}
