//! What a `COPY` or `ADD` brings in.

use super::command::Tool;

/// What the copied files are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Files {
    /// They come from another stage or image.
    From(String),
    /// A tool reads them to know what to install.
    Manifest(Tool),
    /// They are themselves what is installed.
    Installs(Tool),
}

/// Reads what follows `COPY` or `ADD`.
pub(super) fn copied(rest: &str) -> Files {
    let line = rest.lines().next().unwrap_or_default();
    let mut words: Vec<String> = line
        .replace(['[', ']', '"', '\'', ','], " ")
        .split_whitespace()
        .map(|word| word.trim_start_matches("./").to_owned())
        .collect();
    if let Some(from) = words.iter().find_map(|word| word.strip_prefix("--from=")) {
        return Files::From(stage(from));
    }
    words.retain(|word| !word.starts_with("--"));
    words.pop();
    if words.iter().any(|word| is_download(word)) {
        let tool = words.iter().find_map(|word| Tool::of_download(word));
        return Files::Installs(tool.unwrap_or(Tool::Download));
    }
    if !words.is_empty() && words.iter().all(|word| is_archive(word)) {
        return Files::Installs(Tool::Download);
    }
    let manifests: Vec<Tool> = words.iter().filter_map(|word| manifest(word)).collect();
    match manifests.first() {
        Some(first) if words.iter().all(|word| manifest(word).is_some() || is_notice(word)) => {
            // `pyproject.toml` beside a lock file is read by whatever reads the lock file.
            Files::Manifest(*manifests.iter().find(|tool| **tool != Tool::Editable).unwrap_or(first))
        }
        _ => Files::Installs(Tool::Source),
    }
}

/// A stage's name as it is, an image's without registry, tag and digest.
fn stage(from: &str) -> String {
    let name = from.rsplit('/').next().unwrap_or(from);
    let name = name.split(['@', ':']).next().unwrap_or(name);
    if name.is_empty() { from.to_owned() } else { name.to_owned() }
}

fn is_download(word: &str) -> bool {
    let url = ["http://", "https://", "ftp://"].iter().any(|scheme| word.starts_with(scheme));
    let git = word.starts_with("git@")
        || word.split(['#', '?']).next().is_some_and(|path| path.rsplit('.').next() == Some("git"));
    url && !git
}

fn is_archive(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    [".tar", ".tgz", ".txz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".zip"]
        .iter()
        .any(|end| word.ends_with(end))
}

/// Files that often go with a manifest and are never the point of a copy.
fn is_notice(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word).to_ascii_lowercase();
    name.starts_with("readme") || name.starts_with("license") || name.starts_with("changelog")
}

/// Names of files that a tool reads to know what to install; `*` stands for anything.
const MANIFESTS: [(Tool, &[&str]); 12] = [
    (Tool::Editable, &["pyproject.toml", "setup.py", "setup.cfg", "setup.*", "manifest.in"]),
    (
        Tool::Pip,
        &[
            "*requirements*.txt",
            "*requirements*.in",
            "requirements",
            "constraints*.txt",
            "pipfile*",
            "poetry.lock",
        ],
    ),
    (Tool::Pip, &["poetry.toml", "uv.lock", "pdm.lock", "pip.conf", "*.whl", "wheels", ".python-version"]),
    (
        Tool::Node,
        &[
            "package*.json",
            "npm-shrinkwrap.json",
            "yarn.lock",
            "pnpm-*.yaml",
            "bun.lock*",
            ".npmrc",
            ".yarnrc*",
        ],
    ),
    (Tool::Node, &[".yarn", ".nvmrc", ".node-version", "lerna.json", ".pnpmfile.cjs", "patches"]),
    (
        Tool::Conda,
        &[
            "environment*.yml",
            "environment*.yaml",
            "env.yml",
            "env.yaml",
            "conda*.yml",
            "conda*.lock",
            ".condarc",
        ],
    ),
    (Tool::Rust, &["cargo.*", "rust-toolchain*"]),
    (Tool::Go, &["go.*", "go.work*", "vendor.mod"]),
    (
        Tool::Java,
        &["pom.xml", "*.gradle", "*.gradle.kts", "gradlew", "gradle", "gradle.properties", "mvnw", ".mvn"],
    ),
    (Tool::Ruby, &["gemfile*", "*.gemspec", ".ruby-version"]),
    (Tool::Php, &["composer.*"]),
    (
        Tool::Dotnet,
        &["*.csproj", "*.fsproj", "*.sln", "*.slnx", "nuget.config", "global.json", "directory.*.props"],
    ),
];

/// Files that only a build or the system's packages are made from.
const OTHERS: [(Tool, &[&str]); 2] = [
    (Tool::Build, &["makefile", "cmakelists.txt", "cmakepresets.json", "meson.build", "configure*"]),
    (
        Tool::System,
        &["apt*.txt", "packages.txt", "sources.list", "*.sources", "*.deb", "*.rpm", "*.apk", "*.repo"],
    ),
];

/// The tool that reads this file.
fn manifest(word: &str) -> Option<Tool> {
    // `poetry.lock*` is how one copies a file that may not be there.
    let word = word.trim_end_matches(['/', '*']);
    let name = word.rsplit('/').next().unwrap_or(word).to_ascii_lowercase();
    let mut tools = MANIFESTS.iter().chain(&OTHERS);
    tools
        .find(|(_, patterns)| patterns.iter().any(|pattern| fits(pattern, &name, '*')))
        .map(|(tool, _)| *tool)
}

/// Whether the name is what the pattern says, in which `any` stands for whatever there is. The name can be a pattern too,
/// which fits where it is written like ours.
pub(crate) fn fits(pattern: &str, name: &str, any: char) -> bool {
    let mut parts = pattern.split(any);
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}
