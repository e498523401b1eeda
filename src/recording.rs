//! Recordings: the event stream written down, and read again.
//!
//! The format is lines of JSON, a header and then one event each ([`mod@format`]), packed as one zstd frame that is flushed at
//! least every second: after a crash everything up to the last flush can be read. What is found out about a build afterwards is added as
//! another frame ([`append`]). A [`Recorder`] writes one beside the
//! build and never gets in its way; a [`Reader`] reads one, or what else holds a build's progress, a batch at a time.

mod files;
pub mod format;
mod input;
mod reader;
mod recorder;

pub use files::{
    ANOTHER_PLACE, RecordingFile, Retention, begun, default_dir, in_the_way, is_written, list, name_of,
    newest_of, path_of, prune, unusable,
};
pub use format::{RecordingHeader, RecordingLine, VERSION, event_line, header_line, parse_line};
pub use input::InputKind;
pub use reader::{Diagnostics, OpenError, Reader};
pub use recorder::{Recorder, RecorderSettings, RecordingResult, append};
