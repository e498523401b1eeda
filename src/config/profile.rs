//! Bundled sets of layer names.

use crate::event::LayerRule;

use super::file::LayertopToml;

const PROFILES: [(&str, &str); 1] = [("montage-ai", include_str!("../../assets/profiles/montage-ai.toml"))];

/// How much faster than a build without a cache the documents of the profiles' projects promise builds to be, by what is rebuilt.
const PROMISED: [(&str, &[(&str, f64)]); 1] = [(
    "montage-ai",
    &[("first build", 1.0), ("code change only", 7.5), ("requirements change", 1.9), ("no changes", 30.0)],
)];

/// What the document of a profile's project promises.
pub(super) fn promised(name: &str) -> &'static [(&'static str, f64)] {
    PROMISED.iter().find(|(known, _)| *known == name).map_or(&[], |(_, promised)| promised)
}

/// The names of all profiles.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}

/// A profile's own name and its rules; none where there is no such profile.
pub(super) fn find(name: &str) -> Option<(&'static str, Vec<LayerRule>)> {
    let (name, text) = PROFILES.iter().find(|(known, _)| *known == name)?;
    let file: LayertopToml = toml::from_str(text).ok()?;
    let rules = file
        .layer
        .into_iter()
        .map(|layer| LayerRule { name: layer.name.into_inner().into(), pattern: layer.pattern.into_inner() });
    Some((name, rules.collect()))
}

#[cfg(test)]
mod tests {
    use super::super::rules::compile;
    use super::*;

    #[test]
    fn every_profile_can_be_read_and_all_its_rules_work() {
        for name in names() {
            let (_, rules) = find(name).expect(name);
            assert!(!rules.is_empty());
            for rule in rules {
                assert!(compile(&rule.pattern).is_ok(), "{name}: {rule:?}");
            }
        }
    }

    #[test]
    fn montage_ai_names_its_stack() {
        let steps = [
            ("FROM docker.io/continuumio/miniconda3:latest@sha256:00", "miniconda"),
            ("FROM ${REGISTRY}/base/miniconda3:latest", "miniconda"),
            ("RUN apt-get update && apt-get install -y git ffmpeg libvulkan1 mesa-vulkan-drivers", "ffmpeg"),
            (
                "RUN curl -fsSL https://deb.nodesource.com/setup && apt-get install -y nodejs && npm install -g cgpu",
                "node",
            ),
            ("RUN conda create -y -n montage -c conda-forge python=3.11 librosa numba pip", "conda"),
            ("COPY requirements.txt .", "pip"),
            ("RUN pip install --no-cache-dir -r requirements.txt", "pip"),
            (
                "RUN case \"${TARGETARCH}\" in amd64) curl -o /tmp/realesrgan.zip … ;; *) echo falls back to ffmpeg",
                "Real-ESRGAN",
            ),
            ("COPY pyproject.toml .", "editable install"),
            ("RUN mkdir -p src/montage_ai && pip install --no-deps -e .", "editable install"),
            ("COPY src/ src/", "src"),
        ];
        let (_, rules) = find("montage-ai").unwrap();
        for (step, layer) in steps {
            let rule = rules.iter().find(|rule| compile(&rule.pattern).unwrap().is_match(step));
            assert_eq!(rule.map(|rule| rule.name.as_str()), Some(layer), "{step}");
        }
    }
}
