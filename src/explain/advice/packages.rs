//! Commands that install packages: where they keep what they have fetched, and which files tell them what to install.

use crate::event::fingerprint::{Step, StepKind};

/// A command, and where it keeps what it has fetched. Where a system's packages are installed only one build at a time may.
const FETCHES: [(&str, &str); 25] = [
    ("pip install", "/root/.cache/pip"),
    ("pip3 install", "/root/.cache/pip"),
    ("uv pip install", "/root/.cache/uv"),
    ("uv sync", "/root/.cache/uv"),
    ("poetry install", "/root/.cache/pypoetry"),
    ("conda install", "/opt/conda/pkgs"),
    ("conda env", "/opt/conda/pkgs"),
    ("mamba install", "/opt/conda/pkgs"),
    ("micromamba install", "/opt/conda/pkgs"),
    ("npm ci", "/root/.npm"),
    ("npm install", "/root/.npm"),
    ("npm i", "/root/.npm"),
    ("yarn install", "/usr/local/share/.cache/yarn"),
    ("pnpm install", "/root/.local/share/pnpm/store"),
    ("cargo build", "/usr/local/cargo/registry"),
    ("cargo install", "/usr/local/cargo/registry"),
    ("go mod download", "/go/pkg/mod"),
    ("go build", "/root/.cache/go-build"),
    ("bundle install", "/usr/local/bundle/cache"),
    ("composer install", "/root/.composer/cache"),
    ("apt-get install", "/var/cache/apt,sharing=locked"),
    ("apt install", "/var/cache/apt,sharing=locked"),
    ("apk add", "/etc/apk/cache,sharing=locked"),
    ("dnf install", "/var/cache/dnf,sharing=locked"),
    ("yum install", "/var/cache/yum,sharing=locked"),
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
fn fetches(text: &str) -> Vec<&'static (&'static str, &'static str)> {
    let stands = |command: &str| {
        text.match_indices(command).any(|(at, _)| {
            let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + command.len()..));
            let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
            !before.ends_with(word)
                && !before.ends_with("uv ")
                && !after.unwrap_or_default().starts_with(word)
        })
    };
    let mut found: Vec<&(&str, &str)> = FETCHES.iter().filter(|(command, _)| stands(command)).collect();
    found.dedup_by_key(|(_, target)| *target);
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
        && !found.iter().any(|(command, _)| compiles(command))
        && !text.split_whitespace().map(|word| word.trim_matches(['"', '\''])).any(own)
}

/// Whether a step that installs packages reads this file to know which.
pub(super) fn reads(step: &Step, path: &str) -> bool {
    let text = step.instruction.as_str();
    let own = name(path);
    let first = |readers: &&[&str]| {
        fetches(text)
            .iter()
            .any(|(command, _)| readers.iter().any(|reader| command.split(' ').next() == Some(reader)))
    };
    is_list(path)
        && (text.contains(own) || LISTS.iter().any(|(list, readers)| own.starts_with(list) && first(readers)))
}

/// How a command that ran keeps what it fetches for the next time; none where it fetches nothing, or keeps it already.
pub(super) fn mount(step: &Step) -> Option<String> {
    let text = step.instruction.as_str();
    if step.kind != StepKind::Run || text.contains("--mount=type=cache") {
        return None;
    }
    // Another user's home is not known.
    let root = step.settings.iter().all(|one| {
        one.name.as_str() != "USER" || matches!(one.value.as_str().split(':').next(), Some("root" | "0"))
    });
    let mut found = fetches(text);
    found.retain(|(_, target)| root || !target.starts_with("/root/"));
    if found.is_empty() {
        return None;
    }
    let commands = found.iter().map(|(command, _)| format!("`{command}`")).collect::<Vec<_>>().join(" and ");
    let verb = if found.len() == 1 { "fetches" } else { "fetch" };
    let mounts = found.iter().map(|(_, target)| format!("--mount=type=cache,target={target} "));
    let mut told =
        format!("keep what {commands} {verb} from build to build: RUN {}…", mounts.collect::<String>());
    if text.contains("--no-cache-dir") {
        told.push_str(", and no --no-cache-dir");
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Text;
    use crate::event::fingerprint::Setting;

    fn run(text: &str) -> Step {
        Step { kind: StepKind::Run, instruction: Text::clean(text), ..Step::default() }
    }

    #[test]
    fn caches_are_those_of_the_commands() {
        for (text, expected) in [
            (
                "RUN pip install -r requirements.txt",
                Some(
                    "`pip install` fetches from build to build: RUN --mount=type=cache,target=/root/.cache/pip …",
                ),
            ),
            (
                "RUN python -m pip install --no-cache-dir a",
                Some(
                    "`pip install` fetches from build to build: RUN --mount=type=cache,target=/root/.cache/pip …, and no --no-cache-dir",
                ),
            ),
            (
                "RUN uv pip install a",
                Some(
                    "`uv pip install` fetches from build to build: RUN --mount=type=cache,target=/root/.cache/uv …",
                ),
            ),
            (
                "RUN apt-get update && apt-get install -y a && npm ci",
                Some(
                    "`npm ci` and `apt-get install` fetch from build to build: RUN --mount=type=cache,target=/root/.npm --mount=type=cache,target=/var/cache/apt,sharing=locked …",
                ),
            ),
            (
                "RUN pnpm install",
                Some(
                    "`pnpm install` fetches from build to build: RUN --mount=type=cache,target=/root/.local/share/pnpm/store …",
                ),
            ),
            (
                "RUN conda install -y numba",
                Some(
                    "`conda install` fetches from build to build: RUN --mount=type=cache,target=/opt/conda/pkgs …",
                ),
            ),
            ("RUN npm run build", None),
            ("RUN npm init -y", None),
            ("RUN --mount=type=cache,target=/x pip install a", None),
            ("RUN make", None),
        ] {
            let told = mount(&run(text));
            assert_eq!(told, expected.map(|expected| format!("keep what {expected}")), "{text}");
        }
        let copy = Step { kind: StepKind::Copy, ..run("COPY pip install /x/") };
        assert_eq!(mount(&copy), None);
        let of = |user: &str, text: &str| {
            let user = Setting { name: "USER".into(), value: user.into() };
            mount(&Step { settings: vec![user], ..run(text) }).is_some()
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
