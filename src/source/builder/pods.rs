//! The pods of a node of the kubernetes driver: what an engine's container is to others.

use std::collections::BTreeMap;

use crate::event::builder::BuilderContainer;
use crate::event::cluster::{ClusterPod, ContainerEnd, PodState};
use crate::event::{Line, Text};
use crate::source::kubernetes::{self, ClusterSettings, Deployment};

use super::engine::{EngineFault, EngineReading};
use super::instance::PodLocation;

/// Looks at the pods of a node.
pub(super) struct NodePods {
    deployment: Deployment,
}

impl NodePods {
    pub(super) fn new(place: &PodLocation, env: &BTreeMap<String, String>) -> Self {
        Self { deployment: Deployment::new(settings(place, env), place.deployment.clone()) }
    }

    /// Asks for them once.
    pub(super) async fn look(&mut self) -> EngineReading {
        match self.deployment.pods().await {
            Ok(pods) => {
                let pod = chosen(pods);
                EngineReading {
                    container: pod.as_ref().map(container),
                    pod,
                    asked: true,
                    ..EngineReading::default()
                }
            }
            Err(fault) => EngineReading {
                error: Some(EngineFault::failing(fault.detail)),
                asked: true,
                ..EngineReading::default()
            },
        }
    }
}

/// The cluster of a node.
pub(super) fn settings(place: &PodLocation, env: &BTreeMap<String, String>) -> ClusterSettings {
    ClusterSettings {
        kubeconfig: place.kubeconfig.clone(),
        namespace: place.namespace.clone(),
        env: env.clone(),
        ..ClusterSettings::default()
    }
}

/// Of several replicas the one that builds can run on, else the one that has most to tell.
pub(super) fn chosen(pods: Vec<ClusterPod>) -> Option<ClusterPod> {
    let rank = |pod: &ClusterPod| (pod.state == PodState::Ready, pod.state);
    pods.into_iter().max_by_key(rank)
}

fn container(pod: &ClusterPod) -> BuilderContainer {
    let runs = pod.state == PodState::Ready;
    let last = pod.last.as_ref();
    let status = if runs { "running".into() } else { pod.phase.as_str().to_lowercase().into() };
    BuilderContainer {
        name: pod.name.clone(),
        status,
        started: pod.started,
        finished: last.filter(|_| !runs).and_then(|last| last.at),
        exit_code: last.filter(|_| !runs).map(|last| last.exit_code),
        restarts: pod.restarts,
        oom_killed: last.is_some_and(ContainerEnd::is_oom),
        counters: None,
    }
}

/// The last lines of the node's pod.
pub(super) async fn logs(
    place: &PodLocation,
    env: &BTreeMap<String, String>,
    lines: u32,
) -> Result<Vec<Line>, Text> {
    let settings = settings(place, env);
    let pods = Deployment::new(settings.clone(), place.deployment.clone()).pods().await;
    let pod = chosen(pods.map_err(|fault| Text::clean(&fault.detail))?);
    let pod = pod.ok_or_else(|| Text::clean(&format!("the Deployment {} has no pod", place.deployment)))?;
    kubernetes::logs(&settings, pod.name.as_str(), lines).await
}
