//! Known secrets are masked in all that comes in.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use memchr::memmem;

use super::sanitize::offset_text::OffsetText;
use super::sanitize::plain;
use super::{Line, LineBuffer, LineRef, Text};

mod forms;
mod name;

/// What is shown in a secret's place.
const MASK: &str = "***";

static SCHEME_END: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("://"));

/// The secrets that are known to us. Cheap to clone; its `Debug` form says how many there are and none of them.
///
/// Masked is the value itself; its base64 forms, also where it is a part of what was encoded; its percent-encoded
/// forms; its forms in JSON strings and in HTML, and in one of these within another; and all of these for each line of 8
/// characters or more of a value that has several.
/// The user information of a URL is masked always, known or not.
///
/// Values shorter than 4 characters, and `true`, `false`, `none` and `null`, are not masked: they would blacken
/// half a log and are no secrets. All of it is best effort: who wants to print a secret unrecognisably always can.
#[derive(Clone, Default)]
pub struct Mask {
    known: Option<Arc<MaskedValues>>,
}

struct MaskedValues {
    /// How many values were taken, for `Debug`.
    count: usize,
    /// None where it could not be built, and then everything is masked rather than anything shown.
    finder: Option<Finder>,
    /// The values themselves.
    values: Beginnings,
    /// All forms.
    forms: Beginnings,
}

/// Finds every form.
struct Finder {
    /// Looks for how forms begin, which is fast and tells almost always that there are none.
    quick: AhoCorasick,
    full: AhoCorasick,
}

/// Tells whether a form begins with what has arrived.
struct Beginnings {
    sorted: Vec<String>,
    /// First bytes, which rule out most places.
    first: [bool; 256],
}

/// An encoded form is held back once this much of it has arrived: less than three bytes of the value. Of the value itself
/// even the first character is held back; doing so for each form would mask a character of most unfinished lines.
const TELLING: usize = 4;

impl Mask {
    /// Masks these values, wherever they turn up.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut count = 0;
        let (mut values, mut all) = (Vec::new(), Vec::new());
        for secret in secrets {
            let plain_forms = forms::values(&secret);
            count += usize::from(!plain_forms.is_empty());
            for value in plain_forms {
                all.extend(forms::encoded(&value, values.len() < forms::MOST_DEEP));
                values.push(value);
            }
        }
        // What is looked at is sanitised text, so what is looked for has to be, too.
        let values = forms::patterns(values.iter().map(|value| plain(value)));
        let all = forms::patterns(values.iter().map(Into::into).chain(all.iter().map(|form| plain(form))));
        if all.is_empty() {
            return Self::default();
        }
        let finder = Finder::new(&all);
        Self {
            known: Some(Arc::new(MaskedValues { count, finder, values: values.into(), forms: all.into() })),
        }
    }

    /// Whether the name of a build argument or of an environment variable says that its value is a secret. It goes by
    /// words, so that `API_KEY` and `githubToken` are, `KEYBOARD` and `AUTHOR` are not.
    pub fn secret_name(name: &str) -> bool {
        name::is_secret(name)
    }

    /// Sanitises and masks one line of foreign text.
    pub fn text(&self, raw: &str) -> Text {
        let clean = plain(raw);
        if self.is_quiet(&clean) {
            return Text::from_clean(&clean);
        }
        let mut draft = OffsetText { text: clean.into_owned(), ..OffsetText::default() };
        self.apply(&mut draft, &[]);
        Text::from_clean(&draft.text)
    }

    /// Masks a whole line.
    #[must_use]
    pub fn line(&self, line: Line) -> Line {
        if self.is_quiet(line.text()) {
            return line;
        }
        let mut masked = LineBuffer::default();
        self.push(line.as_ref(), &mut masked);
        masked.take_one()
    }

    /// Adds a whole line to `lines`, masked.
    pub(super) fn push(&self, line: LineRef<'_>, lines: &mut LineBuffer) {
        if self.is_quiet(line.text()) {
            return lines.push(line);
        }
        let mut draft = OffsetText { text: line.text().to_owned(), spans: line.spans().collect(), cursor: 0 };
        self.apply(&mut draft, &[]);
        lines.push_parts(&draft.text, draft.spans);
    }

    /// Whether there is certainly nothing to mask in `text`, which may be several whole lines.
    pub(super) fn is_quiet(&self, text: &str) -> bool {
        !self.known.as_ref().is_some_and(|known| known.may_be_in(text)) && !may_have_urls(text)
    }

    /// Whether there is certainly nothing to mask in `text`, which may go on behind its end.
    pub(super) fn is_quiet_so_far(&self, text: &str) -> bool {
        self.is_quiet(text) && self.known.as_ref().is_none_or(|known| known.arriving(text).is_none())
    }

    /// Masks `draft`. At the offsets in `open` the text may go on, so that what stands before them is masked, too, if
    /// it may be the beginning of a secret.
    pub(super) fn apply(&self, draft: &mut OffsetText, open: &[Option<usize>]) {
        let mut found = Vec::new();
        let urls = may_have_urls(&draft.text);
        if urls {
            user_information(&draft.text, &mut found);
        }
        if let Some(known) = &self.known {
            known.find(&draft.text, &mut found);
        }
        for end in open.iter().flatten() {
            let Some(head) = draft.text.get(..*end) else { continue };
            if urls {
                found.extend(open_authority(head).map(|start| start..*end));
            }
            if let Some(known) = &self.known {
                found.extend(known.arriving(head).map(|start| start..*end));
            }
        }
        draft.replace(&merged(found), MASK);
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} secrets)", self.known.as_ref().map_or(0, |known| known.count))
    }
}

impl MaskedValues {
    fn may_be_in(&self, text: &str) -> bool {
        self.finder.as_ref().is_none_or(|finder| finder.quick.is_match(text))
    }

    /// Every place of every form, overlapping ones too: where two secrets share characters neither may show its rest.
    fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        if !self.may_be_in(text) {
            return;
        }
        match &self.finder {
            None => found.push(0..text.len()),
            Some(finder) => found.extend(finder.full.find_overlapping_iter(text).map(|hit| hit.range())),
        }
    }

    /// Where the longest beginning of a form starts that `head` ends with.
    fn arriving(&self, head: &str) -> Option<usize> {
        let from = head.len().saturating_sub(forms::LONGEST);
        (from..head.len()).find(|at| {
            let tail = &head.as_bytes()[*at..];
            if tail.len() < TELLING { &self.values } else { &self.forms }.has(tail)
        })
    }
}

impl Finder {
    fn new(forms: &[String]) -> Option<Self> {
        // No form is shorter than this.
        let mut begins: Vec<&[u8]> =
            forms.iter().map(|form| &form.as_bytes()[..form.len().min(TELLING)]).collect();
        begins.dedup();
        let fast = if begins.len() < 1000 { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        let quick = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .kind(Some(fast))
            .build(begins)
            .ok()?;
        let full = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(forms).ok()?;
        Some(Self { quick, full })
    }
}

impl Beginnings {
    fn has(&self, tail: &[u8]) -> bool {
        if !tail.first().is_some_and(|first| self.first[usize::from(*first)]) {
            return false;
        }
        let next = self.sorted.partition_point(|form| form.as_bytes() < tail);
        self.sorted.get(next).is_some_and(|form| form.as_bytes().starts_with(tail))
    }
}

impl From<Vec<String>> for Beginnings {
    fn from(sorted: Vec<String>) -> Self {
        let mut first = [false; 256];
        for byte in sorted.iter().filter_map(|form| form.as_bytes().first()) {
            first[usize::from(*byte)] = true;
        }
        Self { sorted, first }
    }
}

fn may_have_urls(text: &str) -> bool {
    SCHEME_END.find(text.as_bytes()).is_some()
}

/// Orders ranges and joins those that overlap or touch.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, before| {
        let joined = next.start <= before.end;
        if joined {
            before.end = before.end.max(next.end);
        }
        joined
    });
    ranges
}

/// Finds `user:password` in each `scheme://user:password@host`. A digest behind the `@` is none: `docker-image://a@sha256:…`.
fn user_information(text: &str, found: &mut Vec<Range<usize>>) {
    for (start, authority) in authorities(text) {
        if let Some((user, host)) = authority.rsplit_once('@')
            && !user.is_empty()
            && !host.starts_with("sha256:")
            && !host.starts_with("sha512:")
        {
            found.push(start..start + user.len());
        }
    }
}

/// Where the authority of a URL starts that `head` ends in the middle of: whether it is a host or a password is not
/// known before its end.
fn open_authority(head: &str) -> Option<usize> {
    let (start, authority) = authorities(head).last()?;
    (!authority.is_empty() && start + authority.len() == head.len()).then_some(start)
}

/// What stands between `scheme://` and the end of the authority, and where.
fn authorities(text: &str) -> impl Iterator<Item = (usize, &str)> {
    SCHEME_END.find_iter(text.as_bytes()).filter_map(move |at| {
        let scheme = text.get(..at)?.chars().next_back()?;
        let start = at + "://".len();
        let rest = text.get(start..)?;
        let ends =
            |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '\\' | '"' | '\'' | '`' | '<' | '>');
        let authority = rest.split(ends).next().unwrap_or_default();
        scheme.is_ascii_alphanumeric().then_some((start, authority))
    })
}

#[cfg(test)]
mod tests;
