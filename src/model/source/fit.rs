//! Whether a record of the builder, or a layer of an image, can be the result of a step: by their texts.

use crate::event::Text;
use crate::event::evidence::CacheRecord;
use crate::model::name::{self, Kind, StepName};

/// Descriptions are cut at as many characters.
const CUT: usize = 400;

/// Whether a text is a step's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// It is another's.
    No,
    /// It does not tell.
    Maybe,
    /// It is.
    Yes,
}

/// A step's instruction as the stream has it, and as the Dockerfile has it, before `ARG`s were put in.
pub(super) struct Instruction<'a> {
    pub(super) name: &'a StepName,
    pub(super) written: Option<&'a Text>,
}

impl Instruction<'_> {
    fn texts(&self) -> impl Iterator<Item = String> {
        std::iter::once(&self.name.instruction).chain(self.written).map(|text| plain(text.as_str()))
    }

    /// Whether a record is this step's, by its description. Imported ones do not tell.
    pub(super) fn of_record(&self, record: &CacheRecord) -> Fit {
        let text = record.description.as_str();
        if record.imported.is_some() {
            return Fit::Maybe;
        }
        if let Some(image) = text.strip_prefix("pulled from ") {
            let tagged = image.split('@').next().unwrap_or(image);
            let same = self.name.is_from() && self.texts().any(|own| own.contains(tagged));
            return if same { Fit::Yes } else { Fit::No };
        }
        if let Some(command) = text.strip_prefix("mount / from exec ") {
            return self.of_command(command, text.chars().count() >= CUT);
        }
        match name::parse(&record.description) {
            Kind::Step(other) => self.of_step(&other),
            // What else is mounted is no result of the step.
            _ if text.starts_with("mount ") => Fit::No,
            _ => Fit::Maybe,
        }
    }

    fn of_step(&self, other: &StepName) -> Fit {
        if other.platform.is_some() && self.name.platform.is_some() && other.platform != self.name.platform {
            return Fit::No;
        }
        self.of_text(other.instruction.as_str())
    }

    /// Whether a layer of an image is this step's, by what its history says.
    pub(super) fn of_history(&self, made_by: &str) -> Fit {
        match made_by.strip_prefix("RUN ") {
            Some(command) => self.of_command(command, made_by.chars().count() >= CUT),
            None if made_by.is_empty() || made_by == "RUN" => Fit::Maybe,
            None => self.of_text(made_by),
        }
    }

    fn of_text(&self, other: &str) -> Fit {
        let other = plain(other);
        let keyword = |text: &str| text.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        if self.texts().any(|own| own == other) {
            Fit::Yes
        } else if self.texts().all(|own| keyword(&own) != keyword(&other)) {
            Fit::No
        } else {
            unsure(self.texts().chain([other]))
        }
    }

    /// Whether a command is that of this `RUN`: BuildKit describes it as it runs, behind its shell and without `ARG`s put in.
    fn of_command(&self, command: &str, is_cut: bool) -> Fit {
        let runs = |text: &str| {
            Some(without_flags(
                text.get(..4).filter(|word| word.eq_ignore_ascii_case("RUN ")).and(text.get(4..))?,
            ))
        };
        let commands: Vec<String> = self.texts().filter_map(|own| runs(&own)).collect();
        if commands.is_empty() {
            return Fit::No;
        }
        let other = plain(command);
        let body = other.strip_prefix("/bin/sh -c ").unwrap_or(&other);
        let same =
            |own: &String| own == body || other.ends_with(own.as_str()) || is_cut && own.starts_with(body);
        if commands.iter().any(same) { Fit::Yes } else { unsure(commands.into_iter().chain([other])) }
    }
}

/// Texts that hold variables, heredocs or lists may mean the same though they differ.
fn unsure(texts: impl Iterator<Item = String>) -> Fit {
    let open = |text: String| text.contains('$') || text.contains("<<") || text.starts_with('[');
    if texts.into_iter().any(open) { Fit::Maybe } else { Fit::No }
}

/// One space where there is space of any kind: lines are joined in several ways.
fn plain(text: &str) -> String {
    let text = text.strip_prefix("LINK ").unwrap_or(text);
    text.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ")
}

/// `--mount=… --network=… make` without its flags.
fn without_flags(mut command: &str) -> String {
    while command.starts_with("--") {
        let Some((_, rest)) = command.split_once(' ') else { break };
        command = rest;
    }
    command.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(step: &str, written: Option<&str>, description: &str) -> Fit {
        let Kind::Step(name) = name::parse(&step.into()) else { panic!("{step}") };
        let written = written.map(Text::clean);
        let record = CacheRecord { description: description.into(), ..CacheRecord::default() };
        Instruction { name: &name, written: written.as_ref() }.of_record(&record)
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
    fn layers_are_known_by_their_history() {
        let of = |step: &str, made_by: &str| {
            let Kind::Step(name) = name::parse(&step.into()) else { panic!("{step}") };
            Instruction { name: &name, written: None }.of_history(made_by)
        };
        assert_eq!(of("[2/3] RUN make", "RUN /bin/sh -c make"), Fit::Yes);
        assert_eq!(of("[2/3] RUN make all", "RUN /bin/sh -c make"), Fit::No);
        assert_eq!(of("[2/3] RUN make", "RUN"), Fit::Maybe);
        assert_eq!(of("[2/3] COPY a b", "COPY a b"), Fit::Yes);
        assert_eq!(of("[2/3] COPY a b", ""), Fit::Maybe);
    }
}
