//! More clients than there is room for: idle ones, busy ones, and a process without descriptors.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Home, Server, answer, connect, wait_until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Connections that never say a word.
fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| connect(address)).collect()
}

/// Everything that comes to a plain request until the end.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8(reply).unwrap()
}

#[test]
fn idle_connections_do_not_take_the_admin_port_away() {
    let home = Home::new();
    let server = home.start(&[]);
    let begun = Instant::now();
    let _idle = silent(server.admin, 64);
    wait_until("the admin port answers", || server.try_get(server.admin, "/health/live") == Some(200));
    assert_eq!(server.try_get(server.admin, "/kms/status"), Some(401), "and everything else on it");
    assert!(begun.elapsed() < Duration::from_secs(5), "before any of them has timed out: {:?}", begun.elapsed());
    assert!(server.metric("strongroom_connections_evicted_total{port=\"admin\",reason=\"address\"}") > 0);
}

#[test]
fn idle_connections_do_not_take_the_s3_port_away() {
    let home = Home::new();
    let server = home.start(&["--max-connections", "16"]);
    let _idle = silent(server.s3, 64);
    wait_until("the S3 port answers", || server.try_get(server.s3, "/") == Some(403));
    home.put(&server, "/bucket", "");
}

#[test]
fn a_silent_client_of_the_admin_port_is_closed_after_five_seconds() {
    let home = Home::new();
    let server = home.start(&[]);
    let mut silent = connect(server.admin);
    let begun = Instant::now();
    let mut handshaken = common::tls(server.admin, &home.path("data.secrets/tls/ca.pem")).unwrap();
    for client in [&mut silent as &mut dyn Read, &mut handshaken] {
        let _ = client.read(&mut [0]);
        let waited = begun.elapsed();
        assert!(Duration::from_secs(4) < waited && waited < Duration::from_secs(9), "{waited:?}");
    }
    assert_eq!(server.metric("strongroom_connections_timed_out_total{port=\"admin\",wait=\"headers\"}"), 1);
    assert_eq!(server.metric("strongroom_handshakes_failed_total{port=\"admin\"}"), 1);
}

#[test]
fn a_port_full_of_busy_clients_says_so_and_serves_health() {
    let home = Home::new();
    let flags = ["--max-connections", "2", "--max-connections-per-address", "3"];
    let mut command = home.serve(&flags);
    command.stderr(fs::File::create(home.path("log")).unwrap());
    let server = Server::start(&mut command, &home.path("data.secrets/tls/ca.pem"));
    home.put(&server, "/bucket", "");
    let busy = [home.begin_put(&server, "/bucket/1", "body"), home.begin_put(&server, "/bucket/2", "body")];
    wait_until("both are busy", || server.try_get(server.s3, "/") == Some(503));
    let refused = exchange(server.s3, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{refused}");
    for part in ["\r\nretry-after: 1\r\n", "\r\nconnection: close\r\n", "<Code>SlowDown</Code>"] {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(server.get(server.s3, path), (200, "{\"status\":\"ok\"}\n".to_owned()));
    }
    let sealing = exchange(server.s3, "POST /strongroom/admin/v1/kms/seal HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert!(sealing.starts_with("HTTP/1.1 401 "), "it is served, and asks for a signature: {sealing}");
    assert!(server.metric("strongroom_connections_refused_total{port=\"s3\",reason=\"full\"}") >= 2);
    wait_until("the refused ones are gone", || server.metric("strongroom_connections{port=\"s3\"}") == 2);
    let log = || fs::read_to_string(home.path("log")).unwrap();
    wait_until("the log warns", || log().contains("the port is full"));
    for mut client in busy {
        client.write_all(b"body").unwrap();
        assert_eq!(answer(client).0, 200, "what was under way is not disturbed");
    }
    wait_until("there is room again", || server.try_get(server.s3, "/") == Some(403));
    assert_eq!(log().matches("the port is full").count(), 1, "in ten seconds there is one warning");
}

#[test]
fn a_process_without_descriptors_takes_them_from_those_that_wait() {
    let home = Home::new();
    let server = home.start(&[]);
    let limit = Rlimit { current: Some(64), maximum: Some(64) };
    prlimit(Some(Pid::from_raw(i32::try_from(server.process()).unwrap()).unwrap()), Resource::Nofile, limit).unwrap();
    let _idle = silent(server.s3, 100);
    for address in [server.s3, server.admin] {
        wait_until("the port answers", || server.try_get(address, "/health/live") == Some(200));
    }
    assert!(server.metric("strongroom_accept_failures_total{port=\"s3\"}") > 0);
    assert!(server.metric("strongroom_connections_evicted_total{port=\"s3\",reason=\"descriptors\"}") > 0);
}

#[test]
fn a_limit_of_open_files_that_is_too_low_is_told_at_the_start() {
    let home = Home::new();
    let serve = home.serve(&["--max-connections", "1000"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 920 && exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    command.stderr(fs::File::create(home.path("log")).unwrap());
    let server = Server::start(&mut command, Path::new(""));
    let log = fs::read_to_string(home.path("log")).unwrap();
    assert!(log.contains("the limit of open files is too low for max_connections") && log.contains("to 3320"), "{log}");
    assert_eq!(Server::get_plain(server.s3, "/health/live").0, 200);
}
