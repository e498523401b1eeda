//! Text that is safe to show: the only kinds of text that a view is ever handed.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
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
pub enum TextColor {
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
    pub fg: Option<TextColor>,
    /// Background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bg: Option<TextColor>,
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
pub struct StyleSpan {
    /// Byte offset into the line's text, on a character boundary.
    pub start: u32,
    /// How it looks from there on.
    #[serde(flatten)]
    pub style: Style,
}
