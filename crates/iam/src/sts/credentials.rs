//! Giving temporary credentials, and what all calls that do so take.

use serde_json::{Value, json};
use strongroom_access::Policy;
use zeroize::Zeroizing;

use super::token::{Session, SessionOf};
use crate::{
    IamError,
    call::Call,
    calls::{policies, shapes},
    model::{ManagedPolicy, PolicyRef, Tag, Tags, bytes_that_count},
    name::{self, IdOf},
};

/// Seconds. Source: the parameter `DurationSeconds` in the API reference of STS.
const MIN_SECONDS: u32 = 900;
const MAX_POLICY_BYTES: usize = 2048;
const MAX_POLICY_ARNS: usize = 10;
const MIN_SESSION_NAME: usize = 2;
const MAX_SESSION_NAME: usize = 64;

/// The longest token that is given. It travels in the head of each request, which may have twice that.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// Credentials, and how much of the longest token theirs takes.
pub(super) struct Given {
    pub(super) credentials: Value,
    pub(super) packed_percent: usize,
}

/// Makes credentials for a session that begins now.
pub(super) fn give(call: &Call<'_>, seconds: u32, session: impl FnOnce(Session) -> Session, of: SessionOf) -> Result<Given, IamError> {
    let access_key = name::new_id(IdOf::TemporaryKey);
    let issued = call.now();
    let session = session(Session {
        secret: Zeroizing::new(name::new_secret()),
        account: call.account.clone(),
        of,
        issued,
        expires: issued.saturating_add(i64::from(seconds) * 1000),
        policies: Vec::new(),
        tags: Vec::new(),
        claims: Vec::new(),
        source_identity: None,
        vouched_by: None,
    });
    let token = session.seal(call.directory().store_key(), &access_key)?;
    let packed_percent = (token.len() * 100).div_ceil(MAX_TOKEN_BYTES);
    if token.len() > MAX_TOKEN_BYTES {
        return Err(IamError::PackedPolicyTooLarge(format!(
            "Policies, tags and claims of the session take {packed_percent} percent of the longest token. Pass fewer or shorter ones."
        )));
    }
    call.note("access_key", &access_key);
    let credentials = json!({
        "AccessKeyId": access_key, "SecretAccessKey": *session.secret, "SessionToken": token, "Expiration": shapes::date(session.expires),
    });
    Ok(Given { credentials, packed_percent })
}

/// `DurationSeconds`: 15 minutes to `max`.
pub(super) fn seconds(call: &Call<'_>, usual: u32, max: u32) -> Result<u32, IamError> {
    match call.params.number("DurationSeconds")? {
        None => Ok(usual.min(max)),
        Some(seconds) if (MIN_SECONDS..=max).contains(&seconds) => Ok(seconds),
        Some(_) => Err(IamError::validation(format!(
            "The requested DurationSeconds must be {MIN_SECONDS} to {max}, the longest session of this role."
        ))),
    }
}

/// `RoleSessionName`
pub(super) fn session_name<'a>(call: &'a Call<'_>) -> Result<&'a str, IamError> {
    let session = call.params.text("RoleSessionName")?;
    name::check("roleSessionName", session, MAX_SESSION_NAME)?;
    if session.len() < MIN_SESSION_NAME {
        return Err(IamError::validation(format!("RoleSessionName has at least {MIN_SESSION_NAME} characters.")));
    }
    Ok(session)
}

/// `Policy` and `PolicyArns`, which are of the account: documents that bound the session.
pub(super) async fn session_policies(call: &Call<'_>, account: &str) -> Result<Vec<String>, IamError> {
    let mut documents = Vec::new();
    if let Some(document) = call.params.get("Policy").filter(|document| !document.is_empty()) {
        if bytes_that_count(document) > MAX_POLICY_BYTES {
            return Err(IamError::validation(format!("A session policy has up to {MAX_POLICY_BYTES} characters.")));
        }
        Policy::parse(document)?;
        documents.push(document.to_owned());
    }
    let arns = (1..).map_while(|number| call.params.get(&format!("PolicyArns.member.{number}.arn")));
    for arn in arns.take(MAX_POLICY_ARNS + 1) {
        documents.push(document_of(call, account, &PolicyRef::parse(arn, account)?).await?);
    }
    if documents.len() > MAX_POLICY_ARNS {
        return Err(IamError::validation(format!("A session has up to {MAX_POLICY_ARNS} policies.")));
    }
    Ok(documents)
}

async fn document_of(call: &Call<'_>, account: &str, policy: &PolicyRef) -> Result<String, IamError> {
    if let PolicyRef::BuiltIn(name) = policy {
        return Ok(crate::builtin::find(name).unwrap_or_default().to_owned());
    }
    let record: ManagedPolicy = policies::record_in(call, account, policy).await?;
    let document = record.default().map(|version| version.document.clone());
    document.ok_or_else(|| IamError::NoSuchEntity(format!("Policy {} has no default version.", record.name)))
}

/// `Tags` of the session.
pub(super) fn session_tags(call: &Call<'_>) -> Result<Vec<Tag>, IamError> {
    Ok(Tags::new(call.params.pairs("Tags"))?.iter().cloned().collect())
}
