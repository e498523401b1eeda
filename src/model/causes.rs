//! The causes of a build's misses: what was rebuilt for itself, what follows from it, and what that cost. Whoever names a cause, counts
//! what follows from it or says what it cost takes it from here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::{Model, Outcome, State, StepId};
use crate::event::reason::{Reason, ReasonKind};

/// Causes whose cost is worked out; of more, those whose steps ran longest.
const MOST_COSTED: usize = 64;

/// A cause, with all that it makes run, over the platforms.
#[derive(Debug, Clone)]
pub struct RootCause {
    /// The steps that it begins at. The first is the one to name: of those of one platform, the one with most behind it.
    pub roots: Vec<StepId>,
    /// The steps that follow from these: those that ran, and while the build runs those that are built on them and have not begun.
    pub followers: Vec<StepId>,
    /// How many layers the followers are, those that the roots are in left out. A step of no layer counts as one.
    pub layers: usize,
    /// The reason of the first root.
    pub reason: Reason,
    /// How long all of these ran, added up over steps and platforms.
    pub time: Duration,
    /// What it cost the build: how much earlier that would have ended had all of these been hits. In a plan as `time`.
    pub cost: Duration,
}

/// The causes of a build's misses, those that cost most first, and of those that cost the same the topmost.
pub fn causes(model: &Model) -> Vec<RootCause> {
    if !model.has_reasons() && !model.is_plan() {
        return Vec::new();
    }
    let build = BuildMisses::of(model);
    let mut found: Vec<RootCause> = Vec::new();
    for (id, reason) in build.missed.iter().filter(|(_, reason)| reason.follows.is_none()) {
        match found.iter_mut().find(|cause| build.is_one(cause, *id, reason)) {
            Some(cause) => cause.roots.push(*id),
            None => found.push(RootCause {
                roots: vec![*id],
                followers: Vec::new(),
                layers: 0,
                reason: (*reason).clone(),
                time: Duration::ZERO,
                cost: Duration::ZERO,
            }),
        }
    }
    for cause in &mut found {
        build.complete(cause);
    }
    found.sort_by_key(|cause| std::cmp::Reverse(cause.time));
    let lists: Vec<Vec<StepId>> = found.iter().take(MOST_COSTED).map(RootCause::steps).collect();
    if model.is_plan() {
        for cause in &mut found {
            cause.cost = cause.time;
        }
    } else {
        for (cause, cost) in found.iter_mut().zip(model.costs(&lists)) {
            cause.cost = cost;
        }
    }
    let place = |cause: &RootCause| cause.roots.iter().map(|id| build.place(*id)).min();
    found.sort_by_key(|cause| (std::cmp::Reverse((cause.cost, cause.followers.len())), place(cause)));
    found
}

impl RootCause {
    fn steps(&self) -> Vec<StepId> {
        self.roots.iter().chain(&self.followers).copied().collect()
    }
}

/// What is asked of a build to find its causes.
struct BuildMisses<'a> {
    model: &'a Model,
    /// The row that each step stands in, and the layer of it, or its instruction.
    rows: HashMap<StepId, (usize, &'a str)>,
    /// What is built on each step.
    users: HashMap<StepId, Vec<StepId>>,
    /// What missed for a reason that is known, in the Dockerfile's order.
    missed: Vec<(StepId, &'a Reason)>,
}

impl<'a> BuildMisses<'a> {
    fn of(model: &'a Model) -> Self {
        let mut rows = HashMap::new();
        for (at, row) in model.stack().groups().iter().flat_map(|group| &group.rows).enumerate() {
            let layer = row.layer.as_ref().unwrap_or(&row.instruction).as_str();
            rows.extend(row.steps.iter().map(|step| (*step, (at, layer))));
        }
        let mut users: HashMap<StepId, Vec<StepId>> = HashMap::new();
        for (id, _) in model.stack().steps() {
            for base in model.built_on(id) {
                users.entry(base).or_default().push(id);
            }
        }
        let missed = model.stack().steps().map(|(id, _)| id).filter(|id| model.missed(*id));
        let mut missed: Vec<_> = missed.filter_map(|id| Some((id, model.reason_of(id)?))).collect();
        missed.sort_by_key(|(id, _)| rows.get(id).map(|(at, _)| *at));
        Self { model, rows, users, missed }
    }

    fn place(&self, id: StepId) -> usize {
        self.rows.get(&id).map_or(usize::MAX, |(at, _)| *at)
    }

    fn is_from(&self, id: StepId) -> bool {
        self.model.stack().step(id).is_some_and(|step| step.name.is_from())
    }

    fn time(&self, id: StepId) -> Duration {
        let (model, now) = (self.model, self.model.newest());
        if model.is_plan() { model.planned_time(id) } else { model.took(id, now) }
    }

    /// Whether a step misses for a cause that is known already: it is the same instruction on another platform, or a cache lost both,
    /// or the one is built on the other.
    fn is_one(&self, cause: &RootCause, id: StepId, reason: &Reason) -> bool {
        if cause.reason.kind != reason.kind {
            return false;
        }
        let row = self.place(id);
        if cause.roots.iter().any(|root| self.place(*root) == row) {
            return true;
        }
        if !cause.reason.is_same(reason) {
            return false;
        }
        let all_from = self.is_from(id) && cause.roots.iter().all(|root| self.is_from(*root));
        let some_from = self.is_from(id) || cause.roots.iter().any(|root| self.is_from(*root));
        match reason.kind {
            ReasonKind::BaseMoved => true,
            // That the builder had to fetch a base image is no cause of what ran on it.
            _ if some_from && !all_from => false,
            kind if is_cache(kind) => true,
            _ => self.behind(&cause.roots).contains(&id),
        }
    }

    /// All that is built on these steps.
    fn behind(&self, roots: &[StepId]) -> HashSet<StepId> {
        let mut found = HashSet::new();
        let mut queue: VecDeque<StepId> = roots.iter().copied().collect();
        while let Some(id) = queue.pop_front() {
            for user in self.users.get(&id).into_iter().flatten() {
                if found.insert(*user) {
                    queue.push_back(*user);
                }
            }
        }
        found
    }

    /// Whether a step follows from a root with such a reason that it is built on.
    fn follows(&self, reason: &Reason, id: StepId) -> bool {
        let model = self.model;
        let own = model.reason_of(id);
        if !reason.kind.is_change() && own.is_some_and(|own| own.kind != reason.kind && own.root) {
            return false;
        }
        // A directory is mostly there.
        let is_quick = || model.stack().step(id).is_some_and(|step| step.name.is_workdir());
        let comes = || {
            !model.is_plan()
                && model.outcome() == Outcome::Running
                && model.state(id) == State::Waiting
                && !is_quick()
        };
        !self.is_from(id) && (model.missed(id) || comes())
    }

    /// Finds what follows from a cause.
    fn complete(&self, cause: &mut RootCause) {
        let digests: Vec<_> = cause.roots.iter().filter_map(|id| self.model.digest_of(*id)).collect();
        let told = self.missed.iter().filter(|(_, reason)| {
            reason.follows.as_ref().is_some_and(|root| digests.contains(&&root.digest))
        });
        let mut followers: HashSet<StepId> = told.map(|(id, _)| *id).collect();
        let fetched =
            cause.roots.first().is_some_and(|id| self.is_from(*id)) && !cause.reason.kind.is_change();
        if !fetched {
            let behind = self.behind(&cause.roots);
            followers.extend(behind.into_iter().filter(|id| self.follows(&cause.reason, *id)));
        }
        // What is built on one of the roots follows from it, whatever was said of it.
        let first: Vec<StepId> = {
            let behind = self.behind(&cause.roots);
            let top = cause.roots.iter().copied().filter(|id| !behind.contains(id));
            top.collect()
        };
        if !first.is_empty() {
            followers.extend(cause.roots.iter().copied().filter(|id| !first.contains(id)));
            cause.roots = first;
        }
        followers.retain(|id| !cause.roots.contains(id));
        cause.followers = followers.into_iter().collect();
        cause.followers.sort_by_key(|id| (self.place(*id), *id));
        let weight = |root: &StepId| -> Duration {
            let behind = self.behind(&[*root]);
            let own = cause.followers.iter().filter(|id| behind.contains(id));
            own.map(|id| self.time(*id)).sum::<Duration>() + self.time(*root)
        };
        let mut roots: Vec<(Duration, StepId)> = cause.roots.iter().map(|id| (weight(id), *id)).collect();
        let rows: HashMap<usize, Duration> = roots.iter().fold(HashMap::new(), |mut rows, (time, id)| {
            let sum: &mut Duration = rows.entry(self.place(*id)).or_default();
            *sum += *time;
            rows
        });
        let row = |id: StepId| rows.get(&self.place(id)).copied().unwrap_or_default();
        roots.sort_by_key(|(_, id)| (std::cmp::Reverse(row(*id)), self.place(*id), *id));
        cause.roots = roots.into_iter().map(|(_, id)| id).collect();
        if let Some(reason) = cause.roots.first().and_then(|id| self.model.reason_of(*id)) {
            cause.reason = reason.clone();
        }
        let layer = |id: &StepId| self.rows.get(id).map(|(_, layer)| *layer);
        let own: HashSet<_> = cause.roots.iter().filter_map(layer).collect();
        let more: HashSet<_> =
            cause.followers.iter().filter_map(layer).filter(|layer| !own.contains(layer)).collect();
        cause.layers = more.len();
        cause.time = cause.steps().into_iter().map(|id| self.time(id)).sum();
    }
}

/// Whether it is about what a cache holds: one that was lost, or never filled, lost all that it held.
fn is_cache(kind: ReasonKind) -> bool {
    !kind.is_change() && kind != ReasonKind::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::reason::{Reasons, StepAt, StepReason};
    use crate::event::{Digest, Ended, Event, Platform, Stamped, Started, Time, VertexUpdate};

    fn digest(id: char) -> Digest {
        Digest::parse(&format!("sha256:{}", id.to_string().repeat(64)))
    }

    /// A vertex that ran from one second to another, or has not begun.
    fn vertex(id: char, inputs: &str, name: &str, ran: Option<(i64, i64)>) -> Event {
        let at = |second: i64| Time::from_micros(second * 1_000_000);
        Event::Vertex(VertexUpdate {
            digest: digest(id),
            name: name.into(),
            inputs: inputs.chars().map(digest).collect(),
            started: ran.map(|(start, _)| at(start)),
            completed: ran.map(|(_, end)| at(end)),
            cached: false,
            error: None,
            group: None,
        })
    }

    fn reason(id: char, kind: ReasonKind, because: &str, follows: Option<char>) -> StepReason {
        let at = |id| StepAt { digest: digest(id), stage: None, index: 2, platform: None };
        let (root, follows) = (follows.is_none(), follows.map(at));
        StepReason {
            vertex: digest(id),
            reason: Reason { kind, root, follows, because: because.into(), ..Reason::default() },
        }
    }

    fn model(events: Vec<Event>, reasons: Vec<StepReason>) -> Model {
        let mut model = Model::default();
        let stamp = |event| Stamped { at: Time::from_micros(0), event };
        let mut all: Vec<Stamped> = events.into_iter().map(stamp).collect();
        all.push(stamp(Event::Reasons(Box::new(Reasons { reasons }))));
        model.apply_all(&all);
        model
    }

    /// A list of packages that was changed, on two platforms: what follows takes 8 s on the one and 5 s on the other.
    fn two_platforms(is_over: bool) -> Model {
        let then = |ran| Some(ran).filter(|_| is_over);
        let platforms = Platform::parse_list("linux/amd64,linux/arm64");
        let mut events = vec![Event::Started(Started { platforms, ..Started::default() })];
        events.extend([
            vertex('1', "", "[linux/amd64 1/4] FROM base", Some((0, 0))),
            vertex('2', "1", "[linux/amd64 2/4] COPY requirements.txt .", Some((0, 1))),
            vertex('3', "2", "[linux/amd64 3/4] RUN pip install -r requirements.txt", then((1, 8))),
            vertex('4', "3", "[linux/amd64 4/4] RUN make", then((8, 9))),
            vertex('a', "", "[linux/arm64 1/4] FROM base", Some((0, 0))),
            vertex('b', "a", "[linux/arm64 2/4] COPY requirements.txt .", Some((0, 1))),
            vertex('c', "b", "[linux/arm64 3/4] RUN pip install -r requirements.txt", then((1, 5))),
            vertex('d', "c", "[linux/arm64 4/4] RUN make", then((5, 6))),
        ]);
        let root = |id| reason(id, ReasonKind::FilesChanged, "requirements.txt changed", None);
        let mut reasons = vec![root('2'), root('b')];
        if is_over {
            let follows = |id, root| reason(id, ReasonKind::ParentMissed, "step 2 was rebuilt", Some(root));
            reasons.extend([follows('3', '2'), follows('4', '2'), follows('c', 'b'), follows('d', 'b')]);
        }
        let mut model = model(events, reasons);
        if is_over {
            let at = Time::from_micros(10_000_000);
            model.apply(&Stamped { at, event: Event::Ended(Ended::with(Some(0))) });
        }
        model
    }

    #[test]
    fn what_follows_is_known_before_it_begins_and_is_the_same_at_the_end() {
        for is_over in [false, true] {
            let found = causes(&two_platforms(is_over));
            let [only] = found.as_slice() else { panic!("{found:?}") };
            // pip's own layer begins with the list; make is the one that follows.
            assert_eq!((only.roots.len(), only.followers.len(), only.layers), (2, 4, 1), "{is_over}");
        }
    }

    #[test]
    fn platforms_side_by_side_cost_what_the_longer_one_took() {
        let found = causes(&two_platforms(true));
        assert_eq!(found[0].cost, Duration::from_secs(9));
        assert_eq!(found[0].time, Duration::from_secs(15), "the sum is another number");
    }

    #[test]
    fn of_two_changes_the_one_that_the_other_is_built_on_comes_first() {
        let events = vec![
            vertex('1', "", "[1/4] FROM base", Some((0, 0))),
            vertex('2', "1", "[2/4] COPY a a", Some((0, 1))),
            vertex('3', "2", "[3/4] COPY b b", Some((1, 2))),
            vertex('4', "3", "[4/4] RUN make", Some((2, 9))),
        ];
        let own = |id, because| reason(id, ReasonKind::FilesChanged, because, None);
        let follows = reason('4', ReasonKind::ParentMissed, "step 3 was rebuilt", Some('3'));
        let model = model(events, vec![own('3', "b changed"), own('2', "a changed"), follows]);
        let found = causes(&model);
        let told: Vec<_> =
            found.iter().map(|cause| (cause.reason.because.as_str(), cause.followers.len())).collect();
        assert_eq!(told, [("a changed", 2), ("b changed", 1)]);
    }

    #[test]
    fn what_a_cache_lost_is_one_cause_in_all_stages() {
        let events = vec![
            vertex('1', "", "[tools 1/2] FROM base", Some((0, 0))),
            vertex('2', "1", "[tools 2/2] RUN ffmpeg", Some((0, 1))),
            vertex('3', "1", "[app 2/4] RUN conda", Some((0, 6))),
            vertex('4', "3", "[app 3/4] RUN more", Some((6, 8))),
            vertex('5', "42", "[app 4/4] COPY --from=tools /a /a", Some((8, 9))),
        ];
        let lost = |id, follows| reason(id, ReasonKind::Evicted, "it was pruned", follows);
        let model =
            model(events, vec![lost('2', None), lost('3', None), lost('4', Some('3')), lost('5', Some('3'))]);
        let found = causes(&model);
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((only.roots.len(), only.followers.len()), (2, 2));
        let first = model.stack().step(only.roots[0]).unwrap();
        assert_eq!(first.name.instruction.as_str(), "RUN conda", "what has most behind it is named");
    }
}
