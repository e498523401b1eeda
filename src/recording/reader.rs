//! Reads recordings and progress streams, a batch at a time: a file may be larger than the memory.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{RecordingHeader, RecordingLine, VERSION, parse_line};
use super::input::{InputKind, OpenedInput, RecordingInput};
use crate::event::{Ended, Event, Level, Mask, Notice, Stamped, Text, Time};
use crate::source::rawjson::Decoder;

/// A line of a recording that is longer than this is none of ours, and is left out.
const LONGEST_LINE: u64 = 32 << 20;
/// A progress stream is fed to its decoder in pieces of so many bytes at most, cut at line ends where they come earlier.
const PIECE: u64 = 64 << 10;
/// A batch ends after so many bytes of lines, however few events they were.
const BATCH: usize = 1 << 20;
/// So many events at the front of a progress stream wait for its first timestamp.
const HELD: usize = 4096;

/// Why a file can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It can't be opened or read.
    #[error("can't read {}: {source}; {}", .path.display(), hint(.source))]
    Read {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer layertop wrote it.
    #[error(
        "{} is a recording of format version {}, written by layertop {}; this is layertop {}, which reads versions up to \
         {VERSION}: update layertop to replay it",
        .path.display(), .header.version, .header.program, env!("CARGO_PKG_VERSION")
    )]
    Newer {
        path: PathBuf,
        /// What it says about itself.
        header: RecordingHeader,
    },
    /// It is neither a recording nor a progress stream.
    #[error(
        "{} is not a recording: layertop replays its own recordings (.jsonl.zst), the output of --progress json, and what \
         `docker buildx build --progress=rawjson` wrote to standard error",
        .path.display()
    )]
    Foreign { path: PathBuf },
    /// There is nothing in it, or nothing that can be unpacked.
    #[error("{} is empty: no build was recorded in it", .path.display())]
    Empty { path: PathBuf },
    /// It was read to its end and has to be read again, but is a pipe.
    #[error("can't go back in a pipe: save it to a file and replay that")]
    Pipe,
}

impl OpenError {
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
}

fn hint(error: &io::Error) -> String {
    match super::default_dir() {
        Some(dir) if error.kind() == io::ErrorKind::NotFound => {
            format!("recordings are in {}", dir.display())
        }
        _ => "give a file that can be read".to_owned(),
    }
}

/// What was not as it should be while reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// Lines that are no event, or a damaged one.
    pub bad: u64,
    /// The first of them, counted from 1.
    pub first_bad: Option<u64>,
    /// Lines of types that only a newer version knows.
    pub unknown: u64,
    /// Why the file ended before its end.
    pub cut: Option<String>,
}

impl Diagnostics {
    fn bad(&mut self, number: u64) {
        self.bad += 1;
        self.first_bad.get_or_insert(number);
    }

    /// What is damaged, in sentences.
    pub fn damage(&self) -> impl Iterator<Item = String> + use<> {
        let bad = self.first_bad.map(|first| match self.bad {
            1 => format!("line {first} of this file is damaged and was left out"),
            bad => format!("{bad} damaged lines of this file were left out, line {first} first"),
        });
        let cut = self.cut.as_ref();
        let cut = cut.map(|why| format!("this file ends early ({why}): what stands before that is used"));
        [bad, cut].into_iter().flatten()
    }

    /// What to tell the user, in sentences of [`Notice`]s.
    fn notices(&self) -> impl Iterator<Item = Event> {
        let unknown = (self.unknown > 0).then(|| {
            let lines = if self.unknown == 1 { "line was" } else { "lines were" };
            let text =
                format!("{} {lines} left out, written by a newer layertop; update to see more", self.unknown);
            (Level::Info, text)
        });
        let notice =
            |(level, text): (Level, String)| Event::Notice(Notice { level, text: Text::clean(&text) });
        unknown.into_iter().chain(self.damage().map(|text| (Level::Warn, text))).map(notice)
    }
}

/// Reads the events of a file in their order.
///
/// The last events are the reader's own: a [`Notice`] for whatever could not be read, and [`Ended`] without an exit code
/// where the file holds no end. A progress stream never does, so that how its build ended follows from its last lines, unless it
/// ends in the middle of one. A recording always does, unless it was cut off. The build of what was cut off is lost.
pub struct Reader {
    input: RecordingInput,
    mask: Mask,
    opened: OpenedInput,
    /// Decodes what is a progress stream.
    stream: Option<RawJsonReader>,
    line: Vec<u8>,
    /// Lines that were read to their ends.
    lines: u64,
    diagnostics: Diagnostics,
    /// Arrival of the newest event so far.
    newest: Time,
    saw_end: bool,
    done: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, diagnostics, newest, done, .. } = self;
        f.debug_struct("Reader")
            .field("input", input)
            .field("kind", &self.opened.kind)
            .field("diagnostics", diagnostics)
            .field("newest", newest)
            .field("done", done)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a recording, the output of `--progress json` or a rawjson progress stream, each also packed with zstd. `mask`
    /// hides secrets in a progress stream; a recording was masked when it was written.
    ///
    /// # Errors
    /// Where the file can't be read, is of a newer version, or is neither of these.
    pub fn open(path: impl Into<PathBuf>, mask: Mask) -> Result<Self, OpenError> {
        Self::of(RecordingInput::Path(path.into()), mask)
    }

    /// The same for a file that is in memory, such as one that is built in.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>, mask: Mask) -> Result<Self, OpenError> {
        Self::of(RecordingInput::Bytes(bytes.into()), mask)
    }

    fn of(input: RecordingInput, mask: Mask) -> Result<Self, OpenError> {
        let opened = input.open()?;
        let stream = (opened.kind == InputKind::RawJson).then(|| RawJsonReader::new(mask.clone()));
        let newest = opened.header.as_ref().map(|h| h.created).unwrap_or_default();
        Ok(Self {
            input,
            mask,
            opened,
            stream,
            line: Vec::new(),
            lines: 0,
            diagnostics: Diagnostics::default(),
            newest,
            saw_end: false,
            done: false,
        })
    }

    /// What kind of file this is.
    pub fn kind(&self) -> InputKind {
        self.opened.kind
    }

    /// What the recording says about itself; none in a progress stream, or where the beginning is damaged.
    pub fn header(&self) -> Option<&RecordingHeader> {
        self.opened.header.as_ref()
    }

    /// What was not as it should be, so far.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// Whether the input can be read again from its start.
    pub fn can_restart(&self) -> bool {
        self.input.can_restart()
    }

    /// Another reader of the same file, at its beginning.
    ///
    /// # Errors
    /// As [`Self::open`], and where the file is a pipe.
    pub fn again(&self) -> Result<Self, OpenError> {
        if !self.can_restart() {
            return Err(OpenError::Pipe);
        }
        Self::of(self.input.clone(), self.mask.clone())
    }

    /// Appends about `max` events to `out`; whether there may be more.
    pub fn next_batch(&mut self, max: usize, out: &mut Vec<Stamped>) -> bool {
        let full = out.len().saturating_add(max);
        let mut bytes = 0;
        while !self.done && out.len() < full && bytes < BATCH {
            let before = out.len();
            let more = match self.stream {
                Some(_) => self.piece(out),
                None => self.record(out),
            };
            bytes += self.line.len().max(out.iter().skip(before).map(|e| e.event.weight() / 4).sum());
            self.newest = out.iter().skip(before).map(|e| e.at).fold(self.newest, Time::max);
            self.saw_end |= out.iter().skip(before).any(|e| matches!(e.event, Event::Ended(_)));
            if let Err(error) = more.map(|more| self.done = !more) {
                self.diagnostics.cut = Some(error.to_string());
                self.done = true;
            }
            if self.done {
                self.finish(out);
            }
        }
        !self.done
    }

    /// Reads the rest of the file for the time at which it ends; none where there are no events.
    pub fn last(mut self) -> Option<Time> {
        let mut last = None;
        let mut batch = Vec::new();
        loop {
            let more = self.next_batch(1024, &mut batch);
            last = batch.drain(..).map(|e| e.at).max().max(last);
            if !more {
                return last;
            }
        }
    }

    /// One line of a recording. Whether there may be more.
    fn record(&mut self, out: &mut Vec<Stamped>) -> io::Result<bool> {
        let ended = read_piece(&mut self.opened.lines, LONGEST_LINE, &mut self.line)?;
        if self.line.is_empty() {
            return Ok(false);
        }
        let number = self.lines + 1;
        if self.line.len() as u64 == LONGEST_LINE && !ended {
            self.diagnostics.bad(number);
            self.lines = number;
            skip_line(&mut self.opened.lines)?;
            return Ok(true);
        }
        self.lines += u64::from(ended);
        let line = self.line.trim_ascii();
        if line.is_empty() {
            return Ok(true);
        }
        match parse_line(line) {
            RecordingLine::Event(event) => out.push(*event),
            RecordingLine::Header(header) if header.version <= VERSION => {}
            RecordingLine::Summary => {}
            RecordingLine::Header(_) | RecordingLine::Unknown => self.diagnostics.unknown += 1,
            RecordingLine::Bad if ended => self.diagnostics.bad(number),
            RecordingLine::Bad => self.diagnostics.cut = Some(within(number)),
        }
        Ok(true)
    }

    /// One line of a progress stream, or a piece of a long one. Whether there may be more.
    fn piece(&mut self, out: &mut Vec<Stamped>) -> io::Result<bool> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        let read = read_piece(&mut self.opened.lines, PIECE, &mut self.line);
        stream.feed(&self.line, out);
        self.lines += u64::from(*read.as_ref().unwrap_or(&false));
        read.map(|_| !self.line.is_empty())
    }

    fn finish(&mut self, out: &mut Vec<Stamped>) {
        if let Some(stream) = &mut self.stream {
            if stream.finish(out) {
                self.diagnostics.cut.get_or_insert_with(|| within(self.lines + 1));
            }
            self.newest = out.last().map_or(self.newest, |e| e.at.max(self.newest));
        }
        let at = self.newest;
        // The end of a progress stream is told by its last lines, and these are not there.
        let cut = self.opened.kind == InputKind::Recording || self.diagnostics.cut.is_some();
        let lost = cut && !self.saw_end;
        if lost {
            self.diagnostics.cut.get_or_insert_with(|| "without the end of its build".to_owned());
        }
        out.extend(self.diagnostics.notices().map(|event| Stamped { at, event }));
        if !self.saw_end {
            out.push(Stamped { at, event: Event::Ended(Ended { exit_code: None, lost }) });
        }
    }
}

/// The next line with its line feed, or the next `longest` bytes of it; whether that is the line's end. Empty: the file has ended.
fn read_piece(from: &mut impl BufRead, longest: u64, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    from.by_ref().take(longest).read_until(b'\n', line)?;
    Ok(line.last() == Some(&b'\n'))
}

/// Where a file ends whose last line does not.
fn within(number: u64) -> String {
    format!("in the middle of line {number}")
}

fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    from.skip_until(b'\n').map(|_| ())
}

/// Puts arrival times to what a progress stream says. Its own are all there is: an event has arrived when the newest
/// moment that was spoken of up to and in its line had come.
struct RawJsonReader {
    decoder: Decoder,
    at: Option<Time>,
    /// Events before the first timestamp.
    held: Vec<Stamped>,
}

impl RawJsonReader {
    fn new(mask: Mask) -> Self {
        Self { decoder: Decoder::new(mask), at: None, held: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<Stamped>) {
        let start = out.len();
        self.decoder.feed(self.at.unwrap_or_default(), bytes, out);
        self.stamp(start, out);
    }

    /// Whether the stream ended in the middle of a line.
    fn finish(&mut self, out: &mut Vec<Stamped>) -> bool {
        let start = out.len();
        self.decoder.finish(self.at.unwrap_or_default(), out);
        self.stamp(start, out);
        self.release(out.len().min(start), out);
        self.decoder.is_cut()
    }

    /// Stamps what came out behind `start`.
    fn stamp(&mut self, start: usize, out: &mut Vec<Stamped>) {
        self.at = self.at.max(self.decoder.newest());
        if self.at.is_none() && self.held.len() < HELD {
            self.held.extend(out.drain(start..));
            return;
        }
        self.release(start, out);
        let at = self.at.unwrap_or_default();
        for event in out.iter_mut().skip(start) {
            event.at = at;
        }
    }

    /// Puts what was held before what stands behind `start`.
    fn release(&mut self, start: usize, out: &mut Vec<Stamped>) {
        out.splice(start..start, self.held.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<Stamped>, Diagnostics) {
        let mut reader = Reader::from_bytes(bytes, Mask::default()).unwrap();
        let mut events = Vec::new();
        while reader.next_batch(1, &mut events) {}
        (events, reader.diagnostics)
    }

    #[test]
    fn a_line_without_end_is_left_out_and_not_held() {
        let mut bytes = super::super::format::header_line(Time::from_micros(1)).into_bytes();
        bytes.extend_from_slice(b"{\"at\":2,\"type\":\"");
        bytes.resize(bytes.len() + LONGEST_LINE as usize, b'x');
        bytes.extend_from_slice(b"\n{\"at\":3,\"type\":\"ended\",\"exit_code\":0}\n");
        let (events, diagnostics) = read(&bytes);
        assert_eq!(
            events[0],
            Stamped { at: Time::from_micros(3), event: Event::Ended(Ended::with(Some(0))) }
        );
        assert_eq!((diagnostics.bad, diagnostics.cut), (1, None));
        assert_eq!(events.len(), 2, "and a notice");
    }

    #[test]
    fn progress_arrives_when_its_newest_moment_had_come() {
        let stream = concat!(
            r#"{"vertexes":[{"digest":"sha256:a","name":"a"}]}"#,
            "\n",
            r#"{"vertexes":[{"digest":"sha256:a","name":"a","started":"2026-11-22T00:00:02Z"}]}"#,
            "\n",
            r#"{"vertexes":[{"digest":"sha256:b","name":"b","started":"2026-11-22T00:00:01Z"}]}"#,
            "\n",
            r#"{"vertexes":[{"digest":"sha256:a","name":"a","started":"2026-11-22T00:00:02Z","completed":"2026-11-22T00:00:05Z"}]}"#,
            "\n",
        );
        let (events, diagnostics) = read(stream.as_bytes());
        let second =
            |s: i64| (Time::parse("2026-11-22T00:00:00Z").unwrap().micros() / 1_000_000 + s) * 1_000_000;
        let times: Vec<i64> = events.iter().map(|e| e.at.micros()).collect();
        assert_eq!(times, [2, 2, 2, 5, 5].map(second));
        assert_eq!(events[4].event, Event::Ended(Ended::with(None)));
        assert_eq!(diagnostics, Diagnostics::default());
    }
}
