//! A proxy before a real server: counts requests, and breaks those it is told to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is closed before the server sees the request.
    LoseRequest,
    /// The server carries the request out, and the connection is closed before its answer.
    LoseAnswer,
    /// The connection is closed in the middle of the answer's body.
    CutAnswer,
    /// Nothing is answered while the connection stays open.
    Hang,
    /// Another server's failure is answered.
    ServiceUnavailable,
}

pub(crate) struct Proxy {
    /// Its address, with the path of the server's.
    pub(crate) url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    requests: AtomicUsize,
    /// The fault, and the number of the request it hits; none means all.
    fault: Mutex<Option<(Fault, Option<usize>)>>,
    last_token: Mutex<Option<String>>,
}

impl Proxy {
    /// Before the server at `url` (`http://host:port/path`).
    pub(crate) async fn before(url: &str) -> Self {
        let (server, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap_or((url.strip_prefix("http://").unwrap(), ""));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{path}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        tokio::spawn(serve(listener, server.to_owned(), Arc::clone(&state)));
        Self { url, state }
    }

    /// Requests since the start.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Breaks every request from now on.
    pub(crate) fn break_all(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = Some((fault, None));
    }

    /// Breaks the request that comes after `after` others.
    pub(crate) fn break_one(&self, fault: Fault, after: usize) {
        *self.state.fault.lock().unwrap() = Some((fault, Some(self.requests() + after)));
    }

    pub(crate) fn heal(&self) {
        *self.state.fault.lock().unwrap() = None;
    }

    /// The last token that Keystone gave through this proxy.
    pub(crate) fn last_token(&self) -> String {
        self.state.last_token.lock().unwrap().clone().unwrap()
    }
}

async fn serve(listener: TcpListener, server: String, state: Arc<State>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (server, state) = (server.clone(), Arc::clone(&state));
        // A client that goes away is no failure of the proxy.
        tokio::spawn(async move { drop(exchange(client, &server, &state).await) });
    }
}

/// One request per connection.
async fn exchange(mut client: TcpStream, server: &str, state: &State) -> std::io::Result<()> {
    let request = read_request(&mut client).await?;
    let number = state.requests.fetch_add(1, Ordering::SeqCst);
    let fault = state.fault.lock().unwrap().filter(|(_, hit)| hit.is_none_or(|hit| hit == number)).map(|(fault, _)| fault);
    match fault {
        Some(Fault::LoseRequest) => return Ok(()),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::ServiceUnavailable) => {
            return client.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        }
        _ => {}
    }
    let answer = ask(server, &request).await?;
    note_token(state, &answer);
    let sent = match fault {
        Some(Fault::LoseAnswer) => 0,
        Some(Fault::CutAnswer) => answer.len() - 1,
        _ => answer.len(),
    };
    client.write_all(&answer[..sent]).await
}

async fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if is_whole(&request) {
            // The server must close, as this proxy does.
            let line_end = request.windows(2).position(|window| window == b"\r\n").unwrap() + 2;
            request.splice(line_end..line_end, *b"Connection: close\r\n");
            return Ok(request);
        }
        if client.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let head = request.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    head.is_some_and(|head| request.len() >= head + content_length(&request[..head]))
}

async fn ask(server: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(server).await?;
    upstream.write_all(request).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn content_length(head: &[u8]) -> usize {
    header(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn note_token(state: &State, answer: &[u8]) {
    if let Some(token) = header(answer, "x-subject-token") {
        *state.last_token.lock().unwrap() = Some(token);
    }
}

fn header(message: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let mut lines = text.split("\r\n").take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}
