//! Access keys of users.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{page, shapes};
use crate::{
    IamError,
    call::Call,
    directory::{Changes, Seen, missing},
    model::{AccessKey, KeyStatus, User},
    name::{self, IdOf},
};

/// Access keys that a user may have, besides service accounts.
const MAX_KEYS: usize = 2;
/// And with these.
pub(crate) const MAX_OF_USER: usize = 100;
/// How often a creation is tried again that found its id taken or its user changed meanwhile.
const MAX_ATTEMPTS: usize = 16;

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    let (directory, account) = (call.directory(), &call.account);
    for _ in 0..MAX_ATTEMPTS {
        let user = of_user(call).await?;
        let present = directory.referring::<User, AccessKey>(account, &user.record.name, None, MAX_OF_USER).await?;
        if present.iter().filter(|seen| seen.record.service_account.is_none()).count() >= MAX_KEYS {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for AccessKeysPerUser: {MAX_KEYS}")));
        }
        let key = AccessKey {
            id: name::new_id(IdOf::AccessKey),
            secret: Zeroizing::new(name::new_secret()),
            account: account.clone(),
            user: user.record.name.clone(),
            created: call.now(),
            status: KeyStatus::Active,
            service_account: None,
        };
        // With the user as it was when its keys were counted, so that two calls at once do not create a third.
        let changes = Changes::default().create(directory, account, &key)?.replace(directory, account, &user)?;
        match directory.commit(changes).await {
            Err(IamError::ConcurrentModification) => {}
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
    let user = of_user(call).await?.record;
    let keys = page::referring::<User, AccessKey>(call, &user.name, |key| key.service_account.is_none()).await?;
    let mut answer = keys.answer("AccessKeyMetadata", shapes::access_key);
    answer["UserName"] = json!(user.name);
    Ok(answer)
}

pub(crate) async fn update(call: &Call<'_>) -> Result<Value, IamError> {
    let (id, status) = (call.params.text("AccessKeyId")?, KeyStatus::parse(call.params.text("Status")?)?);
    let user = of_user(call).await?.record;
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
    let user = of_user(call).await?.record;
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
async fn of_user(call: &Call<'_>) -> Result<Seen<User>, IamError> {
    let name = call.user_name().ok_or_else(|| {
        IamError::validation("The request must contain the parameter UserName: the keys of root stand in the server's configuration.")
    })?;
    call.directory().get::<User>(&call.account, &name).await
}

/// A key of somebody else is none: nobody learns that it is there.
fn check_is_of(key: &AccessKey, call: &Call<'_>, user: &User) -> Result<(), IamError> {
    let is_of = key.account == call.account && key.user.eq_ignore_ascii_case(&user.name);
    if is_of { Ok(()) } else { Err(missing::<AccessKey>(&key.id)) }
}
