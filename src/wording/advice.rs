//! Advice in words.

use crate::event::Text;
use crate::event::advice::{Advice, CacheMount, Fix};

/// Words advice. What an old recording has in words only stays as it is.
pub(super) fn fill(advice: &mut [Advice]) {
    for Advice { text, fix, .. } in advice {
        if let Some(fix) = fix {
            *text = Text::clean(&self::text(fix));
        }
    }
}

/// What to do, in one sentence.
pub fn text(fix: &Fix) -> String {
    match fix {
        Fix::IgnoreFile { path, pattern, sure: true } => {
            format!("keep {path} out of the context: add the line `{pattern}`")
        }
        Fix::IgnoreFile { path, pattern, sure: false } => {
            format!("if no step needs {path}, keep it out of the context: add the line `{pattern}`")
        }
        Fix::SetMode { path } => format!(
            "set the mode of {path} in the Dockerfile, \
             so that its mode in the context does not count: COPY --chmod=…"
        ),
        Fix::MoveCopy { after } => {
            format!("move this COPY after line {after}: that step then does not run again")
        }
        Fix::SplitCopy { lists, before, after } => split(lists, *before, *after),
        Fix::PinBase { image, digest } => format!("pin the base image by its digest: FROM {image}@{digest}"),
        Fix::CacheMounts { mounts, keep_downloads } => cache_mounts(mounts, *keep_downloads),
        Fix::MoveArg => "declare the ARG after the steps that do not use it: \
             each RUN after an ARG has it in its environment"
            .to_owned(),
        Fix::PinDownload => "pin what is downloaded: ADD --checksum=sha256:… URL".to_owned(),
        Fix::ExportCache => "export the cache with each build: --cache-to type=registry,ref=…,mode=max, \
             or [build] cache in layertop.toml"
            .to_owned(),
        Fix::CheckRegistry => "check the configuration: layertop config check; \
             then check that the registry answers: curl http://REGISTRY/v2/"
            .to_owned(),
        Fix::ShrinkCache => {
            "export a smaller cache: fewer steps and stages, or mode=min; or start a new cache tag".to_owned()
        }
        Fix::BuildPlatforms => {
            "build all platforms each time, or export the cache of each to a registry with mode=max"
                .to_owned()
        }
        Fix::ShareCache => {
            "share the cache between builders by a registry: [build] cache in layertop.toml".to_owned()
        }
        Fix::KeepInRegistry => {
            "keep the cache in a registry as well: [build] cache in layertop.toml".to_owned()
        }
        Fix::KeepMore => {
            "keep more on the builder: a larger max-used-space of its garbage collection, and no prune -a"
                .to_owned()
        }
        Fix::UseCache => {
            "build without --no-cache; --no-cache-filter STAGE rebuilds one stage only".to_owned()
        }
    }
}

fn split(lists: &[Text], before: u32, after: u32) -> String {
    let rest = if before == after { "it".to_owned() } else { format!("line {after}") };
    let lists = lists.iter().map(Text::as_str).collect::<Vec<_>>().join(" and ");
    format!("split the COPY: copy {lists} before line {before}, and the rest after {rest}")
}

fn cache_mounts(mounts: &[CacheMount], keep_downloads: bool) -> String {
    let commands =
        mounts.iter().map(|mount| format!("`{}`", mount.command)).collect::<Vec<_>>().join(" and ");
    let verb = if mounts.len() == 1 { "downloads" } else { "download" };
    let option = |mount: &CacheMount| {
        let sharing = if mount.locked { ",sharing=locked" } else { "" };
        format!("--mount=type=cache,target={}{sharing} ", mount.target)
    };
    let options: String = mounts.iter().map(option).collect();
    let without = if keep_downloads { ", without --no-cache-dir" } else { "" };
    format!("keep what {commands} {verb} from build to build: RUN {options}…{without}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_mounts_are_named() {
        let split =
            |before, after| text(&Fix::SplitCopy { lists: vec!["a".into(), "b".into()], before, after });
        assert_eq!(split(3, 3), "split the COPY: copy a and b before line 3, and the rest after it");
        assert_eq!(split(3, 5), "split the COPY: copy a and b before line 3, and the rest after line 5");
        let mount =
            |command: &str, locked| CacheMount { command: command.into(), target: "/c".into(), locked };
        let one = Fix::CacheMounts { mounts: vec![mount("pip install", false)], keep_downloads: true };
        assert_eq!(
            text(&one),
            "keep what `pip install` downloads from build to build: RUN --mount=type=cache,target=/c …, without --no-cache-dir"
        );
        let mounts = vec![mount("npm ci", false), mount("apk add", true)];
        assert_eq!(
            text(&Fix::CacheMounts { mounts, keep_downloads: false }),
            "keep what `npm ci` and `apk add` download from build to build: RUN --mount=type=cache,target=/c --mount=type=cache,target=/c,sharing=locked …"
        );
    }

    #[test]
    fn advice_of_an_old_recording_keeps_its_text() {
        let old = serde_json::from_str(r#"{"text":"keep more","file":null,"line":null}"#).unwrap();
        let mut advice = [old, Advice { fix: Some(Fix::UseCache), ..Advice::default() }];
        fill(&mut advice);
        let texts: Vec<&str> = advice.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["keep more", text(&Fix::UseCache).as_str()]);
    }

    #[test]
    fn a_fix_of_a_later_version_is_left_out_and_its_text_stays() {
        let later = r#"{"text":"do this","fix":{"type":"fix_of_a_later_version","path":"a"},"file":null,"line":null}"#;
        let read: Advice = serde_json::from_str(later).unwrap();
        assert_eq!((read.text.as_str(), read.fix), ("do this", None));
    }

    #[test]
    fn a_fix_is_one_flat_object() {
        let fix = Fix::MoveCopy { after: 3 };
        let json = serde_json::to_string(&fix).unwrap();
        assert_eq!(json, r#"{"type":"move_copy","after":3}"#);
        assert_eq!(serde_json::from_str::<Fix>(&json).unwrap(), fix);
        assert_eq!(serde_json::to_string(&Fix::MoveArg).unwrap(), r#"{"type":"move_arg"}"#);
    }
}
