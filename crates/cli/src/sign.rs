//! Signature Version 4, service `s3`: the same credentials as for objects.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use reqwest::header::{HeaderName, HeaderValue};

use crate::error::Error;
use crate::profile::Profile;

/// The headers that a request needs besides its own.
pub(crate) fn headers(profile: &Profile, method: &str, url: &str, body: &[u8]) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let credentials = Credentials::new(&profile.access_key, profile.secret_key.expose(), None, None, "profile");
    let identity = Identity::from(credentials);
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let failed = |what: &dyn std::fmt::Display| Error::Usage(format!("the request cannot be signed: {what}"));
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&profile.region)
        .name("s3")
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?;
    let request = SignableRequest::new(method, url, std::iter::empty(), SignableBody::Bytes(body)).map_err(|error| failed(&error))?;
    let (instructions, _) = sign(request, &params.into()).map_err(|error| failed(&error))?.into_parts();
    let (headers, _) = instructions.into_parts();
    headers
        .into_iter()
        .map(|header| {
            let name = HeaderName::from_static(header.name());
            HeaderValue::from_str(header.value()).map(|value| (name, value)).map_err(|error| failed(&error))
        })
        .collect()
}
