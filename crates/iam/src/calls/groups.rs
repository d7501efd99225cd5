//! Groups and their members.

use serde_json::{Value, json};

use super::{page, shapes};
use crate::{
    IamError,
    call::Call,
    directory::{Changes, exists, missing},
    model::{Group, Policies, User, group::MAX_NAME},
    name::{self, IdOf},
};

/// A group that is renamed takes all of its members along in one change.
const MAX_RENAMED_MEMBERS: usize = 1000;
const MAX_ATTEMPTS: usize = 8;

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    let group_name = call.params.text("GroupName")?;
    name::check("groupName", group_name, MAX_NAME)?;
    let group = Group {
        name: group_name.to_owned(),
        id: name::new_id(IdOf::Group),
        path: page::path(call, "Path")?,
        created: call.now(),
        enabled: true,
        policies: Policies::default(),
    };
    call.directory().create(&call.account, &group).await?;
    Ok(json!({"Group": shapes::group(&call.account, &group)}))
}

/// The group, and a page of its members.
pub(crate) async fn get(call: &Call<'_>) -> Result<Value, IamError> {
    let group_name = call.params.text("GroupName")?;
    let group = call.directory().get::<Group>(&call.account, group_name).await?.record;
    let members = page::referring::<Group, User>(call, group_name, |_| true).await?;
    let mut answer = members.answer("Users", |user| shapes::user(&call.account, user));
    answer["Group"] = shapes::group(&call.account, &group);
    Ok(answer)
}

pub(crate) async fn list(call: &Call<'_>) -> Result<Value, IamError> {
    let prefix = page::path_prefix(call)?;
    let page = page::of_account::<Group>(call, |group| group.path.starts_with(&prefix)).await?;
    Ok(page.answer("Groups", |group| shapes::group(&call.account, group)))
}

pub(crate) async fn update(call: &Call<'_>) -> Result<Value, IamError> {
    let group_name = call.params.text("GroupName")?;
    let new_path = call.params.get("NewPath").map(|_| page::path(call, "NewPath")).transpose()?;
    let new_name = call.params.get("NewGroupName").unwrap_or(group_name);
    name::check("newGroupName", new_name, MAX_NAME)?;
    let (directory, account) = (call.directory(), &call.account);
    for _ in 0..MAX_ATTEMPTS {
        let mut seen = directory.get::<Group>(account, group_name).await?;
        if !new_name.eq_ignore_ascii_case(group_name) && directory.find::<Group>(account, new_name).await?.is_some() {
            return Err(exists::<Group>(new_name));
        }
        let members = directory.referring::<Group, User>(account, group_name, None, MAX_RENAMED_MEMBERS + 1).await?;
        if new_name != group_name && members.len() > MAX_RENAMED_MEMBERS {
            return Err(IamError::LimitExceeded(format!("A group with more than {MAX_RENAMED_MEMBERS} members cannot be renamed.")));
        }
        new_name.clone_into(&mut seen.record.name);
        if let Some(path) = &new_path {
            seen.record.path.clone_from(path);
        }
        let mut changes = Changes::default().replace(directory, account, &seen)?;
        for mut member in members.into_iter().filter(|_| new_name != group_name) {
            member.record.leave(group_name);
            member.record.join(new_name)?;
            changes = changes.replace(directory, account, &member)?;
        }
        match directory.commit(changes).await {
            Err(IamError::ConcurrentModification | IamError::DeleteConflict(_)) => {}
            other => return other.map(|()| Value::Null),
        }
    }
    Err(IamError::ConcurrentModification)
}

pub(crate) async fn delete(call: &Call<'_>) -> Result<Value, IamError> {
    let group_name = call.params.text("GroupName")?;
    let deleted = call.directory().delete(&call.account, group_name, |group: &Group| group.policies.check_none()).await;
    match deleted {
        Err(IamError::DeleteConflict(message)) if message.contains("the user ") => {
            Err(IamError::DeleteConflict("Cannot delete entity, must remove users from group first.".to_owned()))
        }
        other => other.map(|()| Value::Null),
    }
}

pub(crate) async fn add_user(call: &Call<'_>) -> Result<Value, IamError> {
    let group_name = call.params.text("GroupName")?;
    // As the group's name is written, not as the caller spells it.
    let group = call.directory().get::<Group>(&call.account, group_name).await?.record.name;
    call.directory().change(&call.account, call.params.text("UserName")?, |user: &mut User| user.join(&group)).await?;
    Ok(Value::Null)
}

pub(crate) async fn remove_user(call: &Call<'_>) -> Result<Value, IamError> {
    let (group_name, user_name) = (call.params.text("GroupName")?, call.params.text("UserName")?);
    call.directory().find::<Group>(&call.account, group_name).await?.ok_or_else(|| missing::<Group>(group_name))?;
    let leave = |user: &mut User| {
        user.leave(group_name);
        Ok(())
    };
    call.directory().change(&call.account, user_name, leave).await?;
    Ok(Value::Null)
}
