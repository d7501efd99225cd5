//! Compiled policies that somebody has: one for all who have it, and off the workers where there is much to compile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use strongroom_access::{AccessError, Policy};
use strongroom_catalog::EntityName;
use tokio::task::spawn_blocking;

use crate::IamError;

/// More than this is compiled on a thread that may take its time: a policy of 6 KiB takes about 4 ms.
const MAX_AT_ONCE_BYTES: usize = 16 << 10;
/// So many are remembered before those are looked for that nobody has any more.
const MIN_LOOKED_THROUGH: usize = 1024;

/// What a policy is a part of, the revision of that, and its name in it.
pub(super) type Source = (EntityName, u64, String);

/// Policies as long as somebody has them.
#[derive(Default)]
pub(super) struct Compiled(Mutex<Shared>);

#[derive(Default)]
struct Shared {
    policies: HashMap<Source, Weak<Policy>>,
    look_through_at: usize,
}

impl Compiled {
    /// The policies of these documents, in their order.
    pub(super) async fn of(&self, documents: Vec<(Source, String)>) -> Result<Vec<Arc<Policy>>, IamError> {
        let known: Vec<Option<Arc<Policy>>> = documents.iter().map(|(source, _)| self.find(source)).collect();
        let missing: Vec<(Source, String)> =
            documents.into_iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(document, _)| document).collect();
        let bytes: usize = missing.iter().map(|(_, document)| document.len()).sum();
        let compiled = if bytes > MAX_AT_ONCE_BYTES {
            spawn_blocking(move || compile(missing)).await.map_err(|error| IamError::Internal(error.into()))?
        } else {
            compile(missing)
        };
        let compiled = compiled?;
        self.keep(&compiled);
        let mut compiled = compiled.into_iter().map(|(_, policy)| policy);
        Ok(known.into_iter().filter_map(|known| known.or_else(|| compiled.next())).collect())
    }

    fn find(&self, source: &Source) -> Option<Arc<Policy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).policies.get(source)?.upgrade()
    }

    fn keep(&self, compiled: &[(Source, Arc<Policy>)]) {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, policy) in compiled {
            shared.policies.insert(source.clone(), Arc::downgrade(policy));
        }
        if shared.policies.len() > shared.look_through_at.max(MIN_LOOKED_THROUGH) {
            shared.policies.retain(|_, policy| policy.strong_count() > 0);
            shared.look_through_at = shared.policies.len() * 2;
        }
    }
}

fn compile(documents: Vec<(Source, String)>) -> Result<Vec<(Source, Arc<Policy>)>, AccessError> {
    documents.into_iter().map(|(source, document)| Ok((source, Arc::new(Policy::parse(&document)?)))).collect()
}
