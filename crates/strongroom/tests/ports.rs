//! The two ports: TLS and HTTP, certificates, health, and the end.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use common::{Home, PATIENCE, Server, connect, tls, wait_until};
use rustix::process::Signal;

#[test]
fn https_and_http_are_served_on_one_port() {
    let home = Home::new();
    let server = home.start(&[]);
    for path in ["/health/live", "/health/ready"] {
        let answer = (200, "{\"status\":\"ok\"}\n".to_owned());
        assert_eq!(server.get(server.s3, path), answer);
        assert_eq!(Server::get_plain(server.s3, path), answer);
        assert_eq!(server.get(server.admin, path), answer);
    }
    let (status, body) = Server::get_plain(server.s3, "/");
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("<Code>AccessDenied</Code>"), "{body}");
}

#[test]
fn the_admin_port_has_metrics_and_json_and_no_plain_http() {
    let home = Home::new();
    let server = home.start(&[]);
    server.get(server.s3, "/health/live");
    let (status, metrics) = server.get(server.admin, "/metrics");
    assert_eq!(status, 200);
    for line in ["strongroom_http_requests_total{code=\"2xx\"} 1", "strongroom_integrity_events_total 0", "strongroom_ready 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    let (status, body) = server.get(server.admin, "/nothing");
    assert_eq!(status, 401);
    assert!(body.starts_with("{\"code\":\"AccessDenied\""), "{body}");
    let mut plain = connect(server.admin);
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut reply = Vec::new();
    let _ = plain.read_to_end(&mut reply);
    assert_eq!(reply, b"");
}

#[test]
fn the_certificate_authority_is_made_once() {
    let home = Home::new();
    let server = home.start(&[]);
    let ca = home.path("data.secrets/tls/ca.pem");
    let made = fs::read(&ca).unwrap();
    assert!(server.banner.contains(&format!("CA certificate:   {}", ca.display())), "{}", server.banner);
    assert_eq!(server.stop(), Some(0));
    let server = home.start(&[]);
    assert_eq!(fs::read(&ca).unwrap(), made);
    assert_eq!(server.get(server.s3, "/health/live").0, 200);
}

/// Writes a self-signed pair for localhost; the certificate's path is the trust anchor, too.
fn write_pair(home: &Home, cert: &str, key: &str) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    home.write(key, &made.signing_key.serialize_pem(), 0o600);
    fs::write(home.path(cert), made.cert.pem()).unwrap();
}

fn trusts(server: &Server, anchor: &Path) -> bool {
    tls(server.s3, anchor).is_ok()
}

#[test]
fn a_given_certificate_is_read_again_when_it_changes_and_kept_when_the_new_one_is_bad() {
    let home = Home::new();
    write_pair(&home, "cert.pem", "key.pem");
    fs::copy(home.path("cert.pem"), home.path("first.pem")).unwrap();
    let flags = ["--tls-cert", &home.text("cert.pem"), "--tls-key", &home.text("key.pem")];
    let mut command = home.serve(&flags);
    command.stderr(fs::File::create(home.path("log")).unwrap());
    let server = Server::start(&mut command, Path::new(""));
    assert!(trusts(&server, &home.path("first.pem")));
    assert!(!home.path("data.secrets/tls").exists());

    // A certificate whose key has not come yet.
    write_pair(&home, "second.pem", "second.key");
    fs::rename(home.path("second.pem"), home.path("cert.pem")).unwrap();
    server.signal(Signal::HUP);
    let log = || fs::read_to_string(home.path("log")).unwrap();
    wait_until("the pair is found bad", || log().contains("the new certificate is not usable, the old one stays"));
    assert!(trusts(&server, &home.path("first.pem")));

    fs::rename(home.path("second.key"), home.path("key.pem")).unwrap();
    wait_until("the second certificate is served", || trusts(&server, &home.path("cert.pem")));
    assert!(!trusts(&server, &home.path("first.pem")));
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_refused_at_the_start() {
    let home = Home::new();
    write_pair(&home, "cert.pem", "other.key");
    write_pair(&home, "other.pem", "key.pem");
    let refused = home.fails(&["--tls-cert", &home.text("cert.pem"), "--tls-key", &home.text("key.pem")]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.error.contains("does not fit the certificate"), "{}", refused.error);
}

#[test]
fn a_client_that_does_not_end_its_headers_is_cut_off() {
    let home = Home::new();
    let server = home.start(&["--request-header-timeout-seconds", "1", "--tls-handshake-timeout-seconds", "1"]);
    for start in [&b""[..], b"GET / HTTP/1.1\r\nHost:", b"\x16\x03\x01\x02\x00\x01"] {
        let begun = Instant::now();
        let mut client = connect(server.s3);
        client.write_all(start).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
        assert!(begun.elapsed() < PATIENCE, "{start:?}");
    }
}

#[test]
fn headers_beyond_the_limit_are_refused() {
    let home = Home::new();
    let server = home.start(&["--max-header-bytes", "8192", "--max-header-count", "16"]);
    for headers in [format!("X-Long: {}\r\n", "x".repeat(9000)), "X-Many: x\r\n".repeat(17)] {
        let mut client = connect(server.s3);
        client.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).unwrap();
        let mut reply = Vec::new();
        let _ = client.read_to_end(&mut reply);
        assert!(reply.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&reply));
    }
}

#[test]
fn sigterm_and_sigint_end_the_server_well_with_idle_connections_open() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let server = home.start(&[]);
        let idle = (connect(server.s3), tls(server.s3, &home.path("data.secrets/tls/ca.pem")).unwrap());
        server.signal(signal);
        assert_eq!(server.wait(), Some(0));
        drop(idle);
    }
}
