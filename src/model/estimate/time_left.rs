//! How long a build still takes: the longest path of what remains.
//!
//! All of it is a function of the model and of now, without a memory of its own; that it does not jump follows from how it is
//! computed. What a waiting step will do is known as soon as a step that it is computed from is not cached: then it runs, too.
//! Before that nothing is said of it.

use std::collections::HashMap;
use std::time::Duration;

use crate::event::expected::TransferKind;
use crate::event::{Platform, Time};
use crate::model::expected::{BuildSize, transfer_kind};
use crate::model::graph::{Graph, VertexPart, VertexSpan};
use crate::model::{Basis, Expectation, Model, Phase, State, StepId, Vertex, VertexId, VertexKind};

/// Runs that must be known of a step before it is called slow.
const FEWEST_RUNS: u32 = 3;

/// How much slower than usual a step must be to be called so, whatever its p95 is: of few runs that is close to the median.
const SLOW: f64 = 1.2;

/// What a step must have taken longer than usual to be called slow.
const SLOW_BY: Duration = Duration::from_secs(1);

/// How long it still takes, and each of its steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimate {
    /// The whole build; none where nothing is known.
    pub left: Option<TimeLeft>,
    /// Each platform, in the order of [`Model::platforms`]: until its last step is done and exported.
    pub platforms: Vec<(Option<Platform>, Option<TimeLeft>)>,
    /// Steps that run or will run, as far as they have a history.
    pub steps: HashMap<StepId, StepEstimate>,
}

/// How long something still takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeLeft {
    /// As far as it is known.
    pub time: Duration,
    /// Something of it has no history: it takes longer than that.
    pub at_least: bool,
}

/// How long a step takes that runs or will run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepEstimate {
    /// What it takes in all.
    pub expected: Duration,
    /// What it still takes.
    pub left: Duration,
    /// From now until it ends: what it waits for takes its time, too.
    pub ends_in: Duration,
    /// How many times slower it is than usual: it has taken longer than 95 of 100 runs did.
    pub slower: Option<f64>,
    /// What it rests on.
    pub basis: Basis,
}

/// What remains of a vertex.
#[derive(Debug, Clone, Copy, Default)]
struct VertexRest {
    time: Duration,
    is_unknown: bool,
}

impl VertexRest {
    const UNKNOWN: Self = Self { time: Duration::ZERO, is_unknown: true };

    fn known(time: Option<Duration>) -> Self {
        time.map_or(Self::UNKNOWN, |time| Self { time, is_unknown: false })
    }
}

/// What will become of a vertex that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunForecast {
    Begun,
    /// It will run: something that it is computed from did not come from the cache.
    Runs,
    /// Nobody knows yet.
    Open,
    /// What is computed from it has been there already.
    NotNeeded,
}

impl Expectation {
    /// Whether there are runs enough to say what is slow.
    pub fn proves_slow(&self) -> bool {
        self.basis == Basis::Step && self.runs >= FEWEST_RUNS
    }

    /// How many times longer than usual a run is that took longer than 95 of 100 did; none of one that is not slow.
    pub fn exceeded_by(&self, took: Duration) -> Option<f64> {
        let factor = took.as_secs_f64() / self.median.as_secs_f64().max(f64::MIN_POSITIVE);
        let is_slow = self.proves_slow()
            && took > self.p95
            && took.saturating_sub(self.median) > SLOW_BY
            && factor >= SLOW;
        is_slow.then_some(factor)
    }
}

impl Model {
    /// How long the build still takes at `now`; empty where it has ended, where it is being stopped, where no history was
    /// told, and until it is known of some step whether it is cached.
    pub fn estimate(&self, now: Time) -> Estimate {
        let mut estimate = Estimate::default();
        if self.ended.is_some() || self.cancelling > 0 || !self.has_expected() {
            return estimate;
        }
        let graph = Graph::of(self);
        let fates = self.fates(&graph);
        let fate = |at: usize| fates.get(at).copied().unwrap_or(RunForecast::Open);
        let running = |at: usize| self.state_at(at) == Some(State::Running);
        let ran = |at: usize| self.state_at(at) == Some(State::Miss);
        let steps: Vec<usize> = (0..self.vertices.len()).filter(|at| self.is_layer(*at)).collect();
        if !steps.iter().any(|at| fate(*at) != RunForecast::Open) {
            return estimate;
        }
        let will_run =
            steps.iter().filter(|at| fate(**at) == RunForecast::Runs || running(**at) || ran(**at)).count();
        let size = self.size(will_run);
        let mut rests: Vec<VertexRest> =
            (0..self.vertices.len()).map(|at| self.rest(at, fate(at), size, now)).collect();
        let ends = |rests: &[VertexRest]| {
            graph.ends(|at| VertexSpan { length: time_of(rests, at), ..VertexSpan::default() })
        };
        let mut tail = self.tail(&graph, size) + self.finish(&rests, size, now);
        let usual = self.left(&graph, &ends(&rests), &rests, tail, &|_| true);
        let pace = self.pace(usual.time, size, now);
        tail = tail.mul_f64(pace);
        for rest in &mut rests {
            rest.time = rest.time.mul_f64(pace);
        }
        let ends = ends(&rests);
        let whole = self.left(&graph, &ends, &rests, tail, &|_| true);
        // Nothing runs and nothing is known to: nothing is said of what may all be cached.
        let anything = whole.time > Duration::ZERO || !whole.at_least;
        estimate.left = Some(whole).filter(|_| anything);
        for platform in self.platforms() {
            let left = self.left(&graph, &ends, &rests, tail, &|at| self.is_on(at, platform.as_ref()));
            let known = estimate.left.is_some() && (left.time > Duration::ZERO || !left.at_least);
            estimate.platforms.push((platform, Some(left).filter(|_| known)));
        }
        for at in steps {
            let runs = fate(at) == RunForecast::Runs || running(at);
            if let Some(id) = self.step_of(VertexId(at as u32)).filter(|_| runs)
                && let Some(step) = self.step_estimate(id, now)
            {
                let ends_in = ends.get(at).copied().unwrap_or_default();
                let known = estimate.steps.entry(id).or_insert(step);
                known.ends_in = known.ends_in.max(ends_in);
            }
        }
        estimate
    }

    fn state_at(&self, at: usize) -> Option<State> {
        self.vertices.get(at).map(|vertex| self.state_of(vertex))
    }

    /// Whether a vertex is a step that can be cached.
    fn is_layer(&self, at: usize) -> bool {
        let kind = self.vertices.get(at).map(|vertex| &vertex.kind);
        matches!(kind, Some(VertexKind::Step(step)) if !step.is_from())
    }

    /// What will become of each vertex.
    fn fates(&self, graph: &Graph) -> Vec<RunForecast> {
        let mut fates = vec![RunForecast::Open; self.vertices.len()];
        let missed = |fates: &[RunForecast], at: usize| {
            let waits = fates.get(at) == Some(&RunForecast::Runs);
            let ran = matches!(self.state_at(at), Some(State::Running | State::Miss | State::Failed));
            self.is_layer(at) && (waits || ran)
        };
        for &at in graph.order() {
            let began = self.vertices.get(at).is_some_and(|vertex| vertex.phase() != Phase::Waiting);
            let fate = if began {
                RunForecast::Begun
            } else if graph.before(at).iter().any(|other| missed(&fates, *other)) {
                RunForecast::Runs
            } else {
                RunForecast::Open
            };
            if let Some(place) = fates.get_mut(at) {
                *place = fate;
            }
        }
        // From the last to the first: what only the done need is not needed any more.
        let mut wanted: Vec<Option<bool>> = vec![None; self.vertices.len()];
        for &at in graph.order().iter().rev() {
            let waits = fates.get(at) != Some(&RunForecast::Begun);
            let is_wanted = waits && wanted.get(at).copied().flatten().unwrap_or(true);
            if waits
                && !is_wanted
                && let Some(fate) = fates.get_mut(at)
            {
                *fate = RunForecast::NotNeeded;
            }
            let open = is_wanted || self.state_at(at) == Some(State::Running);
            for &other in graph.before(at) {
                if graph.part(at) == VertexPart::Work
                    && let Some(wanted) = wanted.get_mut(other)
                {
                    *wanted = Some(wanted.unwrap_or(false) || open);
                }
            }
        }
        fates
    }

    /// What remains of a vertex.
    fn rest(&self, at: usize, fate: RunForecast, size: BuildSize, now: Time) -> VertexRest {
        let Some(vertex) = self.vertices.get(at) else { return VertexRest::default() };
        if let Some(kind) = transfer_kind(&vertex.kind, &vertex.name) {
            let told = self.expected.transfer(kind, size);
            return match vertex.phase() {
                Phase::Running(_) => {
                    VertexRest::known(told.map(|told| remaining(told.took, told.most, vertex.at_work(now))))
                }
                // A context that loads before anything is known of it is waited for by nobody yet.
                Phase::Waiting => {
                    VertexRest { time: told.map(|told| told.took).unwrap_or_default(), is_unknown: false }
                }
                _ => VertexRest::default(),
            };
        }
        if let Some(rest) = self.pull_rest(vertex, now) {
            return rest;
        }
        if !self.is_layer(at) {
            return VertexRest::default();
        }
        match (fate, vertex.phase()) {
            (RunForecast::Begun, Phase::Running(_)) => {
                let parts = self.parts_at(at);
                let told = self
                    .expectation_at(at)
                    .map(|told| remaining(told.median / parts, told.p95 / parts, vertex.run_time(now)));
                VertexRest::known(told)
            }
            (RunForecast::Runs, _) => VertexRest::known(self.share_of(at)),
            (RunForecast::Open, _) => VertexRest::UNKNOWN,
            _ => VertexRest::default(),
        }
    }

    /// What remains of what is being fetched or unpacked; none where nothing is. The stream says nothing of how far unpacking is:
    /// that follows from how long as much took before.
    fn pull_rest(&self, vertex: &Vertex, now: Time) -> Option<VertexRest> {
        if !vertex.blobs().any(|blob| blob.completed.is_none()) || vertex.completed().is_some() {
            return None;
        }
        let fetching = pull_left(vertex, now).unwrap_or_default();
        let Some(usual) = self.expected.pull(vertex.announced_bytes()) else {
            return Some(VertexRest { time: fetching, is_unknown: true });
        };
        let unpacked = remaining(usual, usual * 3 / 2, vertex.pull_time(now));
        Some(VertexRest { time: fetching.max(unpacked), is_unknown: false })
    }

    /// How many vertices the step of one has.
    fn parts_at(&self, at: usize) -> u32 {
        self.step_of(VertexId(at as u32)).map_or(1, |id| self.vertices_of(id).count().max(1) as u32)
    }

    /// What a vertex takes of what its step is expected to take; none of what is no step.
    pub(super) fn share_of(&self, at: usize) -> Option<Duration> {
        self.is_layer(at)
            .then(|| self.expectation_at(at))
            .flatten()
            .map(|told| told.median / self.parts_at(at))
    }

    fn expectation_at(&self, at: usize) -> Option<Expectation> {
        self.expected(self.step_of(VertexId(at as u32))?)
    }

    /// What the exports take that have not begun. That they will be is told by earlier builds, and by the command.
    fn tail(&self, graph: &Graph, size: BuildSize) -> Duration {
        let begun = |part: VertexPart| (0..self.vertices.len()).any(|at| graph.part(at) == part);
        let told = |kind| self.expected.transfer(kind, size).map_or(Duration::ZERO, |told| told.took);
        let image = if begun(VertexPart::Export) { Duration::ZERO } else { told(TransferKind::ImageExport) };
        let caches = self.started.cache.is_some() || self.started.command.is_empty();
        let cache = if begun(VertexPart::CacheExport) || !caches {
            Duration::ZERO
        } else {
            told(TransferKind::CacheExport)
        };
        image + cache
    }

    /// Whether a platform waits for a vertex: it is a step of its own, or no step.
    fn is_on(&self, at: usize, platform: Option<&Platform>) -> bool {
        let step = self.step_of(VertexId(at as u32)).and_then(|id| self.stack.step(id));
        step.is_none_or(|step| self.stack.platform_of(step) == platform)
    }

    /// What is done behind the last export.
    fn finish(&self, rests: &[VertexRest], size: BuildSize, now: Time) -> Duration {
        let Some(told) = self.expected.transfer(TransferKind::Finish, size) else {
            return Duration::ZERO;
        };
        let goes_on = self.vertices.iter().any(|vertex| matches!(vertex.phase(), Phase::Running(_)))
            || rests.iter().any(|rest| !rest.time.is_zero());
        let since = self.last_done().filter(|_| !goes_on).map_or(Duration::ZERO, |last| now.since(last));
        remaining(told.took, told.most, since)
    }

    /// What remains of the vertices that are `mine`, the exports included.
    fn left(
        &self,
        graph: &Graph,
        ends: &[Duration],
        rests: &[VertexRest],
        tail: Duration,
        mine: &dyn Fn(usize) -> bool,
    ) -> TimeLeft {
        let (mut work, mut export) = (Duration::ZERO, Duration::ZERO);
        let mut at_least = false;
        for at in (0..self.vertices.len()).filter(|at| mine(*at)) {
            let end = ends.get(at).copied().unwrap_or_default();
            match graph.part(at) {
                VertexPart::Prepare | VertexPart::Import | VertexPart::Work | VertexPart::Late => {
                    work = work.max(end);
                }
                // Its own time, since it waits for every platform.
                VertexPart::Export | VertexPart::CacheExport => export += time_of(rests, at),
                VertexPart::After | VertexPart::Aside => {}
            }
            at_least |= rests.get(at).is_some_and(|rest| rest.is_unknown);
        }
        TimeLeft { time: work + export + tail, at_least }
    }

    /// How long a step takes that runs, or will run, or how long it took against what was to be expected; none where it has
    /// no history.
    pub fn step_estimate(&self, id: StepId, now: Time) -> Option<StepEstimate> {
        let told = self.expected(id)?;
        let took = self.run_time(id, now);
        Some(StepEstimate {
            expected: told.median,
            left: remaining(told.median, told.p95, took),
            ends_in: Duration::ZERO,
            slower: told.exceeded_by(took),
            basis: told.basis,
        })
    }
}

fn time_of(rests: &[VertexRest], at: usize) -> Duration {
    rests.get(at).map_or(Duration::ZERO, |rest| rest.time)
}

/// What remains of something that takes `usual`, and seldom more than `most`, after it has taken `took`. It never grows, and
/// comes to no end before the thing does: what has nearly taken its time gets ever slower done.
fn remaining(usual: Duration, most: Duration, took: Duration) -> Duration {
    let (usual, most, took) = (usual.as_secs_f64(), most.as_secs_f64(), took.as_secs_f64());
    // Of what is left there is doubt, as much as the runs differ.
    let doubt = ((most - usual) / 2.0).clamp(usual / 10.0, usual / 2.0);
    let sure = usual - doubt;
    let left = if took <= sure || doubt <= 0.0 {
        (usual - took).max(0.0)
    } else {
        doubt * (-(took - sure) / doubt).exp()
    };
    Duration::from_secs_f64(left)
}

/// What remains of a pull, going by its speed so far; none where nothing is being fetched.
fn pull_left(vertex: &Vertex, now: Time) -> Option<Duration> {
    let open = || vertex.blobs().filter(|blob| blob.completed.is_none() && blob.total > blob.current);
    let begun = open().filter_map(|blob| blob.started).min()?;
    let (done, all) = open().fold((0u64, 0u64), |(done, all), blob| {
        (done.saturating_add(blob.current), all.saturating_add(blob.total))
    });
    let took = now.since(begun).as_secs_f64();
    if done == 0 || took <= 0.0 {
        return Some(Duration::ZERO);
    }
    let left = (all - done) as f64 * took / done as f64;
    Duration::try_from_secs_f64(left).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_never_grows_and_never_jumps() {
        let seconds = Duration::from_secs_f64;
        for (usual, most) in [(10.0, 10.0), (10.0, 14.0), (10.0, 100.0), (0.1, 0.1), (3600.0, 3700.0)] {
            let at = |took: f64| remaining(seconds(usual), seconds(most), seconds(took)).as_secs_f64();
            let step = usual / 200.0;
            assert!((at(0.0) - usual).abs() < 1e-6);
            for n in 0..1000 {
                let (before, after) = (at(f64::from(n) * step), at(f64::from(n + 1) * step));
                assert!(after <= before, "{usual} {most} {n}");
                // No faster than time itself.
                assert!(before - after <= step * 1.001, "{usual} {most} {n}: {before} {after}");
            }
            assert!(at(usual * 5.0) < usual / 100.0);
        }
        assert_eq!(remaining(Duration::ZERO, Duration::ZERO, Duration::ZERO), Duration::ZERO);
    }
}
