//! Builds, read from their recordings.

use std::path::Path;

use crate::event::{Event, Mask, Text};
use crate::explain::{Past, same_image};
use crate::model::Model;
use crate::recording::{OpenError, Reader, RecordingFile};

/// Events that are read at once.
const BATCH: usize = 1024;

/// Bytes of a recording that is opened. A larger one holds logs beyond measure.
const LARGEST: u64 = 64 << 20;

/// What a recording's build is compared by; none where it can't be read, is written on, or is of another image.
pub(super) fn past(listed: &RecordingFile, image: Option<&Text>) -> Option<Past> {
    if listed.bytes > LARGEST || listed.is_written() {
        return None;
    }
    let same = |model: &Model| same_image(model.started().image.as_ref(), image);
    let model = read(&listed.path, &same).ok().flatten()?;
    Some(Past::of(name(&listed.path), &model))
}

/// The name of a recording without what all of them end in.
pub fn name(path: &Path) -> Text {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Text::clean(name.strip_suffix(".jsonl.zst").unwrap_or(&name))
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
