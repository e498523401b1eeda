//! The command line of `docker buildx build`, taken apart the way buildx (pflag) takes it apart.

/// Options that take a value. From `commands/build.go` of buildx 0.36, those that it hides included.
const WITH_VALUE: [&str; 46] = [
    "add-host",
    "allow",
    "annotation",
    "attest",
    "build-arg",
    "build-context",
    "builder",
    "cache-from",
    "cache-to",
    "call",
    "cgroup-parent",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpuset-cpus",
    "cpuset-mems",
    "file",
    "iidfile",
    "invoke",
    "isolation",
    "label",
    "memory",
    "memory-swap",
    "metadata-file",
    "network",
    "no-cache-filter",
    "on",
    "output",
    "platform",
    "policy",
    "print",
    "progress",
    "provenance",
    "resource",
    "root",
    "sbom",
    "secret",
    "security-opt",
    "server-config",
    "shm-size",
    "ssh",
    "tag",
    "target",
    "timeout",
    "ulimit",
    "volume",
];

/// Options that stand alone, or have their value behind a `=`.
const WITHOUT_VALUE: [&str; 13] = [
    "check", "compress", "debug", "detach", "force-rm", "help", "load", "no-cache", "pull", "push", "quiet",
    "rm", "squash",
];

/// The letters that stand for options.
const LETTERS: [(char, &str); 8] = [
    ('c', "cpu-shares"),
    ('D', "debug"),
    ('f', "file"),
    ('h', "help"),
    ('m', "memory"),
    ('o', "output"),
    ('q', "quiet"),
    ('t', "tag"),
];

/// An option or a positional argument of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum BuildxArg {
    /// An option: its long name, its value, and the words that it was written with.
    Option { name: String, value: Option<String>, words: Vec<String> },
    /// What is no option: the build context.
    Positional(String),
}

/// Takes a command line apart. An option that is not known here takes the word behind it as its value, unless that is
/// an option too, since most of buildx's do; `--name=value` leaves no doubt.
pub(in crate::source) fn parse(words: &[String]) -> Vec<BuildxArg> {
    let mut items = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            items.extend(rest.by_ref().cloned().map(BuildxArg::Positional));
        } else if let Some(long) = word.strip_prefix("--") {
            items.push(long_option(word, long, &mut rest));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            short_options(letters, &mut rest, &mut items);
        } else {
            items.push(BuildxArg::Positional(word.clone()));
        }
    }
    items
}

fn long_option(word: &str, long: &str, rest: &mut std::slice::Iter<'_, String>) -> BuildxArg {
    if let Some((name, value)) = long.split_once('=') {
        return BuildxArg::Option {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            words: vec![word.to_owned()],
        };
    }
    let known = WITH_VALUE.contains(&long);
    let next_is_value = rest.as_slice().first().is_some_and(|next| !next.starts_with('-') || next == "-");
    let takes = known || (!WITHOUT_VALUE.contains(&long) && next_is_value);
    let value = if takes { rest.next().cloned() } else { None };
    let words = std::iter::once(word.to_owned()).chain(value.clone()).collect();
    BuildxArg::Option { name: long.to_owned(), value, words }
}

/// `-q`, `-f FILE`, `-fFILE`, `-f=FILE`, `-qf FILE`.
fn short_options(letters: &str, rest: &mut std::slice::Iter<'_, String>, items: &mut Vec<BuildxArg>) {
    let mut left = letters.chars();
    while let Some(letter) = left.next() {
        let name = LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, name)| *name);
        let own = format!("-{letter}");
        match name {
            Some(name) if WITH_VALUE.contains(&name) => {
                let attached = left.as_str();
                let value = if attached.is_empty() {
                    rest.next().cloned()
                } else {
                    Some(attached.strip_prefix('=').unwrap_or(attached).to_owned())
                };
                let words = std::iter::once(own).chain(value.clone()).collect();
                items.push(BuildxArg::Option { name: name.to_owned(), value, words });
                return;
            }
            Some(name) => {
                items.push(BuildxArg::Option { name: name.to_owned(), value: None, words: vec![own] });
            }
            None => {
                // buildx will complain about it; what stands behind it is left as it was written.
                let words = vec![format!("-{letter}{}", left.as_str())];
                items.push(BuildxArg::Option { name: own, value: None, words });
                return;
            }
        }
    }
}

/// The fields of a comma-separated value, where a field in quotes may have commas in it.
pub(super) fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut fields, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => push(&mut fields, c),
        }
    }
    fields
}

fn push(fields: &mut [String], c: char) {
    if let Some(last) = fields.last_mut() {
        last.push(c);
    }
}

/// The value of a key in a comma-separated list of `key=value`.
pub(super) fn field(text: &str, key: &str) -> Option<String> {
    fields(text).iter().find_map(|field| {
        let (name, value) = field.split_once('=')?;
        name.trim().eq_ignore_ascii_case(key).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let show = |item| match item {
            BuildxArg::Option { name, value: Some(value), words } => {
                format!("{name}={value} ({})", words.join(" "))
            }
            BuildxArg::Option { name, value: None, words } => format!("{name} ({})", words.join(" ")),
            BuildxArg::Positional(text) => text,
        };
        parse(&words).into_iter().map(show).collect()
    }

    #[test]
    fn words_as_pflag_reads_them() {
        let cases: [(&str, &[&str]); 10] = [
            ("-f a .", &["file=a (-f a)", "."]),
            ("-fa -t=x/y:z .", &["file=a (-f a)", "tag=x/y:z (-t x/y:z)", "."]),
            ("--file=a --target b c", &["file=a (--file=a)", "target=b (--target b)", "c"]),
            ("-Dqf a .", &["debug (-D)", "quiet (-q)", "file=a (-f a)", "."]),
            ("--push . --load=false", &["push (--push)", ".", "load=false (--load=false)"]),
            ("--no-cache -", &["no-cache (--no-cache)", "-"]),
            ("--pull -- --odd", &["pull (--pull)", "--odd"]),
            ("--new x .", &["new=x (--new x)", "."]),
            ("--new --push .", &["new (--new)", "push (--push)", "."]),
            ("-f", &["file (-f)"]),
        ];
        for (line, expected) in cases {
            assert_eq!(shown(line), expected, "{line}");
        }
        assert_eq!(shown("-x9 ."), ["-x (-x9)", "."]);
    }

    #[test]
    fn fields_with_quotes() {
        assert_eq!(fields("type=registry,ref=a/b:c"), ["type=registry", "ref=a/b:c"]);
        assert_eq!(fields(r#"id=x,"src=a,""b"""#), ["id=x", "src=a,\"b\""]);
        assert_eq!(field("type=registry, REF =a", "ref").as_deref(), Some("a"));
        assert_eq!(field("user/app:cache", "ref"), None);
    }
}
