//! Evidence as values. `wording` puts it into words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::fingerprint::Gap;
use crate::event::{Digest, Platform, Text};

/// What a reason is known by, with its values. `old` is of the build that this one is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fact {
    /// A file, folder or symlink differs.
    File {
        /// Its path from the context's root.
        path: Text,
        /// What happened to it.
        change: FileChange,
        /// Its path before, where it was renamed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Text>,
        /// Its bytes before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old_bytes: Option<u64>,
        /// Its bytes now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        /// Its permissions before, where these alone differ.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old_mode: Option<u16>,
        /// Its permissions now, where these alone differ.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u16>,
    },
    /// A line differs of the file that was told before it.
    FileLine(LineDifference),
    /// More files differ than are told.
    MoreFiles {
        /// How many more.
        count: u64,
    },
    /// A set of files differs that is too large to be listed.
    FileSet {
        /// The pattern that takes them.
        pattern: Text,
        /// Its entries before.
        old_count: u64,
        /// Its entries now.
        count: u64,
        /// Its bytes before.
        old_bytes: u64,
        /// Its bytes now.
        bytes: u64,
    },
    /// Not all of a set of files could be read.
    FilesUnread {
        /// The pattern that takes them.
        pattern: Text,
    },
    /// `BuildKit` notices such a difference only of files that it sees for the first time.
    FirstSightOnly,
    /// Which files differ is not known.
    FilesUnseen {
        /// Whether it is an instruction of the base image (`ONBUILD`); otherwise the context was not looked at.
        trigger: bool,
    },
    /// A line of the Dockerfile, or what it sets.
    Line {
        /// What was there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old: Option<Text>,
        /// What is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<Text>,
        /// Where it is, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<u32>,
        /// The setting that it is, where it is one: `USER`, `--add-host`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        setting: Option<Text>,
    },
    /// What is there now, of the `line` that was told before it.
    LineNow {
        /// The text.
        text: Text,
    },
    /// A line of a heredoc differs.
    HeredocLine(LineDifference),
    /// A variable of a command's environment differs.
    Variable(VariableDifference),
    /// The order in which variables were set.
    VariablesWere {
        /// Their names.
        names: Vec<Text>,
    },
    /// The order in which they are set.
    VariablesAre {
        /// Their names.
        names: Vec<Text>,
    },
    /// The order of variables counts for `BuildKit`.
    OrderCounts,
    /// It reads as it did, but for what is masked in it.
    OnlyMasked,
    /// Its fingerprint is another, and it is not known which part of it.
    FingerprintDiffers,
    /// A base image moved.
    Base {
        /// Its reference with the tag.
        image: Text,
        /// The digest before.
        old: Digest,
        /// The digest now.
        new: Digest,
    },
    /// An earlier build had to pull the base image too.
    PulledBefore {
        /// That build.
        build: Text,
    },
    /// No earlier build has pulled the base image: what was built on it was cached.
    NeverPulled,
    /// The step that a step follows from.
    Follows {
        /// The step that it is built on.
        step: StepNumber,
        /// The step at which it began; none where it is the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        root: Option<StepNumber>,
        /// The instruction of the step that it is built on.
        instruction: Text,
    },
    /// A step that it is built on differs, and was cached: it had been built like this before.
    CachedItself {
        /// The step's number in its stage, from 1.
        index: u16,
    },
    /// The last build was made of something else, and this one of the same as an older one.
    MadeOf {
        /// The last build.
        last: Text,
        /// The older build.
        build: Text,
    },
    /// The earlier build that this one is compared with.
    ComparedWith {
        /// Its name.
        build: Text,
    },
    /// Nothing that is known of it differs from an earlier build.
    NothingDiffers {
        /// That build.
        build: Text,
    },
    /// What could not be compared.
    NotCompared {
        /// What, or why.
        what: Uncompared,
    },
    /// The option that the build was started with.
    StartedWith {
        /// The option.
        option: Text,
    },
    /// The value of a secret mount is no reason: `BuildKit` does not look at it.
    SecretIgnored {
        /// The secret's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Text>,
    },
    /// The builder asks an address at each build.
    AskedEachTime {
        /// The address.
        address: Text,
    },
    /// What an address gives can't be seen from here; all else is as it was.
    AddressUnseen,
    /// The registry has no such cache.
    CacheMissing {
        /// The cache's reference.
        reference: Text,
    },
    /// Nothing like it was built, and the registry has no such cache yet.
    NoCacheYet {
        /// The cache's reference.
        reference: Text,
    },
    /// The cache's config is larger than what `BuildKit` imports.
    ConfigTooLarge {
        /// Its bytes.
        bytes: u64,
        /// The most that is imported, in bytes.
        limit: u64,
    },
    /// The cache import failed.
    ImportFailed {
        /// The error, in the builder's words.
        error: Text,
    },
    /// The cache was imported and does not hold the result.
    NotInCache {
        /// The cache's reference.
        reference: Text,
    },
    /// The cache was imported and holds the result, which was not used.
    NotUsed {
        /// The cache's reference.
        reference: Text,
        /// The layer's blob.
        blob: Digest,
    },
    /// The cache was imported and had nothing for a step that was never built here.
    NothingInCache {
        /// The cache's reference.
        reference: Text,
    },
    /// What the builder held before the build is not known.
    RecordsUnknown {
        /// Why; none where they were not listed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Text>,
    },
    /// The builder had no result of any step before the build.
    NoResults,
    /// The builder had the step's result and has it no longer.
    RecordsGone {
        /// Its records, three at most.
        records: Vec<Text>,
    },
    /// Some of the result's records are gone.
    RecordsPartlyGone {
        /// Records that are gone, three at most.
        gone: Vec<Text>,
        /// Records that are there, three at most.
        left: Vec<Text>,
    },
    /// The builder still has the result's records.
    RecordsThere {
        /// The records, three at most.
        records: Vec<Text>,
    },
    /// The builder has a record of this instruction; it is not known whether that is the result.
    RecordUnclear,
    /// The builder has no record of this instruction.
    NoRecord,
    /// The builder had no record of this instruction, of which no earlier build is known.
    HadNoRecord,
    /// The builder has a record of this instruction, from a build that was not recorded.
    ForeignRecord,
    /// The builder still has its earlier result, and all else is as it was.
    ResultThere,
    /// An earlier build had the result.
    HadResult {
        /// That build.
        build: Text,
    },
    /// No earlier build of it is known here.
    NoEarlierBuild,
    /// Other steps of this build were cached.
    OthersCached,
    /// An earlier build was for another platform.
    BuiltFor {
        /// That build.
        build: Text,
        /// Its platform.
        platform: Platform,
        /// The platform that is wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wanted: Option<Platform>,
    },
    /// The same step was cached for another platform in this build.
    PlatformCached {
        /// That platform.
        platform: Platform,
    },
    /// The builder that an earlier build was made on.
    MadeOnBuilder {
        /// That build.
        build: Text,
        /// Its builder; none where it named none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old: Option<Text>,
        /// The builder now, on which no build of it is known; none where the build names none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<Text>,
    },
    /// The node that an earlier build was made on.
    MadeOnNode {
        /// That build.
        build: Text,
        /// Its node.
        node: Text,
    },
    /// The builder was pruned or made anew: nothing at all is left.
    Emptied,
    /// A rule of a node's garbage collection could have taken the result.
    GarbageCollection {
        /// The node.
        node: Text,
        /// The rule, counted from 0 as buildx does.
        rule: u64,
        /// What the rule says and what there was.
        limit: GcLimit,
    },
}

/// A step, as it is named in another one's reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepNumber {
    /// Its number in its stage, from 1.
    pub index: u16,
    /// Its stage, where that is another one than the step's whose reason it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Text>,
}

/// A variable that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariableDifference {
    /// Its name.
    pub name: Text,
    /// What happened to it.
    #[serde(default)]
    pub change: VariableChange,
    /// Whether its values are secret; they are not told then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Its value before; none where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Text>,
    /// Its value now; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Text>,
}

/// What happened to a variable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VariableChange {
    /// It was not set.
    Added,
    /// It is no longer set.
    Removed,
    /// It has another value.
    #[default]
    Value,
}

/// A line that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineDifference {
    /// Whether it is new; otherwise it is gone.
    pub added: bool,
    /// The line.
    pub text: Text,
}

/// What could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Uncompared {
    /// What counts and is not known.
    Gaps {
        /// Of which kind it is.
        gaps: Vec<Gap>,
    },
    /// Some of its files could not be read.
    Files,
    /// A secret value is in its environment, and hashes of these differ from machine to machine.
    SecretValue,
    /// The earlier build was looked at by another version of layertop.
    OtherVersion,
    /// What it was made from was not looked at.
    NotLookedAt,
}

/// What a rule of the garbage collection says, and what there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GcLimit {
    /// The rule limits what the cache takes.
    Used {
        /// The most that is kept, in bytes.
        keep: u64,
        /// What there was, in bytes.
        bytes: u64,
        /// The build after which there was so much; none: before this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        build: Option<Text>,
    },
    /// The rule wants space to be free on the disk.
    Free {
        /// What it wants, in bytes.
        wanted: u64,
        /// What is free, in bytes.
        free: u64,
    },
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// It was not there.
    Added,
    /// It is gone.
    Removed,
    /// It has another name and is the same otherwise.
    Renamed,
    /// Its content is another.
    Content,
    /// Its permissions are others, and nothing else.
    Mode,
    /// Its extended attributes are others, and nothing else.
    Xattrs,
    /// It is something else: a folder that was a file; or it links elsewhere.
    Kind,
}

impl FileChange {
    /// In a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Renamed => "renamed",
            Self::Content => "content",
            Self::Mode => "mode only",
            Self::Xattrs => "extended attributes only",
            Self::Kind => "kind",
        }
    }
}
