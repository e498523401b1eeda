//! Names that say that a value is a secret.

/// Words that say it alone.
const WORDS: [&str; 28] = [
    "accesskey",
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "cred",
    "credential",
    "credentials",
    "creds",
    "encryptionkey",
    "jwt",
    "key",
    "keys",
    "oauth",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "privatekey",
    "pw",
    "pwd",
    "secret",
    "secretkey",
    "secrets",
    "signingkey",
    "token",
    "tokens",
];

/// Ends of words that are run together: `npmtoken`, `dbpassword`. No other word ends so.
const ENDS: [&str; 9] = [
    "accesskey",
    "apikey",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "token",
];

/// Whether a word of `name` says so.
pub(super) fn is_secret(name: &str) -> bool {
    words(name)
        .iter()
        .any(|word| WORDS.contains(&word.as_str()) || ENDS.iter().any(|end| word.ends_with(end)))
}

/// Splits a name where a terminal's user would: at what is no letter, and where `camelCase` or `HTTPServer` has a new word.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|before| chars.get(before));
        let behind = chars.get(i + 1);
        let starts = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase() || (b.is_uppercase() && behind.is_some_and(|n| n.is_lowercase()))
            });
        if !c.is_alphabetic() || starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphabetic()) {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "API_KEY",
            "NPM_TOKEN",
            "githubToken",
            "AUTH",
            "PASSWORD",
            "db.password",
            "DB_PASSWD",
            "PGPASSWORD",
            "pwd",
            "AWS_SECRET_ACCESS_KEY",
            "APIKey",
            "apikey",
            "APIKEY",
            "OpenAIKey",
            "npmtoken",
            "TOKEN2",
            "S3KEY",
            "HTTPAuth",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "DOCKER_AUTH_CONFIG",
            "SSH-KEY",
            "NPM_CONFIG__AUTH",
            "sshKeys",
            "MYSQL_PWD",
            "clientSecret",
            "CLIENTSECRET",
            "PrivateKeyFile",
            "GPG_PASSPHRASE",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "",
            "_",
            "KEYBOARD",
            "AUTHOR",
            "AUTHORS",
            "MONKEY",
            "TURKEY",
            "COMPASS",
            "BYPASS_CACHE",
            "PASSENGER_VERSION",
            "SECRETARY",
            "TOKENIZERS_PARALLELISM",
            "keyboardLayout",
            "VERSION",
            "BUILDKIT_INLINE_CACHE",
            "NODE_ENV",
            "PATH",
            "Authored",
            "HTTP_PROXY",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
