//! Whether a record of the builder, or a layer of an image, can be the result of a step: by their texts.

use crate::event::Text;
use crate::event::evidence::CacheRecord;
use crate::model::name::{self, StepName, VertexKind};

/// Descriptions are cut at as many characters.
const CUT: usize = 400;

/// Whether a text is a step's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    No,
    /// It does not tell.
    Maybe,
    Yes,
}

/// A step's instruction, prepared to be held against many records.
pub(super) struct InstructionForms<'a> {
    name: &'a StepName,
    /// As the stream has it, and as the Dockerfile has it, before `ARG`s were put in.
    texts: Vec<InstructionForm>,
    /// Whether the Dockerfile is known.
    is_known: bool,
    /// Whether one of its texts may mean the same as a text that differs.
    is_open: bool,
}

/// One form of an instruction.
struct InstructionForm {
    text: String,
    keyword: String,
    /// Without its flags.
    bare: String,
    /// What a `RUN` runs.
    command: Option<String>,
    /// The beginning of a heredoc, which is all that is known of it: `RUN <<EOT (make...)`.
    first: Option<String>,
}

impl InstructionForm {
    fn of(text: &Text) -> Self {
        let text = plain(text.as_str());
        let (keyword, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let (keyword, rest) = (keyword.to_ascii_uppercase(), without_flags(rest));
        let shown = rest.split_once("<<").and_then(|(_, heredoc)| heredoc.rsplit_once(" ("));
        let first = shown.map(|(_, shown)| shown.trim_end_matches(')').trim_end_matches("...").to_owned());
        Self {
            bare: format!("{keyword} {rest}"),
            command: (keyword == "RUN").then(|| listed(rest)),
            first: first.filter(|first| !first.is_empty()),
            keyword,
            text,
        }
    }
}

impl<'a> InstructionForms<'a> {
    /// The instruction of a step, and the same in the Dockerfile, where that is known.
    pub(super) fn new(name: &'a StepName, written: Option<&Text>) -> Self {
        let written = written.filter(|text| !text.is_empty());
        let texts: Vec<InstructionForm> =
            std::iter::once(&name.instruction).chain(written).map(InstructionForm::of).collect();
        let is_open = texts.iter().any(|own| is_open(&own.text));
        Self { name, texts, is_known: written.is_some(), is_open }
    }

    /// Whether it is of a base image.
    pub(super) fn is_from(&self) -> bool {
        self.name.is_from()
    }

    /// The texts that a record or layer of this step can have.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let all = self.texts.iter().flat_map(|own| [Some(&own.text), Some(&own.bare), own.command.as_ref()]);
        all.flatten().map(String::as_str)
    }

    /// Whether a record is this step's, by its description. Imported ones do not tell.
    pub(super) fn of_record(&self, record: &CacheRecord) -> Fit {
        let text = record.description.as_str();
        if record.imported.is_some() {
            return Fit::Maybe;
        }
        if let Some(image) = text.strip_prefix("pulled from ") {
            let tagged = image.split('@').next().unwrap_or(image);
            let same = self.name.is_from() && self.texts.iter().any(|own| own.text.contains(tagged));
            return if same { Fit::Yes } else { Fit::No };
        }
        if let Some(command) = text.strip_prefix("mount / from exec ") {
            return self.of_command(command, is_cut(text));
        }
        // Most records are another instruction's.
        if instruction_in(text).is_some_and(|instruction| self.is_another(instruction)) {
            return Fit::No;
        }
        match name::parse(&record.description) {
            VertexKind::Step(other) => self.of_step(&other),
            // What else is mounted is no result of the step.
            _ if text.starts_with("mount ") => Fit::No,
            _ => Fit::Maybe,
        }
    }

    /// Whether a record that is described as that may be this step's.
    pub(super) fn may_be_described(&self, what: DescribedAs<'_>) -> bool {
        match what {
            DescribedAs::Base => self.is_from(),
            DescribedAs::Command => self.texts.iter().any(|own| own.command.is_some()),
            DescribedAs::Keyword(keyword) => self.has_keyword(keyword),
            DescribedAs::Other => true,
        }
    }

    /// Whether the instruction in a description is certain to be another one. It is not looked at for what it is made of.
    fn is_another(&self, instruction: &str) -> bool {
        let is_same = |own: &str| words(instruction).eq(own.split(' '));
        !self.has_keyword(instruction)
            || !self.is_open
                && !is_open(instruction)
                && !self.texts.iter().any(|own| is_same(&own.text) || is_same(&own.bare))
    }

    fn of_step(&self, other: &StepName) -> Fit {
        if other.platform.is_some() && self.name.platform.is_some() && other.platform != self.name.platform {
            return Fit::No;
        }
        self.of_text(other.instruction.as_str())
    }

    /// Whether a record that nobody has looked at is this step's. Of what was written it is known how `BuildKit` describes it, so
    /// that what is described otherwise is another's.
    pub(super) fn strictly_of_record(&self, record: &CacheRecord) -> Fit {
        self.strictly(self.of_record(record), record.description.as_str())
    }

    /// Whether a layer of an image is this step's, by what its history says: the same as a record's description, without the
    /// flags of a `COPY`.
    pub(super) fn of_history(&self, made_by: &str) -> Fit {
        let fit = match made_by.strip_prefix("RUN ") {
            Some(command) => self.of_command(command, is_cut(made_by)),
            None if made_by.is_empty() || made_by == "RUN" => return Fit::Maybe,
            None => self.of_text(made_by),
        };
        // The first line of a heredoc is all that its name has of it.
        let fit = if fit == Fit::Maybe && self.begins(made_by) { Fit::Yes } else { fit };
        self.strictly(fit, made_by)
    }

    /// Takes variables for what they are where the Dockerfile is known: it has them in the same places.
    fn strictly(&self, fit: Fit, described: &str) -> Fit {
        if fit == Fit::Maybe && self.is_known && !self.begins(described) { Fit::No } else { fit }
    }

    /// Whether a text begins as the heredoc does.
    fn begins(&self, described: &str) -> bool {
        let mut firsts = self.texts.iter().filter_map(|own| own.first.as_ref()).peekable();
        if firsts.peek().is_none() {
            return false;
        }
        let described = plain(described);
        let body = described.rsplit_once("/bin/sh -c ").map_or(described.as_str(), |(_, body)| body);
        firsts.any(|first| body.starts_with(first.as_str()))
    }

    fn has_keyword(&self, instruction: &str) -> bool {
        let keyword = name::keyword(instruction);
        self.texts.iter().any(|own| own.keyword.eq_ignore_ascii_case(keyword))
    }

    fn of_text(&self, other: &str) -> Fit {
        let other = plain(other);
        if self.texts.iter().any(|own| own.text == other || own.bare == other) {
            Fit::Yes
        } else if self.has_keyword(&other) {
            unsure(self.texts.iter().map(|own| own.text.as_str()).chain([other.as_str()]))
        } else {
            Fit::No
        }
    }

    /// Whether a command is that of this `RUN`: `BuildKit` describes it as it runs, behind its shell and without `ARG`s put in.
    fn of_command(&self, command: &str, is_cut: bool) -> Fit {
        let commands = || self.texts.iter().filter_map(|own| own.command.as_deref());
        if commands().next().is_none() {
            return Fit::No;
        }
        let other = plain(command);
        let body = other.strip_prefix("/bin/sh -c ").unwrap_or(&other);
        // Another shell may have been chosen: `/bin/bash -o pipefail -c make`.
        let shelled = |own: &str| {
            let shell = other.strip_suffix(own).filter(|_| !other.starts_with("/bin/sh -c "));
            shell.is_some_and(|shell| {
                shell.split_whitespace().next_back().is_some_and(|word| word.starts_with('-'))
            })
        };
        let same = |own: &str| own == body || own == other || shelled(own) || is_cut && own.starts_with(body);
        if commands().any(same) { Fit::Yes } else { unsure(commands().chain([other.as_str()])) }
    }
}

/// A command that was given as a list, `["a", "b"]`, as it is described.
fn listed(command: &str) -> String {
    let words: Option<Vec<String>> =
        command.strip_prefix('[').and_then(|_| serde_json::from_str(command).ok());
    words.map_or_else(|| command.to_owned(), |words| plain(&words.join(" ")))
}

/// Texts that hold variables, heredocs or lists may mean the same though they differ.
fn unsure<'t>(mut texts: impl Iterator<Item = &'t str>) -> Fit {
    if texts.any(is_open) { Fit::Maybe } else { Fit::No }
}

/// Whether a text holds a variable or a heredoc, or is a list.
fn is_open(text: &str) -> bool {
    text.contains('$') || text.contains("<<") || text.starts_with('[')
}

/// What a record is described as, by the beginning of its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum DescribedAs<'a> {
    Base,
    /// The command of a `RUN`.
    Command,
    /// An instruction with this keyword.
    Keyword(&'a str),
    /// Something else, or it does not tell.
    Other,
}

impl<'a> DescribedAs<'a> {
    /// That of a record.
    pub(super) fn of(record: &'a CacheRecord) -> Self {
        let text = record.description.as_str();
        if record.imported.is_some() {
            Self::Other
        } else if text.starts_with("pulled from ") {
            Self::Base
        } else if text.starts_with("mount / from exec ") {
            Self::Command
        } else {
            instruction_in(text).and_then(|it| words(it).next()).map_or(Self::Other, Self::Keyword)
        }
    }
}

/// The instruction in the description of a step: `[linux/amd64 2/5] COPY src/ src/`.
fn instruction_in(description: &str) -> Option<&str> {
    let (_, instruction) = description.split_once("] ")?;
    Some(instruction.strip_prefix("LINK ").unwrap_or(instruction))
}

/// Whether a description is so long that it may go on.
pub(super) fn is_cut(text: &str) -> bool {
    text.len() >= CUT && text.chars().count() >= CUT
}

/// One space where there is space of any kind: lines are joined in several ways.
pub(super) fn plain(text: &str) -> String {
    words(text.strip_prefix("LINK ").unwrap_or(text)).collect::<Vec<_>>().join(" ")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().filter(|word| *word != "\\")
}

/// `--mount=… --network=… make` without its flags.
fn without_flags(mut command: &str) -> &str {
    while command.starts_with("--")
        && let Some((_, rest)) = command.split_once(' ')
    {
        command = rest;
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(step: &str, written: Option<&str>, description: &str) -> Fit {
        let VertexKind::Step(name) = name::parse(&step.into()) else { panic!("{step}") };
        let written = written.map(Text::clean);
        let record = CacheRecord { description: description.into(), ..CacheRecord::default() };
        InstructionForms::new(&name, written.as_ref()).of_record(&record)
    }

    #[test]
    fn records_are_known_by_what_made_them() {
        let run = "[linux/amd64 3/5] RUN --mount=type=cache,target=/c echo \"a 1\" && make";
        for (step, written, description, expected) in [
            ("[linux/amd64 4/5] COPY src/ src/", None, "[linux/amd64 9/11] COPY src/ src/", Fit::Yes),
            ("[linux/amd64 4/5] COPY src/ src/", None, "[4/5] COPY src/ src/", Fit::Yes),
            ("[linux/amd64 4/5] COPY src/ src/", None, "[linux/arm64 4/5] COPY src/ src/", Fit::No),
            ("[linux/amd64 4/5] COPY src/ src/", None, "[4/5] COPY lib/ lib/", Fit::No),
            ("[2/5] WORKDIR /a", None, "[2/5] COPY $A $B", Fit::No),
            (run, None, "mount / from exec /bin/sh -c echo \"a 1\" && make", Fit::Yes),
            (run, None, "mount / from exec /bin/sh -c echo \"a $X\" && make", Fit::Maybe),
            (
                run,
                Some("RUN echo \"a $X\" &&   make"),
                "mount / from exec /bin/sh -c echo \"a $X\" && make",
                Fit::Yes,
            ),
            (run, None, "mount / from exec /bin/sh -c echo b", Fit::No),
            ("[2/5] RUN make", None, "mount / from exec /bin/sh -c cd a && make", Fit::No),
            ("[2/5] RUN make", None, "mount / from exec /bin/bash -o pipefail -c make", Fit::Yes),
            (run, None, "mount /c from exec /bin/sh -c echo \"a 1\" && make", Fit::No),
            (run, None, "[3/5] COPY a b", Fit::No),
            ("[2/5] COPY a b", None, "mount / from exec /bin/sh -c true", Fit::No),
            ("[1/5] FROM r:1/a/b:c@sha256:00", None, "pulled from r:1/a/b:c@sha256:00", Fit::Yes),
            ("[2/5] RUN true", None, "pulled from r:1/a/b:c@sha256:00", Fit::No),
        ] {
            assert_eq!(fits(step, written, description), expected, "{step} | {description}");
        }
    }

    #[test]
    fn what_the_dockerfile_says_leaves_no_doubt() {
        let VertexKind::Step(name) = name::parse(&"[2/3] RUN echo 1".into()) else { panic!() };
        let written = Text::clean("RUN echo $A");
        let of = |written: Option<&Text>, command: &str| {
            let description = Text::clean(&format!("mount / from exec /bin/sh -c {command}"));
            let record = CacheRecord { description, ..CacheRecord::default() };
            InstructionForms::new(&name, written).strictly_of_record(&record)
        };
        assert_eq!(of(Some(&written), "echo $A"), Fit::Yes);
        assert_eq!(of(Some(&written), "echo $B"), Fit::No);
        assert_eq!(of(None, "echo $B"), Fit::Maybe);
    }

    #[test]
    fn layers_are_known_by_their_history() {
        let of = |step: &str, made_by: &str| {
            let VertexKind::Step(name) = name::parse(&step.into()) else { panic!("{step}") };
            InstructionForms::new(&name, None).of_history(made_by)
        };
        assert_eq!(of("[2/3] RUN make", "RUN /bin/sh -c make"), Fit::Yes);
        assert_eq!(of("[2/3] RUN make all", "RUN /bin/sh -c make"), Fit::No);
        assert_eq!(of("[2/3] RUN make", "RUN"), Fit::Maybe);
        assert_eq!(of("[2/3] COPY a b", "COPY a b"), Fit::Yes);
        assert_eq!(of("[2/3] COPY --link --from=x a b", "COPY a b"), Fit::Yes);
        assert_eq!(of(r#"[2/3] RUN ["/bin/sh", "-c", "a  b"]"#, "RUN /bin/sh -c a b"), Fit::Yes);
        assert_eq!(of("[2/3] RUN <<EOT (echo one...)", "RUN /bin/sh -c echo one\nmake\n"), Fit::Yes);
        assert_eq!(of("[2/3] RUN <<EOT (echo one...)", "RUN /bin/sh -c make"), Fit::Maybe);
        assert_eq!(of("[2/3] COPY a b", ""), Fit::Maybe);
    }
}
