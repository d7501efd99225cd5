//! The task that keeps a token alive, used or not.

use std::sync::{Arc, Weak};
use std::time::Duration;

use strongroom_kms::KmsError;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use super::Session;
use super::lease::Lease;

/// How long one renewal may take.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Renews the session's lease at two thirds of its time, until the session is gone.
pub(super) async fn keep(session: Weak<Session>, changed: Arc<Notify>) {
    loop {
        let Some(lease) = present(&session).await else { return };
        let Some(due) = lease.as_ref().and_then(|lease| lease.due) else {
            changed.notified().await;
            continue;
        };
        tokio::select! {
            () = sleep_until(due) => {}
            () = changed.notified() => continue,
        }
        if let (Some(session), Some(lease)) = (session.upgrade(), lease) {
            extend(&session, &lease).await;
        }
    }
}

/// None when the session is gone.
async fn present(session: &Weak<Session>) -> Option<Option<Arc<Lease>>> {
    Some(session.upgrade()?.present().await)
}

async fn extend(session: &Session, lease: &Arc<Lease>) {
    if !lease.renewable && !session.can_log_in() {
        return session.swap(lease, lease.abandoned()).await;
    }
    let late = || KmsError::Unavailable("Vault does not answer".to_owned());
    let next = match timeout(RENEWAL_TIMEOUT, session.extend(lease)).await.unwrap_or_else(|_| Err(late())) {
        Ok(next) => next,
        Err(KmsError::Denied(reason)) if !session.can_log_in() => {
            tracing::error!(%reason, "the Vault token can no longer be renewed: configure another before it ends");
            lease.abandoned()
        }
        Err(error) => {
            tracing::warn!(%error, "renewing the Vault token failed; trying again");
            lease.retried()
        }
    };
    session.swap(lease, next).await;
}
