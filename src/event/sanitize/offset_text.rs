//! A line that is still being edited, with everything that points into it.

use std::ops::Range;

use crate::event::{Style, StyleSpan};

/// Text, and offsets into it that stay where they belong when pieces of the text are replaced.
#[derive(Debug, Default)]
pub(in crate::event) struct OffsetText {
    /// The text.
    pub(in crate::event) text: String,
    /// Its styles, in order.
    pub(in crate::event) spans: Vec<StyleSpan>,
    /// Where the next character will be written.
    pub(in crate::event) cursor: usize,
}

impl OffsetText {
    /// Puts `with` in the place of each of `ranges`, which are ordered and do not overlap. A style that began inside of
    /// a range begins behind its replacement.
    pub(in crate::event) fn replace(&mut self, ranges: &[Range<usize>], with: &str) {
        if ranges.is_empty() {
            return;
        }
        let mut text = String::with_capacity(self.text.len() + ranges.len() * with.len());
        let mut ends = Vec::with_capacity(ranges.len());
        let mut copied = 0;
        for range in ranges {
            text.push_str(self.text.get(copied..range.start).unwrap_or_default());
            text.push_str(with);
            ends.push(text.len());
            copied = range.end;
        }
        text.push_str(self.text.get(copied..).unwrap_or_default());
        let moved = |old: usize| {
            let before = ranges.partition_point(|range| range.end <= old);
            match (ranges.get(before), ends.get(before)) {
                (Some(range), Some(end)) if range.start < old => *end,
                _ => before.checked_sub(1).map_or(old, |last| ends[last] + (old - ranges[last].end)),
            }
        };
        for span in &mut self.spans {
            span.start = moved(span.start as usize) as u32;
        }
        self.cursor = moved(self.cursor);
        self.text = text;
    }

    /// Writes `mark` behind the text, without a style.
    pub(in crate::event) fn append(&mut self, mark: &str) {
        self.spans.push(StyleSpan { start: self.text.len() as u32, style: Style::default() });
        self.text.push_str(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_follow_the_text() {
        let bold = Style { bold: true, ..Style::default() };
        let dim = Style { dim: true, ..Style::default() };
        let mut draft =
            OffsetText { text: "ab secret cd secret".into(), cursor: 19, ..OffsetText::default() };
        for (start, style) in [(0, bold), (3, dim), (5, bold), (10, dim), (15, bold)] {
            draft.spans.push(StyleSpan { start, style });
        }
        draft.replace(&[3..9, 13..19], "***");
        assert_eq!((draft.text.as_str(), draft.cursor), ("ab *** cd ***", 13));
        let line = crate::event::Line::from_parts(&draft.text, draft.spans);
        let pieces: Vec<_> = line.pieces().collect();
        assert_eq!(pieces, [("ab ", bold), ("***", dim), (" ", bold), ("cd ***", dim)]);
    }
}
