//! The build command, and the process that runs it: with real processes, which trap signals and leave children behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use layertop::cli::{Cli, Command};
use layertop::config::{Config, Surroundings};
use layertop::error::Error;
use layertop::event::Stream;
use layertop::source::buildx::{self, BuildCommand, Cancel, Chunk, Exit, Process, Program, plugin};
use tempfile::TempDir;
use tokio::sync::mpsc;

const MONTAGE: &str = r#"
[image]
registry = "10.43.17.166:5000"
name = "montage-ai"
platforms = ["linux/amd64", "linux/arm64"]
[build]
builder = "multiarch-builder"
dockerfile = "Dockerfile"
args = { BUILDKIT_INLINE_CACHE = "1" }
cache = "buildcache"
push = true
"#;

/// The command that a line gives in a folder with this `layertop.toml`.
fn try_command(toml: &str, line: &str, env: &[(&str, &str)]) -> Result<(BuildCommand, TempDir), Error> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("layertop.toml"), toml).unwrap();
    fs::write(dir.path().join("secret.txt"), "s3cr3t-of-a-file\n").unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let around = Surroundings { cwd: dir.path().to_owned(), user_file: None, env };
    let words = shlex::split(line).unwrap();
    let cli = Cli::try_parse_from(words).unwrap();
    let Some(Command::Build(build)) = &cli.command else { panic!("{cli:?}") };
    let config = Config::load(&cli.global, Some(&build.overrides), &around)?;
    let read = &buildx::secrets::read_file;
    Ok((BuildCommand::new(&config, &build.buildx, Program::Docker, &around, read)?, dir))
}

fn command(toml: &str, line: &str, env: &[(&str, &str)]) -> BuildCommand {
    try_command(toml, line, env).unwrap().0
}

#[test]
fn it_is_what_the_script_runs() {
    let env = [("TAG", "my-feature")];
    let (command, dir) = try_command(MONTAGE, "layertop build", &env).unwrap();
    assert_eq!(
        command.shell(),
        "docker buildx build --progress=rawjson --builder multiarch-builder --platform linux/amd64,linux/arm64 \
         --cache-from type=registry,ref=10.43.17.166:5000/montage-ai:buildcache \
         --cache-to type=registry,ref=10.43.17.166:5000/montage-ai:buildcache,mode=max \
         --build-arg BUILDKIT_INLINE_CACHE=1 --push -t 10.43.17.166:5000/montage-ai:my-feature ."
    );
    let started = command.started();
    assert_eq!(started.image.unwrap().as_str(), "10.43.17.166:5000/montage-ai:my-feature");
    assert_eq!(started.builder.unwrap().as_str(), "multiarch-builder");
    assert_eq!(started.cache.unwrap().as_str(), "10.43.17.166:5000/montage-ai:buildcache");
    assert_eq!(started.platforms.len(), 2);
    assert_eq!(command.dockerfile.as_deref(), Some(&*dir.path().join("Dockerfile")));
    assert_eq!((command.target, command.stdin), (None, false));
}

#[test]
fn nothing_configured_is_a_plain_build() {
    let env = [("BUILDX_BUILDER", "mine"), ("DOCKER_DEFAULT_PLATFORM", "linux/arm64")];
    let command = command("", "layertop build", &env);
    assert_eq!(command.shell(), "docker buildx build --progress=rawjson .");
    assert_eq!((command.builder.as_deref(), command.platforms.len()), (Some("mine"), 1));
    assert_eq!((command.images.len(), command.cache), (0, None));
}

#[test]
fn what_is_typed_wins() {
    let base = "--progress=rawjson --builder multiarch-builder --platform linux/amd64,linux/arm64 @@ --build-arg \
                BUILDKIT_INLINE_CACHE=1 --push -t 10.43.17.166:5000/montage-ai:latest";
    let r = "type=registry,ref=10.43.17.166:5000/montage-ai:buildcache";
    let cache = format!("--cache-from {r} --cache-to {r},mode=max");
    let cases = [
        ("--no-cache", format!("{base} --no-cache .")),
        ("-f docker/D sub", format!("{base} -f docker/D sub")),
        ("--builder=b .", base.replace("--builder multiarch-builder ", "") + " --builder=b ."),
        (
            "--platform linux/arm64",
            base.replace("--platform linux/amd64,linux/arm64 ", "") + " --platform linux/arm64 .",
        ),
        ("-t a/b:c -t d", base.replace(" -t 10.43.17.166:5000/montage-ai:latest", "") + " -t a/b:c -t d ."),
        ("--load", base.replace(" --push", "") + " --load ."),
        ("-o out", base.replace(" --push", "") + " -o out ."),
        ("--target x -", format!("{base} --target x -")),
        (
            "--build-arg BUILDKIT_INLINE_CACHE=0 --build-arg X",
            base.replace("--build-arg BUILDKIT_INLINE_CACHE=1 ", "")
                + " --build-arg BUILDKIT_INLINE_CACHE=0 --build-arg X .",
        ),
        (
            "--cache-from a/b:c",
            base.replace("@@", &format!("--cache-to {r},mode=max")) + " --cache-from a/b:c .",
        ),
    ];
    for (typed, expected) in cases {
        let command = command(MONTAGE, &format!("layertop build -- {typed}"), &[]);
        assert_eq!(
            command.shell(),
            format!("docker buildx build {}", expected.replace("@@", &cache)),
            "{typed}"
        );
    }
}

#[test]
fn what_is_known_of_the_build_follows_what_is_typed() {
    let typed = "layertop build -- -f a/D --target tools --platform linux/arm64,linux/amd64 -t x/y:z -t other --builder b \
                 --cache-to type=registry,ref=r/c:t ctx";
    let (command, dir) = try_command(MONTAGE, typed, &[]).unwrap();
    assert_eq!(command.dockerfile.as_deref(), Some(&*dir.path().join("a/D")));
    assert_eq!(command.context.as_deref(), Some(&*dir.path().join("ctx")));
    assert_eq!(command.images, ["x/y:z", "other"]);
    assert_eq!((command.target.as_deref(), command.builder.as_deref()), (Some("tools"), Some("b")));
    assert_eq!(command.cache.as_deref(), Some("r/c:t"));
    assert_eq!(command.platforms[0].as_str(), "linux/arm64");

    let (command, dir) = try_command("", "layertop build -- ctx", &[]).unwrap();
    assert_eq!(command.dockerfile.as_deref(), Some(&*dir.path().join("ctx/Dockerfile")));
    let (command, dir) = try_command(MONTAGE, "layertop build -f D -- ctx", &[]).unwrap();
    assert_eq!(command.dockerfile.as_deref(), Some(&*dir.path().join("D")));
    assert!(command.shell().ends_with(" -f D ctx"));
    let (command, dir) =
        try_command(&MONTAGE.replace("\"Dockerfile\"", "\"D\""), "layertop build -- ctx", &[]).unwrap();
    assert_eq!(
        command.dockerfile.as_deref(),
        Some(&*dir.path().join("ctx/Dockerfile")),
        "{}",
        command.shell()
    );
    let (command, _dir) = try_command("", "layertop build -- -f - .", &[]).unwrap();
    assert_eq!((command.dockerfile, command.stdin), (None, true));
    let (command, _dir) = try_command("", "layertop build -- -f D https://github.com/a/b.git", &[]).unwrap();
    assert_eq!((command.dockerfile, command.context), (None, None));
}

#[test]
fn options_of_ours_and_extra_words() {
    let toml = format!("{MONTAGE}target = \"t\"\nextra = [\"--provenance=false\"]\n");
    let line = "layertop build --registry r:1 --platform linux/s390x --target u --builder b -f D -- --pull";
    let command = command(&toml, line, &[("REGISTRY", "loses")]);
    assert_eq!(
        command.shell(),
        "docker buildx build --progress=rawjson --builder b --platform linux/s390x --cache-from \
         type=registry,ref=r:1/montage-ai:buildcache --cache-to type=registry,ref=r:1/montage-ai:buildcache,mode=max \
         --build-arg BUILDKIT_INLINE_CACHE=1 --push -t r:1/montage-ai:latest -f D --target u --provenance=false --pull ."
    );
}

#[test]
fn secrets_stay_out_of_the_command_line() {
    let toml = format!("{MONTAGE}[build.args.x]\n").replace("[build.args.x]\n", "");
    let toml = toml.replace("\"1\" }", "\"1\", NPM_TOKEN = \"from-config\" }");
    let line = "layertop build -- --build-arg DB_PASSWORD=typed --build-arg=API_KEY --build-arg \
                INDEX=https://me:in-url@host/simple --secret id=a,env=FROM_ENV --secret id=b,src=secret.txt \
                --cache-to type=s3,bucket=b,secret_access_key=in-cache https://ghp_in-context@github.com/a/b.git";
    let env = [("API_KEY", "of-our-env"), ("FROM_ENV", "by-secret")];
    let command = command(&toml, line, &env);
    for secret in [
        "from-config",
        "typed",
        "of-our-env",
        "in-url",
        "by-secret",
        "s3cr3t-of-a-file",
        "in-cache",
        "ghp_in-context",
    ] {
        assert!(command.secrets.contains(&secret.to_owned()), "{secret} is known: {:?}", command.secrets);
        let shown: Vec<&str> = command.display.iter().map(layertop::event::Text::as_str).collect();
        for text in [shown.join(" "), command.shell(), format!("{command:?} {:?}", command.process(None))] {
            assert!(!text.contains(secret), "{secret} shows in {text}");
        }
        let typed_there = ["in-cache", "ghp_in-context"].contains(&secret);
        assert_eq!(command.argv.iter().any(|word| word.contains(secret)), typed_there, "{secret}");
    }
    assert!(command.shell().contains("--build-arg NPM_TOKEN --push"), "{}", command.shell());
    assert!(
        command.shell().contains("--build-arg DB_PASSWORD --build-arg API_KEY --build-arg INDEX --secret")
    );
    let names: Vec<&str> = command.env.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["NPM_TOKEN", "DB_PASSWORD", "INDEX"]);
}

#[test]
fn what_can_not_be_run_is_said() {
    let cases = [
        (MONTAGE, "--progress=plain", "--progress plain can't go to buildx"),
        (MONTAGE, "-q .", "--quiet can't go to buildx"),
        (MONTAGE, "a b", "two build contexts behind --: `a` and `b`"),
        ("[build]\npush = true\n", ".", "push is set (layertop.toml:2), and the image has no name"),
    ];
    for (toml, typed, start) in cases {
        let error = try_command(toml, &format!("layertop build -- {typed}"), &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with(start), "{error}");
    }
}

#[test]
fn what_is_printed_for_a_shell_reads_back() {
    let toml = "[build]\nargs = { A = \"it's\", B = \"a\\nb\\u001b[31m\", C = \"$HOME *\" }\n";
    let command = command(toml, "layertop build", &[]);
    let shell = command.shell();
    assert!(!shell.chars().any(char::is_control), "{shell:?}");
    let script = format!("docker() {{ printf '%s\\0' \"$@\"; }}; {shell}");
    let out = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let words: Vec<String> =
        String::from_utf8(out.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect();
    assert_eq!(words, command.argv);
}

#[test]
fn the_program_is_found_in_the_path() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::join_paths([Path::new("/nowhere"), dir.path()]).unwrap();
    let put = |name: &str, mode| {
        fs::write(dir.path().join(name), "").unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    assert_eq!(Program::find(Some(&path)).unwrap_err().exit_code(), 4);
    assert_eq!(Program::find(None).unwrap_err().exit_code(), 4);
    put("docker", 0o644);
    put("buildx", 0o755);
    assert_eq!(Program::find(Some(&path)).unwrap(), Program::Buildx);
    put("docker-buildx", 0o755);
    assert_eq!(Program::find(Some(&path)).unwrap(), Program::DockerBuildx);
    put("docker", 0o755);
    assert_eq!(Program::find(Some(&path)).unwrap(), Program::Docker);
}

#[test]
fn the_plugin_behind_docker_is_taken_where_it_is_beyond_doubt() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let put = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), bytes).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    let env =
        BTreeMap::from([("PATH".to_owned(), text("bin")), ("DOCKER_CONFIG".to_owned(), text("config"))]);
    let found = || plugin::behind_docker(&env);
    put("config/cli-plugins/docker-buildx", b"\x7fELF");
    assert_eq!(found(), None, "without docker");
    put("bin/docker", b"\x7fELF");
    assert_eq!(found(), Some(at("config/cli-plugins/docker-buildx")));
    put("bin/docker", b"#!/bin/sh\nexec podman \"$@\"\n");
    assert_eq!(found(), None, "a script may do anything");
    fs::remove_file(at("bin/docker")).unwrap();
    put("bin/nerdctl", b"\x7fELF");
    symlink(at("bin/nerdctl"), at("bin/docker")).unwrap();
    assert_eq!(found(), None, "another program under its name");
    fs::remove_file(at("bin/docker")).unwrap();
    put("other/docker", b"\x7fELF");
    symlink(at("other/docker"), at("bin/docker")).unwrap();
    assert_eq!(found(), Some(at("config/cli-plugins/docker-buildx")), "a link to docker");
    put("config/config.json", format!("{{\"cliPluginsExtraDirs\": [{:?}]}}", at("extra")).as_bytes());
    assert_eq!(found(), Some(at("config/cli-plugins/docker-buildx")), "the other folder is empty");
    put("extra/docker-buildx", b"\x7fELF");
    assert_eq!(found(), None, "two of the user's own");
    fs::remove_file(at("config/cli-plugins/docker-buildx")).unwrap();
    assert_eq!(found(), Some(at("extra/docker-buildx")));
    fs::set_permissions(at("extra/docker-buildx"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(found(), None, "it can't be run");
    put("config/config.json", b"{");
    assert_eq!(found(), None, "docker's configuration can't be read");

    let command = command("", "layertop build", &[]);
    let direct = command.process(Some(at("extra/docker-buildx")));
    assert_eq!((direct.program, &direct.argv), (at("extra/docker-buildx"), &command.argv));
    let name = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND";
    assert!(direct.env.contains(&(name.to_owned(), "docker".to_owned())), "{:?}", direct.env);
    assert_eq!(command.process(None).program, Path::new("docker"));
    assert!(command.shell().starts_with("docker buildx build "), "{}", command.shell());
}

// The process.

fn sh(script: &str) -> Process {
    let argv = vec!["-c".to_owned(), script.to_owned()];
    Process { program: "sh".into(), argv, cwd: "/".into(), ..Process::default() }
}

/// What came so far on standard output.
struct Heard {
    chunks: mpsc::Receiver<Chunk>,
    text: String,
}

impl Heard {
    /// Waits until the process has said this, and returns all that it said.
    async fn until(&mut self, words: &str) -> &str {
        while !self.text.contains(words) {
            let chunk = self.chunks.recv().await.unwrap_or_else(|| panic!("no `{words}` in {}", self.text));
            self.text.push_str(&String::from_utf8(chunk.bytes).unwrap());
        }
        &self.text
    }
}

/// Starts a script; the task ends with its exit.
fn start(script: &str) -> (tokio::task::JoinHandle<Result<Exit, Error>>, Heard, mpsc::Sender<Cancel>) {
    let (tx, chunks) = mpsc::channel(4);
    let (cancel, cancels) = mpsc::channel(4);
    let task = tokio::spawn(buildx::run(sh(script), tx, cancels));
    (task, Heard { chunks, text: String::new() }, cancel)
}

/// A pipe in the file system whose other end is closed when the last process that holds it is gone.
struct Witness(TempDir);

impl Witness {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap();
        assert!(made.success());
        Self(dir)
    }

    /// Words with which a script takes hold of it.
    fn hold(&self) -> String {
        format!("exec 9>{}", self.0.path().join("pipe").display())
    }

    /// Returns when nobody holds it. The reader must be there before the script opens its end.
    fn watch(&self) -> tokio::task::JoinHandle<()> {
        let path = self.0.path().join("pipe");
        tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            fs::File::open(path).unwrap().read_to_end(&mut all).unwrap();
        })
    }
}

#[tokio::test]
async fn exit_codes_are_passed_on() {
    for (script, exit, code) in [
        ("exit 0", Exit::Code(0), 0),
        ("exit 102", Exit::Code(102), 102),
        ("kill -TERM $$", Exit::Signal(15), 143),
        ("cat", Exit::Code(0), 0),
    ] {
        let (task, _heard, _cancel) = start(script);
        let ended = task.await.unwrap().unwrap();
        assert_eq!((ended, ended.code()), (exit, code), "{script}");
    }
    assert_eq!(Exit::Signal(9).result().unwrap_err().exit_code(), 137);
}

#[tokio::test]
async fn what_can_not_be_started_is_said() {
    let (tx, _chunks) = mpsc::channel(1);
    let (_cancel, cancels) = mpsc::channel(1);
    let process = Process { program: "no-such-docker".into(), cwd: "/".into(), ..Process::default() };
    let error = buildx::run(process, tx, cancels).await.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
}

#[tokio::test]
async fn three_steps_to_the_end() {
    let script = "trap 'echo got INT' INT; trap 'echo got TERM' TERM; echo ready; while :; do sleep 1000 & wait $!; done";
    let (task, mut heard, cancel) = start(script);
    heard.until("ready").await;
    cancel.send(Cancel).await.unwrap();
    assert!(!heard.until("got INT").await.contains("TERM"));
    cancel.send(Cancel).await.unwrap();
    heard.until("got TERM").await;
    cancel.send(Cancel).await.unwrap();
    // Who asked for its end by force has cancelled it.
    assert_eq!(task.await.unwrap().unwrap(), Exit::Code(130));
}

#[tokio::test]
async fn who_does_not_end_under_pressure_is_killed() {
    let script = "trap '' INT TERM; echo ready; while :; do sleep 1000 & wait $!; done";
    let (tx, chunks) = mpsc::channel(4);
    let (cancel, cancels) = mpsc::channel(4);
    let process = Process { pressure: Some(Duration::from_millis(1)), ..sh(script) };
    let task = tokio::spawn(buildx::run(process, tx, cancels));
    let mut heard = Heard { chunks, text: String::new() };
    heard.until("ready").await;
    cancel.send(Cancel).await.unwrap();
    cancel.send(Cancel).await.unwrap();
    assert_eq!(task.await.unwrap().unwrap(), Exit::Code(130));
}

#[tokio::test]
async fn a_signal_reaches_the_whole_group_and_wakes_who_is_stopped() {
    let child = "(trap 'echo child got TERM; exit' TERM; trap '' INT; kill -STOP $(exec sh -c 'echo $PPID'); sleep 1000 & wait) &";
    let stopped = "while ! grep -q ') T' /proc/$!/stat; do :; done; echo ready";
    let script = &format!("{child} trap : INT TERM; {stopped}; wait; wait; wait");
    let (task, mut heard, cancel) = start(script);
    heard.until("ready").await;
    cancel.send(Cancel).await.unwrap();
    cancel.send(Cancel).await.unwrap();
    heard.until("child got TERM").await;
    assert_eq!(task.await.unwrap().unwrap(), Exit::Code(0));
}

#[tokio::test]
async fn no_orphan_is_left() {
    let witness = Witness::new();
    let all_gone = witness.watch();
    let up = witness.0.path().join("up");
    // The leader ends when both are there: one that heeds SIGTERM, and one that does not.
    let stubborn = format!("(trap '' TERM INT HUP; : >{}; exec sleep 1000) &", up.display());
    let wait = format!("while ! [ -e {} ]; do :; done", up.display());
    let script = format!("{}; sleep 1000 & {stubborn} {wait}; exit 3", witness.hold());
    let (task, _heard, _cancel) = start(&script);
    assert_eq!(task.await.unwrap().unwrap(), Exit::Code(3));
    all_gone.await.unwrap();
}

#[tokio::test]
async fn dropping_it_kills_the_group() {
    let witness = Witness::new();
    let all_gone = witness.watch();
    let script = format!("{}; trap '' TERM INT; (echo up; sleep 1000) & wait", witness.hold());
    let (task, mut heard, _cancel) = start(&script);
    heard.until("up").await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    all_gone.await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_loses_nothing() {
    let (tx, mut chunks) = mpsc::channel(1);
    let (_cancel, cancels) = mpsc::channel(1);
    let script = "seq 1 200000; seq 1 200000 >&2; exit 7";
    let run = tokio::spawn(buildx::run(sh(script), tx, cancels));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(Chunk { stream, bytes, .. }) = chunks.recv().await {
        // Everybody else has a turn first, so that the channel and the pipes are as full as they get.
        tokio::task::yield_now().await;
        match stream {
            Stream::Stdout => out.extend(bytes),
            Stream::Stderr => err.extend(bytes),
        }
    }
    assert_eq!(run.await.unwrap().unwrap(), Exit::Code(7));
    for stream in [out, err] {
        let text = String::from_utf8(stream).unwrap();
        let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers.into_iter().eq(1..=200_000));
    }
}

#[tokio::test]
async fn the_build_goes_on_where_nobody_listens() {
    let (task, heard, _cancel) = start("seq 1 200000; exit 5");
    drop(heard);
    assert_eq!(task.await.unwrap().unwrap(), Exit::Code(5));
}

#[tokio::test]
async fn who_left_the_group_does_not_hold_the_end() {
    let meeting = Witness::new();
    let pipe = meeting.0.path().join("pipe");
    let pipe = pipe.display();
    // The leader ends when the other one is in a session of its own; that one still holds the leader's output.
    let script =
        format!("setsid sh -c 'echo pid:$$:; echo >{pipe}; exec sleep 1000' & read -r _ <{pipe}; exit 4");
    let (task, mut heard, _cancel) = start(&script);
    let pid: i32 = heard.until(":\n").await.split(':').nth(1).unwrap().parse().unwrap();
    assert_eq!(task.await.unwrap().unwrap(), Exit::Code(4));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}
