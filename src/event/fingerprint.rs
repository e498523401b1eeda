//! What a build is made from: each step with all that can change it, so that two builds can be compared.
//!
//! Files are held once, in a table a context, and variables in one table; steps point at them. Nothing secret stands in
//! it: values that are secret by name are known by a keyed hash alone, secrets of mounts by their ids.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Platform, Text};

/// How a fingerprint is made, by number. Hashes of steps and sets are comparable where this is the same.
pub const RULES: u32 = 1;

/// Files that a fingerprint lists, over all of its contexts. A [`FileSet`] that would go beyond is known by its hash, its
/// count and its bytes only, and is not [`FileSet::listed`]; sets are listed in the order of the steps that use them.
pub const MOST_FILES: usize = 20_000;

/// Bytes of names and symlink targets that a fingerprint lists; beyond, as for [`MOST_FILES`].
pub const MOST_NAME_BYTES: usize = 4 << 20;

/// Entries of [`Fingerprint::unread`].
pub const MOST_UNREAD: usize = 100;

/// What a build is made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Fingerprint {
    /// By which rules it was made: [`RULES`] of the program that made it.
    pub rules: u32,
    /// Names the key that hashes of secret values are made with. Where it differs between two fingerprints, hashes that
    /// are [`Variable::secret`] or [`Step::keyed`] can't be compared. Empty: there is none of them.
    pub key: Text,
    /// Whether it says all there is to say.
    pub state: Completeness,
    /// Why it does not, and what to do, in one sentence; empty where it does.
    pub reason: Text,
    /// The Dockerfile's path, relative to the working directory where it lies below it; none where it could not be read
    /// here.
    pub dockerfile: Option<Text>,
    /// The frontend image that its `syntax` directive asks for.
    pub syntax: Option<Text>,
    /// The stage that is built as it was asked for; none: the last.
    pub target: Option<Text>,
    /// The platforms that are built; empty where the builder's own was not known.
    pub platforms: Vec<Platform>,
    /// The folders, images and addresses that files are taken from. The first is the build's own context.
    pub contexts: Vec<Context>,
    /// All files that some step takes.
    pub sets: Vec<FileSet>,
    /// All variables that are in some step's environment.
    pub variables: Vec<Variable>,
    /// The stages that the target needs, once for each platform that they are built for; by platform, then in the file's
    /// order. A stage that is the same for several platforms (`FROM --platform=$BUILDPLATFORM`) stands here once for each.
    pub stages: Vec<Stage>,
    /// What could not be read, at most [`MOST_UNREAD`] of it.
    pub unread: Vec<Unread>,
    /// How much could not be read in all.
    pub unread_total: u64,
    /// What it took to make it.
    pub work: FingerprintWork,
}

/// Whether a fingerprint says all there is to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// It could not be made at all.
    #[default]
    None,
    /// Everything was read that counts.
    Complete,
    /// Something could not be read: the sets and steps that it touches are not [`FileSet::complete`].
    Partial,
    /// It was given up because nobody waits for it any more.
    Cancelled,
}

/// A hash of 128 bits: the first half of BLAKE3's.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 16]);

/// A build context: where files come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Context {
    /// Its name in `--build-context`; empty for the build's own.
    pub name: Text,
    /// What it is.
    pub kind: ContextKind,
    /// The folder, image or address, as it was given; user information masked.
    pub root: Text,
    /// What decides which of its files are left out; none where there is no such file.
    pub ignore: Option<Ignore>,
    /// The entries that some listed set takes, and the folders above them, as a tree: each stands before what is in it, the
    /// entries of a folder are sorted by name in byte order. The root is not among them.
    pub files: Vec<File>,
}

/// What a context is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContextKind {
    /// A folder of this machine: the only kind whose files are known here.
    #[default]
    Folder,
    /// An image, `docker-image://`, or one of a local OCI layout.
    Image,
    /// A repository, an archive or a file behind an address.
    Remote,
    /// Another target of the same bake file.
    Target,
    /// Standard input.
    Input,
}

/// The patterns of what is left out of a context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ignore {
    /// The file they stand in, relative to the context where it is in it: `.dockerignore`, `Dockerfile.dockerignore`.
    pub file: Text,
    /// Hash of its content.
    pub hash: Hash,
    /// How many patterns there are.
    pub total: u32,
    /// The patterns as they are written, at most 200; the last that matches decides.
    pub patterns: Vec<Text>,
}

/// An entry of a context's tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct File {
    /// How many folders it is in, below the root. What follows it and lies deeper is in it.
    #[serde(skip_serializing_if = "is_zero")]
    pub depth: u16,
    /// Its name without path; bytes that are no UTF-8 stand as `\xff`.
    pub name: Text,
    /// What it is.
    #[serde(skip_serializing_if = "FileKind::is_file")]
    pub kind: FileKind,
    /// Its permission bits with set-user-id, set-group-id and sticky bit: 420 is 0644. Those of a symlink do not count.
    pub mode: u16,
    /// Bytes of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Hash of a file's content; none of anything else, or where it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// Hash of its extended attributes that count; none where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xattrs: Option<Hash>,
    /// What a symlink points at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Text>,
    /// Of a small list of packages (`requirements.txt`, `package.json` and the like) its lines, secrets masked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Text>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A file.
    #[default]
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A socket.
    Socket,
    /// A named pipe.
    Fifo,
    /// A device.
    Device,
}

/// The files that a step takes by one of its sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileSet {
    /// Index into [`Fingerprint::contexts`].
    pub context: u32,
    /// What was asked for, relative to the context's root: `src`, `*.txt`.
    pub pattern: Text,
    /// Hash of all that counts for `BuildKit` always: names within the set, kinds, contents, modes of files, symlink targets.
    pub hash: Hash,
    /// Hash of what counts only where the builder sees it for the first time: modes of folders, and extended attributes. Seen
    /// on an engine: their change alone is not noticed by a builder that has the rest of the context from an earlier build; it
    /// is by another builder, and for a file whose time of modification has changed, too.
    pub attributes: Hash,
    /// Entries in it, folders included.
    pub count: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Whether all of it was read: otherwise two sets can't be told to be the same by their hash.
    pub complete: bool,
    /// Whether its entries are in the context's table.
    pub listed: bool,
    /// Those entries, as half-open ranges of indices into [`Context::files`], ascending. Of a folder whose content is
    /// copied the folder itself is not among them, for nothing of it counts.
    pub ranges: Vec<(u32, u32)>,
}

/// A variable in a step's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Variable {
    /// Its name.
    pub name: Text,
    /// Where its value comes from.
    pub origin: Origin,
    /// Whether its name says that it is a secret, or the build knows its value as one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Its value; none where it is a secret. A variable of the base image in it (`$PATH`) is empty: it is not known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Text>,
    /// Hash of its value; of a secret with the fingerprint's key.
    pub hash: Hash,
    /// The line of the `ARG` or `ENV` that set it, from 1.
    pub line: u32,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An `ENV`.
    #[default]
    Env,
    /// A build argument that was given (`--build-arg`).
    BuildArg,
    /// The default of its `ARG`, there or before the first `FROM`.
    Default,
    /// The platform (`TARGETARCH` and the like).
    Platform,
}

/// A stage on a platform.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stage {
    /// Its name as `BuildKit` prints it in a vertex (`tools`, `stage-1`); none where it prints none.
    pub name: Option<Text>,
    /// Its number in the Dockerfile, from 0.
    pub number: u32,
    /// The platform that the image is for.
    pub target: Option<Platform>,
    /// The platform that it runs on; differs from `target` by `FROM --platform`.
    pub platform: Option<Platform>,
    /// What it is built on.
    pub base: Input,
    /// Whether it becomes the image.
    pub is_target: bool,
    /// Whether its cache is not used by `--no-cache` or `--no-cache-filter`.
    pub no_cache: bool,
    /// How many steps `BuildKit` counts in it, where the base image leaves none to run (`ONBUILD`): those are not known here,
    /// and come before the others. Can be more than there are in `steps`, for `WORKDIR /` is counted and makes none.
    pub of: u32,
    /// Its steps, in order. The number of each is its place here, from 1.
    pub steps: Vec<Step>,
}

/// Something that a stage or a step is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Nothing: `FROM scratch`.
    #[default]
    Scratch,
    /// The end of another stage: an index into [`Fingerprint::stages`].
    Stage(u32),
    /// An image, by its reference after substitution. Its digest is what the progress stream says.
    Image(Text),
    /// An index into [`Fingerprint::contexts`].
    Context(u32),
    /// A repository, an archive or a file behind an address, user information masked.
    Remote(Text),
}

/// What a step does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// `FROM` an image.
    #[default]
    From,
    /// `RUN`.
    Run,
    /// `COPY`.
    Copy,
    /// `ADD`.
    Add,
    /// `WORKDIR`.
    Workdir,
}

/// A numbered instruction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Step {
    /// What it does.
    pub kind: StepKind,
    /// Hash of all that counts for `BuildKit` in this step itself: what it is built on is not in it. Two steps at the same
    /// place whose inputs are the same and whose hashes are the same hit each other's cache.
    pub hash: Hash,
    /// Whether a secret value is in the hash, so that it can't be compared under another [`Fingerprint::key`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keyed: bool,
    /// Whether the hash holds all that counts; what is not known stands in `gaps`, or in a set that is not complete.
    pub complete: bool,
    /// The platform that its vertex is named with; none where the build has only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The platform that its vertex says it runs on, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_on: Option<Platform>,
    /// Its text on one line, after substitution as `BuildKit` prints it, secrets masked.
    pub instruction: Text,
    /// First line of the instruction in the Dockerfile, from 1.
    pub line: u32,
    /// The bodies of its heredocs, secrets masked, line by line; each at most 500 lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heredocs: Vec<Vec<Text>>,
    /// Of a `RUN`: the variables in its environment, as indices into [`Fingerprint::variables`], in the order in which they
    /// were set last, which counts. The base image's own are not among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<u32>,
    /// Of a `RUN`: `USER`, `SHELL` and `WORKDIR` where the Dockerfile sets them, and the build's options that count for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
    /// Of a `RUN`: its mounts, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Of a `COPY` or `ADD`: what it takes, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// What counts and is not known here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

/// A part of a command's surroundings that an earlier instruction sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Setting {
    /// The instruction, or the build's option: `USER`, `SHELL`, `WORKDIR`, `--add-host`.
    pub name: Text,
    /// Its value, secrets masked.
    pub value: Text,
}

/// A mount of a `RUN`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// Its words as they are written, after substitution: `type=cache,target=/root/.cache`.
    pub text: Text,
    /// The id of a cache, a secret or an SSH agent, where one is given.
    pub id: Option<Text>,
    /// What it is mounted from; none for those that take nothing.
    pub from: Option<Input>,
    /// The files that it sees, as an index into [`Fingerprint::sets`]; none where they are not known here or do not count.
    pub set: Option<u32>,
}

/// What a mount is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// Files of a stage, an image or a context. The only one whose content counts.
    #[default]
    Bind,
    /// A cache that outlives the build.
    Cache,
    /// A secret. Its value never counts.
    Secret,
    /// An SSH agent.
    Ssh,
    /// Memory.
    Tmpfs,
}

/// One of the sources of a `COPY` or `ADD`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Source {
    /// The path, pattern or address after substitution, secrets masked; the name of a heredoc.
    pub path: Text,
    /// Where it is taken from; none for a heredoc.
    pub from: Option<Input>,
    /// The files, as an index into [`Fingerprint::sets`]; none where they are not known here.
    pub set: Option<u32>,
}

/// Something that counts and is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// A variable is used that only the base image can have set. The text is not what `BuildKit` prints then; the hash holds.
    BaseVariable,
    /// The builder's own platform is used, and was not known.
    BuildPlatform,
    /// What is behind an address is seen by the builder only.
    Remote,
    /// The instruction can't be read as `BuildKit` reads it.
    Unreadable,
    /// A stage, an image or a context that is not there.
    MissingInput,
    /// Files could not be read; [`Fingerprint::unread`] has them.
    Files,
    /// No file fits, which fails the build.
    NoFiles,
    /// It is what the base image leaves to run (`ONBUILD`), which the Dockerfile does not have: known by the stream alone.
    Trigger,
}

/// Something that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Unread {
    /// The path, relative to its context, or as it was named.
    pub path: Text,
    /// The context, as an index into [`Fingerprint::contexts`]; none for what is in no context.
    pub context: Option<u32>,
    /// Why, in a few words: `permission denied`.
    pub why: Text,
}

/// What it took to make a fingerprint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FingerprintWork {
    /// Entries that were looked at.
    pub entries: u64,
    /// Files that were read, and their bytes.
    pub read_files: u64,
    /// Bytes of these.
    pub read_bytes: u64,
    /// Files whose hash was known from an earlier time.
    pub known_files: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

impl FileKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_file(&self) -> bool {
        matches!(self, Self::File)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl Fingerprint {
    /// The step that a vertex of this name is: its stage's name, its number from 1, and the platforms in its name. A
    /// vertex without a platform is that of the only one, or of all alike; then the first is given.
    pub fn step(
        &self,
        stage: Option<&Text>,
        index: u16,
        platform: Option<&Platform>,
    ) -> Option<(&Stage, &Step)> {
        let place = usize::from(index).checked_sub(1)?;
        let stages = self.stages.iter().filter(|known| known.name.as_ref() == stage);
        let steps = || stages.clone().filter_map(|stage| Some((stage, stage.steps.get(place)?)));
        let named = steps().find(|(_, step)| platform.is_some() && step.platform.as_ref() == platform);
        let meant = |stage: &Stage| platform.is_none() || stage.target.as_ref() == platform;
        named.or_else(|| steps().find(|(stage, _)| meant(stage)))
    }

    /// The entries of a set with their paths from the context's root; none where they are not listed.
    pub fn files<'a>(&'a self, set: &'a FileSet) -> impl Iterator<Item = (String, &'a File)> {
        let context = self.contexts.get(set.context as usize);
        let files = context.map_or(&[][..], |context| context.files.as_slice());
        let mut at = 0;
        let mut path: Vec<&str> = Vec::new();
        let ranges = set.ranges.iter().map(|&(start, end)| start as usize..(end as usize).min(files.len()));
        ranges.flatten().filter_map(move |index| {
            // Ranges of a damaged recording may run backwards.
            if index + 1 < at {
                (at, path) = (0, Vec::new());
            }
            // The folders above an entry stand before it.
            while at <= index {
                let file = files.get(at)?;
                path.truncate(usize::from(file.depth));
                path.push(file.name.as_str());
                at += 1;
            }
            Some((path.join("/"), files.get(index)?))
        })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let wrong = || de::Error::custom("a hash is 32 hexadecimal digits");
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(&text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| wrong())
    }
}

impl JsonSchema for Hash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hash".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "A hash of 128 bits, the first half of BLAKE3's, in hexadecimal digits.",
            "type": "string",
            "pattern": "^[0-9a-f]{32}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(depth: u16, name: &str, kind: FileKind) -> File {
        File { depth, name: name.into(), kind, mode: 0o644, ..File::default() }
    }

    #[test]
    fn files_come_with_their_paths() {
        use FileKind::{Dir, File as F};
        let files = [(0, "a", Dir), (1, "b", Dir), (2, "c", F), (1, "d", F), (0, "e", F)];
        let files = files.map(|(depth, name, kind)| file(depth, name, kind)).to_vec();
        let context = Context { files, ..Context::default() };
        let fingerprint = Fingerprint { contexts: vec![context], ..Fingerprint::default() };
        let paths = |ranges: &[(u32, u32)]| {
            let set = FileSet { ranges: ranges.to_vec(), ..FileSet::default() };
            fingerprint.files(&set).map(|(path, _)| path).collect::<Vec<_>>()
        };
        assert_eq!(paths(&[(1, 4)]), ["a/b", "a/b/c", "a/d"]);
        assert_eq!(paths(&[(2, 3), (4, 5)]), ["a/b/c", "e"]);
        // What a damaged recording says.
        assert_eq!(paths(&[(4, 900), (2, 3), (3, 1)]), ["e", "a/b/c"]);
    }

    #[test]
    fn hashes_come_out_as_they_came_in() {
        let hash = Hash([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        let text = serde_json::to_string(&hash).unwrap();
        assert_eq!(text, "\"000102030405060708090a0b0c0d0eff\"");
        assert_eq!(serde_json::from_str::<Hash>(&text).unwrap(), hash);
        for bad in ["\"\"", "\"+00102030405060708090a0b0c0d0eff\"", "\"00\"", "7"] {
            assert!(serde_json::from_str::<Hash>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_vertex_finds_its_step() {
        let platform = |text: &str| Platform::parse(text);
        let step = |name: &str, on: Option<&str>| Step {
            instruction: name.into(),
            platform: on.and_then(platform),
            ..Step::default()
        };
        let stage = |name: &str, target: &str, steps| Stage {
            name: Some(name.into()),
            target: platform(target),
            steps,
            ..Stage::default()
        };
        let (amd, arm) = ("linux/amd64", "linux/arm64");
        let stages = vec![
            stage("tools", amd, vec![step("shared", Some(amd)), step("for amd", Some(amd))]),
            stage("tools", arm, vec![step("shared", Some(amd)), step("for arm", Some(arm))]),
        ];
        let fingerprint = Fingerprint { stages, ..Fingerprint::default() };
        let find = |index, on: Option<&str>| {
            let name = Text::from("tools");
            let found = fingerprint.step(Some(&name), index, on.and_then(platform).as_ref());
            found.map(|(_, step)| step.instruction.as_str().to_owned())
        };
        assert_eq!(find(2, Some(arm)).as_deref(), Some("for arm"));
        assert_eq!(find(1, Some(arm)).as_deref(), Some("shared"));
        assert_eq!(find(2, None).as_deref(), Some("for amd"));
        assert_eq!(find(3, None), None);
        assert_eq!(find(0, None), None);
        assert_eq!(fingerprint.step(None, 1, None), None);
    }
}
