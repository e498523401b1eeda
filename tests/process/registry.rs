//! The registry as layertop sees it: real registries that are well, locked, stopped, hanging, slow and back again. What
//! Debian's docker-registry can't be made to do, such as pages of tags and redirects, is answered by a script.

mod skopeo;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use layertop::clock::Clock;
use layertop::event::registry::{
    AuthMode, CacheKind, CacheState, RegistrySnapshot as Seen, RegistryState, TagChangeKind,
};
use layertop::event::{Event, Platform, Stamped, Time};
use layertop::model::Model;
use layertop::source::registry::{RegistrySettings, once, run};
use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{self, Receiver};

use crate::support::server::{HTPASSWD, Registry, Script, answer, certificates, docker_config, slow_proxy};
use crate::support::testbed::{Engine, For};
use crate::support::{content, server};

const IMAGE: &str = "montage-ai";
const HTPASSWD_AUTH: &str = "auth: {htpasswd: {realm: test, path: FILE}}\n";

/// A quick pace; nothing is slow, for the machine may be.
fn settings(address: &str) -> RegistrySettings {
    RegistrySettings {
        tag: Some("my-feature".into()),
        cache: Some("buildcache".into()),
        every: Duration::from_millis(50),
        look_every: Duration::from_millis(100),
        slow: Duration::from_secs(60),
        ..RegistrySettings::new(address, IMAGE)
    }
}

async fn look(settings: &RegistrySettings) -> Seen {
    once(settings.clone(), Clock::live()).await
}

/// The actor, and the model that it tells.
struct Watch {
    told: Receiver<Vec<Stamped>>,
    model: Model,
}

impl Watch {
    fn new(settings: RegistrySettings) -> Self {
        let (tx, told) = mpsc::channel(4);
        tokio::spawn(run(settings, Clock::live(), tx));
        Self { told, model: Model::default() }
    }

    /// Waits until what is seen is as it should be.
    async fn until(&mut self, what: &str, good: impl Fn(&Seen) -> bool) -> Seen {
        let waiting = async {
            loop {
                let events = self.told.recv().await.expect("it never ends by itself");
                self.model.apply_all(&events);
                let Event::Registry(seen) = &events[0].event else { panic!("{events:?}") };
                if good(seen) {
                    return (**seen).clone();
                }
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(60), waiting).await.ok();
        seen.unwrap_or_else(|| panic!("never {what}; last was {:#?}", self.model.registry().newest()))
    }

    async fn state(&mut self, state: RegistryState) -> Seen {
        self.until(&format!("{state:?}"), |seen| seen.state == state).await
    }
}

/// An image of two platforms, one of them with a layer that the cache has not, and older ones.
fn fill(registry: &Registry) {
    let part = |architecture, content: &[&str]| {
        content::image(registry, IMAGE, None, architecture, "2026-11-22T11:00:00Z", content)
    };
    let parts = vec![part("amd64", &["base", "amd"]), part("arm64", &["base", "arm", "not cached"])];
    content::index(registry, IMAGE, "my-feature", parts);
    content::image(registry, IMAGE, Some("old"), "amd64", "2025-01-01T00:00:00Z", &["base"]);
    content::image(registry, IMAGE, Some("newer"), "amd64", "2026-11-22T11:30:00Z", &["base", "amd"]);
    content::cache(registry, IMAGE, "buildcache", false, 7374, &["base", "amd", "arm"]);
}

#[tokio::test]
async fn a_registry_shows_its_image_and_its_cache() {
    if server::is_missing() {
        return;
    }
    let registry = Registry::open();
    fill(&registry);
    let seen = look(&settings(&registry.address())).await;
    assert_eq!((seen.state, seen.reason.as_str()), (RegistryState::Ok, ""));
    assert_eq!(seen.url.as_str(), format!("http://{}", registry.address()));
    assert_eq!(seen.auth.as_ref().unwrap().mode, AuthMode::None);
    assert_eq!(seen.api_version.as_ref().unwrap().as_str(), "registry/2.0");
    assert_eq!((seen.tls, seen.latency.unwrap().samples), (None, 3));

    let tags = seen.tags.unwrap();
    assert_eq!((tags.total, tags.more, tags.opened), (4, false, 4));
    let names: Vec<&str> = tags.list.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["my-feature", "buildcache", "newer", "old"], "the one being built, then the newest");
    let built = &tags.list[0];
    assert!(built.building && !built.cache && tags.list[1].cache);
    assert_eq!(built.platforms, Platform::parse_list("linux/amd64,linux/arm64"));
    assert_eq!(built.created, Time::parse("2026-11-22T11:00:00Z"));

    let cache = seen.cache.unwrap();
    assert_eq!((cache.state, cache.kind), (CacheState::Present, Some(CacheKind::ImageManifest)));
    assert_eq!((cache.blobs, cache.bytes, cache.config_bytes), (3, 10, 7374));
    assert_eq!(cache.newest, Time::parse("2026-11-22T11:59:00.5Z"));
    assert_eq!(cache.oldest, Time::parse("2026-11-22T11:57:00.5Z"));
    let held: Vec<_> = cache.platforms.iter().map(|p| (p.platform.as_str(), p.held, p.layers)).collect();
    assert_eq!(held, [("linux/amd64", 2, 2), ("linux/arm64", 2, 3)]);
    assert_eq!(cache.image.unwrap().as_str(), "my-feature", "what it holds most of");
}

#[tokio::test]
async fn what_changes_between_looks_is_told() {
    if server::is_missing() {
        return;
    }
    let registry = Registry::open();
    fill(&registry);
    let mut watch = Watch::new(settings(&registry.address()));
    let all = |seen: &Seen| seen.tags.as_ref().is_some_and(|tags| tags.opened == 4);
    let first = watch.until("looked", all).await;
    assert_eq!(first.changes, []);
    content::cache(&registry, IMAGE, "buildcache", true, 2 << 20, &["base", "arm", "a new layer"]);
    content::image(&registry, IMAGE, Some("old"), "amd64", "2026-01-01T00:00:00Z", &["base"]);
    content::image(&registry, IMAGE, Some("release"), "amd64", "2026-01-01T00:00:00Z", &["amd"]);
    let seen = watch.until("three changes", |seen| seen.changes.len() == 3).await;
    let changed = |tag: &str| seen.changes.iter().find(|change| change.tag.as_str() == tag).unwrap();
    let cache = changed("buildcache");
    assert_eq!((cache.what, cache.bytes), (TagChangeKind::CacheReplaced, Some(8)));
    assert_eq!((cache.added, cache.removed), (1, 1));
    assert_eq!(changed("old").what, TagChangeKind::Moved);
    assert_eq!(changed("release").what, TagChangeKind::Added);
    let cache = seen.cache.unwrap();
    assert_eq!((cache.state, cache.kind), (CacheState::TooLarge, Some(CacheKind::Index)));
    assert!(cache.reason.as_str().contains("1048576"), "{}", cache.reason);
    assert!(watch.model.registry().pings().len() > 1);
    let sizes: Vec<u64> = watch.model.registry().cache_sizes().map(|(_, bytes)| bytes).collect();
    assert_eq!(sizes, [10, 18]);
}

#[tokio::test]
async fn before_the_first_push_there_is_nothing_and_that_is_well() {
    if server::is_missing() {
        return;
    }
    let registry = Registry::open();
    let seen = look(&settings(&registry.address())).await;
    assert_eq!(seen.state, RegistryState::NoRepository);
    assert!(seen.state.is_well() && seen.reason.as_str().contains(IMAGE));
    assert_eq!(seen.cache.unwrap().state, CacheState::Absent);
    content::image(&registry, IMAGE, Some("buildcache"), "amd64", "2026-11-22T11:00:00Z", &["base"]);
    let seen = look(&settings(&registry.address())).await;
    assert_eq!((seen.state, seen.cache.unwrap().state), (RegistryState::Ok, CacheState::NotCache));
}

/// Credentials in each of docker's ways. What the helper is asked goes by its standard input.
#[rstest]
#[case("{}", None, "docker login")]
#[case("not json", None, "config.json")]
#[case(r#"{"auths": {"HOST": {"auth": "AUTH"}}}"#, Some("user:secret"), "")]
#[case(r#"{"auths": {"https://HOST": {"username": "user", "password": "secret"}}}"#, None, "")]
#[case(r#"{"auths": {"HOST": {"auth": "AUTH"}}}"#, Some("user:wrong"), "docker login")]
#[case(r#"{"credHelpers": {"HOST": "test"}}"#, None, "")]
#[case(r#"{"credsStore": "test"}"#, None, "")]
#[case(r#"{"credsStore": "none"}"#, None, "docker-credential-none can't be run")]
#[case(r#"{"credsStore": "../test"}"#, None, "no name of a credential helper")]
#[tokio::test]
async fn a_locked_registry_takes_dockers_credentials(
    #[case] config: &str,
    #[case] pair: Option<&str>,
    #[case] reason: &str,
) {
    if server::is_missing() {
        return;
    }
    let folder = Arc::new(TempDir::new().unwrap());
    fill(&Registry::on(Arc::clone(&folder), "", ""));
    let file = folder.path().join("htpasswd");
    fs::write(&file, HTPASSWD).unwrap();
    let auth = HTPASSWD_AUTH.replace("FILE", &file.display().to_string());
    let registry = Registry::on(Arc::clone(&folder), "", &auth);
    let helper = folder.path().join("docker-credential-test");
    let script = format!(
        "#!/bin/sh\nread -r asked || :\n[ \"$1 $asked\" = 'get {}' ] || {{ echo 'credentials not found in native keychain'; \
         exit 1; }}\necho '{{\"ServerURL\": \"x\", \"Username\": \"user\", \"Secret\": \"secret\"}}'\n",
        registry.address()
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o700)).unwrap();
    let config = config.replace("HOST", &registry.address());
    let config = config.replace("AUTH", &STANDARD.encode(pair.unwrap_or_default()));
    let env = docker_config(folder.path(), &config);
    let seen = look(&RegistrySettings { env, ..settings(&registry.address()) }).await;
    let expected = if reason.is_empty() { RegistryState::Ok } else { RegistryState::Unauthorized };
    assert_eq!(seen.state, expected, "{}", seen.reason);
    assert!(seen.reason.as_str().contains(reason), "{}", seen.reason);
    assert_eq!(seen.auth.as_ref().unwrap().mode, AuthMode::Basic);
    assert_eq!(seen.tags.is_some(), reason.is_empty());
    assert!(!format!("{seen:?}").contains("secret"));
}

#[tokio::test]
async fn a_certificate_counts_where_its_authority_is_given() {
    if server::is_missing() {
        return;
    }
    let folder = Arc::new(TempDir::new().unwrap());
    certificates(folder.path());
    fill(&Registry::on(Arc::clone(&folder), "", ""));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let tls = format!("  tls: {{certificate: {}, key: {}}}\n", at("cert.pem"), at("key.pem"));
    let registry = Registry::on(Arc::clone(&folder), &tls, "");

    let seen = look(&settings(&registry.address())).await;
    assert_eq!(seen.state, RegistryState::Tls);
    assert!(seen.reason.as_str().contains("`ca`"), "{}", seen.reason);

    let ca = Some(folder.path().join("ca.pem"));
    let seen = look(&RegistrySettings { ca: ca.clone(), ..settings(&registry.address()) }).await;
    assert_eq!((seen.state, seen.reason.as_str()), (RegistryState::Ok, ""));
    assert_eq!(seen.tls.unwrap().as_str(), "TLS 1.3");
    assert_eq!(seen.url.as_str(), format!("https://{}", registry.address()));
    assert_eq!(seen.tags.unwrap().total, 4);

    let named = format!("localhost:{}", registry.port);
    let seen = look(&RegistrySettings { ca: ca.clone(), ..settings(&named) }).await;
    assert!(seen.reason.as_str().contains("another name"), "{}", seen.reason);

    // An authority means TLS: a registry that speaks none is no longer good enough.
    let plain = Registry::on(Arc::clone(&folder), "", "");
    let seen = look(&RegistrySettings { ca, ..settings(&plain.address()) }).await;
    assert_eq!(seen.state, RegistryState::Tls);
    assert!(seen.reason.as_str().contains("no TLS"), "{}", seen.reason);

    let ca = Some(folder.path().join("htpasswd"));
    let seen = look(&RegistrySettings { ca, ..settings(&plain.address()) }).await;
    assert!(seen.reason.as_str().contains("htpasswd"), "{}", seen.reason);
}

/// A realm as Docker Hub has one, for a real registry that checks what it signs. It trades an identity token too.
fn realm(folder: &TempDir) -> Script {
    let at = |name: &str| folder.path().join(name);
    let certificate = fs::read_to_string(at("cert.pem")).unwrap();
    let certificate: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let key = at("key.pem");
    let now = Clock::live().now().micros() / 1_000_000;
    let user = format!("authorization: Basic {}", STANDARD.encode("user:secret"));
    Script::new(move |_, head| {
        let lower = head.to_lowercase();
        let signed_in = head.starts_with("POST") || lower.contains(&user.to_lowercase());
        let access = json!([{"type": "repository", "name": IMAGE, "actions": ["pull"]}]);
        let claims = json!({"iss": "realm", "sub": "user", "aud": "registry", "exp": now + 600, "nbf": now - 60,
            "iat": now, "jti": "1", "access": if signed_in { access } else { json!([]) }});
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [certificate]});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let key = key.display().to_string();
        let signature = server::run("openssl", &["dgst", "-sha256", "-sign", &key], signed.as_bytes());
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let name = if head.starts_with("POST") { "access_token" } else { "token" };
        answer(
            200,
            "Content-Type: application/json\r\n",
            &json!({name: token, "expires_in": 300}).to_string(),
        )
    })
}

#[tokio::test]
async fn a_realm_hands_out_tokens() {
    if server::is_missing() {
        return;
    }
    let folder = Arc::new(TempDir::new().unwrap());
    certificates(folder.path());
    fill(&Registry::on(Arc::clone(&folder), "", ""));
    let realm = realm(&folder);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let auth = format!(
        "auth: {{token: {{realm: \"http://{}/token\", service: registry, issuer: realm, rootcertbundle: {}}}}}\n",
        realm.address(),
        at("ca.pem")
    );
    let registry = Registry::on(Arc::clone(&folder), "", &auth);
    let address = registry.address();
    // Nobody in particular gets a token that is good for nothing.
    let seen = look(&settings(&address)).await;
    assert_eq!(seen.state, RegistryState::Unauthorized, "{}", seen.reason);
    let auth = seen.auth.unwrap();
    assert_eq!((auth.mode, auth.signed_in), (AuthMode::Bearer, false));
    assert_eq!(auth.realm.unwrap().as_str(), format!("http://{}/token", realm.address()));
    assert!(realm.heads()[0].contains("scope=repository%3Amontage-ai%3Apull"), "{}", realm.heads()[0]);
    for entry in [json!({"auth": STANDARD.encode("user:secret")}), json!({"identitytoken": "abc"})] {
        let env = docker_config(folder.path(), &json!({"auths": {&address: entry}}).to_string());
        let before = realm.heads().len();
        let seen = look(&RegistrySettings { env, ..settings(&address) }).await;
        assert_eq!(seen.state, RegistryState::Ok, "{}", seen.reason);
        assert!(seen.auth.unwrap().signed_in);
        assert_eq!(
            (seen.tags.unwrap().total, realm.heads().len() - before),
            (4, 1),
            "one token serves for all"
        );
    }

    // An https registry that sends us to a plain realm gets nothing, and the realm is not even asked.
    let tls = format!("  tls: {{certificate: {}, key: {}}}\n", at("cert.pem"), at("key.pem"));
    let auth = format!(
        "auth: {{token: {{realm: \"http://{}/token\", service: registry, issuer: realm, rootcertbundle: {}}}}}\n",
        realm.address(),
        at("ca.pem")
    );
    let registry = Registry::on(Arc::clone(&folder), &tls, &auth);
    let before = realm.heads().len();
    let ca = Some(folder.path().join("ca.pem"));
    let seen = look(&RegistrySettings { ca, ..settings(&registry.address()) }).await;
    assert_eq!(seen.state, RegistryState::Unauthorized);
    assert!(seen.reason.as_str().contains("must be https"), "{}", seen.reason);
    assert_eq!(realm.heads().len(), before);
}

#[tokio::test]
async fn a_registry_that_goes_and_comes_back_is_seen_to() {
    if server::is_missing() {
        return;
    }
    let mut registry = Registry::open();
    fill(&registry);
    let mut watch = Watch::new(settings(&registry.address()));
    let all = |seen: &Seen| seen.tags.as_ref().is_some_and(|tags| tags.opened == 4);
    watch.until("looked", all).await;

    registry.stop();
    let seen = watch.state(RegistryState::Down).await;
    assert!(seen.reason.as_str().contains("nothing listens"), "{}", seen.reason);
    assert!(all(&seen) && seen.cache.unwrap().blobs == 3, "what was seen stays");
    assert!(watch.model.registry().is_stale(Clock::live().now()));
    registry.restart();
    watch.state(RegistryState::Ok).await;
    assert!(!watch.model.registry().is_stale(watch.model.registry().newest().unwrap().asked));

    registry.signal(Signal::SIGSTOP);
    let seen = watch.state(RegistryState::Silent).await;
    assert!(seen.reason.as_str().contains("does not answer"), "{}", seen.reason);
    registry.signal(Signal::SIGCONT);
    watch.state(RegistryState::Ok).await;

    // Who no longer listens is let go while the registry hangs.
    registry.signal(Signal::SIGSTOP);
    let (tx, told) = mpsc::channel(1);
    let running = tokio::spawn(run(settings(&registry.address()), Clock::live(), tx));
    tokio::task::yield_now().await;
    drop(told);
    // It would take 10 s to find out that nobody answers.
    let let_go = tokio::time::timeout(Duration::from_secs(9), running).await;
    let_go.expect("nobody is waited for").unwrap();
}

#[tokio::test]
async fn a_slow_way_is_told_from_a_registry_that_is_not_there() {
    if server::is_missing() {
        return;
    }
    let registry = Registry::open();
    fill(&registry);
    let port = slow_proxy(registry.port, 1000);
    let slow = RegistrySettings { slow: Duration::from_millis(50), ..settings(&format!("127.0.0.1:{port}")) };
    let seen = Watch::new(slow).state(RegistryState::Slow).await;
    assert!(seen.reason.as_str().contains("to answer"), "{}", seen.reason);
    // Short answers in time, long ones at 1 KB/s.
    let patient = Watch::new(settings(&format!("127.0.0.1:{port}"))).state(RegistryState::Slow).await;
    assert!(patient.reason.as_str().contains("KiB a second"), "{}", patient.reason);
}

/// What has no address, what can't be reached (nothing is sent to the broadcast address), and what is something else.
#[tokio::test]
async fn troubles_are_told_apart() {
    let long = format!("{}.example:5000", "a".repeat(64));
    let page = Script::new(|_, _| answer(200, "Content-Type: text/html\r\n", "<html>hello</html>"));
    let gone = Script::new(|_, _| answer(404, "", "nothing here"));
    let busy = Script::new(|_, _| answer(429, "", ""));
    let ill = Script::new(|_, _| answer(503, "", ""));
    let ssh = Script::new(|_, _| "SSH-2.0-OpenSSH_9.2\r\n".to_owned());
    let mute = Script::new(|_, _| String::new());
    let locked = Script::new(|_, head| match head {
        _ if head.starts_with("GET /v2/ ") => answer(200, "", "{}"),
        _ => answer(403, "", r#"{"errors": [{"code": "DENIED", "message": "not \u001b[31m yours"}]}"#),
    });
    let cases = [
        (long, RegistryState::NotResolved, "has no address"),
        ("255.255.255.255:5000".to_owned(), RegistryState::Unreachable, "can't be reached"),
        (page.address(), RegistryState::NotRegistry, "page"),
        (gone.address(), RegistryState::NotRegistry, "404"),
        (ssh.address(), RegistryState::NotRegistry, "HTTP"),
        (busy.address(), RegistryState::Failing, "too many"),
        (ill.address(), RegistryState::Failing, "503"),
        (mute.address(), RegistryState::Silent, "cut the connection off"),
        (locked.address(), RegistryState::Forbidden, "yours"),
        ("no host".to_owned(), RegistryState::NotResolved, "`no host` has no address"),
    ];
    for (address, state, words) in cases {
        let seen = look(&settings(&address)).await;
        assert_eq!(seen.state, state, "{address}: {}", seen.reason);
        assert!(seen.reason.as_str().contains(words), "{address}: {}", seen.reason);
        assert!(!seen.reason.as_str().contains('\u{1b}'));
    }
}

/// A registry that answers after a while: a while that is longer than others take, and no reason to call it dead.
fn late(to: u16, by: Duration) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut server = std::net::TcpStream::connect(("127.0.0.1", to)).unwrap();
                let (mut from, mut on) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut on));
                // To be late is what it is for; nothing waits for it.
                std::thread::park_timeout(by);
                std::io::copy(&mut server, &mut client)
            });
        }
    });
    port
}

#[tokio::test]
async fn a_registry_that_is_late_is_slow_and_does_not_hang() {
    if server::is_missing() {
        return;
    }
    let registry = Registry::open();
    fill(&registry);
    let port = late(registry.port, Duration::from_secs(6));
    // TLS is not asked for twice: the answer to the hello is as late as any.
    let mut watch = Watch::new(settings(&format!("127.0.0.1:{port}")));
    let seen = watch.until("late", |seen| seen.state != RegistryState::Unknown).await;
    assert_eq!(seen.state, RegistryState::Slow, "{}", seen.reason);
    assert!(seen.reason.as_str().contains("has not answered for 5 s"), "{}", seen.reason);
    let seen = watch.until("answered", |seen| seen.answered.is_some()).await;
    assert!(!matches!(seen.state, RegistryState::Silent | RegistryState::Down), "{}", seen.reason);
}

#[tokio::test]
async fn what_a_registry_asks_to_wait_is_waited() {
    for (status, words) in [(429, "too many requests"), (503, "not ready (503)")] {
        let script = Script::new(move |_, _| answer(status, "Retry-After: 300\r\n", ""));
        let seen = Watch::new(settings(&script.address())).state(RegistryState::Failing).await;
        assert!(
            seen.reason.as_str().contains(words) && seen.reason.as_str().contains("5m"),
            "{}",
            seen.reason
        );
        assert!(seen.next_us >= 300_000_000, "{seen:?}");
        assert_eq!(script.heads().len(), 1, "nothing else was asked");
    }
    // One that lets everybody see that it is there, and wants its repository left alone.
    let script = Script::new(|_, head| match head {
        _ if head.starts_with("GET /v2/ ") => answer(200, "", "{}"),
        _ => answer(429, "Retry-After: 60\r\n", ""),
    });
    let mut watch = Watch::new(settings(&script.address()));
    watch.state(RegistryState::Failing).await;
    let first = watch.model.registry().newest().unwrap().asked;
    watch.until("asked ten times more", |seen| seen.asked > first && script.heads().len() > 10).await;
    let asked = script.heads().into_iter().filter(|head| !head.starts_with("GET /v2/ ")).count();
    assert_eq!(asked, 1);
}

/// Parts of a repository that are other than they are said to be. `wrong` says what comes at a path, where it does.
fn repository(wrong: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Script {
    let kind = |part: &str| format!("application/vnd.oci.image.{part}+json");
    let config = r#"{"os": "linux", "architecture": "amd64"}"#;
    let manifest = |kind: &str, of: &str, size: usize| {
        json!({"schemaVersion": 2, "config": {"mediaType": kind, "digest": server::digest_of_name(of), "size": size},
            "layers": []})
        .to_string()
    };
    let image = manifest(&kind("config.v1"), "config", config.len());
    let cache = manifest("application/vnd.buildkit.cacheconfig.v0", "cacheconfig", 2);
    Script::new(move |_, head| {
        let mut words = head.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        if let Some(other) = wrong(path) {
            return other;
        }
        let digest = format!("Docker-Content-Digest: {}\r\n", server::digest_of_name("image"));
        match path.rsplit_once('/').unwrap().1 {
            _ if path == "/v2/" => answer(200, "", "{}"),
            _ if path.contains("/tags/") => answer(200, "", r#"{"tags": ["my-feature", "buildcache"]}"#),
            "buildcache" => answer(
                200,
                &format!("Docker-Content-Digest: {}\r\n", server::digest_of_name("cache")),
                &cache,
            ),
            "my-feature" if method == "HEAD" => {
                format!("HTTP/1.1 200 X\r\nConnection: close\r\n{digest}Content-Length: 2\r\n\r\n")
            }
            last if last == server::digest_of_name("cacheconfig") => answer(200, "", "{}"),
            last if last == server::digest_of_name("config") => answer(200, "", config),
            last if last == server::digest_of_name("cache") => answer(200, "", &cache),
            _ => answer(200, "", &image),
        }
    })
}

#[tokio::test]
async fn what_is_another_thing_than_it_should_be_is_not_well() {
    let whole = look(&settings(&repository(|_| None).address())).await;
    assert_eq!(whole.state, RegistryState::Ok, "{}", whole.reason);
    assert_eq!(whole.cache.unwrap().state, CacheState::Present);

    // The cache's tag leads to a page, or to what is no manifest; its config is not there, or no JSON.
    let page =
        Script::new(|_, _| answer(200, "Content-Type: text/html; charset=utf-8\r\n", "<html>sign in</html>"));
    let to = format!("Location: http://{}/login\r\n", page.address());
    let of_config = server::digest_of_name("cacheconfig");
    let cases = [
        (
            "/buildcache".to_owned(),
            answer(307, &to, ""),
            "text/html instead of a manifest, behind a redirect",
        ),
        (
            "/buildcache".to_owned(),
            answer(200, "", r#"{"schemaVersion": 2, "#),
            "a manifest that can't be read",
        ),
        ("/buildcache".to_owned(), answer(200, "", "[]"), "manifest"),
        ("/buildcache".to_owned(), answer(200, "", r#"{"hello": 1}"#), "JSON that is no manifest"),
        (of_config.clone(), answer(404, "", ""), "404"),
        (of_config.clone(), answer(200, "", "no"), "a config that can't be read"),
        (of_config, answer(200, "", "{\"endless\": 1}"), "more than 2 bytes"),
    ];
    for (end, other, words) in cases {
        let script = repository(move |path| path.ends_with(&end).then(|| other.clone()));
        let cache = look(&settings(&script.address())).await.cache.unwrap();
        assert_eq!(cache.state, CacheState::Unreadable, "{words}: {}", cache.reason);
        assert!(cache.reason.as_str().contains(words), "{words}: {}", cache.reason);
    }
    // What is a manifest, and of no cache.
    let cache = json!({"schemaVersion": 2, "layers": []}).to_string();
    let script = repository(move |path| path.ends_with("/buildcache").then(|| answer(200, "", &cache)));
    assert_eq!(look(&settings(&script.address())).await.cache.unwrap().state, CacheState::NotCache);

    // The config of the image that is built.
    for (body, words) in
        [("x".repeat(9_000_000), "more than 40 bytes"), ("{}".to_owned(), "2 bytes that should have 40")]
    {
        let end = server::digest_of_name("config");
        let script = repository(move |path| path.ends_with(&end).then(|| answer(200, "", &body)));
        let seen = look(&settings(&script.address())).await;
        assert_eq!(seen.state, RegistryState::Failing, "{}", seen.reason);
        assert!(
            seen.reason.as_str().contains(words) && seen.reason.as_str().contains("my-feature"),
            "{}",
            seen.reason
        );
        assert_eq!(seen.tags.unwrap().total, 2, "the others are known all the same");
    }
}

#[tokio::test]
async fn who_is_refused_is_not_signed_in() {
    let registry = Script::new(|_, _| answer(401, "WWW-Authenticate: Basic realm=\"x\"\r\n", ""));
    let folder = TempDir::new().unwrap();
    let auths = json!({"auths": {registry.address(): {"auth": STANDARD.encode("user:secret")}}});
    let env = docker_config(folder.path(), &auths.to_string());
    let seen = look(&RegistrySettings { env, ..settings(&registry.address()) }).await;
    assert_eq!(seen.state, RegistryState::Unauthorized, "{}", seen.reason);
    assert!(!seen.auth.unwrap().signed_in);
    assert!(registry.heads().iter().any(|head| head.to_lowercase().contains("authorization:")));
}

/// Some servers of plain http wait for the end of a line, which a hello of TLS does not have.
#[tokio::test]
async fn a_server_of_this_machine_that_is_silent_on_tls_is_spoken_to_in_the_clear() {
    let script = Script::silent_on_tls(|_, _| answer(200, "", r#"{"tags": []}"#));
    let seen = look(&settings(&script.address())).await;
    assert_eq!(seen.url.as_str(), format!("http://{}", script.address()), "{}", seen.reason);
    assert!(seen.answered.is_some() && seen.tags.is_some(), "{}", seen.reason);
}

#[tokio::test]
async fn pages_of_tags_are_turned_and_other_hosts_are_not_followed() {
    let pages = |last: fn(u16) -> String| {
        Script::new(move |port, head| match head.split_whitespace().nth(1).unwrap() {
            "/v2/" => answer(200, "", "{}"),
            "/v2/montage-ai/tags/list?n=1000" => {
                let link = "Link: </v2/montage-ai/tags/list?last=b>; rel=\"next\"\r\n";
                answer(200, link, r#"{"tags": ["a", "b", "../v2"]}"#)
            }
            "/v2/montage-ai/tags/list?last=b" => answer(200, &last(port), r#"{"tags": ["c"]}"#),
            _ => answer(404, "", ""),
        })
    };
    let script = pages(|_| String::new());
    let tags = look(&settings(&script.address())).await.tags.unwrap();
    assert_eq!((tags.total, tags.more), (3, false));
    assert!(script.heads().iter().all(|head| !head.contains("..")), "what is no tag is never asked for");
    let script = pages(|port| format!("Link: <http://localhost:{port}/more>; rel=\"next\"\r\n"));
    let tags = look(&settings(&script.address())).await.tags.unwrap();
    assert_eq!((tags.total, tags.more), (3, true));
    assert!(script.heads().iter().all(|head| !head.contains("/more")));
}

#[tokio::test]
async fn a_redirect_to_another_host_does_not_carry_the_password() {
    let store = Script::new(|_, head| {
        let body = if head.contains("/tags") { r#"{"tags": ["moved"]}"# } else { "{}" };
        answer(200, "", body)
    });
    let to = store.address();
    let registry = Script::new(move |_, head| {
        let path = head.split_whitespace().nth(1).unwrap();
        match path {
            _ if !head.to_lowercase().contains("authorization:") => {
                answer(401, "WWW-Authenticate: Basic realm=\"x\"\r\n", "")
            }
            _ if path.contains("tags") && !path.contains("again") => {
                answer(307, &format!("Location: {path}&again=1\r\n"), "")
            }
            _ => answer(307, &format!("Location: http://{to}{path}\r\n"), ""),
        }
    });
    let folder = TempDir::new().unwrap();
    let auths = json!({"auths": {registry.address(): {"auth": STANDARD.encode("user:secret")}}});
    let env = docker_config(folder.path(), &auths.to_string());
    let seen = look(&RegistrySettings { env, ..settings(&registry.address()) }).await;
    assert_eq!(seen.tags.unwrap().list[0].name.as_str(), "moved");
    let said = |heads: Vec<String>| {
        heads.iter().map(|head| head.to_lowercase().contains("authorization")).collect::<Vec<_>>()
    };
    assert!(!said(store.heads()).contains(&true) && !store.heads().is_empty());
    let again: Vec<String> = registry.heads().into_iter().filter(|head| head.contains("again")).collect();
    assert_eq!(said(again), [true], "within the registry it stays");
}

#[tokio::test]
async fn two_thousand_tags_are_counted_and_opened_by_and_by() {
    let names: Vec<String> = (0..2000).map(|i| format!("v{i:04}")).collect();
    let list = json!({"tags": names}).to_string();
    let script = Script::new(move |_, head| {
        let path = head.split_whitespace().nth(1).unwrap();
        match path.rsplit_once('/').unwrap().1 {
            "" => answer(200, "", "{}"),
            tag if head.starts_with("HEAD") => {
                let digest = format!("Docker-Content-Digest: {}\r\n", server::digest_of_name(tag));
                format!("HTTP/1.1 200 X\r\nConnection: close\r\n{digest}Content-Length: 2\r\n\r\n")
            }
            _ if path.contains("/tags/") => answer(200, "", &list),
            _ => answer(200, "", "{}"),
        }
    });
    let mut watch = Watch::new(settings(&script.address()));
    let first = watch.until("listed", |seen| seen.tags.is_some()).await.tags.unwrap();
    assert_eq!((first.total, first.list.len()), (2000, 40));
    assert!(first.opened < 200, "{}", first.opened);
    let later = watch.until("opened more", |seen| seen.tags.as_ref().unwrap().opened > 200).await;
    assert!(watch.model.registry().newest() == Some(&later));
}

/// A cache that a real BuildKit has pushed, against what buildx itself reads there.
#[tokio::test]
async fn a_cache_of_a_real_builder_is_read_as_buildx_reads_it() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let address = &engine.registry;
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /a\nCOPY mark /b\n").unwrap();
    let mark = Clock::live().now().micros();
    fs::write(folder.path().join("mark"), mark.to_string()).unwrap();
    let name = format!("registrytest/r{mark}");
    let cache = format!("type=registry,ref={address}/{name}:buildcache,mode=max");
    let (tag, context) = (format!("{address}/{name}:my-feature"), folder.path().display().to_string());
    let build =
        ["buildx", "build", "--builder", "multiarch-builder", "--platform", "linux/amd64,linux/arm64"];
    let more = ["--push", "--tag", &tag, "--cache-to", &cache, "--progress", "quiet", &context];
    server::run("docker", &[&build[..], &more[..]].concat(), b"");
    let raw = |tag: &str| -> Value {
        let reference = format!("{address}/{name}:{tag}");
        let words =
            ["buildx", "imagetools", "inspect", "--builder", "multiarch-builder", "--raw", &reference];
        serde_json::from_slice(&server::run("docker", &words, b"")).unwrap()
    };
    let seen = look(&RegistrySettings { repository: name.clone(), ..settings(address) }).await;
    assert_eq!(seen.state, RegistryState::Ok, "{}", seen.reason);
    let (manifest, cache) = (raw("buildcache"), seen.cache.unwrap());
    let layers = manifest["layers"].as_array().unwrap();
    let bytes: u64 = layers.iter().map(|layer| layer["size"].as_u64().unwrap()).sum();
    let age =
        |layer: &Value| Time::parse(layer["annotations"]["buildkit/createdat"].as_str().unwrap()).unwrap();
    assert_eq!((cache.state, cache.kind), (CacheState::Present, Some(CacheKind::ImageManifest)));
    assert_eq!((cache.blobs as usize, cache.bytes), (layers.len(), bytes));
    assert_eq!(Some(cache.config_bytes), manifest["config"]["size"].as_u64());
    assert_eq!((cache.oldest, cache.newest), (layers.iter().map(age).min(), layers.iter().map(age).max()));
    let held: Vec<_> = cache.platforms.iter().map(|p| (p.platform.as_str(), p.held, p.layers)).collect();
    assert_eq!(held, [("linux/amd64", 2, 2), ("linux/arm64", 2, 2)]);
    let built = &seen.tags.unwrap().list[0];
    assert!(built.building && built.bytes.is_some_and(|bytes| bytes > 0));
    assert_eq!(built.platforms.len(), 2, "attestations are no platforms: {}", raw("my-feature"));
}
