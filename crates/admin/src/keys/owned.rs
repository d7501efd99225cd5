//! Keys that belong to accounts: making them, and keeping apart what is the store's own.

use strongroom_access::{Action, ConditionKey, Decision, is_account};
use strongroom_iam::keys::{Grant, KmsKeys};
use strongroom_kms::{KeyMetadata, KeySource, Kms, KmsError, NewKey, OWNER_TAG};

use super::refuse_lost;
use crate::admin::Inner;
use crate::http::{About, ApiError, Call};

/// Tags whose names begin so are the store's.
const RESERVED_TAGS: &str = "strongroom:";
/// A key that could not be given to its account goes as soon as one may.
const SHORTEST_WINDOW_DAYS: u32 = 7;

/// Whom a new key is to belong to.
pub(super) struct Ownership {
    pub(super) account: String,
    pub(super) policy: Option<String>,
    pub(super) bypass_lockout_check: bool,
}

/// Makes a key that belongs to an account. It says so itself from the moment at which it is there; until its rules are, nobody may use it.
pub(super) async fn create(
    call: &Call,
    (backend, kms): (&str, &dyn Kms),
    mut new: NewKey,
    ownership: Ownership,
) -> Result<KeyMetadata, ApiError> {
    let Ownership { account, policy, bypass_lockout_check } = ownership;
    check(call, &account, policy.as_deref(), new.name.as_deref())?;
    if let Some(policy) = &policy {
        check_lockout(call, &account, policy, &[], bypass_lockout_check)?;
    }
    if let Some(name) = &new.name {
        refuse_lost(call, kms, backend, name).await?;
        refuse_default(&call.inner, name)?;
        refuse_elsewhere(call, backend, name).await?;
    }
    check_tags(kms, backend)?;
    let owned = &call.inner.parts.owned;
    owned.check_room(&account).await.map_err(ApiError::of_owned_keys)?;
    call.note("owner", &account);
    new.tags.insert(OWNER_TAG.to_owned(), account.clone());
    let key = kms.create_key(new).await?;
    call.about_key(&key.key_id, key.current_version);
    let given = match check_mark(kms, backend, &key).await {
        Ok(()) => owned.create(backend, &key.key_id, &account, policy.as_deref()).await.map_err(ApiError::of_owned_keys),
        Err(unmarked) => Err(unmarked),
    };
    if let Err(error) = given {
        if let Err(left) = kms.schedule_deletion(&key.key_id, SHORTEST_WINDOW_DAYS).await {
            tracing::error!(key_id = key.key_id, error = %left, "a key that was made for an account is left without rules: delete it");
        }
        return Err(error);
    }
    if let Some(policy) = &policy {
        call.note("policy", policy);
    }
    Ok(key)
}

fn check(call: &Call, account: &str, policy: Option<&str>, name: Option<&str>) -> Result<(), ApiError> {
    if !is_account(account) {
        return Err(ApiError::invalid("Owner: expected an account of 12 digits"));
    }
    if call.is_of_a_tenant() && name.is_some() {
        return Err(ApiError::invalid(
            "name: the ids of an account's keys are chosen by the store, because they are unique among all accounts",
        ));
    }
    if policy.is_some() && call.signer.identity.account != account {
        return Err(ApiError::invalid("Policy: which policy its key has, the account says itself. Leave it out, and the account decides."));
    }
    Ok(())
}

/// Refuses a policy by which the caller could not put another one, unless they insist. Source: `BypassPolicyLockoutSafetyCheck` of AWS KMS.
pub(super) fn check_lockout(call: &Call, account: &str, policy: &str, grants: &[Grant], bypass: bool) -> Result<(), ApiError> {
    let rules = KmsKeys::rules_with(account, policy, grants).map_err(ApiError::of_owned_keys)?;
    let about = About { conditions: bypassing(bypass), ..About::default() };
    let decision = call.signer.identity.may_with_key(Some(&rules), Action::PutKeyPolicy, "*", &call.conditions(&about));
    if bypass || decision == Decision::Allow {
        return Ok(());
    }
    let text = "By this policy you could not change the policy of the key any more, and nobody else can open it again. Allow yourself \
                kms:PutKeyPolicy in it, or set bypass_policy_lockout_safety_check.";
    Err(ApiError::invalid(text).with_code("MalformedPolicyDocument"))
}

/// What conditions see of giving the check up.
pub(super) fn bypassing(bypass: bool) -> Vec<(ConditionKey, String)> {
    vec![(ConditionKey::BypassPolicyLockoutSafetyCheck, bypass.to_string())]
}

/// Gives a key of the store's own to the main account, with a policy.
pub(super) async fn adopt(call: &Call, key_id: &str, policy: &str) -> Result<(), ApiError> {
    let (backend, kms) = call.kms()?;
    let key = kms.describe_key(key_id).await?;
    if key.tags.contains_key(OWNER_TAG) {
        return Err(ApiError::conflict("PolicyLost", format!("The key {key_id} has lost its policy: restore the catalog from a backup.")));
    }
    refuse_default(&call.inner, key_id)?;
    refuse_elsewhere(call, &backend, key_id).await?;
    check_tags(&*kms, &backend)?;
    let account = &call.signer.identity.account;
    KmsKeys::rules_with(account, policy, &[]).map_err(ApiError::of_owned_keys)?;
    // In this order a policy is never lost: where the key cannot be marked, it has its rules all the same, and the next policy marks it.
    let created = call.inner.parts.owned.create(&backend, key_id, account, Some(policy)).await;
    created.map_err(ApiError::of_owned_keys)?;
    let marked = kms.tag(key_id, [(OWNER_TAG.to_owned(), account.clone())].into()).await?;
    check_mark(&*kms, &backend, &marked).await
}

/// Has a key say to whom it belongs, where it does not.
pub(super) async fn mark(call: &Call, backend: &str, key_id: &str, account: &str) -> Result<(), ApiError> {
    let kms = call.inner.parts.keyring.kms(Some(backend))?;
    if !kms.describe_key(key_id).await?.tags.contains_key(OWNER_TAG) {
        kms.tag(key_id, [(OWNER_TAG.to_owned(), account.to_owned())].into()).await?;
    }
    Ok(())
}

/// Everybody writes under the default key, so that nobody owns it.
fn refuse_default(inner: &Inner, key_id: &str) -> Result<(), ApiError> {
    if inner.parts.keyring.default_key_id() != key_id {
        return Ok(());
    }
    Err(ApiError::conflict(
        "DefaultKey",
        format!("The key {key_id} is the default key, which is the store's own: it cannot have a policy."),
    ))
}

/// Refuses a default key that belongs to an account: whoever may end it could take everybody's SSE-S3 along.
pub(crate) async fn refuse_owned_default(call: &Call, given: Option<&str>) -> Result<(), ApiError> {
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(()) };
    match call.inner.parts.engine.key_rules(strongroom_kms::resolve_key_id(given)?).await? {
        None => Ok(()),
        Some(rules) => Err(ApiError::conflict(
            "OwnedKey",
            format!(
                "The key {given} belongs to the account {}, so it cannot be the default key. Name a key of the store's own.",
                rules.account
            ),
        )),
    }
}

/// Rights do not name a backend: a key of the same id in another one would get the same rules.
async fn refuse_elsewhere(call: &Call, backend: &str, key_id: &str) -> Result<(), ApiError> {
    let keyring = &call.inner.parts.keyring;
    for other in keyring.backends().into_iter().filter(|other| other != backend) {
        match keyring.kms(Some(&other))?.describe_key(key_id).await {
            Err(KmsError::KeyNotFound(_)) => {}
            Ok(_) | Err(KmsError::KeyErased(_)) => {
                let text =
                    format!("The backend {other} has a key {key_id} too, and rights do not tell one from the other: take another id.");
                return Err(ApiError::conflict("KeyExists", text));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The mark by which a key says to whom it belongs is a tag.
fn check_tags(kms: &dyn Kms, backend: &str) -> Result<(), ApiError> {
    if kms.capabilities().tag {
        return Ok(());
    }
    Err(KmsError::Unsupported { backend: backend.to_owned(), operation: "keep tags of keys, by which a key says to whom it belongs" }
        .into())
}

/// Whether the key says to whom it belongs, so that it would be noticed if its rules were gone.
async fn check_mark(kms: &dyn Kms, backend: &str, key: &KeyMetadata) -> Result<(), ApiError> {
    if key.tags.contains_key(OWNER_TAG) || kms.describe_key(&key.key_id).await?.tags.contains_key(OWNER_TAG) {
        return Ok(());
    }
    Err(KmsError::Unsupported { backend: backend.to_owned(), operation: "keep the tag by which a key says to whom it belongs" }.into())
}

/// Refuses tags that are the store's own to set.
pub(super) fn refuse_reserved_tags<'a>(names: impl IntoIterator<Item = &'a String>) -> Result<(), ApiError> {
    match names.into_iter().find(|name| name.starts_with(RESERVED_TAGS)) {
        Some(_) => Err(ApiError::invalid(format!("tags whose names begin with {RESERVED_TAGS} are the store's own"))),
        None => Ok(()),
    }
}
