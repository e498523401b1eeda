//! Watches one registry: whether and how fast it answers, and what it holds of the image.
//!
//! Two loops run beside each other, so that a repository that takes long to read does not hide that the registry is well,
//! and the other way round: one asks `/v2/` every 2 s, the other looks into the repository every 10 s while the first has
//! answers. Where there are none both try again for ever: after 0.5 s, then 1.6 times as long, 30 s at most.

pub(in crate::source) mod client;
mod credentials;
pub(in crate::source) mod evidence;
pub(in crate::source) mod fault;
mod manifest;
mod repository;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::event::registry::{
    Auth, AuthMode, CacheTag, Latency, RegistrySnapshot, RegistryState, TagChange, Tags,
};
use crate::event::{Event, Stamped, Text, Time};

use client::HttpResponse;
use fault::RegistryFault;
use repository::RepositoryReader;
use session::RegistrySession;

use super::retry::about;

/// The first wait after a failure, by how much each following one is longer, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGER: f64 = 1.6;
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long one look into the repository may take.
const LOOK: Duration = Duration::from_secs(60);
/// How long [`once`] may take.
const ONCE: Duration = Duration::from_secs(20);
/// A question that has no answer by then is late.
const LATE: Duration = Duration::from_secs(5);
/// Answers of a session whose time is kept, and the newest of them that tell whether it is slow now.
const MOST_SAMPLES: usize = 4096;
const RECENT: usize = 20;
/// A registry that sends less in a second makes builds wait.
const LEAST_RATE: f64 = 64.0 * 1024.0;

/// What to watch, and how.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Host and port: `10.0.0.5:5000`, `docker.io`.
    pub registry: String,
    /// Name of the repository, such as `montage-ai`.
    pub repository: String,
    /// The tag being built.
    pub tag: Option<String>,
    /// The tag of the registry cache.
    pub cache: Option<String>,
    /// Whether plain http is allowed with another machine.
    pub insecure: bool,
    /// An authority's certificate, in PEM form, that is trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// The environment: `DOCKER_CONFIG` and `HOME` say where docker's credentials are, `PATH` where its helpers are.
    pub env: BTreeMap<String, String>,
    /// How often `/v2/` is asked.
    pub every: Duration,
    /// How often the repository is looked into.
    pub look_every: Duration,
    /// Slower answers than this (95 of 100 of the last 20) make a registry slow.
    pub slow: Duration,
}

impl RegistrySettings {
    /// The usual pace for a repository of a registry, without tag and cache.
    pub fn new(registry: impl Into<String>, repository: impl Into<String>) -> Self {
        Self {
            registry: registry.into(),
            repository: repository.into(),
            tag: None,
            cache: None,
            insecure: false,
            ca: None,
            env: BTreeMap::new(),
            every: Duration::from_secs(2),
            look_every: Duration::from_secs(10),
            slow: Duration::from_millis(500),
        }
    }
}

/// Watches the registry and tells each change of it as a whole [`RegistrySnapshot`], until nobody receives.
pub async fn run(settings: RegistrySettings, clock: Clock, tx: mpsc::Sender<Vec<Stamped>>) {
    let (update_tx, update_rx) = mpsc::channel(8);
    let (up, is_up) = watch::channel(false);
    let state = RegistryWatchState::new(&settings);
    tokio::select! {
        () = ping_loop(&settings, clock, update_tx.clone(), up) => {}
        () = read_loop(&settings, clock, update_tx, is_up) => {}
        () = publish_loop(state, clock, update_rx, tx) => {}
    }
}

/// Asks the registry three times and looks into the repository once, in at most 20 s.
pub async fn once(settings: RegistrySettings, clock: Clock) -> RegistrySnapshot {
    let mut state = RegistryWatchState::new(&settings);
    let asking = async {
        let mut session = RegistrySession::new(&settings, clock);
        for _ in 0..3 {
            let update = ping(&mut session, clock, Duration::ZERO).await;
            let failed = matches!(&update, RegistryUpdate::Ping { outcome: Err(_), .. });
            state.take(update);
            if failed {
                return;
            }
        }
        let mut looker = RepositoryReader::new(&settings, clock);
        let update = look(&mut looker).await;
        state.take(update);
    };
    if timeout(ONCE, asking).await.is_err() {
        state.look_fault =
            Some(RegistryFault::Nonsense("so slowly that a look into it takes over 20 s".into()));
    }
    state.settle();
    state.snapshot
}

/// A message of one of the two loops.
enum RegistryUpdate {
    /// The question that was asked then has no answer after [`LATE`].
    Late(Time),
    Ping {
        asked: Time,
        outcome: Result<PingAnswer, RegistryFault>,
        next: Duration,
    },
    Repository(Box<RepositoryReading>),
}

/// An answer of `/v2/`.
struct PingAnswer {
    at: Time,
    took: Duration,
    url: Text,
    tls: Option<Text>,
    auth: Option<Auth>,
    api_version: Option<Text>,
}

/// The result of a look into the repository.
struct RepositoryReading {
    tags: Option<Tags>,
    cache: Option<CacheTag>,
    changes: Vec<TagChange>,
    signed_in: bool,
    rate: Option<f64>,
    fault: Option<RegistryFault>,
}

async fn ping_loop(
    settings: &RegistrySettings,
    clock: Clock,
    update_tx: mpsc::Sender<RegistryUpdate>,
    up: watch::Sender<bool>,
) {
    let mut session = RegistrySession::new(settings, clock);
    let mut wait = FIRST_WAIT;
    loop {
        if session.is_err() {
            // The file that is missing may have come meanwhile.
            session = RegistrySession::new(settings, clock);
        }
        let asked = clock.now();
        let mut asking = Box::pin(ping(&mut session, clock, settings.every));
        let in_time = tokio::select! {
            update = &mut asking => Some(update),
            () = sleep(LATE) => None,
        };
        // Whether one that is slow or one that hangs is not known before it answers, or does not for longer.
        let mut update = match in_time {
            Some(update) => update,
            None if update_tx.send(RegistryUpdate::Late(asked)).await.is_err() => return,
            None => asking.as_mut().await,
        };
        drop(asking);
        let mut pause = settings.every;
        let mut answers = true;
        if let RegistryUpdate::Ping { outcome: Err(fault), next, .. } = &mut update {
            pause = about(wait, &clock).max(fault.wait());
            (*next, answers) = (pause, false);
        }
        wait = if answers { FIRST_WAIT } else { wait.mul_f64(LONGER).min(LONGEST_WAIT) };
        up.send_if_modified(|was| std::mem::replace(was, answers) != answers);
        if update_tx.send(update).await.is_err() {
            return;
        }
        sleep(pause).await;
    }
}

async fn read_loop(
    settings: &RegistrySettings,
    clock: Clock,
    update_tx: mpsc::Sender<RegistryUpdate>,
    mut is_up: watch::Receiver<bool>,
) {
    let mut looker = RepositoryReader::new(settings, clock);
    let mut wait = FIRST_WAIT;
    loop {
        if is_up.wait_for(|up| *up).await.is_err() {
            return;
        }
        if looker.is_err() {
            looker = RepositoryReader::new(settings, clock);
        }
        let update = look(&mut looker).await;
        let failed = matches!(&update, RegistryUpdate::Repository(look) if look.fault.as_ref().is_some_and(|f| !f.state().is_well()));
        let asked_to = if let RegistryUpdate::Repository(look) = &update {
            look.fault.as_ref().map(RegistryFault::wait)
        } else {
            None
        };
        let asked_to = asked_to.unwrap_or_default();
        let pause = if failed { about(wait, &clock).max(asked_to) } else { settings.look_every };
        wait = if failed { wait.mul_f64(LONGER).min(LONGEST_WAIT) } else { FIRST_WAIT };
        if update_tx.send(update).await.is_err() {
            return;
        }
        // What was down may come back as something else: then there is no reason to wait, but that it was asked for.
        let back = async {
            sleep(asked_to).await;
            let _ = is_up.wait_for(|up| !*up).await;
            let _ = is_up.wait_for(|up| *up).await;
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = back => wait = FIRST_WAIT,
        }
    }
}

async fn publish_loop(
    mut state: RegistryWatchState,
    clock: Clock,
    mut update_rx: mpsc::Receiver<RegistryUpdate>,
    tx: mpsc::Sender<Vec<Stamped>>,
) {
    loop {
        // Both loops may be waiting for a registry that hangs when nobody wants to hear of it any more.
        let update = tokio::select! {
            () = tx.closed() => return,
            update = update_rx.recv() => update,
        };
        let Some(update) = update else { return };
        state.take(update);
        state.settle();
        let event = Event::Registry(Box::new(state.snapshot.clone()));
        if tx.send(vec![Stamped { at: clock.now(), event }]).await.is_err() {
            return;
        }
    }
}

async fn ping(
    session: &mut Result<RegistrySession, RegistryFault>,
    clock: Clock,
    next: Duration,
) -> RegistryUpdate {
    let asked = clock.now();
    let outcome = match session {
        Err(fault) => Err(fault.clone()),
        Ok(session) => match session.ping().await {
            Err(fault) => Err(fault),
            Ok(answer) => registry_of(&answer).map(|()| PingAnswer {
                at: clock.now(),
                took: answer.took,
                url: session.url(),
                tls: session.tls(),
                auth: session.auth().cloned(),
                api_version: header(&answer, "docker-distribution-api-version"),
            }),
        },
    };
    RegistryUpdate::Ping { asked, outcome, next }
}

async fn look(looker: &mut Result<RepositoryReader, RegistryFault>) -> RegistryUpdate {
    let mut found = RepositoryReading {
        tags: None,
        cache: None,
        changes: Vec::new(),
        signed_in: false,
        rate: None,
        fault: None,
    };
    match looker {
        Err(fault) => found.fault = Some(fault.clone()),
        Ok(looker) => {
            found.fault = match timeout(LOOK, looker.look()).await {
                Ok(looked) => looked.err(),
                Err(_) => {
                    Some(RegistryFault::Nonsense("so slowly that a look into it takes over a minute".into()))
                }
            };
            let is_well = found
                .fault
                .as_ref()
                .is_none_or(|fault| fault.state().is_well() || matches!(fault, RegistryFault::Broken(..)));
            found.tags = is_well.then(|| looker.tags());
            found.cache = looker.cache().cloned();
            found.changes = looker.changes();
            found.signed_in = looker.auth().is_some_and(|auth| auth.signed_in);
            found.rate = looker.rate();
        }
    }
    RegistryUpdate::Repository(Box::new(found))
}

fn header(answer: &HttpResponse, name: &str) -> Option<Text> {
    answer.headers.get(name).and_then(|value| value.to_str().ok()).map(Text::clean)
}

/// Whether what answered `/v2/` is a registry. The version header is not asked for: the OCI's specification has none.
fn registry_of(answer: &HttpResponse) -> Result<(), RegistryFault> {
    let versioned = answer.headers.contains_key("docker-distribution-api-version");
    let challenged = answer.headers.contains_key("www-authenticate");
    let start = answer.body.iter().find(|byte| !byte.is_ascii_whitespace());
    let status = answer.status.as_u16();
    match status {
        200..=299 if versioned || matches!(start, None | Some(b'{' | b'[')) => Ok(()),
        200..=299 => Err(RegistryFault::NotRegistry("it answers /v2/ with a page".into())),
        401 if versioned || challenged => Ok(()),
        403 => Err(RegistryFault::Status(403, String::new())),
        429 | 503 => Err(answer.busy().unwrap_or(RegistryFault::Status(status, String::new()))),
        408 | 425 | 500.. => Err(RegistryFault::Status(status, String::new())),
        _ => Err(RegistryFault::NotRegistry(format!("it answers /v2/ with {status}"))),
    }
}

/// The newest results of both loops.
struct RegistryWatchState {
    snapshot: RegistrySnapshot,
    host: String,
    slow: Duration,
    ping_fault: Option<RegistryFault>,
    look_fault: Option<RegistryFault>,
    looked: bool,
    /// Whether the newest question has no answer yet.
    late: bool,
    rate: Option<f64>,
    /// Microseconds that answers took, oldest first.
    took: VecDeque<u64>,
}

impl RegistryWatchState {
    fn new(settings: &RegistrySettings) -> Self {
        let url = Text::clean(&settings.registry);
        let repository = Text::clean(&settings.repository);
        Self {
            snapshot: RegistrySnapshot { url, repository, ..RegistrySnapshot::default() },
            host: settings.registry.clone(),
            slow: settings.slow,
            ping_fault: None,
            look_fault: None,
            looked: false,
            late: false,
            rate: None,
            took: VecDeque::new(),
        }
    }

    fn take(&mut self, update: RegistryUpdate) {
        match update {
            RegistryUpdate::Late(asked) => {
                self.snapshot.asked = asked;
                self.late = true;
            }
            RegistryUpdate::Ping { asked, outcome, next } => {
                self.late = false;
                self.snapshot.asked = asked;
                self.snapshot.next_us = next.as_micros() as u64;
                match outcome {
                    Err(fault) => self.ping_fault = Some(fault),
                    Ok(answer) => self.set_ping(answer),
                }
            }
            RegistryUpdate::Repository(look) => self.look(*look),
        }
    }

    fn set_ping(&mut self, answer: PingAnswer) {
        self.ping_fault = None;
        if self.took.len() >= MOST_SAMPLES {
            self.took.pop_front();
        }
        self.took.push_back(answer.took.as_micros() as u64);
        let signed_in = self.snapshot.auth.as_ref().is_some_and(|auth| auth.signed_in);
        let snapshot = &mut self.snapshot;
        snapshot.answered = Some(answer.at);
        snapshot.url = answer.url;
        snapshot.tls = answer.tls;
        snapshot.auth =
            answer.auth.map(|auth| Auth { signed_in: signed_in && auth.mode != AuthMode::None, ..auth });
        snapshot.api_version = answer.api_version;
        snapshot.latency = Some(Latency {
            last_us: self.took.back().copied().unwrap_or_default(),
            p50_us: percentile(self.took.iter(), 50),
            p95_us: percentile(self.took.iter(), 95),
            samples: self.took.len() as u32,
        });
    }

    fn look(&mut self, look: RepositoryReading) {
        self.looked = true;
        self.rate = look.rate;
        self.look_fault = look.fault;
        if let Some(auth) = &mut self.snapshot.auth {
            auth.signed_in = look.signed_in;
        }
        // What was seen stays, with its time, while nothing newer can be seen.
        self.snapshot.tags = look.tags.or(self.snapshot.tags.take());
        self.snapshot.cache = look.cache.or(self.snapshot.cache.take());
        self.snapshot.changes = look.changes;
    }

    /// What follows for the state.
    fn settle(&mut self) {
        let (state, reason) = self.state();
        self.snapshot.state = state;
        self.snapshot.reason = reason;
    }

    fn state(&self) -> (RegistryState, Text) {
        if let Some(fault) = self.ping_fault.as_ref().or(self.look_fault.as_ref()) {
            return (fault.state(), fault.message(&self.host, self.snapshot.repository.as_str()));
        }
        if self.late {
            let words =
                format!("it has not answered for {} s: it is slower than that, or hangs", LATE.as_secs());
            return (RegistryState::Slow, Text::clean(&words));
        }
        let recent = percentile(self.took.iter().rev().take(RECENT), 95);
        if recent > self.slow.as_micros() as u64 {
            let words = format!(
                "it takes {} to answer (95 of 100 of the last answers are faster), more than {}: look at its disk and \
                 the network",
                latency_text(recent),
                latency_text(self.slow.as_micros() as u64)
            );
            return (RegistryState::Slow, Text::clean(&words));
        }
        if let Some(rate) = self.rate.filter(|rate| *rate < LEAST_RATE) {
            let words = format!("it sends {:.1} KiB a second: look at the network", rate / 1024.0);
            return (RegistryState::Slow, Text::clean(&words));
        }
        let open = self.snapshot.auth.as_ref().is_some_and(|auth| auth.mode == AuthMode::None);
        // Who asks for credentials may not take ours.
        let known = self.looked || open && self.snapshot.answered.is_some();
        (if known { RegistryState::Ok } else { RegistryState::Unknown }, Text::default())
    }
}

/// `40 ms`, `5.2 s`.
fn latency_text(micros: u64) -> String {
    if micros < 1_000_000 { format!("{} ms", micros / 1000) } else { format!("{:.1} s", micros as f64 / 1e6) }
}

/// The smallest value that `percent` of 100 are not above (nearest rank); 0 of none.
fn percentile<'a>(values: impl Iterator<Item = &'a u64>, percent: usize) -> u64 {
    let mut values: Vec<u64> = values.copied().collect();
    let rank = (values.len() * percent).div_ceil(100).saturating_sub(1);
    if values.is_empty() { 0 } else { *values.select_nth_unstable(rank).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!((percentile(values.iter(), 50), percentile(values.iter(), 95)), (50, 95));
        assert_eq!((percentile([7].iter(), 95), percentile([].iter(), 95)), (7, 0));
        assert_eq!(percentile([1, 9, 5].iter(), 50), 5);
    }

    #[test]
    fn waits_are_spread_by_a_fifth() {
        let clock = Clock::live();
        for _ in 0..1000 {
            let wait = about(Duration::from_secs(1), &clock);
            assert!((Duration::from_millis(800)..=Duration::from_millis(1200)).contains(&wait), "{wait:?}");
        }
    }
}
