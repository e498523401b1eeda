//! A platform such as `linux/arm64/v8`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Text;

/// `os/architecture[/variant]`, as buildx writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Platform(Text);

/// Operating systems that `BuildKit` builds for: what tells a platform from a stage whose name holds a slash.
const SYSTEMS: [&str; 6] = ["linux", "windows", "darwin", "freebsd", "wasi", "wasip1"];

impl Platform {
    /// Reads a platform; none where the text is not of that shape. `linux/amd64(+4)`, how `BuildKit` shortens a
    /// long feature list, is one.
    pub fn parse(text: &str) -> Option<Self> {
        let (os, rest) = text.split_once('/')?;
        let shaped = rest.split('/').all(|part| !part.is_empty()) && rest.split('/').count() <= 2;
        (SYSTEMS.contains(&os) && shaped && !rest.contains(char::is_whitespace))
            .then(|| Self(Text::clean(text)))
    }

    /// A comma-separated list, as `--platform` takes it; words that are no platforms are left out.
    pub fn parse_list(text: &str) -> Vec<Self> {
        text.split(',').filter_map(|word| Self::parse(word.trim())).collect()
    }

    /// The whole text: `linux/arm64`.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Architecture and variant, where the system is the usual one: `arm64`.
    pub fn short(&self) -> &str {
        self.as_str().strip_prefix("linux/").unwrap_or_else(|| self.as_str())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_platforms_from_stage_names() {
        assert_eq!(Platform::parse("linux/arm64").unwrap().short(), "arm64");
        assert_eq!(Platform::parse("linux/arm/v7").unwrap().as_str(), "linux/arm/v7");
        assert_eq!(Platform::parse("windows/amd64").unwrap().short(), "windows/amd64");
        for text in ["tools", "my/stage", "linux", "linux/", "linux/a/b/c", "linux/a b"] {
            assert_eq!(Platform::parse(text), None, "{text}");
        }
        assert_eq!(Platform::parse_list("linux/amd64, linux/arm64,").len(), 2);
    }
}
