//! Changes of what keeps versions from being deleted, recorded: who asked, from where, and what held before and after. Each has two records,
//! both durable: one before anything is changed, and one before the operation answers that tells how it ended.

use std::sync::Arc;

use strongroom_audit::{Event, Outcome};
use strongroom_catalog::{Catalog, CatalogError, VersionId, VersionSelector};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    Engine, Error,
    api::{Bucket, Caller, DefaultLock, Period, Retention, RetentionMode},
    commit::Permits,
    error::situation,
    ids,
    lock::Locked,
};

const BEFORE: &str = "before";
const AFTER: &str = "after";
const BYPASSED: &str = "bypassed";
const SOURCE_IP: &str = "source_ip";
const DELETED: &str = "deleted";
const NONE: &str = "none";

/// A change of a lock that is about to be made.
pub(crate) struct LockAct(Event);

impl LockAct {
    /// A change of a version's lock; none where the lock stays.
    pub(crate) fn of_version(
        caller: &Caller,
        bucket: &Bucket,
        (key, version_id): (&str, VersionId),
        [before, after]: [&Locked; 2],
    ) -> Option<Self> {
        let bypassed = before.is_weakened_by(after.lock.retention, false, ids::now_ms()).then_some(RetentionMode::Governance);
        let act = || Self::of(caller, bucket, &described(before), &described(after), bypassed);
        (before != after).then(act).map(|act| act.at(key, hex::encode(version_id)))
    }

    /// A deletion that passes over a retention in governance mode, the only one that can be passed over.
    pub(crate) fn of_deletion(caller: &Caller, bucket: &Bucket, (key, which): (&str, VersionSelector), before: &Locked) -> Self {
        let version = if let VersionSelector::Id(version_id) = which { hex::encode(version_id) } else { "null".to_owned() };
        Self::of(caller, bucket, &described(before), DELETED, Some(RetentionMode::Governance)).at(key, version)
    }

    /// A change of the locks that new versions of a bucket get; none where these stay.
    pub(crate) fn of_bucket(caller: &Caller, bucket: &Bucket, after: &DefaultLock) -> Option<Self> {
        let before = bucket.settings.object_lock.as_ref();
        let act = || Self::of(caller, bucket, &before.map_or("off".to_owned(), described_default), &described_default(after), None);
        (before != Some(after)).then(act)
    }

    fn of(caller: &Caller, bucket: &Bucket, before: &str, after: &str, bypassed: Option<RetentionMode>) -> Self {
        let details = [
            (BEFORE, Some(before.to_owned())),
            (AFTER, Some(after.to_owned())),
            (BYPASSED, bypassed.map(|mode| mode_name(mode).to_owned())),
            (SOURCE_IP, caller.peer.map(|peer| peer.to_string())),
        ];
        let details = details.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Self(Event {
            request_id: caller.request_id.clone(),
            who: caller.identity.name.clone(),
            operation: caller.operation.to_owned(),
            bucket: bucket.name.clone(),
            details,
            ..Event::default()
        })
    }

    fn at(self, key: &str, version: String) -> Self {
        Self(Event { key: key.to_owned(), version, ..self.0 })
    }

    fn begun(&self) -> Event {
        let mut event = self.0.clone();
        event.details.insert("phase".to_owned(), "begun".to_owned());
        event
    }

    fn ended(self, error: Option<&CatalogError>) -> Event {
        Event { outcome: error.map_or(Outcome::Ok, |error| Outcome::Error(situation(error))), ..self.0 }
    }
}

impl Engine {
    /// Commits between the two records of the act, to the end even if the client goes away. What cannot be recorded is not begun.
    pub(crate) async fn on_record<T, F>(
        &self,
        act: Option<LockAct>,
        permits: Permits,
        commit: impl FnOnce(Arc<dyn Catalog>) -> F,
    ) -> Result<Result<T, CatalogError>, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, CatalogError>> + Send + 'static,
    {
        let Some(act) = act else { return self.to_the_end(permits, Arc::default(), commit).await };
        let audit = self.shared_audit();
        audit.record_durably(act.begun()).await.map_err(Error::AuditUnavailable)?;
        let commit = |catalog| {
            let commit = commit(catalog);
            async move {
                let result = commit.await;
                let recorded = audit.record_durably(act.ended(result.as_ref().err())).await;
                result.map(|value| (value, recorded))
            }
        };
        match self.to_the_end(permits, Arc::default(), commit).await? {
            Ok((value, recorded)) => recorded.map(|()| Ok(value)).map_err(Error::AuditUnavailable),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Hands on that a change of a version's lock was refused because of the lock, once that is recorded. Other refusals change and tell
    /// nothing that a lock promises.
    pub(crate) async fn refusal_on_record<T>(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        (key, version_id): (&str, VersionId),
        before: &Locked,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(error @ Error::ObjectLocked) = &result {
            let LockAct(mut event) = LockAct::of(caller, bucket, &described(before), "", None).at(key, hex::encode(version_id));
            event.details.remove(AFTER);
            event.outcome = Outcome::Error(error.name());
            self.audit().record(event).await.map_err(Error::AuditUnavailable)?;
        }
        result
    }
}

/// `GOVERNANCE until 2030-01-01T00:00:00Z, legal hold, event hold 30 days`, or `none`
fn described(locked: &Locked) -> String {
    let Locked { lock, recorded } = locked;
    let retention = lock.retention.map(|retention| {
        let Retention { mode, until_ms } = retention.into();
        format!("{} until {}", mode_name(mode), date(until_ms))
    });
    let legal_hold = lock.legal_hold.then(|| "legal hold".to_owned());
    joined([retention, legal_hold, described_hold(recorded.event_hold_period.filter(|_| lock.event_hold))])
}

/// `GOVERNANCE 30 days, event hold 2 years`, or `none`
fn described_default(default: &DefaultLock) -> String {
    let retention = default.retention.map(|(mode, period)| format!("{} {}", mode_name(mode), described_period(period)));
    joined([retention, described_hold(default.event_hold)])
}

fn described_hold(period: Option<Period>) -> Option<String> {
    period.map(|period| format!("event hold {}", described_period(period)))
}

fn described_period(period: Period) -> String {
    match period {
        Period::Days(count) => format!("{count} days"),
        Period::Years(count) => format!("{count} years"),
    }
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { NONE.to_owned() } else { parts.join(", ") }
}

fn date(unix_ms: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).ok();
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{unix_ms} ms"))
}

fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}
