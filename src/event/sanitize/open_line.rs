//! The unfinished line, as a terminal would show it.

use super::glyph::{self, Glyph};
use super::offset_text::OffsetText;
use super::overwritten::{ColumnPlace, OverwrittenText};
use super::simple::LineAppender;
use crate::event::{LineBuffer, Mask, Style, StyleSpan};

/// Columns of a line that are kept; the rest is cut off and a mark says so.
pub(super) const WIDEST: usize = 16 * 1024;
/// Columns that a stream keeps room for between two lines.
const SPARE: usize = 512;
/// What stands for the part of a line that was cut off.
pub(super) const CUT: &str = "…[cut]";
/// How many marks a character may carry; text can't climb over its neighbours.
const MARKS: usize = 8;
/// What a mark is put on that has nothing to stand on, so that it can't stand on somebody else's frame.
const NOTHING: char = '◌';
/// The right half of a wide character.
const RIGHT_HALF: char = '\0';

/// One column.
#[derive(Debug, Clone)]
struct LineColumn {
    glyph: char,
    #[expect(
        clippy::box_collection,
        reason = "few cells have some, and without them each takes half as much"
    )]
    marks: Option<Box<String>>,
    style: Style,
}

impl LineColumn {
    fn new(glyph: char, style: Style) -> Self {
        Self { glyph, marks: None, style }
    }

    fn blank() -> Self {
        Self::new(' ', Style::default())
    }
}

/// One line on the way: a text with spans as long as it is only appended to, columns once something is written over.
///
/// A progress bar goes back to the line's start and writes all of it again, each time as wide or wider. So what a CR leaves
/// stands aside, and is looked at again only where what is written over it stays narrower.
#[derive(Debug)]
pub(super) struct OpenLine {
    text: String,
    spans: Vec<StyleSpan>,
    /// Marks on the text's last character.
    marks: usize,
    /// Columns of the text.
    width: usize,
    /// What stands under the text since a CR; it counts only where it is wider than the text.
    under: OverwrittenText,
    /// A tab went over something: a cursor in the middle of a wide character stands behind it from then on, as in columns.
    tabbed: bool,
    cells: Option<Vec<LineColumn>>,
    /// Room for columns: the lines of a progress bar need it one after the other.
    spare: Vec<LineColumn>,
    /// The column that is written next.
    cursor: usize,
    style: Style,
    /// There was a joiner, so what it joins has to be looked at.
    joined: bool,
    cut: bool,
    limit: usize,
}

impl Default for OpenLine {
    fn default() -> Self {
        Self::new(WIDEST)
    }
}

impl OpenLine {
    /// An empty line that keeps `limit` columns.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            spans: Vec::new(),
            marks: 0,
            width: 0,
            under: OverwrittenText::default(),
            tabbed: false,
            cells: None,
            spare: Vec::new(),
            cursor: 0,
            style: Style::default(),
            joined: false,
            cut: false,
            limit,
        }
    }

    /// Appends what `bytes` begin with, as far as it is simple. Returns how many bytes it took.
    pub(super) fn append(&mut self, bytes: &[u8]) -> usize {
        if self.cursor != self.width() && !self.is_appending() {
            return 0;
        }
        // Where there are columns the text is empty, so that there is room in it for what becomes columns.
        let under = if self.cells.is_some() { 0 } else { self.under.width };
        let mut pen = LineAppender::on(&mut self.text, &mut self.spans, self.limit, self.cursor, under);
        pen.style = self.style;
        pen.run(bytes);
        let (taken, width) = (pen.taken, pen.width);
        self.style = pen.style;
        if let Some(cells) = &mut self.cells {
            unfold(&self.text, &self.spans, cells);
            self.text.clear();
            self.spans.clear();
            self.cursor = width;
        } else if width > self.width {
            self.advance(width - self.width);
        }
        taken
    }

    /// Begins with what was only appended, in a line in which nothing stands.
    pub(super) fn begin_with(
        &mut self,
        text: &str,
        spans: impl Iterator<Item = StyleSpan>,
        width: usize,
        style: Style,
    ) {
        self.text.push_str(text);
        self.spans.extend(spans);
        (self.width, self.cursor, self.style) = (width, width, style);
    }

    /// Writes this line in columns from its start on.
    #[cfg(test)]
    pub(super) fn use_columns(&mut self) {
        self.cells();
    }

    /// Whether the line is as it was at its start.
    pub(super) fn is_untouched(&self) -> bool {
        self.is_empty() && self.cells.is_none() && self.cursor == 0 && self.style == Style::default()
    }

    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.width() == 0 && !self.cut
    }

    /// Starts the next line. The style ends with the line.
    pub(super) fn reset(&mut self) {
        self.erase_all();
        self.cursor = 0;
        self.style = Style::default();
    }

    /// The style of what is written next.
    pub(super) fn style_mut(&mut self) -> &mut Style {
        &mut self.style
    }

    /// Writes printable ASCII.
    pub(super) fn ascii(&mut self, run: &str) {
        self.cut_back(run.len());
        if self.cursor >= self.limit {
            self.cut = true;
        } else if self.is_appending() {
            let fits = run.len().min(self.limit - self.cursor);
            self.begin_span();
            self.text.push_str(&run[..fits]);
            self.advance(fits);
            if fits < run.len() {
                self.overflow();
            }
        } else if !run.is_empty() {
            self.overwrite(run);
        }
    }

    /// Takes away what stands behind the cursor where so many columns are written over all of it: then they are appended.
    fn cut_back(&mut self, columns: usize) {
        if self.cells.is_some() || self.cursor >= self.width || self.cursor + columns < self.width {
            return;
        }
        while self.width > self.cursor
            && let Some(c) = self.text.pop()
        {
            self.width -= glyph::columns_of(c);
        }
        if self.width < self.cursor {
            // It was half of a wide character; the other half goes too.
            self.text.push(' ');
            self.width += 1;
        }
        let end = self.text.len();
        while self.spans.pop_if(|span| span.start as usize >= end).is_some() {}
        self.count_marks();
    }

    /// Writes printable ASCII over what is there. Just at its two ends can it hit half of a wide character.
    fn overwrite(&mut self, run: &str) {
        let fits = run.len().min(self.limit - self.cursor);
        let (cursor, end, style) = (self.cursor, self.cursor + fits, self.style);
        let written = run.bytes().take(fits).map(|byte| LineColumn::new(char::from(byte), style));
        let cells = self.cells();
        if cells.len() == cursor {
            cells.extend(written);
        } else {
            if cells.len() < end {
                cells.resize(end, LineColumn::blank());
            }
            vacate(cells, cursor);
            vacate(cells, end - 1);
            cells[cursor..end].iter_mut().zip(written).for_each(|(cell, new)| *cell = new);
        }
        self.cursor = end;
        if fits < run.len() {
            self.overflow();
        }
    }

    /// Writes a character from outside of ASCII.
    pub(super) fn char(&mut self, c: char) {
        match glyph::kind(c) {
            Glyph::Shown(columns) => self.put(c, columns),
            Glyph::Mark => self.mark(c),
            Glyph::Control => self.ascii(&format!("\\x{:02x}", u32::from(c))),
            Glyph::Hidden => self.ascii(&glyph::name(c)),
        }
    }

    /// Writes characters from outside of ASCII.
    pub(super) fn wide(&mut self, run: &str) {
        let columns = glyph::columns(run);
        match columns.filter(|columns| self.is_appending() && self.cursor + columns <= self.limit) {
            Some(columns) => {
                self.begin_span();
                self.text.push_str(run);
                self.advance(columns);
            }
            None => run.chars().for_each(|c| self.char(c)),
        }
    }

    /// Writes a C0 control or DEL in caret form.
    pub(super) fn caret(&mut self, control: u8) {
        self.put('^', 1);
        self.put(char::from(control ^ 0x40), 1);
    }

    /// CR.
    pub(super) fn carriage_return(&mut self) {
        self.cursor = 0;
        // That costs as much as is under it, so that it takes a text that is not much shorter.
        if 16 * self.width >= self.under.width {
            self.settle();
        }
        if self.cells.is_none() && self.width >= self.under.width {
            std::mem::swap(&mut self.text, &mut self.under.text);
            std::mem::swap(&mut self.spans, &mut self.under.spans);
            (self.under.width, self.under.seen) = (self.width, ColumnPlace::default());
            self.text.clear();
            self.spans.clear();
            (self.width, self.marks) = (0, 0);
        }
    }

    /// BS.
    pub(super) fn backspace(&mut self) {
        self.cursor = self.cursor.saturating_sub(1);
    }

    /// TAB: over what is there, then with spaces, to the next multiple of 8.
    pub(super) fn tab(&mut self) {
        let stop = (self.cursor / 8 + 1) * 8;
        if self.under.width > self.cursor {
            if self.is_appending() {
                self.uncover(stop);
                self.tabbed = true;
            } else {
                self.cells();
            }
        }
        self.cursor = stop.min(self.width()).max(self.cursor);
        let spaces = "        ".get(..stop - self.cursor).unwrap_or_default();
        if !spaces.is_empty() {
            self.ascii(spaces);
        }
    }

    /// Appends what stands under the text, up to a column.
    fn uncover(&mut self, end: usize) {
        let seen = self.under.copy(self.width, end, &mut self.text, &mut self.spans);
        (self.width, self.under.seen) = (seen.column, seen);
        self.count_marks();
    }

    /// Puts what stands under the text and is wider behind it.
    fn settle(&mut self) {
        if self.cells.is_none() && self.width < self.under.width {
            self.uncover(self.under.width);
        }
    }

    /// EL 0: from the cursor to the end.
    pub(super) fn erase_right(&mut self) {
        if self.cursor == 0 {
            return self.erase_all();
        }
        let cursor = self.cursor;
        if cursor < self.width() {
            self.cut = false;
            let cells = self.cells();
            vacate(cells, cursor);
            cells.truncate(cursor);
        }
    }

    /// EL 1: from the start to the cursor and what is under it.
    pub(super) fn erase_left(&mut self) {
        let cursor = self.cursor;
        if cursor + 1 >= self.width() {
            return self.erase_all();
        }
        let cells = self.cells();
        vacate(cells, cursor);
        cells.iter_mut().take(cursor + 1).for_each(|cell| *cell = LineColumn::blank());
    }

    /// EL 2: everything; the cursor stays.
    pub(super) fn erase_all(&mut self) {
        self.text.clear();
        self.spans.clear();
        if let Some(mut cells) = self.cells.take().filter(|cells| cells.capacity() <= SPARE) {
            cells.clear();
            self.spare = cells;
        }
        self.under.clear();
        (self.width, self.marks) = (0, 0);
        (self.joined, self.cut, self.tabbed) = (false, false, false);
    }

    /// Adds the line to `lines`, masked, and starts the next one.
    pub(super) fn finish(&mut self, mask: &Mask, lines: &mut LineBuffer) {
        self.settle();
        self.end(mask, false, lines);
        self.reset();
    }

    /// Adds the line as it stands to `lines`, masked. In an `unfinished` one, as in one that was cut, a value can have arrived by half.
    pub(super) fn end(&self, mask: &Mask, unfinished: bool, lines: &mut LineBuffer) {
        // Most lines were only appended to and hold nothing to mask: there is nothing to edit.
        if !self.joined && !self.cut {
            let (text, spans) = if self.width == 0 && self.cells.is_none() {
                // A CR was the last thing: what it leaves still stands.
                (&self.under.text, &self.under.spans)
            } else {
                (&self.text, &self.spans)
            };
            let whole = self.cells.is_none() && (self.width == 0 || self.width >= self.under.width);
            let quiet = whole
                && if unfinished {
                    self.is_appending() && mask.is_quiet_so_far(text)
                } else {
                    mask.is_quiet(text)
                };
            if quiet {
                return lines.push_parts(text, spans.iter().copied());
            }
        }
        let mut draft = self.draft();
        let end = (unfinished || self.cut).then_some(draft.text.len());
        let open = [unfinished.then_some(draft.cursor), end];
        mask.apply(&mut draft, &open);
        if self.cut {
            draft.append(CUT);
        }
        lines.push_parts(&draft.text, draft.spans);
    }

    /// The line as it stands, with the cut not yet marked.
    pub(super) fn draft(&self) -> OffsetText {
        let mut draft = if let Some(cells) = &self.cells {
            flatten(cells, self.cursor)
        } else {
            let cursor = if self.cursor < self.width { self.offset() } else { self.text.len() };
            OffsetText { text: self.text.clone(), spans: self.spans.clone(), cursor }
        };
        if self.cells.is_none() && self.under.width > self.width {
            self.under.copy(self.width, self.under.width, &mut draft.text, &mut draft.spans);
        }
        if self.joined {
            let stray = glyph::stray_joiners(&draft.text);
            draft.replace(&stray, &glyph::name(glyph::JOINER));
        }
        draft
    }

    /// Byte offset of the cursor in the text.
    fn offset(&self) -> usize {
        let mut column = 0;
        let mut reached = self.text.char_indices().skip_while(|(_, c)| {
            let begin = column;
            column += glyph::columns_of(*c);
            column <= self.cursor || (self.tabbed && begin < self.cursor) || column == begin
        });
        reached.next().map_or(self.text.len(), |(at, _)| at)
    }

    fn width(&self) -> usize {
        self.cells.as_ref().map_or(self.width.max(self.under.width), Vec::len)
    }

    fn is_appending(&self) -> bool {
        self.cells.is_none() && self.cursor == self.width
    }

    fn advance(&mut self, columns: usize) {
        self.cursor += columns;
        self.width = self.cursor;
        self.marks = 0;
    }

    fn count_marks(&mut self) {
        self.marks = self.text.chars().rev().take_while(|c| glyph::columns_of(*c) == 0).count();
    }

    fn overflow(&mut self) {
        self.cut = true;
        self.cursor = self.limit;
    }

    fn begin_span(&mut self) {
        let last = self.spans.last().map(|span| span.style).unwrap_or_default();
        if last != self.style {
            self.spans.push(StyleSpan { start: self.text.len() as u32, style: self.style });
        }
    }

    fn put(&mut self, c: char, columns: usize) {
        let end = self.cursor.saturating_add(columns);
        if end > self.limit {
            return self.overflow();
        }
        self.cut_back(columns);
        if self.is_appending() {
            self.begin_span();
            self.text.push(c);
            return self.advance(columns);
        }
        let (cursor, style) = (self.cursor, self.style);
        let cells = self.cells();
        let known = cells.len();
        if known < end {
            cells.resize(end, LineColumn::blank());
        }
        for column in cursor..end {
            if column < known {
                vacate(cells, column);
            }
            cells[column] = LineColumn::new(if column == cursor { c } else { RIGHT_HALF }, style);
        }
        self.cursor = end;
    }

    /// Puts a mark onto the character before the cursor.
    fn mark(&mut self, c: char) {
        if self.cursor >= self.limit {
            return;
        }
        if self.cursor == 0 {
            if c == glyph::JOINER {
                return self.ascii(&glyph::name(c));
            }
            self.put(NOTHING, 1);
        }
        self.joined |= c == glyph::JOINER;
        if self.is_appending() {
            if self.marks < MARKS {
                self.text.push(c);
                self.marks += 1;
            }
            return;
        }
        let cursor = self.cursor;
        let cells = self.cells();
        if cells.len() < cursor {
            cells.resize(cursor, LineColumn::blank());
        }
        let base = cells.iter_mut().take(cursor).rfind(|cell| cell.glyph != RIGHT_HALF);
        if let Some(cell) = base {
            let marks = cell.marks.get_or_insert_default();
            if marks.chars().count() < MARKS {
                marks.push(c);
            }
        }
    }

    /// The line as columns, from now on.
    fn cells(&mut self) -> &mut Vec<LineColumn> {
        if self.cells.is_none() {
            let spare = std::mem::take(&mut self.spare);
            self.cells = Some(self.columns(spare));
            self.text.clear();
            self.spans.clear();
            self.under.clear();
        }
        self.cells.get_or_insert_default()
    }

    /// The text, with what it leaves of that under it, as columns. `cells` is room for them.
    fn columns(&self, mut cells: Vec<LineColumn>) -> Vec<LineColumn> {
        if self.under.width <= self.width {
            unfold(&self.text, &self.spans, &mut cells);
            return cells;
        }
        unfold(&self.under.text, &self.under.spans, &mut cells);
        let mut over = Vec::new();
        unfold(&self.text, &self.spans, &mut over);
        if let Some(last) = over.len().checked_sub(1) {
            vacate(&mut cells, last);
        }
        cells.splice(..over.len(), over);
        cells
    }
}

/// Blanks the other half of a wide character of which `column` is a half.
fn vacate(cells: &mut [LineColumn], column: usize) {
    let is_right =
        |cells: &[LineColumn], at: usize| cells.get(at).is_some_and(|cell| cell.glyph == RIGHT_HALF);
    let other = if is_right(cells, column) { column.wrapping_sub(1) } else { column + 1 };
    if (is_right(cells, column) || is_right(cells, other))
        && let Some(cell) = cells.get_mut(other)
    {
        *cell = LineColumn::new(' ', cell.style);
    }
    if let Some(cell) = cells.get_mut(column) {
        *cell = LineColumn::new(' ', cell.style);
    }
}

/// A text as columns, put into `cells`.
fn unfold(text: &str, spans: &[StyleSpan], cells: &mut Vec<LineColumn>) {
    cells.reserve(text.len());
    let mut spans = spans.iter().peekable();
    let mut style = Style::default();
    for (at, c) in text.char_indices() {
        while let Some(span) = spans.next_if(|span| span.start as usize <= at) {
            style = span.style;
        }
        let columns = glyph::columns_of(c);
        if columns > 0 {
            cells.push(LineColumn::new(c, style));
        } else if let Some(cell) = cells.iter_mut().rfind(|cell| cell.glyph != RIGHT_HALF) {
            cell.marks.get_or_insert_default().push(c);
        }
        if columns == 2 {
            cells.push(LineColumn::new(RIGHT_HALF, style));
        }
    }
}

/// Columns as a text.
fn flatten(cells: &[LineColumn], cursor: usize) -> OffsetText {
    let mut draft = OffsetText { text: String::with_capacity(cells.len()), ..OffsetText::default() };
    let mut style = Style::default();
    let mut at_cursor = None;
    for (column, cell) in cells.iter().enumerate() {
        if column == cursor {
            at_cursor = Some(draft.text.len());
        }
        if cell.glyph == RIGHT_HALF {
            continue;
        }
        if cell.style != style {
            style = cell.style;
            draft.spans.push(StyleSpan { start: draft.text.len() as u32, style });
        }
        draft.text.push(cell.glyph);
        if let Some(marks) = &cell.marks {
            draft.text.push_str(marks);
        }
    }
    draft.cursor = at_cursor.unwrap_or(draft.text.len());
    draft
}
