//! (to come)
pub mod layers;
