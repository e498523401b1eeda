//! What a node's object amounts to. Pure.

use crate::event::cluster::{ClusterNode, Gauge, NodeState, Shortage};
use crate::event::{Platform, Text, Time};

use super::object::{NodeCondition, NodeObject, Taint};

/// Taints with this prefix are the cluster's own words for conditions, which are shown as such.
const CONDITIONS: &str = "node.kubernetes.io/";
const ROLE: &str = "node-role.kubernetes.io/";

/// What is shown of a node, but for what other objects say of it.
pub(super) fn node(raw: &NodeObject) -> ClusterNode {
    let condition = |kind: &str| raw.status.conditions.iter().find(|condition| condition.kind == kind);
    let ready = condition("Ready");
    let shortages: Vec<(Shortage, &NodeCondition)> = [
        (Shortage::Memory, "MemoryPressure"),
        (Shortage::Disk, "DiskPressure"),
        (Shortage::Pids, "PIDPressure"),
        (Shortage::Network, "NetworkUnavailable"),
    ]
    .into_iter()
    .filter_map(|(shortage, kind)| {
        Some((shortage, condition(kind).filter(|condition| condition.status == "True")?))
    })
    .collect();
    let (state, reason) = judge(ready, &shortages, raw.spec.unschedulable);
    let heartbeats =
        raw.status.conditions.iter().filter_map(|condition| time(condition.last_heartbeat_time.as_ref()));
    let info = &raw.status.node_info;
    ClusterNode {
        name: Text::clean(&raw.metadata.name),
        state,
        reason,
        since: ready.and_then(|ready| time(ready.last_transition_time.as_ref())),
        heartbeat: heartbeats.max(),
        shortages: shortages.iter().map(|(shortage, _)| *shortage).collect(),
        cordoned: raw.spec.unschedulable,
        taints: raw.spec.taints.iter().filter_map(taint).collect(),
        roles: raw.metadata.labels.keys().filter_map(|key| key.strip_prefix(ROLE)).map(Text::clean).collect(),
        platform: Platform::parse(&format!("{}/{}", info.operating_system, info.architecture)),
        kubelet: Text::clean(&info.kubelet_version),
        cpu: Gauge {
            total: raw.status.allocatable.millis(),
            capacity: raw.status.capacity.millis(),
            ..Gauge::default()
        },
        memory: Gauge {
            total: raw.status.allocatable.bytes(),
            capacity: raw.status.capacity.bytes(),
            ..Gauge::default()
        },
        ..ClusterNode::default()
    }
}

/// A time as Kubernetes writes it.
pub(super) fn time(text: Option<&String>) -> Option<Time> {
    text.and_then(|text| Time::parse(text))
}

fn judge(
    ready: Option<&NodeCondition>,
    shortages: &[(Shortage, &NodeCondition)],
    cordoned: bool,
) -> (NodeState, Text) {
    let Some(ready) = ready else {
        return (NodeState::Unknown, "its kubelet has not reported yet".into());
    };
    let mut words: Vec<String> = Vec::new();
    let state = match ready.status.as_str() {
        "True" if !shortages.is_empty() => NodeState::Strained,
        "True" if cordoned => NodeState::Cordoned,
        "True" => NodeState::Ready,
        "False" => NodeState::NotReady,
        _ => NodeState::Lost,
    };
    if !state.is_up() {
        words.push(condition_text(ready));
    }
    words.extend(shortages.iter().map(|(shortage, condition)| match shortage {
        Shortage::Memory => format!("short of memory ({})", condition_text(condition)),
        Shortage::Disk => format!("short of disk ({})", condition_text(condition)),
        Shortage::Pids => format!("short of process ids ({})", condition_text(condition)),
        Shortage::Network => format!("its network is not set up ({})", condition_text(condition)),
    }));
    if cordoned {
        words.push("cordoned: it takes no new pods".to_owned());
    }
    (state, words.join("; ").into())
}

/// A condition in its own words.
pub(super) fn condition_text(condition: &NodeCondition) -> String {
    let words = if condition.message.is_empty() { &condition.reason } else { &condition.message };
    words.trim_end_matches('.').to_owned()
}

fn taint(taint: &Taint) -> Option<Text> {
    let matters = taint.effect != "PreferNoSchedule" && !taint.key.starts_with(CONDITIONS);
    let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
    matters.then(|| format!("{}{value}:{}", taint.key, taint.effect).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(conditions: &str, spec: &str) -> ClusterNode {
        let text = format!(
            r#"{{"metadata":{{"name":"a","labels":{{"node-role.kubernetes.io/worker":""}}}},"spec":{spec},
            "status":{{"conditions":[{conditions}],"allocatable":{{"cpu":"3900m","memory":"8Gi"}},
            "nodeInfo":{{"architecture":"arm64","operatingSystem":"linux","kubeletVersion":"v1.20.2"}}}}}}"#
        );
        node(&serde_json::from_str(&text).unwrap())
    }

    fn condition(kind: &str, status: &str, message: &str) -> String {
        format!(
            r#"{{"type":"{kind}","status":"{status}","message":"{message}","lastHeartbeatTime":"1970-01-01T00:00:07Z",
            "lastTransitionTime":"1970-01-01T00:00:03Z"}}"#
        )
    }

    #[test]
    fn states_from_well_to_ill() {
        let well = read(&condition("Ready", "True", "kubelet is posting ready status"), "{}");
        assert_eq!(
            (well.state, well.reason.as_str(), well.platform),
            (NodeState::Ready, "", Platform::parse("linux/arm64"))
        );
        assert_eq!(
            (well.since, well.heartbeat),
            (Some(Time::from_micros(3_000_000)), Some(Time::from_micros(7_000_000)))
        );
        assert_eq!((well.cpu.total, well.memory.total, well.roles.len()), (Some(3900), Some(8 << 30), 1));

        let cordoned = r#"{"unschedulable":true,"taints":[{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"},
            {"key":"dedicated","value":"builds","effect":"NoSchedule"},{"key":"soft","effect":"PreferNoSchedule"}]}"#;
        let node = read(&condition("Ready", "True", ""), cordoned);
        assert_eq!(
            (node.state, node.taints),
            (NodeState::Cordoned, vec!["dedicated=builds:NoSchedule".into()])
        );
        let full = condition("Ready", "True", "")
            + ","
            + &condition("DiskPressure", "True", "kubelet has disk pressure");
        let node = read(&full, "{}");
        assert_eq!(node.state, NodeState::Strained);
        assert_eq!(node.reason.as_str(), "short of disk (kubelet has disk pressure)");
        let node = read(&condition("Ready", "False", "container runtime is down"), cordoned);
        assert_eq!(node.state, NodeState::NotReady);
        assert_eq!(node.reason.as_str(), "container runtime is down; cordoned: it takes no new pods");
        let node = read(&condition("Ready", "Unknown", "Kubelet stopped posting node status."), "{}");
        assert_eq!(
            (node.state, node.reason.as_str()),
            (NodeState::Lost, "Kubelet stopped posting node status")
        );
        assert_eq!(read("", "{}").state, NodeState::Unknown);
    }
}
