//! Stub until merged.
use crate::event::{LayerRule, Text};
/// Stub.
#[derive(Debug, Default)]
pub struct Namer;
impl Namer {
    /// Stub.
    pub fn new(_: &[LayerRule]) -> (Self, Vec<String>) {
        (Self, Vec::new())
    }
    /// Stub.
    pub fn names(&self, i: &[&str]) -> Vec<Option<Text>> {
        i.iter().map(|_| None).collect()
    }
}
