//! What is said of a cache and of tags, against what `skopeo` and the blobs themselves say of what a real `BuildKit` pushed.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layertop::clock::Clock;
use layertop::event::registry::{
    CacheKind, CacheState, CacheTag, RegistrySnapshot as Seen, RegistryState, Tag,
};
use layertop::event::{Digest, Platform, Time};
use layertop::source::registry::RegistrySettings;
use serde_json::Value;
use tempfile::TempDir;

use crate::registry::{HTPASSWD_AUTH, look, settings};
use crate::support::server::{HTPASSWD, Registry, certificates, docker_config, run, sha256};
use crate::support::testbed::{Engine, For, skipped};

const PLATFORMS: &str = "linux/amd64,linux/arm64";

/// The test engine; none where it or skopeo is missing, which is said, and under CI is a failure.
fn engine() -> Option<Engine> {
    if Command::new("skopeo").arg("--version").output().is_err() {
        skipped("no skopeo: run `bash tests/run.sh`");
        return None;
    }
    Engine::get(For::Builds)
}

/// A repository as others see it.
struct Repository {
    /// `http://127.0.0.1:5055`.
    scheme: &'static str,
    address: String,
    name: String,
    /// `user:secret`, where it is locked.
    user: Option<&'static str>,
}

impl Repository {
    fn skopeo(&self, words: &[&str], what: &str) -> Vec<u8> {
        let reference = format!("docker://{}/{}{what}", self.address, self.name);
        let user: Vec<&str> = self.user.iter().flat_map(|user| ["--creds", *user]).collect();
        run("skopeo", &[words, &["--tls-verify=false"], &user, &[&reference]].concat(), b"")
    }

    /// The bytes that a tag or a digest stands for.
    fn raw(&self, what: &str) -> Vec<u8> {
        self.skopeo(&["inspect", "--raw"], what)
    }

    fn manifest(&self, what: &str) -> Value {
        serde_json::from_slice(&self.raw(what)).unwrap()
    }

    /// A blob, which is what its descriptor says of it.
    fn blob(&self, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap();
        let url = format!("{}://{}/v2/{}/blobs/{digest}", self.scheme, self.address, self.name);
        let user: Vec<&str> = self.user.iter().flat_map(|user| ["--user", *user]).collect();
        let bytes = run("curl", &[&["-fsSkL"], &user[..], &[&url]].concat(), b"");
        assert_eq!((Some(bytes.len() as u64), sha256(&bytes).as_str()), (size(descriptor), digest));
        bytes
    }

    /// The digest of what a tag stands for.
    fn digest(&self, tag: &str) -> Digest {
        Digest::parse(&sha256(&self.raw(&format!(":{tag}"))))
    }

    fn tags(&self) -> BTreeSet<String> {
        let said: Value = serde_json::from_slice(&self.skopeo(&["list-tags"], "")).unwrap();
        said["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
    }

    /// The parts of an image, one for each platform: manifest and config.
    fn parts(&self, tag: &str) -> Vec<(Platform, Value, Value)> {
        let index = self.manifest(&format!(":{tag}"));
        let entries = index["manifests"].as_array().unwrap().iter();
        let of_image = entries.filter(|entry| entry["platform"]["os"] != "unknown");
        of_image
            .map(|entry| {
                let manifest = self.manifest(&format!("@{}", entry["digest"].as_str().unwrap()));
                let config: Value = serde_json::from_slice(&self.blob(&manifest["config"])).unwrap();
                let name = format!(
                    "{}/{}",
                    config["os"].as_str().unwrap(),
                    config["architecture"].as_str().unwrap()
                );
                (Platform::parse(&name).unwrap(), manifest, config)
            })
            .collect()
    }

    /// The cache is what its manifest and its blobs say.
    fn agrees_on_cache(&self, cache: &CacheTag, image: &str) {
        let tag = cache.name.as_str();
        let manifest = self.manifest(&format!(":{tag}"));
        let is_config = |entry: &Value| entry["mediaType"] == "application/vnd.buildkit.cacheconfig.v0";
        let (kind, config, blobs): (_, Value, Vec<Value>) = match manifest["manifests"].as_array() {
            None => (
                CacheKind::ImageManifest,
                manifest["config"].clone(),
                manifest["layers"].as_array().unwrap().clone(),
            ),
            Some(all) => {
                let (config, blobs): (Vec<Value>, _) = all.iter().cloned().partition(is_config);
                assert_eq!(config.len(), 1, "{manifest}");
                (CacheKind::Index, config[0].clone(), blobs)
            }
        };
        assert!(is_config(&config) && blobs.len() >= 4, "{manifest}");
        assert_eq!(
            (cache.state, cache.kind, &cache.digest),
            (CacheState::Present, Some(kind), &Some(self.digest(tag)))
        );
        assert_eq!(cache.blobs as usize, blobs.len());
        let bytes: usize = blobs.iter().map(|blob| self.blob(blob).len()).sum();
        assert_eq!(cache.bytes, bytes as u64);
        assert_eq!(cache.config_bytes, self.blob(&config).len() as u64);
        let annotation = |blob: &Value, name: &str| blob["annotations"][name].as_str().unwrap().to_owned();
        let ages = || blobs.iter().map(|blob| Time::parse(&annotation(blob, "buildkit/createdat")).unwrap());
        assert_eq!((cache.oldest, cache.newest), (ages().min(), ages().max()));

        let contents: BTreeSet<String> =
            blobs.iter().map(|blob| annotation(blob, "containerd.io/uncompressed")).collect();
        assert_eq!(cache.image.as_ref().map(layertop::event::Text::as_str), Some(image));
        let said = cache.platforms.iter().map(|part| (part.platform.clone(), part.layers, part.held));
        let parts = self.parts(image).into_iter().map(|(platform, _, config)| {
            let layers = config["rootfs"]["diff_ids"].as_array().unwrap();
            let held = layers.iter().filter(|layer| contents.contains(layer.as_str().unwrap()));
            (platform, layers.len() as u32, held.count() as u32)
        });
        let (said, parts): (Vec<_>, Vec<_>) = (said.collect(), parts.collect());
        assert_eq!(said, parts);
        assert!(parts.len() == 2 && parts.iter().all(|(_, _, held)| *held > 0), "{parts:?}");
    }

    /// A tag of an image is what its manifests and configs say.
    fn agrees_on_image(&self, tag: &Tag) {
        let parts = self.parts(tag.name.as_str());
        let platforms: Vec<Platform> = parts.iter().map(|(platform, ..)| platform.clone()).collect();
        assert_eq!((&tag.platforms, tag.cache), (&platforms, false));
        let created =
            parts.iter().map(|(.., config)| Time::parse(config["created"].as_str().unwrap()).unwrap());
        assert_eq!(tag.created, created.max());
        let blobs = parts.iter().flat_map(|(_, manifest, _)| {
            manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]])
        });
        let unique: BTreeSet<(String, Option<u64>)> =
            blobs.map(|blob| (blob["digest"].as_str().unwrap().to_owned(), size(blob))).collect();
        assert_eq!(tag.bytes, unique.iter().map(|(_, size)| *size).sum());
    }

    fn agrees(&self, seen: &Seen, image: &str) {
        assert_eq!(seen.state, RegistryState::Ok, "{}", seen.reason);
        let tags = seen.tags.as_ref().unwrap();
        let names: BTreeSet<String> = tags.list.iter().map(|tag| tag.name.as_str().to_owned()).collect();
        assert_eq!((names, tags.total, tags.opened), (self.tags(), 3, 3));
        for tag in &tags.list {
            assert_eq!(tag.digest, Some(self.digest(tag.name.as_str())), "{}", tag.name);
        }
        let built = &tags.list[0];
        assert!(built.building && built.name.as_str() == image);
        self.agrees_on_image(built);
        assert!(tags.list[1..].iter().all(|tag| tag.cache), "a cache is known without being named: {tags:?}");
        self.agrees_on_cache(seen.cache.as_ref().unwrap(), image);
    }
}

fn size(descriptor: &Value) -> Option<u64> {
    descriptor["size"].as_u64()
}

/// Builds an image of two platforms with steps that are not in it, and exports its cache in both shapes.
fn push(registry: &str) -> Repository {
    let folder = TempDir::new().unwrap();
    let mark = Clock::live().now().micros();
    let text = format!(
        "FROM {registry}/base/miniconda3:latest AS made\nRUN echo {mark} && head -c 3000 /dev/urandom > /made\n\
         FROM scratch\nCOPY --from=made /made /made\nCOPY mark /mark\n"
    );
    fs::write(folder.path().join("Dockerfile"), text).unwrap();
    fs::write(folder.path().join("mark"), mark.to_string()).unwrap();
    let name = format!("registrytest/s{mark}");
    let tag = format!("{registry}/{name}:my-feature");
    let context = folder.path().display().to_string();
    for (shape, cache) in [("true", "buildcache"), ("false", "index")] {
        let to = format!("type=registry,ref={registry}/{name}:{cache},mode=max,image-manifest={shape}");
        let words = ["buildx", "build", "--builder", "multiarch-builder", "--platform", PLATFORMS, "--push"];
        let more = ["--tag", &tag, "--cache-to", &to, "--progress", "quiet", &context];
        run("docker", &[&words[..], &more].concat(), b"");
    }
    Repository { scheme: "http", address: registry.to_owned(), name, user: None }
}

#[tokio::test]
async fn a_cache_and_tags_are_what_skopeo_and_the_blobs_say() {
    let Some(engine) = engine() else { return };
    let there = push(&engine.registry);
    for cache in ["buildcache", "index"] {
        let wanted = RegistrySettings {
            repository: there.name.clone(),
            cache: Some(cache.into()),
            ..settings(&there.address)
        };
        there.agrees(&look(&wanted).await, "my-feature");
    }
}

/// The same behind a password and an authority of its own.
#[tokio::test]
async fn a_locked_cache_is_what_skopeo_and_the_blobs_say() {
    let Some(engine) = engine() else { return };
    let there = push(&engine.registry);
    let folder = Arc::new(TempDir::new().unwrap());
    certificates(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("htpasswd"), HTPASSWD).unwrap();
    let open = Registry::on(Arc::clone(&folder), "", "");
    // skopeo takes a cache in the shape of an index for an index of images, and can't copy it.
    for (from, to) in [("my-feature", "my-feature"), ("buildcache", "buildcache"), ("buildcache", "other")] {
        let copy =
            ["copy", "--insecure-policy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"];
        let from = format!("docker://{}/{}:{from}", engine.registry, there.name);
        let to = format!("docker://{}/{}:{to}", open.address(), there.name);
        run("skopeo", &[&copy[..], &[&from, &to]].concat(), b"");
    }
    drop(open);
    let tls = format!("  tls: {{certificate: {}, key: {}}}\n", at("cert.pem"), at("key.pem"));
    let locked = Registry::on(Arc::clone(&folder), &tls, &HTPASSWD_AUTH.replace("FILE", &at("htpasswd")));
    let auths = serde_json::json!({"auths": {locked.address(): {"auth": STANDARD.encode("user:secret")}}});
    let wanted = RegistrySettings {
        repository: there.name.clone(),
        ca: Some(folder.path().join("ca.pem")),
        env: docker_config(folder.path(), &auths.to_string()),
        ..settings(&locked.address())
    };
    let address = locked.address();
    let there = Repository { scheme: "https", address, user: Some("user:secret"), ..there };
    there.agrees(&look(&wanted).await, "my-feature");
}
