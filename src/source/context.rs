//! Makes a [`Fingerprint`]: what each step of a build is made from.
//!
//! It reads what `BuildKit` will be sent, and no more: the folders that some step takes files from, without what the ignore
//! file leaves out. It runs on a thread of its own at the lowest priority, and a build never waits for it. What it follows is
//! what an engine was seen to do (`tests/engine/context`); where a rule was read, its place in `BuildKit`'s source is named.
//!
//! | change | seen on an engine |
//! | --- | --- |
//! | content, mode or name of a file; a new file, folder, link, pipe or socket; the target of a link | miss |
//! | time or owner of a file; a second name instead of a copy; what the ignore file or `--exclude` leaves out | hit |
//! | mode of a folder, an extended attribute | hit, where the builder has the rest of the context from an earlier build; else miss |
//! | the path of a source whose last name and content stay; that of a link's target | hit |
//! | the last name of a source; the order of sources; `--chown`, `--chmod`, `--exclude`, the destination | miss |
//! | value or order of a variable in a `RUN`'s environment; `USER`, `SHELL`, `WORKDIR` before it | miss |
//! | the name of a `RUN`'s heredoc; the order of its mounts, how a cache is shared, the value of a secret | hit |
//! | what a bind mount holds; the id or place of a cache or a secret | miss |
//! | `--add-host`, `--ulimit`, `--shm-size`, `--network` of the build | miss of each `RUN` |

mod content;
mod glob;
mod ignore;
mod lists;
mod platform;
pub mod request;
mod select;
mod sets;
mod steps;
mod store;
mod sum;
mod tree;
pub mod watch;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::dockerfile::{self, Dockerfile, DockerfileInstruction};
use crate::event::fingerprint::{Completeness, ContextKind, Fingerprint, RULES};
use crate::event::{Event, Mask, Stamped, Text};

pub use request::{FingerprintRequest, NoCache};
pub use sets::read_small;
use sets::{ContextLocation, FileSets};
use steps::FingerprintMaker;
use sum::SecretHasher;

/// What to do where a Dockerfile can't be read.
pub const NAME_IT: &str = "name the Dockerfile by -f or [build] dockerfile";

/// A default that has fewer bytes is taken for a word rather than for a secret.
const SHORTEST: usize = 8;

/// The flags of a `COPY` or `ADD` that count.
struct CopyFlags {
    flags: Vec<(String, String)>,
    parents: bool,
    checksum: bool,
}

impl CopyFlags {
    fn of(instruction: &DockerfileInstruction) -> Self {
        let on = |flag: &dockerfile::FlagWord| flag.value.as_deref() != Some("false");
        let has = |name: &str| instruction.flags.iter().any(|flag| flag.name == name && on(flag));
        // With a mode the layer is no link, whatever is asked for.
        let chmod = has("chmod");
        let counts =
            |flag: &&dockerfile::FlagWord| on(flag) && flag.name != "from" && !(flag.name == "link" && chmod);
        let mut flags: Vec<(String, String)> = instruction
            .flags
            .iter()
            .filter(counts)
            .map(|flag| {
                let value = flag.value.clone().filter(|value| value != "true").unwrap_or_default();
                (flag.name.clone(), value)
            })
            .collect();
        // Their order does not count, but that of several `--exclude` does.
        flags.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { flags, parents: has("parents"), checksum: has("checksum") }
    }
}

/// Makes the fingerprint. It blocks; `cancel` ends it soon, and says so in what it gives.
///
/// It never fails: what can't be read is in [`Fingerprint::unread`], and the hashes that depend on it are not complete.
pub fn fingerprint(request: &FingerprintRequest, cancel: &AtomicBool, clock: Clock) -> Fingerprint {
    look(request, cancel, clock).0
}

/// The fingerprint, and the folders that it was made from: those that were listed, and the Dockerfile's own.
fn look(request: &FingerprintRequest, cancel: &AtomicBool, clock: Clock) -> (Fingerprint, Vec<PathBuf>) {
    let started = clock.now();
    let path = request.cwd.join(&request.dockerfile);
    let near = path.strip_prefix(&request.cwd).unwrap_or(&path);
    let named = Text::clean(&tree::shown(near.as_os_str()));
    let own = path.parent().map(Path::to_owned);
    let text = match sets::read_small(&path) {
        Ok(text) => text,
        Err(error) => {
            let why = tree::reason(&error);
            let reason = format!("can't read {named}: {why}; {NAME_IT}");
            let none = Fingerprint { rules: RULES, reason: Text::clean(&reason), ..Fingerprint::default() };
            return (none, own.into_iter().collect());
        }
    };
    let file = dockerfile::parse(&String::from_utf8_lossy(&text));
    let cache = request.cache.as_deref().map(|cache| cache.join("hashes"));
    let secrets =
        SecretHasher { mask: Mask::new(secrets(request, &file)), key: store::key(cache.as_deref()) };
    let sets = FileSets::new(places(request), &secrets.mask, cache.as_deref(), started, cancel);
    let mut maker = FingerprintMaker {
        request,
        file: &file,
        secrets: &secrets,
        sets,
        variables: Vec::new(),
        index: HashMap::new(),
        stages: Vec::new(),
        keyed: false,
    };
    if request.platforms.is_empty() {
        maker.platform(None);
    }
    for platform in &request.platforms {
        maker.platform(Some(platform));
    }
    let FingerprintMaker { sets, variables, stages, keyed, .. } = maker;
    let mut folders = sets.folders();
    folders.extend(own);
    let (mut contexts, sets, unread, unread_total, work) = sets.finish(&secrets.mask);
    for (context, place) in contexts.iter_mut().zip(places(request)) {
        if let Some(folder) = &place.folder {
            lists::read(context, folder, &secrets.mask);
        }
    }
    let complete = sets.iter().all(|set| set.complete) && unread_total == 0;
    let cancelled = cancel.load(Ordering::Relaxed);
    let (state, reason) = match (cancelled, complete) {
        (true, _) => (Completeness::Cancelled, "it was given up, for nobody waits for it".to_owned()),
        (false, true) => (Completeness::Complete, String::new()),
        (false, false) => (Completeness::Partial, partial(&unread)),
    };
    let mut made = Fingerprint {
        rules: RULES,
        key: if keyed { secrets.name() } else { Text::default() },
        state,
        reason: secrets.mask.text(&reason),
        dockerfile: Some(named),
        syntax: file.syntax.as_deref().map(|syntax| secrets.mask.text(syntax)),
        target: request.target.as_deref().map(Text::clean),
        platforms: request.platforms.clone(),
        contexts,
        sets,
        variables,
        stages,
        unread,
        unread_total,
        work,
    };
    made.work.took_us = u64::try_from(clock.now().since(started).as_micros()).unwrap_or(u64::MAX);
    (made, folders)
}

fn partial(unread: &[crate::event::fingerprint::Unread]) -> String {
    match unread.first() {
        Some(first) => format!(
            "{} could not be read: {}; make it readable, or leave it out by .dockerignore",
            first.path, first.why
        ),
        None => "a source of a COPY can't be followed".to_owned(),
    }
}

/// What must not be shown: what is known to be secret, and what is set under a name that says so.
fn secrets(request: &FingerprintRequest, file: &Dockerfile) -> Vec<String> {
    let mut secrets = request.secrets.clone();
    let named = |(name, value): (&String, &String)| Mask::secret_name(name).then(|| value.clone());
    secrets.extend(request.args.iter().filter_map(named));
    for stage in file.resolve(request.target.as_deref(), &request.args) {
        for variable in stage.steps.iter().flat_map(|step| step.variables.iter()) {
            if Mask::secret_name(&variable.name) && !secrets.contains(&variable.value) {
                secrets.push(variable.value.clone());
            }
        }
    }
    secrets
}

/// Secrets that stand in the Dockerfile itself: what is set there under a name that says so. `BuildKit` puts them into the names of
/// steps. Where there is none, or none that can be read, there is nothing.
pub fn hidden(request: &FingerprintRequest) -> Vec<String> {
    let Ok(text) = sets::read_small(&request.cwd.join(&request.dockerfile)) else { return Vec::new() };
    let mut found = secrets(request, &dockerfile::parse(&String::from_utf8_lossy(&text)));
    // Without these a word that stands in for a value would blacken whatever has it.
    found.retain(|value| value.len() >= SHORTEST && !request.secrets.contains(value));
    found
}

/// Where files may be taken from: the build's own context first.
fn places(request: &FingerprintRequest) -> Vec<ContextLocation> {
    let dockerfile = request.cwd.join(&request.dockerfile);
    let own_ignore = dockerfile.file_name().map(|name| {
        let mut name = name.to_owned();
        name.push(".dockerignore");
        dockerfile.with_file_name(name)
    });
    let own = std::iter::once(("", request.context.as_str(), own_ignore));
    let named = request.contexts.iter().map(|(name, root)| (name.as_str(), root.as_str(), None));
    let place = |(name, root, own_ignore): (&str, &str, Option<PathBuf>)| {
        let kind = kind(root);
        let folder = (kind == ContextKind::Folder).then(|| request.cwd.join(Path::new(root)));
        ContextLocation { name: name.to_owned(), kind, root: root.to_owned(), folder, own_ignore }
    };
    own.chain(named).map(place).collect()
}

/// What a context is, by what was given for it.
fn kind(root: &str) -> ContextKind {
    let begins = |schemes: &[&str]| schemes.iter().any(|scheme| root.starts_with(scheme));
    if root == "-" {
        ContextKind::Input
    } else if begins(&["docker-image://", "oci-layout://"]) {
        ContextKind::Image
    } else if begins(&["target:"]) {
        ContextKind::Target
    } else if begins(&["http://", "https://", "git://", "ssh://", "git@", "github.com/"]) {
        ContextKind::Remote
    } else {
        ContextKind::Folder
    }
}

/// Cancels the work when it is dropped.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes the fingerprint on a thread of its own and sends it as one event, unless nobody receives; then, and where it is
/// dropped, it ends soon. A thread that a dead file system holds up is left behind, and holds up nothing else.
pub async fn start(request: FingerprintRequest, clock: Clock, tx: mpsc::Sender<Vec<Stamped>>) {
    tokio::select! {
        () = tx.closed() => {}
        made = on_own_thread(move |cancel| fingerprint(&request, cancel, clock)) => {
            if let Some(made) = made {
                let event = Event::Fingerprint(Box::new(made));
                let _ = tx.send(vec![Stamped { at: clock.now(), event }]).await;
            }
        }
    }
}

/// A fingerprint of what is watched.
pub struct WatchedFingerprint {
    pub print: Fingerprint,
    /// Whether a folder was not watched before: what happened in it meanwhile is known by another look only.
    pub again: bool,
    /// Why changes will not be told, where that is so.
    pub blind: Option<Text>,
}

/// Makes the fingerprint as [`start`] does, and watches what it was made from. The watch is lent: it comes back with the result, and
/// is gone where there is none.
pub async fn survey(
    request: FingerprintRequest,
    mut watch: watch::FolderWatch,
    clock: Clock,
) -> Option<(watch::FolderWatch, WatchedFingerprint)> {
    on_own_thread(move |cancel| {
        let (print, folders) = look(&request, cancel, clock);
        let (again, blind) = match watch.set(folders) {
            Ok(new) => (new, None),
            Err(why) => (false, Some(why)),
        };
        (watch, WatchedFingerprint { print, again, blind })
    })
    .await
}

/// Does work on a thread of its own at the lowest priority; where this is dropped the work is told to end.
async fn on_own_thread<T: Send + 'static>(work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Option<T> {
    let cancel_on_drop = CancelOnDrop(Arc::default());
    let cancel = Arc::clone(&cancel_on_drop.0);
    let (done, made) = oneshot::channel();
    let thread = std::thread::Builder::new().name("fingerprint".to_owned()).spawn(move || {
        // On Linux it is the thread's own, and the disk's queue goes by it.
        let _ = rustix::process::setpriority_process(None, 19);
        let _ = done.send(work(&cancel));
    });
    thread.ok()?;
    made.await.ok()
}
