//! What a token says, and whether it says it to this server now. Source: OpenID Connect Core 1.0, sections 2 and 3.1.3.7; for tags and
//! the source identity "Passing session tags using AssumeRoleWithWebIdentity" in the user guide of IAM.

use serde_json::{Map, Value};

use crate::TokenError;

/// Clocks differ by so much.
const LEEWAY_SECONDS: i64 = 60;
const MAX_SUBJECT_BYTES: usize = 255;
/// Up to here every whole number is a number of JSON.
const MAX_DATE: f64 = 9_007_199_254_740_991.0;
const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";
/// They are about the token, and say nothing of anybody.
const OF_THE_TOKEN: [&str; 9] = ["iss", "aud", "azp", "exp", "nbf", "iat", "jti", "nonce", "at_hash"];

/// What a token says.
#[derive(Debug)]
pub struct Claims(Map<String, Value>);

/// What a provider says of somebody, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// The provider.
    pub issuer: String,
    /// Who it is, as the provider calls them.
    pub subject: String,
    /// The client that the token was made for.
    pub audience: String,
    /// Claims that are texts, numbers, switches, or lists of these. `sub`, `aud` and, where the token names a client besides (`azp`), `oaud`
    /// are among them.
    pub claims: Vec<(String, Vec<String>)>,
    /// Tags that the provider gives to the session.
    pub tags: Vec<(String, String)>,
    /// Whom the provider says the session acts for.
    pub source_identity: Option<String>,
}

impl Claims {
    pub(crate) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    pub(crate) fn issuer(&self) -> Result<&str, TokenError> {
        self.text("iss")
    }

    /// What they say of somebody, if the issuer says it to one of these clients, at this time in seconds since 1970.
    pub(crate) fn vouch(self, issuer: &str, client_ids: &[String], now: i64) -> Result<Vouched, TokenError> {
        if without_slash(self.issuer()?) != without_slash(issuer) {
            return Err(TokenError::WrongIssuer);
        }
        self.check_dates(now)?;
        let subject = self.text("sub")?.to_owned();
        if subject.len() > MAX_SUBJECT_BYTES {
            return Err(TokenError::Claim { claim: "sub", problem: "is too long" });
        }
        let audiences = self.audiences()?;
        let (audience, of_token) = self.audience(&audiences, client_ids)?;
        let mut claims = vec![("sub".to_owned(), vec![subject.clone()]), ("aud".to_owned(), audience.clone())];
        claims.extend(of_token.map(|audiences| ("oaud".to_owned(), audiences)));
        claims
            .extend(self.0.iter().filter(|(name, _)| is_of_somebody(name)).filter_map(|(name, value)| Some((name.clone(), texts(value)?))));
        Ok(Vouched {
            issuer: issuer.to_owned(),
            subject,
            audience: audience.join(" "),
            claims,
            tags: self.tags()?,
            source_identity: self.source_identity()?,
        })
    }

    fn check_dates(&self, now: i64) -> Result<(), TokenError> {
        let missing = |claim| TokenError::Claim { claim, problem: "is missing" };
        let expires = self.date("exp")?.ok_or_else(|| missing("exp"))?;
        let issued = self.date("iat")?.ok_or_else(|| missing("iat"))?;
        if now >= expires.saturating_add(LEEWAY_SECONDS) {
            return Err(TokenError::Expired);
        }
        let begins = self.date("nbf")?.map_or(issued, |begins| begins.max(issued));
        if begins > now.saturating_add(LEEWAY_SECONDS) { Err(TokenError::NotYet) } else { Ok(()) }
    }

    /// For whom the token is, and where it names a client besides, for whom it would be without. All that it names must be known: whoever else
    /// gets the token could bring it here.
    fn audience(&self, audiences: &[String], client_ids: &[String]) -> Result<(Vec<String>, Option<Vec<String>>), TokenError> {
        let is_known = |audience: &str| client_ids.iter().any(|client_id| client_id == audience);
        let Some(client) = self.0.get("azp") else {
            let all_known = !audiences.is_empty() && audiences.iter().all(|audience| is_known(audience));
            return if all_known { Ok((audiences.to_vec(), None)) } else { Err(TokenError::WrongAudience) };
        };
        let client = client.as_str().ok_or(TokenError::Claim { claim: "azp", problem: "is no text" })?;
        if !is_known(client) || !audiences.iter().any(|audience| is_known(audience)) {
            return Err(TokenError::WrongAudience);
        }
        Ok((vec![client.to_owned()], Some(audiences.to_vec())))
    }

    fn audiences(&self) -> Result<Vec<String>, TokenError> {
        let wrong = TokenError::Claim { claim: "aud", problem: "is no text, and no list of texts" };
        match self.0.get("aud") {
            None => Err(TokenError::Claim { claim: "aud", problem: "is missing" }),
            Some(Value::String(audience)) => Ok(vec![audience.clone()]),
            Some(Value::Array(audiences)) => {
                audiences.iter().map(|audience| audience.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or(wrong)
            }
            Some(_) => Err(wrong),
        }
    }

    fn text(&self, claim: &'static str) -> Result<&str, TokenError> {
        match self.0.get(claim) {
            None => Err(TokenError::Claim { claim, problem: "is missing" }),
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(TokenError::Claim { claim, problem: "is no text" }),
        }
    }

    /// In seconds since 1970. Fractions are allowed, and do not count.
    fn date(&self, claim: &'static str) -> Result<Option<i64>, TokenError> {
        let Some(value) = self.0.get(claim) else { return Ok(None) };
        let date = value.as_f64().filter(|date| (0.0..=MAX_DATE).contains(date));
        #[allow(clippy::cast_possible_truncation, reason = "it was compared with both ends")]
        date.map(|date| Some(date as i64)).ok_or(TokenError::Claim { claim, problem: "is no date" })
    }

    /// A tag may stand in a list of its own, as AWS writes it, or for itself.
    fn tags(&self) -> Result<Vec<(String, String)>, TokenError> {
        let wrong = || TokenError::Claim { claim: TAGS, problem: "has no principal_tags with one text each" };
        let Some(tags) = self.0.get(TAGS) else { return Ok(Vec::new()) };
        let tags = tags.get("principal_tags").and_then(Value::as_object).ok_or_else(wrong)?;
        let tag = |(key, value): (&String, &Value)| match value {
            Value::String(value) => Some((key.clone(), value.clone())),
            Value::Array(values) => match values.as_slice() {
                [Value::String(value)] => Some((key.clone(), value.clone())),
                _ => None,
            },
            _ => None,
        };
        tags.iter().map(tag).collect::<Option<_>>().ok_or_else(wrong)
    }

    fn source_identity(&self) -> Result<Option<String>, TokenError> {
        match self.0.get(SOURCE_IDENTITY) {
            None => Ok(None),
            Some(_) => self.text(SOURCE_IDENTITY).map(|text| Some(text.to_owned())),
        }
    }
}

/// Issuers are compared without a last slash: some have one, and the names of providers have none.
fn without_slash(url: &str) -> &str {
    url.strip_suffix('/').unwrap_or(url)
}

/// A name with a colon in it could be taken for a claim of another provider, whose URL ends there.
fn is_of_somebody(name: &str) -> bool {
    name != "sub" && name != "oaud" && !name.is_empty() && !name.contains(':') && !OF_THE_TOKEN.contains(&name)
}

/// The values of a claim; none of what has no values that could be compared.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Bool(flag) => Some(vec![flag.to_string()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Array(values) if values.iter().all(|value| !value.is_array()) => {
            values.iter().map(texts).collect::<Option<Vec<_>>>().map(|values| values.concat())
        }
        Value::Array(_) | Value::Object(_) | Value::Null => None,
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
