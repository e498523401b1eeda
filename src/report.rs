//! temp
pub mod words;
