//! The full screen: waits for news, keys, signals and ticks; draws on a tick, and only what changed.

use std::io::Write;
use std::time::Duration;

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::Event as Input;
use ratatui::widgets::Widget;
use tokio::time::MissedTickBehavior;

use super::inputs::InputReader;
use super::lookups::{LookupAnswer, Lookups};
use super::session::{BuildSession, Feed, FeedControl, FeedUpdate, Reset};
use super::signals::{SignalNumber, Signals};
use crate::error::Error;
use crate::event::Event;
use crate::source::buildx::Cancel;
use crate::source::replay::{Control, LEAP};
use crate::terminal::{Display, SuspendTarget};
use crate::ui::keys::Action;
use crate::ui::{Effect, ReplayStatus, UiState};
use crate::view::{self, Screen};

/// A frame lasts at least so long: it is enough for the eye, and for a line over SSH. Keys are answered at once.
const FRAME: Duration = Duration::from_millis(250);
/// The same while a build runs on this host, which is to build: drawing is most of what layertop costs beside it. What comes after
/// a time without news is still drawn at once.
const FRAME_BESIDE_BUILD: Duration = Duration::from_millis(500);
/// While nothing but the clock and the logs move in a live build a frame lasts so long: what it shows counts seconds. A replay may be
/// faster than life.
const BEAT: Duration = Duration::from_secs(1);
/// How often ages are shown anew while nothing else happens.
const AGES: Duration = Duration::from_secs(1);
/// How long the end of one scene stands before the next begins.
const LOOK: Duration = Duration::from_secs(6);
/// News taken before the next look at keys and signals.
const AT_ONCE: usize = 64;

/// Why the screen was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScreenExit {
    /// The build ended, or the user had seen enough.
    Quit,
    /// Another scene is wanted: one on, or one back.
    Scene(Action),
    /// Somebody sent a signal that ends us.
    Signal(SignalNumber),
}

/// Whether it is drawn beside a build before the next beat: not what steps say, and not how what is around the build is.
fn is_urgent(event: &Event) -> bool {
    !event.is_progress() && !matches!(event, Event::Registry(_) | Event::Builder(_) | Event::Cluster(_))
}

/// What the screen shows and is steered by.
pub(super) struct ScreenLoop<'a> {
    pub(super) display: &'a mut Option<Display>,
    pub(super) ui: &'a mut UiState,
    pub(super) session: &'a mut BuildSession,
    pub(super) feed: Feed,
    pub(super) inputs: &'a mut InputReader,
    pub(super) signals: &'a mut Signals,
    /// Keep the screen when the build has ended.
    pub(super) stay: bool,
    pub(super) leaving: bool,
    pub(super) signal: Option<SignalNumber>,
    /// Whom to ask for the last words of a part.
    pub(super) asking: Lookups,
    /// Whether another scene follows when this one has been seen.
    pub(super) more: bool,
}

impl ScreenLoop<'_> {
    /// Shows the feed until there is no more reason to.
    pub(super) async fn run(mut self) -> Result<ScreenExit, Error> {
        let builds = matches!(self.feed.steer, FeedControl::Build(_));
        let mut tick = tokio::time::interval(if builds { FRAME_BESIDE_BUILD } else { FRAME });
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut beat = tokio::time::interval(if builds { BEAT } else { FRAME });
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut ages = tokio::time::interval(AGES);
        ages.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut open, mut dirty) = (true, true);
        loop {
            // Of what was never begun nothing changes by itself.
            let moves = dirty || (view::ticks(&self.session.model) && !self.ui.dashboard);
            tokio::select! {
                biased;
                signal = self.signals.next() => {
                    if let Some(left) = self.signal(signal)? {
                        return Ok(left);
                    }
                    dirty = true;
                }
                input = self.inputs.next(), if self.display.is_some() => {
                    if let Some(left) = self.input(input)? {
                        return Ok(left);
                    }
                    dirty = !self.draw()?;
                }
                // Before the news: they may come without end, and the screen must not stand still for them.
                _ = tick.tick(), if dirty => {
                    dirty = !self.draw()?;
                }
                _ = beat.tick(), if moves => {
                    dirty = !self.draw()?;
                }
                // In a replay nothing has an age but the recording's, whose clock stands when it has ended.
                _ = ages.tick(), if !moves && self.session.replay.is_none() && view::ages(&self.session.model) => {
                    dirty = true;
                }
                answer = self.asking.next() => {
                    match answer {
                        LookupAnswer::Logs(of, answer) => self.ui.logs_received(&of, answer),
                        LookupAnswer::Before(wanted, answer) => self.ui.compared(&wanted, answer.map(|before| *before)),
                        LookupAnswer::Trends(answer) => self.ui.trends_received(answer),
                    }
                    dirty = true;
                }
                update = self.feed.updates.recv(), if open => {
                    open = update.is_some();
                    dirty |= self.take(update) || !open;
                }
                events = self.feed.around.next() => {
                    if let FeedControl::Dashboard(board) = &mut self.feed.steer {
                        board.on_events(&events);
                    }
                    dirty |= self.take(Some(FeedUpdate::of(events)));
                }
                () = tokio::time::sleep(LOOK), if self.more && !moves && self.has_been_seen() => {
                    return Ok(ScreenExit::Scene(Action::NextScene));
                }
            }
            if self.display.is_none() && !matches!(self.feed.steer, FeedControl::Build(_)) {
                // Which of both is heard of first, that it has gone or the signal, depends on who started us.
                let gone = || broken(&std::io::Error::other("it is gone"));
                return self.signals.hang_up().map(ScreenExit::Signal).ok_or_else(gone);
            }
            if self.is_over(open) {
                self.draw()?;
                return Ok(self.signal.map_or(ScreenExit::Quit, ScreenExit::Signal));
            }
        }
    }

    /// Whether a replay has ended and nobody holds on to anything in it.
    fn has_been_seen(&self) -> bool {
        let ended =
            self.session.replay.as_ref().is_some_and(|replay| replay.ended && !replay.clock.is_paused());
        ended && !self.ui.holds()
    }

    /// Whether a build has ended and nobody looks at it any more.
    fn is_over(&self, open: bool) -> bool {
        let wanted = self.display.is_some() && (self.stay || self.ui.holds());
        matches!(self.feed.steer, FeedControl::Build(_)) && !open && (!wanted || self.leaving)
    }

    /// Takes news; tells whether they are to be drawn before the next beat.
    fn take(&mut self, update: Option<FeedUpdate>) -> bool {
        let (mut next, mut taken) = (update, 0);
        let mut pressing = !(self.builds() && view::ticks(&self.session.model));
        while let Some(update) = next {
            if update.reset == Reset::All {
                self.ui.reset();
            }
            pressing |= self.session.take(update).iter().any(|event| is_urgent(&event.event));
            taken += 1;
            next = if taken < AT_ONCE { self.feed.updates.try_recv().ok() } else { None };
        }
        if let (Some(speed), Some(state)) = (self.session.speed(), &self.session.replay) {
            let scene = self.ui.replay.as_ref().and_then(|replay| replay.scene);
            self.ui.replay =
                Some(ReplayStatus { paused: state.clock.is_paused(), speed: speed.to_string(), scene });
        }
        self.ui.sync(&self.session.model);
        pressing
    }

    /// Draws, unless the last frame is still on its way; tells whether it did.
    fn draw(&mut self) -> Result<bool, Error> {
        self.session.keep();
        let Some(display) = self.display.as_mut() else { return Ok(true) };
        if display.is_broken() {
            // The terminal is gone; the build need not be.
            *self.display = None;
            return Ok(true);
        }
        let catching_up = self.session.replay.as_ref().is_some_and(|replay| replay.catching_up);
        if display.is_busy() || catching_up {
            return Ok(false);
        }
        let screen = Screen::new(&self.session.model, self.ui, self.session.now());
        let drawn = display.draw(|area, buf| (&screen).render(area, buf));
        match drawn {
            Err(_) if matches!(self.feed.steer, FeedControl::Build(_)) => *self.display = None,
            drawn => drawn.map_err(|error| broken(&error))?,
        }
        Ok(true)
    }

    fn input(&mut self, input: Option<std::io::Result<Input>>) -> Result<Option<ScreenExit>, Error> {
        let Some(Ok(input)) = input else {
            // Nobody can type any more: the terminal is gone.
            *self.display = None;
            return Ok(None);
        };
        let area = self.display.as_ref().map(Display::area).unwrap_or_default();
        let screen = Screen::new(&self.session.model, self.ui, self.session.now());
        let pages = screen.pages(area);
        let Some(effect) = self.ui.handle(&input, &self.session.model, pages) else { return Ok(None) };
        match effect {
            Effect::Quit if self.builds() => {
                self.leaving = true;
                self.cancel();
            }
            Effect::Quit => return Ok(Some(ScreenExit::Quit)),
            Effect::Cancel => self.cancel(),
            Effect::Copy(text) => self.copy(&text),
            Effect::Suspend => self.suspend(SuspendTarget::Group)?,
            Effect::Redraw => self.redraw()?,
            Effect::Replay(action @ (Action::NextScene | Action::PreviousScene)) => {
                return Ok(Some(ScreenExit::Scene(action)));
            }
            Effect::Replay(action) => self.control(action),
            Effect::Logs(of) => self.asking.ask(of),
            Effect::Compare(wanted) => self.asking.before(wanted),
            Effect::Trends { image, builder } => self.asking.trends(image, builder),
            Effect::Turn => {
                if let FeedControl::Dashboard(board) = &self.feed.steer {
                    board.turn();
                }
            }
        }
        Ok(None)
    }

    /// Whether a build of ours is running.
    fn builds(&self) -> bool {
        matches!(self.feed.steer, FeedControl::Build(_)) && !self.feed.updates.is_closed()
    }

    fn signal(&mut self, signal: SignalNumber) -> Result<Option<ScreenExit>, Error> {
        if signal == SignalNumber::SUSPEND {
            self.suspend(SuspendTarget::Us)?;
            return Ok(None);
        }
        if !self.builds() {
            return Ok(Some(ScreenExit::Signal(signal)));
        }
        if signal.is_final() {
            *self.display = None;
        }
        // Who interrupts a build wants the build's own exit code for it.
        if signal != SignalNumber::INTERRUPT {
            self.signal = Some(signal);
        }
        self.leaving = true;
        self.cancel();
        Ok(None)
    }

    fn cancel(&mut self) {
        self.session.cancelling();
        if let FeedControl::Build(cancel) = &self.feed.steer {
            // A full channel holds as many requests as can make a difference.
            let _ = cancel.try_send(Cancel);
        }
    }

    fn copy(&mut self, text: &str) {
        let mut bytes = Vec::new();
        if write!(bytes, "{}", AsAnsi(CopyToClipboard::to_clipboard_from(text))).is_ok()
            && let Some(display) = self.display.as_ref()
        {
            display.send(bytes);
        }
    }

    fn suspend(&mut self, who: SuspendTarget) -> Result<(), Error> {
        if let Some(display) = self.display.as_mut() {
            display.suspend(who).map_err(|error| broken(&error))?;
        }
        Ok(())
    }

    fn redraw(&mut self) -> Result<(), Error> {
        self.display.as_mut().map_or(Ok(()), Display::redraw).map_err(|error| broken(&error))
    }

    fn control(&mut self, action: Action) {
        let FeedControl::Replay(controls) = &self.feed.steer else { return };
        let control = match action {
            Action::PauseReplay => Control::TogglePause,
            Action::StepReplay => Control::Step,
            Action::SeekBack => Control::Back(LEAP),
            Action::SeekOn => Control::Forward(LEAP),
            Action::Slower => Control::Slower,
            Action::Faster => Control::Faster,
            _ => return,
        };
        // Presses faster than the replay obeys are dropped, as a player's are.
        let _ = controls.try_send(control);
    }
}

/// A crossterm command as its bytes.
struct AsAnsi<C>(C);

impl<C: crossterm::Command> std::fmt::Display for AsAnsi<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.write_ansi(f)
    }
}

pub(super) fn broken(error: &std::io::Error) -> Error {
    Error::unavailable(
        format!("can't draw on the terminal: {error}"),
        "use --progress plain where there is no terminal",
    )
}
