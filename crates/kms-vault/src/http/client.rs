//! Calls with a token, which is replaced when the server no longer takes it.

use std::sync::Arc;

use strongroom_kms::KmsError;

use super::{Answer, Call, Wire};
use crate::Config;
use crate::auth::Session;

/// One server, as one identity.
pub(crate) struct Client {
    session: Arc<Session>,
}

impl Client {
    /// Checks the configuration; does not connect.
    pub(crate) fn new(config: &Config) -> Result<Self, KmsError> {
        config.check()?;
        let session = Session::new(Wire::new(config)?, config.auth_method.clone());
        Ok(Self { session: Arc::new(session) })
    }

    /// One call. A refused token is replaced once, where the method can do so, and the call sent once more.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, KmsError> {
        let lease = self.session.lease().await?;
        let reply = self.session.wire().send(call, Some(lease.token())).await?;
        if reply.status != 403 {
            return Ok(reply.into_answer());
        }
        let next = self.session.replace(&lease).await?;
        let Some(next) = next else { return Err(lacks(call)) };
        let reply = self.session.wire().send(call, Some(next.token())).await?;
        if reply.status == 403 { Err(lacks(call)) } else { Ok(reply.into_answer()) }
    }
}

fn lacks(call: &Call) -> KmsError {
    KmsError::Denied(format!("the Vault token lacks the capability {:?} on the path {:?}", call.verb.capability(), call.path))
}
