//! What became of the cache as a whole: one word for all imports, one for all exports.

#![warn(missing_docs)]

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::Text;
use crate::model::{Model, Phase, Transfer};

/// How the transfers in one direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// All of them succeeded.
    Ok,
    /// One failed or was stopped. A failed import does not fail the build: everything misses instead.
    Failed,
    /// None failed, and one found no cache where it looked: before the first export there is none.
    NotThere,
    /// There was none.
    None,
}

/// What became of the cache in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TransferSummary {
    /// How it ended.
    pub state: TransferState,
    /// Where from or to; of the failed one, where one failed, or of the one that is not there.
    #[serde(rename = "ref")]
    pub reference: Option<Text>,
    /// Why it failed, or what was answered where there is none.
    pub error: Option<Text>,
}

/// What became of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CacheSummary {
    /// What was read before the build.
    pub import: TransferSummary,
    /// What was written after it.
    pub export: TransferSummary,
}

impl CacheSummary {
    /// The verdicts so far.
    pub fn of(model: &Model) -> Self {
        let cache = model.cache();
        let over = model.ended().is_some();
        Self { import: side(&cache.imports, over), export: side(&cache.exports, over) }
    }
}

fn side(transfers: &[Transfer], over: bool) -> TransferSummary {
    let failed = |t: &&Transfer| match t.phase {
        Phase::Failed if t.is_not_there() => false,
        Phase::Failed | Phase::Cancelled => true,
        Phase::Running(_) => over,
        Phase::Waiting | Phase::Done | Phase::Cached => false,
    };
    if let Some(bad) = transfers.iter().find(failed) {
        let unfinished = || Text::clean("the build ended before it did");
        let error = bad.error.clone().or_else(|| Some(unfinished()));
        return TransferSummary { state: TransferState::Failed, reference: bad.reference.clone(), error };
    }
    let done = transfers.iter().find(|t| matches!(t.phase, Phase::Done | Phase::Cached));
    let missing = transfers.iter().find(|t| t.is_not_there());
    let state = match (done, missing) {
        (Some(_), _) => TransferState::Ok,
        (None, Some(_)) => TransferState::NotThere,
        (None, None) => TransferState::None,
    };
    let error = missing.filter(|_| state == TransferState::NotThere).and_then(|t| t.error.clone());
    TransferSummary { state, reference: done.or(missing).and_then(|t| t.reference.clone()), error }
}
