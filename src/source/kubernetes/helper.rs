//! A kubeconfig's helper for credentials (`users[].user.exec`), by the contract of `client.authentication.k8s.io`.
//!
//! It is run here and not by kube, which runs it in the thread that makes the client, without a limit: one that hangs would hold up
//! everything, and stay behind when layertop ends.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Cluster, ExecConfig, ExecInteractiveMode, Kubeconfig};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::event::Time;
use crate::event::cluster::ApiState;
use crate::source::helper::{self, HelperError};

use super::fault::ApiFault;

/// How long a helper may take: it may ask somebody on the internet.
const PATIENCE: Duration = Duration::from_secs(10);
/// The versions of the contract that kubectl still knows.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// What goes to a helper, and comes back from it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExecCredential {
    api_version: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<ExecSpec>,
    #[serde(skip_serializing)]
    status: Option<ExecStatus>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ExecSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<serde_json::Value>,
    /// Whether it may talk with somebody.
    interactive: bool,
}

/// What a helper gives.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExecStatus {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Asks the helper of a context, where it has one, and puts what it gives in its place. Gives when that ends.
///
/// # Errors
///
/// It can't be run, fails, hangs, or gives no credentials.
pub(super) async fn sign_in(file: &mut Kubeconfig, context: &str) -> Result<Option<Time>, ApiFault> {
    let found = file.contexts.iter().find(|known| known.name == context);
    let Some(chosen) = found.and_then(|known| known.context.clone()) else { return Ok(None) };
    let cluster = file.clusters.iter().find(|known| known.name == chosen.cluster);
    let cluster = cluster.and_then(|known| known.cluster.clone());
    let user = file.auth_infos.iter_mut().find(|known| Some(&known.name) == chosen.user.as_ref());
    let Some(user) = user.and_then(|known| known.auth_info.as_mut()) else { return Ok(None) };
    if user.auth_provider.as_ref().is_some_and(|provider| provider.config.contains_key("cmd-path")) {
        return Err(bad("uses an auth-provider that runs a command, which kubectl does not know any more \
                        since 1.26: write it as exec"));
    }
    match user.exec.take() {
        Some(exec) => ask(&exec, user, cluster.as_ref()).await,
        None => Ok(None),
    }
}

fn bad(detail: &str) -> ApiFault {
    ApiFault::new(ApiState::BadConfig, format!("the kubeconfig {detail}"))
}

async fn ask(
    exec: &ExecConfig,
    user: &mut AuthInfo,
    cluster: Option<&Cluster>,
) -> Result<Option<Time>, ApiFault> {
    let program = exec.command.clone().unwrap_or_default();
    let version = exec.api_version.clone().unwrap_or_default();
    let fails = |what: String| {
        ApiFault::new(ApiState::BadConfig, format!("the kubeconfig's helper for credentials {what}"))
    };
    if program.is_empty() {
        return Err(fails("has no command".to_owned()));
    }
    if !VERSIONS.contains(&version.as_str()) {
        return Err(fails(format!(
            "({program}) has the apiVersion {version:?}: it has to be {}",
            VERSIONS[0]
        )));
    }
    // The terminal is ours: a helper that wants to talk with somebody must not find it.
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(fails(format!(
            "({program}) talks with its user (interactiveMode: Always), which it can't do here: set IfAvailable, or \
             another context"
        )));
    }
    let cluster = match cluster.filter(|_| exec.provide_cluster_info) {
        Some(cluster) => Some(described(cluster)?),
        None => None,
    };
    let spec = Some(ExecSpec { cluster, interactive: false });
    let kind = "ExecCredential".to_owned();
    let info = ExecCredential { api_version: version.clone(), kind, spec, status: None };
    let info = serde_json::to_string(&info).map_err(|error| fails(format!("can't be asked: {error}")))?;
    let mut command = Command::new(&program);
    command.args(exec.args.iter().flatten());
    let set = exec.env.iter().flatten().filter_map(|set| Some((set.get("name")?, set.get("value")?)));
    command.envs(set).env("KUBERNETES_EXEC_INFO", info);
    let said = helper::ask(command, b"", PATIENCE).await.map_err(|silence| match silence {
        HelperError::NoStart(why) => fails(format!("does not start: {program}: {why}")),
        HelperError::Broken(why) => fails(format!("({program}) failed: {why}")),
        HelperError::Late => fails(format!(
            "({program}) has not answered in {} s and was ended: run `kubectl get nodes` to see what it waits for",
            PATIENCE.as_secs()
        )),
    })?;
    if !said.status.success() {
        return Err(fails(format!("has ended with {}: {}", said.status, said.last_error_line())));
    }
    // Whatever it has printed may be a secret.
    let answer: ExecCredential = serde_json::from_slice(&said.stdout)
        .map_err(|_| fails(format!("({program}) prints no credentials")))?;
    if answer.api_version != version {
        let other = &answer.api_version;
        return Err(fails(format!(
            "({program}) answers in the apiVersion {other:?} and was asked in {version}"
        )));
    }
    let given = answer.status.unwrap_or_default();
    let ends = given.expiration_timestamp.as_deref().and_then(Time::parse);
    if take(user, given) { Ok(ends) } else { Err(fails(format!("({program}) prints no credentials"))) }
}

/// What a helper may know of the cluster.
fn described(cluster: &Cluster) -> Result<serde_json::Value, ApiFault> {
    let mut exec = ExecConfig {
        api_version: None,
        command: None,
        args: None,
        env: None,
        drop_env: None,
        interactive_mode: None,
        provide_cluster_info: true,
        cluster: None,
    };
    let known = cluster.try_into().map_err(|error| bad(&format!("can't be used: {error}")))?;
    serde_json::to_value(exec.cluster.insert(known)).map_err(|error| bad(&format!("can't be used: {error}")))
}

/// Puts credentials in the place of their helper; says whether there were any.
fn take(user: &mut AuthInfo, given: ExecStatus) -> bool {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let token = filled(given.token);
    let pair = filled(given.client_certificate_data).zip(filled(given.client_key_data));
    if token.is_none() && pair.is_none() {
        return false;
    }
    if let Some(token) = token {
        user.token = Some(token.into());
    }
    if let Some((certificate, key)) = pair {
        user.client_certificate_data = Some(STANDARD.encode(certificate));
        user.client_key_data = Some(STANDARD.encode(key).into());
    }
    true
}
