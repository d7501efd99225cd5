//! LocalStack with KMS and STS.

use tempfile::TempDir;

use super::{answers, python};
use crate::process::{Process, free_port};

/// A running LocalStack. It believes any credentials; an access key id of twelve digits is the account.
pub struct LocalStack {
    /// Its address. The port speaks HTTPS as well.
    pub url: String,
    /// Its process.
    pub process: Process,
    _dir: TempDir,
}

impl LocalStack {
    /// Starts it, empty.
    pub fn start() -> Self {
        let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
        let mut command = python("localstack", "localstack_server.py");
        command
            .env("HOME", dir.path())
            .env("XDG_CACHE_HOME", dir.path().join("cache"))
            .env("TMPDIR", dir.path())
            .env("FILESYSTEM_ROOT", dir.path())
            .env("GATEWAY_SERVER", "hypercorn")
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
            .env("SERVICES", "kms,sts");
        for switch in ["STRICT_SERVICE_LOADING", "EAGER_SERVICE_LOADING", "DISABLE_EVENTS", "SKIP_SSL_CERT_DOWNLOAD"] {
            command.env(switch, "1");
        }
        let mut process = Process::start(command.env("DNS_ADDRESS", "0"), &dir.path().join("log"));
        process.wait_until(|| answers(port, "/_localstack/health", "\"kms\": \"running\""));
        Self { url: format!("http://127.0.0.1:{port}"), process, _dir: dir }
    }
}
