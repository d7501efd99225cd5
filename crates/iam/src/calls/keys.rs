//! Access keys of users.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{page, shapes};
use crate::{
    IamError,
    call::Call,
    directory::missing,
    model::{AccessKey, KeyStatus, User},
    name::{self, IdOf},
};

/// Access keys that a user may have, besides service accounts.
const MAX_KEYS: usize = 2;
/// And with these.
pub(crate) const MAX_OF_USER: usize = 100;
/// How often an id is tried that is taken.
const MAX_ATTEMPTS: usize = 4;

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    let user = of_user(call).await?;
    let present = call.directory().referring::<User, AccessKey>(&call.account, &user.name, None, MAX_OF_USER).await?;
    if present.iter().filter(|seen| seen.record.service_account.is_none()).count() >= MAX_KEYS {
        return Err(IamError::LimitExceeded(format!("Cannot exceed quota for AccessKeysPerUser: {MAX_KEYS}")));
    }
    for _ in 0..MAX_ATTEMPTS {
        let key = AccessKey {
            id: name::new_id(IdOf::AccessKey),
            secret: Zeroizing::new(name::new_secret()),
            account: call.account.clone(),
            user: user.name.clone(),
            created: call.now(),
            status: KeyStatus::Active,
            service_account: None,
        };
        match call.directory().create(&call.account, &key).await {
            Err(IamError::EntityAlreadyExists(_)) => {}
            other => {
                other?;
                call.note("access_key", &key.id);
                let mut answer = shapes::access_key(&key);
                // The only time that it is shown.
                answer["SecretAccessKey"] = json!(*key.secret);
                return Ok(json!({"AccessKey": answer}));
            }
        }
    }
    Err(IamError::ConcurrentModification)
}

pub(crate) async fn list(call: &Call<'_>) -> Result<Value, IamError> {
    let user = of_user(call).await?;
    let keys = page::referring::<User, AccessKey>(call, &user.name, |key| key.service_account.is_none()).await?;
    let mut answer = keys.answer("AccessKeyMetadata", shapes::access_key);
    answer["UserName"] = json!(user.name);
    Ok(answer)
}

pub(crate) async fn update(call: &Call<'_>) -> Result<Value, IamError> {
    let (id, status) = (call.params.text("AccessKeyId")?, KeyStatus::parse(call.params.text("Status")?)?);
    let user = of_user(call).await?;
    let set = |key: &mut AccessKey| {
        check_is_of(key, call, &user)?;
        key.status = status;
        Ok(())
    };
    call.note("access_key", id);
    call.directory().change(&call.account, id, set).await?;
    Ok(Value::Null)
}

pub(crate) async fn delete(call: &Call<'_>) -> Result<Value, IamError> {
    let id = call.params.text("AccessKeyId")?;
    let user = of_user(call).await?;
    call.note("access_key", id);
    call.directory().delete(&call.account, id, |key: &AccessKey| check_is_of(key, call, &user)).await?;
    Ok(Value::Null)
}

pub(crate) async fn last_used(call: &Call<'_>) -> Result<Value, IamError> {
    let id = call.params.text("AccessKeyId")?;
    let key = call.directory().find::<AccessKey>(&call.account, id).await?.filter(|seen| seen.record.account == call.account);
    let key = key.ok_or_else(|| missing::<AccessKey>(id))?.record;
    let used = match call.directory().last_use(id).await? {
        Some(used) => json!({"LastUsedDate": shapes::date(used.used), "ServiceName": used.service, "Region": used.region}),
        None => json!({"ServiceName": "N/A", "Region": "N/A"}),
    };
    Ok(json!({"UserName": key.user, "AccessKeyLastUsed": used}))
}

/// The user whose access key is named, if it is one of the account.
pub(crate) async fn owner_of(call: &Call<'_>) -> Result<Option<String>, IamError> {
    let found = call.directory().find::<AccessKey>(&call.account, call.params.text("AccessKeyId")?).await?;
    Ok(found.filter(|seen| seen.record.account == call.account).map(|seen| seen.record.user))
}

/// The user that is named, else the caller.
async fn of_user(call: &Call<'_>) -> Result<User, IamError> {
    let name = call.user_name().ok_or_else(|| {
        IamError::validation("The request must contain the parameter UserName: the keys of root stand in the server's configuration.")
    })?;
    Ok(call.directory().get::<User>(&call.account, &name).await?.record)
}

/// A key of somebody else is none: nobody learns that it is there.
fn check_is_of(key: &AccessKey, call: &Call<'_>, user: &User) -> Result<(), IamError> {
    let is_of = key.account == call.account && key.user.eq_ignore_ascii_case(&user.name);
    if is_of { Ok(()) } else { Err(missing::<AccessKey>(&key.id)) }
}
