//! What a character outside of ASCII is shown as.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

/// Joins emoji to one picture; anywhere else it is invisible.
pub(super) const JOINER: char = '\u{200d}';

/// What becomes of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyph {
    /// It is shown, this many columns wide (1 or 2).
    Shown(usize),
    /// It goes onto the character before it.
    Mark,
    /// A control, shown as its number.
    Control,
    /// It would be invisible or turn the text around, so its name is shown.
    Hidden,
}

/// How wide `text` is; none where something in it is not just shown.
pub(super) fn columns(text: &str) -> Option<usize> {
    text.chars().try_fold(0, |columns, c| match kind(c) {
        Glyph::Shown(more) => Some(columns + more),
        _ => None,
    })
}

/// How wide `c` is by itself.
#[inline]
pub(super) fn columns_of(c: char) -> usize {
    match kind(c) {
        Glyph::Shown(columns) => columns,
        Glyph::Mark | Glyph::Control | Glyph::Hidden => 0,
    }
}

/// What becomes of `c`.
#[inline]
pub(super) fn kind(c: char) -> Glyph {
    // What most text outside of ASCII consists of: Latin, the lines and blocks of progress bars, Chinese, what stands for a byte that
    // is no character.
    match c {
        ' '..='~' | '\u{c0}'..='\u{2ff}' | '\u{2500}'..='\u{259f}' | char::REPLACEMENT_CHARACTER => {
            return Glyph::Shown(1);
        }
        '\u{4e00}'..='\u{9fff}' => return Glyph::Shown(2),
        _ => {}
    }
    kind_by_tables(c)
}

fn kind_by_tables(c: char) -> Glyph {
    if hidden(c) {
        return Glyph::Hidden;
    }
    match c.width() {
        None => Glyph::Control,
        Some(0) => Glyph::Mark,
        Some(columns) => Glyph::Shown(columns.min(2)),
    }
}

/// Controls of direction, and what has neither width nor ink. The joiner and the variation selectors are not among
/// them, as emoji need them; nor is U+200C, without which Persian is misspelt. All three count as marks.
fn hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

/// How a hidden character is shown.
pub(super) fn name(c: char) -> String {
    format!("<U+{:04X}>", u32::from(c))
}

/// The joiners in `text` that do not join emoji.
pub(super) fn stray_joiners(text: &str) -> Vec<Range<usize>> {
    let mut stray = Vec::new();
    for (start, cluster) in text.grapheme_indices(true) {
        for (at, joiner) in cluster.match_indices(JOINER) {
            let behind = at + joiner.len();
            let joined = cluster.get(behind..).and_then(|rest| rest.chars().next());
            if !joined.is_some_and(is_pictograph) {
                stray.push(start + at..start + behind);
            }
        }
    }
    stray
}

/// Whether `c` has Unicode's property `Extended_Pictographic`. Only such a character forms one cluster with an emoji
/// and a joiner before it (rule GB11) while it forms none with a letter, so the segmentation's own tables can be asked.
fn is_pictograph(c: char) -> bool {
    let is_cluster = |text: &str| text.graphemes(true).nth(1).is_none();
    is_cluster(&format!("\u{1f468}{JOINER}{c}")) && !is_cluster(&format!("a{c}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joiners_stay_in_emoji_only() {
        for text in ["👨\u{200d}👩\u{200d}👧", "👩🏽\u{200d}💻", "🏳\u{fe0f}\u{200d}🌈", "❤\u{fe0f}\u{200d}🔥"]
        {
            assert!(stray_joiners(text).is_empty(), "{text:?}");
        }
        for text in [
            "a\u{200d}b",
            "👨\u{200d}",
            "\u{200d}👨",
            "👨\u{200d}a",
            "a\u{200d}👨",
            "क्\u{200d}ष",
            "👨\u{200d}\u{301}",
            "🇦\u{200d}🇧",
        ] {
            assert_eq!(stray_joiners(text).len(), 1, "{text:?}");
        }
        assert_eq!(stray_joiners("👨\u{200d}\u{200d}👩").len(), 2);
    }

    #[test]
    fn the_short_cut_says_what_the_tables_say() {
        for c in '\u{80}'..='\u{ffff}' {
            assert_eq!(kind(c), kind_by_tables(c), "{c:?}");
        }
    }

    #[test]
    fn every_named_character_is_hidden_and_letters_are_not() {
        let ranges = [0x202a..=0x202e, 0x2066..=0x2069, 0x200e..=0x200f, 0x2028..=0x2029, 0xe0000..=0xe007f];
        let single = [0x61c, 0x200b, 0x2060, 0xfeff];
        for c in ranges.into_iter().flatten().chain(single).filter_map(char::from_u32) {
            assert_eq!(kind(c), Glyph::Hidden, "{c:?}");
        }
        assert_eq!(kind('\u{9b}'), Glyph::Control);
        assert_eq!(kind('é'), Glyph::Shown(1));
        assert_eq!(kind('日'), Glyph::Shown(2));
        assert_eq!(kind('━'), Glyph::Shown(1));
        assert_eq!(kind('\u{301}'), Glyph::Mark);
        assert_eq!(kind('\u{fe0f}'), Glyph::Mark);
        assert_eq!(kind(JOINER), Glyph::Mark);
        assert_eq!(name('\u{202e}'), "<U+202E>");
        assert_eq!(name('\u{e0001}'), "<U+E0001>");
    }
}
