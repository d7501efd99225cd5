//! Access keys of users, and of the roots of accounts.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{page, shapes};
use crate::{
    IamError,
    call::Call,
    directory::{Changes, Seen, missing},
    model::{AccessKey, Account, KeyStatus, User},
    name::{self, IdOf},
};

/// Access keys that a user may have, besides service accounts.
pub(crate) const MAX_KEYS: usize = 2;
/// And with these.
pub(crate) const MAX_OF_USER: usize = 100;
/// How often a creation is tried again that found its id taken or its user changed meanwhile.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// Who has access keys.
pub(crate) enum Keyholder {
    User(Seen<User>),
    /// Root of an account of the store.
    Root(Seen<Account>),
}

impl Keyholder {
    /// The name of the user; empty of a root.
    fn user(&self) -> &str {
        match self {
            Self::User(user) => &user.record.name,
            Self::Root(_) => "",
        }
    }

    fn account<'a>(&'a self, call: &'a Call<'_>) -> &'a str {
        match self {
            Self::User(_) => &call.account,
            Self::Root(account) => &account.record.id,
        }
    }

    async fn keys(&self, call: &Call<'_>) -> Result<Vec<Seen<AccessKey>>, IamError> {
        let directory = call.directory();
        match self {
            Self::User(user) => directory.referring::<User, AccessKey>(&call.account, &user.record.name, None, MAX_OF_USER).await,
            Self::Root(account) => directory.referring::<Account, AccessKey>("", &account.record.id, None, MAX_OF_USER).await,
        }
    }

    /// Written again as it was seen, so that two calls at once that counted its keys do not both go through.
    fn unchanged(&self, changes: Changes, call: &Call<'_>) -> Result<Changes, IamError> {
        match self {
            Self::User(user) => changes.replace(call.directory(), &call.account, user),
            Self::Root(account) => changes.replace(call.directory(), "", account),
        }
    }

    /// A key of somebody else is none: nobody learns that it is there.
    fn check_has(&self, key: &AccessKey, call: &Call<'_>) -> Result<(), IamError> {
        let has = key.account == self.account(call) && key.user.eq_ignore_ascii_case(self.user());
        if has { Ok(()) } else { Err(missing::<AccessKey>(&key.id)) }
    }
}

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    create_for(call, || holder(call)).await
}

/// Creates a key for whom `holder` finds.
pub(crate) async fn create_for<F: Future<Output = Result<Keyholder, IamError>>>(
    call: &Call<'_>,
    holder: impl Fn() -> F,
) -> Result<Value, IamError> {
    for _ in 0..MAX_ATTEMPTS {
        let holder = holder().await?;
        let present = holder.keys(call).await?;
        if present.iter().filter(|seen| seen.record.service_account.is_none()).count() >= MAX_KEYS {
            return Err(IamError::LimitExceeded(format!("Cannot exceed quota for AccessKeysPerUser: {MAX_KEYS}")));
        }
        let key = AccessKey {
            id: name::new_id(IdOf::AccessKey),
            secret: Zeroizing::new(name::new_secret()),
            account: holder.account(call).to_owned(),
            user: holder.user().to_owned(),
            created: call.now(),
            status: KeyStatus::Active,
            service_account: None,
        };
        let changes = holder.unchanged(Changes::default().create(call.directory(), &call.account, &key)?, call)?;
        match call.directory().commit(changes).await {
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
    list_of(call, &holder(call).await?).await
}

pub(crate) async fn list_of(call: &Call<'_>, holder: &Keyholder) -> Result<Value, IamError> {
    let is_plain = |key: &AccessKey| key.service_account.is_none();
    let keys = match holder {
        Keyholder::User(user) => page::referring::<User, AccessKey>(call, &user.record.name, is_plain).await?,
        Keyholder::Root(account) => page::referring::<Account, AccessKey>(call, &account.record.id, is_plain).await?,
    };
    let mut answer = keys.answer("AccessKeyMetadata", shapes::access_key);
    answer["UserName"] = json!(Some(holder.user()).filter(|user| !user.is_empty()));
    Ok(answer)
}

pub(crate) async fn update(call: &Call<'_>) -> Result<Value, IamError> {
    update_of(call, &holder(call).await?).await
}

pub(crate) async fn update_of(call: &Call<'_>, holder: &Keyholder) -> Result<Value, IamError> {
    let (id, status) = (call.params.text("AccessKeyId")?, KeyStatus::parse(call.params.text("Status")?)?);
    let set = |key: &mut AccessKey| {
        holder.check_has(key, call)?;
        key.status = status;
        Ok(())
    };
    call.note("access_key", id);
    call.directory().change(&call.account, id, set).await?;
    Ok(Value::Null)
}

pub(crate) async fn delete(call: &Call<'_>) -> Result<Value, IamError> {
    delete_of(call, &holder(call).await?).await
}

pub(crate) async fn delete_of(call: &Call<'_>, holder: &Keyholder) -> Result<Value, IamError> {
    let id = call.params.text("AccessKeyId")?;
    call.note("access_key", id);
    call.directory().delete(&call.account, id, |key: &AccessKey| holder.check_has(key, call)).await?;
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
    let owner = Some(key.user).filter(|user| !user.is_empty());
    Ok(json!({"UserName": owner, "AccessKeyLastUsed": used}))
}

/// The user whose access key is named, if it is one of the account.
pub(crate) async fn owner_of(call: &Call<'_>) -> Result<Option<String>, IamError> {
    let found = call.directory().find::<AccessKey>(&call.account, call.params.text("AccessKeyId")?).await?;
    let found = found.filter(|seen| seen.record.account == call.account).map(|seen| seen.record.user);
    // The key of a root has no user, and is the account's.
    Ok(found.filter(|user| !user.is_empty()))
}

/// As [`holder`], where it must be a user.
pub(crate) async fn holder_user(call: &Call<'_>) -> Result<Seen<User>, IamError> {
    match holder(call).await? {
        Keyholder::User(user) => Ok(user),
        Keyholder::Root(_) => Err(IamError::validation("The request must contain the parameter UserName: this is for users alone.")),
    }
}

/// The user that is named, else the caller, who may be root of an account of the store.
async fn holder(call: &Call<'_>) -> Result<Keyholder, IamError> {
    if let Some(name) = call.user_name() {
        return Ok(Keyholder::User(call.directory().get::<User>(&call.account, &name).await?));
    }
    if call.identity.is_account_root()
        && let Some(account) = call.directory().find::<Account>("", &call.account).await?
    {
        return Ok(Keyholder::Root(account));
    }
    let message = "The request must contain the parameter UserName: the keys of root stand in the server's configuration.";
    Err(IamError::validation(message))
}
