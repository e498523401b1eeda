//! The judgement, of builds made of events.

use std::sync::Arc;

use super::Past;
use crate::event::builder::BuilderSnapshot;
use crate::event::evidence::{CacheManifest, CacheRecord, ListingTime, Records};
use crate::event::fingerprint::{
    Context, File, FileKind, FileSet, Fingerprint, Gap, Hash, Input, Mount, MountKind, Origin, RULES, Source,
    Stage, Step, StepKind, Variable,
};
use crate::event::reason::{Reason, ReasonGrade, ReasonKind, Reasons, StepReason};
use crate::event::{Digest, Ended, Event, Platform, Stamped, Started, Text, Time, VertexUpdate};
use crate::model::Model;
use crate::wording;

const AMD: &str = "linux/amd64";
const ARM: &str = "linux/arm64";

/// The reasons in words.
fn judge(model: &Model, pasts: &[Past]) -> Vec<StepReason> {
    let mut reasons = super::judge(model, pasts);
    wording::fill(&mut reasons);
    reasons
}

/// What became of a step.
#[derive(Clone, Copy, PartialEq)]
enum Got {
    Hit,
    Ran,
    Not,
}

use Got::{Hit, Not, Ran};

/// A build of one stage.
#[derive(Clone)]
struct Build {
    /// Empty: it names none.
    image: &'static str,
    /// The project's; empty: not known.
    folder: &'static str,
    /// Empty: none is named.
    builder: &'static str,
    /// The one that was watched beside it; empty: none was.
    watched: &'static str,
    platforms: Vec<&'static str>,
    words: Vec<&'static str>,
    digest: char,
    /// Instruction, and what became of it on each platform.
    steps: Vec<(&'static str, Vec<Got>)>,
    /// Files: path, hash, mode.
    files: Vec<(&'static str, u8, u16)>,
    /// Variables of each `RUN`.
    args: Vec<(&'static str, &'static str)>,
    print: bool,
    /// Error of the import; none: there is no import.
    import: Option<&'static str>,
    /// Descriptions of the records before the build; none: they were not listed.
    before: Option<Vec<&'static str>>,
    /// The same after it.
    after: Vec<&'static str>,
    config_bytes: u64,
}

fn build() -> Build {
    Build {
        image: "r/app:1",
        folder: "",
        builder: "b",
        watched: "",
        platforms: vec![AMD],
        words: Vec::new(),
        digest: 'a',
        steps: vec![
            ("FROM img:1", vec![Hit]),
            ("COPY list.txt .", vec![Ran]),
            ("RUN --mount=type=secret,id=token make", vec![Ran]),
        ],
        files: vec![("list.txt", 1, 0o644)],
        args: vec![("V", "1")],
        print: true,
        import: None,
        before: Some(Vec::new()),
        after: vec!["[2/3] COPY list.txt .", "mount / from exec /bin/sh -c make"],
        config_bytes: 0,
    }
}

impl Build {
    fn got(mut self, got: &[Got]) -> Self {
        for ((_, own), got) in self.steps.iter_mut().zip(got) {
            *own = vec![*got; self.platforms.len()];
        }
        self
    }

    /// With the records that an earlier build has left.
    fn kept(mut self) -> Self {
        self.before = Some(vec!["[2/3] COPY list.txt .", "mount / from exec /bin/sh -c make"]);
        self
    }

    fn fingerprint(&self) -> Fingerprint {
        let text = |text: &str| Text::clean(text);
        let hash = |parts: &[&str]| {
            let mut bytes = [0_u8; 16];
            for (at, byte) in parts.iter().flat_map(|part| part.bytes()).enumerate() {
                bytes[at % 16] = bytes[at % 16].wrapping_mul(31).wrapping_add(byte);
            }
            Hash(bytes)
        };
        let file = |(path, content, mode): &(&str, u8, u16)| File {
            name: text(path),
            kind: FileKind::File,
            mode: *mode,
            size: Some(u64::from(*content) * 10),
            hash: Some(Hash([*content; 16])),
            ..File::default()
        };
        let set = FileSet {
            pattern: text("list.txt"),
            hash: hash(&[&format!("{:?}", self.files)]),
            count: self.files.len() as u64,
            complete: true,
            listed: true,
            ranges: vec![(0, self.files.len() as u32)],
            ..FileSet::default()
        };
        let variable = |(name, value): &(&str, &str)| {
            let secret = name.contains("TOKEN");
            Variable {
                name: text(name),
                origin: Origin::BuildArg,
                secret,
                value: (!secret).then(|| text(value)),
                hash: hash(&[value]),
                line: 1,
            }
        };
        let args = format!("{:?}", self.args);
        let files = format!("{:?}", self.files);
        let step = |(at, (instruction, _)): (usize, &(&str, Vec<Got>))| {
            let kind = match instruction.split(' ').next() {
                Some("FROM") => StepKind::From,
                Some("COPY") => StepKind::Copy,
                Some("ADD") => StepKind::Add,
                _ => StepKind::Run,
            };
            let remote = instruction.contains("https://");
            let from = if remote { Input::Remote(text("https://x")) } else { Input::Context(0) };
            let source = Source { path: text("list.txt"), from: Some(from), set: (!remote).then_some(0) };
            let copies = matches!(kind, StepKind::Copy | StepKind::Add);
            let secret = Mount { kind: MountKind::Secret, id: Some(text("token")), ..Mount::default() };
            Step {
                kind,
                hash: match kind {
                    StepKind::Run => hash(&[instruction, &args]),
                    StepKind::Copy => hash(&[instruction, &files]),
                    _ => hash(&[instruction]),
                },
                keyed: kind == StepKind::Run && args.contains("TOKEN"),
                complete: !remote,
                gaps: if remote { vec![Gap::Remote] } else { Vec::new() },
                instruction: text(instruction),
                line: at as u32 + 1,
                env: if kind == StepKind::Run { (0..self.args.len() as u32).collect() } else { Vec::new() },
                mounts: if instruction.contains("secret") { vec![secret] } else { Vec::new() },
                sources: if copies { vec![source] } else { Vec::new() },
                ..Step::default()
            }
        };
        let stage = |platform: &&str| Stage {
            target: Platform::parse(platform),
            is_target: true,
            base: Input::Image(text("img:1")),
            steps: self.steps.iter().enumerate().map(step).collect(),
            ..Stage::default()
        };
        Fingerprint {
            rules: RULES,
            key: text("k"),
            dockerfile: Some(text("Dockerfile")),
            contexts: vec![Context { files: self.files.iter().map(file).collect(), ..Context::default() }],
            sets: vec![set],
            variables: self.args.iter().map(variable).collect(),
            stages: self.platforms.iter().map(stage).collect(),
            ..Fingerprint::default()
        }
    }

    fn listing(when: ListingTime, descriptions: &[&str]) -> Event {
        let record = |description: &&str| CacheRecord {
            id: Text::clean(&format!("r-{description}")),
            kind: "regular".into(),
            description: Text::clean(description),
            bytes: 100,
            ..CacheRecord::default()
        };
        let records: Vec<CacheRecord> = descriptions.iter().map(record).collect();
        // Behind a build only those are told that are new or were used.
        let total = records.len() as u64 + u64::from(when == ListingTime::After);
        Event::Records(Arc::new(Records { when, total, records, ..Records::default() }))
    }

    fn events(&self) -> Vec<Event> {
        let known = |text: &str| Some(Text::from(text)).filter(|text| !text.is_empty());
        let mut events = vec![Event::Started(Started {
            image: known(self.image),
            folder: known(self.folder),
            builder: known(self.builder),
            platforms: self.platforms.iter().filter_map(|name| Platform::parse(name)).collect(),
            command: self.words.iter().map(|word| Text::clean(word)).collect(),
            ..Started::default()
        })];
        if !self.watched.is_empty() {
            let snapshot = BuilderSnapshot { name: self.watched.into(), ..BuilderSnapshot::default() };
            events.push(Event::Builder(Box::new(snapshot)));
        }
        if self.print {
            events.push(Event::Fingerprint(Box::new(self.fingerprint())));
        }
        events.extend(self.before.as_ref().map(|before| Self::listing(ListingTime::Before, before)));
        if self.config_bytes > 0 {
            let manifest = CacheManifest {
                reference: "r/app:cache".into(),
                config_bytes: self.config_bytes,
                ..CacheManifest::default()
            };
            events.push(Event::CacheManifest(Box::new(manifest)));
        }
        let at = Some(Time::from_micros(5));
        if let Some(error) = self.import {
            events.push(Event::Vertex(VertexUpdate {
                digest: Digest::parse("import"),
                name: "importing cache manifest from r/app:cache".into(),
                inputs: Vec::new(),
                started: at,
                completed: at,
                cached: false,
                error: (!error.is_empty()).then(|| error.into()),
                group: None,
            }));
        }
        let of = self.steps.len();
        for (column, platform) in self.platforms.iter().enumerate() {
            for (index, (instruction, got)) in self.steps.iter().enumerate() {
                let ran = got[column] != Not;
                let text = match instruction.strip_prefix("FROM ") {
                    Some(image) => format!("FROM {image}@sha256:{}", self.digest.to_string().repeat(64)),
                    None => (*instruction).to_owned(),
                };
                let digest = |index: usize| Digest::parse(&format!("{platform} {index}"));
                events.push(Event::Vertex(VertexUpdate {
                    digest: digest(index),
                    name: Text::clean(&format!("[{platform} {}/{of}] {text}", index + 1)),
                    inputs: index.checked_sub(1).map(digest).into_iter().collect(),
                    started: at.filter(|_| ran),
                    completed: at.filter(|_| ran),
                    cached: got[column] == Hit && index > 0,
                    error: None,
                    group: None,
                }));
            }
        }
        events.push(Self::listing(ListingTime::After, &self.after));
        events.push(Event::Ended(Ended::with(Some(0))));
        events
    }

    fn model(&self) -> Model {
        let mut model = Model::default();
        let stamped = |event| Stamped { at: Time::from_micros(9), event };
        model.apply_all(&self.events().into_iter().map(stamped).collect::<Vec<_>>());
        model
    }

    fn past(&self, name: &str) -> Past {
        Past::of(name.into(), &self.model())
    }

    /// The reasons by step, on the first platform unless told otherwise.
    fn reasons(&self, pasts: &[Past]) -> Vec<Option<Reason>> {
        let mut model = self.model();
        let reasons = judge(&model, pasts);
        // What is judged twice is the same.
        assert_eq!(judge(&model, pasts), reasons);
        let told = Event::Reasons(Box::new(Reasons { reasons }));
        model.apply(&Stamped { at: Time::from_micros(9), event: told });
        let ids: Vec<_> = model.stack().steps().map(|(id, _)| id).collect();
        for id in &ids {
            assert_eq!(
                model.missed(*id),
                model.reason_of(*id).is_some(),
                "each miss has a reason, and no other step"
            );
        }
        ids.into_iter().map(|id| model.reason_of(id).cloned()).collect()
    }
}

/// Kind, grade, and the number of the step that it follows from.
type Told = Option<(ReasonKind, ReasonGrade, Option<u16>)>;

fn short(reason: Option<&Reason>) -> Told {
    let reason = reason?;
    assert_eq!(reason.root, reason.follows.is_none(), "{reason:?}");
    Some((reason.kind, reason.grade, reason.follows.as_ref().map(|at| at.index)))
}

fn told(reasons: &[Option<Reason>]) -> Vec<Told> {
    reasons.iter().map(|reason| short(reason.as_ref())).collect()
}

fn text(reason: Option<&Reason>) -> String {
    reason.map(|reason| format!("{reason:?}")).unwrap_or_default()
}

use ReasonGrade::{Likely, Proven};
use ReasonKind::{
    ArgChanged, BaseMoved, ConfigTooLarge, Evicted, FilesChanged, FirstBuild, ImportFailed,
    InstructionChanged, ManifestMissing, NoCache, OtherBuilder, ParentMissed, PlatformNotCached, Uncacheable,
    Unknown,
};

#[test]
fn what_changed_is_the_cause_and_the_rest_follows() {
    let past = [build().past("one")];
    let mut changed = build().kept();
    changed.files = vec![("list.txt", 2, 0o644)];
    let reasons = changed.reasons(&past);
    assert_eq!(
        told(&reasons),
        [None, Some((FilesChanged, Proven, None)), Some((ParentMissed, Proven, Some(2)))]
    );
    assert_eq!(reasons[1].as_ref().unwrap().because.as_str(), "list.txt changed");

    let with = |lines: [&str; 2]| {
        let mut model = changed.model();
        let mut print = changed.fingerprint();
        print.contexts[0].files[0].lines = lines.map(Text::clean).to_vec();
        model.apply(&Stamped { at: Time::from_micros(9), event: Event::Fingerprint(Box::new(print)) });
        model
    };
    let mut before = build().past("one");
    let print = before.fingerprint.as_mut().unwrap();
    print.contexts[0].files[0].lines = vec!["a".into(), "numpy==1".into()];
    let reasons = judge(&with(["a", "numpy==2"]), &[before]);
    assert_eq!(reasons[0].reason.because.as_str(), "list.txt changed: -numpy==1, +numpy==2");

    let mut mode = build().kept();
    mode.files = vec![("list.txt", 1, 0o755)];
    let reasons = mode.reasons(&past);
    assert_eq!(
        reasons[1].as_ref().unwrap().because.as_str(),
        "the mode of list.txt changed from 0644 to 0755"
    );

    let mut renamed = build().kept();
    renamed.files = vec![("new.txt", 1, 0o644)];
    let reasons = renamed.reasons(&past);
    assert_eq!(reasons[1].as_ref().unwrap().because.as_str(), "list.txt was renamed to new.txt");

    let mut argument = build().kept().got(&[Hit, Hit, Ran]);
    argument.args = vec![("V", "2")];
    let reasons = argument.reasons(&past);
    assert_eq!(told(&reasons), [None, None, Some((ArgChanged, Proven, None))]);
    assert!(text(reasons[2].as_ref()).contains("V changed: 1 → 2"));
    assert!(text(reasons[2].as_ref()).contains("the value of its secret token is no reason"));

    let mut instruction = build().kept().got(&[Hit, Hit, Ran]);
    instruction.steps[2].0 = "RUN --mount=type=secret,id=token make all";
    let reasons = instruction.reasons(&past);
    assert_eq!(told(&reasons), [None, None, Some((InstructionChanged, Proven, None))]);
    assert_eq!(reasons[2].as_ref().unwrap().because.as_str(), "its instruction changed: `all` is new");

    let mut more = build().kept().got(&[Hit, Hit, Ran]);
    more.steps.insert(2, ("RUN new", vec![Ran]));
    let expected =
        [None, None, Some((InstructionChanged, Proven, None)), Some((ParentMissed, Proven, Some(3)))];
    assert_eq!(told(&more.reasons(&past)), expected);

    let mut fewer = build().kept().got(&[Hit, Ran, Ran]);
    fewer.steps.remove(1);
    let reasons = fewer.reasons(&past);
    assert_eq!(told(&reasons), [None, Some((InstructionChanged, Proven, None))]);
    assert!(text(reasons[1].as_ref()).contains("- COPY list.txt ."));

    let mut base = build().kept();
    base.digest = 'b';
    let expected = [None, Some((BaseMoved, Proven, None)), Some((ParentMissed, Proven, Some(2)))];
    assert_eq!(told(&base.reasons(&past)), expected);
}

#[test]
fn a_second_cause_is_one_of_its_own() {
    let mut both = build().kept();
    both.files = vec![("list.txt", 2, 0o644)];
    both.args = vec![("V", "2")];
    let expected = [None, Some((FilesChanged, Proven, None)), Some((ArgChanged, Proven, None))];
    assert_eq!(told(&both.reasons(&[build().past("one")])), expected);
    // One argument that several commands see is one cause.
    let two = |args: &[(&'static str, &'static str)]| {
        let mut two = build().kept();
        two.steps[1].0 = "RUN first";
        two.args = args.to_vec();
        two
    };
    let past = [two(&[("V", "1")]).past("one")];
    let expected = [None, Some((ArgChanged, Proven, None)), Some((ParentMissed, Proven, Some(2)))];
    assert_eq!(told(&two(&[("V", "2")]).reasons(&past)), expected);
}

#[test]
fn secrets_are_named_and_not_told() {
    let with = |value: &'static str| {
        let mut build = build().kept().got(&[Hit, Hit, Ran]);
        build.args = vec![("API_TOKEN", value)];
        build
    };
    let reasons = with("swordfish").reasons(&[with("hunter2").past("one")]);
    assert_eq!(told(&reasons), [None, None, Some((ArgChanged, Proven, None))]);
    let all = text(reasons[2].as_ref());
    assert!(all.contains("API_TOKEN changed (a secret, not shown)"), "{all}");
    assert!(!all.contains("swordfish") && !all.contains("hunter2"), "{all}");
}

#[test]
fn what_was_lost_is_judged_by_the_caches() {
    let past = [build().past("one")];
    let follow = |kind, grade| [None, Some((kind, grade, None)), Some((kind, grade, Some(2)))];
    let with = |import, before: Option<Vec<&'static str>>| Build { import, before, ..build() };
    let gone = || Some(vec!["[2/3] COPY other ."]);

    assert_eq!(told(&with(None, gone()).reasons(&past)), follow(Evicted, Proven), "only these are gone");
    let emptied = with(None, Some(Vec::new())).reasons(&past);
    assert_eq!(told(&emptied), follow(Evicted, Proven));
    assert_eq!(emptied[1].as_ref().unwrap().because.as_str(), "the builder's cache was emptied");
    assert_eq!(
        told(&with(None, None).reasons(&past)),
        follow(Evicted, Likely),
        "nobody has listed the records"
    );
    let missing = with(Some("r/app:cache: not found"), Some(Vec::new()));
    assert_eq!(told(&missing.reasons(&past)), follow(ManifestMissing, Proven));
    let failed = with(Some("dial tcp: connection refused"), Some(Vec::new()));
    assert_eq!(told(&failed.reasons(&past)), follow(ImportFailed, Proven));
    let large = Build { config_bytes: 2 << 20, ..with(Some(""), Some(Vec::new())) };
    assert_eq!(told(&large.reasons(&past)), follow(ConfigTooLarge, Proven));
    // All is as it was, and the results are still there: whoever says more than that guesses.
    let kept = build().kept().reasons(&past);
    assert_eq!(told(&kept), follow(Unknown, ReasonGrade::Unknown));
}

/// A working directory is called cached whenever it is there: it parts no step from what it is built on.
#[test]
fn what_was_lost_behind_a_working_directory_is_one_cause() {
    let steps = [("FROM img:1", Hit), ("RUN a", Ran), ("WORKDIR /x", Hit), ("RUN b", Ran)];
    let steps = steps.map(|(text, got)| (text, vec![got])).to_vec();
    let lost = Build { steps, before: Some(Vec::new()), ..build() };
    let reasons = lost.reasons(&[lost.past("one")]);
    let root = Some((Evicted, Proven, None));
    assert_eq!(told(&reasons), [None, root, None, Some((Evicted, Proven, Some(2)))]);
}

#[test]
fn where_it_was_never_built_it_is_the_first_time() {
    let follow = |kind, grade| [None, Some((kind, grade, None)), Some((kind, grade, Some(2)))];
    assert_eq!(told(&build().reasons(&[])), follow(FirstBuild, Proven));
    assert_eq!(told(&build().kept().reasons(&[])), follow(FirstBuild, Likely), "somebody has built it");
    // What is built on a step that was cached was built before, most likely, and was another then.
    let unlisted = Build { before: None, ..build() };
    assert_eq!(told(&unlisted.reasons(&[])), follow(FirstBuild, Likely));
    let partly = unlisted.got(&[Hit, Hit, Ran]);
    assert_eq!(told(&partly.reasons(&[])), [None, None, Some((Unknown, ReasonGrade::Unknown, None))]);
    let down = Build { import: Some("connection refused"), ..build() };
    assert_eq!(told(&down.reasons(&[])), follow(ImportFailed, Likely));
    let elsewhere = Build { builder: "other", ..build() };
    assert_eq!(told(&build().reasons(&[elsewhere.past("one")])), follow(OtherBuilder, Likely));

    let both = Build { platforms: vec![AMD, ARM], ..build() };
    let mut both = both.got(&[Hit, Hit, Hit]);
    both.steps[1].1 = vec![Hit, Ran];
    both.steps[2].1 = vec![Hit, Ran];
    let reasons = both.reasons(&[build().past("one")]);
    let expected = follow(PlatformNotCached, Proven);
    assert_eq!(told(&reasons), [&[None, None, None][..], &expected].concat());
}

/// buildx's current builder has any name; it is said where it is known, and is nobody's default one.
#[test]
fn a_builder_that_was_not_named_gets_no_name() {
    let because = |old: &'static str, now: &'static str, watched: &'static str| {
        let past = Build { builder: old, ..build() }.past("one");
        let reason = Build { builder: now, watched, ..build() }.reasons(&[past])[1].clone().unwrap();
        assert!(!text(Some(&reason)).contains("default builder"), "{reason:?}");
        (reason.kind, reason.because.to_string())
    };
    let other = |text: &str| (OtherBuilder, text.to_owned());
    assert_eq!(because("a", "b", ""), other("the last build ran on a, and this one on b"));
    assert_eq!(because("a", "", "b"), other("the last build ran on a, and this one on b"));
    assert_eq!(because("a", "", ""), other("the last build ran on a, and this one names no builder"));
    assert_eq!(because("", "b", ""), other("the last build named no builder, and this one ran on b"));
    assert_ne!(because("b", "", "b").0, OtherBuilder, "it is the same one");
}

/// What is *proven* of a build rests on one of the same project.
#[test]
fn builds_without_an_image_are_compared_within_their_project() {
    let kind = |theirs: &'static str, ours: &'static str, print: bool, before: &[&'static str]| {
        let mut past = Build { image: "", folder: theirs, print, ..build() };
        past.steps.splice(1..2, before.iter().map(|text| (*text, vec![Ran])));
        let mut now = Build { image: "", folder: ours, print, ..build() };
        now.steps.splice(1..2, ["COPY list.txt .", "RUN a", "RUN b"].map(|text| (text, vec![Ran])));
        now.steps[3].0 = "RUN now";
        let reasons = now.reasons(&[past.past("one")]);
        reasons.into_iter().flatten().map(|reason| reason.kind).collect::<Vec<_>>()
    };
    let alike = ["COPY list.txt .", "RUN a", "RUN b"];
    let is_compared = |kinds: Vec<_>| kinds.contains(&InstructionChanged);
    for print in [true, false] {
        assert!(is_compared(kind("/a", "/a", print, &alike)));
        assert!(!is_compared(kind("/a", "/b", print, &alike)), "another project, however alike it is");
        assert!(is_compared(kind("", "", print, &alike)));
        assert!(is_compared(kind("", "/b", print, &alike)));
        assert!(!is_compared(kind("", "", print, &["COPY other .", "RUN c", "RUN d"])));
    }
}

#[test]
fn what_was_told_to_the_build_comes_first() {
    let mut forced = build().kept();
    forced.words = vec!["docker", "buildx", "build", "--no-cache", "."];
    forced.files = vec![("list.txt", 2, 0o644)];
    let expected = [None, Some((NoCache, Proven, None)), Some((NoCache, Proven, Some(2)))];
    assert_eq!(told(&forced.reasons(&[build().past("one")])), expected);
    assert!(super::judge::filter(&["--no-cache-filter", "a,Tools"], "tools"));
    assert!(super::judge::filter(&["--no-cache-filter=tools"], "tools"));
    assert!(!super::judge::filter(&["--no-cache-filter=tools", "-t", "x"], "x"));
}

/// The numbers of two steps must not look like two numbers of one.
#[test]
fn what_follows_names_the_step_that_it_begins_at_and_what_lies_between() {
    let mut longer = build();
    longer.steps.push(("RUN install", vec![Ran]));
    let mut now = longer.clone().kept();
    now.files = vec![("list.txt", 2, 0o644)];
    let reasons = now.reasons(&[longer.past("one")]);
    let said = |at: usize| {
        let reason = reasons[at].as_ref().unwrap();
        (reason.because.to_string(), reason.evidence[0].text.to_string())
    };
    let begins = "step 2 was rebuilt".to_owned();
    assert_eq!(said(2), (begins.clone(), "step 2 was rebuilt: COPY list.txt .".to_owned()));
    let between =
        "it is built on step 3, which follows from step 2 too: RUN --mount=type=secret,id=token make";
    assert_eq!(said(3), (begins, between.to_owned()));
}

#[test]
fn an_address_can_not_be_compared() {
    let mut address = build().got(&[Hit, Ran, Ran]);
    address.steps[1].0 = "ADD https://example.org/a /a";
    let past = [address.past("one")];
    let expected = [None, Some((Uncacheable, Likely, None)), Some((ParentMissed, Likely, Some(2)))];
    assert_eq!(told(&address.reasons(&past)), expected);
}

#[test]
fn without_a_fingerprint_texts_and_records_tell() {
    let bare = |build: Build| Build { print: false, ..build };
    let past = [bare(build()).past("one")];
    let same = bare(build().kept());
    let expected = [None, Some((FilesChanged, Likely, None)), Some((ParentMissed, Likely, Some(2)))];
    assert_eq!(told(&same.reasons(&past)), expected, "the records are there, so it is what is copied");
    let blind = Build { before: None, ..same };
    assert_eq!(short(blind.reasons(&past)[1].as_ref()).unwrap().0, Unknown);
    let mut other = bare(build().kept()).got(&[Hit, Hit, Ran]);
    other.steps[2].0 = "RUN other";
    assert_eq!(told(&other.reasons(&past))[2], Some((InstructionChanged, Proven, None)));
}

#[test]
fn the_newest_build_in_which_the_step_had_a_result_counts() {
    let mut failed = build().got(&[Hit, Ran, Not]);
    failed.files = vec![("list.txt", 2, 0o644)];
    let mut now = build().kept().got(&[Hit, Hit, Ran]);
    now.files = vec![("list.txt", 2, 0o644)];
    let pasts = [failed.past("failed"), build().past("good")];
    let reasons = now.reasons(&pasts);
    assert_eq!(told(&reasons), [None, None, Some((FilesChanged, Likely, None))]);
    let all = text(reasons[2].as_ref());
    assert!(all.contains("step 2 itself was cached") && all.contains("the build good"), "{all}");
}

#[test]
fn what_is_again_what_it_was_once_was_lost() {
    let one = build();
    let mut two = build();
    two.files = vec![("list.txt", 2, 0o644)];
    let pasts = [two.past("two"), one.past("one")];
    // The builder has something else, and nothing of what it had then.
    let mut again = build();
    again.before = Some(vec!["[2/3] COPY other ."]);
    let reasons = again.reasons(&pasts);
    assert_eq!(told(&reasons), [None, Some((Evicted, Proven, None)), Some((Evicted, Proven, Some(2)))]);
    let evidence = text(reasons[1].as_ref());
    assert!(evidence.contains("the build two was made of something else"), "{evidence}");
    // Where the records are still there it was not lost.
    let reasons = build().kept().reasons(&pasts);
    assert_eq!(short(reasons[1].as_ref()).map(|told| told.0), Some(FilesChanged));
    // Another content than both is a change.
    let mut three = build();
    three.files = vec![("list.txt", 3, 0o644)];
    three.before = Some(vec!["[2/3] COPY other ."]);
    assert_eq!(short(three.reasons(&pasts)[1].as_ref()), Some((FilesChanged, Proven, None)));
}
