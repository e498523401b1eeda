//! `layertop.toml` as it is written: keys, types, and the place of each value. What is wrong with it is said with file,
//! line and column.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use toml::Spanned;

use crate::error::{Problem, SourceLocation};

/// The whole file. Every key may be left out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(title = "layertop.toml")]
pub(super) struct LayertopToml {
    /// A bundled set of layer names: montage-ai. Rules of this file come before it.
    #[schemars(with = "Option<String>")]
    pub(super) profile: Option<Spanned<String>>,
    /// What the build makes.
    #[serde(default)]
    pub(super) image: ImageTable,
    /// How it is built.
    #[serde(default)]
    pub(super) build: BuildTable,
    /// Names for the layers of the stack; the first rule that matches an instruction names it.
    #[serde(default)]
    pub(super) layer: Vec<LayerRuleTable>,
    /// Which recordings of builds are kept.
    #[serde(default)]
    pub(super) recordings: RecordingsTable,
    /// Which builds are kept in the history.
    #[serde(default)]
    pub(super) history: HistoryTable,
    /// How builds are shown.
    #[serde(default)]
    pub(super) ui: UiTable,
    /// What is looked at beside the build.
    #[serde(default)]
    pub(super) health: HealthTable,
    /// How the image's registry is asked.
    #[serde(default)]
    pub(super) registry: RegistryTable,
    /// The cluster whose nodes and pods are looked at; none where it is left out.
    pub(super) kubernetes: Option<KubernetesTable>,
}

/// `[image]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ImageTable {
    /// Registry: host, host:port or host/path. REGISTRY in the environment overrides it.
    #[schemars(with = "Option<String>")]
    pub(super) registry: Option<Spanned<String>>,
    /// Repository in the registry.
    #[schemars(with = "Option<String>")]
    pub(super) name: Option<Spanned<String>>,
    /// Tag; latest where it is left out. TAG in the environment overrides it.
    #[schemars(with = "Option<String>")]
    pub(super) tag: Option<Spanned<String>>,
    /// Platforms such as linux/arm64; the builder's own where it is left out. PLATFORMS overrides it.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) platforms: Option<Spanned<Vec<Spanned<String>>>>,
}

/// `[build]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct BuildTable {
    /// buildx builder; buildx's current one where it is left out.
    #[schemars(with = "Option<String>")]
    pub(super) builder: Option<Spanned<String>>,
    /// Build context: a folder, relative to this file, or a URL.
    #[schemars(with = "Option<String>")]
    pub(super) context: Option<Spanned<String>>,
    /// Dockerfile, relative to this file; the one in the context where it is left out.
    #[schemars(with = "Option<String>")]
    pub(super) dockerfile: Option<Spanned<String>>,
    /// Stage to build; the last one where it is left out.
    #[schemars(with = "Option<String>")]
    pub(super) target: Option<Spanned<String>>,
    /// Build arguments. Those whose names look secret are handed over by environment.
    #[schemars(with = "BTreeMap<String, ArgValueSchema>")]
    #[serde(default)]
    pub(super) args: BTreeMap<Spanned<String>, Spanned<ArgValue>>,
    /// Tag of the registry cache: registry/name:cache is imported, and exported with mode=max. Empty: no cache.
    #[schemars(with = "Option<String>")]
    pub(super) cache: Option<Spanned<String>>,
    /// Push the image; false where it is left out.
    #[schemars(with = "Option<bool>")]
    pub(super) push: Option<Spanned<bool>>,
    /// More options for docker buildx build, one entry a word.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) extra: Option<Spanned<Vec<Spanned<String>>>>,
}

/// A build argument's value: text, or a number or a truth value that means its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArgValue(pub(super) String);

/// What an [`ArgValue`] may be written as.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "its shape is what the schema is made from")]
enum ArgValueSchema {
    Text(String),
    Number(i64),
    Truth(bool),
}

impl<'de> Deserialize<'de> for ArgValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyScalar;
        impl Visitor<'_> for AnyScalar {
            type Value = ArgValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ArgValue, E> {
                Ok(ArgValue(text.to_owned()))
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<ArgValue, E> {
                Ok(ArgValue(number.to_string()))
            }
            fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<ArgValue, E> {
                Ok(ArgValue(truth.to_string()))
            }
        }
        deserializer.deserialize_any(AnyScalar)
    }
}

/// `[[layer]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct LayerRuleTable {
    /// The layer's name.
    #[schemars(with = "String")]
    pub(super) name: Spanned<String>,
    /// Regular expression, searched in the instruction's text without regard to case.
    #[serde(rename = "match")]
    #[schemars(with = "String")]
    pub(super) pattern: Spanned<String>,
}

/// `[recordings]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RecordingsTable {
    /// How many; 50 where it is left out, 0 writes none.
    #[schemars(with = "Option<u32>")]
    pub(super) keep: Option<Spanned<u32>>,
    /// How long, such as 30d or 12h; 30d where it is left out.
    #[schemars(with = "Option<String>")]
    pub(super) keep_for: Option<Spanned<String>>,
    /// How much disk in all: bytes, or a text such as 2GB or 512MiB; 1GiB where it is left out.
    #[schemars(with = "Option<ByteSizeSchema>")]
    pub(super) keep_bytes: Option<Spanned<ByteSize>>,
}

/// `[history]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct HistoryTable {
    /// How many builds; 10000 where it is left out, 0 keeps none.
    #[schemars(with = "Option<u32>")]
    pub(super) keep: Option<Spanned<u32>>,
    /// How long, such as 30d or 1y; 1y where it is left out.
    #[schemars(with = "Option<String>")]
    pub(super) keep_for: Option<Spanned<String>>,
    /// How much disk: bytes, or a text such as 2GB or 512MiB; 512MiB where it is left out.
    #[schemars(with = "Option<ByteSizeSchema>")]
    pub(super) keep_bytes: Option<Spanned<ByteSize>>,
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteSize(pub(super) u64);

/// What a [`ByteSize`] may be written as.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "its shape is what the schema is made from")]
enum ByteSizeSchema {
    Bytes(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"2GB\", \"512MiB\" or a number of bytes")
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<ByteSize, E> {
                u64::try_from(number)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse::<bytesize::ByteSize>()
                    .map(|size| ByteSize(size.as_u64()))
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Bytes)
    }
}

/// `[ui]`: what the command line's global options say otherwise.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct UiTable {
    /// auto, tui, plain, json or quiet.
    #[schemars(with = "Option<String>")]
    pub(super) progress: Option<Spanned<String>>,
    /// auto, always or never.
    #[schemars(with = "Option<String>")]
    pub(super) color: Option<Spanned<String>>,
    /// Draw with ASCII characters only.
    #[schemars(with = "Option<bool>")]
    pub(super) ascii: Option<Spanned<bool>>,
}

/// `[health]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct HealthTable {
    /// Watch registry, nodes and builder during a build and on the dashboard; true where it is left out.
    #[schemars(with = "Option<bool>")]
    pub(super) watch: Option<Spanned<bool>>,
}

/// `[registry]`: how the image's registry is asked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RegistryTable {
    /// Allow plain http with another machine; loopback is asked so anyway.
    #[schemars(with = "Option<bool>")]
    pub(super) insecure: Option<Spanned<bool>>,
    /// Certificate of its authority, a PEM file relative to this one; trusted beside the system's.
    #[schemars(with = "Option<String>")]
    pub(super) ca: Option<Spanned<String>>,
    /// How often it is asked whether it answers; 2s where it is left out.
    #[schemars(with = "Option<String>")]
    pub(super) every: Option<Spanned<String>>,
    /// How often tags and cache are looked at; 10s where it is left out.
    #[schemars(with = "Option<String>")]
    pub(super) look_every: Option<Spanned<String>>,
    /// Answers that take longer make it slow; 500ms where it is left out.
    #[schemars(with = "Option<String>")]
    pub(super) slow: Option<Spanned<String>>,
}

/// `[kubernetes]`: the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct KubernetesTable {
    /// Whether it is asked at all; true where it is left out.
    pub enabled: Option<bool>,
    /// The kubeconfig, relative to this file; KUBECONFIG, ~/.kube/config or the pod's account where it is left out.
    pub kubeconfig: Option<String>,
    /// Context of the kubeconfig; its current one where it is left out.
    pub context: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// The registry in the cluster.
    pub registry: Option<ClusterRegistryTable>,
}

/// The registry that runs in the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct ClusterRegistryTable {
    /// Its service.
    pub service: Option<String>,
    /// Label selector of its pods.
    pub selector: Option<String>,
    /// Its port.
    pub port: Option<u16>,
}

/// The JSON schema of the file.
pub(super) fn schema() -> serde_json::Value {
    schemars::schema_for!(LayertopToml).to_value()
}

impl LayertopToml {
    /// Reads a file's text.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Box<Problem>> {
        toml::from_str(text).map_err(|error| {
            let (message, hint) = explain(error.message());
            let place = error.span().map(|span| SourceLocation::of(text, span));
            Box::new(Problem { file: path.to_owned(), place, message, hint: Some(hint) })
        })
    }
}

/// What toml or serde says, and what to do about it.
fn explain(message: &str) -> (String, String) {
    let message = message.trim().replace('\n', ", ");
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let hint = match (message.split(' ').take(2).collect::<Vec<_>>().join(" ").as_str(), names.as_slice()) {
        ("unknown field", [wrong, known @ ..]) => nearest(wrong, known).map_or_else(
            || format!("the keys here are {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        ),
        ("missing field", [name, ..]) => format!("add {name} = … to this table"),
        ("duplicate key", _) => "remove one of the two".to_owned(),
        ("invalid type:", _) if message.ends_with("expected a string") => {
            "a string stands in quotes: \"…\"".to_owned()
        }
        _ => "`layertop config schema` prints what may stand here".to_owned(),
    };
    let shown = match (message.starts_with("unknown field"), names.first()) {
        (true, Some(wrong)) => format!("unknown key `{wrong}`"),
        _ => message,
    };
    (shown, hint)
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(wrong, word), *word))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
