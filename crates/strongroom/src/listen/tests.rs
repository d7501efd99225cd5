//! A port with a handler that waits until it is told to answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use strongroom_fair::{FairSemaphore, Tenant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::{Arrival, Handler, Listener, Phase, Places, PortLimits, Table};
use crate::metrics::PortMetrics;
use crate::tls::{Authority, Certificates, server_config};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// More than the buffers between two sockets hold.
const LARGE: usize = 64 << 20;
/// What hyper buffers at once. A thousand of them are more than the buffers between two sockets hold.
const SMALL: usize = 60 << 10;

/// Tells of each request, and answers one for each permit.
struct Patient {
    arrived: Arc<Semaphore>,
    may_answer: Arc<Semaphore>,
}

impl Handler for Patient {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, _from: Arrival) -> Response<Self::Body> {
        match request.uri().path() {
            "/urgent" => return Response::new(Full::from("answer")),
            "/status" | "/small" => return Response::new(Full::from(vec![b'x'; SMALL])),
            "/denied" => return Response::builder().status(http::StatusCode::FORBIDDEN).body(Full::from("denied")).unwrap(),
            "/signed" => {
                let before = Tenant::current();
                Tenant::named("alice").take_over();
                return Response::new(Full::from(format!("{before:?}, then {:?};", Tenant::current())));
            }
            "/large" => return Response::new(Full::from(vec![b'x'; LARGE])),
            _ => {}
        }
        self.arrived.add_permits(1);
        self.may_answer.acquire().await.unwrap().forget();
        Response::new(Full::from("answer"))
    }

    fn is_urgent(&self, request: &Request<Incoming>) -> bool {
        matches!(request.uri().path(), "/urgent" | "/status")
    }

    fn busy(&self) -> Response<Self::Body> {
        let mut response = Response::new(Full::from("busy"));
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        response
    }
}

pub(super) fn tls() -> Arc<rustls::ServerConfig> {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path().to_owned(), vec!["localhost".to_owned()]).unwrap();
    server_config(Certificates::load(authority.server()).unwrap()).unwrap()
}

pub(super) fn limits() -> PortLimits {
    let patience = Duration::from_mins(1);
    PortLimits {
        name: "test",
        max_header_bytes: 8192,
        max_header_count: 16,
        handshake_timeout: patience,
        write_timeout: patience,
        min_write_bytes_per_second: 128,
        allow_plain: true,
    }
}

pub(super) fn table(max_connections: usize, patience: Duration) -> Arc<Table> {
    let places = Places {
        max_connections,
        max_per_address: max_connections,
        trusted_proxies: Vec::new(),
        header_timeout: patience,
        keep_alive_timeout: patience,
    };
    Table::new(places, Arc::new(PortMetrics::default()))
}

struct Port {
    address: std::net::SocketAddr,
    phase: watch::Sender<Phase>,
    arrived: Arc<Semaphore>,
    may_answer: Arc<Semaphore>,
    ended: JoinHandle<()>,
}

impl Port {
    async fn open(max_connections: usize) -> Self {
        Self::with(table(max_connections, Duration::from_mins(1))).await
    }

    async fn with(table: Arc<Table>) -> Self {
        let (arrived, may_answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let handler = Patient { arrived: Arc::clone(&arrived), may_answer: Arc::clone(&may_answer) };
        let listener = Listener::bind("127.0.0.1:0", tls(), limits(), table, FairSemaphore::new(2), handler).await.unwrap();
        let (address, (phase, of_port)) = (listener.address().unwrap(), watch::channel(Phase::Serving));
        Self { address, phase, arrived, may_answer, ended: tokio::spawn(listener.run(of_port)) }
    }

    /// A connection with a request that has reached the handler.
    async fn ask(&self) -> TcpStream {
        let client = self.send(REQUEST).await;
        self.arrived.acquire().await.unwrap().forget();
        client
    }

    /// As [`Port::ask`], where a place is found for it.
    async fn ask_soon(&self) -> TcpStream {
        tokio::time::timeout(Duration::from_secs(5), self.ask()).await.expect("there is a place for the request")
    }

    /// A connection with a thousand requests, whose answers are as large as [`SMALL`].
    async fn flood(&self, path: &str) -> TcpStream {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(1000).as_bytes()).await
    }

    async fn send(&self, request: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(request).await.unwrap();
        client
    }
}

async fn answer(mut client: TcpStream) -> String {
    let mut reply = String::new();
    client.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_port_ends() {
    let port = Port::open(8).await;
    let client = port.ask().await;
    port.phase.send_replace(Phase::Draining);
    let mut ended = port.ended;
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut ended).await.is_err(), "it waits for the request");
    assert!(TcpStream::connect(port.address).await.is_err(), "nobody else is let in");
    port.may_answer.add_permits(1);
    let reply = answer(client).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\nanswer"), "{reply}");
    ended.await.unwrap();
}

#[tokio::test]
async fn an_address_is_one_tenant_until_a_request_says_whose_the_connection_is() {
    let port = Port::open(4).await;
    for _ in 0..2 {
        let mut client = port.send(b"GET /signed HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.write_all(b"GET /signed HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let answers = answer(client).await;
        let whose: Vec<&str> = answers.split("\r\n").filter_map(|line| line.split_once(';').map(|(whose, _)| whose)).collect();
        assert_eq!(whose, ["address 127.0.0.1, then alice", "alice, then alice"], "{answers}");
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off() {
    let port = Port::open(8).await;
    let client = port.ask().await;
    port.phase.send_replace(Phase::Draining);
    port.phase.send_replace(Phase::Cut);
    port.ended.await.unwrap();
    assert_eq!(answer(client).await, "");
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_end() {
    let port = Port::open(8).await;
    port.may_answer.add_permits(1);
    let mut idle = port.ask().await;
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    port.phase.send_replace(Phase::Draining);
    port.ended.await.unwrap();
}

#[tokio::test]
async fn with_every_connection_busy_what_is_urgent_is_served_and_others_are_told_to_come_back() {
    let port = Port::open(1).await;
    let busy = port.ask().await;
    let refused = answer(port.send(REQUEST).await).await;
    assert!(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && refused.ends_with("\r\n\r\nbusy"), "{refused}");
    assert!(refused.contains("\r\nretry-after: 1\r\n") && refused.contains("\r\nconnection: close\r\n"), "{refused}");
    let urgent = answer(port.send(b"GET /urgent HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert!(urgent.starts_with("HTTP/1.1 200 OK\r\n") && urgent.ends_with("\r\n\r\nanswer"), "{urgent}");
    assert!(urgent.contains("\r\nconnection: close\r\n"), "{urgent}");
    port.may_answer.add_permits(1);
    port.phase.send_replace(Phase::Draining);
    assert!(answer(busy).await.starts_with("HTTP/1.1 200 OK\r\n"), "the busy one is served all the same");
    port.ended.await.unwrap();
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones_and_busy_ones_do_not() {
    let port = Port::open(3).await;
    let (silent, busy) = (TcpStream::connect(port.address).await.unwrap(), port.ask().await);
    // It asked once, and waits since.
    let mut idle = port.send(b"GET /urgent HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.read_exact(&mut [0; 12]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let _new = [port.ask().await, port.ask().await];
    assert_eq!(answer(silent).await, "", "the one that waited longest is closed");
    assert!(answer(idle).await.ends_with("answer"), "and then the next");
    assert!(answer(port.send(REQUEST).await).await.starts_with("HTTP/1.1 503 "), "now all are busy");
    port.may_answer.add_permits(1);
    port.phase.send_replace(Phase::Draining);
    assert!(answer(busy).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn an_answer_that_is_not_taken_yet_keeps_its_connection_busy() {
    let port = Port::open(1).await;
    let mut reader = port.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(answer(port.send(REQUEST).await).await.starts_with("HTTP/1.1 503 "));
    let mut received = vec![0; LARGE];
    reader.read_exact(&mut received).await.unwrap();
    // The head came before it.
    while let Ok(received) = tokio::time::timeout(Duration::from_millis(500), reader.read(&mut [0; 4096])).await {
        assert!(received.unwrap() > 0);
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let _new = port.ask().await;
}

#[tokio::test]
async fn a_client_that_asks_on_and_takes_no_answers_keeps_no_place() {
    for path in ["/status", "/small"] {
        let port = Port::open(2).await;
        let _flood = port.flood(path).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let _busy = port.ask().await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let _new = port.ask_soon().await;
        assert!(answer(port.send(REQUEST).await).await.starts_with("HTTP/1.1 503 "), "{path}: now both are busy");
    }
}

#[tokio::test]
async fn a_client_without_credentials_that_takes_a_little_of_its_answers_keeps_no_place() {
    let port = Port::open(2).await;
    let mut flood = port.flood("/status").await;
    let reader = tokio::spawn(async move {
        let (mut piece, mut taken) = (vec![0; 256 << 10], 0);
        loop {
            match flood.read(&mut piece).await {
                Ok(len) if len > 0 => taken += len,
                _ => return taken,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _busy = port.ask().await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let _new = port.ask_soon().await;
    let taken = tokio::time::timeout(Duration::from_secs(5), reader).await.expect("its connection ends").unwrap();
    assert!(taken < 500 * SMALL, "{taken}");
}

#[tokio::test]
async fn on_a_full_port_one_answer_is_all_that_a_client_without_credentials_gets() {
    let requests = b"GET /denied HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3);
    let count = |reply: &str| (reply.matches("HTTP/1.1 403 ").count(), reply.matches("\r\nconnection: close\r\n").count());
    let full = Port::open(1).await;
    let reply = tokio::time::timeout(Duration::from_secs(5), answer(full.send(&requests).await)).await.expect("it is closed");
    assert_eq!(count(&reply), (1, 1), "{reply}");
    let roomy = Port::open(2).await;
    let mut client = roomy.send(&requests).await;
    let mut reply = String::new();
    while reply.matches("denied").count() < 3 {
        reply.push(char::from(client.read_u8().await.unwrap()));
    }
    assert_eq!(count(&reply), (3, 0), "{reply}");
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_off_in_its_time() {
    let port = Port::with(table(8, Duration::from_secs(1))).await;
    drips_into_the_void(TcpStream::connect(port.address).await.unwrap()).await;
    // And so is the head of a later request.
    let mut asked = port.send(b"GET /urgent HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"answer") {
        answer.push(asked.read_u8().await.unwrap());
    }
    drips_into_the_void(asked).await;
}

/// Sends a head byte by byte, and checks that it is cut off long before its end, without an answer.
async fn drips_into_the_void(mut client: TcpStream) {
    let begun = std::time::Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter().chain(&[b'a'; 100]) {
        if client.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(answer(client).await, "");
}
