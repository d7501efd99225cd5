//! The keys of all providers: fetched when they are needed, by one request at a time for each, and remembered up to a number.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore},
    time::Instant,
};

use super::entry::{Advice, Known};
use crate::{
    TokenError,
    jwt::{Header, KeySet},
};

/// Providers whose keys are remembered.
const MAX_KNOWN: usize = 1024;
/// Providers of one account that are asked at once.
const MAX_ASKED_OF_ACCOUNT: usize = 8;

/// Who asks a provider.
#[async_trait]
pub(super) trait Source: Send + Sync {
    /// The keys that it publishes; in bounded time, and of bounded length.
    async fn fetch(&self, issuer: &str) -> Result<KeySet, TokenError>;
}

/// The keys of all providers.
pub(super) struct Keys {
    source: Arc<dyn Source>,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    entries: HashMap<(String, String), Entry>,
    /// Whose turn it is to ask; accounts are the operator's, so they are few.
    turns: HashMap<String, Arc<Semaphore>>,
}

#[derive(Clone)]
struct Entry {
    known: Arc<Mutex<Known>>,
    /// Held by the one request that asks.
    asking: Arc<AsyncMutex<()>>,
    used: Instant,
}

impl Keys {
    pub(super) fn new(source: Arc<dyn Source>) -> Self {
        Self { source, all: Mutex::default() }
    }

    /// Keys of the provider, of which one at least fits such a token.
    pub(super) async fn of(&self, account: &str, issuer: &str, header: &Header) -> Result<Arc<KeySet>, TokenError> {
        let Entry { known, asking, .. } = self.entry(account, issuer);
        let advise = || lock(&known).advise(header, Instant::now());
        let guard = match advise() {
            Advice::Use(keys) => return Ok(keys),
            Advice::Refuse(error) => return Err(error),
            // Somebody is asking: keys that are not quite fresh are no reason to wait.
            Advice::Ask(Some(keys)) => match Arc::clone(&asking).try_lock_owned() {
                Ok(guard) => guard,
                Err(_) => return Ok(keys),
            },
            Advice::Ask(None) => Arc::clone(&asking).lock_owned().await,
        };
        // Whoever asked before has perhaps found what is wanted.
        let fallback = match advise() {
            Advice::Use(keys) => return Ok(keys),
            Advice::Refuse(error) => return Err(error),
            Advice::Ask(fallback) => fallback,
        };
        self.ask(account, issuer, &known, guard).await;
        match (advise(), fallback) {
            (Advice::Use(keys), _) | (_, Some(keys)) => Ok(keys),
            (Advice::Refuse(error), None) => Err(error),
            (Advice::Ask(_), None) => Err(TokenError::UnknownKey),
        }
    }

    /// Asks the provider, to the end: a client that goes away meanwhile must not keep others from the answer.
    async fn ask(&self, account: &str, issuer: &str, known: &Arc<Mutex<Known>>, guard: OwnedMutexGuard<()>) {
        let (source, known, issuer, turns) = (Arc::clone(&self.source), Arc::clone(known), issuer.to_owned(), self.turns(account));
        let asking = tokio::spawn(async move {
            let _turn = turns.acquire_owned().await;
            let answer = source.fetch(&issuer).await;
            if let Err(error) = &answer {
                tracing::warn!(issuer = issuer.escape_debug().to_string(), %error, "the keys of an identity provider could not be fetched");
            }
            lock(&known).note_answer(answer, Instant::now());
            drop(guard);
        });
        // It cannot be aborted, and if it panicked the advice is as it was.
        let _ = asking.await;
    }

    fn turns(&self, account: &str) -> Arc<Semaphore> {
        let mut all = lock(&self.all);
        Arc::clone(all.turns.entry(account.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(MAX_ASKED_OF_ACCOUNT))))
    }

    fn entry(&self, account: &str, issuer: &str) -> Entry {
        let (mut all, name, used) = (lock(&self.all), (account.to_owned(), issuer.to_owned()), Instant::now());
        if let Some(entry) = all.entries.get_mut(&name) {
            entry.used = used;
            return entry.clone();
        }
        if all.entries.len() >= MAX_KNOWN {
            let oldest = all.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(name, _)| name.clone());
            oldest.and_then(|name| all.entries.remove(&name));
        }
        let entry = Entry { known: Arc::default(), asking: Arc::default(), used };
        all.entries.insert(name, entry.clone());
        entry
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
