//! From builds to what is expected of the next: the last ten runs of each step, the last transfers.

use std::collections::HashMap;
use std::time::Duration;

use super::BuildExports;
use crate::event::expected::{
    BesideSample, Expected, ExpectedStep, ExpectedTransfer, MOST_STEPS, Pulls, TransferKind, TransferSample,
};
use crate::event::{Platform, Text};
use crate::model::{Model, Outcome};

/// Runs of a step that count.
pub const MOST_RUNS: usize = 10;

/// Samples of a transfer that are told.
pub const MOST_SAMPLES: usize = 30;

/// Builds whose pulls count.
pub const MOST_PULLS: usize = 10;

/// An earlier build, as much of it as tells how long things take.
#[derive(Debug, Clone, Default)]
pub struct PastBuild {
    /// The steps that ran to their end.
    pub steps: Vec<PastRun>,
    /// What took its time besides; empty of a build that did not make what was asked for.
    pub transfers: Vec<(TransferKind, Duration)>,
    /// How many steps ran, over the platforms.
    pub ran: u32,
    /// How many it had.
    pub of: u32,
    /// What was fetched for its steps.
    pub pulls: Pulls,
    /// How long it took while none of its steps ran; none of a build that did not make what was asked for.
    pub beside: Option<Duration>,
    /// What it exported.
    pub exports: BuildExports,
}

/// A step that ran.
#[derive(Debug, Clone)]
pub struct PastRun {
    pub stage: Option<Text>,
    /// Its number in the stage, from 1.
    pub index: u16,
    pub platform: Option<Platform>,
    /// Its text, as the stream has it.
    pub instruction: Text,
    pub layer: Option<Text>,
    /// How long it ran.
    pub took: Duration,
}

impl PastBuild {
    /// What a build tells later ones.
    pub fn of(model: &Model) -> Self {
        let run = |(id, step): (_, &crate::model::Step)| {
            Some(PastRun {
                stage: step.name.stage.clone(),
                index: step.name.index,
                platform: model.platform_of(step),
                instruction: step.name.instruction.clone(),
                layer: model.stack().row_of(id).and_then(|row| row.layer.clone()),
                took: model.ran(id)?,
            })
        };
        let whole = model.outcome() == Outcome::Success;
        let mut pulls = Pulls::default();
        for (id, _) in model.stack().steps().filter(|(id, _)| model.pulled_bytes(*id) > 0) {
            pulls.bytes = pulls.bytes.saturating_add(model.pulled_bytes(id));
            pulls.us = pulls.us.saturating_add(micros(model.pull_time(id, model.newest())));
        }
        Self {
            pulls,
            steps: model.stack().steps().filter_map(run).collect(),
            transfers: if whole { model.transfers() } else { Vec::new() },
            ran: u32::try_from(model.ran_count()).unwrap_or(u32::MAX),
            of: u32::try_from(model.counts().total).unwrap_or(u32::MAX),
            beside: whole
                .then(|| whole_millis(model.wall(model.newest())).saturating_sub(model.steps_time())),
            exports: BuildExports::of(&model.started().command),
        }
    }
}

/// As the history keeps it.
fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// How much of the time is covered by spans, each a beginning and a length; what lies side by side counts once.
pub fn covered(mut spans: Vec<(Duration, Duration)>) -> Duration {
    spans.sort_unstable();
    let (mut covered, mut until) = (Duration::ZERO, Duration::ZERO);
    for (begin, length) in spans {
        let end = begin.saturating_add(length);
        covered += end.saturating_sub(begin.max(until));
        until = until.max(end);
    }
    covered
}

/// What earlier builds of an image on a builder, newest first, say of the next.
pub fn expected<'a>(builds: impl IntoIterator<Item = &'a PastBuild>) -> Expected {
    let mut told = Expected::default();
    let mut places: HashMap<(Option<Platform>, String), usize> = HashMap::new();
    let mut lengths: Vec<Vec<u64>> = Vec::new();
    let mut pulled = 0;
    for build in builds {
        told.builds = told.builds.saturating_add(1);
        if build.pulls.bytes > 0 && pulled < MOST_PULLS {
            pulled += 1;
            told.pulls.bytes = told.pulls.bytes.saturating_add(build.pulls.bytes);
            told.pulls.us = told.pulls.us.saturating_add(build.pulls.us);
        }
        for run in &build.steps {
            let key = (run.platform.clone(), super::compared(run.instruction.as_str()));
            let at = *places.entry(key).or_insert(told.steps.len());
            if at == told.steps.len() {
                if at == MOST_STEPS {
                    continue;
                }
                told.steps.push(step(run));
                lengths.push(Vec::new());
            }
            if let Some(known) = lengths.get_mut(at).filter(|known| known.len() < MOST_RUNS) {
                known.push(micros(run.took));
            }
        }
        if let Some(beside) = build.beside.filter(|_| told.beside.len() < MOST_SAMPLES) {
            let BuildExports { push, cache } = build.exports;
            let (ran, of, us) = (build.ran, build.of, micros(beside));
            told.beside.push(BesideSample { ran, of, push, cache_export: cache, us });
        }
        for (kind, took) in &build.transfers {
            sample(&mut told, *kind, TransferSample { ran: build.ran, of: build.of, us: micros(*took) });
        }
    }
    for (step, mut lengths) in told.steps.iter_mut().zip(lengths) {
        step.runs = lengths.len() as u32;
        step.last_us = lengths.first().copied().unwrap_or_default();
        lengths.sort_unstable();
        step.median_us = quantile(&lengths, 0.5);
        step.p95_us = quantile(&lengths, 0.95);
    }
    told
}

fn step(run: &PastRun) -> ExpectedStep {
    ExpectedStep {
        stage: run.stage.clone(),
        index: run.index,
        platform: run.platform.clone(),
        instruction: run.instruction.clone(),
        layer: run.layer.clone(),
        ..ExpectedStep::default()
    }
}

fn sample(told: &mut Expected, kind: TransferKind, sample: TransferSample) {
    let at = told.transfers.iter().position(|transfer| transfer.kind == kind).unwrap_or_else(|| {
        told.transfers.push(ExpectedTransfer { kind, samples: Vec::new() });
        told.transfers.len() - 1
    });
    let Some(ExpectedTransfer { samples, .. }) = told.transfers.get_mut(at) else { return };
    if samples.len() < MOST_SAMPLES {
        samples.push(sample);
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// The value below which a share of them lies, between two of them in proportion; 0 of none.
fn quantile(sorted: &[u64], share: f64) -> u64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (sorted.get(place.floor() as usize), sorted.get(place.ceil() as usize));
    match (below, above) {
        (Some(below), Some(above)) => {
            below + ((above - below) as f64 * (place - place.floor())).round() as u64
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_side_by_side_is_covered_once() {
        let spans = |all: &[(u64, u64)]| {
            let second = Duration::from_secs;
            covered(all.iter().map(|(begin, length)| (second(*begin), second(*length))).collect()).as_secs()
        };
        assert_eq!((spans(&[]), spans(&[(5, 2), (1, 3)])), (0, 5));
        assert_eq!(spans(&[(0, 10), (2, 3), (8, 4), (20, 1)]), 13);
    }

    #[test]
    fn quantiles() {
        assert_eq!((quantile(&[], 0.5), quantile(&[7], 0.95)), (0, 7));
        assert_eq!(quantile(&[1, 3], 0.5), 2);
        assert_eq!(quantile(&[1, 2, 9], 0.5), 2);
        let ten: Vec<u64> = (1..=10).map(|n| n * 100).collect();
        assert_eq!((quantile(&ten, 0.5), quantile(&ten, 0.95)), (550, 955));
    }
}
