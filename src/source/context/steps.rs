//! The stages and steps of one platform: what each is made from, and the hash of it.

use std::collections::{BTreeMap, HashMap};

use crate::dockerfile::{Dockerfile, Keyword, ResolvedStage, ResolvedStep, StageBase, expand_run};
use crate::event::fingerprint::{
    Gap, Hash, Input, Mount, MountKind, Origin, Setting, Source, Stage, Step, StepKind, Variable,
};
use crate::event::{Platform, Text};

use super::ignore::clean;
use super::platform;
use super::select::SourceQuery;
use super::sets::FileSets;
use super::sum::{FieldHasher, SecretHasher};
use super::{CopyFlags, FingerprintRequest};

/// Lines of a heredoc that are listed.
const MOST_LINES: usize = 500;

/// Arguments that never come into an environment.
const NO_VARIABLES: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Makes a fingerprint: the request, and the parts that are done.
pub(super) struct FingerprintMaker<'a, 'c> {
    pub(super) request: &'a FingerprintRequest,
    pub(super) file: &'a Dockerfile,
    pub(super) secrets: &'a SecretHasher,
    pub(super) sets: FileSets<'c>,
    pub(super) variables: Vec<Variable>,
    pub(super) index: HashMap<(String, Hash, Origin, u32), u32>,
    pub(super) stages: Vec<Stage>,
    /// Whether a hash was made with the key.
    pub(super) keyed: bool,
}

/// Where the stages of a platform are in the fingerprint, by their number in the file.
type StageIndexes = BTreeMap<usize, u32>;

/// A step that is being made.
struct StepDraft<'a> {
    resolved: &'a ResolvedStep,
    step: Step,
    sum: FieldHasher,
    unset: Vec<String>,
}

impl StepDraft<'_> {
    fn gap(&mut self, gap: Gap) {
        if !self.step.gaps.contains(&gap) {
            self.step.gaps.push(gap);
        }
        self.step.complete &= gap == Gap::BaseVariable;
    }
}

impl FingerprintMaker<'_, '_> {
    /// Adds the stages of a platform.
    pub(super) fn platform(&mut self, target: Option<&Platform>) {
        let build = self.request.build_platform.as_ref().map(platform::normal);
        let target = target.map(platform::normal).or_else(|| build.clone());
        let mut args = platform::automatic(target.as_ref(), build.as_ref());
        args.extend(self.request.args.clone());
        let resolved = self.file.resolve(self.request.target.as_deref(), &args);
        let wanted = self.file.target(self.request.target.as_deref());
        let mut places = StageIndexes::new();
        for (at, stage) in resolved.iter().enumerate() {
            places.insert(stage.stage, (self.stages.len() + at) as u32);
        }
        for stage in &resolved {
            let made = self.stage(stage, target.as_ref(), &places, wanted == Some(stage.stage));
            self.stages.push(made);
        }
    }

    fn stage(
        &mut self,
        resolved: &ResolvedStage,
        target: Option<&Platform>,
        places: &StageIndexes,
        is_target: bool,
    ) -> Stage {
        let named = self.file.stages.get(resolved.stage).and_then(|stage| stage.name.as_deref());
        let replaced = named.and_then(|name| self.sets.context(name));
        let mut base = match &resolved.base {
            StageBase::Scratch => Input::Scratch,
            StageBase::Image(image) => self.image(image),
            StageBase::Stages(on) => on
                .first()
                .and_then(|on| places.get(on))
                .map_or_else(Input::default, |place| Input::Stage(*place)),
        };
        if let Some(context) = replaced {
            base = Input::Context(context);
        }
        let inherited = if let Input::Stage(on) = base {
            self.stages.get(on as usize).and_then(|on| on.platform.clone())
        } else {
            None
        };
        let asked = resolved.platform.as_deref().and_then(Platform::parse);
        let runs_on = inherited.or_else(|| asked.map(|asked| platform::normal(&asked))).or(target.cloned());
        let mut made = Stage {
            name: resolved.name.as_deref().map(Text::clean),
            number: resolved.stage as u32,
            target: target.cloned(),
            platform: runs_on,
            base,
            is_target,
            no_cache: self.request.no_cache.holds(named),
            of: resolved.of,
            steps: Vec::new(),
        };
        // A context that stands for the stage leaves none of its steps; one that stands for the image has no vertex of a step.
        if replaced.is_some() {
            return made;
        }
        for step in &resolved.steps {
            if step.keyword == Keyword::From && matches!(made.base, Input::Context(_)) {
                continue;
            }
            let step = self.step(step, &made, places);
            made.steps.push(step);
        }
        if self.request.build_platform.is_none() && self.reads_build_platform(resolved.stage) {
            for step in &mut made.steps {
                step.gaps.push(Gap::BuildPlatform);
                step.complete = false;
            }
        }
        made
    }

    /// Whether a stage depends on the platform that the builder runs on.
    fn reads_build_platform(&self, stage: usize) -> bool {
        let reads = |text: &str| {
            ["BUILDPLATFORM", "BUILDARCH", "BUILDOS", "BUILDVARIANT"].iter().any(|name| text.contains(name))
        };
        self.file.stages.get(stage).is_some_and(|stage| {
            stage.platform.as_deref().is_some_and(reads)
                || reads(&stage.base)
                || stage.instructions.iter().any(|i| i.keyword == Keyword::Arg && reads(&i.arguments))
        })
    }

    /// An image, or the context that stands for it.
    fn image(&self, name: &str) -> Input {
        let context = self.sets.context(name).filter(|_| !name.is_empty());
        context.map_or_else(|| Input::Image(self.secrets.mask.text(name)), Input::Context)
    }

    fn step(&mut self, resolved: &ResolvedStep, stage: &Stage, places: &StageIndexes) -> Step {
        let (instruction, hash, keyed) = self.secrets.text(&resolved.text);
        let mut draft = StepDraft {
            resolved,
            step: Step { instruction, line: resolved.line, complete: true, ..Step::default() },
            sum: FieldHasher::default(),
            unset: Vec::new(),
        };
        let from = resolved.keyword == Keyword::From;
        if self.request.platforms.len() > 1
            && let Some(on) = &stage.platform
        {
            let read = if from { &[][..] } else { resolved.variables.as_slice() };
            let (platform, runs_on) = platform::printed(on, read);
            (draft.step.platform, draft.step.runs_on) = (Some(platform), runs_on);
        }
        let platform = stage.platform.as_ref().map_or("", |platform| platform.as_str());
        draft.sum.field("platform", platform.as_bytes());
        draft.step.heredocs = resolved.heredocs.iter().map(|body| self.lines(body)).collect();
        match resolved.keyword {
            Keyword::Run => self.run(&mut draft, places),
            Keyword::Copy | Keyword::Add => self.copy(&mut draft, places),
            Keyword::Workdir => {
                draft.step.kind = StepKind::Workdir;
                let folder = resolved.workdir.clone().unwrap_or_else(|| resolved.text.clone());
                self.secret(&mut draft, "folder", &folder);
                self.secret(&mut draft, "user", resolved.user.as_deref().unwrap_or_default());
                draft.expand(&resolved.instruction.arguments, self.file.escape);
            }
            _ => {
                draft.step.kind = StepKind::From;
                draft.step.keyed |= keyed;
                draft.sum.hash("image", hash);
            }
        }
        if !draft.unset.is_empty() {
            draft.gap(Gap::BaseVariable);
        }
        draft.step.hash = draft.sum.finish();
        self.keyed |= draft.step.keyed;
        draft.step
    }

    fn lines(&self, body: &str) -> Vec<Text> {
        body.lines().take(MOST_LINES).map(|line| self.secrets.mask.text(line)).collect()
    }

    /// Takes a text into the hash that may hold a secret.
    fn secret(&self, draft: &mut StepDraft<'_>, name: &str, raw: &str) -> Text {
        let (shown, hash, keyed) = self.secrets.text(raw);
        draft.sum.hash(name, hash);
        draft.step.keyed |= keyed;
        shown
    }

    fn run(&mut self, draft: &mut StepDraft<'_>, places: &StageIndexes) {
        draft.step.kind = StepKind::Run;
        let resolved = draft.resolved;
        let instruction = &resolved.instruction;
        for word in Self::command(resolved) {
            self.secret(draft, "argument", &word);
        }
        for variable in resolved.variables.iter().filter(|v| !NO_VARIABLES.contains(&v.name.as_str())) {
            let index = self.variable(variable);
            if let Some(known) = self.variables.get(index as usize) {
                draft.step.keyed |= known.secret;
                draft.sum.field("variable", variable.name.as_bytes()).hash("value", known.hash);
            }
            draft.step.env.push(index);
        }
        let shell = resolved.shell.as_ref().map(|shell| format!("{shell:?}"));
        let settings =
            [("USER", resolved.user.clone()), ("WORKDIR", resolved.workdir.clone()), ("SHELL", shell)];
        for (name, value) in settings {
            let Some(value) = value else { continue };
            // The shell is in the command already.
            let value = if name == "SHELL" {
                self.secrets.mask.text(&value)
            } else {
                self.secret(draft, name, &value)
            };
            draft.step.settings.push(Setting { name: Text::clean(name), value });
        }
        for (name, value) in &self.request.run_options {
            let shown = self.secret(draft, name, value);
            draft.step.settings.push(Setting { name: Text::clean(&format!("--{name}")), value: shown });
        }
        let mut mounts = Vec::new();
        for flag in &instruction.flags {
            let value = flag.value.as_deref().unwrap_or_default();
            match flag.name.as_str() {
                "mount" => mounts.push(self.mount(draft, value, places)),
                "network" if value == "default" => {}
                name => {
                    let value = draft.expand(value, self.file.escape);
                    self.secret(draft, name, &value);
                }
            }
        }
        // `BuildKit` sorts them by the place that they are mounted at.
        mounts.sort();
        for (_, hash) in mounts {
            draft.sum.hash("mount", hash);
        }
    }

    /// The words that are run. A `RUN` that is one heredoc runs what is in it, whatever it is called.
    fn command(resolved: &ResolvedStep) -> Vec<String> {
        let instruction = &resolved.instruction;
        if let Some(words) = instruction.exec_form() {
            return words;
        }
        let arguments = instruction.arguments.trim();
        let mut script = match instruction.heredocs.as_slice() {
            [heredoc] if arguments.starts_with("<<") && !arguments.contains(char::is_whitespace) => {
                heredoc.content()
            }
            [] => arguments.to_owned(),
            heredocs => {
                let bodies = heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.body, heredoc.name));
                std::iter::once(arguments.to_owned()).chain(bodies).collect()
            }
        };
        let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        let mut words = resolved.shell.clone().unwrap_or_else(default);
        words.push(std::mem::take(&mut script));
        words
    }

    fn variable(&mut self, variable: &crate::dockerfile::ResolvedVariable) -> u32 {
        let (shown, mut hash, keyed) = self.secrets.text(&variable.value);
        let secret = keyed || crate::event::Mask::secret_name(&variable.name);
        if secret {
            hash = self.secrets.keyed(&variable.value);
        }
        let key = (variable.name.clone(), hash, variable.origin, variable.line);
        let next = self.variables.len() as u32;
        let index = *self.index.entry(key).or_insert(next);
        if index == next {
            self.variables.push(Variable {
                name: Text::clean(&variable.name),
                origin: variable.origin,
                secret,
                value: (!secret).then_some(shown),
                hash,
                line: variable.line,
            });
        }
        index
    }

    /// A mount, with the place that it is mounted at and the hash of what counts of it.
    fn mount(&mut self, draft: &mut StepDraft<'_>, text: &str, places: &StageIndexes) -> (String, Hash) {
        let expanded = draft.expand(text, self.file.escape);
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        for field in expanded.split(',') {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let name = match name.trim().to_ascii_lowercase().as_str() {
                "src" => "source".to_owned(),
                "dst" | "destination" => "target".to_owned(),
                "ro" => "readonly".to_owned(),
                "rw" => "readwrite".to_owned(),
                name => name.to_owned(),
            };
            fields.insert(name, value.to_owned());
        }
        let kind = match fields.remove("type").as_deref() {
            Some("cache") => MountKind::Cache,
            Some("secret") => MountKind::Secret,
            Some("ssh") => MountKind::Ssh,
            Some("tmpfs") => MountKind::Tmpfs,
            _ => MountKind::Bind,
        };
        let target = fields.get("target").cloned().unwrap_or_default();
        if kind == MountKind::Bind {
            fields.remove("readonly");
        }
        // How a cache is shared with other builds is not part of what a step is.
        fields.remove("sharing");
        let name = fields.remove("from");
        let source = fields.remove("source");
        let mut mount = Mount {
            kind,
            text: self.secrets.mask.text(&expanded),
            id: fields.get("id").map(|id| self.secrets.mask.text(id)),
            ..Mount::default()
        };
        let mut sum = FieldHasher::default();
        sum.field("kind", format!("{kind:?}").as_bytes());
        for (name, value) in &fields {
            let (_, hash, keyed) = self.secrets.text(value);
            sum.field("name", name.as_bytes()).hash("value", hash);
            draft.step.keyed |= keyed;
        }
        let takes = kind == MountKind::Bind || (kind == MountKind::Cache && name.is_some());
        if takes {
            let path = source.unwrap_or_default();
            let from = self.from(name.as_deref(), false, places);
            let query = SourceQuery { path: path.clone(), mount: true, ..SourceQuery::default() };
            mount.set = self.take(draft, &from, query, &mut sum);
            mount.from = Some(from);
        }
        draft.step.mounts.push(mount);
        (target, sum.finish())
    }

    /// Where files are taken from.
    fn from(&self, name: Option<&str>, by_number: bool, places: &StageIndexes) -> Input {
        let Some(name) = name else { return Input::Context(0) };
        let stage = self.file.source_stage(name, by_number);
        match stage.and_then(|stage| places.get(&stage)) {
            Some(place) => Input::Stage(*place),
            None => self.image(name),
        }
    }

    /// Takes files into a hash: by what they hold where they are here, else by their path.
    fn take(
        &mut self,
        draft: &mut StepDraft<'_>,
        from: &Input,
        query: SourceQuery,
        sum: &mut FieldHasher,
    ) -> Option<u32> {
        let Input::Context(context) = from else {
            sum.field("path", clean(&format!("/{}", query.path)).as_bytes());
            return None;
        };
        let Some(set) = self.sets.set(*context, query, &self.secrets.mask) else {
            draft.gap(Gap::Remote);
            return None;
        };
        if let Some((known, gap)) = self.sets.get(set) {
            sum.hash("files", known.hash);
            draft.step.complete &= known.complete;
            if let Some(gap) = gap {
                draft.gap(gap);
            }
        }
        Some(set)
    }

    fn copy(&mut self, draft: &mut StepDraft<'_>, places: &StageIndexes) {
        let resolved = draft.resolved;
        let instruction = &resolved.instruction;
        let is_add = resolved.keyword == Keyword::Add;
        draft.step.kind = if is_add { StepKind::Add } else { StepKind::Copy };
        draft.sum.field("kind", instruction.keyword.as_str().as_bytes());
        let escape = self.file.escape;
        let mut words: Vec<String> = instruction.list();
        let folder = words.pop().map(|word| draft.expand(&word, escape)).unwrap_or_default();
        if words.is_empty() && instruction.heredocs.is_empty() {
            draft.gap(Gap::Unreadable);
        }
        self.secret(draft, "destination", &destination(resolved, &folder));
        let from = self.from(instruction.flag("from").filter(|_| !is_add), true, places);
        let options = CopyFlags::of(instruction);
        let mut exclude = Vec::new();
        for (name, value) in options.flags {
            // Variables in it are printed substituted, but the pattern is what is written: seen on an engine.
            let value = if name == "exclude" { value } else { draft.expand(&value, escape) };
            self.secret(draft, &name, &value);
            if name == "exclude" {
                exclude.push(value);
            }
        }
        let plain = words.iter().filter(|word| !is_heredoc(word)).map(|word| draft.expand(word, escape));
        let plain: Vec<String> = plain.collect();
        for path in plain {
            let source = if is_add && is_remote(&path) {
                self.remote(draft, &path, options.checksum)
            } else {
                let mut sum = FieldHasher::default();
                let query = SourceQuery {
                    path: path.clone(),
                    exclude: exclude.clone(),
                    parents: options.parents,
                    mount: false,
                };
                let set = self.take(draft, &from, query, &mut sum);
                self.secret(draft, "name", &last_name(&path));
                draft.sum.hash("source", sum.finish());
                Source { path: self.secrets.mask.text(&path), from: Some(from.clone()), set }
            };
            draft.step.sources.push(source);
        }
        for heredoc in &instruction.heredocs {
            let variables = &resolved.variables;
            let value = |name: &str| {
                variables.iter().find(|variable| variable.name == name).map(|variable| variable.value.clone())
            };
            let content = heredoc.content();
            let content = if heredoc.expand { expand_run(&content, escape, &value) } else { content };
            let path = self.secret(draft, "heredoc", &heredoc.name);
            self.secret(draft, "content", &content);
            draft.step.sources.push(Source { path, from: None, set: None });
        }
    }

    /// A source behind an address, which only the builder looks at.
    fn remote(&self, draft: &mut StepDraft<'_>, address: &str, checked: bool) -> Source {
        let path = self.secret(draft, "address", address);
        if !checked {
            draft.gap(Gap::Remote);
        }
        Source { path: path.clone(), from: Some(Input::Remote(path)), set: None }
    }
}

impl StepDraft<'_> {
    fn expand(&mut self, word: &str, escape: char) -> String {
        self.resolved.expand(word, escape, &mut self.unset)
    }
}

/// Where a `COPY` puts things: a path from the root, where the file says what it is relative to.
fn destination(resolved: &ResolvedStep, folder: &str) -> String {
    let slash = if folder.ends_with('/') || folder == "." || folder.is_empty() { "/" } else { "" };
    let whole = match (&resolved.workdir, folder.starts_with('/')) {
        (Some(before), false) => clean(&format!("{before}/{folder}")),
        _ => clean(folder),
    };
    format!("{}{slash}", whole.trim_end_matches('/'))
}

fn is_heredoc(word: &str) -> bool {
    word.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with("<<")
}

/// The last name of a path: the only one that counts beside what the path holds.
fn last_name(path: &str) -> String {
    clean(&format!("/{path}")).rsplit('/').next().unwrap_or_default().to_owned()
}

/// Whether `ADD` fetches it.
fn is_remote(path: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| path.starts_with(scheme))
}
