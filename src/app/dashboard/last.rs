//! The newest build of an image that has ended, out of its recording.

use std::path::PathBuf;

use crate::event::prediction::LastBuild;
use crate::event::{Event, Mask, Stamped};
use crate::explain::repository;
use crate::recording::{Reader, default_dir, newest_of};

/// Recordings that are looked into for one of this image that has ended.
const MOST_OPENED: usize = 8;
/// Events that are read at a time.
const READ: usize = 4096;

/// A build that has ended.
pub(super) struct EndedBuild {
    pub(super) build: LastBuild,
    /// Its events; how things stood around it then is of no use now.
    pub(super) events: Vec<Stamped>,
}

/// The newest build of this image that has ended.
pub(super) fn build(image: Option<&str>) -> Option<EndedBuild> {
    let paths = newest_of(&default_dir()?, image.unwrap_or_default());
    paths.into_iter().take(MOST_OPENED).find_map(|path| ended_build(path, image))
}

fn ended_build(path: PathBuf, image: Option<&str>) -> Option<EndedBuild> {
    let mut reader = Reader::open(path, Mask::default()).ok()?;
    let mut events = Vec::new();
    let mut more = true;
    while more {
        more = reader.next_batch(READ, &mut events);
        let same = |event: &Stamped| match &event.event {
            Event::Started(started) => {
                let built = started.image.as_ref().map(|image| repository(image.as_str()).0);
                Some(built == image.map(|image| repository(image).0))
            }
            _ => None,
        };
        if events.iter().find_map(same) == Some(false) {
            return None;
        }
        events.retain(|event| !is_around(&event.event));
    }
    let ended = events.iter().find_map(|event| match &event.event {
        Event::Ended(ended) => Some(LastBuild { ended: event.at, exit_code: ended.exit_code }),
        _ => None,
    });
    ended.map(|build| EndedBuild { build, events })
}

fn is_around(event: &Event) -> bool {
    matches!(event, Event::Watching(_) | Event::Registry(_) | Event::Cluster(_) | Event::Builder(_))
}
