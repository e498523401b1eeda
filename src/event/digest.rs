//! Identity of a vertex.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Text;

/// A digest as `BuildKit` names vertices with, nearly always `sha256:` and 64 hexadecimal digits; those are held as
/// their 32 bytes, anything else as sanitised text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Repr);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Sha256([u8; 32]),
    Other(Text),
}

/// Values by digest. Every event looks one up at least, which is what the fast hasher is for.
pub type DigestMap<V> = foldhash::HashMap<Digest, V>;

/// Digests, each once.
pub type DigestSet = foldhash::HashSet<Digest>;

impl Digest {
    /// Reads a digest; any text is one.
    pub fn parse(text: &str) -> Self {
        Self(sha256(text.as_bytes()).unwrap_or_else(|| Repr::Other(Text::clean(text))))
    }
}

fn sha256(text: &[u8]) -> Option<Repr> {
    let hex = text.strip_prefix(b"sha256:").filter(|hex| hex.len() == 64)?;
    let mut out = [0; 32];
    let mut bad = 0;
    for (byte, pair) in out.iter_mut().zip(hex.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        bad |= high | low;
        *byte = high << 4 | low;
    }
    (bad < 16).then_some(Repr::Sha256(out))
}

/// The value of each hexadecimal digit, 255 for everything else. A table, since a progress stream holds a digest or more an
/// event. Lower case only: upper case is another text, and must come out again as it came in.
const NIBBLES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let digits = b"0123456789abcdef";
    let mut value = 0;
    while value < digits.len() {
        values[digits[value] as usize] = value as u8;
        value += 1;
    }
    values
};

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Sha256(bytes) => {
                f.write_str("sha256:")?;
                bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
            Repr::Other(text) => f.write_str(text.as_str()),
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FromText;
        impl Visitor<'_> for FromText {
            type Value = Digest;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a digest")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
                Ok(Digest::parse(text))
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Digest, E> {
                let other = || str::from_utf8(bytes).map(Digest::parse).map_err(E::custom);
                sha256(bytes).map_or_else(other, |repr| Ok(Digest(repr)))
            }
        }
        // As bytes: what is hexadecimal is UTF-8.
        deserializer.deserialize_bytes(FromText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_out_as_it_came_in() {
        for text in [
            "sha256:273d3284a8e2aba5fab2d8a78420ab4de4177a7b2aea4118b371081e1f50e352",
            "sha256:273D3284a8e2aba5fab2d8a78420ab4de4177a7b2aea4118b371081e1f50e352",
            "random:8w7e",
            "",
        ] {
            assert_eq!(Digest::parse(text).to_string(), text);
        }
    }

    #[test]
    fn hostile_digests_are_sanitised() {
        assert!(!Digest::parse("\u{1b}[2Jx").to_string().contains('\u{1b}'));
    }
}
