//! The configuration as the rest of the program reads it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom_engine::{EncryptionType, MinimumMode, api::ObjectOwnership};
use strongroom_notify::TargetConfig;
use strongroom_s3::Limits as UserLimits;
use strongroom_sso::ProviderOptions;
use zeroize::Zeroizing;

use super::{ConfigError, KmsSettings, Layer, Origin, User};

/// Everything that can be set. Holds secrets, so there is no `Debug`.
// Each switch is an option of its own, not a state.
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Settings {
    /// Absolute, as are all paths here.
    pub(crate) data_dir: PathBuf,
    pub(crate) secrets_dir: PathBuf,
    pub(crate) address: String,
    pub(crate) admin_address: String,
    /// `None`: a local CA makes the certificate.
    pub(crate) tls: Option<TlsFiles>,
    /// `None`: generated, and kept in the secrets directory.
    pub(crate) root: Option<RootKeys>,
    pub(crate) users: Vec<User>,
    pub(crate) notification_targets: Vec<TargetConfig>,
    /// How providers of OpenID Connect are reached.
    pub(crate) providers: ProviderOptions,
    pub(crate) region: String,
    pub(crate) domains: Vec<String>,
    pub(crate) encrypt_by_default: bool,
    pub(crate) blocked_encryption_types: Vec<EncryptionType>,
    pub(crate) minimum_mode: MinimumMode,
    /// Amazon's error codes instead of the documented ones.
    pub(crate) aws_dialect: bool,
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) allow_insecure_sse_c_on_loopback: bool,
    pub(crate) allow_unsigned_payload_over_http: bool,
    pub(crate) allow_signature_v2_forms: bool,
    pub(crate) allow_signature_v2_urls: bool,
    pub(crate) block_public_access: bool,
    pub(crate) object_ownership: ObjectOwnership,
    pub(crate) kms: KmsSettings,
    pub(crate) audit: AuditSettings,
    pub(crate) limits: Limits,
    pub(crate) log_level: String,
    pub(crate) log_format: LogFormat,
}

/// What only the configuration file can set: lists of tables.
#[derive(Default)]
pub(crate) struct Lists {
    pub(crate) users: Vec<User>,
    pub(crate) notification_targets: Vec<TargetConfig>,
}

/// Where the audit log lies, and how much of it is kept.
pub(crate) struct AuditSettings {
    pub(crate) dir: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_seconds: u64,
    pub(crate) compress: bool,
    /// `None`: for ever.
    pub(crate) retention_seconds: Option<u64>,
    /// `None`: without bound.
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) quota_bytes: Option<u64>,
}

/// Where the certificate and its key lie, PEM.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// The configured root identity.
pub(crate) struct RootKeys {
    pub(crate) access_key: String,
    pub(crate) secret_key: Zeroizing<String>,
    /// Where the secret comes from.
    pub(crate) origin: Origin,
}

/// What one client, or all together, may take.
pub(crate) struct Limits {
    pub(crate) max_connections: usize,
    /// `None`: half of them.
    pub(crate) max_connections_per_address: Option<usize>,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_header_count: usize,
    pub(crate) request_header_timeout: Duration,
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) body_idle_timeout: Duration,
    pub(crate) min_transfer_bytes_per_second: u64,
    /// Of each user who has none of their own.
    pub(crate) of_users: UserLimits,
    pub(crate) delay_guesses: bool,
    pub(crate) tls_handshake_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    /// `None`: the engine's own.
    pub(crate) inline_limit_bytes: Option<usize>,
    pub(crate) memory_budget_bytes: usize,
    /// Of each disk with data or audit log on it.
    pub(crate) disk_reserve_bytes: u64,
    pub(crate) sweep_interval: Duration,
    pub(crate) dead_blob_grace: Duration,
    pub(crate) orphan_age: Duration,
    pub(crate) lifecycle_hour: u8,
    pub(crate) lifecycle_day: Duration,
    /// `None`: as many as it can.
    pub(crate) lifecycle_deletes: Option<u32>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Settings {
    pub(super) fn assemble(data_dir: &Path, layer: &Layer, lists: Lists) -> Result<Self, ConfigError> {
        let data_dir = absolute(data_dir)?;
        let secrets_dir = layer.path("secrets_dir")?.map_or_else(|| sibling(&data_dir), Ok)?;
        Ok(Self {
            kms: KmsSettings::from_layer(layer, &secrets_dir)?,
            audit: audit(layer, &data_dir)?,
            data_dir,
            secrets_dir,
            address: layer.text("address"),
            admin_address: layer.text("admin_address"),
            tls: tls(layer)?,
            root: root(layer)?,
            users: lists.users,
            notification_targets: lists.notification_targets,
            providers: ProviderOptions { private_hosts: layer.list("sso.private_hosts"), ca_file: layer.path("sso.ca_file")? },
            region: layer.text("region"),
            domains: layer.list("domains"),
            encrypt_by_default: layer.switch("encrypt_by_default")?,
            blocked_encryption_types: layer.list_of("sse.blocked_encryption_types", "takes SSE-C, or nothing", EncryptionType::parse)?,
            minimum_mode: MinimumMode::parse(layer.choice("sse.minimum_mode")?).unwrap_or_default(),
            aws_dialect: layer.choice("sse_error_dialect")? == "aws",
            trusted_proxies: layer.list("trusted_proxies"),
            allow_insecure_sse_c_on_loopback: layer.switch("allow_insecure_sse_c_on_loopback")?,
            allow_unsigned_payload_over_http: layer.switch("allow_unsigned_payload_over_http")?,
            allow_signature_v2_forms: layer.switch("allow_signature_v2_forms")?,
            allow_signature_v2_urls: layer.switch("allow_signature_v2_urls")?,
            block_public_access: layer.switch("block_public_access")?,
            object_ownership: ObjectOwnership::of_name(layer.choice("object_ownership")?).unwrap_or_default(),
            limits: limits(layer)?,
            log_level: layer.choice("log_level")?.to_owned(),
            log_format: if layer.choice("log_format")? == "json" { LogFormat::Json } else { LogFormat::Text },
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    // Collecting the components drops a trailing slash, which would make the sibling a child.
    let absolute = std::path::absolute(path).map_err(|_| ConfigError::NoDataDir)?;
    Ok(absolute.components().collect())
}

/// `/srv/data` → `/srv/data.secrets`.
fn sibling(data_dir: &Path) -> Result<PathBuf, ConfigError> {
    let mut name = data_dir.file_name().ok_or(ConfigError::NoSibling)?.to_owned();
    name.push(".secrets");
    Ok(data_dir.with_file_name(name))
}

/// A longer file would not be compressed.
const MAX_SEGMENT_MIB: u64 = 1024;

fn audit(layer: &Layer, data_dir: &Path) -> Result<AuditSettings, ConfigError> {
    let bytes = |key: &str| layer.number(key).map(|mib| mib << 20);
    let unless_0 = |number: u64| Some(number).filter(|number| *number > 0);
    let (retention_bytes, quota_bytes) = (unless_0(bytes("audit_retention_mib")?), unless_0(bytes("audit_quota_mib")?));
    if retention_bytes.zip(quota_bytes).is_some_and(|(retention, quota)| retention >= quota) {
        return Err(ConfigError::RetentionAboveQuota);
    }
    Ok(AuditSettings {
        dir: layer.path("audit_dir")?.unwrap_or_else(|| data_dir.join("audit")),
        segment_bytes: layer.number_up_to("audit_segment_mib", MAX_SEGMENT_MIB)? << 20,
        segment_seconds: layer.number("audit_segment_hours")? * 3600,
        compress: layer.switch("audit_compress")?,
        retention_seconds: unless_0(layer.number("audit_retention_days")? * 24 * 3600),
        retention_bytes,
        quota_bytes,
    })
}

fn tls(layer: &Layer) -> Result<Option<TlsFiles>, ConfigError> {
    match (layer.path("tls_cert")?, layer.path("tls_key")?) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::HalfOfPair { given: "tls_cert", missing: "tls_key" }),
        (None, Some(_)) => Err(ConfigError::HalfOfPair { given: "tls_key", missing: "tls_cert" }),
    }
}

fn root(layer: &Layer) -> Result<Option<RootKeys>, ConfigError> {
    match (layer.get("access_key"), layer.get("secret_key")) {
        (Some((access_key, _)), Some((secret_key, origin))) => Ok(Some(RootKeys {
            access_key: access_key.to_owned(),
            secret_key: Zeroizing::new(secret_key.to_owned()),
            origin: origin.clone(),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::HalfOfPair { given: "access_key", missing: "secret_key" }),
        (None, Some(_)) => Err(ConfigError::HalfOfPair { given: "secret_key", missing: "access_key" }),
    }
}

fn limits(layer: &Layer) -> Result<Limits, ConfigError> {
    let max_connections = layer.size("max_connections")?;
    let max_connections_per_address = layer.optional_size("max_connections_per_address")?;
    Ok(Limits {
        max_connections,
        max_connections_per_address,
        max_header_bytes: layer.size("max_header_bytes")?,
        max_header_count: layer.size("max_header_count")?,
        request_header_timeout: layer.seconds("request_header_timeout_seconds")?,
        keep_alive_timeout: layer.seconds("keep_alive_timeout_seconds")?,
        body_idle_timeout: layer.seconds("body_idle_timeout_seconds")?,
        min_transfer_bytes_per_second: layer.number("min_transfer_bytes_per_second")?,
        of_users: UserLimits {
            requests_per_second: layer.number("user_requests_per_second")?,
            requests_at_once: layer.number("user_requests_at_once")?,
            upload_bytes_per_second: layer.number("user_upload_bytes_per_second")?,
            download_bytes_per_second: layer.number("user_download_bytes_per_second")?,
        },
        delay_guesses: layer.switch("delay_guesses")?,
        tls_handshake_timeout: layer.seconds("tls_handshake_timeout_seconds")?,
        drain_timeout: layer.seconds("drain_timeout_seconds")?,
        inline_limit_bytes: layer.optional_size("inline_limit_bytes")?,
        memory_budget_bytes: layer.size("memory_budget_bytes")?,
        disk_reserve_bytes: layer.number("disk_reserve_mib")? << 20,
        sweep_interval: layer.seconds("sweep_interval_seconds")?,
        dead_blob_grace: layer.seconds("dead_blob_grace_seconds")?,
        orphan_age: layer.seconds("orphan_age_seconds")?,
        lifecycle_hour: u8::try_from(layer.number_up_to("lifecycle.hour", 23)?).unwrap_or_default(),
        lifecycle_day: layer.seconds("lifecycle.day_seconds")?,
        lifecycle_deletes: u32::try_from(layer.number("lifecycle.max_deletes_per_second")?).ok().filter(|most| *most > 0),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::options::by_key;
    use super::*;

    fn layer(values: &[(&str, &str)]) -> Layer {
        let mut layer = Layer::default();
        for (key, value) in values {
            layer.set(by_key(key).unwrap(), (*value).to_owned(), Origin::Default);
        }
        layer
    }

    #[test]
    fn secrets_lie_beside_the_data_directory_with_or_without_a_trailing_slash() {
        for given in ["/srv/data", "/srv/data/"] {
            let settings = Settings::assemble(Path::new(given), &layer(&[]), Lists::default()).unwrap();
            assert_eq!(settings.secrets_dir, Path::new("/srv/data.secrets"));
            assert_eq!(settings.kms.key_dir, Path::new("/srv/data.secrets/kms"));
        }
    }

    #[test]
    fn the_audit_log_is_kept_for_ever_up_to_its_quota_unless_something_else_is_said() {
        let audit =
            |values: &[(&str, &str)]| Settings::assemble(Path::new("/srv/data"), &layer(values), Lists::default()).map(|made| made.audit);
        let found = audit(&[]).unwrap();
        assert_eq!((found.dir.as_path(), found.segment_bytes, found.segment_seconds), (Path::new("/srv/data/audit"), 64 << 20, 86_400));
        assert_eq!((found.retention_seconds, found.retention_bytes, found.quota_bytes), (None, None, Some(64 << 30)));
        let days = [("audit_retention_days", "90"), ("audit_retention_mib", "5"), ("audit_quota_mib", "0"), ("audit_segment_mib", "1024")];
        let found = audit(&days).unwrap();
        assert_eq!((found.retention_seconds, found.retention_bytes, found.quota_bytes), (Some(7_776_000), Some(5 << 20), None));
        let error = audit(&[("audit_segment_mib", "1025")]).err().unwrap();
        assert_eq!(error.to_string(), "audit_segment_mib (from the default) takes a whole number from 1 to 1024");
    }

    #[test]
    fn limits_that_contradict_each_other_are_refused() {
        let refusal = |values: &[(&str, &str)]| {
            let made = Settings::assemble(Path::new("/srv/data"), &layer(values), Lists::default());
            made.err().map(|error| error.to_string())
        };
        let quota = "audit_retention_mib must be less than audit_quota_mib, or the quota refuses before retention removes anything";
        for (retention, limit, refused) in [("5", "5", true), ("6", "5", true), ("4", "5", false), ("0", "5", false), ("5", "0", false)] {
            let found = refusal(&[("audit_retention_mib", retention), ("audit_quota_mib", limit)]);
            assert_eq!(found.as_deref(), refused.then_some(quota), "{retention} of {limit}");
        }
    }

    #[test]
    fn half_of_a_pair_is_refused() {
        for (key, value) in [("tls_cert", "c.pem"), ("tls_key", "k.pem"), ("access_key", "AK"), ("secret_key", "s")] {
            let error = Settings::assemble(Path::new("/srv/data"), &layer(&[(key, value)]), Lists::default()).err().unwrap();
            assert!(matches!(error, ConfigError::HalfOfPair { given, .. } if given == key), "{error}");
        }
    }
}
