//! What stands on the wire: buildx's `SolveStatus` as JSON (moby/buildkit `client/graph.go`), and where a value ends.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::event::{Digest, Time};

/// One value of the stream. Unknown fields are ignored; every field may be absent or null.
#[derive(Deserialize)]
pub(super) struct SolveStatus<'a> {
    #[serde(borrow, default)]
    pub(super) vertexes: Option<Vec<SolveVertex<'a>>>,
    #[serde(borrow, default)]
    pub(super) statuses: Option<Vec<VertexStatus<'a>>>,
    #[serde(default)]
    pub(super) logs: Option<Vec<VertexLog>>,
    #[serde(borrow, default)]
    pub(super) warnings: Option<Vec<VertexWarning<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct SolveVertex<'a> {
    pub(super) digest: Digest,
    #[serde(default)]
    pub(super) inputs: Option<Vec<Digest>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Str<'a>>,
    #[serde(default)]
    pub(super) started: WireTime,
    #[serde(default)]
    pub(super) completed: WireTime,
    #[serde(default)]
    pub(super) cached: Option<bool>,
    #[serde(borrow, default)]
    pub(super) error: Option<Str<'a>>,
    #[serde(borrow, default, rename = "progressGroup")]
    pub(super) group: Option<SolveGroup<'a>>,
}

#[derive(Deserialize)]
pub(super) struct SolveGroup<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Str<'a>>,
    #[serde(default)]
    pub(super) weak: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct VertexStatus<'a> {
    #[serde(borrow)]
    pub(super) id: Str<'a>,
    pub(super) vertex: Option<Digest>,
    #[serde(default)]
    pub(super) current: Option<i64>,
    #[serde(default)]
    pub(super) total: Option<i64>,
    #[serde(default)]
    pub(super) timestamp: WireTime,
    #[serde(default)]
    pub(super) started: WireTime,
    #[serde(default)]
    pub(super) completed: WireTime,
}

#[derive(Deserialize)]
pub(super) struct VertexLog {
    pub(super) vertex: Option<Digest>,
    #[serde(default)]
    pub(super) stream: Option<i64>,
    #[serde(default)]
    pub(super) data: Base64Bytes,
    #[serde(default)]
    pub(super) timestamp: WireTime,
}

#[derive(Deserialize)]
pub(super) struct VertexWarning<'a> {
    pub(super) vertex: Option<Digest>,
    #[serde(default)]
    pub(super) level: Option<i64>,
    #[serde(default)]
    pub(super) short: Base64Bytes,
    #[serde(default)]
    pub(super) detail: Option<Vec<Base64Bytes>>,
    #[serde(borrow, default)]
    pub(super) url: Option<Str<'a>>,
    #[serde(borrow, default, rename = "sourceInfo")]
    pub(super) source: Option<SourceInfo<'a>>,
    #[serde(default)]
    pub(super) range: Option<Vec<SourceRange>>,
}

#[derive(Deserialize)]
pub(super) struct SourceInfo<'a> {
    #[serde(borrow, default)]
    pub(super) filename: Option<Str<'a>>,
}

#[derive(Deserialize)]
pub(super) struct SourceRange {
    #[serde(default)]
    pub(super) start: Option<SourcePosition>,
}

#[derive(Deserialize)]
pub(super) struct SourcePosition {
    #[serde(default)]
    pub(super) line: Option<u32>,
}

/// A string that is borrowed from the input where it holds no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Str<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A point in time, read straight from the JSON string; none where it is absent, null, or no time.
#[derive(Default, Clone, Copy)]
pub(super) struct WireTime(pub(super) Option<Time>);

/// Bytes, base64 in the JSON. What is not base64 is taken as the bytes themselves: better odd than lost.
#[derive(Default)]
pub(super) struct Base64Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        raw(deserializer, |time| Self(Time::parse_bytes(time)))
    }
}

impl<'de> Deserialize<'de> for Base64Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        raw(deserializer, |data| Self(STANDARD.decode(data).unwrap_or_else(|_| data.to_vec())))
    }
}

/// Reads a string or null without asking whether the string is UTF-8: what it is read as settles that.
fn raw<'de, D: Deserializer<'de>, T: Default>(deserializer: D, read: fn(&[u8]) -> T) -> Result<T, D::Error> {
    struct Raw<T>(fn(&[u8]) -> T);
    impl<'de, T: Default> Visitor<'de> for Raw<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or null")
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            deserializer.deserialize_bytes(self)
        }
        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<T, E> {
            Ok(self.0(bytes))
        }
        fn visit_none<E: de::Error>(self) -> Result<T, E> {
            Ok(T::default())
        }
        fn visit_unit<E: de::Error>(self) -> Result<T, E> {
            Ok(T::default())
        }
    }
    deserializer.deserialize_option(Raw(read))
}

/// What stands at the beginning of some bytes.
pub(super) enum ValueRead<'a> {
    /// A value of the stream, and how many bytes it took.
    Value(SolveStatus<'a>, usize),
    /// The beginning of one.
    Incomplete,
    Not,
}

/// Reads the value that `bytes` begin with.
pub(super) fn read(bytes: &[u8]) -> ValueRead<'_> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<SolveStatus<'_>>();
    match values.next() {
        Some(Ok(status)) => {
            let used = values.byte_offset();
            let ours = status.vertexes.is_some()
                || status.statuses.is_some()
                || status.logs.is_some()
                || status.warnings.is_some();
            // An object of somebody else's is text; an empty one is a message without news.
            let empty = || bytes[1..used - 1].iter().all(u8::is_ascii_whitespace);
            if ours || empty() { ValueRead::Value(status, used) } else { ValueRead::Not }
        }
        Some(Err(error)) if error.is_eof() => ValueRead::Incomplete,
        _ => ValueRead::Not,
    }
}

/// The search for the end of a value that spans lines. It can be put aside and taken up again when more bytes are there.
#[derive(Debug, Default)]
pub(super) struct ValueScan {
    at: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// At the beginning of a line, where only what JSON may go on with is accepted.
    line_start: bool,
}

/// Where the value ends.
pub(super) enum ValueEnd {
    /// Behind this many bytes.
    At(usize),
    /// Not within these bytes.
    NotYet,
    /// Nowhere: this is no JSON.
    Never,
}

impl ValueScan {
    /// Goes on in `bytes`, which begin where the value begins, up to `limit` bytes.
    pub(super) fn advance(&mut self, bytes: &[u8], limit: usize) -> ValueEnd {
        while let Some(&byte) = bytes.get(self.at) {
            if self.at >= limit {
                return ValueEnd::Never;
            }
            self.at += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    b'\n' => return ValueEnd::Never,
                    _ => {}
                }
                continue;
            }
            if byte == b'\n' {
                self.line_start = true;
                continue;
            }
            if byte.is_ascii_whitespace() {
                continue;
            }
            if std::mem::take(&mut self.line_start) && !b"\"{}[],:-tfn0123456789".contains(&byte) {
                return ValueEnd::Never;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return ValueEnd::At(self.at);
                    }
                }
                _ => {}
            }
        }
        ValueEnd::NotYet
    }
}
