//! `AssumeRole`: a caller whom a role trusts takes it on.

use serde_json::Value;
use strongroom_access::Action;

use super::{
    credentials,
    role::{self, Wanted},
};
use crate::{IamError, call::Call};

const MAX_SOURCE_IDENTITY: usize = 64;
/// Of a session that another session began. Source: "Role chaining" in the user guide of IAM.
const MAX_CHAINED_SECONDS: u32 = 3600;

pub(crate) async fn assume_role(call: &Call<'_>) -> Result<Value, IamError> {
    let role_arn = call.params.text("RoleArn")?;
    let session = credentials::session_name(call)?;
    let denied = || {
        let who = call.identity.arn().unwrap_or_default();
        IamError::AccessDenied(format!("User: {who} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"))
    };
    // What the request says is looked at before the role is, so that no answer tells whether there is one.
    let wanted = Wanted {
        asker: call.identity,
        action: Action::AssumeRole,
        role_arn,
        session,
        tags: credentials::session_tags(call)?,
        source_identity: source_identity(call)?,
        said_source_identity: call.params.get("SourceIdentity").map(str::to_owned),
        max_seconds: if call.identity.is_temporary() { MAX_CHAINED_SECONDS } else { u32::MAX },
    };
    role::take_on(call, wanted, denied, |session| session).await
}

/// Whom the session acts for: what the first one of a chain said, for good.
fn source_identity(call: &Call<'_>) -> Result<Option<String>, IamError> {
    let present = call.identity.source_identity.clone();
    let Some(given) = call.params.get("SourceIdentity") else { return Ok(present) };
    check_source_identity(given)?;
    if present.is_some_and(|present| present != given) {
        return Err(IamError::AccessDenied("The source identity of a session cannot be changed.".to_owned()));
    }
    Ok(Some(given.to_owned()))
}

pub(super) fn check_source_identity(given: &str) -> Result<(), IamError> {
    crate::name::check("sourceIdentity", given, MAX_SOURCE_IDENTITY)
}
