//! `mc admin user svcacct …` and `mc admin accesskey …`

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use strongroom_iam::IamError;
use strongroom_kms::Secret;

use super::asked::{Asked, done, text};
use crate::http::{Answer, ApiError};

/// As MinIO spells that a key does not expire.
const NO_END: &str = "1970-01-01T00:00:00Z";

/// What `mc` sends of a new service account, encrypted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct NewAccount {
    policy: Value,
    target_user: String,
    access_key: String,
    secret_key: Secret,
    name: String,
    description: String,
    expiration: Option<String>,
}

/// What `mc` sends to change one, encrypted. What is empty stays as it is.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Change {
    #[serde(rename = "newPolicy")]
    policy: Value,
    #[serde(rename = "newSecretKey")]
    secret_key: Secret,
    #[serde(rename = "newStatus")]
    status: String,
    #[serde(rename = "newName")]
    name: String,
    #[serde(rename = "newDescription")]
    description: String,
    #[serde(rename = "newExpiration")]
    expiration: Option<String>,
}

pub(super) async fn add(asked: Asked) -> Result<Answer, ApiError> {
    let given: NewAccount = asked.opened().await?;
    let params = json!({
        "UserName": filled(&given.target_user), "AccessKeyId": filled(&given.access_key), "SecretAccessKey": filled(given.secret_key.expose()),
        "Name": filled(&given.name), "Description": filled(&given.description), "PolicyDocument": policy(&given.policy),
        "Expiration": expiration(given.expiration.as_deref()).filter(|at| !at.is_empty()),
    });
    let made = asked.run("CreateServiceAccount", params).await?;
    let made = &made["ServiceAccount"];
    let mut credentials = json!({"accessKey": made["AccessKeyId"], "secretKey": made["SecretAccessKey"]});
    if !made["Expiration"].is_null() {
        credentials["expiration"] = made["Expiration"].clone();
    }
    asked.sealed(&json!({"credentials": credentials})).await
}

pub(super) async fn update(asked: Asked) -> Result<Answer, ApiError> {
    let key = json!({"AccessKeyId": asked.one("accessKey")?});
    asked.permit(&["UpdateServiceAccount"], &key).await?;
    let given: Change = asked.opened().await?;
    let status = match given.status.as_str() {
        "" => None,
        "on" | "enabled" => Some("Active"),
        "off" | "disabled" => Some("Inactive"),
        _ => return Err(ApiError::invalid("newStatus: expected on or off")),
    };
    let params = json!({
        "AccessKeyId": key["AccessKeyId"], "SecretAccessKey": filled(given.secret_key.expose()), "Name": filled(&given.name),
        "Description": filled(&given.description), "PolicyDocument": policy(&given.policy), "Status": status,
        "Expiration": expiration(given.expiration.as_deref()),
    });
    asked.run("UpdateServiceAccount", params).await?;
    Ok(done(StatusCode::NO_CONTENT))
}

pub(super) async fn list(asked: Asked) -> Result<Answer, ApiError> {
    let accounts = of_user(&asked, asked.optional("user")).await?;
    asked.sealed(&json!({"accounts": accounts})).await
}

/// Of the users that are named, of all, or of who asks. Keys that are no service accounts go by the names of their users.
pub(super) async fn list_of_many(asked: Asked) -> Result<Answer, ApiError> {
    let is_of_all = asked.optional("all") == Some("true");
    let names: Vec<String> = if is_of_all {
        asked.permit(&["ListUsers", "ListServiceAccounts"], &json!({})).await?;
        let users = asked.pages("ListUsers", json!({}), "Users").await?;
        users.iter().map(|user| text(user, "UserName").to_owned()).collect()
    } else {
        let named = asked.all("users");
        if named.is_empty() {
            asked.user_name().map(str::to_owned).into_iter().collect()
        } else {
            named.into_iter().map(str::to_owned).collect()
        }
    };
    let wants_accounts = asked.optional("listType") != Some("users-only");
    let mut found = Map::new();
    for name in names {
        let accounts = if wants_accounts { of_user(&asked, Some(&name)).await? } else { Vec::new() };
        found.insert(name, json!({"serviceAccounts": accounts, "stsKeys": []}));
    }
    asked.sealed(&Value::Object(found)).await
}

async fn of_user(asked: &Asked, user: Option<&str>) -> Result<Vec<Value>, IamError> {
    let found = asked.pages("ListServiceAccounts", json!({"UserName": user}), "ServiceAccounts").await?;
    Ok(found.iter().map(described).collect())
}

pub(super) async fn info(asked: Asked) -> Result<Answer, ApiError> {
    let key = described_key(&asked).await?;
    if key["IsServiceAccount"] == false {
        let message = format!("The service account with access key {} cannot be found.", text(&key, "AccessKeyId"));
        return Err(IamError::NoSuchEntity(message).into());
    }
    asked.sealed(&with_policy(&key)).await
}

pub(super) async fn info_of_key(asked: Asked) -> Result<Answer, ApiError> {
    let key = described_key(&asked).await?;
    let mut shown = with_policy(&key);
    shown["AccessKey"] = key["AccessKeyId"].clone();
    shown["userProvider"] = json!("builtin");
    shown["userType"] = json!(if key["IsServiceAccount"] == true { "Service Account" } else { "User" });
    asked.sealed(&shown).await
}

pub(super) async fn delete(asked: Asked) -> Result<Answer, ApiError> {
    asked.run("DeleteServiceAccount", json!({"AccessKeyId": asked.one("accessKey")?})).await?;
    Ok(done(StatusCode::NO_CONTENT))
}

async fn described_key(asked: &Asked) -> Result<Value, ApiError> {
    let mut found = asked.run("DescribeAccessKey", json!({"AccessKeyId": asked.one("accessKey")?})).await?;
    Ok(found["AccessKey"].take())
}

fn with_policy(key: &Value) -> Value {
    let mut shown = described(key);
    shown["policy"] = json!(text(key, "PolicyDocument"));
    shown["parentUserStatus"] = key["UserStatus"].clone();
    shown
}

fn described(key: &Value) -> Value {
    let status = if key["Status"] == "Active" { "on" } else { "off" };
    let mut shown = json!({
        "parentUser": key["UserName"], "accountStatus": status, "impliedPolicy": key["PolicyDocument"].is_null(), "accessKey": key["AccessKeyId"],
    });
    // mc wants a time in every row; the beginning of time means no end.
    shown["expiration"] = json!(key["Expiration"].as_str().unwrap_or(NO_END));
    for (name, field) in [("name", "Name"), ("description", "Description")] {
        if !key[field].is_null() {
            shown[name] = key[field].clone();
        }
    }
    shown
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// A policy is sent as JSON; none leaves things as they are.
fn policy(given: &Value) -> Option<String> {
    match given {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        document => Some(document.to_string()),
    }
}

/// The beginning of time means no end. None leaves things as they are.
fn expiration(given: Option<&str>) -> Option<&str> {
    match given {
        Some(at) if at.starts_with("1970-01-01T00:00:00") || at.starts_with("0001-01-01T00:00:00") => Some(""),
        other => other,
    }
}
