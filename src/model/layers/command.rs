//! What the commands of a `RUN` install.

/// What a step installs or builds with. Where a step does several things, the first of these is what it is named by:
/// what installs for a language tells more than the system's packages that it needs, and those more than a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tool {
    Editable,
    Conda,
    Node,
    Pip,
    Rust,
    Go,
    Java,
    Ruby,
    Php,
    Dotnet,
    Build,
    System,
    Download,
    Source,
}

impl Tool {
    /// The name of its layer.
    pub(super) fn layer(self) -> &'static str {
        match self {
            Self::Editable => "editable install",
            Self::Conda => "conda",
            Self::Node => "node",
            Self::Pip => "pip",
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Java => "java",
            Self::Ruby => "ruby",
            Self::Php => "php",
            Self::Dotnet => "dotnet",
            Self::Build => "build",
            Self::System => "system packages",
            Self::Download => "downloaded binary",
            Self::Source => "source",
        }
    }

    /// Whether what it reads is also read by `other`: a `pyproject.toml` by pip, an `environment.yml` by nothing else.
    pub(super) fn feeds(self, other: Self) -> bool {
        let python = |tool| matches!(tool, Self::Editable | Self::Pip);
        self == other || (python(self) && python(other))
    }

    /// What is installed by what is downloaded from there.
    pub(super) fn of_download(url: &str) -> Option<Self> {
        let url = url.to_ascii_lowercase();
        SOURCES.iter().find(|(part, _)| url.contains(part)).map(|(_, tool)| *tool)
    }
}

/// Parts of addresses that installers are downloaded from.
const SOURCES: [(&str, Tool); 16] = [
    ("nodesource", Tool::Node),
    ("nvm-sh", Tool::Node),
    ("nodejs.org", Tool::Node),
    ("bun.sh", Tool::Node),
    ("get.pnpm.io", Tool::Node),
    ("miniconda", Tool::Conda),
    ("miniforge", Tool::Conda),
    ("mambaforge", Tool::Conda),
    ("micromamba", Tool::Conda),
    ("micro.mamba", Tool::Conda),
    ("rustup", Tool::Rust),
    ("bootstrap.pypa.io", Tool::Pip),
    ("astral.sh/uv", Tool::Pip),
    ("install.python-poetry.org", Tool::Pip),
    ("go.dev/dl", Tool::Go),
    ("getcomposer.org", Tool::Php),
];

/// How much a command says: installing is what a layer is there for, `npm --version` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Installs,
    Touches,
}

/// What the commands of a `RUN` install: the most telling of them. Lines after the first are those of a heredoc.
pub(super) fn installs(rest: &str) -> Option<Tool> {
    let mut found = Vec::new();
    let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
    let mut line = line.trim_start();
    while line.starts_with("--") {
        line = line.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    }
    if let Ok(words) = serde_json::from_str::<Vec<String>>(line) {
        one(&words, 0, &mut found);
    } else {
        script(line, 0, &mut found);
    }
    script(body, 0, &mut found);
    found.into_iter().min().map(|(_, tool)| tool)
}

type Found = Vec<(Weight, Tool)>;

/// Shells in shells that are still followed.
const DEEPEST: usize = 4;

fn script(text: &str, depth: usize, found: &mut Found) {
    for words in commands(text) {
        one(&words, depth, found);
    }
}

/// Cuts a shell script into commands, and those into words without quotes. What stands in `$(…)` is a command.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quote != Some('\'') => word.extend(chars.next().filter(|c| *c != '\n')),
            _ if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            '$' if quote != Some('\'') && chars.peek() == Some(&'(') => {
                chars.next();
                end(&mut commands, &mut word, true);
            }
            '`' if quote != Some('\'') => end(&mut commands, &mut word, true),
            _ if quote.is_some() => word.push(c),
            // `2>&1` and `&>` are no ends of a command.
            '&' if word.ends_with('>') || chars.peek() == Some(&'>') => word.push(c),
            '&' | '|' | ';' | '\n' | '(' | ')' => end(&mut commands, &mut word, true),
            _ if c.is_whitespace() => end(&mut commands, &mut word, false),
            _ => word.push(c),
        }
    }
    end(&mut commands, &mut word, true);
    commands
}

fn end(commands: &mut Vec<Vec<String>>, word: &mut String, command: bool) {
    if let Some(last) = commands.last_mut()
        && !word.is_empty()
    {
        last.push(std::mem::take(word));
    }
    if command && commands.last().is_some_and(|last| !last.is_empty()) {
        commands.push(Vec::new());
    }
}

/// Words before a command that change how it runs, not what it does.
const WRAPPERS: [&str; 24] = [
    "sudo", "env", "exec", "time", "nice", "ionice", "nohup", "command", "eval", "xargs", "if", "then",
    "else", "elif", "while", "until", "do", "!", "{", "timeout", "retry", "gosu", "stdbuf", "yes",
];

/// The command without what wraps it: `sudo -H A=b /usr/bin/pip3 install` begins at the path.
fn unwrapped(words: &[String]) -> &[String] {
    let mut words = words;
    let mut led = false;
    while let [first, rest @ ..] = words {
        let assignment = first.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        let number = first.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 's' | 'm'));
        let wraps = WRAPPERS.contains(&first.as_str());
        if !(wraps || assignment || (led && (first.starts_with('-') || number))) {
            break;
        }
        led |= wraps;
        words = rest;
    }
    words
}

/// The program's name without its path and version: `/usr/bin/pip3.11` is `pip`.
fn program(word: &str) -> String {
    let name = word.rsplit('/').next().unwrap_or(word).to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if matches!(bare, "pip" | "python" | "pypy") { bare.to_owned() } else { name.to_owned() }
}

fn one(words: &[String], depth: usize, found: &mut Found) {
    let [first, arguments @ ..] = unwrapped(words) else { return };
    if depth > DEEPEST {
        return;
    }
    let program = program(first);
    // The first word that is no flag says what is done: `install` in `npm --global install`.
    let verb_at = arguments.iter().position(|word| !word.starts_with('-'));
    let verb = verb_at.map_or("", |at| arguments[at].as_str());
    let after_verb = || verb_at.and_then(|at| arguments.get(at + 1..)).unwrap_or_default();
    let is = |tool, installs: bool| (if installs { Weight::Installs } else { Weight::Touches }, tool);
    match program.as_str() {
        "sh" | "bash" | "ash" | "dash" | "zsh" | "su" => {
            if let Some(at) = arguments.iter().position(|word| word.starts_with('-') && word.ends_with('c')) {
                arguments.get(at + 1).into_iter().for_each(|text| script(text, depth + 1, found));
            } else if let Some(tool) = arguments.iter().find_map(|word| Tool::of_download(word)) {
                found.push(is(tool, true));
            }
        }
        "python" | "pypy" => python(arguments, depth, found),
        "pip" | "pipx" => pip(arguments, found),
        "uv" => match verb {
            "pip" => one(&[&["pip".to_owned()], after_verb()].concat(), depth + 1, found),
            _ => found.push(is(Tool::Pip, ["sync", "add", "tool", "build"].contains(&verb))),
        },
        "poetry" | "pipenv" | "pdm" | "hatch" => {
            found.push(is(Tool::Pip, ["install", "sync", "add", "update", "build"].contains(&verb)));
        }
        "conda" | "mamba" | "micromamba" if verb == "run" => {
            one(run_by_conda(after_verb()), depth + 1, found);
        }
        "conda" | "mamba" | "micromamba" | "conda-lock" => {
            found.push(is(Tool::Conda, ["install", "create", "update", "env", "upgrade"].contains(&verb)));
        }
        "curl" | "wget" | "aria2c" => {
            found.push(is(Tool::Download, true));
            found
                .extend(arguments.iter().find_map(|word| Tool::of_download(word)).map(|tool| is(tool, true)));
        }
        "git" => {
            if verb == "clone" {
                found.push(is(Tool::Source, true));
            }
        }
        _ => found.extend(simple(&program, verb, arguments).map(|(tool, installs)| is(tool, installs))),
    }
}

/// Programs that are told by their name, and whether this use of them installs.
fn simple(program: &str, verb: &str, arguments: &[String]) -> Option<(Tool, bool)> {
    // Flags can have values, so the verb need not be the first word: `apt-get -o Retries=3 install`.
    let verbs = |list: &[&str]| arguments.iter().any(|word| list.contains(&word.as_str()));
    Some(match program {
        "apt-get" | "apt" | "aptitude" | "dnf" | "yum" | "microdnf" | "tdnf" | "zypper" | "apk"
        | "emerge" | "rpm" | "dpkg" | "pacman" | "add-apt-repository" => {
            let installs =
                ["install", "add", "upgrade", "dist-upgrade", "groupinstall", "builddep", "build-dep", "in"];
            let flags = ["-i", "-ivh", "-Uvh", "-S", "-Sy", "-Syu", "-Syyu"];
            (Tool::System, verbs(&installs) || arguments.iter().any(|word| flags.contains(&word.as_str())))
        }
        "npm" | "yarn" | "pnpm" | "bun" => {
            let installs = ["install", "i", "ci", "add", "run", "build", "fetch", "rebuild", "workspaces"];
            let itself = arguments.iter().any(|word| word.starts_with("npm@"));
            (Tool::Node, !itself && (verbs(&installs) || (program == "yarn" && verb.is_empty())))
        }
        "nvm" | "fnm" | "volta" => (Tool::Node, verbs(&["install"])),
        "node" | "npx" | "corepack" | "tsc" => (Tool::Node, false),
        "cargo" => (Tool::Rust, verbs(&["build", "install", "fetch", "chef", "b", "binstall", "test"])),
        "rustup" | "rustc" | "rustup-init" => (Tool::Rust, true),
        "go" => (Tool::Go, verbs(&["build", "install", "mod", "get", "generate", "test", "work"])),
        "mvn" | "mvnw" | "gradle" | "gradlew" => (Tool::Java, true),
        "sdk" | "javac" | "java" => (Tool::Java, false),
        "bundle" | "gem" | "bundler" => (Tool::Ruby, verbs(&["install", "update"])),
        "composer" | "composer.phar" | "docker-php-ext-install" | "pecl" => (
            Tool::Php,
            program == "docker-php-ext-install" || verbs(&["install", "require", "update", "dump-autoload"]),
        ),
        "dotnet" | "nuget" => (Tool::Dotnet, verbs(&["restore", "build", "publish", "tool", "test", "pack"])),
        "make" | "gmake" | "cmake" | "ninja" | "meson" | "scons" | "bazel" | "gcc" | "g++" | "cc"
        | "clang" => (Tool::Build, true),
        "configure" | "autoreconf" | "autogen.sh" => (Tool::Build, false),
        "tar" | "unzip" | "7z" | "gunzip" | "unxz" | "bsdtar" => (Tool::Download, false),
        _ => return None,
    })
}

/// `python -m pip install …`, `python setup.py develop`.
fn python(arguments: &[String], depth: usize, found: &mut Found) {
    let module = arguments.iter().position(|word| word == "-m").and_then(|at| arguments.get(at + 1..));
    match module {
        Some([module, ..]) if ["venv", "virtualenv", "ensurepip", "build"].contains(&module.as_str()) => {
            found.push((Weight::Touches, Tool::Pip));
        }
        Some(command) => one(command, depth + 1, found),
        None if arguments.first().is_some_and(|script| script.ends_with("setup.py")) => {
            let editable = arguments.iter().any(|word| word == "develop");
            found.push((Weight::Installs, if editable { Tool::Editable } else { Tool::Pip }));
        }
        None => {}
    }
}

/// `pip install -e .` is an editable install; with a list of requirements beside it, those are what it is there for.
fn pip(arguments: &[String], found: &mut Found) {
    let flag = |short: &str, long: &str| {
        arguments
            .iter()
            .any(|word| (word.starts_with(short) && !word.starts_with("--")) || word.starts_with(long))
    };
    let mut packages = arguments.iter().filter(|word| !word.starts_with('-')).skip(1).peekable();
    // Bringing pip itself up to date is what one does on the way to something else.
    let itself = packages.peek().is_some()
        && packages.all(|name| {
            ["pip", "setuptools", "wheel"]
                .contains(&name.split(['=', '<', '>', '~', '[']).next().unwrap_or(name))
        });
    let verbs = ["install", "sync", "download", "wheel", "compile", "inject"];
    let installs = !itself && arguments.iter().any(|word| verbs.contains(&word.as_str()));
    let editable = installs && flag("-e", "--editable") && !flag("-r", "--requirement");
    let weight = if installs { Weight::Installs } else { Weight::Touches };
    found.push((weight, if editable { Tool::Editable } else { Tool::Pip }));
}

/// What `conda run` runs: the words after its own flags, of which these take a value.
fn run_by_conda(words: &[String]) -> &[String] {
    let mut words = words;
    loop {
        words = match words {
            [flag, _, rest @ ..] if ["-n", "--name", "-p", "--prefix", "--cwd"].contains(&flag.as_str()) => {
                rest
            }
            [flag, rest @ ..] if flag.starts_with('-') => rest,
            _ => return words,
        };
    }
}
