//! Builders of the remote driver: the engine's real `BuildKit`, listening on a socket and over TCP with TLS, beside nodes that are dead.
//!
//! They run where `LAYERTOP_TEST_ENGINE_UP` is set, as all on an engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::support::watch;
use layertop::clock::Clock;
use layertop::event::builder::{BuilderHealth, BuilderNode, Execution};
use layertop::event::{BuilderSnapshot, Platform};
use layertop::source::builder::{self, BuilderSettings};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// The engine's socket; none where there is no engine, which is said.
fn engine() -> Option<PathBuf> {
    if std::env::var_os("LAYERTOP_TEST_ENGINE_UP").is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI this must run");
        println!("skipped: no test engine: run `bash tests/run.sh`");
        return None;
    }
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
    Some(host.strip_prefix("unix://").expect("a socket of this machine").into())
}

/// Hands a connection to the engine's `BuildKit`.
async fn bridge(mut near: impl AsyncRead + AsyncWrite + Unpin, engine: PathBuf) -> std::io::Result<()> {
    let mut far = UnixStream::connect(engine).await?;
    far.write_all(b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        .await?;
    // The engine drops what comes before its answer has ended.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(far.read_u8().await?);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    copy_bidirectional(&mut near, &mut far).await.map(|_| ())
}

/// A `BuildKit` that listens on a socket of this machine.
fn on_socket(path: &Path, engine: PathBuf) -> tokio::task::JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        // Connections end with whoever carries them.
        let mut connections = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            connections.spawn(bridge(near, engine.clone()));
        }
    })
}

/// A `BuildKit` that listens on a port, and lets in those that show a certificate of `authority`.
async fn on_port(keys: &Keys, engine: PathBuf) -> u16 {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(keys.file("ca.crt")).unwrap()).unwrap();
    let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let chain = vec![CertificateDer::from_pem_file(keys.file("server.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(keys.file("server.key")).unwrap();
    let mut config =
        ServerConfig::builder().with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (acceptor, engine) = (acceptor.clone(), engine.clone());
            tokio::spawn(async move { bridge(acceptor.accept(near).await?, engine).await });
        }
    });
    port
}

/// Certificates of an authority of the test's own.
struct Keys {
    folder: TempDir,
}

impl Keys {
    fn make() -> Self {
        let keys = Self { folder: tempfile::tempdir().unwrap() };
        let new =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        let openssl = |words: &[&str]| {
            let ended = Command::new("openssl").current_dir(keys.folder.path()).args(words).output().unwrap();
            assert!(ended.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&ended.stderr));
        };
        openssl(&[&new[..], &["-subj", "/CN=lt-authority", "-keyout", "ca.key", "-out", "ca.crt"]].concat());
        openssl(
            &[&new[..], &["-subj", "/CN=lt-other", "-keyout", "other.key", "-out", "other.crt"]].concat(),
        );
        for (name, usage) in [("server", "serverAuth"), ("client", "clientAuth")] {
            let (key, request, certificate) =
                (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
            let extensions = format!(
                "basicConstraints=CA:FALSE\nextendedKeyUsage={usage}\nsubjectAltName=DNS:buildkit.test\n"
            );
            std::fs::write(keys.folder.path().join("extensions"), extensions).unwrap();
            let subject = format!("/CN={name}");
            let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
            openssl(
                &[&["req"], &curve[..], &["-subj", &subject, "-keyout", &key, "-out", &request]].concat(),
            );
            let signed =
                ["x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
            let files = ["-extfile", "extensions", "-in", &request, "-out", &certificate];
            openssl(&[&signed[..], &files[..]].concat());
        }
        keys
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The remote driver's options, with the authority that is believed in.
    fn options(&self, authority: &str) -> String {
        format!(
            "cacert={},cert={},key={},servername=buildkit.test",
            self.file(authority),
            self.file("client.crt"),
            self.file("client.key")
        )
    }
}

/// A builder in a configuration folder of its own.
struct Remote {
    folder: TempDir,
}

impl Remote {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// What buildx says. It talks with those that this thread serves, so nobody waits for it here.
    async fn buildx(&self, words: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.arg("buildx").args(words).env("BUILDX_CONFIG", self.folder.path());
        let ended = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert!(ended.status.success(), "buildx {words:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    }

    async fn node(&self, name: &str, endpoint: &str, more: &[&str]) {
        let mut words = vec!["create", "--name", "far", "--node", name, "--driver", "remote"];
        if self.folder.path().join("instances/far").exists() {
            words.push("--append");
        }
        words.extend(more);
        words.push(endpoint);
        self.buildx(&words).await;
    }

    fn settings(&self) -> BuilderSettings {
        let mut env: BTreeMap<String, String> = std::env::vars().collect();
        env.insert("BUILDX_CONFIG".into(), self.folder.path().display().to_string());
        BuilderSettings {
            builder: Some("far".into()),
            platforms: Platform::parse_list("linux/amd64,linux/arm64"),
            env,
            ..BuilderSettings::default()
        }
    }
}

type Watch = watch::Watch<BuilderSnapshot>;

fn watched(settings: BuilderSettings) -> Watch {
    Watch::start(|tx| builder::run(settings, Clock::live(), tx), |model| model.builder().snapshot())
}

fn well(node: &BuilderNode) -> bool {
    node.state == BuilderHealth::Ok && node.usage.is_some() && node.active.is_some()
}

#[tokio::test]
async fn a_dead_node_beside_living_ones_costs_itself_only() {
    let Some(engine) = engine() else { return };
    let (remote, keys) = (Remote::new(), Keys::make());
    let sockets = tempfile::tempdir().unwrap();
    let path = sockets.path().join("buildkit.sock");
    let listening = on_socket(&path, engine.clone());
    let secure = on_port(&keys, engine.clone()).await;
    // One takes connections and never says a word, one is not there at all.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_at = format!("tcp://{}", silent.local_addr().unwrap());
    remote.node("socket", &format!("unix://{}", path.display()), &[]).await;
    remote
        .node("secure", &format!("tcp://127.0.0.1:{secure}"), &["--driver-opt", &keys.options("ca.crt")])
        .await;
    remote.node("dead", "tcp://127.0.0.1:1", &[]).await;
    // The last, as buildx waits for 20 s for it whenever another one is added.
    remote.node("silent", &silent_at, &[]).await;

    let mut watch = watched(remote.settings());
    let found = watch
        .until("two of four", |snapshot| snapshot.nodes.iter().filter(|node| well(node)).count() == 2)
        .await;
    let [socket, secure, dead, silent] = &found.nodes[..] else { panic!("{found:#?}") };
    assert!(!silent.state.is_up() && !dead.state.is_up() && well(socket) && well(secure), "{found:#?}");
    assert!(
        socket.latency_us.is_some() && socket.container.is_none() && !socket.gc.is_empty(),
        "{socket:#?}"
    );
    assert_eq!(socket.usage.as_ref().unwrap().total.records, secure.usage.as_ref().unwrap().total.records);

    let found = watch.until("all judged", |snapshot| {
        snapshot.state == BuilderHealth::Partial
            && snapshot.nodes.iter().all(|node| node.state != BuilderHealth::Unknown)
    });
    let found = found.await;
    assert!(
        found.nodes[3].reason.as_str().contains("in 5 s")
            || found.nodes[3].reason.as_str().contains("in 10 s"),
        "{}",
        found.nodes[3].reason
    );
    assert!(
        found.nodes[2].reason.as_str().contains("nothing listens at 127.0.0.1:1"),
        "{}",
        found.nodes[2].reason
    );
    assert!(found.nodes.iter().filter(|node| well(node)).count() == 2, "{found:#?}");

    // Gone, and back: only its own node changes.
    listening.abort();
    let _ = listening.await;
    std::fs::remove_file(&path).unwrap();
    let found = watch.until("without the socket", |snapshot| !snapshot.nodes[0].state.is_up()).await;
    assert!(well(&found.nodes[1]), "{found:#?}");
    on_socket(&path, engine);
    watch
        .until("with the socket again", |snapshot| well(&snapshot.nodes[0]) && well(&snapshot.nodes[1]))
        .await;
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused_in_words() {
    let Some(engine) = engine() else { return };
    let (remote, keys) = (Remote::new(), Keys::make());
    let port = on_port(&keys, engine).await;
    remote
        .node("far0", &format!("tcp://127.0.0.1:{port}"), &["--driver-opt", &keys.options("other.crt")])
        .await;
    let found = builder::once(remote.settings(), Clock::live()).await;
    assert_eq!(found.state, BuilderHealth::Unreachable, "{found:#?}");
    assert!(found.reason.as_str().contains("no secure connection to 127.0.0.1"), "{}", found.reason);
    assert!(found.reason.as_str().contains("UnknownIssuer"), "{}", found.reason);
}

#[tokio::test]
async fn buildx_agrees_about_a_remote_builder() {
    let Some(engine) = engine() else { return };
    let (remote, keys) = (Remote::new(), Keys::make());
    let port = on_port(&keys, engine).await;
    remote.node("far0", &format!("tcp://127.0.0.1:{port}"), &["--driver-opt", &keys.options("ca.crt")]).await;
    let found = builder::once(remote.settings(), Clock::live()).await;
    assert_eq!((found.state, found.driver.as_str()), (BuilderHealth::Ok, "remote"), "{found:#?}");
    let said = remote.buildx(&["inspect", "far"]).await;
    assert!(said.contains("running"), "{said}");
    let platforms = said.lines().find_map(|line| line.strip_prefix("Platforms:")).unwrap().trim().to_owned();
    let ours: Vec<&str> = found.nodes[0].platforms.iter().map(Platform::as_str).collect();
    assert_eq!(ours.join(", "), platforms.replace('*', ""));
    let version = found.nodes[0].buildkit_version.as_ref().unwrap();
    assert!(
        said.lines().any(|line| line.starts_with("BuildKit") && line.ends_with(version.as_str())),
        "{said}"
    );
    let execution: Vec<Execution> = found.platforms.iter().map(|place| place.execution).collect();
    assert_eq!(execution.len(), 2);
    assert_eq!(execution.iter().filter(|one| **one == Execution::Native).count(), 1, "{:?}", found.platforms);
}
