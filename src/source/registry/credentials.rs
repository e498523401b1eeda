//! Credentials from docker's `config.json` and its helpers. They are kept in memory only and never printed.
//!
//! Helpers are run here and not by a crate: the one there is runs them in a blocking thread, and one that hangs would then
//! hold up quitting.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::process::Command;

use super::fault::RegistryFault;
use crate::source::docker::folder;
use crate::source::helper::{self, HelperError};

/// How long a helper may take: it may have to ask its user.
const PATIENCE: Duration = Duration::from_secs(10);

/// What says who we are. Not `Debug`, so that it can't be printed by accident.
#[derive(Clone)]
pub(super) enum Credential {
    Basic(String, String),
    /// What is traded for tokens at the realm.
    Identity(String),
    /// A token that is handed to the registry as it is.
    Token(String),
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerAuthConfig {
    auths: HashMap<String, AuthEntry>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperCredentials {
    username: String,
    secret: String,
}

/// Where docker's configuration is, by the environment.
pub(super) fn config_file(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    folder::of_docker(env).map(|at| at.join("config.json"))
}

/// The credentials for a registry; none where docker knows none.
pub(super) async fn find(
    host: &str,
    env: &BTreeMap<String, String>,
) -> Result<Option<Credential>, RegistryFault> {
    let Some(path) = config_file(env) else { return Ok(None) };
    let Ok(text) = tokio::task::spawn_blocking(move || std::fs::read(path)).await else { return Ok(None) };
    let Ok(text) = text else { return Ok(None) };
    let config: DockerAuthConfig = serde_json::from_slice(&text).map_err(|error| {
        RegistryFault::Credentials(format!("docker's config.json can't be read: {error}"))
    })?;
    let names = names(host);
    let own = names.iter().find_map(|name| config.cred_helpers.get(name));
    if let Some(helper) = own.or(config.creds_store.as_ref()).filter(|helper| !helper.is_empty()) {
        for name in &names {
            if let Some(found) = ask_helper(helper, name, env).await? {
                return Ok(Some(found));
            }
        }
    }
    let entry = names.iter().find_map(|name| config.auths.get(name));
    Ok(entry.and_then(stored))
}

/// The names under which docker may keep a registry's credentials.
fn names(host: &str) -> Vec<String> {
    if matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io") {
        return vec!["https://index.docker.io/v1/".to_owned(), "docker.io".to_owned()];
    }
    vec![host.to_owned(), format!("https://{host}"), format!("http://{host}")]
}

fn stored(entry: &AuthEntry) -> Option<Credential> {
    if !entry.registrytoken.is_empty() {
        return Some(Credential::Token(entry.registrytoken.clone()));
    }
    if !entry.identitytoken.is_empty() {
        return Some(Credential::Identity(entry.identitytoken.clone()));
    }
    if !entry.username.is_empty() {
        return Some(Credential::Basic(entry.username.clone(), entry.password.clone()));
    }
    let decoded = STANDARD.decode(entry.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok())?;
    // Docker itself pads some with zero bytes.
    let (user, password) = decoded.split_once(':')?;
    Some(Credential::Basic(user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

async fn ask_helper(
    name: &str,
    server: &str,
    env: &BTreeMap<String, String>,
) -> Result<Option<Credential>, RegistryFault> {
    let program = format!("docker-credential-{name}");
    let bad = |why: String| RegistryFault::Credentials(format!("{program} {why}"));
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err(RegistryFault::Credentials(format!("{name:?} is no name of a credential helper")));
    }
    let mut command = Command::new(&program);
    command.arg("get").env_clear().envs(env);
    let output = helper::ask(command, server.as_bytes(), PATIENCE).await.map_err(|silence| match silence {
        HelperError::NoStart(error) => bad(format!("can't be run: {error}")),
        HelperError::Broken(error) => bad(format!("failed: {error}")),
        HelperError::Late => bad(format!(
            "has not answered in {} s and was ended: run `docker login {server}` to see what it waits for",
            PATIENCE.as_secs()
        )),
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(bad(format!("failed: {}", said.trim().lines().next().unwrap_or("it said nothing"))));
    }
    // The text of a JSON error may quote what it could not read.
    let given: HelperCredentials =
        serde_json::from_str(&said).map_err(|_| bad("answers no credentials".into()))?;
    Ok(Some(if given.username == "<token>" {
        Credential::Identity(given.secret)
    } else {
        Credential::Basic(given.username, given.secret)
    }))
}
