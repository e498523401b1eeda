//! Splitting an instruction into keyword, flags and words, after `BuildKit`'s `parser/split_command.go` and
//! `parser/line_parsers.go`.

/// A flag of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagWord {
    /// Without the dashes: `from`.
    pub name: String,
    /// What follows `=`; none for a flag like `--link`.
    pub value: Option<String>,
}

/// White space between words. A vertical tab is one, a no-break space is none.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// The words between white space.
pub(super) fn spaced(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// The first word and what follows it.
pub(super) fn keyword(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once(is_space).map_or((line, ""), |(word, rest)| (word, rest.trim_start_matches(is_space)))
}

/// Takes the flags off the front; what remains are the arguments.
pub(super) fn flags(rest: &str, escape: char) -> (Vec<FlagWord>, &str) {
    let mut flags = Vec::new();
    let mut rest = rest.trim();
    while rest.starts_with("--") {
        let (word, after) = flag_word(rest, escape);
        rest = after.trim_start();
        let Some(word) = word.strip_prefix("--").filter(|word| !word.is_empty()) else { break };
        let (name, value) =
            word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
        flags.push(FlagWord { name: name.to_owned(), value });
    }
    (flags, rest)
}

/// One word without its quotes and escapes, and what follows it.
fn flag_word(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == escape {
            word.extend(chars.next().map(|(_, escaped)| escaped));
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_some() {
            word.push(c);
        } else if c == '\'' || c == '"' {
            quote = Some(c);
        } else if c.is_whitespace() {
            return (word, &text[at..]);
        } else {
            word.push(c);
        }
    }
    (word, "")
}

/// The words of an `ARG`, `ENV` or `LABEL`, with their quotes and escapes.
pub(super) fn quoted(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        if c == escape && quote != Some('\'') {
            // At the end of the line it escapes nothing and is dropped.
            if let Some(escaped) = chars.next() {
                word.extend([c, escaped]);
            }
            continue;
        }
        if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '\'' | '"') {
            quote = Some(c);
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The names and values of an `ENV`, in both of its forms: `A=1 B=2` and `A 1 2`.
pub(super) fn pairs(rest: &str, escape: char) -> Vec<(String, String)> {
    let words = quoted(rest, escape);
    if words.first().is_some_and(|first| !first.contains('=')) {
        let (name, value) = keyword(rest);
        return vec![(name.to_owned(), value.to_owned())];
    }
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A JSON array of strings; none where the text is anything else.
pub(super) fn exec_form(arguments: &str) -> Option<Vec<String>> {
    let arguments = arguments.trim_start();
    if arguments.starts_with('[') { serde_json::from_str(arguments).ok() } else { None }
}
