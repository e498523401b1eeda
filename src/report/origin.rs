//! How it is known where a hit came from, in words.

use crate::event::Text;
use crate::model::{HitEvidence, MatchingRecords, RecordOrigin};

/// One sentence that says how it is known.
pub fn sentence(evidence: &HitEvidence) -> Text {
    let text = match evidence {
        HitEvidence::NotJudged => "nothing is known of it yet",
        HitEvidence::NoImport => "no registry cache was imported, so it was in the builder's own",
        HitEvidence::NothingFetched => "nothing was fetched for it, and no registry cache was imported",
        HitEvidence::EmptyBuilder => {
            "the builder had no result of any step before the build, and the cache was imported"
        }
        HitEvidence::Records { matching, origin } => return Text::clean(&records(matching, origin)),
        HitEvidence::Ambiguous { records } => {
            let records = records.iter().map(Text::as_str).collect::<Vec<_>>().join(", ");
            return Text::clean(&format!(
                "cached; which of the records {records} is its result is not known"
            ));
        }
        HitEvidence::Fetched { blob } => {
            return Text::clean(&format!("{blob} of the imported cache was fetched for it"));
        }
        HitEvidence::Running => "cached; its source is known when the build has ended",
        HitEvidence::NotListed => "cached; the builder's records were not listed",
        HitEvidence::SeveralNodes => {
            "cached; the builder has several nodes, and it is not known which of them built it"
        }
        HitEvidence::NotWhole { why } => {
            let why = why.as_ref().map_or("not all of them were listed", Text::as_str);
            return Text::clean(&format!(
                "cached; the builder's records before the build are not known: {why}"
            ));
        }
        HitEvidence::ImportListedLate => "cached; what was imported was listed only after the first hit",
        HitEvidence::ListedLate => "cached; the builder's records were listed only after the first hit",
        HitEvidence::ListedTooLate => {
            "cached; the builder's records were listed late, and some that were used are gone"
        }
        HitEvidence::NotListedAfter => "cached; the builder's records after the build are not known yet",
        HitEvidence::NotLoaded => {
            "the builder had a record of it before the build; this build did not need to load it"
        }
        HitEvidence::MayBe => {
            "cached; the builder had records before the build that may or may not be its result"
        }
        HitEvidence::NoRecordOfBase => "nothing was fetched for it, and the builder had no record of it",
        HitEvidence::NoRecord => {
            "the builder had no record of it before the build, and the cache was imported"
        }
    };
    Text::clean(text)
}

fn records(matching: &MatchingRecords, origin: &RecordOrigin) -> String {
    let records = match matching {
        MatchingRecords::One(id) => format!("its record {id}"),
        MatchingRecords::Any(count) => format!("any of the {count} records that can be its result"),
    };
    match origin {
        RecordOrigin::Imported(Some(blob)) => format!("{records} came with this build, imported as {blob}"),
        RecordOrigin::Imported(None) => format!("{records} came with this build, imported"),
        RecordOrigin::Before => format!("{records} was there before the build"),
        RecordOrigin::Meanwhile => format!("{records} was made on this builder while the build ran"),
    }
}
