//! What a CR leaves of a line, under what is written over it.

use super::glyph;
use crate::event::{Style, StyleSpan};

/// A text that is about to be written over, from its start on.
#[derive(Debug, Default)]
pub(super) struct OverwrittenText {
    pub(super) text: String,
    pub(super) spans: Vec<StyleSpan>,
    pub(super) width: usize,
    /// How far it was looked at, so that one tab after the other does not do so from the start.
    pub(super) seen: ColumnPlace,
}

/// Where a column begins in a text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ColumnPlace {
    at: usize,
    pub(super) column: usize,
}

impl OverwrittenText {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
        (self.width, self.seen) = (0, ColumnPlace::default());
    }

    /// Where `column` begins, or the wide character of which it is the right half.
    fn place(&self, column: usize) -> ColumnPlace {
        if column >= self.width {
            return ColumnPlace { at: self.text.len(), column: self.width };
        }
        let mut place = if self.seen.column <= column { self.seen } else { ColumnPlace::default() };
        for c in self.text.get(place.at..).unwrap_or_default().chars() {
            let next = place.column + glyph::columns_of(c);
            if next > column {
                break;
            }
            place = ColumnPlace { at: place.at + c.len_utf8(), column: next };
        }
        place
    }

    fn style(&self, at: usize) -> Style {
        let before = self.spans.partition_point(|span| span.start as usize <= at);
        before.checked_sub(1).and_then(|last| self.spans.get(last)).map(|span| span.style).unwrap_or_default()
    }

    /// Appends the columns from `from` on to a text that is as wide, up to `end` or the wide character that ends behind it. Returns
    /// where that is.
    pub(super) fn copy(
        &self,
        from: usize,
        end: usize,
        text: &mut String,
        spans: &mut Vec<StyleSpan>,
    ) -> ColumnPlace {
        let mut begin = self.place(from);
        if begin.column < from {
            // Of a wide character that is written over by half the other half goes too.
            spans.push(StyleSpan { start: text.len() as u32, style: self.style(begin.at) });
            text.push(' ');
            begin = self.place(from + 1);
        }
        let mut behind = self.place(end);
        if behind.column < end {
            behind = self.place(end + 1);
        }
        spans.push(StyleSpan { start: text.len() as u32, style: self.style(begin.at) });
        let [first, last] =
            [begin.at + 1, behind.at].map(|at| self.spans.partition_point(|span| (span.start as usize) < at));
        let moved =
            |span: &StyleSpan| StyleSpan { start: span.start - begin.at as u32 + text.len() as u32, ..*span };
        spans.extend(self.spans.get(first..last).unwrap_or_default().iter().map(moved));
        text.push_str(self.text.get(begin.at..behind.at).unwrap_or_default());
        behind
    }
}
