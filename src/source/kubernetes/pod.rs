//! What a pod's object amounts to. Pure.

use crate::event::Text;
use crate::event::cluster::{ClusterPod, ContainerEnd, PodState};

use super::node::{condition_text, time};
use super::object::{self, ContainerStatus, PodStatus};

/// What a container can wait for and never get.
const HOPELESS: &[&str] = &[
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// What is shown of a pod, but for what events say of it.
pub(super) fn pod(raw: &object::PodObject) -> ClusterPod {
    let statuses = &raw.status.container_statuses;
    // Of several containers the one that restarted most has most to tell.
    let worst = statuses.iter().rev().max_by_key(|status| status.restart_count);
    let (state, reason) = judge(raw);
    let last =
        worst.and_then(|worst| worst.last_state.terminated.as_ref().or(worst.state.terminated.as_ref()));
    ClusterPod {
        name: Text::clean(&raw.metadata.name),
        namespace: Text::clean(&raw.metadata.namespace),
        state,
        reason: reason.into(),
        phase: Text::clean(&raw.status.phase),
        containers: raw.spec.containers.len() as u64,
        ready: statuses.iter().filter(|status| status.ready).count() as u64,
        restarts: statuses.iter().map(|status| status.restart_count).sum(),
        node: raw.spec.node_name.as_deref().map(Text::clean),
        started: worst.and_then(|worst| time(worst.state.running.as_ref()?.started_at.as_ref())),
        last: last.map(|ended| ContainerEnd {
            reason: Text::clean(&ended.reason),
            exit_code: ended.exit_code,
            at: time(ended.finished_at.as_ref()),
        }),
        warnings: Vec::new(),
    }
}

fn judge(raw: &object::PodObject) -> (PodState, String) {
    let status = &raw.status;
    let own = || {
        [&status.reason, &status.message]
            .into_iter()
            .filter(|words| !words.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join(": ")
    };
    if status.reason == "NodeLost" {
        return (PodState::Unknown, own());
    }
    if raw.metadata.deletion_timestamp.is_some() {
        return (PodState::Terminating, "it is being deleted".to_owned());
    }
    match status.phase.as_str() {
        "Succeeded" => return (PodState::Succeeded, String::new()),
        "Failed" => return (PodState::Failed, if own().is_empty() { ended(status) } else { own() }),
        _ => {}
    }
    if let Some(stuck) = waiting(status) {
        return stuck;
    }
    let condition = |kind: &str| status.conditions.iter().find(|condition| condition.kind == kind);
    match status.phase.as_str() {
        "Running" if condition("Ready").is_some_and(|ready| ready.status == "True") => {
            (PodState::Ready, String::new())
        }
        "Running" => {
            let words = ended(status);
            let ready = condition("Ready").map(condition_text).unwrap_or_default();
            let words = if words.is_empty() { ready } else { words };
            (PodState::NotReady, if words.is_empty() { "it is not ready".to_owned() } else { words })
        }
        "Pending" => {
            let unbound = condition("PodScheduled").filter(|scheduled| scheduled.status == "False");
            let words = unbound.map_or_else(
                || "its containers are about to start".to_owned(),
                |why| format!("no node takes it: {}", condition_text(why)),
            );
            (PodState::Pending, words)
        }
        _ => (PodState::Unknown, own()),
    }
}

/// What a container waits for, those that come first first.
fn waiting(status: &PodStatus) -> Option<(PodState, String)> {
    let all = status.init_container_statuses.iter().chain(&status.container_statuses);
    let mut waits = all.filter_map(|container| container.state.waiting.as_ref());
    waits.find_map(|waiting| {
        let words = [waiting.reason.as_str(), waiting.message.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let state = match waiting.reason.as_str() {
            "CrashLoopBackOff" => PodState::CrashLooping,
            reason if HOPELESS.contains(&reason) => PodState::Failed,
            _ => return None,
        };
        Some((state, words.join(": ")))
    })
}

/// How a container of it has ended, where one has.
fn ended(status: &PodStatus) -> String {
    let words = |container: &ContainerStatus| {
        let ended = container.state.terminated.as_ref()?;
        Some(format!("{} has ended: {} ({})", container.name, ended.reason, ended.exit_code))
    };
    status.container_statuses.iter().find_map(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: &str) -> ClusterPod {
        let text = format!(
            r#"{{"metadata":{{"name":"a","namespace":"n"}},"spec":{{"nodeName":"x","containers":[{{"name":"c"}}]}},"status":{status}}}"#
        );
        pod(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn states_from_well_to_ill() {
        let well = read(
            r#"{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"c","ready":true,
            "restartCount":2,"state":{"running":{"startedAt":"1970-01-01T00:00:09Z"}},
            "lastState":{"terminated":{"reason":"OOMKilled","exitCode":137,"finishedAt":"1970-01-01T00:00:08Z"}}}]}"#,
        );
        assert_eq!((well.state, well.ready, well.containers, well.restarts), (PodState::Ready, 1, 1, 2));
        assert!(
            well.last.is_some_and(|last| last.is_oom() && last.exit_code == 137 && last.at < well.started)
        );
        let looping = read(
            r#"{"phase":"Running","conditions":[{"type":"Ready","status":"False","message":"containers with unready status: [c]"}],
            "containerStatuses":[{"name":"c","restartCount":9,"state":{"waiting":{"reason":"CrashLoopBackOff",
            "message":"back-off 5m0s restarting failed container"}}}]}"#,
        );
        assert_eq!(looping.state, PodState::CrashLooping);
        assert_eq!(looping.reason.as_str(), "CrashLoopBackOff: back-off 5m0s restarting failed container");
        let words = |status: &str| {
            let pod = read(status);
            (pod.state, pod.reason.as_str().to_owned())
        };
        let cases = [
            (
                r#"{"phase":"Running","conditions":[{"type":"Ready","status":"False","message":"unready: [c]"}]}"#,
                PodState::NotReady,
                "unready: [c]",
            ),
            (
                r#"{"phase":"Running","containerStatuses":[{"name":"c","state":{"terminated":{"reason":"Error","exitCode":2}}}]}"#,
                PodState::NotReady,
                "c has ended: Error (2)",
            ),
            (
                r#"{"phase":"Pending","containerStatuses":[{"name":"c","state":{"waiting":{"reason":"ErrImagePull","message":"no such image"}}}]}"#,
                PodState::Failed,
                "ErrImagePull: no such image",
            ),
            (
                r#"{"phase":"Pending","containerStatuses":[{"name":"c","state":{"waiting":{"reason":"ContainerCreating"}}}]}"#,
                PodState::Pending,
                "its containers are about to start",
            ),
            (
                r#"{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","message":"0/3 nodes are available."}]}"#,
                PodState::Pending,
                "no node takes it: 0/3 nodes are available",
            ),
            (
                r#"{"phase":"Failed","reason":"Evicted","message":"The node was low on memory"}"#,
                PodState::Failed,
                "Evicted: The node was low on memory",
            ),
            (r#"{"phase":"Succeeded"}"#, PodState::Succeeded, ""),
            (r#"{"phase":"Running","reason":"NodeLost"}"#, PodState::Unknown, "NodeLost"),
            ("{}", PodState::Unknown, ""),
        ];
        for (status, state, reason) in cases {
            assert_eq!(words(status), (state, reason.to_owned()), "{status}");
        }
    }
}
