//! Why a build could not begin: what buildx wrote is recognised, what is around is looked at, and the two make one
//! message that says what to do.
//!
//! The messages are those of Docker 28.5 with buildx 0.29, each seen; the variants of older and newer versions stand
//! beside them.

pub(in crate::source) mod folder;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Surroundings;
use crate::event::Text;

use super::buildx::{BuildCommand, Exit};

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";

/// A message for the user, and what layertop ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub message: Text,
    pub hint: Text,
    /// 4 where there is no Docker, engine or builder; else buildx's own.
    pub exit_code: u8,
}

/// Why a build could not begin, recognised in its error output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartFailure {
    /// The docker command has no buildx plugin.
    NoPlugin,
    /// buildx does not know rawjson progress.
    OldBuildx,
    /// The engine can't be reached; where, and whether it was a matter of permission.
    NoEngine {
        /// Its address, where the text names it.
        endpoint: Option<String>,
    },
    /// There is no builder of this name.
    NoBuilder(String),
    /// The Dockerfile can't be had.
    NoDockerfile,
    /// `BuildKit` got an empty Dockerfile. buildx sends one where it may not read the file.
    EmptyDockerfile,
    /// The folder of the context is not there.
    NoContext(String),
}

/// What stands behind an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineState {
    /// An engine that answers.
    Answers,
    /// Nothing: there is no such socket.
    NoSocket,
    /// A socket or port on which nobody listens.
    Refused,
    /// A socket that is not for us.
    Denied,
    /// Something that does not answer in 2 s.
    Silent,
    /// Something else is in the way.
    Unreachable(String),
    /// Not looked at: ssh and the like.
    Unknown,
}

/// The state of engine, builders and Dockerfile after a failed build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The address of the engine, and what stands behind it.
    pub engine: (String, EngineState),
    /// The builders that there are.
    pub builders: Vec<String>,
    /// The Dockerfile that was meant, and what reading it says.
    pub dockerfile: Option<(PathBuf, Result<(), ErrorKind>)>,
}

/// Says why a build failed before its first step; none where buildx's own text says it best.
pub async fn diagnose(
    stderr: &str,
    exit: Exit,
    command: &BuildCommand,
    around: &Surroundings,
) -> Option<Diagnosis> {
    let trouble = recognise(stderr)?;
    let endpoint = match &trouble {
        StartFailure::NoEngine { endpoint } => {
            endpoint.clone().or_else(|| around.env.get("DOCKER_HOST").cloned())
        }
        _ => None,
    };
    let endpoint = endpoint.unwrap_or_else(|| DEFAULT_SOCKET.to_owned());
    let engine = match trouble {
        StartFailure::NoEngine { .. } => probe(&endpoint).await,
        _ => EngineState::Unknown,
    };
    let read = |path: &PathBuf| match std::fs::File::open(path) {
        Ok(file) if file.metadata().is_ok_and(|meta| meta.is_dir()) => Err(ErrorKind::IsADirectory),
        Ok(_) => Ok(()),
        Err(error) => Err(error.kind()),
    };
    let dockerfile = command.dockerfile.as_ref().map(|path| (path.clone(), read(path)));
    let seen = HostFacts { engine: (endpoint, engine), builders: builders(around), dockerfile };
    Some(explain(&trouble, exit, &seen))
}

/// Finds the trouble in what a build wrote on standard error.
pub fn recognise(stderr: &str) -> Option<StartFailure> {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.starts_with('{'));
    let has = |words: &str| lines().any(|line| line.contains(words));
    // A docker command without the plugin takes buildx's options for its own.
    let no_plugin = has("'buildx' is not a docker command")
        || has("unknown command: docker buildx")
        || (has("unknown flag: --") || has("unknown shorthand flag:")) && has("docker [OPTIONS] COMMAND");
    if no_plugin {
        return Some(StartFailure::NoPlugin);
    }
    if has("invalid progress mode rawjson") {
        return Some(StartFailure::OldBuildx);
    }
    lines().find_map(recognise_line)
}

fn recognise_line(line: &str) -> Option<StartFailure> {
    const ENGINE: [&str; 4] = [
        "Cannot connect to the Docker daemon",
        "failed to connect to the docker API",
        "permission denied while trying to connect to the",
        "error during connect:",
    ];
    if ENGINE.iter().any(|words| line.contains(words)) {
        return Some(StartFailure::NoEngine { endpoint: address(line) });
    }
    if let Some(name) = between(line, "no builder \"", "\" found") {
        return Some(StartFailure::NoBuilder(name.to_owned()));
    }
    if let Some(path) = between(line, "unable to prepare context: path \"", "\" not found") {
        return Some(StartFailure::NoContext(path.to_owned()));
    }
    if line.contains("failed to read dockerfile:") || line.contains("failed to build: resolve : lstat") {
        return Some(StartFailure::NoDockerfile);
    }
    line.contains("the Dockerfile cannot be empty").then_some(StartFailure::EmptyDockerfile)
}

/// The address after ` at `: `… at unix:///run/x.sock. Is the docker daemon running?`, `…: Head …`, `…; check …`.
fn address(line: &str) -> Option<String> {
    let word = line.split(" at ").skip(1).find(|rest| rest.contains("://"))?.split_whitespace().next()?;
    Some(word.trim_end_matches(['.', ':', ';', ',']).to_owned())
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// The names of buildx's builders: one file each in `instances` of its folder; and the engine's own.
pub fn builders(around: &Surroundings) -> Vec<String> {
    let entries = folder::of_buildx(&around.env)
        .and_then(|folder| std::fs::read_dir(around.cwd.join(folder).join("instances")).ok());
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.push("default".to_owned());
    names.sort();
    names.dedup();
    names
}

/// Looks what stands behind an address, for 2 s at most.
pub async fn probe(endpoint: &str) -> EngineState {
    let look = async {
        let connected = if let Some(path) = endpoint.strip_prefix("unix://") {
            tokio::net::UnixStream::connect(path).await.map(drop)
        } else if let Some(address) = endpoint.strip_prefix("tcp://") {
            tokio::net::TcpStream::connect(address.trim_end_matches('/')).await.map(drop)
        } else {
            return EngineState::Unknown;
        };
        match connected.map_err(|error| (error.kind(), error)) {
            Ok(()) => ping(endpoint).await,
            Err((ErrorKind::NotFound, _)) => EngineState::NoSocket,
            Err((ErrorKind::ConnectionRefused, _)) => EngineState::Refused,
            Err((ErrorKind::PermissionDenied, _)) => EngineState::Denied,
            Err((_, error)) => EngineState::Unreachable(error.to_string()),
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or(EngineState::Silent)
}

/// Asks the engine for a sign of life.
async fn ping(endpoint: &str) -> EngineState {
    // Longer than our own patience, which is to have the last word.
    let seconds = PATIENCE.as_secs() * 2;
    let client = if endpoint.starts_with("unix://") {
        bollard::Docker::connect_with_unix(endpoint, seconds, bollard::API_DEFAULT_VERSION)
    } else {
        bollard::Docker::connect_with_http(endpoint, seconds, bollard::API_DEFAULT_VERSION)
    };
    match client {
        Ok(client) => client
            .ping()
            .await
            .map_or_else(|error| EngineState::Unreachable(error.to_string()), |_| EngineState::Answers),
        Err(error) => EngineState::Unreachable(error.to_string()),
    }
}

/// The trouble in words, with what was seen.
pub fn explain(trouble: &StartFailure, exit: Exit, seen: &HostFacts) -> Diagnosis {
    let own = u8::try_from(exit.code()).unwrap_or(1);
    let (message, hint, exit_code) = match trouble {
        StartFailure::NoPlugin => (
            "the docker command has no buildx plugin".to_owned(),
            "install it (Debian, Ubuntu: apt-get install docker-buildx-plugin, or docker-buildx), or put docker-buildx \
             into ~/.docker/cli-plugins; `docker buildx version` must answer"
                .to_owned(),
            4,
        ),
        StartFailure::OldBuildx => (
            "this buildx is too old: it has no rawjson progress".to_owned(),
            "update buildx to 0.12 or newer; `docker buildx version` says what there is".to_owned(),
            own,
        ),
        StartFailure::NoEngine { .. } => {
            let (message, hint) = engine(&seen.engine.0, &seen.engine.1);
            (message, hint, 4)
        }
        StartFailure::NoBuilder(name) => (
            format!("there is no buildx builder `{name}`; there is {}", seen.builders.join(", ")),
            format!(
                "create it: docker buildx create --name {name} --driver docker-container --bootstrap; or name another \
                 one: layertop build --builder default"
            ),
            4,
        ),
        StartFailure::NoDockerfile | StartFailure::EmptyDockerfile => {
            let (message, hint) = dockerfile(trouble, seen);
            (message, hint, own)
        }
        StartFailure::NoContext(path) => (
            format!("there is no build context `{path}`: no such folder"),
            "set context in [build] of layertop.toml, or name a folder: layertop build -- FOLDER".to_owned(),
            own,
        ),
    };
    Diagnosis { message: Text::clean(&message), hint: Text::clean(&hint), exit_code }
}

fn engine(address: &str, engine: &EngineState) -> (String, String) {
    let start =
        "start Docker (systemctl start docker), or say where it is: DOCKER_HOST=unix:///path/docker.sock";
    let path = address.strip_prefix("unix://").unwrap_or(address);
    match engine {
        EngineState::NoSocket => (format!("no Docker engine: there is no socket {path}"), start.to_owned()),
        EngineState::Refused => (format!("no Docker engine: nobody listens at {path}"), start.to_owned()),
        EngineState::Denied => (
            format!("no permission to use the Docker engine at {path}"),
            "join its group and log in again: sudo usermod -aG docker $USER".to_owned(),
        ),
        EngineState::Silent => (
            format!("the Docker engine at {path} does not answer within {} s", PATIENCE.as_secs()),
            "restart it (systemctl restart docker), or say where another one is: DOCKER_HOST=…".to_owned(),
        ),
        EngineState::Unreachable(why) => {
            (format!("can't reach the Docker engine at {path}: {why}"), start.to_owned())
        }
        EngineState::Answers => (
            format!("buildx could not reach the Docker engine at {path}, which answers now"),
            "try again".to_owned(),
        ),
        EngineState::Unknown => (
            format!("buildx can't reach the Docker engine at {path}"),
            "`docker version` must answer; look at DOCKER_HOST and at `docker context ls`".to_owned(),
        ),
    }
}

fn dockerfile(trouble: &StartFailure, seen: &HostFacts) -> (String, String) {
    let set = "set dockerfile in [build] of layertop.toml, or name it: layertop build -f PATH".to_owned();
    let Some((path, read)) = &seen.dockerfile else {
        return ("the Dockerfile can't be read from the build context".to_owned(), set);
    };
    let path: &Path = path;
    let shown = path.display();
    match (read, trouble) {
        (Err(ErrorKind::NotFound | ErrorKind::NotADirectory), _) => {
            (format!("there is no Dockerfile {shown}"), set)
        }
        (Err(ErrorKind::PermissionDenied), _) => (
            format!("no permission to read the Dockerfile {shown}"),
            format!("make it readable: chmod a+r {shown}"),
        ),
        (Err(ErrorKind::IsADirectory), _) => (format!("{shown} is a folder, not a Dockerfile"), set),
        (Err(kind), _) => (format!("can't read the Dockerfile {shown}: {kind}"), set),
        (Ok(()), StartFailure::EmptyDockerfile) => (
            format!("the Dockerfile {shown} is empty"),
            "it needs at least a FROM; layertop build -f PATH names another one".to_owned(),
        ),
        (Ok(()), _) => (format!("buildx can't read the Dockerfile {shown}"), set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(engine: EngineState) -> HostFacts {
        HostFacts {
            engine: ("unix:///run/x.sock".into(), engine),
            builders: vec!["default".into(), "other".into()],
            dockerfile: Some(("/p/Dockerfile".into(), Err(ErrorKind::NotFound))),
        }
    }

    fn no_engine(endpoint: &str) -> StartFailure {
        StartFailure::NoEngine { endpoint: (!endpoint.is_empty()).then(|| endpoint.to_owned()) }
    }

    #[test]
    fn real_messages_are_recognised() {
        let cases = [
            (
                "unknown flag: --progress\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n",
                Some(StartFailure::NoPlugin),
            ),
            (
                "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information",
                Some(StartFailure::NoPlugin),
            ),
            ("docker: 'buildx' is not a docker command.\nSee 'docker --help'", Some(StartFailure::NoPlugin)),
            ("unknown flag: --nope\n\nUsage:  docker buildx build [OPTIONS] PATH | URL | -\n", None),
            ("ERROR: invalid progress mode rawjson\n", Some(StartFailure::OldBuildx)),
            (
                "ERROR: Cannot connect to the Docker daemon at unix:///tmp/none.sock. Is the docker daemon running?",
                Some(no_engine("unix:///tmp/none.sock")),
            ),
            (
                "ERROR: failed to connect to the docker API at tcp://127.0.0.1:1; check if the path is correct",
                Some(no_engine("tcp://127.0.0.1:1")),
            ),
            (
                "ERROR: permission denied while trying to connect to the Docker daemon socket at unix:///tmp/live.sock: \
                 Head \"http://%2Ftmp%2Flive.sock/_ping\": dial unix /tmp/live.sock: connect: permission denied",
                Some(no_engine("unix:///tmp/live.sock")),
            ),
            (
                "ERROR: error during connect: Head \"http://bogus:2375/_ping\": dial tcp: lookup bogus on 127.0.0.1:53: no such host",
                Some(no_engine("")),
            ),
            ("ERROR: no builder \"nope\" found", Some(StartFailure::NoBuilder("nope".into()))),
            (
                "ERROR: failed to build: unable to prepare context: path \"nodir\" not found",
                Some(StartFailure::NoContext("nodir".into())),
            ),
            (
                "{\"vertexes\":[]}\nERROR: failed to build: failed to solve: failed to read dockerfile: open Nope: no such file or directory",
                Some(StartFailure::NoDockerfile),
            ),
            (
                "ERROR: failed to build: resolve : lstat /tmp/none: no such file or directory",
                Some(StartFailure::NoDockerfile),
            ),
            (
                "ERROR: failed to build: failed to solve: the Dockerfile cannot be empty",
                Some(StartFailure::EmptyDockerfile),
            ),
            ("{\"name\":\"no builder \\\"x\\\" found\"}", None),
            ("ERROR: failed to build: failed to solve: process \"/bin/sh -c false\" did not complete", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(recognise(text), expected, "{text}");
        }
    }

    #[test]
    fn exit_codes_are_4_where_something_is_not_there_and_buildxs_elsewhere() {
        let troubles = [
            (StartFailure::NoPlugin, 4),
            (StartFailure::NoEngine { endpoint: None }, 4),
            (StartFailure::NoBuilder("x".into()), 4),
            (StartFailure::OldBuildx, 125),
            (StartFailure::NoDockerfile, 125),
            (StartFailure::NoContext("x".into()), 125),
        ];
        for (trouble, code) in troubles {
            let diagnosis = explain(&trouble, Exit::Code(125), &seen(EngineState::NoSocket));
            assert_eq!(diagnosis.exit_code, code, "{trouble:?}");
            assert!(!diagnosis.hint.is_empty());
        }
    }

    #[test]
    fn values_stand_in_the_messages() {
        let say = |trouble, engine| explain(&trouble, Exit::Code(1), &seen(engine)).message.to_string();
        let gone = StartFailure::NoEngine { endpoint: None };
        assert_eq!(
            say(gone.clone(), EngineState::NoSocket),
            "no Docker engine: there is no socket /run/x.sock"
        );
        assert_eq!(say(gone, EngineState::Denied), "no permission to use the Docker engine at /run/x.sock");
        assert_eq!(
            say(StartFailure::NoDockerfile, EngineState::Unknown),
            "there is no Dockerfile /p/Dockerfile"
        );
        let builder = say(StartFailure::NoBuilder("nope".into()), EngineState::Unknown);
        assert_eq!(builder, "there is no buildx builder `nope`; there is default, other");
    }

    #[tokio::test]
    async fn sockets_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("unix://{}", dir.path().join(name).display());
        assert_eq!(probe(&at("none")).await, EngineState::NoSocket);
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("dead")).unwrap());
        assert_eq!(probe(&at("dead")).await, EngineState::Refused);
        assert_eq!(probe("ssh://host").await, EngineState::Unknown);
        let _mute = std::os::unix::net::UnixListener::bind(dir.path().join("mute")).unwrap();
        assert_eq!(probe(&at("mute")).await, EngineState::Silent);
    }

    #[test]
    fn builders_are_read_from_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("buildx/instances")).unwrap();
        std::fs::write(dir.path().join("buildx/instances/multiarch-builder"), "{}").unwrap();
        let mut around = Surroundings::default();
        assert_eq!(builders(&around), ["default"]);
        around.env.insert("DOCKER_CONFIG".into(), dir.path().to_string_lossy().into_owned());
        assert_eq!(builders(&around), ["default", "multiarch-builder"]);
        around.env.insert("BUILDX_CONFIG".into(), "/nowhere".into());
        assert_eq!(builders(&around), ["default"]);
    }
}
