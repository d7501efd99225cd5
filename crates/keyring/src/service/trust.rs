//! What an administrator over HTTP must not reach through a configuration: files of the server, and credentials that somebody else gave.
//!
//! Whoever may configure decides which server a backend talks to. A credential that stayed while the address changes, or one that is
//! read from a file, would be handed to whomever they name; and a library that they name would run in this process.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use strongroom_kms::KmsError;
use strongroom_outbound::FILE_REFUSED;

use super::fields::Fields;
use crate::registry::{BackendType, LOCAL, REDACTED};

/// Where on this machine the files of backends lie.
pub(super) struct Places {
    /// What a change over HTTP may name lies in these.
    pub(super) trusted_dirs: Vec<PathBuf>,
    /// The server's own key directory, by its true path. Nothing in it may be named, wherever it lies.
    pub(super) own_key_dir: PathBuf,
}

/// The field that names no credential: a file that the operator chose may stay while the destination changes.
const AUTHORITY: &str = "ca_file";

/// What stands for a file that is named by its default.
static DEFAULT_FILE: Value = Value::Null;

/// Checks the fields of a backend that a change over HTTP made of `earlier`, the present ones of the backend of that name.
pub(super) fn check(
    of: &dyn BackendType,
    earlier: Option<&Fields>,
    changed: &Fields,
    given: &Map<String, Value>,
    places: &Places,
) -> Result<(), KmsError> {
    let (none, changed) = (Map::new(), changed.as_map());
    let earlier = earlier.map_or(&none, Fields::as_map);
    let moved = of.destination_fields().iter().find(|path| at(earlier, path) != at(changed, path));
    for path in of.path_fields() {
        let file = named_file(of, changed, path);
        let is_sent = moved.is_some() && *path != AUTHORITY;
        if file.is_some() && (is_sent || file != named_file(of, earlier, path)) {
            check_place(of, path, file, places)?;
        }
    }
    if let Some(destination) = of
        .destination_fields()
        .iter()
        .find(|path| at(changed, path).is_some())
        .filter(|_| moved.is_some() && of.uses_machine_credentials(changed))
    {
        return Err(KmsError::InvalidArgument(format!(
            "{destination}: over the admin API it needs credentials of its own, for the machine's would be sent there; the server's own configuration may leave them out"
        )));
    }
    match (moved, kept_secret(of, earlier, changed, given)) {
        (Some(destination), Some(secret)) => Err(KmsError::InvalidArgument(format!(
            "{destination}: it says whom the backend's credentials are sent to; give {secret} again with it"
        ))),
        _ => Ok(()),
    }
}

/// What the field of this path says, or [`DEFAULT_FILE`] if it is left out where it has a default. An object in a form whose fields have
/// no names is not looked into: it stands for itself, and no place is right for it.
fn named_file<'a>(of: &dyn BackendType, fields: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    at(fields, path).or_else(|| {
        let (around, _) = path.rsplit_once('.').filter(|_| of.default_path_fields().contains(&path))?;
        at(fields, around).map(|around| if around.is_object() { &DEFAULT_FILE } else { around })
    })
}

/// A file, library or directory that the change names must lie where the operator of the machine said so.
fn check_place(of: &dyn BackendType, field: &str, value: Option<&Value>, places: &Places) -> Result<(), KmsError> {
    let Places { trusted_dirs, own_key_dir } = places;
    let real = value.and_then(Value::as_str).and_then(|path| real_path(Path::new(path)));
    let is_trusted = |real: &PathBuf| match real.strip_prefix(own_key_dir) {
        Ok(inside) => of.name() == LOCAL && inside.as_os_str().is_empty(),
        Err(_) => trusted_dirs.iter().filter_map(|dir| closed_dir(dir)).any(|dir| real.starts_with(dir)),
    };
    if real.as_ref().is_some_and(is_trusted) {
        return Ok(());
    }
    let named = value.and_then(Value::as_str);
    let reason = "it lies in no directory of kms.trusted_dirs, or in the server's own key directory";
    tracing::warn!(field, file = named, reason, "a change over the admin API names a file that is refused");
    Err(KmsError::InvalidArgument(format!("{field}: {FILE_REFUSED}")))
}

/// The true path of a directory, unless everybody may write it: who may put a link there would choose what is read.
fn closed_dir(dir: &Path) -> Option<PathBuf> {
    let real = dir.canonicalize().ok()?;
    let mode = real.metadata().ok()?.mode();
    if mode & 0o002 != 0 {
        tracing::warn!(dir = %real.display(), "everybody may write this directory of kms.trusted_dirs, so it is not trusted");
        return None;
    }
    Some(real)
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
            &[
                "address",
                "auth_method.approle.role_id",
                "auth_method.token_file",
                "auth_method.kubernetes.role",
                "ca_file",
                "client_key_file",
            ]
        }

        fn destination_fields(&self) -> &'static [&'static str] {
            &["address", "skip_tls_verify"]
        }

        fn path_fields(&self) -> &'static [&'static str] {
            &["auth_method.token_file", "auth_method.kubernetes.jwt_file", "ca_file", "client_key_file"]
        }

        fn default_path_fields(&self) -> &'static [&'static str] {
            &["auth_method.kubernetes.jwt_file"]
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
        let places = Places { trusted_dirs: trusted.to_vec(), own_key_dir: "/own".into() };
        check(&Vault, Some(&earlier), &earlier.merged(&given, true), &given, &places).map_err(|error| error.to_string())
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
    fn every_refusal_of_a_file_reads_the_same_whether_the_file_is_there_or_not() {
        let (dir, open) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let outside = tempfile::tempdir().unwrap();
        std::fs::set_permissions(open.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::write(outside.path().join("there"), "t").unwrap();
        std::fs::write(open.path().join("there"), "t").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        let trusted = [dir.path().to_owned(), open.path().to_owned()];
        for field in ["ca_file", "client_key_file"] {
            for path in [
                outside.path().join("there"),
                outside.path().join("missing"),
                outside.path().join("no/such/place"),
                outside.path().to_owned(),
                dir.path().join("link/there"),
                dir.path().join("link/missing"),
                dir.path().join("missing/below"),
                open.path().join("there"),
                "/own/key".into(),
                "relative".into(),
            ] {
                let error = checked(json!({"address": "a"}), json!({field: path}), &trusted).unwrap_err();
                assert_eq!(error, format!("{field}: {FILE_REFUSED}"), "{}", path.display());
            }
        }
    }

    #[test]
    fn an_authority_of_the_server_s_own_configuration_may_stay_while_the_address_changes_and_a_key_may_not() {
        let earlier = |field: &str| json!({"address": "https://a", field: "/etc/file.pem"});
        assert_eq!(checked(earlier("ca_file"), json!({"address": "https://b"}), &[]), Ok(()));
        let error = checked(earlier("client_key_file"), json!({"address": "https://b"}), &[]).unwrap_err();
        assert_eq!(error, format!("client_key_file: {FILE_REFUSED}"));
    }

    #[test]
    fn a_file_of_the_server_s_own_configuration_stays_with_its_address() {
        let earlier = || json!({"address": "https://a", "auth_method": {"token_file": "/run/token"}});
        assert_eq!(checked(earlier(), json!({"namespace": "n"}), &[]), Ok(()));
        let error = checked(earlier(), json!({"address": "https://evil"}), &[]).unwrap_err();
        assert!(error.starts_with("auth_method.token_file: "), "{error}");
    }

    #[test]
    fn a_file_that_is_read_unless_another_is_named_is_guarded_too() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("jwt");
        std::fs::write(&file, "t").unwrap();
        let trusted = [dir.path().to_owned()];
        let pod = || json!({"address": "https://a", "auth_method": {"kubernetes": {"role": "r"}}});
        let elsewhere = |kubernetes: Value| json!({"address": "https://evil", "auth_method": {"kubernetes": kubernetes}});
        for (earlier, given) in [
            (json!({}), pod()),
            (json!({"address": "https://a"}), json!({"auth_method": {"kubernetes": {"role": "r", "jwt_file": null}}})),
            (pod(), json!({"address": "https://evil"})),
            (pod(), elsewhere(json!(["r", file, "kubernetes"]))),
            (json!({}), elsewhere(json!(["r"]))),
        ] {
            let error = checked(earlier, given, &trusted).unwrap_err();
            assert!(error.starts_with("auth_method.kubernetes.jwt_file: "), "{error}");
        }
        assert_eq!(checked(pod(), json!({"auth_method": {"kubernetes": {"role": "other"}}}), &[]), Ok(()));
        assert_eq!(checked(json!({}), elsewhere(json!({"role": "r", "jwt_file": file})), &trusted), Ok(()));
    }
}
