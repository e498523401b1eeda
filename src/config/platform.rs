//! Platforms that exist. `BuildKit` takes any of the right shape, and fails where the base image has none of it, or the program can't run.

use crate::event::Platform;

use super::file::nearest;

/// Architectures, by their names in Go (`go tool dist list`), which `BuildKit` uses.
const ARCHITECTURES: [&str; 21] = [
    "amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", "mips64le", "mips64", "mipsle",
    "mips", "ppc64", "ppc", "riscv", "s390", "sparc64", "sparc", "arm64be", "armbe", "wasm",
];

/// Other names that `BuildKit` reads as one of these (containerd's `platforms`, `normalizeArch`).
const ALIASES: [&str; 10] =
    ["x86_64", "x86-64", "aarch64", "armhf", "armel", "i386", "i486", "i586", "i686", "aarch64be"];

/// An architecture, as somebody would write it who leaves the system out.
pub(super) fn is_architecture(word: &str) -> bool {
    ARCHITECTURES.contains(&word)
}

/// What is unknown about a platform, with what was probably meant; none where it exists.
pub(super) fn unknown(platform: &Platform) -> Option<(String, String)> {
    let mut parts = platform.as_str().splitn(3, '/');
    let (system, architecture, variant) = (parts.next()?, parts.next()?, parts.next());
    let known = ARCHITECTURES.contains(&architecture) || ALIASES.contains(&architecture);
    let (what, fix) = match (known, variant) {
        (true, None) => return None,
        (true, Some(variant)) if is_variant(architecture, variant) => return None,
        (true, Some(variant)) => {
            (format!("{architecture} has no variant `{variant}`"), Some(format!("{system}/{architecture}")))
        }
        (false, variant) => {
            let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
            let what = format!("no architecture is called `{architecture}`");
            let meant = nearest(architecture, &ARCHITECTURES);
            (what, meant.map(|meant| format!("{system}/{meant}{variant}")))
        }
    };
    let few = || format!("write one of {};", ARCHITECTURES.get(..8).unwrap_or_default().join(", "));
    let fix = fix.map_or_else(few, |fix| format!("did you mean `{fix}`?"));
    let hint = format!("{fix} BuildKit takes unknown ones too, and fails later");
    Some((format!("unknown platform `{platform}`: {what}"), hint))
}

/// Whether an architecture has this variant.
fn is_variant(architecture: &str, variant: &str) -> bool {
    let level = |least: u8, most: u8| {
        let digits = variant.strip_prefix('v').and_then(|rest| rest.split('.').next());
        digits.and_then(|digits| digits.parse::<u8>().ok()).is_some_and(|it| (least..=most).contains(&it))
    };
    match architecture {
        "amd64" | "x86_64" | "x86-64" => level(1, 4),
        "arm" | "armhf" | "armel" => level(5, 8),
        "arm64" | "aarch64" => level(8, 9),
        // Their variants are hardly ever written, and have no list.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<(String, String)> {
        unknown(&Platform::parse(text).unwrap())
    }

    #[test]
    fn each_platform_that_there_is_is_known() {
        for text in [
            "linux/amd64",
            "linux/amd64/v3",
            "linux/arm64",
            "linux/arm64/v8",
            "linux/arm64/v8.2",
            "linux/arm/v7",
            "linux/386",
            "linux/riscv64",
            "linux/loong64",
            "linux/x86_64",
            "linux/aarch64",
            "windows/amd64",
            "wasip1/wasm",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn one_that_does_not_exist_has_the_nearest_beside_it() {
        for (text, meant) in [
            ("linux/amd46", "linux/amd64"),
            ("linux/amr64", "linux/arm64"),
            ("linux/arm46/v8", "linux/arm64/v8"),
            ("linux/ppc64el", "linux/ppc64le"),
            ("linux/amd64/v9", "linux/amd64"),
            ("linux/arm/v71", "linux/arm"),
        ] {
            let (message, hint) = of(text).unwrap();
            assert!(message.starts_with(&format!("unknown platform `{text}`: ")), "{message}");
            assert!(hint.starts_with(&format!("did you mean `{meant}`?")), "{text}: {hint}");
        }
        assert!(of("linux/foo").unwrap().1.starts_with("write one of amd64, arm64, "));
    }
}
