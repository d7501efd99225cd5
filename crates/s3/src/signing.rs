//! What policies' conditions see of how a request of S3 was signed.

use strongroom_access::{ConditionKey, Conditions};
use strongroom_sigv4::{Claim, Placement};
use time::OffsetDateTime;

const VERSION_FOUR: &str = "AWS4-HMAC-SHA256";
const VERSION_TWO: &str = "AWS";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// How a request says who it is. Nothing is known of one without a signature.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signing {
    auth_type: Option<&'static str>,
    version: Option<&'static str>,
    age_ms: Option<i64>,
    content_sha256: Option<String>,
}

impl Signing {
    /// Of a signature of version 4. The client says of its body what `declared` is.
    pub(crate) fn of_claim(claim: &Claim, now: OffsetDateTime, declared: Option<&str>) -> Self {
        let auth_type = match claim.placement() {
            Placement::Header => "REST-HEADER",
            Placement::Query => "REST-QUERY-STRING",
        };
        // A clock that is fast signs in the future.
        let age_ms = i64::try_from((now - claim.signed_at()).whole_milliseconds()).unwrap_or(i64::MAX).max(0);
        Self {
            auth_type: Some(auth_type),
            version: Some(VERSION_FOUR),
            age_ms: Some(age_ms),
            content_sha256: Some(declared.unwrap_or(UNSIGNED_PAYLOAD).to_owned()),
        }
    }

    /// Of a presigned URL of version 2, which does not say when it was signed.
    pub(crate) fn of_url_of_version_two() -> Self {
        let content_sha256 = Some(UNSIGNED_PAYLOAD.to_owned());
        Self { auth_type: Some("REST-QUERY-STRING"), version: Some(VERSION_TWO), age_ms: None, content_sha256 }
    }

    /// Of a form with a policy that is signed.
    pub(crate) fn of_form(is_version_two: bool) -> Self {
        let version = if is_version_two { VERSION_TWO } else { VERSION_FOUR };
        Self { auth_type: Some("POST"), version: Some(version), ..Self::default() }
    }

    pub(crate) fn in_conditions(self, conditions: Conditions) -> Conditions {
        conditions
            .with_some(ConditionKey::AuthType, self.auth_type)
            .with_some(ConditionKey::SignatureVersion, self.version)
            .with_some(ConditionKey::SignatureAge, self.age_ms.map(|age| age.to_string()))
            .with_some(ConditionKey::ContentSha256, self.content_sha256)
    }
}
