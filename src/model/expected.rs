//! How long steps and exports took in earlier builds, as it was told, ready to be looked up.

mod past;

use std::collections::HashMap;
use std::time::Duration;

use super::name::keyword;
use super::{Model, State, Step, StepId, Vertex, VertexKind};
use crate::event::expected::{BesideSample, Expected, ExpectedStep, TransferKind, TransferSample};
use crate::event::{Platform, Text, Time};

pub use past::{MOST_PULLS, MOST_RUNS, MOST_SAMPLES, PastBuild, PastRun, covered, expected};

/// Samples that are compared of a transfer: those of the builds most like this one.
const NEIGHBOURS: usize = 9;

/// Fewer bytes tell nothing of how fast something is fetched: asking for them takes longer.
const LEAST_PULLED: u64 = 1 << 20;

/// What an expectation rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Runs of another instruction of the same layer: less sure.
    Layer,
    /// Runs of the same instruction.
    Step,
}

/// How long a step is expected to take when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// How many runs it is taken from, at most ten.
    pub runs: u32,
    /// The median of their lengths.
    pub median: Duration,
    /// The length that 95 of 100 stay below.
    pub p95: Duration,
    /// The length of the newest.
    pub last: Duration,
    /// What it rests on.
    pub basis: Basis,
}

/// How long a transfer takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct PastTransfer {
    pub(super) took: Duration,
    /// The longest of those that it is taken from.
    pub(super) most: Duration,
    /// By how many steps the build most like this one differs.
    pub(super) away: u64,
}

/// What was told of earlier builds.
#[derive(Debug, Default)]
pub(super) struct PastDurations {
    said: Box<Expected>,
    by_text: HashMap<(Option<Platform>, String), usize>,
    by_layer: HashMap<(Option<Platform>, Text, String), usize>,
}

impl PastDurations {
    /// Takes what was told; it replaces what was told before.
    pub(super) fn take(&mut self, told: &Expected) {
        self.by_text.clear();
        self.by_layer.clear();
        for (at, step) in told.steps.iter().enumerate() {
            let text = compared(step.instruction.as_str());
            if let Some(layer) = &step.layer {
                let key = (step.platform.clone(), layer.clone(), keyword(&text).to_owned());
                // Of several the longest: it is what the layer is about.
                let longest = self.by_layer.entry(key).or_insert(at);
                if told.steps.get(*longest).is_some_and(|known| known.median_us < step.median_us) {
                    *longest = at;
                }
            }
            self.by_text.entry((step.platform.clone(), text)).or_insert(at);
        }
        *self.said = told.clone();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.said.builds == 0
    }

    fn step(
        &self,
        platform: Option<&Platform>,
        instruction: &Text,
        layer: Option<&Text>,
    ) -> Option<Expectation> {
        let text = compared(instruction.as_str());
        let keyword = keyword(&text).to_owned();
        let told = |at: &usize, basis| self.said.steps.get(*at).map(|step| expectation(step, basis));
        if let Some(at) = self.by_text.get(&(platform.cloned(), text)) {
            return told(at, Basis::Step);
        }
        // Of a base image that has never been pulled nothing else tells how large it is.
        if keyword.eq_ignore_ascii_case("FROM") {
            return None;
        }
        let at = self.by_layer.get(&(platform.cloned(), layer?.clone(), keyword))?;
        told(at, Basis::Layer)
    }

    /// How long it takes to fetch so many bytes and to unpack them; none where too little was fetched before.
    pub(super) fn pull(&self, bytes: u64) -> Option<Duration> {
        let known = self.said.pulls;
        let per_byte = known.us as f64 / known.bytes as f64;
        let us = (known.bytes >= LEAST_PULLED).then_some(bytes as f64 * per_byte)?;
        Duration::try_from_secs_f64(us / 1e6).ok()
    }

    /// What a build of this size that exports the same takes beside its steps: the median of the nine that are nearest.
    pub(super) fn beside(&self, size: BuildSize, exports: BuildExports) -> Option<Duration> {
        let same = |sample: &&BesideSample| {
            BuildExports { push: sample.push, cache: sample.cache_export } == exports
        };
        let alike = self.said.beside.iter().filter(same);
        let samples = alike.map(|sample| (size.apart(sample.ran, sample.of), sample.us)).collect();
        let times = nearest(samples, size);
        times.get(times.len() / 2).copied().map(Duration::from_micros)
    }

    /// How long a transfer took in the builds most like this one, by their size: the median of the nine that are nearest, of
    /// equals the newest.
    pub(super) fn transfer(&self, kind: TransferKind, size: BuildSize) -> Option<PastTransfer> {
        let samples = &self.said.transfers.iter().find(|transfer| transfer.kind == kind)?.samples;
        let alike: Vec<(u64, u64)> = samples
            .iter()
            .map(|sample: &TransferSample| (size.apart(sample.ran, sample.of), sample.us))
            .collect();
        let away = alike.iter().map(|(away, _)| *away).min()?;
        let times = nearest(alike, size);
        let took = times.get(times.len() / 2).copied().map(Duration::from_micros)?;
        let most = times.last().copied().map(Duration::from_micros)?;
        Some(PastTransfer { took, most, away })
    }
}

/// The times of those builds that are most like one of this size, the shortest first. Each comes with how far it is away from it.
fn nearest(mut samples: Vec<(u64, u64)>, size: BuildSize) -> Vec<u64> {
    samples.sort_by_key(|(away, _)| *away);
    // Builds that are far from this one do not speak where one is near.
    let limit = samples.first().map_or(0, |(nearest, _)| nearest + size.ran / 10);
    let near = samples.into_iter().filter(|(away, _)| *away <= limit).take(NEIGHBOURS);
    let mut times: Vec<u64> = near.map(|(_, us)| us).collect();
    times.sort_unstable();
    times
}

/// What a build does with what it has made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BuildExports {
    /// It pushes the image.
    pub push: bool,
    /// It exports a cache.
    pub cache: bool,
}

impl BuildExports {
    /// By the words of a buildx command.
    pub fn of(command: &[Text]) -> Self {
        let mut made = Self::default();
        let mut before = "";
        for word in command.iter().map(Text::as_str) {
            let is_cache = before.starts_with("--cache-") || word.starts_with("--cache-");
            made.cache |= word == "--cache-to" || word.starts_with("--cache-to=");
            // A cache in a registry is no image.
            made.push |= !is_cache
                && (matches!(word, "--push" | "--push=true")
                    || ["type=registry", "push=true"].iter().any(|what| word.contains(what)));
            before = word;
        }
        made
    }
}

/// How large a build is, as far as an export's length goes by it.
#[derive(Debug, Clone, Copy)]
pub(super) struct BuildSize {
    /// How many of its steps run, over the platforms.
    pub(super) ran: u64,
    /// How many it has.
    pub(super) of: u64,
}

impl BuildSize {
    /// By how many steps another build differs. One for other platforms has other layers to export.
    fn apart(self, ran: u32, of: u32) -> u64 {
        let differs = if of == 0 { 0 } else { u64::from(of).abs_diff(self.of) };
        u64::from(ran).abs_diff(self.ran) + differs
    }
}

fn expectation(step: &ExpectedStep, basis: Basis) -> Expectation {
    Expectation {
        runs: step.runs,
        median: Duration::from_micros(step.median_us),
        p95: Duration::from_micros(step.p95_us.max(step.median_us)),
        last: Duration::from_micros(step.last_us),
        basis,
    }
}

/// An instruction as it is compared: a base image's tag may point at another digest from build to build.
fn compared(instruction: &str) -> String {
    let from = keyword(instruction).eq_ignore_ascii_case("FROM");
    let text = if from { instruction.split('@').next().unwrap_or(instruction) } else { instruction };
    text.to_owned()
}

impl Model {
    /// How long a step is expected to take when it runs, going by earlier builds on the same builder; none where they do not
    /// tell.
    pub fn expected(&self, id: StepId) -> Option<Expectation> {
        let step = self.stack.step(id)?;
        let layer = self.stack.row_of(id).and_then(|row| row.layer.as_ref());
        self.expected.step(self.platform_of(step).as_ref(), &step.name.instruction, layer)
    }

    /// Whether anything was told of earlier builds.
    pub fn has_expected(&self) -> bool {
        !self.expected.is_empty()
    }

    /// What a later build is told of a step: how long it ran, a base image's pull included; none where it did not run to its
    /// end.
    pub fn ran(&self, id: StepId) -> Option<Duration> {
        if self.state(id) != State::Miss {
            return None;
        }
        let is_from = self.stack.step(id).is_some_and(|step: &Step| step.name.is_from());
        let pulls = if is_from { self.pull_time(id, self.newest) } else { Duration::ZERO };
        Some(self.run_time(id, self.newest) + pulls)
    }

    /// What a later build is told of the transfers of this one: those that came to an end without an error. Of several of a
    /// kind the sum: they follow each other.
    pub fn transfers(&self) -> Vec<(TransferKind, Duration)> {
        let mut found: Vec<(TransferKind, Duration)> = Vec::new();
        for vertex in self.vertices.iter().filter(|vertex| vertex.error.is_none()) {
            let Some(kind) = transfer_kind(&vertex.kind, &vertex.name) else { continue };
            if vertex.completed().is_none() {
                continue;
            }
            let took = vertex.at_work(self.newest);
            match found.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, time)) => *time += took,
                None => found.push((kind, took)),
            }
        }
        if let (Some(ended), Some(last)) = (self.ended(), self.last_done()) {
            found.push((TransferKind::Finish, ended.since(last)));
        }
        found
    }

    /// How long any step ran or was pulled, of those that were not cached.
    pub fn steps_time(&self) -> Duration {
        let begun = self.begun().unwrap_or_default();
        let span = |id: StepId| {
            let started = self.vertices_of(id).filter_map(Vertex::started).min()?;
            let took = self.took(id, self.newest);
            Some((started.since(begun), took))
        };
        let missed = self.stack.steps().map(|(id, _)| id).filter(|id| self.missed(*id));
        covered(missed.filter_map(span).collect())
    }

    /// When the last step or export ended: what comes behind them is no part of the build's graph.
    pub(super) fn last_done(&self) -> Option<Time> {
        let counts = |vertex: &&Vertex| vertex.kind != VertexKind::Client && vertex.started().is_some();
        self.vertices.iter().filter(counts).filter_map(Vertex::completed).max()
    }

    /// The size of this build, where so many of its steps run.
    pub(super) fn size(&self, ran: usize) -> BuildSize {
        BuildSize { ran: ran as u64, of: self.counts().total as u64 }
    }

    /// How many steps ran to their end, over the platforms: what an export's length goes by.
    pub fn ran_count(&self) -> usize {
        self.stack.steps().filter(|(id, _)| self.state(*id) == State::Miss).count()
    }
}

/// What kind of transfer a vertex is.
pub(super) fn transfer_kind(kind: &VertexKind, name: &Text) -> Option<TransferKind> {
    match kind {
        VertexKind::CacheImport(_) => Some(TransferKind::CacheImport),
        VertexKind::CacheExport => Some(TransferKind::CacheExport),
        VertexKind::Export => Some(TransferKind::ImageExport),
        VertexKind::Internal if name.as_str().contains("load build context") => Some(TransferKind::Context),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_exports() {
        let of = |words: &str| {
            let words: Vec<Text> = words.split(' ').map(Text::clean).collect();
            let BuildExports { push, cache } = BuildExports::of(&words);
            (push, cache)
        };
        assert_eq!(of("docker buildx build ."), (false, false));
        assert_eq!(of("docker buildx build --push --cache-to type=registry,ref=r/a:c ."), (true, true));
        assert_eq!(of("docker buildx build --cache-from type=registry,ref=r/a:c --load ."), (false, false));
        assert_eq!(of("docker buildx build --cache-to=type=registry,ref=r/a:c ."), (false, true));
        assert_eq!(of("docker buildx build --output type=image,name=a,push=true ."), (true, false));
        assert_eq!(of("docker buildx build -o type=registry ."), (true, false));
    }

    /// Builds that export other things say nothing, and of those that do the ones that are nearest.
    #[test]
    fn what_like_builds_took_beside_their_steps() {
        let sample = |ran, push, us| BesideSample { ran, of: 22, push, cache_export: false, us };
        let mut known = PastDurations::default();
        let beside = vec![
            sample(0, false, 1),
            sample(0, true, 5_000_000),
            sample(0, true, 7_000_000),
            sample(0, true, 6_000_000),
            sample(20, true, 30_000_000),
        ];
        known.take(&Expected { builds: 5, beside, ..Expected::default() });
        let took = |ran, push| known.beside(BuildSize { ran, of: 22 }, BuildExports { push, cache: false });
        assert_eq!(took(2, true), Some(Duration::from_secs(6)));
        assert_eq!(took(19, true), Some(Duration::from_secs(30)));
        assert_eq!(took(0, false), Some(Duration::from_micros(1)));
        let exports = BuildExports { push: true, cache: true };
        assert_eq!(known.beside(BuildSize { ran: 0, of: 22 }, exports), None);
    }
}
