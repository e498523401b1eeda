//! A builder that is slow to list its records: the `BuildKit` of an engine behind a socket, as it is but for that one call.
//!
//!     slow_builder ENGINE_SOCKET SOCKET SECONDS
//!
//! It serves until it is ended. For the tests: `tests/slow-listing.sh`.
#![expect(clippy::print_stderr, reason = "it is a program of the tests, and says what goes wrong")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use color_eyre::eyre::{Report, ensure, eyre};
use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// The call that is slow.
const LISTING: &str = "/moby.buildkit.v1.Control/DiskUsage";

fn main() -> Result<(), Report> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [engine, socket, seconds] = words.as_slice() else {
        return Err(eyre!("usage: slow_builder ENGINE_SOCKET SOCKET SECONDS"));
    };
    let delay = Duration::from_secs_f64(seconds.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(PathBuf::from(engine), Path::new(socket), delay))
}

async fn serve(engine: PathBuf, socket: &Path, delay: Duration) -> Result<(), Report> {
    let listener = UnixListener::bind(socket)?;
    loop {
        let (near, _) = listener.accept().await?;
        let engine = engine.clone();
        tokio::spawn(async move {
            if let Err(error) = hand_on(near, &engine, delay).await {
                eprintln!("slow_builder: {error}");
            }
        });
    }
}

/// Carries the calls of one connection to the engine's `BuildKit`.
async fn hand_on(near: UnixStream, engine: &Path, delay: Duration) -> Result<(), Report> {
    let far = upgraded(engine).await?;
    let (sender, connection) = client::handshake(TokioExecutor::new(), TokioIo::new(far)).await?;
    tokio::spawn(connection);
    let service = service_fn(move |request: Request<Incoming>| call(sender.clone(), request, delay));
    server::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(near), service).await?;
    Ok(())
}

async fn call(
    mut sender: client::SendRequest<Incoming>,
    request: Request<Incoming>,
    delay: Duration,
) -> hyper::Result<Response<Incoming>> {
    if request.uri().path() == LISTING {
        tokio::time::sleep(delay).await;
    }
    sender.send_request(request).await
}

/// The engine's own `BuildKit`, behind its HTTP upgrade.
async fn upgraded(engine: &Path) -> Result<UnixStream, Report> {
    let mut far = UnixStream::connect(engine).await?;
    far.write_all(b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        .await?;
    // The engine drops what comes before its answer has ended.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(far.read_u8().await?);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    Ok(far)
}
