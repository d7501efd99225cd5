//! `GetSessionToken`: temporary credentials of the caller's own.

use serde_json::{Value, json};

use super::{SessionOf, credentials};
use crate::{IamError, call::Call, model::User};

const USUAL_SECONDS: u32 = 43_200;
const MAX_SECONDS: u32 = 129_600;

pub(crate) async fn get_session_token(call: &Call<'_>) -> Result<Value, IamError> {
    let denied = |why: &str| IamError::AccessDenied(format!("Cannot call GetSessionToken {why}."));
    if call.identity.is_temporary() {
        return Err(denied("with session credentials"));
    }
    let name = call.identity.user_name().ok_or_else(|| denied("as root, or as a user of the configuration file"))?;
    let user = call.directory().get::<User>(&call.account, name).await?.record;
    let seconds = credentials::seconds(call, USUAL_SECONDS, MAX_SECONDS)?;
    let of = SessionOf::User { name: user.name, id: user.id };
    Ok(json!({"Credentials": credentials::give(call, seconds, |session| session, of)?}))
}
