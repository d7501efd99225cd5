//! A state store in memory that fails on demand.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use strongroom_kms::{KmsError, MAX_STATE_LEN, StateStore};
use tokio::sync::watch;
use zeroize::Zeroizing;

#[derive(Default)]
pub(crate) struct MemoryState(Mutex<State>, watch::Sender<bool>);

#[derive(Default)]
struct State {
    documents: BTreeMap<String, Vec<u8>>,
    fail_loads: bool,
    fail_saves: bool,
    /// The next save happens, and answers that it did not.
    lose_answer: bool,
}

impl MemoryState {
    pub(crate) fn fail_loads(&self, fail: bool) {
        self.0.lock().unwrap().fail_loads = fail;
    }

    pub(crate) fn fail_saves(&self, fail: bool) {
        self.0.lock().unwrap().fail_saves = fail;
    }

    /// Keeps every save waiting.
    pub(crate) fn hold_saves(&self, held: bool) {
        self.1.send_replace(held);
    }

    pub(crate) fn lose_next_answer(&self) {
        self.0.lock().unwrap().lose_answer = true;
    }

    pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().documents.get(name).cloned()
    }

    pub(crate) fn put(&self, name: &str, document: &[u8]) {
        self.0.lock().unwrap().documents.insert(name.to_owned(), document.to_vec());
    }
}

#[async_trait]
impl StateStore for MemoryState {
    async fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KmsError> {
        let state = self.0.lock().unwrap();
        if state.fail_loads {
            return Err(KmsError::Unavailable("the catalog is away".to_owned()));
        }
        Ok(state.documents.get(name).cloned().map(Zeroizing::new))
    }

    async fn save(&self, name: &str, present: Option<&[u8]>, document: &[u8]) -> Result<(), KmsError> {
        assert!(document.len() <= MAX_STATE_LEN);
        tokio::task::yield_now().await;
        let _ = self.1.subscribe().wait_for(|held| !held).await;
        let mut state = self.0.lock().unwrap();
        if state.fail_saves {
            return Err(KmsError::Unavailable("the catalog is away".to_owned()));
        }
        if state.documents.get(name).map(Vec::as_slice) != present {
            return Err(KmsError::Conflict("another writer was faster".to_owned()));
        }
        state.documents.insert(name.to_owned(), document.to_vec());
        if std::mem::take(&mut state.lose_answer) {
            return Err(KmsError::Unavailable("the answer was lost".to_owned()));
        }
        Ok(())
    }
}
