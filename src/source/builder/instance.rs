//! Which builder is meant, and where its nodes are: from buildx's instance files and docker's contexts, as buildx reads
//! them itself. Nothing is started and nobody is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::event::builder::BuilderHealth;
use crate::event::{Platform, Text};
use crate::source::docker::folder;

const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";

/// What buildx drives a builder with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum Driver {
    /// The engine's own `BuildKit`.
    Docker,
    /// `BuildKit` in a container of the engine.
    Container,
    /// A `BuildKit` that somebody else runs.
    Remote,
    /// `BuildKit` in pods of a cluster.
    Kubernetes,
    /// A driver that is not known here.
    Other(String),
}

impl Driver {
    fn of(name: &str) -> Self {
        match name {
            "docker" => Self::Docker,
            // buildx has once written none for its first driver of several nodes.
            "docker-container" | "" => Self::Container,
            "remote" => Self::Remote,
            "kubernetes" => Self::Kubernetes,
            other => Self::Other(other.to_owned()),
        }
    }

    pub(in crate::source) fn name(&self) -> &str {
        match self {
            Self::Docker => "docker",
            Self::Container => "docker-container",
            Self::Remote => "remote",
            Self::Kubernetes => "kubernetes",
            Self::Other(name) => name,
        }
    }
}

/// Address of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum EngineAddress {
    /// A socket of this machine.
    Unix(String),
    /// Plain HTTP over TCP.
    Http(String),
    /// ssh, TLS, pipes: the docker command knows how.
    ByCommand(String),
}

impl EngineAddress {
    fn of(address: &str, tls: bool) -> Self {
        if let Some(path) = address.strip_prefix("unix://") {
            return Self::Unix(path.to_owned());
        }
        match address.split_once("://") {
            Some(("tcp" | "http", _)) if !tls => Self::Http(address.to_owned()),
            _ => Self::ByCommand(address.to_owned()),
        }
    }

    /// The address, for a message.
    pub(in crate::source) fn shown(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix://{path}"),
            Self::Http(address) | Self::ByCommand(address) => address.clone(),
        }
    }
}

/// A builder as buildx's files define it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct BuilderDefinition {
    pub(in crate::source) name: String,
    pub(in crate::source) driver: Driver,
    pub(in crate::source) nodes: Vec<NodeDefinition>,
}

/// Where a `BuildKit` listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum BuildkitAddress {
    /// A socket of this machine.
    Unix(PathBuf),
    Tcp {
        /// Name or address, without brackets.
        host: String,
        port: u16,
        /// How it is made sure who is spoken with; none: in the clear.
        tls: Option<TlsFiles>,
    },
}

/// What a secure connection is made with: options of the remote driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::source) struct TlsFiles {
    /// `cacert`; none: the system's authorities.
    pub(in crate::source) authority: Option<PathBuf>,
    /// Option `cert`: the client certificate.
    pub(in crate::source) certificate: Option<PathBuf>,
    /// Option `key`: the key of the client certificate.
    pub(in crate::source) key: Option<PathBuf>,
    /// `servername`, else the host's name.
    pub(in crate::source) server_name: String,
}

/// Where the pods of a node are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::source) struct PodLocation {
    /// The kubeconfig that buildx was told; none: as kubectl finds it.
    pub(in crate::source) kubeconfig: Option<PathBuf>,
    /// Their namespace; none: the context's.
    pub(in crate::source) namespace: Option<String>,
    /// The Deployment that they are made by.
    pub(in crate::source) deployment: String,
}

/// A node as buildx's files define it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::source) struct NodeDefinition {
    pub(in crate::source) name: String,
    /// As buildx has it: an address, or the name of a docker context.
    pub(in crate::source) endpoint: String,
    /// The engine behind it; none for a remote `BuildKit`.
    pub(in crate::source) host: Option<EngineAddress>,
    /// Where a remote `BuildKit` listens; none where only buildx knows the way.
    pub(in crate::source) listener: Option<BuildkitAddress>,
    /// Where its pods are, under the kubernetes driver.
    pub(in crate::source) cluster: Option<PodLocation>,
    /// Platforms that it was given by hand.
    pub(in crate::source) platforms: Vec<Platform>,
    /// Whether its engine is another one than the docker command takes by itself.
    pub(in crate::source) elsewhere: bool,
}

impl NodeDefinition {
    /// The docker command that leads to its engine.
    pub(in crate::source) fn docker(&self) -> String {
        if self.elsewhere {
            format!("docker {}", self.docker_options().join(" "))
        } else {
            "docker".to_owned()
        }
    }

    /// Name of its container, under the docker-container driver.
    pub(in crate::source) fn container(&self) -> String {
        format!("buildx_buildkit_{}", self.name)
    }

    /// The docker command's options that lead to its engine.
    pub(in crate::source) fn docker_options(&self) -> [String; 2] {
        let option = if self.endpoint.contains("://") { "--host" } else { "--context" };
        [option.to_owned(), self.endpoint.clone()]
    }
}

/// Why there is no builder to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct MissingBuilder {
    pub(in crate::source) name: String,
    pub(in crate::source) state: BuilderHealth,
    pub(in crate::source) reason: Text,
    pub(in crate::source) hint: Text,
}

/// Where buildx and docker keep their files.
struct ConfigFolders {
    buildx: PathBuf,
    docker: PathBuf,
}

impl ConfigFolders {
    fn of(env: &BTreeMap<String, String>) -> Self {
        // Without a home docker looks below the root.
        let root = || PathBuf::from("/.docker");
        Self {
            buildx: folder::of_buildx(env).unwrap_or_else(|| root().join("buildx")),
            docker: folder::of_docker(env).unwrap_or_else(root),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceFile {
    #[serde(default)]
    driver: String,
    #[serde(default)]
    nodes: Vec<NodeFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeFile {
    name: String,
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    platforms: Option<Vec<PlatformFile>>,
    #[serde(default)]
    driver_opts: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct PlatformFile {
    os: String,
    architecture: String,
    #[serde(default)]
    variant: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CurrentFile {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize, Default)]
struct DockerContextConfig {
    #[serde(default, rename = "currentContext")]
    current_context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextFile {
    name: String,
    #[serde(default)]
    endpoints: BTreeMap<String, EndpointFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointFile {
    #[serde(default)]
    host: String,
}

/// `os/architecture[/variant]` of its three parts.
pub(in crate::source) fn platform(os: &str, architecture: &str, variant: &str) -> Option<Platform> {
    let variant = if variant.is_empty() { String::new() } else { format!("/{variant}") };
    Platform::parse(&format!("{os}/{architecture}{variant}"))
}

/// Finds a builder; without a name the one that buildx would take.
pub(in crate::source) fn find(
    wanted: Option<&str>,
    env: &BTreeMap<String, String>,
) -> Result<BuilderDefinition, MissingBuilder> {
    let folders = ConfigFolders::of(env);
    let name = wanted.map_or_else(|| current(&folders, env), str::to_owned);
    let file = folders.buildx.join("instances").join(&name);
    // buildx takes a name for a file's name too, and only these are valid.
    let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let missing = |state, reason: String, hint: String| MissingBuilder {
        name: name.clone(),
        state,
        reason: reason.into(),
        hint: hint.into(),
    };
    if named && let Ok(text) = std::fs::read(&file) {
        let read: InstanceFile = serde_json::from_slice(&text).map_err(|error| {
            missing(
                BuilderHealth::Unknown,
                format!("{} can't be read: {error}", file.display()),
                format!("docker buildx rm {name}, and create it anew"),
            )
        })?;
        return Ok(instance(name, read, &folders, env));
    }
    // Every docker context is a builder by itself, driven by its engine.
    let Some(host) = context(&name, &folders, env) else {
        return Err(missing(
            BuilderHealth::Gone,
            format!("there is no buildx builder `{name}`"),
            format!("docker buildx create --name {name} --driver docker-container --bootstrap"),
        ));
    };
    let elsewhere = context(&current_context(&folders, env), &folders, env).as_ref() != Some(&host);
    let (endpoint, host) = (name.clone(), Some(host));
    let node = NodeDefinition { name: name.clone(), endpoint, host, elsewhere, ..NodeDefinition::default() };
    Ok(BuilderDefinition { name, driver: Driver::Docker, nodes: vec![node] })
}

fn instance(
    name: String,
    file: InstanceFile,
    folders: &ConfigFolders,
    env: &BTreeMap<String, String>,
) -> BuilderDefinition {
    let driver = Driver::of(&file.driver);
    let own = context(&current_context(folders, env), folders, env);
    let nodes = file.nodes.into_iter().map(|node| {
        let host = match driver {
            Driver::Docker | Driver::Container => Some(engine(&node.endpoint, folders, env)),
            Driver::Remote | Driver::Kubernetes | Driver::Other(_) => None,
        };
        let options = node.driver_opts.unwrap_or_default();
        let listener = if driver == Driver::Remote { listener(&node.endpoint, &options) } else { None };
        let cluster =
            (driver == Driver::Kubernetes).then(|| in_cluster(&node.endpoint, &node.name, &options));
        let platforms = node.platforms.unwrap_or_default();
        let platforms = platforms.iter().filter_map(|p| platform(&p.os, &p.architecture, &p.variant));
        let platforms = platforms.collect();
        let elsewhere = host.is_some() && host != own;
        NodeDefinition {
            name: node.name,
            endpoint: node.endpoint,
            host,
            listener,
            cluster,
            platforms,
            elsewhere,
        }
    });
    BuilderDefinition { nodes: nodes.collect(), name, driver }
}

/// Where a remote `BuildKit` listens, as buildx's remote driver takes it. None: `ssh://`, `docker-container://` and the like.
fn listener(endpoint: &str, options: &BTreeMap<String, String>) -> Option<BuildkitAddress> {
    if let Some(path) = endpoint.strip_prefix("unix://") {
        return Some(BuildkitAddress::Unix(PathBuf::from(path)));
    }
    let url = url::Url::parse(endpoint).ok().filter(|url| url.scheme() == "tcp")?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let file = |name: &str| options.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let secure = ["cacert", "cert", "key", "servername"].iter().any(|name| options.contains_key(*name));
    let named = options.get("servername").filter(|name| !name.is_empty());
    let tls = secure.then(|| TlsFiles {
        authority: file("cacert"),
        certificate: file("cert"),
        key: file("key"),
        server_name: named.unwrap_or(&host).clone(),
    });
    Some(BuildkitAddress::Tcp { port: url.port()?, host, tls })
}

/// `kubernetes:///NAME?deployment=DEPLOYMENT&kubeconfig=PATH`, as buildx writes it.
fn in_cluster(endpoint: &str, name: &str, options: &BTreeMap<String, String>) -> PodLocation {
    let url = url::Url::parse(endpoint).ok();
    let query = |key: &str| {
        let url = url.as_ref()?;
        url.query_pairs()
            .find(|(name, value)| name == key && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    };
    PodLocation {
        kubeconfig: query("kubeconfig").map(PathBuf::from),
        namespace: options.get("namespace").filter(|namespace| !namespace.is_empty()).cloned(),
        deployment: query("deployment").unwrap_or_else(|| name.to_owned()),
    }
}

/// The builder that buildx takes where none is named.
fn current(folders: &ConfigFolders, env: &BTreeMap<String, String>) -> String {
    if let Some(name) = env.get("BUILDX_BUILDER").filter(|name| !name.is_empty()) {
        return name.clone();
    }
    let file = std::fs::read(folders.buildx.join("current")).ok();
    let chosen = file.and_then(|text| serde_json::from_slice::<CurrentFile>(&text).ok());
    let chosen = chosen.map(|file| file.name).filter(|name| !name.is_empty());
    chosen.unwrap_or_else(|| current_context(folders, env))
}

fn current_context(folders: &ConfigFolders, env: &BTreeMap<String, String>) -> String {
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
    if set("DOCKER_HOST").is_some() {
        return "default".to_owned();
    }
    if let Some(name) = set("DOCKER_CONTEXT") {
        return name.clone();
    }
    let config = std::fs::read(folders.docker.join("config.json")).ok();
    let config: DockerContextConfig =
        config.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    if config.current_context.is_empty() { "default".to_owned() } else { config.current_context }
}

/// The engine behind a node's endpoint.
fn engine(endpoint: &str, folders: &ConfigFolders, env: &BTreeMap<String, String>) -> EngineAddress {
    if endpoint.contains("://") {
        let tls = env.get("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
        return EngineAddress::of(endpoint, tls);
    }
    // A context that is not known here may still be known to the docker command, which then says what is wrong.
    context(endpoint, folders, env)
        .unwrap_or_else(|| EngineAddress::ByCommand(format!("docker context {endpoint}")))
}

/// The engine of a docker context.
fn context(name: &str, folders: &ConfigFolders, env: &BTreeMap<String, String>) -> Option<EngineAddress> {
    if name == "default" {
        let set = env.get("DOCKER_HOST").filter(|host| !host.is_empty());
        let tls = env.get("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
        return Some(EngineAddress::of(set.map_or(DEFAULT_SOCKET, String::as_str), tls));
    }
    // The folders are named by a hash of the context's name, which the files hold too.
    let entries = std::fs::read_dir(folders.docker.join("contexts/meta")).ok()?;
    let files = entries.flatten().filter_map(|entry| {
        let text = std::fs::read(entry.path().join("meta.json")).ok()?;
        let file: ContextFile = serde_json::from_slice(&text).ok()?;
        let tls = folders.docker.join("contexts/tls").join(entry.file_name()).exists();
        (file.name == name).then_some((file, tls))
    });
    let (file, tls) = files.into_iter().next()?;
    Some(EngineAddress::of(&file.endpoints.get("docker")?.host, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(folder: &std::path::Path) -> BTreeMap<String, String> {
        BTreeMap::from([("DOCKER_CONFIG".to_owned(), folder.display().to_string())])
    }

    fn write(folder: &std::path::Path, path: &str, text: &str) {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn reads_instances_as_buildx_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"Name":"b","Driver":"docker-container","Nodes":[
            {"Name":"b0","Endpoint":"unix:///x.sock","Platforms":[{"architecture":"arm","os":"linux","variant":"v7"}],
             "DriverOpts":{"image":"i"},"Flags":null,"Files":null},
            {"Name":"b1","Endpoint":"far","Platforms":null},
            {"Name":"b2","Endpoint":"ssh://me@host"}],"Dynamic":false}"#;
        write(folder.path(), "buildx/instances/b", text);
        let context = r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://127.0.0.1:9","SkipTLSVerify":false}}}"#;
        write(folder.path(), "contexts/meta/0123/meta.json", context);
        let found = find(Some("b"), &env(folder.path())).unwrap();
        assert_eq!(found.driver, Driver::Container);
        let hosts: Vec<_> = found.nodes.iter().map(|node| node.host.clone().unwrap()).collect();
        assert_eq!(
            hosts,
            [
                EngineAddress::Unix("/x.sock".into()),
                EngineAddress::Http("tcp://127.0.0.1:9".into()),
                EngineAddress::ByCommand("ssh://me@host".into())
            ]
        );
        assert_eq!(found.nodes[0].platforms, [Platform::parse("linux/arm/v7").unwrap()]);
        assert_eq!(found.nodes[0].container(), "buildx_buildkit_b0");
        assert_eq!(found.nodes[1].docker_options(), ["--context", "far"]);
    }

    #[test]
    fn knows_where_remote_and_kubernetes_nodes_are() {
        let options = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let none = options(&[]);
        assert_eq!(listener("unix:///run/b.sock", &none), Some(BuildkitAddress::Unix("/run/b.sock".into())));
        let plain = BuildkitAddress::Tcp { host: "::1".into(), port: 1234, tls: None };
        assert_eq!(listener("tcp://[::1]:1234", &none), Some(plain));
        let files = options(&[("cacert", "/ca.pem"), ("cert", "/c.pem"), ("key", "/k.pem")]);
        let Some(BuildkitAddress::Tcp { tls: Some(tls), .. }) = listener("tcp://far:1234", &files) else {
            panic!()
        };
        assert_eq!((tls.server_name.as_str(), tls.authority), ("far", Some("/ca.pem".into())));
        for other in ["ssh://me@far", "docker-container://b", "tcp://far", "far:1234"] {
            assert_eq!(listener(other, &none), None, "{other}");
        }
        let endpoint = "kubernetes:///b?deployment=b0&kubeconfig=%2Fhome%2Fme%2Fconfig";
        let found = in_cluster(endpoint, "x", &options(&[("namespace", "builds")]));
        let config = Some("/home/me/config".into());
        assert_eq!(
            found,
            PodLocation { kubeconfig: config, namespace: Some("builds".into()), deployment: "b0".into() }
        );
        let bare = in_cluster("kubernetes:///b?deployment=&kubeconfig=", "x", &none);
        assert_eq!(bare, PodLocation { deployment: "x".into(), ..PodLocation::default() });
    }

    #[test]
    fn takes_the_builder_that_buildx_would_take() {
        let folder = tempfile::tempdir().unwrap();
        let mut env = env(folder.path());
        let name = |env: &BTreeMap<String, String>| find(None, env).map(|found| found.name);
        assert_eq!(name(&env).unwrap(), "default");
        write(folder.path(), "buildx/instances/b", r#"{"Name":"b","Driver":"remote","Nodes":[]}"#);
        write(folder.path(), "buildx/current", r#"{"Key":"unix:///x","Name":"b","Global":false}"#);
        assert_eq!(name(&env).unwrap(), "b");
        env.insert("BUILDX_BUILDER".into(), "c".into());
        let missing = name(&env).unwrap_err();
        assert_eq!((missing.state, missing.name.as_str()), (BuilderHealth::Gone, "c"));
        assert!(missing.hint.as_str().contains("docker buildx create --name c "));
        assert_eq!(find(Some("../current"), &env).unwrap_err().state, BuilderHealth::Gone);
        write(folder.path(), "buildx/instances/c", "{");
        assert!(name(&env).unwrap_err().reason.as_str().contains("can't be read"));
    }
}
