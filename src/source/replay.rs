//! Replays a recording: one more source, whose events come when they came then.
//!
//! The actor reads ahead, hands out what is due on the [`ReplayClock`], and obeys controls. Going back means reading from
//! the start again: the update that follows says so, and its receiver builds its model anew from the events behind it.
//! With nothing to control it and at [`Speed::MAX`] it is as fast as its receiver.

mod schedule;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::clock::{Clock, ReplayClock, Speed};
use crate::event::{Stamped, Time};
use crate::recording::{OpenError, Reader};
use schedule::{Schedule, ScheduleAction};

/// Events that are read at a time.
const READ: usize = 1024;

/// How far the keys for back and forward go.
pub const LEAP: Duration = Duration::from_secs(5);

/// A request of the user to the replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Control {
    /// Stop, or go on.
    TogglePause,
    /// Stop, and hand out one more event.
    Step,
    /// Go back by so much of the recording's time; at [`Speed::MAX`] it stops there.
    Back(Duration),
    /// Go forward by so much of the recording's time.
    Forward(Duration),
    /// Go to the first event.
    ToStart,
    /// Go to the end.
    ToEnd,
    Faster,
    Slower,
    Speed(Speed),
}

/// What became due, and how the replay stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayUpdate {
    /// Forget everything first: the events begin at the start again.
    pub reset: bool,
    /// The events, in their order; may be none where only the state changed.
    pub events: Vec<Stamped>,
    /// How the replay stands behind these events.
    pub state: ReplayState,
}

/// The state of a replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplayState {
    /// Maps [`Clock::now`] to the recording's time until the next update. It has speed, pause and, as soon as that is
    /// known, the recording's end.
    pub clock: ReplayClock,
    /// The first event's time.
    pub start: Time,
    /// Everything has been handed out. With controls the replay still can go back.
    pub ended: bool,
    /// More events for this very moment follow at once, after a seek for instance: a screen may wait for them.
    pub catching_up: bool,
}

type ReadResult = (Reader, Vec<Stamped>, bool);
type RewindResult = (Reader, Option<OpenError>);

/// What the blocking side is doing with the reader.
enum ReaderJob {
    Read(JoinHandle<ReadResult>),
    Rewind(JoinHandle<RewindResult>),
}

enum ReaderJobResult {
    Read(ReadResult),
    Rewound(RewindResult),
    /// The job was lost with its reader.
    Lost,
}

impl ReaderJob {
    async fn done(&mut self) -> ReaderJobResult {
        match self {
            Self::Read(job) => job.await.map_or(ReaderJobResult::Lost, ReaderJobResult::Read),
            Self::Rewind(job) => job.await.map_or(ReaderJobResult::Lost, ReaderJobResult::Rewound),
        }
    }
}

/// Replays `reader` into `updates`, from its start at `speed`, until everything is handed out and nothing controls it any
/// more, or until nobody receives. `clock` paces it.
///
/// Both channels are bounded. A full `updates` holds the replay up, and controls are obeyed meanwhile; send them with
/// `try_send` from wherever `updates` is received.
pub async fn run(
    reader: Reader,
    clock: Clock,
    speed: Speed,
    mut controls: mpsc::Receiver<Control>,
    updates: mpsc::Sender<ReplayUpdate>,
) {
    let mut schedule = Schedule::new(clock.now(), speed);
    let mut scan =
        (!speed.is_max()).then(|| reader.again().ok()).flatten().map(|r| spawn_blocking(|| r.last()));
    let (mut reader, mut job) = (Some(reader), None);
    let mut controlled = true;
    loop {
        if let Some(begun) = begin(&mut reader, &schedule) {
            job = Some(begun);
        }
        let next = schedule.next(clock.now());
        if schedule.ended() && next == ScheduleAction::Idle && !controlled {
            return;
        }
        let wait = if let ScheduleAction::Wait(wait) = next { wait } else { Duration::ZERO };
        tokio::select! {
            biased;
            control = controls.recv(), if controlled => match control {
                Some(control) => schedule.control(clock.now(), control),
                None => controlled = false,
            },
            permit = updates.reserve(), if next == ScheduleAction::Send => match permit {
                Ok(permit) => permit.send(schedule.take(clock.now())),
                Err(_) => return,
            },
            done = of(&mut job, ReaderJob::done) => {
                job = None;
                match done {
                    ReaderJobResult::Read((idle, events, more)) => {
                        schedule.push(clock.now(), events, more);
                        reader = Some(idle);
                    }
                    ReaderJobResult::Rewound((idle, None)) => {
                        schedule.rewound();
                        reader = Some(idle);
                    }
                    ReaderJobResult::Rewound((idle, Some(error))) => {
                        schedule.not_rewound(clock.now(), &error.to_string());
                        reader = Some(idle);
                    }
                    ReaderJobResult::Lost => return,
                }
            },
            end = of(&mut scan, async |job| job.await) => {
                scan = None;
                if let Ok(Some(end)) = end {
                    schedule.set_end(end);
                }
            },
            () = tokio::time::sleep(wait), if matches!(next, ScheduleAction::Wait(_)) => {},
            () = updates.closed() => return,
        }
    }
}

/// Gives the reader something to do, where it is idle and there is something.
fn begin(reader: &mut Option<Reader>, schedule: &Schedule) -> Option<ReaderJob> {
    if schedule.wants_rewind() {
        let reader = reader.take()?;
        return Some(ReaderJob::Rewind(spawn_blocking(move || match reader.again() {
            Ok(again) => (again, None),
            Err(error) => (reader, Some(error)),
        })));
    }
    if schedule.wants_more() {
        let mut reader = reader.take()?;
        return Some(ReaderJob::Read(spawn_blocking(move || {
            let mut events = Vec::new();
            let more = reader.next_batch(READ, &mut events);
            (reader, events, more)
        })));
    }
    None
}

/// What becomes of the task, where there is one; else nothing, ever.
async fn of<T, U>(task: &mut Option<T>, done: impl AsyncFnOnce(&mut T) -> U) -> U {
    match task {
        Some(task) => done(task).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cancelling, Ended, Event, Mask};
    use crate::recording::{event_line, header_line};

    fn second(n: i64) -> Time {
        Time::from_micros((1000 + n) * 1_000_000)
    }

    /// One event a second, `n` of them, and the end.
    fn recording(n: i64) -> (Reader, Vec<Stamped>) {
        let cancelling =
            |n| Stamped { at: second(n), event: Event::Cancelling(Cancelling { count: n as u32 }) };
        let mut events: Vec<_> = (0..n).map(cancelling).collect();
        events.push(Stamped { at: second(n), event: Event::Ended(Ended::with(Some(0))) });
        let mut bytes = header_line(second(0)).into_bytes();
        for event in &events {
            event_line(event, &mut bytes);
        }
        (Reader::from_bytes(bytes, Mask::default()).unwrap(), events)
    }

    /// Runs a replay beside `watch`, on a clock that only moves when everybody sleeps.
    fn replay<F: Future<Output = ()>>(
        reader: Reader,
        speed: Speed,
        watch: impl FnOnce(Clock, mpsc::Sender<Control>, mpsc::Receiver<ReplayUpdate>) -> F,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let clock = Clock::live();
            let (control, controls) = mpsc::channel(8);
            let (updates, inbox) = mpsc::channel(1);
            tokio::join!(run(reader, clock, speed, controls, updates), watch(clock, control, inbox));
        });
    }

    /// Events until everything that is due for the moment is there.
    async fn settled(inbox: &mut mpsc::Receiver<ReplayUpdate>, shown: &mut Vec<Stamped>) -> ReplayState {
        loop {
            let update = inbox.recv().await.unwrap();
            if update.reset {
                shown.clear();
            }
            shown.extend(update.events);
            if !update.state.catching_up {
                return update.state;
            }
        }
    }

    #[test]
    fn events_come_when_they_came_then() {
        let (reader, events) = recording(20);
        replay(reader, Speed::times(4.0).unwrap(), async |clock, control, mut inbox| {
            drop(control);
            let (began, mut shown) = (clock.now(), Vec::new());
            while let Some(update) = inbox.recv().await {
                let real = clock.now();
                for event in update.events {
                    let due = event.at.since(second(0)) / 4;
                    let late = real.since(began).checked_sub(due).unwrap();
                    assert!(late <= Duration::from_millis(12), "{event:?} {late:?}");
                    assert!(update.state.clock.now(real) >= event.at);
                    shown.push(event);
                }
                if update.state.ended {
                    assert_eq!(update.state.clock.end(), Some(second(20)));
                }
            }
            assert_eq!(shown, events);
        });
    }

    #[test]
    fn full_speed_waits_for_nothing_but_its_receiver() {
        let (reader, events) = recording(5000);
        replay(reader, Speed::MAX, async |clock, control, mut inbox| {
            drop(control);
            let (began, mut shown) = (clock.now(), Vec::new());
            while let Some(update) = inbox.recv().await {
                shown.extend(update.events);
            }
            assert_eq!(clock.now(), began);
            assert_eq!(shown, events);
        });
    }

    #[test]
    fn it_is_controlled() {
        let (reader, events) = recording(5000);
        replay(reader, Speed::NORMAL, async |clock, control, mut inbox| {
            let mut shown = Vec::new();
            settled(&mut inbox, &mut shown).await;
            control.send(Control::TogglePause).await.unwrap();
            while !settled(&mut inbox, &mut shown).await.clock.is_paused() {}
            control.send(Control::Forward(Duration::from_secs(4000))).await.unwrap();
            while shown.len() < 4000 {
                settled(&mut inbox, &mut shown).await;
            }
            let there = shown.len();
            assert_eq!(shown, events[..there]);
            control.send(Control::Step).await.unwrap();
            while shown.len() == there {
                settled(&mut inbox, &mut shown).await;
            }
            assert_eq!(shown, events[..=there]);
            control.send(Control::Back(LEAP)).await.unwrap();
            while shown.len() != there - 4 {
                settled(&mut inbox, &mut shown).await;
            }
            assert_eq!(shown, events[..there - 4]);
            control.send(Control::ToEnd).await.unwrap();
            while !settled(&mut inbox, &mut shown).await.ended {}
            assert_eq!(shown, events);
            control.send(Control::ToStart).await.unwrap();
            let state = loop {
                let state = settled(&mut inbox, &mut shown).await;
                if !state.ended {
                    break state;
                }
            };
            assert_eq!(shown, events[..1]);
            assert_eq!((state.clock.now(clock.now()), state.clock.end()), (second(0), Some(second(5000))));
            drop(inbox);
            let _ = control;
        });
    }
}
