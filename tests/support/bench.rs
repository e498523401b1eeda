//! A project that is planned and built again and again, on a real engine: before each build it is asked what it would do, and
//! the plan is held against what the build then did, step by step on both platforms.

use std::cell::{Cell, RefCell};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use serde_json::Value;

use crate::support::process::{Ended, Project, run};
use crate::support::testbed::{self, BUILDER, Engine, docker, looked};

pub(crate) const AMD: &str = "linux/amd64";
pub(crate) const ARM: &str = "linux/arm64";

/// Six steps, of which each can be made to miss by itself.
pub(crate) const DOCKERFILE: &str = "FROM BASE
WORKDIR /app/MARKER
COPY requirements.txt .
RUN echo \"pip install -r requirements.txt MARKER\" > /pip
ARG FLAVOUR=plain
RUN echo \"taste $FLAVOUR\" > /taste
COPY src/ src/
RUN --mount=type=secret,id=token echo compile > /out
";

/// Two stages, of which one is copied from.
pub(crate) const STAGES: &str = "FROM BASE AS tools
RUN echo tools MARKER > /tool
FROM BASE
WORKDIR /app/MARKER
COPY --from=tools /tool /tool
RUN cat /tool > /copy
";

/// Steps that all tests have compared, and those of which the plan said what then happened.
static ALL: AtomicU32 = AtomicU32::new(0);
static RIGHT: AtomicU32 = AtomicU32::new(0);

/// A project of its own.
pub(crate) struct Bench<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) project: Project,
    /// Steps that were compared, and those of which the plan said what then happened.
    compared: Cell<(u32, u32)>,
    /// Steps beside them of which nobody but the builder can say it.
    asked: Cell<u32>,
    /// What was said of those of which it was wrong, and what happened.
    wrong: RefCell<Vec<String>>,
    /// The engine that it is built on; none: the one that all tests share.
    host: RefCell<Option<String>>,
}

/// A plan, and what became of it.
pub(crate) struct Built {
    pub(crate) plan: Value,
    pub(crate) summary: Value,
    pub(crate) events: Vec<Value>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(engine: &'a Engine, dockerfile: &str) -> Self {
        let project = engine.project(dockerfile);
        project.write("requirements.txt", "numpy==1\n");
        project.write("src/main.py", "print(1)\n");
        project.write(".dockerignore", "**/*.log\n");
        let bench = Self {
            engine,
            project,
            compared: Cell::default(),
            asked: Cell::default(),
            wrong: RefCell::default(),
            host: RefCell::default(),
        };
        bench.configure(&testbed::builder(), true);
        bench
    }

    /// Which builder it is built on, and whether it has a cache in the registry.
    pub(crate) fn configure(&self, builder: &str, cache: bool) {
        let cache = if cache { "cache = \"cache\"\n" } else { "" };
        let config = format!(
            "[image]\nregistry = \"{}\"\nname = \"{}\"\nplatforms = [\"{AMD}\", \"{ARM}\"]\n\
             [build]\nbuilder = \"{builder}\"\npush = true\n{cache}",
            self.engine.registry,
            self.name()
        );
        self.project.write("layertop.toml", &config);
    }

    /// From now on it is built on another engine.
    pub(crate) fn on(&self, host: String) {
        *self.host.borrow_mut() = Some(host);
    }

    pub(crate) fn name(&self) -> String {
        format!("layertop-test/{}", self.project.marker)
    }

    pub(crate) fn layertop(&self, command: &[&str], words: &[&str]) -> Ended {
        let mut command = self.project.layertop(&[command, words].concat());
        if let Some(host) = self.host.borrow().as_ref() {
            command.env("DOCKER_HOST", host);
        }
        run(&mut command)
    }

    /// What a build with these words would do.
    pub(crate) fn plan(&self, words: &[&str]) -> Value {
        let ended = self.layertop(&["plan", "--progress", "json"], words);
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        ended.events().pop().unwrap()
    }

    /// Plans and builds with these words, and holds the one against the other.
    #[track_caller]
    pub(crate) fn build(&self, words: &[&str]) -> Built {
        let plan = self.plan(words);
        let ended = self.layertop(&["build", "--progress", "json"], words);
        let tail: Vec<&str> = ended.stdout.lines().rev().take(6).collect();
        assert_eq!(ended.code(), Some(0), "{tail:#?}{}", ended.stderr);
        let looked = looked(&self.project, &ended.summary(), self.host.borrow().as_deref());
        let built = Built { plan, summary: looked.summary(), events: looked.events() };
        self.compare(&built);
        built
    }

    /// What was said to be proven must be so. Every step but the base image's counts: whether that has to be fetched is up to what else
    /// the engine holds, and is never said to be proven.
    #[track_caller]
    fn compare(&self, built: &Built) {
        let (mut all, mut right) = self.compared.get();
        for step in built.summary["steps"].as_array().unwrap() {
            let same = |other: &&Value| {
                ["stage", "index", "platform"].iter().all(|field| other[field] == step[field])
            };
            let told = built.plan["steps"].as_array().unwrap().iter().find(same);
            let told = told.unwrap_or_else(|| panic!("not planned: {step:#}\n{:#}", built.plan));
            let agrees = match step["state"].as_str().unwrap() {
                "miss" => told["predicted"] == "miss",
                // A step that a hit made unnecessary was not rebuilt.
                "hit" | "not_needed" => told["predicted"] == "hit",
                other => panic!("{other}: {step:#}"),
            };
            let known = told["predicted"] != "unknown";
            assert!(agrees || !known || told["grade"] != "proven", "{step:#}\nplanned: {told:#}");
            assert_eq!(told["predicted"] == "hit", told["reason"].is_null(), "{told:#}");
            // What only the builder sees can't be known: what an address gives, which files a base image's instruction takes.
            let asks = ["seen by the builder only", "only the builder sees"].iter().any(|words| {
                !known && told["reason"]["because"].as_str().is_some_and(|because| because.contains(words))
            });
            if asks {
                self.asked.set(self.asked.get() + 1);
            } else if !step["instruction"].as_str().unwrap().starts_with("FROM ") {
                all += 1;
                right += u32::from(agrees);
                if !agrees {
                    self.wrong.borrow_mut().push(format!(
                        "{} {}: planned {}, {}, {} {}: {}; {}",
                        step["platform"],
                        step["instruction"],
                        told["predicted"],
                        told["grade"],
                        told["source"],
                        told["source_evidence"],
                        told["reason"],
                        step["state"]
                    ));
                }
            }
        }
        self.compared.set((all, right));
    }

    /// Prints the share of steps that went as planned, and asserts that it is at least 99 of 100.
    #[track_caller]
    pub(crate) fn share(&self, what: &str) {
        let (all, right) = self.compared.get();
        let asked = self.asked.get();
        println!(
            "{what}: {right} of {all} steps went as planned; {asked} beside them only the builder can tell"
        );
        let (before, before_right) = (ALL.fetch_add(all, SeqCst), RIGHT.fetch_add(right, SeqCst));
        println!("of all so far: {} of {} steps went as planned", before_right + right, before + all);
        let wrong = self.wrong.borrow().join("\n");
        assert!(all > 0 && right * 100 >= all * 99, "{what}: {right} of {all}\n{wrong}");
    }

    /// What `layertop why` says of the newest build.
    pub(crate) fn why(&self, words: &[&str]) -> String {
        let ended = self.layertop(&["why", "--progress", "plain"], words);
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        ended.stdout
    }

    pub(crate) fn append(&self, file: &str, line: &str) {
        let path = self.project.folder().join(file);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{before}{line}\n")).unwrap();
    }

    /// Puts another text into the Dockerfile.
    pub(crate) fn replace(&self, from: &str, to: &str) {
        let path = self.project.folder().join("Dockerfile");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The builder keeps nothing.
    pub(crate) fn prune(&self) {
        self.forget_images();
        testbed::prune(BUILDER);
    }

    /// Images hold the content of what they share with the builder's cache.
    pub(crate) fn forget_images(&self) {
        let all = self.docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        for image in all.lines().filter(|image| image.contains(&self.project.marker)) {
            self.docker(&["image", "rm", "--force", image]);
        }
    }

    /// What a docker command says on the engine that it is built on; it must succeed.
    pub(crate) fn docker(&self, words: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.args(words);
        if let Some(host) = self.host.borrow().as_ref() {
            command.env("DOCKER_HOST", host);
        }
        let ended = run(&mut command);
        assert!(ended.status.success(), "docker {words:?}: {ended:?}");
        ended.stdout
    }

    /// Makes the config of a cache in the registry so large that `BuildKit` does not import it.
    pub(crate) fn pad_cache(&self, tag: &str) {
        let url = format!("http://{}/v2/{}", self.engine.registry, self.name());
        let curl = |words: &[&str]| {
            let ended = run(Command::new("curl").args(["-fsS"]).args(words));
            assert!(ended.status.success(), "{words:?}: {ended:?}");
            ended.stdout
        };
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = format!("{url}/manifests/{tag}");
        let mut cache: Value =
            serde_json::from_str(&curl(&["-H", &format!("Accept: {kind}"), &manifest])).unwrap();
        let digest = cache["config"]["digest"].as_str().unwrap().to_owned();
        let config = curl(&[&format!("{url}/blobs/{digest}")]) + &" ".repeat(1 << 20);
        let file = self.project.beside("config");
        fs::write(&file, &config).unwrap();
        let sum = run(Command::new("sha256sum").arg(&file)).stdout;
        let digest = format!("sha256:{}", sum.split(' ').next().unwrap());
        let head = curl(&["-X", "POST", "-i", &format!("{url}/blobs/uploads/")]);
        let place = head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().trim();
        let data = format!("@{}", file.display());
        curl(&[
            "-X",
            "PUT",
            "-H",
            "Content-Type: application/octet-stream",
            "--data-binary",
            &data,
            &format!("{place}&digest={digest}"),
        ]);
        (cache["config"]["digest"], cache["config"]["size"]) = (digest.into(), config.len().into());
        fs::write(&file, cache.to_string()).unwrap();
        curl(&["-X", "PUT", "-H", &format!("Content-Type: {kind}"), "--data-binary", &data, &manifest]);
    }

    /// Takes a tag out of the registry.
    pub(crate) fn delete(&self, tag: &str) {
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
}

/// What is planned for the steps of a platform but the base image's.
pub(crate) fn planned<'v>(plan: &'v Value, platform: &str, field: &str) -> Vec<&'v str> {
    let steps = plan["steps"].as_array().unwrap().iter().filter(|step| step["platform"] == platform);
    let own = steps.filter(|step| !step["instruction"].as_str().unwrap().starts_with("FROM "));
    own.map(|step| step[field].as_str().unwrap_or("")).collect()
}

/// A builder that is removed when its test ends.
pub(crate) struct Other {
    pub(crate) name: String,
}

impl Other {
    pub(crate) fn create(engine: &Engine) -> Self {
        let own = Self { name: format!("lt-other-{}", std::process::id()) };
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
