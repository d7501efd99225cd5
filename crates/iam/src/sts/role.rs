//! A session of a role, for whomever its trust policy lets have one.

use serde_json::{Value, json};
use strongroom_access::{Action, ConditionKey, Conditions, Decision, Identity, TrustPolicy, arn};

use super::{Session, SessionOf, credentials};
use crate::{
    IamError,
    call::Call,
    directory::Seen,
    model::{Role, Tag},
};

const USUAL_SECONDS: u32 = 3600;

/// What somebody asks for.
pub(super) struct Wanted<'a> {
    /// Who asks.
    pub(super) asker: &'a Identity,
    /// By which right.
    pub(super) action: Action,
    pub(super) role_arn: &'a str,
    pub(super) session: &'a str,
    pub(super) tags: Vec<Tag>,
    /// Whom the session acts for.
    pub(super) source_identity: Option<String>,
    /// The same, where it is said anew.
    pub(super) said_source_identity: Option<String>,
    /// The longest that such a session lasts, whatever the role says.
    pub(super) max_seconds: u32,
}

/// Account and name of a role's ARN.
pub(super) fn parse(role_arn: &str) -> Result<(&str, &str), IamError> {
    let entity = arn::Entity::parse(role_arn).filter(|entity| entity.kind == arn::EntityKind::Role && !entity.account.is_empty());
    entity.map(|entity| (entity.account, entity.name)).ok_or_else(|| IamError::validation(format!("{role_arn} is invalid")))
}

/// Gives a session. Whether there is such a role, who may not take it on does not learn.
pub(super) async fn take_on(
    call: &Call<'_>,
    wanted: Wanted<'_>,
    denied: impl Fn() -> IamError,
    session_of: impl FnOnce(Session) -> Session,
) -> Result<Value, IamError> {
    let (role_arn, (account, name)) = (wanted.role_arn, parse(wanted.role_arn)?);
    let role = call.directory().find::<Role>(account, name).await?.map(|Seen { record, .. }| record);
    let role = role.filter(|role| arn::role(account, &role.path, &role.name) == role_arn).ok_or_else(&denied)?;
    let (trust, conditions) = (TrustPolicy::parse(&role.trust)?, conditions(call, &wanted));
    let asked = [
        (wanted.action, true),
        (Action::TagSession, !wanted.tags.is_empty()),
        (Action::SetSourceIdentity, wanted.source_identity.is_some()),
    ];
    for (action, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
        if wanted.asker.may_assume(role_arn, &trust, action, &conditions) != Decision::Allow {
            return Err(denied());
        }
    }
    let seconds = credentials::seconds(call, USUAL_SECONDS, wanted.max_seconds.min(role.max_session_seconds))?;
    // Only now: which policies there are, is not for everybody either.
    let policies = credentials::session_policies(call, account).await?;
    let Wanted { session, tags, source_identity, .. } = wanted;
    call.note("role", role_arn);
    call.note("session", session);
    let of = SessionOf::Role { name: role.name.clone(), id: role.id.clone(), session: session.to_owned() };
    let filled = |new| session_of(Session { account: account.to_owned(), policies, tags, source_identity: source_identity.clone(), ..new });
    let given = credentials::give(call, seconds, filled, of)?;
    Ok(json!({
        "Credentials": given.credentials,
        "AssumedRoleUser": {
            "AssumedRoleId": format!("{}:{session}", role.id), "Arn": arn::assumed_role(account, &role.name, session),
        },
        "PackedPolicySize": given.packed_percent,
        "SourceIdentity": source_identity,
    }))
}

/// What the trust policy and the asker's policies see of the request.
fn conditions(call: &Call<'_>, wanted: &Wanted<'_>) -> Conditions {
    let conditions = call.caller.conditions.clone().with(ConditionKey::RoleSessionName, wanted.session);
    let conditions = conditions.with_some(ConditionKey::ExternalId, call.params.get("ExternalId"));
    let said = wanted.said_source_identity.as_deref();
    conditions.with_some(ConditionKey::SessionSourceIdentity, said).with_request_tags(wanted.tags.clone())
}
