//! What would have avoided a miss: a value for each thing that is advised. `wording` puts it into words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Digest, Text};

/// Something that would have avoided a miss.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Advice {
    /// What to do, in one sentence.
    pub text: Text,
    /// The same for programs; absent in recordings of before there was one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::reason::known")]
    pub fix: Option<Fix>,
    /// The file that it is about.
    pub file: Option<Text>,
    /// The line in it, from 1.
    pub line: Option<u32>,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fix {
    /// Keep a file out of the build context, by a line of the ignore file.
    IgnoreFile {
        /// The file's path from the context's root.
        path: Text,
        /// The line.
        pattern: Text,
        /// Whether no step needs such a file; otherwise a step may need it.
        sure: bool,
    },
    /// Set a copied file's permissions in the Dockerfile.
    SetMode {
        /// The file's path from the context's root.
        path: Text,
    },
    /// Move a `COPY` after the steps that install packages and need none of its files.
    MoveCopy {
        /// The line of the last of these steps.
        after: u32,
    },
    /// Copy the lists of packages before they are installed, and the other files after that.
    SplitCopy {
        /// The paths of these lists.
        lists: Vec<Text>,
        /// The line of the first step that reads one of them.
        before: u32,
        /// The line of the last step that installs packages.
        after: u32,
    },
    /// Pin the base image by its digest.
    PinBase {
        /// Its reference, as the Dockerfile has it.
        image: Text,
        /// What its tag points at.
        digest: Digest,
    },
    /// Declare an `ARG` after the steps that do not use it.
    MoveArg,
    /// Pin the content of an address by its checksum.
    PinDownload,
    /// Keep what package managers download in cache mounts.
    CacheMounts {
        /// A mount for each command.
        mounts: Vec<CacheMount>,
        /// Whether the option `--no-cache-dir` has to go.
        keep_downloads: bool,
    },
    /// Export the cache to a registry with each build.
    ExportCache,
    /// Look whether the registry answers.
    CheckRegistry,
    /// Export a smaller cache.
    ShrinkCache,
    /// Build all platforms each time, or export the cache of each.
    BuildPlatforms,
    /// Share the cache between builders by a registry.
    ShareCache,
    /// Keep the cache in a registry as well as on the builder.
    KeepInRegistry,
    /// Have the builder keep more of its cache.
    KeepMore,
    /// Build without `--no-cache`.
    UseCache,
}

/// Where a command keeps what it downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CacheMount {
    /// The command: `pip install`.
    pub command: Text,
    /// The folder.
    pub target: Text,
    /// Whether one build at a time may use it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
}
