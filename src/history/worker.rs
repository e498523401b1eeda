//! A thread that works on the store. Callers do not wait for the disk: they receive the answer from a channel.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::build::StoredBuild;
use super::retain::RetentionLimits;
use super::store::{self, Store, StoreError, default_path};
use crate::clock::Clock;
use crate::recording::ANOTHER_PLACE;

/// Jobs that wait at most; there is a handful in a build.
const JOBS: usize = 16;
/// How long the end of the program waits for a disk that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

type StoreJob = Box<dyn FnOnce(&mut WorkerState) + Send>;

/// A thread that works on the store. Dropping it waits for what it was given as [`StoreWorker::close`] does.
#[derive(Debug)]
pub struct StoreWorker {
    jobs: Option<Arc<SyncSender<StoreJob>>>,
    done: Receiver<()>,
    messages: Arc<Mutex<Vec<String>>>,
}

/// Where the store is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StoreLocation {
    /// Where it usually is.
    #[default]
    Default,
    File(PathBuf),
    /// There is none: nothing is kept, and nothing known.
    Disabled,
}

/// The result of storing a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepResult {
    /// It is kept under this number.
    Stored(i64),
    /// One of its name was there.
    AlreadyStored,
    /// It could not be kept; the messages say why.
    NotStored,
}

/// What the thread owns.
struct WorkerState {
    path: Option<PathBuf>,
    clock: Clock,
    store: Option<Store>,
    messages: Arc<Mutex<Vec<String>>>,
}

impl StoreWorker {
    /// Opens the store. This does not wait for the disk and can't fail: see [`StoreWorker::take_messages`].
    pub fn start(place: StoreLocation, clock: Clock) -> Self {
        let place_is_wanted = place != StoreLocation::Disabled;
        let (jobs, inbox) = mpsc::sync_channel::<StoreJob>(JOBS);
        let (finished, done) = mpsc::sync_channel(1);
        let messages = Arc::new(Mutex::new(Vec::new()));
        let path = match place {
            StoreLocation::Default => default_path(),
            StoreLocation::File(path) => Some(path),
            StoreLocation::Disabled => None,
        };
        if path.is_none() && place_is_wanted {
            let text = format!("the history is not kept: there is no home directory; {ANOTHER_PLACE}");
            add_message(&messages, text);
        }
        let mut state = WorkerState { path, clock, store: None, messages: Arc::clone(&messages) };
        let thread = thread::Builder::new().name("history".to_owned()).spawn(move || {
            state.open();
            for job in inbox {
                job(&mut state);
            }
            // The store is closed before anybody hears that it is.
            drop(state);
            let _ = finished.send(());
        });
        if let Err(error) = thread {
            add_message(&messages, format!("the history is not kept: {error}; the build goes on"));
        }
        Self { jobs: Some(Arc::new(jobs)), done, messages }
    }

    /// Asks something of the store, which there may not be. The answer comes when what was asked before is done; where it can't come
    /// the channel is closed.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Option<&mut Store>) -> T + Send + 'static,
    ) -> Receiver<T> {
        self.client().ask(question)
    }

    /// A client that may outlive the worker.
    pub fn client(&self) -> StoreClient {
        StoreClient(self.jobs.as_ref().map(Arc::downgrade).unwrap_or_default())
    }

    /// Writes a build down, and lets those go that are beyond the limits.
    pub fn keep(&self, build: StoredBuild, limits: RetentionLimits) -> Receiver<KeepResult> {
        let (tx, answer) = mpsc::sync_channel(1);
        let job = Box::new(move |state: &mut WorkerState| {
            let _ = tx.send(state.keep(&build));
            state.prune(&limits);
        });
        let _ = self.jobs.as_ref().map(|jobs| jobs.try_send(job));
        answer
    }

    /// The messages since the last call, one sentence each: that a file was set aside, that a build is not kept.
    pub fn take_messages(&self) -> Vec<String> {
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until all jobs are done, ten seconds at most, and returns the messages.
    pub fn close(mut self) -> Vec<String> {
        self.end();
        self.take_messages()
    }

    fn end(&mut self) {
        if self.jobs.take().is_some() && self.done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let text = format!(
                "this build may not be in the history: the disk did not answer for {} s",
                PATIENCE.as_secs()
            );
            add_message(&self.messages, text);
        }
    }
}

/// Asks a [`StoreWorker`], and holds up nobody who waits for its end.
#[derive(Debug, Clone)]
pub struct StoreClient(Weak<SyncSender<StoreJob>>);

impl StoreClient {
    /// Asks as [`StoreWorker::ask`] does. After the worker has ended nothing is asked.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Option<&mut Store>) -> T + Send + 'static,
    ) -> Receiver<T> {
        let (tx, answer) = mpsc::sync_channel(1);
        let job = Box::new(move |state: &mut WorkerState| {
            // Who has asked may be gone.
            let _ = tx.send(question(state.store.as_mut()));
        });
        // Where the thread is busy with that many questions this one is not answered.
        let _ = self.0.upgrade().map(|jobs| jobs.try_send(job));
        answer
    }
}

impl Drop for StoreWorker {
    fn drop(&mut self) {
        self.end();
    }
}

impl WorkerState {
    fn open(&mut self) {
        let Some(path) = &self.path else { return };
        match Store::open(path, self.clock.now()) {
            Ok(opened) => {
                for note in opened.notes {
                    add_message(&self.messages, note);
                }
                self.store = Some(opened.store);
            }
            Err(trouble) => {
                add_message(&self.messages, format!("the history is not kept: {}", trouble.beside_a_build()));
            }
        }
    }

    fn keep(&mut self, build: &StoredBuild) -> KeepResult {
        let Some(path) = self.path.clone() else { return KeepResult::NotStored };
        let written = match self.store.as_mut().map(|store| store.keep(build)) {
            None => return KeepResult::NotStored,
            Some(Err(error)) if store::is_damage(&error) => {
                self.replace_store(&path, &error.to_string(), build)
            }
            Some(written) => written,
        };
        match written {
            Ok(Some(id)) => KeepResult::Stored(id),
            Ok(None) => KeepResult::AlreadyStored,
            Err(error) => {
                let trouble = StoreError::sql(&path, &error);
                add_message(
                    &self.messages,
                    format!("this build is not in the history: {}", trouble.beside_a_build()),
                );
                KeepResult::NotStored
            }
        }
    }

    /// What can't be let go today is let go with the next build.
    fn prune(&mut self, limits: &RetentionLimits) {
        let now = self.clock.now();
        if let Some(store) = &mut self.store {
            let _ = store.prune(limits, now, false);
        }
    }

    /// Sets a file aside whose damage was found by a write, and stores the build in a new one.
    fn replace_store(
        &mut self,
        path: &Path,
        why: &str,
        build: &StoredBuild,
    ) -> rusqlite::Result<Option<i64>> {
        if let Some(store) = self.store.take()
            && let Ok(note) = store.give_up(path, why, self.clock.now())
        {
            if let Some(note) = note {
                add_message(&self.messages, note);
            }
            self.open();
        }
        self.store.as_mut().map_or(Ok(None), |store| store.keep(build))
    }
}

fn add_message(messages: &Mutex<Vec<String>>, text: String) {
    messages.lock().unwrap_or_else(PoisonError::into_inner).push(text);
}
