//! What every front end holds: the model, the clock that it is on, the recording.

use std::path::Path;

use tokio::sync::mpsc;

use super::dashboard::PlannerHandle;
use super::history::HistoryClient;
use super::snapshot_filter::{self, SnapshotFilter};
use super::watchers::Watchers;
use super::why::Explainer;
use crate::clock::{Clock, Speed};
use crate::event::gate::Gate;
use crate::event::{Cancelling, Event, Level, Notice, Stamped, Text, Time};
use crate::model::Model;
use crate::recording::{Recorder, RecordingResult};
use crate::report::gates;
use crate::source::buildx::Cancel;
use crate::source::replay;

/// Events that are not held back any more, by their number and by what they take of memory.
const MANY: usize = 512;
const HEAVY: usize = 256 << 10;
/// What the events may take of memory that are taken together.
const TOGETHER: usize = 8 << 20;

/// News for a front end.
pub(super) struct FeedUpdate {
    /// What is to be forgotten first.
    pub(super) reset: Reset,
    pub(super) events: Vec<Stamped>,
    /// How the replay stands, in a replay.
    pub(super) replay: Option<replay::ReplayState>,
}

/// What an update makes forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reset {
    /// Nothing: it goes on.
    No,
    /// The build, for another one; what is around it goes on.
    Build,
    All,
}

impl FeedUpdate {
    /// What happened, and nothing else.
    pub(super) fn of(events: Vec<Stamped>) -> Self {
        Self { reset: Reset::No, events, replay: None }
    }

    /// This with what comes behind it at once. A model of many vertices is settled once for as many events: so the time of a replay
    /// that waits for nothing grows as the build does, and not as its square.
    pub(super) async fn with_more(mut self, updates: &mut mpsc::Receiver<Self>, vertices: usize) -> Self {
        let waits_for_nothing =
            |update: &Self| update.replay.is_some_and(|replay| replay.clock.speed().is_max());
        while waits_for_nothing(&self)
            && self.events.len() < vertices
            && weight(&self.events) < TOGETHER
            && let Some(next) = updates.recv().await
        {
            if next.reset == Reset::No {
                self.events.extend(next.events);
            } else {
                self = Self { reset: self.reset.max(next.reset), events: next.events, ..self };
            }
            self.replay = next.replay.or(self.replay);
        }
        self
    }
}

/// Where news come from, and how it is steered.
pub(super) struct Feed {
    pub(super) updates: mpsc::Receiver<FeedUpdate>,
    pub(super) steer: FeedControl,
    /// What is around it; it goes on when the news have ended.
    pub(super) around: Watchers,
}

/// How a feed is steered.
pub(super) enum FeedControl {
    /// A build can be cancelled, harder each time.
    Build(mpsc::Sender<Cancel>),
    /// A replay can be paused, sought, sped up.
    Replay(mpsc::Sender<replay::Control>),
    /// The dashboard can show the plan or the last build, and wants to know what goes on on the builder.
    Dashboard(PlannerHandle),
    /// It goes its own way.
    None,
}

/// Gives what a recording does not tell of its build.
pub(super) type DerivedEvents = Box<dyn Fn(&Model) -> Vec<Event>>;

/// One build, live or replayed.
pub(super) struct BuildSession {
    pub(super) model: Model,
    pub(super) replay: Option<replay::ReplayState>,
    clock: Clock,
    recorder: Option<Recorder>,
    /// Says why steps miss, in a live build.
    pub(super) explainer: Option<Explainer>,
    /// What the build must not do.
    pub(super) gates: Vec<Gate>,
    /// Writes a live build down.
    pub(super) history_client: Option<HistoryClient>,
    /// What is told at the end of a replay that its recording does not tell.
    pub(super) derived_events: Option<DerivedEvents>,
    filter: SnapshotFilter,
    /// For the recorder, which is another thread: waking it for each message costs more than the message.
    held: Vec<Stamped>,
    /// Whether the recording's problem has been said.
    warned: bool,
}

impl BuildSession {
    pub(super) fn new(clock: Clock, recorder: Option<Recorder>) -> Self {
        let (model, filter, held) =
            (Model::default(), SnapshotFilter::every(snapshot_filter::APART), Vec::new());
        let (explainer, history_client, derived_events, gates) = (None, None, None, Vec::new());
        let (replay, warned) = (None, false);
        Self {
            model,
            replay,
            clock,
            recorder,
            explainer,
            gates,
            history_client,
            derived_events,
            filter,
            held,
            warned,
        }
    }

    /// Takes news; gives the events back, with layertop's own among them. They are recorded with the next [`BuildSession::keep`].
    pub(super) fn take(&mut self, update: FeedUpdate) -> Vec<Stamped> {
        match update.reset {
            Reset::No => {}
            Reset::Build => self.model.forget_build(),
            Reset::All => self.model = Model::default(),
        }
        self.replay = update.replay.or(self.replay);
        let mut events = update.events;
        // What is known of the misses is told before the end, so that who hears of the end knows all.
        let end = events.iter().position(|event| matches!(event.event, Event::Ended(_)));
        let tail = events.split_off(end.unwrap_or(events.len()));
        self.model.apply_all(&events);
        self.listings(&events);
        if let Some(history_client) = &mut self.history_client
            && let Some(expected) = history_client.expected(!tail.is_empty())
        {
            let at = tail.first().map_or_else(|| self.clock.now(), |end| end.at);
            let told = Stamped { at, event: Event::Expected(Box::new(expected)) };
            self.model.apply(&told);
            events.push(told);
        }
        // What steps say and how far they are changes no reason.
        let tells = |event: &Stamped| !event.event.is_progress();
        if let Some(explainer) = &mut self.explainer
            && (!tail.is_empty() || events.iter().any(tells))
            && let Some(news) = explainer.look(&self.model, !tail.is_empty())
        {
            let at = tail.first().map_or_else(|| self.clock.now(), |end| end.at);
            let told = Stamped { at, event: Event::Reasons(Box::new(news)) };
            self.model.apply(&told);
            events.push(told);
        }
        if let (Some(derived_events), Some(end)) = (&self.derived_events, tail.first()) {
            for event in derived_events(&self.model) {
                let told = Stamped { at: end.at, event };
                self.model.apply(&told);
                events.push(told);
            }
        }
        self.model.apply_all(&tail);
        let end = tail.iter().find(|event| matches!(event.event, Event::Ended(_))).map(|end| end.at);
        events.extend(tail);
        if let Some(at) = end.filter(|_| !self.gates.is_empty()) {
            // They are judged by how the steps ended, which the end has told just now.
            let told = Stamped { at, event: Event::Gates(gates::judge(&self.model, &self.gates)) };
            self.model.apply(&told);
            events.push(told);
        }
        if self.recorder.is_some() {
            self.held.extend(self.filter.of(&events));
        }
        if self.held.len() >= MANY || weight(&self.held) >= HEAVY {
            self.keep();
        }
        if let Some(history_client) = &mut self.history_client {
            let path = self.recorder.as_ref().and_then(Recorder::path);
            history_client.look(&self.model, || path.filter(|path| path.exists()).map(Path::to_owned));
        }
        let problem = self.recorder.as_mut().and_then(Recorder::new_problem);
        self.warned |= problem.is_some();
        let of_history = self.history_client.as_ref().map(HistoryClient::warnings).unwrap_or_default();
        for text in problem.into_iter().chain(of_history) {
            let notice = Notice { level: Level::Warn, text: Text::clean(&text) };
            let notice = Stamped { at: self.clock.now(), event: Event::Notice(notice) };
            self.model.apply(&notice);
            self.held.extend(self.recorder.is_some().then(|| notice.clone()));
            events.push(notice);
        }
        events
    }

    /// Hands on what the builder had before this build.
    fn listings(&mut self, events: &[Stamped]) {
        let (Some(history_client), Some(explainer)) = (&self.history_client, &mut self.explainer) else {
            return;
        };
        for event in events {
            if let Event::Records(records) = &event.event
                && records.is_whole()
            {
                explainer.listed(records, history_client);
            }
        }
    }

    /// Hands what was taken to the recorder.
    pub(super) fn keep(&mut self) {
        if let Some(recorder) = &self.recorder
            && !self.held.is_empty()
        {
            recorder.record(std::mem::take(&mut self.held));
        }
    }

    /// The user has asked the build to stop: that is to be seen at once, and not when the build's side has heard of it.
    pub(super) fn cancelling(&mut self) {
        let count = self.model.cancelling() + 1;
        self.model.apply(&Stamped { at: self.clock.now(), event: Event::Cancelling(Cancelling { count }) });
    }

    /// Now, on the clock that the events are on.
    pub(super) fn now(&self) -> Time {
        let real = self.clock.now();
        match &self.replay {
            // At full speed the clock is at the end at once; what is shown is not.
            Some(replay) if replay.clock.speed().is_max() => self.model.newest(),
            Some(replay) => replay.clock.now(real),
            None => real,
        }
    }

    pub(super) fn speed(&self) -> Option<Speed> {
        self.replay.as_ref().map(|replay| replay.clock.speed())
    }

    /// Waits until the build is in the history; gives what nobody has heard of yet.
    pub(super) fn close_history(&mut self) -> Vec<String> {
        self.history_client.take().map(HistoryClient::close).unwrap_or_default()
    }

    /// Ends the recording. Its problem is one that nobody has heard of: that a disk is full may be found by the last write
    /// only, when no front end listens any more.
    pub(super) fn close(&mut self) -> Option<RecordingResult> {
        self.keep();
        let closed = self.recorder.take().map(Recorder::close)?;
        // What is not complete is named by the warning, and by nothing that looks as if all were well.
        let path = closed.path.filter(|_| closed.problem.is_none());
        Some(RecordingResult {
            path,
            problem: closed.problem.filter(|_| !self.warned),
            dropped: closed.dropped,
        })
    }
}

fn weight(events: &[Stamped]) -> usize {
    events.iter().map(|event| event.event.weight()).sum()
}
