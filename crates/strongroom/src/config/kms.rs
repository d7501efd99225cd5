//! Key management as configured: the local key store, and what the key service begins with.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use strongroom_keyring::Change;
use zeroize::Zeroizing;

use super::{ConfigError, Layer};
use crate::files;

/// Longest file with a passphrase or a configuration, in bytes.
const MAX_SECRET_FILE_LEN: u64 = 64 << 10;

/// Key management.
pub(crate) struct KmsSettings {
    pub(crate) key_dir: PathBuf,
    pub(crate) master: MasterKey,
    /// Further keys to be made where they are missing.
    pub(crate) ensure_keys: Vec<String>,
    /// Where the files lie that a configuration over the admin API may name.
    pub(crate) trusted_dirs: Vec<PathBuf>,
    /// What the key service begins with; none where SSE-S3 and SSE-KMS are not to be offered.
    pub(crate) initial: Option<Change>,
}

/// Where the master key of the local key store comes from.
pub(crate) enum MasterKey {
    File(PathBuf),
    /// 32 bytes in base64.
    Value(Zeroizing<String>),
    Passphrase(Zeroizing<String>),
}

impl KmsSettings {
    pub(super) fn from_layer(layer: &Layer, secrets_dir: &Path) -> Result<Self, ConfigError> {
        Ok(Self {
            key_dir: layer.path("kms.key_dir")?.unwrap_or_else(|| secrets_dir.join("kms")),
            master: master(layer, secrets_dir)?,
            ensure_keys: layer.list("kms.ensure_keys"),
            trusted_dirs: layer.list("kms.trusted_dirs").into_iter().map(PathBuf::from).collect(),
            initial: initial(layer)?,
        })
    }

    /// The default key, if there is a key service from the start.
    pub(crate) fn default_key_id(&self) -> Option<&str> {
        self.initial.as_ref()?.default_key_id.as_deref()
    }

    /// Whether the service begins with the local backend, whose keys the server makes where they never were.
    pub(crate) fn is_local(&self) -> bool {
        self.initial.as_ref().is_some_and(|change| change.backend_type.as_deref() == Some("local"))
    }
}

fn master(layer: &Layer, secrets_dir: &Path) -> Result<MasterKey, ConfigError> {
    let given = |key| layer.get(key).map(|(value, _)| Zeroizing::new(value.to_owned()));
    let file = layer.path("kms.master_key_file")?;
    let passphrase_file = layer.path("kms.master_passphrase_file")?;
    match (file, given("kms.master_key"), given("kms.master_passphrase"), passphrase_file) {
        (None, None, None, None) => Ok(MasterKey::File(secrets_dir.join("kms-master.key"))),
        (Some(path), None, None, None) => Ok(MasterKey::File(path)),
        (None, Some(value), None, None) => Ok(MasterKey::Value(value)),
        (None, None, Some(text), None) => Ok(MasterKey::Passphrase(text)),
        (None, None, None, Some(path)) => {
            let text = read_private(&path)?;
            Ok(MasterKey::Passphrase(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned())))
        }
        _ => Err(ConfigError::SeveralMasterKeys),
    }
}

/// The first configuration of the key service, as `POST /kms/configure` would take it.
fn initial(layer: &Layer) -> Result<Option<Change>, ConfigError> {
    let backend = layer.choice("kms.backend")?;
    if backend == "none" || !layer.switch("kms.enabled")? {
        return Ok(None);
    }
    let mut fields = match layer.path("kms.config_file")? {
        Some(path) => {
            let text = read_private(&path)?;
            let parsed: Result<Map<String, Value>, _> = serde_json::from_str(&text);
            parsed.map_err(|error| ConfigError::KmsFile { path, line: error.line(), column: error.column() })?
        }
        None => Map::new(),
    };
    fields.insert("backend_type".to_owned(), json!(backend));
    set_common(layer, &mut fields)?;
    if backend == "vault" {
        set_vault(layer, &mut fields)?;
    }
    // Serde's own text would quote the value, which may be secret.
    let change =
        serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| ConfigError::KmsFields(error.path().to_string()))?;
    Ok(Some(change))
}

/// What holds for every backend. A field of the file beats an option's default, not an option that was given.
fn set_common(layer: &Layer, fields: &mut Map<String, Value>) -> Result<(), ConfigError> {
    let common = [
        ("default_key_id", json!(layer.text("kms.default_key_id"))),
        ("timeout_seconds", json!(layer.number("kms.timeout_seconds")?)),
        ("retry_attempts", json!(layer.number("kms.retry_attempts")?)),
        ("enable_cache", json!(layer.switch("kms.enable_cache")?)),
        ("max_cached_keys", json!(layer.size("kms.max_cached_keys")?)),
        ("cache_ttl_seconds", json!(layer.number("kms.cache_ttl_seconds")?)),
    ];
    for (name, value) in common {
        if layer.get(&format!("kms.{name}")).is_some() || !fields.contains_key(name) {
            fields.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

fn set_vault(layer: &Layer, fields: &mut Map<String, Value>) -> Result<(), ConfigError> {
    for name in ["address", "mount_path", "namespace", "ca_file"] {
        if let Some((value, _)) = layer.get(&format!("kms.vault_{name}")) {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    let given = |name: &str| layer.get(&format!("kms.vault_{name}")).map(|(value, _)| value);
    let method = match (given("token"), given("token_file"), given("role_id"), given("secret_id")) {
        (None, None, None, None) => return Ok(()),
        (Some(token), None, None, None) => json!({ "token": { "token": token } }),
        (None, Some(file), None, None) => json!({ "token_file": file }),
        (None, None, Some(role), Some(secret)) => json!({ "approle": { "role_id": role, "secret_id": secret } }),
        (None, None, Some(_), None) => return Err(ConfigError::HalfOfPair { given: "kms.vault_role_id", missing: "kms.vault_secret_id" }),
        (None, None, None, Some(_)) => return Err(ConfigError::HalfOfPair { given: "kms.vault_secret_id", missing: "kms.vault_role_id" }),
        _ => return Err(ConfigError::SeveralVaultLogins),
    };
    fields.insert("auth_method".to_owned(), method);
    Ok(())
}

/// A file with secrets in it.
fn read_private(path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    files::require_private(path)?;
    Ok(files::read_text(path, MAX_SECRET_FILE_LEN)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Origin;
    use super::super::options::by_key;
    use super::*;

    fn settings(values: &[(&str, &str)]) -> Result<KmsSettings, ConfigError> {
        let mut layer = Layer::default();
        for (key, value) in values {
            layer.set(by_key(key).unwrap(), (*value).to_owned(), Origin::Default);
        }
        KmsSettings::from_layer(&layer, Path::new("/srv/secrets"))
    }

    fn fields(values: &[(&str, &str)]) -> Value {
        serde_json::to_value(settings(values).unwrap().initial.unwrap()).unwrap()
    }

    #[test]
    fn the_service_begins_with_the_local_backend_and_a_default_key() {
        let begun = fields(&[]);
        assert_eq!((&begun["backend_type"], &begun["default_key_id"]), (&json!("local"), &json!("default")));
        assert_eq!((&begun["timeout_seconds"], &begun["retry_attempts"]), (&json!(30), &json!(3)));
        assert!(settings(&[]).unwrap().is_local());
    }

    #[test]
    fn none_and_disabled_both_mean_that_nothing_is_configured() {
        assert!(settings(&[("kms.backend", "none")]).unwrap().initial.is_none());
        assert!(settings(&[("kms.enabled", "false")]).unwrap().initial.is_none());
    }

    #[test]
    fn the_options_of_vault_become_its_fields() {
        let given = [
            ("kms.backend", "vault"),
            ("kms.vault_address", "https://v:8200"),
            ("kms.vault_role_id", "r"),
            ("kms.vault_secret_id", "s"),
            ("kms.enable_cache", "false"),
        ];
        let begun = fields(&given);
        assert_eq!((&begun["address"], &begun["enable_cache"]), (&json!("https://v:8200"), &json!(false)));
        assert_eq!(begun["auth_method"], json!({ "approle": { "role_id": "r", "secret_id": "s" } }));
        let begun = fields(&[("kms.backend", "vault"), ("kms.vault_token_file", "/t")]);
        assert_eq!(begun["auth_method"], json!({ "token_file": "/t" }));
    }

    #[test]
    fn half_a_login_and_two_logins_are_refused() {
        let half = settings(&[("kms.backend", "vault"), ("kms.vault_role_id", "r")]);
        assert!(matches!(half, Err(ConfigError::HalfOfPair { given: "kms.vault_role_id", .. })));
        let two = settings(&[("kms.backend", "vault"), ("kms.vault_token", "t"), ("kms.vault_token_file", "/t")]);
        assert!(matches!(two, Err(ConfigError::SeveralVaultLogins)));
        let masters = settings(&[("kms.master_key", "AA=="), ("kms.master_passphrase", "correct horse battery")]);
        assert!(matches!(masters, Err(ConfigError::SeveralMasterKeys)));
    }

    #[test]
    fn an_option_that_is_given_beats_the_file_and_the_file_beats_a_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"endpoint": "https://barbican", "timeout_seconds": 5, "retry_attempts": 7}"#).unwrap();
        let path = file.path().display().to_string();
        let begun = fields(&[("kms.backend", "barbican"), ("kms.config_file", &path), ("kms.retry_attempts", "1")]);
        assert_eq!(
            (&begun["timeout_seconds"], &begun["retry_attempts"], &begun["endpoint"]),
            (&json!(5), &json!(1), &json!("https://barbican"))
        );
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(settings(&[("kms.config_file", &path)]), Err(ConfigError::Files(_))), "others can read it");
    }
}
