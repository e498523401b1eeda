//! Names that say that their value is not for everybody.

/// Whether a build argument's name looks secret: one of its words is (`NPM_TOKEN`, `dbPassword`), or it ends with one
/// that is often written without a break (`GITHUBTOKEN`, `APIKEY`).
pub(crate) fn looks_secret(name: &str) -> bool {
    const WORDS: [&str; 13] = [
        "token",
        "tokens",
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "secrets",
        "key",
        "credential",
        "credentials",
        "auth",
        "apikey",
    ];
    const ENDS: [&str; 5] = ["token", "password", "passwd", "secret", "apikey"];
    let mut words: Vec<String> = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (after_lower && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
        after_lower = c.is_ascii_lowercase();
    }
    words.iter().any(|word| WORDS.contains(&word.as_str()) || ENDS.iter().any(|end| word.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_not_letters() {
        for name in [
            "TOKEN",
            "NPM_TOKEN",
            "db-password",
            "dbPassword",
            "API_KEY",
            "GITHUBTOKEN",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in ["BUILDKIT_INLINE_CACHE", "AUTHOR", "MONKEY", "KEYBOARD", "REGISTRY", "NODE_MAJOR", ""] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
