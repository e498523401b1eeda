//! Rows in columns: as wide as what stands in them, and where that is too wide, some of them narrower.

use super::styled::StyledLine;
use super::words::{self, Role};

/// Spaces between two columns.
const GAP: usize = 2;

#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// What stands above it.
    pub head: &'static str,
    /// Whether it ends where it ends: numbers do.
    pub right: bool,
    /// What it may be narrowed to; none: never.
    pub least: Option<usize>,
}

impl Column {
    /// A column of texts.
    pub const fn text(head: &'static str) -> Self {
        Self { head, right: false, least: None }
    }

    /// A column of numbers.
    pub const fn number(head: &'static str) -> Self {
        Self { head, right: true, least: None }
    }

    /// The column, which may be narrowed.
    #[must_use]
    pub const fn at_least(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }
}

/// The rows under their heading, in lines of at most so many columns as far as they can be narrowed.
pub fn lines(
    columns: &[Column],
    rows: &[Vec<(String, Role)>],
    most: Option<usize>,
    ascii: bool,
) -> Vec<StyledLine> {
    let cell = |row: &[(String, Role)], at: usize| row.get(at).map_or(0, |(text, _)| words::width(text));
    let wide = |(at, column): (usize, &Column)| {
        rows.iter().map(|row| cell(row, at)).max().unwrap_or(0).max(words::width(column.head))
    };
    let mut widths: Vec<usize> = columns.iter().enumerate().map(wide).collect();
    narrow(&mut widths, columns, most);
    let place = |texts: &mut dyn Iterator<Item = (&str, Role)>| {
        let mut line = StyledLine::new();
        for ((at, column), (text, role)) in columns.iter().enumerate().zip(texts) {
            let width = widths.get(at).copied().unwrap_or_default();
            let text = words::cut_to(text, width, ascii);
            let text =
                if column.right { words::pad_left(&text, width) } else { words::pad_right(&text, width) };
            if at > 0 {
                line.push(" ".repeat(GAP), Role::Plain);
            }
            line.push(text, role);
        }
        line
    };
    let mut lines = vec![place(&mut columns.iter().map(|column| (column.head, Role::Dim)))];
    lines.extend(rows.iter().map(|row| place(&mut row.iter().map(|(text, role)| (text.as_str(), *role)))));
    lines
}

/// Takes from the widest of those that may be narrowed what is too much.
fn narrow(widths: &mut [usize], columns: &[Column], most: Option<usize>) {
    let Some(most) = most else { return };
    let gaps = GAP * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > most {
        let room = |at: usize| {
            let width = widths.get(at)?;
            let least = columns.get(at)?.least?;
            (*width > least).then_some(*width)
        };
        let widest = (0..widths.len()).filter(|at| room(*at).is_some()).max_by_key(|at| room(*at));
        let Some(width) = widest.and_then(|at| widths.get_mut(at)) else { return };
        *width -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_narrowed_as_far_as_they_may() {
        let columns = [Column::text("name").at_least(4), Column::number("n")];
        let rows = [vec![("a long name".to_owned(), Role::Plain), ("7".to_owned(), Role::Plain)]];
        let text = |most| {
            let mut out = String::new();
            for line in lines(&columns, &rows, most, false) {
                line.write(false, &mut out);
            }
            out
        };
        assert_eq!(text(None), "name         n\na long name  7\n");
        assert_eq!(text(Some(9)), "name    n\na lon…  7\n");
        assert_eq!(text(Some(1)), "name  n\na l…  7\n");
    }
}
