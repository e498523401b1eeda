//! The stack: the Dockerfile's steps in their order, a column a platform.

use std::collections::{HashMap, HashSet, VecDeque};

use super::layers::LayerNamer;
use super::name::StepName;
use super::vertex::{Vertex, VertexId};
use super::{platforms, shared, triggers};
use crate::event::digest::DigestMap;
use crate::event::reference::is_same_image;
use crate::event::{Digest, Outline, OutlineStage, OutlineStep, Platform, Text};

/// Place of a step in the model, in order of appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub(super) u32);

/// A numbered instruction on one platform.
#[derive(Debug, Clone)]
pub struct Step {
    /// What its name says.
    pub name: StepName,
    /// The platform that it is built for: its name's, or what its inputs and its bake target tell. None of a build for one platform, and
    /// where nothing tells it.
    pub platform: Option<Platform>,
    /// Its vertices: one, but for instructions that `BuildKit` splits (`COPY --link`).
    pub vertices: Vec<VertexId>,
}

#[derive(Debug, Clone, Default)]
pub struct StageGroup {
    /// The bake target that it is built for.
    pub target: Option<Text>,
    pub stage: Option<Text>,
    /// Its instructions, by number.
    pub rows: Vec<InstructionRow>,
    /// Whether the stream has spoken of it.
    pub seen: bool,
    /// Whether the Dockerfile says that it becomes the image.
    pub outlined_target: bool,
    /// How many of its rows its base image leaves to run (`ONBUILD`); they stand behind the first, and the Dockerfile does not have them.
    pub left: usize,
}

/// An instruction on all platforms.
#[derive(Debug, Clone, Default)]
pub struct InstructionRow {
    /// Its text, as the stream has it once it has spoken.
    pub instruction: Text,
    /// The layer that it belongs to.
    pub layer: Option<Text>,
    /// What it became, in the order in which the platforms appeared.
    pub steps: Vec<StepId>,
}

/// All stages and their steps.
#[derive(Debug, Default)]
pub struct Stack {
    /// The stages as the Dockerfile has them.
    outlined: Vec<StageGroup>,
    /// The same with what their base images leave to run, as far as the stream has told.
    widened: Vec<StageGroup>,
    groups: Vec<StageGroup>,
    steps: Vec<Step>,
    step_of: HashMap<VertexId, StepId>,
    /// Where a step stands: the place of its stage and of its row there.
    rows_of: Vec<(usize, usize)>,
    /// Where a stage stands, by its names.
    places: HashMap<(Option<Text>, Option<Text>), usize>,
    /// The platform that was asked for, where it is the only one.
    only: Option<Platform>,
    namer: LayerNamer,
}

impl Stack {
    /// The stages, in the order in which they were first heard of.
    pub fn groups(&self) -> &[StageGroup] {
        &self.groups
    }

    /// All steps, in order of appearance.
    pub fn steps(&self) -> impl Iterator<Item = (StepId, &Step)> {
        self.steps.iter().enumerate().map(|(i, step)| (StepId(i as u32), step))
    }

    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(id.0 as usize)
    }

    /// The platform of a step: its own, or the only one that was asked for.
    pub fn platform_of<'a>(&'a self, step: &'a Step) -> Option<&'a Platform> {
        step.platform.as_ref().or(self.only.as_ref())
    }

    /// The step of a row in the column of a platform, or in the column of those whose platform is not known. A step stands in one column
    /// only, so that the columns add up to all steps.
    pub fn cell(&self, row: &InstructionRow, platform: Option<&Platform>) -> Option<StepId> {
        let platform = platform.or(self.only.as_ref());
        let here = |step: &Step| self.platform_of(step) == platform;
        let own = row.steps.iter().copied().find(|id| self.step(*id).is_some_and(here));
        own.or_else(|| {
            // A base image has one vertex a platform, which is named after the first stage that wants it.
            let base = base_image(&row.instruction).filter(|_| row.steps.is_empty())?;
            let same = |step: &Step| {
                base_image(&step.name.instruction).is_some_and(|other| is_same_image(base, other))
            };
            let shared = self.steps().find(|(_, step)| here(step) && same(step)).map(|(id, _)| id);
            shared.filter(|_| self.may_stand(row, platform))
        })
    }

    /// Whether a row without a step may still get one on a platform: nothing else of its stage is built elsewhere only.
    pub fn may_stand(&self, row: &InstructionRow, platform: Option<&Platform>) -> bool {
        if !row.steps.is_empty() {
            return false;
        }
        let platform = platform.or(self.only.as_ref());
        let own = |group: &&StageGroup| group.rows.iter().any(|known| std::ptr::eq(known, row));
        let rows = self.groups.iter().find(own).map_or(&[][..], |group| group.rows.as_slice());
        let mut steps = rows.iter().flat_map(|row| &row.steps).filter_map(|id| self.step(*id)).peekable();
        steps.peek().is_none() || steps.any(|step| self.platform_of(step) == platform)
    }

    /// The step that a vertex belongs to.
    pub fn step_of(&self, vertex: VertexId) -> Option<StepId> {
        self.step_of.get(&vertex).copied()
    }

    /// The row that a step stands in.
    pub fn row_of(&self, id: StepId) -> Option<&InstructionRow> {
        let (group, row) = self.rows_of.get(id.0 as usize)?;
        self.groups.get(*group)?.rows.get(*row).filter(|row| row.steps.contains(&id))
    }

    /// A step's instruction as the Dockerfile has it, where it is known to have the stage.
    pub(super) fn written(&self, step: &Step) -> Option<&Text> {
        let mut stages = self.widened.iter().filter(|group| group.stage == step.name.stage);
        let row = stages.next()?.rows.get(usize::from(step.name.index).checked_sub(1)?)?;
        Some(&row.instruction)
    }

    /// Takes the Dockerfile's outline; gives what is wrong with the layer rules.
    pub(super) fn outline(&mut self, outline: &Outline) -> Vec<String> {
        let (namer, complaints) = LayerNamer::new(&outline.rules);
        self.namer = namer;
        // What was named by other rules is named again.
        self.groups.clear();
        self.outlined = outline
            .stages
            .iter()
            .enumerate()
            .map(|(i, stage)| outlined(stage, i == outline.target))
            .collect();
        complaints
    }

    /// Builds the stack: the Dockerfile's stages, filled with the steps that the vertices stand for. `asked` are the platforms that the
    /// build is for; none where that is not known.
    pub(super) fn rebuild(&mut self, vertices: &[Vertex], index: &DigestMap<VertexId>, asked: &[Platform]) {
        let many = (!asked.is_empty()).then_some(asked.len() > 1);
        self.only = if let [only] = asked { Some(only.clone()) } else { None };
        let mut names: Vec<Option<StepName>> = vertices.iter().map(Vertex::step_name).collect();
        self.widened = triggers::widened(&self.outlined, &names);
        let before = std::mem::replace(&mut self.groups, self.widened.clone());
        self.steps.clear();
        self.step_of.clear();
        self.rows_of.clear();
        self.find_places();
        let twins = twins(vertices);
        shared::rename(&mut names, vertices, index, &self.widened, many);
        for (i, vertex) in vertices.iter().enumerate() {
            let Some(Some(name)) = names.get(i) else { continue };
            let id = VertexId(i as u32);
            let step = if name.platform.is_none() && twins.contains(&vertex.name) {
                let platform = inherited(vertex, vertices, index, &names);
                self.add(&StepName { platform, ..name.clone() }, id)
            } else {
                self.add(name, id)
            };
            self.step_of.extend(step.map(|step| (id, step)));
        }
        platforms::find(&mut self.steps, &self.step_of, vertices, index);
        self.share_bases(vertices, index);
        for (at, group) in self.groups.iter_mut().enumerate() {
            // A stage mostly stands where it stood.
            name_layers(group, before.get(at).into_iter().chain(&before), &self.namer);
        }
    }

    /// A base image that several stages begin with has one vertex, in one of them. The others' first row is known by what
    /// their second is computed from.
    fn share_bases(&mut self, vertices: &[Vertex], index: &DigestMap<VertexId>) {
        for group in &mut self.groups {
            let [first, second, ..] = group.rows.as_mut_slice() else { continue };
            if !first.steps.is_empty() || !first.instruction.is_empty() {
                continue;
            }
            let steps = second.steps.iter().filter_map(|id| self.steps.get(id.0 as usize));
            let vertices_of =
                steps.flat_map(|step| &step.vertices).filter_map(|id| vertices.get(id.0 as usize));
            let inputs = vertices_of.flat_map(|vertex| &vertex.inputs).filter_map(|input| index.get(input));
            let base = inputs.filter_map(|id| self.step_of.get(id)).find_map(|id| {
                let name = &self.steps.get(id.0 as usize)?.name;
                name.is_from().then(|| name.instruction.clone())
            });
            first.instruction = base.unwrap_or_default();
        }
    }

    /// Takes up the vertex of a step.
    fn add(&mut self, name: &StepName, vertex: VertexId) -> Option<StepId> {
        let at = self.group_of(name);
        let group = self.groups.get_mut(at)?;
        // `of` may be larger than the number of steps that are ever shown (`WORKDIR /` is counted, and has no vertex); but a
        // Dockerfile with more steps than that is not the one that is built.
        if group.rows.len() > usize::from(name.of) {
            group.rows.clear();
        }
        if group.rows.len() < usize::from(name.index) {
            group.rows.resize_with(usize::from(name.index), InstructionRow::default);
        }
        group.seen = true;
        let row = group.rows.get_mut(usize::from(name.index).checked_sub(1)?)?;
        let same = |step: &Step| step.name.platform == name.platform && step.name.runs_on == name.runs_on;
        let known = row.steps.iter().find(|id| self.steps.get(id.0 as usize).is_some_and(same));
        if let Some(&id) = known {
            self.steps.get_mut(id.0 as usize)?.vertices.push(vertex);
            return Some(id);
        }
        let id = StepId(self.steps.len() as u32);
        self.steps.push(Step { name: name.clone(), platform: name.platform.clone(), vertices: vec![vertex] });
        self.rows_of.push((at, usize::from(name.index) - 1));
        if row.steps.is_empty() {
            row.instruction = name.instruction.clone();
        }
        row.steps.push(id);
        Some(id)
    }

    fn group_of(&mut self, name: &StepName) -> usize {
        let key = (name.target.clone(), name.stage.clone());
        if let Some(at) = self.places.get(&key) {
            return *at;
        }
        // A stage that the Dockerfile has under another name: known by its place as the only one of its length.
        let twin = |(at, group): (usize, &StageGroup)| {
            (!group.seen && group.rows.len() == usize::from(name.of)).then_some(at)
        };
        let twins: Vec<usize> = self.groups.iter().enumerate().filter_map(twin).collect();
        if let [at] = twins.as_slice()
            && let Some(group) = self.groups.get_mut(*at)
        {
            group.target.clone_from(&name.target);
            group.stage.clone_from(&name.stage);
            let at = *at;
            self.find_places();
            return at;
        }
        self.groups.push(StageGroup {
            target: name.target.clone(),
            stage: name.stage.clone(),
            ..StageGroup::default()
        });
        self.places.insert(key, self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// Notes where each stage stands; of several with the same names the first counts.
    fn find_places(&mut self) {
        self.places.clear();
        for (at, group) in self.groups.iter().enumerate() {
            self.places.entry((group.target.clone(), group.stage.clone())).or_insert(at);
        }
    }
}

/// The names that several vertices have.
fn twins(vertices: &[Vertex]) -> HashSet<&Text> {
    let mut seen = HashSet::new();
    vertices.iter().map(|vertex| &vertex.name).filter(|name| !seen.insert(*name)).collect()
}

fn outlined(stage: &OutlineStage, outlined_target: bool) -> StageGroup {
    let row = |step: &OutlineStep| InstructionRow {
        instruction: step.instruction.clone(),
        layer: step.layer.clone(),
        steps: Vec::new(),
    };
    StageGroup {
        stage: stage.name.clone(),
        rows: stage.steps.iter().map(row).collect(),
        outlined_target,
        ..StageGroup::default()
    }
}

/// The platform of the nearest vertex that this one is computed from and that has one. Behind a `COPY --link` `BuildKit`
/// names the steps of all platforms alike, without any (seen on the test engine).
fn inherited(
    vertex: &Vertex,
    vertices: &[Vertex],
    index: &DigestMap<VertexId>,
    names: &[Option<StepName>],
) -> Option<Platform> {
    let mut queue: VecDeque<&Digest> = vertex.inputs.iter().collect();
    let mut seen: HashSet<&Digest> = queue.iter().copied().collect();
    while let Some(digest) = queue.pop_front() {
        let Some(at) = index.get(digest).map(|id| id.0 as usize) else { continue };
        if let Some(platform) = names.get(at).and_then(|name| name.as_ref()?.platform.clone()) {
            return Some(platform);
        }
        queue.extend(vertices.get(at).iter().flat_map(|v| &v.inputs).filter(|input| seen.insert(*input)));
    }
    None
}

/// Names the layers of a stage; where its instructions are what they were, so are their names.
fn name_layers<'a>(
    group: &mut StageGroup,
    mut before: impl Iterator<Item = &'a StageGroup>,
    namer: &LayerNamer,
) {
    let alike = |old: &&StageGroup| {
        old.rows.len() == group.rows.len()
            && old.rows.iter().zip(&group.rows).all(|(old, new)| old.instruction == new.instruction)
    };
    let names: Vec<Option<Text>> = match before.find(alike) {
        Some(old) => old.rows.iter().map(|row| row.layer.clone()).collect(),
        None => namer.names(&group.rows.iter().map(|row| row.instruction.as_str()).collect::<Vec<_>>()),
    };
    for (row, name) in group.rows.iter_mut().zip(names) {
        // The Dockerfile's reader has seen more of an instruction than its one line, the text of a heredoc for instance.
        row.layer = name.or(row.layer.take());
    }
}

/// The image that a FROM names.
fn base_image(instruction: &Text) -> Option<&str> {
    let mut words = instruction.as_str().split_whitespace();
    words.next().filter(|word| word.eq_ignore_ascii_case("FROM"))?;
    words.find(|word| !word.starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_from_names_its_base_image() {
        assert_eq!(base_image(&"FROM --platform=linux/amd64 a AS b".into()), Some("a"));
        assert_eq!(base_image(&"COPY a b".into()), None);
    }
}
