//! Platforms as `BuildKit` writes and passes them: after `containerd/platforms` and `dockerfile2llb/platform.go`.

use std::collections::BTreeMap;

use crate::dockerfile::ResolvedVariable;
use crate::event::Platform;

/// A platform without what says nothing: `linux/arm64/v8` is `linux/arm64`, `linux/arm` is `linux/arm/v7`.
pub(super) fn normal(platform: &Platform) -> Platform {
    let (os, arch, variant) = parts(platform.as_str());
    let (arch, variant) = match (arch, variant) {
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("i386" | "i486" | "i586" | "i686", _) => ("386", ""),
        other => other,
    };
    let variant = match (arch, variant) {
        ("arm64", "v8" | "8") | ("amd64", "v1") => "",
        ("arm", "" | "7") => "v7",
        (_, variant) => variant,
    };
    let text = if variant.is_empty() { format!("{os}/{arch}") } else { format!("{os}/{arch}/{variant}") };
    Platform::parse(&text).unwrap_or_else(|| platform.clone())
}

fn parts(platform: &str) -> (&str, &str, &str) {
    // What `BuildKit` adds to a long list of features is no part of it.
    let platform = platform.split('(').next().unwrap_or_default();
    let mut parts = platform.split('/');
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

/// The arguments that `BuildKit` sets itself: for the platform that is built, and for the builder's own where it is known.
pub(super) fn automatic(target: Option<&Platform>, build: Option<&Platform>) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (prefix, platform) in [("TARGET", target), ("BUILD", build)] {
        let Some(platform) = platform else { continue };
        let (os, arch, variant) = parts(platform.as_str());
        let whole = platform.as_str();
        let values =
            [("PLATFORM", whole), ("OS", os), ("OSVERSION", ""), ("ARCH", arch), ("VARIANT", variant)];
        args.extend(values.map(|(name, value)| (format!("{prefix}{name}"), value.to_owned())));
    }
    args
}

/// The platforms that `BuildKit` prints before a step: the one that it is for and, where that is another one, the one that it
/// runs on. It goes by the arguments that were read before the step.
pub(super) fn printed(runs_on: &Platform, variables: &[ResolvedVariable]) -> (Platform, Option<Platform>) {
    let value = |name: &str| {
        variables.iter().find(|variable| variable.name == name).map(|variable| variable.value.as_str())
    };
    let (os, arch, _) = parts(runs_on.as_str());
    let read = ["TARGETOS", "TARGETARCH", "TARGETVARIANT"].map(value);
    let by_parts = || {
        let [target_os, target_arch, variant] = read.map(|value| value.filter(|value| !value.is_empty()));
        let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        let whole = format!("{}/{}{variant}", target_os.unwrap_or(os), target_arch.unwrap_or(arch));
        Platform::parse(&whole).filter(|_| read.iter().any(Option::is_some))
    };
    let target = value("TARGETPLATFORM").and_then(Platform::parse).or_else(by_parts);
    let target = target.map(|target| normal(&target));
    match target {
        Some(target) if parts(target.as_str()).0 != os || parts(target.as_str()).1 != arch => {
            (target, Some(runs_on.clone()))
        }
        _ => (runs_on.clone(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fingerprint::Origin;

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    #[test]
    fn normal_forms() {
        for (text, normal_form) in [
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64(+4)", "linux/amd64"),
            ("linux/amd64/v2", "linux/amd64/v2"),
        ] {
            assert_eq!(normal(&platform(text)).as_str(), normal_form, "{text}");
        }
    }

    #[test]
    fn what_is_printed_goes_by_what_was_read() {
        let on = platform("linux/amd64");
        let read = |name: &str, value: &str| ResolvedVariable {
            name: name.to_owned(),
            value: value.to_owned(),
            origin: Origin::Platform,
            line: 1,
        };
        assert_eq!(printed(&on, &[]), (on.clone(), None));
        assert_eq!(printed(&on, &[read("TARGETARCH", "arm64")]), (platform("linux/arm64"), Some(on.clone())));
        assert_eq!(printed(&on, &[read("TARGETARCH", "amd64")]), (on.clone(), None));
        assert_eq!(printed(&on, &[read("TARGETOS", "linux")]), (on.clone(), None));
        let arm = platform("linux/arm/v7");
        assert_eq!(printed(&on, &[read("TARGETPLATFORM", "linux/arm/v7")]), (arm, Some(on)));
    }
}
