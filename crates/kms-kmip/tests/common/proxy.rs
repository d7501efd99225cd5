//! A proxy that closes connections half-way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

/// Forwards to a server until its answers have used up their allowance of bytes.
pub(crate) struct Proxy {
    address: String,
    allowance: Arc<AtomicI64>,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap().to_string(),
            allowance: Arc::new(AtomicI64::new(i64::MAX)),
            connections: Arc::default(),
        };
        let (allowance, connections) = (Arc::clone(&proxy.allowance), Arc::clone(&proxy.connections));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(forward(client, upstream.clone(), Arc::clone(&allowance)));
            }
        });
        proxy
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// How many more bytes the server may say before everything is closed.
    pub(crate) fn allow(&self, bytes: i64) {
        self.allowance.store(bytes, Ordering::SeqCst);
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn forward(client: TcpStream, upstream: String, allowance: Arc<AtomicI64>) {
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from_server.read(&mut buffer).await {
        let left = allowance.fetch_sub(i64::try_from(len).unwrap(), Ordering::SeqCst);
        let allowed = len.min(usize::try_from(left.max(0)).unwrap());
        if to_client.write_all(&buffer[..allowed]).await.is_err() || allowed < len {
            break;
        }
    }
    requests.abort();
}
