//! What of a replay is due when: pure, and so tested without time passing.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Control, State, Update};
use crate::clock::{ReplayClock, Speed};
use crate::event::{Event, Level, Notice, Stamped, Text, Time};

/// Events are read ahead below so many.
const LOW: usize = 512;
/// An update holds so many at most, so that keys are heard between two of them.
const BATCH: usize = 1024;
/// Events that fall due within this time are sent together: no eye tells them apart.
const TOGETHER: Duration = Duration::from_millis(10);
/// However far away the next event is, the wait is thought over again.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Hand out an update.
    Send,
    /// Look again after this time, a control or a read.
    Wait(Duration),
    /// Look again after a control or a read.
    Idle,
}

/// The events that were read and not handed out yet, and the clock that says when they are due.
#[derive(Debug)]
pub(super) struct Schedule {
    clock: ReplayClock,
    queue: VecDeque<Stamped>,
    /// The source has no more.
    drained: bool,
    /// The source has to begin again before anything else.
    rewind: bool,
    /// The first event's time, which sets the clock; none before it is there.
    start: Option<Time>,
    /// The latest time that was handed out.
    last: Time,
    ahead: Ahead,
    tell: Tell,
}

/// What is handed out before it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    /// So many single events, that were asked for.
    Steps(usize),
    /// All, on the way to the end.
    All,
}

/// What the next update has to say besides events.
#[derive(Debug, Default)]
struct Tell {
    /// To forget what came before.
    reset: bool,
    /// That the state is another one.
    changed: bool,
    /// The update before said that more follows at once: where nothing does, that has to be said.
    catching_up: bool,
}

impl Schedule {
    pub(super) fn new(real: Time, speed: Speed) -> Self {
        Self {
            clock: ReplayClock::new(real, Time::default(), speed),
            queue: VecDeque::new(),
            drained: false,
            rewind: false,
            start: None,
            last: Time::default(),
            ahead: Ahead::Steps(0),
            tell: Tell::default(),
        }
    }

    /// Whether the source has to begin again.
    pub(super) fn wants_rewind(&self) -> bool {
        self.rewind
    }

    /// Whether more is to be read.
    pub(super) fn wants_more(&self) -> bool {
        !self.drained && !self.rewind && self.queue.len() < LOW
    }

    /// Takes what was read; `more`: whether there may be more.
    pub(super) fn push(&mut self, real: Time, events: Vec<Stamped>, more: bool) {
        if let (None, Some(first)) = (self.start, events.first()) {
            self.start = Some(first.at);
            self.last = first.at;
            self.clock.seek(real, first.at);
            self.tell.changed = true;
        }
        self.queue.extend(events);
        self.drained = !more;
        self.settle(real);
    }

    /// The source stands at its beginning again.
    pub(super) fn rewound(&mut self) {
        self.rewind = false;
        self.drained = false;
        self.tell.reset = true;
        self.tell.changed = true;
        self.last = self.start.unwrap_or_default();
        self.queue.clear();
    }

    /// The source can't begin again: on with what there is.
    pub(super) fn not_rewound(&mut self, real: Time, why: &str) {
        self.rewind = false;
        self.clock.seek(real, self.last);
        let notice = Notice { level: Level::Warn, text: Text::clean(why) };
        self.queue.push_front(Stamped { at: self.last, event: Event::Notice(notice) });
    }

    /// The recording ends at `end`.
    pub(super) fn set_end(&mut self, end: Time) {
        self.clock.set_end(end);
        self.tell.changed = true;
    }

    pub(super) fn control(&mut self, real: Time, control: Control) {
        self.tell.changed = true;
        let now = self.clock.now(real);
        let speed = self.clock.speed();
        match control {
            Control::TogglePause if self.clock.is_paused() => self.clock.resume(real),
            Control::TogglePause => self.pause(real),
            Control::Step => {
                self.pause(real);
                if let Ahead::Steps(steps) = &mut self.ahead {
                    *steps = steps.saturating_add(1);
                }
            }
            Control::Back(by) => self.seek(real, now.minus(by)),
            Control::Forward(by) => self.seek(real, now.plus(by)),
            Control::ToStart => self.seek(real, self.start.unwrap_or_default()),
            Control::ToEnd => self.ahead = Ahead::All,
            Control::Faster => self.clock.set_speed(real, speed.faster()),
            Control::Slower => self.clock.set_speed(real, speed.slower()),
            Control::Speed(speed) => self.clock.set_speed(real, speed),
        }
        self.settle(real);
    }

    fn pause(&mut self, real: Time) {
        if self.ahead == Ahead::All {
            self.ahead = Ahead::Steps(0);
        }
        self.clock.pause(real);
    }

    fn seek(&mut self, real: Time, to: Time) {
        let Some(start) = self.start else { return };
        let to = to.max(start);
        if to < self.clock.now(real) {
            self.rewind = true;
            if self.clock.speed().is_max() {
                // At this speed it would be over before anybody sees where it was sought to.
                self.clock.pause(real);
            }
        }
        self.clock.seek(real, to);
        self.ahead = Ahead::Steps(0);
    }

    /// Whether everything has been handed out.
    pub(super) fn ended(&self) -> bool {
        self.drained && self.queue.is_empty() && !self.rewind
    }

    /// Once everything is handed out the clock stands at the end, and nothing is ahead of it.
    fn settle(&mut self, real: Time) {
        if !self.ended() {
            return;
        }
        if self.ahead == Ahead::All {
            self.clock.seek(real, self.last);
        }
        self.ahead = Ahead::Steps(0);
        self.clock.set_end(self.last);
    }

    /// How many of the events at the front are due.
    fn due(&self, real: Time) -> usize {
        if self.rewind {
            return 0;
        }
        let all = self.ahead == Ahead::All || (self.clock.speed().is_max() && !self.clock.is_paused());
        let now = if all { Time::from_micros(i64::MAX) } else { self.clock.now(real) };
        let due = self.queue.iter().take(BATCH).take_while(|event| event.at <= now).count();
        match self.ahead {
            Ahead::Steps(steps) => due.max(steps.min(self.queue.len())),
            Ahead::All => due,
        }
    }

    /// More is to be handed out for this very moment.
    fn catching_up(&self, real: Time) -> bool {
        self.rewind || self.due(real) > 0 || (self.queue.is_empty() && !self.drained)
    }

    pub(super) fn next(&self, real: Time) -> Next {
        // The first update, and the first one behind a reset, wait for events: the screen does not go blank in between.
        let blank = self.start.is_none() || self.tell.reset;
        let waits = self.rewind || (blank && self.queue.is_empty() && !self.drained);
        let told = self.tell.changed || (self.tell.catching_up && !self.catching_up(real));
        if !waits && (told || self.due(real) > 0) {
            return Next::Send;
        }
        match self.queue.front().and_then(|event| self.clock.until(real, event.at)) {
            Some(wait) if !self.rewind => Next::Wait(wait.clamp(TOGETHER, LONGEST_WAIT)),
            _ => Next::Idle,
        }
    }

    /// The update that [`Next::Send`] spoke of.
    pub(super) fn take(&mut self, real: Time) -> Update {
        let due = self.due(real);
        let events: Vec<Stamped> = self.queue.drain(..due).collect();
        self.last = events.iter().map(|event| event.at).fold(self.last, Time::max);
        if let Ahead::Steps(steps) = &mut self.ahead {
            *steps = steps.saturating_sub(due);
        }
        // What is handed out ahead of the clock takes it along.
        if self.clock.now(real) < self.last {
            self.clock.seek(real, self.last);
        }
        self.settle(real);
        let catching_up = self.catching_up(real);
        let reset = std::mem::take(&mut self.tell).reset;
        self.tell.catching_up = catching_up;
        let start = self.start.unwrap_or_default();
        Update { reset, events, state: State { clock: self.clock, start, ended: self.ended(), catching_up } }
    }
}
