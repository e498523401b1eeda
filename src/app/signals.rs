//! Signals as values.

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// The signals that somebody may send to end or to suspend us.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    quit: Signal,
    suspend: Signal,
}

/// A signal's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) i32);

impl Number {
    pub(super) const INTERRUPT: Self = Self(SIGINT);
    pub(super) const SUSPEND: Self = Self(SIGTSTP);

    /// Whether the terminal is gone, or its user wants us gone at once.
    pub(super) fn is_final(self) -> bool {
        matches!(self.0, SIGHUP | SIGQUIT)
    }
}

impl Signals {
    /// Begins to listen.
    pub(super) fn listen() -> Result<Self, Error> {
        let on = |kind| {
            signal(kind).map_err(|error| {
                Error::unavailable(format!("can't listen for signals: {error}"), "try again")
            })
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
            quit: on(SignalKind::quit())?,
            suspend: on(SignalKind::from_raw(SIGTSTP))?,
        })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Number {
        Number(tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
            _ = self.hang_up.recv() => SIGHUP,
            _ = self.quit.recv() => SIGQUIT,
            _ = self.suspend.recv() => SIGTSTP,
        })
    }
}
