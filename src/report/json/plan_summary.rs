//! What `layertop plan --progress json` prints.

use schemars::JsonSchema;
use serde::Serialize;

use super::{StepSummary, VERSION, summary};
use crate::event::prediction::{PlannedStep, Prediction};
use crate::event::reason::ReasonGrade;
use crate::event::{Platform, Text};
use crate::model::{Model, State, StepId, TimeLeft};

/// What a build would do.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PlanSummary {
    /// `plan`.
    pub r#type: PlanType,
    /// Version of the plan. A field that is only added is no new version.
    pub version: u64,
    /// The plan in one sentence.
    pub sentence: String,
    /// Reference of the image, with its tag.
    pub image: Option<Text>,
    /// Name of the buildx builder.
    pub builder: Option<Text>,
    /// The platforms asked for, else those of the steps.
    pub platforms: Vec<Platform>,
    /// How long the steps that would run take, on their longest path, in ms; null where that is not known of any. It is a lower bound
    /// where `unknown_layers` has any, or a step of which nothing is known.
    pub expected_steps_ms: Option<u64>,
    /// How long the build takes in all, as like builds did, in ms: with its start, imports, exports and push; a lower bound as
    /// `expected_steps_ms` is. Null where no such build is known.
    pub expected_wall_ms: Option<u64>,
    /// Layers that would be rebuilt, and of which it is not known how long that takes.
    pub unknown_layers: Vec<String>,
    /// Every step on every platform, as in a summary.
    pub steps: Vec<PlanStep>,
}

/// The type of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanType {
    /// The only one.
    Plan,
}

/// A step on one platform: as in a summary, but that `state` is `waiting`, `digest` is a name within the plan alone, and `source` and
/// `reason` are what they would be.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PlanStep {
    /// The step.
    #[serde(flatten)]
    pub step: StepSummary,
    /// What it would do.
    pub predicted: Prediction,
    /// How sure that is.
    pub grade: ReasonGrade,
}

impl PlanSummary {
    /// The plan of a model.
    pub fn of(model: &Model) -> Self {
        let told = |step: StepSummary| {
            let known = |(id, _): &(StepId, _)| model.digest_of(*id) == step.digest.as_ref();
            let (id, _) = model.stack().steps().find(known)?;
            let platform = model.stack().step(id).and_then(|step| model.platform_of(step));
            Some(PlanStep::of(step, platform, model.planned(id)?))
        };
        let forecast = model.forecast();
        let millis = |told: TimeLeft| u64::try_from(told.time.as_millis()).unwrap_or(u64::MAX);
        let is_known = |told: &TimeLeft| !told.time.is_zero() || !told.at_least;
        Self {
            r#type: PlanType::Plan,
            version: VERSION,
            sentence: crate::report::plan::sentence(model, false),
            image: model.started().image.clone(),
            builder: model.started().builder.clone(),
            platforms: model.platforms().into_iter().flatten().collect(),
            expected_steps_ms: Some(forecast.steps).filter(is_known).map(millis),
            expected_wall_ms: forecast.whole.map(millis),
            unknown_layers: crate::report::plan::unknown(model),
            steps: summary(model, model.newest()).steps.into_iter().filter_map(told).collect(),
        }
    }

    /// The line, with its end.
    pub fn line(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl PlanStep {
    fn of(step: StepSummary, platform: Option<Platform>, told: &PlannedStep) -> Self {
        let evidence = Some(told.evidence.clone()).filter(|text| !text.is_empty());
        let source_evidence = evidence.filter(|_| told.source.is_some());
        Self {
            step: StepSummary {
                platform,
                state: State::Waiting,
                source: told.source,
                source_evidence,
                source_ref: None,
                reason: told.reason.clone(),
                // It is told by the builds that the plan was made from.
                expected_ms: told.expected_us.map(|us| us / 1000),
                expected_by: None,
                ..step
            },
            predicted: told.predicted,
            grade: told.grade,
        }
    }
}
