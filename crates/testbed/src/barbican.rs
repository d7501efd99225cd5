//! OpenStack Barbican, alone or with Keystone, each over SQLite in a directory of its own and without any file of the system.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, free_port, tool};

/// A user with the one project it has a role in.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// The user's name, in the domain `Default`.
    pub name: &'static str,
    /// The password.
    pub password: &'static str,
    /// The project's name, in the domain `Default`.
    pub project: &'static str,
}

/// Keystone's administrator.
pub const ADMIN: User = User { name: "admin", password: "testbed-admin", project: "admin" };
/// The store's own user: role `member` in its project.
pub const S3: User = User { name: "s3kms", password: "testbed-s3", project: "s3" };
/// Another tenant: role `member` in another project.
pub const OTHER: User = User { name: "other", password: "testbed-other", project: "other" };

/// The region of all endpoints.
pub const REGION: &str = "RegionOne";

/// A running Barbican.
pub struct Barbican {
    /// Its address, without `/v1`.
    pub url: String,
    /// Its process; the one that serves is a child of it.
    pub process: Process,
    /// What it believes tokens of; none: it believes `X-Project-Id`.
    pub keystone: Option<Keystone>,
    dir: TempDir,
}

/// A running Keystone.
pub struct Keystone {
    /// Its address, ending in `/v3`.
    pub url: String,
    /// Its process; the one that serves is a child of it.
    pub process: Process,
}

impl Barbican {
    /// Starts Barbican alone.
    pub fn start() -> Self {
        let (dir, port) = (new_dir(), free_port());
        configure(dir.path(), port, None);
        upgrade(dir.path());
        Self { url: format!("http://127.0.0.1:{port}"), process: serve(dir.path(), port), keystone: None, dir }
    }

    /// Starts Barbican with Keystone, which knows [`ADMIN`], [`S3`] and [`OTHER`] and has Barbican in its catalog.
    pub fn start_with_keystone() -> Self {
        let (dir, port, keystone_port) = (new_dir(), free_port(), free_port());
        let keystone_url = format!("http://127.0.0.1:{keystone_port}/v3");
        let url = format!("http://127.0.0.1:{port}");
        configure(dir.path(), port, Some(&keystone_url));
        // The two databases take most of the time: both at once.
        let keystone = std::thread::scope(|scope| {
            let barbican = scope.spawn(|| upgrade(dir.path()));
            let keystone = start_keystone(dir.path(), keystone_port, &url);
            barbican.join().expect("Barbican's database is made");
            keystone
        });
        Self { process: serve(dir.path(), port), url, keystone: Some(keystone), dir }
    }

    /// The `openstack` command line as this user: arguments follow.
    pub fn openstack(&self, user: User) -> Command {
        let keystone = self.keystone.as_ref().expect("the command line needs Keystone");
        let mut command = bin("openstack");
        command.env_clear().env("HOME", self.dir.path()).env("PATH", "/usr/bin:/bin").env("PYTHONWARNINGS", "ignore");
        command.envs([
            ("OS_AUTH_URL", keystone.url.as_str()),
            ("OS_IDENTITY_API_VERSION", "3"),
            ("OS_REGION_NAME", REGION),
            ("OS_USERNAME", user.name),
            ("OS_PASSWORD", user.password),
            ("OS_PROJECT_NAME", user.project),
            ("OS_USER_DOMAIN_NAME", "Default"),
            ("OS_PROJECT_DOMAIN_NAME", "Default"),
        ]);
        command
    }

    /// The directory of databases and logs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

fn new_dir() -> TempDir {
    TempDir::with_prefix("barbican-").expect("a temporary directory")
}

fn configure(dir: &Path, port: u16, keystone_url: Option<&str>) {
    let home = dir.join(".barbican");
    fs::create_dir_all(&home).expect("Barbican's directory");
    let pipeline = if keystone_url.is_some() { "barbican-api-keystone" } else { "barbican_api" };
    let paste = fs::read_to_string(tool("barbican/etc/barbican/barbican-api-paste.ini")).expect("the pipelines that come with Barbican");
    let paste = paste.replace("/etc/barbican", &home.display().to_string());
    let paste: String =
        paste.lines().map(|line| if line.starts_with("/v1: ") { format!("/v1: {pipeline}\n") } else { format!("{line}\n") }).collect();
    fs::write(home.join("barbican-api-paste.ini"), paste).expect("the pipelines are written");
    let conf = include_str!("barbican/barbican.conf")
        .replace("{dir}", &dir.display().to_string())
        .replace("{port}", &port.to_string())
        .replace("{rbac}", if keystone_url.is_some() { "true" } else { "false" })
        .replace("{keystone}", keystone_url.unwrap_or("http://127.0.0.1:9/v3"));
    fs::write(home.join("barbican.conf"), conf).expect("the configuration is written");
    fs::write(dir.join("barbican_wsgi.py"), include_str!("barbican/barbican_wsgi.py")).expect("the application is written");
    fs::write(dir.join("gunicorn.conf.py"), include_str!("barbican/gunicorn.conf.py")).expect("the server's configuration is written");
}

fn upgrade(dir: &Path) {
    run(bin("barbican-manage").env("HOME", dir).current_dir(dir).args(["db", "upgrade"]));
}

fn serve(dir: &Path, port: u16) -> Process {
    gunicorn(dir, port, "barbican_wsgi", "/healthcheck")
}

fn start_keystone(dir: &Path, port: u16, barbican_url: &str) -> Keystone {
    let home = dir.join("keystone");
    for keys in ["fernet-keys", "credential-keys"] {
        fs::create_dir_all(home.join(keys)).expect("Keystone's directories");
    }
    let conf = include_str!("barbican/keystone.conf").replace("{dir}", &home.display().to_string());
    fs::write(home.join("keystone.conf"), conf).expect("the configuration is written");
    fs::write(dir.join("keystone_wsgi.py"), include_str!("barbican/keystone_wsgi.py")).expect("the application is written");
    fs::write(dir.join("setup_keystone.py"), include_str!("barbican/setup_keystone.py")).expect("the set-up is written");
    let url = format!("http://127.0.0.1:{port}/v3");
    let setup = |step: &str| {
        let mut command = bin("python");
        command.arg(dir.join("setup_keystone.py")).args([step, &url, barbican_url]).env("PYTHONWARNINGS", "ignore");
        command.env("HOME", dir).current_dir(&home).env("CONFIG", home.join("keystone.conf"));
        for (role, user) in [("ADMIN", ADMIN), ("S3", S3), ("OTHER", OTHER)] {
            command.env(role, format!("{} {} {}", user.name, user.password, user.project));
        }
        run(&mut command);
    };
    setup("database");
    let process = gunicorn(dir, port, "keystone_wsgi", "/v3");
    setup("users");
    Keystone { url, process }
}

fn gunicorn(dir: &Path, port: u16, module: &str, ready: &str) -> Process {
    let mut command = bin("gunicorn");
    command.current_dir(dir).env("HOME", dir).env("OS_KEYSTONE_CONFIG_DIR", dir.join("keystone")).env("PYTHONWARNINGS", "ignore");
    command.args(["--bind", &format!("127.0.0.1:{port}"), &format!("{module}:application")]);
    let mut process = Process::start(&mut command, &dir.join(format!("{module}.log")));
    process.wait_until(|| answers_200(port, ready));
    process
}

fn bin(name: &str) -> Command {
    Command::new(tool(&PathBuf::from("barbican/bin").join(name).display().to_string()))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(output.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

fn answers_200(port: u16, path: &str) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut start = vec![0; 12];
        stream.read_exact(&mut start)?;
        Ok(start)
    };
    ask().is_ok_and(|start| start.ends_with(b" 200"))
}
