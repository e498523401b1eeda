//! What can be wrong with an API server, told apart and put into words.

use std::error::Error as _;
use std::io::ErrorKind;

use crate::event::cluster::{ApiState, MissingPart, MissingReason, SnapshotPart};

/// Why a request to the API server failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct ApiFault {
    /// The state that it stands for.
    pub(in crate::source) state: ApiState,
    /// The status of the answer; none where there was no answer.
    pub(in crate::source) code: Option<u16>,
    pub(in crate::source) detail: String,
}

impl ApiFault {
    pub(super) fn new(state: ApiState, detail: impl Into<String>) -> Self {
        Self { state, code: None, detail: detail.into() }
    }

    /// Nothing came back in time.
    pub(super) fn silent(server: &str, seconds: u64) -> Self {
        let detail = format!(
            "{server} takes the connection and does not answer in {seconds} s: the API server hangs or is stopped"
        );
        Self::new(ApiState::Silent, detail)
    }

    /// Why a question to `server` failed.
    pub(super) fn of(error: &kube::Error, server: &str) -> Self {
        match error {
            kube::Error::Api(status) => Self::status(status.code, &status.message, server),
            kube::Error::SerdeError(why) => Self::new(
                ApiState::NotKubernetes,
                format!("{server} answers what no API server would: {why}"),
            ),
            kube::Error::FromUtf8(_) => {
                Self::new(ApiState::NotKubernetes, format!("{server} answers what no API server would"))
            }
            kube::Error::Auth(why) => Self::new(
                ApiState::BadConfig,
                format!("the credentials of the kubeconfig can't be used: {why}"),
            ),
            kube::Error::RustlsTls(why) => Self::new(
                ApiState::BadConfig,
                format!("the certificates of the kubeconfig can't be used: {why}"),
            ),
            kube::Error::ProxyProtocolUnsupported { proxy_url } => {
                // The address may hold a password.
                let scheme = proxy_url.scheme_str().unwrap_or("this kind");
                Self::new(ApiState::BadConfig, format!("a proxy that speaks {scheme} is not supported"))
            }
            other => transport(other, server),
        }
    }

    fn status(code: u16, message: &str, server: &str) -> Self {
        let message = message.trim();
        let (state, detail) = match code {
            401 => (
                ApiState::Unauthorized,
                format!("{server} does not take these credentials (401): sign in again"),
            ),
            403 => (ApiState::Forbidden, message.to_owned()),
            404 | 405 => (ApiState::NotKubernetes, format!("{server} does not have it ({code}): {message}")),
            429 => (ApiState::Failing, format!("{server} has had too many requests (429)")),
            _ => {
                (ApiState::Failing, format!("{server} answers with an error of its own ({code}): {message}"))
            }
        };
        Self { state, code: Some(code), detail }
    }

    /// The resource version that was to be continued from is too old.
    pub(super) fn is_gone(&self) -> bool {
        self.code == Some(410)
    }

    /// What it means for a part of the snapshot; none where it is not about that part.
    pub(super) fn missing(&self, part: SnapshotPart, name: &str) -> Option<MissingPart> {
        let (lack, reason) = match self.code {
            Some(403) => (MissingReason::Forbidden, format!("{name}: {}", forbidden(&self.detail))),
            Some(404) => (MissingReason::Absent, format!("{name}: the cluster does not have it")),
            Some(401) | None if self.state != ApiState::NotKubernetes => return None,
            _ => (MissingReason::Failing, format!("{name}: {}", self.detail)),
        };
        Some(MissingPart { part, lack, reason: reason.into() })
    }
}

/// `nodes is forbidden: User "a" cannot list …`: the resource is said already.
fn forbidden(detail: &str) -> String {
    let rest = detail.split_once("is forbidden: ").map_or(detail, |(_, rest)| rest);
    format!("forbidden: {rest}")
}

/// There was no answer. The reason is the innermost error that is known.
fn transport(error: &kube::Error, server: &str) -> ApiFault {
    let mut cause = error.source();
    let mut last = error.to_string();
    while let Some(error) = cause {
        last = error.to_string();
        if let Some(auth) = error.downcast_ref::<kube::client::AuthError>() {
            return ApiFault::new(
                ApiState::BadConfig,
                format!("the credentials of the kubeconfig can't be used: {auth}"),
            );
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return ApiFault::new(ApiState::Tls, format!("no secure connection to {server}: {tls}"));
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if let Some(tls) = tls_within(io) {
                return ApiFault::new(ApiState::Tls, format!("no secure connection to {server}: {tls}"));
            }
            if let Some(fault) = of_io(io, server) {
                return fault;
            }
        }
        if last.starts_with("dns error") || last.contains("failed to lookup address") {
            return ApiFault::new(
                ApiState::NotResolved,
                format!("the name of {server} has no address here: check the DNS"),
            );
        }
        cause = error.source();
    }
    ApiFault::new(ApiState::Unreachable, format!("{server} can't be asked: {last}"))
}

/// rustls' own errors are wrapped in those of input and output, and these in others of their kind.
fn tls_within(io: &std::io::Error) -> Option<&rustls::Error> {
    let inner = io.get_ref()?;
    inner.downcast_ref().or_else(|| tls_within(inner.downcast_ref()?))
}

fn of_io(io: &std::io::Error, server: &str) -> Option<ApiFault> {
    let (state, detail) = match io.kind() {
        ErrorKind::ConnectionRefused => {
            (ApiState::Unreachable, format!("nothing listens at {server}: the API server is down"))
        }
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            (ApiState::Unreachable, format!("{server} can't be reached from here ({io}): check the network"))
        }
        ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionAborted => {
            (ApiState::Unreachable, format!("{server} cut the connection off ({io})"))
        }
        _ => return None,
    };
    Some(ApiFault::new(state, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart() {
        let of = |code, message| ApiFault::status(code, message, "https://a:1");
        assert_eq!(of(401, "Unauthorized").state, ApiState::Unauthorized);
        assert_eq!(of(503, "x").state, ApiState::Failing);
        assert!(of(410, "too old resource version").is_gone());
        let refused = of(403, r#"nodes is forbidden: User "nobody" cannot list resource "nodes""#);
        let missing = refused.missing(SnapshotPart::Nodes, "nodes").unwrap();
        assert_eq!(missing.lack, MissingReason::Forbidden);
        assert_eq!(
            missing.reason.as_str(),
            r#"nodes: forbidden: User "nobody" cannot list resource "nodes""#
        );
        assert_eq!(of(404, "").missing(SnapshotPart::Usage, "usage").unwrap().lack, MissingReason::Absent);
        assert_eq!(of(401, "").missing(SnapshotPart::Nodes, "nodes"), None, "that is about the whole server");
        assert_eq!(ApiFault::silent("a", 2).missing(SnapshotPart::Nodes, "nodes"), None);
    }
}
