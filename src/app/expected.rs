//! How long earlier builds took, asked of the history when a build begins; the build waits for nothing.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::history::Historian;
use crate::event::{Expected, Started};

/// How long the end of a build waits for the answer: a short one may be over before the disk has answered.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// An answer that is on its way.
pub(super) struct Forecaster {
    answer: Option<Receiver<Expected>>,
}

impl Forecaster {
    /// Asks for the builds of the same image on the same builder.
    pub(super) fn start(started: &Started, historian: &Historian) -> Self {
        Self { answer: Some(historian.expected(started)) }
    }

    /// What they say, once; where nothing is known, never.
    pub(super) fn look(&mut self, last: bool) -> Option<Expected> {
        let answer = self.answer.as_ref()?;
        let wait = if last { LAST_WAIT } else { Duration::ZERO };
        match answer.recv_timeout(wait) {
            Ok(told) => {
                self.answer = None;
                Some(told).filter(|told| told.builds > 0)
            }
            Err(_) => None,
        }
    }
}
