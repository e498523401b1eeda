//! Plans on a real engine: before each build it is asked what it would do, then it is built, and both are compared step by step on
//! both platforms.
//!
//! They run where `LAYERTOP_TEST_ENGINE_UP` is set, as those of `engine.rs`; they prune its builder.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it is skipped, in its helpers too"
)]

#[path = "common/process.rs"]
mod process;
#[expect(dead_code, reason = "shared with tests that need all of the engine")]
#[path = "common/testbed.rs"]
mod testbed;

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use process::{Ended, Project, run};
use testbed::{BUILDER, Engine, For, docker};

const AMD: &str = "linux/amd64";
const ARM: &str = "linux/arm64";

/// Six steps, of which each can be made to miss by itself.
const DOCKERFILE: &str = "FROM BASE
WORKDIR /app/MARKER
COPY list.txt .
RUN echo \"pip install -r list.txt MARKER\" > /pip
ARG FLAVOUR=plain
RUN echo \"taste $FLAVOUR\" > /taste
COPY src/ src/
RUN echo compile > /out
";

/// Two stages, of which one is copied from.
const STAGES: &str = "FROM BASE AS tools
RUN echo tools MARKER > /tool
FROM BASE
WORKDIR /app/MARKER
COPY --from=tools /tool /tool
RUN cat /tool > /copy
";

/// A project of its own, planned and built again and again.
struct Bench<'a> {
    engine: &'a Engine,
    project: Project,
    /// Steps that were compared, and those of which the plan said what then happened.
    compared: Cell<(u32, u32)>,
}

impl<'a> Bench<'a> {
    fn new(engine: &'a Engine, dockerfile: &str) -> Self {
        let project = engine.project(dockerfile);
        project.write("list.txt", "numpy==1\n");
        project.write("src/main.py", "print(1)\n");
        project.write(".dockerignore", "**/*.log\n");
        let bench = Self { engine, project, compared: Cell::default() };
        bench.configure(BUILDER, true);
        bench
    }

    fn configure(&self, builder: &str, cache: bool) {
        let cache = if cache { "cache = \"cache\"\n" } else { "" };
        let config = format!(
            "[image]\nregistry = \"{}\"\nname = \"{}\"\nplatforms = [\"{AMD}\", \"{ARM}\"]\n\
             [build]\nbuilder = \"{builder}\"\npush = true\n{cache}",
            self.engine.registry,
            self.name()
        );
        self.project.write("layertop.toml", &config);
    }

    fn name(&self) -> String {
        format!("layertop-test/plan-{}", self.project.marker)
    }

    fn layertop(&self, command: &[&str], words: &[&str]) -> Ended {
        run(&mut self.project.layertop(&[command, words].concat()))
    }

    fn plan(&self, words: &[&str]) -> Value {
        let ended = self.layertop(&["plan", "--progress", "json"], words);
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        ended.events().pop().unwrap()
    }

    /// Plans, builds, and holds the one against the other. Every step but the base image's counts: whether that has to be fetched is up
    /// to what else the engine holds, and is never said to be proven.
    #[track_caller]
    fn check(&self, what: &str, words: &[&str]) -> Value {
        let plan = self.plan(words);
        let ended = self.layertop(&["build", "--progress", "json"], words);
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let built = ended.summary();
        let (mut all, mut right) = self.compared.get();
        for step in built["steps"].as_array().unwrap() {
            let same = |other: &&Value| {
                ["stage", "index", "platform"].iter().all(|field| other[field] == step[field])
            };
            let told = plan["steps"].as_array().unwrap().iter().find(same);
            let told = told.unwrap_or_else(|| panic!("{what}: not planned: {step:#}\n{plan:#}"));
            let agrees = match step["state"].as_str().unwrap() {
                "miss" => told["predicted"] == "miss",
                // A step that a hit made unnecessary was not rebuilt.
                "hit" | "not_needed" => told["predicted"] == "hit",
                other => panic!("{what}: {other}"),
            };
            let known = told["predicted"] != "unknown";
            assert!(agrees || !known || told["grade"] != "proven", "{what}: {step:#}\nplanned: {told:#}");
            assert_eq!(told["predicted"] == "hit", told["reason"].is_null(), "{what}: {told:#}");
            if !step["instruction"].as_str().unwrap().starts_with("FROM ") {
                all += 1;
                right += u32::from(agrees);
                if !agrees {
                    println!(
                        "{what}: {} {}: planned {}, {}: {}; {}",
                        step["platform"],
                        step["instruction"],
                        told["predicted"],
                        told["grade"],
                        told["reason"],
                        step["state"]
                    );
                }
            }
        }
        self.compared.set((all, right));
        plan
    }

    /// Prints the share of steps that went as planned, and asserts that it is at least 99 of 100.
    #[track_caller]
    fn share(&self, what: &str) {
        let (all, right) = self.compared.get();
        println!("{what}: {right} of {all} steps went as planned");
        assert!(all > 0 && right * 100 >= all * 99, "{what}: {right} of {all}");
    }

    fn append(&self, file: &str, line: &str) {
        let path = self.project.folder().join(file);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{before}{line}\n")).unwrap();
    }

    /// Takes a tag out of the registry.
    fn delete(&self, tag: &str) {
        let url = format!("http://{}/v2/{}/manifests/", self.engine.registry, self.name());
        let accept =
            "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
        let head = run(Command::new("curl").args(["-fsSI", "-H", accept, &format!("{url}{tag}")]));
        let found = head.stdout.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("docker-content-digest").then(|| value.trim().to_owned())
        });
        let digest = found.unwrap_or_else(|| panic!("{head:?}"));
        let gone = run(Command::new("curl").args(["-fsS", "-X", "DELETE", &format!("{url}{digest}")]));
        assert!(gone.status.success(), "{gone:?}");
    }

    /// The builder keeps nothing. Images hold the content of what they share with its cache.
    fn prune(&self) {
        let all = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        for image in all.lines().filter(|image| image.contains(&self.project.marker)) {
            docker(&["image", "rm", "--force", image]);
        }
        docker(&["buildx", "prune", "--builder", BUILDER, "-af"]);
    }
}

/// What is planned for the steps of a platform but the base image's.
fn planned<'v>(plan: &'v Value, platform: &str, field: &str) -> Vec<&'v str> {
    let steps = plan["steps"].as_array().unwrap().iter().filter(|step| step["platform"] == platform);
    let own = steps.filter(|step| !step["instruction"].as_str().unwrap().starts_with("FROM "));
    own.map(|step| step[field].as_str().unwrap_or("")).collect()
}

#[test]
fn changes_go_as_planned() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    let file = |name: &str| bench.project.folder().join(name);
    bench.check("first", &[]);
    let plan = bench.check("nothing", &[]);
    assert_eq!(planned(&plan, ARM, "predicted"), ["hit"; 6], "{plan:#}");

    bench.append("list.txt", "requests==2.32.0");
    let said = bench.layertop(&["plan", "--progress", "plain"], &[]);
    assert_eq!(said.code(), Some(0), "{said:?}");
    assert!(
        said.stdout.contains("a build now would rebuild ") && said.stdout.contains("list.txt changed"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("○ would run"), "{}", said.stdout);
    let plan = bench.plan(&[]);
    let mut steps = plan["steps"].as_array().unwrap().iter();
    let copy = steps.find(|step| step["instruction"].as_str().unwrap().starts_with("COPY list.txt")).unwrap();
    let layer = copy["layer"].as_str().unwrap().to_owned();
    let broken = bench.layertop(&["plan", "--progress", "quiet", "--fail-on-rebuild"], &[&layer]);
    assert_eq!(broken.code(), Some(3), "{broken:?}");
    assert!(broken.stderr.contains("would be rebuilt on linux/arm64"), "{}", broken.stderr);
    let strange = bench.layertop(&["plan", "--fail-on-rebuild", "nobody"], &[]);
    assert_eq!(strange.code(), Some(2), "{strange:?}");
    let plan = bench.check("a file", &[]);
    assert_eq!(planned(&plan, AMD, "predicted"), ["hit", "miss", "miss", "miss", "miss", "miss"], "{plan:#}");
    let steps = plan["steps"].as_array().unwrap().iter();
    let kinds: Vec<&Value> =
        steps.map(|step| &step["reason"]["kind"]).filter(|kind| !kind.is_null()).collect();
    assert!(
        kinds.contains(&&"files_changed".into()) && kinds.contains(&&"parent_missed".into()),
        "{kinds:?}"
    );
    assert!(plan["steps"].as_array().unwrap().iter().any(|step| step["expected_ms"].is_u64()), "{plan:#}");
    let sound = bench.layertop(&["plan", "--progress", "quiet", "--fail-on-rebuild"], &[&layer]);
    assert_eq!(sound.code(), Some(0), "{sound:?}");

    fs::set_permissions(file("src/main.py"), fs::Permissions::from_mode(0o755)).unwrap();
    bench.check("a mode", &[]);

    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(file("src/main.py")).unwrap().set_modified(old).unwrap();
    bench.check("a time", &[]);

    bench.project.write("src/x.log", "ignored\n");
    bench.check("an ignored file", &[]);

    bench.check("an argument", &["--", "--build-arg", "FLAVOUR=sweet"]);
    bench.check(
        "an argument that nobody declares",
        &["--", "--build-arg", "FLAVOUR=sweet", "--build-arg", "NOBODY=1"],
    );

    bench.project.write("list.txt", "numpy==1\n");
    fs::set_permissions(file("src/main.py"), fs::Permissions::from_mode(0o644)).unwrap();
    let plan = bench.check("what it was at first", &[]);
    assert_eq!(planned(&plan, AMD, "predicted"), ["hit"; 6], "{plan:#}");

    let text = fs::read_to_string(file("Dockerfile")).unwrap();
    bench.project.write("Dockerfile", &text.replace("echo compile", "echo compile all"));
    bench.check("an instruction", &[]);
    bench.check("--no-cache", &["--", "--no-cache"]);
    bench.share("changes");
}

#[test]
fn a_base_image_that_moved_goes_as_planned() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    let base = format!("{}/{}:base", engine.registry, bench.name());
    let push = |what: &str| {
        let folder = bench.project.beside("base");
        fs::create_dir_all(&folder).unwrap();
        let dockerfile = format!("FROM {}\nRUN echo {what} > /base\n", engine.base());
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
    let text = fs::read_to_string(bench.project.folder().join("Dockerfile")).unwrap();
    bench.project.write("Dockerfile", &text.replace(&engine.base(), &base));
    bench.check("first", &[]);
    push("two");
    let plan = bench.check("moved", &[]);
    let told = plan.to_string();
    assert!(told.contains("base_moved"), "{plan:#}");
    bench.share("a base image");
}

#[test]
fn what_caches_lost_goes_as_planned() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.check("first", &[]);
    bench.prune();
    let plan = bench.check("pruned, with the registry's cache", &[]);
    assert_eq!(planned(&plan, ARM, "source"), ["registry"; 6], "{plan:#}");
    bench.check("nothing", &[]);
    bench.prune();
    bench.delete("cache");
    let plan = bench.check("pruned, and the cache deleted", &[]);
    assert!(plan.to_string().contains("manifest_missing"), "{plan:#}");
    bench.prune();
    let plan = bench
        .check("pruned, and the registry down", &["--", "--cache-from=type=registry,ref=127.0.0.1:1/a:b"]);
    assert!(plan.to_string().contains("import_failed"), "{plan:#}");
    bench.configure(BUILDER, false);
    bench.prune();
    let plan = bench.check("pruned", &[]);
    assert_eq!(planned(&plan, AMD, "grade"), ["proven"; 6], "{plan:#}");
    bench.prune();
    let other = Other::create(&engine);
    bench.configure(&other.name, false);
    bench.check("another builder", &[]);
    bench.check("another builder, again", &[]);
    bench.share("caches");
}

#[test]
fn a_collection_that_keeps_little_goes_as_planned() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.configure(BUILDER, false);
    bench.prune();
    bench.check("first", &[]);
    let list = || docker(&["buildx", "du", "--builder", BUILDER, "--verbose"]);
    let ids: Vec<String> =
        list().lines().filter_map(|line| line.strip_prefix("ID:").map(|id| id.trim().to_owned())).collect();
    // Another project's results are kept.
    let other = Bench::new(&engine, DOCKERFILE);
    other.configure(BUILDER, false);
    other.check("another project", &[]);
    let images = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
    for image in images.lines().filter(|image| image.contains(&bench.project.marker)) {
        docker(&["image", "rm", "--force", image]);
    }
    // Whoever collects takes those that nothing is built on.
    for _ in 0..9 {
        for id in &ids {
            docker(&["buildx", "prune", "--builder", BUILDER, "-af", "--filter", &format!("id={id}")]);
        }
    }
    let plan = bench.check("collected", &[]);
    assert!(plan.to_string().contains("evicted"), "{plan:#}");
    bench.share("a collection");
}

#[test]
fn a_platform_that_was_left_out_goes_as_planned() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.check("one", &["--platform", AMD]);
    let plan = bench.check("both", &[]);
    assert_eq!(planned(&plan, AMD, "predicted"), ["hit"; 6], "{plan:#}");
    bench.share("platforms");
}

#[test]
fn stages_go_as_planned() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let bench = Bench::new(&engine, STAGES);
    bench.check("first", &[]);
    bench.check("nothing", &[]);
    let text = fs::read_to_string(bench.project.folder().join("Dockerfile")).unwrap();
    bench.project.write("Dockerfile", &text.replace("echo tools", "echo more tools"));
    bench.check("a stage", &[]);
    bench.prune();
    bench.check("pruned, with the registry's cache", &[]);
    bench.share("stages");
}

/// A builder that is removed when its test ends.
struct Other {
    name: String,
}

impl Other {
    fn create(engine: &Engine) -> Self {
        let own = Self { name: format!("lt-plan-{}", std::process::id()) };
        let image = format!("image={}/testbed/buildkit-bridge:latest,network=host", engine.registry);
        let words = ["buildx", "create", "--name", &own.name, "--driver", "docker-container"];
        docker(
            &[&words[..], &["--driver-opt", &image, "--platform", "linux/amd64,linux/arm64", "--bootstrap"]]
                .concat(),
        );
        own
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["buildx", "rm", "--force", &self.name]).output();
    }
}
