//! A `BuildKit` that listens: on a socket of this machine, or over TCP with or without TLS. Nobody stands between, so a node that does
//! not answer delays no other one of its builder, as it would with `docker buildx dial-stdio`, which asks all of them first.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;

use super::super::builder::instance::{BuildkitAddress, TlsFiles};
use super::super::trust;
use super::connect_http2;

/// How long a connection may take to come about.
const DIAL: Duration = Duration::from_secs(10);

/// Connects, and speaks HTTP/2.
pub(super) async fn dial(listener: &BuildkitAddress) -> Result<Channel, String> {
    let connecting = async {
        match listener {
            BuildkitAddress::Unix(path) => {
                let socket = UnixStream::connect(path).await;
                connect_http2(socket.map_err(|error| connect_error(&error, &path.display().to_string()))?)
                    .await
            }
            BuildkitAddress::Tcp { host, port, tls } => {
                let at = format!("{host}:{port}");
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(|error| connect_error(&error, &at))?;
                // Answers are small, and waited for.
                let _ = stream.set_nodelay(true);
                match tls {
                    None => connect_http2(stream).await,
                    Some(files) => connect_http2(secure(stream, files, &at).await?).await,
                }
            }
        }
    };
    let late = |_| Err(format!("no connection in {} s", DIAL.as_secs()));
    timeout(DIAL, connecting).await.unwrap_or_else(late)
}

fn connect_error(error: &std::io::Error, at: &str) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => format!("nothing listens at {at}"),
        _ => format!("{at} can't be reached: {error}"),
    }
}

async fn secure(
    stream: TcpStream,
    files: &TlsFiles,
    at: &str,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(files.server_name.clone());
    let name =
        name.map_err(|_| format!("`{}` is no name that a certificate could be for", files.server_name))?;
    let connector = TlsConnector::from(Arc::new(config(files)?));
    connector.connect(name, stream).await.map_err(|error| format!("no secure connection to {at}: {error}"))
}

fn config(files: &TlsFiles) -> Result<ClientConfig, String> {
    let config = match &files.authority {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| unusable(path, &error))?;
            }
            ClientConfig::builder().with_root_certificates(roots)
        }
        None => trust::trusting(RootCertStore::empty()).map_err(|error| error.to_string())?,
    };
    let mut config = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => {
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
            let chain = certificates(certificate)?;
            config.with_client_auth_cert(chain, secret).map_err(|error| unusable(certificate, &error))?
        }
        _ => config.with_no_client_auth(),
    };
    // Servers of gRPC insist on it.
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, &error))?;
    read.collect::<Result<_, _>>().map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{} can't be used: {error}", path.display())
}
