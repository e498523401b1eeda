//! Tells that something has changed where a fingerprint was made from.
//!
//! Watched are the folders that were listed for it, one by one: what a `.dockerignore` leaves out whole, and what no step takes
//! from, is not among them. What exactly has happened is not told: a look with known hashes costs less than keeping account.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::event::Text;

/// Folders that are watched at most.
const MOST_FOLDERS: usize = 50_000;
/// Paths of which it is kept in mind that what is there may be another folder than before; of more, all may.
const MOST_TORN: usize = 4096;
/// Nothing has changed for so long: what was being written is written.
const QUIET: Duration = Duration::from_millis(300);
/// Who writes without end is not waited for any longer.
const LONGEST_BURST: Duration = Duration::from_secs(5);

/// Folders that are watched. Dropped, they are so no more.
pub struct FolderWatch {
    watcher: Result<RecommendedWatcher, Text>,
    watched: HashSet<PathBuf>,
    torn: Receiver<PathBuf>,
    all_torn: Arc<AtomicBool>,
}

impl FolderWatch {
    /// Watches nothing yet. Each change is told by a `()`; where one is waiting to be heard no other is sent.
    pub fn start(tx: mpsc::Sender<()>) -> Self {
        let (tear, torn) = sync_channel(MOST_TORN);
        let all_torn = Arc::new(AtomicBool::new(false));
        let all = Arc::clone(&all_torn);
        let on_event = move |event: notify::Result<Event>| on_event(event, &tear, &all, &tx);
        let watcher = notify::recommended_watcher(on_event).map_err(|error| why(&error));
        Self { watcher, watched: HashSet::new(), torn, all_torn }
    }

    /// Watches these folders and no others; says whether one of them was not watched before.
    ///
    /// # Errors
    /// In words: why changes are not told. All that was watched is let go then.
    pub fn set(&mut self, folders: Vec<PathBuf>) -> Result<bool, Text> {
        let result = self.try_set(folders);
        if let Err(why) = &result {
            self.watcher = Err(why.clone());
            self.watched.clear();
        }
        result
    }

    fn try_set(&mut self, folders: Vec<PathBuf>) -> Result<bool, Text> {
        let wanted: HashSet<PathBuf> = folders.into_iter().collect();
        if wanted.len() > MOST_FOLDERS {
            let text = format!("there are {} folders to watch, and {MOST_FOLDERS} at most are", wanted.len());
            return Err(Text::clean(&text));
        }
        let watcher = self.watcher.as_mut().map_err(|why| why.clone())?;
        let torn: Vec<PathBuf> = self.torn.try_iter().collect();
        let all_torn = self.all_torn.swap(false, Ordering::Relaxed);
        let is_torn = |path: &Path| all_torn || torn.iter().any(|torn| path.starts_with(torn));
        // What is watched by a path may have moved away with its name.
        self.watched.retain(|path| {
            let keep = wanted.contains(path) && !is_torn(path);
            if !keep {
                // One that is gone is let go by itself.
                let _ = watcher.unwatch(path);
            }
            keep
        });
        let mut new = false;
        for path in wanted {
            if self.watched.contains(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    new = true;
                    self.watched.insert(path);
                }
                // It has gone meanwhile, which whoever watches its folder hears of; or it can't be read, and was not.
                Err(error) if is_harmless(&error) => {}
                Err(error) => return Err(why(&error)),
            }
        }
        Ok(new)
    }
}

/// Takes an event, on notify's thread: nothing is waited for.
fn on_event(
    event: notify::Result<Event>,
    tear: &SyncSender<PathBuf>,
    all: &AtomicBool,
    tx: &mpsc::Sender<()>,
) {
    let Ok(event) = event else {
        // Something was missed.
        all.store(true, Ordering::Relaxed);
        let _ = tx.try_send(());
        return;
    };
    // A look at the files is no change of them; the end of a look by whoever could have written may be.
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    if matches!(event.kind, EventKind::Access(_)) && event.kind != written {
        return;
    }
    let is_name = matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
    if event.need_rescan() {
        all.store(true, Ordering::Relaxed);
    } else if is_name || !matches!(event.kind, EventKind::Modify(_) | EventKind::Access(_)) {
        for path in event.paths {
            if tear.try_send(path).is_err() {
                all.store(true, Ordering::Relaxed);
            }
        }
    }
    let _ = tx.try_send(());
}

fn is_harmless(error: &notify::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => matches!(error.kind(), NotFound | NotADirectory | PermissionDenied),
        _ => false,
    }
}

/// Why something can't be watched, and what to do.
fn why(error: &notify::Error) -> Text {
    // EMFILE: `inotify(7)` counts instances as well.
    let too_many = matches!(&error.kind, notify::ErrorKind::Io(error) if error.raw_os_error() == Some(24));
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the limit of watched folders is reached: sysctl fs.inotify.max_user_watches=524288 raises it"
                .into()
        }
        _ if too_many => {
            "the limit of watchers is reached: sysctl fs.inotify.max_user_instances=512 raises it".into()
        }
        notify::ErrorKind::Io(error) => Text::clean(&super::tree::reason(error)),
        _ => Text::clean(&error.to_string()),
    }
}

/// Tells each burst of changes once, when it is over. Ends with either side.
pub async fn bursts(mut changes: mpsc::Receiver<()>, tx: mpsc::Sender<()>) {
    while changes.recv().await.is_some() {
        let mut last = std::pin::pin!(sleep(LONGEST_BURST));
        loop {
            tokio::select! {
                biased;
                () = &mut last => break,
                more = changes.recv() => if more.is_none() { break },
                () = sleep(QUIET) => break,
            }
        }
        // Where one is still waiting, it is about this one too.
        if tx.is_closed() || matches!(tx.try_send(()), Err(mpsc::error::TrySendError::Closed(()))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_told_once() {
        let (changed, changes) = mpsc::channel(1);
        let (tx, mut told) = mpsc::channel(16);
        tokio::spawn(bursts(changes, tx));
        for _ in 0..10_000 {
            changed.send(()).await.unwrap();
        }
        told.recv().await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(60), told.recv()).await.is_err(), "told twice");
        // One that never ends is told of nevertheless.
        let endless = tokio::spawn(async move {
            while changed.send(()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        tokio::time::timeout(LONGEST_BURST * 2, told.recv()).await.unwrap().unwrap();
        endless.abort();
    }

    /// Waits for a change; notify's thread tells it.
    async fn change(changes: &mut mpsc::Receiver<()>) {
        tokio::time::timeout(Duration::from_secs(60), changes.recv()).await.unwrap().unwrap();
        while changes.try_recv().is_ok() {}
    }

    #[tokio::test]
    async fn what_is_watched_is_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("a")).unwrap();
        std::fs::create_dir(at("b")).unwrap();
        let (tx, mut changes) = mpsc::channel(1);
        let mut watch = FolderWatch::start(tx);
        assert!(watch.set(vec![at("a")]).unwrap());
        assert!(!watch.set(vec![at("a")]).unwrap());
        assert!(!watch.set(vec![at("a"), at("gone")]).unwrap());
        // Of the one it is heard, and then nothing of the other has been before it.
        std::fs::write(at("b/x"), "x").unwrap();
        std::fs::read(at("b/x")).unwrap();
        assert!(changes.try_recv().is_err());
        std::fs::write(at("a/x"), "x").unwrap();
        change(&mut changes).await;
        // A folder under a name that another one had is another one.
        std::fs::rename(at("a"), at("c")).unwrap();
        std::fs::create_dir(at("a")).unwrap();
        change(&mut changes).await;
        assert!(watch.set(vec![at("a")]).unwrap(), "it is watched anew");
        while changes.try_recv().is_ok() {}
        std::fs::write(at("a/y"), "y").unwrap();
        change(&mut changes).await;
    }
}
