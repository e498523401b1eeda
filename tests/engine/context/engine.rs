//! The engine's own caches, and what arrives in its images.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use layertop::event::fingerprint::{Fingerprint, Input, Stage as StageOf, StepKind};
use layertop::event::{Platform, Text};
use nix::fcntl::{Flock, FlockArg};
use rustix::fs::XattrFlags;
use serde_json::Value;

use crate::support::tree::{Project, paths};

const BUILDER: &str = "multiarch-builder";

/// The stage that wants all others. What it takes from them may be the same though they ran anew, so that it is no measure.
const ALL: &str = "all";

/// The test engine, held against being pruned.
struct Engine {
    registry: String,
    _lock: Flock<File>,
}

impl Engine {
    fn get() -> Option<Self> {
        if env::var_os("LAYERTOP_TEST_ENGINE_UP").is_none() {
            let why = env::var("LAYERTOP_TEST_ENGINE_WHY");
            let why = why.unwrap_or_else(|_| "no test engine: run `bash tests/run.sh`".to_owned());
            assert!(env::var("CI").as_deref() != Ok("true"), "under CI this must run: {why}");
            println!("skipped: {why}");
            return None;
        }
        let registry = env::var("REGISTRY").unwrap();
        let file = File::create(env::temp_dir().join("layertop-test-engine.lock")).unwrap();
        let lock = Flock::lock(file, FlockArg::LockShared).map_err(|(_, error)| error).unwrap();
        Some(Self { registry, _lock: lock })
    }

    /// The base image of the examples.
    fn base(&self) -> String {
        format!("{}/base/miniconda3:latest", self.registry)
    }

    /// Builds, and tells what came of it.
    fn build(project: &Project, output: &str) -> Built {
        let request = &project.request;
        let mut command = Command::new("docker");
        command.args(["buildx", "build", "--builder", BUILDER, "--progress", "rawjson", "--output", output]);
        let platforms: Vec<&str> = request.platforms.iter().map(Platform::as_str).collect();
        command.arg("--platform").arg(platforms.join(","));
        for (name, value) in &request.args {
            command.arg("--build-arg").arg(format!("{name}={value}"));
        }
        for (name, value) in &request.contexts {
            command.arg("--build-context").arg(format!("{name}={value}"));
        }
        for (name, value) in &request.run_options {
            command.arg(format!("--{name}={value}"));
        }
        let target = request.target.iter().flat_map(|target| ["--target", target]);
        let ended = command.args(target).arg(".").current_dir(&request.cwd).output().unwrap();
        let text = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{text}");
        let mut built = Built { cached: BTreeMap::new(), sent: 0 };
        for value in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            for vertex in value["vertexes"].as_array().into_iter().flatten() {
                let cached = built.cached.entry(vertex["name"].as_str().unwrap().to_owned()).or_insert(false);
                *cached |= vertex["cached"].as_bool().unwrap_or_default();
            }
            for status in value["statuses"].as_array().into_iter().flatten() {
                if status["id"] == "transferring context:" {
                    built.sent = built.sent.max(status["current"].as_u64().unwrap());
                }
            }
        }
        built
    }
}

/// What the engine did.
struct Built {
    /// Each vertex, with whether it was cached.
    cached: BTreeMap<String, bool>,
    /// Bytes of the context that it fetched: the changed files, where it has the rest.
    sent: u64,
}

/// Which steps must miss: those that no earlier fingerprint had with the same hash behind the same steps and inputs. As
/// `stage number platform`. What is made now is `known` from then on.
fn expected(known: &mut HashSet<String>, made: &Fingerprint) -> BTreeSet<String> {
    let mut ends: Vec<String> = Vec::new();
    let mut names = BTreeSet::new();
    for stage in &made.stages {
        let of = |input: &Input| match input {
            Input::Stage(on) => ends[*on as usize].clone(),
            other => format!("{other:?}"),
        };
        let mut chain = of(&stage.base);
        for (at, step) in stage.steps.iter().enumerate() {
            assert!(step.complete, "{step:?}");
            let inputs = step.sources.iter().filter_map(|source| source.from.as_ref());
            let mounts = step.mounts.iter().filter_map(|mount| mount.from.as_ref());
            let inputs: Vec<String> = inputs.chain(mounts).map(of).collect();
            let whole = format!("{chain} {inputs:?} {}", step.hash);
            chain = blake3::hash(whole.as_bytes()).to_string();
            let counts = matches!(step.kind, StepKind::Run | StepKind::Copy | StepKind::Add);
            let is_new = known.insert(chain.clone());
            if is_new && counts && stage.name.as_ref().map(Text::as_str) != Some(ALL) {
                names.insert(name(stage.name.as_ref(), at + 1, step.platform.as_ref()));
            }
        }
        ends.push(chain);
    }
    names
}

fn name(stage: Option<&Text>, number: usize, platform: Option<&Platform>) -> String {
    let platform = platform.map_or("", Platform::as_str);
    format!("{} {number} {platform}", stage.map_or("", Text::as_str)).trim().to_owned()
}

/// Which steps missed, named likewise.
fn missed(made: &Fingerprint, built: &Built) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (vertex, cached) in &built.cached {
        let layertop::model::VertexKind::Step(step) =
            layertop::model::name::parse(&Text::from(vertex.as_str()))
        else {
            continue;
        };
        // A base image's vertex has the name that the first build gave it that wanted it.
        if step.is_from() || step.stage.as_ref().map(Text::as_str) == Some(ALL) {
            continue;
        }
        let (_, known) = made.step(step.stage.as_ref(), step.index, step.platform.as_ref()).unwrap();
        assert_eq!(known.platform, step.platform, "{vertex}");
        assert_eq!(known.runs_on, step.runs_on, "{vertex}");
        assert_eq!(known.instruction, step.instruction, "{vertex}");
        if !cached && matches!(known.kind, StepKind::Run | StepKind::Copy | StepKind::Add) {
            names.insert(name(step.stage.as_ref(), step.index.into(), step.platform.as_ref()));
        }
    }
    names
}

fn xattr(path: &Path, value: &str) {
    rustix::fs::lsetxattr(path, "user.layertop", value.as_bytes(), XattrFlags::empty()).unwrap();
}

/// A change of a project, and the steps that miss by it.
type Change<'a> = (&'a str, &'a [&'a str], &'a dyn Fn(&mut Project));

/// A file of the context that no change touches, larger than all others together: who fetches as much fetches all.
const LARGE: usize = 64 << 10;

/// The steps that copy files.
fn copies(made: &Fingerprint) -> BTreeSet<String> {
    let steps = |stage: &StageOf| {
        let copies = stage
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| matches!(step.kind, StepKind::Copy | StepKind::Add));
        copies.map(|(at, step)| name(stage.name.as_ref(), at + 1, step.platform.as_ref())).collect::<Vec<_>>()
    };
    made.stages.iter().flat_map(steps).collect()
}

/// Makes one change after the other, and holds what is predicted and what the engine does against each other and against
/// what is said to miss.
///
/// An engine whose copy of the context is still in use by the build before, or was collected, fetches all of it again. Modes
/// of folders and extended attributes count then, so that more steps that copy may miss than are said to.
fn agree(project: &mut Project, changes: &[Change<'_>]) {
    let first = project.print();
    let mut known = HashSet::new();
    let predicted = expected(&mut known, &first);
    let mut anew = 0;
    assert_eq!(predicted, missed(&first, &Engine::build(project, "type=cacheonly")), "the first build");
    for (what, said, change) in changes {
        change(project);
        let made = project.print();
        let predicted = expected(&mut known, &made);
        let built = Engine::build(project, "type=cacheonly");
        let seen = missed(&made, &built);
        let said: BTreeSet<String> = said.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(predicted, said, "what was predicted: {what}");
        if built.sent < LARGE as u64 {
            assert_eq!(seen, said, "what the engine did: {what}");
            continue;
        }
        anew += 1;
        println!("{what}: the engine fetched all of the context again, {} bytes", built.sent);
        assert!(said.is_subset(&seen), "what the engine did: {what}: {seen:?}");
        assert!(
            seen.difference(&said).all(|name| copies(&made).contains(name)),
            "what the engine did: {what}: {seen:?}"
        );
    }
    assert!(anew * 4 <= changes.len(), "{anew} of {} builds took the whole context", changes.len());
}

/// Something that no earlier build has seen.
fn marker() -> String {
    let folder = tempfile::Builder::new().rand_bytes(12).tempdir().unwrap();
    folder.path().file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn files_count_as_the_engine_counts_them() {
    let Some(_engine) = Engine::get() else { return };
    let marker = marker();
    let dockerfile = "FROM scratch AS folder\nCOPY src/ /d/\nFROM scratch AS names\nCOPY *.md one.txt /d/\n\
                      FROM scratch AS single\nCOPY other/f /f\nFROM scratch AS without\nCOPY --exclude=*.md --exclude=sub/c* src /d\n\
                      FROM scratch AS all\nCOPY --from=folder / /1\nCOPY --from=names / /2\nCOPY --from=single / /3\nCOPY --from=without / /4\n";
    let content = |name: &str| format!("{name} {marker}");
    let files: Vec<(&str, String)> = ["src/a", "src/sub/b", "a.md", "one.txt", "other/f", "unused"]
        .map(|name| (name, content(name)))
        .into_iter()
        .chain([
            (".dockerignore", "**/*.log\nsrc/secret\n".to_owned()),
            ("src/large", marker.repeat(LARGE / marker.len() + 1)),
        ])
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, content)| (*name, content.as_str())).collect();
    let mut project = Project::new(dockerfile, &files);
    let folder = &["folder 1", "without 1"][..];
    let only = &["folder 1"][..];
    let names = &["names 1"][..];
    let single = &["single 1"][..];
    let touch = |project: &Project, name: &str| {
        let file = File::options().append(true).open(project.path(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    agree(
        &mut project,
        &[
            ("nothing", &[], &|_| {}),
            ("content", folder, &|p| p.write("src/a", &content("other"))),
            ("mode of a file", folder, &|p| p.mode("src/a", 0o600)),
            ("set-user-id", folder, &|p| p.mode("src/a", 0o4755)),
            ("time", &[], &|p| touch(p, "src/a")),
            ("a new file", folder, &|p| p.write("src/new", &content("new"))),
            ("an excluded file", only, &|p| p.write("src/x.md", "x")),
            ("an excluded file below", only, &|p| p.write("src/sub/c1", "x")),
            ("a file below that is not", folder, &|p| p.write("src/sub/x.md", "x")),
            ("an ignored file", &[], &|p| p.write("src/sub/x.log", "x")),
            ("another ignored file", &[], &|p| p.write("src/secret", "x")),
            ("a file that is not ignored", folder, &|p| p.write("src/secrets", "x")),
            ("an empty folder", folder, &|p| fs::create_dir(p.path("src/empty")).unwrap()),
            ("mode of a folder", &[], &|p| p.mode("src/sub", 0o700)),
            ("mode of the copied folder", &[], &|p| p.mode("src", 0o700)),
            ("a new name", folder, &|p| fs::rename(p.path("src/new"), p.path("src/newer")).unwrap()),
            ("a link", folder, &|p| symlink("a", p.path("src/link")).unwrap()),
            ("another target", folder, &|p| {
                fs::remove_file(p.path("src/link")).unwrap();
                symlink("sub", p.path("src/link")).unwrap();
            }),
            ("a second name", folder, &|p| fs::hard_link(p.path("src/a"), p.path("src/a2")).unwrap()),
            ("a copy instead", &[], &|p| {
                fs::copy(p.path("src/a2"), p.path("src/a3")).unwrap();
                fs::rename(p.path("src/a3"), p.path("src/a2")).unwrap();
            }),
            ("an attribute", &[], &|p| xattr(&p.path("src/a"), "1")),
            ("owner", &[], &|p| {
                // Only root may; the group is its own then.
                let _ = std::os::unix::fs::lchown(p.path("src/a"), Some(1234), Some(77));
                p.mode("src/a", 0o4755);
            }),
            ("a pipe", folder, &|p| {
                nix::unistd::mkfifo(&p.path("src/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
            }),
            ("a socket", folder, &|p| {
                drop(std::os::unix::net::UnixListener::bind(p.path("src/socket")).unwrap());
            }),
            ("a file that the pattern finds", names, &|p| p.write("b.md", &content("b"))),
            ("a folder that it finds", names, &|p| fs::create_dir(p.path("c.md")).unwrap()),
            ("what is in that", names, &|p| p.write("c.md/x", "x")),
            ("a new name for it", names, &|p| fs::rename(p.path("b.md"), p.path("d.md")).unwrap()),
            ("what no step takes", &[], &|p| p.write("unused", "x")),
            ("another file", single, &|p| p.write("other/f", &content("new"))),
            ("a link in its place", &[], &|p| {
                fs::rename(p.path("other/f"), p.path("other/g")).unwrap();
                symlink("g", p.path("other/f")).unwrap();
            }),
            ("the link's target", single, &|p| p.write("other/g", &content("newer"))),
            ("a linked folder on the way", &[], &|p| {
                fs::rename(p.path("other"), p.path("moved")).unwrap();
                symlink("/moved", p.path("other")).unwrap();
            }),
            ("what is ignored", folder, &|p| p.write(".dockerignore", "**/*.log\nsrc/secret\nsrc/a2\n")),
            ("how it is ignored", &[], &|p| {
                p.write(".dockerignore", "# c\n**/*.log\nsrc/secret*\n!src/secrets\n/src/a2/\n");
            }),
            ("the Dockerfile's own", folder, &|p| p.write("Dockerfile.dockerignore", "src/sub\n")),
        ],
    );
}

/// A Dockerfile of one stage, and how it becomes another one.
struct Stage {
    head: String,
}

impl Stage {
    fn new(from: &str) -> Self {
        Self { head: format!("ARG GLOBAL=1\nFROM {from}\nENV MARK={}\n", marker()) }
    }

    fn project(&self, body: &str, files: &[(&str, &str)]) -> Project {
        Project::new(&format!("{}{body}\n", self.head), files)
    }

    fn is(&self, body: &str) -> impl Fn(&mut Project) + use<> {
        let text = format!("{}{body}\n", self.head);
        move |project| project.write("Dockerfile", &text)
    }
}

#[test]
fn commands_count_as_the_engine_counts_them() {
    let Some(engine) = Engine::get() else { return };
    let stage = Stage::new(&engine.base());
    let run = "ARG USED=1\nARG UNUSED=1\nARG GLOBAL\nRUN echo $USED";
    let mut project = stage.project(run, &[]);
    // The base image is a step of its own.
    let ran = &["2"][..];
    let arg = |name: &'static str, value: &'static str| {
        move |p: &mut Project| drop(p.request.args.insert(name.to_owned(), value.to_owned()))
    };
    let heredoc = |name: &str, line: &str| stage.is(&format!("RUN <<{name}\necho 1\n{line}\n{name}"));
    let shell = |shell: &str| stage.is(&format!("SHELL [\"/bin/sh\", \"{shell}\"]\n{run}"));
    agree(
        &mut project,
        &[
            ("nothing", &[], &|_| {}),
            ("a comment", &[], &stage.is(&format!("# comment\n{run}"))),
            ("an argument that is used", ran, &arg("USED", "2")),
            ("one that is not", ran, &arg("UNUSED", "2")),
            ("one of before the first stage", ran, &arg("GLOBAL", "2")),
            ("one that is not declared", &[], &arg("OTHER", "2")),
            ("the default of one that is given", &[], &stage.is(&run.replace("USED=1", "USED=7"))),
            (
                "order of variables",
                ran,
                &stage.is(&run.replace("ARG USED=1\nARG UNUSED=1", "ARG UNUSED=1\nARG USED=1")),
            ),
            ("back", &[], &stage.is(run)),
            ("set again, which puts it last", ran, &stage.is(&run.replace("RUN", "ENV USED=3\nRUN"))),
            ("white space", ran, &stage.is(&run.replace("echo ", "echo  "))),
            ("a continued line", &[], &stage.is(&run.replace("echo ", "echo \\\n "))),
            ("ENV", ran, &stage.is(&format!("ENV A=1\n{run}"))),
            ("ENV behind", &[], &stage.is(&format!("{run}\nENV A=1\nUSER nobody\nLABEL a=b\nCMD true"))),
            ("the shell, as it is", &[], &shell("-c")),
            ("another shell", ran, &shell("-ec")),
            ("words", ran, &stage.is("RUN [\"/bin/sh\", \"-c\", \"echo 5\"]")),
            ("the same by the shell", &[], &stage.is("RUN echo 5")),
            ("a user", ran, &stage.is("USER 0:0\nRUN echo 5")),
            ("a folder", &["3"], &stage.is("WORKDIR /w\nRUN echo 5")),
            ("a heredoc", ran, &heredoc("EOF", "echo 2")),
            ("its name", &[], &heredoc("END", "echo 2")),
            ("its end", ran, &heredoc("END", "echo 3")),
            ("several", ran, &stage.is("RUN cat <<A <<B\n1\nA\n2\nB")),
            ("what is in one of them", ran, &stage.is("RUN cat <<A <<B\n1\nA\n3\nB")),
            ("network", ran, &stage.is("RUN --network=none echo 3")),
            ("network as usual", ran, &stage.is("RUN --network=default echo 3 4")),
            ("network unsaid", &[], &stage.is("RUN echo 3 4")),
            ("a host", ran, &|p| {
                p.request.run_options = vec![("add-host".to_owned(), "a:1.2.3.4".to_owned())];
            }),
        ],
    );
}

#[test]
fn copies_count_as_the_engine_counts_them() {
    let Some(_engine) = Engine::get() else { return };
    let (stage, mark) = (Stage::new("scratch"), marker());
    let content = format!("x {mark}");
    let mut project = stage.project("COPY x src /d/", &[("x", &content), ("src/a", &content)]);
    let copied = &["1"][..];
    let heredoc = |name: &str, value: &str, text: &str| {
        stage.is(&format!("ENV V={value}\nCOPY <<{name} /h\n{mark} {text}\n{name}"))
    };
    agree(
        &mut project,
        &[
            ("order of sources", copied, &stage.is("COPY src x /d/")),
            ("the same by another path", &[], &stage.is("COPY ./src/ /x   /d/")),
            ("a variable for it", &[], &stage.is("ENV S=src\nCOPY $S ${N:-x} /d/")),
            ("in words", &[], &stage.is("COPY [\"src\", \"x\", \"/d/\"]")),
            ("destination", copied, &stage.is("COPY src x /e/")),
            ("relative to the folder", &["2"], &stage.is("WORKDIR /w\nCOPY src x e/")),
            ("the same from the root", &[], &stage.is("WORKDIR /w\nCOPY src x /w/e/")),
            ("owner", copied, &stage.is("COPY --chown=0:0 src x /e/")),
            ("mode", copied, &stage.is("COPY --chmod=755 src x /e/")),
            ("a link with a mode is none", &[], &stage.is("COPY --link --chmod=755 src x /e/")),
            ("a heredoc", copied, &heredoc("X", "1", "hello")),
            ("its content", copied, &heredoc("X", "1", "hello you")),
            ("a variable that is not in it", &[], &heredoc("X", "2", "hello you")),
            ("a variable in it", copied, &heredoc("X", "2", "hello $V")),
            ("its value", copied, &heredoc("X", "3", "hello $V")),
            ("its file's name", copied, &heredoc("Y", "3", "hello $V")),
            ("ADD", copied, &stage.is("ADD x /e/")),
            ("COPY instead, with what is in it", copied, &stage.is("COPY x /e/")),
        ],
    );
}

#[test]
fn mounts_count_as_the_engine_counts_them() {
    let Some(engine) = Engine::get() else { return };
    let (stage, mark) = (Stage::new(&engine.base()), marker());
    let run = |mounts: &str| format!("RUN {mounts} --mount=type=bind,source=src,target=/s true");
    let first = run("--mount=type=cache,target=/c --mount=type=secret,id=s");
    let mut project = stage.project(&first, &[("src/a", &mark), ("y", "y")]);
    let mounted = &["stage-0 2"][..];
    let is = |mounts: &str| stage.is(&run(mounts));
    agree(
        &mut project,
        &[
            ("what is mounted", mounted, &|p| p.write("src/b", &mark)),
            ("what is not", &[], &|p| p.write("y", &mark)),
            (
                "a secret's id",
                mounted,
                &is("--mount=type=cache,target=/c --mount=type=secret,id=t,target=/x"),
            ),
            (
                "a cache's id",
                mounted,
                &is("--mount=type=cache,id=k,target=/c --mount=type=secret,id=t,target=/x"),
            ),
            (
                "how it is shared",
                &[],
                &is("--mount=type=cache,id=k,target=/c,sharing=locked --mount=type=secret,id=t,target=/x"),
            ),
            ("order", &[], &is("--mount=type=secret,id=t,target=/x --mount=type=cache,id=k,target=/c")),
            (
                "where it is",
                mounted,
                &is("--mount=type=secret,id=t,target=/x --mount=type=cache,id=k,target=/d"),
            ),
            ("the whole context", mounted, &stage.is("RUN --mount=target=/s true")),
            ("a file of it", mounted, &|p| p.write("y", "y")),
            ("one file", mounted, &stage.is("RUN --mount=target=/s,source=y true")),
            ("another file", &[], &|p| p.write("src/b", "y")),
        ],
    );
}

#[test]
fn platforms_and_stages_are_known_as_the_engine_names_them() {
    let Some(engine) = Engine::get() else { return };
    let (base, mark) = (engine.base(), marker());
    let text = format!(
        "FROM --platform=$BUILDPLATFORM {base} AS tools\nARG TOOL=1\nRUN echo {mark} > /m\nARG TARGETARCH\nRUN echo $TARGETARCH\n\
         FROM {base}\nWORKDIR /\nWORKDIR /w\nCOPY --from=tools /m h\nARG TARGETPLATFORM\nARG TARGETOS=x\nCOPY $TARGETPLATFORM/a ./$TARGETOS/\n\
         COPY --from=extra a extra\n"
    );
    let content = format!("a {mark}");
    let mut project = Project::new(
        &text,
        &[("linux/amd64/a", &content), ("linux/arm64/a", &content), ("extra/a", &content)],
    );
    project.request.platforms = Platform::parse_list("linux/amd64,linux/arm64");
    project.request.contexts.insert("extra".to_owned(), "extra".to_owned());
    agree(
        &mut project,
        &[
            ("nothing", &[], &|_| {}),
            ("a file of one platform", &["stage-1 4 linux/arm64", "stage-1 5 linux/arm64"], &|p| {
                p.write("linux/arm64/a", &format!("b {mark}"));
            }),
            ("of a named context", &["stage-1 5 linux/amd64", "stage-1 5 linux/arm64"], &|p| {
                p.write("extra/a", &format!("b {mark}"));
            }),
        ],
    );
}

/// What the engine copies by `COPY . /`, and what is said to be in it.
#[rstest::rstest]
#[case("")]
#[case("*.log\nsrc/*\n!src/keep\n")]
#[case("*\n!src/sub\n!**/x.log\n")]
#[case("**/sub\n!src/sub/a\n")]
#[case("src/**\n!src/sub/a\nempty\n")]
#[case("# a comment\n\n  spaced  \n./src//sub/../a\n/top\n")]
#[case("s?c/a\n[^s]*.txt\n\\[*\n")]
#[case("**/*.log\n!src/sub/x.log\n**/sub/x*\n")]
#[case("src\n!src\nsrc/sub\n")]
#[case("*\n!*/sub\n")]
#[case("**/a\n!**/sub/**\n")]
fn the_engine_is_sent_what_is_listed(#[case] ignore: &str) {
    let Some(_engine) = Engine::get() else { return };
    let files = [
        "top",
        "x.log",
        "a.txt",
        "s.txt",
        "[b]",
        "spaced",
        "src/a",
        "src/keep",
        "src/x.log",
        "src/sub/a",
        "src/sub/x.log",
        "other/sub/deep/a",
    ];
    let mut project = Project::new("FROM scratch\nCOPY . /\n", &files.map(|name| (name, name)));
    fs::create_dir_all(project.path("empty/in")).unwrap();
    project.write(".dockerignore", ignore);
    let out = tempfile::tempdir().unwrap();
    Engine::build(&project, &format!("type=local,dest={}", out.path().display()));
    let listed = paths(&project.print(), "COPY");
    assert_eq!(listed, tree(out.path()), "{ignore:?}");
    // And what is copied without going through the ignore file.
    project.write(".dockerignore", "");
    let patterns = ignore.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let flags: Vec<String> =
        patterns.map(|line| format!("--exclude={}", line.trim().replace('\\', "\\\\"))).collect();
    project.write("Dockerfile", &format!("FROM scratch\nCOPY {} . /\n", flags.join(" ")));
    let out = tempfile::tempdir().unwrap();
    Engine::build(&project, &format!("type=local,dest={}", out.path().display()));
    project.request.target = None;
    let listed = paths(&project.print(), "COPY");
    assert_eq!(listed, tree(out.path()), "--exclude {ignore:?}");
}

/// All that is below a folder, each folder before what is in it.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        if at != folder {
            found.push(at.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
        }
        if at.is_dir() && !at.is_symlink() {
            open.extend(fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    // As a walk has them: by name in each folder.
    found.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    found
}
