//! Text that is safe to show: the only kinds of text that a view is ever handed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sanitize;

/// One line of sanitised text without styles. Cheap to clone. Reading one from a file sanitises it again: a recording
/// is foreign text too.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Arc<str>);

impl Text {
    /// Sanitises `raw`; line ends become spaces, escape sequences vanish, what could deceive is shown as what it is.
    pub fn clean(raw: &str) -> Self {
        Self(sanitize::plain(raw).as_ref().into())
    }

    /// A text of what was sanitised already.
    pub(super) fn from_clean(clean: &str) -> Self {
        Self(clean.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(Arc::from(""))
    }
}

impl From<&str> for Text {
    fn from(raw: &str) -> Self {
        Self::clean(raw)
    }
}

impl From<String> for Text {
    fn from(raw: String) -> Self {
        Self::clean(&raw)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Clean;
        impl serde::de::Visitor<'_> for Clean {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: serde::de::Error>(self, raw: &str) -> Result<Text, E> {
                Ok(Text::clean(raw))
            }
        }
        deserializer.deserialize_str(Clean)
    }
}

/// A colour that foreign text may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Color {
    /// One of the terminal's 256: 0–7 normal, 8–15 bright, the rest cube and greys.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// How foreign text may look: what SGR leaves after sanitising. No blink, no conceal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "SGR attributes are independent of each other, in JSON too"
)]
pub struct Style {
    /// Foreground.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fg: Option<Color>,
    /// Background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bg: Option<Color>,
    /// SGR 1.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bold: bool,
    /// SGR 2.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dim: bool,
    /// SGR 3.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub italic: bool,
    /// SGR 4.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub underline: bool,
    /// SGR 7.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reverse: bool,
}

/// A styled piece of a line: from here to the next span's start, or to the line's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Byte offset into the line's text, on a character boundary.
    pub start: u32,
    /// How it looks from there on.
    #[serde(flatten)]
    pub style: Style,
}

/// One sanitised line with its styles. Cheap to clone. Serialised it is a plain string where it has no styles, else
/// `{"text": …, "spans": [{"start": …, "bold": true, …}]}`. Reading one sanitises it again: where that changes the text the
/// styles are dropped, and a span whose offset does not fit the text is dropped by itself.
#[derive(Clone)]
pub struct Line {
    /// Where the text stands; lines that arrived together share it.
    shared: Arc<str>,
    start: u32,
    end: u32,
    spans: Box<[Span]>,
}

impl Line {
    /// Sanitises `raw` to a line without styles.
    pub fn plain(raw: &str) -> Self {
        Self::from_parts(sanitize::plain(raw).as_ref(), [])
    }

    /// A line of what was sanitised already. The spans are ordered by their start; of several with the same one the last
    /// counts, and those that change nothing are left out, so that equal lines are equal.
    pub(super) fn from_parts(text: &str, spans: impl IntoIterator<Item = Span>) -> Self {
        let spans = spans.into_iter();
        let mut kept: Vec<Span> = Vec::with_capacity(spans.size_hint().0);
        for span in spans {
            if span.start as usize >= text.len() {
                break;
            }
            kept.pop_if(|last| last.start == span.start);
            let before = kept.last().map(|last| last.style).unwrap_or_default();
            if before != span.style {
                kept.push(span);
            }
        }
        Self { spans: kept.into(), ..Self::piece(&Arc::from(text), 0..text.len()) }
    }

    /// A line without styles that is a piece of what was sanitised already, on character boundaries.
    pub(super) fn piece(of: &Arc<str>, range: Range<usize>) -> Self {
        Self {
            shared: Arc::clone(of),
            start: range.start as u32,
            end: range.end as u32,
            spans: Box::default(),
        }
    }

    /// Holds its own text only, where it shares one that is much longer.
    pub(crate) fn let_go(&mut self) {
        if self.shared.len() > 2 * self.text().len() + 64 {
            let text: Arc<str> = self.text().into();
            (self.start, self.end) = (0, text.len() as u32);
            self.shared = text;
        }
    }

    /// Its styles.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Its text without styles.
    pub fn text(&self) -> &str {
        self.shared.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Its pieces from left to right, each with its style.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, Style)> {
        let text = self.text();
        let first = self.spans.first().map_or(text.len(), |s| s.start as usize);
        let head = std::iter::once((text.get(..first).unwrap_or_default(), Style::default()));
        let tail = self.spans.iter().enumerate().map(move |(i, span)| {
            let end = self.spans.get(i + 1).map_or(text.len(), |next| next.start as usize);
            (text.get(span.start as usize..end).unwrap_or_default(), span.style)
        });
        head.chain(tail).filter(|(text, _)| !text.is_empty())
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::from_parts("", [])
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() && self.spans == other.spans
    }
}

impl Eq for Line {}

impl Hash for Line {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
        self.spans.hash(state);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Line").field(&self.text()).field(&self.spans).finish()
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.spans.is_empty() {
            return serializer.serialize_str(self.text());
        }
        let mut line = serializer.serialize_struct("Line", 2)?;
        line.serialize_field("text", self.text())?;
        line.serialize_field("spans", &self.spans)?;
        line.end()
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or an object with a text and its spans")
    }

    fn visit_str<E: serde::de::Error>(self, raw: &str) -> Result<Line, E> {
        Ok(Line::plain(raw))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Line, A::Error> {
        #[derive(Deserialize)]
        struct Styled {
            text: String,
            #[serde(default)]
            spans: Vec<Span>,
        }
        let Styled { text, mut spans } = Styled::deserialize(MapAccessDeserializer::new(map))?;
        let line = Line::plain(&text);
        if line.text() != text {
            return Ok(line);
        }
        let mut least = 0;
        spans.retain(|span| {
            let fits = span.start >= least && text.is_char_boundary(span.start as usize);
            least = if fits { span.start } else { least };
            fits
        });
        Ok(Line::from_parts(line.text(), spans))
    }
}
