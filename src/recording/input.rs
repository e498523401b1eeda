//! What a file is: its bytes, unpacked, and what kind of lines they make.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{RecordingHeader, RecordingLine, VERSION, begins_header, parse_line};
use super::reader::OpenError;

const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// How far into the lines is looked to tell what they are.
const LOOK: u64 = 64 << 10;

/// Where a recording's bytes come from; it can be opened again and again.
#[derive(Debug, Clone)]
pub(super) enum RecordingInput {
    Path(PathBuf),
    Bytes(Arc<[u8]>),
}

/// What the lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Written by layertop: a recording, or the output of `--progress json`.
    Recording,
    /// The progress stream of `docker buildx build --progress=rawjson`.
    RawJson,
}

/// Lines to be read.
pub(super) struct OpenedInput {
    pub(super) lines: BufReader<InputLines>,
    pub(super) kind: InputKind,
    pub(super) header: Option<RecordingHeader>,
}

impl RecordingInput {
    /// Whether reading can begin anew: not in a pipe.
    pub(super) fn can_restart(&self) -> bool {
        match self {
            Self::Path(path) => path.is_file(),
            Self::Bytes(_) => true,
        }
    }

    pub(super) fn open(&self) -> Result<OpenedInput, OpenError> {
        let (path, raw): (&Path, Box<dyn Read + Send>) = match self {
            Self::Path(path) => {
                let file = File::open(path).map_err(|source| OpenError::read(path, source))?;
                (path, Box::new(file))
            }
            Self::Bytes(bytes) => (Path::new("(built in)"), Box::new(Cursor::new(Arc::clone(bytes)))),
        };
        let raw = PeekedReader::magic(raw);
        // Cut off within the magic bytes it is as empty as when it is cut off just behind them.
        let magic = raw.look();
        let packed = magic.starts_with(ZSTD) || (!magic.is_empty() && ZSTD.starts_with(magic));
        let plain: Box<dyn Read + Send> = if packed {
            Box::new(zstd::Decoder::new(raw).map_err(|source| OpenError::read(path, source))?)
        } else {
            Box::new(raw)
        };
        let mut lines = PeekedReader::first_object(BufReader::with_capacity(LOOK as usize, plain));
        let look = lines.look();
        let (kind, header) = match sniff(look) {
            Some(RecordingLine::Header(header)) if header.version > VERSION => {
                return Err(OpenError::Newer { path: path.to_owned(), header });
            }
            Some(RecordingLine::Header(header)) => (InputKind::Recording, Some(header)),
            Some(_) => (InputKind::Recording, None),
            None if look.is_empty() => match lines.error.take().filter(|_| !packed) {
                // Nothing could be read at all, of a directory for instance.
                Some(source) => return Err(OpenError::read(path, source)),
                None => return Err(OpenError::Empty { path: path.to_owned() }),
            },
            None if !has_message(look) => return Err(OpenError::Foreign { path: path.to_owned() }),
            None => (InputKind::RawJson, None),
        };
        Ok(OpenedInput { lines: BufReader::with_capacity(LOOK as usize, lines), kind, header })
    }
}

/// What the first line that begins like an object is, where it is one of ours.
fn sniff(look: &[u8]) -> Option<RecordingLine> {
    let line = lines(look).find(|line| is_object(line))?;
    match parse_line(line) {
        RecordingLine::Bad => begins_header(line.trim_ascii_start()).then_some(RecordingLine::Bad),
        RecordingLine::Unknown => None,
        record => Some(record),
    }
}

/// Without one within the look it is some text or other: the log of another progress mode for instance, or JSON of another program.
fn has_message(look: &[u8]) -> bool {
    // `SolveStatus` of buildx, which leaves out what is empty.
    let is_list = |key: &str| {
        memchr::memmem::find_iter(look, key).any(|at| {
            let mut behind = look
                .get(at + key.len()..)
                .unwrap_or_default()
                .iter()
                .filter(|byte| !byte.is_ascii_whitespace());
            (behind.next(), behind.next()) == (Some(&b':'), Some(&b'['))
        })
    };
    let keys = ["\"vertexes\"", "\"statuses\"", "\"logs\"", "\"warnings\""];
    !look.contains(&0) && lines(look).any(is_object) && keys.into_iter().any(is_list)
}

fn lines(look: &[u8]) -> impl Iterator<Item = &[u8]> {
    look.split_inclusive(|b| *b == b'\n')
}

fn is_object(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
}

/// A reader whose first bytes have been looked at.
pub(super) struct PeekedReader<R> {
    front: Cursor<Vec<u8>>,
    /// What ended the look, said again where the reading gets there.
    error: Option<io::Error>,
    rest: R,
}

/// The lines of a file, unpacked.
pub(super) type InputLines = PeekedReader<BufReader<Box<dyn Read + Send>>>;

impl<R: Read> PeekedReader<R> {
    /// Looks at the bytes that tell what packed a file.
    fn magic(mut rest: R) -> Self {
        let mut front = Vec::new();
        let error = rest.by_ref().take(ZSTD.len() as u64).read_to_end(&mut front).err();
        Self { front: Cursor::new(front), error, rest }
    }

    fn look(&self) -> &[u8] {
        self.front.get_ref()
    }
}

impl<R: BufRead> PeekedReader<R> {
    /// Looks at the lines up to the first that begins like an object, and no further: the rest may take its time to come.
    fn first_object(mut rest: R) -> Self {
        let (mut front, mut start) = (Vec::new(), 0);
        let error = loop {
            let left = LOOK.saturating_sub(front.len() as u64);
            match rest.by_ref().take(left).read_until(b'\n', &mut front) {
                Err(error) => break Some(error),
                Ok(0) => break None,
                Ok(_) if front.get(start..).is_some_and(is_object) => break None,
                Ok(_) => start = front.len(),
            }
        };
        Self { front: Cursor::new(front), error, rest }
    }
}

impl<R: Read> Read for PeekedReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.front.read(buf)? {
            0 => self.error.take().map_or_else(|| self.rest.read(buf), Err),
            n => Ok(n),
        }
    }
}
