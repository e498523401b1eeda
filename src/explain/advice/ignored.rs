//! Files that no step needs, and the line of a `.dockerignore` that leaves them out.

/// Files and folders that mostly do not belong into an image, wherever they are.
const STRAY: [&str; 16] = [
    ".git/",
    "__pycache__/",
    ".pyc",
    ".log",
    ".swp",
    ".DS_Store",
    "node_modules/",
    ".idea/",
    ".vscode/",
    ".tmp",
    "~",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".venv/",
    ".terraform/",
];

/// What tells others what to do with the project, by the beginning of its path: of no use in an image.
const ABOUT: [&str; 14] = [
    "Dockerfile",
    "docker-compose.",
    "compose.y",
    "docker-bake.",
    "layertop.toml",
    ".dockerignore",
    ".gitignore",
    ".gitattributes",
    ".gitlab-ci.yml",
    ".github/",
    ".gitlab/",
    ".editorconfig",
    ".pre-commit-config.yaml",
    ".envrc",
];

/// What an image needs seldom: somebody may.
const SELDOM: [&str; 7] = ["README", "CHANGELOG", "CONTRIBUTING", "docs/", "tests/", "test/", "examples/"];

/// How a path is left out of a context: the pattern, and whether that is certain to harm nothing.
pub(super) fn pattern(path: &str) -> Option<(String, bool)> {
    // Patterns are rooted in the context.
    let stray = STRAY.iter().find(|part| match part.strip_suffix('/') {
        Some(folder) => path.split('/').rev().skip(1).any(|name| name == folder),
        None => path.ends_with(**part),
    });
    if let Some(part) = stray {
        let name = part.strip_suffix('/');
        return Some((name.map_or_else(|| format!("**/*{part}"), |folder| format!("**/{folder}")), true));
    }
    let begins = |list: &[&'static str]| list.iter().copied().find(|part| path.starts_with(part));
    let whole = |part: &str| part.strip_suffix('/').map_or_else(|| path.to_owned(), str::to_owned);
    begins(&ABOUT)
        .map(|part| (whole(part), true))
        .or_else(|| begins(&SELDOM).map(|part| (whole(part), false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_leave_out_what_they_are_for() {
        for (path, expected) in [
            ("debug.log", Some(("**/*.log", true))),
            ("a/b/debug.log", Some(("**/*.log", true))),
            (".git/index", Some(("**/.git", true))),
            ("lib/node_modules/x/y.js", Some(("**/node_modules", true))),
            ("src/a.py~", Some(("**/*~", true))),
            ("src/a~b.py", None),
            ("Dockerfile.dev", Some(("Dockerfile.dev", true))),
            ("layertop.toml", Some(("layertop.toml", true))),
            (".github/workflows/a.yml", Some((".github", true))),
            ("README.md", Some(("README.md", false))),
            ("tests/test_a.py", Some(("tests", false))),
            ("src/tests/a.py", None),
            ("src/main.py", None),
            ("changes.log.py", None),
        ] {
            let found = pattern(path);
            let found = found.as_ref().map(|(pattern, sure)| (pattern.as_str(), *sure));
            assert_eq!(found, expected, "{path}");
        }
    }
}
