//! The fast path of lines that are only appended to: printable text of any language, tabs, colours, and bytes that are shown by their
//! names. What moves the cursor, erases, joins or is not known is left to the [`super::OpenLine`].

use super::glyph;
use super::open_line::{OpenLine, WIDEST};
use super::{is_printable, prefix, scan, sgr};
use crate::event::{LineBuffer, Mask, Style, StyleSpan};

/// Parameters of a control sequence that are read here.
const PARAMETERS: usize = 64;
/// So many printable characters in a row are seldom chance: it is worth a look at where they end.
const WORD: usize = 3;
/// How many bytes are written by themselves before it is asked again whether a word follows.
const AT_ONCE: usize = 32;
/// The longest name of a byte.
const NAME: usize = 4;

/// Takes what `bytes` begin with as long as it is only appended to, to a `row` in which nothing stands. Returns how many bytes it took;
/// the line that they do not end is in `row` then.
pub(super) fn lines(bytes: &[u8], mask: &Mask, row: &mut OpenLine, lines: &mut LineBuffer) -> usize {
    let before = lines.mark();
    let mut taken = 0;
    loop {
        let begin = lines.mark();
        let (width, style) = lines.write(|text, spans| {
            let mut pen = LineAppender::new(text, spans, WIDEST);
            pen.run(bytes.get(taken..).unwrap_or_default());
            taken += pen.taken;
            (pen.width, pen.style)
        });
        let end = line_end(bytes.get(taken..).unwrap_or_default());
        taken += end;
        if end == 0 {
            row.begin_with(lines.text_since(&begin), lines.spans_since(&begin), width, style);
            lines.go_back(&begin);
            break;
        }
        lines.end_line();
    }
    // No secret spans lines, so that one look at all of them tells that none holds anything to mask.
    if !mask.is_quiet(lines.text_since(&before)) {
        lines.take_since(&before).iter().for_each(|line| mask.push(line, lines));
    }
    taken
}

/// The length of the line end that `bytes` begin with.
fn line_end(bytes: &[u8]) -> usize {
    match bytes {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    }
}

/// Appends to a line.
pub(super) struct LineAppender<'a> {
    text: &'a mut String,
    spans: &'a mut Vec<StyleSpan>,
    /// Where the line begins in both.
    start: usize,
    first: usize,
    limit: usize,
    pub(super) width: usize,
    pub(super) style: Style,
    /// Whether what was written last looks like that.
    written: bool,
    /// Whether nothing stands under the line behind its end, so that a tab is appended and nothing is erased.
    alone: bool,
    /// How many bytes are written.
    pub(super) taken: usize,
}

impl<'a> LineAppender<'a> {
    /// Begins a line behind what is there, which has room for `limit` columns.
    fn new(text: &'a mut String, spans: &'a mut Vec<StyleSpan>, limit: usize) -> Self {
        let (start, first) = (text.len(), spans.len());
        Self {
            text,
            spans,
            start,
            first,
            limit,
            width: 0,
            style: Style::default(),
            written: true,
            alone: true,
            taken: 0,
        }
    }

    /// Goes on with a line that is `width` columns wide. `under` is what stands under it.
    pub(super) fn on(
        text: &'a mut String,
        spans: &'a mut Vec<StyleSpan>,
        limit: usize,
        width: usize,
        under: usize,
    ) -> Self {
        let (style, alone) = (Style::default(), under <= width);
        Self { text, spans, start: 0, first: 0, limit, width, style, written: false, alone, taken: 0 }
    }

    /// Writes up to what is not appended, the line's end, or the end of `bytes`.
    pub(super) fn run(&mut self, bytes: &[u8]) {
        while self.piece(bytes).is_some() {}
    }

    fn piece(&mut self, bytes: &[u8]) -> Option<()> {
        let rest = bytes.get(self.taken..)?;
        match *rest.first()? {
            0x1b => self.sequence(rest),
            b'\n' | b'\r' | 0x08 => None,
            b'\t' if !self.alone => None,
            b'\t' => {
                let spaces = 8 - self.width % 8;
                self.room(spaces, 1)?;
                self.text.push_str("        ".get(..spaces).unwrap_or_default());
                Some(())
            }
            0xc2..=0xf4 => self.not_ascii(rest),
            _ if rest.first_chunk().copied().is_some_and(is_word) => {
                let length = printable(rest);
                self.room(length, length)?;
                self.text.push_str(str::from_utf8(&rest[..length]).unwrap_or_default());
                Some(())
            }
            _ => self.single_bytes(rest),
        }
    }

    /// Writes the next few bytes, as far as each of them is shown by itself. None where there is no room whatever they are.
    fn single_bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let most = (self.limit - self.width) / NAME;
        if most == 0 {
            return None;
        }
        if !self.written {
            self.begin_span();
        }
        let mut rest = bytes;
        for _ in 0..most.min(AT_ONCE) {
            let [byte, tail @ ..] = rest else { break };
            let goes_on = tail.first().is_none_or(|next| is_continuation(*next));
            let unit = UNITS[usize::from(goes_on)][usize::from(*byte)];
            if unit.length == 0 {
                break;
            }
            self.name(*byte, unit.length);
            self.width += usize::from(unit.columns);
            rest = tail;
        }
        self.taken += bytes.len() - rest.len();
        Some(())
    }

    /// Appends what is shown of a byte. What pads it to the same length is written, too, and taken away again: how long it is no branch
    /// depends on, which random bytes would make take the wrong way.
    #[inline]
    fn name(&mut self, byte: u8, length: u8) {
        let at = NAME * usize::from(byte);
        let end = self.text.len() + usize::from(length);
        if let Some(name) = NAMES.get(at..at + NAME) {
            self.text.push_str(name);
            self.text.truncate(end);
        }
    }

    /// Writes the characters outside of ASCII that `bytes` begin with, or what stands for a byte that is none. They may go on behind the
    /// end.
    fn not_ascii(&mut self, bytes: &[u8]) -> Option<()> {
        let run = scan::not_ascii(bytes);
        let chunk = run.utf8_chunks().next()?;
        if chunk.valid().is_empty() {
            let ends = run.len() >= 4 || run.len() < bytes.len();
            self.room(1, ends.then_some(chunk.invalid().len())?)?;
            self.text.push(char::REPLACEMENT_CHARACTER);
        } else {
            self.room(glyph::columns(chunk.valid())?, chunk.valid().len())?;
            self.text.push_str(chunk.valid());
        }
        Some(())
    }

    /// A control sequence that sets the style, or erases what is not there.
    fn sequence(&mut self, bytes: &[u8]) -> Option<()> {
        let parameters = bytes.strip_prefix(b"\x1b[")?;
        let parameters = parameters.get(..PARAMETERS).unwrap_or(parameters);
        let length = parameters.iter().position(|byte| !matches!(byte, 0x30..=0x3f))?;
        let (parameters, rest) = parameters.split_at(length);
        match *rest.first()? {
            b'm' => {
                sgr::apply(&mut self.style, parameters);
                self.written = false;
            }
            b'K' if self.alone && sgr::first(parameters) == Some(0) => {}
            _ => return None,
        }
        self.taken += b"\x1b[".len() + length + 1;
        Some(())
    }

    /// Makes room for what becomes of so many bytes; none where the line would be too wide.
    #[inline]
    fn room(&mut self, columns: usize, bytes: usize) -> Option<()> {
        if self.width + columns > self.limit {
            return None;
        }
        if !self.written {
            self.begin_span();
        }
        self.width += columns;
        self.taken += bytes;
        Some(())
    }

    fn begin_span(&mut self) {
        self.written = true;
        let before = self.spans.get(self.first..).and_then(<[StyleSpan]>::last).map(|last| last.style);
        if before.unwrap_or_default() != self.style {
            let start = self.text.len() - self.start;
            self.spans.push(StyleSpan { start: start as u32, style: self.style });
        }
    }
}

/// How much of a line a byte takes; nothing where that can't be told from it alone.
#[derive(Debug, Clone, Copy)]
struct ByteWidth {
    length: u8,
    columns: u8,
}

impl ByteWidth {
    /// `goes_on` says whether the next byte may be a part of a character that this one begins.
    const fn of(byte: u8, goes_on: bool) -> Self {
        let [length, columns] = match byte {
            b'\t' | b'\n' | b'\r' | 0x08 | 0x1b => [0, 0],
            0xc2..=0xf4 if goes_on => [0, 0],
            0x20..=0x7e => [1, 1],
            0x00..=0x1f | 0x7f => [2, 2],
            0x80..=0x9f => [4, 4],
            0xa0.. => [3, 1],
        };
        Self { length, columns }
    }
}

fn is_word(head: [u8; WORD]) -> bool {
    head.iter().fold(true, |all, byte| all & is_printable(*byte))
}

/// How many printable characters `bytes` begin with. Most runs are short where this is asked.
fn printable(bytes: &[u8]) -> usize {
    let head = bytes.get(..16).unwrap_or(bytes);
    match head.iter().position(|byte| !is_printable(*byte)) {
        Some(end) => end,
        None => head.len() + prefix(bytes.get(head.len()..).unwrap_or_default(), is_printable),
    }
}

/// Without a branch, which random bytes would make take the wrong way.
fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// How much each byte takes, before one that can't be a part of its character and before one that may.
static UNITS: [[ByteWidth; 256]; 2] = {
    let mut all = [[ByteWidth { length: 0, columns: 0 }; 256]; 2];
    let mut byte = 0;
    while byte < 256 {
        all[0][byte] = ByteWidth::of(byte as u8, false);
        all[1][byte] = ByteWidth::of(byte as u8, true);
        byte += 1;
    }
    all
};

const fn name(byte: u8) -> [u8; NAME] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match byte {
        0x20..=0x7e => [byte, b' ', b' ', b' '],
        0x00..=0x1f | 0x7f => [b'^', byte ^ 0x40, b' ', b' '],
        0x80..=0x9f => [b'\\', b'x', DIGITS[(byte >> 4) as usize], DIGITS[(byte & 0xf) as usize]],
        0xa0.. => [0xef, 0xbf, 0xbd, b' '],
    }
}

/// What is shown of each byte.
static NAMES: &str = {
    const ALL: [[u8; NAME]; 256] = {
        let mut all = [[0; NAME]; 256];
        let mut byte = 0;
        while byte < all.len() {
            all[byte] = name(byte as u8);
            byte += 1;
        }
        all
    };
    match str::from_utf8(ALL.as_flattened()) {
        Ok(all) => all,
        Err(_) => "",
    }
};
