//! Records by what they are described as, so that a step finds its own among many thousands without a look at each.

use foldhash::HashMap;

use super::fit::{DescribedAs, Fit, InstructionForms, plain};
use crate::event::evidence::CacheRecord;
use crate::model::name::{self, VertexKind};
use crate::model::{Model, Step};

/// What a list of records is described as. It is of that list alone.
#[derive(Debug, Clone, Default)]
pub struct RecordIndex {
    by_text: HashMap<String, Vec<u32>>,
    /// Those whose text does not tell all of it.
    unclear: Vec<u32>,
}

/// The texts that a record can be found by.
enum Described {
    As(Vec<String>),
    /// It has to be looked at.
    Unclear,
    /// It is certain to be no step's.
    Nothing,
}

fn described(record: &CacheRecord) -> Described {
    let text = record.description.as_str();
    if record.imported.is_some() {
        return Described::Nothing;
    }
    if let Some(command) = text.strip_prefix("mount / from exec ") {
        let whole = plain(command);
        return match whole.strip_prefix("/bin/sh -c ") {
            // What is cut is only the beginning of a text.
            Some(body) if !super::fit::is_cut(text) => Described::As(vec![body.to_owned(), whole.clone()]),
            _ => Described::Unclear,
        };
    }
    if text.starts_with("pulled from ") {
        return Described::Unclear;
    }
    match name::parse(&record.description) {
        VertexKind::Step(step) => Described::As(vec![plain(step.instruction.as_str())]),
        _ => Described::Nothing,
    }
}

impl RecordIndex {
    /// That of these records.
    pub fn of(records: &[CacheRecord]) -> Self {
        let mut index = Self::default();
        for (at, record) in (0..).zip(records) {
            match described(record) {
                Described::As(texts) => {
                    for text in texts {
                        index.by_text.entry(text).or_default().push(at);
                    }
                }
                Described::Unclear => index.unclear.push(at),
                Described::Nothing => {}
            }
        }
        index
    }

    /// Those of the records that are a step's result, in their order.
    fn results<'r>(
        &self,
        instruction: &InstructionForms<'_>,
        records: &'r [CacheRecord],
    ) -> Vec<&'r CacheRecord> {
        let found = instruction.texts().filter_map(|text| self.by_text.get(text)).flatten();
        let mut places: Vec<u32> = found.chain(&self.unclear).copied().collect();
        places.sort_unstable();
        places.dedup();
        let records = places.into_iter().filter_map(|at| records.get(at as usize));
        records.filter(|record| instruction.of_record(record) == Fit::Yes).collect()
    }
}

impl Model {
    /// Those of the records that are described as the result of a step, by their index.
    pub fn results_of<'r>(
        &self,
        step: &Step,
        records: &'r [CacheRecord],
        index: &RecordIndex,
    ) -> Vec<&'r CacheRecord> {
        index.results(&InstructionForms::new(&step.name, self.stack.written(step)), records)
    }

    /// The records of before the build that are described as the result of a step.
    pub fn results_before(&self, step: &Step) -> Vec<&CacheRecord> {
        let instruction = InstructionForms::new(&step.name, self.stack.written(step));
        let there = self.evidence.ids_before(self.first);
        let before = self.evidence.indexed_before();
        let listed = before.flat_map(|(listing, index)| index.results(&instruction, &listing.records));
        listed.filter(|record| there.contains(&record.id)).collect()
    }

    /// Whether the builder had a record before the build.
    ///
    /// The result of a last step that no image was made of is mutable, and has another identity as soon as one is made of it, or
    /// something is built on it (seen on the test engine). What it is built on and described as stays.
    pub fn had_before(&self, record: &CacheRecord) -> bool {
        let became = |known: &CacheRecord| {
            known.parents == record.parents
                && known.description == record.description
                && known.kind == record.kind
        };
        let there = self.evidence.ids_before(self.first);
        let was_there = |known: &CacheRecord| became(known) && there.contains(&known.id);
        there.contains(&record.id)
            || record.mutable
                && self.records_before().iter().any(|listing| listing.records.iter().any(was_there))
    }

    /// Whether a record is described as the result of some step; to be asked of many records.
    pub fn fits_some_step(&self) -> impl Fn(&CacheRecord) -> bool + '_ {
        let steps = self.stack.steps();
        let known: Vec<InstructionForms<'_>> =
            steps.map(|(_, step)| InstructionForms::new(&step.name, self.stack.written(step))).collect();
        let mut by_text: HashMap<String, Vec<usize>> = HashMap::default();
        for (at, instruction) in known.iter().enumerate() {
            for text in instruction.texts() {
                by_text.entry(text.to_owned()).or_default().push(at);
            }
        }
        move |record| {
            let is = |instruction: &InstructionForms<'_>| instruction.of_record(record) == Fit::Yes;
            // To read what a record is described as is dear, and most are another instruction's.
            let what = DescribedAs::of(record);
            if record.imported.is_some()
                || !known.iter().any(|instruction| instruction.may_be_described(what))
            {
                return false;
            }
            match described(record) {
                Described::As(texts) => {
                    let found = texts.iter().filter_map(|text| by_text.get(text)).flatten();
                    found.filter_map(|at| known.get(*at)).any(is)
                }
                Described::Unclear => known.iter().any(is),
                Described::Nothing => false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Outline, OutlineStage, OutlineStep, Stamped, Text, Time};

    /// Whatever is found without the index is found with it, and the other way round.
    #[test]
    fn an_index_finds_what_a_look_at_each_finds() {
        let descriptions = [
            "[linux/amd64 2/5] COPY src/ src/",
            "[2/5] LINK COPY src/ src/",
            "[linux/arm64 2/5] COPY src/ src/",
            "mount / from exec /bin/sh -c make  all",
            "mount / from exec /bin/sh -c make $X",
            "mount / from exec /bin/bash -o pipefail -c make all",
            "mount /c from exec /bin/sh -c make all",
            "mount / from exec /bin/sh -c echo one && make",
            "pulled from r:1/a:b@sha256:00",
            "imported sha256:00",
            "",
        ];
        let record = |(at, text): (usize, &&str)| CacheRecord {
            id: Text::clean(&format!("r{at}")),
            description: Text::clean(text),
            ..CacheRecord::default()
        };
        let long = format!("mount / from exec /bin/sh -c {}", "make all && ".repeat(50));
        let cut: String = long.chars().take(400).collect();
        let mut records: Vec<CacheRecord> = descriptions.iter().enumerate().map(record).collect();
        records.push(CacheRecord { description: Text::clean(&cut), ..CacheRecord::default() });
        let index = RecordIndex::of(&records);
        let step = |text: String| OutlineStep { instruction: Text::clean(&text), layer: None, line: 1 };
        let body = long.strip_prefix("mount / from exec /bin/sh -c ").unwrap();
        let texts = [
            "FROM r:1/a:b".to_owned(),
            "COPY --link src/ src/".to_owned(),
            "RUN --mount=type=cache,target=/c make all".to_owned(),
            "RUN [\"/bin/sh\", \"-c\", \"make all\"]".to_owned(),
            format!("RUN {body}"),
        ];
        let steps = texts.into_iter().map(step).collect();
        let outline = Outline { stages: vec![OutlineStage { name: None, steps }], ..Outline::default() };
        let mut model = Model::default();
        model.apply(&Stamped { at: Time::default(), event: Event::Outline(outline.clone()) });
        let mut found = 0;
        for (number, written) in (1..).zip(&outline.stages[0].steps) {
            let text = format!("[linux/amd64 {number}/5] {}", written.instruction);
            let VertexKind::Step(name) = name::parse(&Text::clean(&text)) else { panic!("{text}") };
            let step = Step { platform: name.platform.clone(), name, vertices: Vec::new() };
            let instruction = InstructionForms::new(&step.name, model.stack.written(&step));
            let each: Vec<&CacheRecord> =
                records.iter().filter(|record| instruction.of_record(record) == Fit::Yes).collect();
            assert_eq!(model.results_of(&step, &records, &index), each, "{text}");
            found += each.len();
        }
        assert_eq!(
            found, 7,
            "one for the FROM, two each for the COPY and the command, one each for the list and what is cut"
        );
    }
}
