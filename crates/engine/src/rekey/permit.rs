//! Whether a starter could re-key anything at all. Of each object the job decides when it comes to it.

use strongroom_access::{Action, Conditions, Identity};
use strongroom_kms::resolve_key_id;

use super::RekeyRequest;
use crate::{Engine, Error, sse::rights::denied};

/// So many key versions are looked at in one look.
const PAGE: usize = 1000;
/// Stands in errors for the keys that a request leaves open.
const ANY_KEY: &str = "*";

/// Who starts a job, and how the request came.
#[derive(Clone, Copy)]
pub struct Starter<'a> {
    /// Whose signature was verified.
    pub identity: &'a Identity,
    /// Whether the request came over TLS.
    pub secure: bool,
    /// The request, for the log.
    pub request_id: &'a str,
}

impl Engine {
    /// Refuses a starter who has none of the rights to keys that the request comes down to. Rights to some of the keys are enough.
    pub(super) async fn permit_start(&self, request: &RekeyRequest, starter: Starter<'_>) -> Result<(), Error> {
        // What is stored without encryption is under no key of the KMS.
        if !request.encrypt_plain {
            self.permit_opening(request, starter).await?;
        }
        match &request.to_key {
            Some(to_key) => self.permit(starter, Action::GenerateDataKey, to_key).await,
            None => permit_somewhere(starter, Action::GenerateDataKey),
        }
    }

    async fn permit_opening(&self, request: &RekeyRequest, starter: Starter<'_>) -> Result<(), Error> {
        if let Some(from_key) = &request.from_key {
            return self.permit(starter, Action::Decrypt, from_key).await;
        }
        permit_somewhere(starter, Action::Decrypt)?;
        let (mut after, mut in_use) = (None, false);
        loop {
            let page = self.catalog().keys_in_use(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for key in page.into_iter().map(|usage| usage.key) {
                if request.from_backend.as_ref().is_some_and(|backend| key.backend != *backend) {
                    continue;
                }
                if self.permit(starter, Action::Decrypt, &key.key_id).await.is_ok() {
                    return Ok(());
                }
                in_use = true;
            }
        }
        if in_use { Err(denied(&starter.identity.name, Action::Decrypt, ANY_KEY)) } else { Ok(()) }
    }

    async fn permit(&self, starter: Starter<'_>, action: Action, given: &str) -> Result<(), Error> {
        self.check_identity(starter.identity, starter.secure, action, resolve_key_id(given)?).await
    }
}

fn permit_somewhere(starter: Starter<'_>, action: Action) -> Result<(), Error> {
    let may = starter.identity.may_somewhere(action, &Conditions::new(starter.secure));
    if may { Ok(()) } else { Err(denied(&starter.identity.name, action, ANY_KEY)) }
}
