//! The way to a cluster: the kubeconfig as kubectl reads it, or the account of the pod that layertop runs in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::event::cluster::ApiState;
use crate::event::{Mask, Time};

use super::ClusterSettings;
use super::fault::ApiFault;
use super::helper;

/// How long a connection may take to come about.
const DIAL: Duration = Duration::from_secs(10);
/// How long a plain question may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Where a pod finds its account.
const IN_CLUSTER: &str = "in-cluster";

/// A cluster that can be asked.
#[derive(Clone)]
pub(super) struct ClusterAccess {
    client: Client,
    pub(super) context: String,
    /// Its address, for people.
    pub(super) server: String,
    /// The namespace that is meant where none is said.
    pub(super) namespace: String,
    host: Option<(String, u16)>,
    /// When its credentials end; none: nobody has said so.
    pub(super) until: Option<Time>,
}

impl ClusterAccess {
    /// Reads the configuration and makes a client of it. Nobody is asked, unless the kubeconfig names a helper for credentials.
    ///
    /// # Errors
    ///
    /// The configuration is missing or can't be used, or its helper fails.
    pub(super) async fn open(settings: &ClusterSettings) -> Result<Self, ApiFault> {
        let (mut config, context, until) = match kubeconfig(settings)? {
            Some(file) => from_file(file, settings).await?,
            None => (in_cluster(settings)?, IN_CLUSTER.to_owned(), None),
        };
        config.connect_timeout = Some(DIAL);
        // A watch is silent for minutes; what hangs is noticed by other questions.
        config.read_timeout = None;
        let host = config.cluster_url.host().map(|host| host.trim_matches(['[', ']']).to_owned());
        if host.as_deref().is_some_and(|host| bypasses(host, &settings.env)) {
            config.proxy_url = None;
        }
        let port = config.cluster_url.port_u16().unwrap_or(443);
        let host = host.filter(|_| config.proxy_url.is_none()).map(|host| (host, port));
        // A name and a password in the address are not for the screen.
        let server = Mask::default().text(&config.cluster_url.to_string());
        let server = server.as_str().trim_end_matches('/').to_owned();
        let namespace = settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| ApiFault::of(&error, &server))?;
        Ok(Self { client, context, server, namespace, host, until })
    }

    /// The client, for watches.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks for an object within `patience`.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        patience: Duration,
    ) -> Result<T, ApiFault> {
        let request = http::Request::get(path).body(Vec::new()).map_err(|error| self.impossible(&error))?;
        match timeout(patience, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(ApiFault::of(&error, &self.server)),
            Err(_) => Err(self.no_answer(patience).await),
        }
    }

    /// Asks for a text, of which no more than `most` bytes are read.
    pub(super) async fn text(&self, path: &str, most: usize) -> Result<Vec<u8>, ApiFault> {
        let request = http::Request::get(path).body(Vec::new()).map_err(|error| self.impossible(&error))?;
        let asking = async {
            let answer = self.client.send(request.map(kube::client::Body::from)).await;
            let mut answer = answer.map_err(|error| ApiFault::of(&error, &self.server))?;
            let mut bytes = Vec::new();
            while let Some(frame) = answer.body_mut().frame().await {
                let frame = frame.map_err(|error| ApiFault::of(&error, &self.server))?;
                bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                if bytes.len() >= most {
                    break;
                }
            }
            if answer.status().is_success() {
                return Ok(bytes);
            }
            let said = String::from_utf8_lossy(&bytes).into_owned();
            let status: kube::core::Status = serde_json::from_str(&said).unwrap_or_default();
            let detail = if status.message.is_empty() { said } else { status.message };
            Err(ApiFault { code: Some(answer.status().as_u16()), ..ApiFault::new(ApiState::Failing, detail) })
        };
        match timeout(PATIENCE, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(self.no_answer(PATIENCE).await),
        }
    }

    /// There was no answer in time: is there nobody, or somebody who says nothing?
    pub(super) async fn no_answer(&self, patience: Duration) -> ApiFault {
        let silent = ApiFault::silent(&self.server, patience.as_secs());
        let Some((host, port)) = &self.host else { return silent };
        match timeout(Duration::from_secs(1), TcpStream::connect((host.as_str(), *port))).await {
            Ok(Ok(_)) => silent,
            Ok(Err(error)) => ApiFault::new(
                ApiState::Unreachable,
                format!("{} can't be reached from here: {error}", self.server),
            ),
            Err(_) => ApiFault::new(
                ApiState::Unreachable,
                format!("nobody takes the call at {}: check the network", self.server),
            ),
        }
    }

    fn impossible(&self, error: &dyn std::fmt::Display) -> ApiFault {
        ApiFault::new(ApiState::Failing, format!("{} can't be asked that: {error}", self.server))
    }
}

/// The files of `KUBECONFIG`, else the one in the home folder; none where there is none and nobody named one.
fn kubeconfig(settings: &ClusterSettings) -> Result<Option<Kubeconfig>, ApiFault> {
    let mut found: Option<Kubeconfig> = None;
    for path in paths(settings) {
        let read = match Kubeconfig::read_from(&path) {
            Ok(read) => read,
            // kubectl passes over those of a list that are not there, too.
            Err(KubeconfigError::ReadConfig(error, _))
                if settings.kubeconfig.is_none() && error.kind() == std::io::ErrorKind::NotFound =>
            {
                continue;
            }
            Err(error) => return Err(unusable(&path, &error)),
        };
        let merged = match found.take() {
            None => Ok(read),
            Some(first) => first.merge(read),
        };
        found = Some(merged.map_err(|error| unusable(&path, &error))?);
    }
    Ok(found)
}

fn paths(settings: &ClusterSettings) -> Vec<PathBuf> {
    if let Some(path) = &settings.kubeconfig {
        return vec![path.clone()];
    }
    let set = |name: &str| settings.env.get(name).filter(|value| !value.is_empty());
    match (set("KUBECONFIG"), set("HOME")) {
        (Some(list), _) => list.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect(),
        (None, Some(home)) => vec![Path::new(home).join(".kube/config")],
        (None, None) => Vec::new(),
    }
}

fn unusable(path: &Path, error: &KubeconfigError) -> ApiFault {
    let why = match error {
        KubeconfigError::ReadConfig(why, _) => why.to_string(),
        other => other.to_string(),
    };
    let detail = format!(
        "the kubeconfig {} can't be used: {why}: name another one as `kubeconfig` in [kubernetes]",
        path.display()
    );
    ApiFault::new(ApiState::BadConfig, detail)
}

async fn from_file(
    mut file: Kubeconfig,
    settings: &ClusterSettings,
) -> Result<(Config, String, Option<Time>), ApiFault> {
    let bad = |detail: String| ApiFault::new(ApiState::BadConfig, detail);
    let context = settings.context.clone().or_else(|| file.current_context.clone()).unwrap_or_default();
    if context.is_empty() {
        return Err(bad("the kubeconfig has no current context: set kubernetes.context".to_owned()));
    }
    if !file.contexts.iter().any(|known| known.name == context) {
        let known: Vec<&str> = file.contexts.iter().map(|known| known.name.as_str()).collect();
        return Err(bad(format!("the kubeconfig has no context {context}; it has {}", known.join(", "))));
    }
    let until = helper::sign_in(&mut file, &context).await?;
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(file, &options).await;
    let config =
        config.map_err(|error| bad(format!("the kubeconfig's context {context} can't be used: {error}")))?;
    Ok((config, context, until))
}

fn in_cluster(settings: &ClusterSettings) -> Result<Config, ApiFault> {
    if !settings.env.contains_key("KUBERNETES_SERVICE_HOST") {
        let looked: Vec<String> = paths(settings).iter().map(|path| path.display().to_string()).collect();
        let detail = format!("there is no kubeconfig at {}", looked.join(", "));
        return Err(ApiFault::new(ApiState::Unconfigured, detail));
    }
    Config::incluster().map_err(|error| {
        ApiFault::new(ApiState::BadConfig, format!("the pod's own account can't be used: {error}"))
    })
}

/// Whether a host is spoken to directly although there is a proxy: it is this machine, or `NO_PROXY` says so.
fn bypasses(host: &str, env: &BTreeMap<String, String>) -> bool {
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let listed = env.get("NO_PROXY").or_else(|| env.get("no_proxy"));
    let mut entries =
        listed.into_iter().flat_map(|list| list.split(',')).map(str::trim).filter(|one| !one.is_empty());
    loopback
        || entries.any(|entry| {
            let name = entry.trim_start_matches('.');
            entry == "*" || host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(env: &[(&str, &str)]) -> ClusterSettings {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ClusterSettings { env, ..ClusterSettings::default() }
    }

    async fn fault(settings: &ClusterSettings) -> ApiFault {
        ClusterAccess::open(settings).await.err().unwrap()
    }

    #[tokio::test]
    async fn says_what_is_wrong_with_the_kubeconfig() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let none = fault(&settings(&[("HOME", &home)])).await;
        assert_eq!(none.state, ApiState::Unconfigured);
        assert!(none.detail.contains(".kube/config"), "{}", none.detail);

        let path = folder.path().join("config");
        let named = ClusterSettings { kubeconfig: Some(path.clone()), ..settings(&[]) };
        assert!(
            fault(&named).await.detail.contains("No such file"),
            "one that was asked for has to be there"
        );
        let folder = ClusterSettings { kubeconfig: Some(folder.path().to_owned()), ..settings(&[]) };
        let detail = fault(&folder).await.detail;
        assert!(
            detail.contains("Is a directory") && detail.ends_with("as `kubeconfig` in [kubernetes]"),
            "{detail}"
        );
        std::fs::write(&path, "{").unwrap();
        assert_eq!(fault(&named).await.state, ApiState::BadConfig);
        let text = "apiVersion: v1\nkind: Config\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n\
                    clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                    users: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: sh, \
                    args: [-c, 'echo secret; echo sign in first >&2; exit 3']}}}]\n";
        std::fs::write(&path, text).unwrap();
        assert!(fault(&named).await.detail.contains("no current context"));
        let other = ClusterSettings { context: Some("b".into()), ..named.clone() };
        assert!(fault(&other).await.detail.contains("no context b; it has a"));
        let helper = fault(&ClusterSettings { context: Some("a".into()), ..named }).await;
        assert!(
            helper.detail.contains("helper for credentials has ended with exit status: 3: sign in first"),
            "{}",
            helper.detail
        );
        assert!(!helper.detail.contains("secret"));
    }

    #[test]
    fn a_proxy_is_passed_by_where_that_is_said() {
        let env = settings(&[("NO_PROXY", "10.0.0.7, .example.com")]).env;
        for host in ["127.0.0.1", "::1", "localhost", "10.0.0.7", "api.example.com", "example.com"] {
            assert!(bypasses(host, &env), "{host}");
        }
        for host in ["10.0.0.71", "badexample.com", "example.org"] {
            assert!(!bypasses(host, &env), "{host}");
        }
    }
}
