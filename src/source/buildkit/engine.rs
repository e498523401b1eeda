//! The ways through an engine, as buildx itself goes them: into a container that `BuildKit` runs in, or to the engine's own one. No process
//! stands between; the docker command costs a client more than everything that is said over the connection.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::{StreamExt as _, future};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_util::io::StreamReader;
use tonic::transport::Channel;

use super::super::builder::engine;
use super::super::builder::instance::EngineAddress;
use super::{OutputTail, connect_http2, innermost};

/// How long setting up a connection may take.
const DIAL: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read at once.
const PIECE: usize = 64 << 10;

/// Goes into a container. What `buildctl` says there beside the connection is kept.
pub(super) async fn into_container(
    host: &EngineAddress,
    container: &str,
) -> Result<(OutputTail, Channel), String> {
    let words = OutputTail::default();
    let stderr = words.clone();
    let dialling = async {
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec!["buildctl".to_owned(), "dial-stdio".to_owned()]),
            ..ExecConfig::default()
        };
        let docker = engine::connect(host)?.ok_or_else(|| unreachable(host))?;
        let exec = docker.create_exec(container, config).await.map_err(engine::error_text)?;
        let options = StartExecOptions { output_capacity: Some(PIECE), ..StartExecOptions::default() };
        let started = docker.start_exec(&exec.id, Some(options)).await.map_err(engine::error_text)?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(format!("the engine gave no stream into {container}"));
        };
        let output = output.filter_map(move |piece| {
            future::ready(match piece {
                Ok(LogOutput::StdErr { message }) => {
                    stderr.append(&message);
                    None
                }
                Ok(piece) => Some(Ok(piece.into_bytes())),
                Err(error) => Some(Err(std::io::Error::other(error))),
            })
        });
        connect_http2(tokio::io::join(StreamReader::new(output), input)).await
    };
    let channel = timeout(DIAL, dialling).await.unwrap_or_else(|_| Err(late()));
    match channel {
        Ok(channel) => Ok((words, channel)),
        Err(error) => Err(words.last_line().unwrap_or(error)),
    }
}

/// Goes to the engine's own `BuildKit`.
pub(super) async fn own(host: &EngineAddress) -> Result<Channel, String> {
    let dialling = async {
        match host {
            EngineAddress::Unix(path) => {
                upgrade(UnixStream::connect(path).await.map_err(|error| format!("{path}: {error}"))?).await
            }
            EngineAddress::Http(address) => {
                let at = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
                let at = at.trim_end_matches('/');
                upgrade(TcpStream::connect(at).await.map_err(|error| format!("{at}: {error}"))?).await
            }
            EngineAddress::ByCommand(_) => Err(unreachable(host)),
        }
    };
    timeout(DIAL, dialling).await.unwrap_or_else(|_| Err(late()))
}

/// Asks an engine to speak gRPC from now on (moby, `api/server/router/grpc`).
async fn upgrade<S>(stream: S) -> Result<Channel, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| innermost(&error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends with the stream, which the channel holds.
    tokio::spawn(connection.with_upgrades());
    let request = Request::post("/grpc").header(HOST, "docker").header(CONNECTION, "Upgrade");
    let request = request.header(UPGRADE, "h2c").body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.map_err(|error| error.to_string())?).await.map_err(broken)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(format!("the engine does not lead to its BuildKit: {}", answer.status()));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(broken)?;
    connect_http2(TokioIo::new(upgraded)).await
}

fn unreachable(host: &EngineAddress) -> String {
    format!("only the docker command knows the way to {}", host.shown())
}

fn late() -> String {
    format!("no connection in {} s", DIAL.as_secs())
}
