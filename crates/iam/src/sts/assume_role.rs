//! `AssumeRole`: a caller whom a role trusts takes it on.

use serde_json::{Value, json};
use strongroom_access::{Action, ConditionKey, Conditions, Decision, TrustPolicy, arn};

use super::{SessionOf, credentials};
use crate::{
    IamError,
    call::Call,
    directory::Seen,
    model::{Role, Tag},
};

const USUAL_SECONDS: u32 = 3600;
const MAX_SOURCE_IDENTITY: usize = 64;
/// Of a session that another session began. Source: "Role chaining" in the user guide of IAM.
const MAX_CHAINED_SECONDS: u32 = 3600;

pub(crate) async fn assume_role(call: &Call<'_>) -> Result<Value, IamError> {
    let role_arn = call.params.text("RoleArn")?;
    let session = credentials::session_name(call)?.to_owned();
    // Whether there is such a role, who may not take it on does not learn.
    let denied = || {
        let who = call.identity.arn().unwrap_or_default();
        IamError::AccessDenied(format!("User: {who} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"))
    };
    // All that the request says is looked at before the role is, so that no answer tells whether there is one.
    let (policies, tags, source_identity) =
        (credentials::session_policies(call).await?, credentials::session_tags(call)?, source_identity(call)?);
    let (account, name) = parse(role_arn).ok_or_else(|| IamError::validation(format!("{role_arn} is invalid")))?;
    let role = call.directory().find::<Role>(account, name).await?.map(|Seen { record, .. }| record);
    let role = role.filter(|role| arn::role(account, &role.path, &role.name) == role_arn).ok_or_else(denied)?;
    let (trust, conditions) = (TrustPolicy::parse(&role.trust)?, conditions(call, &session, &tags));
    let asked =
        [(Action::AssumeRole, true), (Action::TagSession, !tags.is_empty()), (Action::SetSourceIdentity, source_identity.is_some())];
    for (action, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
        if call.identity.may_assume(role_arn, &trust, action, &conditions) != Decision::Allow {
            return Err(denied());
        }
    }
    let longest = if call.identity.is_temporary() { MAX_CHAINED_SECONDS.min(role.max_session_seconds) } else { role.max_session_seconds };
    let seconds = credentials::seconds(call, USUAL_SECONDS, longest)?;
    call.note("role", role_arn);
    call.note("session", &session);
    let of = SessionOf::Role { name: role.name.clone(), id: role.id.clone(), session: session.clone() };
    let session_of = |new| super::Session { account: account.to_owned(), policies, tags, source_identity, ..new };
    let given = credentials::give(call, seconds, session_of, of)?;
    Ok(json!({
        "Credentials": given,
        "AssumedRoleUser": {
            "AssumedRoleId": format!("{}:{session}", role.id), "Arn": arn::assumed_role(account, &role.name, &session),
        },
        "PackedPolicySize": 0,
    }))
}

/// Whom the session acts for: what the first one of a chain said, for good.
fn source_identity(call: &Call<'_>) -> Result<Option<String>, IamError> {
    let present = call.identity.source_identity.clone();
    let Some(given) = call.params.get("SourceIdentity") else { return Ok(present) };
    crate::name::check("sourceIdentity", given, MAX_SOURCE_IDENTITY)?;
    if present.is_some_and(|present| present != given) {
        return Err(IamError::AccessDenied("The source identity of a session cannot be changed.".to_owned()));
    }
    Ok(Some(given.to_owned()))
}

/// Account and name of a role's ARN.
pub(super) fn parse(role_arn: &str) -> Option<(&str, &str)> {
    let entity = arn::Entity::parse(role_arn)?;
    (entity.kind == arn::EntityKind::Role && !entity.account.is_empty()).then_some((entity.account, entity.name))
}

/// What the trust policy and the caller's policies see of the request.
fn conditions(call: &Call<'_>, session: &str, tags: &[Tag]) -> Conditions {
    let conditions = call.caller.conditions.clone().with(ConditionKey::RoleSessionName, session);
    let conditions = conditions.with_some(ConditionKey::ExternalId, call.params.get("ExternalId"));
    conditions.with_some(ConditionKey::SessionSourceIdentity, call.params.get("SourceIdentity")).with_request_tags(tags.to_vec())
}
