//! A folder with a Dockerfile and what is copied from it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use layertop::clock::Clock;
use layertop::event::Platform;
use layertop::event::fingerprint::{FileSet, Fingerprint, Step};
use layertop::source::context::{FingerprintRequest, fingerprint};

pub(crate) struct Project {
    folder: tempfile::TempDir,
    pub(crate) request: FingerprintRequest,
}

impl Project {
    /// A folder with these files.
    pub(crate) fn new(dockerfile: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("context").tempdir().unwrap();
        let request = FingerprintRequest {
            dockerfile: "Dockerfile".into(),
            context: ".".to_owned(),
            cwd: folder.path().to_owned(),
            platforms: Platform::parse_list("linux/amd64"),
            build_platform: Platform::parse("linux/amd64"),
            ..FingerprintRequest::default()
        };
        let project = Self { folder, request };
        project.write("Dockerfile", dockerfile);
        for (name, content) in files {
            project.write(name, content);
        }
        project
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn print(&self) -> Fingerprint {
        fingerprint(&self.request, &AtomicBool::new(false), Clock::live())
    }
}

/// The first step whose text begins so.
pub(crate) fn step<'a>(made: &'a Fingerprint, begins: &str) -> &'a Step {
    let mut steps = made.stages.iter().flat_map(|stage| &stage.steps);
    let found = steps.find(|step| step.instruction.as_str().starts_with(begins));
    found.unwrap_or_else(|| panic!("no step {begins} in {:#?}", made.stages))
}

/// What the first source of a step takes.
pub(crate) fn set<'a>(made: &'a Fingerprint, begins: &str) -> &'a FileSet {
    let index = step(made, begins).sources[0].set.unwrap();
    &made.sets[index as usize]
}

/// The paths of what the first source of a step takes.
pub(crate) fn paths(made: &Fingerprint, begins: &str) -> Vec<String> {
    made.files(set(made, begins)).map(|(path, _)| path).collect()
}
