//! `mc admin user …`

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use strongroom_iam::IamError;
use strongroom_kms::Secret;

use super::asked::{Asked, done, policy_names, shown, text};
use crate::http::{Answer, ApiError};

/// What `mc` sends of a user, encrypted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewUser {
    #[serde(default)]
    secret_key: Secret,
    /// Names of policies with commas between them.
    #[serde(default)]
    policy: String,
    #[serde(default)]
    status: String,
}

/// Adds a user with an access key of the same name, or gives that another secret.
pub(super) async fn add(asked: Asked) -> Result<Answer, ApiError> {
    let name = asked.one("accessKey")?;
    let user = json!({"UserName": name});
    asked.permit(&["CreateUser", "PutAccessKey", "SetUserStatus"], &user).await?;
    let given: NewUser = asked.opened().await?;
    let is_new = match asked.run("CreateUser", user.clone()).await {
        Ok(_) => true,
        Err(IamError::EntityAlreadyExists(_)) => false,
        Err(error) => return Err(error.into()),
    };
    if let Err(error) = complete(&asked, name, &given, is_new).await {
        // Nothing is left of a user who could not be made whole.
        if is_new && let Err(error) = clear(&asked, name).await {
            tracing::warn!(%error, "a user who could not be made whole was not taken back");
        }
        return Err(error.into());
    }
    Ok(done(StatusCode::OK))
}

async fn complete(asked: &Asked, name: &str, given: &NewUser, is_new: bool) -> Result<(), IamError> {
    if is_new || !given.secret_key.expose().is_empty() {
        let key = json!({"UserName": name, "AccessKeyId": name, "SecretAccessKey": given.secret_key.expose()});
        asked.run("PutAccessKey", key).await?;
    }
    if !given.status.is_empty() {
        asked.run("SetUserStatus", json!({"UserName": name, "Status": given.status})).await?;
    }
    for policy in given.policy.split(',').filter(|policy| !policy.is_empty()) {
        asked.run_for_policy("AttachUserPolicy", policy, &json!({"UserName": name})).await?;
    }
    Ok(())
}

/// Removes a user with its keys, memberships and policies. What was done when something fails need not be done again.
pub(super) async fn remove(asked: Asked) -> Result<Answer, ApiError> {
    let name = asked.one("accessKey")?;
    let needed = ["ListAccessKeys", "DeleteAccessKey", "DescribeUser", "DetachUserPolicy", "DeleteUserPolicy", "DeleteUser"];
    asked.permit(&needed, &json!({"UserName": name})).await?;
    clear(&asked, name).await?;
    Ok(done(StatusCode::OK))
}

/// First the keys: from then on nobody acts as the user.
async fn clear(asked: &Asked, name: &str) -> Result<(), IamError> {
    let user = json!({"UserName": name});
    for (list, items, delete) in
        [("ListAccessKeys", "AccessKeyMetadata", "DeleteAccessKey"), ("ListServiceAccounts", "ServiceAccounts", "DeleteServiceAccount")]
    {
        for key in asked.pages(list, user.clone(), items).await? {
            let mut params = json!({"AccessKeyId": key["AccessKeyId"]});
            if delete == "DeleteAccessKey" {
                params["UserName"] = json!(name);
            }
            asked.run(delete, params).await?;
        }
    }
    let described = asked.run("DescribeUser", user.clone()).await?;
    for group in described["User"]["Groups"].as_array().into_iter().flatten() {
        asked.run("RemoveUserFromGroup", json!({"GroupName": group, "UserName": name})).await?;
    }
    for policy in described["User"]["AttachedPolicies"].as_array().into_iter().flatten() {
        asked.run("DetachUserPolicy", json!({"UserName": name, "PolicyArn": policy["PolicyArn"]})).await?;
    }
    for policy in described["User"]["InlinePolicies"].as_array().into_iter().flatten() {
        asked.run("DeleteUserPolicy", json!({"UserName": name, "PolicyName": policy})).await?;
    }
    asked.run("DeleteUser", user).await?;
    Ok(())
}

pub(super) async fn list(asked: Asked) -> Result<Answer, ApiError> {
    let users = asked.pages("DescribeUsers", json!({}), "Users").await?;
    let users: Map<String, Value> = users.iter().map(|user| (text(user, "UserName").to_owned(), described(user))).collect();
    asked.sealed(&Value::Object(users)).await
}

pub(super) async fn info(asked: Asked) -> Result<Answer, ApiError> {
    let user = asked.run("DescribeUser", json!({"UserName": asked.one("accessKey")?})).await?;
    shown(&described(&user["User"]))
}

pub(super) async fn set_status(asked: Asked) -> Result<Answer, ApiError> {
    let params = json!({"UserName": asked.one("accessKey")?, "Status": asked.one("status")?});
    asked.run("SetUserStatus", params).await?;
    Ok(done(StatusCode::OK))
}

fn described(user: &Value) -> Value {
    json!({"policyName": policy_names(user).join(","), "status": user["Status"], "memberOf": user["Groups"], "updatedAt": user["CreateDate"]})
}
