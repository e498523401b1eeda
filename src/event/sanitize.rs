//! The border: bytes that others wrote become lines that are safe to show.
//!
//! What is kept, what is shown by its name and what is dropped is decided here, once, for every view and every output:
//!
//! | in the stream | in the line |
//! | --- | --- |
//! | printable UTF-8 | itself |
//! | LF; CRLF | the line's end |
//! | CR, BS | the cursor moves; what follows overwrites |
//! | TAB | spaces to the next multiple of 8 columns |
//! | `CSI m` | a style, until the line's end |
//! | `CSI K` | erased text |
//! | other CSI, OSC, DCS, APC, PM, SOS, ESC | nothing |
//! | one of them without an end | nothing up to the line's end, at most 4 KiB; then `<unended OSC>` |
//! | other C0, DEL; a lone ESC | `^G`; `^[` |
//! | U+0080–9F, raw or encoded | `\x9b` |
//! | invalid UTF-8 | U+FFFD |
//! | bidi controls, invisible characters | `<U+202E>` |
//! | ZWJ | itself between emoji, else `<U+200D>` |
//! | more than 8 marks on a character | 8 of them; `◌` where there is no character |
//! | more than 16,384 columns | the first 16,384, then `…[cut]` |

mod glyph;
pub(super) mod offset_text;
mod open_line;
mod overwritten;
mod scan;
mod sgr;
mod simple;

use std::borrow::Cow;

use super::{Line, LineBuffer, Mask};
use open_line::{OpenLine, WIDEST};
use scan::{ScanToken, Scanner};

/// How far ahead the fast path looks, so that what it can't take is not looked at again and again.
const WINDOW: usize = 64 * 1024;

/// Sanitises `raw` to one line of plain text, of any length: LF, CR and TAB are a space each, styles and all other
/// sequences are dropped. What it returns it returns unchanged when it is handed it again.
pub(super) fn plain(raw: &str) -> Cow<'_, str> {
    if prefix(raw.as_bytes(), is_printable) == raw.len() {
        return Cow::Borrowed(raw);
    }
    let mut scanner = Scanner::default();
    let mut row = OpenLine::new(usize::MAX);
    let mut rest = raw.as_bytes();
    while !rest.is_empty() {
        let (length, token) = scanner.next(rest);
        write_plain(&mut row, &token);
        rest = rest.get(length..).unwrap_or_default();
    }
    write_plain(&mut row, &scanner.finish());
    Cow::Owned(row.draft().text)
}

/// Whether a character deceives who reads it raw: controls, what turns text around, what cannot be seen. For what is not
/// shown as text but written as code, which has escapes of its own.
pub fn deceives(c: char) -> bool {
    matches!(glyph::kind(c), glyph::Glyph::Control | glyph::Glyph::Hidden)
}

fn write_plain(row: &mut OpenLine, token: &ScanToken<'_>) {
    match *token {
        ScanToken::Control(b'\n' | b'\r' | b'\t') => row.ascii(" "),
        ScanToken::Control(other) => row.caret(other),
        ScanToken::Csi(..) => {}
        _ => write_text(row, token),
    }
}

fn write_text(row: &mut OpenLine, token: &ScanToken<'_>) {
    match *token {
        ScanToken::Text(run) => row.ascii(run),
        ScanToken::Wide(run) => row.wide(run),
        ScanToken::Char(c) => row.char(c),
        ScanToken::Unended(kind) => row.ascii(&format!("<unended {kind}>")),
        ScanToken::Control(_) | ScanToken::Csi(..) | ScanToken::Nothing => {}
    }
}

/// One stream's state across chunks. Its memory is bounded, whatever the stream holds.
#[derive(Debug, Default)]
pub struct Sanitizer {
    scanner: Scanner,
    row: OpenLine,
    /// What comes up to the next line feed is the rest of a line whose beginning is missing.
    headless: bool,
}

impl Sanitizer {
    /// Takes the next bytes of the stream; lines that they end are pushed to `lines`.
    pub fn feed(&mut self, bytes: &[u8], mask: &Mask, lines: &mut LineBuffer) {
        let mut rest = bytes;
        if self.headless {
            let Some(end) = memchr::memchr(b'\n', rest) else { return };
            self.headless = false;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        while !rest.is_empty() {
            let mut length = 0;
            if self.scanner.is_idle() {
                if self.row.is_untouched() {
                    length = whole_lines(rest, mask, lines);
                    let rest = rest.get(length..).unwrap_or_default();
                    length += simple::lines(rest, mask, &mut self.row, lines);
                } else {
                    length = self.row.append(rest);
                }
            }
            if length == 0 {
                let (some, token) = self.scanner.next(rest);
                write(&mut self.row, &token, mask, lines);
                length = some;
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    /// The unfinished line as it stands now; none where nothing is pending. Of a secret that is still arriving nothing
    /// is shown, nor of the host of a URL, which may turn out to be a password.
    pub fn partial(&self, mask: &Mask) -> Option<Line> {
        (!self.row.is_empty()).then(|| {
            let mut line = LineBuffer::default();
            self.row.end(mask, true, &mut line);
            line.take_one()
        })
    }

    /// Bytes of the stream are missing here. The line that they cut ends as an unfinished one, and the rest of the line behind them is
    /// left out: of a secret that they cut neither half may be shown.
    pub fn skip(&mut self, mask: &Mask, lines: &mut LineBuffer) {
        if !self.row.is_empty() {
            self.row.end(mask, true, lines);
        }
        self.scanner.finish();
        self.row.reset();
        self.headless = true;
    }

    /// The stream has ended: its unfinished line, if any, is ended too. The next stream may begin.
    pub fn finish(&mut self, mask: &Mask, lines: &mut LineBuffer) {
        write(&mut self.row, &self.scanner.finish(), mask, lines);
        if self.row.is_empty() {
            self.row.reset();
        } else {
            self.row.finish(mask, lines);
        }
        self.headless = false;
    }
}

fn write(row: &mut OpenLine, token: &ScanToken<'_>, mask: &Mask, lines: &mut LineBuffer) {
    match *token {
        ScanToken::Control(b'\n') => row.finish(mask, lines),
        ScanToken::Control(b'\r') => row.carriage_return(),
        ScanToken::Control(b'\t') => row.tab(),
        ScanToken::Control(0x08) => row.backspace(),
        ScanToken::Control(other) => row.caret(other),
        ScanToken::Csi(params, b'm') => sgr::apply(row.style_mut(), params),
        ScanToken::Csi(params, b'K') => match sgr::first(params) {
            Some(0) => row.erase_right(),
            Some(1) => row.erase_left(),
            Some(2) => row.erase_all(),
            _ => {}
        },
        _ => write_text(row, token),
    }
}

/// The fast path of a log flood: takes the whole lines that `bytes` begin with, as long as they are printable ASCII.
/// Returns how many bytes it took.
fn whole_lines(bytes: &[u8], mask: &Mask, lines: &mut LineBuffer) -> usize {
    let window = bytes.get(..WINDOW).unwrap_or(bytes);
    let clean = prefix(window, |byte| is_printable(byte) || byte == b'\n');
    let end = narrow_lines(&window[..clean]);
    let Ok(text) = str::from_utf8(&window[..end]) else { return 0 };
    if text.is_empty() {
        return 0;
    }
    let before = lines.mark();
    lines.push_all(text, memchr::memchr_iter(b'\n', text.as_bytes()).count());
    // No secret spans lines, so that one look at all of them tells that none holds anything to mask.
    if !mask.is_quiet(text) {
        lines.take_since(&before).iter().for_each(|line| mask.push(line, lines));
    }
    end
}

/// How many of the bytes are whole lines that are not too wide.
fn narrow_lines(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(line_feed) = memchr::memrchr(b'\n', &bytes[end..bytes.len().min(end + WIDEST + 1)]) {
        end += line_feed + 1;
    }
    end
}

/// Written without a branch, so that [`prefix`] can look at many bytes at once.
fn is_printable(byte: u8) -> bool {
    byte.wrapping_sub(0x20) < 0x5f
}

/// How many bytes from the start on are `good`.
fn prefix(bytes: &[u8], good: impl Fn(u8) -> bool) -> usize {
    let mut length = 0;
    for block in bytes.chunks(32) {
        if !block.iter().fold(true, |all, byte| all & good(*byte)) {
            return length + block.iter().position(|byte| !good(*byte)).unwrap_or(block.len());
        }
        length += block.len();
    }
    length
}

#[cfg(test)]
mod tests;
