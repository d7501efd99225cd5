//! The YAML of a key rotation job, and the re-key job that it means. What cannot be honoured is refused, never left out.

use serde::Deserialize;

use crate::http::ApiError;
use crate::rekey::{Mode, Scope};

/// The file that `mc batch start` sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    keyrotate: KeyRotate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeyRotate {
    api_version: String,
    bucket: String,
    #[serde(default)]
    prefix: Option<Prefix>,
    encryption: Encryption,
    #[serde(default)]
    flags: Option<Flags>,
}

/// One prefix, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Prefix {
    One(String),
    Some(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encryption {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    context: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flags {
    #[serde(default)]
    filter: Option<Filter>,
    #[serde(default)]
    notify: Option<Notify>,
    #[serde(default)]
    #[allow(dead_code, reason = "a job tries again by itself what found the KMS away, as long as it runs")]
    retry: Option<Retry>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    newer_than: Option<serde_json::Value>,
    #[serde(default)]
    older_than: Option<serde_json::Value>,
    #[serde(default)]
    created_after: Option<serde_json::Value>,
    #[serde(default)]
    created_before: Option<serde_json::Value>,
    #[serde(default)]
    tags: Option<serde_json::Value>,
    #[serde(default)]
    metadata: Option<serde_json::Value>,
    #[serde(default, rename = "kmskey", alias = "kmskeyid")]
    kms_key: Option<String>,
    #[serde(default)]
    plaintext_only: Option<bool>,
    /// There are no object locks, so whether they are forced makes no difference.
    #[serde(default)]
    #[allow(dead_code, reason = "read so that it is known")]
    force_encrypt_locked: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Notify {
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    #[allow(dead_code, reason = "a secret of an endpoint that is refused")]
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read so that misspelt fields are refused")]
struct Retry {
    #[serde(default)]
    attempts: Option<u32>,
    #[serde(default)]
    delay: Option<String>,
}

/// The re-key job that the file means.
pub(super) fn parse(yaml: &str) -> Result<Scope, ApiError> {
    let File { keyrotate } = serde_saphyr::from_str(yaml).map_err(|error| unreadable(yaml, &error))?;
    let KeyRotate { api_version, bucket, prefix, encryption, flags } = keyrotate;
    if api_version != "v1" {
        return Err(ApiError::invalid("keyrotate.apiVersion: expected v1"));
    }
    if bucket.is_empty() {
        return Err(ApiError::invalid("keyrotate.bucket: expected the name of a bucket"));
    }
    let (mode, to_key) = target(encryption)?;
    let mut scope = Scope { bucket: Some(bucket), prefix: one(prefix)?, mode: Some(mode), to_key, ..Scope::default() };
    let flags = flags.unwrap_or_default();
    if flags.notify.and_then(|notify| notify.endpoint).is_some_and(|endpoint| !endpoint.is_empty()) {
        return Err(not_honoured("flags.notify", "poll the job's status instead"));
    }
    narrow(&mut scope, flags.filter.unwrap_or_default())?;
    Ok(scope)
}

/// What a scope is in this form. Secrets and what was refused are in no scope.
pub(super) fn render(scope: &Scope) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let kind = if scope.mode == Some(Mode::SseKms) || scope.to_key.is_some() { "sse-kms" } else { "sse-s3" };
    let mut lines = vec!["keyrotate:".to_owned(), "  apiVersion: v1".to_owned()];
    lines.push(format!("  bucket: {}", text(scope.bucket.as_deref().unwrap_or_default())));
    lines.extend(scope.prefix.as_deref().map(|prefix| format!("  prefix: {}", text(prefix))));
    lines.extend(["  encryption:".to_owned(), format!("    type: {kind}")]);
    lines.extend(scope.to_key.as_deref().map(|key| format!("    key: {}", text(key))));
    if let Some(key) = scope.from_key.as_deref() {
        lines.extend(["  flags:".to_owned(), "    filter:".to_owned(), format!("      kmskey: {}", text(key))]);
    }
    lines.join("\n") + "\n"
}

/// The mode of the objects that are meant, and the key that they get.
fn target(encryption: Encryption) -> Result<(Mode, Option<String>), ApiError> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let key = filled(encryption.key);
    if filled(encryption.context).is_some() {
        return Err(not_honoured("encryption.context", "objects keep the context they have"));
    }
    match (encryption.kind.as_str(), key) {
        ("sse-s3", None) => Ok((Mode::SseS3, None)),
        ("sse-s3", Some(_)) => Err(ApiError::invalid("keyrotate.encryption.key: only with the type sse-kms")),
        ("sse-kms", Some(key)) => Ok((Mode::SseKms, Some(key))),
        ("sse-kms", None) => Err(ApiError::invalid("keyrotate.encryption.key: expected the key to rotate to")),
        _ => Err(ApiError::invalid("keyrotate.encryption.type: expected sse-s3 or sse-kms")),
    }
}

fn one(prefix: Option<Prefix>) -> Result<Option<String>, ApiError> {
    let mut prefixes = match prefix {
        None => Vec::new(),
        Some(Prefix::One(prefix)) => vec![prefix],
        Some(Prefix::Some(prefixes)) => prefixes,
    };
    if prefixes.len() > 1 {
        return Err(not_honoured("prefix with several entries", "start one job for each"));
    }
    Ok(prefixes.pop().filter(|prefix| !prefix.is_empty()))
}

fn narrow(scope: &mut Scope, filter: Filter) -> Result<(), ApiError> {
    let Filter { newer_than, older_than, created_after, created_before, tags, metadata, kms_key, plaintext_only, force_encrypt_locked: _ } =
        filter;
    let unknown = [
        ("newerThan", newer_than),
        ("olderThan", older_than),
        ("createdAfter", created_after),
        ("createdBefore", created_before),
        ("tags", tags),
        ("metadata", metadata),
    ];
    for (name, value) in unknown {
        if value.is_some_and(|value| !is_empty(&value)) {
            return Err(not_honoured(&format!("flags.filter.{name}"), "narrow the job by bucket, prefix and kmskey"));
        }
    }
    scope.from_key = kms_key.filter(|key| !key.is_empty());
    if plaintext_only == Some(true) {
        scope.mode = Some(Mode::None);
        scope.encrypt_plain = true;
    }
    Ok(())
}

/// What the template of `mc` has in the place of what is not set.
fn is_empty(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::String(text) => text.is_empty(),
        serde_json::Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

fn not_honoured(what: &str, instead: &str) -> ApiError {
    ApiError::invalid(format!("keyrotate.{what} is not supported: {instead}"))
}

/// Says which other kind of job it is, where it is one.
fn unreadable(yaml: &str, error: &serde_saphyr::Error) -> ApiError {
    let kind = yaml.lines().map(str::trim_end).find(|line| line.ends_with(':') && !line.starts_with([' ', '#']));
    match kind.map(|kind| kind.trim_end_matches(':')) {
        Some(kind @ ("replicate" | "expire" | "catalog" | "untier" | "compress")) => {
            ApiError::invalid(format!("Jobs of the type {kind} are not supported: only keyrotate is."))
        }
        _ => ApiError::invalid(format!("The job does not parse: {}", first_line(&error.to_string()))),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn job(rest: &str) -> String {
        format!("keyrotate:\n  apiVersion: v1\n  bucket: photos\n{rest}")
    }

    fn refused(yaml: &str) -> String {
        let error = parse(yaml).unwrap_err();
        assert_eq!(error.status.as_u16(), 400, "{yaml}");
        error.message
    }

    #[test]
    fn a_job_means_a_scope() {
        let scope = parse(&job("  prefix: 2024/\n  encryption:\n    type: sse-s3\n")).unwrap();
        let expected =
            Scope { bucket: Some("photos".to_owned()), prefix: Some("2024/".to_owned()), mode: Some(Mode::SseS3), ..Scope::default() };
        assert_eq!(scope, expected);
        let filter = "  flags:\n    filter:\n      kmskey: old\n      newerThan: \"\"\n      tags: []\n    retry:\n      attempts: 10\n      delay: 500ms\n";
        let scope = parse(&job(&format!("  encryption:\n    type: sse-kms\n    key: new\n{filter}"))).unwrap();
        assert_eq!((scope.mode, scope.to_key.as_deref()), (Some(Mode::SseKms), Some("new")));
        assert_eq!(scope.from_key.as_deref(), Some("old"));
        assert!(!scope.encrypt_plain);
    }

    #[test]
    fn what_was_started_can_be_described_and_started_again() {
        let scope =
            parse(&job("  prefix: \"a: b #\\n\"\n  encryption:\n    type: sse-kms\n    key: k\n  flags:\n    filter:\n      kmskey: o\n"))
                .unwrap();
        assert_eq!(parse(&render(&scope)).unwrap(), scope);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let kms = "  encryption:\n    type: sse-kms\n    key: k\n";
        for (rest, named) in [
            ("  encryption:\n    type: sse-c\n", "encryption.type"),
            ("  encryption:\n    type: sse-kms\n", "encryption.key"),
            ("  encryption:\n    type: sse-s3\n    key: k\n", "encryption.key"),
            (&format!("{kms}    context: e30=\n"), "encryption.context"),
            (&format!("{kms}  prefix: [a, b]\n"), "prefix"),
            (&format!("{kms}  flags:\n    filter:\n      newerThan: 7d\n"), "newerThan"),
            (&format!("{kms}  flags:\n    filter:\n      tags:\n        - key: a\n          value: b\n"), "tags"),
            (&format!("{kms}  flags:\n    notify:\n      endpoint: https://x\n      token: very-secret\n"), "flags.notify"),
            (&format!("{kms}  flags:\n    filter:\n      smallerThan: 1\n"), "smallerThan"),
        ] {
            let message = refused(&job(rest));
            assert!(message.contains(named), "{rest}: {message}");
            assert!(!message.contains("very-secret"), "{message}");
        }
        assert!(refused("keyrotate:\n  apiVersion: v2\n  bucket: b\n  encryption:\n    type: sse-s3\n").contains("apiVersion"));
        assert!(refused("replicate:\n  apiVersion: v1\n").contains("replicate"));
        assert!(refused("").contains("parse"));
        assert!(refused("keyrotate: [").contains("parse"));
    }
}
