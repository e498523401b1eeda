//! SGR parameters become a style: colours and emphasis, no blink and no conceal.

use crate::event::{Style, TextColor};

/// Applies the parameters of one `CSI … m` to `style`. Private ones (`CSI > 4 ; 2 m` is a keyboard mode) do nothing.
pub(super) fn apply(style: &mut Style, params: &[u8]) {
    if !params.iter().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')) {
        return;
    }
    let mut fields = params.split(|byte| *byte == b';');
    while let Some(field) = fields.next() {
        if field.contains(&b':') {
            let parts: Vec<u16> = field.split(|byte| *byte == b':').map(number).collect();
            with_subparameters(style, &parts);
            continue;
        }
        let code = number(field);
        if !matches!(code, 38 | 48 | 58) {
            simple(style, code);
            continue;
        }
        let mut next = || fields.next().map(number);
        let color = match next() {
            Some(5) => next().and_then(indexed),
            Some(2) => {
                let (red, green, blue) = (next(), next(), next());
                red.zip(green).zip(blue).and_then(|((r, g), b)| rgb(r, g, b))
            }
            // How many parameters belong to it can't be told, so none that follow can be trusted.
            _ => return,
        };
        paint(style, code, color);
    }
}

/// The first parameter as a number; an absent one is 0, none where the sequence is a private one.
pub(super) fn first(params: &[u8]) -> Option<u16> {
    let field = params.split(|byte| *byte == b';').next().unwrap_or_default();
    field.iter().all(u8::is_ascii_digit).then(|| number(field))
}

fn number(digits: &[u8]) -> u16 {
    digits
        .iter()
        .fold(0, |n: u16, digit| n.saturating_mul(10).saturating_add(u16::from(digit.wrapping_sub(b'0'))))
}

fn indexed(n: u16) -> Option<TextColor> {
    u8::try_from(n).ok().map(TextColor::Indexed)
}

fn rgb(red: u16, green: u16, blue: u16) -> Option<TextColor> {
    Some(TextColor::Rgb(red.try_into().ok()?, green.try_into().ok()?, blue.try_into().ok()?))
}

/// Sets a colour; 58 is the underline's, which we do not show but have to read past.
fn paint(style: &mut Style, code: u16, color: Option<TextColor>) {
    match (code, color) {
        (38, Some(_)) => style.fg = color,
        (48, Some(_)) => style.bg = color,
        _ => {}
    }
}

/// The colon forms of ISO 8613-6: `38:5:n`, `38:2:r:g:b`, `38:2:space:r:g:b`, `4:shape`.
fn with_subparameters(style: &mut Style, parts: &[u16]) {
    match *parts {
        [4, shape, ..] => style.underline = shape != 0,
        [code, 5, n, ..] => paint(style, code, indexed(n)),
        [code, 2, r, g, b] | [code, 2, _, r, g, b, ..] => paint(style, code, rgb(r, g, b)),
        _ => {}
    }
}

fn simple(style: &mut Style, code: u16) {
    let low = |base: u16| indexed(code.saturating_sub(base));
    match code {
        0 => *style = Style::default(),
        1 => style.bold = true,
        2 => style.dim = true,
        3 => style.italic = true,
        4 => style.underline = true,
        7 => style.reverse = true,
        22 => (style.bold, style.dim) = (false, false),
        23 => style.italic = false,
        24 => style.underline = false,
        27 => style.reverse = false,
        30..=37 => style.fg = low(30),
        39 => style.fg = None,
        40..=47 => style.bg = low(40),
        49 => style.bg = None,
        90..=97 => style.fg = low(82),
        100..=107 => style.bg = low(92),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(params: &str) -> Style {
        let mut style = Style::default();
        apply(&mut style, params.as_bytes());
        style
    }

    #[test]
    fn every_code_that_survives() {
        let none = Style::default();
        let fg = |color| Style { fg: Some(color), ..none };
        let bg = |color| Style { bg: Some(color), ..none };
        for (params, expected) in [
            ("1", Style { bold: true, ..none }),
            ("2", Style { dim: true, ..none }),
            ("3", Style { italic: true, ..none }),
            ("4", Style { underline: true, ..none }),
            ("4:3", Style { underline: true, ..none }),
            ("4;4:0", none),
            ("7", Style { reverse: true, ..none }),
            ("1;2;3;4;7;22;23;24;27", none),
            ("1;31;44;0", none),
            ("1;31;44;", none),
            ("", none),
            ("30", fg(TextColor::Indexed(0))),
            ("37", fg(TextColor::Indexed(7))),
            ("31;39", none),
            ("41;49", none),
            ("47", bg(TextColor::Indexed(7))),
            ("90", fg(TextColor::Indexed(8))),
            ("97", fg(TextColor::Indexed(15))),
            ("100", bg(TextColor::Indexed(8))),
            ("107", bg(TextColor::Indexed(15))),
            ("38;5;208", fg(TextColor::Indexed(208))),
            ("48;5;208", bg(TextColor::Indexed(208))),
            ("38;2;1;2;3", fg(TextColor::Rgb(1, 2, 3))),
            ("48;2;1;2;3", bg(TextColor::Rgb(1, 2, 3))),
            ("38:5:208", fg(TextColor::Indexed(208))),
            ("38:2:1:2:3", fg(TextColor::Rgb(1, 2, 3))),
            ("38:2::1:2:3", fg(TextColor::Rgb(1, 2, 3))),
            ("48:2:0:1:2:3", bg(TextColor::Rgb(1, 2, 3))),
            ("38;5;208;1", Style { bold: true, ..fg(TextColor::Indexed(208)) }),
        ] {
            assert_eq!(style(params), expected, "{params}");
        }
    }

    #[test]
    fn what_is_dropped_changes_nothing() {
        for params in [
            "5",
            "6",
            "8",
            "9",
            "21",
            "25",
            "28",
            "51",
            "58;5;1",
            "58;2;1;4;7",
            "58:5:1",
            "38;5",
            "38;5;256",
            "38",
            "38;9;1",
            "38;2;1;2",
            "38;2;1;2;300",
            "38:5",
            "38:2:1",
            "65535",
            "99999999999999",
            "?1",
            ">4;1",
            "=1",
            "1<",
            "1 ",
        ] {
            assert_eq!(style(params), Style::default(), "{params}");
        }
    }
}
