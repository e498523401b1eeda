//! The decoder of `docker buildx build --progress=rawjson`: bytes in any chunking in, events out.
//!
//! The client writes a stream of JSON values to standard error, one a line since buildx 0.15 and indented over many lines
//! before, and plain text between and after them: the Dockerfile excerpt of a failed step and `ERROR: …` matter
//! most of all. So whatever is not such a value is kept, line by line, as [`Event::Output`].

mod wire;

use foldhash::HashMap;

use crate::event::amount;
use crate::event::digest::DigestMap;
use crate::event::{
    Digest, Event, Line, LineBuffer, LogChunk, Mask, Output, ProgressGroup, Sanitizer, Stamped, StatusUpdate,
    Stream, Text, Time, VertexUpdate, Warning,
};
use wire::{Str, ValueEnd, ValueRead, ValueScan, WireTime};

/// A value that does not end within this many bytes is none: its lines are shown as text.
const LONGEST_VALUE: usize = 32 << 20;

/// Turns the bytes of one progress stream into events. Cutting the bytes elsewhere changes nothing in what comes out.
#[derive(Debug, Default)]
pub struct Decoder {
    mask: Mask,
    /// Bytes of a line, or of a value over several lines, that has not ended yet.
    pending: Vec<u8>,
    /// Where `pending` is the beginning of a value over several lines: how far the search for its end has come.
    open: Option<ValueScan>,
    /// The stream has ended within a value.
    cut: bool,
    /// The rest of this line stands behind a value; only what is not white space counts there.
    behind_value: bool,
    /// Names as they came last, by vertex, with what became of them: a vertex repeats its name in every message.
    names: DigestMap<(String, Text)>,
    /// Output is cut into lines by vertex and stream, in the order in which they first said something.
    logs: Vec<((Digest, Stream), Sanitizer)>,
    /// Where each of them stands in `logs`.
    places: HashMap<(Digest, Stream), usize>,
    /// Plain text between the values.
    text: Sanitizer,
    /// Room for lines on their way into an event.
    lines: LineBuffer,
    newest: Option<Time>,
}

impl Decoder {
    /// A decoder that masks these secrets in everything it lets through.
    pub fn new(mask: Mask) -> Self {
        Self { mask, ..Self::default() }
    }

    /// The newest of the builder's timestamps so far.
    pub fn newest(&self) -> Option<Time> {
        self.newest
    }

    /// Whether the stream has ended within a value: in the middle of a line.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Takes the next bytes, which arrived at `at`; what they complete is pushed to `out`.
    pub fn feed(&mut self, at: Time, bytes: &[u8], out: &mut Vec<Stamped>) {
        let mut rest = bytes;
        while !self.pending.is_empty() && !rest.is_empty() {
            // Just the end of the line that has begun is copied; a value over several lines has to stand in one piece.
            let line = memchr::memchr(b'\n', rest).filter(|_| self.open.is_none());
            let (head, tail) = rest.split_at(line.map_or(rest.len(), |n| n + 1));
            self.pending.extend_from_slice(head);
            self.take_pending(at, false, out);
            rest = tail;
        }
        let used = self.take(at, rest, false, out);
        self.pending.extend_from_slice(&rest[used..]);
    }

    /// Output of a vertex was left out before the bytes that come next, which begin a line of the stream.
    pub fn left_out(&mut self, at: Time, vertex: &str, stream: Stream, bytes: u64, out: &mut Vec<Stamped>) {
        let key = (Digest::parse(vertex), stream);
        let place = self.place(&key);
        let Some((_, sanitizer)) = self.logs.get_mut(place) else { return };
        sanitizer.skip(&self.mask, &mut self.lines);
        gap(bytes, &mut self.lines);
        let lines = self.lines.take();
        let timestamp = self.newest.unwrap_or(at);
        let (vertex, stream) = key;
        let chunk = LogChunk { vertex, stream, timestamp, lines, partial: None, left_out: bytes };
        out.push(Stamped { at, event: Event::Log(chunk) });
    }

    /// The stream has ended: what is left over comes out as far as it means something.
    pub fn finish(&mut self, at: Time, out: &mut Vec<Stamped>) {
        self.take_pending(at, true, out);
        self.text.finish(&self.mask, &mut self.lines);
        out.extend(self.lines.take().shared().map(|line| output(at, line)));
        self.places.clear();
        for ((vertex, stream), mut log) in std::mem::take(&mut self.logs) {
            log.finish(&self.mask, &mut self.lines);
            let lines = self.lines.take();
            if !lines.is_empty() {
                let timestamp = self.newest.unwrap_or(at);
                let chunk = LogChunk { vertex, stream, timestamp, lines, partial: None, left_out: 0 };
                out.push(Stamped { at, event: Event::Log(chunk) });
            }
        }
    }

    fn take_pending(&mut self, at: Time, last: bool, out: &mut Vec<Stamped>) {
        let mut pending = std::mem::take(&mut self.pending);
        let used = self.take(at, &pending, last, out);
        pending.drain(..used);
        self.pending = pending;
    }

    /// Takes whole lines and whole values from the front of `bytes`; gives how many bytes that were. With `last` there is
    /// nothing to wait for.
    fn take(&mut self, at: Time, bytes: &[u8], last: bool, out: &mut Vec<Stamped>) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            if let Some(scan) = self.open.take() {
                let Some(n) = self.across_lines(at, rest, scan, last, out) else { break };
                used += n;
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', rest).map(|n| n + 1).or(last.then_some(rest.len())) else {
                break;
            };
            let line = &rest[..end];
            let start = line.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(end);
            if line.get(start) != Some(&b'{') {
                if start < end || !self.behind_value {
                    self.plain(at, line, out);
                }
                self.behind_value = false;
                used += end;
                continue;
            }
            match wire::read(&line[start..]) {
                ValueRead::Value(status, n) => {
                    self.emit(at, status, out);
                    self.behind_value = true;
                    used += start + n;
                }
                ValueRead::Incomplete => {
                    self.open = Some(ValueScan::default());
                    used += start;
                }
                ValueRead::Not => {
                    self.plain(at, line, out);
                    self.behind_value = false;
                    used += end;
                }
            }
        }
        used
    }

    /// A value that spans lines begins `bytes`. None: it has to wait for more.
    fn across_lines(
        &mut self,
        at: Time,
        bytes: &[u8],
        mut scan: ValueScan,
        last: bool,
        out: &mut Vec<Stamped>,
    ) -> Option<usize> {
        match scan.advance(bytes, LONGEST_VALUE) {
            ValueEnd::At(end) => {
                if let ValueRead::Value(status, n) = wire::read(&bytes[..end]) {
                    self.emit(at, status, out);
                    self.behind_value = true;
                    return Some(n);
                }
            }
            ValueEnd::NotYet if !last => {
                self.open = Some(scan);
                return None;
            }
            ValueEnd::NotYet => {
                self.cut = matches!(wire::read(bytes), ValueRead::Incomplete);
                // The beginning of a value is no text that anybody wrote.
                if self.cut && !bytes.contains(&b'\n') {
                    return Some(bytes.len());
                }
            }
            ValueEnd::Never => {}
        }
        let line = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |n| n + 1);
        self.plain(at, &bytes[..line], out);
        self.behind_value = false;
        Some(line)
    }

    fn plain(&mut self, at: Time, line: &[u8], out: &mut Vec<Stamped>) {
        self.text.feed(line, &self.mask, &mut self.lines);
        out.extend(self.lines.take().shared().map(|line| output(at, line)));
    }

    fn emit(&mut self, at: Time, status: wire::SolveStatus<'_>, out: &mut Vec<Stamped>) {
        for vertex in status.vertexes.into_iter().flatten() {
            let event = Event::Vertex(self.vertex(vertex));
            out.push(Stamped { at, event });
        }
        for status in status.statuses.into_iter().flatten() {
            out.extend(self.status(at, status).map(|event| Stamped { at, event }));
        }
        for log in status.logs.into_iter().flatten() {
            out.extend(self.log(at, log).map(|event| Stamped { at, event }));
        }
        for warning in status.warnings.into_iter().flatten() {
            out.extend(self.warning(warning).map(|event| Stamped { at, event }));
        }
    }

    fn vertex(&mut self, vertex: wire::SolveVertex<'_>) -> VertexUpdate {
        let raw = vertex.name.as_ref().map_or("", |name| &name.0);
        let name = match self.names.get(&vertex.digest) {
            Some((known, text)) if known == raw => text.clone(),
            _ => {
                let text = self.mask.text(raw);
                self.names.insert(vertex.digest.clone(), (raw.to_owned(), text.clone()));
                text
            }
        };
        VertexUpdate {
            digest: vertex.digest,
            name,
            inputs: vertex.inputs.unwrap_or_default(),
            started: self.seen(vertex.started),
            completed: self.seen(vertex.completed),
            cached: vertex.cached.unwrap_or(false),
            error: self.text_of(vertex.error).filter(|text| !text.is_empty()),
            group: vertex.group.map(|group| ProgressGroup {
                id: self.text_of(group.id).unwrap_or_default(),
                name: self.text_of(group.name).unwrap_or_default(),
                weak: group.weak.unwrap_or(false),
            }),
        }
    }

    fn status(&mut self, at: Time, status: wire::VertexStatus<'_>) -> Option<Event> {
        let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Some(Event::Status(StatusUpdate {
            vertex: status.vertex?,
            id: self.mask.text(&status.id.0),
            current: count(status.current),
            total: count(status.total),
            timestamp: self.seen(status.timestamp).or(self.newest).unwrap_or(at),
            started: self.seen(status.started),
            completed: self.seen(status.completed),
        }))
    }

    fn log(&mut self, at: Time, log: wire::VertexLog) -> Option<Event> {
        let vertex = log.vertex?;
        let stream = if log.stream == Some(2) { Stream::Stderr } else { Stream::Stdout };
        let timestamp = self.seen(log.timestamp).or(self.newest).unwrap_or(at);
        let key = (vertex, stream);
        let place = self.place(&key);
        let (vertex, _) = key;
        let (_, sanitizer) = self.logs.get_mut(place)?;
        sanitizer.feed(&log.data.0, &self.mask, &mut self.lines);
        let lines = self.lines.take();
        let partial = sanitizer.partial(&self.mask);
        Some(Event::Log(LogChunk { vertex, stream, timestamp, lines, partial, left_out: 0 }))
    }

    /// Where the output of a vertex's stream is cut into lines.
    fn place(&mut self, key: &(Digest, Stream)) -> usize {
        self.places.get(key).copied().unwrap_or_else(|| {
            self.logs.push((key.clone(), Sanitizer::default()));
            self.places.insert(key.clone(), self.logs.len() - 1);
            self.logs.len() - 1
        })
    }

    fn warning(&self, warning: wire::VertexWarning<'_>) -> Option<Event> {
        let text = |bytes: &wire::Base64Bytes| self.mask.text(&String::from_utf8_lossy(&bytes.0));
        Some(Event::Warning(Warning {
            vertex: warning.vertex?,
            level: warning.level.unwrap_or_default(),
            short: text(&warning.short),
            detail: warning.detail.iter().flatten().map(text).collect(),
            url: self.text_of(warning.url).filter(|url| !url.is_empty()),
            file: self.text_of(warning.source.and_then(|s| s.filename)),
            line: warning.range.iter().flatten().find_map(|r| r.start.as_ref()?.line),
        }))
    }

    fn text_of(&self, raw: Option<Str<'_>>) -> Option<Text> {
        raw.map(|raw| self.mask.text(&raw.0))
    }

    /// Notes how far the builder's time has come.
    fn seen(&mut self, stamp: WireTime) -> Option<Time> {
        self.newest = self.newest.max(stamp.0);
        stamp.0
    }
}

/// Adds the line that stands where output is missing.
fn gap(bytes: u64, lines: &mut LineBuffer) {
    let amount = amount::bytes(bytes);
    let text =
        format!("[about {amount} of output left out here: it came faster than layertop could take it]");
    lines.push(Line::plain(&text).as_ref());
}

fn output(at: Time, line: Line) -> Stamped {
    Stamped { at, event: Event::Output(Output { stream: Stream::Stderr, line }) }
}
