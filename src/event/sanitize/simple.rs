//! The fast path of lines that are only appended to: printable text of any language, tabs, colours, and bytes that are shown by their
//! names. What moves the cursor, erases, joins or is not known is left to the [`super::Row`].

use super::glyph;
use super::row::{Row, WIDEST};
use super::{is_printable, prefix, scan, sgr};
use crate::event::{LineBuffer, Mask, Span, Style};

/// Parameters of a control sequence that are read here.
const PARAMETERS: usize = 64;

/// Takes what `bytes` begin with as long as it is only appended to, to a `row` in which nothing stands. Returns how many bytes it took;
/// the line that they do not end is in `row` then.
pub(super) fn lines(bytes: &[u8], mask: &Mask, row: &mut Row, lines: &mut LineBuffer) -> usize {
    let before = lines.mark();
    let mut taken = 0;
    loop {
        let begin = lines.mark();
        let (width, style) = lines.write(|text, spans| {
            let mut pen = Pen::new(text, spans, WIDEST);
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
pub(super) struct Pen<'a> {
    text: &'a mut String,
    spans: &'a mut Vec<Span>,
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

impl<'a> Pen<'a> {
    /// Begins a line behind what is there, which has room for `limit` columns.
    fn new(text: &'a mut String, spans: &'a mut Vec<Span>, limit: usize) -> Self {
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
        spans: &'a mut Vec<Span>,
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
            0x20..=0x7e => {
                let length = printable(rest);
                self.room(length, length)?;
                self.text.push_str(str::from_utf8(&rest[..length]).unwrap_or_default());
            }
            b'\n' | b'\r' | 0x08 => return None,
            b'\t' if !self.alone => return None,
            b'\t' => {
                let spaces = 8 - self.width % 8;
                self.room(spaces, 1)?;
                self.text.push_str("        ".get(..spaces).unwrap_or_default());
            }
            0x1b => self.sequence(rest)?,
            control @ (0x00..=0x1f | 0x7f) => {
                self.room(2, 1)?;
                self.text.push('^');
                self.text.push(char::from(control ^ 0x40));
            }
            0x80.. => self.not_ascii(rest)?,
        }
        Some(())
    }

    /// Writes the characters outside of ASCII that `bytes` begin with, or what stands for a byte that is none. They may go on behind the
    /// end.
    fn not_ascii(&mut self, bytes: &[u8]) -> Option<()> {
        // Output that is no text at all is told by one byte or two, most of the time.
        match *bytes {
            [byte @ 0x80..=0x9f, ..] => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                self.room(4, 1)?;
                let name = [b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]];
                self.text.push_str(str::from_utf8(&name).unwrap_or_default());
                return Some(());
            }
            [0xa0..=0xc1 | 0xf5.., ..] | [_, 0x00..=0x7f | 0xc0.., ..] => return self.invalid(1),
            _ => {}
        }
        let run = scan::not_ascii(bytes);
        let chunk = run.utf8_chunks().next()?;
        if chunk.valid().is_empty() {
            let ends = run.len() >= 4 || run.len() < bytes.len();
            return if ends { self.invalid(chunk.invalid().len()) } else { None };
        }
        self.room(glyph::columns(chunk.valid())?, chunk.valid().len())?;
        self.text.push_str(chunk.valid());
        Some(())
    }

    fn invalid(&mut self, bytes: usize) -> Option<()> {
        self.room(1, bytes)?;
        self.text.push(char::REPLACEMENT_CHARACTER);
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
        if !self.written && columns > 0 {
            self.written = true;
            let before = self.spans.get(self.first..).and_then(<[Span]>::last).map(|last| last.style);
            if before.unwrap_or_default() != self.style {
                let start = self.text.len() - self.start;
                self.spans.push(Span { start: start as u32, style: self.style });
            }
        }
        self.width += columns;
        self.taken += bytes;
        Some(())
    }
}

/// How many printable characters `bytes` begin with. Most runs are short where this is asked.
fn printable(bytes: &[u8]) -> usize {
    let head = bytes.get(..16).unwrap_or(bytes);
    match head.iter().position(|byte| !is_printable(*byte)) {
        Some(end) => end,
        None => head.len() + prefix(bytes.get(head.len()..).unwrap_or_default(), is_printable),
    }
}
