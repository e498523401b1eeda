//! The stack: the Dockerfile's steps in their order, a column a platform.

use super::layers::Namer;
use super::name::StepName;
use super::vertex::VertexId;
use crate::event::{Outline, Platform, Text};

/// Place of a step in the model, in order of appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub(super) u32);

/// A numbered instruction on one platform.
#[derive(Debug, Clone)]
pub struct Step {
    /// What its name says.
    pub name: StepName,
    /// Its vertices: one, but for instructions that `BuildKit` splits (`COPY --link`).
    pub vertices: Vec<VertexId>,
}

/// A stage.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The bake target that it is built for.
    pub target: Option<Text>,
    /// Its name.
    pub stage: Option<Text>,
    /// Its instructions, by number.
    pub rows: Vec<Row>,
    /// Whether the stream has spoken of it.
    pub seen: bool,
    /// Whether the Dockerfile says that it becomes the image.
    pub outlined_target: bool,
}

/// An instruction on all platforms.
#[derive(Debug, Clone, Default)]
pub struct Row {
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
    groups: Vec<Group>,
    steps: Vec<Step>,
    namer: Namer,
    /// Groups whose layers have to be named again.
    stale: Vec<usize>,
}

impl Stack {
    /// The stages, in the order in which they were first heard of.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// All steps, in order of appearance.
    pub fn steps(&self) -> impl Iterator<Item = (StepId, &Step)> {
        self.steps.iter().enumerate().map(|(i, step)| (StepId(i as u32), step))
    }

    /// One step.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(id.0 as usize)
    }

    /// The step of a row on a platform. A step without a platform stands for every one.
    pub fn cell(&self, row: &Row, platform: Option<&Platform>) -> Option<StepId> {
        let of = |id: &&StepId| self.step(**id).map(|step| step.name.platform.as_ref());
        row.steps
            .iter()
            .find(|id| of(id) == Some(platform))
            .or_else(|| row.steps.iter().find(|id| of(id) == Some(None) || platform.is_none()))
            .copied()
    }

    /// The row that a step stands in.
    pub fn row_of(&self, id: StepId) -> Option<&Row> {
        self.groups.iter().flat_map(|group| &group.rows).find(|row| row.steps.contains(&id))
    }

    /// Lays the stack out from the Dockerfile; gives what is wrong with the layer rules.
    pub(super) fn outline(&mut self, outline: &Outline) -> Vec<String> {
        let (namer, complaints) = Namer::new(&outline.rules);
        self.namer = namer;
        for (i, stage) in outline.stages.iter().enumerate() {
            if self.groups.iter().any(|group| group.stage == stage.name && group.target.is_none()) {
                continue;
            }
            let row = |step: &crate::event::OutlineStep| Row {
                instruction: step.instruction.clone(),
                layer: step.layer.clone(),
                steps: Vec::new(),
            };
            self.groups.push(Group {
                stage: stage.name.clone(),
                rows: stage.steps.iter().map(row).collect(),
                outlined_target: i == outline.target,
                ..Group::default()
            });
        }
        self.stale.extend(0..self.groups.len());
        complaints
    }

    /// Takes up the vertex of a step.
    pub(super) fn add(&mut self, name: &StepName, vertex: VertexId) -> StepId {
        let at = self.group_of(name);
        let Some(group) = self.groups.get_mut(at) else { return StepId(0) };
        if group.rows.len() != usize::from(name.of) {
            // The Dockerfile that was read is not the one that is built.
            let keep = group.seen;
            group.rows.resize_with(usize::from(name.of), Row::default);
            if !keep {
                group.rows.fill_with(Row::default);
            }
            self.stale.push(at);
        }
        group.seen = true;
        let Some(row) = group.rows.get_mut(usize::from(name.index) - 1) else { return StepId(0) };
        let steps = &mut self.steps;
        let known = row.steps.iter().find(|id| {
            steps
                .get(id.0 as usize)
                .is_some_and(|s| s.name.platform == name.platform && s.name.runs_on == name.runs_on)
        });
        if let Some(&id) = known {
            if let Some(step) = steps.get_mut(id.0 as usize).filter(|step| !step.vertices.contains(&vertex)) {
                step.vertices.push(vertex);
            }
            return id;
        }
        let id = StepId(steps.len() as u32);
        steps.push(Step { name: name.clone(), vertices: vec![vertex] });
        if row.steps.is_empty() && row.instruction != name.instruction {
            row.instruction = name.instruction.clone();
            self.stale.push(at);
        }
        row.steps.push(id);
        id
    }

    fn group_of(&mut self, name: &StepName) -> usize {
        let same = |g: &Group| g.target == name.target && g.stage == name.stage;
        if let Some(at) = self.groups.iter().position(same) {
            return at;
        }
        // A stage that the Dockerfile has under another name: known by its place as the only one of its length.
        let twin = |(at, group): (usize, &Group)| {
            (!group.seen && group.rows.len() == usize::from(name.of)).then_some(at)
        };
        let twins: Vec<usize> = self.groups.iter().enumerate().filter_map(twin).collect();
        if let [at] = twins.as_slice()
            && let Some(group) = self.groups.get_mut(*at)
        {
            group.target.clone_from(&name.target);
            group.stage.clone_from(&name.stage);
            return *at;
        }
        self.groups.push(Group {
            target: name.target.clone(),
            stage: name.stage.clone(),
            ..Group::default()
        });
        self.groups.len() - 1
    }

    /// Names the layers of what has changed.
    pub(super) fn settle(&mut self) {
        self.stale.sort_unstable();
        self.stale.dedup();
        for at in self.stale.drain(..) {
            let Some(group) = self.groups.get_mut(at) else { continue };
            let texts: Vec<&str> = group.rows.iter().map(|row| row.instruction.as_str()).collect();
            let names = self.namer.names(&texts);
            for (row, name) in group.rows.iter_mut().zip(names) {
                row.layer = name;
            }
        }
    }
}
