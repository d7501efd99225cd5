//! `mc admin policy …`: managed policies by their names. One of the account goes before one of the same name that every account has.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use strongroom_iam::IamError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::asked::{Asked, done, policy_names, shown, text};
use crate::http::{Answer, ApiError};

/// A policy has so many versions at the most.
const MAX_VERSIONS: usize = 5;

/// What `mc` sends of policies and who is to have them, encrypted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Association {
    policies: Vec<String>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    group: String,
}

/// Makes a policy, or puts another version of it in force.
pub(super) async fn put(asked: Asked) -> Result<Answer, ApiError> {
    let (name, document) = (asked.one("name")?, asked.text()?);
    let [arn, _] = asked.arns(name);
    let named = json!({"PolicyName": name, "PolicyArn": arn});
    asked.permit(&["CreatePolicy", "ListPolicyVersions", "CreatePolicyVersion", "DeletePolicyVersion"], &named).await?;
    match asked.run("CreatePolicy", json!({"PolicyName": name, "PolicyDocument": document})).await {
        Err(IamError::EntityAlreadyExists(_)) => {}
        other => return Ok(other.map(|_| done(StatusCode::OK))?),
    }
    let versions = asked.pages("ListPolicyVersions", json!({"PolicyArn": arn}), "Versions").await?;
    if versions.len() >= MAX_VERSIONS
        && let Some(oldest) = versions.iter().rfind(|version| version["IsDefaultVersion"] == false)
    {
        asked.run("DeletePolicyVersion", json!({"PolicyArn": arn, "VersionId": oldest["VersionId"]})).await?;
    }
    asked.run("CreatePolicyVersion", json!({"PolicyArn": arn, "PolicyDocument": document, "SetAsDefault": true})).await?;
    Ok(done(StatusCode::OK))
}

pub(super) async fn list(asked: Asked) -> Result<Answer, ApiError> {
    let mut policies = Map::new();
    for policy in asked.pages("ListPolicies", json!({}), "Policies").await?.iter().filter(|policy| policy["Path"] == "/") {
        let name = text(policy, "PolicyName").to_owned();
        let is_own = !text(policy, "Arn").starts_with("arn:aws:iam::aws:");
        if is_own || !policies.contains_key(&name) {
            policies.insert(name, document(&asked, policy).await?);
        }
    }
    shown(&Value::Object(policies))
}

pub(super) async fn info(asked: Asked) -> Result<Answer, ApiError> {
    let policy = asked.run_for_policy("GetPolicy", asked.one("name")?, &json!({})).await?;
    let policy = &policy["Policy"];
    let document = document(&asked, policy).await?;
    if asked.optional("v").is_none() {
        return shown(&document);
    }
    shown(&json!({
        "PolicyName": policy["PolicyName"], "Policy": document, "CreateDate": policy["CreateDate"], "UpdateDate": policy["UpdateDate"],
    }))
}

/// What the policy says.
async fn document(asked: &Asked, policy: &Value) -> Result<Value, IamError> {
    let params = json!({"PolicyArn": policy["Arn"], "VersionId": policy["DefaultVersionId"]});
    let version = asked.run("GetPolicyVersion", params).await?;
    Ok(serde_json::from_str(text(&version["PolicyVersion"], "Document")).unwrap_or_default())
}

pub(super) async fn remove(asked: Asked) -> Result<Answer, ApiError> {
    let [arn, _] = asked.arns(asked.one("name")?);
    let named = json!({"PolicyArn": arn});
    asked.permit(&["GetPolicy", "ListPolicyVersions", "DeletePolicyVersion", "DeletePolicy"], &named).await?;
    let holders = asked.run("GetPolicy", named.clone()).await?;
    if holders["Policy"]["AttachmentCount"] != 0 {
        return Err(IamError::DeleteConflict("Cannot delete a policy attached to entities.".to_owned()).into());
    }
    for version in asked.pages("ListPolicyVersions", named.clone(), "Versions").await? {
        if version["IsDefaultVersion"] == false {
            asked.run("DeletePolicyVersion", json!({"PolicyArn": arn, "VersionId": version["VersionId"]})).await?;
        }
    }
    asked.run("DeletePolicy", named).await?;
    Ok(done(StatusCode::OK))
}

pub(super) async fn attach(asked: Asked) -> Result<Answer, ApiError> {
    associate(asked, "Attach", "policiesAttached").await
}

pub(super) async fn detach(asked: Asked) -> Result<Answer, ApiError> {
    associate(asked, "Detach", "policiesDetached").await
}

async fn associate(asked: Asked, verb: &str, told: &str) -> Result<Answer, ApiError> {
    let Association { policies, user, group } = asked.opened().await?;
    let (noun, name) = match (user.as_str(), group.as_str()) {
        ("", "") => return Err(ApiError::invalid("expected a user or a group")),
        (user, "") => ("User", user),
        ("", group) => ("Group", group),
        _ => return Err(ApiError::invalid("expected a user or a group, not both")),
    };
    let holder = json!({format!("{noun}Name"): name});
    for policy in &policies {
        asked.run_for_policy(&format!("{verb}{noun}Policy"), policy, &holder).await?;
    }
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    asked.sealed(&json!({told: policies, "updatedAt": now})).await
}

/// Who has which policies: of those named, or of all.
pub(super) async fn entities(asked: Asked) -> Result<Answer, ApiError> {
    asked.permit(&["DescribeUsers", "ListGroups"], &json!({})).await?;
    let (users, groups, policies) = (asked.all("user"), asked.all("group"), asked.all("policy"));
    let of_all = users.is_empty() && groups.is_empty() && policies.is_empty();
    let of_groups = groups_with_policies(&asked).await?;
    let mut of_users = Vec::new();
    for user in asked.pages("DescribeUsers", json!({}), "Users").await? {
        let member_of: Vec<&Value> = user["Groups"].as_array().into_iter().flatten().collect();
        let mappings: Vec<&Value> = of_groups.iter().filter(|group| member_of.contains(&&group["group"])).collect();
        of_users.push(json!({"user": user["UserName"], "policies": policy_names(&user), "memberOfMappings": mappings}));
    }
    let is_named =
        |names: &[&str], value: &Value| names.iter().any(|name| value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(name)));
    let has_any = |holder: &&Value| holder["policies"].as_array().is_some_and(|held| !held.is_empty());
    let user_mappings: Vec<&Value> =
        of_users.iter().filter(|user| if of_all { has_any(user) } else { is_named(&users, &user["user"]) }).collect();
    let group_mappings: Vec<&Value> =
        of_groups.iter().filter(|group| if of_all { has_any(group) } else { is_named(&groups, &group["group"]) }).collect();
    let mut policy_mappings = Vec::new();
    for policy in held(&of_users, &of_groups).into_iter().filter(|policy| of_all || is_named(&policies, &json!(policy))) {
        let holders = |all: &[Value], name: &str| -> Vec<Value> {
            let has = |holder: &&Value| holder["policies"].as_array().is_some_and(|held| held.contains(&json!(policy)));
            all.iter().filter(has).map(|holder| holder[name].clone()).collect()
        };
        policy_mappings.push(json!({"policy": policy, "users": holders(&of_users, "user"), "groups": holders(&of_groups, "group")}));
    }
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let answer = json!({
        "timestamp": now, "userMappings": user_mappings, "groupMappings": group_mappings, "policyMappings": policy_mappings,
    });
    asked.sealed(&answer).await
}

async fn groups_with_policies(asked: &Asked) -> Result<Vec<Value>, IamError> {
    let mut groups = Vec::new();
    for group in asked.pages("ListGroups", json!({}), "Groups").await? {
        let described = asked.run("DescribeGroup", json!({"GroupName": group["GroupName"]})).await?;
        groups.push(json!({"group": group["GroupName"], "policies": policy_names(&described["Group"])}));
    }
    Ok(groups)
}

/// The names of all policies that somebody has, in order.
fn held(users: &[Value], groups: &[Value]) -> std::collections::BTreeSet<String> {
    let policies = users.iter().chain(groups).flat_map(|holder| holder["policies"].as_array().into_iter().flatten());
    policies.filter_map(Value::as_str).map(str::to_owned).collect()
}
