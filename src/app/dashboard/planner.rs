//! Plans anew whenever something has changed: files, the builder's records, the registry's cache, the builds that are known.
//!
//! Whatever takes time is a task, of each kind one: the loop only takes results and starts what is due. A save shows by what is
//! known of the caches; whether these have changed is asked behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Sleep, sleep};

use super::Ask;
use super::last::{self, Last};
use crate::app::plan::{self, Ground};
use crate::app::session::{Reset, Update};
use crate::event::fingerprint::Work;
use crate::event::{Digest, Event, Fingerprint, Level, Notice, Stamped, Text, Time};
use crate::explain::{self, Past};
use crate::recording::default_dir;
use crate::source::context::watch::{self, FolderWatch};
use crate::source::context::{self, WatchedFingerprint};
use crate::wording;

/// The caches are not asked more often, unless a build has ended.
const APART: Duration = Duration::from_secs(30);
/// So long the first plan waits for the caches to answer; a later one does not wait.
const FIRST: Duration = Duration::from_secs(2);
/// How often files are looked at that can't be watched.
const POLL: Duration = Duration::from_secs(5);
/// A look at files takes this share of the time at most, where they can't be watched.
const POLL_SHARE: u32 = 20;

/// What a task has found out.
enum Done {
    Surveyed(Option<Box<(FolderWatch, WatchedFingerprint)>>),
    Cached(Vec<Stamped>),
    Built(Vec<Past>, Option<Stamped>, Option<Box<Last>>),
    Based(Vec<Text>, BTreeMap<Text, Digest>),
    Planned(Vec<Stamped>),
}

/// The plan, and all that it is made from.
pub(super) struct Planner {
    ground: Ground,
    tx: mpsc::Sender<Update>,
    tasks: JoinSet<Done>,
    /// None while a look at the files has it.
    watch: Option<FolderWatch>,
    print: Option<Box<Fingerprint>>,
    cached: Option<Vec<Stamped>>,
    pasts: Option<Arc<Vec<Past>>>,
    /// How long they took.
    expected: Option<Stamped>,
    last: Option<Box<Last>>,
    bases: BTreeMap<Text, Digest>,
    based_on: Option<Vec<Text>>,
    plan: Vec<Stamped>,
    /// Why changes of files are not heard of.
    blind: Option<Text>,
    due: BTreeSet<Job>,
    /// The caches are to be asked when it is not too soon.
    later: bool,
    busy: BTreeSet<Job>,
    /// When the caches were asked last.
    asked: Option<Time>,
    /// Whether the last build is shown instead.
    turned: bool,
    first_is_over: bool,
    /// What is still to be done before the next plan, where a build has ended: its results are in the builder's records, and what these
    /// tell is in the history behind that.
    before_plan: Option<Job>,
}

/// What takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    /// A look at the files.
    Survey,
    /// The builder's records, and the caches in registries.
    Cached,
    /// The builds that are known.
    Built,
    /// What base images are now.
    Based,
    /// The prediction.
    Plan,
}

impl Planner {
    pub(super) fn new(ground: Ground, tx: mpsc::Sender<Update>) -> Self {
        Self {
            ground,
            tx,
            tasks: JoinSet::new(),
            watch: None,
            print: None,
            cached: None,
            pasts: None,
            expected: None,
            last: None,
            bases: BTreeMap::new(),
            based_on: None,
            plan: Vec::new(),
            blind: None,
            due: [Job::Survey, Job::Cached, Job::Built].into(),
            later: false,
            busy: BTreeSet::new(),
            asked: None,
            turned: false,
            first_is_over: false,
            before_plan: None,
        }
    }

    /// Plans for as long as somebody looks.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let (mut files, mut recordings) = (Ear::open(), Ear::open());
        self.watch = Some(files.watch());
        let mut records = recordings.watch();
        listen_to_recordings(&mut records);
        let mut first: Pin<Box<Sleep>> = Box::pin(sleep(FIRST));
        let mut poll: Pin<Box<Sleep>> = Box::pin(sleep(POLL));
        let mut again: Pin<Box<Sleep>> = Box::pin(sleep(APART));
        loop {
            self.start_what_is_due();
            tokio::select! {
                () = self.tx.closed() => return,
                ask = asks.recv() => match ask {
                    Some(Ask::Turn) => {
                        self.turned = !self.turned;
                        self.show().await;
                    }
                    Some(Ask::Ended) => {
                        self.due.extend([Job::Cached, Job::Built]);
                        self.before_plan = Some(Job::Cached);
                        // There may have been no recording before.
                        listen_to_recordings(&mut records);
                    }
                    Some(Ask::Moved) => self.later = true,
                    None => return,
                },
                Some(()) = files.changes.recv() => drop(self.due.insert(Job::Survey)),
                Some(()) = recordings.changes.recv() => drop(self.due.insert(Job::Built)),
                Some(done) = self.tasks.join_next() => {
                    if let Ok(done) = done {
                        let surveyed = matches!(done, Done::Surveyed(_));
                        self.take(done).await;
                        if surveyed {
                            poll.set(sleep(self.poll_after()));
                        }
                    }
                }
                () = &mut first, if !self.first_is_over => self.first_is_over = true,
                () = &mut poll, if self.blind.is_some() && self.watch.is_some() => {
                    self.due.insert(Job::Survey);
                }
                () = &mut again, if self.later => again.set(sleep(APART)),
            }
        }
    }

    fn poll_after(&self) -> Duration {
        let took = self.print.as_ref().map_or(0, |print| print.work.took_us);
        POLL.max(Duration::from_micros(took) * POLL_SHARE)
    }

    fn start_what_is_due(&mut self) {
        if self.due.contains(&Job::Survey)
            && let Some(watch) = self.watch.take()
        {
            self.due.remove(&Job::Survey);
            self.survey(watch);
        }
        let now = self.ground.clock.now();
        if self.later && self.asked.is_none_or(|asked| now.since(asked) >= APART) {
            self.due.insert(Job::Cached);
        }
        let ground = self.ground.clone();
        if self.begin(Job::Cached) {
            (self.later, self.asked) = (false, Some(now));
            self.tasks.spawn(async move { Done::Cached(ground.evidence().await) });
        }
        let ground = self.ground.clone();
        if self.begin(Job::Built) {
            self.tasks.spawn(async move {
                let image = ground.image().map(str::to_owned);
                let last = spawn_blocking(move || last::build(image.as_deref()));
                let ((pasts, expected), last) = tokio::join!(ground.pasts(), last);
                Done::Built(pasts, expected, last.ok().flatten().map(Box::new))
            });
        }
        let images = self.print.as_deref().map(plan::images);
        if let Some(images) = images.filter(|images| self.based_on.as_ref() != Some(images)) {
            self.due.insert(Job::Based);
            let ground = self.ground.clone();
            if self.begin(Job::Based) {
                self.tasks.spawn(async move {
                    let bases = ground.bases(&images).await;
                    Done::Based(images, bases)
                });
            }
        }
        let known = self.cached.is_some() && self.pasts.is_some() && self.based_on.is_some();
        let waits = self.before_plan.is_some();
        if self.print.is_some() && (known || self.first_is_over) && !waits && self.begin(Job::Plan) {
            self.plan();
        }
    }

    /// Whether a job is due and can begin; then it is being done.
    fn begin(&mut self, job: Job) -> bool {
        let begins = self.due.contains(&job) && !self.busy.contains(&job);
        if begins {
            self.due.remove(&job);
            self.busy.insert(job);
        }
        begins
    }

    fn survey(&mut self, watch: FolderWatch) {
        let (request, clock) = (self.ground.request.clone(), self.ground.clock);
        self.tasks.spawn(async move {
            let made = match request {
                Some(request) => context::survey(request, watch, clock).await,
                None => None,
            };
            Done::Surveyed(made.map(Box::new))
        });
    }

    /// Predicts, by what is known.
    fn plan(&mut self) {
        let Some(print) = self.print.clone() else { return };
        let (ground, bases) = (self.ground.clone(), self.bases.clone());
        let evidence = self.cached.clone().unwrap_or_default();
        let pasts = self.pasts.clone().unwrap_or_default();
        let expected = self.expected.clone();
        self.tasks.spawn(async move {
            let mut shown = ground.before().await;
            shown.extend(expected);
            let at = ground.clock.now();
            let told = spawn_blocking(move || {
                let mut known = shown.clone();
                known.push(Stamped { at, event: Event::Fingerprint(print) });
                known.extend(evidence);
                let mut planned = explain::plan(&known, &pasts, &bases);
                wording::fill_plan(&mut planned);
                shown.extend(planned);
                shown
            });
            Done::Planned(told.await.unwrap_or_default())
        });
    }

    async fn take(&mut self, done: Done) {
        match done {
            Done::Surveyed(Some(made)) => {
                let (watch, survey) = *made;
                self.watch = Some(watch);
                if survey.again {
                    self.due.insert(Job::Survey);
                }
                self.surveyed(survey).await;
            }
            // There is nothing to look at; it stays with the last build.
            Done::Surveyed(None) => self.show().await,
            Done::Cached(events) => {
                self.busy.remove(&Job::Cached);
                self.due.insert(Job::Plan);
                if self.before_plan == Some(Job::Cached) && !self.due.contains(&Job::Cached) {
                    self.due.insert(Job::Built);
                    self.before_plan = Some(Job::Built);
                }
                // What base images are now is asked with the caches.
                self.based_on = self.cached.is_none().then(|| self.based_on.take()).flatten();
                self.cached = Some(events);
            }
            Done::Built(pasts, expected, last) => {
                self.busy.remove(&Job::Built);
                self.due.insert(Job::Plan);
                if self.before_plan == Some(Job::Built) && !self.due.contains(&Job::Built) {
                    self.before_plan = None;
                }
                self.pasts = Some(Arc::new(pasts));
                self.expected = expected;
                self.last = last;
                // What was listed before a build has ended tells nothing of what it has left behind.
                let ended = self.last.as_ref().map(|last| last.build.ended);
                if ended > self.asked && self.asked.is_some() {
                    self.due.insert(Job::Cached);
                    self.before_plan = Some(Job::Cached);
                }
                if self.plan.is_empty() || self.turned {
                    self.show().await;
                }
            }
            Done::Based(images, bases) => {
                self.busy.remove(&Job::Based);
                if self.bases != bases || self.based_on.is_none() {
                    self.due.insert(Job::Plan);
                }
                (self.based_on, self.bases) = (Some(images), bases);
            }
            Done::Planned(events) => {
                self.busy.remove(&Job::Plan);
                self.plan = events;
                if !self.turned {
                    self.show().await;
                }
            }
        }
    }

    async fn surveyed(&mut self, survey: WatchedFingerprint) {
        let WatchedFingerprint { mut print, blind, .. } = survey;
        let new = self.blind != blind;
        self.blind = blind;
        let took = std::mem::take(&mut print.work);
        let same = self.print.as_deref_mut().is_some_and(|known| {
            known.work = Work::default();
            *known == print
        });
        let nothing = print.stages.is_empty();
        print.work = took;
        self.print = Some(Box::new(print));
        if nothing {
            self.plan.clear();
            return self.show().await;
        }
        if !same || new {
            self.due.insert(Job::Plan);
        }
        // Whether the caches are still what they were is asked behind what is shown at once.
        self.later |= !same;
    }

    /// Shows what is to be shown, as far as it is known.
    async fn show(&mut self) {
        let hopeless =
            self.ground.request.is_none() || self.print.as_ref().is_some_and(|print| print.stages.is_empty());
        let events = if self.turned || hopeless {
            match self.last.as_ref() {
                Some(last) => last.events.clone(),
                None => self.ground.before().await,
            }
        } else {
            self.planned().await
        };
        let _ = self.tx.send(Update { reset: Reset::Build, events, replay: None }).await;
    }

    /// The plan; before there is one, what would be built.
    async fn planned(&mut self) -> Vec<Stamped> {
        let mut events = self.plan.clone();
        let at = self.ground.clock.now();
        if events.is_empty() {
            events = self.ground.before().await;
            events.push(Stamped { at, event: Event::Planned(Box::default()) });
        }
        for event in &mut events {
            if let Event::Planned(planned) = &mut event.event {
                planned.last = self.last.as_ref().map(|last| last.build);
            }
        }
        events.extend(self.blind.as_ref().map(|why| {
            let every = self.poll_after().as_secs();
            let text = format!("files can't be watched and are looked at every {every} s: {why}");
            let notice = Notice { level: Level::Warn, text: Text::clean(&text) };
            Stamped { at, event: Event::Notice(notice) }
        }));
        events
    }
}

/// Hears of changes in folders, burst by burst.
struct Ear {
    raw: mpsc::Sender<()>,
    changes: mpsc::Receiver<()>,
}

impl Ear {
    fn open() -> Self {
        let (raw, heard) = mpsc::channel(1);
        let (tx, changes) = mpsc::channel(1);
        tokio::spawn(watch::bursts(heard, tx));
        Self { raw, changes }
    }

    fn watch(&self) -> FolderWatch {
        FolderWatch::start(self.raw.clone())
    }
}

/// Where they can't be watched, a build that the builder tells of is heard of nevertheless.
fn listen_to_recordings(watch: &mut FolderWatch) {
    let _ = watch.set(default_dir().into_iter().filter(|dir| dir.is_dir()).collect());
}
