//! The one table of options. Flags, environment variables, keys of the configuration file, `--help` and the check of
//! `docs/configuration.md` all come from it.

/// What values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A path; relative ones are relative to the working directory.
    Path,
    /// A whole number, no smaller than the one given.
    Number(u64),
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several texts: separated by commas as a flag and in the environment, an array in the file.
    List,
    /// As [`Kind::Text`], and never a flag: the process list would show it.
    Secret,
}

/// What holds where nothing is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// This value, written as a user would.
    Value(&'static str),
    /// Something that depends on other options or on the machine, in words.
    Derived(&'static str),
}

/// One option.
#[derive(Debug)]
pub(crate) struct OptionSpec {
    /// The key in the file; a dot stands for a table.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// What the value is called in `--help`.
    pub(crate) value_name: &'static str,
    pub(crate) fallback: Fallback,
    pub(crate) help: &'static str,
}

impl OptionSpec {
    /// The flag without its dashes.
    pub(crate) fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{}{}", super::env::PREFIX, self.key.replace('.', "_").to_uppercase())
    }

    /// Whether the option may be given on the command line.
    pub(crate) fn has_flag(&self) -> bool {
        self.kind != Kind::Secret
    }
}

const fn option(key: &'static str, kind: Kind, value_name: &'static str, fallback: Fallback, help: &'static str) -> OptionSpec {
    OptionSpec { key, kind, value_name, fallback, help }
}

use Fallback::{Derived, Value};
use Kind::{Choice, List, Number, Path, Secret, Switch, Text};

/// Every option there is, but for DATA_DIR, `--config` and the `[[users]]` of the file.
pub(crate) static OPTIONS: &[OptionSpec] = &[
    option(
        "address",
        Text,
        "HOST:PORT",
        Value("127.0.0.1:9000"),
        "Where S3 is served, HTTPS and HTTP on one port. Port 0 takes a free one",
    ),
    option("admin_address", Text, "HOST:PORT", Value("127.0.0.1:9001"), "Where the admin API, health and metrics are served, HTTPS only"),
    option(
        "secrets_dir",
        Path,
        "DIR",
        Derived("DATA_DIR.secrets, beside DATA_DIR"),
        "Where root credentials, TLS files and the local KMS lie. Never inside DATA_DIR",
    ),
    option(
        "tls_cert",
        Path,
        "FILE",
        Derived("one signed by a local CA, made at first start"),
        "Certificate chain, PEM, leaf first. Read again when the file changes and on SIGHUP",
    ),
    option("tls_key", Path, "FILE", Derived("made with the certificate"), "Private key of --tls-cert, PEM, not readable by everybody"),
    option(
        "access_key",
        Text,
        "ID",
        Derived("generated at first start"),
        "Access key of the root identity; needs STRONGROOM_SECRET_KEY or secret_key in the file",
    ),
    option("secret_key", Secret, "SECRET", Derived("generated at first start"), "Secret key of the root identity"),
    option("region", Text, "NAME", Value("us-east-1"), "The region clients sign for and buckets report"),
    option("domains", List, "HOST,…", Value(""), "Domains under which a bucket is also a host name (bucket.domain)"),
    option(
        "encrypt_by_default",
        Switch,
        "BOOL",
        Value("true"),
        "Encrypt with SSE-S3 what is put without encryption headers into a bucket without default encryption",
    ),
    option(
        "sse.blocked_encryption_types",
        List,
        "TYPE,…",
        Value(""),
        "Types of encryption that buckets block unless they say otherwise: SSE-C, as Amazon does since April 2026, or nothing",
    ),
    option(
        "sse.minimum_mode",
        Choice(&["none", "SSE-S3", "SSE-KMS", "DSSE-KMS"]),
        "WORD",
        Value("none"),
        "The weakest encryption that anything is written with; weaker writes are refused",
    ),
    option(
        "sse_error_dialect",
        Choice(&["strongroom", "aws"]),
        "WORD",
        Value("strongroom"),
        "Whose error codes encryption failures get where Amazon S3 differs from the documented ones",
    ),
    option(
        "trusted_proxies",
        List,
        "ADDR,…",
        Value(""),
        "Addresses or networks (10.0.0.0/8) of proxies whose X-Forwarded-Proto is believed",
    ),
    option(
        "allow_insecure_sse_c_on_loopback",
        Switch,
        "BOOL",
        Value("false"),
        "For development: accept SSE-C over plain HTTP from this machine",
    ),
    option(
        "allow_unsigned_payload_over_http",
        Switch,
        "BOOL",
        Value("false"),
        "Accept bodies that no signature covers over plain HTTP from other machines",
    ),
    option(
        "allow_signature_v2_forms",
        Switch,
        "BOOL",
        Value("false"),
        "Accept browser forms whose policy is signed with Signature Version 2",
    ),
    option(
        "allow_signature_v2_urls",
        Switch,
        "BOOL",
        Value("false"),
        "Accept presigned URLs of Signature Version 2, for GET and HEAD alone",
    ),
    option(
        "object_ownership",
        Choice(&["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]),
        "WORD",
        Value("BucketOwnerEnforced"),
        "Who owns the objects of buckets that do not say it themselves; with BucketOwnerEnforced no ACL counts",
    ),
    option(
        "block_public_access",
        Switch,
        "BOOL",
        Value("true"),
        "Block public access to buckets that do not say themselves what is blocked",
    ),
    option("kms.enabled", Switch, "BOOL", Value("true"), "Offer SSE-S3 and SSE-KMS from the start; false is kms.backend none"),
    option(
        "kms.backend",
        Choice(&["local", "vault", "barbican", "aws", "pkcs11", "kmip", "none"]),
        "WORD",
        Value("local"),
        "Who wraps data keys. With none, SSE-S3 and SSE-KMS answer NotImplemented until the admin API configures a backend",
    ),
    option(
        "kms.config_file",
        Path,
        "FILE",
        Value(""),
        "The backend's fields as JSON, as POST /kms/configure takes them; not readable by others",
    ),
    option(
        "kms.key_dir",
        Path,
        "DIR",
        Derived("kms in the secrets directory"),
        "Where the local KMS keeps its wrapped keys. Never inside DATA_DIR",
    ),
    option(
        "kms.master_key_file",
        Path,
        "FILE",
        Derived("kms-master.key in the secrets directory"),
        "The key that wraps the local KMS's keys; made at first start. Never inside DATA_DIR",
    ),
    option("kms.master_key", Secret, "BASE64", Value(""), "The master key itself, 32 bytes, instead of a file"),
    option(
        "kms.master_passphrase",
        Secret,
        "TEXT",
        Value(""),
        "A passphrase that the master key is derived from (Argon2id), instead of a file",
    ),
    option("kms.master_passphrase_file", Path, "FILE", Value(""), "A file that holds the passphrase; not readable by others"),
    option("kms.default_key_id", Text, "KEY", Value("default"), "The KMS key used where a request names none; made if it never was"),
    option("kms.ensure_keys", List, "KEY,…", Value(""), "More KMS keys to be made at the start if they never were"),
    option("kms.enable_cache", Switch, "BOOL", Value("true"), "Keep unwrapped data keys in memory for a while"),
    option("kms.max_cached_keys", Number(1), "COUNT", Value("1000"), "How many data keys the cache holds"),
    option("kms.cache_ttl_seconds", Number(1), "SECONDS", Value("300"), "How long the cache holds a data key"),
    option("kms.timeout_seconds", Number(1), "SECONDS", Value("30"), "How long a call of the backend may take, its retries included"),
    option("kms.retry_attempts", Number(0), "COUNT", Value("3"), "How often a call that failed because the backend was away is made again"),
    option(
        "kms.trusted_dirs",
        List,
        "DIR,…",
        Value(""),
        "Where files, libraries and key directories lie that a configuration over the admin API may name; elsewhere it may name none",
    ),
    option("kms.vault_address", Text, "URL", Value(""), "Vault or OpenBao, as https://vault.example:8200"),
    option("kms.vault_token", Secret, "TOKEN", Value(""), "Log in with a token"),
    option("kms.vault_token_file", Path, "FILE", Value(""), "Log in with the token in this file, read again when it changes"),
    option("kms.vault_role_id", Text, "ID", Value(""), "Log in by AppRole; needs kms.vault_secret_id"),
    option("kms.vault_secret_id", Secret, "ID", Value(""), "The secret of the AppRole"),
    option("kms.vault_mount_path", Text, "PATH", Value("transit"), "Where the Transit engine is mounted"),
    option("kms.vault_namespace", Text, "NAME", Value(""), "The namespace, where Vault has several"),
    option("kms.vault_ca_file", Path, "FILE", Value(""), "The only authority to trust for Vault, PEM"),
    option(
        "sso.private_hosts",
        List,
        "HOST,…",
        Value(""),
        "Identity providers whose hosts may have private addresses, as HOST or HOST:PORT; all others must have public ones",
    ),
    option("sso.ca_file", Path, "FILE", Value(""), "The only authority to trust for those hosts, PEM"),
    option(
        "audit_dir",
        Path,
        "DIR",
        Derived("audit in DATA_DIR"),
        "Where the audit log is written: one chained record for each use of a key and each act of administration",
    ),
    option("audit_segment_mib", Number(1), "MIB", Value("64"), "Length at which a file of the audit log is ended and another begun"),
    option("audit_segment_hours", Number(1), "HOURS", Value("24"), "Age at which a file of the audit log with events in it is ended"),
    option("audit_compress", Switch, "BOOL", Value("true"), "Compress ended files of the audit log with gzip"),
    option(
        "audit_retention_days",
        Number(0),
        "DAYS",
        Value("0"),
        "Age at which ended files of the audit log are removed, on record; 0: never",
    ),
    option(
        "audit_retention_mib",
        Number(0),
        "MIB",
        Value("0"),
        "Length of the audit log beyond which its oldest ended files are removed, on record; 0: none",
    ),
    option(
        "audit_quota_mib",
        Number(0),
        "MIB",
        Value("65536"),
        "Length of the audit log at which uses of keys and changes of locks are refused, and 1 MiB later acts of administration; 0: none",
    ),
    option(
        "max_connections",
        Number(1),
        "COUNT",
        Value("1024"),
        "Connections served at once on the S3 port; for more, those that wait longest are closed, or 503 is answered",
    ),
    option(
        "max_connections_per_address",
        Number(1),
        "COUNT",
        Derived("half of max_connections"),
        "Connections of the S3 port from one IPv4 address or IPv6 /64; trusted proxies may have more",
    ),
    option("max_header_bytes", Number(8192), "BYTES", Value("32768"), "Longest request line and headers together"),
    option("max_header_count", Number(16), "COUNT", Value("1024"), "Most headers of one request"),
    option(
        "request_header_timeout_seconds",
        Number(1),
        "SECONDS",
        Value("30"),
        "How long a client may take for the headers of a request; on the admin port 5 at most",
    ),
    option(
        "keep_alive_timeout_seconds",
        Number(1),
        "SECONDS",
        Value("30"),
        "How long a connection may wait for its next request; on the admin port 5 at most",
    ),
    option(
        "body_idle_timeout_seconds",
        Number(1),
        "SECONDS",
        Value("60"),
        "How long a client may send nothing of a body, or take nothing of an answer",
    ),
    option(
        "min_transfer_bytes_per_second",
        Number(0),
        "BYTES",
        Value("128"),
        "Least average rate at which a client that is waited for sends a body or takes an answer; 0: any",
    ),
    option("user_requests_per_second", Number(0), "COUNT", Value("0"), "Requests that a user may begin in a second; 0: any number"),
    option("user_requests_at_once", Number(0), "COUNT", Value("0"), "Requests that a user may have under way; 0: any number"),
    option("user_upload_bytes_per_second", Number(0), "BYTES", Value("0"), "Bytes that a user may send in a second; 0: any number"),
    option("user_download_bytes_per_second", Number(0), "BYTES", Value("0"), "Bytes that a user may get in a second; 0: any number"),
    option(
        "delay_guesses",
        Switch,
        "BOOL",
        Value("true"),
        "Let refusals wait, up to 5 s each, that go to an address which sends many wrong signatures",
    ),
    option(
        "tls_handshake_timeout_seconds",
        Number(1),
        "SECONDS",
        Value("10"),
        "How long a client may take for its first byte and for the TLS handshake; on the admin port 5 at most",
    ),
    option("drain_timeout_seconds", Number(0), "SECONDS", Value("30"), "How long requests under way may still run after SIGTERM or SIGINT"),
    option(
        "inline_limit_bytes",
        Number(0),
        "BYTES",
        Derived("131072, the measured optimum"),
        "Objects up to this size lie, sealed, in the catalog instead of in a file",
    ),
    option(
        "memory_budget_bytes",
        Number(33_554_432),
        "BYTES",
        Value("134217728"),
        "What all requests together may keep in memory of bodies and answers; beyond it requests wait their turn, or get 503 SlowDown",
    ),
    option(
        "disk_reserve_mib",
        Number(0),
        "MIB",
        Value("128"),
        "What is kept of the disk (an eighth at most), so that reads and deletes go on when it is full and uploads are refused; 0: none",
    ),
    option("sweep_interval_seconds", Number(1), "SECONDS", Value("2"), "How often blobs that nothing refers to any more are looked for"),
    option("dead_blob_grace_seconds", Number(1), "SECONDS", Value("5"), "How long such a blob is kept for reads that already know of it"),
    option(
        "orphan_age_seconds",
        Number(0),
        "SECONDS",
        Value("86400"),
        "How old a blob that the catalog does not know, as a crash leaves one, must be to be deleted",
    ),
    option("lifecycle.hour", Number(0), "HOUR", Value("1"), "At which hour (UTC, 0 to 23) the daily lifecycle pass begins"),
    option(
        "lifecycle.max_deletes_per_second",
        Number(0),
        "COUNT",
        Value("0"),
        "How many versions and uploads a lifecycle pass deletes in a second at the most; 0: no limit",
    ),
    option(
        "lifecycle.day_seconds",
        Number(1),
        "SECONDS",
        Value("86400"),
        "For tests only: how long a day of a lifecycle rule is. Any other value than the default deletes objects early, and the start warns of it",
    ),
    option(
        "log_level",
        Choice(&["error", "warn", "info", "debug", "trace"]),
        "WORD",
        Value("info"),
        "How much is logged, to standard error",
    ),
    option("log_format", Choice(&["text", "json"]), "WORD", Value("text"), "How log lines are written"),
];

/// The option of that key in the file.
pub(crate) fn by_key(key: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| option.key == key)
}

/// The candidate that `word` was most likely meant to be.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(word, candidate);
    candidates.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_variable_and_key_are_three_spellings_of_one_name() {
        let option = by_key("kms.key_dir").expect("kms.key_dir is an option");
        assert_eq!(option.flag(), "kms-key-dir");
        assert_eq!(option.variable(), "STRONGROOM_KMS_KEY_DIR");
    }

    #[test]
    fn no_two_options_share_a_variable() {
        let mut variables: Vec<_> = OPTIONS.iter().map(OptionSpec::variable).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), OPTIONS.len());
    }

    #[test]
    fn every_option_stands_in_the_documentation_with_its_default() {
        let document = include_str!("../../../../docs/configuration.md");
        for option in OPTIONS {
            let row = format!("| `{}` |", option.key);
            let line = document.lines().find(|line| line.starts_with(&row));
            let line = line.unwrap_or_else(|| panic!("docs/configuration.md lacks a row that begins with {row}"));
            let default = match option.fallback {
                Value("") => "none".to_owned(),
                Value(value) => format!("`{value}`"),
                Derived(words) => words.to_owned(),
            };
            assert!(line.contains(&default), "the row of {} does not name its default {default}: {line}", option.key);
        }
    }

    #[test]
    fn every_key_in_the_documentation_is_an_option() {
        let document = include_str!("../../../../docs/configuration.md");
        let (options, _) = document.split_once("## Users").expect("the document has a section on users");
        let rows = options.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(key, _)| key);
        let unknown: Vec<_> = rows.filter(|key| by_key(key).is_none() && !["DATA_DIR", "--config"].contains(key)).collect();
        assert!(unknown.is_empty(), "documented but unknown: {unknown:?}");
    }
}
