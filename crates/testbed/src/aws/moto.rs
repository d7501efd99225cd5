//! Moto with KMS, IAM and STS, every call authenticated and authorised.

use std::process::Command;

use tempfile::TempDir;

use super::{answers, python};
use crate::process::{Process, free_port};

/// A running Moto. All of it is one account.
pub struct Moto {
    /// Its address.
    pub url: String,
    /// Its process.
    pub process: Process,
    /// A user who may do everything.
    pub admin: AccessKey,
    _dir: TempDir,
}

/// Long-lived credentials of a user.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

impl Moto {
    /// Starts it, empty but for the administrator.
    pub fn start() -> Self {
        let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
        let mut process = Process::start(python("moto", "moto_server.py").arg(port.to_string()), &dir.path().join("log"));
        process.wait_until(|| answers(port, "/moto-api/data.json", "200 OK"));
        let url = format!("http://127.0.0.1:{port}");
        let admin = access_key(&iam(&url, &["user", "admin", &allow(&["*"])]));
        iam(&url, &["authorize"]);
        Self { url, process, admin, _dir: dir }
    }

    /// A new user who may do these actions and no others.
    pub fn user(&self, name: &str, actions: &[&str]) -> AccessKey {
        access_key(&self.as_admin(&["user", name, &allow(actions)]))
    }

    /// A new role that any user of the account may assume if its own policy allows, and who may do these actions; its ARN.
    pub fn role(&self, name: &str, actions: &[&str]) -> String {
        self.as_admin(&["role", name, &allow(actions)])
    }

    /// Ends an access key.
    pub fn revoke(&self, user: &str, key: &AccessKey) {
        self.as_admin(&["revoke", user, &key.id]);
    }

    fn as_admin(&self, arguments: &[&str]) -> String {
        run(iam_command(&self.url, arguments).env("AWS_ACCESS_KEY_ID", &self.admin.id).env("AWS_SECRET_ACCESS_KEY", &self.admin.secret))
    }
}

fn iam(url: &str, arguments: &[&str]) -> String {
    run(iam_command(url, arguments).env("AWS_ACCESS_KEY_ID", "nobody").env("AWS_SECRET_ACCESS_KEY", "nobody"))
}

fn iam_command(url: &str, arguments: &[&str]) -> Command {
    let mut command = python("moto", "moto_iam.py");
    command.arg(url).args(arguments).env("AWS_DEFAULT_REGION", super::REGION);
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("Moto's Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn access_key(text: &str) -> AccessKey {
    let (id, secret) = text.split_once(' ').expect("an id and a secret");
    AccessKey { id: id.to_owned(), secret: secret.to_owned() }
}

fn allow(actions: &[&str]) -> String {
    let actions: Vec<_> = actions.iter().map(|action| format!("\"{action}\"")).collect();
    format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":[{}],"Resource":"*"}}]}}"#, actions.join(","))
}
