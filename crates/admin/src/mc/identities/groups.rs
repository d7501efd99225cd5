//! `mc admin group …`

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use strongroom_iam::IamError;

use super::asked::{Asked, done, policy_names, shown};
use crate::http::{Answer, ApiError};

/// What `mc` sends of a group.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    group: String,
    #[serde(default)]
    members: Option<Vec<String>>,
    #[serde(default)]
    group_status: String,
    #[serde(default)]
    is_remove: bool,
}

/// Adds members, and the group where there is none; removes members; or removes the group where none are named.
pub(super) async fn update(asked: Asked) -> Result<Answer, ApiError> {
    let Change { group, members, group_status, is_remove } = asked.plain()?;
    let members = members.unwrap_or_default();
    let named = json!({"GroupName": group});
    match (is_remove, members.is_empty()) {
        (true, true) => remove(&asked, &named).await?,
        (true, false) => each(&asked, "RemoveUserFromGroup", &group, &members).await?,
        (false, _) => add(&asked, &named, &group, &members, &group_status).await?,
    }
    Ok(done(StatusCode::OK))
}

async fn add(asked: &Asked, named: &Value, group: &str, members: &[String], status: &str) -> Result<(), IamError> {
    asked.permit(&["CreateGroup", "AddUserToGroup"], named).await?;
    let is_new = match asked.run("CreateGroup", named.clone()).await {
        Ok(_) => true,
        Err(IamError::EntityAlreadyExists(_)) => false,
        Err(error) => return Err(error),
    };
    let added = each(asked, "AddUserToGroup", group, members).await;
    if let Err(error) = added {
        // A group without members, made for one who is not there, would be in the way. With members it stays.
        if is_new && let Err(error) = asked.run("DeleteGroup", named.clone()).await {
            tracing::warn!(%error, "a group whose members could not be added was not taken back");
        }
        return Err(error);
    }
    if status == "disabled" {
        asked.run("SetGroupStatus", json!({"GroupName": group, "Status": status})).await?;
    }
    Ok(())
}

async fn each(asked: &Asked, name: &str, group: &str, members: &[String]) -> Result<(), IamError> {
    for member in members {
        asked.run(name, json!({"GroupName": group, "UserName": member})).await?;
    }
    Ok(())
}

/// A group with members is not deleted, so it keeps its policies then.
async fn remove(asked: &Asked, named: &Value) -> Result<(), IamError> {
    asked.permit(&["DetachGroupPolicy", "DeleteGroupPolicy", "DeleteGroup"], named).await?;
    let mut first = named.clone();
    first["MaxItems"] = json!(1);
    let members = asked.run("GetGroup", first).await?;
    if members["Users"].as_array().is_some_and(|users| !users.is_empty()) {
        return Err(IamError::DeleteConflict("Cannot delete entity, must remove users from group first.".to_owned()));
    }
    let described = asked.run("DescribeGroup", named.clone()).await?;
    let with = |name: &str, value: &Value| {
        let mut params = named.clone();
        params[name] = value.clone();
        params
    };
    for policy in described["Group"]["AttachedPolicies"].as_array().into_iter().flatten() {
        asked.run("DetachGroupPolicy", with("PolicyArn", &policy["PolicyArn"])).await?;
    }
    for policy in described["Group"]["InlinePolicies"].as_array().into_iter().flatten() {
        asked.run("DeleteGroupPolicy", with("PolicyName", policy)).await?;
    }
    asked.run("DeleteGroup", named.clone()).await.map(drop)
}

pub(super) async fn info(asked: Asked) -> Result<Answer, ApiError> {
    let named = json!({"GroupName": asked.one("group")?});
    let described = asked.run("DescribeGroup", named.clone()).await?;
    let members = asked.pages("GetGroup", named, "Users").await?;
    let members: Vec<&Value> = members.iter().map(|user| &user["UserName"]).collect();
    let group = &described["Group"];
    shown(&json!({
        "name": group["GroupName"], "status": group["Status"], "members": members, "policy": policy_names(group).join(","),
        "updatedAt": group["CreateDate"],
    }))
}

pub(super) async fn list(asked: Asked) -> Result<Answer, ApiError> {
    let groups = asked.pages("ListGroups", json!({}), "Groups").await?;
    shown(&groups.iter().map(|group| group["GroupName"].clone()).collect())
}

pub(super) async fn set_status(asked: Asked) -> Result<Answer, ApiError> {
    asked.run("SetGroupStatus", json!({"GroupName": asked.one("group")?, "Status": asked.one("status")?})).await?;
    Ok(done(StatusCode::OK))
}
