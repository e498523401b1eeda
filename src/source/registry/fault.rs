//! What can be wrong with a registry, told apart and put into words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::event::Text;
use crate::event::registry::RegistryState;

use super::client::ANSWER;

/// A registry that wants to be left alone is, but for no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Why a request to a registry failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum RegistryFault {
    /// The name of a host has no address.
    NotResolved(String),
    /// No process listens on the port.
    Refused(String),
    /// No route, or nobody takes the call.
    Unreachable(String, String),
    /// What answers speaks no TLS.
    NoTls(String),
    /// No secure connection: the certificate, the versions.
    Tls(String, String),
    /// A certificate that no known authority has signed.
    Untrusted(String),
    /// Connected, and then nothing.
    Silent(String),
    /// Connected, and then cut off.
    HungUp(String, String),
    /// It does not speak HTTP, or not that of a registry.
    NotRegistry(String),
    /// It is asked too often, or not ready (429, 503), and for how long it is to be left alone, where it says so.
    Busy(u16, Option<Duration>),
    /// The tag that is built can't be read.
    Broken(String, String),
    /// An answer with a status that is none of success, and what its body says.
    Status(u16, String),
    /// The credentials can't be had: a helper that fails.
    Credentials(String),
    /// No token, from a realm.
    Token(String, String),
    /// An answer that is not followed or not read: too large, a redirect that must not be followed, no JSON.
    Nonsense(String),
    /// The file of an authority's certificate can't be used, and why.
    Authority(PathBuf, String),
    /// The configuration can't be used.
    Settings(String),
}

impl RegistryFault {
    /// The state that it stands for.
    pub(super) fn state(&self) -> RegistryState {
        match self {
            Self::NotResolved(_) => RegistryState::NotResolved,
            Self::Refused(_) => RegistryState::Down,
            Self::Unreachable(..) => RegistryState::Unreachable,
            Self::NoTls(_) | Self::Tls(..) | Self::Untrusted(_) | Self::Authority(..) | Self::Settings(_) => {
                RegistryState::Tls
            }
            Self::Silent(_) | Self::HungUp(..) => RegistryState::Silent,
            Self::NotRegistry(_) => RegistryState::NotRegistry,
            Self::Status(401, _) | Self::Credentials(_) | Self::Token(..) => RegistryState::Unauthorized,
            Self::Status(403, _) => RegistryState::Forbidden,
            Self::Status(404, _) => RegistryState::NoRepository,
            Self::Status(..) | Self::Nonsense(_) | Self::Busy(..) | Self::Broken(..) => {
                RegistryState::Failing
            }
        }
    }

    /// For how long it asks to be left alone; zero where it does not.
    pub(super) fn wait(&self) -> Duration {
        if let Self::Busy(_, Some(wait)) = self { (*wait).min(LONGEST_WAIT) } else { Duration::ZERO }
    }

    /// One sentence: cause, value, and what to do. `host` is the registry's, as docker knows it.
    pub(super) fn message(&self, host: &str, repository: &str) -> Text {
        let message = match self {
            Self::NotResolved(name) => {
                format!("the name {name} has no address here: check `registry` and the DNS")
            }
            Self::Refused(at) => format!("nothing listens at {at}: the registry is down"),
            Self::Unreachable(at, why) => {
                format!("{at} can't be reached from here ({why}): check the network, or forward a port")
            }
            Self::NoTls(at) => {
                format!("{at} speaks no TLS: if it is meant to be plain http, allow that with `insecure`")
            }
            Self::Tls(at, why) => format!("no secure connection to {at}: {why}"),
            Self::Untrusted(at) => untrusted(at, "`ca`"),
            Self::Silent(at) => {
                format!(
                    "{at} takes the connection but does not answer in {} s: the process hangs or is stopped",
                    ANSWER.as_secs()
                )
            }
            Self::HungUp(at, why) => format!("{at} cut the connection off: {why}"),
            Self::NotRegistry(why) => format!("what answers at {host} is no registry: {why}"),
            Self::Status(401, why) => {
                format!("{host} does not let us read {repository} (401{}): docker login {host}", tail(why))
            }
            Self::Status(403, why) => {
                format!("{host} refuses this account {repository} (403{}): ask for access", tail(why))
            }
            Self::Status(404, _) => {
                format!("{host} has no repository {repository} yet: the first push makes it")
            }
            Self::Busy(429, None) => format!("{host} has had too many requests from here (429): wait"),
            Self::Busy(429, Some(wait)) => {
                format!(
                    "{host} has had too many requests from here (429) and asks to wait {}",
                    wait_text(*wait)
                )
            }
            Self::Busy(code, Some(wait)) => {
                format!("{host} is not ready ({code}) and asks to come back in {}", wait_text(*wait))
            }
            Self::Busy(code, None) => {
                format!("{host} answers with an error of its own ({code}): see its log")
            }
            Self::Broken(tag, why) => format!("the tag {tag} in {host} can't be read: {why}: push it again"),
            Self::Status(code, why) => {
                format!("{host} answers with an error of its own ({code}{}): see its log", tail(why))
            }
            Self::Credentials(why) => format!("the credentials for {host} can't be had: {why}"),
            Self::Token(realm, why) => format!("no token for {repository} from {realm}: {why}"),
            Self::Nonsense(why) => format!("{host} answers what can't be used: {why}"),
            Self::Authority(path, why) => authority(path, "`ca`", why),
            Self::Settings(why) => why.clone(),
        };
        Text::clean(&message)
    }
}

/// A certificate that no known authority has signed; `setting` is where the user gives the authority's file.
pub(in crate::source) fn untrusted(at: &str, setting: &str) -> String {
    format!(
        "no secure connection to {at}: no authority that is trusted here has signed its certificate: \
         give the authority's file as {setting}"
    )
}

/// A file of an authority's certificate that can't be used; `setting` is where the user gives it.
pub(in crate::source) fn authority(path: &Path, setting: &str, why: &str) -> String {
    format!("can't use the authority's file {} ({setting}): {why}", path.display())
}

/// `1m 30s`, in whole seconds.
fn wait_text(wait: Duration) -> String {
    humantime::format_duration(Duration::from_secs(wait.as_secs())).to_string()
}

fn tail(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(", {why}") }
}
