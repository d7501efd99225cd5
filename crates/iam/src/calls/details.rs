//! All identities of an account with their policies, for those who audit it.

use serde_json::{Value, json};

use super::{page::Walk, shapes};
use crate::{
    IamError,
    call::Call,
    directory::Record as _,
    model::{Group, ManagedPolicy, Policies, Role, User},
};

/// What `Filter` may name, each with the kind that it stands for.
const FILTERS: [(&str, &str); 4] =
    [("User", User::WHAT), ("Group", Group::WHAT), ("Role", Role::WHAT), ("LocalManagedPolicy", ManagedPolicy::WHAT)];
/// Policies of the server: they do not change, and ListPolicies shows them.
const OF_SERVER: &str = "AWSManagedPolicy";

/// Users, then groups, roles and managed policies, by pages. Source: "GetAccountAuthorizationDetails" in the API reference of IAM.
pub(crate) async fn authorization(call: &Call<'_>) -> Result<Value, IamError> {
    let wanted = wanted_kinds(call)?;
    let account = call.account.as_str();
    let mut walk = Walk::begin(call, &FILTERS.map(|(_, kind)| kind))?;
    let users: Vec<User> = if wanted.contains(&User::WHAT) { walk.all().await? } else { Vec::new() };
    let groups: Vec<Group> = if wanted.contains(&Group::WHAT) { walk.all().await? } else { Vec::new() };
    let roles: Vec<Role> = if wanted.contains(&Role::WHAT) { walk.all().await? } else { Vec::new() };
    let found: Vec<ManagedPolicy> = if wanted.contains(&ManagedPolicy::WHAT) { walk.all().await? } else { Vec::new() };
    let mut policies = Vec::new();
    for policy in &found {
        policies.push(managed(call, policy).await?);
    }
    Ok(json!({
        "UserDetailList": users.iter().map(|user| self::user(account, user)).collect::<Vec<_>>(),
        "GroupDetailList": groups.iter().map(|group| self::group(account, group)).collect::<Vec<_>>(),
        "RoleDetailList": roles.iter().map(|role| self::role(account, role)).collect::<Vec<_>>(),
        "Policies": policies, "IsTruncated": walk.next.is_some(), "Marker": walk.next,
    }))
}

fn wanted_kinds(call: &Call<'_>) -> Result<Vec<&'static str>, IamError> {
    let filters = call.params.list("Filter");
    if filters.is_empty() {
        return Ok(FILTERS.map(|(_, kind)| kind).to_vec());
    }
    let mut kinds = Vec::new();
    for filter in filters.iter().filter(|filter| *filter != OF_SERVER) {
        let found = FILTERS.iter().find(|(name, _)| name == filter).map(|(_, kind)| *kind);
        let unknown = || IamError::validation(format!("Filter must be User, Group, Role, LocalManagedPolicy or {OF_SERVER}."));
        kinds.push(found.ok_or_else(unknown)?);
    }
    Ok(kinds)
}

fn user(account: &str, user: &User) -> Value {
    let mut shown = shapes::user(account, user);
    shown["GroupList"] = json!(user.groups);
    with_policies(shown, "UserPolicyList", account, &user.policies)
}

fn group(account: &str, group: &Group) -> Value {
    with_policies(shapes::group(account, group), "GroupPolicyList", account, &group.policies)
}

fn role(account: &str, role: &Role) -> Value {
    let mut shown = shapes::role(account, role);
    shown["InstanceProfileList"] = json!([]);
    with_policies(shown, "RolePolicyList", account, &role.policies)
}

fn with_policies(mut shown: Value, list: &str, account: &str, policies: &Policies) -> Value {
    let inline = policies.inline.iter().map(|(name, document)| json!({"PolicyName": name, "PolicyDocument": document}));
    shown[list] = inline.collect();
    shown["AttachedManagedPolicies"] = policies.attached.iter().map(|policy| shapes::attached(account, policy)).collect();
    shown
}

async fn managed(call: &Call<'_>, policy: &ManagedPolicy) -> Result<Value, IamError> {
    let mut shown = shapes::policy(&call.account, policy, super::policies::attachments(call, &policy.reference()).await?);
    let versions = policy.versions.iter().rev().map(|version| shapes::policy_version(version, policy.default_version, true));
    shown["PolicyVersionList"] = versions.collect();
    Ok(shown)
}
