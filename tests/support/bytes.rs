//! What a program wrote to its terminal, byte by byte: which sequences, which modes they leave behind.

use std::collections::BTreeMap;

/// A piece of a terminal's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// What is printed; what is no UTF-8 is in here too.
    Text(&'a [u8]),
    /// A control character: C0 or DEL.
    Control(u8),
    /// `ESC [`, a private marker, parameters, and the byte that says what it is.
    Csi { private: Option<u8>, params: &'a str, last: u8 },
    /// `ESC ]` up to its end.
    Osc(&'a [u8]),
    /// `ESC` and something else; 0 at the end of the bytes.
    Escape(u8),
}

/// The pieces, each with the place where it begins.
pub(crate) fn pieces(bytes: &[u8]) -> Vec<(usize, Piece<'_>)> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (length, piece) = next(&bytes[at..]);
        all.push((at, piece));
        at += length;
    }
    all
}

fn next(bytes: &[u8]) -> (usize, Piece<'_>) {
    match bytes {
        [0x1b, b'[', rest @ ..] => csi(rest),
        [0x1b, b']', rest @ ..] => osc(rest),
        [0x1b, kind, ..] => (2, Piece::Escape(*kind)),
        [0x1b] => (1, Piece::Escape(0)),
        [control @ (0..0x20 | 0x7f), ..] => (1, Piece::Control(*control)),
        _ => {
            let end = bytes.iter().position(|b| matches!(b, 0..0x20 | 0x7f)).unwrap_or(bytes.len());
            (end, Piece::Text(&bytes[..end]))
        }
    }
}

fn csi(rest: &[u8]) -> (usize, Piece<'_>) {
    let private = rest.first().copied().filter(|byte| (b'<'..=b'?').contains(byte));
    let from = usize::from(private.is_some());
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        return (rest.len() + 2, Piece::Escape(b'['));
    };
    match std::str::from_utf8(&rest[from..end]) {
        Ok(params) => (end + 3, Piece::Csi { private, params, last: rest[end] }),
        Err(_) => (2, Piece::Escape(b'[')),
    }
}

fn osc(rest: &[u8]) -> (usize, Piece<'_>) {
    let bell = rest.iter().position(|byte| *byte == 7);
    let string_end = rest.windows(2).position(|two| two == b"\x1b\\");
    match (bell, string_end) {
        (Some(bell), st) if st.is_none_or(|st| bell < st) => (bell + 3, Piece::Osc(&rest[..bell])),
        (_, Some(st)) => (st + 4, Piece::Osc(&rest[..st])),
        _ => (2, Piece::Escape(b']')),
    }
}

/// What each private mode was set to last: `?25` the cursor, `?1049` the alternate screen, `?2004` bracketed paste, `?2026`
/// synchronised output, `?1000` and its kin the mouse.
pub(crate) fn modes(bytes: &[u8]) -> BTreeMap<u16, bool> {
    let mut modes = BTreeMap::new();
    for (_, piece) in pieces(bytes) {
        if let Piece::Csi { private: Some(b'?'), params, last: last @ (b'h' | b'l') } = piece {
            modes.extend(params.split(';').filter_map(|n| Some((n.parse().ok()?, last == b'h'))));
        }
    }
    modes
}

/// How often a sequence is there.
pub(crate) fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).filter(|window| *window == wanted).count()
}

/// Where a sequence is.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Where a sequence is for the last time.
pub(crate) fn find_last(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).rposition(|window| window == wanted)
}

pub(crate) const ENTER: &[u8] = b"\x1b[?1049h";
pub(crate) const LEAVE: &[u8] = b"\x1b[?1049l";
pub(crate) const CLEAR: &[u8] = b"\x1b[2J";
pub(crate) const FRAME: &[u8] = b"\x1b[?2026h";
pub(crate) const FRAME_END: &[u8] = b"\x1b[?2026l";

/// The clipboard's contents that the bytes ask for.
pub(crate) fn copied(bytes: &[u8]) -> Vec<String> {
    use base64::Engine as _;
    let mut all = Vec::new();
    for (_, piece) in pieces(bytes) {
        if let Piece::Osc(osc) = piece
            && let Some(text) = osc.strip_prefix(b"52;c;")
        {
            let text = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
            all.push(String::from_utf8(text).unwrap());
        }
    }
    all
}

/// Characters that are no text: C0 and C1, what turns text around, what cannot be seen.
pub(crate) fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'
        )
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Panics where there is anything that layertop would not write itself. `copies`: whether it was asked to copy.
pub(crate) fn assert_own(bytes: &[u8], copies: bool) {
    if let Some((at, piece)) = foreign(bytes, copies) {
        let around = bytes[at.saturating_sub(60)..(at + 120).min(bytes.len())].escape_ascii();
        panic!("not ours: {piece:?} at {at}, in `{around}`");
    }
}

/// The first piece that layertop would not write itself.
fn foreign(bytes: &[u8], copies: bool) -> Option<(usize, Piece<'_>)> {
    let leave = bytes.windows(LEAVE.len()).rposition(|window| window == LEAVE).unwrap_or(bytes.len());
    pieces(bytes).into_iter().find(|(at, piece)| {
        !match piece {
            Piece::Text(text) => std::str::from_utf8(text).is_ok_and(|text| !text.contains(is_treacherous)),
            // Lines are written where the screen is not ours, and only there.
            Piece::Control(control) => matches!(control, b'\r' | b'\n') && *at > leave,
            Piece::Csi { private: None, params, last: b'm' } => is_plain_style(params),
            Piece::Csi { private: None, params, last: b'H' | b'J' | b'K' | b'A'..=b'D' } => {
                params.chars().all(|c| c.is_ascii_digit() || c == ';')
            }
            Piece::Csi { private: Some(b'?'), params, last: b'h' | b'l' } => {
                ["25", "1049", "2004", "2026"].contains(params)
            }
            Piece::Csi { .. } | Piece::Escape(_) => false,
            Piece::Osc(osc) => copies && osc.starts_with(b"52;c;"),
        }
    })
}

/// Colours, bold, dim, italic, underline, reverse, and their ends; nothing blinks and nothing is concealed.
fn is_plain_style(params: &str) -> bool {
    let mut codes =
        params.split([';', ':']).map(|code| if code.is_empty() { Some(0) } else { code.parse().ok() });
    while let Some(code) = codes.next() {
        let skipped = match code {
            Some(38 | 48 | 58) => match codes.next().flatten() {
                Some(5) => 1,
                Some(2) => 3,
                _ => return false,
            },
            Some(0..=4 | 7 | 22..=25 | 27..=28 | 30..=37 | 39..=47 | 49 | 59 | 90..=97 | 100..=107) => 0,
            _ => return false,
        };
        if (0..skipped).any(|_| codes.next().flatten().is_none_or(|part: u16| part > 255)) {
            return false;
        }
    }
    true
}

/// Whether an SGR sequence sets a colour.
pub(crate) fn sets_colour(piece: &Piece<'_>) -> bool {
    let Piece::Csi { private: None, params, last: b'm' } = piece else { return false };
    let first = params.split([';', ':']).filter_map(|code| code.parse::<u16>().ok());
    first.into_iter().any(|code| matches!(code, 30..=38 | 40..=48 | 58 | 90..=97 | 100..=107))
}

#[test]
fn foreign_sequences_are_found() {
    let own = [
        "",
        "a",
        "é",
        "\x1b[0m",
        "\x1b[38;5;1;48;2;1;2;3m",
        "\x1b[?25l",
        "\x1b[2;3H",
        "\x1b[?1049l\r\na\r\n",
    ];
    for own in own {
        assert_eq!(foreign(own.as_bytes(), false), None, "{own:?}");
    }
    let others: &[&[u8]] = &[
        b"\n",
        b"\x07",
        b"\x7f",
        b"\x1b[5m",
        b"\x1b[8m",
        b"\x1b[38;5m",
        b"\x1b[6n",
        b"\x1b[?1000h",
        b"\x1b]0;t\x07",
        b"\x1b]52;c;YQ==\x07",
        b"\x1bc",
        b"\x1b",
        b"\x1b[",
        b"\x1b[>c",
        b"\x9b31m",
        "\u{9b}2J".as_bytes(),
        "\u{202e}".as_bytes(),
        "\u{200b}".as_bytes(),
        "\u{feff}".as_bytes(),
    ];
    for other in others {
        assert!(foreign(other, false).is_some(), "{}", other.escape_ascii());
    }
    assert_own(b"\x1b]52;c;YQ==\x07", true);
    assert_eq!(copied(b"a\x1b]52;c;YWI=\x1b\\b"), ["ab"]);
    assert_eq!(modes(b"\x1b[?25;2004h\x1b[?25l"), BTreeMap::from([(25, false), (2004, true)]));
}
