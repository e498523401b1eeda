use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

use super::forms::LONGEST;
use super::*;
use crate::event::{Sanitizer, Style};
use base64::Engine;

fn mask(secrets: &[&str]) -> Mask {
    Mask::new(secrets.iter().map(|secret| (*secret).to_owned()))
}

fn masked(secrets: &[&str], raw: &str) -> String {
    mask(secrets).text(raw).as_str().to_owned()
}

/// Feeds the chunks; the lines that they end, and the unfinished one.
fn stream(mask: &Mask, chunks: &[&str]) -> (Vec<Line>, Option<Line>) {
    let (mut sanitizer, mut lines) = (Sanitizer::default(), LineBuffer::default());
    for chunk in chunks {
        sanitizer.feed(chunk.as_bytes(), mask, &mut lines);
    }
    (lines.take().shared().collect(), sanitizer.partial(mask))
}

fn unfinished(mask: &Mask, chunk: &str) -> String {
    stream(mask, &[chunk]).1.map(|line| line.text().to_owned()).unwrap_or_default()
}

#[test]
fn values_are_masked_wherever_they_stand() {
    assert_eq!(masked(&["hunter2"], "a hunter2 bhunter2c hunter2hunter2"), "a *** b***c ***");
    assert_eq!(masked(&["hunter2\n"], "hunter2"), "***");
    assert_eq!(masked(&["grün日本"], "agrün日本b"), "a***b");
    assert_eq!(masked(&["a\u{7}bcd"], "a\u{7}bcd"), "***");
    // The longest wins, and where two overlap neither shows its rest.
    assert_eq!(masked(&["hunter", "hunter2000"], "hunter2000 hunter"), "*** ***");
    assert_eq!(masked(&["abcdef", "defghi"], "xabcdefghiy"), "x***y");
}

#[test]
fn what_tells_nothing_is_not_masked() {
    for word in ["", "   ", "abc", "true", "FALSE", "None", "null", "****", "\n\n"] {
        assert_eq!(format!("{:?}", mask(&[word])), "Mask(0 secrets)");
        let raw = format!("x {} y", word.trim());
        assert_eq!(masked(&[word], &raw), raw);
    }
    assert_eq!(masked(&["1234"], "x 1234"), "x ***");
}

#[test]
fn encoded_forms_are_masked() {
    let secret = "s3cr?t/p~ss>w rd\u{ff}";
    let mask = mask(&[secret]);
    for before in ["", "u", "us", "user:"] {
        for behind in ["", "x", "xy", "xyz"] {
            let whole = format!("{before}{secret}{behind}");
            for engine in [&STANDARD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&whole);
                let shown = mask.text(&format!("auth={encoded};")).as_str().to_owned();
                assert!(shown.contains("***"), "{shown}");
                // Of a value of 17 bytes, no more than the characters that it shares with its neighbours are left.
                let left = encoded.len() + "auth=;***".len() - shown.len();
                assert!(left >= (secret.len() * 8 / 6) - 2, "{shown} of {encoded}");
            }
        }
    }
    assert_eq!(mask.text(&STANDARD.encode(secret)).as_str(), "***");
    assert_eq!(mask.text(&STANDARD.encode(format!("{secret}\n"))).as_str(), "***");
    assert_eq!(mask.text("q=s3cr%3Ft%2Fp~ss%3Ew%20rd%C3%BF&").as_str(), "q=***&");
    assert_eq!(mask.text("q=s3cr%3ft%2fp~ss%3ew%20rd%c3%bf&").as_str(), "q=***&");
    assert_eq!(mask.text("q=s3cr%3Ft%2Fp%7Ess%3Ew+rd%C3%BF&").as_str(), "q=***&");
    assert_eq!(masked(&["pa\"ss\\w"], r#"{"p":"pa\"ss\\w"}"#), r#"{"p":"***"}"#);
    // Python's `quote`, a JSON string within one, Go's and Python's JSON, HTML, and HTML within JSON.
    assert_eq!(mask.text("q=s3cr%3Ft/p~ss%3Ew%20rd%C3%BF&").as_str(), "q=***&");
    assert_eq!(masked(&["pa\"ss\\w"], r#"{"p":"{\"q\":\"pa\\\"ss\\\\w\"}"}"#), r#"{"p":"{\"q\":\"***\"}"}"#);
    assert_eq!(masked(&["a<b>&cé"], r#""a\u003cb\u003e\u0026cé" "a<b>&c\u00e9""#), r#""***" "***""#);
    assert_eq!(masked(&["a<b>&\"'c"], "x=a&lt;b&gt;&amp;&quot;&#39;c, a&lt;b&gt;&amp;\"'c"), "x=***, ***");
    assert_eq!(masked(&["a<b\"c"], r#"{"html":"a\u0026lt;b\u0026quot;c"}"#), r#"{"html":"***"}"#);
}

#[test]
fn each_line_of_a_longer_value_is_masked() {
    let key = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nshort\nqwertyuiop==\n-----END KEY-----\n";
    let mask = mask(&[key]);
    let (lines, _) = stream(&mask, &[key]);
    let texts: Vec<_> = lines.iter().map(Line::text).collect();
    assert_eq!(texts, ["***", "***", "short", "***", "***"]);
    assert_eq!(mask.text(key.trim()).as_str(), "***");
    assert_eq!(mask.text(&STANDARD.encode("MIIEowIBAAKCAQEA")).as_str(), "***");
}

#[test]
fn wrapped_base64_is_masked() {
    let secret: String = (0..100).map(|i: u32| char::from_digit(i * i % 36, 36).unwrap()).collect();
    let mask = mask(&[&secret]);
    let encoded = STANDARD.encode(&secret);
    for wrap in [64, 76] {
        for line in encoded.as_bytes().chunks(wrap) {
            assert_eq!(mask.text(str::from_utf8(line).unwrap()).as_str(), "***");
        }
    }
}

#[test]
fn long_values_are_masked_whole() {
    for length in [511, 512, 516, 517, 1024, 5000, 70_000] {
        let secret: String = (0..length)
            .map(|i: u32| char::from(b'!' + (i.wrapping_mul(2_654_435_761) >> 8) as u8 % 90))
            .collect();
        let shown = masked(&[&secret], &format!("a {secret} b"));
        assert_eq!(shown, "a *** b", "{length}");
        if length < 10_000 {
            let known = mask(&[&secret]);
            for part in [100, 300, 510] {
                assert_eq!(unfinished(&known, &format!("a {}", &secret[..part])), "a ***", "{length}");
            }
        }
        assert!(mask(&[&secret]).known.unwrap().forms.sorted.iter().all(|form| form.len() <= LONGEST));
    }
}

#[test]
fn neither_chunks_nor_sequences_hide_a_secret() {
    let mask = mask(&["hunter2"]);
    let bold = Style { bold: true, ..Style::default() };
    for chunks in [
        &["a hun", "ter2 b\n"][..],
        &["a hun\x1b[", "1m\x1b[0mter2 b\n"],
        &["a hun\x1b]0;x\x07ter2 b\n"],
        &["a huntex\x08r2 b\n"],
        &["\ra hunter2 c\x08", "b\n"],
    ] {
        let (lines, _) = stream(&mask, chunks);
        assert_eq!(lines[0].text(), "a *** b", "{chunks:?}");
    }
    let (lines, _) = stream(&mask, &["a hu\x1b[1mnt\x1b[mer2 \x1b[1mb\n"]);
    assert_eq!(lines[0].pieces().collect::<Vec<_>>(), [("a *** ", Style::default()), ("b", bold)]);
}

#[test]
fn of_a_value_that_is_arriving_nothing_is_shown() {
    let mask = mask(&["hunter2", "hunter2000-and-more"]);
    for (chunk, shown) in [
        ("a hunter2", "a ***"),
        ("a hunter", "a ***"),
        ("a h", "a ***"),
        ("a hunter2000", "a ***"),
        ("a hunter2x", "a ***x"),
        ("a hunte ", "a hunte "),
        ("ahuhun\x1b[1m", "ahu***"),
        // Half a value over what stood there before.
        ("0123456789\rhunt", "***456789"),
        ("aHVudGVy", "***"),
    ] {
        assert_eq!(unfinished(&mask, chunk), shown, "{chunk:?}");
    }
    // What was cut off may have been the rest.
    let long = format!("{}hunter2\n", "x".repeat(16 * 1024 - 4));
    let (lines, _) = stream(&mask, &[&long]);
    assert!(lines[0].text().ends_with("xx***…[cut]"));
}

#[test]
fn user_information_is_always_masked() {
    let mask = Mask::default();
    for (raw, shown) in [
        ("https://user:pass@host/x", "https://***@host/x"),
        ("https://user:p@ss@host:5000", "https://***@host:5000"),
        ("a git+ssh://git@host b ftp://u:p@h\"", "a git+ssh://***@host b ftp://***@h\""),
        ("https://host/a@b ://x@y", "https://host/a@b ://x@y"),
        ("https://@host https://host:5000?a@b", "https://@host https://host:5000?a@b"),
        ("docker-image://alpine@sha256:abc", "docker-image://alpine@sha256:abc"),
        ("https://***@host", "https://***@host"),
    ] {
        assert_eq!(mask.text(raw).as_str(), shown);
        let (lines, _) = stream(&mask, &[raw, "\n"]);
        assert_eq!(lines[0].text(), shown);
        assert_eq!(mask.line(Line::plain(raw)).text(), shown);
    }
    assert_eq!(unfinished(&mask, "get https://user:pa"), "get https://***");
    assert_eq!(unfinished(&mask, "get https://host/pa"), "get https://host/pa");
    assert_eq!(
        masked(&["pass"], "https://user:pass@host https://pass.org"),
        "https://***@host https://***.org"
    );
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", mask(&["hunter2", "", "swordfish"]));
    assert_eq!(shown, "Mask(2 secrets)");
}

#[test]
fn a_mask_that_could_not_be_built_masks_everything() {
    let known = MaskedValues { count: 1, finder: None, values: Vec::new().into(), forms: Vec::new().into() };
    let mask = Mask { known: Some(Arc::new(known)) };
    assert_eq!(mask.text("anything").as_str(), "***");
}
