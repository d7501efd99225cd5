#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::fs::PermissionsExt as _};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::{
    s3::tests::{queued, told},
    target::tests::config,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn private_file(dir: &tempfile::TempDir, name: &str, text: &str) -> std::path::PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// What a request holds: its head, and its body.
async fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut read = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let len = stream.read(&mut piece).await.unwrap();
        read.extend_from_slice(&piece[..len]);
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(read[..end].to_vec()).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
        if read.len() >= end + 4 + length {
            return (head, read[end + 4..].to_vec());
        }
    }
}

/// Sends an event to a receiver that answers these bytes, again and again where `endless`.
async fn answered(answer: &[u8], endless: bool) -> (Attempt, JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let answer = answer.to_vec();
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let got = request(&mut stream).await;
        while stream.write_all(&answer).await.is_ok() && endless {}
        got
    });
    let dir = tempfile::tempdir().unwrap();
    let config = TargetConfig {
        secret_file: private_file(&dir, "secret", SECRET),
        token_file: Some(private_file(&dir, "token", "a-token\n")),
        timeout: Duration::from_secs(2),
        ..config(&url)
    };
    let sender = HttpSender::open(&config).unwrap();
    (sender.send(&queued(told()), &told()).await, receiver)
}

#[tokio::test]
async fn a_request_is_signed_has_the_token_and_names_the_event() {
    let (attempt, receiver) = answered(b"HTTP/1.1 204 No Content\r\n\r\n", false).await;
    assert_eq!(attempt, Attempt::Delivered);
    let (head, body) = receiver.await.unwrap();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned();
    assert!(head.starts_with("post /hook http/1.1\r\n"));
    assert_eq!((header("content-type").as_str(), header("authorization").as_str()), ("application/json", "bearer a-token"));
    assert_eq!(header("webhook-id"), "evt_07070707070707070707070707070707");
    let expected = Secrets::parse(SECRET).unwrap().sign(&header("webhook-id"), &header("webhook-timestamp"), &body);
    assert_eq!(header("webhook-signature"), expected.to_lowercase());
    assert_eq!(body, s3::body(&queued(told()), &told()));
}

#[tokio::test]
async fn a_status_decides_and_redirects_are_not_followed() {
    let answer = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\n\r\n").into_bytes();
    let failed = |reason: &str, seconds| Attempt::Failed(reason.to_owned(), Duration::from_secs(seconds));
    for (status, more, expected) in [
        ("200 OK", "", Attempt::Delivered),
        ("202 Accepted", "", Attempt::Delivered),
        ("410 Gone", "", Attempt::Refused("410 Gone".to_owned())),
        ("400 Bad Request", "", failed("400 Bad Request", 0)),
        ("503 Service Unavailable", "retry-after: 7\r\n", failed("503 Service Unavailable", 7)),
        ("429 Too Many Requests", "retry-after: 999999\r\n", failed("429 Too Many Requests", 300)),
        ("500 Internal Server Error", "retry-after: tomorrow\r\n", failed("500 Internal Server Error", 0)),
        ("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", failed("307 Temporary Redirect: redirects are not followed", 0)),
    ] {
        assert_eq!(answered(&answer(status, more), false).await.0, expected, "{status}");
    }
}

#[tokio::test]
async fn a_receiver_that_never_ends_its_answer_holds_nothing_up() {
    let chunk = format!("HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n{}", "x".repeat(10_000));
    assert_eq!(answered(chunk.as_bytes(), true).await.0, Attempt::Delivered);
    let Attempt::Failed(reason, _) = answered(b"HTTP/1.1 200 OK\r\n", false).await.0 else { panic!() };
    assert!(!reason.is_empty());
    let headers = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(50_000));
    assert!(matches!(answered(headers.as_bytes(), true).await.0, Attempt::Failed(..)));
    assert!(matches!(answered(b"garbage\r\n\r\n", false).await.0, Attempt::Failed(..)));
}

#[tokio::test]
async fn a_receiver_that_is_silent_or_not_there_fails_in_time_and_its_address_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let secret_file = private_file(&dir, "secret", SECRET);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone_url = format!("http://{}/a-secret-path", gone.local_addr().unwrap());
    drop(gone);
    for (url, says) in [(format!("http://{}/", silent.local_addr().unwrap()), "no answer within 0.3 seconds"), (gone_url, "refused")] {
        let config = TargetConfig { secret_file: secret_file.clone(), timeout: Duration::from_millis(300), ..config(&url) };
        let attempt = HttpSender::open(&config).unwrap().send(&queued(told()), &told()).await;
        let Attempt::Failed(reason, _) = attempt else { panic!("{attempt:?}") };
        assert!(reason.contains(says) && !reason.contains("a-secret-path"), "{reason}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let missing = TargetConfig { secret_file: dir.path().join("missing"), ..config("https://a.test/") };
    let error = HttpSender::open(&missing).err().unwrap().to_string();
    assert!(error.starts_with("the notification target \"hook\": ") && error.contains("missing cannot be read"), "{error}");
    let ca = TargetConfig { ca_file: Some(dir.path().join("ca")), ..missing };
    assert!(matches!(HttpSender::open(&ca), Err(NotifyError::Tls { .. })));
}
