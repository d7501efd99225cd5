//! Accounts beside the main one, and the access keys of their roots: calls of this server's own, for who administers the whole store.

use serde_json::{Value, json};
use strongroom_access::MAIN_ACCOUNT;

use super::{
    keys::{self, Keyholder},
    page, shapes,
};
use crate::{
    IamError,
    call::Call,
    directory::{Directory, Record},
    keys::OwnedKey,
    model::{Account, Group, KeyStatus, ManagedPolicy, Provider, Role, User, account::MAX_NAME},
    name,
};

const ID_DIGITS: usize = 12;
/// How often an id is chosen that turns out to be taken.
const MAX_CHOICES: usize = 8;
const BUCKETS_A_STEP: usize = 1000;

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    let account_name = call.params.text("AccountName")?;
    name::check("AccountName", account_name, MAX_NAME)?;
    let account = |id: String| Account { id, name: account_name.to_owned(), created: call.now() };
    if let Some(id) = call.params.get("AccountId").filter(|id| !id.is_empty()) {
        check_id(id)?;
        return add(call, &account(id.to_owned())).await;
    }
    for _ in 0..MAX_CHOICES {
        match add(call, &account(name::new_account_id())).await {
            Err(IamError::EntityAlreadyExists(_)) => {}
            other => return other,
        }
    }
    Err(IamError::ConcurrentModification)
}

async fn add(call: &Call<'_>, account: &Account) -> Result<Value, IamError> {
    let id = account.id.as_str();
    let taken = |by: &str| IamError::EntityAlreadyExists(format!("The account {id} already exists: {by}."));
    if id == MAIN_ACCOUNT {
        return Err(taken("it is the main one"));
    }
    if call.iam.configured.all().any(|identity| identity.account == id) {
        return Err(taken("users of the server's configuration belong to it"));
    }
    // Those of users who stood in the configuration once.
    if has_identities(call.directory(), id).await? || has_buckets(call.directory(), id).await? {
        return Err(taken("it has identities or buckets"));
    }
    call.directory().create("", account).await?;
    call.note("account_id", id);
    Ok(json!({"Account": shapes::account(account)}))
}

pub(crate) async fn get(call: &Call<'_>) -> Result<Value, IamError> {
    let account = named(call).await?;
    let (directory, id) = (call.directory(), account.id.as_str());
    let mut shown = shapes::account(&account);
    shown["Users"] = json!(directory.count::<User>(id).await?);
    shown["Groups"] = json!(directory.count::<Group>(id).await?);
    shown["Roles"] = json!(directory.count::<Role>(id).await?);
    shown["Policies"] = json!(directory.count::<ManagedPolicy>(id).await?);
    Ok(json!({"Account": shown}))
}

pub(crate) async fn list(call: &Call<'_>) -> Result<Value, IamError> {
    Ok(page::of_account::<Account>(call, |_| true).await?.answer("Accounts", shapes::account))
}

/// What is of the account keeps it: the catalog looks at its identities and at the access keys of its root in the deleting transaction. Without a
/// key nobody can make a bucket any more.
pub(crate) async fn delete(call: &Call<'_>) -> Result<Value, IamError> {
    let id = named(call).await?.id;
    if has_buckets(call.directory(), &id).await? {
        return Err(IamError::DeleteConflict(format!("Cannot delete the account {id}, must delete its buckets first.")));
    }
    call.directory().delete("", &id, |_: &Account| Ok(())).await?;
    Ok(Value::Null)
}

pub(crate) async fn create_key(call: &Call<'_>) -> Result<Value, IamError> {
    check_owns_no_keys(call).await?;
    keys::create_for(call, || root(call)).await
}

pub(crate) async fn list_keys(call: &Call<'_>) -> Result<Value, IamError> {
    keys::list_of(call, &root(call).await?).await
}

pub(crate) async fn update_key(call: &Call<'_>) -> Result<Value, IamError> {
    if KeyStatus::parse(call.params.text("Status")?)? == KeyStatus::Active {
        check_owns_no_keys(call).await?;
    }
    keys::update_of(call, &root(call).await?).await
}

pub(crate) async fn delete_key(call: &Call<'_>) -> Result<Value, IamError> {
    keys::delete_of(call, &root(call).await?).await
}

/// Root of an account uses the KMS keys of that account, and who administers the store does not: so nobody else gives out what root signs with,
/// once there are such keys.
async fn check_owns_no_keys(call: &Call<'_>) -> Result<(), IamError> {
    let id = call.params.text("AccountId")?;
    if call.directory().count::<OwnedKey>(id).await? == 0 {
        return Ok(());
    }
    let text = format!("The account {id} has KMS keys of its own, so its root alone makes access keys of its root and switches them on.");
    Err(IamError::AccessDenied(text))
}

async fn root(call: &Call<'_>) -> Result<Keyholder, IamError> {
    Ok(Keyholder::Root(call.directory().get::<Account>("", call.params.text("AccountId")?).await?))
}

async fn named(call: &Call<'_>) -> Result<Account, IamError> {
    Ok(call.directory().get::<Account>("", call.params.text("AccountId")?).await?.record)
}

fn check_id(id: &str) -> Result<(), IamError> {
    if id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(IamError::validation(format!("AccountId has {ID_DIGITS} digits.")))
}

async fn has_identities(directory: &Directory, id: &str) -> Result<bool, IamError> {
    async fn any<R: Record>(directory: &Directory, id: &str) -> Result<bool, IamError> {
        Ok(directory.count::<R>(id).await? > 0)
    }
    Ok(any::<User>(directory, id).await?
        || any::<Group>(directory, id).await?
        || any::<Role>(directory, id).await?
        || any::<ManagedPolicy>(directory, id).await?
        || any::<Provider>(directory, id).await?
        || any::<OwnedKey>(directory, id).await?)
}

async fn has_buckets(directory: &Directory, id: &str) -> Result<bool, IamError> {
    let mut after = None;
    loop {
        let step = directory.catalog().list_buckets("", after.as_deref(), BUCKETS_A_STEP).await?;
        if step.iter().any(|bucket| bucket.owner == id) {
            return Ok(true);
        }
        match step.last() {
            Some(last) if step.len() == BUCKETS_A_STEP => after = Some(last.name.clone()),
            _ => return Ok(false),
        }
    }
}
