//! Bucket keys: one short-lived data key of the KMS per bucket, from which the EKs of many objects derive.
//!
//! Source: `x-amz-server-side-encryption-bucket-key-enabled`. It spares the KMS a call for each object.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use strongroom_catalog::{Bucket, BucketId};
use strongroom_kms::{DataKey, DataKeySpec, EncryptionContext, KeyService};

use crate::{Error, convert::of_generating};

/// At the most so many bucket keys are held; a bucket beyond that gets one that serves a single object.
const MAX_HELD: usize = 1000;

/// A bucket's data key, as many objects share it.
pub(crate) type BucketKey = Arc<DataKey>;

/// The bucket keys in use for writing. Reading goes through the KMS cache like any other data key.
pub(crate) struct BucketKeys {
    lifetime: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: HashMap<Slot, Held>,
    /// Counts the times that all were wiped: a data key that was asked for before is not held.
    generation: u64,
}

#[derive(PartialEq, Eq, Hash)]
struct Slot {
    bucket_id: BucketId,
    key_id: String,
    context: Vec<u8>,
}

struct Held {
    data_key: Arc<DataKey>,
    until: Instant,
}

impl BucketKeys {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, state: Mutex::default() }
    }

    /// The bucket's present data key under `key_id`. Asks the KMS each time whether the key may be used, so that disabling or
    /// sealing it works at once.
    pub(crate) async fn get(
        &self,
        kms: &dyn KeyService,
        bucket: &Bucket,
        key_id: &str,
        context: &EncryptionContext,
    ) -> Result<Arc<DataKey>, Error> {
        let generation = self.state().generation;
        let usable = kms.check_usable(key_id).await.inspect_err(|_| self.clear()).map_err(of_generating)?;
        let slot = Slot { bucket_id: bucket.id, key_id: usable, context: context.canonical() };
        if let Some(data_key) = self.fresh(&slot) {
            return Ok(data_key);
        }
        let data_key = Arc::new(kms.generate_data_key(&slot.key_id, DataKeySpec::Aes256, context).await.map_err(of_generating)?);
        self.hold(slot, &data_key, generation);
        Ok(data_key)
    }

    /// Zeroizes the keys whose lifetime is over.
    pub(crate) fn purge(&self) {
        let now = Instant::now();
        self.state().held.retain(|_, entry| entry.until > now);
    }

    /// Zeroizes every key: one of them belongs to a master key that is not to be used now, and making them anew costs little.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.held.clear();
    }

    fn fresh(&self, slot: &Slot) -> Option<Arc<DataKey>> {
        self.state().held.get(slot).filter(|entry| entry.until > Instant::now()).map(|entry| Arc::clone(&entry.data_key))
    }

    fn hold(&self, slot: Slot, data_key: &Arc<DataKey>, generation: u64) {
        let now = Instant::now();
        let mut state = self.state();
        state.held.retain(|_, entry| entry.until > now);
        if generation == state.generation && state.held.len() < MAX_HELD {
            state.held.insert(slot, Held { data_key: Arc::clone(data_key), until: now + self.lifetime });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
