//! Real builds in a terminal: watched, walked, cancelled, killed, suspended, and ended by themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use crate::support::LAYERTOP;
use crate::support::bytes::{assert_own, modes};
use crate::support::group;
use crate::support::process::{Project, run};
use crate::support::terminal::{Finished, Setup, Size, Terminal, screens};
use crate::support::testbed::{BUILDER, Engine, For, recorded_status};

/// Whatever the engine's environment says of itself, and nothing else.
fn on_engine(setup: Setup, project: &Project) -> Setup {
    let names = ["DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];
    let known = names.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let setup = known.fold(setup, |setup, (name, value)| setup.env(name, value));
    setup.cwd(project.folder()).env("XDG_DATA_HOME", project.beside("data"))
}

/// A build of the project in a terminal.
fn build(project: &Project, words: &[&str], size: Size) -> Terminal {
    on_engine(Setup::layertop(&[&["build"], words].concat()), project).size(size).start()
}

/// The one recording that there is.
fn recording(project: &Project) -> PathBuf {
    let entries = fs::read_dir(project.beside("data/layertop/recordings")).unwrap();
    let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    file.clone()
}

/// The process group of its buildx.
fn buildx(terminal: &Terminal) -> u32 {
    group::of_child(u32::try_from(terminal.pid.as_raw()).unwrap())
}

/// Panics where anything is left behind, and where the terminal is not as it was.
fn assert_gone(finished: &Finished, group: u32) {
    assert_eq!(group::living(group), [""; 0]);
    finished.assert_given_back();
    assert_own(&finished.raw, false);
}

/// A copy of the example that nobody has built before, for the engine's builder and for nobody's registry.
fn example(engine: &Engine) -> Project {
    let project = Project::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/montage-ai");
    assert_eq!(run(Command::new("cp").arg("-r").arg(from.join(".")).arg(project.folder())).code(), Some(0));
    let dockerfile = fs::read_to_string(from.join("Dockerfile.testbed")).unwrap();
    let dockerfile = dockerfile.replace("WORKDIR /app", &format!("WORKDIR /app/{}", project.marker));
    // Its last step runs for as long as it takes to look at everything.
    project
        .write("Dockerfile.testbed", &format!("{}\nRUN sleep 600\n", dockerfile.replace("bs=1M", "bs=16k")));
    let config = format!(
        "profile = \"montage-ai\"\n[image]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [build]\nbuilder = \"{BUILDER}\"\ndockerfile = \"Dockerfile.testbed\"\nargs = {{ REGISTRY = \"{}\" }}\n",
        engine.registry
    );
    project.write("layertop.toml", &config);
    project
}

/// What the cell of a row and a platform said over time, each word once; screens without the row are left out.
fn history(screens: &[String], row: &str, platform: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for screen in screens {
        let Some(head) = screen.lines().find(|line| line.contains("─ Stack")) else { continue };
        let Some(line) = screen.lines().find(|line| line.contains(row) && !line.contains("─ Log")) else {
            continue;
        };
        let Some(at) = head.find(platform) else { continue };
        let column = head[..at].chars().count();
        let cell: String = line.chars().skip(column).take(16).collect();
        let word = cell.split_whitespace().find(|word| word.len() > 1).unwrap_or_default();
        if words.last().is_none_or(|last| last != word) {
            words.push(word.to_owned());
        }
    }
    words
}

#[test]
fn the_example_is_watched_walked_resized_and_cancelled() {
    const SIZE: Size = (180, 50);
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = example(&engine);
    let mut terminal = build(&project, &["--", "--no-cache"], SIZE);
    terminal.wait_for("◐ running");
    let group = buildx(&terminal);
    assert!(group::living(group).iter().any(|line| line.contains("buildx build")));
    terminal.wait("the conda layer to run", |seen| {
        let text = seen.text();
        let line = text.lines().find(|line| line.contains("RUN echo \"conda create"))?;
        line.contains("running").then_some(())
    });
    // Of what came so far, screen by screen.
    let so_far = terminal.look(|seen| screens(&seen.raw, SIZE));
    let first = so_far.iter().find(|screen| screen.contains("Real-ESRGAN")).unwrap();
    assert!(first.contains("waiting for the builder"), "the stack stands before the first vertex:\n{first}");
    assert_eq!(first.matches("· waiting").count(), 24, "{first}");
    for platform in ["linux/amd64", "linux/arm64"] {
        let states = history(&so_far, "RUN echo \"apt-get install -y ffmpeg", platform);
        assert_eq!(states, ["waiting", "running", "ran"], "{platform}");
        assert_eq!(history(&so_far, "COPY src/ src/", platform), ["waiting"], "{platform}");
    }

    terminal.keys("\x1b[B\x1b[Bg");
    terminal.wait_for("FROM");
    terminal.keys("\x1b[B\x1b[B\r");
    terminal.wait_for("Setting up ffmpeg");
    terminal.keys("g");
    terminal.wait_for("Get:1 http://deb.debian.org");
    terminal.resize((80, 24));
    terminal.wait("the small screen", |seen| {
        let text = seen.text();
        (text.lines().count() == 24 && text.lines().last()?.starts_with(" ? help")).then_some(())
    });
    terminal.resize(SIZE);
    terminal.keys("q");
    terminal.wait_for("╭ Quit?");
    terminal.keys("n");
    terminal.wait_gone("╭ Quit?");
    terminal.keys("F");
    terminal.wait_for("following");

    terminal.keys("\x03");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(130), "{}", finished.text);
    assert_gone(&finished, group);
    let after = screens(&finished.raw, SIZE);
    assert!(after.iter().any(|screen| screen.contains("◐ cancelling")), "{}", after.last().unwrap());
    assert!(finished.text.contains("■ cancelled after"), "{}", finished.text);
    assert!(finished.text.contains("recording: "), "{}", finished.text);
    assert_eq!(recorded_status(&project), "canceled");
}

#[test]
fn the_screen_closes_when_the_build_has_ended() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER; sleep 1\nRUN echo second\n");
    let terminal = build(&project, &[], (100, 30));
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(0), "{}", finished.text);
    finished.assert_given_back();
    assert_own(&finished.raw, false);
    let seen = screens(&finished.raw, (100, 30));
    assert!(seen.iter().any(|screen| screen.contains("1 running")), "{}", seen.last().unwrap());
    assert!(finished.text.starts_with("● built in "), "{}", finished.text);
    assert!(finished.text.contains(" of 3 rebuilt"), "{}", finished.text);
    let recording = recording(&project);
    let told = finished.text.replace('\n', "");
    assert!(told.ends_with(&format!("recording: {}", recording.display())), "{}", finished.text);
}

#[test]
fn a_failure_is_told_on_the_screen_and_after_it() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine
        .project("FROM BASE\nRUN echo MARKER; sleep 1; echo no such wheel >&2; exit 3\nRUN echo never\n");
    let mut terminal = build(&project, &["--stay"], (100, 30));
    let screen = terminal.wait_for("✗ failed after");
    assert!(screen.contains("no such wheel") && screen.contains(">>> RUN echo"), "{screen}");
    terminal.keys("q");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(1));
    finished.assert_given_back();
    assert!(
        finished.text.contains("✗ failed after") && finished.text.contains("no such wheel"),
        "{}",
        finished.text
    );
}

/// A build that says something all the time and does not end by itself.
const ENDLESS: &str =
    "FROM BASE\nRUN echo MARKER; n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.1; done\n";

#[test]
fn a_termination_cancels_the_build_and_gives_the_terminal_back() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let terminal = build(&project, &[], (100, 30));
    terminal.wait_for("tick 1");
    let group = buildx(&terminal);
    terminal.signal(Signal::SIGTERM);
    let finished = terminal.finish();
    assert_eq!(finished.signal(), Some(Signal::SIGTERM), "{:?}", finished.status);
    assert_gone(&finished, group);
    assert!(finished.text.contains("■ cancelled after"), "{}", finished.text);
    assert_eq!(recorded_status(&project), "canceled");
}

/// The first frame is there before the docker command is ready to hear of anything.
#[test]
fn a_cancel_at_once_is_heard_too() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    for key in [None, Some("\x03")] {
        let project = engine.project(ENDLESS);
        let mut terminal = build(&project, &[], (100, 30));
        terminal.wait_for("waiting for the builder");
        match key {
            Some(key) => terminal.keys(key),
            None => terminal.signal(Signal::SIGTERM),
        }
        let finished = terminal.finish();
        match key {
            Some(_) => assert_eq!(finished.exit_code(), Some(130), "{}", finished.text),
            None => assert_eq!(finished.signal(), Some(Signal::SIGTERM), "{:?}", finished.status),
        }
        finished.assert_given_back();
        assert!(finished.text.contains("■ cancelled after"), "{}", finished.text);
    }
}

#[test]
fn a_terminal_that_vanishes_takes_its_build_along() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let terminal = build(&project, &[], (100, 30));
    terminal.wait_for("tick 1");
    let group = buildx(&terminal);
    let status = terminal.hang_up();
    assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGHUP, _)), "{status:?}");
    assert_eq!(group::living(group), [""; 0]);
    assert_eq!(recorded_status(&project), "canceled");
}

/// Who starts a build with `nohup` wants it to outlive the terminal, and to hear how it ended.
#[test]
fn a_build_that_outlives_its_terminal_ends_with_its_own_code() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    for (progress, code) in [("tui", 0), ("tui", 1), ("plain", 0), ("plain", 1), ("json", 1)] {
        let project = engine.project(&format!(
            "FROM BASE\nRUN echo MARKER; echo it runs; sleep 4; exit {code}\nRUN echo second\n"
        ));
        let command = format!("trap '' HUP; exec {LAYERTOP} build --progress {progress}");
        let terminal = on_engine(Setup::new(["bash", "-c", &command]), &project).start();
        terminal.wait("the step to run", |seen| {
            let text = seen.text();
            let shown = if progress == "tui" { "1 running" } else { "it runs" };
            text.contains(shown).then_some(())
        });
        let status = terminal.hang_up();
        assert!(
            matches!(status, WaitStatus::Exited(_, ended) if ended == code),
            "{progress} {code}: {status:?}"
        );
        assert_eq!(recorded_status(&project), if code == 0 { "completed" } else { "failed" });
    }
}

#[test]
fn quitting_asks_and_cancels() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let mut terminal = build(&project, &[], (100, 30));
    terminal.wait_for("tick 1");
    let group = buildx(&terminal);
    // Something is held, which keeps the screen from closing by itself.
    terminal.keys("gq");
    terminal.wait_for("╭ Quit?");
    terminal.keys("y");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(130), "{}", finished.text);
    assert_gone(&finished, group);
}

#[test]
fn a_kill_leaves_a_readable_recording_and_no_build() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let mut terminal = build(&project, &[], (100, 30));
    terminal.wait_for("tick 1");
    let group = buildx(&terminal);
    terminal.wait_for("tick 25");
    terminal.signal(Signal::SIGKILL);
    let status = terminal.change();
    assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)), "{status:?}");
    let recording = recording(&project);
    let words = ["replay", recording.to_str().unwrap(), "--speed", "max", "--progress", "json"];
    let replayed = run(&mut project.layertop(&words));
    let summary = replayed.summary();
    assert_eq!((&summary["result"], &summary["exit_code"]), (&"lost".into(), &serde_json::Value::Null));
    assert_eq!(summary["steps"][1]["state"], "cancelled", "{summary}");
    assert!(replayed.stdout.contains("\"tick 5\""), "{}", replayed.stdout);
    // buildx writes on, finds nobody who reads, and ends; the builder sees its client go.
    assert_eq!(recorded_status(&project), "canceled");
    assert_eq!(group::living(group), [""; 0]);
}

#[test]
fn a_stopped_screen_does_not_stop_the_build() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER; sleep 4\nRUN echo second\n");
    let shell = Setup::new(["bash", "--norc", "--noprofile", "--noediting", "-i"]).env("PS1", "ready> ");
    let mut terminal = on_engine(shell, &project).start();
    terminal.wait_for("ready>");
    terminal.keys(&format!("{LAYERTOP} build\n"));
    terminal.wait_for("1 running");
    terminal.keys("\x1a");
    terminal
        .wait("the prompt", |seen| seen.text().rsplit_once("Stopped")?.1.contains("ready>").then_some(()));
    assert!(terminal.is_as_before());
    assert_eq!(terminal.look(|seen| modes(&seen.raw)).get(&1049), Some(&false));
    // While the screen is stopped, the build comes to its end.
    assert_eq!(recorded_status(&project), "completed");
    terminal.keys("clear; fg; echo code=$?\n");
    let screen = terminal.wait_for("code=0");
    assert!(screen.contains("● built in "), "{screen}");
    terminal.keys("exit\n");
    assert_eq!(terminal.finish().exit_code(), Some(0));
}

/// Invented: a build argument whose name looks secret, and a secret file.
const TOKEN: &str = "configured-hunter2-4711";
const FILED: &str = "filed-hunter2-4711";

#[test]
fn secrets_are_nowhere_on_the_screen() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(
        "FROM BASE\nARG API_TOKEN\nRUN --mount=type=secret,id=filed echo MARKER $API_TOKEN; cat /run/secrets/filed; echo; \
         printenv API_TOKEN | head -c 14; sleep 1; printenv API_TOKEN | tail -c +15; \
         printenv API_TOKEN | tr -d '\\n' | base64; echo all said; sleep 600\n",
    );
    let config = fs::read_to_string(project.folder().join("layertop.toml")).unwrap();
    project.write("layertop.toml", &format!("{config}args = {{ API_TOKEN = \"{TOKEN}\" }}\n"));
    fs::write(project.beside("secret.txt"), FILED).unwrap();
    let file = format!("id=filed,src={}", project.beside("secret.txt").display());
    let mut terminal = build(&project, &["--", "--no-cache", "--secret", &file], (120, 40));
    terminal.wait_for("all said");
    let group = buildx(&terminal);
    terminal.keys("\x03");
    let finished = terminal.finish();
    assert_eq!(finished.exit_code(), Some(130));
    assert_gone(&finished, group);
    let recording = fs::File::open(recording(&project)).unwrap();
    let recorded = String::from_utf8(zstd::decode_all(recording).unwrap()).unwrap();
    let all = screens(&finished.raw, (120, 40));
    assert!(all.iter().any(|screen| screen.contains("***")), "{}", all.last().unwrap());
    let texts = all.iter().chain([&finished.text, &recorded]);
    // The first of two halves, which is shown before the second one is there, gives nothing away either.
    let packed = BASE64_STANDARD.encode(TOKEN);
    for text in texts {
        for secret in [TOKEN, FILED, &packed, &TOKEN[..14], &TOKEN[14..]] {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
    }
    let raw = String::from_utf8_lossy(&finished.raw);
    assert!(!raw.contains(TOKEN) && !raw.contains(FILED) && !raw.contains(&packed));
}
