//! One kind of object, listed once and then watched: after a watch has ended, for whatever reason, it goes on where it was, and only
//! where the server has forgotten that point (410) it is listed anew.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use kube::core::WatchEvent;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::event::cluster::SnapshotPart;
use crate::source::retry::pause;

use super::access::{ClusterAccess, PATIENCE};
use super::fault::ApiFault;
use super::object::{ApiObject, ObjectList};
use super::state::ClusterUpdate;

/// Objects a page: a page of nodes is about 2 MB.
const PAGE: usize = 500;
/// After so many seconds a server is asked to end a watch, so that one that is dead in some unforeseen way does not last.
const LONGEST_WATCH: u32 = 290;
/// How long a page of a list may take.
const LIST_PATIENCE: Duration = Duration::from_secs(30);

/// Stands in a path for the namespace that the kubeconfig says.
pub(super) const NAMESPACE: &str = "{namespace}";

/// The way to a cluster while it answers; none while it does not.
pub(super) type AccessReceiver = watch::Receiver<Option<ClusterAccess>>;

#[derive(Debug, Clone)]
pub(super) struct WatchQuery {
    pub(super) part: SnapshotPart,
    /// Path of the API, such as `/api/v1/nodes`.
    pub(super) path: String,
    /// Selectors, as a query: `labelSelector=app%3Da`; may be empty.
    pub(super) selectors: String,
}

impl WatchQuery {
    pub(super) fn new(part: SnapshotPart, path: String, selectors: &[(&str, &str)]) -> Self {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(selectors.iter().filter(|(_, value)| !value.is_empty()));
        Self { part, path, selectors: query.finish() }
    }

    fn with(&self, access: &ClusterAccess, more: &str) -> String {
        let and = if self.selectors.is_empty() { "" } else { "&" };
        format!("{}?{}{and}{more}", self.path.replace(NAMESPACE, &access.namespace), self.selectors)
    }
}

/// A change in what there is, by key.
#[derive(Debug)]
pub(super) enum ObjectChange<T> {
    /// This is all there is.
    All(Vec<(String, T)>),
    /// This one is new, or has changed.
    Put(String, T),
    /// This one is no more.
    Gone(String),
}

/// Where the objects of a watch go.
pub(super) struct ObjectSink<R, T> {
    /// What is kept of an object.
    pub(super) keep: fn(&R, Option<u16>) -> T,
    /// What `keep` is told beside it: the port that matters.
    pub(super) port: Option<u16>,
    /// How it is told.
    pub(super) to_update: fn(ObjectChange<T>) -> ClusterUpdate,
    pub(super) tx: mpsc::Sender<ClusterUpdate>,
}

impl<R: ApiObject, T> ObjectSink<R, T> {
    fn pair(&self, raw: &R) -> (String, T) {
        let meta = raw.meta();
        (format!("{}/{}", meta.namespace, meta.name), (self.keep)(raw, self.port))
    }

    /// Whether anybody listens still.
    async fn send(&self, change: ObjectChange<T>) -> bool {
        self.tx.send((self.to_update)(change)).await.is_ok()
    }
}

/// Follows the objects of a query while the cluster answers. Ends when nobody listens.
pub(super) async fn follow<R: ApiObject, T>(
    query: WatchQuery,
    mut gate: AccessReceiver,
    clock: Clock,
    sink: ObjectSink<R, T>,
) {
    let mut from: Option<String> = None;
    let mut failures = 0;
    loop {
        let Ok(access) = gate.wait_for(Option::is_some).await.map(|access| access.clone()) else { return };
        let Some(access) = access else { continue };
        let fault = tokio::select! {
            ended = session(&query, &access, &mut from, &sink, &mut failures) => match ended {
                Some(fault) => fault,
                None => return,
            },
            lost = gate.wait_for(Option::is_none) => match lost {
                Ok(_) => continue,
                Err(_) => return,
            },
        };
        failures += 1;
        if failures > 1 || fault.is_gone() {
            from = None;
        }
        if let Some(missing) = fault.missing(query.part, part_name(query.part)) {
            // What is told to be missing is forgotten there, and has to be listed anew.
            from = None;
            if sink.tx.send(ClusterUpdate::Missing(missing)).await.is_err() {
                return;
            }
        }
        // What can't be asked at all may be asked again at once when it is back.
        let _ = timeout(pause(failures, &clock), gate.wait_for(Option::is_none)).await;
    }
}

/// One connection after the other, up to a fault; none where nobody listens any more.
async fn session<R: ApiObject, T>(
    query: &WatchQuery,
    access: &ClusterAccess,
    from: &mut Option<String>,
    sink: &ObjectSink<R, T>,
    failures: &mut u32,
) -> Option<ApiFault> {
    loop {
        let version = match from.clone() {
            Some(version) => version,
            None => match list(query, access).await {
                Err(fault) => return Some(fault),
                Ok((items, version)) => {
                    let all = items.iter().map(|raw| sink.pair(raw)).collect();
                    if !sink.send(ObjectChange::All(all)).await {
                        return None;
                    }
                    *from = Some(version.clone());
                    version
                }
            },
        };
        match follow_from(query, access, version, from, sink, failures).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(fault) if fault.is_gone() => *from = None,
            Err(fault) => return Some(fault),
        }
    }
}

/// All objects, page by page, and where a watch goes on from.
async fn list<R: ApiObject>(
    query: &WatchQuery,
    access: &ClusterAccess,
) -> Result<(Vec<R>, String), ApiFault> {
    let mut items = Vec::new();
    let mut page = format!("limit={PAGE}");
    loop {
        let list: ObjectList<R> = access.get(&query.with(access, &page), LIST_PATIENCE).await?;
        items.extend(list.items);
        if list.metadata.next.is_empty() {
            return Ok((items, list.metadata.resource_version));
        }
        let next: String = url::form_urlencoded::byte_serialize(list.metadata.next.as_bytes()).collect();
        page = format!("limit={PAGE}&continue={next}");
    }
}

/// One watch, up to its end. False: nobody listens any more.
async fn follow_from<R: ApiObject, T>(
    query: &WatchQuery,
    access: &ClusterAccess,
    version: String,
    from: &mut Option<String>,
    sink: &ObjectSink<R, T>,
    failures: &mut u32,
) -> Result<bool, ApiFault> {
    let parameters =
        format!("watch=1&allowWatchBookmarks=true&timeoutSeconds={LONGEST_WATCH}&resourceVersion={version}");
    let request = http::Request::get(query.with(access, &parameters)).body(Vec::new());
    let request = request.map_err(|error| ApiFault::of(&kube::Error::HttpError(error), &access.server))?;
    let opened = match timeout(PATIENCE, access.client().request_events::<R>(request)).await {
        Ok(opened) => opened.map_err(|error| ApiFault::of(&error, &access.server))?,
        Err(_) => return Err(access.no_answer(PATIENCE).await),
    };
    let mut stream = std::pin::pin!(opened);
    let mut heard = false;
    while let Some(event) = stream.try_next().await.map_err(|error| ApiFault::of(&error, &access.server))? {
        heard = true;
        *failures = 0;
        let change = match event {
            WatchEvent::Added(raw) | WatchEvent::Modified(raw) => {
                *from = Some(raw.meta().resource_version.clone());
                let (key, kept) = sink.pair(&raw);
                ObjectChange::Put(key, kept)
            }
            WatchEvent::Deleted(raw) => {
                *from = Some(raw.meta().resource_version.clone());
                ObjectChange::Gone(sink.pair(&raw).0)
            }
            WatchEvent::Bookmark(mark) => {
                *from = Some(mark.metadata.resource_version);
                continue;
            }
            WatchEvent::Error(status) => return Err(ApiFault::of(&kube::Error::Api(status), &access.server)),
        };
        if !sink.send(change).await {
            return Ok(false);
        }
    }
    if !heard {
        // A proxy that ends every watch at once must not be asked as fast as it can.
        sleep(Duration::from_secs(1)).await;
    }
    Ok(true)
}

/// A part, as a reason begins with it.
pub(super) fn part_name(part: SnapshotPart) -> &'static str {
    match part {
        SnapshotPart::Nodes => "nodes",
        SnapshotPart::Usage => "usage",
        SnapshotPart::Requests => "requests",
        SnapshotPart::NodeEvents => "events of nodes",
        SnapshotPart::PodEvents => "events of pods",
        SnapshotPart::RegistryPods => "pods of the registry",
        SnapshotPart::Service => "service",
        SnapshotPart::Endpoints => "endpoints",
        SnapshotPart::BuilderPods => "pods of the builder",
    }
}
