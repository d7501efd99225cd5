//! How a server is reached, and where the keys are in it.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strongroom_kms::{KmsError, Secret};
use strongroom_outbound::TlsOptions;

/// The configuration of a backend. `docs/kms/vault.md` has an example of each form.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://host:8200`.
    pub address: String,
    /// How the store proves who it is.
    pub auth_method: AuthMethod,
    /// Which secrets engine holds the keys.
    #[serde(default)]
    pub engine: Engine,
    /// Where the Transit engine is mounted.
    #[serde(default = "default_mount_path")]
    pub mount_path: String,
    /// Where the key/value engine, version 2, is mounted.
    #[serde(default = "default_kv_mount")]
    pub kv_mount: String,
    /// The folder of the key/value engine that holds the keys, one secret each.
    #[serde(default = "default_key_path_prefix")]
    pub key_path_prefix: String,
    /// The namespace that all of it lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Trust any certificate. For trials only.
    #[serde(default)]
    pub skip_tls_verify: bool,
    /// The only authority to trust, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The store's own certificate, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_file: Option<PathBuf>,
    /// The key of `client_cert_file`, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
}

/// Which secrets engine holds the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Keys never leave the server.
    #[default]
    Transit,
    /// The server keeps key material; wrapping is done in this process.
    Kv,
}

/// How the store proves who it is. In JSON an object with one field: `{"token": "…"}`, `{"approle": {…}}`, ….
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A token. Also written `{"token": {"token": "…"}}`.
    #[serde(serialize_with = "plain_token", deserialize_with = "either_token")]
    Token(Secret),
    /// A file that holds a token, as an agent keeps it. Read again when it changes.
    TokenFile(PathBuf),
    /// AppRole.
    Approle(AppRole),
    /// The service account of a pod.
    Kubernetes(Kubernetes),
    /// The client certificate of the TLS connection.
    Cert(CertLogin),
}

/// Login with AppRole.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppRole {
    /// Which role.
    pub role_id: String,
    /// Its password.
    pub secret_id: Secret,
    /// Where the method is mounted.
    #[serde(default = "default_approle_mount")]
    pub mount: String,
}

/// Login with the token of a Kubernetes service account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Which role.
    pub role: String,
    /// The file that Kubernetes keeps the token in. Read at each login.
    #[serde(default = "default_jwt_file")]
    pub jwt_file: PathBuf,
    /// Where the method is mounted.
    #[serde(default = "default_kubernetes_mount")]
    pub mount: String,
}

/// Login with [`Config::client_cert_file`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertLogin {
    /// Which role; without it the server takes the first that the certificate fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Where the method is mounted.
    #[serde(default = "default_cert_mount")]
    pub mount: String,
}

impl Config {
    /// Whether all of it can be meant; the text names the field that cannot.
    pub(crate) fn check(&self) -> Result<(), KmsError> {
        check_path("mount_path", &self.mount_path)?;
        check_path("kv_mount", &self.kv_mount)?;
        check_path("key_path_prefix", &self.key_path_prefix)?;
        if let Some(namespace) = &self.namespace {
            check_path("namespace", namespace.trim_end_matches('/'))?;
        }
        self.auth_method.check(self.client_cert_file.is_some())
    }

    /// What the TLS connection is made of.
    pub(crate) fn tls(&self) -> TlsOptions {
        TlsOptions {
            ca_file: self.ca_file.clone(),
            client_cert_file: self.client_cert_file.clone(),
            client_key_file: self.client_key_file.clone(),
            skip_verify: self.skip_tls_verify,
        }
    }
}

impl AuthMethod {
    fn check(&self, has_certificate: bool) -> Result<(), KmsError> {
        match self {
            Self::Token(token) => check_filled("token", token.expose()),
            Self::TokenFile(path) => check_filled("token_file", &path.to_string_lossy()),
            Self::Approle(AppRole { role_id, secret_id, mount }) => {
                check_filled("approle.role_id", role_id)?;
                check_filled("approle.secret_id", secret_id.expose())?;
                check_path("approle.mount", mount)
            }
            Self::Kubernetes(Kubernetes { role, jwt_file, mount }) => {
                check_filled("kubernetes.role", role)?;
                check_filled("kubernetes.jwt_file", &jwt_file.to_string_lossy())?;
                check_path("kubernetes.mount", mount)
            }
            Self::Cert(CertLogin { role: _, mount }) => {
                if !has_certificate {
                    let text = "auth_method cert needs client_cert_file and client_key_file";
                    return Err(KmsError::InvalidArgument(text.to_owned()));
                }
                check_path("cert.mount", mount)
            }
        }
    }
}

fn check_filled(field: &str, text: &str) -> Result<(), KmsError> {
    let one_line = !text.is_empty() && !text.contains(char::is_control);
    if one_line { Ok(()) } else { Err(KmsError::InvalidArgument(format!("auth_method {field} must be one line of text"))) }
}

/// Paths go into URLs as they are, so they are made of segments that need no escape.
fn check_path(field: &str, path: &str) -> Result<(), KmsError> {
    let is_plain = |segment: &str| {
        !segment.starts_with('.')
            && !segment.is_empty()
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    if path.split('/').all(is_plain) {
        return Ok(());
    }
    let rule = "segments of letters, digits, '_', '.' and '-', with '/' between them and none at the ends";
    Err(KmsError::InvalidArgument(format!("{field} must be a path: {rule}")))
}

fn plain_token<S: Serializer>(token: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    token.serialize(serializer)
}

fn either_token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "auth_method.token must be a text, or an object with the field token")]
    enum Form {
        Plain(Secret),
        Nested(Nested),
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nested {
        token: Secret,
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::Plain(token) | Form::Nested(Nested { token }) => token,
    })
}

fn default_mount_path() -> String {
    "transit".to_owned()
}

fn default_kv_mount() -> String {
    "secret".to_owned()
}

fn default_key_path_prefix() -> String {
    "strongroom".to_owned()
}

fn default_approle_mount() -> String {
    "approle".to_owned()
}

fn default_kubernetes_mount() -> String {
    "kubernetes".to_owned()
}

fn default_cert_mount() -> String {
    "cert".to_owned()
}

fn default_jwt_file() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}
