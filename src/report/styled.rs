//! Lines made of pieces that mean something; whoever shows them decides how that looks.

use std::fmt::Write;

use super::words::{self, Role};

/// One line of pieces, each with what it means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StyledLine {
    pieces: Vec<(String, Role)>,
}

impl StyledLine {
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a piece at the end.
    pub fn push(&mut self, text: impl Into<String>, role: Role) -> &mut Self {
        let text = text.into();
        if !text.is_empty() {
            self.pieces.push((text, role));
        }
        self
    }

    /// The line with a piece at its end.
    #[must_use]
    pub fn with(mut self, text: impl Into<String>, role: Role) -> Self {
        self.push(text, role);
        self
    }

    /// The pieces, from left to right.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, Role)> {
        self.pieces.iter().map(|(text, role)| (text.as_str(), *role))
    }

    /// Columns that it takes.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(text, _)| words::width(text)).sum()
    }

    /// The line cut to `columns`; its end is marked where something was left out.
    #[must_use]
    pub fn cut(self, columns: usize, ascii: bool) -> Self {
        if self.width() <= columns {
            return self;
        }
        let mark = words::ellipsis(ascii);
        let mut left = columns.saturating_sub(words::width(mark));
        let mut cut = Self::new();
        for (text, role) in self.pieces {
            let wide = words::width(&text);
            if wide > left {
                let head = words::head(&text, left).trim_end();
                return cut.with(words::head(&format!("{head}{mark}"), columns), role);
            }
            left -= wide;
            cut.push(text, role);
        }
        cut
    }

    /// Writes the line and a line end, in the 16 colours of ANSI where `color` is set and else without any escape byte.
    pub fn write(&self, color: bool, out: &mut String) {
        let last = self.pieces.iter().rposition(|(text, _)| !text.trim_end().is_empty());
        for (i, (text, role)) in self.pieces.iter().enumerate() {
            let text = match last {
                Some(last) if i == last => text.trim_end(),
                Some(last) if i < last => text,
                _ => break,
            };
            match sgr(*role) {
                // A string takes what it is given: this can't fail.
                Some(code) if color => drop(write!(out, "\x1b[{code}m{text}\x1b[0m")),
                _ => out.push_str(text),
            }
        }
        out.push('\n');
    }
}

/// The look of a role on a terminal: the first 16 colours only, which every theme has made readable.
fn sgr(role: Role) -> Option<&'static str> {
    match role {
        Role::Plain => None,
        Role::Strong => Some("1"),
        Role::Dim => Some("2"),
        Role::Good => Some("32"),
        Role::Ran => Some("33"),
        Role::Busy => Some("36"),
        Role::Warn => Some("1;33"),
        Role::Bad => Some("1;31"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> StyledLine {
        StyledLine::new().with("ab ", Role::Strong).with("cdef", Role::Good).with("  ", Role::Plain)
    }

    fn text(line: &StyledLine) -> String {
        let mut out = String::new();
        line.write(false, &mut out);
        out
    }

    #[test]
    fn writes_colours_only_where_asked_and_no_space_at_the_end() {
        let mut out = String::new();
        line().write(true, &mut out);
        assert_eq!(out, "\x1b[1mab \x1b[0m\x1b[32mcdef\x1b[0m\n");
        assert_eq!(text(&line()), "ab cdef\n");
        assert_eq!(text(&StyledLine::new().with("  ", Role::Plain)), "\n");
    }

    #[test]
    fn a_cut_line_fits_and_says_so() {
        for (columns, expected) in [
            (9, "ab cdef\n"),
            (8, "ab cdef…\n"),
            (6, "ab cd…\n"),
            (4, "ab …\n"),
            (3, "ab…\n"),
            (1, "…\n"),
            (0, "\n"),
        ] {
            let cut = line().cut(columns, false);
            assert!(cut.width() <= columns, "{columns}");
            assert_eq!(text(&cut), expected, "{columns}");
        }
        assert_eq!(text(&line().cut(6, true)), "ab ...\n");
    }
}
