//! A conversation with one registry: its scheme, its challenge, our token.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::clock::Clock;
use crate::event::registry::{Auth, AuthMode};
use crate::event::{Text, Time};

use super::RegistrySettings;
use super::client::{self, HttpClient, HttpRequest, HttpResponse, authority, is_loopback, origin};
use super::credentials::{self, Credential};
use super::fault::RegistryFault;

/// The longest answer of a realm.
const MOST_TOKEN: u64 = 1 << 20;
/// How long a token without a term is good, by the distribution's specification.
const TERM: Duration = Duration::from_secs(60);
/// A token is given up this long before its end.
const MARGIN: Duration = Duration::from_secs(10);

/// How a registry asks for credentials (`WWW-Authenticate`).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// The header `Authorization`, and until when it is valid.
struct Authorization {
    value: HeaderValue,
    until: Option<Time>,
}

/// A session with a registry: its connection, credentials and token.
pub(super) struct RegistrySession {
    client: HttpClient,
    base: Url,
    /// Host and port, as docker knows it.
    host: String,
    scope: String,
    env: BTreeMap<String, String>,
    clock: Clock,
    /// Whether plain http may be tried where no TLS is spoken.
    plain_allowed: bool,
    insecure: bool,
    pass: Option<Authorization>,
    /// Whether docker's configuration has credentials, which does not say that they are taken.
    has_credentials: bool,
    auth: Option<Auth>,
    /// Bytes of bodies, and how long they took.
    read: (u64, Duration),
}

impl RegistrySession {
    pub(super) fn new(settings: &RegistrySettings, clock: Clock) -> Result<Self, RegistryFault> {
        let host = settings.registry.clone();
        let api = if matches!(host.as_str(), "docker.io" | "index.docker.io") {
            "registry-1.docker.io"
        } else {
            &host
        };
        let bad = |_| RegistryFault::NotResolved(format!("`{host}`"));
        let base = Url::parse(&format!("https://{api}/")).map_err(bad)?;
        let plain_allowed = settings.ca.is_none() && (settings.insecure || is_loopback(&base));
        Ok(Self {
            client: HttpClient::new(client::tls(settings.ca.as_deref())?, clock, settings.insecure)
                .or_plain(plain_allowed),
            base,
            scope: format!("repository:{}:pull", settings.repository),
            env: settings.env.clone(),
            clock,
            plain_allowed,
            insecure: settings.insecure,
            pass: None,
            has_credentials: false,
            auth: None,
            read: (0, Duration::ZERO),
            host,
        })
    }

    /// Where it is asked, as a user may see it.
    pub(super) fn url(&self) -> Text {
        Text::clean(&format!("{}://{}", self.base.scheme(), authority(&self.base)))
    }

    /// How it wants to be signed in to.
    pub(super) fn auth(&self) -> Option<&Auth> {
        self.auth.as_ref()
    }

    /// The version of TLS that is spoken.
    pub(super) fn tls(&self) -> Option<Text> {
        self.client.tls(&self.base).map(Text::clean)
    }

    /// Bytes a second of the bodies since the last call; none where they took too short a time to tell.
    pub(super) fn rate(&mut self) -> Option<f64> {
        let (bytes, took) = std::mem::take(&mut self.read);
        (took >= Duration::from_secs(2)).then(|| bytes as f64 / took.as_secs_f64())
    }

    /// The address of a path below `/v2/`.
    pub(super) fn at(&self, path: &str) -> Result<Url, RegistryFault> {
        self.base.join(&format!("/v2/{path}")).map_err(|error| RegistryFault::Nonsense(error.to_string()))
    }

    /// Asks `/v2/` without saying who we are, so that the time is that of one answer and no password travels for it.
    pub(super) async fn ping(&mut self) -> Result<HttpResponse, RegistryFault> {
        let url = self.at("")?;
        let answer = self.send(HttpRequest::get(url, MOST_TOKEN)).await;
        if matches!(
            answer,
            Err(RegistryFault::Refused(_) | RegistryFault::NotRegistry(_) | RegistryFault::HungUp(..))
        ) {
            self.forget_scheme();
        }
        let answer = answer?;
        match answer.status.as_u16() {
            200..=299 => self.auth = Some(Auth { mode: AuthMode::None, realm: None, signed_in: false }),
            401 => self.note(challenge(&answer.headers).as_ref()),
            400 | 404..=428 => self.forget_scheme(),
            _ => {}
        }
        Ok(answer)
    }

    /// What comes back at the same address may speak another scheme than what was there before.
    fn forget_scheme(&mut self) {
        let _ = self.base.set_scheme("https");
    }

    fn note(&mut self, challenge: Option<&Challenge>) {
        let signed_in = self.auth.as_ref().is_some_and(|auth| auth.signed_in);
        self.auth = challenge.map(|challenge| match challenge {
            Challenge::Basic => Auth { mode: AuthMode::Basic, realm: None, signed_in },
            Challenge::Bearer { realm, .. } => {
                // A realm may carry what is nobody's business.
                let shown = Url::parse(realm)
                    .map(|url| format!("{}://{}{}", url.scheme(), authority(&url), url.path()));
                let realm = Some(Text::clean(shown.as_deref().unwrap_or("no address")));
                Auth { mode: AuthMode::Bearer, realm, signed_in }
            }
        });
    }

    /// Asks for something of the repository, signing in where that is asked for.
    pub(super) async fn get(
        &mut self,
        mut question: HttpRequest,
        accept: &str,
    ) -> Result<HttpResponse, RegistryFault> {
        question = question.with(ACCEPT, accept);
        let mut signed = false;
        loop {
            let now = self.clock.now();
            if self.pass.as_ref().is_some_and(|pass| pass.until.is_some_and(|until| until <= now)) {
                self.pass = None;
            }
            let pass = self.pass.as_ref().map(|pass| pass.value.clone());
            let answer = self.send(question.clone().authorized(pass.as_ref())).await?;
            // Another origin's refusal is no question to us.
            if answer.status.as_u16() != 401 || answer.strayed {
                self.signed_in(self.has_credentials && pass.is_some());
                return Ok(answer);
            }
            self.signed_in(false);
            if signed {
                return Ok(answer);
            }
            let Some(asked) = challenge(&answer.headers) else { return Ok(answer) };
            self.note(Some(&asked));
            self.pass = self.sign_in(&asked).await?;
            if self.pass.is_none() {
                return Ok(answer);
            }
            signed = true;
        }
    }

    /// Notes whether it takes the credentials that there are.
    fn signed_in(&mut self, yes: bool) {
        if let Some(auth) = &mut self.auth {
            auth.signed_in = yes;
        }
    }

    /// Asks whether something is still as it was; `etag` is what it was.
    pub(super) fn unless(question: HttpRequest, etag: Option<&str>) -> HttpRequest {
        match etag {
            Some(etag) => question.with(IF_NONE_MATCH, etag),
            None => question,
        }
    }

    /// Asks in the scheme that the registry speaks. https comes first, as docker does it.
    async fn send(&mut self, mut question: HttpRequest) -> Result<HttpResponse, RegistryFault> {
        let mut here = question.url.clone();
        // Between http and https this can't fail: both have a host.
        let _ = here.set_scheme(self.base.scheme());
        let own = origin(&here) == origin(&self.base);
        if own {
            question.url = here;
        }
        let mut answer = self.client.ask(question.clone()).await;
        if own && self.plain_allowed && matches!(answer, Err(RegistryFault::NoTls(_))) {
            let _ = self.base.set_scheme("http");
            let _ = question.url.set_scheme("http");
            answer = self.client.ask(question).await;
        }
        if let Ok(answer) = &answer {
            self.read.0 += answer.body.len() as u64;
            self.read.1 += answer.body_took;
        }
        answer
    }

    async fn sign_in(&mut self, asked: &Challenge) -> Result<Option<Authorization>, RegistryFault> {
        let credential = credentials::find(&self.host, &self.env).await?;
        self.has_credentials = credential.is_some();
        let (realm, service) = match (asked, credential.as_ref()) {
            (_, Some(Credential::Token(token))) => {
                return Ok(
                    secret(&format!("Bearer {token}")).map(|value| Authorization { value, until: None })
                );
            }
            (Challenge::Basic, Some(Credential::Basic(user, password))) => {
                return Ok(basic(user, password).map(|value| Authorization { value, until: None }));
            }
            (Challenge::Basic, _) => return Ok(None),
            (Challenge::Bearer { realm, service }, _) => (realm, service),
        };
        let url = self.realm(realm)?;
        let at = format!("{}://{}", url.scheme(), authority(&url));
        let question = self.token_question(url, service.as_deref(), credential.as_ref());
        let answer = self.client.ask(question).await.map_err(|fault| {
            RegistryFault::Token(at.clone(), fault.message(&at, "the token").as_str().to_owned())
        })?;
        if let Some(busy) = answer.busy() {
            return Err(busy);
        }
        let status = answer.status.as_u16();
        if status != 200 {
            let why = match status {
                401 | 403 => {
                    format!("it does not take the credentials ({status}): docker login {}", self.host)
                }
                _ => format!("it answers {status}"),
            };
            return Err(RegistryFault::Token(at, why));
        }
        let token: TokenResponse = serde_json::from_slice(&answer.body)
            .map_err(|_| RegistryFault::Token(at.clone(), "it answers no token".into()))?;
        let text = if token.docker.is_empty() { &token.oauth } else { &token.docker };
        let value = secret(&format!("Bearer {text}")).filter(|_| !text.is_empty());
        let value = value.ok_or_else(|| RegistryFault::Token(at, "it answers no token".into()))?;
        let term = token.expires_in.map_or(TERM, Duration::from_secs);
        Ok(Some(Authorization { value, until: Some(self.clock.now().plus(term.saturating_sub(MARGIN))) }))
    }

    /// The realm's address, where what we send there stays between us and it.
    fn realm(&self, realm: &str) -> Result<Url, RegistryFault> {
        let refuse = |why: &str| RegistryFault::Token(realm.to_owned(), why.to_owned());
        let url = Url::parse(realm).map_err(|_| refuse("that is no address"))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.base.scheme() == "https" => {
                Err(refuse("an https registry's realm must be https; nothing was sent"))
            }
            "http" if self.insecure || is_loopback(&url) => Ok(url),
            _ => Err(refuse("a realm has to be https; nothing was sent")),
        }
    }

    fn token_question(
        &self,
        mut url: Url,
        service: Option<&str>,
        credential: Option<&Credential>,
    ) -> HttpRequest {
        if let Some(Credential::Identity(token)) = credential {
            let mut form = Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token");
            form.append_pair("client_id", "layertop").append_pair("scope", &self.scope);
            form.extend_pairs(service.map(|service| ("service", service)));
            form.append_pair("refresh_token", token);
            let mut question = HttpRequest::get(url, MOST_TOKEN);
            question = question.with(CONTENT_TYPE, "application/x-www-form-urlencoded");
            question.method = Method::POST;
            question.body = Bytes::from(form.finish());
            return question;
        }
        let mut pairs = url.query_pairs_mut();
        pairs.extend_pairs(service.map(|service| ("service", service)));
        pairs.append_pair("scope", &self.scope);
        drop(pairs);
        let value = match credential {
            Some(Credential::Basic(user, password)) => basic(user, password),
            _ => None,
        };
        HttpRequest::get(url, MOST_TOKEN).authorized(value.as_ref())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenResponse {
    #[serde(rename = "token")]
    docker: String,
    #[serde(rename = "access_token")]
    oauth: String,
    expires_in: Option<u64>,
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    secret(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What is asked for; a token rather than a password.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let all = || headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let of = |scheme: &str| {
        all().find_map(|value| {
            let (head, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
            head.eq_ignore_ascii_case(scheme).then(|| rest.to_owned())
        })
    };
    if let Some(rest) = of("Bearer")
        && let Some(realm) = parameter(&rest, "realm")
    {
        return Some(Challenge::Bearer { realm, service: parameter(&rest, "service") });
    }
    of("Basic").map(|_| Challenge::Basic)
}

/// The value of `name` in `realm="https://x",service="y"`, where quoted values may hold commas.
fn parameter(mut rest: &str, name: &str) -> Option<String> {
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',', '\t']);
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        challenge(&headers)
    }

    #[test]
    fn reads_challenges() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(Into::into) })
        };
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a,b""#;
        assert_eq!(asked(&[hub]), bearer("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(
            asked(&["Basic realm=x", r#"bearer scope="a,b=c", realm="https://y""#]),
            bearer("https://y", None)
        );
        assert_eq!(asked(&[r#"Basic realm="basic-realm""#]), Some(Challenge::Basic));
        for none in [&[][..], &["Bearer"], &["Bearer realm=\"x"], &["Digest realm=x"], &["="]] {
            assert_eq!(asked(none), None, "{none:?}");
        }
    }
}
