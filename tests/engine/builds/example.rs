//! The example, built five times: every layer's state on both platforms, against `BuildKit`'s own record.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::live::Live;
use crate::support::process::{Ended, Project, run};
use crate::support::testbed::{BUILDER, Engine, For, docker, record, recording};

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// The stack of the example: what each of its steps begins with, and the layer that it belongs to.
const STACK: [(&str, &str); 11] = [
    ("FROM ", "miniconda"),
    ("WORKDIR /app", "miniconda"),
    ("RUN echo \"apt-get install -y ffmpeg", "ffmpeg"),
    ("RUN echo \"npm install -g cgpu", "node"),
    ("RUN echo \"conda create", "conda"),
    ("COPY requirements.txt .", "pip"),
    ("RUN echo \"pip install -r requirements.txt", "pip"),
    ("RUN echo \"curl -fsSL realesrgan-ncnn-vulkan", "Real-ESRGAN"),
    ("COPY pyproject.toml .", "editable install"),
    ("RUN echo \"pip install --no-deps -e .", "editable install"),
    ("COPY src/ src/", "src"),
];

/// A copy of the example that nobody has built before: its working directory has a name of its own, and all that follows
/// depends on it.
fn example() -> Project {
    let project = Project::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/montage-ai");
    copy(&from, &project.folder());
    let dockerfile = read(&project, "Dockerfile.testbed");
    let own = dockerfile.replace("WORKDIR /app", &format!("WORKDIR /app/{}", project.marker));
    assert_ne!(own, dockerfile);
    // The layers need not be big to be layers, and the registry keeps them.
    project.write("Dockerfile.testbed", &own.replace("bs=1M", "bs=16k"));
    let config = read(&project, "layertop.toml");
    // Nothing listens there: the registry must come from the environment.
    let own = config
        .replace("10.43.17.166:5000", "127.0.0.1:1")
        .replace("name = \"montage-ai\"", "name = \"layertop-test/example\"")
        .replace("cache = \"buildcache\"", &format!("cache = \"cache-{}\"", project.marker));
    assert!(own.contains("layertop-test/example") && own.contains(&project.marker), "{own}");
    project.write("layertop.toml", &own);
    project
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn read(project: &Project, file: &str) -> String {
    fs::read_to_string(project.folder().join(file)).unwrap()
}

fn append(project: &Project, file: &str, line: &str) {
    project.write(file, &format!("{}{line}\n", read(project, file)));
}

/// A build of the example, and what there is of it afterwards.
struct Built {
    summary: Value,
    recording: PathBuf,
}

/// Builds the example, reads along while it runs, and checks what must hold of each build.
fn build(engine: &Engine, project: &Project) -> Built {
    let metadata = project.beside("metadata.json");
    let data = tempfile::Builder::new().tempdir_in(project.beside("")).unwrap().keep();
    let typed = ["--metadata-file", metadata.to_str().unwrap()];
    let words = ["build", "--progress", "json", "--", "-f", "Dockerfile.testbed", "--build-arg", "REGISTRY"];
    let mut command = project.layertop(&[&words[..], &typed].concat());
    command.env("REGISTRY", &engine.registry).env("TAG", &project.marker).env("XDG_DATA_HOME", &data);
    let mut live = Live::start(&mut command);
    live.until_event(|event| event["type"] == "vertex" && is_step(event) && event["started"].is_i64());
    assert!(live.is_running(), "the first step is told while the build runs");
    let ended = live.end();
    let summary = ended.summary();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!((summary["result"].as_str(), summary["exit_code"].as_i64()), (Some("success"), Some(0)));
    let image = format!("{}/layertop-test/example:{}", engine.registry, project.marker);
    assert_eq!(summary["image"], image.as_str());
    assert_eq!(summary["cache"]["export"]["state"], "ok");
    agrees_with_buildkit(&summary, &metadata);
    ran_before_the_eyes(&ended, &summary);
    let built = Built { recording: recording(&data), summary };
    replays(&built, project);
    built
}

fn is_step(event: &Value) -> bool {
    let name = event["name"].as_str().unwrap_or_default();
    name.starts_with('[') && name.contains("/11] ")
}

/// The counts are those of `BuildKit`'s own record.
fn agrees_with_buildkit(summary: &Value, metadata: &Path) {
    let record = record(metadata);
    assert_eq!(record["Status"], "completed");
    let own = (&record["NumTotalSteps"], &record["NumCachedSteps"]);
    assert!(own.0.is_u64() && own.1.is_u64(), "{record}");
    assert_eq!((&summary["vertices"]["total"], &summary["vertices"]["cached"]), own);
}

/// Each command that ran has been seen running before it was seen done. They all take a while; what is copied in no time may
/// be told in one message.
fn ran_before_the_eyes(ended: &Ended, summary: &Value) {
    let events = ended.events();
    let ran =
        |step: &&Value| step["state"] == "miss" && step["instruction"].as_str().unwrap().starts_with("RUN ");
    for step in summary["steps"].as_array().unwrap().iter().filter(ran) {
        let of_step: Vec<_> = events.iter().filter(|event| event["digest"] == step["digest"]).collect();
        let runs = |event: &&&Value| event["started"].is_i64() && event["completed"].is_null();
        let running = of_step.iter().position(|event| runs(&event));
        let done = of_step.iter().position(|event| event["completed"].is_i64());
        assert!(running.is_some() && running < done, "{step}");
    }
}

/// The recording is its owner's alone, and tells the same as the build did.
fn replays(built: &Built, project: &Project) {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&built.recording), 0o600);
    assert_eq!(mode(built.recording.parent().unwrap()), 0o700);
    let words = ["replay", built.recording.to_str().unwrap(), "--speed", "max", "--progress", "json"];
    let replayed = run(&mut project.layertop(&words));
    assert_eq!(replayed.code(), Some(0), "{}", replayed.stderr);
    assert_eq!(without_rates(replayed.summary()), without_rates(built.summary.clone()));
}

/// How busy a node's CPUs are is told by two readings, and of readings without news a recording keeps some only.
fn without_rates(mut summary: Value) -> Value {
    for node in summary["health"]["nodes"].as_array_mut().into_iter().flatten() {
        node["cpu"]["used"] = Value::Null;
    }
    summary
}

/// Asserts the state of every layer on both platforms: `misses` says which instructions ran, by their place in the stack.
fn expect(built: &Built, misses: std::ops::Range<usize>) {
    let steps = built.summary["steps"].as_array().unwrap();
    assert_eq!(steps.len(), STACK.len() * PLATFORMS.len(), "{steps:#?}");
    let mut hits = 0;
    for platform in PLATFORMS {
        let column: Vec<_> = steps.iter().filter(|step| step["platform"] == platform).collect();
        for (at, (begins, layer)) in STACK.iter().enumerate() {
            let step = column[at];
            assert_eq!(
                (step["index"].as_u64(), step["of"].as_u64()),
                (Some(at as u64 + 1), Some(11)),
                "{step}"
            );
            assert!(step["instruction"].as_str().unwrap().starts_with(begins), "{step}");
            assert_eq!(step["layer"], *layer, "{step}");
            // Whether the base image was here already is the machine's own affair.
            let pulled = at == 0 && step["pull_ms"].as_u64() > Some(0);
            let expected = if misses.contains(&at) || pulled { "miss" } else { "hit" };
            assert_eq!(step["state"], expected, "{step}");
            hits += u64::from(expected == "hit");
        }
    }
    let layers = &built.summary["layers"];
    let counts = ["total", "hits", "misses", "not_needed", "failed", "cancelled"]
        .map(|key| layers[key].as_u64().unwrap());
    assert_eq!(counts, [22, hits, 22 - hits, 0, 0, 0]);
}

#[test]
fn five_times() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = example();

    let first = build(&engine, &project);
    expect(&first, 1..11);
    let import = &first.summary["cache"]["import"];
    assert_eq!(import["state"], "not_there", "there is no cache yet");
    assert!(import["error"].as_str().unwrap().ends_with(": not found"), "{import}");

    let unchanged = build(&engine, &project);
    expect(&unchanged, 0..0);
    assert_eq!(unchanged.summary["cache"]["import"]["state"], "ok");

    append(&project, "src/montage_ai/editor.py", "# changed");
    expect(&build(&engine, &project), 10..11);

    append(&project, "requirements.txt", "rich==13.9.4");
    expect(&build(&engine, &project), 5..11);

    drop(engine);
    let Some(engine) = Engine::get(For::Prune) else { return };
    assert!(is_known_to_the_builder(&project));
    docker(&["buildx", "prune", "--builder", BUILDER, "-af"]);
    assert!(
        !is_known_to_the_builder(&project),
        "nothing of it is left here, so a hit comes from the registry"
    );
    let pruned = build(&engine, &project);
    expect(&pruned, 0..0);
    assert_eq!(pruned.summary["cache"]["import"]["state"], "ok");
}

/// Whether the builder has a record of the project's working directory, on which all else depends.
fn is_known_to_the_builder(project: &Project) -> bool {
    docker(&["buildx", "du", "--builder", BUILDER, "--verbose"]).contains(&project.marker)
}
