//! Writes the cells of a frame that have changed, in few bytes: over SSH they are what a screen costs, and buildx's own is what ours is
//! measured against.
//!
//! Ratatui's backend for crossterm says both colours where one has changed, all of them anew at the end of each frame, colours of blanks
//! that have none to show, and each place by row and column.

use std::io::{self, Write};

use crossterm::cursor::{MoveRight, MoveTo};
use crossterm::queue;
use crossterm::style::{
    Attribute, Print, SetAttribute, SetBackgroundColor, SetForegroundColor, SetUnderlineColor,
};
use ratatui::backend::IntoCrossterm as _;
use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr as _;

/// What a modifier is for crossterm.
const ATTRIBUTES: [(Modifier, Attribute); 9] = [
    (Modifier::BOLD, Attribute::Bold),
    (Modifier::DIM, Attribute::Dim),
    (Modifier::ITALIC, Attribute::Italic),
    (Modifier::UNDERLINED, Attribute::Underlined),
    (Modifier::SLOW_BLINK, Attribute::SlowBlink),
    (Modifier::RAPID_BLINK, Attribute::RapidBlink),
    (Modifier::REVERSED, Attribute::Reverse),
    (Modifier::HIDDEN, Attribute::Hidden),
    (Modifier::CROSSED_OUT, Attribute::CrossedOut),
];

/// What can be seen where nothing is written.
const SEEN_ON_BLANKS: Modifier = Modifier::REVERSED.union(Modifier::UNDERLINED).union(Modifier::CROSSED_OUT);

/// How the terminal writes what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CellStyle {
    fg: Color,
    bg: Color,
    underline: Color,
    modifier: Modifier,
}

/// That of a terminal that was told nothing.
const PLAIN: CellStyle =
    CellStyle { fg: Color::Reset, bg: Color::Reset, underline: Color::Reset, modifier: Modifier::empty() };

impl CellStyle {
    fn of(cell: &Cell) -> Self {
        Self { fg: cell.fg, bg: cell.bg, underline: cell.underline_color, modifier: cell.modifier }
    }

    /// Whether a blank looks the same by both.
    fn is_same_on_blanks(self, other: Self) -> bool {
        self.bg == other.bg && !(self.modifier | other.modifier).intersects(SEEN_ON_BLANKS)
    }

    /// Says what is another than it was.
    fn turn(&mut self, wanted: Self, out: &mut impl Write) -> io::Result<()> {
        if !wanted.modifier.contains(self.modifier) {
            queue!(out, SetAttribute(Attribute::Reset))?;
            *self = PLAIN;
        }
        let added = wanted.modifier - self.modifier;
        for (_, attribute) in ATTRIBUTES.iter().filter(|(modifier, _)| added.contains(*modifier)) {
            queue!(out, SetAttribute(*attribute))?;
        }
        if wanted.fg != self.fg {
            queue!(out, SetForegroundColor(wanted.fg.into_crossterm()))?;
        }
        if wanted.bg != self.bg {
            queue!(out, SetBackgroundColor(wanted.bg.into_crossterm()))?;
        }
        if wanted.underline != self.underline {
            queue!(out, SetUnderlineColor(wanted.underline.into_crossterm()))?;
        }
        *self = wanted;
        Ok(())
    }
}

/// Writes cells, each with its column and row. The terminal is left as plain as it has to be found.
pub(super) fn cells<'a>(
    changed: impl Iterator<Item = (u16, u16, &'a Cell)>,
    out: &mut impl Write,
) -> io::Result<()> {
    // Where the terminal writes next, as far as that is known: terminals do not agree how wide some characters are.
    let (mut pen, mut next) = (PLAIN, None);
    for (x, y, cell) in changed {
        match next {
            Some((at, row)) if row == y && at <= x => {
                if at < x {
                    queue!(out, MoveRight(x - at))?;
                }
            }
            _ => queue!(out, MoveTo(x, y))?,
        }
        let wanted = CellStyle::of(cell);
        if cell.symbol() != " " || !pen.is_same_on_blanks(wanted) {
            pen.turn(wanted, out)?;
        }
        queue!(out, Print(cell.symbol()))?;
        next = (cell.symbol().width() == 1).then_some((x + 1, y));
    }
    if pen != PLAIN {
        queue!(out, SetAttribute(Attribute::Reset))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    fn written(cells_of: &[(u16, u16, &str, Style)]) -> String {
        let made = cells_of.iter().map(|(x, y, symbol, style)| {
            let mut cell = Cell::default();
            cell.set_symbol(symbol).set_style(*style);
            (*x, *y, cell)
        });
        let made: Vec<_> = made.collect();
        let mut out = Vec::new();
        cells(made.iter().map(|(x, y, cell)| (*x, *y, cell)), &mut out).unwrap();
        String::from_utf8(out).unwrap().replace('\x1b', "^")
    }

    #[test]
    fn what_stays_is_not_said_again() {
        let (plain, red, bold) = (Style::new(), Style::new().red(), Style::new().bold());
        assert_eq!(written(&[(0, 0, "a", plain), (1, 0, "b", plain)]), "^[1;1Hab");
        assert_eq!(
            written(&[(0, 0, "a", red), (1, 0, " ", plain), (2, 0, "b", red)]),
            "^[1;1H^[38;5;1ma b^[0m"
        );
        assert_eq!(written(&[(0, 0, "a", bold), (1, 0, "b", red)]), "^[1;1H^[1ma^[0m^[38;5;1mb^[0m");
        assert_eq!(written(&[(0, 0, "a", red), (1, 0, "b", red.bold())]), "^[1;1H^[38;5;1ma^[1mb^[0m");
        assert_eq!(written(&[(0, 0, "a", plain), (9, 0, "b", plain)]), "^[1;1Ha^[8Cb");
        assert_eq!(written(&[(0, 0, "a", plain), (0, 1, "b", plain)]), "^[1;1Ha^[2;1Hb");
    }

    #[test]
    fn a_blank_shows_its_ground_and_what_is_drawn_on_it() {
        let (plain, lit) = (Style::new(), Style::new().reversed());
        assert_eq!(written(&[(0, 0, " ", lit), (1, 0, " ", plain)]), "^[1;1H^[7m ^[0m ");
        let (red, blue) = (Style::new().red().on_blue(), Style::new().on_blue());
        assert_eq!(
            written(&[(0, 0, "a", red), (1, 0, " ", blue), (2, 0, " ", plain)]),
            "^[1;1H^[38;5;1m^[48;5;4ma ^[39m^[49m "
        );
    }

    #[test]
    fn behind_a_wide_character_the_place_is_said() {
        let plain = Style::new();
        assert_eq!(written(&[(0, 0, "漢", plain), (2, 0, "b", plain)]), "^[1;1H漢^[1;3Hb");
    }
}
