//! What predictions rest on, in words.

use super::{Tense, text};
use crate::event::prediction::Basis;

/// What a prediction rests on as a clause: `it was never built here`.
pub fn predicted(basis: &Basis) -> String {
    match basis {
        Basis::NoStep => "its step is not known".to_owned(),
        Basis::NoFingerprint => "its fingerprint is not known".to_owned(),
        Basis::BaseUnreadable => "its base image can't be read".to_owned(),
        Basis::Scratch => "there is nothing to fetch".to_owned(),
        Basis::BaseUnresolved { image } => format!("what {image} points at now is not known"),
        Basis::BasePresent { image } => format!("the builder has {image}"),
        Basis::BaseUnmoved { image } => format!("{image} points at what it pointed at"),
        Basis::BaseUnclear { image } => format!("the builder is not known to have {image}"),
        Basis::NoCache => "the build is told not to use the cache".to_owned(),
        Basis::BuiltOnRebuilt => "what it is built on would be rebuilt".to_owned(),
        Basis::TakesRebuilt => "what it takes files from would be rebuilt".to_owned(),
        Basis::UsersCached => "what is built on it would be cached".to_owned(),
        Basis::DependsOnUnseen { index } => {
            format!("it depends on what step {index} takes, which only the builder sees")
        }
        Basis::TriggerUnseen => {
            "which files an instruction of the base image takes is seen by the builder only".to_owned()
        }
        Basis::NoEarlierFingerprint => "no earlier build says what it was made from".to_owned(),
        Basis::NewBelow => "it was never built on what it is built on now".to_owned(),
        Basis::NeverBuilt => "it was never built here".to_owned(),
        Basis::NeverBuiltUnlisted => {
            "it was never built here, and what the builder holds is not known".to_owned()
        }
        Basis::ForeignRecord => {
            "the builder has a record of this instruction, from a build that is not known here".to_owned()
        }
        Basis::Unlisted => "what the builder holds is not known".to_owned(),
        Basis::RecordThere { build } => {
            format!("the builder has the record of it that the build {build} made or used")
        }
        Basis::RecordsPartlyGone { build } => {
            format!("of the records of it that the build {build} made or used some are gone")
        }
        Basis::ImportsThere { build } => {
            format!("the builder has the records that the build {build} imported")
        }
        Basis::CacheHolds { reference, blob } => format!("{reference} holds {blob} for this platform"),
        Basis::CacheHoldsLayer { reference } => format!(
            "{reference} holds a layer of this instruction for this platform; what that was made from is not known"
        ),
        Basis::CacheUnclear => "whether the registry's cache holds it can't be told".to_owned(),
        Basis::Evidence { fact } => text(fact, Tense::Conditional),
    }
}
