//! What `/metrics` looks at.

use std::sync::Arc;

use strongroom_admin::Admin;
use strongroom_audit::AuditLog;
use strongroom_catalog::{CatalogNumbers, SqliteCatalog};
use strongroom_engine::{Engine, budget::BudgetUsage, events::OutboxTarget, lifecycle::LifecyclePass, space::Space};
use strongroom_keyring::{Keyring, ServiceState};
use strongroom_kms::MAX_PAGE_KEYS;
use strongroom_notify::Deliveries;
use time::OffsetDateTime;

use crate::metrics::events::EventNumbers;
use crate::metrics::{KeyAge, KmsNumbers, RekeyNumbers};

/// Keys beyond so many are left out of the metrics: each is a time series.
const MAX_KEYS: usize = MAX_PAGE_KEYS;

/// The parts that are watched.
pub(crate) struct Observed {
    pub(crate) engine: Arc<Engine>,
    pub(crate) catalog: Arc<SqliteCatalog>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) admin: Arc<Admin>,
}

impl Observed {
    pub(crate) fn integrity_events(&self) -> u64 {
        self.engine.integrity_events()
    }

    pub(crate) fn memory(&self) -> BudgetUsage {
        self.engine.budget().usage()
    }

    pub(crate) fn catalog(&self) -> CatalogNumbers {
        self.catalog.numbers()
    }

    pub(crate) fn space(&self) -> &Space {
        self.engine.space()
    }

    /// The pass that runs, or else the last one.
    pub(crate) async fn lifecycle(&self) -> Option<LifecyclePass> {
        self.engine.last_lifecycle_pass().await.ok().flatten()
    }

    /// What waits for each target, and what was delivered to it. Targets that are not configured are among them while something waits for them.
    pub(crate) async fn events(&self) -> Vec<EventNumbers> {
        let mut numbers = self.deliveries.numbers();
        let mut held = self.engine.outbox().await.unwrap_or_default();
        held.retain(|held| held.queued > 0 || held.dead > 0 || numbers.contains_key(&held.target));
        let mut events: Vec<_> =
            held.into_iter().map(|held| EventNumbers { deliveries: numbers.remove(&held.target).unwrap_or_default(), held }).collect();
        let idle = |(target, deliveries)| EventNumbers { held: OutboxTarget { target, ..OutboxTarget::default() }, deliveries };
        events.extend(numbers.into_iter().map(idle));
        events
    }

    pub(crate) async fn kms(&self) -> KmsNumbers {
        KmsNumbers {
            backends: self.keyring.metrics(),
            state: state_name(self.keyring.state()),
            postponed_deletions: self.keyring.postponed_deletions(),
            erasure_rules: self.admin.erasure_rules().await,
            rekey: self.rekey().await,
            keys: self.keys().await,
            is_audit_writable: self.audit.health().is_ok(),
            audit_records: self.audit.head().seq,
            audit: self.audit.usage(),
        }
    }

    /// Jobs that are running, and the last ones that ended.
    async fn rekey(&self) -> Vec<RekeyNumbers> {
        let jobs = self.engine.rekey_jobs().await.unwrap_or_default();
        let numbers = |job: strongroom_engine::rekey::RekeyJob| RekeyNumbers {
            job_id: job.job_id,
            done: job.done,
            failed: job.failed,
            remaining: job.remaining,
        };
        jobs.into_iter().take(MAX_JOBS).map(numbers).collect()
    }

    /// The local keys: asking a backend outside at each scrape would cost calls, and its own monitoring knows its keys.
    async fn keys(&self) -> Vec<KeyAge> {
        use strongroom_kms::KeyLifecycle as _;
        let now = OffsetDateTime::now_utc();
        let page = self.keyring.local().list_keys(None, MAX_KEYS).await;
        let keys = page.map(|page| page.keys).unwrap_or_default();
        let age = |key: strongroom_kms::KeyMetadata| KeyAge {
            age_seconds: key.versions.last().map_or(0, |version| u64::try_from((now - version.created).whole_seconds()).unwrap_or(0)),
            backend: "local".to_owned(),
            key_id: key.key_id,
        };
        keys.into_iter().map(age).collect()
    }
}

/// As many jobs as are told of.
const MAX_JOBS: usize = 20;

fn state_name(state: ServiceState) -> &'static str {
    match state {
        ServiceState::NotConfigured => "NotConfigured",
        ServiceState::Configured => "Configured",
        ServiceState::Running => "Running",
        ServiceState::Sealed => "Sealed",
        ServiceState::Error => "Error",
    }
}
