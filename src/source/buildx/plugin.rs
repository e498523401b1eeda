//! The buildx that `docker buildx` leads to.
//!
//! The docker command starts its plugin twice, once to ask for its name and once to work, and waits beside it: 0.1 s of processor
//! time, and 0.2 s on the wall that a build begins later (Docker 28.5, buildx 0.29). So the plugin is started as docker starts it, with the
//! same words, where it is beyond doubt which file that is. Otherwise docker is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::source::docker::folder;

use super::program::{Program, is_executable};

/// Where docker looks for plugins behind the folders of its user (`cli-plugins/manager/manager_unix.go` of docker/cli).
const SYSTEM: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerPluginConfig {
    cli_plugins_extra_dirs: Vec<PathBuf>,
}

/// What tells a plugin that it is one, and which command it belongs to (`ReexecEnvvar` in `cli-plugins/manager` of docker/cli).
pub(super) const CALLED_BY: &str = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND";

/// The plugin that the docker command of this environment would start; none where that is not sure.
pub fn behind_docker(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let docker = Program::Docker.file(env.get("PATH").map(AsRef::as_ref))?;
    if !is_docker(&docker) {
        return None;
    }
    let own = folder::of_docker(env)?;
    let config = match fs::read(own.join("config.json")) {
        Ok(text) => serde_json::from_slice(&text).ok()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => DockerPluginConfig::default(),
        Err(_) => return None,
    };
    let in_folder = |folder: PathBuf| {
        let file = folder.join(Program::DockerBuildx.name());
        file.exists().then_some(file)
    };
    let of_user = config.cli_plugins_extra_dirs.into_iter().chain([own.join("cli-plugins")]);
    let mut of_user = of_user.filter_map(in_folder);
    let found = match (of_user.next(), of_user.next()) {
        // Which of them comes first has changed between versions of docker.
        (Some(_), Some(_)) => return None,
        (Some(one), None) => one,
        (None, _) => SYSTEM.into_iter().map(PathBuf::from).find_map(in_folder)?,
    };
    is_executable(&found).then_some(found)
}

/// Whether it is docker itself: a script, or a link to something of another name, may do anything.
fn is_docker(file: &Path) -> bool {
    let named =
        fs::canonicalize(file).is_ok_and(|file| file.file_name() == Some(Program::Docker.name().as_ref()));
    let mut start = [0; 2];
    named && File::open(file).is_ok_and(|mut file| file.read_exact(&mut start).is_ok()) && start != *b"#!"
}
