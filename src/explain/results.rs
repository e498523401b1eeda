//! Which of the builder's records are the result that a step had in an earlier build.
//!
//! `BuildKit` describes records by their instruction, and other builds have instructions that read alike. What tells them apart: what
//! a step made came with its build, and the records that one is built on tell its platform.

use std::collections::HashMap;

use super::earlier::Then;
use super::judge::{Here, Judge};
use super::past::{Past, PastStep};
use crate::event::evidence::CacheRecord;
use crate::event::{Platform, Text};
use crate::model::{Model, RecordIndex, State, Step, VertexKind, name};

/// A chain longer than this is a circle.
const LONGEST_CHAIN: usize = 512;

/// The records of an earlier build, by what they are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct PastIndex {
    described: RecordIndex,
    /// Their places, by their identities.
    places: HashMap<Text, usize>,
    /// The platform of each tree of records, by its root; none where it has several.
    trees: HashMap<Text, Option<Platform>>,
}

impl PastIndex {
    fn of(records: &[CacheRecord]) -> Self {
        let places = records.iter().enumerate().map(|(at, record)| (record.id.clone(), at)).collect();
        let mut index = Self { described: RecordIndex::of(records), places, trees: HashMap::new() };
        for record in records {
            let VertexKind::Step(step) = name::parse(&record.description) else { continue };
            // What runs elsewhere than it is built for has that one's records.
            let Some(platform) = step.platform.filter(|_| step.runs_on.is_none()) else { continue };
            let root = index.root(records, record).clone();
            let known = index.trees.entry(root).or_insert_with(|| Some(platform.clone()));
            if known.as_ref() != Some(&platform) {
                *known = None;
            }
        }
        index
    }

    /// The first record that one is built on, as far as they are known. Of a layer of its own (`COPY --link`) that is the first
    /// of those that it was laid upon.
    fn root<'r>(&self, records: &'r [CacheRecord], record: &'r CacheRecord) -> &'r Text {
        let mut at = record;
        for _ in 0..LONGEST_CHAIN {
            let Some(parent) = at.parents.first().and_then(|id| records.get(*self.places.get(id)?)) else {
                break;
            };
            at = parent;
        }
        &at.id
    }

    fn platform(&self, records: &[CacheRecord], record: &CacheRecord) -> Option<&Platform> {
        self.trees.get(self.root(records, record))?.as_ref()
    }
}

/// The records that can be a step's result, and whether these are no others' by chance.
pub(super) struct Results<'a> {
    pub(super) records: Vec<&'a CacheRecord>,
    /// Whether it is known which build made them.
    pub(super) made: bool,
}

impl Past {
    fn index(&self) -> &PastIndex {
        self.indexed.get_or_init(|| PastIndex::of(&self.records))
    }

    /// Those of its records that are described as the result of a step, and are of no other platform.
    fn described(&self, model: &Model, step: &Step, platform: Option<&Platform>) -> Vec<&CacheRecord> {
        let index = self.index();
        let mut found = model.results_of(step, &self.records, &index.described);
        // A platform that has to be emulated elsewhere may have the records of where it runs.
        if step.name.runs_on.is_none() && platform.is_some() {
            let of = |record: &&CacheRecord| index.platform(&self.records, record);
            found.retain(|record| of(record).is_none_or(|known| Some(known) == platform));
        }
        found
    }

    /// Those of them that came with the build; none where that is not known.
    fn made(&self, model: &Model, step: &Step, platform: Option<&Platform>) -> Option<Vec<&CacheRecord>> {
        let made = self.made? as usize;
        let mut found = self.described(model, step, platform);
        found.retain(|record| self.index().places.get(&record.id).is_some_and(|at| *at < made));
        (!found.is_empty()).then_some(found)
    }
}

impl<'a> Judge<'a> {
    /// The records that can be the result that a step had in an earlier build, where it was made of the same.
    pub(super) fn results(&self, here: &Here<'a>, then: &Then<'a>) -> Results<'a> {
        let (model, step, platform) = (self.model, here.step, here.platform.as_ref());
        let ran = |step: Option<&PastStep>| step.is_some_and(|step| step.state == State::Miss);
        if ran(then.step) {
            if let Some(records) = then.past.made(model, step, platform) {
                return Results { records, made: true };
            }
        } else if let Some(records) = self.made_earlier(here, then, &ran) {
            return Results { records, made: true };
        }
        Results { records: then.past.described(model, step, platform), made: false }
    }

    /// Of a step that was cached: what an older build made of the same, and what was still there.
    fn made_earlier(
        &self,
        here: &Here<'a>,
        then: &Then<'a>,
        ran: &dyn Fn(Option<&PastStep>) -> bool,
    ) -> Option<Vec<&'a CacheRecord>> {
        let newer = self.pasts().position(|past| std::ptr::eq(past, then.past))?;
        let older = self.pasts().enumerate().skip(newer + 1);
        for (at, past) in older.filter(|(_, past)| self.is_here(past, here)) {
            let was = self.find(here, at, past, here.platform.as_ref());
            if !was.is_some_and(|was| ran(was.step)) || !self.is_same(here.id, at, past) {
                continue;
            }
            let mut made = past.made(self.model, here.step, here.platform.as_ref()).unwrap_or_default();
            made.retain(|record| then.past.index().places.contains_key(&record.id));
            if !made.is_empty() {
                return Some(made);
            }
        }
        None
    }
}
