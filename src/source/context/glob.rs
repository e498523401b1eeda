//! Patterns as regular expressions over paths, which are bytes: a name on disk need not be UTF-8.

use std::fmt::Write as _;

use regex::bytes::Regex;

/// Any byte but a slash: what `*` repeats.
pub(super) const NO_SLASH: &str = r"(?s-u:[^/])";

/// One character but a slash, or a byte that is part of none.
const ONE: &str = r"(?:[^/]|(?-u:[\x80-\xff]))";

/// A pattern that can't be read; `BuildKit` fails a build for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MalformedPattern;

/// Whether a path has to be matched and not just looked up.
pub(super) fn is_wild(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// A name without the escapes of a pattern.
pub(super) fn unescaped(name: &str) -> String {
    let mut chars = name.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    plain
}

/// The pattern of one name, after Go's `path.Match`: `*`, `?`, `[a-z]`, `[^a]`, and `\` before what is meant as it is.
pub(super) fn name(pattern: &str) -> Result<Regex, MalformedPattern> {
    let mut out = String::from("^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => _ = write!(out, "{NO_SLASH}*"),
            '?' => out.push_str(ONE),
            '[' => out.push_str(&class(&mut chars)?),
            '\\' => out.push_str(&literal(chars.next().ok_or(MalformedPattern)?)),
            c => out.push_str(&literal(c)),
        }
    }
    out.push('$');
    Regex::new(&out).map_err(|_| MalformedPattern)
}

/// A character as it is meant.
pub(super) fn literal(c: char) -> String {
    regex::escape(c.encode_utf8(&mut [0; 4]))
}

/// One character but a slash.
pub(super) fn one() -> &'static str {
    ONE
}

/// What stands behind a `[`, up to its `]`.
pub(super) fn class(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<String, MalformedPattern> {
    let mut out = String::from(if chars.next_if_eq(&'^').is_some() { "[^" } else { "[" });
    let mut empty = true;
    loop {
        let low = match chars.next().ok_or(MalformedPattern)? {
            ']' if !empty => {
                out.push(']');
                return Ok(out);
            }
            ']' | '-' => return Err(MalformedPattern),
            '\\' => chars.next().ok_or(MalformedPattern)?,
            c => c,
        };
        empty = false;
        let high = match chars.next_if_eq(&'-') {
            None => low,
            Some(_) => match chars.next().ok_or(MalformedPattern)? {
                ']' | '-' => return Err(MalformedPattern),
                '\\' => chars.next().ok_or(MalformedPattern)?,
                c => c,
            },
        };
        // A range that runs backwards holds nothing.
        if low <= high {
            let _ = write!(out, "\\x{{{:X}}}-\\x{{{:X}}}", u32::from(low), u32::from(high));
        } else {
            out.push_str("&&[^\\x{0}-\\x{10FFFF}]");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("*.txt", &["a.txt", ".txt"], &["a.txt2", "a/b.txt", "atxt"])]
    #[case("a?c", &["abc", "aéc"], &["ac", "a/c", "abbc"])]
    #[case("[a-c]x", &["ax", "cx"], &["dx", "x"])]
    #[case("[^a]x", &["bx"], &["ax"])]
    #[case("[!a]x", &["!x", "ax"], &["bx"])]
    #[case(r"\*a", &["*a"], &["ba", "a"])]
    #[case(r"[\]]", &["]"], &["\\"])]
    #[case("a.b+(c)", &["a.b+(c)"], &["axb+(c)"])]
    fn names_as_go_matches_them(#[case] pattern: &str, #[case] fits: &[&str], #[case] others: &[&str]) {
        let regex = name(pattern).unwrap();
        for fit in fits {
            assert!(regex.is_match(fit.as_bytes()), "{pattern} {fit}");
        }
        for other in others {
            assert!(!regex.is_match(other.as_bytes()), "{pattern} {other}");
        }
    }

    #[test]
    fn malformed_patterns_are_told() {
        for pattern in ["[", "[a", "[]", "[]a]", "[-]", "[a-]", "a\\", "[a-\\"] {
            assert_eq!(name(pattern).err(), Some(MalformedPattern), "{pattern}");
        }
        assert!(name("a?").unwrap().is_match(b"a\xff"));
        assert!(name("a*").unwrap().is_match(b"a\xff\xfe"));
    }

    #[test]
    fn wild_paths() {
        for (path, wild) in [("a", false), ("a*", true), (r"a\*", false), ("[a]", true), ("a?", true)] {
            assert_eq!(is_wild(path), wild, "{path}");
        }
        assert_eq!(unescaped(r"a\*b"), "a*b");
    }
}
