//! A real OpenBao (the Vault API): initialised, unsealed, in memory, on a plain and a TLS port of the loopback.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, free_port, tool};

/// How long it may take to serve after it was unsealed.
const UNSEAL_TIMEOUT: Duration = Duration::from_mins(1);

/// A server with the secrets engines `transit` and `secret` (KV 2), and the methods `approle`, `cert` and `kubernetes`.
pub struct OpenBao {
    process: Process,
    dir: TempDir,
    ports: [u16; 2],
    root_token: String,
    unseal_key: String,
}

impl OpenBao {
    /// Starts one and waits until it serves.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        make_certificates(dir.path());
        let ports = [free_port(), free_port()];
        let config = dir.path().join("config.json");
        fs::write(&config, configuration(dir.path(), ports).to_string()).expect("a configuration file");
        let mut command = Command::new(tool("openbao/bao"));
        command.arg("server").arg(format!("-config={}", config.display())).env("HOME", dir.path());
        let process = Process::start(&mut command, &dir.path().join("log"));
        let mut server = Self { process, dir, ports, root_token: String::new(), unseal_key: String::new() };
        server.initialise();
        server.unseal();
        server.enable();
        server
    }

    /// The address without TLS.
    pub fn http_address(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// The address with TLS.
    pub fn https_address(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports[1])
    }

    /// A file beside the server: `ca.pem`, `client.pem` and `client.key`, and `other-ca.pem`, which nobody's certificate is from.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The token that may do all.
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// What `bao` with these arguments prints, with the root token.
    pub fn bao(&self, args: &[&str]) -> String {
        self.bao_with(args, "")
    }

    /// The same, with this on its standard input.
    pub fn bao_with(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "bao {args:?} fails: {errors}\n{}", self.process.log_text());
        String::from_utf8(output.stdout).expect("text from bao")
    }

    /// The same, read as JSON.
    pub fn bao_json(&self, args: &[&str]) -> Value {
        let (command, rest) = args.split_at(args.len().min(2));
        let text = self.bao(&[command, &["-format=json"], rest].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("bao {args:?} prints no JSON: {error}"))
    }

    /// Writes a policy.
    pub fn policy(&self, name: &str, rules: &str) {
        self.bao_with(&["policy", "write", name, "-"], rules);
    }

    /// A new token of these policies; `options` such as `-ttl=5s`.
    pub fn token(&self, policies: &[&str], options: &[&str]) -> String {
        let policies: Vec<String> = policies.iter().map(|policy| format!("-policy={policy}")).collect();
        let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
        let made = self.bao_json(&[&["token", "create"], &policies[..], options].concat());
        text(&made["auth"]["client_token"])
    }

    /// A new role of the AppRole method at `mount`, with settings such as `token_policies=a`: its id and secret id.
    pub fn approle(&self, mount: &str, role: &str, settings: &[&str]) -> [String; 2] {
        let path = format!("auth/{mount}/role/{role}");
        self.bao(&[&["write", &path], settings].concat());
        let id = self.bao(&["read", "-field=role_id", &format!("{path}/role-id")]);
        let secret = self.bao(&["write", "-f", "-field=secret_id", &format!("{path}/secret-id")]);
        [id.trim().to_owned(), secret.trim().to_owned()]
    }

    /// Seals it: everything answers 503.
    pub fn seal(&self) {
        self.bao(&["operator", "seal"]);
    }

    /// Unseals it and waits until it serves again.
    pub fn unseal(&self) {
        self.bao(&["operator", "unseal", &self.unseal_key]);
        let deadline = Instant::now() + UNSEAL_TIMEOUT;
        // For a moment after it was unsealed, it still answers as a standby.
        while !self.run(&["token", "lookup"], "").status.success() {
            assert!(Instant::now() < deadline, "OpenBao does not serve:\n{}", self.process.log_text());
            sleep(Duration::from_millis(100));
        }
    }

    /// The process, for pausing and killing it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it has written.
    pub fn log_text(&self) -> String {
        self.process.log_text()
    }

    fn initialise(&mut self) {
        let address = self.http_address();
        let home = self.dir.path().to_owned();
        // 2: it answers and is sealed. 1: it does not answer.
        self.process.wait_until(|| {
            let status = bao(&home, &address, "").args(["status"]).output().expect("bao");
            status.status.code() == Some(2)
        });
        let made = self.bao_json(&["operator", "init", "-key-shares=1", "-key-threshold=1"]);
        self.root_token = text(&made["root_token"]);
        self.unseal_key = text(&made["unseal_keys_b64"][0]);
    }

    fn enable(&self) {
        self.bao(&["secrets", "enable", "transit"]);
        self.bao(&["secrets", "enable", "-path=secret", "-version=2", "kv"]);
        for method in ["approle", "cert", "kubernetes"] {
            self.bao(&["auth", "enable", method]);
        }
        // An engine of keys and values is upgraded for a moment after it was enabled.
        let deadline = Instant::now() + UNSEAL_TIMEOUT;
        while !self.run(&["kv", "put", "-mount=secret", "ready", "now=yes"], "").status.success() {
            assert!(Instant::now() < deadline, "the KV engine does not serve:\n{}", self.process.log_text());
            sleep(Duration::from_millis(100));
        }
    }

    fn run(&self, args: &[&str], input: &str) -> Output {
        let mut command = bao(self.dir.path(), &self.http_address(), &self.root_token);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("bao starts");
        // It may end without reading its input.
        let _ = child.stdin.take().expect("its standard input").write_all(input.as_bytes());
        child.wait_with_output().expect("bao ends")
    }
}

/// The command, which keeps its token helper's file in `home`.
fn bao(home: &Path, address: &str, token: &str) -> Command {
    let mut command = Command::new(tool("openbao/bao"));
    command.env("HOME", home).env("BAO_ADDR", address).env("BAO_TOKEN", token).env_remove("BAO_NAMESPACE");
    command
}

fn configuration(dir: &Path, [http, https]: [u16; 2]) -> Value {
    let address = |port: u16| format!("127.0.0.1:{port}");
    serde_json::json!({
        "storage": { "inmem": {} },
        "listener": [
            { "tcp": { "address": address(http), "cluster_address": address(free_port()), "tls_disable": true } },
            { "tcp": {
                "address": address(https), "cluster_address": address(free_port()),
                "tls_cert_file": dir.join("server.pem"), "tls_key_file": dir.join("server.key"),
            } },
        ],
        "api_addr": format!("http://{}", address(http)),
        "disable_mlock": true,
    })
}

/// `ca.pem` with the certificates `server` and `client`, and `other-ca.pem`.
fn make_certificates(dir: &Path) {
    let (ca, issuer) = authority("test authority");
    write(dir, "ca.pem", &ca);
    write(dir, "other-ca.pem", &authority("other authority").0);
    for (name, usage) in [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)] {
        let key = KeyPair::generate().expect("a key pair");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages.push(usage);
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        write(dir, &format!("{name}.pem"), &certificate.pem());
        write(dir, &format!("{name}.key"), &key.serialize_pem());
    }
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("a key pair");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), Issuer::new(params, key))
}

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("a file in a temporary directory");
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
