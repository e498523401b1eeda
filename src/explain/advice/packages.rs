//! Commands that install packages: where they keep what they have fetched, and which files tell them what to install.

use crate::event::Text;
use crate::event::advice::{CacheMount, Fix};
use crate::event::fingerprint::{Step, StepKind};

/// A command, where it keeps what it downloads, and whether one build at a time may use that: where it installs a system's packages.
const FETCHES: [(&str, &str, bool); 25] = [
    ("pip install", "/root/.cache/pip", false),
    ("pip3 install", "/root/.cache/pip", false),
    ("uv pip install", "/root/.cache/uv", false),
    ("uv sync", "/root/.cache/uv", false),
    ("poetry install", "/root/.cache/pypoetry", false),
    ("conda install", "/opt/conda/pkgs", false),
    ("conda env", "/opt/conda/pkgs", false),
    ("mamba install", "/opt/conda/pkgs", false),
    ("micromamba install", "/opt/conda/pkgs", false),
    ("npm ci", "/root/.npm", false),
    ("npm install", "/root/.npm", false),
    ("npm i", "/root/.npm", false),
    ("yarn install", "/usr/local/share/.cache/yarn", false),
    ("pnpm install", "/root/.local/share/pnpm/store", false),
    ("cargo build", "/usr/local/cargo/registry", false),
    ("cargo install", "/usr/local/cargo/registry", false),
    ("go mod download", "/go/pkg/mod", false),
    ("go build", "/root/.cache/go-build", false),
    ("bundle install", "/usr/local/bundle/cache", false),
    ("composer install", "/root/.composer/cache", false),
    ("apt-get install", "/var/cache/apt", true),
    ("apt install", "/var/cache/apt", true),
    ("apk add", "/etc/apk/cache", true),
    ("dnf install", "/var/cache/dnf", true),
    ("yum install", "/var/cache/yum", true),
];

/// Files that say which packages are installed, by the beginning of their names, and the first word of the command that reads them
/// without being told.
const LISTS: [(&str, &[&str]); 17] = [
    ("requirements", &[]),
    ("constraints", &[]),
    ("environment.y", &["conda", "mamba", "micromamba"]),
    ("pyproject.toml", &["poetry", "uv"]),
    ("poetry.lock", &["poetry"]),
    ("uv.lock", &["uv"]),
    ("Pipfile", &["pipenv"]),
    ("package.json", &["npm", "yarn", "pnpm"]),
    ("package-lock.json", &["npm"]),
    ("yarn.lock", &["yarn"]),
    ("pnpm-lock.yaml", &["pnpm"]),
    ("Cargo.toml", &["cargo"]),
    ("Cargo.lock", &["cargo"]),
    ("go.mod", &["go"]),
    ("go.sum", &["go"]),
    ("Gemfile", &["bundle"]),
    ("composer.", &["composer"]),
];

/// Whether a file says which packages are installed.
pub(super) fn is_list(path: &str) -> bool {
    LISTS.iter().any(|(list, _)| name(path).starts_with(list))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The commands in a text that fetch packages. The same words as a part of another word are another command.
fn fetches(text: &str) -> Vec<&'static (&'static str, &'static str, bool)> {
    let stands = |command: &str| {
        text.match_indices(command).any(|(at, _)| {
            let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + command.len()..));
            let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
            !before.ends_with(word)
                && !before.ends_with("uv ")
                && !after.unwrap_or_default().starts_with(word)
        })
    };
    let mut found: Vec<&(&str, &str, bool)> =
        FETCHES.iter().filter(|(command, ..)| stands(command)).collect();
    found.dedup_by_key(|(_, target, _)| *target);
    found
}

/// Whether a step installs what it is given by name or by a list, and not the sources themselves.
pub(super) fn installs(step: &Step) -> bool {
    let text = step.instruction.as_str();
    let compiles = |command: &str| matches!(command, "cargo build" | "cargo install" | "go build");
    let own = |word: &str| {
        matches!(word, "." | "-e" | "--editable")
            || word.starts_with(".[")
            || word.starts_with("./") && !is_list(word)
    };
    let found = fetches(text);
    step.kind == StepKind::Run
        && !found.is_empty()
        && !found.iter().any(|(command, ..)| compiles(command))
        && !text.split_whitespace().map(|word| word.trim_matches(['"', '\''])).any(own)
}

/// Whether a step that installs packages reads this file to know which.
pub(super) fn reads(step: &Step, path: &str) -> bool {
    let text = step.instruction.as_str();
    let own = name(path);
    let first = |readers: &&[&str]| {
        fetches(text)
            .iter()
            .any(|(command, ..)| readers.iter().any(|reader| command.split(' ').next() == Some(reader)))
    };
    is_list(path)
        && (text.contains(own) || LISTS.iter().any(|(list, readers)| own.starts_with(list) && first(readers)))
}

/// The cache mounts for what a command that ran downloads; none where it downloads nothing, or has such mounts.
pub(super) fn mounts(step: &Step) -> Option<Fix> {
    let text = step.instruction.as_str();
    if step.kind != StepKind::Run || text.contains("--mount=type=cache") {
        return None;
    }
    // Another user's home is not known.
    let root = step.settings.iter().all(|one| {
        one.name.as_str() != "USER" || matches!(one.value.as_str().split(':').next(), Some("root" | "0"))
    });
    let mut found = fetches(text);
    found.retain(|(_, target, _)| root || !target.starts_with("/root/"));
    if found.is_empty() {
        return None;
    }
    let mount = |(command, target, locked): &(&str, &str, bool)| CacheMount {
        command: Text::clean(command),
        target: Text::clean(target),
        locked: *locked,
    };
    let mounts = found.into_iter().map(mount).collect();
    Some(Fix::CacheMounts { mounts, keep_downloads: text.contains("--no-cache-dir") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fingerprint::Setting;

    fn run(text: &str) -> Step {
        Step { kind: StepKind::Run, instruction: Text::clean(text), ..Step::default() }
    }

    /// `pip install: /root/.cache/pip`, of each mount.
    fn told(step: &Step) -> Option<Vec<String>> {
        let Fix::CacheMounts { mounts, .. } = mounts(step)? else { return None };
        let told = |mount: &CacheMount| {
            let locked = if mount.locked { ", locked" } else { "" };
            format!("{}: {}{locked}", mount.command, mount.target)
        };
        Some(mounts.iter().map(told).collect())
    }

    #[test]
    fn caches_are_those_of_the_commands() {
        for (text, expected) in [
            ("RUN pip install -r requirements.txt", &["pip install: /root/.cache/pip"][..]),
            ("RUN uv pip install a", &["uv pip install: /root/.cache/uv"]),
            (
                "RUN apt-get update && apt-get install -y a && npm ci",
                &["npm ci: /root/.npm", "apt-get install: /var/cache/apt, locked"],
            ),
            ("RUN pnpm install", &["pnpm install: /root/.local/share/pnpm/store"]),
            ("RUN conda install -y numba", &["conda install: /opt/conda/pkgs"]),
            ("RUN npm run build", &[]),
            ("RUN npm init -y", &[]),
            ("RUN --mount=type=cache,target=/x pip install a", &[]),
            ("RUN make", &[]),
        ] {
            assert_eq!(told(&run(text)).unwrap_or_default(), expected, "{text}");
        }
        let copy = Step { kind: StepKind::Copy, ..run("COPY pip install /x/") };
        assert_eq!(mounts(&copy), None);
        for (option, expected) in [("--no-cache-dir", true), ("--upgrade", false)] {
            let fix = mounts(&run(&format!("RUN python -m pip install {option} a")));
            assert!(
                matches!(fix, Some(Fix::CacheMounts { keep_downloads, .. }) if keep_downloads == expected)
            );
        }
        let of = |user: &str, text: &str| {
            let user = Setting { name: "USER".into(), value: user.into() };
            mounts(&Step { settings: vec![user], ..run(text) }).is_some()
        };
        assert!(of("root", "RUN pip install a") && of("0:0", "RUN pip install a"));
        assert!(!of("me", "RUN pip install a") && of("me", "RUN conda install a"));
    }

    #[test]
    fn what_needs_the_sources_is_known() {
        for (text, expected) in [
            ("RUN pip install -r requirements.txt", true),
            ("RUN pip install -r ./requirements.txt", true),
            ("RUN pip install -e .", false),
            ("RUN pip install \".[dev]\"", false),
            ("RUN pip install ./lib", false),
            ("RUN npm ci", true),
            ("RUN go mod download", true),
            ("RUN go build ./...", false),
            ("RUN cargo build --release", false),
            ("RUN make", false),
        ] {
            assert_eq!(installs(&run(text)), expected, "{text}");
        }
    }

    #[test]
    fn lists_are_known_by_who_reads_them() {
        for (text, path, expected) in [
            ("RUN pip install -r requirements-dev.txt", "requirements-dev.txt", true),
            ("RUN pip install -r requirements.txt", "requirements-dev.txt", false),
            ("RUN conda install numba", "requirements.txt", false),
            ("RUN conda env create", "environment.yml", true),
            ("RUN npm ci", "app/package-lock.json", true),
            ("RUN npm ci", "yarn.lock", false),
            ("RUN npm ci", "main.js", false),
            ("RUN go mod download", "go.sum", true),
        ] {
            assert_eq!(reads(&run(text), path), expected, "{text}: {path}");
        }
    }
}
