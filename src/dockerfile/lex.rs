//! Variables and quotes in a line of a Dockerfile, after `BuildKit`'s `frontend/dockerfile/shell/lex.go`.

use regex::Regex;

/// What a variable is worth; none where it is unset.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Nesting of `${a:-${b:-…}}` that is still followed; what lies deeper is left as it stands.
const DEEPEST: usize = 32;

/// Substitutes as `BuildKit` does in `FROM`, `COPY`, `ADD`, `WORKDIR`, `ENV` and `ARG`: quotes and escapes go, an unset
/// variable is empty. A word that it could not read (an open quote, `${`) comes back as it is.
pub fn expand(word: &str, escape: char, lookup: Lookup<'_>) -> String {
    let lex = Lexer::new(word, LexOptions { escape, ..LexOptions::default() }, lookup);
    lex.run().map_or_else(|LexError| word.to_owned(), |(text, _)| text)
}

/// Substitutes as `BuildKit` does for the name of a `RUN`: quotes stay, and so does an unset variable.
pub fn expand_run(text: &str, escape: char, lookup: Lookup<'_>) -> String {
    let options = LexOptions { escape, keep_quotes: true, keep_unset: true, ..LexOptions::default() };
    Lexer::new(text, options, lookup).run().map_or_else(|LexError| text.to_owned(), |(text, _)| text)
}

/// Splits a line into words as a heredoc is looked for: quotes and escapes stay, nothing is substituted, and white
/// space after `<<` does not split. No words where the line can't be read.
pub(super) fn raw_words(line: &str) -> Vec<String> {
    let options =
        LexOptions { keep_quotes: true, keep_escapes: true, keep_unset: true, ..LexOptions::default() };
    Lexer::new(line, options, &|_| None).run().map(|(_, words)| words).unwrap_or_default()
}

/// The words of a heredoc's name, with quotes or without; none where it can't be read.
pub(super) fn name_words(text: &str, keep_quotes: bool) -> Option<Vec<String>> {
    let options = LexOptions { keep_quotes, keep_unset: true, ..LexOptions::default() };
    Lexer::new(text, options, &|_| None).run().map(|(_, words)| words).ok()
}

#[derive(Clone, Copy)]
struct LexOptions {
    escape: char,
    keep_quotes: bool,
    keep_escapes: bool,
    keep_unset: bool,
}

impl Default for LexOptions {
    fn default() -> Self {
        Self { escape: '\\', keep_quotes: false, keep_escapes: false, keep_unset: false }
    }
}

/// How much longer a text may become by substitution, in bytes: doubling a variable over and over must not fill the memory.
const GROWTH: usize = 4096;

/// The text is not a valid expansion: `BuildKit` leaves it unchanged.
struct LexError;

type LexResult<T> = Result<T, LexError>;

#[derive(Default)]
struct WordSplitter {
    done: Vec<String>,
    open: String,
}

impl WordSplitter {
    fn push(&mut self, c: char) {
        if !c.is_whitespace() {
            self.open.push(c);
        } else if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.done.push(self.open);
        }
        self.done
    }
}

struct Lexer<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    options: LexOptions,
    lookup: Lookup<'a>,
    depth: usize,
    longest: usize,
}

impl<'a> Lexer<'a> {
    fn new(source: &'a str, options: LexOptions, lookup: Lookup<'a>) -> Self {
        Self { chars: source.chars().peekable(), options, lookup, depth: 0, longest: source.len() + GROWTH }
    }

    fn run(mut self) -> LexResult<(String, Vec<String>)> {
        self.until(None)
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    /// Reads up to `stop`, or to the end where there is none.
    fn until(&mut self, stop: Option<char>) -> LexResult<(String, Vec<String>)> {
        let mut text = String::new();
        let mut words = WordSplitter::default();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.chars.next();
                return Ok((text, words.finish()));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.push(c));
                    text.push_str(&value);
                }
                '\'' | '"' | '<' => {
                    let part = match c {
                        '\'' => self.single_quoted()?,
                        '"' => self.double_quoted()?,
                        _ => self.angle(),
                    };
                    words.open.push_str(&part);
                    text.push_str(&part);
                }
                _ => self.plain(&mut text, &mut words),
            }
            if text.len() > self.longest {
                return Err(LexError);
            }
        }
        if stop.is_some() { Err(LexError) } else { Ok((text, words.finish())) }
    }

    fn plain(&mut self, text: &mut String, words: &mut WordSplitter) {
        let Some(c) = self.chars.next() else { return };
        if c != self.options.escape {
            words.push(c);
            text.push(c);
            return;
        }
        if self.options.keep_escapes {
            words.open.push(c);
            text.push(c);
        }
        if let Some(escaped) = self.chars.next() {
            words.open.push(escaped);
            text.push(escaped);
        }
    }

    /// `<<` with the white space that may stand before the word that ends a heredoc.
    fn angle(&mut self) -> String {
        self.chars.next();
        if self.peek() != Some('<') {
            return "<".to_owned();
        }
        self.chars.next();
        let mut text = "<<".to_owned();
        while let Some(space) = self.chars.next_if(|c| matches!(c, ' ' | '\t' | '\r')) {
            text.push(space);
        }
        text
    }

    fn single_quoted(&mut self) -> LexResult<String> {
        let mut text = String::new();
        self.quote(&mut text);
        loop {
            match self.peek() {
                None => return Err(LexError),
                Some('\'') => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                Some(c) => {
                    self.chars.next();
                    text.push(c);
                }
            }
        }
    }

    fn double_quoted(&mut self) -> LexResult<String> {
        let mut text = String::new();
        self.quote(&mut text);
        loop {
            match self.peek() {
                None => return Err(LexError),
                Some('"') => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(c) if c == self.options.escape => {
                    self.chars.next();
                    if self.options.keep_escapes {
                        text.push(c);
                    }
                    // Only these can be escaped here; before anything else the escape character is itself.
                    match self.peek() {
                        Some(next) if next == '"' || next == '$' || next == c => {
                            self.chars.next();
                            text.push(next);
                        }
                        Some(_) => text.push(c),
                        None => {}
                    }
                }
                Some(c) => {
                    self.chars.next();
                    text.push(c);
                }
            }
        }
    }

    fn quote(&mut self, text: &mut String) {
        if let Some(quote) = self.chars.next()
            && self.options.keep_quotes
        {
            text.push(quote);
        }
    }

    fn dollar(&mut self) -> LexResult<String> {
        self.chars.next();
        if self.peek() == Some('{') {
            self.chars.next();
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(LexError);
            }
            let value = self.braced()?;
            self.depth -= 1;
            return Ok(value);
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok(match (self.lookup)(&name) {
            Some(value) => value,
            None if self.options.keep_unset => format!("${name}"),
            None => String::new(),
        })
    }

    /// What stands after `${`.
    fn braced(&mut self) -> LexResult<String> {
        if matches!(self.peek(), None | Some('{' | '}' | ':')) {
            return Err(LexError);
        }
        let name = self.name();
        let value = (self.lookup)(&name);
        let keep = self.options.keep_unset && value.is_none();
        match self.chars.next().ok_or(LexError)? {
            '}' if keep => Ok(format!("${{{name}}}")),
            '}' => Ok(value.unwrap_or_default()),
            ':' => {
                let modifier = self.chars.next().ok_or(LexError)?;
                let word = self.modified(&['+', '-', '?'], modifier)?;
                if keep {
                    return Ok(format!("${{{name}:{modifier}{word}}}"));
                }
                conditional(modifier, word, value.filter(|value| !value.is_empty()))
            }
            modifier @ ('+' | '-' | '?' | '#' | '%') => {
                let word = self.modified(&['+', '-', '?', '#', '%'], modifier)?;
                if keep {
                    return Ok(format!("${{{name}{modifier}{word}}}"));
                }
                match modifier {
                    '#' => trim_prefix(&word, &value.unwrap_or_default()),
                    '%' => trim_suffix(&word, &value.unwrap_or_default()),
                    _ => conditional(modifier, word, value),
                }
            }
            '/' => self.replaced(&name, value, keep),
            _ => Err(LexError),
        }
    }

    /// The word after a modifier. A pattern keeps its escapes.
    fn modified(&mut self, allowed: &[char], modifier: char) -> LexResult<String> {
        if !allowed.contains(&modifier) {
            return Err(LexError);
        }
        self.nested('}', matches!(modifier, '#' | '%'))
    }

    /// Substitutes `${name/pattern/replacement}` and `${name//pattern/replacement}`.
    fn replaced(&mut self, name: &str, value: Option<String>, keep: bool) -> LexResult<String> {
        let all = self.chars.next_if_eq(&'/').is_some();
        let pattern = self.nested('/', true)?;
        let replacement = self.nested('}', true)?;
        if keep {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        }
        let regex = shell_pattern(&pattern, true, false)?;
        let value = value.unwrap_or_default();
        let replacement = regex::NoExpand(&replacement);
        let replaced =
            if all { regex.replace_all(&value, replacement) } else { regex.replace(&value, replacement) };
        Ok(replaced.into_owned())
    }

    fn nested(&mut self, stop: char, keep_escapes: bool) -> LexResult<String> {
        let before = std::mem::replace(&mut self.options.keep_escapes, keep_escapes);
        let read = self.until(Some(stop));
        self.options.keep_escapes = before;
        read.map(|(text, _)| text)
    }

    /// A variable's name: letters, digits and `_`, or digits alone, or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                while let Some(c) = self.chars.next_if(char::is_ascii_digit) {
                    name.push(c);
                }
            }
            Some(c @ ('@' | '*' | '#' | '?' | '-' | '$' | '!')) => {
                self.chars.next();
                name.push(c);
            }
            _ => {
                while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
            }
        }
        name
    }
}

/// `-`, `+` and `?` on a value that is none where it counts as unset.
fn conditional(modifier: char, word: String, value: Option<String>) -> LexResult<String> {
    match (modifier, value) {
        ('-', value) => Ok(value.unwrap_or(word)),
        ('+', value) => Ok(value.map_or_else(String::new, |_| word)),
        (_, Some(value)) => Ok(value),
        (_, None) => Err(LexError),
    }
}

/// A shell pattern (`*`, `?`, no brackets) as a regular expression.
fn shell_pattern(pattern: &str, greedy: bool, anchored: bool) -> LexResult<Regex> {
    let mut out = String::from(if anchored { "^" } else { "" });
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(if greedy { ".*" } else { ".*?" }),
            '?' => out.push('.'),
            '\\' if matches!(chars.peek(), Some('}' | '/')) => {}
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '?' | '\\')) => out.push_str(&regex::escape(&escaped.to_string())),
                _ => return Err(LexError),
            },
            _ => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    Regex::new(&out).map_err(|_| LexError)
}

/// `#` takes the shortest match off the front, `##` the longest.
fn trim_prefix(pattern: &str, value: &str) -> LexResult<String> {
    let (pattern, greedy) = pattern.strip_prefix('#').map_or((pattern, false), |rest| (rest, true));
    let regex = shell_pattern(pattern, greedy, true)?;
    Ok(regex.find(value).map_or(value, |found| &value[found.end()..]).to_owned())
}

/// `%` takes the shortest match off the end, `%%` the longest. A regular expression finds the leftmost match, so the
/// longest suffix that matches is asked for from the left, the shortest from the right.
fn trim_suffix(pattern: &str, value: &str) -> LexResult<String> {
    let (pattern, greedy) = pattern.strip_prefix('%').map_or((pattern, false), |rest| (rest, true));
    let regex = Regex::new(&format!("{}$", shell_pattern(pattern, true, true)?)).map_err(|_| LexError)?;
    let matches = |(at, _): &(usize, char)| regex.is_match(&value[*at..]);
    let mut starts = value.char_indices();
    let start = if greedy { starts.find(matches) } else { starts.rfind(matches) };
    Ok(start.map_or(value, |(at, _)| &value[..at]).to_owned())
}

#[cfg(test)]
mod tests;
