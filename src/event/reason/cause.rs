//! Causes as values. `wording` puts them into words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ReasonKind;
use super::fact::{FileChange, LineDifference, StepNumber, VariableDifference};
use crate::event::prediction::Basis;
use crate::event::{Digest, Platform, Text};

/// Why a step was not cached, with the values that are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Cause {
    /// Nothing like it was built here before.
    FirstBuild,
    /// The instruction is new.
    InstructionAdded,
    /// An instruction before it was removed.
    InstructionRemoved,
    /// The instruction's text is another. Where neither is given, only white space differs.
    InstructionChanged {
        /// The words that are gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        removed: Option<Text>,
        /// The words that are new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        added: Option<Text>,
    },
    /// The instruction's heredoc is another.
    HeredocChanged {
        /// The line that differs, where it is the only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<LineDifference>,
    },
    /// What another instruction or an option sets for it (`USER`, `SHELL`, `WORKDIR`, `--add-host`) is another.
    SettingChanged {
        /// The setting.
        name: Text,
        /// What it was; none where it was not set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old: Option<Text>,
        /// What it is; none where it is not set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<Text>,
    },
    /// A secret value in the instruction is another; it is masked and not shown.
    MaskedChanged,
    /// The fingerprint is another, and it is not known which part of it.
    FingerprintChanged,
    /// A variable that an `ENV` sets is another.
    EnvChanged {
        /// The variable.
        variable: VariableDifference,
    },
    /// A build argument is another.
    ArgChanged {
        /// The argument.
        variable: VariableDifference,
    },
    /// The instruction reads otherwise by its build arguments, whose values are not known.
    ArgsSubstituted {
        /// The arguments in it, one of which is another at least.
        names: Vec<Text>,
    },
    /// The same variables were set in another order.
    VariableOrderChanged,
    /// Files that it takes are others.
    FilesChanged {
        /// The file that is named; none where they are not listed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<ChangedFile>,
        /// How many files differ besides.
        #[serde(default)]
        more: u64,
    },
    /// Modes of folders or extended attributes are others, and the files are not listed.
    AttributesChanged,
    /// The files that it takes are others, as nothing else is; they were not looked at.
    UnseenFilesChanged,
    /// What an address gives is another, as nothing else is.
    AddressChanged {
        /// The address.
        address: Text,
    },
    /// Only the builder sees what an address gives.
    AddressUnseen {
        /// The address.
        address: Text,
    },
    /// The `FROM` names another image.
    BaseReplaced {
        /// The image that it named.
        old: Text,
        /// The image that it names.
        new: Text,
    },
    /// The base image's tag points at another image.
    BaseMoved {
        /// Its reference with the tag.
        image: Text,
        /// The digest before.
        old: Digest,
        /// The digest now.
        new: Digest,
    },
    /// The base image had been pulled before, and the builder no longer had its layers.
    BaseLost {
        /// Its reference.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<Text>,
    },
    /// The builder had never needed the base image's layers.
    BaseFirstPulled {
        /// Its reference.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<Text>,
    },
    /// The registry has no such cache.
    CacheMissing {
        /// The cache's reference.
        reference: Text,
    },
    /// The cache's config is larger than what `BuildKit` imports.
    CacheTooLarge {
        /// The cache's reference.
        reference: Text,
        /// The config's size in bytes.
        bytes: u64,
        /// The most that is imported, in bytes.
        limit: u64,
    },
    /// The cache import failed.
    ImportFailed {
        /// The cache's reference.
        reference: Text,
        /// The error, in the builder's words.
        error: Text,
    },
    /// It was built for another platform only.
    PlatformOnly {
        /// That platform.
        platform: Platform,
    },
    /// The builder no longer has the result.
    Evicted {
        /// What took it, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Eviction>,
    },
    /// The build was told not to use the cache.
    NoCache {
        /// The option that says so.
        option: Text,
    },
    /// The last build ran on another builder.
    OtherBuilder {
        /// That builder; none where the build named none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old: Option<Text>,
        /// The builder now; none where the build names none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<Text>,
    },
    /// The last build ran on another node of the builder.
    OtherNode {
        /// That node.
        old: Text,
        /// The node now.
        new: Text,
    },
    /// A step that it is built on was rebuilt.
    Follows {
        /// The step at which that began.
        step: StepNumber,
    },
    /// It is not known.
    Unknown,
    /// It can't be predicted.
    Unpredictable {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        basis: Option<Basis>,
    },
}

/// A file that differs, as much of it as a cause names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedFile {
    /// Its path from the context's root.
    pub path: Text,
    /// What happened to it.
    pub change: FileChange,
    /// Its path before, where it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Text>,
    /// Its permissions before, where these alone differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_mode: Option<u16>,
    /// Its permissions now, where these alone differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u16>,
    /// The lines that differ, of a list of packages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineDifference>,
}

/// What took a result away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Eviction {
    /// The builder's cache was emptied.
    Emptied,
    /// The builder's garbage collection.
    GarbageCollection {
        /// Its rule, counted from 0 as buildx does.
        rule: u64,
    },
}

impl Cause {
    /// Of what kind it is.
    pub fn kind(&self) -> ReasonKind {
        match self {
            Self::FirstBuild | Self::BaseFirstPulled { .. } => ReasonKind::FirstBuild,
            Self::InstructionAdded
            | Self::InstructionRemoved
            | Self::InstructionChanged { .. }
            | Self::HeredocChanged { .. }
            | Self::SettingChanged { .. }
            | Self::MaskedChanged
            | Self::FingerprintChanged
            | Self::EnvChanged { .. }
            | Self::VariableOrderChanged
            | Self::BaseReplaced { .. } => ReasonKind::InstructionChanged,
            Self::ArgChanged { .. } | Self::ArgsSubstituted { .. } => ReasonKind::ArgChanged,
            Self::FilesChanged { .. } | Self::AttributesChanged | Self::UnseenFilesChanged => {
                ReasonKind::FilesChanged
            }
            Self::AddressChanged { .. } | Self::AddressUnseen { .. } => ReasonKind::Uncacheable,
            Self::BaseMoved { .. } => ReasonKind::BaseMoved,
            Self::BaseLost { .. } | Self::Evicted { .. } => ReasonKind::Evicted,
            Self::CacheMissing { .. } => ReasonKind::ManifestMissing,
            Self::CacheTooLarge { .. } => ReasonKind::ConfigTooLarge,
            Self::ImportFailed { .. } => ReasonKind::ImportFailed,
            Self::PlatformOnly { .. } => ReasonKind::PlatformNotCached,
            Self::NoCache { .. } => ReasonKind::NoCache,
            Self::OtherBuilder { .. } | Self::OtherNode { .. } => ReasonKind::OtherBuilder,
            Self::Follows { .. } => ReasonKind::ParentMissed,
            Self::Unknown | Self::Unpredictable { .. } => ReasonKind::Unknown,
        }
    }

    /// Whether it is told without any name: then the step's instruction says more.
    pub fn names_nothing(&self) -> bool {
        matches!(
            self,
            Self::InstructionAdded
                | Self::InstructionChanged { .. }
                | Self::HeredocChanged { .. }
                | Self::FilesChanged { file: None, .. }
        )
    }

    /// Whether two steps have it in common. Of a base image that moved the tag counts: each step may have been compared with
    /// another build.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::BaseMoved { image, .. }, Self::BaseMoved { image: other, .. }) => image == other,
            _ => self == other,
        }
    }
}
