//! What an operator says of AWS KMS.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use strongroom_kms::{KmsError, Secret};

/// Where the keys are and who we are. Without `access_key_id` the credentials come from the environment, the profile, web identity, the
/// container or the instance, in this order.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The region of the keys, such as `eu-central-1`.
    pub region: String,
    /// The URL of another endpoint than the region's own, such as that of a VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The URL of another endpoint of STS than the region's own; used with `role_arn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts_endpoint: Option<String>,
    /// The access key's id; goes with `secret_access_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// The access key's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<Secret>,
    /// The session token of temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// The profile of the shared configuration files to take credentials from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// A role to assume with these credentials, also one of another account: the keys are then that account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The only authority to trust, in PEM; without it, those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Config {
    /// Whether the fields make sense together; [`KmsError::InvalidArgument`] names the one that does not.
    pub(crate) fn check(&self) -> Result<(), KmsError> {
        if !is_region(&self.region) {
            return invalid("region must be the name of an AWS region, such as eu-central-1");
        }
        check_url("endpoint", self.endpoint.as_deref())?;
        check_url("sts_endpoint", self.sts_endpoint.as_deref())?;
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return invalid("access_key_id and secret_access_key go together: set both or none");
        }
        if self.session_token.is_some() && self.access_key_id.is_none() {
            return invalid("session_token needs access_key_id and secret_access_key");
        }
        if self.profile.is_some() && self.access_key_id.is_some() {
            return invalid("profile and access_key_id exclude each other: set one of them");
        }
        if self.role_arn.as_deref().is_some_and(|arn| !arn.starts_with("arn:") || !arn.contains(":role/")) {
            return invalid("role_arn must be the ARN of an IAM role");
        }
        if self.role_arn.is_none() && (self.external_id.is_some() || self.sts_endpoint.is_some()) {
            return invalid("external_id and sts_endpoint need role_arn");
        }
        Ok(())
    }
}

/// The region becomes part of a host name.
fn is_region(region: &str) -> bool {
    !region.is_empty()
        && region.len() <= 63
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn check_url(field: &str, url: Option<&str>) -> Result<(), KmsError> {
    let Some(url) = url else { return Ok(()) };
    let host = reqwest::Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.username().is_empty());
    if host.is_none() { invalid(&format!("{field} must be a URL such as https://kms.eu-central-1.amazonaws.com")) } else { Ok(()) }
}

fn invalid(text: &str) -> Result<(), KmsError> {
    Err(KmsError::InvalidArgument(text.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        match serde_json::from_str::<Config>(json).unwrap().check() {
            Err(KmsError::InvalidArgument(text)) => text,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn a_mistake_is_named_by_its_field() {
        for (json, field) in [
            (r#"{"region":""}"#, "region"),
            (r#"{"region":"eu.evil.example/"}"#, "region"),
            (r#"{"region":"eu-1","endpoint":"kms.example"}"#, "endpoint"),
            (r#"{"region":"eu-1","endpoint":"https://me@kms.example"}"#, "endpoint"),
            (r#"{"region":"eu-1","access_key_id":"AKIA"}"#, "access_key_id"),
            (r#"{"region":"eu-1","secret_access_key":"s"}"#, "access_key_id"),
            (r#"{"region":"eu-1","session_token":"t"}"#, "session_token"),
            (r#"{"region":"eu-1","profile":"p","access_key_id":"a","secret_access_key":"s"}"#, "profile"),
            (r#"{"region":"eu-1","role_arn":"admin"}"#, "role_arn"),
            (r#"{"region":"eu-1","external_id":"x"}"#, "external_id"),
        ] {
            assert!(refusal(json).starts_with(field), "{json}: {}", refusal(json));
        }
    }

    #[test]
    fn a_field_nobody_knows_is_refused() {
        let error = serde_json::from_str::<Config>(r#"{"region":"eu-1","regoin":"x"}"#).err().unwrap().to_string();
        assert!(error.starts_with("unknown field `regoin`"), "{error}");
    }

    #[test]
    fn a_configuration_survives_being_stored() {
        let json = r#"{"region":"eu-1","access_key_id":"AKIA","secret_access_key":"s"}"#;
        let config: Config = serde_json::from_str(json).unwrap();
        config.check().unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), json);
    }
}
