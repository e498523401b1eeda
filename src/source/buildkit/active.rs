//! Builds that run on a daemon now, by anybody, and how far they are.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{
    BuildHistoryEvent, BuildHistoryEventType, BuildHistoryRecord, BuildHistoryRequest, StatusRequest,
    StatusResponse,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::event::builder::ActiveBuild;
use crate::event::reference::is_same_image;
use crate::event::{Mask, Text, Time};

use super::{PATIENCE, cut, status_text, usage};

/// Builds whose progress is followed; of more only name and reference are told.
const FOLLOWED: usize = 8;

/// How much later than ours a daemon's clock may tell that our build began.
const SKEW: Duration = Duration::from_secs(2);

/// Identifies the build that layertop runs itself, in the list of a daemon.
#[derive(Debug, Clone, Default)]
pub(in crate::source) struct OwnBuild {
    /// Images that it makes.
    pub(in crate::source) images: Vec<String>,
    /// It has not begun before that.
    pub(in crate::source) since: Time,
}

impl OwnBuild {
    fn is(&self, record: &BuildHistoryRecord) -> bool {
        // buildx writes references out.
        let is_one = |made: &str| self.images.iter().any(|image| is_same_image(made, image));
        let since = record.created_at.as_ref().map(usage::time);
        since.is_some_and(|began| self.since.since(began) <= SKEW) && images(record).any(is_one)
    }
}

/// The builds of one daemon.
#[derive(Default)]
pub(super) struct ActiveBuilds {
    builds: BTreeMap<String, ActiveBuild>,
    listening: Option<HistorySubscription>,
    mask: Mask,
    own: OwnBuild,
}

struct HistorySubscription {
    client: ControlClient<Channel>,
    history: Streaming<BuildHistoryEvent>,
    followers: JoinSet<String>,
    news: mpsc::Receiver<(String, BuildProgress)>,
    report: mpsc::Sender<(String, BuildProgress)>,
}

/// Progress of a build.
struct BuildProgress {
    total: u64,
    completed: u64,
    cached: u64,
    running: Text,
}

impl ActiveBuilds {
    pub(super) async fn listen(
        client: &mut ControlClient<Channel>,
        mask: &Mask,
        own: &OwnBuild,
    ) -> Result<Self, String> {
        // First those that run already, a list with an end: without it nobody could tell when it is whole.
        let mut request =
            BuildHistoryRequest { active_only: true, early_exit: true, ..BuildHistoryRequest::default() };
        let already = client.listen_build_history(request.clone());
        let already = tokio::time::timeout(PATIENCE, async {
            let mut stream = already.await?.into_inner();
            let mut events = Vec::new();
            while let Some(event) = stream.message().await? {
                events.push(event);
            }
            Ok::<_, tonic::Status>(events)
        });
        // A daemon without such a list says so here.
        let already = already.await.ok().and_then(Result::ok).unwrap_or_default();
        request.early_exit = false;
        let asked = tokio::time::timeout(PATIENCE, client.listen_build_history(request)).await;
        let history = match asked.map_err(|_| format!("no answer in {} s", PATIENCE.as_secs()))? {
            Ok(history) => history.into_inner(),
            Err(status) if status.code() == Code::Unimplemented => return Ok(Self::default()),
            Err(status) => return Err(status_text(&status)),
        };
        let (report, news) = mpsc::channel(16);
        let listening =
            HistorySubscription { client: client.clone(), history, followers: JoinSet::new(), news, report };
        let (mask, own) = (mask.clone(), own.clone());
        let mut active = Self { builds: BTreeMap::new(), listening: Some(listening), mask, own };
        for event in already {
            active.take(event);
        }
        Ok(active)
    }

    /// The builds, oldest first; none where the daemon keeps no list of them.
    pub(super) fn builds(&self) -> Option<Vec<ActiveBuild>> {
        self.listening.as_ref()?;
        let mut builds: Vec<ActiveBuild> = self.builds.values().cloned().collect();
        builds.sort_by_key(|build| build.started);
        Some(builds)
    }

    /// Waits for news; says whether a build has ended. Dropped while it waits it loses nothing.
    pub(super) async fn changed(&mut self) -> Result<bool, String> {
        let Some(listening) = &mut self.listening else { return std::future::pending().await };
        tokio::select! {
            event = listening.history.message() => match event {
                Ok(Some(event)) => Ok(self.take(event)),
                Ok(None) => Err("the daemon has ended the list of its builds".to_owned()),
                // A daemon of before the history (BuildKit 0.11) may say so only here.
                Err(status) if status.code() == Code::Unimplemented => {
                    self.listening = None;
                    Ok(false)
                }
                Err(status) => Err(status_text(&status)),
            },
            Some((reference, progress)) = listening.news.recv() => {
                if let Some(build) = self.builds.get_mut(&reference) {
                    (build.total, build.completed) = (progress.total, progress.completed);
                    (build.cached, build.running) = (progress.cached, progress.running);
                }
                Ok(false)
            }
            // The stream of a build ends with it, and the list need not say so.
            Some(Ok(reference)) = listening.followers.join_next() => {
                Ok(self.builds.remove(&reference).is_some())
            }
        }
    }

    fn take(&mut self, event: BuildHistoryEvent) -> bool {
        let kind = event.r#type();
        let (Some(record), Some(listening)) = (event.record, &mut self.listening) else { return false };
        if kind != BuildHistoryEventType::Started || record.completed_at.is_some() {
            return self.builds.remove(&record.r#ref).is_some();
        }
        if self.builds.contains_key(&record.r#ref) {
            return false;
        }
        let own = self.own.is(&record) && !self.builds.values().any(|build| build.own);
        if !own && listening.followers.len() < FOLLOWED {
            let (client, report) = (listening.client.clone(), listening.report.clone());
            let mask = self.mask.clone();
            listening.followers.spawn(follow(client, record.r#ref.clone(), mask, report));
        }
        self.builds.insert(record.r#ref.clone(), ActiveBuild { own, ..begun(&record, &self.mask) });
        false
    }
}

fn begun(record: &BuildHistoryRecord, mask: &Mask) -> ActiveBuild {
    ActiveBuild {
        reference: Text::clean(&record.r#ref),
        name: cut(mask, &name(record)),
        started: record.created_at.as_ref().map(usage::time),
        ..ActiveBuild::default()
    }
}

/// What a build is called: the image that it makes, else its target and where its context comes from.
fn name(record: &BuildHistoryRecord) -> String {
    if let Some(image) = images(record).next() {
        return image.to_owned();
    }
    let attribute = |key: &str| record.frontend_attrs.get(key).filter(|value| !value.is_empty());
    let source = attribute("vcs:source").or_else(|| attribute("context"));
    let place = source.or_else(|| attribute("vcs:localdir:context")).or_else(|| attribute("filename"));
    let place = place.map(|place| place.trim_end_matches('/').rsplit('/').next().unwrap_or(place));
    [place, attribute("target").map(String::as_str)].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The images that a build makes.
fn images(record: &BuildHistoryRecord) -> impl Iterator<Item = &str> {
    let names = record.exporters.iter().filter_map(|exporter| exporter.attrs.get("name"));
    names.flat_map(|names| names.split(',')).filter(|image| !image.is_empty())
}

/// Follows one build; gives its reference back when it has ended.
async fn follow(
    mut client: ControlClient<Channel>,
    reference: String,
    mask: Mask,
    report: mpsc::Sender<(String, BuildProgress)>,
) -> String {
    let request = StatusRequest { r#ref: reference.clone() };
    let Ok(stream) = client.status(request).await else { return reference };
    let mut stream = stream.into_inner();
    let mut count = SolveProgress::default();
    while let Ok(Some(response)) = stream.message().await {
        if count.take(response) && report.send((reference.clone(), count.progress(&mask))).await.is_err() {
            break;
        }
    }
    reference
}

/// The vertices of a build.
#[derive(Default)]
struct SolveProgress {
    vertices: HashMap<String, VertexProgress>,
    order: u64,
}

struct VertexProgress {
    name: String,
    done: bool,
    cached: bool,
    begun: Option<u64>,
}

impl SolveProgress {
    /// Takes a message; whether something has changed.
    fn take(&mut self, response: StatusResponse) -> bool {
        let any = !response.vertexes.is_empty();
        for vertex in response.vertexes {
            self.order += 1;
            let seen = self.vertices.entry(vertex.digest).or_insert(VertexProgress {
                name: vertex.name,
                done: false,
                cached: false,
                begun: None,
            });
            // A vertex is run several times, and a lazy pull of a cached one comes without the word.
            seen.done = vertex.completed.is_some();
            seen.cached |= vertex.cached;
            seen.begun = vertex.started.is_some().then_some(self.order);
        }
        any
    }

    fn progress(&self, mask: &Mask) -> BuildProgress {
        let count = |which: fn(&&VertexProgress) -> bool| self.vertices.values().filter(which).count() as u64;
        let running = self.vertices.values().filter(|seen| !seen.done && seen.begun.is_some());
        BuildProgress {
            total: self.vertices.len() as u64,
            completed: count(|seen| seen.done),
            cached: count(|seen| seen.done && seen.cached),
            running: running
                .max_by_key(|seen| seen.begun)
                .map(|seen| cut(mask, &seen.name))
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Timestamp;
    use bollard_buildkit_proto::moby::buildkit::v1::Exporter;

    use super::*;

    fn record(images: &str, began: i64) -> BuildHistoryRecord {
        let attrs = HashMap::from([("name".to_owned(), images.to_owned())]);
        BuildHistoryRecord {
            created_at: Some(Timestamp { seconds: began, nanos: 0 }),
            exporters: vec![Exporter { r#type: "image".into(), attrs }],
            ..BuildHistoryRecord::default()
        }
    }

    #[test]
    fn the_own_build_is_known_by_its_image_and_its_time() {
        let images = vec!["127.0.0.1:5000/app:a".to_owned(), "app".to_owned()];
        let own = OwnBuild { images, since: Time::from_micros(100_000_000) };
        assert!(own.is(&record("127.0.0.1:5000/app:a", 100)));
        assert!(own.is(&record("other:1,docker.io/library/app:latest", 103)));
        assert!(own.is(&record("127.0.0.1:5000/app:a", 98)), "the daemon's clock is behind");
        assert!(!own.is(&record("127.0.0.1:5000/app:a", 90)), "it has begun before");
        assert!(!own.is(&record("127.0.0.1:5000/app:b", 100)));
        assert!(!own.is(&record("docker.io/library/myapp:latest", 100)));
        assert!(!own.is(&record("", 100)));
        assert!(!OwnBuild::default().is(&record("127.0.0.1:5000/app:a", 100)));
    }
}
