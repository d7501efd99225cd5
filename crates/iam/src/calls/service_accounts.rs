//! Access keys that their holders chose, and service accounts: what MinIO has beside the calls of AWS.

use serde_json::{Value, json};
use strongroom_access::Policy;
use strongroom_catalog::UnixMillis;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use zeroize::Zeroizing;

use super::{
    keys::{MAX_ATTEMPTS, MAX_KEYS, MAX_OF_USER, holder_user},
    page, shapes,
};
use crate::{
    IamError,
    call::Call,
    directory::{Changes, missing},
    model::{AccessKey, KeyStatus, ServiceAccount, User, bytes_that_count},
    name::{self, IdOf},
};

/// As with MinIO.
const ID_BYTES: std::ops::RangeInclusive<usize> = 3..=128;
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 8..=128;
const MAX_NAME_BYTES: usize = 32;
const MAX_DESCRIPTION_BYTES: usize = 256;
const MAX_POLICY_BYTES: usize = 6144;

/// `PutAccessKey`: a key of a user with an id and a secret that the caller chose; or another secret for it.
pub(crate) async fn put_key(call: &Call<'_>) -> Result<Value, IamError> {
    let (id, secret) = (chosen_id(call)?, chosen_secret(call)?);
    let (id, secret) = (required(id, "AccessKeyId")?, required(secret, "SecretAccessKey")?);
    for _ in 0..MAX_ATTEMPTS {
        let user = holder_user(call).await?;
        let found = call.directory().find::<AccessKey>("", &id).await?;
        let changes = if let Some(mut seen) = found {
            check_is_of(&seen.record, call, &user.record)?;
            if seen.record.service_account.is_some() {
                return Err(IamError::EntityAlreadyExists(format!("The access key {id} is one of a service account.")));
            }
            seen.record.secret.clone_from(&secret);
            Changes::default().replace(call.directory(), &call.account, &seen)?
        } else {
            let present = keys_of(call, &user.record.name).await?;
            if present.iter().filter(|key| key.service_account.is_none()).count() >= MAX_KEYS {
                return Err(IamError::LimitExceeded(format!("Cannot exceed quota for AccessKeysPerUser: {MAX_KEYS}")));
            }
            let key = new_key(call, &user.record, id.clone(), secret.clone(), None);
            Changes::default().create(call.directory(), &call.account, &key)?.replace(call.directory(), &call.account, &user)?
        };
        match call.directory().commit(changes).await {
            Err(IamError::ConcurrentModification) => {}
            other => return other.map(|()| Value::Null),
        }
    }
    Err(IamError::ConcurrentModification)
}

/// `CreateServiceAccount`: a key that may do what its user may, or less.
pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    let (id, secret) = (chosen_id(call)?, chosen_secret(call)?);
    let of = ServiceAccount {
        name: label(call, "Name", MAX_NAME_BYTES)?.unwrap_or_default(),
        description: label(call, "Description", MAX_DESCRIPTION_BYTES)?.unwrap_or_default(),
        policy: policy(call)?.filter(|document| !document.is_empty()),
        expires: if let Expiration::At(at) = expiration(call)? { Some(at) } else { None },
    };
    for _ in 0..MAX_ATTEMPTS {
        let user = holder_user(call).await?;
        if keys_of(call, &user.record.name).await?.len() >= MAX_OF_USER {
            return Err(IamError::LimitExceeded(format!("A user has at the most {MAX_OF_USER} access keys and service accounts.")));
        }
        let id = id.clone().unwrap_or_else(|| name::new_id(IdOf::AccessKey));
        let secret = secret.clone().unwrap_or_else(|| Zeroizing::new(name::new_secret()));
        let key = new_key(call, &user.record, id, secret, Some(of.clone()));
        if call.directory().find::<AccessKey>("", &key.id).await?.is_some() {
            return Err(taken(&key.id));
        }
        let changes = Changes::default().create(call.directory(), &call.account, &key)?;
        match call.directory().commit(changes.replace(call.directory(), &call.account, &user)?).await {
            Err(IamError::ConcurrentModification) => {}
            other => {
                other?;
                call.note("access_key", &key.id);
                let mut shown = shape(&key);
                // The only time that it is shown.
                shown["SecretAccessKey"] = json!(*key.secret);
                return Ok(json!({"ServiceAccount": shown}));
            }
        }
    }
    Err(IamError::ConcurrentModification)
}

/// `UpdateServiceAccount`: what is given is replaced.
pub(crate) async fn update(call: &Call<'_>) -> Result<Value, IamError> {
    let (secret, policy, expires) = (chosen_secret(call)?, policy(call)?, expiration(call)?);
    let (new_name, description) = (label(call, "Name", MAX_NAME_BYTES)?, label(call, "Description", MAX_DESCRIPTION_BYTES)?);
    let status = call.params.get("Status").map(KeyStatus::parse).transpose()?;
    let id = call.params.text("AccessKeyId")?;
    let set = |key: &mut AccessKey| {
        let of = service_account(key, call)?;
        if let Some(new_name) = &new_name {
            of.name.clone_from(new_name);
        }
        if let Some(description) = &description {
            of.description.clone_from(description);
        }
        if let Some(policy) = &policy {
            of.policy = Some(policy.clone()).filter(|document| !document.is_empty());
        }
        match expires {
            Expiration::AsItIs => {}
            Expiration::Never => of.expires = None,
            Expiration::At(at) => of.expires = Some(at),
        }
        if let Some(secret) = &secret {
            key.secret.clone_from(secret);
        }
        key.status = status.unwrap_or(key.status);
        Ok(())
    };
    call.directory().change("", id, set).await?;
    Ok(Value::Null)
}

/// `DescribeAccessKey`: of a user, or of a service account with what bounds it.
pub(crate) async fn describe(call: &Call<'_>) -> Result<Value, IamError> {
    let id = call.params.text("AccessKeyId")?;
    let key = call.directory().find::<AccessKey>("", id).await?.filter(|seen| seen.record.account == call.account);
    let key = key.ok_or_else(|| missing::<AccessKey>(id))?.record;
    let user = match key.user.as_str() {
        "" => None,
        name => Some(call.directory().get::<User>(&call.account, name).await?.record),
    };
    let mut shown = shape(&key);
    shown["UserStatus"] = json!(user.map(|user| status_of(user.enabled)));
    Ok(json!({"AccessKey": shown}))
}

/// `ListServiceAccounts` of a user.
pub(crate) async fn list(call: &Call<'_>) -> Result<Value, IamError> {
    let user = holder_user(call).await?.record;
    let keys = page::referring::<User, AccessKey>(call, &user.name, |key| key.service_account.is_some()).await?;
    Ok(keys.answer("ServiceAccounts", shape))
}

/// `DeleteServiceAccount`
pub(crate) async fn delete(call: &Call<'_>) -> Result<Value, IamError> {
    let check = |key: &AccessKey| service_account(&mut key.clone(), call).map(drop);
    call.directory().delete("", call.params.text("AccessKeyId")?, check).await?;
    Ok(Value::Null)
}

/// As clients read whether a user or a group counts.
pub(crate) fn status_of(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

fn shape(key: &AccessKey) -> Value {
    let mut shown = shapes::access_key(key);
    if let Some(of) = &key.service_account {
        shown["Name"] = json!(Some(&of.name).filter(|text| !text.is_empty()));
        shown["Description"] = json!(Some(&of.description).filter(|text| !text.is_empty()));
        shown["PolicyDocument"] = json!(of.policy);
        shown["Expiration"] = json!(of.expires.map(shapes::date));
    }
    shown["IsServiceAccount"] = json!(key.service_account.is_some());
    shown
}

fn new_key(call: &Call<'_>, user: &User, id: String, secret: Zeroizing<String>, of: Option<ServiceAccount>) -> AccessKey {
    let (account, user, created) = (call.account.clone(), user.name.clone(), call.now());
    AccessKey { id, secret, account, user, created, status: KeyStatus::Active, service_account: of }
}

async fn keys_of(call: &Call<'_>, user: &str) -> Result<Vec<AccessKey>, IamError> {
    let found = call.directory().referring::<User, AccessKey>(&call.account, user, None, MAX_OF_USER).await?;
    Ok(found.into_iter().map(|seen| seen.record).collect())
}

/// A key of another account, or of no service account, is none.
fn service_account<'k>(key: &'k mut AccessKey, call: &Call<'_>) -> Result<&'k mut ServiceAccount, IamError> {
    let none = IamError::NoSuchEntity(format!("The service account with access key {} cannot be found.", key.id));
    let is_of = key.account == call.account;
    key.service_account.as_mut().filter(|_| is_of).ok_or(none)
}

fn check_is_of(key: &AccessKey, call: &Call<'_>, user: &User) -> Result<(), IamError> {
    let is_of = key.account == call.account && key.user.eq_ignore_ascii_case(&user.name);
    if is_of { Ok(()) } else { Err(taken(&key.id)) }
}

fn taken(id: &str) -> IamError {
    IamError::EntityAlreadyExists(format!("The access key {id} already exists."))
}

/// An id that nothing else could be taken for.
fn chosen_id(call: &Call<'_>) -> Result<Option<String>, IamError> {
    let Some(id) = call.params.get("AccessKeyId").filter(|id| !id.is_empty()) else { return Ok(None) };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+.@_-".contains(&byte);
    if !ID_BYTES.contains(&id.len()) || !id.bytes().all(allowed) {
        let (min, max) = (ID_BYTES.start(), ID_BYTES.end());
        return Err(IamError::validation(format!("AccessKeyId has {min} to {max} letters, digits and characters of +.@_-.")));
    }
    if call.iam.configured.access_key(id).is_some() {
        return Err(taken(id));
    }
    Ok(Some(id.to_owned()))
}

fn chosen_secret(call: &Call<'_>) -> Result<Option<Zeroizing<String>>, IamError> {
    let Some(secret) = call.params.get("SecretAccessKey").filter(|secret| !secret.is_empty()) else { return Ok(None) };
    if !SECRET_BYTES.contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        let (min, max) = (SECRET_BYTES.start(), SECRET_BYTES.end());
        return Err(IamError::validation(format!("SecretAccessKey has {min} to {max} printable ASCII characters and no spaces.")));
    }
    Ok(Some(Zeroizing::new(secret.to_owned())))
}

fn required<T>(value: Option<T>, parameter: &str) -> Result<T, IamError> {
    value.ok_or_else(|| IamError::validation(format!("The request must contain the parameter {parameter}.")))
}

fn label(call: &Call<'_>, parameter: &'static str, max_bytes: usize) -> Result<Option<String>, IamError> {
    let Some(text) = call.params.get(parameter) else { return Ok(None) };
    if text.len() > max_bytes || text.chars().any(char::is_control) {
        return Err(IamError::validation(format!("{parameter} has up to {max_bytes} bytes and no control characters.")));
    }
    Ok(Some(text.to_owned()))
}

/// Empty: none any more.
fn policy(call: &Call<'_>) -> Result<Option<String>, IamError> {
    let Some(document) = call.params.get("PolicyDocument") else { return Ok(None) };
    if bytes_that_count(document) > MAX_POLICY_BYTES {
        return Err(IamError::LimitExceeded(format!("Cannot exceed quota for PolicySize: {MAX_POLICY_BYTES}")));
    }
    if !document.is_empty() {
        Policy::parse(document)?.check_sids()?;
    }
    Ok(Some(document.to_owned()))
}

/// What the parameter of that name says.
#[derive(Clone, Copy)]
enum Expiration {
    /// It is not there.
    AsItIs,
    /// It is empty.
    Never,
    At(UnixMillis),
}

fn expiration(call: &Call<'_>) -> Result<Expiration, IamError> {
    let Some(text) = call.params.get("Expiration") else { return Ok(Expiration::AsItIs) };
    if text.is_empty() {
        return Ok(Expiration::Never);
    }
    let invalid = || IamError::validation("Expiration must be a time to come, such as 2030-01-31T12:00:00Z.");
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| invalid())?;
    let at = UnixMillis::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(|_| invalid())?;
    if at <= call.now() { Err(invalid()) } else { Ok(Expiration::At(at)) }
}
