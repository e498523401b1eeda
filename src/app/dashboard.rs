//! The dashboard: the stack as last built, or the Dockerfile's outline, and what is around it. Nothing is started.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::around::{Around, Targets};
use super::build;
use super::session::{Feed, Steer, Update};
use crate::clock::Clock;
use crate::config::Config;
use crate::event::{Event, Mask, Stamped, Watching};
use crate::recording::{Reader, default_dir, newest_of};
use crate::source::buildx::BuildCommand;

/// Recordings that are looked into for one of this image that has ended.
const MOST_OPENED: usize = 8;
/// Events that are read at a time.
const READ: usize = 4096;

/// Whether there is anything here that could be built.
pub(super) fn is_project(config: &Config, command: &BuildCommand) -> bool {
    config.has_project || command.dockerfile.as_ref().is_some_and(|path| path.is_file())
}

/// The last build at once, and whatever is around it for as long as somebody looks.
pub(super) fn feed(command: &BuildCommand, config: &Config, targets: Targets, clock: Clock) -> Feed {
    let (tx, updates) = mpsc::channel(2);
    let outline = build::before(command, config, clock);
    let watches = *config.health.watch;
    let watching = if watches { targets.watching() } else { Watching::default() };
    let watching = Stamped { at: clock.now(), event: Event::Watching(watching) };
    // The channel is empty: this comes first.
    let _ = tx.try_send(Update::news(vec![watching]));
    let image = command.images.first().cloned();
    tokio::spawn(async move {
        let last = spawn_blocking(move || last_build(image.as_deref())).await;
        let events = last.ok().flatten().unwrap_or(outline);
        let _ = tx.send(Update::news(events)).await;
    });
    let around = if watches { Around::watch(targets, clock) } else { Around::nothing() };
    Feed { updates, steer: Steer::None, around }
}

/// The events of the newest build of this image that has ended; how things stood around it then is of no use now.
fn last_build(image: Option<&str>) -> Option<Vec<Stamped>> {
    let paths = newest_of(&default_dir()?, image.unwrap_or_default());
    paths.into_iter().take(MOST_OPENED).find_map(|path| ended_build(path, image))
}

fn ended_build(path: PathBuf, image: Option<&str>) -> Option<Vec<Stamped>> {
    let mut reader = Reader::open(path, Mask::default()).ok()?;
    let mut events = Vec::new();
    let mut more = true;
    while more {
        more = reader.next_batch(READ, &mut events);
        let same = |event: &Stamped| match &event.event {
            Event::Started(started) => {
                let built = started.image.as_ref().map(|image| repository(image.as_str()));
                Some(built == image.map(repository))
            }
            _ => None,
        };
        if events.iter().find_map(same) == Some(false) {
            return None;
        }
        events.retain(|event| !is_around(&event.event));
    }
    events.iter().any(|event| matches!(event.event, Event::Ended(_))).then_some(events)
}

fn is_around(event: &Event) -> bool {
    matches!(event, Event::Watching(_) | Event::Registry(_) | Event::Cluster(_) | Event::Builder(_))
}

/// A reference without its tag and digest: builds under several tags are builds of one image.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_one_under_all_of_its_tags() {
        for (image, expected) in [
            ("127.0.0.1:5000/app:latest", "127.0.0.1:5000/app"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app"),
            ("app:1@sha256:00", "app"),
        ] {
            assert_eq!(repository(image), expected);
        }
    }
}
