//! Steps that another build has named.
//!
//! Builds that run on one builder at a time share the vertices that they have in common, and a shared vertex has the name
//! that it got first: in the stream of a build for two platforms with 11 steps stands `[1/3] FROM …`, because a build with 3
//! steps began with the same base image and still runs (seen on the test engine). Such a name tells what is done, and
//! neither whose step it is nor which; what the builder computes from the vertex does.

use foldhash::{HashMap, HashMapExt};

use super::name::StepName;
use super::stack::Group;
use super::vertex::{Vertex, VertexId};
use crate::event::digest::DigestMap;
use crate::event::Text;

/// A stage, as names have it: bake target and stage.
type Stage = (Option<Text>, Option<Text>);

fn stage(name: &StepName) -> Stage {
    (name.target.clone(), name.stage.clone())
}

/// Gives the steps that another build has named the names that they have in this one.
pub(super) fn rename(
    names: &mut [Option<StepName>],
    vertices: &[Vertex],
    index: &DigestMap<VertexId>,
    outlined: &[Group],
) {
    let own = Own::of(names, outlined);
    let mut strange: Vec<bool> = names.iter().map(|n| n.as_ref().is_some_and(|n| !own.has(n))).collect();
    if !strange.contains(&true) {
        return;
    }
    // From the last steps to the first, since a renamed step tells the one before it.
    let mut found = true;
    while std::mem::take(&mut found) {
        for (at, user) in vertices.iter().enumerate() {
            let Some(Some(name)) = names.get(at).filter(|_| strange.get(at) == Some(&false)) else {
                continue;
            };
            let base = user.inputs.first().and_then(|digest| index.get(digest)).map(|id| id.0 as usize);
            let Some(base) = base.filter(|base| strange.get(*base) == Some(&true)) else { continue };
            let Some(Some(known)) = names.get(base) else { continue };
            let Some(before) = own.before(name, known) else { continue };
            let renamed = StepName { index: before, instruction: known.instruction.clone(), ..name.clone() };
            if let (Some(slot), Some(mark)) = (names.get_mut(base), strange.get_mut(base)) {
                (*slot, *mark, found) = (Some(renamed), false, true);
            }
        }
    }
    for (name, _) in names.iter_mut().zip(strange).filter(|(_, strange)| *strange) {
        *name = name.take().and_then(|name| own.kept(name));
    }
}

/// What the steps of this build are called.
struct Own<'a> {
    /// How many steps each stage has.
    of: HashMap<Stage, u16>,
    outlined: &'a [Group],
    /// Whether the stream speaks of the Dockerfile's stages by the names that they have there.
    by_outline: bool,
}

impl<'a> Own<'a> {
    /// A stage has as many steps as the Dockerfile says, else as most of its steps say.
    fn of(names: &[Option<StepName>], outlined: &'a [Group]) -> Self {
        let mut votes: HashMap<Stage, HashMap<u16, usize>> = HashMap::new();
        for name in names.iter().flatten() {
            *votes.entry(stage(name)).or_default().entry(name.of).or_default() += 1;
        }
        let rows =
            |of: &Stage| outlined.iter().find(|group| group.stage == of.1).map(|group| group.rows.len());
        let by_outline = votes.keys().any(|stage| rows(stage).is_some());
        let winner = |(stage, votes): (Stage, HashMap<u16, usize>)| {
            let rows = rows(&stage);
            let most = votes.into_iter().max_by_key(|(of, n)| (rows == Some(usize::from(*of)), *n, *of));
            most.map(|(of, _)| (stage, of))
        };
        Self { of: votes.into_iter().filter_map(winner).collect(), outlined, by_outline }
    }

    fn outline(&self, name: &StepName) -> Option<&Group> {
        self.outlined.iter().find(|group| group.stage == name.stage)
    }

    fn has(&self, name: &StepName) -> bool {
        self.of.get(&stage(name)) == Some(&name.of) && (!self.by_outline || self.outline(name).is_some())
    }

    /// The number of the step that `user` is computed from, where that step does what `known` says.
    fn before(&self, user: &StepName, known: &StepName) -> Option<u16> {
        let last = user.index.checked_sub(1).filter(|last| *last > 0)?;
        let Some(group) = self.outline(user) else { return Some(last) };
        // Not every instruction is a vertex.
        (1..=last).rev().find(|at| {
            let row = group.rows.get(usize::from(*at) - 1);
            row.is_some_and(|row| keyword(&row.instruction) == keyword(&known.instruction))
        })
    }

    /// What is left of a name whose place nothing tells: the name as it is, if it can be right.
    fn kept(&self, name: StepName) -> Option<StepName> {
        let Some(of) = self.of.get(&stage(&name)).copied().filter(|of| *of != name.of) else {
            return Some(name);
        };
        let row = self.outline(&name).map(|group| group.rows.get(usize::from(name.index).checked_sub(1)?));
        let fits = match row {
            Some(row) => row.is_some_and(|row| keyword(&row.instruction) == keyword(&name.instruction)),
            None => name.index <= of,
        };
        fits.then_some(StepName { of, ..name })
    }
}

fn keyword(instruction: &Text) -> String {
    instruction.as_str().split_whitespace().next().unwrap_or_default().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use crate::event::{Digest, Event, Outline, OutlineStage, OutlineStep, Stamped, Time, VertexUpdate};
    use crate::model::Model;

    /// A vertex, and what it is computed from, by their first letters.
    fn vertex(id: char, inputs: &str, name: &str) -> Event {
        let digest = |id: char| Digest::parse(&format!("sha256:{}", id.to_string().repeat(64)));
        let inputs = inputs.chars().map(digest).collect();
        Event::Vertex(VertexUpdate {
            digest: digest(id),
            name: name.into(),
            inputs,
            started: None,
            completed: None,
            cached: false,
            error: None,
            group: None,
        })
    }

    /// `platform index/of instruction` of each step that the model has.
    fn steps(events: Vec<Event>) -> Vec<String> {
        let mut model = Model::default();
        let stamp = |event| Stamped { at: Time::default(), event };
        model.apply_all(&events.into_iter().map(stamp).collect::<Vec<_>>());
        let text = |(id, step): (_, &crate::model::Step)| {
            let platform = step.name.platform.as_ref().map_or("-", |platform| platform.as_str());
            assert!(model.stack().row_of(id).is_some());
            format!("{platform} {}/{} {}", step.name.index, step.name.of, step.name.instruction)
        };
        let mut steps: Vec<String> = model.stack().steps().map(text).collect();
        steps.sort();
        steps
    }

    fn outline(instructions: &[&str]) -> Event {
        let step = |(at, text): (usize, &&str)| OutlineStep {
            instruction: (*text).into(),
            layer: None,
            line: u32::try_from(at + 1).unwrap(),
        };
        let steps = instructions.iter().enumerate().map(step).collect();
        let stages = vec![OutlineStage { name: None, steps }];
        Event::Outline(Outline { stages, ..Outline::default() })
    }

    /// The names that the test engine gave while another build, of three steps, ran.
    fn named_by_another() -> Vec<Event> {
        vec![
            vertex('5', "4", "[linux/amd64 5/5] RUN b"),
            vertex('c', "a", "[linux/arm64 2/5] WORKDIR /app"),
            vertex('3', "2", "[linux/amd64 3/5] RUN a"),
            vertex('d', "c", "[linux/arm64 3/5] RUN a"),
            vertex('a', "", "[linux/arm64 1/5] FROM base"),
            vertex('4', "3", "[linux/amd64 4/5] COPY . ."),
            vertex('1', "", "[1/3] FROM base"),
            vertex('2', "1", "[2/3] WORKDIR /app"),
        ]
    }

    const EXPECTED: [&str; 8] = [
        "linux/amd64 1/5 FROM base",
        "linux/amd64 2/5 WORKDIR /app",
        "linux/amd64 3/5 RUN a",
        "linux/amd64 4/5 COPY . .",
        "linux/amd64 5/5 RUN b",
        "linux/arm64 1/5 FROM base",
        "linux/arm64 2/5 WORKDIR /app",
        "linux/arm64 3/5 RUN a",
    ];

    #[test]
    fn a_step_that_another_build_named_is_known_by_what_is_computed_from_it() {
        assert_eq!(steps(named_by_another()), EXPECTED);
        let mut events = named_by_another();
        events.insert(0, outline(&["FROM base", "WORKDIR /app", "RUN a", "COPY . .", "RUN b"]));
        assert_eq!(steps(events), EXPECTED);
    }

    #[test]
    fn a_stage_that_the_dockerfile_does_not_have_is_another_builds() {
        let events = vec![
            outline(&["FROM base", "WORKDIR /", "RUN a"]),
            // `WORKDIR /` is counted, and is no vertex.
            vertex('3', "1", "[linux/amd64 3/3] RUN a"),
            vertex('1', "", "[tools 1/2] FROM base"),
        ];
        assert_eq!(steps(events), ["linux/amd64 1/3 FROM base", "linux/amd64 3/3 RUN a"]);
    }

    #[test]
    fn what_nothing_is_computed_from_yet_takes_nothing_away() {
        let mut events = named_by_another();
        events.retain(
            |event| !matches!(event, Event::Vertex(vertex) if vertex.name.as_str().contains("amd64")),
        );
        let steps = steps(events);
        assert_eq!(steps[2..], EXPECTED[5..]);
        assert_eq!(steps[..2], ["- 1/5 FROM base", "- 2/5 WORKDIR /app"]);
    }
}
