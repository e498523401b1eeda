//! Gates: what a build must not do, though it may succeed. What became of them is an event, so that a replay tells it too.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Text;

/// What became of the gates of a build, when it had ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Gates {
    /// The gates in the order in which they were asked for.
    pub gates: Vec<GateVerdict>,
}

/// What became of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateVerdict {
    /// The gate as it is written: `miss:pip`.
    pub gate: Text,
    /// Whether the build went through it.
    pub state: GateState,
    /// Why it did not, or why that can't be told; empty where it went through.
    #[serde(default)]
    pub reason: Text,
}

/// Whether a build went through a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// It did.
    Passed,
    /// It did not: layertop ends with 3, where the build itself succeeded.
    Failed,
    /// There is nothing to tell it by. It holds nobody up, and is said.
    Unknown,
}

/// A gate.
#[derive(Debug, Clone, PartialEq)]
pub enum Gate {
    /// `miss:LAYER`: a step of the layer was not cached.
    Miss(Text),
    /// `hit-rate<N%`: fewer of the steps hit.
    HitRate(f64),
    /// `import-error`: a cache could not be imported.
    ImportError,
    /// `clipped-log`: the builder clipped what a step said.
    ClippedLog,
    /// `slower-than:p95`: a step ran longer than 95 of 100 of its earlier runs.
    SlowerThanP95,
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Miss(layer) => write!(f, "miss:{layer}"),
            Self::HitRate(percent) => write!(f, "hit-rate<{percent}%"),
            Self::ImportError => f.write_str("import-error"),
            Self::ClippedLog => f.write_str("clipped-log"),
            Self::SlowerThanP95 => f.write_str("slower-than:p95"),
        }
    }
}

/// What is said of something that is no gate.
const GATES: &str = "the gates are miss:LAYER, 'hit-rate<80%', import-error, clipped-log and slower-than:p95";

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(layer) = text.strip_prefix("miss:") {
            let layer = Text::clean(layer.trim());
            let missing = || "miss: names no layer: write it as miss:pip".to_owned();
            return Some(Self::Miss(layer))
                .filter(|gate| *gate != Self::Miss(Text::default()))
                .ok_or_else(missing);
        }
        if let Some(limit) = text.strip_prefix("hit-rate<") {
            let percent = limit.strip_suffix('%').unwrap_or(limit).trim().parse::<f64>().ok();
            return percent.filter(|percent| (0.0..=100.0).contains(percent)).map(Self::HitRate).ok_or_else(
                || format!("`{}` is no share of 0 to 100 %: write it as 'hit-rate<80%'", Text::clean(limit)),
            );
        }
        match text {
            "import-error" => Ok(Self::ImportError),
            "clipped-log" => Ok(Self::ClippedLog),
            "slower-than:p95" => Ok(Self::SlowerThanP95),
            // What a shell leaves of `hit-rate<80%`, which it takes for the name of a file to read.
            "hit-rate" => Err("hit-rate has no limit: quote it for the shell, as 'hit-rate<80%'".to_owned()),
            "miss" => Err("miss names no layer: write it as miss:pip".to_owned()),
            _ if text.starts_with("slower-than") => Err("write it as slower-than:p95".to_owned()),
            _ => Err(GATES.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_written_as_they_are_read() {
        for text in [
            "miss:pip",
            "miss:editable install",
            "hit-rate<80%",
            "hit-rate<99.5%",
            "import-error",
            "clipped-log",
            "slower-than:p95",
        ] {
            assert_eq!(text.parse::<Gate>().unwrap().to_string(), text);
        }
        assert_eq!(" hit-rate<80 ".parse(), Ok(Gate::HitRate(80.0)));
    }

    #[test]
    fn what_is_no_gate_is_told_how_to_be_one() {
        for (text, expected) in [
            ("", "the gates are"),
            ("miss:", "miss:pip"),
            ("miss", "miss:pip"),
            ("hit-rate", "quote it"),
            ("hit-rate<", "`` is no share"),
            ("hit-rate<101%", "`101%` is no share"),
            ("hit-rate<NaN", "no share"),
            ("slower-than:p50", "slower-than:p95"),
            ("pip", "the gates are"),
        ] {
            let error = text.parse::<Gate>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
