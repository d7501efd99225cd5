//! The policies of keys.

use serde::{Deserialize, Serialize};
use strongroom_access::Action;
use strongroom_iam::keys::KmsKey;
use strongroom_kms::{KmsError, is_reserved};
use utoipa::ToSchema;

use super::owned::{adopt, bypassing, check_lockout, mark};
use crate::http::{About, ApiError, Call, Json, KeyPath, Subject};

/// A key, and the policy that it is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutKeyPolicy {
    /// The key's id, or an ARN that ends in it.
    key_id: String,
    /// The document, as JSON.
    #[serde(alias = "Policy")]
    policy: String,
    /// Takes a policy that the caller could not change any more.
    #[serde(default, alias = "BypassPolicyLockoutSafetyCheck")]
    bypass_policy_lockout_safety_check: bool,
}

impl Subject for PutKeyPolicy {
    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }

    fn about(&self) -> About {
        About { key_id: Some(self.key_id.clone()), conditions: bypassing(self.bypass_policy_lockout_safety_check), ..About::default() }
    }
}

/// The owner and the policy of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyPolicy)]
pub(crate) struct PolicyAnswer {
    key_id: String,
    /// The account that the key belongs to; none where it is the store's own, and has no policy.
    account: Option<String>,
    /// The document, as JSON.
    policy: Option<String>,
}

impl PolicyAnswer {
    fn of(key: KmsKey) -> Self {
        Self { key_id: key.key_id, account: Some(key.account), policy: Some(key.policy) }
    }
}

pub(crate) async fn get_policy(call: Call, KeyPath(given): KeyPath) -> Result<PolicyAnswer, ApiError> {
    let key_id = call.key_id(&given)?;
    if let Some(seen) = call.inner.parts.owned.find(key_id).await.map_err(ApiError::of_owned_keys)? {
        call.permit_as_seen(Action::GetKeyPolicy, &seen.record, &About::default())?;
        return Ok(PolicyAnswer::of(seen.record));
    }
    let key = call.kms()?.1.describe_key(key_id).await?;
    Ok(PolicyAnswer { key_id: key.key_id, account: None, policy: None })
}

pub(crate) async fn put_policy(call: Call, Json(request): Json<PutKeyPolicy>) -> Result<PolicyAnswer, ApiError> {
    let (owned, key_id) = (&call.inner.parts.owned, call.key_id(&request.key_id)?);
    if is_reserved(key_id) {
        return Err(KmsError::KeyNotFound(key_id.to_owned()).into());
    }
    let (policy, bypass) = (&request.policy, request.bypass_policy_lockout_safety_check);
    call.note("policy", policy);
    call.note("bypass_policy_lockout_safety_check", bypass.to_string());
    match owned.find(key_id).await.map_err(ApiError::of_owned_keys)? {
        None => {
            check_lockout(&call, &call.signer.identity.account, policy, &[], bypass)?;
            adopt(&call, key_id, policy).await?;
        }
        Some(seen) => {
            let (account, backend) = (seen.record.account.clone(), seen.record.backend.clone());
            call.permit_as_seen(Action::PutKeyPolicy, &seen.record, &request.about())?;
            check_lockout(&call, &account, policy, &seen.record.grants, bypass)?;
            owned.put_policy(seen, policy).await.map_err(ApiError::of_owned_keys)?;
            if let Err(error) = mark(&call, &backend, key_id, &account).await {
                tracing::warn!(key_id, error = error.message, "whether a key says to whom it belongs could not be seen to");
            }
        }
    }
    Ok(PolicyAnswer::of(owned.get(key_id).await.map_err(ApiError::of_owned_keys)?.record))
}
