//! Browser forms: a POST whose fields carry a policy and its signature, instead of a signed request.
//!
//! The signature covers the policy and nothing else, so it proves one thing: that the signer lets anybody who has the form upload what
//! the policy's conditions allow, until it expires. [`VerifiedPolicy`] says so and is no [`crate::Verified`]: whoever takes requests
//! signed by their owner cannot be handed a form by mistake.
//!
//! The order of use: [`FormClaim::read`] from the fields before the file, [`FormClaim::verify`], [`VerifiedPolicy::check_fields`], and
//! when the file has been read to its end, but not been stored yet, [`VerifiedPolicy::check_length`].

mod conditions;

use std::{fmt, ops::RangeInclusive};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use self::conditions::{Condition, exempt};
use crate::{
    authorization::ALGORITHM,
    error::SignatureError,
    key::{SigningKey, parse_signature, verify_sha1},
    rules::{Regions, Rules, is_region_name},
    scope::{Credential, Scope},
    timestamp::Timestamp,
};

/// The longest policy as it stands in the form. Amazon takes 20 KB of fields in all.
const MAX_POLICY_BYTES: usize = 20 << 10;
const MAX_CONDITIONS: usize = 256;

/// Why a form is refused. The text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A field of the signature is missing. Its name.
    #[error("Bucket POST must contain a field named '{0}'.  If it is specified, please check the order of the fields.")]
    FieldMissing(&'static str),
    /// A field came more than once. Its name.
    #[error("The form field {0} was given more than once.")]
    FieldRepeated(String),
    /// A field of the signature does not have its form. Its name, and what is wrong.
    #[error("The form field {0} is not valid; {1}.")]
    FieldInvalid(&'static str, &'static str),
    /// The signature is another one, or for another region or service.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The policy is no policy; what is wrong.
    #[error("Invalid Policy: {0}.")]
    InvalidPolicy(&'static str),
    /// The policy has expired.
    #[error("Invalid according to Policy: Policy expired.")]
    Expired,
    /// The form breaks a condition, which is quoted.
    #[error("Invalid according to Policy: Policy Condition failed: {0}")]
    ConditionFailed(String),
    /// No condition covers a field. Its name.
    #[error("Invalid according to Policy: Extra input fields: {0}")]
    ExtraField(String),
    /// The file is too large.
    #[error("Your proposed upload exceeds the maximum allowed size")]
    TooLarge,
    /// The file is too small.
    #[error("Your proposed upload is smaller than the minimum allowed size")]
    TooSmall,
}

impl FormError {
    /// S3's code and status.
    pub fn verdict(&self) -> (&'static str, StatusCode) {
        match self {
            Self::FieldMissing(_) | Self::FieldRepeated(_) | Self::FieldInvalid(..) => ("InvalidArgument", StatusCode::BAD_REQUEST),
            Self::Signature(error) => error.verdict(),
            Self::InvalidPolicy(_) => ("InvalidPolicyDocument", StatusCode::BAD_REQUEST),
            Self::Expired | Self::ConditionFailed(_) | Self::ExtraField(_) => ("AccessDenied", StatusCode::FORBIDDEN),
            Self::TooLarge => ("EntityTooLarge", StatusCode::BAD_REQUEST),
            Self::TooSmall => ("EntityTooSmall", StatusCode::BAD_REQUEST),
        }
    }

    /// S3's code.
    pub fn code(&self) -> &'static str {
        self.verdict().0
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.verdict().1
    }
}

/// What a form says of its signature. Nothing of it is verified yet, and the policy is not even decoded.
pub struct FormClaim {
    access_key: String,
    signed: Signed,
    security_token: Option<String>,
    policy: String,
}

/// How the policy was signed.
enum Signed {
    /// Signature Version 4.
    Four { scope: Scope, timestamp: Timestamp, signature: [u8; 32] },
    /// Signature Version 2: the HMAC-SHA1 of the policy under the secret itself, for any region and any day.
    Two { signature: Vec<u8> },
}

/// Without the signature, the session token and the policy.
impl fmt::Debug for FormClaim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FormClaim").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl FormClaim {
    /// From the fields before the file, names in any case. None where the form is not signed at all. One that is signed with version 2 is
    /// refused unless `takes_version_two`.
    pub fn read(fields: &[(String, String)], takes_version_two: bool) -> Result<Option<Self>, FormError> {
        if field(fields, "signature")?.is_some() || field(fields, "awsaccesskeyid")?.is_some() {
            return if takes_version_two { Self::read_version_two(fields).map(Some) } else { Err(SignatureError::VersionTwo.into()) };
        }
        if field(fields, "x-amz-signature")?.is_none() && field(fields, "policy")?.is_none() {
            return Ok(None);
        }
        match required(fields, "x-amz-algorithm")? {
            ALGORITHM => {}
            "AWS4-ECDSA-P256-SHA256" => return Err(SignatureError::AsymmetricNotImplemented.into()),
            _ => return Err(FormError::FieldInvalid("x-amz-algorithm", "it must be AWS4-HMAC-SHA256")),
        }
        let credential = Credential::parse(required(fields, "x-amz-credential")?);
        let Credential { access_key, scope } = credential.map_err(|what| FormError::FieldInvalid("x-amz-credential", what))?;
        let timestamp = Timestamp::parse(required(fields, "x-amz-date")?)
            .ok_or(FormError::FieldInvalid("x-amz-date", "it must have the format YYYYMMDDThhmmssZ"))?;
        let signature = parse_signature(required(fields, "x-amz-signature")?.as_bytes()).ok_or(SignatureError::Mismatch)?;
        Self::with_policy(fields, access_key, Signed::Four { scope, timestamp, signature }).map(Some)
    }

    /// Source: S3 developer guide of 2006-03-01, "HTML form fields".
    fn read_version_two(fields: &[(String, String)]) -> Result<Self, FormError> {
        if field(fields, "x-amz-signature")?.is_some() {
            return Err(FormError::FieldInvalid("signature", "the form is signed with version 4 too"));
        }
        let access_key = required(fields, "awsaccesskeyid")?.to_owned();
        let signature = STANDARD.decode(required(fields, "signature")?).map_err(|_| SignatureError::Mismatch)?;
        Self::with_policy(fields, access_key, Signed::Two { signature })
    }

    fn with_policy(fields: &[(String, String)], access_key: String, signed: Signed) -> Result<Self, FormError> {
        let policy = required(fields, "policy")?.to_owned();
        if policy.len() > MAX_POLICY_BYTES {
            return Err(FormError::InvalidPolicy("it is too long"));
        }
        let security_token = field(fields, "x-amz-security-token")?.map(str::to_owned);
        Ok(Self { access_key, signed, security_token, policy })
    }

    /// Whose secret the signature must have been made with.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The session token that came along. The signature covers it only if a condition names it, which
    /// [`VerifiedPolicy::check_fields`] demands.
    pub fn security_token(&self) -> Option<&str> {
        self.security_token.as_deref()
    }

    /// Verifies the signature of the policy, then decodes it. Of the rules, services, regions and the allowed skew apply.
    pub fn verify(self, secret: &str, now: OffsetDateTime, rules: &Rules) -> Result<VerifiedPolicy, FormError> {
        let holds = match &self.signed {
            Signed::Four { scope, timestamp, signature } => {
                check(scope, timestamp, now, rules)?;
                SigningKey::derive(secret, scope).verify(self.policy.as_bytes(), signature)
            }
            Signed::Two { signature } => verify_sha1(secret, self.policy.as_bytes(), signature),
        };
        if !holds {
            return Err(SignatureError::Mismatch.into());
        }
        let (expiration, conditions) = parse(&self.policy)?;
        if expiration <= now {
            return Err(FormError::Expired);
        }
        Ok(VerifiedPolicy { access_key: self.access_key, expiration, conditions })
    }
}

fn check(scope: &Scope, timestamp: &Timestamp, now: OffsetDateTime, rules: &Rules) -> Result<(), FormError> {
    if rules.regions == Regions::Named && !is_region_name(scope.region()) {
        return Err(SignatureError::WrongRegion { region: scope.region().to_owned() }.into());
    }
    if !rules.services.contains(&scope.service()) {
        return Err(FormError::FieldInvalid("x-amz-credential", "it is for another service"));
    }
    if timestamp.day() != scope.date() {
        return Err(FormError::FieldInvalid("x-amz-credential", "its date is not that of x-amz-date"));
    }
    if timestamp.moment() > now + rules.max_skew {
        return Err(SignatureError::NotYetValid.into());
    }
    Ok(())
}

/// A policy that its signer made and that has not expired. Only [`FormClaim::verify`] makes one.
///
/// It is a permission to upload what its conditions allow, as its signer, and never a signed request.
#[derive(Debug)]
pub struct VerifiedPolicy {
    access_key: String,
    expiration: OffsetDateTime,
    conditions: Vec<Condition>,
}

impl VerifiedPolicy {
    /// Who signed it.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Until when it is good.
    pub fn expiration(&self) -> OffsetDateTime {
        self.expiration
    }

    /// Whether the form keeps to the conditions, and has no field that none of them is about; the bucket counts as one. `fields` are those before the file, with
    /// `${filename}` replaced already; `bucket` is the one of the request, whatever a field says.
    pub fn check_fields(&self, fields: &[(String, String)], bucket: &str) -> Result<(), FormError> {
        for condition in &self.conditions {
            let Some(name) = condition.field() else { continue };
            let value = if name == "bucket" { Some(bucket) } else { field(fields, name)? };
            if !value.map_or(condition.admits_anything(), |value| condition.admits(value)) {
                return Err(FormError::ConditionFailed(condition.to_string()));
            }
        }
        let is_covered = |name: &str| self.conditions.iter().any(|condition| condition.field() == Some(name));
        if !is_covered("bucket") {
            return Err(FormError::ExtraField("bucket".to_owned()));
        }
        for (name, value) in fields {
            let name = name.to_ascii_lowercase();
            field(fields, &name)?;
            if !exempt(&name) && !is_covered(&name) {
                return Err(FormError::ExtraField(name));
            }
            if name == "bucket" && value != bucket {
                return Err(FormError::ConditionFailed(format!("[\"eq\", \"$bucket\", {bucket:?}]")));
            }
        }
        Ok(())
    }

    /// How long the file may be, in bytes. A longer one can be refused on its way.
    pub fn length_range(&self) -> RangeInclusive<u64> {
        let ranges = self.conditions.iter().filter_map(Condition::length_range);
        ranges.fold(0..=u64::MAX, |all, range| *all.start().max(range.start())..=*all.end().min(range.end()))
    }

    /// Whether the file that came may be so long.
    pub fn check_length(&self, len_bytes: u64) -> Result<(), FormError> {
        let range = self.length_range();
        if len_bytes > *range.end() {
            return Err(FormError::TooLarge);
        }
        if len_bytes < *range.start() {
            return Err(FormError::TooSmall);
        }
        Ok(())
    }
}

/// The one value of a field. Given twice it would be open which one was checked and which one counts.
fn field<'a>(fields: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, FormError> {
    let mut values = fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    let first = values.next();
    if values.next().is_some() {
        return Err(FormError::FieldRepeated(name.to_owned()));
    }
    Ok(first)
}

fn required<'a>(fields: &'a [(String, String)], name: &'static str) -> Result<&'a str, FormError> {
    field(fields, name)?.ok_or(FormError::FieldMissing(name))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    expiration: String,
    conditions: Vec<serde_json::Value>,
}

/// `2007-12-01T12:00:00.000Z`. A blank for the T, which RFC 3339 allows, is none that S3 takes.
fn parse_expiration(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().filter(|_| text.as_bytes().get(10) == Some(&b'T'))
}

/// Its expiration and its conditions.
fn parse(policy: &str) -> Result<(OffsetDateTime, Vec<Condition>), FormError> {
    let json = STANDARD.decode(policy).map_err(|_| FormError::InvalidPolicy("it is no base64"))?;
    let document: Document =
        serde_json::from_slice(&json).map_err(|_| FormError::InvalidPolicy("it is no JSON of expiration and conditions"))?;
    let expiration = parse_expiration(&document.expiration).ok_or(FormError::InvalidPolicy("its expiration is no date"))?;
    if document.conditions.len() > MAX_CONDITIONS {
        return Err(FormError::InvalidPolicy("it has too many conditions"));
    }
    let conditions = document.conditions.iter().map(Condition::parse).collect::<Option<_>>();
    Ok((expiration, conditions.ok_or(FormError::InvalidPolicy("a condition does not have its form"))?))
}
