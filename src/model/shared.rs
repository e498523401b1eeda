//! Steps that another build has named.
//!
//! Builds that run on one builder at a time share the vertices that they have in common, and a shared vertex has the name
//! that it got first: in the stream of a build for two platforms with 11 steps stands `[1/3] FROM …`, because a build with 3
//! steps began with the same base image and still runs (seen on the test engine). Such a name tells what is done, and
//! neither whose step it is nor which; what the builder computes from the vertex does.
//!
//! Where two builds do the same by vertices that differ (their contexts are other folders with the same files), the builder merges
//! the work: the vertex of the build that came first does it and appears in the other stream too, beside the own one, which is
//! called cached or never starts (seen on the test engine). Nothing of this build is computed from such a twin.

use foldhash::{HashMap, HashMapExt};

use super::name::{StepName, same_keyword};
use super::stack::StageGroup;
use super::vertex::{Vertex, VertexId};
use crate::event::Text;
use crate::event::digest::DigestMap;

/// A stage, as names have it: bake target and stage.
type StageKey = (Option<Text>, Option<Text>);

fn stage(name: &StepName) -> StageKey {
    (name.target.clone(), name.stage.clone())
}

/// Gives the steps that another build has named the names that they have in this one.
/// `many` says whether this build is for several platforms, where that is known: its names have a platform only then.
pub(super) fn rename(
    names: &mut [Option<StepName>],
    vertices: &[Vertex],
    index: &DigestMap<VertexId>,
    outlined: &[StageGroup],
    many: Option<bool>,
) {
    let own = OwnSteps::of(names, outlined);
    // Each of bake's targets has platforms of its own.
    let other_form =
        |name: &StepName| name.target.is_none() && many.is_some_and(|many| many != name.platform.is_some());
    let mut strange: Vec<bool> = names
        .iter()
        .map(|name| name.as_ref().is_some_and(|name| !own.has(name) || other_form(name)))
        .collect();
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
    let twins = twins(names, vertices, index, &strange);
    for at in (0..names.len()).filter(|at| strange.get(*at) == Some(&true)) {
        let name = match twins.get(&at) {
            Some(own) => names.get(*own).cloned().flatten(),
            None => names.get(at).cloned().flatten().and_then(|name| own.kept(name)),
        };
        if let Some(slot) = names.get_mut(at) {
            *slot = name;
        }
    }
}

/// The vertices of another build that do what vertices of this one would have done, each with that one: the same instruction, on
/// the same or on what is such a twin itself.
fn twins(
    names: &[Option<StepName>],
    vertices: &[Vertex],
    index: &DigestMap<VertexId>,
    strange: &[bool],
) -> HashMap<usize, usize> {
    let named = |at: usize| names.get(at).and_then(Option::as_ref);
    let base = |at: usize| {
        let first = vertices.get(at)?.inputs.first().and_then(|digest| index.get(digest))?;
        Some(first.0 as usize)
    };
    let mut found: HashMap<usize, usize> = HashMap::new();
    // By instruction and what they are made on.
    let mut own: HashMap<(&str, usize), usize> = HashMap::new();
    for at in (0..names.len()).filter(|at| strange.get(*at) == Some(&false)) {
        if let (Some(name), Some(base)) = (named(at), base(at)) {
            own.insert((name.instruction.as_str(), base), at);
        }
    }
    let mut more = true;
    while std::mem::take(&mut more) {
        for at in (0..names.len()).filter(|at| strange.get(*at) == Some(&true)) {
            let (Some(name), Some(base), false) = (named(at), base(at), found.contains_key(&at)) else {
                continue;
            };
            let base = found.get(&base).copied().unwrap_or(base);
            if let Some(twin) = own.get(&(name.instruction.as_str(), base)) {
                found.insert(at, *twin);
                more = true;
            }
        }
    }
    found
}

/// What the steps of this build are called.
struct OwnSteps<'a> {
    /// How many steps each stage has.
    of: HashMap<StageKey, u16>,
    outlined: &'a [StageGroup],
    /// Whether the stream speaks of the Dockerfile's stages by the names that they have there.
    by_outline: bool,
}

impl<'a> OwnSteps<'a> {
    /// A stage has as many steps as the Dockerfile says, else as most of its steps say.
    fn of(names: &[Option<StepName>], outlined: &'a [StageGroup]) -> Self {
        let mut votes: HashMap<StageKey, HashMap<u16, usize>> = HashMap::new();
        for name in names.iter().flatten() {
            *votes.entry(stage(name)).or_default().entry(name.of).or_default() += 1;
        }
        let rows =
            |of: &StageKey| outlined.iter().find(|group| group.stage == of.1).map(|group| group.rows.len());
        let by_outline = votes.keys().any(|stage| rows(stage).is_some());
        let winner = |(stage, votes): (StageKey, HashMap<u16, usize>)| {
            let rows = rows(&stage);
            let most = votes.into_iter().max_by_key(|(of, n)| (rows == Some(usize::from(*of)), *n, *of));
            most.map(|(of, _)| (stage, of))
        };
        Self { of: votes.into_iter().filter_map(winner).collect(), outlined, by_outline }
    }

    fn outline(&self, name: &StepName) -> Option<&StageGroup> {
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
            row.is_some_and(|row| same_keyword(&row.instruction, &known.instruction))
        })
    }

    /// What is left of a name whose place nothing tells: the name as it is, if it can be right.
    fn kept(&self, name: StepName) -> Option<StepName> {
        let Some(of) = self.of.get(&stage(&name)).copied().filter(|of| *of != name.of) else {
            return Some(name);
        };
        let row = self.outline(&name).map(|group| group.rows.get(usize::from(name.index).checked_sub(1)?));
        let fits = match row {
            Some(row) => row.is_some_and(|row| same_keyword(&row.instruction, &name.instruction)),
            None => name.index <= of,
        };
        fits.then_some(StepName { of, ..name })
    }
}

#[cfg(test)]
mod tests {
    use crate::event::{
        Digest, Event, Outline, OutlineStage, OutlineStep, Platform, Stamped, Started, Time, VertexUpdate,
    };
    use crate::model::{Model, State};

    /// A vertex, and what it is computed from, by their first letters.
    fn vertex(id: char, inputs: &str, name: &str) -> Event {
        let digest = |id: char| Digest::parse(&format!("sha256:{}", id.to_string().repeat(64)));
        let inputs = inputs.chars().map(digest).collect();
        Event::Vertex(VertexUpdate::waiting(digest(id), name.into(), inputs))
    }

    /// The same, once it has run.
    fn ran(event: Event, cached: bool) -> Event {
        let Event::Vertex(vertex) = event else { return event };
        let at = Some(Time::from_micros(1));
        Event::Vertex(VertexUpdate { started: at, completed: at, cached, ..vertex })
    }

    fn model(events: Vec<Event>) -> Model {
        let mut model = Model::default();
        let stamp = |event| Stamped { at: Time::default(), event };
        model.apply_all(&events.into_iter().map(stamp).collect::<Vec<_>>());
        model
    }

    fn started(platforms: &str) -> Event {
        Event::Started(Started { platforms: Platform::parse_list(platforms), ..Started::default() })
    }

    /// `platform index/of instruction` of each step that the model has.
    fn steps(events: Vec<Event>) -> Vec<String> {
        let model = model(events);
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

    /// A build for two platforms, while one of another Dockerfile for one platform does the first steps of it. `name` is how that one's
    /// are named.
    fn merged(name: &str) -> Vec<Event> {
        let theirs = |at: u32, text: &str| format!("[{name}{at}/5] {text}");
        vec![
            started("linux/amd64,linux/arm64"),
            outline(&["FROM base", "RUN a", "COPY f f", "RUN b", "RUN c"]),
            ran(vertex('b', "1", "[linux/amd64 3/5] COPY f f"), true),
            ran(vertex('c', "b", "[linux/amd64 4/5] RUN b"), true),
            ran(vertex('d', "c", "[linux/amd64 5/5] RUN c"), false),
            ran(vertex('0', "", &theirs(1, "FROM base")), false),
            ran(vertex('1', "0", &theirs(2, "RUN a")), false),
            ran(vertex('2', "1", &theirs(3, "COPY f f")), false),
            ran(vertex('3', "2", &theirs(4, "RUN b")), false),
        ]
    }

    #[test]
    fn what_another_build_does_instead_is_no_step_of_this_one() {
        // Of a stage that this one does not have; of one that is called as this one's; without the platform.
        for name in ["tools ", "linux/amd64 tools ", ""] {
            let events = merged(name);
            let counts = model(events.clone()).counts();
            assert_eq!((counts.total, counts.of(State::Hit), counts.of(State::Miss)), (5, 3, 2), "{name}");
            assert!(steps(events).iter().all(|step| step.starts_with("linux/amd64 ")), "{name}");
        }
    }

    #[test]
    fn a_step_that_never_starts_is_done_by_its_twin() {
        let mut events = merged("tools ");
        events[2] = vertex('b', "1", "[linux/amd64 3/5] COPY f f");
        events[3] = vertex('c', "b", "[linux/amd64 4/5] RUN b");
        let counts = model(events).counts();
        assert_eq!((counts.total, counts.of(State::Hit), counts.of(State::Miss)), (5, 1, 4));
    }

    #[test]
    fn a_build_for_one_platform_has_no_steps_of_several() {
        let mut events = vec![
            started("linux/arm64"),
            outline(&["FROM base", "RUN a", "RUN b"]),
            ran(vertex('c', "b", "[3/3] RUN b"), true),
            ran(vertex('b', "0", "[2/3] RUN a"), true),
            ran(vertex('0', "", "[linux/arm64 1/3] FROM base"), false),
        ];
        assert_eq!(
            steps(events.clone()),
            ["linux/arm64 1/3 FROM base", "linux/arm64 2/3 RUN a", "linux/arm64 3/3 RUN b"]
                .map(|step| step.replace("linux/arm64", "-"))
        );
        events.push(ran(vertex('2', "0", "[linux/arm64 2/3] RUN a"), false));
        events.push(ran(vertex('3', "2", "[linux/arm64 3/3] RUN b"), false));
        assert_eq!(model(events).counts().total, 3);
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
