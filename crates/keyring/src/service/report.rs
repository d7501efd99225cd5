//! What is told of the service.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::core::Core;
use super::snapshot::Snapshot;
use super::stack::Stack;
use super::{BackendStatus, CacheStatus, ConfigSummary, Configuration, Status};
use crate::guard::BackendMetrics;
use crate::registry::redact;

/// The longest that a status waits for a backend.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

impl Core {
    pub(super) async fn status(&self) -> Status {
        let snapshot = self.snapshot();
        let backends = join_all(snapshot.names().iter().map(|name| backend_status(&snapshot, name))).await;
        let in_force = backends.first().filter(|backend| backend.in_force);
        Status {
            status: snapshot.state(),
            backend_type: in_force.map(|backend| backend.backend_type.clone()),
            healthy: in_force.and_then(|backend| backend.healthy),
            error: in_force.and_then(|backend| backend.error.clone()),
            config_summary: snapshot.document.configuration.as_ref().map(|configuration| self.summary(&snapshot, configuration)),
            backends,
        }
    }

    fn summary(&self, snapshot: &Snapshot, configuration: &Configuration) -> ConfigSummary {
        let settings = &configuration.settings;
        ConfigSummary {
            default_key_id: settings.default_key_id.clone(),
            timeout_seconds: settings.timeout_seconds,
            retry_attempts: settings.retry_attempts,
            enable_cache: settings.enable_cache,
            cache_summary: cache_status(snapshot, configuration),
            backend_summary: self.shown(configuration, &configuration.in_force),
        }
    }

    /// The whole configuration without secrets.
    pub(super) fn configuration(&self) -> Option<Value> {
        let snapshot = self.snapshot();
        let configuration = snapshot.document.configuration.as_ref()?;
        let settings = &configuration.settings;
        let backends: Map<String, Value> =
            configuration.backends.keys().map(|name| (name.clone(), self.shown(configuration, name))).collect();
        Some(json!({
            "name": configuration.in_force,
            "backend_type": configuration.backends.get(&configuration.in_force).map(|backend| &backend.backend_type),
            "default_key_id": settings.default_key_id,
            "timeout_seconds": settings.timeout_seconds,
            "retry_attempts": settings.retry_attempts,
            "max_concurrent_calls": settings.max_concurrent_calls,
            "enable_cache": settings.enable_cache,
            "max_cached_keys": settings.max_cached_keys,
            "cache_ttl_seconds": settings.cache_ttl_seconds,
            "backends": backends,
        }))
    }

    /// One backend's configuration without secrets. Nothing is known of a type that is not built in, and so nothing shown.
    fn shown(&self, configuration: &Configuration, name: &str) -> Value {
        let Some(backend) = configuration.backends.get(name) else { return Value::Null };
        let shown_fields = self.registry.get(&backend.backend_type).map_or(&[][..], |backend_type| backend_type.shown_fields());
        let mut shown = redact(backend.fields.as_map(), shown_fields);
        shown["backend_type"] = Value::String(backend.backend_type.clone());
        shown["name"] = Value::String(name.to_owned());
        shown
    }

    pub(super) fn metrics(&self) -> Vec<BackendMetrics> {
        let snapshot = self.snapshot();
        let names = snapshot.names();
        names.iter().filter_map(|name| Some(metrics(&*snapshot.in_stacks(name)?, names.first() == Some(name)))).collect()
    }
}

async fn backend_status(snapshot: &Snapshot, name: &str) -> BackendStatus {
    let configuration = snapshot.document.configuration.as_ref();
    let backend = configuration.and_then(|configuration| configuration.backends.get(name));
    let (healthy, error, breaker) = match snapshot.stack(name) {
        Err(error) => (snapshot.is_running().then_some(false), Some(error.to_string()), None),
        Ok(stack) if !snapshot.is_running() => (None, None, Some(stack.guard.breaker())),
        Ok(stack) => {
            let probed = probe(stack, configuration).await;
            (Some(probed.is_none()), probed, Some(stack.guard.breaker()))
        }
    };
    BackendStatus {
        name: name.to_owned(),
        backend_type: backend.map(|backend| backend.backend_type.clone()).unwrap_or_default(),
        in_force: configuration.is_some_and(|configuration| configuration.in_force == name),
        healthy,
        error,
        breaker,
    }
}

/// Why the backend does not answer.
async fn probe(stack: &Stack, configuration: Option<&Configuration>) -> Option<String> {
    let settings = configuration.filter(|configuration| configuration.in_force == stack.name).map(|configuration| &configuration.settings);
    let default_key_id = settings.and_then(|settings| settings.default_key_id.as_deref());
    let limit = configuration.map_or(PROBE_TIMEOUT, |configuration| configuration.settings.guard().timeout.min(PROBE_TIMEOUT));
    stack.probe(default_key_id, limit).await.err().map(|error| error.to_string())
}

fn cache_status(snapshot: &Snapshot, configuration: &Configuration) -> CacheStatus {
    let cache = configuration.settings.cache();
    let empty = CacheStatus { max_keys: cache.max_keys, ttl_seconds: cache.ttl_seconds, ..CacheStatus::default() };
    snapshot.live().map(|stack| stack.kms.summary()).fold(empty, |sum, summary| CacheStatus {
        entries: sum.entries + summary.entries,
        hits: sum.hits + summary.hits,
        misses: sum.misses + summary.misses,
        ..sum
    })
}

fn metrics(stack: &Stack, in_force: bool) -> BackendMetrics {
    let (cache, recorder) = (stack.kms.summary(), &stack.recorder);
    BackendMetrics {
        backend: stack.name.clone(),
        backend_type: stack.settings.backend_type.clone(),
        in_force,
        breaker: stack.guard.breaker(),
        breaker_opened: recorder.opened(),
        in_flight: recorder.in_flight(),
        retries: recorder.retries(),
        operations: recorder.operations(),
        cache_entries: cache.entries as u64,
        cache_hits: cache.hits,
        cache_misses: cache.misses,
    }
}
