//! What of a replay is due when: pure, and so tested without time passing.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Control, ReplayState, ReplayUpdate};
use crate::clock::{ReplayClock, Speed};
use crate::event::{Event, Level, Notice, Stamped, Text, Time};

/// Events are read ahead below so many.
const LOW: usize = 512;
/// As many are not read ahead where they take so much memory.
const HEAVY: usize = 1 << 20;
/// An update holds so many at most, so that keys are heard between two of them.
const BATCH: usize = 1024;
/// Events that fall due within this time are sent together: no eye tells them apart.
const TOGETHER: Duration = Duration::from_millis(10);
/// However far away the next event is, the wait is thought over again.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The next action of the replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScheduleAction {
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
    /// What they take of memory.
    weight: usize,
    /// The source has no more.
    drained: bool,
    /// The source has to begin again before anything else.
    rewind: bool,
    /// The first event's time, which sets the clock; none before it is there.
    start: Option<Time>,
    /// The latest time that was handed out.
    last: Time,
    ahead: EarlyRelease,
    flags: UpdateFlags,
}

/// What is handed out before it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EarlyRelease {
    /// So many single events, that were asked for.
    Steps(usize),
    /// All, on the way to the end.
    All,
}

/// Flags of the next update.
#[derive(Debug, Default)]
struct UpdateFlags {
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
            weight: 0,
            drained: false,
            rewind: false,
            start: None,
            last: Time::default(),
            ahead: EarlyRelease::Steps(0),
            flags: UpdateFlags::default(),
        }
    }

    /// Whether the source has to begin again.
    pub(super) fn wants_rewind(&self) -> bool {
        self.rewind
    }

    /// Whether more is to be read.
    pub(super) fn wants_more(&self) -> bool {
        !self.drained && !self.rewind && self.queue.len() < LOW && self.weight < HEAVY
    }

    /// Takes what was read; `more`: whether there may be more.
    pub(super) fn push(&mut self, real: Time, events: Vec<Stamped>, more: bool) {
        if let (None, Some(first)) = (self.start, events.first()) {
            self.start = Some(first.at);
            self.last = first.at;
            self.clock.seek(real, first.at);
            self.flags.changed = true;
        }
        self.weight += weight(&events);
        self.queue.extend(events);
        self.drained = !more;
        self.settle(real);
    }

    /// The source stands at its beginning again.
    pub(super) fn rewound(&mut self) {
        self.rewind = false;
        self.drained = false;
        self.flags.reset = true;
        self.flags.changed = true;
        self.last = self.start.unwrap_or_default();
        self.queue.clear();
        self.weight = 0;
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
        self.flags.changed = true;
    }

    pub(super) fn control(&mut self, real: Time, control: Control) {
        self.flags.changed = true;
        let now = self.clock.now(real);
        let speed = self.clock.speed();
        match control {
            Control::TogglePause if self.clock.is_paused() => self.clock.resume(real),
            Control::TogglePause => self.pause(real),
            Control::Step => {
                self.pause(real);
                if let EarlyRelease::Steps(steps) = &mut self.ahead {
                    *steps = steps.saturating_add(1);
                }
            }
            Control::Back(by) => self.seek(real, now.minus(by)),
            Control::Forward(by) => self.seek(real, now.plus(by)),
            Control::ToStart => self.seek(real, self.start.unwrap_or_default()),
            Control::ToEnd => self.ahead = EarlyRelease::All,
            Control::Faster => self.clock.set_speed(real, speed.faster()),
            Control::Slower => self.clock.set_speed(real, speed.slower()),
            Control::Speed(speed) => self.clock.set_speed(real, speed),
        }
        self.settle(real);
    }

    fn pause(&mut self, real: Time) {
        if self.ahead == EarlyRelease::All {
            self.ahead = EarlyRelease::Steps(0);
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
        self.ahead = EarlyRelease::Steps(0);
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
        if self.ahead == EarlyRelease::All {
            self.clock.seek(real, self.last);
        }
        self.ahead = EarlyRelease::Steps(0);
        self.clock.set_end(self.last);
    }

    /// How many of the events at the front are due.
    fn due(&self, real: Time) -> usize {
        if self.rewind {
            return 0;
        }
        let all = self.ahead == EarlyRelease::All || (self.clock.speed().is_max() && !self.clock.is_paused());
        let now = if all { Time::from_micros(i64::MAX) } else { self.clock.now(real) };
        let due = self.queue.iter().take(BATCH).take_while(|event| event.at <= now).count();
        match self.ahead {
            EarlyRelease::Steps(steps) => due.max(steps.min(self.queue.len())),
            EarlyRelease::All => due,
        }
    }

    /// More is to be handed out for this very moment.
    fn catching_up(&self, real: Time) -> bool {
        self.rewind || self.due(real) > 0 || (self.queue.is_empty() && !self.drained)
    }

    pub(super) fn next(&self, real: Time) -> ScheduleAction {
        // The first update, and the first one behind a reset, wait for events: the screen does not go blank in between.
        let blank = self.start.is_none() || self.flags.reset;
        let waits = self.rewind || (blank && self.queue.is_empty() && !self.drained);
        let has_flags = self.flags.changed || (self.flags.catching_up && !self.catching_up(real));
        if !waits && (has_flags || self.due(real) > 0) {
            return ScheduleAction::Send;
        }
        match self.queue.front().and_then(|event| self.clock.until(real, event.at)) {
            Some(wait) if !self.rewind => ScheduleAction::Wait(wait.clamp(TOGETHER, LONGEST_WAIT)),
            _ => ScheduleAction::Idle,
        }
    }

    /// The update that [`ScheduleAction::Send`] spoke of.
    pub(super) fn take(&mut self, real: Time) -> ReplayUpdate {
        let due = self.due(real);
        let events: Vec<Stamped> = self.queue.drain(..due).collect();
        self.weight = self.weight.saturating_sub(weight(&events));
        self.last = events.iter().map(|event| event.at).fold(self.last, Time::max);
        if let EarlyRelease::Steps(steps) = &mut self.ahead {
            *steps = steps.saturating_sub(due);
        }
        // What is handed out ahead of the clock takes it along.
        if self.clock.now(real) < self.last {
            self.clock.seek(real, self.last);
        }
        self.settle(real);
        let catching_up = self.catching_up(real);
        let reset = std::mem::take(&mut self.flags).reset;
        self.flags.catching_up = catching_up;
        let start = self.start.unwrap_or_default();
        ReplayUpdate {
            reset,
            events,
            state: ReplayState { clock: self.clock, start, ended: self.ended(), catching_up },
        }
    }
}

fn weight(events: &[Stamped]) -> usize {
    events.iter().map(|event| event.event.weight()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::LEAP;
    use super::*;
    use crate::event::Cancelling;

    /// An event at so many seconds of the recording.
    fn at(second: i64) -> Stamped {
        Stamped { at: secs(second), event: Event::Cancelling(Cancelling { count: second as u32 }) }
    }

    fn secs(second: i64) -> Time {
        Time::from_micros(second * 1_000_000)
    }

    fn seconds(update: &ReplayUpdate) -> Vec<i64> {
        update.events.iter().map(|e| e.at.micros() / 1_000_000).collect()
    }

    /// A recording of seconds 100 to 109, one event each, all read, at a real time of 0.
    fn ten(speed: Speed) -> Schedule {
        let mut schedule = Schedule::new(secs(0), speed);
        schedule.push(secs(0), (100..110).map(at).collect(), false);
        schedule
    }

    /// What goes out at this real time, in one piece.
    fn at_once(schedule: &mut Schedule, real: i64) -> ReplayUpdate {
        assert_eq!(schedule.next(secs(real)), ScheduleAction::Send);
        let update = schedule.take(secs(real));
        assert_ne!(schedule.next(secs(real)), ScheduleAction::Send);
        update
    }

    #[test]
    fn events_go_out_when_they_are_due() {
        let mut schedule = ten(Speed::times(2.0).unwrap());
        assert_eq!(seconds(&at_once(&mut schedule, 0)), [100]);
        assert_eq!(schedule.next(secs(0)), ScheduleAction::Wait(Duration::from_millis(500)));
        let update = at_once(&mut schedule, 2);
        assert_eq!(seconds(&update), [101, 102, 103, 104]);
        assert_eq!((update.state.clock.now(secs(2)), update.state.start), (secs(104), secs(100)));
        assert!(!update.state.ended && !update.state.catching_up && !update.reset);
        let last = at_once(&mut schedule, 99);
        assert_eq!(seconds(&last), [105, 106, 107, 108, 109]);
        assert!(last.state.ended);
        assert_eq!(last.state.clock.now(secs(999)), secs(109), "the clock stands at the end");
        assert_eq!(schedule.next(secs(999)), ScheduleAction::Idle);
    }

    #[test]
    fn pause_and_single_steps() {
        let mut schedule = ten(Speed::NORMAL);
        at_once(&mut schedule, 0);
        schedule.control(secs(1), Control::TogglePause);
        let update = at_once(&mut schedule, 50);
        assert_eq!(seconds(&update), [101]);
        assert!(update.state.clock.is_paused());
        assert_eq!(schedule.next(secs(50)), ScheduleAction::Idle);
        schedule.control(secs(60), Control::Step);
        let update = at_once(&mut schedule, 60);
        assert_eq!(seconds(&update), [102]);
        assert_eq!(update.state.clock.now(secs(70)), secs(102), "the clock goes with the step");
        schedule.control(secs(80), Control::TogglePause);
        assert_eq!(seconds(&at_once(&mut schedule, 81)), [103]);
    }

    #[test]
    fn back_begins_again_and_comes_to_where_it_was_sought() {
        let mut schedule = ten(Speed::NORMAL);
        at_once(&mut schedule, 8);
        schedule.control(secs(8), Control::Back(Duration::from_secs(5)));
        assert!(schedule.wants_rewind() && !schedule.wants_more());
        assert_eq!(
            schedule.next(secs(8)),
            ScheduleAction::Idle,
            "nothing goes out before the source begins again"
        );
        schedule.rewound();
        assert!(schedule.wants_more());
        assert_eq!(schedule.next(secs(8)), ScheduleAction::Idle, "the reset waits for its events");
        schedule.push(secs(8), (100..110).map(at).collect(), true);
        let update = at_once(&mut schedule, 8);
        assert!(update.reset);
        assert_eq!(seconds(&update), [100, 101, 102, 103]);
        assert!(!at_once(&mut schedule, 9).reset);
    }

    #[test]
    fn forward_to_the_end_and_to_the_start() {
        let mut schedule = ten(Speed::NORMAL);
        at_once(&mut schedule, 0);
        schedule.control(secs(0), Control::Forward(Duration::from_secs(3)));
        assert_eq!(seconds(&at_once(&mut schedule, 0)), [101, 102, 103]);
        schedule.control(secs(0), Control::ToEnd);
        let update = at_once(&mut schedule, 0);
        assert_eq!(seconds(&update), [104, 105, 106, 107, 108, 109]);
        assert!(update.state.ended);
        schedule.control(secs(0), Control::ToStart);
        schedule.rewound();
        schedule.push(secs(0), (100..110).map(at).collect(), false);
        let update = at_once(&mut schedule, 0);
        assert!(update.reset && !update.state.ended);
        assert_eq!(seconds(&update), [100]);
    }

    #[test]
    fn at_full_speed_events_take_the_clock_along() {
        let mut schedule = Schedule::new(secs(0), Speed::MAX);
        schedule.push(secs(0), (100..102).map(at).collect(), true);
        let update = at_once(&mut schedule, 0);
        assert_eq!(seconds(&update), [100, 101]);
        assert!(update.state.catching_up && !update.state.ended);
        assert_eq!(update.state.clock.now(secs(7)), secs(101));
        schedule.push(secs(0), Vec::new(), false);
        let update = at_once(&mut schedule, 0);
        assert!(update.events.is_empty() && update.state.ended && !update.state.catching_up);
        schedule.control(secs(1), Control::Back(LEAP));
        schedule.rewound();
        schedule.push(secs(1), (100..102).map(at).collect(), false);
        let update = at_once(&mut schedule, 1);
        assert_eq!(seconds(&update), [100]);
        assert!(update.state.clock.is_paused(), "or nobody would see it");
    }

    #[test]
    fn a_pipe_can_not_go_back_and_says_so() {
        let mut schedule = ten(Speed::NORMAL);
        at_once(&mut schedule, 4);
        schedule.control(secs(4), Control::Back(LEAP));
        schedule.not_rewound(secs(4), "no way back");
        let update = at_once(&mut schedule, 4);
        assert!(!update.reset);
        assert_eq!(update.state.clock.now(secs(4)), secs(104));
        let notice = Notice { level: Level::Warn, text: "no way back".into() };
        assert_eq!(update.events, [Stamped { at: secs(104), event: Event::Notice(notice) }]);
        assert_eq!(seconds(&at_once(&mut schedule, 5)), [105]);
    }

    fn control() -> impl Strategy<Value = Control> {
        let by = (0u64..20).prop_map(Duration::from_secs);
        prop_oneof![
            Just(Control::TogglePause),
            Just(Control::Step),
            by.clone().prop_map(Control::Back),
            by.prop_map(Control::Forward),
            Just(Control::ToStart),
            Just(Control::ToEnd),
            Just(Control::Faster),
            Just(Control::Slower),
            Just(Control::Speed(Speed::MAX)),
        ]
    }

    proptest! {
        /// Whatever is pressed and wherever the source's batches end: since the last reset the events are the recording's,
        /// from its start and without a hole; those that are due are out; and in the end all of them are.
        #[test]
        fn whatever_is_pressed_the_events_stay_in_order(
            times in prop::collection::vec(0i64..30, 1..40),
            keys in prop::collection::vec((0i64..3, prop::option::of(control())), 0..60),
            batch in 1usize..9,
        ) {
            let recording: Vec<Stamped> =
                times.iter().zip(0..).map(|(t, n)| Stamped { at: secs(*t), ..at(n) }).collect();
            let mut schedule = Schedule::new(secs(0), Speed::NORMAL);
            let (mut read, mut shown, mut real) = (0, Vec::new(), 0);
            let finish = [(0, Some(Control::ToEnd))];
            for (pass, key) in keys.into_iter().chain(finish) {
                real += pass;
                if let Some(key) = key {
                    schedule.control(secs(real), key);
                }
                // At most: a reset, every event alone, a state after each.
                for _ in 0..200 {
                    if schedule.wants_rewind() {
                        read = 0;
                        schedule.rewound();
                    } else if schedule.next(secs(real)) == ScheduleAction::Send {
                        let update = schedule.take(secs(real));
                        if update.reset {
                            shown.clear();
                        }
                        shown.extend(update.events);
                    } else if schedule.wants_more() {
                        let end = (read + batch).min(recording.len());
                        schedule.push(secs(real), recording[read..end].to_vec(), end < recording.len());
                        read = end;
                    } else {
                        break;
                    }
                }
                prop_assert_ne!(schedule.next(secs(real)), ScheduleAction::Send);
                prop_assert_eq!(&shown[..], &recording[..shown.len()]);
                let now = schedule.clock.now(secs(real));
                prop_assert!(recording.get(shown.len()).is_none_or(|next| next.at > now));
            }
            prop_assert!(schedule.ended());
            prop_assert_eq!(shown, recording);
        }
    }
}
