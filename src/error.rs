//! Errors that a user sees. Each owns its exit code, and says the cause, the value and what to do next.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | the build, or what was asked for, succeeded |
//! | 1 | something could not be read or written |
//! | 2 | usage or configuration |
//! | 3 | a gate failed: `--fail-on`, `--fail-on-rebuild`, a part that is not well |
//! | 4 | no engine, registry, collector, build, recording or step is to be found |
//! | 128 + n | ended by signal n, or a build was stopped by it |
//! | others | buildx's own, passed through |

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What a command of layertop can fail with. `Display` is the whole message, without the leading `error: `.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for something that can't be.
    #[error("{message}{}", HintLine(hint.as_deref()))]
    Usage { message: String, hint: Option<String> },
    /// A configuration file can't be used: all that is wrong with it.
    #[error("{}", ProblemList(.0))]
    Config(Vec<Problem>),
    /// No engine, builder, registry or build is to be found.
    #[error("{message}{}", HintLine(hint.as_deref()))]
    Unavailable { message: String, hint: Option<String> },
    /// Something can't be read or written, and more is known of it than what the system says.
    #[error("{message}{}", HintLine(hint.as_deref()))]
    Broken { message: String, hint: Option<String> },
    /// The system refused something.
    #[error("can't {action} {}: {source}{}", path.display(), HintLine(hint.as_deref()))]
    Io {
        /// What was tried: `read`, `write the recording`.
        action: &'static str,
        /// What to do; none where what the system says is all that is known.
        hint: Option<String>,
        path: PathBuf,
        source: io::Error,
    },
    /// A build that could not begin.
    #[error("{message}\n  {hint}")]
    Diagnosed {
        message: String,
        hint: String,
        /// What the process ends with.
        exit_code: u8,
    },
    /// The build's own exit code. All that there is to say has been said by the build.
    #[error("the build ended with exit code {0}")]
    Exit(u8),
    /// Ended by a signal.
    #[error("ended by signal {0}")]
    Signal(u8),
}

impl Error {
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// Something outside that is not there.
    pub fn unavailable(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), hint: Some(hint.into()) }
    }

    /// Something that can't be read or written.
    pub fn broken(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Broken { message: message.into(), hint: Some(hint.into()) }
    }

    /// A refusal of the system.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { action, hint: None, path: path.as_ref().to_owned(), source }
    }

    /// A file that the system refused to write, or standard output.
    pub fn not_written(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref();
        Self::Io { action, hint: remedy(path, &source), path: path.to_owned(), source }
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Broken { .. } => 1,
            Self::Usage { .. } | Self::Config(_) => 2,
            Self::Unavailable { .. } => 4,
            Self::Exit(code) | Self::Diagnosed { exit_code: code, .. } => *code,
            Self::Signal(number) => 128_u8.saturating_add(*number),
        }
    }

    /// Whether there is nothing to print, since the build has said it all.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Exit(_) | Self::Signal(_))
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Config(vec![problem])
    }
}

/// The next command, on a line of its own.
struct HintLine<'a>(Option<&'a str>);

impl fmt::Display for HintLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |hint| write!(f, "\n  {hint}"))
    }
}

/// What to do where something could not be written.
fn remedy(path: &Path, source: &io::Error) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match (source.kind(), folder) {
        (io::ErrorKind::NotFound, Some(folder)) => {
            Some(format!("make the folder first: mkdir -p {}", folder.display()))
        }
        (io::ErrorKind::NotADirectory, Some(folder)) => {
            Some(format!("{} is no folder: name another place", folder.display()))
        }
        (io::ErrorKind::IsADirectory, _) => {
            Some(format!("name a file in it: {}", path.join("NAME").display()))
        }
        (io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem, Some(folder)) => {
            Some(format!("name another place, or look who may do that: ls -ld {}", folder.display()))
        }
        (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => {
            Some("free space there, or name another place".to_owned())
        }
        _ => None,
    }
}

/// One below the other.
struct ProblemList<'a>(&'a [Problem]);

impl fmt::Display for ProblemList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("\n\n"))
    }
}

/// Something that is wrong with a configuration, and where it stands.
///
/// ```text
/// layertop.toml:4:13: `linux` is not a platform
///   |
/// 4 | platforms = ["linux"]
///   |              ^^^^^^^
///   write it as linux/amd64 or linux/arm/v7
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// The file, or what else the value came from: `environment`.
    pub file: PathBuf,
    /// Where in it; none where the value stands in no file.
    pub place: Option<SourceLocation>,
    pub message: String,
    pub hint: Option<String>,
}

/// A stretch of one line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLocation {
    /// Line number, counted from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line itself, without its end.
    pub text: String,
    /// How many characters are meant; at least 1.
    pub width: usize,
}

impl SourceLocation {
    /// The place of a byte range in a text. A range over several lines is cut at the end of its first.
    pub fn of(text: &str, span: std::ops::Range<usize>) -> Self {
        let start = boundary(text, span.start);
        let end = boundary(text, span.end).max(start);
        let from = text.get(..start).and_then(|head| head.rfind('\n')).map_or(0, |at| at + 1);
        let rest = text.get(from..).unwrap_or_default();
        let content = rest.lines().next().unwrap_or_default();
        let line = text.get(..from).unwrap_or_default().matches('\n').count() + 1;
        let column = text.get(from..start).unwrap_or_default().chars().count() + 1;
        let end = end.min(from + content.len());
        let width = text.get(start..end).unwrap_or_default().chars().count().max(1);
        Self { line, column, text: content.to_owned(), width }
    }
}

/// The start of the character at a byte, so that a span that cuts one is none to fear.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        if let Some(SourceLocation { line, column, text, width }) = &self.place {
            let gutter = line.to_string().len();
            // A tab takes one column here and in the line of the caret, so that the caret stays below what it means.
            let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            writeln!(f, "{file}:{line}:{column}: {}", self.message)?;
            writeln!(f, "{:gutter$} |", "")?;
            writeln!(f, "{line} | {text}")?;
            write!(f, "{:gutter$} | {:pad$}{}", "", "", "^".repeat(*width), pad = column - 1)?;
        } else {
            write!(f, "{file}: {}", self.message)?;
        }
        HintLine(self.hint.as_deref()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_exit_code() {
        let io = Error::io("read", "/x", io::Error::from(io::ErrorKind::NotFound));
        let codes = [
            (Error::usage("a", "b"), 2),
            (Error::broken("a", "b"), 1),
            (Error::unavailable("a", "b"), 4),
            (io, 1),
            (Error::Exit(102), 102),
            (Error::Signal(9), 137),
        ];
        for (error, code) in codes {
            assert_eq!(error.exit_code(), code, "{error}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let said =
            |path: &str, kind: io::ErrorKind| Error::not_written("write", path, kind.into()).to_string();
        for (path, kind, hint) in [
            ("/no/x", io::ErrorKind::NotFound, "make the folder first: mkdir -p /no"),
            ("/dev/null/x", io::ErrorKind::NotADirectory, "/dev/null is no folder: name another place"),
            ("/tmp", io::ErrorKind::IsADirectory, "name a file in it: /tmp/NAME"),
            ("/root/x", io::ErrorKind::PermissionDenied, "ls -ld /root"),
            ("x", io::ErrorKind::StorageFull, "free space there"),
        ] {
            let said = said(path, kind);
            assert!(said.contains(hint), "{said}");
        }
    }

    #[test]
    fn a_problem_points_at_its_place() {
        let text = "a = 1\nplätze = [\"linux\"]\n";
        let at = text.find("\"linux\"").unwrap();
        let problem = Problem {
            file: "layertop.toml".into(),
            place: Some(SourceLocation::of(text, at..at + 7)),
            message: "`linux` is not a platform".into(),
            hint: Some("write it as linux/amd64".into()),
        };
        let shown = "layertop.toml:2:11: `linux` is not a platform\n  |\n2 | plätze = [\"linux\"]\n  |           \
                     ^^^^^^^\n  write it as linux/amd64";
        assert_eq!(problem.to_string(), shown);
    }

    #[test]
    fn a_place_is_found_in_any_text() {
        assert_eq!(
            SourceLocation::of("", 0..0),
            SourceLocation { line: 1, column: 1, text: String::new(), width: 1 }
        );
        assert_eq!(
            SourceLocation::of("a\n", 2..2),
            SourceLocation { line: 2, column: 1, text: String::new(), width: 1 }
        );
        assert_eq!(SourceLocation::of("ab\ncd", 1..5).width, 1);
        assert_eq!(
            SourceLocation::of("ü", 1..9),
            SourceLocation { line: 1, column: 1, text: "ü".into(), width: 1 }
        );
    }
}
