//! A way to an API server that can be cut.

use std::path::Path;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Carries connections to a port of this machine, up to a cut.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    task: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(crate) async fn to(target: u16) -> Self {
        let mut proxy = Self { port: 0, task: None };
        proxy.open(target).await;
        proxy
    }

    /// Opens it, on the port that it had before.
    pub(crate) async fn open(&mut self, target: u16) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        self.task = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", target)).await?;
                    copy_bidirectional(&mut near, &mut far).await
                });
            }
        }));
    }

    /// Ends all connections, and takes no more.
    pub(crate) async fn cut(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    /// A copy of a kubeconfig that leads here.
    pub(crate) fn kubeconfig(&self, original: &Path, port: u16, copy: &Path) {
        let text = std::fs::read_to_string(original).unwrap();
        std::fs::write(copy, text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{}", self.port)))
            .unwrap();
    }
}
