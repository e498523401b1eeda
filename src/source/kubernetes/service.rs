//! What a registry's Service, its endpoints and its pods amount to: can it be reached in the cluster, and if not, why. Pure.

use std::collections::BTreeMap;

use crate::event::Text;
use crate::event::cluster::{ClusterPod, MissingPart, PodState, RegistryService, ServiceVerdict};

use super::object::{EndpointsObject, ServiceObject};
use super::{ClusterSettings, RegistryWorkload};

/// What is kept of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServiceFacts {
    kind: String,
    address: Option<String>,
    outside: Vec<String>,
    selector: BTreeMap<String, String>,
    port: Option<u16>,
}

/// What is kept of a Service's endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EndpointFacts {
    ready: Vec<String>,
    not_ready: u64,
}

/// Reads a Service; `port` is the one that is meant, else its first.
pub(super) fn service(raw: &ServiceObject, port: Option<u16>) -> ServiceFacts {
    let spec = &raw.spec;
    let chosen = spec.ports.iter().find(|one| port.is_none_or(|port| one.port == port));
    let at = |host: &str| chosen.map(|one| format!("{host}:{}", one.port));
    let mut outside: Vec<String> = Vec::new();
    if let Some(node_port) = chosen.map(|one| one.node_port).filter(|port| *port > 0) {
        outside.push(format!("{node_port} on every node"));
    }
    for ingress in &raw.status.load_balancer.ingress {
        outside.extend(at(if ingress.ip.is_empty() { &ingress.hostname } else { &ingress.ip }));
    }
    if !spec.external_name.is_empty() {
        outside.push(spec.external_name.clone());
    }
    let headless = spec.cluster_ip.is_empty() || spec.cluster_ip == "None";
    ServiceFacts {
        kind: spec.kind.clone(),
        address: if headless { None } else { at(&spec.cluster_ip) },
        outside,
        selector: spec.selector.clone(),
        port: chosen.map(|one| one.port),
    }
}

pub(super) fn endpoints(raw: &EndpointsObject) -> EndpointFacts {
    let mut facts = EndpointFacts::default();
    for subset in &raw.subsets {
        for address in &subset.addresses {
            facts.ready.extend(subset.ports.iter().map(|port| format!("{}:{}", address.ip, port.port)));
        }
        facts.not_ready += subset.not_ready_addresses.len() as u64;
    }
    facts
}

/// What was seen. None: not seen yet, or may not be seen.
#[derive(Debug, Clone, Default)]
pub(super) struct RegistryObjects<'a> {
    /// The Service of that name, if there is one.
    pub(super) service: Option<Vec<&'a ServiceFacts>>,
    /// The endpoints of that name, if there are any.
    pub(super) endpoints: Option<Vec<&'a EndpointFacts>>,
    pub(super) pods: Option<Vec<ClusterPod>>,
    /// Why something was not seen.
    pub(super) missing: Vec<&'a MissingPart>,
}

impl RegistryObjects<'_> {
    fn service(&self) -> Option<&ServiceFacts> {
        self.service.as_ref()?.first().copied()
    }

    fn endpoints(&self) -> Option<&EndpointFacts> {
        self.endpoints.as_ref()?.first().copied()
    }
}

pub(super) fn registry(
    wanted: &RegistryWorkload,
    namespace: &str,
    settings: &ClusterSettings,
    seen: RegistryObjects<'_>,
) -> RegistryService {
    let kubectl = kubectl(settings, Some(namespace));
    let facts = seen.service();
    let port = wanted.port.or(facts.and_then(|facts| facts.port));
    let target = match (&wanted.service, seen.pods.as_deref()) {
        (Some(service), _) => Some(format!("service/{service}")),
        (None, Some([pod, ..])) => Some(format!("pod/{}", pod.name)),
        (None, _) => None,
    };
    let forward =
        target.zip(port).map(|(target, port)| format!("{kubectl} port-forward {target} {port}:{port}"));
    let (verdict, reason, hint) = judge(wanted, namespace, &kubectl, &seen);
    let text = |text: &str| Text::clean(text);
    let endpoints = seen.endpoints.is_some().then(|| seen.endpoints().cloned().unwrap_or_default());
    RegistryService {
        namespace: text(namespace),
        service: text(wanted.service.as_deref().unwrap_or_default()),
        selector: text(&wanted.selector),
        verdict,
        reason: reason.into(),
        hint: hint.into(),
        kind: facts.map(|facts| text(&facts.kind)).unwrap_or_default(),
        port,
        address: facts.and_then(|facts| facts.address.as_deref()).map(Text::clean),
        outside: facts.iter().flat_map(|facts| &facts.outside).map(|one| text(one)).collect(),
        not_ready_endpoints: endpoints.as_ref().map(|facts| facts.not_ready).unwrap_or_default(),
        endpoints: endpoints.map(|facts| facts.ready.iter().map(|one| text(one)).collect()),
        port_forward: forward.unwrap_or_default().into(),
        pods: seen.pods.unwrap_or_default(),
    }
}

/// The command that leads to the namespace of the same cluster.
pub(in crate::source) fn kubectl(settings: &ClusterSettings, namespace: Option<&str>) -> String {
    let mut words = vec!["kubectl".to_owned()];
    if let Some(path) = &settings.kubeconfig {
        words.push(format!("--kubeconfig {}", quoted(&path.display().to_string())));
    }
    if let Some(context) = &settings.context {
        words.push(format!("--context {}", quoted(context)));
    }
    words.extend(namespace.map(|namespace| format!("-n {namespace}")));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

fn judge(
    wanted: &RegistryWorkload,
    namespace: &str,
    kubectl: &str,
    seen: &RegistryObjects<'_>,
) -> (ServiceVerdict, String, String) {
    let none = String::new;
    if let (Some(name), Some(true)) = (&wanted.service, seen.service.as_ref().map(Vec::is_empty)) {
        let reason = format!("there is no Service {name} in namespace {namespace}");
        return (ServiceVerdict::ServiceMissing, reason, format!("{kubectl} get services"));
    }
    // A Service without endpoints may not have an object for them at all.
    let leads = seen.endpoints.as_ref().map(|all| all.iter().any(|endpoints| !endpoints.ready.is_empty()));
    let Some(pods) = &seen.pods else {
        return match leads {
            Some(true) => (ServiceVerdict::Ok, none(), none()),
            Some(false) if wanted.service.is_some() => {
                let reason =
                    format!("the Service leads to no pod that is ready, of {} that are not", count(seen));
                (ServiceVerdict::NoEndpoints, reason, format!("{kubectl} describe service {}", name(wanted)))
            }
            _ => {
                let reason =
                    seen.missing.iter().map(|missing| missing.reason.as_str()).collect::<Vec<_>>().join("; ");
                (ServiceVerdict::Unknown, reason, none())
            }
        };
    };
    let ready = pods.iter().filter(|pod| pod.state == PodState::Ready).count();
    let worst = pods.iter().filter(|pod| pod.state != PodState::Succeeded).max_by_key(|pod| pod.state);
    match (ready, worst) {
        (0, None) if leads == Some(true) => {
            let reason =
                format!("the Service leads to pods that the selector {} does not find", wanted.selector);
            (ServiceVerdict::Ok, reason, none())
        }
        (0, None) => {
            let reason = format!("no pod has {} in namespace {namespace}", wanted.selector);
            (ServiceVerdict::NoPods, reason, format!("{kubectl} get pods --show-labels"))
        }
        (0, Some(worst)) => {
            (ServiceVerdict::PodNotReady, format!("{}: {}", worst.name, worst.reason), look(kubectl, worst))
        }
        (_, _) if leads == Some(false) && wanted.service.is_some() => {
            let own: Vec<String> = seen
                .service()
                .iter()
                .flat_map(|facts| &facts.selector)
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            let own = if own.is_empty() {
                "it has no selector".to_owned()
            } else {
                format!("its selector is {}", own.join(","))
            };
            let reason = format!(
                "{ready} of {} pods are ready, but the Service {} leads to none of them: {own}, the pods have {}",
                pods.len(),
                name(wanted),
                wanted.selector
            );
            (ServiceVerdict::NoEndpoints, reason, format!("{kubectl} describe service {}", name(wanted)))
        }
        (ready, Some(worst))
            if ready < pods.iter().filter(|pod| pod.state != PodState::Succeeded).count() =>
        {
            let reason =
                format!("{ready} of {} pods are ready; {}: {}", pods.len(), worst.name, worst.reason);
            (ServiceVerdict::Degraded, reason, look(kubectl, worst))
        }
        _ => (ServiceVerdict::Ok, none(), none()),
    }
}

fn name(wanted: &RegistryWorkload) -> &str {
    wanted.service.as_deref().unwrap_or_default()
}

fn count(seen: &RegistryObjects<'_>) -> u64 {
    seen.endpoints().map(|endpoints| endpoints.not_ready).unwrap_or_default()
}

/// The command that says more about a pod.
fn look(kubectl: &str, pod: &ClusterPod) -> String {
    match pod.state {
        PodState::CrashLooping => format!("{kubectl} logs {} --previous", pod.name),
        PodState::NotReady if pod.ready < pod.containers => format!("{kubectl} logs {}", pod.name),
        _ => format!("{kubectl} describe pod {}", pod.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> RegistryWorkload {
        RegistryWorkload { service: Some("reg".into()), selector: "app=reg".into(), port: Some(5000) }
    }

    fn pod(name: &str, state: PodState) -> ClusterPod {
        ClusterPod { name: name.into(), state, reason: "why".into(), containers: 1, ..ClusterPod::default() }
    }

    fn checked(seen: RegistryObjects<'_>) -> RegistryService {
        registry(
            &wanted(),
            "n",
            &ClusterSettings { context: Some("a b".into()), ..ClusterSettings::default() },
            seen,
        )
    }

    #[test]
    fn what_can_be_wrong_is_told_apart() {
        let facts = ServiceFacts {
            selector: [("app".to_owned(), "other".to_owned())].into(),
            ..ServiceFacts::default()
        };
        let some = EndpointFacts { ready: vec!["10.0.0.1:5000".into()], not_ready: 1 };
        let full = |endpoints, pods| RegistryObjects {
            service: Some(vec![&facts]),
            endpoints: Some(Option::into_iter(endpoints).collect()),
            pods: Some(pods),
            missing: Vec::new(),
        };
        let cases = [
            (RegistryObjects::default(), ServiceVerdict::Unknown, "", ""),
            (
                RegistryObjects { service: Some(Vec::new()), ..RegistryObjects::default() },
                ServiceVerdict::ServiceMissing,
                "no Service reg in namespace n",
                "get services",
            ),
            (full(None, Vec::new()), ServiceVerdict::NoPods, "no pod has app=reg", "get pods --show-labels"),
            (full(Some(&some), Vec::new()), ServiceVerdict::Ok, "the selector app=reg does not find", ""),
            (
                full(None, vec![pod("p", PodState::CrashLooping)]),
                ServiceVerdict::PodNotReady,
                "p: why",
                "logs p --previous",
            ),
            (full(None, vec![pod("p", PodState::NotReady)]), ServiceVerdict::PodNotReady, "p: why", "logs p"),
            (
                full(None, vec![pod("p", PodState::Pending)]),
                ServiceVerdict::PodNotReady,
                "p: why",
                "describe pod p",
            ),
            (
                full(None, vec![pod("p", PodState::Ready)]),
                ServiceVerdict::NoEndpoints,
                "its selector is app=other, the pods have app=reg",
                "describe service reg",
            ),
            (
                full(Some(&some), vec![pod("p", PodState::Ready), pod("q", PodState::Failed)]),
                ServiceVerdict::Degraded,
                "1 of 2 pods are ready; q: why",
                "describe pod q",
            ),
            (
                full(Some(&some), vec![pod("p", PodState::Ready), pod("q", PodState::Succeeded)]),
                ServiceVerdict::Ok,
                "",
                "",
            ),
        ];
        for (seen, verdict, reason, hint) in cases {
            let checked = checked(seen.clone());
            assert_eq!(checked.verdict, verdict, "{seen:?}");
            assert!(
                checked.reason.as_str().contains(reason) && checked.reason.is_empty() == reason.is_empty(),
                "{checked:?}"
            );
            assert!(
                checked.hint.as_str().contains(hint) && checked.hint.is_empty() == hint.is_empty(),
                "{checked:?}"
            );
        }
    }

    #[test]
    fn says_where_it_is_and_how_to_get_there() {
        let raw = r#"{"spec":{"type":"LoadBalancer","clusterIP":"10.96.0.7","ports":[{"port":80},{"port":5000,"nodePort":30500}]},
            "status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.9"},{"hostname":"reg.example.com"}]}}}"#;
        let facts = service(&serde_json::from_str(raw).unwrap(), Some(5000));
        let checked = checked(RegistryObjects { service: Some(vec![&facts]), ..RegistryObjects::default() });
        assert_eq!(checked.address, Some("10.96.0.7:5000".into()));
        let outside: Vec<&str> = checked.outside.iter().map(Text::as_str).collect();
        assert_eq!(outside, ["30500 on every node", "203.0.113.9:5000", "reg.example.com:5000"]);
        assert_eq!(
            checked.port_forward.as_str(),
            "kubectl --context 'a b' -n n port-forward service/reg 5000:5000"
        );
        let headless = service(
            &serde_json::from_str(r#"{"spec":{"clusterIP":"None","ports":[{"port":1}]}}"#).unwrap(),
            None,
        );
        assert_eq!((headless.address, headless.port), (None, Some(1)));
    }
}
