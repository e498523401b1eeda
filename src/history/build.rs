//! A build as it is kept: a pure function of its model.

use std::path::PathBuf;
use std::time::Duration;

use super::scenario;
use crate::event::expected::TransferKind;
use crate::event::{Platform, Reason, Text, Time};
use crate::explain::{Past, PastStep};
use crate::model::{self, Model, Outcome, Source, State, StepId};

/// A build with its steps, to be kept.
#[derive(Debug, Clone)]
pub struct StoredBuild {
    /// The name of its recording, or what that would be; no two builds have the same.
    pub name: Text,
    /// Where its recording lies; none where it has none.
    pub recording: Option<PathBuf>,
    /// The reference of the image, with its tag.
    pub image: Option<Text>,
    pub builder: Option<Text>,
    /// The platforms asked for, else those that the builder spoke of.
    pub platforms: Vec<Platform>,
    /// The commit that was checked out.
    pub commit: Option<Text>,
    /// Whether there was anything that was not committed.
    pub dirty: Option<bool>,
    /// The machine that it was started on.
    pub host: Option<Text>,
    /// The command, secrets masked.
    pub command: Vec<Text>,
    /// The stage that was built, where one was named.
    pub target: Option<Text>,
    pub result: Outcome,
    /// Its exit code, where that is known.
    pub exit_code: Option<i32>,
    pub started: Time,
    /// How long it took.
    pub wall: Duration,
    /// How long it would have taken without any cache, where that can be told.
    pub no_cache: Option<Duration>,
    /// What kind of build it was, by what it rebuilt; none of one that did not succeed.
    pub scenario: Option<Text>,
    /// Its steps in all, over stages and platforms.
    pub total: usize,
    /// Those that were cached.
    pub hits: usize,
    /// Those that were not.
    pub misses: usize,
    /// How long context, cache and image were on their way, of what came to its end.
    pub transfers: Vec<(TransferKind, Duration)>,
    /// Bytes that were fetched.
    pub bytes_pulled: u64,
    /// Its steps: stage by stage, in the Dockerfile's order.
    pub steps: Vec<StoredStep>,
    /// What later builds are compared with, but for the steps.
    pub past: Past,
}

/// A step on a platform.
#[derive(Debug, Clone)]
pub struct StoredStep {
    /// What a later build's step is compared with: place, platform, instruction, state.
    pub past: PastStep,
    pub layer: Option<Text>,
    /// Why it was not cached; none where it was, or where that was not judged.
    pub reason: Option<Reason>,
    /// Where it came from, of a hit.
    pub source: Option<Source>,
    /// When it began, after the build's begin; none where it did not.
    pub started: Option<Duration>,
    /// How long it was at work, pulls left out.
    pub ran: Duration,
    /// How long blobs were fetched for it.
    pub pulled: Duration,
    /// Bytes that were fetched for it.
    pub bytes: u64,
}

impl StoredBuild {
    /// Takes from a build that has ended what is kept of it.
    pub fn of(model: &Model, name: Text, recording: Option<PathBuf>) -> Self {
        let started = model.started();
        let begun = model.begun().unwrap_or_default();
        let now = model.newest();
        let (ids, steps): (Vec<StepId>, Vec<StoredStep>) = steps(model, begun, now).into_iter().unzip();
        let counts = model.counts();
        let succeeded = model.outcome() == Outcome::Success;
        Self {
            recording,
            image: started.image.clone(),
            builder: started.builder.clone(),
            platforms: model.platforms().into_iter().flatten().collect(),
            commit: model.commit().map(|commit| commit.id.clone()),
            dirty: model.commit().and_then(|commit| commit.dirty),
            host: started.host.clone(),
            command: started.command.clone(),
            target: started.target.clone(),
            result: model.outcome(),
            exit_code: model.exit_code(),
            started: begun,
            wall: model.wall(now),
            no_cache: model.no_cache(),
            scenario: succeeded.then(|| scenario::of(&steps, top(model, &ids, &steps))).flatten(),
            total: counts.total,
            hits: counts.of(State::Hit),
            misses: counts.of(State::Miss),
            transfers: model.transfers(),
            bytes_pulled: steps.iter().map(|step| step.bytes).sum(),
            past: Past { steps: Vec::new(), ..Past::of(name.clone(), model) },
            steps,
            name,
        }
    }
}

/// The step that what was rebuilt begins at, as it is named everywhere: that of the cause that cost most.
fn top<'a>(model: &Model, ids: &[StepId], steps: &'a [StoredStep]) -> Option<&'a StoredStep> {
    let roots = model::causes(model).into_iter().filter_map(|cause| cause.roots.first().copied());
    let of = |id: StepId| steps.get(ids.iter().position(|known| *known == id)?);
    roots.filter_map(of).find(|step| scenario::names(step))
}

fn steps(model: &Model, begun: Time, now: Time) -> Vec<(StepId, StoredStep)> {
    let rows = model.stack().groups().iter().flat_map(|group| &group.rows);
    let of_row = |row: &crate::model::InstructionRow| {
        let told =
            row.steps.iter().filter_map(|id| Some((*id, step(model, *id, row.layer.clone(), begun, now)?)));
        told.collect::<Vec<_>>()
    };
    rows.flat_map(of_row).collect()
}

fn step(model: &Model, id: StepId, layer: Option<Text>, begun: Time, now: Time) -> Option<StoredStep> {
    let started = model.vertices_of(id).filter_map(crate::model::Vertex::started).min();
    Some(StoredStep {
        past: PastStep::of(model, id)?,
        layer,
        reason: model.reason_of(id).cloned(),
        source: model.source_of(id).map(|origin| origin.source),
        started: started.map(|at| at.since(begun)),
        ran: model.run_time(id, now),
        pulled: model.pull_time(id, now),
        bytes: model.pulled_bytes(id),
    })
}
