//! The command that a build is: pure, from the configuration and the words behind `--` to what is run.
//!
//! Words behind `--` win over the configuration, option by option:
//!
//! | typed | what it replaces |
//! | --- | --- |
//! | `-f`, `-t`, `--platform`, `--builder`, `--target`, `--cache-from`, `--cache-to` | ours of the same name, all of them |
//! | `--push`, `--load`, `--output` | our `--push` |
//! | `--build-arg NAME…` | our argument of that name |
//! | a path, a URL or `-` | our context, and where it is another one, the Dockerfile that is configured for ours |
//! | `--progress`, `--quiet` | nothing: refused, for the progress stream is what layertop reads |
//!
//! `[build] extra` of the configuration stands before them and is read the same way.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigValue, Surroundings, ValueOrigin, is_remote};
use crate::error::Error;
use crate::event::{Mask, Platform, Started, Text, shell};

use super::Process;
use super::args::{self, BuildxArg, field, fields};
use super::plugin;
use super::program::Program;
use super::secrets::{self, ReadFile};

/// What is run, and what is known of the build before it runs.
#[derive(Clone, PartialEq, Eq)]
pub struct BuildCommand {
    pub program: Program,
    /// The words behind it.
    pub argv: Vec<String>,
    /// What the environment of the child has beside ours: build arguments whose values are secret.
    pub env: Vec<(String, String)>,
    /// Secrets that the build knows: to be masked in all that comes out of it.
    pub secrets: Vec<String>,
    /// Program and words as they may be shown.
    pub display: Vec<Text>,
    pub cwd: PathBuf,
    /// Whether the context or the Dockerfile comes from standard input.
    pub stdin: bool,
    /// The Dockerfile; none where it is not a file of this machine.
    pub dockerfile: Option<PathBuf>,
    /// The folder of the context; none where the context is not one of this machine.
    pub context: Option<PathBuf>,
    /// The stage that is built; none: the last one.
    pub target: Option<String>,
    /// The platforms; none: the builder's own.
    pub platforms: Vec<Platform>,
    /// The references that the image gets.
    pub images: Vec<String>,
    /// The builder; none: buildx's current one.
    pub builder: Option<String>,
    /// The reference of the registry cache.
    pub cache: Option<String>,
}

/// Secrets stand in `argv`, `env` and `secrets`; a debug print shows what may be shown.
impl fmt::Debug for BuildCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildCommand").field("display", &self.display).finish_non_exhaustive()
    }
}

impl BuildCommand {
    /// Puts the command together. `typed` are the words behind `--`.
    ///
    /// # Errors
    ///
    /// What was typed can't be run by layertop, or pushes what has no name.
    pub fn new(
        config: &Config,
        typed: &[String],
        program: Program,
        around: &Surroundings,
        read: ReadFile<'_>,
    ) -> Result<Self, Error> {
        let mut words = config.build.extra.value.clone();
        words.extend_from_slice(typed);
        let typed = TypedArgs(args::parse(&words));
        typed.check()?;
        let context = typed.context()?.unwrap_or_else(|| config.build.context.value.clone());
        let mut parts = CommandParts::default();
        parts.ours(config, &typed, &context)?;
        parts.typed(&typed, around, read);
        parts.context(&context);
        Ok(parts.finish(config, &typed, program, around, &context))
    }

    /// What the model hears first.
    pub fn started(&self) -> Started {
        Started {
            image: self.images.first().map(|image| Text::clean(image)),
            builder: self.builder.as_deref().map(Text::clean),
            platforms: self.platforms.clone(),
            command: self.display.clone(),
            cache: self.cache.as_deref().map(Text::clean),
            title: None,
            target: self.target.as_deref().map(Text::clean),
            host: None,
            folder: None,
        }
    }

    /// The command for a shell. Secret build arguments stand as their names, as they do in what is run; what a shell
    /// needs in its environment is in `env`.
    pub fn shell(&self) -> String {
        let hidden = TypedSecrets::of(&self.argv);
        let words = std::iter::once(self.program.name()).chain(self.argv.iter().map(String::as_str));
        words.map(|word| shell::quote(&hidden.mask(word))).collect::<Vec<_>>().join(" ")
    }

    /// References of the registry caches that it imports, in their order.
    pub fn imports(&self) -> Vec<String> {
        let given = args::parse(&self.argv).into_iter();
        given
            .filter_map(|item| match item {
                BuildxArg::Option { name, value: Some(spec), .. } if name == "cache-from" => reference(&spec),
                _ => None,
            })
            .collect()
    }

    /// What is to be started. `plugin` is the buildx that docker would start, where that is known.
    pub fn process(&self, plugin: Option<PathBuf>) -> Process {
        let mut env = self.env.clone();
        let plugin = plugin.filter(|_| self.program == Program::Docker);
        env.extend(plugin.is_some().then(|| (plugin::CALLED_BY.to_owned(), self.program.name().to_owned())));
        Process {
            program: plugin.unwrap_or_else(|| self.program.name().into()),
            argv: self.argv.clone(),
            env,
            cwd: self.cwd.clone(),
            stdin: self.stdin,
            pressure: Some(super::PRESSURE),
        }
    }
}

/// The words behind `--`, and those of `[build] extra`.
struct TypedArgs(Vec<BuildxArg>);

impl TypedArgs {
    fn has(&self, names: &[&str]) -> bool {
        self.options().any(|(name, _)| names.contains(&name))
    }

    fn options(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().filter_map(|item| match item {
            BuildxArg::Option { name, value, .. } => Some((name.as_str(), value.as_deref())),
            BuildxArg::Positional(_) => None,
        })
    }

    fn values<'a>(&'a self, wanted: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        let all: Vec<&str> =
            self.options().filter(|(name, _)| *name == wanted).filter_map(|(_, value)| value).collect();
        all.into_iter()
    }

    fn last(&self, wanted: &str) -> Option<String> {
        self.values(wanted).next_back().map(str::to_owned)
    }

    /// Build arguments by name: of `NAME=value` and `NAME`.
    fn arguments(&self) -> BTreeSet<&str> {
        self.values("build-arg").map(|text| text.split('=').next().unwrap_or(text)).collect()
    }

    fn check(&self) -> Result<(), Error> {
        if let Some((_, value)) = self.options().find(|(name, _)| *name == "progress") {
            let hint = "say how the build is shown before the dashes: layertop build --progress plain -- …";
            let value = value.unwrap_or_default();
            return Err(Error::usage(
                format!("--progress {value} can't go to buildx: its progress is what layertop reads"),
                hint,
            ));
        }
        if self.has(&["quiet"]) {
            let hint = "say it before the dashes: layertop build --progress quiet -- …";
            return Err(Error::usage(
                "--quiet can't go to buildx: its progress is what layertop reads",
                hint,
            ));
        }
        Ok(())
    }

    fn context(&self) -> Result<Option<String>, Error> {
        let mut found = self.0.iter().filter_map(|item| match item {
            BuildxArg::Positional(text) => Some(text),
            BuildxArg::Option { .. } => None,
        });
        let first = found.next();
        match (first, found.next()) {
            (Some(one), Some(two)) => Err(Error::usage(
                format!("two build contexts behind --: `{one}` and `{two}`"),
                "leave one; an option's value can be tied to it: --option=value",
            )),
            _ => Ok(first.cloned()),
        }
    }
}

/// The command while it is put together.
#[derive(Default)]
struct CommandParts {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    secrets: Vec<String>,
}

impl CommandParts {
    fn push(&mut self, words: &[&str]) {
        self.argv.extend(words.iter().map(|word| (*word).to_owned()));
    }

    /// What the configuration says, in the order of Montage AI's script, without what was typed otherwise.
    fn ours(&mut self, config: &Config, typed: &TypedArgs, context: &str) -> Result<(), Error> {
        self.push(&["--progress=rawjson"]);
        if let Some(builder) = config.build.builder.as_deref().filter(|_| !typed.has(&["builder"])) {
            self.push(&["--builder", builder]);
        }
        if !typed.has(&["platform"]) && !config.image.platforms.is_empty() {
            let list: Vec<&str> = config.image.platforms.iter().map(Platform::as_str).collect();
            self.push(&["--platform", &list.join(",")]);
        }
        if let Some(cache) = config.cache() {
            if !typed.has(&["cache-from"]) {
                self.push(&["--cache-from", &format!("type=registry,ref={cache}")]);
            }
            if !typed.has(&["cache-to"]) {
                self.push(&["--cache-to", &format!("type=registry,ref={cache},mode=max")]);
            }
        }
        let theirs = typed.arguments();
        for (name, value) in config.build.args.iter().filter(|(name, _)| !theirs.contains(name.as_str())) {
            self.push(&["--build-arg"]);
            let word = self.argument(name, value);
            self.argv.push(word);
        }
        let image = config.image();
        if *config.build.push && !typed.has(&["push", "load", "output"]) {
            if image.is_none() && !typed.has(&["tag"]) {
                return Err(Error::usage(
                    format!("push is set ({}), and the image has no name", config.build.push.origin),
                    "set name in [image] of layertop.toml, or give a tag: layertop build -- -t NAME",
                ));
            }
            self.push(&["--push"]);
        }
        if let Some(image) = image.filter(|_| !typed.has(&["tag"])) {
            self.push(&["-t", &image]);
        }
        let beside = Path::new(context).join("Dockerfile");
        if let Some(file) = our_file(config, typed, context)
            && (is_remote(context) || Path::new(".").join(file) != Path::new(".").join(beside))
        {
            self.push(&["-f", file]);
        }
        if let Some(target) = config.build.target.as_deref().filter(|_| !typed.has(&["target"])) {
            self.push(&["--target", target]);
        }
        Ok(())
    }

    /// A build argument as a word. A secret one stands there by its name, and buildx takes its value from the
    /// environment: command lines are for everybody to read.
    fn argument(&mut self, name: &str, value: &str) -> String {
        let in_url = secrets::of_url(value);
        if !Mask::secret_name(name) && in_url.is_none() {
            return format!("{name}={value}");
        }
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self.secrets.push(in_url.filter(|_| !Mask::secret_name(name)).unwrap_or_else(|| value.to_owned()));
        name.to_owned()
    }

    /// What was typed, as it was typed, but for the values of secret build arguments.
    fn typed(&mut self, typed: &TypedArgs, around: &Surroundings, read: ReadFile<'_>) {
        for item in &typed.0 {
            let BuildxArg::Option { name, value, words } = item else { continue };
            match (name.as_str(), value.as_deref()) {
                ("build-arg", Some(text)) => {
                    self.push(&["--build-arg"]);
                    let word = match text.split_once('=') {
                        Some((name, value)) => self.argument(name, value),
                        None => text.to_owned(),
                    };
                    // By name alone, buildx takes the value from the environment that it has from us.
                    if Mask::secret_name(&word) {
                        self.secrets.extend(around.env.get(&word).cloned());
                    }
                    self.argv.push(word);
                    continue;
                }
                ("secret", Some(spec)) => self.secrets.extend(secrets::of_secret(spec, around, read)),
                _ => {}
            }
            self.argv.extend(words.iter().cloned());
        }
    }

    fn context(&mut self, context: &str) {
        if context.starts_with('-') && context != "-" {
            self.push(&["--"]);
        }
        self.push(&[context]);
    }

    fn finish(
        self,
        config: &Config,
        typed: &TypedArgs,
        program: Program,
        around: &Surroundings,
        context: &str,
    ) -> BuildCommand {
        let Self { argv, env, mut secrets } = self;
        let argv: Vec<String> = program.words().iter().map(|word| (*word).to_owned()).chain(argv).collect();
        let hidden = TypedSecrets::of(&argv);
        secrets.extend(hidden.0.iter().cloned());
        secrets.retain(|text| !text.is_empty());
        secrets.sort();
        secrets.dedup();
        let display = std::iter::once(program.name()).chain(argv.iter().map(String::as_str));
        let display = display.map(|word| Text::clean(&hidden.mask(word))).collect();
        let file = typed.last("file").or_else(|| our_file(config, typed, context).map(str::to_owned));
        let local = (context != "-" && !is_remote(context)).then(|| around.cwd.join(context));
        BuildCommand {
            program,
            display,
            env,
            secrets,
            stdin: context == "-" || file.as_deref() == Some("-"),
            dockerfile: dockerfile(file.as_deref(), local.as_deref(), &around.cwd),
            context: local,
            target: typed.last("target").or_else(|| config.build.target.value.clone()),
            platforms: platforms(config, typed, around),
            images: images(config, typed),
            builder: typed
                .last("builder")
                .or_else(|| config.build.builder.value.clone())
                .or_else(|| around.env.get("BUILDX_BUILDER").filter(|name| !name.is_empty()).cloned()),
            cache: cache(config, typed),
            cwd: around.cwd.clone(),
            argv,
        }
    }
}

/// The configured Dockerfile, where it counts. That of a file belongs to the file's context: another context that was
/// typed has its own.
fn our_file<'a>(config: &'a Config, typed: &TypedArgs, context: &str) -> Option<&'a str> {
    let ConfigValue { value, origin } = &config.build.dockerfile;
    let same = Path::new(context) == Path::new(config.build.context.as_str());
    let counts = !typed.has(&["file"]) && (same || matches!(origin, ValueOrigin::Option(_)));
    value.as_deref().filter(|_| counts)
}

/// Where the Dockerfile lies: `-f` is relative to the working directory, unless the context is remote (`loadInputs` in
/// `build/opt.go` of buildx).
fn dockerfile(file: Option<&str>, context: Option<&Path>, cwd: &Path) -> Option<PathBuf> {
    match (file, context) {
        (Some("-"), _) => None,
        (Some(file), _) if is_remote(file) => None,
        (Some(file), Some(_)) => Some(cwd.join(file)),
        (Some(file), None) => Path::new(file).is_absolute().then(|| PathBuf::from(file)),
        (None, context) => context.map(|folder| folder.join("Dockerfile")),
    }
}

fn platforms(config: &Config, typed: &TypedArgs, around: &Surroundings) -> Vec<Platform> {
    if typed.has(&["platform"]) {
        return typed.values("platform").flat_map(Platform::parse_list).collect();
    }
    if !config.image.platforms.is_empty() {
        return config.image.platforms.value.clone();
    }
    around.env.get("DOCKER_DEFAULT_PLATFORM").map(|text| Platform::parse_list(text)).unwrap_or_default()
}

fn images(config: &Config, typed: &TypedArgs) -> Vec<String> {
    let theirs: Vec<String> = typed.values("tag").map(str::to_owned).collect();
    if theirs.is_empty() { config.image().into_iter().collect() } else { theirs }
}

/// The reference of a cache in a registry; none of one that is elsewhere.
fn reference(spec: &str) -> Option<String> {
    match fields(spec).as_slice() {
        [one] if !one.contains('=') => Some(one.clone()),
        _ => field(spec, "type").filter(|kind| kind == "registry").and_then(|_| field(spec, "ref")),
    }
}

/// The registry cache: what is exported to, else what is imported from.
fn cache(config: &Config, typed: &TypedArgs) -> Option<String> {
    let typed_one = |name| typed.values(name).find_map(reference);
    match (typed_one("cache-to"), typed_one("cache-from")) {
        (Some(to), _) => Some(to),
        (None, _) if !typed.has(&["cache-to"]) && config.cache().is_some() => config.cache(),
        (None, from) => from.or_else(|| config.cache().filter(|_| !typed.has(&["cache-from"]))),
    }
}

/// Secrets that were typed into words which buildx takes from its command line alone: passwords in URLs, and keys of a
/// cache or output. They run as they were typed, and are shown masked.
struct TypedSecrets(Vec<String>);

impl TypedSecrets {
    fn of(argv: &[String]) -> Self {
        let mut found: Vec<String> = argv.iter().filter_map(|word| secrets::of_url(word)).collect();
        for item in args::parse(argv) {
            let BuildxArg::Option { name, value: Some(value), .. } = item else { continue };
            if ["cache-from", "cache-to", "output", "build-context"].contains(&name.as_str()) {
                found.extend(secrets::of_attributes(&value));
            }
        }
        Self(found)
    }

    fn mask(&self, word: &str) -> String {
        self.0.iter().fold(word.to_owned(), |word, secret| word.replace(secret, "***"))
    }
}
