//! The last line: the whole build in one object.

use schemars::JsonSchema;
use serde::Serialize;

use super::{PartsSummary, VERSION};
use crate::event::gate::{GateState, GateVerdict};
use crate::event::{Digest, Line, Platform, Reason, Text, Time, Warning, Watching};
use crate::model::{
    Basis, CachedLayer, InstructionRow, Model, Outcome, Source, StageGroup, State, StepId, Vertex,
};
use crate::report::cache::CacheSummary;
use crate::report::estimate::CacheSavings;
use crate::report::{failure, origin, table};

/// What layertop ends with where a gate failed.
const GATE_FAILED: i32 = 3;

/// Lines of the failed step's output that the summary repeats.
const LAST_LINES: usize = 20;

/// A build, when it has ended.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// `summary`.
    pub r#type: SummaryType,
    /// Version of the summary. A field that is only added is no new version.
    pub version: u64,
    /// How the build ended.
    pub result: BuildResult,
    /// What layertop ended with: the exit code of buildx, 3 where that is 0 and a gate failed, or 4 where there was nothing to
    /// build with. Of a stream without its
    /// process the one that buildx would have given; null where that is not known.
    pub exit_code: Option<i32>,
    /// Arrival of the first event, in µs since the Unix epoch; null where there was none.
    pub started: Option<Time>,
    /// Arrival of the end, in µs since the Unix epoch; null where the build has not ended.
    pub ended: Option<Time>,
    /// From the first event to the end, in ms.
    pub wall_ms: u64,
    /// What it would have taken without a cache, in ms: the longest path through its graph, where cached steps take what they
    /// took when they ran last. Null unless it made what was asked for, and where that is not known of some cached step.
    pub no_cache_ms: Option<u64>,
    /// What the cache saved of that, in ms; null as `no_cache_ms`.
    pub saved_ms: Option<u64>,
    /// How many times as long it would have taken without a cache, to two decimals; null as `no_cache_ms`.
    pub speedup: Option<f64>,
    /// Reference of the image, with its tag.
    pub image: Option<Text>,
    /// Name of the buildx builder.
    pub builder: Option<Text>,
    /// The platforms asked for, else those that the builder spoke of.
    pub platforms: Vec<Platform>,
    /// All vertices of the build, as `BuildKit`'s own record counts them.
    pub vertices: VertexCounts,
    /// The steps, counted over stages and platforms: no exporter, importer or internal vertex is among them.
    pub layers: StepCounts,
    /// What became of the build cache in the registry.
    pub cache: CacheSummary,
    /// Registry, cluster, nodes and builder as they were at the end; null where none of them was watched.
    pub health: Option<PartsSummary>,
    /// Findings of the build checks, each once.
    pub warnings: Vec<WarningSummary>,
    /// Why the build failed; null where it did not.
    pub error: Option<ErrorSummary>,
    /// What became of the gates that `--fail-on` asked for, in its order; absent where it asked for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateVerdict>,
    /// Every step on every platform: final stages first, in the Dockerfile's order, platforms in the order of `platforms`.
    pub steps: Vec<StepSummary>,
}

/// The type of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SummaryType {
    /// The only one.
    Summary,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildResult {
    /// It made what was asked for.
    Success,
    /// It did not.
    Failed,
    /// The user stopped it.
    Cancelled,
    /// The stream broke off, and nobody said how the build ended.
    Lost,
    /// It has not ended; never in a last line.
    Running,
}

impl From<Outcome> for BuildResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Failed => Self::Failed,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Lost => Self::Lost,
            Outcome::Running => Self::Running,
        }
    }
}

/// Counts of vertices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VertexCounts {
    /// `NumTotalSteps` of `BuildKit`'s record.
    pub total: usize,
    /// `NumCachedSteps` of `BuildKit`'s record.
    pub cached: usize,
}

/// Counts of steps by state. Where the build has ended, none waits and none runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct StepCounts {
    /// All steps.
    pub total: usize,
    /// Cached; a `FROM` for which nothing was pulled.
    pub hits: usize,
    /// Not cached, so they ran; a `FROM` that was pulled.
    pub misses: usize,
    /// Never started: skipped, or made unnecessary by a cached step.
    pub not_needed: usize,
    /// Never started, because the build failed, was stopped or was lost before.
    pub not_reached: usize,
    /// Failed.
    pub failed: usize,
    /// Stopped, because the build was.
    pub cancelled: usize,
    /// `misses` without the base images that were pulled: what every output counts as rebuilt, of `total`.
    pub rebuilt: usize,
    /// Base images that were pulled.
    pub pulled: usize,
    /// Steps that the build came to: `total` without `not_reached`, and while the build runs without those that run or wait.
    pub reached: usize,
    /// Share of the steps in `reached` that hit or were not needed, 0 to 1, to four decimals: all but `misses`, `failed` and
    /// `cancelled`. Null where the build came to none, and while it runs.
    pub hit_rate: Option<f64>,
}

/// A finding of a build check.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WarningSummary {
    /// The finding on one line.
    pub short: Text,
    /// More about it.
    pub detail: Vec<Text>,
    /// Where the rule is documented.
    pub url: Option<Text>,
    /// The file that it was found in.
    pub file: Option<Text>,
    /// Its first line there, from 1.
    pub line: Option<u32>,
}

/// Why a build failed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ErrorSummary {
    /// The error on one line.
    pub message: Text,
    /// The vertex that failed; null where none did, such as in a Dockerfile that can't be read.
    pub vertex: Option<Digest>,
    /// Display name of that vertex.
    pub name: Option<Text>,
    /// The place in the Dockerfile as buildx shows it: the file and line, then the lines around it, the failed one marked
    /// by `>>>`. Empty where buildx showed none.
    pub excerpt: Vec<String>,
    /// The last lines that the vertex said, at most 20.
    pub log: Vec<String>,
}

/// A step on one platform.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StepSummary {
    /// Identity of its vertex; null where the builder never spoke of the step.
    pub digest: Option<Digest>,
    /// The bake target that it was built for; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Text>,
    /// Name of its stage; null where the builder names none, as in a Dockerfile with one stage.
    pub stage: Option<Text>,
    /// Its number in the stage, from 1.
    pub index: u16,
    /// How many steps the stage has.
    pub of: u16,
    /// The platform that it was built for; null where that is not known.
    pub platform: Option<Platform>,
    /// The instruction's text.
    pub instruction: Text,
    /// Its layer's name in the stack; null where it has none.
    pub layer: Option<Text>,
    /// What became of it.
    pub state: State,
    /// Where a hit came from; null where it is none.
    pub source: Option<Source>,
    /// How that is known, in one sentence; absent where it is no hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_evidence: Option<Text>,
    /// The registry cache that a hit came from; absent where it did not, or where it is not known which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<Text>,
    /// Its layer in the registry cache, as that stood before the build; absent where none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_as: Option<CachedAs>,
    /// Why it was not cached; null where it was, or where nobody has judged it.
    pub reason: Option<Reason>,
    /// Time at work, pulls left out, in ms.
    pub run_ms: u64,
    /// Time in which blobs were fetched for it, in ms.
    pub pull_ms: u64,
    /// What it takes when it runs, going by earlier builds on this builder, in ms; null where they do not tell.
    pub expected_ms: Option<u64>,
    /// What tells `expected_ms`; absent where that is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_by: Option<ExpectedBy>,
    /// How many times slower than usual it was, to two decimals; absent where it was not slower than 95 of 100 runs are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slower: Option<f64>,
    /// Bytes fetched for it.
    pub pulled_bytes: u64,
    /// Lines that it said, those included that are no longer kept.
    pub log_lines: u64,
    /// Whether the builder clipped its output.
    pub log_clipped: bool,
    /// Why it failed; absent where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
}

/// What tells how long a step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedBy {
    /// Runs of the same instruction.
    Step,
    /// Runs of another instruction of the same layer: less sure.
    Layer,
}

impl From<Basis> for ExpectedBy {
    fn from(basis: Basis) -> Self {
        match basis {
            Basis::Step => Self::Step,
            Basis::Layer => Self::Layer,
        }
    }
}

/// A step's layer in a registry cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CachedAs {
    /// The cache.
    #[serde(rename = "ref")]
    pub reference: Text,
    /// Its blob.
    pub blob: Digest,
    /// Bytes of the blob, compressed.
    pub bytes: u64,
    /// When it was made, in µs since the Unix epoch; null where the cache does not say it.
    pub created: Option<Time>,
}

impl From<CachedLayer> for CachedAs {
    fn from(layer: CachedLayer) -> Self {
        Self { reference: layer.reference, blob: layer.blob, bytes: layer.bytes, created: layer.created }
    }
}

impl Summary {
    /// The summary on one line, ended by a line feed.
    pub fn line(&self) -> String {
        // Texts, whole numbers and lists of them can always be written as JSON.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// The last line of `--progress json`.
pub fn line(model: &Model, now: Time) -> String {
    summary(model, now).line()
}

/// Sums a build up.
pub fn summary(model: &Model, now: Time) -> Summary {
    let started = model.started();
    let (total, cached) = model.vertex_counts();
    let saved = CacheSavings::of(model).filter(|saved| !saved.at_least);
    Summary {
        r#type: SummaryType::Summary,
        version: VERSION,
        result: model.outcome().into(),
        exit_code: exit_code(model),
        started: model.begun(),
        ended: model.ended(),
        wall_ms: millis(model.wall(now)),
        no_cache_ms: saved.map(|saved| millis(saved.without)),
        saved_ms: saved.map(|saved| millis(saved.time)),
        speedup: saved.map(|saved| (saved.speedup * 100.0).round() / 100.0),
        image: started.image.clone(),
        builder: started.builder.clone(),
        platforms: model.platforms().into_iter().flatten().collect(),
        vertices: VertexCounts { total, cached },
        layers: layers(model),
        cache: CacheSummary::of(model),
        health: (model.watching() != Watching::default())
            .then(|| PartsSummary::of(model, model.ended().unwrap_or(now))),
        warnings: model.warnings().iter().map(warning).collect(),
        error: error(model),
        gates: model.gates().gates.clone(),
        steps: steps(model, now),
    }
}

/// The build's own code comes before that of a gate.
fn exit_code(model: &Model) -> Option<i32> {
    let failed = model.gates().gates.iter().any(|gate| gate.state == GateState::Failed);
    model.exit_code().map(|code| if code == 0 && failed { GATE_FAILED } else { code })
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn layers(model: &Model) -> StepCounts {
    let counts = model.counts();
    StepCounts {
        total: counts.total,
        hits: counts.of(State::Hit),
        misses: counts.of(State::Miss),
        not_needed: counts.of(State::NotNeeded),
        not_reached: counts.of(State::NotReached),
        failed: counts.of(State::Failed),
        cancelled: counts.of(State::Cancelled),
        rebuilt: counts.rebuilt(),
        pulled: counts.pulled(),
        reached: counts.done(),
        hit_rate: counts
            .hit_rate()
            .filter(|_| model.outcome() != Outcome::Running)
            .map(|rate| (rate * 10_000.0).round() / 10_000.0),
    }
}

fn warning(warning: &Warning) -> WarningSummary {
    WarningSummary {
        short: warning.short.clone(),
        detail: warning.detail.clone(),
        url: warning.url.clone(),
        file: warning.file.clone(),
        line: warning.line,
    }
}

fn error(model: &Model) -> Option<ErrorSummary> {
    let failure = model.failure()?;
    let vertex = failure.vertex.and_then(|id| model.vertex(id));
    let text = |line: &Line| line.text().trim_end().to_owned();
    let log = vertex.map(|vertex| {
        let hidden = vertex.log.len().saturating_sub(LAST_LINES);
        vertex.log.iter().skip(hidden).map(|line| text(&line.line)).collect()
    });
    Some(ErrorSummary {
        vertex: vertex.map(|vertex| vertex.digest.clone()),
        name: vertex.map(|vertex| vertex.name.clone()),
        excerpt: failure.excerpt.iter().map(text).collect(),
        log: log.unwrap_or_default(),
        message: failure::message(&failure),
    })
}

fn steps(model: &Model, now: Time) -> Vec<StepSummary> {
    let mut steps = Vec::new();
    let columns = model.platforms();
    for group in table::shown_groups(model) {
        for (at, row) in group.rows.iter().enumerate() {
            if group.seen {
                let ids = table::by_column(model, &columns, row).into_iter();
                steps.extend(ids.filter_map(|id| step_summary(model, id, row, now)));
            } else {
                let of = |platform: &Option<Platform>| outlined(model, group, at, row, platform.clone());
                steps.extend(columns.iter().map(of));
            }
        }
    }
    steps
}

/// A step that the stream has named.
fn step_summary(model: &Model, id: StepId, row: &InstructionRow, now: Time) -> Option<StepSummary> {
    let step = model.stack().step(id)?;
    let name = &step.name;
    let logs = || model.vertices_of(id).map(|vertex| &vertex.log);
    let failed = model.state(id) == State::Failed;
    let origin = model.source_of(id);
    let expected = model.expected(id);
    let ran = matches!(model.state(id), State::Miss | State::Running | State::Failed | State::Cancelled);
    let slower = model.step_estimate(id, now).filter(|_| ran).and_then(|told| told.slower);
    Some(StepSummary {
        digest: model.digest_of(id).cloned(),
        target: name.target.clone(),
        stage: name.stage.clone(),
        index: name.index,
        of: name.of,
        platform: model.platform_of(step),
        instruction: name.instruction.clone(),
        layer: row.layer.clone(),
        state: model.state(id),
        source: origin.as_ref().map(|origin| origin.source),
        source_evidence: origin.as_ref().map(|origin| origin::sentence(&origin.evidence)),
        source_ref: origin.and_then(|origin| origin.reference),
        cached_as: model.in_registry(id).map(CachedAs::from),
        reason: model.reason_of(id).cloned(),
        run_ms: millis(model.run_time(id, now)),
        pull_ms: millis(model.pull_time(id, now)),
        expected_ms: expected.map(|told| millis(told.median)),
        expected_by: expected.map(|told| told.basis.into()),
        slower: slower.map(|factor| (factor * 100.0).round() / 100.0),
        pulled_bytes: model.pulled_bytes(id),
        log_lines: logs().map(crate::model::Log::total).sum(),
        log_clipped: logs().any(crate::model::Log::clipped),
        error: model.vertices_of(id).find_map(|vertex: &Vertex| vertex.error.clone()).filter(|_| failed),
    })
}

/// A step that only the Dockerfile has: nothing was built of it, or of anything else.
fn outlined(
    model: &Model,
    group: &StageGroup,
    at: usize,
    row: &InstructionRow,
    platform: Option<Platform>,
) -> StepSummary {
    StepSummary {
        digest: None,
        target: group.target.clone(),
        stage: group.stage.clone(),
        index: u16::try_from(at + 1).unwrap_or(u16::MAX),
        of: u16::try_from(group.rows.len()).unwrap_or(u16::MAX),
        platform,
        instruction: row.instruction.clone(),
        layer: row.layer.clone(),
        state: model.state_before_start(),
        source: None,
        source_evidence: None,
        source_ref: None,
        cached_as: None,
        reason: None,
        run_ms: 0,
        pull_ms: 0,
        expected_ms: None,
        expected_by: None,
        slower: None,
        pulled_bytes: 0,
        log_lines: 0,
        log_clipped: false,
        error: None,
    }
}
