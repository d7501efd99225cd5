//! Roles.

use serde_json::{Value, json};

use super::{holders::check_trust, page, policies, shapes, users};
use crate::{
    IamError,
    call::Call,
    model::{Policies, Role, Tags, role::MAX_NAME},
    name::{self, IdOf},
};

const MIN_SESSION_SECONDS: u32 = 3600;
const MAX_SESSION_SECONDS: u32 = 43_200;
const MAX_DESCRIPTION: usize = 1000;

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    let (role_name, trust) = (call.params.text("RoleName")?, call.params.text("AssumeRolePolicyDocument")?);
    name::check("roleName", role_name, MAX_NAME)?;
    check_trust(trust)?;
    let role = Role {
        name: role_name.to_owned(),
        id: name::new_id(IdOf::Role),
        path: page::path(call, "Path")?,
        created: call.now(),
        description: description(call)?.unwrap_or_default(),
        max_session_seconds: session_seconds(call)?.unwrap_or(MIN_SESSION_SECONDS),
        trust: trust.to_owned(),
        tags: Tags::new(call.params.pairs("Tags"))?,
        policies: Policies::default(),
        boundary: users::boundary(call).await?,
        sessions_from: 0,
    };
    call.directory().create(&call.account, &role).await?;
    Ok(json!({"Role": shapes::role(&call.account, &role)}))
}

/// `Description`, where there is one.
pub(crate) fn description(call: &Call<'_>) -> Result<Option<String>, IamError> {
    let Some(description) = call.params.get("Description") else { return Ok(None) };
    if description.chars().count() > MAX_DESCRIPTION
        || description.chars().any(|one| one.is_control() && !matches!(one, '\t' | '\n' | '\r'))
    {
        return Err(IamError::validation(format!("Description has up to {MAX_DESCRIPTION} characters and no control characters.")));
    }
    Ok(Some(description.to_owned()))
}

fn session_seconds(call: &Call<'_>) -> Result<Option<u32>, IamError> {
    let seconds = call.params.number("MaxSessionDuration")?;
    if seconds.is_none_or(|seconds| (MIN_SESSION_SECONDS..=MAX_SESSION_SECONDS).contains(&seconds)) {
        return Ok(seconds);
    }
    Err(IamError::validation(format!("MaxSessionDuration must be {MIN_SESSION_SECONDS} to {MAX_SESSION_SECONDS} seconds.")))
}

pub(crate) async fn get(call: &Call<'_>) -> Result<Value, IamError> {
    let role = call.directory().get::<Role>(&call.account, call.params.text("RoleName")?).await?.record;
    Ok(json!({"Role": shapes::role(&call.account, &role)}))
}

pub(crate) async fn list(call: &Call<'_>) -> Result<Value, IamError> {
    let prefix = page::path_prefix(call)?;
    let page = page::of_account::<Role>(call, |role| role.path.starts_with(&prefix)).await?;
    Ok(page.answer("Roles", |role| shapes::role(&call.account, role)))
}

/// Description and longest session: `UpdateRole`, which answers nothing, and `UpdateRoleDescription`, which answers the role.
pub(crate) async fn update(call: &Call<'_>) -> Result<Value, IamError> {
    let (new_description, seconds) = (description(call)?, session_seconds(call)?);
    change(call, |role| {
        if let Some(description) = &new_description {
            role.description.clone_from(description);
        }
        role.max_session_seconds = seconds.unwrap_or(role.max_session_seconds);
    })
    .await?;
    Ok(json!({}))
}

pub(crate) async fn update_description(call: &Call<'_>) -> Result<Value, IamError> {
    let new_description = description(call)?.unwrap_or_default();
    let role = change(call, |role| role.description.clone_from(&new_description)).await?;
    Ok(json!({"Role": shapes::role(&call.account, &role)}))
}

pub(crate) async fn update_trust(call: &Call<'_>) -> Result<Value, IamError> {
    let trust = call.params.text("PolicyDocument")?;
    check_trust(trust)?;
    change(call, |role| trust.clone_into(&mut role.trust)).await?;
    Ok(Value::Null)
}

pub(crate) async fn put_boundary(call: &Call<'_>) -> Result<Value, IamError> {
    let policy = policies::existing(call, "PermissionsBoundary").await?;
    change(call, |role| role.boundary = Some(policy.clone())).await?;
    Ok(Value::Null)
}

pub(crate) async fn delete_boundary(call: &Call<'_>) -> Result<Value, IamError> {
    change(call, |role| role.boundary = None).await?;
    Ok(Value::Null)
}

pub(crate) async fn delete(call: &Call<'_>) -> Result<Value, IamError> {
    call.directory().delete(&call.account, call.params.text("RoleName")?, |role: &Role| role.policies.check_none()).await?;
    Ok(Value::Null)
}

/// Instance profiles are EC2's; Terraform asks for them before it deletes a role.
pub(crate) async fn instance_profiles(call: &Call<'_>) -> Result<Value, IamError> {
    call.directory().get::<Role>(&call.account, call.params.text("RoleName")?).await?;
    Ok(json!({"InstanceProfiles": [], "IsTruncated": false}))
}

async fn change(call: &Call<'_>, change: impl Fn(&mut Role)) -> Result<Role, IamError> {
    let change = |role: &mut Role| {
        change(role);
        Ok(role.clone())
    };
    call.directory().change(&call.account, call.params.text("RoleName")?, change).await
}
