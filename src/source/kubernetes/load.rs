//! How full nodes are: what they use, by `metrics.k8s.io`; where that does not answer, what their pods have requested.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::event::Text;
use crate::event::cluster::{MissingPart, MissingReason, SnapshotPart};

use super::access::{ClusterAccess, PATIENCE};
use super::fault::ApiFault;
use super::follow::{AccessReceiver, part_name};
use super::object::{NodeMetrics, ObjectList, PodObject, Quantities};
use super::state::{ClusterUpdate, RequestedResources};

/// A metrics server looks at nodes every 15 s.
const USAGE_EVERY: Duration = Duration::from_secs(15);
/// Pods ask for what they ask for as long as they live.
const REQUESTS_EVERY: Duration = Duration::from_secs(60);
/// Of the time that listing all pods takes, this many times as much passes before it is done again: half a per cent of a core.
const REST: u32 = 200;
/// A page of pods is a few MB at most.
const PAGE: usize = 500;
/// A cluster of more pods is not asked for all of them.
const MOST_PODS: usize = 20_000;
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
/// Pods that have ended have given back what they had.
const PODS: &str = "/api/v1/pods?fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";

/// Asks on and on while the cluster answers. Ends when nobody listens.
pub(super) async fn ask_on(mut gate: AccessReceiver, clock: Clock, tx: mpsc::Sender<ClusterUpdate>) {
    loop {
        let Ok(access) = gate.wait_for(Option::is_some).await.map(|access| access.clone()) else { return };
        let Some(access) = access else { continue };
        let mut pause = USAGE_EVERY;
        let news = match usage(&access).await {
            Ok(usage) => vec![ClusterUpdate::Usage(usage)],
            Err(fault) => {
                let mut news: Vec<ClusterUpdate> = fault
                    .missing(SnapshotPart::Usage, part_name(SnapshotPart::Usage))
                    .map(unmeasured)
                    .into_iter()
                    .collect();
                let asked = clock.now();
                news.extend(requests(&access).await);
                pause = REQUESTS_EVERY.max(clock.now().since(asked) * REST);
                news
            }
        };
        for news in news {
            if tx.send(news).await.is_err() {
                return;
            }
        }
        // A cluster that was lost is asked again as soon as it is back.
        let _ = timeout(pause, gate.wait_for(Option::is_none)).await;
    }
}

fn unmeasured(missing: MissingPart) -> ClusterUpdate {
    let reason = match missing.lack {
        MissingReason::Absent => "usage: the cluster has no metrics server".into(),
        _ => missing.reason,
    };
    ClusterUpdate::Missing(MissingPart { reason, ..missing })
}

async fn usage(access: &ClusterAccess) -> Result<BTreeMap<Text, (u64, u64)>, ApiFault> {
    let list: ObjectList<NodeMetrics> = access.get(METRICS, PATIENCE).await?;
    let of = |node: &NodeMetrics| {
        Some((Text::clean(&node.metadata.name), (node.usage.millis()?, node.usage.bytes()?)))
    };
    Ok(list.items.iter().filter_map(of).collect())
}

/// Sums up what all pods have requested, page by page, so that no more than a page is in memory.
async fn requests(access: &ClusterAccess) -> Option<ClusterUpdate> {
    let (mut sums, mut seen) = (BTreeMap::<Text, RequestedResources>::new(), 0);
    let mut next = String::new();
    loop {
        let page = format!("{PODS}&limit={PAGE}&continue={next}");
        let list: ObjectList<PodObject> = match access.get(&page, PATIENCE).await {
            Ok(list) => list,
            Err(fault) => {
                return fault
                    .missing(SnapshotPart::Requests, part_name(SnapshotPart::Requests))
                    .map(ClusterUpdate::Missing);
            }
        };
        seen += list.items.len();
        for pod in &list.items {
            if let Some(node) = &pod.spec.node_name {
                let sum = sums.entry(Text::clean(node)).or_default();
                let (millis, bytes) = (requested(pod, Quantities::millis), requested(pod, Quantities::bytes));
                (sum.millis, sum.bytes, sum.pods) = (sum.millis + millis, sum.bytes + bytes, sum.pods + 1);
            }
        }
        if list.metadata.next.is_empty() {
            return Some(ClusterUpdate::Requests(sums));
        }
        if seen >= MOST_PODS {
            let reason = format!("requests: the cluster has more than {MOST_PODS} pods").into();
            return Some(ClusterUpdate::Missing(MissingPart {
                part: SnapshotPart::Requests,
                lack: MissingReason::TooMuch,
                reason,
            }));
        }
        next = url::form_urlencoded::byte_serialize(list.metadata.next.as_bytes()).collect();
        // Others want to go on, too.
        tokio::task::yield_now().await;
    }
}

/// As the scheduler counts: containers run together, those of the beginning one after the other before them.
fn requested(pod: &PodObject, of: fn(&Quantities) -> Option<u64>) -> u64 {
    let one = |container: &super::object::PodContainer| of(&container.resources.requests).unwrap_or_default();
    let together: u64 = pod.spec.containers.iter().map(one).sum();
    let first = pod.spec.init_containers.iter().map(one).max().unwrap_or_default();
    together.max(first) + of(&pod.spec.overhead).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_the_scheduler_does() {
        let text = r#"{"spec":{"overhead":{"cpu":"10m"},"initContainers":[{"resources":{"requests":{"cpu":"2","memory":"1Mi"}}}],
            "containers":[{"resources":{"requests":{"cpu":"500m","memory":"1Mi"}}},{"resources":{"requests":{"memory":"2Mi"}}},{}]}}"#;
        let pod: PodObject = serde_json::from_str(text).unwrap();
        assert_eq!(
            (requested(&pod, Quantities::millis), requested(&pod, Quantities::bytes)),
            (2010, 3 << 20)
        );
    }
}
