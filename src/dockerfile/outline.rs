//! A Dockerfile as the event that the stack is drawn from.

use std::collections::BTreeMap;

use super::{Dockerfile, ResolvedStage};
use crate::event::{LayerRule, Outline, OutlineStage, OutlineStep, Text};
use crate::model::layers::LayerNamer;

impl Dockerfile {
    /// What the target's stages will do, named by layer.
    ///
    /// `args` are the build arguments; platform arguments such as `TARGETARCH` may be among them. They decide on
    /// bases and help with the names, but the text of a step is the file's own: a value can be a secret. Rules that
    /// can't be read are left out; [`LayerNamer::new`] tells which.
    pub fn outline(
        &self,
        target: Option<&str>,
        args: &BTreeMap<String, String>,
        rules: &[LayerRule],
    ) -> Outline {
        let (namer, _) = LayerNamer::new(rules);
        let resolved = self.resolve(target, args);
        let wanted = self.target(target);
        let index = resolved.iter().position(|stage| Some(stage.stage) == wanted).unwrap_or_default();
        let stages = resolved.iter().map(|stage| outlined(stage, &namer)).collect();
        Outline { stages, target: index, rules: rules.to_vec() }
    }
}

fn outlined(stage: &ResolvedStage, namer: &LayerNamer) -> OutlineStage {
    // What a heredoc holds says more than its first line, which is all that the builder will show.
    let texts: Vec<String> = stage
        .steps
        .iter()
        .map(|step| [std::slice::from_ref(&step.text), &step.heredocs].concat().join("\n"))
        .collect();
    let layers = namer.names(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let steps = stage.steps.iter().zip(layers).map(|(step, layer)| OutlineStep {
        instruction: Text::clean(&step.source),
        layer,
        line: step.line,
    });
    OutlineStage { name: stage.name.as_deref().map(Text::clean), steps: steps.collect() }
}
