//! The border between foreign text and everything else, whatever comes in.

use std::fmt::Write;
use std::num::NonZero;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use layertop::event::{Line, LineBuffer, Mask, Sanitizer, Style, Text, TextColor};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// All that comes of `chunks`: lines, what is unfinished after the last one, lines after the end.
fn feed<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, mask: &Mask) -> (Vec<Line>, Option<Line>, Vec<Line>) {
    let (mut sanitizer, mut buffer) = (Sanitizer::default(), LineBuffer::default());
    for chunk in chunks {
        sanitizer.feed(chunk, mask, &mut buffer);
    }
    let lines = buffer.take().shared().collect();
    let partial = sanitizer.partial(mask);
    sanitizer.finish(mask, &mut buffer);
    (lines, partial, buffer.take().shared().collect())
}

/// Cuts `bytes` at each of `cuts`.
fn split<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> =
        cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([bytes.len()]).collect();
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter().map(|end| &bytes[std::mem::replace(&mut start, end)..end]).collect()
}

fn is_safe(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}'
                | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{e0000}'..='\u{e007f}')
    })
}

fn shown((lines, partial, rest): &(Vec<Line>, Option<Line>, Vec<Line>)) -> impl Iterator<Item = &str> {
    lines.iter().chain(partial).chain(rest).map(Line::text)
}

/// Pieces of which terminals' and decoders' troubles are made.
fn trouble() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => select(vec![
            "\n", "\r", "\r\n", "\t", "\x08", "\x07", "\0", "\x7f", "\x1b", "\x18", "\\", "[", "]", "\x1b[", "\x1b]", "\x1bP",
            "\x1b_", "\x1b^", "\x1bX", "\x1b\\", "\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[31m", "\x1b[1;4m", "\x1b[m", "\x1b[38;5;9m",
            "\x1b]8;;u\x1b\\", "\x1b]0;t\x07", "\u{9b}31m", "日", "é", "e\u{301}", "\u{301}", "\u{200d}", "👨\u{200d}👩", "👩🏽",
            "\u{202e}", "\u{fe0f}", "\u{e0041}", "🇩🇪", "क्\u{200d}ष", "가", "\u{1161}", "https://u:p@h/", "://", "@", "plain text",
        ]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..6),
        1 => vec(0x80_u8.., 1..4),
        1 => vec(0x20_u8..0x7f, 1..40),
        1 => (1_usize..9000, select(&b"ax\xcc;0"[..])).prop_map(|(n, byte)| vec![byte; n]),
    ]
}

fn troubles() -> impl Strategy<Value = Vec<u8>> {
    vec(trouble(), 0..40).prop_map(|pieces| pieces.concat())
}

/// What a well-behaved program prints that draws its progress on one line. Dim is not among it: to vt100 it excludes bold.
fn progress() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "\r",
        "\x08",
        "\t",
        "\x1b[K",
        "\x1b[1K",
        "\x1b[2K",
        "\x1b[1m",
        "\x1b[22m",
        "\x1b[3m",
        "\x1b[23m",
        "\x1b[4m",
        "\x1b[24m",
        "\x1b[7m",
        "\x1b[27m",
        "\x1b[31m",
        "\x1b[92m",
        "\x1b[39m",
        "\x1b[44m",
        "\x1b[103m",
        "\x1b[49m",
        "\x1b[m",
        "\x1b[38;5;208m",
        "\x1b[48;2;1;2;3m",
        "\x1b[38:2:1:2:3m",
        "10 %",
        "done",
        "━━",
        "ü",
        "日本",
        "é",
        "0123456789ab",
    ]);
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// How a real terminal shows it: each character that is not blank with its style, by column.
fn terminal(stream: &str) -> Vec<(u16, String, Style)> {
    let size = |n| NonZero::new(n).unwrap_or(NonZero::<u16>::MIN);
    let mut parser = vt100::Parser::new(size(1), size(400), 0);
    parser.process(stream.as_bytes());
    let color = |color| match color {
        vt100::Color::Default => None,
        vt100::Color::Idx(n) => Some(TextColor::Indexed(n)),
        vt100::Color::Rgb(r, g, b) => Some(TextColor::Rgb(r, g, b)),
    };
    let cell = |column| {
        let cell = parser.screen().cell(0, column)?;
        let style = Style {
            fg: color(cell.fgcolor()),
            bg: color(cell.bgcolor()),
            bold: cell.bold(),
            dim: cell.dim(),
            italic: cell.italic(),
            underline: cell.underline(),
            reverse: cell.inverse(),
        };
        (!cell.contents().trim().is_empty()).then(|| (column, cell.contents().to_owned(), style))
    };
    (0..400).filter_map(cell).collect()
}

/// How a line of ours is shown.
fn drawn(line: &Line) -> Vec<(u16, String, Style)> {
    let mut cells = Vec::new();
    let mut column = 0;
    for (piece, style) in line.pieces() {
        for c in piece.chars() {
            if c != ' ' {
                cells.push((column, c.to_string(), style));
            }
            column += unicode_width::UnicodeWidthChar::width(c).unwrap_or_default() as u16;
        }
    }
    cells
}

/// `%3F` as `%3f`.
fn percent_small(text: &str) -> String {
    let mut pieces = text.split('%');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |all, piece| format!("{all}%{}{}", piece[..2].to_ascii_lowercase(), &piece[2..]))
}

/// Ways in which others write a text, by their own means where there are any.
fn encodings(secret: &str) -> Vec<(&'static str, String)> {
    let percent = |kept: &str| -> String {
        let one = |byte: u8| match char::from(byte) {
            c if c.is_ascii_alphanumeric() || kept.contains(c) => c.to_string(),
            _ => format!("%{byte:02X}"),
        };
        secret.bytes().map(one).collect()
    };
    let json = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let ascii = |text: &str| -> String {
        let one = |c: char| match c {
            c if c.is_ascii() => c.to_string(),
            c => {
                let units = c
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}"))
                    .collect::<Vec<_>>();
                units.concat()
            }
        };
        text.chars().map(one).collect()
    };
    let names = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let html = |text: &str| names(text).replace('"', "&quot;").replace('\'', "&#x27;");
    let go = |text: &str| {
        let json = json(text).replace('&', "\\u0026");
        json.replace('<', "\\u003c").replace('>', "\\u003e")
    };
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    vec![
        ("as it is", secret.to_owned()),
        ("base64", STANDARD.encode(secret)),
        ("a form", form),
        ("percent, nothing kept", percent("-._~")),
        ("percent, with small digits", percent_small(&percent("-._~"))),
        ("Python's quote", percent("-._~/")),
        ("JavaScript's encodeURIComponent", percent("-._~!'()*")),
        ("JavaScript's encodeURI", percent("-._~!'()*;,/?:@&=+$#")),
        ("a path", percent("-._~!$&'()*+,;=:@/")),
        ("JSON", json(secret)),
        ("JSON in JSON", json(&json(secret))),
        ("Python's JSON", ascii(&json(secret))),
        ("Python's JSON in JSON", json(&ascii(&json(secret)))),
        ("PHP's JSON", ascii(&json(secret)).replace('/', "\\/")),
        ("Go's JSON", go(secret)),
        ("Go's JSON in Go's", go(&go(secret))),
        ("text of HTML", names(secret)),
        ("an attribute of HTML", html(secret)),
        ("Go's HTML", names(secret).replace('"', "&#34;").replace('\'', "&#39;")),
        ("JSON in HTML", html(&json(secret))),
        ("HTML in JSON", json(&html(secret))),
        ("HTML in Go's JSON", go(&html(secret))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_split_gives_the_same(bytes in troubles(), cuts in vec(any::<Index>(), 0..8)) {
        let mask = Mask::new(["plain te".to_owned()]);
        let whole = feed([&bytes[..]], &mask);
        prop_assert_eq!(&feed(split(&bytes, &cuts), &mask), &whole);
        prop_assert_eq!(&feed(bytes.chunks(1), &mask), &whole);
    }

    #[test]
    fn nothing_unsafe_comes_out(bytes in troubles()) {
        for text in shown(&feed([&bytes[..]], &Mask::default())) {
            prop_assert!(is_safe(text), "{:?}", text);
        }
        let raw = String::from_utf8_lossy(&bytes);
        prop_assert!(is_safe(Text::clean(&raw).as_str()));
        prop_assert!(is_safe(Mask::default().text(&raw).as_str()));
        prop_assert!(is_safe(Line::plain(&raw).text()));
    }

    #[test]
    fn any_bytes_at_all(bytes in vec(any::<u8>(), 0..300), cuts in vec(any::<Index>(), 0..4)) {
        let whole = feed([&bytes[..]], &Mask::default());
        prop_assert!(shown(&whole).all(is_safe));
        prop_assert_eq!(&feed(split(&bytes, &cuts), &Mask::default()), &whole);
        let ends = bytes.split(|byte| *byte == b'\n').count() - 1;
        prop_assert_eq!(whole.0.len(), ends);
    }

    #[test]
    fn a_real_terminal_shows_the_same(stream in progress()) {
        let (lines, partial, _) = feed([stream.as_bytes()], &Mask::default());
        prop_assert!(lines.is_empty());
        prop_assert_eq!(partial.as_ref().map(drawn).unwrap_or_default(), terminal(&stream), "{:?}", stream);
    }

    #[test]
    fn what_was_written_is_read_again(bytes in troubles()) {
        let (lines, partial, rest) = feed([&bytes[..]], &Mask::default());
        for line in lines.iter().chain(&partial).chain(&rest) {
            let json = serde_json::to_string(line).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Line>(&json).unwrap(), line);
            let text = Text::clean(line.text());
            prop_assert_eq!(text.as_str(), line.text());
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<Text>(&json).unwrap(), text);
        }
    }

    #[test]
    fn the_pieces_are_the_text(bytes in troubles()) {
        let all = feed([&bytes[..]], &Mask::new(["plain text".to_owned()]));
        for line in all.0.iter().chain(&all.1).chain(&all.2) {
            let joined: String = line.pieces().map(|(piece, _)| piece).collect();
            prop_assert_eq!(&joined, line.text());
        }
    }

    #[test]
    fn a_secret_never_comes_out(
        secret in "[!-)+-~äß日]{4,40}",
        before in "[ a-zA-Z0-9:=\"]{0,9}",
        behind in "[ a-zA-Z0-9:=\"]{0,9}",
        sequences in vec((any::<Index>(), select(vec!["\x1b[1m", "\x1b[0m", "\x1b]0;t\x07", "\x1b[2J", "x\x08", "\x1b\\"])), 0..5),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        prop_assume!(!["true", "null", "none"].iter().any(|word| secret.eq_ignore_ascii_case(word)));
        let mask = Mask::new([secret.clone()]);
        let mut hidden: Vec<String> = secret.chars().map(String::from).collect();
        for (at, sequence) in sequences {
            // A character that is written over would take half of a wide one along.
            if !(sequence.contains('\x08') && hidden.iter().any(|c| c.contains('日'))) {
                hidden.insert(at.index(hidden.len() + 1), sequence.to_owned());
            }
        }
        let mut stream = String::new();
        let _ = write!(stream, "{before}{}{behind}\r\n{secret}\n\n{before}{}", hidden.concat(), hidden.concat());
        let encoded = STANDARD.encode(format!("{before}{secret}{behind}"));
        let _ = write!(stream, "\n{encoded}\nlast {secret}");
        let mut sanitizer = Sanitizer::default();
        let mut lines = LineBuffer::default();
        for chunk in split(stream.as_bytes(), &cuts) {
            sanitizer.feed(chunk, &mask, &mut lines);
            let partial = sanitizer.partial(&mask).map(|line| line.text().to_owned()).unwrap_or_default();
            prop_assert!(!partial.contains(&secret), "{:?}", partial);
            // Not even its beginning is left at the end of a line that goes on.
            let first = secret.chars().next().unwrap();
            prop_assert!(!partial.ends_with(first), "{:?}", partial);
        }
        sanitizer.finish(&mask, &mut lines);
        let lines = lines.take();
        prop_assert_eq!(lines.len(), 6);
        for (i, line) in lines.iter().enumerate() {
            prop_assert!(!line.text().contains(&secret), "{:?}", line);
            prop_assert_eq!(line.text().contains("***"), i != 2, "{:?}", line);
        }
        let text = mask.text(&stream);
        prop_assert!(!text.as_str().contains(&secret));
        let dump = format!("{mask:?}");
        prop_assert_eq!(dump, "Mask(1 secrets)");
    }

    #[test]
    fn a_secret_is_masked_however_it_is_written(
        secret in "[a-zA-Z0-9!-/:-@\\[-`{-~äß日]{6,40}",
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let mask = Mask::new([secret.clone()]);
        for (how, written) in encodings(&secret) {
            let stream = format!("before [ {written} ] behind\n");
            let (lines, partial, rest) = feed(split(stream.as_bytes(), &cuts), &mask);
            prop_assert!(partial.is_none() && rest.is_empty());
            let texts: Vec<&str> = lines.iter().map(Line::text).collect();
            prop_assert_eq!(texts, ["before [ *** ] behind"], "{}: {:?}", how, written);
            let text = mask.text(stream.trim_end());
            prop_assert_eq!(text.as_str(), "before [ *** ] behind", "{}: {:?}", how, written);
        }
    }
}
