//! The token in use, shared by all calls.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use strongroom_kms::KmsError;
use tokio::sync::{Mutex, Notify};
use tokio::task::AbortHandle;

use super::lease::Lease;
use super::{keeper, login, token_file};
use crate::AuthMethod;
use crate::http::Wire;

/// A token that the server knows but that may not do something is replaced at most this often, by one that may have other policies.
const RELOGIN_PAUSE: Duration = Duration::from_secs(30);

/// One identity at one server. The lock is held while a token is obtained, so that one login serves every caller that waits for it.
pub(crate) struct Session {
    wire: Wire,
    method: AuthMethod,
    held: Mutex<Option<Arc<Lease>>>,
    /// Tells the keeper that there is another lease.
    changed: Arc<Notify>,
    keeper: OnceLock<AbortHandle>,
}

impl Session {
    /// Connects when it is used.
    pub(crate) fn new(wire: Wire, method: AuthMethod) -> Self {
        Self { wire, method, held: Mutex::default(), changed: Arc::default(), keeper: OnceLock::new() }
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// A token to use now.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Arc<Lease>, KmsError> {
        let mut held = self.held.lock().await;
        match &*held {
            Some(lease) if self.is_good(lease).await => Ok(Arc::clone(lease)),
            _ => self.obtain(&mut held).await,
        }
    }

    /// Another token in place of one that was refused. None if the refusal is not the token's fault, or no other can be had.
    pub(crate) async fn replace(self: &Arc<Self>, refused: &Arc<Lease>) -> Result<Option<Arc<Lease>>, KmsError> {
        let mut held = self.held.lock().await;
        if let Some(lease) = &*held
            && lease.token != refused.token
        {
            return Ok(Some(Arc::clone(lease)));
        }
        let alive = login::is_alive(&self.wire, &refused.token).await?;
        if self.method.can_log_in() {
            let settled = alive && refused.made.elapsed() < RELOGIN_PAUSE;
            return if settled { Ok(None) } else { self.obtain(&mut held).await.map(Some) };
        }
        if alive {
            return Ok(None);
        }
        let ended = "the Vault token has expired, was revoked, or may not look itself up (auth/token/lookup-self): configure another";
        Err(KmsError::Denied(ended.to_owned()))
    }

    async fn obtain(self: &Arc<Self>, held: &mut Option<Arc<Lease>>) -> Result<Arc<Lease>, KmsError> {
        let lease = Arc::new(login::log_in(&self.wire, &self.method).await?);
        *held = Some(Arc::clone(&lease));
        self.keeper.get_or_init(|| tokio::spawn(keeper::keep(Arc::downgrade(self), Arc::clone(&self.changed))).abort_handle());
        self.changed.notify_one();
        Ok(lease)
    }

    /// Whether the lease is the one to use: of a token that was given, only its file can tell otherwise.
    async fn is_good(&self, lease: &Lease) -> bool {
        match &self.method {
            AuthMethod::Token(_) => true,
            // While the file is being replaced, the token that was read from it goes on.
            AuthMethod::TokenFile(path) => token_file::stamp(path).await.is_none_or(|stamp| lease.stamp == Some(stamp)),
            AuthMethod::Approle(_) | AuthMethod::Kubernetes(_) | AuthMethod::Cert(_) => !lease.has_ended(),
        }
    }

    /// The lease, without obtaining one.
    pub(super) async fn present(&self) -> Option<Arc<Lease>> {
        self.held.lock().await.clone()
    }

    /// Renews the lease or logs in again. Callers go on with the present token meanwhile.
    pub(super) async fn extend(&self, old: &Arc<Lease>) -> Result<Lease, KmsError> {
        if !old.renewable {
            return login::log_in(&self.wire, &self.method).await;
        }
        match login::renew(&self.wire, old).await {
            Ok(lease) if !(self.method.can_log_in() && lease.is_fading()) => Ok(lease),
            Err(error) if !(self.method.can_log_in() && matches!(error, KmsError::Denied(_))) => Err(error),
            _ => login::log_in(&self.wire, &self.method).await,
        }
    }

    /// Puts `next` in the place of `old`, unless a caller was faster.
    pub(super) async fn swap(&self, old: &Arc<Lease>, next: Lease) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|lease| Arc::ptr_eq(lease, old)) {
            *held = Some(Arc::new(next));
        }
    }

    pub(super) fn can_log_in(&self) -> bool {
        self.method.can_log_in()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}
