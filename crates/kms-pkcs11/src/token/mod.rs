//! Sessions on one token, for work on blocking threads.

mod login;
mod module;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::Pkcs11;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use strongroom_kms::{KmsError, Secret};
use tokio::sync::Semaphore;

pub use self::module::end_libraries;
use self::module::{Login, Module, State};
use crate::Config;
use crate::fault::Fault;

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Using keys. These sessions are kept for the next.
    Use,
    /// Looking at all of the token.
    Survey,
    /// Changing what lies on the token.
    Change,
}

/// One token as one configuration sees it.
pub(crate) struct Token {
    /// Tells users of a login apart, so that the last of them logs out.
    id: u64,
    config: Config,
    module: Arc<Module>,
    permits: Arc<Semaphore>,
    slot: Mutex<Option<Slot>>,
    /// The PIN that was refused. It is not offered again: tokens lock after a few wrong ones.
    refused_pin: Mutex<Option<Secret>>,
}

impl Token {
    pub(crate) fn new(config: Config) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            module: Module::of(&config.module),
            permits: Arc::new(Semaphore::new(config.max_sessions)),
            config,
            slot: Mutex::default(),
            refused_pin: Mutex::default(),
        }
    }

    /// Runs `work` with a session that is logged in, on a blocking thread. A caller that goes away leaves the work to end by itself, and
    /// its place taken until then.
    pub(crate) async fn run<T, F>(self: &Arc<Self>, access: Access, work: F) -> Result<T, KmsError>
    where
        T: Send + 'static,
        F: FnOnce(&Session) -> Result<T, Fault> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| KmsError::Unavailable("the PKCS#11 backend is closed".to_owned()))?;
        let token = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            token.run_blocking(access, work)
        });
        done.await.map_err(|_| KmsError::Unavailable("work on the token broke off".to_owned()))?
    }

    fn run_blocking<T>(&self, access: Access, work: impl FnOnce(&Session) -> Result<T, Fault>) -> Result<T, KmsError> {
        let state = self.connected()?;
        let generation = state.generation();
        let done = self.in_session(&state, access, work);
        drop(state);
        done.map_err(|fault| {
            if fault.is_lost() {
                tracing::warn!(module = %self.config.module.display(), ?fault, "the token is lost; the library starts anew");
                self.module.reset(generation);
            }
            fault.into_answer()
        })
    }

    fn in_session<T>(&self, state: &State, access: Access, work: impl FnOnce(&Session) -> Result<T, Fault>) -> Result<T, Fault> {
        let lost = || Fault::Answer(KmsError::Unavailable("the token was logged out meanwhile".to_owned()));
        let (library, slot) = (state.library().ok_or_else(lost)?, self.slot().ok_or_else(lost)?);
        let login = state.login(slot).ok_or_else(lost)?;
        if access != Access::Use {
            self.check_present(library, slot)?;
        }
        let done = if access == Access::Change {
            work(&library.open_rw_session(slot)?)
        } else {
            self.in_pooled_session(library, login, slot, work)
        };
        match done {
            // An absent token seems to some libraries to be an empty one.
            Err(Fault::Answer(KmsError::KeyNotFound(key_id))) => {
                self.check_present(library, slot)?;
                Err(Fault::Answer(KmsError::KeyNotFound(key_id)))
            }
            done => done,
        }
    }

    fn in_pooled_session<T>(
        &self,
        library: &Pkcs11,
        login: &Login,
        slot: Slot,
        work: impl FnOnce(&Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let session = match login.take_idle() {
            Some(session) => session,
            None => library.open_ro_session(slot)?,
        };
        let done = work(&session);
        // After a failure an operation may still be active in the session.
        if done.is_ok() {
            login.put_idle(session, self.config.max_sessions);
        }
        done
    }

    /// The module's state, in which this token is logged in.
    fn connected(&self) -> Result<std::sync::RwLockReadGuard<'_, State>, KmsError> {
        for _attempt in 0..2 {
            let state = self.module.read();
            if self.slot().is_some_and(|slot| state.is_user(slot, self.id)) {
                return Ok(state);
            }
            drop(state);
            self.connect(&mut self.module.write())?;
        }
        Err(KmsError::Unavailable("the token was logged out meanwhile".to_owned()))
    }

    fn slot(&self) -> Option<Slot> {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last user of a login logs out.
impl Drop for Token {
    fn drop(&mut self) {
        self.module.leave(self.id);
    }
}
