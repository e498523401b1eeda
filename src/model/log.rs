//! The output of one vertex, bounded.

use std::collections::VecDeque;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::event::{Line, Lines, LogChunk, Stream, Time};

/// Lines kept of one vertex. `BuildKit` itself clips a step's output at 2 MiB by default.
const MOST_LINES: usize = 20_000;

/// How far back a late line is looked for its place: logs may arrive a little out of order.
const REORDER: usize = 64;

/// Text of the lines that share a piece of memory. It stays as long as one of them does.
const TOGETHER: usize = 64 << 10;

/// What the daemon writes where it stops a step's output (moby/buildkit `util/progress/logs`).
static CLIPPED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("[output clipped, log limit"));

/// One line of output.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// The builder's time.
    pub at: Time,
    /// The stream that it came on.
    pub stream: Stream,
    pub line: Line,
}

/// The output of one vertex: its newest lines, and how many there were.
#[derive(Debug, Clone, Default)]
pub struct Log {
    lines: VecDeque<LogLine>,
    partial: [Option<LogLine>; 2],
    bytes: usize,
    total: u64,
    clipped: bool,
}

impl Log {
    /// Takes a chunk; gives by how many bytes the log has grown (or shrunk, where old lines went).
    pub(super) fn apply(&mut self, chunk: &LogChunk) -> isize {
        let before = self.bytes;
        self.total += chunk.lines.len() as u64;
        self.clipped |= chunk.lines.holds(&CLIPPED);
        // All lines of a chunk have one time, so that they belong to one place.
        let late =
            self.lines.iter().rev().take(REORDER).take_while(|known| known.at > chunk.timestamp).count();
        let newer = self.lines.split_off(self.lines.len() - late);
        // Room is never taken for what is dropped at once.
        let most = MOST_LINES - newer.len();
        for line in chunk.lines.newest(most, TOGETHER).iter().flat_map(Lines::shared) {
            while self.lines.len() >= most {
                self.drop_oldest();
            }
            self.bytes += cost(&line);
            self.lines.push_back(LogLine { at: chunk.timestamp, stream: chunk.stream, line });
        }
        self.lines.extend(newer);
        let line = |line: &Line| LogLine { at: chunk.timestamp, stream: chunk.stream, line: line.clone() };
        let partial = &mut self.partial[usize::from(chunk.stream == Stream::Stderr)];
        let gone = std::mem::replace(partial, chunk.partial.as_ref().map(line));
        let [gone, come] = [&gone, &*partial].map(|line| line.as_ref().map_or(0, |line| cost(&line.line)));
        self.bytes = self.bytes + come - gone;
        self.bytes.cast_signed() - before.cast_signed()
    }

    /// Drops the older half of the lines. Returns the change of the log's size in bytes: negative, or 0 where no line has ended.
    pub(super) fn halve(&mut self) -> isize {
        let before = self.bytes;
        for _ in 0..self.lines.len().div_ceil(2) {
            self.drop_oldest();
        }
        self.lines.shrink_to_fit();
        // A line that stays must not keep the memory of those that have gone.
        let cut = self
            .lines
            .front()
            .map_or(0, |first| self.lines.iter().take_while(|line| line.line.came_with(&first.line)).count());
        let own: Lines = self.lines.iter().take(cut).map(|line| line.line.clone()).collect();
        for (line, own) in self.lines.iter_mut().zip(own.shared()) {
            self.bytes = self.bytes - cost(&line.line) + cost(&own);
            line.line = own;
        }
        self.bytes.cast_signed() - before.cast_signed()
    }

    fn drop_oldest(&mut self) {
        if let Some(gone) = self.lines.pop_front() {
            self.bytes -= cost(&gone.line);
        }
    }

    /// The kept lines, oldest first, the unfinished ones last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &LogLine> + Clone {
        self.lines.iter().chain(self.partial.iter().flatten())
    }

    /// How many lines are kept, unfinished ones included.
    pub fn len(&self) -> usize {
        self.lines.len() + self.partial.iter().flatten().count()
    }

    /// The kept lines that have ended, oldest first: none of them will change any more.
    pub fn ended(&self) -> impl DoubleEndedIterator<Item = &LogLine> + ExactSizeIterator + Clone {
        self.lines.iter()
    }

    /// The kept line at `index`, oldest first.
    pub fn get(&self, index: usize) -> Option<&LogLine> {
        self.lines
            .get(index)
            .or_else(|| self.partial.iter().flatten().nth(index.checked_sub(self.lines.len())?))
    }

    /// Whether nothing was ever said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many lines there were in all; more than [`Log::len`] where old ones went.
    pub fn total(&self) -> u64 {
        self.total + self.partial.iter().flatten().count() as u64
    }

    /// How many of the oldest lines are no longer kept.
    pub fn dropped(&self) -> u64 {
        self.total.saturating_sub(self.lines.len() as u64)
    }

    /// Whether the daemon clipped the output.
    pub fn clipped(&self) -> bool {
        self.clipped
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Memory of a line: its place in the log, whose room grows by doubling, so that half of it may be empty, and its part of what it
/// arrived in.
fn cost(line: &Line) -> usize {
    2 * size_of::<LogLine>() + line.weight()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Digest;

    fn chunk(at: i64, lines: usize, text: &str) -> LogChunk {
        LogChunk {
            vertex: Digest::parse("sha256:a"),
            stream: Stream::Stdout,
            timestamp: Time::from_micros(at),
            lines: std::iter::repeat_n(Line::plain(text), lines).collect(),
            partial: None,
            left_out: 0,
        }
    }

    fn counted(log: &Log) -> usize {
        log.iter().map(|line| cost(&line.line)).sum()
    }

    #[test]
    fn what_is_counted_is_what_is_kept() {
        let mut log = Log::default();
        let mut bytes = 0;
        let chunks = [(9_000, ""), (3, "abc"), (9_000, "some output"), (1, ""), (50_000, "x")];
        for (at, (lines, text)) in (0..).zip(chunks) {
            bytes += log.apply(&chunk(at, lines, text));
            assert_eq!((bytes, log.bytes), (counted(&log).cast_signed(), counted(&log)));
        }
        // Late lines stand before those that were there.
        bytes += log.apply(&chunk(0, 10, "late"));
        assert_eq!((log.len(), log.total(), log.dropped()), (MOST_LINES, 68_014, 48_014));
        let partial = Some(Line::plain("unfinished"));
        bytes += log.apply(&LogChunk { partial, ..chunk(9, 1, "last") });
        assert_eq!((bytes, log.bytes), (counted(&log).cast_signed(), counted(&log)));
        bytes += log.apply(&chunk(9, 0, ""));
        while !log.is_empty() {
            bytes += log.halve();
            assert_eq!((bytes, log.bytes), (counted(&log).cast_signed(), counted(&log)));
        }
        assert_eq!(bytes, 0);
    }

    #[test]
    fn lines_that_stay_let_the_memory_of_the_others_go() {
        let mut log = Log::default();
        log.apply(&chunk(0, 1_000, "some output"));
        let before = log.get(999).unwrap().line.clone();
        log.halve();
        assert!(!log.ended().any(|line| line.line.came_with(&before)));
        let each = 2 * size_of::<LogLine>() + "some output\n".len() + 1;
        assert!(log.bytes <= 500 * each, "{}", log.bytes);
        // A chunk is kept as it came, if all of it is; else just what is kept of it.
        let long = chunk(1, 3, &"y".repeat(16_000));
        log.apply(&long);
        assert!(log.get(502).unwrap().line.came_with(&long.lines.shared().next().unwrap()));
        let many = chunk(2, MOST_LINES + 1, "z");
        log.apply(&many);
        assert!(!log.get(0).unwrap().line.came_with(&many.lines.shared().next().unwrap()));
    }
}
