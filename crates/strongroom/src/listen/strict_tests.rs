//! What a request may look like, byte by byte: each row goes through a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use strongroom_fair::FairSemaphore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};

use super::tests::{limits, table, tls};
use super::{Arrival, Handler, Listener, Phase};

/// Answers with what it understood: method, target and body. A body that is none is answered with 400.
struct Echo(Arc<AtomicUsize>);

impl Handler for Echo {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, _from: Arrival) -> Response<Self::Body> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let line = format!("{} {} ", request.method(), request.uri());
        match request.into_body().collect().await {
            Ok(body) => Response::new(Full::from([line.as_bytes(), &body.to_bytes()].concat())),
            Err(_) => status(StatusCode::BAD_REQUEST),
        }
    }

    fn is_urgent(&self, _request: &Request<Incoming>) -> bool {
        false
    }

    fn busy(&self) -> Response<Self::Body> {
        status(StatusCode::SERVICE_UNAVAILABLE)
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

struct EchoPort {
    address: SocketAddr,
    handled: Arc<AtomicUsize>,
    _phase: watch::Sender<Phase>,
}

impl EchoPort {
    async fn open() -> Self {
        let handled = Arc::new(AtomicUsize::new(0));
        let (table, echo) = (table(256, Duration::from_mins(1)), Echo(Arc::clone(&handled)));
        let listener = Listener::bind("127.0.0.1:0", tls(), limits(), table, FairSemaphore::new(2), echo).await.unwrap();
        let (address, (phase, of_port)) = (listener.address().unwrap(), watch::channel(Phase::Serving));
        tokio::spawn(listener.run(of_port));
        Self { address, handled, _phase: phase }
    }

    async fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).await.unwrap();
        client.set_nodelay(true).unwrap();
        client
    }
}

/// What came until the connection was closed, or until nothing came for a while; and whether it was closed.
async fn told(client: &mut TcpStream) -> (String, bool) {
    let (mut reply, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match tokio::time::timeout(Duration::from_millis(500), client.read(&mut buffer)).await {
            Err(_) => return (String::from_utf8(reply).unwrap(), false),
            Ok(Ok(0) | Err(_)) => return (String::from_utf8(reply).unwrap(), true),
            Ok(Ok(len)) => reply.extend_from_slice(&buffer[..len]),
        }
    }
}

/// What must come of a row.
#[derive(Clone, Copy, Debug)]
enum Comes {
    /// 200 with this text, and the connection stays open.
    Echo(&'static str),
    /// 200 with this text, and the connection is closed.
    Last(&'static str),
    /// This status, nothing else, and the connection is closed. The handler never saw a request.
    Refused(u16),
    /// 400 by the handler, whose body broke off, and the connection is closed.
    Broken,
}

use Comes::{Broken, Echo as Echoed, Last, Refused};

type Rows = Vec<(&'static str, String, Comes)>;

/// Sends each row whole and byte by byte, and checks what comes. A second request follows each: it must never be answered on a
/// connection that is to be closed.
async fn check(rows: Rows) {
    let mut checks = JoinSet::new();
    for (name, bytes, comes) in rows {
        for piece in [usize::MAX, 1] {
            checks.spawn(check_row(name, bytes.clone(), comes, piece));
        }
    }
    while let Some(check) = checks.join_next().await {
        check.unwrap();
    }
}

async fn check_row(name: &'static str, bytes: String, comes: Comes, piece: usize) {
    let port = EchoPort::open().await;
    let mut client = port.connect().await;
    for piece in bytes.as_bytes().chunks(piece.min(bytes.len())) {
        if client.write_all(piece).await.is_err() {
            break;
        }
        yield_now().await;
    }
    let (reply, is_closed) = told(&mut client).await;
    let context = format!("{name}, in pieces of {piece}: closed {is_closed}, {reply:?}");
    let handled = port.handled.load(Ordering::Relaxed);
    let (status, body, closes, sees) = match comes {
        Echoed(body) => (200, body, false, 1),
        Last(body) => (200, body, true, 1),
        Refused(status) => (status, "", true, 0),
        Broken => (400, "", true, 1),
    };
    let is_refused = matches!(comes, Refused(_));
    let minor = u8::from(is_refused || !bytes.contains("HTTP/1.0"));
    assert!(reply.starts_with(&format!("HTTP/1.{minor} {status} ")), "{context}");
    assert_eq!(reply.matches("HTTP/1.").count(), 1, "{context}");
    assert!(reply.ends_with(&format!("\r\n\r\n{body}")), "{context}");
    assert_eq!((is_closed, handled), (closes, sees), "{context}");
    assert!(!is_refused || reply.contains("\r\nconnection: close\r\n"), "{context}");
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn with(header: &str) -> String {
    format!("GET /a HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n")
}

fn put(headers: &str, body: &str) -> String {
    format!("PUT /a HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    put("Transfer-Encoding: chunked", body)
}

#[tokio::test]
async fn a_line_of_a_head_ends_in_cr_lf_and_in_nothing_else() {
    let row = |name, bytes: &str, comes| (name, bytes.to_owned(), comes);
    check(vec![
        row("CR LF", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", Echoed("GET /a ")),
        row("an empty line before", "\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", Echoed("GET /a ")),
        row("an empty line of LF before", "\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", Refused(400)),
        row("LF after the request line", "GET /a HTTP/1.1\nHost: x\r\n\r\n", Refused(400)),
        row("LF after a header", "GET /a HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", Refused(400)),
        row("LF as the empty line", "GET /a HTTP/1.1\r\nHost: x\r\n\n", Refused(400)),
        row("LF alone", "GET /a HTTP/1.1\nHost: x\n\n", Refused(400)),
        row("LF LF in a value", "GET /a HTTP/1.1\r\nHost: x\r\nX: a\n\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n", Refused(400)),
        row("CR within a value", "GET /a HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n", Refused(400)),
        row("CR CR LF", "GET /a HTTP/1.1\r\nHost: x\r\nX: a\r\r\n\r\n", Refused(400)),
        row("CR alone", "GET /a HTTP/1.1\rHost: x\r\r\r\n\r\n", Refused(400)),
    ])
    .await;
}

#[tokio::test]
async fn a_request_names_one_host() {
    let host = |lines: &str| format!("GET /a HTTP/1.1\r\n{lines}\r\n");
    check(vec![
        ("a name", host("Host: s3.example\r\n"), Echoed("GET /a ")),
        ("a port", host("host:\t[2001:db8::1]:9000 \r\n"), Echoed("GET /a ")),
        ("none", host(""), Refused(400)),
        ("one in a header like it", host("X-Host: x\r\n"), Refused(400)),
        ("two", host("Host: x\r\nHost: y\r\n"), Refused(400)),
        ("the same twice", host("Host: x\r\nHOST: x\r\n"), Refused(400)),
        ("empty", host("Host:\r\n"), Refused(400)),
        ("a list", host("Host: x, y\r\n"), Refused(400)),
        ("a path", host("Host: x/y\r\n"), Refused(400)),
        ("a user", host("Host: u@x\r\n"), Refused(400)),
        ("two words", host("Host: x y\r\n"), Refused(400)),
        ("white space before the colon", host("Host : x\r\n"), Refused(400)),
        ("HTTP/1.0 without", "GET /a HTTP/1.0\r\n\r\n".to_owned(), Last("GET /a ")),
        ("HTTP/1.0 with one", "GET /a HTTP/1.0\r\nHost: x\r\n\r\n".to_owned(), Last("GET /a ")),
    ])
    .await;
}

#[tokio::test]
async fn the_end_of_a_body_is_told_in_one_way_only() {
    let last = "0\r\n\r\n";
    check(vec![
        ("a length", put("Content-Length: 5", "hello"), Echoed("PUT /a hello")),
        ("a length with white space", put("Content-Length: \t 5 \t", "hello"), Echoed("PUT /a hello")),
        ("a length with zeros", put("Content-Length: 005", "hello"), Echoed("PUT /a hello")),
        ("a length of 0", put("Content-Length: 0", ""), Echoed("PUT /a ")),
        ("a length twice", put("Content-Length: 5\r\nContent-Length: 5", "hello"), Refused(400)),
        ("two lengths", put("Content-Length: 5\r\nContent-Length: 6", "hello"), Refused(400)),
        ("a list of lengths", put("Content-Length: 5, 5", "hello"), Refused(400)),
        ("a sign", put("Content-Length: +5", "hello"), Refused(400)),
        ("a minus", put("Content-Length: -5", "hello"), Refused(400)),
        ("two words", put("Content-Length: 5 5", "hello"), Refused(400)),
        ("hexadecimal", put("Content-Length: 0x5", "hello"), Refused(400)),
        ("no length", put("Content-Length:", "hello"), Refused(400)),
        ("2^64", put("Content-Length: 18446744073709551616", "hello"), Refused(400)),
        ("2^64 - 1", put("Content-Length: 18446744073709551615", "hello"), Refused(400)),
        ("2^63", put("Content-Length: 9223372036854775808", "hello"), Refused(400)),
        ("chunked", put("Transfer-Encoding: chunked", last), Echoed("PUT /a ")),
        ("CHUNKED", put("transfer-encoding:\tCHUNKED ", last), Echoed("PUT /a ")),
        ("gzip, chunked", put("Transfer-Encoding: gzip, chunked", last), Refused(400)),
        ("chunked, chunked", put("Transfer-Encoding: chunked, chunked", last), Refused(400)),
        ("chunked, gzip", put("Transfer-Encoding: chunked, gzip", last), Refused(400)),
        ("chunked twice", put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", last), Refused(400)),
        ("gzip and chunked", put("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", last), Refused(400)),
        ("identity", put("Transfer-Encoding: identity", ""), Refused(400)),
        ("identity and a length", put("Transfer-Encoding: identity\r\nContent-Length: 5", "hello"), Refused(400)),
        ("a parameter", put("Transfer-Encoding: chunked;q=1", last), Refused(400)),
        ("quotes", put("Transfer-Encoding: \"chunked\"", last), Refused(400)),
        ("xchunked", put("Transfer-Encoding: xchunked", last), Refused(400)),
        ("a vertical tab", put("Transfer-Encoding: \x0bchunked", last), Refused(400)),
        ("none", put("Transfer-Encoding:", last), Refused(400)),
        ("white space before the colon", put("Transfer-Encoding : chunked", last), Refused(400)),
        ("a folded line", put("Transfer-Encoding:\r\n chunked", last), Refused(400)),
        ("chunked, then a length", put("Transfer-Encoding: chunked\r\nContent-Length: 5", last), Refused(400)),
        ("a length, then chunked", put("Content-Length: 5\r\nTransfer-Encoding: chunked", last), Refused(400)),
        ("chunked in HTTP/1.0", "PUT /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), Refused(400)),
    ])
    .await;
}

#[tokio::test]
async fn a_header_is_one_line_of_a_name_a_colon_and_a_value() {
    check(vec![
        ("a tab in the value", with("X: a\tb"), Echoed("GET /a ")),
        ("UTF-8 in the value", with("X: é"), Echoed("GET /a ")),
        ("a folded line", with("X: a\r\n b"), Refused(400)),
        ("a line folded by a tab", with("X: a\r\n\tb"), Refused(400)),
        ("a folded first line", "GET /a HTTP/1.1\r\n Host: x\r\n\r\n".to_owned(), Refused(400)),
        ("white space before the colon", with("X : a"), Refused(400)),
        ("a tab before the colon", with("X\t: a"), Refused(400)),
        ("no colon", with("X"), Refused(400)),
        ("no name", with(": a"), Refused(400)),
        ("a name in brackets", with("(X): a"), Refused(400)),
        ("NUL in the name", with("X\0: a"), Refused(400)),
        ("NUL in the value", with("X: a\0b"), Refused(400)),
        ("a control byte in the value", with("X: a\x01b"), Refused(400)),
        ("DEL in the value", with("X: a\x7fb"), Refused(400)),
        ("too many", with(&["X: a"; 17].join("\r\n")), Refused(431)),
        ("too long", with(&format!("X: {}", "a".repeat(9000))), Refused(431)),
        ("too long without an end", format!("GET /a HTTP/1.1\r\nHost: x\r\nX: {}", "a".repeat(9000)), Refused(431)),
    ])
    .await;
}

#[tokio::test]
async fn a_target_is_a_path_or_an_url_of_the_same_host() {
    check(vec![
        ("a query", get("/a?b=c"), Echoed("GET /a?b=c ")),
        ("an URL of the host", get("http://X/a"), Echoed("GET http://X/a ")),
        ("an URL of another host", get("http://y/a"), Refused(400)),
        ("an URL of another port", get("http://x:80/a"), Refused(400)),
        ("an URL with a user", get("http://u@x/a"), Refused(400)),
        ("an URL of another scheme", get("ftp://x/a"), Refused(400)),
        ("an URL in HTTP/1.0 without a host", "GET http://x/a HTTP/1.0\r\n\r\n".to_owned(), Refused(400)),
        ("no slash", get("a"), Refused(400)),
        ("an authority", get("x:80"), Refused(400)),
        ("CONNECT", "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n".to_owned(), Refused(400)),
        ("CONNECT of a path", "CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Refused(400)),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Echoed("OPTIONS * ")),
        ("GET *", get("*"), Refused(400)),
        ("a fragment", get("/a#b"), Refused(400)),
        ("a space", get("/a b"), Refused(400)),
        ("two spaces before", get(" /a"), Refused(400)),
        ("a tab", get("/a\tb"), Refused(400)),
        ("NUL", get("/a\0b"), Refused(400)),
        ("DEL", get("/a\x7fb"), Refused(400)),
        ("angle brackets", get("/<a>"), Refused(400)),
        ("a method that is none", "G@T /a HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Refused(400)),
        ("no method", " /a HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Refused(400)),
    ])
    .await;
}

#[tokio::test]
async fn another_version_of_http_is_not_served() {
    let version = |version: &str| format!("GET /a{version}\r\nHost: x\r\n\r\n");
    check(vec![
        ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), Refused(505)),
        ("HTTP/2.0", version(" HTTP/2.0"), Refused(505)),
        ("HTTP/1.2", version(" HTTP/1.2"), Refused(505)),
        ("HTTP/0.9", version(" HTTP/0.9"), Refused(505)),
        ("no version", version(""), Refused(400)),
        ("lower case", version(" http/1.1"), Refused(400)),
        ("more digits", version(" HTTP/1.10"), Refused(400)),
        ("an upgrade that is not taken", with("Connection: upgrade\r\nUpgrade: h2c"), Echoed("GET /a ")),
    ])
    .await;
}

#[tokio::test]
async fn a_body_in_chunks_is_read_as_every_other_server_reads_it() {
    let body = |size_line: &str| chunked(&format!("{size_line}hello\r\n0\r\n\r\n"));
    check(vec![
        ("a chunk", body("5\r\n"), Echoed("PUT /a hello")),
        ("zeros before the size", body("0005\r\n"), Echoed("PUT /a hello")),
        ("an extension", body("5 ; a=\"b c\"\r\n"), Echoed("PUT /a hello")),
        ("trailers", chunked("5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n"), Echoed("PUT /a hello")),
        ("LF after the size", body("5\n"), Broken),
        ("CR after the size", body("5\r"), Broken),
        ("LF after the data", chunked("5\r\nhello\n0\r\n\r\n"), Broken),
        ("LF after the last size", chunked("5\r\nhello\r\n0\n\r\n"), Broken),
        ("LF as the empty line", chunked("5\r\nhello\r\n0\r\n\n"), Broken),
        ("LF in an extension", body("5;a\nb\r\n"), Broken),
        ("CR in an extension", body("5;a\rb\r\n"), Broken),
        ("NUL in an extension", body("5;a\0b\r\n"), Broken),
        ("an extension of 2 KiB", body(&format!("5;{}\r\n", "a".repeat(2048))), Broken),
        ("white space before the size", body(" 5\r\n"), Broken),
        ("white space after the size", body("5 \r\n"), Broken),
        ("a prefix of the size", body("0x5\r\n"), Broken),
        ("a sign", body("+5\r\n"), Broken),
        ("no size", body("\r\n"), Broken),
        ("2^64 + 5", body("10000000000000005\r\n"), Broken),
        ("more data than the size", chunked("5\r\nhello!\r\n0\r\n\r\n"), Broken),
        ("LF in a trailer", chunked("5\r\nhello\r\n0\r\nX: y\nZ: w\r\n\r\n"), Broken),
        ("LF LF in a trailer", chunked("5\r\nhello\r\n0\r\nX: y\n\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"), Broken),
        ("LF before trailers", chunked("5\r\nhello\r\n0\r\n\nX: y\r\n\r\n"), Broken),
        ("a folded trailer", chunked("5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"), Broken),
        ("a trailer without a colon", chunked("5\r\nhello\r\n0\r\nX\r\n\r\n"), Broken),
        ("trailers of 9 KiB", chunked(&format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "a".repeat(9216))), Broken),
    ])
    .await;
}

#[tokio::test]
async fn requests_in_one_piece_are_answered_in_order_up_to_one_that_is_malformed() {
    let port = EchoPort::open().await;
    let good =
        [get("/1"), put("Content-Length: 5", "\nGET\n"), chunked("4\r\n\n\r\n\n\r\n0\r\nX: y\r\n\r\n"), "\r\n".to_owned() + &get("/4")];
    let bad = "GET /5 HTTP/1.1\nHost: x\r\n\r\n".to_owned() + &get("/6");
    for piece in [usize::MAX, 1, 3] {
        let (mut client, sent) = (port.connect().await, good.concat() + &bad);
        for piece in sent.as_bytes().chunks(piece.min(sent.len())) {
            client.write_all(piece).await.unwrap();
            yield_now().await;
        }
        let (reply, is_closed) = told(&mut client).await;
        let answers: Vec<_> =
            reply.split("HTTP/1.1 ").skip(1).map(|answer| (&answer[..3], answer.rsplit("\r\n\r\n").next().unwrap())).collect();
        assert_eq!(answers[..2], [("200", "GET /1 "), ("200", "PUT /a \nGET\n")]);
        // The third body holds an empty line itself.
        assert_eq!((answers[2].0, answers[3], answers[4]), ("200", ("200", "GET /4 "), ("400", "")), "{reply:?}");
        assert!(reply.contains("PUT /a \n\r\n\nHTTP/1.1 ") && is_closed && answers.len() == 5, "{reply:?}");
    }
    assert_eq!(port.handled.load(Ordering::Relaxed), 12);
}

#[tokio::test]
async fn a_refused_client_that_is_still_sending_gets_its_answer() {
    let port = EchoPort::open().await;
    let mut client = port.connect().await;
    let (head, body) = (put("Transfer-Encoding: gzip, chunked", ""), vec![0; 512 << 10]);
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&body).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.write_all(&body[..64 << 10]).await.unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
}
