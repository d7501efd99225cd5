//! Users.

use serde_json::{Value, json};
use strongroom_access::Principal;

use super::{page, policies, shapes};
use crate::{
    IamError,
    call::Call,
    directory::{Changes, Seen, exists},
    model::{AccessKey, Policies, PolicyRef, Tags, User, user::MAX_NAME},
    name::{self, IdOf},
};

/// How often a new name is tried that another change is faster to take.
const MAX_RENAMES: usize = 8;

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    let user_name = call.params.text("UserName")?;
    name::check("userName", user_name, MAX_NAME)?;
    call.check_name_is_free(user_name)?;
    let user = User {
        name: user_name.to_owned(),
        id: name::new_id(IdOf::User),
        path: page::path(call, "Path")?,
        created: call.now(),
        enabled: true,
        tags: Tags::new(call.params.pairs("Tags"))?,
        groups: Vec::new(),
        policies: Policies::default(),
        boundary: boundary(call).await?,
        sessions_from: 0,
    };
    call.directory().create(&call.account, &user).await?;
    Ok(json!({"User": shapes::user(&call.account, &user)}))
}

/// `PermissionsBoundary`, where there is one.
pub(crate) async fn boundary(call: &Call<'_>) -> Result<Option<PolicyRef>, IamError> {
    match call.params.get("PermissionsBoundary") {
        Some(_) => Ok(Some(policies::existing(call, "PermissionsBoundary").await?)),
        None => Ok(None),
    }
}

/// Without a name, the caller.
pub(crate) async fn get(call: &Call<'_>) -> Result<Value, IamError> {
    let Some(user_name) = call.user_name() else {
        if call.identity.principal != Principal::Root {
            return Err(IamError::validation("Must specify userName when calling with non-User credentials"));
        }
        return Ok(json!({"User": of_root(call)}));
    };
    let user = call.directory().get::<User>(&call.account, &user_name).await?.record;
    Ok(json!({"User": shapes::user(&call.account, &user)}))
}

/// The root of an account has no record: it was there before all others.
fn of_root(call: &Call<'_>) -> Value {
    json!({"UserId": call.account, "Arn": format!("arn:aws:iam::{}:root", call.account), "CreateDate": shapes::date(0), "Path": "/",
           "UserName": call.identity.name})
}

pub(crate) async fn list(call: &Call<'_>) -> Result<Value, IamError> {
    let prefix = page::path_prefix(call)?;
    let page = page::of_account::<User>(call, |user| user.path.starts_with(&prefix)).await?;
    Ok(page.answer("Users", |user| shapes::user(&call.account, user)))
}

pub(crate) async fn update(call: &Call<'_>) -> Result<Value, IamError> {
    let user_name = call.params.text("UserName")?;
    let new_path = call.params.get("NewPath").map(|_| page::path(call, "NewPath")).transpose()?;
    let Some(new_name) = call.params.get("NewUserName").filter(|new_name| *new_name != user_name) else {
        let set = |user: &mut User| {
            if let Some(path) = &new_path {
                user.path.clone_from(path);
            }
            Ok(())
        };
        return call.directory().change(&call.account, user_name, set).await.map(|()| Value::Null);
    };
    name::check("newUserName", new_name, MAX_NAME)?;
    call.check_name_is_free(new_name)?;
    rename(call, user_name, new_name, new_path.as_deref()).await?;
    Ok(Value::Null)
}

/// The user under the new name, and all of its keys with it, in one change.
async fn rename(call: &Call<'_>, user_name: &str, new_name: &str, new_path: Option<&str>) -> Result<(), IamError> {
    let (directory, account) = (call.directory(), &call.account);
    for _ in 0..MAX_RENAMES {
        let mut seen = directory.get::<User>(account, user_name).await?;
        let is_taken = !new_name.eq_ignore_ascii_case(user_name) && directory.find::<User>(account, new_name).await?.is_some();
        if is_taken {
            return Err(exists::<User>(new_name));
        }
        new_name.clone_into(&mut seen.record.name);
        if let Some(path) = new_path {
            path.clone_into(&mut seen.record.path);
        }
        let mut changes = Changes::default().replace(directory, account, &seen)?;
        for mut key in keys_of(call, user_name).await? {
            new_name.clone_into(&mut key.record.user);
            changes = changes.replace(directory, account, &key)?;
        }
        match directory.commit(changes).await {
            // A key that was added meanwhile refers to the old name.
            Err(IamError::ConcurrentModification | IamError::DeleteConflict(_)) => {}
            other => return other,
        }
    }
    Err(IamError::ConcurrentModification)
}

async fn keys_of(call: &Call<'_>, user_name: &str) -> Result<Vec<Seen<AccessKey>>, IamError> {
    call.directory().referring::<User, AccessKey>(&call.account, user_name, None, super::keys::MAX_OF_USER).await
}

pub(crate) async fn delete(call: &Call<'_>) -> Result<Value, IamError> {
    let check = |user: &User| {
        if !user.groups.is_empty() {
            return Err(IamError::DeleteConflict("Cannot delete entity, must remove users from group first.".to_owned()));
        }
        user.policies.check_none()
    };
    call.directory().delete(&call.account, call.params.text("UserName")?, check).await?;
    Ok(Value::Null)
}

pub(crate) async fn groups(call: &Call<'_>) -> Result<Value, IamError> {
    let user = call.directory().get::<User>(&call.account, call.params.text("UserName")?).await?.record;
    let page = page::of_names(&call.params.page()?, user.groups.into_iter());
    let groups = call.directory().find_all::<crate::model::Group>(&call.account, &page.records).await?;
    let groups: Vec<Value> = groups.into_iter().flatten().map(|seen| shapes::group(&call.account, &seen.record)).collect();
    Ok(json!({"Groups": groups, "IsTruncated": page.next.is_some(), "Marker": page.next}))
}

pub(crate) async fn put_boundary(call: &Call<'_>) -> Result<Value, IamError> {
    let policy = policies::existing(call, "PermissionsBoundary").await?;
    set_boundary(call, Some(policy)).await
}

pub(crate) async fn delete_boundary(call: &Call<'_>) -> Result<Value, IamError> {
    set_boundary(call, None).await
}

async fn set_boundary(call: &Call<'_>, policy: Option<PolicyRef>) -> Result<Value, IamError> {
    let set = |user: &mut User| {
        user.boundary.clone_from(&policy);
        Ok(())
    };
    call.directory().change(&call.account, call.params.text("UserName")?, set).await?;
    Ok(Value::Null)
}
