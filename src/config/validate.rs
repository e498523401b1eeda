//! What a value may look like. A complaint names the value and says how to write it.

use std::time::Duration;

use toml::Spanned;

use crate::cli::{ColorChoice, ProgressMode};
use crate::error::Problem;
use crate::event::Platform;

use super::file::{LayertopToml, nearest};
use super::{ConfigFile, platform, profile};

/// Why a value is invalid, and how to write it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidValue {
    pub(super) message: String,
    pub(super) hint: String,
}

pub(super) type Validity<T = ()> = Result<T, InvalidValue>;

fn complain<T>(message: String, hint: impl Into<String>) -> Validity<T> {
    Err(InvalidValue { message, hint: hint.into() })
}

/// Host, `host:port`, `[::1]:port`, each with a path behind it or not.
pub(super) fn registry(text: &str) -> Validity {
    if let Some((scheme, rest)) = text.split_once("://") {
        return complain(
            format!("registry `{text}` is a URL"),
            format!("write it without {scheme}://: {rest}"),
        );
    }
    let fit = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c);
    if text.is_empty()
        || !text.chars().all(fit)
        || text.starts_with(['-', '/', ':'])
        || text.ends_with(['/', ':'])
    {
        return complain(
            format!("`{text}` is not a registry"),
            "write it as host, host:port or host:port/path",
        );
    }
    Ok(())
}

/// A repository: lower case, `/` between its parts.
pub(super) fn repository(text: &str) -> Validity {
    let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let part = |part: &str| {
        part.chars().all(fit)
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    if text.split('/').all(part) {
        return Ok(());
    }
    let hint = if text.chars().any(|c| c.is_ascii_uppercase()) {
        format!("a repository is lower case: {}", text.to_ascii_lowercase())
    } else if text.contains(':') {
        "the tag goes into `tag`, the registry into `registry`".to_owned()
    } else {
        "write it in a-z, 0-9, ., _ and -, with / between its parts".to_owned()
    };
    complain(format!("`{text}` is not a repository name"), hint)
}

pub(super) fn tag(text: &str) -> Validity {
    let fit = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.contains(['/', ':']) {
        return complain(
            format!("`{text}` is a whole reference, not a tag"),
            format!("the tag stands after the colon; a whole reference goes to buildx: -- -t {text}"),
        );
    }
    if text.is_empty() || text.len() > 128 || !text.chars().all(fit) || text.starts_with(['.', '-']) {
        return complain(
            format!("`{text}` is not a tag"),
            "write it in letters, digits, ., _ and -; at most 128 of them",
        );
    }
    Ok(())
}

/// The cache's tag; empty: no cache.
pub(super) fn cache(text: &str) -> Validity {
    if text.is_empty() { Ok(()) } else { tag(text) }
}

pub(super) fn platform(text: &str) -> Validity<Platform> {
    let hint = if platform::is_architecture(text) {
        format!("write it with its system: linux/{text}")
    } else {
        "write it as linux/amd64 or linux/arm/v7".to_owned()
    };
    // What ends up in a command line must be nothing but a platform: `linux/a,linux/b` would be two.
    let fit = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match Platform::parse(text) {
        Some(platform) if text.chars().all(fit) => Ok(platform),
        _ => complain(format!("`{text}` is not a platform"), hint),
    }
}

/// A list of platforms as `--platform` and `PLATFORMS` have it.
pub(super) fn platforms(text: &str) -> Validity<Vec<Platform>> {
    text.split([',', ' ']).filter(|word| !word.is_empty()).map(platform).collect()
}

/// A word that stands for itself in a command line: no option, no control character.
pub(super) fn word(text: &str) -> Validity {
    if text.starts_with('-') && text != "-" {
        return complain(
            format!("`{text}` looks like an option"),
            "options go into `extra`, or behind -- on the command line",
        );
    }
    if text.is_empty() || text.contains(char::is_control) {
        return complain(
            format!("`{}` can't stand in a command", text.escape_debug()),
            "leave the key out for its default",
        );
    }
    Ok(())
}

fn argument(name: &str, value: &str) -> Validity {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        let name = name.escape_debug();
        return complain(
            format!("`{name}` is not a build argument"),
            "a name has no = in it, a value no NUL",
        );
    }
    Ok(())
}

/// A duration as people write it.
pub(super) fn duration(text: &str) -> Validity<Duration> {
    humantime::parse_duration(text).map_err(|error| InvalidValue {
        message: format!("`{text}` is not a duration: {error}"),
        hint: "write it as 30d, 12h or 1h 30m".to_owned(),
    })
}

/// How often something is asked over a network, or how long it may take: nobody means to ask without a pause.
pub(super) fn interval(text: &str) -> Validity<Duration> {
    const LEAST: Duration = Duration::from_millis(100);
    let interval = duration(text)?;
    if interval < LEAST {
        return complain(format!("`{text}` is too short"), "write at least 100ms");
    }
    Ok(interval)
}

/// One of a few words.
pub(super) fn choice<T: clap::ValueEnum>(text: &str) -> Validity<T> {
    T::from_str(text, true).or_else(|_| {
        let names: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|v| v.to_possible_value().map(|value| value.get_name().to_owned()))
            .collect();
        complain(format!("`{text}` is none of the choices"), format!("write one of {}", names.join(", ")))
    })
}

/// All that is wrong with the values of a file, in the file's order.
pub(super) fn file(doc: &ConfigFile) -> Vec<Problem> {
    let LayertopToml { profile, image, build, recordings, history, ui, registry: watch, .. } = &doc.file;
    let mut found: Vec<(usize, Problem)> = Vec::new();
    let mut check = |span: std::ops::Range<usize>, verdict: Validity| {
        if let Err(InvalidValue { message, hint }) = verdict {
            found.push((span.start, doc.problem(span, message, hint)));
        }
    };
    let texts = [
        (&image.registry, registry as fn(&str) -> Validity),
        (&image.name, repository),
        (&image.tag, tag),
        (&build.cache, cache),
        (&build.builder, word),
        (&build.context, word),
        (&build.dockerfile, word),
        (&build.target, word),
        (profile, known_profile),
        (&recordings.keep_for, |text| duration(text).map(drop)),
        (&history.keep_for, |text| duration(text).map(drop)),
        (&watch.ca, word),
        (&watch.every, |text| interval(text).map(drop)),
        (&watch.look_every, |text| interval(text).map(drop)),
        (&watch.slow, |text| interval(text).map(drop)),
        (&ui.progress, |text| choice::<ProgressMode>(text).map(drop)),
        (&ui.color, |text| choice::<ColorChoice>(text).map(drop)),
    ];
    for (value, verdict) in texts {
        if let Some(text) = value {
            check(text.span(), verdict(text.get_ref()));
        }
    }
    for text in image.platforms.iter().flat_map(Spanned::get_ref) {
        check(text.span(), platform(text.get_ref()).map(drop));
    }
    for (name, value) in &build.args {
        check(name.span(), argument(name.get_ref(), &value.get_ref().0));
    }
    for text in build.extra.iter().flat_map(Spanned::get_ref) {
        if text.get_ref().contains('\0') {
            check(text.span(), complain("an option with a NUL can't be handed over".to_owned(), "remove it"));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, problem)| problem).collect()
}

fn known_profile(name: &str) -> Validity {
    let names: Vec<&str> = profile::names().collect();
    if names.contains(&name) {
        return Ok(());
    }
    let hint = nearest(name, &names)
        .map_or_else(|| format!("there is {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
    complain(format!("there is no profile `{name}`"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for text in ["10.43.17.166:5000", "localhost", "ghcr.io/me", "[::1]:5000"] {
            assert_eq!(registry(text), Ok(()), "{text}");
        }
        assert_eq!(registry("http://x:5000").unwrap_err().hint, "write it without http://: x:5000");
        for text in ["", "x/", "-x", "x y", "user:pa$$@host"] {
            assert!(registry(text).is_err(), "{text}");
        }
        assert_eq!(repository("montage-ai"), Ok(()));
        assert_eq!(repository("team/montage_ai"), Ok(()));
        assert_eq!(repository("Montage").unwrap_err().hint, "a repository is lower case: montage");
        for text in ["", "a//b", "-a", "a:b"] {
            assert!(repository(text).is_err(), "{text}");
        }
        assert_eq!(tag("my-feature"), Ok(()));
        for text in ["", "a/b:c", "-x", "x y"] {
            assert!(tag(text).is_err(), "{text}");
        }
    }

    #[test]
    fn platform_lists() {
        assert_eq!(platforms("linux/amd64,linux/arm64").unwrap().len(), 2);
        assert_eq!(platforms("linux/amd64 linux/arm64, ").unwrap().len(), 2);
        assert_eq!(platforms("arm64").unwrap_err().hint, "write it with its system: linux/arm64");
        assert!(platform("linux/amd64,linux/arm64").is_err());
    }

    #[test]
    fn choices_name_what_there_is() {
        assert_eq!(choice::<ColorChoice>("Never"), Ok(ColorChoice::Never));
        assert_eq!(choice::<ColorChoice>("red").unwrap_err().hint, "write one of auto, always, never");
    }
}
