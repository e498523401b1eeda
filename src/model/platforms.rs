//! The platform of steps whose names have none, in a build for several.
//!
//! A target of `docker buildx bake` that is built for one platform has none in the names of its steps, beside targets that have
//! (recorded: `bake`). What such a step is built on tells it: two targets on one base image share its vertex, which may have the other
//! target's name and with it a platform. A target that names none has one only, so what tells it of one step tells it of all.

use std::collections::{HashMap, HashSet};

use super::name::{StepName, keyword};
use super::stack::{Step, StepId};
use super::vertex::{Vertex, VertexId};
use crate::event::digest::DigestMap;
use crate::event::{Platform, Text};

/// Gives the steps whose names have no platform the one that they are built for, where something tells it.
pub(super) fn find(
    steps: &mut [Step],
    step_of: &HashMap<VertexId, StepId>,
    vertices: &[Vertex],
    index: &DigestMap<VertexId>,
) {
    let named = |step: &Step| step.name.platform.is_some();
    if !steps.iter().any(named) || steps.iter().all(named) {
        return;
    }
    let mut found: Vec<Option<Platform>> = Vec::with_capacity(steps.len());
    // What is known of each target: its platforms.
    let mut targets: HashMap<Option<Text>, HashSet<Platform>> = HashMap::new();
    for step in steps.iter() {
        let own = if named(step) { certain(&step.name) } else { base(step, steps, step_of, vertices, index) };
        if let Some(platform) = own {
            targets.entry(step.name.target.clone()).or_default().insert(platform.clone());
        }
        found.push(own.cloned());
    }
    for (step, own) in steps.iter_mut().zip(found).filter(|(step, _)| !named(step)) {
        let only = || {
            let mut known = targets.get(&step.name.target)?.iter();
            known.next().filter(|_| known.next().is_none()).cloned()
        };
        step.platform = own.or_else(only);
    }
}

/// The platform that a name says for all who share the step: what runs on another one than it is built for can be a step of either.
fn certain(name: &StepName) -> Option<&Platform> {
    name.platform.as_ref().filter(|_| name.runs_on.is_none())
}

/// The platform of the nearest step that a step is built on and whose name has one.
fn base<'a>(
    step: &'a Step,
    steps: &'a [Step],
    step_of: &HashMap<VertexId, StepId>,
    vertices: &'a [Vertex],
    index: &DigestMap<VertexId>,
) -> Option<&'a Platform> {
    let mut seen: HashSet<VertexId> = HashSet::new();
    let mut open: Vec<VertexId> = step.vertices.clone();
    while let Some(id) = open.pop() {
        let Some(vertex) = vertices.get(id.0 as usize).filter(|_| seen.insert(id)) else { continue };
        let known = step_of.get(&id).and_then(|id| steps.get(id.0 as usize));
        if let Some(name) = known.map(|step| &step.name).filter(|name| name.platform.is_some()) {
            return certain(name);
        }
        let copies = known.is_some_and(|step| copies(&step.name));
        // What is copied onto nothing has no base: its one input is what is copied, which may be of any platform.
        let base = vertex.inputs.first().filter(|_| !copies || vertex.inputs.len() > 1);
        open.extend(base.and_then(|digest| index.get(digest)));
    }
    None
}

/// Whether a step copies onto what it is built on.
fn copies(name: &StepName) -> bool {
    let keyword = keyword(name.instruction.as_str());
    ["COPY", "ADD"].iter().any(|copying| keyword.eq_ignore_ascii_case(copying))
}

#[cfg(test)]
mod tests {
    use crate::event::{Digest, Event, Platform, Stamped, Time, VertexUpdate};
    use crate::model::Model;

    /// A vertex, and what it is computed from, by their first letters.
    fn vertex(id: char, inputs: &str, name: &str) -> Stamped {
        let digest = |id: char| Digest::parse(&format!("sha256:{}", id.to_string().repeat(64)));
        let inputs = inputs.chars().map(digest).collect();
        let event = Event::Vertex(VertexUpdate::waiting(digest(id), name.into(), inputs));
        Stamped { at: Time::default(), event }
    }

    /// The columns of a bake of a target for two platforms and of others, and the column of each step of the others.
    fn placed(others: &[(char, &str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut events = vec![
            vertex('a', "", "[app linux/amd64 app 1/2] FROM base"),
            vertex('b', "a", "[app linux/amd64 app 2/2] RUN make"),
            vertex('c', "", "[app linux/arm64 app 1/2] FROM base"),
            vertex('d', "c", "[app linux/arm64 app 2/2] RUN make"),
        ];
        events.extend(others.iter().map(|(id, inputs, name)| vertex(*id, inputs, name)));
        let mut model = Model::default();
        model.apply_all(&events);
        let name = |column: Option<&Platform>| column.map_or("-".to_owned(), ToString::to_string);
        let columns = model.platforms();
        let mut found = Vec::new();
        for row in
            model.stack().groups().iter().filter(|g| g.target != Some("app".into())).flat_map(|g| &g.rows)
        {
            for column in &columns {
                let cell = model.stack().cell(row, column.as_ref());
                found.extend(cell.map(|_| format!("{} {}", name(column.as_ref()), row.instruction)));
            }
        }
        (columns.iter().map(|column| name(column.as_ref())).collect(), found)
    }

    #[test]
    fn a_target_without_a_platform_has_that_of_the_base_that_it_shares() {
        let (columns, steps) = placed(&[
            ('1', "a", "[worker worker 2/3] RUN setup"),
            ('2', "1e", "[worker worker 3/3] COPY . ."),
            // Another stage of the target, built on nothing.
            ('3', "2", "[worker files 1/1] COPY --from=worker /out /out"),
        ]);
        assert_eq!(columns, ["linux/amd64", "linux/arm64"]);
        assert_eq!(
            steps,
            [
                "linux/amd64 FROM base",
                "linux/amd64 RUN setup",
                "linux/amd64 COPY . .",
                "linux/amd64 COPY --from=worker /out /out"
            ]
        );
    }

    #[test]
    fn a_step_whose_platform_nothing_tells_stands_in_a_column_of_its_own() {
        let (columns, steps) = placed(&[
            ('1', "", "[tool tool 1/2] FROM other"),
            ('2', "1", "[tool tool 2/2] RUN build"),
            // What is copied may be of another platform.
            ('3', "b", "[files files 1/2] COPY --from=app /out /out"),
            ('4', "3e", "[files files 2/2] COPY notes /notes"),
        ]);
        assert_eq!(columns, ["linux/amd64", "linux/arm64", "-"]);
        assert_eq!(
            steps,
            ["- FROM other", "- RUN build", "- COPY --from=app /out /out", "- COPY notes /notes"]
        );
    }

    #[test]
    fn what_runs_on_another_platform_tells_nothing_of_who_shares_it() {
        let (columns, steps) = placed(&[
            ('0', "", "[app linux/amd64->arm64 build 1/2] FROM tools"),
            ('1', "0", "[worker worker 2/2] RUN setup"),
        ]);
        assert_eq!(columns, ["linux/amd64", "linux/arm64", "-"]);
        assert!(steps.contains(&"- RUN setup".to_owned()), "{steps:?}");
    }
}
