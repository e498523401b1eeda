//! Why steps were not cached, on a real engine: each cause is made to happen, and its reason, its grade, what follows from it
//! and where hits came from are held against what was done, on both platforms.
//!
//! They run where `LAYERTOP_TEST_ENGINE_UP` is set, as all on an engine; they prune its builder.

mod address;
mod back;
mod collection;
mod output;
mod secrets;

mod triggers;
mod trouble;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::bench::{AMD, ARM, Bench, Built, DOCKERFILE, Other, STAGES, planned};
use crate::support::second::Second;
use crate::support::testbed::{BUILDER, Engine, For, docker};

/// What is expected of a step that was not cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It was cached, by the builder or by whomever.
    Hit,
    /// It was cached, and came from there.
    From(&'static str),
    /// It was not, and is a cause of its own: kind and grade.
    Root(&'static str, &'static str),
    /// It was not, and follows from the step of this number: kind.
    Follows(&'static str, u64),
    /// Whatever it is.
    Any,
}

use crate::support::{second, testbed};
use Why::{Any, Follows, From, Hit, Root};

/// The steps of a platform, the base image left out: whether that has to be fetched is the machine's own affair.
fn steps(built: &Built, platform: &str) -> Vec<Value> {
    let steps = built.summary["steps"].as_array().unwrap().iter();
    let own = steps.filter(|step| step["platform"] == platform);
    own.filter(|step| !step["instruction"].as_str().unwrap().starts_with("FROM ")).cloned().collect()
}

/// Asserts what is said of each step, on both platforms.
#[track_caller]
fn expect(what: &str, built: &Built, wanted: &[Why]) {
    for platform in [AMD, ARM] {
        expect_on(what, built, platform, wanted);
    }
}

#[track_caller]
fn expect_on(what: &str, built: &Built, platform: &str, wanted: &[Why]) {
    let found = steps(built, platform);
    assert_eq!(found.len(), wanted.len(), "{what}: {found:#?}");
    for (step, wanted) in found.iter().zip(wanted) {
        let reason = &step["reason"];
        let said = match (step["state"].as_str().unwrap(), wanted) {
            (_, Any) => Any,
            ("hit", From(_)) => match step["source"].as_str().unwrap() {
                "local" => From("local"),
                "registry" => From("registry"),
                _ => From("unknown"),
            },
            ("hit", _) => Hit,
            _ if reason.is_null() => panic!("{what}, {platform}: no reason: {step:#}"),
            _ if reason["root"] == true => Root(leak(&reason["kind"]), leak(&reason["grade"])),
            _ => Follows(leak(&reason["kind"]), reason["follows"]["index"].as_u64().unwrap_or(0)),
        };
        assert_eq!(said, *wanted, "{what}, {platform}: {step:#}");
        if let Follows(..) = said {
            assert_eq!(reason["follows"]["platform"], platform, "{what}: {step:#}");
        }
        assert_eq!(step["state"] == "hit", reason.is_null(), "{what}: {step:#}");
    }
}

/// Words of the program, of which there are few.
fn leak(value: &Value) -> &'static str {
    value.as_str().unwrap().to_owned().leak()
}

/// The identities of the results that a build has made.
fn results(events: &[Value]) -> Vec<String> {
    let after = events.iter().find(|event| event["type"] == "records" && event["when"] == "after").unwrap();
    let result = |record: &&Value| {
        record["kind"] == "regular" && !record["description"].as_str().unwrap().starts_with("pulled from ")
    };
    let records = after["records"].as_array().unwrap().iter().filter(result);
    records.map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

/// The evidence of the first cause of a kind.
fn evidence(built: &Built, kind: &str) -> String {
    let steps = built.summary["steps"].as_array().unwrap().iter();
    let mut reasons = steps.map(|step| &step["reason"]).filter(|reason| reason["kind"] == kind);
    reasons.next().unwrap_or_else(|| panic!("no {kind}: {:#}", built.summary)).to_string()
}

const FIRST: [Why; 6] = [
    Root("first_build", "proven"),
    Follows("first_build", 2),
    Follows("first_build", 2),
    Follows("first_build", 2),
    Follows("first_build", 2),
    Follows("first_build", 2),
];

/// A hit of the builder's own cache.
const OWN: Why = From("local");

const HITS: [Why; 6] = [From("local"); 6];

#[test]
fn what_changed_is_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    let file = |name: &str| bench.project.folder().join(name);
    let secret = bench.project.beside("token");
    fs::write(&secret, "hunter2-hunter2").unwrap();
    let given = format!("--secret=id=token,src={}", secret.display());

    expect("first", &bench.build(&["--", &given]), &FIRST);
    expect("nothing", &bench.build(&["--", &given]), &HITS);

    bench.append("requirements.txt", "requests==2.32.0");
    let changed = bench.build(&["--", &given]);
    let from = Follows("parent_missed", 3);
    expect("a file", &changed, &[OWN, Root("files_changed", "proven"), from, from, from, from]);
    let told = evidence(&changed, "files_changed");
    assert!(told.contains("requirements.txt: content, 9 B before, 26 B now"), "{told}");
    let why = bench.why(&[]);
    assert!(
        why.lines().nth(1).is_some_and(|line| line.starts_with("! "))
            && why.contains(" rebuilt because requirements.txt changed: +requests==2.32.0; "),
        "{why}"
    );
    assert!(why.contains(" on both platforms\n  files_changed (proven)\n"), "{why}");
    assert!(why.contains("Dockerfile:4: keep what `pip install` downloads"), "{why}");
    let why = bench.why(&["4"]);
    assert!(why.contains("rebuilt because step 3 was rebuilt"), "{why}");

    fs::set_permissions(file("src/main.py"), fs::Permissions::from_mode(0o755)).unwrap();
    let changed = bench.build(&["--", &given]);
    let last = Follows("parent_missed", 6);
    expect("its mode", &changed, &[OWN, OWN, OWN, OWN, Root("files_changed", "proven"), last]);
    assert!(evidence(&changed, "files_changed").contains("from 0644 to 0755"));

    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(file("src/main.py")).unwrap().set_modified(old).unwrap();
    expect("its time", &bench.build(&["--", &given]), &HITS);

    bench.project.write("src/x.log", "ignored\n");
    expect("an ignored file", &bench.build(&["--", &given]), &HITS);

    fs::write(&secret, "another secret value").unwrap();
    expect("a secret's value", &bench.build(&["--", &given]), &HITS);

    let changed = bench.build(&["--", &given, "--build-arg", "FLAVOUR=sweet"]);
    let from = Follows("parent_missed", 5);
    expect("an argument", &changed, &[OWN, OWN, OWN, Root("arg_changed", "proven"), from, from]);
    assert!(evidence(&changed, "arg_changed").contains("FLAVOUR changed: plain → sweet"));

    let hits = bench.build(&["--", &given, "--build-arg", "FLAVOUR=sweet", "--build-arg", "NOBODY=1"]);
    expect("an argument that nobody declares", &hits, &HITS);

    bench.replace("echo compile", "echo compile all");
    let changed = bench.build(&["--", &given, "--build-arg", "FLAVOUR=sweet"]);
    expect("an instruction", &changed, &[OWN, OWN, OWN, OWN, OWN, Root("instruction_changed", "proven")]);
    let told = evidence(&changed, "instruction_changed");
    assert!(told.contains("the value of its secret token is no reason"), "{told}");
    let all = serde_json::to_string(&changed.summary).unwrap();
    assert!(!all.contains("hunter2") && !all.contains("another secret"), "{all}");

    let forced = bench.build(&["--", &given, "--no-cache"]);
    let from = Follows("no_cache", 3);
    // What a WORKDIR makes is called cached all the same.
    expect("--no-cache", &forced, &[OWN, Root("no_cache", "proven"), from, from, from, from]);
    bench.share("changes");
}

#[test]
fn an_argument_that_nobody_uses_counts_as_well() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let unused = DOCKERFILE.replace("taste $FLAVOUR", "taste nothing MARKER");
    let bench = Bench::new(&engine, &unused);
    bench.build(&[]);
    let changed = bench.build(&["--", "--build-arg", "FLAVOUR=sweet"]);
    let from = Follows("parent_missed", 5);
    expect("unused", &changed, &[OWN, OWN, OWN, Root("arg_changed", "proven"), from, from]);
    let secret = bench.build(&["--", "--build-arg", "FLAVOUR=plain", "--build-arg", "API_TOKEN=swordfish1"]);
    expect("undeclared", &secret, &HITS);
    bench.share("arguments");
}

#[test]
fn a_base_image_that_moved_is_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    let base = format!("{}/{}:base", engine.registry, bench.name());
    let push = |what: &str| {
        let dockerfile = format!("FROM {}\nRUN echo {what} > /base\n", engine.base());
        let folder = bench.project.beside("base");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
        let words = [
            "buildx",
            "build",
            "--builder",
            BUILDER,
            "--platform",
            "linux/amd64,linux/arm64",
            "--push",
            "-t",
        ];
        docker(&[&words[..], &[&base, folder.to_str().unwrap()]].concat());
    };
    push("one");
    bench.replace(&engine.base(), &base);
    bench.build(&[]);
    push("two");
    let moved = bench.build(&[]);
    let told = evidence(&moved, "base_moved");
    assert!(told.contains(&base) && told.contains("pin the base image by its digest"), "{told}");
    for platform in [AMD, ARM] {
        // The base image's own step is the cause where it was fetched, else the one that is built on it.
        let found = steps(&moved, platform);
        let first = &found[0]["reason"];
        let at = if first["root"] == true { 2 } else { 1 };
        assert!(first["kind"] == "base_moved" || first["follows"]["index"] == 1, "{first:#}");
        for step in &found[1..] {
            let reason = &step["reason"];
            assert_eq!(
                (&reason["kind"], &reason["grade"]),
                (&"parent_missed".into(), &"proven".into()),
                "{step:#}"
            );
            assert_eq!(reason["follows"]["index"], at, "{step:#}");
        }
    }
    assert!(moved.plan.to_string().contains("base_moved"), "{:#}", moved.plan);
    bench.share("a base image");
}

#[test]
fn what_the_caches_lost_is_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    let all = |kind: &'static str| {
        let follow = Follows(kind, 2);
        [Root(kind, "proven"), follow, follow, follow, follow, follow]
    };
    bench.build(&[]);

    bench.prune();
    let built = bench.build(&[]);
    expect("pruned, with the registry's cache", &built, &[From("registry"); 6]);
    assert_eq!(planned(&built.plan, ARM, "source"), ["registry"; 6], "{:#}", built.plan);

    bench.prune();
    bench.delete("cache");
    expect("pruned, and the cache deleted", &bench.build(&[]), &all("manifest_missing"));

    bench.prune();
    let down = "--cache-from=type=registry,ref=127.0.0.1:1/a:b";
    let failed = bench.build(&["--", down]);
    expect("pruned, and the registry down", &failed, &all("import_failed"));
    let told = evidence(&failed, "import_failed");
    assert!(told.contains("connection refused") && told.contains("127.0.0.1:1"), "{told}");

    bench.configure(&testbed::builder(), false);
    expect("nothing", &bench.build(&[]), &[From("local"); 6]);
    bench.prune();
    let evicted = bench.build(&[]);
    expect("pruned", &evicted, &all("evicted"));
    let told = evidence(&evicted, "evicted");
    // A layer that something else on the engine holds stays, and then it was not emptied.
    assert!(told.contains("cache was emptied") || told.contains("no longer has the result"), "{told}");

    // What another builder has is nothing to this one: that both of them are the same engine's here is undone by a prune.
    bench.prune();
    let other = Other::create(&engine);
    bench.configure(&other.name, false);
    let elsewhere = bench.build(&[]);
    let follow = Follows("other_builder", 2);
    expect(
        "another builder",
        &elsewhere,
        &[Root("other_builder", "likely"), follow, follow, follow, follow, follow],
    );
    assert!(evidence(&elsewhere, "other_builder").contains(&other.name));
    bench.share("caches");
}

#[test]
fn a_collection_that_keeps_little_is_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.configure(&testbed::builder(), false);
    bench.prune();
    let records = results(&bench.build(&[]).events);
    // Another project's results are kept, for they were used last; whoever collects takes those that nothing is built on.
    let other = Bench::new(&engine, DOCKERFILE);
    other.configure(&testbed::builder(), false);
    other.build(&[]);
    bench.forget_images();
    for _ in 0..9 {
        for record in &records {
            docker(&["buildx", "prune", "--builder", BUILDER, "-af", "--filter", &format!("id={record}")]);
        }
    }
    let found = bench.build(&[]);
    let follow = Follows("evicted", 2);
    expect("collected", &found, &[Root("evicted", "proven"), follow, follow, follow, follow, follow]);
    // A rule is not named where none can have done it.
    let told = evidence(&found, "evicted");
    assert!(!told.contains("emptied") && !told.contains("garbage collection took"), "{told}");
    assert!(found.plan.to_string().contains("evicted"), "{:#}", found.plan);
    bench.share("a collection");
}

#[test]
fn a_platform_that_was_left_out_is_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.build(&["--platform", AMD]);
    let both = bench.build(&[]);
    expect_on("built before", &both, AMD, &HITS);
    let follow = Follows("platform_not_cached", 2);
    let first = Root("platform_not_cached", "proven");
    expect_on("not built before", &both, ARM, &[first, follow, follow, follow, follow, follow]);
    assert_eq!(planned(&both.plan, AMD, "predicted"), ["hit"; 6], "{:#}", both.plan);
    bench.share("platforms");
}

#[test]
fn stages_are_followed() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, STAGES);
    bench.build(&[]);
    bench.replace("echo tools", "echo more tools");
    let changed = bench.build(&[]);
    // The final stage comes first: WORKDIR, COPY, RUN; then the tools.
    let from = Follows("parent_missed", 2);
    expect("a stage", &changed, &[OWN, from, from, Root("instruction_changed", "proven")]);
    let filtered = bench.build(&["--", "--no-cache-filter", "tools"]);
    // It makes the same again, and who copies from it finds it unchanged.
    expect("a filter", &filtered, &[OWN, Any, Any, Root("no_cache", "proven")]);
    bench.share("stages");
}

#[test]
fn another_engine_is_said() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let Some(second) = Second::start(&engine, &serde_json::json!({}), &[]) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.configure(&testbed::builder(), false);
    bench.build(&second::WORDS);
    bench.on(second.host());
    bench.configure(second::BUILDER, false);
    let elsewhere = bench.build(&second::WORDS);
    let follow = Follows("other_builder", 2);
    let first = Root("other_builder", "likely");
    expect("another engine", &elsewhere, &[first, follow, follow, follow, follow, follow]);
    assert!(evidence(&elsewhere, "other_builder").contains(&testbed::builder()), "{:#}", elsewhere.summary);
    expect("nothing", &bench.build(&second::WORDS), &[From("local"); 6]);

    bench.share("another engine");
}

#[test]
fn a_cache_that_is_too_large_is_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.build(&[]);
    bench.pad_cache("cache");
    bench.prune();
    let found = bench.build(&[]);
    let follow = Follows("config_too_large", 2);
    let first = Root("config_too_large", "proven");
    expect("too large", &found, &[first, follow, follow, follow, follow, follow]);
    assert!(evidence(&found, "config_too_large").contains("BuildKit imports 1048576 B at most"));
    bench.share("a cache that is too large");
}

/// Forms of instructions that take files in other ways: a layer of its own, what is mounted, and a base image's triggers.
const FORMS: &str = "FROM BASE AS tools
RUN echo tools MARKER > /tool
FROM BASE
WORKDIR /app/MARKER
RUN --mount=type=bind,source=requirements.txt,target=/list cat /list > /a
RUN --mount=type=bind,from=tools,source=/tool,target=/tool cat /tool > /b
COPY --link src/ src/
RUN echo after > /after
";

#[test]
fn other_ways_to_take_files_are_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, FORMS);
    bench.build(&[]);
    expect("nothing", &bench.build(&[]), &[Hit; 6]);
    bench.append("requirements.txt", "requests");
    let from = |index| Follows("parent_missed", index);
    let mounted = Root("files_changed", "proven");
    let changed = bench.build(&[]);
    expect("a mount from the context", &changed, &[Hit, mounted, from(3), from(3), from(3), Hit]);
    bench.replace("echo tools", "echo more tools");
    let other = Root("instruction_changed", "proven");
    // What is copied in a layer of its own is laid anew upon what is another.
    expect("a mount from a stage", &bench.build(&[]), &[Hit, Hit, from(2), from(2), from(2), other]);
    bench.project.write("src/main.py", "print(2)\n");
    expect("a layer of its own", &bench.build(&[]), &[Hit, Hit, Hit, mounted, from(5), Hit]);
    let filtered = bench.build(&["--", "--no-cache-filter", "tools"]);
    expect("a filter", &filtered, &[Hit, Any, Any, Any, Any, Root("no_cache", "proven")]);
    bench.share("forms");
}
