//! Where docker and buildx keep their files.

use std::collections::BTreeMap;
use std::path::PathBuf;

fn given(env: &BTreeMap<String, String>, name: &str) -> Option<PathBuf> {
    env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folder of docker's `config.json`: `$DOCKER_CONFIG`, else `~/.docker`; none where there is no home either.
pub(in crate::source) fn of_docker(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    given(env, "DOCKER_CONFIG").or_else(|| Some(given(env, "HOME")?.join(".docker")))
}

/// The folder of buildx's builders: `$BUILDX_CONFIG`, else `buildx` in docker's own (`util/confutil` of buildx).
pub(in crate::source) fn of_buildx(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    given(env, "BUILDX_CONFIG").or_else(|| Some(of_docker(env)?.join("buildx")))
}
