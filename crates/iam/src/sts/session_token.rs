//! `GetSessionToken`: temporary credentials of the caller's own.

use serde_json::{Value, json};

use super::{SessionOf, credentials};
use crate::{
    IamError,
    call::Call,
    model::{AccessKey, User},
};

const USUAL_SECONDS: u32 = 43_200;
const MAX_SECONDS: u32 = 129_600;

pub(crate) async fn get_session_token(call: &Call<'_>) -> Result<Value, IamError> {
    let denied = |why: &str| IamError::AccessDenied(format!("Cannot call GetSessionToken {why}."));
    if call.identity.is_temporary() {
        return Err(denied("with session credentials"));
    }
    let key = call.directory().find::<AccessKey>(&call.account, &call.identity.access_key).await?;
    let key = key.ok_or_else(|| denied("as root, or as a user of the configuration file"))?.record;
    if key.user.is_empty() {
        return Err(denied("as root of an account"));
    }
    if key.service_account.is_some() {
        return Err(denied("with the access key of a service account"));
    }
    let user = call.directory().get::<User>(&call.account, &key.user).await?.record;
    let seconds = credentials::seconds(call, USUAL_SECONDS, MAX_SECONDS)?;
    let of = SessionOf::User { name: user.name, id: user.id, key: Some(key.id) };
    Ok(json!({"Credentials": credentials::give(call, seconds, |session| session, of)?.credentials}))
}
