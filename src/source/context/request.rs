//! What a fingerprint is asked for, and how a build command says it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use etcetera::BaseStrategy as _;

use crate::config::Surroundings;
use crate::event::Platform;
use crate::source::buildx::BuildCommand;
use crate::source::buildx::args::{BuildxArg, parse};

/// Options of `docker buildx build` that are part of each `RUN`; of the last ones newer versions of `BuildKit` only know.
const RUN_OPTIONS: [&str; 14] = [
    "add-host",
    "ulimit",
    "shm-size",
    "network",
    "cgroup-parent",
    "device",
    "memory",
    "memory-swap",
    "cpu-shares",
    "cpu-period",
    "cpu-quota",
    "cpuset-cpus",
    "cpuset-mems",
    "isolation",
];

/// The build argument that names the machine that a `RUN` believes to be on.
const HOST_NAME: &str = "BUILDKIT_SANDBOX_HOSTNAME";

/// Of which build a fingerprint is to be made. Values of arguments may be secret.
#[derive(Clone, Default)]
pub struct FingerprintRequest {
    pub dockerfile: PathBuf,
    /// The build's context: a folder, an address, `-` for standard input.
    pub context: String,
    /// The named contexts of `--build-context`: a folder, or an address such as `docker-image://alpine`.
    pub contexts: BTreeMap<String, String>,
    /// What paths are relative to.
    pub cwd: PathBuf,
    pub args: BTreeMap<String, String>,
    /// The stage that is built; none: the last one.
    pub target: Option<String>,
    /// The platforms; empty: the builder's own.
    pub platforms: Vec<Platform>,
    /// The builder's own platform, where it is known.
    pub build_platform: Option<Platform>,
    /// For which stages the cache is not used.
    pub no_cache: NoCache,
    /// Options of the build that count for each `RUN`, by name: `add-host`, `ulimit`, `shm-size`, `network`, …
    pub run_options: Vec<(String, String)>,
    /// Values that are masked wherever they stand, beside those of variables whose names say that they are secrets.
    pub secrets: Vec<String>,
    /// The folder for hashes of earlier times, `…/.cache/layertop`; none: nothing is kept.
    pub cache: Option<PathBuf>,
}

/// Secrets stand among the arguments.
impl fmt::Debug for FingerprintRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("dockerfile", &self.dockerfile).finish_non_exhaustive()
    }
}

/// The stages of `--no-cache` and `--no-cache-filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoCache {
    pub all: bool,
    /// For stages of these names.
    pub stages: Vec<String>,
}

impl NoCache {
    /// Whether the cache of a stage is not used.
    pub(super) fn holds(&self, stage: Option<&str>) -> bool {
        let named = |stage: &str| self.stages.iter().any(|name| name.eq_ignore_ascii_case(stage));
        self.all || stage.is_some_and(named)
    }
}

impl FingerprintRequest {
    /// That of a build command; none where its Dockerfile is not a file of this machine. The builder's own platform is not
    /// known by the command.
    pub fn of(command: &BuildCommand, around: &Surroundings) -> Option<Self> {
        let mut request = Self {
            dockerfile: command.dockerfile.clone()?,
            cwd: command.cwd.clone(),
            target: command.target.clone(),
            platforms: command.platforms.clone(),
            secrets: command.secrets.clone(),
            cache: cache_folder(),
            ..Self::default()
        };
        let given: BTreeMap<&str, &str> =
            command.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for item in parse(&command.argv) {
            match item {
                // The words before it are the program's own: `buildx build`.
                BuildxArg::Positional(text) => request.context = text,
                BuildxArg::Option { name, value, .. } => {
                    let around = |name: &str| {
                        given
                            .get(name)
                            .map(|value| (*value).to_owned())
                            .or_else(|| around.env.get(name).cloned())
                    };
                    request.option(&name, value.unwrap_or_default(), &around);
                }
            }
        }
        Some(request)
    }

    fn option(&mut self, name: &str, value: String, around: &dyn Fn(&str) -> Option<String>) {
        match name {
            "build-arg" => {
                let (name, value) = match value.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (value.clone(), around(&value)),
                };
                let Some(value) = value else { return };
                if name == HOST_NAME {
                    self.run_options.push((format!("build-arg {name}"), value.clone()));
                }
                self.args.insert(name, value);
            }
            "build-context" => {
                if let Some((name, root)) = value.split_once('=') {
                    self.contexts.insert(name.to_owned(), root.to_owned());
                }
            }
            "no-cache" => self.no_cache.all = value != "false",
            "no-cache-filter" => self.no_cache.stages.extend(value.split(',').map(str::to_owned)),
            option if RUN_OPTIONS.contains(&option) => self.run_options.push((option.to_owned(), value)),
            _ => {}
        }
    }
}

/// `$XDG_CACHE_HOME/layertop`; none where there is neither that nor a home directory.
fn cache_folder() -> Option<PathBuf> {
    Some(etcetera::base_strategy::choose_base_strategy().ok()?.cache_dir().join("layertop"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::buildx::Program;

    #[test]
    fn a_command_says_what_is_built() {
        let words = "buildx build --build-arg A=1 --build-arg TOKEN --build-arg HOME_ --build-arg NONE --build-context c=../c \
                     --no-cache-filter a,b --add-host=x:1.2.3.4 --network none --build-arg BUILDKIT_SANDBOX_HOSTNAME=h -t r:1 ctx";
        let command = BuildCommand {
            program: Program::Docker,
            argv: words.split_whitespace().map(str::to_owned).collect(),
            env: vec![("TOKEN".to_owned(), "secret".to_owned())],
            secrets: vec!["secret".to_owned()],
            display: Vec::new(),
            cwd: "/project".into(),
            stdin: false,
            dockerfile: Some("/project/ctx/Dockerfile".into()),
            context: Some("/project/ctx".into()),
            target: Some("t".to_owned()),
            platforms: Platform::parse_list("linux/arm64"),
            images: Vec::new(),
            builder: None,
            cache: None,
        };
        let env = [("HOME_".to_owned(), "/h".to_owned())].into();
        let around = Surroundings { cwd: "/project".into(), user_file: None, env };
        let request = FingerprintRequest::of(&command, &around).unwrap();
        assert_eq!(request.context, "ctx");
        let args: Vec<_> = request.args.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(args, ["A=1", "BUILDKIT_SANDBOX_HOSTNAME=h", "HOME_=/h", "TOKEN=secret"]);
        assert_eq!(request.contexts["c"], "../c");
        assert_eq!(request.no_cache, NoCache { all: false, stages: vec!["a".to_owned(), "b".to_owned()] });
        let options: Vec<_> =
            request.run_options.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(options, ["add-host x:1.2.3.4", "network none", "build-arg BUILDKIT_SANDBOX_HOSTNAME h"]);
        assert!(!format!("{request:?}").contains("secret"));
        let stdin = BuildCommand { dockerfile: None, ..command };
        assert!(FingerprintRequest::of(&stdin, &around).is_none());
    }
}
