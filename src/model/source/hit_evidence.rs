//! How it is known where a hit came from, as a value. `report::origin` puts it into words.

use crate::event::{Digest, Text};

/// How it is known where a hit came from, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HitEvidence {
    /// It was not judged yet.
    NotJudged,
    /// No cache was imported, so that the builder had the step's result.
    NoImport,
    /// No cache was imported, and nothing was fetched for the base image.
    NothingFetched,
    /// The builder had no result of any step before the build, and a cache was imported.
    EmptyBuilder,
    /// Records that can be its result say the same.
    Records {
        /// Which records these are.
        matching: MatchingRecords,
        /// What they say.
        origin: RecordOrigin,
    },
    /// Several records can be its result, and they do not say the same.
    Ambiguous {
        /// Their identities, the first ones.
        records: Vec<Text>,
    },
    /// A blob of the imported cache was fetched for it.
    Fetched {
        /// The blob.
        blob: Digest,
    },
    /// The build has not ended.
    Running,
    /// The builder's records were not listed.
    NotListed,
    /// The builder has several nodes, and it is not known which of them built it.
    SeveralNodes,
    /// The builder's records of before the build are not known.
    NotWhole {
        /// Why; none where not all of them were listed.
        why: Option<Text>,
    },
    /// What was imported was listed only after the first hit.
    ImportListedLate,
    /// The records were listed only after the first hit.
    ListedLate,
    /// The records were listed only after the first hit, and some that were used are gone.
    ListedTooLate,
    /// The records of after the build are not known yet.
    NotListedAfter,
    /// The builder had a record of it before the build, which this build did not need to load.
    NotLoaded,
    /// The builder had records before the build that may be its result.
    MayBe,
    /// Nothing was fetched for the base image, and the builder had no record of it.
    NoRecordOfBase,
    /// The builder had no record of it before the build, and a cache was imported.
    NoRecord,
}

/// The records that can be a step's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchingRecords {
    /// One, with its identity.
    One(Text),
    /// So many.
    Any(usize),
}

/// How a record came to the builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordOrigin {
    /// With this build, from an imported cache; with its blob, where that is one.
    Imported(Option<Digest>),
    /// It was there before the build.
    Before,
    /// It was made on this builder while the build ran.
    Meanwhile,
}
