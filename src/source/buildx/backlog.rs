//! What was read of a child's stream and not yet handed on, and what is left out of it where there is too much.
//!
//! Leaving out is fair: every vertex may keep as much of its newest output as every other one. Who writes less than that loses
//! nothing, so that what a flood covers are its own older lines.

use std::sync::LazyLock;

use foldhash::{HashMap, HashMapExt as _};
use memchr::memmem::Finder;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{Chunk, OmittedOutput};
use crate::event::Stream;

/// How much is handed on at once.
const CHUNK: usize = 32 << 10;
/// Bytes that wait for the decoder before output of steps is left out.
const PATIENCE: usize = 1 << 20;
/// Bytes of output that are kept then.
const KEPT: usize = PATIENCE / 2;
/// Bytes that wait where there is nothing to leave out; then the child waits.
const MOST: usize = 16 << 20;

/// What was read of a stream and not yet handed on.
pub(super) struct Backlog {
    stream: Stream,
    bytes: Vec<u8>,
    /// How much of the front of `bytes` is handed on.
    used: usize,
    /// Whether what comes next is the rest of a line whose beginning was handed on.
    within: bool,
    /// Output that was left out behind that line.
    left_out: Vec<OmittedOutput>,
    /// How large it may become before output is left out: more each time that there was little of it.
    patience: usize,
    /// How much of the output stays where some is left out.
    kept: usize,
}

impl Backlog {
    pub(super) fn new(stream: Stream) -> Self {
        let (bytes, left_out) = (Vec::new(), Vec::new());
        Self { stream, bytes, used: 0, within: false, left_out, patience: PATIENCE, kept: KEPT }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest().is_empty() && self.left_out.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rest().len() >= MOST
    }

    /// Whether there is as much as is handed on at once.
    pub(super) fn fills_a_chunk(&self) -> bool {
        self.rest().len() >= CHUNK
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.used = 0;
        self.left_out.clear();
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        if self.used > self.rest().len() {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
        // What is on standard output is no progress.
        if self.stream == Stream::Stderr && self.rest().len() > self.patience {
            self.leave_out();
            self.patience = PATIENCE.max(2 * self.rest().len());
        }
    }

    /// Hands on what there is room for.
    pub(super) fn hand_on(&mut self, chunks: &mpsc::Sender<Chunk>) {
        while !self.is_empty() {
            match chunks.try_reserve() {
                Ok(permit) => permit.send(self.next()),
                Err(TrySendError::Full(())) => return,
                Err(TrySendError::Closed(())) => self.clear(),
            }
        }
    }

    /// What is handed on next. What was left out is told where a line begins.
    pub(super) fn next(&mut self) -> Chunk {
        let rest = self.rest();
        let mut length = rest.len().min(CHUNK);
        let mut left_out = Vec::new();
        if !self.left_out.is_empty() {
            match memchr::memchr(b'\n', rest).filter(|_| self.within) {
                Some(end) => length = end + 1,
                None => left_out = std::mem::take(&mut self.left_out),
            }
        }
        let bytes = self.rest().get(..length).unwrap_or_default().to_vec();
        self.within = bytes.last().map_or(self.within, |last| *last != b'\n');
        self.used += length;
        if self.rest().is_empty() {
            self.bytes.clear();
            self.used = 0;
        }
        Chunk { stream: self.stream, left_out, bytes }
    }

    /// Leaves out older output of the vertices that have written most. Lines that are not whole stay.
    fn leave_out(&mut self) {
        let rest = self.bytes.get(self.used..).unwrap_or_default();
        let first =
            if self.within { memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1) } else { 0 };
        let (head, lines) = rest.split_at(first);
        let mut messages: Vec<StreamLine<'_>> =
            lines.split_inclusive(|byte| *byte == b'\n').map(StreamLine::read).collect();
        let fair = fair_share(&messages, self.kept);
        // What stays of a vertex is the newest, without a hole in it: what was left out is told before it.
        let mut spent: HashMap<&[u8], usize> = HashMap::new();
        for entry in messages.iter_mut().rev().flat_map(|message| message.entries.iter_mut().rev()) {
            let spent = spent.entry(entry.vertex).or_default();
            *spent += entry.raw.len();
            entry.stays = *spent <= fair;
        }
        let mut kept = head.to_vec();
        for message in &messages {
            message.write(&mut kept);
            for entry in message.entries.iter().filter(|entry| !entry.stays) {
                count(entry, &mut self.left_out);
            }
        }
        self.bytes = kept;
        self.used = 0;
    }
}

/// How much each vertex may keep, so that all of them together keep `room`: what those do not need that have written less goes to
/// those that have written more.
fn fair_share(messages: &[StreamLine<'_>], room: usize) -> usize {
    let mut all: HashMap<&[u8], usize> = HashMap::new();
    for entry in messages.iter().flat_map(|message| &message.entries) {
        *all.entry(entry.vertex).or_default() += entry.raw.len();
    }
    let mut sizes: Vec<usize> = all.into_values().collect();
    sizes.sort_unstable();
    let (mut room, mut vertices) = (room, sizes.len());
    for size in sizes {
        let share = room / vertices;
        if size > share {
            return share;
        }
        (room, vertices) = (room - size, vertices - 1);
    }
    usize::MAX
}

/// A line of the stream, with what it holds of the output of steps.
struct StreamLine<'a> {
    head: &'a [u8],
    entries: Vec<OutputEntry<'a>>,
    tail: &'a [u8],
}

/// Some output of a vertex, as it stands in a message.
struct OutputEntry<'a> {
    raw: &'a [u8],
    vertex: &'a [u8],
    stream: Stream,
    /// Length of the output as it stands, in base64.
    data: usize,
    stays: bool,
}

impl<'a> StreamLine<'a> {
    /// Reads a line. What is not written as buildx writes it is kept as it is.
    fn read(line: &'a [u8]) -> Self {
        Self::with_output(line).unwrap_or(Self { head: line, entries: Vec::new(), tail: &[] })
    }

    fn with_output(line: &'a [u8]) -> Option<Self> {
        static LOGS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"logs\":[{"));
        // Within a string its quotes were escaped.
        let start =
            LOGS.find(line).filter(|at| at.checked_sub(1).is_some_and(|at| b"{,".contains(&line[at])))?;
        if !line.starts_with(b"{") || !line.ends_with(b"}\n") {
            return None;
        }
        let (head, mut rest) = line.split_at(start + b"\"logs\":[".len());
        let mut entries = Vec::new();
        loop {
            let entry = OutputEntry::read(rest)?;
            rest = rest.get(entry.raw.len()..)?;
            entries.push(entry);
            match rest.split_first()? {
                (b',', more) => rest = more,
                (b']', _) => return Some(Self { head, entries, tail: rest }),
                _ => return None,
            }
        }
    }

    /// Writes what stays of it.
    fn write(&self, to: &mut Vec<u8>) {
        let mut staying = self.entries.iter().filter(|entry| entry.stays).peekable();
        let holds_nothing_else = self.head == b"{\"logs\":[" && self.tail == b"]}\n";
        if holds_nothing_else && staying.peek().is_none() {
            return;
        }
        to.extend_from_slice(self.head);
        while let Some(entry) = staying.next() {
            to.extend_from_slice(entry.raw);
            if staying.peek().is_some() {
                to.push(b',');
            }
        }
        to.extend_from_slice(self.tail);
    }
}

impl<'a> OutputEntry<'a> {
    /// The entry that `bytes` begin with. The order of its fields is that of buildx's struct, and none of them holds a brace.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        static DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"data\":\""));
        let at = DATA.find(bytes)? + b"\"data\":\"".len();
        let (before, behind) = bytes.split_at(at);
        let data = memchr::memchr(b'"', behind)?;
        let end = at + data + memchr::memchr(b'}', behind.get(data..)?)? + 1;
        if !before.starts_with(b"{") || memchr::memchr(b'}', before).is_some() {
            return None;
        }
        let vertex = value(before, b"\"vertex\":\"")?;
        let err = before.ends_with(b"\"stream\":2,\"data\":\"");
        let stream = if err { Stream::Stderr } else { Stream::Stdout };
        Some(Self { raw: bytes.get(..end)?, vertex, stream, data, stays: true })
    }
}

/// Counts output that is left out.
fn count(entry: &OutputEntry<'_>, counted: &mut Vec<OmittedOutput>) {
    let bytes = entry.data as u64 / 4 * 3;
    let is_of =
        |one: &&mut OmittedOutput| one.vertex.as_bytes() == entry.vertex && one.stream == entry.stream;
    if let Some(known) = counted.iter_mut().find(is_of) {
        known.bytes += bytes;
    } else {
        let vertex = String::from_utf8_lossy(entry.vertex).into_owned();
        counted.push(OmittedOutput { vertex, stream: entry.stream, bytes });
    }
}

/// The string that stands behind `name`.
fn value<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(bytes, name)? + name.len();
    bytes.get(at..)?.split(|byte| *byte == b'"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(vertex: &str, data: &str) -> String {
        format!(
            "{{\"vertex\":\"{vertex}\",\"stream\":1,\"data\":\"{data}\",\"timestamp\":\"2026-11-22T00:00:00Z\"}}"
        )
    }

    fn log(vertex: &str, data: &str) -> String {
        format!("{{\"logs\":[{}]}}\n", entry(vertex, data))
    }

    /// What is handed on of a stream of which nobody takes more than `taken` pieces before its end, and `kept` bytes of output stay.
    fn after_a_standstill(stream: &str, taken: usize, kept: usize) -> (String, Vec<OmittedOutput>) {
        let patience = 2 * kept + 64;
        let mut backlog = Backlog { patience, kept, ..Backlog::new(Stream::Stderr) };
        let (mut text, mut left_out) = (String::new(), Vec::new());
        for (at, piece) in stream.as_bytes().chunks(50).enumerate() {
            backlog.take(piece);
            if at < taken {
                text.push_str(str::from_utf8(&backlog.next().bytes).unwrap());
            }
            backlog.patience = patience;
        }
        while !backlog.is_empty() {
            let chunk = backlog.next();
            let begins = text.is_empty() || text.ends_with('\n');
            assert!(chunk.left_out.is_empty() || begins, "{text}");
            left_out.extend(chunk.left_out);
            text.push_str(str::from_utf8(&chunk.bytes).unwrap());
        }
        (text, left_out)
    }

    fn missing(left_out: &[OmittedOutput], vertex: &str) -> u64 {
        left_out.iter().filter(|one| one.vertex == vertex).map(|one| one.bytes).sum()
    }

    #[test]
    fn only_output_is_left_out_and_it_is_counted() {
        let data = "YQo=".repeat(100);
        let vertex = "{\"vertexes\":[{\"digest\":\"sha256:a\",\"name\":\"\\\"logs\\\":[{\"}]}\n";
        let around = |entries: &str| {
            format!(
                "{{\"vertexes\":[{{\"digest\":\"b\"}}],\"logs\":[{entries}],\"warnings\":[{{\"vertex\":\"b\"}}]}}\n"
            )
        };
        let unknown = "{\"logs\":[{\"data\":null}]}\n";
        let stream = [
            &log("sha256:a", &data),
            vertex,
            &log("sha256:b", &data),
            &around(&entry("sha256:b", &data)),
            &log("sha256:a", &data),
            unknown,
            "ERROR: x\n",
        ]
        .concat();
        let (text, left_out) = after_a_standstill(&stream, 0, 0);
        assert_eq!(text, [vertex, &around(""), unknown, "ERROR: x\n"].concat());
        assert_eq!([missing(&left_out, "sha256:a"), missing(&left_out, "sha256:b")], [600, 600]);
        assert!(left_out.iter().all(|one| one.stream == Stream::Stdout));
    }

    #[test]
    fn who_writes_little_loses_nothing_to_a_flood() {
        let flood = |n: usize| format!("{n:04}").repeat(100);
        let few = [log("few", "Zmlyc3Q="), log("few", "bGFzdA==")];
        for at in [0, 1, 20, 38, 39] {
            let mut lines: Vec<String> = (0..40).map(|n| log("flood", &flood(n))).collect();
            lines.insert(at, few[0].clone());
            lines.push(few[1].clone());
            let (text, left_out) = after_a_standstill(&lines.concat(), 0, 2000);
            assert_eq!(text.lines().filter(|line| line.contains("\"few\"")).count(), 2, "{at}: {text}");
            assert_eq!(missing(&left_out, "few"), 0);
            let kept: Vec<usize> = (0..40).filter(|n| text.contains(&log("flood", &flood(*n)))).collect();
            assert!(!kept.is_empty() && kept.iter().copied().eq(40 - kept.len()..40), "the newest: {kept:?}");
            assert_eq!(missing(&left_out, "flood"), (40 - kept.len() as u64) * 300);
        }
    }

    #[test]
    fn who_shares_a_message_with_a_flood_loses_nothing_either() {
        let big = "YQo=".repeat(500);
        let message = format!(
            "{{\"logs\":[{},{},{}]}}\n",
            entry("few", "YQo="),
            entry("flood", &big),
            entry("few", "Ygo=")
        );
        let (text, left_out) = after_a_standstill(&message.repeat(3), 0, 1200);
        let kept = format!("{{\"logs\":[{},{}]}}\n", entry("few", "YQo="), entry("few", "Ygo="));
        assert_eq!(text, kept.repeat(3));
        assert_eq!([missing(&left_out, "flood"), missing(&left_out, "few")], [4500, 0]);
    }

    #[test]
    fn floods_share_what_is_left() {
        let lines: String = (0..30).flat_map(|_| ["a", "b", "c"]).map(|one| log(one, "YQo=YQo=")).collect();
        let messages = |text: &str, vertex: &str| text.matches(&log(vertex, "YQo=YQo=")).count();
        let (text, left_out) = after_a_standstill(&lines, 0, 10 * 3 * entry("a", "YQo=YQo=").len());
        let kept = ["a", "b", "c"].map(|vertex| messages(&text, vertex));
        assert!(kept.iter().all(|count| (10..20).contains(count)), "{kept:?}");
        for (vertex, count) in ["a", "b", "c"].iter().zip(kept) {
            assert_eq!(missing(&left_out, vertex), (30 - count as u64) * 6);
        }
    }

    #[test]
    fn a_line_that_has_begun_comes_whole() {
        let lines: Vec<String> = (0..20).map(|n| log("sha256:a", &"YQo=".repeat(n * 10))).collect();
        for taken in 0..10 {
            let (text, _) = after_a_standstill(&lines.concat(), taken, 0);
            assert!(text.is_empty() || text.ends_with('\n'), "{text}");
            let whole = |line: &str| lines.iter().any(|known| known.trim_end() == line);
            assert!(text.lines().all(whole), "{text}");
        }
    }

    #[test]
    fn what_is_no_progress_is_kept_until_the_child_waits() {
        let mut backlog = Backlog::new(Stream::Stdout);
        while !backlog.is_full() {
            backlog.take(log("sha256:a", &"YQo=".repeat(10_000)).as_bytes());
        }
        assert!(backlog.rest().len() >= MOST && backlog.left_out.is_empty());
    }
}
