//! Providers of identities that speak OpenID Connect.

use serde_json::{Value, json};
use strongroom_access::arn;

use super::shapes;
use crate::{
    IamError,
    call::Call,
    model::{Provider, Tags},
};

const MAX_URL_BYTES: usize = 255;
const MAX_CLIENT_IDS: usize = 100;
const MAX_CLIENT_ID_BYTES: usize = 255;
const MAX_THUMBPRINTS: usize = 5;
const THUMBPRINT_CHARS: usize = 40;
const MAX_PROVIDERS: usize = 100;

/// The name of the provider that an ARN is of.
pub(crate) fn url_of(arn: &str) -> &str {
    arn.split_once(":oidc-provider/").map_or("", |(_, url)| url)
}

/// The provider that the call names, if it is there under this very ARN.
pub(crate) async fn named(call: &Call<'_>) -> Result<String, IamError> {
    let given = call.params.text("OpenIDConnectProviderArn")?;
    let url = url_of(given);
    if url.is_empty() {
        return Err(IamError::validation(format!("ARN {given} is not the ARN of an OpenID Connect provider.")));
    }
    let missing = || crate::directory::missing::<Provider>(given);
    let found = call.directory().find::<Provider>(&call.account, url).await?.ok_or_else(missing)?.record;
    if arn::oidc_provider(&call.account, &found.url) == given { Ok(found.url) } else { Err(missing()) }
}

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, IamError> {
    let url = check_url(call.params.text("Url")?)?;
    let mut provider = Provider {
        url: url.to_owned(),
        created: call.now(),
        client_ids: Vec::new(),
        thumbprints: thumbprints(call)?,
        tags: Tags::new(call.params.pairs("Tags"))?,
    };
    call.params.list("ClientIDList").iter().try_for_each(|client_id| add(&mut provider, client_id))?;
    call.directory().create(&call.account, &provider).await?;
    Ok(json!({"OpenIDConnectProviderArn": arn::oidc_provider(&call.account, url), "Tags": shapes::tags(&provider.tags)}))
}

/// The URL without its scheme: the provider's name.
pub(crate) fn check_url(url: &str) -> Result<&str, IamError> {
    let invalid =
        || IamError::InvalidInput(format!("{url} is no URL of a provider: it begins with https://, and has no query, fragment or user."));
    let rest = url.strip_prefix("https://").ok_or_else(invalid)?.trim_end_matches('/');
    let is_url = !rest.is_empty()
        && !rest.starts_with('/')
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
        && !rest.contains(['?', '#', '@', '"', '<', '>', '\\']);
    if is_url && url.len() <= MAX_URL_BYTES { Ok(rest) } else { Err(invalid()) }
}

fn thumbprints(call: &Call<'_>) -> Result<Vec<String>, IamError> {
    let thumbprints = call.params.list("ThumbprintList");
    if thumbprints.len() > MAX_THUMBPRINTS {
        return Err(IamError::LimitExceeded(format!("A provider may have {MAX_THUMBPRINTS} thumbprints.")));
    }
    let is_one = |text: &String| text.len() == THUMBPRINT_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match thumbprints.iter().find(|text| !is_one(text)) {
        Some(_) => Err(IamError::validation(format!("A thumbprint has {THUMBPRINT_CHARS} hexadecimal digits."))),
        None => Ok(thumbprints),
    }
}

fn add(provider: &mut Provider, client_id: &str) -> Result<(), IamError> {
    if client_id.is_empty() || client_id.len() > MAX_CLIENT_ID_BYTES {
        return Err(IamError::validation(format!("A client id has 1 to {MAX_CLIENT_ID_BYTES} characters.")));
    }
    if provider.client_ids.iter().any(|other| other == client_id) {
        return Ok(());
    }
    if provider.client_ids.len() >= MAX_CLIENT_IDS {
        return Err(IamError::LimitExceeded(format!("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {MAX_CLIENT_IDS}")));
    }
    provider.client_ids.push(client_id.to_owned());
    Ok(())
}

pub(crate) async fn get(call: &Call<'_>) -> Result<Value, IamError> {
    let provider = call.directory().get::<Provider>(&call.account, &named(call).await?).await?.record;
    Ok(json!({
        "Url": provider.url, "ClientIDList": provider.client_ids, "ThumbprintList": provider.thumbprints,
        "CreateDate": shapes::date(provider.created), "Tags": shapes::tags(&provider.tags),
    }))
}

pub(crate) async fn list(call: &Call<'_>) -> Result<Value, IamError> {
    let providers = call.directory().list::<Provider>(&call.account, None, MAX_PROVIDERS).await?;
    let arns = providers.iter().map(|seen| json!({"Arn": arn::oidc_provider(&call.account, &seen.record.url)}));
    Ok(json!({"OpenIDConnectProviderList": arns.collect::<Vec<_>>()}))
}

pub(crate) async fn delete(call: &Call<'_>) -> Result<Value, IamError> {
    call.directory().delete(&call.account, &named(call).await?, |_: &Provider| Ok(())).await?;
    Ok(Value::Null)
}

pub(crate) async fn add_client_id(call: &Call<'_>) -> Result<Value, IamError> {
    let client_id = call.params.text("ClientID")?;
    call.directory().change(&call.account, &named(call).await?, |provider: &mut Provider| add(provider, client_id)).await?;
    Ok(Value::Null)
}

pub(crate) async fn remove_client_id(call: &Call<'_>) -> Result<Value, IamError> {
    let client_id = call.params.text("ClientID")?;
    let remove = |provider: &mut Provider| {
        provider.client_ids.retain(|other| other != client_id);
        Ok(())
    };
    call.directory().change(&call.account, &named(call).await?, remove).await?;
    Ok(Value::Null)
}

pub(crate) async fn update_thumbprints(call: &Call<'_>) -> Result<Value, IamError> {
    let new = thumbprints(call)?;
    let set = |provider: &mut Provider| {
        provider.thumbprints.clone_from(&new);
        Ok(())
    };
    call.directory().change(&call.account, &named(call).await?, set).await?;
    Ok(Value::Null)
}
