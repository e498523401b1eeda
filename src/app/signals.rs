//! Signals as values.

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// The signals that somebody may send to end or to suspend us.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None where whoever started us, `nohup` for one, had it ignored.
    hang_up: Option<Signal>,
    quit: Signal,
    suspend: Signal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignalNumber(pub(super) i32);

impl SignalNumber {
    pub(super) const INTERRUPT: Self = Self(SIGINT);
    pub(super) const SUSPEND: Self = Self(SIGTSTP);

    /// Whether the terminal is gone, or its user wants us gone at once.
    pub(super) fn is_final(self) -> bool {
        matches!(self.0, SIGHUP | SIGQUIT)
    }
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Error> {
        let on = |kind| {
            signal(kind).map_err(|error| {
                Error::unavailable(format!("can't listen for signals: {error}"), "try again")
            })
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: if is_ignored(SIGHUP) { None } else { Some(on(SignalKind::hangup())?) },
            quit: on(SignalKind::quit())?,
            suspend: on(SignalKind::from_raw(SIGTSTP))?,
        })
    }

    /// What a terminal that has gone means to who is shown on it: the signal that comes with that, or behind it; none where that is ignored.
    pub(super) fn hang_up(&self) -> Option<SignalNumber> {
        self.hang_up.is_some().then_some(SignalNumber(SIGHUP))
    }

    pub(super) async fn next(&mut self) -> SignalNumber {
        SignalNumber(tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
            _ = received(&mut self.hang_up) => SIGHUP,
            _ = self.quit.recv() => SIGQUIT,
            _ = self.suspend.recv() => SIGTSTP,
        })
    }
}

/// Hears of a signal that is listened to; of another one never.
async fn received(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether a signal is ignored, as Linux tells it: a mask of bits, the first signal's the lowest.
fn is_ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (number - 1) & 1 == 1
}
