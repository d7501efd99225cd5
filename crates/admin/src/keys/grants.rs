//! The grants of keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_access::{Action, ConditionKey, KeyGrant};
use strongroom_iam::keys::{Constraint, Grant, KmsKey};
use strongroom_iam::{IamError, Seen};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::http::{About, ApiError, Call, Json, KeyPath, Query, Subject};

/// So many keys of an account are looked at for one page of what somebody may give up.
const PAGE_KEYS: usize = 100;
/// How often a change is tried again that found another one made meanwhile.
const MAX_ATTEMPTS: usize = 100;

/// A grant to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateGrant {
    /// The key's id, or an ARN that ends in it.
    key_id: String,
    /// Who it is for, by ARN.
    grantee_principal: String,
    /// Who else may give it up, by ARN.
    #[serde(default)]
    retiring_principal: Option<String>,
    /// What it allows: `Decrypt`, `GenerateDataKey`, `DescribeKey`, `RetireGrant`.
    operations: Vec<String>,
    /// For which encryption contexts.
    #[serde(default)]
    constraints: Option<Constraints>,
    /// The same grant under the same name is made once.
    #[serde(default)]
    name: Option<String>,
}

/// For which encryption contexts a grant counts: one of the two.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GrantConstraints)]
pub(crate) struct Constraints {
    /// Those that have these pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encryption_context_subset: Option<BTreeMap<String, String>>,
    /// Those that have these pairs and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encryption_context_equals: Option<BTreeMap<String, String>>,
}

/// Which grant of which key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantRequest {
    /// The key's id, or an ARN that ends in it.
    key_id: String,
    /// What `CreateGrant` answered.
    grant_id: String,
}

/// As [`GrantRequest`], of whoever may give it up: what the grant itself says of that counts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetireGrant {
    /// The key's id, or an ARN that ends in it.
    key_id: String,
    /// What `CreateGrant` answered.
    grant_id: String,
}

/// Whose grants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retirable {
    /// Who may give them up, by ARN.
    retiring_principal: String,
    /// The `next_marker` of the page before.
    marker: Option<String>,
}

/// The grant that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedGrant {
    key_id: String,
    grant_id: String,
}

/// Which grant is gone.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovedGrant {
    key_id: String,
    grant_id: String,
    /// True: errors have another shape.
    success: bool,
}

/// The grants of a key, or of several, the oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantList {
    grants: Vec<ListedGrant>,
    /// Whether there may be more.
    truncated: bool,
    /// Where the next page begins.
    next_marker: Option<String>,
}

/// A grant.
#[derive(Serialize, ToSchema)]
#[schema(as = Grant)]
struct ListedGrant {
    key_id: String,
    grant_id: String,
    name: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    creation_date: OffsetDateTime,
    /// Who made it, by ARN.
    issuing_principal: String,
    grantee_principal: String,
    retiring_principal: Option<String>,
    operations: Vec<String>,
    constraints: Option<Constraints>,
}

impl Subject for CreateGrant {
    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }

    fn about(&self) -> About {
        let mut conditions = vec![
            (ConditionKey::GranteePrincipal, self.grantee_principal.clone()),
            (ConditionKey::GrantIsForAwsResource, false.to_string()),
        ];
        conditions.extend(self.retiring_principal.clone().map(|retiring| (ConditionKey::RetiringPrincipal, retiring)));
        About { key_id: Some(self.key_id.clone()), conditions, ..About::default() }
    }
}

impl Subject for GrantRequest {
    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }
}

impl Subject for RetireGrant {
    /// Whether the signer may is decided when the grant is known.
    fn actions(&self, _: &'static [Action]) -> Vec<Action> {
        Vec::new()
    }
}

impl Subject for Retirable {}

impl Constraints {
    fn into_one(self) -> Result<Constraint, ApiError> {
        match (self.encryption_context_subset, self.encryption_context_equals) {
            (Some(pairs), None) => Ok(Constraint::Subset(pairs)),
            (None, Some(pairs)) => Ok(Constraint::Equals(pairs)),
            _ => Err(ApiError::invalid("constraints: expected either encryption_context_subset or encryption_context_equals")),
        }
    }
}

impl From<Constraint> for Constraints {
    fn from(constraint: Constraint) -> Self {
        match constraint {
            Constraint::Subset(pairs) => Self { encryption_context_subset: Some(pairs), ..Self::default() },
            Constraint::Equals(pairs) => Self { encryption_context_equals: Some(pairs), ..Self::default() },
        }
    }
}

pub(crate) async fn create_grant(call: Call, Json(request): Json<CreateGrant>) -> Result<CreatedGrant, ApiError> {
    let about = request.about();
    call.note("grantee_principal", &request.grantee_principal);
    call.note("operations", request.operations.join(" "));
    let constraint = request.constraints.map(Constraints::into_one).transpose()?;
    let grant = Grant {
        id: String::new(),
        name: request.name,
        created: 0,
        issuer: call.signer.identity.arn().unwrap_or_default(),
        grantee: request.grantee_principal,
        retiring: request.retiring_principal,
        operations: request.operations,
        constraint,
    };
    for _ in 0..MAX_ATTEMPTS {
        let seen = seen(&call, &request.key_id).await?;
        call.permit_as_seen(Action::CreateGrant, &seen.record, &about)?;
        let key_id = seen.record.key_id.clone();
        match call.inner.parts.owned.add_grant(seen, grant.clone()).await {
            // Another change was faster: by what it made of the key it is decided again.
            Err(IamError::ConcurrentModification) => {}
            added => {
                let grant_id = added.map_err(ApiError::of_owned_keys)?;
                call.note("grant_id", &grant_id);
                return Ok(CreatedGrant { key_id, grant_id });
            }
        }
    }
    Err(ApiError::of_owned_keys(IamError::ConcurrentModification))
}

pub(crate) async fn list_grants(call: Call, KeyPath(given): KeyPath) -> Result<GrantList, ApiError> {
    let key = seen(&call, &given).await?.record;
    call.permit_as_seen(Action::ListGrants, &key, &About::default())?;
    let grants = key.grants.iter().map(|grant| ListedGrant::of(&key, grant)).collect();
    Ok(GrantList { grants, truncated: false, next_marker: None })
}

pub(crate) async fn revoke_grant(call: Call, Json(request): Json<GrantRequest>) -> Result<RemovedGrant, ApiError> {
    for _ in 0..MAX_ATTEMPTS {
        let seen = seen(&call, &request.key_id).await?;
        call.permit_as_seen(Action::RevokeGrant, &seen.record, &About::default())?;
        if let Some(removed) = remove(&call, seen, &request.grant_id).await? {
            return Ok(removed);
        }
    }
    Err(ApiError::of_owned_keys(IamError::ConcurrentModification))
}

pub(crate) async fn retire_grant(call: Call, Json(request): Json<RetireGrant>) -> Result<RemovedGrant, ApiError> {
    for _ in 0..MAX_ATTEMPTS {
        let seen = permitted_to_retire(&call, &request).await?;
        if let Some(removed) = remove(&call, seen, &request.grant_id).await? {
            return Ok(removed);
        }
    }
    Err(ApiError::of_owned_keys(IamError::ConcurrentModification))
}

/// The key, if the signer may give grants of it up, or this one.
async fn permitted_to_retire(call: &Call, request: &RetireGrant) -> Result<Seen<KmsKey>, ApiError> {
    let key_id = call.key_id(&request.key_id)?;
    let about = About { key_id: Some(key_id.to_owned()), ..About::default() };
    let permitted = call.permit(&[Action::RetireGrant], &about).await;
    let Some(seen) = call.inner.parts.owned.find(key_id).await.map_err(ApiError::of_owned_keys)? else {
        permitted?;
        return Err(without_rules(key_id));
    };
    let identity = &call.signer.identity;
    let is_its_own = |grant: KeyGrant| grant.may_be_retired_by(identity);
    let named = seen.record.grants.iter().find(|grant| grant.id == request.grant_id);
    if !named.map(|grant| grant.compiled(&seen.record.account)).transpose().map_err(ApiError::of_owned_keys)?.is_some_and(is_its_own) {
        permitted?;
        call.permit_as_seen(Action::RetireGrant, &seen.record, &about)?;
    }
    Ok(seen)
}

pub(crate) async fn list_retirable_grants(call: Call, Query(request): Query<Retirable>) -> Result<GrantList, ApiError> {
    let (owned, account) = (&call.inner.parts.owned, &call.signer.identity.account);
    let ids = owned.of_account(account, request.marker.as_deref(), PAGE_KEYS).await.map_err(ApiError::of_owned_keys)?;
    let mut grants = Vec::new();
    for key_id in &ids {
        if let Some(seen) = owned.find(key_id).await.map_err(ApiError::of_owned_keys)? {
            let key = &seen.record;
            let retirable = key.grants.iter().filter(|grant| grant.retiring.as_deref() == Some(&*request.retiring_principal));
            grants.extend(retirable.map(|grant| ListedGrant::of(key, grant)));
        }
    }
    let truncated = ids.len() == PAGE_KEYS;
    Ok(GrantList { grants, truncated, next_marker: if truncated { ids.last().cloned() } else { None } })
}

/// None where another change was faster.
async fn remove(call: &Call, seen: Seen<KmsKey>, grant_id: &str) -> Result<Option<RemovedGrant>, ApiError> {
    call.note("grant_id", grant_id);
    let key_id = seen.record.key_id.clone();
    match call.inner.parts.owned.remove_grant(seen, grant_id).await {
        Ok(()) => Ok(Some(RemovedGrant { key_id, grant_id: grant_id.to_owned(), success: true })),
        Err(IamError::ConcurrentModification) => Ok(None),
        Err(error) => Err(ApiError::of_owned_keys(error)),
    }
}

async fn seen(call: &Call, given: &str) -> Result<Seen<KmsKey>, ApiError> {
    let key_id = call.key_id(given)?;
    call.inner.parts.owned.find(key_id).await.map_err(ApiError::of_owned_keys)?.ok_or_else(|| without_rules(key_id))
}

fn without_rules(key_id: &str) -> ApiError {
    ApiError::conflict("NoKeyPolicy", format!("The key {key_id} is the store's own and has no grants. Give it a policy first."))
}

impl ListedGrant {
    fn of(key: &KmsKey, grant: &Grant) -> Self {
        let Grant { id, name, created, issuer, grantee, retiring, operations, constraint } = grant.clone();
        Self {
            key_id: key.key_id.clone(),
            grant_id: id,
            name,
            creation_date: OffsetDateTime::from_unix_timestamp(created.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            issuing_principal: issuer,
            grantee_principal: grantee,
            retiring_principal: retiring,
            operations,
            constraints: constraint.map(Constraints::from),
        }
    }
}
