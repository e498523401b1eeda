//! Cuts a byte stream into text, controls and escape sequences, whatever chunks it arrives in.
//!
//! This is the state machine of a terminal with three differences that a terminal's own parser cannot offer: bytes and
//! characters of the C1 range never start or end anything (in UTF-8 text they are the second byte of `Ü`), nothing
//! that is unterminated reaches past its line or past [`LONGEST`], and no split of the stream changes what comes out.

/// How many bytes a sequence may have after its introducer before it is taken for unterminated.
pub(super) const LONGEST: usize = 4096;

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScanToken<'a> {
    /// Nothing to show: a sequence that is dropped, or bytes that are kept until more arrive.
    Nothing,
    /// A run of printable ASCII, never empty.
    Text(&'a str),
    /// A run of characters outside of ASCII, never empty.
    Wide(&'a str),
    /// A character that was cut by a chunk's end, or stands for bytes that are invalid: a stray byte of the C1 range is the
    /// C1 character of that number, anything else is U+FFFD.
    Char(char),
    /// A C0 control or DEL.
    Control(u8),
    /// A control sequence without intermediates: its parameter bytes and its final byte.
    Csi(&'a [u8], u8),
    /// A sequence that was never ended, by its kind.
    Unended(&'static str),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ScanState {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and intermediates.
    Intermediate,
    /// In a control sequence.
    Csi,
    /// In the string of an OSC, DCS, APC, PM or SOS, named.
    Text(&'static str),
    /// After an ESC in such a string.
    TextEscape(&'static str),
}

/// What is remembered of a stream between two chunks.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    state: ScanState,
    /// Bytes of the current sequence after its introducer.
    length: usize,
    /// Parameter bytes of the current control sequence.
    params: Vec<u8>,
    /// The current control sequence has intermediates, so it is none that we know.
    foreign: bool,
    /// The beginning of a character that the last chunk cut.
    tail: [u8; 3],
    tail_len: usize,
}

impl Scanner {
    /// Whether the next byte starts something new.
    pub(super) fn is_idle(&self) -> bool {
        self.state == ScanState::Ground && self.tail_len == 0
    }

    /// The next token of `bytes`, and how many bytes it took. It may take none, but then the state has changed, so
    /// that calling it again makes progress. `bytes` must not be empty.
    pub(super) fn next<'a>(&'a mut self, bytes: &'a [u8]) -> (usize, ScanToken<'a>) {
        let Some(&byte) = bytes.first() else { return (0, ScanToken::Nothing) };
        match self.state {
            ScanState::Ground => self.ground(bytes, byte),
            ScanState::Escape => self.escape(byte),
            ScanState::Intermediate => self.intermediate(byte),
            ScanState::Csi => self.csi(byte),
            ScanState::Text(kind) => self.text(kind, bytes),
            ScanState::TextEscape(kind) if byte == b'\n' => self.give_up(kind),
            ScanState::TextEscape(_) => {
                // ESC \ ends the string; any other ESC abandons it and starts a sequence of its own, as in a terminal.
                let ended = byte == b'\\';
                self.enter(if ended { ScanState::Ground } else { ScanState::Escape });
                (usize::from(ended), ScanToken::Nothing)
            }
        }
    }

    /// What the end of the stream leaves of a sequence or a character that it cut.
    pub(super) fn finish(&mut self) -> ScanToken<'static> {
        let cut = self.tail_len > 0;
        let state = self.state;
        *self = Self::default();
        match state {
            ScanState::Ground if cut => ScanToken::Char(char::REPLACEMENT_CHARACTER),
            ScanState::Ground => ScanToken::Nothing,
            ScanState::Escape => ScanToken::Control(0x1b),
            ScanState::Intermediate => ScanToken::Unended("ESC"),
            ScanState::Csi => ScanToken::Unended("CSI"),
            ScanState::Text(kind) | ScanState::TextEscape(kind) => ScanToken::Unended(kind),
        }
    }

    fn enter(&mut self, state: ScanState) {
        self.state = state;
        self.length = 0;
        self.params.clear();
        self.foreign = false;
    }

    fn ground<'a>(&mut self, bytes: &'a [u8], byte: u8) -> (usize, ScanToken<'a>) {
        if self.tail_len > 0 {
            return self.rest_of_char(bytes);
        }
        match byte {
            0x20..=0x7e => {
                let end = super::prefix(bytes, super::is_printable);
                (end, ScanToken::Text(str::from_utf8(&bytes[..end]).unwrap_or_default()))
            }
            0x1b => {
                self.enter(ScanState::Escape);
                (1, ScanToken::Nothing)
            }
            0x00..=0x1f | 0x7f => (1, ScanToken::Control(byte)),
            0x80.. => {
                let run = not_ascii(bytes);
                match run.utf8_chunks().next() {
                    Some(chunk) if !chunk.valid().is_empty() => {
                        return (chunk.valid().len(), ScanToken::Wide(chunk.valid()));
                    }
                    // Nothing that comes can make a character of it.
                    Some(chunk) if run.len() >= 4 || run.len() < bytes.len() => {
                        return (chunk.invalid().len(), ScanToken::Char(instead_of(byte)));
                    }
                    _ => {}
                }
                if let Some((length, c)) = decode(bytes) {
                    return (length, ScanToken::Char(c));
                }
                self.keep(bytes);
                (bytes.len(), ScanToken::Nothing)
            }
        }
    }

    /// Completes the character that the last chunk began.
    fn rest_of_char<'a>(&mut self, bytes: &[u8]) -> (usize, ScanToken<'a>) {
        let old = self.tail_len;
        let new = bytes.len().min(4 - old);
        let mut joined = [0; 4];
        joined[..old].copy_from_slice(&self.tail[..old]);
        joined[old..old + new].copy_from_slice(&bytes[..new]);
        let Some((taken, c)) = decode(&joined[..old + new]) else {
            self.keep(&joined[..old + new]);
            return (new, ScanToken::Nothing);
        };
        self.tail_len = 0;
        (taken.saturating_sub(old), ScanToken::Char(c))
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.tail_len = bytes.len().min(self.tail.len());
        self.tail[..self.tail_len].copy_from_slice(&bytes[..self.tail_len]);
    }

    fn escape(&mut self, byte: u8) -> (usize, ScanToken<'static>) {
        let next = match byte {
            b'[' => ScanState::Csi,
            b']' => ScanState::Text("OSC"),
            b'P' => ScanState::Text("DCS"),
            b'_' => ScanState::Text("APC"),
            b'^' => ScanState::Text("PM"),
            b'X' => ScanState::Text("SOS"),
            0x20..=0x2f => ScanState::Intermediate,
            0x1b => ScanState::Escape,
            0x30..=0x7e | 0x18 | 0x1a => ScanState::Ground,
            // No sequence at all: what is shown is the lone ESC, and the byte is looked at again.
            _ => {
                self.enter(ScanState::Ground);
                return (0, ScanToken::Control(0x1b));
            }
        };
        self.enter(next);
        (1, ScanToken::Nothing)
    }

    fn intermediate(&mut self, byte: u8) -> (usize, ScanToken<'static>) {
        match byte {
            0x20..=0x2f if self.length < LONGEST => self.length += 1,
            0x30..=0x7e | 0x18 | 0x1a => self.enter(ScanState::Ground),
            0x1b => self.enter(ScanState::Escape),
            _ => return self.give_up("ESC"),
        }
        (1, ScanToken::Nothing)
    }

    fn csi(&mut self, byte: u8) -> (usize, ScanToken<'_>) {
        match byte {
            0x40..=0x7e => {
                self.state = ScanState::Ground;
                let known = !self.foreign;
                return (1, if known { ScanToken::Csi(&self.params, byte) } else { ScanToken::Nothing });
            }
            0x20..=0x3f if self.length < LONGEST => {
                self.length += 1;
                self.foreign |= byte < 0x30;
                self.params.push(byte);
            }
            0x18 | 0x1a => self.enter(ScanState::Ground),
            0x1b => self.enter(ScanState::Escape),
            _ => return self.give_up("CSI"),
        }
        (1, ScanToken::Nothing)
    }

    fn text(&mut self, kind: &'static str, bytes: &[u8]) -> (usize, ScanToken<'static>) {
        let room = LONGEST - self.length;
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' => return (at, self.give_up(kind).1),
                // Only an OSC ends at BEL.
                0x07 if kind == "OSC" => self.enter(ScanState::Ground),
                0x18 | 0x1a => self.enter(ScanState::Ground),
                0x1b => self.enter(ScanState::TextEscape(kind)),
                _ if at == room => return (at, self.give_up(kind).1),
                _ => continue,
            }
            return (at + 1, ScanToken::Nothing);
        }
        self.length += bytes.len();
        (bytes.len(), ScanToken::Nothing)
    }

    /// Ends a sequence that has no end, so that it cannot hide what follows, and says so.
    fn give_up(&mut self, kind: &'static str) -> (usize, ScanToken<'static>) {
        self.enter(ScanState::Ground);
        (0, ScanToken::Unended(kind))
    }
}

/// The bytes outside of ASCII that `bytes` begin with. Only so far ahead that invalid bytes, each of which is a token of its own, do not
/// make it look at the same ones too often.
pub(super) fn not_ascii(bytes: &[u8]) -> &[u8] {
    let head = bytes.get(..64).unwrap_or(bytes);
    &head[..head.iter().position(u8::is_ascii).unwrap_or(head.len())]
}

/// What stands for invalid bytes of which this is the first.
fn instead_of(byte: u8) -> char {
    if (0x80..=0x9f).contains(&byte) { char::from(byte) } else { char::REPLACEMENT_CHARACTER }
}

/// The character that `bytes` begin with, and how many of them it takes; none where more bytes are needed to tell.
/// What is invalid is replaced by maximal subparts, as [`String::from_utf8_lossy`] has it.
fn decode(bytes: &[u8]) -> Option<(usize, char)> {
    let length = match bytes.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    if let Some(Ok(text)) = bytes.get(..length).map(str::from_utf8)
        && let Some(c) = text.chars().next()
    {
        return Some((c.len_utf8(), c));
    }
    let head = &bytes[..bytes.len().min(4)];
    let (valid, bad) = match str::from_utf8(head) {
        Ok(text) => (text, Some(0)),
        Err(e) => (str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default(), e.error_len()),
    };
    if let Some(c) = valid.chars().next() {
        return Some((c.len_utf8(), c));
    }
    bad.zip(head.first()).map(|(taken, first)| (taken, instead_of(*first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(bytes: &[u8]) -> Vec<String> {
        let mut scanner = Scanner::default();
        let mut rest = bytes;
        let mut all = Vec::new();
        while !rest.is_empty() {
            let (length, token) = scanner.next(rest);
            if token != ScanToken::Nothing {
                all.push(format!("{token:?}"));
            }
            rest = &rest[length..];
        }
        let last = scanner.finish();
        if last != ScanToken::Nothing {
            all.push(format!("{last:?}"));
        }
        all
    }

    #[test]
    fn c1_neither_starts_nor_ends_anything() {
        assert_eq!(tokens(b"\x9b31m"), ["Char('\\u{9b}')", "Text(\"31m\")"]);
        assert_eq!(tokens("\u{9b}31m".as_bytes()), ["Wide(\"\\u{9b}\")", "Text(\"31m\")"]);
        assert_eq!(tokens(b"\x1b]0;\xc3\x9c\x9c\x07ok"), ["Text(\"ok\")"]);
    }

    #[test]
    fn a_new_escape_abandons_the_sequence_before_it() {
        assert_eq!(tokens(b"\x1b\x1b[1m"), ["Csi([49], 109)"]);
        assert_eq!(tokens(b"\x1b[3\x1b[1m"), ["Csi([49], 109)"]);
        assert_eq!(tokens(b"\x1b(\x1b[1m"), ["Csi([49], 109)"]);
        assert_eq!(tokens(b"\x1b]0;x\x1b[1m"), ["Csi([49], 109)"]);
    }

    #[test]
    fn what_has_no_end_says_so() {
        assert_eq!(tokens(b"\x1b"), ["Control(27)"]);
        assert_eq!(tokens(b"\x1b\xff"), ["Control(27)", "Char('\u{fffd}')"]);
        assert_eq!(tokens(b"\x1b("), ["Unended(\"ESC\")"]);
        assert_eq!(tokens(b"\x1b[3\x07"), ["Unended(\"CSI\")", "Control(7)"]);
        assert_eq!(tokens(b"\x1b[\x7f"), ["Unended(\"CSI\")", "Control(127)"]);
        for (intro, kind) in [("]", "OSC"), ("P", "DCS"), ("_", "APC"), ("^", "PM"), ("X", "SOS")] {
            let unended = format!("Unended({kind:?})");
            assert_eq!(
                tokens(format!("\x1b{intro}x\na").as_bytes()),
                [&unended, "Control(10)", "Text(\"a\")"]
            );
            assert_eq!(tokens(format!("\x1b{intro}x\x1b\n").as_bytes()), [&unended, "Control(10)"]);
            assert_eq!(tokens(format!("\x1b{intro}x").as_bytes()), [&*unended]);
            assert_eq!(tokens(format!("\x1b{intro}x\x1b").as_bytes()), [&*unended]);
        }
    }

    #[test]
    fn the_bound_is_exact_in_one_chunk_and_bytewise() {
        for (length, expected) in [(LONGEST, vec!["Text(\"z\")"]), (LONGEST + 1, vec!["Unended(\"OSC\")"])] {
            let mut bytes = b"\x1b]".to_vec();
            bytes.resize(2 + length, b'x');
            bytes.extend(b"\x07z");
            assert_eq!(tokens(&bytes)[..1], expected);
            let mut scanner = Scanner::default();
            let mut first = None;
            for byte in &bytes {
                loop {
                    let (length, token) = scanner.next(std::slice::from_ref(byte));
                    if token != ScanToken::Nothing && first.is_none() {
                        first = Some(format!("{token:?}"));
                    }
                    if length == 1 {
                        break;
                    }
                }
            }
            assert_eq!(first.as_deref(), expected.first().copied());
        }
    }

    #[test]
    fn invalid_utf8_is_replaced_by_maximal_subparts() {
        for bytes in
            [&b"\xe2\x82a"[..], b"\xff", b"\xe2\x82", b"\xf0\x9f\x92\n", b"\xed\xa0\xa1", b"\xf4\xc3\xa9"]
        {
            let shown: String = {
                let mut scanner = Scanner::default();
                let mut out = String::new();
                for byte in bytes {
                    loop {
                        let (length, token) = scanner.next(std::slice::from_ref(byte));
                        match token {
                            ScanToken::Char(c) => out.push(c),
                            ScanToken::Text(run) | ScanToken::Wide(run) => out.push_str(run),
                            ScanToken::Control(byte) => out.push(char::from(byte)),
                            _ => {}
                        }
                        if length == 1 {
                            break;
                        }
                    }
                }
                if let ScanToken::Char(c) = scanner.finish() {
                    out.push(c);
                }
                out
            };
            assert_eq!(shown, String::from_utf8_lossy(bytes), "{bytes:x?}");
        }
    }
}
