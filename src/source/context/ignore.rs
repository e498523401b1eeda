//! What a `.dockerignore` leaves out. The rules are those of `moby/patternmatcher`, which `BuildKit` uses for it and for
//! `COPY --exclude`: patterns are rooted, the last one that matches decides, the match of a folder counts for what is in it,
//! `!` takes something in again, `**` stands for any number of folders.

use regex::bytes::Regex;

use super::glob::{self, MalformedPattern};

/// Patterns, in their order.
#[derive(Debug, Default)]
pub(super) struct IgnorePatterns {
    all: Vec<IgnorePattern>,
    /// Whether there is a `!`.
    exceptions: bool,
    /// Whether all `!` are plain paths, so that a folder tells by its path whether there may be one of them in it.
    plain_exceptions: bool,
}

#[derive(Debug)]
struct IgnorePattern {
    exception: bool,
    /// Without wildcards at its end.
    stem: String,
    how: PathMatcher,
}

/// How a path is matched: most patterns need no regular expression.
#[derive(Debug)]
enum PathMatcher {
    Exact(String),
    Prefix(String),
    /// Ends with it, or is it without its slash.
    Suffix(String),
    Regex(Regex),
}

/// The lines of an ignore file that are patterns, cleaned as `moby/patternmatcher/ignorefile` cleans them.
pub(super) fn lines(content: &str) -> Vec<String> {
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    let lines = content.lines().filter(|line| !line.starts_with('#')).map(str::trim);
    let pattern = |line: &str| {
        let (mark, path) = line.strip_prefix('!').map_or(("", line), |path| ("!", path.trim()));
        let path = if path.is_empty() { String::new() } else { clean(path) };
        let path = if path.len() > 1 { path.strip_prefix('/').unwrap_or(&path).to_owned() } else { path };
        format!("{mark}{path}")
    };
    lines.filter(|line| !line.is_empty()).map(pattern).collect()
}

/// The shortest path that means the same, after Go's `path.Clean`.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

impl IgnorePatterns {
    /// Reads patterns; gives those that can't be read, too.
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> (Self, Vec<String>) {
        let mut made = Self { plain_exceptions: true, ..Self::default() };
        let mut malformed = Vec::new();
        for text in patterns {
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let cleaned = clean(text);
            let (exception, path) =
                cleaned.strip_prefix('!').map_or((false, cleaned.as_str()), |path| (true, path));
            let Ok(how) = PathMatcher::new(path) else {
                malformed.push(text.to_owned());
                continue;
            };
            let stem = path.strip_suffix("/**").unwrap_or(path);
            let stem = stem.strip_suffix("/*").unwrap_or(stem).to_owned();
            made.exceptions |= exception;
            made.plain_exceptions &= !exception || !stem.contains(['*', '[', ']', '?', '^']);
            made.all.push(IgnorePattern { exception, stem, how });
        }
        (made, malformed)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether the last pattern that matches `path` leaves it out. `parent` says which patterns matched its folder; none
    /// for what is in the root.
    pub(super) fn matches(&self, path: &[u8], parent: Option<&[bool]>) -> bool {
        self.walk(path, parent, |_| {})
    }

    /// The same, and which patterns matched, for what is in it.
    pub(super) fn matches_folder(&self, path: &[u8], parent: Option<&[bool]>) -> (bool, Vec<bool>) {
        let mut marks = Vec::with_capacity(self.all.len());
        let left_out = self.walk(path, parent, |mark| marks.push(mark));
        (left_out, marks)
    }

    fn walk(&self, path: &[u8], parent: Option<&[bool]>, mut mark: impl FnMut(bool)) -> bool {
        let mut left_out = false;
        for (at, pattern) in self.all.iter().enumerate() {
            let inherited = parent.is_some_and(|marks| marks.get(at).copied().unwrap_or_default());
            // A pattern that would change nothing is not asked, and then its match does not count for what is in it.
            let matched = inherited || (pattern.exception == left_out && pattern.how.matches(path));
            if matched {
                left_out = !pattern.exception;
            }
            mark(matched);
        }
        left_out
    }

    /// Whether something in a folder that is left out may be taken in again.
    pub(super) fn may_take_in(&self, folder: &[u8]) -> bool {
        if !self.exceptions || !self.plain_exceptions {
            return self.exceptions;
        }
        let mut exceptions = self.all.iter().filter(|pattern| pattern.exception);
        exceptions.any(|pattern| {
            let stem = pattern.stem.as_bytes();
            let below =
                stem.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
            // What is deeper than the exception was taken in with its folder.
            below
        })
    }
}

impl PathMatcher {
    fn new(pattern: &str) -> Result<Self, MalformedPattern> {
        // Go checks by its own rules first what it then reads by others.
        for part in pattern.split('/') {
            glob::name(part)?;
        }
        let mut out = String::from("^");
        let mut kind = PathMatcherKind::Exact;
        let mut chars = pattern.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    chars.next_if_eq(&'/');
                    if chars.peek().is_some() {
                        out.push_str("(?:(?s-u:.)*/)?");
                        kind = PathMatcherKind::Regex;
                    } else if kind == PathMatcherKind::Exact {
                        kind = PathMatcherKind::Prefix;
                    } else {
                        out.push_str("(?s-u:.)*");
                        kind = PathMatcherKind::Regex;
                    }
                    if first {
                        kind = PathMatcherKind::Suffix;
                    }
                }
                '*' => {
                    out.push_str(glob::NO_SLASH);
                    out.push('*');
                    kind = PathMatcherKind::Regex;
                }
                '?' => {
                    out.push_str(glob::one());
                    kind = PathMatcherKind::Regex;
                }
                '[' => {
                    out.push_str(&glob::class(&mut chars)?);
                    kind = PathMatcherKind::Regex;
                }
                '\\' => {
                    out.push_str(&glob::literal(chars.next().ok_or(MalformedPattern)?));
                    kind = PathMatcherKind::Regex;
                }
                // It is no literal there either.
                '^' => out.push('^'),
                c => out.push_str(&glob::literal(c)),
            }
            first = false;
        }
        out.push('$');
        Ok(match kind {
            PathMatcherKind::Exact => Self::Exact(pattern.to_owned()),
            PathMatcherKind::Prefix => Self::Prefix(pattern.trim_end_matches("**").to_owned()),
            PathMatcherKind::Suffix => Self::Suffix(pattern.strip_prefix("**").unwrap_or(pattern).to_owned()),
            PathMatcherKind::Regex => Self::Regex(Regex::new(&out).map_err(|_| MalformedPattern)?),
        })
    }

    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => path == exact.as_bytes(),
            Self::Prefix(prefix) => path.starts_with(prefix.as_bytes()),
            Self::Suffix(suffix) => {
                path.ends_with(suffix.as_bytes())
                    || suffix.strip_prefix('/').is_some_and(|name| path == name.as_bytes())
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PathMatcherKind {
    Exact,
    Prefix,
    Suffix,
    Regex,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a path is left out, asked from the root down as a walk does it.
    fn left_out(file: &str, path: &str) -> bool {
        let lines = lines(file);
        let (patterns, malformed) = IgnorePatterns::new(lines.iter().map(String::as_str));
        assert_eq!(malformed, [""; 0], "{file}");
        let mut marks: Option<Vec<bool>> = None;
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut result = false;
        for end in ends {
            let (out, now) = patterns.matches_folder(&path.as_bytes()[..end], marks.as_deref());
            (result, marks) = (out, Some(now));
        }
        result
    }

    /// Those of Docker's documentation (`docs/build/concepts/context`), and those that other tools get wrong.
    #[rstest::rstest]
    #[case("# comment\n*/temp*\n*/*/temp*\ntemp?\n",
        &["somedir/temporary.txt", "somedir/temp", "somedir/subdir/temporary.txt", "tempa", "tempb"],
        &["temp", "temporary", "a/b/c/temp", "# comment"])]
    #[case("**/*.go", &["a.go", "a/b.go", "a/b/c.go"], &["a.gox", "go"])]
    #[case("*.md\n!README.md", &["a.md"], &["README.md", "sub/a.md"])]
    #[case("*.md\n!README*.md\nREADME-secret.md", &["a.md", "README-secret.md"], &["README.md", "README-x.md"])]
    #[case("*.md\nREADME-secret.md\n!README*.md", &["a.md"], &["README.md", "README-secret.md"])]
    #[case("*.log", &["a.log"], &["src/x.log"])]
    #[case("**/*.log", &["a.log", "src/x.log"], &[])]
    #[case("/foo/bar", &["foo/bar", "foo/bar/baz"], &["a/foo/bar", "foo"])]
    #[case("foo/", &["foo", "foo/a"], &["a/foo"])]
    #[case("./a//b/../c", &["a/c"], &["a/b"])]
    #[case("node_modules", &["node_modules", "node_modules/a/b"], &["sub/node_modules", "node_modules2"])]
    #[case("**/node_modules", &["node_modules", "sub/node_modules/a"], &["node_modules2"])]
    #[case("*\n!src\n!src/a", &["README", "x/y"], &["src", "src/b", "src/a/c"])]
    #[case("*\n!src/a", &["README", "src", "src/b"], &["src/a", "src/a/c"])]
    #[case("a\n!a/b\na/b/c", &["a", "a/x", "a/b/c"], &["a/b", "a/b/d"])]
    #[case("**", &["a", "a/b"], &[])]
    #[case("a/**", &["a/b", "a/b/c"], &["a", "ab"])]
    #[case("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a", "ab"])]
    #[case("**/a/**", &["a/b", "x/a/b"], &["a", "x/a"])]
    #[case("**a", &["a", "ba", "x/ba"], &["ab"])]
    #[case("  a  \n\n\t\nb\r\n", &["a", "b"], &["c"])]
    #[case("! a\nb\n!  b", &[], &["a", "b"])]
    #[case("\u{feff}a", &["a"], &[])]
    #[case(" # not a comment", &["# not a comment"], &["not a comment"])]
    #[case("{a,b}", &["{a,b}"], &["a", "b"])]
    #[case("[a-c].txt", &["a.txt", "b.txt"], &["d.txt", "[a-c].txt"])]
    #[case(r"\#a", &["#a"], &["a"])]
    #[case(r"a\*", &["a*"], &["ab"])]
    #[case("a.b$(c)|+", &["a.b$(c)|+"], &["axb$(c)|+"])]
    #[case("a?", &["ab", "aé"], &["a", "abc", "a/"])]
    #[case(".\n/\n..", &[], &["a"])]
    #[case("../a", &[], &["a"])]
    #[case("a/../../b", &[], &["b", "a"])]
    fn as_docker_leaves_out(#[case] file: &str, #[case] out: &[&str], #[case] kept: &[&str]) {
        for path in out {
            assert!(left_out(file, path), "{file:?} leaves out {path}");
        }
        for path in kept {
            assert!(!left_out(file, path), "{file:?} keeps {path}");
        }
    }

    #[test]
    fn folders_that_hold_nothing_are_not_entered() {
        let (patterns, _) = IgnorePatterns::new(["*", "!src/a/**"]);
        assert!(patterns.may_take_in(b"src"));
        assert!(patterns.may_take_in(b"src/a"));
        assert!(!patterns.may_take_in(b"src/b"));
        assert!(!patterns.may_take_in(b"sr"));
        assert!(IgnorePatterns::new(["*", "!**/a"]).0.may_take_in(b"x/y"));
        assert!(!IgnorePatterns::new(["*"]).0.may_take_in(b"x"));
    }

    #[test]
    fn malformed_patterns_are_told() {
        let (patterns, malformed) = IgnorePatterns::new(["a[", "b"]);
        assert_eq!(malformed, ["a["]);
        assert!(patterns.matches(b"b", None) && !patterns.matches(b"a[", None));
    }
}
