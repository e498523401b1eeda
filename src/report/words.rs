//! The words, shapes and numbers that every output shares, so that a state looks the same wherever it is shown.

use std::borrow::Cow;
use std::time::Duration;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::event::Level;
pub use crate::event::amount::bytes;
use crate::event::prediction::{PlannedStep, Prediction};
use crate::model::{Counts, Model, Outcome, Source, State, StepId, name, source};

/// What a piece of text means; each output has a look of its own for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Text like any other.
    Plain,
    /// What a line is about.
    Strong,
    /// What may be overlooked.
    Dim,
    /// As it should be: a hit, a success.
    Good,
    /// Work that was done because the cache had nothing.
    Ran,
    /// Work that is being done.
    Busy,
    /// Not as it should be; the build goes on.
    Warn,
    Bad,
}

/// How a state is shown: by shape, word and colour, each of which is enough alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// One column wide.
    pub shape: &'static str,
    /// The shape where only ASCII may be drawn; one column wide too.
    pub ascii: &'static str,
    /// At most [`Sign::WORD_WIDTH`] columns wide.
    pub word: &'static str,
    /// What colours it.
    pub role: Role,
}

impl Sign {
    /// No word is wider than this.
    pub const WORD_WIDTH: usize = 11;

    pub(super) const fn new(
        shape: &'static str,
        ascii: &'static str,
        word: &'static str,
        role: Role,
    ) -> Self {
        Self { shape, ascii, word, role }
    }

    /// The shape, or its stand-in.
    pub fn shape(self, ascii: bool) -> &'static str {
        if ascii { self.ascii } else { self.shape }
    }

    pub fn of_state(state: State) -> Self {
        match state {
            State::Waiting => Self::new("·", ".", "waiting", Role::Dim),
            State::Running => Self::new("◐", "~", "running", Role::Busy),
            State::Hit => Self::new("●", "*", "hit", Role::Good),
            State::Miss => Self::new("○", "o", "ran", Role::Ran),
            State::NotNeeded => Self::new("–", "-", "not needed", Role::Dim),
            State::NotReached => Self::new("□", "_", "not reached", Role::Dim),
            State::Failed => Self::new("✗", "x", "failed", Role::Bad),
            State::Cancelled => Self::new("■", "#", "cancelled", Role::Warn),
        }
    }

    /// Steps that ran because no cache had them, where they are counted.
    pub const REBUILT: Self = Self::new("○", "o", "rebuilt", Role::Ran);

    /// Base images that were pulled, where they are counted.
    pub const PULLED: Self = Self::new("○", "o", "pulled", Role::Ran);

    /// A step's state where its model is not at hand: a `FROM` does not run.
    pub fn of_step_state(state: State, instruction: &str) -> Self {
        let from = name::keyword(instruction).eq_ignore_ascii_case("FROM");
        if from && state == State::Miss { Self::PULLED } else { Self::of_state(state) }
    }

    /// What is said of all steps together: each word with how many, those first that matter most. What there is none of is left
    /// out, but for hits and what was rebuilt; these are dim then.
    pub fn counted(counts: &Counts) -> Vec<(Self, usize)> {
        let of = |state| (Self::of_state(state), counts.of(state));
        let mut all = vec![of(State::Hit), (Self::REBUILT, counts.rebuilt())];
        let others = [
            State::Running,
            State::Failed,
            State::Cancelled,
            State::Waiting,
            State::NotNeeded,
            State::NotReached,
        ];
        let more = [(Self::PULLED, counts.pulled())].into_iter().chain(others.map(of));
        all.extend(more.filter(|(_, n)| *n > 0));
        for (sign, _) in all.iter_mut().filter(|(_, n)| *n == 0) {
            sign.role = Role::Dim;
        }
        all
    }

    /// A step's state, in the words that are its own: a hit says where from, as far as that is known, and a `FROM` does not
    /// run, it is pulled. In a plan, what it would do.
    pub fn of_step(model: &Model, id: StepId) -> Self {
        if let Some(planned) = model.planned(id) {
            return Self::of_planned(model, id, planned);
        }
        let state = model.state(id);
        let sign = Self::of_state(state);
        let from = || model.stack().step(id).is_some_and(|step| step.name.is_from());
        let word = match state {
            State::Hit => source::words(model.source_of(id).as_ref()),
            State::Miss if from() => "pulled",
            _ => sign.word,
        };
        Self { word, ..sign }
    }

    /// What a step would do.
    fn of_planned(model: &Model, id: StepId, planned: &PlannedStep) -> Self {
        let from = model.stack().step(id).is_some_and(|step| step.name.is_from());
        let word = match (planned.predicted, planned.source) {
            (Prediction::Hit, Some(Source::Local)) => "hit local",
            (Prediction::Hit, Some(Source::Registry)) => "hit registry",
            (Prediction::Hit, _) => "hit",
            (Prediction::Miss, _) if from => "pull",
            (Prediction::Miss, _) => "rebuild",
            (Prediction::Unknown, _) => "unknown",
        };
        Self::of_prediction(planned.predicted, word)
    }

    /// A step of a plan that is still being made.
    pub const LOOKING: Self = Self::new("·", ".", "looking", Role::Dim);

    /// A prediction, in these words.
    pub(super) const fn of_prediction(predicted: Prediction, word: &'static str) -> Self {
        match predicted {
            Prediction::Hit => Self::new("●", "*", word, Role::Good),
            Prediction::Miss => Self::new("○", "o", word, Role::Ran),
            Prediction::Unknown => Self::new("?", "?", word, Role::Dim),
        }
    }

    /// How a build ended.
    pub fn of_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Running => Self::new("◐", "~", "running", Role::Busy),
            Outcome::Success => Self::new("●", "*", "built", Role::Good),
            Outcome::Failed => Self::new("✗", "x", "failed", Role::Bad),
            Outcome::Cancelled => Self::new("■", "#", "cancelled", Role::Warn),
            Outcome::Lost => Self::new("?", "?", "lost", Role::Bad),
        }
    }

    pub fn of_level(level: Level) -> Self {
        match level {
            Level::Info => Self::new("·", ".", "note", Role::Dim),
            Level::Warn => Self::new("!", "!", "warning", Role::Warn),
            Level::Error => Self::new("✗", "x", "error", Role::Bad),
        }
    }
}

/// What stands beside the names of platforms for steps of which nothing tells the platform.
pub const NO_PLATFORM: &str = "no platform";

/// No duration is written wider than this.
pub const DURATION_WIDTH: usize = 8;

/// `0.4 s`, `12.3 s`, `1:42`, `1:02:03`, `120 h`. What has not passed yet is not shown: nothing is rounded up.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        60..3600 => format!("{minutes}:{:02}", seconds % 60),
        3600..360_000 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{} h", hours.min(999_999)),
    }
}

/// `5 s`, `1.5 s`, `1:30`, `1:05.25`: a time on an axis whose marks are so far apart, with as many digits as tell it from its
/// neighbours. Times that differ are written differently.
pub fn mark(time: Duration, apart: Duration) -> String {
    let (step, micros) = (apart.as_micros().max(1), time.as_micros());
    let written = |unit: u128| {
        let exact = |digits: &u32| (step * 10_u128.pow(*digits)).is_multiple_of(unit);
        let digits = (0..6).find(exact).unwrap_or(6);
        let rest = micros % unit * 10_u128.pow(digits) / unit;
        let tail =
            if digits == 0 { String::new() } else { format!(".{rest:0width$}", width = digits as usize) };
        (micros / unit, tail)
    };
    if step < 1_000 {
        let (millis, tail) = written(1_000);
        return format!("{millis}{tail} ms");
    }
    match written(1_000_000) {
        (seconds @ 0..60, tail) => format!("{seconds}{tail} s"),
        (_, tail) => format!("{}{tail}", duration(Duration::from_secs(time.as_secs()))),
    }
}

/// `now`, `5 s`, `2 min`, `3 h`, `4 d`: how long ago something was, roughly.
pub fn age(age: Duration) -> String {
    match age.as_secs() {
        0 => "now".to_owned(),
        seconds @ 1..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// No size is written wider than this.
pub const BYTES_WIDTH: usize = 6;

/// `36 %`; `< 1 %` and `> 99 %` of what is not none or all of it. None where there is nothing to have a share of.
pub fn percent(part: usize, whole: usize) -> Option<String> {
    let rounded = (part * 100 + whole / 2).checked_div(whole)?;
    Some(match rounded {
        0 if part > 0 => "< 1 %".to_owned(),
        100.. if part < whole => "> 99 %".to_owned(),
        rounded => format!("{rounded} %"),
    })
}

/// `7.5×`, `30×`: how many times as fast, or as slow.
pub fn times(factor: f64, ascii: bool) -> String {
    let cross = if ascii { "x" } else { "×" };
    // What would be rounded to 10.0 has no tenths either.
    if factor < 9.95 { format!("{factor:.1}{cross}") } else { format!("{factor:.0}{cross}") }
}

/// `1 warning`, `2 warnings`.
pub fn count(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// `16 CPUs`, `3.9 CPUs`, of thousandths: a part of one is not rounded away.
pub fn cpus(thousandths: u64) -> String {
    match (thousandths / 1000, thousandths % 1000) {
        (whole, 0) => count(usize::try_from(whole).unwrap_or(usize::MAX), "CPU"),
        (_, _) => format!("{:.1} CPUs", (thousandths / 100).max(1) as f64 / 10.0),
    }
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// What stands where something was left out.
pub const fn ellipsis(ascii: bool) -> &'static str {
    if ascii { "..." } else { "…" }
}

/// As much of the text as fits into `columns`.
pub fn head(text: &str, columns: usize) -> &str {
    // Of printable ASCII every byte is a column; the one behind the cut has to be some too, for a mark would belong to what
    // stands before it.
    let begin = text.as_bytes().get(..=columns).unwrap_or(text.as_bytes());
    if begin.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return text.get(..columns).unwrap_or(text);
    }
    let mut left = columns;
    for (at, grapheme) in text.grapheme_indices(true) {
        match left.checked_sub(width(grapheme)) {
            Some(rest) => left = rest,
            None => return text.get(..at).unwrap_or_default(),
        }
    }
    text
}

/// As much of the text as fits into `columns`, with `…` where something was left out.
pub fn truncate(text: &str, columns: usize) -> String {
    cut_to(text, columns, false)
}

/// As [`truncate`], with ASCII's three dots where `ascii` is set.
pub fn cut_to(text: &str, columns: usize, ascii: bool) -> String {
    if head(text, columns).len() == text.len() {
        return text.to_owned();
    }
    let mark = ellipsis(ascii);
    let kept = head(text, columns.saturating_sub(width(mark))).trim_end();
    head(&format!("{kept}{mark}"), columns).to_owned()
}

/// As [`cut_to`], but cut between two of its fields where it has several: half a time is another time.
pub fn cut_fields(text: &str, columns: usize, ascii: bool) -> String {
    const BETWEEN: [&str; 4] = [" · ", "; ", ", ", " ("];
    if head(text, columns).len() == text.len() {
        return text.to_owned();
    }
    let mark = ellipsis(ascii);
    let room = columns.saturating_sub(1 + width(mark));
    let ends = BETWEEN.iter().flat_map(|between| text.match_indices(between));
    let kept = ends
        .filter_map(|(at, _)| text.get(..at))
        .filter(|kept| width(kept) <= room)
        .max_by_key(|kept| kept.len());
    kept.map_or_else(|| cut_to(text, columns, ascii), |kept| format!("{kept} {mark}"))
}

/// As [`cut_to`], but what is left out is the middle: of an error, the cause stands at the end.
pub fn squeeze(text: &str, columns: usize, ascii: bool) -> String {
    let mark = ellipsis(ascii);
    let all = width(text);
    let Some(room) = columns.checked_sub(width(mark)).filter(|_| all > columns) else {
        return cut_to(text, columns, ascii);
    };
    let begin = head(text, room / 2);
    let mut left = room - width(begin);
    let fits = |(_, grapheme): &(usize, &str)| {
        left.checked_sub(width(grapheme)).inspect(|rest| left = *rest).is_some()
    };
    let end = text.grapheme_indices(true).rev().take_while(fits).last().map_or(text.len(), |(at, _)| at);
    format!("{begin}{mark}{}", text.get(end..).unwrap_or_default())
}

/// An instruction as it is shown: digests in it are cut to what tells them apart.
pub fn instruction(text: &str) -> Cow<'_, str> {
    const MARK: &str = "@sha256:";
    const KEPT: usize = 12;
    let Some((head, tail)) = text.split_once(MARK) else { return Cow::Borrowed(text) };
    let digits = tail.bytes().take_while(u8::is_ascii_hexdigit).count();
    if digits != 64 {
        return Cow::Borrowed(text);
    }
    let (digest, rest) = tail.split_at(digits);
    Cow::Owned(format!("{head}{MARK}{}{}", &digest[..KEPT], instruction(rest)))
}

/// The text, with spaces behind it up to `columns`.
pub fn pad_right(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The text, with spaces before it up to `columns`.
pub fn pad_left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cpus_are_not_rounded_away() {
        assert_eq!(
            [1000, 16_000, 3_900, 15_890, 50].map(cpus),
            ["1 CPU", "16 CPUs", "3.9 CPUs", "15.8 CPUs", "0.1 CPUs"]
        );
    }

    #[test]
    fn durations() {
        for (millis, expected) in [
            (0, "0.0 s"),
            (40, "0.0 s"),
            (499, "0.4 s"),
            (12_399, "12.3 s"),
            (59_999, "59.9 s"),
            (60_000, "1:00"),
            (102_000, "1:42"),
            (3_599_999, "59:59"),
            (3_723_000, "1:02:03"),
            (359_999_999, "99:59:59"),
            (360_000_000, "100 h"),
            (u64::MAX, "999999 h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn ages() {
        for (seconds, expected) in
            [(0, "now"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (172_799, "47 h"), (172_800, "2 d")]
        {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn sizes() {
        for (n, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_249_999, "1.2 MB"),
            (1_250_000, "1.3 MB"),
            (9_949_999, "9.9 MB"),
            (9_950_000, "10 MB"),
            (195_400_000, "195 MB"),
            (999_499_999, "999 MB"),
            (999_500_000, "1.0 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(bytes(n), expected);
        }
    }

    #[test]
    fn truncation_counts_columns_and_keeps_graphemes_whole() {
        for (text, columns, expected) in [
            ("RUN make", 8, "RUN make"),
            ("RUN make", 7, "RUN ma…"),
            ("RUN make", 5, "RUN…"),
            ("RUN make", 1, "…"),
            ("RUN make", 0, ""),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("👩‍👩‍👧x👩‍👩‍👧", 4, "👩‍👩‍👧x…"),
        ] {
            assert_eq!(truncate(text, columns), expected, "{text:?} in {columns}");
        }
        assert_eq!(cut_to("RUN make", 7, true), "RUN...");
        assert_eq!(cut_to("RUN make", 2, true), "..");
        assert_eq!(pad_left("日", 4), "  日");
        assert_eq!(pad_right("日", 4), "日  ");
        assert_eq!(pad_right("long", 2), "long");
    }

    #[test]
    fn fields_are_left_out_whole() {
        let text = "pip amd64 1:23, arm64 1:20 · pulling 24 MB of 1.2 GB";
        for (columns, expected) in [
            (60, text),
            (51, "pip amd64 1:23, arm64 1:20 …"),
            (27, "pip amd64 1:23 …"),
            (16, "pip amd64 1:23 …"),
            (8, "pip amd…"),
        ] {
            assert_eq!(cut_fields(text, columns, false), expected);
        }
        assert_eq!(cut_fields("failed after 1:02:03 (exit code 1)", 30, true), "failed after 1:02:03 ...");
    }

    #[test]
    fn squeezed_text_keeps_both_ends() {
        assert_eq!(squeeze("abcdefghij", 10, false), "abcdefghij");
        assert_eq!(squeeze("abcdefghij", 6, false), "ab…hij");
        assert_eq!(squeeze("日本語日本語", 6, false), "日…語");
        assert_eq!(squeeze("abcdefghij", 7, true), "ab...ij");
        assert_eq!((squeeze("abc", 1, false), squeeze("abc", 0, false)), ("…".into(), String::new()));
    }

    #[test]
    fn digests_are_cut() {
        let digest = "9855648725d71dd6b9109a1b2c3d4e5f60718293a4b5c6d7e8f9012345678901";
        let text = format!("FROM a:b@sha256:{digest} AS x");
        assert_eq!(instruction(&text), "FROM a:b@sha256:9855648725d7 AS x");
        assert_eq!(instruction("FROM a@sha256:98"), "FROM a@sha256:98");
    }

    #[test]
    fn shares() {
        assert_eq!(percent(8, 22).as_deref(), Some("36 %"));
        assert_eq!(percent(0, 0), None);
        let shares = [(0, 9), (1, 1000), (7, 1000), (994, 1000), (999, 1000), (9, 9)];
        let told = shares.map(|(part, whole)| percent(part, whole).unwrap());
        assert_eq!(told, ["0 %", "< 1 %", "1 %", "99 %", "> 99 %", "100 %"]);
        assert_eq!((count(1, "warning"), count(0, "warning")), ("1 warning".into(), "0 warnings".into()));
    }

    const OUTCOMES: [Outcome; 5] =
        [Outcome::Running, Outcome::Success, Outcome::Failed, Outcome::Cancelled, Outcome::Lost];

    #[test]
    fn every_sign_tells_by_shape_alone_and_by_word_alone() {
        let signs = State::ALL.map(Sign::of_state);
        for (i, sign) in signs.iter().enumerate() {
            assert_eq!((width(sign.shape), width(sign.ascii)), (1, 1), "{sign:?}");
            assert!(sign.ascii.is_ascii() && sign.word.is_ascii(), "{sign:?}");
            assert!(width(sign.word) <= Sign::WORD_WIDTH, "{sign:?}");
            for other in &signs[..i] {
                assert!(
                    sign.shape != other.shape && sign.ascii != other.ascii && sign.word != other.word,
                    "{sign:?} {other:?}"
                );
            }
        }
        for outcome in OUTCOMES {
            let sign = Sign::of_outcome(outcome);
            assert_eq!((width(sign.shape), width(sign.ascii)), (1, 1), "{sign:?}");
        }
    }

    #[test]
    fn marks_have_the_digits_that_tell_them_apart() {
        for (micros, apart, expected) in [
            (0, 500_000, "0.0 s"),
            (1_500_000, 500_000, "1.5 s"),
            (5_000_000, 5_000_000, "5 s"),
            (450_000, 150_000, "0.45 s"),
            (3_000, 1_500, "0.0030 s"),
            (150, 150, "0.15 ms"),
            (65_250_000, 250_000, "1:05.25"),
            (90_000_000, 30_000_000, "1:30"),
            (3_723_500_000, 500_000, "1:02:03.5"),
        ] {
            assert_eq!(mark(Duration::from_micros(micros), Duration::from_micros(apart)), expected);
        }
    }

    proptest! {
        /// Of builds of up to 100 hours: longer ones are told in hours.
        #[test]
        fn no_two_marks_are_written_alike(at in 0u64..3_999, apart in 1u64..90_000_000) {
            let time = |n: u64| Duration::from_micros(apart * (at + n));
            let apart = Duration::from_micros(apart);
            prop_assert_ne!(mark(time(0), apart), mark(time(1), apart));
        }

        #[test]
        fn truncated_text_fits_and_begins_as_it_did(text in "\\PC{0,30}", columns in 0usize..40) {
            let cut = truncate(&text, columns);
            prop_assert!(width(&cut) <= columns);
            let head = cut.strip_suffix('…').unwrap_or(&cut);
            prop_assert!(text.starts_with(head) || columns == 0);
            prop_assert!(width(&squeeze(&text, columns, false)) <= columns);
            prop_assert!(width(&cut_fields(&text, columns, false)) <= columns);
        }

        #[test]
        fn numbers_keep_their_width(n: u64) {
            prop_assert!(width(&bytes(n)) <= BYTES_WIDTH);
            prop_assert!(width(&duration(Duration::from_micros(n))) <= DURATION_WIDTH);
        }
    }
}
