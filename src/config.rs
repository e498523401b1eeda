//! What the command line, the environment and `layertop.toml` mean together.
//!
//! From the strongest to the weakest: options; the environment (`REGISTRY`, `TAG`, `PLATFORMS`); the `layertop.toml`
//! found upward from the working directory, or the file of `--config`; the user's own defaults in
//! `$XDG_CONFIG_HOME/layertop/config.toml`; the bundled profile (layer names only); the defaults. Values replace each
//! other; build arguments are merged name by name, and layer rules stand one behind the other, the first match wins.
//!
//! Relative paths in a file are relative to the folder of the project's `layertop.toml`; those of the command line to
//! the working directory, where buildx runs too.

mod file;
mod platform;
mod print;
mod profile;
mod resolve;
mod rules;
mod validate;
mod value;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cli;
use crate::error::{Error, Problem, SourceLocation};
use crate::event::{LayerRule, Platform};

pub use file::{ClusterRegistryTable, KubernetesTable};
pub use resolve::is_remote;
pub use rules::compile;
pub use value::{ConfigValue, ValueOrigin};

/// The name that is looked for.
pub const FILE_NAME: &str = "layertop.toml";

/// The working directory, user file and environment of a process: what the configuration reads beside the command line.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub cwd: PathBuf,
    /// Where the user's own defaults stand, whether they exist or not.
    pub user_file: Option<PathBuf>,
    /// The environment; variables that are not UTF-8 are left out.
    pub env: BTreeMap<String, String>,
}

impl Surroundings {
    /// Those of this process.
    ///
    /// # Errors
    ///
    /// The working directory is gone.
    pub fn of_process() -> Result<Self, Error> {
        use etcetera::BaseStrategy as _;
        let cwd = std::env::current_dir().map_err(|source| Error::Io {
            action: "find the working directory",
            hint: Some("go to a folder that exists: cd ~".to_owned()),
            path: ".".into(),
            source,
        })?;
        let base = etcetera::base_strategy::choose_base_strategy().ok();
        let user_file = base.map(|base| base.config_dir().join("layertop").join("config.toml"));
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Ok(Self { cwd, user_file, env: std::env::vars_os().filter_map(text).collect() })
    }
}

/// What was resolved, each value with its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The project's folder: that of its file, or the working directory where there is none.
    pub folder: PathBuf,
    /// Whether there is a file of the project.
    pub has_project: bool,
    /// The files that were read, the project's before the user's.
    pub files: Vec<PathBuf>,
    pub profile: ConfigValue<Option<String>>,
    /// What the build makes.
    pub image: ImageOptions,
    /// How it is built.
    pub build: BuildOptions,
    /// The rules that name layers, all of them readable.
    pub layers: Vec<ConfigValue<LayerRule>>,
    /// Which recordings are kept.
    pub recordings: KeepOptions,
    /// Which builds are kept in the history.
    pub history: KeepOptions,
    /// How builds are shown.
    pub ui: UiOptions,
    /// What is looked at beside the build.
    pub health: HealthOptions,
    /// How the image's registry is asked.
    pub registry: RegistryOptions,
    /// The cluster, where one is configured.
    pub kubernetes: Option<KubernetesTable>,
    /// What is wrong without being in the way of a build: layer rules that can't be read, a cache that
    /// no image names, platforms that do not exist.
    pub warnings: Vec<Problem>,
}

/// What the build makes.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageOptions {
    /// Registry; none: Docker Hub.
    pub registry: ConfigValue<Option<String>>,
    /// Repository; none: nothing is tagged, and there is no registry cache.
    pub name: ConfigValue<Option<String>>,
    pub tag: ConfigValue<String>,
    /// Platforms; none: the builder's own.
    pub platforms: ConfigValue<Vec<Platform>>,
}

/// How it is built. Paths are as they stand in a command that runs in the working directory.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// buildx builder; none: its current one.
    pub builder: ConfigValue<Option<String>>,
    pub context: ConfigValue<String>,
    /// Dockerfile; none: the one in the context.
    pub dockerfile: ConfigValue<Option<String>>,
    /// Stage; none: the last one.
    pub target: ConfigValue<Option<String>>,
    pub args: BTreeMap<String, ConfigValue<String>>,
    /// Tag of the registry cache; none: no cache.
    pub cache: ConfigValue<Option<String>>,
    /// Whether the image is pushed.
    pub push: ConfigValue<bool>,
    /// More words for buildx.
    pub extra: ConfigValue<Vec<String>>,
}

/// What is kept: as much as all three bounds allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepOptions {
    pub keep: ConfigValue<u32>,
    pub keep_for: ConfigValue<Duration>,
    /// How many bytes in all.
    pub keep_bytes: ConfigValue<u64>,
}

/// What is looked at beside the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthOptions {
    /// Whether registry, nodes and builder are watched during a build and on the dashboard.
    pub watch: ConfigValue<bool>,
}

/// How the image's registry is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Whether plain http is allowed with another machine.
    pub insecure: ConfigValue<bool>,
    /// File with the certificate of its authority.
    pub ca: ConfigValue<Option<String>>,
    /// How often it is asked whether it answers.
    pub every: ConfigValue<Duration>,
    /// How often tags and cache are looked at.
    pub look_every: ConfigValue<Duration>,
    /// What a slow answer takes at least.
    pub slow: ConfigValue<Duration>,
}

/// How builds are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UiOptions {
    /// The kind of display.
    pub progress: ConfigValue<cli::ProgressMode>,
    pub color: ConfigValue<cli::ColorChoice>,
    pub ascii: ConfigValue<bool>,
}

impl Config {
    /// Reads and merges everything. `build` is what was typed for a build, where one was asked for.
    ///
    /// # Errors
    ///
    /// A file that can't be read, or says what can't be, each problem with its place; an option or a variable whose value can't be.
    pub fn load(
        global: &cli::GlobalArgs,
        overrides: Option<&cli::BuildOverrides>,
        around: &Surroundings,
    ) -> Result<Self, Error> {
        let project = match &global.config {
            Some(path) => Some(around.cwd.join(path)),
            None => find_upward(&around.cwd),
        };
        let user = around.user_file.clone().filter(|file| file.is_file() && Some(file) != project.as_ref());
        let docs = project.iter().chain(&user).map(|path| ConfigFile::read(path, &around.cwd));
        let docs = docs.collect::<Result<Vec<_>, _>>()?;
        let problems: Vec<Problem> = docs.iter().flat_map(validate::file).collect();
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        let folder = project.as_deref().and_then(Path::parent).unwrap_or(&around.cwd);
        let none = cli::BuildOverrides::default();
        let typed = overrides.unwrap_or(&none);
        resolve::Resolver { docs, around, global, typed, has_project: project.is_some(), folder }.resolve()
    }

    /// What the files and the global options say. What the environment says of a build is nothing to a command that builds nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn of_files(global: &cli::GlobalArgs, around: &Surroundings) -> Result<Self, Error> {
        let mut around = around.clone();
        around.env.retain(|name, _| !["REGISTRY", "TAG", "PLATFORMS"].contains(&name.as_str()));
        Self::load(global, None, &around)
    }

    /// What the profile's own document promises: the names of scenarios, and how much faster than without a cache each is. Empty
    /// where there is no profile.
    pub fn promised(&self) -> &'static [(&'static str, f64)] {
        self.profile.as_deref().map(profile::promised).unwrap_or_default()
    }

    /// `registry/name`, without a tag; none where the image has no name.
    pub fn repository(&self) -> Option<String> {
        let name = self.image.name.as_deref()?;
        Some(match self.image.registry.as_deref() {
            Some(registry) => format!("{registry}/{name}"),
            None => name.to_owned(),
        })
    }

    /// `registry/name:tag`; none where the image has no name.
    pub fn image(&self) -> Option<String> {
        Some(format!("{}:{}", self.repository()?, *self.image.tag))
    }

    /// `registry/name:cache`; none where no cache is configured.
    pub fn cache(&self) -> Option<String> {
        Some(format!("{}:{}", self.repository()?, self.build.cache.as_deref()?))
    }

    /// The layer rules alone, as an outline carries them.
    pub fn rules(&self) -> Vec<LayerRule> {
        self.layers.iter().map(|rule| rule.value.clone()).collect()
    }

    /// The configuration as TOML, each value with its origin; secret build arguments masked.
    pub fn print(&self) -> String {
        print::print(self)
    }

    /// One sentence for each layer rule of a file that names nothing in a Dockerfile with these instructions. Rules
    /// of a profile may be idle: a profile is made for more than one Dockerfile.
    pub fn idle_rules(&self, instructions: &[&str]) -> Vec<String> {
        let own = |rule: &&ConfigValue<LayerRule>| matches!(rule.origin, ValueOrigin::File(..));
        let idle = rules::idle(&self.layers, instructions).into_iter().filter(|(rule, _)| own(rule));
        idle.map(|(rule, shadowed)| {
            let why =
                if shadowed { "an earlier rule comes first everywhere" } else { "no instruction matches" };
            format!("{}: layer `{}` names nothing: {why} (`{}`)", rule.origin, rule.name, rule.pattern)
        })
        .collect()
    }
}

/// The JSON schema of `layertop.toml`.
pub fn schema() -> serde_json::Value {
    file::schema()
}

/// A file with its text, so that every place in it can be shown.
struct ConfigFile {
    path: Arc<Path>,
    text: String,
    file: file::LayertopToml,
}

impl ConfigFile {
    /// Reads a file. It is shown relative to `cwd` where it lies below it.
    fn read(path: &Path, cwd: &Path) -> Result<Self, Error> {
        // The working directory itself would be shown as nothing.
        let below = path.strip_prefix(cwd).ok().filter(|below| !below.as_os_str().is_empty());
        let shown: PathBuf = below.unwrap_or(path).components().collect();
        let shown = shown.as_path();
        let bytes = std::fs::read(path).map_err(|source| unreadable(path, shown, &source))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            Error::Config(vec![Problem {
                file: shown.to_owned(),
                place: Some(SourceLocation::of(&text, valid..valid)),
                message: "this is not UTF-8".to_owned(),
                hint: Some("save the file as UTF-8".to_owned()),
            }])
        })?;
        let file =
            file::LayertopToml::parse(shown, &text).map_err(|problem| Error::Config(vec![*problem]))?;
        Ok(Self { path: shown.into(), text, file })
    }

    fn origin(&self, span: &Range<usize>) -> ValueOrigin {
        ValueOrigin::File(self.path.clone(), SourceLocation::of(&self.text, span.clone()).line)
    }

    fn problem(&self, span: Range<usize>, message: String, hint: String) -> Problem {
        let place = Some(SourceLocation::of(&self.text, span));
        Problem { file: self.path.to_path_buf(), place, message, hint: Some(hint) }
    }
}

/// Why a file can't be read, and what to do.
fn unreadable(path: &Path, shown: &Path, source: &io::Error) -> Error {
    let inside = path.join(FILE_NAME).is_file().then(|| shown.join(FILE_NAME));
    let shown = shown.display();
    match (source.kind(), inside) {
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _) => Error::usage(
            format!("there is no configuration file {shown}"),
            "leave --config out to look for layertop.toml upward from here",
        ),
        (io::ErrorKind::IsADirectory, Some(file)) => Error::usage(
            format!("{shown} is a folder, not a configuration file"),
            format!("name the file in it: --config {}", file.display()),
        ),
        (io::ErrorKind::IsADirectory, None) => Error::usage(
            format!("{shown} is a folder, not a configuration file"),
            format!("name a file in it: ls {shown}"),
        ),
        _ => Error::usage(
            format!("can't read the configuration file {shown}: {source}"),
            format!("look who may read it: ls -l {shown}"),
        ),
    }
}

/// The nearest `layertop.toml` in this folder or above it. A folder of that name is found too, for what cannot be read is told.
fn find_upward(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join(FILE_NAME)).find(|file| file.is_file() || file.is_dir())
}
