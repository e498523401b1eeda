//! The builder's records of one node, before and after the build, as what they say about each other.

use foldhash::{HashMap, HashSet};

use super::fit::{DescribedAs, InstructionForms};
use crate::event::evidence::{CacheRecord, Records};
use crate::event::{Platform, Text, Time};
use crate::model::name::{self, VertexKind};

/// A chain longer than this is a circle.
const LONGEST_CHAIN: usize = 512;

/// One record, and what is known of its past.
pub(super) struct KnownRecord<'a> {
    pub(super) record: &'a CacheRecord,
    /// Whether it was there before the build; none where that can't be told.
    pub(super) was: Option<bool>,
    /// Whether it came or was used while the build ran.
    pub(super) touched: bool,
}

/// Records in the order in which they were listed, each once.
#[derive(Default)]
struct RecordTable<'a> {
    rows: Vec<KnownRecord<'a>>,
    /// The row of each, by its identity.
    by_id: HashMap<&'a str, usize>,
}

impl<'a> RecordTable<'a> {
    /// Adds a record, or puts it in the place of the same one.
    fn put(&mut self, known: KnownRecord<'a>) {
        let row = *self.by_id.entry(known.record.id.as_str()).or_insert(self.rows.len());
        match self.rows.get_mut(row) {
            Some(place) => *place = known,
            None => self.rows.push(known),
        }
    }

    fn row(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    fn get(&self, id: &str) -> Option<&KnownRecord<'a>> {
        self.rows.get(self.row(id)?)
    }

    /// The row that one is built on, the lowest of several.
    fn parent(&self, row: usize) -> Option<usize> {
        self.row(self.rows.get(row)?.record.parents.first()?.as_str())
    }

    /// The first record of the chain of each, row by row. A chain is walked up to where its first record is known, so that each is
    /// walked once. One that is too long or has no first record is cut at the same place each time.
    fn roots(&self) -> Vec<&'a str> {
        let mut roots: Vec<Option<usize>> = vec![None; self.rows.len()];
        for row in 0..self.rows.len() {
            let (mut at, mut chain) = (row, Vec::new());
            let root = loop {
                if let Some(root) = roots.get(at).copied().flatten() {
                    break root;
                }
                chain.push(at);
                match self.parent(at).filter(|_| chain.len() < LONGEST_CHAIN) {
                    Some(parent) => at = parent,
                    None => break at,
                }
            };
            for row in chain {
                if let Some(place) = roots.get_mut(row) {
                    *place = Some(root);
                }
            }
        }
        let roots = roots.into_iter().flatten().filter_map(|root| self.rows.get(root));
        roots.map(|known| known.record.id.as_str()).collect()
    }
}

/// The records of a node.
pub(super) struct NodeRecords<'a> {
    pub(super) before: &'a Records,
    platforms: &'a [Platform],
    records: RecordTable<'a>,
    /// The first record of the chain of each, row by row.
    roots: Vec<&'a str>,
    /// Touched records with no touched one built on them.
    leaves: Vec<&'a str>,
    /// The rows of the results by what they are described as.
    by_description: HashMap<DescribedAs<'a>, Vec<usize>>,
    /// The platform of each tree of records, by its root.
    trees: HashMap<&'a str, Option<Platform>>,
    /// Whether there is a first listing, of all records.
    pub(super) whole: bool,
    /// Whether it shows the records as they were before the first hit.
    pub(super) early: bool,
    /// Whether there is one of after the build.
    pub(super) over: bool,
    /// Why something is missing.
    pub(super) trouble: Option<&'a Text>,
}

impl<'a> NodeRecords<'a> {
    /// Puts two listings together. `begun` is when the build began, `hit` when its first hit was told. What a listing
    /// from behind that says is dated by the builder's own clock ([`Records::were_there`]).
    pub(super) fn new(
        before: &'a Records,
        after: Option<&'a Records>,
        begun: Time,
        hit: Option<Time>,
    ) -> Self {
        let whole = before.is_whole();
        let early = hit.is_none_or(|hit| before.answered <= hit) || before.shows_before(begun);
        let after = after.filter(|after| after.error.is_none());
        let mut records = RecordTable::default();
        for (record, there) in before.records.iter().zip(before.were_there(begun)) {
            let was = if early { Some(true) } else { there };
            let touched = !early && (record.in_use || record.is_touched_since(begun));
            records.put(KnownRecord { record, was, touched });
        }
        // A listing that is compared with none of before has all records, used or not.
        let is_difference = before.error.is_none() && after.is_some_and(|after| early || !after.is_whole());
        for (record, there) in
            after.into_iter().flat_map(|after| after.records.iter().zip(after.were_there(begun)))
        {
            let was = match records.get(record.id.as_str()) {
                Some(known) if early => known.was,
                Some(known) => known.was.or(there),
                None if whole && early => Some(record.imported.is_none() && record.created < begun),
                None => there,
            };
            let touched = is_difference || record.is_touched_since(begun);
            records.put(KnownRecord { record, was, touched });
        }
        let trouble = before.error.as_ref();
        let platforms = before.platforms.as_slice();
        let mut world = Self {
            before,
            platforms,
            roots: records.roots(),
            records,
            leaves: Vec::new(),
            by_description: HashMap::default(),
            trees: HashMap::default(),
            whole,
            early,
            over: after.is_some(),
            trouble,
        };
        // In the middle of a build not all is there yet that the last hits have used.
        if world.over {
            world.find_leaves();
        }
        world.find_trees();
        world.index_results();
        world
    }

    fn find_leaves(&mut self) {
        let touched = || self.records.rows.iter().filter(|known| known.touched && known.record.is_result());
        let built_on: HashSet<&str> =
            touched().flat_map(|known| &known.record.parents).map(Text::as_str).collect();
        let mut leaves: Vec<&'a str> =
            touched().map(|known| known.record.id.as_str()).filter(|id| !built_on.contains(id)).collect();
        leaves.sort_unstable();
        self.leaves = leaves;
    }

    fn index_results(&mut self) {
        let results = self.records.rows.iter().enumerate().filter(|(_, known)| known.record.is_result());
        for (row, known) in results {
            self.by_description.entry(DescribedAs::of(known.record)).or_default().push(row);
        }
    }

    /// A description that names a platform tells that of all records of its tree.
    fn find_trees(&mut self) {
        let mut trees: HashMap<&'a str, Option<Platform>> = HashMap::default();
        for known in &self.records.rows {
            // To read a name is dear, and that of a build for one platform has none.
            let bracket =
                known.record.description.as_str().strip_prefix('[').and_then(|text| text.split_once("] "));
            if bracket.is_none_or(|(bracket, _)| bracket.split_whitespace().nth(1).is_none()) {
                continue;
            }
            let VertexKind::Step(step) = name::parse(&known.record.description) else { continue };
            let Some(platform) = step.platform.filter(|_| step.runs_on.is_none()) else { continue };
            let root = self.root(known.record.id.as_str());
            let seen = trees.entry(root).or_insert_with(|| Some(platform.clone()));
            if seen.as_ref() != Some(&platform) {
                *seen = None;
            }
        }
        self.trees = trees;
    }

    /// Notes that the tree of a record is of a platform.
    pub(super) fn place(&mut self, id: &'a str, platform: &Platform) {
        let root = self.root(id);
        self.trees.entry(root).or_insert_with(|| Some(platform.clone()));
    }

    /// Whether the node builds for a platform, as far as it was told to.
    pub(super) fn builds(&self, platform: Option<&Platform>) -> bool {
        self.platforms.is_empty() || platform.is_none_or(|platform| self.platforms.contains(platform))
    }

    pub(super) fn get(&self, id: &str) -> Option<&KnownRecord<'a>> {
        self.records.get(id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &KnownRecord<'a>> {
        self.records.rows.iter()
    }

    /// The results that may be described as an instruction is.
    pub(super) fn results(
        &self,
        instruction: &InstructionForms<'_>,
    ) -> impl Iterator<Item = &KnownRecord<'a>> {
        let own = self.by_description.iter().filter(|(what, _)| instruction.may_be_described(**what));
        own.flat_map(|(_, rows)| rows).filter_map(|row| self.records.rows.get(*row))
    }

    pub(super) fn leaves(&self) -> &[&'a str] {
        &self.leaves
    }

    /// The record that one was built on, the lowest of several.
    pub(super) fn parent(&self, id: &str) -> Option<&'a str> {
        self.records.get(id)?.record.parents.first().map(Text::as_str)
    }

    /// The first record of a chain.
    pub(super) fn root(&self, id: &'a str) -> &'a str {
        self.records.row(id).and_then(|row| self.roots.get(row)).copied().unwrap_or(id)
    }

    /// Whether a record may belong to a platform: nothing says that it is another's.
    pub(super) fn may_be_of(&self, id: &'a str, platform: Option<&Platform>) -> bool {
        let tree = self.trees.get(self.root(id)).and_then(Option::as_ref);
        tree.is_none_or(|tree| platform.is_none_or(|platform| platform == tree))
    }
}
