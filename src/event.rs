//! The one border between the outside and everything else.
//!
//! Sources turn what they hear into [`Event`]s; the model, the recording, the JSON output and the tests all
//! live on that one stream. Every string that somebody else wrote enters here as [`Text`] or [`Line`], which can
//! only be made by sanitising, so no view can be handed anything raw.
//!
//! Serialised, an event is one flat JSON object: `{"at": …, "type": "vertex", …}`; `docs/json.md` has the fields.

#![warn(missing_docs)]

pub mod advice;
pub mod amount;
pub mod builder;
pub mod cluster;
pub mod digest;
pub mod evidence;
pub mod expected;
pub mod fingerprint;
pub mod gate;
pub mod lines;
pub mod mask;
pub mod platform;
pub mod prediction;
pub mod reason;
pub mod reference;
pub mod registry;
pub mod sanitize;
pub mod shell;
pub mod text;
pub mod time;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

pub use advice::{Advice, Fix};
pub use builder::BuilderSnapshot;
pub use cluster::ClusterSnapshot;
pub use digest::Digest;
pub use evidence::{CacheManifest, Records};
pub use expected::Expected;
pub use fingerprint::Fingerprint;
pub use gate::Gates;
pub use lines::{Line, LineBuffer, LineRef, Lines};
pub use mask::Mask;
pub use platform::Platform;
pub use prediction::Planned;
pub use reason::{Reason, Reasons};
pub use reference::ImageReference;
pub use registry::RegistrySnapshot;
pub use sanitize::Sanitizer;
pub use text::{Style, StyleSpan, Text, TextColor};
pub use time::Time;

/// An event and when it reached us (live) or when it had reached whoever recorded it (replay).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stamped {
    /// Arrival, not the builder's own time: that stands in the event, where there is one.
    pub at: Time,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Everything that can change the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A build is about to start: what is built, with what.
    Started(Started),
    /// What the Dockerfile says before the builder says anything.
    Outline(Outline),
    /// A vertex of the build graph appeared or changed.
    Vertex(VertexUpdate),
    /// Progress inside a vertex: a blob pulled, a layer written.
    Status(StatusUpdate),
    /// Output of a vertex.
    Log(LogChunk),
    /// A build check of the Dockerfile frontend.
    Warning(Warning),
    /// A line between or after the progress stream, as buildx printed it.
    Output(Output),
    /// Something that layertop itself has to say: a recording that can't be written, a rule that can't be read.
    Notice(Notice),
    /// The user asked the build to stop.
    Cancelling(Cancelling),
    /// The process that carried the build is gone.
    Ended(Ended),
    /// Which parts around the build are looked at.
    Watching(Watching),
    /// The registry as it stands now.
    Registry(Box<RegistrySnapshot>),
    /// The builder and its nodes as they stand.
    Builder(Box<BuilderSnapshot>),
    /// The Kubernetes cluster, its nodes and the pods that matter, as they stand.
    Cluster(Box<ClusterSnapshot>),
    /// What the build is made from, step by step.
    Fingerprint(Box<Fingerprint>),
    /// What a node's builder keeps in its cache.
    Records(Arc<Records>),
    /// What a cache in a registry holds.
    CacheManifest(Box<CacheManifest>),
    /// Why steps were not cached.
    Reasons(Box<Reasons>),
    /// What became of the gates of the build.
    Gates(Gates),
    /// What a build would do now.
    Planned(Box<Planned>),
    /// The commit that is checked out where the build is made from.
    Commit(Commit),
    /// How long what it does took in earlier builds.
    Expected(Box<Expected>),
}

impl Event {
    /// Whether it says no more than what a step says or how far it is: such events follow each other without end.
    pub fn is_progress(&self) -> bool {
        matches!(self, Self::Log(_) | Self::Status(_) | Self::Output(_))
    }

    /// How much memory it takes, for whoever keeps many. What there is few of in a build is not counted to the byte.
    pub fn weight(&self) -> usize {
        /// An event itself, and of one that holds no output: names, digests, allocations.
        const USUAL: usize = 512;
        USUAL
            + match self {
                Self::Log(chunk) => chunk.lines.weight() + chunk.partial.as_ref().map_or(0, Line::weight),
                Self::Output(output) => output.line.weight(),
                Self::Vertex(vertex) => size_of_val(&*vertex.inputs),
                _ => 0,
            }
    }
}

/// What is built, with what. All of it is known before the first vertex.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Started {
    /// Reference of the image, with its tag: `registry:5000/name:tag`.
    pub image: Option<Text>,
    /// Name of the buildx builder.
    pub builder: Option<Text>,
    /// Platforms asked for; empty: the builder's own.
    pub platforms: Vec<Platform>,
    /// The command that runs, one entry an argument, secrets masked.
    pub command: Vec<Text>,
    /// Reference of the registry cache, where one is used.
    pub cache: Option<Text>,
    /// A name for what this build shows; the demo's scenarios have one.
    pub title: Option<Text>,
    /// The stage that is built, where one is named.
    pub target: Option<Text>,
    /// The machine that the build was started on.
    pub host: Option<Text>,
    /// The folder of the project that it was started in: that of its `layertop.toml`, else the working directory.
    pub folder: Option<Text>,
}

/// What is checked out in the build's context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Commit {
    /// The commit's hash, in hexadecimal digits.
    pub id: Text,
    /// Whether there is anything in the working tree that is not committed, files that Git does not know among it; none
    /// where that took too long to find out.
    pub dirty: Option<bool>,
}

/// The Dockerfile before it is built: its stages' steps, named by layer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Outline {
    /// The stages that the target needs, in the file's order.
    pub stages: Vec<OutlineStage>,
    /// Index into `stages` of the one that becomes the image.
    pub target: usize,
    /// The configured layer rules, first match wins; steps that are only seen in the stream are named by them too.
    pub rules: Vec<LayerRule>,
}

/// One stage of the Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutlineStage {
    /// Its name as `BuildKit` prints it in a vertex (`tools`, `stage-1`); none where a Dockerfile has one stage only.
    pub name: Option<Text>,
    /// Its steps, numbered as `BuildKit` numbers them, from 1.
    pub steps: Vec<OutlineStep>,
}

/// One numbered instruction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutlineStep {
    /// The instruction's text on one line, before `ARG` substitution.
    pub instruction: Text,
    /// The layer it belongs to, by rule or derived.
    pub layer: Option<Text>,
    /// First line of the instruction in the Dockerfile, from 1.
    pub line: u32,
}

/// A configured name for steps whose instruction matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LayerRule {
    /// The layer's name.
    pub name: Text,
    /// A regular expression, searched case-insensitively in the instruction's text.
    #[serde(rename = "match", serialize_with = "as_expression")]
    pub pattern: String,
}

/// Writes a regular expression with escapes for the characters that deceive; they mean the same to whoever reads it.
fn as_expression<S: Serializer>(pattern: &str, serializer: S) -> Result<S::Ok, S::Error> {
    // JSON has escapes of its own for line ends, which end comments in some expressions.
    let escape = |c: char| match c {
        c if sanitize::deceives(c) && c != '\n' => format!("\\x{{{:X}}}", u32::from(c)),
        c => c.to_string(),
    };
    serializer.serialize_str(&pattern.chars().map(escape).collect::<String>())
}

/// A vertex as one message of the progress stream has it. Messages repeat and overlap; the model merges them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VertexUpdate {
    /// Identity of the vertex over the whole build.
    pub digest: Digest,
    /// Display name, such as `[linux/amd64 stage-1 3/12] RUN make`.
    #[serde(default)]
    pub name: Text,
    /// What it is computed from; absent on a lazy pull.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Digest>,
    /// Start of this run of the vertex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// End of this run of the vertex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Time>,
    /// Said by `BuildKit`; absent on a lazy pull of a vertex that was cached before, so it only ever adds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
    /// The group that it is shown as a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<ProgressGroup>,
}

impl VertexUpdate {
    /// A vertex that has not begun.
    pub fn waiting(digest: Digest, name: Text, inputs: Vec<Digest>) -> Self {
        Self { digest, name, inputs, started: None, completed: None, cached: false, error: None, group: None }
    }
}

/// Vertices that the client shows as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressGroup {
    /// Identity of the group.
    pub id: Text,
    /// Display name.
    pub name: Text,
    /// A group of weak members only stays hidden.
    #[serde(default)]
    pub weak: bool,
}

/// Progress inside a vertex.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusUpdate {
    /// The vertex it belongs to.
    pub vertex: Digest,
    /// What progresses: `sha256:…`, `extracting sha256:…`, `pushing layers`; unique within the vertex.
    pub id: Text,
    /// Bytes or items done.
    #[serde(default)]
    pub current: u64,
    /// Bytes or items in all; 0: not known.
    #[serde(default)]
    pub total: u64,
    /// The builder's time of this message.
    pub timestamp: Time,
    /// Start of what progresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// Its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Time>,
}

/// The stream that a line came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Output of a vertex, already cut into lines. `BuildKit`'s chunks may end anywhere, in a line or in a character.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogChunk {
    /// Whose output it is.
    pub vertex: Digest,
    /// On which of its streams.
    pub stream: Stream,
    /// The builder's time of it.
    pub timestamp: Time,
    /// Lines that were ended by this chunk.
    #[serde(default, skip_serializing_if = "Lines::is_empty")]
    pub lines: Lines,
    /// The unfinished line after this chunk; it replaces the unfinished line before it. None: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Line>,
    /// Bytes of output that came faster than layertop could take them, and are left out before these lines.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A build check's finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// The vertex that it was found in.
    pub vertex: Digest,
    /// `BuildKit`'s level; 1 is the usual one.
    #[serde(default)]
    pub level: i64,
    /// The finding on one line.
    pub short: Text,
    /// More about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<Text>,
    /// Where the rule is documented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Text>,
    /// The file that it was found in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Text>,
    /// Its first line there, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A line that is not part of the progress stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// On which stream of the build's process.
    pub stream: Stream,
    /// The line.
    pub line: Line,
}

/// What layertop itself has to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// One sentence: cause, value, and what to do.
    pub text: Text,
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Something is not as it should be; the build goes on.
    Warn,
    /// The build can't go on, or could not start.
    Error,
}

/// The user asked the build to stop, once, twice, three times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelling {
    /// How often it was asked: 1 cancels gracefully, 2 presses, 3 kills.
    pub count: u32,
}

/// Which parts around a build are looked at. A part that is, but has no snapshot yet, is being asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Watching {
    /// The image's registry.
    pub registry: WatchState,
    /// The Kubernetes cluster; without one, nodes are those of the builder.
    pub cluster: WatchState,
    /// The builder.
    pub builder: WatchState,
    /// A part of which nothing new is to be said has a line at least so often, in microseconds; 0: as often as it is asked. A
    /// recording has fewer lines than there were.
    pub apart_us: u64,
}

impl Watching {
    /// How long a part may be silent though all is well with it.
    pub fn apart(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.apart_us)
    }
}

/// Whether a part is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WatchState {
    /// No: the user does not want it, or it is nobody's concern here.
    #[default]
    Off,
    /// No, since nothing says which one it is.
    NotConfigured,
    /// Yes.
    On,
}

/// The end of the process that carried the build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ended {
    /// Its exit code, `128 + n` where signal n ended it; none where it is not known (a stream without its process).
    pub exit_code: Option<i32>,
    /// Whether a recording of layertop ends before its build does: whoever wrote it was killed, or its disk was full; or a progress
    /// stream in the middle of a line. Nobody knows how that build ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

impl Ended {
    /// The end of a process with this exit code, or of a stream without its process.
    pub fn with(exit_code: Option<i32>) -> Self {
        Self { exit_code, lost: false }
    }
}
