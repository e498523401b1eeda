use super::*;
use crate::event::{Style, StyleSpan, TextColor};

/// The lines of a stream that arrives in one chunk and ends.
fn lines(bytes: impl AsRef<[u8]>) -> Vec<Line> {
    let mut sanitizer = Sanitizer::default();
    let mut lines = LineBuffer::default();
    sanitizer.feed(bytes.as_ref(), &Mask::default(), &mut lines);
    sanitizer.finish(&Mask::default(), &mut lines);
    lines.take().shared().collect()
}

fn texts(bytes: impl AsRef<[u8]>) -> Vec<String> {
    lines(bytes).iter().map(|line| line.text().to_owned()).collect()
}

fn partial(bytes: &[u8]) -> Option<String> {
    let mut sanitizer = Sanitizer::default();
    sanitizer.feed(bytes, &Mask::default(), &mut LineBuffer::default());
    sanitizer.partial(&Mask::default()).map(|line| line.text().to_owned())
}

#[test]
fn every_rule_of_a_stream() {
    let table: &[(&[u8], &[&str])] = &[
        // Lines.
        (b"", &[]),
        (b"a", &["a"]),
        (b"a\nb\n", &["a", "b"]),
        (b"\n\na", &["", "", "a"]),
        (b"a\r\nb\r\r\n", &["a", "b"]),
        (b" a \n", &[" a "]),
        ("grün 日本 ━\n".as_bytes(), &["grün 日本 ━"]),
        // What moves the cursor.
        (b"10 %\r20 %", &["20 %"]),
        (b"100 %\r2", &["200 %"]),
        (b"abc\x08\x08X", &["aXc"]),
        (b"\x08\x08a", &["a"]),
        (b"a\tb\n12345678\tc\t\n", &["a       b", "12345678        c       "]),
        (b"abcdefghij\r\tX", &["abcdefghXj"]),
        ("日本\ra".as_bytes(), &["a 本"]),
        ("日本\x08a".as_bytes(), &["日 a"]),
        ("ab\r日c".as_bytes(), &["日c"]),
        ("a日b\r日".as_bytes(), &["日 b"]),
        ("xe\u{301}y\rab".as_bytes(), &["aby"]),
        ("abc\r\u{301}".as_bytes(), &["◌\u{301}bc"]),
        // What erases.
        (b"abcdef\x08\x08\x1b[K", &["abcd"]),
        (b"abcdef\x08\x08\x1b[0KX", &["abcdX"]),
        (b"abcdef\x08\x08\x08\x1b[1K", &["    ef"]),
        (b"abc\x1b[1Kd", &["   d"]),
        (b"abc\x1b[2Kd", &["   d"]),
        (b"abc\x1b[2K", &[]),
        (b"abc\x1b[2K\rd", &["d"]),
        (b"abc\r\x1b[Kd", &["d"]),
        (b"abc\x1b[?2K\x1b[3K\x1b[9K", &["abc"]),
        ("a日b\x08\x08\x1b[K".as_bytes(), &["a "]),
        ("日b\r\x1b[1K".as_bytes(), &["  b"]),
        // Sequences that are dropped.
        (b"a\x1b[2J\x1b[1;1H\x1b[5A\x1b[?1049h\x1b[6n\x1b[20t\x1b[ q\x1b[!pb", &["ab"]),
        (b"a\x1bc\x1b7\x1b(0\x1b#8b", &["ab"]),
        (b"a\x1b]0;title\x07b\x1b]0;title\x1b\\c", &["abc"]),
        (b"a\x1b]52;c;cm0gLXJm\x07b", &["ab"]),
        (b"\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\ text", &["link text"]),
        (b"a\x1bPq#0\x1b\\b\x1b_x\x1b\\c\x1b^x\x1b\\d\x1bXx\x1b\\e", &["abcde"]),
        (b"a\x1bP1\x07\x1b\\b\x1b]0;x\x18c\x1b[3\x1ad", &["abcd"]),
        // Sequences without an end.
        (b"a\x1b]0;hidden\nb", &["a<unended OSC>", "b"]),
        (b"a\x1bPhidden\nb", &["a<unended DCS>", "b"]),
        (b"a\x1b_hidden", &["a<unended APC>"]),
        (b"a\x1b[31\nb", &["a<unended CSI>", "b"]),
        (b"a\x1b(\nb\x1b", &["a<unended ESC>", "b^["]),
        // Controls.
        (b"\0\x01\x07\x0b\x0c\x0e\x1f\x7f", &["^@^A^G^K^L^N^_^?"]),
        (b"\x1b\x07\x1b\xc3\xa9", &["^[^G^[\u{e9}"]),
        (b"\x9b31m\xc2\x9b31m\x80\x9f", &["\\x9b31m\\x9b31m\\x80\\x9f"]),
        (b"a\xff\xc3\xe2\x82z\xc3", &["a\u{fffd}\u{fffd}\u{fffd}z\u{fffd}"]),
        // What deceives.
        (
            "a\u{202e}b\u{2066}c\u{200b}\u{feff}\u{2028}\u{61c}\u{e0041}".as_bytes(),
            &["a<U+202E>b<U+2066>c<U+200B><U+FEFF><U+2028><U+061C><U+E0041>"],
        ),
        ("👩🏽\u{200d}💻 a\u{200d}b".as_bytes(), &["👩🏽\u{200d}💻 a<U+200D>b"]),
        ("\u{200d}a\u{200d}".as_bytes(), &["<U+200D>a<U+200D>"]),
        ("\u{301}a".as_bytes(), &["◌\u{301}a"]),
    ];
    for (bytes, expected) in table {
        assert_eq!(texts(bytes), *expected, "{:?}", bytes.escape_ascii().to_string());
        let mut sanitizer = Sanitizer::default();
        let mut bytewise = LineBuffer::default();
        bytes.iter().for_each(|byte| sanitizer.feed(&[*byte], &Mask::default(), &mut bytewise));
        sanitizer.finish(&Mask::default(), &mut bytewise);
        assert!(
            lines(bytes).into_iter().eq(bytewise.take().shared()),
            "{:?}",
            bytes.escape_ascii().to_string()
        );
    }
}

#[test]
fn payloads_that_others_fell_for() {
    for (raw, expected) in [
        // CVE-2021-25743, kubectl: events and logs cleared the screen and drew another one.
        ("\x1b[2J\x1b[H\x1b[8mNAME READY\x1b[28m", "NAME READY"),
        // CVE-2024-43785, gitoxide: names and messages set the title and moved the cursor up.
        ("\x1b]0;pwned\x07\x1b[1A\x1b[2Kcommit", "commit"),
        // CVE-2025-58160, tracing-subscriber: log fields carried colours and erased the line.
        ("user=\x1b[31madmin\x1b[0m\x1b]0;x\x07", "user=admin"),
        // CVE-2022-45063, xterm: an OSC 50 came back as input.
        ("\x1b]50;i$(touch /tmp/x)\x07a\x1b]50;?\x07", "a"),
        // CVE-2024-38396, iTerm2: the title was reported back as input, through tmux integration.
        ("\x1b]0;\ntouch x\n\x07\x1b[21t", "<unended OSC> touch x ^G"),
        ("\x1bP1000p%exit\x1b\\b", "b"),
    ] {
        if raw.contains('\n') {
            assert_eq!(texts(raw), ["<unended OSC>", "touch x", "^G"]);
        } else if !raw.contains("\x1b[2K") {
            assert_eq!(texts(raw), [expected]);
        }
        assert_eq!(plain(raw), expected);
    }
}

#[test]
fn plain_text_is_one_line() {
    for (raw, expected) in [
        ("", ""),
        (" RUN  make ", " RUN  make "),
        ("a\nb\r\nc\td\n", "a b  c d "),
        ("a\x08\x07\x1b\u{7f}", "a^H^G^[^?"),
        ("\x1b[1mbold\x1b[0m\x1b[K", "bold"),
        ("\u{9b}31m", "\\x9b31m"),
        ("\u{202e}gpj.exe", "<U+202E>gpj.exe"),
        ("a\x1b]0;x\nb", "a<unended OSC> b"),
        ("日本 é 👨\u{200d}👩", "日本 é 👨\u{200d}👩"),
    ] {
        assert_eq!(plain(raw), expected, "{raw:?}");
        assert_eq!(plain(expected), expected, "{raw:?}");
    }
    assert!(matches!(plain("RUN make ~"), Cow::Borrowed(_)));
    let long = "ü".repeat(100_000);
    assert_eq!(plain(&long), long);
}

#[test]
fn marks_do_not_pile_up() {
    let tower = format!("a{}b", "\u{301}".repeat(100));
    let expected = format!("a{}b", "\u{301}".repeat(8));
    assert_eq!(plain(&tower), expected);
    assert_eq!(texts(&tower), [expected.as_str()]);
    assert_eq!(texts(format!("xx\r{tower}")), [expected.as_str()]);
}

#[test]
fn styles_survive_and_end_with_the_line() {
    let red = Style { fg: Some(TextColor::Indexed(1)), ..Style::default() };
    let all = lines("a\x1b[31mb\x1b[1;5;8m\x1b[22mc\x1b[md\ne\x1b[31m\nf");
    assert_eq!(all.len(), 3);
    let pieces: Vec<_> = all[0].pieces().collect();
    assert_eq!(pieces, [("a", Style::default()), ("bc", red), ("d", Style::default())]);
    assert_eq!(all[1].pieces().collect::<Vec<_>>(), [("e", Style::default())]);
    assert_eq!(all[2].pieces().collect::<Vec<_>>(), [("f", Style::default())]);
    // What is written over takes its style along.
    let over = lines("\x1b[31mabcd\x1b[m\rxy");
    assert_eq!(over[0].pieces().collect::<Vec<_>>(), [("xy", Style::default()), ("cd", red)]);
    // A joiner that is named moves the styles behind it.
    let joined = lines("a\u{200d}\x1b[31mb");
    assert_eq!(joined[0].pieces().collect::<Vec<_>>(), [("a<U+200D>", Style::default()), ("b", red)]);
}

#[test]
fn a_long_line_is_cut_and_says_so() {
    let exact = "x".repeat(WIDEST);
    assert_eq!(texts(format!("{exact}\n")), [exact.as_str()]);
    let cut = format!("{exact}…[cut]");
    assert_eq!(texts(format!("{exact}y\nz\n")), [cut.as_str(), "z"]);
    assert_eq!(texts(format!("{exact}y")), [cut.as_str()]);
    assert_eq!(texts(format!("{exact}\t\t")), [cut.as_str()]);
    assert_eq!(texts(format!("{exact}y\r\x1b[Kz")), ["z"]);
    let wide = texts("日".repeat(WIDEST));
    assert_eq!(wide, [format!("{}…[cut]", "日".repeat(WIDEST / 2))]);
    // A wide character that does not fit ends the line, too: nothing behind it closes up.
    assert_eq!(texts(format!("{}日z", &exact[1..])), [format!("{}…[cut]", &exact[1..])]);
}

#[test]
fn memory_stays_flat() {
    let mut sanitizer = Sanitizer::default();
    let mut lines = LineBuffer::default();
    for chunk in [&b"x"[..], b"\xf0\x9f", b"\x1b]0;", b"\x1b[", b"1;", b"\xcc\x81", b"\r\xe6\x97\xa5"] {
        for _ in 0..200 {
            sanitizer.feed(&chunk.repeat(1000), &Mask::default(), &mut lines);
        }
        let shown = sanitizer.partial(&Mask::default()).map_or(0, |line| line.text().len());
        assert!(shown <= 4 * WIDEST * 9, "{shown}");
    }
    assert!(lines.is_empty());
}

#[test]
fn the_unfinished_line_as_it_stands() {
    assert_eq!(partial(b""), None);
    assert_eq!(partial(b"a\n"), None);
    assert_eq!(partial(b"\x1b[31m"), None);
    assert_eq!(partial(b"a\r\x1b[K"), None);
    assert_eq!(partial(b"a\nbc").as_deref(), Some("bc"));
    assert_eq!(partial(b"bc\r").as_deref(), Some("bc"));
    assert_eq!(partial(b"bc\xc3").as_deref(), Some("bc"));
    assert_eq!(partial(b"bc\x1b]0;x").as_deref(), Some("bc"));
}

#[test]
fn an_ended_stream_can_be_followed_by_another() {
    let mut sanitizer = Sanitizer::default();
    let mut lines = LineBuffer::default();
    sanitizer.feed(b"a\x1b[31mb\x1b]0;", &Mask::default(), &mut lines);
    sanitizer.finish(&Mask::default(), &mut lines);
    sanitizer.feed(b"c\n", &Mask::default(), &mut lines);
    sanitizer.finish(&Mask::default(), &mut lines);
    let lines: Vec<Line> = lines.take().shared().collect();
    let texts: Vec<_> = lines.iter().map(Line::text).collect();
    assert_eq!(texts, ["ab<unended OSC>", "c"]);
    assert_eq!(lines[1].pieces().collect::<Vec<_>>(), [("c", Style::default())]);
}

#[test]
fn a_line_as_json() {
    let plain = Line::plain("a\tb");
    assert_eq!(serde_json::to_value(&plain).unwrap(), serde_json::json!("a b"));
    let styled = &lines("a\x1b[1;38;5;208;48;2;1;2;3mb")[0];
    let json = serde_json::json!({
        "text": "ab",
        "spans": [{"start": 1, "fg": {"indexed": 208}, "bg": {"rgb": [1, 2, 3]}, "bold": true}],
    });
    assert_eq!(serde_json::to_value(styled).unwrap(), json);
    assert_eq!(serde_json::from_value::<Line>(json).unwrap(), *styled);
}

#[test]
fn a_line_that_is_read_is_sanitised() {
    let read = |json: &str| serde_json::from_str::<Line>(json).unwrap();
    assert_eq!(read(r#""\u001b[31ma\u202e""#).text(), "a<U+202E>");
    let dirty = read(r#"{"text": "\u0007ab", "spans": [{"start": 1, "bold": true}]}"#);
    assert_eq!(dirty.pieces().collect::<Vec<_>>(), [("^Gab", Style::default())]);
    let bold = Style { bold: true, ..Style::default() };
    let dim = Style { dim: true, ..Style::default() };
    let misfits = r#"{"text": "üab", "spans": [{"start": 1, "dim": true}, {"start": 2, "bold": true},
        {"start": 0, "dim": true}, {"start": 3, "dim": true}, {"start": 9, "bold": true}]}"#;
    assert_eq!(
        read(misfits).pieces().collect::<Vec<_>>(),
        [("ü", Style::default()), ("a", bold), ("b", dim)]
    );
    assert_eq!(read(r#"{"text": "a"}"#), Line::plain("a"));
    assert!(serde_json::from_str::<Line>("[1]").is_err());
}

#[test]
fn equal_lines_are_equal() {
    let bold = Style { bold: true, ..Style::default() };
    let span = |start, style| StyleSpan { start, style };
    let noisy = vec![
        span(0, Style::default()),
        span(1, Style::default()),
        span(1, bold),
        span(2, bold),
        span(3, bold),
    ];
    assert_eq!(Line::from_parts("abc", noisy), Line::from_parts("abc", [span(1, bold)]));
    assert_eq!(lines("a\x1b[1m\x1b[mb"), [Line::plain("ab")]);
}

/// A row writes over its text where it can, and over columns else: both show the same.
#[test]
fn what_is_written_over_is_the_same_in_columns() {
    let pieces: [&[u8]; 18] = [
        b"a",
        b"xyz",
        b"0123456789abcdef",
        "日".as_bytes(),
        "日本".as_bytes(),
        "é".as_bytes(),
        "e\u{301}".as_bytes(),
        b"\r",
        b"\r",
        b"\x08",
        b"\x08",
        b"\t",
        b"\x1b[31m",
        b"\x1b[m",
        b"\x1b[K",
        b"\x07",
        b"\xff",
        b"\x9b",
    ];
    let mut state = 1_u64;
    let mut next = |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    };
    for _ in 0..20_000 {
        let written: Vec<&[u8]> = (0..=next(12)).map(|_| pieces[next(pieces.len())]).collect();
        let bytes = written.concat();
        let [shown, columns] = [false, true].map(|columns| {
            let mut sanitizer = Sanitizer::default();
            if columns {
                sanitizer.row.use_columns();
            }
            let mut lines = LineBuffer::default();
            sanitizer.feed(&bytes, &Mask::default(), &mut lines);
            let partial = sanitizer.partial(&Mask::default());
            sanitizer.finish(&Mask::default(), &mut lines);
            (partial, lines.take())
        });
        assert_eq!(shown, columns, "{:?}", bytes.escape_ascii().to_string());
    }
}
