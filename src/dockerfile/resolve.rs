//! Which stages a target needs, which steps `BuildKit` numbers in them, and how it prints those: after
//! `dockerfile2llb/convert.go`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::fingerprint::Origin;
use crate::model::layers::fits;

use super::{Dockerfile, DockerfileInstruction, DockerfileStage, Keyword, expand, expand_run, words};

/// Variables and their values.
type Variables = BTreeMap<String, String>;

/// Arguments that `BuildKit` sets itself. They differ by platform, so they are only known where the caller says so.
const AUTOMATIC: [&str; 10] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
];

/// Stands for the value of an automatic argument that is not known.
const UNKNOWN: char = '\0';

/// A stage as it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedStage {
    /// Index of the stage in [`Dockerfile::stages`].
    pub stage: usize,
    /// Its name as it is printed: `tools`, `stage-1`; none where the builder knows of one stage only.
    pub name: Option<String>,
    /// How many steps `BuildKit` says it has. That can be more than there are in `steps`: a `WORKDIR /` is counted
    /// and never shown, and so is every `ONBUILD` trigger that makes no layer.
    pub of: u32,
    /// What it is built on.
    pub base: StageBase,
    /// The value of `--platform`, substituted.
    pub platform: Option<String>,
    /// Its steps, in order. The index of each is its place here, from 1.
    pub steps: Vec<ResolvedStep>,
}

/// A step as it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedStep {
    /// The kind of its instruction.
    pub keyword: Keyword,
    /// Its text before substitution; a `FROM` without flags and name, its base substituted.
    pub source: String,
    /// Its text as `BuildKit` prints it, as far as the file tells: variables of the base image are not known, and
    /// the builder adds the registry, the tag and the digest to a `FROM`.
    pub text: String,
    /// The bodies of its heredocs.
    pub heredocs: Vec<String>,
    /// Its first line in the file, from 1.
    pub line: u32,
    /// Its instruction; of an `ONBUILD` the one that it holds.
    pub instruction: DockerfileInstruction,
    /// The variables that stages in the file have set before it, in the order in which they were set last: that is their
    /// order in the environment of a `RUN`, and it counts for the cache.
    pub variables: Arc<Vec<ResolvedVariable>>,
    /// The user that `USER` has set before it.
    pub user: Option<String>,
    /// The shell that `SHELL` has set before it.
    pub shell: Option<Vec<String>>,
    /// The folder that `WORKDIR` has set before it, or in it; none where the base image decides.
    pub workdir: Option<String>,
}

impl ResolvedStep {
    /// Substitutes variables in one of the step's words as `BuildKit` does. A variable that is not set is empty, and
    /// pushed to `unset`: the base image may know it.
    pub fn expand(&self, word: &str, escape: char, unset: &mut Vec<String>) -> String {
        let missing = RefCell::new(Vec::new());
        let expanded = expand(word, escape, &|name| {
            let known = self.variables.iter().find(|variable| variable.name == name);
            if known.is_none() {
                missing.borrow_mut().push(name.to_owned());
            }
            known.map(|variable| variable.value.clone())
        });
        unset.append(&mut missing.into_inner());
        expanded
    }
}

/// A variable that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedVariable {
    pub name: String,
    /// Its value, which may be a secret.
    pub value: String,
    /// Where that comes from.
    pub origin: Origin,
    /// First line of the instruction that set it, from 1.
    pub line: u32,
}

/// What a stage is built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageBase {
    /// `FROM scratch`: an empty file system.
    Scratch,
    /// An image, by its reference.
    Image(String),
    /// Earlier stages; several where the platform decides (`FROM base-$TARGETARCH`).
    Stages(Vec<usize>),
}

/// Variables and settings at the end of a stage.
#[derive(Clone, Default)]
struct StageState {
    env: Arc<Variables>,
    variables: Arc<Vec<ResolvedVariable>>,
    user: Option<String>,
    shell: Option<Vec<String>>,
    /// None where the base image decides.
    workdir: Option<String>,
}

impl Dockerfile {
    /// The stages that `target` needs (the last stage where it is none, or is not there), in the file's order.
    ///
    /// `args` are the build arguments; platform arguments such as `TARGETARCH` may be among them. Where those decide
    /// on a base and are not there, all stages that they could mean are needed.
    pub fn needed_stages(&self, target: Option<&str>, args: &BTreeMap<String, String>) -> Vec<usize> {
        let bases = self.bases(&self.global_args(target, args));
        let mut needed = vec![false; self.stages.len()];
        let mut open: Vec<usize> = self.target(target).into_iter().collect();
        while let Some(index) = open.pop() {
            if std::mem::replace(&mut needed[index], true) {
                continue;
            }
            if let StageBase::Stages(on) = &bases[index] {
                open.extend(on);
            }
            let triggers = self.triggers(&bases[index]);
            let instructions = self.stages[index].instructions.iter().chain(&triggers);
            open.extend(instructions.flat_map(|instruction| self.sources(instruction)));
        }
        (0..self.stages.len()).filter(|&index| needed[index]).collect()
    }

    /// The stages that `target` needs, with their steps as `BuildKit` numbers and prints them; `args` as for [`Self::needed_stages`].
    pub fn resolve(&self, target: Option<&str>, args: &BTreeMap<String, String>) -> Vec<ResolvedStage> {
        let globals = self.global_args(target, args);
        let bases = self.bases(&globals);
        let alone = self.stages.len() == 1 && !self.names_another();
        let mut states: Vec<StageState> = vec![StageState::default(); self.stages.len()];
        let mut resolved = Vec::new();
        for index in self.needed_stages(target, args) {
            let state = match &bases[index] {
                StageBase::Stages(on) => on.first().map(|&on| states[on].clone()).unwrap_or_default(),
                StageBase::Scratch => StageState { workdir: Some("/".to_owned()), ..StageState::default() },
                StageBase::Image(_) => StageState::default(),
            };
            let mut walk = StageResolver {
                escape: self.escape,
                globals: &globals,
                args,
                state,
                of: 0,
                steps: Vec::new(),
            };
            walk.stage(&self.stages[index], &bases[index], &self.triggers(&bases[index]));
            states[index] = walk.state;
            let name = self.stages[index].name.clone().unwrap_or_else(|| format!("stage-{index}"));
            let name = (!alone).then_some(name);
            let platform = self.stages[index].platform.as_ref();
            let platform = platform.map(|text| expand(text, self.escape, &|name| globals.get(name).cloned()));
            let (of, steps, base) = (walk.of, walk.steps, bases[index].clone());
            resolved.push(ResolvedStage { stage: index, name, of, base, platform, steps });
        }
        resolved
    }

    /// Index of the stage that becomes the image; none in a file without stages.
    pub fn target(&self, target: Option<&str>) -> Option<usize> {
        target.and_then(|name| self.named(name)).or_else(|| self.stages.len().checked_sub(1))
    }

    /// The stage that files are taken from: by its name, or in a `COPY` by its number from 0, too.
    pub fn source_stage(&self, name: &str, by_number: bool) -> Option<usize> {
        match name.parse::<usize>() {
            Ok(number) if by_number => (number < self.stages.len()).then_some(number),
            _ => self.named(name),
        }
    }

    /// The last stage of that name. Names are compared in lower case; a number is no name.
    fn named(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages.iter().rposition(|stage| stage.name.as_deref() == Some(&name))
    }

    /// Whether the builder makes a stage of something that is none in the file: an image to copy from, and each mount
    /// of a `RUN` that is not from a stage. A single stage is printed with its name then.
    fn names_another(&self) -> bool {
        let mut instructions = self.stages.iter().flat_map(|stage| &stage.instructions);
        instructions.any(|instruction| {
            let foreign = |name: &str| self.named(name).is_none();
            let copies = instruction.keyword == Keyword::Copy
                && instruction
                    .flag("from")
                    .is_some_and(|from| from.parse::<usize>().is_err() && foreign(from));
            copies || instruction.mounts().any(|from| from.is_none_or(foreign))
        })
    }

    /// The stages that an instruction takes files from, by name, or in a `COPY` also by index.
    fn sources(&self, instruction: &DockerfileInstruction) -> Vec<usize> {
        let copied =
            instruction.flag("from").filter(|_| instruction.keyword == Keyword::Copy).and_then(|from| {
                from.parse()
                    .map_or_else(|_| self.named(from), |index| (index < self.stages.len()).then_some(index))
            });
        let mounted = instruction.mounts().flatten().filter_map(|from| self.named(from));
        mounted.chain(copied).collect()
    }

    /// What the stage below leaves for the one that is built on it to run.
    fn triggers(&self, base: &StageBase) -> Vec<DockerfileInstruction> {
        let below = match base {
            StageBase::Stages(on) => on.first(),
            _ => None,
        };
        let instructions = below.map(|&index| self.stages[index].instructions.as_slice()).unwrap_or_default();
        instructions.iter().filter_map(|instruction| instruction.trigger(self.escape)).collect()
    }

    fn bases(&self, globals: &Variables) -> Vec<StageBase> {
        self.stages.iter().enumerate().map(|(index, stage)| self.base(index, stage, globals)).collect()
    }

    fn base(&self, index: usize, stage: &DockerfileStage, globals: &Variables) -> StageBase {
        let base = expand(&stage.base, self.escape, &|name| globals.get(name).cloned());
        let earlier = &self.stages[..index];
        if let Some(on) = earlier.iter().rposition(|earlier| earlier.name.as_deref() == Some(&base)) {
            return StageBase::Stages(vec![on]);
        }
        // The platform is part of the name: each stage that fits can be meant.
        let pattern = expand(&stage.base, self.escape, &|name| {
            let unknown = || AUTOMATIC.contains(&name).then(|| UNKNOWN.to_string());
            globals.get(name).cloned().or_else(unknown)
        });
        if !pattern.contains(UNKNOWN) {
            return if base == "scratch" { StageBase::Scratch } else { StageBase::Image(base) };
        }
        let fits =
            |stage: &DockerfileStage| stage.name.as_ref().is_some_and(|name| fits(&pattern, name, UNKNOWN));
        let on: Vec<usize> = (0..index).filter(|&index| fits(&earlier[index])).collect();
        if on.is_empty() { StageBase::Image(stage.base.clone()) } else { StageBase::Stages(on) }
    }

    /// The arguments that stand before the first `FROM`, and those that are set without.
    fn global_args(&self, target: Option<&str>, args: &BTreeMap<String, String>) -> Variables {
        let automatic = |name: &&str| args.get(*name).map(|value| ((*name).to_owned(), value.clone()));
        let mut globals: Variables = AUTOMATIC.iter().filter_map(automatic).collect();
        let last = || self.stages.last().and_then(|stage| stage.name.clone());
        let stage = target.map(str::to_owned).or_else(last).unwrap_or_else(|| "default".to_owned());
        globals.insert("TARGETSTAGE".to_owned(), args.get("TARGETSTAGE").cloned().unwrap_or(stage));
        for instruction in self.globals.iter().filter(|instruction| instruction.keyword == Keyword::Arg) {
            for word in words::quoted(&instruction.arguments, self.escape) {
                let (name, default) = word.split_once('=').map_or((&*word, None), |(n, v)| (n, Some(v)));
                let own = AUTOMATIC.contains(&name) && default.is_some();
                let value = args.get(name).filter(|_| !own).cloned();
                let expanded = |default| expand(default, self.escape, &|name| globals.get(name).cloned());
                if let Some(value) = value.or_else(|| default.map(expanded)) {
                    globals.insert(name.to_owned(), value);
                }
            }
        }
        globals
    }
}

/// The walk through one stage.
struct StageResolver<'a> {
    escape: char,
    globals: &'a Variables,
    args: &'a Variables,
    state: StageState,
    of: u32,
    steps: Vec<ResolvedStep>,
}

impl StageResolver<'_> {
    fn stage(&mut self, stage: &DockerfileStage, base: &StageBase, triggers: &[DockerfileInstruction]) {
        if let StageBase::Image(image) = base {
            self.of += 1;
            let text = format!("FROM {image}");
            self.push(&stage.from, text.clone(), text);
        }
        for trigger in triggers {
            // The builder counts them all, those too that make no layer.
            self.of = self.of.saturating_add(1);
            let steps = self.steps.len();
            self.instruction(trigger);
            for step in &mut self.steps[steps..] {
                step.source.insert_str(0, "ONBUILD ");
                step.text.insert_str(0, "ONBUILD ");
                step.line = stage.from.first_line;
            }
        }
        for instruction in &stage.instructions {
            self.of = self.of.saturating_add(u32::from(instruction.keyword.is_step()));
            self.instruction(instruction);
        }
    }

    fn instruction(&mut self, instruction: &DockerfileInstruction) {
        match instruction.keyword {
            Keyword::Arg => self.arg(instruction),
            Keyword::Env => self.env(instruction),
            Keyword::User => self.state.user = Some(self.expanded(instruction.arguments.trim())),
            Keyword::Shell => self.state.shell = instruction.exec_form().or(self.state.shell.take()),
            Keyword::Run => {
                let text = expand_run(&instruction.text, self.escape, &|name| self.get(name));
                self.push(instruction, instruction.text.clone(), text);
            }
            Keyword::Add | Keyword::Copy => {
                self.push(instruction, instruction.text.clone(), self.expanded(&instruction.text));
            }
            Keyword::Workdir => {
                self.workdir(&self.expanded(&instruction.arguments));
                if self.state.workdir.as_deref() != Some("/") {
                    self.push(instruction, instruction.text.clone(), self.expanded(&instruction.text));
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, instruction: &DockerfileInstruction, source: String, text: String) {
        self.steps.push(ResolvedStep {
            keyword: instruction.keyword.clone(),
            source,
            text,
            heredocs: instruction.heredocs.iter().map(|heredoc| heredoc.body.clone()).collect(),
            line: instruction.first_line,
            instruction: instruction.clone(),
            variables: Arc::clone(&self.state.variables),
            user: self.state.user.clone(),
            shell: self.state.shell.clone(),
            workdir: self.state.workdir.clone(),
        });
    }

    fn get(&self, name: &str) -> Option<String> {
        self.state.env.get(name).cloned()
    }

    fn expanded(&self, word: &str) -> String {
        expand(word, self.escape, &|name| self.get(name))
    }

    fn set(&mut self, name: String, value: String, origin: Origin, line: u32) {
        Arc::make_mut(&mut self.state.env).insert(name.clone(), value.clone());
        let variables = Arc::make_mut(&mut self.state.variables);
        let variable = ResolvedVariable { name, value, origin, line };
        variables.retain(|known| known.name != variable.name);
        variables.push(variable);
    }

    /// A value from outside wins, then the default here, then the value before the first `FROM`.
    fn arg(&mut self, instruction: &DockerfileInstruction) {
        for word in words::quoted(&instruction.arguments, self.escape) {
            let (name, default) = word.split_once('=').map_or((&*word, None), |(n, v)| (n, Some(v)));
            // A default wins over what the platform would be.
            let own = AUTOMATIC.contains(&name) && default.is_some();
            let given = self.args.get(name).filter(|_| !own).cloned();
            let origin = match &given {
                _ if AUTOMATIC.contains(&name) && !own => Origin::Platform,
                Some(_) => Origin::BuildArg,
                None => Origin::Default,
            };
            let value = given.or_else(|| {
                default.map(|value| self.expanded(value)).or_else(|| self.globals.get(name).cloned())
            });
            if let Some(value) = value {
                self.set(name.to_owned(), value, origin, instruction.first_line);
            }
        }
    }

    /// All of one `ENV` is substituted with what was set before it.
    fn env(&mut self, instruction: &DockerfileInstruction) {
        let pairs = words::pairs(&instruction.arguments, self.escape);
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| (self.expanded(name), self.expanded(value))).collect();
        for (name, value) in pairs {
            self.set(name, value, Origin::Env, instruction.first_line);
        }
    }

    fn workdir(&mut self, path: &str) {
        if path.starts_with('/') {
            self.state.workdir = Some(path.to_owned());
        } else if let Some(before) = self.state.workdir.as_ref().filter(|_| !path.is_empty()) {
            self.state.workdir = Some(joined(before, path));
        }
    }
}

/// A path after another, with `.` and `..` worked out.
fn joined(before: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in before.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
