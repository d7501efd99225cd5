//! `AssumeRoleWithWebIdentity`: somebody whom a provider of OpenID Connect vouches for takes on a role. Nobody signs the call: the token says
//! who asks.

use serde_json::{Value, json};
use strongroom_access::{Action, Identity, arn};
use strongroom_sso::{Asked, Token, TokenError, Vouched};

use super::{
    VouchedBy,
    assume_role::check_source_identity,
    credentials,
    role::{self, Wanted},
};
use crate::{
    IamError,
    call::Call,
    directory::Seen,
    model::{Provider, Tags},
};

/// Providers have no other scheme.
const SCHEME: &str = "https://";
/// Of an issuer that is not known, so much is told.
const MAX_TOLD_CHARS: usize = 255;

pub(crate) async fn assume_role_with_web_identity(call: &Call<'_>) -> Result<Value, IamError> {
    let role_arn = call.params.text("RoleArn")?;
    let (account, _) = role::parse(role_arn)?;
    let session = credentials::session_name(call)?;
    if call.params.get("ProviderId").is_some_and(|id| !id.is_empty()) {
        return Err(IamError::validation(
            "ProviderId is for OAuth 2.0 access tokens, which are not taken. Leave it out: the token names its issuer.",
        ));
    }
    let token = Token::read(call.params.text("WebIdentityToken")?).map_err(|error| refused(&error))?;
    let provider = provider_of(call, account, token.issuer().map_err(|error| refused(&error))?).await?;
    let vouched = verify(call, account, &provider, token).await?;
    call.note("account", account);
    call.note("issuer", &vouched.issuer);
    call.note("subject", &vouched.subject);
    if let Some(said) = &vouched.source_identity {
        check_source_identity(said)?;
    }
    let claims = claims(&provider.url, &vouched);
    let by = VouchedBy { provider: provider.url.clone(), created: provider.created };
    let wanted = Wanted {
        asker: &Identity::vouched_for(arn::oidc_provider(account, &provider.url), with_short_names(&claims)),
        action: Action::AssumeRoleWithWebIdentity,
        role_arn,
        session,
        tags: Tags::new(vouched.tags)?.iter().cloned().collect(),
        said_source_identity: vouched.source_identity.clone(),
        source_identity: vouched.source_identity,
        max_seconds: u32::MAX,
    };
    let denied = || IamError::AccessDenied("Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned());
    let session_of = |session| super::Session { claims, vouched_by: Some(by), ..session };
    let mut given = role::take_on(call, wanted, denied, session_of).await?;
    given["SubjectFromWebIdentityToken"] = json!(vouched.subject);
    given["Provider"] = json!(vouched.issuer);
    given["Audience"] = json!(vouched.audience);
    Ok(given)
}

/// The account's provider of that URL.
async fn provider_of(call: &Call<'_>, account: &str, issuer: &str) -> Result<Provider, IamError> {
    let name = issuer.strip_prefix(SCHEME).map(|url| url.trim_end_matches('/'));
    let found = match name {
        Some(name) => call.directory().find::<Provider>(account, name).await?,
        None => None,
    };
    found.map(|Seen { record, .. }| record).ok_or_else(|| {
        let shown: String = issuer.chars().filter(|one| !one.is_control()).take(MAX_TOLD_CHARS).collect();
        IamError::InvalidIdentityToken(format!("No OpenIDConnect provider found in your account for {shown}"))
    })
}

async fn verify(call: &Call<'_>, account: &str, provider: &Provider, token: Token<'_>) -> Result<Vouched, IamError> {
    let issuer = format!("{SCHEME}{}", provider.url);
    let asked = Asked { account, issuer: &issuer, client_ids: &provider.client_ids, now: call.now().div_euclid(1000) };
    call.iam.providers.verify(token, asked).await.map_err(|error| refused(&error))
}

/// The claims by the names of condition keys.
fn claims(url: &str, vouched: &Vouched) -> Vec<(String, Vec<String>)> {
    vouched.claims.iter().map(|(name, values)| (format!("{url}:{name}"), values.clone())).collect()
}

/// The same, and again as policies for MinIO name them: `jwt:CLAIM`, whichever provider says so.
pub(crate) fn with_short_names(claims: &[(String, Vec<String>)]) -> Vec<(String, Vec<String>)> {
    let short = claims.iter().filter_map(|(name, values)| Some((format!("jwt:{}", name.rsplit_once(':')?.1), values.clone())));
    claims.iter().cloned().chain(short).collect()
}

fn refused(error: &TokenError) -> IamError {
    let message = error.to_string();
    match error {
        TokenError::Expired => IamError::ExpiredToken(message),
        TokenError::Unreachable(_) => IamError::IdpCommunication(message),
        _ => IamError::InvalidIdentityToken(message),
    }
}
