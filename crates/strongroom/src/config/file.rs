//! Options from the configuration file.

use std::path::Path;

use toml::{Table, Value};

use super::options::{Kind, OPTIONS, by_key, nearest};
use super::{ConfigError, Layer, Lists, Origin, notifications, users};
use crate::files;

/// The longest configuration file that is read, in bytes.
const MAX_LEN: u64 = 4 << 20;

/// What the file sets.
#[derive(Default)]
pub(crate) struct File {
    pub(crate) layer: Layer,
    pub(crate) data_dir: Option<String>,
    pub(crate) lists: Lists,
}

/// Reads a TOML file; a key that is no option's is an error. A file with a secret in it must be its owner's alone.
pub(crate) fn read(path: &Path) -> Result<File, ConfigError> {
    parse(path, &files::read_text(path, MAX_LEN)?)
}

fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    let table: Table = text.parse().map_err(|error| syntax(path, text, &error))?;
    let mut file = File::default();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("users", value) => file.lists.users = users::from_toml(path, value)?,
            ("notification_targets", value) => file.lists.notification_targets = notifications::from_toml(path, value)?,
            ("data_dir", Value::String(value)) => file.data_dir = Some(value),
            (_, Value::Table(inner)) => {
                inner.into_iter().try_for_each(|(name, value)| set(&mut file.layer, path, &format!("{key}.{name}"), value))?;
            }
            (key, value) => set(&mut file.layer, path, key, value)?,
        }
    }
    Ok(file)
}

fn set(layer: &mut Layer, path: &Path, key: &str, value: Value) -> Result<(), ConfigError> {
    let option = by_key(key).ok_or_else(|| unknown(path, key))?;
    if option.kind == Kind::Secret {
        files::require_private(path)?;
    }
    let value = as_text(value).ok_or_else(|| ConfigError::WrongType { path: path.to_owned(), key: key.to_owned() })?;
    layer.set(option, value, Origin::File(path.to_owned()));
    Ok(())
}

fn unknown(path: &Path, key: &str) -> ConfigError {
    let candidates = OPTIONS.iter().map(|option| option.key).chain(["users", "notification_targets", "data_dir"]);
    ConfigError::UnknownKey { path: path.to_owned(), key: key.to_owned(), nearest: nearest(key, candidates) }
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(switch) => Some(switch.to_string()),
        Value::Array(items) => items.into_iter().map(as_text).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

/// The place and the reason without the line itself, which may hold a secret.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    ConfigError::Syntax { path: path.to_owned(), line: before.matches('\n').count() + 1, reason: error.message().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> String {
        parse(Path::new("s.toml"), text).err().expect("the file is refused").to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        assert_eq!(error_of("[kms]\nkeydir = 'x'"), "s.toml: kms.keydir is not an option; did you mean kms.key_dir?");
        assert_eq!(error_of("sse-error-dialect = 'aws'"), "s.toml: sse-error-dialect is not an option; did you mean sse_error_dialect?");
    }

    #[test]
    fn a_syntax_error_names_the_line_and_keeps_the_secret() {
        let error = error_of("region = 'x'\nsecret_key = \"hunter2\n");
        assert!(error.starts_with("s.toml, line 2: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn an_array_is_a_list() {
        let file = parse(Path::new("s.toml"), "domains = ['a.test', 'b.test']").expect("the file is good");
        let (value, _) = file.layer.get("domains").expect("domains is set");
        assert_eq!(value, "a.test,b.test");
    }
}
