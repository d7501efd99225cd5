//! How answers show entities. Source: the data types in the API reference of IAM.

use serde_json::{Value, json};
use strongroom_access::arn;
use strongroom_catalog::UnixMillis;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    builtin,
    model::{AccessKey, Account, Group, ManagedPolicy, PolicyRef, PolicyVersion, Role, Tags, User},
};

/// When the policies of this server were made, as far as clients ask.
const BUILT_IN_DATE: UnixMillis = 1_735_689_600_000;

/// Seconds are what IAM shows.
pub(crate) fn date(at: UnixMillis) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).unwrap_or_default()
}

pub(crate) fn tags(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

pub(crate) fn user(account: &str, user: &User) -> Value {
    json!({
        "Path": user.path, "UserName": user.name, "UserId": user.id, "Arn": arn::user(account, &user.path, &user.name),
        "CreateDate": date(user.created), "Tags": some_tags(&user.tags),
        "PermissionsBoundary": boundary(account, user.boundary.as_ref()),
    })
}

pub(crate) fn group(account: &str, group: &Group) -> Value {
    json!({
        "Path": group.path, "GroupName": group.name, "GroupId": group.id, "Arn": arn::group(account, &group.path, &group.name),
        "CreateDate": date(group.created),
    })
}

pub(crate) fn role(account: &str, role: &Role) -> Value {
    json!({
        "Path": role.path, "RoleName": role.name, "RoleId": role.id, "Arn": arn::role(account, &role.path, &role.name),
        "CreateDate": date(role.created), "AssumeRolePolicyDocument": role.trust,
        "Description": Some(&role.description).filter(|text| !text.is_empty()), "MaxSessionDuration": role.max_session_seconds,
        "Tags": some_tags(&role.tags), "PermissionsBoundary": boundary(account, role.boundary.as_ref()),
    })
}

/// `attachments` counts what refers to it.
pub(crate) fn policy(account: &str, policy: &ManagedPolicy, attachments: u64) -> Value {
    json!({
        "PolicyName": policy.name, "PolicyId": policy.id, "Arn": arn::policy(account, &policy.path, &policy.name), "Path": policy.path,
        "DefaultVersionId": format!("v{}", policy.default_version), "AttachmentCount": attachments, "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true, "Description": Some(&policy.description).filter(|text| !text.is_empty()),
        "CreateDate": date(policy.created), "UpdateDate": date(policy.updated), "Tags": some_tags(&policy.tags),
    })
}

pub(crate) fn built_in_policy(name: &str, attachments: u64) -> Value {
    json!({
        "PolicyName": name, "PolicyId": format!("ANPA{}", name.to_ascii_uppercase()), "Arn": arn::policy("aws", "/", name), "Path": "/",
        "DefaultVersionId": "v1", "AttachmentCount": attachments, "PermissionsBoundaryUsageCount": 0, "IsAttachable": true,
        "CreateDate": date(BUILT_IN_DATE), "UpdateDate": date(BUILT_IN_DATE),
    })
}

pub(crate) fn policy_version(version: &PolicyVersion, default_version: u32, with_document: bool) -> Value {
    json!({
        "Document": with_document.then_some(&version.document), "VersionId": version.id(),
        "IsDefaultVersion": version.number == default_version, "CreateDate": date(version.created),
    })
}

pub(crate) fn built_in_version(name: &str) -> Value {
    json!({"Document": builtin::find(name), "VersionId": "v1", "IsDefaultVersion": true, "CreateDate": date(BUILT_IN_DATE)})
}

pub(crate) fn account(account: &Account) -> Value {
    json!({"AccountId": account.id, "AccountName": account.name, "Arn": arn::root(&account.id), "CreateDate": date(account.created)})
}

/// The key of a root has no user.
pub(crate) fn access_key(key: &AccessKey) -> Value {
    let user = Some(&key.user).filter(|user| !user.is_empty());
    json!({"UserName": user, "AccessKeyId": key.id, "Status": key.status.as_str(), "CreateDate": date(key.created)})
}

pub(crate) fn attached(account: &str, policy: &PolicyRef) -> Value {
    json!({"PolicyName": policy.name(), "PolicyArn": policy.arn(account)})
}

fn boundary(account: &str, policy: Option<&PolicyRef>) -> Option<Value> {
    policy.map(|policy| json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": policy.arn(account)}))
}

fn some_tags(of: &Tags) -> Option<Value> {
    (of.iter().count() > 0).then(|| tags(of))
}
