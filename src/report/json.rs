//! `--progress json`: a header, one line an event, and a summary as the last line.
//!
//! The first two are the lines of a recording and are written by [`crate::recording`]; the summary is made here, from the
//! model, when the build has ended. `docs/json.md` explains all of it, `docs/json.schema.json` is its [`schema()`].

#![warn(missing_docs)]

mod estimate;
mod parts;
mod plan_summary;
mod schema;
mod summary;

pub use estimate::{EstimateLine, EstimateType, PlatformLeft, StepLeft, estimate_line};
pub use parts::{PartsSummary, StatusSummary};
pub use plan_summary::{PlanStep, PlanSummary, PlanType};
pub use schema::schema;
pub use summary::{
    BuildResult, ErrorSummary, ExpectedBy, StepCounts, StepSummary, Summary, SummaryType, VertexCounts,
    WarningSummary, line, summary,
};

/// Version of the summary; a field that is only added is no new one.
pub const VERSION: u64 = 1;
