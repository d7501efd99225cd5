//! Users and groups with all that belongs to them, and switching them on and off: what MinIO has beside the calls of AWS.

use serde_json::{Value, json};

use super::{page, service_accounts::status_of, shapes};
use crate::{
    IamError,
    call::Call,
    model::{Group, Policies, User},
};

/// `DescribeUsers`: a page of all users, each as [`user`] shows it.
pub(crate) async fn users(call: &Call<'_>) -> Result<Value, IamError> {
    let prefix = page::path_prefix(call)?;
    let page = page::of_account::<User>(call, |user| user.path.starts_with(&prefix)).await?;
    Ok(page.answer("Users", |user| shape(call, user)))
}

/// `DescribeUser`
pub(crate) async fn user(call: &Call<'_>) -> Result<Value, IamError> {
    let user = call.directory().get::<User>(&call.account, call.params.text("UserName")?).await?.record;
    Ok(json!({"User": shape(call, &user)}))
}

/// `DescribeGroup`, without its members, which GetGroup lists by pages.
pub(crate) async fn group(call: &Call<'_>) -> Result<Value, IamError> {
    let group = call.directory().get::<Group>(&call.account, call.params.text("GroupName")?).await?.record;
    let mut shown = shapes::group(&call.account, &group);
    shown["Status"] = json!(status_of(group.enabled));
    Ok(json!({"Group": with_policies(shown, call, &group.policies)}))
}

/// `SetUserStatus`: the keys and sessions of a user who is disabled are refused.
pub(crate) async fn set_user_status(call: &Call<'_>) -> Result<Value, IamError> {
    let enabled = wanted(call)?;
    let set = |user: &mut User| {
        user.enabled = enabled;
        Ok(())
    };
    call.directory().change(&call.account, call.params.text("UserName")?, set).await?;
    Ok(Value::Null)
}

/// `SetGroupStatus`: the policies of a group that is disabled do not count, those that deny neither.
pub(crate) async fn set_group_status(call: &Call<'_>) -> Result<Value, IamError> {
    let enabled = wanted(call)?;
    let set = |group: &mut Group| {
        group.enabled = enabled;
        Ok(())
    };
    call.directory().change(&call.account, call.params.text("GroupName")?, set).await?;
    Ok(Value::Null)
}

fn wanted(call: &Call<'_>) -> Result<bool, IamError> {
    match call.params.text("Status")? {
        "enabled" => Ok(true),
        "disabled" => Ok(false),
        _ => Err(IamError::validation("Status must be enabled or disabled.")),
    }
}

fn shape(call: &Call<'_>, user: &User) -> Value {
    let mut shown = shapes::user(&call.account, user);
    shown["Status"] = json!(status_of(user.enabled));
    shown["Groups"] = json!(user.groups);
    with_policies(shown, call, &user.policies)
}

fn with_policies(mut shown: Value, call: &Call<'_>, policies: &Policies) -> Value {
    shown["AttachedPolicies"] = policies.attached.iter().map(|policy| shapes::attached(&call.account, policy)).collect();
    shown["InlinePolicies"] = policies.inline.keys().map(|name| json!(name)).collect();
    shown
}
