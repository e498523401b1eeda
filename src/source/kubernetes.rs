//! A Kubernetes cluster: how its nodes are, and the pods that matter to builds: the registry's and the builder's.
//!
//! Objects are watched and not polled. As a watch may be silent for minutes, one cheap question every 2 s tells whether there is still
//! somebody; while there is not, nothing else is asked. Each part is asked for by itself, so that one that is refused costs no other.
//! Snapshots are sent when something has changed, four a second at most, and every 10 s.

mod access;
mod fault;
mod follow;
mod helper;
mod load;
mod node;
mod object;
mod pod;
mod service;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, sleep, timeout};

use crate::clock::Clock;
use crate::event::cluster::{ApiState, ClusterPod, ClusterSnapshot, SnapshotPart};
use crate::event::{Event, Line, Stamped, Text};

use super::retry::pause;
use access::ClusterAccess;
use fault::ApiFault;
use follow::{AccessReceiver, ObjectSink, WatchQuery, follow};
use object::ObjectList;
pub(in crate::source) use service::kubectl;
use state::{ApiAnswer, ClusterUpdate, ClusterWatchState};

/// How often the API server is asked whether it is there, and how long it may take to say so.
const PROBE: Duration = Duration::from_secs(2);
/// Snapshots are not sent more often than this, and not more seldom than that.
const APART: Duration = Duration::from_millis(250);
const AT_LEAST: Duration = Duration::from_secs(10);
/// How long [`once`] waits for what does not answer.
const ONCE: Duration = Duration::from_secs(8);
/// News that may wait to be taken.
const QUEUE: usize = 256;
/// Bytes of a log that are read, of which the last lines are shown.
const MOST_LOG: usize = 4 << 20;

/// What is looked at.
#[derive(Debug, Clone, Default)]
pub struct ClusterSettings {
    /// The kubeconfig; none: as kubectl finds it, else the account of the pod that layertop runs in.
    pub kubeconfig: Option<PathBuf>,
    /// Its context; none: the current one.
    pub context: Option<String>,
    /// The namespace of the registry; none: the context's.
    pub namespace: Option<String>,
    /// The registry in the cluster; none: there is none.
    pub registry: Option<RegistryWorkload>,
    /// The pods of a builder of the kubernetes driver; none: there is none.
    pub builder: Option<BuilderPods>,
    /// The environment: `KUBECONFIG`, `HOME`, `NO_PROXY`, and what a pod finds its API server by.
    pub env: BTreeMap<String, String>,
}

/// A registry in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryWorkload {
    /// Name of its Service; none: it has none.
    pub service: Option<String>,
    /// The labels of its pods, as a selector: `app=registry`.
    pub selector: String,
    /// The Service's port; none: its first.
    pub port: Option<u16>,
}

/// The pods of a builder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuilderPods {
    /// Their namespace; none: the context's.
    pub namespace: Option<String>,
    /// Names of the Deployments, one a node of the builder.
    pub deployments: Vec<String>,
}

impl ClusterSettings {
    /// The parts that are asked for.
    fn parts(&self) -> Vec<SnapshotPart> {
        let mut parts =
            vec![SnapshotPart::Nodes, SnapshotPart::NodeEvents, SnapshotPart::Usage, SnapshotPart::Requests];
        if let Some(registry) = &self.registry {
            parts.extend([SnapshotPart::RegistryPods, SnapshotPart::PodEvents]);
            if registry.service.is_some() {
                parts.extend([SnapshotPart::Service, SnapshotPart::Endpoints]);
            }
        }
        if self.builder.is_some() {
            parts.push(SnapshotPart::BuilderPods);
        }
        parts
    }

    /// What to do about an API server in such a state.
    fn remedy(&self, state: ApiState) -> String {
        let namespace = self.namespace.as_deref().unwrap_or("default");
        let kubectl = service::kubectl(self, Some(namespace));
        match state {
            ApiState::Ok | ApiState::Unknown => String::new(),
            ApiState::Unconfigured => "set kubernetes.kubeconfig in layertop.toml, or KUBECONFIG".to_owned(),
            ApiState::BadConfig => "kubectl config get-contexts".to_owned(),
            ApiState::Forbidden | ApiState::Unauthorized => format!("{kubectl} auth can-i --list"),
            ApiState::NotResolved | ApiState::Tls => "kubectl config view --minify".to_owned(),
            ApiState::Failing | ApiState::NotKubernetes | ApiState::Silent | ApiState::Unreachable => {
                format!("{kubectl} get --raw /readyz?verbose")
            }
        }
    }
}

/// Follows the cluster. Ends when nobody listens any more.
pub async fn run(settings: ClusterSettings, clock: Clock, tx: mpsc::Sender<Vec<Stamped>>) {
    let (mut updates, _tasks) = ask(&settings, clock);
    let mut state = ClusterWatchState::new(settings);
    let mut ticks = tokio::time::interval(AT_LEAST);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut due = true;
    let mut quiet = Box::pin(sleep(Duration::ZERO));
    loop {
        tokio::select! {
            () = tx.closed() => return,
            () = &mut quiet, if due => {
                let at = clock.now();
                let event = Event::Cluster(Box::new(state.snapshot(at)));
                if tx.send(vec![Stamped { at, event }]).await.is_err() {
                    return;
                }
                due = false;
                quiet.set(sleep(APART));
            }
            update = updates.recv() => match update {
                Some(update) => due |= state.take(update),
                // The tasks live as long as we do.
                None => return,
            },
            _ = ticks.tick() => due = true,
        }
    }
}

/// Looks once, at what answers within 8 s.
pub async fn once(settings: ClusterSettings, clock: Clock) -> ClusterSnapshot {
    let (mut updates, _tasks) = ask(&settings, clock);
    let mut state = ClusterWatchState::new(settings);
    let all = async {
        while !state.is_complete() {
            let Some(update) = updates.recv().await else { break };
            state.take(update);
        }
    };
    // What has not answered by then is told as it is known.
    let _ = timeout(ONCE, all).await;
    state.snapshot(clock.now())
}

/// The last lines of a pod that matters: of the container that kubectl would take.
///
/// # Errors
///
/// In words: the cluster can't be asked, the pod is not there, or its log may not be read.
pub async fn logs(settings: &ClusterSettings, pod: &str, lines: u32) -> Result<Vec<Line>, Text> {
    let words = |fault: ApiFault| Text::clean(&fault.detail);
    let access = ClusterAccess::open(settings).await.map_err(words)?;
    let pod: String = url::form_urlencoded::byte_serialize(pod.as_bytes()).collect();
    let mut namespaces = vec![access.namespace.clone()];
    namespaces.extend(settings.builder.iter().filter_map(|builder| builder.namespace.clone()));
    let mut failed = Text::default();
    for namespace in namespaces {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
        let found: object::PodObject = match access.get(&path, access::PATIENCE).await {
            Ok(found) => found,
            Err(fault) => {
                failed = words(fault);
                continue;
            }
        };
        let first = found.spec.containers.first().map(|container| container.name.clone());
        let container = found.metadata.annotations.default_container.or(first).unwrap_or_default();
        let bytes =
            access.text(&format!("{path}/log?container={container}&tailLines={lines}"), MOST_LOG).await;
        let bytes = bytes.map_err(words)?;
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<Line> = text.lines().map(Line::plain).collect();
        return Ok(all[all.len().saturating_sub(lines as usize)..].to_vec());
    }
    Err(failed)
}

/// One Deployment of a builder.
pub(in crate::source) struct Deployment {
    settings: ClusterSettings,
    name: String,
    access: Option<ClusterAccess>,
}

impl Deployment {
    pub(in crate::source) fn new(settings: ClusterSettings, name: String) -> Self {
        Self { settings, name, access: None }
    }

    /// Its pods, as they are now.
    pub(in crate::source) async fn pods(&mut self) -> Result<Vec<ClusterPod>, ApiFault> {
        // After a fault everything is read anew: the kubeconfig may have been what was wrong.
        let known = self.access.take();
        let had = known.is_some();
        match self.pods_by(known).await {
            // What was known may have ended meanwhile.
            Err(fault) if had && fault.code == Some(401) => self.pods_by(None).await,
            done => done,
        }
    }

    async fn pods_by(&mut self, access: Option<ClusterAccess>) -> Result<Vec<ClusterPod>, ApiFault> {
        let access = match access {
            Some(access) => access,
            None => ClusterAccess::open(&self.settings).await?,
        };
        let labels: String =
            url::form_urlencoded::byte_serialize(format!("app={}", self.name).as_bytes()).collect();
        let path = format!("/api/v1/namespaces/{}/pods?labelSelector={labels}", access.namespace);
        let list: ObjectList<object::PodObject> = access.get(&path, access::PATIENCE).await?;
        self.access = Some(access);
        Ok(list.items.iter().map(pod::pod).collect())
    }
}

/// Starts the tasks that ask. Dropped, they end.
fn ask(settings: &ClusterSettings, clock: Clock) -> (mpsc::Receiver<ClusterUpdate>, JoinSet<()>) {
    let (tx, updates) = mpsc::channel(QUEUE);
    let (open, gate) = watch::channel(None);
    let mut tasks = JoinSet::new();
    tasks.spawn(hold(settings.clone(), clock, open, tx.clone()));
    tasks.spawn(load::ask_on(gate.clone(), clock, tx.clone()));
    follow_all(&mut tasks, settings, &gate, clock, &tx);
    (updates, tasks)
}

fn follow_all(
    tasks: &mut JoinSet<()>,
    settings: &ClusterSettings,
    gate: &AccessReceiver,
    clock: Clock,
    tx: &mpsc::Sender<ClusterUpdate>,
) {
    macro_rules! watch {
        ($part:ident, $keep:expr, $port:expr, $path:expr, $selectors:expr) => {
            let query = WatchQuery::new(SnapshotPart::$part, $path, $selectors);
            let sink =
                ObjectSink { keep: $keep, port: $port, to_update: ClusterUpdate::$part, tx: tx.clone() };
            tasks.spawn(follow(query, gate.clone(), clock, sink));
        };
    }
    let about = |kind: &str| format!("type=Warning,involvedObject.kind={kind}");
    watch!(Nodes, |raw, _| node::node(raw), None, "/api/v1/nodes".to_owned(), &[]);
    watch!(
        NodeEvents,
        |raw, _| state::object_warning(raw),
        None,
        "/api/v1/events".to_owned(),
        &[("fieldSelector", &about("Node"))]
    );
    if let Some(registry) = &settings.registry {
        let labels = [("labelSelector", registry.selector.as_str())];
        watch!(RegistryPods, |raw, _| pod::pod(raw), None, within(None, "pods"), &labels);
        watch!(
            PodEvents,
            |raw, _| state::object_warning(raw),
            None,
            within(None, "events"),
            &[("fieldSelector", &about("Pod"))]
        );
        if let Some(service) = &registry.service {
            let field = format!("metadata.name={service}");
            let field = [("fieldSelector", field.as_str())];
            watch!(Service, service::service, registry.port, within(None, "services"), &field);
            watch!(Endpoints, |raw, _| service::endpoints(raw), None, within(None, "endpoints"), &field);
        }
    }
    if let Some(builder) = &settings.builder {
        // As buildx labels them.
        let labels = format!("app in ({})", builder.deployments.join(","));
        let path = within(builder.namespace.as_deref(), "pods");
        watch!(BuilderPods, |raw, _| pod::pod(raw), None, path, &[("labelSelector", &labels)]);
    }
}

/// The path to objects in a namespace; none: the one that the kubeconfig says.
fn within(namespace: Option<&str>, kind: &str) -> String {
    format!("/api/v1/namespaces/{}/{kind}", namespace.unwrap_or(follow::NAMESPACE))
}

/// Holds the way to the cluster open: asks every 2 s whether there is somebody, and tries again for ever where there is not.
async fn hold(
    settings: ClusterSettings,
    clock: Clock,
    open: watch::Sender<Option<ClusterAccess>>,
    tx: mpsc::Sender<ClusterUpdate>,
) {
    let mut failures = 0;
    loop {
        let fault = match ClusterAccess::open(&settings).await {
            Ok(access) => match probe_on(access, clock, &open, &tx, &mut failures).await {
                ProbeEnd::Failed(fault) => fault,
                ProbeEnd::Expired => continue,
                ProbeEnd::Nobody => return,
            },
            Err(fault) => fault,
        };
        open.send_replace(None);
        if tx.send(ClusterUpdate::Down(fault)).await.is_err() {
            return;
        }
        failures += 1;
        sleep(pause(failures, &clock)).await;
    }
}

/// Why a cluster is not asked any more.
enum ProbeEnd {
    Failed(ApiFault),
    /// The credentials have ended, and are to be had anew.
    Expired,
    /// Nobody listens any more.
    Nobody,
}

/// Asks up to the first failure, or to the end of the credentials.
async fn probe_on(
    access: ClusterAccess,
    clock: Clock,
    open: &watch::Sender<Option<ClusterAccess>>,
    tx: &mpsc::Sender<ClusterUpdate>,
    failures: &mut u32,
) -> ProbeEnd {
    let mut is_new = true;
    loop {
        let asked = clock.now();
        let version: Result<object::VersionInfo, ApiFault> = access.get("/version", PROBE).await;
        let version = match version {
            Ok(version) => version.git_version,
            // Who may not ask for the version may still see other things.
            Err(fault) if fault.code == Some(403) => String::new(),
            Err(fault) => return ProbeEnd::Failed(fault),
        };
        *failures = 0;
        let at = clock.now();
        let answer = ApiAnswer {
            at,
            took_us: at.since(asked).as_micros() as u64,
            version: version.into(),
            context: Text::clean(&access.context),
            server: Text::clean(&access.server),
            namespace: access.namespace.clone(),
        };
        if tx.send(ClusterUpdate::Up(answer)).await.is_err() {
            return ProbeEnd::Nobody;
        }
        open.send_if_modified(|known| {
            let closed = known.is_none();
            // With new credentials all goes on as it does; they are taken for what is asked next.
            if std::mem::take(&mut is_new) {
                *known = Some(access.clone());
            }
            closed
        });
        sleep(PROBE).await;
        if access.until.is_some_and(|until| until <= clock.now()) {
            return ProbeEnd::Expired;
        }
    }
}
