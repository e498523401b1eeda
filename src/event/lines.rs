//! Sanitised lines, many in one piece of memory.
//!
//! What a step writes comes in thousands of short lines. Were each a value of its own, an empty line would take forty times what it
//! weighs; in a block it takes a byte.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sanitize;
use super::text::{Style, StyleSpan};

/// What an allocation takes beside its content, the allocator's header and what is lost by rounding up.
const ALLOCATION: usize = 24;
/// What a buffer keeps room for between two blocks.
const SPARE: usize = 64 << 10;

/// The texts of lines and their styles. It never changes, so that events, the log and those who write it down share it.
struct TextBlock {
    /// Each line is ended by a line feed, which stands in none of them.
    text: Box<str>,
    /// Where styles begin in the text.
    spans: Box<[StyleSpan]>,
    lines: u32,
}

static NO_LINES: LazyLock<Arc<TextBlock>> =
    LazyLock::new(|| Arc::new(TextBlock { text: Box::default(), spans: Box::default(), lines: 0 }));

impl TextBlock {
    /// What it takes of memory.
    fn weight(&self) -> usize {
        let counters = 2 * size_of::<usize>();
        let styles = size_of_val(&*self.spans);
        let allocations = 2 + usize::from(styles > 0);
        counters + size_of::<Self>() + self.text.len() + styles + allocations * ALLOCATION
    }
}

/// Lines that arrived together, oldest first. Cheap to clone. Serialised they are a list of [`Line`]s.
#[derive(Clone)]
pub struct Lines(Arc<TextBlock>);

impl Lines {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.lines as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.lines == 0
    }

    /// Each of them, oldest first.
    pub fn iter(&self) -> Iter<'_> {
        Iter { text: &self.0.text, spans: &self.0.spans, at: 0, left: self.0.lines }
    }

    /// Each of them as a line that shares their memory.
    pub fn shared(&self) -> impl Iterator<Item = Line> + '_ {
        let mut last = 0;
        self.iter().map(move |line| {
            let first = last;
            last += line.spans.len() as u32;
            let end = line.start + line.text.len() as u32;
            Line { block: Arc::clone(&self.0), start: line.start, end, first, last }
        })
    }

    /// The newest `most` of them, oldest first, in blocks of about `together` bytes of text: who lets the older ones go sets their
    /// memory free block by block.
    pub(crate) fn newest(&self, most: usize, together: usize) -> Vec<Self> {
        if self.len() <= most && self.0.text.len() <= together {
            return vec![self.clone()];
        }
        let (mut blocks, mut buffer) = (Vec::new(), LineBuffer::default());
        for line in self.iter().skip(self.len().saturating_sub(most)) {
            if !buffer.is_empty() && buffer.text.len() + line.text.len() >= together {
                blocks.push(buffer.take());
            }
            buffer.push(line);
        }
        blocks.push(buffer.take());
        blocks
    }

    /// Whether one of them holds what `finder` looks for, which has no line feed in it.
    pub(crate) fn holds(&self, finder: &memchr::memmem::Finder<'_>) -> bool {
        finder.find(self.0.text.as_bytes()).is_some()
    }

    /// What they take of memory.
    pub(crate) fn weight(&self) -> usize {
        if self.is_empty() { 0 } else { self.0.weight() }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self(Arc::clone(&NO_LINES))
    }
}

impl PartialEq for Lines {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.text == other.0.text && self.0.spans == other.0.spans)
    }
}

impl Eq for Lines {}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Lines {
    type Item = LineRef<'a>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl FromIterator<Line> for Lines {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        let mut buffer = LineBuffer::default();
        lines.into_iter().for_each(|line| buffer.push(line.as_ref()));
        buffer.take()
    }
}

/// The lines of a block, oldest first.
#[derive(Clone)]
pub struct Iter<'a> {
    text: &'a str,
    spans: &'a [StyleSpan],
    /// Where `text` begins in the block.
    at: u32,
    left: u32,
}

impl<'a> Iterator for Iter<'a> {
    type Item = LineRef<'a>;

    fn next(&mut self) -> Option<LineRef<'a>> {
        let end = memchr::memchr(b'\n', self.text.as_bytes())?;
        let (text, rest) = self.text.split_at(end);
        let start = self.at;
        self.text = rest.get(1..).unwrap_or_default();
        self.at += end as u32 + 1;
        self.left -= 1;
        let own = self.spans.iter().take_while(|span| span.start < self.at).count();
        let (spans, rest) = self.spans.split_at(own);
        self.spans = rest;
        Some(LineRef { text, spans, start })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// One of many lines, where it stands.
#[derive(Clone, Copy)]
pub struct LineRef<'a> {
    text: &'a str,
    /// Its styles, counted from where `start` is counted from.
    spans: &'a [StyleSpan],
    start: u32,
}

impl<'a> LineRef<'a> {
    /// Its text without styles.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// Its styles, by their place in its text.
    pub(super) fn spans(self) -> impl ExactSizeIterator<Item = StyleSpan> + 'a {
        self.spans.iter().map(move |span| StyleSpan { start: span.start - self.start, style: span.style })
    }

    /// Its pieces from left to right, each with its style.
    pub fn pieces(self) -> impl Iterator<Item = (&'a str, Style)> {
        let Self { text, spans, start } = self;
        let place = move |span: &StyleSpan| (span.start - start) as usize;
        let first = spans.first().map_or(text.len(), place);
        let head = std::iter::once((text.get(..first).unwrap_or_default(), Style::default()));
        let tail = spans.iter().enumerate().map(move |(i, span)| {
            let end = spans.get(i + 1).map_or(text.len(), place);
            (text.get(place(span)..end).unwrap_or_default(), span.style)
        });
        head.chain(tail).filter(|(text, _)| !text.is_empty())
    }
}

impl PartialEq for LineRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.spans().eq(other.spans())
    }
}

impl Eq for LineRef<'_> {}

impl fmt::Debug for LineRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Line").field(&self.text).field(&self.spans().collect::<Vec<_>>()).finish()
    }
}

/// One sanitised line with its styles. Cheap to clone. Serialised it is a plain string where it has no styles, else
/// `{"text": …, "spans": [{"start": …, "bold": true, …}]}`. Reading one sanitises it again: where that changes the text the
/// styles are dropped, and a span whose offset does not fit the text is dropped by itself.
#[derive(Clone)]
pub struct Line {
    /// Where it stands; lines that arrived together share it.
    block: Arc<TextBlock>,
    start: u32,
    end: u32,
    /// Its styles: from this one on, up to that one.
    first: u32,
    last: u32,
}

impl Line {
    /// Sanitises `raw` to a line without styles.
    pub fn plain(raw: &str) -> Self {
        Self::from_parts(sanitize::plain(raw).as_ref(), [])
    }

    /// A line of what was sanitised already: see [`LineBuffer::push_parts`].
    pub(super) fn from_parts(text: &str, spans: impl IntoIterator<Item = StyleSpan>) -> Self {
        let mut buffer = LineBuffer::default();
        buffer.push_parts(text, spans);
        buffer.take_one()
    }

    /// The line where it stands.
    pub fn as_ref(&self) -> LineRef<'_> {
        let text = self.block.text.get(self.start as usize..self.end as usize).unwrap_or_default();
        let spans = self.block.spans.get(self.first as usize..self.last as usize).unwrap_or_default();
        LineRef { text, spans, start: self.start }
    }

    /// Its text without styles.
    pub fn text(&self) -> &str {
        self.as_ref().text
    }

    /// Its pieces from left to right, each with its style.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, Style)> {
        self.as_ref().pieces()
    }

    /// Its part of what it stands in takes of memory.
    pub(crate) fn weight(&self) -> usize {
        let line = self.as_ref();
        let of_all = self.block.weight() - self.block.text.len() - size_of_val(&*self.block.spans);
        line.text.len() + 1 + size_of_val(line.spans) + of_all.div_ceil((self.block.lines as usize).max(1))
    }

    /// Whether it came together with `other`, and shares its memory.
    pub(crate) fn came_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.block, &other.block)
    }
}

impl Default for Line {
    fn default() -> Self {
        Self { block: Arc::clone(&NO_LINES), start: 0, end: 0, first: 0, last: 0 }
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Line {}

impl Hash for Line {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
        self.as_ref().spans().for_each(|span| span.hash(state));
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// Lines on their way into a block. It is used again and again, so that its room is taken once.
#[derive(Debug, Default)]
pub struct LineBuffer {
    text: String,
    spans: Vec<StyleSpan>,
    lines: u32,
}

/// How far a buffer was filled.
#[derive(Debug, Default)]
pub(super) struct Mark {
    text: usize,
    spans: usize,
    lines: u32,
}

impl LineBuffer {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Adds a line.
    pub fn push(&mut self, line: LineRef<'_>) {
        self.push_parts(line.text, line.spans());
    }

    /// Adds a line of what was sanitised already. The spans are ordered by their start; of several with the same one the last
    /// counts, and those that change nothing are left out, so that equal lines are equal.
    pub(super) fn push_parts(&mut self, text: &str, spans: impl IntoIterator<Item = StyleSpan>) {
        let (start, first) = (self.text.len() as u32, self.spans.len());
        for span in spans {
            if span.start as usize >= text.len() {
                break;
            }
            let at = start + span.start;
            if self.spans.len() > first {
                self.spans.pop_if(|last| last.start == at);
            }
            let before = self.spans.get(first..).and_then(<[StyleSpan]>::last).map(|last| last.style);
            if before.unwrap_or_default() != span.style {
                self.spans.push(StyleSpan { start: at, style: span.style });
            }
        }
        self.text.push_str(text);
        self.text.push('\n');
        self.lines += 1;
    }

    /// Adds `count` lines without styles of what was sanitised already. Each of them is ended by a line feed.
    pub(super) fn push_all(&mut self, text: &str, count: usize) {
        self.text.push_str(text);
        self.lines += count as u32;
    }

    /// Where it stands, to go back to.
    pub(super) fn mark(&self) -> Mark {
        Mark { text: self.text.len(), spans: self.spans.len(), lines: self.lines }
    }

    /// Lets `write` append to the line that is being written, with styles by their place in what it appends.
    pub(super) fn write<T>(&mut self, write: impl FnOnce(&mut String, &mut Vec<StyleSpan>) -> T) -> T {
        let before = self.mark();
        let written = write(&mut self.text, &mut self.spans);
        for span in self.spans.get_mut(before.spans..).unwrap_or_default() {
            span.start += before.text as u32;
        }
        written
    }

    /// Ends the line that is being written.
    pub(super) fn end_line(&mut self) {
        self.text.push('\n');
        self.lines += 1;
    }

    /// The text of the lines since then.
    pub(super) fn text_since(&self, mark: &Mark) -> &str {
        self.text.get(mark.text..).unwrap_or_default()
    }

    /// The styles in that text.
    pub(super) fn spans_since(&self, mark: &Mark) -> impl Iterator<Item = StyleSpan> {
        let base = mark.text as u32;
        let spans = self.spans.get(mark.spans..).unwrap_or_default();
        spans.iter().map(move |span| StyleSpan { start: span.start - base, style: span.style })
    }

    /// Forgets what was written since then.
    pub(super) fn go_back(&mut self, mark: &Mark) {
        self.text.truncate(mark.text);
        self.spans.truncate(mark.spans);
        self.lines = mark.lines;
    }

    /// The lines since then, which are no longer here.
    pub(super) fn take_since(&mut self, mark: &Mark) -> Lines {
        let block = TextBlock {
            text: self.text_since(mark).into(),
            spans: self.spans_since(mark).collect(),
            lines: self.lines - mark.lines,
        };
        self.go_back(mark);
        Lines(Arc::new(block))
    }

    /// The lines, which are no longer here.
    pub fn take(&mut self) -> Lines {
        if self.is_empty() {
            return Lines::default();
        }
        let lines = self.take_since(&Mark::default());
        self.text.shrink_to(SPARE);
        self.spans.shrink_to(SPARE / size_of::<StyleSpan>());
        lines
    }

    /// The line, where there is just one.
    pub(super) fn take_one(&mut self) -> Line {
        self.take().shared().next().unwrap_or_default()
    }
}

impl Serialize for LineRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Spans<'a>(LineRef<'a>);
        impl Serialize for Spans<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.spans())
            }
        }
        if self.spans.is_empty() {
            return serializer.serialize_str(self.text);
        }
        let mut line = serializer.serialize_struct("Line", 2)?;
        line.serialize_field("text", self.text)?;
        line.serialize_field("spans", &Spans(*self))?;
        line.end()
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().serialize(serializer)
    }
}

impl Serialize for Lines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut buffer = LineBuffer::default();
        OneLine(&mut buffer).deserialize(deserializer)?;
        Ok(buffer.take_one())
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Lines;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of lines")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<Lines, A::Error> {
                let mut buffer = LineBuffer::default();
                while lines.next_element_seed(OneLine(&mut buffer))?.is_some() {}
                Ok(buffer.take())
            }
        }
        deserializer.deserialize_seq(All)
    }
}

/// Reads a line into a buffer.
struct OneLine<'a>(&'a mut LineBuffer);

impl<'de> DeserializeSeed<'de> for OneLine<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneLine<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or an object with a text and its spans")
    }

    fn visit_str<E: serde::de::Error>(self, raw: &str) -> Result<(), E> {
        self.0.push_parts(&sanitize::plain(raw), []);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        struct Styled {
            text: String,
            #[serde(default)]
            spans: Vec<StyleSpan>,
        }
        let Styled { text, mut spans } = Styled::deserialize(MapAccessDeserializer::new(map))?;
        let clean = sanitize::plain(&text);
        if clean != text {
            spans.clear();
        }
        let mut least = 0;
        spans.retain(|span| {
            let fits = span.start >= least && clean.is_char_boundary(span.start as usize);
            least = if fits { span.start } else { least };
            fits
        });
        self.0.push_parts(&clean, spans);
        Ok(())
    }
}

impl JsonSchema for Lines {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Vec::<Line>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Line>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        Vec::<Line>::inline_schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u32, style: Style) -> StyleSpan {
        StyleSpan { start, style }
    }

    #[test]
    fn lines_of_a_block_are_those_that_went_in() {
        let bold = Style { bold: true, ..Style::default() };
        let dim = Style { dim: true, ..Style::default() };
        let all = [
            Line::plain(""),
            Line::from_parts("abc", [span(1, bold)]),
            Line::plain("grün"),
            Line::from_parts("x", [span(0, dim)]),
            Line::from_parts("xy", [span(0, dim), span(1, bold)]),
            Line::default(),
        ];
        let lines: Lines = all.iter().cloned().collect();
        assert_eq!((lines.len(), lines.iter().len()), (6, 6));
        assert_eq!(lines.shared().collect::<Vec<_>>(), all);
        assert!(lines.iter().eq(all.iter().map(Line::as_ref)));
        assert!(lines.shared().all(|line| line.came_with(&lines.shared().next().unwrap())));
        let json = serde_json::to_string(&lines).unwrap();
        assert_eq!(json, serde_json::to_string(&all).unwrap());
        assert_eq!(serde_json::from_str::<Lines>(&json).unwrap(), lines);
        assert_eq!(format!("{lines:?}"), format!("{all:?}"));
    }

    #[test]
    fn a_style_stays_in_its_line() {
        let bold = Style { bold: true, ..Style::default() };
        let mut buffer = LineBuffer::default();
        buffer.push_parts("a", [span(0, bold), span(1, Style::default())]);
        buffer.push_all("b\nc\n", 2);
        buffer.push_parts("d", [span(0, bold)]);
        let lines = buffer.take();
        let spans: Vec<usize> = lines.iter().map(|line| line.spans().count()).collect();
        assert_eq!(spans, [1, 0, 0, 1]);
        assert!(buffer.is_empty() && buffer.take().is_empty());
    }

    #[test]
    fn an_empty_line_of_many_weighs_little_more_than_its_end() {
        let mut buffer = LineBuffer::default();
        buffer.push_all(&"\n".repeat(1000), 1000);
        let lines = buffer.take();
        assert!(lines.weight() < 1200, "{}", lines.weight());
        let parts: usize = lines.shared().map(|line| line.weight()).sum();
        assert!((lines.weight()..lines.weight() + 1000).contains(&parts), "{parts}");
        assert_eq!(Lines::default().weight(), 0);
    }
}
