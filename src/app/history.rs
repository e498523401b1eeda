//! The history beside a build: the build is written down when it has ended, and nobody waits for that.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use crate::clock::Clock;
use crate::event::Text;
use crate::history::{self, Build, Clerk, Kept};
use crate::model::Model;
use crate::recording;

/// Writes one build down.
pub(super) struct Historian {
    clerk: Clerk,
    kept: Option<Receiver<Kept>>,
}

impl Historian {
    /// Opens the store.
    pub(super) fn start(clock: Clock) -> Self {
        Self { clerk: Clerk::start(None, clock), kept: None }
    }

    /// Writes a build down, once, when it has ended.
    pub(super) fn look(&mut self, model: &Model, recording: Option<PathBuf>) {
        if self.kept.is_some() || model.ended().is_none() {
            return;
        }
        let image = model.started().image.as_ref().map_or("", Text::as_str);
        let unrecorded = || Text::clean(&recording::name_of(model.begun().unwrap_or_default(), image));
        let name = recording.as_deref().map_or_else(unrecorded, history::name);
        self.kept = Some(self.clerk.keep(Build::of(model, name, recording)));
    }

    /// What there is to tell since this was asked last.
    pub(super) fn news(&self) -> Vec<String> {
        self.clerk.news()
    }

    /// Waits until the build is written down, and gives what there is to tell.
    pub(super) fn close(self) -> Vec<String> {
        self.clerk.close()
    }
}
