//! Earlier builds, read from their recordings.

use std::path::Path;

use crate::event::{Event, Mask, Platform, Text};
use crate::explain::{Past, same_image};
use crate::model::Model;
use crate::recording::{Listed, OpenError, Reader, list};

/// Events that are read at once.
const BATCH: usize = 1024;

/// Builds that are given; a step is mostly found in the newest.
const MOST_PASTS: usize = 8;

/// Recordings that are opened to find them.
const MOST_OPENED: usize = 40;

/// Bytes of a recording that is opened. A larger one holds logs beyond measure.
const LARGEST: u64 = 64 << 20;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The image; its tag does not matter.
    pub image: Option<Text>,
    /// The builder.
    pub builder: Option<Text>,
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// Whether more is wanted than what covers each step once: what an older build has made may be made again.
    pub many: bool,
}

/// The earlier builds of an image in a folder of recordings, newest first: those that a build can be compared with. Reading stops
/// when each platform has one on the builder in which all steps have a result, at eight builds, at forty files, or when
/// `is_enough` says so, which is asked before each file. What can't be read is left out.
pub fn earlier(
    dir: &Path,
    wanted: &Wanted,
    older_than: Option<&Listed>,
    is_enough: &dyn Fn() -> bool,
) -> Vec<Past> {
    let mut found: Vec<Past> = Vec::new();
    let image = wanted.image.as_ref().map_or("", Text::as_str);
    let recordings = list(dir).unwrap_or_default();
    let before = |listed: &&Listed| {
        older_than.is_none_or(|newer| (listed.begun, &listed.path) < (newer.begun, &newer.path))
    };
    let named = recordings.iter().filter(before).filter(|listed| listed.is_of(image));
    for listed in named.filter(|listed| listed.bytes <= LARGEST && !listed.is_written()).take(MOST_OPENED) {
        if is_enough() || found.len() >= MOST_PASTS || (!wanted.many && is_covered(wanted, &found)) {
            break;
        }
        let same = |model: &Model| same_image(model.started().image.as_ref(), wanted.image.as_ref());
        found.extend(
            read(&listed.path, &same).ok().flatten().map(|model| Past::of(name(&listed.path), &model)),
        );
    }
    found
}

/// The name of a recording without what all of them end in.
pub fn name(path: &Path) -> Text {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Text::clean(name.strip_suffix(".jsonl.zst").unwrap_or(&name))
}

/// Whether each platform has a build on the builder in which every step has a result, and something else to compare with.
fn is_covered(wanted: &Wanted, found: &[Past]) -> bool {
    let whole = |past: &Past, platform: &Platform| {
        let mut steps = past.steps.iter().filter(|step| step.platform.as_ref() == Some(platform)).peekable();
        past.builder == wanted.builder
            && steps.peek().is_some()
            && steps.all(crate::explain::PastStep::has_result)
    };
    !wanted.platforms.is_empty()
        && wanted.platforms.iter().all(|platform| found.iter().any(|past| whole(past, platform)))
}

/// Reads a recording as a model, without what its steps said; none where `is_wanted` does not want what it is of.
///
/// # Errors
/// Where it can't be read at all.
pub fn read(path: &Path, is_wanted: &dyn Fn(&Model) -> bool) -> Result<Option<Model>, OpenError> {
    let mut reader = Reader::open(path, Mask::default())?;
    let mut model = Model::default();
    let mut batch = Vec::new();
    loop {
        let more = reader.next_batch(BATCH, &mut batch);
        batch.retain(|event| !matches!(event.event, Event::Log(_)));
        model.apply_all(&batch);
        batch.clear();
        // A build begins by saying what it is of.
        if !is_wanted(&model) {
            return Ok(None);
        }
        if !more {
            return Ok(Some(model));
        }
    }
}
