//! Instructions that a base image leaves to whoever builds on it (`ONBUILD`). The Dockerfile does not have them, and `BuildKit` numbers
//! them behind the `FROM`, which it named before it knew of them: `1/4 FROM`, `2/6 ONBUILD COPY …` (seen on the test engine).

use super::name::StepName;
use super::stack::{InstructionRow, StageGroup};
use crate::event::Text;
use crate::event::fingerprint::{Fingerprint, Gap, Stage, Step, StepKind};

/// How such an instruction is named.
const PREFIX: &str = "ONBUILD ";

/// What such an instruction does, without the word that makes it one; none of other instructions.
pub(crate) fn left(instruction: &str) -> Option<&str> {
    instruction.strip_prefix(PREFIX)
}

/// The Dockerfile's stages, with the rows of what their base images leave to run.
pub(super) fn widened(outlined: &[StageGroup], names: &[Option<StepName>]) -> Vec<StageGroup> {
    let mut groups = outlined.to_vec();
    for group in &mut groups {
        let more = |name: &&StepName| {
            name.stage == group.stage
                && left(name.instruction.as_str()).is_some()
                && usize::from(name.of) > group.rows.len()
        };
        let found: Vec<&StepName> = names.iter().flatten().filter(more).collect();
        let Some(of) = found.iter().map(|name| usize::from(name.of)).max() else { continue };
        let many = of - group.rows.len();
        // What the Dockerfile itself leaves to a stage stands in its outline.
        let own = group.rows.iter().any(|row| left(row.instruction.as_str()).is_some());
        let from = group.rows.first().is_some_and(|row| row.instruction.as_str().starts_with("FROM "));
        if own || !from || found.iter().any(|name| usize::from(name.index) > 1 + many) {
            continue;
        }
        let text = |at: usize| {
            let name = found.iter().find(|name| usize::from(name.index) == at + 2);
            name.map(|name| name.instruction.clone()).unwrap_or_default()
        };
        let rows = (0..many).map(|at| InstructionRow { instruction: text(at), ..InstructionRow::default() });
        group.rows.splice(1..1, rows);
        group.left = many;
    }
    groups
}

/// Gives a stage's fingerprint the steps that its base image leaves to run; what they take is not known.
pub(super) fn widen(print: &mut Fingerprint, groups: &[StageGroup]) {
    for stage in &mut print.stages {
        let Some(group) = groups.iter().find(|group| group.stage == stage.name && group.left > 0) else {
            continue;
        };
        let texts = group.rows.iter().skip(1).take(group.left).map(|row| row.instruction.clone());
        insert(stage, texts.collect());
    }
}

/// Puts steps behind the `FROM` of a stage, unless they are there.
pub(crate) fn insert(stage: &mut Stage, texts: Vec<Text>) {
    let is_there = stage.steps.get(1).is_some_and(|step| step.gaps.contains(&Gap::Trigger));
    let Some(from) = stage.steps.first().filter(|step| step.kind == StepKind::From && !is_there) else {
        return;
    };
    let (line, platform, runs_on) = (from.line, from.platform.clone(), from.runs_on.clone());
    let step = |text: Text| Step {
        kind: kind(text.as_str()),
        instruction: text,
        line,
        platform: platform.clone(),
        runs_on: runs_on.clone(),
        gaps: vec![Gap::Trigger],
        ..Step::default()
    };
    stage.steps.splice(1..1, texts.into_iter().map(step).collect::<Vec<_>>());
}

fn kind(text: &str) -> StepKind {
    match left(text).and_then(|text| text.split_whitespace().next()) {
        Some(word) if word.eq_ignore_ascii_case("COPY") => StepKind::Copy,
        Some(word) if word.eq_ignore_ascii_case("ADD") => StepKind::Add,
        Some(word) if word.eq_ignore_ascii_case("WORKDIR") => StepKind::Workdir,
        _ => StepKind::Run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::{VertexKind, parse};

    /// The rows of a stage that the Dockerfile has as `rows`, once the stream has named these steps.
    fn rows(rows: &[&str], names: &[&str]) -> Vec<String> {
        let row =
            |text: &&str| InstructionRow { instruction: Text::clean(text), ..InstructionRow::default() };
        let group = StageGroup { rows: rows.iter().map(row).collect(), ..StageGroup::default() };
        let name = |text: &&str| match parse(&Text::clean(text)) {
            VertexKind::Step(name) => Some(name),
            _ => None,
        };
        let names: Vec<Option<StepName>> = names.iter().map(name).collect();
        let groups = widened(&[group], &names);
        groups[0].rows.iter().map(|row| row.instruction.to_string()).collect()
    }

    #[test]
    fn only_what_the_dockerfile_does_not_have_is_added() {
        let own = ["FROM a", "COPY b /b"];
        let told = ["[1/2] FROM a", "[3/4] ONBUILD RUN x", "[4/4] COPY b /b"];
        assert_eq!(rows(&own, &told), ["FROM a", "", "ONBUILD RUN x", "COPY b /b"]);
        assert_eq!(rows(&own, &["[1/2] FROM a", "[2/2] COPY b /b"]), own);
        // A stage of the same file has left it, and with it an ARG that is counted and never shown.
        let left = ["ONBUILD COPY c /c", "COPY b /b"];
        assert_eq!(rows(&left, &["[1/3] ONBUILD COPY c /c", "[2/3] COPY b /b"]), left);
    }
}
