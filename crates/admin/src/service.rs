//! Key management as a whole: configure, start, stop, seal, status.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strongroom_keyring::{BackendStatus, CacheStatus, Change, ConfigSummary, ServiceState, Status};
use strongroom_kms::KmsError;
use utoipa::ToSchema;
use utoipa::openapi::path::OperationBuilder;

use crate::http::{ApiError, Call, Empty, Input, Json, NoContent, Received, Subject};
use crate::keys::refuse_owned_default;
use crate::openapi::Schemas;

/// What is to be set, as `POST /kms/configure` and `POST /kms/reconfigure` take it. Besides these, the fields of the backend itself:
/// `key_dir` of local, `address` and `auth_method` of vault, …
#[derive(ToSchema)]
#[schema(as = Configure)]
#[allow(dead_code, reason = "only described")]
struct ConfigureFields {
    /// The backend that is meant, by its instance name; its type if it is left out.
    name: Option<String>,
    /// `local`, `vault`, `barbican`, `aws`, `pkcs11` or `kmip`.
    #[schema(examples("vault"))]
    backend_type: Option<String>,
    /// The key that is used where none is named.
    default_key_id: Option<String>,
    /// The longest a call of the backend may take, retries included.
    timeout_seconds: Option<u64>,
    /// How often a call that found the backend away is tried again.
    retry_attempts: Option<u32>,
    /// How many calls may be under way to one backend.
    max_concurrent_calls: Option<usize>,
    /// Whether unwrapped data keys are cached.
    enable_cache: Option<bool>,
    /// The most data keys cached for one backend.
    max_cached_keys: Option<usize>,
    /// How long an unwrapped data key is served.
    cache_ttl_seconds: Option<u64>,
}

/// The fields of a configuration that were given.
pub(crate) struct Configure(Change);

impl Input for Configure {
    fn read(received: &Received) -> Result<Self, ApiError> {
        let Json(Fields(mut fields)) = Json::read(received)?;
        let change = Change {
            name: take(&mut fields, "name", "a text")?,
            backend_type: take(&mut fields, "backend_type", "a text")?,
            default_key_id: take(&mut fields, "default_key_id", "a text")?,
            timeout_seconds: take(&mut fields, "timeout_seconds", "a number of seconds")?,
            retry_attempts: take(&mut fields, "retry_attempts", "a number")?,
            max_concurrent_calls: take(&mut fields, "max_concurrent_calls", "a number")?,
            enable_cache: take(&mut fields, "enable_cache", "true or false")?,
            max_cached_keys: take(&mut fields, "max_cached_keys", "a number")?,
            cache_ttl_seconds: take(&mut fields, "cache_ttl_seconds", "a number of seconds")?,
            backend: fields,
        };
        Ok(Self(change))
    }

    fn describe(operation: OperationBuilder, schemas: &mut Schemas) -> OperationBuilder {
        Json::<Fields>::describe(operation, schemas)
    }
}

#[derive(Deserialize)]
struct Fields(Map<String, Value>);

impl Subject for Fields {}

impl utoipa::PartialSchema for Fields {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        ConfigureFields::schema()
    }
}

impl ToSchema for Fields {
    fn name() -> std::borrow::Cow<'static, str> {
        ConfigureFields::name()
    }
}

/// A field of ours, out of those of the backend. Its value is not repeated in the error: it may be a secret in the wrong place.
fn take<T: serde::de::DeserializeOwned>(fields: &mut Map<String, Value>, name: &str, expected: &str) -> Result<Option<T>, ApiError> {
    let Some(value) = fields.remove(name).filter(|value| !value.is_null()) else { return Ok(None) };
    serde_json::from_value(value).map(Some).map_err(|_| ApiError::invalid(format!("{name}: expected {expected}")))
}

/// How a change of the service ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceAnswer {
    /// True: errors have another shape.
    success: bool,
    /// What was done.
    #[schema(examples("KMS configured successfully"))]
    message: String,
    /// The state it is in now.
    status: ServiceStateName,
}

/// What the service does.
#[derive(Serialize, ToSchema)]
#[schema(as = ServiceState)]
pub(crate) enum ServiceStateName {
    /// There is no configuration.
    NotConfigured,
    /// Configured, and not started or stopped.
    Configured,
    /// Started.
    Running,
    /// Refuses every use and every change of a key.
    Sealed,
    /// The backend in force cannot be set up as configured.
    Error,
}

impl From<ServiceState> for ServiceStateName {
    fn from(state: ServiceState) -> Self {
        match state {
            ServiceState::NotConfigured => Self::NotConfigured,
            ServiceState::Configured => Self::Configured,
            ServiceState::Running => Self::Running,
            ServiceState::Sealed => Self::Sealed,
            ServiceState::Error => Self::Error,
        }
    }
}

/// `GET /kms/status`
#[derive(Serialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct StatusAnswer {
    /// What the service does.
    status: ServiceStateName,
    /// The type of the backend in force.
    backend_type: Option<String>,
    /// Whether the backend in force answers; none while nothing runs.
    healthy: Option<bool>,
    /// Why it does not.
    error: Option<String>,
    /// What is configured, without secrets.
    config_summary: Option<Summary>,
    /// Every live backend, the one in force first.
    backends: Vec<Backend>,
}

/// What is configured, without secrets.
#[derive(Serialize, ToSchema)]
#[schema(as = ConfigSummary)]
#[allow(clippy::struct_field_names, reason = "the names of the API")]
struct Summary {
    backend_type: Option<String>,
    default_key_id: Option<String>,
    timeout_seconds: u64,
    retry_attempts: u32,
    enable_cache: bool,
    cache_summary: Cache,
    /// The configuration of the backend in force.
    #[schema(value_type = Object)]
    backend_summary: Value,
}

/// The caches of unwrapped data keys.
#[derive(Serialize, ToSchema)]
#[schema(as = CacheSummary)]
struct Cache {
    max_keys: usize,
    ttl_seconds: u64,
    /// Data keys held now.
    entries: usize,
    /// Unwraps answered without the backend.
    hits: u64,
    /// Unwraps that went to it.
    misses: u64,
}

/// How one backend is.
#[derive(Serialize, ToSchema)]
#[schema(as = BackendStatus)]
#[allow(clippy::struct_field_names, reason = "the names of the API")]
pub(crate) struct Backend {
    /// Its instance name.
    pub(crate) name: String,
    /// Its type.
    pub(crate) backend_type: String,
    /// Whether new data keys come from it.
    pub(crate) in_force: bool,
    /// Whether it answers; none while the service does not run.
    pub(crate) healthy: Option<bool>,
    /// Why it does not.
    pub(crate) error: Option<String>,
}

impl From<BackendStatus> for Backend {
    fn from(status: BackendStatus) -> Self {
        let BackendStatus { name, backend_type, in_force, healthy, error, breaker: _ } = status;
        Self { name, backend_type, in_force, healthy, error }
    }
}

impl From<Status> for StatusAnswer {
    fn from(status: Status) -> Self {
        let Status { status, backend_type, healthy, error, config_summary, backends } = status;
        Self {
            status: status.into(),
            config_summary: config_summary.map(|summary| summarize(summary, backend_type.clone())),
            backend_type,
            healthy,
            error,
            backends: backends.into_iter().map(Backend::from).collect(),
        }
    }
}

fn summarize(summary: ConfigSummary, backend_type: Option<String>) -> Summary {
    let ConfigSummary { default_key_id, timeout_seconds, retry_attempts, enable_cache, cache_summary, backend_summary } = summary;
    let CacheStatus { max_keys, ttl_seconds, entries, hits, misses } = cache_summary;
    let cache_summary = Cache { max_keys, ttl_seconds, entries, hits, misses };
    Summary { backend_type, default_key_id, timeout_seconds, retry_attempts, enable_cache, cache_summary, backend_summary }
}

/// `GET /kms/config`
#[derive(Serialize, ToSchema)]
#[schema(as = Configuration, value_type = Object)]
pub(crate) struct ConfigurationAnswer(Value);

/// The body of `POST /kms/start`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// Stops first what runs.
    #[serde(default)]
    force: bool,
}

impl Subject for Start {}

pub(crate) async fn configure(call: Call, Configure(change): Configure) -> Result<ServiceAnswer, ApiError> {
    require_secure(&call, &change)?;
    let notes = notes(&change);
    refuse_owned_default(&call, change.default_key_id.as_deref()).await?;
    call.inner.parts.keyring.configure(change).await?;
    note(&call, notes);
    done(&call, "KMS configured successfully").await
}

pub(crate) async fn reconfigure(call: Call, Configure(change): Configure) -> Result<ServiceAnswer, ApiError> {
    require_secure(&call, &change)?;
    let notes = notes(&change);
    refuse_owned_default(&call, change.default_key_id.as_deref()).await?;
    call.inner.parts.keyring.reconfigure(change).await?;
    note(&call, notes);
    done(&call, "KMS reconfigured successfully").await
}

/// The fields of a backend may be credentials.
fn require_secure(call: &Call, change: &Change) -> Result<(), ApiError> {
    if change.backend.is_empty() { Ok(()) } else { call.require_secure() }
}

pub(crate) async fn start(call: Call, Json(Start { force }): Json<Start>) -> Result<ServiceAnswer, ApiError> {
    if force {
        call.inner.parts.keyring.stop().await?;
    }
    call.inner.parts.keyring.start().await?;
    done(&call, "KMS service started successfully").await
}

pub(crate) async fn stop(call: Call, _: Empty) -> Result<ServiceAnswer, ApiError> {
    call.inner.parts.keyring.stop().await?;
    done(&call, "KMS service stopped successfully").await
}

pub(crate) async fn seal(call: Call, _: Empty) -> Result<StatusAnswer, ApiError> {
    call.inner.parts.keyring.seal().await?;
    call.inner.parts.engine.forget_bucket_keys();
    Ok(call.inner.parts.keyring.status().await.into())
}

pub(crate) async fn unseal(call: Call, _: Empty) -> Result<StatusAnswer, ApiError> {
    call.inner.parts.keyring.unseal().await?;
    Ok(call.inner.parts.keyring.status().await.into())
}

pub(crate) async fn status(call: Call, _: Empty) -> Result<StatusAnswer, ApiError> {
    Ok(call.inner.parts.keyring.status().await.into())
}

pub(crate) async fn configuration(call: Call, _: Empty) -> Result<ConfigurationAnswer, ApiError> {
    let configuration = call.inner.parts.keyring.configuration();
    configuration.map(ConfigurationAnswer).ok_or_else(|| KmsError::NotConfigured.into())
}

pub(crate) async fn clear_cache(call: Call, _: Empty) -> Result<NoContent, ApiError> {
    call.inner.parts.keyring.clear_cache();
    call.inner.parts.engine.forget_bucket_keys();
    Ok(NoContent)
}

async fn done(call: &Call, message: &str) -> Result<ServiceAnswer, ApiError> {
    // The backend or the default key in force may be another now.
    call.inner.parts.engine.forget_bucket_keys();
    let status = call.inner.parts.keyring.status().await.status.into();
    Ok(ServiceAnswer { success: true, message: message.to_owned(), status })
}

/// Which fields are set, and of the harmless ones to what. They are noted once they are accepted: what is refused may be a secret in the
/// wrong field.
fn notes(change: &Change) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = change.backend.keys().map(String::as_str).collect::<Vec<_>>().join(",");
    let notes = [
        ("name", text(&change.name)),
        ("backend_type", text(&change.backend_type)),
        ("default_key_id", text(&change.default_key_id)),
        ("backend_fields", fields),
    ];
    notes.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn note(call: &Call, notes: Vec<(&'static str, String)>) {
    for (name, value) in notes {
        call.note(name, value);
    }
}
