//! A server of the real binary, and the least of a client.
#![allow(dead_code, reason = "each test program uses a part of it")]

mod signed;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// `strongroom` with these arguments and without the variables of this process that it would read.
pub(crate) fn strongroom(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STRONGROOM_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A directory with room for DATA_DIR and what lies beside it.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }

    /// Writes a file of this mode.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).unwrap();
    }

    /// `serve` on free ports, not yet started.
    pub(crate) fn serve(&self, flags: &[&str]) -> Command {
        let mut command = strongroom(&["serve", &self.text("data"), "--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]);
        command.args(flags);
        command
    }

    /// A server with these flags that has told that it is ready.
    pub(crate) fn start(&self, flags: &[&str]) -> Server {
        Server::start(&mut self.serve(flags), &self.path("data.secrets/tls/ca.pem"))
    }

    /// PUT with the root credentials that the server made: the status.
    pub(crate) fn put(&self, server: &Server, path: &str, body: &str) -> u16 {
        let mut stream = self.begin_put(server, path, body);
        stream.write_all(body.as_bytes()).unwrap();
        let (status, answer) = answer(stream);
        assert!(status < 400, "PUT {path}: {status} {answer}");
        status
    }

    /// The same up to the body, which the server asks for by then.
    pub(crate) fn begin_put(&self, server: &Server, path: &str, body: &str) -> TcpStream {
        let credentials = fs::read_to_string(self.path("data.secrets/root-credentials")).unwrap();
        let value = |key| credentials.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')).unwrap();
        let host = server.s3.to_string();
        let headers = signed::headers(value("access_key"), value("secret_key"), "PUT", path, &host, body.as_bytes());
        let mut stream = connect(server.s3);
        let head = format!("PUT {path} HTTP/1.1\r\n{headers}Content-Length: {}\r\nConnection: close\r\n", body.len());
        if body.is_empty() {
            write!(stream, "{head}\r\n").unwrap();
            return stream;
        }
        write!(stream, "{head}Expect: 100-continue\r\n\r\n").unwrap();
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(String::from_utf8_lossy(&asked), "HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }

    /// What a start that must fail ends with.
    pub(crate) fn fails(&self, flags: &[&str]) -> Failure {
        Failure::of(&mut self.serve(flags))
    }
}

/// How a program ended that was not to run.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Option<i32>,
    pub(crate) error: String,
}

impl Failure {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stderr, stdout } = command.output().unwrap();
        assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
        Self { code: status.code(), error: String::from_utf8(stderr).unwrap() }
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// What it printed.
    pub(crate) banner: String,
    pub(crate) s3: SocketAddr,
    pub(crate) admin: SocketAddr,
    ca: PathBuf,
}

impl Server {
    pub(crate) fn start(command: &mut Command, ca: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut banner = String::new();
        while !banner.ends_with("Ctrl-C stops the server.\n") {
            let line = lines.next().unwrap_or_else(|| panic!("the server ended early, having printed: {banner}"));
            banner += &(line + "\n");
        }
        let address = |name: &str| {
            let line = banner.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
            line.trim().strip_prefix("https://").unwrap().parse().unwrap()
        };
        let (s3, admin) = (address("S3 endpoint:"), address("Admin endpoint:"));
        Self { child, banner, s3, admin, ca: ca.to_owned() }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// The exit code, once it has ended by itself.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// GET over TLS, trusting the server's CA: status and body.
    pub(crate) fn get(&self, address: SocketAddr, path: &str) -> (u16, String) {
        exchange(tls(address, &self.ca).unwrap(), path)
    }

    /// The status of a GET over TLS, if the server lets it come to that.
    pub(crate) fn try_get(&self, address: SocketAddr, path: &str) -> Option<u16> {
        let mut stream = tls(address, &self.ca).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        str::from_utf8(reply.get(9..12)?).ok()?.parse().ok()
    }

    /// A sample of `/metrics`, by its name and labels as they stand there.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let metrics = self.get(self.admin, "/metrics").1;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{metrics}")).parse().unwrap()
    }

    /// GET without TLS.
    pub(crate) fn get_plain(address: SocketAddr, path: &str) -> (u16, String) {
        exchange(connect(address), path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that gives up rather than hang.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A finished handshake with a server for `localhost` whose certificate `ca` vouches for.
pub(crate) fn tls(address: SocketAddr, ca: &Path) -> Result<StreamOwned<ClientConnection, TcpStream>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = connect(address);
    connection.complete_io(&mut stream)?;
    Ok(StreamOwned::new(connection, stream))
}

fn exchange(mut stream: impl Read + Write, path: &str) -> (u16, String) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    answer(stream)
}

/// Status and body of what comes until the end.
pub(crate) fn answer(mut stream: impl Read) -> (u16, String) {
    let mut reply = Vec::new();
    // TLS without close_notify is an error after everything has come.
    let _ = stream.read_to_end(&mut reply);
    let reply = String::from_utf8(reply).unwrap();
    let status = reply.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {reply:?}"));
    (status, reply.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// Tries again until it holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).mode() & 0o777
}
