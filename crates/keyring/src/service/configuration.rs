//! The configuration as a whole: every backend, the one in force, and what holds for all.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strongroom_kms::{CacheConfig, KmsError, is_reserved, resolve_key_id};

use super::Change;
use super::fields::Fields;
use crate::guard::GuardConfig;

/// The most backends that may be live at once.
const MAX_BACKENDS: usize = 32;
const MAX_NAME_LEN: usize = 64;
const MAX_TIMEOUT_SECONDS: u64 = 300;
const MAX_RETRY_ATTEMPTS: u32 = 10;
const MAX_CONCURRENT_CALLS: usize = 10_000;
const MAX_CACHED_KEYS: usize = 1_000_000;
const MAX_CACHE_TTL_SECONDS: u64 = 86_400;

/// A whole configuration of the service. It holds credentials: its serialised form belongs into what is sealed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    pub(super) in_force: String,
    pub(super) backends: BTreeMap<String, BackendSettings>,
    pub(super) settings: Settings,
}

/// One backend.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendSettings {
    pub(super) backend_type: String,
    pub(super) fields: Fields,
}

/// What holds for all backends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) default_key_id: Option<String>,
    pub(super) timeout_seconds: u64,
    pub(super) retry_attempts: u32,
    pub(super) max_concurrent_calls: usize,
    pub(super) enable_cache: bool,
    pub(super) max_cached_keys: usize,
    pub(super) cache_ttl_seconds: u64,
}

impl Configuration {
    /// The configuration that `change` makes out of nothing. The backend's own fields are checked when it is opened.
    pub fn new(change: &Change) -> Result<Self, KmsError> {
        let settings = Settings::default().merged(change)?;
        let backend_type = change.backend_type.clone().ok_or_else(|| invalid("backend_type is missing"))?;
        let name = change.name.clone().unwrap_or_else(|| backend_type.clone());
        check_name(&name)?;
        let backend = BackendSettings { backend_type, fields: Fields::new(&change.backend) };
        Ok(Self { in_force: name.clone(), backends: [(name, backend)].into(), settings })
    }

    /// This one in force, with those backends of an earlier one that have other names.
    pub(super) fn over(mut self, earlier: Option<&Self>) -> Result<Self, KmsError> {
        for (name, backend) in earlier.iter().flat_map(|earlier| &earlier.backends) {
            match self.backends.get(name) {
                None => drop(self.backends.insert(name.clone(), backend.clone())),
                Some(new) => check_same_type(name, backend, &new.backend_type)?,
            }
        }
        self.check_count()?;
        Ok(self)
    }

    /// The configurations that `change` can make of this one, the preferred first. They differ in what becomes of nested fields that
    /// are not given: they stay, or go with the object they were in. Which is meant only the backend can tell, by what it accepts.
    pub(super) fn changed(&self, change: &Change) -> Result<Vec<Self>, KmsError> {
        let (name, backend_type) = self.target(change)?;
        let earlier = self.backends.get(&name).map(|backend| &backend.fields);
        let mut ways = Vec::new();
        for deep in [true, false] {
            let fields = earlier.map_or_else(|| Fields::new(&change.backend), |earlier| earlier.merged(&change.backend, deep));
            let mut changed = Self { in_force: name.clone(), backends: self.backends.clone(), settings: self.settings.merged(change)? };
            changed.backends.insert(name.clone(), BackendSettings { backend_type: backend_type.clone(), fields });
            changed.check_count()?;
            if !ways.contains(&changed) {
                ways.push(changed);
            }
        }
        Ok(ways)
    }

    /// The name and type of the backend that a change means.
    fn target(&self, change: &Change) -> Result<(String, String), KmsError> {
        let in_force = self.backends.get(&self.in_force).map(|backend| backend.backend_type.as_str());
        let name = match (&change.name, &change.backend_type) {
            (Some(name), _) => name,
            (None, Some(backend_type)) if in_force != Some(backend_type) => backend_type,
            (None, _) => &self.in_force,
        };
        check_name(name)?;
        match (self.backends.get(name), &change.backend_type) {
            (Some(backend), Some(given)) => check_same_type(name, backend, given).map(|()| (name.clone(), given.clone())),
            (Some(backend), None) => Ok((name.clone(), backend.backend_type.clone())),
            (None, Some(given)) => Ok((name.clone(), given.clone())),
            (None, None) => Err(invalid("there is no backend of this name; to make one, give its backend_type too")),
        }
    }

    fn check_count(&self) -> Result<(), KmsError> {
        if self.backends.len() > MAX_BACKENDS {
            return Err(invalid(&format!("there are at most {MAX_BACKENDS} backends; remove one that nothing depends on")));
        }
        Ok(())
    }
}

impl fmt::Debug for Configuration {
    /// Without the fields of the backends, which may be secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_force, backends, settings: _ } = self;
        let names = backends.keys().collect::<Vec<_>>();
        formatter.debug_struct("Configuration").field("in_force", in_force).field("backends", &names).finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        let (guard, cache) = (GuardConfig::default(), CacheConfig::default());
        Self {
            default_key_id: None,
            timeout_seconds: guard.timeout.as_secs(),
            retry_attempts: guard.retry_attempts,
            max_concurrent_calls: guard.max_concurrent_calls,
            enable_cache: cache.enabled,
            max_cached_keys: cache.max_keys,
            cache_ttl_seconds: cache.ttl_seconds,
        }
    }
}

impl Settings {
    /// What is given in place of what was, within bounds. An empty default key id stands for none.
    fn merged(&self, change: &Change) -> Result<Self, KmsError> {
        let merged = Self {
            default_key_id: change.default_key_id.clone().or_else(|| self.default_key_id.clone()).filter(|key_id| !key_id.is_empty()),
            timeout_seconds: change.timeout_seconds.unwrap_or(self.timeout_seconds),
            retry_attempts: change.retry_attempts.unwrap_or(self.retry_attempts),
            max_concurrent_calls: change.max_concurrent_calls.unwrap_or(self.max_concurrent_calls),
            enable_cache: change.enable_cache.unwrap_or(self.enable_cache),
            max_cached_keys: change.max_cached_keys.unwrap_or(self.max_cached_keys),
            cache_ttl_seconds: change.cache_ttl_seconds.unwrap_or(self.cache_ttl_seconds),
        };
        merged.check()?;
        Ok(merged)
    }

    fn check(&self) -> Result<(), KmsError> {
        let Self { default_key_id, timeout_seconds, retry_attempts, max_concurrent_calls, max_cached_keys, cache_ttl_seconds, .. } = self;
        if let Some(key_id) = default_key_id {
            let bare = resolve_key_id(key_id).map_err(|_| invalid("default_key_id: no key can have this id"))?;
            if is_reserved(bare) {
                return Err(invalid("default_key_id: this key belongs to the store itself"));
            }
        }
        check_range("timeout_seconds", *timeout_seconds, 1, MAX_TIMEOUT_SECONDS)?;
        check_range("retry_attempts", *retry_attempts, 0, MAX_RETRY_ATTEMPTS)?;
        check_range("max_concurrent_calls", *max_concurrent_calls, 1, MAX_CONCURRENT_CALLS)?;
        check_range("max_cached_keys", *max_cached_keys, 0, MAX_CACHED_KEYS)?;
        check_range("cache_ttl_seconds", *cache_ttl_seconds, 0, MAX_CACHE_TTL_SECONDS)
    }

    pub(super) fn guard(&self) -> GuardConfig {
        GuardConfig {
            timeout: Duration::from_secs(self.timeout_seconds),
            retry_attempts: self.retry_attempts,
            max_concurrent_calls: self.max_concurrent_calls,
            ..GuardConfig::default()
        }
    }

    pub(super) fn cache(&self) -> CacheConfig {
        CacheConfig { enabled: self.enable_cache, max_keys: self.max_cached_keys, ttl_seconds: self.cache_ttl_seconds }
    }
}

/// What one backend wrapped another of its name could not unwrap.
fn check_same_type(name: &str, backend: &BackendSettings, given: &str) -> Result<(), KmsError> {
    if backend.backend_type == given {
        return Ok(());
    }
    let text = format!("the backend {name} is of the type {}; give the new one another name", backend.backend_type);
    Err(KmsError::InvalidArgument(text))
}

fn check_name(name: &str) -> Result<(), KmsError> {
    let fits = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(byte);
    if (1..=MAX_NAME_LEN).contains(&name.len()) && name.as_bytes().iter().all(fits) {
        return Ok(());
    }
    Err(invalid("name: the name of a backend has 1 to 64 lower-case letters, digits, '-' and '_'"))
}

fn check_range<T: Copy + PartialOrd + fmt::Display>(field: &str, value: T, least: T, most: T) -> Result<(), KmsError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(invalid(&format!("{field}: it must be {least} to {most}")))
}

fn invalid(text: &str) -> KmsError {
    KmsError::InvalidArgument(text.to_owned())
}
