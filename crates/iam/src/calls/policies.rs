//! Managed policies and their versions.

use serde_json::{Value, json};
use strongroom_access::arn;

use super::{
    page::{self, Walk},
    roles::description,
    shapes,
};
use crate::{
    IamError, builtin,
    call::Call,
    directory::Record as _,
    model::{Group, ManagedPolicy, PolicyRef, PolicyVersion, Role, Tags, User, policy},
    name::{self, IdOf},
};

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    let (policy_name, document) = (call.params.text("PolicyName")?, call.params.text("PolicyDocument")?);
    name::check("policyName", policy_name, policy::MAX_NAME)?;
    policy::check_document(document)?;
    let now = call.now();
    let policy = ManagedPolicy {
        name: policy_name.to_owned(),
        id: name::new_id(IdOf::Policy),
        path: page::path(call, "Path")?,
        created: now,
        updated: now,
        description: description(call)?.unwrap_or_default(),
        tags: Tags::new(call.params.pairs("Tags"))?,
        versions: vec![PolicyVersion { number: 1, created: now, document: document.to_owned() }],
        default_version: 1,
        last_version: 1,
    };
    call.directory().create(&call.account, &policy).await?;
    Ok(json!({"Policy": shapes::policy(&call.account, &policy, 0)}))
}

pub(crate) async fn get(call: &Call<'_>) -> Result<Value, IamError> {
    match named(call)? {
        PolicyRef::BuiltIn(name) => Ok(json!({"Policy": built_in(call, &name).await?})),
        policy @ PolicyRef::OfAccount(_) => {
            let record = record_of(call, &policy).await?;
            Ok(json!({"Policy": shapes::policy(&call.account, &record, attachments(call, &policy).await?)}))
        }
    }
}

/// `Scope`: `Local` for those of the account, `AWS` for those of the server, `All` for both.
pub(crate) async fn list(call: &Call<'_>) -> Result<Value, IamError> {
    let scope = call.params.get("Scope").unwrap_or("All");
    if !["All", "Local", "AWS"].contains(&scope) {
        return Err(IamError::validation("Scope must be All, AWS or Local."));
    }
    let (prefix, only_attached) = (page::path_prefix(call)?, call.params.flag("OnlyAttached")?);
    let is_first = call.params.get("Marker").is_none_or(str::is_empty);
    let mut policies = Vec::new();
    if scope != "Local" && is_first && prefix == "/" {
        for (name, _) in builtin::all() {
            let policy = built_in(call, name).await?;
            if !only_attached || policy["AttachmentCount"] != 0 {
                policies.push(policy);
            }
        }
    }
    if scope == "AWS" {
        return Ok(json!({"Policies": policies, "IsTruncated": false}));
    }
    let page = page::of_account::<ManagedPolicy>(call, |policy| policy.path.starts_with(&prefix)).await?;
    for policy in &page.records {
        let attachments = attachments(call, &policy.reference()).await?;
        if attachments > 0 || !only_attached {
            policies.push(shapes::policy(&call.account, policy, attachments));
        }
    }
    Ok(json!({"Policies": policies, "IsTruncated": page.next.is_some(), "Marker": page.next}))
}

/// Nothing may refer to it, and it has one version.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Value, IamError> {
    let check = |policy: &ManagedPolicy| {
        if policy.versions.len() > 1 {
            let message = "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.";
            return Err(IamError::DeleteConflict(message.to_owned()));
        }
        Ok(())
    };
    let deleted = call.directory().delete(&call.account, &of_account(call).await?, check).await;
    match deleted {
        Err(IamError::DeleteConflict(message)) if message.contains("refers to it") => {
            Err(IamError::DeleteConflict("Cannot delete a policy attached to entities.".to_owned()))
        }
        other => other.map(|()| Value::Null),
    }
}

pub(crate) async fn create_version(call: &Call<'_>) -> Result<Value, IamError> {
    let (document, is_default, now) = (call.params.text("PolicyDocument")?, call.params.flag("SetAsDefault")?, call.now());
    let add = |policy: &mut ManagedPolicy| {
        let version = policy.add(document, is_default, now)?.clone();
        Ok(json!({"PolicyVersion": shapes::policy_version(&version, policy.default_version, false)}))
    };
    call.directory().change(&call.account, &of_account(call).await?, add).await
}

pub(crate) async fn get_version(call: &Call<'_>) -> Result<Value, IamError> {
    let id = call.params.text("VersionId")?;
    match named(call)? {
        PolicyRef::BuiltIn(name) if id == "v1" => Ok(json!({"PolicyVersion": shapes::built_in_version(&name)})),
        PolicyRef::BuiltIn(name) => Err(IamError::NoSuchEntity(format!("Policy {name} does not have a version {id}."))),
        policy @ PolicyRef::OfAccount(_) => {
            let policy = record_of(call, &policy).await?;
            Ok(json!({"PolicyVersion": shapes::policy_version(policy.version(id)?, policy.default_version, true)}))
        }
    }
}

pub(crate) async fn list_versions(call: &Call<'_>) -> Result<Value, IamError> {
    let versions = match named(call)? {
        PolicyRef::BuiltIn(name) => vec![shapes::built_in_version(&name)],
        policy @ PolicyRef::OfAccount(_) => {
            let policy = record_of(call, &policy).await?;
            policy.versions.iter().rev().map(|version| shapes::policy_version(version, policy.default_version, false)).collect()
        }
    };
    Ok(json!({"Versions": versions, "IsTruncated": false}))
}

pub(crate) async fn delete_version(call: &Call<'_>) -> Result<Value, IamError> {
    let id = call.params.text("VersionId")?;
    call.directory().change(&call.account, &of_account(call).await?, |policy: &mut ManagedPolicy| policy.remove(id)).await?;
    Ok(Value::Null)
}

pub(crate) async fn set_default_version(call: &Call<'_>) -> Result<Value, IamError> {
    let (id, now) = (call.params.text("VersionId")?, call.now());
    let set = |policy: &mut ManagedPolicy| {
        policy.default_version = policy.version(id)?.number;
        policy.updated = now;
        Ok(())
    };
    call.directory().change(&call.account, &of_account(call).await?, set).await?;
    Ok(Value::Null)
}

/// Who has the policy attached or as boundary: users, then groups, then roles.
pub(crate) async fn entities(call: &Call<'_>) -> Result<Value, IamError> {
    let policy = match named(call)? {
        policy @ PolicyRef::BuiltIn(_) => policy,
        policy @ PolicyRef::OfAccount(_) => {
            record_of(call, &policy).await?;
            policy
        }
    };
    let to = policy.entity(&call.account);
    let wanted = |kind: &str| call.params.get("EntityFilter").is_none_or(|filter| filter.is_empty() || filter == kind);
    let mut walk = Walk::begin(call, &[User::WHAT, Group::WHAT, Role::WHAT])?;
    let users = if wanted("User") { walk.referring::<User>(&to).await? } else { Vec::new() };
    let groups = if wanted("Group") { walk.referring::<Group>(&to).await? } else { Vec::new() };
    let roles = if wanted("Role") { walk.referring::<Role>(&to).await? } else { Vec::new() };
    let users: Vec<Value> = users.iter().map(|user| json!({"UserName": user.name, "UserId": user.id})).collect();
    let groups: Vec<Value> = groups.iter().map(|group| json!({"GroupName": group.name, "GroupId": group.id})).collect();
    let roles: Vec<Value> = roles.iter().map(|role| json!({"RoleName": role.name, "RoleId": role.id})).collect();
    Ok(json!({
        "PolicyUsers": users, "PolicyGroups": groups, "PolicyRoles": roles, "IsTruncated": walk.next.is_some(), "Marker": walk.next,
    }))
}

/// One of the server's, with how many of the account have it.
async fn built_in(call: &Call<'_>, name: &str) -> Result<Value, IamError> {
    Ok(shapes::built_in_policy(name, attachments(call, &PolicyRef::BuiltIn(name.to_owned())).await?))
}

pub(super) async fn attachments(call: &Call<'_>, policy: &PolicyRef) -> Result<u64, IamError> {
    call.directory().count_referring(policy.entity(&call.account)).await
}

fn named(call: &Call<'_>) -> Result<PolicyRef, IamError> {
    PolicyRef::parse(call.params.text("PolicyArn")?, &call.account)
}

/// The policy that a parameter names, if it is there.
pub(crate) async fn existing(call: &Call<'_>, parameter: &'static str) -> Result<PolicyRef, IamError> {
    let policy = PolicyRef::parse(call.params.text(parameter)?, &call.account)?;
    if matches!(policy, PolicyRef::OfAccount(_)) {
        record_of(call, &policy).await?;
    }
    Ok(policy)
}

/// The policy under this very path.
pub(crate) async fn record_of(call: &Call<'_>, policy: &PolicyRef) -> Result<ManagedPolicy, IamError> {
    record_in(call, &call.account, policy).await
}

/// The same in another account than the caller's.
pub(crate) async fn record_in(call: &Call<'_>, account: &str, policy: &PolicyRef) -> Result<ManagedPolicy, IamError> {
    let found = call.directory().find::<ManagedPolicy>(account, policy.name()).await?;
    let is_meant = |found: &ManagedPolicy| arn::policy(account, &found.path, &found.name) == policy.arn(account);
    let missing = || IamError::NoSuchEntity(format!("Policy {} was not found.", policy.arn(account)));
    found.map(|seen| seen.record).filter(is_meant).ok_or_else(missing)
}

/// The policy that is to be changed, which those of the server cannot be.
pub(crate) async fn of_account(call: &Call<'_>) -> Result<String, IamError> {
    match named(call)? {
        policy @ PolicyRef::OfAccount(_) => Ok(record_of(call, &policy).await?.name),
        PolicyRef::BuiltIn(name) => Err(IamError::AccessDenied(format!("The policy {name} is part of the server and cannot be changed."))),
    }
}
