//! What a vertex is, read from its name: `BuildKit` tells it nowhere else.
//!
//! Steps are named by the Dockerfile frontend (`prefixCommand` in `frontend/dockerfile/dockerfile2llb/convert.go`),
//! the rest by the solver, the exporters and buildx itself; bake puts its target behind the bracket.

use crate::event::{Platform, Text};

/// What a vertex is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VertexKind {
    /// A numbered instruction of a Dockerfile.
    Step(StepName),
    /// Loading of the Dockerfile, the context, image metadata.
    Internal,
    /// Import of a cache manifest, with its reference.
    CacheImport(Text),
    /// Export of the cache.
    CacheExport,
    /// Export of the result: image, push, files.
    Export,
    /// Work of the client: `BuildKit` does not count it.
    Client,
    /// A source outside of any Dockerfile step, and whatever else has no part in the layers.
    Other,
}

/// The parts of `[linux/amd64->arm64 stage-1  3/12] RUN make`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepName {
    pub target: Option<Text>,
    /// The platform that it is built for; none where a build has only one.
    pub platform: Option<Platform>,
    /// The platform that it runs on, where that is another one.
    pub runs_on: Option<Platform>,
    pub stage: Option<Text>,
    /// Its number in the stage, from 1.
    pub index: u16,
    /// How many steps the stage has.
    pub of: u16,
    pub instruction: Text,
}

/// The keyword that an instruction begins with, as it is written: `RUN`, `copy`. Empty where there is no instruction.
pub fn keyword(instruction: &str) -> &str {
    instruction.split_whitespace().next().unwrap_or_default()
}

/// Whether two instructions have the same keyword.
pub fn same_keyword(a: &Text, b: &Text) -> bool {
    keyword(a.as_str()).eq_ignore_ascii_case(keyword(b.as_str()))
}

impl StepName {
    /// Whether it only fetches a base image.
    pub fn is_from(&self) -> bool {
        keyword(self.instruction.as_str()).eq_ignore_ascii_case("FROM")
    }

    /// Whether it only makes a directory, which `BuildKit` calls cached whenever it is there, with `--no-cache` too.
    pub fn is_workdir(&self) -> bool {
        self.instruction.as_str().starts_with("WORKDIR")
    }
}

/// Vertices that buildx adds on its own; `BuildKit`'s record of the build does not know them (docker/buildx, `build/` and
/// `bake/`; seen on the test engine).
const CLIENT: [&str; 8] = [
    "resolving provenance for metadata file",
    "[internal] load local bake definitions",
    "[internal] load remote bake definitions",
    "[internal] booting buildkit",
    "[internal] connecting to local controller",
    "[internal] waiting for connection",
    "importing to docker",
    "merging manifest list ",
];

/// Reads a vertex's name.
pub fn parse(name: &Text) -> VertexKind {
    let text = name.as_str();
    if is_client(text) {
        return VertexKind::Client;
    }
    let Some((bracket, rest)) = text.strip_prefix('[').and_then(|t| t.split_once("] ")) else {
        return unbracketed(text);
    };
    if let Some(step) = step(bracket, rest) {
        return VertexKind::Step(step);
    }
    let words: Vec<&str> = bracket.split_whitespace().collect();
    match words.as_slice() {
        [.., "internal"] | ["auth" | "context", ..] => VertexKind::Internal,
        // Bake: `[api] exporting to image`.
        [_] => unbracketed(rest),
        _ => VertexKind::Other,
    }
}

fn is_client(text: &str) -> bool {
    CLIENT.iter().any(|client| text.starts_with(client))
        || (text.starts_with("pushing ") && text.ends_with(" with docker"))
}

fn unbracketed(text: &str) -> VertexKind {
    if is_client(text) {
        VertexKind::Client
    } else if let Some(reference) = text.strip_prefix("importing cache manifest from ") {
        VertexKind::CacheImport(Text::clean(reference))
    } else if text.starts_with("exporting cache") {
        VertexKind::CacheExport
    } else if text.starts_with("exporting ") || text.starts_with("sending tarball") {
        VertexKind::Export
    } else if text.starts_with("resolve image config for ") || text.starts_with("load metadata for ") {
        VertexKind::Internal
    } else {
        VertexKind::Other
    }
}

fn step(bracket: &str, rest: &str) -> Option<StepName> {
    let mut words: Vec<&str> = bracket.split_whitespace().collect();
    let (index, of) = words.pop()?.split_once('/')?;
    let (index, of) = (index.parse::<u16>().ok()?, of.parse::<u16>().ok()?);
    if index == 0 || index > of || words.len() > 3 {
        return None;
    }
    let platforms = |word: &&str| {
        let (on, target) = word.split_once("->").map_or((*word, None), |(on, target)| (on, Some(target)));
        let on = Platform::parse(on)?;
        let target = target.map(|t| cross_target(&on, t));
        Some((on, target))
    };
    let at = words.iter().position(|word| platforms(word).is_some());
    let (runs_on, cross) =
        at.and_then(|at| platforms(&words[at])).map_or((None, None), |(on, to)| (Some(on), to));
    let (target, stage) = match (at, words.as_slice()) {
        (None, [stage]) | (Some(0), [_, stage]) => (None, Some(*stage)),
        (None, [target, stage]) | (Some(1), [target, _, stage]) => (Some(*target), Some(*stage)),
        (Some(1), [target, _]) => (Some(*target), None),
        (None, []) | (Some(0), [_]) => (None, None),
        _ => return None,
    };
    let (platform, runs_on) = match cross {
        Some(platform) => (platform, runs_on),
        None => (runs_on, None),
    };
    let text = |word: &str| Text::clean(word);
    Some(StepName {
        target: target.map(text),
        platform,
        runs_on,
        stage: stage.map(text),
        index,
        of,
        instruction: text(rest),
    })
}

/// `linux/amd64->arm64` leaves the system out where it stays the same.
fn cross_target(on: &Platform, target: &str) -> Option<Platform> {
    Platform::parse(target).or_else(|| {
        let system = on.as_str().split('/').next()?;
        Platform::parse(&format!("{system}/{target}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> VertexKind {
        parse(&Text::clean(name))
    }

    fn step_of(name: &str) -> String {
        let VertexKind::Step(s) = of(name) else { return format!("{:?}", of(name)) };
        let text = |t: &Option<Text>| t.as_ref().map_or("-".to_owned(), ToString::to_string);
        let platform = |p: &Option<Platform>| p.as_ref().map_or("-".to_owned(), ToString::to_string);
        format!(
            "{} {} {} {} {}/{} {}",
            text(&s.target),
            platform(&s.platform),
            platform(&s.runs_on),
            text(&s.stage),
            s.index,
            s.of,
            s.instruction
        )
    }

    #[test]
    fn steps() {
        for (name, expected) in [
            ("[linux/amd64 stage-1  3/12] RUN make", "- linux/amd64 - stage-1 3/12 RUN make"),
            ("[linux/amd64->arm64 build 3/12] RUN make", "- linux/arm64 linux/amd64 build 3/12 RUN make"),
            ("[linux/amd64->linux/arm/v7 1/2] FROM a", "- linux/arm/v7 linux/amd64 - 1/2 FROM a"),
            ("[ 6/11] COPY a b", "- - - - 6/11 COPY a b"),
            ("[tools 2/2] RUN a ] b", "- - - tools 2/2 RUN a ] b"),
            ("[api builder 2/2] RUN a", "api - - builder 2/2 RUN a"),
            ("[api linux/arm64 2/2] RUN a", "api linux/arm64 - - 2/2 RUN a"),
            ("[api linux/arm64 builder 2/2] RUN a", "api linux/arm64 - builder 2/2 RUN a"),
            ("[3/2] RUN a", "Other"),
            ("[0/2] RUN a", "Other"),
            ("[a b c d 1/2] RUN a", "Other"),
        ] {
            assert_eq!(step_of(name), expected, "{name}");
        }
    }

    #[test]
    fn others() {
        for (name, expected) in [
            ("[internal] load build definition from Dockerfile", VertexKind::Internal),
            ("[linux/amd64 internal] load metadata for a/b:latest", VertexKind::Internal),
            ("[api internal] load .dockerignore", VertexKind::Internal),
            ("[auth] library/alpine:pull token for registry-1.docker.io", VertexKind::Internal),
            ("[context foo] load from client", VertexKind::Internal),
            ("resolve image config for docker-image://docker/dockerfile:1", VertexKind::Internal),
            ("importing cache manifest from r/a:c", VertexKind::CacheImport("r/a:c".into())),
            ("[api] importing cache manifest from r/a:c", VertexKind::CacheImport("r/a:c".into())),
            ("exporting cache to registry", VertexKind::CacheExport),
            ("exporting cache to client directory", VertexKind::CacheExport),
            ("[api] exporting to image", VertexKind::Export),
            ("exporting to docker image format", VertexKind::Export),
            ("resolving provenance for metadata file", VertexKind::Client),
            ("[internal] load local bake definitions", VertexKind::Client),
            ("[api] resolving provenance for metadata file", VertexKind::Client),
            ("pushing r/a:b with docker", VertexKind::Client),
            ("docker-image://docker.io/library/alpine", VertexKind::Other),
            ("FROM a", VertexKind::Other),
            ("", VertexKind::Other),
            ("[", VertexKind::Other),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
    }
}
