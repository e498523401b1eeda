//! The builder: who it is, how its nodes are, what runs on it and who builds which platform.
//!
//! Two tasks a node look at it, one at its engine, one at its `BuildKit`, each at its own pace: a node that hangs delays
//! no other. What they read is judged in one place and sent as one snapshot. Nothing is ever started: a builder that does not
//! run is said to, with the command that would start it.

pub(super) mod engine;
pub(super) mod instance;
mod judge;
mod pods;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, sleep};

use crate::clock::Clock;
use crate::event::{BuilderSnapshot, Event, Line, Mask, Platform, Stamped, Text};

use super::buildkit::{self, DialTarget, Listings, OwnBuild, RecordLister};
use super::kubernetes::BuilderPods;
use super::retry::pause;
use instance::{BuilderDefinition, Driver, EngineAddress, MissingBuilder};
use judge::NodeReadings;

/// How often engines are asked, and buildx's files read.
const POLL: Duration = Duration::from_secs(2);
/// Every so many polls an engine is asked for what changes seldom.
const SELDOM: u64 = 5;
/// Snapshots are not sent more often.
const APART: Duration = Duration::from_millis(250);
/// How long [`again`] waits: for an engine that hangs, and for a call to its machine.
const AGAIN: Duration = Duration::from_secs(5);
/// How long [`once`] waits for those that do not answer.
const ONCE: Duration = Duration::from_secs(8);

/// What is looked at.
#[derive(Debug, Clone, Default)]
pub struct BuilderSettings {
    /// The builder's name; none: the one that buildx would take.
    pub builder: Option<String>,
    /// Platforms that the build wants; none: the builder's own.
    pub platforms: Vec<Platform>,
    /// Images of the build that is told of otherwise; none: there is no such build, or it makes none.
    pub images: Vec<String>,
    /// The environment that docker and buildx are configured by; children get it on top of ours.
    pub env: BTreeMap<String, String>,
    /// What must not be told: `BuildKit` puts the values of arguments into the names of steps.
    pub mask: Mask,
    /// Where listings of records are shared with others that look at the builder.
    pub listings: Listings,
}

/// Follows the builder. Ends when nobody listens any more.
pub async fn run(settings: BuilderSettings, clock: Clock, tx: mpsc::Sender<Vec<Stamped>>) {
    let mut found = find(&settings);
    let own = OwnBuild { images: settings.images.clone(), since: clock.now() };
    let mut watched = WatchedNodes::new(&found, &settings, &own, clock);
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut due = true;
    let mut quiet = Box::pin(sleep(Duration::ZERO));
    loop {
        tokio::select! {
            () = tx.closed() => return,
            () = &mut quiet, if due => {
                let event = Event::Builder(Box::new(snapshot(&found, &watched, &settings)));
                if tx.send(vec![Stamped { at: clock.now(), event }]).await.is_err() {
                    return;
                }
                due = false;
                quiet.set(sleep(APART));
            }
            part = watched.parts.recv() => {
                if let Some((node, part)) = part {
                    watched.take(node, part);
                }
                due = true;
            }
            _ = ticks.tick() => {
                let now = find(&settings);
                if now != found {
                    found = now;
                    watched = WatchedNodes::new(&found, &settings, &own, clock);
                    due = true;
                }
                // Where there is nobody to ask, there is the tick that says that this still holds.
                due |= watched.known.is_empty();
            }
        }
    }
}

/// Looks once, at what answers within 8 s.
pub async fn once(settings: BuilderSettings, clock: Clock) -> BuilderSnapshot {
    let found = find(&settings);
    let mut watched = WatchedNodes::new(&found, &settings, &OwnBuild::default(), clock);
    let all = async {
        while !watched.is_complete(&found) {
            let Some((node, part)) = watched.parts.recv().await else { break };
            watched.take(node, part);
        }
    };
    // What has not answered by then is told as it is known.
    let _ = tokio::time::timeout(ONCE, all).await;
    snapshot(&found, &watched, &settings)
}

/// Looks once more, for a build that has failed: whether the builder is still there. None where it answers, or where nothing can be
/// found out within 5 s.
pub async fn again(settings: BuilderSettings, clock: Clock) -> Option<BuilderSnapshot> {
    let found = find(&settings);
    let own = OwnBuild { images: settings.images.clone(), since: clock.now() };
    let mut watched = WatchedNodes::new(&found, &settings, &own, clock);
    let all = async {
        while !watched.has_answered(&found) {
            let Some((node, part)) = watched.parts.recv().await else { break };
            watched.take(node, part);
        }
    };
    let _ = tokio::time::timeout(AGAIN, all).await;
    Some(snapshot(&found, &watched, &settings)).filter(|seen| !seen.state.is_up() && !seen.reason.is_empty())
}

/// The last lines of a node's container.
///
/// # Errors
///
/// In words: there is no such node or container, its driver has none, or its engine does not answer.
pub async fn logs(settings: &BuilderSettings, node: &str, lines: u32) -> Result<Vec<Line>, Text> {
    let found = find(settings).map_err(|missing| missing.reason)?;
    if !matches!(found.driver, Driver::Container | Driver::Kubernetes) {
        return Err(format!("the {} driver has no container to read the log of", found.driver.name()).into());
    }
    let node = found.nodes.iter().find(|one| one.name == node);
    let node = node.ok_or_else(|| Text::clean(&format!("{} has no such node", found.name)))?;
    match &node.cluster {
        None => engine::logs(node, lines).await.map_err(Text::from),
        Some(place) => pods::logs(place, &settings.env, lines).await,
    }
}

/// The pods of a builder of the kubernetes driver, for whoever watches its cluster; none for other drivers.
pub fn in_cluster(settings: &BuilderSettings) -> Option<BuilderPods> {
    let found = find(settings).ok().filter(|found| found.driver == Driver::Kubernetes)?;
    let places: Vec<&instance::PodLocation> =
        found.nodes.iter().filter_map(|node| node.cluster.as_ref()).collect();
    Some(BuilderPods {
        namespace: places.first()?.namespace.clone(),
        deployments: places.iter().map(|place| place.deployment.clone()).collect(),
    })
}

/// How the `BuildKit` of a node is reached.
pub(super) struct NodeRoute {
    pub(super) name: String,
    /// The platforms that it was given.
    pub(super) platforms: Vec<Platform>,
    dial: DialTarget,
    /// Where its pods are, and the environment that leads there. Dialling would start them.
    place: Option<(instance::PodLocation, BTreeMap<String, String>)>,
}

impl NodeRoute {
    /// Goes it. In words, why that is not possible; nothing is started by it.
    pub(super) async fn dial(&self) -> Result<RecordLister, String> {
        if let Some((place, env)) = &self.place {
            let found = pods::NodePods::new(place, env).look().await;
            if !found.may_dial(&Driver::Kubernetes) {
                let none = || format!("{} has no pod that is ready", self.name);
                return Err(found.error.map_or_else(none, |trouble| trouble.detail));
            }
        }
        RecordLister::dial(&self.dial).await
    }
}

/// The ways to the nodes of a builder; in words, why there is none.
pub(super) fn routes(settings: &BuilderSettings) -> Result<Vec<NodeRoute>, Text> {
    let found = find(settings).map_err(|missing| missing.reason)?;
    if let Driver::Other(driver) = &found.driver {
        return Err(Text::clean(&format!(
            "builders of the {driver} driver are not asked: it would start them"
        )));
    }
    let route = |node: &instance::NodeDefinition| NodeRoute {
        name: node.name.clone(),
        platforms: node.platforms.clone(),
        dial: dial(&found, node, settings),
        place: node.cluster.clone().map(|place| (place, settings.env.clone())),
    };
    Ok(found.nodes.iter().map(route).collect())
}

type FoundBuilder = Result<BuilderDefinition, MissingBuilder>;

fn find(settings: &BuilderSettings) -> FoundBuilder {
    instance::find(settings.builder.as_deref(), &settings.env)
}

fn snapshot(found: &FoundBuilder, watched: &WatchedNodes, settings: &BuilderSettings) -> BuilderSnapshot {
    match found {
        Ok(definition) => judge::builder(definition, &watched.known, &settings.platforms),
        Err(missing) => BuilderSnapshot {
            name: Text::clean(&missing.name),
            state: missing.state,
            reason: missing.reason.clone(),
            hint: missing.hint.clone(),
            ..BuilderSnapshot::default()
        },
    }
}

/// A reading of a node.
enum NodeReading {
    Engine(Box<engine::EngineReading>),
    Kit(Box<buildkit::BuildkitReading>),
}

/// The nodes of a builder, and the tasks that look at them. Dropped, it ends them.
struct WatchedNodes {
    known: Vec<NodeReadings>,
    parts: mpsc::Receiver<(usize, NodeReading)>,
    /// The channel stays open where there is no task.
    _report: mpsc::Sender<(usize, NodeReading)>,
    _tasks: JoinSet<()>,
}

impl WatchedNodes {
    fn new(found: &FoundBuilder, settings: &BuilderSettings, own: &OwnBuild, clock: Clock) -> Self {
        let (report, parts) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        let mut known = Vec::new();
        if let Ok(definition) = found {
            known = vec![NodeReadings::default(); definition.nodes.len()];
            for i in 0..definition.nodes.len() {
                spawn(&mut tasks, definition, i, settings, own, clock, &report);
            }
        }
        Self { known, parts, _report: report, _tasks: tasks }
    }

    fn take(&mut self, node: usize, part: NodeReading) {
        let Some(known) = self.known.get_mut(node) else { return };
        match part {
            NodeReading::Engine(reading) => known.engine = Some(*reading),
            NodeReading::Kit(reading) => known.kit = Some(*reading),
        }
    }

    /// Whether each node has answered or failed.
    fn has_answered(&self, found: &FoundBuilder) -> bool {
        found
            .as_ref()
            .map_or(true, |definition| self.known.iter().all(|known| known.has_answered(&definition.driver)))
    }

    fn is_complete(&self, found: &FoundBuilder) -> bool {
        found
            .as_ref()
            .map_or(true, |definition| self.known.iter().all(|known| known.is_complete(&definition.driver)))
    }
}

/// Starts the two tasks of a node.
fn spawn(
    tasks: &mut JoinSet<()>,
    definition: &BuilderDefinition,
    i: usize,
    settings: &BuilderSettings,
    own: &OwnBuild,
    clock: Clock,
    report: &mpsc::Sender<(usize, NodeReading)>,
) {
    // Dialling a builder of another driver would boot it.
    let (Some(node), false) = (definition.nodes.get(i), matches!(definition.driver, Driver::Other(_))) else {
        return;
    };
    let (allow, allowed) = watch::channel(false);
    let (node, driver, engines) = (node.clone(), definition.driver.clone(), report.clone());
    let (dial, env) = (dial(definition, &node, settings), settings.env.clone());
    let name = node.name.clone();
    tasks.spawn(async move {
        let (mut last, mut polls, mut failures) = (None::<engine::EngineReading>, 0_u64, 0);
        let mut pods = node.cluster.as_ref().map(|place| pods::NodePods::new(place, &env));
        loop {
            let reading = match &mut pods {
                Some(pods) => pods.look().await,
                None => engine::look(&node, &driver, last.as_ref(), polls % SELDOM == 0, &clock).await,
            };
            failures = if reading.error.is_some() { failures + 1 } else { 0 };
            allow.send_if_modified(|may| {
                std::mem::replace(may, reading.may_dial(&driver)) != reading.may_dial(&driver)
            });
            if engines.send((i, NodeReading::Engine(Box::new(reading.clone())))).await.is_err() {
                return;
            }
            last = Some(reading);
            polls += 1;
            // To look at a socket of this machine costs nothing, and its engine is soon back.
            let wait = match node.host {
                Some(EngineAddress::Unix(_)) => POLL,
                _ if failures == 0 => POLL,
                _ => pause(failures, &clock),
            };
            sleep(wait).await;
        }
    });
    let (kit, mut kits) = mpsc::channel(4);
    let report = report.clone();
    let follow = buildkit::FollowOptions {
        node: name,
        mask: settings.mask.clone(),
        own: own.clone(),
        listings: settings.listings.clone(),
        clock,
    };
    tasks.spawn(buildkit::follow(dial, allowed, follow, kit));
    tasks.spawn(async move {
        while let Some(reading) = kits.recv().await {
            if report.send((i, NodeReading::Kit(Box::new(reading)))).await.is_err() {
                return;
            }
        }
    });
}

/// The way to a node's `BuildKit`.
fn dial(
    definition: &BuilderDefinition,
    node: &instance::NodeDefinition,
    settings: &BuilderSettings,
) -> DialTarget {
    if let Some(listener) = &node.listener {
        return DialTarget::Direct(listener.clone());
    }
    let reachable = node.host.as_ref().filter(|host| !matches!(host, EngineAddress::ByCommand(_)));
    match (&definition.driver, reachable) {
        (Driver::Container, Some(host)) => {
            return DialTarget::Container { host: host.clone(), name: node.container() };
        }
        (Driver::Docker, Some(host)) => return DialTarget::EngineBuildkit(host.clone()),
        _ => {}
    }
    let mut argv: Vec<String> = Vec::new();
    let mut say = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    if definition.driver == Driver::Container {
        let [option, endpoint] = node.docker_options();
        say(&[&option, &endpoint, "exec", "-i", &node.container(), "buildctl", "dial-stdio"]);
    } else {
        say(&["buildx", "--builder", &definition.name, "dial-stdio"]);
        // Of several nodes a platform picks one.
        let platform = node.platforms.first().filter(|_| definition.nodes.len() > 1);
        if let Some(platform) = platform {
            say(&["--platform", platform.as_str()]);
        }
    }
    DialTarget::Command { argv, env: settings.env.clone() }
}
