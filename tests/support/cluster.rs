//! Clusters for tests: the one that `run.sh` has started, and others of a test's own that it may stop.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use layertop::source::kubernetes::{ClusterSettings, RegistryWorkload};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

const MERGE: &str = "application/strategic-merge-patch+json";

/// A cluster, and an account on it that may do everything.
pub(crate) struct Cluster {
    client: Client,
    pub(crate) config: PathBuf,
    own: Option<TempDir>,
}

fn script(state: Option<&Path>, verb: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/kube/cluster");
    let mut command = Command::new("bash");
    command.arg(script).arg(verb);
    if let Some(state) = state {
        command.env("KUBE_STATE", state);
    }
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "cluster {verb}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Where the shared cluster's kubeconfig is; none where there is no cluster, which is said.
fn kubeconfig() -> Option<PathBuf> {
    let config = std::env::var_os("LAYERTOP_TEST_KUBECONFIG").map(PathBuf::from);
    if config.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI this must run");
        println!("skipped: no test cluster: run `bash tests/run.sh`");
    }
    config
}

impl Cluster {
    /// The cluster that is shared by all tests.
    pub(crate) async fn shared() -> Option<Self> {
        Some(Self::of(kubeconfig()?, None).await)
    }

    /// A cluster of the test's own, with three nodes and a registry. It ends with the test.
    pub(crate) async fn own() -> Option<Self> {
        kubeconfig()?;
        let folder = tempfile::tempdir().unwrap();
        // Made before anything can fail, so that what was started is stopped.
        let stop = Stop(folder.path().to_owned());
        script(Some(folder.path()), "up");
        script(Some(folder.path()), "seed");
        std::mem::forget(stop);
        Some(Self::of(folder.path().join("kubeconfig"), Some(folder)).await)
    }

    async fn of(config: PathBuf, own: Option<TempDir>) -> Self {
        let file = Kubeconfig::read_from(&config).unwrap();
        let read = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        Self { client: Client::try_from(read).unwrap(), config, own }
    }

    /// The same objects as those of an own cluster.
    pub(crate) fn seed(&self) {
        script(self.own.as_ref().map(TempDir::path), "seed");
    }

    /// Starts what does not run.
    pub(crate) fn up(&self) {
        script(Some(self.own.as_ref().expect("only an own cluster").path()), "up");
    }

    /// Ends the API server at once.
    pub(crate) fn kill(&self) {
        script(Some(self.own.as_ref().expect("the shared one is not ours").path()), "kill");
    }

    fn folder(&self) -> PathBuf {
        self.config.parent().unwrap().join("run")
    }

    /// A file of the cluster's.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder().join(name)).unwrap().trim().to_owned()
    }

    /// Sends a signal to the API server of an own cluster.
    pub(crate) fn signal(&self, signal: Signal) {
        assert!(self.own.is_some(), "the shared one is not ours");
        kill(Pid::from_raw(self.read("kube-apiserver.pid").parse().unwrap()), signal).unwrap();
    }

    /// What is looked at: the registry of the test bed.
    pub(crate) fn settings(&self) -> ClusterSettings {
        self.settings_in("montage-ai")
    }

    /// What is looked at, in a namespace.
    pub(crate) fn settings_in(&self, namespace: &str) -> ClusterSettings {
        ClusterSettings {
            kubeconfig: Some(self.config.clone()),
            namespace: Some(namespace.to_owned()),
            registry: Some(RegistryWorkload {
                service: Some("montage-ai-registry".into()),
                selector: "app=montage-ai-registry".into(),
                port: Some(5000),
            }),
            env: std::env::vars().collect(),
            ..ClusterSettings::default()
        }
    }

    async fn send(&self, method: &str, path: &str, kind: &str, body: &Value) -> Result<Value, kube::Error> {
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        self.client.request(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send("GET", path, "application/json", &Value::Null).await.unwrap()
    }

    /// Makes an object; that it is there already is as good.
    pub(crate) async fn post(&self, path: &str, body: Value) {
        match self.send("POST", path, "application/json", &body).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{path}: {error}"),
        }
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) {
        self.send("PATCH", path, MERGE, &body).await.unwrap();
    }

    pub(crate) async fn delete(&self, path: &str) {
        let now = json!({ "gracePeriodSeconds": 0 });
        self.send("DELETE", path, "application/json", &now).await.unwrap();
    }

    /// Lets a command in a pod run as a line of shell; `"$@"` is the command.
    pub(crate) fn run_for(&self, namespace: &str, pod: &str, line: &str) {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(self.folder().join("commands"));
        file.unwrap().write_all(format!("{namespace}/{pod} {line}\n").as_bytes()).unwrap();
    }

    /// A namespace of the test's own.
    pub(crate) async fn namespace(&self, what: &str) -> String {
        let name = format!("lt-{what}-{}", std::process::id());
        self.post("/api/v1/namespaces", json!({ "metadata": { "name": name } })).await;
        name
    }

    pub(crate) async fn node(&self, name: &str) {
        self.post("/api/v1/nodes", json!({ "metadata": { "name": name } })).await;
        self.ready(name, "True", "").await;
    }

    /// Sets a node's condition `Ready`.
    pub(crate) async fn ready(&self, node: &str, status: &str, message: &str) {
        let now = "2026-11-22T12:00:00Z";
        let ready = json!({ "type": "Ready", "status": status, "reason": "Test", "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now });
        let body = json!({ "status": { "conditions": [ready],
            "allocatable": { "cpu": "2", "memory": "4Gi" },
            "nodeInfo": { "architecture": "arm64", "operatingSystem": "linux", "kubeletVersion": "v1.20.2" } } });
        self.patch(&format!("/api/v1/nodes/{node}/status"), body).await;
    }

    pub(crate) async fn pod(&self, namespace: &str, name: &str, labels: Value, node: &str) {
        let spec = json!({ "nodeName": node, "automountServiceAccountToken": false, "containers": [{ "name": "main", "image": "x",
            "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } } }] });
        let body = json!({ "metadata": { "name": name, "labels": labels }, "spec": spec });
        self.post(&format!("/api/v1/namespaces/{namespace}/pods"), body).await;
    }

    /// Sets a pod's status: its container's, and whether it is ready.
    pub(crate) async fn pod_status(&self, namespace: &str, name: &str, ready: bool, container: Value) {
        let word = if ready { "True" } else { "False" };
        let mut status =
            json!({ "name": "main", "image": "x", "imageID": "x", "ready": ready, "restartCount": 0 });
        status.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        let body = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": word }],
            "containerStatuses": [status] } });
        self.patch(&format!("/api/v1/namespaces/{namespace}/pods/{name}/status"), body).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            drop(Stop(own.path().to_owned()));
        }
    }
}

/// Stops a cluster.
struct Stop(PathBuf);

impl Drop for Stop {
    fn drop(&mut self) {
        script(Some(&self.0), "down");
    }
}
