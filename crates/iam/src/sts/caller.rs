//! `GetCallerIdentity`: who am I?

use serde_json::{Value, json};

use crate::{IamError, call::Call};

/// Takes no right. Source: "GetCallerIdentity" in the API reference of STS.
#[allow(clippy::unused_async, reason = "as every call")]
pub(crate) async fn get_caller_identity(call: &Call<'_>) -> Result<Value, IamError> {
    Ok(json!({"UserId": call.identity.user_id, "Account": call.account, "Arn": call.identity.arn()}))
}
