//! The parts of Kubernetes' objects that are looked at. Everything else, which is most of them, is skipped while it is read.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// Something that can be listed and watched.
pub(super) trait ApiObject: DeserializeOwned + Clone + Send {
    /// What stands in its metadata.
    fn meta(&self) -> &ObjectMeta;
}

macro_rules! objects {
    ($($name:ident),*) => { $(impl ApiObject for $name {
        fn meta(&self) -> &ObjectMeta {
            &self.metadata
        }
    })* };
}
objects!(NodeObject, PodObject, ServiceObject, EndpointsObject, EventObject);

/// Go writes `null` for a list or map that has nothing in it.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(input: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub(super) struct ObjectList<T> {
    pub(super) metadata: ListMeta,
    #[serde(default = "Vec::new", deserialize_with = "nullable")]
    pub(super) items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListMeta {
    /// Where a watch goes on from this list.
    pub(super) resource_version: String,
    /// Asks for the next page; empty on the last.
    #[serde(rename = "continue")]
    pub(super) next: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ObjectMeta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) resource_version: String,
    pub(super) deletion_timestamp: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) annotations: ObjectAnnotations,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ObjectAnnotations {
    #[serde(rename = "kubectl.kubernetes.io/default-container")]
    pub(super) default_container: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeObject {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    pub(super) unschedulable: bool,
    #[serde(deserialize_with = "nullable")]
    pub(super) taints: Vec<Taint>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Taint {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) effect: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeStatus {
    #[serde(deserialize_with = "nullable")]
    pub(super) conditions: Vec<NodeCondition>,
    #[serde(deserialize_with = "nullable")]
    pub(super) capacity: Quantities,
    #[serde(deserialize_with = "nullable")]
    pub(super) allocatable: Quantities,
    pub(super) node_info: NodeSystemInfo,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) last_heartbeat_time: Option<String>,
    pub(super) last_transition_time: Option<String>,
}

/// Quantities as they are written: `1500m`, `128Mi`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Quantities {
    pub(super) cpu: Option<String>,
    pub(super) memory: Option<String>,
}

impl Quantities {
    /// In thousandths of a CPU, rounded up as Kubernetes does.
    pub(super) fn millis(&self) -> Option<u64> {
        self.cpu.as_deref().and_then(quantity).map(|cpus| (cpus * 1000.0).ceil() as u64)
    }

    /// The amount of memory in bytes.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.memory.as_deref().and_then(quantity).map(|bytes| bytes.ceil() as u64)
    }
}

/// Reads a quantity: a decimal number with a decimal (`n u m k M G T P E`) or binary (`Ki Mi Gi Ti Pi Ei`) suffix or an exponent.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    // `1E` is ten to the eighteenth, `1E3` and `1e3` are a thousand.
    let end = text.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c)).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent => 10.0_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let value = number.parse::<f64>().ok()? * factor;
    value.is_finite().then_some(value.max(0.0))
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeSystemInfo {
    pub(super) architecture: String,
    pub(super) operating_system: String,
    pub(super) kubelet_version: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodObject {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) containers: Vec<PodContainer>,
    #[serde(deserialize_with = "nullable")]
    pub(super) init_containers: Vec<PodContainer>,
    #[serde(deserialize_with = "nullable")]
    pub(super) overhead: Quantities,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodContainer {
    pub(super) name: String,
    pub(super) resources: ResourceRequirements,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResourceRequirements {
    #[serde(deserialize_with = "nullable")]
    pub(super) requests: Quantities,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) reason: String,
    pub(super) message: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) conditions: Vec<NodeCondition>,
    #[serde(deserialize_with = "nullable")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "nullable")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) ready: bool,
    pub(super) restart_count: u64,
    pub(super) state: ContainerState,
    pub(super) last_state: ContainerState,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<ContainerStateWaiting>,
    pub(super) running: Option<ContainerStateRunning>,
    pub(super) terminated: Option<ContainerStateTerminated>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStateWaiting {
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStateRunning {
    pub(super) started_at: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStateTerminated {
    pub(super) reason: String,
    pub(super) exit_code: i64,
    pub(super) finished_at: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceObject {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: ServiceSpec,
    pub(super) status: ServiceStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: String,
    pub(super) external_name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) selector: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServicePort {
    pub(super) port: u16,
    pub(super) node_port: u16,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceStatus {
    #[serde(deserialize_with = "nullable")]
    pub(super) load_balancer: LoadBalancerStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancerStatus {
    #[serde(deserialize_with = "nullable")]
    pub(super) ingress: Vec<LoadBalancerIngress>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancerIngress {
    pub(super) ip: String,
    pub(super) hostname: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct EndpointsObject {
    pub(super) metadata: ObjectMeta,
    #[serde(deserialize_with = "nullable")]
    pub(super) subsets: Vec<EndpointSubset>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EndpointSubset {
    #[serde(deserialize_with = "nullable")]
    pub(super) addresses: Vec<EndpointAddress>,
    #[serde(deserialize_with = "nullable")]
    pub(super) not_ready_addresses: Vec<EndpointAddress>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ports: Vec<EndpointPort>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct EndpointAddress {
    pub(super) ip: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct EndpointPort {
    pub(super) port: u16,
}

/// What Kubernetes wrote about another object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EventObject {
    pub(super) metadata: ObjectMeta,
    pub(super) involved_object: ObjectReference,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) last_timestamp: Option<String>,
    #[serde(rename = "eventTime")]
    pub(super) time: Option<String>,
    pub(super) count: Option<u64>,
    pub(super) series: Option<EventSeries>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ObjectReference {
    pub(super) name: String,
    pub(super) namespace: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EventSeries {
    pub(super) count: Option<u64>,
    pub(super) last_observed_time: Option<String>,
}

/// What a node uses now, of `metrics.k8s.io`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeMetrics {
    pub(super) metadata: ObjectMeta,
    pub(super) usage: Quantities,
}

/// The answer of `/version`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionInfo {
    pub(super) git_version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_as_kubernetes_writes_them() {
        let amounts =
            |cpu: &str, memory: &str| Quantities { cpu: Some(cpu.into()), memory: Some(memory.into()) };
        let read = |cpu, memory| (amounts(cpu, memory).millis(), amounts(cpu, memory).bytes());
        assert_eq!(read("8", "32677600Ki"), (Some(8000), Some(33_461_862_400)));
        assert_eq!(read("7900m", "128Mi"), (Some(7900), Some(134_217_728)));
        assert_eq!(read("156789n", "1.5Gi"), (Some(1), Some(1_610_612_736)));
        assert_eq!(read("0.5", "1e3"), (Some(500), Some(1000)));
        assert_eq!(read("12u", "2E3"), (Some(1), Some(2000)));
        assert_eq!(read("-1", "3k"), (Some(0), Some(3000)));
        assert_eq!(read("much", "1Zi"), (None, None));
        assert_eq!(read("", "1e999"), (None, None));
        assert_eq!(quantity("1E"), Some(1e18));
    }

    #[test]
    fn nothing_may_be_null_or_absent() {
        let list: ObjectList<EndpointsObject> = serde_json::from_str(
            r#"{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a","labels":null},"subsets":null},{}]}"#,
        )
        .unwrap();
        assert_eq!((list.items.len(), list.metadata.resource_version.as_str()), (2, "7"));
        let none: ObjectList<PodObject> = serde_json::from_str(r#"{"metadata":{},"items":null}"#).unwrap();
        assert!(none.items.is_empty());
    }
}
