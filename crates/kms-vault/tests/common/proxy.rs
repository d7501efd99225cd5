//! A relay in front of the server that fails on demand and remembers what was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Accepted and closed at once.
    Close,
    /// Closed after this many bytes of the answer.
    CutAnswer(usize),
    /// The request is taken and never answered.
    Silence,
    /// The server does not get to see `associated_data`, as if it were too old to know it.
    Unbind,
}

/// A relay of plain HTTP.
pub(crate) struct Proxy {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    fault: Fault,
    requests: Vec<String>,
}

impl Proxy {
    /// Relays to an `http://host:port`.
    pub(crate) async fn start(target: &str) -> Self {
        let target = target.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { fault: Fault::None, requests: Vec::new() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, target.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, state, task }
    }

    /// What happens from now on, on open connections too.
    pub(crate) fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// How many requests there were whose first line contains `part`.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.state.lock().unwrap().requests.iter().filter(|line| line.contains(part)).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut client: TcpStream, target: String, state: Arc<Mutex<State>>) -> Option<()> {
    let mut server = TcpStream::connect(target).await.ok()?;
    let (mut from_client, mut from_server) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    if fault(&state) == Fault::Close {
        return None;
    }
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let bytes = &from_client[..read.ok().filter(|len| *len > 0)?];
                remember(&state, bytes);
                match fault(&state) {
                    Fault::Close => return None,
                    Fault::Silence => std::future::pending::<()>().await,
                    Fault::None | Fault::CutAnswer(_) => server.write_all(bytes).await.ok()?,
                    Fault::Unbind => {
                        let unbound = String::from_utf8_lossy(bytes).replace("\"associated_data\"", "\"associated_dust\"");
                        server.write_all(unbound.as_bytes()).await.ok()?;
                    }
                }
            }
            read = server.read(&mut from_server) => {
                let bytes = &from_server[..read.ok().filter(|len| *len > 0)?];
                if let Fault::CutAnswer(len) = fault(&state) {
                    client.write_all(&bytes[..len.min(bytes.len())]).await.ok()?;
                    return None;
                }
                client.write_all(bytes).await.ok()?;
            }
        }
    }
}

fn fault(state: &Mutex<State>) -> Fault {
    state.lock().unwrap().fault
}

fn remember(state: &Mutex<State>, bytes: &[u8]) {
    let first = String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
    if first.ends_with("HTTP/1.1") {
        state.lock().unwrap().requests.push(first);
    }
}
