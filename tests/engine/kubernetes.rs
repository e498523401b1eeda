//! The cluster's health on a real API server: nodes and pods are objects that the tests write.
//!
//! They run where `LAYERTOP_TEST_KUBECONFIG` is set, and fail without it under `CI=true`: see `tests/testbed/kube/cluster`.

mod proxy;

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::cluster::Cluster;
use crate::support::watch;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use kube::config::Kubeconfig;
use layertop::clock::Clock;
use layertop::event::builder::{BuilderHealth, Execution};
use layertop::event::cluster::{
    ApiState, ClusterNode, ClusterSnapshot, MissingReason, NodeState, PodState, ServiceVerdict, SnapshotPart,
};
use layertop::event::{Event, Platform, Stamped, Text, Time};
use layertop::model::Model;
use layertop::model::nodes::nodes;
use layertop::source::builder::{self, BuilderSettings};
use layertop::source::kubernetes::{self, BuilderPods, ClusterSettings};
use nix::sys::signal::Signal;
use proxy::Proxy;
use serde_json::{Value, json};
use tokio::sync::mpsc;

type Watch = watch::Watch<ClusterSnapshot>;

fn watched(settings: ClusterSettings) -> Watch {
    Watch::start(|tx| kubernetes::run(settings, Clock::live(), tx), |model| model.cluster().snapshot())
}

impl Watch {
    async fn state(&mut self, state: ApiState) -> ClusterSnapshot {
        self.until(&format!("{state:?}"), |snapshot| snapshot.state == state).await
    }

    async fn node(&mut self, name: &str, state: NodeState) -> ClusterNode {
        let is = |node: &ClusterNode| node.name.as_str() == name && node.state == state;
        let found = self.until(&format!("{name} {state:?}"), |snapshot| snapshot.nodes.iter().any(is)).await;
        found.nodes.into_iter().find(is).unwrap()
    }

    async fn verdict(&mut self, verdict: ServiceVerdict) -> ClusterSnapshot {
        let is = |snapshot: &ClusterSnapshot| {
            snapshot.registry.as_ref().is_some_and(|registry| registry.verdict == verdict)
        };
        self.until(&format!("{verdict:?}"), is).await
    }
}

fn names(snapshot: &ClusterSnapshot) -> Vec<&str> {
    snapshot.nodes.iter().map(|node| node.name.as_str()).collect()
}

#[tokio::test]
async fn nodes_are_as_kubectl_has_them() {
    let Some(cluster) = Cluster::shared().await else { return };
    cluster.seed();
    let found = kubernetes::once(cluster.settings(), Clock::live()).await;
    let said = Command::new("kubectl")
        .args([
            "--kubeconfig",
            cluster.config.to_str().unwrap(),
            "get",
            "nodes",
            "amd-1",
            "amd-2",
            "arm-1",
            "-o",
            "json",
        ])
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let said = said["items"].as_array().unwrap();
    assert_eq!(said.len(), 3);
    for raw in said {
        let name = raw["metadata"]["name"].as_str().unwrap();
        let node = found.nodes.iter().find(|node| node.name.as_str() == name).unwrap();
        let conditions = raw["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        assert_eq!(node.state.is_up(), ready["status"] == "True", "{name}");
        assert_eq!(node.since, Time::parse(ready["lastTransitionTime"].as_str().unwrap()), "{name}");
        assert_eq!(node.heartbeat, Time::parse(ready["lastHeartbeatTime"].as_str().unwrap()), "{name}");
        let under = conditions
            .iter()
            .filter(|condition| condition["type"] != "Ready" && condition["status"] == "True");
        assert_eq!(node.shortages.len(), under.count(), "{name}");
        assert!(
            node.state.is_up() || node.reason.as_str().contains(ready["message"].as_str().unwrap()),
            "{name}"
        );
        let info = &raw["status"]["nodeInfo"];
        assert_eq!(node.kubelet.as_str(), info["kubeletVersion"]);
        let platform = node.platform.as_ref().unwrap().as_str();
        assert_eq!(platform, format!("linux/{}", info["architecture"].as_str().unwrap()));
        let allocatable = &raw["status"]["allocatable"];
        assert_eq!(allocatable["cpu"], format!("{}m", node.cpu.total.unwrap()));
        assert_eq!(allocatable["memory"], format!("{}Ki", node.memory.total.unwrap() / 1024));
        assert_eq!(node.cordoned, raw["spec"]["unschedulable"] == true);
    }
    assert_eq!((found.state, found.version.as_ref().map(Text::as_str)), (ApiState::Ok, Some("v1.20.2")));
    assert_eq!(found.context.as_str(), "testbed");
    let registry = found.registry.as_ref().unwrap();
    assert_eq!((registry.verdict, registry.kind.as_str()), (ServiceVerdict::Ok, "NodePort"), "{registry:#?}");
    assert_eq!(registry.endpoints, Some(vec!["10.244.11.2:5000".into()]));
    assert!(registry.address.as_ref().unwrap().as_str().ends_with(":5000"));
    assert!(
        registry
            .port_forward
            .as_str()
            .ends_with("-n montage-ai port-forward service/montage-ai-registry 5000:5000")
    );
    let amd = found.nodes.iter().find(|node| node.name.as_str() == "amd-1").unwrap();
    assert_eq!(amd.pods, ["montage-ai-registry-0".into()]);
    assert!(amd.cpu.requested >= Some(100) && amd.memory.requested >= Some(128 << 20), "{amd:?}");
    assert_eq!(found.missing(SnapshotPart::Usage).map(|missing| missing.lack), Some(MissingReason::Absent));

    let lines = kubernetes::logs(&cluster.settings(), "montage-ai-registry-0", 1).await.unwrap();
    let lines: Vec<&str> = lines.iter().map(layertop::event::Line::text).collect();
    assert_eq!(lines, ["level=info msg=\"GET /v2/\""]);
    let none = kubernetes::logs(&cluster.settings(), "nobody", 1).await.unwrap_err();
    assert!(none.as_str().contains("\"nobody\" not found"), "{none}");
}

#[tokio::test]
async fn a_node_is_lost_and_comes_back() {
    let Some(cluster) = Cluster::shared().await else { return };
    let name = format!("lt-flip-{}", std::process::id());
    cluster.node(&name).await;
    let mut watch = watched(cluster.settings());
    watch.node(&name, NodeState::Ready).await;
    cluster.ready(&name, "False", "container runtime is down").await;
    let node = watch.node(&name, NodeState::NotReady).await;
    assert_eq!(node.reason.as_str(), "container runtime is down");
    cluster.ready(&name, "Unknown", "Kubelet stopped posting node status.").await;
    watch.node(&name, NodeState::Lost).await;
    cluster.ready(&name, "True", "").await;
    watch.node(&name, NodeState::Ready).await;
    cluster.patch(&format!("/api/v1/nodes/{name}"), json!({ "spec": { "unschedulable": true } })).await;
    watch.node(&name, NodeState::Cordoned).await;

    let now = "2099-01-01T00:00:00Z";
    let event = |name: &str, about: &Value, message: &str| {
        json!({ "metadata": { "name": name }, "involvedObject": about, "type": "Warning", "reason": "Rebooted", "message": message,
            "lastTimestamp": now, "count": 2 })
    };
    let about = json!({ "kind": "Node", "name": name });
    let path = "/api/v1/namespaces/default/events";
    cluster.post(path, event(&format!("{name}.1"), &about, "it was rebooted")).await;
    let warned = |node: &ClusterNode| node.name.as_str() == name && !node.warnings.is_empty();
    let found = watch.until("a warning", |snapshot| snapshot.nodes.iter().any(warned)).await;
    let warnings = &found.nodes.iter().find(|node| warned(node)).unwrap().warnings;
    assert_eq!((warnings[0].message.as_str(), warnings[0].count), ("it was rebooted", 2));

    cluster.delete(&format!("/api/v1/nodes/{name}")).await;
    watch.until("without the node", |snapshot| !names(snapshot).contains(&name.as_str())).await;
}

#[tokio::test]
async fn what_is_wrong_with_the_registry_is_told_apart() {
    let Some(cluster) = Cluster::shared().await else { return };
    let namespace = cluster.namespace("registry").await;
    let path = format!("/api/v1/namespaces/{namespace}");
    let builder = BuilderPods { namespace: Some(namespace.clone()), deployments: vec!["kube0".into()] };
    let settings = ClusterSettings { builder: Some(builder), ..cluster.settings_in(&namespace) };
    let mut watch = watched(settings);
    let registry = "montage-ai-registry";
    let found = watch.verdict(ServiceVerdict::ServiceMissing).await;
    let found = found.registry.unwrap();
    assert!(
        found.reason.as_str().contains(&format!("no Service {registry} in namespace {namespace}")),
        "{found:?}"
    );

    let service = json!({ "metadata": { "name": registry }, "spec": { "selector": { "app": registry }, "ports": [{ "port": 5000 }] } });
    cluster.post(&format!("{path}/services"), service).await;
    watch.verdict(ServiceVerdict::NoPods).await;
    cluster.pod(&namespace, "r-0", json!({ "app": registry }), "lt-none").await;
    let found = watch.verdict(ServiceVerdict::PodNotReady).await.registry.unwrap();
    assert_eq!((found.pods[0].state, found.pods[0].phase.as_str()), (PodState::Pending, "Pending"));

    let waiting = json!({ "restartCount": 7, "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s" } },
        "lastState": { "terminated": { "reason": "OOMKilled", "exitCode": 137 } } });
    cluster.pod_status(&namespace, "r-0", false, waiting).await;
    let looping = |snapshot: &ClusterSnapshot| snapshot.pods().any(|pod| pod.state == PodState::CrashLooping);
    let found = watch.until("a pod that crashes", looping).await.registry.unwrap();
    assert_eq!(found.reason.as_str(), "r-0: CrashLoopBackOff: back-off 5m0s");
    assert!(found.hint.as_str().ends_with(&format!("-n {namespace} logs r-0 --previous")), "{}", found.hint);
    let pod = &found.pods[0];
    assert_eq!((pod.restarts, pod.node.as_ref().map(Text::as_str)), (7, Some("lt-none")));
    assert!(pod.last.as_ref().is_some_and(layertop::event::cluster::ContainerEnd::is_oom));

    cluster.pod_status(&namespace, "r-0", true, json!({ "state": { "running": {} } })).await;
    let found = watch.verdict(ServiceVerdict::NoEndpoints).await.registry.unwrap();
    assert!(found.reason.as_str().contains("leads to none of them"), "{found:?}");
    let endpoints = json!({ "metadata": { "name": registry }, "subsets": [{ "addresses": [{ "ip": "10.9.8.7" }],
        "ports": [{ "port": 5000 }] }] });
    cluster.post(&format!("{path}/endpoints"), endpoints).await;
    watch.verdict(ServiceVerdict::Ok).await;
    cluster.pod(&namespace, "r-1", json!({ "app": registry }), "lt-none").await;
    watch.verdict(ServiceVerdict::Degraded).await;
    cluster.delete(&format!("{path}/pods/r-1")).await;
    watch.verdict(ServiceVerdict::Ok).await;

    // Pods that are not asked for are not seen; the builder's are.
    cluster.pod(&namespace, "other", json!({ "app": "other" }), "lt-none").await;
    cluster.pod(&namespace, "kube0-x", json!({ "app": "kube0" }), "lt-none").await;
    let found = watch.until("the builder's pod", |snapshot| !snapshot.builder_pods.is_empty()).await;
    assert_eq!((found.builder_pods.len(), found.pods().count()), (1, 2));
    cluster.delete(&format!("{path}/services/{registry}")).await;
    watch.verdict(ServiceVerdict::ServiceMissing).await;
}

#[tokio::test]
async fn what_is_forbidden_costs_its_part_only() {
    let Some(cluster) = Cluster::shared().await else { return };
    cluster.seed();
    let settings = ClusterSettings { context: Some("testbed-nobody".into()), ..cluster.settings() };
    let mut watch = watched(settings.clone());
    let found = watch.state(ApiState::Forbidden).await;
    assert!(
        found.reason.as_str().contains(r#"nodes: forbidden: User "nobody" cannot list resource "nodes""#),
        "{found:#?}"
    );
    assert!(
        found.hint.as_str().contains("--context testbed-nobody -n montage-ai auth can-i --list"),
        "{found:#?}"
    );

    // A role that may read nodes and nothing else: seen without a restart.
    let name = format!("lt-nodes-{}", std::process::id());
    let role = json!({ "metadata": { "name": name }, "rules": [{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"] }] });
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    cluster.post(&format!("{rbac}/clusterroles"), role).await;
    let group = "rbac.authorization.k8s.io";
    let binding = json!({ "metadata": { "name": name }, "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": name },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": "nobody" }] });
    cluster.post(&format!("{rbac}/clusterrolebindings"), binding).await;
    let found = watch.until("nodes", |snapshot| !snapshot.nodes.is_empty()).await;
    assert_eq!((found.state, found.missing(SnapshotPart::Nodes)), (ApiState::Ok, None));
    let pods = found.missing(SnapshotPart::RegistryPods).unwrap();
    assert_eq!(pods.lack, MissingReason::Forbidden);
    assert!(
        pods.reason
            .as_str()
            .starts_with(r#"pods of the registry: forbidden: User "nobody" cannot list resource "pods""#)
    );
    let registry = found.registry.as_ref().unwrap();
    assert_eq!(registry.verdict, ServiceVerdict::Unknown);
    assert!(registry.reason.as_str().contains("forbidden"), "{registry:?}");

    let once = kubernetes::once(settings, Clock::live()).await;
    assert!(
        once.nodes.len() >= 3
            && once
                .missing(SnapshotPart::Requests)
                .is_some_and(|missing| missing.lack == MissingReason::Forbidden)
    );
    cluster.delete(&format!("{rbac}/clusterrolebindings/{name}")).await;
    cluster.delete(&format!("{rbac}/clusterroles/{name}")).await;
}

#[tokio::test]
async fn who_can_not_be_asked_is_told_apart() {
    let Some(cluster) = Cluster::shared().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(&cluster.config).unwrap();
    let port = cluster.read("port");
    let state = async |text: String| {
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        let found =
            kubernetes::once(ClusterSettings { kubeconfig: Some(path), ..cluster.settings() }, Clock::live())
                .await;
        assert!(!found.reason.is_empty() && !found.hint.is_empty(), "{found:#?}");
        found.state
    };
    let token = text
        .replace("token: ", "token: not-")
        .replace("current-context: testbed", "current-context: testbed-token");
    assert_eq!(state(token).await, ApiState::Unauthorized);
    let authority = regex::Regex::new("certificate-authority-data: [^}]*").unwrap();
    assert_eq!(
        state(authority.replace(&text, "tls-server-name: kubernetes.default.svc").into_owned()).await,
        ApiState::Tls
    );
    // etcd speaks HTTP and JSON, and is no API server.
    let etcd = text.replace(
        &format!("https://127.0.0.1:{port}"),
        &format!("http://127.0.0.1:{}", cluster.read("etcd.port")),
    );
    assert_eq!(state(etcd).await, ApiState::NotKubernetes);
    assert_eq!(state(text.replace(&format!(":{port}"), ":1")).await, ApiState::Unreachable);
    let missing = ClusterSettings { context: Some("none".into()), ..cluster.settings() };
    assert_eq!(kubernetes::once(missing, Clock::live()).await.state, ApiState::BadConfig);
}

/// The engine's own `BuildKit`, in what Kubernetes takes for a pod.
#[tokio::test]
async fn a_builder_in_pods_is_seen_through_its_life() {
    let Some(cluster) = Cluster::shared().await else { return };
    if std::env::var_os("LAYERTOP_TEST_ENGINE_UP").is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI this must run");
        println!("skipped: no test engine: run `bash tests/run.sh`");
        return;
    }
    cluster.seed();
    let namespace = cluster.namespace("builder").await;
    let folder = tempfile::tempdir().unwrap();
    let mut env: BTreeMap<String, String> = std::env::vars().collect();
    env.insert("BUILDX_CONFIG".into(), folder.path().display().to_string());
    env.insert("KUBECONFIG".into(), cluster.config.display().to_string());
    let option = format!("namespace={namespace}");
    let words =
        ["create", "--name", "kube", "--node", "kube0", "--driver", "kubernetes", "--driver-opt", &option];
    let ended = Command::new("docker").arg("buildx").args(words).envs(&env).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let platforms = Platform::parse_list("linux/amd64,linux/arm64");
    let kube = Some("kube".into());
    let wanted = BuilderSettings { builder: kube, platforms, env, ..BuilderSettings::default() };
    let pods = builder::in_cluster(&wanted).unwrap();
    assert_eq!(pods, BuilderPods { namespace: Some(namespace.clone()), deployments: vec!["kube0".into()] });

    let (tx, mut news) = mpsc::channel(4);
    let task = tokio::spawn(builder::run(wanted, Clock::live(), tx));
    let mut model = Model::default();
    let mut state = async |health: BuilderHealth| {
        let found = tokio::time::timeout(watch::LONG, async {
            while model.builder().snapshot().is_none_or(|snapshot| snapshot.state != health) {
                model.apply_all(&news.recv().await.expect("the actor has ended"));
            }
        });
        let found = found.await.is_ok();
        let snapshot = model.builder().snapshot().unwrap().clone();
        assert!(found, "not {health:?}: {snapshot:#?}");
        (snapshot.reason.as_str().to_owned(), snapshot)
    };
    let (reason, _) = state(BuilderHealth::Gone).await;
    assert!(reason.starts_with("the Deployment kube0 has no pod"), "{reason}");
    let labels = json!({ "app": "kube0" });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "main", "image": "x" }] } });
    let deployment = json!({ "metadata": { "name": "kube0" }, "spec": { "selector": { "matchLabels": labels }, "template": template } });
    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    cluster.post(&deployments, deployment).await;
    cluster.pod(&namespace, "kube0-x", labels, "amd-1").await;
    let (reason, _) = state(BuilderHealth::Stopped).await;
    assert_eq!(reason, "kube0-x: its containers are about to start");
    let crashing = |ended: &str| {
        json!({ "restartCount": 3, "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } },
            "lastState": { "terminated": { "reason": ended, "exitCode": 137 } } })
    };
    cluster.pod_status(&namespace, "kube0-x", false, crashing("Error")).await;
    let (reason, snapshot) = state(BuilderHealth::Restarting).await;
    assert_eq!(reason, "kube0-x: CrashLoopBackOff: back-off");
    assert!(snapshot.hint.as_str().ends_with("logs kube0-x --previous"), "{}", snapshot.hint);
    cluster.pod_status(&namespace, "kube0-x", false, crashing("OOMKilled")).await;
    let (reason, snapshot) = state(BuilderHealth::OomKilled).await;
    assert!(reason.contains("for want of memory, and restarted 3 times"), "{reason}");
    assert!(
        snapshot.nodes[0]
            .container
            .as_ref()
            .is_some_and(|container| container.oom_killed && container.restarts == 3)
    );

    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let path = std::env::var("PATH").unwrap();
    let exec = "docker exec -i buildx_buildkit_multiarch-builder0";
    cluster.run_for(&namespace, "kube0-x", &format!("PATH='{path}' DOCKER_HOST='{host}' {exec} \"$@\""));
    // buildx wants to see a Deployment that is well, too.
    cluster
        .patch(
            &format!("{deployments}/kube0/status"),
            json!({ "status": { "replicas": 1, "readyReplicas": 1 } }),
        )
        .await;
    cluster.pod_status(&namespace, "kube0-x", true, json!({ "state": { "running": {} } })).await;
    let (_, snapshot) = state(BuilderHealth::Ok).await;
    let node = &snapshot.nodes[0];
    assert!(node.buildkit_version.is_some() && node.latency_us.is_some(), "{node:#?}");
    assert_eq!(node.container.as_ref().unwrap().name.as_str(), "kube0-x");

    // Who builds what, on the nodes of the cluster.
    let settings = ClusterSettings { builder: Some(pods), ..cluster.settings() };
    let cluster_now = kubernetes::once(settings, Clock::live()).await;
    let mut both = Model::default();
    let at = Clock::live().now();
    both.apply(&Stamped { at, event: Event::Cluster(Box::new(cluster_now)) });
    both.apply(&Stamped { at, event: Event::Builder(Box::new(snapshot)) });
    let found = nodes(&both);
    assert!(
        found.platforms.iter().all(|row| row.place().map(Text::as_str) == Some("amd-1")),
        "{:?}",
        found.platforms
    );
    assert_eq!(found.platforms.iter().filter(|row| row.execution == Execution::Native).count(), 1);
    assert!(
        found.rows.iter().any(|row| row.name.as_str() == "amd-1" && row.builds.len() == 2 && row.emulates())
    );

    cluster.delete(&format!("/api/v1/namespaces/{namespace}/pods/kube0-x")).await;
    state(BuilderHealth::Gone).await;
    task.abort();
}

#[tokio::test]
async fn an_api_server_stops_hangs_and_comes_back() {
    let Some(cluster) = Cluster::own().await else { return };
    let mut watch = watched(cluster.settings());
    watch.node("amd-1", NodeState::Ready).await;

    cluster.signal(Signal::SIGSTOP);
    let found = watch.state(ApiState::Silent).await;
    assert!(found.reason.as_str().contains("takes the connection and does not answer"), "{}", found.reason);
    assert_eq!(found.nodes.len(), 3, "what was seen stays");
    assert!(watch.model.cluster().is_stale(Clock::live().now()));
    // Nobody has to wait for it who wants to leave.
    let other = watched(cluster.settings());
    let (task, news) = (&other.task, &other.news);
    assert!(!task.is_finished() && !news.is_closed());
    let mut other = other;
    other.news.close();
    while other.news.recv().await.is_some() {}
    assert!(tokio::time::timeout(watch::LONG, &mut other.task).await.is_ok());
    cluster.signal(Signal::SIGCONT);
    watch.state(ApiState::Ok).await;
    cluster.ready("amd-1", "False", "after the pause").await;
    watch.node("amd-1", NodeState::NotReady).await;

    cluster.kill();
    let found = watch.state(ApiState::Unreachable).await;
    assert!(found.reason.as_str().contains("nothing listens at"), "{}", found.reason);
    cluster.up();
    watch.state(ApiState::Ok).await;
    assert!(!watch.model.cluster().is_stale(Clock::live().now()));
    cluster.ready("amd-1", "True", "").await;
    watch.node("amd-1", NodeState::Ready).await;
}

#[tokio::test]
async fn what_happens_while_the_way_is_cut_is_seen_afterwards() {
    let Some(cluster) = Cluster::own().await else { return };
    let port: u16 = cluster.read("port").parse().unwrap();
    let mut proxy = Proxy::to(port).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    proxy.kubeconfig(&cluster.config, port, &config);
    let mut watch = watched(ClusterSettings { kubeconfig: Some(config), ..cluster.settings() });
    watch.node("arm-1", NodeState::NotReady).await;
    let list = cluster.get("/api/v1/nodes").await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();

    // A short cut: the watch goes on where it was.
    proxy.cut().await;
    watch.state(ApiState::Unreachable).await;
    cluster.ready("arm-1", "True", "").await;
    proxy.open(port).await;
    // The seed has it short of memory.
    watch.node("arm-1", NodeState::Strained).await;

    // Behind a restart the server does not know any more what was before, and a watch from there is refused with 410.
    proxy.cut().await;
    watch.state(ApiState::Unreachable).await;
    cluster.delete("/api/v1/nodes/amd-2").await;
    cluster.kill();
    cluster.up();
    let forgotten =
        cluster.get(&format!("/api/v1/nodes?watch=1&resourceVersion={version}&timeoutSeconds=1")).await;
    assert_eq!(
        (&forgotten["type"], &forgotten["object"]["code"]),
        (&json!("ERROR"), &json!(410)),
        "{forgotten}"
    );
    proxy.open(port).await;
    let found = watch.until("without amd-2", |snapshot| names(snapshot) == ["amd-1", "arm-1"]).await;
    assert_eq!(found.state, ApiState::Ok);
}

#[tokio::test]
async fn five_hundred_nodes_and_five_thousand_pods() {
    let Some(cluster) = Cluster::own().await else { return };
    for node in ["amd-1", "amd-2", "arm-1"] {
        cluster.delete(&format!("/api/v1/nodes/{node}")).await;
    }
    let nodes: Vec<String> = (0..500).map(|i| format!("node-{i:03}")).collect();
    for some in nodes.chunks(50) {
        join_all(some.iter().map(|name| cluster.node(name))).await;
    }
    let namespace = cluster.namespace("many").await;
    for start in (0..5_000).step_by(100) {
        let pods = (start..start + 100).map(async |i| {
            let labels = json!({ "app": if i == 0 { "montage-ai-registry" } else { "other" } });
            cluster.pod(&namespace, &format!("pod-{i}"), labels, &nodes[i % nodes.len()]).await;
        });
        join_all(pods).await;
    }
    let mut watch = watched(cluster.settings_in(&namespace));
    let counted = |node: &ClusterNode| node.pod_count.is_some();
    let found = watch.until("all nodes with their pods", |snapshot| {
        snapshot.nodes.len() == 500 && snapshot.nodes.iter().all(counted)
    });
    let found = found.await;
    assert_eq!(found.nodes.iter().map(|node| node.pod_count.unwrap()).sum::<u64>(), 5_000);
    let node = &found.nodes[1];
    assert_eq!(
        (node.pod_count, node.cpu.requested, node.memory.requested),
        (Some(10), Some(1000), Some(640 << 20))
    );
    assert_eq!(found.pods().count(), 1, "of 5,000 pods one is the registry's");

    // Everything changes at once: the end is right, and what came before was not one snapshot a change.
    for some in nodes.chunks(50) {
        join_all(some.iter().map(|name| cluster.ready(name, "False", "down"))).await;
    }
    watch
        .until("all nodes down", |snapshot| {
            snapshot.nodes.iter().all(|node| node.state == NodeState::NotReady)
        })
        .await;
}

/// A helper for credentials gets what its contract says, and is asked anew when what it has given ends.
#[tokio::test]
async fn a_helper_for_credentials_is_asked_by_its_contract() {
    let Some(cluster) = Cluster::shared().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut config = serde_json::to_value(Kubeconfig::read_from(&cluster.config).unwrap()).unwrap();
    let users = config["users"].as_array().unwrap().clone();
    let find =
        |name: &str| users.iter().map(|user| &user["user"][name]).find(|value| value.is_string()).unwrap();
    let plain =
        |name: &str| String::from_utf8(STANDARD.decode(find(name).as_str().unwrap()).unwrap()).unwrap();
    let token = json!({"token": find("token"), "expirationTimestamp": "2020-01-01T00:00:00Z"});
    let certificate = json!({"clientCertificateData": plain("client-certificate-data"),
        "clientKeyData": plain("client-key-data")});
    for (i, version, given) in [(0, "v1", token), (1, "v1beta1", certificate)] {
        let version = format!("client.authentication.k8s.io/{version}");
        let answer = json!({"apiVersion": version, "kind": "ExecCredential", "status": given});
        std::fs::write(at("answer"), answer.to_string()).unwrap();
        let script = format!(
            "[ \"$WANTED\" = yes ] || exit 1\necho \"$KUBERNETES_EXEC_INFO\" >>'{0}/asked{i}'\ncat '{0}/answer'\n",
            folder.path().display()
        );
        std::fs::write(at("helper.sh"), script).unwrap();
        config["users"] = json!([{"name": "a", "user": {"exec": {"apiVersion": version, "command": "sh",
            "args": [at("helper.sh")], "env": [{"name": "WANTED", "value": "yes"}],
            "interactiveMode": "IfAvailable", "provideClusterInfo": true}}}]);
        let of = config["clusters"][0]["name"].clone();
        config["contexts"] = json!([{"name": "a", "context": {"cluster": of, "user": "a"}}]);
        config["current-context"] = "a".into();
        std::fs::write(at("kubeconfig"), config.to_string()).unwrap();
        let settings = ClusterSettings { kubeconfig: Some(at("kubeconfig")), ..cluster.settings() };
        let asked = || std::fs::read_to_string(at(&format!("asked{i}"))).unwrap_or_default();
        let mut watch = watched(settings);
        // What has ended before it was given is asked for again and again, and all goes on meanwhile.
        let times = if i == 0 { 3 } else { 1 };
        let found =
            watch.until("seen", |found| !found.nodes.is_empty() && asked().lines().count() >= times).await;
        assert_eq!((found.state, found.missing(SnapshotPart::Nodes)), (ApiState::Ok, None), "{found:#?}");
        let said = asked();
        let info: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
        assert_eq!((&info["apiVersion"], &info["kind"]), (&version.into(), &"ExecCredential".into()));
        assert_eq!(info["spec"]["interactive"], false);
        assert_eq!(info["spec"]["cluster"]["server"], config["clusters"][0]["cluster"]["server"]);
    }
}
