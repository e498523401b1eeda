//! The forms in which a secret turns up in a log.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, PAD};

/// Forms are looked for in pieces of at most this many bytes (and a character): a line may hold a part of a long one,
/// and the rest of a piece is what has to be looked at to see whether one is arriving.
const PIECE: usize = 512;
/// No pattern is longer than this.
pub(super) const LONGEST: usize = PIECE + 4;
/// The last piece of a longer form is no shorter than this.
const LAST_PIECE: usize = 32;
/// The shortest value that is masked, in characters.
const SHORTEST: usize = 4;
/// The shortest line of a longer value that is masked, in characters.
const SHORTEST_LINE: usize = 8;
/// A value that is longer is looked for as it is, but not in encoded forms: it is no password but a file.
const LONGEST_ENCODED: usize = 64 * 1024;
/// Where `openssl` and `base64` break their lines.
const WRAPS: [usize; 2] = [64, 76];
/// Of more values than these only the plain encoded forms are looked for, and not those within each other.
pub(super) const MOST_DEEP: usize = 256;
/// Short values that are no secrets, though a secret's name may stand before them.
const WORDS: [&str; 4] = ["true", "false", "none", "null"];

/// The value, and each of its lines where it has several; nothing where it is too short.
pub(super) fn values(secret: &str) -> Vec<String> {
    let whole = secret.trim();
    let telling = |text: &str, least: usize| text.chars().count() >= least && !text.chars().all(|c| c == '*');
    if !telling(whole, SHORTEST) || WORDS.iter().any(|word| whole.eq_ignore_ascii_case(word)) {
        return Vec::new();
    }
    let lines = whole.lines().map(str::trim).filter(|line| *line != whole && telling(line, SHORTEST_LINE));
    std::iter::once(whole).chain(lines).map(str::to_owned).collect()
}

/// The encoded forms of a value: each way of writing a text as a part of another one, and what can stand in what. `deep`: these
/// within each other, too.
pub(super) fn encoded(value: &str, deep: bool) -> Vec<String> {
    if value.len() > LONGEST_ENCODED {
        return Vec::new();
    }
    let mut forms = base64(value);
    forms.extend(percent(value));
    let once: Vec<String> = WRITTEN.iter().map(|how| how.write(value)).collect();
    if deep {
        forms.extend(once.iter().flat_map(|form| WRITTEN.iter().map(|how| how.write(form))));
    }
    forms.extend(once);
    forms
}

/// Makes patterns of forms: cut to pieces, without the ones that tell nothing, sorted, each once.
pub(super) fn patterns<'a>(forms: impl Iterator<Item = Cow<'a, str>>) -> Vec<String> {
    let mut all: Vec<String> = forms.flat_map(|form| pieces(&form)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The last piece of a long form overlaps the one before it rather than be so short that it means nothing.
fn pieces(form: &str) -> Vec<String> {
    if form.chars().count() < SHORTEST {
        return Vec::new();
    }
    let boundary = |at: usize| (0..=at).rfind(|at| form.is_char_boundary(*at)).unwrap_or_default();
    let mut pieces = Vec::new();
    let mut start = 0;
    while form.len() - start > LONGEST {
        let end = boundary(start + PIECE);
        pieces.push(form[start..end].to_owned());
        start = end;
    }
    let last = if start == 0 { 0 } else { start.min(boundary(form.len() - LAST_PIECE)) };
    pieces.push(form[last..].to_owned());
    pieces
}

fn base64(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
        let bare = GeneralPurpose::new(alphabet, NO_PAD);
        // `echo` adds a line end.
        for whole in [value.to_owned(), format!("{value}\n")] {
            let padded = GeneralPurpose::new(alphabet, PAD).encode(&whole);
            for wrap in WRAPS.into_iter().filter(|wrap| padded.len() > *wrap) {
                let lines = padded.as_bytes().chunks(wrap).filter(|line| line.len() >= SHORTEST_LINE);
                forms.extend(lines.map(|line| String::from_utf8_lossy(line).into_owned()));
            }
            forms.extend([padded, bare.encode(&whole)]);
        }
        forms.extend((0..3).map(|before| inside(&bare, before, value)));
    }
    forms
}

/// The characters of the base64 form that no other byte has a part in, where `before` bytes (modulo 3) precede it.
fn inside(engine: &GeneralPurpose, before: usize, value: &str) -> String {
    let mut bytes = vec![0; before];
    bytes.extend(value.as_bytes());
    let mixed = [0, 2, 3][before];
    let whole = bytes.len() * 8 / 6;
    engine.encode(&bytes).get(mixed..whole).unwrap_or_default().to_owned()
}

/// Ways of percent-encoding: what is kept beside letters and digits, and how a space is written.
const PERCENT: [(&str, &str); 11] = [
    // RFC 3986, and Python's `quote` with `safe=""`.
    ("-._~", "%20"),
    // Python's `quote`, which keeps the slash.
    ("-._~/", "%20"),
    // Python's `quote_plus`, and Go's `QueryEscape`.
    ("-._~", "+"),
    // JavaScript's `encodeURIComponent`, and its `encodeURI`.
    ("-._~!'()*", "%20"),
    ("-._~!'()*;,/?:@&=+$#", "%20"),
    // Whatever RFC 3986 lets stand in user information, in a segment of a path, and in a path.
    ("-._~!$&'()*+,;=", "%20"),
    ("-._~!$&'()*+,;=:@", "%20"),
    ("-._~!$&'()*+,;=:@/", "%20"),
    // Go's user information, and its `PathEscape`.
    ("-._~$&+,;=", "%20"),
    ("-._~$&+:=@", "%20"),
    // A form of the web.
    ("-._*", "+"),
];

/// Percent-encoded in all ways, with digits in both cases.
fn percent(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for (kept, space) in PERCENT {
        let mut upper = String::new();
        let mut lower = String::new();
        for byte in value.bytes() {
            let c = char::from(byte);
            if byte == b' ' {
                upper.push_str(space);
                lower.push_str(space);
            } else if c.is_ascii_alphanumeric() || kept.contains(c) {
                upper.push(c);
                lower.push(c);
            } else {
                let _ = write!(upper, "%{byte:02X}");
                let _ = write!(lower, "%{byte:02x}");
            }
        }
        forms.extend([upper, lower]);
    }
    forms
}

/// How a text is written as a string of JSON, or in HTML.
enum Encoding {
    /// In JSON, where these are written as `\u003c` beside those that have to be, and a slash as it is or as `\/`.
    Json { escaped: &'static str, beyond_ascii: bool, slash: &'static str },
    /// In HTML and XML, where each of these has another name.
    Html(&'static [(char, &'static str)]),
}

/// All of them.
const WRITTEN: [Encoding; 9] = [
    Encoding::Json { escaped: "", beyond_ascii: false, slash: "/" },
    // Python's.
    Encoding::Json { escaped: "", beyond_ascii: true, slash: "/" },
    // PHP's.
    Encoding::Json { escaped: "", beyond_ascii: true, slash: "\\/" },
    // Go's.
    Encoding::Json { escaped: "<>&", beyond_ascii: false, slash: "/" },
    Encoding::Html(&[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")]),
    Encoding::Html(&[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#x27;")]),
    Encoding::Html(&[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&#34;"), ('\'', "&#39;")]),
    Encoding::Html(&[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")]),
    Encoding::Html(&[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#39;"),
        ('/', "&#x2F;"),
        ('`', "&#x60;"),
        ('=', "&#x3D;"),
    ]),
];

impl Encoding {
    fn write(&self, value: &str) -> String {
        let mut out = String::with_capacity(value.len());
        match self {
            Self::Html(names) => {
                for c in value.chars() {
                    match names.iter().find(|(named, _)| *named == c) {
                        Some((_, name)) => out.push_str(name),
                        None => out.push(c),
                    }
                }
            }
            Self::Json { escaped, beyond_ascii, slash } => {
                for c in value.chars() {
                    if escaped.contains(c) || *beyond_ascii && !c.is_ascii() {
                        for unit in c.encode_utf16(&mut [0; 2]) {
                            let _ = write!(out, "\\u{unit:04x}");
                        }
                    } else if c == '/' {
                        out.push_str(slash);
                    } else {
                        let json = serde_json::to_string(&c).unwrap_or_default();
                        out.push_str(json.get(1..json.len() - 1).unwrap_or_default());
                    }
                }
            }
        }
        out
    }
}
