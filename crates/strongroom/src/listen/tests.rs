//! A port with a handler that waits until it is told to answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::{Arrival, Handler, Listener, Phase, PortLimits};
use crate::tls::{Authority, Certificates, server_config};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Tells of each request, and answers one for each permit.
struct Patient {
    arrived: Arc<Semaphore>,
    may_answer: Arc<Semaphore>,
}

impl Handler for Patient {
    type Body = Full<Bytes>;

    async fn handle(&self, _request: Request<Incoming>, _from: Arrival) -> Response<Self::Body> {
        self.arrived.add_permits(1);
        self.may_answer.acquire().await.unwrap().forget();
        Response::new(Full::from("answer"))
    }
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
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path().to_owned(), vec!["localhost".to_owned()]).unwrap();
        let tls = server_config(Certificates::load(authority.server()).unwrap()).unwrap();
        let (arrived, may_answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let handler = Patient { arrived: Arc::clone(&arrived), may_answer: Arc::clone(&may_answer) };
        let patience = Duration::from_mins(1);
        let limits = PortLimits {
            max_connections,
            max_header_bytes: 8192,
            max_header_count: 16,
            handshake_timeout: patience,
            header_timeout: patience,
            write_timeout: patience,
            min_write_bytes_per_second: 128,
            allow_plain: true,
        };
        let listener = Listener::bind("127.0.0.1:0", tls, limits, None, handler).await.unwrap();
        let (address, (phase, of_port)) = (listener.address().unwrap(), watch::channel(Phase::Serving));
        Self { address, phase, arrived, may_answer, ended: tokio::spawn(listener.run(of_port)) }
    }

    /// A connection with a request that has reached the handler.
    async fn ask(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        self.arrived.acquire().await.unwrap().forget();
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
async fn a_connection_beyond_the_limit_waits_for_one_to_end() {
    let port = Port::open(1).await;
    let first = port.ask().await;
    let mut second = TcpStream::connect(port.address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    let arrives = tokio::time::timeout(Duration::from_millis(100), port.arrived.acquire());
    assert!(arrives.await.is_err(), "the second request waits");
    drop(first);
    port.arrived.acquire().await.unwrap().forget();
    port.may_answer.add_permits(2);
    let mut reply = [0; 12];
    second.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 200");
}
