//! Real registries, and the servers that stand beside them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// `user:secret`, as htpasswd -B writes it.
pub(crate) const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// Runs a command that must succeed, and gives what it wrote.
pub(crate) fn run(program: &str, words: &[&str], stdin: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(crate) fn sha256(data: &[u8]) -> String {
    let said = String::from_utf8(run("sha256sum", &[], data)).unwrap();
    format!("sha256:{}", said.split_whitespace().next().unwrap())
}

/// Whether there is no registry to try, which is said, and under CI is a failure.
pub(crate) fn is_missing() -> bool {
    let missing = Command::new("docker-registry").arg("--version").output().is_err();
    if missing {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI this must run");
        println!("skipped: no docker-registry: apt-get install docker-registry, or run `bash tests/run.sh`");
    }
    missing
}

/// A digest that is as good as any for what has this name.
pub(crate) fn digest_of_name(name: &str) -> String {
    let hex = name.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("sha256:{hex:0>64}")
}

/// Debian's docker-registry, on a port of its own.
pub(crate) struct Registry {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) port: u16,
    config: String,
    child: Child,
}

impl Registry {
    /// One that anybody may use.
    pub(crate) fn open() -> Self {
        Self::on(Arc::new(TempDir::new().unwrap()), "", "")
    }

    /// One over the content in `folder`, with more of `http:` and of the rest of its configuration.
    pub(crate) fn on(folder: Arc<TempDir>, http: &str, rest: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n{http}{rest}",
            folder.path().display()
        );
        let child = start(&folder.path().join(format!("{port}.yml")), &config);
        Self { folder, port, config, child }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    pub(crate) fn stop(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.child = start(&self.folder.path().join(format!("{}.yml", self.port)), &self.config);
    }

    /// Uploads a blob, and gives its digest.
    pub(crate) fn blob(&self, name: &str, data: &[u8]) -> String {
        let (status, head, _) = self.ask("POST", &format!("/v2/{name}/blobs/uploads/"), "", b"");
        assert_eq!(status, 202, "{head}");
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("location:")).unwrap();
        let location = line.split_once(':').unwrap().1.trim();
        let path = location.split_once(&self.address()).map_or(location, |(_, path)| path);
        let digest = sha256(data);
        let url = format!("{path}{}digest={digest}", if path.contains('?') { '&' } else { '?' });
        let (status, head, _) = self.ask("PUT", &url, "application/octet-stream", data);
        assert_eq!(status, 201, "{head}");
        digest
    }

    /// Uploads a manifest under a tag or its digest, and gives the digest.
    pub(crate) fn manifest(&self, name: &str, tag: Option<&str>, kind: &str, text: &str) -> String {
        let digest = sha256(text.as_bytes());
        let path = format!("/v2/{name}/manifests/{}", tag.unwrap_or(&digest));
        let (status, head, body) = self.ask("PUT", &path, kind, text.as_bytes());
        assert_eq!(status, 201, "{head} {body}");
        digest
    }

    fn ask(&self, method: &str, path: &str, kind: &str, data: &[u8]) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            self.address(),
            data.len()
        );
        stream.write_all(&[head.as_bytes(), data].concat()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a registry, and waits until it says that it listens.
fn start(path: &Path, config: &str) -> Child {
    fs::write(path, config).unwrap();
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(path).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().expect("docker-registry (apt-get install docker-registry)");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    loop {
        let Some(Ok(line)) = lines.next() else { panic!("the registry did not start:\n{said}") };
        if line.contains("listening on") {
            break;
        }
        let _ = writeln!(said, "{line}");
    }
    // A pipe that nobody reads fills up.
    thread::spawn(move || lines.for_each(drop));
    child
}

/// An authority and a certificate of it for 127.0.0.1 in a folder: `ca.pem`, `cert.pem`, `key.pem`.
pub(crate) fn certificates(folder: &Path) {
    let at = |name: &str| folder.join(name).display().to_string();
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout"];
    let ca_key = at("ca.key");
    let ca = at("ca.pem");
    run(
        "openssl",
        &[&new[..], &[&ca_key, "-out", &ca, "-subj", "/CN=layertop test authority"]].concat(),
        b"",
    );
    let (key, cert) = (at("key.pem"), at("cert.pem"));
    let own = [&key, "-out", &cert, "-subj", "/CN=registry", "-CA", &ca, "-CAkey", &ca_key];
    let more = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
    run("openssl", &[&new[..], &own[..], &more[..]].concat(), b"");
}

/// A server that answers each request by what `answer` makes of its head; all heads are kept.
pub(crate) struct Script {
    pub(crate) port: u16,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub(crate) fn new(answer: impl Fn(u16, &str) -> String + Send + Sync + 'static) -> Self {
        Self::with(Some(b"HTTP/1.0 400 Bad Request\r\n\r\nno TLS here\n"), answer)
    }

    /// One that says nothing to a hello of TLS.
    pub(crate) fn silent_on_tls(answer: impl Fn(u16, &str) -> String + Send + Sync + 'static) -> Self {
        Self::with(None, answer)
    }

    fn with(
        to_hello: Option<&'static [u8]>,
        answer: impl Fn(u16, &str) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&heads), Arc::new(answer));
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || {
                    // The first byte of a TLS connection. It is answered as Go's server does, or waited until nobody is there.
                    let mut first = [0];
                    if stream.peek(&mut first).unwrap_or(0) == 1 && first[0] == 0x16 {
                        match to_hello {
                            Some(said) => drop(stream.write_all(said)),
                            None => drop(std::io::copy(&mut stream, &mut std::io::sink())),
                        }
                        return;
                    }
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if !matches!(reader.read_line(&mut head), Ok(1..)) {
                            return;
                        }
                    }
                    let said = answer(port, &head);
                    kept.lock().unwrap().push(head);
                    let _ = stream.write_all(said.as_bytes());
                });
            }
        });
        Self { port, heads }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// A whole answer, after which the connection ends.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

/// A proxy that lets some bytes a second through, in the direction of who asks.
pub(crate) fn slow_proxy(to: u16, bytes_a_second: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut up_from, mut up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut up_from, &mut up_to));
            thread::spawn(move || pace(server, client, bytes_a_second));
        }
    });
    port
}

/// The pace is what this proxy is for; nothing waits for it.
fn pace(mut from: TcpStream, mut to: TcpStream, bytes_a_second: u64) {
    let mut piece = [0; 64];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        thread::park_timeout(Duration::from_micros(count as u64 * 1_000_000 / bytes_a_second));
        if to.write_all(&piece[..count]).is_err() {
            return;
        }
    }
}

/// A folder with docker's `config.json`, and the environment that leads there.
pub(crate) fn docker_config(folder: &Path, text: &str) -> BTreeMap<String, String> {
    fs::write(folder.join("config.json"), text).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let config = folder.display().to_string();
    BTreeMap::from([("DOCKER_CONFIG".to_owned(), config), ("PATH".to_owned(), path)])
}
