//! Words as a shell reads them, for commands that are shown.

use super::sanitize::deceives;

/// A word for a shell. Control and invisible characters are written out, so that none reaches a terminal.
pub fn quote(word: &str) -> String {
    if word.chars().any(deceives) {
        let inner: String = word.chars().map(escape).collect();
        return format!("$'{inner}'");
    }
    // shlex quotes more than any shell asks for; what people type without quotes should read that way.
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(plain) {
        return word.to_owned();
    }
    shlex::try_quote(word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}

/// A character inside `$'…'` of bash, zsh and POSIX 2024.
fn escape(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\'' | '\\' => format!("\\{c}"),
        c if deceives(c) => {
            c.to_string().bytes().fold(String::new(), |out, byte| out + &format!("\\{byte:03o}"))
        }
        c => c.to_string(),
    }
}
