//! An OpenTelemetry collector: where the environment says it is, and how a trace gets there (OTLP over HTTP, as protobuf).
//!
//! The variables are those of OpenTelemetry's specification ("OpenTelemetry Protocol Exporter", "Environment Variable
//! Specification"): an empty one is as good as none, and one for traces comes before the one for all signals. Other than there
//! no address is the default: nothing is sent to where nobody said.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use prost::Message;
use tokio::time::{sleep, timeout};
use url::Url;

use super::registry::client::{self, HttpClient, HttpRequest, HttpResponse, authority};
use super::registry::fault::{self, RegistryFault};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::Text;

/// The variables, without `OTEL_EXPORTER_OTLP_` and `TRACES_`.
const PREFIX: &str = "OTEL_EXPORTER_OTLP_";
/// The variable of the authority's file.
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
/// Where traces go, below an address for all signals.
const PATH: &str = "v1/traces";
/// How long a sending may take where nothing is said, its repetitions among it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait before it is tried again; the following are twice as long each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest answer that is read.
const MOST_ANSWER: u64 = 1 << 20;
/// What is shown of an answer.
const LONGEST_WORDS: usize = 200;

/// Where traces go, and how.
#[derive(Clone)]
pub struct Collector {
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    patience: Duration,
    gzip: bool,
    ca: Option<PathBuf>,
}

/// What a collector that took a request says.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// What it did not take.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// What one that did not take it says: `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Collector {
    /// The collector that the environment names.
    ///
    /// # Errors
    /// Where it names none, or says what can't be.
    pub fn of(env: &BTreeMap<String, String>) -> Result<Self, Error> {
        let said = OtlpVariables(env);
        let (url, name) = said.url()?;
        if let Some((name, protocol)) = said.get("PROTOCOL").filter(|(_, value)| *value != "http/protobuf") {
            return Err(Error::usage(
                format!("{name} is `{protocol}`, and layertop speaks http/protobuf only"),
                format!(
                    "set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf, and in {name} of the address the port of HTTP, mostly 4318",
                    name = name.replace("PROTOCOL", "ENDPOINT")
                ),
            ));
        }
        for unknown in ["CLIENT_CERTIFICATE", "CLIENT_KEY"] {
            if let Some((name, _)) = said.get(unknown) {
                return Err(Error::usage(
                    format!("{name} is set, and layertop shows collectors no certificate of its own"),
                    "unset it, or send to a collector beside you which passes the trace on",
                ));
            }
        }
        let gzip = match said.get("COMPRESSION") {
            None | Some((_, "none")) => false,
            Some((_, "gzip")) => true,
            Some((name, other)) => {
                return Err(Error::usage(format!("{name} is `{other}`"), "write it as gzip or none"));
            }
        };
        let patience = match said.get("TIMEOUT") {
            None => PATIENCE,
            Some((name, text)) => text.trim().parse().map(Duration::from_millis).map_err(|_| {
                Error::usage(format!("{name} is `{text}`"), "write it as milliseconds: 10000")
            })?,
        };
        if url.cannot_be_a_base() || url.host().is_none() {
            return Err(bad_url(name, url.as_str(), "it names no host"));
        }
        let ca = said.get("CERTIFICATE").map(|(_, path)| PathBuf::from(path));
        Ok(Self { url, headers: said.headers()?, patience, gzip, ca })
    }

    /// Where it is, as a user may see it.
    pub fn place(&self) -> String {
        format!("{}://{}{}", self.url.scheme(), authority(&self.url), self.url.path())
    }

    /// Sends a request of so many spans, and again where the collector asks for that.
    ///
    /// # Errors
    /// Where it can't be reached, or does not take all of it.
    pub async fn send(&self, body: Vec<u8>, spans: usize) -> Result<(), Error> {
        let tls = client::tls(self.ca.as_deref()).map_err(|fault| self.refused(&fault))?;
        let mut client = HttpClient::new(tls, Clock::live(), true).waiting(self.patience);
        let question = self.question(body)?;
        let sending = async {
            let mut wait = FIRST_WAIT;
            loop {
                let answer = client.ask(question.clone()).await.map_err(|fault| self.refused(&fault))?;
                if !matches!(answer.status.as_u16(), 429 | 502 | 503 | 504) {
                    return self.judge(&answer, spans);
                }
                let asked =
                    answer.headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
                let pause = asked.map_or(wait, Duration::from_secs);
                if pause >= self.patience {
                    return self.judge(&answer, spans);
                }
                sleep(pause).await;
                wait *= 2;
            }
        };
        timeout(self.patience, sending).await.unwrap_or_else(|_| {
            Err(Error::unavailable(
                format!(
                    "the collector at {} did not take the trace in {} ms",
                    self.place(),
                    self.patience.as_millis()
                ),
                "see its log, or give it more time by OTEL_EXPORTER_OTLP_TIMEOUT",
            ))
        })
    }

    fn question(&self, body: Vec<u8>) -> Result<HttpRequest, Error> {
        let packed = if self.gzip {
            let mut writer = GzEncoder::new(Vec::new(), Compression::default());
            let done = writer.write_all(&body).and_then(|()| writer.finish());
            done.map_err(|error| Error::io("compress", "the trace", error))?
        } else {
            body
        };
        let mut question = HttpRequest::get(self.url.clone(), MOST_ANSWER);
        question.method = Method::POST;
        question.headers.clone_from(&self.headers);
        question.body = Bytes::from(packed);
        let question = question.with(CONTENT_TYPE, "application/x-protobuf");
        Ok(if self.gzip { question.with(CONTENT_ENCODING, "gzip") } else { question })
    }

    /// What an answer means.
    fn judge(&self, answer: &HttpResponse, spans: usize) -> Result<(), Error> {
        let place = self.place();
        if !answer.status.is_success() {
            let said = RpcStatus::decode(answer.body.as_slice()).map(|refusal| refusal.message);
            let said = said.unwrap_or_else(|_| String::from_utf8_lossy(&answer.body).into_owned());
            let said: String = Text::clean(said.trim()).as_str().chars().take(LONGEST_WORDS).collect();
            let said = if said.is_empty() { said } else { format!(": {said}") };
            let hint = match answer.status.as_u16() {
                401 | 403 => "give what it wants to know by OTEL_EXPORTER_OTLP_HEADERS",
                404 | 405 => {
                    "check the address: OTEL_EXPORTER_OTLP_ENDPOINT is used with /v1/traces behind it, \
                     OTEL_EXPORTER_OTLP_TRACES_ENDPOINT as it is"
                }
                _ => "see its log, and export again: it is the same trace then",
            };
            return Err(Error::unavailable(
                format!("the collector at {place} answered {}{said}", answer.status.as_u16()),
                hint,
            ));
        }
        let taken = ExportResponse::decode(answer.body.as_slice()).unwrap_or_default();
        match taken.partial_success.filter(|partial| partial.rejected_spans > 0) {
            None => Ok(()),
            Some(partial) => Err(Error::unavailable(
                format!(
                    "the collector at {place} did not take {} of {spans} spans: {}",
                    partial.rejected_spans,
                    Text::clean(&partial.error_message)
                ),
                "see its log",
            )),
        }
    }

    fn refused(&self, fault: &RegistryFault) -> Error {
        let why = match fault {
            RegistryFault::NotResolved(name) => format!("the name {name} has no address here"),
            RegistryFault::Refused(at) => format!("nothing listens at {at}"),
            RegistryFault::Unreachable(at, why) => format!("{at} can't be reached from here ({why})"),
            RegistryFault::NoTls(at) => format!("{at} speaks no TLS: write the address with http://"),
            RegistryFault::Tls(at, why) => format!("no secure connection to {at}: {why}"),
            RegistryFault::Untrusted(at) => fault::untrusted(at, CERTIFICATE),
            RegistryFault::Authority(path, why) => fault::authority(path, CERTIFICATE, why),
            RegistryFault::Silent(at) => format!("{at} takes the connection and does not answer"),
            RegistryFault::HungUp(at, why) => format!("{at} cut the connection off: {why}"),
            RegistryFault::NotRegistry(why) | RegistryFault::Nonsense(why) | RegistryFault::Settings(why) => {
                why.clone()
            }
            // What only a registry says.
            RegistryFault::Status(..)
            | RegistryFault::Busy(..)
            | RegistryFault::Broken(..)
            | RegistryFault::Credentials(_)
            | RegistryFault::Token(..) => "it does not answer".to_owned(),
        };
        Error::unavailable(
            format!("the trace can't be sent to {}: {why}", self.place()),
            "start the collector or check OTEL_EXPORTER_OTLP_ENDPOINT, or write a file: layertop export --format otlp --output FILE",
        )
    }
}

/// What the environment says.
struct OtlpVariables<'a>(&'a BTreeMap<String, String>);

impl<'a> OtlpVariables<'a> {
    /// The variable for traces, else the one for all signals, with its name.
    fn get(&self, name: &str) -> Option<(String, &'a str)> {
        [format!("{PREFIX}TRACES_{name}"), format!("{PREFIX}{name}")].into_iter().find_map(|full| {
            let value = self.0.get(&full).map(|value| value.trim()).filter(|value| !value.is_empty())?;
            Some((full, value))
        })
    }

    /// The address, and the variable that it is from.
    fn url(&self) -> Result<(Url, String), Error> {
        let Some((name, text)) = self.get("ENDPOINT") else {
            return Err(Error::usage(
                "nothing says where the trace is to be sent",
                "set OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318, or write a file: layertop export --format otlp --output FILE",
            ));
        };
        let mut url = Url::parse(text).map_err(|error| bad_url(name.clone(), text, &error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad_url(name, text, "it begins with neither http:// nor https://"));
        }
        if !name.contains("TRACES") {
            let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Ok((url, name))
    }

    /// `name=value,name=value`, the values with percent escapes. They may be secret: no error shows one.
    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
        let Some((name, text)) = self.get("HEADERS") else { return Ok(Vec::new()) };
        let mut headers = Vec::new();
        for (at, pair) in text.split(',').map(str::trim).enumerate().filter(|(_, pair)| !pair.is_empty()) {
            let header = pair.split_once('=').and_then(|(key, value)| {
                let value = decoded(value.trim());
                let mut value = HeaderValue::from_bytes(&value).ok()?;
                value.set_sensitive(true);
                Some((key.trim().parse::<HeaderName>().ok()?, value))
            });
            headers.push(header.ok_or_else(|| {
                Error::usage(
                    format!("the header number {} in {name} can't be read", at + 1),
                    "write it as name=value, several with commas between them, and %20 for a space",
                )
            })?);
        }
        Ok(headers)
    }
}

fn bad_url(name: impl AsRef<str>, text: &str, why: &str) -> Error {
    // An address may hold a password.
    let shown = if text.contains('@') { "the address" } else { text };
    Error::usage(
        format!("{} can't be used: {shown}: {why}", name.as_ref()),
        "write it as http://127.0.0.1:4318",
    )
}

/// Undoes percent escapes; what is none stays.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| str::from_utf8(two).ok());
        let byte = hex.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| *first == b'%');
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    out
}

/// The attributes of the resource: `OTEL_RESOURCE_ATTRIBUTES`, and `OTEL_SERVICE_NAME` before its `service.name`.
pub fn resource(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let text = env.get("OTEL_RESOURCE_ATTRIBUTES").map_or("", String::as_str);
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in text.split(',').filter_map(|pair| pair.split_once('=')) {
        let text = |part: &str| Text::clean(&String::from_utf8_lossy(&decoded(part.trim()))).to_string();
        let key = text(key);
        if !key.is_empty() {
            found.insert(key, text(value));
        }
    }
    if let Some(name) = env.get("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()) {
        found.insert("service.name".to_owned(), Text::clean(name).to_string());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn place(pairs: &[(&str, &str)]) -> Result<String, String> {
        Collector::of(&env(pairs)).map(|collector| collector.place()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_address_for_all_signals_is_a_base_and_the_one_for_traces_is_whole() {
        for (text, expected) in [
            ("http://a:4318", "http://a:4318/v1/traces"),
            ("http://a:4318/", "http://a:4318/v1/traces"),
            ("https://a/otel/", "https://a/otel/v1/traces"),
        ] {
            assert_eq!(place(&[("OTEL_EXPORTER_OTLP_ENDPOINT", text)]).unwrap(), expected);
        }
        let both = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://u:secret@b:1/x"),
        ];
        assert_eq!(place(&both).unwrap(), "http://b:1/x");
    }

    #[test]
    fn what_can_t_be_is_said_with_its_variable_and_no_secret() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a");
        for (pairs, expected) in [
            (vec![], "nothing says where"),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "")], "nothing says where"),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")], "neither http:// nor https://"),
            (vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "`grpc`"),
            (vec![endpoint, ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s")], "TRACES_TIMEOUT is `10s`"),
            (vec![endpoint, ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")], "COMPRESSION is `zstd`"),
            (vec![endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,topsecret")], "number 2"),
            (vec![endpoint, ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k")], "CLIENT_KEY is set"),
        ] {
            let error = place(&pairs).unwrap_err();
            assert!(error.contains(expected) && !error.contains("topsecret"), "{error}");
        }
    }

    #[test]
    fn headers_and_attributes_have_percent_escapes() {
        let said = env(&[("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20eDp5 , x-scope = a=b")]);
        let headers = OtlpVariables(&said).headers().unwrap();
        let text =
            |at: usize| (headers[at].0.as_str().to_owned(), headers[at].1.to_str().unwrap().to_owned());
        assert_eq!(text(0), ("authorization".into(), "Basic eDp5".into()));
        assert_eq!(text(1), ("x-scope".into(), "a=b".into()));
        let said = env(&[
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,host.name=ci%2C1,broken, =x"),
            ("OTEL_SERVICE_NAME", "b"),
        ]);
        assert_eq!(resource(&said), env(&[("service.name", "b"), ("host.name", "ci,1")]));
        assert_eq!(decoded("100%"), b"100%");
    }
}
