//! Dockerfiles, read before they are built: what the stack shows until the builder says something.
//!
//! [`parse()`] never fails: what `BuildKit` would refuse becomes a [`Diagnostic`], and the rest of the file is still
//! read. It is not a check of Dockerfiles. How instructions are split, joined and substituted, and what is numbered,
//! follows `BuildKit`'s `frontend/dockerfile` (`parser`, `shell`, `dockerfile2llb`); `tests/dockerfiles/engine` has
//! files with the streams that an engine made of them.

mod lex;
mod outline;
mod parse;
mod resolve;
mod words;

use strum::{AsRefStr, EnumString};

pub use lex::{expand, expand_run};
pub use parse::parse;
pub use resolve::{ResolvedStage, ResolvedStep, ResolvedVariable, StageBase};
pub use words::FlagWord;

/// A Dockerfile as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The character that escapes and continues lines: `\`, or a backtick by the `escape` directive.
    pub escape: char,
    /// The frontend image that the `syntax` directive asks for.
    pub syntax: Option<String>,
    /// What stands before the first `FROM`; only `ARG` is meaningful there.
    pub globals: Vec<DockerfileInstruction>,
    /// The stages in the file's order.
    pub stages: Vec<DockerfileStage>,
    /// What `BuildKit` would refuse or ignore, by line.
    pub diagnostics: Vec<Diagnostic>,
}

/// A build stage: a `FROM` and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileStage {
    /// The name after `AS`, in lower case, as `BuildKit` compares and prints it.
    pub name: Option<String>,
    /// The base as it stands in the file, before substitution: an image, `scratch` or an earlier stage.
    pub base: String,
    /// The value of `--platform`, before substitution.
    pub platform: Option<String>,
    /// The stage's own `FROM` instruction.
    pub from: DockerfileInstruction,
    /// The instructions after it.
    pub instructions: Vec<DockerfileInstruction>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileInstruction {
    pub keyword: Keyword,
    /// The flags between the keyword and the arguments, in their order.
    pub flags: Vec<FlagWord>,
    /// All of it on one line as `BuildKit` prints it, but before substitution: continued lines are joined with their
    /// white space, comments between them are gone, the keyword is in upper case, and a `RUN` that is one heredoc
    /// ends with a summary of it.
    pub text: String,
    /// What follows the flags, joined likewise.
    pub arguments: String,
    /// The bodies of its heredocs, in the order that they are announced.
    pub heredocs: Vec<Heredoc>,
    /// Its first line in the file, from 1.
    pub first_line: u32,
    /// Its last line in the file, heredocs included.
    pub last_line: u32,
}

impl DockerfileInstruction {
    /// The value of the first flag of that name: `builder` for `from` in `COPY --from=builder`.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|flag| flag.name == name).and_then(|flag| flag.value.as_deref())
    }

    /// The names after `from=` in the `--mount` flags of a `RUN`; `None` for a mount that has none.
    pub fn mounts(&self) -> impl Iterator<Item = Option<&str>> {
        let mounts = self.flags.iter().filter(|flag| flag.name == "mount" && self.keyword == Keyword::Run);
        mounts.map(|flag| {
            let fields = flag.value.as_deref().unwrap_or_default().split(',');
            fields.filter_map(|field| field.split_once('=')).find_map(|(key, value)| {
                (key.trim().eq_ignore_ascii_case("from") && !value.is_empty()).then_some(value)
            })
        })
    }

    /// The arguments as a list, before substitution: of the exec form, or the words between white space.
    pub fn list(&self) -> Vec<String> {
        self.exec_form().unwrap_or_else(|| words::spaced(&self.arguments).map(str::to_owned).collect())
    }

    /// The arguments of the exec form: `["sh", "-c", "true"]`; none where they are no such array.
    pub fn exec_form(&self) -> Option<Vec<String>> {
        words::exec_form(&self.arguments)
    }
}

/// The body of a heredoc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// Its lines as they stand in the file, with their line ends.
    pub body: String,
    /// Announced by `<<-`: leading tabs do not count.
    pub chomp: bool,
    /// Announced without quotes: variables in it are substituted.
    pub expand: bool,
}

impl Heredoc {
    /// What it holds: its lines, without the leading tabs that do not count.
    pub fn content(&self) -> String {
        if !self.chomp {
            return self.body.clone();
        }
        self.body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// What `BuildKit` would refuse or ignore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Line number, counted from 1.
    pub line: u32,
    /// What, as a lower-case fragment.
    pub message: String,
}

/// The kind of an instruction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, AsRefStr, EnumString)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
    /// A word that is no instruction, in upper case.
    #[strum(default, transparent)]
    Unknown(String),
}

impl Keyword {
    /// Reads a keyword in any case.
    pub fn parse(word: &str) -> Self {
        Self::from(word.to_ascii_uppercase().as_str())
    }

    /// The keyword in upper case.
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }

    /// Whether `BuildKit` gives it a number: it makes a layer.
    pub fn is_step(&self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run | Self::Workdir)
    }
}
