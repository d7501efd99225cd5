//! Backup of every key into one sealed bundle, and what of it can be put back without harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Semaphore;

use super::bundle::{self, BundleKey};
use super::record::{KeyRecord, Relation};
use super::{Inner, LocalKms, MAX_KEYS, Slot, run_blocking};
use crate::{KeyState, KmsError};

/// Bundles that are sealed or opened at once: each may derive a key, which takes memory. Others wait, and no thread waits with them.
static DERIVATIONS: Semaphore = Semaphore::const_new(2);

/// Every key of a directory, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The bundle's bytes.
    pub bundle: Vec<u8>,
    /// How many keys are in it, erased ones included.
    pub keys: usize,
}

/// Whether a restore changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreMode {
    /// Only says what would be done.
    DryRun,
    /// Does it.
    Apply,
}

/// What became of each key in a bundle, or would. Every key stands in one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Was not there. Erased keys among them come back as tombstones.
    pub added: Vec<String>,
    /// Was there in an earlier form: versions were added, nothing else changed.
    pub extended: Vec<String>,
    /// Has every version of the bundle's already. Its state, tags and description stay as they are here.
    pub identical: Vec<String>,
    /// Is erased here, and stays so.
    pub erased_stays: Vec<String>,
    /// Was left alone for a reason that needs a person.
    pub conflicting: Vec<RestoreConflict>,
}

/// A key that was left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreConflict {
    /// The key.
    pub key_id: String,
    /// Why.
    pub reason: &'static str,
}

impl LocalKms {
    /// Every key in one bundle: the store's own ones, disabled and sealed ones and tombstones included, not the master key.
    ///
    /// Fails with [`KmsError::Conflict`] while a key file is damaged, so that no bundle lacks a key unnoticed.
    pub async fn backup(&self, key: BundleKey) -> Result<Backup, KmsError> {
        // The semaphore is never closed.
        let _permit = DERIVATIONS.acquire().await;
        let inner = Arc::clone(&self.inner);
        run_blocking(move || {
            inner.check_unsealed()?;
            let records = inner.all_records()?;
            let keys = records.iter().map(|(key_id, record)| (key_id.as_str(), &**record)).collect();
            Ok(Backup { bundle: bundle::seal(&key, keys)?, keys: records.len() })
        })
        .await
    }

    /// Puts back the keys of a bundle that are missing here. Never changes a different key of the same id, never revives an erased
    /// one. Each key is restored whole or not at all; after an error, run it again.
    ///
    /// Fails with [`KmsError::InvalidArgument`] if the bundle does not open, and then has changed nothing.
    pub async fn restore(&self, bundle: Vec<u8>, key: BundleKey, mode: RestoreMode) -> Result<RestoreReport, KmsError> {
        let permit = DERIVATIONS.acquire().await;
        let records = run_blocking(move || bundle::open(&key, &bundle)).await?;
        drop(permit);
        self.write(move |inner| {
            inner.check_unsealed()?;
            let (report, changes) = inner.plan_restore(records)?;
            if mode == RestoreMode::Apply {
                for (key_id, record) in changes {
                    inner.store(&key_id, record)?;
                }
            }
            Ok(report)
        })
        .await
    }
}

impl Inner {
    /// Every key, if none is damaged.
    pub(super) fn all_records(&self) -> Result<BTreeMap<String, Arc<KeyRecord>>, KmsError> {
        self.read_state(|state| {
            let of = |(key_id, slot): (&String, &Slot)| match slot {
                Slot::Key(record) => Ok((key_id.clone(), Arc::clone(record))),
                Slot::Damaged(reason) => Err(KmsError::Conflict(reason.clone())),
            };
            state.keys.iter().map(of).collect()
        })
    }

    /// What is to become of each key, and the records to write for it.
    fn plan_restore(&self, records: BTreeMap<String, KeyRecord>) -> Result<(RestoreReport, Vec<(String, KeyRecord)>), KmsError> {
        let (mut report, mut changes) = (RestoreReport::default(), Vec::new());
        let count = self.read_state(|state| state.keys.len());
        for (key_id, record) in records {
            match self.find(&key_id) {
                Err(KmsError::KeyNotFound(_)) => {
                    report.added.push(key_id.clone());
                    changes.push((key_id, record));
                }
                Ok(here) => changes.extend(compare(&here, &record, key_id, &mut report)),
                Err(_) => report.conflict(key_id, "its file here is damaged: move it out of the key directory, restart, restore again"),
            }
        }
        if count + report.added.len() > MAX_KEYS {
            return Err(KmsError::InvalidArgument(format!("the key directory would hold more than {MAX_KEYS} keys, erased ones included")));
        }
        Ok((report, changes))
    }
}

/// Notes what becomes of a key that is there already; the record to write, if any.
fn compare(here: &KeyRecord, record: &KeyRecord, key_id: String, report: &mut RestoreReport) -> Option<(String, KeyRecord)> {
    match (here.state() == KeyState::Erased, record.state() == KeyState::Erased) {
        (true, _) => report.erased_stays.push(key_id),
        (false, true) => report.conflict(key_id, "it is erased in the bundle and alive here: delete it here if it is meant to be gone"),
        (false, false) => match here.relation(record) {
            Relation::Same | Relation::Ahead => report.identical.push(key_id),
            Relation::Behind => {
                report.extended.push(key_id.clone());
                return Some((key_id, here.extended_by(record)));
            }
            Relation::Other => report.conflict(key_id, "another key has this id here"),
        },
    }
    None
}

impl RestoreReport {
    fn conflict(&mut self, key_id: String, reason: &'static str) {
        self.conflicting.push(RestoreConflict { key_id, reason });
    }
}
