//! What is said of builds on a real engine, and what is known of where their results were.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::support::process::{Project, run};
use crate::support::testbed::{self, BUILDER, Engine, For, docker, looked};

const AMD: &str = "linux/amd64";
const ARM: &str = "linux/arm64";

/// What is written is random, so that no two builds make the same layer.
const STEPS: &str = "FROM BASE
WORKDIR /app/MARKER
ARG FLAVOUR=plain
RUN echo \"tools $FLAVOUR\" && dd if=/dev/urandom of=/tools bs=1k count=16
COPY src/ src/
RUN cat src/a > /out && dd if=/dev/urandom of=/x bs=1k count=8
";

const STAGES: &str = "FROM BASE AS heavy
RUN echo compiling MARKER && dd if=/dev/urandom of=/result bs=1k count=16
FROM BASE
WORKDIR /app/MARKER
COPY --from=heavy /result /result
RUN wc -c < /result > /size
";

/// A project, built again and again.
struct Bench<'a> {
    engine: &'a Engine,
    project: Project,
}

impl<'a> Bench<'a> {
    fn new(engine: &'a Engine, dockerfile: &str) -> Self {
        let project = engine.project(dockerfile);
        project.write("src/a", "one\n");
        let marker = &project.marker;
        let config = format!(
            "[image]\nregistry = \"{}\"\nname = \"layertop-test/sources-{marker}\"\ntag = \"latest\"\n\
             platforms = [\"{AMD}\", \"{ARM}\"]\n[build]\nbuilder = \"{}\"\ncache = \"cache\"\npush = true\n",
            engine.registry,
            testbed::builder()
        );
        project.write("layertop.toml", &config);
        Self { engine, project }
    }

    fn reference(&self, tag: &str) -> String {
        format!("{}/layertop-test/sources-{}:{tag}", self.engine.registry, self.project.marker)
    }

    fn cache(&self, side: &str, tag: &str) -> String {
        format!(
            "--cache-{side}=type=registry,ref={}{}",
            self.reference(tag),
            if side == "to" { ",mode=max" } else { "" }
        )
    }

    /// Builds, with these words behind the dashes, and gives the summary.
    fn build(&self, words: &[&str]) -> Value {
        let typed = [&["build", "--progress", "json", "--"], words].concat();
        let ended = run(&mut self.project.layertop(&typed));
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        looked(&self.project, &ended.summary(), None).summary()
    }

    /// Neither the builder nor the engine keeps anything: what hits now is the registry's.
    fn prune(&self) {
        // Images hold the content of what they share with the cache, those of other tests that of the base image.
        let all = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        let tests = |image: &&str| !image.contains("/testbed/") && image.starts_with(&self.engine.registry);
        for image in all.lines().filter(tests) {
            docker(&["image", "rm", "--force", image]);
        }
        // They share one store of content, and what either holds needs no fetching.
        for builder in [BUILDER, "default"] {
            testbed::prune(builder);
        }
        assert!(!docker(&["buildx", "du", "--builder", BUILDER, "--verbose"]).contains(&self.project.marker));
    }
}

/// The sources of a platform's steps in the order of the summary: l local, r registry, ? unknown, - no hit.
fn sources(summary: &Value, platform: &str) -> String {
    let steps = summary["steps"].as_array().unwrap().iter().filter(|step| step["platform"] == platform);
    steps
        .map(|step| {
            let letter = match step["source"].as_str() {
                Some("local") => 'l',
                Some("registry") => 'r',
                Some("unknown") => '?',
                Some(other) => panic!("{other}"),
                None => '-',
            };
            assert_eq!(step["state"] == "hit", letter != '-', "{step}");
            assert_eq!(step["source_evidence"].is_string(), letter != '-', "{step}");
            letter
        })
        .collect()
}

#[track_caller]
fn expect(summary: &Value, amd: &str, arm: &str) {
    let found = (sources(summary, AMD), sources(summary, ARM));
    assert_eq!((found.0.as_str(), found.1.as_str()), (amd, arm), "{summary:#}");
}

/// The reference that hits of the registry are said to come from.
fn references(summary: &Value) -> Vec<String> {
    let steps = summary["steps"].as_array().unwrap().iter().filter(|step| step["source"] == "registry");
    let mut found: Vec<String> =
        steps.map(|step| step["source_ref"].as_str().unwrap_or_default().to_owned()).collect();
    found.dedup();
    found
}

#[test]
fn every_hit_has_its_source() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, STEPS);
    let cache = bench.reference("cache");
    bench.prune();

    // The base image has to be fetched too.
    expect(&bench.build(&[]), "-----", "-----");
    let again = bench.build(&[]);
    expect(&again, "lllll", "lllll");
    named(&again);

    bench.prune();
    let pruned = bench.build(&[]);
    expect(&pruned, "rrrrr", "rrrrr");
    assert_eq!(references(&pruned), [cache.as_str()]);
    fetched(&pruned);

    // What came with the last build is the builder's own now.
    expect(&bench.build(&[]), "lllll", "lllll");

    // Nobody listens there, so it is the builder's own, whatever it would hold.
    let down = bench.build(&["--cache-from=type=registry,ref=127.0.0.1:1/a:b", &bench.cache("to", "cache")]);
    expect(&down, "lllll", "lllll");
    assert_eq!(down["cache"]["import"]["state"], "failed");

    // The cache from another reference, and two of which one holds it.
    bench.build(&[&bench.cache("from", "cache"), &bench.cache("to", "other")]);
    bench.prune();
    let other = bench.build(&[&bench.cache("from", "other"), &bench.cache("to", "other")]);
    expect(&other, "rrrrr", "rrrrr");
    assert_eq!(references(&other), [bench.reference("other")]);

    // A prefix that is hit, and fetched for the step that is not.
    bench.prune();
    bench.project.write("src/a", "two\n");
    let changed = bench.build(&[&bench.cache("from", "cache"), &bench.cache("to", "two")]);
    expect(&changed, "rrr--", "rrr--");

    // The builder has another version of the COPY; the registry has this one. What lies below it came with it.
    bench.project.write("src/a", "one\n");
    let version = bench.build(&[&bench.cache("from", "cache"), &bench.cache("to", "cache")]);
    expect(&version, "lllrr", "lllrr");
}

#[test]
fn platforms_are_told_apart() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, STEPS);
    bench.build(&[]);
    for (first, amd, arm) in [(AMD, "lllll", "rrrrr"), (ARM, "rrrrr", "lllll")] {
        bench.prune();
        // It is built for one platform alone, without the registry's cache.
        let alone =
            ["--platform", first, "--cache-from=type=local,src=nowhere", "--cache-to=type=inline", "-t"];
        bench.build(&[&alone[..], &[&bench.reference("alone")]].concat());
        expect(&bench.build(&[]), amd, arm);
    }
}

#[test]
fn a_cache_of_the_last_stage_only() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, STAGES);
    bench.prune();
    let to = format!("--cache-to=type=registry,ref={},mode=min", bench.reference("min"));
    let words = [bench.cache("from", "min"), to];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let first = bench.build(&words);
    assert!(!sources(&first, AMD).contains(['l', 'r', '?']), "{first:#}");
    let again = bench.build(&words);
    assert!(!sources(&again, AMD).contains(['-', 'r', '?']), "{again:#}");
    assert_eq!(sources(&again, ARM), sources(&again, AMD));
    bench.prune();
    let pruned = bench.build(&words);
    // The stage that was copied from is nowhere; the registry has the keys of its steps, which is why they are hits.
    for platform in [AMD, ARM] {
        let steps: Vec<&Value> =
            pruned["steps"].as_array().unwrap().iter().filter(|step| step["platform"] == platform).collect();
        assert!(steps.len() >= 5, "{pruned:#}");
        for step in steps.iter().filter(|step| !step["instruction"].as_str().unwrap().starts_with("FROM ")) {
            assert_eq!(
                (&step["state"], &step["source"]),
                (&Value::from("hit"), &Value::from("registry")),
                "{step}"
            );
        }
    }
}

/// A name for the builder's BuildKit that only the docker command knows the way behind; forgotten when the test ends.
struct ByCommand<'a>(&'a str);

impl<'a> ByCommand<'a> {
    fn new(name: &'a str) -> Self {
        let endpoint = format!("docker-container://buildx_buildkit_{BUILDER}0");
        docker(&["buildx", "create", "--name", name, "--driver", "remote", &endpoint]);
        Self(name)
    }
}

impl Drop for ByCommand<'_> {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["buildx", "rm", "--force", self.0]).output();
    }
}

/// A builder that took long to list its records slows a build down by it. One that is short beside that does without, and its hits have
/// their sources as soon as somebody looks.
#[test]
fn a_short_build_has_no_listing_that_is_dear() {
    // What a build leaves open can be told as long as nobody else uses the builder.
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, STEPS);
    bench.build(&[]);
    let store = rusqlite::Connection::open(bench.project.beside("data").join("layertop/history.db")).unwrap();
    // A share of that is longer than any test builds.
    let hour = 3_600_000_000_i64;
    assert_eq!(store.execute("UPDATE listings SET took_us = ?1", [hour]).unwrap(), 1);

    let again = run(&mut bench.project.layertop(&["build", "--progress", "json"]));
    assert_eq!(again.code(), Some(0), "{}", again.stderr);
    let listed = again.events().iter().any(|line| line["type"] == "records");
    assert!(!listed, "it was listed all the same: {}", again.stdout);
    expect(&looked(&bench.project, &again.summary(), None).summary(), "lllll", "lllll");
}

/// A docker that never connects us to the builder's BuildKit, and does all else.
#[test]
fn a_listing_that_never_comes_changes_nothing() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let bench = Bench::new(&engine, STEPS);
    bench.build(&[]);
    let builder = ByCommand::new(&bench.project.marker);
    let path = std::env::var("PATH").unwrap();
    let real =
        std::env::split_paths(&path).map(|folder| folder.join("docker")).find(|file| file.is_file()).unwrap();
    let (folder, pid) = (bench.project.beside("bin"), bench.project.beside("pid"));
    std::fs::create_dir_all(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in buildx*dial-stdio*) echo $$ > {}; exec tail -f /dev/null ;; esac\nexec {} \"$@\"\n",
        pid.display(),
        real.display()
    );
    std::fs::write(folder.join("docker"), script).unwrap();
    std::fs::set_permissions(folder.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{path}", folder.display());
    let ended = run(bench
        .project
        .layertop(&["build", "--progress", "json", "--builder", builder.0])
        .env("PATH", path));
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    // Both could be it, and nothing tells which it was.
    expect(&ended.summary(), "?????", "?????");
    let pid = std::fs::read_to_string(pid).expect("it was asked");
    assert!(is_gone(pid.trim()), "the process that hangs is left behind");
}

/// Whether a process has ended, now or in a moment.
fn is_gone(pid: &str) -> bool {
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let gone = || state().rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
    (0..100_000).any(|_| gone())
}

/// Each step but the base image has its blob in the cache, and each platform its own where what is written is random.
fn named(summary: &Value) {
    let steps = summary["steps"].as_array().unwrap();
    for step in steps.iter().filter(|step| step["index"] != 1) {
        let cached = &step["cached_as"];
        assert!(cached["blob"].as_str().unwrap().starts_with("sha256:"), "{step}");
        assert!(cached["bytes"].as_u64() > Some(0) && cached["created"].is_i64(), "{step}");
    }
    let blob = |platform: &str, index: u64| {
        let of = |step: &&Value| step["platform"] == platform && step["index"] == index;
        steps.iter().find(of).unwrap()["cached_as"]["blob"].clone()
    };
    assert_ne!(blob(AMD, 3), blob(ARM, 3));
    assert_ne!(blob(AMD, 3), blob(AMD, 5));
}

/// What a push needs of a registry's hits is fetched, and is told apart from time at work.
fn fetched(summary: &Value) {
    let steps = summary["steps"].as_array().unwrap();
    let sum = |key: &str| steps.iter().map(|step| step[key].as_u64().unwrap()).sum::<u64>();
    assert!(sum("pulled_bytes") > 48 << 10, "{summary:#}");
    assert!(steps.iter().filter(|step| step["index"] != 1).all(|step| step["run_ms"] == 0), "{summary:#}");
}
