//! HTTP to one registry and where it sends us: one connection an origin, kept open, every wait bounded.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    AUTHORIZATION, DATE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::clock::Clock;

use super::super::{Connection, trust};
use super::fault::RegistryFault;

/// How long a connection may take to come about, a head to come, and a body to go on, where nobody says otherwise.
const DIAL: Duration = Duration::from_secs(10);
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How long a server of this machine may take to answer a hello of TLS, where it may speak plain http instead.
const HELLO: Duration = Duration::from_secs(2);
/// How long a whole body may take.
const WHOLE: Duration = Duration::from_secs(30);
/// No descriptor over this is read.
pub(in crate::source) const MOST_BYTES: u64 = 32 << 20;
const MOST_REDIRECTS: usize = 5;

/// A response with its whole body.
pub(in crate::source) struct HttpResponse {
    pub(in crate::source) status: StatusCode,
    pub(in crate::source) headers: HeaderMap,
    pub(in crate::source) body: Vec<u8>,
    /// From the request sent to the head of the answer.
    pub(in crate::source) took: Duration,
    /// How long the body took.
    pub(in crate::source) body_took: Duration,
    /// Whether it is of another origin than was asked.
    pub(in crate::source) strayed: bool,
}

impl HttpResponse {
    /// What is wrong where it asks to be left alone.
    pub(super) fn busy(&self) -> Option<RegistryFault> {
        let status = self.status.as_u16();
        matches!(status, 429 | 503).then(|| RegistryFault::Busy(status, retry_after(&self.headers)))
    }
}

/// How long it asks to wait: in seconds, or up to a time on its own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = |text: &str| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second());
    u64::try_from(time(asked)? - time(text(DATE)?)?).ok().map(Duration::from_secs)
}

/// A request. Not `Debug`, since its headers may hold credentials.
#[derive(Clone)]
pub(in crate::source) struct HttpRequest {
    pub(in crate::source) method: Method,
    pub(in crate::source) url: Url,
    pub(in crate::source) headers: Vec<(HeaderName, HeaderValue)>,
    pub(in crate::source) body: Bytes,
    /// The longest body that is read.
    pub(in crate::source) most: u64,
}

impl HttpRequest {
    pub(in crate::source) fn get(url: Url, most: u64) -> Self {
        Self { method: Method::GET, url, headers: Vec::new(), body: Bytes::new(), most: most.min(MOST_BYTES) }
    }

    pub(in crate::source) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// Adds what must not be shown.
    pub(in crate::source) fn authorized(mut self, value: Option<&HeaderValue>) -> Self {
        self.headers.extend(value.map(|value| (AUTHORIZATION, value.clone())));
        self
    }
}

/// Scheme, host and port: what credentials are good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::source) struct ServerOrigin(String, String, u16);

pub(in crate::source) fn origin(url: &Url) -> ServerOrigin {
    let host = url.host_str().unwrap_or_default().to_owned();
    ServerOrigin(url.scheme().to_owned(), host, url.port_or_known_default().unwrap_or_default())
}

/// Whether nobody but this machine can listen in.
pub(in crate::source) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    tls: Option<&'static str>,
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Sends requests, one after the other.
pub(in crate::source) struct HttpClient {
    tls: Arc<ClientConfig>,
    links: HashMap<ServerOrigin, HttpConnection>,
    clock: Clock,
    /// Whether plain http may be spoken with others than this machine.
    insecure: bool,
    /// How long a head may take to come, and a body to go on.
    answer: Duration,
    /// Whether a server of this machine that is silent on a hello of TLS is taken for one that speaks none.
    plain: bool,
}

impl HttpClient {
    pub(in crate::source) fn new(tls: Arc<ClientConfig>, clock: Clock, insecure: bool) -> Self {
        Self { tls, links: HashMap::new(), clock, insecure, answer: ANSWER, plain: false }
    }

    /// One that waits so long for an answer.
    pub(in crate::source) fn waiting(self, answer: Duration) -> Self {
        Self { answer, ..self }
    }

    /// One whose servers may speak plain http where they are on this machine.
    pub(in crate::source) fn or_plain(self, plain: bool) -> Self {
        Self { plain, ..self }
    }

    /// The version of TLS that is spoken with the host of `url`.
    pub(in crate::source) fn tls(&self, url: &Url) -> Option<&'static str> {
        self.links.get(&origin(url)).and_then(|link| link.tls)
    }

    /// Asks, and follows redirects. What identifies us goes to the origin that was asked and to no other.
    pub(in crate::source) async fn ask(
        &mut self,
        question: HttpRequest,
    ) -> Result<HttpResponse, RegistryFault> {
        let first = origin(&question.url);
        let mut question = question;
        for _ in 0..=MOST_REDIRECTS {
            let mut answer = self.ask_one(&question).await?;
            answer.strayed = origin(&question.url) != first;
            let leads_on = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308)
                && matches!(question.method, Method::GET | Method::HEAD);
            let Some(location) = answer.headers.get(LOCATION).filter(|_| leads_on) else { return Ok(answer) };
            let next = location.to_str().ok().and_then(|to| question.url.join(to).ok());
            let Some(next) = next.filter(|to| matches!(to.scheme(), "http" | "https")) else {
                return Err(RegistryFault::Nonsense("a redirect to no address".into()));
            };
            if question.url.scheme() == "https" && next.scheme() == "http" {
                return Err(RegistryFault::Nonsense("a redirect from https to http is not followed".into()));
            }
            if origin(&next) != origin(&question.url) {
                question.headers.retain(|(name, _)| *name != AUTHORIZATION);
            }
            question.url = next;
        }
        Err(RegistryFault::Nonsense(format!("more than {MOST_REDIRECTS} redirects")))
    }

    async fn ask_one(&mut self, question: &HttpRequest) -> Result<HttpResponse, RegistryFault> {
        let url = &question.url;
        if url.scheme() == "http" && !self.insecure && !is_loopback(url) {
            let host = url.host_str().unwrap_or_default();
            return Err(RegistryFault::Nonsense(format!(
                "plain http to {host}, which `insecure` would have to allow"
            )));
        }
        let at = authority(url);
        let key = origin(url);
        if let Some(link) = self.links.remove(&key)
            && !link.sender.is_closed()
        {
            match self.over(link, question).await {
                // An idle connection may be cut off at the moment that it is used.
                Err(RegistryFault::HungUp(..)) => {}
                other => return other,
            }
        }
        let link = timeout(DIAL, self.dial(url))
            .await
            .map_err(|_| RegistryFault::Unreachable(at, "no answer to the call in 10 s".into()))??;
        self.over(link, question).await
    }

    /// One question over a connection, which is kept where nothing went wrong on it.
    async fn over(
        &mut self,
        mut link: HttpConnection,
        question: &HttpRequest,
    ) -> Result<HttpResponse, RegistryFault> {
        let at = authority(&question.url);
        let request = request(question)?;
        let sent = self.clock.now();
        let asking = async {
            link.sender.ready().await?;
            link.sender.send_request(request).await
        };
        let response = match timeout(self.answer, asking).await {
            Err(_) => return Err(RegistryFault::Silent(at)),
            Ok(Err(error)) => return Err(broken(&error, &at)),
            Ok(Ok(response)) => response,
        };
        let headed = self.clock.now();
        let (status, headers) = (response.status(), response.headers().clone());
        let body =
            timeout(WHOLE, body(response, question.most, &at, self.answer)).await.map_err(|_| {
                RegistryFault::Nonsense(
                    "an answer that takes longer than 30 s: the way to it is too slow".into(),
                )
            })??;
        let body_took = self.clock.now().since(headed);
        self.links.insert(origin(&question.url), link);
        Ok(HttpResponse { status, headers, body, took: headed.since(sent), body_took, strayed: false })
    }

    async fn dial(&self, url: &Url) -> Result<HttpConnection, RegistryFault> {
        let at = authority(url);
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(RegistryFault::Nonsense("an address without a host".into())),
        };
        let port = url.port_or_known_default().unwrap_or(443);
        let addresses: Vec<_> = match tokio::net::lookup_host((host.as_str(), port)).await {
            Ok(addresses) => addresses.collect(),
            Err(_) => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(RegistryFault::NotResolved(host));
        }
        let stream = TcpStream::connect(&addresses[..]).await.map_err(|error| no_call(&error, &at))?;
        // A question is one small write; there is nothing to gather.
        let _ = stream.set_nodelay(true);
        if url.scheme() == "http" {
            return handshake(Box::new(stream), None, &at).await;
        }
        let name =
            ServerName::try_from(host).map_err(|_| RegistryFault::Tls(at.clone(), "no host name".into()))?;
        let connecting = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
        // Some that speak plain http wait for the end of a line, which a hello does not have.
        let or_plain = self.plain && is_loopback(url);
        let stream = match timeout(if or_plain { HELLO } else { self.answer }, connecting).await {
            Err(_) if or_plain => return Err(RegistryFault::NoTls(at)),
            Err(_) => return Err(RegistryFault::Silent(at)),
            Ok(Err(error)) => return Err(insecure(&error, &at)),
            Ok(Ok(stream)) => stream,
        };
        let version = match stream.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        };
        handshake(Box::new(stream), Some(version), &at).await
    }
}

async fn handshake(
    stream: Box<dyn Connection>,
    tls: Option<&'static str>,
    at: &str,
) -> Result<HttpConnection, RegistryFault> {
    let io = TokioIo::new(stream);
    let (sender, connection) = http1::handshake(io).await.map_err(|error| broken(&error, at))?;
    // How it ends is told by the request that was under way.
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok(HttpConnection { sender, driver, tls })
}

fn request(question: &HttpRequest) -> Result<Request<Full<Bytes>>, RegistryFault> {
    let url = &question.url;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut builder = Request::builder()
        .method(&question.method)
        .uri(path)
        .header(HOST, authority(url))
        .header(USER_AGENT, concat!("layertop/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &question.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(question.body.clone()))
        .map_err(|error| RegistryFault::Nonsense(format!("an address that can't be asked: {error}")))
}

/// Reads a body, frame by frame, so that a sender that stops is noticed, and one that goes on for ever too.
async fn body(
    response: Response<Incoming>,
    most: u64,
    at: &str,
    patience: Duration,
) -> Result<Vec<u8>, RegistryFault> {
    let mut body = response.into_body();
    let mut out = Vec::new();
    loop {
        let frame = match timeout(patience, body.frame()).await {
            Err(_) => return Err(RegistryFault::Silent(at.to_owned())),
            Ok(None) => return Ok(out),
            Ok(Some(frame)) => frame.map_err(|error| broken(&error, at))?,
        };
        if let Ok(data) = frame.into_data() {
            if out.len() as u64 + data.len() as u64 > most {
                return Err(RegistryFault::Nonsense(format!("an answer of more than {most} bytes")));
            }
            out.extend_from_slice(&data);
        }
    }
}

/// Host and port, as they are written in an address: no user information.
pub(in crate::source) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn no_call(error: &io::Error, at: &str) -> RegistryFault {
    use io::ErrorKind as Kind;
    let at = at.to_owned();
    match error.kind() {
        Kind::ConnectionRefused => RegistryFault::Refused(at),
        Kind::HostUnreachable | Kind::NetworkUnreachable => RegistryFault::Unreachable(at, "no route".into()),
        Kind::TimedOut => RegistryFault::Unreachable(at, "nobody takes the call".into()),
        Kind::ConnectionReset | Kind::ConnectionAborted => RegistryFault::HungUp(at, error.to_string()),
        _ => RegistryFault::Unreachable(at, error.to_string()),
    }
}

fn broken(error: &hyper::Error, at: &str) -> RegistryFault {
    if error.is_parse() {
        return RegistryFault::NotRegistry("it does not speak HTTP".into());
    }
    if error.is_timeout() {
        return RegistryFault::Silent(at.to_owned());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    RegistryFault::HungUp(at.to_owned(), cause.to_string())
}

fn insecure(error: &io::Error, at: &str) -> RegistryFault {
    use rustls::{CertificateError as Bad, Error as Tls};
    let at = at.to_owned();
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) else {
        // Who does not know what a hello is hangs up.
        return RegistryFault::NoTls(at);
    };
    let why = match tls {
        Tls::InvalidMessage(_) => return RegistryFault::NoTls(at),
        Tls::InvalidCertificate(Bad::UnknownIssuer) => return RegistryFault::Untrusted(at),
        Tls::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "its certificate has expired".into()
        }
        Tls::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "its certificate is not valid yet".into()
        }
        Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "its certificate is for another name".into()
        }
        other => other.to_string(),
    };
    RegistryFault::Tls(at, why)
}

/// How to be sure whom one speaks with: by the system's authorities and the one in `ca`.
pub(in crate::source) fn tls(ca: Option<&Path>) -> Result<Arc<ClientConfig>, RegistryFault> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        let bad = |why: String| RegistryFault::Authority(path.to_owned(), why);
        let read = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
        for certificate in read {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("it holds no certificate in PEM form".into()));
        }
    }
    let config = trust::trusting(roots).map_err(|error| RegistryFault::Settings(error.to_string()))?;
    Ok(Arc::new(config.with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_by_a_time() {
        let asked = |pairs: &[(HeaderName, &str)]| {
            let pairs = pairs.iter();
            let headers = pairs.map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
            retry_after(&headers.collect())
        };
        assert_eq!(asked(&[(RETRY_AFTER, " 120 ")]), Some(Duration::from_secs(120)));
        let now = (DATE, "Sun, 29 Nov 2026 23:00:00 GMT");
        let until = |text| asked(&[now.clone(), (RETRY_AFTER, text)]);
        assert_eq!(until("Sun, 29 Nov 2026 23:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(until("Sun, 29 Nov 2026 22:01:30 GMT"), None, "that is over");
        assert_eq!(until("soon"), None);
        assert_eq!(asked(&[(RETRY_AFTER, "Sun, 29 Nov 2026 23:01:30 GMT")]), None);
        assert_eq!(asked(&[]), None);
    }
}
