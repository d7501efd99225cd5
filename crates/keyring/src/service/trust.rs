//! What an administrator over HTTP must not reach through a configuration: files of the server, and credentials that somebody else gave.
//!
//! Whoever may configure decides which server a backend talks to. A credential that stayed while the address changes, or one that is
//! read from a file, would be handed to whomever they name; and a library that they name would run in this process.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use strongroom_kms::KmsError;

use super::fields::Fields;
use crate::registry::{BackendType, REDACTED};

/// Checks the fields of a backend that a change over HTTP made of `earlier`, the present ones of the backend of that name.
pub(super) fn check(
    of: &dyn BackendType,
    earlier: Option<&Fields>,
    changed: &Fields,
    given: &Map<String, Value>,
    trusted_dirs: &[PathBuf],
) -> Result<(), KmsError> {
    let (none, changed) = (Map::new(), changed.as_map());
    let earlier = earlier.map_or(&none, Fields::as_map);
    let moved = of.destination_fields().iter().find(|path| at(earlier, path) != at(changed, path));
    let guarded = |path: &&&str| at(changed, path).is_some() && (moved.is_some() || at(changed, path) != at(earlier, path));
    for path in of.path_fields().iter().filter(guarded) {
        check_dir(path, at(changed, path), trusted_dirs)?;
    }
    match (moved, kept_secret(of, earlier, changed, given)) {
        (Some(destination), Some(secret)) => Err(KmsError::InvalidArgument(format!(
            "{destination}: it says whom the backend's credentials are sent to; give {secret} again with it"
        ))),
        _ => Ok(()),
    }
}

/// A file, library or directory that the change names must lie where the operator of the machine said so.
fn check_dir(field: &str, value: Option<&Value>, trusted_dirs: &[PathBuf]) -> Result<(), KmsError> {
    let path = value.and_then(Value::as_str).map(Path::new);
    let is_trusted = |path: &Path| {
        let real = real_path(path);
        real.is_some_and(|real| trusted_dirs.iter().filter_map(|dir| dir.canonicalize().ok()).any(|dir| real.starts_with(dir)))
    };
    if path.is_some_and(is_trusted) {
        return Ok(());
    }
    Err(KmsError::InvalidArgument(format!(
        "{field}: the admin API may name only what is there in a directory of the server's option kms.trusted_dirs; the server's own configuration may name anything"
    )))
}

/// Where an absolute path leads, links followed, so that none leads out. A directory that is yet to be made lies where its parent does.
fn real_path(path: &Path) -> Option<PathBuf> {
    if !path.is_absolute() {
        return None;
    }
    path.canonicalize().ok().or_else(|| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)))
}

/// The path of a secret that came from `earlier` and was not given again.
fn kept_secret(
    of: &dyn BackendType,
    earlier: &Map<String, Value>,
    changed: &Map<String, Value>,
    given: &Map<String, Value>,
) -> Option<String> {
    let mut secrets = Vec::new();
    collect_secrets(changed, "", of.shown_fields(), &mut secrets);
    secrets.into_iter().find(|path| {
        let again = at(given, path).is_some_and(|value| value.as_str() != Some(REDACTED));
        !again && at(earlier, path) == at(changed, path)
    })
}

fn collect_secrets(fields: &Map<String, Value>, path: &str, shown: &[&str], found: &mut Vec<String>) {
    for (name, value) in fields {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Object(inner) => collect_secrets(inner, &path, shown, found),
            Value::Null | Value::Bool(_) => {}
            _ if shown.contains(&path.as_str()) => {}
            Value::String(_) | Value::Number(_) | Value::Array(_) => found.push(path),
        }
    }
}

/// The value of a path whose names are joined by dots.
fn at<'a>(fields: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => fields.get(path),
        Some((name, rest)) => at(fields.get(name)?.as_object()?, rest),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use serde_json::json;
    use strongroom_kms::Kms;

    use super::*;

    struct Vault;

    #[async_trait]
    impl BackendType for Vault {
        fn name(&self) -> &'static str {
            "vault"
        }

        fn shown_fields(&self) -> &'static [&'static str] {
            &["address", "auth_method.approle.role_id", "auth_method.token_file"]
        }

        fn destination_fields(&self) -> &'static [&'static str] {
            &["address", "skip_tls_verify"]
        }

        fn path_fields(&self) -> &'static [&'static str] {
            &["auth_method.token_file"]
        }

        async fn build(&self, _: &str, _: &Map<String, Value>) -> Result<Arc<dyn Kms>, KmsError> {
            Err(KmsError::NotConfigured)
        }
    }

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("not an object") };
        map
    }

    fn checked(earlier: Value, given: Value, trusted: &[PathBuf]) -> Result<(), String> {
        let (earlier, given) = (Fields::new(&map(earlier)), map(given));
        check(&Vault, Some(&earlier), &earlier.merged(&given, true), &given, trusted).map_err(|error| error.to_string())
    }

    fn approle() -> Value {
        json!({"address": "https://a", "auth_method": {"approle": {"role_id": "r", "secret_id": "s"}}})
    }

    #[test]
    fn a_credential_is_not_sent_to_another_address_than_it_was_given_for() {
        for given in [
            json!({"address": "https://evil"}),
            json!({"skip_tls_verify": true}),
            json!({"address": "https://evil", "auth_method": {"approle": {"secret_id": REDACTED}}}),
        ] {
            let error = checked(approle(), given, &[]).unwrap_err();
            assert!(error.contains("give auth_method.approle.secret_id again"), "{error}");
        }
        assert_eq!(checked(approle(), json!({"address": "https://b", "auth_method": {"approle": {"secret_id": "t"}}}), &[]), Ok(()));
        assert_eq!(checked(approle(), json!({"auth_method": {"approle": {"role_id": "x"}}}), &[]), Ok(()));
    }

    #[test]
    fn a_file_of_the_server_is_named_only_where_its_operator_permits_it() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (inside, outside) = (dir.path().join("token"), other.path().join("token"));
        std::fs::write(&inside, "t").unwrap();
        std::fs::write(&outside, "t").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        let trusted = [dir.path().to_owned()];
        let named = |path: &Path| json!({"auth_method": {"token_file": path}});
        assert_eq!(checked(json!({"address": "a"}), named(&inside), &trusted), Ok(()));
        for (path, trusted) in
            [(&inside, &[][..]), (&outside, &trusted[..]), (&link, &trusted[..]), (&dir.path().join("../x"), &trusted[..])]
        {
            let error = checked(json!({"address": "a"}), named(path), trusted).unwrap_err();
            assert!(error.starts_with("auth_method.token_file: "), "{error}");
        }
    }

    #[test]
    fn a_file_of_the_server_s_own_configuration_stays_with_its_address() {
        let earlier = || json!({"address": "https://a", "auth_method": {"token_file": "/run/token"}});
        assert_eq!(checked(earlier(), json!({"namespace": "n"}), &[]), Ok(()));
        let error = checked(earlier(), json!({"address": "https://evil"}), &[]).unwrap_err();
        assert!(error.starts_with("auth_method.token_file: "), "{error}");
    }
}
