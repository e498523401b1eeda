//! Which program is buildx: the docker command's plugin, or buildx on its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A way to run `buildx build`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Program {
    #[default]
    Docker,
    /// `docker-buildx build`, without the docker command.
    DockerBuildx,
    /// `buildx build`: the same under its short name.
    Buildx,
}

impl Program {
    /// The first one that a `PATH` has.
    ///
    /// # Errors
    ///
    /// It has none: exit code 4.
    pub fn find(path: Option<&OsStr>) -> Result<Self, Error> {
        let all = [Self::Docker, Self::DockerBuildx, Self::Buildx];
        all.into_iter().find(|program| program.file(path).is_some()).ok_or_else(|| {
            Error::unavailable(
                "there is no docker, docker-buildx or buildx in PATH",
                "install Docker with its buildx plugin: https://docs.docker.com/engine/install; \
                 `layertop demo` needs neither",
            )
        })
    }

    /// Where it is, by a `PATH`.
    pub(super) fn file(self, path: Option<&OsStr>) -> Option<PathBuf> {
        let mut files = std::env::split_paths(path?).map(|folder| folder.join(self.name()));
        files.find(|file| is_executable(file))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::DockerBuildx => "docker-buildx",
            Self::Buildx => "buildx",
        }
    }

    /// The words before buildx's own options.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Docker => &["buildx", "build"],
            Self::DockerBuildx | Self::Buildx => &["build"],
        }
    }
}

pub(super) fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
